"""A recurrent language model: the decoder of a translation model without a source."""

from __future__ import annotations

from torch import Tensor

from nmt.config import Config, ModelConfig
from nmt.network.decoder import DecoderState
from nmt.network.loss import output_cross_entropy
from nmt.network.model import DecoderModel


class LanguageModel(DecoderModel):
    """p(y) = prod_t p(y_t | y_{<t}). Mikolov et al. (2010); with LSTMs: Zaremba et al. (2014)."""

    def __init__(self, config: ModelConfig, target_size: int) -> None:
        super().__init__(config, target_size)
        self.initialize()
        if config.frozen_embeddings:
            self.target_embedding.weight.requires_grad_(config.target_embeddings is None)

    @classmethod
    def of(cls, config: Config, source_size: int, target_size: int) -> LanguageModel:
        """The network of a configuration; it has no source."""
        return cls(config.model, target_size)

    def initial_state(self, batch: int) -> DecoderState:
        """The state before any text: zeros, for a batch of texts."""
        like = self.output_bias.new_zeros(1, batch)
        return self.decoder.initial_state([layer.zero_state(like) for layer in self.decoder.layers], {})

    def forward(
        self, inputs: Tensor, targets: Tensor, state: DecoderState, label_smoothing: float = 0.0
    ) -> tuple[Tensor, Tensor, DecoderState]:
        """Read a stretch of text.

            inputs: ids of the pieces before, [length, batch]
            targets: ids of the pieces to predict, [length, batch]
            state: after the stretch before, one row for each text

        Returns: loss and negative log-likelihood, summed over the pieces, in nats; the state after the stretch
        """
        readout, state = self.decode(inputs, {}, state)
        loss, negative = output_cross_entropy(
            readout.flatten(0, 1), self.output_weight, self.output_bias, targets.flatten(), label_smoothing
        )
        return loss, negative, state
