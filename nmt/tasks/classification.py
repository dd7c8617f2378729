"""The task of classification: a text or a sequence of vectors is read and gets one label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nmt.data.examples import Examples, Texts
from nmt.scores.labels import LabelScores, score_labels
from nmt.tasks.labelling import LabelTask
from nmt.tasks.task import Say
from nmt.text.labels import Ids


class ClassificationTask(LabelTask):
    """Texts or vectors with a label, validation by accuracy and macro F1."""

    def represent(self, texts: Texts, split: str, say: Say) -> Examples:
        """The first `data.max_length` pieces or vectors of each source, and its label."""
        pieces = self.cut_sources(texts, split, say)
        labels = [self.target_vocabulary.number(target, texts.where) for target in texts.targets]
        return Examples(
            pieces,
            [np.zeros(1, np.int64)] * len(pieces),
            list(np.array(labels, np.int64)[:, None]),
            texts.sources,
        )

    def score(self, gold: Sequence[Ids], predicted: Sequence[Ids]) -> LabelScores:
        """Accuracy and macro F1."""
        return score_labels(np.concatenate(gold), np.concatenate(predicted), self.target_vocabulary.names)
