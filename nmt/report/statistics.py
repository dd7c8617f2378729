"""Statistics on where translations are good or bad: groups of sentences, accuracy of words by their frequency in the
training data, repetitions, unknown words.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nmt.report.words import words

LENGTHS = (5, 10, 15, 20, 30, 40)
"""Upper ends of the groups of sentences by number of words; the last group has no upper end."""

FREQUENCIES = (0, 1, 4, 9, 99, 999)
"""Upper ends of the groups of words by occurrences in the training data; the last group has no upper end."""

LONGEST_REPEAT = 4
"""Maximum number of words of a sequence whose immediate repetition is counted."""


def group_names(ends: Sequence[int]) -> list[str]:
    """Names of the groups with the given upper ends and of the last one: `0`, `1`, `2 to 4`, ..., `1000 or more`."""
    names, first = [], 0 if ends[0] == 0 else 1
    for end in ends:
        names.append(str(end) if first == end else f"{first} to {end}")
        first = end + 1
    return [*names, f"{first} or more"]


@dataclass
class WordAccuracy:
    """How well words of one group of training frequencies are translated."""

    name: str
    expected: int
    """Number of such words in the references."""
    produced: int
    """Number of such words in the hypotheses."""
    matched: int
    """Words of the hypotheses that are in their reference, each at most as often as it occurs there."""

    @property
    def precision(self) -> float:
        """Share of matched words among produced words, 0 to 1; 0 if there are none."""
        return self.matched / self.produced if self.produced else 0.0

    @property
    def recall(self) -> float:
        """Share of matched words among expected words, 0 to 1."""
        return self.matched / self.expected if self.expected else 0.0

    @property
    def f_measure(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.matched / (self.expected + self.produced) if self.matched else 0.0


def word_accuracy(
    hypotheses: Sequence[str], references: Sequence[str], occurrences: Mapping[str, int]
) -> list[WordAccuracy]:
    """Precision and recall of words by their frequency in the training data.

    Neubig et al. (2019), compare-mt, https://arxiv.org/abs/1903.07926, section 2.2. A word counts as correct at any
    position of the sentence.
    """
    groups = [WordAccuracy(name, 0, 0, 0) for name in group_names(FREQUENCIES)]
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        produced, expected = Counter(words(hypothesis)), Counter(words(reference))
        for word in produced.keys() | expected.keys():
            group = groups[bisect_left(FREQUENCIES, occurrences.get(word, 0))]
            group.produced += produced[word]
            group.expected += expected[word]
            group.matched += min(produced[word], expected[word])
    return [group for group in groups if group.expected or group.produced]


@dataclass
class Repetition:
    """How much a text repeats itself."""

    sentences: int
    """Sentences in which a sequence of 1 to 4 words is immediately repeated."""
    words: int
    """Words that belong to such a repetition."""
    total: int
    """Words of the whole text."""
    worst: int | None
    """Index of the sentence with the most such words; None if there is none."""

    @property
    def rate(self) -> float:
        """Share of the words, 0 to 1."""
        return self.words / self.total if self.total else 0.0


def repeated_words(own: Sequence[str]) -> int:
    """Number of words that only repeat the 1 to 4 words right before them: 2 in `a dog a dog runs`."""
    repeated = [False] * len(own)
    for size in range(1, LONGEST_REPEAT + 1):
        for start in range(size, len(own) - size + 1):
            if own[start : start + size] == own[start - size : start]:
                repeated[start : start + size] = [True] * size
    return sum(repeated)


def repetition(sentences: Sequence[str]) -> Repetition:
    """How often sentences repeat a sequence of words immediately, a sign of a model that lost its place."""
    split = [words(sentence) for sentence in sentences]
    counts = [repeated_words(own) for own in split]
    worst = max(range(len(counts)), key=counts.__getitem__, default=None)
    if worst is not None and not counts[worst]:
        worst = None
    return Repetition(sum(map(bool, counts)), sum(counts), sum(map(len, split)), worst)


@dataclass
class Unknown:
    """Words of a text that are not in the training data."""

    words: int
    total: int
    sentences: int
    """Sentences with at least one."""
    examples: list[str]
    """The most frequent of them, at most ten."""

    @property
    def rate(self) -> float:
        """Share of the words, 0 to 1."""
        return self.words / self.total if self.total else 0.0


def unknown(sentences: Sequence[str], occurrences: Mapping[str, int]) -> Unknown:
    """The words of a text that do not occur in the training data of its side."""
    split = [words(sentence) for sentence in sentences]
    found = Counter(word for own in split for word in own if not occurrences.get(word, 0))
    affected = sum(any(not occurrences.get(word, 0) for word in own) for own in split)
    ranked = sorted(found, key=lambda word: (-found[word], word))
    return Unknown(sum(found.values()), sum(map(len, split)), affected, ranked[:10])
