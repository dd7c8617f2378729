"""`nmt vocab`: learn the vocabularies of a configuration."""

from __future__ import annotations

import argparse
from pathlib import Path

from nmt.commands.options import add_config_options
from nmt.commands.streams import say

TEXT = "Learn the SentencePiece vocabularies of a configuration and write them to a folder."
EXAMPLE = "nmt vocab configs/multi30k-fixed-de-en.toml --output vocab/multi30k-fixed-de-en"


def add_options(parser: argparse.ArgumentParser) -> None:
    add_config_options(parser)
    parser.add_argument("--output", metavar="DIR", help="folder to write to (default: vocab/NAME_OF_CONFIG)")


def run(options: argparse.Namespace) -> None:
    from nmt.config import load_config

    config = load_config(options.config, options.set)
    from nmt.model_folder import vocabulary_files, write_atomically
    from nmt.network.torch_engine import find_device
    from nmt.tasks.resolving import resolve_for_training
    from nmt.tasks.task import make_vocabularies

    folder = Path(options.output or Path("vocab") / Path(options.config).stem)
    made = make_vocabularies(resolve_for_training(config, find_device("cpu"), say), say)
    folder.mkdir(parents=True, exist_ok=True)
    for name, vocabulary in zip(vocabulary_files(config), made, strict=False):
        write_atomically(folder / name, vocabulary.model)
        say(f"{folder / name}: {len(vocabulary)} pieces")
