"""The commands as a person types them: results, messages, exit status."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from toys import toy_config, write_reversal

from nmt import __version__, cli, errors
from nmt.commands import train as train_command
from nmt.config import write_config

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def nmt(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs a command in this process: exit status, standard output, standard error."""

    def run(*arguments: object, main: Callable[..., int] = cli.main, stdin: bytes = b"") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as error:
            status = int(error.code or 0)
        sys.stdout.flush()
        captured = capfd.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, a configuration and a run of it."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "toy.toml").write_text(write_config(toy_config(write_reversal(folder / "data"))))
    status = cli.main(["train", str(folder / "toy.toml"), "--output", str(folder / "run"), "--threads", "1"])
    assert status == 0
    return folder


def test_vocab(nmt: Command, workplace: Path, tmp_path: Path) -> None:
    status, out, err = nmt("vocab", workplace / "toy.toml", "--output", tmp_path / "v")
    assert (status, out) == (0, "")
    assert (tmp_path / "v" / "joint.spm").exists()
    assert "joint.spm: " in err


def test_train_prints_what_it_does(nmt: Command, workplace: Path, tmp_path: Path) -> None:
    status, out, err = nmt("train", workplace / "toy.toml", "--output", tmp_path / "run", "--set", "training.epochs=1")
    assert (status, out) == (0, "")
    for part in (
        "training data: 120 pairs read, 120 kept",
        "weights, vocabulary",
        "minutes an epoch",
        "validation perpl",
    ):
        assert part in err
    status, _, err = nmt("train", workplace / "toy.toml", "--output", tmp_path / "run")
    assert status == 2
    assert err.startswith("nmt: error: run folder ")
    assert err.count("\n") == 1
    status, _, err = nmt("train", workplace / "toy.toml", "--output", tmp_path / "run", "--resume", "--set",
                         "training.epochs=1")  # fmt: skip
    assert status == 0


def test_train_exports_the_best_model(
    nmt: Command, workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = ["train", workplace / "toy.toml", "--set", "training.epochs=1", "--export", "int8", "--output"]
    status, _, err = nmt(*train, tmp_path / "run")
    assert status == 0
    assert "MB (weights: " in err
    assert (tmp_path / "run" / "best" / "onnx" / "best.onnx").exists()
    monkeypatch.setitem(sys.modules, "onnx", None)
    status, _, err = nmt(*train, tmp_path / "other")
    assert status == 2
    assert "export needs `onnx`" in err
    assert not (tmp_path / "other").exists()


def test_evaluate_a_split(nmt: Command, workplace: Path, tmp_path: Path) -> None:
    status, out, err = nmt("evaluate", workplace / "run", "--split", "test", "--report", tmp_path / "report")
    assert status == 0, err
    assert out.startswith("BLEU ")
    assert "nrefs:1|" in out
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert len(report["sentences"]) == 20
    assert report["search_tree"]["beam_size"] == report["settings"]["beam_size"]
    assert report["calibration"]["positions"] > 20
    assert len(report["training_curves"]["validation"]) == 2
    assert report["training_data"]["pairs"] == 120
    command = f"nmt evaluate {workplace / 'run'} --split test --report {tmp_path / 'report'}"
    assert report["commands"] == {"evaluate": command, "training": f"nmt train {workplace / 'run' / 'config.toml'}"}
    page = (tmp_path / "report" / "report.html").read_text()
    for title in ("Leaks", "Calibration", "Search tree", "Training", "Rare words", "Worst sentences"):
        assert f"<h2>{title}</h2>" in page
    assert (tmp_path / "report" / "report.md").exists()
    card = (workplace / "run" / "best" / "README.md").read_text()
    assert f"### {workplace / 'data'}, split test; beam 5\n" in card
    assert command in card


def test_options_may_stand_between_models(nmt: Command, company: Path) -> None:
    first, second = company / "run", company / "second"
    status, out, err = nmt("evaluate", first, "--split", "test", second, "--beam-size", 2)
    assert (status, err) == (0, "")
    assert nmt("evaluate", first, second, "--split", "test", "--beam-size", 2) == (0, out, "")
    assert nmt("evaluate", "--beam-size", 2, first, second)[1] == out


def test_evaluate_against_baselines(nmt: Command, company: Path, tmp_path: Path) -> None:
    reference = company / "data" / "test.rev"
    arguments = ["evaluate", company / "run", "--baseline", company / "run", "--baseline", reference]
    status, out, err = nmt(*arguments, "--report", tmp_path, "--tree", 3)
    assert status == 0, err
    assert f"BLEU against `{company / 'run'}`: " in out
    assert "= +0.00, equal, so no p" in out
    report = json.loads((tmp_path / "report.json").read_text())
    assert [own["baseline"] for own in report["comparisons"]] == [str(company / "run"), str(reference)]
    assert report["comparisons"][1]["differences"][0]["baseline"] == pytest.approx(100)
    assert report["search_tree"]["place"] == 2
    names = ["baseline.1.txt", "baseline.2.txt", "hypothesis.txt"]
    lines = [(tmp_path / name).read_text().splitlines() for name in names]
    assert lines[0] == lines[2]
    assert lines[1] == reference.read_text().splitlines()
    hypothesis = ["--hypothesis", tmp_path / "hypothesis.txt", "--reference", reference, "--target-language", "en"]
    status, other, err = nmt("evaluate", *hypothesis, "--report", tmp_path / "other")
    assert status == 0, err
    assert other.split("\n")[0].split() == out.split("\n")[0].split()
    report = json.loads((tmp_path / "other" / "report.json").read_text())
    assert report["training_data"] is report["calibration"] is report["search_tree"] is None
    assert report["notes"] == ["the training data are not compared: the sources are not given"]


def test_a_report_says_what_computed_the_scores(nmt: Command, company: Path, tmp_path: Path) -> None:
    """An export is named in the output, the report and the card; baselines are searched with the same options."""
    exported = shutil.copytree(company / "run" / "best", tmp_path / "exported")
    assert nmt("export", exported, "--int8")[0] == 0
    arguments = ["evaluate", exported, "--baseline", exported, "--beam-size", 1, "--report", tmp_path / "report"]
    status, out, err = nmt(*arguments)
    assert status == 0, err
    assert "note: scored with the model's export, 8 bits" in out
    assert "= +0.00, equal, so no p" in out
    assert "beam 1; export, 8 bits, vocabulary shortlist" in (exported / "README.md").read_text()
    settings = json.loads((tmp_path / "report" / "report.json").read_text())["settings"]
    assert settings["engine"] == settings[f"engine of {exported}"]
    out = nmt("evaluate", exported, "--baseline", company / "run")[1]
    assert (
        f"note: the model was scored with export, 8 bits, vocabulary shortlist, but `{company / 'run'}` with torch, cpu"
        in out
    )


def test_each_model_folder_is_opened_once(nmt: Command, company: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nmt import model_folder

    opened: list[str] = []
    original = model_folder.open_model
    monkeypatch.setattr(model_folder, "open_model", lambda name: (opened.append(Path(name).name), original(name))[1])
    status, _, err = nmt("evaluate", company / "run", "--language-model", company / "lm")
    assert status == 0, err
    assert sorted(opened) == ["lm", "run"]
    opened.clear()
    nmt("evaluate", company / "run", company / "second")
    assert sorted(opened) == ["run", "second"]


def test_evaluate_files_and_foreign_output(nmt: Command, workplace: Path) -> None:
    source, reference = workplace / "data" / "test.src", workplace / "data" / "test.rev"
    status, model, err = nmt("evaluate", workplace / "run", "--source", source, "--reference", reference)
    assert status == 0, err
    status, split, _ = nmt("evaluate", workplace / "run")
    assert model == split
    status, perfect, err = nmt("evaluate", "--hypothesis", reference, "--reference", reference, "--reference", source,
                               "--target-language", "en")  # fmt: skip
    assert status == 0, err
    assert "BLEU                                100.00" in perfect or "100.00" in perfect
    status, same, err = nmt("evaluate", workplace / "run", "--hypothesis", reference)
    assert status == 0, err
    assert "100.00" in same


@pytest.mark.parametrize("main", [cli.main, cli.translate_main])
def test_translate(nmt: Command, workplace: Path, main: Callable[..., int]) -> None:
    first = ["translate"] if main is cli.main else []
    status, out, err = nmt(*first, "--model", workplace / "run", main=main, stdin=b"a b c\n\nd e\n")
    assert status == 0, err
    assert out.count("\n") == 3
    assert out.split("\n")[1] == ""


def test_translate_options(nmt: Command, workplace: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("a b c\nd\n")
    arguments = ["translate", "--model", workplace / "run", "--input", tmp_path / "in.txt", "--beam-size", 4]
    status, out, err = nmt(*arguments, "--n-best", 3)
    rows = [line.split("\t") for line in out.splitlines()]
    assert status == 0, err
    assert {row[0] for row in rows} == {"1", "2"}
    assert all(len(row) == 4 for row in rows)
    status, out, _ = nmt(*arguments, "--json", "--output", tmp_path / "out.json")
    assert (status, out) == (0, "")
    assert [json.loads(line)["line"] for line in (tmp_path / "out.json").read_text().splitlines()] == [1, 2]
    _, short, _ = nmt(*arguments, "--max-length-factor", 0, "--max-length-offset", 1)
    assert all(len(line.split()) <= 1 for line in short.splitlines())


@pytest.fixture(scope="module")
def company(workplace: Path) -> Path:
    """Beside the model in `run` a second one and a language model, all of one vocabulary, and one of another."""
    train = ["train", str(workplace / "toy.toml"), "--threads", "1", "--output"]
    shared = ["--set", f"vocabulary.source={workplace / 'run' / 'best' / 'joint.spm'}"]
    language_model = [
        "--set",
        "task=language_model",
        "--set",
        "training.truncation=8",
        "--set",
        "training.batch_size=4",
    ]
    for name, settings in {
        "second": [*shared, "--set", "training.seed=2"],
        "lm": [*shared, *language_model],
        "foreign": ["--set", "vocabulary.size=20", "--set", "training.epochs=1"],
    }.items():
        assert cli.main([*train, str(workplace / name), *settings]) == 0
    return workplace


def test_several_models_translate_and_are_scored(nmt: Command, company: Path) -> None:
    first, second = company / "run", company / "second"

    def records(*arguments: object) -> list[dict[str, object]]:
        status, out, err = nmt("translate", *arguments, "--json", stdin=b"a b c\nd\n\nh g f e\n")
        assert status == 0, err
        return [json.loads(line) for line in out.splitlines()]

    def same(one: list[dict[str, object]], other: list[dict[str, object]]) -> bool:
        return all(
            a["text"] == b["text"] and a["score"] == pytest.approx(b["score"], abs=1e-4)
            for a, b in zip(one, other, strict=True)
        )

    alone, together = records("--model", first), records("--model", first, second)
    assert same(records("--model", first, "--model", first), alone)
    assert same(records("--model", second, "--model", first), together)
    assert not same(together, alone)
    status, out, err = nmt("evaluate", first, second, "--report", company / "report")
    assert status == 0, err
    assert out.startswith("BLEU ")
    report = json.loads((company / "report" / "report.json").read_text())
    assert report["settings"]["model"] == f"{first}, {second}"
    assert "language_model_weight" not in report["settings"]
    fused = records("--model", first, "--language-model", company / "lm")
    assert not same(fused, alone)
    assert same(records("--model", first, "--language-model", company / "lm", "--language-model-weight", 0), alone)
    status, out, err = nmt("evaluate", first, "--language-model", company / "lm", "--language-model-weight", 0.3,
                           "--report", company / "report")  # fmt: skip
    assert status == 0, err
    report = json.loads((company / "report" / "report.json").read_text())
    assert report["settings"]["language_model"] == str(company / "lm")
    assert report["settings"]["language_model_weight"] == 0.3


def test_models_that_do_not_fit_together_are_named(nmt: Command, company: Path) -> None:
    for arguments, message in [
        (["translate", "--model", "run", "foreign"], "must share the target vocabulary, but have different ones"),
        (["evaluate", "run", "foreign"], "must share the target vocabulary, but have different ones"),
        (["translate", "--model", "foreign", "--language-model", "lm"], "must share the target vocabulary"),
        (["translate", "--model", "lm"], "is a language model, which cannot translate"),
        (["evaluate", "run", "lm"], "is a language model, which cannot translate"),
        (
            ["translate", "--model", "run", "--language-model", "second"],
            "is a translation model; give a language model",
        ),
        (["average", "run", "foreign", "--output", "mean"], "must share the target vocabulary"),
        (["average", "run", "lm", "--output", "mean"], "are different models (task) and have no mean"),
    ]:
        names = {"run", "foreign", "lm", "second", "mean"}
        status, out, err = nmt(*(company / word if word in names else word for word in arguments), stdin=b"a\n")
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert message in err


def test_average(nmt: Command, company: Path, tmp_path: Path) -> None:
    models = company / "run" / "best", company / "run" / "last"
    status, out, err = nmt("average", *models, "--output", tmp_path / "mean")
    assert (status, out) == (0, ""), err
    assert err == f"mean of 2 models in `{tmp_path / 'mean'}`\n"
    status, out, err = nmt("translate", "--model", tmp_path / "mean", stdin=b"a b c\n")
    assert (status, out.count("\n")) == (0, 1), err
    nmt("average", models[0], "--output", tmp_path / "same")
    arguments = ["translate", "--json", "--model"]
    mine, theirs = (nmt(*arguments, model, stdin=b"a b\nc\n")[1] for model in (tmp_path / "same", models[0]))
    assert mine == theirs != ""


BAD_USE = [
    (["trane"], "(did you mean `train`?) (see `nmt --help`)"),
    (["train"], "the following arguments are required: CONFIG"),
    (["train", "nowhere.toml"], "configuration `nowhere.toml` does not exist"),
    (
        ["train", "{toy}", "--epochs", "3"],
        "arguments: --epochs 3 (did you mean `--set training.epochs=...`?) (see `nmt tra",
    ),
    (["train", "{toy}", "--bach-size", "3"], "(did you mean `--set training.batch_size=...`?)"),
    (["train", "{toy}", "--batch-size=3"], "(did you mean `--set training.batch_size=3`?)"),
    (["train", "{toy}", "--ouptut", "{new}"], "--ouptut {new} (did you mean `--output`?) (see `nmt train --help`)"),
    (["train", "{toy}", "--export", "fp23"], "(did you mean `fp32`?)"),
    (["inspect", "atention", "{run}"], "(did you mean `attention`?) (see `nmt inspect --help`)"),
    (["train", "{toy}", "--set", "training.epoch=3"], "unknown key `training.epoch`"),
    (["train", "{toy}", "--set", "data.path=nowhere/at/all"], "nowhere/at/all"),
    (["train", "{toy}", "--output", "{new}", "--set", "training.start_from=a\0b"], "must be a text, but is 'a\\x00b'"),
    (["train", "{toy}", "--threads", "0"], "argument --threads: invalid positive whole number value: '0'"),
    (["train", "{toy}", "--output", "{new}", "--device", "abacus"], "torch has here (cpu), but is `abacus` instead"),
    (["train", "{toy}", "--output", "{new}", "--device", "cuda"], "(cpu), but is `cuda` instead; "),
    (["evaluate"], "evaluate needs a MODEL, or --hypothesis with --reference"),
    (["evaluate", "nowhere"], "model `nowhere` does not exist"),
    (["evaluate", "{run}", "--split", "tset"], "tset"),
    (["evaluate", "{run}", "--source", "{toy}"], "--source needs --reference"),
    (["evaluate", "{run}", "--reference", "{toy}"], "--reference needs --source"),
    (["evaluate", "{run}", "--split", "test", "--reference", "{toy}"], "exclude each other"),
    (["evaluate", "--hypothesis", "{toy}", "--reference", "{toy}"], "needs --target-language"),
    (["evaluate", "{run}", "--source", "{data}/test.src", "--reference", "{data}/train.rev"], "line-aligned"),
    (["evaluate", "{run}", "--hypothesis", "{data}/train.rev"], "there are 120 hypotheses but"),
    (["evaluate", "{run}", "--set", "decoding.beam_size=1"], "--set must be data.KEY=VALUE here"),
    (["evaluate", "{run}", "--splits", "test"], "unrecognized arguments: --splits test (did you mean `--split`?)"),
    (["evaluate", "{run}", "--test-split", "a"], "(did you mean `--set data.test_split=...`?)"),
    (["evaluate", "{run}", "--tree", "1"], "--tree chooses the sentence whose beam search --report draws"),
    (["evaluate", "{run}", "--tree", "21", "--report", "{new}"], "--tree must be at most 20, the sentences of the set"),
    (["evaluate", "{run}", "--baseline", "{data}/train.rev"], "train.rev` has 120 lines, but the set has 20 sentences"),
    (["evaluate", "{run}", "--baseline", "nowhere"], "model `nowhere` does not exist"),
    (["evaluate", "{run}", "--hypothesis", "{data}/test.rev", "--beam-size", "3"], "no effect with --hypothesis"),
    (["evaluate", "{run}", "{run}", "--hypothesis", "{data}/test.rev"], "name one MODEL at most"),
    (["evaluate", "{run}", "--hypothesis", "{toy}", "--language-model", "{run}"], "no effect with --hypothesis"),
    (["evaluate", "{run}", "--language-model-weight", "0.1"], "--language-model-weight needs --language-model"),
    (["average"], "the following arguments are required: MODEL, --output"),
    (["average", "{run}", "--output", "{run}"], "exists already and is not overwritten; choose another --output"),
    (["average", "nowhere", "--output", "{new}"], "model `nowhere` does not exist"),
    (["average", "de-en", "{run}", "--output", "{new}"], "are different models (data.source, "),
    (["inspect", "gradient-flow", "--learning-rate", "nan"], "--learning-rate: must be a finite number, but is 'nan'"),
    (["inspect", "gradient-flow", "--learning-rate", "0"], "--learning-rate: must be greater than 0, but is '0' inst"),
    (["inspect", "gradient-flow", "--clip-norm=-1"], "argument --clip-norm: must be at least 0, but is '-1' instead"),
    (["inspect", "gates", "de-en", "--output", "{new}"], "does not exist"),
    (["score", "de-en", "--source", "{toy}", "--target", "{toy}", "--groups", "2"], "unrecognized arguments: --groups"),
    (["translate"], "the following arguments are required: --model"),
    (["translate", "--model", "{data}"], "is not a model folder"),
    (["translate", "--model", "{run}", "--beam-size", "2", "--n-best", "3"], "--n-best must be at most --beam-size"),
    (["translate", "--model", "{run}", "--alpha", "-1"], "error: --alpha must be at least 0"),
    (["translate", "--model", "{run}", "--temperature", "0.5"], "--temperature has no effect without the method `samp"),
    (["translate", "--model", "{run}", "--top-p", "2"], "error: --top-p must be greater than 0 and at most 1"),
    (["translate", "--model", "{run}", "--diversity", "1"], "--diversity has no effect without --groups"),
    (["translate", "--model", "{run}", "--method", "sampling", "--groups", "2"], "--groups has no effect without"),
    (["translate", "--model", "{run}", "--samples", "9"], "--samples has no effect without minimum Bayes risk"),
    (
        ["score", "{run}", "--source", "{toy}", "--target", "{toy}", "--alpha", "1", "--length-penalty", "none"],
        "`gnmt`",
    ),
    (["translate", "--model", "{run}", "--alignments"], "need a model with attention, but this one has none"),
    (["translate", "--model", "{run}", "--coverage-penalty", "1"], "need"),
    (["translate", "--model", "de-en", "en-de"], "translate in opposite directions; an ensemble has one"),
    (["rerank", "de-en", "--reverse-model", "de-en", "--source", "{toy}", "--n-best", "{toy}"], "the other way round"),
    (["rerank", "de-en", "--weights", "nan", "--source", "{toy}", "--n-best", "{toy}"], "must be a finite number"),
    (["translate", "--model", "{run}", "--input", "nowhere.txt"], "nowhere.txt"),
    (["translate", "--model", "{run}", "nowhere"], "model `nowhere` does not exist"),
    (["translate", "--model", "{run}", "--language-model", "nowhere"], "model `nowhere` does not exist"),
    (["translate", "--model", "{run}", "--language-model-weight", "0.1"], "needs --language-model"),
]


def test_too_large_a_model_is_one_line(
    nmt: Command, workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = "model.embedding_size=1000000000000"
    arguments = ("train", workplace / "toy.toml", "--output", tmp_path / "new", "--set", size)
    status, out, err = nmt(*arguments)
    assert (status, out) == (2, "") and "`model.embedding_size` must be at most 65536" in err
    monkeypatch.setattr("nmt.config.rules.out_of_range", lambda section: [])
    status, out, err = nmt(*arguments)
    assert (status, out) == (1, "")
    assert err.splitlines()[-1].startswith("nmt: error: not enough memory: ") and "Traceback" not in err


@pytest.mark.parametrize(("arguments", "message"), BAD_USE, ids=lambda value: " ".join(value)[:40])
def test_bad_use_is_one_line_and_status_2(
    nmt: Command, workplace: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    names = {
        "toy": workplace / "toy.toml",
        "run": workplace / "run",
        "data": workplace / "data",
        "new": tmp_path / "new",
    }
    status, out, err = nmt(*(argument.format(**names) for argument in arguments), stdin=b"a\n")
    assert (status, out) == (2, "")
    assert message.format(**names) in err
    assert err.count("\n") == 1
    assert "Traceback" not in err


def test_control_characters_do_not_reach_the_terminal(nmt: Command, tmp_path: Path) -> None:
    """A key, a path and a choice with escape codes and line ends: one line of printable text."""
    (tmp_path / "a.toml").write_text('"\\u001b]0;owned\\u0007" = 1\n"a\\nb" = 2\n')
    for arguments in (["train", tmp_path / "a.toml"], ["train", "a\x1b[2J\nb"], ["inspect", "a\x1b\nb"]):
        status, out, err = nmt(*arguments)
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert err.rstrip("\n").isprintable()


def test_input_and_output_are_kept(nmt: Command, workplace: Path, tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("a b c\n")
    status, _, err = nmt("translate", "--model", workplace / "run", "--input", path, "--output", path)
    assert (status, path.read_text()) == (2, "a b c\n")
    assert "is the input; choose another file" in err
    status, _, _ = nmt("translate", "--model", workplace / "run", "--n-best", 30, "--output", path, stdin=b"a\n")
    assert (status, path.read_text()) == (2, "a b c\n")


def test_output_is_not_touched_by_a_mistake(nmt: Command, workplace: Path, tmp_path: Path) -> None:
    (tmp_path / "out.txt").write_text("precious")
    status, _, _ = nmt("translate", "--model", tmp_path / "none", "--output", tmp_path / "out.txt")
    assert (status, (tmp_path / "out.txt").read_text()) == (2, "precious")


@pytest.mark.parametrize(
    ("module", "wanted"), [("torch", "-e '.[train]'"), ("sacrebleu", "sacrebleu"), ("sacrebleu.metrics", "sacrebleu")]
)
def test_missing_extra(
    nmt: Command, workplace: Path, monkeypatch: pytest.MonkeyPatch, module: str, wanted: str
) -> None:
    def train(options: object) -> None:
        raise ModuleNotFoundError(f"No module named '{module}'", name=module)

    monkeypatch.setattr(train_command, "run", train)
    status, _, err = nmt("train", workplace / "toy.toml")
    assert (status, err) == (2, f"nmt: error: this needs `{module}`: pip install -c constraints.txt {wanted}\n")


def test_help_has_an_example_for_every_command(nmt: Command) -> None:
    for name in cli.COMMANDS:
        status, out, _ = nmt(name.rstrip("_"), "--help")
        assert status == 0
        assert "example:\n  " in out
    assert nmt("--version") == (0, f"nmt {__version__}\n", "")


@pytest.mark.parametrize("arguments", [[], ["inspect"]])
def test_without_a_command_there_is_help(nmt: Command, arguments: list[str]) -> None:
    assert nmt(*arguments) == nmt(*arguments, "--help")


def test_shell_completion(nmt: Command, tmp_path: Path) -> None:
    """The script completes commands, options, choices and paths in a real bash."""
    status, out, err = nmt("--print-completion", "bash")
    assert (status, err) == (0, "")
    (tmp_path / "my.toml").touch()
    asked = ["nmt tra", "nmt train --ov", "nmt train x --export i", "nmt train m"]
    ask = "".join(
        f"COMP_WORDS=({line}); COMP_CWORD={len(line.split()) - 1}; COMPREPLY=(); _shtab_nmt; echo ${{COMPREPLY[@]}}\n"
        for line in asked
    )
    ran = subprocess.run(["bash"], input=f"{out}\n{ask}", capture_output=True, text=True, cwd=tmp_path)
    assert ran.stdout.splitlines() == ["train translate", "--overwrite", "int8", "my.toml"], ran.stderr


def test_python_dash_m() -> None:
    ran = subprocess.run([sys.executable, "-m", "nmt", "--version"], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"nmt {__version__}\n", "")


@pytest.mark.parametrize(
    ("clone", "here", "what", "command"),
    [
        (True, True, "[train]", "pip install -c constraints.txt -e '.[train]'"),
        (True, True, "sacrebleu", "pip install -c constraints.txt sacrebleu"),
        (True, False, "[train]", "pip install -c '{0}/constraints.txt' -e '{0}[train]'"),
        (False, False, "[train]", "pip install 'recurrent-nmt[train]'"),
        (False, False, "sacrebleu", "pip install sacrebleu"),
    ],
)
def test_how_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clone: bool, here: bool, what: str, command: str
) -> None:
    """The tested versions where they are at hand: in a clone, from whatever folder; an installed package has none."""
    root = tmp_path / "a b"
    (root / "nmt").mkdir(parents=True)
    if clone:
        (root / "constraints.txt").touch()
    monkeypatch.setattr(errors, "__file__", str(root / "nmt" / "errors.py"))
    monkeypatch.chdir(root if here else tmp_path)
    assert errors.how_to_install(what) == command.format(root)


def test_translation_needs_no_training_packages() -> None:
    """The torch-free column: what `translate` imports before it opens an engine."""
    code = (
        "import sys, nmt.cli, nmt.translation.translator, nmt.model_folder\n"
        "import nmt.search.beam, nmt.search.scoring, nmt.search.engine\n"
        "nmt.cli.make_parser()\n"
        "print([name for name in ('torch', 'datasets', 'sacrebleu', 'pyarrow') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout == "[]\n", result.stderr


@pytest.mark.slow
def test_pipes() -> None:
    """A real process: a reader that leaves early, and a last line without its end."""
    command = [sys.executable, "-m", "nmt.cli", "translate", "--model", "de-en"]  # which needs no torch
    result = subprocess.run(command, input=b"Ja.\nNein.", capture_output=True)
    assert result.returncode == 0
    assert result.stdout.count(b"\n") == 2
    script = f"yes 'Ja. Nein.' | head -5000 | {' '.join(command)} | head -1"
    result = subprocess.run(["bash", "-c", script], capture_output=True)
    assert result.stdout.count(b"\n") == 1
    assert b"Traceback" not in result.stderr


def test_translate_with_wishes(nmt: Command, workplace: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("a b c\nd\n")
    (tmp_path / "phrases").write_text("h g\n\n")
    arguments = ["translate", "--model", workplace / "run", "--input", tmp_path / "in.txt"]
    status, out, err = nmt(*arguments, "--prefix", "e", "--required", tmp_path / "phrases", "--beam-size", 8)
    assert status == 0, err
    assert all(line.startswith("e") and "h g" in line for line in out.splitlines())
    status, free, err = nmt(*arguments, "--forbidden", tmp_path / "phrases", "--no-repeat-ngram", 3)
    assert status == 0, err
    assert "h g" not in free
    sampling = [*arguments, "--method", "sampling", "--n-best", 3, "--top-k", 4, "--temperature", 0.8]
    drawn = []
    for options in (["--seed", 5], ["--seed", 5, "--batch-size", 1], ["--seed", 6]):
        status, out, err = nmt(*sampling, *options)
        assert status == 0, err
        drawn.append([line.split("\t")[3] for line in out.splitlines()])
    assert drawn[0] == drawn[1] != drawn[2]
    status, out, err = nmt(*arguments, "--groups", 3, "--n-best", 5, "--minimum-bayes-risk", "chrf")
    assert status == 0, err
    assert {line.split("\t")[0] for line in out.splitlines()} == {"1", "2"}


def test_translate_reads_json(nmt: Command, workplace: Path) -> None:
    lines = [{"text": "a b", "prefix": "b", "id": 4}, {"text": "c", "forbidden": ["c"]}]
    arguments = ["translate", "--model", workplace / "run", "--json", "--json-input"]
    status, out, err = nmt(*arguments, stdin="\n".join(map(json.dumps, lines)).encode())
    assert status == 0, err
    first, second = map(json.loads, out.splitlines())
    assert first["id"] == 4 and first["text"].startswith("b")
    assert "c" not in second["text"].split()
    status, out, err = nmt(*arguments, stdin=b'{"text": "a b"}\n{"prefix": "a"}\n')
    assert (status, out.count("\n")) == (2, 1)
    assert err == 'nmt: error: line 2: it must be a JSON object with a `text`: {"text": "..."}\n'


def test_a_mistake_leaves_the_output_file_alone(
    nmt: Command, workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out.txt").write_text("precious")
    for wrong in (["--prefix", "é"], ["--groups", 9], ["--attention"], ["--alignments"],
                  ["--forbidden", tmp_path / "missing"], ["--method", "sampling", "--top-p", 0]):  # fmt: skip
        status, out, err = nmt("translate", "--model", workplace / "run", "--output", tmp_path / "out.txt", *wrong)
        assert (status, out, err.count("\n")) == (2, "", 1), err
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics.bleu", None)
    risk = ["--minimum-bayes-risk", "bleu"]
    status, out, err = nmt("translate", "--model", workplace / "run", "--output", tmp_path / "out.txt", *risk)
    assert (status, out, err.count("\n")) == (2, "", 1), err
    assert (tmp_path / "out.txt").read_text() == "precious"


def test_score(nmt: Command, workplace: Path, tmp_path: Path) -> None:
    source, target = workplace / "data" / "test.src", workplace / "data" / "test.rev"
    status, out, err = nmt("score", workplace / "run", "--source", source, "--target", target)
    assert status == 0, err
    scores = [float(line) for line in out.splitlines()]
    assert len(scores) == 20 and max(scores) <= 0
    status, out, err = nmt("score", workplace / "run", "--source", source, "--target", target, "--json")
    records = [json.loads(line) for line in out.splitlines()]
    assert [record["log_prob"] for record in records] == pytest.approx(scores, abs=1e-6)
    assert all(sum(record["token_log_probs"]) == pytest.approx(record["log_prob"]) for record in records)
    (tmp_path / "short").write_text("a\n")
    status, out, err = nmt("score", workplace / "run", "--source", source, "--target", tmp_path / "short")
    assert (status, out, err.count("\n")) == (2, "", 1)


def test_rerank(nmt: Command, workplace: Path, tmp_path: Path) -> None:
    source, run = workplace / "data" / "test.src", workplace / "run"
    status, listed, err = nmt("translate", "--model", run, "--input", source, "--n-best", 4, "--length-penalty", "none")
    assert status == 0, err
    (tmp_path / "nbest").write_text(listed)
    arguments = ["rerank", "--source", source, "--n-best", tmp_path / "nbest"]
    status, out, err = nmt(*arguments, "--list-weight", 1)
    assert (status, out) == (0, listed), err
    turned = tmp_path / "turned"
    shutil.copytree(run / "best", turned)
    config = (turned / "config.toml").read_text()
    config = config.replace('source = "src"\ntarget = "rev"', 'source = "rev"\ntarget = "src"')
    (turned / "config.toml").write_text(config.partition("\n")[2])
    status, best, err = nmt(*arguments, run, "--reverse-model", turned, "--reverse-weight", 0.3, "--best")
    assert status == 0, err
    assert best.count("\n") == 20
    texts: dict[str, list[str]] = {}
    for line in listed.splitlines():
        texts.setdefault(line.split("\t")[0], []).append(line.split("\t")[3])
    assert all(line in texts[str(number)] for number, line in enumerate(best.split("\n")[:20], 1))
    for wrong in ([], ["--length-weight", 1, "--list-weight", 1], [run, "--weights", 1, 2], ["--language-model", run]):
        status, out, err = nmt(*arguments, *wrong)
        assert (status, out, err.count("\n")) == (2, "", 1), err
