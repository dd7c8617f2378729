"""Cross-entropy of the output layer, computed without ever holding all of its logits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

CHUNK = 512
"""Rows whose logits exist at a time: 512 x 8000 floats are 16 MB, which a processor's last cache holds."""


def output_cross_entropy(
    hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, label_smoothing: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of softmax(W h + b) with label smoothing, summed over rows.

    loss = -sum_v q(v) log p(v), q = (1 - epsilon) one-hot + epsilon / V: the mass is spread over all V entries, the
    target among them. Szegedy et al. (2016), section 7, https://arxiv.org/abs/1512.00567

        hidden: [rows, size]
        weight, bias: [vocabulary, size], [vocabulary]
        targets: [rows]; padding is left out beforehand

    Returns: the loss to minimise, and the plain negative log-likelihood (without gradient); both in nats, summed.
    """
    loss, negative_log_likelihood = _OutputCrossEntropy.apply(  # type: ignore[no-untyped-call]
        hidden, weight, bias, targets, label_smoothing
    )
    return loss, negative_log_likelihood


class _OutputCrossEntropy(torch.autograd.Function):
    """Takes the gradients chunk by chunk in the forward pass, while the chunk's logits are in the cache."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, smoothing: float
    ) -> tuple[Tensor, Tensor]:
        device = hidden.device.type
        low = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
        needed = any(ctx.needs_input_grad)
        full = weight.dtype
        low_hidden, low_weight = hidden.to(low), weight.to(low)
        d_hidden, d_weight, d_bias = torch.empty_like(low_hidden), torch.zeros_like(weight), torch.zeros_like(bias)
        loss, negative = weight.new_zeros(()), weight.new_zeros(())
        with torch.autocast(device, enabled=False):
            for start in range(0, hidden.size(0), CHUNK):
                rows = low_hidden[start : start + CHUNK]
                wanted = targets[start : start + CHUNK].unsqueeze(1)
                logits = (
                    (rows @ low_weight.t()).to(full).add_(bias) if low != full else torch.addmm(bias, rows, weight.t())
                )
                log_probs = torch.log_softmax(logits, -1, out=logits)
                chunk_negative = -log_probs.gather(1, wanted).sum()
                negative += chunk_negative
                if smoothing:
                    loss += (1 - smoothing) * chunk_negative - smoothing * log_probs.mean(-1).sum()
                if not needed:
                    continue
                gradient = log_probs.exp_()  # p - q
                if smoothing:
                    gradient -= smoothing / weight.size(0)
                gradient.scatter_add_(1, wanted, gradient.new_full((), smoothing - 1).expand_as(wanted))
                d_bias += gradient.sum(0)
                low_gradient = gradient.to(low)
                torch.mm(low_gradient, low_weight, out=d_hidden[start : start + CHUNK])
                if low != full:
                    d_weight += low_gradient.t() @ rows
                else:
                    d_weight.addmm_(low_gradient.t(), rows)
        ctx.save_for_backward(d_hidden.to(hidden.dtype), d_weight, d_bias)
        ctx.mark_non_differentiable(negative)
        return (loss if smoothing else negative.clone()), negative

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        d_hidden, d_weight, d_bias = ctx.saved_tensors
        scale = gradients[0]
        return d_hidden * scale, d_weight * scale, d_bias * scale, None, None
