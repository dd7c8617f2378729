"""Sentence pairs: read from wherever they are, checked, segmented, filtered, and kept as memory-mapped Arrow files.

`load_pairs` gives the raw pairs of a split, `prepare_corpus` what training works on; `load_texts` and `prepare_text`
give the same of the target language alone, for a language model. All store their result in the cache folder
(`$NMT_CACHE`, else `$XDG_CACHE_HOME/nmt`, else `~/.cache/nmt`; it can be deleted at any time) under a key of
everything the result depends on, and the next call maps the stored file into memory. Local files are read by our own
code, not by the builders of `datasets`: an error can then name the line, nothing opens a network connection, and
no value is interpreted (pandas reads the sentence `None` as a missing value).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Protocol

import datasets
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

import nmt
from nmt.config import DataConfig
from nmt.errors import UserError
from nmt.parallel_files import (
    clean_text,
    find_sides,
    iterate_csv,
    iterate_json,
    iterate_lines,
    iterate_parallel,
    iterate_tsv,
    read_lines,
    read_parallel,
)

__all__ = [
    "Corpus",
    "FilterCounts",
    "Part",
    "Segmenter",
    "TextCorpus",
    "TextCounts",
    "check_splits",
    "load_pairs",
    "load_texts",
    "prepare_corpus",
    "prepare_text",
    "read_lines",
    "read_parallel",
    "training_tags",
]

SPLITS = ("train", "validation", "test")
"""What a split is for; the configuration says what it is called."""

BUILDERS = ("json", "csv", "tsv", "parquet", "text")
"""Values of `data.path` that read the files of `data.files`."""

CACHE_FORMAT = 1
"""Part of every cache key; raised when the stored files or the reading of their sources change."""

RATIO_CHARACTERS = 20
"""Pairs whose longer side has at most this many characters are never mismatched: `Ja` may well be `Yes, of course`."""

BATCH_ROWS = 4096
BATCH_CHARACTERS = 1 << 24
"""Pairs and characters read, segmented and written at once."""

PAIR_SCHEMA = pa.schema([("source", pa.string()), ("target", pa.string())])
CORPUS_SCHEMA = pa.schema(
    [*PAIR_SCHEMA, ("source_pieces", pa.list_(pa.int32())), ("target_pieces", pa.list_(pa.int32()))]
)
TEXT_SCHEMA = pa.schema([("text", pa.string())])
TEXT_CORPUS_SCHEMA = pa.schema([*TEXT_SCHEMA, ("pieces", pa.list_(pa.int32())), ("characters", pa.int32())])


class Segmenter(Protocol):
    """What a corpus needs of a vocabulary."""

    @property
    def checksum(self) -> str:
        """Changes whenever a segmentation may change."""

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text's pieces, without begin and end symbol."""


@dataclass
class FilterCounts:
    """How many pairs were read, kept, and dropped for which reason; a pair counts under the first that applies."""

    read: int = 0
    kept: int = 0
    empty: int = 0
    """A side has no piece, or nothing but white space."""
    too_long: int = 0
    """A side has more than `max_length` pieces."""
    mismatched: int = 0
    """One side has more than `data.max_length_ratio` times the characters of the other and more than 20 of them."""
    max_length: int | None = None
    """Pieces allowed on a side; None where only empty pairs are dropped (validation and test)."""

    def __str__(self) -> str:
        dropped = f"{self.empty} empty"
        if self.max_length is not None:
            dropped += f", {self.too_long} longer than {self.max_length} pieces, {self.mismatched} mismatched in length"
        return f"{self.read} pairs read, {self.kept} kept ({dropped})"

    @classmethod
    def total(cls, counts: Sequence[FilterCounts]) -> FilterCounts:
        """The counts of several sources added up; `max_length` is that of each."""
        names = [item.name for item in fields(cls) if item.name != "max_length"]
        sums = {name: sum(getattr(one, name) for one in counts) for name in names}
        return cls(**sums, max_length=counts[0].max_length)


@dataclass
class TextCounts:
    """How many lines of a text were read, kept, and dropped."""

    read: int = 0
    kept: int = 0
    blank: int = 0
    """Lines without a piece, or with nothing but white space."""

    def __str__(self) -> str:
        return f"{self.read} lines read, {self.kept} kept ({self.blank} blank)"


@dataclass
class Part:
    """One source of a corpus; its pairs stand side by side, the sources in the order of the configuration."""

    name: str
    """What it is called in messages."""
    counts: FilterCounts
    """What was read and dropped; `counts.kept` pairs of the corpus are its own."""
    weight: float = 1.0
    """How often its pairs are seen in an epoch."""
    tag: str = ""
    """What stands before each of its source sentences, with a space."""

    def __str__(self) -> str:
        weight = f", weight {self.weight:g}" if self.weight != 1 else ""
        return f"{self.name}{weight}{f', tag `{self.tag}`' if self.tag else ''}: {self.counts}"


class _Rows:
    """The rows of an Arrow column of lists or strings as read-only views of its buffers.

    A row takes microseconds, where `datasets` builds Python objects.
    """

    def __init__(self, column: pa.ChunkedArray) -> None:
        chunks = [chunk for chunk in column.chunks if len(chunk)]
        self.starts = np.cumsum([0] + [len(chunk) for chunk in chunks])
        self.offsets = []
        self.values = []
        for chunk in chunks:
            offsets = np.frombuffer(chunk.buffers()[1], np.int32)
            self.offsets.append(offsets[chunk.offset : chunk.offset + len(chunk) + 1])
            if pa.types.is_list(column.type):
                self.values.append(chunk.values.to_numpy())
            else:
                self.values.append(np.frombuffer(chunk.buffers()[2], np.uint8))

    def lengths(self) -> npt.NDArray[np.int32]:
        return np.concatenate([np.diff(offsets) for offsets in self.offsets] or [np.zeros(0, np.int32)])

    def take(self, indices: Sequence[int] | npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        rows = np.asarray(indices, np.int64)
        if rows.size and (rows.min() < 0 or rows.max() >= self.starts[-1]):
            raise IndexError(f"rows must be in 0 to {self.starts[-1] - 1}, but are in {rows.min()} to {rows.max()}")
        chunks = np.searchsorted(self.starts, rows, side="right") - 1
        taken = []
        for chunk, row in zip(chunks.tolist(), (rows - self.starts[chunks]).tolist(), strict=True):
            offsets = self.offsets[chunk]
            taken.append(self.values[chunk][offsets[row] : offsets[row + 1]])
        return taken


@dataclass
class Corpus:
    """The kept pairs of a split with their segmentation: what training works on."""

    pairs: datasets.Dataset
    """Columns source, target (text), source_pieces, target_pieces (int32 lists, without begin and end symbol)."""
    source_lengths: npt.NDArray[np.int32]
    """[pairs], pieces of each source side."""
    target_lengths: npt.NDArray[np.int32]
    """[pairs], pieces of each target side."""
    counts: FilterCounts
    """What was read and dropped, of all sources together."""
    parts: list[Part] = field(default_factory=list)
    """Its sources; without any, the pairs are those of a single one."""

    def __post_init__(self) -> None:
        assert self.pairs._indices is None, "rows come from the Arrow buffers: pairs must not be shuffled or selected"
        self._rows = {name: _Rows(self.pairs.data.column(name)) for name in CORPUS_SCHEMA.names}
        self.parts = self.parts or [Part("pairs", self.counts)]
        self._ends = np.cumsum([part.counts.kept for part in self.parts])
        assert self._ends[-1] == len(self), f"{len(self)} pairs, but {self._ends[-1]} in the sources"

    def __len__(self) -> int:
        return len(self.source_lengths)

    def part_of(self, indices: Sequence[int] | npt.NDArray[Any]) -> npt.NDArray[np.intp]:
        """The source (its place in `parts`) of each of some pairs."""
        return np.searchsorted(self._ends, np.asarray(indices, np.int64), side="right")

    def describe(self) -> list[str]:
        """Lines for the log: what was read and dropped, of each source where there are several."""
        if len(self.parts) == 1:
            part = self.parts[0]
            return [str(part) if part.weight != 1 or part.tag else str(self.counts)]
        seen = sum(part.weight * part.counts.kept for part in self.parts)
        return [*map(str, self.parts), f"all {len(self.parts)} sources: {self.counts}; {seen:.0f} pairs an epoch"]

    def pieces(
        self, indices: Sequence[int] | npt.NDArray[Any]
    ) -> tuple[list[npt.NDArray[np.int32]], list[npt.NDArray[np.int32]]]:
        """Source and target pieces of some pairs: read-only views of the memory-mapped file."""
        return self._rows["source_pieces"].take(indices), self._rows["target_pieces"].take(indices)

    def text(self, indices: Sequence[int] | npt.NDArray[Any]) -> tuple[list[str], list[str]]:
        """Source and target text of some pairs."""
        sources, targets = (
            [row.tobytes().decode("utf-8") for row in self._rows[side].take(indices)] for side in ("source", "target")
        )
        return sources, targets


@dataclass
class TextCorpus:
    """The lines of a text that are not blank, in order, with their segmentation: what a language model works on."""

    texts: datasets.Dataset
    """Columns text, pieces (int32 list, without begin and end symbol), characters."""
    lengths: npt.NDArray[np.int32]
    """[lines], pieces of each line."""
    characters: npt.NDArray[np.int32]
    """[lines], characters of each line, without its end: what bits per character are counted by."""
    counts: TextCounts
    """What was read and dropped; `str(counts)` is a line for the log."""

    def __post_init__(self) -> None:
        assert self.texts._indices is None, "rows come from the Arrow buffers: lines must not be shuffled or selected"
        self._rows = {name: _Rows(self.texts.data.column(name)) for name in ("text", "pieces")}

    def __len__(self) -> int:
        return len(self.lengths)

    def pieces(self, indices: Sequence[int] | npt.NDArray[Any]) -> list[npt.NDArray[np.int32]]:
        """Pieces of some lines: read-only views of the memory-mapped file."""
        return self._rows["pieces"].take(indices)

    def text(self, indices: Sequence[int] | npt.NDArray[Any]) -> list[str]:
        """Text of some lines."""
        return [row.tobytes().decode("utf-8") for row in self._rows["text"].take(indices)]


def load_pairs(data: DataConfig, split: str, *, cache: Path | None = None) -> datasets.Dataset:
    """All pairs of a split, raw: columns `source` and `target`, memory-mapped.

    `train` has the pairs of all sources, whatever their weights, with their tags. Nothing is filtered: pairs with an
    empty side are there too. Raises UserError, naming file and line, when the data are missing or damaged, and when
    the split or a source has no pair at all.

        split: `train`, `validation` or `test`; the configuration says what it is called in the data
        cache: folder to keep the result in; None: the default one
    """
    loaded = []
    for source in _pair_sources(data, split):
        with source.blamed():
            loaded.append(_load_input(_find_input(source), cache))
    return _concatenate(loaded)


def load_texts(data: DataConfig, split: str, *, cache: Path | None = None) -> datasets.Dataset:
    """All lines of a split in the target language, raw and in order, blank ones too: column `text`, memory-mapped.

    The same places are read as for pairs, but nothing of the source language is asked for: of a folder the target's
    file, of a table the target's column; the builder `text` takes one file for each split. Raises UserError like
    `load_pairs`, and for further sources, weights and tags, which are of no use to a language model.
    """
    return _load_input(_find_input(_text_source(data, split)), cache)


def prepare_corpus(
    data: DataConfig,
    split: str,
    source_vocabulary: Segmenter,
    target_vocabulary: Segmenter,
    *,
    cache: Path | None = None,
) -> Corpus:
    """Pairs of a split, segmented and filtered; a second call with the same files and vocabularies reads neither.

    From `train`, which has the pairs of all sources, go pairs that are empty, too long or mismatched in length (see
    FilterCounts). From `validation` and `test` go only pairs with an empty side, which have no loss; a score of
    translations counts those as well, so it is computed from `load_pairs`. Raises UserError like `load_pairs`, and
    when no pair of a source is kept.
    """
    max_length, max_length_ratio = (data.max_length, data.max_length_ratio) if split == "train" else (None, None)
    tables, parts = [], []
    for source in _pair_sources(data, split):
        with source.blamed():
            found = _find_input(source)
            vocabularies = source_vocabulary, target_vocabulary
            table, counts = _prepare_input(found, *vocabularies, max_length, max_length_ratio, cache)
            tables.append(table)
            parts.append(Part(f"{source.intro}{found.where}", counts, source.weight, source.tag))
    pairs = _concatenate(tables)
    lengths = [_Rows(pairs.data.column(name)).lengths() for name in ("source_pieces", "target_pieces")]
    return Corpus(pairs, lengths[0], lengths[1], FilterCounts.total([part.counts for part in parts]), parts)


def prepare_text(data: DataConfig, split: str, vocabulary: Segmenter, *, cache: Path | None = None) -> TextCorpus:
    """Lines of a split in the target language, segmented, without the blank ones; stored as `prepare_corpus` does."""
    found = _find_input(_text_source(data, split))
    counts = TextCounts()

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in _load_input(found, cache).data.to_batches():
            lines = batch.column("text").to_pylist()
            filled = [line for line in lines if line.strip()]
            pieces = vocabulary.encode_batch(filled)
            rows = [(line, ids, len(line)) for line, ids in zip(filled, pieces, strict=True) if ids]
            counts.read += len(lines)
            counts.kept += len(rows)
            counts.blank += len(lines) - len(rows)
            yield _record_batch(rows, TEXT_CORPUS_SCHEMA)
        if not counts.kept:
            raise UserError(f"no line of {found.where} can be used: {counts}")

    key = [found.identity, vocabulary.checksum]
    texts, stored = _stored(cache, "text", key, TEXT_CORPUS_SCHEMA, batches, lambda: asdict(counts))
    lengths = _Rows(texts.data.column("pieces")).lengths()
    return TextCorpus(texts, lengths, texts.data.column("characters").to_numpy(), TextCounts(**stored))


def check_splits(
    data: DataConfig,
    splits: Sequence[str] = ("train", "validation"),
    task: Literal["translation", "language_model"] = "translation",
    *,
    cache: Path | None = None,
) -> None:
    """Whether these splits can be found, in moments: their files, columns and languages, and a first row in each.

    For the start of a program, as reading and learning a vocabulary may take minutes. Rows behind the first are not
    looked at (but a JSON array is parsed whole). Raises the UserError that reading the split would raise.
    """
    for split in splits:
        for source in [_text_source(data, split)] if task == "language_model" else _pair_sources(data, split):
            with source.blamed():
                found = _find_input(source)
                if not _is_stored(cache, found) and next(iter(found.read()), None) is None:
                    raise _no_rows(found)


def training_tags(data: DataConfig) -> list[str]:
    """The tags of all sources of training pairs, each once: pieces of their own in a vocabulary that is learned."""
    return list(dict.fromkeys(source.tag for source in _pair_sources(data, "train") if source.tag))


def _concatenate(tables: list[datasets.Dataset]) -> datasets.Dataset:
    """One table after the other; the rows stay where they are."""
    return datasets.concatenate_datasets(tables) if len(tables) > 1 else tables[0]


def _prepare_input(
    found: _Input,
    source_vocabulary: Segmenter,
    target_vocabulary: Segmenter,
    max_length: int | None,
    max_length_ratio: float | None,
    cache: Path | None,
) -> tuple[datasets.Dataset, FilterCounts]:
    """The kept pairs of one source with their pieces."""
    key = [found.identity, source_vocabulary.checksum, target_vocabulary.checksum, max_length, max_length_ratio]
    counts = FilterCounts(max_length=max_length)

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in _load_input(found, cache).data.to_batches():
            pairs = list(zip(batch.column("source").to_pylist(), batch.column("target").to_pylist(), strict=True))
            yield _segment(pairs, source_vocabulary, target_vocabulary, max_length_ratio, counts, found.tag)
        if not counts.kept:
            raise UserError(
                f"no pair of {found.where} can be used: {counts}; check the sides, `data.max_length` and "
                "`data.max_length_ratio`"
            )

    pairs, stored = _stored(cache, "corpus", key, CORPUS_SCHEMA, batches, lambda: asdict(counts))
    return pairs, FilterCounts(**stored)


def _segment(
    pairs: list[tuple[str, str]],
    source_vocabulary: Segmenter,
    target_vocabulary: Segmenter,
    max_length_ratio: float | None,
    counts: FilterCounts,
    tag: str,
) -> pa.RecordBatch:
    """The pairs that are kept, with their pieces; `counts` takes in all of them. A tag alone is no sentence."""
    filled = [pair for pair in pairs if pair[0].strip() and pair[1].strip()]
    sources = source_vocabulary.encode_batch([source for source, _ in filled])
    targets = target_vocabulary.encode_batch([target for _, target in filled])
    tag_pieces = len(source_vocabulary.encode_batch([tag])[0]) if tag else 0
    tag_characters = len(tag) + 1 if tag else 0
    counts.read += len(pairs)
    counts.empty += len(pairs) - len(filled)
    rows = []
    for pair, source, target in zip(filled, sources, targets, strict=True):
        if len(source) <= tag_pieces or not target:
            counts.empty += 1
        elif counts.max_length is not None and max(len(source), len(target)) > counts.max_length:
            counts.too_long += 1
        elif max_length_ratio is not None and _is_mismatched(pair[0][tag_characters:], pair[1], max_length_ratio):
            counts.mismatched += 1
        else:
            rows.append((*pair, source, target))
    counts.kept += len(rows)
    return _record_batch(rows, CORPUS_SCHEMA)


def _is_mismatched(source: str, target: str, max_length_ratio: float) -> bool:
    shorter, longer = sorted((len(source.strip()), len(target.strip())))
    return longer > RATIO_CHARACTERS and longer > max_length_ratio * shorter


# Where rows come from. A row has a text for each side: source and target, or the target alone.

Row = tuple[str, ...]


@dataclass
class _Source:
    """One source of the rows of a split, as the configuration describes it."""

    path: str
    name: str | None
    files: dict[str, str | list[str]]
    split: str
    """What the split is called in the data."""
    split_setting: str
    """The setting that says so: `train_split`."""
    unnamed_split: str
    """The split that a saved data set without a name of its own is."""
    languages: tuple[str, str]
    """Source and target language."""
    probe_length: int
    """As `data.probe_length`."""
    target_only: bool = False
    """Whether its rows have only the target side."""
    number: int = 0
    """Its place in `data.extra`, counted from 1; 0 for the data themselves."""
    weight: float = 1.0
    tag: str = ""

    @property
    def sides(self) -> tuple[str, ...]:
        """The languages of a row's texts."""
        return self.languages[1:] if self.target_only else self.languages

    @property
    def intro(self) -> str:
        """What a message about this source begins with."""
        return f"`data.extra` number {self.number}: " if self.number else ""

    def setting(self, name: str) -> str:
        """What one of its settings is called in messages."""
        return f"`{name}`" if self.number else f"`data.{name}`"

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """Whatever is wrong in the block is wrong with this source, and the message says so."""
        try:
            yield
        except UserError as error:
            raise UserError(f"{self.intro}{error}") from None


@dataclass
class _Input:
    """The rows of one source, found but not read yet."""

    where: str
    """Its name in messages."""
    identity: list[Any]
    """Everything the rows depend on: a key of the cache, in JSON."""
    read: Callable[[], Iterable[Row]]
    tag: str = ""
    """What to put before each source text; it stands in the identity as well."""
    target_only: bool = False
    """Whether its rows are texts instead of pairs."""

    @property
    def schema(self) -> pa.Schema:
        return TEXT_SCHEMA if self.target_only else PAIR_SCHEMA

    @property
    def kind(self) -> str:
        """What its entry in the cache is called."""
        return "lines" if self.target_only else "pairs"


def _pair_sources(data: DataConfig, split: str) -> list[_Source]:
    """The sources of a split's pairs; only training has more than one, and tags."""
    source = _main_source(data, split)
    if split != "train":
        return [source]
    source.weight, source.tag = data.weight, data.tag
    sources = [source]
    for number, extra in enumerate(data.extra, 1):
        place = (extra.path, extra.name, extra.files, extra.split, "split", extra.split)
        sources.append(_Source(*place, source.languages, data.probe_length, False, number, extra.weight, extra.tag))
    for source in sources:
        if source.tag != " ".join(source.tag.split()):
            raise UserError(
                f"{source.intro}{source.setting('tag')} must be a text without line ends and needless spaces, "
                f"but is {source.tag!r} instead"
            )
    return sources


def _text_source(data: DataConfig, split: str) -> _Source:
    """The source of a split's lines in the target language."""
    for name, is_used in (("extra", bool(data.extra)), ("weight", data.weight != 1), ("tag", bool(data.tag))):
        if is_used:
            raise UserError(
                f"`data.{name}` must be left out for a language model, which reads its text once and in order"
            )
    source = _main_source(data, split)
    source.target_only = True
    return source


def _main_source(data: DataConfig, split: str) -> _Source:
    if split not in SPLITS:
        raise UserError(f"a split must be one of {', '.join(SPLITS)}, but is `{split}` instead")
    setting = f"{split}_split"
    place = (data.path, data.name, data.files, getattr(data, setting), setting, data.train_split)
    return _Source(*place, (data.source, data.target), data.probe_length)


def _find_input(source: _Source) -> _Input:
    """Find the rows of a source; raises UserError when there are none, naming what there is instead."""
    if source.path in BUILDERS:
        found = _find_files(source)
    elif source.files:
        raise UserError(
            f"{source.setting('files')} belongs to a builder: {source.setting('path')} must be one of "
            f"{', '.join(BUILDERS)}, but is `{source.path}` instead"
        )
    elif source.path.startswith("builtin:"):
        found = _find_builtin(source)
    else:
        found = _find_path(source)
    found.identity.append(source.tag)
    found.tag, found.target_only = source.tag, source.target_only
    return found


def _find_path(source: _Source) -> _Input:
    """A folder, or a data set of the hub."""
    path = Path(source.path).expanduser()
    if path.is_dir():
        _refuse_name(source)
        is_saved = (path / "dataset_dict.json").exists() or (path / "state.json").exists()
        return _find_saved(source, path) if is_saved else _find_in_folder(source, path)
    if path.exists():
        raise UserError(_how_to_read(source, path))
    if re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", source.path):
        return _find_hub(source)
    raise UserError(f"{source.setting('path')}: folder `{source.path}` does not exist")


def _refuse_name(source: _Source) -> None:
    if source.name:
        raise UserError(
            f"{source.setting('name')} names a configuration of a hub data set and must be unset for `{source.path}`, "
            f"but is `{source.name}` instead"
        )


def _find_builtin(source: _Source) -> _Input:
    from nmt import captions, probes

    task = source.path.removeprefix("builtin:")
    if task not in ("captions", *probes.TASKS):
        known = ", ".join(f"builtin:{name}" for name in ("captions", *probes.TASKS))
        raise UserError(
            f"{source.setting('path')} must be one of {known} to use a built-in corpus, but is `{source.path}` instead"
        )
    _refuse_name(source)
    if source.split not in SPLITS:
        raise _no_split(source, SPLITS)
    where = f"`{source.path}` split `{source.split}`"
    identity: list[Any] = [source.path, source.split, *source.sides, nmt.__version__]
    if task == "captions":
        return _Input(where, [*identity, _code_identity(captions)], partial(_read_captions, source))
    identity += [source.probe_length, _code_identity(probes)]
    first = 1 if source.target_only else 0

    def read() -> Iterable[Row]:
        return (row[first:] for row in probes.pairs(task, source.probe_length)[source.split])

    return _Input(where, identity, read)


def _code_identity(module: ModuleType) -> str:
    """Checksum of the code of a package or module that makes a corpus."""
    path = Path(str(module.__file__))
    files = sorted(path.parent.glob("*.py")) if path.name == "__init__.py" else [path]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _read_captions(source: _Source) -> Iterable[Row]:
    from nmt import captions

    if not source.target_only:
        return captions.captions(*source.languages)[source.split]
    target = source.languages[1]
    if target not in captions.LANGUAGES:
        raise UserError(
            f"`data.target` must be one of {', '.join(captions.LANGUAGES)} for `builtin:captions`, "
            f"but is `{target}` instead"
        )
    return ((said[target],) for _, said in captions.corpus()[source.split])


def _find_files(source: _Source) -> _Input:
    """The files that the configuration names for a builder."""
    _refuse_name(source)
    is_text, is_pair = source.path == "text", not source.target_only
    if source.split not in source.files:
        example = '["train.de", "train.en"]' if is_text and is_pair else f'"train.{"en" if is_text else source.path}"'
        raise UserError(
            f"{source.setting('files')} has no split `{source.split}` ({source.setting(source.split_setting)}); "
            f"its splits are {', '.join(source.files) or 'none'}; write files = {{{source.split} = {example}, ...}}"
        )
    value = source.files[source.split]
    setting = source.setting(f"files.{source.split}")
    paths = [Path(path).expanduser() for path in ([value] if isinstance(value, str) else value)]
    if is_text and len(paths) != len(source.sides):
        needed = 'a source file and a target file (["train.de", "train.en"]) for `text`'
        raise UserError(
            f"{setting} must be {needed if is_pair else 'one file for `text` and a language model'}, "
            f"but is {value!r} instead"
        )
    if not paths:
        raise UserError(f"{setting} must name a file, but is empty instead")
    identity = [source.path, *source.sides, [_file_identity(path) for path in paths]]
    where = " and ".join(f"`{path}`" for path in paths)
    if is_text:
        return _Input(where, identity, partial(_iterate_text, paths))
    if source.path == "parquet":
        return _Input(where, identity, lambda: (row for path in paths for row in _iterate_parquet(path, source.sides)))
    iterate = {"json": iterate_json, "csv": iterate_csv, "tsv": iterate_tsv}[source.path]
    first, last = source.sides[0], source.sides[-1]  # the target alone is read as both sides, and one is kept
    if source.target_only:
        return _Input(where, identity, lambda: (row[1:] for path in paths for row in iterate(path, first, last)))
    return _Input(where, identity, lambda: (row for path in paths for row in iterate(path, first, last)))


def _iterate_text(paths: Sequence[Path]) -> Iterator[Row]:
    """Lines of one file, or of two side by side."""
    return iterate_parallel(paths[0], paths[1]) if len(paths) == 2 else ((line,) for line in iterate_lines(paths[0]))


def _find_in_folder(source: _Source, folder: Path) -> _Input:
    """A file for each side: `SPLIT.LANGUAGE` or `SPLIT.SOURCE-TARGET.LANGUAGE` (in either order), plain or .gz."""
    files = sorted(path.name for path in folder.iterdir() if path.is_file())

    def existing(stem: str) -> Path | None:
        return next((folder / file for file in (stem, f"{stem}.gz") if file in files), None)

    for split in [source.split, "val", "valid", "dev"] if source.split == "validation" else [source.split]:
        for infix in ("", "{}-{}.".format(*source.languages), "{1}-{0}.".format(*source.languages)):
            found = [existing(f"{split}.{infix}{side}") for side in source.sides]
            paths = [path for path in found if path]
            if len(paths) == len(source.sides):
                where = " and ".join(f"`{path}`" for path in paths)
                identity = ["text", *source.sides, [_file_identity(path) for path in paths]]
                return _Input(where, identity, partial(_iterate_text, paths))
    listing = ", ".join(files[:40]) + (f" and {len(files) - 40} more" if len(files) > 40 else "")
    wanted = " and ".join(f"`{source.split}.{side}`" for side in source.sides)
    settings = [source.setting(source.split_setting), *(["`data.source`"] if not source.target_only else [])]
    raise UserError(
        f"`{folder}` has no file{'s' if not source.target_only else ''} {wanted} (plain or .gz); "
        f"the files there are: {listing or 'none'}; set {', '.join(settings)} and `data.target`"
    )


def _find_saved(source: _Source, folder: Path) -> _Input:
    """A split of a folder written by `save_to_disk`; a single data set without a split name is the training split."""
    datasets.disable_progress_bars()
    try:
        loaded = datasets.load_from_disk(str(folder))
    except Exception as error:  # whatever the library stumbles over, the folder is damaged
        raise UserError(f"`{folder}` cannot be read as a saved data set: {_one_line(error)}; save it again") from None
    if isinstance(loaded, datasets.Dataset):
        splits = {str(loaded.split or source.unnamed_split): loaded}
    else:
        splits, folder = loaded, folder / source.split
    if source.split not in splits:
        raise _no_split(source, list(splits))
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return _dataset_input(splits[source.split], source, ["saved", *source.sides, [*map(_file_identity, files)]])


def _find_hub(source: _Source) -> _Input:
    """A split of a data set of the Hugging Face hub, downloaded by `datasets` when it is not there yet."""
    datasets.disable_progress_bars()
    try:
        loaded = datasets.load_dataset(source.path, source.name or None, split=source.split)
    except Exception as error:  # the library, its builders and its network layer have no common class
        message = _one_line(error)
        if isinstance(error, ValueError) and (listing := re.search(r"split.*\[(.*)\]", message)):
            raise _no_split(source, re.findall(r"'([^']*)'", listing[1])) from None
        raise UserError(
            f"`{source.path}` is no folder here and cannot be loaded from the Hugging Face hub: {message}; check the "
            f"id ({source.setting('path')}, {source.setting('name')}) and the connection, or use local files"
        ) from None
    identity = ["hub", source.path, source.name, source.split, *source.sides, loaded._fingerprint]
    return _dataset_input(loaded, source, identity)


def _dataset_input(dataset: datasets.Dataset, source: _Source, identity: list[Any]) -> _Input:
    where = f"`{source.path}` split `{source.split}`"
    columns = _side_columns(dataset.data.schema, f"`{source.path}`", source.sides)

    def read() -> Iterator[Row]:
        tables = dataset.select_columns(columns).with_format("arrow").iter(batch_size=BATCH_ROWS)
        return _arrow_rows(tables, where, source.sides)

    return _Input(where, identity, read)


def _iterate_parquet(path: Path, sides: tuple[str, ...]) -> Iterator[Row]:
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            columns = _side_columns(file.schema_arrow, f"`{path}`", sides)
            yield from _arrow_rows(file.iter_batches(BATCH_ROWS, columns=columns), f"`{path}`", sides)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"`{path}` cannot be read as Parquet: {_one_line(error)}") from None


def _side_columns(schema: pa.Schema, where: str, sides: tuple[str, ...]) -> list[str]:
    """The columns that hold the sides: their own, or `translation` with their languages."""
    languages = []
    if "translation" in schema.names and pa.types.is_struct(schema.field("translation").type):
        languages = [field.name for field in schema.field("translation").type]
    return list(sides) if find_sides(where, schema.names, languages, sides[0], sides[-1]) else ["translation"]


def _arrow_rows(tables: Iterable[pa.Table | pa.RecordBatch], where: str, sides: tuple[str, ...]) -> Iterator[Row]:
    row = 0
    for table in tables:
        if table.schema.names == ["translation"] and sides != ("translation",):
            columns = [pyarrow.compute.struct_field(table.column("translation"), [side]) for side in sides]
        else:
            columns = [table.column(side) for side in sides]
        try:
            values = [column.to_pylist() for column in columns]
        except UnicodeDecodeError:  # a Parquet file may hold any bytes
            raise _broken_text(columns, where, row + 1) from None
        for texts in zip(*values, strict=True):
            row += 1
            place = f"{where} row {row}"
            yield tuple(clean_text(text, place, side) for text, side in zip(texts, sides, strict=True))


def _broken_text(columns: list[Any], where: str, first_row: int) -> UserError:
    for row, values in enumerate(zip(*columns, strict=True), start=first_row):
        try:
            [value.as_py() for value in values]
        except UnicodeDecodeError:
            return UserError(f"{where} row {row} is not valid UTF-8; convert it to UTF-8")
    raise AssertionError("a column is broken but none of its values")


def _how_to_read(source: _Source, path: Path) -> str:
    """What to write in the configuration instead of the path of a single file."""
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    builders = {".json": "json", ".jsonl": "json", ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet"}
    builder = builders.get(suffix, "text")
    is_half = builder == "text" and not source.target_only
    files = f'["{path}", "TARGET FILE"]' if is_half else f'"{path}"'
    return (
        f"{source.setting('path')} must be a folder, a builder or a hub id, but is the file `{path}` instead; "
        f'write path = "{builder}" and files = {{{source.split} = {files}, ...}}'
    )


def _no_split(source: _Source, splits: Iterable[str]) -> UserError:
    setting = source.setting(source.split_setting)
    return UserError(f"`{source.path}` has no split `{source.split}` ({setting}); its splits are {', '.join(splits)}")


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:297] + "..."


def _file_identity(path: Path) -> list[Any]:
    try:
        status = path.stat()
    except OSError as error:
        raise UserError(f"`{path}` cannot be read: {error.strerror}") from None
    return [str(path.resolve()), status.st_size, status.st_mtime_ns]


# The cache: NAME.arrow, and NAME.json with its checksum


def _cache_folder() -> Path:
    if folder := os.environ.get("NMT_CACHE"):
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nmt"


def _load_input(found: _Input, cache: Path | None) -> datasets.Dataset:
    """The raw rows of a source, from the cache when they are there. A blank source text stays blank, without tag."""

    def batches() -> Iterator[pa.RecordBatch]:
        batch: list[Row] = []
        characters = 0
        is_empty = True
        for row in found.read():
            if found.tag and row[0].strip():
                row = (f"{found.tag} {row[0]}", *row[1:])
            batch.append(row)
            characters += sum(map(len, row))
            if len(batch) == BATCH_ROWS or characters > BATCH_CHARACTERS:
                yield _record_batch(batch, found.schema)
                batch, characters, is_empty = [], 0, False
        if batch:
            yield _record_batch(batch, found.schema)
        elif is_empty:
            raise _no_rows(found)

    return _stored(cache, found.kind, found.identity, found.schema, batches, dict)[0]


def _is_stored(cache: Path | None, found: _Input) -> bool:
    """Whether the cache has the raw rows of a source; its files are not checked."""
    name = _entry_name(found.kind, found.identity)
    return all((cache or _cache_folder()).joinpath(f"{name}.{suffix}").is_file() for suffix in ("arrow", "json"))


def _no_rows(found: _Input) -> UserError:
    rows = "lines of text" if found.target_only else "sentence pairs"
    return UserError(f"{found.where} must hold {rows}, but is empty instead")


def _record_batch(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pa.RecordBatch:
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.record_batch(arrays, schema)


def _stored(
    cache: Path | None,
    kind: str,
    key: list[Any],
    schema: pa.Schema,
    batches: Callable[[], Iterator[pa.RecordBatch]],
    describe: Callable[[], dict[str, Any]],
) -> tuple[datasets.Dataset, dict[str, Any]]:
    """The memory-mapped entry of a key and its description; written first when it is missing or damaged.

    Files are complete before they get their names. Two processes that write the same entry at once write the same
    bytes, so it does not matter whose files remain.
    """
    cache = cache or _cache_folder()
    name = _entry_name(kind, key)
    entry = _open_entry(cache, name)
    if entry is None:
        try:
            cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=cache, prefix="writing-") as temporary:
                table, description = Path(temporary, "table.arrow"), Path(temporary, "description.json")
                with pa.OSFile(str(table), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
                    for batch in batches():
                        writer.write_batch(batch)
                description.write_text(json.dumps({"checksum": _checksum(table), "description": describe()}))
                os.replace(table, cache / f"{name}.arrow")
                os.replace(description, cache / f"{name}.json")
        except OSError as error:
            raise UserError(
                f"cache folder `{cache}` cannot be written: {error.strerror or error}; set NMT_CACHE to another folder"
            ) from None
        entry = _open_entry(cache, name)
    if entry is None:
        raise UserError(f"cache folder `{cache}` does not give back what was written; set NMT_CACHE to another folder")
    return entry


def _entry_name(kind: str, key: list[Any]) -> str:
    return f"{kind}-{hashlib.sha256(json.dumps([CACHE_FORMAT, key]).encode()).hexdigest()[:32]}"


def _open_entry(cache: Path, name: str) -> tuple[datasets.Dataset, dict[str, Any]] | None:
    """An entry of the cache, None when it is missing or not what was written."""
    table = cache / f"{name}.arrow"
    try:
        stored = json.loads((cache / f"{name}.json").read_text())
        if stored["checksum"] != _checksum(table):
            return None
        return datasets.Dataset.from_file(str(table)), stored["description"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _checksum(path: Path) -> str:
    """CRC-32 of a file: a gigabyte a second, and the pages it reads are those that training wants next."""
    value = 0
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            value = zlib.crc32(block, value)
    return f"{value:08x}"
