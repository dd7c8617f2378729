"""What the README and the recipes promise exists and runs."""

from __future__ import annotations

import glob
import io
import re
import shlex
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
import torch
from toys import toy_config, write_reversal

from nmt import cli
from nmt.commands import inspect
from nmt.config import apply_setting, load_config, parse_config
from nmt.data.captions import captions
from nmt.training.loop import train

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
RECIPES = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "examples" / "notebooks" / "README.md"]
DOCUMENTS = [path.read_text(encoding="utf-8") for path in PAGES]


def blocks(language: str, *documents: str) -> list[str]:
    """The fenced blocks of a language."""
    return [block for document in documents for block in re.findall(rf"```{language}\n(.*?)```", document, re.S)]


def command_lines(*documents: str) -> list[str]:
    """The lines of the documents' shell blocks; a line that ends with a backslash goes on in the next."""
    return [line for block in blocks("bash", *documents) for line in block.replace("\\\n", " ").splitlines()]


def help_examples() -> list[str]:
    """The examples at the end of each command's help."""
    modules = [import_module(f"nmt.commands.{name}") for name in cli.COMMANDS]
    own = [f"nmt inspect {what} {example}" for what, (example, _) in inspect.WHATS.items()]
    return [*(str(module.EXAMPLE) for module in modules), *own]


def commands() -> list[str]:
    """Every command line in the documents' fenced blocks and in the heads of the configurations."""
    lines = command_lines(*DOCUMENTS)
    for path in sorted((ROOT / "configs").glob("*.toml")):
        lines += [
            line.lstrip("# ").removeprefix("command:").strip()
            for line in path.read_text(encoding="utf-8").replace("\\\n#", " ").splitlines()
            if line.startswith("#")
        ]
    lines += help_examples()
    parts = [part.strip() for line in lines for part in line.split(" #")[0].split("|")]
    return [part for part in parts if part.startswith(("nmt ", "translate ", "scripts/"))]


def test_there_are_commands() -> None:
    assert len(commands()) >= 6


@pytest.mark.parametrize("command", commands())
def test_commands_are_understood(command: str) -> None:
    command = re.sub(r"\$[A-Z_]+", "1", command)  # what a scheduler sets
    name, *arguments = shlex.split(command.split("<")[0].split(">")[0])
    if name.startswith("scripts/"):
        assert (ROOT / name).stat().st_mode & 0o111
    elif name == "translate":
        cli.make_parser().parse_args(["translate", *arguments])
    else:
        options = cli.make_parser().parse_args(arguments)
        if (getattr(options, "config", None) or "").startswith("configs/"):
            load_config(ROOT / options.config, options.set)


@pytest.mark.parametrize("block", blocks("toml", *DOCUMENTS))
def test_configurations_are_valid(block: str) -> None:
    parse_config(tomllib.loads(block), "here")


def test_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    config = toy_config(write_reversal(tmp_path / "data"), training={"epochs": 1})
    train(config, tmp_path / "runs" / "captions", say=lambda line: None)
    monkeypatch.chdir(tmp_path)
    for block in blocks("python", README):
        exec(block, {})
    assert len(capsys.readouterr().out.splitlines()) == 2


def recipe_files() -> dict[str, str]:
    """The configurations of the recipes, by the name in the first line."""
    return {block.splitlines()[0].removeprefix("# "): block for block in blocks("toml", RECIPES)}


@pytest.mark.parametrize("command", [line for line in command_lines(RECIPES) if line.startswith("nmt train")])
def test_recipes_set_what_can_be_set(command: str) -> None:
    options = cli.make_parser().parse_args(shlex.split(command)[1:])
    path = Path(options.config)
    name = f"{path.parent.name}.toml" if path.name == "config.toml" else path.name  # a run's resolved configuration
    values = tomllib.loads(recipe_files()[name])
    for setting in options.set:
        apply_setting(values, setting)
    parse_config(values, name)


@pytest.mark.slow
@pytest.mark.timeout(300)  # thirty commands
def test_recipes_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All commands, one after the other, on toy data with small models that are trained for two epochs."""
    torch.set_num_threads(1)  # two only wait for each other, with models of this size
    monkeypatch.chdir(tmp_path)
    for folder in ("my-corpus", "new-domain"):
        for path in sorted(write_reversal(tmp_path / folder, pairs=100).iterdir()):
            path.rename(path.with_suffix({".src": ".de", ".rev": ".en"}[path.suffix]))
    Path("monolingual.en").write_text(Path("my-corpus/train.en").read_text(encoding="utf-8"), encoding="utf-8")
    for language in ("de", "en"):
        Path(f"cc.{language}.300.vec").write_text("".join(f"{c}{' 0.1' * 300}\n" for c in "abcdefgh"), encoding="utf-8")
    for name, text in recipe_files().items():
        Path(name).write_text(text, encoding="utf-8")
    for line in command_lines(RECIPES):
        name, *arguments = shlex.split(line)
        arguments = [path for one in arguments for path in (sorted(glob.glob(one)) if "*" in one else [one])]
        if arguments[0] in ("train", "diversify"):
            small = ["training.epochs=2", "training.batch_size=16", "decoding.min_length=2"]
            if not any(one.startswith("training.start_from") for one in arguments):
                small += ["model.hidden_size=16", "vocabulary.byte_fallback=false", "training.learning_rate=0.02"]
            arguments += [part for setting in small for part in ("--set", setting)]
        assert {"nmt": cli.main, "translate": cli.translate_main}[name](arguments) == 0, line
    for model in ("de-en-average", "de-en-back/best", "student/best", "de-en-mixed/best", "de-en-risk/best"):
        assert (tmp_path / "runs" / model / "model.safetensors").exists()
    lines = {name: len(Path(name).read_text(encoding="utf-8").splitlines()) for name in ("monolingual.de", "test.en")}
    assert lines == {"monolingual.de": 100, "test.en": 20}


def test_files_exist() -> None:
    for document in DOCUMENTS:
        here = re.sub(r"https?://\S+", "", document)
        for name in re.findall(r"(?<![\w/])(?:nmt|configs|examples|scripts|docs|tests|vocab)/[\w/.-]+\w", here):
            assert (ROOT / name).exists(), name


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    text = re.sub(r"`[^`]*`", "", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", [path for path in PAGES if path.parent.name == "course"], ids=lambda path: path.stem)
def test_lines_of_code_in_the_course_are_in_the_named_files(page: Path) -> None:
    """In a table below a line `Code: FILE`, the first column is a line of that file or a part of it."""
    code, found = "", 0
    for line in page.read_text(encoding="utf-8").splitlines():
        if named := re.match(r"Code: \[`([^`]+)`\]", line):
            code = (ROOT / named[1]).read_text(encoding="utf-8")
        elif code and (row := re.match(r"\| `(.*?)` \| ", line)):
            assert row[1] in code, row[1]
            found += 1
    assert found >= 2 or page.stem == "README"


def test_a_lecture_has_ten_commands() -> None:
    lecture = (ROOT / "docs" / "lecture.md").read_text(encoding="utf-8")
    given = [line for line in command_lines(lecture) if line.strip()]
    rows = re.findall(r"^\| (\d+) \| .* \| (?:[\d.]+|–) \| \[", lecture, re.M)
    assert len(given) == 10 and [int(number) for number in rows] == list(range(1, 11))
    written = set(re.findall(r"--output (\S+)", lecture))
    used = set(re.findall(r"runs/\w+", " ".join(line for line in given if "nmt train" not in line)))
    assert used <= {name for run in written for name in (run, f"{run}/report")}


def test_no_placeholders() -> None:
    for document in DOCUMENTS:
        assert not re.search(r"\{[A-Z_]+\}|to be measured|TODO", document)


def run_example(example: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run the last command of a line; the text of an `echo` before it is its input."""
    text, _, command = example.rpartition("|")
    name, *arguments = shlex.split(command)
    said = " ".join(shlex.split(text)[1:]) + "\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(said.encode())))
    return {"nmt": cli.main, "translate": cli.translate_main}[name](arguments)


@pytest.mark.slow
def test_examples_of_the_help_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a run of the captions' configuration, with a small model in its place; pictures have tests of their own."""
    monkeypatch.chdir(tmp_path)
    for split, count in {"train": 400, "validation": 10, "test": 10}.items():
        pairs = captions("de", "en")[split][:count]
        for side, language in enumerate(("de", "en")):
            text = "".join(f"{pair[side]}\n" for pair in pairs)
            for name in [f"data/{split}.{language}", *([f"test.{language}"] if split == "test" else [])]:
                Path(name).parent.mkdir(exist_ok=True)
                Path(name).write_text(text, encoding="utf-8")
    model = {"embedding_size": 16, "hidden_size": 16, "dropout": 0.0}
    data = {"path": "data", "source": "de", "target": "en"}
    model["attention"] = load_config(ROOT / "configs" / "captions-de-en.toml").model.attention
    vocabulary = {"size": 500}
    training = {"epochs": 1, "batch_size": 64}
    config = {"data": data, "model": model, "vocabulary": vocabulary, "training": training}
    train(parse_config(config, "captions"), Path("runs/captions"), threads=1, say=lambda line: None)
    ran = [example for example in help_examples() if "runs/captions" in example and "nmt train" not in example]
    for example in (one for one in ran if "inspect" not in one or "attention" in one):
        assert run_example(example, monkeypatch) == 0, example
