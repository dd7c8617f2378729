"""The network: every option runs, padding changes nothing, one step equals the whole sequence."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

from nmt.config import ModelConfig
from nmt.encoder import Encoder, mirror
from nmt.model import TranslationModel
from nmt.regularization import Dropout, dropout_mask
from nmt.vocabulary import PAD

OPTIONS: dict[str, list[Any]] = {
    "encoder_layers": [1, 2, 3],
    "decoder_layers": [1, 2],
    "bidirectional": [True, False],
    "reverse_source": [False, True],
    "context_input": ["none", "first", "all"],
    "tied_embeddings": ["none", "decoder", "all"],
    "initialization": ["uniform", "xavier", "orthogonal"],
}


def all_pairs() -> list[dict[str, Any]]:
    """Few combinations in which each two values of each two options meet (greedy, deterministic)."""
    wanted = {
        (a, x, b, y)
        for a, b in itertools.combinations(OPTIONS, 2)
        for x, y in itertools.product(OPTIONS[a], OPTIONS[b])
    }
    chosen = []
    while wanted:
        best = max(
            (dict(zip(OPTIONS, values, strict=True)) for values in itertools.product(*OPTIONS.values())),
            key=lambda case: sum(case[a] == x and case[b] == y for a, x, b, y in wanted),
        )
        chosen.append(best)
        wanted = {(a, x, b, y) for a, x, b, y in wanted if not (best[a] == x and best[b] == y)}
    return chosen


CASES = all_pairs()


def make(case: dict[str, Any], **more: Any) -> TranslationModel:
    torch.manual_seed(1)
    sizes = (20, 20) if case.get("tied_embeddings") == "all" else (17, 20)
    return TranslationModel(ModelConfig(embedding_size=8, hidden_size=12, **case, **more), *sizes).double()


def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(2)
    source, lengths = torch.randint(4, 17, (6, 3)), torch.tensor([6, 3, 4])
    inputs, targets = torch.randint(4, 20, (5, 3)), torch.randint(4, 20, (5, 3))
    targets[3:, 1] = PAD
    return source, lengths, inputs, targets


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case.values())))
def test_options(case: dict[str, Any]) -> None:
    model = make(case)
    source, lengths, inputs, targets = batch()
    loss, negative = model(source, lengths, inputs, targets, 0.1)
    loss.backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None and torch.isfinite(weight.grad).all(), name
        assert weight.grad.abs().sum() > 0, name

    # the step that search takes adds up to the loss of teacher forcing
    context, state = model.encode(source, lengths)
    total = torch.zeros(())
    for position in range(len(inputs)):
        log_probs, state = model.step(inputs[position], state, context)
        chosen = log_probs.gather(1, targets[position][:, None]).squeeze(1)
        total = total - chosen[targets[position] != PAD].sum()
    torch.testing.assert_close(negative.item(), total.item())

    # batched equals single, and whatever stands behind a sentence is not read
    for row in range(3):
        length = int(lengths[row])
        alone = model(source[:length, row : row + 1], lengths[row : row + 1], inputs[:, row : row + 1],
                      targets[:, row : row + 1])[1]  # fmt: skip
        padded = torch.cat((source[:length], torch.full((4, 3), PAD)))[:, row : row + 1]
        again = model(padded, lengths[row : row + 1], inputs[:, row : row + 1], targets[:, row : row + 1])[1]
        torch.testing.assert_close(alone, again, rtol=0, atol=1e-12)
    total = sum(model(source[:, [r]], lengths[[r]], inputs[:, [r]], targets[:, [r]])[1].item() for r in range(3))
    assert negative.item() == pytest.approx(total, abs=1e-10)


def test_encoder_equals_torch() -> None:
    """Two bidirectional layers over packed sentences, outputs and final states."""
    torch.manual_seed(4)
    encoder = Encoder("lstm", 5, 8, 2, True, 0.0).double()
    theirs = torch.nn.LSTM(5, 4, num_layers=2, bidirectional=True).double()
    assert encoder.backward_layers is not None
    for depth in range(2):
        for layers, suffix in ((encoder.forward_layers, ""), (encoder.backward_layers, "_reverse")):
            for name, weight in layers[depth].cell.named_parameters():
                torch.nn.init.normal_(weight)
                getattr(theirs, f"{name}_l{depth}{suffix}").data.copy_(weight)
    inputs, lengths = torch.randn(6, 3, 5, dtype=torch.double), torch.tensor([6, 4, 1])
    states, finals = encoder(inputs, lengths)
    packed = torch.nn.utils.rnn.pack_padded_sequence(inputs, lengths)
    outputs, (hidden, cell) = theirs(packed)
    expected, _ = torch.nn.utils.rnn.pad_packed_sequence(outputs)
    for row, length in enumerate(lengths):
        torch.testing.assert_close(states[:length, row], expected[:length, row])
    for depth in range(2):
        torch.testing.assert_close(finals[depth][0], torch.cat((hidden[2 * depth], hidden[2 * depth + 1]), -1))
        torch.testing.assert_close(finals[depth][1], torch.cat((cell[2 * depth], cell[2 * depth + 1]), -1))


def test_mirror() -> None:
    assert mirror(4, torch.tensor([4, 2])).t().tolist() == [[3, 2, 1, 0], [1, 0, 2, 3]]


def test_reversed_source_is_the_source_reversed() -> None:
    source, lengths, inputs, targets = batch()
    plain, reverse = make({"reverse_source": False}), make({"reverse_source": True})
    turned = source.gather(0, mirror(6, lengths))
    torch.testing.assert_close(plain(turned, lengths, inputs, targets)[0], reverse(source, lengths, inputs, targets)[0])


def test_initial_weights() -> None:
    model = make({"initialization": "uniform"})
    weights = torch.cat([w.detach().flatten() for w in model.parameters() if w.dim() > 1])
    assert weights.abs().max() <= 0.08 and weights.abs().mean() == pytest.approx(0.04, rel=0.1)
    recurrent = make({"initialization": "orthogonal"}).decoder.layers[0].cell.weight_hh[:12]
    torch.testing.assert_close(recurrent @ recurrent.t(), torch.eye(12, dtype=torch.double), rtol=0, atol=1e-6)
    cell = make({}, forget_gate_bias=2.0).decoder.layers[0].cell
    assert (cell.bias_ih + cell.bias_hh)[12:24].tolist() == [2.0] * 12
    assert make({}).decoder.readout is None and make({"tied_embeddings": "all"}).decoder.readout is not None


def test_dropout_acts_in_training_only() -> None:
    torch.manual_seed(1)
    dropout, ones = Dropout(0.25), torch.ones(200, 201)
    dropped = dropout(ones)
    assert dropped.unique().tolist() == [0.0, pytest.approx(4 / 3)]
    assert (dropped == 0).double().mean().item() == pytest.approx(0.25, abs=0.01)
    assert dropped.mean().item() == pytest.approx(1, abs=0.01)
    assert dropout.eval()(ones) is ones
    assert Dropout(0.0)(ones) is ones


def test_dropout_masks_repeat_with_their_seed() -> None:
    def draw(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return dropout_mask(torch.Size((3, 5)), 128, torch.float32, torch.device("cpu"))

    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))


@pytest.mark.parametrize("context_input", ["none", "all"])
def test_dropout_model_trains_and_translates(context_input: str) -> None:
    model = make({"context_input": context_input, "decoder_layers": 2}, dropout=0.5, embedding_dropout=0.5)
    source, lengths, inputs, targets = batch()
    losses = set()
    for seed in (1, 2, 1):
        torch.manual_seed(seed)
        losses.add(model(source, lengths, inputs, targets)[0].item())
    assert len(losses) == 2
    model.eval()
    assert model(source, lengths, inputs, targets)[0] == model(source, lengths, inputs, targets)[0]
