"""Model folders: saved and loaded the same, and refused when something is wrong with them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from toys import toy_config, write_reversal

from nmt.errors import UserError
from nmt.model_folder import open_model, write_atomically
from nmt.search import SearchSettings, beam_search
from nmt.torch_engine import TorchEngine, find_device, load_engine
from nmt.training import train
from nmt.translation import Translator

LINES = ["a b c", "d", "h g f e d c", "", "a b c"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    config = toy_config(write_reversal(folder / "data"), model={"decoder_layers": 2}, training={"epochs": 3})
    train(config, folder / "run", say=lambda line: None)
    return folder / "run"


@pytest.fixture
def damaged(run: Path, tmp_path: Path) -> Path:
    shutil.copytree(run / "best", tmp_path / "model")
    return tmp_path / "model"


def test_run_folder_means_its_best_model(run: Path) -> None:
    assert open_model(run).path == run / "best"
    assert open_model(run / "last").path == run / "last"


def test_translations_do_not_depend_on_the_batch(run: Path) -> None:
    translator = Translator.load(run, threads=2)
    together = translator.translate(LINES)
    assert together[3].text == "" and together[0] == together[4]
    for line, translation in zip(LINES, together, strict=True):
        alone = translator.translate([line])[0]
        assert alone.text == translation.text
        assert alone.score == pytest.approx(translation.score, abs=1e-4)
    assert [t.text for t in translator.translate(LINES, batch_size=2)] == [t.text for t in together]


def test_search_score_is_the_models_score(run: Path) -> None:
    folder = open_model(run)
    engine = load_engine(folder)
    sources = folder.source_vocabulary.encode_batch([line for line in LINES if line])
    for beam in (1, 4):
        found = beam_search(engine, sources, SearchSettings(beam_size=beam, n_best=min(beam, 3)))
        for source, hypotheses in zip(sources, found, strict=True):
            for hypothesis in hypotheses:
                assert hypothesis.log_prob == pytest.approx(forced(engine, source, hypothesis.tokens), abs=1e-4)


def forced(engine: TorchEngine, source: list[int], target: list[int]) -> float:
    """Log-probability of a target by teacher forcing."""
    from nmt.vocabulary import BEGIN, END

    ids = torch.tensor([[*source, END]]).t()
    with torch.no_grad():
        _, negative = engine.model(
            ids, torch.tensor([len(ids)]), torch.tensor([[BEGIN, *target]]).t(), torch.tensor([[*target, END]]).t()
        )
    return -float(negative)


def test_fast_path_equals_plain_path(run: Path) -> None:
    folder = open_model(run)
    engine = load_engine(folder)

    class Plain:
        """The same engine without `step_best`."""

        start, step, select = engine.start, engine.step, engine.select

    sources = folder.source_vocabulary.encode_batch(["a b c", "h g f e", "c"])
    settings = SearchSettings(beam_size=3, n_best=3)
    fast, plain = beam_search(engine, sources, settings), beam_search(Plain(), sources, settings)
    assert [[h.tokens for h in hypotheses] for hypotheses in fast] == [[h.tokens for h in hs] for hs in plain]


@pytest.mark.parametrize("name", ["config.toml", "joint.spm", "model.safetensors"])
def test_missing_files(damaged: Path, name: str) -> None:
    (damaged / name).unlink()
    with pytest.raises(UserError, match=r"is not a model folder|is damaged: `.*` is missing"):
        Translator.load(damaged)


def test_damaged_files(damaged: Path) -> None:
    weights = (damaged / "model.safetensors").read_bytes()
    (damaged / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(UserError, match=r"is damaged: `model\.safetensors`"):
        Translator.load(damaged)
    (damaged / "model.safetensors").write_bytes(weights)
    (damaged / "joint.spm").write_bytes(b"no model")
    with pytest.raises(UserError, match="is not a SentencePiece model"):
        Translator.load(damaged)


def test_weights_of_another_model(damaged: Path) -> None:
    weights = load_file(damaged / "model.safetensors")
    weights["output_bias"] = torch.zeros(3)
    save_file(weights, damaged / "model.safetensors")
    with pytest.raises(UserError, match=r"the weights do not fit config.toml, `output_bias` is \(3,\) but must be"):
        Translator.load(damaged)


def test_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"is not a model folder: it must be a folder with config\.toml"):
        open_model(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is not a model folder"):
        open_model(tmp_path / "file")
    with pytest.raises(UserError, match=r"model `nowhere` does not exist"):
        open_model("nowhere")
    with pytest.raises(UserError, match=r"model `./a/b/c` does not exist"):
        open_model("./a/b/c")

    import huggingface_hub

    def unreachable(name: str) -> str:
        raise ConnectionError

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(UserError, match=r"`some/model` is neither a folder here nor to be had from the hub \(Conn"):
        open_model("some/model")


def test_hub_model(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name: str(run / "best"))
    assert open_model("some/model").path == run / "best"


def test_device() -> None:
    assert find_device("cpu").type == "cpu"
    with pytest.raises(UserError, match="--device must be one that torch has here"):
        find_device("abacus")


def test_atomic_writing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two" and list(tmp_path.iterdir()) == [path]
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "nowhere" / "file", b"")
