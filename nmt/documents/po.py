"""Catalogues of gettext (PO): empty translations are filled."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from nmt.documents.html import string_parts
from nmt.documents.parts import Block, Part, Request, has_letters
from nmt.text.formats.languages import is_language
from nmt.text.spans import spliced

_STRING = r'"(?:[^"\\\n]|\\.)*"'
_FIELD = re.compile(
    r"^(\#~[ \t]*)?(msgctxt|msgid_plural|msgid|msgstr)(?:\[(\d+)\])?[ \t]*"
    rf"((?:(?:\#~[ \t]*)?{_STRING}[ \t]*(?:\r?\n|\Z)[ \t]*)+)",
    re.MULTILINE,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


@dataclass
class _Entry:
    """A message."""

    start: int
    texts: dict[str, str] = field(default_factory=dict)
    """`msgid` and `msgid_plural`."""
    forms: list[re.Match[str]] = field(default_factory=list)
    """Its translations."""
    is_obsolete: bool = False


def parts(text: str, request: Request) -> list[Part]:
    """The parts of a catalogue. Translations that are there stay as they are, also fuzzy ones."""
    entries = list(_entries(text, request))
    header = next((_string(one.forms[0][4]) for one in entries if one.texts.get("msgid") == "" and one.forms), "")
    own = re.search(r"(?m)^Language:[ \t]*(\S+)", header)
    if own and request.target and not is_language(own[1], request.target):
        raise request.error(f"is for the language `{own[1]}`, but the translation is into `{request.target}`")
    found: list[tuple[int, int, Part]] = []
    fuzzy = 0
    for entry in entries:
        if not entry.texts.get("msgid"):
            for form in [] if own or not request.target else entry.forms[:1]:  # the header, which names no language
                filled = re.sub(r'("Language:)[ \t]*(\\n")', rf"\1 {request.target}\2", form[0])
                found.append((*form.span(), filled))
            continue
        if entry.is_obsolete or any(_string(form[4]) for form in entry.forms):
            fuzzy += "fuzzy" in _flags(text, entry.start)
            continue
        for form in entry.forms:
            is_singular = form[3] is None or (form[3] == "0" and len(entry.forms) > 1)
            source = entry.texts["msgid" if is_singular else "msgid_plural"]
            if has_letters(source):
                found.append((*form.span(), _filled(form, source)))
    if fuzzy:
        one = fuzzy == 1
        what = "1 fuzzy message" if one else f"{fuzzy} fuzzy messages"
        keep = "keeps its translation; check it" if one else "keep their translations; check them"
        request.say(f"{what} of {request.name} {keep}")
    return spliced(text, found)


def _entries(text: str, request: Request) -> Iterator[_Entry]:
    entry: _Entry | None = None
    place = 0
    for one in _FIELD.finditer(text):
        _check(text, place, one.start(), request)
        place = one.end()
        if entry is None or (one[2] in ("msgctxt", "msgid") and entry.forms):
            if entry is not None:
                yield entry
            entry = _Entry(one.start())
        entry.is_obsolete = entry.is_obsolete or bool(one[1])
        if one[2] == "msgstr":
            entry.forms.append(one)
        else:
            entry.texts[one[2]] = _string(one[4])
    _check(text, place, len(text), request)
    if entry is None:
        raise request.error("is not a catalogue (PO): it has no message")
    yield entry


def _check(text: str, start: int, end: int, request: Request) -> None:
    """Raises UserError unless there are only comments between two fields."""
    if wrong := re.search(r"(?m)^[ \t]*[^#\s].*", text[start:end]):
        line = text.count("\n", 0, start + wrong.start()) + 1
        raise request.error(f"is not a valid catalogue (PO), line {line}: {wrong[0][:40]}")


def _flags(text: str, start: int) -> str:
    """The flags in the comments before a message."""
    before = text[max(0, start - 4096) : start].splitlines()
    flags = []
    for line in reversed(before):
        if not line.startswith("#"):
            break
        flags += [line] if line.startswith("#,") else []
    return " ".join(flags)


def _string(raw: str) -> str:
    joined = "".join(one[1:-1] for one in re.findall(_STRING, raw))
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), joined)


def _filled(form: re.Match[str], source: str) -> Block:
    raw, end = form[0], form[4][len(form[4].rstrip()) :]
    opening = raw[: form.start(4) - form.start()]

    def encode(translation: str) -> str:
        lines = translation.splitlines(keepends=True)
        quoted = [f'"{_escaped(line)}"' for line in (["", *lines] if len(lines) > 1 else lines or [""])]
        return opening + "\n".join(quoted) + end

    return Block(raw, string_parts(source), encode, always=True)


def _escaped(text: str) -> str:
    names = {value: name for name, value in _ESCAPES.items()}
    return re.sub(r'[\\"\n\t\r\a\b\f\v]', lambda found: "\\" + names.get(found[0], found[0]), text)
