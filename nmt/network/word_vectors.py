"""Word vectors from text files, to start embeddings from.

Read are word2vec's text format (Mikolov et al. 2013, https://arxiv.org/abs/1301.3781), whose first line says how many
words there are and how many numbers each has, fastText's `.vec`, which is the same, and GloVe's, which lacks that line;
each plain or compressed (`.gz`). A line is a word and its numbers with spaces between them. Only the vectors that a
vocabulary can use are kept, so that a file of millions of words needs little memory.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nmt.errors import UserError
from nmt.text.reading import iterate_bytes
from nmt.text.vocabulary import SPECIAL_PIECES, Vocabulary

if TYPE_CHECKING:
    from torch import Tensor

LARGEST = float(np.finfo(np.float32).max)

LOWER, EXACT = 1, 2  # how well a word of the file matches a piece: in lower case, or as it is


def load_into(weight: Tensor, path: str | Path, vocabulary: Vocabulary, scale: float = 1.0) -> str:
    """Overwrite the rows of an embedding whose pieces have a vector in the file; says how many they are.

    Raises UserError like `read_embeddings`, and when the file has no piece at all.

        weight: [vocabulary, size], one row for each piece
        scale: what the model multiplies a row with before its layers read it; they will read the file's vector
    """
    import torch

    size, width = weight.shape
    assert size == len(vocabulary), f"{size} rows for {len(vocabulary)} pieces"
    matrix, found = read_embeddings(path, vocabulary, width)
    if not found:
        raise UserError(
            f"`{path}` has no word that is one of the {size} pieces of the vocabulary; is it of the right language?"
        )
    rows = np.flatnonzero(~np.isnan(matrix[:, 0]))
    with torch.no_grad():
        weight[torch.from_numpy(rows).to(weight.device)] = torch.from_numpy(matrix[rows] / np.float32(scale)).to(weight)
    return f"{found} of {size} pieces start from their vectors in `{path}`"


def read_embeddings(path: str | Path, vocabulary: Vocabulary, size: int) -> tuple[npt.NDArray[np.float32], int]:
    """Vectors of a vocabulary's pieces, [vocabulary, size], NaN for pieces without one; and how many have one.

    `▁Hund` takes the vector of the word `Hund`, else that of `hund`; a piece that does not begin a word takes that of
    the word spelt like it. Of several lines with the same word the first counts. The special pieces take none.
    Raises UserError, naming file and line, for vectors of another size and for lines that are no word with numbers;
    the numbers of words that nobody asks for are counted but not looked at.
    """
    matrix = np.full((len(vocabulary), size), np.nan, dtype=np.float32)
    matched = np.zeros(len(vocabulary), dtype=np.int8)
    wanted = _wanted_words(vocabulary)
    has_header = False
    for number, line in enumerate(iterate_bytes(path, "the file of word vectors "), start=1):
        line = line.rstrip(b" \t\r\n")
        if number == 1 and (header := re.fullmatch(rb"\s*\d+\s+(\d+)", line)):
            has_header = True
            _check_size(path, int(header[1]), size)
            continue
        if line.count(b" ") != size or b"\t" in line:
            line = _respaced(path, number, line, size, has_header)
        for piece, match in wanted.get(line[: line.find(b" ")], ()):
            if match > matched[piece]:
                matrix[piece] = _vector(path, number, line)
                matched[piece] = match
    return matrix, int(np.count_nonzero(matched))


def _wanted_words(vocabulary: Vocabulary) -> dict[bytes, list[tuple[int, int]]]:
    """For each word that a piece can take its vector from: the pieces, and how well it matches them."""
    wanted: dict[bytes, list[tuple[int, int]]] = {}
    pieces = vocabulary.pieces(range(len(vocabulary)))
    for i, piece in list(enumerate(pieces))[SPECIAL_PIECES:]:
        word = piece.removeprefix("▁")
        wanted.setdefault(word.encode(), []).append((i, EXACT))
        if word != piece and word.lower() != word:
            wanted.setdefault(word.lower().encode(), []).append((i, LOWER))
    wanted.pop(b"", None)  # the piece of a space alone
    return wanted


def _check_size(path: str | Path, found: int, size: int) -> None:
    if found != size:
        raise UserError(
            f"`{path}` line 1: the vectors have {found} numbers, but `model.embedding_size` is {size}; "
            f"set it to {found}"
        )


def _respaced(path: str | Path, number: int, line: bytes, size: int, has_header: bool) -> bytes:
    """A line with single spaces; nothing for a blank line and a word with spaces, which GloVe's files have a few of."""
    fields = line.split()
    if len(fields) == size + 1:
        return b" ".join(fields)
    if not fields or (len(fields) > size + 1 and not _is_number(fields[1])):
        return b""
    if number == 1 and not has_header and len(fields) > 1:
        _check_size(path, len(fields) - 1, size)
    raise UserError(
        f"`{path}` line {number} must be a word and {size} numbers with spaces between them, "
        f"but has {len(fields)} fields instead (binary formats are not read)"
    )


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _vector(path: str | Path, number: int, line: bytes) -> npt.NDArray[np.float64]:
    fields = line.split(b" ")[1:]
    for field in fields:
        if not _is_number(field) or not abs(float(field)) <= LARGEST:
            shown = field.decode("utf-8", "replace")
            raise UserError(
                f"`{path}` line {number} must have finite numbers behind its word, but has `{shown}` instead"
            )
    return np.array(fields, dtype=np.float64)
