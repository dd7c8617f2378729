"""Texts in JSON and YAML: the values that are strings are translated, and everything else stays, comments included."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from nmt.documents.html import string_parts
from nmt.documents.parts import Block, Part, Request, has_letters
from nmt.errors import imported
from nmt.text.spans import spliced

_JSON = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+')
_CODE = re.compile(r"[_/\\@:=#<>|]|\d|\w\.\w|[a-z][A-Z]")
"""What a single word has that is no word of a language: an address, a file, an identifier."""
_STRING = "tag:yaml.org,2002:str"


def json_parts(text: str, request: Request) -> list[Part]:
    try:
        json.loads(text.removeprefix("\ufeff"))
    except json.JSONDecodeError as error:
        raise request.error(f"line {error.lineno} is not valid JSON: {error.msg} at column {error.colno}") from None
    except (ValueError, RecursionError) as error:
        raise request.error(f"is not valid JSON: {error}") from None
    is_ascii = text.isascii() and "\\u" in text
    found: list[tuple[int, int, Part]] = []
    path: list[str | None] = []
    """The key in each object, None in each list."""
    is_key = False
    for token in _JSON.finditer(text):
        sign = token[0]
        if sign in "{[":
            path.append("" if sign == "{" else None)
            is_key = sign == "{"
        elif sign in "}]":
            path.pop()
            is_key = False
        elif sign == ",":
            is_key = bool(path) and path[-1] is not None
        elif sign == ":":
            is_key = False
        elif sign[0] == '"':
            value = json.loads(sign)
            if is_key:
                path[-1] = value
            elif is_wanted(value, [key for key in path if key is not None], request):
                parts = string_parts(value)
                made = Block(sign, parts, lambda new: json.dumps(new, ensure_ascii=is_ascii))
                found.append((*token.span(), made))
    return spliced(text, found)


def is_wanted(value: str, path: list[str], request: Request) -> bool:
    """Whether a string is translated: those with the keys that are asked for, otherwise all that are not code."""
    if not has_letters(re.sub(r"\$?\{\{?[^{}]*\}\}?", "", value)):  # only a placeholder
        return False
    if request.keys:
        names = ".".join(path), path[-1] if path else ""
        return any(fnmatchcase(name, pattern) for name in names for pattern in request.keys)
    return bool(re.search(r"\s", value.strip())) or not _CODE.search(value)


def yaml_parts(text: str, request: Request) -> list[Part]:
    yaml = imported("yaml", f"{request.name} needs PyYAML", "[documents]")
    try:
        return spliced(text, list(_scalars(text, request, yaml)))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        what = getattr(error, "problem", None) or "it has characters that YAML does not allow"
        raise request.error(f"{line.strip()} is not valid YAML: {what}".strip()) from None


def _scalars(text: str, request: Request, yaml: Any) -> Iterator[tuple[int, int, Part]]:
    """The strings that are translated, with their places."""
    resolver = yaml.SafeLoader("")
    path: list[tuple[str | None, bool]] = []
    """For each mapping its key and whether a key comes next; for each list None."""
    flow: list[bool] = []
    """Whether each of them is written in brackets."""
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        is_key = bool(path) and path[-1][0] is not None and path[-1][1]
        if isinstance(event, yaml.CollectionEndEvent):
            path.pop()
            flow.pop()
            continue
        if isinstance(event, yaml.ScalarEvent):
            is_string = (event.tag or resolver.resolve(yaml.ScalarNode, event.value, event.implicit)) in (_STRING, "!")
            if (
                is_string
                and not is_key
                and is_wanted(event.value, [key for key, _ in path if key is not None], request)
            ):
                start, end = event.start_mark.index, event.end_mark.index
                if event.anchor or event.tag:
                    start += len(re.match(r"(?:[&!]\S*\s+)*", text[start:end])[0])  # type: ignore[index]
                yield start, end, _scalar(text[start:end], event, any(flow), yaml)
        if isinstance(event, yaml.NodeEvent) and path and path[-1][0] is not None:
            key = getattr(event, "value", "") if is_key else path[-1][0]
            path[-1] = key, not is_key
        if isinstance(event, yaml.CollectionStartEvent):
            path.append(("", True) if isinstance(event, yaml.MappingStartEvent) else (None, False))
            flow.append(bool(event.flow_style))


def _scalar(raw: str, event: Any, is_flow: bool, yaml: Any) -> Block:
    """A string with its translation in the same style.

    is_flow: whether it is inside brackets, where commas have a meaning
    """

    def quoted(new: str) -> str:
        return json.dumps(new, ensure_ascii=False)

    def plain(new: str) -> str:
        try:
            is_plain = yaml.safe_load(f"[{new}]" if is_flow else f"- {new}") == [new]
        except yaml.YAMLError:
            is_plain = False
        return new if is_plain else quoted(new)

    def single(new: str) -> str:
        return quoted(new) if "\n" in new else "'" + new.replace("'", "''") + "'"

    def lines(new: str) -> str:
        header, _, body = raw.partition("\n")
        indentation = re.match(r"\s*?([ ]*)(?=\S)", body)
        space = indentation[1] if indentation else "  "
        made = "\n".join(space + line if line else "" for line in new.split("\n"))
        return header.replace(">", "|", 1) + "\n" + made + raw[len(raw.rstrip()) :]

    encode = {"'": single, '"': quoted, "|": lines, ">": lines}.get(event.style or "", plain)
    value = event.value.rstrip("\n") if encode is lines else event.value
    return Block(raw, string_parts(value), encode)
