"""Engines made of engines: ensembles of translation models, and shallow fusion with a language model.

Both keep the guarantees of `nmt.search.engine.Engine`: rows are independent and log-probabilities are at most 0, so
the bound for early stopping holds. The members may run on any device; they return numpy arrays.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from nmt.errors import UserError
from nmt.search.engine import Engine, EngineState, Floats, Integers, Predicted


class Joined(Engine):
    """Several engines that run together; a subclass defines how their predictions are combined.

    The state holds the members' states, named by member: `0.hidden`, `1.hidden`. The memory is a list of theirs.
    """

    engines: Sequence[Engine]

    @property
    def description(self) -> str:
        return "; ".join(dict.fromkeys(engine.description for engine in self.engines))

    @abstractmethod
    def of(self, engines: Sequence[Engine]) -> Joined:
        """This kind of combination, of other engines."""

    def start(self, sources: Sequence[Sequence[int]]) -> tuple[list[Any], EngineState]:
        started = [engine.start(sources) for engine in self.engines]
        return [memory for memory, _ in started], join_states([state for _, state in started])

    def select(self, state: EngineState, rows: Integers) -> EngineState:
        parts = zip(self.engines, self._parts(state), strict=True)
        return join_states([engine.select(part, rows) for engine, part in parts])

    def compact(self, memory: list[Any], state: EngineState) -> tuple[list[Any], EngineState]:
        parts = zip(self.engines, memory, self._parts(state), strict=True)
        compacted = [engine.compact(own, part) for engine, own, part in parts]
        return [left for left, _ in compacted], join_states([after for _, after in compacted])

    def side_by_side(self) -> tuple[Joined, int]:
        members = [engine.side_by_side() for engine in self.engines]
        return self.of([engine for engine, _ in members]), min(count for _, count in members)

    def without_shortlist(self) -> Joined:
        return self.of([engine.without_shortlist() for engine in self.engines])

    def _parts(self, state: EngineState) -> list[EngineState]:
        return [part_of_state(state, number) for number in range(len(self.engines))]

    def _step_each(
        self, memory: list[Any], state: EngineState, tokens: Integers
    ) -> tuple[list[Floats], list[Floats | None], EngineState]:
        """The predictions and attention weights of each member, and their states joined."""
        parts = zip(self.engines, memory, self._parts(state), strict=True)
        steps = [engine.step(own, part, tokens) for engine, own, part in parts]
        log_probs, attention_weights, states = zip(*steps, strict=True)
        return list(log_probs), list(attention_weights), join_states(states)


class Ensemble(Joined):
    """Several models that translate together.

    The probability of the next symbol y_t is the mean of the members' probabilities,

        p(y_t | y_<t, x) = 1/n sum_i p_i(y_t | y_<t, x)

    (Sutskever et al. 2014, table 1, https://arxiv.org/abs/1409.3215, translate with 5 models). It is the mean of the
    probabilities, not of their logarithms, so a piece that one member considers probable is not ruled out by another
    one. The members must share both vocabularies, so that ids mean the same to all of them; everything else may differ.
    A step takes as long as the members' steps together.
    """

    def __init__(self, engines: Sequence[Engine]) -> None:
        if not engines:
            raise UserError("an ensemble needs at least one model, but has none")
        self.engines = list(engines)

    def of(self, engines: Sequence[Engine]) -> Ensemble:
        return Ensemble(engines)

    def step(self, memory: list[Any], state: EngineState, tokens: Integers) -> Predicted:
        """Log-probabilities [rows, vocabulary] of the mean; attention weights [rows, source_length], their mean.

        Members without attention do not count for the weights, which are None if no member has attention.
        """
        log_probs, each_weights, state = self._step_each(memory, state, tokens)
        weights = [attention_weights for attention_weights in each_weights if attention_weights is not None]
        return log_mean(log_probs), _mean_of_weights(weights) if weights else None, state


class Fusion(Joined):
    """Shallow fusion of a translation model with a language model of the target side.

    The score of the next symbol is

        log p(y_t | y_<t, x) + weight * log p_LM(y_t | y_<t)

    (Gulcehre et al. 2015, section 4.1, https://arxiv.org/abs/1503.03535). It is at most 0 but not a log-probability,
    because the exponentials do not sum to 1. The scores that search returns are sums of it. The language model starts
    each sentence from its initial state and never sees the source. Both models need the same target vocabulary.
    """

    def __init__(self, engine: Engine, language_model: Engine, weight: float) -> None:
        if not 0 <= weight < math.inf:
            raise UserError(f"`language_model_weight` must be at least 0 and finite, but is {weight} instead")
        self.engines, self.weight = [engine, language_model], weight

    def of(self, engines: Sequence[Engine]) -> Fusion:
        engine, language_model = engines
        return Fusion(engine, language_model, self.weight)

    def step(self, memory: list[Any], state: EngineState, tokens: Integers) -> Predicted:
        """Fused scores [rows, vocabulary] and the translation model's attention weights [rows, source_length]."""
        (log_probs, of_language_model), (attention_weights, _), state = self._step_each(memory, state, tokens)
        if self.weight:  # p_LM^0 is 1 even where p_LM is 0, but 0 times minus infinity is not a number
            log_probs = log_probs + np.float32(self.weight) * of_language_model
        return log_probs, attention_weights, state


def log_mean(log_probs: Sequence[Floats]) -> Floats:
    """log(1/n sum_i exp(log_probs[i])), element by element; the same for equal arrays, -inf where all are.

    The maximum m is taken out of the sum, m + log(1/n sum_i exp(log_probs[i] - m)), so that nothing underflows.
    """
    largest = log_probs[0]
    for other in log_probs[1:]:
        largest = np.maximum(largest, other)
    largest = np.maximum(largest, np.finfo(np.float32).min)  # -inf - -inf would be NaN
    total = np.zeros_like(largest)
    for member in log_probs:
        total += np.exp(member - largest)
    with np.errstate(divide="ignore"):
        mean: Floats = largest + np.log(total / np.float32(len(log_probs)))
    return mean


def join_states(states: Sequence[EngineState]) -> EngineState:
    """Several states as one, with the number of the state as a prefix of each array's name."""
    return {f"{number}.{name}": value for number, state in enumerate(states) for name, value in state.items()}


def part_of_state(state: EngineState, number: int) -> EngineState:
    """The state that was item `number` of the list given to `join_states`."""
    prefix = f"{number}."
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def _mean_of_weights(weights: Sequence[Floats]) -> Floats:
    """Mean of [rows, source_length] arrays; one with fewer columns (no end symbol) is padded with zeros."""
    mean = np.zeros((len(weights[0]), max(array.shape[1] for array in weights)), np.float32)
    for array in weights:
        mean[:, : array.shape[1]] += array
    mean /= np.float32(len(weights))
    return mean
