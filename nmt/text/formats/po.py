"""Catalogues of gettext (PO)."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import Any

from nmt.errors import UserError, imported
from nmt.text.files import open_plain, readable
from nmt.text.formats.languages import is_turned
from nmt.text.formats.pair import Format, Pair, Reading

MOST = 1 << 28  # bytes of a catalogue at most


def languages(path: str, reading: Reading) -> list[str]:
    """The language of the translations, if the header names it."""
    return list(filter(None, [_language(_parse(path))]))


def read(path: str, reading: Reading) -> Iterator[Pair]:
    """The messages and their translations; of plural forms the singular with the first form, the plural with the rest.

    The messages are in the source language, unless the header says that the translations are.
    """
    catalogue = _parse(path)
    turned = is_turned(f"`{path}`", "", _language(catalogue), (reading.source, reading.target))
    for entry in catalogue:
        reason = "obsolete" if entry.obsolete else "unfinished" if entry.fuzzy and not reading.unfinished else ""
        for source, target in _texts(entry):
            texts = (target, source) if turned else (source, target)
            untranslated = "" if target.strip() else "untranslated"
            yield Pair(*texts, f"line {entry.linenum}", left_out=reason or untranslated)


def _language(catalogue: Any) -> str:
    return str(catalogue.metadata.get("Language", "")).strip()


def _parse(path: str) -> Any:
    polib = imported("polib", f"`{path}` needs polib", "[import]")
    with readable(path), open_plain(path) as file:
        data = file.read(MOST + 1)
    if len(data) > MOST:
        raise UserError(f"`{path}` has more than {MOST:,} bytes, which such a file may have at most")
    charset = re.search(rb"charset=([\w.:-]+)", data[:8192])
    encoding = charset[1].decode() if charset and charset[1] != b"CHARSET" else "utf-8"
    try:
        text = data.removeprefix(codecs.BOM_UTF8).decode(encoding)
        text = re.sub("[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]", " ", text)  # polib would end a line there
        return polib.pofile(f"{text}\n")  # a text without a line end may be the name of another file
    except (LookupError, UnicodeDecodeError) as error:
        raise UserError(f"`{path}` is not valid {encoding}, which its header says it is: {error}") from None
    except (OSError, ValueError, IndexError) as error:
        place = re.search(r"line (\d+)", str(error))
        what = str(error).rpartition(": ")[2]
        raise UserError(f"`{path}`{f' line {place[1]}' if place else ''} is not a valid PO file: {what}") from None


def _texts(entry: Any) -> Iterator[tuple[str, str]]:
    if not entry.msgid_plural:
        yield entry.msgid, entry.msgstr
        return
    forms = [text for _, text in sorted(entry.msgstr_plural.items())]
    if len(forms) != 1:  # a single form is that of any number
        yield entry.msgid, forms[0] if forms else ""
    for form in forms[1:] or forms:
        yield entry.msgid_plural, form


FORMATS = (Format("PO", (".po", ".pot"), read, languages),)
