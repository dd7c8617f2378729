"""Tasks whose models predict labels: data, network, scores, training, commands, and a task of another package."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from plain import plain_model
from runs import assert_same_runs, quiet, send, stop_after
from toys import toy_config

from nmt import Predictor, cli
from nmt.config import Config, parse_config, tasks
from nmt.config.tasks import ENCODER, TaskKind, register
from nmt.data.examples import LabelBatcher, Texts, read_texts
from nmt.data.made_examples import MADE
from nmt.errors import TrainingError, UserError
from nmt.export.exporter import export_model
from nmt.model_folder import open_model
from nmt.network.encoder_model import EncoderModel, Pooling
from nmt.scores.labels import entities, score_entities, score_labels
from nmt.tasks.classification import ClassificationTask
from nmt.tasks.task import make_vocabularies
from nmt.text.conll import iterate_conll
from nmt.text.labels import Labels, pad_sources
from nmt.training.loop import train

EVERYTHING: dict[str, dict[str, Any]] = {
    "model": {"dropout": 0.2, "output_dropout": 0.2, "pooling": "attention", "encoder_layers": 2},
    "training": {
        "average_decay": 0.9, "source_sampling": 0.3, "source_word_dropout": 0.2, "class_weights": 0.5,
        "accumulation": 2, "warmup": 3, "validation_interval": 3, "batch_size": 8, "label_smoothing": 0.1,
    },
}  # fmt: skip
"""Every source of chance and of state at once."""


def write_examples(folder: Path, count: int = 80) -> Path:
    """Lines of letters, and whether there are more a's than b's; the labels are unequally frequent."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(1)
    for split, size in {"train": count, "validation": 20, "test": 30}.items():
        lines = [" ".join(draw.choices("abc", k=draw.randint(1, 7))) for _ in range(size)]
        rows = [{"text": line, "label": "more" if line.count("a") > line.count("b") else "less"} for line in lines]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def example_config(folder: Path, task: str = "classification", **sections: dict[str, Any]) -> Config:
    """A configuration for such data."""
    files = {split: str(folder / f"{split}.jsonl") for split in ("train", "validation", "test")}
    data = {"path": "json", "files": files, "source": "text", "target": "label", **sections.pop("data", {})}
    config = toy_config(folder, task=task, data=data, **sections)  # type: ignore[arg-type]
    config.data.path = "json"
    return config


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_examples(tmp_path_factory.mktemp("data") / "examples")


@pytest.fixture(scope="module")
def run(examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("runs") / "whole"
    train(example_config(examples, **EVERYTHING), output, say=quiet)
    return output


@pytest.fixture(scope="module")
def tags(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tags(tmp_path_factory.mktemp("data") / "tags")


@pytest.fixture(scope="module")
def tagger(tags: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("runs") / "tagger"
    train(tagging_config(tags), output, say=quiet)
    return output


# Training


def test_resumed_equals_uninterrupted(
    examples: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = example_config(examples, **EVERYTHING)
    with monkeypatch.context() as patch:
        stop_after(patch, 4, send(signal.SIGTERM))
        with pytest.raises(TrainingError, match="stopped by SIGTERM after update 4"):
            train(config, tmp_path / "resumed", say=quiet)
    train(config, tmp_path / "resumed", resume=True, say=quiet)
    assert_same_runs(run, tmp_path / "resumed")


def test_it_learns(examples: Path, tmp_path: Path) -> None:
    said: list[str] = []
    train(example_config(examples, training={"epochs": 12}), tmp_path / "run", say=said.append)
    assert "training data: 80 rows read, 80 kept (0 empty), 2 labels" in said
    assert float(said[-1].split("best accuracy ")[1].split()[0]) >= 80


def test_class_weights(examples: Path) -> None:
    """The weighted mean of the weights is 1; at 1 all labels have the same share of the loss."""
    for power in (0.0, 0.5, 1.0):
        config = example_config(examples, training={"class_weights": power})
        task = ClassificationTask(config, make_vocabularies(config), torch.device("cpu"))
        task.prepare(quiet)
        counts = np.bincount(np.concatenate(task.corpus.labels))
        shares = counts / counts.sum() * task.label_weights.numpy()
        assert np.isclose(shares.sum(), 1)
        assert np.allclose(task.label_weights, 1) == (power == 0)
        assert np.allclose(shares, shares[0]) == (power == 1)


def test_validation_batches_hold_every_example_once(examples: Path) -> None:
    config = example_config(examples)
    task = ClassificationTask(config, make_vocabularies(config), torch.device("cpu"))
    task.prepare(quiet)
    batcher = LabelBatcher(task.corpus, task.source_vocabulary, config)
    batches = list(batcher.in_order(40))
    assert sorted(index for batch in batches for index in batch.indices) == list(range(80))
    assert all(batch.source.numel() <= 40 or len(batch.indices) == 1 for batch in batches)


# The network


@pytest.mark.parametrize("pooling", ["max", "mean", "last", "attention"])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_batched_equals_single(pooling: Any, bidirectional: bool) -> None:
    torch.manual_seed(1)
    settings = plain_model(embedding_size=8, hidden_size=12, bidirectional=bidirectional, pooling=pooling)
    model = EncoderModel(settings, 20, 3, True).eval()
    sources = [[5, 6, 7], [8], [9, 10, 11, 12, 13, 14]]
    together = model(*map(torch.from_numpy, pad_sources(sources)))
    for column, ids in enumerate(sources):
        alone = model(*map(torch.from_numpy, pad_sources([ids])))
        assert torch.allclose(together[:, column], alone[:, 0], atol=1e-6)


def test_pooling_is_as_its_equations() -> None:
    torch.manual_seed(1)
    states, last = torch.randn(4, 2, 6), torch.randn(2, 6)
    real = torch.tensor([[1, 1], [1, 1], [1, 0], [1, 0]], dtype=torch.bool)  # lengths 4 and 2
    cut = [states[:4, 0], states[:2, 1]]
    pooled = {kind: Pooling(kind, 6)(states, real, last) for kind in ("last", "mean", "max")}  # type: ignore[arg-type]
    assert torch.equal(pooled["last"], last)
    assert torch.allclose(pooled["mean"], torch.stack([each.mean(0) for each in cut]))
    assert torch.equal(pooled["max"], torch.stack([each.amax(0) for each in cut]))
    attention = Pooling("attention", 6)
    assert attention.hidden is not None and attention.score is not None
    weights = [torch.softmax(attention.score(torch.tanh(attention.hidden(each))), 0) for each in cut]
    expected = torch.stack([(a * each).sum(0) for a, each in zip(weights, cut, strict=True)])
    assert torch.allclose(attention(states, real, last), expected, atol=1e-6)


# Prediction, evaluation, export


def test_predict_equals_evaluate(examples: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [json.loads(line) for line in (examples / "test.jsonl").read_text().splitlines()]
    (tmp_path / "lines.txt").write_text("".join(f"{row['text']}\n" for row in rows) + "\n")
    assert cli.main(["predict", str(run), "--input", str(tmp_path / "lines.txt")]) == 0
    lines = capsys.readouterr().out.split("\n")
    assert len(lines) == len(rows) + 2 and lines[-2] == ""  # a blank line stays blank
    labels = [line.split("\t")[0] for line in lines[:-2]]
    right = sum(label == row["label"] for label, row in zip(labels, rows, strict=True))
    report = tmp_path / "report"
    assert cli.main(["evaluate", str(run), "--report", str(report)]) == 0
    assert f"accuracy  {100 * right / len(rows):.2f} (95 %: " in capsys.readouterr().out
    written = json.loads((report / "report.json").read_text())
    assert [example["predicted"] for example in written["examples"]] == labels
    assert sum(map(sum, written["confusion"])) == len(rows)
    assert "Confusion matrix" in (report / "report.md").read_text()
    assert cli.main(["predict", str(run), "--json", "--input", str(tmp_path / "lines.txt")]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one.get("label") for one in found] == [*labels, None]
    assert np.isclose(sum(found[0]["probabilities"].values()), 1, atol=1e-5)


def test_an_export_predicts_the_same_without_torch(examples: Path, run: Path) -> None:
    texts = read_texts(example_config(examples).data, "test").sources
    folder = open_model(run)
    before = [found.probabilities for found in Predictor.load(folder).predict(texts)]
    export_model(folder)
    after = Predictor.load(run).predict(texts)
    assert np.allclose(before, [found.probabilities for found in after], atol=1e-4)
    code = "import sys, nmt; print(nmt.Predictor.load(sys.argv[1]).predict(['a b'])[0].label, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, str(run)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [Predictor.load(run).predict(["a b"])[0].label, "False"]


def test_scores_are_as_defined() -> None:
    rng = np.random.default_rng(1)
    gold, predicted = rng.integers(0, 4, 200), rng.integers(0, 4, 200)
    predicted[:100] = gold[:100]
    found = score_labels(gold, predicted, ["a", "b", "c", "d", "never"])
    of_labels = []
    for label in range(4):
        right = int(((gold == label) & (predicted == label)).sum())
        precision, recall = right / (predicted == label).sum(), right / (gold == label).sum()
        of_labels.append(2 * precision * recall / (precision + recall))
        for other in range(4):
            assert found.confusion[label, other] == ((gold == label) & (predicted == other)).sum()
    assert np.isclose(found.scores["accuracy"].value, 100 * (gold == predicted).mean())
    assert np.isclose(found.scores["macro_f1"].value, 100 * np.mean(of_labels))
    for score in found.scores.values():
        assert 3 < score.value - score.low < 10 and 3 < score.high - score.value < 10
    grouped = score_labels(gold, predicted, ["a", "b", "c", "d"], examples=np.arange(200) // 20)
    assert grouped.scores["accuracy"].value == found.scores["accuracy"].value
    assert grouped.scores["accuracy"].low < found.scores["accuracy"].low  # mistakes come in groups


@pytest.mark.parametrize("what", ["gates", "gradient-flow", "embeddings"])
def test_inspection(what: str, run: Path, tagger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib", reason="the pictures of `nmt inspect` need the extra `report`")
    for model in (run, tagger):
        output = tmp_path / f"{model.name}-{what}"
        assert cli.main(["inspect", what, str(model), "--output", str(output)]) == 0
        assert (output / f"{what}.html").exists()
    assert cli.main(["inspect", "attention", str(run), "--output", str(tmp_path / "no")]) == 2
    assert "`nmt inspect attention` is not for a classification model" in capsys.readouterr().err


# Data


def test_numbers_and_names_of_labels(tmp_path: Path) -> None:
    """Whole numbers are labels in JSON, and the names of a `datasets` column are used."""
    (tmp_path / "train.jsonl").write_text(
        '{"text": "a", "label": 1}\n{"text": "b", "label": 0}\n{"text": "", "label": 0}\n'
    )
    config = example_config(tmp_path)
    texts = read_texts(config.data, "train")
    assert (texts.sources, texts.targets, texts.empty) == (["a", "b"], ["1", "0"], 1)
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["bad", "good"])}
    )
    rows = {"text": ["x", "y"], "label": [1, 0]}
    datasets.DatasetDict({"train": datasets.Dataset.from_dict(rows, features)}).save_to_disk(str(tmp_path / "saved"))
    config.data.path, config.data.files = str(tmp_path / "saved"), {}
    assert read_texts(config.data, "train").targets == ["good", "bad"]


@pytest.mark.parametrize("name", ["names", "reviews"])
def test_built_in_examples(name: str) -> None:
    splits = {split: dict(rows) for split, rows in MADE[name]().items()}
    assert len(splits["test"]) == len(splits["validation"]) == 1000
    assert len({text for rows in splits.values() for text in rows}) == sum(map(len, splits.values()))
    for rows in splits.values():
        counts = np.unique(list(rows.values()), return_counts=True)[1]
        assert counts.min() > 0.6 * len(rows) / len(counts)


def test_mistakes_in_the_data(examples: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"2 to 100,000 different labels, but have 1 \(`x`\); `data.target` names"):
        Labels.of(["x", "x"])
    config = example_config(examples)
    strange = tmp_path / "strange.jsonl"
    strange.write_text('{"text": "a", "label": "neither"}\n')
    config.data.files["validation"] = str(strange)
    with pytest.raises(UserError, match=r"strange.jsonl`: the model has no label `neither`; its labels are more, less"):
        train(config, tmp_path / "run", say=quiet)
    strange.write_text('{"text": " ", "label": "more"}\n')
    with pytest.raises(UserError, match="must hold texts with labels, but has 1 rows without and none with"):
        train(config, tmp_path / "run", say=quiet)


def test_long_texts_are_cut_and_counted(examples: Path, tmp_path: Path) -> None:
    said: list[str] = []
    config = example_config(examples, data={"max_length": 3}, training={"epochs": 1})
    train(config, tmp_path / "run", say=said.append)
    assert any("train texts have more than 3 pieces, of which only the first 3 are read" in line for line in said)
    predictor = Predictor.load(tmp_path / "run")
    short, long = predictor.predict(["a b", "a b " + "c a " * 20])
    assert len(short.text) < len(long.text)
    assert predictor.predict(["a b c a"])[0].probability == predictor.predict(["a b c a a b b"])[0].probability


# Tagging


def write_tags(folder: Path) -> Path:
    """Words of letters, each tagged with its first letter and whether the word before it began with the same."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(2)
    for split, size in {"train": 60, "validation": 15, "test": 20}.items():
        rows = []
        for _ in range(size):
            words = ["".join(draw.choices("ab", k=draw.randint(1, 4))) for _ in range(draw.randint(1, 6))]
            tags = [f"{'I' if i and words[i - 1][0] == word[0] else 'B'}-{word[0]}" for i, word in enumerate(words)]
            rows.append({"text": words, "label": tags})
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def tagging_config(folder: Path) -> Config:
    settings = {"epochs": 12, "batch_size": 8, "source_word_dropout": 0.1, "validation_interval": 7}
    return example_config(folder, "tagging", training=settings)


def test_a_tagger_resumes_predicts_and_is_exported(
    tags: Path, tagger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tagging_config(tags)
    with monkeypatch.context() as patch:
        stop_after(patch, 5, send(signal.SIGTERM))
        with pytest.raises(TrainingError):
            train(config, tmp_path / "resumed", say=quiet)
    train(config, tmp_path / "resumed", resume=True, say=quiet)
    assert_same_runs(tagger, tmp_path / "resumed")

    predictor = Predictor.load(tagger)
    texts = read_texts(config.data, "test")
    together = predictor.predict(texts.sources)
    for text, found in zip(texts.sources, together, strict=True):
        (alone,) = predictor.predict([text])
        assert alone.units == found.units == text.split()
        assert alone.labels == found.labels
        assert np.allclose(alone.probabilities, found.probabilities, atol=1e-5)
    right = sum(a == b for gold, found in zip(texts.targets, together, strict=True)
                for a, b in zip(gold.split(), found.labels, strict=True))  # fmt: skip
    assert cli.main(["evaluate", str(tagger)]) == 0
    output = capsys.readouterr().out
    words = sum(len(text.split()) for text in texts.sources)
    assert f"accuracy  {100 * right / words:.2f} (95 %: " in output and "entity F1 " in output
    assert right / words > 0.7

    export_model(open_model(tagger))
    exported = Predictor.load(tagger).predict(texts.sources)
    for one, other in zip(exported, together, strict=True):
        assert np.allclose(one.probabilities, other.probabilities, atol=1e-4)
    (tmp_path / "lines.txt").write_text("ab  b\n\n")
    assert cli.main(["predict", str(tagger), "--input", str(tmp_path / "lines.txt")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [len(line.split()) for line in lines] == [2, 0]


def test_words_without_a_label_are_refused(tags: Path, tmp_path: Path) -> None:
    config = example_config(tags, "tagging")
    config.data.files["validation"] = str(tmp_path / "odd.jsonl")
    (tmp_path / "odd.jsonl").write_text('{"text": "a b c", "label": "B-a B-b"}\n')
    with pytest.raises(UserError, match="`a b c` has 3 words, but 2 labels; each word must have one label"):
        train(config, tmp_path / "run", say=quiet)


def test_entities() -> None:
    """As the evaluation of CoNLL 2003 counts them."""
    for labels, expected in (
        ("O B-PER I-PER O B-LOC", {("PER", 1, 3), ("LOC", 4, 5)}),
        ("I-PER I-PER I-LOC", {("PER", 0, 2), ("LOC", 2, 3)}),
        ("B-PER B-PER", {("PER", 0, 1), ("PER", 1, 2)}),
        ("S-LOC B-PER E-PER O E-PER", {("LOC", 0, 1), ("PER", 1, 3), ("PER", 4, 5)}),
        ("O O", set()),
    ):
        assert entities(labels.split()) == expected
    gold, predicted = [["B-PER", "I-PER"], ["B-LOC"]], [["B-PER", "O"], ["B-LOC"]]
    assert np.isclose(score_entities(gold, predicted).value, 50)  # 1 of 2, and 1 of 2


CONLLU = """\
# text = Don't go.
1-2\tDon't\t_\t_
1\tDo\tdo\tAUX
2\tn't\tnot\tPART
3\tgo\tgo\tVERB

1\t10 000\t10000\tNUM
"""


def test_files_of_columns(tmp_path: Path) -> None:
    file = tmp_path / "x.conllu"
    file.write_text(CONLLU)
    assert list(iterate_conll(file, "form", "upos")) == [("Do n't go", "AUX PART VERB"), ("10_000", "NUM")]
    file.write_text("-DOCSTART- -X- O\n\nEU NNP B-ORG\nrejects VBZ O\n\n# SYM O\n")
    assert list(iterate_conll(file, "1", "-1")) == [("EU rejects", "B-ORG O"), ("#", "O")]
    with pytest.raises(UserError, match=r"line 1 has 3 columns, but `data.source` is `1` and `data.target` `4`"):
        list(iterate_conll(file, "1", "4"))
    with pytest.raises(UserError, match=r"must be columns of CoNLL-U .* but one is `words` instead"):
        list(iterate_conll(file, "words", "tags"))
    file.write_text(CONLLU)
    config = parse_config({"task": "tagging", "data": {
        "path": "conll", "files": {"train": str(file)}, "source": "form", "target": "upos"}}, "here")  # fmt: skip
    assert read_texts(config.data, "train").sources == ["Do n't go", "10_000"]


# Configurations


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"task": "clasification"},
            "`task` must be one of captioning.*, but is 'clasification' instead \\(did you",
        ),
        ({"task": "classification", "model": {"attention": "dot"}}, "`model.attention` must be left out for the task"),
    ],
)
def test_settings_of_other_tasks_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_config(values, "here")


def test_scores_of_other_tasks_are_refused(examples: Path, tmp_path: Path) -> None:
    config = example_config(examples, training={"best_by": "bleu"})
    with pytest.raises(
        UserError, match=r"`training.best_by` must be one of accuracy, macro_f1, loss for the task `clas"
    ):
        train(config, tmp_path / "run", say=quiet)


def test_a_model_of_labels_is_told_from_others(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command, message in (
        (["translate", "--model", str(run)], "is a classification model, which cannot translate"),
        (["evaluate", str(run), "--beam-size", "2"], "--beam-size is for translations, but `"),
        (["predict", "de-en"], "is a translation model, which predicts no labels; use `translate`"),
    ):
        assert cli.main(command) == 2
        assert message in capsys.readouterr().err


# A task of another package


class LongestTask(ClassificationTask):
    """Whether a line has more than three words: the labels follow from the text."""

    def represent(self, texts: Texts, split: str, say: Any) -> Any:
        texts.targets = ["more" if len(text.split()) > 3 else "less" for text in texts.sources]
        return super().represent(texts, split, say)


KIND = TaskKind(
    "longest", "counting model", LongestTask, ENCODER, "pieces", "label", {"macro_f1": "macro F1"}, "nmt predict MODEL"
)


@pytest.fixture
def unregistered(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(tasks, "_KINDS", dict(tasks._KINDS))


@pytest.mark.parametrize("how", ["registered", "entry point"])
def test_a_task_of_another_package(
    how: str, examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unregistered: None
) -> None:
    with pytest.raises(UserError, match="a task of another package needs that package"):
        example_config(examples, task="longest")
    if how == "registered":
        register(KIND)
        with pytest.raises(ValueError, match="there is a task called `classification` already"):
            register(TaskKind("classification", "", "", "", "pieces", "label", {}, ""))
    else:
        point = EntryPoint("longest", f"{__name__}:KIND", "nmt.tasks")

        def found(group: str, name: str | None = None) -> Sequence[EntryPoint]:
            return [point] if group == "nmt.tasks" and name in (None, "longest") else []

        monkeypatch.setattr("importlib.metadata.entry_points", found)
    said: list[str] = []
    config = example_config(examples, task="longest", training={"epochs": 15, "best_by": "macro_f1"})
    train(config, tmp_path / "run", say=said.append)
    assert "best macro F1" in said[-1]
    labels = [found.label for found in Predictor.load(tmp_path / "run").predict(["a b", "a b c a b c"])]
    assert labels == ["less", "more"]
    assert cli.main(["evaluate", str(tmp_path / "run")]) == 0
