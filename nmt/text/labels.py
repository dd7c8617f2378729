"""The labels of a classification or tagging, stored as a JSON file next to the weights, and its inputs as ids."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nmt.errors import UserError
from nmt.text.vectors import Scale, pad_vectors
from nmt.text.vocabulary import END, PAD, UNK, Vocabulary

Ids = npt.NDArray[np.int64]

MOST_LABELS = 100_000  # more different labels are a mistake: the column holds something else


class Labels:
    """The different labels of the training data; the number of a label is its place."""

    def __init__(self, model: bytes) -> None:
        self.model = model  # the content of the file
        self.checksum = hashlib.sha256(model).hexdigest()
        names = json.loads(model)
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise ValueError("it must be a list of labels")
        self.names: list[str] = names
        self.ids = {name: number for number, name in enumerate(names)}

    @classmethod
    def of(cls, found: Iterable[str]) -> Labels:
        """The labels that occur, the most frequent first; raises UserError if there are not at least two."""
        counts = Counter(found)
        names = sorted(counts, key=lambda name: (-counts[name], name))
        if not 2 <= len(names) <= MOST_LABELS:
            raise UserError(
                f"the training data must have 2 to {MOST_LABELS:,} different labels, but have {len(names):,}"
                f"{f' (`{names[0]}`)' if len(names) == 1 else ''}; `data.target` names the column of the labels"
            )
        return cls((json.dumps(names, ensure_ascii=False, indent=0) + "\n").encode())

    @classmethod
    def load(cls, path: str | Path) -> Labels:
        """Read the file; raises UserError if it is missing or damaged."""
        try:
            return cls(Path(path).read_bytes())
        except OSError as error:
            raise UserError(f"labels `{path}` cannot be read: {error.strerror}") from None
        except (ValueError, RecursionError) as error:
            raise UserError(f"labels `{path}` are damaged: {' '.join(str(error).split())}") from None

    def __len__(self) -> int:
        return len(self.names)

    def number(self, name: str, where: str) -> int:
        """The number of a label; raises UserError if the model does not know it."""
        try:
            return self.ids[name]
        except KeyError:
            shown = ", ".join(self.names[:20]) + (", ..." if len(self) > 20 else "")
            raise UserError(f"{where}: the model has no label `{name}`; its labels are {shown}") from None


def load_side(path: Path) -> Any:
    """The vocabulary (`.spm`), the labels (`labels.json`) or the scale (`.json`) of one side; raises UserError."""
    if path.suffix == ".spm":
        return Vocabulary.load(path)
    return Labels.load(path) if path.name == "labels.json" else Scale.load(path)


def represent_sources(side: Vocabulary | Scale, sources: Sequence[Any], longest: int, where: str) -> list[Any]:
    """The first `longest` pieces (one at least) or standardised vectors of each source; `where` is for errors."""
    if isinstance(side, Scale):
        rows = enumerate(sources, start=1)
        return [side.standardized(vectors[:longest], f"{where} example {row}") for row, vectors in rows]
    return [ids[:longest] or [UNK] for ids in side.encode_batch(sources)]


def segment_words(
    vocabulary: Vocabulary, sentences: Sequence[Sequence[str]]
) -> tuple[list[list[int]], list[list[int]]]:
    """The pieces of sentences, segmented word by word, and the position of each word's first piece."""
    pieces = iter(vocabulary.encode_batch([word for words in sentences for word in words]))
    sources, places = [], []
    for words in sentences:
        own = [next(pieces) or [UNK] for _ in words]
        sources.append([piece for ids in own for piece in ids])
        places.append(np.cumsum([0, *map(len, own)])[:-1].tolist())
    return sources, places


def cut(*lengths: Sequence[int], positions: int, rows: int = 1 << 62) -> Iterator[slice]:
    """Successive rows as batches: at most so many rows, and so many positions with padding; a longer row is alone.

    lengths: of each side of the rows, in their order
    """
    start, longest = 0, (0,) * len(lengths)
    for end, own in enumerate(zip(*lengths, strict=True)):
        longest = tuple(map(max, longest, own))
        if end > start and (end - start == rows or sum(longest) * (end + 1 - start) > positions):
            yield slice(start, end)
            start, longest = end, own
    if lengths[0]:
        yield slice(start, len(lengths[0]))


def pad_sources(sources: Sequence[Any]) -> tuple[Any, Ids]:
    """Padded sources [length, batch] with the end symbol, or vectors [length, batch, size]; and lengths [batch]."""
    if np.ndim(sources[0]) == 2:
        return pad_vectors(sources)
    lengths = np.array([len(ids) + 1 for ids in sources])
    padded = np.full((int(lengths.max()), len(sources)), PAD, np.int64)
    for row, ids in enumerate(sources):
        padded[: len(ids), row] = ids
        padded[len(ids), row] = END
    return padded, lengths
