"""Messages to the terminal, results to standard output, and opening the files and models that options name."""

from __future__ import annotations

import argparse
import contextlib
import gc
import re
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, BinaryIO, cast

from nmt.errors import UserError

if TYPE_CHECKING:
    from nmt.translation.translator import Translator


def say(line: str) -> None:
    """Print a message to standard error; if that is not possible, the work continues without the message."""
    if sys.stderr is not None:  # print would use standard output instead of None
        with contextlib.suppress(OSError):
            print(harmless(line), file=sys.stderr, flush=True)


CONTROLS = "[^\\n\\t -~\u00a0-\U0010ffff]|[\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]"
"""Characters that a terminal may interpret as a command, or that change the order of characters."""


def harmless(text: str) -> str:
    """Text with its control characters spelt out: a file or a name in a message may have been made by a stranger."""
    return re.sub(CONTROLS, lambda found: ascii(found[0])[1:-1], text)


def standard_output() -> BinaryIO:
    """Standard output as a binary stream; raises UserError when it is closed."""
    if sys.stdout is None:
        raise UserError("standard output is closed, and there is nowhere else to write to")
    return sys.stdout.buffer


def open_file(path: str, mode: str) -> BinaryIO:
    """Open a file that the user named; raises UserError when that fails."""
    try:
        return cast(BinaryIO, open(path, mode))
    except OSError as error:
        raise UserError(f"`{path}` cannot be {'read' if mode == 'rb' else 'written'}: {error.strerror}") from None


def print_lines(lines: Iterable[str]) -> None:
    """Write lines to standard output, in UTF-8 regardless of the terminal's encoding."""
    output = standard_output()
    for line in lines:
        output.write(f"{line}\n".encode())
    output.flush()


def load_translator(options: argparse.Namespace) -> Translator:
    """The translation model or models of `translate` and `nmt score`, and their language model."""
    gc.disable()  # modules and models stay; to search them for garbage takes a tenth of the start
    try:
        from nmt.translation.translator import Translator

        return Translator.load(
            options.models, language_model=options.language_model, device=options.device, threads=options.threads
        )
    finally:
        gc.freeze()
        gc.enable()
