"""The recurrence over a whole sequence, with its backward pass written out.

Autograd records every operation of every position and multiplies the weights' gradient together position by position.
Written out, a position of the backward pass is left with what depends on the position after it: the derivatives of the
activations are taken for all positions at once beforehand, the gradient of the weights is one product afterwards.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nmt.network.cells.cell import Cell, Products, State
from nmt.network.precision import low_precision, repeated_product

Scanned = tuple[State, tuple[Tensor, ...]]
"""The state after every position, [length, batch, hidden] each, and the tensors that the backward pass needs. If the
cell has gates, the first of these holds their activations [length, batch, gates * hidden]."""


class Gradients(NamedTuple):
    """The gradients that a backward pass computes."""

    projected: Tensor  # [length, batch, gates * hidden]
    # For each recurrent block, over all positions: the gradient of its product [length, batch, rows of the block] and
    # what was multiplied with it [length, batch, hidden].
    products: tuple[tuple[Tensor, Tensor], ...]
    state: State  # gradients of the state before the first position, [batch, hidden] each
    parameters: tuple[Tensor, ...] = ()  # gradients of the cell's `scan_parameters()`


class ScannedCell(Cell):
    """A cell whose scan has a backward pass of its own."""

    def prepare(self, projected: Tensor) -> Tensor:
        """The tensor that `unroll` reads instead of W_ih x + input_bias(), of the same shape [..., gates * hidden]."""
        return projected

    def scan_parameters(self) -> tuple[Tensor, ...]:
        """The further parameters that `unroll` needs and that get a gradient."""
        return ()

    @classmethod
    @abstractmethod
    def unroll(cls, projected: Tensor, state: State, products: Products, parameters: Sequence[Tensor]) -> Scanned:
        """All positions, without autograd.

            projected: as `prepare` returns it, [length, batch, gates * hidden]
            state: before the first position, [batch, hidden] each
            products: one for each of `recurrent_blocks`
            parameters: `scan_parameters()`

        Returns: the state after every position [length, batch, hidden] each, and the tensors that `reverse` needs. If
        the cell has gates, the first of these holds their activations [length, batch, gates * hidden]
        """

    @classmethod
    @abstractmethod
    def reverse(cls, saved: Sequence[Tensor], gradients: Sequence[Tensor | None], products: Products) -> Gradients:
        """The backward pass.

        saved: the second result of `unroll`
        gradients: of the state after every position [length, batch, hidden] each, None where it had no use
        products: for each of `recurrent_blocks` d [batch, rows of the block] -> d U [batch, hidden]
        """

    def scan(self, projected: Tensor, state: State, weight_hh: Tensor) -> State:
        """All positions, by `unroll` and `reverse`; the states have the type of the weights, under autocast too."""
        state = tuple(tensor.to(weight_hh.dtype) for tensor in state)
        arguments = self.prepare(projected), weight_hh, *state, *self.scan_parameters()
        states: State = _Scan.apply(type(self), *arguments)  # type: ignore[no-untyped-call]
        return states


class _Scan(torch.autograd.Function):
    """The parts that the scans of all cells share: products, their types, and the gradient of the recurrent weights."""

    @staticmethod
    def forward(ctx: Any, cell: type[ScannedCell], projected: Tensor, weight_hh: Tensor, *rest: Tensor) -> State:
        state, parameters = rest[: len(cell.state_names)], rest[len(cell.state_names) :]
        products = [repeated_product(block, len(state[0])) for block in _blocks(cell, weight_hh)]
        states, saved = cell.unroll(projected.to(state[0].dtype), state, products, parameters)
        ctx.save_for_backward(weight_hh, *saved)
        ctx.cell, ctx.projected_type, ctx.low = cell, projected.dtype, low_precision(weight_hh.device)
        ctx.set_materialize_grads(False)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        if all(gradient is None for gradient in gradients):
            return (None,) * len(ctx.needs_input_grad)
        weight, *saved = ctx.saved_tensors
        low = ctx.low or weight.dtype
        blocks = _blocks(ctx.cell, weight.to(low))
        products = [lambda d, block=block: (d.to(low) @ block).to(d.dtype) for block in blocks]
        found = ctx.cell.reverse(saved, gradients, products)
        d_weight = torch.empty_like(weight, dtype=low)
        for rows, (d_product, inputs) in zip(_blocks(ctx.cell, d_weight), found.products, strict=True):
            torch.mm(d_product.flatten(0, 1).to(low).t(), inputs.flatten(0, 1).to(low), out=rows)
        d_projected = found.projected.to(ctx.projected_type)
        return None, d_projected, d_weight.to(weight.dtype), *found.state, *found.parameters


def _blocks(cell: type[Cell], weight: Tensor) -> tuple[Tensor, ...]:
    """The recurrent weights [rows, hidden] of each product."""
    return torch.split(weight, [rows * weight.size(1) for rows in cell.recurrent_blocks])


def room(start: Tensor, length: int) -> Tensor:
    """Room for the state before the first position, filled with `start` [batch, hidden], and after each position."""
    states = start.new_empty(length + 1, *start.shape)
    states[0] = start
    return states


def positions(tensor: Tensor, *gates: int) -> list[tuple[Tensor, ...]]:
    """Views [batch, gates * hidden] of every position of [length, batch, sum(gates) * hidden], for each of `gates`."""
    size = tensor.size(-1) // sum(gates)
    return [part.unbind(0) for part in torch.split(tensor, [number * size for number in gates], -1)]


def padded(like: Tensor, gates: int) -> Tensor:
    """Room for [length, batch, gates * hidden], with `like` [length, batch, hidden].

    Rows a power of two apart would share cache sets: 16 floats between them make the products 10 to 15 % faster.
    """
    length, batch, size = like.shape
    return like.new_empty(length, batch, gates * size + 16)[..., : gates * size]
