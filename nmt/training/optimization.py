"""Optimisers, learning-rate schedules, clipping, the scale of the loss in fp16, the moving average of the weights.

Nothing here waits for a GPU: numbers that decide about an update stay on it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from nmt.config import TrainingConfig


def make_optimizer(config: TrainingConfig, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimiser of the configuration, in its fused form: one pass over all weights."""
    parameters = list(parameters)
    rate, decay = config.learning_rate, config.weight_decay
    match config.optimizer:
        case "adam":
            return torch.optim.Adam(parameters, rate, betas=config.betas, weight_decay=decay, fused=True)
        case "adamw":
            return torch.optim.AdamW(parameters, rate, betas=config.betas, weight_decay=decay, fused=True)
        case "sgd":
            return torch.optim.SGD(parameters, rate, momentum=config.momentum, weight_decay=decay, fused=True)
        case "adagrad":
            return torch.optim.Adagrad(parameters, rate, weight_decay=decay, fused=True)


def learning_rate(config: TrainingConfig, update: int, progress: float) -> float:
    """Step size of an update.

        update: updates done before this one
        progress: share of the training done before this update, 0 to 1

    Warm-up: rate * (update + 1) / warmup. Then, with x = (progress - decay_start) / (1 - decay_start) where positive:
    constant: rate; linear: rate (1 - x); cosine: rate (1 + cos(pi x)) / 2;
    inverse_sqrt: rate sqrt(warmup / (update + 1)) (Vaswani et al. 2017, section 5.3);
    halving: rate / 2^(1 + floor(10 x)) from decay_start on (Sutskever et al. 2014, section 3.4, halve the rate every
    half epoch of the last 2.5; here it is halved each tenth of the rest of the training).
    """
    rate = config.learning_rate
    if update < config.warmup:
        return rate * (update + 1) / config.warmup
    begin = config.decay_start
    x = (progress - begin) / (1 - begin) if progress > begin and begin < 1 else 0.0
    match config.schedule:
        case "constant":
            return rate
        case "linear":
            return rate * (1 - x)
        case "cosine":
            return rate * (1 + math.cos(math.pi * x)) / 2
        case "inverse_sqrt":
            return rate * math.sqrt(max(config.warmup, 1) / (update + 1))
        case "halving":
            return rate / 2 ** (1 + math.floor(10 * x)) if progress >= begin else rate


@torch.no_grad()
def gradient_norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    gradients = [weight.grad for weight in parameters if weight.grad is not None]
    norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    return norm


@torch.no_grad()
def take_step(optimizer: torch.optim.Optimizer, rate: float, divisor: Tensor, skipped: Tensor) -> None:
    """One step of a fused optimiser with all gradients divided by a number, or none where `skipped` is 1."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.grad_scale, optimizer.found_inf = divisor, skipped  # type: ignore[attr-defined]  # as torch's GradScaler
    optimizer.step()
    optimizer.zero_grad()


def clipping_divisor(norm: Tensor, limit: float) -> Tensor:
    """The number that gradients are divided by so that their norm is at most the limit; with a limit of 0 it is 1.

    Pascanu et al. (2013), algorithm 1.
    """
    return (norm / limit).clamp(min=1) if limit > 0 else torch.ones_like(norm)


class LossScale:
    """The factor of the loss that keeps small gradients from becoming 0 in fp16.

    It is halved when gradients overflow, in which case the update is left out, and doubled after 2,000 updates without
    (Micikevicius et al. 2018, section 3.2, https://arxiv.org/abs/1710.03740).
    """

    def __init__(self, device: torch.device) -> None:
        self.tensors = {"factor": torch.full((), 2.0**16, device=device), "since": torch.zeros((), device=device)}
        """The factor, and the number of updates since it changed."""

    def update(self, overflow: Tensor) -> None:
        """Adapt the factor after an update; overflow: 1 if its gradients were not finite, otherwise 0."""
        since = (self.tensors["since"] + 1) * (1 - overflow)
        grown = (since >= 2000).to(since)
        self.tensors = {"factor": self.tensors["factor"] * (1 + grown - overflow / 2), "since": since * (1 - grown)}


class WeightAverage:
    """Exponential moving average of the weights.

        average <- d average + (1 - d) weight,   d = min(decay, (1 + update) / (10 + update))

    Polyak & Juditsky (1992); the smaller decay of the first updates forgets the random start.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {name: weight.detach().clone() for name, weight in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: nn.Module, update: int) -> None:
        """Add the current weights to the average, after the given number of updates."""
        decay = min(self.decay, (1 + update) / (10 + update))
        torch._foreach_lerp_(list(self.weights.values()), [p.detach() for p in model.parameters()], 1 - decay)
