"""The cache of tables: memory-mapped Arrow files in the cache folder, each under a key of everything it depends on.

An entry is NAME.arrow, and NAME.json with its checksum and description (`nmt.data.cache_folder`).
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import datasets
import datasets.table
import pyarrow as pa

from nmt.data.cache_folder import WRITING, cache_folder, prune
from nmt.errors import UserError
from nmt.model_files import file_checksum

CACHE_FORMAT = 2  # part of every cache key; it increases when the format of the files or the reading of sources changes


class StoredTable:
    """An entry of the cache, mapped into memory."""

    def __init__(self, path: Path, description: dict[str, Any]) -> None:
        with path.open("rb") as file:
            self._mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        table = pa.ipc.open_stream(pa.py_buffer(self._mapped)).read_all()
        self.dataset = datasets.Dataset(datasets.table.MemoryMappedTable(table, str(path)))  # its rows
        self.description = description

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Its rows in order, batch by batch, of which only one occupies memory."""
        for batch in self.dataset.data.to_batches():
            yield batch
            self.release()

    def release(self) -> None:
        """Give back the memory of all that was read; it is read from the file again when it is next needed."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._mapped.madvise(mmap.MADV_DONTNEED)


def stored_table(
    kind: str,
    key: list[Any],
    schema: pa.Schema,
    batches: Callable[[], Iterator[pa.RecordBatch]],
    describe: Callable[[], dict[str, Any]],
) -> StoredTable:
    """The memory-mapped entry of a key, written first if it is missing; two processes write the same bytes."""
    cache = cache_folder()
    name = _entry_name(kind, key)
    entry = _open_entry(cache, name)
    if entry is None:
        try:
            cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=cache, prefix=f"{WRITING}{os.getpid()}-") as temporary:
                table, description = Path(temporary, "table.arrow"), Path(temporary, "description.json")
                with pa.OSFile(str(table), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
                    for batch in batches():
                        writer.write_batch(batch)
                description.write_text(json.dumps({"checksum": file_checksum(table), "description": describe()}))
                os.replace(table, cache / f"{name}.arrow")
                os.replace(description, cache / f"{name}.json")
            prune(cache)
        except OSError as error:
            raise UserError(
                f"cache folder `{cache}` cannot be written: {error.strerror or error}; set NMT_CACHE to another folder"
            ) from None
        entry = _open_entry(cache, name)
    if entry is None:
        raise UserError(f"cache folder `{cache}` does not give back what was written; set NMT_CACHE to another folder")
    return entry


def is_stored(kind: str, key: list[Any]) -> bool:
    """Whether the cache has an entry; its files are not checked."""
    name = _entry_name(kind, key)
    return all((cache_folder() / f"{name}.{suffix}").is_file() for suffix in ("arrow", "json"))


def record_batch(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pa.RecordBatch:
    """Rows as an Arrow batch of columns."""
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.record_batch(arrays, schema)


def _entry_name(kind: str, key: list[Any]) -> str:
    return f"{kind}-{hashlib.sha256(json.dumps([CACHE_FORMAT, key]).encode()).hexdigest()[:32]}"


def _open_entry(cache: Path, name: str) -> StoredTable | None:
    """An entry of the cache; None if it is missing or does not match its checksum."""
    table = cache / f"{name}.arrow"
    try:
        stored = json.loads((cache / f"{name}.json").read_text())
        if stored["checksum"] != file_checksum(table):
            return None
        with suppress(OSError):  # the time of the last use; the cache may not be writable
            os.utime(cache / f"{name}.json")
        return StoredTable(table, stored["description"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
