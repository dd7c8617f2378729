"""Reads XML so that each element knows where it begins and ends: what is not translated is never written anew."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from nmt.documents.parts import Part, Request, Segment, escape, has_letters
from nmt.text.spans import spliced

MOST_XML = 1 << 26
MOST_DEPTH = 200
_TAG = re.compile(rb"""<[^<>"']*(?:"[^"]*"[^<>"']*|'[^']*'[^<>"']*)*>""")


@dataclass(slots=True)
class Node:
    """An element."""

    name: str
    """Its name with the prefix of its namespace."""
    attributes: dict[str, str]
    start: int = 0
    inner: int = 0
    """Where its content begins."""
    close: int = 0
    """Where its content ends."""
    end: int = 0
    children: list[Node] = field(default_factory=list)

    @property
    def local(self) -> str:
        """Its name without the prefix."""
        return self.name.rpartition(":")[2]

    def get(self, name: str) -> str:
        """An attribute by its name without the prefix."""
        return next((value for key, value in self.attributes.items() if key.rpartition(":")[2] == name), "")

    def walk(self) -> Iterator[Node]:
        """It and all elements in it, in the order of the document."""
        yield self
        for child in self.children:
            yield from child.walk()


class Tree:
    """An XML file and its elements."""

    def __init__(self, text: str, request: Request, part: str = "") -> None:
        """Raises UserError if it is not valid, declares entities, or is too large or deep."""
        self.request, self.part = request, f", {part}" if part else ""
        if len(text) > MOST_XML:
            raise request.error(f"is too large{self.part}: more than {MOST_XML:,} characters of XML")
        self.text = text
        self._bytes = text.encode("utf-8", "surrogatepass")
        self._is_ascii = len(text) == len(self._bytes)
        self.root = Node("", {})
        self._stack = [self.root]
        self._parser = expat.ParserCreate("utf-8")
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.EntityDeclHandler = self._refuse
        try:
            self._parser.Parse(self._bytes, True)
        except expat.ExpatError as error:
            what = expat.ErrorString(error.code)
            raise request.error(f"is not valid XML{self.part}, line {error.lineno}: {what}") from None
        self.root.close = self.root.end = len(self._bytes)
        if not self._is_ascii:
            self._count_characters()

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._stack) > MOST_DEPTH:
            raise self.request.error(f"is nested more than {MOST_DEPTH} elements deep{self.part}")
        start = self._parser.CurrentByteIndex
        found = _TAG.match(self._bytes, start)
        inner = found.end() if found else start
        node = Node(name, attributes, start, inner, inner, inner)
        self._stack[-1].children.append(node)
        self._stack.append(node)

    def _end(self, name: str) -> None:
        node = self._stack.pop()
        if self._bytes[node.inner - 2 : node.inner] != b"/>":
            node.close = self._parser.CurrentByteIndex
            node.end = self._bytes.index(b">", node.close) + 1

    def _refuse(self, *_: object) -> None:
        raise self.request.error(f"declares entities{self.part}, which are refused; save it without them")

    def _count_characters(self) -> None:
        """Turn the places from bytes into characters."""
        nodes = list(self.root.walk())
        places = sorted({place for node in nodes for place in (node.start, node.inner, node.close, node.end)})
        characters, before, count = {}, 0, 0
        for place in places:
            count += len(self._bytes[before:place].decode("utf-8", "surrogatepass"))
            characters[place], before = count, place
        for node in nodes:
            node.start, node.inner = characters[node.start], characters[node.inner]
            node.close, node.end = characters[node.close], characters[node.end]

    def raw(self, node: Node) -> str:
        return self.text[node.start : node.end]

    def opening(self, node: Node) -> str:
        return self.text[node.start : node.inner]

    def closing(self, node: Node) -> str:
        """Its end tag; empty if it has none."""
        return self.text[node.close : node.end]

    def content(self, node: Node) -> str:
        return self.text[node.inner : node.close]


class Reader:
    """Finds the paragraphs of an XML file; a format says what they are."""

    skipped: frozenset[str] = frozenset()
    """Elements in which nothing is translated."""

    def __init__(self, text: str, request: Request, part: str = "") -> None:
        self.tree, self.request = Tree(text, request, part), request

    def part(self, node: Node) -> tuple[int, int, Part] | None:
        """What is translated of an element, with its place; None to look inside it."""
        return None

    def parts(self) -> list[Part]:
        return self.within(self.tree.root)

    def found(self, node: Node) -> list[tuple[int, int, Part]]:
        """The parts in an element, with their places."""
        if node.local in self.skipped:
            return []
        own = self.part(node)
        found = [] if own is None else [own]
        if own is None or own[1] <= node.inner < node.close:  # of the start tag only
            found += [one for child in node.children for one in self.found(child)]
        return found

    def within(self, node: Node) -> list[Part]:
        """The parts of an element and the text between them."""
        start = node.start
        return spliced(self.tree.raw(node), [(a - start, b - start, part) for a, b, part in self.found(node)])


def attribute_parts(tag: str, names: str) -> list[Part]:
    """A start tag in which the values of some attributes are segments.

    names: a pattern
    """
    found = re.finditer(rf"""\s(?:{names})\s*=\s*(?:"([^"]*)"|'([^']*)')""", tag)
    values = [(each.span(each.lastindex or 1), each[each.lastindex or 1]) for each in found]
    parts: list[tuple[int, int, Part]] = [
        (*span, attribute(raw, tag[span[1]])) for span, raw in values if has_letters(raw)
    ]
    return spliced(tag, parts)


def attribute(raw: str, quote: str) -> Segment:
    """The value of an attribute as a segment."""
    code = {'"': "&quot;", "'": "&#39;"}[quote]
    text = re.sub(r"[ \t\r\n]+", " ", html.unescape(raw)).strip(" ")
    return Segment(text, lambda translation: escape(translation).replace(quote, code), raw=raw)
