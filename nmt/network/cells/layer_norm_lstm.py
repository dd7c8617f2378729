"""LSTM with layer normalisation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.network.cells.cell import Products, State
from nmt.network.cells.lstm import LSTM
from nmt.network.cells.scan import Gradients, Scanned, padded, positions, room


class LayerNormLSTM(LSTM):
    """LSTM whose gates and cell are normalised over their units.

        i_t = sigmoid(a_i * N(W_i x_t + U_i h_{t-1}) + b_i)         input gate; also forget and output gate
        g_t = tanh(a_g * N(W_g x_t + U_g h_{t-1}) + b_g)            candidate
        c_t = f_t * c_{t-1} + i_t * g_t                             cell
        h_t = o_t * tanh(a_c * N(c_t) + b_c)                        hidden state
        N(v) = (v - mean(v)) / sqrt(variance(v) + 1e-5)

    Ba et al. (2016), section 3.1, equation 4, for each gate by itself, https://arxiv.org/abs/1607.06450. The gains a,
    1 at first, are `gate_gain` [4, hidden] and `cell_gain` [hidden]; the biases b are `bias_hh` and `cell_bias`.
    Nothing is added before the normalisation: there is no `bias_ih`.
    """

    name = "layer_norm_lstm"
    kernel = None
    onnx_operator = None

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        del self.bias_ih
        self.gate_gain = nn.Parameter(torch.ones(4, hidden_size))
        self.cell_gain = nn.Parameter(torch.ones(hidden_size))
        self.cell_bias = nn.Parameter(torch.zeros(hidden_size))

    def input_bias(self) -> Tensor:
        return torch.zeros_like(self.bias_hh)

    @torch.no_grad()
    def initialize_constants(self, forget_gate_bias: float) -> None:
        nn.init.ones_(self.gate_gain)
        nn.init.ones_(self.cell_gain)
        nn.init.zeros_(self.cell_bias)
        self.bias_hh[self.hidden_size : 2 * self.hidden_size] = forget_gate_bias

    def scan_parameters(self) -> tuple[Tensor, ...]:
        return self.gate_gain, self.bias_hh, self.cell_gain, self.cell_bias

    def step(self, projected: Tensor, state: State, products: Products) -> State:
        hidden, cell = state
        total = torch.unflatten(projected + products[0](hidden), -1, (4, -1))
        normal = F.layer_norm(total, (self.hidden_size,))
        gates = normal * self.gate_gain + self.bias_hh.view(4, -1)  # [batch, 4, hidden]
        i, f, g, o = gates.flatten(-2).chunk(4, -1)
        cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
        return o.sigmoid() * F.layer_norm(cell, (self.hidden_size,), self.cell_gain, self.cell_bias).tanh(), cell

    @classmethod
    def unroll(cls, projected: Tensor, state: State, products: Products, parameters: Sequence[Tensor]) -> Scanned:
        gate_gain, gate_bias, cell_gain, cell_bias = parameters
        length, (batch, size) = len(projected), state[0].shape
        totals, gates = torch.empty_like(projected), torch.empty_like(projected)
        hiddens, cells = (room(start, length) for start in state)
        squashed = torch.empty_like(hiddens[1:])  # tanh(a_c * N(c_t) + b_c)
        h, c, tanh_c = hiddens.unbind(0), cells.unbind(0), squashed.unbind(0)
        (i, f, g, o), (i_and_f, _) = positions(gates, 1, 1, 1, 1), positions(gates, 2, 2)
        moments = []  # mean and 1 / standard deviation of each gate's total, then of the cell
        for t, (x, total, gate) in enumerate(zip(projected, totals, gates, strict=True)):
            torch.add(x, products[0](h[t]), out=total)
            normal, *of_gates = torch.native_layer_norm(total.view(batch, 4, size), (size,), None, None, 1e-5)
            torch.addcmul(gate_bias.view(4, size), normal, gate_gain, out=gate.view(batch, 4, size))
            i_and_f[t].sigmoid_()
            g[t].tanh_()
            o[t].sigmoid_()
            torch.mul(f[t], c[t], out=c[t + 1]).addcmul_(i[t], g[t])
            normal, *of_cell = torch.native_layer_norm(c[t + 1], (size,), cell_gain, cell_bias, 1e-5)
            torch.tanh(normal, out=tanh_c[t])
            torch.mul(o[t], tanh_c[t], out=h[t + 1])
            moments.append((*of_gates, *of_cell))
        stacked = (torch.stack(moment) for moment in zip(*moments, strict=True))
        return (hiddens[1:], cells[1:]), (gates, hiddens, cells, squashed, totals, *parameters, *stacked)

    @classmethod
    def reverse(cls, saved: Sequence[Tensor], gradients: Sequence[Tensor | None], products: Products) -> Gradients:
        """As for the LSTM, but the gradients of cell and totals each pass through a normalisation."""
        (_, hiddens, cells, _, totals, gate_gain, _, cell_gain, _), moments = saved[:9], saved[9:]
        of_hidden, of_cell = gradients
        d_gates, d_squashed, forget = cls.factors(saved[:4])  # factors before the loop, gradients after it
        length, batch, size = d_squashed.shape
        d_totals, total = padded(d_squashed, 4), totals.view(length, batch, 4, size)
        d_gate = d_gates.view(length, batch, 4, size)
        d_hidden, d_cell = torch.zeros_like(hiddens[0]), torch.zeros_like(hiddens[0])
        for t in range(length - 1, -1, -1):
            mean, scale, cell_mean, cell_scale = (moment[t] for moment in moments)
            if of_hidden is not None:
                d_hidden += of_hidden[t]
            if of_cell is not None:
                d_cell += of_cell[t]
            d_cell += _reverse_norm(d_squashed[t].mul_(d_hidden) * cell_gain, cells[t + 1], cell_mean, cell_scale)
            d_gate[t, :, 3].mul_(d_hidden)
            d_gate[t, :, :3].mul_(d_cell.unsqueeze(1))
            d_cell *= forget[t]
            d_totals[t] = _reverse_norm(d_gate[t] * gate_gain, total[t], mean, scale).flatten(1)
            d_hidden = products[0](d_totals[t])
        d_gate_gain = (d_gate * (total - moments[0]) * moments[1]).sum((0, 1))
        d_cell_gain = (d_squashed * (cells[1:] - moments[2]) * moments[3]).sum((0, 1))
        parameters = d_gate_gain, d_gates.sum((0, 1)), d_cell_gain, d_squashed.sum((0, 1))
        return Gradients(d_totals, ((d_totals, hiddens[:-1]),), (d_hidden, d_cell), parameters)


def _reverse_norm(d_normal: Tensor, inputs: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """The gradient of N's inputs; mean and scale are those N took of them."""
    size, wanted = [inputs.size(-1)], [True, False, False]
    d_inputs: Tensor
    d_inputs, *_ = torch.ops.aten.native_layer_norm_backward(d_normal, inputs, size, mean, scale, None, None, wanted)
    return d_inputs
