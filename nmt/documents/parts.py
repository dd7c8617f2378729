"""What all formats make of a document: unchanged text, and the segments that are translated."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from nmt.errors import UserError

Translate = Callable[[Sequence[str], str], Sequence[str]]
"""Translates texts. The second argument is the markup of the texts: `xml` if they have tags, otherwise empty."""

BATCH = 512
"""Maximum number of texts that are translated at once, so that memory does not grow with the document."""


@dataclass(eq=False)
class Segment:
    """A text that is translated, with the place where its translation is written."""

    text: str
    write: Callable[[str], str] = str
    """What the document contains in place of a translation."""
    markup: str = ""
    raw: str | None = None
    """What the document contains in place of the text; None: what `write` makes of it."""
    inner: Sequence[Part] = ()
    """Parts of elements that the segment encloses."""
    translation: str | None = None

    def render(self) -> str:
        if self.translation is None or self.translation == self.text:
            return self.write(self.text) if self.raw is None else self.raw
        return self.write(self.translation)


@dataclass(eq=False)
class Block:
    """A stretch of a document that is written as it was if none of its segments has changed."""

    raw: str
    parts: Sequence[Part]
    encode: Callable[[str], str] = str
    """What the document contains in place of the text of the parts."""
    always: bool = False
    """Whether the text is written even if no segment has changed."""

    def render(self) -> str:
        if self.always or any(one.translation not in (None, one.text) for one in segments_of(self.parts)):
            return self.encode(render(self.parts))
        return self.raw


Part = str | Segment | Block


def render(parts: Iterable[Part]) -> str:
    """The text of a document."""
    return "".join(part if isinstance(part, str) else part.render() for part in parts)


def segments_of(parts: Iterable[Part]) -> Iterator[Segment]:
    """All segments, those of enclosed elements included."""
    for part in parts:
        if isinstance(part, Block):
            yield from segments_of(part.parts)
        elif isinstance(part, Segment):
            yield part
            yield from segments_of(part.inner)


def translate_segments(
    segments: Sequence[Segment], translate: Translate, progress: Callable[[int, int], None] | None = None
) -> None:
    """Set the translation of each segment. Equal texts are translated once.

    progress: is called with the number of translated texts and the number of all
    """
    wanted: dict[tuple[str, str], list[Segment]] = {}
    for one in segments:
        wanted.setdefault((one.text, one.markup), []).append(one)
    done = 0
    for markup in ("", "xml"):
        texts = [text for text, kind in wanted if kind == markup]
        for first in range(0, len(texts), BATCH):
            batch = texts[first : first + BATCH]
            found = translate(batch, markup)
            if len(found) != len(batch):
                raise ValueError(f"{len(batch)} texts have {len(found)} translations")
            for text, translation in zip(batch, found, strict=True):
                for one in wanted[text, markup]:
                    one.translation = translation
            done += len(batch)
            if progress is not None:
                progress(done, len(wanted))


_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def escape(text: str) -> str:
    """Text as it is written in XML and HTML, without the characters that no XML may contain."""
    return html.escape(_ILLEGAL.sub("", text), quote=False)


def has_letters(text: str) -> bool:
    """Whether there is anything to translate in a text."""
    return any(sign.isalpha() for sign in text)


START = re.compile(r"\s*(?:[-–—*•·▪◦]\s+)?")
"""White space and a bullet before a text."""


def plain(text: str) -> list[Part]:
    """The parts of a text without tags: its lines are segments, and the white space around each is kept."""
    parts: list[Part] = []
    for line in re.split(r"([ \t]*(?:\r\n|\r|\n)\s*)", text):
        if has_letters(line):
            start, end = START.match(line).end(), len(line.rstrip())  # type: ignore[union-attr]
            parts += [line[:start], Segment(line[start:end]), line[end:]]
        else:
            parts.append(line)
    return [part for part in parts if part != ""]


@dataclass(frozen=True)
class Request:
    """What is known about a translation while a document is read."""

    name: str = "the document"
    """The name of the document in messages."""
    source: str = ""
    """Code of the source language; empty if it is not known."""
    target: str = ""
    keys: Sequence[str] = ()
    """Patterns of the keys whose values are translated (JSON, YAML); all if there is none."""
    say: Callable[[str], None] = field(default=lambda _: None)
    """Takes messages for the user."""

    def error(self, what: str) -> UserError:
        return UserError(f"{self.name} {what}")
