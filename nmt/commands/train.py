"""`nmt train`: train a model."""

from __future__ import annotations

import argparse
from pathlib import Path

from nmt.commands.options import add_config_options, add_machine_options
from nmt.commands.streams import say

TEXT = "Train a model. `train` learns the vocabulary itself when the configuration names none."
EXAMPLE = "nmt train configs/captions-de-en.toml --set training.epochs=4 --output runs/captions"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of `nmt train`."""
    add_config_options(parser)
    parser.add_argument("--output", metavar="DIR", help="run folder (default: runs/NAME_OF_CONFIG)")
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument(
        "--resume", action="store_true", help="go on with an interrupted run, exactly as if never stopped"
    )
    existing.add_argument("--overwrite", action="store_true", help="start an existing run folder again from nothing")
    parser.add_argument(
        "--export", choices=("fp32", "int8"), help="at the end, export the best model, as `nmt export` does"
    )
    add_machine_options(parser)
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> None:
    """`nmt train`."""
    from nmt.config import load_config
    from nmt.model_folder import open_model

    config = load_config(options.config, options.set)
    output = Path(options.output or Path("runs") / Path(options.config).stem)
    from nmt.training import loop as training

    if options.export:
        from nmt.export.exporter import export_model, require_onnx

        require_onnx()  # better now than after hours of training
    best = training.train(
        config,
        output,
        resume=options.resume,
        overwrite=options.overwrite,
        device=options.device,
        threads=options.threads,
        say=say,
    )
    if options.export:
        integers = options.export == "int8"
        export_model(open_model(best), integers=integers, data=config.data, threads=options.threads, say=say)
