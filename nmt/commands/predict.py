"""`nmt predict`: labels, numbers or captions for texts or sequences of vectors."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from nmt.commands.options import add_machine_options
from nmt.commands.streams import open_file, print_lines, standard_output
from nmt.errors import UserError
from nmt.text.vectors import read_json

if TYPE_CHECKING:
    from nmt.prediction.predictor import Prediction, Predictor

TEXT = (
    "Predict labels, numbers or captions. For each line of input, one line is printed: a label and its probability, "
    "separated by a tab; the labels of the words, separated by spaces; numbers; or a caption. A model that reads "
    "vectors takes a list of vectors as JSON on each line, or a .npz or .parquet file."
)
EXAMPLE = 'echo "The story was not dull." | nmt predict runs/reviews'

LINES = 512
"""Number of lines that are read, predicted and written at once."""


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("model", metavar="MODEL", help="model folder, run folder, or hub id")
    add("--input", metavar="FILE", help="text or vectors to read, one example per line (default: standard input)")
    add("--json", action="store_true", help="one JSON object per line, with the probabilities of all labels")
    add_machine_options(parser)


def run(options: argparse.Namespace) -> None:
    from nmt.prediction.predictor import Predictor

    standard_output()
    if options.input is None and sys.stdin is None:
        raise UserError("standard input is closed; use --input")
    predictor = Predictor.load(options.model, device=options.device, threads=options.threads)
    reads_vectors = predictor.config.reads_vectors
    if reads_vectors and options.input and options.input.endswith((".npz", ".parquet")):
        from nmt.data.examples import read_column

        print_blocks(predictor, read_column(options.input, predictor.config), options.json)
        return
    source = open_file(options.input, "rb") if options.input else cast(BinaryIO, sys.stdin.buffer)
    with source:
        name = f"`{options.input}`" if options.input else "standard input"
        lines = decoded(source, name)
        config = predictor.config
        values = read_json(lines, config.data.source, config.side_kinds[0], name) if reads_vectors else lines
        print_blocks(predictor, values, options.json)


def print_blocks(predictor: Predictor, examples: Iterator[Any], as_json: bool) -> None:
    while block := list(itertools.islice(examples, LINES)):
        print_lines(predicted_lines(predictor, block, as_json))


def decoded(source: Iterable[bytes], name: str) -> Iterator[str]:
    """The lines of a stream without their ends; raises UserError if one is not UTF-8."""
    for number, line in enumerate(source, start=1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            raise UserError(f"{name} line {number} is not valid UTF-8; convert it to UTF-8") from None


def predicted_lines(predictor: Predictor, lines: list[Any], as_json: bool) -> Iterator[str]:
    """A line of output for each line; a blank one stays blank, or has no label as JSON."""
    by_word = predictor.config.kind.target == "labels"
    for line, found in zip(lines, predictor.predict(lines), strict=True):
        is_blank = not found.text
        if as_json:
            content = {"text": line} if is_blank else values(found, by_word)
            if predictor.config.reads_vectors:
                content.pop("words", None)
            if predictor.config.kind.decoder:
                content = {"caption": found.label, "probability": found.probability}
            yield json.dumps(content, ensure_ascii=False)
        elif is_blank:
            yield ""
        else:
            whole = by_word or found.numbers or predictor.config.kind.decoder
            yield found.label if whole else f"{found.label}\t{found.probability:.4f}"


def values(found: Prediction, by_word: bool) -> dict[str, object]:
    if found.numbers:
        return {"numbers": found.numbers}
    if by_word:
        return {"words": found.units, "labels": found.labels, "probabilities": found.probabilities}
    return {
        "text": found.text,
        "label": found.label,
        "probability": found.probability,
        "probabilities": found.distributions[0],
    }
