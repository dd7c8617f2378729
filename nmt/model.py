"""The sequence-to-sequence network: encoder, context vector, decoder, output layer."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.cells import LSTM
from nmt.config import ModelConfig
from nmt.decoder import Decoder
from nmt.encoder import Encoder, mirror
from nmt.loss import output_cross_entropy
from nmt.recurrence import State
from nmt.regularization import Dropout
from nmt.vocabulary import PAD


class TranslationModel(nn.Module):
    """Encoder-decoder without attention: all the decoder learns of the source is a vector of fixed size.

    p(y | x) = prod_t softmax(W r_t + b)[y_t]
    """

    def __init__(self, config: ModelConfig, source_size: int, target_size: int) -> None:
        super().__init__()
        self.config = config
        size, hidden = config.embedding_size, config.hidden_size
        tied = config.tied_embeddings
        self.target_embedding = nn.Embedding(target_size, size)
        self.source_embedding = self.target_embedding if tied == "all" else nn.Embedding(source_size, size)
        self.embedding_dropout = Dropout(config.embedding_dropout)
        self.encoder = Encoder(config.cell, size, hidden, config.encoder_layers, config.bidirectional, config.dropout)
        readout_size = size if tied != "none" or config.context_input == "all" else hidden
        self.decoder = Decoder(
            config.cell, size, hidden, config.decoder_layers, config.context_input, readout_size, config.dropout
        )
        self.output_bias = nn.Parameter(torch.zeros(target_size))
        weight = self.target_embedding.weight if tied != "none" else torch.empty(target_size, readout_size)
        self.output_weight = weight if isinstance(weight, nn.Parameter) else nn.Parameter(weight)
        self.initialize()

    @torch.no_grad()
    def initialize(self) -> None:
        """Draw the initial weights as `model.initialization` says.

        uniform: [-scale, scale] (Sutskever et al. 2014, section 3.4). xavier: uniform with variance 2 / (in + out) for
        each gate's matrix (Glorot & Bengio 2010). orthogonal: the same, but recurrent matrices are orthogonal gate by
        gate (Saxe et al. 2014). Embeddings that are also the output matrix have a standard deviation of 1 / sqrt(size).
        Biases are zero but for the forget gate's.
        """
        config = self.config
        for name, weight in self.named_parameters():
            if weight.dim() == 1:
                weight.zero_()
            elif config.initialization == "uniform":
                weight.uniform_(-config.initialization_scale, config.initialization_scale)
            elif "embedding" in name or name == "output_weight":
                weight.normal_(0, 1 / math.sqrt(weight.size(1)))
            else:
                gates = weight.chunk(4) if ".cell." in name else [weight]
                for gate in gates:
                    if config.initialization == "orthogonal" and name.endswith("weight_hh"):
                        nn.init.orthogonal_(gate)
                    else:
                        nn.init.xavier_uniform_(gate)
        for module in self.modules():
            if isinstance(module, LSTM):
                module.set_forget_gate_bias(config.forget_gate_bias)

    def encode(self, source: Tensor, lengths: Tensor) -> tuple[Tensor, list[State]]:
        """Read source ids [source_length, batch] of the given lengths [batch].

        Returns: the context vector [batch, hidden] and the decoder's initial state
        """
        if self.config.reverse_source:
            source = source.gather(0, mirror(source.size(0), lengths))
        inputs = self.embedding_dropout(self.source_embedding(source))
        _, finals = self.encoder(inputs, lengths)
        return finals[-1][0], self.decoder.initial_state(finals)

    def forward(
        self, source: Tensor, lengths: Tensor, inputs: Tensor, targets: Tensor, label_smoothing: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        """Teacher forcing.

            source: ids [source_length, batch]; lengths: [batch]
            inputs: target ids behind the begin symbol [target_length, batch]
            targets: target ids up to the end symbol [target_length, batch], PAD where there is nothing to predict

        Returns: loss and negative log-likelihood, summed over the real target pieces, in nats
        """
        context, state = self.encode(source, lengths)
        embedded = self.embedding_dropout(self.target_embedding(inputs))
        readout, _ = self.decoder(embedded, state, context)
        real = (targets.flatten() != PAD).nonzero().squeeze(1)
        rows = readout.flatten(0, 1).index_select(0, real)
        return output_cross_entropy(
            rows, self.output_weight, self.output_bias, targets.flatten()[real], label_smoothing
        )

    def step(self, tokens: Tensor, state: list[State], context: Tensor) -> tuple[Tensor, list[State]]:
        """One target position: ids [batch] of the last pieces -> log-probabilities [batch, vocabulary], next state."""
        readout, state = self.decoder.step(self.target_embedding(tokens), state, context)
        return torch.log_softmax(F.linear(readout, self.output_weight, self.output_bias), -1), state
