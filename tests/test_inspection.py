"""Inspections: what they say of gradients, gates and alignments is right, and every picture is written."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from plain import parse_plain
from safetensors.torch import save
from toys import toy_config, write_reversal

import nmt.inspect
from nmt import cli
from nmt.config import Config
from nmt.data.batching import make_batch
from nmt.errors import UserError
from nmt.inspection import attention, bottleneck, context, gates, gradient_flow, pages, search, steps
from nmt.inspection.watching import batch_of, gate_activations, layers_of, matrices, open_subject, watched
from nmt.model_folder import weights_metadata, write_model
from nmt.network.cells import CELLS
from nmt.network.language_model import LanguageModel
from nmt.network.torch_engine import build_model, model_tensors
from nmt.tasks.task import make_vocabularies
from nmt.text.vocabulary import SPECIAL_PIECES


def quiet(line: str) -> None:
    """Say nothing."""


def save_fresh(folder: Path, config: Config) -> Path:
    """A model folder with initial weights, a little larger than they are, so that its outputs differ."""
    source, target = make_vocabularies(config)
    model = build_model(config, len(source), len(target), 1)
    tensors = {name: tensor.detach() * 1.5 for name, tensor in model_tensors(model).items()}
    write_model(folder, config, source, target, save(tensors, weights_metadata(config, source, target)), "a card")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_reversal(tmp_path_factory.mktemp("data"))


def translation_model(folder: Path, data: Path, **model: Any) -> Path:
    config = toy_config(data, model={"attention": "general", "decoder_layers": 2, **model})
    return save_fresh(folder, config)


@pytest.fixture(scope="module")
def translator(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    return translation_model(tmp_path_factory.mktemp("translator"), data)


@pytest.fixture(scope="module")
def language_model(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    values: dict[str, Any] = {
        "task": "language_model",
        "data": {"path": str(data), "source": "src", "target": "rev"},
        "vocabulary": {"model_type": "char", "byte_fallback": False},
        "model": {"embedding_size": 8, "hidden_size": 12, "cell": "gru"},
        "training": {"truncation": 8},
    }
    return save_fresh(tmp_path_factory.mktemp("language-model"), parse_plain(values, "toy"))


# Gradients


def jacobian_by_autograd(model: LanguageModel, pieces: torch.Tensor) -> list[torch.Tensor]:
    """dh_T/dh_k for k = T-1, T-2, ..., 1 of the first layer, one output at a time."""
    with watched(model, keep_gradients=True) as record:
        gradient_flow.last_loss(model, pieces)
    steps = record[model.decoder.layers.at(0).cell]
    last, rows = steps.after[-1][0], []
    for unit in range(last.size(1)):
        rows.append(torch.autograd.grad(last[0, unit], [s[0] for s in steps.after[-2::-1]], retain_graph=True))
    return [torch.cat(each) for each in zip(*rows, strict=True)]


@pytest.mark.parametrize("cell", sorted(CELLS))
def test_state_norms_are_those_of_autograds_jacobians(cell: str) -> None:
    values = {"cell": cell, "hidden_size": 6, "embedding_size": 4}
    config = parse_plain({"task": "language_model", "model": values, "training": {"truncation": 1}}, "t").model
    torch.manual_seed(3)
    model = LanguageModel(config, 12).double().eval()
    pieces = torch.randint(SPECIAL_PIECES, 12, (6, 1))
    (flow,) = gradient_flow.measure(
        model, [lambda: gradient_flow.last_loss(model, pieces)], learning_rate=1.0, clip_norm=0.0
    )
    wanted = [float(torch.linalg.matrix_norm(jacobian, 2)) for jacobian in jacobian_by_autograd(model, pieces)]
    assert flow.state[0] == 1
    np.testing.assert_allclose(flow.state[1:6], wanted, rtol=1e-9)
    assert (flow.memory is not None) == ("lstm" in cell)


def test_the_bound_of_the_elman_rnn_holds_and_only_it_has_one() -> None:
    for cell in ("rnn_tanh", "rnn_relu", "rnn_leaky_relu"):
        for initialization in ("uniform", "xavier", "orthogonal*2"):
            (flow,) = gradient_flow.fresh_flows(cell, initialization, hidden_size=8, length=12, sequences=3)
            limit = gradient_flow.bound(flow)
            assert limit is not None and (flow.state <= limit * (1 + 1e-9)).all()
            assert flow.eigenvalue["recurrent"] <= flow.singular["recurrent"] * (1 + 1e-9)
    (flow,) = gradient_flow.fresh_flows("lstm", "xavier", hidden_size=8, length=5)
    assert gradient_flow.bound(flow) is None
    assert set(flow.singular) == {"input gate", "forget gate", "candidate", "output gate"}


def planted(factor: float) -> gradient_flow.Flow:
    """A ReLU RNN of which every unit is always on and keeps `factor` of its value: dh_T/dh_k = factor^(T-k) I."""
    values = {"cell": "rnn_relu", "hidden_size": 6, "embedding_size": 6}
    config = parse_plain({"task": "language_model", "model": values, "training": {"truncation": 1}}, "t").model
    model = LanguageModel(config, 12).double().eval()
    cell = model.decoder.layers.at(0).cell
    with torch.no_grad():
        cell.weight_hh.copy_(factor * torch.eye(6))
        cell.bias_ih.fill_(50)
    pieces = torch.randint(SPECIAL_PIECES, 12, (20, 2))
    runs = [lambda: gradient_flow.last_loss(model, pieces)]
    (flow,) = gradient_flow.measure(model, runs, learning_rate=0.5, clip_norm=1e-3)
    return flow


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [(0.5, "vanishing"), (0.89, "vanishing"), (1.0, "stable"), (1.09, "stable"), (1.5, "exploding")],
)
def test_a_planted_matrix_is_called_what_it_is(factor: float, verdict: str) -> None:
    flow = planted(factor)
    assert flow.verdict == verdict
    assert flow.ratio == pytest.approx(factor)
    assert gradient_flow.mean_ratio(flow.loss) == pytest.approx(factor)
    np.testing.assert_allclose(flow.state, gradient_flow.bound(flow))
    assert flow.clipped <= 0.5 * 1e-3 * (1 + 1e-9) < flow.update


def test_ratios_of_dead_and_of_infinite_gradients() -> None:
    assert gradient_flow.mean_ratio(np.array([1.0, 0.5, 0.0])) == 0
    assert gradient_flow.mean_ratio(np.array([1.0, np.inf])) == np.inf
    assert gradient_flow.verdict(0.9) == gradient_flow.verdict(1.1) == "stable"


# Watching


@torch.no_grad()
def forced(model: Any, batch: Any) -> Any:
    """Mean loss of the batch, which runs every layer over all positions."""
    return model(batch.source, batch.lengths, batch.inputs, batch.targets)[0]


def test_watching_changes_nothing_and_ends(translator: Path) -> None:
    subject = open_subject(translator)
    batch = batch_of(subject, ["a b c", "h g"], ["c b a", "g h"])
    before = forced(subject.model, batch)
    with watched(subject.model) as record:
        inside = forced(subject.model, batch)
    after = forced(subject.model, batch)
    torch.testing.assert_close(inside, before)
    assert torch.equal(before, after)
    assert {len(record[cell].before) for named in layers_of(subject.model) for cell in named.cells} == {
        len(batch.source),
        len(batch.inputs),
    }
    assert all(not hasattr(cell, "__dict__") or "step" not in cell.__dict__ for cell in record)


@pytest.mark.parametrize("feeding", ["none", "luong"])
@pytest.mark.parametrize(
    "cell", ["lstm", "peephole_lstm", "layer_norm_lstm", "gru", "gru_reset_before", "mut1", "mut3"]
)
def test_gates_make_the_state(cell: str, feeding: str, data: Path, tmp_path: Path) -> None:
    """From the gates and the state before alone follows the state after."""
    subject = open_subject(translation_model(tmp_path, data, cell=cell, input_feeding=feeding))
    batch = batch_of(subject, ["a b c"], ["c b a"])
    with torch.no_grad(), watched(subject.model) as record:
        forced(subject.model, batch)
    for named in layers_of(subject.model):
        steps = record[named.layer.cell]
        found = gate_activations(named.layer.cell, steps)
        for t, (before, after) in enumerate(zip(steps.before, steps.after, strict=True)):
            if len(before) == 2:
                i, f, g, o = (activation[t] for activation in found.values())
                memory = f * before[1] + i * g
                torch.testing.assert_close(memory, after[1])
                if cell != "layer_norm_lstm":
                    torch.testing.assert_close(o * memory.tanh(), after[0])
            else:
                _, z, n = (activation[t] for activation in found.values())
                kept = 1 - z if cell.startswith("mut") else z
                torch.testing.assert_close(kept * before[0] + (1 - kept) * n, after[0])


def test_every_recurrent_matrix_has_a_name() -> None:
    for name, kind in CELLS.items():
        cell = kind(3, 4)
        assert len(matrices(cell)) == sum(cell.recurrent_blocks), name


def test_properties_of_a_text() -> None:
    pieces = ["⟨begin⟩", ' "', "go", '"', " (", "4", ")", ".", "⟨begin⟩", " x"]
    lines = np.array([0] * 8 + [1] * 2)
    found = gates.properties(pieces, lines)
    assert found["position"].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 0, 1]
    assert found["length left"].tolist() == [7, 6, 5, 4, 3, 2, 1, 0, 1, 0]
    assert found["quotes"].tolist() == [0, 1, 1, 0, 0, 0, 0, 0, 0, 0]
    assert found["brackets"].tolist() == [0, 0, 0, 0, 1, 1, 1, 0, 0, 0]
    assert found["number"].tolist() == [0, 0, 0, 0, 0, 1, 0, 0, 0, 0]


def test_a_planted_meaning_is_found_and_noise_does_not_survive_the_other_half() -> None:
    rng = np.random.default_rng(1)
    lines = np.repeat(np.arange(40), 10)
    values = rng.normal(size=(400, 50)).astype(np.float32)
    position = np.tile(np.arange(10), 40)
    values[:, 17] = -position + 0.1 * values[:, 17]
    layer = layers_of(
        LanguageModel(parse_plain({"task": "language_model", "training": {"truncation": 1}}, "t").model, 9)
    )
    reading = gates.Reading(layer[0], ["a"] * 400, lines, values, {})
    found = [meaning for meaning in gates.find_meanings(reading) if meaning.what == "position"]
    assert found[0].unit == 17 and found[0].searched < -0.99 and found[0].checked < -0.99
    assert all(abs(meaning.checked) < 0.25 for meaning in found[1:])


def test_saturation_counts_positions() -> None:
    layer = layers_of(
        LanguageModel(parse_plain({"task": "language_model", "training": {"truncation": 1}}, "t").model, 9)
    )
    values = np.array([[0.05, 0.95], [0.5, 0.95], [0.02, 0.91], [0.2, 0.99]], np.float32)
    reading = gates.Reading(
        layer[0], list("abcd"), np.zeros(4, int), values, {"forget gate": values, "candidate": values}
    )
    (found,) = gates.saturations(reading)
    assert found.closed.tolist() == [0.5, 0] and found.open.tolist() == [0, 1]


# Attention, search, bottleneck


def test_alignment_error_rate_by_hand() -> None:
    sure, possible = {(0, 0), (1, 1)}, {(2, 2)}
    rate = attention.alignment_error_rate
    assert rate([sure], [sure], [possible]) == 0
    assert rate([sure | possible], [sure], [possible]) == 0  # possible links do no harm
    assert rate([{(0, 0), (1, 2)}], [sure], [possible]) == pytest.approx(1 - (1 + 1) / (2 + 2))
    assert rate([{(5, 5)}], [sure], [set()]) == 1


def test_gold_alignments(tmp_path: Path) -> None:
    gold = tmp_path / "gold"
    gold.write_text("0-0 1?2\n\n3p1\n")
    assert attention.read_gold(gold, 2) == ([{(0, 0)}, set()], [{(1, 2)}, set()])
    assert attention.read_gold(gold, 3)[1][2] == {(3, 1)}
    with pytest.raises(UserError, match="3 lines but there are 4 sentences"):
        attention.read_gold(gold, 4)
    gold.write_text("0-0\n1:2\n")
    with pytest.raises(UserError, match="line 2: an alignment must be like 0-0 or 0\\?1, but is `1:2` instead"):
        attention.read_gold(gold, 2)


def test_attention_of_search_is_that_of_teacher_forcing(translator: Path) -> None:
    subject = open_subject(translator)
    sources = ["a b c", "h", "d e f g a"]
    found = attention.attend(subject, sources, 3)
    again = attention.attend_forced(subject, sources, [each.text for each in found])
    for one, other in zip(found, again, strict=True):
        np.testing.assert_allclose(one.weights.sum(1), 1, rtol=1e-5)
        assert one.weights.shape == (len(one.target), len(one.source))
        if one.target == other.target:  # the text may be segmented in another way than the model wrote it
            np.testing.assert_allclose(one.weights, other.weights, atol=1e-5)
    assert any(one.target == other.target for one, other in zip(found, again, strict=True))


def test_the_steps_of_a_translation_are_those_of_the_network(translator: Path) -> None:
    """Teacher forcing of the whole sentence gives the same encoder states, contexts and decoder states."""
    subject, text = open_subject(translator), "a b c d"
    found = steps.walk(subject, text, 3)
    best = subject.translator().translate([text], beam_size=3)[0]
    assert found.translation == best.text and found.attention.target[:-1] == best.tokens
    vocabulary = subject.folder.target_vocabulary
    target = [np.array([vocabulary.pieces(range(len(vocabulary))).index(piece) for piece in best.tokens])]
    source = [np.array(subject.folder.source_vocabulary.encode(text))]
    batch = make_batch(source, target, target, np.arange(1))
    with torch.no_grad(), watched(subject.model) as record:
        embedded = subject.model.embed(subject.model.source_embedding, batch.source)
        inside = subject.model.encoder(embedded, batch.lengths)[0]
        forced(subject.model, batch)
    np.testing.assert_allclose(found.encoder, inside[:, 0], atol=1e-5)
    for own, layer in zip(found.states, subject.model.decoder.layers, strict=True):
        after = torch.stack([state[0][0] for state in record[layer.cell].after])
        np.testing.assert_allclose(own[1:], after, atol=1e-5)
        np.testing.assert_allclose(own[0], record[layer.cell].before[0][0][0], atol=1e-5)
    np.testing.assert_allclose(found.contexts, found.attention.weights @ found.encoder, atol=1e-5)
    np.testing.assert_allclose(found.attention.weights.sum(1), 1, atol=1e-5)


def test_the_beam_of_each_step_holds_the_translation(translator: Path) -> None:
    found = steps.walk(open_subject(translator), "h g f e", 4)
    tokens = found.attention.target
    for step, (beam, candidates) in enumerate(zip(found.beams, found.candidates, strict=True), 1):
        (own,) = (rival for rival in beam if rival.fate == "best")
        assert own.text == "".join(tokens[:step]).replace("▁", " ").strip()
        assert (own.score is not None) == (step == len(tokens))
        assert [rival.total for rival in beam] == sorted((rival.total for rival in beam), reverse=True)
        assert sum(rival.fate != "refused" for rival in beam) <= 4
        assert [p for _, p in candidates] == sorted((p for _, p in candidates), reverse=True)
        before = found.beams[step - 2] if step > 1 else []
        total = next((rival.total for rival in before if rival.fate == "best"), 0.0)
        if tokens[step - 1] in dict(candidates):
            assert own.total - total == pytest.approx(np.log(dict(candidates)[tokens[step - 1]]), abs=1e-4)


def test_search_errors_fall_with_the_beam_and_scores_rise(translator: Path) -> None:
    subject = open_subject(translator)
    sources = [" ".join("abcdefgh"[i : i + 4]) for i in range(5)]
    beams, share = search.compare(subject, sources, sources, [1, 4, 16], quiet)
    assert beams[2].errors <= beams[0].errors and 0 <= share <= 1
    assert all(0 <= beam.errors <= 1 and beam.seconds > 0 for beam in beams)
    assert max(beam.score for beam in beams) == pytest.approx(beams[2].score)


def test_scores_of_references_are_those_of_search(translator: Path) -> None:
    subject = open_subject(translator)
    (best,) = subject.translator().translate(["a b c"])
    if subject.folder.target_vocabulary.pieces(subject.folder.target_vocabulary.encode(best.text)) == best.tokens:
        (scored,) = subject.translator().score(["a b c"], [best.text])
        assert scored.score == pytest.approx(best.score, abs=1e-4)


def test_variants_differ_in_attention_and_order_only() -> None:
    config = parse_plain({"model": {"attention": "additive", "input_feeding": "luong", "coverage": True}}, "t")
    plain, looking = (bottleneck.variant_config(config, attends, True) for attends in (False, True))
    assert (plain.model.attention, plain.model.input_feeding, plain.model.coverage) == ("none", "none", False)
    assert (looking.model.attention, looking.model.input_feeding, looking.model.coverage) == ("additive", "luong", True)
    assert plain.model.reverse_source and looking.model.reverse_source and not plain.model.bidirectional
    assert plain.training == looking.training == config.training


def test_buckets_hold_every_sentence_once_and_grow() -> None:
    lengths = [3, 9, 4, 1, 1, 7, 20, 8, 5, 6, 2, 2, 30, 11]
    groups = bottleneck.buckets(lengths, 4)
    assert sorted(i for group in groups for i in group) == list(range(len(lengths)))
    ranges = [(min(lengths[i] for i in group), max(lengths[i] for i in group)) for group in groups]
    assert all(before[1] < after[0] for before, after in pairwise(ranges))
    assert bottleneck.buckets([5, 10, 5], 6) == [[0, 2], [1]]


def test_symbols_right() -> None:
    assert bottleneck.symbols_right(["1 2 3", "4"], ["1 3 3", "4 4"]) == 60
    assert bottleneck.symbols_right([""], ["1"]) == 0


# Pages, fonts, commands


def test_projection_keeps_the_directions_of_largest_variance() -> None:
    rng = np.random.default_rng(1)
    flat = rng.normal(size=(50, 2)) * [5, 2]
    turned = flat @ np.linalg.qr(rng.normal(size=(6, 2)))[0].T + 3
    points, axes = pages.project(turned)
    np.testing.assert_allclose(points @ points.T, (flat - flat.mean(0)) @ (flat - flat.mean(0)).T, atol=1e-9)
    assert axes == "PCA, 100 % of the variance"


def test_nearest_by_cosine_without_itself() -> None:
    vectors = np.array([[1.0, 0], [5, 0.1], [0, 1], [-1, 0]])
    ((first, similarity), (second, _)) = pages.nearest(vectors, [0], 2)[0]
    assert (first, second) == (1, 2) and similarity == pytest.approx(0.9998, abs=1e-3)


def test_fonts_that_are_missing_are_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pages.choose_fonts("Hund, собака, كلب") == (["DejaVu Sans"], None)
    monkeypatch.setattr(pages, "_installed_fonts", list)
    families, warning = pages.choose_fonts("a 狗犬 \U0001e900")
    assert families == ["DejaVu Sans"]
    assert warning is not None and "\n" not in warning
    assert "3 of the picture's characters" in warning and warning.endswith("install Noto Sans Adlam, Noto Sans CJK")


def inspect(tmp_path: Path, command: str) -> dict[str, Any]:
    """Run `nmt inspect` and check its files; returns the numbers."""
    assert cli.main(["inspect", *shlex.split(command), "--output", str(tmp_path), "--threads", "1"]) == 0
    what = command.split()[0]
    assert (tmp_path / f"{what}.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert colors(tmp_path / f"{what}.png") > 20
    page = (tmp_path / f"{what}.html").read_text()
    assert (
        page.startswith("<!doctype html>")
        and page.count("<svg") == 1 + (what == "steps")
        and "light-dark(#1c1f23, #e6e8ea)" in page
    )
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )
    numbers: dict[str, Any] = json.loads((tmp_path / f"{what}.json").read_text())
    assert numbers["what"] == what and numbers["command"].startswith(f"nmt inspect {what}")
    return numbers


def colors(picture: Path) -> int:
    """Different colours in a picture: an empty one has one."""
    from PIL import Image

    with Image.open(picture) as image:
        return len(image.convert("RGB").getcolors(1 << 24) or [])


def test_gradient_flow_of_fresh_cells(tmp_path: Path) -> None:
    command = "gradient-flow --cells rnn_tanh,gru --initialization uniform,orthogonal*3 --length 12 --hidden-size 8"
    numbers = inspect(tmp_path, f"{command} --layers 2")
    assert len(numbers["flows"]) == 2 * 2 * 2
    first = numbers["flows"][0]
    assert first["verdict"] == "vanishing" and len(first["dh_dh"]) == 13 and len(first["bound"]) == 13


def test_gradient_flow_of_models(tmp_path: Path, translator: Path, language_model: Path) -> None:
    for model in (translator, language_model):
        numbers = inspect(tmp_path, f"gradient-flow {model} --split train --length 4")
        groups = [flow["group"] for flow in numbers["flows"]]
        assert groups == [named.name for named in layers_of(open_subject(model).model)]
        assert all(len(flow["dh_dh"]) == 5 for flow in numbers["flows"])


def test_gates_of_models(tmp_path: Path, translator: Path, language_model: Path) -> None:
    numbers = inspect(tmp_path, f"gates {translator} --layer encoder-backward-1 --unit 3")
    assert np.array(numbers["gates"]["forget gate"]).shape == (len(numbers["sentence"]), 16)
    assert {meaning["what"] for meaning in numbers["meanings"]} == {"position", "length left"}
    page = (tmp_path / "gates.html").read_text()
    assert 'value="3"' in page and page.count("<span style") > 90
    told = re.findall(r'<span style="[^"]*" tabindex="-1" title="([^"]*)">', page)
    assert len(told) >= 90 and all(re.fullmatch(r".+: [+-]\d\.\d\d", each) for each in told)
    assert 'id="value" role="status"' in page and "ArrowRight" in page
    numbers = inspect(tmp_path, f"gates {language_model} --sentence 'a b' --sentence 'c d e'")
    assert numbers["sentence"] == ["⟨begin⟩", *" a b".replace(" ", " ")] and set(numbers["gates"]) == {
        "reset gate",
        "update gate",
        "candidate",
    }


def test_context_attention_search_embeddings(tmp_path: Path, translator: Path, data: Path) -> None:
    numbers = inspect(tmp_path, f"context {translator}")
    assert len({sentence["text"] for sentence in numbers["sentences"]}) == len(numbers["sentences"])
    assert numbers["neighbours"][0]["nearest"][0]["cosine"] <= 1 + 1e-6
    numbers = inspect(tmp_path, f"attention {translator} --sentence 'a b <c>' --sentence '$x$ \\alpha'")
    assert (tmp_path / "attention.pharaoh").read_text().count("\n") == len(numbers["sentences"]) == 2
    (tmp_path / "gold").write_text("0-0\n" * 20)
    files = f"--source {data / 'test.src'} --target {data / 'test.rev'}"
    numbers = inspect(tmp_path, f"attention {translator} {files} --gold {tmp_path / 'gold'}")
    assert 0 <= numbers["alignment_error_rate"] <= 1
    numbers = inspect(tmp_path, f"search {translator} --beam-sizes 3,1 --sentences 5")
    assert [beam["size"] for beam in numbers["beams"]] == [1, 3]
    numbers = inspect(tmp_path, f"embeddings {translator} --side source --pieces a,b")
    assert [each["piece"] for each in numbers["neighbours"]] == ["▁a", "▁b"]
    numbers = inspect(tmp_path, f"embeddings {translator} --pieces '<s>,▁a'")
    assert [each["piece"] for each in numbers["neighbours"]] == ["<s>", "▁a"]


def test_an_export_alone_shows_what_the_weights_show(tmp_path: Path, translator: Path) -> None:
    folder = shutil.copytree(translator, tmp_path / "model")
    assert cli.main(["export", str(folder), "--no-shortlist"]) == 0
    weights = open_subject(folder)
    (folder / "model.safetensors").unlink()
    export = open_subject(folder)
    sources = ["a b c", "h g f", "d e f g a"]
    pairs = zip(attention.attend(weights, sources, 3), attention.attend(export, sources, 3), strict=True)
    for one, other in pairs:
        assert one.target == other.target
        np.testing.assert_allclose(one.weights, other.weights, atol=1e-4)
    own, exported = (context.context_vectors(subject, sources) for subject in (weights, export))
    np.testing.assert_allclose(own, exported, atol=1e-4)
    one, other = (steps.walk(subject, "a b c", 3) for subject in (weights, export))
    assert one.beams[-1][0].text == other.beams[-1][0].text and one.attention.target == other.attention.target
    for left, right in zip(
        [one.encoder, one.contexts, *one.states], [other.encoder, other.contexts, *other.states], strict=True
    ):
        np.testing.assert_allclose(left, right, atol=1e-4)
    assert search.compare(weights, sources, sources, [1, 3], quiet)[0][1].errors >= 0
    for command in (f"context {folder}", f"attention {folder}", f"search {folder} --beam-sizes 1,2 --sentences 3"):
        inspect(tmp_path, command)
    numbers = inspect(tmp_path, f"steps {folder} 'a <b> c'")
    page = (tmp_path / "steps.html").read_text(encoding="utf-8")
    assert numbers["translation"] in page and "&lt;" in page and not re.search(r"(src|href)=.?http", page)
    # What torch shows needs the weights, which are read back from the graphs.
    for name, weight in export.model.named_parameters():
        if not name.endswith(("bias_ih", "bias_hh")):  # of the two biases of a cell, the export has the sum
            torch.testing.assert_close(weight, dict(weights.model.named_parameters())[name])
    for command in (f"gates {folder} --sentence 'a b c'", f"embeddings {folder} --pieces a,b"):
        inspect(tmp_path, command)


def test_equal_scores_are_no_preference(translator: Path) -> None:
    """Only a reference that is clearly better than everything found counts, not one that search found itself."""
    subject = open_subject(translator)
    scores = iter([np.array([-1.0, -2.0, -3.0]), np.array([-1.0, -1.0, -3.0])])
    texts = ["a", "b", "c"]

    def translate(sources: list[str], beam_size: int) -> list[Any]:
        values = next(scores) if len(sources) == 3 else np.zeros(2)
        return [
            SimpleNamespace(text=text, score=score, tokens=[1]) for text, score in zip(sources, values, strict=True)
        ]

    references = [SimpleNamespace(score=score) for score in (-1.0 + 1e-9, -1.0, -2.5)]
    scripted = SimpleNamespace(translate=translate, score=lambda sources, targets: references)
    watched_subject = SimpleNamespace(folder=subject.folder, translator=lambda: scripted)
    beams, share = search.compare(watched_subject, texts, texts, [1, 5], quiet)  # type: ignore[arg-type]
    assert share == pytest.approx(1 / 3)
    assert [beam.errors for beam in beams] == pytest.approx([2 / 3, 1 / 3])


@pytest.mark.slow
def test_bottleneck(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bottleneck, "PAIRS", {"train": 64, "validation": 4, "test": 4})
    found = bottleneck.bottleneck(lengths=[5, 6], epochs=1, threads=1, say=quiet)
    pages.write(found, tmp_path, "nmt inspect bottleneck", quiet)
    numbers = json.loads((tmp_path / "bottleneck.json").read_text())
    assert numbers["lengths"] == [5, 6] and len(numbers["models"]) == 4
    assert len({model["name"] for model in numbers["models"]}) == 4
    assert colors(tmp_path / "bottleneck.png") > 20


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("attention {plain}", "is a model without attention"),
        ("attention {lm}", "`nmt inspect attention` is not for a language model, which"),
        ("steps {plain} a", "is a model without attention"),
        ("steps {model} ' '", "the text must be one sentence of words, without numbers and addresses that are copied"),
        ("attention {model} --sentence a --gold x", "--gold needs the translations that were aligned"),
        ("gates {model} --layer top", "--layer must be one of encoder-forward-1, encoder-backward-1, decoder-1"),
        ("gates {model} --unit 99", "--unit must be from 0 to 31, but is 99 instead"),
        ("gates {model} --set model.cell=gru", "--set must be data.KEY=VALUE here"),
        ("context {model} --target x", "--target needs --source"),
        ("context {model} --sentence a --sentence b", "a projection needs at least 3 different points, but has 2"),
        ("embeddings {model} --pieces Hund", "`Hund` is no single piece of the vocabulary"),
        ("gradient-flow --cells lstm,tanh", "--cells must be of lstm, peephole_lstm"),
        ("gradient-flow --initialization he", "`model.initialization` must be one of uniform, xavier, orthogonal"),
        ("gradient-flow --initialization uniform*x", "--initialization must be NAME or NAME*FACTOR"),
        ("gradient-flow --initialization orthogonal*nan", "--initialization must be NAME or NAME*FACTOR"),
        ("bottleneck --set model.cell=gru", "--set changes a CONFIG, but none is given"),
        ("bottleneck --lengths 4,8,12", "--lengths must be from 5 to 1000 (as `data.probe_length`), but one is 4"),
        ("bottleneck --lengths 8,2000", "--lengths must be from 5 to 1000 (as `data.probe_length`), but one is 2000"),
    ],
)
def test_mistakes_are_one_line(
    command: str, message: str, translator: Path, language_model: Path, data: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    plain = translation_model(tmp_path, data, attention="none") if "{plain}" in command else ""
    given = shlex.split(command.format(model=translator, lm=language_model, plain=plain))
    assert cli.main(["inspect", *given, "--output", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_in_python_mistakes_name_the_argument(translator: Path) -> None:
    with pytest.raises(UserError, match=r"^argument `lengths` must be from 5 to 1000"):
        nmt.inspect.bottleneck(lengths=[4])
    with pytest.raises(UserError, match=r"^argument `layer` must be one of"):
        nmt.inspect.gates(translator, layer="top")
