"""Words as the statistics of a report count them, and the differences between two sentences in words.

Scores have their own tokenisers (`nmt.scores.tokenizers`); these words are only for grouping, counting and comparing. A
word is a run of letters, marks and digits with apostrophes and hyphens inside; in scripts without spaces each character
is a word.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import regex

_NO_SPACES = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_WORD = rf"[{_NO_SPACES}]\p{{M}}*|[[\p{{L}}\p{{M}}\p{{N}}]--[{_NO_SPACES}]]+"
_JOINED = rf"(?:{_WORD})(?:['’\-](?=[\p{{L}}\p{{N}}])(?:{_WORD}))*"
WORDS = regex.compile(_JOINED, regex.VERSION1)
UNITS = regex.compile(rf"\s*(?:{_JOINED}|\S)", regex.VERSION1)
"""Matches words and single other characters, each with the space before it."""


def words(text: str) -> list[str]:
    """The words of a sentence, lower-cased and in compatibility form (NFKC); no punctuation."""
    return list(WORDS.findall(unicodedata.normalize("NFKC", text).casefold()))


def same_text(text: str) -> str:
    """A key that is equal for sentences that differ only in case, spaces and forms of characters (NFKC)."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


@dataclass(frozen=True)
class Span:
    """A part of a sentence."""

    text: str
    differs: bool
    """Whether it has no counterpart in the other sentence."""


def differences(hypothesis: str, reference: str) -> tuple[list[Span], list[Span]]:
    """Both sentences as spans, with the differences marked: in the hypothesis the words that the reference lacks, and
    in the reference those that the hypothesis lacks. They follow from a shortest sequence of insertions, deletions and
    substitutions (Levenshtein 1966) of words and punctuation marks; case matters.
    """
    from rapidfuzz.distance import Levenshtein

    sides = UNITS.findall(hypothesis), UNITS.findall(reference)
    bare = [[unit.strip() for unit in side] for side in sides]
    marked: tuple[list[Span], list[Span]] = ([], [])
    for operation in Levenshtein.opcodes(bare[1], bare[0]):
        differs = operation.tag != "equal"
        _append(marked[0], sides[0][operation.dest_start : operation.dest_end], differs)
        _append(marked[1], sides[1][operation.src_start : operation.src_end], differs)
    return marked


def _append(spans: list[Span], units: Sequence[str], differs: bool) -> None:
    text = "".join(units)
    if not text:
        return
    if differs and spans:  # the space before a marked stretch is not marked
        bare = text.lstrip()
        if len(bare) < len(text):
            last = spans.pop()
            if last.differs:
                spans += [last, Span(text[: len(text) - len(bare)], False)]
            else:
                spans.append(Span(last.text + text[: len(text) - len(bare)], False))
            text = bare
    spans.append(Span(text, differs))
