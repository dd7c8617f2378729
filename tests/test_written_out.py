"""examples/written_out.py: its gradients and its Adagrad equal torch's, and the page of equations quotes it."""

from __future__ import annotations

import ast
import gzip
import inspect
import re
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import written_out
from written_out import (
    CELLS,
    LSTM,
    RNN,
    adagrad,
    backward,
    clip,
    cut,
    forward,
    learn,
    make_weights,
    one_hot,
    sample,
    zeros,
)

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "written-out.md"
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
        output.bias.copy_(torch.from_numpy(w["b_y"]))
    return layer, output


@cells
def test_loss_gradients_and_state_equal_torchs(cell: Any) -> None:
    """From a state that was carried on, as torch computes them by itself."""
    w, (inputs, targets) = weights(cell), text()
    rng = np.random.default_rng(3)
    before = tuple(rng.normal(size=(STREAMS, HIDDEN)) for _ in range(cell.state_size))
    loss, record, state = forward(cell, w, inputs, targets, before)
    d_w = backward(cell, w, record, zeros(cell, w, STREAMS))

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
    np.testing.assert_allclose(d_w["b_y"], output.bias.grad.numpy(), rtol=0, atol=1e-8)
    assert set(d_w) == set(w)
    assert all(np.abs(d).max() > 1e-4 for d in d_w.values())


@cells
def test_chunks_with_a_carried_state_have_the_loss_of_the_whole(cell: Any) -> None:
    w, (inputs, targets) = weights(cell), text(11)
    whole, _, last = forward(cell, w, inputs, targets, zeros(cell, w, STREAMS))
    losses, state = [], zeros(cell, w, STREAMS)
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
        state = zeros(cell, w, 1)
        for x in before:
            state, _ = cell.step(w, one_hot(np.array([x]), w), state)
        p = np.exp((state[0] @ w["V"] + w["b_y"])[0] / 0.7)
        return np.asarray(p / p.sum())

    first = np.bincount(drawn[:, 0], minlength=CHARACTERS) / len(drawn)
    np.testing.assert_allclose(first, probabilities([2]), atol=0.03)
    likeliest = int(first.argmax())
    rest = drawn[drawn[:, 0] == likeliest, 1]
    found = np.bincount(rest, minlength=CHARACTERS) / len(rest)
    np.testing.assert_allclose(found, probabilities([2, likeliest]), atol=0.05)


# The program

SMALL = {
    "hidden_size": 24, "streams": 4, "truncation": 8, "learning_rate": 0.2, "clip_norm": 1.0, "epochs": 3,
    "report_interval": 2000, "temperature": 0.5, "seed": 1,
}  # fmt: skip


def learned(text: str, cell: str = "lstm", **changes: Any) -> dict[str, np.ndarray]:
    """The weights that learned a text."""
    return learn(text, Namespace(cell=cell, **{**SMALL, **changes}))


@pytest.mark.parametrize("cell", CELLS)
def test_learns_a_text_that_repeats(cell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The letter after a line end depends on the line before: only the state can know it."""
    learned("ab\ncd\nef\n" * 250, cell)
    first, *reports = capsys.readouterr().out.split("--- ")
    assert first.startswith("2,250 characters, 7 different ones; ")
    epochs = [report.split(" characters")[0] for report in reports]
    assert epochs == ["epoch 1, 2,016", "epoch 2, 4,040", "epoch 3, 6,064", "epoch 3, 6,744"]
    losses = [float(found) for report in reports for found in re.findall(r"minutes: ([\d.]+) nats", report)]
    assert losses[-1] < 0.05 < losses[0]
    assert losses[-1] == min(losses)
    written = reports[-1].split("a character\n")[1].removesuffix("\n")
    assert len(written) in (199, 200)  # 199 if the last character drawn was a line end
    assert "ab\ncd\nef\nab\ncd\nef\n" in written


def test_the_same_seed_learns_the_same() -> None:
    runs = [learned("hello world " * 40, seed=seed) for seed in (1, 1, 2)]
    assert all(np.array_equal(runs[0][name], runs[1][name]) for name in runs[0])
    assert not np.array_equal(runs[0]["V"], runs[2]["V"])


@pytest.mark.parametrize("cell", CELLS)
def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], cell: str) -> None:
    text = "größe und länge\n" * 40
    (tmp_path / "text").write_bytes(text.encode())
    (tmp_path / "windows.gz").write_bytes(gzip.compress(text.replace("\n", "\r\n").encode("utf-8-sig")))
    arguments = ["--cell", cell, "--hidden-size", "8", "--epochs", "1", "--truncation", "16"]
    outputs = []
    for file in ("text", "windows.gz"):
        written_out.main([str(tmp_path / file), *arguments])
        outputs.append(capsys.readouterr().out)
    assert "639 characters, 12 different ones; " in outputs[0]
    assert "--- epoch 1, 624 characters, 0.0 minutes: " in outputs[0]
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.txt"], "error: [Errno 2] No such file or directory: 'nowhere.txt'"),
        (["{short}"], "error: the text must have more than 32 characters, but has 3"),
        (["{latin}"], "error: 'utf-8' codec can't decode byte 0xe9 in position 3: invalid continuation byte"),
        (["{broken}"], "error: Compressed file ended before the end-of-stream marker was reached"),
        (
            ["{text}", "--learning-rate", "1e300"],
            "error: the loss is nan after 1,024 characters; lower --learning-rate",
        ),
        (["{short}", "--cell", "gru"], "error: argument --cell: invalid choice: 'gru'"),
        (["{short}", "--learning-rate", "nan"], "error: --learning-rate must be a number above 0, but is nan"),
        (["{short}", "--streams", "0"], "error: --streams must be a number above 0, but is 0"),
    ],
    ids=lambda value: " ".join(value)[:40],
)
def test_bad_use_is_one_line_and_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    """The line may come after the usage."""
    files = {
        "short": b"abc\n",
        "latin": "abcé and more".encode("latin-1"),
        "broken.gz": gzip.compress(b"abc" * 99)[:-9],
        "text": b"hello world " * 400,
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    paths = {name.removesuffix(".gz"): str(tmp_path / name) for name in files}
    with pytest.raises(SystemExit) as stopped:
        written_out.main([argument.format(**paths) for argument in arguments])
    *usage, line = capsys.readouterr().err.splitlines()
    assert stopped.value.code == 2
    assert message in line
    assert usage in ([], ["usage: written_out.py FILE [options]"])


def test_it_runs_as_a_program_and_needs_numpy_alone(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello world " * 40)
    check = (
        "import runpy, sys; before = set(sys.modules); sys.argv[1:] = ['text', '--epochs', '1', '--hidden-size', '4']\n"
        f"runpy.run_path({str(ROOT / 'examples' / 'written_out.py')!r}, run_name='__main__')\n"
        "new = [name for name in set(sys.modules) - before if getattr(sys.modules[name], '__file__', None)]\n"
        "print({name.split('.')[0] for name in new} - set(sys.stdlib_module_names))"
    )
    done = subprocess.run([sys.executable, "-c", check], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("480 characters, 8 different ones; ")
    assert ast.literal_eval(done.stdout.splitlines()[-1]) == {"numpy"}


# The page of equations

QUOTED = (
    "pre_activation",
    "pre_activation_back",
    "RNN.step",
    "RNN.step_back",
    "LSTM.step",
    "LSTM.step_back",
    "sigmoid",
)
QUOTED += ("log_softmax", "forward", "backward", "clip", "adagrad", "train", "sample")


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
