"""Options that several commands share, and the kinds of values that options take."""

from __future__ import annotations

import argparse
import math
from typing import Any, NoReturn

from nmt.commands.streams import say


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one line."""

    intermixed = False
    """Whether options may stand between positional arguments, as in `nmt evaluate A --split test B`."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """argparse's; where options may stand anywhere, it parses twice: the options first, then the rest."""
        if not self.intermixed:
            return super().parse_known_args(args, namespace)
        self.intermixed = False
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self.intermixed = True

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where the options are listed."""
        say(f"{self.prog}: error: {message} (see `{self.prog} --help`)")
        raise SystemExit(2)


def describe(text: str, example: str) -> dict[str, Any]:
    """What `--help` says of a command, as arguments of `Parser`."""
    return {
        "description": text,
        "epilog": f"example:\n  {example}",
        "formatter_class": argparse.RawDescriptionHelpFormatter,
        "allow_abbrev": False,
    }


def positive(text: str) -> int:
    """A whole number from 1 on."""
    value = int(text)
    if not 1 <= value < 2**31:
        raise ValueError
    return value


positive.__name__ = "positive whole number"


def finite(text: str) -> float:
    """A number that is neither infinite nor none at all."""
    number = float(text)
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"must be a finite number, but is {text!r} instead")
    return number


def whole_numbers(text: str) -> list[int]:
    """Whole numbers from 1 on with commas between them."""
    return [positive(part) for part in text.split(",")]


whole_numbers.__name__ = "list of positive whole numbers (1,5,10)"


def seed(text: str) -> int:
    """A whole number from 0 on."""
    value = int(text)
    if not 0 <= value < 2**63:
        raise ValueError
    return value


seed.__name__ = "whole number from 0 on"


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """A configuration file and changes to it."""
    parser.add_argument("config", metavar="CONFIG", help="configuration file (TOML)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="change a setting; can be repeated"
    )


def add_machine_options(parser: argparse.ArgumentParser) -> None:
    """Where to compute."""
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, ...")
    parser.add_argument("--threads", type=positive, help="processor threads (default: all cores)")
