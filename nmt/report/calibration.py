"""Calibration: of the predictions that a model makes with probability 0.8, 80 % should be correct.

Guo et al. (2017), On calibration of modern neural networks, https://arxiv.org/abs/1706.04599; for translation Kumar &
Sarawagi (2019), Calibration of encoder decoder models, https://arxiv.org/abs/1903.00802.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nmt.scores.significance import PartScore
from nmt.search.engine import Engine
from nmt.search.scoring import force
from nmt.text.vocabulary import END

BINS = 10
"""Number of intervals of equal width into which the probabilities are sorted."""


@dataclass
class Predictions:
    """A model's predictions at each position of the references, after reading the reference up to there."""

    confidence: npt.NDArray[np.float64]
    """Probability of the most probable symbol, [positions]."""
    correct: npt.NDArray[np.bool_]
    """Whether that symbol is the reference's, [positions]."""
    log_prob: npt.NDArray[np.float64]
    """Natural logarithm of the probability of the reference's symbol, [positions]."""
    is_end: npt.NDArray[np.bool_]
    """Whether the reference's symbol is the end symbol, [positions]."""


@dataclass
class Bin:
    """The predictions whose probability is in one interval."""

    low: float
    high: float
    """Upper end, which belongs to the interval; the lower end belongs to it only in the first interval."""
    predictions: int
    confidence: float
    """Mean probability."""
    accuracy: float
    """Share of correct predictions."""


@dataclass
class Calibration:
    """Probabilities compared with observed frequencies."""

    bins: list[Bin]
    """The intervals that have predictions, in order."""
    error: float
    """Expected calibration error, 0 to 1: see `calibration`."""
    confidence: float
    """Mean probability of the most probable symbol."""
    accuracy: float
    """Share of positions where it is the reference's symbol."""
    end_confidence: float
    """Mean probability of the most probable symbol where the reference ends."""
    end_accuracy: float
    """Share of the ends that are predicted correctly."""
    perplexity: float
    """Perplexity per piece of the references, ends included: exp of the mean negative log-probability."""
    positions: int


@dataclass
class SentenceCalibration:
    """Whether the model knows which of its translations are good: groups of equal size, the least sure first."""

    correlation: float
    """Spearman's rank correlation, -1 to 1, of a sentence's mean probability with its chrF2."""
    parts: list[PartScore]
    """Scores of each group, whose name is its range of mean probabilities."""
    sureness: list[float]
    """Mean over the group of the geometric mean of a translation's piece probabilities."""
    probability: list[float]
    """Mean over the group of the probability of the whole translation."""
    equal: list[float]
    """Share of the group that equals a reference. It would equal `probability` for a calibrated model if the reference
    were the only correct translation."""
    confidence: list[float | None]
    """Mean over the group of `Translation.confidence`; None if the model has no calibration."""
    good: list[float]
    """Share of the group whose chrF2 is at least `nmt.scores.confidence.GOOD`."""


GROUPS = 5
"""Number of groups into which sentences are divided by the model's confidence."""


def calibration(predictions: Predictions) -> Calibration:
    """Mean probability and accuracy in each interval, and the expected calibration error (Guo et al. 2017, eq. 3)

    sum_b n_b / n |accuracy_b - confidence_b|
    """
    confidence, correct = predictions.confidence, predictions.correct.astype(np.float64)
    # the interval of each prediction, [positions]; its upper end belongs to an interval
    places = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    bins = []
    for place in np.unique(places).tolist():
        own = places == place
        mean = float(confidence[own].mean()), float(correct[own].mean())
        bins.append(Bin(place / BINS, (place + 1) / BINS, int(own.sum()), *mean))
    positions, ends = len(confidence), predictions.is_end
    return Calibration(
        bins=bins,
        error=sum(own.predictions * abs(own.accuracy - own.confidence) for own in bins) / positions,
        confidence=float(confidence.mean()),
        accuracy=float(correct.mean()),
        end_confidence=float(confidence[ends].mean()),
        end_accuracy=float(correct[ends].mean()),
        perplexity=math.exp(min(float(-predictions.log_prob.mean()), 700)),
        positions=positions,
    )


def predict_references(
    engine: Engine, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]], batch_size: int = 64
) -> Predictions:
    """The model's predictions at each position of given translations, ends included (teacher forcing).

    Pairs with an empty source are left out, as search leaves them out too.

        sources, targets: ids of each sentence, without begin and end symbol
    """
    # longest first, so that the sentences of a batch are of similar length
    order = sorted((i for i in range(len(sources)) if len(sources[i])), key=lambda i: -len(targets[i]))
    parts = []
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        for step in force(engine, [sources[i] for i in batch], [targets[i] for i in batch]):
            best, rows = step.log_probs.argmax(axis=1), np.arange(len(step.pairs))
            most, log_prob = (step.log_probs[rows, ids].astype(np.float64) for ids in (best, step.symbols))
            parts.append((np.exp(most), best == step.symbols, log_prob, step.symbols == END))
    return Predictions(*map(np.concatenate, zip(*parts, strict=True)))


def sentence_groups(values: Sequence[float]) -> list[list[int]]:
    """The indices of the values in groups of equal size, lowest values first; fewer groups if there are few values."""
    order = sorted(range(len(values)), key=lambda place: (values[place], place))
    groups = min(GROUPS, len(order))
    return [order[len(order) * own // groups : len(order) * (own + 1) // groups] for own in range(groups)]


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Spearman's rank correlation: Pearson's correlation of the ranks, where equal values share their mean rank; 0 if
    one side is constant."""
    ranks = [_ranks(np.asarray(values, np.float64)) for values in (one, other)]
    centred = [own - own.mean() for own in ranks]
    scale = math.sqrt(float((centred[0] ** 2).sum() * (centred[1] ** 2).sum()))
    return float((centred[0] * centred[1]).sum()) / scale if scale else 0.0


def _ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray(last - (counts - 1) / 2, np.float64)[inverse]
