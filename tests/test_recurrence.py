"""A layer run in different ways gives the same, values and gradients."""

from typing import Any

import pytest
import torch
from plain import plain_model

from nmt.network.cells import CELLS
from nmt.network.layers import BatchNormalization, Connection, Layer, Unrolled

LENGTH, BATCH, SIZE, HIDDEN = 6, 4, 5, 7


def make_layer(input_size: int = SIZE, constant: int = 0, **options: Any) -> Layer:
    layer = Layer(plain_model(**options), input_size + constant, HIDDEN, constant).double()
    for weight in layer.parameters():
        torch.nn.init.uniform_(weight, -0.6, 0.6)
    return layer


def gradients(layer: Layer, results: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
    total = sum((result * torch.linspace(-1, 1, result.numel()).view_as(result)).sum() for result in results)
    used = [weight for weight in layer.parameters() if weight.requires_grad]
    return list(torch.autograd.grad(total, used, allow_unused=True))


def start(layer: Layer) -> tuple[torch.Tensor, ...]:
    return tuple(torch.rand(BATCH, HIDDEN, dtype=torch.double) - 0.5 for _ in layer.state_names)


def assert_same(one: Any, other: Any) -> None:
    for left, right in zip(one, other, strict=True):
        assert (left is None) == (right is None)
        if left is not None:
            torch.testing.assert_close(left, right, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("lengths", [None, [6, 2, 1, 4]])
@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("cell", [name for name, cell in CELLS.items() if cell.kernel is not None])
def test_torch_kernel_equals_own_scan(cell: str, constant: bool, lengths: list[int] | None) -> None:
    layer = make_layer(SIZE, 3 * constant, cell=cell)
    state = start(layer)
    inputs = torch.rand(LENGTH, BATCH, SIZE, dtype=torch.double)
    more = torch.rand(BATCH, 3, dtype=torch.double) if constant else None
    real = None if lengths is None else torch.tensor(lengths)
    own, own_final = layer(inputs, state, more, real)
    layer.kernel_devices = ("cpu",)
    theirs, their_final = layer(inputs, state, more, real)
    if real is not None:  # the kernel leaves zeros in the padding
        padding = torch.arange(LENGTH).unsqueeze(1) >= real
        own = own.masked_fill(padding.unsqueeze(-1), 0)
    assert_same([own, *own_final], [theirs, *their_final])
    assert_same(gradients(layer, (own, *own_final)), gradients(layer, (theirs, *their_final)))


OPTIONS: list[dict[str, Any]] = [
    {},
    {"transition_depth": 3},
    {"input_normalization": "layer"},
    {"cell": "gru", "transition_depth": 2, "input_normalization": "layer"},
    {"zoneout": 0.3},
    {"cell": "mut1", "transition_depth": 2, "zoneout": 0.3},
]


@pytest.mark.parametrize("fed", [0, 2, SIZE])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_fed_position_by_position_equals_all_at_once(options: dict[str, Any], fed: int) -> None:
    """Inputs may be known before the loop, or fed to it, or partly each; columns stay where they are."""
    layer = make_layer(SIZE, 3, **options).eval()
    state = start(layer)
    inputs, constant = torch.rand(LENGTH, BATCH, SIZE).double(), torch.rand(BATCH, 3).double()
    outputs, final = layer(inputs, state, constant)
    known = inputs[..., : SIZE - fed] if fed < SIZE else None
    loop = Unrolled(layer, known, LENGTH, layer.constant_product(constant))
    each = []
    for position in range(LENGTH):
        state = loop.step(position, state, inputs[position, :, SIZE - fed :] if fed else None)
        each.append(state[0])
    assert_same([outputs, *final], [torch.stack(each), *state])
    assert_same(gradients(layer, (outputs, *final)), gradients(layer, (torch.stack(each), *state)))


def test_padding_changes_no_final_state_and_no_statistics() -> None:
    layer = make_layer(input_normalization="batch").train()
    other = make_layer(input_normalization="batch").train()
    other.load_state_dict(layer.state_dict())
    inputs, lengths = torch.rand(LENGTH, 3, SIZE).double(), torch.tensor([6, 4, 1])
    wild = inputs.clone()
    for row, length in enumerate(lengths):
        wild[length:, row] = 1e6
    zeros = layer.zero_state(inputs)
    assert_same(layer(inputs, zeros, lengths=lengths)[1], other(wild, zeros, lengths=lengths)[1])
    assert_same(layer.state_dict().values(), other.state_dict().values())


def test_batch_normalization_equals_its_formula() -> None:
    """Over all positions and sentences: Laurent et al. (2016); afterwards with the running means."""
    normalization = BatchNormalization(3).double().train()
    inputs = torch.rand(LENGTH, BATCH, 3, dtype=torch.double)
    rows = inputs.flatten(0, 1)
    wanted = (inputs - rows.mean(0)) / (rows.var(0, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(normalization(inputs), wanted)
    for _ in range(200):
        normalization(inputs, torch.full((BATCH,), LENGTH))
    normalization.eval()
    wanted = (inputs - rows.mean(0)) / (rows.var(0) + 1e-5).sqrt()
    torch.testing.assert_close(normalization(inputs), wanted)


def test_zoneout_keeps_the_configured_share_of_units() -> None:
    layer = make_layer(cell="rnn_tanh", zoneout=0.25).train()
    loop = Unrolled(layer, torch.rand(1, 1000, SIZE).double(), 1)
    before = torch.full((1000, HIDDEN), 5.0, dtype=torch.double)  # no tanh reaches 5
    (after,) = loop.step(0, (before,))
    assert (after == 5).double().mean().item() == pytest.approx(0.25, abs=0.02)
    layer.eval()
    (kept,) = Unrolled(layer, torch.zeros(1, 1000, SIZE).double(), 1).step(0, (before,))
    (new,) = Unrolled(make_like(layer), torch.zeros(1, 1000, SIZE).double(), 1).step(0, (before,))
    torch.testing.assert_close(kept, 0.25 * before + 0.75 * new)


def make_like(layer: Layer) -> Layer:
    """The same layer without zoneout."""
    other = make_layer(cell="rnn_tanh").eval()
    other.load_state_dict(layer.state_dict())
    return other


def test_weight_drop_holds_for_all_positions_of_a_batch() -> None:
    layer = make_layer(cell="rnn_tanh", weight_drop=0.5).train()
    inputs = torch.zeros(LENGTH, BATCH, SIZE).double()
    torch.manual_seed(3)
    outputs, _ = layer(inputs, start(layer))
    torch.manual_seed(3)
    state = start(layer)
    weight = torch.nn.functional.dropout(layer.cell.weight_hh, 0.5)
    hidden = state[0]
    for output in outputs:
        hidden = torch.tanh(hidden @ weight.t() + layer.cell.input_bias())
        torch.testing.assert_close(output, hidden)


def test_connections() -> None:
    inputs, outputs = torch.rand(3, HIDDEN), torch.rand(3, HIDDEN)
    assert Connection("none", HIDDEN)(inputs, outputs) is outputs
    torch.testing.assert_close(Connection("residual", HIDDEN)(inputs, outputs), inputs + outputs)
    highway = Connection("highway", HIDDEN)
    assert highway.gate is not None
    gate = (inputs @ highway.gate.weight.t() + highway.gate.bias).sigmoid()
    torch.testing.assert_close(highway(inputs, outputs), gate * outputs + (1 - gate) * inputs)
