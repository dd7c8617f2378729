"""Reading XML of any size element by element, within limits: nothing is fetched, and entities are refused."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from nmt.errors import UserError, imported
from nmt.text.files import open_plain, readable

MOST_BETWEEN = 1 << 28  # bytes at most from one translation unit to the next: more may be a decompression bomb

_TEXT_INSIDE = frozenset(("hi", "g", "mrk", "pc"))  # they mark a part of the sentence; others hold foreign codes
_ALONE = frozenset(("ph", "it", "x", "ut"))  # in place of a line break, a picture or a variable


class _Limited:
    """A file that complains when much is read without anything useful in it."""

    def __init__(self, file: BinaryIO, path: str) -> None:
        self.file, self.path, self.read_since = file, path, 0

    def read(self, size: int) -> bytes:
        block = self.file.read(size)
        self.read_since += len(block)
        if self.read_since > MOST_BETWEEN:
            raise UserError(f"`{self.path}` has more than {MOST_BETWEEN:,} bytes without a translation unit")
        return block


def iterate_elements(path: str, *names: str) -> Iterator[tuple[str, Any]]:
    """The elements of these names at their start and their end, as (`start` or `end`, element).

    An element is emptied after its end, so the memory needed is that of one. Raises UserError, naming the line, when
    the file is no XML.
    """
    etree = imported("lxml.etree", f"`{path}` needs lxml", "[import]")
    try:
        with readable(path), open_plain(path) as file:
            limited = _Limited(file, path)
            tags = [f"{{*}}{name}" for name in names]
            safe = {"resolve_entities": False, "no_network": True, "load_dtd": False, "huge_tree": False}
            parsed = etree.iterparse(limited, ("start", "end"), tag=tags, remove_comments=True, remove_pis=True, **safe)
            for number, (event, element) in enumerate(parsed):
                declared = element.getroottree().docinfo.internalDTD if number == 0 else None
                if declared is not None and next(iter(declared.iterentities()), None) is not None:
                    raise UserError(f"`{path}` declares entities, which are refused; save it without them")
                yield event, element
                if event == "end":
                    limited.read_since = 0
                    _forget(element)
    except etree.XMLSyntaxError as error:
        what = " ".join(str(error.msg or "it is empty").split())
        raise UserError(f"`{path}` line {error.lineno or 1} is not valid XML: {what}") from None


def _forget(element: Any) -> None:
    """Free an element and what is before it in the same parent."""
    element.clear()
    while (before := element.getprevious()) is not None:
        before.getparent().remove(before)


def local_name(element: Any) -> str:
    """The name of an element without its namespace."""
    return str(element.tag).rpartition("}")[2]


def language_of(element: Any) -> str:
    """The language of an element: `xml:lang`, or `lang` in old files."""
    return element.get("{http://www.w3.org/XML/1998/namespace}lang") or element.get("lang") or ""


def sentence(element: Any) -> str:
    """The text of a segment without its inline codes; a code between two words becomes a space."""
    if not len(element):
        return element.text or ""
    return re.sub(r"(?<=\w)\0+(?=\w)", " ", "".join(_parts(element))).replace("\0", "")


def _parts(element: Any) -> Iterator[str]:
    yield element.text or ""
    for child in element:
        name = local_name(child)
        if not isinstance(child.tag, str):  # an entity of a definition that is not loaded: &nbsp;
            yield html.unescape(child.text or "")
        elif name in _TEXT_INSIDE:
            yield from _parts(child)
        elif name in _ALONE:
            yield "\0"  # no XML has it
        yield child.tail or ""
