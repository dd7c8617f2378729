"""Sentence pairs: checked, segmented, filtered, and stored as memory-mapped Arrow files.

`load_pairs` returns the cleaned pairs of a split, and `prepare_corpus` the segmented pairs for training. `load_texts`
and `prepare_text` do the same for the target language alone, for a language model. All of them store their result in
the cache (`nmt.data.table_cache`) under a key of everything it depends on; the next call maps that file into memory.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

import datasets
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nmt.config import DataConfig
from nmt.data.sources import BATCH_ROWS, Input, Row, Source, find_input, pair_sources, text_source
from nmt.data.table_cache import StoredTable, is_stored, record_batch, stored_table
from nmt.errors import UserError
from nmt.sizing import Amount
from nmt.text.cleaning import clean_line, clean_target
from nmt.text.pair_filters import is_mismatched
from nmt.text.reading import chunks
from nmt.text.vocabulary import SPECIAL_PIECES, Vocabulary

Indices = Sequence[int] | npt.NDArray[Any]
Pieces = list[npt.NDArray[np.int32]]  # the pieces of each of some sentences, without begin and end symbol

BATCH_CHARACTERS = 1 << 24  # characters read, segmented and written at once, unless `BATCH_ROWS` come first

PAIR_SCHEMA = pa.schema([("source", pa.string()), ("target", pa.string())])
CORPUS_SCHEMA = pa.schema(
    [*PAIR_SCHEMA, ("source_pieces", pa.list_(pa.int32())), ("target_pieces", pa.list_(pa.int32()))]
)
TEXT_SCHEMA = pa.schema([("text", pa.string())])
TEXT_CORPUS_SCHEMA = pa.schema([*TEXT_SCHEMA, ("pieces", pa.list_(pa.int32())), ("characters", pa.int32())])


@dataclass
class FilterCounts:
    """Numbers of pairs read, kept, and dropped for each reason; a pair counts for the first reason that applies."""

    read: int = 0
    kept: int = 0
    empty: int = 0  # pairs with a side that has no piece or only white space
    too_long: int = 0  # pairs with a side of more than `max_length` pieces
    # Pairs with a side of more than 20 characters, and more than `data.max_length_ratio` times those of the other.
    mismatched: int = 0
    # Maximum number of pieces of a side; None if only empty pairs are dropped (validation and test).
    max_length: int | None = None
    # Pairs that `data.filters` and `data.min_score` dropped, by filter.
    filtered: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        dropped = f"{self.empty} empty"
        if self.max_length is not None:
            dropped += f", {self.too_long} longer than {self.max_length} pieces, {self.mismatched} mismatched in length"
        if self.filtered:
            dropped += f", dropped as {', '.join(f'{name} {count}' for name, count in self.filtered.items())}"
        return f"{self.read} pairs read, {self.kept} kept ({dropped})"

    @classmethod
    def total(cls, counts: Sequence[FilterCounts]) -> FilterCounts:
        """The sum of the counts of several sources, which have the same `max_length`."""
        names = [item.name for item in fields(cls) if item.name not in ("filtered", "max_length")]
        sums = {name: sum(getattr(one, name) for one in counts) for name in names}
        filtered = sum((Counter(one.filtered) for one in counts), Counter[str]())
        return cls(**sums, filtered=dict(filtered), max_length=counts[0].max_length)


@dataclass
class TextCounts:
    """Numbers of lines of a text that were read, kept, and dropped."""

    read: int = 0
    kept: int = 0
    blank: int = 0  # lines without a piece or with only white space

    def __str__(self) -> str:
        return f"{self.read} lines read, {self.kept} kept ({self.blank} blank)"


@dataclass
class Part:
    """One data source of a corpus. The pairs of a source are contiguous; sources are in the configuration's order."""

    name: str  # its name in messages
    counts: FilterCounts  # numbers of pairs read and dropped; `counts.kept` pairs of the corpus belong to this source
    weight: float = 1.0  # how often its pairs are seen in an epoch
    tag: str = ""  # text that precedes each of its source sentences, followed by a space

    def __str__(self) -> str:
        weight = f", weight {self.weight:g}" if self.weight != 1 else ""
        return f"{self.name}{weight}{f', tag `{self.tag}`' if self.tag else ''}: {self.counts}"


class _Rows:
    """Rows of an Arrow column as read-only views of its buffers: reading one takes microseconds."""

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

    def parts(self) -> Iterator[bytes]:
        """The bytes of all lengths, then those of all values, in parts."""
        for offsets in self.offsets:
            yield np.diff(offsets).tobytes()
        for offsets, values in zip(self.offsets, self.values, strict=True):
            yield values[offsets[0] : offsets[-1]].tobytes()

    def take(self, indices: Indices) -> list[npt.NDArray[Any]]:
        rows = np.asarray(indices, np.int64)
        if rows.size and (rows.min() < 0 or rows.max() >= self.starts[-1]):
            raise IndexError(f"rows must be in 0 to {self.starts[-1] - 1}, but are in {rows.min()} to {rows.max()}")
        chunks = np.searchsorted(self.starts, rows, side="right") - 1  # the chunk of each row, [rows]
        taken = []
        for chunk, row in zip(chunks.tolist(), (rows - self.starts[chunks]).tolist(), strict=True):
            offsets = self.offsets[chunk]
            taken.append(self.values[chunk][offsets[row] : offsets[row + 1]])
        return taken

    def texts(self, indices: Indices) -> list[str]:
        return [row.tobytes().decode("utf-8") for row in self.take(indices)]


@dataclass
class Corpus:
    """The kept pairs of a split with their segmentation, for training."""

    # Columns source, target (text), source_pieces, target_pieces (int32 lists, without begin and end symbol).
    pairs: datasets.Dataset
    counts: FilterCounts  # numbers of pairs read and dropped, for all sources together
    parts: list[Part] = field(default_factory=list)  # its data sources; empty if there is only one
    tables: list[StoredTable] = field(default_factory=list)  # the entries of the cache that hold the pairs

    def __post_init__(self) -> None:
        assert self.pairs._indices is None, "rows come from the Arrow buffers: pairs must not be shuffled or selected"
        self._rows = {name: _Rows(self.pairs.data.column(name)) for name in CORPUS_SCHEMA.names}
        self.parts = self.parts or [Part("pairs", self.counts)]
        self._ends = np.cumsum([part.counts.kept for part in self.parts])
        assert self._ends[-1] == len(self), f"{len(self)} pairs, but {self._ends[-1]} in the sources"

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def source_lengths(self) -> npt.NDArray[np.int32]:
        """Number of pieces of each source side, [pairs]."""
        return self._rows["source_pieces"].lengths()

    @property
    def target_lengths(self) -> npt.NDArray[np.int32]:
        """Number of pieces of each target side, [pairs]."""
        return self._rows["target_pieces"].lengths()

    def release(self) -> None:
        """Give back the memory of all that was read."""
        for table in self.tables:
            table.release()

    def part_of(self, indices: Indices) -> npt.NDArray[np.intp]:
        """The data source (index in `parts`) of each of some pairs."""
        return np.searchsorted(self._ends, np.asarray(indices, np.int64), side="right")

    def describe(self) -> list[str]:
        """Lines for the log: numbers of pairs read and dropped, for each data source if there are several."""
        if len(self.parts) == 1:
            part = self.parts[0]
            return [str(part) if part.weight != 1 or part.tag else str(self.counts)]
        seen = sum(part.weight * part.counts.kept for part in self.parts)
        return [*map(str, self.parts), f"all {len(self.parts)} sources: {self.counts}; {seen:.0f} pairs an epoch"]

    def pieces(self, indices: Indices) -> tuple[Pieces, Pieces]:
        """Source and target pieces of some pairs: read-only views of the memory-mapped file."""
        return self._rows["source_pieces"].take(indices), self._rows["target_pieces"].take(indices)

    def add_to(self, checksum: hashlib._Hash) -> None:
        for side in ("source_pieces", "target_pieces"):
            for part in self._rows[side].parts():
                checksum.update(part)
                self.release()

    def text(self, indices: Indices) -> tuple[list[str], list[str]]:
        return self._rows["source"].texts(indices), self._rows["target"].texts(indices)

    def untagged_text(self, indices: Indices) -> tuple[list[str], list[str]]:
        """As `text`, without the tags."""
        sources, targets = self.text(indices)
        skipped = [len(part.tag) + 1 if part.tag else 0 for part in self.parts]
        if any(skipped):
            sources = [text[skipped[i] :] for text, i in zip(sources, self.part_of(indices), strict=True)]
        return sources, targets


@dataclass
class TextCorpus:
    """The lines of a text that are not blank, in order, with their segmentation, for a language model."""

    texts: datasets.Dataset  # columns text, pieces (int32 list, without begin and end symbol), characters
    lengths: npt.NDArray[np.int32]  # number of pieces of each line, [lines]
    # Number of characters of each line without its end, [lines], for computing bits per character.
    characters: npt.NDArray[np.int32]
    counts: TextCounts  # numbers of lines read and dropped; `str(counts)` is a line for the log

    def __post_init__(self) -> None:
        assert self.texts._indices is None, "rows come from the Arrow buffers: lines must not be shuffled or selected"
        self._rows = {name: _Rows(self.texts.data.column(name)) for name in ("text", "pieces")}

    def __len__(self) -> int:
        return len(self.lengths)

    def pieces(self, indices: Indices) -> Pieces:
        """Pieces of some lines: read-only views of the memory-mapped file."""
        return self._rows["pieces"].take(indices)

    def add_to(self, checksum: hashlib._Hash) -> None:
        for part in self._rows["pieces"].parts():
            checksum.update(part)

    def text(self, indices: Indices) -> list[str]:
        return self._rows["text"].texts(indices)


def _sources(data: DataConfig, split: str, is_text: bool) -> list[Source]:
    """The sources of a split, for a language model if `is_text`."""
    return [text_source(data, split)] if is_text else pair_sources(data, split)


def _loaded(sources: Iterable[Source]) -> Iterator[tuple[Source, StoredTable]]:
    """Each source with its cleaned rows."""
    for source in sources:
        with source.blamed():
            table = _load_input(find_input(source))
        yield source, table


def load_pairs(data: DataConfig, split: str) -> datasets.Dataset:
    """All pairs of a split, cleaned (`nmt.text.cleaning`): columns `source` and `target`, memory-mapped.

    `train` has the pairs of all sources, regardless of their weights, with their tags, that pass `data.filters`. Pairs
    with an empty side are there too. Raises UserError, naming file and line, when the data are missing or damaged, and
    when the split or a source has no pair at all.

        split: `train`, `validation` or `test`; the configuration says what it is called in the data
    """
    return _concatenate([table.dataset for _, table in _loaded(pair_sources(data, split))])


def measure(data: DataConfig, task: str) -> Amount:
    """The amount of training text, including the rows that training will drop. Raises UserError like `load_pairs`."""
    pairs, words, characters = 0.0, 0, set[str]()
    for source, table in _loaded(_sources(data, "train", task == "language_model")):
        pairs += source.weight * len(table.dataset)
        for batch in table.batches():
            for text in itertools.chain.from_iterable(column.to_pylist() for column in batch.columns):
                words += len(text.split())
                characters.update(text)
    return Amount(max(1, round(pairs)), words, len(characters) + SPECIAL_PIECES)


def training_texts(data: DataConfig, column: Literal["source", "target", "text"]) -> Iterator[str]:
    """All training texts of a side, or of a language model (`text`), in order; few of them are in memory at once."""
    for _, table in _loaded(_sources(data, "train", column == "text")):
        for batch in table.batches():
            yield from batch.column(column).to_pylist()


def training_pairs(data: DataConfig) -> Iterator[tuple[str, str]]:
    """All training pairs, in order; few of them are in memory at once."""
    return zip(training_texts(data, "source"), training_texts(data, "target"), strict=True)


def load_texts(data: DataConfig, split: str) -> datasets.Dataset:
    """All lines of a split in the target language, cleaned and in order, blank ones too: column `text`, memory-mapped.

    The data are found as for pairs, but without the source language: a folder needs only the target's file, a table
    only the target's column, and the builder `text` takes one file for each split. Raises UserError like `load_pairs`,
    and for further sources, weights and tags, which a language model cannot use.
    """
    return _load_input(find_input(text_source(data, split))).dataset


def prepare_corpus(
    data: DataConfig, split: str, source_vocabulary: Vocabulary, target_vocabulary: Vocabulary
) -> Corpus:
    """Pairs of a split, segmented and filtered; a second call with the same files and vocabularies reads neither.

    From `train`, which has the pairs of all sources, pairs that are empty, too long or mismatched in length are removed
    (see FilterCounts). From `validation` and `test` only pairs with an empty side are removed, because they have no
    loss; scores of translations count them, so they are computed from `load_pairs`. Raises UserError like
    `load_pairs`, and when no pair of a source is kept.
    """
    max_length, max_length_ratio = (data.max_length, data.max_length_ratio) if split == "train" else (None, None)
    tables, parts = [], []
    for source in pair_sources(data, split):
        with source.blamed():
            found = find_input(source)
            tables.append(_prepare_input(found, source_vocabulary, target_vocabulary, max_length, max_length_ratio))
            where = f"{found.where}{', reversed' if found.reversed else ''}"
            counts = FilterCounts(**tables[-1].description)
            parts.append(Part(f"{source.intro}{where}", counts, source.weight, source.tag))
    pairs = _concatenate([table.dataset for table in tables])
    return Corpus(pairs, FilterCounts.total([part.counts for part in parts]), parts, tables)


def prepare_text(data: DataConfig, split: str, vocabulary: Vocabulary) -> TextCorpus:
    """Lines of a split in the target language, segmented, without the blank ones; stored as `prepare_corpus` does."""
    found = find_input(text_source(data, split))
    counts = TextCounts()

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in _load_input(found).batches():
            lines = batch.column("text").to_pylist()
            filled = [line for line in lines if line.strip()]
            pieces = vocabulary.encode_batch(filled)
            rows = [(line, ids, len(line)) for line, ids in zip(filled, pieces, strict=True) if ids]
            counts.read += len(lines)
            counts.kept += len(rows)
            counts.blank += len(lines) - len(rows)
            yield record_batch(rows, TEXT_CORPUS_SCHEMA)
        if not counts.kept:
            raise UserError(f"no line of {found.where} can be used: {counts}")

    key = [found.identity, vocabulary.checksum]
    stored = stored_table("text", key, TEXT_CORPUS_SCHEMA, batches, lambda: asdict(counts))
    texts = stored.dataset
    lengths = _Rows(texts.data.column("pieces")).lengths()
    return TextCorpus(texts, lengths, texts.data.column("characters").to_numpy(), TextCounts(**stored.description))


def check_splits(
    data: DataConfig,
    splits: Sequence[str] = ("train", "validation"),
    task: Literal["translation", "language_model"] = "translation",
) -> None:
    """Check quickly whether these splits can be read: their files, columns and languages, and a first row of each.

    A program calls this when it starts, because reading and learning a vocabulary may take minutes. Rows after the
    first are not checked (but a JSON array is parsed as a whole). Raises the UserError that reading would raise.
    """
    for split in splits:
        for source in _sources(data, split, task == "language_model"):
            with source.blamed():
                found = find_input(source)
                if not is_stored(_kind(found), found.identity) and next(iter(found.read()), None) is None:
                    raise _no_rows(found)


def training_tags(data: DataConfig) -> list[str]:
    """The tags of all sources of training pairs, each once; each becomes a single piece of a learned vocabulary."""
    return list(dict.fromkeys(source.tag for source in pair_sources(data, "train") if source.tag))


def _concatenate(tables: list[datasets.Dataset]) -> datasets.Dataset:
    return datasets.concatenate_datasets(tables) if len(tables) > 1 else tables[0]


def _prepare_input(
    found: Input,
    source_vocabulary: Vocabulary,
    target_vocabulary: Vocabulary,
    max_length: int | None,
    max_length_ratio: float | None,
) -> StoredTable:
    """The kept pairs of one source with their pieces, and FilterCounts as their description."""
    key = [found.identity, source_vocabulary.checksum, target_vocabulary.checksum, max_length, max_length_ratio]
    counts = FilterCounts(max_length=max_length)

    def batches() -> Iterator[pa.RecordBatch]:
        loaded = _load_input(found)
        counts.filtered = loaded.description
        counts.read = sum(counts.filtered.values())
        for batch in loaded.batches():
            pairs = list(zip(batch.column("source").to_pylist(), batch.column("target").to_pylist(), strict=True))
            yield _segment(pairs, source_vocabulary, target_vocabulary, max_length_ratio, counts, found.tag)
        if not counts.kept:
            raise UserError(
                f"no pair of {found.where} can be used: {counts}; check the sides, `data.max_length` and "
                "`data.max_length_ratio`"
            )

    return stored_table("corpus", key, CORPUS_SCHEMA, batches, lambda: asdict(counts))


def _segment(
    pairs: list[tuple[str, str]],
    source_vocabulary: Vocabulary,
    target_vocabulary: Vocabulary,
    max_length_ratio: float | None,
    counts: FilterCounts,
    tag: str,
) -> pa.RecordBatch:
    """The pairs that are kept, with their pieces; `counts` counts all pairs. A tag alone is not a sentence."""
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
        elif max_length_ratio is not None and is_mismatched(pair[0][tag_characters:], pair[1], max_length_ratio):
            counts.mismatched += 1
        else:
            rows.append((*pair, source, target))
    counts.kept += len(rows)
    return record_batch(rows, CORPUS_SCHEMA)


def _load_input(found: Input) -> StoredTable:
    """The cleaned rows of a source, from the cache if it has them. A blank source text gets no tag."""
    schema = TEXT_SCHEMA if found.target_only else PAIR_SCHEMA

    def batches() -> Iterator[pa.RecordBatch]:
        batch: list[Row] = []
        characters = 0
        is_empty = True
        for row in found.read():
            if found.reversed:
                row = row[::-1]
            row = (*map(clean_line, row[:-1]), clean_target(row[-1]))
            if found.tag and row[0]:
                row = (f"{found.tag} {row[0]}", *row[1:])
            batch += [(text,) for text in chunks(row[0])] if found.target_only else [row]
            characters += sum(map(len, row))
            if len(batch) >= BATCH_ROWS or characters > BATCH_CHARACTERS:
                yield record_batch(batch, schema)
                batch, characters, is_empty = [], 0, False
        if batch:
            yield record_batch(batch, schema)
        elif is_empty:
            raise _no_rows(found)

    return stored_table(_kind(found), found.identity, schema, batches, lambda: dict(found.dropped))


def _kind(found: Input) -> str:
    """The name of a source's rows in the cache."""
    return "lines" if found.target_only else "pairs"


def _no_rows(found: Input) -> UserError:
    rows = "lines of text" if found.target_only else "sentence pairs"
    if found.dropped:
        reasons = ", ".join(f"{name} {count}" for name, count in found.dropped.items())
        return UserError(f"`data.filters` and `data.min_score` drop all pairs of {found.where}: {reasons}")
    return UserError(f"{found.where} must hold {rows}, but is empty instead")
