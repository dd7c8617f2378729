"""Search options are declared once, in DecodingConfig; none can be added to a parser and then be ignored."""

from __future__ import annotations

import argparse
import ast
import inspect
import keyword
import re
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest

import nmt.commands
import nmt.inspect
from nmt import cli
from nmt.commands.decoding_options import DRAWING, decoding_options
from nmt.commands.inspect import WHATS
from nmt.config import OPTIONS, Config, DecodingConfig, check_config
from nmt.errors import UserError
from nmt.search.beam import SearchSettings

FOLDER = Path(nmt.commands.__file__).parent
HINTS = typing.get_type_hints(DecodingConfig)
ARGUMENTS = {"translate": ["--model", "m"], "evaluate": ["m"], "score": ["m", "--source", "s", "--target", "t"]}
"""What else the commands that search must be given."""
UNREAD = {"help", "version", "command_line", "command"}


def parsers(parser: argparse.ArgumentParser, name: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Each command's parser, with those of what it can do."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub, own in action.choices.items():
                yield from parsers(own, name or sub)
            return
    yield name, parser


PARSERS = list(parsers(cli.make_parser()))


def names_read(path: Path) -> set[str]:
    """The options that a file reads, as `options.name` or by a name in quotes, with its neighbours' that it imports.

    A name that begins with a fixed text (f"max_{name}") is given as that text with a star.
    """
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "options":
            found.add(node.attr)
        elif isinstance(node, ast.Name) and node.id in ("OPTIONS", "decoding_options"):
            found |= {*OPTIONS, "language_model"}
        elif isinstance(node, ast.Name) and node.id == "DRAWING":
            found |= {*DRAWING}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("nmt.commands."):
            neighbour = FOLDER / f"{node.module.split('.')[2]}.py"
            found |= names_read(neighbour) if neighbour.name not in ("options.py", "decoding_options.py") else set()
        elif isinstance(node, ast.JoinedStr) and isinstance(start := node.values[0], ast.Constant):
            found.add(f"{start.value}*")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
    return found


@pytest.mark.parametrize("command", sorted({name for name, _ in PARSERS}))
def test_every_option_is_read_by_its_command(command: str) -> None:
    declared = {action.dest for name, parser in PARSERS if name == command for action in parser._actions}
    file = f"{command}_.py" if keyword.iskeyword(command) else f"{command}.py"
    read = names_read(FOLDER / file)
    if command == "inspect":  # each option becomes the argument of that name, and there would be an error without one
        functions = [getattr(nmt.inspect, what.replace("-", "_")) for what in WHATS]
        read |= {name for function in functions for name in inspect.signature(function).parameters}
        read |= set(nmt.inspect.Source.__annotations__)
    starts = tuple(name[:-1] for name in read if re.fullmatch(r"[a-z]+_\*", name))
    assert {name for name in declared - UNREAD - read if not name.startswith(starts)} == set()


def example(name: str) -> Any:
    """A value of an option that is possible and not its default."""
    default, hint = getattr(DecodingConfig, name), HINTS[name]
    if get_origin(hint) is Literal:
        return next(choice for choice in get_args(hint) if choice != default)
    if hint is bool:
        return not default
    special = {"batch_size": 7, "top_p": 0.5}
    return special[name] if name in special else default + 1


@pytest.mark.parametrize("command", ARGUMENTS)
def test_every_search_option_of_a_parser_reaches_the_search(command: str) -> None:
    """And the group has no others than those of DecodingConfig and the language model."""
    [parser] = [parser for name, parser in PARSERS if name == command]
    [group] = [group for group in parser._action_groups if group.title == "search"]
    offered = {action.dest: action for action in group._group_actions}
    assert set(offered) - {"language_model"} == {n for n, one in OPTIONS.items() if one.scoring or command != "score"}
    for name in offered.keys() - {"language_model"}:
        value = example(name)
        no = "no-" if value is False else ""
        given = [f"--{no}{name.replace('_', '-')}", *([] if HINTS[name] is bool else [str(value)])]
        options = parser.parse_args([*ARGUMENTS[command], "--language-model", "l", *given])
        assert decoding_options(options) == {name: value}
        assert getattr(SearchSettings(**{"beam_size": 9, name: value}), name) == value
    assert decoding_options(parser.parse_args(ARGUMENTS[command])) == {}


@pytest.mark.parametrize("name", OPTIONS)
def test_ranges_are_those_of_the_declaration_everywhere(name: str) -> None:
    described = OPTIONS[name].range
    if described is None:
        assert HINTS[name] is bool or get_origin(HINTS[name]) is Literal
        return
    wrongs = [value for value in (-1, 3 * sys.maxsize) if described.broken_by(value)]
    assert wrongs
    for wrong in wrongs:
        message = re.escape(f"must be {described.broken_by(wrong)}, but is {wrong!r} instead")
        assert f"`decoding.{name}` must be {described.broken_by(wrong)}, but is {wrong!r} instead" in check_config(
            Config(decoding=DecodingConfig(**{name: wrong}))
        )
        with pytest.raises(UserError, match=f"`{name}` {message}"):
            SearchSettings(**{name: wrong})


def test_search_takes_every_option_with_its_default() -> None:
    assert SearchSettings.of(DecodingConfig()) == SearchSettings()
    assert {**vars(DecodingConfig()), "n_best": 1, "attention_weights": False} == vars(SearchSettings())


def test_no_default_but_that_of_the_field() -> None:
    assert set(inspect.get_annotations(SearchSettings)) == {"n_best", "attention_weights"}
