"""Keys that permit the use of a service: a file with a line for each, its name and its SHA-256.

A key is 32 random bytes, so that a fast hash is enough: nobody can try all of them.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from pathlib import Path

from nmt.errors import UserError

_LINE = re.compile(r"(\S+)\s+([0-9a-f]{64})")


class Keys:
    """The keys of a file, which is read again when it has changed."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._time = -1
        self._keys: list[tuple[str, bytes]] = []
        self.refresh()

    def refresh(self) -> None:
        """Read the file if it has changed; raises UserError if a line is not a key."""
        try:
            time = self.path.stat().st_mtime_ns
            if time == self._time:
                return
            lines = self.path.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"the file of keys `{self.path}` cannot be read: {error}") from None
        keys = []
        for number, line in enumerate(lines, 1):
            if line.strip() and not line.startswith("#"):
                found = _LINE.fullmatch(line.strip())
                if not found:
                    raise UserError(
                        f"`{self.path}`, line {number}: must be a name and a SHA-256; make one by --new-key"
                    )
                keys.append((found[1], bytes.fromhex(found[2])))
        self._keys, self._time = keys, time

    def name(self, key: str) -> str | None:
        """The name of a key; None if it is not valid. Takes the same time for every key."""
        given = hashlib.sha256(key.encode("utf-8", "replace")).digest()
        names = [name for name, known in self._keys if hmac.compare_digest(given, known)]
        return names[0] if names else None


def new_key(path: str | Path, name: str) -> str:
    """Make a key, append its name and hash to the file, and return it: it is stored nowhere else."""
    if not re.fullmatch(r"[\w.@-]{1,100}", name):
        raise UserError(f"the name of a key must consist of letters, digits and `.`, `@`, `_`, `-`, but is {name!r}")
    key = secrets.token_urlsafe(32)
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8") as file:
            file.write(f"{name} {hashlib.sha256(key.encode()).hexdigest()}\n")
    except OSError as error:
        raise UserError(f"the file of keys `{path}` cannot be written: {error.strerror}") from None
    return key
