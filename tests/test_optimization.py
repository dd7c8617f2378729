"""Optimisers, schedules, clipping and averaging."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
import torch
from plain import plain_training

from nmt.config import TrainingConfig
from nmt.training.optimization import (
    LossScale,
    WeightAverage,
    clipping_divisor,
    gradient_norm,
    learning_rate,
    make_optimizer,
    take_step,
)


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
    norm = gradient_norm(weights)
    assert norm.item() == pytest.approx(5)
    assert [clipping_divisor(norm, limit).item() for limit in (0, 6, 5, 1, 0.5)] == pytest.approx([1, 1, 1, 5, 10])


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "adagrad"])
def test_steps_divide_gradients_and_may_be_left_out(name: Any) -> None:
    """A step with divided gradients is one with smaller gradients; one that is left out changes nothing, ever after."""
    settings = TrainingConfig(optimizer=name, learning_rate=0.1, momentum=0.9, weight_decay=0.01)
    gradients = torch.randn(5, 4, generator=torch.Generator().manual_seed(3))

    def run(scale: float, bad: bool) -> torch.Tensor:
        weight = torch.nn.Parameter(torch.ones(4))
        optimizer = make_optimizer(settings, [weight])
        for number, gradient in enumerate(gradients):
            if bad and number == 2:
                weight.grad = torch.full((4,), torch.inf)
                take_step(optimizer, 0.1, torch.tensor(scale), torch.tensor(1.0))
            weight.grad = gradient * scale
            take_step(optimizer, 0.1 / (number + 1), torch.tensor(scale), torch.tensor(0.0))
            assert weight.grad is None
        return weight.detach()

    torch.testing.assert_close(run(16.0, False), run(1.0, False))
    assert torch.equal(run(16.0, True), run(16.0, False))


def test_the_scale_of_the_loss_follows_what_overflows() -> None:
    """As torch's scaler, which waits for the device where this does not have to."""
    own = LossScale(torch.device("cpu"))
    theirs = torch.amp.GradScaler("cpu")
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], 0.1)
    draw = random.Random(2)
    factors = []
    for _ in range(6000):
        overflow = draw.random() < 0.0005
        theirs.scale(torch.zeros(()))
        weight.grad = torch.full((1,), torch.inf if overflow else 1.0)
        theirs.step(optimizer)
        theirs.update()
        own.update(torch.tensor(float(overflow)))
        factors.append(own.tensors["factor"].item())
        assert factors[-1] == theirs.get_scale()
    assert max(factors) > 2**16 > min(factors)


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
