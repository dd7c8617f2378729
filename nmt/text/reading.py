"""Reading files of parallel text line by line: plain text, JSON, CSV and TSV. Standard library only.

Every file may be compressed and, with a byte order mark, in UTF-16 (`nmt.text.files`). Only LF ends a line, so U+2028,
NEL and a lone CR stay in the text; the CR of a CRLF line end and a byte order mark at the start of a file are dropped.
Every problem with a file becomes one UserError that names the file and the line.
"""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nmt.config.tasks import SideKind
from nmt.errors import UserError, listed
from nmt.text.files import open_text, readable
from nmt.text.vectors import vectors_of

LONGEST_LINE = 1 << 24  # maximum number of bytes of a line; a longer one may be a decompression bomb

CHUNK = 1 << 16  # maximum number of bytes of a line of running text; a longer one becomes several lines


def read_lines(path: str | Path) -> list[str]:
    """All lines of a UTF-8 text file, without their line ends."""
    return list(iterate_lines(path))


def read_parallel(paths: Sequence[str | Path]) -> list[list[str]]:
    """The lines of several line-aligned files, one list per file. Raises UserError when their numbers differ."""
    files = [read_lines(path) for path in paths]
    _check_aligned(paths, [len(lines) for lines in files])
    return files


def iterate_lines(path: str | Path, longest: int = LONGEST_LINE) -> Iterator[str]:
    """Iterate over the lines of a UTF-8 text file, so that its size does not matter.

    longest: bytes of a line at most, beyond which UserError is raised
    """
    for number, line in enumerate(iterate_bytes(path, longest=longest), start=1):
        yield _decode(path, number, _without_end(line))


def iterate_chunks(path: str | Path) -> Iterator[str]:
    """Iterate over the lines of a text file; a line of more than 64 KiB becomes several.

    It is cut at a space, or between two characters where there is none.
    """
    number, rest = 1, b""
    for piece in _pieces(path):
        is_end = piece.endswith(b"\n")
        rest += piece
        while len(rest) > CHUNK:
            end = _end_of_chunk(rest)
            yield _decode(path, number, rest[:end])
            rest = rest[end:].removeprefix(b" ")
        if is_end:
            yield _decode(path, number, _without_end(rest))
            number, rest = number + 1, b""
    if rest:
        yield _decode(path, number, rest)


def chunks(text: str) -> Iterator[str]:
    """A text as parts of at most 64 KiB, cut as by `iterate_chunks`; most texts have one part."""
    if len(text) * 4 <= CHUNK or len(rest := text.encode("utf-8")) <= CHUNK:
        yield text
        return
    while len(rest) > CHUNK:
        end = _end_of_chunk(rest)
        yield rest[:end].decode("utf-8")
        rest = rest[end:].removeprefix(b" ")
    yield rest.decode("utf-8")


def _end_of_chunk(text: bytes) -> int:
    """The end of a chunk of a longer text: the last space of its second half, or otherwise between two characters."""
    end = text.rfind(b" ", CHUNK // 2, CHUNK)
    if end < 0:
        end = CHUNK
        while end > CHUNK - 4 and text[end] & 0xC0 == 0x80:  # inside a character
            end -= 1
    return end


def _without_end(line: bytes) -> bytes:
    return line[:-2] if line.endswith(b"\r\n") else line.removesuffix(b"\n")


def _decode(path: str | Path, number: int, line: bytes) -> str:
    if b"\0" in line:
        raise UserError(f"`{path}` line {number} is no text: its byte {line.index(0) + 1} is NUL, which no text has")
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"`{path}` line {number} is not valid UTF-8: its byte {error.start + 1} is "
            f"0x{line[error.start]:02x}; convert the file to UTF-8"
        ) from None


def iterate_bytes(path: str | Path, what: str = "", longest: int = LONGEST_LINE) -> Iterator[bytes]:
    """The lines of a file with their ends, undecoded; `what` is put before the path in errors."""
    for number, line in enumerate(_pieces(path, what, longest + 1), start=1):
        if len(line) > longest:
            raise UserError(f"{what}`{path}` line {number} is longer than {longest:,} bytes; break it into lines")
        yield line


def _pieces(path: str | Path, what: str = "", size: int = CHUNK) -> Iterator[bytes]:
    """The lines of a file; a line of more than `size` bytes comes in parts."""
    with readable(path, what), open_text(str(path), f"{what}`{path}`") as file:
        while line := file.readline(size):
            yield line


def iterate_parallel(source: str | Path, target: str | Path) -> Iterator[tuple[str, str]]:
    """Pairs of line N of both files. Raises UserError when one file is longer."""
    sources, targets = iterate_lines(source), iterate_lines(target)
    for number, (one, other) in enumerate(itertools.zip_longest(sources, targets)):
        if one is None or other is None:
            longer = number + 1 + sum(1 for _ in itertools.chain(sources, targets))
            _check_aligned([source, target], [number, longer] if one is None else [longer, number])
        yield one, other


def iterate_json(
    path: str | Path, source: str, target: str, score: str = "", kinds: Sequence[SideKind] = ("text", "text")
) -> Iterator[tuple[Any, ...]]:
    """Pairs of a file of JSON objects (`iterate_records`), with their scores if `score` names a field.

    An object has the two sides as its fields `source` and `target`, which may be inside other ones (`translation.de`),
    or inside its field `translation`.

    kinds: how each side is read (`side_value`)
    """
    for place, record in iterate_records(path):
        where = f"`{path}` {place}"
        texts = [field_value(record, side) for side in (source, target)]
        if MISSING in texts:
            translation = record.get("translation")
            languages = list(translation) if isinstance(translation, dict) else []
            sides = record if find_sides(where, list(record), languages, source, target) else record["translation"]
            texts = [sides[source], sides[target]]
        row = tuple(
            side_value(value, kind, where, side)
            for value, kind, side in zip(texts, kinds, (source, target), strict=True)
        )
        yield (*row, score_text(field_value(record, score))) if score else row


MISSING = object()  # the value of a field that is not there


def field_value(record: Any, name: str) -> Any:
    """The value of a field; one inside another has a name with a dot. MISSING if it is not there."""
    if isinstance(record, dict) and name in record:
        return record[name]
    for part in name.split("."):
        if not isinstance(record, dict) or part not in record:
            return MISSING
        record = record[part]
    return record


def score_text(value: Any) -> str:
    """A score as text; empty if it is missing."""
    return "" if value is None or value is MISSING else str(value)


def iterate_records(path: str | Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a file with a JSON object a line (blank lines are skipped) or a JSON array, and their places."""
    lines = iterate_lines(path, sys.maxsize - 1)  # a whole array may be in one line
    head = _head(lines)
    lines = itertools.chain(head, lines)
    is_array = bool(head) and head[-1].lstrip().startswith("[")
    for place, record in _json_array(path, lines) if is_array else _json_lines(path, lines):
        if not isinstance(record, dict):
            raise UserError(f"`{path}` {place} must be a JSON object, but is {_shorten(record)} instead")
        yield place, record


NO_PARTS = "; each line must be a whole object, or the file must be one array of objects"
"""What to do about an object of several lines."""


def _json_lines(path: str | Path, lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                record = json.loads(line)
            except json.JSONDecodeError as error:
                is_part = error.pos == len(line)
                raise _invalid_json(path, number, error, NO_PARTS if is_part else "") from None
            except (ValueError, RecursionError) as error:  # numbers of thousands of digits, nested brackets
                raise UserError(f"`{path}` line {number} is not valid JSON: {error}") from None
            yield f"line {number}", record


def _json_array(path: str | Path, lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    try:
        records = json.loads("\n".join(lines))
    except json.JSONDecodeError as error:
        raise _invalid_json(path, error.lineno, error) from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"`{path}` is not valid JSON: {error}") from None
    for number, record in enumerate(records, start=1):
        yield f"record {number}", record


def _invalid_json(path: str | Path, line: int, error: json.JSONDecodeError, hint: str = "") -> UserError:
    return UserError(f"`{path}` line {line} is not valid JSON: {error.msg} at column {error.colno}{hint}")


def iterate_csv(path: str | Path, source: str, target: str, score: str = "") -> Iterator[tuple[str, ...]]:
    """Pairs of a CSV file (RFC 4180 with double quotes) whose first line names the columns.

    The delimiter is a comma, a semicolon, a tab or |, by the first line. Blank lines are skipped. An error names the
    line on which its row starts.
    """
    lines = (line + "\n" for line in iterate_lines(path))
    head = _head(lines)
    skipped = 0
    if head and (declared := re.fullmatch(r"sep=(.)\n", head[-1])):  # as Excel writes it
        delimiter, skipped, head = declared[1], len(head), []
    else:
        delimiter = next((mark for mark in ",;\t|" if {source, target}.issubset(_columns(head, mark))), ",")
    reader = csv.reader(itertools.chain(head, lines), delimiter=delimiter, strict=True)
    return _iterate_table(path, csv_rows(path, reader, skipped), source, target, score)


def csv_rows(path: str | Path, reader: Any, skipped: int, advice: str = "") -> Iterator[tuple[int, list[str]]]:
    """The rows of a reader of the module `csv`, and the lines on which they start.

    skipped: lines of the file before those that the reader gets
    advice: the end of the error for a row that is not valid
    """
    while True:
        number = reader.line_num + 1 + skipped
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            what = str(error).partition(" - ")[0]
            raise UserError(f"`{path}` line {number} is not valid CSV: {what}{advice}") from None
        yield number, row


def _columns(head: Sequence[str], delimiter: str) -> list[str]:
    """The columns that the last of some lines names; none if it is not valid CSV, or if there is no line."""
    with contextlib.suppress(csv.Error):
        return next(csv.reader(head[-1:], delimiter=delimiter), [])
    return []


def _head(lines: Iterator[str]) -> list[str]:
    """The first lines, up to one that is not blank."""
    head = []
    for line in lines:
        head.append(line)
        if line.strip():
            break
    return head


def iterate_tsv(path: str | Path, source: str, target: str, score: str = "") -> Iterator[tuple[str, ...]]:
    """Pairs of a TSV file whose first line names the columns; quotation marks are text, blank lines are skipped."""
    rows = ((number, line.split("\t") if line else []) for number, line in enumerate(iterate_lines(path), start=1))
    return _iterate_table(path, rows, source, target, score)


def _iterate_table(
    path: str | Path, rows: Iterator[tuple[int, list[str]]], source: str, target: str, score: str
) -> Iterator[tuple[str, ...]]:
    columns = next((row for _, row in rows if row), [])
    if not columns:
        return
    find_sides(f"`{path}`", columns, [], source, target, "; its first line must name the columns")
    if score and score not in columns:
        raise UserError(f"`{path}` has no column `{score}` (`data.score`); its columns are {listed(columns)}")
    first, second = columns.index(source), columns.index(target)
    third = columns.index(score) if score else None
    for number, row in rows:
        if not row:
            continue
        if len(row) != len(columns):
            raise UserError(f"`{path}` line {number} must have {len(columns)} fields, but has {len(row)} instead")
        where = f"`{path}` line {number}"
        pair = clean_text(row[first], where, source), clean_text(row[second], where, target)
        yield pair if third is None else (*pair, row[third])


def find_sides(
    where: str, columns: Sequence[str], languages: Sequence[str], source: str, target: str, hint: str = ""
) -> bool:
    """Whether the two sides are columns, or languages of the column `translation`; raises UserError for neither."""
    if source in columns and target in columns:
        return True
    if source in languages and target in languages:
        return False
    sides = list(dict.fromkeys((source, target)))  # a language model asks for one side only
    missing = [name for name in sides if name not in columns and name not in languages] or sides
    settings = "`data.source` and `data.target`" if len(sides) == 2 else "`data.target`"
    inside = f" (the languages of `translation` are {listed(languages)})" if languages else ""
    raise UserError(
        f"{where} has no column {' and no column '.join(f'`{name}`' for name in missing)}; "
        f"its columns are {listed(columns)}{inside}{hint}; set {settings}"
    )


def clean_text(value: object, where: str, column: str) -> str:
    """The text of one side as one line: a line end inside it becomes a space. Raises UserError if it is not text."""
    if not isinstance(value, str):
        raise UserError(f"{where}: `{column}` must be a text, but is {_shorten(value)} instead")
    if not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:  # JSON can contain half of a surrogate pair
            raise UserError(
                f"{where}: `{column}` must be a text, but holds \\u{ord(value[error.start]):04x}, half of a character"
            ) from None
    return value.replace("\r\n", " ").replace("\n", " ") if "\n" in value else value


def side_value(value: object, kind: SideKind, where: str, column: str, names: Sequence[str] = ()) -> Any:
    """One side of a row: a text, or vectors; `names` are those of the labels 0, 1, ... Raises UserError."""
    if kind in ("vectors", "vector"):
        return vectors_of(value, f"{where}: `{column}`", kind)
    return clean_text(value_text(value, names) if kind == "value" else value, where, column)


def value_text(value: object, names: Sequence[str] = ()) -> object:
    """A number, a truth value, or a list of texts and numbers (joined by spaces) as text; other values unchanged."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return names[value] if 0 <= value < len(names) else str(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, list):
        parts = [value_text(part, names) for part in value]
        if all(isinstance(part, str) and part.strip() for part in parts):
            return " ".join("_".join(str(part).split()) for part in parts)
    return value


def _shorten(value: object) -> str:
    text = "null" if value is None else repr(value)
    return text if len(text) <= 50 else text[:47] + "..."


def _check_aligned(paths: Sequence[str | Path], counts: Sequence[int]) -> None:
    for path, count in zip(paths, counts, strict=True):
        if count != counts[0]:
            raise UserError(
                f"`{paths[0]}` has {counts[0]} lines but `{path}` has {count}; parallel files must be line-aligned"
            )
