"""OpenDocument: texts, presentations and spreadsheets (odt, odp, ods)."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from dataclasses import replace

from nmt.documents.archive import Archive
from nmt.documents.inline import Break, Group, Item, Stop, Text, Whole, block, texts
from nmt.documents.parts import Part, Request, has_letters
from nmt.documents.xml import Node, Reader

_RANGES = {"start": "sc", "begin": "sc", "end": "ec", "annotation": "sc"}


class OpenDocument(Reader):
    """Finds the paragraphs of an XML file and divides them into segments."""

    skipped = frozenset(("tracked-changes", "scripts", "forms", "event-listeners"))

    def __init__(self, text: str, request: Request, part: str) -> None:
        super().__init__(text, request, part)
        self.invisible = {
            style.get("name")
            for style in self.tree.root.walk()
            if style.local == "style" and style.get("family") == "text" and _is_invisible(style)
        }
        """The names of styles that change nothing visible: Writer divides words by them when they are edited."""

        formulas = [node.get("formula") for node in self.tree.root.walk()]
        self.kept = {text for formula in formulas for text in re.findall(r'"([^"]*)"', formula)}
        """Texts of cells that formulas name; they would not find them any more."""

    def part(self, node: Node) -> tuple[int, int, Part] | None:
        """The part of a paragraph, or of an alternative text."""
        if node.local in ("p", "h") and node.name.startswith("text:"):
            raw = self.tree.raw(node)
            if self.tree.content(node) in self.kept:
                return node.start, node.end, raw
            opening, closing = Stop([self.tree.opening(node)]), Stop([self.tree.closing(node)])
            return node.start, node.end, block(raw, [opening, *self.items(node), closing], _write)
        if node.name in ("svg:title", "svg:desc") and has_letters(self.tree.content(node)):
            return node.inner, node.close, block(self.tree.content(node), texts(self.tree.content(node)))
        return None

    def items(self, node: Node) -> list[Item]:
        found: list[Item] = []
        place = node.inner
        for child in node.children:
            found += texts(self.tree.text[place : child.start])
            place = child.end
            found += self.item(child)
        return found + texts(self.tree.text[place : node.close])

    def item(self, node: Node) -> Iterator[Item]:
        kind, _, end = node.local.rpartition("-")
        if node.local == "span" and node.get("style-name") in self.invisible:
            yield from self.items(node)
        elif node.local in ("span", "a"):
            tags = self.tree.opening(node), self.tree.closing(node)
            inside = self.items(node)
            if node.local == "span" and all(isinstance(one, Text) and one.key is None for one in inside):
                yield from (replace(one, key=tags) for one in inside if isinstance(one, Text))
            else:
                yield Group([tags[0]], inside, tags[1])
        elif node.local == "s":
            yield Text(" " * min(100, int(re.sub(r"\D", "", node.get("c")) or 1)))
        elif node.local == "line-break":
            yield Break([self.tree.raw(node)])
        elif node.local == "tab":
            yield Stop([self.tree.raw(node)])
        elif node.local != "soft-page-break":
            tag = "word" if re.sub("<[^>]*>", "", self.tree.raw(node)).strip() and not self.found(node) else "x"
            range_tag = _RANGES.get(end if kind else node.local) if node.get("name") else None
            yield Whole(self.within(node), range_tag or tag, f"{kind or node.local} {node.get('name')}")


def _write(raw: str, key: Hashable) -> str:
    """Text inside the tags of its formatting."""
    return f"{key[0]}{raw}{key[1]}" if isinstance(key, tuple) else raw


def _is_invisible(style: Node) -> bool:
    """Whether a style has only the number of a revision, or nothing."""
    properties = [name for child in style.children for name in child.attributes]
    grand = any(child.children for child in style.children)
    return not grand and not style.get("parent-style-name") and all(name.endswith("rsid") for name in properties)


def parts(archive: Archive, request: Request) -> dict[str, list[Part]]:
    """The parts of the content, and of the headers and footers; masters of slides are kept."""
    if "encryption-data" in archive.text("META-INF/manifest.xml"):
        raise request.error("is encrypted; save it without a password")
    wanted = "content" if "presentation" in archive.text("mimetype") else "content|styles"
    names = [name for name in archive.names if re.fullmatch(rf"(?:Object \d+/)?(?:{wanted})\.xml", name)]
    return {name: OpenDocument(archive.text(name), request, f"`{name}`").parts() for name in names}
