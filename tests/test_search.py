"""Beam search on scripted models: exhaustive search, greedy search, a plain reference, and relations between runs."""

import itertools
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt.errors import UserError
from nmt.search.beam import SearchSettings, beam_search
from nmt.search.constraints import FREE, Constraints
from nmt.search.engine import Engine, best_pieces
from nmt.search.scoring import LengthPenalty, Scorer
from nmt.text.vocabulary import BEGIN, END, SPECIAL_PIECES, UNK


class RandomModel(Engine):
    """p(next | source, everything read so far), random but fixed.

    The state of a row is a checksum of what it has read, so a row that continues the wrong predecessor is found out by
    its probabilities. `sharpness` makes the distributions peaked; `end` is added to the end symbol's score;
    `impossible` is the share of symbols with probability 0; `grid` rounds log-probabilities so that ties are frequent.
    """

    def __init__(self, vocabulary=7, seed=0, sharpness=1.0, end=0.0, impossible=0.0, grid=0.0, extra_columns=0):
        self.vocabulary, self.seed, self.sharpness, self.end = vocabulary, seed, sharpness, end
        self.impossible, self.grid, self.extra_columns = impossible, grid, extra_columns
        self.steps, self.rows = 0, []

    def start(self, sources):
        assert sources
        assert all(len(source) for source in sources)
        keys = np.array([zlib.crc32(repr((self.seed, [int(i) for i in source])).encode()) for source in sources])
        longest = max(map(len, sources)) + self.extra_columns
        widths = [len(source) + self.extra_columns for source in sources]
        memory = {"key": keys, "mask": np.arange(longest) < np.array(widths)[:, None]}
        return memory, {"sentence": np.arange(len(sources)), "read": np.zeros(len(sources), np.int64)}

    def step(self, memory, state, tokens):
        assert tokens.dtype == np.int64
        assert tokens.shape == state["read"].shape == state["sentence"].shape
        self.steps += 1
        self.rows.append(len(tokens))
        read = np.array([zlib.crc32(f"{r},{t}".encode()) for r, t in zip(state["read"], tokens, strict=True)])
        log_probs = np.empty((len(tokens), self.vocabulary), np.float32)
        attention = np.zeros((len(tokens), memory["mask"].shape[1]), np.float32)
        for row, sentence in enumerate(state["sentence"]):
            random = np.random.default_rng([memory["key"][sentence], read[row]])
            scores = self.sharpness * random.standard_normal(self.vocabulary)
            scores[END] += self.end
            if self.grid:
                scores = np.round(scores / self.grid) * self.grid
            else:
                scores -= np.log(np.exp(scores).sum())
            scores[random.random(self.vocabulary) < self.impossible] = -np.inf
            log_probs[row] = np.minimum(scores, 0)
            weights = random.random(attention.shape[1]) * memory["mask"][sentence]  # the padding is drawn last
            attention[row] = weights / weights.sum()
        return log_probs, attention, {"sentence": state["sentence"], "read": read}

    def select(self, state, rows):
        assert rows.dtype == np.int64
        return {name: values[rows] for name, values in state.items()}


class FastRandomModel(RandomModel):
    """Chooses the best pieces by sorting whole rows."""

    def step_best(self, memory, state, tokens, k):
        log_probs, attention, state = self.step(memory, state, tokens)
        order = np.argsort(-log_probs[:, SPECIAL_PIECES:], axis=1, kind="stable")[:, :k]
        best = best_pieces(log_probs, 1)._replace(
            log_probs=np.take_along_axis(log_probs[:, SPECIAL_PIECES:], order, 1), tokens=order + SPECIAL_PIECES
        )
        return best, attention, state


def options(**changes):
    return SearchSettings(**{"max_length_factor": 0.0, "max_length_offset": 4, **changes})


def forced(engine, source, tokens):
    """Log-probabilities and attention weights of a given output, by itself."""
    memory, state = engine.start([source])
    log_probs, attention = [], []
    for read, wanted in itertools.pairwise([BEGIN, *tokens, END]):
        scores, weights, state = engine.step(memory, state, np.array([read]))
        log_probs.append(float(scores[0, wanted]))
        attention.append(weights[0])
    return log_probs, np.stack(attention)


def exhaustive(engine, source, settings):
    """Every output of allowed length with a probability above 0: (score, tokens), best first."""
    penalty = LengthPenalty(settings.length_penalty, settings.alpha)
    longest = settings.max_length(len(source))
    pieces = range(SPECIAL_PIECES, engine.vocabulary)
    found = []
    for length in range(settings.min_length, longest + 1):
        for tokens in itertools.product(pieces, repeat=length):
            found.append((penalty.score(sum(forced(engine, source, tokens)[0]), length + 1), list(tokens)))
    return sorted((item for item in found if item[0] > -np.inf), key=lambda item: -item[0])


def reference(engine, source, settings, identity=None):
    """The algorithm of `beam_search` for one sentence, plainly: (score, tokens), best first."""
    penalty = LengthPenalty(settings.length_penalty, settings.alpha)
    longest = settings.max_length(len(source))
    identity = identity or tuple
    hypotheses, finished, places = [([], 0.0)], {}, settings.beam_size
    while hypotheses:
        candidates = []
        for tokens, total in hypotheses:
            memory, state = engine.start([source])
            for token in [BEGIN, *tokens]:
                scores, _, state = engine.step(memory, state, np.array([token]))
            if len(tokens) >= settings.min_length:
                candidates.append((tokens, total + float(scores[0, END]), True))
            if len(tokens) < longest:
                order = np.argsort(-scores[0, SPECIAL_PIECES:], kind="stable") + SPECIAL_PIECES
                candidates += [([*tokens, int(i)], total + float(scores[0, i]), False) for i in order]
        candidates = sorted((c for c in candidates if c[1] > -np.inf), key=lambda candidate: -candidate[1])
        hypotheses, taken = [], 0
        for tokens, total, ends in candidates:
            if taken == places:
                break
            if not ends:
                hypotheses.append((tokens, total))
                taken += 1
                continue
            score, key = penalty.score(total, len(tokens) + 1), identity(tokens)
            taken += key not in finished
            if key not in finished or score > finished[key][0]:
                finished[key] = (score, tokens)
        places = settings.beam_size - len(finished)
        ranked = sorted(finished.values(), key=lambda item: -item[0])
        if len(ranked) >= settings.n_best:
            worst = ranked[settings.n_best - 1][0]
            if not any(penalty.bound(total, longest + 1) > worst for _, total in hypotheses):
                break
    return ranked[: settings.n_best]


def assert_sorted_and_distinct(found, most):
    assert 1 <= len(found) <= most
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert len({tuple(one.tokens) for one in found}) == len(found)


def pairs(hypotheses):
    return [(hypothesis.score, hypothesis.tokens) for hypothesis in hypotheses]


penalties = pytest.mark.parametrize(("kind", "alpha"), [("none", 1.0), ("average", 1.0), ("gnmt", 1.0), ("gnmt", 0.4)])


@penalties
@pytest.mark.parametrize(("least", "most"), [(0, 4), (2, 4), (3, 3), (0, 0)])
def test_wide_beam_is_exhaustive_search(kind, alpha, least, most):
    engine = RandomModel(seed=most)
    search = options(
        beam_size=200, n_best=8, length_penalty=kind, alpha=alpha, min_length=least, max_length_offset=most
    )
    for source in ([4, 5], [6]):
        expected = exhaustive(engine, source, search)[:8]
        (found,) = beam_search(engine, [source], search)
        assert [tokens for _, tokens in pairs(found)] == [tokens for _, tokens in expected]
        assert [score for score, _ in pairs(found)] == pytest.approx([score for score, _ in expected])
        (one,) = beam_search(engine, [source], options(**{**vars(search), "n_best": 1}))
        assert pairs(one) == pairs(found[:1])


@pytest.mark.parametrize("end", [-2.0, 0.0, 2.0])
@pytest.mark.parametrize("most", [0, 1, 6])
def test_beam_of_one_is_greedy_search(end, most):
    for seed in range(8):
        engine = RandomModel(vocabulary=9, seed=seed, end=end)
        tokens, ended = [], False
        memory, state = engine.start([[5, 6]])
        for _ in range(most + 1):
            scores, _, state = engine.step(memory, state, np.array([tokens[-1] if tokens else BEGIN]))
            scores[0, :END] = -np.inf
            token = int(scores[0].argmax())
            ended = token == END
            if ended or len(tokens) == most:
                break
            tokens.append(token)
        ((greedy,),) = beam_search(engine, [[5, 6]], options(beam_size=1, max_length_offset=most))
        assert greedy.tokens == tokens
        assert greedy.finished == ended


def test_a_beam_finds_what_greedy_search_misses():
    class Garden(Engine):
        """After piece 4 (0.6) nothing is likely; after piece 5 (0.4) the end is certain."""

        def start(self, sources):
            return None, {"row": np.zeros(len(sources))}

        def step(self, memory, state, tokens):
            after = {BEGIN: [0, 0, 0, 0, 0.6, 0.4], 4: [0, 0, 0, 0.3, 0.4, 0.3], 5: [0, 0, 0, 1.0, 0, 0]}
            with np.errstate(divide="ignore"):
                return np.log(np.array([after[int(token)] for token in tokens], np.float32)), None, state

        def select(self, state, rows):
            return {"row": state["row"][rows]}

    search = {"length_penalty": "none", "max_length_offset": 3}
    ((greedy,),) = beam_search(Garden(), [[4]], options(beam_size=1, **search))
    assert greedy.tokens[0] == 4
    ((best,),) = beam_search(Garden(), [[4]], options(beam_size=2, **search))
    assert best.tokens == [5]
    assert best.log_prob == pytest.approx(np.log(0.4))
    assert best.attention_weights is None


sources = st.lists(st.lists(st.integers(4, 6), min_size=1, max_size=4), min_size=1, max_size=5)
searches = st.builds(
    lambda beam, wanted, kind, alpha, least, factor, offset: SearchSettings(
        beam_size=beam,
        n_best=min(beam, wanted),
        length_penalty=kind,
        alpha=alpha,
        min_length=least,
        max_length_factor=factor,
        max_length_offset=offset,
        attention_weights=True,
    ),
    st.integers(1, 6),
    st.integers(1, 6),
    st.sampled_from(["none", "average", "gnmt"]),
    st.sampled_from([0.5, 1.0]),
    st.integers(0, 3),
    st.sampled_from([0.0, 1.0, 1.5]),
    st.integers(0, 3),
)
models = {
    "vocabulary": st.integers(5, 9),
    "seed": st.integers(0, 1000),
    "sharpness": st.sampled_from([0.3, 1.0, 3.0]),
    "end": st.sampled_from([-1.0, 0.0, 1.0]),
    "grid": st.sampled_from([0.0, 1.0]),
}
identities = st.sampled_from([None, tuple, sum, len])


@settings(max_examples=60, deadline=None)
@given(sources, searches, st.fixed_dictionaries(models), identities)
def test_search_is_the_plain_algorithm(batch, search, model, identity):
    engine = RandomModel(**model)
    for source, found in zip(batch, beam_search(engine, batch, search, identity), strict=True):
        assert pairs(found) == reference(engine, source, search, identity)


@settings(max_examples=60, deadline=None)
@given(sources, searches, st.fixed_dictionaries(models), identities)
def test_a_shorter_list_is_the_beginning_of_a_longer_one(batch, search, model, identity):
    engine = RandomModel(**model)
    search = SearchSettings(**{**vars(search), "n_best": search.beam_size})
    whole = [pairs(found) for found in beam_search(engine, batch, search, identity)]
    for n_best in range(1, search.beam_size):
        shorter = beam_search(engine, batch, SearchSettings(**{**vars(search), "n_best": n_best}), identity)
        assert [pairs(found) for found in shorter] == [found[:n_best] for found in whole]


@settings(max_examples=30, deadline=None)
@given(sources, searches, st.fixed_dictionaries({**models, "impossible": st.sampled_from([0.0, 0.5])}), identities)
def test_engines_with_and_without_fast_path_agree(batch, search, model, identity):
    plain = beam_search(RandomModel(**model), batch, search, identity)
    fast = beam_search(FastRandomModel(**model), batch, search, identity)
    assert [pairs(found) for found in plain] == [pairs(found) for found in fast]


@settings(max_examples=30, deadline=None)
@given(sources, searches, st.fixed_dictionaries({**models, "extra_columns": st.integers(0, 1)}), st.randoms())
def test_scores_are_those_of_forced_decoding(batch, search, model, random):
    engine = RandomModel(**model)
    penalty = LengthPenalty(search.length_penalty, search.alpha)
    for source, found in zip(batch, beam_search(engine, batch, search), strict=True):
        assert_sorted_and_distinct(found, search.n_best)
        for one in found:
            log_probs, attention = forced(engine, source, one.tokens)
            assert one.token_log_probs == log_probs
            assert one.log_prob == pytest.approx(sum(log_probs))
            assert one.score == penalty.score(one.log_prob, len(one.tokens) + 1)
            assert search.min_length <= len(one.tokens) <= search.max_length(len(source))
            assert one.attention_weights.shape == attention.shape
            assert min([SPECIAL_PIECES, *one.tokens]) == SPECIAL_PIECES


@settings(max_examples=30, deadline=None)
@given(sources, searches, st.fixed_dictionaries(models), identities, st.randoms(use_true_random=False))
def test_neighbours_in_the_batch_change_nothing(batch, search, model, identity, random):
    engine = RandomModel(**model)
    together = beam_search(engine, batch, search, identity)
    for source, found in zip(batch, together, strict=True):
        assert pairs(beam_search(engine, [source], search, identity)[0]) == pairs(found)
    order = random.sample(range(len(batch)), len(batch))
    shuffled = beam_search(engine, [batch[i] for i in order], search, identity)
    assert [pairs(found) for found in shuffled] == [pairs(together[i]) for i in order]


def test_attention_weights_are_those_of_the_real_source():
    batch = [[4, 5, 6, 4], [5], [6, 6]]
    engine = RandomModel(extra_columns=1)
    for source, found in zip(batch, beam_search(engine, batch, options(attention_weights=True)), strict=True):
        for one in found:
            assert one.attention_weights.shape == (len(one.tokens) + 1, len(source) + 1)
            np.testing.assert_allclose(one.attention_weights.sum(1), 1, rtol=1e-5)
    ((alone,),) = beam_search(engine, [batch[0]], options(attention_weights=True))
    np.testing.assert_array_equal(alone.attention_weights, forced(engine, batch[0], alone.tokens)[1])
    assert beam_search(engine, batch, options())[0][0].attention_weights is None


def test_n_best_are_distinct_under_an_identity():
    engine = RandomModel(vocabulary=8, seed=3)
    search = options(beam_size=200, n_best=10, max_length_offset=3)
    every = exhaustive(engine, [5], search)
    best = {}
    for score, tokens in every:
        best.setdefault(sum(tokens), (score, tokens))
    (found,) = beam_search(engine, [[5]], search, identity=sum)
    assert [tokens for _, tokens in pairs(found)] == [tokens for _, tokens in list(best.values())[:10]]


def test_a_repeated_string_takes_no_place():
    engine = RandomModel(vocabulary=6, seed=1, end=3.0)  # nearly everything ends at once
    (found,) = beam_search(engine, [[5]], options(beam_size=4, n_best=4), identity=len)
    assert sorted(len(one.tokens) for one in found) == [0, 1, 2, 3]


def test_fewer_hypotheses_than_asked_when_there_are_no_more():
    (found,) = beam_search(RandomModel(vocabulary=5), [[5]], options(beam_size=20, n_best=20, max_length_offset=2))
    assert sorted(one.tokens for one in found) == [[], [4], [4, 4]]


def test_at_the_maximum_length_the_end_is_forced():
    engine = RandomModel(end=-9.0)
    (found,) = beam_search(engine, [[5]], options(beam_size=3, n_best=3, max_length_offset=2))
    assert [len(one.tokens) for one in found] == [2, 2, 2]
    assert not any(one.finished for one in found)
    engine = RandomModel(end=9.0)
    ((one,),) = beam_search(engine, [[5]], options(beam_size=3, min_length=2, max_length_offset=2))
    assert len(one.tokens) == 2
    assert one.finished


def test_maximum_length_follows_the_source():
    search = SearchSettings(max_length_factor=1.15, max_length_offset=1)
    assert search.max_length(20) == 24
    assert SearchSettings(max_length_factor=1, max_length_offset=0, min_length=9).max_length(3) == 9
    engine = RandomModel(end=-20.0)
    found = beam_search(engine, [[4], [4, 5, 6], [5, 5]], SearchSettings(max_length_factor=2, max_length_offset=1))
    assert [len(one.tokens) for (one,) in found] == [3, 7, 5]


def test_ties_go_to_the_lower_id():
    class Even(Engine):
        def start(self, sources):
            return None, {}

        def step(self, memory, state, tokens):
            return np.full((len(tokens), 9), -np.log(9), np.float32), None, state

        def select(self, state, rows):
            return state

    search = options(beam_size=4, n_best=4, length_penalty="none", max_length_offset=2, min_length=1)
    (found,) = beam_search(Even(), [[4]], search)
    assert [one.tokens for one in found] == [[4], [4, 4], [4, 5], [4, 6]]  # row 4 goes first, its end before its pieces
    ((one,),) = beam_search(Even(), [[4]], options(beam_size=3))
    assert one.tokens == []


def test_finished_sentences_leave_the_batch():
    class Engine(RandomModel):
        def step(self, memory, state, tokens):
            log_probs, attention, state = super().step(memory, state, tokens)
            quick = memory["key"][state["sentence"]] % 2 == 0
            log_probs[quick] = -20
            log_probs[quick, END] = 0  # certain: nothing else can win
            return log_probs, attention, state

    engine = Engine(end=-20.0)
    batch = [[i] for i in range(4, 24)]
    found = beam_search(engine, batch, options(beam_size=3))
    slow = sum(len(one.tokens) > 0 for (one,) in found)
    assert 0 < slow < 20
    assert engine.rows == [20, *[slow * 3] * 4]


def test_search_stops_when_no_open_hypothesis_can_win():
    engine = RandomModel(end=6.0)
    beam_search(engine, [[5]], options(beam_size=5, length_penalty="none", max_length_offset=50))
    assert engine.steps < 5


def test_no_sentences():
    assert beam_search(RandomModel(), [], options()) == []


@pytest.mark.parametrize("vocabulary", [4, 5])
def test_a_vocabulary_smaller_than_the_beam(vocabulary):
    engine = RandomModel(vocabulary=vocabulary)
    ((one,),) = beam_search(engine, [[5]], options(beam_size=7, max_length_offset=2))
    assert one.tokens == exhaustive(engine, [5], options(max_length_offset=2))[0][1]


@settings(max_examples=30, deadline=None)
@given(sources, searches, st.integers(0, 1000), st.sampled_from([0.5, 0.9, 1.1]))
def test_impossible_symbols_never_appear_and_dead_ends_still_answer(batch, search, seed, impossible):
    engine = RandomModel(seed=seed, impossible=impossible)
    for source, found in zip(batch, beam_search(engine, batch, search), strict=True):
        assert found
        for one in found:
            assert one.token_log_probs == forced(engine, source, one.tokens)[0]
            assert all(log_prob > -np.inf for log_prob in one.token_log_probs[:-1])
            assert one.log_prob > -np.inf or (not one.finished and len(found) == 1)


def test_probabilities_that_are_not_numbers_are_an_error():
    class Broken(RandomModel):
        def step(self, memory, state, tokens):
            log_probs, attention, state = super().step(memory, state, tokens)
            return log_probs * np.float32("nan"), attention, state

    with pytest.raises(UserError, match="not numbers"):
        beam_search(Broken(), [[5]], options())


def test_settings_name_the_rule_and_the_value():
    with pytest.raises(UserError, match=r"`n_best` must be at most `beam_size` \(5\), but is 6 instead"):
        SearchSettings(beam_size=5, n_best=6)
    with pytest.raises(UserError, match="`beam_size` must be at least 1, but is 0 instead"):
        SearchSettings(beam_size=0)
    with pytest.raises(UserError, match="`max_length_factor` must be at least 0 and at most 100, but is -1 instead"):
        SearchSettings(max_length_factor=-1)
    with pytest.raises(UserError, match="`n_best` must be at least 1, but is 0 instead"):
        SearchSettings(n_best=0)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 6),
    st.sampled_from([4, 5, 9, 300, 1100]),
    st.integers(1, 12),
    st.integers(0, 999),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.booleans(),
)
def test_best_pieces_are_those_of_sorting(rows, vocabulary, k, seed, impossible, ties):
    random = np.random.default_rng(seed)
    log_probs = -random.exponential(1, (rows, vocabulary)).astype(np.float32)
    if ties:
        log_probs = np.round(log_probs)
    log_probs[random.random(log_probs.shape) < impossible] = -np.inf
    best = best_pieces(log_probs, k)
    order = np.argsort(-log_probs[:, SPECIAL_PIECES:], axis=1, kind="stable")[:, :k]
    expected = np.take_along_axis(log_probs[:, SPECIAL_PIECES:], order, 1)
    np.testing.assert_array_equal(best.end, log_probs[:, END])
    np.testing.assert_array_equal(best.log_probs, expected)
    possible = expected > -np.inf
    np.testing.assert_array_equal(best.tokens[possible], (order + SPECIAL_PIECES)[possible])
    assert best.tokens.dtype == np.int64
    assert best.tokens.size == 0 or best.tokens.min() >= SPECIAL_PIECES


penalised = st.builds(
    lambda search, **changes: SearchSettings(**{**vars(search), **changes}),
    searches,
    coverage_penalty=st.sampled_from([0.0, 0.4]),
    brevity_penalty=st.sampled_from([0.0, 0.7]),
    brevity_ratio=st.sampled_from([0.5, 1.5]),
)


@settings(max_examples=40, deadline=None)
@given(sources, penalised, st.integers(1, 6), st.fixed_dictionaries({**models, "extra_columns": st.integers(0, 1)}))
def test_penalties_are_those_of_the_finished_hypothesis(batch, search, groups, model):
    search = SearchSettings(**{**vars(search), "groups": min(groups, search.beam_size), "diversity": 0.5})
    engine = RandomModel(**model)
    for source, found in zip(batch, beam_search(engine, batch, search), strict=True):
        assert_sorted_and_distinct(found, search.n_best)
        for one in found:
            log_probs, attention = forced(engine, source, one.tokens)
            np.testing.assert_array_equal(one.attention_weights, attention)
            length = len(one.tokens) + 1
            score = LengthPenalty(search.length_penalty, search.alpha).score(sum(log_probs), length)
            covered = attention.sum(0)[: len(source)]
            score += search.coverage_penalty * np.log(np.minimum(covered, 1)).sum()
            score += search.brevity_penalty * min(0, 1 - search.brevity_ratio * (len(source) + 1) / length)
            assert one.score == pytest.approx(score, abs=1e-5)


@pytest.mark.parametrize("changes", [{"coverage_penalty": 0.3}, {"brevity_penalty": 2.0, "brevity_ratio": 2.0}])
def test_penalties_lose_nothing_that_could_win(changes):
    """The bound holds with them: a wide beam finds the best of all outputs by the penalised score."""
    engine = RandomModel(seed=5, end=1.0)
    search = options(beam_size=200, n_best=3, **changes)
    expected = []
    for _, tokens in exhaustive(engine, [5, 6], search):
        log_probs, attention = forced(engine, [5, 6], tokens)
        expected.append((Scorer(search).score(sum(log_probs), len(tokens), 2, attention.sum(0)), tokens))
    expected.sort(key=lambda item: -item[0])
    (found,) = beam_search(engine, [[5, 6]], search)
    assert [one.tokens for one in found] == [tokens for _, tokens in expected[:3]]


def test_a_coverage_penalty_needs_attention():
    class Blind(RandomModel):
        def step(self, memory, state, tokens):
            log_probs, _, state = super().step(memory, state, tokens)
            return log_probs, None, state

    with pytest.raises(UserError, match="`coverage_penalty` needs a model with attention"):
        beam_search(Blind(), [[5]], options(coverage_penalty=0.1))


@settings(max_examples=20, deadline=None)
@given(sources, st.integers(1, 3), st.integers(1, 3), st.fixed_dictionaries(models))
def test_groups_without_diversity_are_equal(batch, size, groups, model):
    engine = RandomModel(**model)
    together = beam_search(engine, batch, options(beam_size=size * groups, groups=groups, n_best=size, diversity=0.0))
    alone = beam_search(engine, batch, options(beam_size=size, n_best=size))
    assert [pairs(found) for found in together] == [pairs(found) for found in alone]


@settings(max_examples=20, deadline=None)
@given(sources, st.integers(1, 3), st.sampled_from([0.3, 1.0, 50.0]), st.fixed_dictionaries(models), st.randoms())
def test_diverse_groups_search_one_after_the_other(batch, size, diversity, model, random):
    """The first group searches as if alone, so the list holds its best; and neighbours change nothing."""
    engine = RandomModel(**model)
    search = options(beam_size=3 * size, groups=3, n_best=3 * size, diversity=diversity)
    together = beam_search(engine, batch, search)
    for found, (best,) in zip(together, beam_search(engine, batch, options(beam_size=size)), strict=True):
        assert found[0].score >= best.score
        assert best.tokens in [one.tokens for one in found]
    assert [pairs(found) for found in beam_search(engine, batch[::-1], search)[::-1]] == [
        pairs(found) for found in together
    ]


def test_groups_avoid_what_earlier_ones_took():
    class Fixed(Engine):
        """The same probabilities at every step."""

        def start(self, sources):
            return None, {"sentence": np.arange(len(sources))}

        def step(self, memory, state, tokens):
            row = np.log(np.array([1e-9, 1e-9, 1e-9, 1e-6, 0.5, 0.3, 0.2], np.float32))
            return np.tile(row, (len(tokens), 1)), None, state

        def select(self, state, rows):
            return {"sentence": state["sentence"][rows]}

    def first_pieces(diversity, groups, beam):
        (found,) = beam_search(
            Fixed(),
            [[4]],
            options(beam_size=beam, groups=groups, n_best=beam, diversity=diversity, max_length_offset=1),
        )
        return sorted(one.tokens[0] for one in found)

    assert first_pieces(9.0, 3, 3) == [4, 5, 6]
    assert first_pieces(0.4, 2, 2) == [4]  # log 0.5 - 0.4 > log 0.3
    assert first_pieces(0.6, 2, 2) == [4, 5]
    # both places of the first group: 4 and 5; then 6 without loss beats 4, whose loss counts once
    assert first_pieces(1.0, 2, 3) == [4, 5, 6]


def test_the_unknown_piece_is_written_on_request_only():
    engine = RandomModel(vocabulary=5, end=-3.0)
    plain = beam_search(engine, [[4], [5]], options(beam_size=3, n_best=3))
    assert not any(UNK in one.tokens for found in plain for one in found)
    for source, found in zip(
        ([4], [5]),
        beam_search(engine, [[4], [5]], options(beam_size=9, n_best=9), None, [Constraints(unknown=True), FREE]),
        strict=True,
    ):
        assert any(UNK in one.tokens for one in found) == (source == [4])
        for one in found:
            assert one.token_log_probs == forced(engine, source, one.tokens)[0]
            assert min([SPECIAL_PIECES, *(token for token in one.tokens if token != UNK)]) == SPECIAL_PIECES
