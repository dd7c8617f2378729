"""Length normalisation of hypothesis scores, and the bound that lets search stop early.

A hypothesis with n pieces has length n + 1 everywhere: the end symbol counts, because its log-probability is one of the
terms that are summed. So at any step of the search all continuations of a sentence have the same length, and ordering
them by log-probability is ordering them by score.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

from nmt.errors import UserError

Number = TypeVar("Number", float, npt.NDArray[np.float64])


@dataclass(frozen=True)
class LengthPenalty:
    """What a log-probability is divided by to compare hypotheses of different length.

    Without it, search prefers short translations: each further symbol can only lower the log-probability.
    """

    kind: Literal["none", "average", "gnmt"]
    """none: 1; average: the length; gnmt: ((5 + length) / 6)^alpha, Wu et al. (2016), equation 14,
    https://arxiv.org/abs/1609.08144 (theirs has a coverage term as well)."""
    alpha: float = 1.0
    """Exponent of `gnmt`; 0 is no penalty."""

    def __post_init__(self) -> None:
        if self.kind not in ("none", "average", "gnmt"):
            raise UserError(f"`length_penalty` must be one of none, average, gnmt, but is {self.kind!r} instead")
        if not self.alpha >= 0:
            raise UserError(f"`alpha` must be at least 0, but is {self.alpha} instead")

    def divisor(self, length: Number) -> Number:
        """The divisor of a length, end symbol included; it never falls as the length grows."""
        if self.kind == "none":
            return length * 0 + 1.0
        if self.kind == "average":
            return length * 1.0
        power: Number = ((5.0 + length) / 6.0) ** self.alpha
        return power

    def score(self, log_prob: float, length: int) -> float:
        """Normalised score of a finished hypothesis: log-probability and length both with the end symbol."""
        return log_prob / self.divisor(float(length))

    def bound(self, log_prob: float, longest: int) -> float:
        """Best score that an open hypothesis may still reach if no hypothesis can be longer than `longest`.

        Log-probabilities are at most 0, so going on cannot raise the sum; the divisor is largest at the end.
        """
        return log_prob / self.divisor(float(longest))
