"""The lines that `scripts/challenge` translates, as a person reads them: one file a direction, classes under headings.

== class ==                     a heading
== class == as in en-de         a heading whose lines are those of the same class in another direction
# ...                           a comment, before the first heading only
Schreib an ⟦max@example.org⟧.   a translation has what is between the brackets once, byte for byte
⟦Köln=Cologne/Köln|Ulm⟧         names: the accepted forms, if not the name itself, and another name to put in its place
Brot => bread / loaf            what a translation contains: alternatives; ` ; ` between several things
Das Weter ~ Das Wetter          another line: the same without typing errors, or without the negation
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
MARKED = re.compile(r"⟦([^⟧]*)⟧")
NAMES = ("people", "places")


@dataclass(frozen=True)
class Line:
    """A line of the corpus.

    source: the text to translate
    kept: what a translation has once, each with its accepted forms
    other: a second text, whose translation is compared with the first's; "" where there is none
    other_kept: as kept, in the second text
    wanted: things that a translation contains, each with its alternatives
    """

    source: str
    kept: list[list[str]] = field(default_factory=list)
    other: str = ""
    other_kept: list[list[str]] = field(default_factory=list)
    wanted: list[list[str]] = field(default_factory=list)


def alternatives(text: str) -> list[list[str]]:
    return [group.split(" / ") for group in text.split(" ; ")] if text else []


def read_line(written: str, names: bool) -> Line:
    """A line of the file. Between ⟦ and ⟧, | and = have a meaning in the classes of names, and are kept elsewhere."""
    text, _, wanted = written.partition(" => ")
    text, _, other = text.partition(" ~ ")
    if not names:
        kept = [[span] for span in MARKED.findall(text)]
        return Line(MARKED.sub(r"\1", text), kept, other, wanted=alternatives(wanted))

    def variant(number: int) -> tuple[str, list[list[str]]]:
        chosen = [(span.split("|") * 2)[number].partition("=") for span in MARKED.findall(text)]
        left = iter(chosen)
        filled = MARKED.sub(lambda _: next(left)[0], text)
        return filled, [(forms or name).split("/") for name, _, forms in chosen]

    (source, kept), (other, other_kept) = variant(0), variant(1)
    return Line(source, kept, other, other_kept)


@functools.cache
def read_corpus(path: Path) -> dict[str, list[Line]]:
    """The lines by class."""
    classes: dict[str, list[Line]] = {}
    lines: list[Line] | None = None
    for number, written in enumerate(path.read_text("utf-8").splitlines(), 1):
        if heading := re.fullmatch(r"== (.+) ==(?: as in (\S+))?", written):
            name, other = heading.groups()
            lines = classes[name] = read_corpus(path.with_stem(other))[name] if other else []
        elif written and lines is not None:
            lines.append(read_line(written, name in NAMES))
        elif written and not written.startswith("#"):
            raise ValueError(f"{path}, line {number}: a line before the first heading (== class ==)")
    return classes
