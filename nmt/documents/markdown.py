"""Markdown: headings, paragraphs, lists, quotations and tables. Code, addresses and HTML tags stay."""

from __future__ import annotations

import html as entities
import re
import textwrap
from collections.abc import Sequence

from nmt.documents import html
from nmt.documents.inline import Break, Group, Item, Text, Whole, block
from nmt.documents.parts import Block, Part, Request, Segment, escape, has_letters
from nmt.errors import imported
from nmt.text.spans import spliced

_FRONT_MATTER = re.compile(r"\A(---|\+\+\+)[ \t]*\r?\n.*?\n\1[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_TOKEN = re.compile(
    r"""
      (?P<code>(?<!`)(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`))
    | (?P<break>(?:[ ]{2,}|\\)\r?\n[ \t>]*)
    | (?P<escape>\\[!-/:-@\[-`{-~])
    | (?P<image>!\[(?P<alt>[^\[\]]*)\](?P<source>\([^()\s]*(?:\s+(?:"[^"]*"|'[^']*'))?\)|\[[^\[\]]*\]))
    | (?P<kept>\[\^[^\[\]\s]+\]|<!--.*?-->|<[A-Za-z][\w+.-]{1,31}:[^<>\s]*>|<[^<>\s@]+@[^<>\s]+>|https?://[^\s<>()\[\]]+
        |\{[\#.:%{][^{}\n]*\}+|\[[ xX]\](?=\s))
    | (?P<tag></?(?P<name>[A-Za-z][\w-]*)(?:\s[^<>]*)?/?>)
    | (?P<close>\](?:\((?:<[^<>\n]*>|[^()\s]*(?:\([^()\s]*\)[^()\s]*)*)(?:\s+(?:"[^"]*"|'[^']*'))?\s*\)|\[[^\[\]]*\]))
    | (?P<open>\[)
    | (?P<mark>\*{1,3}|(?<!\w)_{1,3}(?=\S)|(?<=\S)_{1,3}(?!\w)|~~)
    | (?P<entity>&\#?\w+;)
    """,
    re.VERBOSE | re.DOTALL,
)
_STRUCTURE = re.compile(r"\s*(?:[-*+>#|=]|\d+[.)]\s|~~~|```)")
_SPECIAL = frozenset("*_[]`<>&\\-#+|~")
"""Signs that have a meaning where they are not escaped."""
LONGEST = 20_000
"""Maximum length of a paragraph; a longer one is kept, because it is no text for readers."""


def parts(text: str, request: Request) -> list[Part]:
    parser = imported("markdown_it", f"{request.name} needs markdown-it-py", "[documents]").MarkdownIt("commonmark")
    front = _FRONT_MATTER.match(text)
    first = front.end() if front else 0
    body = text[first:]
    starts = [first, *(first + end.end() for end in re.finditer(r"\r\n|\n|\r", body)), len(text)]
    found: list[tuple[int, int, Part]] = []
    place = first
    for token in parser.enable(["table", "strikethrough"]).parse(body):
        if not token.map:
            continue
        start, end = starts[token.map[0]], starts[min(token.map[1], len(starts) - 1)]
        if token.type == "inline" and has_letters(token.content):
            span = _find(text, token.content.split("\n"), max(start, place), end)
            if span:
                found.append((span[0], span[1], _paragraph(text[span[0] : span[1]])))
                place = span[1]
        elif token.type == "html_block":
            found.append((start, end, Block(text[start:end], html.parts(text[start:end], Request()))))
            place = end
    return spliced(text, found)


def _find(text: str, lines: Sequence[str], start: int, end: int) -> tuple[int, int] | None:
    """The place of a paragraph, whose lines may have other signs before them; None if it is written differently."""
    first = None
    for line in lines:
        place = text.find(line.strip(), start, end)
        if place < 0:
            return None
        first = place if first is None else first
        start = place + len(line.strip())
    return (first, start) if first is not None else None


def _paragraph(raw: str) -> Block:
    """A paragraph; if it has several lines, its translation is broken at the same width."""
    before = re.search(r"\r?\n[ \t>]*", raw)
    width = max(map(len, raw.splitlines()))

    def broken(new: str) -> str:
        if before is None or "\n" in new:
            return new
        for longer in range(20):  # until no line begins with a sign that would begin a list
            pieces = textwrap.wrap(new, width + longer, break_long_words=False, break_on_hyphens=False)
            if not any(map(_STRUCTURE.match, pieces[1:])):
                return before[0].join(pieces)
        return new

    made = block(raw, _items(raw), lambda text, _: entities.unescape(text)) if len(raw) < LONGEST else Block(raw, [raw])
    made.encode = broken
    return made


def _items(raw: str) -> list[Item]:
    """The text of a paragraph with its inline elements."""
    stack: list[tuple[str, list[Item]]] = [("", [])]
    place = 0

    def text(piece: str) -> None:
        if piece:
            stack[-1][1].append(Text(escape(re.sub(r"\n[ \t]*(?:>[ \t]?)*", "\n", piece))))

    def closed(opening: str, closing: str) -> bool:
        """End the element that began with a sign; what began inside it and did not end is text."""
        depth = next((i for i in range(len(stack) - 1, 0, -1) if stack[i][0] == opening), 0)
        if not depth:
            return False
        while len(stack) > depth + 1:
            sign, inside = stack.pop()
            stack[-1][1].extend([_unclosed(sign), *inside])
        sign, inside = stack.pop()
        stack[-1][1].append(Group([sign], inside, closing, needs_text=sign == closing))
        return True

    for found in _TOKEN.finditer(raw):
        text(raw[place : found.start()])
        place, sign, kind = found.end(), found[0], str(found.lastgroup)
        kind = next(name for name in _KINDS if found[name] is not None)
        if kind == "break":
            stack[-1][1].append(Break([sign]))
        elif kind in ("escape", "entity"):
            meant = sign[1:] if kind == "escape" else entities.unescape(sign)
            is_special = meant in _SPECIAL
            stack[-1][1].append(Whole([sign]) if is_special else Text(escape(meant)))
        elif kind == "image":
            alt = [Segment(found["alt"])] if has_letters(found["alt"]) else [found["alt"]]
            stack[-1][1].append(Whole(["![", *alt, f"]{found['source']}"], "lb"))
        elif kind == "open" or (kind == "tag" and not sign.startswith("</") and f"</{found['name']}>" in raw[place:]):
            stack.append((sign, []))
        elif kind == "close":
            if not closed("[", sign):
                text(sign)
        elif kind == "tag" and sign.startswith("</"):
            opening = next((one for one, _ in stack[:0:-1] if re.match(rf"<{found['name']}\b", one)), "")
            if not opening or not closed(opening, sign):
                stack[-1][1].append(Whole([sign]))
        elif kind == "tag" and found["name"].lower() == "br":
            stack[-1][1].append(Break([sign]))
        elif kind == "mark":
            can_close = found.start() > 0 and not raw[found.start() - 1].isspace()
            can_open = place < len(raw) and not raw[place].isspace()
            if not (can_close and closed(sign, sign)):
                if can_open and len(stack) < 20:
                    stack.append((sign, []))
                else:
                    text(sign)
        else:
            stack[-1][1].append(Whole([sign], "word" if kind == "code" or "://" in sign or "@" in sign else "x"))
    text(raw[place:])
    while len(stack) > 1:
        sign, inside = stack.pop()
        stack[-1][1].extend([_unclosed(sign), *inside])
    return stack[0][1]


def _unclosed(sign: str) -> Item:
    return Whole([sign]) if sign.startswith("<") else Text(escape(sign))


_KINDS = ("code", "break", "escape", "image", "kept", "tag", "close", "open", "mark", "entity")
