"""Engines made of engines: what they must equal, by hand and through the search."""

import itertools
import subprocess
import sys
import zlib

import numpy as np
import pytest

from nmt.errors import UserError
from nmt.search.beam import SearchSettings, beam_search
from nmt.search.constraints import Constraints
from nmt.search.engine import Engine
from nmt.search.ensemble import Ensemble, Fusion, join_states, log_mean, part_of_state
from nmt.search.scoring import LengthPenalty
from nmt.text.vocabulary import BEGIN, END, SPECIAL_PIECES

SOURCES = [[4, 5, 6], [7], [5, 5], [6, 4, 7, 7, 5]]


class Toy(Engine):
    """p(next | source, everything read so far), random but fixed; a language model forgets the source.

    The state of a row is a checksum of what it has read. `impossible` is the share of symbols with probability 0;
    `columns` is the number of attention columns beyond the source's, None for a model without attention.
    """

    def __init__(self, seed, vocabulary=8, impossible=0.0, columns=None, language_model=False, sharpness=1.0):
        self.seed, self.vocabulary, self.impossible, self.columns = seed, vocabulary, impossible, columns
        self.language_model, self.sharpness = language_model, sharpness

    def start(self, sources):
        keys = [[self.seed] if self.language_model else [self.seed, *source] for source in sources]
        memory = {"key": [zlib.crc32(repr(key).encode()) for key in keys], "lengths": list(map(len, sources))}
        return memory, {"sentence": np.arange(len(sources)), "read": np.zeros(len(sources), np.int64)}

    def step(self, memory, state, tokens):
        assert set(state) == {"sentence", "read"}
        assert tokens.shape == state["sentence"].shape == state["read"].shape
        read = np.array([zlib.crc32(f"{r},{t}".encode()) for r, t in zip(state["read"], tokens, strict=True)])
        log_probs = np.empty((len(tokens), self.vocabulary), np.float32)
        attention = np.zeros((len(tokens), max(memory["lengths"]) + (self.columns or 0)), np.float32)
        for row, sentence in enumerate(state["sentence"]):
            random = np.random.default_rng([memory["key"][sentence], read[row]])
            scores = self.sharpness * random.standard_normal(self.vocabulary)
            scores -= np.log(np.exp(scores).sum())
            scores[random.random(self.vocabulary) < self.impossible] = -np.inf
            log_probs[row] = scores
            weights = random.random(memory["lengths"][sentence] + (self.columns or 0))
            attention[row, : len(weights)] = weights / weights.sum()
        for array in (log_probs, attention, read):
            array.setflags(write=False)
        return log_probs, None if self.columns is None else attention, {"sentence": state["sentence"], "read": read}

    def select(self, state, rows):
        return {name: values[rows] for name, values in state.items()}


def options(**changes):
    values = {"beam_size": 4, "n_best": 3, "max_length_factor": 0.0, "max_length_offset": 4, **changes}
    return SearchSettings(**values)


def search(engine, sources=SOURCES, **changes):
    """(tokens, score) of the hypotheses of each sentence."""
    return [[(one.tokens, one.score) for one in found] for found in beam_search(engine, sources, options(**changes))]


def assert_same(found, expected):
    """The same hypotheses, with scores that differ by rounding only."""
    assert [[tokens for tokens, _ in sentence] for sentence in found] == [
        [tokens for tokens, _ in sentence] for sentence in expected
    ]
    for one, other in zip(itertools.chain(*found), itertools.chain(*expected), strict=True):
        assert one[1] == pytest.approx(other[1], rel=1e-5, abs=1e-5)


def forced(engine, source, tokens):
    """Log-probabilities of a given output, each row [vocabulary], with the symbols that are wanted."""
    memory, state = engine.start([source])
    rows = []
    for read, wanted in itertools.pairwise([BEGIN, *tokens, END]):
        scores, _, state = engine.step(memory, state, np.array([read]))
        rows.append((scores[0].astype(np.float64), wanted))
    return rows


def test_the_mean_by_hand():
    one, other = np.log(np.float32([[0.5, 0.25, 0.25]])), np.log(np.float32([[0.1, 0.65, 0.25]]))
    np.testing.assert_allclose(np.exp(log_mean([one, other])), [[0.3, 0.45, 0.25]], rtol=1e-6)
    assert log_mean([one, other]).dtype == np.float32


def test_the_mean_of_very_small_and_of_impossible():
    infinite = -np.inf
    one, other = np.float32([[-200, -1000, infinite, 0]]), np.float32([[-200, -1001, infinite, infinite]])
    expected = [[-200, -1000 + np.log((1 + np.exp(-1)) / 2), infinite, -np.log(2)]]
    np.testing.assert_allclose(log_mean([one, other]), expected, rtol=1e-6)
    assert np.isnan(log_mean([one, np.float32([[0, 0, np.nan, 0]])])).tolist() == [[False, False, True, False]]


@pytest.mark.parametrize("members", [1, 2, 3, 7])
def test_an_ensemble_of_a_model_with_itself_is_the_model(members):
    model = Toy(seed=1, impossible=0.2, columns=1)
    scores, _, _ = model.step(*model.start(SOURCES), np.full(4, BEGIN))
    np.testing.assert_array_equal(log_mean([scores] * members), scores)
    assert search(Ensemble([model] * members)) == search(model)
    assert search(Ensemble([Toy(seed=1, impossible=0.2)] * members)) == search(model)


def test_an_ensemble_is_the_mean_of_its_members_at_every_step():
    members = [Toy(seed, impossible=0.2) for seed in range(3)]
    for source in SOURCES:
        together = forced(Ensemble(members), source, [5, 4, 6])
        apart = [forced(member, source, [5, 4, 6]) for member in members]
        for i, (scores, _) in enumerate(together):
            mean = np.mean([np.exp(rows[i][0]) for rows in apart], axis=0)
            np.testing.assert_allclose(np.exp(scores), mean, rtol=1e-5)
            assert scores.max() <= 0


@pytest.mark.parametrize(
    "engine",
    [
        Ensemble([Toy(1), Toy(2, impossible=0.3), Toy(3)]),
        Fusion(Toy(1), Toy(2, language_model=True), 0.3),
        Fusion(Ensemble([Toy(1), Toy(2)]), Toy(3, language_model=True), 0.5),
        Ensemble([Fusion(Toy(1), Toy(3, language_model=True), 0.5), Toy(2)]),
    ],
)
def test_scores_are_those_of_forced_decoding_and_do_not_depend_on_the_batch(engine):
    together = beam_search(engine, SOURCES, options(length_penalty="none"))
    for source, found in zip(SOURCES, together, strict=True):
        for one in found:
            assert one.token_log_probs == [scores[wanted] for scores, wanted in forced(engine, source, one.tokens)]
            assert one.score == pytest.approx(sum(one.token_log_probs))
        (alone,) = beam_search(engine, [source], options(length_penalty="none"))
        assert [(one.tokens, one.score) for one in alone] == [(one.tokens, one.score) for one in found]


def test_the_order_of_the_members_does_not_matter():
    members = [Toy(seed, columns=1) for seed in range(3)]
    expected = search(Ensemble(members))
    for order in itertools.permutations(members):
        assert_same(search(Ensemble(order)), expected)


def test_more_members_have_more_to_say():
    """Two of one against one of another: the mean is of models, not of kinds of models."""
    one, other = Toy(1), Toy(2)
    (scores, _), *_ = forced(Ensemble([one, one, other]), [4], [])
    (first, _), *_ = forced(one, [4], [])
    (second, _), *_ = forced(other, [4], [])
    np.testing.assert_allclose(np.exp(scores), (2 * np.exp(first) + np.exp(second)) / 3, rtol=1e-5)


def test_attention_weights_are_the_mean_of_those_that_give_them():
    narrow, wide, none = Toy(1, columns=0), Toy(2, columns=2), Toy(3)
    tokens = np.full(len(SOURCES), BEGIN)

    def weights(engine):
        return engine.step(*engine.start(SOURCES), tokens)[1]

    assert weights(Ensemble([none, none])) is None
    np.testing.assert_array_equal(weights(Ensemble([none, wide])), weights(wide))
    mixed = weights(Ensemble([narrow, none, wide]))
    assert mixed.shape == weights(wide).shape
    np.testing.assert_allclose(mixed[:, 5:], weights(wide)[:, 5:] / 2)
    np.testing.assert_allclose(mixed[:, :5], (weights(narrow) + weights(wide)[:, :5]) / 2)
    np.testing.assert_allclose(mixed.sum(1), 1, rtol=1e-6)
    np.testing.assert_array_equal(weights(Fusion(wide, Toy(4, language_model=True), 0.5)), weights(wide))
    assert weights(Fusion(none, Toy(4, columns=1, language_model=True), 0.5)) is None


def test_fusion_of_weight_0_is_the_model():
    model = Toy(1, impossible=0.2, columns=1)
    for language_model in (Toy(2, language_model=True), Toy(2, impossible=0.9, language_model=True)):
        assert search(Fusion(model, language_model, 0.0)) == search(model)


def test_a_fused_score_is_the_weighted_sum():
    model, language_model = Toy(1), Toy(2, language_model=True)
    for source in SOURCES:
        fused = forced(Fusion(model, language_model, 0.25), source, [6, 6])
        alone, beside = forced(model, source, [6, 6]), forced(language_model, [9, 9], [6, 6])
        for (scores, _), (first, _), (second, _) in zip(fused, alone, beside, strict=True):
            np.testing.assert_allclose(scores, first + 0.25 * second, rtol=1e-5)


def test_what_the_language_model_holds_for_impossible_is_never_written():
    class Never(Toy):
        def step(self, memory, state, tokens):
            log_probs, _, after = super().step(memory, state, tokens)
            log_probs = log_probs.copy()
            log_probs[:, 5] = -np.inf
            return log_probs, None, after

    assert any(5 in tokens for sentence in search(Toy(1)) for tokens, _ in sentence)
    fused = search(Fusion(Toy(1), Never(2, language_model=True), 0.01))
    assert not any(5 in tokens for sentence in fused for tokens, _ in sentence)


def test_a_uniform_language_model_only_counts_symbols():
    """Among outputs of one length it changes nothing but the scores, by the same amount."""
    uniform = Toy(0, language_model=True, sharpness=0.0)
    limits = {"min_length": 3, "max_length_offset": 3, "length_penalty": "none"}
    expected = [
        [(tokens, score - 0.5 * 4 * np.log(8)) for tokens, score in sentence] for sentence in search(Toy(1), **limits)
    ]
    assert_same(search(Fusion(Toy(1), uniform, 0.5), **limits), expected)


@pytest.mark.parametrize("kind", ["none", "average", "gnmt"])
@pytest.mark.parametrize("weight", [0.3, 2.0])
def test_a_wide_fused_beam_finds_the_best_of_all(kind, weight):
    """Fused scores are at most 0, so stopping early loses nothing."""
    engine = Fusion(Ensemble([Toy(1, 7), Toy(2, 7)]), Toy(3, 7, language_model=True), weight)
    limits = options(beam_size=100, n_best=5, length_penalty=kind, max_length_offset=3)
    score = LengthPenalty(kind, limits.alpha).score
    every = [list(tokens) for n in range(4) for tokens in itertools.product(range(SPECIAL_PIECES, 7), repeat=n)]
    for source in SOURCES[:2]:
        totals = [sum(scores[wanted] for scores, wanted in forced(engine, source, tokens)) for tokens in every]
        ranked = sorted(((score(total, len(t) + 1), t) for total, t in zip(totals, every, strict=True)), reverse=True)
        (found,) = beam_search(engine, [source], limits)
        assert [one.tokens for one in found] == [tokens for _, tokens in ranked[:5]]
        assert [one.score for one in found] == pytest.approx([value for value, _ in ranked[:5]])


def test_states_keep_apart():
    states = [{"hidden": i, "0.cell": -i} for i in range(12)]
    joined = join_states(states)
    assert len(joined) == 24
    assert [part_of_state(joined, number) for number in range(12)] == states
    assert join_states([]) == {}


def test_members_may_have_any_names_and_kinds_of_state():
    """Twelve members, some of them ensembles: the names of the states do not run into each other."""
    members = [Toy(seed) for seed in range(12)]
    nested = Ensemble([Ensemble(members[:6]), Ensemble(members[6:])])
    assert_same(search(nested), search(Ensemble(members)))


def test_the_k_best_are_derived():
    engine = Ensemble([Toy(1), Toy(2)])
    memory, state = engine.start(SOURCES)
    best, weights, after = engine.step_best(memory, state, np.full(4, BEGIN), 3)
    log_probs, _, _ = engine.step(memory, state, np.full(4, BEGIN))
    np.testing.assert_array_equal(best.log_probs, -np.sort(-log_probs[:, SPECIAL_PIECES:], axis=1)[:, :3])
    assert weights is None
    assert set(after) == {"0.sentence", "0.read", "1.sentence", "1.read"}


def test_probabilities_that_are_not_numbers_are_found():
    class Broken(Toy):
        def step(self, memory, state, tokens):
            log_probs, attention, after = super().step(memory, state, tokens)
            return log_probs * np.float32("nan"), attention, after

    for engine in (Ensemble([Toy(1), Broken(2)]), Fusion(Toy(1), Broken(2), 0.1), Fusion(Broken(1), Toy(2), 0.0)):
        with pytest.raises(UserError, match="not numbers"):
            search(engine)


def test_refusals():
    with pytest.raises(UserError, match="an ensemble needs at least one model"):
        Ensemble([])
    for weight in (-0.1, float("nan"), float("inf")):
        with pytest.raises(UserError, match=f"`language_model_weight` must be at least 0 and finite, but is {weight}"):
            Fusion(Toy(1), Toy(2), weight)


def test_no_torch():
    code = (
        "import sys, nmt.search.ensemble, nmt.training.averaging;"
        "print(sorted({'torch', 'datasets'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "engine", [Ensemble([Toy(1), Toy(2)]), Fusion(Toy(1), Toy(3, language_model=True), 0.4)], ids=["ensemble", "fusion"]
)
@pytest.mark.parametrize("groups", [1, 2])
def test_constraints_hold_for_engines_made_of_engines(engine, groups):
    wishes = [Constraints((5,), ((6, 7), (4,))), Constraints(required=((7, 7),)), Constraints((4, 4)), Constraints()]
    search = options(beam_size=6, n_best=4, groups=groups, no_repeat_ngram=3, max_length_offset=6)
    for one, found in zip(wishes, beam_search(engine, SOURCES, search, None, wishes), strict=True):
        assert found
        for hypothesis in found:
            tokens = tuple(hypothesis.tokens)
            assert tokens[: len(one.prefix)] == one.prefix
            for phrase in one.required:
                assert any(tokens[i : i + len(phrase)] == phrase for i in range(len(tokens)))


def test_members_take_several_batches_when_all_of_them_can():
    class Several(Toy):
        def side_by_side(self):
            return Toy(self.seed), 4

    plain = Toy(4)
    assert plain.side_by_side() == (plain, 1)
    for kind in (Ensemble([Several(1), Several(2)]), Fusion(Several(1), Several(2), 0.3)):
        engine, count = kind.side_by_side()
        assert count == 4
        assert [type(member) for member in engine.engines] == [Toy, Toy]
    assert Ensemble([Several(1), plain]).side_by_side()[1] == Fusion(plain, Several(1), 0.3).side_by_side()[1] == 1


def test_members_give_up_their_shortlists():
    class Listed(Toy):
        def without_shortlist(self):
            return Toy(self.seed)

    plain = Toy(4)
    assert plain.without_shortlist() is plain
    for engine in (Ensemble([Listed(1), plain]), Fusion(Listed(1), plain, 0.3)):
        whole = engine.without_shortlist()
        assert type(whole) is type(engine)
        assert [type(member) for member in whole.engines] == [Toy, Toy]
        assert whole.engines[1] is plain
