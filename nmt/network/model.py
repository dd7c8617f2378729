"""The sequence-to-sequence network: encoder, decoder, output layer."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.config import Config, ModelConfig
from nmt.network.attention import Attention, Memory
from nmt.network.cells import Cell
from nmt.network.decoder import Decoded, Decoder, DecoderState, Grid
from nmt.network.dropout import Dropout
from nmt.network.encoder import Encoder, mirror, reorder
from nmt.network.layers import Connection, placed
from nmt.network.loss import output_cross_entropy, real_positions
from nmt.text.vocabulary import PAD


class Network(nn.Module):
    """The base class of the networks of all tasks: scaled embeddings, the initial weights, and an output layer."""

    output_weight: Tensor  # [outputs, readout_size]
    output_bias: Tensor  # [outputs]

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding_scale = config.embedding_deviation * math.sqrt(config.embedding_size)  # factor for layers
        self.embedding_dropout = Dropout(config.embedding_dropout, config.variational_dropout)

    def embed(self, embedding: nn.Embedding | nn.Linear, ids: Tensor) -> Tensor:
        """Ids of any shape, or vectors [..., size] -> what the layers read, [..., embedding size]."""
        scale = 1.0 if isinstance(embedding, nn.Linear) else self.embedding_scale
        embedded: Tensor = self.embedding_dropout(embedding(ids) * scale)
        return embedded

    def output(self, readout: Tensor) -> Tensor:
        """The output layer: readout [..., readout_size] -> logits [..., outputs]."""
        return F.linear(readout, self.output_weight, self.output_bias)

    @torch.no_grad()
    def initialize(self) -> None:
        """Draw the initial weights as `model.initialization` says.

        uniform: [-scale, scale] (Sutskever et al. 2014, section 3.4). xavier: uniform with variance 2 / (in + out) for
        each gate's matrix (Glorot & Bengio 2010). orthogonal: the same, but recurrent matrices are orthogonal gate by
        gate (Saxe et al. 2014). Embeddings have a standard deviation of 1 / sqrt(size), before they are scaled for the
        layers, and so have untied output matrices.
        Biases are zero but for the forget gates' and those of highway gates.
        """
        config = self.config
        scale, uniform = config.initialization_scale, config.initialization == "uniform"

        def draw(matrix: Tensor) -> None:
            matrix.uniform_(-scale, scale) if uniform else nn.init.xavier_uniform_(matrix)

        def draw_embedding(matrix: Tensor) -> None:
            matrix.uniform_(-scale, scale) if uniform else matrix.normal_(0, 1 / math.sqrt(matrix.size(1)))

        for module in self.modules():
            if isinstance(module, Cell):
                for gate in () if module.weight_ih is None else torch.split(module.weight_ih, module.hidden_size):
                    draw(gate)
                for gate in torch.split(module.weight_hh, module.hidden_size):
                    nn.init.orthogonal_(gate) if config.initialization == "orthogonal" else draw(gate)
                for name, weight in module.named_parameters(recurse=False):
                    if name.startswith("bias"):
                        weight.zero_()
                module.initialize_constants(config.forget_gate_bias)
            elif isinstance(module, nn.Linear):
                draw(module.weight)
                if module.bias is not None:
                    module.bias.zero_()
            elif isinstance(module, nn.Embedding):
                draw_embedding(module.weight)
            elif isinstance(module, Attention):
                for vectors in (module.score, module.coverage):
                    if vectors is not None:
                        draw(vectors)
        for module in self.modules():
            if isinstance(module, Connection) and module.gate is not None:
                module.gate.bias.fill_(-1)
        embeddings = [module.weight for module in self.modules() if isinstance(module, nn.Embedding)]
        if not any(weight is self.output_weight for weight in embeddings):
            draw_embedding(self.output_weight)


class DecoderModel(Network):
    """The part that translation models and language models share: target embeddings, decoder, output layer.

    p(y_t | y_{<t}, x) = softmax(W r_t + b)[y_t], with r_t of the decoder
    """

    def __init__(self, config: ModelConfig, target_size: int) -> None:
        super().__init__(config)
        size, tied = config.embedding_size, config.tied_embeddings != "none"
        self.target_embedding = nn.Embedding(target_size, size)
        readout_size = size if tied or config.context_input == "all" else config.hidden_size
        self.decoder = Decoder(config, readout_size)
        self.output_bias = nn.Parameter(torch.zeros(target_size))
        self.output_weight = self.target_embedding.weight
        if not tied:
            self.output_weight = nn.Parameter(torch.empty(target_size, readout_size))

    def decode(
        self, inputs: Tensor, memory: Memory, state: DecoderState, lengths: Tensor | None = None
    ) -> tuple[Tensor, DecoderState]:
        """Run the decoder over known words, as in teacher forcing.

            inputs: ids of the words before, [length, batch]
            memory, state: of each row; the state is that before the first position
            lengths: [batch], real positions; None if all are

        Returns: readout [length, batch, readout_size], and the state after each row's last real position
        """
        readout, _, state = self.decoder(self.embed(self.target_embedding, inputs), memory, state, lengths)
        return readout, state

    def cross_entropy(
        self, readout: Tensor, targets: Tensor, label_smoothing: float = 0.0, count: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Loss and negative log-likelihood of targets [length, batch] that are not PAD, summed, in nats.

        readout: [length, batch, readout_size]
        count: the number of these targets, if it is known
        """
        rows, wanted, _ = real_positions(readout, targets, count)
        return output_cross_entropy(rows, self.output_weight, self.output_bias, wanted, label_smoothing)

    def step(self, tokens: Tensor, state: DecoderState, memory: Memory, grid: Grid | None = None) -> Decoded:
        """Process one target position of a search.

            tokens: ids of the previous words, [rows]
            state: of each row, before the position
            memory: of each sentence
            grid: the rows arranged by sentence; None if row i belongs to sentence i

        Returns: log-probabilities [rows, vocabulary]; attention weights [rows, source_length] or None; the next state
        """
        readout, weights, state = self.decoder.step(self.embed(self.target_embedding, tokens), memory, state, grid)
        return torch.log_softmax(self.output(readout).to(self.output_bias.dtype), -1), weights, state


class TranslationModel(DecoderModel):
    """Encoder and decoder, linked by the summary of the source and, where configured, by attention."""

    def __init__(self, config: ModelConfig, source_size: int, target_size: int, vectors: bool = False) -> None:
        super().__init__(config, target_size)
        sizes = source_size, config.embedding_size
        self.source_embedding: nn.Embedding | nn.Linear = nn.Linear(*sizes) if vectors else self.target_embedding
        if not vectors and config.tied_embeddings != "all":
            self.source_embedding = nn.Embedding(*sizes)
        self.encoder = Encoder(config)
        self.initialize()
        if config.frozen_embeddings:
            self.source_embedding.weight.requires_grad_(config.source_embeddings is None)
            self.target_embedding.weight.requires_grad_(config.target_embeddings is None)

    @classmethod
    def of(cls, config: Config, source_size: int, target_size: int) -> TranslationModel:
        return cls(config.model, source_size, target_size, config.reads_vectors)

    def encode(self, source: Tensor, lengths: Tensor) -> tuple[Memory, DecoderState]:
        """Memory and initial state for source ids [source_length, batch] or vectors with lengths [batch]."""
        here = placed(lengths, source)
        mirrored = mirror(source.size(0), here) if self.config.reverse_source else None
        if mirrored is not None:
            source = source.gather(0, mirrored)
        inputs = self.embed(self.source_embedding, source)
        states, finals = self.encoder(inputs, lengths)
        if mirrored is not None:
            states = reorder(states, mirrored)
        real = torch.arange(len(source), device=source.device) < here.unsqueeze(1)
        memory = self.decoder.remember(states, real, finals[-1][0])
        return memory, self.decoder.initial_state(finals, memory)

    def forward(
        self,
        source: Tensor,
        lengths: Tensor,
        inputs: Tensor,
        targets: Tensor,
        label_smoothing: float = 0.0,
        count: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Teacher forcing.

            source: ids [source_length, batch]; lengths: [batch]
            inputs: target ids behind the begin symbol [target_length, batch]
            targets: target ids up to the end symbol [target_length, batch], PAD where there is nothing to predict
            count: the number of real target pieces, if it is known

        Returns: loss and negative log-likelihood, summed over the real target pieces, in nats
        """
        memory, state = self.encode(source, lengths)
        readout, _ = self.decode(inputs, memory, state, (targets != PAD).sum(0))
        return self.cross_entropy(readout, targets, label_smoothing, count)
