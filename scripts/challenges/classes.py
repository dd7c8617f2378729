"""The classes of lines: what is asked of each, how its lines are made, and the bars."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from challenges.checks import (
    Check,
    Pair,
    brackets,
    capitals,
    contains,
    dates,
    dialogue,
    enumeration,
    final_mark,
    fragment,
    headline,
    like_the_other,
    mark,
    markup,
    names,
    negation,
    numbers,
    one_of,
    question,
    quotes,
    sane,
    sentences,
    spans,
    unchanged,
    whole,
    with_signs,
)
from challenges.corpus import Line
from challenges.languages import CENTS, CURRENCIES, UNITS
from nmt.text.spelling import expanded, without_accents

# Pairs that the program makes: one thing is changed in the source, and nothing else in the translation


def with_another_number(line: Line) -> Line | None:
    """The last digit of a number of several digits is another one, which says nothing else of a time, date or price."""
    *_, last = [None, *re.finditer(r"(?<![\d.])\d+[2-8](?![.,:]?\d)", line.source)]
    if last is None:
        return None
    end = last.end() - 1
    digit = line.source[end].translate(str.maketrans("2345678", "3467487"))
    return Line(line.source, other=line.source[:end] + digit + line.source[end + 1 :])


def with_another_mark(line: Line) -> Line | None:
    """The final mark is left out, or is another one that changes no meaning."""
    mark, text = final_mark(line.source), line.source.rstrip(" .!?…")
    return Line(line.source, other=text + {".": "", "!": ".", "...": ".", "?": "??", "?!": "?"}.get(mark, "."))


def on_another_keyboard(line: Line) -> Line | None:
    """The line without the letters that an English keyboard lacks, with the line itself to compare with."""
    plain = (expanded if re.search("[äöüß]", line.source) else without_accents)(line.source)
    return None if plain == line.source else Line(plain, other=line.source)


def with_another_name(line: Line) -> Line | None:
    return line if line.other and line.other_kept else None


@dataclass(frozen=True)
class Class:
    """A class of lines.

    group: the classes that have a bar together
    checks: what is asked of its translations, after what is asked of all
    make: the line that is translated, from the one in the file, or None to leave it out
    lines: the classes of the file that it takes its lines from; itself, if empty
    """

    group: str
    checks: tuple[Check, ...]
    make: Callable[[Line], Line | None] = lambda line: line
    lines: tuple[str, ...] = ()


def changed(change: Callable[[str], str]) -> Callable[[Line], Line]:
    """The line in other letters, with the line itself to compare with."""
    return lambda line: Line(change(line.source), other=line.source)


def title(text: str) -> str:
    return re.sub(r"(?<![\w'’])\w", lambda first: first[0].upper(), text)


OTHER, CHANGES = "other classes", "nothing else changes"
NUMERIC = ("numbers", "times", "dates", "prices", "units")
BARS = {
    "spans": 98, "emoji": 98, "numbers": 98, "capitals": 95, "marks": 95, "sentences": 95, "single words": 90,
    "names": 90, "all": 95,
}  # fmt: skip
"""The least share of lines that pass, in per cent, by group."""
CLASSES = {
    **{
        name: Class("spans", (spans(name),))
        for name in ("links", "placeholders", "code", "handles", "entities", "codes")
    },
    "tags": Class("spans", (markup,)),
    "emoji": Class("emoji", (spans("emoji"),)),
    "numbers": Class("numbers", (numbers(),)),
    "times": Class("numbers", (numbers(clock=True),)),
    "dates": Class("numbers", (dates,)),
    "prices": Class("numbers", (with_signs({**CURRENCIES, "cent": CENTS}),)),
    "units": Class("numbers", (with_signs(UNITS),)),
    "capitals": Class("capitals", (capitals,), changed(str.upper)),
    "title case": Class("capitals", (mark, like_the_other(0.6, "the line as usual")), changed(title)),
    "lower case": Class("capitals", (like_the_other(0.6, "the line as usual"),), changed(str.lower)),
    "marks": Class("marks", (mark,)),
    "fragments": Class("marks", (fragment,)),
    "sentences": Class("sentences", (sentences,)),
    "single words": Class("single words", (one_of,)),
    "people": Class("names", (names,)),
    "places": Class("names", (names,)),
    "quotes": Class(OTHER, (quotes,)),
    "brackets": Class(OTHER, (brackets,)),
    "rare fragments": Class(OTHER, (fragment,)),
    "mixed languages": Class(OTHER, (contains(),)),
    "headlines": Class(OTHER, (headline,)),
    "lists": Class(OTHER, (enumeration,)),
    "dialogue": Class(OTHER, (dialogue,)),
    "negation": Class(OTHER, (negation,)),
    "questions": Class(OTHER, (question,)),
    "long sentences": Class(OTHER, (contains(least_missing=1), whole(0.6))),
    "typing errors": Class(OTHER, (like_the_other(0.7, "the line without errors"),)),
    "no accents": Class(
        OTHER, (like_the_other(0.7, "the line with accents"),), on_another_keyboard, ("questions", "negation")
    ),
    "another name": Class(CHANGES, (unchanged,), with_another_name, ("people", "places")),
    "another number": Class(CHANGES, (unchanged,), with_another_number, NUMERIC),
    "another mark": Class(CHANGES, (unchanged,), with_another_mark, ("marks", "questions", "lower case")),
}


def faults(name: str, line: Line, outputs: list[str], pair: Pair) -> list[str]:
    """What is wrong with the translations of a line of a class."""
    kind = CLASSES[name]
    texts = [line.source, line.other][: len(outputs)]
    if kind.group != CHANGES:
        texts = texts[:1]
    found = [fault for text, output in zip(texts, outputs, strict=False) for fault in sane(line, text, output, pair)]
    return found or [fault for check in kind.checks for fault in check(line, outputs, pair)]
