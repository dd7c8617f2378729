"""What every recurrent cell offers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

State = tuple[Tensor, ...]
"""The tensors that a cell carries on, in the order of its `state_names`; the first is its output."""

Product = Callable[[Tensor], Tensor]
"""x [batch, hidden] -> x U^T [batch, rows of U], with U one block of `weight_hh`."""


class Cell(nn.Module):
    """A recurrent cell: the parameters, in torch's layout, and what happens at one position.

    `nmt.network.layers` multiplies the inputs with `weight_ih`, for all positions at once, and adds `input_bias()`; the
    cell does the rest. The products with `weight_hh` reach `step` as functions, so that the caller decides how they are
    taken (packed once a sequence, with dropped weights, in a lower precision).

        input_size: units of the input; a cell of size 0 has no input (`weight_ih` is None) and sees its state alone,
            as the upper cells of a deep transition do
        hidden_size: units of the output and of each tensor of the state
    """

    state_names: ClassVar[tuple[str, ...]] = ("hidden",)
    """The tensors of a state, in order; the first is the output."""
    gates: ClassVar[int]
    """Rows of `weight_ih`, in units of the hidden size."""
    recurrent_blocks: ClassVar[tuple[int, ...]]
    """Rows of `weight_hh`, in units of the hidden size, that each product of a step uses."""

    weight_ih: nn.Parameter | None

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        rows = self.gates * hidden_size
        self.register_parameter("weight_ih", nn.Parameter(torch.empty(rows, input_size)) if input_size else None)
        self.weight_hh = nn.Parameter(torch.empty(sum(self.recurrent_blocks) * hidden_size, hidden_size))
        self.bias_ih = nn.Parameter(torch.zeros(rows))
        self.bias_hh = nn.Parameter(torch.zeros(rows))

    def input_bias(self) -> Tensor:
        """What is added to W_ih x, [gates * hidden]."""
        return self.bias_ih + self.bias_hh

    def initialize_constants(self, forget_gate_bias: float) -> None:
        """Set what does not start as a random matrix or a zero bias; called after these have been set.

        forget_gate_bias: for cells with a forget gate
        """

    @abstractmethod
    def step(self, projected: Tensor, state: State, products: Sequence[Product]) -> State:
        """One position.

            projected: W_ih x + input_bias(), [batch, gates * hidden]
            state: before the position, [batch, hidden] each
            products: one for each of `recurrent_blocks`

        Returns: the state after the position
        """

    def scan(self, projected: Tensor, state: State, weight_hh: Tensor) -> State:
        """All positions: here step by step; most cells have a faster way (`nmt.network.cells.scan`).

            projected: W_ih x + input_bias(), [length, batch, gates * hidden]
            state: before the first position, [batch, hidden] each
            weight_hh: the recurrent weights: the parameter, or with some of them dropped

        Returns: the state after every position, [length, batch, hidden] each
        """
        sizes = [rows * self.hidden_size for rows in self.recurrent_blocks]
        products = tuple(partial(F.linear, weight=block) for block in torch.split(weight_hh, sizes))
        states = []
        for position in projected.unbind(0):
            state = self.step(position, state, products)
            states.append(state)
        return tuple(torch.stack(tensors) for tensors in zip(*states, strict=True))
