"""`nmt diversify`: more training pairs by translating the training text."""

from __future__ import annotations

import argparse
from pathlib import Path

from nmt.commands.options import add_config_options, add_machine_options, positive
from nmt.commands.streams import say

TEXT = "Train models of both directions, and make more training pairs by translating the training text with them."
EXAMPLE = "nmt diversify configs/teacher.toml --output runs/diversified"


def add_options(parser: argparse.ArgumentParser) -> None:
    add_config_options(parser)
    parser.add_argument("--output", metavar="DIR", required=True, help="folder for the pairs and the models' runs")
    parser.add_argument(
        "--models", type=positive, default=1, metavar="N", help="number of models for each direction (default 1)"
    )
    add_machine_options(parser)


def run(options: argparse.Namespace) -> None:
    from nmt.config import load_config

    config = load_config(options.config, options.set)
    from nmt.training import diversification

    diversification.diversify(
        config, Path(options.output), options.models, device=options.device, threads=options.threads, say=say
    )
