"""A spiking GRU: units that send 0 or 1 instead of a number, trained with a surrogate gradient, as a language model.

    python examples/spiking_gru.py

The cell is SpikGRU of Dampfhoffer et al. (2022), Investigating current-based and gating approaches for accurate and
energy-efficient spiking recurrent neural networks (ICANN 2022):

    i_t = a * i_{t-1} + W_i x_t + U_i s_{t-1} + b_i             current; a is the share that stays, one for each unit
    z_t = sigmoid(W_z x_t + U_z s_{t-1} + b_z)                  update gate
    v_t = z_t * v_{t-1} + (1 - z_t) * i_t - s_{t-1}             potential; a spike takes the threshold, 1, from it
    s_t = 1 if v_t > 1, else 0                                  spikes

Other units see only the spikes. On hardware made for it, a product with a vector of 0 and 1 needs no multiplication,
and the zeros cost nothing. But the step from v to s has the slope 0 everywhere, so that nothing can be learned through
it. The backward pass therefore uses the slope of a smooth function instead (a surrogate gradient: Neftci et al. 2019,
https://arxiv.org/abs/1901.09948; this one is SuperSpike's, Zenke & Ganguli 2018, https://arxiv.org/abs/1705.11146):

    ds/dv = 1 / (1 + k |v - 1|)^2

The program adds the cell to those of the package, so that the package's language model can use it, and trains two
models on the same sentences, built-in captions: one of spiking GRUs and one of GRUs. Only the cells differ.

On the validation sentences, the GRU has a perplexity of 6.48 per piece, and the spiking GRU 7.79 with 27 % of its units
active and 31 % fewer weights (173.7 from the frequencies of the pieces alone); 38 s of processor time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nmt.config import ModelConfig, VocabularyConfig
from nmt.data.captions import captions
from nmt.data.text_streams import Streams, Text, TextScore, join_lines, make_chunk, score_text
from nmt.inspection.watching import watched
from nmt.network.cells import CELLS, Cell, Product, State
from nmt.network.language_model import LanguageModel
from nmt.scores.perplexity import perplexity
from nmt.text.vocabulary import Vocabulary, learn_vocabulary

SHARPNESS = 5.0
"""k: the larger, the closer the surrogate is to the step, and the fewer units learn."""


class Spike(torch.autograd.Function):
    """1 where x > 0, otherwise 0; backward as if the slope were 1 / (1 + k |x|)^2."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """The step."""
        ctx.save_for_backward(x)
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """The surrogate's slope."""
        (x,) = ctx.saved_tensors
        return gradient / (1 + SHARPNESS * x.abs()).square()


class SpikingGRU(Cell):
    """The equations above. `decay` [hidden] gives a = sigmoid(decay); b_i and b_z are the biases of the base class."""

    name = "spiking_gru"
    gate_names = ("update gate", "current")
    bounded = True
    state_names = ("spikes", "potential", "current")
    recurrent_blocks = (2,)

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.decay = nn.Parameter(torch.zeros(hidden_size))

    def step(self, projected: Tensor, state: State, products: Sequence[Product]) -> State:
        """One position."""
        spikes, potential, current = state
        z, i = (projected + products[0](spikes)).chunk(2, -1)
        current = self.decay.sigmoid() * current + i
        potential = torch.lerp(current, potential, z.sigmoid()) - spikes
        return Spike.apply(potential - 1), potential, current


def make_model(cell: str, pieces: int, hidden_size: int, seed: int = 1) -> LanguageModel:
    """The package's language model of one layer of that cell."""
    CELLS.setdefault(SpikingGRU.name, SpikingGRU)
    torch.manual_seed(seed)
    config: Any = {
        "cell": cell, "embedding_size": 64, "hidden_size": hidden_size, "decoder_layers": 1, "attention": "none",
        "input_normalization": "none", "tied_embeddings": "decoder", "embedding_deviation": 1.0,
        "dropout": 0.0, "embedding_dropout": 0.0, "output_dropout": 0.0,
    }  # fmt: skip
    return LanguageModel(ModelConfig(**config), pieces)


def read(sentences: Sequence[str], vocabulary: Vocabulary) -> Text:
    """All sentences, one after another, as ids."""
    lines = [np.array(ids, np.int32) for ids in vocabulary.encode_batch(sentences)]
    return join_lines(lines, sum(map(len, lines)) + len(lines))


def train(model: LanguageModel, text: Text, updates: int, streams: int = 32, length: int = 24) -> None:
    """Truncated backpropagation through time over parallel streams of the text."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0.05, updates)
    cut, state = Streams(text, streams, length), model.initial_state(streams)
    for update in range(updates):
        number = update % len(cut.batches)
        chunk = make_chunk(*cut.pieces(number), number)
        loss, _, state = model(chunk.inputs, chunk.targets, state)
        optimizer.zero_grad()
        (loss / chunk.target_tokens).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1)
        optimizer.step()
        schedule.step()
        state = {name: tensor.detach() for name, tensor in state.items()}


def score(model: LanguageModel, sentences: Sequence[str], vocabulary: Vocabulary) -> TextScore:
    """Perplexity per piece, and bits per character."""
    return score_text(model, read(sentences, vocabulary), sum(len(sentence) + 1 for sentence in sentences))


@torch.no_grad()
def activity(model: LanguageModel, text: Text) -> float:
    """The mean share of units that are not 0 at a position."""
    inputs, _ = Streams(text, 1, 200).pieces(0)
    with watched(model) as record:
        model.decode(torch.from_numpy(inputs), {}, model.initial_state(1))
    (steps,) = record.values()
    return float(torch.stack([state[0] for state in steps.after]).ne(0).float().mean())


def frequencies_only(text: Text, other: Text, pieces: int) -> float:
    """The perplexity of a model that knows how frequent each piece is, and nothing else."""
    counts = np.bincount(text, minlength=pieces) + 1
    return perplexity(float(-np.log(counts / counts.sum())[other].mean()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=700, help="batches of 32 streams of 24 pieces (default 700)")
    options = parser.parse_args()
    splits = {split: [text for (text,) in rows] for split, rows in captions("en").items()}
    settings = VocabularyConfig(byte_fallback=False)
    learned = learn_vocabulary(splits["train"][:10_000], settings, 1000, "identity")
    training, validation = (read(splits[split], learned) for split in ("train", "validation"))
    print(f"frequencies only: perplexity {frequencies_only(training, validation, len(learned)):.1f}")
    for cell in ("gru", "spiking_gru"):
        started = time.process_time()
        network = make_model(cell, len(learned), hidden_size=192)
        train(network, training, options.updates)
        found, active = score(network, splits["validation"], learned), activity(network, validation)
        weights = sum(weight.numel() for weight in network.decoder.parameters())
        print(
            f"{cell}: perplexity {found.perplexity:.2f} ({found.bits_per_character:.3f} bits per character), "
            f"{active:.0%} of the units active, {weights:,} recurrent weights, "
            f"{time.process_time() - started:.0f} s of processor time"
        )
