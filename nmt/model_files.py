"""Model files, which may be damaged or come from strangers: size limits, checksums and atomic writing.

A checksum is a CRC-32. It detects every flipped bit and every file of another model, and takes 0.6 ms per megabyte. It
is not a signature: somebody who changes a file on purpose can also write its checksum, so values are checked too.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import stat
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nmt.errors import UserError

MOST_TEXT = 1 << 20  # maximum number of bytes of a configuration or manifest
MOST_VOCABULARY = 1 << 26  # maximum number of bytes of a SentencePiece model
MOST_HEADER = 1 << 26  # maximum number of bytes of the header of a safetensors file
BLOCK = 1 << 18  # number of bytes that are read at once for a checksum
EXPORT = "onnx"  # folder of the exported model inside a model folder
DATA_CHECKSUM, HEADER_CHECKSUM = "crc32", "crc32 of the rest"
"""Names of checksums in the metadata of a safetensors file: of its data, and of its header without this one."""


def check_file(path: Path, most: int | None = None) -> None:
    """Raises UserError unless it is a regular file (no pipe, no device) of at most `most` bytes."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise damaged(path, getattr(error, "strerror", None) or error) from None
    if not stat.S_ISREG(status.st_mode):
        raise damaged(path, "it is not a file")
    if most is not None and status.st_size > most:
        raise damaged(path, f"it has {status.st_size:,} bytes, but such a file has at most {most:,}")


def read_file(path: Path, most: int) -> bytes:
    """The content of a file of at most `most` bytes; raises UserError."""
    check_file(path, most)
    try:
        return path.read_bytes()
    except OSError as error:
        raise damaged(path, error.strerror or error) from None


def damaged(path: Path, reason: object) -> UserError:
    """The error for a damaged file of a model folder."""
    folder, name = path.parent, path.name
    if folder.name == EXPORT:
        folder, name = folder.parent, f"{EXPORT}/{name}"
    return UserError(f"model folder `{folder}` is damaged: `{name}`: {' '.join(str(reason).split())[:300]}")


def file_checksum(path: Path, start: int = 0) -> str:
    """The checksum of a file, from byte `start` on."""
    value, block = 0, memoryview(bytearray(BLOCK))  # one buffer, which stays in the processor's cache
    with open(path, "rb", buffering=0) as file:
        file.seek(start)
        while size := file.readinto(block):
            value = zlib.crc32(block[:size], value)
    return f"{value:08x}"


def note_files(folder: Path, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    return {name: {"size": (folder / name).stat().st_size, "crc32": file_checksum(folder / name)} for name in names}


def check_files(folder: Path, noted: dict[str, dict[str, Any]]) -> None:
    """Raises UserError unless the files have the sizes and checksums that `note_files` recorded."""
    for name, expected in noted.items():
        path = folder / name
        check_file(path)
        try:
            same = path.stat().st_size == expected["size"] and file_checksum(path) == expected["crc32"]
        except OSError as error:
            raise damaged(path, error.strerror or error) from None
        if not same:
            raise damaged(path, "it is not the file that was written with the others; copy the whole folder again")


def sealed_values(values: dict[str, Any]) -> dict[str, Any]:
    """Values for a JSON file, with a checksum over all of them."""
    rest = {name: value for name, value in values.items() if name != "checksum"}
    return {**rest, "checksum": _values_checksum(rest)}


def unsealed_values(content: bytes) -> dict[str, Any]:
    """The values of a JSON file; raises ValueError if it has a checksum that does not match."""
    try:
        values = json.loads(content)
    except RecursionError:
        raise ValueError("brackets in brackets in brackets") from None
    if not isinstance(values, dict):
        raise ValueError("it must be a JSON object")
    found = values.pop("checksum", None)
    if found is not None and found != _values_checksum(values):
        raise ValueError("it is not what was written: the checksum differs")
    return values


def _values_checksum(values: dict[str, Any]) -> str:
    return f"{zlib.crc32(json.dumps(values, sort_keys=True).encode()):08x}"


SEAL = "# checksum {}: delete this line when you change something below\n"


def sealed_text(text: str) -> tuple[bytes, str]:
    """The content of a configuration file, with its checksum as a comment in the first line; and the checksum."""
    checksum = f"{zlib.crc32(text.encode()):08x}"
    return (SEAL.format(checksum) + text).encode(), checksum


def check_text(path: Path) -> str:
    """The checksum of a configuration file, empty if it has none; raises UserError if it does not match.

    It is in the first line, where it is not lost with the end of the file. Older files have it in the last line.
    """
    content = read_file(path, MOST_TEXT)
    first, _, below = content.partition(b"\n")
    above, _, last = content.removesuffix(b"\n").rpartition(b"\n")
    for line, text in ((first, below), (last, above + b"\n")):
        if line.startswith(b"# checksum ") or b": delete this line when you change" in line:
            checksum = f"{zlib.crc32(text):08x}"
            if line[11:19] != checksum.encode():
                raise damaged(path, "its checksum differs; if you changed it yourself, delete its line `# checksum`")
            return checksum
    return ""


def sealed_tensors(content: bytes, **notes: str) -> list[bytes | memoryview]:
    """A safetensors file (length of the header, header, data) with notes and checksums in the metadata, in parts."""
    (length,) = struct.unpack("<Q", content[:8])
    header, data = json.loads(content[8 : 8 + length]), memoryview(content)[8 + length :]
    metadata = header.setdefault("__metadata__", {})
    metadata.pop(HEADER_CHECKSUM, None)
    metadata.update(notes)
    metadata[DATA_CHECKSUM] = f"{zlib.crc32(data):08x}"
    metadata[HEADER_CHECKSUM] = _values_checksum(header)
    written = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    written += b" " * (-len(written) % 8)
    return [struct.pack("<Q", len(written)), written, data]


def check_tensors(path: Path) -> None:
    """Raises UserError if a safetensors file has checksums that do not match."""
    check_file(path)
    try:
        verify_tensors(path)
    except (OSError, ValueError) as error:
        raise damaged(path, f"{error}; copy it again") from None


def verify_tensors(path: Path) -> None:
    """As `check_tensors`, but raises a ValueError or OSError with only the reason."""
    try:
        with open(path, "rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > min(MOST_HEADER, os.fstat(file.fileno()).st_size):
                raise ValueError("its header is longer than the file")
            header = json.loads(file.read(length))
            metadata = header.get("__metadata__", {})
            rest, expected = metadata.pop(HEADER_CHECKSUM, None), metadata.get(DATA_CHECKSUM)
            same = rest is None or rest == _values_checksum(header)
    except (AttributeError, TypeError, RecursionError, struct.error) as error:
        raise ValueError(error) from None
    if not same or (expected is not None and file_checksum(path, 8 + length) != expected):
        raise ValueError("its checksum differs")


def write_atomically(path: Path, *content: bytes | memoryview) -> None:
    """Write a file so that at any time either the old or the new content exists, even after a power cut."""
    write_together(path.parent, {path.name: content})


def write_together(folder: Path, files: Mapping[str, Sequence[bytes | memoryview]]) -> None:
    """Write files, given as parts by name, like `write_atomically`; none is replaced before all are on the disk."""
    written = {}
    try:
        for name, content in files.items():
            path = folder / name
            remove_abandoned(folder, f".{name}.", ".tmp")
            written[path] = path.with_name(f".{name}.{os.getpid()}.tmp")
            with open(written[path], "wb") as file:
                for part in content:
                    file.write(part)
                file.flush()
                os.fsync(file.fileno())
        for path, temporary in written.items():
            os.replace(temporary, path)
    except OSError as error:  # a full disk: name the file that is missing, leave no half of it
        for temporary in written.values():
            temporary.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from None


def replace_folder(new: Path, old: Path) -> None:
    """Replace a folder, if there is one, by a complete new one; `new` no longer exists afterwards.

    On Linux the two are exchanged in one step, so that one of them exists and is complete even if the process is
    killed. On other systems neither may exist for a moment.
    """
    for path in new.iterdir():
        with open(path, "rb") as file:
            os.fsync(file.fileno())  # the content must reach the disk before the names
    if old.exists() and not _exchange(new, old):
        aside = old.with_name(f".{old.name}.{os.getpid()}.old")
        old.rename(aside)
        new.rename(old)
        new = aside
    elif not old.exists():
        new.rename(old)
    shutil.rmtree(new, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step; returns False if the system has no such call."""
    try:
        rename = ctypes.CDLL(None).renameat2
    except (OSError, AttributeError):
        return False
    here, exchange = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of <linux/fs.h>
    return bool(rename(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0)


def remove_abandoned(folder: Path, prefix: str, suffix: str = "") -> None:
    """Remove files and folders named PREFIX, process id (maybe with `-...`), SUFFIX, whose process has ended."""
    from glob import escape

    for path in folder.glob(f"{escape(prefix)}*{suffix}"):
        process = path.name.removeprefix(prefix).removesuffix(suffix).split("-")[0]
        if process.isdecimal() and not _is_running(int(process)):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    """Whether a process with this id exists on this machine; True if that cannot be determined."""
    if os.name == "nt":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
