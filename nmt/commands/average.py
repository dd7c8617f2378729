"""`nmt average`: the mean of several models' weights."""

from __future__ import annotations

import argparse
from pathlib import Path

from nmt.commands.streams import say

TEXT = "Average the weights of several models, such as the last checkpoints of a run, and write a model folder."
EXAMPLE = "nmt average runs/captions/best runs/captions/last --output runs/captions/averaged"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("models", metavar="MODEL", nargs="+", help="model folder, run folder, or hub id")
    parser.add_argument("--output", required=True, metavar="DIR", help="new model folder to write")


def run(options: argparse.Namespace) -> None:
    from nmt.training.averaging import average_models

    folder = average_models(options.models, Path(options.output))
    say(f"mean of {len(options.models)} models in `{folder.path}`")
