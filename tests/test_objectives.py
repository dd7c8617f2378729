"""Objectives: their gradients against plain torch, their limits against one another."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from plain import plain_model, plain_training
from torch import Tensor
from torch.nn import functional as F

import nmt.tasks.objectives
from nmt.config import Config, DecodingConfig
from nmt.data.batching import Batch, make_batch
from nmt.network.model import TranslationModel
from nmt.network.torch_engine import TorchEngine
from nmt.search.sampling import sample_translations
from nmt.tasks.objectives import (
    Likelihood,
    MinimumRisk,
    Objective,
    make_objective,
    mixed_inputs,
    risk_and_weights,
    sampling_probability,
)
from nmt.text.vocabulary import BEGIN, END, PAD, SPECIAL_PIECES, UNK

SIZE = 12
"""Pieces of either vocabulary."""

MODELS: dict[str, dict[str, Any]] = {
    "fixed": {},
    "context": {"cell": "gru", "context_input": "all", "decoder_layers": 2},
    "attention": {"attention": "general", "decoder_layers": 2, "tied_embeddings": "all"},
    "luong": {"attention": "dot", "input_feeding": "luong", "coverage": True},
    "bahdanau": {"attention": "additive", "input_feeding": "bahdanau", "cell": "peephole_lstm"},
    "batch": {"input_normalization": "batch", "variational_dropout": True, "weight_drop": 0.2},
}
DROPOUT = {"dropout": 0.3, "embedding_dropout": 0.2, "output_dropout": 0.2}


def make_model(name: str = "fixed", **settings: Any) -> TranslationModel:
    torch.manual_seed(5)
    config = plain_model(embedding_size=6, hidden_size=8, **{**MODELS[name], **settings})
    return TranslationModel(config, SIZE, SIZE).double().train()


def batch_of(sentences: int = 4, longest: int = 7) -> Batch:
    """Sentences of different lengths; the first two targets are the longest, the last has one piece."""
    draw = np.random.default_rng(2)
    lengths = np.array([longest, *np.linspace(longest, 1, sentences - 1).round().astype(int)])
    source, target = ([draw.integers(SPECIAL_PIECES, SIZE, n) for n in order] for order in (lengths[::-1], lengths))
    return make_batch(source, target, target, np.arange(sentences))


Result = tuple[float, float, dict[str, Tensor]]


def run(objective: Objective, model: TranslationModel, batch: Batch, progress: float = 1.0, tokens: int = 3) -> Result:
    """Loss, negative log-likelihood, gradients."""
    model.zero_grad()
    loss, negative = objective(model, batch, tokens=tokens, seed=11, progress=progress)
    assert model.training and not loss.requires_grad and not negative.requires_grad
    return loss.item(), negative.item(), gradients(model)


def gradients(model: TranslationModel) -> dict[str, Tensor]:
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


def assert_same(one: Result, other: Result) -> None:
    assert one[:2] == pytest.approx(other[:2], rel=1e-10)
    torch.testing.assert_close(one[2], other[2], rtol=1e-8, atol=1e-12)


def chunked_loss(model: TranslationModel, batch: Batch, k: int, smoothing: float) -> Tensor:
    """Truncated backpropagation in one graph: the state is detached after every k positions."""
    torch.manual_seed(11)
    memory, state = model.encode(batch.source, batch.lengths)
    loss = torch.zeros((), dtype=torch.double)
    for inputs, targets in zip(torch.split(batch.inputs, k), torch.split(batch.targets, k), strict=True):
        readout, state = model.decode(inputs, memory, state, (targets != PAD).sum(0))
        state = {name: tensor.detach() for name, tensor in state.items()}
        logits = model.output(readout).flatten(0, 1)
        loss = loss + F.cross_entropy(
            logits, targets.flatten(), ignore_index=PAD, label_smoothing=smoothing, reduction="sum"
        )
    return loss


# Likelihood


@pytest.mark.parametrize("name", MODELS)
def test_likelihood_is_the_model_s_own_loss(name: str) -> None:
    model, batch = make_model(name, **DROPOUT), batch_of()
    found = run(Likelihood(plain_training(label_smoothing=0.1)), model, batch, tokens=7)
    model.zero_grad()
    torch.manual_seed(11)
    loss, negative = model(batch.source, batch.lengths, batch.inputs, batch.targets, 0.1)
    (loss / 7).backward()
    assert_same(found, (loss.item(), negative.item(), gradients(model)))


def test_gradients_are_added() -> None:
    model, batch, objective = make_model(), batch_of(), Likelihood(plain_training(truncation=2))
    once = run(objective, model, batch)[2]
    objective(model, batch, tokens=3, seed=11, progress=1)
    torch.testing.assert_close(gradients(model), {name: 2 * gradient for name, gradient in once.items()})


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("length", [8, 100])
def test_truncation_behind_the_end_changes_nothing(name: str, length: int) -> None:
    model, batch = make_model(name, **DROPOUT), batch_of()
    assert len(batch.inputs) == 8
    whole = run(Likelihood(plain_training(label_smoothing=0.1)), model, batch)
    assert_same(run(Likelihood(plain_training(label_smoothing=0.1, truncation=length)), model, batch), whole)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("k", [1, 3, 7])
def test_truncation_cuts_the_state_only(name: str, k: int) -> None:
    model, batch = make_model(name, **DROPOUT), batch_of()
    found = run(Likelihood(plain_training(label_smoothing=0.1, truncation=k)), model, batch)
    model.zero_grad()
    loss = chunked_loss(model, batch, k, 0.1)
    (loss / 3).backward()
    assert found[0] == pytest.approx(loss.item(), rel=1e-10)
    torch.testing.assert_close(found[2], gradients(model), rtol=1e-8, atol=1e-12)
    whole = run(Likelihood(plain_training(label_smoothing=0.1)), model, batch)
    assert any(not torch.allclose(found[2][n], whole[2][n], rtol=1e-3) for n in whole[2])


# Scheduled sampling


@pytest.mark.parametrize("kind", ["linear", "exponential", "inverse_sigmoid"])
@pytest.mark.parametrize("rate", [0.25, 1.0])
def test_schedules_rise_from_nothing_to_the_rate(kind: Any, rate: float) -> None:
    steps = [sampling_probability(kind, rate, progress) for progress in np.linspace(0, 1, 50).tolist()]
    assert steps[0] == 0 and steps[-1] == rate
    assert all(one < other for one, other in itertools.pairwise(steps))


def test_schedules_by_hand() -> None:
    assert [sampling_probability("constant", 0.3, x) for x in (0, 0.5, 1)] == [0.3] * 3
    assert [sampling_probability("none", 0.3, x) for x in (0, 0.5, 1)] == [0] * 3
    assert sampling_probability("linear", 0.4, 0.25) == pytest.approx(0.1)
    assert sampling_probability("exponential", 1, 0.5) == pytest.approx(0.9 / 0.99)  # 0.01^0.5 = 0.1
    assert sampling_probability("inverse_sigmoid", 0.4, 0.5) == pytest.approx(0.2)


def test_without_probability_sampling_is_likelihood() -> None:
    model, batch = make_model("attention", **DROPOUT), batch_of()
    plain = run(Likelihood(plain_training()), model, batch)
    assert_same(run(Likelihood(plain_training(scheduled_sampling="linear")), model, batch, progress=0), plain)
    torch.testing.assert_close(mixed_inputs(model, batch, 0.0), batch.inputs)


@pytest.mark.parametrize("name", MODELS)
def test_with_probability_one_every_input_is_a_draw(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the draw replaced by the best piece, the inputs are the model's greedy ones, step by step."""
    monkeypatch.setattr(nmt.tasks.objectives, "_draw", lambda logits: logits.argmax(-1))
    model, batch = make_model(name).eval(), batch_of()
    mixed = mixed_inputs(model, batch, 1.0)
    with torch.no_grad():
        memory, state = model.encode(batch.source, batch.lengths)
        tokens = batch.inputs[0]
        for position in range(1, len(mixed)):
            log_probs, _, state = model.step(tokens, state, memory, None)
            greedy = log_probs[:, SPECIAL_PIECES:].argmax(-1) + SPECIAL_PIECES
            tokens = torch.where(batch.inputs[position] == PAD, PAD, greedy)
            assert mixed[position].tolist() == tokens.tolist()
    assert (mixed[0] == BEGIN).all() and torch.equal(mixed == PAD, batch.inputs == PAD)
    assert not ((mixed == UNK) | (mixed == END)).any()


def test_draws_between_references_read_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a low rate, each draw follows from the inputs before it, whether these are draws or references."""
    monkeypatch.setattr(nmt.tasks.objectives, "_draw", lambda logits: logits.argmax(-1))
    model, batch = make_model("luong").eval(), batch_of(6, 12)
    torch.manual_seed(3)
    mixed = mixed_inputs(model, batch, 0.2)
    changed = (mixed != batch.inputs).nonzero().tolist()
    assert 0 < len(changed) < batch.target_tokens / 2
    with torch.no_grad():
        readout, _ = model.decode(mixed, *model.encode(batch.source, batch.lengths))
        best = model.output(readout)[..., SPECIAL_PIECES:].argmax(-1) + SPECIAL_PIECES
    assert all(mixed[t, b] == best[t - 1, b] for t, b in changed)


def test_scheduled_sampling_trains_on_the_mixed_inputs() -> None:
    model, batch = make_model("attention", **DROPOUT), batch_of()
    found = run(Likelihood(plain_training(scheduled_sampling="constant", scheduled_sampling_rate=0.7)), model, batch)
    torch.manual_seed(11 ^ 1)
    mixed = mixed_inputs(model.eval(), batch, 0.7)
    assert not torch.equal(mixed, batch.inputs)
    again = Batch(batch.source, batch.lengths, mixed, batch.targets, batch.target_tokens, batch.indices)
    assert_same(found, run(Likelihood(plain_training()), model.train(), again))


def test_draws_follow_the_softmax() -> None:
    torch.manual_seed(4)
    probabilities = torch.tensor([0.5, 0.0, 0.3, 0.15, 0.05])
    drawn = nmt.tasks.objectives._draw(probabilities.log().expand(20000, -1))
    shares = torch.bincount(drawn, minlength=5) / 20000
    assert shares[1] == 0
    torch.testing.assert_close(shares, probabilities, rtol=0, atol=0.012)


# R-Drop


@pytest.mark.parametrize("truncation", [0, 100])
@pytest.mark.parametrize("name", ["fixed", "context", "attention", "luong", "bahdanau"])
def test_r_drop_without_dropout_is_likelihood(name: str, truncation: int) -> None:
    model, batch = make_model(name), batch_of()
    plain = run(Likelihood(plain_training(label_smoothing=0.1)), model, batch)
    settings = plain_training(label_smoothing=0.1, r_drop=5.0, truncation=truncation)
    assert_same(run(Likelihood(settings), model, batch), plain)


def test_r_drop_equals_its_formula() -> None:
    model, batch, alpha = make_model("attention", **DROPOUT), batch_of(), 2.0
    found = run(Likelihood(plain_training(label_smoothing=0.1, r_drop=alpha)), model, batch)
    model.zero_grad()
    torch.manual_seed(11)
    memory, state = model.encode(batch.source.repeat(1, 2), batch.lengths.repeat(2))
    readout, _ = model.decode(batch.inputs.repeat(1, 2), memory, state)
    real = batch.targets != PAD
    one, two = (logits[real] for logits in model.output(readout).chunk(2, 1))
    each = [F.cross_entropy(z, batch.targets[real], label_smoothing=0.1, reduction="sum") for z in (one, two)]
    p, q = one.log_softmax(-1), two.log_softmax(-1)
    divergence = (p.exp() * (p - q)).sum() + (q.exp() * (q - p)).sum()
    loss = (each[0] + each[1] + alpha * divergence / 2) / 2
    (loss / 3).backward()
    assert divergence > 0.01
    assert found[0] == pytest.approx(loss.item(), rel=1e-10)
    torch.testing.assert_close(found[2], gradients(model), rtol=1e-8, atol=1e-12)


def test_all_options_of_likelihood_together() -> None:
    settings = plain_training(label_smoothing=0.1, r_drop=1.0, truncation=3, scheduled_sampling="linear")
    model, batch = make_model("luong", **DROPOUT), batch_of()
    first = run(Likelihood(settings), model, batch, progress=0.8)
    assert all(map(math.isfinite, first[:2]))
    assert first[2].keys() == dict(model.named_parameters()).keys()
    assert_same(run(Likelihood(settings), model, batch, progress=0.8), first)  # all chance is in the seed


# Minimum risk


class Words:
    """A vocabulary whose pieces are words."""

    def decode(self, ids: Sequence[int]) -> str:
        return " ".join(f"word{i}" for i in ids)


def minimum_risk(**training: Any) -> MinimumRisk:
    config = Config(
        training=plain_training(objective="minimum_risk", **training), decoding=DecodingConfig(max_length_factor=1.5)
    )
    objective = make_objective(config, Words())  # type: ignore[arg-type]
    assert isinstance(objective, MinimumRisk)
    return objective


def test_risk_by_hand() -> None:
    """Two sentences; probabilities 1/2, 1/4, 1/4 with costs 0, 1, 1/2; then a single candidate."""
    log_probs = torch.tensor([0.5, 0.25, 0.25, 0.1], dtype=torch.double).log()
    risk, weights = risk_and_weights(log_probs, torch.tensor([0, 1, 0.5, 0.7]), [3, 1], 1.0)
    assert risk.tolist() == pytest.approx([0.375, 0.7])
    assert weights.tolist() == pytest.approx([0.5 * -0.375, 0.25 * 0.625, 0.25 * 0.125, 0], abs=1e-7)


def test_risk_weights_are_its_derivative() -> None:
    torch.manual_seed(1)
    log_probs, costs = -5 * torch.rand(9, dtype=torch.double), torch.rand(9, dtype=torch.double)
    log_probs.requires_grad_()
    risk, weights = risk_and_weights(log_probs, costs, [4, 2, 3], 0.3)
    torch.testing.assert_close(torch.autograd.grad(risk.sum(), log_probs)[0], weights)


@pytest.mark.parametrize("name", MODELS)
def test_gradient_of_the_risk_equals_torch(name: str) -> None:
    """The explicit formula, one candidate at a time where masks allow it (without dropout)."""
    model, batch = make_model(name, weight_drop=0.0), batch_of(3)
    references = [[i for i in column if i not in (PAD, END)] for column in batch.targets.t().tolist()]
    candidates = [
        [references[0], [5, 6], [7, 7, 8, 9]],
        [references[1], []],
        [references[2], [4], [9, 9, 9, 9, 9, 9, 9, 9, 9], [10, 11]],
    ]
    costs = [[0.0, 0.3, 0.9], [0.0, 1.0], [0.0, 0.5, 0.2, 0.8]]
    if name == "batch":
        model.eval()  # statistics of a batch differ with the batch
    loss, negative = minimum_risk(risk_sharpness=0.4).descend(model, batch, candidates, costs, 5)
    found = gradients(model)
    model.zero_grad()
    risks, expected_negative = [], 0.0
    for sentence, (group, cost) in enumerate(zip(candidates, costs, strict=True)):
        log_probs = []
        for ids in group:
            source = batch.source[: batch.lengths[sentence], sentence : sentence + 1]
            memory, state = model.encode(source, batch.lengths[sentence : sentence + 1])
            readout, _ = model.decode(torch.tensor([BEGIN, *ids]).unsqueeze(1), memory, state)
            each = model.output(readout).squeeze(1).log_softmax(-1)
            log_probs.append(each[range(len(ids) + 1), [*ids, END]].sum())
        posterior = torch.softmax(0.4 * torch.stack(log_probs), 0)
        risks.append(posterior @ torch.tensor(cost, dtype=torch.double))
        expected_negative -= log_probs[0].item()
    expected = torch.stack(risks).mean() * batch.target_tokens
    (expected / 5).backward()
    assert loss == pytest.approx(expected.item(), rel=1e-6)
    assert negative == pytest.approx(expected_negative, rel=1e-6)
    torch.testing.assert_close(found, gradients(model), rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("search", ["sample", "beam"])
@pytest.mark.parametrize("name", ["fixed", "attention", "luong"])
def test_candidates(search: str, name: str) -> None:
    model, batch = make_model(name).eval().float(), batch_of(6)
    objective = minimum_risk(risk_search=search, risk_candidates=5)
    torch.manual_seed(1)
    candidates = objective.candidates(model, batch)
    assert len(candidates) == 6
    for sentence, group in enumerate(candidates):
        reference = batch.targets[:, sentence].tolist()
        assert group[0] == reference[: reference.index(END)]
        assert 2 <= len(group) <= 6 and len(set(map(tuple, group))) == len(group)
        longest = objective.search.max_length(int(batch.lengths[sentence]) - 1)
        assert all(len(ids) <= longest and all(SPECIAL_PIECES <= i < SIZE for i in ids) for ids in group[1:])


def test_a_repeated_candidate_counts_once() -> None:
    model, batch = make_model().eval(), batch_of(3, 3)
    with torch.no_grad():
        model.output_bias[5] = 50  # every translation is 5 5 5 ... up to the longest
    candidates = minimum_risk(risk_candidates=4).candidates(model, batch)
    assert [len(group) for group in candidates] == [2, 2, 2]
    assert all(set(group[1]) == {5} for group in candidates)


def test_samples_follow_the_model() -> None:
    """The share of each translation among many samples is its probability, whatever the search settings are."""
    model, batch = make_model("attention").eval().float(), batch_of(3, 2)
    decoding = DecodingConfig(max_length_offset=1, max_length_factor=0.0, method="sampling", temperature=0.1, top_k=1)
    training = plain_training(objective="minimum_risk")
    objective = MinimumRisk(Config(training=training, decoding=decoding), Words())  # type: ignore[arg-type]
    torch.manual_seed(2)
    found = [
        sample_translations(TorchEngine(model), [ids], 3000, objective.sampling)[0]
        for ids in ([int(i) for i in batch.source[: length - 1, row]] for row, length in enumerate(batch.lengths))
    ]
    with torch.no_grad():
        memory, state = model.encode(batch.source, batch.lengths)
        first, _, _ = model.step(torch.full((3,), BEGIN), state, memory)
    end = first[:, END:].softmax(-1)[:, 0]
    for drawn, expected in zip(found, end.tolist(), strict=True):
        assert sum(not one.tokens for one in drawn) / 3000 == pytest.approx(expected, abs=0.03)
        assert max(len(one.tokens) for one in drawn) == 1


@pytest.mark.parametrize("metric", ["bleu", "chrf"])
def test_costs(metric: str) -> None:
    objective = minimum_risk(risk_metric=metric)
    costs = objective.costs([[4, 5, 6, 7, 8], [4, 5, 6, 7, 9], [10, 11], [], [4, 5, 6, 7, 8]])
    assert costs[0] == costs[4] == pytest.approx(0, abs=1e-9)
    assert 0 < costs[1] < costs[2] <= costs[3] == 1
    assert objective.costs([[], [4]]) == [1, 1]


@pytest.mark.parametrize("search", ["sample", "beam"])
def test_minimum_risk_lowers_the_expected_cost(search: str) -> None:
    """A few steps after a few of likelihood; the cost is the mean of fresh samples."""
    model, batch = make_model("attention").float(), batch_of(4, 4)
    objective = minimum_risk(risk_search=search, risk_candidates=6, risk_sharpness=1.0)
    references = [[i for i in column if i not in (PAD, END)] for column in batch.targets.t().tolist()]

    def train(objective: Objective, steps: int) -> None:
        optimizer = torch.optim.Adam(model.parameters(), 0.03)
        for step in range(steps):
            optimizer.zero_grad()
            loss, negative = objective(model, batch, tokens=batch.target_tokens, seed=step, progress=0)
            assert model.training and loss > 0 and negative > 0
            optimizer.step()

    def expected_cost() -> float:
        torch.manual_seed(1)
        sources = [[i for i in column if i not in (PAD, END)] for column in batch.source.t().tolist()]
        samples = sample_translations(TorchEngine(model), sources, 100, objective.sampling)
        model.train()
        costs = [
            objective.costs([one, *(own.tokens for own in drawn)])[1:]
            for one, drawn in zip(references, samples, strict=True)
        ]
        return float(np.mean(costs))

    train(Likelihood(plain_training()), 12)
    before = expected_cost()
    train(objective, 25)
    assert expected_cost() < before - 0.05


def test_the_size_of_the_batch_does_not_scale_the_gradient() -> None:
    model, batch = make_model(), batch_of()
    double = Batch(
        batch.source.repeat(1, 2),
        batch.lengths.repeat(2),
        batch.inputs.repeat(1, 2),
        batch.targets.repeat(1, 2),
        2 * batch.target_tokens,
        batch.indices.repeat(2),
    )
    groups = [[[4, 5], [6], [7, 8, 9]]] * 4
    costs, objective = [[0.0, 0.5, 1.0]] * 4, minimum_risk()
    objective.descend(model, batch, groups, costs, batch.target_tokens)
    one = gradients(model)
    model.zero_grad()
    objective.descend(model, double, groups * 2, costs * 2, double.target_tokens)
    torch.testing.assert_close(gradients(model), one)


# Everywhere


OBJECTIVES: dict[str, dict[str, Any]] = {
    "likelihood": {},
    "truncation": {"truncation": 3},
    "r_drop": {"r_drop": 1.0},
    "scheduled_sampling": {"scheduled_sampling": "constant"},
    "sample": {"objective": "minimum_risk"},
    "beam": {"objective": "minimum_risk", "risk_search": "beam", "risk_metric": "chrf"},
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_bf16_trains_fp32_weights(name: str) -> None:
    model, batch = make_model("attention", **DROPOUT).float(), batch_of()
    config = Config(training=plain_training(precision="bf16", **OBJECTIVES[name]))
    loss, negative, found = run(make_objective(config, Words()), model, batch)  # type: ignore[arg-type]
    assert math.isfinite(loss) and math.isfinite(negative)
    assert all(gradient.dtype == torch.float32 and torch.isfinite(gradient).all() for gradient in found.values())
    assert found.keys() == dict(model.named_parameters()).keys()


@pytest.mark.parametrize("name", [name for name in OBJECTIVES if name != "beam"])
def test_a_loss_that_is_no_number_is_returned(name: str) -> None:
    model, batch = make_model(), batch_of()
    with torch.no_grad():
        model.output_bias[6] = math.nan
    config = Config(training=plain_training(**OBJECTIVES[name]))
    assert math.isnan(run(make_objective(config, Words()), model, batch)[0])  # type: ignore[arg-type]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_all_chance_is_in_the_seed(name: str) -> None:
    model, batch = make_model("attention", **DROPOUT).float(), batch_of()
    objective = make_objective(Config(training=plain_training(**OBJECTIVES[name])), Words())  # type: ignore[arg-type]
    first = run(objective, model, batch)
    torch.rand(3)
    assert_same(run(objective, model, batch), first)
