"""Files of translators: XLIFF 1.2 and 2 and translation memories (TMX). Empty targets are filled."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nmt.documents.inline import Group, Item, Stop, Whole, divide, texts
from nmt.documents.parts import Block, Part, Request, has_letters
from nmt.documents.xml import Node, Tree
from nmt.text.formats.languages import is_language, no_such_language, normal_code
from nmt.text.spans import spliced

_AROUND = frozenset(("g", "pc", "mrk", "hi"))
"""Inline elements around text."""
_STARTS, _ENDS = frozenset(("bpt", "sc", "bx", "sm")), frozenset(("ept", "ec", "ex", "em"))


def xliff(text: str, request: Request) -> list[Part]:
    """The parts of an XLIFF file, in which units without a translation get one."""
    tree = Tree(text, request)
    root = next(iter(tree.root.children), tree.root)
    if root.local != "xliff":
        raise request.error(f"is not an XLIFF file: its first element is `{root.name}`")
    files = [root] if root.get("version").startswith("2") else [one for one in root.children if one.local == "file"]
    is_second = root.get("version").startswith("2")
    source, target = ("srcLang", "trgLang") if is_second else ("source-language", "target-language")
    found: list[tuple[int, int, Part]] = []
    for file in files:
        _check(file.get(source), request.source, request)
        _check(file.get(target), request.target, request)
        if not file.get(target) and request.target:
            end = file.inner - 1
            found.append((end, end, f' {target}="{request.target}"'))
    for unit in _units(root, "segment" if is_second else "trans-unit"):
        found += _filled(tree, unit, is_second)
    return spliced(text, found)


def _check(own: str, wanted: str, request: Request) -> None:
    """Raises UserError if a file is in another language."""
    one, other = (normal_code(language).partition("-")[0] for language in (own, wanted))
    if own and wanted and one != other:
        raise request.error(
            f"has the language `{own}`, but the translation is from `{request.source}` to `{request.target}`"
        )


def _units(node: Node, name: str, translate: str = "") -> Iterator[Node]:
    """The units of a file, except those that are not to be translated; a unit may say otherwise than its group."""
    for child in node.children:
        own = child.get("translate") or translate
        if child.local != name:
            yield from _units(child, name, own)
        elif own != "no":
            yield child


def _filled(tree: Tree, unit: Node, is_second: bool) -> Iterator[tuple[int, int, Part]]:
    """The parts that fill the target of a unit."""
    own = {child.local: child for child in reversed(unit.children)}
    source, target = own.get("seg-source") or own.get("source"), own.get("target")
    if source is None or not has_letters(re.sub("<[^>]*>", "", tree.content(source))):
        return
    if target is not None and (target.children or tree.content(target).strip()):
        return
    name = own["source"].name.removesuffix("source") + "target" if "source" in own else "target"
    filled = list(divide(_items(tree, source)))
    if is_second:
        yield _with_state(tree, unit)
    if target is None:
        state = "" if is_second else ' state="needs-review-translation"'
        made = [f"{_space_before(tree, source)}<{name}{state}>", *filled, f"</{name}>"]
        yield source.end, source.end, Block("", made, always=True)
    else:
        opening = tree.opening(target).removesuffix("/>").removesuffix(">").rstrip()
        if not is_second:
            opening = re.sub(r"""\sstate=("[^"]*"|'[^']*')""", "", opening) + ' state="needs-review-translation"'
        yield target.start, target.end, Block("", [f"{opening}>", *filled, f"</{name}>"], always=True)


def _space_before(tree: Tree, node: Node) -> str:
    """The white space before an element: its line end and indentation."""
    before = tree.text[max(0, node.start - 200) : node.start]
    return before[len(before.rstrip()) :]


def _with_state(tree: Tree, segment: Node) -> tuple[int, int, Part]:
    """The start tag of a segment of XLIFF 2, which is translated now."""
    tag = re.sub(r"""\s(?:state|subState)=("[^"]*"|'[^']*')""", "", tree.opening(segment))
    return segment.start, segment.inner, tag[:-1] + ' state="translated">'


def _items(tree: Tree, node: Node) -> list[Item]:
    """The text and the inline elements of a segment."""
    found: list[Item] = []
    place = node.inner
    for child in node.children:
        found += texts(tree.text[place : child.start])
        place = child.end
        number = child.get("rid") or child.get("startRef") or child.get("i") or child.get("id")
        if child.local == "mrk" and child.get("mtype") == "seg":
            found += [Stop([tree.opening(child)]), *_items(tree, child), Stop([tree.closing(child)])]
        elif child.local in _AROUND and child.get("translate") != "no":
            found.append(Group([tree.opening(child)], _items(tree, child), tree.closing(child)))
        else:
            kind = "sc" if child.local in _STARTS else "ec" if child.local in _ENDS else "x"
            found.append(Whole([tree.raw(child)], "word" if child.local in _AROUND else kind, number))
    return found + texts(tree.text[place : node.close])


def tmx(text: str, request: Request) -> list[Part]:
    """The parts of a translation memory, in which units without the target language get it."""
    tree = Tree(text, request)
    nodes = list(tree.root.walk())
    source = request.source or next((node.get("srclang") for node in nodes if node.local == "header"), "")
    if not request.target:
        raise request.error("is a translation memory, whose target language must be known")
    found: list[tuple[int, int, Part]] = []
    languages: set[str] = set()
    is_used = False
    for unit in (node for node in nodes if node.local == "tu"):
        variants = {
            one.get("lang"): (one, segment)
            for one in unit.children
            for segment in one.children
            if one.local == "tuv" and segment.local == "seg"
        }
        languages |= set(variants)
        own = next((one for code, one in variants.items() if is_language(code, source)), None)
        other = next((one for code, one in variants.items() if is_language(code, request.target)), None)
        is_used = is_used or own is not None
        if own is None or (other and tree.content(other[1]).strip()) or not has_letters(tree.content(own[1])):
            continue
        filled = list(divide(_items(tree, own[1])))
        if other:
            tag = tree.opening(other[1]).replace("/>", ">")
            found.append((other[1].start, other[1].end, Block("", [tag, *filled, f"</{other[1].name}>"], always=True)))
        else:
            made = [f'{_space_before(tree, own[0])}<tuv xml:lang="{request.target}"><seg>', *filled, "</seg></tuv>"]
            found.append((own[0].end, own[0].end, Block("", made, always=True)))
    if not is_used:
        raise no_such_language(request.name, (source, request.target), languages)
    return spliced(text, found)
