"""scripts/reproduce: pairs, training, scores and the table of a row."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from runs import load_script
from toys import toy_config, write_reversal

from nmt.config import write_config
from nmt.errors import UserError


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, with a small row that learns from pairs that models of its teacher's kind make."""
    module: ModuleType = load_script("reproduce")
    monkeypatch.setattr(module, "CONFIGS", tmp_path / "configs")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    write_reversal(tmp_path / "data")
    extra: list[dict[str, Any]]
    extra = [{"path": "runs/diversified", "split": split} for split in ("src-rev", "rev-src")]
    extra += [{"path": "text", "files": {"train": ["data/train.src", "data/train.rev"]}}]  # not made by models
    data = {"source": "src", "target": "rev", "extra": extra}
    row = toy_config(tmp_path / "data", data=data, training={"epochs": 8})
    teacher = toy_config(tmp_path / "elsewhere", training={"epochs": 8})
    for name, config in (("row", row), ("teacher", teacher)):
        (tmp_path / "configs" / f"{name}.toml").write_text(write_config(config))
    return module


def run(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> list[list[str]]:
    """The cells of the table that a call prints."""
    monkeypatch.setattr(sys, "argv", ["reproduce", *arguments])
    capsys.readouterr()
    script.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("signature: nrefs:1|")
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]


def test_a_row_with_its_pairs(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    head, _, one, two, mean, deviation = run(script, monkeypatch, capsys, "row", "--seeds", "1", "2")
    assert [row[0] for row in (one, two, mean, deviation)] == [
        "row, seed 1",
        "row, seed 2",
        "mean",
        "standard deviation",
    ]
    column = head.index("chrF2")
    scores = [float(row[column]) for row in (one, two)]
    assert scores[0] != scores[1]
    assert float(mean[column]) == pytest.approx(sum(scores) / 2, abs=0.01)
    assert float(deviation[column]) == pytest.approx(abs(scores[0] - scores[1]) / 2**0.5, abs=0.01)
    low, high = map(float, one[head.index("95 %")].split(" to "))
    assert low <= float(one[head.index("BLEU")]) <= high
    assert (tmp_path / "runs" / "diversified" / "rev-src.src").exists()
    made = [*tmp_path.glob("runs/**/model.safetensors"), *tmp_path.glob("runs/diversified/*.*")]
    assert len(made) == 2 * (2 + 1 + 2 * script.TEACHERS) + 4  # best and last of each run, and the pairs
    times = {path: path.stat().st_mtime_ns for path in made}
    assert run(script, monkeypatch, capsys, "row", "--seeds", "1", "2")[2:] == [one, two, mean, deviation]
    assert {path: path.stat().st_mtime_ns for path in made} == times


def test_an_unknown_row(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["reproduce", "else"])
    with pytest.raises(UserError, match="row, teacher"):
        script.main()
