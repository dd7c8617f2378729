"""`nmt export`: write a model's ONNX graphs."""

from __future__ import annotations

import argparse

from nmt.commands.options import REPEATED, positive
from nmt.commands.streams import say
from nmt.errors import UserError

TEXT = "Export a model as ONNX graphs into its folder. `translate` and `nmt predict` then use them and need no torch."
EXAMPLE = "nmt export runs/captions --int8"


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("model", metavar="MODEL", help="model folder, run folder, or hub id")
    add("--int8", action="store_true", help="matrix products with 8-bit integers: smaller and faster")
    add("--small", action="store_true", help="with --int8: smaller still, and a little slower")
    add("--no-shortlist", action="store_true", help="leave out the vocabulary shortlist, which needs the training data")
    add("--set", **REPEATED, metavar="data.KEY=VALUE", help="where the training data are now, if they were moved")
    add("--threads", type=positive, help="processor threads (default: all cores)")


def run(options: argparse.Namespace) -> None:
    if options.small and not options.int8:
        raise UserError("`--small` is for exports in 8 bits; give `--int8` as well")
    from nmt.model_folder import open_model

    folder = open_model(options.model)
    from nmt.config import data_with
    from nmt.export.exporter import export_model

    data = data_with(folder.config, options.set)
    shortlist_data = None if options.no_shortlist else data
    export_model(
        folder, integers=options.int8, small=options.small, data=shortlist_data, threads=options.threads, say=say
    )
