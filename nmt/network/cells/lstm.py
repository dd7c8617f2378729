"""Long short-term memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from nmt.network.cells.cell import OnnxOperator, Products, State
from nmt.network.cells.scan import Gradients, Scanned, ScannedCell, padded, positions, room


class LSTM(ScannedCell):
    """Long short-term memory with a forget gate.

        i_t = sigmoid(W_i x_t + U_i h_{t-1} + b_i)          input gate
        f_t = sigmoid(W_f x_t + U_f h_{t-1} + b_f)          forget gate
        g_t = tanh(W_g x_t + U_g h_{t-1} + b_g)             candidate
        o_t = sigmoid(W_o x_t + U_o h_{t-1} + b_o)          output gate
        c_t = f_t * c_{t-1} + i_t * g_t                     cell
        h_t = o_t * tanh(c_t)                               hidden state

    Hochreiter & Schmidhuber (1997); forget gate: Gers et al. (2000), https://doi.org/10.1162/089976600300015015.
    The parameters have the names, shapes and gate order (i, f, g, o) of `torch.nn.LSTMCell`.
    """

    name = "lstm"
    gate_names = ("input gate", "forget gate", "candidate", "output gate")
    bounded = True
    state_names = ("hidden", "cell")
    recurrent_blocks = (4,)
    kernel: ClassVar[Callable[..., Any] | None] = staticmethod(torch.lstm)
    onnx_operator: ClassVar[OnnxOperator | None] = OnnxOperator("LSTM", (0, 3, 1, 2), {})

    @torch.no_grad()
    def initialize_constants(self, forget_gate_bias: float) -> None:
        """Start with an open forget gate: Gers et al. (2000); Jozefowicz et al. (2015), section 5, use 1."""
        self.bias_ih[self.hidden_size : 2 * self.hidden_size] = forget_gate_bias
        self.bias_hh[self.hidden_size : 2 * self.hidden_size] = 0

    def step(self, projected: Tensor, state: State, products: Products) -> State:
        hidden, cell = state
        i, f, g, o = (projected + products[0](hidden)).chunk(4, -1)
        cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
        return o.sigmoid() * cell.tanh(), cell

    @classmethod
    def unroll(cls, projected: Tensor, state: State, products: Products, parameters: Sequence[Tensor]) -> Scanned:
        """parameters: the peepholes of `PeepholeLSTM`, or none."""
        length, (batch, size) = len(projected), state[0].shape
        p_i_and_f, p_o = (parameters[0][:2], parameters[0][2]) if parameters else (None, None)
        gates = torch.empty_like(projected)
        hiddens, cells = (room(start, length) for start in state)
        squashed = torch.empty_like(hiddens[1:])  # tanh(c_t)
        (i, f, g, o), (i_and_f, _) = positions(gates, 1, 1, 1, 1), positions(gates, 2, 2)
        for t, (x, total, h, c, new_h, new_c, tanh_c) in enumerate(
            zip(projected, gates, hiddens, cells, hiddens[1:], cells[1:], squashed, strict=False)
        ):
            torch.add(x, products[0](h), out=total)
            if p_i_and_f is not None:
                i_and_f[t].view(batch, 2, size).addcmul_(c.unsqueeze(1), p_i_and_f)
            i_and_f[t].sigmoid_()
            g[t].tanh_()
            torch.mul(f[t], c, out=new_c).addcmul_(i[t], g[t])
            if p_o is not None:
                o[t].addcmul_(new_c, p_o)
            o[t].sigmoid_()
            torch.tanh(new_c, out=tanh_c)
            torch.mul(o[t], tanh_c, out=new_h)
        return (hiddens[1:], cells[1:]), (gates, hiddens, cells, squashed, *parameters)

    @classmethod
    def factors(cls, saved: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """The factors that the gradients of later positions are multiplied with, for all positions at once.

        Returns: the gates' factors, (dc for i, f, g; dh for o) times which is the gradient of their totals; dc = dh
        times the second; dc_{t-1} = dc_t times the third
        """
        gates, _, cells, squashed = saved
        i, f, g, o = gates.chunk(4, -1)
        factors = padded(squashed, 4)
        of_i, of_f, of_g, of_o = factors.chunk(4, -1)
        torch.ops.aten.sigmoid_backward.grad_input(g, i, grad_input=of_i)
        torch.ops.aten.sigmoid_backward.grad_input(cells[:-1], f, grad_input=of_f)
        torch.ops.aten.tanh_backward.grad_input(i, g, grad_input=of_g)
        torch.ops.aten.sigmoid_backward.grad_input(squashed, o, grad_input=of_o)
        return factors, torch.ops.aten.tanh_backward(o, squashed), f

    @classmethod
    def reverse(cls, saved: Sequence[Tensor], gradients: Sequence[Tensor | None], products: Products) -> Gradients:
        hiddens, (of_hidden, of_cell) = saved[1], gradients
        d_gates, through, keep = cls.factors(saved)
        d_hidden, d_cell = torch.zeros_like(hiddens[0]), torch.zeros_like(hiddens[0])
        (d_ifg, d_o), rows = positions(d_gates, 3, 1), d_gates.unbind(0)
        through_output, keep_cell = through.unbind(0), keep.unbind(0)
        length, batch, size = through.shape
        for t in range(length - 1, -1, -1):
            if of_hidden is not None:
                d_hidden += of_hidden[t]
            if of_cell is not None:
                d_cell += of_cell[t]
            d_cell.addcmul_(d_hidden, through_output[t])
            d_o[t].mul_(d_hidden)
            d_ifg[t].view(batch, 3, size).mul_(d_cell.unsqueeze(1))
            d_cell *= keep_cell[t]
            d_hidden = products[0](rows[t])
        return Gradients(d_gates, ((d_gates, hiddens[:-1]),), (d_hidden, d_cell))
