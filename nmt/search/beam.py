"""Beam search over an engine: bookkeeping only, in numpy.

All open hypotheses of all sentences are the rows of one batch. Rows of different sentences never meet: a sentence's
result depends on nothing else in its batch.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from nmt.config import DecodingConfig
from nmt.errors import UserError
from nmt.search.constraints import FREE, Constraints, Progress, Rules
from nmt.search.engine import Best, Engine, Floats, Integers, best_pieces, compact, step_best
from nmt.search.scoring import LengthPenalty, brevity_penalty, coverage_penalty
from nmt.text.vocabulary import BEGIN, END, UNK

Doubles = npt.NDArray[np.float64]

Identity = Callable[[list[int]], Hashable]
"""What two hypotheses must share to count as the same, for example their text."""


_length_penalty = lru_cache(LengthPenalty)


@dataclass(frozen=True)
class SearchSettings:
    """How to search. Meaning and unit of each field: `nmt.config.DecodingConfig`."""

    beam_size: int = DecodingConfig.beam_size
    n_best: int = 1
    """Hypotheses returned per sentence (fewer if there are not that many)."""
    length_penalty: Literal["none", "average", "gnmt"] = DecodingConfig.length_penalty
    alpha: float = DecodingConfig.alpha
    coverage_penalty: float = 0.0
    brevity_penalty: float = 0.0
    brevity_ratio: float = 1.0
    min_length: int = DecodingConfig.min_length
    max_length_factor: float = DecodingConfig.max_length_factor
    max_length_offset: int = DecodingConfig.max_length_offset
    groups: int = 1
    diversity: float = 0.0
    no_repeat_ngram: int = 0
    attention_weights: bool = False
    """Whether to keep the attention weights; they take steps x rows x source_length numbers while searching."""

    def __post_init__(self) -> None:
        for name, least in (("beam_size", 1), ("n_best", 1), ("min_length", 0), ("groups", 1), ("no_repeat_ngram", 0)):
            if getattr(self, name) < least:
                raise UserError(f"`{name}` must be at least {least}, but is {getattr(self, name)} instead")
        for name in (
            *("max_length_factor", "max_length_offset"),
            *("coverage_penalty", "brevity_penalty", "brevity_ratio", "diversity"),
        ):
            if not getattr(self, name) >= 0:
                raise UserError(f"`{name}` must be at least 0, but is {getattr(self, name)} instead")
        for name, use in (("n_best", "search with a larger beam"), ("groups", "each group needs a place in the beam")):
            if getattr(self, name) > self.beam_size:
                raise UserError(
                    f"`{name}` must be at most `beam_size` ({self.beam_size}), but is {getattr(self, name)} instead; "
                    f"{use}"
                )

    def max_length(self, source_length: int) -> int:
        """Most pieces of a translation, without the end symbol; never below `min_length`."""
        length = int(self.max_length_factor * source_length + self.max_length_offset + 1e-9)
        return max(length, self.min_length)

    def score(self, log_prob: float, length: int, source_length: int, covered: Floats | None = None) -> float:
        """What finished hypotheses are ranked by: normalised log-probability, and the penalties.

        length: pieces of the hypothesis; source_length: those of the source; both without the end symbol
        covered: sums of the attention weights over the hypothesis, [source_length]; for the coverage penalty
        """
        score = _length_penalty(self.length_penalty, self.alpha).score(log_prob, length + 1)
        if self.coverage_penalty and covered is not None:
            score += self.coverage_penalty * coverage_penalty(covered)
        if self.brevity_penalty:
            score += self.brevity_penalty * brevity_penalty(length + 1, source_length + 1, self.brevity_ratio)
        return score


@dataclass
class Hypothesis:
    """A finished translation; its numbers are the model's for exactly this output."""

    tokens: list[int]
    """Ids without the end symbol."""
    log_prob: float
    """Sum of `token_log_probs`."""
    score: float
    """`log_prob`, normalised by length, with the penalties; what hypotheses are ranked by."""
    token_log_probs: list[float]
    """Log-probability of each token and of the end symbol, which comes last."""
    finished: bool
    """False if it was cut: at the maximum length, though the model would rather have gone on, or at a dead end."""
    attention_weights: Floats | None
    """[tokens + 1, source_length], the last row the end symbol's; None if not wanted or without attention."""


def beam_search(
    engine: Engine,
    sources: Sequence[Sequence[int]],
    settings: SearchSettings,
    identity: Identity | None = None,
    constraints: Sequence[Constraints] | None = None,
) -> list[list[Hypothesis]]:
    """The best hypotheses of each source sentence, best first.

    Each sentence has `beam_size` places. At each step all continuations of its open hypotheses compete by
    log-probability, and the best take the places. One that ends with the end symbol is finished and keeps its place,
    so the beam shrinks (Sutskever et al. 2014, section 3.2, https://arxiv.org/abs/1409.3215). A finished hypothesis
    with the `identity` of another takes no place; the better of them is kept, so the results are distinct.

    A sentence leaves the batch as soon as no open hypothesis has a bound (`scoring.LengthPenalty.bound`) better than
    the n-th best finished score: nothing that could still win is lost. Penalties only lower a score, so the bound holds
    with them. Up to then no hypothesis is dropped for its bound, though that would save a row in 3,000: it would let
    others into the beam, and the best would not be the first of a longer list. Once half of the sentences that the
    engine remembers have left, it is told to forget them (`nmt.search.engine.compact`).

    At the maximum length the end symbol is forced, and its log-probability counted like any other: the score is always
    what the model gives that output. Ties go to the better ranked predecessor, then to the lower id.

    Required phrases: dynamic beam allocation, see `_by_banks`. The maximum length leaves room for them and the prefix,
    and where it becomes scarce only their pieces may come. Diverse beam search: with `groups`, each group has its share
    of the places and searches for itself, one group after another at each step; a piece that earlier groups have just
    taken n times loses n x `diversity` in the competition for places, not in the score (Vijayakumar et al. 2016,
    section 3, Hamming diversity, https://arxiv.org/abs/1610.02424).

        sources: ids of each sentence, none of them empty
        constraints: those of each sentence

    Returns: per sentence 1 to `n_best` hypotheses.
    """
    if not sources:
        return []
    rules = Rules(constraints or [FREE] * len(sources), settings.no_repeat_ngram)
    memory, state = engine.start(sources)
    remembered = len(sources)
    source_lengths = [len(source) for source in sources]
    sizes = [(settings.beam_size + group) // settings.groups for group in range(settings.groups)]
    groups = [_Beams(source_lengths, size, settings, rules, identity) for size in sizes[::-1]]
    if len(groups) > 1:
        state = engine.select(state, np.tile(np.arange(len(sources)), len(groups)))
    while any(len(beams.tokens) for beams in groups):
        tokens = np.concatenate([beams.tokens for beams in groups])
        widest = sum(beams.widest() for beams in groups)
        if rules.bind:
            log_probs, attention_weights, state = engine.step(memory, state, tokens)
        else:
            best, attention_weights, state = step_best(engine, memory, state, tokens, widest)
        if settings.coverage_penalty and attention_weights is None:
            raise UserError("`coverage_penalty` needs a model with attention, but this one has none; set it to 0")
        parents: list[Integers] = []
        taken: list[Integers] = []
        first = 0
        for beams in groups:
            if not len(beams.tokens):
                continue
            part = slice(first, first + len(beams.tokens))
            if rules.bind:
                own = beams.choose(log_probs[part], widest)
            else:
                own = Best(best.end[part], best.log_probs[part], best.tokens[part])
            handicap = settings.diversity * _times_taken(beams.symbols(own.tokens), taken) if taken else None
            weights = None if attention_weights is None else attention_weights[part]
            parents.append(first + beams.advance(own, weights, handicap))
            if len(groups) > 1:
                taken.append(beams.symbols(beams.tokens))
            first = part.stop
        rows = np.concatenate(parents)
        if len(rows) and not np.array_equal(rows, np.arange(len(tokens))):
            state = engine.select(state, rows)
        going_on = set().union(*(beams.active.tolist() for beams in groups))
        if going_on and len(going_on) <= remembered // 2:  # rarely enough for the copy to cost less than it saves
            memory, state = compact(engine, memory, state)
            remembered = len(going_on)
    return _results(groups, settings.n_best)


def _times_taken(symbols: Integers, taken: Sequence[Integers]) -> Doubles:
    """How often each symbol of an array is among those that were taken."""
    known, times = np.unique(np.concatenate(taken), return_counts=True)
    if not len(known):
        return np.zeros(symbols.shape)
    place = np.minimum(np.searchsorted(known, symbols), len(known) - 1)
    return np.where(known[place] == symbols, times[place], 0.0)


def _by_banks(missing: Integers, totals: Doubles) -> Integers:
    """The order in which a sentence's continuations take places when phrases are required: dynamic beam allocation.

    Post & Vilar (2018), section 3, https://arxiv.org/abs/1804.06609: the places are shared out evenly among the banks
    of continuations that have met as much of the phrases as each other, and what a bank has too few continuations for
    goes to the others. Here the banks take turns: first the best of each, those with the least missing before the
    others, then the second of each, and so on.

        missing: pieces still missing after each continuation, best first; totals: their log-probabilities

    Returns: indices of the continuations; impossible ones come last
    """
    possible, impossible = np.nonzero(totals > -np.inf)[0], np.nonzero(totals == -np.inf)[0]
    bank = missing[possible]
    by_bank = np.argsort(bank, kind="stable")
    turn = np.empty_like(by_bank)
    turn[by_bank] = np.arange(len(bank)) - np.searchsorted(bank[by_bank], bank[by_bank])
    return np.concatenate((possible[np.lexsort((bank, turn))], impossible))


class _Step(NamedTuple):
    """Back-pointers of one step: for each row after it, where it came from and what it read, as plain numbers."""

    parents: list[int]
    tokens: list[int]
    log_probs: list[float]
    attention_weights: Floats | None
    """Of the rows before the step."""


class _Finished(NamedTuple):
    """A finished hypothesis: its row before the step that ended it, and how many steps were taken by then, which is its
    length. The tokens are found by the back-pointers."""

    score: float
    log_prob: float
    end_log_prob: float
    step: int
    row: int
    finished: bool
    dead_end: bool = False
    """Whether nothing was possible but this."""


class _Beams:
    """The hypotheses of a batch, or of one group of them in diverse beam search.

    Rows are sorted by sentence, and within a sentence in the order in which they took their places: from the best to
    the worst but for diversity and required phrases. All of them are as long as steps were taken.
    """

    def __init__(
        self,
        source_lengths: Sequence[int],
        beam_size: int,
        settings: SearchSettings,
        rules: Rules,
        identity: Identity | None,
    ) -> None:
        sentences = len(source_lengths)
        self.settings = settings
        self.rules = rules
        self.identity = identity
        self.penalty = LengthPenalty(settings.length_penalty, settings.alpha)
        # per sentence
        self.source_lengths = source_lengths
        self.longest_source = max(source_lengths)
        self.finished: list[dict[Hashable, _Finished]] = [{} for _ in source_lengths]
        self.places = np.full(sentences, beam_size)
        self.max_length = np.array(
            [
                max(settings.max_length(length), constraints.least_length)
                for length, constraints in zip(source_lengths, rules.constraints, strict=True)
            ],
            np.int64,
        )
        self.worst_wanted = np.full(sentences, -np.inf)  # score of the n-th best finished hypothesis
        # per sentence with open hypotheses
        self._arrange(np.arange(sentences), np.ones(sentences, np.int64))
        # per row
        self.tokens = np.full(sentences, BEGIN, np.int64)
        self.log_prob: Doubles = np.zeros(sentences)
        self.history = np.zeros((sentences, 0), np.int64)  # all it has read; kept for the rules only
        required = [Progress(constraints.required) for constraints in rules.constraints]
        self.progress = required if any(progress.unmet for progress in required) else None
        self.covered: Floats | None = None  # sums of the attention weights; kept for the coverage penalty only
        self.steps: list[_Step] = []

    def _arrange(self, active: Integers, counts: Integers) -> None:
        """Set the sentences with open hypotheses and how many each has, and where these stand among the rows."""
        self.active, self.counts = active, counts
        self.first_row = np.cumsum(counts) - counts
        self.slot = np.repeat(np.arange(len(active)), counts)  # place of each row's sentence in `active`
        self.rank = np.arange(len(self.slot)) - self.first_row[self.slot]

    def widest(self) -> int:
        """How many continuations of one hypothesis can find a place at most."""
        return int(self.places[self.active].max(initial=0))

    def symbols(self, tokens: Integers) -> Integers:
        """A number for each piece in [rows, ...] tokens, different for different sentences."""
        sentence = np.repeat(self.active, self.counts)
        return (sentence << 32).reshape(-1, *[1] * (tokens.ndim - 1)) + tokens

    def choose(self, log_probs: Floats, k: int) -> Best:
        """The continuations of [rows, vocabulary] that the rules leave.

        Per row the k best pieces, and behind them those that its required phrases want next, and the unknown piece if
        it may be written.
        """
        sentence = np.repeat(self.active, self.counts)
        wanted: list[list[int]] = [progress.next_pieces() for progress in self.progress or ()]
        restricted = self.rules.restrict(log_probs, self.history, sentence, wanted)
        unknown = [[UNK] if self.rules.constraints[number].unknown else [] for number in sentence.tolist()]
        apart = [[*pieces, *more] for pieces, more in zip(wanted or [[]] * len(unknown), unknown, strict=True)]
        width = max(map(len, apart), default=0)
        tokens = np.full((len(log_probs), width), END)
        values = np.full((len(log_probs), width), -np.inf, np.float32)
        for row, pieces in enumerate(apart):
            tokens[row, : len(pieces)] = pieces
            values[row, : len(pieces)] = restricted[row, pieces]
            restricted[row, pieces] = -np.inf
        best = best_pieces(restricted, k)
        return Best(best.end, np.concatenate((best.log_probs, values), 1), np.concatenate((best.tokens, tokens), 1))

    def advance(self, best: Best, attention_weights: Floats | None, handicap: Doubles | None) -> Integers:
        """Take one step; returns the row before the step that each row now continues.

        handicap: what each piece loses in the competition for places, [rows, pieces]
        """
        if self.settings.coverage_penalty and attention_weights is not None:
            self.covered = attention_weights + (0 if self.covered is None else self.covered)
        active, first_row, slot, rank = self.active, self.first_row, self.slot, self.rank
        width = 1 + best.log_probs.shape[1]  # continuations per row: the end symbol, then pieces

        # [rows, width] -> [sentences, most rows of a sentence, width]
        totals = self.log_prob[:, None] + np.concatenate((best.end[:, None], best.log_probs), 1)
        shape = len(active), int(self.counts.max()), width
        if len(totals) < shape[0] * shape[1]:
            by_row, totals = totals, np.full(shape, -np.inf)
            totals[slot, rank] = by_row
        totals = totals.reshape(shape)
        length, longest = len(self.steps), self.max_length[active]
        if length < self.settings.min_length:
            totals[:, :, 0] = -np.inf
        must_end = length >= longest
        totals[must_end, :, 1:] = -np.inf
        if self.progress is not None:
            missing = np.zeros(totals.shape, np.int64)
            missing[slot, rank] = self._missing(best)
            totals[:, :, 0][missing[:, :, 0] > 0] = -np.inf
            totals[:, :, 1:][missing[:, :, 1:] >= (longest - length)[:, None, None]] = -np.inf

        # [sentences, most rows, width] -> [sentences, most rows x width], best first
        ranked = totals
        if handicap is not None:
            ranked = totals.copy()
            ranked[slot, rank, 1:] -= handicap
        totals = totals.reshape(len(active), -1)
        sentence = np.arange(len(active))[:, None]
        order = np.argsort(-ranked.reshape(totals.shape), axis=1, kind="stable")
        totals = totals[sentence, order]
        if np.isnan(totals[:, -1]).any():  # they are sorted to the end
            raise UserError("the model's probabilities are not numbers; its weights are damaged")
        if self.progress is not None:
            missing = missing.reshape(totals.shape)[sentence, order]
            for i in np.nonzero(missing.any(axis=1))[0].tolist():
                turns = _by_banks(missing[i], totals[i])
                order[i], totals[i] = order[i][turns], totals[i][turns]
        keep = (np.arange(totals.shape[1]) < self.places[active][:, None]) & (totals > -np.inf)
        row, column = np.divmod(order, width)
        ends = (keep & (column == 0)).any(axis=1)
        for i in np.nonzero(ends)[0].tolist():
            keep[i] = self._finish(i, int(first_row[i]), order[i], totals[i], width, best, bool(must_end[i]))
        worst_wanted = self.worst_wanted[active]
        if worst_wanted.max() > -np.inf:
            bound = self.penalty.bound(totals, (longest[:, None] + 1).astype(np.float64))
            keep &= (keep & (bound > worst_wanted[:, None])).any(axis=1, keepdims=True)

        counts = keep.sum(axis=1)
        for i in np.nonzero(counts == 0)[0].tolist():
            if not self.finished[active[i]]:  # nothing was possible: the best open hypothesis ends here
                self._add(
                    int(active[i]), self._ended(int(active[i]), int(first_row[i]), best, False)._replace(dead_end=True)
                )
        slot, position = np.nonzero(keep)
        parents: Integers = first_row[slot] + row[slot, position]
        columns = column[slot, position] - 1
        self.log_prob = totals[slot, position]
        self.tokens = best.tokens[parents, columns]
        read = (parents.tolist(), self.tokens.tolist(), best.log_probs[parents, columns].tolist())
        self.steps.append(_Step(*read, self._kept(attention_weights)))
        if not np.array_equal(counts, self.counts):
            self._arrange(active[counts > 0], counts[counts > 0])
        if self.rules.bind:
            self.history = np.concatenate((self.history[parents], self.tokens[:, None]), 1)
        if self.progress is not None:
            self.progress = [self.progress[parent].after(token) for parent, token in zip(*read[:2], strict=True)]
        if self.covered is not None:
            self.covered = self.covered[parents]
        return parents

    def _kept(self, attention_weights: Floats | None) -> Floats | None:
        return attention_weights if self.settings.attention_weights else None

    def _missing(self, best: Best) -> Integers:
        """Pieces still missing for the required phrases after each continuation, [rows, width]."""
        assert self.progress is not None
        return np.array(
            [
                [progress.missing, *(progress.after(token).missing for token in tokens)]
                for progress, tokens in zip(self.progress, best.tokens.tolist(), strict=True)
            ]
        ).reshape(len(best.end), -1)

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
            wanted = not must_end or width == 1 or bool(best.end[row] >= best.log_probs[row].max())
            if self._add(sentence, self._ended(sentence, row, best, wanted)):
                self.places[sentence] -= 1
                taken += 1
        return keep

    def _ended(self, sentence: int, row: int, best: Best, finished: bool) -> _Finished:
        """The open hypothesis in a row of a sentence, with the end symbol after it."""
        length = len(self.steps)
        end = float(best.end[row])
        log_prob = float(self.log_prob[row]) + end
        source_length = self.source_lengths[sentence]
        covered = None if self.covered is None else self.covered[row, :source_length]
        score = self.settings.score(log_prob, length, source_length, covered)
        return _Finished(score, log_prob, end, length, row, finished)

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
        for step in range(finished.step - 1, -1, -1):
            pointers = self.steps[step]
            row = rows[-1]
            tokens.append(pointers.tokens[row])
            log_probs.append(pointers.log_probs[row])
            rows.append(pointers.parents[row])
        return tokens[::-1], log_probs[::-1], rows[::-1]

    def hypothesis(self, finished: _Finished, sentence: int) -> Hypothesis:
        """A finished hypothesis of a sentence with all that is known of it."""
        tokens, log_probs, rows = self._trace(finished)
        padding = self.longest_source - self.source_lengths[sentence]
        attention = []
        for step, row in enumerate(rows):
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


def _results(groups: Sequence[_Beams], n_best: int) -> list[list[Hypothesis]]:
    """The n best finished hypotheses of each sentence; equal scores stay in the order in which they finished.

    Groups may find the same hypothesis; it counts once.
    """
    results = []
    for sentence in range(len(groups[0].finished)):
        ranked = sorted(
            ((finished, beams) for beams in groups for finished in beams.finished[sentence].values()),
            key=lambda item: (item[0].dead_end, -item[0].score),
        )
        found: dict[Hashable, Hypothesis] = {}
        for finished, beams in ranked:
            if len(found) == n_best or (found and finished.dead_end):
                break
            hypothesis = beams.hypothesis(finished, sentence)
            key = (beams.identity or tuple)(hypothesis.tokens) if len(groups) > 1 else len(found)
            found.setdefault(key, hypothesis)
        results.append(list(found.values()))
    return results
