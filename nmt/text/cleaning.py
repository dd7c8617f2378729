"""Cleaning a line of text: what counts as one line."""

from __future__ import annotations

import re

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
"""Control characters, and what some programs take for the end of a line."""
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def one_line(text: str) -> str:
    """The text as one line that every program takes for one line, and that can be written as UTF-8.

    Control characters, tabs and everything that may count as a line break (CR, U+0085, U+2028, ...) become a space, and
    none at the ends; half a surrogate pair becomes U+FFFD.
    """
    if CONTROL.search(text):
        text = CONTROL.sub(" ", text).strip(" ")
    return _SURROGATE.sub("\ufffd", text)


def clean_line(text: str) -> str:
    """A line of input as the model reads it: `one_line`, and empty if it is blank."""
    text = one_line(text)
    return "" if text.isspace() else text
