"""The task of regression: a text or vectors are read, and get numbers, for the whole input or at each position."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nmt.config import Config
from nmt.data.examples import Examples, LabelBatch, Texts
from nmt.errors import UserError
from nmt.model_folder import ModelFolder
from nmt.prediction.predictor import Prediction
from nmt.scores.numbers import NumberScores, score_numbers
from nmt.tasks.examples import ExampleTask
from nmt.tasks.task import Say
from nmt.text.labels import represent_sources
from nmt.text.vectors import Vectors


class RegressionTask(ExampleTask):
    """Inputs with numbers, the mean squared error of the standardised numbers, validation by R squared and RMSE."""

    outputs = "numbers"
    guess = 1.0, "the mean of the training data"
    """Standardised numbers have a variance of 1."""

    @staticmethod
    def check(config: Config) -> None:
        """Numbers at each position need positions that the data have, which pieces are not."""
        if not config.pooled and not config.reads_vectors:
            raise UserError('`model.pooling = "none"` needs `data.input = "vectors"`: texts have no numbers in step')
        ExampleTask.check(config)

    def represent(self, texts: Texts, split: str, say: Say) -> Examples:
        """Sources, and standardised numbers; for numbers at each position training leaves out long examples."""
        check_lengths(texts, self.config.pooled)
        targets = represent_sources(self.target_vocabulary, texts.targets, 1 << 62, texts.where)
        if self.config.pooled:
            places = [np.zeros(1, np.int64)] * len(targets)
            return Examples(self.cut_sources(texts, split, say), places, targets, texts.sources)
        sources = represent_sources(self.source_vocabulary, texts.sources, 1 << 62, texts.where)
        kept = self.short_enough(sources, split, say)
        sides = (sources, [np.arange(len(vectors)) for vectors in sources], targets, texts.sources)
        return Examples(*([side[i] for i in kept] for side in sides))

    def loss(self, model: Any, readout: Tensor, batch: LabelBatch) -> tuple[Tensor, Tensor]:
        """The squared error, averaged over the numbers of a position and summed over positions.

        readout: [1 or length, batch, hidden]
        """
        targets = batch.labels
        real = ~targets.isnan()
        found = model.output(readout).to(targets.dtype)
        squares = torch.where(real, found - targets.nan_to_num(), 0.0).square().sum() / targets.size(-1)
        return squares, squares.detach()

    def best(self, model: Any, output: Vectors) -> Vectors:
        """The numbers themselves."""
        return output

    def score(self, gold: Sequence[Vectors], predicted: Sequence[Vectors]) -> NumberScores:
        """R squared and RMSE in the unit of the data."""
        restored = self.target_vocabulary.restored
        return score_numbers([restored(one) for one in gold], [restored(one) for one in predicted])

    @classmethod
    def evaluate(cls, folder: ModelFolder, texts: Texts, predictions: Sequence[Prediction]) -> NumberScores:
        """The scores of a model's predictions for the examples of a split."""
        check_lengths(texts, folder.config.pooled)
        represent_sources(folder.target_vocabulary, texts.targets, 1 << 62, texts.where)  # their size
        return score_numbers(texts.targets, [np.array(found.numbers) for found in predictions])


def check_lengths(texts: Texts, pooled: bool) -> None:
    """Raises UserError unless each example has one vector of numbers, or one at each of its positions."""
    for row, (source, target) in enumerate(zip(texts.sources, texts.targets, strict=True), start=1):
        if pooled and len(target) != 1:
            raise UserError(
                f"{texts.where} example {row}: the target must be a number or a list of numbers, but is a list of "
                f'{len(target)} vectors; for numbers at each position set `model.pooling = "none"`'
            )
        if not pooled and len(target) != len(source):
            raise UserError(
                f"{texts.where} example {row} has {len(source)} vectors, but numbers for {len(target)} positions; with "
                '`model.pooling = "none"` each position must have its numbers'
            )
