"""What every reader yields, and what it has to be told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from nmt.errors import UserError, how_to_install


class Pair(NamedTuple):
    """A sentence and its translation, as they are in the file."""

    source: str
    target: str
    place: str
    """Where it is in the file: `line 12`."""
    score: str = ""
    """What the file says how good it is."""
    left_out: str = ""
    """The reason, where the file itself says that the pair is of no use (a key of `READING_REASONS`)."""


READING_REASONS = {
    "untranslated": "without a translation",
    "unfinished": "fuzzy, or in a state before `translated` (--unfinished keeps them)",
    "obsolete": "obsolete: no longer used by the program",
    "broken": "rows with more fields than the first row",
}
"""Why a reader leaves pairs out."""


@dataclass(frozen=True)
class Reading:
    """What is read from the files."""

    source: str = ""
    """Source language; empty if it is not known yet."""
    target: str = ""
    source_field: str = ""
    """The column or field of the source text: a name, a column letter, or names with dots between them."""
    target_field: str = ""
    score_field: str = ""
    sheet: str = ""
    """The sheet of a workbook; the first if empty."""
    encoding: str = ""
    """The encoding of tables; found out if empty."""
    header: bool | None = None
    """Whether the first row of a table names its columns; found out if None."""
    unfinished: bool = False
    """Whether pairs are kept that are fuzzy or not in the state `translated` or a later one."""
    say: Callable[[str], None] = print
    """Takes lines for the user."""


def needs(library: str, what: str) -> UserError:
    """The mistake of reading a format whose library is not installed."""
    return UserError(f"{what} needs {library}, which is not installed: {how_to_install('[import]')}")
