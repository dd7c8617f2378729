"""Sequences of vectors: read from the values of a column, and standardised by the training data."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nmt.config.tasks import SideKind
from nmt.errors import UserError

Vectors = npt.NDArray[np.float32]
"""A sequence of vectors, [length, size]."""


def vectors_of(value: object, where: str, kind: SideKind) -> Vectors:
    """The vectors of a value, [length, size]: a number, a list of numbers, a list of such lists, or numbers as text.

        where: the place in the data and the name of the column, for messages
        kind: `vectors` or `vector`

    Raises UserError if a value is not a number, is not finite, or if the vectors have different sizes.
    """
    if isinstance(value, str):
        value = [number for number in re.split(r"[\s,;]+", value.strip("[](){} \t\r\n")) if number]
    try:
        with np.errstate(over="ignore"):
            found = np.asarray(value, np.float64).astype(np.float32)
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"{where} {_what_is_wrong(value)}") from None
    if found.ndim > 2:
        raise UserError(f"{where} must be a list of vectors, but has {found.ndim} dimensions instead")
    if not np.isfinite(found).all():
        place = np.argwhere(~np.isfinite(np.atleast_1d(found)))[0]
        raise UserError(
            f"{where} has a number that is missing, infinite or not a number at position {int(place[0]) + 1}; "
            "replace it, or leave the example out"
        )
    if found.ndim < 2:
        found = found.reshape((1, -1) if kind == "vector" and found.size else (-1, 1))
    return found


def read_json(lines: Iterable[str], column: str, kind: SideKind, name: str) -> Iterator[Vectors]:
    """The vectors of each line that is not blank: JSON, a list or an object that has one in the column.

    name: where the lines come from, for messages
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{name} line {number}"
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{where} must be vectors as JSON, such as [[0.5, 1], [2, 3]]: {error}") from None
        if isinstance(value, dict):
            if column not in value:
                raise UserError(f"{where} has no `{column}`; its fields are {', '.join(value) or 'none'}")
            value = value[column]
        found = vectors_of(value, where, kind)
        if not len(found):
            raise UserError(f"{where} has no vectors; leave it out")
        yield found


def _what_is_wrong(value: object) -> str:
    """Why a value cannot be vectors, as the end of a sentence."""
    items = list(value) if isinstance(value, Iterable) and not isinstance(value, str | bytes | dict) else []
    sizes = [len(item) if isinstance(item, list | tuple | np.ndarray) else None for item in items]
    for place, size in enumerate(sizes):
        if size != sizes[0] and None not in (size, sizes[0]):
            return (
                f"must have vectors of one size, but vector 1 has {sizes[0]} numbers and vector {place + 1} has {size}"
            )
    shown = repr(value)
    return f"must be numbers, or lists of numbers of one size, but is {shown[:47] + '...' * (len(shown) > 47)} instead"


class Scale:
    """The mean and the standard deviation of each number of one side's vectors in the training data.

    A number that never changes keeps a deviation of 1. They are a JSON file of the model folder.
    """

    def __init__(self, model: bytes) -> None:
        self.model = model
        """The content of the file."""
        self.checksum = hashlib.sha256(model).hexdigest()
        values = json.loads(model)
        self.mean, self.deviation = (np.asarray(values[name], np.float64) for name in ("mean", "deviation"))
        if self.mean.ndim != 1 or self.mean.shape != self.deviation.shape or not len(self.mean):
            raise ValueError("it must have a mean and a deviation for each number of a vector")
        if not np.isfinite(self.mean).all() or not (np.isfinite(self.deviation) & (self.deviation > 0)).all():
            raise ValueError("each mean must be finite and each deviation positive")

    @classmethod
    def of(cls, sequences: Iterable[Vectors]) -> Scale:
        """The means and deviations of all vectors of these sequences."""
        arrays = list(sequences)
        count = sum(map(len, arrays))
        mean = sum(array.sum(0, dtype=np.float64) for array in arrays) / count
        deviation = np.sqrt(sum(((array - mean) ** 2).sum(0) for array in arrays) / count)
        deviation = np.where(deviation > 1e-6 * (np.abs(mean) + 1e-30), deviation, 1.0)
        values = {"mean": mean.tolist(), "deviation": deviation.tolist()}
        return cls((json.dumps(values, indent=0) + "\n").encode())

    @classmethod
    def load(cls, path: str | Path) -> Scale:
        """Read the file; raises UserError if it is missing or damaged."""
        try:
            return cls(Path(path).read_bytes())
        except OSError as error:
            raise UserError(f"`{path}` cannot be read: {error.strerror}") from None
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise UserError(f"`{path}` is damaged: {' '.join(str(error).split())}") from None

    def __len__(self) -> int:
        """The size of a vector."""
        return len(self.mean)

    def standardized(self, vectors: Vectors, where: str) -> Vectors:
        """(x - mean) / deviation; raises UserError if the vectors have another size."""
        if vectors.shape[1] != len(self):
            raise UserError(
                f"{where}: a vector must have {len(self)} numbers, as in the training data, but has {vectors.shape[1]}"
            )
        return ((vectors - self.mean) / self.deviation).astype(np.float32)

    def restored(self, vectors: Any) -> Any:
        """The inverse of `standardized`."""
        return vectors * self.deviation + self.mean


def pad_vectors(sequences: Iterable[Vectors]) -> tuple[Vectors, npt.NDArray[np.int64]]:
    """Sequences padded with zeros, [length, batch, size], and their lengths, [batch]."""
    arrays = list(sequences)
    lengths = np.array([len(array) for array in arrays], np.int64)
    padded = np.zeros((int(lengths.max()), len(arrays), arrays[0].shape[1]), np.float32)
    for row, array in enumerate(arrays):
        padded[: len(array), row] = array
    return padded, lengths
