"""From a corpus to batches: order, noise, segmentation, word dropout, padding.

All random numbers depend only on the seed, the epoch and the position in the epoch, so a resumed run equals an
uninterrupted one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from nmt.config import TrainingConfig
from nmt.data.corpus import Corpus
from nmt.data.noise import Noise, NoisyPairs
from nmt.data.spans import mark_spans
from nmt.errors import UserError
from nmt.text.labels import cut, pad_sources
from nmt.text.vocabulary import BEGIN, END, PAD, UNK, Vocabulary

POOL = 32768  # pairs that are segmented and sorted at once: enough for little padding, few enough for memory

BLOCK = 16  # number of batches of similar target length whose pairs are sorted by source length together


AnyBatch = TypeVar("AnyBatch")  # a dataclass whose tensors hold the rows of a batch


@dataclass
class Batch:
    """A batch of pairs, time-major, padded at the end."""

    source: Tensor  # ids with the end symbol, [source_length, batch]
    lengths: Tensor  # source lengths with the end symbol, [batch]
    inputs: Tensor  # the decoder's input: begin symbol, then the target's pieces, [target_length, batch]
    targets: Tensor  # the symbols to predict: the target's pieces, then the end symbol, [target_length, batch]
    target_tokens: int  # number of entries of `targets` without padding
    indices: np.ndarray  # the pairs' places in the corpus

    @property
    def count(self) -> int | None:
        """`target_tokens`; unknown for a part of a batch (`nmt.data.batching.split_batch`)."""
        return self.target_tokens if isinstance(self.target_tokens, int) else None


def to_device(batch: AnyBatch, device: torch.device) -> AnyBatch:
    """The same batch on a device. Lengths stay in main memory, where they tell the kernels what to do.

    The copy starts from pinned memory, so that the processor need not wait for the GPU.
    """
    if device.type == "cpu":
        return batch
    moved = {}
    for name, tensor in _tensors(batch).items():
        tensor = tensor.pin_memory() if device.type == "cuda" else tensor
        moved[name] = tensor if name == "lengths" else tensor.to(device, non_blocking=True)
    changed: AnyBatch = replace(cast(Any, batch), **moved)
    return changed


def split_batch(batch: AnyBatch, parts: int) -> list[AnyBatch]:
    """The rows of a batch in several parts.

    A part has its rows' share of the target tokens, not their real number: with `minimum_risk` a sentence then counts
    as much as in the whole batch.
    """
    tensors, rows = _tensors(batch), batch_rows(batch)
    bounds = [rows * number // parts for number in range(parts + 1)]
    whole = cast(Any, batch)
    return [
        replace(
            whole,
            **{name: tensor.narrow(min(tensor.dim() - 1, 1), start, end - start) for name, tensor in tensors.items()},
            target_tokens=whole.target_tokens * (end - start) / rows,
        )
        for start, end in itertools.pairwise(bounds)
    ]


def batch_rows(batch: Any) -> int:
    """Rows (sentences, or streams) of a batch."""
    return next(iter(_tensors(batch).values())).size(1)


def batch_positions(batch: Any) -> int:
    """Positions of all rows of a batch, padding and both sides included."""
    return sum(tensor.size(0) * tensor.size(1) for tensor in _tensors(batch).values() if tensor.dim() > 1)


def _tensors(batch: Any) -> dict[str, Tensor]:
    """The tensors of a batch by name: [rows], or [length, rows] and perhaps the size of a vector."""
    return {name: value for name, value in vars(batch).items() if isinstance(value, Tensor)}


@dataclass
class Pool:
    """Part of an epoch: pairs drawn at random, segmented, and put into batches of similar length."""

    source: list[np.ndarray]
    target: list[np.ndarray]  # source and target pieces of each pair
    indices: np.ndarray  # the pairs' places in the corpus
    batches: list[np.ndarray]  # positions in the pool, batch by batch, in the order of training


def plan_batches(
    source_lengths: np.ndarray, target_lengths: np.ndarray, config: TrainingConfig, rng: np.random.Generator
) -> list[np.ndarray]:
    """Divide pairs into batches of similar length; returns the pairs of each batch, in random order.

    Pairs are sorted by target length, in random order among equal and neighbouring lengths; blocks of pairs are then
    sorted by source length and cut into batches, and the batches are shuffled.
    """
    count = len(target_lengths)
    # adding up to 2 mixes neighbouring lengths, so that the batches differ from epoch to epoch
    order = np.argsort(target_lengths + 2 * rng.random(count), kind="stable")
    longer = np.maximum(source_lengths, target_lengths) + 1
    sentences = (
        config.batch_size if config.batch_unit == "sentences" else max(1, int(config.batch_size / longer.mean()))
    )
    for start in range(0, count, BLOCK * sentences):
        block = order[start : start + BLOCK * sentences]
        order[start : start + BLOCK * sentences] = block[np.argsort(source_lengths[block], kind="stable")]
    if config.batch_unit == "sentences":
        batches = [order[start : start + sentences] for start in range(0, count, sentences)]
    else:
        batches = [order[part] for part in cut(longer[order].tolist(), positions=config.batch_size)]
    return [batches[i] for i in rng.permutation(len(batches))]


def group_by_size(batches: Sequence[np.ndarray], sizes: Sequence[int], count: int, seed: list[int]) -> list[np.ndarray]:
    """The batches in another random order, in which each `count` successive ones are of similar size.

    These are the batches of one update: processes that share them wait little for each other. The last ones are fewer,
    of any size, if the number of batches is no multiple of `count`.
    """
    rng = np.random.default_rng([*seed, 5])
    order = rng.permutation(len(batches))
    left, order = np.split(order, [len(batches) % count])
    order = order[np.argsort(np.asarray(sizes)[order], kind="stable")].reshape(-1, count)
    return [batches[i] for i in (*rng.permutation(order).flat, *left)]


class Batcher:
    """Makes the batches of an epoch."""

    def __init__(
        self,
        corpus: Corpus,
        source_vocabulary: Vocabulary,
        target_vocabulary: Vocabulary,
        config: TrainingConfig,
        noise: Noise | None = None,
    ) -> None:
        self.corpus, self.config, self.noise = corpus, config, noise
        self.source_vocabulary, self.target_vocabulary = source_vocabulary, target_vocabulary
        self.source_starts = np.array(source_vocabulary.starts_word())
        self.target_starts = np.array(target_vocabulary.starts_word())
        self.copied_spans = 0  # spans of a pair that may become pieces of their own
        if config.copied_spans_share:
            self.copied_spans = min(len(source_vocabulary.span_ids), len(target_vocabulary.span_ids))
        self.tags = [np.array(source_vocabulary.encode(part.tag), dtype=np.int64) for part in corpus.parts]
        """Pieces of each source's tag."""
        if max(part.weight * part.counts.kept for part in corpus.parts) < 1:
            raise UserError("an epoch has not even one training pair; raise `data.weight`")

    def pools(self, epoch: int) -> list[np.ndarray]:
        """The epoch's pairs in uniformly random order, as often as weights say, in pools; they take 4 bytes each."""
        seed, drawn, first = self.config.seed, [], 0
        for number, part in enumerate(self.corpus.parts):
            drawn.append(draw_by_weight(part.counts.kept, part.weight, epoch, [seed, number]))
            drawn[-1] += first
            first += part.counts.kept
        order = drawn[0] if len(drawn) == 1 else np.concatenate(drawn)
        np.random.default_rng([seed, epoch]).shuffle(order)
        return np.array_split(order, -(-len(order) // POOL))

    def pool(self, indices: np.ndarray, epoch: int, number: int) -> Pool:
        """Add noise to a pool's pairs, segment them (with sampling if it is configured), and plan the batches."""
        config, vocabularies = self.config, (self.source_vocabulary, self.target_vocabulary)
        rng = np.random.default_rng([config.seed, epoch, number])
        self.corpus.release()  # of the last pool
        indices = indices.astype(np.int64)
        source, target = self.corpus.pieces(indices)
        seeds = rng.integers(1, 2**31, size=2)
        if self.noise or self.copied_spans or config.source_sampling or config.target_sampling:
            source_text, target_text = self.corpus.untagged_text(indices)
            noisy = NoisyPairs(source_text, target_text, np.arange(len(indices)), [False] * len(indices))
            if self.noise:
                chance = np.random.default_rng([config.seed, epoch, number, 3])
                lengths = np.array([max(map(len, sides)) for sides in zip(source, target, strict=True)], np.int64)
                noisy = self.noise.applied(source_text, target_text, lengths, chance)
            if self.copied_spans:
                chance = np.random.default_rng([config.seed, epoch, number, 4])
                share = config.copied_spans_share
                for place in mark_spans(noisy.source, noisy.target, share, self.copied_spans, chance):
                    noisy.changed[place] = True
            source, target = self._noisy_pieces(noisy, source, target, indices)
            source_text, target_text, indices = noisy.source, noisy.target, indices[noisy.places]
            if config.source_sampling:
                source = _arrays(vocabularies[0].sample_batch(source_text, config.source_sampling, int(seeds[0])))
                source = self._tagged(source, indices)
            if config.target_sampling:
                target = _arrays(vocabularies[1].sample_batch(target_text, config.target_sampling, int(seeds[1])))
        source_lengths = np.array([len(ids) for ids in source], dtype=np.int64)
        target_lengths = np.array([len(ids) for ids in target], dtype=np.int64)
        return Pool(source, target, indices, plan_batches(source_lengths, target_lengths, config, rng))

    def _noisy_pieces(
        self, noisy: NoisyPairs, source: list[np.ndarray], target: list[np.ndarray], indices: np.ndarray
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Pieces of pairs with noise; a pair that became empty or too long for training keeps its original text."""
        most = self.corpus.counts.max_length or POOL

        changed = np.flatnonzero(noisy.changed)
        new_source = _arrays(self.source_vocabulary.encode_batch([noisy.source[i] for i in changed]))
        new_source = self._tagged(new_source, indices[noisy.places[changed]])
        new_target = _arrays(self.target_vocabulary.encode_batch([noisy.target[i] for i in changed]))
        source, target = ([side[place] for place in noisy.places] for side in (source, target))
        for i, one, other in zip(changed.tolist(), new_source, new_target, strict=True):
            if len(one) and len(other) and max(len(one), len(other)) <= most:
                source[i], target[i] = one, other
            else:
                (noisy.source[i],), (noisy.target[i],) = self.corpus.untagged_text(indices[[noisy.places[i]]])
        return source, target

    def batch(self, pool: Pool, number: int, update: int) -> Batch:
        """A batch of a pool for training, with word dropout drawn for this update."""
        config = self.config
        chosen = pool.batches[number]
        source = [pool.source[i] for i in chosen]
        target = inputs = [pool.target[i] for i in chosen]
        if config.source_word_dropout or config.target_word_dropout:
            rng = np.random.default_rng([config.seed, update, number, 1])
            source = self._drop_source_words(source, pool.indices[chosen], rng)
            inputs = drop_words(
                target, self.target_starts, config.target_word_dropout, rng, self.target_vocabulary.span_ids
            )
        return make_batch(source, inputs, target, pool.indices[chosen])

    def _tagged(self, sentences: list[np.ndarray], indices: np.ndarray) -> list[np.ndarray]:
        """Pieces of sentences, preceded by those of their data source's tag, whose segmentation is never sampled."""
        if not any(map(len, self.tags)):
            return sentences
        parts = self.corpus.part_of(indices)
        return [np.concatenate([self.tags[part], ids]) for ids, part in zip(sentences, parts, strict=True)]

    def _drop_source_words(
        self, sentences: list[np.ndarray], indices: np.ndarray, rng: np.random.Generator
    ) -> list[np.ndarray]:
        """Word dropout of the source, which never drops tags."""
        dropped = drop_words(
            sentences, self.source_starts, self.config.source_word_dropout, rng, self.source_vocabulary.span_ids
        )
        if not any(map(len, self.tags)):
            return dropped
        parts = self.corpus.part_of(indices)
        untagged = [ids[len(self.tags[part]) :] for ids, part in zip(dropped, parts, strict=True)]
        return self._tagged(untagged, indices)

    def in_order(self, pairs: np.ndarray, sentences: int, tokens: int) -> Iterator[Batch]:
        """Some pairs once, sorted by length, without sampling or word dropout: for validation.

        sentences, tokens: maximum number of pairs and of pieces (padding included) in a batch; a pair with more pieces
            is a batch of its own
        """
        lengths = self.corpus.source_lengths.astype(np.int64), self.corpus.target_lengths.astype(np.int64)
        order = pairs[np.lexsort([side[pairs] for side in lengths])]  # by target length, then source length
        for part in cut(*((side[order] + 1).tolist() for side in lengths), positions=tokens, rows=sentences):
            source, target = self.corpus.pieces(order[part])
            yield make_batch(source, target, target, order[part])


def draw_by_weight(count: int, weight: float, epoch: int, seed: list[int]) -> np.ndarray:
    """The pairs of a data source, counted from 0, that are seen in an epoch; a pair may occur several times.

    With a weight of w + p / q (w whole, p < q), each pair is seen w times, and a share p / q of the pairs once more.
    Epochs form groups of q. Each group has its own random order of the pairs, and each of its epochs takes the next
    share of this order, cyclically. So no pair occurs more than w + 1 times in an epoch, and over a group each pair is
    seen w q + p times: at weight 0.5 one half now and the other half next, at 0.1 all pairs in ten epochs.
    """
    whole, share = divmod(Fraction(weight).limit_denominator(10**6), 1)
    group, place = divmod(epoch, share.denominator)
    begin, end = int(place * share * count), int((place + 1) * share * count)
    rows = np.arange(count, dtype=np.int32)
    drawn = [rows] * whole
    if end > begin:
        order = rows.copy()
        np.random.default_rng([*seed, group, 2]).shuffle(order)
        drawn.append(order.take(np.arange(begin, end), mode="wrap"))
    return drawn[0] if len(drawn) == 1 else np.concatenate([rows[:0], *drawn])


def _arrays(sentences: Sequence[Sequence[int]]) -> list[np.ndarray]:
    return [np.array(ids, dtype=np.int64) for ids in sentences]


def drop_words(
    sentences: Sequence[np.ndarray],
    starts: np.ndarray,
    probability: float,
    rng: np.random.Generator,
    kept: Sequence[int] = (),
) -> list[np.ndarray]:
    """Word dropout: replace all pieces of a word by the unknown piece, each word with the given probability.

    Gal & Ghahramani (2016), section 5, on the source and the decoder's input; Sennrich & Zhang (2019), section 4.3.

        starts: for each id whether its piece begins a word, [vocabulary]
        kept: pieces that are never dropped
    """
    dropped = []
    if probability == 0:
        return list(sentences)
    droppable = ~np.isin(np.arange(len(starts)), kept)
    for ids in sentences:
        word = np.cumsum(starts[ids])  # the number of each piece's word, [pieces]
        gone = rng.random(int(word[-1]) + 1 if len(ids) else 0) < probability
        dropped.append(np.where(gone[word] & droppable[ids], UNK, ids) if len(ids) else ids)
    return dropped


def make_batch(
    source: Sequence[np.ndarray], inputs: Sequence[np.ndarray], target: Sequence[np.ndarray], indices: np.ndarray
) -> Batch:
    """Pad pieces, or vectors as sources, to a batch. `inputs` are the target's pieces as the decoder reads them."""
    padded, lengths = pad_sources(source)
    return Batch(
        torch.from_numpy(padded),
        torch.from_numpy(lengths),
        torch.from_numpy(_pad(inputs, begin=True)),
        torch.from_numpy(_pad(target, end=True)),
        sum(len(ids) + 1 for ids in target),
        indices,
    )


def _pad(sentences: Sequence[np.ndarray], begin: bool = False, end: bool = False) -> np.ndarray:
    """Padded ids, [longest + 1, batch], each sentence with a begin or an end symbol."""
    padded = np.full((max(map(len, sentences)) + 1, len(sentences)), PAD, dtype=np.int64)
    for row, ids in enumerate(sentences):
        padded[begin : len(ids) + begin, row] = ids
        if end:
            padded[len(ids), row] = END
    if begin:
        padded[0] = BEGIN
    return padded
