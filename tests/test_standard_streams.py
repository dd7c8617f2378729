"""Standard input, output and error as a shell connects them: closed, full, redirected to the same file."""

from __future__ import annotations

import gzip
import lzma
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from nmt.commands.translate import open_output
from nmt.errors import UserError

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


def test_files_are_what_their_first_bytes_say(folder: Path) -> None:
    """Compressed and in UTF-16 whatever the name; a document is one line, and the output stays as it was."""
    plain = shell("translate --model de-en --input in.de", folder)
    assert plain.returncode == 0 and plain.stdout.count("\n") == 2
    (folder / "plain.gz").write_text(TEXT, "utf-8")
    (folder / "named").write_bytes((folder / "in.de.gz").read_bytes())
    (folder / "wide").write_text(TEXT, "utf-16")
    for name in ("in.de.gz", "plain.gz", "named", "wide"):
        assert shell(f"translate --model de-en < {name}", folder).stdout == plain.stdout
    cut = shell("translate --model de-en --input cut.gz", folder)
    assert cut.returncode == 2
    assert cut.stderr.startswith("translate: error: cut.gz is damaged: ") and cut.stderr.count("\n") == 1
    with zipfile.ZipFile(folder / "letter.txt", "w") as archive:
        archive.writestr("word/document.xml", "<w:t>Ja.</w:t>")
    (folder / "kept").write_text("kept", "utf-8")
    for given, name in (("< letter.txt", "standard input"), ("--input letter.txt", "`letter.txt`")):
        done = shell(f"translate --model de-en --output kept {given}", folder)
        assert done.returncode == 2 and (folder / "kept").read_text("utf-8") == "kept"
        assert done.stderr.startswith(f"translate: error: {name} is a Word document (.docx); save it as text")


def test_compressed_output(folder: Path) -> None:
    plain = shell("translate --model de-en --input in.de", folder).stdout
    done = shell(
        "translate --model de-en --input in.de --output out.gz && translate --model de-en <in.de >plain.gz", folder
    )
    assert done.returncode == 0
    assert (
        gzip.decompress((folder / "out.gz").read_bytes()).decode() == (folder / "plain.gz").read_text("utf-8") == plain
    )


def test_the_name_of_the_output_is_believed(tmp_path: Path) -> None:
    for name, opened in (("a.gz", gzip.open), ("b.GZ", gzip.open), ("c.xz", lzma.open), ("d.txt", open)):
        with open_output(str(tmp_path / name), 0) as file:
            file.write(b"text")
        with opened(tmp_path / name, "rb") as file:
            assert file.read() == b"text"
    (tmp_path / "old.zst").write_bytes(b"kept")
    with pytest.raises(UserError, match=r"old\.zst`: \.zst is not written, only text, also compressed as \.gz"):
        open_output(str(tmp_path / "old.zst"), 0)
    assert (tmp_path / "old.zst").read_bytes() == b"kept"


def test_the_input_does_not_grow_by_its_translation(folder: Path) -> None:
    for given in ("--input in.de >> in.de", "< in.de >> in.de"):
        done = shell(f"translate --model de-en {given}", folder)
        assert done.returncode == 2
        assert done.stderr == "translate: error: standard output is the input; choose another file\n"
        assert (folder / "in.de").read_text("utf-8") == TEXT


def test_a_prefix_in_any_locale(folder: Path) -> None:
    locale = "LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0"
    done = shell(f"export {locale}; echo I want to sleep. | translate --model en-de --prefix 'Ich möchte'", folder)
    assert done.stdout.startswith("Ich möchte ") and done.returncode == 0


def test_an_output_that_was_cut_off_is_resumed(folder: Path) -> None:
    (folder / "long").write_text("".join(f"Ich habe {i} Hunde. Ja.\n\n" for i in range(50)), "utf-8")
    command = "translate --model de-en --beam-size 1 --input long"
    whole = shell(command, folder).stdout
    for kept in ("", whole[:100], whole[:101], whole, None):
        if kept is not None:
            (folder / "out").write_text(kept, "utf-8")
        done = shell(f"{command} --output out --resume", folder)
        assert done.returncode == 0 and done.stderr == ""
        assert (folder / "out").read_text("utf-8") == whole
        (folder / "out").unlink()
    (folder / "out").write_text("Something else.\n\nAnd more.\n", "utf-8")
    done = shell(f"{command} --output out --resume", folder)
    assert done.returncode == 2 and "`out`: it has other translations in lines 1 to 3 than" in done.stderr
    assert "give its name" in shell(f"{command} --resume", folder).stderr


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


def test_what_is_cut_in_an_evaluation_is_said_in_a_line(folder: Path) -> None:
    (folder / "long").write_text("x " * 400 + "\nHund\n", "utf-8")
    done = shell("nmt evaluate de-en --source long --reference in.en", folder)
    assert done.returncode == 0
    assert re.fullmatch(r"nmt( evaluate)?: line 1 is cut from \d+ to 128 pieces\n", done.stderr), done.stderr
