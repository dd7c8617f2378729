"""`nmt score`: the log-probability of given translations."""

from __future__ import annotations

import argparse

from nmt.commands.decoding_options import add_decoding_options, decoding_options
from nmt.commands.options import ANY_MODEL, add_machine_options
from nmt.commands.streams import load_translator, print_lines, standard_output
from nmt.config import OPTIONS

TEXT = "Print the log-probability of given translations, one for each line of the source."
EXAMPLE = "nmt score runs/captions --source test.de --target test.en"


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("models", metavar="MODEL", nargs="+", help=f"{ANY_MODEL}; several form an ensemble")
    add("--source", required=True, metavar="FILE", help="source text, one sentence per line")
    add("--target", required=True, metavar="FILE", help="its translation, line by line")
    add("--json", action="store_true", help="one JSON object per line, with the scores of all pieces")
    add_decoding_options(parser, [name for name, option in OPTIONS.items() if option.scoring])
    add_machine_options(parser)


def run(options: argparse.Namespace) -> None:
    from nmt.text.reading import read_parallel
    from nmt.translation.line_stream import score_lines

    standard_output()
    overrides = decoding_options(options)
    sources, targets = read_parallel([options.source, options.target])
    translator = load_translator(options)
    print_lines(score_lines(translator, sources, targets, json=options.json, **overrides))
