"""Results that print as short tables: as text on a terminal, as HTML in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from nmt.text.cleaning import one_line

Row = Mapping[str, str]  # the cells of a row, by the names of their columns


SHOWN = 20  # maximum number of rows of a list of results


class HasRow(Protocol):
    """A result that knows its row."""

    def row(self) -> Row:
        """The cells of this result."""


Result = TypeVar("Result", bound=HasRow)


class ResultList(list[Result]):
    """The results for some texts, which print as a table."""

    def __init__(self, results: Iterable[Result], texts: Sequence[str]) -> None:
        super().__init__(results)
        self.texts = texts

    def rows(self) -> list[Row]:
        texts = self.texts if len(self.texts) == len(self) else [""] * len(self)  # somebody changed the list
        return [{"text": one_line(text), **one.row()} for text, one in zip(texts[:SHOWN], self, strict=False)]

    def __repr__(self) -> str:
        return "\n".join([text_table(self.rows()), *self._more()])

    def _repr_html_(self) -> str:
        return html_table(self.rows()) + "".join(f"<p>{line}</p>" for line in self._more())

    def _more(self) -> list[str]:
        return [f"... {len(self) - SHOWN:,} more"] if len(self) > SHOWN else []


def text_table(rows: Sequence[Row]) -> str:
    lines = [list(rows[0]), *(list(row.values()) for row in rows)] if rows else []
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "\n".join(line.rstrip() for line in padded)


def html_table(rows: Sequence[Row]) -> str:
    from html import escape  # not needed to translate, and its table of entities takes time to load

    if not rows:
        return "<table></table>"
    head = "".join(f"<th>{escape(name)}</th>" for name in rows[0])
    cells = ("".join(f'<td dir="auto">{escape(cell)}</td>' for cell in row.values()) for row in rows)
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"
