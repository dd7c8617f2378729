"""A vocabulary shortlist: for each source sentence the target pieces that its translation may use.

The output layer takes half of a translation's arithmetic, nearly all of it for pieces that are irrelevant for the
sentence. A list holds the most frequent target pieces, the most probable translations of each source piece, and with a
joint vocabulary the source pieces themselves (Jean et al. 2015, section 3.2, https://arxiv.org/abs/1412.2007; Mi et al.
2016, https://arxiv.org/abs/1605.03209). The output layer of a batch has the frequent pieces, which its sentences share,
and for each sentence the other pieces of its list. A layer of all pieces that any sentence of the batch may use takes
twice the time: it is three times as large.

The translation probabilities are those of IBM model 1 (Brown et al. 1993, section 4.1, with a null word),

    t(f | e) ~ sum over pairs, over positions of f:  t(f | e) / sum_e' t(f | e')

estimated on pieces by expectation maximisation.
"""

from __future__ import annotations

import functools
import zipfile
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nmt.errors import UserError
from nmt.model_files import check_file, damaged
from nmt.search.engine import Integers
from nmt.text.vocabulary import PAD, SPECIAL_PIECES

FILE = "shortlist.npz"
CELLS = 20_000_000
"""Maximum number of pairs of source and target positions for estimating the table, which take 8 bytes each."""

BLOCK_CELLS = 4_000_000
"""Number of these pairs that are worked on at once, about 200 MB of memory."""


class Shortlist:
    """Finds the lists, and gathers the output layer for them.

    frequent: ids that every sentence may use, [pieces]
    translations: ids for each source piece, [source vocabulary, translations of a piece], padded with `frequent`
    weight: the output layer of all pieces but the special symbols, [readout, pieces]
    bias: [pieces]
    scale: for an 8-bit weight, the factor of each column, [pieces]
    """

    def __init__(
        self,
        frequent: Integers,
        translations: npt.NDArray[np.int32],
        weight: npt.NDArray[Any],
        bias: npt.NDArray[np.float32],
        scale: npt.NDArray[np.float32] | None,
    ) -> None:
        self.frequent, self.translations = frequent[frequent >= SPECIAL_PIECES], translations
        self.weight, self.bias, self.scale = weight, bias, scale

    def own(self, sources: Sequence[Sequence[int]]) -> Integers:
        """The pieces that each sentence may use besides the frequent ones, [sentences, O], padded with `PAD`."""
        listed = np.zeros((len(sources), SPECIAL_PIECES + len(self.bias)), np.bool_)
        ids = np.concatenate([np.asarray(source, np.int64) for source in sources])
        rows = np.repeat(np.arange(len(sources)), [len(source) for source in sources])
        listed[rows[:, None], self.translations[ids]] = True
        listed[:, self.frequent] = listed[:, :SPECIAL_PIECES] = False
        row, piece = np.divmod(np.flatnonzero(listed), listed.shape[1])
        counts = np.bincount(row, minlength=len(sources))
        own = np.full((len(sources), max(1, int(counts.max()))), PAD, np.int64)
        own[row, np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)] = piece
        return own

    def allowed(self, own: Integers) -> npt.NDArray[np.bool_]:
        """Which ids each sentence may use, special symbols included: [sentences, vocabulary]."""
        allowed = np.zeros((len(own), SPECIAL_PIECES + len(self.bias)), np.bool_)
        allowed[np.arange(len(own))[:, None], own] = True
        allowed[:, self.frequent] = allowed[:, :SPECIAL_PIECES] = True
        return allowed

    def gather(self, own: Integers, together: bool = False) -> dict[str, npt.NDArray[Any]]:
        """The inputs of the graph `shortlist` (`nmt.export.onnx_network`) for sentences with these pieces of their own.

        together: for graphs that were made before December 2026, which have one layer for all pieces of a batch
        """
        if together:
            return self._gather_together(own)
        pieces = np.maximum(own, SPECIAL_PIECES) - SPECIAL_PIECES  # padding has the weights of any piece
        frequent = np.broadcast_to(self.frequent, (len(own), len(self.frequent)))
        gathered = {
            **self.shared,
            "own.candidates": np.concatenate((frequent, pieces + SPECIAL_PIECES), axis=1),
            "own.weight": self._columns(pieces),
            "own.bias": np.where(own == PAD, np.float32(-np.inf), self.bias[pieces])[:, None],
        }
        if self.scale is not None:
            gathered["own.scale"] = self.scale[pieces][:, None]
        return gathered

    def _gather_together(self, own: Integers) -> dict[str, npt.NDArray[Any]]:
        allowed = self.allowed(own)
        pieces = np.flatnonzero(allowed[:, SPECIAL_PIECES:].any(axis=0))
        gathered = {
            "candidates": pieces + SPECIAL_PIECES,
            "output_weight": self._columns(pieces[None])[0],
            "output_bias": self.bias[pieces],
            "always": np.searchsorted(pieces, self.frequent[:1] - SPECIAL_PIECES),
            "allowed": np.where(allowed[:, pieces + SPECIAL_PIECES], np.float32(0), np.float32(-np.inf)),
        }
        return gathered if self.scale is None else {**gathered, "output_scale": self.scale[pieces]}

    @cached_property
    def shared(self) -> dict[str, npt.NDArray[Any]]:
        """The inputs that are the same for all sentences."""
        pieces = self.frequent - SPECIAL_PIECES
        arrays = {"frequent.weight": self._columns(pieces[None])[0], "frequent.bias": self.bias[pieces]}
        if self.scale is not None:
            arrays["frequent.scale"] = self.scale[pieces]
        return arrays

    def _columns(self, pieces: Integers) -> npt.NDArray[Any]:
        """The output layer's weights for the pieces of each sentence [sentences, O]: [sentences, readout, O]."""
        if self.weight.flags.c_contiguous:
            # `take` is three times as fast as [:, pieces]
            taken = self.weight.take(pieces.ravel(), axis=1).reshape(-1, *pieces.shape).swapaxes(0, 1)
        else:  # stored by piece
            taken = self.weight.T.take(pieces, axis=0).swapaxes(1, 2)
        return np.ascontiguousarray(taken)

    @classmethod
    def load(cls, folder: Path, manifest: dict[str, Any]) -> Shortlist:
        """Read the shortlist of an export; raises UserError when it is damaged."""
        output, pieces = manifest["output"], manifest["pieces"]

        def constant(name: str, dtype: npt.DTypeLike, shape: tuple[int, ...]) -> Any:
            return np.memmap(folder / "weights.bin", dtype, "r", output[name], shape)

        frequent, translations = _read_lists(folder / FILE, pieces)
        try:
            shape, kind = (manifest["readout"], pieces), np.int8 if manifest["integers"] else np.float32
            by_piece = output.get("by_piece", False)  # older exports have no such entry
            weight = constant("weight", kind, shape[::-1]).T if by_piece else constant("weight", kind, shape)
            bias = np.array(constant("bias", np.float32, (pieces,)))
            scale = np.array(constant("scale", np.float32, (pieces,))) if manifest["integers"] else None
        except (OSError, ValueError, OverflowError) as error:
            raise UserError(f"the export in `{folder}` is damaged: {error}") from None
        return cls(frequent, translations, np.asarray(weight), bias, scale)


def _read_lists(path: Path, pieces: int) -> tuple[Integers, npt.NDArray[np.int32]]:
    """`Shortlist.frequent` and `Shortlist.translations`, whose ids are all of `pieces` pieces; raises UserError."""
    check_file(path)
    arrays = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if member.compress_type != zipfile.ZIP_STORED or member.file_size > path.stat().st_size:
                    raise ValueError(f"{member.filename} is compressed")  # a small file could become a huge array
        with np.load(path, allow_pickle=False) as file:
            for name, dimensions in (("frequent", 1), ("translations", 2)):
                array = arrays[name] = file[name]
                if array.ndim != dimensions or array.dtype.kind != "i" or not array.size:
                    raise ValueError(f"{name} must be whole numbers, but is {array.dtype} {list(array.shape)} instead")
                # If the vocabulary is smaller than the list, special symbols fill the rest.
                if array.min() < 0 or array.max() >= SPECIAL_PIECES + pieces or array.flat[0] < SPECIAL_PIECES:
                    raise ValueError(f"{name} has ids of no piece")
    except Exception as error:  # zipfile and numpy raise many kinds of errors for damaged files
        raise damaged(path, error) from None
    return arrays["frequent"].astype(np.int64, copy=False), arrays["translations"].astype(np.int32, copy=False)


def write_shortlist(folder: Path, frequent: Integers, translations: npt.NDArray[np.int32]) -> None:
    """Write what `Shortlist.load` reads."""
    np.savez(folder / FILE, frequent=frequent, translations=translations)


class LexicalTable:
    """Translation probabilities of pieces, and how often each target piece occurs.

    sources, targets: ids of sentence pairs; of a large corpus pairs at even distances are taken
    """

    def __init__(
        self,
        sources: Sequence[Sequence[int]],
        targets: Sequence[Sequence[int]],
        source_size: int,
        target_size: int,
        iterations: int = 5,
    ) -> None:
        self.source_size, self.target_size = source_size, target_size
        cells = sum(len(source) * len(target) for source, target in zip(sources, targets, strict=True))
        step = max(1, -(-cells // CELLS))
        sources, targets = sources[::step], targets[::step]
        self.counts = np.bincount(np.concatenate([np.asarray(t, np.int64) for t in targets]), minlength=target_size)
        self.source, self.target, self.probability = self._estimate(sources, targets, iterations)

    def _estimate(
        self, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]], iterations: int
    ) -> tuple[Integers, Integers, npt.NDArray[np.float64]]:
        """t(target | source) of all pairs of pieces that co-occur; the null word is the padding symbol."""
        cells = sum(len(source) * len(target) for source, target in zip(sources, targets, strict=True))
        size = -(-len(sources) // max(1, -(-cells // BLOCK_CELLS)))  # sentence pairs of a block
        starts = range(0, len(sources), max(1, size))

        def pairs(start: int) -> Integers:
            """The pair of pieces of each cell of a block, as a number, [cells]."""
            sides = zip(sources[start : start + size], targets[start : start + size], strict=True)
            return np.concatenate([
                (np.array([PAD, *source], np.int64)[:, None] * self.target_size + np.asarray(target, np.int64)).ravel()
                for source, target in sides
            ])  # fmt: skip

        known = functools.reduce(np.union1d, map(pairs, starts), np.zeros(0, np.int64))  # [pairs of pieces]
        blocks = []
        for start in starts:
            positions, offset = [], 0
            for source, target in zip(sources[start : start + size], targets[start : start + size], strict=True):
                positions.append(np.tile(np.arange(offset, offset + len(target), dtype=np.int32), len(source) + 1))
                offset += len(target)
            # [cells]: the pair of pieces, and the number of the target position
            blocks.append((np.searchsorted(known, pairs(start)).astype(np.int32), np.concatenate(positions)))
        source_piece, target_piece = np.divmod(known, self.target_size)
        probability = np.ones(len(known))
        for _ in range(iterations):
            expected = np.zeros(len(known))
            for cell, position in blocks:
                share = probability[cell]
                share /= np.bincount(position, share)[position]
                expected += np.bincount(cell, share, len(known))
            probability = expected / np.bincount(source_piece, expected)[source_piece]
        return source_piece, target_piece, probability

    def probability_of(self, source: Integers, target: Integers) -> npt.NDArray[np.float64]:
        """t(target | source) of some pairs; 0 for pairs that never co-occur."""
        keys, wanted = self.source * self.target_size + self.target, source * self.target_size + target
        places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.where(keys[places] == wanted, self.probability[places], 0.0)

    def lists(
        self, frequent: int, translations: int, joint: bool, spans: Sequence[tuple[int, int]] = ()
    ) -> tuple[Integers, npt.NDArray[np.int32]]:
        """`Shortlist.frequent` and `Shortlist.translations` of these sizes; `joint` adds the source piece itself.

        spans: the pieces of copied spans on both sides; each is in the list of its own
        """
        counts = self.counts.copy()
        counts[:SPECIAL_PIECES] = 0
        common = np.argsort(-counts, kind="stable")[:frequent]
        table = np.full((self.source_size, translations + joint), common[0], np.int32)
        if joint:
            table[SPECIAL_PIECES:, translations] = np.arange(SPECIAL_PIECES, self.source_size)
        useful = ~np.isin(self.target, common) & (self.target >= SPECIAL_PIECES)
        source, target, probability = self.source[useful], self.target[useful], self.probability[useful]
        order = np.lexsort((target, -probability, source))
        source, target = source[order], target[order]
        rank = np.arange(len(source)) - np.searchsorted(source, source)
        best = rank < translations
        table[source[best], rank[best]] = target[best]
        for here, there in spans:
            table[here, 0] = there
        return common, table
