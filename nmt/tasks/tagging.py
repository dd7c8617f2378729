"""The task of tagging: a text or a sequence of vectors is read, and each word or vector gets one label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nmt.data.examples import Examples, Texts
from nmt.errors import UserError
from nmt.scores.labels import LabelScores, is_entity_scheme, score_entities, score_labels
from nmt.tasks.labelling import LabelTask
from nmt.tasks.task import Say
from nmt.text.labels import Ids, represent_sources, segment_words


class TaggingTask(LabelTask):
    """Words with labels, each read at the first piece of its word, or vectors with labels.

    Validation by accuracy, macro F1 and entity F1.
    """

    def prepare(self, say: Say) -> None:
        """As for all labels; entity F1 needs labels of entities."""
        if self.best_by == "entity_f1" and not is_entity_scheme(self.target_vocabulary.names):
            shown = ", ".join(self.target_vocabulary.names[:5])
            raise UserError(
                f'`training.best_by` = "entity_f1" needs labels like O, B-PER and I-PER, but they are {shown}, ...'
            )
        super().prepare(say)

    def represent(self, texts: Texts, split: str, say: Say) -> Examples:
        """The vectors or pieces, and the labels; training leaves out sources of more than `data.max_length` of them."""
        vectors = self.config.reads_vectors
        words = texts.sources if vectors else [text.split() for text in texts.sources]
        names = [target.split() for target in texts.targets]
        for row, (own, labels) in enumerate(zip(words, names, strict=True), start=1):
            if len(own) != len(labels):
                which = f" example {row}" if vectors else f": `{' '.join(own)[:60]}`"
                unit = "vector" if vectors else "word"
                raise UserError(
                    f"{texts.where}{which} has {len(own)} {unit}s, but {len(labels)} labels; each {unit} must have one "
                    "label"
                )
        if vectors:
            sources = represent_sources(self.source_vocabulary, words, 1 << 62, texts.where)
            places: Sequence[Sequence[int]] = [range(len(source)) for source in sources]
        else:
            segmented, places = segment_words(self.source_vocabulary, words)
            sources = [np.array(ids, np.int64) for ids in segmented]
        kept = self.short_enough(sources, split, say)
        number = self.target_vocabulary.number
        return Examples(
            [sources[i] for i in kept],
            [np.array(places[i], np.int64) for i in kept],
            [np.array([number(name, texts.where) for name in names[i]], np.int64) for i in kept],
            [texts.sources[i] for i in kept],
        )

    def score(self, gold: Sequence[Ids], predicted: Sequence[Ids]) -> LabelScores:
        """Accuracy and macro F1 of the words, and F1 of the entities if the labels are of entities."""
        names = self.target_vocabulary.names
        sentences = np.repeat(np.arange(len(gold)), [len(labels) for labels in gold])
        scores = score_labels(np.concatenate(gold), np.concatenate(predicted), names, sentences)
        if is_entity_scheme(names):
            right, found = ([[names[label] for label in labels] for labels in side] for side in (gold, predicted))
            scores.scores["entity_f1"] = score_entities(right, found)
        return scores
