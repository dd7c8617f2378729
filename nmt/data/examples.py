"""Examples with labels: read, checked, represented by ids or vectors, and put into batches.

An example is a text or a sequence of vectors and its label, or a text of words and the label of each of them. Both come
from the same sources as sentence pairs (`nmt.data.sources`): the columns that `data.source` and `data.target` name. A
label may be a number or a truth value, and words and their labels may be lists.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nmt.config import Config, DataConfig
from nmt.config.tasks import SideKind
from nmt.data.batching import POOL, Pool, drop_words, plan_batches
from nmt.data.sources import find_input, pair_sources
from nmt.errors import UserError
from nmt.sizing import Amount
from nmt.text.cleaning import clean_line, clean_target
from nmt.text.labels import Ids, cut, pad_sources
from nmt.text.vectors import Vectors, vectors_of
from nmt.text.vocabulary import SPECIAL_PIECES, Vocabulary

IGNORED = -1
"""The label of a position that has none: padding, the end symbol, pieces of a word after its first."""


@dataclass
class Texts:
    """The examples of a split as they are read."""

    sources: list[Any]
    """The text of each example, or its vectors."""
    targets: list[Any]
    """Its label, or the labels of its words, separated by spaces."""
    where: str
    """Where they come from, for messages."""
    empty: int = 0
    """Number of rows without a source or without a target, which are left out."""

    def __str__(self) -> str:
        return f"{len(self.sources) + self.empty:,} rows read, {len(self.sources):,} kept ({self.empty:,} empty)"


LABELLED: tuple[SideKind, SideKind] = ("value", "value")


def read_texts(data: DataConfig, split: str, kinds: tuple[SideKind, SideKind] = LABELLED) -> Texts:
    """All examples of a split.

        kinds: how the sides are read (`Config.side_kinds`)

    Raises UserError if the data are missing or damaged, if vectors have different sizes, or if there is no example.
    """
    (source,) = pair_sources(data, split)
    source.kinds = kinds
    found = find_input(source)
    texts, sizes = Texts([], [], found.where), [0, 0]
    for number, row in enumerate(found.read(), start=1):
        sides: list[Any] = [clean_line, lambda text: clean_target(text).strip()]
        for side, kind in enumerate(kinds):
            if kind in ("vectors", "vector"):
                where = f"{found.where} example {number}: `{(data.source, data.target)[side]}`"
                sides[side] = _sized(vectors_of(row[side], where, kind), sizes, side, where)
            else:
                sides[side] = sides[side](row[side])
        if len(sides[0]) and len(sides[1]):
            texts.sources.append(sides[0])
            texts.targets.append(sides[1])
        else:
            texts.empty += 1
    if not texts.sources:
        what = "texts with labels" if kinds == LABELLED else "examples with a source and a target"
        raise UserError(f"{found.where} must hold {what}, but has {texts.empty} rows without and none with")
    return texts


def read_column(file: str, config: Config) -> Iterator[Vectors]:
    """The vectors of each example of a .npz or .parquet file without targets; raises UserError."""
    data = replace(config.data, path=Path(file).suffix[1:], name=None, files={"test": file}, test_split="test")
    source = replace(pair_sources(data, "test")[0], target_only=True)
    source.languages, source.kinds = (data.source, data.source), (config.side_kinds[0],) * 2
    return (row[0] for row in find_input(source).read())


def _sized(vectors: Vectors, sizes: list[int], side: int, where: str) -> Vectors:
    """The vectors, whose size must be that of the first example on this side."""
    if len(vectors):
        sizes[side] = sizes[side] or vectors.shape[1]
        if vectors.shape[1] != sizes[side]:
            raise UserError(
                f"{where} has vectors of {vectors.shape[1]} numbers, but the examples before it have {sizes[side]}; "
                "all must have the same"
            )
    return vectors


def check_examples(config: Config) -> None:
    """Check quickly whether the training and validation splits can be read; raises UserError."""
    for split in ("train", "validation"):
        (source,) = pair_sources(config.data, split)
        source.kinds = config.side_kinds
        found = find_input(source)
        if next(iter(found.read()), None) is None:
            raise UserError(f"{found.where} must hold texts with labels, but is empty instead")


def measure_examples(config: Config) -> Amount:
    """The amount of training text: of the texts to write, or of the sources, whose vectors count as words."""
    texts = read_texts(config.data, "train", config.side_kinds)
    sources = texts.targets if config.kind.decoder else texts.sources
    if config.reads_vectors and not config.kind.decoder:
        return Amount(len(sources), sum(map(len, sources)), SPECIAL_PIECES)
    characters = set[str]().union(*sources)
    return Amount(len(sources), sum(len(text.split()) for text in sources), len(characters) + SPECIAL_PIECES)


@dataclass
class Examples:
    """The examples of a split as the network reads them."""

    sources: list[Any]
    """The pieces of each text, without the end symbol, or its standardised vectors."""
    places: list[Ids]
    """The positions of each text that have a label: 0 for a text with a single one."""
    labels: list[Any]
    """The labels of these positions, or their standardised numbers, [positions, numbers]."""
    texts: list[Any]
    """The source of each example as it was read; segmentations are sampled from the texts."""

    def __len__(self) -> int:
        return len(self.sources)

    def add_to(self, checksum: hashlib._Hash) -> None:
        """Add all ids to a checksum."""
        for side in (self.sources, self.labels):
            checksum.update(np.array([len(ids) for ids in side]).tobytes())
            checksum.update(np.concatenate(side).tobytes())


@dataclass
class LabelBatch:
    """A batch of examples, time-major, padded at the end."""

    source: Tensor
    """Ids with the end symbol, [length, batch], or vectors, [length, batch, size]."""
    lengths: Tensor
    """With the end symbol, [batch]."""
    labels: Tensor
    """The labels of the outputs, [1 or length, batch], `IGNORED` where there is none; or their numbers, [1 or length,
    batch, numbers], not a number (NaN) where there is none."""
    target_tokens: float
    """Number of labels."""
    indices: npt.NDArray[np.int64]
    """The places of the examples in the split."""

    @property
    def count(self) -> int | None:
        """`target_tokens`; unknown for a part of a batch (`nmt.data.batching.split_batch`)."""
        return self.target_tokens if isinstance(self.target_tokens, int) else None


def make_label_batch(
    sources: Sequence[Any], places: Sequence[Ids], labels: Sequence[Any], indices: Ids, pooled: bool
) -> LabelBatch:
    """Pad examples to a batch.

    pooled: whether the network has one output for each text instead of one for each position
    """
    padded, lengths = pad_sources(sources)
    none = IGNORED if labels[0].dtype == np.int64 else np.nan
    wanted = np.full((1 if pooled else len(padded), len(sources), *labels[0].shape[1:]), none, labels[0].dtype)
    for row, (own, ids) in enumerate(zip(places, labels, strict=True)):
        wanted[own, row] = ids
    tensors = torch.from_numpy(padded), torch.from_numpy(lengths), torch.from_numpy(wanted)
    count = int((wanted != IGNORED).sum()) if none == IGNORED else sum(map(len, labels))
    return LabelBatch(*tensors, count, indices)


class LabelBatcher:
    """Makes the batches of an epoch. All random numbers depend only on (seed, epoch, batch)."""

    def __init__(self, examples: Examples, vocabulary: Any, config: Config) -> None:
        self.examples, self.vocabulary, self.settings = examples, vocabulary, config.training
        self.pooled = config.pooled
        self.longest = config.data.max_length
        self.starts = np.array(vocabulary.starts_word() if isinstance(vocabulary, Vocabulary) else [], bool)

    def pools(self, epoch: int) -> list[Ids]:
        """The examples in random order, in parts that are sorted by length."""
        order = np.random.default_rng([self.settings.seed, epoch]).permutation(len(self.examples))
        return np.array_split(order, -(-len(order) // POOL))

    def pool(self, indices: Ids, epoch: int, number: int) -> Pool:
        """The sources of some examples, with pieces sampled anew where configured, and a plan of their batches."""
        rng = np.random.default_rng([self.settings.seed, epoch, number])
        seed, alpha = int(rng.integers(1, 2**31)), self.settings.source_sampling
        sources = [self.examples.sources[i] for i in indices]
        if alpha and self.pooled:
            sampled = self.vocabulary.sample_batch([self.examples.texts[i] for i in indices], alpha, seed)
            sources = [np.array(ids[: self.longest], np.int64) for ids in sampled]
        labels = [self.examples.labels[i] for i in indices]
        lengths = np.array([len(ids) for ids in sources], np.int64)
        return Pool(sources, labels, indices, plan_batches(lengths, lengths, self.settings, rng))

    def batch(self, pool: Pool, number: int, update: int) -> LabelBatch:
        """A batch of a pool for training, with word dropout drawn for this update."""
        chosen = pool.batches[number]
        rng = np.random.default_rng([self.settings.seed, update, number, 1])
        sources = drop_words([pool.source[i] for i in chosen], self.starts, self.settings.source_word_dropout, rng)
        indices = pool.indices[chosen]
        places = [self.examples.places[i] for i in indices]
        return make_label_batch(sources, places, [pool.target[i] for i in chosen], indices, self.pooled)

    def in_order(self, tokens: int) -> Iterator[LabelBatch]:
        """All examples once, sorted by length, without anything random: for validation.

        tokens: maximum number of positions of a batch, padding included; a longer example is a batch of its own
        """
        lengths = np.array([len(ids) + 1 for ids in self.examples.sources])
        order = np.argsort(lengths, kind="stable")
        for part in cut(lengths[order].tolist(), positions=tokens):
            sources, places, labels, _ = ([side[i] for i in order[part]] for side in vars(self.examples).values())
            yield make_label_batch(sources, places, labels, order[part], self.pooled)
