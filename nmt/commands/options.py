"""Options that several commands share, and the value types of options."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NoReturn

from nmt import __version__
from nmt.commands.streams import say
from nmt.config.ranges import ABOVE_0, FROM_0, NUMBER, Range
from nmt.errors import closest, did_you_mean, how_to_install


class Parser(argparse.ArgumentParser):
    """An argument parser whose error messages are one line."""

    intermixed = False
    """Whether options are allowed between positional arguments, as in `nmt evaluate A --split test B`."""

    within = False
    """Whether arguments are being parsed in two steps."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As in argparse; if options may be anywhere, it parses twice: first the options, then the rest.

        An unknown option is reported as an error of the command that lacks it, not of `nmt`.
        """
        if self.within:
            return super().parse_known_args(args, namespace)
        if self.intermixed:
            self.within = True
            try:
                found, rest = self.parse_known_intermixed_args(args, namespace)
            finally:
                self.within = False
        else:
            found, rest = super().parse_known_args(args, namespace)
        if rest:
            self.error(f"unrecognized arguments: {' '.join(rest)}{self._suggest(rest[0])}")
        return found, rest

    def _suggest(self, argument: str) -> str:
        """A suggestion for an unknown option: a similar option, or a setting of the configuration."""
        if not argument.startswith("--"):
            return ""
        name, _, value = argument[2:].partition("=")
        meant = {option[2:]: option for option in self._option_string_actions if option.startswith("--")}
        change = self._option_string_actions.get("--set")
        if change is not None:
            from nmt.config import SECTIONS, Config

            for section in ("data",) if str(change.metavar).startswith("data.") else SECTIONS:
                for key in vars(getattr(Config(), section)):
                    meant.setdefault(key.replace("_", "-"), f"--set {section}.{key}={value or '...'}")
        close = closest(name, meant)
        return f" (did you mean `{meant[close]}`?)" if close else ""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """argparse's check of choices and command names; the message also suggests a similar one."""
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            error.message += did_you_mean(str(value), map(str, action.choices or ()))
            raise

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where the options are listed."""
        say(f"{self.prog}: error: {message} (see `{self.prog} --help`)".replace("\n", "\\n"))
        raise SystemExit(2)


def describe(text: str, example: str) -> dict[str, Any]:
    """The text that `--help` prints for a command, as arguments of `Parser`."""
    return {
        "description": text,
        "epilog": f"example:\n  {example}",
        "formatter_class": argparse.RawDescriptionHelpFormatter,
        "allow_abbrev": False,
    }


class PrintCompletion(argparse.Action):
    """`--print-completion`: print a script that completes commands, options, choices and paths in a shell."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option_string: Any = None) -> None:
        try:
            import shtab
        except ImportError:
            parser.error(f"--print-completion needs shtab, which is not installed: {how_to_install('[completion]')}")
        for path in {"FILE": shtab.FILE, "CONFIG": shtab.FILE, "MODEL": shtab.FILE, "DIR": shtab.DIRECTORY}.items():
            _complete(parser, *path)
        print(shtab.complete(parser, values))
        parser.exit()


def _complete(parser: argparse.ArgumentParser, metavar: str, kind: Any) -> None:
    """Complete all arguments with this metavar, those of the commands included, as one of shtab's kinds."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for own in dict.fromkeys(action.choices.values()):
                _complete(own, metavar, kind)
        elif action.metavar == metavar:
            action.complete = kind  # type: ignore[attr-defined]


def add_program_options(parser: argparse.ArgumentParser) -> None:
    """Options of the programs `nmt` and `translate` themselves."""
    parser.add_argument("--version", action="version", version=f"nmt {__version__}")
    parser.add_argument(
        "--print-completion",
        action=PrintCompletion,
        choices=("bash", "zsh", "tcsh"),
        help="print a script that completes commands and options in this shell",
    )


ANY_MODEL = "model folder, run folder, hub id, or bundled model (such as de-en)"
"""The help of a MODEL that may have an export alone, as the bundled ones."""

REPEATED: dict[str, Any] = {"action": "append", "default": []}
"""What `add_argument` takes for an option that can be repeated."""


def whole_number(name: str, least: int, below: int) -> Callable[[str], int]:
    """The type of an option that is a whole number; argparse names it in its message."""

    def parse(text: str) -> int:
        value = int(text)
        if not least <= value < below:
            raise ValueError
        return value

    parse.__name__ = name
    return parse


def number(name: str, *ranges: Range) -> Callable[[str], float]:
    """The type of an option that is a number in all of the ranges."""

    def parse(text: str) -> float:
        value = float(text)
        if rule := next(filter(None, (one.broken_by(value) for one in ranges)), ""):
            raise argparse.ArgumentTypeError(f"must be {rule}, but is {text!r} instead")
        return value

    parse.__name__ = name
    return parse


positive = whole_number("positive whole number", 1, 2**31)
seed = whole_number("whole number from 0 on", 0, 2**63)
finite = number("finite", NUMBER)
from_zero = number("from_zero", NUMBER, FROM_0)
above_zero = number("above_zero", NUMBER, ABOVE_0)


def whole_numbers(text: str) -> list[int]:
    """Whole numbers from 1 on, separated by commas."""
    return [positive(part) for part in text.split(",")]


whole_numbers.__name__ = "list of positive whole numbers (1,5,10)"


def words(text: str) -> list[str]:
    """Texts separated by commas."""
    return [part for part in text.split(",") if part]


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """A configuration file and changes to it."""
    parser.add_argument("config", metavar="CONFIG", help="configuration file (TOML)")
    parser.add_argument("--set", **REPEATED, metavar="SECTION.KEY=VALUE", help="change a setting; can be repeated")


def add_machine_options(parser: argparse.ArgumentParser) -> None:
    """The options for the device and the number of threads."""
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, mps, or auto: the fastest of them")
    parser.add_argument("--threads", type=positive, help="processor threads (default: all cores)")
