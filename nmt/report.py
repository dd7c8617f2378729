"""What is told about an evaluation: two lines on the terminal, `report.json` with everything, `report.md` to read."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nmt.errors import UserError
from nmt.evaluation import Evaluation

EXAMPLES_SEED = 1
"""Chooses the random examples, so that two systems on one set are shown on the same sentences."""

LONGEST_EXAMPLE = 1000
"""Characters of a sentence that `report.md` shows; `report.json` has all of them."""


def describe(evaluation: Evaluation) -> str:
    """Scores with intervals and their signatures, for a person at a terminal; no newline at the end."""
    width = max(len(score.name) for score in evaluation.scores)
    lines = [
        f"{score.name:{width}}  {score.value:6.2f}  (95 %: {score.low:.2f} to {score.high:.2f})"
        for score in evaluation.scores
    ]
    lines.append(_lengths(evaluation))
    lines += [f"signature {score.name}: {score.signature}" for score in evaluation.scores]
    lines += [f"note: {note}" for note in evaluation.notes]
    return "\n".join(lines)


def write_report(evaluation: Evaluation, folder: Path) -> None:
    """Write `report.json` and `report.md` into a folder, which is made when missing; each appears whole or not at all.

    Raises UserError if the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / "report.json", report_json(evaluation))
        _write(folder / "report.md", report_markdown(evaluation))
    except OSError as error:
        raise UserError(f"the report cannot be written to `{folder}`: {error.strerror or error}") from None


def report_json(evaluation: Evaluation) -> str:
    """Everything, every sentence with its own scores, as one JSON object."""
    sentences = [
        {
            "number": index + 1,
            "source": evaluation.sources[index] if evaluation.sources is not None else None,
            "references": [reference[index] for reference in evaluation.references],
            "hypothesis": hypothesis,
            "bleu": evaluation.sentence_scores[index].bleu,
            "chrf2": evaluation.sentence_scores[index].chrf,
        }
        for index, hypothesis in enumerate(evaluation.hypotheses)
    ]
    report = {
        "scores": [dataclasses.asdict(score) for score in evaluation.scores],
        "lengths": {
            "sentences": len(evaluation.hypotheses),
            "system": evaluation.system_length,
            "reference": evaluation.reference_length,
            "ratio": evaluation.length_ratio,
            "brevity_penalty": evaluation.brevity_penalty,
        },
        "precisions": evaluation.precisions,
        "settings": evaluation.settings,
        "notes": evaluation.notes,
        "sentences": sentences,
    }
    return json.dumps(report, ensure_ascii=False, indent=1, allow_nan=False, default=str) + "\n"


def report_markdown(evaluation: Evaluation) -> str:
    """Scores, settings, lengths and examples (best, worst, random) as Markdown that any text leaves intact."""
    lines = ["# Evaluation", "", "| score | value | 95 % interval |", "| --- | ---: | ---: |"]
    lines += [
        f"| {_cell(score.name)}{' (lower is better)' if score.name == 'TER' else ''} | {score.value:.2f} "
        f"| {score.low:.2f} to {score.high:.2f} |"
        for score in evaluation.scores
    ]
    lines += ["", _lengths(evaluation) + ".", "", "Signatures:", "", "```text"]
    lines += [f"{score.name}: {score.signature}" for score in evaluation.scores] + ["```"]
    if evaluation.notes:
        lines += ["", "Notes:", ""]
        lines += [f"- {_cell(note)}" for note in evaluation.notes]
    if evaluation.settings:
        lines += ["", "## Settings", "", "| setting | value |", "| --- | --- |"]
        lines += [f"| {_cell(str(name))} | {_cell(_setting(value))} |" for name, value in evaluation.settings.items()]
    for title, numbers in choose_examples(evaluation).items():
        if numbers:
            lines += ["", f"## {title}"]
        for number in numbers:
            lines += ["", *_example(evaluation, number)]
    return "\n".join(lines) + "\n"


def choose_examples(evaluation: Evaluation, count: int = 5) -> dict[str, list[int]]:
    """Sentences to show under their headings: the best, the worst, and twice as many of the rest at random.

    Ordered by sentence BLEU, then chrF, then length in favour of the longer reference, then place; the random ones
    depend only on the number of sentences and which of them are shown already.
    """

    def quality(index: int) -> tuple[float, float]:
        score = evaluation.sentence_scores[index]
        return score.bleu, score.chrf

    def length(index: int) -> int:
        return len(evaluation.references[0][index])

    indices = range(len(evaluation.hypotheses))
    best = sorted(indices, key=lambda index: (*(-value for value in quality(index)), -length(index)))[:count]
    worst = sorted(indices, key=lambda index: (*quality(index), -length(index)))
    worst = [index for index in worst if index not in best][:count]
    shuffled = list(indices)
    random.Random(EXAMPLES_SEED).shuffle(shuffled)
    rest = [index for index in shuffled if index not in best and index not in worst][: 2 * count]
    return {"Best sentences": best, "Worst sentences": worst, "Random sentences": sorted(rest)}


def _example(evaluation: Evaluation, index: int) -> list[str]:
    score = evaluation.sentence_scores[index]
    rows = [] if evaluation.sources is None else [("source", evaluation.sources[index])]
    several = len(evaluation.references) > 1
    for number, reference in enumerate(evaluation.references, start=1):
        rows.append((f"reference {number}" if several else "reference", reference[index]))
    rows.append(("hypothesis", evaluation.hypotheses[index]))
    lines = [f"| sentence {index + 1} | BLEU {score.bleu:.1f}, chrF2 {score.chrf:.1f} |", "| --- | --- |"]
    return lines + [f"| {name} | {_cell(text)} |" for name, text in rows]


def _lengths(evaluation: Evaluation) -> str:
    sentences = len(evaluation.hypotheses)
    precisions = "/".join(f"{precision:.1f}" for precision in evaluation.precisions)
    return (
        f"{sentences} sentence{'s' if sentences != 1 else ''}; length ratio {evaluation.length_ratio:.3f} "
        f"({evaluation.system_length} tokens for {evaluation.reference_length}), "
        f"brevity penalty {evaluation.brevity_penalty:.3f}, precisions {precisions}"
    )


def _setting(value: Any) -> str:
    if isinstance(value, dict | bool) or value is None:
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value))
    return str(value)


# Entities rather than backslashes: every Markdown reader takes them in table cells too, the pipe included.
_ENTITIES = {ord(character): f"&#{ord(character)};" for character in "\\`*[]<>|~&$"}
_LONE_UNDERSCORE = re.compile(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")  # inside a word it emphasises nothing
_BIDIRECTIONAL = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def _cell(text: str) -> str:
    """Any text as one line of Markdown that shows it literally; what cannot be seen is named by its code point."""
    if not text.strip():
        return "*(empty)*"
    if len(text) > LONGEST_EXAMPLE:
        return f"{_cell(text[:LONGEST_EXAMPLE])} *(cut: {len(text)} characters)*"
    visible = "".join(
        f"⟨U+{ord(character):04X}⟩"
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in _BIDIRECTIONAL
        else character
        for character in text
    )
    return _LONE_UNDERSCORE.sub("&#95;", visible.translate(_ENTITIES))


def _write(path: Path, text: str) -> None:
    """Replace a file in one step. A lone surrogate (never valid text) is written as its escape."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(text.encode("utf-8", "backslashreplace"))
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
