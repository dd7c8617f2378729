"""`nmt train`: train a model."""

from __future__ import annotations

import argparse
from pathlib import Path

from nmt.commands.options import add_config_options, add_machine_options
from nmt.commands.streams import say

TEXT = "Train a model. If the configuration names no vocabulary, it is learned first."
EXAMPLE = "nmt train configs/captions-de-en.toml --set training.epochs=4 --output runs/captions"


def add_options(parser: argparse.ArgumentParser) -> None:
    add_config_options(parser)
    parser.add_argument("--output", metavar="DIR", help="run folder (default: runs/NAME_OF_CONFIG)")
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument(
        "--resume", action="store_true", help="continue an interrupted run exactly; start it if there is none"
    )
    existing.add_argument("--overwrite", action="store_true", help="delete an existing run folder and start again")
    parser.add_argument(
        "--export", choices=("fp32", "int8"), help="export the best model at the end, as `nmt export` does"
    )
    add_machine_options(parser)


def run(options: argparse.Namespace) -> None:
    from nmt.config import load_config
    from nmt.model_folder import open_model
    from nmt.network.processes import Processes

    config = load_config(options.config, options.set)
    output = Path(options.output or Path("runs") / Path(options.config).stem)
    from nmt.training import loop as training

    if options.export:
        from nmt.export.exporter import check_exportable, export_model, require_onnx

        require_onnx()  # fail now rather than after hours of training
        check_exportable(config)
    best = training.train(
        config,
        output,
        resume=options.resume,
        overwrite=options.overwrite,
        device=options.device,
        threads=options.threads,
        say=say,
    )
    if options.export and Processes().is_first:
        integers = options.export == "int8"
        export_model(open_model(best), integers=integers, data=config.data, threads=options.threads, say=say)
