"""Cleaning a line of text, in the same way for training, evaluation and translation.

`clean_line` cleans the source side. `clean_target` cleans the target side and changes less: it only removes what a
translation must not contain.
"""

from __future__ import annotations

import re
import unicodedata

# Few lines need these patterns: `re` compiles them when they are first used, so the program starts sooner.
_CONTROL = r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+"  # control characters and ends of lines; none is printable
_TERMINAL_CODE = r"\x1b\[[0-?]*[ -/]*[@-~]"
_SURROGATE = r"[\ud800-\udfff]"

# U+0085 is left out because it ends a line for many programs, the others because Windows-1252 does not define them.
_WINDOWS_1252 = {
    code: bytes([code]).decode("cp1252")
    for code in range(0x80, 0xA0)
    if code not in (0x81, 0x85, 0x8D, 0x8F, 0x90, 0x9D)
}

_SPACES = "\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
_INVISIBLE = "\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
_SPACE = f"[{_SPACES}]"
# A joiner shapes the letters of scripts from Hebrew to the Indic ones, and emoji (U+FE0F ends one); elsewhere it does
# nothing. Tags spell the flag that the black flag before them stands for; elsewhere nobody sees them.
_DROPPED = (
    rf"[{_INVISIBLE}]|(?<![\u0590-\u1cff\u200c\u200d\u2190-\u2bff\ua800-\uabff\ufb1d-\ufdff\ufe0f\ufe70-\ufefc"
    r"\U00010800-\U0001faff])[\u200c\u200d]+|(?<![\U0001f3f4\U000e0000-\U000e007f])[\U000e0000-\U000e007f]+"
)
_EAST_ASIAN = r"[\u3005-\u30ff\u3400-\u9fff\uac00-\ud7af\U00020000-\U0003ffff]"
_FULL_WIDTH_WORDS = r"[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a]+"
_FULL_WIDTH = re.compile(r"[\uff01-\uff5e]+")


def one_line(text: str) -> str:
    """The text as a single line for every program, in a form that can be written as UTF-8.

    U+0080 to U+009F are read as the Windows-1252 characters that are usually meant (U+0092 is an apostrophe). Other
    control characters, tabs and everything that may count as a line break (CR, U+0085, U+2028, ...) become a space, or
    nothing at the ends; the colours of a terminal are dropped; half of a surrogate pair becomes U+FFFD.
    """
    if text.isprintable():  # most lines
        return text
    if re.search(_CONTROL, text):
        if "\x1b" in text:
            text = re.sub(_TERMINAL_CODE, "", text)
        text = re.sub(_CONTROL, " ", text.translate(_WINDOWS_1252)).strip(" ")
    return re.sub(_SURROGATE, "\ufffd", text)


def clean_line(text: str) -> str:
    """A line of source text as the model reads it; a blank line becomes empty.

    The result is one line (`one_line`) in Unicode's composed form (NFC). No-break and other special spaces become a
    space. Characters without a shape or meaning of their own are dropped: soft hyphens, zero-width spaces, byte order
    marks, direction marks, joiners that join nothing. Full-width letters and digits become ordinary ones, and so do
    full-width signs, except in East Asian text.
    """
    text = one_line(text)
    if text.isascii():
        return "" if text.isspace() else text
    if not text.isprintable() or _FULL_WIDTH.search(text):  # special spaces and invisible characters do not print
        text = re.sub(_DROPPED, "", re.sub(_SPACE, " ", text))
        full_width = _FULL_WIDTH_WORDS if re.search(_EAST_ASIAN, text) else _FULL_WIDTH
        text = re.sub(full_width, lambda found: "".join(chr(ord(sign) - 0xFEE0) for sign in found[0]), text)
    text = unicodedata.normalize("NFC", text)
    return "" if text.isspace() else text


def clean_target(text: str) -> str:
    """A line of target text in the form that training reads and `translate` writes: `one_line`, empty if blank."""
    text = one_line(text)
    return "" if text.isspace() else text
