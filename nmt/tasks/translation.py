"""The task of translation: sentence pairs, a TranslationModel, validation by loss, BLEU and chrF."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from nmt.config import Config
from nmt.data.batching import Batch, Batcher, Pool, to_device
from nmt.data.corpus import check_splits, load_pairs, prepare_corpus
from nmt.data.noise import Noise
from nmt.errors import UserError, needs_attention
from nmt.network.model import TranslationModel
from nmt.network.torch_engine import TorchEngine
from nmt.scores.confidence import fit_confidence
from nmt.scores.metrics import choose_tokenizer, make_bleu, make_chrf, sentence_chrf
from nmt.scores.perplexity import perplexity, perplexity_text
from nmt.tasks.objectives import make_objective
from nmt.tasks.task import Model, Say, Task, Validation
from nmt.text.vocabulary import PAD, Vocabulary
from nmt.translation.translator import Translation, Translator

if TYPE_CHECKING:
    from sacrebleu.metrics.bleu import BLEU

VALIDATION_SENTENCES = 64
"""Most pairs of a validation batch."""

VALIDATION_TOKENS = 1 << 14
"""Most pieces of a validation batch, both sides and padding included; a longer pair is alone in its batch."""

DECODED_CELLS = 1 << 18
"""Most pairs of a target and a source position that are compared at once in validation. Attention holds them all, so
without a limit a single line of 10,000 words would take hundreds of gigabytes."""

DECODED_ROWS = 1 << 13
"""Most target positions that are decoded at once in validation."""

LONGEST_VALIDATED = 8
"""Validation leaves out pairs with more pieces on a side than this many times `data.max_length`, which is the limit of
training: their time grows with the square of their length."""

SAMPLES = 2
"""Translations that a validation shows, of sentences at equal distances in the validation split."""


class TranslationTask(Task):
    """Sentence pairs, a TranslationModel, the configured objective, validation by loss, BLEU and chrF."""

    def __init__(self, config: Config, vocabularies: tuple[Vocabulary, Vocabulary], device: torch.device) -> None:
        super().__init__(config, vocabularies, device)
        self.objective = make_objective(config, self.target_vocabulary)

    @staticmethod
    def check(config: Config) -> None:
        """A missing package or split, or attention that is needed, must stop the run now, not at a validation."""
        check_decoding(config)
        check_splits(config.data)

    def prepare(self, say: Say) -> None:
        """Segmented pairs of both splits, and the text of the validation split; training reads no file again."""
        started, vocabularies = time.perf_counter(), (self.source_vocabulary, self.target_vocabulary)
        self.corpus = prepare_corpus(self.config.data, "train", *vocabularies)
        for line in self.corpus.describe():
            say(f"training data: {line}")
        self.validation = prepare_corpus(self.config.data, "validation", *vocabularies)
        say(f"validation data: {self.validation.counts}; prepared in {time.perf_counter() - started:.1f} s")
        self.batcher = Batcher(self.corpus, *vocabularies, self.settings, Noise.of(self.config, self.corpus))
        self.validation_batcher = Batcher(self.validation, *vocabularies, self.settings)
        self._prepare_text(say)

    def _prepare_text(self, say: Say) -> None:
        """The sources that validations translate, and their references."""
        pairs = load_pairs(self.config.data, "validation")
        sources, references = list(pairs["source"]), list(pairs["target"])
        longest = LONGEST_VALIDATED * self.config.data.max_length
        ids = self.source_vocabulary.encode_batch(sources), self.target_vocabulary.encode_batch(references)
        kept = [i for i, sides in enumerate(zip(*ids, strict=True)) if max(map(len, sides)) <= longest]
        self.validated = np.flatnonzero(
            np.maximum(self.validation.source_lengths, self.validation.target_lengths) <= longest
        )
        if not len(self.validated):
            raise UserError(f"each validation pair has a side of more than {longest} pieces; raise `data.max_length`")
        if len(kept) < len(sources):
            say(
                f"validation leaves out {len(sources) - len(kept)} of {len(sources)} pairs, which have a side of more "
                f"than {longest} pieces (8 times `data.max_length`)"
            )
        cut = sum(len(ids[0][i]) > self.config.data.max_length for i in kept)
        if cut:
            say(
                f"{cut} of {len(kept)} validation sources have more than {self.config.data.max_length} pieces "
                "(`data.max_length`); what is beyond that in a sentence is not translated"
            )
        self.sources, self.references = [sources[i] for i in kept], [references[i] for i in kept]
        self.prepare_bleu(say)

    def prepare_bleu(self, say: Say) -> None:
        """BLEU with the tokeniser of the references' language."""
        language = self.config.data.languages[1]
        tokenizer = choose_tokenizer(language, self.references)
        if tokenizer.reason:
            say(tokenizer.reason)
        self.bleu = make_bleu(language, tokenizer.name)
        short = count_short(self.bleu, self.references)
        if short > len(self.references) / 2 and self.best_by == "bleu":
            say(
                f"BLEU will say little: {short} of {len(self.references)} validation references have fewer than four "
                f'tokens (tokeniser {self.bleu.tokenizer_signature}). Set `training.best_by = "chrf"`, or '
                "`data.target_language` if nothing else names it"
            )

    def batch_tokens(self, pool: Pool) -> list[int]:
        """Pieces and end symbols of each batch."""
        return [sum(len(pool.target[i]) + 1 for i in batch) for batch in pool.batches]

    def backward(
        self, model: Model, batch: Batch, *, tokens: float | Tensor, seed: int, progress: float
    ) -> tuple[Tensor, Tensor]:
        """The passes of the configured objective."""
        return self.objective(model, batch, tokens=tokens, seed=seed, progress=progress)

    def validate(self, model: Model, check: Callable[[], None]) -> Validation:
        """Loss on the reference translations; BLEU and chrF of the model's own translations."""
        assert isinstance(model, TranslationModel)
        negative, tokens = 0.0, 0
        for batch in self.validation_batches(VALIDATION_SENTENCES, VALIDATION_TOKENS):
            with self.autocast():
                negative += negative_log_likelihood(model, to_device(batch, self.device), check)
            tokens += batch.target_tokens
            check()
        translations = self._translate(model, check)
        hypotheses = [translation.text for translation in translations]
        bleu = float(self.bleu.corpus_score(hypotheses, [self.references]).score)
        chrf = float(make_chrf().corpus_score(hypotheses, [self.references]).score)
        loss = negative / tokens
        tokenizer, beam = self.bleu.tokenizer_signature, self.settings.validation_beam_size
        return Validation(
            metrics={"loss": loss, "perplexity": perplexity(loss), "bleu": bleu, "chrf": chrf},
            summary=f"perplexity {perplexity_text(loss)}, BLEU {bleu:.2f}, chrF {chrf:.2f}",
            results={
                "validation BLEU": f"{bleu:.2f} (sacrebleu, tokeniser {tokenizer}, beam {beam})",
                "validation chrF": f"{chrf:.2f}",
                "validation perplexity per piece": perplexity_text(loss),
            },
            confidence=fit_confidence(
                [translation.token_log_probs for translation in translations],
                sentence_chrf(hypotheses, [self.references]),
            ),
            samples=[
                (self.sources[place], hypotheses[place], self.references[place])
                for place in sorted({(2 * i + 1) * len(hypotheses) // (2 * SAMPLES) for i in range(SAMPLES)})
            ],
        )

    def validation_batches(self, sentences: int, tokens: int) -> Iterator[Batch]:
        """The pairs whose loss is measured; see `Batcher.in_order` for the limits of a batch."""
        return self.validation_batcher.in_order(self.validated, sentences, tokens)

    def _translate(self, model: TranslationModel, check: Callable[[], None]) -> list[Translation]:
        """The model's translations of the validation sources."""
        decoding, beam_size = self.config.decoding, self.settings.validation_beam_size
        decoding = replace(decoding, beam_size=beam_size, groups=min(decoding.groups, beam_size))
        vocabularies = self.source_vocabulary, self.target_vocabulary
        translator = Translator(TorchEngine(model), *vocabularies, decoding, self.config.data.max_length)
        translations: list[Translation] = []
        for start in range(0, len(self.sources), 512):
            lines = [translator.prepare(source) for source in self.sources[start : start + 512]]
            found = translator.translate_prepared(lines, decoding, 1, warn=lambda text: None)  # `prepare` has said it
            translations += [best[0] for best in found]
            check()
        return translations


def check_decoding(config: Config) -> None:
    """Raises UserError for attention that is needed but not there, or a tokeniser of BLEU that is not installed."""
    if config.model.attention == "none":
        for name in config.decoding.needing_attention():
            raise needs_attention(f"`decoding.{name}` needs", model="`model.attention` is none")
    language = config.data.languages[1]
    make_bleu(language, choose_tokenizer(language).name)


def count_short(bleu: BLEU, references: Sequence[str]) -> int:
    """How many references have fewer than four tokens, and so no n-gram of the largest order that BLEU counts."""
    return sum(len(bleu.tokenizer(reference).split()) < bleu.max_ngram_order for reference in references)


@torch.no_grad()
def negative_log_likelihood(model: TranslationModel, batch: Batch, check: Callable[[], None] = lambda: None) -> float:
    """Negative log-likelihood of a batch's references, in nats. The decoder reads some positions at a time,
    which bounds its memory.

    check: called after each stretch; may raise
    """
    memory, state = model.encode(batch.source, batch.lengths)
    sentences = batch.inputs.size(1)
    length = max(1, min(DECODED_CELLS // batch.source.numel(), DECODED_ROWS // sentences))
    total = 0.0
    for start in range(0, len(batch.inputs), length):
        targets = batch.targets[start : start + length]
        readout, state = model.decode(batch.inputs[start : start + length], memory, state, (targets != PAD).sum(0))
        total += model.cross_entropy(readout, targets)[1].item()
        check()
    return total
