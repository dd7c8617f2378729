"""The building blocks of a report, independent of its format: sections, paragraphs, tables, figures and examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from nmt.report.words import Span


@dataclass
class Paragraph:
    text: str


@dataclass
class Table:
    """A table with a header row; columns of numbers are aligned to the right."""

    head: Sequence[str]
    rows: list[list[str]]
    numbers: Sequence[int] = ()
    """The columns that hold numbers, counted from 0."""


@dataclass
class Figure:
    """A chart; its numbers are also in a table or in `report.json`."""

    svg: str
    caption: str = ""
    wide: bool = False
    """Whether it keeps its size and can be scrolled, instead of being scaled to the width of the text."""


@dataclass
class Example:
    """One sentence: its source, references and hypothesis, with the differences marked."""

    number: int
    """Line number in the test set, counted from 1."""
    scores: str
    rows: list[tuple[str, list[Span]]]


@dataclass
class Code:
    """Commands, or other text that readers copy."""

    text: str


Block = Paragraph | Table | Figure | Example | Code


@dataclass
class Section:
    """A part of the report under a heading."""

    title: str
    blocks: list[Block]
    command: str | None = None
    """The command that made the numbers of the section; None: the command that made the document."""

    @property
    def anchor(self) -> str:
        """The heading as an anchor for links within the page."""
        return "".join(character if character.isalnum() else "-" for character in self.title.lower()).strip("-")


def section(title: str, *blocks: Block | str, command: str | None = None) -> Section:
    """A section of blocks; a text becomes a paragraph."""
    return Section(title, [Paragraph(block) if isinstance(block, str) else block for block in blocks], command)


@dataclass
class Document:
    """A whole report, ready to be written in any format."""

    title: str
    subtitle: str
    headline: list[tuple[str, str, str]]
    """The figures shown in large type: name, value, small print."""
    sections: list[Section] = field(default_factory=list)
