"""Sampling: what the rules leave of a distribution, and that draws follow it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nmt.engine import Floats, Integers
from nmt.errors import UserError
from nmt.sampling import LINES, SamplingSettings, draw, next_probabilities, sample, sample_text
from nmt.vocabulary import BEGIN, END, PAD, SPECIAL_PIECES, UNK

SIZE = 9


class Chain:
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
    np.testing.assert_allclose(next_probabilities(log_probs, SamplingSettings()), expected)


@given(rows_of_log_probs, st.floats(0.1, 10))
def test_temperature_divides_log_probabilities(log_probs: Floats, temperature: float) -> None:
    found = next_probabilities(log_probs, SamplingSettings(temperature=temperature))
    expected = log_probs.astype(np.float64) / temperature
    np.testing.assert_allclose(np.log(found) - np.log(found[:, :1]), expected - expected[:, :1], rtol=1e-9, atol=1e-9)


@given(rows_of_log_probs, st.integers(1, 15))
def test_top_k_keeps_the_k_largest(log_probs: Floats, k: int) -> None:
    plain = next_probabilities(log_probs, SamplingSettings())
    found = next_probabilities(log_probs, SamplingSettings(top_k=k))
    np.testing.assert_allclose(found.sum(1), 1)
    for row, original in zip(found, plain, strict=True):
        kept = np.flatnonzero(row)
        assert len(kept) == min(k, 12)
        assert original[kept].min() >= np.delete(original, kept).max(initial=0)
        np.testing.assert_allclose(row[kept], original[kept] / original[kept].sum())


@given(rows_of_log_probs, st.floats(0.01, 0.99))
def test_top_p_keeps_the_smallest_set(log_probs: Floats, p: float) -> None:
    """Its mass reaches p; without its least probable piece it would not; nothing outside is more probable."""
    plain = next_probabilities(log_probs, SamplingSettings())
    found = next_probabilities(log_probs, SamplingSettings(top_p=p))
    np.testing.assert_allclose(found.sum(1), 1)
    for row, original in zip(found, plain, strict=True):
        kept = np.flatnonzero(row)
        mass = original[kept].sum()
        assert mass >= p - 1e-9
        assert mass - original[kept].min() < p + 1e-9
        assert original[kept].min() >= np.delete(original, kept).max(initial=0)
        np.testing.assert_allclose(row[kept], original[kept] / mass)


def test_top_p_counts_what_top_k_left() -> None:
    log_probs = np.log(np.array([[0.4, 0.3, 0.2, 0.1]], np.float32))
    found = next_probabilities(log_probs, SamplingSettings(top_k=2, top_p=0.55))
    np.testing.assert_allclose(found, [[1, 0, 0, 0]])  # 0.4 / 0.7 > 0.55
    found = next_probabilities(log_probs, SamplingSettings(top_p=0.55))
    np.testing.assert_allclose(found, [[4 / 7, 3 / 7, 0, 0]], rtol=1e-6)


def test_equal_probabilities_are_kept_from_the_lowest_id() -> None:
    found = next_probabilities(np.zeros((1, 4), np.float32), SamplingSettings(top_k=2))
    assert found.tolist() == [[0.5, 0.5, 0, 0]]


@given(arrays(np.float64, 7, elements=st.floats(0, 1)).filter(lambda p: p.sum() > 0), st.floats(0, 1, exclude_max=True))
def test_draw_inverts_the_cumulative_distribution(probabilities: np.ndarray, chance: float) -> None:
    token = draw(probabilities[None], np.array([chance]))[0]
    assert probabilities[token] > 0
    below, total = probabilities[:token].sum(), probabilities.sum()
    assert below <= chance * total + 1e-12
    assert chance * total <= below + probabilities[token] + 1e-12


def test_draw_never_goes_beyond_the_last_possible() -> None:
    probabilities = np.array([[0.1] * 7 + [0.0] * 3])
    assert draw(probabilities, np.array([np.nextafter(1, 0)])).tolist() == [6]


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
    settings = SamplingSettings(top_k=1, max_length=20)
    assert sample(engine, [], 3, settings, 1) == sample(engine, [], 3, settings, 2) == [expected] * 3


@pytest.mark.parametrize("settings", [SamplingSettings(), SamplingSettings(temperature=0.6, top_k=4, top_p=0.9)])
def test_frequencies_approach_the_distribution(settings: SamplingSettings) -> None:
    """Pieces behind each piece, over thousands of lines, and the lengths of the lines with them."""
    engine = Chain()
    settings.max_length = 30
    lines = sample(engine, [5], 4000, settings, 3)
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
    settings = SamplingSettings(max_length=12)
    many = sample(Chain(), [4, 6], 2 * LINES + 5, settings, 7)
    assert many[:3] == sample(Chain(), [4, 6], 3, settings, 7)
    assert len(set(map(tuple, many))) > 10
    assert many != sample(Chain(), [4, 6], 2 * LINES + 5, settings, 8)
    assert not {PAD, UNK, BEGIN, END} & {i for line in many for i in line}
    assert max(map(len, many)) <= 12


def test_the_prompt_is_read_once_and_finished_lines_are_left() -> None:
    engine = Chain()
    lines = sample(engine, [4, 5, 6], 10, SamplingSettings(max_length=8), 1)
    assert engine.rows[:4] == [1] * 4
    assert engine.rows[4:] == [sum(len(line) >= n for line in lines) for n in range(1, len(engine.rows) - 3)]


def test_text_begins_with_the_prompt() -> None:
    lines = sample_text(Chain(), Letters(), "a\tb ", 4, SamplingSettings(max_length=5), 2)
    assert all(line.startswith("ab") and len(line) <= 7 for line in lines)


@pytest.mark.parametrize(
    ("name", "value"),
    [("temperature", 0), ("temperature", float("inf")), ("temperature", float("nan")), ("top_k", -1), ("top_p", 0),
     ("top_p", 1.01), ("max_length", 0)],
)  # fmt: skip
def test_impossible_settings(name: str, value: float) -> None:
    with pytest.raises(UserError, match=f"`{name}` must be "):
        SamplingSettings(**{name: value})  # type: ignore[arg-type]
