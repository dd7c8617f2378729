"""Plain recurrent networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from nmt.network.cells.cell import OnnxOperator, Products, State
from nmt.network.cells.scan import Gradients, Scanned, ScannedCell, padded


class RNN(ScannedCell):
    """Simple recurrent network.

        h_t = a(W x_t + U h_{t-1} + b)

    Elman (1990), https://doi.org/10.1207/s15516709cog1402_1. The activation a is the subclass's; the parameters have
    the names and shapes of `torch.nn.RNNCell`.
    """

    gate_names = ("recurrent",)
    recurrent_blocks = (1,)

    activate_: ClassVar[Callable[..., Tensor]]  # in place
    slope: ClassVar[Callable[..., Tensor]]  # the derivative of the activation, from its value

    def step(self, projected: Tensor, state: State, products: Products) -> State:
        hidden = state[0]
        return (self.activate_(projected + products[0](hidden)).to(hidden.dtype),)

    @classmethod
    def unroll(cls, projected: Tensor, state: State, products: Products, parameters: Sequence[Tensor]) -> Scanned:
        hiddens = torch.cat((state[0][None], projected))
        before, after = hiddens[:-1].unbind(0), hiddens[1:].unbind(0)
        for t in range(len(after)):
            cls.activate_(after[t].add_(products[0](before[t])))
        return (hiddens[1:],), (hiddens,)

    @classmethod
    def reverse(cls, saved: Sequence[Tensor], gradients: Sequence[Tensor | None], products: Products) -> Gradients:
        """d total_t = a' * dh_t;  dh_{t-1} = d total_t U."""
        (hiddens,), (of_hidden,) = saved, gradients
        assert of_hidden is not None
        d_total = padded(hiddens[1:], 1).copy_(cls.slope(hiddens[1:]))
        positions = d_total.unbind(0)
        d_hidden = torch.zeros_like(hiddens[0])
        for t in range(len(positions) - 1, -1, -1):
            positions[t].mul_(d_hidden.add_(of_hidden[t]))
            d_hidden = products[0](positions[t])
        return Gradients(d_total, ((d_total, hiddens[:-1]),), (d_hidden,))


class TanhRNN(RNN):
    """a = tanh, as in Elman (1990) and `torch.nn.RNN`."""

    name = "rnn_tanh"
    bounded = True
    kernel = staticmethod(torch.rnn_tanh)
    onnx_operator = OnnxOperator("RNN", (0,), {"activations": ["Tanh"]})
    activate_ = staticmethod(torch.tanh_)
    slope = staticmethod(lambda output: 1 - output.square())


class ReLURNN(RNN):
    """a = max(0, .). Its recurrent weights should start as the identity, or orthogonal, as here by default: Le et al.
    (2015), https://arxiv.org/abs/1504.00941.
    """

    name = "rnn_relu"
    bounded = False
    kernel = staticmethod(torch.rnn_relu)
    onnx_operator = OnnxOperator("RNN", (0,), {"activations": ["Relu"]})
    activate_ = staticmethod(torch.relu_)
    slope = staticmethod(lambda output: (output > 0).to(output.dtype))


class LeakyReLURNN(RNN):
    """a(x) = x for x > 0, 0.01 x otherwise (Maas et al. 2013), so that no unit stops learning."""

    name = "rnn_leaky_relu"
    bounded = False
    onnx_operator = OnnxOperator("RNN", (0,), {"activations": ["LeakyRelu"], "activation_alpha": [0.01]})
    activate_ = staticmethod(F.leaky_relu_)
    slope = staticmethod(lambda output: (output > 0).to(output.dtype).clamp_(min=0.01))
