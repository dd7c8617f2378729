"""Sources that are sequences of vectors: reading, standardising, and the tasks that use them."""

from __future__ import annotations

import json
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
from plain import plain_model
from runs import quiet
from toys import toy_config

import nmt.inspect
from nmt import Predictor, cli
from nmt.config import Config, parse_config
from nmt.data import made_examples
from nmt.data.examples import make_label_batch, read_texts
from nmt.errors import UserError
from nmt.export.exporter import export_model
from nmt.inspection import context
from nmt.inspection.watching import open_subject
from nmt.model_folder import open_model
from nmt.network.encoder_model import EncoderModel
from nmt.scores.numbers import score_numbers
from nmt.tasks.tagging import TaggingTask
from nmt.tasks.task import make_vocabularies
from nmt.text.labels import pad_sources
from nmt.text.vectors import Scale, vectors_of
from nmt.training.loop import train

Arrays = list[np.ndarray]


def make_signals(count: int, seed: int) -> tuple[Arrays, list[str]]:
    """Noisy lines of two numbers on very different scales, and whether the first one rises."""
    draw = np.random.default_rng(seed)
    signals, labels = [], []
    for number in range(count):
        length, slope = int(draw.integers(3, 9)), (-1) ** number
        values = np.stack([slope * np.arange(length) * 100 + 5000, draw.normal(0, 0.01, length)], 1)
        signals.append((values + draw.normal(0, 0.001, values.shape)).astype(np.float32))
        labels.append("up" if slope > 0 else "down")
    return signals, labels


def write_signals(folder: Path, kind: str = "jsonl") -> dict[str, str]:
    """The files of each split."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for seed, (split, count) in enumerate({"train": 60, "validation": 12, "test": 16}.items()):
        signals, labels = make_signals(count, seed)
        path = folder / f"{split}.{kind}"
        if kind == "jsonl":
            rows = [{"signal": signal.tolist(), "label": label} for signal, label in zip(signals, labels, strict=True)]
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        elif kind == "parquet":
            pyarrow.parquet.write_table(pa.table({"signal": [one.tolist() for one in signals], "label": labels}), path)
        else:
            lengths = [len(signal) for signal in signals]
            np.savez(path, signal=np.concatenate(signals), signal_lengths=lengths, label=np.array(labels))
        files[split] = str(path)
    return files


def vector_config(folder: Path, files: dict[str, str], path: str = "json", **sections: dict[str, Any]) -> Config:
    """A configuration for such files."""
    data = {"path": path, "files": files, "source": "signal", "target": "label", "input": "vectors"}
    config = toy_config(folder, task="classification", data={**data, **sections.pop("data", {})}, **sections)  # type: ignore[arg-type]
    config.data.path = path
    return config


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return write_signals(tmp_path_factory.mktemp("data") / "signals")


@pytest.fixture(scope="module")
def run(files: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("runs") / "signals"
    train(vector_config(output.parent, files, training={"epochs": 6}), output, say=quiet)
    return output


# Reading


@pytest.mark.parametrize("kind", ["parquet", "npz"])
def test_every_format_gives_the_same_examples(kind: str, files: dict[str, str], tmp_path: Path) -> None:
    expected = read_texts(vector_config(tmp_path, files).data, "test", ("vectors", "value"))
    other = vector_config(tmp_path, write_signals(tmp_path / kind, kind), kind)
    found = read_texts(other.data, "test", other.side_kinds)
    assert found.targets == expected.targets
    for one, another in zip(found.sources, expected.sources, strict=True):
        assert np.array_equal(one, another)


def test_saved_data_sets_with_their_features(tmp_path: Path) -> None:
    """Features of fixed and of free size, and the names of class labels."""
    rows = np.arange(24, dtype=np.float32).reshape(2, 3, 4).tolist()
    for feature in (
        datasets.Array2D((3, 4), "float32"),
        datasets.Sequence(datasets.Sequence(datasets.Value("float32"))),
    ):
        features = datasets.Features({"signal": feature, "label": datasets.ClassLabel(names=["down", "up"])})
        dataset = datasets.Dataset.from_dict({"signal": rows, "label": [1, 0]}, features=features)
        folder = tmp_path / type(feature).__name__
        datasets.DatasetDict({"train": dataset}).save_to_disk(str(folder))
        data = {"path": str(folder), "source": "signal", "target": "label", "input": "vectors"}
        config = parse_config({"task": "classification", "data": data}, "test")
        found = read_texts(config.data, "train", config.side_kinds)
        assert found.targets == ["up", "down"]
        assert np.array_equal(found.sources, rows)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([[1, 2], [3]], "must have vectors of one size, but vector 1 has 2 numbers and vector 2 has 1"),
        ([[1, 2], [3, float("nan")]], "missing, infinite or not a number at position 2"),
        ([[1, 2], [3, 1e99]], "missing, infinite or not a number at position 2"),
        ([1, None], "missing, infinite or not a number at position 2"),
        (None, "missing, infinite or not a number"),
        ("one two", "must be numbers, or lists of numbers of one size, but is .*'one', 'two'.* instead"),
        ([[[1]]], "must be a list of vectors, but has 3 dimensions"),
        ({"bytes": b""}, "must be numbers"),
    ],
)
def test_what_is_no_sequence_of_vectors(value: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        vectors_of(value, "here", "vectors")


def test_flat_lists() -> None:
    assert vectors_of([1, 2, 3], "", "vectors").shape == (3, 1)
    assert vectors_of([1, 2, 3], "", "vector").shape == (1, 3)
    assert vectors_of("1, 2 3", "", "vectors").tolist() == [[1], [2], [3]]
    assert vectors_of(5, "", "vector").tolist() == [[5]]
    assert not len(vectors_of([], "", "vector"))


def test_vectors_of_another_size_name_the_example(files: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "odd.jsonl"
    path.write_text('{"signal": [[1, 2]], "label": "up"}\n{"signal": [[1, 2, 3]], "label": "up"}\n')
    config = vector_config(tmp_path, {**files, "train": str(path)})
    with pytest.raises(UserError, match=r"example 2: `signal` has vectors of 3 numbers, but .* have 2"):
        train(config, tmp_path / "run", say=quiet)


def test_damaged_npz_files(tmp_path: Path) -> None:
    config = vector_config(tmp_path, write_signals(tmp_path / "npz", "npz"), "npz")
    path = Path(str(config.data.files["train"]))
    whole = path.read_bytes()

    def message() -> str:
        with pytest.raises(UserError) as caught:
            read_texts(config.data, "train", config.side_kinds)
        return str(caught.value)

    for damaged in (whole[: len(whole) // 2], b"", whole[:100] + b"\xff" * 200 + whole[300:], b"PK\x03\x04"):
        path.write_bytes(damaged)
        assert message().startswith(f"`{path}` cannot be read as .npz: ")
    with zipfile.ZipFile(path, "w") as archive, archive.open("signal.npy", "w") as member:
        shape = {"descr": "<f8", "fortran_order": False, "shape": (10**13, 2)}
        np.lib.format.write_array_header_1_0(member, shape)  # type: ignore[arg-type]
    assert "cannot be read as .npz: Unable to allocate" in message()
    np.savez(path, signal=np.array([np.zeros((2, 2)), None], dtype=object), label=["a", "b"])
    assert "signal_lengths" in message().replace("NAME", "signal")
    np.savez(path, signal=np.zeros((3, 4, 2)), label=["a", "b"])
    assert "must have as many examples in each array, but has 3 in `signal` and 2 in `label`" in message()
    np.savez(path, signal=np.zeros((3, 4, 2)))
    assert "has no array `label`; its arrays are signal" in message()
    np.savez(path, signal=np.zeros((5, 2)), signal_lengths=[2, 2], label=["a", "b"])
    assert "add up to the 5 rows of `signal`" in message()


def test_standardised_training_vectors_have_mean_0_and_deviation_1() -> None:
    signals, _ = make_signals(30, 1)
    constant = [np.concatenate([signal, np.full((len(signal), 1), 3, np.float32)], 1) for signal in signals]
    scale = Scale.of(constant)
    scaled = np.concatenate([scale.standardized(signal, "") for signal in constant])
    assert np.allclose(scaled.mean(0), 0, atol=1e-3)
    assert np.allclose(scaled.std(0), [1, 1, 0], atol=1e-3)
    assert np.allclose(scale.restored(scale.standardized(constant[0], "")), constant[0], rtol=1e-5)
    assert Scale(scale.model).checksum == scale.checksum


# The network and a whole training


def test_batched_equals_single() -> None:
    torch.manual_seed(1)
    model = EncoderModel(plain_model(embedding_size=8, hidden_size=12), 2, 3, True, True).eval()
    signals, _ = make_signals(5, 1)
    together = model(*map(torch.from_numpy, pad_sources(signals)))
    for column, signal in enumerate(signals):
        alone = model(*map(torch.from_numpy, pad_sources([signal])))
        assert torch.allclose(together[:, column], alone[:, 0], rtol=1e-4, atol=1e-4)


def test_trained_evaluated_predicted_exported(
    run: Path, files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exported model predicts what torch predicts, from each kind of file, and from Python."""
    cli.main(["evaluate", str(run), "--report", str(tmp_path / "report")])
    assert "accuracy  100.00" in capsys.readouterr().out
    signals, labels = make_signals(16, 2)
    expected = Predictor.load(run).predict(signals)
    assert [found.label for found in expected] == labels
    export_model(open_model(run))
    exported = Predictor.load(run).predict([signal.tolist() for signal in signals])
    assert np.allclose([a.probability for a in exported], [b.probability for b in expected], atol=1e-4)
    for path in (files["test"], write_signals(tmp_path, "npz")["test"], write_signals(tmp_path, "parquet")["test"]):
        cli.main(["predict", str(run), "--input", path])
        assert [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()] == labels


def test_pictures_of_a_classifier_of_vectors(run: Path, files: dict[str, str]) -> None:
    """The output layer gives each example's context vector the label that the model predicts; what is no picture."""
    signals, labels = make_signals(16, 2)
    subject = open_subject(run, 1)
    found = context.context_vectors(subject, signals)
    with torch.no_grad():
        best = subject.model.output(torch.from_numpy(found)).argmax(-1)
    assert [subject.folder.target_vocabulary.names[label] for label in best] == labels
    points = nmt.inspect.context(run, count=5, threads=1).numbers["sentences"]
    assert [point["text"] for point in points] == [f"{row}: {label}" for row, label in enumerate(labels[:5], start=1)]
    gates = nmt.inspect.gates(run, source=files["test"], count=2, threads=1).numbers
    assert len(gates["sentence"]) == len(signals[0])
    assert [flow["group"] for flow in nmt.inspect.gradient_flow(run, signals[:3]).numbers["flows"]]
    with pytest.raises(UserError, match=r"vectors, which .* is; gradient-flow, gates, context are"):
        nmt.inspect.embeddings(run)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[[1, 2], [3, 4, 5]]", "line 1 must have vectors of one size"),
        ("[[1, 2, 3]]", "input example 1: a vector must have 2 numbers, as in the training data, but has 3"),
        ("[[1, NaN]]", "line 1 has a number that is missing, infinite or not a number at position 1"),
        ("up and down", "line 1 must be vectors as JSON"),
        ('{"text": 1}', "line 1 has no `signal`; its fields are text"),
        ("[]", "line 1 has no vectors"),
    ],
)
def test_bad_input_of_a_prediction(
    line: str, message: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "input.jsonl"
    path.write_text(line + "\n")
    assert cli.main(["predict", str(run), "--input", str(path)]) == 2
    assert message in capsys.readouterr().err


def test_what_excludes_vectors() -> None:
    with pytest.raises(UserError, match=r'`data.input` must be "text" for the task `translation`'):
        parse_config({"data": {"input": "vectors"}}, "test")
    with pytest.raises(UserError, match=r"`training.source_sampling` must be left out with `data.input = \"vectors\"`"):
        parse_config(
            {"task": "classification", "data": {"input": "vectors"}, "training": {"source_sampling": 0.2}}, "test"
        )


def test_a_damaged_scale_is_one_line(run: Path) -> None:
    path = open_model(run).path / "vectors.json"
    content = path.read_bytes()
    try:
        for damaged in (b"{}", content[:20], content.replace(b"deviation", b"nothing")):
            path.write_bytes(damaged)
            with pytest.raises(UserError, match=r"vectors.json` is damaged"):
                open_model(run)
        path.write_bytes(Scale.of([np.ones((2, 2), np.float32)]).model)
        with pytest.raises(UserError, match="is not the vocabulary that its weights were trained with"):
            open_model(run)
    finally:
        path.write_bytes(content)


# Built-in examples


def test_digits() -> None:
    pytest.importorskip("sklearn", reason="the extra `digits` is not installed")
    splits = made_examples.digits()
    assert {split: len(rows) for split, rows in splits.items()} == made_examples.DIGITS
    assert all(rows.shape == (8, 8) for rows, _ in splits["test"])
    assert {label for _, label in splits["test"]} == set("0123456789")
    assert splits["test"][0][0].tolist() != splits["train"][0][0].tolist()


def test_digits_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sklearn", None)
    with pytest.raises(UserError, match=r"`builtin:digits` needs scikit-learn: pip install .*\[digits\]"):
        made_examples.check("digits")


# Regression


def write_numbers(folder: Path, in_step: bool) -> dict[str, str]:
    """Signals of two numbers and their sums, of the whole signal or up to each position, and twice these."""
    folder.mkdir(parents=True, exist_ok=True)
    files, draw = {}, np.random.default_rng(1)
    for split, count in {"train": 80, "validation": 12, "test": 16}.items():
        rows = []
        for length in draw.integers(3, 9, count):
            signal = draw.normal(size=(length, 2)).round(3)
            sums = np.cumsum(signal.sum(1)) * 10 + 1000
            target = np.stack([sums, 2 * sums], 1)
            rows.append({"signal": signal.tolist(), "target": (target if in_step else target[-1]).tolist()})
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        files[split] = str(folder / f"{split}.jsonl")
    return files


def regression_config(folder: Path, in_step: bool, **training: Any) -> Config:
    """A regression of these numbers."""
    data = {"path": "json", "files": write_numbers(folder / "data", in_step), "source": "signal", "target": "target"}
    model = {"pooling": "none" if in_step else "last", "bidirectional": False}
    sections = {"model": model, "training": {"epochs": 12, **training}}
    config = toy_config(folder, task="regression", data={**data, "input": "vectors"}, **sections)  # type: ignore[arg-type]
    config.data.path = "json"
    return config


@pytest.mark.parametrize("in_step", [True, False])
def test_regression(in_step: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It learns, a resumed model predicts like the export, and the printed scores are those of the predictions."""
    config = regression_config(tmp_path, in_step, truncation=3 if in_step else 0)
    train(config, tmp_path / "run", say=quiet)
    folder = open_model(tmp_path / "run")
    assert len(folder.target_vocabulary) == 2
    texts = read_texts(config.data, "test", config.side_kinds)
    expected = Predictor.load(folder).predict(texts.sources)
    assert repr(expected[0]).startswith("Prediction(numbers=[[")
    assert "numbers" in repr(Predictor.load(folder))
    gold, found = np.concatenate(texts.targets), np.concatenate([one.numbers for one in expected])
    assert cli.main(["evaluate", str(tmp_path / "run")]) == 0
    printed = capsys.readouterr().out
    error = np.sqrt(((gold - found) ** 2).mean())
    assert f"RMSE      {error:.4g} (95 %" in printed
    r_squared = 1 - ((gold - found) ** 2).sum(0) / ((gold - gold.mean(0)) ** 2).sum(0)
    assert f"R squared {r_squared.mean():.4g} (95 %" in printed
    assert r_squared.mean() > 0.8
    assert "half of the square" in nmt.inspect.gradient_flow(folder.path, count=4, threads=1).numbers["about"]
    export_model(folder)
    for one, other in zip(Predictor.load(folder).predict(texts.sources), expected, strict=True):
        assert np.allclose(one.numbers, other.numbers, rtol=1e-3)
        assert len(one.numbers) == (len(texts.sources[0]) if in_step and one is expected[0] else len(one.numbers))
    assert cli.main(["predict", str(tmp_path / "run"), "--input", str(config.data.files["test"]), "--json"]) == 0
    rows = [json.loads(line)["numbers"] for line in capsys.readouterr().out.splitlines()]
    assert np.allclose(np.concatenate(rows), found, rtol=1e-3)


def test_a_stretch_continues_the_one_before() -> None:
    """In stretches the network computes what it computes at once, and no gradient passes from one to another."""
    torch.manual_seed(1)
    settings = plain_model(embedding_size=8, hidden_size=12, bidirectional=False, encoder_layers=2)
    settings.connections = "residual"
    model = EncoderModel(settings, 2, 1, False, True, True).eval()
    signals, _ = make_signals(4, 1)
    source, lengths = map(torch.from_numpy, pad_sources([signal / 1000 for signal in signals]))
    source.requires_grad_()
    parts, state = [], None
    for start in range(0, len(source), 3):
        readout, state = model.read_on(source[start : start + 3], lengths - start, state)
        parts.append(readout)
    whole = model(source, lengths)
    for column, length in enumerate(lengths.tolist()):
        assert torch.allclose(torch.cat(parts)[:length, column], whole[:length, column], atol=1e-5)
    (gradient,) = torch.autograd.grad(parts[1].sum(), source)
    assert gradient[:3].abs().max() == 0
    assert gradient[3:6].abs().max() > 0


def test_stretches_of_the_whole_length_change_no_training(tmp_path: Path) -> None:
    """Truncation beyond the longest input is none, and a shorter one gives other weights."""
    losses = []
    for truncation in (0, 8, 2):
        config = regression_config(tmp_path / str(truncation), True, truncation=truncation, epochs=1)
        train(config, tmp_path / str(truncation) / "run", say=quiet)
        records = (tmp_path / str(truncation) / "run" / "metrics.jsonl").read_text().splitlines()
        losses.append(json.loads(records[-1])["loss"])
    assert losses[0] == losses[1] != losses[2]


# Labels of vectors


def tagging_config(folder: Path, **training: Any) -> Config:
    """Whether each number of a signal is larger than the one before it; the labels are lists or texts."""
    folder.mkdir(parents=True, exist_ok=True)
    files, draw = {}, np.random.default_rng(1)
    for split, count in {"train": 120, "validation": 12, "test": 16}.items():
        rows = []
        for length in draw.integers(3, 9, count):
            signal = draw.normal(size=length).round(3)
            labels = ["up" if step > 0 else "down" for step in np.diff(signal, prepend=0)]
            rows.append({"signal": signal.tolist(), "labels": labels if length % 2 else " ".join(labels)})
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        files[split] = str(folder / f"{split}.jsonl")
    data = {"path": "json", "files": files, "source": "signal", "target": "labels", "input": "vectors"}
    sections = {"model": {"bidirectional": False}, "training": {"epochs": 12, **training}}
    config = toy_config(folder, task="tagging", data=data, **sections)  # type: ignore[arg-type]
    config.data.path = "json"
    return config


def test_tagging_of_vectors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It learns, with a cut gradient; scores, files, export and Python agree; pictures number the vectors."""
    config = tagging_config(tmp_path / "data", truncation=3)
    train(config, tmp_path / "run", say=quiet)
    folder = open_model(tmp_path / "run")
    texts = read_texts(config.data, "test", config.side_kinds)
    expected = Predictor.load(folder).predict(texts.sources)
    assert [len(found.labels) for found in expected] == [len(source) for source in texts.sources]
    right = np.mean(np.concatenate([
        np.array(found.labels) == target.split() for found, target in zip(expected, texts.targets, strict=True)
    ]))  # fmt: skip
    assert right > 0.85
    assert cli.main(["evaluate", str(tmp_path / "run"), "--report", str(tmp_path / "report")]) == 0
    assert f"accuracy  {100 * right:.2f}" in capsys.readouterr().out
    export_model(folder)
    for one, other in zip(Predictor.load(folder).predict(texts.sources), expected, strict=True):
        assert np.allclose(one.probabilities, other.probabilities, atol=1e-4)
    assert cli.main(["predict", str(tmp_path / "run"), "--input", str(config.data.files["test"]), "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["labels"] for row in rows] == [found.labels for found in expected]
    assert "words" not in rows[0]
    gates = nmt.inspect.gates(tmp_path / "run", count=2, threads=1).numbers
    assert len(gates["sentence"]) == len(texts.sources[0])
    (tmp_path / "data" / "train.jsonl").write_text('{"signal": [1, 2, 3], "labels": "up down"}\n')
    with pytest.raises(UserError, match=r"example 1 has 3 vectors, but 2 labels; each vector must have one label"):
        train(config, tmp_path / "other", say=quiet)


def test_heartbeats() -> None:
    """A label for each step; the waves have one order, and the first lead is highest in a QRS complex."""
    splits = made_examples.heartbeats(100, 5, 60)
    assert [len(rows) for rows in splits.values()] == [60, 30, 5]
    for leads, waves in splits["test"]:
        names = waves.split()
        assert leads.shape == (len(names), 2) == (100, 2)
        order = [name for name, before in zip(names, ["", *names], strict=False) if name not in ("rest", before)]
        assert all(after in {"P": "QRS", "QRS": "T", "T": ("P", "QRS")}[name] for name, after in pairwise(order))
        assert names[leads[:, 0].argmax()] == "QRS"
    assert any("T QRS" in " ".join(waves.replace("rest ", "").split()) for _, waves in splits["test"])


class Saved:
    """A tensor that is kept for the backward pass; counts the bytes of all that are kept at the same time."""

    now = most = 0

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor, self.size = tensor, tensor.nbytes
        Saved.now += self.size
        Saved.most = max(Saved.most, Saved.now)

    def __del__(self) -> None:
        Saved.now -= self.size


def test_truncation_bounds_memory(tmp_path: Path) -> None:
    """The bytes that the backward pass needs depend on the stretch and not on the length of the signal."""
    config = tagging_config(tmp_path)
    task = TaggingTask(config, make_vocabularies(config), torch.device("cpu"))
    task.prepare(quiet)
    most = {}
    for length, truncation in ((20, 0), (400, 0), (400, 20)):
        model = EncoderModel(plain_model(embedding_size=8, hidden_size=12, bidirectional=False), 1, 2, False, True)
        task.settings.truncation = truncation
        signal, labels = np.ones((length, 1), np.float32), np.ones(length, np.int64)
        batch = make_label_batch([signal], [np.arange(length)], [labels], np.arange(1), False)
        Saved.now = Saved.most = 0
        with torch.autograd.graph.saved_tensors_hooks(Saved, lambda saved: saved.tensor):
            task.backward(model, batch, tokens=length, seed=1, progress=0.0)
        most[length, truncation] = Saved.most
    assert most[400, 20] < 1.1 * most[20, 0]
    assert most[400, 0] > 10 * most[20, 0]


def test_what_a_regression_refuses(tmp_path: Path) -> None:
    """Numbers for another number of positions, and settings without a meaning."""
    config = regression_config(tmp_path / "one", False)
    config.model.pooling, config.data.input = "none", "text"
    with pytest.raises(UserError, match=r'`model.pooling = "none"` needs `data.input = "vectors"`'):
        train(config, tmp_path / "run", say=quiet)
    config.data.input = "vectors"
    with pytest.raises(UserError, match=r"example 1 has \d vectors, but numbers for 2 positions"):
        train(config, tmp_path / "run", say=quiet)
    config = regression_config(tmp_path / "two", True)
    config.model.pooling, config.training.truncation = "max", 5
    for pooling, bidirectional in (("max", False), ("none", True)):
        config.model.pooling, config.model.bidirectional = pooling, bidirectional
        with pytest.raises(UserError, match=r"`training.truncation` must be 0 unless .*, but is 5"):
            train(config, tmp_path / "run", say=quiet)
    config.model.pooling, config.training.truncation = "max", 0
    with pytest.raises(UserError, match=r"example 1: the target must be a number or a list of numbers"):
        train(config, tmp_path / "run", say=quiet)
    for settings, message in (
        ({"task": "classification", "model": {"pooling": "none"}}, "`model.pooling` must be max, mean, last or"),
        ({"training": {"class_weights": 0.5}}, "`training.class_weights` must be 0 for a regression"),
    ):
        with pytest.raises(UserError, match=message):
            parse_config({"task": "regression", **settings}, "test")
    with pytest.raises(UserError, match=r"`training.best_by` must be one of r_squared, loss"):
        config.kind.check_metric("accuracy")


def test_scores_of_numbers() -> None:
    gold = [np.array([[1.0], [2.0]]), np.array([[3.0]])]
    scores = score_numbers(gold, [np.array([[1.0], [2.0]]), np.array([[4.0]])])
    assert np.isclose(scores.scores["rmse"].value, np.sqrt(1 / 3))
    assert np.isclose(scores.scores["r_squared"].value, 1 - 1 / 2)
    assert score_numbers(gold, gold).metrics() == {"r_squared": 1.0, "rmse": 0.0}


@pytest.mark.parametrize("name", ["sums", "oscillators", "track"])
def test_built_in_numbers(name: str) -> None:
    """Each target follows from its source, but for noise of a known size."""
    splits = made_examples.MADE[name]()
    sources, targets = zip(*splits["test"], strict=True)
    if name == "sums":
        exact = [pairs[:, 0] @ pairs[:, 1] for pairs in sources]
        assert np.isclose(np.std(np.subtract(exact, np.ravel(targets))), made_examples.NOISE, rtol=0.1)
    elif name == "track":
        view, wheels = np.stack(sources), np.stack(targets)
        wanted = view[:, 1:, 0] - 0.5 * view[:, 1:, 1] - view[:, 1:, 2]
        apart = wheels[:, 1:] - 0.7 * wheels[:, :-1] - 0.3 * wanted
        noise = np.hypot(made_examples.NOISE * np.hypot(1, 0.7), 0.3 * made_examples.VIEW * 1.5)
        assert np.isclose(apart.std(), noise, rtol=0.05) and np.std(wheels) > 5 * noise
    else:
        still = np.abs(np.stack(targets)[:, 0] - 0.09 * np.stack(sources)[:, 0])
        assert still.mean() < 2 * made_examples.NOISE
