"""The objectives of training: the likelihood of the references, or the risk of the model's own translations.

An objective runs the forward and backward pass of one batch. All its random numbers follow from a seed.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from nmt.config import Config, TrainingConfig
from nmt.data.batching import Batch
from nmt.network.loss import output_cross_entropy, pair_cross_entropy, real_positions, row_negative_log_likelihood
from nmt.network.model import TranslationModel
from nmt.network.precision import mixed_precision
from nmt.network.torch_engine import TorchEngine
from nmt.search.beam import SearchSettings, beam_search
from nmt.search.reranking import make_utility
from nmt.search.sampling import sample_translations
from nmt.text.vocabulary import BEGIN, END, PAD, SPECIAL_PIECES, Vocabulary

Objective = Callable[..., tuple[Tensor, Tensor]]
"""The forward and backward pass of one batch, with the arguments and results of `nmt.tasks.task.Task.backward`."""


def make_objective(config: Config, target_vocabulary: Vocabulary) -> Objective:
    """The objective of a translation model as `training.objective` says."""
    if config.training.objective == "minimum_risk":
        return MinimumRisk(config, target_vocabulary)
    return Likelihood(config.training)


def sampling_probability(
    kind: Literal["none", "constant", "linear", "exponential", "inverse_sigmoid"], rate: float, progress: float
) -> float:
    """Probability with which the decoder reads a piece of its own, at a progress x of 0 to 1.

    Bengio et al. (2015), section 2.4, https://arxiv.org/abs/1506.03099, lower the probability e of reading the
    reference's piece over the updates i. Here 1 - e is stretched to run from 0 at x = 0 to `rate` at x = 1:

        constant: rate
        linear, from e = k - c i: rate x
        exponential, from e = k^i: rate (1 - k^x) / (1 - k) with k = 0.01, steep at first
        inverse_sigmoid, from e = k / (k + exp(i / k)), which is 1 - sigmoid(i / k - log k): rate
            (s(x) - s(0)) / (s(1) - s(0)) with s(x) = sigmoid(12 x - 6), steep in the middle (k = e^6 and 12 k updates)
    """
    match kind:
        case "none":
            return 0.0
        case "constant":
            return rate
        case "linear":
            return rate * progress
        case "exponential":
            return rate * (1 - math.pow(0.01, progress)) / (1 - 0.01)
        case "inverse_sigmoid":
            first, here, last = (1 / (1 + math.exp(6 - 12 * x)) for x in (0.0, progress, 1.0))
            return rate * (here - first) / (last - first)


class Likelihood:
    """Teacher forcing: cross-entropy of the references with label smoothing.

    With scheduled sampling the decoder reads pieces of its own at some positions (`mixed_inputs`). With R-Drop the
    batch is doubled, so that each sentence passes under two dropout masks, and the loss is
    `nmt.network.loss.pair_cross_entropy`. Masks that belong to the weights (weight drop) are the same for both.

    Truncated backpropagation through time (Williams & Peng 1990, https://doi.org/10.1162/neco.1990.2.4.490): the target
    is read in chunks of `truncation` positions; each is propagated back at once, within itself and into the encoder's
    memory, and only the state is carried on. The gradients of all chunks with respect to the memory, and that of the
    first with respect to the initial state, then pass through the encoder together. So the decoder's activations exist
    for one chunk at a time. Masks that are the same at all positions are drawn anew for each chunk.
    """

    def __init__(self, settings: TrainingConfig) -> None:
        self.settings = settings

    def __call__(
        self, model: TranslationModel, batch: Batch, *, tokens: float | Tensor, seed: int, progress: float
    ) -> tuple[Tensor, Tensor]:
        """See `Task.backward`."""
        settings = self.settings
        kind, rate = settings.scheduled_sampling, settings.scheduled_sampling_rate
        probability = sampling_probability(kind, rate, progress)
        inputs = batch.inputs
        if probability > 0:
            torch.manual_seed(_draw_seed(seed))
            with _evaluating(model), mixed_precision(batch.source.device, settings.precision):
                inputs = mixed_inputs(model, batch, probability)
        torch.manual_seed(seed)
        if settings.truncation or settings.r_drop:
            return self._in_chunks(model, batch, inputs, tokens)
        with mixed_precision(batch.source.device, settings.precision):
            sides = batch.source, batch.lengths, inputs, batch.targets
            loss, negative = model(*sides, settings.label_smoothing, batch.count)
        (loss / tokens).backward()
        return loss.detach(), negative

    def _in_chunks(
        self, model: TranslationModel, batch: Batch, inputs: Tensor, tokens: float | Tensor
    ) -> tuple[Tensor, Tensor]:
        """Truncated backpropagation, R-Drop, or both; without truncation the whole target is one chunk."""
        settings = self.settings
        passes = 2 if settings.r_drop else 1
        source, lengths, inputs = (torch.cat([each] * passes, -1) for each in (batch.source, batch.lengths, inputs))
        with mixed_precision(batch.source.device, settings.precision):
            encoded = model.encode(source, lengths)
        memory, state = leaves = [
            {name: tensor.detach().requires_grad_(tensor.requires_grad) for name, tensor in tensors.items()}
            for tensors in encoded
        ]
        total = total_negative = torch.zeros((), device=source.device)
        length = settings.truncation or len(inputs)
        count = None if settings.truncation else batch.count
        for start in range(0, len(inputs), length):
            wanted = batch.targets[start : start + length]
            real = torch.cat([(wanted != PAD).sum(0)] * passes)
            with mixed_precision(batch.source.device, settings.precision):
                readout, state = model.decode(inputs[start : start + length], memory, state, real)
                loss, negative = self._loss(model, readout, wanted, count)
            (loss / tokens).backward()  # type: ignore[no-untyped-call]
            state = {name: tensor.detach() for name, tensor in state.items()}
            total, total_negative = total + loss.detach(), total_negative + negative
        reached = [
            (tensor, leaf.grad)
            for tensors, copies in zip(encoded, leaves, strict=True)
            for tensor, leaf in zip(tensors.values(), copies.values(), strict=True)
            if leaf.grad is not None
        ]
        if reached:
            torch.autograd.backward([tensor for tensor, _ in reached], [gradient for _, gradient in reached])
        return total, total_negative

    def _loss(
        self, model: TranslationModel, readout: Tensor, targets: Tensor, count: int | None
    ) -> tuple[Tensor, Tensor]:
        """Loss and negative log-likelihood of targets [length, batch], read out once or twice side by side."""
        smoothing, alpha = self.settings.label_smoothing, self.settings.r_drop
        if not alpha:
            return model.cross_entropy(readout, targets, smoothing, count)
        both = [real_positions(each, targets, count) for each in readout.chunk(2, 1)]
        rows, wanted = torch.cat([rows for rows, _, _ in both]), both[0][1]
        return pair_cross_entropy(rows, model.output_weight, model.output_bias, wanted, smoothing, alpha)


@torch.no_grad()
def mixed_inputs(model: TranslationModel, batch: Batch, probability: float) -> Tensor:
    """Scheduled sampling: the decoder's inputs [target_length, batch] with some pieces drawn from the model.

    Bengio et al. (2015), section 2.4: each piece behind the begin symbol is replaced with the given probability, on its
    own, by one drawn from what the model predicts there, having read the inputs before it as they are by then. No
    gradient passes through the draws. Only real pieces are drawn: the decoder of a translation never reads the end
    symbol, so it must not learn to. Padding stays.
    """
    mixed = batch.inputs.clone()
    own = (torch.rand(mixed.shape, device=mixed.device) < probability) & (mixed != PAD)
    own[0] = False
    memory, state = model.encode(batch.source, batch.lengths)
    read = 0
    for position in own.any(1).nonzero().flatten().tolist():
        readout, state = model.decode(mixed[read:position], memory, state)  # all positions since the last draw at once
        chosen = own[position].nonzero().squeeze(1)
        logits = model.output(readout[-1].index_select(0, chosen))
        mixed[position, chosen] = _draw(logits[:, SPECIAL_PIECES:]) + SPECIAL_PIECES
        read = position
    return mixed


class MinimumRisk:
    """Minimum risk training: the expected cost of the model's own translations.

    Shen et al. (2016), section 3, https://arxiv.org/abs/1512.02433. With the candidates S of a sentence x, its
    reference among them, and the cost c(y) = 1 - smoothed sentence BLEU, or 1 - chrF, of their detokenised text:

        Q(y | x) = p(y | x)^alpha / sum_{y' in S} p(y' | x)^alpha          alpha is `risk_sharpness`
        risk = sum_{y in S} Q(y | x) c(y)
        d risk / d log p(y | x) = alpha Q(y | x) (c(y) - risk)

    The candidates are found without dropout; their probabilities are those of the training pass, dropout included.
    The loss is the mean risk of the batch's sentences times its target tokens: then loss / tokens, which is minimised
    and recorded, is the expected cost of a sentence, from 0 to 1, for any size of the batch.
    """

    def __init__(self, config: Config, target_vocabulary: Vocabulary) -> None:
        self.settings, self.vocabulary = config.training, target_vocabulary
        count = config.training.risk_candidates
        self.search = SearchSettings.of(replace(config.decoding, beam_size=count), count)
        lengths = ("max_length_offset", "max_length_factor")
        self.sampling = SearchSettings(**{name: getattr(config.decoding, name) for name in lengths})
        """Samples follow the model's own distribution."""
        self.utility = make_utility(config.training.risk_metric, config.data.languages[1])

    def __call__(
        self, model: TranslationModel, batch: Batch, *, tokens: float | Tensor, seed: int, progress: float
    ) -> tuple[Tensor, Tensor]:
        """See `Task.backward`."""
        torch.manual_seed(_draw_seed(seed))
        with _evaluating(model):
            candidates = self.candidates(model, batch)
        costs = [self.costs(of_sentence) for of_sentence in candidates]
        torch.manual_seed(seed)
        return self.descend(model, batch, candidates, costs, tokens)

    def candidates(self, model: TranslationModel, batch: Batch) -> list[list[list[int]]]:
        """Distinct translations of each sentence, the reference first, then up to `risk_candidates` of the model's.

        Ids are without end symbol. A translation as long as search allows is ended there.
        """
        engine, sources = TorchEngine(model), _sentences(batch.source)
        if self.settings.risk_search == "beam":
            found = beam_search(engine, sources, self.search)  # in fp32, as `translate` searches
        else:
            sampling = replace(self.sampling, seed=int(torch.randint(1 << 31, ())))
            with mixed_precision(batch.source.device, self.settings.precision):
                found = sample_translations(engine, sources, self.settings.risk_candidates, sampling)
        references = _sentences(batch.targets)
        groups = (
            [reference, *(own.tokens for own in drawn)] for reference, drawn in zip(references, found, strict=True)
        )
        return [list(map(list, dict.fromkeys(map(tuple, group)))) for group in groups]

    def costs(self, candidates: Sequence[Sequence[int]]) -> list[float]:
        """Cost of each candidate of one sentence against the first, the reference; 0 to 1."""
        texts = [self.vocabulary.decode(ids) for ids in candidates]
        scores = {text: self.utility(text, texts[0]) for text in dict.fromkeys(texts)}
        return [1 - scores[text] / 100 for text in texts]

    def descend(
        self,
        model: TranslationModel,
        batch: Batch,
        candidates: Sequence[Sequence[Sequence[int]]],
        costs: Sequence[Sequence[float]],
        tokens: float | Tensor,
    ) -> tuple[Tensor, Tensor]:
        """The forward and backward pass for given candidates and their costs; the first candidate is the reference.

        The recurrence runs once: the candidates' probabilities give each row of the output layer its weight in the
        gradient.
        """
        device = batch.source.device
        sizes = [len(of_sentence) for of_sentence in candidates]
        flat = [ids for of_sentence in candidates for ids in of_sentence]
        inputs = pad_sequence([torch.tensor([BEGIN, *ids]) for ids in flat], padding_value=PAD).to(device)
        targets = pad_sequence([torch.tensor([*ids, END]) for ids in flat], padding_value=PAD).to(device)
        sentence = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes)).to(device)
        with mixed_precision(batch.source.device, self.settings.precision):
            memory, state = model.encode(batch.source, batch.lengths)
            lengths = (targets != PAD).sum(0)
            readout, _ = model.decode(inputs, _select(memory, sentence), _select(state, sentence), lengths)
            rows, wanted, candidate = real_positions(readout, targets)
            layer = rows, model.output_weight, model.output_bias, wanted
            negative = row_negative_log_likelihood(*layer)
            log_probs = torch.zeros(len(flat), dtype=torch.double)
            log_probs.index_add_(0, candidate.cpu(), -negative.cpu().double())
            risk, weights = risk_and_weights(
                log_probs,
                torch.tensor([cost for group in costs for cost in group], dtype=torch.double),
                sizes,
                self.settings.risk_sharpness,
            )
            share = batch.target_tokens / len(sizes)
            row_weights = (-share * weights).to(negative)[candidate]
            surrogate, _ = output_cross_entropy(*layer, row_weights=row_weights)  # has the gradient of the risk
        (surrogate / tokens).backward()  # type: ignore[no-untyped-call]
        references = log_probs[torch.tensor([0, *sizes[:-1]]).cumsum(0)]
        return (risk.sum() * share).to(negative), -references.sum().to(negative)


def risk_and_weights(log_probs: Tensor, costs: Tensor, sizes: Sequence[int], sharpness: float) -> tuple[Tensor, Tensor]:
    """The risk of each sentence, and its derivative by the candidates' log-probabilities (see `MinimumRisk`).

        log_probs, costs: [candidates], sentence by sentence
        sizes: candidates of each sentence

    Returns: [sentences] and [candidates], in the type of `log_probs`
    """
    there = torch.arange(max(sizes)) < torch.tensor(sizes).unsqueeze(1)
    table = log_probs.new_full(there.shape, -math.inf).masked_scatter(there, log_probs)
    cost = log_probs.new_zeros(there.shape).masked_scatter(there, costs.to(log_probs))
    posterior = torch.softmax(sharpness * table, 1)
    risk = (posterior * cost).sum(1)
    weights = sharpness * posterior * (cost - risk.unsqueeze(1))
    return risk, weights[there]


def _draw(logits: Tensor) -> Tensor:
    """One column of each row of [rows, columns], drawn from the softmax; by one random number a row."""
    cumulative = torch.softmax(logits.float(), -1).cumsum(-1)
    chosen = torch.rand(len(logits), 1, device=logits.device) * cumulative[:, -1:]
    return torch.searchsorted(cumulative, chosen, right=True).squeeze(1).clamp_(max=logits.size(1) - 1)


def _draw_seed(seed: int) -> int:
    """The seed of drawn pieces: another than that of the dropout masks, which must not depend on them."""
    return seed ^ 1


def _select(tensors: dict[str, Tensor], rows: Tensor) -> dict[str, Tensor]:
    """Memory or state whose row i is the old row rows[i]."""
    return {name: tensor.index_select(0, rows) for name, tensor in tensors.items()}


def _sentences(ids: Tensor) -> list[list[int]]:
    """The sentences of [length, batch] without end symbol and padding."""
    return [[i for i in column if i not in (PAD, END)] for column in ids.t().tolist()]


@contextlib.contextmanager
def _evaluating(model: TranslationModel) -> Iterator[None]:
    """Without dropout for a while."""
    model.eval()
    try:
        yield
    finally:
        model.train()
