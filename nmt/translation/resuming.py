"""Continuing an incomplete output file: finds which of its lines are complete and belong to the input."""

from __future__ import annotations

import io
import json
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from nmt.errors import UserError
from nmt.text.files import COMPRESSED
from nmt.translation.line_stream import LineReader, translate_stream
from nmt.translation.translator import Translator

COMPARED = 3
"""Number of last lines that are translated again to check that they belong to this input and these settings."""


class Done(NamedTuple):
    """The complete part of an output file."""

    lines: int = 0
    """Lines of input whose translations are complete."""
    bytes: int = 0
    """Length of these translations."""


def find_done(path: Path, reader: LineReader, translator: Translator, settings: dict[str, Any]) -> Done:
    """Find the complete part of an output file, and read the input up to there. A missing file counts as empty.

    Raises UserError when the file cannot be the beginning of this translation: it has another format or more lines
    than the input, or all of its last complete lines would now be translated differently.

        settings: the options of `translate_stream`
    """
    if not path.exists():
        return Done()
    if path.suffix.lower() in COMPRESSED:
        raise UserError(f"--resume cannot go on with `{path}`, as it is compressed; write to a plain file")
    lines = size = 0
    last: deque[tuple[bytes, bytes]] = deque(maxlen=COMPARED)
    for written in _complete(path, settings, reader.first + 1):
        asked = reader.window(1)
        if not asked:
            raise _other(path, f"has {lines + 1} lines or more, but the input {lines}")
        lines, size = lines + 1, size + len(written)
        last.append((asked[0], written))
    if last and not _agrees(last, translator, settings):
        number = f"line {lines}" if len(last) == 1 else f"lines {lines - len(last) + 1} to {lines}"
        raise _other(path, f"has other translations in {number} than this input and these options give")
    return Done(lines, size)


def _complete(path: Path, settings: dict[str, Any], first: int) -> Iterator[bytes]:
    """The output for each line of input, up to the last line that is certainly complete.

    first: number of the first line
    """
    with path.open("rb") as file:
        complete = (line for line in file if line.endswith(b"\n"))
        if settings["json"]:
            for number, line in enumerate(complete, first):
                if _number_in_json(line) != number:
                    raise _other(path, f"does not go on with the JSON object of line {number}")
                yield line
        elif settings["n_best"] is None:
            yield from complete
        else:
            number, group = first, b""
            for line in complete:
                found = re.match(rb"(\d+)\t\d+\t-?(?:[\d.]+|inf)\t", line)
                if found is None or int(found[1]) not in (number, number + 1):
                    raise _other(path, f"does not go on with the n-best list of line {number} or {number + 1}")
                if int(found[1]) == number + 1:
                    yield group
                    number, group = number + 1, b""
                group += line


def _number_in_json(line: bytes) -> object:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record.get("line") if isinstance(record, dict) else None


def _agrees(last: deque[tuple[bytes, bytes]], translator: Translator, settings: dict[str, Any]) -> bool:
    """Whether one of the lines that are not blank has the same translation as before, and blank lines are blank.

    Only texts are compared, because line numbers differ now and scores may differ in their last digits.
    """
    pairs, quiet = [], {**settings, "warn": lambda line: None, "strict": False}
    for asked, written in last:
        output = io.BytesIO()
        translate_stream(translator, io.BytesIO(asked + b"\n"), output, **quiet)
        pairs.append((_text(written, settings), _text(output.getvalue(), settings)))
    blank = [was for was, now in pairs if not now]
    same = [was == now for was, now in pairs if now]
    return not any(blank) and (any(same) or not same)


def _text(written: bytes, settings: dict[str, Any]) -> str:
    """The best translation in the output for a line."""
    line = written.decode("utf-8", "replace").partition("\n")[0]
    if settings["json"]:
        return str(json.loads(line).get("text"))
    return line if settings["n_best"] is None else line.split("\t")[3]


def _other(path: Path, why: str) -> UserError:
    return UserError(f"--resume cannot go on with `{path}`: it {why}; choose another --output, or leave out --resume")
