"""What a report is made of: sections of paragraphs, tables, figures and examples, the same for every format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from nmt.report.words import Span


@dataclass
class Paragraph:
    """Text."""

    text: str


@dataclass
class Table:
    """Rows under a head; columns of numbers stand to the right."""

    head: Sequence[str]
    rows: list[list[str]]
    numbers: Sequence[int] = ()
    """Columns of numbers, from 0."""


@dataclass
class Figure:
    """A drawing; the numbers in it stand in a table, too, or in `report.json`."""

    svg: str
    caption: str = ""
    wide: bool = False
    """Whether it keeps its size and is scrolled, instead of being as wide as the text."""


@dataclass
class Example:
    """One sentence: its source, references and hypothesis, with what differs marked."""

    number: int
    """Line of the test set, from 1."""
    scores: str
    rows: list[tuple[str, list[Span]]]


@dataclass
class Code:
    """Commands, or other text that is to be copied as it is."""

    text: str


Block = Paragraph | Table | Figure | Example | Code


@dataclass
class Section:
    """A part of the report under a heading."""

    title: str
    blocks: list[Block]
    command: str = ""
    """The command that made the numbers of the section."""
    folded: bool = False
    """Whether a page shows it only when asked."""

    @property
    def anchor(self) -> str:
        """The heading as the name of a place in the page."""
        return "".join(character if character.isalnum() else "-" for character in self.title.lower()).strip("-")


@dataclass
class Document:
    """A whole report, ready to be written in any format."""

    title: str
    subtitle: str
    headline: list[tuple[str, str, str]]
    """What is shown large: name, value, small print."""
    sections: list[Section] = field(default_factory=list)
