"""`nmt translate`: translate lines."""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import os
import stat
import sys
from typing import Any, BinaryIO, cast

from nmt.commands.decoding_options import add_decoding_options, decoding_options
from nmt.commands.options import add_machine_options, positive
from nmt.commands.streams import load_translator, open_file, say
from nmt.errors import UserError

TEXT = "Translate standard input, or a file, line by line."
EXAMPLE = 'echo "Ein Hund schläft auf dem Sofa." | translate --model runs/captions'


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of `translate`."""
    parser.add_argument(
        "--model",
        dest="models",
        required=True,
        action="extend",
        nargs="+",
        metavar="MODEL",
        help="model folder, run folder, hub id, or a model in the box (de-en, en-de); several translate as an ensemble",
    )
    parser.add_argument("--input", metavar="FILE", help="read this file instead of standard input")
    parser.add_argument("--output", metavar="FILE", help="write to this file instead of standard output")
    parser.add_argument("--n-best", type=positive, metavar="N", help="N translations a line: number, rank, score, text")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument(
        "--json-input", action="store_true", help="read JSON objects: text, prefix, required, forbidden, id"
    )
    parser.add_argument("--alignments", action="store_true", help="source word-target word pairs, behind a tab")
    parser.add_argument("--attention", action="store_true", help="attention weights; with --json")
    parser.add_argument("--prefix", default="", metavar="TEXT", help="how each translation begins")
    parser.add_argument("--required", metavar="FILE", help="phrases that each translation contains, one a line")
    parser.add_argument("--forbidden", metavar="FILE", help="phrases that no translation contains, one a line")
    parser.add_argument("--split-sentences", action="store_true", help="translate the sentences of a line one by one")
    add_decoding_options(parser)
    add_machine_options(parser)
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> None:
    """`translate`, `nmt translate`."""
    from nmt.translation.line_stream import translate_stream

    if (options.input is None and sys.stdin is None) or (options.output is None and sys.stdout is None):
        raise UserError("standard input or output is closed; use --input and --output")
    with contextlib.ExitStack() as files:
        source = files.enter_context(open_file(options.input, "rb")) if options.input else sys.stdin.buffer
        for read in filter(None, (source, options.required, options.forbidden)):
            if options.output and is_file(options.output, read):
                what = "the input" if read is source else "the file of phrases"
                raise UserError(f"--output `{options.output}` is {what}; choose another file")
        if options.input and options.input.endswith(".gz"):
            source = cast(BinaryIO, files.enter_context(gzip.open(source)))
        interactive = options.input is None and sys.stdin.isatty()
        overrides = decoding_options(options)
        translator = load_translator(options)
        settings: dict[str, Any] = {
            "n_best": options.n_best,
            "json": options.json,
            "json_input": options.json_input,
            "alignments": options.alignments,
            "attention_weights": options.attention,
            "prefix": options.prefix,
            "required": read_phrases(options.required),
            "forbidden": read_phrases(options.forbidden),
            "split_sentences": options.split_sentences,
            "interactive": interactive,
            "warn": lambda line: say(f"translate: {line}"),
            **overrides,
        }
        translate_stream(
            translator, io.BytesIO(), io.BytesIO(), **settings
        )  # mistakes first: the output stays as it is
        if interactive:
            say("type a sentence and press Enter; Ctrl-D ends")
        output = files.enter_context(open_file(options.output, "wb")) if options.output else sys.stdout.buffer
        translate_stream(translator, source, output, **settings)


def is_file(path: str, other: str | BinaryIO) -> bool:
    """Whether another path names the file of that path, or a stream reads it, and it is a regular one."""
    try:
        status = os.stat(other if isinstance(other, str) else other.fileno())
        return stat.S_ISREG(status.st_mode) and os.path.samestat(os.stat(path), status)
    except OSError:  # no such file, or a stream that reads none
        return False


def read_phrases(path: str | None) -> list[str]:
    """The phrases of a file, one a line."""
    if path is None:
        return []
    from nmt.text.reading import read_lines

    return [line for line in read_lines(path) if line.strip()]
