"""The cache folder of preprocessed data: its location, its entries, and their removal. Standard library only.

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
MOST_DAYS = 60  # entries that were not used for this many days are removed when another one is written
MOST_BYTES = 20 * 2**30  # maximum size of all entries in bytes: beyond it, those unused for longest are removed
SPARED = DAY  # an entry used within this many seconds is not removed: another process may be about to open it
WRITING = "writing-"


@dataclass
class Entry:
    name: str
    size: int  # size of both files in bytes
    used: float  # time of the last use, in seconds since 1970


def cache_folder() -> Path:
    """The folder that the environment names; without a home folder, the user's own one among the temporary files."""
    if folder := os.environ.get("NMT_CACHE"):
        return Path(folder)
    if folder := os.environ.get("XDG_CACHE_HOME"):
        return Path(folder) / "nmt"
    with suppress(RuntimeError):  # a user id without a name, as in `docker run --user 12345`
        return Path.home() / ".cache" / "nmt"
    folder_of_id = Path(tempfile.gettempdir()) / f"nmt-{os.getuid()}"
    with suppress(FileExistsError):
        folder_of_id.mkdir(mode=0o700)
    if folder_of_id.stat().st_uid != os.getuid():
        raise UserError(f"`{folder_of_id}` belongs to somebody else; set NMT_CACHE to a folder for prepared data")
    return folder_of_id


def entries(folder: Path) -> list[Entry]:
    """All entries, most recently used first."""
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
    """Remove leftovers of ended processes and entries beyond the limits of age and size; returns these entries."""
    remove_abandoned(folder, WRITING)
    now, total, removed = time.time(), 0, []
    for path in folder.glob(f"{WRITING}*"):  # left by another machine or an earlier version
        with suppress(OSError):
            if now - path.stat().st_mtime > MOST_DAYS * DAY:
                shutil.rmtree(path, ignore_errors=True)
    for entry in entries(folder):
        total += entry.size
        if now - entry.used > SPARED and (now - entry.used > MOST_DAYS * DAY or total > MOST_BYTES):
            removed.append(entry)
    remove(folder, [entry.name for entry in removed])
    return removed
