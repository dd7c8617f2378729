"""`nmt sample`: draw text from a language model."""

from __future__ import annotations

import argparse

from nmt.commands.options import add_machine_options, positive, seed
from nmt.commands.streams import print_lines
from nmt.errors import UserError

TEXT = "Draw lines of text from a language model."
EXAMPLE = 'nmt sample runs/letters --prompt "A dog" --lines 5 --temperature 0.8 --top-p 0.9'


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of `nmt sample`."""
    parser.add_argument("model", metavar="MODEL", help="language model: model folder, run folder, or hub id")
    parser.add_argument("--prompt", default="", metavar="TEXT", help="how each line begins; had better end with a word")
    parser.add_argument("--lines", type=positive, default=1, metavar="N", help="lines to draw (default 1)")
    parser.add_argument("--temperature", type=float, default=1.0, metavar="T", help="below 1 is bolder, above 1 wilder")
    parser.add_argument("--top-k", type=int, default=0, metavar="K", help="of the K most probable pieces; 1 is greedy")
    parser.add_argument("--top-p", type=float, default=1.0, metavar="P", help="of the likeliest pieces that make up P")
    parser.add_argument("--max-length", type=positive, default=200, metavar="N", help="most pieces drawn (default 200)")
    parser.add_argument("--seed", type=seed, default=1, metavar="S", help="the same draws the same (default 1)")
    add_machine_options(parser)
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> None:
    """`nmt sample`."""
    from nmt.model_folder import open_model
    from nmt.search.sampling import SamplingSettings, sample_text

    settings = SamplingSettings(options.temperature, options.top_k, options.top_p, options.max_length)
    folder = open_model(options.model)
    if folder.config.task != "language_model":
        raise UserError(
            f"`{options.model}` is a translation model; `nmt sample` needs a language model, "
            "and `translate --method sampling` draws translations"
        )
    from nmt.translation.onnx_engine import load_engine

    engine = load_engine(folder, device=options.device, threads=options.threads)
    drawn = sample_text(engine, folder.target_vocabulary, options.prompt, options.lines, settings, options.seed)
    print_lines(drawn)
