"""The network: every option runs, padding changes nothing, one step equals the whole sequence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from all_pairs import MODEL_OPTIONS, Case, all_pairs, configuration, refused_pairs
from plain import plain_model
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from nmt.model_folder import open_model, write_model
from nmt.network.dropout import Dropout, dropout_mask
from nmt.network.encoder import Encoder, mirror
from nmt.network.language_model import LanguageModel
from nmt.network.model import TranslationModel
from nmt.network.torch_engine import TorchEngine, build_model, load_engine, model_tensors
from nmt.search.beam import SearchSettings, beam_search
from nmt.text.vocabulary import BEGIN, END, PAD, Vocabulary

CASES, IMPOSSIBLE = all_pairs(MODEL_OPTIONS)


def test_refused_pairs_of_options() -> None:
    """What is refused is what `nmt.config.rules` gives a reason for, and nothing else."""
    assert {frozenset({(a, x), (b, y)}) for a, x, b, y in IMPOSSIBLE} == refused_pairs(MODEL_OPTIONS)


def name_of(case: Case) -> str:
    return "-".join(str(value) for name, value in case.items() if value != MODEL_OPTIONS[name][0]) or "plain"


def make(case: dict[str, Any], **more: Any) -> TranslationModel:
    torch.manual_seed(1)
    sizes = (20, 20) if case.get("tied_embeddings") == "all" else (17, 20)
    return TranslationModel(plain_model(**{"embedding_size": 8, "hidden_size": 12, **case, **more}), *sizes).double()


def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(2)
    source, lengths = torch.randint(4, 17, (6, 3)), torch.tensor([6, 3, 4])
    inputs, targets = torch.randint(4, 20, (5, 3)), torch.randint(4, 20, (5, 3))
    inputs[0] = BEGIN
    inputs[3:, 1] = targets[3:, 1] = PAD
    return source, lengths, inputs, targets


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_every_pair_of_options(case: Case) -> None:
    config = configuration(case)
    assert config is not None
    source, lengths, inputs, targets = batch()
    torch.manual_seed(1)
    model = TranslationModel(config.model, 20, 20).double()
    loss, negative = model(source, lengths, inputs, targets, 0.1)
    loss.backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None and torch.isfinite(weight.grad).all(), name
        if config.model.cell != "rnn_relu":  # all of whose few units may be off
            assert weight.grad.abs().sum() > 0 or "source_embedding" in name, name

    model.eval()
    with torch.no_grad():
        negative = model(source, lengths, inputs, targets)[1]
        # the step that search takes adds up to the loss of teacher forcing
        memory, state = model.encode(source, lengths)
        total = torch.zeros(())
        for position in range(len(inputs)):
            log_probs, weights, state = model.step(inputs[position], state, memory)
            chosen = log_probs.gather(1, targets[position][:, None]).squeeze(1)
            total = total - chosen[targets[position] != PAD].sum()
            assert (weights is None) == (config.model.attention == "none")
            if weights is not None:
                torch.testing.assert_close(weights.sum(-1), torch.ones(3, dtype=torch.double))
                assert weights[1, 3:].sum() == 0 and weights[2, 4:].sum() == 0
        torch.testing.assert_close(negative.item(), total.item())

        # batched equals single, and whatever stands behind a sentence is not read
        alone = [model(source[:, [r]], lengths[[r]], inputs[:, [r]], targets[:, [r]])[1].item() for r in range(3)]
        assert negative.item() == pytest.approx(sum(alone), abs=1e-10)
        for row, length in enumerate(lengths.tolist()):
            cut = model(source[:length, [row]], lengths[[row]], inputs[:, [row]], targets[:, [row]])[1]
            assert cut.item() == pytest.approx(alone[row], abs=1e-12)


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_every_pair_of_options_in_bf16(case: Case) -> None:
    """Products in bf16, everything else in fp32: nearly the same loss, and gradients everywhere."""
    config = configuration(case)
    assert config is not None
    torch.manual_seed(1)
    model = TranslationModel(config.model, 20, 20)
    exact = losses(model, 5)
    with torch.autocast("cpu", torch.bfloat16):
        rough = losses(model, 5)
        rough.backward()
    assert rough.item() == pytest.approx(exact.item(), rel=0.05)
    for name, weight in model.named_parameters():
        assert weight.grad is not None and torch.isfinite(weight.grad).all(), name


class LowPrecisionProducts(TorchDispatchMode):
    """Notes the sizes of each matrix product in bf16."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: set[tuple[torch.Size, ...]] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(name in str(function) for name in ("mm", "linear", "matmul", "mv", "dot")):
            factors = [arg for arg in args if isinstance(arg, torch.Tensor) and arg.dtype == torch.bfloat16]
            if factors:
                self.sizes.add(tuple(factor.shape for factor in factors))
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("attention", ["none", "dot", "general", "additive", "multi_head"])
def test_products_in_bf16_have_few_sizes(attention: str) -> None:
    """For each size that it has met, oneDNN keeps half a megabyte: no product may depend on both lengths, nor on how
    many target pieces a batch has."""
    options = {"embedding_size": 8, "hidden_size": 12, "attention": attention, "attention_heads": 2}
    model = TranslationModel(plain_model(**options), 20, 20)
    with LowPrecisionProducts() as products:
        for source_length in range(3, 9):
            for length in range(3, 9):
                targets = torch.randint(4, 20, (length, 5))
                targets[length - 1, : source_length - 3] = PAD  # any number of real pieces
                source = torch.randint(4, 20, (source_length, 5))
                with torch.autocast("cpu", torch.bfloat16):
                    loss, _ = model(source, torch.full((5,), source_length), targets, targets)
                loss.backward()
    assert 50 < len(products.sizes) < 100  # with those that depend on both lengths there would be 144 to 304


def losses(model: TranslationModel, seed: int) -> torch.Tensor:
    source, lengths, inputs, targets = batch()
    torch.manual_seed(seed)
    loss, _ = model(source, lengths, inputs, targets)
    assert isinstance(loss, torch.Tensor)
    return loss


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    path = Path(__file__).parent.parent / "vocab" / "captions-de-en" / "joint.spm"
    return Vocabulary.load(path)


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_every_pair_of_options_searches_and_is_stored(case: Case, tmp_path: Path, vocabulary: Vocabulary) -> None:
    """A stored and loaded model finds the same translations, and search's scores are those of teacher forcing."""
    config = configuration(case)
    assert config is not None
    model = build_model(config, len(vocabulary), len(vocabulary), 3)
    assert isinstance(model, TranslationModel)
    weights = safetensors.torch.save({name: tensor.detach() for name, tensor in model_tensors(model).items()})
    write_model(tmp_path, config, vocabulary, vocabulary, weights, "a model")
    engine = load_engine(open_model(tmp_path))
    sources = [[5, 6, 7, 8, 9], [10, 11], [12, 13, 14]]
    settings = SearchSettings(beam_size=3, n_best=2, max_length_offset=3, max_length_factor=0.5, attention_weights=True)
    found = beam_search(engine, sources, settings)
    for source, mine, theirs in zip(sources, found, beam_search(TorchEngine(model), sources, settings), strict=True):
        assert [each.tokens for each in mine] == [each.tokens for each in theirs]
        for hypothesis in mine:
            inputs = torch.tensor([[BEGIN, *hypothesis.tokens]]).t()
            targets = torch.tensor([[*hypothesis.tokens, END]]).t()
            with torch.no_grad():
                negative = model(torch.tensor([[*source, END]]).t(), torch.tensor([len(source) + 1]), inputs, targets)[
                    1
                ]
            assert hypothesis.log_prob == pytest.approx(-negative.item(), abs=1e-3)
            if config.model.attention != "none":
                assert hypothesis.attention_weights is not None
                assert hypothesis.attention_weights.shape == (len(hypothesis.tokens) + 1, len(source) + 1)
                np.testing.assert_allclose(hypothesis.attention_weights.sum(1), 1, atol=1e-5)


def test_attention_scores_equal_their_formulas() -> None:
    """Each kind of score, computed for one query and one key at a time."""
    torch.manual_seed(3)
    states, lengths = torch.randn(4, 2, 6).double(), torch.tensor([4, 2])
    queries, coverage = torch.randn(2, 1, 6).double(), torch.rand(2, 1, 4).double()
    for kind in ("dot", "general", "additive"):
        attention = make({"attention": kind, "coverage": True, "hidden_size": 6}).decoder.attention
        assert attention is not None and attention.coverage is not None
        contexts, weights = attention(
            queries, attention.remember(states, torch.arange(4) < lengths.unsqueeze(1)), coverage.unsqueeze(2)
        )
        for row, length in enumerate(lengths.tolist()):
            scores = []
            for j in range(length):
                query, state, seen = queries[row, 0], states[j, row], coverage[row, 0, j] * attention.coverage[0]
                if kind == "dot":
                    scores.append(query @ (state + seen))
                elif kind == "general":
                    scores.append(query @ (attention.key.weight @ state + seen))
                else:
                    inner = attention.query(query) + attention.key.weight @ state + seen
                    scores.append(attention.score[0] @ torch.tanh(inner))
            wanted = torch.softmax(torch.stack(scores), 0)
            torch.testing.assert_close(weights[row, 0, 0, :length], wanted)
            torch.testing.assert_close(contexts[row, 0], wanted @ states[:length, row])


def test_multi_head_attention_equals_torch() -> None:
    torch.manual_seed(3)
    attention = make({"attention": "multi_head", "attention_heads": 3}).decoder.attention
    assert attention is not None
    theirs = torch.nn.MultiheadAttention(12, 3, bias=False, batch_first=True).double()
    theirs.in_proj_weight.data = torch.cat([attention.query.weight, attention.key.weight, attention.value.weight])
    theirs.out_proj.weight.data = attention.output.weight.data
    attention.query.bias = None
    states, lengths, queries = torch.randn(5, 2, 12).double(), torch.tensor([5, 3]), torch.randn(2, 4, 12).double()
    keys = states.transpose(0, 1)
    padding = torch.arange(5) >= lengths.unsqueeze(1)
    expected, expected_weights = theirs(queries, keys, keys, key_padding_mask=padding)
    contexts, weights = attention(queries, attention.remember(states, ~padding))
    torch.testing.assert_close(contexts, expected)
    torch.testing.assert_close(weights.mean(1), expected_weights)


def test_luong_feeding_equals_its_equations() -> None:
    """One layer, written out: Luong et al. (2015), equations 5, 7 and 8, section 3.3."""
    model = make({"attention": "general", "input_feeding": "luong"}).eval()
    source, lengths, inputs, _ = batch()
    memory, state = model.encode(source, lengths)
    readout, _ = model.decode(inputs, memory, state)
    decoder = model.decoder
    cell, values = decoder.layers.at(0).cell, memory["values"].squeeze(1)
    hidden, carried, feed = state["0.hidden"], state["0.cell"], torch.zeros(3, 12).double()
    reference = torch.nn.LSTMCell(8 + 12, 12).double()
    reference.load_state_dict(cell.state_dict())
    for t in range(len(inputs)):
        hidden, carried = reference(
            torch.cat((model.embed(model.target_embedding, inputs[t]), feed), -1), (hidden, carried)
        )
        scores = torch.einsum("bh,bsh->bs", hidden, decoder.attention.key(values)) + memory["mask"].flatten(1)
        answer = torch.einsum("bs,bsh->bh", torch.softmax(scores, -1), values)
        feed = torch.tanh(F.linear(torch.cat((hidden, answer), -1), decoder.readout.weight, decoder.readout.bias))
        torch.testing.assert_close(readout[t], feed)


def test_language_model_steps_equal_the_whole_text() -> None:
    """In one piece, or cut anywhere with the state carried on."""
    torch.manual_seed(1)
    model = LanguageModel(plain_model(embedding_size=8, hidden_size=12, decoder_layers=2), 20).double()
    inputs, targets = torch.randint(4, 20, (7, 3)), torch.randint(4, 20, (7, 3))
    loss, negative, final = model(inputs, targets, model.initial_state(3))
    _, one, state = model(inputs[:4], targets[:4], model.initial_state(3))
    _, two, state = model(inputs[4:], targets[4:], state)
    assert loss.item() == negative.item() == pytest.approx((one + two).item())
    state_by_steps = model.initial_state(3)
    for position in inputs:
        _, _, state_by_steps = model.step(position, state_by_steps, {})
    for name in final:
        torch.testing.assert_close(state[name], final[name])
        torch.testing.assert_close(state_by_steps[name], final[name])


def test_encoder_equals_torch() -> None:
    """Two bidirectional layers over packed sentences, outputs and final states."""
    torch.manual_seed(4)
    encoder = Encoder(plain_model(embedding_size=5, hidden_size=8, encoder_layers=2)).double()
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


def test_layers_read_embeddings_of_the_configured_deviation() -> None:
    for case in ({}, {"tied_embeddings": "all"}, {"embedding_deviation": 1.0}):
        model = make(case, embedding_size=64)
        read = model.embed(model.source_embedding, torch.arange(17))
        assert read.std().item() == pytest.approx(case.get("embedding_deviation", 0.5), rel=0.1)


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
    case = {"context_input": context_input, "decoder_layers": 2}
    model = make(case, dropout=0.5, embedding_dropout=0.5, output_dropout=0.5)
    source, lengths, inputs, targets = batch()
    losses = set()
    for seed in (1, 2, 1):
        torch.manual_seed(seed)
        losses.add(model(source, lengths, inputs, targets)[0].item())
    assert len(losses) == 2
    model.eval()
    assert model(source, lengths, inputs, targets)[0] == model(source, lengths, inputs, targets)[0]
