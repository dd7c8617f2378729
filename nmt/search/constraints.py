"""Constraints on a translation: a prefix, required phrases, forbidden phrases, copied spans.

`nmt.search.variations` applies them during search.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from nmt.search.engine import Integers
from nmt.text.vocabulary import SPACE

Phrase = tuple[int, ...]  # a sequence of ids


class Constraints(NamedTuple):
    """The constraints on the translation of one sentence."""

    prefix: Phrase = ()  # it begins with these pieces, even if another constraint forbids them
    required: tuple[Phrase, ...] = ()  # it contains each of these phrases; they may overlap
    forbidden: Forbidden | None = None  # it contains none of these phrases, except in the prefix
    copied: Phrase = ()  # it contains each of these pieces exactly once
    not_copied: Phrase = ()  # it contains none of these pieces, which represent spans of other sentences
    unknown: bool = False  # it may contain the unknown piece, which the caller then replaces

    @property
    def need_rows(self) -> bool:
        """True if search needs all log-probabilities at each step; for copied spans the best are mostly enough."""
        return bool(self.prefix or self.required or self.forbidden or self.unknown)

    @property
    def give_pieces(self) -> bool:
        """True if they prescribe pieces, which may be improbable ones."""
        return bool(self.prefix or self.required)

    @property
    def least_length(self) -> int:
        """Number of pieces that the maximum length must allow."""
        return len(self.prefix) + sum(map(len, self.required)) + 2 * len(self.copied)


FREE = Constraints()  # no constraints


@dataclass(frozen=True)
class Progress:
    """The progress of a hypothesis through its required phrases."""

    unmet: tuple[Phrase, ...]  # the phrases that it does not contain yet
    begun: Phrase = ()  # the longest suffix of the hypothesis that is the beginning of one of them

    @cached_property
    def missing(self) -> int:
        """The smallest number of further pieces after which it can contain all phrases."""
        return sum(map(len, self.unmet)) - len(self.begun)

    def next_pieces(self) -> list[int]:
        """The pieces that continue the begun phrase or begin another one; each of them lowers `missing`."""
        length = len(self.begun)
        return sorted({phrase[length] for phrase in self.unmet if phrase[:length] == self.begun})

    def after(self, piece: int) -> Progress:
        if not self.unmet:
            return self
        read = (*self.begun, piece)
        unmet = tuple(phrase for phrase in self.unmet if read[-len(phrase) :] != phrase)
        for start in range(len(read)):
            if any(phrase[: len(read) - start] == read[start:] for phrase in unmet):
                return Progress(unmet, read[start:])
        return Progress(unmet)


class Spelling:
    """The pieces of a vocabulary as UTF-8 bytes, byte pieces (`<0x41>`) included."""

    def __init__(self, pieces: Sequence[str]) -> None:
        self.bytes = [_piece_bytes(piece) for piece in pieces]
        self._sorted = sorted((text, i) for i, text in enumerate(self.bytes) if text)

    def starting_with(self, text: bytes) -> Iterator[int]:
        """Ids of the pieces that begin with these bytes."""
        for i in range(bisect_left(self._sorted, (text, 0)), len(self._sorted)):
            piece, number = self._sorted[i]
            if not piece.startswith(text):
                return
            yield number

    def tail(self, ids: Sequence[int], length: int) -> bytes:
        """At least the last `length` bytes of the text of the ids, or all of it after a space."""
        parts: list[bytes] = []
        for i in reversed(ids):
            if length <= 0:
                break
            parts.append(self.bytes[i])
            length -= len(self.bytes[i])
        else:
            parts.append(SPACE.encode())
        return b"".join(reversed(parts))


class Forbidden:
    """Phrases that a translation must not contain, in any segmentation into pieces.

    Phrases match whole words: `art` forbids neither `party` nor `artist`, and `Hund` does not forbid `Hunde`. In
    scripts without spaces (Chinese, Japanese) words have no such boundary, and a phrase matches anywhere. Case matters.

    A whole word ends at the end of a piece, or inside a piece before a character that belongs to no word. So a piece
    that would complete a phrase at such an end is never written; a longer word that only begins like the phrase can
    still be written with other pieces.
    """

    def __init__(self, phrases: Sequence[str], spelling: Spelling) -> None:
        self.phrases = tuple(phrases)
        self.spelling = spelling
        inside: set[int] = set()
        completing: dict[bytes, dict[bool, set[int]]] = {}
        for phrase in phrases:
            text = phrase.replace(" ", SPACE).encode()
            whole_start, whole_end = in_word(phrase[0]), in_word(phrase[-1])

            def complete(before: bytes, after: bytes, start: bool = whole_start, end: bool = whole_end) -> bool:
                return not (start and _ends_in_word(before)) and not (end and _begins_in_word(after))

            for written in range(len(text)):
                rest = text[written:]
                pieces = {i for i in spelling.starting_with(rest) if complete(b"", spelling.bytes[i][len(rest) :])}
                if pieces:
                    completing.setdefault(text[:written], {}).setdefault(whole_start, set()).update(pieces)
            for i, piece in enumerate(spelling.bytes):
                position = piece.find(text, 1)
                while position > 0:
                    if complete(piece[:position], piece[position + len(text) :]):
                        inside.add(i)
                    position = piece.find(text, position + 1)
        self._inside = np.array(sorted(inside), np.int64)
        self._completing = {
            written: [(start, np.array(sorted(pieces), np.int64)) for start, pieces in found.items()]
            for written, found in completing.items()
        }
        self._lengths = sorted({len(written) for written in self._completing})

    def blocked(self, history: Sequence[int]) -> Iterator[Integers]:
        """The pieces that may not follow the ids of the history, as several arrays."""
        if len(self._inside):
            yield self._inside
        text = self.spelling.tail(history, (self._lengths[-1] if self._lengths else 0) + 4)
        for length in self._lengths:
            border = len(text) - length
            if border < 0:
                break
            for whole_start, pieces in self._completing.get(text[border:], ()):
                if not (whole_start and _ends_in_word(text[:border])):
                    yield pieces

    def occurs_in(self, ids: Sequence[int]) -> bool:
        return any(ids[i] in pieces for i in range(len(ids)) for pieces in self.blocked(ids[:i]))


_BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_SPECIAL = frozenset(("<pad>", "<unk>", "<s>", "</s>"))


def _piece_bytes(piece: str) -> bytes:
    if byte := _BYTE_PIECE.fullmatch(piece):
        return bytes([int(byte[1], 16)])
    return b"" if piece in _SPECIAL else piece.encode("utf-8", "surrogatepass")


def in_word(character: str) -> bool:
    """Whether a character belongs to words separated by spaces: letters, marks and digits, except East Asian ones."""
    return unicodedata.category(character)[0] in "LMN" and unicodedata.east_asian_width(character) not in "WF"


def _ends_in_word(text: bytes) -> bool:
    last = text[-4:].decode("utf-8", "ignore")[-1:]
    return bool(last) and in_word(last)


def _begins_in_word(text: bytes) -> bool:
    first = text[:4].decode("utf-8", "ignore")[:1]
    return bool(first) and in_word(first)
