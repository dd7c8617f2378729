"""The engine interface: everything that search and scoring know about a model.

An engine runs the network for a batch of rows (one row is one open hypothesis) and keeps no data between calls: the
state holds what a row needs at its next step, and the memory holds what belongs to a sentence. An ensemble or a fused
language model is an engine made of engines. Nothing here imports torch or an inference runtime.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nmt.text.vocabulary import END, SPECIAL_PIECES

EngineState = dict[str, Any]
"""Named arrays (numpy or the engine's own tensors) whose dimension 0 is the row; search never reads them. One of them
is the index of each row's sentence in the memory."""

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

Predicted = tuple[Floats, Floats | None, EngineState]
"""Log-probabilities of the next symbol [rows, vocabulary]; attention weights [rows, source_length] or None for a model
without attention; the state after the step."""


class Best(NamedTuple):
    """The most probable next symbols of each row."""

    end: Floats  # log-probability of the end symbol, [rows]
    log_probs: Floats  # log-probabilities of the k best pieces, best first, [rows, k]; -inf where there are fewer
    tokens: Integers  # their ids, [rows, k]; ties are in the order of the ids, but in any order if torch chose them


class Engine(ABC):
    """A model that can be run one target symbol at a time.

    Rows are independent: the result of a row depends only on its own state and token. An engine must define three
    methods; the others have a default that is correct for every engine and can be overridden by a faster version.
    """

    @property
    def description(self) -> str:
        """What computes the probabilities, and how exactly, for reports of scores."""
        return type(self).__name__

    @abstractmethod
    def start(self, sources: Sequence[Sequence[int]]) -> tuple[Any, EngineState]:
        """Encode sentences of source ids (at least one sentence, none of them empty).

        Returns: the memory, indexed by sentence, and the state before the first step, one row per sentence, in order.
        """

    @abstractmethod
    def step(self, memory: Any, state: EngineState, tokens: Integers) -> Predicted:
        """Read one symbol per row (the begin symbol at first) and predict the next.

            tokens: [rows]

        Returns: arrays that are not written to afterwards. Column j of the weights belongs to source id j as given to
        `start`; then come the columns of symbols that the model itself adds to every sentence, then padding up to the
        longest sentence of the memory.
        """

    @abstractmethod
    def select(self, state: EngineState, rows: Integers) -> EngineState:
        """A state whose row i is the old row `rows[i]`; rows may be repeated or left out."""

    def step_best(
        self, memory: Any, state: EngineState, tokens: Integers, k: int
    ) -> tuple[Best, Floats | None, EngineState]:
        """As `step`, but with `best_pieces(log_probs, k)` in place of the log-probabilities.

        An engine that chooses the pieces itself need not return [rows, vocabulary] numbers. The end symbol is reported
        separately and is never among the pieces. So the search alone decides whether a row may, must not or must end,
        and the engine needs no mask for rows of different lengths.
        """
        log_probs, attention_weights, state = self.step(memory, state, tokens)
        return best_pieces(log_probs, k), attention_weights, state

    def compact(self, memory: Any, state: EngineState) -> tuple[Any, EngineState]:
        """Memory and state without the sentences that have no row, in the same order; the default keeps all."""
        return memory, state

    def side_by_side(self) -> tuple[Engine, int]:
        """The engine for several batches at once, each on its own thread, and how many batches it can run.

        A second thread speeds up only the matrix products of a step; a second batch uses it for the rest as well.
        """
        return self, 1

    def without_shortlist(self) -> Engine:
        """The engine with its whole vocabulary, for pieces that are given and not chosen by search."""
        return self


def best_pieces(log_probs: Floats, k: int) -> Best:
    """The k best pieces of each row of [rows, vocabulary] log-probabilities, and the end symbol's.

    Padding, unknown and begin symbol are never among them; there are fewer than k columns only if the vocabulary has
    fewer pieces. The result is exact and deterministic: of equal log-probabilities the lower id comes first. Apart from
    the order of ties, this function is the specification of `Engine.step_best`.
    """
    end = log_probs[:, END].astype(np.float32)
    pieces = log_probs[:, SPECIAL_PIECES:]
    rows, size = pieces.shape
    k = min(k, size)
    if k == 1:
        columns = pieces.argmax(axis=1)[:, None]
        return Best(end, np.take_along_axis(pieces, columns, 1).astype(np.float32), columns + SPECIAL_PIECES)
    best = np.full((rows, k), -np.inf, np.float32)
    tokens = np.full((rows, k), SPECIAL_PIECES, np.int64)
    if k and rows:
        # Each of the k best is at least as large as the k-th largest maximum of disjoint groups of pieces. Finding
        # these maxima takes one pass over the array, which is 5 times as fast as np.argpartition of 320 rows of 8,000.
        threshold = np.partition(_group_maxima(pieces, max(256, 4 * k)), -k, axis=1)[:, -k, None]
        threshold = np.maximum(threshold, np.finfo(np.float32).min)  # impossible pieces are never among the best
        # the few candidates of all rows, one after another, sorted by row, then by log-probability, then by id
        row, column = np.divmod(np.flatnonzero(pieces >= threshold), size)
        order = np.lexsort((column, -pieces[row, column], row))
        row, column = row[order], column[order]
        rank = np.arange(len(row)) - np.searchsorted(row, np.arange(rows))[row]  # position within the row
        row, column, rank = row[rank < k], column[rank < k], rank[rank < k]
        best[row, rank] = pieces[row, column]
        tokens[row, rank] = column + SPECIAL_PIECES
    return Best(end, best, tokens)


def _group_maxima(values: Floats, groups: int) -> Floats:
    """Maxima over disjoint groups of columns, [rows, groups]; column j belongs to group j modulo `groups`."""
    rows, size = values.shape
    if size <= groups:
        return values
    whole = size // groups * groups
    maxima: Floats = values[:, :whole].reshape(rows, -1, groups).max(axis=1)
    if whole < size:
        np.maximum(maxima[:, : size - whole], values[:, whole:], out=maxima[:, : size - whole])
    return maxima
