"""A recurrent network written out: a character model in numpy, with every gradient by hand.

    python examples/written_out.py FILE

reads a text, learns to predict each character from the characters before it, and prints text of its own as it learns.
Read this file from top to bottom. docs/written-out.md puts its lines next to their equations.

The text is cut into streams, which are read at the same time. At each position the network sees

    x       the character of each stream, [streams, characters]: 1 at the number of the character, 0 elsewhere
    h, c    what it remembers of the characters before, [streams, hidden]

A row belongs to a stream, so the product of a weight matrix and a vector is written `h @ U`. A name that begins with d_
is a gradient: d_h is the derivative of the loss with respect to h, and has the shape of h.

The idea of a character model that fits on a few pages is Karpathy's (2015). The Elman network is from Elman (1990), the
LSTM from Hochreiter & Schmidhuber (1997), its forget gate from Gers et al. (2000). The network learns by truncated
backpropagation through time (Werbos 1990; Williams & Peng 1990), clipping (Pascanu et al. 2013) and Adagrad (Duchi et
al. 2011).
"""

from __future__ import annotations

import argparse
import gzip
import math
import time
import zlib
from collections.abc import Iterator, Sequence

import numpy as np

Array = np.ndarray
Weights = dict[str, Array]
"""The weights by name, or their gradients. A gate k has W_k [characters, hidden], U_k [hidden, hidden] and b_k
[hidden]; the output layer has V [hidden, characters] and b_y [characters]."""
State = tuple[Array, ...]
"""What a cell hands to the next position: (h,) or (h, c)."""


# Part 1: one position


def pre_activation(w: Weights, gate: str, x: Array, h_before: Array) -> Array:
    """The weighted sum that a gate squashes: a = x W + h_before U + b."""
    return x @ w[f"W_{gate}"] + h_before @ w[f"U_{gate}"] + w[f"b_{gate}"]


def pre_activation_back(w: Weights, d_w: Weights, gate: str, x: Array, h_before: Array, d_a: Array) -> Array:
    """Backward through `pre_activation`: add the gradients of the gate's weights to d_w, and return d_h_before."""
    d_w[f"W_{gate}"] += x.T @ d_a
    d_w[f"U_{gate}"] += h_before.T @ d_a
    d_w[f"b_{gate}"] += d_a.sum(0)
    return d_a @ w[f"U_{gate}"].T


class RNN:
    """The Elman network: the new state is the squashed sum of the character and the old state."""

    gates = ("h",)
    state_size = 1

    @staticmethod
    def step(w: Weights, x: Array, state: State) -> tuple[State, tuple[Array, ...]]:
        """Go one position forward. Return the new state, and what `step_back` needs to know about this position."""
        (h_before,) = state
        h = np.tanh(pre_activation(w, "h", x, h_before))
        return (h,), (x, h_before, h)

    @staticmethod
    def step_back(w: Weights, d_w: Weights, saved: tuple[Array, ...], d_state: State) -> State:
        """Go one position back: from the gradient of the new state to the gradient of the old state."""
        x, h_before, h = saved
        (d_h,) = d_state
        d_a = d_h * (1 - h**2)
        return (pre_activation_back(w, d_w, "h", x, h_before, d_a),)


class LSTM:
    """Long short-term memory: the forget gate f keeps what the cell c holds, i adds to it, and o shows it."""

    gates = ("i", "f", "g", "o")
    state_size = 2

    @staticmethod
    def step(w: Weights, x: Array, state: State) -> tuple[State, tuple[Array, ...]]:
        """Go one position forward. Return the new state, and what `step_back` needs to know about this position."""
        h_before, c_before = state
        i = sigmoid(pre_activation(w, "i", x, h_before))
        f = sigmoid(pre_activation(w, "f", x, h_before))
        g = np.tanh(pre_activation(w, "g", x, h_before))
        o = sigmoid(pre_activation(w, "o", x, h_before))
        c = f * c_before + i * g
        s = np.tanh(c)
        h = o * s
        return (h, c), (x, h_before, c_before, i, f, g, o, s)

    @staticmethod
    def step_back(w: Weights, d_w: Weights, saved: tuple[Array, ...], d_state: State) -> State:
        """Go one position back: from the gradients of the new state to the gradients of the old state."""
        x, h_before, c_before, i, f, g, o, s = saved
        d_h, d_c = d_state
        d_c = d_c + d_h * o * (1 - s**2)
        d_a_o = d_h * s * o * (1 - o)
        d_a_i = d_c * g * i * (1 - i)
        d_a_f = d_c * c_before * f * (1 - f)
        d_a_g = d_c * i * (1 - g**2)
        d_h_before = pre_activation_back(w, d_w, "i", x, h_before, d_a_i)
        d_h_before += pre_activation_back(w, d_w, "f", x, h_before, d_a_f)
        d_h_before += pre_activation_back(w, d_w, "g", x, h_before, d_a_g)
        d_h_before += pre_activation_back(w, d_w, "o", x, h_before, d_a_o)
        d_c_before = d_c * f
        return d_h_before, d_c_before


Cell = type[RNN] | type[LSTM]
CELLS: dict[str, Cell] = {"rnn": RNN, "lstm": LSTM}


def sigmoid(a: Array) -> Array:
    """1 / (1 + exp(-a)), computed with tanh, which cannot overflow."""
    return (1 + np.tanh(a / 2)) / 2


def log_softmax(y: Array) -> Array:
    """log(exp(y_k) / sum_j exp(y_j)) of each row. The largest y is subtracted first, so that exp cannot overflow."""
    y = y - y.max(-1, keepdims=True)
    return y - np.log(np.exp(y).sum(-1, keepdims=True))


# Part 2: a chunk of the text, forward and backward


def forward(cell: Cell, w: Weights, inputs: Array, targets: Array, state: State) -> tuple[float, list, State]:
    """Read a chunk of the text and predict each next character.

    inputs: the characters, [length, streams, characters]
    targets: the character that follows each of them, with the same shape
    state: the state at the end of the chunk before

    Return the loss, which is the mean of -log p(target); a record of each position for `backward`; the last state.
    """
    loss, record = 0.0, []
    for x, target in zip(inputs, targets, strict=True):
        state, saved = cell.step(w, x, state)
        h = state[0]
        log_p = log_softmax(h @ w["V"] + w["b_y"])
        loss -= (target * log_p).sum() / (len(inputs) * len(x))
        record.append((saved, h, log_p, target))
    return loss, record, state


def backward(cell: Cell, w: Weights, record: list, d_state: State) -> Weights:
    """The gradient of a chunk's loss with respect to every weight, added up from the last position to the first.

    d_state: the gradient of the last state
    """
    d_w = {name: np.zeros_like(array) for name, array in w.items()}
    for saved, h, log_p, target in reversed(record):
        d_y = (np.exp(log_p) - target) / (len(record) * len(target))
        d_w["V"] += h.T @ d_y
        d_w["b_y"] += d_y.sum(0)
        d_h = d_state[0] + d_y @ w["V"].T
        d_state = cell.step_back(w, d_w, saved, (d_h, *d_state[1:]))
    return d_w


def zeros(cell: Cell, w: Weights, streams: int) -> State:
    """A state of zeros."""
    return tuple(np.zeros((streams, len(w["V"])), w["V"].dtype) for _ in range(cell.state_size))


# Part 3: learning


def clip(d_w: Weights, max_norm: float) -> None:
    """Shorten the gradient of all weights to `max_norm` if it is longer. Its direction stays the same."""
    norm = np.sqrt(sum(np.vdot(d, d) for d in d_w.values()))
    if norm > max_norm:
        for d in d_w.values():
            d *= max_norm / norm


def adagrad(w: Weights, d_w: Weights, squares: Weights, learning_rate: float) -> None:
    """Take a step against the gradient. The larger the gradients of a weight have been, the smaller its steps are."""
    for name, d in d_w.items():
        squares[name] += d * d
        w[name] -= learning_rate * d / (np.sqrt(squares[name]) + 1e-10)


def train(
    cell: Cell,
    w: Weights,
    inputs: Array,
    targets: Array,
    *,
    epochs: int,
    truncation: int,
    learning_rate: float,
    clip_norm: float,
) -> Iterator[tuple[int, float]]:
    """Learn a text, chunk by chunk. After each chunk, yield the number of its characters and its loss.

    Backpropagation is truncated: a chunk starts with the last state of the chunk before, but sends no gradient back.

    inputs: the numbers of the characters, [length, streams]
    targets: the numbers of the characters that follow, with the same shape
    """
    squares = {name: np.zeros_like(array) for name, array in w.items()}
    zero_state = zeros(cell, w, inputs.shape[1])
    for _ in range(epochs):
        state = zero_state
        for first in range(0, len(inputs), truncation):
            chunk = slice(first, first + truncation)
            loss, record, state = forward(cell, w, one_hot(inputs[chunk], w), one_hot(targets[chunk], w), state)
            d_w = backward(cell, w, record, zero_state)
            clip(d_w, clip_norm)
            adagrad(w, d_w, squares, learning_rate)
            yield inputs[chunk].size, loss


def one_hot(ids: Array, w: Weights) -> Array:
    """1 at the number of each character and 0 elsewhere: from [...] to [..., characters]."""
    return np.eye(len(w["b_y"]), dtype=w["b_y"].dtype)[ids]


def make_weights(
    cell: Cell, characters: int, hidden: int, rng: np.random.Generator, dtype: type = np.float32
) -> Weights:
    """Random weights with the standard deviation 1 / sqrt(hidden). Biases are 0, but 1 for the forget gate."""

    def draw(*shape: int) -> Array:
        return (rng.normal(size=shape) / np.sqrt(hidden)).astype(dtype)

    w = {}
    for gate in cell.gates:
        w[f"W_{gate}"] = draw(characters, hidden)
        w[f"U_{gate}"] = draw(hidden, hidden)
        w[f"b_{gate}"] = np.full(hidden, gate == "f", dtype)
    w["V"] = draw(hidden, characters)
    w["b_y"] = np.zeros(characters, dtype)
    return w


# Part 4: writing


def sample(cell: Cell, w: Weights, first: int, length: int, temperature: float, rng: np.random.Generator) -> list[int]:
    """Draw characters one after the other; each is read before the next is drawn. `first` is read before them all."""
    drawn, state = [first], zeros(cell, w, 1)
    for _ in range(length):
        x = one_hot(np.array(drawn[-1:]), w)
        state, _ = cell.step(w, x, state)
        y = state[0] @ w["V"] + w["b_y"]
        p = np.exp(log_softmax(y[0].astype(np.float64) / temperature))
        drawn.append(int(rng.choice(len(p), p=p)))
    return drawn[1:]


# Part 5: the program


def learn(text: str, options: argparse.Namespace) -> Weights:
    """Learn a text and report on the way. Return the weights."""
    if len(text) <= options.truncation:
        raise ValueError(f"the text must have more than {options.truncation} characters, but has {len(text)}")
    alphabet = sorted(set(text))
    number = {character: i for i, character in enumerate(alphabet)}
    ids = np.array([number[character] for character in text])
    inputs, targets = cut(ids, min(options.streams, (len(ids) - 1) // options.truncation))
    cell = CELLS[options.cell]
    rng = np.random.default_rng(options.seed)
    w = make_weights(cell, len(alphabet), options.hidden_size, rng)
    print(f"{len(text):,} characters, {len(alphabet)} different ones; {sum(a.size for a in w.values()):,} weights")
    chunks = train(
        cell,
        w,
        inputs,
        targets,
        epochs=options.epochs,
        truncation=options.truncation,
        learning_rate=options.learning_rate,
        clip_norm=options.clip_norm,
    )
    begin, read = time.perf_counter(), 0
    sizes, losses = [], []  # of the chunks since the last report
    for size, loss in chunks:
        read += size
        sizes.append(size)
        losses.append(loss)
        if not np.isfinite(loss):
            raise ValueError(f"the loss is {loss} after {read:,} characters; lower --learning-rate or --clip-norm")
        if sum(sizes) >= options.report_interval or read == options.epochs * inputs.size:
            epoch, minutes = math.ceil(read / inputs.size), (time.perf_counter() - begin) / 60
            nats = np.average(losses, weights=sizes)
            print(
                f"--- epoch {epoch}, {read:,} characters, {minutes:.1f} minutes: "
                f"{nats:.3f} nats ({nats / np.log(2):.3f} bits) a character"
            )
            written = sample(cell, w, number.get("\n", 0), 200, options.temperature, rng)
            print("".join(alphabet[i] for i in written), flush=True)
            sizes, losses = [], []
    return w


def cut(ids: Array, streams: int) -> tuple[Array, Array]:
    """Cut a text into streams. Return its characters and the character that follows each, both [length, streams]."""
    length = (len(ids) - 1) // streams
    whole = length * streams
    return ids[:whole].reshape(streams, length).T, ids[1 : whole + 1].reshape(streams, length).T


def read_text(file: str) -> str:
    """The text of a UTF-8 file, which may be compressed (.gz), without its last line end."""
    with gzip.open(file, "rb") if file.endswith(".gz") else open(file, "rb") as stream:
        return stream.read().decode("utf-8-sig").replace("\r\n", "\n").removesuffix("\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="written_out.py",
        usage="%(prog)s FILE [options]",
        description="Train a character model in numpy alone, and print what it writes as it learns.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("file", metavar="FILE", help="text in UTF-8, plain or .gz")
    add("--cell", choices=CELLS, default="lstm", help="Elman network or LSTM")
    add("--hidden-size", type=int, default=128, metavar="N", help="size of the hidden state")
    add("--streams", type=int, default=16, metavar="N", help="parts of the text that are read at the same time")
    add("--truncation", type=int, default=32, metavar="N", help="positions that the gradient goes back")
    add("--learning-rate", type=float, default=0.1, metavar="R", help="learning rate of Adagrad")
    add("--clip-norm", type=float, default=1.0, metavar="N", help="largest norm of the gradient")
    add("--epochs", type=int, default=3, metavar="N", help="how often the text is read")
    add("--report-interval", type=int, default=250_000, metavar="N", help="characters between two reports")
    add("--temperature", type=float, default=0.8, metavar="T", help="of the samples: below 1, likely characters gain")
    add("--seed", type=int, default=1, metavar="S", help="of the weights and the samples")
    options = parser.parse_args(arguments)
    for name, value in vars(options).items():
        if isinstance(value, int | float) and name != "seed" and not 0 < value < np.inf:
            parser.error(f"--{name.replace('_', '-')} must be a number above 0, but is {value}")
    try:
        with np.errstate(all="ignore"):  # a loss that is no number any more is reported by `learn`
            learn(read_text(options.file), options)
    except (OSError, EOFError, zlib.error, ValueError) as error:  # EOFError, zlib.error: a damaged .gz file
        parser.exit(2, f"error: {error}\n")
    except KeyboardInterrupt:
        parser.exit(130)


if __name__ == "__main__":
    main()
