"""Cells and the recurrence: equal to torch's, to each other, and to their derivatives."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nmt.cells import CELLS, LSTM
from nmt.recurrence import Layer


def randomize(module: torch.nn.Module, seed: int = 1) -> None:
    torch.manual_seed(seed)
    for weight in module.parameters():
        torch.nn.init.normal_(weight, std=0.5)


def lstm_pair(inputs: int, hidden: int) -> tuple[LSTM, torch.nn.LSTM]:
    ours, theirs = LSTM(inputs, hidden).double(), torch.nn.LSTM(inputs, hidden).double()
    randomize(ours)
    names = {f"{name}_l0": weight for name, weight in ours.state_dict().items()}
    theirs.load_state_dict(names)
    return ours, theirs


def test_lstm_equals_torch_in_values_and_gradients() -> None:
    ours, theirs = lstm_pair(5, 7)
    inputs = torch.randn(6, 3, 5, dtype=torch.double, requires_grad=True)
    state = [torch.randn(3, 7, dtype=torch.double, requires_grad=True) for _ in range(2)]
    hidden, cell = ours.scan(ours.project(inputs), tuple(state))
    expected, (_, last_cell) = theirs(inputs, (state[0][None], state[1][None]))
    torch.testing.assert_close(hidden, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(cell[-1], last_cell[0], rtol=0, atol=1e-12)

    mix = torch.randn_like(hidden)
    wanted = [inputs, *state]
    got = torch.autograd.grad((hidden * mix).sum() + cell[-1].square().sum(), [*wanted, *ours.parameters()])
    reference = torch.autograd.grad(
        (expected * mix).sum() + last_cell.square().sum(),
        [*wanted, *(theirs.get_parameter(f"{name}_l0") for name, _ in ours.named_parameters())],
    )
    for one, other in zip(got, reference, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", CELLS)
def test_scan_is_repeated_step(name: str) -> None:
    layer = Layer(name, 4, 6).double()
    randomize(layer)
    inputs = torch.randn(5, 3, 4, dtype=torch.double)
    state = tuple(torch.randn(3, 6, dtype=torch.double) for _ in layer.state_names)
    every = layer(inputs, state)
    for position in range(5):
        state = layer.step(inputs[position], state)
        for tensor, expected in zip(state, every, strict=True):
            torch.testing.assert_close(tensor, expected[position])


@pytest.mark.parametrize("name", CELLS)
def test_constant_input_equals_concatenated_input(name: str) -> None:
    layer = Layer(name, 7, 6).double()
    randomize(layer)
    inputs, constant = torch.randn(5, 3, 4, dtype=torch.double), torch.randn(3, 3, dtype=torch.double)
    zero = layer.zero_state(inputs)
    torch.testing.assert_close(
        layer(inputs, zero, constant)[0], layer(torch.cat((inputs, constant.expand(5, 3, 3)), -1), zero)[0]
    )


@pytest.mark.parametrize("used", [(0,), (1,), (0, 1)])
def test_lstm_scan_gradients(used: tuple[int, ...]) -> None:
    """Finite differences, also where only the hidden states or only the cells are used."""
    cell = LSTM(2, 3).double()
    randomize(cell)

    def run(projected: Tensor, weight: Tensor, hidden: Tensor, start: Tensor) -> tuple[Tensor, ...]:
        from nmt.cells.lstm import _LSTMScan

        outputs = _LSTMScan.apply(projected, weight, hidden, start)
        return tuple(outputs[i] for i in used)

    arguments = [
        torch.randn(4, 2, 12, dtype=torch.double, requires_grad=True),
        cell.weight_hh.detach().requires_grad_(),
        torch.randn(2, 3, dtype=torch.double, requires_grad=True),
        torch.randn(2, 3, dtype=torch.double, requires_grad=True),
    ]
    assert torch.autograd.gradcheck(run, arguments)


def test_bf16_is_close() -> None:
    cell = LSTM(8, 16)
    randomize(cell)
    with torch.no_grad():
        for weight in cell.parameters():
            weight *= 0.3
    inputs = torch.randn(6, 4, 8)
    zero = (torch.zeros(4, 16), torch.zeros(4, 16))
    exact, _ = cell.scan(cell.project(inputs), zero)
    with torch.autocast("cpu", torch.bfloat16):
        low, _ = cell.scan(cell.project(inputs), zero)
    low.sum().backward()
    assert low.dtype == torch.float32 and cell.weight_hh.grad is not None and cell.weight_hh.grad.dtype == torch.float32
    torch.testing.assert_close(low, exact, atol=0.03, rtol=0)


def test_forget_gate_bias() -> None:
    cell = LSTM(2, 3)
    cell.set_forget_gate_bias(1.0)
    assert (cell.bias_ih + cell.bias_hh).tolist() == [0] * 3 + [1] * 3 + [0] * 6
