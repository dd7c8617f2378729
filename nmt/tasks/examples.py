"""What the tasks share whose network is an encoder: examples in batches, their passes, validation."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nmt.config import Config
from nmt.data.batching import Pool, to_device
from nmt.data.examples import (
    Examples,
    LabelBatch,
    LabelBatcher,
    Texts,
    check_examples,
    read_texts,
)
from nmt.errors import UserError
from nmt.model_folder import ModelFolder
from nmt.network.encoder_model import EncoderModel
from nmt.prediction.predictor import Prediction
from nmt.tasks.task import Model, Say, Task, Validation
from nmt.text.labels import represent_sources

VALIDATION_POSITIONS = 1 << 14
"""Most positions of a validation batch, padding included; a longer input is alone in its batch."""


def read_splits(
    config: Config, represent: Callable[[Texts, str, Say], Examples], say: Say, note: str = ""
) -> tuple[Examples, Examples, Texts]:
    """The examples for training and for validation, and the latter as they were read; two lines say what there is.

    represent: makes the examples of a split as the network reads them
    note: follows what is said about the training data
    """
    started = time.perf_counter()
    texts = read_texts(config.data, "train", config.side_kinds)
    training = represent(texts, "train", say)
    say(f"training data: {texts}{note}")
    texts = read_texts(config.data, "validation", config.side_kinds)
    validation = represent(texts, "validation", say)
    say(f"validation data: {texts}; prepared in {time.perf_counter() - started:.1f} s")
    return training, validation, texts


def short_enough(
    sequences: Sequence[Sequence[Any]], longest: int, names: tuple[str, str], split: str, say: Say
) -> list[int]:
    """The places of the sequences that are used: for training only those of at most `longest` positions.

    A line says how many are left out; raises UserError if all are.

    names: what a sequence and what its positions are called
    """
    kept = [i for i, one in enumerate(sequences) if split != "train" or len(one) <= longest]
    what, unit = names
    if len(kept) < len(sequences):
        say(
            f"{len(sequences) - len(kept):,} of {len(sequences):,} training {what}s have more than {longest} {unit} "
            "(`data.max_length`) and are left out"
        )
    if not kept:
        raise UserError(f"each training {what} has more than {longest} {unit}; raise `data.max_length`")
    return kept


class ExampleTask(Task):
    """Examples with targets, an EncoderModel, and validation by the scores of what it predicts."""

    outputs: str
    """What the network writes: `labels`."""

    @abstractmethod
    def represent(self, texts: Texts, split: str, say: Say) -> Examples:
        """The examples of a split as the network reads them."""

    @abstractmethod
    def loss(self, model: Any, readout: Tensor, batch: LabelBatch) -> tuple[Tensor, Tensor]:
        """The loss to minimise and the one that is reported, both summed over the targets.

        readout: [1 or length, batch, hidden]
        """

    @abstractmethod
    def score(self, gold: Sequence[Any], predicted: Sequence[Any]) -> Any:
        """The scores of what was predicted for each example: `LabelScores`, or an object with the same methods."""

    @classmethod
    @abstractmethod
    def evaluate(cls, folder: ModelFolder, texts: Texts, predictions: Sequence[Prediction]) -> Any:
        """The scores of a model's predictions for the examples of a split."""

    @staticmethod
    def check(config: Config) -> None:
        """A split that is missing must stop the run now, not after the vocabulary has been learned."""
        if config.training.truncation and (config.model.bidirectional or config.pooled):
            raise UserError(
                "`training.truncation` must be 0 unless `model.bidirectional = false` and there is an output at each "
                f"position, but is {config.training.truncation}: the outputs depend on the whole input"
            )
        check_examples(config)

    def prepare(self, say: Say) -> None:
        """The examples of both splits."""
        note = f", {len(self.target_vocabulary)} {self.outputs}"
        self.corpus, self.validation, _ = read_splits(self.config, self.represent, say, note)
        batcher = (self.source_vocabulary, self.config)
        self.batcher = LabelBatcher(self.corpus, *batcher)
        self.validation_batcher = LabelBatcher(self.validation, *batcher)

    def cut_sources(self, texts: Texts, split: str, say: Say) -> list[Any]:
        """The first `data.max_length` pieces or vectors of each source; a line says how many sources are cut."""
        longest = self.config.data.max_length
        sources = represent_sources(self.source_vocabulary, texts.sources, longest + 1, texts.where)
        cut = sum(len(ids) > longest for ids in sources)
        if cut:
            what, unit = ("examples", "vectors") if self.config.reads_vectors else ("texts", "pieces")
            say(
                f"{cut:,} of {len(sources):,} {split} {what} have more than {longest} {unit}, of which only the first "
                f"{longest} are read (`data.max_length`)"
            )
        return [np.array(ids[:longest]) for ids in sources]

    def short_enough(self, sources: Sequence[Any], split: str, say: Say) -> list[int]:
        """The places of the sources that are used, as `short_enough` chooses them."""
        names = ("example", "vectors") if self.config.reads_vectors else ("text", "pieces")
        return short_enough(sources, self.config.data.max_length, names, split, say)

    def batch_tokens(self, pool: Pool) -> list[int]:
        """Targets of each batch."""
        return [sum(len(pool.target[i]) for i in batch) for batch in pool.batches]

    def backward(
        self, model: Any, batch: LabelBatch, *, tokens: float | Tensor, seed: int, progress: float
    ) -> tuple[Tensor, Tensor]:
        """The passes of a batch.

        With `training.truncation` the input is read in stretches of that length: each is propagated back at once, and
        only the state is carried on, so that the activations of a single stretch take memory (truncated
        backpropagation through time, Williams & Peng 1990).
        """
        torch.manual_seed(seed)
        total = total_reported = torch.zeros((), device=self.device)
        stretch, state = self.settings.truncation or len(batch.source), None
        for start in range(0, len(batch.source), stretch):
            part = batch
            with self.autocast():
                if stretch < len(batch.source):
                    source, labels = (side[start : start + stretch] for side in (batch.source, batch.labels))
                    part = replace(batch, source=source, labels=labels, target_tokens=0.0)  # not counted
                    readout, state = model.read_on(source, batch.lengths - start, state)
                else:
                    readout = model(batch.source, batch.lengths)
                loss, reported = self.loss(model, readout, part)
            (loss / tokens).backward()  # type: ignore[no-untyped-call]
            total, total_reported = total + loss.detach(), total_reported + reported
        return total, total_reported

    @torch.no_grad()
    def validate(self, model: Model, check: Callable[[], None]) -> Validation:
        """Loss and scores."""
        assert isinstance(model, EncoderModel)
        total, predicted = 0.0, list[Any]([None] * len(self.validation))
        for batch in self.validation_batcher.in_order(VALIDATION_POSITIONS):
            batch = to_device(batch, self.device)
            with self.autocast():
                readout = model(batch.source, batch.lengths)
                total += self.loss(model, readout, batch)[1].item()
                output = model.output(readout).float().cpu().numpy()
            for column, index in enumerate(batch.indices):
                predicted[index] = self.best(model, output[self.validation.places[index], column])
            check()
        scores = self.score(self.validation.labels, predicted)
        loss = total / sum(map(len, self.validation.labels))
        return Validation(
            metrics={"loss": loss, **scores.metrics()},
            summary=f"loss {loss:.4f}, {scores.summary()}",
            results={f"validation {name}": value for name, value in scores.results().items()},
        )

    @abstractmethod
    def best(self, model: Any, output: Any) -> Any:
        """What is predicted for an example from the output layer's numbers, [units, outputs]: an array."""
