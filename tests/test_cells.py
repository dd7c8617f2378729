"""Cells: equal to torch's, to the papers' equations, and their scans to their steps."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.config import CellName
from nmt.network.cells import CELLS, Cell

TORCH = {
    "lstm": nn.LSTM,
    "gru": nn.GRU,
    "rnn_tanh": nn.RNN,
    "rnn_relu": partial(nn.RNN, nonlinearity="relu"),
}
HIDDEN = 6


def random_cell(name: str, inputs: int = 5, hidden: int = HIDDEN, std: float = 0.5) -> Cell:
    """A cell in float64, no parameter zero."""
    torch.manual_seed(1)
    cell = CELLS[name](inputs, hidden).double()
    for weight in cell.parameters():
        nn.init.normal_(weight, std=std)
    return cell


def random_state(cell: Cell, batch: int) -> tuple[Tensor, ...]:
    size = cell.hidden_size
    return tuple(torch.randn(batch, size, dtype=torch.double, requires_grad=True) for _ in cell.state_names)


def project(cell: Cell, inputs: Tensor) -> Tensor:
    return F.linear(inputs, cell.weight_ih, cell.input_bias())


def products(cell: Cell) -> list:
    blocks = cell.weight_hh.split([rows * cell.hidden_size for rows in cell.recurrent_blocks])
    return [partial(F.linear, weight=block) for block in blocks]


def gradients(outputs: Sequence[Tensor], inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Of a random mix of the outputs."""
    torch.manual_seed(2)
    return torch.autograd.grad(sum((output * torch.randn_like(output)).sum() for output in outputs), inputs)


def assert_same(got: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


def test_every_name_of_the_configuration_has_a_cell() -> None:
    assert list(CELLS) == list(get_args(CellName))


@pytest.mark.parametrize("name", TORCH)
def test_equals_torch_in_values_and_gradients(name: str) -> None:
    cell, module = random_cell(name), TORCH[name](5, HIDDEN).double()
    module.load_state_dict({f"{weight}_l0": tensor for weight, tensor in cell.state_dict().items()})
    inputs = torch.randn(7, 3, 5, dtype=torch.double, requires_grad=True)
    state = random_state(cell, 3)
    states = cell.scan(project(cell, inputs), state, cell.weight_hh)
    start = tuple(tensor[None] for tensor in state)
    expected, last = module(inputs, start if len(start) > 1 else start[0])
    lasts = last if len(start) > 1 else (last,)
    ours, theirs = [states[0], *(tensor[-1] for tensor in states)], [expected, *(tensor[0] for tensor in lasts)]
    assert_same(ours, theirs)
    weights = [weight for weight, _ in cell.named_parameters()]
    assert_same(
        gradients(ours, [inputs, *state, *(cell.get_parameter(weight) for weight in weights)]),
        gradients(theirs, [inputs, *state, *(module.get_parameter(f"{weight}_l0") for weight in weights)]),
    )


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("inputs", [5, 0])
def test_scan_equals_loop_of_steps(name: str, inputs: int) -> None:
    """Values and the gradients of all that is learned; a cell without input has no input weights."""
    cell = random_cell(name, inputs)
    assert (cell.weight_ih is None) == (inputs == 0)
    state = random_state(cell, 3)
    sequence = torch.randn(7, 3, inputs, dtype=torch.double, requires_grad=True)

    def projected() -> Tensor:
        return project(cell, sequence) if inputs else cell.input_bias() + sequence.sum(-1, keepdim=True)

    scanned = cell.scan(projected(), state, cell.weight_hh)
    looped = Cell.scan(cell, projected(), state, cell.weight_hh)
    assert_same(scanned, looped)
    wanted = [*state, *cell.parameters(), *([sequence] if inputs else [])]
    assert_same(gradients(scanned, wanted), gradients(looped, wanted))


@pytest.mark.parametrize("name", CELLS)
def test_gradients_of_the_scan_are_finite_differences(name: str) -> None:
    """Also where only some of the state is used."""
    cell = random_cell(name, 0, hidden=3)
    projected = torch.randn(3, 2, cell.gates * 3, dtype=torch.double, requires_grad=True)
    state = random_state(cell, 2)
    weights = [weight for weight in cell.parameters() if weight is not cell.bias_hh or name in ("gru", "mut1")]
    for used in {(0,), (len(state) - 1,), tuple(range(len(state)))}:

        def run(*_: Tensor, used: tuple[int, ...] = used) -> tuple[Tensor, ...]:
            states = cell.scan(projected + 0 * cell.input_bias(), state, cell.weight_hh)
            return tuple(states[index] for index in used)

        assert torch.autograd.gradcheck(run, (projected, *state, *weights))


class Formula:
    """The published equations for one position and one row: W[k] x, U[k] h and b[k] of the gate k by plain products."""

    def __init__(self, cell: Cell, x: Tensor) -> None:
        size = cell.hidden_size
        self.cell, self.x = cell, x
        self.W, self.U = cell.weight_ih.split(size), cell.weight_hh.split(size)
        self.c = cell.bias_hh.split(size)
        self.b = cell.bias_ih.split(size) if "bias_ih" in dict(cell.named_parameters()) else None

    def total(self, k: int, h: Tensor) -> Tensor:
        return self.W[k] @ self.x + self.U[k] @ h + self.b[k] + self.c[k]

    def lstm(self, h: Tensor, c: Tensor) -> tuple[Tensor, ...]:
        i, f, o = (torch.sigmoid(self.total(k, h)) for k in (0, 1, 3))
        c = f * c + i * torch.tanh(self.total(2, h))
        return o * torch.tanh(c), c

    def peephole_lstm(self, h: Tensor, c: Tensor) -> tuple[Tensor, ...]:
        P = [torch.diag(peephole) for peephole in self.cell.weight_peephole]
        i, f = (torch.sigmoid(self.total(k, h) + P[k] @ c) for k in (0, 1))
        c = f * c + i * torch.tanh(self.total(2, h))
        o = torch.sigmoid(self.total(3, h) + P[2] @ c)
        return o * torch.tanh(c), c

    def layer_norm_lstm(self, h: Tensor, c: Tensor) -> tuple[Tensor, ...]:
        def N(v: Tensor) -> Tensor:  # noqa: N802 (the name in the docstring)
            return (v - v.mean()) / (v.var(correction=0) + 1e-5).sqrt()

        a = self.cell.gate_gain
        i, f, g, o = (a[k] * N(self.W[k] @ self.x + self.U[k] @ h) + self.c[k] for k in range(4))
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(self.cell.cell_gain * N(c) + self.cell.cell_bias), c

    def gru(self, h: Tensor) -> tuple[Tensor, ...]:
        r, z = torch.sigmoid(self.total(0, h)), torch.sigmoid(self.total(1, h))
        n = torch.tanh(self.W[2] @ self.x + self.b[2] + r * (self.U[2] @ h + self.c[2]))
        return ((1 - z) * n + z * h,)

    def gru_reset_before(self, h: Tensor) -> tuple[Tensor, ...]:
        r, z = torch.sigmoid(self.total(0, h)), torch.sigmoid(self.total(1, h))
        n = torch.tanh(self.total(2, r * h))
        return (z * h + (1 - z) * n,)

    def mut1(self, h: Tensor) -> tuple[Tensor, ...]:
        r = torch.sigmoid(self.total(0, h))
        z = torch.sigmoid(self.W[1] @ self.x + self.b[1] + self.c[1])
        n = torch.tanh(self.U[1] @ (r * h) + torch.tanh(self.W[2] @ self.x + self.b[2]) + self.c[2])
        return (n * z + h * (1 - z),)

    def mut2(self, h: Tensor) -> tuple[Tensor, ...]:
        r, z = torch.sigmoid(self.total(0, h)), torch.sigmoid(self.total(1, h))
        n = torch.tanh(self.total(2, r * h))
        return (n * z + h * (1 - z),)

    def mut3(self, h: Tensor) -> tuple[Tensor, ...]:
        r, z = torch.sigmoid(self.total(0, h)), torch.sigmoid(self.total(1, torch.tanh(h)))
        n = torch.tanh(self.total(2, r * h))
        return (n * z + h * (1 - z),)

    def rnn_tanh(self, h: Tensor) -> tuple[Tensor, ...]:
        return (torch.tanh(self.total(0, h)),)

    def rnn_relu(self, h: Tensor) -> tuple[Tensor, ...]:
        return (torch.clamp(self.total(0, h), min=0),)

    def rnn_leaky_relu(self, h: Tensor) -> tuple[Tensor, ...]:
        return (torch.maximum(self.total(0, h), self.total(0, h) / 100),)


@pytest.mark.parametrize("name", CELLS)
def test_step_and_scan_follow_the_published_equations(name: str) -> None:
    cell = random_cell(name)
    inputs, state = torch.randn(3, 5, dtype=torch.double), random_state(cell, 3)
    rows = [getattr(Formula(cell, x), name)(*row) for x, *row in zip(inputs, *state, strict=True)]
    expected = [torch.stack(tensors) for tensors in zip(*rows, strict=True)]
    assert_same(cell.step(project(cell, inputs), state, products(cell)), expected)
    scanned = cell.scan(project(cell, inputs)[None], state, cell.weight_hh)
    assert_same([tensor[0] for tensor in scanned], expected)


@pytest.mark.parametrize("name", CELLS)
def test_cells_that_declare_bounds_keep_them_whatever_the_weights(name: str) -> None:
    """Outputs stay in [-1, 1] from a start there, and do not if the cell declares no bound."""
    cell = random_cell(name, std=3)
    state = random_state(cell, 20)
    state = (state[0].clamp(-1, 1), *(4 * tensor for tensor in state[1:]))
    largest = cell.scan(project(cell, 4 * torch.randn(9, 20, 5, dtype=torch.double)), state, cell.weight_hh)[0].abs()
    assert (largest.max() <= 1) == cell.bounded


@pytest.mark.parametrize("name", CELLS)
def test_every_block_of_weights_has_a_name(name: str) -> None:
    cell = random_cell(name)
    assert len(set(cell.gate_names)) * HIDDEN == len(cell.bias_hh) == len(cell.weight_ih)
    assert len(set(cell.recurrent_names)) * HIDDEN == len(cell.weight_hh)
    assert set(cell.recurrent_names) <= set(cell.gate_names)


@pytest.mark.parametrize("name", CELLS)
def test_bf16_is_close(name: str) -> None:
    """Products are taken in the low type; state and gradients keep theirs."""
    cell = random_cell(name, 8, 16, std=0.15).float()
    inputs, zero = torch.randn(6, 4, 8), tuple(torch.zeros(4, 16) for _ in cell.state_names)
    exact = cell.scan(project(cell, inputs), zero, cell.weight_hh)
    with torch.autocast("cpu", torch.bfloat16):
        low = cell.scan(project(cell, inputs), zero, cell.weight_hh)
        stepped = cell.step(project(cell, inputs[0]), zero, products(cell))
        from_low = cell.scan(project(cell, inputs), tuple(tensor.bfloat16() for tensor in zero), cell.weight_hh)
    gradient = torch.autograd.grad(low[0].sum(), cell.weight_hh)[0]
    expected = torch.autograd.grad(exact[0].sum(), cell.weight_hh)[0]
    assert {tensor.dtype for tensor in (*low, *stepped, *from_low, gradient)} == {torch.float32}
    torch.testing.assert_close(stepped[0], exact[0][0], atol=0.04, rtol=0)
    torch.testing.assert_close(low[0], exact[0], atol=0.04, rtol=0)
    torch.testing.assert_close(gradient, expected, atol=0.04 * float(expected.abs().max()), rtol=0)


@pytest.mark.parametrize("name", CELLS)
def test_scan_learns_what_comes_before_only(name: str) -> None:
    """The states of a position do not depend on later inputs."""
    cell = random_cell(name, 0)
    projected = torch.randn(5, 2, cell.gates * HIDDEN, dtype=torch.double, requires_grad=True)
    states = cell.scan(projected, random_state(cell, 2), cell.weight_hh)
    (gradient,) = torch.autograd.grad(states[0][2].sum(), projected)
    assert gradient[:3].abs().amax((1, 2)).min() > 0 and gradient[3:].abs().max() == 0


def test_constants_after_initialization() -> None:
    """Forget gate open, peepholes closed, gains one, whatever was drawn before; nothing else changes."""
    for name in CELLS:
        cell = random_cell(name, hidden=2)
        before = {weight: tensor.clone() for weight, tensor in cell.state_dict().items()}
        cell.initialize_constants(1.5)
        changed = {weight for weight, tensor in cell.state_dict().items() if not torch.equal(tensor, before[weight])}
        biases = {"bias_ih", "bias_hh"} if name in ("lstm", "peephole_lstm") else set()
        extra = {
            "peephole_lstm": {"weight_peephole"},
            "layer_norm_lstm": {"gate_gain", "cell_gain", "cell_bias", "bias_hh"},
        }
        assert changed == biases | extra.get(name, set())
        if name.endswith("lstm"):
            total = cell.bias_hh + (cell.bias_ih if biases else 0)
            assert total[2:4].tolist() == [1.5, 1.5]
    assert CELLS["peephole_lstm"](2, 3).weight_peephole.abs().max() == 0
    assert CELLS["layer_norm_lstm"](2, 3).gate_gain.min() == 1


def test_the_cell_of_the_documentation_works_as_it_says() -> None:
    """docs/extending.md: one position and a whole sequence follow its equations, within its bounds, also in bf16."""
    page = (Path(__file__).parent.parent / "docs" / "extending.md").read_text("utf-8")
    code = page.split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {"__name__": "minimal_gated_unit"}
    exec(compile(code, "docs/extending.md", "exec"), names)
    cell = names["MinimalGatedUnit"](5, HIDDEN).double()
    for weight in cell.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    inputs, state = torch.randn(3, 5, dtype=torch.double), random_state(cell, 3)
    f_in, n_in = project(cell, inputs).chunk(2, -1)
    U_f, U_n = cell.weight_hh.chunk(2)
    f = torch.sigmoid(f_in + state[0] @ U_f.T)
    expected = (1 - f) * state[0] + f * torch.tanh(n_in + (f * state[0]) @ U_n.T)
    assert_same(cell.step(project(cell, inputs), state, products(cell)), [expected])
    assert_same([cell.scan(project(cell, inputs)[None], state, cell.weight_hh)[0][0]], [expected])
    assert cell.bounded and expected.abs().max() <= max(1, state[0].abs().max())
    low = cell.float()
    with torch.autocast("cpu", torch.bfloat16):
        scanned = low.scan(
            project(low, inputs.float()[None]), (torch.zeros(3, HIDDEN, dtype=torch.bfloat16),), low.weight_hh
        )
    assert scanned[0].dtype == torch.float32
