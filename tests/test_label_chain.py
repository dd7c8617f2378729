"""A conditional random field of labels equals the sum over all sequences, in every way in which it is computed."""

from __future__ import annotations

import itertools
import json
import math
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from runs import assert_same_runs, quiet, send, stop_after
from test_tasks import example_config

from nmt import Predictor, cli
from nmt.errors import TrainingError, UserError
from nmt.network.label_chain import label_chain_loss
from nmt.prediction.label_chain import best_labels, label_probabilities
from nmt.training.loop import train

LABELS = 3


def random_scores(length: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    return draw.normal(0, 2, (length, LABELS)), draw.normal(0, 2, (LABELS + 1, LABELS))


def score(scores: np.ndarray, transitions: np.ndarray, labels: tuple[int, ...]) -> float:
    """s(y), by its definition."""
    steps = zip(scores, (LABELS, *labels), labels, strict=False)
    return float(sum(transitions[before, label] + row[label] for row, before, label in steps))


@pytest.mark.parametrize("length", [1, 2, 5])
def test_best_sequence_and_probabilities_are_those_of_all_sequences(length: int) -> None:
    for seed in range(20):
        scores, transitions = random_scores(length, seed)
        every = {
            labels: score(scores, transitions, labels) for labels in itertools.product(range(LABELS), repeat=length)
        }
        assert tuple(best_labels(scores, transitions)) == max(every, key=every.__getitem__)
        total = math.log(sum(map(math.exp, every.values())))
        expected = np.zeros((length, LABELS))
        for labels, one in every.items():
            expected[range(length), labels] += math.exp(one - total)
        np.testing.assert_allclose(label_probabilities(scores, transitions), expected, atol=1e-9)
        labels = next(iter(every))
        loss = label_chain_loss(*(torch.tensor(each) for each in (scores[:, None], transitions)),
                                torch.tensor(labels)[:, None], -1)  # fmt: skip
        assert loss.item() == pytest.approx(total - every[labels], abs=1e-4)


def test_batched_equals_single_whatever_is_left_out() -> None:
    draw = np.random.default_rng(3)
    lengths, transitions = [4, 1, 6, 0], random_scores(1, 4)[1]
    labels = np.full((9, 4), -1)
    for column, length in enumerate(lengths):  # labels at some of the positions, as at the first pieces of words
        labels[np.sort(draw.permutation(9)[:length]), column] = draw.integers(0, LABELS, length)
    scores = torch.tensor(draw.normal(size=(9, 4, LABELS)), requires_grad=True)
    together = label_chain_loss(scores, torch.tensor(transitions), torch.tensor(labels), -1)
    (gradient,) = torch.autograd.grad(together, scores)
    alone = sum(
        label_chain_loss(scores[kept, column][:, None], torch.tensor(transitions), torch.tensor(own[kept])[:, None], -1)
        for column, own in enumerate(labels.T)
        if (kept := own >= 0).any()
    )
    torch.testing.assert_close(together, alone)
    assert (gradient[torch.tensor(labels) < 0] == 0).all() and gradient.isfinite().all()


def test_the_gradient_is_that_of_the_loss() -> None:
    scores, transitions = (torch.tensor(each, requires_grad=True) for each in random_scores(4, 5))
    labels = torch.tensor([[0], [2], [1], [-1]])

    def loss(scores: torch.Tensor, transitions: torch.Tensor) -> torch.Tensor:
        return label_chain_loss(scores[:, None], transitions, labels, -1)

    assert torch.autograd.gradcheck(loss, (scores, transitions), eps=1e-2, atol=1e-2)  # single precision inside


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first x after each y is B, those after it are I: which can only be told by the labels before."""
    folder, draw = tmp_path_factory.mktemp("data"), np.random.default_rng(1)
    for split, count in {"train": 200, "validation": 40, "test": 40}.items():
        rows = []
        for _ in range(count):
            words = draw.choice(["x", "y"], int(draw.integers(1, 8)), p=[0.7, 0.3]).tolist()
            tags = ["O" if w == "y" else "I" if i and words[i - 1] == "x" else "B" for i, w in enumerate(words)]
            rows.append(json.dumps({"text": " ".join(words), "label": " ".join(tags)}))
        (folder / f"{split}.jsonl").write_text("\n".join(rows) + "\n")
    return folder


def test_it_trains_resumes_predicts_and_is_exported(
    pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"epochs": 12, "learning_rate": 0.02, "validation_interval": 3}
    config = example_config(pairs, "tagging", model={"crf": True, "bidirectional": False}, training=settings)
    train(config, tmp_path / "run", say=quiet)
    with monkeypatch.context() as patch:
        stop_after(patch, 4, send(signal.SIGTERM))
        with pytest.raises(TrainingError, match="stopped by SIGTERM"):
            train(config, tmp_path / "again", say=quiet)
    train(config, tmp_path / "again", resume=True, say=quiet)
    assert_same_runs(tmp_path / "run", tmp_path / "again")
    assert cli.main(["evaluate", str(tmp_path / "run")]) == 0
    assert "accuracy  100.00" in capsys.readouterr().out
    lines = ["x x y x x x", "y", "x"]
    found = Predictor.load(tmp_path / "run").predict(lines)
    assert [one.labels for one in found] == [["B", "I", "O", "B", "I", "I"], ["O"], ["B"]]
    assert all(math.isclose(sum(row.values()), 1, abs_tol=1e-6) for one in found for row in one.distributions)
    assert cli.main(["export", str(tmp_path / "run")]) == 0
    exported = Predictor.load(tmp_path / "run")
    assert exported.engine.transitions is not None
    for one, other in zip(found, exported.predict(lines), strict=True):
        assert one.labels == other.labels and one.probabilities == pytest.approx(other.probabilities, abs=1e-5)


def test_what_excludes_it(pairs: Path) -> None:
    for task, sections in [
        ("classification", {}),
        ("tagging", {"training": {"label_smoothing": 0.1}}),
        ("tagging", {"training": {"class_weights": 0.5}}),
        ("tagging", {"training": {"truncation": 5}, "more": {"bidirectional": False}}),
    ]:
        more = sections.pop("more", {})
        with pytest.raises(UserError, match="crf"):
            example_config(pairs, task, model={"crf": True, **more}, **sections)
