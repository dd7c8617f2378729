"""Beam search over an engine: bookkeeping only, in numpy.

All open hypotheses of all sentences are the rows of one batch. Sentences in a batch do not influence each other.

At each step all continuations of a sentence's open hypotheses compete by log-probability, and the best ones take its
`beam_size` places. A continuation with the end symbol is finished and keeps its place, so the beam shrinks (Sutskever
et al. 2014, section 3.2, https://arxiv.org/abs/1409.3215). If two finished hypotheses count as the same for the caller
(for example because their texts are equal), the better one is kept and the other takes no place. Ties go to the better
ranked predecessor, then to the lower id.

A sentence leaves the batch as soon as no open hypothesis has a bound (`scoring.LengthPenalty.bound`) better than the
n-th best finished score; so no hypothesis that could still win is lost. The other terms of the score only lower it, so
the bound holds with them. Until then no hypothesis is pruned because of its bound. Pruning would save one row in 3,000,
but would let others into the beam, so that the best hypothesis could differ between a short and a long n-best list.

At the maximum length the end symbol is forced, and its log-probability counts like any other: the score is always the
one that the model gives to that output.

Shapes in this file: R rows; S sentences with open hypotheses; B the largest number of rows of a sentence; W competing
continuations of a row: the end symbol, then pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from nmt.config import DecodingConfig
from nmt.config.ranges import out_of_range
from nmt.errors import UserError, needs_attention
from nmt.search.constraints import FREE, Constraints
from nmt.search.engine import Engine, EngineState, Floats, Integers
from nmt.search.scoring import Scorer
from nmt.search.variations import Booleans, Candidates, Doubles, RequiredPhrases, Rows, Variations, diversity_handicap
from nmt.text.vocabulary import BEGIN

Identity = Callable[[list[int]], Hashable]  # equal for hypotheses that count as the same, as their text


@dataclass
class SearchSettings(DecodingConfig):
    """The settings of a search, and what it returns."""

    n_best: int = 1  # number of hypotheses returned per sentence (fewer if the search finds fewer)
    attention_weights: bool = False
    """Whether to keep the attention weights: steps x rows x source_length numbers during the search."""

    @classmethod
    def of(cls, decoding: DecodingConfig, n_best: int = 1, attention_weights: bool = False) -> SearchSettings:
        """The decoding settings, combined with what the caller wants returned."""
        return cls(**vars(decoding), n_best=n_best, attention_weights=attention_weights)

    def __post_init__(self) -> None:
        for name, rule in [*out_of_range(self), *([("n_best", "at least 1")] if self.n_best < 1 else [])]:
            raise UserError(f"`{name}` must be {rule}, but is {getattr(self, name)} instead")
        for name, use in (("n_best", "search with a larger beam"), ("groups", "each group needs a place in the beam")):
            if getattr(self, name) > self.beam_size:
                raise UserError(
                    f"`{name}` must be at most `beam_size` ({self.beam_size}), but is {getattr(self, name)} instead; "
                    f"{use}"
                )


@dataclass
class Hypothesis:
    """A finished translation, with the model's scores for exactly this output."""

    tokens: list[int]  # ids without the end symbol
    log_prob: float  # sum of `token_log_probs`
    score: float  # `log_prob`, normalised by length, with the penalties; hypotheses are ranked by it
    token_log_probs: list[float]  # log-probability of each token and of the end symbol, which comes last
    # False if it was cut off at the maximum length although the model preferred to continue, or at a dead end.
    finished: bool
    # [tokens + 1, source_length], with the end symbol's weights last; None if not requested or without attention.
    attention_weights: Floats | None


def beam_search(
    engine: Engine,
    sources: Sequence[Sequence[int]],
    settings: SearchSettings,
    identity: Identity | None = None,
    constraints: Sequence[Constraints] | None = None,
) -> list[list[Hypothesis]]:
    """The best hypotheses of each source sentence, best first.

    In diverse beam search each group has its share of the places and does its own search; at each step the groups take
    turns (`diversity_handicap`).

        sources: ids of each sentence, none of them empty
        identity: which hypotheses count as the same; None: those with the same tokens
        constraints: one for each sentence

    Returns: per sentence 1 to `n_best` hypotheses.
    """
    if not sources:
        return []
    lengths = [len(source) for source in sources]
    variations = Variations(settings, constraints or [FREE] * len(sources), lengths)
    sizes = [(settings.beam_size + group) // settings.groups for group in range(settings.groups)]
    groups = [_Beams(lengths, size, settings, variations, identity) for size in sizes[::-1]]
    memory, state = engine.start(sources)
    if len(groups) > 1:
        state = engine.select(state, np.tile(np.arange(len(sources)), len(groups)))
    remembered = len(sources)
    while any(len(beams.tokens) for beams in groups):
        tokens = _joined([beams.tokens for beams in groups])
        widest = sum(beams.widest() for beams in groups)
        candidates, attention_weights, state = _step(engine, memory, state, tokens, groups, variations, widest)
        if settings.coverage_penalty and attention_weights is None:
            raise needs_attention("`coverage_penalty` needs", "; set it to 0")
        rows = _advance(groups, candidates, attention_weights)
        if len(rows) and not np.array_equal(rows, np.arange(len(tokens))):
            state = engine.select(state, rows)
        if 0 < max(len(beams.layout.active) for beams in groups) <= remembered // 2:
            going_on = len(set().union(*(beams.layout.active.tolist() for beams in groups)))
            if going_on <= remembered // 2:  # so rarely that copying costs less than it saves
                memory, state = engine.compact(memory, state)
                remembered = going_on
    return _results(groups, settings.n_best)


def _step(
    engine: Engine,
    memory: Any,
    state: EngineState,
    tokens: Integers,
    groups: Sequence[_Beams],
    variations: Variations,
    widest: int,
) -> tuple[Candidates, Floats | None, EngineState]:
    """Candidates, attention weights and next state; whole rows are computed only where the best are not enough."""
    if not any(variations.bound[beams.layout.active].any() for beams in groups):
        best, attention_weights, after = engine.step_best(memory, state, tokens, widest)
        return Candidates(best, None), attention_weights, after
    each = [beams.rows() for beams in groups if len(beams.tokens)]
    rows = Rows(_joined([own.history for own in each]), _joined([own.sentence for own in each]))
    if variations.copied is None:
        log_probs, attention_weights, after = engine.step(memory, state, tokens)
        return variations.candidates(log_probs, rows, widest), attention_weights, after
    best, attention_weights, after = engine.step_best(memory, state, tokens, widest + variations.copied.further)
    allowed, unknown = variations.copied.among(best, rows, widest)
    if len(unknown):
        log_probs, _, _ = engine.step(memory, engine.select(state, unknown), tokens[unknown])
        own = variations.candidates(log_probs, Rows(rows.history[unknown], rows.sentence[unknown]), widest).best
        width = min(own.tokens.shape[1], allowed.tokens.shape[1])
        allowed.log_probs[unknown, :width] = own.log_probs[:, :width]
        allowed.tokens[unknown, :width] = own.tokens[:, :width]
        allowed.log_probs[unknown, width:] = -np.inf
    return Candidates(allowed, None), attention_weights, after


def _advance(groups: Sequence[_Beams], candidates: Candidates, attention_weights: Floats | None) -> Integers:
    """Take one step in each group; returns the row before the step that each row now continues, [rows]."""
    taken: list[Integers] = []  # the symbols that each group has taken
    parents: list[Integers] = []
    first = 0  # row of the group's first hypothesis
    for beams in groups:
        if not len(beams.tokens):
            continue
        part = slice(first, first + len(beams.tokens))
        own = candidates.part(part)
        if len(groups) > 1:
            diversity = beams.settings.diversity
            own = own.with_handicap(diversity_handicap(beams.symbols(own.best.tokens), taken, diversity))
        weights = None if attention_weights is None else attention_weights[part]
        parents.append(first + beams.advance(own, weights))
        if len(groups) > 1:
            taken.append(beams.symbols(beams.tokens))
        first = part.stop
    return _joined(parents)


def _joined(arrays: list[Integers]) -> Integers:
    """The rows of all groups; there is mostly one."""
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


class _Step(NamedTuple):
    """Back-pointers of one step: for each row after it, where it came from and what it read."""

    parents: Integers
    tokens: Integers
    log_probs: Floats
    attention_weights: Floats | None  # attention weights of the rows before the step


class _Finished(NamedTuple):
    """A finished hypothesis. Its tokens are found through the back-pointers."""

    score: float
    log_prob: float
    end_log_prob: float
    step: int  # number of steps before the one that ended it, which is its length
    row: int  # its row before that step
    finished: bool
    dead_end: bool = False  # whether it was ended because no continuation was possible


class _Ranked(NamedTuple):
    """The continuations of each sentence in the order in which they take places, [S, B x W]."""

    totals: Doubles  # log-probability of the hypothesis with its continuation; -inf where it is impossible
    row: Integers  # the row that is continued, counted from the sentence's first
    column: Integers  # the continuation: 0 is the end symbol, n is piece n - 1 of the candidates


class _Layout:
    """The sentences with open hypotheses and their rows, which are in the order of the sentences."""

    def __init__(self, active: Integers, counts: Integers) -> None:
        self.active, self.counts = active, counts  # index of each sentence, and its number of rows, [S]
        self.first_row = np.cumsum(counts) - counts  # [S]
        self.slot = np.repeat(np.arange(len(active)), counts)  # index of each row's sentence in `active`, [R]
        self.rank = np.arange(len(self.slot)) - self.first_row[self.slot]  # index of each row within its sentence, [R]

    @property
    def sentence(self) -> Integers:
        """The sentence of each row, [R]."""
        return self.active[self.slot]

    def by_sentence(self, values: npt.NDArray[Any], empty: float) -> npt.NDArray[Any]:
        """Values of the rows, [R, W], arranged as [S, B, W]; `empty` where a sentence has fewer than B rows."""
        shape = len(self.active), int(self.counts.max()), values.shape[1]
        if len(values) == shape[0] * shape[1]:
            return values.reshape(shape)
        spread = np.full(shape, empty, values.dtype)
        spread[self.slot, self.rank] = values
        return spread


class _Beams:
    """The hypotheses of a batch, or of one group of them in diverse beam search.

    Rows are sorted by sentence, and within a sentence in the order in which they took their places: from the best to
    the worst unless diversity or required phrases change that. All have as many pieces as steps were taken.
    """

    def __init__(
        self,
        source_lengths: Sequence[int],
        beam_size: int,
        settings: SearchSettings,
        variations: Variations,
        identity: Identity | None,
    ) -> None:
        sentences = len(source_lengths)
        self.settings, self.variations, self.identity = settings, variations, identity
        self.scorer = Scorer(settings)
        # per sentence
        self.source_lengths = source_lengths
        self.finished: list[dict[Hashable, _Finished]] = [{} for _ in source_lengths]
        self.places = np.full(sentences, beam_size)
        self.worst_wanted = np.full(sentences, -np.inf)  # score of the n-th best finished hypothesis
        # per row
        self.layout = _Layout(np.arange(sentences), np.ones(sentences, np.int64))
        self.tokens = np.full(sentences, BEGIN, np.int64)
        self.log_prob: Doubles = np.zeros(sentences)
        self.history = np.zeros((sentences, 0), np.int64)  # [R, length]; kept for the variations only
        self.covered: Floats | None = None  # sums of the attention weights, [R, source_length], for their penalty only
        self.steps: list[_Step] = []

    def widest(self) -> int:
        """The largest number of continuations of one hypothesis that can take a place."""
        return int(self.places[self.layout.active].max(initial=0))

    def rows(self) -> Rows:
        """The rows as the variations see them."""
        return Rows(self.history, self.layout.sentence)

    def symbols(self, tokens: Integers) -> Integers:
        """A number for each token in [R, ...] that is different for different pieces and for different sentences."""
        return (self.layout.sentence << 32).reshape(-1, *[1] * (tokens.ndim - 1)) + tokens

    def advance(self, candidates: Candidates, attention_weights: Floats | None) -> Integers:
        """Take one step; returns the row before the step that each row now continues, [R after the step]."""
        if self.settings.coverage_penalty and attention_weights is not None:
            self.covered = attention_weights + (0 if self.covered is None else self.covered)
        missing = self._missing(candidates)
        totals = self._totals(candidates, missing)
        ranked = self._rank(totals, candidates.handicap, missing)
        keep = self._take_places(ranked, candidates)
        self._stop_decided(keep, ranked)
        counts = keep.sum(axis=1)  # [S]
        self._end_stuck(counts, candidates)
        return self._go_on(keep, counts, ranked, candidates, attention_weights)

    def _missing(self, candidates: Candidates) -> Integers | None:
        """Number of pieces of required phrases that each continuation lacks, [S, B, W]; None without such phrases."""
        if self.variations.required is None:
            return None
        return self.layout.by_sentence(self.variations.required.missing(self.rows(), candidates.best.tokens), 0)

    def _totals(self, candidates: Candidates, missing: Integers | None) -> Doubles:
        """Log-probability of each hypothesis with each continuation, [S, B, W]; -inf where its length forbids it."""
        best = candidates.best
        # [R, W] -> [S, B, W]
        by_row = self.log_prob[:, None] + np.concatenate((best.end[:, None], best.log_probs), 1)
        totals = self.layout.by_sentence(by_row, -np.inf)
        length, longest = len(self.steps), self.variations.longest[self.layout.active]
        if length < self.variations.least:
            totals[:, :, 0] = -np.inf
        if length >= longest.min():
            totals[length >= longest, :, 1:] = -np.inf
        if missing is not None:  # no end before all phrases are there, and enough room must be left for them
            totals[:, :, 0][missing[:, :, 0] > 0] = -np.inf
            totals[:, :, 1:][missing[:, :, 1:] >= (longest - length)[:, None, None]] = -np.inf
        return totals

    def _rank(self, totals: Doubles, handicap: Doubles | None, missing: Integers | None) -> _Ranked:
        """The order in which the continuations take places."""
        sentences, _, width = totals.shape
        preferred = totals
        if handicap is not None:
            preferred = totals - self.layout.by_sentence(handicap, 0)
        # [S, B, W] -> [S, B x W], best first; a stable sort keeps ties in the order of rank and id
        order = np.argsort(-preferred.reshape(sentences, -1), axis=1, kind="stable")
        first = np.arange(0, totals.size, totals.size // sentences)[:, None]
        totals = totals.take(first + order)
        if np.isnan(totals[:, -1]).any():  # NaN is sorted to the end
            raise UserError("the model's probabilities are not numbers; its weights are damaged")
        if missing is not None:
            lacking = missing.take(first + order)
            for i in np.nonzero(lacking.any(axis=1))[0].tolist():
                turns = RequiredPhrases.by_banks(lacking[i], totals[i])
                order[i], totals[i] = order[i][turns], totals[i][turns]
        return _Ranked(totals, *np.divmod(order, width))

    def _take_places(self, ranked: _Ranked, candidates: Candidates) -> Booleans:
        """Which continuations take a place and stay open, [S, B x W]; those that end are added to the finished ones."""
        totals = ranked.totals
        # Without an end among them, the first continuations fill the places. Only a sentence in which one ends is
        # gone through one by one in Python, because a duplicate takes no place.
        keep = (np.arange(totals.shape[1]) < self.places[self.layout.active][:, None]) & (totals > -np.inf)
        ends = (keep & (ranked.column == 0)).any(axis=1)
        for i in np.nonzero(ends)[0].tolist():
            keep[i] = self._finish(i, ranked, candidates)
        return keep

    def _finish(self, i: int, ranked: _Ranked, candidates: Candidates) -> Booleans:
        """Fill the places of active sentence i, best continuation first; returns those that stay open, [B x W]."""
        sentence, first_row = int(self.layout.active[i]), int(self.layout.first_row[i])
        places, taken, best = int(self.places[sentence]), 0, candidates.best
        must_end = len(self.steps) >= self.variations.longest[sentence]
        keep = np.zeros(len(ranked.totals[i]), np.bool_)
        continuations = zip(ranked.totals[i].tolist(), ranked.row[i].tolist(), ranked.column[i].tolist(), strict=True)
        for position, (total, row, column) in enumerate(continuations):
            if taken == places or total == -np.inf:
                break
            if column:  # a piece, not the end symbol
                keep[position] = True
                taken += 1
                continue
            row += first_row
            wanted = not must_end or not best.log_probs.size or bool(best.end[row] >= best.log_probs[row].max())
            if self._add(sentence, self._ended(sentence, row, candidates, wanted)):
                self.places[sentence] -= 1
                taken += 1
        return keep

    def _stop_decided(self, keep: Booleans, ranked: _Ranked) -> None:
        """Close the sentences whose open hypotheses can no longer enter the n best finished ones."""
        worst_wanted = self.worst_wanted[self.layout.active]
        if worst_wanted.max() > -np.inf:
            longest = (self.variations.longest[self.layout.active][:, None] + 1).astype(np.float64)
            bound = self.scorer.length_penalty.bound(ranked.totals, longest)
            keep &= (keep & (bound > worst_wanted[:, None])).any(axis=1, keepdims=True)

    def _end_stuck(self, counts: Integers, candidates: Candidates) -> None:
        """End the best hypothesis of each sentence that cannot go on and has no finished hypothesis."""
        for i in np.flatnonzero(counts == 0).tolist():
            sentence = int(self.layout.active[i])
            if not self.finished[sentence]:
                ended = self._ended(sentence, int(self.layout.first_row[i]), candidates, False)
                self._add(sentence, ended._replace(dead_end=True))

    def _go_on(
        self,
        keep: Booleans,
        counts: Integers,
        ranked: _Ranked,
        candidates: Candidates,
        attention_weights: Floats | None,
    ) -> Integers:
        """Make the kept continuations the new rows; returns the row that each continues."""
        # `take` with a place counted through all rows is three times as fast as an index for each dimension.
        places = np.flatnonzero(keep)  # [S, B x W] -> [R after the step], by sentence, best first
        parents: Integers = self.layout.first_row.take(places // keep.shape[1]) + ranked.row.take(places)
        column = parents * candidates.best.tokens.shape[1] + ranked.column.take(places) - 1
        self.log_prob = ranked.totals.take(places)
        self.tokens = candidates.best.tokens.take(column)
        log_probs = candidates.best.log_probs.take(column)
        kept = attention_weights if self.settings.attention_weights else None
        self.steps.append(_Step(parents, self.tokens, log_probs, kept))
        if self.variations.bound.any():
            self.history = np.concatenate((self.history[parents], self.tokens[:, None]), 1)
        if self.covered is not None:
            self.covered = self.covered[parents]
        if not np.array_equal(counts, self.layout.counts):  # sentences without rows leave the batch
            self.layout = _Layout(self.layout.active[counts > 0], counts[counts > 0])
        return parents

    def _ended(self, sentence: int, row: int, candidates: Candidates, finished: bool) -> _Finished:
        """The open hypothesis in a row, finished by the end symbol."""
        length, source_length = len(self.steps), self.source_lengths[sentence]
        end = float(candidates.best.end[row])
        log_prob = float(self.log_prob[row]) + end
        covered = None if self.covered is None else self.covered[row, :source_length]
        score = self.scorer.score(log_prob, length, source_length, covered)
        return _Finished(score, log_prob, end, length, row, finished)

    def _add(self, sentence: int, new: _Finished) -> bool:
        """Add a finished hypothesis; returns whether no other one of the sentence counts as the same."""
        finished = self.finished[sentence]
        key = (new.step, new.row) if self.identity is None else self.identity(self._tokens(new))
        known = finished.get(key)
        if known is None or new.score > known.score:
            finished[key] = new
            if len(finished) >= self.settings.n_best:
                scores = sorted((hypothesis.score for hypothesis in finished.values()), reverse=True)
                self.worst_wanted[sentence] = scores[self.settings.n_best - 1]
        return known is None

    def _tokens(self, finished: _Finished) -> list[int]:
        """The tokens of one hypothesis; of a single one they are found faster without arrays."""
        tokens, row = [], finished.row
        for pointers in self.steps[: finished.step][::-1]:
            tokens.append(int(pointers.tokens[row]))
            row = int(pointers.parents[row])
        return tokens[::-1]

    def _trace(self, finished: Sequence[_Finished]) -> tuple[Integers, Doubles, Integers]:
        """Follow the back-pointers of some hypotheses from their ends.

        Returns tokens and their log-probabilities, [hypotheses, steps], and the row before each step and before the
        end, [hypotheses, steps + 1]; what follows the end of a hypothesis is undefined.
        """
        ends, last = np.array([(one.step, one.row) for one in finished]).T
        longest = int(ends.max())
        tokens = np.zeros((longest, len(finished)), np.int64)
        log_probs = np.zeros((longest, len(finished)), np.float64)
        rows = np.zeros((longest + 1, len(finished)), np.int64)
        rows[longest] = np.where(ends == longest, last, 0)
        for step in range(longest - 1, -1, -1):
            pointers, after = self.steps[step], rows[step + 1]
            tokens[step], log_probs[step] = pointers.tokens.take(after), pointers.log_probs.take(after)
            rows[step] = np.where(ends == step, last, pointers.parents.take(after))
        return tokens.T, log_probs.T, rows.T

    def hypotheses(self, finished: Sequence[_Finished], sentences: Sequence[int]) -> list[Hypothesis]:
        """Finished hypotheses of these sentences, with their tokens, log-probabilities and attention weights."""
        if not finished:
            return []
        found = []
        for one, sentence, *traced in zip(finished, sentences, *self._trace(finished), strict=True):
            tokens, log_probs, rows = (values[: one.step].tolist() for values in traced)
            attention = None
            if self.settings.attention_weights and self.steps[one.step].attention_weights is not None:
                attention = self._attention([*rows, one.row], self.source_lengths[sentence])
            end = [*log_probs, one.end_log_prob]
            found.append(Hypothesis(tokens, one.log_prob, one.score, end, one.finished, attention))
        return found

    def _attention(self, rows: Sequence[int], source_length: int) -> Floats:
        """The attention weights of the rows before each step, without the padding of the source."""
        padding = max(self.source_lengths) - source_length
        weights = [cast(Floats, self.steps[step].attention_weights)[row] for step, row in enumerate(rows)]
        return np.stack([each[: len(each) - padding] for each in weights])


def _results(groups: Sequence[_Beams], n_best: int) -> list[list[Hypothesis]]:
    """The n best finished hypotheses of each sentence, of equal ones the first; a repeated one counts once."""
    ranked: list[list[tuple[_Finished, Hypothesis]]] = [[] for _ in groups[0].finished]
    for beams in groups:  # none of them has a hypothesis twice
        best = [sorted(ended.values(), key=_order)[:n_best] for ended in beams.finished]
        sentences = [sentence for sentence, ended in enumerate(best) for _ in ended]
        finished = [one for ended in best for one in ended]
        for sentence, one, found in zip(sentences, finished, beams.hypotheses(finished, sentences), strict=True):
            ranked[sentence].append((one, found))
    identity = (groups[0].identity or tuple) if len(groups) > 1 else None
    results = []
    for each in ranked:
        distinct: dict[Hashable, Hypothesis] = {}
        for one, hypothesis in sorted(each, key=lambda item: _order(item[0])):
            if len(distinct) == n_best or (distinct and one.dead_end):
                break
            distinct.setdefault(identity(hypothesis.tokens) if identity else len(distinct), hypothesis)
        results.append(list(distinct.values()))
    return results


def _order(finished: _Finished) -> tuple[bool, float]:
    """Finished hypotheses are sorted by this, best first."""
    return finished.dead_end, -finished.score
