"""Workbooks of Excel (xlsx); macros and links are never looked at."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator
from typing import Any

from nmt.errors import UserError, imported
from nmt.text.files import open_plain
from nmt.text.formats.pair import Format, Pair, Reading
from nmt.text.formats.table import Row, header_languages, pairs_of_rows

MOST = 1 << 30  # bytes of a workbook at most when unpacked: more may be a decompression bomb


def languages(path: str, reading: Reading) -> list[str]:
    """The languages that name columns."""
    return header_languages(_rows(path, reading))


def read(path: str, reading: Reading) -> Iterator[Pair]:
    """The pairs of a sheet."""
    yield from pairs_of_rows(_rows(path, reading), reading, f"`{path}`")


def _rows(path: str, reading: Reading) -> Iterator[Row]:
    # openpyxl reads XML with it if it is there
    imported("defusedxml.ElementTree", f"`{path}` needs defusedxml", "[import]")
    openpyxl = imported("openpyxl", f"`{path}` needs openpyxl", "[import]")
    from openpyxl.cell.cell import ERROR_CODES
    from openpyxl.utils.escape import unescape

    try:
        with open_plain(path) as file:
            with zipfile.ZipFile(file) as archive:
                size = sum(member.file_size for member in archive.infolist())
            if size > MOST:
                raise UserError(f"`{path}` unpacks to {size:,} bytes, but a workbook may have at most {MOST:,}")
            with warnings.catch_warnings(action="ignore"):  # about unknown parts, which have no text
                book = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
            chosen = _sheet(book, path, reading)
            chosen.reset_dimensions()  # what programs write there is often wrong
            for number, row in enumerate(chosen.iter_rows(values_only=True), start=1):
                texts = map(_text, row)
                yield f"row {number}", ["" if text in ERROR_CODES else unescape(text) for text in texts]
    except (UserError, GeneratorExit):
        raise
    except Exception as error:  # any exception of the library means that the file is damaged
        what = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"`{path}` cannot be read as a workbook (xlsx): {what[:200]}") from None


def _sheet(book: Any, path: str, reading: Reading) -> Any:
    """The sheet that is asked for, or the first one; then the others are named."""
    sheets = {sheet.title: sheet for sheet in book.worksheets}
    chosen = reading.sheet or next(iter(sheets), "")
    if chosen not in sheets:
        what = f"no sheet `{chosen}` (--sheet); its sheets are {', '.join(sheets)}" if sheets else "no sheet with cells"
        raise UserError(f"`{path}` has {what}")
    if not reading.sheet and len(sheets) > 1:
        others = ", ".join(list(sheets)[1:])
        reading.say(f"`{path}`: the first sheet, `{chosen}`, is read; --sheet reads another: {others}")
    return sheets[chosen]


def _text(value: object) -> str:
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


FORMATS = (Format("xlsx", (".xlsx", ".xlsm"), read, languages),)
