"""Opening text files. The first bytes of a file decide what it is, not its name.

gzip, bzip2, xz and zstd are decompressed; UTF-16 and UTF-32 with a byte order mark become UTF-8. A file that is not
text is refused with one line that says what it is.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from nmt.errors import UserError, imported

HEAD = 4096  # number of bytes that are examined


def import_zstd() -> Any:
    """Python's module for zstd, which it has from 3.14 on; before that a package has the same one."""
    module = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    return imported(module, "zstd needs backports.zstd", "[import]")


def _open_zstd(file: Any) -> Any:
    zstd = import_zstd()
    return _ZstdFile(zstd.open(file), zstd.ZstdError)


class _ZstdFile(io.RawIOBase):
    """A decompressed file whose damage is reported as that of the other formats."""

    def __init__(self, file: Any, damage: type[Exception]) -> None:
        self._file, self._damage = file, damage

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        try:
            return int(self._file.readinto(buffer))
        except self._damage as error:
            raise EOFError(str(error)) from None


COMPRESSED: dict[str, tuple[bytes, Callable[..., Any]]] = {
    ".gz": (b"\x1f\x8b", gzip.open),
    ".bz2": (b"BZh", bz2.open),
    ".xz": (b"\xfd7zXZ\x00", lzma.open),
    ".zst": (b"\x28\xb5\x2f\xfd", _open_zstd),
}
"""For each suffix, the first bytes of such a file and the function that opens it for reading and writing."""
UNWRITTEN = (".zst", ".zip", ".7z", ".rar", ".tar", ".tgz", ".docx", ".xlsx", ".odt", ".pdf", ".parquet", ".tmx")
"""Suffixes of formats that are not plain text; files with such names are not written."""
DAMAGED = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)  # raised by damaged compressed files
_MARKS = {  # those of UTF-32 first: the one for UTF-16 is the beginning of one of them
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
NO_TEXT = {
    b"%PDF-": "a PDF document; extract its text first",
    b"\xd0\xcf\x11\xe0": "an old Office document (.doc, .xls, .ppt); save it as text",
    b"{\\rtf": "an RTF document; save it as text",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive; unpack it first",
    b"Rar!": "a RAR archive; unpack it first",
    b"PAR1": 'a Parquet file; as training data it is read with `data.path = "parquet"`',
    b"SQLite format 3": "an SQLite database; export its text first",
    b"\x89PNG": "a picture (PNG)",
    b"\xff\xd8\xff": "a picture (JPEG)",
    b"GIF8": "a picture (GIF)",
    b"\x7fELF": "a program",
}
"""The first bytes of files that are not text, and what they are."""
_ZIP = {
    "word/": "a Word document (.docx); save it as text, or use `translate --document`",
    "xl/": "an Excel workbook (.xlsx); `nmt import` makes text of it, `translate --document` translates it",
    "ppt/": "a PowerPoint presentation (.pptx); save it as text, or use `translate --document`",
    "content.xml": "an OpenDocument file (.odt, .ods, .odp); save it as text, or use `translate --document`",
    "OEBPS/": "an e-book (.epub); save it as text, or use `translate --document`",
}
_HTML_PAGE = "an HTML page; save its text first (`translate --markup html` can read it)"
_XML = {
    b"<tmx": "a translation memory (TMX); `nmt import` makes text of it",
    b"<xliff": "an XLIFF file; `nmt import` makes text of it",
}


def open_text(source: str | BinaryIO, name: str = "", *, html: bool = False) -> io.BufferedReader:
    """A file or a stream as the bytes of UTF-8 text, without its byte order mark.

    Only the first available bytes of a stream are read. Raises UserError when it is not text.

        name: its name in messages; the path by default
        html: whether an HTML page counts as text
    """
    name = name or f"`{source}`"
    stream = open(source, "rb") if isinstance(source, str) else source  # noqa: SIM115 the caller closes it
    file = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(cast(io.RawIOBase, stream))
    try:
        return _decoded(file, name, html)
    except BaseException:
        file.close()
        raise


def plain_name(path: str) -> str:
    """The name of a file without the suffix of its compression."""
    name = Path(path).name
    return name.removesuffix(next((suffix for suffix in COMPRESSED if name.endswith(suffix)), ""))


def open_plain(path: str) -> io.BufferedReader:
    """The bytes of a file, decompressed if it is compressed; nothing is asked about what they are."""
    return _decompressed(io.BufferedReader(io.FileIO(path)))


@contextmanager
def readable(path: str | Path, what: str = "") -> Iterator[None]:
    """Errors of reading in the block become a UserError that names the file; `what` is put before its path."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{what}`{path}` does not exist") from None
    except (OSError, *DAMAGED) as error:
        raise UserError(f"{what}`{path}` cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _decompressed(file: io.BufferedReader) -> io.BufferedReader:
    head = file.peek(HEAD)[:HEAD]
    for suffix, (magic, open_compressed) in COMPRESSED.items():
        if head.startswith(magic) and (suffix != ".bz2" or head[4:10] == b"1AY&SY"):
            return _decompressed(_Layer(open_compressed(file), file))
    return file


def _decoded(file: io.BufferedReader, name: str, html: bool) -> io.BufferedReader:
    file = _decompressed(file)
    head = file.peek(HEAD)[:HEAD]
    for mark, encoding in _MARKS.items():
        if head.startswith(mark):
            return _Layer(_Recoded(file, encoding, name), file)
    what = _no_text(file, head)
    if what and not (html and what == _HTML_PAGE):
        raise UserError(f"{name} is {what}")
    if head.startswith(codecs.BOM_UTF8):
        file.read(len(codecs.BOM_UTF8))
    return file


def _no_text(file: io.BufferedReader, head: bytes) -> str:
    """The kind of a file that is not text; empty if it seems to be text."""
    for magic, what in NO_TEXT.items():
        if head.startswith(magic):
            return what
    if head.startswith(b"PK\x03\x04"):
        return _what_is_zipped(file, head)
    if head.lstrip(codecs.BOM_UTF8).lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return _HTML_PAGE
    if head.lstrip(codecs.BOM_UTF8).lstrip().startswith(b"<"):
        for tag, what in _XML.items():
            if tag in head:
                return what
    if encoding := unmarked_encoding(head):
        return f"{encoding} text without a byte order mark; convert it: iconv -f {encoding} -t UTF-8"
    return ""


def _what_is_zipped(file: io.BufferedReader, head: bytes) -> str:
    import zipfile

    try:
        names = zipfile.ZipFile(file).namelist() if file.seekable() else [head.decode("latin-1")]
    except (zipfile.BadZipFile, OSError):
        names = [head.decode("latin-1")]
    for inside, what in _ZIP.items():
        if any(inside in name for name in names):
            return what
    return "a zip archive; unpack it first"


def unmarked_encoding(head: bytes) -> str:
    """UTF-16LE or UTF-16BE if every second byte is often NUL and no other byte is; otherwise empty."""
    high, low = head[::2].count(0), head[1::2].count(0)
    if max(high, low) >= 2 and min(high, low) == 0 and max(high, low) > len(head) // 40:
        return "UTF-16LE" if low else "UTF-16BE"
    return ""


class _Layer(io.BufferedReader):
    """A reader on top of a stream; closing it closes that stream as well."""

    def __init__(self, reader: io.RawIOBase, below: io.BufferedReader) -> None:
        super().__init__(reader)
        self._below = below

    def close(self) -> None:
        super().close()
        self._below.close()


class _Recoded(io.RawIOBase):
    """A stream that starts with a byte order mark, recoded to UTF-8."""

    def __init__(self, file: io.BufferedReader, encoding: str, name: str) -> None:
        self._file, self._name, self._encoding = file, name, encoding
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._rest = b""

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._file.fileno()

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        data: bytes | None = None
        while not self._rest and data != b"":
            data = self._file.read1(io.DEFAULT_BUFFER_SIZE)
            try:
                self._rest = self._decoder.decode(data, final=not data).encode("utf-8", "replace")
            except UnicodeDecodeError as error:
                raise UserError(f"{self._name} is not valid {self._encoding.upper()}: {error.reason}") from None
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count
