"""Training curves, from the `metrics.jsonl` of a run folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nmt.errors import UserError
from nmt.text.reading import iterate_lines

METRICS = "metrics.jsonl"

Record = dict[str, Any]


def find_metrics(model: Path) -> Path | None:
    """The records of the run that a model folder belongs to, in the folder itself or in its parent folder."""
    for folder in (model, model.parent, model.parent.parent):
        if (folder / METRICS).is_file() and (folder / "config.toml").is_file():
            return folder / METRICS
    return None


def read_curves(path: Path) -> dict[str, list[Record]]:
    """The `training` and `validation` records of `metrics.jsonl`, each with the number of its `update`.

    In a run that is still going on, the last line may be incomplete; it is left out.

    Raises UserError naming a line that is not a record.
    """
    records: list[Record] = []
    lines = list(iterate_lines(path))
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line, parse_constant=lambda name: None)  # the loss was not a number
            record["update"] + 0  # every record needs a position on the x axis
        except (ValueError, KeyError, TypeError):
            if number == len(lines):
                break
            raise UserError(f"`{path}` line {number} is not a record of a training; remove the line") from None
        records.append(record)
    return {kind: [one for one in records if one.get("kind") == kind] for kind in ("training", "validation")}
