"""A dictionary of words and short phrases that translate each other, extracted from the training pairs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from nmt.text.vocabulary import SPECIAL_PIECES
from nmt.translation.shortlist import LexicalTable

WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")

LEAST_PROBABILITY = 0.4
"""Minimum translation probability of a pair; in the opposite direction an eighth of it is enough."""

LEAST_COUNT = 3
"""Minimum number of occurrences of each of the two words, and of a phrase with its translation."""

LEAST_LINK = 0.01
"""Minimum translation probability, in each direction, of two words that correspond to each other in a sentence pair."""

LONGEST_PHRASE = 4
"""Maximum number of words of a phrase and of its translation."""

LONGEST_SENTENCE = 20
"""Maximum number of words of a sentence, on each side, in which phrases are looked for."""

MOST_CELLS = 10_000_000
"""Maximum number of pairs of a source word and a target word of the same sentence pair, which take the time and memory.
Pairs of sentences at even distances are taken if there are more."""

LEAST_AT_END = 0.2
"""Minimum share of a phrase's occurrences that end their sentence on both sides: `in bed` does, `in the` does not."""


class Entry(NamedTuple):
    """A word or a phrase of the source language and its translation."""

    source: str
    target: str
    frequency: int
    """Number of occurrences: of a phrase with its translation, of the rarer one of two words."""


class Dictionary:
    """The words and the phrases of some sentence pairs that are certain translations of each other.

    A word is capitalised if it mostly is inside a sentence.
    """

    def __init__(self, sources: Sequence[str], targets: Sequence[str]) -> None:
        self.words: list[Entry] = []
        self.phrases: list[Entry] = []
        cells = sum(len(one.split()) * len(other.split()) for one, other in zip(sources, targets, strict=True))
        step = max(1, -(-cells // MOST_CELLS))
        self._source, self._target = _Side(sources[::step]), _Side(targets[::step])
        if self._source.words and self._target.words:
            sizes = len(self._source.words) + SPECIAL_PIECES, len(self._target.words) + SPECIAL_PIECES
            self._forth = LexicalTable(self._source.ids, self._target.ids, *sizes)
            self._back = LexicalTable(self._target.ids, self._source.ids, *sizes[::-1])
            self.words = list(self._certain_words())
            self.phrases = list(self._certain_phrases())

    def _certain_words(self) -> Iterator[Entry]:
        """Words with their most probable translation according to IBM model 1, if it is certain."""
        forth, back = self._forth, self._back
        order = np.lexsort((forth.target, forth.probability, forth.source))
        best = order[np.append(np.diff(forth.source[order]) != 0, True)]  # the last of each source word
        source, target, probability = forth.source[best], forth.target[best], forth.probability[best]
        way_back = back.probability_of(target, source)
        counts = np.minimum(back.counts[source], forth.counts[target])
        is_pair = (source >= SPECIAL_PIECES) & (target >= SPECIAL_PIECES) & (counts >= LEAST_COUNT)
        is_pair &= (probability >= LEAST_PROBABILITY) & (way_back >= LEAST_PROBABILITY / 8)
        columns = source[is_pair] - SPECIAL_PIECES, target[is_pair] - SPECIAL_PIECES, counts[is_pair]
        for one, other, count in zip(*(column.tolist() for column in columns), strict=True):
            yield Entry(self._source.words[one], self._target.words[other], count)

    def _certain_phrases(self) -> Iterator[Entry]:
        """Phrases with their most frequent translation, if it is certain and they can end a sentence."""
        counts: Counter[tuple[str, str]] = Counter()
        at_end: Counter[tuple[str, str]] = Counter()
        for phrase, is_end in self._phrases():
            counts[phrase] += 1
            at_end[phrase] += is_end
        of_source, of_target = Counter[str](), Counter[str]()
        for (source, target), count in counts.items():
            of_source[source] += count
            of_target[target] += count
        for (source, target), count in counts.items():
            share, way_back = count / of_source[source], count / of_target[target]
            is_phrase = count >= LEAST_COUNT and at_end[source, target] >= LEAST_AT_END * count
            if is_phrase and share >= LEAST_PROBABILITY and way_back >= LEAST_PROBABILITY / 8:
                yield Entry(source, target, count)

    def _phrases(self) -> Iterator[tuple[tuple[str, str], bool]]:
        """The phrases of each sentence pair with their translation, and whether both end their sentence.

        The words of a phrase correspond to no word outside of its translation, and the reverse; its first and its last
        word correspond to one (Koehn, Och & Marcu 2003, https://aclanthology.org/N03-1017).
        """
        links = self._links()
        width = len(self._target.words) + SPECIAL_PIECES
        for number, (source, target) in enumerate(zip(self._source.ids, self._target.ids, strict=True)):
            if not source or not target or max(len(source), len(target)) > LONGEST_SENTENCE:
                continue
            scores = [[links.get(one * width + other, 0.0) for other in target] for one in source]
            best = [max(range(len(target)), key=row.__getitem__) for row in scores]
            back = [max(range(len(source)), key=column.__getitem__) for column in zip(*scores, strict=True)]
            linked = [j if back[j] == i and scores[i][j] > 0 else -1 for i, j in enumerate(best)]
            is_linked = [linked[i] == j for j, i in enumerate(back)]
            source_places, target_places = self._source.places(number), self._target.places(number)
            for start, first in enumerate(linked):
                if first < 0:
                    continue
                low = high = first
                for end in range(start + 1, min(len(source), start + LONGEST_PHRASE)):
                    if linked[end] < 0:
                        continue
                    low, high = min(low, linked[end]), max(high, linked[end])
                    if high - low >= LONGEST_PHRASE:
                        break
                    if all(not is_linked[j] or start <= back[j] <= end for j in range(low, high + 1)):
                        one = self._source.phrase(number, source_places[start : end + 1])
                        other = self._target.phrase(number, target_places[low : high + 1])
                        if one and other:
                            yield (one, other), end == len(source) - 1 and high == len(target) - 1

    def _links(self) -> dict[int, float]:
        """The product of the translation probabilities of both directions, for probable pairs of words."""
        forth, width = self._forth, len(self._target.words) + SPECIAL_PIECES
        probable = (forth.probability >= LEAST_LINK) & (forth.source >= SPECIAL_PIECES)
        source, target, probability = forth.source[probable], forth.target[probable], forth.probability[probable]
        way_back = self._back.probability_of(target, source)
        kept = way_back >= LEAST_LINK
        keys = source[kept] * width + target[kept]
        return dict(zip(keys.tolist(), (probability[kept] * way_back[kept]).tolist(), strict=True))


class _Side:
    """The words of the texts of a language."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts
        inside: Counter[str] = Counter()
        for text in texts:
            inside.update(WORD.findall(text)[1:])
        self.form: dict[str, str] = {}
        """The usual spelling of each word in small letters."""
        for word, _ in sorted(inside.items(), key=lambda item: (item[1], item[0])):
            self.form[word.lower()] = word
        numbers: dict[str, int] = {}
        self.ids = [[self._number(word, numbers) for word in WORD.findall(text)] for text in texts]
        """The words of each text as ids, which start at `SPECIAL_PIECES`."""
        self.words = list(numbers)
        """The word of each id, less `SPECIAL_PIECES`."""

    def _number(self, word: str, numbers: dict[str, int]) -> int:
        return numbers.setdefault(self.form.setdefault(word.lower(), word), SPECIAL_PIECES + len(numbers))

    def places(self, number: int) -> list[tuple[int, int]]:
        """Where the words of a text begin and end."""
        return [match.span() for match in WORD.finditer(self.texts[number])]

    def phrase(self, number: int, places: Sequence[tuple[int, int]]) -> str:
        """The words at some places of a text; "" if there is more between them than spaces and commas."""
        text = self.texts[number]
        words = [text[start:end] for start, end in places]
        gaps = [text[end:start] for (_, end), (start, _) in pairwise(places)]
        if any(gap not in (" ", ", ") for gap in gaps):
            return ""
        if not WORD.search(text, 0, places[0][0]):  # the first word of the text
            words[0] = self.form[words[0].lower()]
        return "".join(part for pair in zip(words, [*gaps, ""], strict=True) for part in pair)
