"""Optimisers, schedules, clipping and averaging."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from plain import plain_training

from nmt.training.optimization import WeightAverage, clip_gradients, gradient_norm, learning_rate, make_optimizer


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("adam", lambda p: torch.optim.Adam(p, 0.1, betas=(0.9, 0.99), weight_decay=0.01)),
        ("adamw", lambda p: torch.optim.AdamW(p, 0.1, betas=(0.9, 0.99), weight_decay=0.01)),
        ("sgd", lambda p: torch.optim.SGD(p, 0.1, momentum=0.5, weight_decay=0.01)),
        ("adagrad", lambda p: torch.optim.Adagrad(p, 0.1, weight_decay=0.01)),
    ],
)
def test_fused_equals_plain(name: Any, plain: Any) -> None:
    torch.manual_seed(1)
    start = torch.randn(5, 4)
    config = plain_training(optimizer=name, learning_rate=0.1, betas=(0.9, 0.99), weight_decay=0.01, momentum=0.5)
    weights = [torch.nn.Parameter(start.clone()) for _ in range(2)]
    optimizers = [make_optimizer(config, weights[:1]), plain(weights[1:])]
    for step in range(4):
        for weight, optimizer in zip(weights, optimizers, strict=True):
            weight.grad = (start + step).sin()
            optimizer.step()
    torch.testing.assert_close(weights[0], weights[1])


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [1, 1, 1, 1]),
        ("linear", [1, 1, 0.5, 0]),
        ("cosine", [1, 1, 0.5, 0]),
        ("halving", [1, 0.5, 2**-6, 2**-11]),
    ],
)
def test_schedules(schedule: Any, expected: list[float]) -> None:
    config = plain_training(learning_rate=1.0, schedule=schedule, decay_start=0.5)
    rates = [learning_rate(config, 100, progress) for progress in (0.2, 0.5, 0.75, 1.0)]
    assert rates == pytest.approx(expected, abs=1e-12)


def test_warmup_and_inverse_square_root() -> None:
    config = plain_training(learning_rate=0.2, schedule="inverse_sqrt", warmup=4)
    rates = [learning_rate(config, update, 0.0) for update in (0, 1, 3, 4, 15)]
    assert rates == pytest.approx([0.05, 0.1, 0.2, 0.2 * math.sqrt(4 / 5), 0.1])


def test_clipping() -> None:
    weights = [
        torch.nn.Parameter(torch.zeros(2)),
        torch.nn.Parameter(torch.zeros(1)),
        torch.nn.Parameter(torch.zeros(1)),
    ]
    weights[0].grad, weights[1].grad = torch.tensor([3.0, 0.0]), torch.tensor([4.0])
    norm = gradient_norm(weights).item()
    assert norm == pytest.approx(5)
    clip_gradients(weights, norm, 6.0)
    clip_gradients(weights, norm, 0.0)
    assert gradient_norm(weights).item() == pytest.approx(5)
    clip_gradients(weights, norm, 1.0)
    assert weights[0].grad.tolist() == pytest.approx([0.6, 0.0]) and weights[1].grad.item() == pytest.approx(0.8)


def test_average_of_weights() -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(model.weight)
    average = WeightAverage(model, 0.9)
    expected = 0.0
    for update in range(1, 300):
        torch.nn.init.constant_(model.weight, update)
        average.update(model, update)
        decay = min(0.9, (1 + update) / (10 + update))
        expected = decay * expected + (1 - decay) * update
    assert average.weights["weight"].item() == pytest.approx(expected, rel=1e-5)
    assert model.weight.item() == 299
