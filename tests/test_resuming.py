"""Output that was cut off: what is complete is kept, and what is of another input or other settings is refused."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from test_translation import translator

from nmt.errors import UserError
from nmt.translation.line_stream import LineReader, translate_stream
from nmt.translation.resuming import Done, find_done

SOURCE = b"".join(b"line %d\n\n" % number for number in range(20)) + b"last"


def settings(**given: Any) -> dict[str, Any]:
    return {"n_best": None, "json": False, "max_length": 50, "warn": print, **given}


@pytest.mark.parametrize("given", [{}, {"json": True}, {"n_best": 2}, {"n_best": 2, "json": True}])
def test_resumed_is_uninterrupted_wherever_it_was_cut(given: dict[str, Any], tmp_path: Path) -> None:
    output = io.BytesIO()
    translate_stream(translator(), io.BytesIO(SOURCE), output, **settings(**given))
    whole = output.getvalue()
    path = tmp_path / "out"
    for end in [0, 1, *range(2, len(whole), len(whole) // 25), len(whole)]:
        path.write_bytes(whole[:end])
        reader = LineReader(io.BytesIO(SOURCE))
        done = find_done(path, reader, translator(), settings(**given))
        rest = io.BytesIO()
        translate_stream(translator(), reader, rest, **settings(**given), first=done.lines + 1)
        assert done.bytes <= end
        assert whole[: done.bytes] + rest.getvalue() == whole


def test_no_file_is_an_empty_one(tmp_path: Path) -> None:
    assert find_done(tmp_path / "none", LineReader(io.BytesIO(SOURCE)), translator(), settings()) == Done()


@pytest.mark.parametrize(
    ("content", "given", "message"),
    [
        ("LINE 0\n\nLINE 7\n", {}, None),  # one of the last lines fits
        ("LINE 0\n\nLINE 1\n\nLINE 8\nX\nLINE 7\n", {}, "it has other translations in lines 5 to 7 than this input"),
        ("LINE 0\n" + "\n" * 50, {}, "it has 42 lines or more, but the input 41"),
        ("LINE 0\n", {"json": True}, "it does not go on with the JSON object of line 1"),
        (json.dumps({"line": 2}) + "\n", {"json": True}, "it does not go on with the JSON object of line 1"),
        ("LINE 0\n", {"n_best": 2}, "it does not go on with the n-best list of line 1 or 2"),
        ("1\t1\t-1.0\ta\n3\t1\t-1.0\ta\n", {"n_best": 2}, "it does not go on with the n-best list of line 1 or 2"),
    ],
)
def test_what_cannot_be_the_beginning_is_refused(
    content: str, given: dict[str, Any], message: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "out"
    path.write_text(content)
    reader = LineReader(io.BytesIO(SOURCE))
    if message is None:
        assert find_done(path, reader, translator(), settings(**given)).lines == content.count("\n")
        return
    with pytest.raises(UserError, match=f"--resume cannot go on with `{path}`: {message}.*; choose another --output"):
        find_done(path, reader, translator(), settings(**given))


def test_a_compressed_file_is_not_resumed(tmp_path: Path) -> None:
    (tmp_path / "out.gz").write_bytes(b"x")
    with pytest.raises(UserError, match="as it is compressed; write to a plain file"):
        find_done(tmp_path / "out.gz", LineReader(io.BytesIO(SOURCE)), translator(), settings())
