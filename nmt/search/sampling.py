"""Text and translations drawn from a model, piece by piece: temperature, top-k, nucleus. Needs numpy, no torch.

Each line of text has a generator of its own, seeded from (seed, line), each translation one seeded from (seed, number,
source): none depends on how many are drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from nmt.config import BATCH_HYPOTHESES
from nmt.errors import UserError
from nmt.search.beam import Hypothesis, SearchSettings
from nmt.search.constraints import FREE, Constraints, Rules
from nmt.search.engine import Engine, Floats, Integers
from nmt.text.cleaning import one_line
from nmt.text.vocabulary import BEGIN, END, PAD, UNK

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
    if settings.top_k and settings.top_k < probabilities.shape[1]:
        smallest = np.partition(probabilities, -settings.top_k, axis=1)[:, -settings.top_k, None]
        above = probabilities > smallest
        equal = probabilities == smallest
        room = settings.top_k - above.sum(axis=1, keepdims=True)
        probabilities[~above & ~(equal & (np.cumsum(equal, axis=1) <= room))] = 0
        probabilities /= probabilities.sum(axis=1, keepdims=True)
    if settings.top_p < 1:
        order = np.argsort(-probabilities, axis=1, kind="stable")
        ranked = np.take_along_axis(probabilities, order, axis=1)
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


def sample_translations(
    engine: Engine,
    sources: Sequence[Sequence[int]],
    count: int,
    settings: SamplingSettings,
    seed: int,
    search: SearchSettings,
    constraints: Sequence[Constraints] | None = None,
) -> list[list[Hypothesis]]:
    """Translations of each source sentence drawn piece by piece, `count` of each, in the order in which they are drawn.

    Each has a generator of its own, seeded from (seed, its number, the ids of the source): what is drawn depends on
    nothing else in the batch, nor on where in a text a sentence stands. Some may be equal. The log-probabilities are
    the model's, without temperature, top-k and nucleus. BATCH_HYPOTHESES are drawn at once, so that memory does not
    grow with their number.

        sources: ids of each sentence, none of them empty
        search: lengths, length penalty and n-grams; what concerns beams has no meaning here
        constraints: those of each sentence; phrases cannot be required

    At the maximum length the end symbol is forced. Padding and begin symbol are never drawn, the unknown piece only
    where the constraints allow it. Where everything is ruled out, the translation ends.
    """
    constraints = constraints or [FREE] * len(sources)
    if any(one.required for one in constraints):
        raise UserError("required phrases need beam search; leave out sampling")
    found: list[list[Hypothesis]] = [[] for _ in sources]
    at_once = max(1, BATCH_HYPOTHESES // max(1, len(sources)))
    for first in range(0, count if sources else 0, at_once):
        numbers = range(first, min(first + at_once, count))
        for known, new in zip(found, _draw(engine, sources, numbers, settings, seed, search, constraints), strict=True):
            known += new
    return found


def _draw(
    engine: Engine,
    sources: Sequence[Sequence[int]],
    numbers: range,
    settings: SamplingSettings,
    seed: int,
    search: SearchSettings,
    constraints: Sequence[Constraints],
) -> list[list[Hypothesis]]:
    """The translations of each source with the given numbers, one row each."""
    count = len(numbers)
    rules = Rules(constraints, search.no_repeat_ngram)
    longest = [
        max(search.max_length(len(source)), one.least_length) for source, one in zip(sources, constraints, strict=True)
    ]
    unknown = np.array([one.unknown for one in constraints])
    drawn = [_Drawn(sentence) for sentence in range(len(sources)) for _ in range(count)]
    generators = [np.random.default_rng([seed, number, *source]) for source in sources for number in numbers]
    memory, state = engine.start(sources)
    rows = np.arange(len(drawn))
    state = engine.select(state, rows // count)
    tokens = np.full(len(rows), BEGIN, np.int64)
    history = np.zeros((len(rows), 0), np.int64)
    while len(rows):
        log_probs, attention_weights, state = engine.step(memory, state, tokens)
        possible = rules.restrict(log_probs, history, rows // count)
        possible[:, [PAD, BEGIN]] = -np.inf
        possible[~unknown[rows // count], UNK] = -np.inf
        if history.shape[1] < search.min_length:
            possible[:, END] = -np.inf
        nothing = possible.max(axis=1) == -np.inf
        possible[nothing, END] = 0
        tokens = draw(
            next_probabilities(possible, settings), np.array([generators[row].random() for row in rows.tolist()])
        )
        cut = nothing | ((tokens != END) & (np.array([longest[row // count] for row in rows]) <= history.shape[1]))
        tokens[cut] = END
        for i, (row, token) in enumerate(zip(rows.tolist(), tokens.tolist(), strict=True)):
            drawn[row].add(token, float(log_probs[i, token]), bool(cut[i]))
            if search.attention_weights and attention_weights is not None:
                drawn[row].attention.append(attention_weights[i])
        going_on = np.flatnonzero(tokens != END)
        if len(going_on) < len(rows) and len(going_on):
            state = engine.select(state, going_on)
        rows, tokens = rows[going_on], tokens[going_on]
        history = np.concatenate((history[going_on], tokens[:, None]), 1)
    most = max(map(len, sources))
    found = [one.hypothesis(len(sources[one.sentence]), most - len(sources[one.sentence]), search) for one in drawn]
    return [found[first : first + count] for first in range(0, len(found), count)]


@dataclass
class _Drawn:
    """A translation while it is drawn."""

    sentence: int
    tokens: list[int] = field(default_factory=list)
    log_probs: list[float] = field(default_factory=list)
    attention: list[Floats] = field(default_factory=list)
    finished: bool = True

    def add(self, token: int, log_prob: float, cut: bool) -> None:
        self.tokens.append(token)
        self.log_probs.append(log_prob)
        self.finished = not cut

    def hypothesis(self, source_length: int, padding: int, search: SearchSettings) -> Hypothesis:
        """With the end symbol drawn, and columns of attention weights that are padding."""
        log_prob = sum(self.log_probs)
        weights = None
        if self.attention:
            weights = np.stack(self.attention)
            weights = weights[:, : weights.shape[1] - padding]
        return Hypothesis(
            tokens=self.tokens[:-1],
            log_prob=log_prob,
            score=search.score(log_prob, len(self.tokens) - 1, source_length),
            token_log_probs=self.log_probs,
            finished=self.finished,
            attention_weights=weights,
        )


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
