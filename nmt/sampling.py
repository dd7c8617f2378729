"""Text drawn from a language model, piece by piece: temperature, top-k, nucleus. Needs numpy and an engine, no torch.

Each line has a generator of its own, seeded from (seed, line): it does not depend on how many lines are drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from nmt.engine import Engine, Floats, Integers
from nmt.errors import UserError
from nmt.translation import one_line
from nmt.vocabulary import BEGIN, END, PAD, UNK

LINES = 64
"""Lines drawn at once."""

Probabilities = npt.NDArray[np.float64]


class Pieces(Protocol):
    """What sampling needs of a vocabulary."""

    def encode(self, text: str) -> list[int]:
        """Ids of the text's pieces."""

    def decode(self, ids: Sequence[int]) -> str:
        """Text of the pieces."""


@dataclass
class SamplingSettings:
    """How the next piece is drawn from the model's distribution."""

    temperature: float = 1.0
    """Divides the log-probabilities: below 1 the likely becomes likelier, above 1 everything more alike."""
    top_k: int = 0
    """Draw from the k most probable pieces only (Fan et al. 2018, section 5.2); 0 is all, 1 is greedy."""
    top_p: float = 1.0
    """Draw from the nucleus, the fewest pieces whose probabilities add up to p (Holtzman et al. 2020); 1 is all."""
    max_length: int = 200
    """Most pieces drawn for a line, the prompt not counted."""

    def __post_init__(self) -> None:
        rules = {
            "temperature": (0 < self.temperature < math.inf, "greater than 0 and finite"),
            "top_k": (self.top_k >= 0, "at least 0"),
            "top_p": (0 < self.top_p <= 1, "greater than 0 and at most 1"),
            "max_length": (self.max_length >= 1, "at least 1"),
        }
        for name, (holds, rule) in rules.items():
            if not holds:
                raise UserError(f"`{name}` must be {rule}, but is {getattr(self, name)} instead")


def next_probabilities(log_probs: Floats, settings: SamplingSettings) -> Probabilities:
    """The distribution that the next piece is drawn from.

        p <- softmax(log p / temperature); all but the k largest become 0, the rest is normalised; all but the fewest
        largest ones whose sum is at least top_p become 0, the rest is normalised

    Fan et al. (2018), section 5.2, https://arxiv.org/abs/1805.04833 (top-k); Holtzman et al. (2020), section 3.1,
    https://arxiv.org/abs/1904.09751 (nucleus). Of equal probabilities the lower id counts as the larger.

        log_probs: [rows, vocabulary]

    Returns: probabilities [rows, vocabulary]
    """
    scaled = log_probs.astype(np.float64)
    scaled = np.exp((scaled - scaled.max(axis=1, keepdims=True)) / settings.temperature)
    probabilities: Probabilities = scaled / scaled.sum(axis=1, keepdims=True)
    if not settings.top_k and settings.top_p == 1:
        return probabilities
    order = np.argsort(-probabilities, axis=1, kind="stable")
    ranked = np.take_along_axis(probabilities, order, axis=1)
    if settings.top_k:
        ranked[:, settings.top_k :] = 0
        ranked /= ranked.sum(axis=1, keepdims=True)
    if settings.top_p < 1:
        larger = np.cumsum(ranked, axis=1) - ranked  # the sum of those before: the one that reaches top_p stays
        ranked[larger >= settings.top_p] = 0
        ranked /= ranked.sum(axis=1, keepdims=True)
    np.put_along_axis(probabilities, order, ranked, axis=1)
    return probabilities


def draw(probabilities: Probabilities, chance: npt.NDArray[np.float64]) -> Integers:
    """One id for each row of [rows, vocabulary] probabilities.

    chance: a number from 0 to below 1 for each row, [rows]; the id is the first whose cumulative probability
        exceeds it
    """
    cumulative = np.cumsum(probabilities, axis=1)
    chosen = (cumulative <= chance[:, None] * cumulative[:, -1:]).sum(axis=1)
    last = probabilities.shape[1] - 1 - (probabilities[:, ::-1] > 0).argmax(axis=1)  # where rounding goes beyond it
    tokens: Integers = np.minimum(chosen, last).astype(np.int64)
    return tokens


def sample(engine: Engine, prompt: Sequence[int], lines: int, settings: SamplingSettings, seed: int) -> list[list[int]]:
    """Continuations of a prompt, each up to its end symbol, without it.

    The model reads the begin symbol and the prompt, then what has been drawn. Padding, unknown and begin symbol are
    never drawn.

        prompt: ids; may be empty
        seed: the same seed draws the same on the same machine; line i is the same however many lines there are
    """
    drawn: list[list[int]] = []
    for first in range(0, lines, LINES):
        drawn += _sample_rows(engine, prompt, range(first, min(first + LINES, lines)), settings, seed)
    return drawn


def _sample_rows(
    engine: Engine, prompt: Sequence[int], numbers: range, settings: SamplingSettings, seed: int
) -> list[list[int]]:
    """The lines with the given numbers, one row each."""
    generators = [np.random.default_rng([seed, number]) for number in numbers]
    drawn: list[list[int]] = [[] for _ in numbers]
    memory, state = engine.start([[END]])  # the ids of a source mean nothing to a language model
    for token in [BEGIN, *prompt]:
        log_probs, _, state = engine.step(memory, state, np.array([token]))
    rows = np.arange(len(numbers))
    state = engine.select(state, np.zeros_like(rows))
    log_probs = np.repeat(log_probs, len(rows), axis=0)
    for _ in range(settings.max_length):
        possible = log_probs.copy()
        possible[:, [PAD, UNK, BEGIN]] = -np.inf
        chance = np.array([generators[row].random() for row in rows])
        tokens = draw(next_probabilities(possible, settings), chance)
        open_ = np.flatnonzero(tokens != END)
        if not len(open_):
            break
        rows, tokens = rows[open_], tokens[open_]
        for row, token in zip(rows.tolist(), tokens.tolist(), strict=True):
            drawn[row].append(token)
        log_probs, _, state = engine.step(memory, engine.select(state, open_), tokens)
    return drawn


def sample_text(
    engine: Engine, vocabulary: Pieces, prompt: str, lines: int, settings: SamplingSettings, seed: int
) -> list[str]:
    """Lines of text that begin with the prompt; see `sample`.

    The prompt is segmented as it stands, and white space at its end counts for nothing. Its last word may go on: a
    drawn piece that does not begin a word (without `▁`) continues it. But the model has seen a beginning of a word
    segmented that way only if longer words are, so a prompt had better end with a whole word. A model of characters
    has no such trouble.
    """
    ids = vocabulary.encode(one_line(prompt))
    return [one_line(vocabulary.decode(ids + drawn)) for drawn in sample(engine, ids, lines, settings, seed)]
