"""The decoder: a recurrent language model of the target that starts from the context."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from nmt.recurrence import Layer, Layers, State
from nmt.regularization import Dropout


class Decoder(nn.Module):
    """Stacked recurrent layers that start from the encoder's final states and may see the context at each step.

        s_t = cell([E y_{t-1}; c], s_{t-1})         c only with context_input `first` or `all`
        r_t = W_r [s_t; c]                          the readout, of the embeddings' size; c only with `all`

    Sutskever et al. (2014), https://arxiv.org/abs/1409.3215, starts from the final states; Cho et al. (2014),
    section 2.2, https://arxiv.org/abs/1406.1078, feeds the context at each step, and to the output as well. The
    readout layer exists only where the sizes or `all` call for it.
    """

    def __init__(
        self,
        cell: str,
        input_size: int,
        hidden_size: int,
        layers: int,
        context_input: Literal["none", "first", "all"],
        readout_size: int,
        dropout: float,
    ) -> None:
        super().__init__()
        extra = {"none": 0, "first": hidden_size, "all": hidden_size}[context_input]
        deeper = hidden_size + (hidden_size if context_input == "all" else 0)
        self.context_input = context_input
        self.layers = Layers(
            Layer(cell, input_size + extra if depth == 0 else deeper, hidden_size) for depth in range(layers)
        )
        self.readout = nn.Linear(deeper, readout_size) if readout_size != deeper else None
        self.dropout = Dropout(dropout)

    def initial_state(self, finals: list[State]) -> list[State]:
        """Each layer's first state: that of the encoder layer beside it, from the top; more layers repeat the top's."""
        below = max(0, len(finals) - len(self.layers))
        return [finals[min(below + depth, len(finals) - 1)] for depth in range(len(self.layers))]

    def forward(self, inputs: Tensor, state: list[State], context: Tensor) -> tuple[Tensor, list[State]]:
        """Teacher forcing over a whole target.

            inputs: [target_length, batch, size], embeddings of the words before
            state: each layer's state before the first word
            context: [batch, hidden]

        Returns: readout [target_length, batch, readout_size], and each layer's states at every position
        """
        states, outputs = [], inputs
        for depth, layer in enumerate(self.layers):
            if depth > 0:
                outputs = self.dropout(outputs)
            every = layer(outputs, state[depth], self._constant(depth, context))
            states.append(every)
            outputs = every[0]
        return self._read_out(outputs, context), states

    def step(self, inputs: Tensor, state: list[State], context: Tensor) -> tuple[Tensor, list[State]]:
        """One position: inputs [batch, size] -> readout [batch, readout_size] and the states after it."""
        after, outputs = [], inputs
        for depth, layer in enumerate(self.layers):
            if depth > 0:
                outputs = self.dropout(outputs)
            after.append(layer.step(outputs, state[depth], self._constant(depth, context)))
            outputs = after[-1][0]
        return self._read_out(outputs, context), after

    def _constant(self, depth: int, context: Tensor) -> Tensor | None:
        return context if self.context_input == "all" or (self.context_input == "first" and depth == 0) else None

    def _read_out(self, outputs: Tensor, context: Tensor) -> Tensor:
        outputs = self.dropout(outputs)
        if self.readout is None:
            return outputs
        size = outputs.size(-1)  # the context's part of the product is the same at each position and taken once
        readout = F.linear(
            outputs, self.readout.weight[:, :size], None if self.context_input == "all" else self.readout.bias
        )
        if self.context_input == "all":
            readout = readout + F.linear(context, self.readout.weight[:, size:], self.readout.bias)
        return readout
