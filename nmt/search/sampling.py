"""Sampling text and translations from a model piece by piece, with temperature, top-k and nucleus (top-p), in numpy.

Each line of text has its own random generator, seeded from (seed, line), and each translation has one seeded from
(seed, number, source). So no result depends on how many are drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from nmt.config import BATCH_HYPOTHESES, DecodingConfig
from nmt.errors import UserError
from nmt.search.beam import Hypothesis, SearchSettings
from nmt.search.constraints import FREE, Constraints
from nmt.search.engine import Engine, EngineState, Floats, Integers
from nmt.search.scoring import Scorer
from nmt.search.variations import Rows, Variations
from nmt.text.cleaning import one_line
from nmt.text.vocabulary import BEGIN, END, Vocabulary

Probabilities = npt.NDArray[np.float64]


def next_probabilities(log_probs: Floats, decoding: DecodingConfig) -> Probabilities:
    """The distribution from which the next piece is drawn.

        p <- softmax(log p / temperature); all but the k largest become 0, the rest is normalised; all but the fewest
        largest ones whose sum is at least top_p become 0, the rest is normalised

    Fan et al. (2018), section 5.2, https://arxiv.org/abs/1805.04833 (top-k); Holtzman et al. (2020), section 3.1,
    https://arxiv.org/abs/1904.09751 (nucleus). Of two equal probabilities, that of the lower id counts as larger.

        log_probs: [rows, vocabulary]

    Returns: probabilities [rows, vocabulary]
    """
    probabilities: Probabilities = log_probs.astype(np.float64)
    probabilities -= probabilities.max(axis=1, keepdims=True)
    if decoding.temperature != 1:
        probabilities /= decoding.temperature
    np.exp(probabilities, out=probabilities)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    if decoding.top_k and decoding.top_k < probabilities.shape[1]:
        # The k-th largest probability of each row, [rows, 1]. Ties with it get the remaining room, lower ids first.
        smallest = np.partition(probabilities, -decoding.top_k, axis=1)[:, -decoding.top_k, None]
        above = probabilities > smallest
        equal = probabilities == smallest
        room = decoding.top_k - above.sum(axis=1, keepdims=True)
        probabilities[~above & ~(equal & (np.cumsum(equal, axis=1) <= room))] = 0
        probabilities /= probabilities.sum(axis=1, keepdims=True)
    if decoding.top_p < 1:
        order = np.argsort(-probabilities, axis=1, kind="stable")
        ranked = np.take_along_axis(probabilities, order, axis=1)
        larger = np.cumsum(ranked, axis=1) - ranked  # the sum before each piece: the piece that reaches top_p is kept
        ranked[larger >= decoding.top_p] = 0
        ranked /= ranked.sum(axis=1, keepdims=True)
        np.put_along_axis(probabilities, order, ranked, axis=1)
    return probabilities


def draw_ids(probabilities: Probabilities, chance: npt.NDArray[np.float64]) -> Integers:
    """The id of each row of probabilities [rows, vocabulary] whose cumulative sum first exceeds `chance` [rows]."""
    # The last cumulative sum may differ from 1 by rounding, so `chance` is scaled to it.
    cumulative = np.cumsum(probabilities, axis=1)
    rows = zip(cumulative, chance * cumulative[:, -1], strict=True)
    ids: Integers = np.array([row.searchsorted(wanted, "right") for row, wanted in rows], np.int64)
    for row in np.flatnonzero(ids == probabilities.shape[1]):  # by rounding: the last possible id
        ids[row] = np.flatnonzero(probabilities[row])[-1]
    return ids


@dataclass
class _Drawn:
    """A translation or line that is being drawn."""

    sentence: int
    generator: np.random.Generator
    tokens: list[int] = field(default_factory=list)  # the pieces so far; once the end symbol is drawn, it is included
    log_probs: list[float] = field(default_factory=list)
    attention: list[Floats] = field(default_factory=list)
    finished: bool = True  # False if the end symbol was not drawn but forced

    def hypothesis(self, source_length: int, padding: int, scorer: Scorer) -> Hypothesis:
        """The finished translation; the last `padding` columns of its attention weights are padding."""
        log_prob = sum(self.log_probs)
        weights = np.stack(self.attention) if self.attention else None
        return Hypothesis(
            tokens=self.tokens[:-1],
            log_prob=log_prob,
            score=scorer.score(log_prob, len(self.tokens) - 1, source_length),
            token_log_probs=self.log_probs,
            finished=self.finished,
            attention_weights=None if weights is None else weights[:, : weights.shape[1] - padding],
        )


def _draw(
    engine: Engine,
    memory: Any,
    state: EngineState,
    first: int,
    drawn: Sequence[_Drawn],
    settings: SearchSettings,
    variations: Variations,
) -> None:
    """Draw each translation to its end.

    At the maximum length the end symbol is forced. Padding and begin symbol are never drawn, and the unknown piece only
    if the constraints allow it. If every piece is ruled out, the translation ends.

        state: one row for each translation
        first: the first input symbol of all translations
    """
    open_ = list(drawn)  # one for each row
    tokens, history = np.full(len(open_), first, np.int64), np.zeros((len(open_), 0), np.int64)
    while open_:
        log_probs, attention_weights, state = engine.step(memory, state, tokens)
        sentence, length = np.array([one.sentence for one in open_]), history.shape[1]
        preferences = variations.preferences(log_probs, Rows(history, sentence))
        if length < variations.least:
            preferences[:, END] = -np.inf
        nothing = preferences.max(axis=1) == -np.inf
        preferences[nothing, END] = 0
        chance = np.array([one.generator.random() for one in open_])
        tokens = draw_ids(next_probabilities(preferences, settings), chance)
        cut = nothing | ((tokens != END) & (variations.longest[sentence] <= length))
        tokens[cut] = END
        for row, (one, token) in enumerate(zip(open_, tokens.tolist(), strict=True)):
            one.tokens.append(token)
            one.log_probs.append(float(log_probs[row, token]))
            one.finished = not cut[row]
            if settings.attention_weights and attention_weights is not None:
                one.attention.append(attention_weights[row])
        going_on = np.flatnonzero(tokens != END)
        if len(going_on) < len(open_) and len(going_on):
            state = engine.select(state, going_on)
        open_, tokens = [open_[row] for row in going_on.tolist()], tokens[going_on]
        history = np.concatenate((history[going_on], tokens[:, None]), 1)


def sample_translations(
    engine: Engine,
    sources: Sequence[Sequence[int]],
    count: int,
    settings: SearchSettings,
    constraints: Sequence[Constraints] | None = None,
) -> list[list[Hypothesis]]:
    """Draw `count` translations of each source sentence piece by piece, returned in the order in which they are drawn.

    Each translation has its own random generator, seeded from (seed, its number, the ids of the source), so it depends
    neither on the rest of the batch nor on the sentence's position in a text. Some may be equal. The log-probabilities
    are the model's own, without temperature, top-k and nucleus. BATCH_HYPOTHESES are drawn at once, so that memory does
    not grow with their number.

        sources: ids of each sentence, none of them empty
        settings: settings of beams have no effect here
        constraints: one for each sentence; phrases cannot be required
    """
    constraints = constraints or [FREE] * len(sources)
    if any(one.required for one in constraints):
        raise UserError("required phrases need beam search; leave out sampling")
    found: list[list[Hypothesis]] = [[] for _ in sources]
    lengths, scorer = [len(source) for source in sources], Scorer(settings)
    variations = Variations(settings, constraints, lengths)
    at_once = max(1, BATCH_HYPOTHESES // max(1, len(sources)))
    for first in range(0, count if sources else 0, at_once):
        numbers = range(first, min(first + at_once, count))
        drawn = [
            _Drawn(sentence, np.random.default_rng([settings.seed, number, *source]))
            for sentence, source in enumerate(sources)
            for number in numbers
        ]
        memory, state = engine.start(sources)
        state = engine.select(state, np.array([one.sentence for one in drawn]))
        _draw(engine, memory, state, BEGIN, drawn, settings, variations)
        for one in drawn:
            length = lengths[one.sentence]
            found[one.sentence].append(one.hypothesis(length, max(lengths) - length, scorer))
    return found


def sample(engine: Engine, prompt: Sequence[int], lines: int, settings: SearchSettings) -> list[list[int]]:
    """Continuations of a prompt, each up to its end symbol, which is left out.

    The model reads the begin symbol and the prompt, then the pieces that are drawn. On one machine the same seed gives
    the same lines, and line i does not depend on the number of lines.

        prompt: ids; may be empty
        settings: `max_length_offset` is the maximum number of pieces of a line
    """
    variations = Variations(settings, [FREE], [0])
    memory, state = engine.start([[END]])  # a language model ignores the ids of a source
    *before, last = [BEGIN, *prompt]
    for token in before:
        _, _, state = engine.step(memory, state, np.array([token]))
    drawn = [_Drawn(0, np.random.default_rng([settings.seed, number])) for number in range(lines)]
    for first in range(0, lines, BATCH_HYPOTHESES):
        part = drawn[first : first + BATCH_HYPOTHESES]
        _draw(engine, memory, engine.select(state, np.zeros(len(part), np.int64)), last, part, settings, variations)
    return [one.tokens[:-1] for one in drawn]


def sample_text(engine: Engine, vocabulary: Vocabulary, prompt: str, lines: int, settings: SearchSettings) -> list[str]:
    """Lines of text that begin with the prompt; see `sample`.

    White space at the end of the prompt is ignored. A piece that does not begin a word (without `▁`) may continue its
    last word. But the model has seen the beginning of a word segmented in this way only if longer words are segmented
    like it, so a prompt should end with a whole word. A model of characters does not have this problem.
    """
    ids = vocabulary.encode(one_line(prompt))
    return [one_line(vocabulary.decode(ids + drawn)) for drawn in sample(engine, ids, lines, settings)]
