"""Perplexity: exp of the mean negative log-likelihood of a piece."""

import math

LARGEST_LOSS = 700.0
"""Nats per piece beyond which a float cannot hold the perplexity."""


def perplexity(loss: float) -> float:
    """The perplexity for a loss in nats per piece; about 1e304 if it is larger than a float can hold."""
    return math.exp(min(loss, LARGEST_LOSS))


def perplexity_text(loss: float, decimals: int = 2) -> str:
    """Perplexity as text: `12.34`, and `1.2e+09` from a million on."""
    if loss > LARGEST_LOSS:
        return "over 1e+304"
    value = perplexity(loss)
    return f"{value:.{decimals}f}" if value < 1e6 else f"{value:.1e}"
