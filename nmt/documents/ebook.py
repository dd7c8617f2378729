"""E-books (epub): their pages, their table of contents and their title."""

from __future__ import annotations

import posixpath
import urllib.parse

from nmt.documents import html
from nmt.documents.archive import Archive
from nmt.documents.inline import block, texts
from nmt.documents.parts import Part, Request
from nmt.documents.xml import Node, Reader

CONTAINER, ENCRYPTION = "META-INF/container.xml", "META-INF/encryption.xml"


class _Texts(Reader):
    """The title of a book and the names of its chapters."""

    skipped = frozenset(("docAuthor",))

    def part(self, node: Node) -> tuple[int, int, Part] | None:
        content = self.tree.content(node)
        if node.local in ("text", "title", "description") and not node.children:
            return node.inner, node.close, block(content, texts(content))
        if node.local == "language" and self.request.target:
            return node.inner, node.close, self.request.target
        if node.local in ("package", "ncx") and node.get("lang") and self.request.target:
            tag = html.LANGUAGE.sub(lambda found: found[1] + self.request.target, self.tree.opening(node))
            return node.start, node.inner, tag
        return None


def parts(archive: Archive, request: Request) -> dict[str, list[Part]]:
    container = Reader(archive.text(CONTAINER), request, f"`{CONTAINER}`").tree.root
    package = next((node.get("full-path") for node in container.walk() if node.local == "rootfile"), "")
    if package not in archive.names:
        raise request.error(f"is damaged: it has no `{package or CONTAINER}`")
    book = _Texts(archive.text(package), request, f"`{package}`")
    found = {package: book.parts()}
    pages = {
        posixpath.normpath(posixpath.join(posixpath.dirname(package), urllib.parse.unquote(node.get("href")))): kind
        for node in book.tree.root.walk()
        if node.local == "item"
        and (kind := node.get("media-type")) in ("application/xhtml+xml", "application/x-dtbncx+xml")
    }
    protected = Reader(archive.text(ENCRYPTION) or "<x/>", request, ENCRYPTION).tree.root
    if any(urllib.parse.unquote(node.get("URI")) in pages for node in protected.walk()):
        raise request.error("is encrypted; a protected book is not translated")
    for name, kind in pages.items():
        if name in archive.names:
            text = archive.text(name)
            is_page = kind.endswith("xhtml+xml")
            found[name] = html.parts(text, request) if is_page else _Texts(text, request, f"`{name}`").parts()
    return found
