"""Model folders: saved and loaded the same, and refused when something is wrong with them."""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch
from plain import parse_plain
from safetensors.torch import load_file, save_file
from toys import toy_config, write_reversal

from nmt.config import Config
from nmt.errors import UserError
from nmt.export.exporter import export_model
from nmt.model_files import check_text
from nmt.model_folder import (
    CONFIDENCE,
    CONFIG,
    EXPORT,
    EXPORT_FORMAT,
    WEIGHTS,
    ModelFolder,
    model_card,
    open_model,
    open_models,
    vocabulary_files,
    weights_metadata,
    write_atomically,
    write_confidence,
    write_manifest,
    write_model,
)
from nmt.network.torch_engine import TorchEngine, find_device, load_engine
from nmt.scores import confidence
from nmt.scores.confidence import Confidence
from nmt.search.beam import SearchSettings, beam_search
from nmt.search.engine import Engine
from nmt.text.vocabulary import Vocabulary, learn_vocabulary
from nmt.training.loop import train
from nmt.translation.translator import Translator

LINES = ["a b c", "d", "h g f e d c", "", "a b c"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    config = toy_config(write_reversal(folder / "data"), model={"decoder_layers": 2}, training={"epochs": 3})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(confidence, "LEAST", 20)  # the validation pairs of the toy
        train(config, folder / "run", say=lambda line: None)
    return folder / "run"


@pytest.fixture
def damaged(run: Path, tmp_path: Path) -> Path:
    shutil.copytree(run / "best", tmp_path / "model")
    return tmp_path / "model"


def test_run_folder_means_its_best_model(run: Path) -> None:
    assert open_model(run).path == run / "best"
    assert open_model(run / "last").path == run / "last"


def test_training_calibrates_the_confidence_and_an_export_tells_what_torch_tells(run: Path, damaged: Path) -> None:
    folder = open_model(damaged)
    assert folder.confidence is not None and folder.confidence.sentences == 20
    assert open_model(run / "last").confidence is not None
    before = [one.confidence for one in Translator.load(damaged, threads=1).translate(LINES)]
    export_model(folder)
    after = [one.confidence for one in Translator.load(damaged, threads=1).translate(LINES)]
    assert None not in before and after == pytest.approx(before, abs=1e-3)
    (damaged / CONFIDENCE).unlink()
    assert Translator.load(damaged).translate(LINES)[0].confidence is None


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
    from nmt.text.vocabulary import BEGIN, END

    ids = torch.tensor([[*source, END]]).t()
    with torch.no_grad():
        _, negative = engine.model(
            ids, torch.tensor([len(ids)]), torch.tensor([[BEGIN, *target]]).t(), torch.tensor([[*target, END]]).t()
        )
    return -float(negative)


def test_fast_path_equals_plain_path(run: Path) -> None:
    folder = open_model(run)
    engine = load_engine(folder)

    class Plain(Engine):
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
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    with pytest.raises(UserError, match=r"model `runs/nowhere` does not exist"):
        open_model("runs/nowhere")

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


LANGUAGE_MODEL = parse_plain({"task": "language_model", "training": {"truncation": 8}}, "toy")
TRANSLATION = parse_plain({}, "toy")
SEPARATE = parse_plain({"vocabulary": {"joint": False}}, "toy")


@pytest.fixture(scope="module")
def vocabularies() -> list[Vocabulary]:
    """Two different vocabularies of the same size."""
    settings = toy_config(Path("data")).vocabulary
    return [learn_vocabulary([letters] * 5, settings, 16, "identity") for letters in ("a b c d e f", "g h i j k l")]


def write(folder: Path, config: Config, source: Vocabulary, target: Vocabulary | None = None) -> ModelFolder:
    """A model folder with a weight."""
    metadata = weights_metadata(config, source, target or source)
    content = safetensors.numpy.save({"weight": np.ones(3, np.float32)}, metadata)
    write_model(folder, config, source, target or source, content, model_card(config, {"perplexity": "2.50"}))
    return open_model(folder)


@pytest.mark.parametrize(
    ("config", "names"),
    [(TRANSLATION, ["joint.spm"]), (SEPARATE, ["source.spm", "target.spm"]), (LANGUAGE_MODEL, ["target.spm"])],
)
def test_vocabularies_are_written_and_found_again(
    tmp_path: Path, vocabularies: list[Vocabulary], config: Config, names: list[str]
) -> None:
    source, target = vocabularies if config is SEPARATE else [vocabularies[0]] * 2
    folder = write(tmp_path / "model", config, source, target)
    assert vocabulary_files(config) == names
    assert sorted(path.name for path in folder.path.glob("*.spm")) == names
    assert (folder.source_vocabulary.model, folder.target_vocabulary.model) == (source.model, target.model)
    assert folder.config == config


@pytest.mark.parametrize("config", [TRANSLATION, SEPARATE, LANGUAGE_MODEL])
def test_a_swapped_vocabulary_of_the_same_size_is_noticed(
    tmp_path: Path, vocabularies: list[Vocabulary], config: Config
) -> None:
    folder = write(tmp_path / "model", config, *vocabularies[: 2 if config is SEPARATE else 1])
    for name in vocabulary_files(config):
        before = (folder.path / name).read_bytes()
        (folder.path / name).write_bytes(vocabularies[before == vocabularies[0].model].model)
        with pytest.raises(
            UserError, match=f"is damaged: `{name}` is not the vocabulary that its weights were trained"
        ):
            open_model(folder.path)
        (folder.path / name).write_bytes(before)
    assert open_model(folder.path).config == config


@pytest.mark.parametrize("exported", [False, True])
def test_the_configuration_of_another_model_is_noticed(
    tmp_path: Path, vocabularies: list[Vocabulary], exported: bool
) -> None:
    """Its sizes are the same, so that only a checksum shows it; a configuration that was changed by hand has none."""
    config = replace(TRANSLATION, decoding=replace(TRANSLATION.decoding, beam_size=2, alpha=0.3))
    folder = write(tmp_path / "model", TRANSLATION, vocabularies[0]).path
    other = write(tmp_path / "other", config, vocabularies[0]).path
    if exported:
        for each in (folder, other):
            (each / EXPORT).mkdir()
            names = weights_metadata(TRANSLATION, vocabularies[0], vocabularies[0])
            values = {"task": "translation", "integers": False, "pieces": 16, "shortlist": None, "weights": {}}
            noted = {"vocabularies": names, CONFIG: check_text(each / CONFIG)}
            write_manifest(each / EXPORT, {"format": EXPORT_FORMAT, **values, **noted})
            (each / WEIGHTS).unlink()
    assert (open_model(folder).config, open_model(other).config) == (TRANSLATION, config)
    shutil.copy(other / CONFIG, folder)
    with pytest.raises(UserError, match=r"`config\.toml` is not the configuration that its weights were trained with"):
        open_model(folder)
    (folder / CONFIG).write_text((folder / CONFIG).read_text().partition("\n")[2])
    assert open_model(folder).config == config


def test_the_confidence_of_another_model_is_noticed(tmp_path: Path, vocabularies: list[Vocabulary]) -> None:
    known = Confidence(-2.0, 3.0, 1000, 0.7, 0.02)
    folders = []
    for size in (2, 3):
        config = replace(TRANSLATION, decoding=replace(TRANSLATION.decoding, beam_size=size))
        folders.append(write(tmp_path / f"beam{size}", config, vocabularies[0]).path)
        write_confidence(folders[-1], known)
        assert open_model(folders[-1]).confidence == known
    shutil.copy(folders[0] / CONFIDENCE, folders[1])
    with pytest.raises(UserError, match=r"`confidence\.json`: it was fitted to another model; delete it"):
        open_model(folders[1])


def test_no_file_is_replaced_before_all_are_written(
    tmp_path: Path, vocabularies: list[Vocabulary], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full when the last file is written: the whole old model is still there."""
    folder = write(tmp_path / "model", TRANSLATION, vocabularies[0]).path
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    sync, calls = os.fsync, iter(range(len(before)))

    def full(file: int) -> None:
        if next(calls) == len(before) - 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(file)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as error:
        write_model(folder, SEPARATE, vocabularies[0], vocabularies[0], before[WEIGHTS], "another")
    assert str(folder) in str(error.value.filename)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_weights_without_checksums_are_read(tmp_path: Path, vocabularies: list[Vocabulary]) -> None:
    """Folders of an earlier version have none."""
    content = safetensors.numpy.save({"weight": np.ones(3, np.float32)})
    write_model(tmp_path / "old", TRANSLATION, vocabularies[0], vocabularies[0], content, "")
    assert open_model(tmp_path / "old").config == TRANSLATION


def test_a_language_models_card_is_its_own() -> None:
    card = model_card(LANGUAGE_MODEL, {"validation perplexity per piece": "2.50"})
    assert "nmt sample THIS_FOLDER" in card
    assert "| validation perplexity per piece | 2.50 |" in card
    for word in ("translat", "encoder", "->"):
        assert word not in card
    assert "translate --model THIS_FOLDER" in model_card(TRANSLATION, {})


def test_models_that_translate_together(tmp_path: Path, vocabularies: list[Vocabulary]) -> None:
    first, second = (write(tmp_path / name, TRANSLATION, vocabularies[0]) for name in ("first", "second"))
    apart = write(tmp_path / "apart", SEPARATE, vocabularies[0])
    beside = write(tmp_path / "lm", LANGUAGE_MODEL, vocabularies[0])
    folders, language_model = open_models([first.path, str(second.path), apart.path], beside.path)
    assert [folder.path for folder in folders] == [first.path, second.path, apart.path]
    assert language_model is not None and language_model.path == beside.path
    assert open_models([first.path])[1] is None
    with pytest.raises(UserError, match="a model folder is needed"):
        open_models([])


def test_other_vocabularies_are_refused(tmp_path: Path, vocabularies: list[Vocabulary]) -> None:
    one, other = vocabularies

    def refused(names: list[Any], side: str, language_model: Any = None) -> None:
        with pytest.raises(UserError, match=f"must share the {side} vocabulary, but have different ones") as error:
            open_models(names, language_model)
        for name in [*names, *filter(None, [language_model])]:
            assert f"`{name}`" in str(error.value)

    first = write(tmp_path / "first", TRANSLATION, one).path
    refused([first, write(tmp_path / "second", TRANSLATION, other).path], "target")
    refused([first, write(tmp_path / "third", SEPARATE, other, one).path], "source")
    refused([first], "target", write(tmp_path / "lm", LANGUAGE_MODEL, other).path)
    # only the target side of a translation model with two vocabularies has to be the language model's
    two = write(tmp_path / "two", SEPARATE, one, other).path
    assert open_models([two], tmp_path / "lm")[0][0].path == two


def test_tasks_are_not_confused(tmp_path: Path, vocabularies: list[Vocabulary]) -> None:
    translation = write(tmp_path / "translation", TRANSLATION, vocabularies[0]).path
    beside = write(tmp_path / "lm", LANGUAGE_MODEL, vocabularies[0]).path
    with pytest.raises(UserError, match=r"lm` is a language model, which cannot translate; .* as --language-model"):
        open_models([translation, beside])
    with pytest.raises(UserError, match=r"lm` is a language model, which cannot translate"):
        Translator.load(beside)
    with pytest.raises(UserError, match=r"--language-model `.*translation` is a translation model; give a language"):
        open_models([translation], translation)
