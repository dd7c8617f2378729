"""Attention: at each target position a weighted mean of the encoder's states."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Memory = dict[str, Tensor]
"""What is kept of each source sentence, by name; dimension 0 is the sentence."""


class Attention(nn.Module):
    """Compares a query with the keys of all source positions and averages their values.

        e_tj = score(q_t, k_j)          a_t = softmax(e_t)          c_t = sum_j a_tj v_j

    dot: e = q . k; general: e = q . (W k) (Luong et al. 2015, equation 8, https://arxiv.org/abs/1508.04025);
    additive: e = v . tanh(W q + U k) (Bahdanau et al. 2015, appendix A.1.2, https://arxiv.org/abs/1409.0473);
    multi_head: W_q q, W_k k and W_v v are cut into heads, each of which attends by itself with
    e = q . k / sqrt(head size); W_o brings the heads' answers together (Vaswani et al. 2017, section 3.2.2,
    https://arxiv.org/abs/1706.03762).

    Coverage: what a source position has been given so far, C_t = sum_{i<t} a_i, enters its key as C_tj w: Tu et al.
    (2016), equation 6 with one dimension, https://arxiv.org/abs/1601.04811; the sum as in See et al. (2017), equation
    10, https://arxiv.org/abs/1704.04368. The positions must then be taken one by one.
    """

    def __init__(
        self,
        kind: Literal["dot", "general", "additive", "multi_head"],
        size: int,
        heads: int = 1,
        coverage: bool = False,
    ) -> None:
        super().__init__()
        self.kind, self.size = kind, size
        self.heads = heads if kind == "multi_head" else 1
        self.key = nn.Linear(size, size, bias=False) if kind != "dot" else None
        self.query = nn.Linear(size, size, bias=kind == "additive") if kind in ("additive", "multi_head") else None
        self.value = nn.Linear(size, size, bias=False) if kind == "multi_head" else None
        self.output = nn.Linear(size, size, bias=False) if kind == "multi_head" else None
        self.score = nn.Parameter(torch.empty(1, size)) if kind == "additive" else None
        self.coverage = nn.Parameter(torch.empty(self.heads, size // self.heads)) if coverage else None

    def remember(self, states: Tensor, lengths: Tensor) -> Memory:
        """Encoder states [source_length, batch, size] and lengths [batch] -> what `forward` needs of them."""
        values = states.transpose(0, 1)
        keys = values if self.key is None else self.key(values).to(values.dtype)
        if self.value is not None:
            keys, values = self._split(keys), self._split(self.value(values).to(values.dtype))
        beyond = torch.arange(states.size(0), device=lengths.device) >= lengths.unsqueeze(1)
        mask = torch.zeros_like(beyond, dtype=states.dtype).masked_fill_(beyond, -torch.inf)
        return {"keys": keys, "values": values, "mask": mask}

    def forward(self, queries: Tensor, memory: Memory, coverage: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Attend.

            queries: [batch, length, size]; with coverage, length is 1
            coverage: [batch, heads, source_length], sums of the weights so far

        Returns: contexts [batch, length, size], weights [batch, heads, length, source_length]
        """
        keys, values, mask = memory["keys"], memory["values"], memory["mask"]
        queries = (queries if self.query is None else self.query(queries)).to(values.dtype)
        scale = 1.0
        if self.kind == "multi_head":
            queries = self._split(queries)
            scale = 1 / math.sqrt(self.size // self.heads)
        if coverage is not None and self.coverage is not None:
            seen = coverage.unsqueeze(-1) * self.coverage.unsqueeze(1)  # [batch, heads, source_length, size of a head]
            keys = keys + (seen if self.kind == "multi_head" else seen.squeeze(1))
        # Small matrices of ever other sizes: bf16 gains nothing, and oneDNN keeps 0.5 MB for each size it has met.
        with torch.autocast(queries.device.type, enabled=False):
            if self.score is not None:
                compared = torch.tanh(queries.unsqueeze(2) + keys.unsqueeze(1))
                scores = F.linear(compared, self.score.to(compared.dtype)).squeeze(-1)
            else:
                scores = queries @ keys.transpose(-1, -2)
            mask = mask[:, None, None] if self.kind == "multi_head" else mask[:, None]
            weights = torch.softmax(scores * scale + mask, -1)
            answers = weights @ values
        if self.kind == "multi_head":
            assert self.output is not None
            return self.output(answers.transpose(1, 2).flatten(-2)), weights
        return answers, weights.unsqueeze(1)

    def _split(self, tensor: Tensor) -> Tensor:
        """[batch, length, size] -> [batch, heads, length, size of a head]."""
        return tensor.view(*tensor.shape[:-1], self.heads, -1).transpose(1, 2)
