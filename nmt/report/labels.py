"""The report of an evaluation of labels: scores, a table of the labels, the confusion matrix, the surest mistakes."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nmt.data.examples import Texts
from nmt.model_folder import ModelFolder
from nmt.prediction.predictor import Prediction
from nmt.report.blocks import Block, Document, Section, Table, section
from nmt.report.rendering import to_html, to_markdown, write_folder
from nmt.scores.labels import LabelScores, f1_scores

SHOWN_LABELS = 40
"""Largest confusion matrix in the report; `report.json` has a larger one."""

SHOWN_MISTAKES = 50


def write_label_report(
    options: argparse.Namespace,
    folder: ModelFolder,
    subtitle: str,
    scores: LabelScores,
    texts: Texts,
    predictions: Sequence[Prediction],
) -> None:
    """Write report.html, report.md and report.json into the folder `options.report`.

    Raises UserError if it cannot be written.
    """
    headline = [(score.name, f"{score.value:.2f}", f"95 %: {score.interval}") for score in scores.scores.values()]
    sections = [section("Labels", *_labels(scores), command=options.command_line), *_mistakes(texts, predictions)]
    document = Document(f"{folder.config.kind.title.capitalize()} {folder.path.name}", subtitle, headline, sections)
    examples = [
        {"text": found.text, "label": gold, "predicted": found.label, "probability": found.probability}
        for gold, found in zip(texts.targets, predictions, strict=True)
    ]
    content = {"command": options.command_line, **scores.values(), "examples": examples}
    files = {
        "report.json": json.dumps(content, ensure_ascii=False, indent=1) + "\n",
        "report.md": to_markdown(document),
        "report.html": to_html(document),
    }
    write_folder(Path(options.report), files)


def _labels(scores: LabelScores) -> list[Block | str]:
    """Precision, recall and F1 of each label, and the confusion matrix."""
    names, confusion = list(scores.labels), scores.confusion
    right, gold, predicted, f1 = np.diag(confusion), confusion.sum(1), confusion.sum(0), f1_scores(confusion)
    rows = [
        [
            names[number],
            f"{100 * right[number] / max(1, predicted[number]):.2f}",
            f"{100 * right[number] / max(1, gold[number]):.2f}",
            f"{100 * f1[number]:.2f}",
            f"{gold[number]:,}",
        ]
        for number in np.argsort(-gold, kind="stable")
    ]
    blocks: list[Block | str] = [Table(["label", "precision", "recall", "F1", "examples"], rows, range(1, 5))]
    if len(names) <= SHOWN_LABELS:
        cells = [[name, *(f"{count:,}" for count in row)] for name, row in zip(names, confusion.tolist(), strict=True)]
        blocks += [
            "Confusion matrix: a row for each right label, a column for each predicted one.",
            Table(["", *names], cells, range(1, len(names) + 1)),
        ]
    return blocks


def _mistakes(texts: Texts, predictions: Sequence[Prediction]) -> list[Section]:
    """The wrong predictions of which the model was surest."""
    wrong = [(found, gold) for gold, found in zip(texts.targets, predictions, strict=True) if found.label != gold]
    wrong.sort(key=lambda pair: -pair[0].probability)
    rows = [[found.text, gold, found.label, f"{found.probability:.2f}"] for found, gold in wrong[:SHOWN_MISTAKES]]
    if not rows:
        return []
    said = f"{len(wrong):,} of {len(predictions):,} examples are wrong; these are the surest mistakes."
    return [section("Mistakes", said, Table(["text", "right", "predicted", "probability"], rows, [3]))]
