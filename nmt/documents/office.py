"""Word documents, PowerPoint presentations and Excel workbooks (docx, pptx, xlsx).

Their text is in runs, each with its formatting. Word divides a word into several runs when it was edited or
spell-checked; neighbouring runs that look alike are joined. The names of elements are compared without prefixes.
"""

from __future__ import annotations

import html
import re
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

from nmt.documents.archive import Archive
from nmt.documents.inline import Break, Group, Item, Stop, Text, Whole, Writer, block, kept
from nmt.documents.parts import Block, Part, Request, plain
from nmt.documents.xml import Node, Reader, attribute_parts

_SKIPPED = frozenset(("proofErr", "lastRenderedPageBreak", "rPh", "phoneticPr", "softHyphen", "noBreakHyphen"))
"""Elements without a meaning of their own for a translation."""
_GROUPS = frozenset(("hyperlink", "ins", "moveTo", "smartTag", "customXml", "sdt", "sdtContent", "dir", "bdo"))
"""Elements around runs."""
_RANGE = re.compile("(bookmark|commentRange|perm)(Start|End)")
_INVISIBLE = re.compile(
    r"<(\w+:)?(?:lang|noProof|rsid\w*)\b[^<>]*/>|\s(?:lang|altLang|dirty|err|smtClean|noProof)=\"[^\"]*\""
)
"""Parts of formatting that nobody sees."""
SHEETS = "xl/worksheets/"
"""Sheets have numbers and references to texts, and texts of their own only from some programs (`inlineStr`)."""
_ALT_TEXT = frozenset(("docPr", "cNvPr"))
_LINK = re.compile(r"\s*HYPERLINK\b")
_FIELD = ("fldChar", "instrText", "delInstrText")


@dataclass
class _Field:
    """A mark of a field: its beginning, its code, the beginning of its result, or its end."""

    kind: str
    raw: str
    code: str = ""


class Office(Reader):
    """Finds the paragraphs of an XML file and divides them into segments."""

    paragraphs = frozenset(("p", "si", "is", "text"))
    """Elements that contain runs: paragraphs; strings, cell contents and comments of Excel."""

    def __init__(self, text: str, request: Request, part: str = "", kept: frozenset[str] = frozenset()) -> None:
        """kept: texts that are not translated"""
        super().__init__(text, request, part)
        self.kept = kept

    def part(self, node: Node) -> tuple[int, int, Part] | None:
        """The part of a paragraph, or of the alternative text of a picture."""
        if node.local in self.paragraphs and any(one.local in ("r", "t") for one in node.walk()):
            return node.start, node.end, self.paragraph(node)
        if node.local in _ALT_TEXT:
            tag = self.tree.opening(node)
            return node.start, node.inner, Block(tag, attribute_parts(tag, "descr|title"))
        return None

    def paragraph(self, node: Node) -> Block:
        raw = self.tree.raw(node)
        runs = [one for one in node.walk() if one.local in ("r", "t")]
        text = "".join(html.unescape(self.tree.content(one)) for one in runs if one.local == "t")
        if text.strip() in self.kept:
            return Block(raw, [raw])
        direct = [one for one in node.children if one.local == "t"]
        if direct and not any(one.local == "r" for one in node.children):
            return self.cell(node, direct[0])
        run = next((one.name for one in runs if one.local == "r"), "r")
        prefix = run.removesuffix("r")
        space = ' xml:space="preserve"' if prefix != "a:" else ""  # DrawingML does not allow the attribute

        def write(raw: str, key: Hashable) -> str:
            return f"<{run}>{key}<{prefix}t{space}>{raw}</{prefix}t></{run}>"

        items = [Stop([self.tree.opening(node)]), *self.items(node, write), Stop([self.tree.closing(node)])]
        return block(raw, items, write)

    def cell(self, node: Node, text: Node) -> Block:
        """The text of a cell of Excel without formatting."""
        opening = f'<{text.name} xml:space="preserve">'
        raw = self.tree.raw(node)
        lines = plain(html.unescape(self.tree.content(text)).replace("_x000D_\n", "\n"))
        before, after = f"{self.tree.opening(node)}{opening}", f"</{text.name}>{self.tree.closing(node)}"
        return Block(raw, lines, lambda new: f"{before}{html.escape(new, quote=False)}{after}")

    def items(self, node: Node, write: Writer) -> list[Item]:
        """The content of a paragraph or of an element in it."""
        found: list[Item | _Field] = []
        for child in node.children:
            mark = _RANGE.fullmatch(child.local)
            if child.local == "r":
                found += self.run(child)
            elif child.local in _GROUPS:
                found.append(self.group(child, write))
            elif child.local in ("pPr", "endParaRPr"):
                found.append(Stop([self.tree.raw(child)]))
            elif child.local == "br":
                found.append(Break([self.tree.raw(child)]))
            elif mark:
                kind = "sc" if mark[2] == "Start" else "ec"
                found.append(Whole([self.tree.raw(child)], kind, f"{mark[1]} {child.get('id')}"))
            elif child.local not in _SKIPPED:
                kind = "word" if child.local in ("fldSimple", "fld", "oMath") else "x"
                found.append(Whole(self.within(child), kind))
        return list(_without_fields(found, write))

    def group(self, node: Node, write: Writer) -> Group:
        """An element around runs; its properties belong to its start."""
        properties = [one for one in node.children if one.local.endswith("Pr")]
        wrapped = [one for one in node.children if one.local == "sdtContent"] if node.local == "sdt" else []
        content = wrapped[0] if wrapped else None
        inside = content or node
        first = content.inner if content else properties[-1].end if properties else node.inner
        last = content.close if content else node.close
        text = self.tree.text
        return Group([text[node.start : first]], self.items(inside, write), text[last : node.end])

    def run(self, node: Node) -> Iterator[Item | _Field]:
        """The content of a run. Everything in it that is not text becomes a run of its own."""
        first = node.children[0] if node.children else None
        properties = self.tree.raw(first) if first is not None and first.local == "rPr" else ""
        key = re.sub(r"<(?:\w+:)?rPr\s*(?:/>|>\s*</(?:\w+:)?rPr>)", "", _INVISIBLE.sub("", properties))
        if re.search(r"<\w+:vanish/>|<\w+:webHidden/>", properties):
            yield Whole(self.within(node))
            return
        for child in node.children[bool(properties) :]:
            raw = f"<{node.name}>{properties}{self.tree.raw(child)}</{node.name}>"
            if child.local == "t":
                text = self.tree.content(child)
                yield Text(text if child.get("space") or node.name.startswith("a:") else text.strip(), key)
            elif child.local == "noBreakHyphen":
                yield Text("\u2011", key)
            elif child.local in _FIELD:
                code = html.unescape(self.tree.content(child))
                yield _Field(child.get("fldCharType") or "code", raw, code)
            elif child.local in ("br", "cr") and child.get("type") not in ("page", "column"):
                yield Break([raw])
            elif child.local in ("br", "tab", "ptab"):
                yield Stop([raw])
            elif child.local not in _SKIPPED:
                inside = self.within(child)
                yield Whole([f"<{node.name}>{properties}", *inside, f"</{node.name}>"])


def _without_fields(found: Sequence[Item | _Field], write: Writer) -> Iterator[Item]:
    """Fields as single items: a link is an element around its text, any other is kept with its result.

    A field that ends in another paragraph, such as a table of contents, is separated from the text.
    """
    place = 0
    while place < len(found):
        item = found[place]
        end = _end_of_field(found, place) if isinstance(item, _Field) and item.kind == "begin" else -1
        if not isinstance(item, _Field):
            yield item
        elif end < 0:
            yield Stop([item.raw])
        else:
            inside = found[place : end + 1]
            marks = [(i, one) for i, one in enumerate(inside) if isinstance(one, _Field)]
            result = next((i for i, one in marks if one.kind == "separate"), 0)
            is_link = result and _LINK.match("".join(one.code for _, one in marks)) and marks[-2][0] == result
            raws = [[one.raw] if isinstance(one, _Field) else list(kept(one, write)) for one in inside]
            if is_link:
                content = [one for one in inside[result + 1 : -1] if not isinstance(one, _Field)]
                yield Group([part for raw in raws[: result + 1] for part in raw], content, marks[-1][1].raw)
            else:
                yield Whole([part for raw in raws for part in raw], "word")
            place = end
        place += 1


def _end_of_field(found: Sequence[Item | _Field], place: int) -> int:
    depth = 0
    for end in range(place, len(found)):
        item = found[end]
        if isinstance(item, _Field):
            depth += {"begin": 1, "end": -1}.get(item.kind, 0)
            if depth == 0:
                return end
    return -1


def word(archive: Archive, request: Request) -> dict[str, list[Part]]:
    """The parts of the text, headers, footers, notes, comments, charts and diagrams of a Word document."""
    texts = r"document|header\d*|footer\d*|footnotes|endnotes|comments"
    return _files(archive, rf"word/(?:{texts}|charts/chart\d*|diagrams/(?:data|drawing)\d*)\.xml", request)


def presentation(archive: Archive, request: Request) -> dict[str, list[Part]]:
    """The parts of the slides, notes, charts and diagrams of a presentation."""
    names = r"ppt/(?:slides/slide|notesSlides/notesSlide|charts/chart|diagrams/(?:data|drawing))\d*\.xml"
    return _files(archive, names, request)


def workbook(archive: Archive, request: Request) -> dict[str, list[Part]]:
    """The parts of the cells, comments, text boxes and charts of a workbook.

    Texts that formulas, tables or pivot tables name are kept, because Excel would not find them any more.
    """
    kept: set[str] = set()
    for name in archive.names:
        if re.fullmatch(r"xl/(?:worksheets/sheet|tables/table|pivotCache/pivotCacheDefinition)\d*\.xml", name):
            text = archive.text(name)
            kept.update(
                html.unescape(one)
                for one in re.findall(r'<(?:\w+:)?(?:tableColumn|cacheField|s)\b[^<>]*?\s(?:name|v)="([^"]*)"', text)
            )
            for formula in re.findall(r"<(?:\w+:)?(?:f|formula\d?)\b[^<>]*>([^<]*)<", text):
                kept.update(re.findall(r'"([^"]*)"', html.unescape(formula)))
    names = r"xl/(?:sharedStrings|worksheets/sheet\d*|comments\d*|drawings/drawing\d*|charts/chart\d*)\.xml"
    return _files(archive, names, request, frozenset(kept))


def _files(archive: Archive, names: str, request: Request, kept: frozenset[str] = frozenset()) -> dict[str, list[Part]]:
    """The parts of the files of some names in which there is anything to translate."""
    found = {}
    for name in archive.names:
        if re.fullmatch(names, name) and not (name.startswith(SHEETS) and b"inlineStr" not in archive.read(name)):
            parts = Office(archive.text(name), request, f"`{name}`", kept).parts()
            if any(not isinstance(part, str) for part in parts):
                found[name] = parts
    return found
