"""Long short-term memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.products import low_precision, repeated_product


class LSTM(nn.Module):
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

    state_names = ("hidden", "cell")
    """The tensors of a state, in order; the first is the output."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self.weight_ih = nn.Parameter(torch.empty(4 * hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(4 * hidden_size, hidden_size))
        self.bias_ih = nn.Parameter(torch.zeros(4 * hidden_size))
        self.bias_hh = nn.Parameter(torch.zeros(4 * hidden_size))

    def set_forget_gate_bias(self, value: float) -> None:
        """Start with an open forget gate: Gers et al. (2000); Jozefowicz et al. (2015), section 5, use 1."""
        with torch.no_grad():
            self.bias_ih[self.hidden_size : 2 * self.hidden_size] = value
            self.bias_hh[self.hidden_size : 2 * self.hidden_size] = 0

    def project(self, inputs: Tensor, constant: Tensor | None = None) -> Tensor:
        """The input's part of the gates, W x + b, for all positions at once.

            inputs: [..., batch, size]
            constant: [batch, input_size - size], more inputs that are the same at every position: their product is
                taken once instead of once a position

        Returns: [..., batch, 4 * hidden]
        """
        bias = self.bias_ih + self.bias_hh
        if constant is None:
            return F.linear(inputs, self.weight_ih, bias)
        size = inputs.size(-1)
        return F.linear(inputs, self.weight_ih[:, :size]) + F.linear(constant, self.weight_ih[:, size:], bias)

    def step(self, projected: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """One position: projected gates [batch, 4 * hidden] and the state before it -> the state after it."""
        hidden, cell = state
        i, f, g, o = (projected + F.linear(hidden, self.weight_hh)).chunk(4, -1)
        cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
        return o.sigmoid() * cell.tanh(), cell

    def scan(self, projected: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """All positions: projected [length, batch, 4 * hidden] -> (hidden, cell) of each, [length, batch, hidden]."""
        hidden, cell = _LSTMScan.apply(projected, self.weight_hh, *state)  # type: ignore[no-untyped-call]
        return hidden, cell


class _LSTMScan(torch.autograd.Function):
    """The recurrence with its backward pass written out.

    About as fast on a CPU as torch's fused LSTM at hidden size 512, slower at 256 (docs/experiments.md): the
    recurrent matrix is packed once a sequence, the derivatives of the gates are taken for all positions at once, which
    leaves one product and four elementwise operations a position to the backward loop, and the gradient of the weights
    is one product. Unlike the fused LSTM it returns the cell of every position, so sentences of different lengths need
    no packing, which would cost the fused LSTM its fast path. Tested equal to `torch.nn.LSTM`.
    """

    @staticmethod
    def forward(ctx: Any, projected: Tensor, weight_hh: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        length, batch, size = projected.size(0), projected.size(1), hidden.size(-1)
        gates = projected.new_empty(length, batch, 4 * size, dtype=hidden.dtype)
        hiddens = hidden.new_empty(length + 1, batch, size)
        cells = torch.empty_like(hiddens)
        squashed = hidden.new_empty(length, batch, size)  # tanh(c_t)
        hiddens[0], cells[0] = hidden, cell
        multiply = repeated_product(weight_hh, batch)
        i, f, g, o = (gate.unbind(0) for gate in gates.chunk(4, -1))
        input_and_forget = gates[..., : 2 * size].unbind(0)
        before, after, outputs = cells[:-1].unbind(0), cells[1:].unbind(0), hiddens.unbind(0)
        for t, (position, at, tanh_cell) in enumerate(zip(projected, gates.unbind(0), squashed.unbind(0), strict=True)):
            torch.add(position, multiply(outputs[t]), out=at)
            input_and_forget[t].sigmoid_()
            g[t].tanh_()
            o[t].sigmoid_()
            torch.mul(f[t], before[t], out=after[t]).addcmul_(i[t], g[t])
            torch.tanh(after[t], out=tanh_cell)
            torch.mul(o[t], tanh_cell, out=outputs[t + 1])
        ctx.save_for_backward(weight_hh, gates, hiddens, cells, squashed)
        ctx.low, ctx.projected_type = low_precision(hidden.device), projected.dtype
        ctx.set_materialize_grads(False)
        return hiddens[1:], cells[1:]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        weight, gates, hiddens, cells, squashed = ctx.saved_tensors
        size, length, batch = hiddens.size(-1), gates.size(0), gates.size(1)
        of_hidden, of_cell = gradients
        i, f, g, o = gates.chunk(4, -1)
        # d gate (before its activation) = factor * (dc for i, f, g; dh for o), for all positions at once
        # (rows a power of two apart would share cache sets: 16 floats between them make the products 15 % faster)
        factors = gates.new_empty(length, batch, 4 * size + 16)[..., : 4 * size]
        f_i, f_f, f_g, f_o = factors.chunk(4, -1)
        torch.ops.aten.sigmoid_backward.grad_input(g, i, grad_input=f_i)
        torch.ops.aten.sigmoid_backward.grad_input(cells[:-1], f, grad_input=f_f)
        torch.ops.aten.tanh_backward.grad_input(i, g, grad_input=f_g)
        torch.ops.aten.sigmoid_backward.grad_input(squashed, o, grad_input=f_o)
        through_output = torch.ops.aten.tanh_backward(o, squashed)  # dc = dh * this
        d_hidden, d_cell = torch.zeros_like(hiddens[0]), torch.zeros_like(hiddens[0])
        low = ctx.low or weight.dtype
        low_weight = weight.to(low)
        rows, f_of_hidden = factors.unbind(0), f_o.unbind(0)
        f_of_cell = factors[..., : 3 * size].unflatten(-1, (3, size)).unbind(0)
        forgets, through = f.unbind(0), through_output.unbind(0)
        for t in range(length - 1, -1, -1):
            if of_hidden is not None:
                d_hidden += of_hidden[t]
            if of_cell is not None:
                d_cell += of_cell[t]
            d_cell.addcmul_(d_hidden, through[t])
            f_of_hidden[t].mul_(d_hidden)
            f_of_cell[t].mul_(d_cell.unsqueeze(1))
            d_cell *= forgets[t]
            d_hidden = (rows[t].to(low) @ low_weight).to(d_cell.dtype)
        d_weight = factors.flatten(0, 1).to(low).t() @ hiddens[:-1].flatten(0, 1).to(low)
        return factors.to(ctx.projected_type), d_weight.to(weight.dtype), d_hidden, d_cell
