"""Plain text, in which blank lines separate paragraphs."""

from __future__ import annotations

import itertools
import re
import textwrap
from collections.abc import Sequence

from nmt.documents.parts import Block, Part, Request, Segment, has_letters, plain

NARROWEST, WIDEST = 40, 100
"""Lengths of the longest line of text whose lines are broken at a fixed width."""


def parts(text: str, request: Request) -> list[Part]:
    """The parts of a text.

    If its lines are broken at a fixed width, the lines of a paragraph are joined, and the translation is broken at the
    same width. Otherwise each line is a segment.
    """
    pieces = re.split(r"((?:[ \t]*\r?\n){2,}|\A\s*\n)", text)
    paragraphs = [piece.splitlines() for piece in pieces]
    width = max((len(line) for lines in paragraphs if len(lines) > 1 for line in lines), default=0)
    found: list[Part] = []
    for piece, lines in zip(pieces, paragraphs, strict=True):
        if is_wrapped(lines, width) and has_letters(piece):
            found.append(wrapped(piece, lines, width))
        else:
            found += plain(piece)
    return found


def is_wrapped(lines: Sequence[str], width: int) -> bool:
    """Whether lines were broken where the next word did not fit."""
    if len(lines) < 2 or not NARROWEST <= width <= WIDEST:
        return False
    pairs = itertools.pairwise(lines)
    fits = (len(line.rstrip()) + 1 + len((following.split() or [""])[0]) > width * 0.9 for line, following in pairs)
    starts = {len(line) - len(line.lstrip()) for line in lines[1:]}
    return all(fits) and len(starts) == 1 and not any(_LIST.match(line) for line in lines[1:])


_LIST = re.compile(r"\s*(?:[-*•+>#|]|\d+[.)])(?:\s|$)")


def wrapped(raw: str, lines: Sequence[str], width: int) -> Block:
    """A paragraph as one segment, whose translation is broken at the same width with the same indentation."""
    first, second = (re.match(r"\s*", line)[0] for line in lines[:2])  # type: ignore[index]
    end = "\r\n" if "\r\n" in raw else "\n"
    tail = raw[len(raw.rstrip()) :]

    def write(translation: str) -> str:
        broken = textwrap.wrap(
            translation,
            width,
            initial_indent=first,
            subsequent_indent=second,
            break_long_words=False,
            break_on_hyphens=False,
        )
        return end.join(broken) + tail

    return Block(raw, [Segment(" ".join(" ".join(lines).split()), write)])
