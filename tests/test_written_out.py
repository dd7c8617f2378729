"""The written-out network: torch's gradients, torch's Adagrad, and a page of equations that quotes it."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from nmt import written_out
from nmt.errors import TrainingError, UserError
from nmt.written_out import (
    CELLS,
    LSTM,
    RNN,
    adagrad,
    backward,
    clip,
    cut,
    forward,
    make_weights,
    one_hot,
    sample,
    start,
    train,
)

PAGE = Path(__file__).parent.parent / "docs" / "written-out.md"
CHARACTERS, HIDDEN, LENGTH, STREAMS = 5, 7, 6, 4

cells = pytest.mark.parametrize("cell", [RNN, LSTM])


def weights(cell: Any, seed: int = 1) -> dict[str, np.ndarray]:
    """Random ones in float64, biases too."""
    rng = np.random.default_rng(seed)
    w = make_weights(cell, CHARACTERS, HIDDEN, rng, np.float64)
    return {name: array + rng.normal(size=array.shape) * 0.5 for name, array in w.items()}


def text(length: int = LENGTH, seed: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Random inputs and targets, [length, streams, characters]; two streams read the same characters."""
    ids = np.random.default_rng(seed).integers(0, CHARACTERS, (2, length, STREAMS))
    ids[0, :, 0] = ids[0, :, 1]
    inputs, targets = one_hot(ids, weights(RNN))
    return inputs, targets


def in_torch(cell: Any, w: dict[str, np.ndarray]) -> tuple[nn.RNN | nn.LSTM, nn.Linear]:
    """torch's own network with the same weights."""
    layer = (nn.RNN if cell is RNN else nn.LSTM)(CHARACTERS, HIDDEN, dtype=torch.float64)
    output = nn.Linear(HIDDEN, CHARACTERS, dtype=torch.float64)
    with torch.no_grad():
        layer.weight_ih_l0.copy_(torch.from_numpy(np.concatenate([w[f"W_{gate}"].T for gate in cell.gates])))
        layer.weight_hh_l0.copy_(torch.from_numpy(np.concatenate([w[f"U_{gate}"].T for gate in cell.gates])))
        layer.bias_ih_l0.copy_(torch.from_numpy(np.concatenate([w[f"b_{gate}"] for gate in cell.gates])))
        layer.bias_hh_l0.zero_()
        output.weight.copy_(torch.from_numpy(w["V"].T))
        output.bias.copy_(torch.from_numpy(w["a"]))
    return layer, output


@cells
def test_loss_gradients_and_state_equal_torchs(cell: Any) -> None:
    """From a state that was carried on, as torch computes them by itself."""
    w, (inputs, targets) = weights(cell), text()
    rng = np.random.default_rng(3)
    before = tuple(rng.normal(size=(STREAMS, HIDDEN)) for _ in range(cell.state_size))
    loss, tape, state = forward(cell, w, inputs, targets, before)
    d_w = backward(cell, w, tape, state)

    layer, output = in_torch(cell, w)
    carried = tuple(torch.from_numpy(array)[None] for array in before)
    hiddens, final = layer(torch.from_numpy(inputs), carried[0] if cell is RNN else carried)
    ids = torch.from_numpy(targets.argmax(-1)).flatten()
    expected = nn.functional.cross_entropy(output(hiddens).flatten(0, 1), ids)
    expected.backward()
    assert loss == pytest.approx(expected.item(), abs=1e-12)
    for own, theirs in zip(state, (final,) if cell is RNN else final, strict=True):
        np.testing.assert_allclose(own, theirs[0].detach().numpy(), rtol=0, atol=1e-12)

    def of_gate(gradient: torch.Tensor | None, gate: str) -> np.ndarray:
        assert gradient is not None
        return gradient.chunk(len(cell.gates))[cell.gates.index(gate)].numpy()

    for gate in cell.gates:
        for name, gradient in {"W": layer.weight_ih_l0.grad, "U": layer.weight_hh_l0.grad}.items():
            np.testing.assert_allclose(d_w[f"{name}_{gate}"], of_gate(gradient, gate).T, rtol=0, atol=1e-8)
        np.testing.assert_allclose(d_w[f"b_{gate}"], of_gate(layer.bias_ih_l0.grad, gate), rtol=0, atol=1e-8)
    np.testing.assert_allclose(d_w["V"], output.weight.grad.numpy().T, rtol=0, atol=1e-8)
    np.testing.assert_allclose(d_w["a"], output.bias.grad.numpy(), rtol=0, atol=1e-8)
    assert set(d_w) == set(w)
    assert all(np.abs(d).max() > 1e-4 for d in d_w.values())


@cells
def test_chunks_with_a_carried_state_have_the_loss_of_the_whole(cell: Any) -> None:
    w, (inputs, targets) = weights(cell), text(11)
    whole, _, last = forward(cell, w, inputs, targets, start(cell, w, STREAMS))
    losses, state = [], start(cell, w, STREAMS)
    for chunk in (slice(0, 4), slice(4, 8), slice(8, 11)):
        loss, _, state = forward(cell, w, inputs[chunk], targets[chunk], state)
        losses.append(loss)
    assert np.average(losses, weights=[4, 4, 3]) == pytest.approx(whole)
    np.testing.assert_allclose(state, last)


@given(st.integers(2, 200), st.integers(1, 9))
def test_streams_hold_the_text_in_order(length: int, streams: int) -> None:
    ids = np.arange(length)
    if (length - 1) // streams == 0:
        return
    inputs, targets = cut(ids, streams)
    assert inputs.shape == ((length - 1) // streams, streams)
    np.testing.assert_array_equal(inputs.T.flatten(), ids[: inputs.size])
    np.testing.assert_array_equal(targets, inputs + 1)


def test_clipping_equals_torchs() -> None:
    d_w = weights(LSTM)
    kept = {name: array.copy() for name, array in d_w.items()}
    norm = np.sqrt(sum((array**2).sum() for array in kept.values()))
    clip(d_w, norm * 1.01)
    assert all(np.array_equal(d_w[name], kept[name]) for name in kept)
    parameters = [nn.Parameter(torch.zeros(array.shape, dtype=torch.float64)) for array in kept.values()]
    for parameter, array in zip(parameters, kept.values(), strict=True):
        parameter.grad = torch.from_numpy(array.copy())
    nn.utils.clip_grad_norm_(parameters, 0.5)
    clip(d_w, 0.5)
    for name, parameter in zip(kept, parameters, strict=True):
        assert parameter.grad is not None
        np.testing.assert_allclose(d_w[name], parameter.grad.numpy(), rtol=1e-6)  # torch divides by norm + 1e-6
    assert np.sqrt(sum((array**2).sum() for array in d_w.values())) == pytest.approx(0.5)


def test_adagrad_equals_torchs() -> None:
    w = weights(RNN)
    squares = {name: np.zeros_like(array) for name, array in w.items()}
    parameters = {name: nn.Parameter(torch.from_numpy(array.copy())) for name, array in w.items()}
    optimizer = torch.optim.Adagrad(parameters.values(), lr=0.1)
    for seed in range(3):
        gradients = weights(RNN, seed)
        adagrad(w, gradients, squares, 0.1)
        for name, parameter in parameters.items():
            parameter.grad = torch.from_numpy(gradients[name])
        optimizer.step()
    for name, parameter in parameters.items():
        np.testing.assert_allclose(w[name], parameter.detach().numpy(), rtol=1e-12)


@cells
def test_draws_follow_the_distribution(cell: Any) -> None:
    """The first character by its probability; the others given those before them."""
    w, rng = weights(cell), np.random.default_rng(4)
    drawn = np.array([sample(cell, w, 2, 2, 0.7, rng) for _ in range(4000)])

    def probabilities(before: list[int]) -> np.ndarray:
        state = start(cell, w, 1)
        for x in before:
            state, _ = cell.step(w, one_hot(np.array([x]), w), state)
        p = np.exp((state[0] @ w["V"] + w["a"])[0] / 0.7)
        return np.asarray(p / p.sum())

    first = np.bincount(drawn[:, 0], minlength=CHARACTERS) / len(drawn)
    np.testing.assert_allclose(first, probabilities([2]), atol=0.03)
    likeliest = int(first.argmax())
    rest = drawn[drawn[:, 0] == likeliest, 1]
    found = np.bincount(rest, minlength=CHARACTERS) / len(rest)
    np.testing.assert_allclose(found, probabilities([2, likeliest]), atol=0.05)


# Training and the command

SMALL: dict[str, Any] = {
    "hidden_size": 24, "streams": 4, "truncation": 8, "learning_rate": 0.2, "clip_norm": 1.0, "epochs": 3,
    "report_interval": 2000, "temperature": 0.5, "seed": 1,
}  # fmt: skip


@cells
def test_learns_a_text_that_repeats(cell: Any) -> None:
    """Which letter follows a line end depends on the line before: no chance without a state."""
    reports: list[str] = []
    train("ab\ncd\nef\n" * 250, cell, **SMALL, show=reports.append)
    assert reports[0].startswith("2,250 characters, 7 different ones; ")
    losses = [float(found) for report in reports for found in re.findall(r"minutes: ([\d.]+) nats", report)]
    assert len(losses) == 4  # after each 2,000 characters, and at the end
    assert losses[-1] < 0.05 < losses[0]
    assert losses[-1] == min(losses)
    written = reports[-1].split("a character\n")[1]
    assert len(written) == 200
    assert "ab\ncd\nef\nab\ncd\nef\n" in written


def test_the_same_seed_learns_the_same() -> None:
    runs = [train("hello world " * 40, LSTM, **{**SMALL, "seed": seed}, show=lambda _: None) for seed in (1, 1, 2)]
    assert all(np.array_equal(runs[0][name], runs[1][name]) for name in runs[0])
    assert not np.array_equal(runs[0]["V"], runs[2]["V"])


def test_a_text_that_is_too_short_and_a_loss_that_is_lost() -> None:
    with pytest.raises(UserError, match="the text must have more than 8 characters, but has 8"):
        train("abcdefgh", RNN, **SMALL)
    train("abcdefghi", RNN, **SMALL, show=lambda _: None)
    settings = {**SMALL, "learning_rate": 1e300}
    with (
        np.errstate(all="ignore"),
        pytest.raises(TrainingError, match=r"loss is nan after \d+ characters; lower --learning-rate"),
    ):
        train("hello world " * 40, RNN, **settings, show=lambda _: None)


@pytest.mark.parametrize("name", CELLS)
def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    (tmp_path / "text").write_text("größe und länge\n" * 40, encoding="utf-8")
    arguments = ["--cell", name, "--hidden-size", "8", "--epochs", "1", "--truncation", "16"]
    assert written_out.main([str(tmp_path / "text"), *arguments]) == 0
    out = capsys.readouterr().out
    assert "639 characters, 12 different ones; " in out
    assert "--- epoch 1, 624 characters, 0.0 minutes: " in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.txt"], "error: `nowhere.txt` does not exist"),
        (["{short}"], "error: the text must have more than 32 characters, but has 3"),
        (["{short}", "--cell", "gru"], "invalid choice: 'gru'"),
        (["{short}", "--learning-rate", "0"], "argument --learning-rate: invalid number above 0 value: '0'"),
        (["{short}", "--streams", "0"], "argument --streams: invalid positive whole number value: '0'"),
    ],
    ids=lambda value: " ".join(value)[:40],
)
def test_bad_use_is_one_line_and_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    (tmp_path / "short").write_text("abc\n")
    try:
        status = written_out.main([argument.format(short=tmp_path / "short") for argument in arguments])
    except SystemExit as error:
        status = int(error.code or 0)
    captured = capsys.readouterr()
    assert (status, captured.out, captured.err.count("\n")) == (2, "", 1)
    assert message in captured.err


def test_it_needs_numpy_alone() -> None:
    check = (
        "import sys; before = set(sys.modules); import nmt.written_out\n"
        "print({name.split('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names))"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert ast.literal_eval(done.stdout) <= {"numpy", "nmt"}


# The page of equations

QUOTED = ("total", "total_back", "RNN.step", "RNN.step_back", "LSTM.step", "LSTM.step_back", "sigmoid", "log_softmax")
QUOTED += ("forward", "backward", "clip", "adagrad", "sample")


def body(name: str) -> list[str]:
    """The lines of a function of the file, without its docstring and comments."""
    function: Any = written_out
    for part in name.split("."):
        function = getattr(function, part)
    tree = ast.parse(inspect.cleandoc("\n" + inspect.getsource(function)))
    [definition] = tree.body
    assert isinstance(definition, ast.FunctionDef)
    lines = inspect.getsource(function).splitlines()[definition.body[1].lineno - 1 :]
    return [line.split("  # ")[0].strip() for line in lines]


def test_the_page_quotes_every_line() -> None:
    """Function by function, in the order of the file."""
    parts = re.split(r"^`([\w.]+)`", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert tuple(parts[1::2]) == QUOTED
    for name, part in zip(QUOTED, parts[2::2], strict=True):
        assert re.findall(r"^\| `(.+?)` \|", part, re.MULTILINE) == body(name), name
