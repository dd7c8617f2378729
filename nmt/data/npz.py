"""Reading examples from .npz files, the archives of arrays that `numpy.savez` writes."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nmt.config.tasks import SideKind
from nmt.errors import UserError
from nmt.text.reading import side_value

DAMAGED = (OSError, ValueError, EOFError, KeyError, NotImplementedError, zipfile.BadZipFile, zlib.error)
"""The exceptions that reading a damaged file raises."""
LENGTHS = "_lengths"
"""Behind the name of an array: the name of an array with the lengths of its sequences."""


def iterate_npz(path: Path, names: Sequence[str], kinds: Sequence[SideKind]) -> Iterator[tuple[Any, ...]]:
    """The examples of a file that has an array for each side, whose first dimension counts the examples.

    Sequences of different lengths follow each other in the array `NAME`, and `NAME_lengths` has their lengths.
    Raises UserError if the file is damaged or an array is missing.
    """
    try:
        with open(path, "rb") as opened:
            file = np.load(opened, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise ValueError("it has a single array without a name (.npy); write it with numpy.savez")
            columns = [_column(file, name, path) for name in names]
    except FileNotFoundError:
        raise UserError(f"`{path}` does not exist") from None
    except (*DAMAGED, MemoryError) as error:  # the latter where a header claims a huge array
        reason = " ".join(str(error).split())
        if "pickle" in reason:
            reason = f"it is no archive of arrays of numbers or texts (with sequences of lengths, see `NAME{LENGTHS}`)"
        raise UserError(f"`{path}` cannot be read as .npz: {reason[:200]}") from None
    counts = [len(column) for column in columns]
    if len(set(counts)) > 1:
        listed = " and ".join(f"{count} in `{name}`" for count, name in zip(counts, names, strict=True))
        raise UserError(f"`{path}` must have as many examples in each array, but has {listed}")
    for number, row in enumerate(zip(*columns, strict=True), 1):
        where = f"`{path}` example {number}"
        yield tuple(
            side_value(value if kind.startswith("vector") else value.tolist(), kind, where, name)
            for value, kind, name in zip(row, kinds, names, strict=True)
        )


def _column(file: Any, name: str, path: Path) -> Sequence[Any]:
    """The value of each example; raises UserError if there is no such array."""
    if name not in file.files:
        raise UserError(
            f"`{path}` has no array `{name}`; its arrays are {', '.join(file.files)}; set the column's name"
        )
    array = file[name]
    if array.ndim == 0:
        raise UserError(f"`{path}`: array `{name}` must have a dimension that counts the examples, but is one number")
    if name + LENGTHS not in file.files:
        return array  # type: ignore[no-any-return]
    lengths = file[name + LENGTHS]
    is_right = lengths.ndim == 1 and lengths.dtype.kind in "iu" and (lengths >= 0).all()
    if not is_right or lengths.sum() != len(array):
        raise UserError(
            f"`{path}`: `{name}{LENGTHS}` must have whole numbers that add up to the {len(array):,} rows of `{name}`"
        )
    return np.split(array, np.cumsum(lengths)[:-1])
