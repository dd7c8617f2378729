"""A text as parallel streams: what a language model trains on and is scored on.

The lines of a text, each between begin and end symbol, are one long sequence. It is cut into equal parts, which are
read side by side, a chunk of positions at a time; the state goes on from chunk to chunk, the gradient does not.

Mikolov et al. (2010), Recurrent neural network based language model, https://doi.org/10.21437/Interspeech.2010-343
Zaremba et al. (2014), section 4.1, https://arxiv.org/abs/1409.2329 (parallel streams)
Williams & Peng (1990), https://doi.org/10.1162/neco.1990.2.4.490 (truncated backpropagation through time)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nmt.config import TrainingConfig
from nmt.network.language_model import LanguageModel
from nmt.network.precision import mixed_precision
from nmt.scores.perplexity import perplexity
from nmt.text.vocabulary import BEGIN, END

SCORED_STREAMS = 64
"""Most streams that a text is scored in: enough to keep a processor busy."""

SCORED_LENGTH = 1024
"""Least positions of a stream that is scored: what its first positions lack in context does not show."""

SCORED_CHUNK = 64
"""Positions scored at once; the state is carried, so the score does not depend on it."""

Text = npt.NDArray[np.int32]
"""All lines of a text, one after another: the pieces of each, then the end symbol, [positions]."""


def join_lines(lines: Iterable[npt.NDArray[np.int32]], positions: int) -> Text:
    """One sequence of the pieces of all lines.

    positions: number of pieces and lines together
    """
    text = np.full(positions, END, dtype=np.int32)
    place = 0
    for ids in lines:
        text[place : place + len(ids)] = ids
        place += len(ids) + 1
    assert place == positions, (place, positions)
    return text


@dataclass
class Chunk:
    """The next positions of every stream, time-major."""

    inputs: Tensor
    """What the model reads: the piece before each target, the begin symbol at the start of a line, [length, streams]"""
    targets: Tensor
    """What it has to predict: pieces and end symbols, [length, streams]."""
    target_tokens: int
    """Number of targets."""
    number: int
    """Chunks of the text before this one; at 0 the state is that of the beginning."""

    def to(self, device: torch.device) -> Chunk:
        """The same chunk on a device."""
        if device.type == "cpu":
            return self
        return Chunk(self.inputs.to(device), self.targets.to(device), self.target_tokens, self.number)


class Streams:
    """A text cut into equal streams, and these into chunks of `length` positions.

    Every position is a target exactly once, but for the last ones of the text that do not fill a row of all streams.
    """

    def __init__(self, text: Text, streams: int, length: int) -> None:
        steps = len(text) // streams
        used = text[: streams * steps]
        before = np.concatenate([[np.int32(BEGIN)], np.where(used[:-1] == END, np.int32(BEGIN), used[:-1])])
        self.targets, self.inputs = used.reshape(streams, steps), before.reshape(streams, steps)
        self.rest = text[streams * steps :]
        """What follows the last stream, fewer positions than there are streams."""
        self.length = length
        self.batches = range(math.ceil(steps / length))
        """Numbers of the chunks."""

    def __len__(self) -> int:
        return len(self.targets)

    def tokens(self, number: int) -> int:
        """Targets of a chunk."""
        return len(self) * min(self.length, self.targets.shape[1] - number * self.length)

    def pieces(self, number: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Inputs and targets of a chunk as arrays [length, streams]."""
        columns = slice(number * self.length, (number + 1) * self.length)
        return self.inputs[:, columns].T.astype(np.int64), self.targets[:, columns].T.astype(np.int64)


def make_chunk(inputs: npt.NDArray[np.int64], targets: npt.NDArray[np.int64], number: int) -> Chunk:
    """Arrays [length, streams] as tensors."""
    tensors = [torch.from_numpy(np.ascontiguousarray(side)) for side in (inputs, targets)]
    return Chunk(tensors[0], tensors[1], targets.size, number)


def choose_streams(positions: int, config: TrainingConfig) -> int:
    """How many streams a training text has: `batch_size` (for unit tokens, batch_size / truncation).

    A text that would leave a stream less than one chunk gets fewer.
    """
    length = config.truncation
    wanted = config.batch_size if config.batch_unit == "sentences" else config.batch_size // length
    return max(1, min(wanted, positions // length))


@dataclass
class TextScore:
    """How well a model predicts a text."""

    negative: float
    """Negative log-likelihood of the text, in nats."""
    pieces: int
    """Pieces and ends of lines."""
    characters: int
    """Characters, with one for the end of each line."""

    @property
    def loss(self) -> float:
        """Nats per piece."""
        return self.negative / self.pieces

    @property
    def perplexity(self) -> float:
        """exp(loss); depends on the pieces."""
        return perplexity(self.loss)

    @property
    def bits_per_character(self) -> float:
        """negative / (ln 2 * characters): compares models with other pieces."""
        return self.negative / (math.log(2) * self.characters)


def score_text(
    model: LanguageModel,
    text: Text,
    characters: int,
    *,
    precision: str = "fp32",
    check: Callable[[], None] = lambda: None,
) -> TextScore:
    """The score of a text under a language model, the state carried from its beginning to its end.

    A long text is read in up to 64 streams of at least 1,024 positions, each of which starts from a fresh state.

        characters: of all lines, with one for the end of each
        precision: of the products, as `training.precision`
        check: called after each chunk; may raise
    """
    device = next(model.parameters()).device
    streams = Streams(text, max(1, min(SCORED_STREAMS, len(text) // SCORED_LENGTH)), SCORED_CHUNK)
    chunks = (make_chunk(*streams.pieces(number), number) for number in streams.batches)
    was_training = model.training
    model.eval()
    negative = 0.0
    with torch.no_grad(), mixed_precision(device, precision):
        state = model.initial_state(len(streams))
        for chunk in chunks:
            chunk = chunk.to(device)
            _, chunk_negative, state = model(chunk.inputs, chunk.targets, state, 0.0)
            negative += chunk_negative.item()
            check()
        if len(streams.rest):  # goes on where the last stream ends
            last = Streams(text[-len(streams.rest) - 1 :], 1, SCORED_STREAMS)
            inputs, targets = (side[1:] for side in last.pieces(0))
            chunk = make_chunk(inputs, targets, 0).to(device)
            state = {name: tensor[-1:] for name, tensor in state.items()}
            negative += model(chunk.inputs, chunk.targets, state, 0.0)[1].item()
    model.train(was_training)
    return TextScore(negative, len(text), characters)
