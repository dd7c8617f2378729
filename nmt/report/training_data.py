"""Overlap of a test set with the training data: duplicates, near duplicates, similarity, word frequencies.

The similarity of two sentences is the fuzzy match score of translation memories,

    1 - distance(a, b) / max(|a|, |b|)

with the Levenshtein distance of their words (Koehn & Senellart 2010, Convergence of translation memory and statistical
machine translation; Bulte & Tezcan 2019, https://aclanthology.org/P19-1175, section 3.2). A test sentence's similarity
to the training data is that to the most similar training sentence. It is exact, not sampled: the number of words that
two sentences share bounds their distance, so the distance is computed only if it could give a better match.

The training data are read once, in batches; the memory depends only on the size of the test set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nmt.report.words import same_text, words

NEAR = 0.8
"""Minimum similarity of a near duplicate: of ten words at most two differ."""

CELLS = 1 << 20
"""Number of pairs of a training and a test sentence whose shared words are counted at once."""

Integers = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]


@dataclass
class Overlap:
    """One side of a test set compared with the same side of the training data; arrays have an item per sentence."""

    similarity: Doubles
    """Similarity to the most similar training sentence, 0 to 1."""
    nearest: Integers
    """Index of that training sentence, from 0; -1 if no training sentence shares a word."""
    exact: npt.NDArray[np.bool_]
    """Whether the sentence is in the training data, apart from case and spaces."""
    occurrences: Counter[str]
    """How often each word of the test set occurs in the training data; words that do not occur are absent."""

    @property
    def near(self) -> npt.NDArray[np.bool_]:
        """Near duplicates, including exact ones."""
        result: npt.NDArray[np.bool_] = self.exact | (self.similarity >= NEAR)
        return result


class Comparison:
    """Finds the overlap of a test set with training sentences that are added in batches."""

    def __init__(self, sentences: Sequence[str], further: Iterable[str] = ()) -> None:
        """Prepare for the test sentences; the words of `further` texts are counted in the training data as well."""
        self.words = [words(sentence) for sentence in sentences]
        self.texts: dict[str, list[int]] = {}
        for number, sentence in enumerate(sentences):
            self.texts.setdefault(same_text(sentence), []).append(number)
        self.lengths = np.array([len(own) for own in self.words], np.int64)
        self.similarity = np.zeros(len(sentences))
        self.nearest = np.full(len(sentences), -1, np.int64)
        self.exact = np.zeros(len(sentences), np.bool_)
        self.counted = {word for own in self.words for word in own}.union(*(words(text) for text in further))
        self.occurrences: Counter[str] = Counter()
        self.seen = 0
        # The k-th occurrence of a word is a feature of its own, so that repeated words count as often as both have
        # them. `postings` lists the test sentences of each feature; `starts` is where the list of each one begins.
        self.features: dict[tuple[str, int], int] = {}
        postings: list[list[int]] = []
        for number, own in enumerate(self.words):
            for feature in _occurrences(own):
                place = self.features.setdefault(feature, len(postings))
                if place == len(postings):
                    postings.append([])
                postings[place].append(number)
        self.counts = np.array([len(posting) for posting in postings], np.int64)
        self.starts = np.cumsum(self.counts) - self.counts
        self.postings = np.array([number for posting in postings for number in posting], np.int64)

    def add(self, sentences: Sequence[str]) -> None:
        size = max(1, CELLS // max(1, len(self.words)))
        for start in range(0, len(sentences), size):
            self._add(sentences[start : start + size])

    def _add(self, sentences: Sequence[str]) -> None:
        batch = [words(sentence) for sentence in sentences]
        rows, features = [], []
        for row, own in enumerate(batch):
            self.occurrences.update(word for word in own if word in self.counted)
            for feature in _occurrences(own):
                place = self.features.get(feature)
                if place is not None:
                    rows.append(row)
                    features.append(place)
        for sentence in sentences:
            for number in self.texts.get(same_text(sentence), ()):
                self.exact[number] = True
        if features:
            self._match(batch, np.array(rows, np.int64), np.array(features, np.int64))
        self.seen += len(batch)

    def _match(self, batch: Sequence[list[str]], rows: Integers, features: Integers) -> None:
        """Find the test sentences that a training sentence of the batch is more similar to than all before it."""
        from rapidfuzz.distance import Levenshtein

        # A sparse matrix product: each feature of a training sentence adds 1 to the cell (training sentence, test
        # sentence) of every test sentence in the feature's postings.
        counts = self.counts[features]
        # [all postings of all features]: for each feature the places start, start + 1, ..., start + count - 1
        places = np.repeat(self.starts[features] - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
        cells = np.repeat(rows, counts) * len(self.words) + self.postings[places]
        # [training sentences, test sentences]
        shared = np.bincount(cells, minlength=len(batch) * len(self.words)).reshape(len(batch), -1)
        lengths = np.array([len(own) for own in batch])
        bound = shared / np.maximum(np.maximum(lengths[:, None], self.lengths), 1)  # distance >= longer - shared
        for number in np.flatnonzero((bound > self.similarity).any(axis=0)).tolist():
            candidates = np.flatnonzero(bound[:, number] > self.similarity[number])
            for row in candidates[np.argsort(-bound[candidates, number], kind="stable")].tolist():
                best = self.similarity[number]
                if bound[row, number] <= best:
                    break
                similarity = Levenshtein.normalized_similarity(batch[row], self.words[number], score_cutoff=best)
                if similarity > best:
                    self.similarity[number], self.nearest[number] = similarity, self.seen + row

    def overlap(self) -> Overlap:
        """What has been found so far."""
        return Overlap(self.similarity, self.nearest, self.exact, self.occurrences)


def _occurrences(own: Sequence[str]) -> Iterable[tuple[str, int]]:
    """Each word with the number of its earlier occurrences in the sentence."""
    before: dict[str, int] = {}
    for word in own:
        count = before.get(word, 0)
        before[word] = count + 1
        yield word, count


@dataclass
class TrainingOverlap:
    """A test set compared with the training data."""

    source: Overlap
    target: Overlap
    """Overlap of the references; of several, the one that is most similar to the training data."""
    pair: npt.NDArray[np.bool_]
    """Whether a single training pair has both the source and a reference, apart from case and spaces."""

    @property
    def leaked(self) -> npt.NDArray[np.bool_]:
        """Test sentences of which the source or a reference is a near duplicate of a training sentence."""
        result: npt.NDArray[np.bool_] = self.source.near | self.target.near
        return result


def compare_with_training(
    sources: Sequence[str],
    references: Sequence[Sequence[str]],
    hypotheses: Sequence[str],
    training: Iterable[tuple[Sequence[str], Sequence[str]]],
) -> TrainingOverlap:
    """Compare a test set with the training data.

    references: `references[r][sentence]`
    hypotheses: only their words are looked up
    training: batches of training pairs: a list of sources and a list of targets
    """
    source = Comparison(sources)
    target = Comparison([text for reference in references for text in reference], hypotheses)
    pair = np.zeros(len(sources), np.bool_)
    known = [{same_text(text) for text in texts} for texts in zip(*references, strict=True)]
    for training_sources, training_targets in training:
        source.add(training_sources)
        target.add(training_targets)
        for one, other in zip(training_sources, training_targets, strict=True):
            for number in source.texts.get(same_text(one), ()):
                pair[number] |= same_text(other) in known[number]
    return TrainingOverlap(source.overlap(), _most_similar(target.overlap(), len(references)), pair)


def _most_similar(overlap: Overlap, references: int) -> Overlap:
    """The largest overlap of each sentence among the overlaps of several references."""
    similarity = overlap.similarity.reshape(references, -1)
    best, columns = similarity.argmax(axis=0), np.arange(similarity.shape[1])
    return Overlap(
        similarity[best, columns],
        overlap.nearest.reshape(references, -1)[best, columns],
        np.asarray(overlap.exact.reshape(references, -1).any(axis=0), np.bool_),
        overlap.occurrences,
    )
