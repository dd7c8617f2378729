"""The command line: errors become one line and an exit status. Each command is a file of `nmt.commands`.

The exit status is 0 for success, 1 if the work failed or was stopped, and 2 for wrong usage or input. Results go to
standard output, everything else goes to standard error.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
import warnings
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import fields
from importlib import import_module
from types import ModuleType

from nmt.commands.options import Parser, add_program_options, describe
from nmt.commands.streams import say
from nmt.errors import TrainingError, UserError, how_to_install
from nmt.text.files import DAMAGED

COMMANDS = (
    *("import_", "data", "vocab", "train", "evaluate", "inspect", "diversify", "average", "export", "sample"),
    *("predict", "translate", "serve", "score", "rerank", "cache"),
)
"""The commands; each is a file of `nmt.commands`, where a name that Python reserves ends with `_`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command `nmt`."""
    given = sys.argv[1:] if arguments is None else arguments
    named = [name for name in COMMANDS if name.rstrip("_") in given[:1]]
    return run(make_parser(named or COMMANDS), arguments)


def translate_main(arguments: Sequence[str] | None = None) -> int:
    """The command `translate`: `nmt translate` under a name of its own."""
    from nmt.commands import translate

    parser = Parser(prog="translate", **describe(translate.TEXT, translate.EXAMPLE))
    add_program_options(parser)
    add_command(parser, translate)
    return run(parser, arguments)


def add_command(parser: argparse.ArgumentParser, command: ModuleType) -> None:
    """Add the options of a command, and the function that runs it."""
    parser.set_defaults(command=command.run)
    command.add_options(parser)


def run(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> int:
    """Parse the arguments and run the command; every error becomes one line and an exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = argparse.Namespace(command_line=shlex.join([parser.prog, *given]))
    try:
        parser.parse_args(given, options)
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: say(f"{parser.prog}: {message}")
            options.command(options)
    except UserError as error:
        say(f"{parser.prog}: error: {with_options(str(error), options)}".replace("\n", "\\n"))
        return 2
    except TrainingError as error:
        say(f"{parser.prog}: {error}")
        return 1
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "nmt":
            raise
        wanted = "sacrebleu" if error.name.startswith("sacrebleu") else "[train]"  # this command works without torch
        say(f"{parser.prog}: error: this needs `{error.name}`: {how_to_install(wanted)}")
        return 2
    except BrokenPipeError:
        give_up_output()
        return 0
    except KeyboardInterrupt:
        say(f"{parser.prog}: interrupted")
        return 1
    except DAMAGED as error:
        say(f"{parser.prog}: error: {getattr(options, 'input', None) or 'input'} is damaged: {error}")
        return 2
    except (MemoryError, RuntimeError) as error:  # numpy, torch and ONNX Runtime report it in many ways
        if not isinstance(error, MemoryError) and not re.search(r"allocate|out of memory", str(error)):
            raise
        say(f"{parser.prog}: error: not enough memory: {' '.join(str(error).split())}".removesuffix(": "))
        return 1
    except OSError as error:
        say(f"{parser.prog}: error: {error.filename or 'input or output'}: {error.strerror or error}")
        give_up_output()
        return 1
    return 0


def with_options(message: str, options: argparse.Namespace) -> str:
    """A message about search settings that names the command's options instead of the settings, if it has them."""
    from nmt.config import DecodingConfig
    from nmt.translation.translator import OVERRIDES

    rest = message.removeprefix(f"{OVERRIDES}: ")
    known = {"n_best", *(setting.name for setting in fields(DecodingConfig))} & set(vars(options))
    names = re.compile(r"`(\w+)`" if rest == message else r"`decoding\.(\w+)`")
    return names.sub(lambda name: f"--{name[1].replace('_', '-')}" if name[1] in known else name[0], rest)


def give_up_output() -> None:
    """Discard unwritten standard output, which Python would otherwise try to write again at exit."""
    with suppress(OSError, AttributeError):  # a program that calls `main` may have replaced standard output
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def make_parser(names: Iterable[str] = COMMANDS) -> argparse.ArgumentParser:
    """The commands and their options: all, or only some, which is faster where it is known which one is wanted."""
    parser = Parser(prog="nmt", description="Recurrent neural machine translation.", allow_abbrev=False)
    add_program_options(parser)
    parser.set_defaults(command=lambda options: parser.print_help())
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name in names:
        command = import_module(f"nmt.commands.{name}")
        short = command.TEXT.split(". ")[0].rstrip(".")
        own = subparsers.add_parser(name.rstrip("_"), help=short, **describe(command.TEXT, command.EXAMPLE))
        add_command(own, command)
    return parser


if __name__ == "__main__":
    sys.exit(main())
