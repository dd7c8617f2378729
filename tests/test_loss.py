"""The chunked cross-entropy equals the plain one."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

import nmt.network.loss
from nmt.network.loss import output_cross_entropy, pair_cross_entropy, row_negative_log_likelihood


def arguments(rows: int = 7) -> list[torch.Tensor]:
    torch.manual_seed(3)
    shapes = [(rows, 5), (9, 5), (9,)]
    return [torch.randn(*shape, dtype=torch.double, requires_grad=True) for shape in shapes]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("chunk", [1, 3, 7, 100])
def test_equals_torch(smoothing: float, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nmt.network.loss, "CHUNK", chunk)
    inputs, targets = arguments(), torch.tensor([1, 2, 3, 3, 8, 0, 4])
    loss, negative = output_cross_entropy(*inputs, targets, smoothing)
    hidden, weight, bias = inputs
    logits = hidden @ weight.t() + bias
    expected = F.cross_entropy(logits, targets, label_smoothing=smoothing, reduction="sum")
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(negative, F.cross_entropy(logits, targets, reduction="sum"))
    for one, other in zip(
        torch.autograd.grad(3 * loss, inputs), torch.autograd.grad(3 * expected, inputs), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_gradient_check() -> None:
    inputs, targets = arguments(3), torch.tensor([1, 8, 0])
    assert torch.autograd.gradcheck(lambda *given: output_cross_entropy(*given, targets, 0.2)[0], inputs)


def test_label_smoothing_by_hand() -> None:
    """Three words with probabilities 1/2, 1/4, 1/4; the mass 0.3 is spread over all three."""
    logits = torch.tensor([2.0, 1.0, 1.0]).log()
    loss, negative = output_cross_entropy(torch.ones(1, 1), logits[:, None], torch.zeros(3), torch.tensor([1]), 0.3)
    assert negative.item() == pytest.approx(math.log(4), rel=1e-6)
    assert loss.item() == pytest.approx(0.8 * math.log(4) + 0.1 * math.log(4) + 0.1 * math.log(2), rel=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("chunk", [3, 100])
def test_row_weights_equal_torch(smoothing: float, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nmt.network.loss, "CHUNK", chunk)
    inputs, targets = arguments(), torch.tensor([1, 2, 3, 3, 8, 0, 4])
    row_weights = torch.tensor([0.5, -2, 0, 1, 3, -1, 0.25], dtype=torch.double)
    loss, negative = output_cross_entropy(*inputs, targets, smoothing, row_weights)
    hidden, weight, bias = inputs
    logits = hidden @ weight.t() + bias
    expected = F.cross_entropy(logits, targets, label_smoothing=smoothing, reduction="none") @ row_weights
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(negative, F.cross_entropy(logits, targets, reduction="sum"))
    for one, other in zip(torch.autograd.grad(loss, inputs), torch.autograd.grad(expected, inputs), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("chunk", [1, 4, 100])
def test_pair_equals_torch(smoothing: float, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The formula of Liang et al. (2021), halved, by torch's own functions."""
    monkeypatch.setattr(nmt.network.loss, "CHUNK", chunk)
    inputs, targets, alpha = arguments(14), torch.tensor([1, 2, 3, 3, 8, 0, 4]), 3.0
    loss, negative = pair_cross_entropy(*inputs, targets, smoothing, alpha)
    hidden, weight, bias = inputs
    one, two = (hidden @ weight.t() + bias).chunk(2)
    both = [F.cross_entropy(each, targets, label_smoothing=smoothing, reduction="sum") for each in (one, two)]
    log_one, log_two = one.log_softmax(-1), two.log_softmax(-1)
    towards = [
        F.kl_div(log_two, log_one, reduction="sum", log_target=True),
        F.kl_div(log_one, log_two, reduction="sum", log_target=True),
    ]
    expected = (both[0] + both[1] + alpha / 2 * (towards[0] + towards[1])) / 2
    torch.testing.assert_close(loss, expected)
    plain = [F.cross_entropy(each, targets, reduction="sum") for each in (one, two)]
    torch.testing.assert_close(negative, (plain[0] + plain[1]) / 2)
    for found, other in zip(
        torch.autograd.grad(3 * loss, inputs), torch.autograd.grad(3 * expected, inputs), strict=True
    ):
        torch.testing.assert_close(found, other, rtol=0, atol=1e-12)


def test_pair_of_equals_is_the_plain_loss() -> None:
    hidden, weight, bias = arguments()
    targets = torch.tensor([1, 2, 3, 3, 8, 0, 4])
    pair = pair_cross_entropy(torch.cat((hidden, hidden)), weight, bias, targets, 0.1, 5.0)
    plain = output_cross_entropy(hidden, weight, bias, targets, 0.1)
    torch.testing.assert_close(pair, plain)


@pytest.mark.parametrize("chunk", [3, 100])
def test_row_negative_log_likelihood(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nmt.network.loss, "CHUNK", chunk)
    (hidden, weight, bias), targets = arguments(), torch.tensor([1, 2, 3, 3, 8, 0, 4])
    negative = row_negative_log_likelihood(hidden, weight, bias, targets)
    assert not negative.requires_grad
    torch.testing.assert_close(
        negative, F.cross_entropy(hidden @ weight.t() + bias, targets, reduction="none").detach()
    )


def test_no_gradient_is_taken_where_none_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, targets = arguments(), torch.tensor([1, 2, 3, 3, 8, 0])
    losses = (
        lambda: output_cross_entropy(*inputs, torch.cat((targets, targets[:1])), 0.1),
        lambda: pair_cross_entropy(inputs[0][:6], *inputs[1:], targets[:3], 0.1, 5.0),
    )
    expected = [compute() for compute in losses]
    monkeypatch.setattr(nmt.network.loss._OutputLayer, "backward", lambda *_: pytest.fail("a gradient was taken"))
    with torch.no_grad():
        for compute, loss in zip(losses, expected, strict=True):
            without = compute()
            torch.testing.assert_close(without, loss)
            assert not without[0].requires_grad


@pytest.mark.parametrize("pair", [False, True])
def test_bf16_is_close_and_keeps_fp32_gradients(pair: bool) -> None:
    torch.manual_seed(1)
    hidden, weight, bias = (torch.randn(*shape, requires_grad=True) for shape in [(20, 16), (30, 16), (30,)])
    targets = torch.randint(0, 30, (10 if pair else 20,))

    def compute() -> torch.Tensor:
        if pair:
            return pair_cross_entropy(hidden, weight, bias, targets, 0.1, 0.5)[0]
        return output_cross_entropy(hidden, weight, bias, targets, 0.1)[0]

    exact = compute()
    with torch.autocast("cpu", torch.bfloat16):
        low = compute()
    assert low.item() == pytest.approx(exact.item(), rel=0.01)
    gradients = torch.autograd.grad(low, [hidden, weight, bias])
    for one, other in zip(gradients, torch.autograd.grad(exact, [hidden, weight, bias]), strict=True):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one, other, atol=0.1, rtol=0.05)
