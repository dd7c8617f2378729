"""The notebooks run from top to bottom, on toy sizes: all code cells of each, and what a notebook would show."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import matplotlib.pyplot
import pytest
import torch

from nmt.data.captions import captions
from nmt.inspection import bottleneck

FOLDER = Path(__file__).parent.parent / "examples" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))

SMALL: dict[str, dict[str, Any]] = {
    "01-elman-network": {"UNITS": 16, "STEPS": 100},
    "02-vanishing-gradients": {"LENGTH": 8, "UNITS": 8},
    "03-gates": {"UNITS": 16},
    "04-sequence-to-sequence": {"PAIRS": 64, "EPOCHS": 1, "UNITS": 16, "LENGTHS": (5, 6)},
    "05-attention": {"UNITS": 16},
    "06-beam-search": {"SIZES": (1, 2)},
    "07-subwords-and-bleu": {},
    "08-interpretable-units": {"LINES": 60, "EPOCHS": 1, "UNITS": 16},
    "09-your-own-translator": {"EPOCHS": 1, "UNITS": 16},
}
"""The sizes in the cell of parameters, in place of those for a reader."""
TRAINS = {name for name, sizes in SMALL.items() if "EPOCHS" in sizes or name in ("03-gates", "05-attention")}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few captions, in place of all of them."""
    folder = tmp_path_factory.mktemp("captions")
    for split, pairs in captions("de", "en").items():
        for side, language in enumerate(("de", "en")):
            lines = [pair[side] for pair in pairs[: 300 if split == "train" else 8]]
            (folder / f"{split}.{language}").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def cells(notebook: Path, kind: str) -> list[dict[str, Any]]:
    found = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in found if cell["cell_type"] == kind]


def execute(source: str, names: dict[str, Any]) -> None:
    """Run a cell, and show the value of its last expression as a notebook does."""
    statements = ast.parse(source).body
    last = statements.pop() if isinstance(statements[-1], ast.Expr) else None
    exec(compile(ast.Module(statements, []), "cell", "exec"), names)
    if last is not None:
        value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
        html = getattr(value, "_repr_html_", None)
        assert html() if html else repr(value)


@pytest.mark.parametrize(
    "notebook",
    [pytest.param(one, marks=[pytest.mark.slow] if one.stem in TRAINS else [], id=one.stem) for one in NOTEBOOKS],
)
def test_a_notebook_runs(
    notebook: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    matplotlib.use("Agg")
    torch.set_num_threads(1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    for split, count in {"train": 64, "validation": 4, "test": 4}.items():
        monkeypatch.setitem(bottleneck.PAIRS, split, count)
    names: dict[str, Any] = {"__name__": "__main__"}
    try:
        for cell in cells(notebook, "code"):
            execute("".join(cell["source"]), names)
            if "parameters" in cell["metadata"].get("tags", ()):
                sizes = {**SMALL[notebook.stem], **({"DATA": str(corpus)} if "DATA" in names else {})}
                assert set(sizes) <= set(names)
                names |= sizes
    finally:
        matplotlib.pyplot.close("all")


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_short_clean_and_has_exercises(notebook: Path) -> None:
    content = json.loads(notebook.read_text(encoding="utf-8"))
    assert len(content["cells"]) < 15
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells(notebook, "code"))
    text = "\n".join("".join(cell["source"]) for cell in cells(notebook, "markdown"))
    assert "](README.md)" in text and text.startswith("# ")
    questions = len(re.findall(r"^\d\. ", text.partition("## Exercises")[2], re.M))
    assert (
        questions >= 3 and text.count("<details><summary>solution</summary>") == text.count("</details>") == questions
    )
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
        assert (FOLDER / target).exists(), target


def test_every_notebook_has_small_sizes_and_a_line_in_the_overview() -> None:
    overview = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert [one.stem for one in NOTEBOOKS] == sorted(SMALL)
    assert all(f"({one.name})" in overview for one in NOTEBOOKS)


def test_an_address_gives_every_notebook_its_badge_and_none_takes_it_back(tmp_path: Path) -> None:
    root = FOLDER.parent.parent
    shutil.copytree(FOLDER, tmp_path / "examples" / "notebooks")
    for name in ("pyproject.toml", "CITATION.cff"):
        shutil.copy(root / name, tmp_path)
    files = [path for path in sorted(tmp_path.rglob("*.*")) if path.is_file()]
    before = {path: path.read_bytes() for path in files}

    def set_address(*arguments: str) -> None:
        subprocess.run([root / "scripts" / "set-address", "--root", tmp_path, *arguments], check=True)

    set_address("https://github.com/first/one")
    set_address("https://github.com/second/two.git", "--branch", "course")
    assert tomllib.loads((tmp_path / "pyproject.toml").read_text())["project"]["urls"] == {
        "Repository": "https://github.com/second/two"
    }
    assert (tmp_path / "CITATION.cff").read_text().count('repository-code: "https://github.com/second/two"\n') == 1
    for notebook in sorted(tmp_path.rglob("*.ipynb")):
        content = json.loads(notebook.read_text(encoding="utf-8"))
        title, install = content["cells"][:2]
        place = f"https://colab.research.google.com/github/second/two/blob/course/examples/notebooks/{notebook.name}"
        assert f"({place})" in "".join(title["source"]) and "first/one" not in notebook.read_text(encoding="utf-8")
        assert len(content["cells"]) < 15 and len({cell["id"] for cell in content["cells"]}) == len(content["cells"])
        assert "git+https://github.com/second/two@course" in "".join(install["source"])
        execute("".join(install["source"]), {})  # the package is installed, so nothing is loaded
    set_address("none")
    assert {path: path.read_bytes() for path in files} == before
