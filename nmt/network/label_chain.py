"""The loss of a conditional random field: whole sequences of labels compete, not single labels.

Lafferty, McCallum & Pereira (2001), "Conditional Random Fields"; on an LSTM: Huang, Xu & Yu (2015),
https://arxiv.org/abs/1508.01991. With the scores P[t, y] of the output layer and A[y, y'] of transitions,

    s(y) = sum_t A[y_(t-1), y_t] + P[t, y_t]        y_0: the beginning, the last row of A
    -log p(y) = log sum_(y') exp s(y') - s(y)

where the sum over all sequences follows from alpha_t[y] = P[t, y] + log sum_(y') exp(alpha_(t-1)[y'] + A[y', y]).
`nmt.prediction.label_chain` finds the best sequence.
"""

from __future__ import annotations

import torch
from torch import Tensor


def label_chain_loss(scores: Tensor, transitions: Tensor, labels: Tensor, ignored: int) -> Tensor:
    """-log p(y), summed over the sequences, in nats.

    scores: P, [length, batch, labels]
    transitions: A, [labels + 1, labels]
    labels: [length, batch]; positions with `ignored` are left out, and those before and after them are neighbours
    """
    order = (labels == ignored).int().argsort(dim=0, stable=True)  # those with a label first
    labels = labels.gather(0, order)
    scores = scores.float().gather(0, order.unsqueeze(-1).expand_as(scores))
    real = labels != ignored
    longest = max(1, int(real.sum(0).max()))
    labels, scores, real = labels[:longest].clamp(min=0), scores[:longest], real[:longest]
    transitions = transitions.float()
    before = torch.cat([torch.full_like(labels[:1], len(transitions) - 1), labels[:-1]])
    own = transitions[before, labels] + scores.gather(-1, labels.unsqueeze(-1)).squeeze(-1)  # [length, batch]
    alpha = transitions[-1] + scores[0]  # [batch, labels]
    for position in range(1, longest):
        through = torch.logsumexp(alpha.unsqueeze(-1) + transitions[:-1], 1) + scores[position]
        alpha = torch.where(real[position].unsqueeze(-1), through, alpha)
    any_label = real[0].to(alpha.dtype)  # a sequence may have none
    return (torch.logsumexp(alpha, -1) * any_label).sum() - (own * real).sum()
