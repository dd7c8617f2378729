"""The models that are part of the package: there, small, attributed, and able to translate with the base install."""

from __future__ import annotations

import io
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nmt.cli import main
from nmt.errors import UserError
from nmt.model_folder import BUNDLED, bundled_models, open_model
from nmt.translation.line_stream import translate_stream
from nmt.translation.translator import SourceLine, Translator

EXAMPLES = {
    "de-en": ("Ich habe keine Zeit.", {"I have no time.", "I don't have time.", "I don't have any time."}),
    "en-de": ("I have no time.", {"Ich habe keine Zeit."}),
    "en-fr": ("I have no time.", {"Je n'ai pas le temps."}),
    "fr-en": ("Je n'ai pas le temps.", {"I have no time.", "I don't have time.", "I don't have the time."}),
}


def test_all_directions_are_there() -> None:
    assert bundled_models() == sorted(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_model_is_small_and_says_where_it_comes_from(name: str) -> None:
    folder = BUNDLED / name
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) <= 8_000_000
    card = (folder / "README.md").read_text("utf-8")
    for part in ("tatoeba.org", "manythings.org", "CC BY 2.0", "held-out sentences"):
        assert part.lower() in card.lower()
    opened = open_model(name)
    assert opened.path == folder
    assert not Path(opened.config.data.path).is_absolute()
    assert f"{opened.config.data.source}-{opened.config.data.target}" == name


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_model_translates_anywhere_without_torch(name: str, tmp_path: Path) -> None:
    source, expected = EXAMPLES[name]
    script = (
        "import sys; from nmt.cli import translate_main; sys.argv[1:] = ['--model', sys.argv[1]];"
        "status = translate_main(); assert not {'torch', 'datasets', 'onnx'} & set(sys.modules); sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, name], cwd=tmp_path, input=f"{source}\n\n", capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    translation, blank = done.stdout.split("\n")[:-1]
    assert translation in expected and blank == ""


def test_there_and_back() -> None:
    """Both directions keep what a simple sentence says."""
    lines = ["Where is the station?", "She is reading a book.", "It's very cold today."]
    german = [each.text for each in Translator.load("en-de").translate(lines)]
    english = [each.text for each in Translator.load("de-en").translate(german)]
    assert len(set(german) & set(lines)) == 0
    assert sum(line == back for line, back in zip(lines, english, strict=True)) >= 2, (german, english)


@pytest.mark.parametrize("mark", ["- ", "• ", "1. ", "a) ", "## ", "> > ", "- [ ] "])
def test_an_item_of_a_list_is_translated_as_without_its_mark(mark: str) -> None:
    """Word for word, with the same score, in text and with markup; forbidden phrases do not change that."""
    translator = Translator.load("de-en", threads=1)
    line = "Ich habe Hunger. Wo ist Tom?"
    asked: dict[str, Any] = {"beam_size": 2, "n_best": 2}
    plain, item = translator.translate_n_best([line, mark + line], **asked)
    assert [(mark.lstrip() + one.text, one.score) for one in plain] == [(one.text, one.score) for one in item]
    wishes = [SourceLine(each, forbidden=["tree", mark.strip()]) for each in (line, mark + line)]
    plain, item = translator.translate_n_best(wishes, **asked)
    assert item[0].text.endswith(plain[0].text)
    [tagged] = translator.translate([f"<li>{mark}Ich habe <b>Hunger</b>.</li>"], markup="html", beam_size=2)
    assert tagged.text.startswith(f"<li>{mark.lstrip()}") and tagged.text.count("<b>") == 1
    [whole] = translator.translate([mark + line], split_sentences=False, beam_size=2)
    assert not whole.parts


def test_lines_and_phrases_from_an_iterator() -> None:
    translator = Translator.load("de-en")
    lines = ["Der Hund schläft.", "Es ist kalt."]
    listed, iterated = translator.translate(lines), translator.translate(line for line in lines)  # type: ignore[arg-type]
    assert [each.text for each in iterated] == [each.text for each in listed]
    line = SourceLine("Der Hund schläft.", forbidden=(phrase for phrase in ["dog"]))  # type: ignore[arg-type]
    for asked in (line, SourceLine("Der Hund schläft.", forbidden=["dog"])):
        assert "dog" not in translator.translate([asked])[0].text.split()


def test_a_thousand_lines_of_anything_are_a_thousand_lines() -> None:
    """Any bytes, through a real vocabulary and a real model."""
    source = random.Random(1)
    words = [
        "Der",
        "Hund",
        "schläft",
        ".",
        "日本",
        "👍",
        "\u2028",
        "\x85",
        "\r",
        "\0",
        "\t",
        "\ufeff",
        "äöü",
        "!?",
        "x" * 30,
    ]
    lines = []
    for _ in range(1000):
        noise = bytes(source.choices([byte for byte in range(256) if byte != 10], k=source.randrange(3)))
        lines.append(" ".join(source.choices(words, k=source.randrange(8))).encode() + noise)
    output, warnings = io.BytesIO(), []
    translate_stream(
        Translator.load("de-en"), io.BytesIO(b"\n".join(lines) + b"\n"), output, beam_size=1, max_length_factor=1.0,
        warn=warnings.append,
    )  # fmt: skip
    written = output.getvalue().decode("utf-8").removesuffix("\n").split("\n")
    assert len(written) == 1000 and "\n".join(written).splitlines() == written
    assert sum(map(bool, written)) > 500
    assert len(warnings) == 1 and "invalid UTF-8" in warnings[0]


def test_a_folder_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "de-en").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"`de-en` is not a model folder: .* it hides the model .*: rename it, or"):
        open_model("de-en")


def test_what_is_not_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["translate", "--model", "fr-de", "--input", "/dev/null"]) == 2
    assert "these come with the program: de-en, en-de" in capsys.readouterr().err
