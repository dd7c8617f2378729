"""What the tasks share whose network writes labels: the loss, and the scores of the labels."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nmt.data.examples import IGNORED, LabelBatch, Texts
from nmt.model_folder import ModelFolder
from nmt.network.label_chain import label_chain_loss
from nmt.network.loss import output_cross_entropy, real_positions
from nmt.prediction.label_chain import best_labels
from nmt.prediction.predictor import Prediction
from nmt.scores.labels import LabelScores
from nmt.search.engine import Floats
from nmt.tasks.examples import ExampleTask
from nmt.tasks.task import Say
from nmt.text.labels import Ids


class LabelTask(ExampleTask):
    """Examples with labels, cross-entropy of the labels, validation by their scores."""

    outputs = "labels"

    @abstractmethod
    def score(self, gold: Sequence[Ids], predicted: Sequence[Ids]) -> LabelScores:
        """The scores of the labels of each example against the right ones."""

    @classmethod
    def evaluate(cls, folder: ModelFolder, texts: Texts, predictions: Sequence[Prediction]) -> LabelScores:
        """The scores of a model's predictions for the examples of a split."""
        task = cls(folder.config, (folder.source_vocabulary, folder.target_vocabulary), torch.device("cpu"))
        labels = folder.target_vocabulary
        predicted = [np.array([labels.ids[label] for label in found.labels], np.int64) for found in predictions]
        return task.score(task.represent(texts, "", lambda line: None).labels, predicted)

    def prepare(self, say: Say) -> None:
        """The examples of both splits, and the weight of each label."""
        super().prepare(say)
        self.label_weights = self._label_weights().to(self.device)

    def _label_weights(self) -> Tensor:
        """w_c proportional to p_c^-a with a = `training.class_weights`; a label of the data has a mean weight of 1."""
        counts = np.bincount(np.concatenate(self.corpus.labels), minlength=len(self.target_vocabulary))
        shares = np.maximum(counts, 1) / counts.sum()
        weights = shares**-self.settings.class_weights
        return torch.tensor(weights / (weights @ shares), dtype=torch.float32)

    def loss(self, model: Any, readout: Tensor, batch: LabelBatch) -> tuple[Tensor, Tensor]:
        """The smoothed, weighted cross-entropy and the plain negative log-likelihood, summed, in nats.

        readout: [1 or length, batch, hidden]
        """
        if model.transitions is not None:
            loss = label_chain_loss(model.output(readout), model.transitions, batch.labels, IGNORED)
            return loss, loss.detach()
        rows, wanted, _ = real_positions(readout, batch.labels, batch.count, IGNORED)
        weights = self.label_weights[wanted] if self.settings.class_weights else None
        output = model.output_weight, model.output_bias
        return output_cross_entropy(rows, *output, wanted, self.settings.label_smoothing, weights)

    def best(self, model: Any, output: Floats) -> Ids:
        """The most probable labels, [units]."""
        chain = model.transitions
        best: Ids = output.argmax(-1) if chain is None else best_labels(output, chain.float().cpu().numpy())
        return best
