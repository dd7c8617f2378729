"""Standard input, output and error as a shell connects them: closed, full, redirected to the same file."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import pytest

TEXT = "Ich habe keine Zeit.\nJa.\n"


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a command in a folder; `translate` and `nmt` are this installation's."""
    names = {"translate": "translate_main", "nmt": "main"}
    functions = [
        f"{name}() {{ '{sys.executable}' -c 'import sys; from nmt.cli import {main}; sys.exit({main}())' \"$@\"; }}"
        for name, main in names.items()
    ]
    script = "\n".join([*functions, command])
    return subprocess.run(["sh", "-c", script], cwd=folder, capture_output=True, text=True, timeout=120)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in.de").write_text(TEXT, "utf-8")
    (tmp_path / "in.en").write_text("I have no time.\nYes.\n", "utf-8")
    with gzip.open(tmp_path / "in.de.gz", "wt", encoding="utf-8") as file:
        file.write(TEXT)
    (tmp_path / "cut.gz").write_bytes((tmp_path / "in.de.gz").read_bytes()[:-12])
    return tmp_path


def test_the_input_is_not_overwritten(folder: Path) -> None:
    for given in ("< in.de", "--input in.de"):
        done = shell(f"translate --model de-en --output in.de {given}", folder)
        assert done.returncode == 2
        assert done.stderr == "translate: error: --output `in.de` is the input; choose another file\n"
        assert (folder / "in.de").read_text("utf-8") == TEXT


def test_compressed_input(folder: Path) -> None:
    plain = shell("translate --model de-en --input in.de", folder)
    assert plain.returncode == 0 and plain.stdout.count("\n") == 2
    assert shell("translate --model de-en --input in.de.gz", folder).stdout == plain.stdout
    (folder / "plain.gz").write_text(TEXT, "utf-8")
    for name in ("cut.gz", "plain.gz"):
        done = shell(f"translate --model de-en --input {name}", folder)
        assert done.returncode == 2
        assert done.stderr.startswith(f"translate: error: {name} is damaged: ") and done.stderr.count("\n") == 1


def test_the_phrases_are_not_overwritten(folder: Path) -> None:
    (folder / "terms").write_text("train\n", "utf-8")
    for option in ("--required", "--forbidden"):
        done = shell(f"translate --model de-en --input in.de {option} terms --output terms", folder)
        assert done.returncode == 2
        assert done.stderr == "translate: error: --output `terms` is the file of phrases; choose another file\n"
        assert (folder / "terms").read_text("utf-8") == "train\n"


def test_the_work_goes_on_where_nobody_reads_its_messages(folder: Path) -> None:
    (folder / "long").write_text("x " * 400 + "\nHund\n", "utf-8")  # the first line is cut, which is said
    done = shell("translate --model de-en --input long --output longer 2> /dev/full", folder)
    assert done.returncode == 0
    assert (folder / "longer").read_text("utf-8").count("\n") == 2


@pytest.mark.parametrize(
    "command",
    [
        "translate --model de-en --input in.de",
        "nmt score de-en --source in.de --target in.en",
    ],
)
def test_no_room_and_no_output(command: str, folder: Path) -> None:
    """One line each, also at the end, when Python writes what it has left."""
    if Path("/dev/full").exists():
        done = shell(f"{command} > /dev/full", folder)
        assert done.returncode == 1
        assert "No space left on device" in done.stderr and done.stderr.count("\n") == 1
    done = shell(f"{command} >&-", folder)
    assert done.returncode == 2
    assert "standard" in done.stderr and "closed" in done.stderr and done.stderr.count("\n") == 1


def test_without_standard_error_warnings_are_lost(folder: Path) -> None:
    (folder / "in.de").write_bytes(b"Ich \xff habe.\nJa.\n")
    done = shell("translate --model de-en --input in.de 2>&-", folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 2
