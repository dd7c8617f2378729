"""Scores of predicted numbers: the root of the mean squared error, and R squared.

    RMSE = sqrt(mean (y - f)^2)          R squared = 1 - sum (y - f)^2 / sum (y - mean y)^2

R squared is 1 for perfect predictions and 0 for those that are always the mean. Where a position has several numbers,
R squared is the mean of theirs, and RMSE that over all of them. Confidence intervals are those of the bootstrap over
examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmt.scores.labels import Floats, Score, Scores, drawn_examples


class NumberScore(Score):
    """A score in the unit of the data, with its 95 % confidence interval."""

    form = ".4g"


@dataclass
class NumberScores(Scores):
    """The scores of a set of numbers: `r_squared` and `rmse`."""

    each: list[tuple[float, float]]
    """R squared and RMSE of each number of a vector."""

    def describe(self) -> list[str]:
        """Scores, and those of each number if there are several."""
        lines = super().describe()
        if len(self.each) > 1:
            lines += ["", "number  R squared        RMSE"]
            lines += [
                f"{place:>6}{r_squared:11.4f}{rmse:12.4g}" for place, (r_squared, rmse) in enumerate(self.each, 1)
            ]
        return lines


def score_numbers(gold: Sequence[Any], predicted: Sequence[Any]) -> NumberScores:
    """The scores of predicted numbers, [positions, numbers] for each example."""
    center = np.concatenate(gold).mean(0)
    counts = np.array([len(one) for one in gold], np.float64)
    errors = np.array([((one - other) ** 2).sum(0) for one, other in zip(gold, predicted, strict=True)], np.float64)
    sums, squares = (np.array([((one - center) ** power).sum(0) for one in gold], np.float64) for power in (1, 2))

    def each(weights: Floats) -> tuple[Floats, Floats]:
        """R squared and the mean squared error of each number if the examples occur so often."""
        count, error = weights @ counts, weights @ errors
        spread = weights @ squares - (weights @ sums) ** 2 / count
        return 1 - error / np.maximum(spread, 1e-30), error / count

    def scores(weights: Floats) -> tuple[float, float]:
        r_squared, error = each(weights)
        return float(r_squared.mean()), float(np.sqrt(error.mean()))

    found, samples = each(np.ones(len(gold))), [scores(weights) for weights in drawn_examples(len(gold))]
    made: dict[str, Score] = {}
    for place, (name, shown) in enumerate({"r_squared": "R squared", "rmse": "RMSE"}.items()):
        low, high = np.percentile([sample[place] for sample in samples], (2.5, 97.5))
        made[name] = NumberScore(shown, scores(np.ones(len(gold)))[place], float(low), float(high))
    return NumberScores(made, list(zip(found[0].tolist(), np.sqrt(found[1]).tolist(), strict=True)))
