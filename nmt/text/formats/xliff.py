"""XLIFF 1.2 and 2.x, with the segments and states of SDLXLIFF."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nmt.text.formats.languages import is_turned
from nmt.text.formats.pair import Format, Pair, Reading
from nmt.text.formats.xml import iterate_elements, local_name, sentence

FINISHED = frozenset(
    ("translated", "reviewed", "final", "signed-off", "Translated", "ApprovedTranslation", "ApprovedSignOff")
)
"""States in which a translation is taken: of XLIFF 1.2, of 2.x, and of SDLXLIFF."""


def languages(path: str, reading: Reading) -> list[str]:
    """The source and the target language, if the file names both."""
    for event, element in iterate_elements(path, "xliff", "file"):
        if event == "start" and all(found := _languages(element)):
            return list(found)
    return []


def _languages(element: Any) -> tuple[str, str]:
    return (
        element.get("source-language") or element.get("srcLang") or "",
        element.get("target-language") or element.get("trgLang") or "",
    )


def read(path: str, reading: Reading) -> Iterator[Pair]:
    """The segments of all units; a file from the target to the source language is read the other way round."""
    turned = False
    for event, element in iterate_elements(path, "xliff", "file", "trans-unit", "unit"):
        name = local_name(element)
        if event == "start":
            if name in ("xliff", "file") and any(own := _languages(element)):
                turned = is_turned(f"`{path}`", *own, (reading.source, reading.target))
            continue
        segments = {"trans-unit": _segments_1, "unit": _segments_2}.get(name)
        place = f"line {element.sourceline}"
        for source, target, is_finished in segments(element) if segments else ():
            reason = "" if is_finished or reading.unfinished else "unfinished"
            texts = (target, source) if turned else (source, target)
            yield Pair(*texts, place, left_out=reason if target.strip() else "untranslated")


def _segments_1(unit: Any) -> Iterator[tuple[str, str, bool]]:
    """Source, target, and whether the translation is finished, of each segment of a unit of XLIFF 1.2."""
    whole, segmented, target = (unit.find(f"{{*}}{name}") for name in ("source", "seg-source", "target"))
    if whole is None:
        return
    if target is None:
        yield sentence(whole), "", False
        return
    state = target.get("state")
    is_finished = state in FINISHED if state else unit.get("approved") != "no"
    sources, targets = _marked(segmented), _marked(target)
    if not sources or not targets:
        yield sentence(whole), sentence(target), is_finished
        return
    states = {element.get("id"): element.get("conf") for element in unit.iterfind("{*}seg-defs/{*}seg")}
    for number, text in sources.items():
        yield text, targets.get(number, ""), states[number] in FINISHED if number in states else is_finished


def _marked(element: Any) -> dict[str, str]:
    """The texts that are marked as segments, by their numbers."""
    marks = element.iter("{*}mrk") if element is not None else ()
    return {mark.get("mid"): sentence(mark) for mark in marks if mark.get("mtype") == "seg"}


def _segments_2(unit: Any) -> Iterator[tuple[str, str, bool]]:
    """As `_segments_1`, for a unit of XLIFF 2."""
    for segment in unit.iterchildren("{*}segment"):
        source, target = segment.find("{*}source"), segment.find("{*}target")
        if source is not None:
            state = segment.get("state")
            yield sentence(source), "" if target is None else sentence(target), not state or state in FINISHED


FORMATS = (Format("XLIFF", (".xlf", ".xliff", ".sdlxliff", ".mxliff", ".mqxliff"), read, languages),)
