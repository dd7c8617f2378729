"""LSTM with peepholes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nmt.network.cells.cell import Products, State
from nmt.network.cells.lstm import LSTM
from nmt.network.cells.scan import Gradients


class PeepholeLSTM(LSTM):
    """LSTM whose gates see the cell, each unit its own.

        i_t = sigmoid(W_i x_t + U_i h_{t-1} + p_i * c_{t-1} + b_i)          input gate
        f_t = sigmoid(W_f x_t + U_f h_{t-1} + p_f * c_{t-1} + b_f)          forget gate
        g_t = tanh(W_g x_t + U_g h_{t-1} + b_g)                             candidate
        c_t = f_t * c_{t-1} + i_t * g_t                                     cell
        o_t = sigmoid(W_o x_t + U_o h_{t-1} + p_o * c_t + b_o)              output gate
        h_t = o_t * tanh(c_t)                                               hidden state

    Gers & Schmidhuber (2000), https://doi.org/10.1109/IJCNN.2000.861302. The peepholes p_i, p_f, p_o are
    `weight_peephole` [3, hidden], zero at first; the other parameters are those of `LSTM`.
    """

    name = "peephole_lstm"
    kernel = None

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_peephole = nn.Parameter(torch.zeros(3, hidden_size))

    def initialize_constants(self, forget_gate_bias: float) -> None:
        super().initialize_constants(forget_gate_bias)
        nn.init.zeros_(self.weight_peephole)

    def peepholes(self) -> Tensor:
        return self.weight_peephole

    def scan_parameters(self) -> tuple[Tensor, ...]:
        return (self.weight_peephole,)

    def step(self, projected: Tensor, state: State, products: Products) -> State:
        hidden, cell = state
        p_i, p_f, p_o = self.weight_peephole
        i, f, g, o = (projected + products[0](hidden)).chunk(4, -1)
        new_cell = (f + p_f * cell).sigmoid() * cell + (i + p_i * cell).sigmoid() * g.tanh()
        return (o + p_o * new_cell).sigmoid() * new_cell.tanh(), new_cell

    @classmethod
    def factors(cls, saved: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """The peepholes are further ways from a gate's total to the cell that the gate sees."""
        factors, through_output, forget = super().factors(saved[:4])
        of_i, of_f, _, of_o = factors.chunk(4, -1)
        p_i, p_f, p_o = saved[4]
        return factors, through_output.addcmul_(of_o, p_o), forget.addcmul(of_i, p_i).addcmul_(of_f, p_f)

    @classmethod
    def reverse(cls, saved: Sequence[Tensor], gradients: Sequence[Tensor | None], products: Products) -> Gradients:
        """As for the LSTM; also d p = sum over batch and positions of d total * c."""
        found = super().reverse(saved, gradients, products)
        d_i, d_f, _, d_o = found.projected.chunk(4, -1)
        before, after = saved[2][:-1], saved[2][1:]
        d_peephole = torch.stack([(d * c).sum((0, 1)) for d, c in ((d_i, before), (d_f, before), (d_o, after))])
        return found._replace(parameters=(d_peephole,))
