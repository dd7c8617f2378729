"""What `nmt data` says about training data: lines for the terminal, and a folder with a page.

data.html    the page for a browser, like that of `nmt evaluate --report`
data.md      the same as Markdown
data.json    every number, and the samples
"""

from __future__ import annotations

import bisect
import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmt.config import Config
from nmt.data.survey import FINDINGS, Side, Split, Survey
from nmt.report import charts
from nmt.report.blocks import Document, Figure, Section, Table, section
from nmt.report.charts import Series
from nmt.report.rendering import to_html, to_markdown, write_folder
from nmt.sizing import LEARNING_CURVE, expectations
from nmt.text.pair_filters import SWITCHES
from nmt.training.display import duration

LENGTHS = (1, 3, 5, 8, 12, 17, 25, 40, 60)
"""The first number of words of each group of the chart."""
ADVICE = {
    "empty": "training drops them",
    "length": "break them into sentences; training drops those of more than `data.max_length` pieces",
    "ratio": "training drops those beyond `data.max_length_ratio`",
    "encoding": "read the original in its own encoding (`nmt import` does)",
    "script": "check that the columns are not swapped",
    "control": "nothing needs to be done",
    "near copy": "scores on validation and test are too good; `nmt import` makes splits without them",
}
"""What to do about a finding, apart from leaving the pairs out."""


@dataclass
class DataReport:
    """The survey and what follows from it."""

    survey: Survey
    name: str
    """The configuration, or the files."""
    config: Config
    """Resolved for the amount of text."""
    has_configuration: bool
    """Whether the data are those of a configuration; otherwise files that are not split."""
    minutes: float | None
    """What the training takes on this machine; None if it was not measured."""
    command: str


def describe(report: DataReport) -> list[str]:
    """Lines for the terminal."""
    survey = report.survey
    lines = [
        f"{split.name}: {split.pairs:,} pairs from {survey.languages[0]} to {survey.languages[1]}; words a sentence: "
        f"{_words(split.source)} and {_words(split.target)}"
        for split in survey.splits
    ]
    for split in survey.splits:
        for reason, count in split.found.counts.most_common():
            source, target, where = split.found.samples[reason][0]
            lines.append(f"{split.name}: {count:,} ({_percent(count, split.pairs)}) [{reason}] {FINDINGS[reason]}")
            lines.append(f"    {_short(source, 120)} | {_short(target, 120)} ({where})")
    lines += [_usable(report), *enough(report), *_what_to_do(report)]
    return lines


def enough(report: DataReport) -> list[str]:
    """Whether the text is enough, and how long its training takes."""
    pairs = report.survey.training.usable
    model, training = report.config.model, report.config.training
    expected = ", ".join(f"{bleu} if the text is like {text}" for text, bleu in expectations(pairs))
    lines = [f"{pairs:,} pairs: expect a BLEU of {expected}"]
    chosen = f"hidden size {model.hidden_size}, {training.epochs} epochs in batches of {training.batch_size:,}"
    if report.minutes is None:
        lines.append(f"training: {chosen}")
    else:
        lines.append(f"training takes {duration(report.minutes)} on this machine without validations ({chosen})")
    return lines


def _usable(report: DataReport) -> str:
    training = report.survey.training
    share = _percent(training.usable, training.pairs)
    return f"{training.name}: nothing was found in {training.usable:,} of {training.pairs:,} pairs ({share})"


def _what_to_do(report: DataReport) -> list[str]:
    """A line that names the filters."""
    found = [name for name in SWITCHES if report.survey.training.found.counts[name]]
    if not report.has_configuration:
        return ["`nmt import` leaves the others out and splits the rest"]
    missing = [name for name in found if name not in report.config.data.filters]
    return [f"to leave them out, write in [data]: filters = {json.dumps(found)}"] if missing else []


def _words(side: Side) -> str:
    return f"{side.words / max(1, side.lengths.total()):.1f}"


def _percent(count: int, of: int) -> str:
    share = 100 * count / max(1, of)
    if 99.95 <= share < 100:
        return "over 99.9 %"
    return f"{share:.1f} %" if share >= 0.1 or not count else f"{share:.2g} %"


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def write_data_report(report: DataReport, folder: Path) -> None:
    """Write the files into a folder. Raises UserError if it cannot be written."""
    document = make_document(report)
    page = to_html(document, numbers="data.json")
    write_folder(folder, {"data.json": data_json(report), "data.md": to_markdown(document), "data.html": page})


def make_document(report: DataReport) -> Document:
    """The page, from the numbers to single pairs."""
    survey, training = report.survey, report.survey.training
    first = expectations(training.usable)[0]
    headline = [
        ("pairs", f"{training.pairs:,}", f"from {survey.languages[0]} to {survey.languages[1]}"),
        ("without findings", _percent(training.usable, training.pairs), f"{training.usable:,} pairs"),
        ("expected BLEU", first[1].removeprefix("about "), f"if it is like {first[0]}"),
    ]
    if report.minutes is not None:
        headline.append(("training", duration(report.minutes).removeprefix("about "), "on this machine"))
    sections = [_amount(report), _enough(report), _findings(report), *_samples(report)]
    sections[0].command = report.command
    subtitle = "; ".join(f"{split.name} {split.pairs:,} pairs" for split in survey.splits)
    return Document(f"Data of {report.name}", subtitle, headline, sections)


def _amount(report: DataReport) -> Section:
    languages = report.survey.languages
    rows = [
        [split.name, language, f"{split.pairs:,}", f"{side.words:,}", f"{side.characters:,}", _words(side)]
        + [f"{side.longest_of(share):,}" for share in (0.5, 0.95, 1)]
        for split in report.survey.splits
        for language, side in zip(languages, (split.source, split.target), strict=True)
    ]
    head = ["split", "language", "pairs", "words", "characters", "words a sentence", "median", "95 %", "longest"]
    training = report.survey.training
    ranges = [f"{low}–{high - 1}" if high - 1 > low else f"{low}" for low, high in itertools.pairwise(LENGTHS)]
    names = [*ranges, f"{LENGTHS[-1]}+"]
    shares = [
        Series(language, _shares(side))
        for language, side in zip(languages, (training.source, training.target), strict=True)
    ]
    chart = charts.bar_chart("lengths of the sentences", names, shares, "words in a sentence", "% of the sentences")
    picture = Figure(chart, f"Lengths of the sentences of {training.name}.")
    return section("How much", Table(head, rows, range(2, 9)), picture)


def _shares(side: Side) -> list[float]:
    """The share of the sentences in each group of lengths, in per cent."""
    counts = [0] * len(LENGTHS)
    for length, count in side.lengths.items():
        counts[max(bisect.bisect(LENGTHS, length) - 1, 0)] += count
    return [100 * count / max(1, side.lengths.total()) for count in counts]


def _enough(report: DataReport) -> Section:
    rows = [
        [one.text, f"{one.pairs:,}", f"{one.bleu:.1f}", f"{one.minutes:.0f}"]
        for one in sorted(LEARNING_CURVE, key=lambda one: (one.text, one.pairs))
    ]
    return section(
        "Is it enough?",
        *(f"{_capital(line)}." for line in enough(report)),
        "The expectation lies between trainings that were measured: text from German to English, default settings, "
        "BLEU on held-out text of the same kind. Longer sentences and more different words need more pairs. A rough "
        "guideline: below 20 it is hard to see what is meant, from 30 on a translation can be understood, and from "
        "40 on it is good.",
        Table(["measured on", "pairs", "BLEU", "minutes of one core"], rows, (1, 2, 3)),
    )


def _findings(report: DataReport) -> Section:
    splits = report.survey.splits
    reasons = [name for name in FINDINGS if any(split.found.counts[name] for split in splits)]
    rows = [
        [reason, FINDINGS[reason], *(_count(split, reason) for split in splits), ADVICE.get(reason, "")]
        for reason in reasons
    ]
    head = ["finding", "what", *(split.name for split in splits), "what to do"]
    return section(
        "What was found",
        f"{_capital(_usable(report))}. A pair counts under everything that is found in it.",
        *([Table(head, rows, range(2, 2 + len(splits)))] if rows else []),
        *(f"{_capital(advice)}." for advice in _what_to_do(report)),
    )


def _count(split: Split, reason: str) -> str:
    count = split.found.counts[reason]
    return f"{count:,} ({_percent(count, split.pairs)})" if count else "0"


def _samples(report: DataReport) -> list[Section]:
    """A section with pairs for each finding, drawn at random."""
    languages = report.survey.languages
    sections = []
    for reason in FINDINGS:
        rows = [
            [split.name, _short(source, 300), _short(target, 300), where]
            for split in report.survey.splits
            for source, target, where in split.found.samples.get(reason, [])
        ]
        if rows:
            table = Table(["split", *languages, "where"], rows)
            sections.append(section(f"Samples: {reason}", f"{_capital(FINDINGS[reason])}.", table))
    return sections


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def data_json(report: DataReport) -> str:
    """Every number and the samples as one JSON object."""
    survey = report.survey
    content: dict[str, Any] = {
        "command": report.command,
        "languages": survey.languages,
        "expected_bleu": dict(expectations(survey.training.usable)),
        "training_minutes": report.minutes,
        "splits": {
            split.name: {
                "pairs": split.pairs,
                "usable": split.usable,
                **{
                    name: {
                        "words": side.words,
                        "characters": side.characters,
                        "lengths": dict(sorted(side.lengths.items())),
                    }
                    for name, side in (("source", split.source), ("target", split.target))
                },
                "findings": dict(split.found.counts.most_common()),
                "samples": split.found.samples,
            }
            for split in survey.splits
        },
    }
    return json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
