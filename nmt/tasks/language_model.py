"""The task of language modelling: one text in parallel streams, a LanguageModel, validation by perplexity."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nmt.config import Config
from nmt.data.batching import drop_words, to_device
from nmt.data.corpus import TextCorpus, check_splits, prepare_text
from nmt.data.text_streams import Chunk, Streams, Text, choose_streams, join_lines, make_chunk, score_text
from nmt.network.language_model import LanguageModel
from nmt.scores.perplexity import perplexity_text
from nmt.tasks.task import Model, Say, Task, Validation
from nmt.text.vocabulary import BEGIN

LINES = 4096
"""Lines of a text that are read or segmented at once."""


class LanguageModelTask(Task):
    """A text in parallel streams, a LanguageModel, maximum likelihood, validation by perplexity.

    The state is carried from chunk to chunk and the gradient cut there (truncated backpropagation through time,
    Williams & Peng 1990); each epoch begins with a state of zeros.
    """

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
        return to_device(make_chunk(inputs, targets, number), self.device)

    def backward(
        self, model: Any, batch: Chunk, *, tokens: float | Tensor, seed: int, progress: float
    ) -> tuple[Tensor, Tensor]:
        """Maximum likelihood with label smoothing, from the carried state, which is left behind the chunk."""
        torch.manual_seed(seed)
        state = (self.carried if batch.number else {}) or model.initial_state(batch.inputs.size(1))
        with self.autocast():
            loss, negative, after = model(batch.inputs, batch.targets, state, self.settings.label_smoothing)
        (loss / tokens).backward()
        self.carried = {name: tensor.detach() for name, tensor in after.items()}
        return loss.detach(), negative

    def place(self, batch: Chunk) -> str:
        """Positions of the streams."""
        first = batch.number * self.settings.truncation
        return f"pieces {first} to {first + len(batch.inputs) - 1} of each stream"

    def validate(self, model: Model, check: Callable[[], None]) -> Validation:
        """Perplexity and bits per character of the whole validation text."""
        assert isinstance(model, LanguageModel)
        characters = count_characters(self.validation)
        score = score_text(model, text_of(self.validation), characters, precision=self.settings.precision, check=check)
        perplexity, bits = perplexity_text(score.loss), score.bits_per_character
        return Validation(
            metrics={"loss": score.loss, "perplexity": score.perplexity, "bits_per_character": bits},
            summary=f"perplexity {perplexity}, {bits:.3f} bits per character",
            results={
                "validation perplexity per piece": perplexity,
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
