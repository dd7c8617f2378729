"""Planted leaks, known distributions and counts by hand: what a report says of test set, training data and model."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from nmt.errors import UserError
from nmt.report.calibration import (
    Predictions,
    calibration,
    predict_references,
    rank_correlation,
    sentence_groups,
)
from nmt.report.contents import count_pieces
from nmt.report.curves import find_metrics, read_curves
from nmt.report.search_tree import search_tree
from nmt.report.statistics import (
    FREQUENCIES,
    group_names,
    repeated_words,
    repetition,
    unknown,
    word_accuracy,
)
from nmt.report.training_data import NEAR, Comparison, compare_with_training
from nmt.report.words import UNITS, differences, same_text, words
from nmt.search.beam import SearchSettings, beam_search
from nmt.search.engine import Engine, EngineState, Integers
from nmt.text.vocabulary import BEGIN, END, SPECIAL_PIECES

# Words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A man's hat -- isn't “here”.", ["a", "man's", "hat", "isn't", "here"]),
        ("T-Shirt, 3,5 km!", ["t-shirt", "3", "5", "km"]),
        ("我喜欢 tea。", ["我", "喜", "欢", "tea"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("Straße ﬁn", ["strasse", "fin"]),
        ("...", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@given(st.text(max_size=40), st.text(max_size=40))
def test_differences_keep_both_texts(one: str, other: str) -> None:
    marked = differences(one, other)
    for spans, text in zip(marked, (one, other), strict=True):
        assert "".join(span.text for span in spans) == "".join(UNITS.findall(text))
    if one == other:
        assert not any(span.differs for spans in marked for span in spans)


def test_differences_mark_what_the_other_lacks() -> None:
    hypothesis, reference = differences("A man in a big hat sleeps.", "A woman in a hat sleeps well.")
    assert [span.text for span in hypothesis if span.differs] == ["man", "big"]
    assert [span.text for span in reference if span.differs] == ["woman", "well"]
    assert [span.text for span in differences("A dog", "A cat")[0]] == ["A ", "dog"]


# Training data


def corpus(count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices([f"w{i}" for i in range(60)], k=draw.randint(1, 12))) for _ in range(count)]


def similarity(one: str, other: str) -> float:
    return float(Levenshtein.normalized_similarity(words(one), words(other)))


@pytest.mark.parametrize("batch", [7, 1000])
def test_the_nearest_training_sentence_is_that_of_comparing_all_pairs(batch: int) -> None:
    test, training = corpus(40, 1), corpus(300, 2)
    comparison = Comparison(test)
    for start in range(0, len(training), batch):
        comparison.add(training[start : start + batch])
    overlap = comparison.overlap()
    for place, sentence in enumerate(test):
        best = max(similarity(sentence, other) for other in training)
        assert overlap.similarity[place] == pytest.approx(best)
        if best > 0:
            assert similarity(sentence, training[overlap.nearest[place]]) == pytest.approx(best)
        else:
            assert overlap.nearest[place] == -1
        for word in words(sentence):
            assert overlap.occurrences[word] == sum(words(other).count(word) for other in training)


def test_planted_leaks_are_found_and_nothing_else() -> None:
    sources, references = corpus(50, 3), [f"t {text}" for text in corpus(50, 4)]
    training_sources, training_targets = corpus(500, 5), [f"s {text}" for text in corpus(500, 6)]
    sources[10] = "a long sentence of ten words stands here in full"
    references[10] = "ein langer satz aus neun wörtern steht hier ganz"
    sources[20], references[30] = sources[10].replace("full", "part"), references[10].replace("ganz", "teils")
    training_sources[77], training_targets[77] = "A long  sentence of ten words stands here in full", references[10]
    training_targets[400] = references[10] + "!"
    batches = [(training_sources[i : i + 100], training_targets[i : i + 100]) for i in range(0, 500, 100)]
    overlap = compare_with_training(sources, [references], references, batches)
    assert np.flatnonzero(overlap.pair).tolist() == [10]
    assert 10 in np.flatnonzero(overlap.source.exact)
    assert overlap.source.nearest[10] == overlap.source.nearest[20] == overlap.target.nearest[30] == 77
    assert overlap.source.similarity[20] == pytest.approx(0.9)
    assert {10, 20, 30} <= set(np.flatnonzero(overlap.leaked).tolist())
    for place in np.flatnonzero(overlap.leaked).tolist():
        near = max(similarity(sources[place], other) for other in training_sources)
        assert max(near, *(similarity(references[place], other) for other in training_targets)) >= NEAR
    clean = compare_with_training(sources, [references], [], [(["nothing"], ["alike"])])
    assert not clean.leaked.any()


def test_of_several_references_the_nearest_counts() -> None:
    first, second = ["one two three", "x"], ["y", "four five six"]
    overlap = compare_with_training(["a", "b"], [first, second], [], [(["q", "r"], ["four five six", "one two"])])
    assert overlap.target.similarity.tolist() == pytest.approx([2 / 3, 1])
    assert overlap.target.exact.tolist() == [False, True]
    assert overlap.target.nearest.tolist() == [1, 0]


def test_texts_are_the_same_but_for_case_and_spaces() -> None:
    assert same_text(" Ein  HUND\u00a0läuft ") == same_text("ein hund läuft")
    assert same_text("a dog") != same_text("a dog.")


# Groups and counts


def test_groups() -> None:
    assert group_names(FREQUENCIES) == ["0", "1", "2 to 4", "5 to 9", "10 to 99", "100 to 999", "1000 or more"]
    assert group_names((5, 10)) == ["1 to 5", "6 to 10", "11 or more"]


def test_accuracy_of_words_by_hand() -> None:
    hypotheses = ["the the dog barks", "a unicorn"]
    references = ["the dog howls", "a unicorn unicorn"]
    groups = {own.name: own for own in word_accuracy(hypotheses, references, {"the": 2000, "dog": 3, "a": 5000})}
    often, few, never = groups["1000 or more"], groups["2 to 4"], groups["0"]
    assert (often.matched, often.produced, often.expected) == (2, 3, 2)
    assert (often.precision, often.recall, often.f_measure) == pytest.approx((2 / 3, 1, 0.8))
    assert (few.precision, few.recall, few.f_measure) == (1, 1, 1)
    assert (never.matched, never.produced, never.expected) == (1, 2, 3)
    assert set(groups) == {"0", "2 to 4", "1000 or more"}
    assert sum(own.produced for own in groups.values()) == 6


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a dog runs", 0),
        ("the the dog", 1),
        ("the the the dog", 2),
        ("a dog a dog runs", 2),
        ("in the park in the park in the park", 6),
        ("a b c d a b c d", 4),
        ("a b c d e a b c d e", 0),
        ("a b a", 0),
        ("", 0),
    ],
)
def test_repeated_words(text: str, expected: int) -> None:
    assert repeated_words(text.split()) == expected


def test_repetition_of_a_text() -> None:
    own = repetition(["a dog", "the the the cat", "a a"])
    assert (own.sentences, own.words, own.total, own.worst) == (2, 3, 8, 1)
    assert own.rate == 3 / 8
    assert repetition(["a dog", ""]).worst is None
    assert repetition([]).rate == 0


def test_unknown_words() -> None:
    own = unknown(["a zork zork", "a dog", "blub a"], {"a": 3, "dog": 1})
    assert (own.words, own.total, own.sentences) == (3, 7, 2)
    assert own.examples == ["zork", "blub"]


def test_pieces_without_text() -> None:
    own = count_pieces([["▁a", "<0xE4>", "<unk>"], ["<0x>", "<0xFF>"]], "<unk>")
    assert (own.total, own.unknown, own.bytes) == (5, 1, 2)


# Calibration


class Scripted(Engine):
    """An engine whose next-symbol distribution is a function of the source and the symbols read so far."""

    def __init__(self, distribution: Any) -> None:
        self.distribution = distribution

    def start(self, sources: Sequence[Sequence[int]]) -> tuple[Any, EngineState]:
        histories = np.empty(len(sources), dtype=object)
        histories[:] = [() for _ in sources]
        return sources, {"sentence": np.arange(len(sources)), "history": histories}

    def step(self, memory: Any, state: EngineState, tokens: Integers) -> tuple[Any, None, EngineState]:
        histories = np.empty(len(tokens), dtype=object)
        histories[:] = [(*before, int(token)) for before, token in zip(state["history"], tokens, strict=True)]
        rows = [self.distribution(tuple(memory[i]), h[1:]) for i, h in zip(state["sentence"], histories, strict=True)]
        with np.errstate(divide="ignore"):
            log_probs = np.log(np.array(rows)).astype(np.float32)
        return log_probs, None, {"sentence": state["sentence"], "history": histories}

    def select(self, state: EngineState, rows: Integers) -> EngineState:
        return {name: array[rows] for name, array in state.items()}


PIECES = 6


def next_symbol(source: tuple[int, ...], history: tuple[int, ...]) -> np.ndarray:
    """A distribution over END and the pieces that differs from place to place, and ends soon."""
    draw = np.random.default_rng([*source, *history, len(history)])
    row = np.zeros(SPECIAL_PIECES + PIECES)
    row[SPECIAL_PIECES:] = draw.dirichlet(np.full(PIECES, 0.4)) * 0.75
    row[END] = 0.25
    return row / row.sum()


def sample(source: tuple[int, ...], draw: np.random.Generator) -> list[int]:
    history: tuple[int, ...] = ()
    while True:
        token = int(draw.choice(SPECIAL_PIECES + PIECES, p=next_symbol(source, history)))
        if token == END:
            return list(history)
        history = (*history, token)


def sharpened(source: tuple[int, ...], history: tuple[int, ...], power: float = 3.0) -> np.ndarray:
    row = next_symbol(source, history) ** power
    return row / row.sum()


@pytest.fixture(scope="module")
def drawn() -> tuple[list[list[int]], list[list[int]]]:
    """Sources, and targets that are drawn from `next_symbol`."""
    draw = np.random.default_rng(1)
    sources = [[5 + i % 4, 5 + i // 4 % 5] for i in range(1500)]
    return sources, [sample(tuple(source), draw) for source in sources]


def test_the_calibration_of_a_known_distribution_is_recovered(drawn: tuple[list[list[int]], list[list[int]]]) -> None:
    true = calibration(predict_references(Scripted(next_symbol), *drawn))
    assert true.positions == sum(len(ids) + 1 for ids in drawn[1])
    assert true.error < 0.02
    assert true.confidence == pytest.approx(true.accuracy, abs=0.015)
    for own in true.bins:
        deviation = math.sqrt(own.confidence * (1 - own.confidence) / own.predictions)
        assert abs(own.accuracy - own.confidence) < 4 * deviation + 1e-9
    over = calibration(predict_references(Scripted(sharpened), *drawn))
    assert over.accuracy == true.accuracy  # the same predictions, only surer
    assert over.confidence - over.accuracy > 0.15
    assert over.error == pytest.approx(over.confidence - over.accuracy, abs=0.02)
    assert over.perplexity > true.perplexity


def test_predictions_do_not_depend_on_the_batches(drawn: tuple[list[list[int]], list[list[int]]]) -> None:
    pairs = [own[:40] for own in drawn]
    one, many = (calibration(predict_references(Scripted(next_symbol), *pairs, size)) for size in (1, 64))
    assert (one.error, one.perplexity) == pytest.approx((many.error, many.perplexity))
    assert [own.predictions for own in one.bins] == [own.predictions for own in many.bins]
    log_probs = [
        math.log(next_symbol(tuple(source), tuple(target[:place]))[token])
        for source, target in zip(*pairs, strict=True)
        for place, token in enumerate([*target, END])
    ]
    assert one.perplexity == pytest.approx(math.exp(-sum(log_probs) / len(log_probs)), rel=1e-5)
    assert predict_references(Scripted(next_symbol), [[], [5]], [[4], [6]]).correct.shape == (2,)


def test_calibration_by_hand() -> None:
    arrays = np.array([0.05, 1.0, 0.9, 0.95]), np.array([False, True, True, False]), np.zeros(4)
    own = calibration(Predictions(*arrays, np.array([False, False, False, True])))
    assert [(each.low, each.predictions) for each in own.bins] == [(0.0, 1), (0.8, 1), (0.9, 2)]
    assert own.error == pytest.approx((0.05 + 0.1 + 2 * abs(0.5 - 0.975)) / 4)
    assert (own.end_confidence, own.end_accuracy, own.perplexity) == (0.95, 0, 1)


def test_rank_correlation() -> None:
    assert rank_correlation([1, 2, 3], [10, 20, 400]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert rank_correlation([1, 1, 2, 3], [1, 2, 3, 4]) == pytest.approx(4.5 / math.sqrt(4.5 * 5))
    assert rank_correlation([1, 1], [1, 2]) == 0
    assert sentence_groups([5.0, 1.0, 3.0]) == [[1], [2], [0]]
    assert [len(own) for own in sentence_groups([float(i) for i in range(12)])] == [2, 2, 3, 2, 3]


# Search tree


@pytest.mark.parametrize("options", [{}, {"groups": 2, "diversity": 0.5}, {"no_repeat_ngram": 1}])
@pytest.mark.parametrize("beam_size", [2, 5])
@pytest.mark.parametrize("source", [(5, 6), (8, 7), (6, 9)])
def test_the_tree_is_that_of_the_search(source: tuple[int, ...], beam_size: int, options: dict[str, Any]) -> None:
    engine, settings = Scripted(next_symbol), SearchSettings(beam_size=beam_size, **options)
    nodes = search_tree(engine, source, settings)
    best = beam_search(engine, [source], settings)[0][0]
    paths: list[tuple[int, ...]] = []
    for place, node in enumerate(nodes):
        before = paths[node.parent] if node.parent >= 0 else ()
        assert node.parent < place
        assert node.step == len(before) + 1
        assert node.log_prob == pytest.approx(math.log(next_symbol(source, before)[node.token]), abs=1e-4)
        total = nodes[node.parent].total if node.parent >= 0 else 0.0
        assert node.total == pytest.approx(total + node.log_prob)
        paths.append((*before, node.token))
    assert len(set(paths)) == len(paths)
    ends = [node for node in nodes if node.score is not None]
    assert sorted(node.score or 0 for node in ends) == [node.score for node in ends][::-1]
    assert paths[nodes.index(ends[0])] == (*best.tokens, END)
    assert ends[0].score == pytest.approx(best.score)
    assert [path[-1] for path, node in zip(paths, nodes, strict=True) if node.fate == "best"] == [*best.tokens, END]
    parents = {node.parent for node in nodes if node.fate != "refused"}
    for place, node in enumerate(nodes):
        if node.fate == "refused":
            assert place not in parents
        if node.token != END and node.fate in ("best", "finished"):
            assert place in parents
    open_at = [sum(n.step == step and n.token != END and n.fate != "refused" for n in nodes) for step in range(1, 30)]
    assert max(open_at) <= beam_size
    assert BEGIN not in {node.token for node in nodes}


def test_what_found_no_place_is_worse_than_what_did() -> None:
    nodes = search_tree(Scripted(next_symbol), (5, 6), SearchSettings(beam_size=3))
    steps = {node.step for node in nodes if node.fate == "refused"}
    assert steps
    first = [node.total for node in nodes if node.step == 1 and node.fate != "refused"]
    assert all(node.total <= min(first) for node in nodes if node.step == 1 and node.fate == "refused")


# Curves


def test_curves(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "checkpoints" / "50").mkdir(parents=True)
    (run / "config.toml").write_text("")
    path = run / "metrics.jsonl"
    records = [{"kind": "training", "update": 5, "loss": 2.0}, {"kind": "validation", "update": 5, "bleu": 1.0}]
    records.append({"kind": "training", "update": 9, "loss": None})
    lines = "".join(json.dumps(record) + "\n" for record in records)
    path.write_text(lines.replace("null", "NaN") + '{"kind": "trai')
    curves = read_curves(path)
    assert curves == {"training": [records[0], records[2]], "validation": [records[1]]}
    for folder in (run, run / "best", run / "checkpoints" / "50"):
        assert find_metrics(folder) == path
    assert find_metrics(tmp_path / "elsewhere") is None
    path.write_text('{"kind": "training"}\n' + json.dumps(records[0]))
    with pytest.raises(UserError, match=r"metrics.jsonl` line 1 is not a record of a training; remove the line"):
        read_curves(path)
