"""The results section of a model card (the README of a model folder): scores, test set and command."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from nmt.config import DecodingConfig
from nmt.model_folder import write_atomically
from nmt.report.rendering import code, escape
from nmt.report.sections import setting_text
from nmt.scores.evaluation import Evaluation

CARD = "README.md"
HEADING = "## Results"


def write_results(folder: Path, evaluation: Evaluation, say: Callable[[str], None]) -> None:
    """Write an evaluation into the card of the evaluated model; it replaces one of the same set and search settings.

    If the folder cannot be written, a message says so; the scores are printed in any case.
    """
    path = folder / CARD
    try:
        before = path.read_text("utf-8") if path.exists() else f"# {escape(folder.name)}\n"
        write_atomically(path, with_results(before, evaluation).encode("utf-8", "backslashreplace"))
    except (OSError, UnicodeDecodeError) as error:
        say(f"the model card `{path}` is left as it is: {getattr(error, 'strerror', None) or error}")


def with_results(card: str, evaluation: Evaluation) -> str:
    """The card with the evaluation in its results section; the rest of the card does not change."""
    title, text = _title(evaluation), _result(evaluation)
    start = re.search(rf"^{HEADING}$", card, re.MULTILINE)
    if start is None:
        return f"{card.rstrip()}\n\n{HEADING}\n\n### {title}\n\n{text}"
    end = re.compile(r"^#{1,2} ", re.MULTILINE).search(card, start.end())
    stop = end.start() if end else len(card)
    parts = re.split(r"^### ", card[start.end() : stop], flags=re.MULTILINE)
    new = f"{title}\n\n{text}\n"
    kept = [part if part.partition("\n")[0] != title else new for part in parts[1:]]
    if new not in kept:
        kept.append(new)
    section = "".join(f"### {part.rstrip()}\n\n" for part in kept)
    introduction = parts[0].strip("\n")
    introduction = f"{introduction}\n\n" if introduction else ""
    return f"{card[: start.end()]}\n\n{introduction}{section}{card[stop:]}".rstrip() + "\n"


def _title(evaluation: Evaluation) -> str:
    """The name of the set, the beam size, the export if it was used, and the search settings that were changed."""
    settings = evaluation.settings
    what = settings.get("data") or setting_text(settings.get("source", "a file"))
    search = [f"beam {settings['beam_size']}"] if "beam_size" in settings else []
    if str(settings.get("engine", "")).startswith("export"):
        search.append(settings["engine"])
    search += [
        f"{item.name} {setting_text(settings[item.name])}"
        for item in fields(DecodingConfig)
        if item.name not in ("beam_size", "batch_size") and settings.get(item.name, item.default) != item.default
    ]
    return escape("; ".join([str(what), *search]))


def _result(evaluation: Evaluation) -> str:
    rows = [
        f"| {escape(score.name)}{' (lower is better)' if score.name == 'TER' else ''} | {score.value:.2f} "
        f"| {score.interval} | {escape(score.signature)} |"
        for score in evaluation.scores
    ]
    command = evaluation.settings.get("command")
    made = f" Made by {code(str(command))}." if command else ""
    return "\n".join(
        [
            f"{len(evaluation.hypotheses):,} sentences.{made}",
            "",
            "| score | value | 95 % interval | signature |",
            "| --- | ---: | ---: | --- |",
            *rows,
            "",
        ]
    )
