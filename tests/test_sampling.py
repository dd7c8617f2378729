"""Sampling: what the rules leave of a distribution, and that draws follow it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from test_search import RandomModel, forced

from nmt.config import BATCH_HYPOTHESES
from nmt.errors import UserError
from nmt.search.beam import Hypothesis, SearchSettings, beam_search
from nmt.search.constraints import Constraints
from nmt.search.engine import Engine, Floats, Integers
from nmt.search.sampling import draw_ids, next_probabilities, sample, sample_text, sample_translations
from nmt.search.scoring import Scorer
from nmt.text.vocabulary import BEGIN, END, PAD, SPECIAL_PIECES, UNK

SIZE = 9


class Chain(Engine):
    """An engine of a Markov chain: the row of a table says what follows a symbol. A state tells how far a row is."""

    def __init__(self, size: int = SIZE, seed: int = 1) -> None:
        logits = np.random.default_rng(seed).normal(size=(size, size)) * 2
        self.log_probs = (logits - np.log(np.exp(logits).sum(1, keepdims=True))).astype(np.float32)
        self.rows: list[int] = []

    def start(self, sources: Sequence[Sequence[int]]) -> tuple[Any, dict[str, Any]]:
        return None, {"sentence": np.arange(len(sources)), "read": np.zeros(len(sources), np.int64)}

    def step(self, memory: Any, state: dict[str, Any], tokens: Integers) -> tuple[Floats, None, dict[str, Any]]:
        assert len(tokens) == len(state["read"])
        self.rows.append(len(tokens))
        return self.log_probs[tokens], None, {**state, "read": state["read"] + 1}

    def select(self, state: dict[str, Any], rows: Integers) -> dict[str, Any]:
        return {name: array[rows] for name, array in state.items()}


def lines_of(most: int, **changes: Any) -> SearchSettings:
    """Settings of lines of text with at most so many pieces."""
    return SearchSettings(max_length_factor=0, max_length_offset=most, **changes)


class Letters:
    """A vocabulary of single letters."""

    def encode(self, text: str) -> list[int]:
        return [ord(letter) - ord("a") + SPECIAL_PIECES for letter in text.replace(" ", "")]

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(chr(i - SPECIAL_PIECES + ord("a")) for i in ids)


rows_of_log_probs = arrays(np.float32, (3, 12), elements=st.floats(-20, 0, width=32))


@given(rows_of_log_probs)
def test_plain_sampling_is_the_models_distribution(log_probs: Floats) -> None:
    expected = np.exp(log_probs.astype(np.float64))
    expected /= expected.sum(1, keepdims=True)
    np.testing.assert_allclose(next_probabilities(log_probs, SearchSettings()), expected)


@given(rows_of_log_probs, st.floats(0.1, 10))
def test_temperature_divides_log_probabilities(log_probs: Floats, temperature: float) -> None:
    found = next_probabilities(log_probs, SearchSettings(temperature=temperature))
    expected = log_probs.astype(np.float64) / temperature
    np.testing.assert_allclose(np.log(found) - np.log(found[:, :1]), expected - expected[:, :1], rtol=1e-9, atol=1e-9)


def kept_of_each_row(log_probs: Floats, settings: SearchSettings) -> Iterator[tuple[Floats, Integers]]:
    """Each row's probabilities and which of them the settings keep: the largest, in their old proportions."""
    found = next_probabilities(log_probs, settings)
    np.testing.assert_allclose(found.sum(1), 1)
    for row, plain in zip(found, next_probabilities(log_probs, SearchSettings()), strict=True):
        kept = np.flatnonzero(row)
        assert plain[kept].min() >= np.delete(plain, kept).max(initial=0)
        np.testing.assert_allclose(row[kept], plain[kept] / plain[kept].sum())
        yield plain, kept


@given(rows_of_log_probs, st.integers(1, 15))
def test_top_k_keeps_the_k_largest(log_probs: Floats, k: int) -> None:
    rows = list(kept_of_each_row(log_probs, SearchSettings(top_k=k)))
    assert [len(kept) for _, kept in rows] == [min(k, 12)] * len(log_probs)


@given(rows_of_log_probs, st.floats(0.01, 0.99))
def test_top_p_keeps_the_smallest_set(log_probs: Floats, p: float) -> None:
    """Its mass reaches p; without its least probable piece it would not."""
    rows = list(kept_of_each_row(log_probs, SearchSettings(top_p=p)))
    assert len(rows) == len(log_probs)
    for plain, kept in rows:
        mass = plain[kept].sum()
        assert mass >= p - 1e-9
        assert mass - plain[kept].min() < p + 1e-9


def test_top_p_counts_what_top_k_left() -> None:
    log_probs = np.log(np.array([[0.4, 0.3, 0.2, 0.1]], np.float32))
    found = next_probabilities(log_probs, SearchSettings(top_k=2, top_p=0.55))
    np.testing.assert_allclose(found, [[1, 0, 0, 0]])  # 0.4 / 0.7 > 0.55
    found = next_probabilities(log_probs, SearchSettings(top_p=0.55))
    np.testing.assert_allclose(found, [[4 / 7, 3 / 7, 0, 0]], rtol=1e-6)


def test_equal_probabilities_are_kept_from_the_lowest_id() -> None:
    found = next_probabilities(np.zeros((1, 4), np.float32), SearchSettings(top_k=2))
    assert found.tolist() == [[0.5, 0.5, 0, 0]]


@given(arrays(np.float64, 7, elements=st.floats(0, 1)).filter(lambda p: p.sum() > 0), st.floats(0, 1, exclude_max=True))
def test_draw_inverts_the_cumulative_distribution(probabilities: np.ndarray, chance: float) -> None:
    token = draw_ids(probabilities[None], np.array([chance]))[0]
    assert probabilities[token] > 0
    below, total = probabilities[:token].sum(), probabilities.sum()
    assert below <= chance * total + 1e-12
    assert chance * total <= below + probabilities[token] + 1e-12


def test_draw_never_goes_beyond_the_last_possible() -> None:
    probabilities = np.array([[0.1] * 7 + [0.0] * 3])
    assert draw_ids(probabilities, np.array([np.nextafter(1, 0)])).tolist() == [6]


def test_greedy() -> None:
    """top_k = 1 takes the best piece at every step, whatever the seed."""
    engine = Chain()
    expected, last = [], BEGIN
    for _ in range(20):
        row = engine.log_probs[last].copy()
        row[[PAD, UNK, BEGIN]] = -np.inf
        last = int(row.argmax())
        if last == END:
            break
        expected.append(last)
    assert sample(engine, [], 3, lines_of(20, top_k=1)) == sample(engine, [], 3, lines_of(20, top_k=1, seed=2))
    assert sample(engine, [], 3, lines_of(20, top_k=1)) == [expected] * 3


@pytest.mark.parametrize("changes", [{}, {"temperature": 0.6, "top_k": 4, "top_p": 0.9}])
def test_frequencies_approach_the_distribution(changes: dict[str, Any]) -> None:
    """Pieces behind each piece, over thousands of lines, and the lengths of the lines with them."""
    engine = Chain()
    settings = lines_of(30, seed=3, **changes)
    lines = sample(engine, [5], 4000, settings)
    follows: dict[int, Counter[int]] = {}
    for line in lines:
        whole = [5, *line, *([END] if len(line) < 30 else [])]
        for before, after in pairwise(whole):
            follows.setdefault(before, Counter())[after] += 1
    possible = engine.log_probs.copy()
    possible[:, [PAD, UNK, BEGIN]] = -np.inf
    expected = next_probabilities(possible, settings)
    assert 5 in follows
    for before, counts in follows.items():
        total = counts.total()
        found = np.array([counts[i] / total for i in range(SIZE)])
        deviation = np.sqrt(expected[before] * (1 - expected[before]) / total)
        assert (np.abs(found - expected[before]) <= 5 * deviation + 1e-12).all(), before


def test_lines_do_not_depend_on_how_many_are_drawn() -> None:
    settings = lines_of(12, seed=7)
    many = sample(Chain(), [4, 6], BATCH_HYPOTHESES + 5, settings)
    assert many[:3] == sample(Chain(), [4, 6], 3, settings)
    assert len(set(map(tuple, many))) > 10
    assert many != sample(Chain(), [4, 6], BATCH_HYPOTHESES + 5, lines_of(12, seed=8))
    assert not {PAD, UNK, BEGIN, END} & {i for line in many for i in line}
    assert max(map(len, many)) <= 12


def test_the_prompt_is_read_once_and_finished_lines_are_left() -> None:
    engine = Chain()
    lines = sample(engine, [4, 5, 6], 10, lines_of(8))
    assert engine.rows[:3] == [1] * 3  # the begin symbol and all but the last piece
    assert engine.rows[3:] == [sum(len(line) >= n for line in lines) for n in range(len(engine.rows) - 3)]


def test_text_begins_with_the_prompt() -> None:
    lines = sample_text(Chain(), Letters(), "a\tb ", 4, lines_of(5, seed=2))  # type: ignore[arg-type]
    assert all(line.startswith("ab") and len(line) <= 7 for line in lines)


@pytest.mark.parametrize(
    ("name", "value"),
    [("temperature", 0), ("temperature", float("inf")), ("temperature", float("nan")), ("top_k", -1), ("top_p", 0),
     ("top_p", 1.01), ("max_length_offset", -1), ("seed", -1)],
)  # fmt: skip
def test_impossible_settings(name: str, value: float) -> None:
    with pytest.raises(UserError, match=f"`{name}` must be "):
        SearchSettings(**{name: value})  # type: ignore[arg-type]


BATCH = [[4, 5], [6], [5, 5, 4]]
SEARCH = SearchSettings(max_length_factor=1.0, max_length_offset=3, attention_weights=True, seed=3)


def tokens_of(found: list[list[Hypothesis]]) -> list[list[list[int]]]:
    return [[one.tokens for one in of_source] for of_source in found]


def test_translations_do_not_depend_on_their_neighbours() -> None:
    """Nor on their order, nor on how many are drawn; another seed draws others."""
    engine, settings = RandomModel(vocabulary=12), replace(SEARCH, temperature=1.5)
    together = tokens_of(sample_translations(engine, BATCH, 5, settings))
    assert tokens_of(sample_translations(engine, BATCH, 5, settings)) == together
    assert tokens_of(sample_translations(engine, BATCH[::-1], 5, settings))[::-1] == together
    assert [tokens_of(sample_translations(engine, [one], 2, settings))[0] for one in BATCH] == [
        found[:2] for found in together
    ]
    assert tokens_of(sample_translations(engine, BATCH, 5, replace(settings, seed=4))) != together
    assert len({tuple(tokens) for tokens in together[0]}) > 1
    assert sample_translations(engine, [], 5, settings) == []


def test_however_many_are_drawn_few_are_open_at_once() -> None:
    class Watched(RandomModel):
        most = 0

        def step(self, memory: Any, state: Any, tokens: Integers) -> Any:
            self.most = max(self.most, len(tokens))
            return super().step(memory, state, tokens)

    engine = Watched(vocabulary=12)
    many = tokens_of(sample_translations(engine, BATCH, 250, SEARCH))
    assert 300 < engine.most <= BATCH_HYPOTHESES
    assert [len(found) for found in many] == [250, 250, 250]
    few = tokens_of(sample_translations(engine, BATCH, 120, SEARCH))
    assert [found[:120] for found in many] == few


@given(st.integers(0, 99), st.integers(0, 3), st.sampled_from([0.5, 1.0]), st.sampled_from([0, 3]))
def test_sampled_translations_are_scored_by_the_model(seed: int, least: int, temperature: float, top_k: int) -> None:
    engine = RandomModel(seed=seed, extra_columns=1)
    search = replace(SEARCH, temperature=temperature, top_k=top_k, seed=seed, min_length=least)
    for source, found in zip(BATCH, sample_translations(engine, BATCH, 3, search), strict=True):
        for one in found:
            log_probs, attention = forced(engine, source, one.tokens)
            assert one.token_log_probs == log_probs
            assert one.log_prob == pytest.approx(sum(log_probs))
            assert one.score == Scorer(search).score(one.log_prob, len(one.tokens), len(source))
            np.testing.assert_array_equal(one.attention_weights, attention)
            assert least <= len(one.tokens) <= search.max_length(len(source))
            assert one.finished or len(one.tokens) == search.max_length(len(source))
            assert min([SPECIAL_PIECES, *one.tokens]) == SPECIAL_PIECES


@pytest.mark.parametrize("end", [-2.0, 0.0, 2.0])
def test_the_most_probable_piece_is_greedy_search(end: float) -> None:
    engine = RandomModel(vocabulary=9, end=end)
    greedy = beam_search(engine, BATCH, SearchSettings(beam_size=1, max_length_factor=1.0, max_length_offset=3))
    drawn = sample_translations(engine, BATCH, 2, replace(SEARCH, top_k=1))
    for (best,), found in zip(greedy, drawn, strict=True):
        assert [one.tokens for one in found] == [best.tokens] * 2
        assert [one.finished for one in found] == [best.finished] * 2


def test_translations_are_drawn_from_the_distribution() -> None:
    engine = RandomModel(vocabulary=6, seed=2)
    search = SearchSettings(max_length_factor=0, max_length_offset=1)
    (found,) = sample_translations(engine, [[4]], 4000, search)
    counts = Counter(tuple(one.tokens) for one in found)
    probabilities = {tokens: np.exp(forced(engine, [4], list(tokens))[0][0]) for tokens in [(), (4,), (5,)]}
    possible = sum(probabilities.values())  # padding, unknown and begin symbol are never drawn
    for tokens, probability in probabilities.items():
        expected = probability / possible
        assert abs(counts[tokens] / 4000 - expected) < 5 * np.sqrt(expected * (1 - expected) / 4000)


def test_sampling_cannot_require_phrases() -> None:
    with pytest.raises(UserError, match="required phrases need beam search"):
        sample_translations(RandomModel(), [[4]], 1, SEARCH, [Constraints(required=((4,),))])
