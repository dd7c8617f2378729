"""What the tasks share whose network writes labels: batches, the loss, validation by the scores of the labels."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nmt.config import Config
from nmt.data.batching import Pool, to_device
from nmt.data.examples import (
    IGNORED,
    Examples,
    LabelBatch,
    LabelBatcher,
    Texts,
    check_examples,
    measure_examples,
    read_texts,
)
from nmt.model_folder import ModelFolder
from nmt.network.encoder_model import EncoderModel
from nmt.network.loss import output_cross_entropy, real_positions, row_negative_log_likelihood
from nmt.prediction.predictor import Prediction
from nmt.scores.labels import LabelScores
from nmt.sizing import Amount
from nmt.tasks.task import Model, Say, Task, Validation
from nmt.text.labels import Ids

VALIDATION_POSITIONS = 1 << 14
"""Most positions of a validation batch, padding included; a longer text is alone in its batch."""


class LabelTask(Task):
    """Examples with labels, an EncoderModel, cross-entropy of the labels, validation by their scores."""

    pooled: bool
    """Whether a text has one label, and not one for each word."""

    @abstractmethod
    def represent(self, texts: Texts, split: str, say: Say) -> Examples:
        """The ids of the examples of a split."""

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

    @staticmethod
    def check(config: Config) -> None:
        """A split that is missing must stop the run now, not after the vocabulary has been learned."""
        check_examples(config)

    @staticmethod
    def measure(config: Config) -> Amount:
        """The amount of training text."""
        return measure_examples(config)

    def prepare(self, say: Say) -> None:
        """The examples of both splits as ids, and the weight of each label."""
        started, data = time.perf_counter(), self.config.data
        texts = read_texts(data, "train", self.config.side_kinds)
        self.corpus = self.represent(texts, "train", say)
        say(f"training data: {texts}, {len(self.target_vocabulary)} labels")
        texts = read_texts(data, "validation", self.config.side_kinds)
        self.validation = self.represent(texts, "validation", say)
        say(f"validation data: {texts}; prepared in {time.perf_counter() - started:.1f} s")
        batcher = (self.source_vocabulary, self.config, self.pooled)
        self.batcher = LabelBatcher(self.corpus, *batcher)
        self.validation_batcher = LabelBatcher(self.validation, *batcher)
        self.label_weights = self._label_weights().to(self.device)

    def _label_weights(self) -> Tensor:
        """w_c proportional to p_c^-a with a = `training.class_weights`; a label of the data has a mean weight of 1."""
        counts = np.bincount(np.concatenate(self.corpus.labels), minlength=len(self.target_vocabulary))
        shares = np.maximum(counts, 1) / counts.sum()
        weights = shares**-self.settings.class_weights
        return torch.tensor(weights / (weights @ shares), dtype=torch.float32)

    def pools(self, epoch: int) -> list[Ids]:
        """The examples in random order, in parts that are sorted by length."""
        return self.batcher.pools(epoch)

    def pool(self, part: Ids, epoch: int, number: int) -> Pool:
        """The pieces of a part's examples with a plan of their batches."""
        return self.batcher.pool(part, epoch, number)

    def batch_tokens(self, pool: Pool) -> list[int]:
        """Labels of each batch."""
        return [sum(len(pool.target[i]) for i in batch) for batch in pool.batches]

    def batch(self, pool: Pool, number: int, update: int) -> LabelBatch:
        """The examples of a batch, padded."""
        return to_device(self.batcher.batch(pool, number, update), self.device)

    def backward(
        self, model: Any, batch: LabelBatch, *, tokens: float | Tensor, seed: int, progress: float
    ) -> tuple[Tensor, Tensor]:
        """Cross-entropy of the labels with label smoothing, weighted by label."""
        torch.manual_seed(seed)
        with self.autocast():
            readout = model(batch.source, batch.lengths)
            loss, negative = self.loss(model, readout, batch)
        (loss / tokens).backward()  # type: ignore[no-untyped-call]
        return loss.detach(), negative

    def loss(self, model: Any, readout: Tensor, batch: LabelBatch) -> tuple[Tensor, Tensor]:
        """The loss and the plain negative log-likelihood, summed, in nats; readout: [1 or length, batch, hidden]."""
        rows, wanted, _ = real_positions(readout, batch.labels, batch.count, IGNORED)
        weights = self.label_weights[wanted] if self.settings.class_weights else None
        output = model.output_weight, model.output_bias
        return output_cross_entropy(rows, *output, wanted, self.settings.label_smoothing, weights)

    def forward(self, model: Any, batch: LabelBatch) -> None:
        """The forward pass alone."""
        with self.autocast():
            self.loss(model, model(batch.source, batch.lengths), batch)

    def place(self, batch: LabelBatch) -> str:
        """The numbers of the examples."""
        return f"training examples {', '.join(map(str, batch.indices[:5]))}{', ...' if len(batch.indices) > 5 else ''}"

    @torch.no_grad()
    def validate(self, model: Model, check: Callable[[], None]) -> Validation:
        """Loss and scores of the labels."""
        assert isinstance(model, EncoderModel)
        negative, predicted = 0.0, [np.zeros(0, np.int64)] * len(self.validation)
        for batch in self.validation_batcher.in_order(VALIDATION_POSITIONS):
            batch = to_device(batch, self.device)
            with self.autocast():
                readout = model(batch.source, batch.lengths)
                rows, wanted, _ = real_positions(readout, batch.labels, batch.count, IGNORED)
                negative += float(
                    row_negative_log_likelihood(rows, model.output_weight, model.output_bias, wanted).sum()
                )
                best = model.output(readout).argmax(-1).cpu().numpy()  # [1 or length, batch]
            for column, index in enumerate(batch.indices):
                predicted[index] = best[self.validation.places[index], column]
            check()
        scores = self.score(self.validation.labels, predicted)
        loss = negative / sum(map(len, self.validation.labels))
        return Validation(
            metrics={"loss": loss, **scores.metrics()},
            summary=f"loss {loss:.4f}, {scores.summary()}",
            results={f"validation {name}": value for name, value in scores.results().items()},
        )
