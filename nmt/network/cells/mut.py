"""The three mutations of the GRU that an evolutionary search preferred.

Jozefowicz, Zaremba & Sutskever (2015), https://proceedings.mlr.press/v37/jozefowicz15.html. Where the paper takes x_t
itself as a vector of the hidden size, we use W x_t. The gates are in the order r, z, n (the paper's h).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from nmt.network.cells.cell import Products, State
from nmt.network.cells.reset_before import ResetBeforeCell


class MUT1(ResetBeforeCell):
    """MUT1: the update gate sees the input alone, and the candidate a squashed input.

        r_t = sigmoid(W_r x_t + U_r h_{t-1} + b_r)
        z_t = sigmoid(W_z x_t + b_z)
        n_t = tanh(U_n (r_t * h_{t-1}) + tanh(W_n x_t + b_n) + c_n)
        h_t = z_t * n_t + (1 - z_t) * h_{t-1}

    c_n is the last third of `bias_hh`; b_n belongs to W_n x_t, which the paper writes x_t.
    """

    name = "mut1"
    recurrent_blocks = (1, 1)
    update_keeps = False

    @property
    def recurrent_names(self) -> tuple[str, ...]:
        return "reset gate", "candidate"

    def input_bias(self) -> Tensor:
        """All biases but c_n, which is added after the tanh."""
        return self.bias_ih + F.pad(self.bias_hh[: 2 * self.hidden_size], (0, self.hidden_size))

    @classmethod
    def gate_totals(cls, hidden: Tensor, products: Products) -> Tensor:
        return F.pad(products[0](hidden), (0, hidden.size(-1)))

    @classmethod
    def reverse_gate_totals(cls, d_totals: Tensor, hidden: Tensor, products: Products) -> Tensor:
        return products[0](d_totals.chunk(2, -1)[0])

    @classmethod
    def gate_products(cls, d_totals: Tensor, hiddens: Tensor) -> tuple[tuple[Tensor, Tensor], ...]:
        return ((d_totals.chunk(2, -1)[0], hiddens),)

    def prepare(self, projected: Tensor) -> Tensor:
        """The candidate's part of the projected input becomes tanh(W_n x_t + b_n) + c_n."""
        rest, candidate = torch.split(projected, [2 * self.hidden_size, self.hidden_size], -1)
        return torch.cat((rest, candidate.tanh() + self.bias_hh[2 * self.hidden_size :]), -1)

    def step(self, projected: Tensor, state: State, products: Products) -> State:
        return super().step(self.prepare(projected), state, products)


class MUT2(ResetBeforeCell):
    """MUT2: the GRU that resets before the product, with its update gate read the other way round.

        r_t = sigmoid(W_r x_t + U_r h_{t-1} + b_r)
        z_t = sigmoid(W_z x_t + U_z h_{t-1} + b_z)
        n_t = tanh(U_n (r_t * h_{t-1}) + W_n x_t + b_n)
        h_t = z_t * n_t + (1 - z_t) * h_{t-1}

    The paper writes x_t for W_r x_t: there the reset gate sees the input as it is.
    """

    name = "mut2"
    update_keeps = False


class MUT3(ResetBeforeCell):
    """MUT3: the update gate sees a squashed state.

        r_t = sigmoid(W_r x_t + U_r h_{t-1} + b_r)
        z_t = sigmoid(W_z x_t + U_z tanh(h_{t-1}) + b_z)
        n_t = tanh(U_n (r_t * h_{t-1}) + W_n x_t + b_n)
        h_t = z_t * n_t + (1 - z_t) * h_{t-1}

    The others take h_{t-1} as it is.
    """

    name = "mut3"
    recurrent_blocks = (1, 1, 1)
    update_keeps = False

    @classmethod
    def gate_totals(cls, hidden: Tensor, products: Products) -> Tensor:
        return torch.cat((products[0](hidden), products[1](hidden.tanh())), -1)

    @classmethod
    def reverse_gate_totals(cls, d_totals: Tensor, hidden: Tensor, products: Products) -> Tensor:
        d_r, d_z = d_totals.chunk(2, -1)
        return products[0](d_r).addcmul_(products[1](d_z), 1 - hidden.tanh().square_())

    @classmethod
    def gate_products(cls, d_totals: Tensor, hiddens: Tensor) -> tuple[tuple[Tensor, Tensor], ...]:
        d_r, d_z = d_totals.chunk(2, -1)
        return (d_r, hiddens), (d_z, hiddens.tanh())
