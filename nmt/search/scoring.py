"""Scores of hypotheses: length normalisation, penalties, forced decoding, and the bound that lets search stop early.

To add a term to the score, add it to `Scorer.score`, and its option to `nmt.config.DecodingConfig`.

A hypothesis with n pieces has length n + 1 everywhere: the end symbol counts, because its log-probability is part of
the sum. So at any step of the search all continuations of a sentence have the same length, and their order by
log-probability is their order by score.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Literal, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from nmt.config import DecodingConfig
from nmt.errors import UserError
from nmt.search.engine import Engine, Floats, Integers
from nmt.text.vocabulary import BEGIN, END

Number = TypeVar("Number", float, npt.NDArray[np.float64])


@dataclass
class LengthPenalty:
    """Length normalisation: the divisor of log-probabilities, to compare hypotheses of different length.

    Without it, search prefers short translations: each further symbol can only lower the log-probability.
    """

    kind: Literal["none", "average", "gnmt"]
    """none: 1; average: the length; gnmt: ((5 + length) / 6)^alpha, Wu et al. (2016), equation 14,
    https://arxiv.org/abs/1609.08144 (which also has a coverage term)."""
    alpha: float = 1.0  # exponent of `gnmt`; 0 means no penalty

    def __post_init__(self) -> None:
        if self.kind not in ("none", "average", "gnmt"):
            raise UserError(f"`length_penalty` must be one of none, average, gnmt, but is {self.kind!r} instead")
        if not self.alpha >= 0:
            raise UserError(f"`alpha` must be at least 0, but is {self.alpha} instead")

    def divisor(self, length: Number) -> Number:
        """The divisor for a length, end symbol included; it never decreases as the length grows."""
        if self.kind == "none":
            return length * 0 + 1.0
        if self.kind == "average":
            return length * 1.0
        power: Number = ((5.0 + length) / 6.0) ** self.alpha
        return power

    def score(self, log_prob: float, length: int) -> float:
        """Normalised score of a finished hypothesis; log-probability and length include the end symbol."""
        return log_prob / self.divisor(float(length))

    def bound(self, log_prob: Number, longest: Number) -> Number:
        """The best score that an open hypothesis can still reach with a length of at most `longest`, end included.

        Log-probabilities are at most 0, so further symbols cannot raise the sum, and the divisor is largest at the end.
        """
        return log_prob / self.divisor(longest)


LEAST_COVERAGE = 1e-10  # minimum coverage of a source piece: the logarithm of 0 would outweigh everything else


def coverage_penalty(covered: Floats) -> float:
    """Penalty for source pieces without attention: 0 if all are covered, below 0 otherwise.

        sum_i log min(sum_j p_ij, 1)

    with the attention weight p_ij of target position j, end symbol included, on source piece i. Wu et al. (2016),
    equation 14, https://arxiv.org/abs/1609.08144.

        covered: sum of each source piece's weights over all target positions, [source_length]
    """
    return float(np.log(np.clip(covered, LEAST_COVERAGE, 1)).sum())


def brevity_penalty(length: int, source_length: int, ratio: float) -> float:
    """Penalty for a hypothesis that is too short: 0 from the expected length on, below 0 otherwise.

        min(0, 1 - ratio * source_length / length)

    This is the logarithm of BLEU's brevity penalty with respect to the expected length. Yang, Huang & Ma (2018),
    https://arxiv.org/abs/1808.09582, add it to the mean log-probability (BP-norm).

        length, source_length: pieces with the end symbol
        ratio: expected number of target pieces for a source piece
    """
    return min(0.0, 1 - ratio * source_length / length)


class Scorer:
    """The score of finished hypotheses: log-probability normalised by length, plus the penalties that are set.

    Penalties are never above 0, because the bound for early stopping relies on that.
    """

    def __init__(self, decoding: DecodingConfig) -> None:
        self.length_penalty = LengthPenalty(decoding.length_penalty, decoding.alpha)
        self.decoding = decoding

    def score(self, log_prob: float, length: int, source_length: int, covered: Floats | None = None) -> float:
        """The score of a finished hypothesis.

        log_prob: log-probability, the end symbol included
        length, source_length: pieces of hypothesis and source, without the end symbol
        covered: sums of the attention weights over the hypothesis, [source_length]
        """
        decoding = self.decoding
        score = self.length_penalty.score(log_prob, length + 1)
        if decoding.coverage_penalty and covered is not None:
            score += decoding.coverage_penalty * coverage_penalty(covered)
        if decoding.brevity_penalty:
            score += decoding.brevity_penalty * brevity_penalty(length + 1, source_length + 1, decoding.brevity_ratio)
        return score


class ForcedStep(NamedTuple):
    """A step of forced decoding (teacher forcing); a pair whose translation has ended has no row any more."""

    pairs: list[int]  # the index of each row's pair, [rows]
    symbols: Integers  # the next symbol of each row's translation, [rows]
    log_probs: Floats  # the model's prediction, [rows, vocabulary]
    attention_weights: Floats | None  # [rows, source_length]; see `nmt.search.engine.Engine.step`


def force(engine: Engine, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]) -> Iterator[ForcedStep]:
    """Forced decoding (teacher forcing): the engine takes the same steps as in search, but reads given translations.

    Parameters:
        sources, targets: ids of each pair, without begin and end symbol; a target may be empty, a source must not
    """
    if not sources:
        return
    memory, state = engine.start(sources)
    pairs, tokens = list(range(len(targets))), np.full(len(targets), BEGIN, np.int64)
    for position in count():
        log_probs, attention_weights, state = engine.step(memory, state, tokens)
        symbols = np.array([targets[i][position] if position < len(targets[i]) else END for i in pairs], np.int64)
        yield ForcedStep(pairs, symbols, log_probs, attention_weights)
        going_on = np.flatnonzero([position < len(targets[i]) for i in pairs])
        if not len(going_on):
            return
        if len(going_on) < len(pairs):
            state = engine.select(state, going_on)
        pairs, tokens = [pairs[i] for i in going_on.tolist()], symbols[going_on]


def force_decode(
    engine: Engine, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]
) -> list[list[float]]:
    """The log-probability of each piece of given translations, the end symbol last; parameters as in `force`."""
    scores: list[list[float]] = [[] for _ in targets]
    for step in force(engine, sources, targets):
        chosen = step.log_probs[np.arange(len(step.pairs)), step.symbols].tolist()
        for pair, log_prob in zip(step.pairs, chosen, strict=True):
            scores[pair].append(log_prob)
    return scores
