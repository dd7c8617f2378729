"""Cells that reset the state before it is multiplied: the GRU of Cho et al., and the frame of its mutations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from nmt.network.cells.cell import OnnxOperator, Products, State
from nmt.network.cells.scan import Gradients, Scanned, ScannedCell, padded, positions, room


class ResetBeforeCell(ScannedCell):
    """The base class of these cells; gates are in the order r, z, n.

        r_t = sigmoid(W_r x_t + R_r(h_{t-1}) + b_r)             reset gate
        z_t = sigmoid(W_z x_t + R_z(h_{t-1}) + b_z)             update gate
        n_t = tanh(W_n x_t + U_n (r_t * h_{t-1}) + b_n)         candidate
        h_t = z_t * h_{t-1} + (1 - z_t) * n_t                   hidden state, if the update gate keeps,
        h_t = z_t * n_t + (1 - z_t) * h_{t-1}                   or if it does not

    The recurrent parts R of the gates are U h_{t-1} unless a subclass says otherwise.
    """

    gate_names = ("reset gate", "update gate", "candidate")
    bounded = True
    recurrent_blocks: ClassVar[tuple[int, ...]] = (2, 1)
    update_keeps: ClassVar[bool]  # whether an open update gate keeps the state, or takes the candidate

    @classmethod
    def gate_totals(cls, hidden: Tensor, products: Products) -> Tensor:
        """R_r and R_z of h_{t-1} [batch, hidden]: [batch, 2 * hidden]."""
        return products[0](hidden)

    @classmethod
    def reverse_gate_totals(cls, d_totals: Tensor, hidden: Tensor, products: Products) -> Tensor:
        """The gradient of h_{t-1} by way of R_r and R_z, from theirs."""
        return products[0](d_totals)

    @classmethod
    def gate_products(cls, d_totals: Tensor, hiddens: Tensor) -> tuple[tuple[Tensor, Tensor], ...]:
        """For each product in `gate_totals`, over all positions, its gradient and what was multiplied."""
        return ((d_totals, hiddens),)

    def step(self, projected: Tensor, state: State, products: Products) -> State:
        hidden, size = state[0], self.hidden_size
        projected = projected.to(hidden.dtype)  # under autocast, lerp needs one type
        r, z = (projected[:, : 2 * size] + self.gate_totals(hidden, products)).sigmoid().chunk(2, -1)
        n = (projected[:, 2 * size :] + products[-1](r * hidden)).tanh()
        return (torch.lerp(n, hidden, z) if self.update_keeps else torch.lerp(hidden, n, z),)

    @classmethod
    def unroll(cls, projected: Tensor, state: State, products: Products, parameters: Sequence[Tensor]) -> Scanned:
        gates = torch.empty_like(projected)
        hiddens = room(state[0], len(projected))
        resets = torch.empty_like(hiddens[1:])  # r_t * h_{t-1}
        (rz, n), (r, z, _) = positions(gates, 2, 1), positions(gates, 1, 1, 1)
        h, reset, (rz_in, n_in) = hiddens.unbind(0), resets.unbind(0), positions(projected, 2, 1)
        for t in range(len(projected)):
            torch.add(rz_in[t], cls.gate_totals(h[t], products), out=rz[t]).sigmoid_()
            torch.mul(r[t], h[t], out=reset[t])
            torch.add(n_in[t], products[-1](reset[t]), out=n[t]).tanh_()
            closed, opened = (n[t], h[t]) if cls.update_keeps else (h[t], n[t])
            torch.lerp(closed, opened, z[t], out=h[t + 1])
        return (hiddens[1:],), (gates, resets, hiddens)

    @classmethod
    def reverse(cls, saved: Sequence[Tensor], gradients: Sequence[Tensor | None], products: Products) -> Gradients:
        """The gradient of a gate's total is a factor, known for all positions at once, times that of what it gates.

        For n and z that is dh_t; for r it is d(r h) = (d total of n) U_n.
        dh_{t-1} = dh_t * (share of the state that is kept) + d(r h) * r + (by way of R_r and R_z)
        """
        (gates, resets, hiddens), (of_hidden,) = saved, gradients
        assert of_hidden is not None
        r, z, n = gates.chunk(3, -1)
        before, size = hiddens[:-1], n.size(-1)
        kept = z if cls.update_keeps else 1 - z
        d_gates = padded(resets, 3)
        of_r, of_z, of_n = d_gates.chunk(3, -1)
        torch.ops.aten.sigmoid_backward.grad_input(before, r, grad_input=of_r)
        torch.ops.aten.sigmoid_backward.grad_input(before - n if cls.update_keeps else n - before, z, grad_input=of_z)
        torch.ops.aten.tanh_backward.grad_input(1 - kept, n, grad_input=of_n)
        h, reset_gate, keep = before.unbind(0), r.unbind(0), kept.unbind(0)
        (d_rz, d_n), (d_r, d_zn) = positions(d_gates, 2, 1), positions(d_gates, 1, 2)
        d_hidden = torch.zeros_like(h[0])
        for t in range(len(h) - 1, -1, -1):
            d_hidden += of_hidden[t]
            d_zn[t].view(-1, 2, size).mul_(d_hidden.unsqueeze(1))
            d_reset = products[-1](d_n[t])
            d_r[t].mul_(d_reset)
            through_gates = cls.reverse_gate_totals(d_rz[t], h[t], products)
            d_hidden = through_gates.addcmul_(d_hidden, keep[t]).addcmul_(d_reset, reset_gate[t])
        pairs = *cls.gate_products(d_gates[..., : 2 * size], before), (d_gates[..., 2 * size :], resets)
        return Gradients(d_gates, pairs, (d_hidden,))


class ResetBeforeGRU(ResetBeforeCell):
    """Gated recurrent unit that resets before the product.

        r_t = sigmoid(W_r x_t + U_r h_{t-1} + b_r)              reset gate
        z_t = sigmoid(W_z x_t + U_z h_{t-1} + b_z)              update gate
        n_t = tanh(W_n x_t + U_n (r_t * h_{t-1}) + b_n)         candidate
        h_t = z_t * h_{t-1} + (1 - z_t) * n_t                   hidden state

    Cho et al. (2014), equations 5 to 8, https://arxiv.org/abs/1406.1078v3. A position takes two products, one after the
    other; `GRU` takes one.
    """

    name = "gru_reset_before"
    update_keeps = True
    onnx_operator = OnnxOperator("GRU", (1, 0, 2), {"linear_before_reset": 0})
