"""The output of an evaluation: a summary for the terminal, and a folder with a report.

report.html       the report for a browser: one file that needs no network, with a light and a dark style
report.md         the report without the charts, readable anywhere
report.json       every number and every sentence
hypothesis.txt    the scored translations; source.txt, reference.txt, baseline.1.txt: as sacrebleu and COMET read them
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from nmt.report.contents import Report, TrainingPart
from nmt.report.rendering import to_html, to_markdown, write_folder
from nmt.report.sections import Commands, describe_lengths, make_document
from nmt.scores.evaluation import Evaluation

__all__ = ["Commands", "Report", "describe", "report_json", "write_report"]


def describe(evaluation: Evaluation) -> str:
    """The scores with intervals and signatures as text for the terminal, without a newline at the end."""
    width = max(len(score.name) for score in evaluation.scores)
    lines = [f"{score.name:{width}}  {score.value:6.2f}  (95 %: {score.interval})" for score in evaluation.scores]
    lines.append(describe_lengths(evaluation))
    for comparison in evaluation.comparisons:
        lines += [
            f"{own.name} against `{comparison.baseline}`: {own.system:.2f} - {own.baseline:.2f} = "
            f"{own.system - own.baseline:+.2f}, {own.p_values()}"
            for own in comparison.differences
        ]
    lines += [f"signature {score.name}: {score.signature}" for score in evaluation.scores]
    lines += [f"note: {note}" for note in evaluation.notes]
    return "\n".join(lines)


def write_report(report: Report, folder: Path, commands: Commands) -> None:
    """Write the files into a folder, which is made if it is missing; each file is written atomically.

        commands: the commands that produced the numbers; this function adds the names of the text files

    Raises UserError if the folder cannot be written.
    """
    evaluation = report.evaluation
    texts = {"hypothesis": evaluation.hypotheses}
    if evaluation.sources is not None:
        texts["source"] = evaluation.sources
    several = len(evaluation.references) > 1
    for number, lines in enumerate(evaluation.references, 1):
        texts[f"reference.{number}" if several else "reference"] = lines
    for number, comparison in enumerate(evaluation.comparisons, 1):
        texts[f"baseline.{number}"] = comparison.hypotheses
    document = make_document(report, dataclasses.replace(commands, texts=list(texts)))
    files = {f"{what}.txt": "".join(f"{_one_line(line)}\n" for line in lines) for what, lines in texts.items()}
    files["report.json"] = report_json(report, commands)
    write_folder(folder, files | {"report.md": to_markdown(document), "report.html": to_html(document)})


def report_json(report: Report, commands: Commands) -> str:
    """The whole report, with the scores of every sentence, as one JSON object."""
    evaluation = report.evaluation
    content = {
        "commands": {"evaluate": commands.evaluate, "training": commands.training},
        "scores": evaluation.scores,
        "lengths": {
            "sentences": len(evaluation.hypotheses),
            "system": evaluation.system_length,
            "reference": evaluation.reference_length,
            "ratio": evaluation.length_ratio,
            "brevity_penalty": evaluation.brevity_penalty,
        },
        "precisions": evaluation.precisions,
        "ngrams": {"matched": evaluation.matches, "total": evaluation.totals},
        "comparisons": [{"baseline": own.baseline, "differences": own.differences} for own in evaluation.comparisons],
        "by_length": report.by_length,
        "repetition": {side: {**vars(own), "rate": own.rate} for side, own in report.repetition.items()},
        "pieces": report.pieces,
        "empty": report.empty,
        "cut": report.cut,
        "training_data": _training(report.training) if report.training else None,
        "calibration": report.calibration,
        "sentence_calibration": report.sentence_calibration,
        "search_tree": report.tree,
        "training_curves": report.curves,
        "settings": evaluation.settings,
        "notes": evaluation.notes,
        "sentences": [_sentence(report, index) for index in range(len(evaluation.hypotheses))],
    }
    return json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False, default=_json_value) + "\n"


def _json_value(value: object) -> object:
    """A value that JSON lacks: a dataclass as a dictionary, anything else as text."""
    return vars(value) if dataclasses.is_dataclass(value) else str(value)


def _training(training: TrainingPart) -> dict[str, Any]:
    overlap = training.overlap
    words = [
        {**vars(own), "precision": own.precision, "recall": own.recall, "f_measure": own.f_measure}
        for own in training.words
    ]
    return {
        "pairs": training.pairs,
        "duplicates": {
            "pairs": int(overlap.pair.sum()),
            "sources": int(overlap.source.exact.sum()),
            "references": int(overlap.target.exact.sum()),
        },
        "near_duplicates": {
            "sources": int(overlap.source.near.sum()),
            "references": int(overlap.target.near.sum()),
            "either": int(overlap.leaked.sum()),
        },
        "without_leaks": training.without_leaks,
        "by_similarity": training.by_similarity,
        "by_rarest_word": training.by_rarest,
        "words": words,
        "unknown": {side: {**vars(own), "rate": own.rate} for side, own in training.unknown.items()},
        "most_similar": training.leaks,
    }


def _sentence(report: Report, index: int) -> dict[str, Any]:
    evaluation, training = report.evaluation, report.training
    sentence: dict[str, Any] = {
        "number": index + 1,
        "source": evaluation.sources[index] if evaluation.sources is not None else None,
        "references": [reference[index] for reference in evaluation.references],
        "hypothesis": evaluation.hypotheses[index],
        "bleu": evaluation.sentence_scores[index].bleu,
        "chrf2": evaluation.sentence_scores[index].chrf,
    }
    if evaluation.comparisons:
        sentence["baselines"] = [own.hypotheses[index] for own in evaluation.comparisons]
    if report.sureness is not None:
        sentence["mean_probability"] = report.sureness[index]
    if training is not None:
        overlap = training.overlap
        sentence |= {
            "source_similarity": float(overlap.source.similarity[index]),
            "reference_similarity": float(overlap.target.similarity[index]),
            "near_duplicate": bool(overlap.leaked[index]),
        }
    return sentence


def _one_line(text: str) -> str:
    """A text as one line for sacrebleu, for which a carriage return would end the line."""
    return text.replace("\n", " ").replace("\r", " ")
