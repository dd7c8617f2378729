"""The network of tasks that write labels instead of a text: encoder, pooling, output layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nmt.config import Config, ModelConfig
from nmt.network.dropout import Dropout
from nmt.network.encoder import Encoder
from nmt.network.layers import LayerState, placed
from nmt.network.model import Network


class Pooling(nn.Module):
    """One vector for each input, from the encoder's states h_1 ... h_n of its real positions.

    last        the last state of each direction
    mean        1/n sum_t h_t
    max         the largest value of each unit (Conneau et al. 2017, section 3.2.2, https://arxiv.org/abs/1705.02364)
    attention   sum_t a_t h_t with a = softmax_t(v . tanh(W h_t)) (Lin et al. 2017, section 2.1,
                https://arxiv.org/abs/1703.03130, with a single row of attention)
    """

    def __init__(self, kind: str, size: int) -> None:
        super().__init__()
        self.kind = kind
        self.hidden = nn.Linear(size, size, bias=False) if kind == "attention" else None
        self.score = nn.Linear(size, 1, bias=False) if kind == "attention" else None

    def forward(self, states: Tensor, real: Tensor, last: Tensor) -> Tensor:
        """States [length, batch, size], where `real` [length, batch], and the `last` one, pooled: [batch, size]."""
        if self.kind == "last":
            return last
        padding = (1 - real.to(states.dtype)).unsqueeze(-1)  # [length, batch, 1]
        if self.kind == "mean":
            return (states * (1 - padding)).sum(0) / (1 - padding).sum(0)
        if self.kind == "max":
            return (states - 1e4 * padding).amax(0)
        return (self.weights(states, real) * states).sum(0)

    def weights(self, states: Tensor, real: Tensor) -> Tensor:
        """The attention weights a, [length, batch, 1]; shapes as in `forward`."""
        assert self.hidden is not None and self.score is not None
        scores = self.score(torch.tanh(self.hidden(states))).to(states.dtype)
        return torch.softmax(scores - 1e4 * (1 - real.to(states.dtype)).unsqueeze(-1), 0)


class EncoderModel(Network):
    """p(label | x) = softmax(W r + b), with r the pooled states of the encoder, or its state at each position.

    Numbers that are predicted are W r + b itself. With `model.crf` the labels of all positions are predicted together,
    from the same scores and from those of the transitions (`nmt.network.label_chain`).

    source_size: pieces of the source vocabulary, or the size of the vectors that are read
    outputs: labels or numbers
    pooled: whether an input has one output instead of one for each position
    vectors: whether the input is vectors, which a linear map takes to the embedding size
    numbers: whether the outputs are numbers
    """

    def __init__(
        self,
        config: ModelConfig,
        source_size: int,
        outputs: int,
        pooled: bool,
        vectors: bool = False,
        numbers: bool = False,
    ) -> None:
        super().__init__(config)
        self.numbers = numbers
        sizes = source_size, config.embedding_size
        self.source_embedding = nn.Linear(*sizes) if vectors else nn.Embedding(*sizes)
        self.encoder = Encoder(config)
        self.pooling = Pooling(config.pooling, config.hidden_size) if pooled else None
        self.output_dropout = Dropout(config.output_dropout, config.variational_dropout)
        self.output_weight = nn.Parameter(torch.empty(outputs, config.hidden_size))
        self.output_bias = nn.Parameter(torch.zeros(outputs))
        self.initialize()
        self.transitions = nn.Parameter(torch.zeros(outputs + 1, outputs)) if config.crf else None
        self.source_embedding.weight.requires_grad_(not config.frozen_embeddings)

    @classmethod
    def of(cls, config: Config, source_size: int, target_size: int) -> EncoderModel:
        numbers = config.kind.target == "numbers"
        return cls(config.model, source_size, target_size, config.pooled, config.reads_vectors, numbers)

    def forward(self, source: Tensor, lengths: Tensor) -> Tensor:
        """Compute the input of the output layer.

            source: ids with the end symbol, [length, batch], or vectors, [length, batch, size]
            lengths: [batch], with the end symbol

        Returns: [1, batch, hidden] if the states are pooled, otherwise [length, batch, hidden]
        """
        states, finals = self.encoder(self.embed(self.source_embedding, source), lengths)
        readout: Tensor = self.output_dropout(self.pool(states, lengths, finals[-1][0]))
        return readout

    def read_on(
        self, source: Tensor, lengths: Tensor, states: Sequence[LayerState] | None
    ) -> tuple[Tensor, list[LayerState]]:
        """Read a stretch of longer inputs with one output for each position, behind a stretch that left `states`.

        Returns: what the output layer reads, and the states for the next stretch, where the gradient ends
        """
        outputs, after = self.encoder.read_on(self.embed(self.source_embedding, source), lengths, states)
        return self.output_dropout(outputs), [tuple(tensor.detach() for tensor in state) for state in after]

    def predict(self, readout: Tensor) -> Tensor:
        """The log-probabilities of the labels, or the numbers, [1 or length, batch, outputs]."""
        output = self.output(readout)
        return output if self.numbers else torch.log_softmax(output, -1)

    def pool(self, states: Tensor, lengths: Tensor, last: Tensor) -> Tensor:
        """The states to classify: the pooled one as a sequence of length 1, or all of them."""
        if self.pooling is None:
            return states
        real = torch.arange(len(states), device=states.device).unsqueeze(1) < placed(lengths, states)
        pooled: Tensor = self.pooling(states, real, last)
        return pooled.unsqueeze(0)
