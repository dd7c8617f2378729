"""Texts of programs: the strings of catalogues, JSON and YAML, which may contain tags of HTML."""

from __future__ import annotations

import re

from nmt.documents import html, text
from nmt.documents.parts import Part, Request

_HAS_TAG = re.compile(r"</[A-Za-z]|<[A-Za-z][\w-]*(?:\s[^<>]*)?/?>")


def string_parts(string: str) -> list[Part]:
    """The parts of a string, whose lines are translated one by one."""
    if not _HAS_TAG.search(string):
        return text.parts(string, Request())
    pieces = re.split(r"(\n+)", string)
    return [part for piece in pieces for part in (html.parts(piece, Request()) if piece.strip() else [piece])]
