"""Workbooks of Excel (xlsx); macros and links are never looked at."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator
from typing import Any

from nmt.errors import UserError
from nmt.text.files import open_plain
from nmt.text.formats.pair import Pair, Reading, needs
from nmt.text.formats.table import Row, header_languages, pairs_of_rows

MOST = 1 << 30
"""Bytes of a workbook at most when unpacked: more may be a decompression bomb."""


def languages(path: str) -> list[str]:
    """The two languages that the first row names."""
    return header_languages(next((row for _, row in _rows(path, "")), []))


def read(path: str, reading: Reading) -> Iterator[Pair]:
    """The pairs of a sheet."""
    yield from pairs_of_rows(_rows(path, reading.sheet), reading, f"`{path}`")


def _rows(path: str, sheet: str) -> Iterator[Row]:
    try:
        import defusedxml.ElementTree  # noqa: F401 openpyxl reads XML with it if it is there
        import openpyxl
    except ImportError as error:
        raise needs(str(error.name).partition(".")[0], f"`{path}`") from None
    try:
        with open_plain(path) as file:
            with zipfile.ZipFile(file) as archive:
                size = sum(member.file_size for member in archive.infolist())
            if size > MOST:
                raise UserError(f"`{path}` unpacks to {size:,} bytes, but a workbook may have at most {MOST:,}")
            with warnings.catch_warnings(action="ignore"):  # what the library does not know is no text
                book = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
            chosen = _sheet(book, sheet, path)
            chosen.reset_dimensions()  # what programs write there is often wrong
            for number, row in enumerate(chosen.iter_rows(values_only=True), start=1):
                yield f"row {number}", [_text(value) for value in row]
    except (UserError, GeneratorExit):
        raise
    except Exception as error:  # whatever the library stumbles over, the file is damaged
        what = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"`{path}` cannot be read as a workbook (xlsx): {what[:200]}") from None


def _sheet(book: Any, name: str, path: str) -> Any:
    if not name:
        return book.worksheets[0]
    if name not in book.sheetnames:
        raise UserError(f"`{path}` has no sheet `{name}` (--sheet); its sheets are {', '.join(book.sheetnames)}")
    return book[name]


def _text(value: object) -> str:
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
