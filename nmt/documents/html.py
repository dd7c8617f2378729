"""HTML pages and fragments, the pages of e-books, and strings of programs that may contain HTML."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nmt.documents import text
from nmt.documents.inline import Break, Group, Item, Text, Whole, block
from nmt.documents.parts import Part, Request, has_letters
from nmt.documents.xml import attribute_parts
from nmt.text.formats.languages import is_language
from nmt.text.markup import Token, html_tokens, is_untranslated

ATTRIBUTES = "title|alt|placeholder|aria-label|aria-description|label|summary"
"""Attributes that are text for readers."""
_HAS_TEXT = re.compile(rf"(?i)&\w|\s(?:{ATTRIBUTES})\s*=")
_META = re.compile(
    r"""(?i)\s(?:name|property|itemprop)\s*=\s*["']?"""
    r"""(?:description|keywords|(?:og|twitter):(?:title|description|image:alt))["'\s/>]"""
)
_BUTTON = re.compile(r"""(?i)\stype\s*=\s*["']?(?:submit|button|reset)["'\s/>]""")
LANGUAGE = re.compile(r"""(\s(?:xml:)?lang\s*=\s*["'])([\w-]+)""")
_SEPARATE = frozenset(("button", "label", "input", "video", "audio", "object", "canvas", "picture"))
"""Inline elements that are not part of a sentence."""
MOST_DEPTH = 100
"""Maximum depth of nested inline elements; deeper tags are kept one by one."""


def parts(page: str, request: Request) -> list[Part]:
    tokens, partners = html_tokens(page)
    ends = _ends(tokens, request.source)
    found: list[Part] = []
    place = first = 0
    while place < len(tokens):
        token = tokens[place]
        if token.kind == "block" or token.name in _SEPARATE:
            found += _paragraph(tokens, partners, first, place, request.source)
            first = ends.get(place, place) + 1
            if place in ends:
                found.append("".join(one.raw for one in tokens[place:first]))
            else:
                found += _tag(token, request.target)
        place = max(place + 1, first)
    return [*found, *_paragraph(tokens, partners, first, len(tokens), request.source)]


def _ends(tokens: Sequence[Token], source: str) -> dict[int, int]:
    """The end tags of block elements that are not to be translated, by the place of their start tags."""
    ends: dict[int, int] = {}
    opened: dict[str, list[int]] = {}
    for place, token in enumerate(tokens):
        if token.kind != "block" or token.raw.endswith("/>"):
            continue
        if not token.raw.startswith("</"):
            opened.setdefault(token.name, []).append(place)
        elif opened.get(token.name):
            start = opened[token.name].pop()
            if is_untranslated(tokens[start].raw) or _is_foreign(tokens[start], source):
                ends[start] = place
    return ends


def _is_foreign(token: Token, source: str) -> bool:
    """Whether an element, not the whole page, is in another language than the source language."""
    own = LANGUAGE.search(token.raw)
    return bool(own and source and token.name not in ("html", "body") and not is_language(own[2], source))


def _tag(token: Token, target: str = "") -> list[Part]:
    """A tag whose attributes may have text; the language of the page becomes the target language."""
    raw = token.raw
    if token.kind == "kept" or raw.startswith(("</", "<!", "<?")) or raw.endswith(f"</{token.name}>"):
        return [raw]
    if token.name == "html" and target:
        raw = LANGUAGE.sub(lambda tag: tag[1] + target, raw)
    names = ATTRIBUTES
    if token.name == "meta":
        names = "content" if _META.search(raw) else "-"
    elif token.name == "input" and _BUTTON.search(raw):
        names += "|value"
    return attribute_parts(raw, names)


def _paragraph(tokens: Sequence[Token], partners: dict[int, int], first: int, end: int, source: str = "") -> list[Part]:
    """The parts of tokens without separators."""
    raw = "".join(token.raw for token in tokens[first:end])
    if not any(
        has_letters(token.raw) if token.kind == "text" else _HAS_TEXT.search(token.raw) for token in tokens[first:end]
    ):
        return [raw]
    stack: list[tuple[Sequence[Part], list[Item]]] = [([], [])]
    opened: set[int] = set()
    for place in range(first, end):
        token, partner = tokens[place], partners.get(place, -1)
        items = stack[-1][1]
        if token.kind in ("text", "entity"):
            items.append(Text(token.raw))
        elif token.kind == "open" and place < partner < end and len(stack) < MOST_DEPTH:
            stack.append((_tag(token), []))
            opened.add(place)
        elif token.kind == "close" and partner in opened:
            opening, inside = stack.pop()
            group = Group(opening, inside, token.raw)
            is_foreign = _is_foreign(tokens[partner], source)
            raw_of = "".join(one.raw for one in tokens[partner : place + 1])
            stack[-1][1].append(Whole([raw_of], "word") if is_foreign else group)
        elif token.name == "br":
            items.append(Break([token.raw]))
        else:
            kind = "word" if token.kind == "kept" else "lb" if token.name == "img" else "x"
            items.append(Whole(_tag(token), kind))
    return [block(raw, stack[0][1])]


_HAS_TAG = re.compile(r"</[A-Za-z]|<[A-Za-z][\w-]*(?:\s[^<>]*)?/?>")


def string_parts(string: str) -> list[Part]:
    """The parts of a text of a program, a string of a catalogue, of JSON or YAML, which may contain tags."""
    if not _HAS_TAG.search(string):
        return text.parts(string, Request())
    pieces = re.split(r"(\n+)", string)
    return [part for piece in pieces for part in (parts(piece, Request()) if piece.strip() else [piece])]
