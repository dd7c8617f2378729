"""What the training loop asks of a task: vocabularies, batches, the passes of a batch, and a validation.

`nmt.training.loop` knows no task; `nmt.config.tasks` lists them.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nmt.config import Config
from nmt.data.batching import batch_rows, split_batch, to_device
from nmt.data.corpus import measure, training_pairs, training_tags, training_texts
from nmt.data.examples import measure_examples, read_texts
from nmt.errors import UserError
from nmt.model_folder import ModelFolder
from nmt.network.model import Network
from nmt.network.precision import mixed_precision
from nmt.scores.confidence import Confidence
from nmt.sizing import Amount
from nmt.text.labels import Labels
from nmt.text.vectors import Scale
from nmt.text.vocabulary import SourceWords, Vocabulary, learn_vocabulary

Say = Callable[[str], None]

Model = Network


@dataclass
class Validation:
    """How good a model is on the validation split."""

    metrics: dict[str, float]
    """The recorded numbers: `loss` (nats per target piece), `perplexity`, and others that the task measures."""
    summary: str
    """For the person at the terminal."""
    results: dict[str, str]
    """For the model card."""
    confidence: Confidence | None = None
    """Of the model's translations, if it translates."""
    samples: Sequence[tuple[str, str, str]] = ()
    """A few sources, the model's translations, and the references."""


def dropout_seed(seed: int, update: int, number: int) -> int:
    """Seed of the generator of a batch's dropout masks."""
    return int(np.random.SeedSequence([seed, update, number]).generate_state(1, np.uint64)[0] >> 1)


def make_vocabularies(config: Config, say: Say = lambda line: None) -> tuple[Any, Any]:
    """The configured SentencePiece models, learned from the training text where none is given.

    A language model has one, that of the target side, given twice. The target side of a task with labels has their list
    instead, and a source of vectors has their scale. A line says when a vocabulary has fewer pieces than asked for.

        config: resolved, so that the number of pieces is known
    """
    settings = config.vocabulary

    def learn(
        texts: Iterable[str], normalization: str, tags: Sequence[str], read: SourceWords | None = None
    ) -> Vocabulary:
        learned = learn_vocabulary(texts, settings, settings.size, normalization, tags, settings.copied_spans, read)
        if len(learned) < settings.size:
            what = "characters" if settings.model_type == "char" else "pieces that occur often enough"
            say(
                f"vocabulary of {len(learned):,} pieces instead of {settings.size:,}: the training text has no more "
                f"{what}; the model is smaller by that, and nothing needs to be changed"
            )
        return learned

    if config.kind.decoder and config.reads_vectors:
        texts = read_texts(config.data, "train", config.side_kinds)
        return Scale.of(texts.sources), learn(texts.targets, "identity", ())
    if not config.kind.decoder:
        texts = read_texts(config.data, "train", config.side_kinds)
        split = str.split if config.kind.target == "labels" else lambda text: [text]
        if config.kind.target == "numbers":
            outputs: Any = Scale.of(texts.targets)
        else:
            outputs = Labels.of(label for target in texts.targets for label in split(target))
        if config.reads_vectors:
            return Scale.of(texts.sources), outputs
        if settings.source is not None:
            return Vocabulary.load(settings.source), outputs
        return learn(texts.sources, settings.normalization, ()), outputs
    if settings.source is not None:
        if settings.joint and settings.target:
            raise UserError("`vocabulary.target` must be unset with a joint vocabulary")
        target = Vocabulary.load(settings.target or settings.source)
        if config.task == "language_model" or settings.joint:
            return target, target
        return Vocabulary.load(settings.source), target
    if config.task == "language_model":
        joint = learn(training_texts(config.data, "text"), "identity", ())
        return joint, joint
    read = SourceWords()
    if settings.copied_spans:
        read.compare(training_pairs(config.data))
    sources, targets = read.count(training_texts(config.data, "source")), training_texts(config.data, "target")
    tags = training_tags(config.data)
    if settings.joint:
        joint = learn(itertools.chain(sources, targets), "identity", tags, read)
        return joint, joint
    return learn(sources, settings.normalization, tags, read), learn(targets, "identity", ())


def vocabularies_of_start(folder: ModelFolder, config: Config) -> tuple[Vocabulary, Any]:
    """The vocabularies of the model that a training starts from, which now know the words of its training text too."""
    source, target = folder.source_vocabulary, folder.target_vocabulary
    if not config.kind.decoder or config.task == "language_model" or config.reads_vectors or not source.has_familiar:
        return source, target
    read = SourceWords()
    read.compare(training_pairs(config.data))
    texts = read.count(training_texts(config.data, "source"))
    if config.vocabulary.joint:
        joint = source.with_words_of(itertools.chain(texts, training_texts(config.data, "target")), read)
        return joint, joint
    return source.with_words_of(texts, read), target


class Task(ABC):
    """What training asks of a task. Batches and pools are the task's own; training only counts and passes them on."""

    best_by: str
    """The score of a `Validation` that chooses the best model; of `loss` less is better, of all others more."""
    carried: dict[str, Tensor]
    """The tensors, apart from the weights, that a batch leaves for the next one; saved with the training state."""

    batcher: Any
    """What makes the pools of an epoch and their batches."""
    target_vocabulary: Any
    """The vocabulary of the target side, its `Labels`, or the `Scale` of its numbers."""
    guess: tuple[float, str]
    """The loss of a guess, and what the guess is; a model with a higher loss has learned nothing."""

    def __init__(self, config: Config, vocabularies: tuple[Vocabulary, Any], device: torch.device) -> None:
        self.config, self.settings, self.device = config, config.training, device
        metrics = config.kind.metrics
        self.best_by = config.training.best_by if config.training.best_by in metrics else next(iter(metrics))
        self.source_vocabulary, self.target_vocabulary = vocabularies
        if not hasattr(self, "guess"):
            size, what = len(vocabularies[1]), "pieces" if config.kind.decoder else "labels"
            self.guess = math.log(size), f"a guess among {size} {what}"
        self.carried = {}
        self.corpus: Any = None
        self.validation: Any = None

    @staticmethod
    @abstractmethod
    def check(config: Config) -> None:
        """Raise UserError for mistakes that show before anything is read."""

    @staticmethod
    def measure(config: Config) -> Amount:
        """The amount of training text, which determines the settings that are `auto`."""
        reads_pairs = config.kind.decoder and not config.reads_vectors
        return measure(config.data, config.task) if reads_pairs else measure_examples(config)

    @abstractmethod
    def prepare(self, say: Say) -> None:
        """Read training and validation data."""

    def pools(self, epoch: int) -> Any:
        """The parts of an epoch."""
        return self.batcher.pools(epoch)

    def pool(self, part: Any, epoch: int, number: int) -> Any:
        """A part ready for training; its `batches` has as many items as there are batches in it."""
        return self.batcher.pool(part, epoch, number)

    @abstractmethod
    def batch_tokens(self, pool: Any) -> list[int]:
        """Target tokens of each batch of a pool."""

    def batch(self, pool: Any, number: int, update: int) -> Any:
        """A batch on the device, with `target_tokens`; `update` seeds the chance in it."""
        return to_device(self.batcher.batch(pool, number, update), self.device)

    @abstractmethod
    def backward(
        self, model: Model, batch: Any, *, tokens: float | Tensor, seed: int, progress: float
    ) -> tuple[Tensor, Tensor]:
        """Forward and backward pass of a batch: adds the gradient of loss / tokens to the weights' `.grad`.

            tokens: target tokens of all batches of this update, divided by the scale of the loss in fp16
            seed: of all chance in it
            progress: share of the training that is done, 0 to 1

        Returns: loss and plain negative log-likelihood, both summed, in nats; they stay on the device, so that the
        processor need not wait for it
        """

    def backward_in_parts(
        self, model: Model, batch: Any, parts: int, *, tokens: float | Tensor, seed: int, progress: float
    ) -> tuple[Tensor, Tensor]:
        """`backward` of some rows of a batch after the others: the same loss and gradient in less memory.

        Each part has chance of its own, so masks of dropout differ from those of the whole batch.
        """
        carried, after, losses, first = self.carried, [], [], 0
        for number, part in enumerate(split_batch(batch, parts)):
            rows = slice(first, first + batch_rows(part))
            self.carried, first = {name: tensor[rows] for name, tensor in carried.items()}, rows.stop
            own = dropout_seed(seed, parts, number)
            losses.append(self.backward(model, part, tokens=tokens, seed=own, progress=progress))
            after.append(self.carried)
        self.carried = {name: torch.cat([each[name] for each in after]) for name in after[0]}
        loss, negative = (torch.stack(each).sum() for each in zip(*losses, strict=True))
        return loss, negative

    def place(self, batch: Any) -> str:
        """Where in the training data a batch comes from."""
        what, rest = self.config.kind.examples.split()[0], ", ..." if len(batch.indices) > 5 else ""
        return f"training {what} {', '.join(map(str, batch.indices[:5]))}{rest}"

    @abstractmethod
    def validate(self, model: Model, check: Callable[[], None]) -> Validation:
        """The score of a model in evaluation mode; calls `check` often, which may raise."""

    @functools.cached_property
    def data_identity(self) -> str:
        """Checksum of the pieces of both splits: other data would not continue the same run."""
        checksum = hashlib.sha256()
        for corpus in (self.corpus, self.validation):
            corpus.add_to(checksum)
        return checksum.hexdigest()

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """The configured precision of the products."""
        return mixed_precision(self.device, self.settings.precision)
