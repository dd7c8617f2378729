"""Asides in brackets are translated by themselves and put back: `Das Museum (montags geschlossen) ist schön.`

A model reads an aside as a copied span. Few sentences of its training text have brackets, and so it translates both the
aside and the rest of the sentence better without the other; search writes each span exactly once.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from nmt.text.spans import Span, restore_spans

if TYPE_CHECKING:
    from nmt.translation.copying import SourceSentence
    from nmt.translation.translator import PreparedLine, Translation

_ASIDE = re.compile(r"(?<!\S)(?:\([^()]{3,200}\)|\[[^\[\]]{3,200}\])(?=[\s.,;:!?…]|$)")
_WORD = re.compile(r"[^\W\d_]{2,}")


def find_asides(text: str) -> Iterator[Span]:
    """The places of bracketed words, with their brackets, which have white space before them."""
    if "(" in text or "[" in text:
        yield from (match.span() for match in _ASIDE.finditer(text) if _WORD.search(match[0]))


def with_prepared(sentences: Sequence[SourceSentence], prepare: Callable[[str], PreparedLine]) -> list[SourceSentence]:
    """Sentences whose asides are lines that are prepared for translation."""
    prepared = ([one._replace(line=prepare(one.line)) for one in sentence.asides] for sentence in sentences)
    return [one._replace(asides=tuple(own)) for one, own in zip(sentences, prepared, strict=True)]


def translate_asides(
    lines: Sequence[PreparedLine], translate: Callable[[list[PreparedLine]], list[list[Translation]]]
) -> tuple[list[PreparedLine], list[list[Translation]]]:
    """The lines with the translation of each aside in place of its copy, and these translations for each line."""
    found = iter(translate([aside.line for line in lines for one in line.sentences for aside in one.asides]))
    made = []
    translations: list[list[Translation]] = [[] for _ in lines]
    for line, own in zip(lines, translations, strict=True):
        sentences = []
        for sentence in line.sentences:
            copies = list(sentence.copies)
            for aside in sentence.asides:
                own.append(next(found)[0])
                brackets = copies[aside.number]
                copies[aside.number] = brackets[0] + own[-1].text + brackets[-1]
            sentences.append(_with_copies(sentence, copies) if sentence.asides else sentence)
        made.append(line._replace(sentences=sentences))
    return made, translations


def _with_copies(sentence: SourceSentence, copies: Sequence[str]) -> SourceSentence:
    unchanged = None if sentence.unchanged is None else restore_spans(sentence.text, copies)
    return sentence._replace(copies=tuple(copies), unchanged=unchanged)


def with_asides(translation: Translation, asides: Sequence[Translation]) -> Translation:
    """A translation whose confidence and problems are also those of its asides."""
    confidences = [one.confidence for one in (translation, *asides) if one.confidence is not None]
    problems = [*translation.problems, *(problem for one in asides for problem in one.problems)]
    return replace(translation, confidence=math.prod(confidences) if confidences else None, problems=problems)
