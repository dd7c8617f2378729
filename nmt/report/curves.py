"""The course of a training: what a run folder's `metrics.jsonl` recorded."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmt.errors import UserError
from nmt.text.reading import iterate_lines

METRICS = "metrics.jsonl"

Record = dict[str, Any]


@dataclass
class Curves:
    """The records of a training, each with its `update`."""

    path: Path
    training: list[Record]
    validation: list[Record]


def find_metrics(model: Path) -> Path | None:
    """The records of the run that a model folder belongs to: of the run folder itself, or of the one around it."""
    for folder in (model, model.parent, model.parent.parent):
        if (folder / METRICS).is_file() and (folder / "config.toml").is_file():
            return folder / METRICS
    return None


def read_curves(path: Path) -> Curves:
    """Read `metrics.jsonl`. The last line of a run that is still going on may be half written, and is left out.

    Raises UserError naming the line that is no record.
    """
    records: list[Record] = []
    lines = list(iterate_lines(path))
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line, parse_constant=lambda name: None)  # a loss that was no number
            record["update"] + 0  # every record has its place on the x axis
        except (ValueError, KeyError, TypeError):
            if number == len(lines):
                break
            raise UserError(f"`{path}` line {number} is not a record of a training; remove the line") from None
        records.append(record)
    return Curves(
        path,
        [record for record in records if record.get("kind") == "training"],
        [record for record in records if record.get("kind") == "validation"],
    )
