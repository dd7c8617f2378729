"""Tables: finds the columns of the two sides, and the delimiter and the encoding of CSV and TSV files."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from nmt.errors import UserError, listed
from nmt.text.files import open_plain, readable, unmarked_encoding
from nmt.text.formats.languages import NAMES, are_turned, base, is_code, is_language, normal_code
from nmt.text.formats.pair import Format, Pair, Reading
from nmt.text.reading import LONGEST_LINE, csv_rows

Row = tuple[str, list[str]]  # the place of a row (`line 12`) and its fields

LOOKED_AT = 200  # rows that are looked at to find the columns
# Rows among which the one is that names the columns; a title and notes may be above it. Blank rows do not count.
HEADER_WITHIN = 20
NO_LANGUAGES = ("id", "nr")  # names of columns of numbers that are also codes of languages
SAMPLE = 1 << 16  # characters that are looked at to find the delimiter
HEAD = 4096  # bytes that are looked at to find UTF-16 without a byte order mark
DELIMITERS = "\t;,|"  # the first one is taken if several fit equally well
CODE_PAGES = {
    "cp1250": "cs hr hu pl ro sk sl bs sq",
    "cp1251": "be bg kk mk ru sr uk",
    "cp1253": "el",
    "cp1254": "tr az",
    "cp1255": "he",
    "cp1256": "ar fa ur",
    "cp1257": "et lt lv",
    "cp1258": "vi",
    "cp874": "th",
    "cp932": "ja",
    "cp949": "ko",
    "gb18030": "zh",
}
"""The encoding in which Excel writes the text of a language where it does not write UTF-8; of all others cp1252."""


@dataclass(frozen=True)
class Columns:
    """Which columns of a table are read."""

    source: int
    target: int
    score: int | None = None
    has_header: bool = False


def languages(path: str, reading: Reading) -> list[str]:
    """The languages that name columns, in their order."""
    return header_languages(iterate_rows(path, reading))


def header_languages(rows: Iterable[Row]) -> list[str]:
    """The languages in the first row that names two or more; `No` is a number where that leaves two."""
    for number, (_, row) in enumerate(itertools.islice(_with_text(rows), HEADER_WITHIN)):
        found = list(dict.fromkeys(normal_code(cell) for cell in row if is_code(cell)))
        found = [code for code in found if code not in NO_LANGUAGES and (base(code) in NAMES or number == 0)]
        if len(found) > 1:
            return [code for code in found if code != "no" or len(found) == 2]
    return []


def _with_text(rows: Iterable[Row]) -> Iterator[Row]:
    """The rows that are not blank."""
    return (row for row in rows if any(map(str.strip, row[1])))


def read(path: str, reading: Reading) -> Iterator[Pair]:
    yield from pairs_of_rows(iterate_rows(path, reading), reading, f"`{path}`", is_rectangular=True)


def pairs_of_rows(rows: Iterator[Row], reading: Reading, where: str, is_rectangular: bool = False) -> Iterator[Pair]:
    """The pairs of any table; says which columns are read where that was not clear.

    is_rectangular: whether a row with more fields than most rows is broken
    """
    head = list(itertools.islice(_with_text(rows), LOOKED_AT))
    if not head:
        return
    if above := _rows_above_header([row for _, row in head[:HEADER_WITHIN]], reading):
        head = head[above:]
        reading.say(f"{where}: {head[0][0]} names the columns; the rows above it are left out")
    widths = [len(row) for _, row in head]
    width = Counter(widths).most_common(1)[0][0] if is_rectangular else max(widths)
    columns = find_columns([row + [""] * (width - len(row)) for _, row in head], reading, where)
    last = max(columns.source, columns.target, -1 if columns.score is None else columns.score)
    for place, row in itertools.chain(head[columns.has_header :], rows):
        if len(row) <= last:
            row = row + [""] * (last + 1 - len(row))
        score = "" if columns.score is None else row[columns.score]
        broken = "broken" if is_rectangular and len(row) > width and any(row[width:]) else ""
        if broken or any(row):
            yield Pair(row[columns.source], row[columns.target], place, score, broken)


def _rows_above_header(rows: Sequence[Sequence[str]], reading: Reading) -> int:
    """The number of the rows above the one that certainly names the columns; 0 if there is none."""
    asked = [field for field in (reading.source_field, reading.target_field) if field]
    for number, row in enumerate(rows if reading.header is not False else ()):
        names = [cell.strip() for cell in row]
        is_header = all(_named(names, field) is not None for field in asked)
        if is_header if asked else _named_after_languages(names, reading):
            return number
    return 0


def find_columns(head: Sequence[Sequence[str]], reading: Reading, where: str) -> Columns:
    """The columns of the sides: those that are asked for, those named after the languages, or the two longest."""
    names = [name.strip() for name in head[0]]
    score = _asked(names, reading.score_field, where, "--score-field") if reading.score_field else None
    if reading.source_field or reading.target_field:
        if not (reading.source_field and reading.target_field):
            raise UserError(f"{where}: set both --source-field and --target-field, or neither")
        source = _asked(names, reading.source_field, where, "--source-field")
        target = _asked(names, reading.target_field, where, "--target-field")
        asked = [name for name in (reading.source_field, reading.target_field) if _named(names, name) is not None]
        has_header = bool(asked) if reading.header is None else reading.header
        return Columns(source, target, score, has_header)
    if (named := _named_after_languages(names, reading)) and reading.header is not False:
        return Columns(*named, score, True)
    return _longest(head, reading, where, score)


def _asked(names: list[str], name: str, where: str, option: str) -> int:
    found = _named(names, name)
    if found is None and re.fullmatch("[A-Za-z]{1,2}", name):
        found = next((i for i in range(len(names)) if _letter(i) == name.upper()), None)
    if found is None:
        columns = listed([f"{_letter(i)} `{name[:34]}`" for i, name in enumerate(names)])
        raise UserError(f"{where} has no column `{name}` ({option}); its columns are {columns}")
    return found


def _named(names: list[str], name: str) -> int | None:
    return next((i for i, own in enumerate(names) if own.lower() == name.lower()), None)


def _letter(column: int) -> str:
    """The name of a column in a spreadsheet: A, B, ..., Z, AA."""
    name = ""
    while column >= 0:
        name = chr(ord("A") + column % 26) + name
        column = column // 26 - 1
    return name


def _named_after_languages(names: list[str], reading: Reading) -> tuple[int, int] | None:
    for wanted in ((reading.source, reading.target), ("source", "target")):
        found = [[i for i, name in enumerate(names) if is_language(name, side)] for side in wanted]
        if found[0] and found[1]:
            return found[0][0], found[1][0]
    return None


def _longest(head: Sequence[Sequence[str]], reading: Reading, where: str, score: int | None) -> Columns:
    """The two columns with the most letters in different words, as notes repeat theirs.

    They are in the order of the file unless their words show another one. The first row is a header where it is much
    shorter than the rest.
    """
    width = len(head[0])
    body = [row for row in head[1:] if len(row) >= width] or list(head)
    words_of = [{word for row in body for word in row[i].casefold().split()} for i in range(width)]
    letters = [sum(sum(map(str.isalpha, word)) for word in words) for words in words_of]
    if sum(count > 0 for count in letters) < 2:
        raise UserError(f"{where} has no two columns of text; its first row is {' | '.join(head[0])[:80]!r}")
    source, target = sorted(sorted(range(width), key=lambda i: -letters[i])[:2])
    if are_turned(words_of[source], words_of[target], (reading.source, reading.target)):
        source, target = target, source
    chosen = (source, target)
    has_header = reading.header
    if has_header is None:
        from statistics import median  # with its own imports 4 ms, which `translate` does not need

        words = [median(len(row[i].split()) for row in body) for i in chosen]
        has_header = (
            len(head) > 1
            and min(words) > 2
            and all(len(head[0][i].split()) <= 2 and not re.search(r"[.!?]\s*$", head[0][i]) for i in chosen)
        )
    first = next((row for row in body if row[source].strip() and row[target].strip()), body[0])
    reading.say(
        f"{where}: column {_letter(source)} ({first[source][:30]!r}) is read as {reading.source} and column "
        f"{_letter(target)} ({first[target][:30]!r}) as {reading.target}, "
        f"{'without the' if has_header else 'with its'} first row; "
        "--source-field, --target-field and --header change that"
    )
    return Columns(source, target, score, has_header)


def iterate_rows(path: str, reading: Reading) -> Iterator[Row]:
    encoding = find_encoding(path, reading)
    errors = "replace" if encoding == "utf-8-sig" else "strict"
    try:
        with readable(path), io.TextIOWrapper(open_plain(path), encoding, errors, newline="") as file:
            sample = file.read(SAMPLE)
        with readable(path), io.TextIOWrapper(open_plain(path), encoding, errors, newline="") as file:
            if "\0" in sample:
                raise UserError(f"`{path}` is no text: it has NUL characters; save it as CSV in UTF-8")
            delimiter, has_quotes = find_delimiter(sample, path)
            skipped = sample.startswith("sep=")
            if skipped:
                file.readline(SAMPLE)
            lines = iter(lambda: file.readline(LONGEST_LINE), "")
            reader = csv.reader(lines, delimiter=delimiter, quoting=_quoting(has_quotes), strict=has_quotes)
            for number, row in csv_rows(path, reader, skipped, " (quotation marks?)"):
                yield f"line {number}", row
    except UnicodeDecodeError as error:
        raise UserError(f"`{path}` is not valid {encoding}: {error.reason}; set --encoding") from None
    except LookupError:
        raise UserError(f"--encoding `{encoding}` is not known; write utf-8, cp1252, ...") from None


def find_encoding(path: str, reading: Reading) -> str:
    """The encoding that is asked for, UTF-16 or UTF-8, or else the code page of the languages, which is said.

    UTF-8 may have mistakes, which are said as well: far fewer than characters that are no ASCII.
    """
    if reading.encoding:
        return "utf-8-sig" if reading.encoding.lower() in ("utf-8", "utf8") else reading.encoding
    foreign = broken = 0
    with readable(path), open_plain(path) as file:
        head = file.peek(HEAD)[:HEAD]
        if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return "utf-16"
        if encoding := unmarked_encoding(head):
            return encoding
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while block := file.read(1 << 20):
            if not (text := decoder.decode(block)).isascii():
                foreign += len(text) - len(text.encode("ascii", "ignore"))
                broken += text.count("\ufffd")
        broken += len(decoder.decode(b"", final=True))
    if 10 * broken <= foreign:
        if broken:
            reading.say(f"`{path}`: {broken:,} of its characters are not valid UTF-8; each is read as \ufffd")
        return "utf-8-sig"
    own = {base(reading.source), base(reading.target)}
    encoding = next((page for page, codes in CODE_PAGES.items() if own & set(codes.split())), "cp1252")
    reading.say(f"`{path}` is not UTF-8 and is read as {encoding}; --encoding changes that")
    return encoding


def _quoting(has_quotes: bool) -> Literal[0, 3]:
    return csv.QUOTE_MINIMAL if has_quotes else csv.QUOTE_NONE


def find_delimiter(sample: str, path: str) -> tuple[str, bool]:
    """The delimiter, and whether quotation marks enclose fields.

    The delimiter is the one that gives most rows the same number of fields, of at least two; of those that fit equally
    well, the one that is next to most quotation marks. With tabs, quotation marks
    are text unless one inside a field is doubled, as Excel does it.
    """
    if declared := re.match(r"sep=(.)\r?\n", sample):
        return declared[1], True
    lines = sample.splitlines(keepends=True)
    if len(sample) >= SAMPLE:
        lines = lines[:-1] or lines
    best, best_fit = "", (0.0, 0)
    for delimiter in DELIMITERS:
        quoting = _quoting(delimiter != "\t")
        try:
            widths = [len(row) for row in csv.reader(lines, delimiter=delimiter, quoting=quoting) if row]
        except csv.Error:
            continue
        width, count = Counter(widths).most_common(1)[0] if widths else (0, 0)
        at_quotes = sample.count(f'{delimiter}"') + sample.count(f'"{delimiter}')
        if delimiter == "\t":  # no sentence has one
            at_quotes = len(sample)
        if width > 1 and (fit := (count / len(widths), at_quotes)) > best_fit:
            best, best_fit = delimiter, fit
    if not best and sample.strip():
        raise UserError(f"`{path}` has no columns: none of tab, semicolon, comma and | separates its first lines")
    quoted = re.finditer(r'(?:^|\t)"((?:[^"\t]|"")*+)"(?=\t|\r?$)', sample, re.M)
    return best or ",", best != "\t" or any('""' in field[1] for field in quoted)


FORMATS = (Format("table", (".csv", ".tsv", ".tab"), read, languages),)
