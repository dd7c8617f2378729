"""Exported models: what ONNX Runtime computes is what torch computes."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from plain import parse_plain
from runs import load_script
from safetensors.torch import save

from nmt.cli import main
from nmt.config import Config, DataConfig, VocabularyConfig, load_config
from nmt.errors import TrainingError, UserError
from nmt.export.exporter import Expectation, check_exportable, export_model, write_graphs
from nmt.export.onnx_graph import FLOAT, LARGEST, Graph, WeightStore, quantize_rows
from nmt.export.restoring import restore_weights
from nmt.export.tracing import trace
from nmt.model_folder import EXPORT, ModelFolder, open_model, weights_metadata, write_manifest, write_model
from nmt.network.attention import ATTENTIONS, DotAttention
from nmt.network.cells import CELLS
from nmt.network.language_model import LanguageModel
from nmt.network.torch_engine import TorchEngine, build_model, model_tensors
from nmt.search.beam import SearchSettings, beam_search
from nmt.search.engine import best_pieces
from nmt.text.vocabulary import BEGIN, END, learn_vocabulary
from nmt.translation.onnx_engine import OnnxEngine, load_engine, place_rows
from nmt.translation.shortlist import LexicalTable, write_shortlist
from nmt.translation.translator import SourceLine, Translation, Translator

SIZE = 40
"""Vocabulary of the untrained models."""
SOURCES = [[5, 6, 7], [9], [4, 30, 31, 8, 22, 11], [12, 5]]

NETWORKS: list[dict[str, Any]] = [
    *({"cell": cell, "attention": "general"} for cell in CELLS),
    *({"cell": cell, "input_normalization": "layer", "transition_depth": 2, "zoneout": 0.25} for cell in CELLS),
    *(
        {"attention": attention, "input_feeding": feeding, "coverage": feeding != "none", "decoder_layers": 2}
        for attention, feeding in itertools.product(
            ATTENTIONS, ("none", "luong", "bahdanau")
        )
    ),
    *(
        {"attention": attention, "coverage": True, "decoder_layers": 2}
        for attention in ("general", "additive", "multi_head")
    ),
    *(
        {"attention": "general", "input_feeding": feeding, "context_input": context, "connections": "highway",
         "encoder_layers": 2, "decoder_layers": 3, "input_normalization": norm}
        for feeding, context, norm in (
            ("none", "first", "batch"), ("none", "all", "layer"), ("luong", "first", "layer"),
            ("luong", "all", "none"), ("bahdanau", "first", "none"), ("bahdanau", "all", "layer"),
        )
    ),
    {"cell": "mut1", "context_input": "all", "input_normalization": "batch"},
    {"bidirectional": False, "reverse_source": True},
    {"bidirectional": False, "cell": "gru_reset_before", "encoder_layers": 3, "connections": "residual"},
    {"tied_embeddings": "all", "context_input": "first", "decoder_layers": 2},
    {"tied_embeddings": "decoder", "attention": "dot", "cell": "rnn_relu", "encoder_layers": 3, "decoder_layers": 1},
]  # fmt: skip


CONFIGS = Path(__file__).parent.parent / "configs"


def settings_of(task: str, model: dict[str, Any]) -> Config:
    """The configuration of a small model."""
    own = {"task": task, "model": {"embedding_size": 8, "hidden_size": 12, **model}}
    return parse_plain({**own, "training": {"truncation": 8}} if task == "language_model" else own, "test")


def untrained(task: str = "translation", **model: Any) -> TorchEngine:
    """A small model whose weights, biases and running statistics all matter."""
    config = settings_of(task, model)
    network = build_model(config, SIZE, SIZE, 3)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for name, tensor in model_tensors(network).items():
            noise = torch.rand(tensor.shape, generator=generator)
            tensor.copy_(0.5 + noise if name.endswith("running_var") else tensor + (noise - 0.5))
    return TorchEngine(network.eval())


def exported(engine: TorchEngine, folder: Path, integers: bool = False, small: bool = False) -> OnnxEngine:
    """The same model in ONNX Runtime."""
    (folder / EXPORT).mkdir(parents=True)
    made_from: dict[str, Any] = {"weights": {}, "vocabularies": {}}
    task = "language_model" if isinstance(engine.model, LanguageModel) else "translation"
    graphs = write_graphs(engine.model, folder / EXPORT, integers, small, task)
    write_manifest(folder / EXPORT, {**graphs, **made_from})
    return OnnxEngine(folder, threads=1)


@pytest.fixture(scope="module", params=NETWORKS, ids=lambda model: "-".join(str(value) for value in model.values()))
def network(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[OnnxEngine, TorchEngine]:
    """Each network as an export and in torch, made once for the tests that only run it."""
    return exported(untrained(**request.param), tmp_path_factory.mktemp("network")), untrained(**request.param)


def test_every_network_computes_what_torch_computes(network: tuple[OnnxEngine, TorchEngine]) -> None:
    ours, theirs = network
    deviation = Expectation(theirs, SOURCES, parse_plain({}, "test").decoding).deviation(ours)
    assert deviation.log_prob < 1e-4
    assert deviation.n_best == 0


def test_language_models(tmp_path: Path) -> None:
    engine = untrained("language_model", decoder_layers=2, cell="layer_norm_lstm")
    deviation = Expectation(engine, SOURCES, parse_plain({}, "test").decoding).deviation(exported(engine, tmp_path))
    assert deviation.log_prob < 1e-4
    assert deviation.n_best == 0


def test_rows_and_attention_weights_of_one_step(network: tuple[OnnxEngine, TorchEngine]) -> None:
    """Ragged rows in any order: each of them as in torch, weights that sum to one, padding with none."""
    rows = np.array([3, 0, 2, 0, 3, 2, 2])
    tokens = np.array([5, 6, 7, 8, 9, 10, 11])
    found = []
    for engine in network:
        memory, state = engine.start(SOURCES)
        _, _, state = engine.step(memory, state, np.full(4, BEGIN))
        log_probs, weights, state = engine.step(memory, engine.select(state, rows), tokens)
        again, _, _ = engine.step(memory, engine.select(state, np.arange(7)[::-1].copy()), tokens)
        found.append((log_probs, again, weights))
    for one, other in zip(*found, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_allclose(one, other, atol=1e-4)
    weights = found[0][2]
    if weights is not None:
        np.testing.assert_allclose(weights.sum(1), 1, atol=1e-5)
        assert not weights[1, 4:].any()  # sentence 0 has 3 pieces and the end symbol


def test_sentences_that_are_left_out_change_nothing_for_others(network: tuple[OnnxEngine, TorchEngine]) -> None:
    engine, _ = network
    memory, state = engine.start(SOURCES)
    _, _, state = engine.step(memory, state, np.full(4, BEGIN))
    state = engine.select(state, np.array([3, 0, 0, 3]))
    left, after = engine.compact(memory, state)
    assert left.sentences == 2 and {len(kept.array) for kept in left.tensors.values()} <= {2}
    for tokens in (np.array([5, 6, 7, 8]), np.array([9, 10, 11, 12])):
        log_probs, weights, state = engine.step(memory, state, tokens)
        found, attention, after = engine.step(left, after, tokens)
        np.testing.assert_allclose(found, log_probs, atol=1e-6)
        assert (attention is None) == (weights is None)
        if attention is not None and weights is not None:
            np.testing.assert_allclose(attention, weights, atol=1e-6)


@pytest.mark.parametrize("integers", [False, True])
def test_the_best_pieces_are_those_of_the_whole_row(integers: bool, tmp_path: Path) -> None:
    engine = exported(untrained(attention="general"), tmp_path, integers)
    memory, state = engine.start(SOURCES)
    tokens = np.full(len(SOURCES), BEGIN)
    log_probs, _, _ = engine.step(memory, state, tokens)
    for k in (1, 5, SIZE):
        best, _, _ = engine.step_best(memory, state, tokens, k)
        expected = best_pieces(log_probs, k)
        np.testing.assert_allclose(best.end, expected.end, atol=1e-5)
        np.testing.assert_allclose(best.log_probs, expected.log_probs, atol=1e-5)
        assert (best.tokens == expected.tokens).all()


def test_rows_are_placed_by_sentence() -> None:
    grid, places = place_rows(np.array([0, 0, 2, 2, 2, 3]), 4)
    assert grid.shape == (4, 3)
    assert grid.reshape(-1)[places].tolist() == [0, 1, 2, 3, 4, 5]
    assert (places // 3).tolist() == [0, 0, 2, 2, 2, 3]


@pytest.mark.parametrize("integers", [False, True])
def test_neighbours_and_order_change_nothing(integers: bool, tmp_path: Path) -> None:
    """A sentence's n-best list is the same alone, in any batch and in any order."""
    engine = exported(untrained(attention="general", tied_embeddings="all"), tmp_path, integers)
    settings = SearchSettings(beam_size=4, n_best=4)
    together = beam_search(engine, SOURCES, settings)
    turned = beam_search(engine, SOURCES[::-1], settings)[::-1]
    for source, one, other in zip(SOURCES, together, turned, strict=True):
        alone = beam_search(engine, [source], settings)[0]
        assert [each.tokens for each in one] == [each.tokens for each in other] == [each.tokens for each in alone]
        np.testing.assert_allclose([each.score for each in one], [each.score for each in alone], atol=1e-5)


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("model", [*NETWORKS[::6], *NETWORKS[-2:]], ids=str)
def test_integers_are_close(model: dict[str, Any], small: bool, tmp_path: Path) -> None:
    engine = untrained(**model)
    settings = parse_plain({}, "test").decoding
    deviation = Expectation(engine, SOURCES, settings).deviation(exported(engine, tmp_path, integers=True, small=small))
    assert 0 < deviation.mean_log_prob < 0.1


def test_small_exports_store_tied_embeddings_once(tmp_path: Path) -> None:
    """What they compute is what they compute with the output layer beside the embeddings."""
    tied, apart = (untrained(attention="dot", tied_embeddings="all") for _ in range(2))
    apart.model.output_weight = torch.nn.Parameter(apart.model.output_weight.detach().clone())
    engines = [
        exported(engine, tmp_path / name, integers=True, small=True)
        for name, engine in (("tied", tied), ("apart", apart))
    ]
    results = []
    for engine in engines:
        memory, state = engine.start(SOURCES)
        results.append(engine.step(memory, state, np.arange(len(SOURCES)) + 4)[0])
    np.testing.assert_allclose(*results, atol=1e-6)
    assert [engine.manifest["output"]["by_piece"] for engine in engines] == [True, False]


def test_bytes_stand_for_the_nearest_weights() -> None:
    weight = np.random.default_rng(1).normal(size=(5, 8)).astype(np.float32)
    whole, scale = quantize_rows(weight)
    assert (np.abs(whole * scale[:, None] - weight) <= scale[:, None] / 2 + 1e-6).all()
    assert (np.abs(whole).max(axis=1) == LARGEST).all()
    assert 2 * 255 * LARGEST < 2**15  # what a processor without VNNI adds two products in


def folder_of(engine: TorchEngine, path: Path) -> ModelFolder:
    """A model folder with the model's weights and a vocabulary of its size."""
    settings = VocabularyConfig(byte_fallback=False)
    vocabulary = learn_vocabulary(["abcdefghijklmnopqrstuvwxyz 012345678"], settings, SIZE, "identity")
    assert len(vocabulary) == SIZE
    task = "language_model" if isinstance(engine.model, LanguageModel) else "translation"
    config = replace(settings_of(task, {}), model=engine.model.config)
    weights = save(dict(model_tensors(engine.model)), weights_metadata(config, vocabulary, vocabulary))
    write_model(path, config, vocabulary, vocabulary, weights, "")
    return open_model(path)


LINES = ["abc", "the cat", "", "x"]


def test_translation_takes_the_export_by_itself_and_needs_no_torch(tmp_path: Path) -> None:
    folder = folder_of(untrained(attention="general"), tmp_path / "model")
    expected = [each.text for each in Translator.load(folder.path).translate(LINES)]
    assert isinstance(Translator.load(folder.path).engine, TorchEngine)
    assert main(["export", str(folder.path), "--no-shortlist"]) == 0
    assert isinstance(Translator.load(folder.path).engine, OnnxEngine)
    folder.weights.unlink()  # a runtime-only model
    script = (
        "import sys; from nmt.translation.translator import Translator;"
        f"print([each.text for each in Translator.load({str(folder.path)!r}).translate({LINES!r})]);"
        "assert not {'torch', 'datasets', 'onnx'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(expected)
    with pytest.raises(UserError, match="has no weights"):
        load_engine(open_model(folder.path), "cuda")
    with pytest.raises(UserError, match="no weights to export"):
        export_model(open_model(folder.path))


def test_small_is_refused_without_integers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "de-en", "--small"]) == 2
    assert capsys.readouterr().err == "nmt: error: `--small` is for exports in 8 bits; give `--int8` as well\n"


def test_batches_side_by_side_give_what_one_after_another_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(untrained(attention="general"), tmp_path / "model")
    export_model(folder)
    lines = ["".join(letters) for letters in itertools.permutations("ab cd", 4)]
    alone = Translator.load(folder.path, threads=1)
    threads = set()
    run = OnnxEngine._run

    def noted(engine: OnnxEngine, *arguments: Any) -> Any:
        threads.add(threading.get_ident())
        return run(engine, *arguments)

    monkeypatch.setattr(OnnxEngine, "_run", noted)
    expected = alone.translate_n_best(lines, 3, batch_size=7)
    assert threads == {threading.get_ident()}
    together = Translator.load(folder.path, threads=3)
    assert together.translate_n_best(lines, 3, batch_size=7) == expected
    assert together.score(lines, lines, batch_size=7) == alone.score(lines, lines, batch_size=7)
    assert len(threads) > 2
    (folder.path / EXPORT / "rows.onnx").write_bytes(b"nothing")
    write_manifest(folder.path / EXPORT, json.loads((folder.path / EXPORT / "export.json").read_text()))
    broken = Translator.load(folder.path, threads=3)
    with pytest.raises(UserError, match=r"is damaged: `onnx/rows\.onnx`"):
        broken.translate([SourceLine(line, prefix="a") for line in lines], batch_size=7)


WISHES = [
    SourceLine("abc the cat"),
    SourceLine("dog", prefix="ze"),
    SourceLine("a b", required=["zz", "q"]),
    SourceLine("the cat", forbidden=["c"]),
    SourceLine("cat é"),
    SourceLine(""),
    SourceLine("é x", forbidden=["x"]),
]
"""All that can be asked of a line; the vocabulary has no piece for an é."""

REQUESTS: dict[str, dict[str, Any]] = {
    "wishes": {"replace_unknown": True},
    "greedy": {"beam_size": 1},
    "penalties": {"coverage_penalty": 0.3, "brevity_penalty": 0.2, "no_repeat_ngram": 2, "length_penalty": "average"},
    "lengths": {"min_length": 3, "max_length_factor": 1.0, "max_length_offset": 2},
    "groups": {"groups": 2, "diversity": 0.5},
    "least risk": {"minimum_bayes_risk": "chrf"},
    "drawn": {"method": "sampling", "temperature": 0.7, "top_k": 20, "top_p": 0.9},
    "least risk of drawn": {"method": "sampling", "samples": 5, "minimum_bayes_risk": "bleu"},
}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two models and a language model, as torch runs them and as exports."""
    folder = tmp_path_factory.mktemp("both")
    made = {
        "first": untrained(attention="general", tied_embeddings="all", bidirectional=False),
        "second": untrained(attention="additive", input_feeding="luong", cell="gru"),
        "language": untrained("language_model", cell="layer_norm_lstm"),
    }
    folders = {}
    for name, engine in made.items():
        with torch.no_grad():
            engine.model.output_bias[END] += 2  # else few translations end before the longest length
        folders[name] = folder_of(engine, folder / name).path
        folders[f"{name}, exported"] = folder / f"{name}-exported"
        shutil.copytree(folders[name], folders[f"{name}, exported"])
        export_model(open_model(folders[f"{name}, exported"]))
    return folders


def assert_same(found: Sequence[Sequence[Translation]], expected: Sequence[Sequence[Translation]]) -> None:
    """The same translations, with the same numbers but for rounding; attention weights sum to one."""
    for ours, theirs in zip(found, expected, strict=True):
        assert [(one.text, one.tokens, one.finished) for one in ours] == [
            (one.text, one.tokens, one.finished) for one in theirs
        ]
        for one, other in zip(ours, theirs, strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-4)
            assert one.token_log_probs == pytest.approx(other.token_log_probs, abs=1e-4)
            assert (one.alignment, one.source_tokens) == (other.alignment, other.source_tokens)
            assert (one.attention_weights is None) == (other.attention_weights is None)
            if one.attention_weights is not None and other.attention_weights is not None:
                np.testing.assert_allclose(one.attention_weights, other.attention_weights, atol=1e-4)
                np.testing.assert_allclose(one.attention_weights.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("wish", REQUESTS.values(), ids=list(REQUESTS))
def test_every_search_is_the_same_on_the_export(wish: dict[str, Any], both: dict[str, Path]) -> None:
    drawn = wish.get("method") == "sampling"
    lines = [replace(line, required=()) if drawn else line for line in WISHES]
    count = 1 if wish.get("beam_size") == 1 else 3
    theirs = Translator.load(both["first"])
    ours = Translator.load(both["first, exported"], threads=1)
    assert isinstance(theirs.engine, TorchEngine) and isinstance(ours.engine, OnnxEngine)
    expected = theirs.translate_n_best(lines, count, attention_weights=True, **wish)
    found = ours.translate_n_best(lines, count, attention_weights=True, **wish)
    assert_same(found, expected)
    if not drawn and count == 3:
        assert any(len(translations) == 3 for translations in found)


def of_several(both: dict[str, Path], names: Sequence[str], language: str | None, **loading: Any) -> Any:
    """What several models make of the wishes, with or without a language model: translations, and scores of lines."""
    options: dict[str, Any] = {} if language is None else {"language_model_weight": 0.3}
    model = {} if language is None else {"language_model": both[language]}
    translator = Translator.load([both[name] for name in names], **loading, **model)
    batches: dict[str, Any] = {"batch_size": 2} if loading else {}  # with several threads, searched side by side
    found = translator.translate_n_best(WISHES, 3, attention_weights=True, **batches, **options)
    lines = [line.text for line in WISHES]
    return found, [[one] for one in translator.score(lines, lines[::-1], **options)]


@pytest.fixture(scope="module")
def several_in_torch(both: dict[str, Path]) -> dict[str | None, Any]:
    return {language: of_several(both, ("first", "second"), language) for language in (None, "language")}


@pytest.mark.parametrize("names", [("first", "second, exported"), ("first, exported", "second, exported")])
@pytest.mark.parametrize("language", [None, "language", "language, exported"])
def test_several_models_are_the_same_on_exports(
    names: tuple[str, ...], language: str | None, both: dict[str, Path], several_in_torch: dict[str | None, Any]
) -> None:
    """Members on torch, on ONNX Runtime and on both."""
    for found, expected in zip(
        of_several(both, names, language, threads=2), several_in_torch[language and "language"], strict=True
    ):
        assert_same(found, expected)


def test_the_script_holds_an_export_against_torch(
    both: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "source.txt"
    source.write_text("abc\nthe cat\n\ndog x\n")
    script = load_script("compare-engines")
    monkeypatch.setattr(sys, "argv", ["compare-engines", str(both["first, exported"]), "--source", str(source)])
    assert script.main() == 0
    assert "4 lines, 100.00 % with the same translation" in capsys.readouterr().out
    monkeypatch.setattr(script, "load_engine", lambda folder, threads: untrained(attention="dot"))
    assert script.main() == 1
    monkeypatch.setattr(sys, "argv", ["compare-engines", str(both["first"]), "--source", str(source)])
    with pytest.raises(UserError, match="must have its weights and an export"):
        script.main()


@pytest.mark.parametrize(("loss", "kept"), [(-100.0, None), (100.0, 128)])
def test_a_shortlist_that_costs_too_much_is_left_out(
    loss: float, kept: int | None, both: dict[str, Path], tmp_path: Path
) -> None:
    """The smallest that costs no more than it may is taken, and what it costs is written down."""
    shutil.copytree(both["first"], tmp_path / "model")
    for language in ("de", "en"):
        for split in ("train", "val"):
            (tmp_path / f"{split}.{language}").write_text("abc\nthe cat\ndog x\n")
    said: list[str] = []
    data = DataConfig(path=str(tmp_path), source="de", target="en")
    export_model(open_model(tmp_path / "model"), data=data, largest_loss=loss, say=said.append)
    folder = tmp_path / "model" / EXPORT
    shortlist = json.loads((folder / "export.json").read_text())["shortlist"]
    assert (folder / "shortlist.npz").exists() == (kept is not None)
    if kept is None:
        assert shortlist is None and "no shortlist: each costs too much" in said
    else:
        assert shortlist["frequent"] == kept and shortlist["loss"] <= loss and 1 <= shortlist["pieces"] <= SIZE
    engine = load_engine(open_model(tmp_path / "model"), threads=1)
    assert isinstance(engine, OnnxEngine) and (engine.shortlist is not None) == (kept is not None)


@pytest.mark.parametrize("method", ["beam", "sampling"])
def test_with_a_shortlist_a_line_does_not_depend_on_its_neighbours(
    method: str, both: dict[str, Path], tmp_path: Path
) -> None:
    """Some lines have all pieces, as certain ones are asked for; others beside them have their own list."""
    folder = tmp_path / "model"
    shutil.copytree(both["first, exported"], folder)
    frequent, lists = LexicalTable([[5, 6], [7, 8, 9]], [[15, 16], [17, 18, 19]], SIZE, SIZE).lists(3, 2, joint=True)
    write_shortlist(folder / EXPORT, frequent, lists)
    manifest = json.loads((folder / EXPORT / "export.json").read_text())
    write_manifest(folder / EXPORT, {**manifest, "shortlist": True})
    lines = [replace(line, required=()) if method == "sampling" else line for line in WISHES]
    settings: dict[str, Any] = {"method": method, "replace_unknown": True}
    short = Translator.load(folder, threads=1)
    assert isinstance(short.engine, OnnxEngine) and short.engine.shortlist is not None
    memory, state = short.engine.start(SOURCES)
    left, after = short.engine.compact(memory, short.engine.select(state, np.array([1])))
    assert left.own is not None and len(left.own) == 1
    k = len(frequent) + np.count_nonzero(left.own)  # all that the sentence may use
    best = short.engine.step_best(left, after, np.array([BEGIN]), k)[0]
    among_all = short.engine.step_best(memory, state, np.full(4, BEGIN), k)[0]
    assert best.tokens[0].tolist() == among_all.tokens[1].tolist()
    np.testing.assert_allclose(best.log_probs[0], among_all.log_probs[1], atol=1e-6)
    together = short.translate_n_best(lines, 2, **settings)
    assert short.translate_n_best(lines[::-1], 2, **settings)[::-1] == together
    for line, translations in zip(lines, together, strict=True):
        assert_same(short.translate_n_best([line], 2, **settings), [translations])
    whole = Translator.load(both["first, exported"], threads=1).translate_n_best(lines, 2, **settings)
    assert_same(together[1:3], whole[1:3])
    if method == "sampling":  # from the model's distribution, which a list would change
        assert_same(together, whole)
    else:
        assert [one[0].text for one in together] != [one[0].text for one in whole]
        assert "zz" in together[2][0].text


def test_an_export_of_other_weights_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = folder_of(untrained(), tmp_path / "model")
    export_model(folder)
    weights = folder.weights.read_bytes()
    folder.weights.write_bytes(weights)  # another time, the same weights
    Translator.load(folder.path)
    folder_of(untrained(cell="gru"), tmp_path / "other")
    shutil.copy(tmp_path / "other" / "model.safetensors", folder.weights)
    assert main(["translate", "--model", str(folder.path), "--input", "/dev/null"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(UserError, match=r"run `nmt export .*` again"):
        load_engine(folder)


def test_a_damaged_export_is_one_line(tmp_path: Path) -> None:
    folder = folder_of(untrained(), tmp_path / "model")
    export_model(folder)
    (folder.path / EXPORT / "best.onnx").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"is damaged: `onnx/best\.onnx`"):
        Translator.load(folder.path).translate(LINES)
    for written, message in {
        '{"format": 0}': "has format 0, but",
        "[]": "must be a JSON object",
        '{"format": 1}': "lacks",
    }.items():
        (folder.path / EXPORT / "export.json").write_text(written)
        with pytest.raises(UserError, match=message):
            Translator.load(folder.path)


def test_an_export_that_differs_from_torch_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of(untrained(), tmp_path / "model")
    monkeypatch.setattr("nmt.export.onnx_network.END", 2)
    with pytest.raises(TrainingError, match="differs from the model"):
        export_model(folder)
    assert not (folder.path / EXPORT).exists()


def test_an_export_in_bytes_that_loses_much_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of(untrained(), tmp_path / "model")
    export_model(folder, integers=True)
    before = (folder.path / EXPORT / "export.json").read_bytes()
    monkeypatch.setattr("nmt.export.onnx_graph.LARGEST", 1)  # weights of -1, 0 and 1 times a scale
    with pytest.raises(TrainingError, match=r"in 8-bit integers log-probabilities differ .* an export in fp32 will do"):
        export_model(folder, integers=True)
    assert (folder.path / EXPORT / "export.json").read_bytes() == before


def write_old_shortlist(path: Path) -> None:
    """Change the graph `shortlist` to what it was before December 2026: one output layer for all pieces of a batch."""
    model, make, value = onnx.load(path), onnx.helper.make_node, onnx.helper.make_tensor_value_info
    made = {output: node for node in model.graph.node for output in node.output}
    best = next(node for node in model.graph.node if node.op_type == "TopK")
    logits = made[made[best.input[0]].input[0]]
    assert logits.op_type == "Concat"
    changed = {
        logits.output[0]: [
            make("Gather", ["allowed", "sentences"], ["allowed_of_row"], axis=0),
            make("Add", [logits.input[0], "allowed_of_row"], [logits.output[0]]),
        ],
        "best_tokens": [make("Gather", ["candidates", best.output[1]], ["best_tokens"])],
    }
    for difference in (node for node in model.graph.node if node.op_type == "Sub"):
        if all(made[one].op_type == "Gather" for one in difference.input):
            for one in difference.input:
                made[one].input[1] = "always"
    nodes, needed = [], {one.name for one in model.graph.output}
    for node in reversed([new for old in model.graph.node for new in changed.get(old.output[0], [old])]):
        if needed.intersection(node.output):
            node.input[:] = [name.replace("frequent.", "output_") for name in node.input]
            nodes.append(node)
            needed.update(node.input)
    shapes: dict[str, tuple[int, list[str | int]]] = {
        "candidates": (onnx.TensorProto.INT64, ["candidates"]),
        "always": (onnx.TensorProto.INT64, [1]),
        "allowed": (FLOAT, ["sentences", "candidates"]),
        "output_bias": (FLOAT, ["candidates"]),
        "output_scale": (FLOAT, ["candidates"]),
    }
    weight = next(one for one in model.graph.input if one.name == "frequent.weight").type.tensor_type
    shapes["output_weight"] = weight.elem_type, [weight.shape.dim[0].dim_value, "candidates"]
    inputs = [one for one in model.graph.input if one.name in needed]
    inputs += [value(name, *shapes[name]) for name in shapes if name in needed]
    for field, content in ((model.graph.node, nodes[::-1]), (model.graph.input, inputs)):
        del field[:]
        field.extend(content)
    onnx.save(model, path)


def test_shortlist_leaves_out_what_is_unlikely(tmp_path: Path) -> None:
    """With a list for each sentence, the search is that of the whole vocabulary with all else impossible."""
    sources = [[5, 6], [7, 8, 9], [10]] * 20
    targets = [[15, 16], [17, 18, 19], [20]] * 20  # pairs that teach 10 -> 20, and 7, 8, 9 -> 17, 18, 19
    table = LexicalTable(sources, targets, SIZE, SIZE)
    frequent, lists = table.lists(4, 2, joint=True)
    shutil.rmtree(tmp_path)
    for integers, small in ((False, False), (True, False), (True, True)):
        path = tmp_path / f"{integers}-{small}"
        engine = exported(untrained(attention="general", tied_embeddings="all"), path, integers, small)
        assert engine.manifest["output"]["by_piece"] == small
        write_shortlist(path / EXPORT, frequent, lists)
        write_manifest(path / EXPORT, {**engine.manifest, "shortlist": True})
        short = OnnxEngine(path, threads=1)
        assert short.shortlist is not None
        allowed = short.shortlist.allowed(short.shortlist.own(SOURCES))
        assert allowed[:, frequent].all() and 10 < allowed.sum() / len(SOURCES) < 30
        memory, state = short.start(SOURCES)
        tokens = np.full(len(SOURCES), BEGIN)
        log_probs, _, _ = short.step(memory, state, tokens)
        assert (np.isfinite(log_probs) == allowed).all()
        np.testing.assert_allclose(np.exp(log_probs).sum(1), 1, atol=1e-5)
        best, _, _ = short.step_best(memory, state, tokens, 6)
        expected = best_pieces(log_probs, 6)
        np.testing.assert_allclose(best.log_probs, expected.log_probs, atol=1e-5)
        np.testing.assert_allclose(best.end, expected.end, atol=1e-5)
        assert (best.tokens == expected.tokens).all()
        together = beam_search(short, SOURCES, SearchSettings())
        alone = [beam_search(short, [source], SearchSettings())[0] for source in SOURCES]
        assert [one[0].tokens for one in together] == [one[0].tokens for one in alone]
        write_old_shortlist(path / EXPORT / "shortlist.onnx")
        write_manifest(path / EXPORT, {**engine.manifest, "shortlist": True})
        old = beam_search(OnnxEngine(path, threads=1), SOURCES, SearchSettings())
        assert [one[0].tokens for one in together] == [one[0].tokens for one in old]
        scores = [[one[0].score for one in found] for found in (together, old)]
        np.testing.assert_allclose(*scores, atol=1e-5)
        whole = short.without_shortlist()
        memory, state = whole.start(SOURCES)
        assert np.isfinite(whole.step(memory, state, tokens)[0]).all()


def test_lexical_table_learns_which_pieces_translate_which() -> None:
    """`b` always meets `y`; that `a` occurs in the same pairs is explained by `x`."""
    a, b, x, y = 4, 5, 6, 7
    table = LexicalTable([[a, b], [a], [a, b], [a]], [[x, y], [x], [y, x], [x]], 8, 8, iterations=20)
    probability = {(s, t): p for s, t, p in zip(table.source, table.target, table.probability, strict=True)}
    assert probability[a, x] > 0.9 and probability[b, y] > 0.9
    frequent, lists = table.lists(1, 1, joint=False)
    assert frequent.tolist() == [x]
    assert lists[b].tolist() == [y]


def test_the_table_of_a_large_text_is_estimated_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(1)
    sides = [[generator.integers(4, 40, size).tolist() for size in generator.integers(0, 9, 300)] for _ in range(2)]
    whole = LexicalTable(*sides, 40, 40)
    monkeypatch.setattr("nmt.translation.shortlist.BLOCK_CELLS", 500)
    blocks = LexicalTable(*sides, 40, 40)
    assert np.array_equal(whole.source, blocks.source) and np.array_equal(whole.target, blocks.target)
    np.testing.assert_allclose(blocks.probability, whole.probability, rtol=1e-9)


def test_operators_that_cannot_be_exported_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A cell whose equations use an operator that tracing does not know is refused, not exported wrongly."""
    engine = untrained(attention="none")
    cell = type(engine.model.decoder.layers.at(0).cell)
    step = cell.step
    monkeypatch.setattr(cell, "step", lambda *arguments: tuple(each.erfinv() for each in step(*arguments)))
    with pytest.raises(TrainingError, match=r"export does not know torch's operator `aten.erfinv.default`"):
        exported(engine, tmp_path)
    settings = ["--set", "model.attention=none", "--export", "fp32", "--output", str(tmp_path / "run")]
    assert main(["train", str(CONFIGS / "captions-de-en.toml"), *settings]) == 1
    assert "erfinv" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()  # it is known before the training


@pytest.mark.parametrize(
    "name", ["captions-de-en", "digits", "letters", "long-heartbeats", "multi30k-de-en", "scenes", "sums", "tags"]
)
def test_configurations_of_every_kind_can_be_exported(name: str) -> None:
    check_exportable(load_config(CONFIGS / f"{name}.toml"))


RESTORED: list[dict[str, Any]] = [
    {},
    {"tied_embeddings": "all", "input_normalization": "layer", "decoder_layers": 2},
    {"attention": "additive", "input_feeding": "bahdanau", "context_input": "all", "encoder_layers": 2},
    {"attention": "multi_head", "input_feeding": "luong", "connections": "highway", "encoder_layers": 2},
    {"attention": "none", "bidirectional": False, "cell": "peephole_lstm"},
    {"cell": "rnn_tanh", "attention": "general", "coverage": True},
    {"cell": "mut2"},
    {"cell": "gru_reset_before", "input_normalization": "layer"},
]


@pytest.mark.parametrize("integers", [False, True], ids=["fp32", "int8"])
@pytest.mark.parametrize("model", RESTORED, ids=lambda model: "-".join(map(str, model.values())))
def test_weights_are_read_back_from_an_export(model: dict[str, Any], integers: bool, tmp_path: Path) -> None:
    """A model with these weights is exported to the same bytes, but for what rounding adds to the scales."""
    exported(untrained(**model), tmp_path, integers, small=True)
    again = build_model(settings_of("translation", model), SIZE, SIZE, 5)
    restore_weights(again, ModelFolder(tmp_path, settings_of("translation", model), None, None))
    (tmp_path / "again").mkdir()
    write_graphs(again.eval(), tmp_path / "again", integers, True, "translation")
    for name in ("encoder", "best"):
        first, second = (onnx.load(folder / f"{name}.onnx").graph for folder in (tmp_path / EXPORT, tmp_path / "again"))
        for one, other in zip(first.initializer, second.initializer, strict=True):
            np.testing.assert_allclose(numpy_helper.to_array(one), numpy_helper.to_array(other), rtol=1e-6)


@pytest.mark.parametrize(
    ("model", "reason"),
    [({"cell": "gru"}, "cannot be read back"), ({"input_normalization": "batch"}, "cannot be read back")],
    ids=["gru", "batch"],
)
def test_weights_that_an_export_does_not_have_are_not_made_up(
    model: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    exported(untrained(**model), tmp_path)
    config = settings_of("translation", model)
    with pytest.raises(UserError, match=reason):
        restore_weights(build_model(config, SIZE, SIZE, 5), ModelFolder(tmp_path, config, None, None))


@pytest.mark.parametrize("name", ["weights.bin", "encoder.onnx"])
def test_a_damaged_export_is_not_read_back(name: str, tmp_path: Path) -> None:
    exported(untrained(), tmp_path)
    content = bytearray((tmp_path / EXPORT / name).read_bytes())
    content[len(content) // 2] ^= 8
    (tmp_path / EXPORT / name).write_bytes(content)
    config = settings_of("translation", {})
    with pytest.raises(UserError, match="it is not the file that was written with the others"):
        restore_weights(build_model(config, SIZE, SIZE, 5), ModelFolder(tmp_path, config, None, None))


def test_a_table_is_no_place_to_read_weights_from(tmp_path: Path) -> None:
    exported(untrained(), tmp_path, integers=True)
    config = settings_of("translation", {})
    with pytest.raises(UserError, match="cannot be read back"):
        restore_weights(build_model(config, SIZE, SIZE, 5), ModelFolder(tmp_path, config, None, None))


FUNCTIONS: dict[str, Callable[[torch.Tensor], Any]] = {
    **{name: getattr(torch, name) for name in ("abs", "exp", "sigmoid", "tanh", "relu", "neg", "reciprocal")},
    "log": lambda x: x.abs().log(),
    "sqrt": lambda x: x.abs().sqrt(),
    "maximum": lambda x: torch.maximum(x, -x),
    "minimum": lambda x: torch.minimum(x, -x),
    "power": lambda x: x**3,
    "clamp": lambda x: x.clamp(-0.1, 0.3),
    "clamp below": lambda x: x.clamp(min=0.1),
    "clamp above": lambda x: x.clamp(max=0.1),
    "leaky": lambda x: torch.nn.functional.leaky_relu(x, 0.2),
    "comparisons": lambda x: (x > 0.1) * x + (x >= 0) * 2 - (x < x.abs()) * 3 + (x <= -0.2) * x,
    "where": lambda x: torch.where(x > 0, x * 2, x.exp()),
    "where with numbers": lambda x: torch.where(x > 0, x * 2, 0.5) + torch.where(x > 0.1, -1.0, x),
    "sort": lambda x: x.sort(-1)[0],
    "sort descending": lambda x: x.sort(-1, descending=True)[0] * x,
    "cumulative sum": lambda x: x.cumsum(-1),
    "places": lambda x: torch.ones_like(x).cumsum(-1) + torch.zeros_like(x),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_operator_in_a_graph_computes_what_torch_does(name: str, tmp_path: Path) -> None:
    """Also for other sizes than those of the example from which it was recorded."""
    graph, store = Graph("one"), WeightStore("weights.bin")
    given = graph.input("x", FLOAT, ["rows", "columns"])
    graph.output("y", trace(graph, FUNCTIONS[name], (given, (2, 3))), FLOAT, ["rows", "columns"])
    session = onnxruntime.InferenceSession(graph.model(store), providers=["CPUExecutionProvider"])
    inputs = torch.randn(4, 7, generator=torch.Generator().manual_seed(1))
    (found,) = session.run(None, {"x": inputs.numpy()})
    np.testing.assert_allclose(found, FUNCTIONS[name](inputs).numpy(), rtol=1e-5, atol=1e-6)


class ClosestFirst(DotAttention):
    """Scores by distance instead of product, and weights in proportion to sigmoid(e)."""

    def compare(self, queries: torch.Tensor, keys: torch.Tensor, coverage: torch.Tensor | None) -> torch.Tensor:
        difference = queries.unsqueeze(-1) - keys.unsqueeze(2)
        return 1 - (difference * difference).mean(3)

    def normalize(self, scores: torch.Tensor) -> torch.Tensor:
        shares = scores.sigmoid()
        return shares / shares.sum(-1, keepdim=True)


@pytest.mark.parametrize("feeding", ["none", "bahdanau"])
def test_an_attention_with_equations_of_its_own_is_exported_with_them(feeding: str, tmp_path: Path) -> None:
    usual, own = (untrained(attention="dot", input_feeding=feeding) for _ in range(2))
    own.model.decoder.attention = ClosestFirst(12)
    engine, settings = exported(own, tmp_path), parse_plain({}, "test").decoding
    deviation = Expectation(own, SOURCES, settings).deviation(engine)
    assert deviation.log_prob < 1e-4 and deviation.n_best == 0
    assert Expectation(usual, SOURCES, settings).deviation(engine).log_prob > 0.02


def test_a_small_mistake_in_the_graphs_stops_an_export_in_bytes_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(untrained(), tmp_path / "model")
    right = Graph.lookup
    monkeypatch.setattr(Graph, "lookup", lambda graph, table, ids, factor: right(graph, table, ids, 1.01 * factor))
    with pytest.raises(TrainingError, match="the export differs from the model"):
        export_model(folder, integers=True)
