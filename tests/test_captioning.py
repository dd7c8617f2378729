"""Captioning: vectors are read, and a text is written about them."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from runs import assert_same_runs, quiet, send, stop_after
from toys import toy_config

import nmt.inspect
from nmt import Predictor, cli
from nmt.config import Config, parse_config
from nmt.data import made_examples
from nmt.data.examples import read_texts
from nmt.errors import TrainingError, UserError
from nmt.export.exporter import export_model
from nmt.model_folder import open_model
from nmt.network.torch_engine import load_engine
from nmt.tasks.captioning import CaptioningTask
from nmt.training.loop import train

WORDS = ("ab", "cd", "ef", "gh")


def write_features(folder: Path) -> dict[str, str]:
    """One to three vectors, each of which means a word, and these words."""
    folder.mkdir(parents=True, exist_ok=True)
    files, draw = {}, np.random.default_rng(1)
    for split, count in {"train": 160, "validation": 20, "test": 20}.items():
        rows = []
        for size in draw.integers(1, 4, count):
            words = draw.integers(0, 4, size)
            vectors = (np.eye(4)[words] * 10 + draw.normal(0, 0.1, (size, 4))).round(3).tolist()
            rows.append({"features": vectors if size > 1 else vectors[0], "text": " ".join(WORDS[w] for w in words)})
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        files[split] = str(folder / f"{split}.jsonl")
    return files


def caption_config(folder: Path, **training: object) -> Config:
    """A configuration for such data."""
    data = {"path": "json", "files": write_features(folder / "data"), "source": "features", "target": "text"}
    settings = {"epochs": 10, "best_by": "chrf", "target_word_dropout": 0.1, "average_decay": 0.9, **training}
    sections = {"data": {**data, "input": "vectors", "target_language": "en"}, "training": settings}
    config = toy_config(folder, task="captioning", model={"attention": "general"}, **sections)  # type: ignore[arg-type]
    config.data.path = "json"
    return config


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("captions")
    train(caption_config(folder), folder / "run", say=quiet)
    return folder / "run"


def test_it_learns_and_says_what_it_predicts(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The printed score is that of the captions, which are the same from a file, from Python and one by one."""
    folder = open_model(run)
    texts = read_texts(folder.config.data, "test", folder.config.side_kinds)
    predictor = Predictor.load(folder)
    captions = [found.label for found in predictor.predict(texts.sources)]
    assert sum(one == other for one, other in zip(captions, texts.targets, strict=True)) >= 12
    assert [predictor.predict([source])[0].label for source in texts.sources[:6]] == captions[:6]
    assert cli.main(["predict", str(run), "--input", str(folder.config.data.files["test"])]) == 0
    assert capsys.readouterr().out.splitlines() == captions
    assert cli.main(["evaluate", str(run)]) == 0
    assert "chrF2" in capsys.readouterr().out


@pytest.mark.parametrize("attention", ["general", "none"])
def test_an_export_writes_what_torch_writes(attention: str, run: Path, tmp_path: Path) -> None:
    """In fp32 and in 8 bits, with attention to the vectors and without, alone and without torch."""
    if attention == "none":
        config = caption_config(tmp_path, epochs=1)
        config.model.attention = "none"
        train(config, tmp_path / "run", say=quiet)
        run = tmp_path / "run"
    folder = shutil.copytree(open_model(run).path, tmp_path / "model")
    sources = read_texts(open_model(run).config.data, "test", ("vector", "text")).sources
    expected = Predictor.load(folder).predict(sources)
    for integers in (False, True):
        export_model(open_model(folder), integers=integers)
        (folder / "model.safetensors").rename(tmp_path / "weights")
        found = Predictor.load(folder).predict(sources)
        (tmp_path / "weights").rename(folder / "model.safetensors")
        if not integers:
            assert [one.label for one in found] == [one.label for one in expected]
        probabilities = [[one.probability for one in side] for side in (found, expected)]
        assert np.allclose(*probabilities, atol=0.1 if integers else 1e-4)
    (folder / "model.safetensors").unlink()
    program = "import sys, nmt\nprint(nmt.Predictor.load(sys.argv[1]).predict([[[10, 0, 0, 0]]])[0].label)\n"
    program += "assert 'torch' not in sys.modules"
    printed = subprocess.run(
        [sys.executable, "-c", program, str(folder)], capture_output=True, text=True, check=True
    ).stdout
    assert printed.strip() == Predictor.load(folder).predict([[[10, 0, 0, 0]]])[0].label


def test_pictures_of_a_captioning_model(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each weight belongs to a vector, the texts are the model's own, and the command shows what Python shows."""
    config = open_model(run).config
    sources = read_texts(config.data, "test", ("vector", "text")).sources[:5]
    expected = Predictor.load(run).predict(sources)
    attention = nmt.inspect.attention(run, sources).numbers["sentences"]
    for shown, found, source in zip(attention, expected, sources, strict=True):
        assert shown["translation"] == found.label
        assert shown["source"] == [str(place + 1) for place in range(len(source))]
        assert np.shape(shown["weights"]) == (len(shown["target"]), len(source))
        assert np.allclose(np.sum(shown["weights"], 1), 1, atol=1e-4)
    options = [part for source in sources for part in ("--sentence", json.dumps(source.tolist()))]
    assert cli.main(["inspect", "attention", str(run), *options, "--output", str(tmp_path / "out")]) == 0
    written = json.loads((tmp_path / "out" / "attention.json").read_text())
    assert [one["target"] for one in written["sentences"]] == [one["target"] for one in attention]
    gates = nmt.inspect.gates(run, sources[:1]).numbers
    assert "".join(gates["sentence"][1:]).strip() == expected[0].label
    gates = nmt.inspect.gates(run, layer="encoder-backward-1", source=config.data.files["test"], count=3).numbers
    assert [name.strip() for name in gates["sentence"]] == [str(place + 1) for place in range(len(sources[0]))]
    assert len(nmt.inspect.context(run, count=9).numbers["sentences"]) == 9
    assert nmt.inspect.gradient_flow(run, count=4).numbers["flows"][-1]["group"] == "decoder 1"
    with pytest.raises(
        UserError, match=r"argument `side` must be target, as .* reads vectors, which have no embeddings"
    ):
        nmt.inspect.embeddings(run, side="source")
    others = "is; gradient-flow, gates, context, attention, embeddings are"
    with pytest.raises(UserError, match=rf"`nmt inspect steps` is not for a captioning model .*, which .* {others}"):
        nmt.inspect.steps(run, "a")
    capsys.readouterr()
    assert cli.main(["inspect", "attention", str(run), "--sentence", "[1, 2", "--output", str(tmp_path / "no")]) == 2
    assert "must be vectors as JSON" in capsys.readouterr().err


def test_resumed_equals_uninterrupted(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = caption_config(run.parent)
    with monkeypatch.context() as patch:
        stop_after(patch, 13, send(signal.SIGTERM))
        with pytest.raises(TrainingError, match="stopped by SIGTERM"):
            train(config, tmp_path / "resumed", say=quiet)
    train(config, tmp_path / "resumed", resume=True, say=quiet)
    assert_same_runs(run, tmp_path / "resumed")


def test_validation_batches_hold_every_example_once(run: Path) -> None:
    folder = open_model(run)
    sides = folder.source_vocabulary, folder.target_vocabulary
    task = CaptioningTask(folder.config, sides, torch.device("cpu"))
    task.prepare(quiet)
    batches = list(task.validation_batches(4, 40))
    assert sorted(index for batch in batches for index in batch.indices) == list(range(20))
    assert all(len(batch.indices) <= 4 for batch in batches)
    counts = Counter(len(batch.indices) for batch in batches)
    assert counts[4] > 1
    model = load_engine(folder).model
    whole = task.validate(model, lambda: None).metrics["loss"]
    task.validation_batches = lambda sentences, tokens: iter(batches)  # type: ignore[method-assign]
    assert np.isclose(task.validate(model, lambda: None).metrics["loss"], whole, rtol=1e-4)


def test_what_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match=r'`data.input` must be "vectors" for captioning'):
        parse_config({"task": "captioning"}, "test")
    with pytest.raises(UserError, match=r"`training.r_drop` must be left out with `data.input"):
        parse_config({"task": "captioning", "data": {"input": "vectors"}, "training": {"r_drop": 1.0}}, "test")
    assert cli.main(["evaluate", str(run), "--report", "nowhere"]) == 2
    assert "--report shows labels" in capsys.readouterr().err
    with pytest.raises(UserError, match="a vector must have 4 numbers"):
        Predictor.load(run).predict([[1.0, 2.0]])
    with pytest.raises(UserError, match=r"`data.target` must be one of de, en, fr for `builtin:scenes`, but is `it`"):
        made_examples.check("scenes", "it")


def test_digits_in_words() -> None:
    pytest.importorskip("sklearn", reason="the extra `digits` is not installed")
    for language, words in made_examples.DIGIT_WORDS.items():
        for split, rows in made_examples.digit_words(language).items():
            same = zip(rows, made_examples.digits()[split], strict=True)
            assert all(image is other and words.split()[int(label)] == word for (image, word), (other, label) in same)
    with pytest.raises(UserError, match=r"must be one of de, en, fr for `builtin:digit_words`"):
        made_examples.check("digit_words", "it")


def test_scenes() -> None:
    """The vectors say what the text says, in every language, and no scene is in two splits."""
    splits = made_examples.scenes("en")
    texts = [text for rows in splits.values() for _, text in rows]
    assert len(set(texts)) == len(texts)
    for language in ("de", "fr"):
        other = made_examples.scenes(language)["test"]
        assert all(np.array_equal(one, two) for (one, _), (two, _) in zip(splits["test"], other, strict=True))
    words = {name: text.split() for name, text in made_examples.SCENES["en"].items()}
    for vectors, text in splits["test"]:
        in_order = vectors[vectors[:, 15].argsort()]
        parts = text.replace(" and ", ", ").split(", ")
        for vector, part in zip(in_order, parts, strict=True):
            number, color, noun = part.split()
            assert words["numbers"][int(vector[14].round())] == number
            assert words["colors"][vector[8:14].argmax()] == color
            assert noun in words["things"][vector[:8].argmax()].split("-")


@pytest.mark.parametrize(
    ("language", "thing", "count", "text"),
    [
        ("de", 0, 1, "ein roter Ball"), ("de", 2, 1, "eine rote Tasse"), ("de", 3, 1, "ein rotes Buch"),
        ("de", 3, 2, "zwei rote Bücher"), ("fr", 2, 1, "une tasse rouge"), ("fr", 2, 3, "trois tasses rouges"),
        ("en", 0, 4, "four red balls"),
    ],
)  # fmt: skip
def test_endings(language: str, thing: int, count: int, text: str) -> None:
    assert made_examples.describe_thing(language, thing, 0, count) == text
