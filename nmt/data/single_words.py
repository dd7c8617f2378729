"""A dictionary of single words that translate each other, extracted from the training pairs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nmt.text.vocabulary import SPECIAL_PIECES
from nmt.translation.shortlist import LexicalTable

WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")

LEAST_PROBABILITY = 0.4  # of a translation; in the opposite direction an eighth of it is enough

LEAST_COUNT = 3  # minimum number of occurrences of each of the two words


class Word(NamedTuple):
    """A word of the source language and its translation."""

    source: str
    target: str
    frequency: int  # number of occurrences of the rarer of the two


def single_words(sources: Sequence[str], targets: Sequence[str]) -> list[Word]:
    """Words with their most probable translation by IBM model 1, if it is certain; capitals as inside sentences."""
    (source_ids, source_words), (target_ids, target_words) = _number(sources), _number(targets)
    if not source_words or not target_words:
        return []
    sizes = len(source_words) + SPECIAL_PIECES, len(target_words) + SPECIAL_PIECES
    forth = LexicalTable(source_ids, target_ids, *sizes)
    back = LexicalTable(target_ids, source_ids, *sizes[::-1])
    order = np.lexsort((forth.target, forth.probability, forth.source))
    best = order[np.append(np.diff(forth.source[order]) != 0, True)]  # the last of each source word
    source, target, probability = forth.source[best], forth.target[best], forth.probability[best]
    way_back = back.probability_of(target, source)
    counts = np.minimum(back.counts[source], forth.counts[target])
    is_pair = (source >= SPECIAL_PIECES) & (target >= SPECIAL_PIECES) & (counts >= LEAST_COUNT)
    is_pair &= (probability >= LEAST_PROBABILITY) & (way_back >= LEAST_PROBABILITY / 8)
    columns = source[is_pair] - SPECIAL_PIECES, target[is_pair] - SPECIAL_PIECES, counts[is_pair]
    return [
        Word(source_words[one], target_words[other], count)
        for one, other, count in zip(*(column.tolist() for column in columns), strict=True)
    ]


def _number(texts: Sequence[str]) -> tuple[list[list[int]], list[str]]:
    """The words of each text as ids, which start at `SPECIAL_PIECES`, and the word of each id."""
    split = [WORD.findall(text) for text in texts]
    inside: Counter[str] = Counter()
    for words in split:
        inside.update(words[1:])
    form: dict[str, str] = {}
    for word, _ in sorted(inside.items(), key=lambda item: (item[1], item[0])):
        form[word.lower()] = word
    ids: dict[str, int] = {}
    numbered = [
        [ids.setdefault(form.setdefault(word.lower(), word), SPECIAL_PIECES + len(ids)) for word in words]
        for words in split
    ]
    return numbered, list(ids)
