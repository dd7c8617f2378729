"""Dropout, and the random bytes that zoneout draws from as well. Random numbers come from
torch's generator, which training seeds for each update.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """Inverted dropout: in training each unit is zero with probability p, the others are divided by 1 - p.

    Srivastava et al. (2014), https://jmlr.org/papers/v15/srivastava14a.html. Variational: a sequence has one mask,
    which is the same at every position (Gal & Ghahramani 2016, https://arxiv.org/abs/1512.05287).

    The mask takes one random byte a unit instead of torch's one draw a unit, which is 3 to 4 times as fast on a CPU;
    p is rounded to a multiple of 1/256.
    """

    def __init__(self, probability: float, variational: bool = False) -> None:
        super().__init__()
        self.threshold = round(probability * 256)
        self.variational = variational

    def forward(self, inputs: Tensor) -> Tensor:
        """Drop units of a whole sequence [length, batch, size]."""
        if not self.training or self.threshold == 0:
            return inputs
        return inputs * self._mask(inputs.shape, inputs)

    def masks(self, length: int, like: Tensor, size: int) -> list[Tensor] | None:
        """Masks [batch, size] for a loop over positions, with the batch, type and device of `like`; None for none."""
        if not self.training or self.threshold == 0:
            return None
        mask = self._mask(torch.Size((length, like.size(0), size)), like)
        return list(mask.expand(length, -1, -1).unbind(0))

    def _mask(self, shape: torch.Size, like: Tensor) -> Tensor:
        if self.variational:
            shape = torch.Size((1, *shape[1:]))
        return dropout_mask(shape, self.threshold, like.dtype, like.device)


def dropout_mask(shape: torch.Size, threshold: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Zero with probability threshold / 256, else 256 / (256 - threshold)."""
    return random_bytes(shape, device).ge(threshold).to(dtype).mul_(256 / (256 - threshold))


def random_bytes(shape: torch.Size, device: torch.device) -> Tensor:
    """Evenly distributed bytes."""
    count = shape.numel()
    words = torch.empty((count + 7) // 8, dtype=torch.int64, device=device).random_(-(2**63), None)
    return words.view(torch.uint8)[:count].view(shape)


def masked(inputs: Tensor, masks: list[Tensor] | None, position: int) -> Tensor:
    """The inputs of a position [batch, size] times its mask."""
    return inputs if masks is None else inputs * masks[position]
