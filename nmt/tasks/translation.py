"""The task of translation: sentence pairs, a TranslationModel, validation by loss and BLEU."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from nmt.config import Config
from nmt.data.batching import Batch, Batcher, Pool
from nmt.data.corpus import check_splits, load_pairs, prepare_corpus
from nmt.errors import UserError
from nmt.network.torch_engine import TorchEngine
from nmt.scores.evaluation import bleu, make_bleu
from nmt.tasks.objectives import make_objective
from nmt.tasks.task import Model, Say, Task, Validation
from nmt.text.vocabulary import Vocabulary
from nmt.translation.translator import Translator


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
        translator = Translator(TorchEngine(model), *vocabularies, decoding, self.config.data.max_length)
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
