"""`nmt translate`: translate lines."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import stat
import sys
import time
from pathlib import Path
from typing import Any, BinaryIO, cast

from nmt.commands.decoding_options import add_decoding_options, decoding_options
from nmt.commands.options import ANY_MODEL, add_machine_options, positive
from nmt.commands.streams import load_translator, open_file, say
from nmt.errors import UserError

TEXT = "Translate standard input, or a file, line by line."
EXAMPLE = 'echo "Ein Hund schläft auf dem Sofa." | translate --model runs/captions'


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--model",
        dest="models",
        required=True,
        action="extend",
        nargs="+",
        metavar="MODEL",
        help=f"{ANY_MODEL}; several translate as an ensemble",
    )
    add("--input", metavar="FILE", help="read this file instead of standard input")
    add("--output", metavar="FILE", help="write to this file instead of standard output")
    add(
        "--document",
        metavar="FILE",
        help="translate this document (docx, odt, pptx, xlsx, epub, html, md, srt, po ...) to --output, or to a file "
        "beside it",
    )
    add(
        "--keys",
        type=lambda text: text.split(","),
        metavar="PATTERNS",
        help="with --document: translate only the values of JSON and YAML with these keys, such as title,*.text",
    )
    add("--n-best", type=positive, metavar="N", help="N translations of each line: number, rank, score, text")
    add("--json", action="store_true", help="write a JSON object for each line")
    add(
        "--json-input",
        action="store_true",
        help="read a JSON object from each line: text, prefix, required, forbidden, keep, glossary, markup, id",
    )
    add("--alignments", action="store_true", help="add the word alignment after a tab")
    add("--attention", action="store_true", help="add the attention weights; needs --json")
    add_requests(parser)
    add(
        "--split-sentences",
        action=argparse.BooleanOptionalAction,
        help="translate the sentences of a line one by one (default, except with models of longer text)",
    )
    add("--as-spelt", action="store_true", help="translate misspelt words as they are, without correcting them")
    add("--resume", action="store_true", help="continue an incomplete --output file after its last complete line")
    add(
        "--shard",
        type=shard,
        metavar="I/N",
        help="translate only part I of N parts of the --input file, so that several processes share it; the outputs of "
        "all parts, one after another, are the output for the whole file",
    )
    add_decoding_options(parser)
    add_machine_options(parser)


def add_requests(parser: argparse.ArgumentParser) -> None:
    """Options that say what translations must contain or keep."""
    add = parser.add_argument
    add("--prefix", type=utf8, default="", metavar="TEXT", help="beginning of each translation")
    add("--required", metavar="FILE", help="phrases that translations must contain, one per line")
    add("--forbidden", metavar="FILE", help="phrases that translations must not contain, one per line")
    add("--keep", metavar="FILE", help="phrases to copy and not translate, one per line")
    add("--glossary", metavar="FILE", help="TSV, CSV or TBX file of terms and their translations")
    add("--markup", choices=["html", "xml"], default="", help="translate lines with tags, which are kept")
    add("--strict", action="store_true", help="exit with status 2 if a request, such as --keep, could not be met")
    add(
        "--warn-below",
        type=float,
        metavar="P",
        help="report on standard error each line whose confidence (0 to 1) is below P",
    )


def shard(text: str) -> tuple[int, int]:
    """Parse `2/8`."""
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise argparse.ArgumentTypeError(f"must be I/N with I from 1 to N, such as 1/4, but is {text!r} instead")
    return int(found[1]), int(found[2])


def utf8(text: str) -> str:
    """Decode an argument as UTF-8, independently of the locale."""
    return os.fsencode(text).decode("utf-8", "replace")


AS_GIVEN = ("n_best", "json", "json_input", "alignments", "prefix", "markup", "strict", "split_sentences", "warn_below")
"""The options whose values `translate_stream` takes under the same names."""


def run(options: argparse.Namespace) -> None:
    from nmt.text.files import open_text
    from nmt.translation.line_stream import LineReader, translate_stream
    from nmt.translation.resuming import Done, find_done

    if options.document:
        run_document(options)
        return
    if options.keys:
        raise UserError("--keys needs --document")
    if (options.input is None and sys.stdin is None) or (options.output is None and sys.stdout is None):
        raise UserError("standard input or output is closed; use --input and --output")
    if options.resume and not options.output:
        raise UserError("--resume goes on with an --output file; give its name")
    if options.shard and not options.input:
        raise UserError("--shard divides an --input file; give its name")
    with contextlib.ExitStack() as files:
        raw = files.enter_context(open_file(options.input, "rb")) if options.input else sys.stdin.buffer
        check_files(options, raw)
        overrides = decoding_options(options)
        translator = load_translator(options)
        translator.correct_spelling = not options.as_spelt
        progress = Progress(raw, options)
        settings: dict[str, Any] = {
            **{name: getattr(options, name) for name in AS_GIVEN},
            **{name: read_phrases(getattr(options, name)) for name in ("required", "forbidden", "keep")},
            "attention_weights": options.attention,
            "glossary": translator.glossary(options.glossary) if options.glossary else None,
            "warn": progress.say,
            **overrides,
        }
        # Find mistakes in the settings first, while the output file is still as it was.
        translate_stream(translator, io.BytesIO(), io.BytesIO(), **settings)
        if options.input is None and sys.stdin.isatty():
            say("type a sentence and press Enter; Ctrl-D ends")
        source = open_text(
            raw, f"`{options.input}`" if options.input else "standard input", html=options.markup == "html"
        )
        reader = LineReader(cast(BinaryIO, source), *lines_of_shard(options))
        done = find_done(Path(options.output), reader, translator, settings) if options.resume else Done()
        output = files.enter_context(open_output(options.output, done.bytes)) if options.output else sys.stdout.buffer
        files.callback(progress.clear)
        translate_stream(translator, reader, output, **settings, first=reader.first + done.lines + 1, progress=progress)


def lines_of_shard(options: argparse.Namespace) -> tuple[int, int | None]:
    """The lines of the input that are translated: the first one, and the one after the last; None for all."""
    from nmt.text.files import open_text
    from nmt.translation.line_stream import shard_of_lines

    if options.shard is None:
        return 0, None
    if not os.path.isfile(options.input):
        raise UserError(f"--shard reads the input twice, but `{options.input}` is not a file that is kept")
    with open_text(options.input, html=options.markup == "html") as source:
        return shard_of_lines(source, *options.shard)


LINES_ONLY = (
    *("input", "n_best", "json", "json_input", "alignments", "attention"),
    *("prefix", "required", "markup", "resume", "shard"),
)
"""The options that cannot be used with --document."""


def run_document(options: argparse.Namespace) -> None:
    from nmt.documents import open_document, output_path, with_translator
    from nmt.model_files import write_atomically

    for name in LINES_ONLY:
        if getattr(options, name):
            raise UserError(f"--{name.replace('_', '-')} is for lines of text and not for a --document; leave it out")
    overrides = decoding_options(options)
    problems: list[str] = []

    def warn(problem: str) -> None:
        problems.append(problem)
        say(f"translate: {problem}")

    document = open_document(options.document, say=lambda line: say(f"translate: {line}"))
    if options.output:
        output_path(options.document, options.output, "")
    translator = load_translator(options)
    translator.correct_spelling = not options.as_spelt
    output = output_path(options.document, options.output, translator.target_language)
    translate = with_translator(
        translator,
        keep=read_phrases(options.keep),
        forbidden=read_phrases(options.forbidden),
        glossary=options.glossary,
        split_sentences=options.split_sentences,
        warn_below=options.warn_below,
        warn=warn,
        **overrides,
    )
    languages = {"source_language": translator.source_language, "target_language": translator.target_language}
    texts, shown = 0, time.monotonic()

    def progress(done: int, count: int) -> None:
        """Show how many texts are translated, every ten seconds."""
        nonlocal texts, shown
        texts = count
        if time.monotonic() - shown > 10:
            shown = time.monotonic()
            say(f"translate: {done:,} of {count:,} texts")

    translated = document.translate(translate, **languages, keys=options.keys or (), progress=progress)
    write_atomically(output, translated)
    what = "1 text is" if texts == 1 else f"{texts:,} texts are"
    say(f"translate: {what} translated from `{options.document}` to `{output}`")
    if options.strict and problems:
        raise UserError(f"what is asked of the translation is not met: {problems[0]}")


def check_files(options: argparse.Namespace, source: BinaryIO) -> None:
    """Raises UserError when the output would overwrite a file that is read, or append to it."""
    output = regular_file(options.output or sys.stdout.buffer)
    name = f"--output `{options.output}`" if options.output else "standard output"
    for read in filter(None, (source, options.required, options.forbidden, options.keep, options.glossary)):
        file = regular_file(read)
        if output and file and os.path.samestat(output, file):
            what = (
                "the input" if read is source else "the glossary" if read == options.glossary else "the file of phrases"
            )
            raise UserError(f"{name} is {what}; choose another file")


def regular_file(file: str | BinaryIO) -> os.stat_result | None:
    """The status of the regular file of a path or stream; None if there is no such file, or it is something else."""
    try:
        status = os.stat(file if isinstance(file, str) else file.fileno())
    except OSError:
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def open_output(path: str, kept: int) -> BinaryIO:
    """Open the output file for writing after the first `kept` bytes; its name decides whether it is compressed."""
    from nmt.text.files import COMPRESSED, UNWRITTEN

    suffix = Path(path).suffix.lower()
    if suffix in UNWRITTEN:
        raise UserError(f"--output `{path}`: {suffix} is not written, only text, also compressed as .gz, .bz2 or .xz")
    if kept:
        file = open_file(path, "r+b")
        file.truncate(kept)
        file.seek(kept)
        return file
    file = open_file(path, "wb")
    if suffix in COMPRESSED:
        file.close()  # the compressor opens the path itself, and closes it
        return cast(BinaryIO, COMPRESSED[suffix][1](path, "wb"))
    return file


class Progress:
    """Shows how much of a file is translated: a line on the terminal that is rewritten, or a line every minute."""

    def __init__(self, source: BinaryIO, options: argparse.Namespace) -> None:
        self._source = source
        file = regular_file(source)
        self._size = file.st_size if file else 0
        self._is_terminal = sys.stderr is not None and sys.stderr.isatty()
        shares_terminal = not options.output and sys.stdout.isatty()
        self._is_wanted = not shares_terminal and (self._size > 0 or self._is_terminal)
        self._interval = 0.5 if self._is_terminal else 60
        self._shard = options.shard or (1, 1)
        self._start = self._last = time.monotonic()
        self._first: int | None = None
        self._shown = False

    def __call__(self, lines: int) -> None:
        """Show the number of lines that are written, if it is time for it."""
        now = time.monotonic()
        if self._first is None:  # with --resume, lines were written before this start
            self._first, self._start = lines, now
        if not self._is_wanted or now - self._last < self._interval:
            return
        self._last = now
        rate = (lines - self._first) / max(now - self._start, 1e-3)
        text = f"translate: {lines:,} lines, {rate:,.0f} a second"
        share = self._source.tell() / self._size * self._shard[1] - self._shard[0] + 1 if self._size else 0.0
        if 0 < share <= 1:
            left = (now - self._start) * (1 - share) / share
            text += f", {share:.0%}, about {left / 60:.0f} min left" if left > 90 else f", {share:.0%}"
        if self._is_terminal:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
            self._shown = True
        else:
            say(text)

    def say(self, line: str) -> None:
        """Print a warning on a line of its own."""
        self.clear()
        say(f"translate: {line}")

    def clear(self) -> None:
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._shown = False


def read_phrases(path: str | None) -> list[str]:
    if path is None:
        return []
    from nmt.text.reading import read_lines

    return [line for line in read_lines(path) if line.strip()]
