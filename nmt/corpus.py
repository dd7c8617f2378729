"""Sentence pairs: read from wherever they are, checked, segmented, filtered, and kept as memory-mapped Arrow files.

`load_pairs` gives the raw pairs of a split, `prepare_corpus` what training works on. Both store their result in the
cache folder (`$NMT_CACHE`, else `$XDG_CACHE_HOME/nmt`, else `~/.cache/nmt`; it can be deleted at any time) under a key
of everything the result depends on, and the next call maps the stored file into memory. Local files are read by
our own code, not by the builders of `datasets`: an error can then name the line, nothing opens a network connection,
and no value is interpreted (pandas reads the sentence `None` as a missing value).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

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
    iterate_parallel,
    iterate_tsv,
    read_lines,
    read_parallel,
)

__all__ = ["Corpus", "FilterCounts", "Segmenter", "load_pairs", "prepare_corpus", "read_lines", "read_parallel"]

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

Pairs = datasets.Dataset
"""Raw pairs: columns `source` and `target`, memory-mapped."""


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
    """What was read and dropped; `str(counts)` is a line for the log."""

    def __post_init__(self) -> None:
        assert self.pairs._indices is None, "rows come from the Arrow buffers: pairs must not be shuffled or selected"
        self._rows = {name: _Rows(self.pairs.data.column(name)) for name in CORPUS_SCHEMA.names}

    def __len__(self) -> int:
        return len(self.source_lengths)

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


def load_pairs(data: DataConfig, split: str, *, cache: Path | None = None) -> datasets.Dataset:
    """All pairs of a split, raw: columns `source` and `target`, memory-mapped.

    Nothing is filtered: pairs with an empty side are there too. Raises UserError, naming file and line, when the data
    are missing or damaged, and when the split has no pair at all.

        split: `train`, `validation` or `test`; the configuration says what it is called in the data
        cache: folder to keep the result in; None: the default one
    """
    return _load_input(_find_input(data, split), cache)


def prepare_corpus(
    data: DataConfig,
    split: str,
    source_vocabulary: Segmenter,
    target_vocabulary: Segmenter,
    *,
    cache: Path | None = None,
) -> Corpus:
    """Pairs of a split, segmented and filtered; a second call with the same files and vocabularies reads neither.

    From `train` go pairs that are empty, too long or mismatched in length (see FilterCounts). From `validation` and
    `test` go only pairs with an empty side, which have no loss; a score of translations counts those as well, so it
    is computed from `load_pairs`.
    """
    found = _find_input(data, split)
    max_length, max_length_ratio = (data.max_length, data.max_length_ratio) if split == "train" else (None, None)
    key = [found.identity, source_vocabulary.checksum, target_vocabulary.checksum, max_length, max_length_ratio]
    counts = FilterCounts(max_length=max_length)

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in _load_input(found, cache).data.to_batches():
            pairs = list(zip(batch.column("source").to_pylist(), batch.column("target").to_pylist(), strict=True))
            yield _segment(pairs, source_vocabulary, target_vocabulary, max_length_ratio, counts)
        if not counts.kept:
            raise UserError(
                f"no pair of {found.where} can be used: {counts}; check the sides, `data.max_length` and "
                "`data.max_length_ratio`"
            )

    pairs, stored = _stored(cache, "corpus", key, CORPUS_SCHEMA, batches, lambda: asdict(counts))
    lengths = [_Rows(pairs.data.column(name)).lengths() for name in ("source_pieces", "target_pieces")]
    return Corpus(pairs, lengths[0], lengths[1], FilterCounts(**stored))


def _segment(
    pairs: list[tuple[str, str]],
    source_vocabulary: Segmenter,
    target_vocabulary: Segmenter,
    max_length_ratio: float | None,
    counts: FilterCounts,
) -> pa.RecordBatch:
    """The pairs that are kept, with their pieces; `counts` takes in all of them."""
    filled = [pair for pair in pairs if pair[0].strip() and pair[1].strip()]
    sources = source_vocabulary.encode_batch([source for source, _ in filled])
    targets = target_vocabulary.encode_batch([target for _, target in filled])
    counts.read += len(pairs)
    counts.empty += len(pairs) - len(filled)
    rows = []
    for pair, source, target in zip(filled, sources, targets, strict=True):
        if not source or not target:
            counts.empty += 1
        elif counts.max_length is not None and max(len(source), len(target)) > counts.max_length:
            counts.too_long += 1
        elif max_length_ratio is not None and _is_mismatched(*pair, max_length_ratio):
            counts.mismatched += 1
        else:
            rows.append((*pair, source, target))
    counts.kept += len(rows)
    return _record_batch(rows, CORPUS_SCHEMA)


def _is_mismatched(source: str, target: str, max_length_ratio: float) -> bool:
    shorter, longer = sorted((len(source.strip()), len(target.strip())))
    return longer > RATIO_CHARACTERS and longer > max_length_ratio * shorter


# Where pairs come from


@dataclass
class _Input:
    """The pairs of one split, found but not read yet."""

    where: str
    """Its name in messages."""
    identity: list[Any]
    """Everything the pairs depend on: a key of the cache, in JSON."""
    read: Callable[[], Iterable[tuple[str, str]]]


def _find_input(data: DataConfig, split: str) -> _Input:
    if split not in SPLITS:
        raise UserError(f"a split must be one of {', '.join(SPLITS)}, but is `{split}` instead")
    key = f"{split}_split"
    name: str = getattr(data, key)
    if data.path in BUILDERS:
        found = _find_files(data, name, key)
    elif data.files:
        raise UserError(
            f"`data.files` belongs to a builder: `data.path` must be one of {', '.join(BUILDERS)}, "
            f"but is `{data.path}` instead"
        )
    elif data.path.startswith("builtin:"):
        found = _find_builtin(data, name, key)
    else:
        path = Path(data.path).expanduser()
        if path.is_dir():
            is_saved = (path / "dataset_dict.json").exists() or (path / "state.json").exists()
            found = _find_saved(data, path, name, key) if is_saved else _find_parallel(data, path, name, key)
        elif path.exists():
            raise UserError(_how_to_read(path))
        elif re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", data.path):
            return _find_hub(data, name, key)
        else:
            raise UserError(f"`data.path`: folder `{data.path}` does not exist")
    if data.name:
        raise UserError(
            f"`data.name` names a configuration of a hub data set and must be unset for `{data.path}`, "
            f"but is `{data.name}` instead"
        )
    return found


def _find_builtin(data: DataConfig, name: str, key: str) -> _Input:
    if data.path != "builtin:captions":
        raise UserError(f"`data.path` must be builtin:captions to use a built-in corpus, but is `{data.path}` instead")
    from nmt import captions

    if name not in SPLITS:
        raise _no_split(data.path, name, key, SPLITS)
    files = sorted(Path(captions.__file__).parent.glob("*.py"))
    code = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    return _Input(
        f"`{data.path}` split `{name}`",
        [data.path, name, data.source, data.target, nmt.__version__, code],
        lambda: captions.captions(data.source, data.target)[name],
    )


def _find_files(data: DataConfig, name: str, key: str) -> _Input:
    """The files that `data.files` names for a builder."""
    if name not in data.files:
        example = '["train.de", "train.en"]' if data.path == "text" else f'"train.{data.path}"'
        raise UserError(
            f"`data.files` has no split `{name}` (`data.{key}`); its splits are {', '.join(data.files) or 'none'}; "
            f"write files = {{train = {example}, ...}}"
        )
    value = data.files[name]
    paths = [Path(path).expanduser() for path in ([value] if isinstance(value, str) else value)]
    if data.path == "text" and len(paths) != 2:
        raise UserError(
            f'`data.files.{name}` must be a source file and a target file (["train.de", "train.en"]) '
            f"for `text`, but is {value!r} instead"
        )
    if not paths:
        raise UserError(f"`data.files.{name}` must name a file, but is empty instead")
    identity = [data.path, data.source, data.target, [_file_identity(path) for path in paths]]
    where = " and ".join(f"`{path}`" for path in paths)
    if data.path == "text":
        return _Input(where, identity, partial(iterate_parallel, *paths))
    iterate = {"json": iterate_json, "csv": iterate_csv, "tsv": iterate_tsv, "parquet": _iterate_parquet}[data.path]
    return _Input(where, identity, lambda: (pair for path in paths for pair in iterate(path, data.source, data.target)))


def _find_parallel(data: DataConfig, folder: Path, name: str, key: str) -> _Input:
    """Two files of a folder: `SPLIT.LANGUAGE` or `SPLIT.SOURCE-TARGET.LANGUAGE` (in either order), plain or .gz."""
    files = sorted(path.name for path in folder.iterdir() if path.is_file())

    def existing(stem: str) -> Path | None:
        return next((folder / file for file in (stem, f"{stem}.gz") if file in files), None)

    for split in [name, "val", "valid", "dev"] if name == "validation" else [name]:
        for infix in ("", f"{data.source}-{data.target}.", f"{data.target}-{data.source}."):
            source, target = existing(f"{split}.{infix}{data.source}"), existing(f"{split}.{infix}{data.target}")
            if source and target:
                identity = ["text", data.source, data.target, [_file_identity(source), _file_identity(target)]]
                return _Input(f"`{source}` and `{target}`", identity, partial(iterate_parallel, source, target))
    listing = ", ".join(files[:40]) + (f" and {len(files) - 40} more" if len(files) > 40 else "")
    raise UserError(
        f"`{folder}` has no files `{name}.{data.source}` and `{name}.{data.target}` (plain or .gz); "
        f"the files there are: {listing or 'none'}; set `data.{key}`, `data.source` and `data.target`"
    )


def _find_saved(data: DataConfig, folder: Path, name: str, key: str) -> _Input:
    """A split of a folder written by `save_to_disk`; a single data set without a split name is the training split."""
    datasets.disable_progress_bars()
    try:
        loaded = datasets.load_from_disk(str(folder))
    except Exception as error:  # whatever the library stumbles over, the folder is damaged
        raise UserError(f"`{folder}` cannot be read as a saved data set: {_one_line(error)}; save it again") from None
    if isinstance(loaded, datasets.Dataset):
        splits = {str(loaded.split or data.train_split): loaded}
    else:
        splits, folder = loaded, folder / name
    if name not in splits:
        raise _no_split(data.path, name, key, list(splits))
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    identity = ["saved", data.source, data.target, [_file_identity(path) for path in files]]
    return _dataset_input(splits[name], f"`{data.path}` split `{name}`", identity, data)


def _find_hub(data: DataConfig, name: str, key: str) -> _Input:
    """A split of a data set of the Hugging Face hub, downloaded by `datasets` when it is not there yet."""
    datasets.disable_progress_bars()
    try:
        loaded = datasets.load_dataset(data.path, data.name or None, split=name)
    except Exception as error:  # the library, its builders and its network layer have no common class
        message = _one_line(error)
        if isinstance(error, ValueError) and (listing := re.search(r"split.*\[(.*)\]", message)):
            raise _no_split(data.path, name, key, re.findall(r"'([^']*)'", listing[1])) from None
        raise UserError(
            f"`{data.path}` is no folder here and cannot be loaded from the Hugging Face hub: {message}; check the id "
            "(`data.path`, `data.name`) and the connection, or use local files"
        ) from None
    identity = ["hub", data.path, data.name, name, data.source, data.target, loaded._fingerprint]
    return _dataset_input(loaded, f"`{data.path}` split `{name}`", identity, data)


def _dataset_input(dataset: datasets.Dataset, where: str, identity: list[Any], data: DataConfig) -> _Input:
    columns = _side_columns(dataset.data.schema, f"`{data.path}`", data.source, data.target)

    def read() -> Iterator[tuple[str, str]]:
        tables = dataset.select_columns(columns).with_format("arrow").iter(batch_size=BATCH_ROWS)
        return _arrow_pairs(tables, where, data.source, data.target)

    return _Input(where, identity, read)


def _iterate_parquet(path: Path, source: str, target: str) -> Iterator[tuple[str, str]]:
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            columns = _side_columns(file.schema_arrow, f"`{path}`", source, target)
            yield from _arrow_pairs(file.iter_batches(BATCH_ROWS, columns=columns), f"`{path}`", source, target)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"`{path}` cannot be read as Parquet: {_one_line(error)}") from None


def _side_columns(schema: pa.Schema, where: str, source: str, target: str) -> list[str]:
    """The columns that hold the two sides: their own, or `translation` with both languages."""
    languages = []
    if "translation" in schema.names and pa.types.is_struct(schema.field("translation").type):
        languages = [field.name for field in schema.field("translation").type]
    return [source, target] if find_sides(where, schema.names, languages, source, target) else ["translation"]


def _arrow_pairs(
    tables: Iterable[pa.Table | pa.RecordBatch], where: str, source: str, target: str
) -> Iterator[tuple[str, str]]:
    row = 0
    for table in tables:
        if table.schema.names == ["translation"]:
            sides = [pyarrow.compute.struct_field(table.column("translation"), [side]) for side in (source, target)]
        else:
            sides = [table.column(source), table.column(target)]
        try:
            values = [side.to_pylist() for side in sides]
        except UnicodeDecodeError:  # a Parquet file may hold any bytes
            raise _broken_text(sides, where, row + 1) from None
        for pair in zip(*values, strict=True):
            row += 1
            place = f"{where} row {row}"
            yield clean_text(pair[0], place, source), clean_text(pair[1], place, target)


def _broken_text(sides: list[Any], where: str, first_row: int) -> UserError:
    for row, values in enumerate(zip(*sides, strict=True), start=first_row):
        try:
            [value.as_py() for value in values]
        except UnicodeDecodeError:
            return UserError(f"{where} row {row} is not valid UTF-8; convert it to UTF-8")
    raise AssertionError("a column is broken but none of its values")


def _how_to_read(path: Path) -> str:
    """What to write in the configuration instead of the path of a single file."""
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    builders = {".json": "json", ".jsonl": "json", ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet"}
    builder = builders.get(suffix, "text")
    files = f'["{path}", "TARGET FILE"]' if builder == "text" else f'"{path}"'
    return (
        f"`data.path` must be a folder, a builder or a hub id, but is the file `{path}` instead; "
        f'write path = "{builder}" and files = {{train = {files}, ...}}'
    )


def _no_split(path: str, name: str, key: str, splits: Iterable[str]) -> UserError:
    return UserError(f"`{path}` has no split `{name}` (`data.{key}`); its splits are {', '.join(splits)}")


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
    """The raw pairs of a split, from the cache when they are there."""

    def batches() -> Iterator[pa.RecordBatch]:
        batch: list[tuple[str, str]] = []
        characters = 0
        is_empty = True
        for pair in found.read():
            batch.append(pair)
            characters += len(pair[0]) + len(pair[1])
            if len(batch) == BATCH_ROWS or characters > BATCH_CHARACTERS:
                yield _record_batch(batch, PAIR_SCHEMA)
                batch, characters, is_empty = [], 0, False
        if batch:
            yield _record_batch(batch, PAIR_SCHEMA)
        elif is_empty:
            raise UserError(f"{found.where} must hold sentence pairs, but is empty instead")

    return _stored(cache, "pairs", found.identity, PAIR_SCHEMA, batches, dict)[0]


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
    name = f"{kind}-{hashlib.sha256(json.dumps([CACHE_FORMAT, key]).encode()).hexdigest()[:32]}"
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
