"""The search tree of one sentence: every hypothesis that beam search opened or pruned, and continuations it refused.

The search runs as usual (`nmt.search.beam`), with an engine around the real one that records every call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from nmt.search.beam import SearchSettings, beam_search
from nmt.search.engine import Best, Engine, EngineState, Floats, Integers, best_pieces
from nmt.text.vocabulary import END

REFUSED = 2
"""Number of refused continuations shown at each step: the most probable ones that did not enter the beam."""

Fate = Literal["best", "finished", "pruned", "refused"]
"""best: part of the translation; finished: part of another finished hypothesis; pruned: was in the beam and was dropped
later; refused: did not enter the beam."""


@dataclass
class Node:
    """A hypothesis at one step: its last piece, and the hypothesis that it continues."""

    parent: int
    """Index of the hypothesis it continues; -1 for a first piece."""
    step: int
    """Number of pieces of the hypothesis, including this one."""
    token: int
    """Id of the piece; `nmt.text.vocabulary.END` for the end symbol."""
    log_prob: float
    """Log-probability of the piece (natural logarithm)."""
    total: float
    """Log-probability of the hypothesis up to this piece."""
    fate: Fate
    score: float | None = None
    """The score of a finished hypothesis: the total, normalised by length."""


class Recorder(Engine):
    """An engine that runs another one and records the rows of each step, their input, and their best continuations."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.steps: list[tuple[Integers | None, Integers, Best]] = []
        """Rows before the step that its rows continue (None: the same), what they read, what may come next."""
        self.rows: Integers | None = None

    def start(self, sources: Sequence[Sequence[int]]) -> tuple[Any, EngineState]:
        return self.engine.start(sources)

    def step(self, memory: Any, state: EngineState, tokens: Integers) -> tuple[Floats, Floats | None, EngineState]:
        """See `Engine.step`; records all pieces that may come next."""
        log_probs, weights, state = self.engine.step(memory, state, tokens)
        self._note(tokens, best_pieces(log_probs, log_probs.shape[1]))
        return log_probs, weights, state

    def step_best(
        self, memory: Any, state: EngineState, tokens: Integers, k: int
    ) -> tuple[Best, Floats | None, EngineState]:
        best, weights, state = self.engine.step_best(memory, state, tokens, k)
        self._note(tokens, best)
        return best, weights, state

    def select(self, state: EngineState, rows: Integers) -> EngineState:
        self.rows = rows.copy()
        return self.engine.select(state, rows)

    def _note(self, tokens: Integers, best: Best) -> None:
        self.steps.append((self.rows, tokens.copy(), best))
        self.rows = None


def search_tree(engine: Engine, source: Sequence[int], settings: SearchSettings) -> list[Node]:
    """The search tree of one sentence; each hypothesis comes after the one it continues.

    All finished hypotheses are kept, not only the best. The search therefore stops later, but finds the same best one.

        source: ids, not empty
    """
    recorder = Recorder(engine)
    settings = replace(settings, n_best=settings.beam_size, attention_weights=False)
    found = beam_search(recorder, [source], settings)[0]
    nodes: list[Node] = []
    children: dict[tuple[int, int], int] = {}
    rows: list[int] = []  # node of each row; the empty hypothesis has no node
    offered: list[tuple[list[int], Best]] = []
    for number, (selected, tokens, best) in enumerate(recorder.steps):
        if number == 0:
            rows = [-1] * len(tokens)
        else:
            before, choices = offered[-1]
            parents = range(len(tokens)) if selected is None else selected.tolist()
            rows = []
            for parent, token in zip(parents, tokens.tolist(), strict=True):
                key = before[parent], token
                if key not in children:  # the groups of a diverse search may open the same hypothesis
                    column = np.flatnonzero(choices.tokens[parent] == token)[0]
                    children[key] = _add(nodes, *key, float(choices.log_probs[parent, column]), "pruned")
                rows.append(children[key])
        offered.append((rows, best))
    for rank, hypothesis in enumerate(found):
        node = -1
        for token in hypothesis.tokens:
            node = children[node, token]
        fate: Fate = "finished" if rank else "best"
        end = _add(nodes, node, END, hypothesis.token_log_probs[-1], fate)
        nodes[end].score = hypothesis.score
        while node >= 0 and nodes[node].fate == "pruned":
            nodes[node].fate = fate
            node = nodes[node].parent
    _add_refused(nodes, offered)
    return nodes


def _add(nodes: list[Node], parent: int, token: int, log_prob: float, fate: Fate) -> int:
    before = nodes[parent] if parent >= 0 else None
    step, total = (before.step, before.total) if before else (0, 0.0)
    nodes.append(Node(parent, step + 1, token, log_prob, total + log_prob, fate))
    return len(nodes) - 1


def _add_refused(nodes: list[Node], offered: Sequence[tuple[list[int], Best]]) -> None:
    """Add the most probable continuations of each step that did not enter the beam."""
    taken = {(node.parent, node.token) for node in nodes}
    totals: dict[tuple[int, int], float] = {}
    for rows, best in offered:
        refused: dict[tuple[int, int], float] = {}
        for row, node in enumerate(rows):
            total = nodes[node].total if node >= 0 else 0.0
            columns = zip(best.tokens[row].tolist(), best.log_probs[row].tolist(), strict=True)
            for token, log_prob in [(END, float(best.end[row])), *columns]:
                if log_prob > -np.inf and (node, token) not in taken:
                    refused[node, token] = log_prob
                    totals[node, token] = total + log_prob
        for key in sorted(refused, key=lambda key: -totals[key])[:REFUSED]:
            _add(nodes, *key, refused[key], "refused")
