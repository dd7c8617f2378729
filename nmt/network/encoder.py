"""The encoder: reads the source and leaves a state for each of its positions, and its final states."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nmt.config import ModelConfig
from nmt.network.dropout import Dropout
from nmt.network.layers import Connection, Layer, Layers, LayerState, placed


class Encoder(nn.Module):
    """Stacked recurrent layers in one or both directions.

    Sutskever et al. (2014), https://arxiv.org/abs/1409.3215; both directions: Schuster & Paliwal (1997).

    The backward direction reads each sentence from its own last word, so padding, which follows the words,
    reaches no final state.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        hidden, layers = config.hidden_size, config.encoder_layers
        size = hidden // 2 if config.bidirectional else hidden
        sizes = [config.embedding_size] + [hidden] * (layers - 1)
        self.forward_layers = Layers(Layer(config, s, size) for s in sizes)
        self.backward_layers = Layers(Layer(config, s, size) for s in sizes) if config.bidirectional else None
        self.connections = nn.ModuleList(Connection(config.connections, hidden) for _ in range(layers - 1))
        self.dropout = Dropout(config.dropout, config.variational_dropout)

    def forward(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, list[LayerState]]:
        """Read a batch.

            inputs: [source_length, batch, size], padding behind each sentence
            lengths: [batch], words of each sentence; in main memory the kernels of a GPU need not wait for them

        Returns: the top layer's outputs [source_length, batch, hidden] and each layer's final state (of both directions
        side by side; its first tensor is the layer's output there, with its skip connection), [batch, hidden] each
        """
        mirrored = mirror(inputs.size(0), placed(lengths, inputs))
        finals: list[LayerState] = []
        below = inputs
        for depth, layer in enumerate(self.forward_layers):
            dropped = self.dropout(below) if depth > 0 else below
            outputs, final = layer(dropped, layer.zero_state(dropped), lengths=lengths)
            if self.backward_layers is not None:
                layer = self.backward_layers.at(depth)
                reverse, last = layer(reorder(dropped, mirrored), layer.zero_state(dropped), lengths=lengths)
                outputs = torch.cat((outputs, reorder(reverse, mirrored)), -1)
                final = tuple(torch.cat(both, -1) for both in zip(final, last, strict=True))
            if depth > 0:
                around = self.connections[depth - 1]
                outputs = around(below, outputs)
                final = (around(finals[-1][0], final[0]), *final[1:])
            below = outputs
            finals.append(final)
        return below, finals

    def read_on(
        self, inputs: Tensor, lengths: Tensor, states: Sequence[LayerState] | None
    ) -> tuple[Tensor, list[LayerState]]:
        """Read a stretch of longer inputs; only for an encoder of a single direction.

            inputs: [length, batch, size]
            lengths: [batch], real positions of each input from the stretch on; may be more than its length, or negative
            states: of each layer after the stretch before; None at the beginning

        Returns: the top layer's outputs, and the states after the stretch
        """
        below, after = inputs, list[LayerState]()
        for depth, layer in enumerate(self.forward_layers):
            dropped = self.dropout(below) if depth > 0 else below
            before = layer.zero_state(dropped) if states is None else states[depth]
            outputs, state = layer(dropped, before, lengths=lengths.clamp(1, len(inputs)))
            below = self.connections[depth - 1](below, outputs) if depth > 0 else outputs
            after.append(state)
        return below, after


def mirror(length: int, lengths: Tensor) -> Tensor:
    """Positions that turn each sentence around and leave its padding behind it: [length, batch]."""
    position = torch.arange(length, device=lengths.device).unsqueeze(1)
    return torch.where(position < lengths, lengths - 1 - position, position)


def reorder(states: Tensor, positions: Tensor) -> Tensor:
    """states[positions[t, b], b] for every t and b."""
    batch = positions.size(1)
    rows = (positions * batch + torch.arange(batch, device=positions.device)).flatten()
    return states.flatten(0, 1).index_select(0, rows).view_as(states)
