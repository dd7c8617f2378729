"""`nmt score`: the log-probability of given translations."""

from __future__ import annotations

import argparse

from nmt.commands.decoding_options import add_scoring_options, decoding_options
from nmt.commands.options import add_machine_options
from nmt.commands.streams import load_translator, print_lines, standard_output

TEXT = "Print the log-probability of given translations, one for each line of the source."
EXAMPLE = "nmt score runs/captions --source test.de --target test.en"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of `nmt score`."""
    parser.add_argument(
        "models", metavar="MODEL", nargs="+", help="model folder, run folder, or hub id; several form an ensemble"
    )
    parser.add_argument("--source", required=True, metavar="FILE", help="source text, one sentence per line")
    parser.add_argument("--target", required=True, metavar="FILE", help="its translation, line by line")
    parser.add_argument("--json", action="store_true", help="one JSON object per line, with the scores of all pieces")
    add_scoring_options(parser)
    add_machine_options(parser)
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> None:
    """`nmt score`."""
    from nmt.text.reading import read_parallel
    from nmt.translation.line_stream import score_lines

    standard_output()
    overrides = decoding_options(options)
    sources, targets = read_parallel([options.source, options.target])
    translator = load_translator(options)
    print_lines(score_lines(translator, sources, targets, json=options.json, **overrides))
