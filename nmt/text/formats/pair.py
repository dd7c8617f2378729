"""The pairs that every reader yields, and the settings that it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple


class Pair(NamedTuple):
    """A sentence and its translation, as they are in the file."""

    source: str
    target: str
    place: str  # where it is in the file: `line 12`
    score: str = ""  # what the file says how good it is
    left_out: str = ""  # the reason, where the file itself says that the pair is of no use (a key of `READING_REASONS`)


READING_REASONS = {
    "untranslated": "without a translation",
    "unfinished": "fuzzy, or in a state before `translated` (--unfinished keeps them)",
    "obsolete": "obsolete: no longer used by the program",
    "broken": "rows with more fields than the first row",
}
"""Why a reader leaves pairs out."""


@dataclass(frozen=True)
class Reading:
    """The settings of reading files."""

    source: str = ""  # source language; empty if it is not known yet
    target: str = ""
    # The column or field of the source text: a name, a column letter, or names with dots between them.
    source_field: str = ""
    target_field: str = ""
    score_field: str = ""
    sheet: str = ""  # the sheet of a workbook; the first if empty
    encoding: str = ""  # the encoding of tables; found out if empty
    header: bool | None = None  # whether the first row of a table names its columns; found out if None
    unfinished: bool = False  # whether pairs are kept that are fuzzy or not in the state `translated` or a later one
    say: Callable[[str], None] = print  # takes lines for the user


@dataclass(frozen=True)
class Format:
    """A format of files with translations. Each module of this folder lists its own as `FORMATS`."""

    name: str
    suffixes: tuple[str, ...]
    read: Callable[[str, Reading], Iterator[Pair]]
    languages: Callable[[str, Reading], list[str]]  # finds the languages that a file names, the source first
