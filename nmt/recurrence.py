"""Runs a cell over a sequence. Sequences are time-major: [length, batch, size]."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn

from nmt.cells import CELLS

State = tuple[Tensor, ...]
"""The tensors a cell carries on, in the order of its `state_names`, [batch, hidden] each; the first is its output."""


class Layer(nn.Module):
    """One recurrent layer in one direction: a cell, run over all positions or one."""

    def __init__(self, cell: str, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.cell = CELLS[cell](input_size, hidden_size)
        self.state_names = self.cell.state_names
        self.hidden_size = hidden_size

    def zero_state(self, like: Tensor) -> State:
        """State before the first position of `like` [length, batch, size]: all zeros."""
        return tuple(like.new_zeros(like.size(1), self.hidden_size) for _ in self.state_names)

    def forward(self, inputs: Tensor, state: State, constant: Tensor | None = None) -> State:
        """All positions.

            inputs: [length, batch, size]
            state: before the first position
            constant: [batch, size], further input that is the same at each position

        Returns: the state of every position, [length, batch, hidden] each
        """
        projected = self.cell.project(inputs, constant)
        if hasattr(self.cell, "scan"):
            return self.cell.scan(projected, state)
        states = []
        for position in projected:
            state = self.cell.step(position, state)
            states.append(state)
        return tuple(torch.stack(tensors) for tensors in zip(*states, strict=True))

    def step(self, inputs: Tensor, state: State, constant: Tensor | None = None) -> State:
        """One position: inputs [batch, size] -> the state after it."""
        return self.cell.step(self.cell.project(inputs, constant), state)


class Layers(nn.ModuleList):
    """A list of layers that tells a type checker what it holds."""

    def __iter__(self) -> Iterator[Layer]:
        return cast(Iterator[Layer], super().__iter__())

    def at(self, depth: int) -> Layer:
        """The layer at a depth, counted from the bottom."""
        return cast(Layer, self[depth])
