"""Gated recurrent unit."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from nmt.network.cells.cell import OnnxOperator, Products, State
from nmt.network.cells.scan import Gradients, Scanned, ScannedCell, padded, positions, room


class GRU(ScannedCell):
    """Gated recurrent unit that resets after the product.

        r_t = sigmoid(W_r x_t + U_r h_{t-1} + b_r)                  reset gate
        z_t = sigmoid(W_z x_t + U_z h_{t-1} + b_z)                  update gate
        n_t = tanh(W_n x_t + b_n + r_t * (U_n h_{t-1} + c_n))       candidate
        h_t = (1 - z_t) * n_t + z_t * h_{t-1}                       hidden state

    Cho et al. (2014), in the form of https://arxiv.org/abs/1406.1078v1 and of cuDNN: all that is multiplied with U is
    h_{t-1}, so a position takes one product. The parameters have the names, shapes and gate order (r, z, n) of
    `torch.nn.GRUCell`; c_n is the last third of `bias_hh`.
    """

    name = "gru"
    gate_names = ("reset gate", "update gate", "candidate")
    bounded = True
    recurrent_blocks = (3,)
    kernel = staticmethod(torch.gru)
    onnx_operator = OnnxOperator("GRU", (1, 0, 2), {"linear_before_reset": 1})

    def input_bias(self) -> Tensor:
        """All biases but c_n, which is reset with the product."""
        return self.bias_ih + F.pad(self.bias_hh[: 2 * self.hidden_size], (0, self.hidden_size))

    def recurrent_bias(self) -> Tensor:
        return F.pad(self.bias_hh[2 * self.hidden_size :], (2 * self.hidden_size, 0))

    def scan_parameters(self) -> tuple[Tensor, ...]:
        return (self.bias_hh[2 * self.hidden_size :],)

    def step(self, projected: Tensor, state: State, products: Products) -> State:
        (hidden,), (bias,) = state, self.scan_parameters()
        r_in, z_in, n_in = projected.to(hidden.dtype).chunk(3, -1)  # under autocast, lerp needs one type
        r_hidden, z_hidden, n_hidden = products[0](hidden).chunk(3, -1)
        r, z = (r_in + r_hidden).sigmoid(), (z_in + z_hidden).sigmoid()
        n = (n_in + r * (n_hidden + bias)).tanh()
        return (torch.lerp(n, hidden, z),)

    @classmethod
    def unroll(cls, projected: Tensor, state: State, products: Products, parameters: Sequence[Tensor]) -> Scanned:
        (hidden,), (bias,), (multiply,) = state, parameters, products
        length, (batch, size) = len(projected), hidden.shape
        hiddens, gates = room(hidden, length), torch.empty_like(projected)
        recurrent = hidden.new_empty(length, batch, size)  # U_n h_{t-1} + c_n
        rz_in, n_in = positions(projected, 2, 1)
        (rz, n), (r, z, _) = positions(gates, 2, 1), positions(gates, 1, 1, 1)
        h, from_h = hiddens.unbind(0), recurrent.unbind(0)
        for t in range(length):
            rz_hidden, n_hidden = torch.split(multiply(h[t]), [2 * size, size], -1)
            torch.add(rz_in[t], rz_hidden, out=rz[t]).sigmoid_()
            torch.add(n_hidden, bias, out=from_h[t])
            torch.addcmul(n_in[t], r[t], from_h[t], out=n[t]).tanh_()
            torch.lerp(n[t], h[t], z[t], out=h[t + 1])
        return (hiddens[1:],), (gates, recurrent, hiddens)

    @classmethod
    def reverse(cls, saved: Sequence[Tensor], gradients: Sequence[Tensor | None], products: Products) -> Gradients:
        """Every gradient of a gate is dh_t times a factor that does not depend on later positions.

        dn = dh (1 - z) (1 - n^2);  d(U_n h + c_n) = dn r;  dr = dn (U_n h + c_n) r (1 - r);  dz = dh (h - n) z (1 - z)
        """
        (gates, recurrent, hiddens), (of_hidden,) = saved, gradients
        assert of_hidden is not None
        r, z, n = gates.chunk(3, -1)
        d_product = padded(recurrent, 3)
        d_projected = padded(recurrent, 3)
        factor_r, factor_z, factor_reset = d_product.chunk(3, -1)
        factor_n = d_projected.chunk(3, -1)[2]
        torch.ops.aten.tanh_backward.grad_input(1 - z, n, grad_input=factor_n)
        torch.mul(factor_n, r, out=factor_reset)
        torch.ops.aten.sigmoid_backward.grad_input(factor_n * recurrent, r, grad_input=factor_r)
        torch.ops.aten.sigmoid_backward.grad_input(hiddens[:-1] - n, z, grad_input=factor_z)
        length, batch, size = recurrent.shape
        rows, of_n, keep = d_product.unbind(0), factor_n.unbind(0), z.unbind(0)
        d_hidden = torch.zeros_like(hiddens[0])
        for t in range(length - 1, -1, -1):
            d_hidden += of_hidden[t]
            rows[t].view(batch, 3, size).mul_(d_hidden.unsqueeze(1))
            of_n[t].mul_(d_hidden)
            d_hidden = products[0](rows[t]).addcmul_(d_hidden, keep[t])
        d_projected[..., : 2 * size] = d_product[..., : 2 * size]
        d_bias = d_product[..., 2 * size :].sum((0, 1))
        return Gradients(d_projected, ((d_product, hiddens[:-1]),), (d_hidden,), (d_bias,))
