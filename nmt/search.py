"""Beam search over an engine: bookkeeping only, in numpy.

All open hypotheses of all sentences are the rows of one batch. Rows of different sentences never meet: a sentence's
result depends on nothing else in its batch.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from nmt.config import DecodingConfig
from nmt.engine import Best, Engine, Floats, Integers, step_best
from nmt.errors import UserError
from nmt.scoring import LengthPenalty
from nmt.vocabulary import BEGIN

Doubles = npt.NDArray[np.float64]

Identity = Callable[[list[int]], Hashable]
"""What two hypotheses must share to count as the same, for example their text."""


@dataclass(frozen=True)
class SearchSettings:
    """How to search. Meaning and unit of each field: `nmt.config.DecodingConfig`."""

    beam_size: int = DecodingConfig.beam_size
    n_best: int = 1
    """Hypotheses returned per sentence (fewer if there are not that many)."""
    length_penalty: Literal["none", "average", "gnmt"] = DecodingConfig.length_penalty
    alpha: float = DecodingConfig.alpha
    min_length: int = DecodingConfig.min_length
    max_length_factor: float = DecodingConfig.max_length_factor
    max_length_offset: int = DecodingConfig.max_length_offset
    attention_weights: bool = False
    """Whether to keep the attention weights; they take steps x rows x source_length numbers while searching."""

    def __post_init__(self) -> None:
        for name, least in (("beam_size", 1), ("n_best", 1), ("min_length", 0)):
            if getattr(self, name) < least:
                raise UserError(f"`{name}` must be at least {least}, but is {getattr(self, name)} instead")
        for name in ("max_length_factor", "max_length_offset"):
            if not getattr(self, name) >= 0:
                raise UserError(f"`{name}` must be at least 0, but is {getattr(self, name)} instead")
        if self.n_best > self.beam_size:
            raise UserError(
                f"`n_best` must be at most `beam_size` ({self.beam_size}), but is {self.n_best} instead; "
                "search with a larger beam"
            )

    def max_length(self, source_length: int) -> int:
        """Most pieces of a translation, without the end symbol; never below `min_length`."""
        length = int(self.max_length_factor * source_length + self.max_length_offset + 1e-9)
        return max(length, self.min_length)


@dataclass
class Hypothesis:
    """A finished translation; its numbers are the model's for exactly this output."""

    tokens: list[int]
    """Ids without the end symbol."""
    log_prob: float
    """Sum of `token_log_probs`."""
    score: float
    """`log_prob`, normalised by length; what hypotheses are ranked by."""
    token_log_probs: list[float]
    """Log-probability of each token and of the end symbol, which comes last."""
    finished: bool
    """False if it was cut: at the maximum length, though the model would rather have gone on, or at a dead end."""
    attention_weights: Floats | None
    """[tokens + 1, source_length], the last row the end symbol's; None if not wanted or without attention."""


def beam_search(
    engine: Engine, sources: Sequence[Sequence[int]], settings: SearchSettings, identity: Identity | None = None
) -> list[list[Hypothesis]]:
    """The best hypotheses of each source sentence, best first.

    Each sentence has `beam_size` places. At each step all continuations of its open hypotheses compete by
    log-probability, and the best take the places. One that ends with the end symbol is finished and keeps its place,
    so the beam shrinks (Sutskever et al. 2014, section 3.2, https://arxiv.org/abs/1409.3215). A finished hypothesis
    with the `identity` of another takes no place; the better of them is kept, so the results are distinct.

    Open hypotheses whose bound (`scoring.LengthPenalty.bound`) is no better than the n-th best finished score are
    dropped, and a sentence without open hypotheses leaves the batch: nothing that could still win is lost.

    At the maximum length the end symbol is forced, and its log-probability counted like any other: the score is always
    what the model gives that output. Ties go to the better ranked predecessor, then to the lower id.

        sources: ids of each sentence, none of them empty

    Returns: per sentence 1 to `n_best` hypotheses.
    """
    if not sources:
        return []
    memory, state = engine.start(sources)
    beams = _Beams([settings.max_length(len(source)) for source in sources], settings, identity)
    while len(beams.tokens):
        best, attention_weights, state = step_best(engine, memory, state, beams.tokens, beams.widest())
        rows = beams.advance(best, attention_weights if settings.attention_weights else None)
        if len(rows) and not np.array_equal(rows, np.arange(len(best.end))):
            state = engine.select(state, rows)
    return beams.results([len(source) for source in sources])


class _Step(NamedTuple):
    """Back-pointers of one step: for each row after it, where it came from and what it read."""

    parents: Integers
    tokens: Integers
    log_probs: Floats
    attention_weights: Floats | None
    """Of the rows before the step."""


class _Finished(NamedTuple):
    """A finished hypothesis: its row before the step that ended it. The tokens are found by the back-pointers."""

    score: float
    log_prob: float
    end_log_prob: float
    step: int
    row: int
    length: int
    finished: bool


class _Beams:
    """The hypotheses of a batch.

    Rows are sorted by sentence, and within a sentence from the best to the worst. Lengths are counted per sentence, so
    that sentences may one day enter at different steps.
    """

    def __init__(self, max_lengths: Sequence[int], settings: SearchSettings, identity: Identity | None) -> None:
        sentences = len(max_lengths)
        self.settings = settings
        self.identity = identity
        self.penalty = LengthPenalty(settings.length_penalty, settings.alpha)
        # per sentence
        self.finished: list[dict[Hashable, _Finished]] = [{} for _ in max_lengths]
        self.places = np.full(sentences, settings.beam_size)
        self.length = np.zeros(sentences, np.int64)  # pieces of its open hypotheses
        self.max_length = np.array(max_lengths, np.int64)
        self.bound_divisor = self.penalty.divisor((self.max_length + 1).astype(np.float64))
        self.worst_wanted = np.full(sentences, -np.inf)  # score of the n-th best finished hypothesis
        # per sentence with open hypotheses
        self.active = np.arange(sentences)
        self.counts = np.ones(sentences, np.int64)
        # per row
        self.tokens = np.full(sentences, BEGIN, np.int64)
        self.log_prob: Doubles = np.zeros(sentences)
        self.steps: list[_Step] = []

    def widest(self) -> int:
        """How many continuations of one hypothesis can find a place at most."""
        return int(self.places[self.active].max())

    def advance(self, best: Best, attention_weights: Floats | None) -> Integers:
        """Take one step; returns the row before the step that each row now continues."""
        if np.isnan(best.end).any() or np.isnan(best.log_probs).any():
            raise UserError("the model's probabilities are not numbers; its weights are damaged")
        active, counts = self.active, self.counts
        first_row = np.cumsum(counts) - counts
        width = 1 + best.log_probs.shape[1]  # continuations per row: the end symbol, then pieces
        slot = np.repeat(np.arange(len(active)), counts)
        rank = np.arange(len(slot)) - first_row[slot]

        # [rows, width] -> [sentences, most rows of a sentence, width]
        totals = np.full((len(active), int(counts.max()), width), -np.inf)
        totals[slot, rank, 0] = self.log_prob + best.end
        totals[slot, rank, 1:] = self.log_prob[:, None] + best.log_probs
        length, longest = self.length[active], self.max_length[active]
        totals[length < self.settings.min_length, :, 0] = -np.inf
        must_end = length >= longest
        totals[must_end, :, 1:] = -np.inf

        # [sentences, most rows, width] -> [sentences, most rows x width], best first
        totals = totals.reshape(len(active), -1)
        order = np.argsort(-totals, axis=1, kind="stable")
        totals = np.take_along_axis(totals, order, 1)
        keep = (np.arange(totals.shape[1]) < self.places[active][:, None]) & (totals > -np.inf)
        ends = (keep & (order % width == 0)).any(axis=1)
        for i in np.nonzero(ends)[0].tolist():
            keep[i] = self._finish(i, int(first_row[i]), order[i], totals[i], width, best, bool(must_end[i]))
        keep &= totals / self.bound_divisor[active][:, None] > self.worst_wanted[active][:, None]

        self.counts = keep.sum(axis=1)
        for i in np.nonzero(self.counts == 0)[0].tolist():
            if not self.finished[active[i]]:  # nothing was possible: the best open hypothesis ends here
                self._add(int(active[i]), self._ended(int(active[i]), int(first_row[i]), best, False))
        slot, position = np.nonzero(keep)
        chosen = order[slot, position]
        parents: Integers = first_row[slot] + chosen // width
        columns = chosen % width - 1
        self.log_prob = totals[slot, position]
        self.tokens = best.tokens[parents, columns]
        self.steps.append(_Step(parents, self.tokens, best.log_probs[parents, columns], attention_weights))
        self.active = active[self.counts > 0]
        self.counts = self.counts[self.counts > 0]
        self.length[self.active] += 1
        return parents

    def _finish(
        self, i: int, first_row: int, order: Integers, totals: Doubles, width: int, best: Best, must_end: bool
    ) -> npt.NDArray[np.bool_]:
        """Go through the continuations of active sentence i, best first, until its places are full.

        Returns: the continuations that stay open, as a mask over `order`.
        """
        sentence = int(self.active[i])
        places = int(self.places[sentence])
        taken = 0
        keep = np.zeros(len(order), np.bool_)
        for position, (choice, total) in enumerate(zip(order.tolist(), totals.tolist(), strict=True)):
            if taken == places or total == -np.inf:
                break
            if choice % width:
                keep[position] = True
                taken += 1
                continue
            row = first_row + choice // width
            wanted = not must_end or width == 1 or bool(best.end[row] >= best.log_probs[row, 0])
            if self._add(sentence, self._ended(sentence, row, best, wanted)):
                self.places[sentence] -= 1
                taken += 1
        return keep

    def _ended(self, sentence: int, row: int, best: Best, finished: bool) -> _Finished:
        """The open hypothesis in a row of a sentence, with the end symbol after it."""
        length = int(self.length[sentence])
        end = float(best.end[row])
        log_prob = float(self.log_prob[row]) + end
        score = self.penalty.score(log_prob, length + 1)
        return _Finished(score, log_prob, end, len(self.steps), row, length, finished)

    def _add(self, sentence: int, new: _Finished) -> bool:
        """Add a finished hypothesis; returns whether it is unlike all others of the sentence."""
        finished = self.finished[sentence]
        key = (new.step, new.row) if self.identity is None else self.identity(self._trace(new)[0])
        known = finished.get(key)
        if known is None or new.score > known.score:
            finished[key] = new
            if len(finished) >= self.settings.n_best:
                scores = sorted((hypothesis.score for hypothesis in finished.values()), reverse=True)
                self.worst_wanted[sentence] = scores[self.settings.n_best - 1]
        return known is None

    def _trace(self, finished: _Finished) -> tuple[list[int], list[float], list[int]]:
        """Tokens and their log-probabilities, and the row before each step, that of the end symbol included."""
        tokens, log_probs, rows = [], [], [finished.row]
        for step in range(finished.step - 1, finished.step - 1 - finished.length, -1):
            pointers = self.steps[step]
            row = rows[-1]
            tokens.append(int(pointers.tokens[row]))
            log_probs.append(float(pointers.log_probs[row]))
            rows.append(int(pointers.parents[row]))
        return tokens[::-1], log_probs[::-1], rows[::-1]

    def results(self, source_lengths: Sequence[int]) -> list[list[Hypothesis]]:
        """The n best finished hypotheses of each sentence; equal scores stay in the order in which they finished."""
        results = []
        longest = max(source_lengths)
        for finished, source_length in zip(self.finished, source_lengths, strict=True):
            ranked = sorted(finished.values(), key=lambda hypothesis: -hypothesis.score)[: self.settings.n_best]
            results.append([self._hypothesis(hypothesis, longest - source_length) for hypothesis in ranked])
        return results

    def _hypothesis(self, finished: _Finished, padding: int) -> Hypothesis:
        tokens, log_probs, rows = self._trace(finished)
        attention = []
        for step, row in zip(range(finished.step - finished.length, finished.step + 1), rows, strict=True):
            weights = self.steps[step].attention_weights
            if weights is not None:
                attention.append(weights[row, : weights.shape[1] - padding])
        return Hypothesis(
            tokens=tokens,
            log_prob=finished.log_prob,
            score=finished.score,
            token_log_probs=[*log_probs, finished.end_log_prob],
            finished=finished.finished,
            attention_weights=np.stack(attention) if attention else None,
        )
