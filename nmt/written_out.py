"""A recurrent network written out: a character model in numpy, forward and backward, nothing left to a library.

    python -m nmt.written_out FILE

reads a text, learns to predict each character from those before it, and prints what it would write itself. This file
is for reading: docs/written-out.md puts each of its lines beside the equation. The networks that translate are in
`nmt.network.cells`, and say the same for any number of layers, fast.

A character model as the example that fits on a few pages is Karpathy's idea (2015,
https://karpathy.github.io/2015/05/21/rnn-effectiveness/). Elman network: Elman (1990); LSTM: Hochreiter & Schmidhuber
(1997), its forget gate: Gers et al. (2000). Backpropagation through time: Werbos (1990), truncated, with the state
carried on: Williams & Peng (1990). Clipping: Pascanu et al. (2013). Adagrad: Duchi et al. (2011).

The text is cut into streams that are read side by side, a row for each: the character x is [streams, characters], 1 at
the character of each stream and 0 elsewhere, the states h and c are [streams, hidden]. With rows, the product of a
weight matrix and a vector is `h @ U`. The gradient of the loss with respect to z is d_z.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nmt.errors import TrainingError, UserError
from nmt.text.reading import read_lines

Array = Any
"""A numpy array; its shape stands where it is first met."""
Arrays = dict[str, Array]
"""Arrays by name: the weights of gate i are W_i [characters, hidden], U_i [hidden, hidden] and b_i [hidden]; those of
the output layer are V [hidden, characters] and a [characters]."""
State = tuple[Array, ...]
"""What a cell hands from one position to the next, [streams, hidden] each; the first is h."""
Saved = tuple[Array, ...]
"""What the backward pass of a cell needs of a position."""
Tape = list[tuple[Saved, Saved]]
"""The same of a chunk's positions, with what their output layer leaves."""


# One position


def total(w: Arrays, gate: str, x: Array, h_before: Array) -> Array:
    """What a gate sees: W x + U h + b."""
    return x @ w[f"W_{gate}"] + h_before @ w[f"U_{gate}"] + w[f"b_{gate}"]


def total_back(w: Arrays, d_w: Arrays, gate: str, x: Array, h_before: Array, d_total: Array) -> Array:
    """Backward through `total`: adds the gradients of the gate's weights to d_w, returns that of h_before."""
    d_w[f"W_{gate}"] += x.T @ d_total
    d_w[f"U_{gate}"] += h_before.T @ d_total
    d_w[f"b_{gate}"] += d_total.sum(0)
    return d_total @ w[f"U_{gate}"].T


class RNN:
    """Elman network: the new state is a squashed weighted sum of the character and the old state."""

    gates = ("h",)
    state_size = 1

    @staticmethod
    def step(w: Arrays, x: Array, state: State) -> tuple[State, Saved]:
        """One position forward. Returns: the state there, and what `step_back` needs."""
        (h_before,) = state
        h = np.tanh(total(w, "h", x, h_before))
        return (h,), (x, h_before, h)

    @staticmethod
    def step_back(w: Arrays, d_w: Arrays, saved: Saved, d_state: State) -> State:
        """One position backward: from the gradient of the state to that of the state before."""
        x, h_before, h = saved
        (d_h,) = d_state
        d_total = d_h * (1 - h**2)
        return (total_back(w, d_w, "h", x, h_before, d_total),)


class LSTM:
    """Long short-term memory: what the cell c holds is kept by f, added to by i, and shown by o."""

    gates = ("i", "f", "g", "o")
    state_size = 2

    @staticmethod
    def step(w: Arrays, x: Array, state: State) -> tuple[State, Saved]:
        """One position forward. Returns: the state there, and what `step_back` needs."""
        h_before, c_before = state
        i = sigmoid(total(w, "i", x, h_before))
        f = sigmoid(total(w, "f", x, h_before))
        g = np.tanh(total(w, "g", x, h_before))
        o = sigmoid(total(w, "o", x, h_before))
        c = f * c_before + i * g
        s = np.tanh(c)
        h = o * s
        return (h, c), (x, h_before, c_before, i, f, g, o, s)

    @staticmethod
    def step_back(w: Arrays, d_w: Arrays, saved: Saved, d_state: State) -> State:
        """One position backward: from the gradients of the state to those of the state before."""
        x, h_before, c_before, i, f, g, o, s = saved
        d_h, d_c = d_state
        d_c = d_c + d_h * o * (1 - s**2)
        d_total_o = d_h * s * o * (1 - o)
        d_total_i = d_c * g * i * (1 - i)
        d_total_f = d_c * c_before * f * (1 - f)
        d_total_g = d_c * i * (1 - g**2)
        d_h_before = total_back(w, d_w, "i", x, h_before, d_total_i)
        d_h_before += total_back(w, d_w, "f", x, h_before, d_total_f)
        d_h_before += total_back(w, d_w, "g", x, h_before, d_total_g)
        d_h_before += total_back(w, d_w, "o", x, h_before, d_total_o)
        d_c_before = d_c * f
        return d_h_before, d_c_before


Cell = type[RNN] | type[LSTM]
CELLS: dict[str, Cell] = {"rnn": RNN, "lstm": LSTM}
SAMPLE = 200
"""Characters of a sample."""


def sigmoid(a: Array) -> Array:
    """1 / (1 + exp(-a)), by way of tanh, which cannot overflow."""
    return (1 + np.tanh(a / 2)) / 2


def log_softmax(y: Array) -> Array:
    """log(exp(y_k) / sum_j exp(y_j)) of each row, with the largest y taken out first: exp cannot overflow."""
    y = y - y.max(-1, keepdims=True)
    return y - np.log(np.exp(y).sum(-1, keepdims=True))


# A chunk of the text: truncated backpropagation through time


def forward(cell: Cell, w: Arrays, inputs: Array, targets: Array, state: State) -> tuple[float, Tape, State]:
    """Read a chunk and predict each next character.

        inputs, targets: the characters and those that follow them, [length, streams, characters]
        state: where the chunk before ended

    Returns: the mean of -log p(target) in nats, what `backward` needs of each position, and the state at the end
    """
    loss, tape = 0.0, Tape()
    for x, target in zip(inputs, targets, strict=True):
        state, saved = cell.step(w, x, state)
        h = state[0]
        log_p = log_softmax(h @ w["V"] + w["a"])
        loss -= (target * log_p).sum() / (len(inputs) * len(x))
        tape.append((saved, (h, log_p, target)))
    return loss, tape, state


def backward(cell: Cell, w: Arrays, tape: Tape, state: State) -> Arrays:
    """The gradient of a chunk's loss with respect to every weight, from its last position to its first.

    The state at the chunk's end was carried on, but what later chunks would say about it is cut off.
    """
    d_w = {name: np.zeros_like(array) for name, array in w.items()}
    d_state = tuple(np.zeros_like(part) for part in state)
    for saved, (h, log_p, target) in reversed(tape):
        d_y = (np.exp(log_p) - target) / (len(tape) * len(target))
        d_w["V"] += h.T @ d_y
        d_w["a"] += d_y.sum(0)
        d_h = d_state[0] + d_y @ w["V"].T
        d_state = cell.step_back(w, d_w, saved, (d_h, *d_state[1:]))
    return d_w


# Learning


def clip(d_w: Arrays, most: float) -> None:
    """Scale the gradient of all weights together down to the norm `most` where it is longer."""
    norm = np.sqrt(sum(np.vdot(d, d) for d in d_w.values()))
    if norm > most:
        for d in d_w.values():
            d *= most / norm


def adagrad(w: Arrays, d_w: Arrays, squares: Arrays, rate: float) -> None:
    """A step against the gradient; the larger the gradients of a weight have been so far, the shorter its steps."""
    for name, d in d_w.items():
        squares[name] += d * d
        w[name] -= rate * d / (np.sqrt(squares[name]) + 1e-10)


def sample(cell: Cell, w: Arrays, first: int, length: int, temperature: float, rng: np.random.Generator) -> list[int]:
    """Ids of characters drawn one after the other, each read before the next is drawn; `first` stands before them."""
    drawn, state = [first], start(cell, w, 1)
    for _ in range(length):
        x = one_hot(np.array(drawn[-1:]), w)
        state, _ = cell.step(w, x, state)
        y = state[0] @ w["V"] + w["a"]
        p = np.exp(log_softmax(y[0].astype(np.float64) / temperature))
        drawn.append(int(rng.choice(len(p), p=p)))
    return drawn[1:]


def make_weights(cell: Cell, characters: int, hidden: int, rng: np.random.Generator, dtype: Any = np.float32) -> Arrays:
    """Random weights with standard deviation 1 / sqrt(hidden); biases of 0, but of 1 for the forget gate."""

    def draw(*shape: int) -> Array:
        return (rng.normal(size=shape) / np.sqrt(hidden)).astype(dtype)

    w: Arrays = {}
    for gate in cell.gates:
        w[f"W_{gate}"] = draw(characters, hidden)
        w[f"U_{gate}"] = draw(hidden, hidden)
        w[f"b_{gate}"] = np.full(hidden, gate == "f", dtype)
    w["V"] = draw(hidden, characters)
    w["a"] = np.zeros(characters, dtype)
    return w


def one_hot(ids: Array, w: Arrays) -> Array:
    """1 at each id and 0 elsewhere: [..., characters] for ids [...]."""
    return np.eye(len(w["a"]), dtype=w["a"].dtype)[ids]


def start(cell: Cell, w: Arrays, streams: int) -> State:
    """The state before the first character: zeros."""
    return tuple(np.zeros((streams, len(w["V"])), w["V"].dtype) for _ in range(cell.state_size))


def cut(ids: Array, streams: int) -> tuple[Array, Array]:
    """Ids of a text as parallel streams, and for each the one that follows it: [length, streams] both."""
    length = (len(ids) - 1) // streams
    whole = length * streams
    return ids[:whole].reshape(streams, length).T, ids[1 : whole + 1].reshape(streams, length).T


def train(
    text: str,
    cell: Cell,
    *,
    hidden_size: int,
    streams: int,
    truncation: int,
    learning_rate: float,
    clip_norm: float,
    epochs: int,
    report_interval: int,
    temperature: float,
    seed: int,
    show: Callable[[str], None] = print,
) -> Arrays:
    """Learn a text; returns the weights. Raises UserError for a text too short, TrainingError when the loss is lost.

    report_interval: characters between two reports of the loss, each with a sample of what the network writes
    show: takes a report
    """
    alphabet = sorted(set(text))
    if len(text) <= truncation:
        raise UserError(f"the text must have more than {truncation} characters, but has {len(text)}")
    place = {character: i for i, character in enumerate(alphabet)}
    ids = np.array([place[character] for character in text])
    inputs, targets = cut(ids, max(1, min(streams, (len(ids) - 1) // truncation)))
    rng = np.random.default_rng(seed)
    w = make_weights(cell, len(alphabet), hidden_size, rng)
    squares = {name: np.zeros_like(array) for name, array in w.items()}
    begin, read, unreported, sum_of_losses = time.perf_counter(), 0, 0, 0.0
    show(f"{len(text):,} characters, {len(alphabet)} different ones; {sum(a.size for a in w.values()):,} weights")
    for epoch in range(epochs):
        state = start(cell, w, inputs.shape[1])
        for first in range(0, len(inputs), truncation):
            chunk = slice(first, first + truncation)
            loss, tape, state = forward(cell, w, one_hot(inputs[chunk], w), one_hot(targets[chunk], w), state)
            if not np.isfinite(loss):
                raise TrainingError(f"loss is {loss} after {read:,} characters; lower --learning-rate or --clip-norm")
            d_w = backward(cell, w, tape, state)
            clip(d_w, clip_norm)
            adagrad(w, d_w, squares, learning_rate)
            size = inputs[chunk].size
            read, unreported, sum_of_losses = read + size, unreported + size, sum_of_losses + size * loss
            if unreported >= report_interval or read == epochs * inputs.size:
                mean, minutes = sum_of_losses / unreported, (time.perf_counter() - begin) / 60
                drawn = sample(cell, w, place.get("\n", 0), SAMPLE, temperature, rng)
                show(
                    f"--- epoch {epoch + 1}, {read:,} characters, {minutes:.1f} minutes: {mean:.3f} nats "
                    f"({mean / np.log(2):.3f} bits) a character\n{''.join(alphabet[i] for i in drawn)}"
                )
                unreported, sum_of_losses = 0, 0.0
    return w


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    from nmt.cli import run
    from nmt.commands.options import Parser, positive, seed

    parser = Parser(
        prog="python -m nmt.written_out",
        description="Train a character model in numpy alone, and print what it writes as it learns.",
        epilog="example:\n  python -m nmt.written_out my-corpus/train.en --cell rnn --epochs 2",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("file", metavar="FILE", help="text, UTF-8, plain or .gz")
    add("--cell", choices=CELLS, default="lstm", help="Elman network or LSTM (default lstm)")
    add("--hidden-size", type=positive, default=128, metavar="N", help="units of the state (default 128)")
    add("--streams", type=positive, default=16, metavar="N", help="parts of the text read side by side (default 16)")
    add("--truncation", type=positive, default=32, metavar="N", help="positions the gradient goes back (default 32)")
    add("--learning-rate", type=above_zero, default=0.1, metavar="R", help="of Adagrad (default 0.1)")
    add("--clip-norm", type=above_zero, default=1.0, metavar="N", help="largest norm of the gradient (default 1)")
    add("--epochs", type=positive, default=3, metavar="N", help="times the text is read (default 3)")
    add("--report-interval", type=positive, default=250_000, metavar="N", help="characters between two samples")
    add("--temperature", type=above_zero, default=0.8, metavar="T", help="of the samples; below 1 is bolder")
    add("--seed", type=seed, default=1, metavar="S", help="of weights and samples (default 1)")

    def command(options: argparse.Namespace) -> None:
        settings = vars(options).copy()
        text = "\n".join(read_lines(settings.pop("file")))
        del settings["command"], settings["command_line"]
        train(text, CELLS[settings.pop("cell")], **settings)

    parser.set_defaults(command=command)
    return run(parser, arguments)


def above_zero(text: str) -> float:
    """A finite number above 0."""
    value = float(text)
    if not 0 < value < np.inf:
        raise ValueError
    return value


above_zero.__name__ = "number above 0"


if __name__ == "__main__":
    raise SystemExit(main())
