"""`nmt inspect`: pictures of what a model does."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from nmt.commands.options import above_zero, describe, from_zero, positive, seed, whole_numbers
from nmt.commands.streams import print_lines, say
from nmt.errors import UserError

if TYPE_CHECKING:
    from nmt.inspection.pages import Inspection


TEXT = "Look inside a model: a picture as PNG and as an HTML page, and its numbers as JSON."
EXAMPLE = 'nmt inspect attention runs/captions --sentence "Ein Hund schläft auf dem Sofa." --output pictures'


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of `nmt inspect`, with a parser for each WHAT."""
    whats = parser.add_subparsers(title="what", metavar="WHAT", dest="what")
    parser.set_defaults(command=lambda options: parser.print_help())
    for what, (text, example, add_own) in WHATS.items():
        example = f"nmt inspect {what} {example}"
        own = whats.add_parser(what, help=text.split(". ")[0].rstrip("."), **describe(text, example))
        own.add_argument(
            "--output", default="inspection", metavar="DIR", help="folder to write to (default: inspection)"
        )
        own.add_argument("--threads", type=positive, help="processor threads (default: all cores)")
        add_own(own)
        own.set_defaults(command=run)


def add_sentences(parser: argparse.ArgumentParser, count: int, model: str | None = None) -> None:
    """The model, and the options that choose the sentences: `count` of them by default."""
    add = parser.add_argument
    add("model", metavar="MODEL", nargs=model, help="model folder, run folder, or hub id")
    add("--sentence", action="append", default=[], metavar="TEXT", help="a sentence to use; can be repeated")
    add("--source", metavar="FILE", help="source text, one sentence per line; any text for a language model")
    add("--target", metavar="FILE", help="the translation of --source")
    add("--split", default="test", help="split of the model's data (default: test)")
    add(
        "--set",
        action="append",
        default=[],
        metavar="data.KEY=VALUE",
        help="change where the data are, to use other data",
    )
    add("--sentences", type=positive, default=count, metavar="N", help=f"maximum number of sentences (default {count})")


def add_gradient_flow(parser: argparse.ArgumentParser) -> None:
    """Options of `nmt inspect gradient-flow`."""
    add_sentences(parser, 64, "?")
    add = parser.add_argument
    add("--cells", default="rnn_tanh,rnn_relu,lstm,gru", metavar="NAME,...", help="cells to compare, without MODEL")
    add(
        "--initialization",
        default="uniform,xavier,orthogonal,orthogonal*2",
        metavar="NAME[*FACTOR],...",
        help="initialisations, without MODEL; FACTOR multiplies the recurrent weights (default: %(default)s)",
    )
    add("--layers", type=positive, default=1, metavar="N", help="number of layers, without MODEL (default 1)")
    add("--hidden-size", type=positive, default=64, metavar="N", help="number of units, without MODEL (default 64)")
    add("--length", type=positive, metavar="N", help="how many positions to look back (default 60; with MODEL 30)")
    add("--seed", type=seed, default=1, metavar="S", help="seed of initial weights and input (default 1)")
    add("--learning-rate", type=above_zero, metavar="R", help="learning rate of the update (default 0.1, or MODEL's)")
    add("--clip-norm", type=from_zero, metavar="N", help="gradient clipping (default 1, or MODEL's; 0 turns it off)")


def add_gates(parser: argparse.ArgumentParser) -> None:
    """Options of `nmt inspect gates`."""
    add_sentences(parser, 200)
    add = parser.add_argument
    add("--layer", metavar="NAME", help="encoder-forward-1, decoder-1, ... (default: the decoder's top layer)")
    add("--unit", type=int, metavar="N", help="unit whose value colours the text first, counted from 0")


def add_context(parser: argparse.ArgumentParser) -> None:
    """Options of `nmt inspect context`."""
    add_sentences(parser, 200)
    parser.add_argument("--projection", choices=("pca", "tsne"), default="pca", help="default pca")


def add_attention(parser: argparse.ArgumentParser) -> None:
    """Options of `nmt inspect attention`."""
    add_sentences(parser, 100)
    add = parser.add_argument
    add("--beam-size", type=positive, metavar="N", help="hypotheses kept per sentence")
    add("--gold", metavar="FILE", help="alignments of the given translations (0-0 sure, 0?1 possible)")


def add_steps(parser: argparse.ArgumentParser) -> None:
    """Options of `nmt inspect steps`."""
    add = parser.add_argument
    add("model", metavar="MODEL", help="model folder, run folder, or hub id")
    add("text", metavar="TEXT", help="the sentence to translate")
    add("--beam-size", type=positive, metavar="N", help="hypotheses kept at each step")


def add_bottleneck(parser: argparse.ArgumentParser) -> None:
    """Options of `nmt inspect bottleneck`."""
    add = parser.add_argument
    add("config", metavar="CONFIG", nargs="?", help="a configuration to vary, instead of the probe task")
    add("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="change a setting of CONFIG")
    add("--task", choices=("copy", "reverse", "sort"), default="copy", help="probe task (default copy)")
    add("--lengths", type=whole_numbers, metavar="N,...", help=f"lengths of the probe's sentences: {NUMBERS}")
    add("--epochs", type=positive, metavar="N", help="passes over the training data")


def add_search(parser: argparse.ArgumentParser) -> None:
    """Options of `nmt inspect search`."""
    add_sentences(parser, 200)
    sizes = [1, 2, 3, 5, 10, 20, 50]
    parser.add_argument(
        "--beam-sizes", type=whole_numbers, default=sizes, metavar="N,...", help=f"beam sizes to compare: {NUMBERS}"
    )


def add_embeddings(parser: argparse.ArgumentParser) -> None:
    """Options of `nmt inspect embeddings`."""
    add = parser.add_argument
    add("model", metavar="MODEL", help="model folder, run folder, or hub id")
    add("--side", choices=("source", "target"), default="target", help="default target")
    add("--pieces", default="", metavar="WORD,...", help="words whose neighbours to list (default: frequent words)")
    add("--count", type=positive, default=300, metavar="N", help="number of pieces in the picture (default 300)")
    add("--projection", choices=("pca", "tsne"), default="pca", help="default pca")


NUMBERS = "whole numbers separated by commas"
WHATS: dict[str, tuple[str, str, Callable[[argparse.ArgumentParser], None]]] = {
    "gradient-flow": (
        "Gradients against distance in time, of cells with initial weights or of a trained model's layers.",
        "--cells rnn_tanh,lstm --length 100",
        add_gradient_flow,
    ),
    "gates": (
        "Gates and cells of a layer, units that track a property, and the text coloured by a unit.",
        "runs/captions --layer encoder-forward-1",
        add_gates,
    ),
    "context": ("Context vectors of sentences, in two dimensions.", "runs/captions --sentences 100", add_context),
    "attention": (
        "Attention weights of translations, and the word alignments that follow from them.",
        'runs/captions --sentence "Ein Hund schläft auf dem Sofa."',
        add_attention,
    ),
    "steps": (
        "Step through one translation: encoder, attention and context vector, decoder, beam.",
        'runs/captions "Ein Hund schläft auf dem Sofa."',
        add_steps,
    ),
    "bottleneck": (
        "Train models with and without attention and source reversal, and compare their quality by sentence length.",
        "--task copy",
        add_bottleneck,
    ),
    "search": ("BLEU, time and search errors against beam size.", "runs/captions --beam-sizes 1,5,20", add_search),
    "embeddings": (
        "Pieces with similar embeddings, and all embeddings in two dimensions.",
        "runs/captions --pieces dog,cat,man",
        add_embeddings,
    ),
}
"""Everything that can be inspected: a description, an example, and the function that adds its options."""


def run(options: argparse.Namespace) -> None:
    """`nmt inspect`."""
    from nmt.inspection import pages

    pages.require_matplotlib()
    inspection = bottleneck(options) if options.what == "bottleneck" else look(options)
    pages.write(inspection, Path(options.output), options.command_line, say)
    print_lines(inspection.summary)


def bottleneck(options: argparse.Namespace) -> Inspection:
    """`nmt inspect bottleneck`, which trains its own models."""
    from nmt.config import load_config
    from nmt.inspection import bottleneck

    if options.config is None and options.set:
        raise UserError("--set changes a CONFIG, but none is given")
    if options.config is not None and options.lengths is not None:
        raise UserError("--lengths is for the probe task and excludes a CONFIG")
    for length in options.lengths or ():
        if not 5 <= length <= 1000:
            raise UserError(f"--lengths must be from 5 to 1000 (as `data.probe_length`), but one is {length} instead")
    config = None if options.config is None else load_config(options.config, options.set)
    lengths = options.lengths or bottleneck.LENGTHS
    return bottleneck.inspect(config, options.task, lengths, options.epochs, options.threads, say)


def look(options: argparse.Namespace) -> Inspection:
    """Every other `nmt inspect`: of a model, or of cells with initial weights."""
    from nmt.inspection import attention, context, embeddings, gates, gradient_flow, search, steps
    from nmt.inspection.watching import Choice, open_subject

    rate_and_clip = {}
    if options.what == "gradient-flow":
        rate_and_clip = {"learning_rate": options.learning_rate, "clip_norm": options.clip_norm}
        if options.model is None:
            return gradient_flow.inspect_fresh(
                options.cells.split(","),
                options.initialization.split(","),
                layers=options.layers,
                hidden_size=options.hidden_size,
                length=options.length or 60,
                seed=options.seed,
                **rate_and_clip,
            )
    wanted = options.what in ("context", "attention", "search", "steps")
    subject = open_subject(options.model, options.threads, translation=wanted)
    if options.what == "steps":
        return steps.inspect(subject, options.text, options.beam_size)
    if options.what == "embeddings":
        pieces = [piece for piece in options.pieces.split(",") if piece]
        return embeddings.inspect(subject, options.side, pieces, options.count, options.projection)
    choice = Choice(options.sentences, options.sentence, options.source, options.target, options.split, options.set)
    if options.what == "gradient-flow":
        return gradient_flow.inspect_trained(subject, choice, longest=options.length or 30, **rate_and_clip)
    if options.what == "gates":
        return gates.inspect(subject, choice, options.layer, options.unit)
    if options.what == "context":
        return context.inspect(subject, choice, options.projection)
    if options.what == "attention":
        return attention.inspect(subject, choice, options.beam_size, options.gold)
    return search.inspect(subject, choice, options.beam_sizes, say)
