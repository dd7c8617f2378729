"""Reads a document, translates its segments and writes it."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmt.documents import bilingual, data, ebook, html, markdown, office, opendocument, po, subtitles, text
from nmt.documents.archive import Archive
from nmt.documents.inline import TAG
from nmt.documents.parts import Part, Request, Translate, render, segments_of, translate_segments
from nmt.errors import UserError, needs_attention, similar_path
from nmt.model_files import write_atomically
from nmt.text.formats.table import CODE_PAGES

if TYPE_CHECKING:
    from nmt.translation.translator import Translator

SHOWN = 200  # characters of a text that a message shows
MOST_BYTES = 1 << 27
Parts = Callable[[str, Request], list[Part]]
TEXTS: dict[str, Parts] = {
    ".txt": text.parts,
    **dict.fromkeys((".html", ".htm", ".xhtml"), html.parts),
    **dict.fromkeys((".srt", ".vtt"), subtitles.parts),
    **dict.fromkeys((".md", ".markdown"), markdown.parts),
    **dict.fromkeys((".po", ".pot"), po.parts),
    **dict.fromkeys((".xlf", ".xliff"), bilingual.xliff),
    ".tmx": bilingual.tmx,
    ".json": data.json_parts,
    **dict.fromkeys((".yaml", ".yml"), data.yaml_parts),
}
"""Documents that are a text."""
ARCHIVES: dict[str, tuple[Callable[[Archive, Request], dict[str, list[Part]]], str]] = {
    ".docx": (office.word, "word/"),
    ".pptx": (office.presentation, "ppt/"),
    ".xlsx": (office.workbook, "xl/"),
    ".odt": (opendocument.parts, "application/vnd.oasis.opendocument.text"),
    ".odp": (opendocument.parts, "application/vnd.oasis.opendocument.presentation"),
    ".ods": (opendocument.parts, "application/vnd.oasis.opendocument.spreadsheet"),
    ".epub": (ebook.parts, "application/epub+zip"),
}
"""Documents that are archives: the function that finds the parts of their files, and how they are known: by a folder,
or by what their file `mimetype` says."""
SUFFIXES = (*TEXTS, *ARCHIVES)
_MACROS = frozenset((".docm", ".dotm", ".xlsm", ".xltm", ".xlam", ".pptm", ".potm", ".ppsm"))
_OLD = frozenset((".doc", ".xls", ".ppt", ".rtf", ".pdf", ".odg", ".pages", ".key", ".numbers", ".mobi", ".azw3"))


class Document:
    """A document that is read from a file or a request."""

    def __init__(self, data: bytes, name: str, say: Callable[[str], None] = lambda _: None) -> None:
        """Raises UserError if it is not what its name says, or has macros or a password.

        Parameters:
            name: its name, whose suffix says what it is
            say: takes messages about it
        """
        self.suffix = Path(name).suffix.lower()
        self.data, self.request = data, Request(f"`{name}`", say=say)
        check_suffix(name)
        if len(data) > MOST_BYTES:
            raise self.request.error(f"has {len(data):,} bytes, but a document may have at most {MOST_BYTES:,}")
        what = _what(data)
        if self.suffix in ARCHIVES:
            if what != "zip":
                raise self.request.error(f"is not a {self.suffix} document: it is {what or 'something else'}")
            self._archive = Archive(data, self.request)
            _check_archive(self._archive, self.suffix)
        elif what:
            raise self.request.error(f"is not a {self.suffix} file: it is {'a zip archive' if what == 'zip' else what}")

    def translate(
        self,
        translate: Translator | Translate,
        *,
        source_language: str = "",
        target_language: str = "",
        keys: Sequence[str] = (),
        progress: Callable[[int, int], None] | None = None,
    ) -> bytes:
        """The translated document.

        Parameters:
            translate: a translator, or a function that translates texts; its second argument is their markup, `xml` or
                empty
            source_language, target_language: their codes; by default those of the translator
            keys: patterns of the keys of JSON and YAML whose values are translated; all by default
            progress: is called with the number of translated texts and the number of all
        """
        if not callable(translate):
            source_language = source_language or translate.source_language
            target_language = target_language or translate.target_language
            translate = with_translator(translate)
        request = Request(self.request.name, source_language, target_language, keys, self.request.say)
        if self.suffix in ARCHIVES:
            files = ARCHIVES[self.suffix][0](self._archive, request)
            translate_segments([one for parts in files.values() for one in segments_of(parts)], translate, progress)
            written = {name: render(parts).encode("utf-8", "xmlcharrefreplace") for name, parts in files.items()}
            return self._archive.replaced(written)
        content, encoding = _decode(self.data, request)
        parts = TEXTS[self.suffix](content, request)
        translate_segments(list(segments_of(parts)), translate, progress)
        return encoding(render(parts))


def translate_document(
    source: str | Path, output: str | Path | None, translate: Translator | Translate, **options: Any
) -> Path:
    """Translate a file to another file, which is returned; a file that exists is replaced when the new one is complete.

    Parameters:
        output: None for the name of the source with the target language before its suffix
        options: further arguments of `Document.translate`
    """
    document = open_document(source)
    language = options.get("target_language") or getattr(translate, "target_language", "")
    output = output_path(source, output, str(language))
    write_atomically(output, document.translate(translate, **options))
    return output


def open_document(source: str | Path, say: Callable[[str], None] = lambda _: None) -> Document:
    """A document of a file; raises UserError if it cannot be translated."""
    name = str(source)
    check_suffix(name)
    try:
        with open(source, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise UserError(f"`{name}` does not exist{similar_path(name)}") from None
    except OSError as error:
        raise UserError(f"`{name}` cannot be read: {error.strerror}") from None
    return Document(data, name, say)


def output_path(source: str | Path, output: str | Path | None, target_language: str) -> Path:
    """Where the translation of a file is written: `letter.de.docx` by default. Raises UserError if that is the file."""
    source = Path(source)
    path = Path(output) if output else source.with_suffix(f".{target_language or 'translated'}{source.suffix}")
    if path.suffix.lower() != source.suffix.lower():
        raise UserError(
            f"the translation of `{source}` is a {source.suffix} document too, so `{path}` needs that suffix"
        )
    if path.exists() and path.samefile(source):
        raise UserError(f"the output `{path}` is the document itself; choose another file")
    if path.is_dir() or not path.parent.is_dir():
        raise UserError(
            f"`{path}` cannot be written: {'it is a folder' if path.is_dir() else 'its folder does not exist'}"
        )
    return path


def with_translator(
    translator: Translator,
    *,
    keep: Sequence[str] = (),
    forbidden: Sequence[str] = (),
    glossary: Any = None,
    split_sentences: bool | None = None,
    warn_below: float | None = None,
    warn: Callable[[str], None] | None = None,
    **overrides: Any,
) -> Translate:
    """A translator with settings as a function.

    Parameters:
        warn_below: confidence below which there is a message
        warn: takes a message for each text that is cut or does not meet a request; None: they are not reported
        overrides: fields of `nmt.config.DecodingConfig`
    """
    from nmt.text.glossary import Glossary
    from nmt.translation.translator import SourceLine, with_common

    decoding = translator.decoding_with(**overrides)
    terms = translator.glossary(glossary) if isinstance(glossary, str | Path) else Glossary.of(glossary)

    def translate(texts: Sequence[str], markup: str) -> list[str]:
        def cut(problem: str) -> None:
            if warn is not None:
                warn(re.sub(r"\bline (\d+)", lambda number: _shown(texts[int(number[1]) - 1]), problem))

        if markup and not translator.has_attention:
            raise needs_attention("a document with formatting needs")
        lines = [SourceLine(one, forbidden=forbidden, keep=keep) for one in texts]
        prepared = [translator.prepare(with_common(line, markup, terms), split_sentences) for line in lines]
        found = translator.translate_prepared(prepared, decoding, 1, warn=cut)
        for one, (best, *_) in zip(texts, found, strict=True):
            problems = list(best.problems)
            if warn_below is not None and best.confidence is not None and best.confidence < warn_below:
                problems.append(f"confidence {best.confidence:.2f}: {_shown(best.text)}")
            for problem in problems if warn else ():
                warn(f"{_shown(one)}: {problem}")  # type: ignore[misc]
        return [best.text for best, *_ in found]

    return translate


def check_suffix(name: str) -> None:
    """Raises UserError unless the suffix of a name is that of a document."""
    suffix = Path(name).suffix.lower()
    if suffix in _MACROS:
        raise UserError(f"`{name}` can have macros, which are refused; save it as {suffix[:-1]}x")
    if suffix in _OLD:
        raise UserError(
            f"`{name}` is a {suffix} file, which is not translated; save it as docx, odt, xlsx, pptx or txt"
        )
    if suffix not in SUFFIXES:
        raise UserError(f"`{name}` has no suffix of a document that is translated: {' '.join(SUFFIXES)}")


def _what(data: bytes) -> str:
    """What a file is by its first bytes: `zip`, a description, or nothing if it may be text."""
    from nmt.text.files import NO_TEXT

    if data.startswith(b"PK\x03\x04"):
        return "zip"
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        return "an old Office document or one with a password; save it in the new format without one"
    known = next((what for magic, what in NO_TEXT.items() if data.startswith(magic)), "")
    if known or (not data.startswith(tuple(_MARKS)) and b"\0" in data[:4096]):
        return known or "a binary file, or UTF-16 without a byte order mark"
    return ""


def _check_archive(archive: Archive, suffix: str) -> None:
    """Raises UserError unless the archive is a document of this suffix, without macros and password."""
    names = archive.names
    signs = {archive.text("mimetype").strip(), *(name.partition("/")[0] + "/" for name in names)}
    kind = next((own for own, (_, sign) in ARCHIVES.items() if sign in signs), "")
    if kind != suffix:
        raise archive.request.error(
            f"is not a {suffix} document{f', but a {kind} document' if kind else ''}; rename it"
        )
    if any(name.lower().endswith("vbaproject.bin") or name.startswith(("Basic/", "Scripts/")) for name in names):
        raise archive.request.error("has macros, which are refused; save it without them")


_MARKS = {  # those of UTF-32 first: the one for UTF-16 is the beginning of one of them
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_DECLARED = re.compile(rb"""(?i)<meta[^>]{0,200}charset=["']?([\w-]+)|\A\s*<\?xml[^>]{0,100}encoding=["']([\w.-]+)""")


def _decode(data: bytes, request: Request) -> tuple[str, Callable[[str], bytes]]:
    """The text of a file, and how its translation is encoded.

    A byte order mark or a declaration says the encoding. Other text is UTF-8, or in the code page of its language and
    becomes UTF-8.
    """
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            return _decoded(data[len(mark) :], encoding, request), partial(_marked, mark, encoding)
    declared = _DECLARED.search(data[:4096])
    named = (declared[1] or declared[2]).decode() if declared else ""
    if named and named.lower() not in ("utf-8", "utf8"):
        try:
            codecs.lookup(named)
        except LookupError:
            raise request.error(f"declares the encoding `{named}`, which is not known") from None
        return _decoded(data, named, request), lambda text: text.encode(named, "xmlcharrefreplace")
    try:
        return data.decode("utf-8"), lambda text: text.encode("utf-8", "replace")
    except UnicodeDecodeError:
        language = request.source.partition("-")[0]
        page = next((page for page, codes in CODE_PAGES.items() if language in codes.split()), "cp1252")
        request.say(f"{request.name} is not UTF-8; it is read as {page} and written as UTF-8")
        return _decoded(data, page, request), lambda text: text.encode("utf-8", "replace")


def _marked(mark: bytes, encoding: str, text: str) -> bytes:
    return mark + text.encode(encoding, "replace")


def _decoded(data: bytes, encoding: str, request: Request) -> str:
    try:
        return data.decode(encoding)
    except (UnicodeDecodeError, LookupError) as error:
        raise request.error(f"is not valid {encoding}: {error}; convert it to UTF-8") from None


def _shown(text: str) -> str:
    """The beginning of a text for a message, without the tags that stand for its formatting."""
    plain = TAG.sub("", text)
    return repr(plain if len(plain) <= SHOWN else f"{plain[:SHOWN]}...")
