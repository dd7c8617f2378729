"""The encoder: reads the source and leaves its final states."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nmt.recurrence import Layer, Layers, State
from nmt.regularization import Dropout


class Encoder(nn.Module):
    """Stacked recurrent layers in one or both directions.

    Sutskever et al. (2014), https://arxiv.org/abs/1409.3215; both directions: Schuster & Paliwal (1997).

    The backward direction reads each sentence from its own last word, so padding, which stands behind the words,
    reaches no final state.
    """

    def __init__(
        self, cell: str, input_size: int, hidden_size: int, layers: int, bidirectional: bool, dropout: float
    ) -> None:
        super().__init__()
        size = hidden_size // 2 if bidirectional else hidden_size
        sizes = [input_size] + [hidden_size] * (layers - 1)
        self.forward_layers = Layers(Layer(cell, s, size) for s in sizes)
        self.backward_layers = Layers(Layer(cell, s, size) for s in sizes) if bidirectional else None
        self.dropout = Dropout(dropout)

    def forward(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, list[State]]:
        """Read a batch.

            inputs: [source_length, batch, size], padding behind each sentence
            lengths: [batch], words of each sentence

        Returns: the top layer's states [source_length, batch, hidden] and each layer's final state (of both directions
        side by side), [batch, hidden] each
        """
        length, batch = inputs.size(0), inputs.size(1)
        last = (lengths - 1, torch.arange(batch, device=lengths.device))
        mirrored = mirror(length, lengths)
        finals: list[State] = []
        states = inputs
        for depth, layer in enumerate(self.forward_layers):
            if depth > 0:
                states = self.dropout(states)
            every = layer(states, layer.zero_state(states))
            final = tuple(tensor[last] for tensor in every)
            outputs = every[0]
            if self.backward_layers is not None:
                layer = self.backward_layers.at(depth)
                every = layer(_reorder(states, mirrored), layer.zero_state(states))
                final = tuple(torch.cat((one, other[last]), -1) for one, other in zip(final, every, strict=True))
                outputs = torch.cat((outputs, _reorder(every[0], mirrored)), -1)
            states = outputs
            finals.append(final)
        return states, finals


def mirror(length: int, lengths: Tensor) -> Tensor:
    """Positions that turn each sentence around and leave its padding behind it: [length, batch]."""
    position = torch.arange(length, device=lengths.device).unsqueeze(1)
    return torch.where(position < lengths, lengths - 1 - position, position)


def _reorder(states: Tensor, positions: Tensor) -> Tensor:
    """states[positions[t, b], b] for every t and b."""
    batch = positions.size(1)
    rows = (positions * batch + torch.arange(batch, device=positions.device)).flatten()
    return states.flatten(0, 1).index_select(0, rows).view_as(states)
