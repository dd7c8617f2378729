"""Minimum Bayes risk against the definition, and reranking with scripted models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.errors import UserError
from nmt.search.reranking import Candidate, Feature, expected_utilities, make_utility, read_n_best, rerank, rerank_lines


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "cc", "d"]), st.floats(0.1, 2)), min_size=1, max_size=6))
def test_expected_utility_is_the_weighted_mean(candidates: list[tuple[str, float]]) -> None:
    def utility(hypothesis: str, reference: str) -> float:
        return 10.0 * len(hypothesis) - ord(reference[0])

    texts, weights = [text for text, _ in candidates], [weight for _, weight in candidates]
    found = expected_utilities(texts, weights, utility)
    assert found.keys() == set(texts)
    for text, value in found.items():
        expected = sum(weight * utility(text, other) for other, weight in candidates) / sum(weights)
        assert value == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["bleu", "chrf"])
def test_the_consensus_has_the_least_risk(kind: str) -> None:
    """What is like the others is the better bet."""
    samples = ["x y z", "a dog runs on grass .", "a dog runs over grass today .", "a dog runs on grass today ."]
    utility = make_utility(kind, "en")  # type: ignore[arg-type]
    found = expected_utilities(samples, [1.0] * 4, utility)
    assert max(found, key=lambda text: found[text]) == samples[3]
    assert all(0 <= value <= 100 for value in found.values())
    assert utility(samples[0], samples[0]) == pytest.approx(100)
    assert expected_utilities(["a", "a"], [1.0, 2.0], utility) == {"a": pytest.approx(utility("a", "a"))}


@dataclass
class Score:
    log_prob: float
    tokens: list[str] = field(default_factory=list)


class Lengths:
    """Holds a translation for the more probable the shorter it is beside its source."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def score(self, sources: Sequence[str], targets: Sequence[str]) -> list[Score]:
        self.seen += zip(sources, targets, strict=True)
        return [
            Score(-float(10 * len(source) + len(target)), list(target))
            for source, target in zip(sources, targets, strict=True)
        ]


def candidates(line: int, *scored: tuple[float, str]) -> list[Candidate]:
    return [Candidate(line, score, text) for score, text in scored]


def test_scores_are_weighted_sums() -> None:
    lists = [candidates(1, (-1.0, "abc"), (-2.0, "a")), candidates(2, (-3.0, "zz"))]
    forward, backward = Lengths(), Lengths()
    found = rerank(
        ["s", "ss"],
        lists,
        [Feature(forward, 2.0), Feature(backward, 0.5, reverse=True)],
        list_weight=4.0,
        length_weight=100.0,
    )
    expected = {"abc": -26 - 15.5 - 4 + 400, "a": -22 - 5.5 - 8 + 200}
    assert [(one.text, one.score) for one in found[0]] == [("abc", expected["abc"]), ("a", expected["a"])]
    assert found[1][0].score == 2 * -22 + 0.5 * -22 - 12 + 300
    assert forward.seen == [("s", "abc"), ("s", "a"), ("ss", "zz")]
    assert backward.seen == [(target, source) for source, target in forward.seen]
    assert [one.text for one in rerank(["s"], lists[:1], [Feature(Lengths(), 1.0)])[0]] == ["a", "abc"]
    assert [one.text for one in rerank(["s"], lists[:1], [])[0]] == ["abc", "a"]


N_BEST = ["1\t1\t-0.500000\tlong text", "1\t2\t-0.700000\ttext\t0-0", "3\t1\t0.000000\t", "4\t1\t-inf\tx"]


def test_lists_are_read_and_written_in_the_same_format() -> None:
    assert [(line, [one.text for one in found]) for line, found in read_n_best(N_BEST)] == [
        (1, ["long text", "text"]),
        (3, [""]),
        (4, ["x"]),
    ]
    written = list(rerank_lines(["s"] * 5, N_BEST, [Feature(Lengths(), 1.0)]))
    assert written == [
        "1\t1\t-14.000000\ttext",
        "1\t2\t-19.000000\tlong text",
        "3\t1\t-10.000000\t",
        "4\t1\t-11.000000\tx",
    ]
    assert [line.split("\t")[3] for line in rerank_lines(["s"] * 5, written, [], list_weight=1.0)] == [
        line.split("\t")[3] for line in written
    ]
    assert list(rerank_lines(["s"] * 5, N_BEST, [Feature(Lengths(), 1.0)], best=True)) == ["text", "", "", "x", ""]


def test_every_window_is_ranked() -> None:
    lines = [f"{line}\t{rank}\t{rank / 10}\t{'x' * rank}" for line in range(1, 201) for rank in (1, 2)]
    assert list(rerank_lines(["s"] * 200, lines, [Feature(Lengths(), 1.0)], best=True)) == ["x"] * 200


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["1\t1\t-1\tx", "just text"], "line 2 of the n-best list must be line number, rank, score and text"),
        (["one\t1\t-1\tx"], "line 1 of the n-best list must be"),
        (["6\t1\t-1\tx"], "the n-best list has line number 6, but the source has 5 lines"),
        (["0\t1\t-1\tx"], "the n-best list has line number 0"),
        (["2\t1\t-1\tx", "1\t1\t-1\tx"], "out of order: line number 1 comes after 2"),
        (["1\t1\t-1\tx", "2\t1\t-1\tx", "1\t2\t-2\ty"], "has candidates of line number 1 in two places"),
        (["1\t1\tnan\tx"], "line 1 of the n-best list must be line number, rank, score and text"),
    ],
)
def test_mistakes_name_the_line(lines: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        list(rerank_lines(["s"] * 5, lines, [], best=True))


def test_the_utility_counts_characters_without_mecab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sacrebleu.tokenizers.tokenizer_ja_mecab.MeCab", None)
    utility = make_utility("bleu", "ja")
    assert utility("犬が猫を見る", "犬が猫を見る") == pytest.approx(100)
    assert utility("犬が猫を見る", "犬が家を見る") < 80
