"""Attention: at each target position a weighted mean of the encoder's states."""

from __future__ import annotations

import math
from typing import ClassVar, get_args

import torch
from torch import Tensor, nn

from nmt.config import AttentionName
from nmt.network.named import by_name

Memory = dict[str, Tensor]
"""The tensors that the decoder reads for each source sentence, by name; dimension 0 is the sentence."""


class Attention(nn.Module):
    """Compares a query with the keys of all source positions and averages their values.

        e_tj = score(q_t, k_j)          a_t = softmax(e_t)          c_t = sum_j a_tj v_j

    a_t are the attention weights and c_t is the context vector (Bahdanau et al. 2015, section 3.1,
    https://arxiv.org/abs/1409.0473). A subclass sets those of the layers `key`, `query`, `value` and `output` that it
    has; the others are None, and their inputs pass unchanged. The score is q . k unless a subclass defines another.

    Coverage: the sum of the weights that a source position has got so far, C_t = sum_{i<t} a_i, enters its key as
    C_tj w: Tu et al. (2016), equation 6 with one dimension, https://arxiv.org/abs/1601.04811; the sum as in See et al.
    (2017), equation 10, https://arxiv.org/abs/1704.04368. The positions must then be processed one by one.

        size: units of queries, encoder states and contexts
        heads: parts of the units that attend independently
    """

    name: ClassVar[str]  # the value of `model.attention` that chooses this attention

    key: nn.Linear | None
    query: nn.Linear | None
    value: nn.Linear | None
    output: nn.Linear | None
    score: nn.Parameter | None

    def __init__(self, size: int, heads: int = 1, coverage: bool = False) -> None:
        super().__init__()
        self.size, self.heads = size, heads
        self.key = self.query = self.value = self.output = None
        self.register_parameter("score", None)  # before the coverage: saved states of optimisers number the weights
        self.coverage = nn.Parameter(torch.empty(heads, size // heads)) if coverage else None

    def remember(self, states: Tensor, real: Tensor) -> Memory:
        """Prepare the encoder's states for `forward`.

            states: [source_length, batch, size]
            real: [batch, source_length], whether a position is a word and not padding

        Returns: keys as `compare` reads them, [batch, heads, size of a head, source_length] unless a subclass says
        otherwise; values [batch, heads, source_length, size of a head]; mask [batch, 1, 1, source_length], 0 at real
        positions and -inf behind them
        """
        values = states.transpose(0, 1)
        keys = values if self.key is None else self.key(values).to(values.dtype)
        values = values if self.value is None else self.value(values).to(values.dtype)
        mask = torch.where(real, 0.0, -math.inf).to(values.dtype)
        return {
            "keys": self.arrange(self._split(keys)),
            "values": self._split(values),
            "mask": mask.unsqueeze(1).unsqueeze(1),
        }

    def forward(self, queries: Tensor, memory: Memory, coverage: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Attend.

            queries: [batch, length, size]
            coverage: [batch, heads, length, source_length], for each query the sums of the weights before it

        Returns: contexts [batch, length, size], weights [batch, heads, length, source_length]
        """
        contexts, weights = self.attend(self.ask(queries), memory, coverage)
        return self.answer(contexts), weights

    def ask(self, queries: Tensor) -> Tensor:
        """Queries [..., size] as `attend` compares them with keys."""
        return queries if self.query is None else self.query(queries)

    def answer(self, contexts: Tensor) -> Tensor:
        """Contexts [..., size] of all heads, joined."""
        return contexts if self.output is None else self.output(contexts)

    def attend(self, queries: Tensor, memory: Memory, coverage: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The part of `forward` that reads the memory: everything between `ask` and `answer`."""
        queries = self._split(queries.to(memory["values"].dtype))
        # These matrices are small and vary in size: bf16 gains nothing, and oneDNN keeps 0.5 MB for each size it met.
        with torch.autocast(queries.device.type, enabled=False):
            scores = self.compare(queries, memory["keys"], coverage)
            weights = self.normalize(scores + memory["mask"])
            return self._join(weights @ memory["values"]), weights

    def arrange(self, keys: Tensor) -> Tensor:
        """Keys [batch, heads, source_length, size of a head] in the order in which `compare` reads them."""
        return keys.transpose(-1, -2)

    def compare(self, queries: Tensor, keys: Tensor, coverage: Tensor | None) -> Tensor:
        """The scores e [batch, heads, length, source_length] of queries [batch, heads, length, size of a head]."""
        scores = queries @ keys
        if coverage is not None and self.coverage is not None:  # q . (k + C w) = q . k + C (q . w)
            scores = scores + coverage * (queries @ self.coverage.unsqueeze(-1))
        return scores

    def normalize(self, scores: Tensor) -> Tensor:
        """The weights a from the scores, of the same shape; the last dimension sums to 1."""
        return torch.softmax(scores, -1)

    def _split(self, tensor: Tensor) -> Tensor:
        """[batch, length, size] -> [batch, heads, length, size of a head]."""
        if self.heads == 1:
            return tensor.unsqueeze(1)
        return torch.unflatten(tensor, -1, (self.heads, -1)).transpose(1, 2)

    def _join(self, tensor: Tensor) -> Tensor:
        """[batch, heads, length, size of a head] -> [batch, length, size]."""
        return tensor.squeeze(1) if self.heads == 1 else tensor.transpose(1, 2).flatten(-2)


class DotAttention(Attention):
    """e = q . h. Luong et al. (2015), equation 8, https://arxiv.org/abs/1508.04025."""

    name = "dot"


class GeneralAttention(Attention):
    """e = q . (W h). Luong et al. (2015), equation 8, https://arxiv.org/abs/1508.04025."""

    name = "general"

    def __init__(self, size: int, heads: int = 1, coverage: bool = False) -> None:
        super().__init__(size, heads, coverage)
        self.key = nn.Linear(size, size, bias=False)


class AdditiveAttention(Attention):
    """e = v . tanh(W q + U h + b). Bahdanau et al. (2015), appendix A.1.2, https://arxiv.org/abs/1409.0473.

    U is `key`, W and b are `query`, v is `score` [1, size].
    """

    name = "additive"

    def __init__(self, size: int, heads: int = 1, coverage: bool = False) -> None:
        super().__init__(size, heads, coverage)
        self.key = nn.Linear(size, size, bias=False)
        self.query = nn.Linear(size, size)
        self.score = nn.Parameter(torch.empty(1, size))

    def arrange(self, keys: Tensor) -> Tensor:
        return keys  # a key is added to a query

    def compare(self, queries: Tensor, keys: Tensor, coverage: Tensor | None) -> Tensor:
        """The scores [batch, heads, length, source_length]; keys are [batch, heads, source_length, size of a head]."""
        compared = queries.unsqueeze(-2) + keys.unsqueeze(-3)  # [batch, heads, length, source_length, size of a head]
        if coverage is not None and self.coverage is not None:
            compared = compared + coverage.unsqueeze(-1) * self.coverage
        assert self.score is not None
        return (torch.tanh(compared) @ self.score.to(compared.dtype).t()).squeeze(-1)


class MultiHeadAttention(Attention):
    """e = (W_q q) . (W_k h) / sqrt(size of a head), v = W_v h, in each head; W_o joins the contexts of the heads.

    Vaswani et al. (2017), section 3.2.2, https://arxiv.org/abs/1706.03762.
    """

    name = "multi_head"

    def __init__(self, size: int, heads: int = 1, coverage: bool = False) -> None:
        super().__init__(size, heads, coverage)
        self.key, self.query, self.value, self.output = (nn.Linear(size, size, bias=False) for _ in range(4))

    def compare(self, queries: Tensor, keys: Tensor, coverage: Tensor | None) -> Tensor:
        """The scores [batch, heads, length, source_length], divided by the square root of the size of a head."""
        return super().compare(queries / math.sqrt(self.size // self.heads), keys, coverage)


ATTENTIONS: dict[str, type[Attention]] = by_name(
    Attention, [name for name in get_args(AttentionName) if name != "none"]
)
"""Attention classes by their names in the configuration, in the order of `nmt.config.AttentionName`."""
