"""The base class of recurrent cells."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

State = tuple[Tensor, ...]  # tensors that a cell hands on, in the order of `state_names`; the first is its output

Product = Callable[[Tensor], Tensor]  # x [batch, hidden] -> x U^T [batch, rows of U], with U one block of `weight_hh`

Products = Sequence[Product]  # a product for each of the cell's `recurrent_blocks`


class OnnxOperator(NamedTuple):
    """ONNX's operator that runs whole layers of a cell."""

    name: str
    gates: tuple[int, ...]  # for each of the operator's gates the index among the cell's `gate_names`
    attributes: dict[str, Any]  # further attributes for one direction; a list has an entry for each direction


class Cell(nn.Module):
    """A recurrent cell: the parameters, in torch's layout, the equations of one position, and facts about the cell.

    Everything that depends on the kind of cell is declared in its class. A new cell needs a file
    and its name in `nmt.config.CellName`; training, search, inspection and export then work.

    `nmt.network.layers` multiplies the inputs with `weight_ih`, for all positions at once, and adds `input_bias()`; the
    cell does the rest. The products with `weight_hh` reach `step` as functions, so that the caller decides how they are
    computed (packed once a sequence, with dropped weights, in a lower precision).

        input_size: units of the input; a cell of size 0 has no input (`weight_ih` is None) and reads only its state,
            as the upper cells of a deep transition do
        hidden_size: units of the output and of each tensor of the state
    """

    name: ClassVar[str]  # the value of `model.cell` that chooses this cell
    gate_names: ClassVar[tuple[str, ...]]  # the blocks of `weight_ih`'s rows, `hidden_size` rows each
    bounded: ClassVar[bool]
    """True if the output lies in [-1, 1] at every position, provided that it does so at the start. Exports in 8 bits
    multiply bounded numbers with a fixed scale."""
    state_names: ClassVar[tuple[str, ...]] = ("hidden",)  # the tensors of a state; the first is the output
    recurrent_blocks: ClassVar[tuple[int, ...]]
    """Rows of `weight_hh`, in units of the hidden size, that each product of a step uses."""
    kernel: ClassVar[Callable[..., Any] | None] = None
    """Torch's fused kernel that runs whole layers of this cell, if there is one. A subclass with other equations must
    set it again, like `onnx_operator`."""
    onnx_operator: ClassVar[OnnxOperator | None] = None
    """ONNX's operator that runs whole layers of this cell, if there is one; otherwise exports loop over `step`."""

    weight_ih: nn.Parameter | None

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        rows = self.gates * hidden_size
        self.register_parameter("weight_ih", nn.Parameter(torch.empty(rows, input_size)) if input_size else None)
        self.weight_hh = nn.Parameter(torch.empty(sum(self.recurrent_blocks) * hidden_size, hidden_size))
        self.bias_ih = nn.Parameter(torch.zeros(rows))
        self.bias_hh = nn.Parameter(torch.zeros(rows))

    @property
    def gates(self) -> int:
        """Rows of `weight_ih`, in units of the hidden size."""
        return len(self.gate_names)

    @property
    def recurrent_names(self) -> tuple[str, ...]:
        """Names of the blocks of `weight_hh`'s rows, `hidden_size` rows each."""
        return self.gate_names

    def input_bias(self) -> Tensor:
        """The bias that is added to W_ih x, [gates * hidden]."""
        return self.bias_ih + self.bias_hh

    def recurrent_bias(self) -> Tensor | None:
        """The bias that is added to the product with `weight_hh` instead, [gates * hidden]; None for zeros."""
        return None

    def peepholes(self) -> Tensor | None:
        """The peepholes of input, forget and output gate, [3, hidden], that `onnx_operator` takes, if any."""
        return None

    def initialize_constants(self, forget_gate_bias: float) -> None:
        """Set the weights that start neither as a random matrix nor as a zero bias; called after these have been set.

        forget_gate_bias: for cells with a forget gate
        """

    @abstractmethod
    def step(self, projected: Tensor, state: State, products: Products) -> State:
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
            weight_hh: the recurrent weights: the parameter itself, or the parameter with some weights dropped

        Returns: the state after every position, [length, batch, hidden] each
        """
        sizes = [rows * self.hidden_size for rows in self.recurrent_blocks]
        products = tuple(partial(F.linear, weight=block) for block in torch.split(weight_hh, sizes))
        state = tuple(tensor.to(weight_hh.dtype) for tensor in state)  # a layer below may hand on bf16
        states = []
        for position in projected.unbind(0):
            state = self.step(position, state, products)
            states.append(state)
        return tuple(torch.stack(tensors) for tensors in zip(*states, strict=True))
