"""What a test set shares with the training data: duplicates, near duplicates, similarity, how often words were seen.

The similarity of two sentences is the fuzzy match score of translation memories,

    1 - distance(a, b) / max(|a|, |b|)

with the Levenshtein distance of their words (Koehn & Senellart 2010, Convergence of translation memory and statistical
machine translation; Bulte & Tezcan 2019, https://aclanthology.org/P19-1175, section 3.2). A test sentence's similarity
to the training data is that to the most similar training sentence. It is exact, not sampled: a distance is computed
only where the words that two sentences share, which bound it, leave room for a better match.

The training data are read once, in batches; memory follows the test set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nmt.report.words import same_text, words

NEAR = 0.8
"""Similarity from which a sentence counts as a near duplicate: of ten words at most two differ."""

CELLS = 1 << 20
"""Pairs of a training and a test sentence whose shared words are counted at once."""

Integers = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]


@dataclass
class Overlap:
    """One side of a test set beside the same side of the training data; one item for each test sentence."""

    similarity: Doubles
    """To the most similar training sentence, 0 to 1."""
    nearest: Integers
    """Its place in the training data, from 0; -1 where no word is shared with any."""
    exact: npt.NDArray[np.bool_]
    """Whether the sentence itself, but for case and spaces, is in the training data."""
    occurrences: Counter[str]
    """How often each word of the test set stands in the training data; words that never do are absent."""
    sentences: int
    """Training sentences."""

    @property
    def near(self) -> npt.NDArray[np.bool_]:
        """Near duplicates, the exact ones among them."""
        result: npt.NDArray[np.bool_] = self.exact | (self.similarity >= NEAR)
        return result


class Comparison:
    """Finds the overlap of a test set with training sentences that are handed over in batches."""

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
        # The k-th occurrence of a word is a feature of its own, so shared features are shared words, repetitions too.
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
        """Compare with further training sentences."""
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

        # every (training sentence, test sentence) that shares a feature, once for each: a sparse product
        counts = self.counts[features]
        places = np.repeat(self.starts[features] - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
        cells = np.repeat(rows, counts) * len(self.words) + self.postings[places]
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
        return Overlap(self.similarity, self.nearest, self.exact, self.occurrences, self.seen)


def _occurrences(own: Sequence[str]) -> Iterable[tuple[str, int]]:
    """Each word with the number of times it came before."""
    before: dict[str, int] = {}
    for word in own:
        count = before.get(word, 0)
        before[word] = count + 1
        yield word, count


@dataclass
class TrainingOverlap:
    """A test set beside the training data."""

    source: Overlap
    target: Overlap
    """Of the references; with several, of the one that is most similar to the training data."""
    pair: npt.NDArray[np.bool_]
    """Whether one and the same training pair has both the source and a reference, but for case and spaces."""

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
    """Look for a test set in the training data.

    references: `references[r][sentence]`
    hypotheses: only their words are looked up
    training: batches of training pairs, sources and targets apart
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
    """Of the overlaps of several references the largest of each sentence."""
    similarity = overlap.similarity.reshape(references, -1)
    best, columns = similarity.argmax(axis=0), np.arange(similarity.shape[1])
    return Overlap(
        similarity[best, columns],
        overlap.nearest.reshape(references, -1)[best, columns],
        np.asarray(overlap.exact.reshape(references, -1).any(axis=0), np.bool_),
        overlap.occurrences,
        overlap.sentences,
    )
