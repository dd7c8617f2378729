"""`nmt sample`: sample text from a language model."""

from __future__ import annotations

import argparse

from nmt.commands.decoding_options import DRAWING, add_option
from nmt.commands.options import add_machine_options, positive
from nmt.commands.streams import print_lines
from nmt.config import DecodingConfig
from nmt.errors import UserError

TEXT = "Sample lines of text from a language model."
EXAMPLE = 'nmt sample runs/letters --prompt "A dog" --lines 5 --temperature 0.8 --top-p 0.9'


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("model", metavar="MODEL", help="language model: model folder, run folder, or hub id")
    add("--prompt", default="", metavar="TEXT", help="text that each line begins with (should end with a whole word)")
    add("--lines", type=positive, default=1, metavar="N", help="number of lines (default 1)")
    for name in DRAWING:
        add_option(parser, name, default=getattr(DecodingConfig, name))
    add("--max-length", type=positive, default=200, metavar="N", help="maximum length in pieces (default 200)")
    add_machine_options(parser)


def run(options: argparse.Namespace) -> None:
    from nmt.model_folder import open_model
    from nmt.search.beam import SearchSettings
    from nmt.search.sampling import sample_text

    drawing = {name: getattr(options, name) for name in DRAWING}
    settings = SearchSettings(**drawing, max_length_factor=0, max_length_offset=options.max_length)
    folder = open_model(options.model)
    if folder.config.task != "language_model":
        raise UserError(
            f"`{options.model}` is a {folder.config.kind.title}; `nmt sample` needs a language model, "
            "and `translate --method sampling` draws translations"
        )
    from nmt.translation.onnx_engine import load_engine

    engine = load_engine(folder, device=options.device, threads=options.threads)
    drawn = sample_text(engine, folder.target_vocabulary, options.prompt, options.lines, settings)
    print_lines(drawn)
