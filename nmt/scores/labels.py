"""Scores of labels: accuracy, precision, recall and F1 of each label, and the confusion matrix.

    precision = tp / (tp + fp)          recall = tp / (tp + fn)          F1 = 2 tp / (2 tp + fp + fn)

Macro F1 is the mean of F1 over the labels that occur in the test set or in the predictions. Confidence intervals are
those of the bootstrap: the examples, which may have several labels, are drawn again with replacement.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

SAMPLES = 1000

SHOWN_LABELS = 20
"""Largest confusion matrix that is printed."""


@dataclass
class Score:
    """A score in per cent with its 95 % confidence interval."""

    name: str
    value: float
    low: float
    high: float
    form = ".2f"
    """How its numbers are written."""

    @property
    def interval(self) -> str:
        """The ends of the interval as text: `31.20 to 33.41`."""
        return f"{self.low:{self.form}} to {self.high:{self.form}}"

    def __str__(self) -> str:
        return f"{self.value:{self.form}} (95 %: {self.interval})"


@dataclass
class Scores:
    scores: dict[str, Score]
    """The scores by their names in the setting `training.best_by`: `accuracy`, `macro_f1` and others."""

    def metrics(self) -> dict[str, float]:
        """The values, for the records of a training."""
        return {name: score.value for name, score in self.scores.items()}

    def summary(self) -> str:
        """The values in one line."""
        return ", ".join(f"{score.name} {score.value:{score.form}}" for score in self.scores.values())

    def results(self) -> dict[str, str]:
        """The values with their intervals, by name."""
        return {score.name: str(score) for score in self.scores.values()}

    def describe(self) -> list[str]:
        """The lines that `nmt evaluate` prints."""
        return [f"{score.name:<10}{score}" for score in self.scores.values()]


@dataclass
class LabelScores(Scores):
    """The scores of a set of labels."""

    labels: Sequence[str]
    confusion: Counts
    """How often each right label (row) was predicted as each label (column), [labels, labels]."""

    def describe(self) -> list[str]:
        """Scores, a table of the labels, and a small confusion matrix."""
        lines = super().describe()
        right, gold, predicted = np.diag(self.confusion), self.confusion.sum(1), self.confusion.sum(0)
        width = max(len("label"), *map(len, self.labels))
        lines += ["", f"{'label':<{width}}  precision  recall     F1   examples"]
        for number in np.argsort(-gold, kind="stable"):
            values = [100 * right[number] / max(1, total[number]) for total in (predicted, gold)]
            f1 = 100 * f1_scores(self.confusion)[number]
            lines.append(f"{self.labels[number]:<{width}}  {values[0]:9.2f}{values[1]:8.2f}{f1:7.2f}{gold[number]:11,}")
        if len(self.labels) <= SHOWN_LABELS:
            lines += [
                "",
                "confusion matrix: a row for each right label, a column for each predicted one",
                *self._matrix(),
            ]
        return lines

    def _matrix(self) -> list[str]:
        names = [label[:12] for label in self.labels]
        widths = [max(len(name), len(str(column.max()))) for name, column in zip(names, self.confusion.T, strict=True)]
        first = max(map(len, names))
        rows = [["", *names], *([name, *map(str, row)] for name, row in zip(names, self.confusion, strict=True))]
        return [
            f"{row[0]:<{first}}  " + "  ".join(f"{cell:>{width}}" for cell, width in zip(row[1:], widths, strict=True))
            for row in rows
        ]

    def values(self) -> dict[str, object]:
        """All of it as JSON."""
        return {
            "scores": {name: vars(score) for name, score in self.scores.items()},
            "labels": list(self.labels),
            "confusion": self.confusion.tolist(),
        }


def f1_scores(confusion: Counts) -> Floats:
    """F1 of each label, [labels]; 0 for one that never occurs."""
    total = confusion.sum(1) + confusion.sum(0)  # 2 tp + fp + fn
    return np.asarray(2 * np.diag(confusion) / np.maximum(total, 1))


def score_labels(gold: Counts, predicted: Counts, labels: Sequence[str], examples: Counts | None = None) -> LabelScores:
    """Accuracy and macro F1.

    gold, predicted: numbers of labels, [positions]
    examples: the number of the example that each position belongs to, [positions]; None if each is one of its own
    """
    if examples is None:
        examples = np.arange(len(gold))
    count, right, size = int(examples[-1]) + 1, gold == predicted, len(labels)

    def scores(weights: Floats) -> tuple[float, float]:
        """Accuracy and macro F1 if the examples occur so often, [examples]."""
        each = weights[examples]
        of_gold, of_predicted = (np.bincount(side, each, size) for side in (gold, predicted))
        true, total = np.bincount(gold[right], each[right], size), of_gold + of_predicted
        return float(true.sum() / of_gold.sum()), float((2 * true / np.maximum(total, 1e-9))[total > 0].mean())

    found = scores(np.ones(count))
    samples = [scores(weights) for weights in drawn_examples(count)]
    names = {"accuracy": "accuracy", "macro_f1": "macro F1"}
    made = {
        name: interval(shown, value, sampled)
        for (name, shown), value, sampled in zip(names.items(), found, zip(*samples, strict=True), strict=True)
    }
    return LabelScores(made, labels, np.bincount(gold * size + predicted, minlength=size**2).reshape(size, size))


def is_entity_scheme(labels: Sequence[str]) -> bool:
    """Whether labels mark entities: `O`, and others that begin with B-, I-, E- or S-."""
    return any(label.startswith("B-") for label in labels) and all(re.match(r"O$|[BIES]-.", label) for label in labels)


def entities(labels: Sequence[str]) -> set[tuple[str, int, int]]:
    """The entities of a sentence: kind, first word, word after the last one.

    B-X begins an entity, I-X continues one of the same kind and begins one otherwise (as in the evaluation of CoNLL
    2003); S-X is an entity of one word, and E-X is the last word of one.
    """
    found, kind, start = set[tuple[str, int, int]](), "", 0
    for place, label in enumerate([*labels, "O"]):
        prefix, _, own = label.partition("-")
        begins = prefix in ("B", "S") or (prefix in ("I", "E") and own != kind)
        if kind and (begins or prefix == "O"):
            found.add((kind, start, place))
            kind = ""
        if begins:
            kind, start = own, place
        if prefix in ("S", "E"):
            found.add((kind, start, place + 1))
            kind = ""
    return found


def score_entities(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> Score:
    """F1 of entities: the right ones have the kind, the first and the last word of an entity of the data."""
    both = [(entities(one), entities(other)) for one, other in zip(gold, predicted, strict=True)]
    counts = np.array([(2 * len(one & other), len(one) + len(other)) for one, other in both], np.float64)

    def f1(weights: Floats) -> float:
        right, total = weights @ counts
        return float(right / total) if total else 1.0

    samples = [f1(weights) for weights in drawn_examples(len(counts))]
    return interval("entity F1", f1(np.ones(len(counts))), samples)


def drawn_examples(count: int) -> Iterator[Floats]:
    """How often each example occurs in each bootstrap sample, [examples]."""
    rng = np.random.default_rng(12345)
    for _ in range(SAMPLES):
        yield np.bincount(rng.integers(count, size=count), minlength=count).astype(np.float64)


def interval(name: str, value: float, samples: Sequence[float]) -> Score:
    """A score with its 95 % interval: percentiles of the bootstrap samples."""
    low, high = np.percentile(samples, (2.5, 97.5))
    return Score(name, *(100 * float(number) for number in (value, low, high)))
