"""`nmt inspect`: pictures of what a model does."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nmt.commands.options import (
    ANY_MODEL,
    REPEATED,
    above_zero,
    describe,
    from_zero,
    positive,
    seed,
    whole_numbers,
    words,
)
from nmt.commands.streams import print_lines, say
from nmt.errors import UserError

TEXT = "Look inside a model: a picture as PNG and as an HTML page, and its numbers as JSON."
EXAMPLE = 'nmt inspect attention runs/captions --sentence "Ein Hund schläft auf dem Sofa." --output pictures'


Add = Callable[..., argparse.Action]
"""`add_argument` of the parser of a WHAT."""

MODEL = "model folder, run folder, or hub id"
"""The help of a MODEL that must have weights."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add a parser for each WHAT."""
    whats = parser.add_subparsers(title="what", metavar="WHAT", dest="what")
    parser.set_defaults(command=lambda options: parser.print_help())
    for what, (example, add_own) in WHATS.items():
        text, example = add_own.__doc__ or "", f"nmt inspect {what} {example}"
        own = whats.add_parser(what, help=text.rstrip("."), **describe(text, example))
        add = own.add_argument
        add("--output", default="inspection", metavar="DIR", help="folder to write to (default: inspection)")
        add("--figure", metavar="FILE", help="also write the picture alone, as FILE.svg, .pdf or .png")
        add("--threads", type=positive, help="processor threads (default: all cores)")
        add_own(add)
        own.set_defaults(command=run)


def add_sentences(add: Add, count: int, model: str = MODEL, nargs: str | None = None) -> None:
    """The model, and the options that choose the sentences: `count` of them by default."""
    add("model", metavar="MODEL", nargs=nargs, help=model)
    sentence = "a sentence to use, or vectors as JSON; can be repeated"
    add("--sentence", action="append", dest="sentences", metavar="TEXT", help=sentence)
    source = "one sentence per line; any text for a language model; or vectors as for `nmt predict`"
    add("--source", metavar="FILE", help=source)
    add("--target", metavar="FILE", help="the translation of --source")
    add("--split", default="test", help="split of the model's data (default: test)")
    add(
        "--set",
        **REPEATED,
        metavar="data.KEY=VALUE",
        help="change the settings that say where the data are, to use other data",
    )
    add(
        "--sentences",
        type=positive,
        dest="count",
        default=count,
        metavar="N",
        help="maximum number of sentences (default %(default)s)",
    )


def add_gradient_flow(add: Add) -> None:
    """Gradients against distance in time, of cells with initial weights or of a trained model's layers."""
    add_sentences(add, 64, nargs="?")
    cells, initializations = "rnn_tanh,rnn_relu,lstm,gru", "uniform,xavier,orthogonal,orthogonal*2"
    add("--cells", type=words, metavar="NAME,...", help=f"cells to compare, without MODEL (default {cells})")
    add(
        "--initialization",
        type=words,
        dest="initializations",
        metavar="NAME[*FACTOR],...",
        help=f"initialisations, without MODEL; FACTOR multiplies the recurrent weights (default {initializations})",
    )
    add("--layers", type=positive, default=1, metavar="N", help="number of layers, without MODEL (default 1)")
    add("--hidden-size", type=positive, default=64, metavar="N", help="number of units, without MODEL (default 64)")
    add("--length", type=positive, metavar="N", help="how many positions to look back (default 60; with MODEL 30)")
    add("--seed", type=seed, default=1, metavar="S", help="seed of initial weights and input (default 1)")
    add("--learning-rate", type=above_zero, metavar="R", help="learning rate of the update (default 0.1, or MODEL's)")
    add("--clip-norm", type=from_zero, metavar="N", help="gradient clipping (default 1, or MODEL's; 0 turns it off)")


def add_gates(add: Add) -> None:
    """Gates and cells of a layer, units that track a property, and the text coloured by a unit."""
    add_sentences(add, 200)
    add("--layer", metavar="NAME", help="encoder-forward-1, decoder-1, ... (default: the decoder's top layer)")
    add("--unit", type=int, metavar="N", help="unit whose value colours the text first, counted from 0")


def add_context(add: Add) -> None:
    """Context vectors of sentences, in two dimensions."""
    add_sentences(add, 200, ANY_MODEL)
    add("--projection", choices=("pca", "tsne"), default="pca", help="projection to two dimensions (default pca)")


def add_attention(add: Add) -> None:
    """Attention weights of translations, and the word alignments that follow from them."""
    add_sentences(add, 100, ANY_MODEL)
    add("--beam-size", type=positive, metavar="N", help="hypotheses kept per sentence")
    add("--gold", metavar="FILE", help="alignments of the given translations (0-0 sure, 0?1 possible)")


def add_steps(add: Add) -> None:
    """Step through one translation: encoder, attention and context vector, decoder, beam."""
    add("model", metavar="MODEL", help=ANY_MODEL)
    add("text", metavar="TEXT", help="the sentence to translate")
    add("--beam-size", type=positive, metavar="N", help="hypotheses kept at each step")


def add_bottleneck(add: Add) -> None:
    """Train models with and without attention and source reversal, and compare their quality by sentence length."""
    add("config", metavar="CONFIG", nargs="?", help="a configuration to vary, instead of the probe task")
    add("--set", **REPEATED, metavar="SECTION.KEY=VALUE", help="change a setting of CONFIG")
    add("--task", choices=("copy", "reverse", "sort"), default="copy", help="probe task (default copy)")
    add("--lengths", type=whole_numbers, metavar="N,...", help=f"lengths of the probe's sentences: {NUMBERS}")
    add("--epochs", type=positive, metavar="N", help="passes over the training data")


def add_search(add: Add) -> None:
    """BLEU, time and search errors against beam size."""
    add_sentences(add, 200, ANY_MODEL)
    add("--beam-sizes", type=whole_numbers, metavar="N,...", help=f"{NUMBERS} (default 1,2,3,5,10,20,50)")


def add_embeddings(add: Add) -> None:
    """Pieces with similar embeddings, and all embeddings in two dimensions."""
    add("model", metavar="MODEL", help=MODEL)
    add("--side", choices=("source", "target"), default="target", help="whose embeddings to show (default target)")
    add("--pieces", type=words, metavar="WORD,...", help="words whose neighbours to list (default: frequent words)")
    add("--count", type=positive, default=300, metavar="N", help="number of pieces in the picture (default 300)")
    add("--projection", choices=("pca", "tsne"), default="pca", help="projection to two dimensions (default pca)")


NUMBERS = "whole numbers separated by commas"
OPTIONS = {"initializations": "initialization"}
"""Options that have another name than the argument of the function in `nmt.inspect`."""
WHATS: dict[str, tuple[str, Callable[[Add], None]]] = {
    "gradient-flow": ("--cells rnn_tanh,lstm --length 100", add_gradient_flow),
    "gates": ("runs/captions --layer encoder-forward-1", add_gates),
    "context": ("runs/captions --sentences 100", add_context),
    "attention": ('runs/captions --sentence "Ein Hund schläft auf dem Sofa."', add_attention),
    "steps": ('runs/captions "Ein Hund schläft auf dem Sofa."', add_steps),
    "bottleneck": ("--task copy", add_bottleneck),
    "search": ("runs/captions --beam-sizes 1,5,20", add_search),
    "embeddings": ("runs/captions --pieces dog,cat,man", add_embeddings),
}
"""Everything that can be inspected: an example, and the function that adds its options, with its description."""


def run(options: argparse.Namespace) -> None:
    from nmt import inspect
    from nmt.inspection import pages

    pages.require_matplotlib()
    if options.figure is not None:
        pages.check_picture(options.figure)
    function = getattr(inspect, options.what.replace("-", "_"))
    try:
        inspection = function(**arguments(options))
    except UserError as error:  # it names arguments of the function, which are options here
        raise UserError(
            re.sub(r"argument `(\w+)`", lambda named: f"--{OPTIONS.get(named[1], named[1])}", str(error))
        ) from None
    pages.write(inspection, Path(options.output), options.command_line, say)
    if options.figure is not None:
        say(f"{inspection.save(options.figure)}")
    print_lines(inspection.summary)


def arguments(options: argparse.Namespace) -> dict[str, Any]:
    """The options as the arguments of the function in `nmt.inspect`, which have the same names."""
    others = {"what", "command", "command_line", "output", "figure"}
    given = {name: value for name, value in vars(options).items() if name not in others and value is not None}
    if "set" in given:
        given["settings"] = given.pop("set")
    if options.what in ("search", "bottleneck"):
        given["say"] = say
    if options.what == "bottleneck":
        from nmt.config import load_config

        settings = given.pop("settings")
        if options.config is not None:
            given["config"] = load_config(options.config, settings)
        elif settings:
            raise UserError("--set changes a CONFIG, but none is given")
    return given
