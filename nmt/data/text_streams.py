"""A text as parallel streams, for training and scoring a language model.

The lines of a text, each between begin and end symbol, form one long sequence. It is cut into equal parts, which are
read in parallel, a chunk of positions at a time. The state is carried on from chunk to chunk, but the gradient is not.

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
from nmt.data.batching import to_device
from nmt.network.language_model import LanguageModel
from nmt.network.precision import mixed_precision
from nmt.scores.perplexity import perplexity
from nmt.text.vocabulary import BEGIN, END

SCORED_STREAMS = 64  # maximum number of streams in which a text is scored: enough to keep a processor busy

SCORED_LENGTH = 1024  # minimum length of a stream, so that the missing context at its beginning does not matter

SCORED_CHUNK = 64  # number of positions scored at once; the state is carried on, so the score does not depend on it

Text = npt.NDArray[np.int32]  # the pieces of each line, then its end symbol, [positions]


def join_lines(lines: Iterable[npt.NDArray[np.int32]], positions: int) -> Text:
    """The pieces of all lines as one sequence; `positions` is the number of pieces plus that of lines."""
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

    # The input: the piece before each target, and the begin symbol at the start of a line, [length, streams].
    inputs: Tensor
    targets: Tensor  # the symbols to predict: pieces and end symbols, [length, streams]
    target_tokens: int  # number of targets
    number: int  # index of the chunk in the text; chunk 0 starts from the initial state


class Streams:
    """A text cut into equal streams, and these into chunks of `length` positions.

    Every position is a target exactly once, except for the last positions of the text, which do not fill all streams.
    """

    def __init__(self, text: Text, streams: int, length: int) -> None:
        steps = len(text) // streams
        used = text[: streams * steps]
        # the input is the previous target, with the begin symbol after the end of a line
        before = np.concatenate([[np.int32(BEGIN)], np.where(used[:-1] == END, np.int32(BEGIN), used[:-1])])
        self.targets, self.inputs = used.reshape(streams, steps), before.reshape(streams, steps)
        self.rest = text[streams * steps :]  # fewer positions than there are streams
        self.length = length
        self.batches = range(math.ceil(steps / length))  # indices of the chunks

    def __len__(self) -> int:
        return len(self.targets)

    def tokens(self, number: int) -> int:
        """Number of targets of a chunk."""
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
    """The number of streams of a training text: `batch_size` (for the unit `tokens`, batch_size / truncation).

    A text whose streams would be shorter than one chunk gets fewer streams.
    """
    length = config.truncation
    wanted = config.batch_size if config.batch_unit == "sentences" else config.batch_size // length
    return max(1, min(wanted, positions // length))


@dataclass
class TextScore:
    """The score of a text under a language model."""

    negative: float  # negative log-likelihood of the text, in nats
    pieces: int  # number of pieces and ends of lines
    characters: int  # number of characters, with one for the end of each line

    @property
    def loss(self) -> float:
        """Nats per piece."""
        return self.negative / self.pieces

    @property
    def perplexity(self) -> float:
        """exp(loss); it depends on the segmentation into pieces."""
        return perplexity(self.loss)

    @property
    def bits_per_character(self) -> float:
        """negative / (ln 2 * characters), which is comparable between models with different pieces."""
        return self.negative / (math.log(2) * self.characters)


def score_text(
    model: LanguageModel,
    text: Text,
    characters: int,
    *,
    precision: str = "fp32",
    check: Callable[[], None] = lambda: None,
) -> TextScore:
    """The score of a text under a language model, which carries its state from the beginning to the end.

    A long text is read in up to 64 streams of at least 1,024 positions, each of which starts from the initial state.

        characters: number of characters of all lines, with one for the end of each
        precision: precision of matrix products, as `training.precision`
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
            chunk = to_device(chunk, device)
            _, chunk_negative, state = model(chunk.inputs, chunk.targets, state, 0.0)
            negative += chunk_negative.item()
            check()
        if len(streams.rest):  # it continues where the last stream ends
            last = Streams(text[-len(streams.rest) - 1 :], 1, SCORED_STREAMS)
            inputs, targets = (side[1:] for side in last.pieces(0))
            chunk = to_device(make_chunk(inputs, targets, 0), device)
            state = {name: tensor[-1:] for name, tensor in state.items()}
            negative += model(chunk.inputs, chunk.targets, state, 0.0)[1].item()
    model.train(was_training)
    return TextScore(negative, len(text), characters)
