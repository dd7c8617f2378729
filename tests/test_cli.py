"""The commands as a person types them: results, messages, exit status."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from toys import toy_config, write_reversal

from nmt import __version__, cli
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
    status = cli.main(["train", str(folder / "toy.toml"), "--output", str(folder / "run"), "--threads", "2"])
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


def test_evaluate_a_split(nmt: Command, workplace: Path, tmp_path: Path) -> None:
    status, out, err = nmt("evaluate", workplace / "run", "--split", "test", "--report", tmp_path / "report")
    assert status == 0, err
    assert out.startswith("BLEU ")
    assert "nrefs:1|" in out
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert len(report["sentences"]) == 20
    assert (tmp_path / "report" / "report.md").exists()


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
    train = ["train", str(workplace / "toy.toml"), "--threads", "2", "--output"]
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
    models = company / "run" / "best", company / "run" / "last", company / "second"
    status, out, err = nmt("average", *models, "--output", tmp_path / "mean")
    assert (status, out) == (0, ""), err
    assert err == f"mean of 3 models in `{tmp_path / 'mean'}`\n"
    status, out, err = nmt("translate", "--model", tmp_path / "mean", stdin=b"a b c\n")
    assert (status, out.count("\n")) == (0, 1), err
    nmt("average", models[0], "--output", tmp_path / "same")
    arguments = ["translate", "--json", "--model"]
    mine, theirs = (nmt(*arguments, model, stdin=b"a b\nc\n")[1] for model in (tmp_path / "same", models[0]))
    assert mine == theirs != ""


BAD_USE = [
    ([], "the following arguments are required: COMMAND"),
    (["trane"], "invalid choice: 'trane'"),
    (["train"], "the following arguments are required: CONFIG"),
    (["train", "nowhere.toml"], "configuration `nowhere.toml` does not exist"),
    (["train", "{toy}", "--epochs", "3"], "unrecognized arguments: --epochs 3"),
    (["train", "{toy}", "--set", "training.epoch=3"], "unknown key `training.epoch`"),
    (["train", "{toy}", "--set", "data.path=nowhere/at/all"], "nowhere/at/all"),
    (["train", "{toy}", "--output", "{new}", "--resume"], "has no training state to resume"),
    (["train", "{toy}", "--threads", "0"], "argument --threads: invalid positive whole number value: '0'"),
    (["train", "{toy}", "--output", "{new}", "--device", "abacus"], "--device must be one that torch has here"),
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
    (["evaluate", "{run}", "--hypothesis", "{data}/test.rev", "--beam-size", "3"], "no effect with --hypothesis"),
    (["evaluate", "{run}", "{run}", "--hypothesis", "{data}/test.rev"], "name one MODEL at most"),
    (["evaluate", "{run}", "--hypothesis", "{toy}", "--language-model", "{run}"], "no effect with --hypothesis"),
    (["evaluate", "{run}", "--language-model-weight", "0.1"], "--language-model-weight needs --language-model"),
    (["average"], "the following arguments are required: MODEL, --output"),
    (["average", "{run}", "--output", "{run}"], "exists already and is not overwritten; choose another --output"),
    (["average", "nowhere", "--output", "{new}"], "model `nowhere` does not exist"),
    (["translate"], "the following arguments are required: --model"),
    (["translate", "--model", "{data}"], "is not a model folder"),
    (["translate", "--model", "{run}", "--beam-size", "2", "--n-best", "3"], "n_best"),
    (["translate", "--model", "{run}", "--alpha", "-1"], "`decoding.alpha` must be at least 0"),
    (["translate", "--model", "{run}", "--input", "nowhere.txt"], "nowhere.txt"),
    (["translate", "--model", "{run}", "nowhere"], "model `nowhere` does not exist"),
    (["translate", "--model", "{run}", "--language-model", "nowhere"], "model `nowhere` does not exist"),
    (["translate", "--model", "{run}", "--language-model-weight", "0.1"], "needs --language-model"),
]


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
    assert message in err
    assert err.count("\n") == 1
    assert "Traceback" not in err


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


def test_missing_extra(nmt: Command, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def train(options: object) -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(cli, "train", train)
    status, _, err = nmt("train", workplace / "toy.toml")
    assert (status, err) == (2, "nmt: error: this needs `torch`: pip install 'recurrent-nmt[train]'\n")


def test_help_has_an_example_for_every_command(nmt: Command) -> None:
    for name in cli.DESCRIPTIONS:
        status, out, _ = nmt(name, "--help")
        assert status == 0
        assert "example:\n  " in out
    assert nmt("--version") == (0, f"nmt {__version__}\n", "")


def test_translation_needs_no_training_packages() -> None:
    """The torch-free column: what `translate` imports before it opens an engine."""
    code = (
        "import sys, nmt.cli, nmt.translation, nmt.model_folder, nmt.search, nmt.scoring, nmt.engine\n"
        "nmt.cli.make_parser()\n"
        "print([name for name in ('torch', 'datasets', 'sacrebleu', 'pyarrow') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout == "[]\n", result.stderr


@pytest.mark.slow
def test_pipes(workplace: Path) -> None:
    """A real process: a reader that leaves early, and a last line without its end."""
    command = [sys.executable, "-m", "nmt.cli", "translate", "--model", str(workplace / "run")]
    result = subprocess.run(command, input=b"a b\nc d", capture_output=True)
    assert result.returncode == 0
    assert result.stdout.count(b"\n") == 2
    script = f"yes 'a b c' | head -5000 | {' '.join(command)} | head -1"
    result = subprocess.run(["bash", "-c", script], capture_output=True)
    assert result.stdout.count(b"\n") == 1
    assert b"Traceback" not in result.stderr
