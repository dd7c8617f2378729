"""How probable it is that a translation is good: fitted, kept with the model, told with each translation."""

from __future__ import annotations

import io
import json
import math
import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_translation import stream, translator

from nmt import cli
from nmt.errors import UserError
from nmt.model_files import sealed_values
from nmt.model_folder import BUNDLED, CONFIDENCE, CONFIG, read_confidence, write_confidence
from nmt.scores.confidence import GOOD, LEAST, SOFTENING, Confidence, calibration_error, fit_confidence
from nmt.search.runaway import ran_away
from nmt.translation.translator import Translator

KNOWN = Confidence(-2.0, 3.0, 1000, 0.7, 0.02)
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs a command in this process: exit status, standard output, standard error."""

    def run(*arguments: object, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        status = cli.main([str(argument) for argument in arguments])
        sys.stdout.flush()
        captured = capfd.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundled model's folder that can be changed."""
    return shutil.copytree(BUNDLED / "de-en", tmp_path / "de-en")


def made_up(count: int, intercept: float, slope: float) -> tuple[list[list[float]], list[float]]:
    """Log-probabilities of translations, and chrF2 that follow the relation."""
    draw = np.random.default_rng(5)
    lost = draw.exponential(0.5, count)
    probability = 1 / (1 + np.exp(-(intercept - slope * np.log(SOFTENING + lost))))
    return [[-2 * one, 0.0] for one in lost], np.where(draw.random(count) < probability, GOOD, GOOD - 1).tolist()


def test_a_fit_recovers_what_the_data_were_made_with() -> None:
    log_probs, chrf = made_up(20_000, -1.0, 2.0)
    found = fit_confidence(log_probs, chrf)
    assert found is not None
    assert (found.intercept, found.slope) == pytest.approx((-1, 2), abs=0.1)
    assert found.sentences == 20_000 and found.good == pytest.approx(np.mean(np.array(chrf) >= GOOD))
    assert found.error < 0.02
    predicted = np.array([found.of(own) for own in log_probs])
    good = np.array(chrf) >= GOOD
    assert calibration_error(predicted, good) < 0.02 < 0.1 < calibration_error(predicted / 2, good)


@pytest.mark.parametrize("chrf", [[100.0] * LEAST, [0.0] * LEAST, [0.0, 100.0] * (LEAST // 2), list(range(LEAST))])
def test_a_higher_probability_is_never_a_lower_confidence(chrf: list[float]) -> None:
    """Also where all are good, or bad, or the probable ones are the worse ones."""
    found = fit_confidence([[-0.01 * number] for number in range(LEAST)], chrf)
    assert found is not None
    told = [found.of([mean]) for mean in (math.nan, -math.inf, -1e9, -10, -1, -0.1, -1e-6, 0)]
    assert told == sorted(told) and all(0 <= one <= 1 for one in told)
    assert Confidence.of_values(found.values()) == found
    equal = fit_confidence([[-0.5]] * LEAST, chrf)
    assert equal is not None and equal.of([-0.5]) == pytest.approx(np.mean(np.array(chrf) >= GOOD), abs=0.02)


def test_a_few_translations_are_not_enough() -> None:
    assert fit_confidence([[-0.1]] * LEAST, [60.0] * LEAST) is not None
    assert fit_confidence([[-0.1]] * (LEAST - 1) + [[]], [60.0] * LEAST) is None


def test_a_model_folder_keeps_it(tmp_path: Path) -> None:
    assert read_confidence(tmp_path) is None
    (tmp_path / CONFIG).touch()
    write_confidence(tmp_path, KNOWN)
    assert read_confidence(tmp_path) == KNOWN
    write_confidence(tmp_path, None)
    assert read_confidence(tmp_path) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"slope": math.nan}, "`slope` must be a number from 0 to 1e\\+06, but is nan"),
        ({"slope": -1.0}, "`slope` must be"),
        ({"intercept": 1e300}, "`intercept` must be"),
        ({"intercept": 10**300}, "`intercept` must be"),
        ({"intercept": "9" * 9000}, "`intercept` must be a number from -1e\\+06 to 1e\\+06, but is 9{60}"),
        ({"sentences": True}, "`sentences` must be"),
        ({"error": None}, "`error` must be"),
        ({"format": 2}, "it must have format 1, but has 2"),
    ],
)
def test_values_that_cannot_be_right(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    (tmp_path / CONFIDENCE).write_text(json.dumps(sealed_values({**KNOWN.values(), **changes})))
    with pytest.raises(UserError, match=rf"is damaged: `confidence.json`: {message}.*; delete it, and `nmt evaluate"):
        read_confidence(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "[" * 100_000, "{}", json.dumps({**KNOWN.values(), "checksum": "0"})])
def test_what_is_no_calibration(content: str, folder: Path, command: Command) -> None:
    (folder / CONFIDENCE).write_text(content)
    status, out, err = command("translate", "--model", folder, stdin="Hallo.\n")
    assert (status, out, err.count("\n")) == (2, "", 1) and "`confidence.json`" in err


def test_an_older_model_has_none(folder: Path, command: Command) -> None:
    (folder / CONFIDENCE).unlink()
    lines = "Es ist kalt.\n\nEs ist kalt. Der Hund schläft.\n"
    status, out, err = command("translate", "--model", folder, "--json", stdin=lines)
    assert (status, err) == (0, "")
    assert [json.loads(line)["confidence"] for line in out.splitlines()] == [None] * 3
    status, out, err = command("translate", "--model", folder, "--warn-below", "0.5", stdin=lines)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "`nmt evaluate MODEL --calibrate --source FILE --reference FILE`" in err
    assert Translator.load(["de-en", "de-en"]).confidence is None


def test_a_translation_does_not_depend_on_its_neighbours_and_a_line_is_all_its_sentences() -> None:
    model = Translator.load("de-en")
    lines = ["Es ist kalt.", "Der Hund schläft auf dem alten Sofa.", "Zwirbel flurz gnarp ölt.", "", "Wie geht es dir?"]
    told = [one.confidence for one in model.translate(lines)]
    assert told == pytest.approx([model.translate([line])[0].confidence for line in lines], abs=1e-4)
    kalt, hund, nonsense, blank, _ = told
    assert kalt and hund and nonsense is not None
    assert kalt > 0.7 and nonsense < 0.3 and blank == 1
    (joined,) = model.translate([f"{lines[0]} {lines[1]}"])
    assert joined.confidence == pytest.approx(kalt * hund, abs=1e-4)
    n_best = model.translate_n_best(lines[:1], 3)[0]
    assert [one.confidence for one in n_best] == pytest.approx(
        [model.confidence and model.confidence.of(one.token_log_probs) for one in n_best]
    )


def test_what_ran_away_has_no_chance() -> None:
    model = Translator.load("en-de")
    lines = ["GRMPF KLIRR SCHNURR BRAZZ XQZ!", "This car only takes 100,000 yen zzgl xq-12 ☃☃☃."]
    found = model.translate(lines, retry=False, max_length_factor=0.0, max_length_offset=3)
    assert all(
        ran_away(model.encode([line])[0], one.tokens, one.finished) for line, one in zip(lines, found, strict=True)
    )
    assert [one.confidence for one in found] == [0, 0]


def test_a_model_without_it_is_calibrated_once(folder: Path, tmp_path: Path, command: Command) -> None:
    (folder / CONFIDENCE).unlink()
    words = random.Random(3)
    sources = [
        f"Der {words.choice(['Hund', 'Ball', 'Zug', 'Xq'])} ist {words.choice(['kalt', 'alt'])}." for _ in range(LEAST)
    ]
    (tmp_path / "de").write_text("".join(f"{line}\n" for line in sources))
    (tmp_path / "en").write_text("The dog is old.\n" * LEAST)
    given = ["--source", tmp_path / "de", "--reference", tmp_path / "en", "--beam-size", "1"]
    status, out, err = command("evaluate", folder, "--calibrate", *given)
    assert status == 0 and "BLEU" in out
    assert f"fitted to {LEAST} translations" in err
    found = read_confidence(folder)
    assert found is not None and found.sentences == LEAST
    assert command("translate", "--model", folder, "--warn-below", "1", stdin="Es ist kalt.\n")[2].startswith(
        "translate: line 1: confidence 0."
    )
    (tmp_path / "de").write_text("Es ist kalt.\n")
    (tmp_path / "en").write_text("It is cold.\n")
    status, _, err = command("evaluate", folder, "--calibrate", *given)
    assert status == 2 and f"at least {LEAST} sentences, but the set has 1" in err
    status, _, err = command("evaluate", folder, "--calibrate", *given, "--method", "sampling")
    assert status == 2 and "needs the translations of beam search" in err
    status, _, err = command("evaluate", folder, folder, "--calibrate", *given)
    assert status == 2 and "--calibrate needs a single MODEL" in err


LINES = "Es ist kalt.\nDer Ausschuss vertagte die Anhörung auf unbestimmte Zeit.\n\nWie geht es dir?\n"
NAMED = "translate: line 2: confidence 0."


def test_doubtful_lines_are_named(tmp_path: Path, command: Command) -> None:
    status, plain, err = command("translate", "--model", "de-en", "--warn-below", "0.3", stdin=LINES)
    assert (status, err.count("\n")) == (0, 1)
    assert err.startswith(NAMED) and err.endswith('"\n')
    assert plain == command("translate", "--model", "de-en", stdin=LINES)[1]
    (tmp_path / "in").write_text(LINES)
    files = ["--input", tmp_path / "in", "--output", tmp_path / "out"]
    assert command("translate", "--model", "de-en", "--json", "--warn-below", "0.3", *files) == (0, "", err)
    records = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    assert [record["text"] for record in records] == plain.splitlines()
    assert [record["confidence"] < 0.3 for record in records] == [False, True, False, False]


def test_lines_that_are_done_are_not_named_again(tmp_path: Path, command: Command) -> None:
    (tmp_path / "in").write_text(LINES * 2)
    given = ["--model", "de-en", "--input", tmp_path / "in", "--output", tmp_path / "out"]
    command("translate", *given)
    whole = (tmp_path / "out").read_text()
    (tmp_path / "out").write_text("".join(whole.splitlines(keepends=True)[:4]))
    status, _, err = command("translate", *given, "--resume", "--warn-below", "0.3")
    assert status == 0 and err.startswith(NAMED.replace("line 2", "line 6")) and err.count("\n") == 1
    assert (tmp_path / "out").read_text() == whole


def test_a_warning_is_one_short_line() -> None:
    model = translator()
    model.confidence = KNOWN
    out, warnings = stream(b"ab\n" + b"c" * 300 + b"\n", model, warn_below=1.0, max_length=300)
    assert len(warnings) == 2 and len(out.splitlines()[1]) == 300
    assert warnings[0] == f'line 1: confidence {model.confidence.of([-0.1, -0.1, -0.5]):.2f}: "AB"'
    assert len(warnings[1]) < 250
    assert stream(b"ab\n\n", model, warn_below=0.0)[1] == []


@pytest.mark.parametrize("value", ["1.5", "-0.1", "nan"])
def test_a_probability_is_between_0_and_1(value: str, command: Command) -> None:
    status, out, err = command("translate", "--model", "de-en", f"--warn-below={value}", stdin="Hallo.\n")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "`warn_below` must be from 0 to 1" in err
