"""The options of search and sampling, shared by several commands: the fields of `nmt.config.DecodingConfig`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from typing import Any, Literal, get_args, get_origin

from nmt.commands.options import positive, seed
from nmt.config import OPTIONS, DecodingConfig
from nmt.config.ranges import SAMPLING, type_hints
from nmt.errors import UserError


def decoding_options(options: argparse.Namespace) -> dict[str, Any]:
    """The search options that were given on the command line."""
    if options.language_model_weight is not None and options.language_model is None:
        raise UserError("--language-model-weight needs --language-model")
    given = {name: getattr(options, name, None) for name in OPTIONS}  # not every command has all of them
    return {name: value for name, value in given.items() if value is not None}


def add_decoding_options(parser: argparse.ArgumentParser, names: Iterable[str] = OPTIONS) -> None:
    """Options of search and sampling: all, or those with the given names."""
    group = parser.add_argument_group("search", "defaults are in the model's config.toml, under [decoding]")
    for name in names:
        if name == "language_model_weight":
            group.add_argument(
                "--language-model", metavar="MODEL", help="language model of the target side, for shallow fusion"
            )
        add_option(group, name, "sampling: " if OPTIONS[name].needs is SAMPLING else "")


def add_option(parser: argparse._ActionsContainer, name: str, prefix: str = "", default: object | None = None) -> None:
    """Add a search option to a parser, group or command.

    Parameters:
        prefix: text before its help
        default: None if the model's configuration decides
    """
    option, hint = OPTIONS[name], type_hints(DecodingConfig)[name]
    kind: dict[str, Any] = {"default": default, "metavar": option.metavar}
    if hint is bool:
        kind = {"action": argparse.BooleanOptionalAction, "default": default}
    elif get_origin(hint) is Literal:
        kind = {"choices": get_args(hint)}
    else:
        rule = option.range.rule if option.range else ""
        kind["type"] = hint if hint is float else TYPES.get(rule, hint)
    shown = "" if default is None else f" (default {default})"
    parser.add_argument(f"--{name.replace('_', '-')}", help=f"{prefix}{option.help}{shown}", **kind)


DRAWING = [name for name, option in OPTIONS.items() if option.needs is SAMPLING]
"""The options of sampling, in which `nmt sample` has no search."""
TYPES: dict[str, Callable[[str], int]] = {
    "at least 1": positive,
    "auto or at least 1": positive,
    "from 0 to below 2^63": seed,
}
"""Ranges that the parser itself checks, by their rule."""
