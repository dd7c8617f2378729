"""Sentences all in capitals: read as they would be written otherwise, and their translations put into capitals.

No model learns a second vocabulary of capitals this way. What is a name, a German noun or an acronym is seen from the
vocabulary, in which words have the form that they had in the training text.
"""

from __future__ import annotations

import re
from typing import Protocol

_WORD = re.compile(r"\w+")

_LONG = 5
"""Letters from which on a single word in capitals is read as a word even if the vocabulary does not have it."""

_MUCH_MORE = 2.0
"""How much likelier (natural logarithm) a form with a capital must be, where it has as many pieces as the other."""


class Pieces(Protocol):
    """What is asked of a vocabulary."""

    def cost(self, text: str) -> tuple[int, float]:
        """How many pieces a text has, and how rare they are."""


def lower(text: str, language: str) -> str:
    """In small letters; Turkish and Azerbaijani have an I without a dot."""
    if language in ("tr", "az"):
        text = text.replace("İ", "i").replace("I", "ı")
    return text.lower()


def upper(text: str, language: str) -> str:
    """In capitals; Turkish and Azerbaijani have an I with a dot."""
    return (text.replace("i", "İ") if language in ("tr", "az") else text).upper()


def without_capitals(sentence: str, vocabulary: Pieces, language: str) -> str | None:
    """A sentence all in capitals as it would be written otherwise; None for any other, and for acronyms.

    Each word takes the form of which the vocabulary has the fewest pieces: `ICH` becomes `ich`, `HUNGER` `Hunger`, and
    `USA` stays. The first letter is a capital. A single word must be long, or be a piece in another form.
    """
    if not sentence.replace("ß", "").isupper():
        return None
    text = _WORD.sub(lambda word: _usual_form(word[0], vocabulary, language), sentence)
    words = [word for word in _WORD.findall(text) if word.isalpha()]
    if len(words) == 1 and len(words[0]) < _LONG and vocabulary.cost(words[0])[0] > 1:
        return None
    first = next(place for place, sign in enumerate(text) if sign.isalpha())
    text = text[:first] + sentence[first] + text[first + 1 :]
    return None if text == sentence else text


def _usual_form(word: str, vocabulary: Pieces, language: str) -> str:
    """A word in small letters, with a capital or all in capitals, as the vocabulary has it."""
    if not word.isalpha():  # a code
        return word
    small = [lower(word, language)]
    if language == "de":  # in capitals, ß is mostly written as SS
        small.append(small[0].replace("ss", "ß"))
    costs = {form: vocabulary.cost(form) for letters in small for form in (letters, word[:1] + letters[1:])}
    costs[word] = vocabulary.cost(word)
    best = min(small, key=costs.__getitem__)
    for form in (word[:1] + best[1:], word):
        if (costs[form][0], costs[form][1] + _MUCH_MORE) < costs[best]:
            best = form
    return best
