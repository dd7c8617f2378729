"""What Python and notebooks get: the public names, inspections as objects, and results that print as short tables."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from toys import SMALL, write_reversal

import nmt
from nmt import cli
from nmt.errors import UserError


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> nmt.config.Config:
    data = {**SMALL["data"], "path": str(write_reversal(tmp_path_factory.mktemp("data")))}
    training = {"epochs": 1, "best_by": "bleu", "noise": 0.0}
    return nmt.load_config(
        {**SMALL, "data": data, "training": SMALL["training"] | training},
        ["model.attention=dot", "vocabulary.copied_spans=0"],
    )


@pytest.fixture(scope="module")
def run(config: nmt.config.Config, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A training from Python: its best model, and what it said."""
    said: list[str] = []
    output = tmp_path_factory.mktemp("runs") / "toy"
    return {"best": nmt.train(config, str(output), threads=1, say=said.append), "said": said, "folder": output}


def test_the_package_needs_torch_only_where_something_does() -> None:
    code = "import nmt, sys; nmt.load_config({}); nmt.Translator, nmt.Predictor; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert all(hasattr(nmt, name) for name in nmt.__all__) and set(nmt.__all__) <= set(dir(nmt))
    with pytest.raises(AttributeError, match="has no attribute 'teach'"):
        _ = nmt.teach  # type: ignore[attr-defined]


def test_a_configuration_may_be_a_dictionary(tmp_path: Path) -> None:
    values = {"model": {"cell": "gru", "hidden_size": 64}}
    (tmp_path / "same.toml").write_text('[model]\ncell = "gru"\nhidden_size = 64\n')
    settings = ["training.epochs=3"]
    assert nmt.load_config(values, settings) == nmt.load_config(tmp_path / "same.toml", settings)
    assert values == {"model": {"cell": "gru", "hidden_size": 64}}
    with pytest.raises(UserError, match=r"^configuration: `model.cell` must be one of"):
        nmt.load_config({"model": {"cell": "gruu"}})


def test_validations_show_translations_of_the_model(run: dict[str, Any]) -> None:
    records = map(json.loads, (run["folder"] / "metrics.jsonl").read_text().splitlines())
    samples = [record["samples"] for record in records if record["kind"] == "validation"][-1]
    translator = nmt.Translator.load(run["folder"] / "last")
    sources = (Path(translator_data(run)) / "val.src").read_text().splitlines()
    references = (Path(translator_data(run)) / "val.rev").read_text().splitlines()
    assert len(samples) == 2 and samples[0] != samples[1]
    for source, translation, reference in samples:
        assert references[sources.index(source)] == reference
        assert f"    {source} -> {translation} (reference: {reference})" in run["said"]
        assert translator.translate(source, beam_size=1, split_sentences=False).text == translation


def translator_data(run: dict[str, Any]) -> str:
    path: str = nmt.load_config(run["folder"] / "config.toml").data.path
    return path


def test_results_print_as_short_tables(run: dict[str, Any]) -> None:
    translator = nmt.Translator.load(run["best"])
    assert repr(translator).splitlines()[1].split() == ["languages", "src", "to", "rev"]
    assert '<td dir="auto">TorchEngine</td>' in translator._repr_html_()
    texts = ["a b", "<b>"]
    found = translator.translate(texts)
    assert translator.translate("a b") == found[0] and isinstance(found, list)
    head, *rows = repr(found).splitlines()
    assert head.split()[:3] == ["text", "translation", "score"]
    for text, row, one in zip(texts, rows, found, strict=True):
        assert row.startswith(f"{text:4}  {one.text}") and f"{one.score:.2f}" in row
        assert repr(one).startswith(f"Translation({one.text!r}, score={one.score:.2f}")
    assert '<td dir="auto">&lt;b&gt;</td>' in found._repr_html_()  # type: ignore[attr-defined]
    many = translator.translate(["a"] * 30)
    assert repr(many).splitlines()[-1] == "... 10 more" and len(repr(many).splitlines()) == 22
    many.pop()  # the texts no longer belong to the results
    assert repr(many).splitlines()[1].split()[0] == (many[0].text.split() or [f"{many[0].score:.2f}"])[0]
    assert repr(translator.translate([])) == ""


def test_an_inspection_in_python_is_that_of_the_command(run: dict[str, Any], tmp_path: Path) -> None:
    attention = nmt.inspect.attention(run["folder"], ["a b c", "d e"], beam_size=2, threads=1)
    command = f"inspect attention {run['folder']} --sentence 'a b c' --sentence 'd e' --beam-size 2 --threads 1"
    picture = tmp_path / "slide.PDF"
    assert cli.main(shlex.split(f"{command} --output {tmp_path} --figure {picture}")) == 0
    written = json.loads((tmp_path / "attention.json").read_text())
    assert [one["alignment"] for one in written["sentences"]] == [
        one["alignment"] for one in attention.numbers["sentences"]
    ]
    assert picture.read_bytes().startswith(b"%PDF")
    assert attention.save(tmp_path / "one.svg").read_text().startswith("<?xml")
    assert attention.save(tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")
    assert repr(attention) == "\n".join([attention.title, *attention.summary])
    assert len(attention.figure.axes) == 3  # two sentences and the scale
    framed = attention._repr_html_()
    assert framed.startswith('<iframe srcdoc="&lt;!doctype html&gt;') and framed.count('"') == 4
    assert "attention.json" not in framed and "beside" not in framed


def test_pictures_have_three_formats(run: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["inspect", "attention", str(run["folder"]), "--output", str(tmp_path / "out")]
    assert cli.main([*command, "--figure", str(tmp_path / "a.gif")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "must end in .svg, .pdf, .png, but is" in error
    assert not (tmp_path / "out").exists()
    inspection = nmt.inspect.gradient_flow(cells=["gru"], initializations=["orthogonal"], length=4, hidden_size=4)
    with pytest.raises(UserError, match="cannot be written: No such file"):
        inspection.save(tmp_path / "missing" / "a.svg")
