"""The sources of a corpus: built-in corpora, files, folders, saved data sets, the Hugging Face hub.

A row has a text for each side: source and target, or only the target. `find_input` finds the data that the
configuration describes without reading them, so mistakes are reported at once. Our own code reads local files, not the
builders of `datasets`: so errors can name the line, nothing opens a network connection, and no value is interpreted
(pandas reads the sentence `None` as a missing value).
"""

from __future__ import annotations

import glob
import hashlib
import re
import stat
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import IO, Any, NamedTuple

import datasets
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

import nmt
from nmt.config import DataConfig
from nmt.config.tasks import SideKind
from nmt.data import hub
from nmt.data.npz import iterate_npz
from nmt.errors import UserError, listed, similar_path
from nmt.text.cleaning import clean_line, clean_target
from nmt.text.conll import iterate_conll
from nmt.text.files import COMPRESSED, plain_name
from nmt.text.pair_filters import FILTERS, PairFilter
from nmt.text.reading import (
    find_sides,
    iterate_chunks,
    iterate_csv,
    iterate_json,
    iterate_parallel,
    iterate_tsv,
    score_text,
    side_value,
)

SPLITS = ("train", "validation", "test")  # purposes; the configuration has their names in the data

UNREADABLE = {
    (".zip", ".tar", ".tgz", ".7z", ".rar"): (
        "an archive",
        "unpack it and give the folder or the files that were in it",
    ),
    (".tmx", ".xlf", ".xliff", ".xml", ".sdlxliff", ".po", ".tbx"): (
        "a translation memory or another file of translations",
        "make text of it: nmt import {path} --output FOLDER",
    ),
    (".xlsx",): ("a spreadsheet", "make text of it: nmt import {path} --output FOLDER"),
    (".xls", ".ods"): ("a spreadsheet", "save it as .xlsx or CSV and make text of it with `nmt import`"),
    (".docx", ".doc", ".odt", ".pdf", ".rtf"): ("a document", "save it as plain text with a sentence a line (`text`)"),
}
"""File formats that cannot be read, by file name suffix: what the file is, and what to do."""

BATCH_ROWS = 4096  # number of rows read, segmented and written at once

Row = tuple[Any, ...]  # a row: the text of each side, or its vectors where they are read


@dataclass
class Source:
    """One data source of a split, as the configuration describes it."""

    path: str
    name: str | None
    files: dict[str, str | list[str]]
    split: str  # name of the split in the data
    split_setting: str  # the setting that gives this name: `train_split`
    unnamed_split: str  # the split that a saved data set without split names counts as
    languages: tuple[str, str]  # source and target language
    probe_length: int  # as `data.probe_length`
    target_only: bool = False  # whether its rows have only the target side
    number: int = 0  # its position in `data.extra`, counted from 1; 0 for the main data
    weight: float = 1.0
    tag: str = ""
    reversed: bool = False  # whether source and target are swapped
    # How source and target are read: as texts, labels, or vectors. CSV, TSV and text files give vectors as text.
    kinds: tuple[SideKind, SideKind] = ("text", "text")
    streaming: bool = False  # whether it is read as a stream if it is on the hub
    score: str = ""  # the field with a score; empty for none
    min_score: float | None = None
    filters: tuple[str, ...] = ()  # as `data.filters`
    codes: tuple[str, str] = ("", "")  # language codes of source and target, for the filters

    @property
    def sides(self) -> tuple[str, ...]:
        """The languages of a row's texts."""
        return self.languages[1:] if self.target_only else self.languages

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of what a row has: its sides, and the score if there is one."""
        return (*self.sides, self.score) if self.score else self.sides

    @property
    def side_kinds(self) -> tuple[SideKind, ...]:
        """How each side of a row is read."""
        return self.kinds[1:] if self.target_only else self.kinds

    @property
    def intro(self) -> str:
        """The beginning of a message about this source."""
        return f"`data.extra` number {self.number}: " if self.number else ""

    def setting(self, name: str) -> str:
        """The name of one of its settings in messages."""
        return f"`{name}`" if self.number else f"`data.{name}`"

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """Errors raised in the block name this source in their message."""
        try:
            yield
        except UserError as error:
            raise UserError(f"{self.intro}{error}") from None

    def no_split(self, splits: Iterable[str]) -> UserError:
        """The error for data that have other splits."""
        setting = self.setting(self.split_setting)
        return UserError(f"`{self.path}` has no split `{self.split}` ({setting}); its splits are {', '.join(splits)}")


@dataclass
class Input:
    """The rows of one source, found but not read yet."""

    where: str  # its name in messages
    identity: list[Any]  # everything that the rows depend on, in JSON: a part of the cache key
    read: Callable[[], Iterable[Row]]
    tag: str = ""  # the tag before each source text; it is a part of `identity`
    reversed: bool = False  # whether source and target are swapped; it is a part of `identity`
    target_only: bool = False  # whether its rows are single texts instead of pairs
    # How many pairs `data.filters` and `data.min_score` have dropped, by filter, once it has been read.
    dropped: Counter[str] = field(default_factory=Counter)


def pair_sources(data: DataConfig, split: str) -> list[Source]:
    """The sources of a split's pairs; only training has more than one, and tags."""
    source = _main_source(data, split)
    if split != "train":
        return [source]
    source.weight, source.tag = data.weight, data.tag
    sources = [source]
    for number, extra in enumerate(data.extra, 1):
        place = (extra.path, extra.name, extra.files, extra.split, "split", extra.split)
        further = Source(*place, source.languages, data.probe_length, number=number, streaming=data.streaming)
        further.weight, further.tag, further.reversed = extra.weight, extra.tag, extra.reversed
        sources.append(further)
    if (data.score is None) != (data.min_score is None):
        raise UserError("`data.score` and `data.min_score` need each other")
    source.score, source.min_score = data.score or "", data.min_score
    for source in sources:
        source.filters, source.codes = tuple(data.filters), data.languages
        if source.tag != " ".join(source.tag.split()):
            raise UserError(
                f"{source.intro}{source.setting('tag')} must be a text without line ends and needless spaces, "
                f"but is {source.tag!r} instead"
            )
    return sources


def text_source(data: DataConfig, split: str) -> Source:
    """The source of a split's lines in the target language."""
    used = [name for name in ("extra", "tag", "filters", "score", "min_score") if getattr(data, name)]
    for name in [*used, *(["weight"] if data.weight != 1 else [])]:
        raise UserError(f"`data.{name}` must be left out for a language model, which reads its text once and in order")
    source = _main_source(data, split)
    source.target_only = True
    return source


def _main_source(data: DataConfig, split: str) -> Source:
    if split not in SPLITS:
        raise UserError(f"a split must be one of {', '.join(SPLITS)}, but is `{split}` instead")
    setting = f"{split}_split"
    place = (data.path, data.name, data.files, getattr(data, setting), setting, data.train_split)
    return Source(*place, (data.source, data.target), data.probe_length, streaming=data.streaming)


def find_input(source: Source) -> Input:
    """Find the rows of a source; raises UserError if there are none, and says what was found instead."""
    unscored = source.path.startswith("builtin:") or (source.path in BUILDERS and not BUILDERS[source.path].scored)
    if source.score and unscored:
        raise UserError(f"`data.score` names a column, which `{source.path}` does not have; leave it out")
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
    found.identity += [source.tag, source.reversed]
    found.tag, found.reversed, found.target_only = source.tag, source.reversed, source.target_only
    if source.filters or source.score:
        found.identity += [source.score, source.min_score, sorted(source.filters), source.codes]
        found.read = partial(_filtered, found.read, source, found.dropped)
    return found


def _filtered(read: Callable[[], Iterable[Row]], source: Source, dropped: Counter[str]) -> Iterator[Row]:
    """The rows that pass the filters, without their scores. Pairs with an empty side pass: training counts them."""
    dropped.clear()
    off = frozenset(FILTERS) - set(source.filters)
    keep = PairFilter(*source.codes, off, source.min_score)
    for row in read():
        reason = keep.reason(clean_line(row[0]), clean_target(row[1]), *row[2:])
        if reason in ("", "empty"):
            yield row[:2]
        else:
            dropped[reason] += 1
    for name in sorted(dropped, key=list(FILTERS).index):
        dropped[name] = dropped.pop(name)  # in the order of the filters


def _find_path(source: Source) -> Input:
    path = Path(source.path).expanduser()
    if path.is_dir():
        _refuse_name(source)
        is_saved = (path / "dataset_dict.json").exists() or (path / "state.json").exists()
        return _find_saved(source, path) if is_saved else _find_in_folder(source, path)
    if path.exists():
        raise UserError(_how_to_read(source, path))
    # If there is a folder `runs/`, `runs/pairs` is not a hub id.
    in_folder_here = "/" in source.path and path.parent.is_dir()
    if re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", source.path) and not in_folder_here:
        return _find_hub(source)
    raise UserError(f"{source.setting('path')}: folder `{source.path}` does not exist{similar_path(source.path)}")


def _refuse_name(source: Source) -> None:
    if source.name:
        raise UserError(
            f"{source.setting('name')} names a configuration of a hub data set and must be unset for `{source.path}`, "
            f"but is `{source.name}` instead"
        )


def _find_builtin(source: Source) -> Input:
    from nmt.data import captions, made_examples, probes

    task = source.path.removeprefix("builtin:")
    names = ("captions", *probes.TASKS, *made_examples.MADE)
    if task not in names:
        known = ", ".join(f"builtin:{name}" for name in names)
        raise UserError(
            f"{source.setting('path')} must be one of {known} to use a built-in corpus, but is `{source.path}` instead"
        )
    _refuse_name(source)
    if source.split not in SPLITS:
        raise source.no_split(SPLITS)
    where = f"`{source.path}` split `{source.split}`"
    identity: list[Any] = [source.path, source.split, *source.sides, nmt.__version__]
    if task == "captions":
        identity.append(_checksum(captions.TABLE))
        return Input(where, identity, lambda: captions.captions(*source.sides)[source.split])
    if task in made_examples.MADE:
        made_examples.check(task, source.sides[-1])
        identity += [_checksum(made_examples.__file__), _checksum(captions.TAGS)]
        spoken = made_examples.IN_LANGUAGES.get(task)
        made = partial(spoken, source.sides[-1]) if spoken else made_examples.MADE[task]
        return Input(where, identity, lambda: made()[source.split])
    identity += [source.probe_length, _checksum(probes.__file__)]
    first = 1 if source.target_only else 0
    rows = partial(probes.pairs, task, source.probe_length)
    return Input(where, identity, lambda: (row[first:] for row in rows()[source.split]))


def _checksum(file: str | Path) -> str:
    """Checksum of the code and data from which a built-in corpus is made."""
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()


def _find_files(source: Source) -> Input:
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
    names = [value] if isinstance(value, str) else value
    if is_text and len(names) != len(source.sides):
        needed = 'a source file and a target file (["train.de", "train.en"]) for `text`'
        raise UserError(
            f"{setting} must be {needed if is_pair else 'one file for `text` and a language model'}, "
            f"but is {value!r} instead"
        )
    if not names:
        raise UserError(f"{setting} must name a file, but is empty instead")
    endings = [plain_name(name).rpartition(".")[2] for name in names]
    if is_text and is_pair and not source.reversed and endings == [*source.languages[::-1]]:
        raise UserError(
            f"{setting} must name the source file first, but is {value!r} and the source is {source.languages[0]}"
        )
    builder = BUILDERS[source.path]
    groups = [_expand(name, builder.suffixes, setting) for name in names]
    if builder.read is None:
        return _text_input(source, _side_by_side(groups, setting))
    paths = [path for group in groups for path in group]
    identity = [source.path, *source.fields, [_file_identity(path) for path in paths]]
    paths, where, read = [_again(path) for path in paths], _listing(paths), builder.read
    return Input(where, identity, lambda: (row for path in paths for row in read(path, source)))


def _expand(name: str, suffixes: Sequence[str], setting: str) -> list[Path]:
    """The files that a path, a folder or a pattern means, in the order of their names."""
    path = Path(name).expanduser()
    if path.is_dir():
        inside = [file for file in sorted(path.rglob("*")) if file.is_file() and not file.name.startswith(".")]
        found = [file for file in inside if not suffixes or Path(plain_name(str(file))).suffix.lower() in suffixes]
        what = f"the folder `{name}` has no file {' or '.join(suffixes)}"
    elif path.exists() or not re.search(r"[*?\[]", name):
        return [path]
    else:
        found = [file for file in map(Path, sorted(glob.glob(str(path), recursive=True))) if file.is_file()]
        what = f"no file matches `{name}`"
    if not found:
        raise UserError(f"{setting}: {what}")
    return found


def _side_by_side(groups: Sequence[list[Path]], setting: str) -> list[tuple[Path, ...]]:
    """The files of text that belong together: the first ones of each side, the second ones, and so on."""
    if len({len(group) for group in groups}) > 1:
        raise UserError(
            f"{setting} must have as many files for each side, but has {' and '.join(map(str, map(len, groups)))}"
        )
    together = list(zip(*groups, strict=True))
    for paths in together if len(together) > 1 else ():
        if len({tuple(re.findall(r"\d+", path.name)) for path in paths}) > 1:
            raise UserError(
                f"{setting}: {' and '.join(f'`{path}`' for path in paths)} are at the same place of the two sides, but "
                "have different numbers in their names"
            )
    return together


def _text_input(source: Source, files: Sequence[tuple[Path, ...]]) -> Input:
    """Plain text: a file for each side, or several."""
    identity = ["text", *source.sides, [_file_identity(path) for paths in files for path in paths]]
    again = [[_again(path) for path in paths] for paths in files]
    where = _listing([path for paths in files for path in paths])
    if source.target_only:
        return Input(where, identity, lambda: ((line,) for paths in again for line in iterate_chunks(paths[0])))
    return Input(where, identity, lambda: (pair for paths in again for pair in iterate_parallel(*paths)))


def _listing(paths: Sequence[Path]) -> str:
    shown = [f"`{path}`" for path in paths[:4]]
    return " and ".join(shown) if len(paths) <= 4 else f"{', '.join(shown[:3])} and {len(paths) - 3:,} more files"


def _find_in_folder(source: Source, folder: Path) -> Input:
    """A file for each side: `SPLIT.LANGUAGE` or `SPLIT.SOURCE-TARGET.LANGUAGE` (in either order), also compressed."""
    if source.score:
        raise UserError(f"`data.score` names a column, which the text files of `{folder}` do not have; leave it out")
    files = sorted(path.name for path in folder.iterdir() if path.is_file())

    def existing(stem: str) -> Path | None:
        return next(
            (folder / file for file in (stem, *(f"{stem}{suffix}" for suffix in COMPRESSED)) if file in files), None
        )

    for split in [source.split, "val", "valid", "dev"] if source.split == "validation" else [source.split]:
        for infix in ("", "{}-{}.".format(*source.languages), "{1}-{0}.".format(*source.languages)):
            found = [existing(f"{split}.{infix}{side}") for side in source.sides]
            paths = [path for path in found if path]
            if len(paths) == len(source.sides):
                return _text_input(source, [tuple(paths)])
    listing = ", ".join(files[:40]) + (f" and {len(files) - 40} more" if len(files) > 40 else "")
    wanted = " and ".join(f"`{source.split}.{side}`" for side in source.sides)
    settings = [source.setting(source.split_setting), *(["`data.source`"] if not source.target_only else [])]
    is_validation = source.split == "validation"
    raise UserError(
        f"`{folder}` has no file{'s' if not source.target_only else ''} {wanted} "
        f"({'also called val, valid or dev; ' if is_validation else ''}plain or .gz); "
        f"the files there are: {listing or 'none'}; set {', '.join(settings)} and `data.target`"
        f"{', or move some hundred lines of the training text into such files' if is_validation else ''}"
    )


def _find_saved(source: Source, folder: Path) -> Input:
    """A split of a folder written by `save_to_disk`; a single data set without a split name is the training split."""
    datasets.disable_progress_bars()
    try:
        loaded = datasets.load_from_disk(str(folder))
    except Exception as error:  # any exception of the library means that the folder is damaged
        raise UserError(f"`{folder}` cannot be read as a saved data set: {_one_line(error)}; save it again") from None
    if isinstance(loaded, datasets.Dataset):
        splits = {str(loaded.split or source.unnamed_split): loaded}
    else:
        splits, folder = loaded, folder / source.split
    if source.split not in splits:
        raise source.no_split(list(splits))
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return _dataset_input(splits[source.split], source, ["saved", *source.sides, [*map(_file_identity, files)]])


def _find_hub(source: Source) -> Input:
    """A split of a data set of the Hugging Face hub, which `datasets` downloads if it is not on this machine yet."""
    place = source.path, source.name or None, source.split
    identity: list[Any] = [*place, *source.sides]
    try:
        if source.streaming:
            loaded, origin = hub.open_stream(*place)
            identity = ["stream", *identity, *origin]
        else:
            loaded = hub.load_split(*place)
            identity = ["hub", *identity, loaded._fingerprint]
    except Exception as error:  # exceptions of the library, its builders and its network layer have no common class
        message = _one_line(error)
        if isinstance(error, ValueError) and (listing := re.search(r"split.*\[(.*)\]", message)):
            raise source.no_split(re.findall(r"'([^']*)'", listing[1])) from None
        raise UserError(
            f"`{source.path}` is no folder here{similar_path(source.path)} and cannot be loaded from the "
            f"Hugging Face hub: {message}; check the id ({source.setting('path')}, {source.setting('name')}) and the "
            "connection, or use local files"
        ) from None
    return _dataset_input(loaded, source, identity)


def _dataset_input(dataset: datasets.Dataset | datasets.IterableDataset, source: Source, identity: list[Any]) -> Input:
    where = f"`{source.path}` split `{source.split}`"
    ways = _find_fields(dataset.features.arrow_schema, f"`{source.path}`", source)
    columns = list(dict.fromkeys(way[0] for way in ways))

    def read() -> Iterator[Row]:
        tables = dataset.select_columns(columns).with_format("arrow").iter(batch_size=BATCH_ROWS)
        try:
            yield from _arrow_rows(tables, where, source, ways, dataset.features)
        except UserError:
            raise
        except Exception as error:  # those of Arrow, of the system, and of a stream's builder and network
            if isinstance(dataset, datasets.IterableDataset):
                raise UserError(f"the stream of {where} broke off: {_one_line(error)}; start again") from None
            raise UserError(f"{where} is damaged: {_one_line(error)}; save it again") from None

    return Input(where, identity, read)


def _fields(iterate: Callable[..., Iterator[Row]]) -> Callable[[Path, Source], Iterator[Row]]:
    """A reader for `BUILDERS`, of a function that reads the named fields of a file."""

    def read(path: Path, source: Source) -> Iterator[Row]:
        if source.target_only:  # a single side is read as both sides, and one of them is kept
            return (row[1:] for row in iterate(path, source.sides[0], source.sides[-1]))
        return iterate(path, *source.fields)

    return read


def _read_json(path: Path, source: Source) -> Iterator[Row]:
    return _fields(iterate_json if source.target_only else partial(iterate_json, kinds=source.kinds))(path, source)


def _read_npz(path: Path, source: Source) -> Iterator[Row]:
    return iterate_npz(path, source.sides, source.side_kinds)


def _iterate_parquet(path: Path, source: Source) -> Iterator[Row]:
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            ways = _find_fields(file.schema_arrow, f"`{path}`", source)
            columns = list(dict.fromkeys(way[0] for way in ways))
            yield from _arrow_rows(file.iter_batches(BATCH_ROWS, columns=columns), f"`{path}`", source, ways)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"`{path}` cannot be read as Parquet: {_one_line(error)}") from None


def _find_fields(schema: pa.Schema, where: str, source: Source) -> list[list[str]]:
    """The way to each field of a row: a column and fields inside it (`translation.de`, or `de` of `translation`)."""
    ways = [_way(schema, name) for name in source.fields]
    sides = source.sides
    if not all(ways[: len(sides)]):
        languages = [field.name for field in _inside(schema, "translation")]
        is_column = find_sides(where, schema.names, languages, sides[0], sides[-1])
        ways[: len(sides)] = [[side] if is_column else ["translation", side] for side in sides]
    if not all(ways):
        raise UserError(
            f"{where} has no column `{source.score}` (`data.score`); its columns are {listed(schema.names)}"
        )
    return ways


def _way(schema: pa.Schema, name: str) -> list[str]:
    """The way to a field; empty if it is not there."""
    if name in schema.names:
        return [name]
    way = name.split(".")
    fields: Iterable[pa.Field] = schema
    for part in way:
        found = next((own for own in fields if own.name == part), None)
        if found is None:
            return []
        fields = found.type if pa.types.is_struct(found.type) else ()
    return way


def _inside(schema: pa.Schema, column: str) -> Iterable[pa.Field]:
    is_struct = column in schema.names and pa.types.is_struct(schema.field(column).type)
    return schema.field(column).type if is_struct else ()


def _arrow_rows(
    tables: Iterable[pa.Table | pa.RecordBatch],
    where: str,
    source: Source,
    ways: Sequence[list[str]],
    features: Mapping[str, Any] | None = None,
) -> Iterator[Row]:
    """The rows of tables, by the ways of `_find_fields`; the features of a data set have the names of labels."""
    kinds = {name: getattr(feature, "feature", feature) for name, feature in (features or {}).items()}
    names = {name: kind.names for name, kind in kinds.items() if isinstance(kind, datasets.ClassLabel)}
    sides, row = source.sides, 0
    for table in tables:
        columns = [table.column(way[0]) for way in ways]
        columns = [
            pyarrow.compute.struct_field(column, way[1:]) if way[1:] else column
            for column, way in zip(columns, ways, strict=True)
        ]
        try:
            values = [column.to_pylist() for column in columns]
        except UnicodeDecodeError:  # a Parquet file may hold any bytes
            raise _broken_text(columns, where, row + 1) from None
        for texts in zip(*values, strict=True):
            row += 1
            place = f"{where} row {row}"
            more = map(score_text, texts[len(sides) :])
            read = (
                side_value(text, kind, place, side, names.get(side, ()))
                for text, kind, side in zip(texts, source.side_kinds, sides, strict=False)
            )
            yield (*read, *more)


def _broken_text(columns: list[Any], where: str, first_row: int) -> UserError:
    for row, values in enumerate(zip(*columns, strict=True), start=first_row):
        try:
            [value.as_py() for value in values]
        except UnicodeDecodeError:
            return UserError(f"{where} row {row} is not valid UTF-8; convert it to UTF-8")
    raise AssertionError("a column is broken but none of its values")


def _how_to_read(source: Source, path: Path) -> str:
    """Advice on what to write in the configuration instead of a single file's path, or how to make it readable."""
    suffix = Path(re.sub(r"\.(gz|bz2|xz|zst)$", "", path.name)).suffix.lower()
    for suffixes, (what, advice) in UNREADABLE.items():
        if suffix in suffixes:
            return f"{source.setting('path')}: `{path}` is {what}, which is not read here; {advice.format(path=path)}"
    builder = next((name for name, own in BUILDERS.items() if suffix in own.suffixes), "text")
    builder = "conll" if suffix in (".conll", ".conllu") else builder
    is_half = builder == "text" and not source.target_only
    files = f'["{path}", "TARGET FILE"]' if is_half else f'"{path}"'
    return (
        f"{source.setting('path')} must be a folder, a builder or a hub id, but is the file `{path}` instead; "
        f'write path = "{builder}" and files = {{{source.split} = {files}, ...}}'
    )


class Builder(NamedTuple):
    """A value of `data.path` that reads the files of `data.files`."""

    suffixes: tuple[str, ...]
    """The files of a folder that it reads; empty for all of them."""
    read: Callable[[Path, Source], Iterator[Row]] | None
    """Yields the rows of a file; None for plain text, which has a file for each side."""
    scored: bool = False
    """Whether its rows have a score as well, if `data.score` names a field."""


BUILDERS = {
    "json": Builder((".json", ".jsonl", ".ndjson"), _read_json, True),
    "csv": Builder((".csv",), _fields(iterate_csv), True),
    "tsv": Builder((".tsv", ".tab"), _fields(iterate_tsv), True),
    "parquet": Builder((".parquet",), _iterate_parquet, True),
    "text": Builder((), None),
    "conll": Builder((), _fields(iterate_conll)),
    "npz": Builder((".npz",), _read_npz),
}


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:297] + "..."


def _file_identity(path: Path) -> list[Any]:
    try:
        status = path.stat()
        if stat.S_ISFIFO(status.st_mode):
            return ["pipe", _copy_of_pipe(str(path), status.st_dev, status.st_ino)[1]]
    except OSError as error:
        raise UserError(f"`{path}` cannot be read: {error.strerror}") from None
    return [str(path.resolve()), status.st_size, status.st_mtime_ns]


def _again(path: Path) -> Path:
    """A file that can be read several times: for a pipe, a copy of it."""
    status = path.stat()
    if not stat.S_ISFIFO(status.st_mode):
        return path
    return Path(_copy_of_pipe(str(path), status.st_dev, status.st_ino)[0].name)


@cache
def _copy_of_pipe(path: str, device: int, inode: int) -> tuple[IO[bytes], str]:
    """A temporary file with the contents of a pipe, which can be read only once, and its checksum."""
    copy = tempfile.NamedTemporaryFile(prefix=f"nmt-{Path(path).name}-")  # noqa: SIM115 it is open until the end
    checksum = hashlib.sha256()
    with open(path, "rb") as pipe:
        while block := pipe.read(1 << 20):
            copy.write(block)
            checksum.update(block)
    copy.flush()
    return copy, checksum.hexdigest()
