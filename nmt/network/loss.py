"""Cross-entropy of the output layer, computed without ever holding all of its logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from nmt.network.precision import low_precision
from nmt.text.vocabulary import PAD

CHUNK = 1024  # rows whose logits exist at a time: 1024 x 8000 floats are 33 MB

ROWS = 64  # in bf16, chunks are filled up to a multiple of this: oneDNN keeps 1.5 MB for each number of rows


def real_positions(
    readout: Tensor, targets: Tensor, count: int | None = None, ignored: int = PAD
) -> tuple[Tensor, Tensor, Tensor]:
    """The positions of a batch that have a target, as rows for the functions below.

        readout: [length, batch, size]
        targets: ids [length, batch], `ignored` where there is nothing to predict
        count: the number of targets, if it is known; otherwise the processor waits for a GPU to count them

    Returns: the readouts [rows, size], their targets [rows], and for each row its sentence [rows]
    """
    flat = targets.flatten()
    real = flat != ignored
    if count is None:
        rows = real.nonzero().squeeze(1)
    else:
        rows = real.to(torch.uint8).argsort(descending=True, stable=True)[:count]
    return readout.flatten(0, 1).index_select(0, rows), flat.index_select(0, rows), rows % targets.size(1)


def output_cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor,
    targets: Tensor,
    label_smoothing: float = 0.0,
    row_weights: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of softmax(W h + b) with label smoothing, summed over rows.

    loss = sum_i w_i sum_v -q_i(v) log p_i(v), q = (1 - epsilon) one-hot + epsilon / V: the mass is spread over all V
    entries, the target among them. Szegedy et al. (2016), section 7, https://arxiv.org/abs/1512.00567

        hidden: [rows, size]
        weight, bias: [vocabulary, size], [vocabulary]
        targets: [rows]; padding is left out beforehand
        row_weights: w, [rows], of any sign; all 1 where there are none

    Returns: the loss to minimise, and the plain negative log-likelihood (without gradient or weights); both in nats,
    summed.
    """

    def work(layer: _OutputLayer) -> tuple[Tensor, Tensor]:
        loss, negative = weight.new_zeros(()), weight.new_zeros(())
        for start in range(0, len(targets), CHUNK):
            chunk = slice(start, start + CHUNK)
            rows, wanted = layer.hidden[chunk], targets[chunk]
            log_probs = layer.log_probs(rows)
            row_loss = _negative(log_probs, wanted)
            negative += row_loss.sum()
            if label_smoothing:
                row_loss = (1 - label_smoothing) * row_loss - label_smoothing * log_probs.mean(-1)
            loss += row_loss.sum() if row_weights is None else row_loss @ row_weights[chunk]
            if layer.with_gradients:
                gradient = _error(log_probs.exp_(), wanted, label_smoothing)
                if row_weights is not None:
                    gradient *= row_weights[chunk].unsqueeze(1)
                layer.backward(gradient, rows, layer.d_hidden[chunk])
        return loss, negative

    return _taken_at_once(hidden, weight, bias, work)


def pair_cross_entropy(
    hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, label_smoothing: float, alpha: float
) -> tuple[Tensor, Tensor]:
    """R-Drop: two predictions of the same targets under different dropout masks, drawn together; summed over rows.

    Liang et al. (2021), equation 4, https://arxiv.org/abs/2106.14448, halved, so that it has the scale of one pass:

        loss = 1/2 (CE_1 + CE_2 + alpha/2 (KL(p_1 || p_2) + KL(p_2 || p_1)))

    with the cross-entropies CE of `output_cross_entropy`, smoothed like these. With z the logits, d = log p_1 - log p_2
    and J = KL(p_1 || p_2) + KL(p_2 || p_1):

        dJ/dz_1 = p_1 (d - KL(p_1 || p_2)) + p_1 - p_2
        dJ/dz_2 = p_2 (-d - KL(p_2 || p_1)) + p_2 - p_1

        hidden: [2 rows, size]; rows i and rows + i predict the same target
        weight, bias: [vocabulary, size], [vocabulary]
        targets: [rows]; padding is left out beforehand

    Returns: the loss to minimise, and the mean of both plain negative log-likelihoods (without gradient); in nats,
    summed.
    """
    count, step = len(targets), max(1, CHUNK // 2)

    def work(layer: _OutputLayer) -> tuple[Tensor, Tensor]:
        loss, negative = weight.new_zeros(()), weight.new_zeros(())
        for start in range(0, count, step):
            wanted = targets[start : start + step]
            passes = [slice(base + start, base + start + len(wanted)) for base in (0, count)]
            log_probs = [layer.log_probs(layer.hidden[chunk]) for chunk in passes]
            difference = log_probs[0] - log_probs[1]
            probs = [each.exp() for each in log_probs]
            towards = torch.linalg.vecdot(probs[0], difference), -torch.linalg.vecdot(probs[1], difference)
            loss += alpha / 4 * (towards[0] + towards[1]).sum()
            for each in log_probs:
                row_loss = _negative(each, wanted) / 2
                negative += row_loss.sum()
                if label_smoothing:
                    row_loss = (1 - label_smoothing) * row_loss - label_smoothing / 2 * each.mean(-1)
                loss += row_loss.sum()
            if layer.with_gradients:
                between = probs[0] - probs[1]
                for sign, chunk, divergence, own in zip((1, -1), passes, towards, probs, strict=True):
                    gradient = own * (sign * difference - divergence.unsqueeze(1)) + sign * between
                    gradient.mul_(alpha / 4).add_(_error(own, wanted, label_smoothing), alpha=0.5)
                    layer.backward(gradient, layer.hidden[chunk], layer.d_hidden[chunk])
        return loss, negative

    return _taken_at_once(hidden, weight, bias, work)


@torch.no_grad()
def row_negative_log_likelihood(hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """-log softmax(W h + b)[target] of each row, [rows], in nats, without gradient."""
    layer = _OutputLayer(hidden, weight, bias)
    negative = weight.new_empty(len(hidden))
    with torch.autocast(hidden.device.type, enabled=False):
        for start in range(0, len(hidden), CHUNK):
            log_probs = layer.log_probs(layer.hidden[start : start + CHUNK])
            negative[start : start + CHUNK] = _negative(log_probs, targets[start : start + CHUNK])
    return negative


def _taken_at_once(
    hidden: Tensor, weight: Tensor, bias: Tensor, work: Callable[[_OutputLayer], tuple[Tensor, Tensor]]
) -> tuple[Tensor, Tensor]:
    """Loss and negative log-likelihood as `work` computes them, chunk by chunk, with the gradients of the layer."""
    given = hidden, weight, bias
    if not torch.is_grad_enabled():  # autograd functions are not told so
        given = hidden.detach(), weight.detach(), bias.detach()
    loss, negative = _CrossEntropy.apply(*given, work)  # type: ignore[no-untyped-call]
    return loss, negative


class _OutputLayer:
    """The output layer in the precision of its products, and the gradients collected for it chunk by chunk."""

    def __init__(self, hidden: Tensor, weight: Tensor, bias: Tensor, with_gradients: bool = False) -> None:
        low = low_precision(hidden.device) or hidden.dtype
        self.weight, self.bias = weight, bias
        self.mixed = low != weight.dtype
        self.hidden, self.low_weight = hidden.to(low), weight.to(low)
        self.type, self.with_gradients = hidden.dtype, with_gradients
        if with_gradients:
            self.d_hidden = torch.empty_like(self.hidden)
            self.d_weight, self.d_bias = torch.zeros_like(weight), torch.zeros_like(bias)

    def log_probs(self, rows: Tensor) -> Tensor:
        """Log-probabilities [rows, vocabulary]; the caller may write to them."""
        if self.mixed:
            logits = (_filled_up(rows) @ self.low_weight.t())[: len(rows)].to(self.weight.dtype).add_(self.bias)
        else:
            logits = torch.addmm(self.bias, rows, self.weight.t())
        return torch.log_softmax(logits, -1, out=logits)

    def backward(self, gradient: Tensor, rows: Tensor, d_rows: Tensor) -> None:
        """Take the gradient with respect to the logits of some rows on; that of the rows is written to `d_rows`."""
        self.d_bias += gradient.sum(0)
        if self.mixed:
            gradient = _filled_up(gradient, rows.dtype)
            d_rows[:] = (gradient @ self.low_weight)[: len(rows)]
            self.d_weight += gradient.t() @ _filled_up(rows)
        else:
            torch.mm(gradient, self.low_weight, out=d_rows)
            self.d_weight.addmm_(gradient.t(), rows)

    def gradients(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.d_hidden.to(self.type), self.d_weight, self.d_bias


class _CrossEntropy(torch.autograd.Function):
    """Takes the gradients chunk by chunk in the forward pass, while the chunk's logits are in the cache."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, work: Callable[..., Any]) -> Any:
        layer = _OutputLayer(hidden, weight, bias, any(ctx.needs_input_grad))
        with torch.autocast(hidden.device.type, enabled=False):
            loss, negative = work(layer)
        if layer.with_gradients:
            ctx.save_for_backward(*layer.gradients())
        ctx.mark_non_differentiable(negative)
        return loss, negative

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return *(gradients[0] * gradient for gradient in ctx.saved_tensors), None


def _filled_up(rows: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Rows in a type, and behind them rows of zeros up to a multiple of `ROWS`."""
    count = len(rows)
    if count % ROWS == 0:
        return rows.to(dtype or rows.dtype)
    filled = rows.new_empty(-(-count // ROWS) * ROWS, rows.size(1), dtype=dtype)
    filled[:count] = rows
    filled[count:] = 0
    return filled


def _negative(log_probs: Tensor, targets: Tensor) -> Tensor:
    """Negative log-likelihood of each row's target, [rows]."""
    return -log_probs.gather(1, targets.unsqueeze(1)).squeeze(1)


def _error(probs: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """p - q: the gradient of the cross-entropy with respect to the logits [rows, vocabulary]; written over `probs`."""
    if smoothing:
        probs -= smoothing / probs.size(1)
    wanted = targets.unsqueeze(1)
    return probs.scatter_add_(1, wanted, probs.new_full((), smoothing - 1).expand_as(wanted))
