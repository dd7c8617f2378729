"""Engines made of engines: ensembles of translation models, and shallow fusion with a language model.

Both keep the promises of `nmt.search.engine.Engine`: rows stay independent and log-probabilities stay at most 0, so
the bound by which search stops early holds. The members may run on anything; what meets here are numpy arrays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from nmt.errors import UserError
from nmt.search.engine import Engine, Floats, Integers, State, compact


class Ensemble:
    """Several models that write one translation together.

    The probability of the next symbol y_t is the mean of the members' probabilities,

        p(y_t | y_<t, x) = 1/n sum_i p_i(y_t | y_<t, x)

    (Sutskever et al. 2014, table 1, https://arxiv.org/abs/1409.3215, translate with 5 models). The mean is of the
    probabilities, not of their logarithms: what one member holds for likely is not ruled out by another that has never
    seen it. The members must share the target vocabulary and the source vocabulary, so that ids mean the same to all;
    everything else about them may differ. A step costs what the members' steps cost together.

    The state holds the members' states, named by member: `0.hidden`, `1.hidden`. The memory is the list of theirs.
    """

    def __init__(self, engines: Sequence[Engine]) -> None:
        if not engines:
            raise UserError("an ensemble needs at least one model, but has none")
        self.engines = list(engines)

    def start(self, sources: Sequence[Sequence[int]]) -> tuple[list[Any], State]:
        """Encode sentences with each member."""
        started = [engine.start(sources) for engine in self.engines]
        return [memory for memory, _ in started], join_states([state for _, state in started])

    def step(self, memory: list[Any], state: State, tokens: Integers) -> tuple[Floats, Floats | None, State]:
        """Log-probabilities [rows, vocabulary] of the mean; attention weights [rows, source_length], their mean.

        Members without attention have no say in the weights; None if all are.
        """
        stepped = [
            engine.step(memory[number], part_of_state(state, number), tokens)
            for number, engine in enumerate(self.engines)
        ]
        weights = [attention_weights for _, attention_weights, _ in stepped if attention_weights is not None]
        return (
            log_mean([log_probs for log_probs, _, _ in stepped]),
            _mean_of_weights(weights) if weights else None,
            join_states([after for _, _, after in stepped]),
        )

    def select(self, state: State, rows: Integers) -> State:
        """Each member selects the rows of its own state."""
        return join_states(
            [engine.select(part_of_state(state, number), rows) for number, engine in enumerate(self.engines)]
        )

    def compact(self, memory: list[Any], state: State) -> tuple[list[Any], State]:
        """Each member leaves out the sentences that no row belongs to."""
        return _compact(self.engines, memory, state)

    def side_by_side(self) -> tuple[Ensemble, int]:
        """As `nmt.search.ensemble.side_by_side`: as many batches as each member can take."""
        members = [side_by_side(engine) for engine in self.engines]
        return Ensemble([engine for engine, _ in members]), min(count for _, count in members)

    def without_shortlist(self) -> Ensemble:
        """The same ensemble, each member with its whole output layer."""
        return Ensemble([whole_vocabulary(engine) for engine in self.engines])


class Fusion:
    """A translation model that asks a language model of the target side: shallow fusion.

    The score of the next symbol is

        log p(y_t | y_<t, x) + weight * log p_LM(y_t | y_<t)

    (Gulcehre et al. 2015, section 4.1, https://arxiv.org/abs/1503.03535). It is at most 0 but no
    log-probability: the exponentials do not sum to 1. The scores that search returns are sums of it. Each sentence is
    new to the language model, which never sees the source. Both need the same target vocabulary.

    State and memory: as in an ensemble, the translation model first. The attention weights are the translation model's.
    """

    def __init__(self, engine: Engine, language_model: Engine, weight: float) -> None:
        if not 0 <= weight < math.inf:
            raise UserError(f"`language_model_weight` must be at least 0 and finite, but is {weight} instead")
        self.engine, self.language_model, self.weight = engine, language_model, weight

    def start(self, sources: Sequence[Sequence[int]]) -> tuple[list[Any], State]:
        """Encode sentences; the language model begins a new text for each."""
        started = [self.engine.start(sources), self.language_model.start(sources)]
        return [memory for memory, _ in started], join_states([state for _, state in started])

    def step(self, memory: list[Any], state: State, tokens: Integers) -> tuple[Floats, Floats | None, State]:
        """Fused scores [rows, vocabulary] and the translation model's attention weights [rows, source_length]."""
        log_probs, attention_weights, after = self.engine.step(memory[0], part_of_state(state, 0), tokens)
        beside, _, after_beside = self.language_model.step(memory[1], part_of_state(state, 1), tokens)
        if self.weight:  # p_LM^0 is 1 even where p_LM is 0, but 0 times minus infinity is not a number
            log_probs = log_probs + np.float32(self.weight) * beside
        return log_probs, attention_weights, join_states([after, after_beside])

    def select(self, state: State, rows: Integers) -> State:
        """Both select the rows of their own states."""
        return join_states(
            [
                self.engine.select(part_of_state(state, 0), rows),
                self.language_model.select(part_of_state(state, 1), rows),
            ]
        )

    def compact(self, memory: list[Any], state: State) -> tuple[list[Any], State]:
        """Both leave out the sentences that no row belongs to."""
        return _compact([self.engine, self.language_model], memory, state)

    def side_by_side(self) -> tuple[Fusion, int]:
        """As `nmt.search.ensemble.side_by_side`."""
        (engine, count), (language_model, other) = side_by_side(self.engine), side_by_side(self.language_model)
        return Fusion(engine, language_model, self.weight), min(count, other)

    def without_shortlist(self) -> Fusion:
        """The same, the translation model with its whole output layer."""
        return Fusion(whole_vocabulary(self.engine), whole_vocabulary(self.language_model), self.weight)


def whole_vocabulary(engine: Engine) -> Engine:
    """The engine without a vocabulary shortlist, if it has one: for pieces that are given, not found by search."""
    without = getattr(engine, "without_shortlist", None)
    return engine if without is None else cast(Engine, without())


def side_by_side(engine: Engine) -> tuple[Engine, int]:
    """The engine for several batches, and how many of them it can take at a time, each on a thread of its own.

    What a step does besides products of matrices gains nothing from a second thread; a second batch does.
    """
    method = getattr(engine, "side_by_side", None)
    return (engine, 1) if method is None else cast(tuple[Engine, int], method())


def log_mean(log_probs: Sequence[Floats]) -> Floats:
    """log(1/n sum_i exp(log_probs[i])), element by element; the same for equal arrays, -inf where all are.

    The largest is taken out of the sum, m + log(1/n sum_i exp(log_probs[i] - m)), so that nothing small becomes 0.
    """
    largest = log_probs[0]
    for other in log_probs[1:]:
        largest = np.maximum(largest, other)
    largest = np.maximum(largest, np.finfo(np.float32).min)  # -inf - -inf would be no number
    total = np.zeros_like(largest)
    for member in log_probs:
        total += np.exp(member - largest)
    with np.errstate(divide="ignore"):
        mean: Floats = largest + np.log(total / np.float32(len(log_probs)))
    return mean


def join_states(states: Sequence[State]) -> State:
    """One state of several, each array's name prefixed by the number of its state."""
    return {f"{number}.{name}": value for number, state in enumerate(states) for name, value in state.items()}


def part_of_state(state: State, number: int) -> State:
    """The state that `join_states` got as number so and so."""
    prefix = f"{number}."
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def _compact(engines: Sequence[Engine], memory: list[Any], state: State) -> tuple[list[Any], State]:
    compacted = [compact(engine, memory[number], part_of_state(state, number)) for number, engine in enumerate(engines)]
    return [left for left, _ in compacted], join_states([after for _, after in compacted])


def _mean_of_weights(weights: Sequence[Floats]) -> Floats:
    """Mean of [rows, source_length] arrays; one with fewer columns (no end symbol) has zeros in the others."""
    mean = np.zeros((len(weights[0]), max(array.shape[1] for array in weights)), np.float32)
    for array in weights:
        mean[:, : array.shape[1]] += array
    mean /= np.float32(len(weights))
    return mean
