"""Documents that are zip archives of XML: safe reading, and writing with everything else unchanged."""

from __future__ import annotations

import codecs
import io
import re
import zipfile
import zlib

from nmt.documents.parts import Request

MOST_BYTES = 1 << 29
MOST_MEMBERS = 20_000
MOST_RATIO = 200
"""Maximum ratio of the unpacked size to the size of a file of more than SMALL bytes unpacked: more is a bomb."""
SMALL = 1 << 25
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError)


class Archive:
    """The files in a document."""

    def __init__(self, data: bytes, request: Request) -> None:
        """Raises UserError if it is damaged, encrypted or a decompression bomb."""
        self.request = request
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
            members = self._zip.infolist()
        except _DAMAGED as error:
            raise request.error(f"is damaged: {error}") from None
        size = sum(member.file_size for member in members)
        if len(members) > MOST_MEMBERS or size > MOST_BYTES or size > max(SMALL, MOST_RATIO * len(data)):
            raise request.error(f"unpacks to {len(members):,} files with {size:,} bytes, which is too much")
        if any(member.flag_bits & 1 for member in members):
            raise request.error("is encrypted; save it without a password")
        self._members = {member.filename: member for member in members}
        if len(self._members) < len(members):
            raise request.error("is damaged: it contains two files with the same name")

    @property
    def names(self) -> list[str]:
        return list(self._members)

    def read(self, name: str) -> bytes:
        """A file; empty if there is none of this name."""
        if name not in self._members:
            return b""
        try:
            return self._zip.read(self._members[name])
        except _DAMAGED as error:
            raise self.request.error(f"is damaged, `{name}`: {error}") from None

    def text(self, name: str) -> str:
        """A file of XML as text."""
        data = self.read(name)
        encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8"
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError as error:
            raise self.request.error(f"is damaged, `{name}`: it is not {encoding}: {error.reason}") from None
        return text if encoding == "utf-8" else re.sub(r"encoding=(['\"])[\w-]+", r"encoding=\1UTF-8", text, count=1)

    def replaced(self, changed: dict[str, bytes]) -> bytes:
        """The document with other content in some of its files."""
        output = io.BytesIO()
        with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as new:
            for name, old in self._members.items():
                member = zipfile.ZipInfo(name, old.date_time)
                member.compress_type, member.external_attr = old.compress_type, old.external_attr
                if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    member.compress_type = zipfile.ZIP_DEFLATED
                new.writestr(member, changed[name] if name in changed else self.read(name))
        return output.getvalue()
