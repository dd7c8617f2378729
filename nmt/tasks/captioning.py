"""The task of captioning: a vector or a few are read, and a text is written about them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nmt.config import Config
from nmt.data.batching import Batch, Pool, drop_words, make_batch, plan_batches
from nmt.data.examples import Examples, LabelBatcher, Texts, check_examples
from nmt.model_folder import ModelFolder
from nmt.network.model import TranslationModel
from nmt.network.torch_engine import TorchEngine
from nmt.prediction.captions import Caption, write_captions
from nmt.prediction.predictor import Prediction
from nmt.scores.evaluation import Evaluation, evaluate_translations
from nmt.tasks.examples import read_splits, short_enough
from nmt.tasks.task import Say
from nmt.tasks.translation import TranslationTask, check_decoding
from nmt.text.labels import Ids, cut, represent_sources


class CaptionBatcher(LabelBatcher):
    """Makes the batches of an epoch; the targets of the examples are the pieces of their texts."""

    def pool(self, indices: Ids, epoch: int, number: int) -> Pool:
        """Some examples with a plan of their batches."""
        rng = np.random.default_rng([self.settings.seed, epoch, number])
        sides = [[side[i] for i in indices] for side in (self.examples.sources, self.examples.labels)]
        lengths = [np.array([len(one) for one in side], np.int64) for side in sides]
        return Pool(sides[0], sides[1], indices, plan_batches(lengths[0], lengths[1], self.settings, rng))

    def batch(self, pool: Pool, number: int, update: int) -> Batch:  # type: ignore[override]
        """A batch for training, with words dropped from what the decoder reads."""
        chosen = pool.batches[number]
        rng = np.random.default_rng([self.settings.seed, update, number, 1])
        targets = [pool.target[i] for i in chosen]
        inputs = drop_words(targets, self.starts, self.settings.target_word_dropout, rng)
        return make_batch([pool.source[i] for i in chosen], inputs, targets, pool.indices[chosen])

    def in_order(self, rows: Ids, sentences: int, tokens: int) -> Iterator[Batch]:  # type: ignore[override]
        """Some examples once, sorted by the length of their texts; `tokens`: most positions of a batch."""
        lengths = np.array([len(self.examples.sources[i]) + len(self.examples.labels[i]) + 2 for i in rows])
        order = rows[np.argsort(lengths, kind="stable")]
        for part in cut(np.sort(lengths).tolist(), positions=tokens, rows=sentences):
            sides = self.examples.sources, self.examples.labels
            sources, targets = ([side[i] for i in order[part]] for side in sides)
            yield make_batch(sources, targets, targets, order[part])


class CaptionScores:
    """The scores of texts."""

    def __init__(self, evaluation: Evaluation) -> None:
        self.evaluation = evaluation

    def describe(self) -> list[str]:
        """The lines that `nmt evaluate` prints."""
        return [
            f"{score.name:<6}{score.value:6.2f} (95 %: {score.low:.2f} to {score.high:.2f})  {score.signature}"
            for score in self.evaluation.scores
        ]


class CaptioningTask(TranslationTask):
    """Vectors with texts, a TranslationModel that reads vectors, validation by loss, BLEU and chrF."""

    validation_batcher: Any

    @staticmethod
    def check(config: Config) -> None:
        """Whatever would stop a validation, such as a missing split, must stop the run now."""
        check_decoding(config)
        check_examples(config)

    def prepare(self, say: Say) -> None:
        """The examples of both splits, and the texts of the validation split."""
        self.corpus, self.validation, texts = read_splits(self.config, self._represent, say)
        self.batcher = CaptionBatcher(self.corpus, self.target_vocabulary, self.config)
        self.validation_batcher = CaptionBatcher(self.validation, self.target_vocabulary, self.config)
        self.validated = np.arange(len(self.validation))
        self.sources, self.references = [f"{len(one)} vectors" for one in texts.sources], texts.targets
        self.prepare_bleu(say)

    def _represent(self, texts: Texts, split: str, say: Say) -> Examples:
        """Standardised vectors, and the pieces of each text; training leaves out long ones."""
        longest = self.config.data.max_length
        sources = represent_sources(self.source_vocabulary, texts.sources, longest, texts.where)
        pieces = self.target_vocabulary.encode_batch(texts.targets)
        kept = short_enough(pieces, longest, ("text", "pieces"), split, say)
        sides = [sources[i] for i in kept], [np.array(pieces[i], np.int64) for i in kept]
        return Examples(sides[0], [np.zeros(0, np.int64)] * len(kept), sides[1], [texts.targets[i] for i in kept])

    def _translate(self, model: TranslationModel, check: Callable[[], None]) -> list[Caption]:  # type: ignore[override]
        """The model's texts for the validation split."""
        size = self.settings.validation_beam_size
        decoding = replace(self.config.decoding, beam_size=size, groups=min(self.config.decoding.groups, size))
        captions: list[Caption] = []
        for start in range(0, len(self.validation), 512):
            sources = self.validation.sources[start : start + 512]
            longest = self.config.data.max_length
            captions += write_captions(TorchEngine(model), sources, self.target_vocabulary, decoding, longest)
            check()
        return captions

    @classmethod
    def evaluate(cls, folder: ModelFolder, texts: Texts, predictions: Sequence[Prediction]) -> CaptionScores:
        """The scores of a model's texts for the examples of a split."""
        captions = [found.label for found in predictions]
        language = folder.config.data.languages[1]
        return CaptionScores(evaluate_translations(captions, [texts.targets], target_language=language))
