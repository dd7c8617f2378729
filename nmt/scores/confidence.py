"""Confidence: the probability that a translation is good, by logistic regression on its pieces' mean log-probability m.

    P(good) = 1 / (1 + exp(-(intercept + slope x))),   x = -log(SOFTENING - m)

A translation is good if its chrF2 against a reference is at least GOOD. Intercept and slope are fitted by Newton's
method to translations that have references, after Platt (1999), Probabilistic outputs for support vector machines: his
targets (good + 1) / (good + 2) and 1 / (bad + 2), instead of 1 and 0, keep them finite when all translations are good.
Measured on Tatoeba and Multi30k: the lowest log-probability of a piece and the length add nothing to the mean, and the
logarithm fits the confident translations better than m itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

GOOD = 50.0
"""Minimum chrF2 of a good translation. Two thirds of the bundled models' translations of Tatoeba reach it; with any
value from 30 to 80 the probabilities separate good from bad equally well (area under the curve 0.7 to 0.8)."""
SOFTENING = 0.2
"""Nats that are added to the mean negative log-probability; values from 0.1 to 0.5 fit equally well."""
LEAST = 100
"""Minimum number of translations for a fit; the standard error of a share is then at most 5 %."""
FORMAT = 1
"""Version of the file format; it increases when the numbers change their meaning."""


@dataclass(frozen=True)
class Confidence:
    """A fitted regression, and a description of the translations to which it was fitted."""

    intercept: float
    slope: float
    """At least 0: a higher probability never means a lower confidence."""
    sentences: int
    """Number of translations to which it was fitted."""
    good: float
    """Share of good translations among them."""
    error: float
    """Expected calibration error, 0 to 1, where each half is judged by a fit to the other half."""

    def of(self, token_log_probs: Sequence[float]) -> float:
        """The probability that a translation is good.

        token_log_probs: log-probabilities of its pieces and of the end symbol
        """
        z = self.intercept + self.slope * _input(token_log_probs)
        return 0.5 + 0.5 * math.tanh(z / 2)  # 1 / (1 + exp(-z)), without overflow

    def values(self) -> dict[str, Any]:
        """The values for a file."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def of_values(cls, values: dict[str, Any]) -> Confidence:
        """The confidence with these values of a file; raises ValueError if a value is impossible."""
        if values.get("format") != FORMAT:
            raise ValueError(f"it must have format {FORMAT}, but has {str(values.get('format'))[:60]}")
        found = {}
        for name, (low, high) in RANGES.items():
            value = values.get(name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise ValueError(f"`{name}` must be a number from {low:g} to {high:g}, but is {str(value)[:60]}")
            found[name] = value
        return cls(**found)  # type: ignore[arg-type]  # the number of sentences is only told


RANGES = {"intercept": (-1e6, 1e6), "slope": (0, 1e6), "sentences": (0, 1e12), "good": (0, 1), "error": (0, 1)}
"""The range of each value in a file."""


def fit_confidence(token_log_probs: Sequence[Sequence[float]], chrf: Sequence[float]) -> Confidence | None:
    """Fit the regression to translations that have references; None if there are fewer than LEAST.

    Parameters:
        token_log_probs: those of each translation and its end symbol; an empty translation has none and is left out
        chrf: chrF2 of each translation, 0 to 100
    """
    pairs = [(_input(own), score >= GOOD) for own, score in zip(token_log_probs, chrf, strict=True) if own]
    if len(pairs) < LEAST:
        return None
    inputs, good = np.array([(1.0, x) for x, _ in pairs]), np.array([is_good for _, is_good in pairs])
    held_out, first = np.empty(len(good)), np.random.default_rng(0).permutation(len(good)) % 2 == 0
    for half in (first, ~first):
        held_out[half] = _probability(_fit(inputs[~half], good[~half]), inputs[half])
    intercept, slope = _fit(inputs, good).tolist()
    return Confidence(intercept, slope, len(good), float(good.mean()), calibration_error(held_out, good))


def calibration_error(probability: Floats, good: npt.NDArray[np.bool_]) -> float:
    """Expected calibration error: sum_b n_b / n |share of good ones in b - mean probability in b| (Guo et al. 2017)."""
    place = np.minimum((probability * 10).astype(int), 9)  # ten bins of equal width
    return float(np.abs(np.bincount(place, probability - good)).sum() / len(good))


def _input(token_log_probs: Sequence[float]) -> float:
    """x of a translation; an impossible one, or one whose log-probabilities are NaN, has the smallest x."""
    mean = sum(token_log_probs) / len(token_log_probs) if token_log_probs else 0.0
    return -math.log(SOFTENING + max(0.0, min(1e6, -mean)))  # in this order NaN becomes 1e6


def _probability(weights: Floats, inputs: Floats) -> Floats:
    """P(good), [translations], for inputs [translations, 2], which are 1 and x."""
    return np.asarray(0.5 + 0.5 * np.tanh(inputs @ weights / 2))


def _fit(inputs: Floats, good: npt.NDArray[np.bool_]) -> Floats:
    """Intercept and slope with the smallest cross-entropy, by Newton's method with step halving."""
    targets = np.where(good, (good.sum() + 1) / (good.sum() + 2), 1 / ((~good).sum() + 2))

    def loss(weights: Floats) -> float:
        z = inputs @ weights
        return float((np.logaddexp(0, z) - targets * z).sum())

    weights = np.zeros(2)
    for _ in range(100):
        probability = _probability(weights, inputs)
        gradient = inputs.T @ (probability - targets)
        # the ridge makes the matrix invertible where all translations are equally probable
        curvature = (inputs.T * (probability * (1 - probability))) @ inputs + 1e-6 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        while loss(weights - step) > loss(weights) and np.abs(step).max() > 1e-9:
            step /= 2
        weights = weights - step
        if np.abs(step).max() < 1e-9:
            break
    if weights[1] < 0:  # the loss is convex, so the best slope that is allowed is 0
        return np.array([math.log(targets.mean() / (1 - targets.mean())), 0.0])
    return weights
