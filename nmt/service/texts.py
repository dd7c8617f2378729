"""The translation of texts of several lines: split into sentences, translated in rounds, and put together again."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from nmt.errors import UserError
from nmt.service.batching import Batcher, Work
from nmt.service.models import Models, Pair
from nmt.text.sentences import white_space_before
from nmt.text.spans import restore_spans
from nmt.translation.translator import (
    PreparedLine,
    SourceLine,
    Translation,
    Translator,
    candidates,
    empty_translation,
)

SHORT = 1000
"""Most characters of texts that are split at once: another thread would take longer to begin than to split them."""


@dataclass(frozen=True)
class Wishes:
    """What a request asks of all of its texts."""

    markup: str = ""
    """`html` or `xml` for a text with tags, which is translated as a whole."""
    n_best: int = 1
    alignment: bool = False
    constraints: dict[str, Any] = field(default_factory=dict)
    """`prefix`, `required`, `forbidden`, `keep` and `glossary` of `SourceLine`."""
    options: dict[str, Any] = field(default_factory=dict)
    """Fields of `nmt.config.DecodingConfig`."""
    seconds: float = 60
    """Maximum time."""


class Piece(NamedTuple):
    """A sentence of a text, or a text with markup."""

    text: int
    """Number of its text, from 0."""
    space: str
    """The white space before it in its text."""
    source: str
    prepared: PreparedLine | None
    """None for the white space at the end of a text."""


@dataclass
class Segment:
    """A translated piece."""

    piece: Piece
    translations: Sequence[Translation]
    space: str
    """The white space before it in the translation."""

    @property
    def best(self) -> Translation:
        """The best translation."""
        return self.translations[0]


def split(translator: Translator, texts: Sequence[str], wishes: Wishes) -> list[Piece]:
    """The sentences of texts; together with the white space before them they are the texts.

    A line with a prefix or required phrases is one piece; a text with markup as well.
    """
    pieces = []
    for number, text in enumerate(texts):
        space = ""
        for line in [text] if wishes.markup else text.splitlines(keepends=True):
            bare = line.strip()
            if not bare:
                space += line
                continue
            before, after = line[: line.index(bare)], line[line.index(bare) + len(bare) :]
            prepared = translator.prepare(SourceLine(bare, markup=wishes.markup, **wishes.constraints))
            for own_space, source, one in _sentences(bare, prepared):
                pieces.append(Piece(number, space + before + own_space, source, one))
                space = before = ""
            space = space + before + after
        if space:
            pieces.append(Piece(number, space, "", None))
    return pieces


def _sentences(line: str, prepared: PreparedLine) -> list[tuple[str, str, PreparedLine]]:
    """The sentences of a line, with the white space before them, as they are written in the line."""
    if prepared.finish is not None or len(prepared.sentences) < 2:
        return [("", line, prepared)]
    found, place = [], 0
    for number, sentence in enumerate(prepared.sentences):
        source = restore_spans(sentence.text, sentence.copies)
        space = prepared.gaps[number - 1] if number else ""
        start = line.casefold().find(source.casefold(), place) if len(line.casefold()) == len(line) else -1
        if start >= 0 and not line[place:start].strip():
            space, source, place = line[place:start], line[start : start + len(source)], start + len(source)
        problems = prepared.problems if number == 0 else ()
        found.append((space, source, prepared._replace(sentences=[sentence], gaps=[], problems=problems)))
    return found


async def translate(
    models: Models, batcher: Batcher, route: Sequence[Pair], texts: Sequence[str], wishes: Wishes
) -> AsyncIterator[Segment]:
    """The translated sentences of texts, in order, as soon as they are there.

    Raises UserError if the model cannot do what is asked.
    """
    if not route:  # the same language
        translator = next(iter(models.translators.values()))
        for number, text in enumerate(texts):
            certain = 1.0 if translator.confidence is not None else None
            same = replace(empty_translation(certain), text=text)
            yield Segment(Piece(number, "", text, None), [same], "")
        return
    first, *rest = (models.translators[pair] for pair in route)
    if rest and wishes.constraints.get("glossary"):
        raise UserError(f"a glossary needs a model that translates directly, but this text goes through {route[0][1]}")
    own = wishes if not rest else Wishes(wishes.markup, constraints=_only_keep(wishes), seconds=wishes.seconds)
    if not own.markup and not any(own.constraints.values()) and sum(map(len, texts)) <= SHORT:
        pieces = split(first, texts, own)
    else:
        pieces = await batcher.beside(split, first, texts, own)
    previous: Segment | None = None
    async for piece, found in _translated(batcher, first, pieces, own):
        for translator in rest:
            found = await _go_on(batcher, translator, found[0], wishes)
        previous = Segment(piece, found, _space(piece, found[0], previous))
        yield previous


def _only_keep(wishes: Wishes) -> dict[str, Any]:
    return {name: value for name, value in wishes.constraints.items() if name == "keep"}


async def _translated(
    batcher: Batcher, translator: Translator, pieces: Sequence[Piece], wishes: Wishes
) -> AsyncIterator[tuple[Piece, Sequence[Translation]]]:
    """The pieces with their translations; white space has an empty one."""
    decoding = translator.decoding_with(**wishes.options)
    if wishes.options or wishes.n_best > 1:
        if wishes.n_best > decoding.beam_size:
            decoding = replace(decoding, beam_size=wishes.n_best)
        candidates(decoding, wishes.n_best)
    lines = [piece.prepared for piece in pieces if piece.prepared is not None]
    waiting = iter(pieces)
    if lines:
        work = Work(translator, decoding, wishes.n_best, wishes.alignment, lines)
        async for part in batcher.translate(work, wishes.seconds):
            for found in part:
                piece = next(waiting)
                while piece.prepared is None:
                    yield piece, [empty_translation()]
                    piece = next(waiting)
                yield piece, found
    for piece in waiting:
        yield piece, [empty_translation()]


async def _go_on(batcher: Batcher, translator: Translator, first: Translation, wishes: Wishes) -> Sequence[Translation]:
    """The translations of a translation, which is in the language through which the text goes."""
    if not first.text:
        return [first]
    line = SourceLine(first.text, markup=wishes.markup, **wishes.constraints)
    pieces = [Piece(0, "", first.text, await batcher.beside(translator.prepare, line))]
    wishes = replace(wishes, alignment=False)
    async for _, found in _translated(batcher, translator, pieces, wishes):
        return [
            replace(
                one,
                alignment=None,
                problems=(*first.problems, *one.problems),
                confidence=product([first.confidence, one.confidence]),
            )
            for one in found
        ]
    raise AssertionError("a piece has a translation")


def _space(piece: Piece, best: Translation, previous: Segment | None) -> str:
    """The white space before a translation."""
    if previous is None or previous.piece.text != piece.text or "\n" in piece.space or not piece.source:
        return piece.space
    if not best.text:
        return ""
    return white_space_before(best.text, previous.best.text, piece.space)


def joined(segments: Sequence[Segment]) -> str:
    """The translation of a text."""
    return "".join(segment.space + segment.best.text for segment in segments)


def alternatives(segments: Sequence[Segment], count: int) -> list[str]:
    """Other translations of a text, best first: each replaces the translation of one sentence by another."""
    losses = [
        (segment.best.score - other.score, number, other.text)
        for number, segment in enumerate(segments)
        for other in segment.translations[1:]
    ]
    best = [segment.space + segment.best.text for segment in segments]
    texts = [
        "".join([*best[:number], segments[number].space, text, *best[number + 1 :]])
        for _, number, text in sorted(losses)
    ]
    return [text for text in dict.fromkeys(texts) if text.strip() and text != "".join(best)][:count]


def confidence(segments: Sequence[Segment]) -> float | None:
    """The probability that all sentences of a text are good; None if the model is not calibrated."""
    return product([segment.best.confidence for segment in segments if segment.piece.source])


def product(values: Sequence[float | None]) -> float | None:
    """The probability that all are good; None if one is not known."""
    known = [value for value in values if value is not None]
    return math.prod(known) if len(known) == len(values) else None
