"""Prefixes, phrases and n-grams: constraints hold on random models, and nothing else changes."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_search import RandomModel, assert_sorted_and_distinct, exhaustive, forced

from nmt.search.beam import SearchSettings, beam_search
from nmt.search.constraints import FREE, Constraints, Forbidden, Progress, Spelling
from nmt.search.sampling import sample_translations
from nmt.search.variations import NoRepeatedNgram, Rows, Variations
from nmt.text.vocabulary import BEGIN, PAD, SPECIAL_PIECES, UNK

PIECES = ["<pad>", "<unk>", "<s>", "</s>", "▁a", "▁b", "a", "b", "▁ab", "."]
"""Of the vocabulary that the random models write: words of two letters, cut in several ways."""
SPELLING = Spelling(PIECES)

ids = st.integers(SPECIAL_PIECES, len(PIECES) - 1)
phrases = st.lists(ids, min_size=1, max_size=3).map(tuple)
sources = st.lists(st.lists(st.integers(4, 6), min_size=1, max_size=4), min_size=1, max_size=4)
searches = st.builds(
    lambda beam, wanted, **others: SearchSettings(
        beam_size=beam, n_best=min(beam, wanted), max_length_factor=1.0, max_length_offset=2, **others
    ),
    st.integers(1, 6),
    st.integers(1, 6),
    min_length=st.integers(0, 3),
    length_penalty=st.sampled_from(["none", "average", "gnmt"]),
    no_repeat_ngram=st.sampled_from([0, 0, 1, 2]),
)
engines = st.builds(
    lambda seed, sharpness, end: RandomModel(len(PIECES), seed, sharpness, end),
    st.integers(0, 1000),
    st.sampled_from([0.3, 1.0, 3.0]),
    st.sampled_from([-1.0, 0.0, 2.0]),
)


def contains(tokens: Sequence[int], phrase: Sequence[int]) -> bool:
    return any(tuple(tokens[i : i + len(phrase)]) == tuple(phrase) for i in range(len(tokens)))


def text_of(tokens: Sequence[int]) -> str:
    return "".join(PIECES[i] for i in tokens).replace("▁", " ")


def has_word(text: str, phrase: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", text) is not None


@settings(max_examples=60)
@given(engines, sources, searches, st.lists(phrases, max_size=3), st.lists(ids, max_size=3))
def test_prefix_and_required_phrases_hold(
    engine: RandomModel, batch: list[list[int]], search: SearchSettings, required: list[tuple[int, ...]],
    prefix: list[int],
) -> None:  # fmt: skip
    search = SearchSettings(**{**vars(search), "groups": min(len(batch), search.beam_size)})
    constraints = [Constraints(tuple(prefix), tuple(required)), FREE, Constraints(required=tuple(required[:1])), FREE]
    for source, wanted, found in zip(
        batch, constraints, beam_search(engine, batch, search, None, constraints[: len(batch)]), strict=False
    ):
        assert_sorted_and_distinct(found, search.n_best)
        for one in found:
            assert one.tokens[: len(wanted.prefix)] == list(wanted.prefix)
            assert all(contains(one.tokens, phrase) for phrase in wanted.required)
            assert len(one.tokens) <= max(search.max_length(len(source)), wanted.least_length)
            assert one.token_log_probs == forced(engine, source, one.tokens)[0]


@settings(max_examples=60)
@given(engines, sources, searches, st.sampled_from([["a"], ["ab", "b"], ["a b"], ["b.", "a"], ["ba"]]), st.booleans())
def test_forbidden_phrases_are_not_written(
    engine: RandomModel, batch: list[list[int]], search: SearchSettings, forbidden: list[str], sampling: bool
) -> None:
    constraints = [Constraints(forbidden=Forbidden(forbidden, SPELLING))] * len(batch)
    if sampling:
        results = sample_translations(engine, batch, 3, search, constraints)
    else:
        results = beam_search(engine, batch, search, None, constraints)
    for one in (one for found in results for one in found):
        assert not any(has_word(text_of(one.tokens), phrase) for phrase in forbidden)


@settings(max_examples=40)
@given(engines, sources, searches, st.integers(1, 3), st.lists(ids, max_size=3), st.booleans())
def test_no_ngram_is_repeated(
    engine: RandomModel, batch: list[list[int]], search: SearchSettings, order: int, prefix: list[int], sampling: bool
) -> None:
    search = SearchSettings(**{**vars(search), "no_repeat_ngram": order})
    constraints = [Constraints(prefix=tuple(prefix))] * len(batch)
    if sampling:
        results = sample_translations(engine, batch, 3, search, constraints)
    else:
        results = beam_search(engine, batch, search, None, constraints)
    for one in (one for found in results for one in found):
        ngrams = [tuple(one.tokens[i : i + order]) for i in range(len(one.tokens) - order + 1)]
        own = ngrams[max(0, len(prefix) - order + 1) :]  # those that end behind the prefix
        assert len(set(own)) == len(own)
        assert not set(own) & set(ngrams[: len(ngrams) - len(own)])


@pytest.mark.parametrize("required", [[(5,)], [(4, 6)], [(5, 5), (6,)], [(4, 5), (5, 6)]])
def test_a_wide_beam_finds_the_best_translation_with_the_phrases(required: list[tuple[int, ...]]) -> None:
    """Of all translations that contain the phrases, exhaustively scored."""
    engine = RandomModel(seed=3)
    search = SearchSettings(beam_size=400, n_best=3, max_length_factor=0, max_length_offset=4)
    every = exhaustive(engine, [5], search)
    expected = [item for item in every if all(contains(item[1], phrase) for phrase in required)][:3]
    (found,) = beam_search(engine, [[5]], search, None, [Constraints(required=tuple(required))])
    assert [one.tokens for one in found] == [tokens for _, tokens in expected]


def test_constraints_of_neighbours_change_nothing() -> None:
    engine = RandomModel(len(PIECES), seed=5)
    batch = [[4], [5, 6], [6, 4, 4], [5]]
    constraints = [
        Constraints(prefix=(4, 5)), FREE, Constraints(required=((6, 7), (5,))),
        Constraints(forbidden=Forbidden(["a"], SPELLING)),
    ]  # fmt: skip
    search = SearchSettings(beam_size=4, n_best=3, max_length_factor=1, max_length_offset=4)
    together = beam_search(engine, batch, search, None, constraints)
    for source, one, found in zip(batch, constraints, together, strict=True):
        alone = beam_search(engine, [source], search, None, [one])[0]
        assert [item.tokens for item in alone] == [item.tokens for item in found]
    plain = beam_search(engine, batch, search)
    assert [item.tokens for item in plain[1]] == [item.tokens for item in together[1]]
    turned = beam_search(engine, batch[::-1], search, None, constraints[::-1])
    assert [[item.tokens for item in found] for found in turned[::-1]] == [
        [item.tokens for item in found] for found in together
    ]


def test_without_constraints_whole_rows_give_the_same() -> None:
    """A prefix that search would write anyway changes no score."""
    engine = RandomModel(len(PIECES), seed=8)
    search = SearchSettings(beam_size=5, n_best=1, max_length_factor=1, max_length_offset=4)
    (plain,) = beam_search(engine, [[4, 5]], search)
    constraints = Constraints(prefix=tuple(plain[0].tokens[:2]))
    (found,) = beam_search(engine, [[4, 5]], search, None, [constraints])
    assert found[0].tokens[:2] == plain[0].tokens[:2]
    assert found[0].score >= plain[0].score - 1e-9


@given(st.lists(phrases, max_size=4), st.lists(ids, max_size=10))
def test_progress_counts_what_is_contained(required: list[tuple[int, ...]], tokens: list[int]) -> None:
    """A phrase is met just when the pieces contain it, and one of the next pieces always brings all of them nearer."""
    progress = Progress(tuple(dict.fromkeys(required)))
    for token in tokens:
        progress = progress.after(token)
    assert set(progress.unmet) == {phrase for phrase in required if not contains(tokens, phrase)}
    assert (progress.missing == 0) == (not progress.unmet)
    for piece in range(SPECIAL_PIECES, len(PIECES)):
        assert (progress.after(piece).missing < progress.missing) == (piece in progress.next_pieces())
    steps = progress.missing
    for _ in range(steps):
        if progress.unmet:
            progress = progress.after(progress.next_pieces()[0])
    assert not progress.unmet


@given(st.integers(0, 3), st.integers(0, 6), st.integers(1, 3), st.integers(0, 99))
def test_forbidden_repetition_is_that_of_a_loop(rows: int, length: int, order: int, seed: int) -> None:
    history = np.random.default_rng(seed).integers(4, 7, (rows, length))
    log_probs = np.zeros((rows, 8), np.float32)
    NoRepeatedNgram(order).adjust(log_probs, log_probs, Rows(history, np.zeros(rows, np.int64)))
    for row in range(rows):
        read = history[row].tolist()
        known = {tuple(read[i : i + order]) for i in range(length - order + 1)}
        for piece in range(8):
            repeated = len(read) >= order - 1 and (*read[len(read) - order + 1 :], piece) in known
            assert (log_probs[row, piece] == -np.inf) == repeated


def test_restricting_leaves_the_model_s_own_numbers() -> None:
    log_probs = np.log(np.random.default_rng(1).dirichlet(np.ones(10), 3)).astype(np.float32)
    before = log_probs.copy()
    constraints = [Constraints(prefix=(7,)), FREE, Constraints(forbidden=Forbidden(["b"], SPELLING), unknown=True)]
    variations = Variations(SearchSettings(no_repeat_ngram=1), constraints, [3, 3, 3])
    found = variations.preferences(log_probs, Rows(np.full((3, 0), 4), np.array([0, 1, 2])))
    np.testing.assert_array_equal(log_probs, before)
    assert np.flatnonzero(found[0] > -np.inf).tolist() == [7]
    assert np.flatnonzero(found[1] == -np.inf).tolist() == [PAD, UNK, BEGIN]
    assert np.flatnonzero(found[2] == -np.inf).tolist() == [PAD, BEGIN, 5, 7]
    np.testing.assert_array_equal(found[found > -np.inf], log_probs[found > -np.inf])


@pytest.mark.parametrize(
    ("phrase", "pieces", "allowed"),
    [
        ("Hund", ["▁Ein", "▁Hund"], False),
        ("Hund", ["▁Ein", "▁Hun", "d"], False),
        ("Hund", ["▁Hun", "<0x64>"], False),
        ("Hund", ["▁", '"', "Hund"], False),
        ("Hund", ["Hund"], False),
        ("Hund", ["▁Hunde"], True),
        ("Hund", ["▁Hun", "de"], True),
        ("Hund", ["▁Wind", "hund"], True),
        ("Hund", ["▁Schäfer", "Hund"], True),
        ("Hund", ["▁Hund."], False),
        ("ein Hund", ["▁ein", "▁Hund"], False),
        ("ein Hund", ["▁kein", "▁Hund"], True),
        ("Ein Hund", ["▁ein", "▁Hund"], True),
        ("é", ["▁caf", "<0xC3>", "<0xA9>"], True),
        ("é", ["▁", "<0xC3>", "<0xA9>"], False),
        (",", ["▁Hund", ","], False),
        ("狗", ["▁大", "狗"], False),
        ("狗", ["▁大狗"], False),
        ("大狗", ["▁大", "狗"], False),
        ("狗", ["▁猫"], True),
    ],
)
def test_forbidden_phrases_are_whole_words(phrase: str, pieces: list[str], allowed: bool) -> None:
    vocabulary = ["<pad>", "<unk>", "<s>", "</s>", *dict.fromkeys(pieces), "x"]
    forbidden = Forbidden([phrase], Spelling(vocabulary))
    ids = [vocabulary.index(piece) for piece in pieces]
    assert forbidden.occurs_in(ids) != allowed
