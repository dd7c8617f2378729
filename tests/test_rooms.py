"""The layout of the package: rooms in one order, imports in one direction, and a border between numpy and torch."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import nmt

PACKAGE = Path(nmt.__file__).parent
ROOMS = [
    *(
        "errors",
        "processors",
        "sizing",
        "config",
        "scores",
        "text",
        "search",
        "model_files",
        "model_folder",
        "translation",
        "prediction",
        "documents",
        "service",
    ),
    *("network", "data", "export", "tasks", "training", "report", "inspection", "inspect", "commands", "cli"),
]
"""Each imports only from itself and from those before it."""
WITHOUT_TORCH = ROOMS[: ROOMS.index("network")]
UPWARD = {
    ("translation", "nmt.network.torch_engine"),
    ("prediction", "nmt.network.torch_engine"),
    ("sizing", "nmt.config"),
}
"""The arrows against the direction: a model without an export is translated by torch, imported inside a function; the
rules of sizes name the configuration's type."""


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(path: Path) -> Iterator[tuple[ast.stmt, str]]:
    """Every import of a file, at its top or inside a function, and the module it names."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                within = PACKAGE.parent / node.module.replace(".", "/")
                submodule = (within / alias.name).is_dir() or (within / f"{alias.name}.py").exists()
                yield node, f"{node.module}.{alias.name}" if submodule else node.module


FILES = [
    path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.parent != PACKAGE or path.stem not in ("__init__", "__main__")
]


def test_every_file_has_a_room():
    assert {room_of(path) for path in FILES} == set(ROOMS) - {"models"}


@pytest.mark.parametrize("room", ROOMS)
def test_imports_go_one_way(room):
    above = ROOMS[: ROOMS.index(room) + 1]
    wrong = [
        f"{path.relative_to(PACKAGE)}:{statement.lineno} imports {name}"
        for path in FILES
        if room_of(path) == room
        for statement, name in imported(path)
        if name.startswith("nmt.") and name.split(".")[1] not in above and (room, name) not in UPWARD
    ]
    assert wrong == []


@pytest.mark.parametrize("room", WITHOUT_TORCH)
def test_upper_rooms_import_no_torch(room):
    wrong = [
        f"{path.relative_to(PACKAGE)}:{statement.lineno} imports {name}"
        for path in FILES
        if room_of(path) == room
        for statement, name in imported(path)
        if statement.col_offset == 0 and name.split(".")[0] in ("torch", "datasets", "onnx")
    ]
    assert wrong == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_function_is_longer_than_60_lines(path):
    functions = (node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.FunctionDef))
    sizes = {node.name: (node.end_lineno or 0) - node.lineno + 1 for node in functions}
    assert {name: size for name, size in sizes.items() if size > 60} == {}
