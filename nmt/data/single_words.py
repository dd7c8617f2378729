"""A dictionary of single words that translate each other, extracted from the training pairs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nmt.text.vocabulary import SPECIAL_PIECES
from nmt.translation.shortlist import LexicalTable

WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")

LEAST_PROBABILITY = 0.4
"""Minimum translation probability of a pair; in the opposite direction a quarter of it is enough."""

LEAST_COUNT = 3
"""Minimum number of occurrences of each of the two words."""


class Word(NamedTuple):
    """A word of the source language and its translation."""

    source: str
    target: str
    frequency: int
    """Number of occurrences of the rarer of the two."""


def single_words(sources: Sequence[str], targets: Sequence[str]) -> list[Word]:
    """Words of some sentence pairs that are each other's most probable translation according to IBM model 1.

    A word is capitalised if it mostly is inside a sentence.
    """
    (source_ids, source_words), (target_ids, target_words) = _number(sources), _number(targets)
    if not source_words or not target_words:
        return []
    sizes = len(source_words) + SPECIAL_PIECES, len(target_words) + SPECIAL_PIECES
    forth = LexicalTable(source_ids, target_ids, *sizes)
    back = LexicalTable(target_ids, source_ids, *sizes[::-1])
    best, probability = _best(forth)
    returned, way_back = _best(back)
    counts = np.minimum(back.counts, forth.counts[best])
    ids = np.arange(sizes[0])
    is_pair = (returned[best] == ids) & (best >= SPECIAL_PIECES) & (ids >= SPECIAL_PIECES) & (counts >= LEAST_COUNT)
    is_pair &= (probability >= LEAST_PROBABILITY) & (way_back[best] >= LEAST_PROBABILITY / 4)
    return [
        Word(source_words[i - SPECIAL_PIECES], target_words[int(best[i]) - SPECIAL_PIECES], int(counts[i]))
        for i in np.flatnonzero(is_pair).tolist()
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


def _best(table: LexicalTable) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The most probable translation of each source word, and its probability; 0 for a word without translation."""
    # sorted by source word, then by probability: the last entry of each source word is its best (ties: the lower id)
    order = np.lexsort((-table.target, table.probability, table.source))
    last = order[np.append(np.diff(table.source[order]) != 0, True)]
    best, probability = np.zeros(table.source_size, np.int64), np.zeros(table.source_size)
    best[table.source[last]] = table.target[last]
    probability[table.source[last]] = table.probability[last]
    return best, probability
