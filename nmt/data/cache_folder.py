"""The folder of prepared data: where it is, what is in it, and how it stays small. Standard library only.

It is `$NMT_CACHE`, else `$XDG_CACHE_HOME/nmt`, else `~/.cache/nmt`, and can be deleted at any time. An entry is two
files, NAME.arrow and NAME.json; a folder `writing-PROCESS-...` is an entry in the making.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from nmt.errors import UserError
from nmt.model_files import remove_abandoned

DAY = 24 * 60 * 60
MOST_DAYS = 60
"""Entries that were not used for so long are removed when another one is written."""
MOST_BYTES = 20 * 2**30
"""And of the others those not used for longest, until the rest is no larger than this."""
SPARED = DAY
"""Seconds since its last use in which no entry is removed: another process may be about to open it."""
WRITING = "writing-"


@dataclass
class Entry:
    """Prepared data that are kept."""

    name: str
    size: int
    """Bytes of both files."""
    used: float
    """When they were last used, in seconds since 1970."""


def cache_folder() -> Path:
    """The folder that the environment names; without a home, one of this user's own among the temporary files."""
    if folder := os.environ.get("NMT_CACHE"):
        return Path(folder)
    if folder := os.environ.get("XDG_CACHE_HOME"):
        return Path(folder) / "nmt"
    with suppress(RuntimeError):  # an id without a user, as in `docker run --user 12345`
        return Path.home() / ".cache" / "nmt"
    folder_of_id = Path(tempfile.gettempdir()) / f"nmt-{os.getuid()}"
    with suppress(FileExistsError):
        folder_of_id.mkdir(mode=0o700)
    if folder_of_id.stat().st_uid != os.getuid():
        raise UserError(f"`{folder_of_id}` belongs to somebody else; set NMT_CACHE to a folder for prepared data")
    return folder_of_id


def writing_prefix() -> str:
    """What the name of a folder begins with in which this process writes an entry."""
    return f"{WRITING}{os.getpid()}-"


def mark_used(folder: Path, name: str) -> None:
    """Note that an entry is used now; a cache that cannot be written to does without."""
    with suppress(OSError):
        os.utime(folder / f"{name}.json")


def entries(folder: Path) -> list[Entry]:
    """All entries, the one used last first."""
    found = []
    for path in folder.glob("*.arrow"):
        with suppress(OSError):
            description = path.with_suffix(".json")
            files = [path.stat(), *([description.stat()] if description.exists() else [])]
            found.append(Entry(path.stem, sum(one.st_size for one in files), files[-1].st_mtime))
    return sorted(found, key=lambda entry: -entry.used)


def remove(folder: Path, names: Sequence[str]) -> None:
    """Remove entries; a process that has opened one keeps what it has."""
    for name in names:
        for suffix in ("json", "arrow"):
            with suppress(OSError):
                (folder / f"{name}.{suffix}").unlink()


def prune(folder: Path) -> list[Entry]:
    """Remove what ended processes have left behind and the entries that are too old or too many; returns these."""
    remove_abandoned(folder, WRITING)
    now, total, removed = time.time(), 0, []
    for path in folder.glob(f"{WRITING}*"):  # of another machine, or of an earlier version
        with suppress(OSError):
            if now - path.stat().st_mtime > MOST_DAYS * DAY:
                shutil.rmtree(path, ignore_errors=True)
    for entry in entries(folder):
        total += entry.size
        if now - entry.used > SPARED and (now - entry.used > MOST_DAYS * DAY or total > MOST_BYTES):
            removed.append(entry)
    remove(folder, [entry.name for entry in removed])
    return removed
