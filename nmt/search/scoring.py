"""Scores of hypotheses: length normalisation, penalties, forced decoding, and the bound that lets search stop early.

A hypothesis with n pieces has length n + 1 everywhere: the end symbol counts, because its log-probability is one of the
terms that are summed. So at any step of the search all continuations of a sentence have the same length, and ordering
them by log-probability is ordering them by score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

from nmt.errors import UserError
from nmt.search.engine import Engine
from nmt.text.vocabulary import BEGIN, END

Number = TypeVar("Number", float, npt.NDArray[np.float64])


@dataclass(frozen=True)
class LengthPenalty:
    """What a log-probability is divided by to compare hypotheses of different length.

    Without it, search prefers short translations: each further symbol can only lower the log-probability.
    """

    kind: Literal["none", "average", "gnmt"]
    """none: 1; average: the length; gnmt: ((5 + length) / 6)^alpha, Wu et al. (2016), equation 14,
    https://arxiv.org/abs/1609.08144 (theirs has a coverage term as well)."""
    alpha: float = 1.0
    """Exponent of `gnmt`; 0 is no penalty."""

    def __post_init__(self) -> None:
        if self.kind not in ("none", "average", "gnmt"):
            raise UserError(f"`length_penalty` must be one of none, average, gnmt, but is {self.kind!r} instead")
        if not self.alpha >= 0:
            raise UserError(f"`alpha` must be at least 0, but is {self.alpha} instead")

    def divisor(self, length: Number) -> Number:
        """The divisor of a length, end symbol included; it never falls as the length grows."""
        if self.kind == "none":
            return length * 0 + 1.0
        if self.kind == "average":
            return length * 1.0
        power: Number = ((5.0 + length) / 6.0) ** self.alpha
        return power

    def score(self, log_prob: float, length: int) -> float:
        """Normalised score of a finished hypothesis: log-probability and length both with the end symbol."""
        return log_prob / self.divisor(float(length))

    def bound(self, log_prob: Number, longest: Number) -> Number:
        """Best score that an open hypothesis may still reach if none can be longer than `longest`, end symbol included.

        Log-probabilities are at most 0, so going on cannot raise the sum; the divisor is largest at the end.
        """
        return log_prob / self.divisor(longest)


LEAST_COVERAGE = 1e-10
"""A source piece counts as read so much at least: the logarithm of nothing would outweigh everything else."""


def coverage_penalty(covered: npt.NDArray[np.float32]) -> float:
    """How much of the source a hypothesis has left unread: 0 if nothing, below 0 otherwise.

        sum_i log min(sum_j p_ij, 1)

    with the attention weight p_ij of target position j, end symbol included, on source piece i. Wu et al. (2016),
    equation 14, https://arxiv.org/abs/1609.08144.

        covered: sum of each source piece's weights over all target positions, [source_length]
    """
    return float(np.log(np.clip(covered, LEAST_COVERAGE, 1)).sum())


def brevity_penalty(length: int, source_length: int, ratio: float) -> float:
    """How much a hypothesis is too short: 0 from the expected length on, below 0 otherwise.

        min(0, 1 - ratio * source_length / length)

    the logarithm of BLEU's brevity penalty against the length to be expected. Yang, Huang & Ma (2018),
    https://arxiv.org/abs/1808.09582, add it to the mean log-probability (BP-norm).

        length, source_length: pieces with the end symbol
        ratio: target pieces to be expected for a source piece
    """
    return min(0.0, 1 - ratio * source_length / length)


def force_decode(
    engine: Engine, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]
) -> list[list[float]]:
    """What the model holds of given translations: each piece's log-probability, and at last the end symbol's.

    The engine takes the same steps as in search, but reads the given pieces. What belongs to a finished translation
    leaves the batch.

        sources, targets: ids of each pair, without begin and end symbol; a source must not be empty, a target may
    """
    if not sources:
        return []
    memory, state = engine.start(sources)
    rows = list(range(len(targets)))
    tokens = np.full(len(targets), BEGIN, np.int64)
    scores: list[list[float]] = [[] for _ in targets]
    while rows:
        log_probs, _, state = engine.step(memory, state, tokens)
        wanted = [[*targets[row], END][len(scores[row])] for row in rows]
        for row, log_prob in zip(rows, log_probs[np.arange(len(rows)), wanted].tolist(), strict=True):
            scores[row].append(log_prob)
        going_on = [i for i, token in enumerate(wanted) if token != END]
        if 0 < len(going_on) < len(rows):
            state = engine.select(state, np.array(going_on))
        rows, tokens = [rows[i] for i in going_on], np.array([wanted[i] for i in going_on], np.int64)
    return scores
