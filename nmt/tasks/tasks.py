"""What can be trained: translation models and language models.

The training loop (`nmt.training.loop`) knows no task. A task gives it vocabularies, batches, a model, the forward and
backward pass of a batch, and a validation.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nmt.config import Config
from nmt.data.batching import Batch, Batcher, Pool, drop_words
from nmt.data.corpus import (
    TextCorpus,
    check_splits,
    load_pairs,
    load_texts,
    prepare_corpus,
    prepare_text,
    training_tags,
)
from nmt.data.text_streams import Chunk, Streams, Text, choose_streams, join_lines, make_chunk, score_text
from nmt.errors import UserError
from nmt.network.language_model import LanguageModel
from nmt.network.model import TranslationModel
from nmt.network.precision import mixed_precision
from nmt.network.torch_engine import TorchEngine
from nmt.scores.evaluation import bleu, make_bleu
from nmt.tasks.objectives import make_objective
from nmt.text.vocabulary import BEGIN, Vocabulary, choose_size, learn_vocabulary
from nmt.translation.translator import Translator

Say = Callable[[str], None]

Model = TranslationModel | LanguageModel

LINES = 4096
"""Lines of a text that are read or segmented at once."""


@dataclass
class Validation:
    """How good a model is on the validation split."""

    decides: float
    """BLEU or loss, as `Task.best_by` says: what chooses the best model."""
    metrics: dict[str, float]
    """What is recorded; `loss` (nats per target piece) and `perplexity` are among it."""
    summary: str
    """For the person at the terminal."""
    results: dict[str, str]
    """For the model card."""


def make_vocabularies(config: Config, say: Say) -> tuple[Vocabulary, Vocabulary]:
    """The configured SentencePiece models, learned from the training text where none is given.

    A language model has one, that of the target side, given twice.
    """
    settings = config.vocabulary
    if settings.source is not None:
        if settings.joint and settings.target:
            raise UserError("`vocabulary.target` must be unset with a joint vocabulary")
        target = Vocabulary.load(settings.target or settings.source)
        if config.task == "language_model" or settings.joint:
            return target, target
        return Vocabulary.load(settings.source), target
    tags: list[str] = []
    if config.task == "language_model":
        texts = [list(load_texts(config.data, "train")["text"])]
    else:
        pairs = load_pairs(config.data, "train")
        texts, tags = [list(pairs["source"]), list(pairs["target"])], training_tags(config.data)
    words = sum(len(text.split()) for side in texts for text in side)
    characters = len({character for side in texts for text in side for character in text})
    size, why = choose_size(settings, words, characters)
    say(why)
    if config.task == "language_model" or settings.joint:
        joint = learn_vocabulary([text for side in texts for text in side], settings, size, "identity", tags)
        return joint, joint
    source = learn_vocabulary(texts[0], settings, size, settings.normalization, tags)
    return source, learn_vocabulary(texts[1], settings, size, "identity")


class Task(ABC):
    """What training asks of a task. Batches and pools are the task's own; training only counts and passes them on."""

    best_by: str
    """`bleu`, where more is better, or `loss`, where less is."""
    carried: dict[str, Tensor]
    """What a batch leaves for the next one beside the weights; saved and restored with the training state."""

    def __init__(self, config: Config, vocabularies: tuple[Vocabulary, Vocabulary], device: torch.device) -> None:
        self.config, self.settings, self.device = config, config.training, device
        self.source_vocabulary, self.target_vocabulary = vocabularies
        self.carried = {}
        self.corpus: Any = None
        self.validation: Any = None

    @staticmethod
    @abstractmethod
    def check(config: Config) -> None:
        """What can be told to be wrong before anything is read; raises UserError."""

    @abstractmethod
    def prepare(self, say: Say) -> None:
        """Read training and validation data."""

    @abstractmethod
    def pools(self, epoch: int) -> Sequence[Any]:
        """The parts of an epoch."""

    @abstractmethod
    def pool(self, part: Any, epoch: int, number: int) -> Any:
        """A part ready for training; its `batches` has as many items as there are batches in it."""

    @abstractmethod
    def batch_tokens(self, pool: Any) -> list[int]:
        """Target tokens of each batch of a pool."""

    @abstractmethod
    def batch(self, pool: Any, number: int, update: int) -> Any:
        """A batch on the device, with `target_tokens`; `update` seeds the chance in it."""

    @abstractmethod
    def backward(self, model: Model, batch: Any, *, tokens: int, seed: int, progress: float) -> tuple[float, float]:
        """Forward and backward pass of a batch: adds the gradient of loss / tokens to the weights' `.grad`.

            tokens: target tokens of all batches of this update
            seed: of all chance in it
            progress: share of the training that is done, 0 to 1

        Returns: loss and plain negative log-likelihood, both summed, in nats
        """

    @abstractmethod
    def forward(self, model: Model, batch: Any) -> None:
        """The forward pass once more, from where `backward` began."""

    @abstractmethod
    def place(self, batch: Any) -> str:
        """Where in the training data a batch comes from."""

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


class TranslationTask(Task):
    """Sentence pairs, a TranslationModel, the configured objective, validation by loss and BLEU."""

    def __init__(self, config: Config, vocabularies: tuple[Vocabulary, Vocabulary], device: torch.device) -> None:
        super().__init__(config, vocabularies, device)
        self.best_by = config.training.best_by
        self.objective = make_objective(config, self.target_vocabulary)

    @staticmethod
    def check(config: Config) -> None:
        """A tokeniser, a split or attention that is missing must stop the run now, not at the first validation."""
        for name in ("coverage_penalty", "replace_unknown"):
            if config.model.attention == "none" and getattr(config.decoding, name):
                raise UserError(f"`decoding.{name}` needs a model with attention, but `model.attention` is none")
        make_bleu(config.data.target)
        check_splits(config.data)

    def prepare(self, say: Say) -> None:
        """Segmented pairs of both splits."""
        started, vocabularies = time.perf_counter(), (self.source_vocabulary, self.target_vocabulary)
        self.corpus = prepare_corpus(self.config.data, "train", *vocabularies)
        for line in self.corpus.describe():
            say(f"training data: {line}")
        self.validation = prepare_corpus(self.config.data, "validation", *vocabularies)
        say(f"validation data: {self.validation.counts}; prepared in {time.perf_counter() - started:.1f} s")
        self.batcher = Batcher(self.corpus, *vocabularies, self.settings)
        self.validation_batcher = Batcher(self.validation, *vocabularies, self.settings)

    def pools(self, epoch: int) -> list[np.ndarray]:
        """Pairs in random order, in parts that are sorted by length."""
        return self.batcher.pools(epoch)

    def pool(self, part: np.ndarray, epoch: int, number: int) -> Pool:
        """Segmented pairs with a plan of their batches."""
        return self.batcher.pool(part, epoch, number)

    def batch_tokens(self, pool: Pool) -> list[int]:
        """Pieces and end symbols of each batch."""
        return [sum(len(pool.target[i]) + 1 for i in batch) for batch in pool.batches]

    def batch(self, pool: Pool, number: int, update: int) -> Batch:
        """Pairs side by side."""
        return self.batcher.batch(pool, number, update).to(self.device)

    def backward(self, model: Model, batch: Batch, *, tokens: int, seed: int, progress: float) -> tuple[float, float]:
        """The objective's."""
        return self.objective(model, batch, tokens=tokens, seed=seed, progress=progress)

    def forward(self, model: Model, batch: Batch) -> None:
        """Teacher forcing, whatever the objective."""
        self._forward(model, batch)

    def _forward(self, model: Model, batch: Batch) -> tuple[Tensor, Tensor]:
        with self.autocast():
            result: tuple[Tensor, Tensor] = model(
                batch.source, batch.lengths, batch.inputs, batch.targets, self.settings.label_smoothing
            )
        return result

    def place(self, batch: Batch) -> str:
        """The pairs' numbers in the corpus."""
        return f"training pairs {', '.join(map(str, batch.indices[:5]))}{', ...' if len(batch.indices) > 5 else ''}"

    def validate(self, model: Model, check: Callable[[], None]) -> Validation:
        """Loss on the reference translations, and BLEU of the model's own."""
        negative, tokens = 0.0, 0
        with torch.no_grad():
            for batch in self.validation_batcher.in_order(64):
                negative += self._forward(model, batch.to(self.device))[1].item()
                tokens += batch.target_tokens
                check()
        loss = negative / tokens
        pairs = load_pairs(self.config.data, "validation")
        vocabularies = self.source_vocabulary, self.target_vocabulary
        beam_size, hypotheses, sources = self.settings.validation_beam_size, [], list(pairs["source"])
        decoding = self.config.decoding
        decoding = replace(decoding, beam_size=beam_size, groups=min(decoding.groups, beam_size))
        translator = Translator(TorchEngine(model), *vocabularies, decoding)
        for start in range(0, len(sources), 512):
            part = translator.translate(sources[start : start + 512])
            hypotheses += [translation.text for translation in part]
            check()
        score = bleu(hypotheses, [list(pairs["target"])], self.config.data.target)
        perplexity = math.exp(min(loss, 700))
        return Validation(
            decides=score if self.best_by == "bleu" else loss,
            metrics={"loss": loss, "perplexity": perplexity, "bleu": score},
            summary=f"perplexity {perplexity:.2f}, BLEU {score:.2f}",
            results={
                "validation BLEU": f"{score:.2f} (sacrebleu, beam {beam_size})",
                "validation perplexity per piece": f"{perplexity:.2f}",
            },
        )


class LanguageModelTask(Task):
    """A text in parallel streams, a LanguageModel, maximum likelihood, validation by perplexity.

    The state is carried from chunk to chunk and the gradient cut there (truncated backpropagation through time,
    Williams & Peng 1990); each epoch begins with a state of zeros.
    """

    best_by = "loss"

    @staticmethod
    def check(config: Config) -> None:
        """A split that is missing must stop the run now, not after the vocabulary has been learned."""
        check_splits(config.data, task="language_model")

    def prepare(self, say: Say) -> None:
        """Segmented text of both splits."""
        started, data = time.perf_counter(), self.config.data
        self.corpus = prepare_text(data, "train", self.target_vocabulary)
        self.validation = prepare_text(data, "validation", self.target_vocabulary)
        self._segmented: tuple[int, Text] = (-1, text_of(self.corpus))
        streams = choose_streams(len(self._segmented[1]), self.settings)
        say(f"training text: {self.corpus.counts}; read in {streams} parallel {'streams' if streams > 1 else 'stream'}")
        say(f"validation text: {self.validation.counts}; prepared in {time.perf_counter() - started:.1f} s")
        starts = np.array(self.target_vocabulary.starts_word())
        starts[BEGIN] = True  # pieces behind it are no part of the word before it
        self.starts = starts
        self.before: dict[str, Tensor] = {}

    def pools(self, epoch: int) -> list[None]:
        """One: the whole text."""
        return [None]

    def pool(self, part: None, epoch: int, number: int) -> Streams:
        """The text, segmented anew where that is configured, as streams."""
        text = self._text(epoch)
        return Streams(text, choose_streams(len(text), self.settings), self.settings.truncation)

    def _text(self, epoch: int) -> Text:
        """The pieces of an epoch; the last ones are kept."""
        alpha = self.settings.target_sampling
        if alpha and self._segmented[0] != epoch:
            seeds = np.random.default_rng([self.settings.seed, epoch])
            lines: list[np.ndarray] = []
            for start in range(0, len(self.corpus), LINES):
                texts = self.corpus.text(range(start, min(start + LINES, len(self.corpus))))
                sampled = self.target_vocabulary.sample_batch(texts, alpha, int(seeds.integers(1, 2**31)))
                lines += [np.array(ids, dtype=np.int32) for ids in sampled]
            self._segmented = epoch, join_lines(lines, sum(len(ids) + 1 for ids in lines))
        return self._segmented[1]

    def batch_tokens(self, pool: Streams) -> list[int]:
        """Pieces and ends of lines of each chunk."""
        return [pool.tokens(number) for number in pool.batches]

    def batch(self, pool: Streams, number: int, update: int) -> Chunk:
        """A chunk, with words dropped from what the model reads."""
        inputs, targets = pool.pieces(number)
        if self.settings.target_word_dropout:
            rng = np.random.default_rng([self.settings.seed, update, number, 1])
            dropped = drop_words(list(inputs.T), self.starts, self.settings.target_word_dropout, rng)
            inputs = np.where(inputs == BEGIN, BEGIN, np.stack(dropped, axis=1))
        return make_chunk(inputs, targets, number).to(self.device)

    def backward(self, model: Any, batch: Chunk, *, tokens: int, seed: int, progress: float) -> tuple[float, float]:
        """Maximum likelihood with label smoothing, from the carried state, which is left behind the chunk."""
        torch.manual_seed(seed)
        if batch.number == 0 or not self.carried:
            self.carried = model.initial_state(batch.inputs.size(1))
        self.before = self.carried
        with self.autocast():
            loss, negative, after = model(batch.inputs, batch.targets, self.before, self.settings.label_smoothing)
        (loss / tokens).backward()
        self.carried = {name: tensor.detach() for name, tensor in after.items()}
        return loss.item(), negative.item()

    def forward(self, model: Any, batch: Chunk) -> None:
        """The same from the state before the chunk."""
        with self.autocast():
            model(batch.inputs, batch.targets, self.before, self.settings.label_smoothing)

    def place(self, batch: Chunk) -> str:
        """Positions of the streams."""
        first = batch.number * self.settings.truncation
        return f"pieces {first} to {first + len(batch.inputs) - 1} of each stream"

    def validate(self, model: Model, check: Callable[[], None]) -> Validation:
        """Perplexity and bits per character of the whole validation text."""
        assert isinstance(model, LanguageModel)
        characters = count_characters(self.validation)
        score = score_text(model, text_of(self.validation), characters, precision=self.settings.precision, check=check)
        perplexity, bits = score.perplexity, score.bits_per_character
        return Validation(
            decides=score.loss,
            metrics={"loss": score.loss, "perplexity": perplexity, "bits_per_character": bits},
            summary=f"perplexity {perplexity:.2f}, {bits:.3f} bits per character",
            results={
                "validation perplexity per piece": f"{perplexity:.2f}",
                "validation bits per character": f"{bits:.3f}",
            },
        )


def text_of(corpus: TextCorpus) -> Text:
    """All lines of a text, one after another."""
    lines = (
        ids
        for start in range(0, len(corpus), LINES)
        for ids in corpus.pieces(range(start, min(start + LINES, len(corpus))))
    )
    return join_lines(lines, int(corpus.lengths.sum()) + len(corpus))


def count_characters(corpus: TextCorpus) -> int:
    """Characters of all lines, with one for the end of each."""
    return int(corpus.characters.sum()) + len(corpus)


TASKS: dict[str, type[Task]] = {"translation": TranslationTask, "language_model": LanguageModelTask}
"""By the name that `task` has in the configuration."""
