"""The task of tagging: a text is read, and each of its words gets one label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nmt.data.examples import Examples, Texts
from nmt.errors import UserError
from nmt.scores.labels import LabelScores, is_entity_scheme, score_entities, score_labels
from nmt.tasks.labelling import LabelTask
from nmt.tasks.task import Say
from nmt.text.labels import Ids, segment_words


class TaggingTask(LabelTask):
    """Words with labels, each read at the first piece of its word; validation by accuracy, macro F1 and entity F1."""

    def prepare(self, say: Say) -> None:
        """As for all labels; entity F1 needs labels of entities."""
        if self.best_by == "entity_f1" and not is_entity_scheme(self.target_vocabulary.names):
            shown = ", ".join(self.target_vocabulary.names[:5])
            raise UserError(
                f'`training.best_by` = "entity_f1" needs labels like O, B-PER and I-PER, but they are {shown}, ...'
            )
        super().prepare(say)

    def represent(self, texts: Texts, split: str, say: Say) -> Examples:
        """The pieces of each word, and its label; training leaves out texts of more than `data.max_length` pieces."""
        words = [text.split() for text in texts.sources]
        names = [target.split() for target in texts.targets]
        for own, labels in zip(words, names, strict=True):
            if len(own) != len(labels):
                raise UserError(
                    f"{texts.where}: `{' '.join(own)[:60]}` has {len(own)} words, but {len(labels)} labels; "
                    "each word must have one label"
                )
        sources, places = segment_words(self.source_vocabulary, words)
        longest = self.config.data.max_length
        kept = [i for i, ids in enumerate(sources) if split != "train" or len(ids) <= longest]
        if len(kept) < len(sources):
            say(
                f"{len(sources) - len(kept):,} of {len(sources):,} training texts have more than {longest} pieces "
                "(`data.max_length`) and are left out"
            )
        if not kept:
            raise UserError(f"each training text has more than {longest} pieces; raise `data.max_length`")
        number = self.target_vocabulary.number
        return Examples(
            [np.array(sources[i], np.int64) for i in kept],
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
