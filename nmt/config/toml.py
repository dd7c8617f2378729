"""Configurations as TOML: reading (reporting all errors at once), changes by `--set`, and writing."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from nmt.config.fields import FORMAT, SECTIONS, Config, DataConfig
from nmt.config.ranges import type_hints
from nmt.config.rules import check_config
from nmt.errors import UserError, closest, did_you_mean
from nmt.sizing import AUTO


def load_config(path: str | Path | Mapping[str, Any], settings: Sequence[str] = ()) -> Config:
    """Read a TOML file, or take its values from nested dictionaries; apply `section.key=value` settings, check
    everything.

    Raises UserError naming the file and every mistake in it.
    """
    where, values = ("configuration", deepcopy(dict(path))) if isinstance(path, Mapping) else (str(path), _read(path))
    for setting in settings:
        apply_setting(values, setting)
    return parse_config(values, where)


def _read(path: str | Path) -> dict[str, Any]:
    """The values of a TOML file; raises UserError when it cannot be read."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"configuration `{path}` does not exist") from None
    except IsADirectoryError:
        raise UserError(f"configuration `{path}` is a folder, but must be a TOML file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"configuration `{path}` cannot be read: {error}") from None
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # RecursionError: nested brackets
        mistake = str(error).splitlines()[0]
        advice = _about_backslashes(text, mistake)
        raise UserError(f"configuration `{path}` is not valid TOML: {mistake}{advice}") from None
    return values


BACKSLASHES = "TOML reads a backslash in double quotes as an escape; write a Windows path in single quotes, or with /"


def _about_backslashes(text: str, mistake: str) -> str:
    """Advice if the line of a TOML error has a backslash in double quotes."""
    place = re.search(r"at line (\d+)", mistake)
    lines = text.splitlines()
    line = lines[int(place[1]) - 1] if place and int(place[1]) <= len(lines) else ""
    return f"; {BACKSLASHES}" if re.search(r'"[^"]*\\', line) else ""


def apply_setting(values: dict[str, Any], setting: str) -> None:
    """Write one `section.key=value` (value in TOML, or plain text) into the nested values."""
    name, equals, text = setting.partition("=")
    keys = name.strip().split(".")
    if not equals or not all(keys):
        raise UserError(f"--set must be section.key=value, but is `{setting}` instead")
    try:
        value = tomllib.loads(f"value = {text.strip()}")["value"]
    except (ValueError, RecursionError):
        value = text.strip()
    if isinstance(value, int | float) and _is_text(keys):
        value = text.strip()  # a folder called 2016
    for key in keys[:-1]:
        values = values.setdefault(key, {})
        if not isinstance(values, dict):
            raise UserError(f"--set {name.strip()}: `{key}` is not a section")
    values[keys[-1]] = value


def _is_text(keys: list[str]) -> bool:
    """Whether the setting of that name is a string."""
    kind: Any = Config
    for key in keys:
        kind = type_hints(kind).get(key) if dataclasses.is_dataclass(kind) else None
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    return kind is str or str in get_args(kind)


def data_with(config: Config, settings: Sequence[str]) -> DataConfig:
    """The data of a configuration with some `data.KEY=VALUE` changed; raises UserError for other settings."""
    values = dataclasses.asdict(config)
    for setting in settings:
        if not setting.startswith("data."):
            raise UserError(f"--set must be data.KEY=VALUE here, but is `{setting}` instead")
        apply_setting(values, setting)
    return parse_config(values, "--set").data


def parse_config(values: dict[str, Any], where: str) -> Config:
    """Turn nested values into a checked Config; raises UserError with all errors, naming `where` they were found."""
    if values.get("format", FORMAT) != FORMAT:
        raise UserError(
            f"{where}: `format` must be {FORMAT}, but is {values['format']!r}: written by another version of nmt"
        )
    mistakes: list[str] = []
    config: Config = _parse_dataclass(Config, values, "", mistakes)
    if not mistakes:
        mistakes = check_config(config)
    if mistakes:
        raise UserError(f"{where}: " + "; ".join(mistakes))
    return config


def _parse_dataclass(kind: Any, values: dict[str, Any], prefix: str, mistakes: list[str]) -> Any:
    hints = type_hints(kind)
    known = {}
    for key, value in values.items():
        if key not in hints:
            mistakes.append(f"unknown key `{prefix}{key}`{_known_keys(key, kind, prefix)}")
        elif dataclasses.is_dataclass(hints[key]):
            if isinstance(value, dict):
                known[key] = _parse_dataclass(hints[key], value, f"{key}.", mistakes)
            else:
                mistakes.append(f"`{key}` must be a section, but is {value!r} instead")
        elif (
            (table := _table_of(hints[key])) and isinstance(value, list) and all(isinstance(one, dict) for one in value)
        ):
            known[key] = [_parse_dataclass(table, one, f"{prefix}{key}.", mistakes) for one in value]
        else:
            ok, converted = _convert(hints[key], value)
            if not ok:
                choices = [str(choice) for choice in _choices(hints[key])]
                instead = f"but is {value!r} instead{did_you_mean(str(value), choices)}"
                mistakes.append(f"`{prefix}{key}` must be {_describe(hints[key])}, {instead}")
            elif _has_escapes(converted):
                mistakes.append(f"`{prefix}{key}` has control characters: {value!r}; {BACKSLASHES}")
            else:
                known[key] = converted
    return kind(**known)


def _known_keys(key: str, kind: Any, prefix: str) -> str:
    """A suggestion for an unknown key, or a list of all keys."""
    hints = type_hints(kind)
    for section in SECTIONS:
        if key in type_hints(type_hints(Config)[section]) and f"{section}." != prefix:
            return f" (it belongs to [{section}])"
    close = closest(key, hints)
    if close:
        return f" (did you mean `{prefix}{close}`?)"
    return f" (the keys{f' of [{prefix[:-1]}]' if prefix else ''} are {', '.join(hints)})"


def _choices(hint: Any) -> list[Any]:
    """The possible values of a setting that has a list of them."""
    if get_origin(hint) is Annotated:
        return [*_choices(get_args(hint)[0]), *([AUTO] if AUTO in get_args(hint) else [])]
    return list(get_args(hint)) if get_origin(hint) is Literal else []


def _has_escapes(value: Any) -> bool:
    """Whether a Windows path has lost backslashes: `C:\\texts\\new` in double quotes has a tab and a line end."""
    if isinstance(value, list):
        return any(map(_has_escapes, value))
    if isinstance(value, dict):
        return any(map(_has_escapes, value.values()))
    return isinstance(value, str) and bool(re.match(r"[A-Za-z]:|\\", value)) and not value.isprintable()


def _convert(hint: Any, value: Any) -> tuple[bool, Any]:
    """Whether a TOML value matches a type hint, and the value converted to that type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return (True, value) if value == AUTO and AUTO in arguments else _convert(arguments[0], value)
    if origin is Literal:
        return any(value == choice and type(value) is type(choice) for choice in arguments), value
    if origin is types.UnionType or origin is typing.Union:
        for choice in arguments:
            ok, converted = _convert(choice, value)
            if ok:
                return True, converted
        return False, value
    if origin is tuple:
        if not isinstance(value, list | tuple) or len(value) != len(arguments):
            return False, value
        converted = [_convert(choice, item) for choice, item in zip(arguments, value, strict=True)]
        return all(ok for ok, _ in converted), tuple(item for _, item in converted)
    if origin is list:
        return isinstance(value, list) and all(_convert(arguments[0], item)[0] for item in value), value
    if origin is dict:
        return isinstance(value, dict) and all(_convert(arguments[1], item)[0] for item in value.values()), value
    if hint is float:
        return (True, float(value)) if _is_number(value) else (False, value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool), value
    if hint is str:
        return isinstance(value, str) and "\0" not in value, value
    return isinstance(value, hint), value


def _table_of(hint: Any) -> Any:
    """The dataclass of the elements of a setting that is a list of tables; None for other settings."""
    kind = get_args(hint)[0] if get_origin(hint) is list else None
    return kind if dataclasses.is_dataclass(kind) else None


def _is_number(value: Any) -> bool:
    """Whether the value is a number that a float can hold."""
    return isinstance(value, float) or (type(value) is int and abs(value) <= sys.float_info.max)


def _describe(hint: Any) -> str:
    """A type hint in words for the user."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return f"{_describe(arguments[0])} or {AUTO}" if AUTO in arguments else _describe(arguments[0])
    if origin is Literal:
        return "one of " + ", ".join(str(choice) for choice in arguments) if len(arguments) > 1 else repr(arguments[0])
    if origin is types.UnionType or origin is typing.Union:
        return " or ".join(_describe(choice) for choice in arguments if choice is not types.NoneType)
    if origin is tuple:
        return f"a list of {len(arguments)} numbers"
    if table := _table_of(hint):
        return "a list of tables with the keys " + ", ".join(type_hints(table))
    if origin is list:
        return f"a list of {', '.join(map(str, _choices(arguments[0]))) or 'texts'}"
    if origin is dict:
        return "a table"
    return {float: "a number", int: "a whole number", str: "a text", bool: "true or false"}[hint]


def write_config(config: Config) -> str:
    """The configuration as TOML text that `load_config` reads back to an equal Config."""
    lines = [f"format = {config.format}", f"task = {_toml(config.task)}"]
    for section in SECTIONS:
        lines += ["", f"[{section}]"]
        values = dataclasses.asdict(getattr(config, section))
        lines += [f"{key} = {_toml(value)}" for key, value in values.items() if value is not None]
    return "\n".join(lines) + "\n"


def _toml_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _toml(key)


def _toml(value: Any) -> str:
    if isinstance(value, bool | str):  # JSON writes them in the same way, except for one control character
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, dict):
        items = {key: item for key, item in value.items() if item is not None}
        return "{" + ", ".join(f"{_toml_key(key)} = {_toml(item)}" for key, item in items.items()) + "}"
    return repr(value)
