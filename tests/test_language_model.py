"""Language models: streams, carried state, scores, training and resuming, the commands."""

from __future__ import annotations

import math
import os
import random
import re
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from plain import plain_model, plain_training
from runs import assert_same_runs, quiet, send, stop_after, validations
from safetensors.torch import load_file
from toys import toy_config, write_reversal

from nmt import cli
from nmt.config import Config
from nmt.data import text_streams as streams
from nmt.data.text_streams import Streams, choose_streams, join_lines, score_text
from nmt.errors import TrainingError, UserError
from nmt.model_folder import open_model
from nmt.network.language_model import LanguageModel
from nmt.network.torch_engine import load_engine
from nmt.tasks.language_model import LanguageModelTask
from nmt.tasks.task import make_vocabularies
from nmt.text.vocabulary import BEGIN, END, UNK
from nmt.training import loop as training
from nmt.training.loop import train
from nmt.training.run_folder import STATE

Sections = dict[str, dict[str, Any]]

EVERYTHING: Sections = {
    "model": {"decoder_layers": 2, "dropout": 0.2, "embedding_dropout": 0.1, "tied_embeddings": "decoder"},
    "training": {
        "average_decay": 0.9, "target_sampling": 0.3, "target_word_dropout": 0.1, "label_smoothing": 0.1,
        "accumulation": 2, "warmup": 3, "validation_interval": 5, "log_interval": 3, "batch_size": 4,
    },
}  # fmt: skip
"""Every source of chance and of state at once."""


def lm_config(folder: Path, **sections: dict[str, Any]) -> Config:
    values = {**sections, "training": {"truncation": 8, "batch_size": 4, **sections.get("training", {})}}
    return toy_config(folder, task="language_model", **values)  # type: ignore[arg-type]


def write_text(folder: Path, text: str, splits: str = "train val test") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for split in splits.split():
        (folder / f"{split}.rev").write_text(text, encoding="utf-8")
    return folder


def make_task(config: Config) -> LanguageModelTask:
    task = LanguageModelTask(config, make_vocabularies(config), torch.device("cpu"))
    task.prepare(quiet)
    return task


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lines of one language; nothing of a source language is there."""
    folder = write_reversal(tmp_path_factory.mktemp("data") / "text")
    for path in folder.glob("*.src"):
        path.unlink()
    return folder


@pytest.fixture(scope="module")
def trained(text: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, Path]:
    config = lm_config(text, **EVERYTHING)
    output = tmp_path_factory.mktemp("runs") / "whole"
    train(config, output, say=quiet)
    return config, output


# Streams


@given(
    st.lists(st.lists(st.integers(4, 30), max_size=6), min_size=1, max_size=30), st.integers(1, 9), st.integers(1, 7)
)
def test_streams_hold_every_position_once(lines: list[list[int]], wanted: int, length: int) -> None:
    text = join_lines([np.array(line, dtype=np.int32) for line in lines], sum(map(len, lines)) + len(lines))
    assert text.tolist() == [piece for line in lines for piece in [*line, END]]
    count = min(wanted, len(text))
    cut = Streams(text, count, length)
    chunks = [cut.pieces(number) for number in cut.batches]
    targets, inputs = (np.concatenate([chunk[side] for chunk in chunks]) for side in (1, 0))
    assert targets.T.flatten().tolist() + cut.rest.tolist() == text.tolist()
    expected = [BEGIN, *np.where(text == END, BEGIN, text).tolist()]
    assert inputs.T.flatten().tolist() == expected[: inputs.size]
    assert len(cut.rest) < count == len(cut)
    assert [cut.tokens(number) for number in cut.batches] == [chunk[1].size for chunk in chunks]
    assert all(len(chunk[1]) <= length for chunk in chunks)


def test_how_many_streams() -> None:
    sentences = plain_training(truncation=10, batch_size=4)
    tokens = plain_training(truncation=10, batch_size=45, batch_unit="tokens")
    assert [choose_streams(n, sentences) for n in (1, 9, 10, 25, 39, 40, 10**6)] == [1, 1, 1, 2, 3, 4, 4]
    assert [choose_streams(n, tokens) for n in (5, 10**6)] == [1, 4]
    assert choose_streams(100, plain_training(truncation=10, batch_size=4, batch_unit="tokens")) == 1


def test_a_small_text_has_fewer_streams(tmp_path: Path) -> None:
    config = lm_config(write_text(tmp_path / "data", "a b c\n" * 5), training={"batch_size": 64, "epochs": 1})
    lines: list[str] = []
    train(config, tmp_path / "run", say=lines.append)
    assert any(re.fullmatch(r"training text: 5 lines .*; read in [1-5] parallel streams?", line) for line in lines)


# Chance in the batches


def test_word_dropout_changes_what_is_read_only(text: Path) -> None:
    plain, dropping = (make_task(lm_config(text, training={"target_word_dropout": p})) for p in (0.0, 0.5))
    pool = plain.pool(None, 0, 0)
    for number in (0, 3):
        whole, some, again = (
            plain.batch(pool, number, 7),
            dropping.batch(pool, number, 7),
            dropping.batch(pool, number, 7),
        )
        other = dropping.batch(pool, number, 8)
        assert torch.equal(whole.targets, some.targets)
        assert torch.equal(some.inputs, again.inputs)
        assert not torch.equal(some.inputs, other.inputs)
        gone = some.inputs == UNK
        assert gone.any() and torch.equal(some.inputs[~gone], whole.inputs[~gone])
        assert not gone[whole.inputs == BEGIN].any()


def test_each_epoch_is_segmented_anew(text: Path) -> None:
    task = make_task(lm_config(text, training={"target_sampling": 0.3}, vocabulary={"model_type": "bpe", "size": 40}))
    texts = [task._text(epoch) for epoch in (0, 1, 0)]
    assert np.array_equal(texts[0], texts[2])
    assert not np.array_equal(texts[0], texts[1])
    decoded = {
        tuple(task.target_vocabulary.decode(line.tolist()) for line in np.split(ids, np.flatnonzero(ids == END) + 1))
        for ids in texts
    }
    assert len(decoded) == 1


# Scores


def random_model(size: int = 30, **model: Any) -> LanguageModel:
    torch.manual_seed(3)
    config = plain_model(embedding_size=8, hidden_size=12, **model)
    return LanguageModel(config, size).eval()


def random_text(positions: int, size: int = 30) -> np.ndarray:
    return np.random.default_rng(1).integers(END, size, positions).astype(np.int32)


@torch.no_grad()
def step_by_step(model: LanguageModel, text: np.ndarray, starts: list[int]) -> float:
    """Negative log-likelihood, a piece at a time, with a fresh state at each of the places."""
    total, state = 0.0, {}
    for place, target in enumerate(text.tolist()):
        if place in starts:
            state = model.initial_state(1)
        before = BEGIN if place == 0 or text[place - 1] == END else int(text[place - 1])
        log_probs, _, state = model.step(torch.tensor([before]), state, {}, None)
        total -= log_probs[0, target].item()
    return total


@pytest.mark.parametrize("cell", ["lstm", "gru", "mut1"])
def test_score_equals_one_piece_at_a_time(cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One stream, and several with a rest; whatever the length of the chunks."""
    model, text = random_model(cell=cell, decoder_layers=2), random_text(133)
    for least, chunk, starts in [(1000, 64, [0]), (1000, 5, [0]), (50, 64, [0, 66]), (30, 7, [0, 33, 66, 99])]:
        monkeypatch.setattr(streams, "SCORED_LENGTH", least)
        monkeypatch.setattr(streams, "SCORED_CHUNK", chunk)
        score = score_text(model, text, 100)
        assert score.negative == pytest.approx(step_by_step(model, text, starts), rel=1e-5)
    assert score.pieces == 133
    assert score.perplexity == pytest.approx(math.exp(score.negative / 133))
    assert score.bits_per_character == pytest.approx(score.negative / math.log(2) / 100)


def test_scoring_leaves_the_mode_and_can_be_stopped() -> None:
    model = random_model(dropout=0.5).train()
    score_text(model, random_text(20), 20)
    assert model.training

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_text(model, random_text(20), 20, check=stop)


def test_evaluate_equals_a_direct_computation(
    trained: tuple[Config, Path], text: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    _, output = trained
    folder = open_model(output)
    model = load_engine(folder).model
    assert isinstance(model, LanguageModel)
    lines = (text / "test.rev").read_text().splitlines()
    pieces = np.array([i for ids in folder.target_vocabulary.encode_batch(lines) for i in [*ids, END]], dtype=np.int32)
    negative = step_by_step(model, pieces, [0])
    characters = len((text / "test.rev").read_text())
    capfd.readouterr()
    outputs = []
    for arguments in (["--split", "test"], [], ["--source", str(text / "test.rev")], ["--set", "data.test_split=test"]):
        assert cli.main(["evaluate", str(output), *arguments, "--threads", "1"]) == 0
        outputs.append(capfd.readouterr().out)
    assert len(set(outputs)) == 1
    found = [float(number) for number in re.findall(r"(?:piece|character) +([\d.]+)", outputs[0])]
    assert found[0] == pytest.approx(math.exp(negative / len(pieces)), abs=2e-3)
    assert found[1] == pytest.approx(negative / math.log(2) / characters, abs=2e-3)
    assert f"({len(pieces)} pieces" in outputs[0] and f"({characters} characters" in outputs[0]


def test_validation_equals_evaluation(trained: tuple[Config, Path], capfd: pytest.CaptureFixture[str]) -> None:
    _, output = trained
    assert cli.main(["evaluate", str(output / "last"), "--split", "validation", "--threads", "1"]) == 0
    last = validations(output)[-1]
    out = capfd.readouterr().out
    assert f"perplexity per piece  {last['perplexity']:.3f}  " in out
    assert f"bits per character    {last['bits_per_character']:.4f}  " in out
    card = (output / "last" / "README.md").read_text()
    assert f"| validation bits per character | {last['bits_per_character']:.3f} |" in card
    assert "nmt sample" in card


# Training


@pytest.mark.parametrize("updates", [1, 5, 7])
def test_interrupted_and_resumed_equals_uninterrupted(
    trained: tuple[Config, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, updates: int
) -> None:
    """Also in the middle of an epoch: the state of the streams is saved."""
    config, whole = trained
    assert any(name.startswith("carried.") for name in load_file(whole / STATE))
    with monkeypatch.context() as patch:
        stop_after(patch, updates, send(signal.SIGINT))
        with pytest.raises(TrainingError, match="stopped by SIGINT"):
            train(config, tmp_path / "run", say=quiet)
    train(config, tmp_path / "run", resume=True, say=quiet)
    assert_same_runs(whole, tmp_path / "run")


def test_bf16_resumes(text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The carried state keeps its type."""
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    config = lm_config(text, training={"precision": "bf16", "epochs": 1})
    train(config, tmp_path / "whole", say=quiet)
    original = training.Run._check_interrupt

    def stop(self: training.Run) -> None:
        if self.progress.update == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        original(self)

    with monkeypatch.context() as patch:
        patch.setattr(training.Run, "_check_interrupt", stop)
        with pytest.raises(TrainingError, match="stopped by SIGTERM after update 3"):
            train(config, tmp_path / "run", say=quiet)
    train(config, tmp_path / "run", resume=True, say=quiet)
    assert_same_runs(tmp_path / "whole", tmp_path / "run")


def test_state_is_carried_within_an_epoch_and_gradient_cut(text: Path) -> None:
    """The chunks of an epoch, one after the other, have the loss of the whole; each gradient ends at its chunk."""
    task = make_task(lm_config(text))
    torch.manual_seed(1)
    model = LanguageModel(task.config.model, len(task.target_vocabulary))
    pool = task.pool(None, 0, 0)

    def epoch() -> list[float]:
        losses = []
        for number in pool.batches:
            batch = task.batch(pool, number, 0)
            losses.append(task.backward(model, batch, tokens=1, seed=0, progress=0.0)[0].item())
            assert not any(tensor.requires_grad for tensor in task.carried.values())
        return losses

    first = epoch()
    assert epoch() == first  # the second begins with a state of zeros again
    inputs, targets = (
        torch.cat([getattr(task.batch(pool, n, 0), side) for n in pool.batches]) for side in ("inputs", "targets")
    )
    state = model.initial_state(len(pool))
    assert sum(first) == pytest.approx(model(inputs, targets, state)[0].item(), rel=1e-5)
    model.zero_grad()
    batch = task.batch(pool, 0, 0)
    task.backward(model, batch, tokens=batch.target_tokens, seed=0, progress=0.0)
    carried = task.carried
    found = [weight.grad for weight in model.parameters()]
    loss, _, after = model(batch.inputs, batch.targets, state)
    expected = torch.autograd.grad(loss / batch.target_tokens, list(model.parameters()))
    for one, other in zip(found, expected, strict=True):
        assert one is not None
        torch.testing.assert_close(one, other)
    for name in after:
        torch.testing.assert_close(carried[name], after[name])


def test_learns_a_text_whose_lines_follow_from_each_other(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Only the line before tells which letter comes: without a carried state perplexity is 4^(1/3) = 1.6 at least.

    (A line has a space, one of four letters, and an end.)
    """
    data = write_text(tmp_path / "data", "a\nb\nc\nd\n" * 100)
    config = lm_config(
        data,
        vocabulary={"model_type": "char"},
        training={"epochs": 4, "learning_rate": 0.04, "truncation": 10},
    )
    train(config, tmp_path / "run", say=quiet)
    assert validations(tmp_path / "run")[-1]["perplexity"] < 1.1
    capfd.readouterr()
    assert cli.main(["sample", str(tmp_path / "run"), "--lines", "3", "--top-k", "1"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert len(lines) == 3 and set(lines) <= set("abcd")


def test_learns_a_repeating_text(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    line = "the cat sat on the mat and saw a dog"
    config = lm_config(
        write_text(tmp_path / "data", f"{line}\n" * 60),
        vocabulary={"size": 40},
        training={"epochs": 5, "learning_rate": 0.04},
    )
    train(config, tmp_path / "run", say=quiet)
    assert validations(tmp_path / "run")[-1]["perplexity"] < 1.1
    capfd.readouterr()
    for prompt in ("", "the cat", "the cat sat on the mat and saw"):
        assert cli.main(["sample", str(tmp_path / "run"), "--prompt", prompt, "--top-k", "1"]) == 0
        assert capfd.readouterr().out == f"{line}\n"


def test_characters(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Every character is a piece, and an unfinished word goes on; a character more a line: bits count line ends."""
    rng = random.Random(1)
    lines = [" ".join(rng.choice(["hello", "world", "größe"]) for _ in range(rng.randint(1, 5))) for _ in range(150)]
    data = write_text(tmp_path / "data", "".join(f"{line}\n" for line in lines))
    config = lm_config(
        data,
        vocabulary={"model_type": "char", "size": "auto"},
        model={"hidden_size": 48},
        training={"epochs": 3, "learning_rate": 0.02, "truncation": 16},
    )
    train(config, tmp_path / "run", say=quiet)
    folder = open_model(tmp_path / "run")
    assert len(folder.target_vocabulary.encode("hello größe")) == 1 + len("hello größe")  # SentencePiece's first space
    last = validations(tmp_path / "run")[-1]
    pieces, characters = sum(len(line) + 2 for line in lines), sum(len(line) + 1 for line in lines)
    assert last["bits_per_character"] == pytest.approx(last["loss"] * pieces / characters / math.log(2))
    capfd.readouterr()
    assert cli.main(["sample", str(tmp_path / "run"), "--prompt", "hello wor", "--top-k", "1"]) == 0
    assert capfd.readouterr().out.startswith("hello world")


def test_start_from_keeps_the_score(trained: tuple[Config, Path], text: Path, tmp_path: Path) -> None:
    _, output = trained
    settings = {"start_from": str(output / "last"), "learning_rate": 1e-12, "epochs": 1}
    train(lm_config(text, model=EVERYTHING["model"], training=settings), tmp_path / "run", say=quiet)
    before, after = validations(output)[-1], validations(tmp_path / "run")[-1]
    assert after["loss"] == pytest.approx(before["loss"], rel=1e-5)
    with pytest.raises(UserError, match="is of task language_model, but must be of translation"):
        train(toy_config(write_reversal(tmp_path / "data"), training=settings), tmp_path / "other", say=quiet)


def test_given_vocabulary(trained: tuple[Config, Path], text: Path) -> None:
    """A language model beside a translation model has that one's target vocabulary."""
    path = str(trained[1] / "best" / "target.spm")
    for vocabulary in ({"source": path}, {"joint": False, "source": path, "target": path}):
        made = make_vocabularies(lm_config(text, vocabulary=vocabulary))
        assert made[0] is made[1]
        assert made[0].model == Path(path).read_bytes()


def test_loss_that_is_not_finite(text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def poison(run: training.Run) -> None:
        with torch.no_grad():
            next(w for n, w in run.model.named_parameters() if n.endswith("weight_ih"))[0, 0] = math.nan

    stop_after(monkeypatch, 3, poison)
    with pytest.raises(TrainingError) as error:
        train(lm_config(text), tmp_path / "run", say=quiet)
    message = str(error.value)
    assert "loss is nan at update 4 (epoch 1, batch 4, pieces 24 to 31 of each stream); first in module" in message


def test_missing_splits_are_found_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "make_vocabularies", None)
    with pytest.raises(UserError, match=r"validation\.rev"):
        train(lm_config(write_text(tmp_path / "data", "a\n", "train")), tmp_path / "run", say=quiet)


@pytest.mark.parametrize("other", ["a b c\n" * 21, "a c b\n" * 20])
def test_other_text_does_not_continue_a_run(other: str, tmp_path: Path) -> None:
    config = lm_config(write_text(tmp_path / "data", "a b c\n" * 20), training={"epochs": 1})
    train(config, tmp_path / "run", say=quiet)
    write_text(tmp_path / "data", other)
    with pytest.raises(UserError, match=r"the data are not those that .* was started with"):
        train(config, tmp_path / "run", resume=True, say=quiet)


# Commands


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "{lm}", "--reference", "{file}"], "--reference is for translations, but `"),
        (["evaluate", "{lm}", "--beam-size", "3"], "--beam-size is for translations, but `"),
        (["evaluate", "{lm}", "--report", "{file}"], "--report is for translations, but `"),
        (["evaluate", "{lm}", "--source", "{file}", "--split", "test"], "--source excludes --split and --set"),
        (["evaluate", "{lm}", "--source", "nowhere.txt"], "nowhere.txt"),
        (["evaluate", "{lm}", "--split", "tset"], "tset"),
        (["evaluate", "{lm}", "--set", "decoding.alpha=1"], "--set must be data.KEY=VALUE here"),
        (["sample", "nowhere"], "model `nowhere` does not exist"),
        (["sample", "{lm}", "--temperature", "0"], "--temperature must be greater than 0 and finite, but is 0.0"),
        (["sample", "{lm}", "--top-p", "1.5"], "--top-p must be greater than 0 and at most 1, but is 1.5"),
        (["sample", "{lm}", "--top-k", "-1"], "--top-k must be at least 0 and at most 1000000, but is -1 instead"),
        (["sample", "{lm}", "--seed", "-1"], "argument --seed: invalid whole number from 0 on value: '-1'"),
    ],
    ids=lambda value: " ".join(value)[:40],
)
def test_bad_use_is_one_line_and_status_2(
    trained: tuple[Config, Path], text: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    capfd.readouterr()
    try:
        status = cli.main([argument.format(lm=trained[1], file=text / "test.rev") for argument in arguments])
    except SystemExit as error:
        status = int(error.code or 0)
    captured = capfd.readouterr()
    assert (status, captured.out, captured.err.count("\n")) == (2, "", 1)
    assert message in captured.err


def test_sample(trained: tuple[Config, Path], capfd: pytest.CaptureFixture[str]) -> None:
    """The same seed gives the same lines, however many are drawn; each begins with the prompt."""
    capfd.readouterr()

    def lines(*arguments: object) -> list[str]:
        assert cli.main(["sample", str(trained[1]), "--threads", "1", *map(str, arguments)]) == 0
        return capfd.readouterr().out.splitlines()

    five = lines("--lines", 5, "--seed", 4)
    assert lines("--lines", 3, "--seed", 4) == five[:3]
    assert lines("--lines", 5, "--seed", 5) != five
    assert all(line.startswith("a b") for line in lines("--lines", 4, "--prompt", " a  b "))
    assert all(len(line.split()) <= 3 for line in lines("--lines", 9, "--temperature", 3, "--max-length", 3))


def test_vocab(text: Path, tmp_path: Path) -> None:
    from nmt.config import write_config

    (tmp_path / "lm.toml").write_text(write_config(lm_config(text)))
    assert cli.main(["vocab", str(tmp_path / "lm.toml"), "--output", str(tmp_path / "v")]) == 0
    assert [path.name for path in (tmp_path / "v").iterdir()] == ["target.spm"]


def test_a_translation_model_is_no_language_model(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    train(toy_config(write_reversal(tmp_path / "data"), training={"epochs": 1}), tmp_path / "run", say=quiet)
    capfd.readouterr()
    assert cli.main(["sample", str(tmp_path / "run")]) == 2
    assert "is a translation model; `nmt sample` needs a language model" in capfd.readouterr().err
