"""The best sequence of labels of a conditional random field, and the probability of each label.

The scores are those of `nmt.network.label_chain`: P[t, y] of the output layer and A[y, y'] of transitions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nmt.text.labels import Ids

Scores = npt.NDArray[np.floating[Any]]


def best_labels(scores: Scores, transitions: Scores) -> Ids:
    """The sequence of largest score (Viterbi 1967): delta_t[y] = P[t, y] + max_(y') (delta_(t-1)[y'] + A[y', y]).

    scores: P, [length, labels]
    transitions: A, [labels + 1, labels]; the last row is the beginning
    """
    delta, came_from = transitions[-1] + scores[:1].sum(0), list[Ids]()
    for row in scores[1:]:
        through = delta[:, None] + transitions[:-1]
        came_from.append(through.argmax(0))
        delta = through.max(0) + row
    best = [int(delta.argmax())] if len(scores) else []
    for before in reversed(came_from):
        best.append(int(before[best[-1]]))
    return np.array(best[::-1], np.int64)


def label_probabilities(scores: Scores, transitions: Scores) -> Scores:
    """p(y_t = y | x) = exp(alpha_t[y] + beta_t[y] - log Z), by the forward-backward algorithm; shapes as above."""
    forward, backward = np.zeros(scores.shape), np.zeros(scores.shape)
    for place, row in enumerate(scores):
        arriving = _log_sum(forward[place - 1][:, None] + transitions[:-1]) if place else transitions[-1]
        forward[place] = arriving + row
    for place in range(len(scores) - 2, -1, -1):
        backward[place] = _log_sum((transitions[:-1] + scores[place + 1] + backward[place + 1]).T)
    joint = forward + backward
    probabilities: Scores = np.exp(joint - _log_sum(joint.T)[:, None]) if len(scores) else joint
    return probabilities


def _log_sum(values: Scores) -> Scores:
    """log sum exp over the first dimension."""
    largest = values.max(0)
    total: Scores = largest + np.log(np.exp(values - largest).sum(0))
    return total
