"""Length penalties by hand, and the bound against what can be reached."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_search import RandomModel, forced

from nmt.errors import UserError
from nmt.search.scoring import LengthPenalty, brevity_penalty, coverage_penalty, force_decode


def test_divisors_by_hand():
    assert LengthPenalty("none").divisor(7.0) == 1
    assert LengthPenalty("average").divisor(7.0) == 7
    assert LengthPenalty("gnmt", alpha=1).divisor(7.0) == 2
    assert LengthPenalty("gnmt", alpha=0.5).divisor(19.0) == 2
    assert LengthPenalty("gnmt", alpha=0).divisor(19.0) == 1
    assert LengthPenalty("gnmt", alpha=0.6).divisor(1.0) == 1


def test_score_divides_the_log_probability():
    assert LengthPenalty("none").score(-6, 3) == -6
    assert LengthPenalty("average").score(-6, 3) == -2
    assert LengthPenalty("gnmt", 1).score(-6, 4) == pytest.approx(-4)
    assert LengthPenalty("average").score(-math.inf, 1) == -math.inf


@pytest.mark.parametrize("kind", ["none", "average", "gnmt"])
def test_divisors_of_an_array_are_those_of_its_numbers(kind):
    penalty = LengthPenalty(kind, 0.7)
    lengths = np.arange(1.0, 9.0)
    np.testing.assert_allclose(penalty.divisor(lengths), [penalty.divisor(length) for length in lengths.tolist()])


@settings(max_examples=50, deadline=None)
@given(
    kind=st.sampled_from(["none", "average", "gnmt"]),
    alpha=st.floats(0, 2),
    log_prob=st.floats(-50, 0),
    further=st.lists(st.floats(-5, 0), min_size=1, max_size=6),
    length=st.integers(0, 10),
)
def test_no_continuation_exceeds_the_bound(kind, alpha, log_prob, further, length):
    penalty = LengthPenalty(kind, alpha)
    longest = length + 6
    reached = penalty.score(log_prob + sum(further), length + len(further))
    assert reached <= penalty.bound(log_prob, longest) + 1e-9


def test_mistakes_name_the_rule_and_the_value():
    with pytest.raises(UserError, match="must be one of none, average, gnmt, but is 'mean' instead"):
        LengthPenalty("mean")
    with pytest.raises(UserError, match="`alpha` must be at least 0, but is -1 instead"):
        LengthPenalty("gnmt", -1)


def test_coverage_penalty_by_hand():
    assert coverage_penalty(np.array([1.0, 1.5, 2.0], np.float32)) == 0
    assert coverage_penalty(np.array([0.5, 1.5, 0.25], np.float32)) == pytest.approx(math.log(0.5) + math.log(0.25))
    assert math.isfinite(coverage_penalty(np.zeros(3, np.float32)))


def test_brevity_penalty_by_hand():
    assert brevity_penalty(10, 10, 1.0) == brevity_penalty(12, 10, 1.0) == brevity_penalty(5, 10, 0.5) == 0
    assert brevity_penalty(5, 10, 1.0) == pytest.approx(1 - 2)
    assert brevity_penalty(4, 10, 1.2) == pytest.approx(1 - 3)


batches = st.lists(
    st.tuples(st.lists(st.integers(4, 6), min_size=1, max_size=4), st.lists(st.integers(4, 6), max_size=5)), max_size=5
)


@given(batches, st.integers(0, 99))
def test_forced_decoding_reads_what_is_given(batch, seed):
    """Each pair as it is by itself, one step at a time, whatever its neighbours."""
    engine = RandomModel(seed=seed)
    found = force_decode(engine, [source for source, _ in batch], [target for _, target in batch])
    assert found == [forced(engine, source, target)[0] for source, target in batch]


def test_forced_decoding_leaves_out_finished_rows():
    engine = RandomModel()
    force_decode(engine, [[4], [5], [6]], [[4, 4, 4], [], [5]])
    assert engine.rows == [3, 2, 1, 1]
