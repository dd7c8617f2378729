"""Terminology (TBX 2 and 3, and the older MARTIF): pairs of terms, for glossaries and for training."""

from __future__ import annotations

from collections.abc import Iterator

from nmt.text.formats.languages import is_language, no_such_language
from nmt.text.formats.pair import Format, Pair, Reading
from nmt.text.formats.xml import iterate_elements, language_of, sentence


def languages(path: str, reading: Reading) -> list[str]:
    """The languages of the first entry."""
    for event, entry in iterate_elements(path, "termEntry", "conceptEntry"):
        if event == "end":
            return [language_of(group) for group in entry.iter("{*}langSet", "{*}langSec")]
    return []


def read(path: str, reading: Reading) -> Iterator[Pair]:
    """Each term in the source language with the first one in the target language, which is the preferred one."""
    seen: set[str] = set()
    is_used = False
    for event, entry in iterate_elements(path, "termEntry", "conceptEntry"):
        if event == "start":
            continue
        terms = [
            (language_of(group), sentence(term).strip())
            for group in entry.iter("{*}langSet", "{*}langSec")
            for term in group.iter("{*}term")
        ]
        seen.update(code for code, _ in terms)
        target = next((term for code, term in terms if is_language(code, reading.target)), "")
        for code, term in terms:
            if is_language(code, reading.source):
                is_used = is_used or bool(target)
                yield Pair(term, target, f"line {entry.sourceline}", left_out="" if target else "untranslated")
    if not is_used:
        raise no_such_language(f"`{path}`", (reading.source, reading.target), seen)


def read_terms(path: str, source: str, target: str) -> list[tuple[str, str]]:
    """Pairs of terms for a glossary; the first of equal source terms counts."""
    found = [pair for pair in read(path, Reading(source, target)) if not pair.left_out]
    return list({pair.source: pair.target for pair in reversed(found)}.items())[::-1]


FORMATS = (Format("TBX", (".tbx",), read, languages),)
