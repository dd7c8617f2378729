"""A variational autoencoder of sentences: it writes a sentence for every point of a space, and neighbours are alike.

    python examples/variational_autoencoder.py
    python examples/variational_autoencoder.py --annealing 0 --word-dropout 0        # without both remedies

Bowman et al. (2016), Generating sentences from a continuous space, https://arxiv.org/abs/1511.06349. The encoder reads
a sentence x and gives the mean m and the deviation s of a normal distribution q(z|x); the decoder writes x again from
a point z drawn from it. With n drawn from N(0, 1), the loss of a sentence is (Kingma & Welling 2014,
https://arxiv.org/abs/1312.6114):

    z = m + s * n
    loss = -log p(x|z) + beta KL,        KL = 1/2 sum_k (m_k^2 + s_k^2 - 1 - log s_k^2)

KL is the divergence of q(z|x) from N(0, 1), in nats. With beta = 1 the loss is an upper bound of -log p(x), and points
drawn from N(0, 1) become sentences. A decoder that predicts each word well from the words before it does not need z,
and then the KL falls to 0 before z is of use. Against this (section 3.1 of the paper), beta grows from 0 to 1 during
the first part of the training, and words that the decoder reads are replaced by the unknown piece (word dropout).

Encoder, decoder, batches and word dropout are those of the package; z takes the place of the source's summary, which
the decoder reads at each position. The sentences are the English captions of `builtin:captions`.

On the test sentences: -log p(x|z) 19.4 + KL 7.6 = 27.0 nats per sentence, and half of the words are found again
from its point (15 % from that of another sentence); 78 s of processor time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nmt.config import ModelConfig, TrainingConfig, VocabularyConfig
from nmt.data.batching import Batch, drop_words, make_batch, plan_batches
from nmt.data.captions import captions
from nmt.network.attention import Memory
from nmt.network.decoder import DecoderState
from nmt.network.encoder import Encoder
from nmt.network.model import DecoderModel
from nmt.text.vocabulary import BEGIN, END, PAD, UNK, Vocabulary, learn_vocabulary

LONGEST = 30
"""Pieces of a sentence that is written, at most."""


class Autoencoder(DecoderModel):
    """The network of the equations above, with GRUs."""

    def __init__(self, pieces: int, hidden_size: int, latent_size: int) -> None:
        settings: Any = {
            "cell": "gru", "embedding_size": hidden_size // 2, "hidden_size": hidden_size, "decoder_layers": 1,
            "attention": "none", "context_input": "all", "input_normalization": "none", "tied_embeddings": "decoder",
            "dropout": 0.0, "embedding_dropout": 0.0, "output_dropout": 0.0,
        }  # fmt: skip
        config = ModelConfig(**settings)
        super().__init__(config, pieces)
        self.encoder = Encoder(config)
        self.posterior = nn.Linear(hidden_size, 2 * latent_size)
        self.start = nn.Linear(latent_size, hidden_size)
        self.initialize()

    def read(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The mean and the logarithm of the variance of q(z|x), [batch, latent] each."""
        _, finals = self.encoder(self.embed(self.target_embedding, batch.source), batch.lengths)
        mean, log_variance = self.posterior(finals[-1][0]).chunk(2, -1)
        return mean, log_variance

    def begin(self, z: Tensor) -> tuple[Memory, DecoderState]:
        """What the decoder reads at each position, and the state that it starts from."""
        summary = torch.tanh(self.start(z))
        memory = {"summary": summary}
        return memory, self.decoder.initial_state([(summary,)], memory)

    def forward(self, batch: Batch, turn: int = 0) -> tuple[Tensor, Tensor]:
        """-log p(x|z) and KL, summed over the batch, in nats; with `turn`, z is that of so many sentences before."""
        mean, log_variance = self.read(batch)
        z = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        memory, state = self.begin(z.roll(turn, 0))
        readout, _ = self.decode(batch.inputs, memory, state, (batch.targets != PAD).sum(0))
        return self.cross_entropy(readout, batch.targets)[0], divergence(mean, log_variance).sum()

    @torch.no_grad()
    def write(self, z: Tensor, vocabulary: Vocabulary) -> list[str]:
        """The most probable piece at each position, for each point [points, latent]."""
        memory, state = self.begin(z)
        tokens, written = torch.full((len(z),), BEGIN), []
        for _ in range(LONGEST):
            log_probs, _, state = self.step(tokens, state, memory)
            log_probs[:, UNK] = -torch.inf
            tokens = log_probs.argmax(-1)
            written.append(tokens)
        rows = torch.stack(written, 1).tolist()
        return [vocabulary.decode(row[: row.index(END)] if END in row else row) for row in rows]


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL of N(mean, variance) from N(0, 1), summed over the last dimension."""
    return (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1) / 2


def train(
    model: Autoencoder, sentences: Sequence[str], vocabulary: Vocabulary, updates: int, *,
    annealing: float, word_dropout: float, seed: int = 1, learning_rate: float = 0.003,
) -> None:  # fmt: skip
    """Train with beta = update / (annealing * updates), but at most 1."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    pieces = [np.array(ids) for ids in vocabulary.encode_batch(sentences)]
    lengths, starts = np.array([len(ids) for ids in pieces]), np.array(vocabulary.starts_word())
    settings = TrainingConfig(batch_size=64, batch_unit="sentences")
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0.1, updates)
    plan: list[np.ndarray] = []
    for update in range(updates):
        plan = plan or plan_batches(lengths, lengths, settings, rng)
        chosen = [pieces[number] for number in plan.pop()]
        batch = make_batch(chosen, drop_words(chosen, starts, word_dropout, rng), chosen, np.arange(len(chosen)))
        reconstruction, kl = model(batch)
        beta = min(1.0, update / max(annealing * updates, 1))
        optimizer.zero_grad()
        ((reconstruction + beta * kl) / len(chosen)).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5)
        optimizer.step()
        schedule.step()


def whole(sentences: Sequence[str], vocabulary: Vocabulary) -> Batch:
    """All sentences as one batch."""
    pieces = [np.array(ids) for ids in vocabulary.encode_batch(sentences)]
    return make_batch(pieces, pieces, pieces, np.arange(len(pieces)))


@torch.no_grad()
def means(model: Autoencoder, sentences: Sequence[str], vocabulary: Vocabulary) -> Tensor:
    """The mean of q(z|x) for each sentence."""
    return model.read(whole(sentences, vocabulary))[0]


def interpolate(one: Tensor, other: Tensor, steps: int) -> Tensor:
    """Points at equal distances on the line from one to the other, with both ends, [steps, latent]."""
    return torch.lerp(one, other, torch.linspace(0, 1, steps).unsqueeze(1))


def common_words(sentences: Sequence[str], others: Sequence[str]) -> float:
    """The mean share of a sentence's words that occur in the other sentence."""
    shares = []
    for sentence, other in zip(sentences, others, strict=True):
        words = set(sentence.split())
        shares.append(len(words & set(other.split())) / len(words))
    return sum(shares) / len(shares)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=1500, help="batches of 64 sentences (default 1500)")
    parser.add_argument("--annealing", type=float, default=0.5, help="share of the training in which beta grows")
    parser.add_argument("--word-dropout", type=float, default=0.4, help="share of the words that the decoder misses")
    options = parser.parse_args()
    splits = {split: [text for (text,) in rows] for split, rows in captions("en").items()}
    learned = learn_vocabulary(splits["train"][:10_000], VocabularyConfig(byte_fallback=False), 1000, "identity")
    network, test = Autoencoder(len(learned), 192, 16), splits["test"]
    dropout = options.word_dropout
    train(network, splits["train"], learned, options.updates, annealing=options.annealing, word_dropout=dropout)
    network.eval()
    points, batch = means(network, test, learned), whole(test, learned)
    with torch.no_grad():
        (reconstruction, kl), (without, _) = ([sum.item() / len(test) for sum in network(batch, n)] for n in (0, 1))
    print(f"test: -log p(x|z) {reconstruction:.1f} + KL {kl:.1f} = {reconstruction + kl:.1f} nats per sentence")
    print(f"with the point of another sentence: -log p(x|z) {without:.1f}")
    print(f"dimensions of z that are used: {(points.var(0) > 0.01).sum()} of {points.size(1)}")
    written = network.write(points, learned)
    print(
        f"words found again: {common_words(test, written):.1%}; in the reconstruction of another sentence: "
        f"{common_words(test, written[1:] + written[:1]):.1%}"
    )
    torch.manual_seed(1)
    print("\nsampled:", *network.write(torch.randn(6, 16), learned), sep="\n    ")
    for first, last in ((0, 1), (2, 3)):
        path = network.write(interpolate(points[first], points[last], 6), learned)
        print(f"\nfrom `{test[first]}` to `{test[last]}`:", *path, sep="\n    ")
    print(f"\nprocessor time: {time.process_time():.0f} s")
