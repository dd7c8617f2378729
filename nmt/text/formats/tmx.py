"""Translation memories (TMX 1.1 to 1.4b)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nmt.text.formats.languages import is_language, no_such_language
from nmt.text.formats.pair import Format, Pair, Reading
from nmt.text.formats.xml import iterate_elements, language_of, sentence

LOOKED_AT = 1000  # units that are looked at to find the languages of a file


def languages(path: str, reading: Reading) -> list[str]:
    """The languages of the first units of a memory, the source language of its header first."""
    found: dict[str, None] = {}
    units = 0
    for event, element in iterate_elements(path, "header", "tu"):
        if event == "start":
            continue
        first = element.get("srclang", "")
        for code in [first, *(code for code, _ in _variants(element))]:
            if code and code.lower() != "*all*":
                found[code] = None
        units += 1
        if units > LOOKED_AT:
            break
    return list(found)


def read(path: str, reading: Reading) -> Iterator[Pair]:
    """Each text in the source language with each in the target language of the same unit."""
    seen: set[str] = set()
    is_used = False
    for event, unit in iterate_elements(path, "tu"):
        if event == "start":
            continue
        variants = list(_variants(unit))
        seen.update(code for code, _ in variants)
        sources = [text for code, text in variants if is_language(code, reading.source)]
        targets = [text for code, text in variants if is_language(code, reading.target)]
        is_used = is_used or bool(sources and targets)
        place = f"line {unit.sourceline}"
        if not targets or not any(targets):
            yield Pair(next(iter(sources), ""), "", place, left_out="untranslated")
            continue
        for source in sources or [""]:
            yield from (Pair(source, target, place) for target in targets)
    if not is_used:
        raise no_such_language(f"`{path}`", (reading.source, reading.target), seen)


def _variants(unit: Any) -> Iterator[tuple[str, str]]:
    for variant in unit.iterchildren("{*}tuv"):
        segment = variant.find("{*}seg")
        if segment is not None:
            yield language_of(variant), sentence(segment)


FORMATS = (Format("TMX", (".tmx",), read, languages),)
