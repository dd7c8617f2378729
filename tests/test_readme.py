"""What the README promises exists and runs."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from toys import toy_config, write_reversal

from nmt import cli
from nmt.config import load_config, parse_config
from nmt.training import train

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [README, *(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md")))]


def blocks(language: str) -> list[str]:
    """The README's fenced blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.S)


def commands() -> list[str]:
    """Every command line in the documents' fenced blocks and in the heads of the configurations."""
    lines = [
        line
        for document in DOCUMENTS
        for b in re.findall(r"```bash\n(.*?)```", document, re.S)
        for line in b.splitlines()
    ]
    for path in sorted((ROOT / "configs").glob("*.toml")):
        lines += [
            line.lstrip("# ").removeprefix("command:").strip()
            for line in path.read_text(encoding="utf-8").splitlines()
            if line.startswith("#")
        ]
    parts = [part.strip() for line in lines for part in line.split(" #")[0].split("|")]
    return [part for part in parts if part.startswith(("nmt ", "translate ", "scripts/"))]


def test_there_are_commands() -> None:
    assert len(commands()) >= 6


@pytest.mark.parametrize("command", commands())
def test_commands_are_understood(command: str) -> None:
    name, *arguments = shlex.split(command.split("<")[0].split(">")[0])
    if name.startswith("scripts/"):
        assert (ROOT / name).stat().st_mode & 0o111
    elif name == "translate":
        cli.make_parser().parse_args(["translate", *arguments])
    else:
        options = cli.make_parser().parse_args(arguments)
        if hasattr(options, "config") and options.config.startswith("configs/"):
            load_config(ROOT / options.config, options.set)


@pytest.mark.parametrize("block", blocks("toml"))
def test_configurations_are_valid(block: str) -> None:
    parse_config(tomllib.loads(block), "README")


def test_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    config = toy_config(write_reversal(tmp_path / "data"), training={"epochs": 1})
    train(config, tmp_path / "runs" / "captions", say=lambda line: None)
    monkeypatch.chdir(tmp_path)
    for block in blocks("python"):
        exec(block, {})
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_files_exist() -> None:
    for document in DOCUMENTS:
        for name in re.findall(r"(?:nmt|configs|scripts|docs|tests|vocab)/[\w/.-]+\w", document):
            assert (ROOT / name).exists(), name


def test_no_placeholders() -> None:
    for document in DOCUMENTS:
        assert not re.search(r"\{[A-Z_]+\}|to be measured|TODO", document)
