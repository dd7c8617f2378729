"""Batches: every pair once, little padding, and chance that follows from its seed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plain import plain_training
from toys import toy_config, write_reversal

from nmt.config import Config, SourceConfig
from nmt.data.batching import Batcher, draw_by_weight, drop_words, group_by_size, make_batch, plan_batches
from nmt.data.corpus import load_pairs, prepare_corpus, training_tags
from nmt.errors import UserError
from nmt.text.vocabulary import BEGIN, END, PAD, UNK, Vocabulary, learn_vocabulary


def make_batcher(config: Config, vocabulary: Vocabulary | None = None) -> Batcher:
    """A batcher of a toy's training pairs; without a vocabulary it is learned from them."""
    if vocabulary is None:
        pairs = load_pairs(config.data, "train")
        texts = [*pairs["source"], *pairs["target"]]
        vocabulary = learn_vocabulary(texts, config.vocabulary, 24, "identity", training_tags(config.data))
    return Batcher(
        prepare_corpus(config.data, "train", vocabulary, vocabulary), vocabulary, vocabulary, config.training
    )


@pytest.fixture(scope="module")
def batcher(tmp_path_factory: pytest.TempPathFactory) -> Batcher:
    return make_batcher(toy_config(write_reversal(tmp_path_factory.mktemp("reversal"))))


def configured(batcher: Batcher, **settings: Any) -> Batcher:
    config = replace(batcher.config, **settings)
    return Batcher(batcher.corpus, batcher.source_vocabulary, batcher.target_vocabulary, config)


@pytest.mark.parametrize("unit", ["sentences", "tokens"])
def test_an_epoch_holds_each_pair_once(batcher: Batcher, unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nmt.data.batching.POOL", 50)
    made = configured(batcher, batch_unit=unit, batch_size=40)
    pools = made.pools(0)
    assert len(pools) == 3
    seen = []
    for number, indices in enumerate(pools):
        pool = made.pool(indices, 0, number)
        for i in range(len(pool.batches)):
            batch = made.batch(pool, i, 0)
            seen += batch.indices.tolist()
            if unit == "tokens":
                assert max(batch.source.numel(), batch.targets.numel()) <= 40 or len(batch.indices) == 1
    assert sorted(seen) == list(range(len(made.corpus)))
    assert [p.tolist() for p in made.pools(0)] != [p.tolist() for p in made.pools(1)]
    assert [p.tolist() for p in made.pools(1)] == [p.tolist() for p in made.pools(1)]


def test_similar_lengths_stand_together() -> None:
    rng = np.random.default_rng(1)
    source = rng.integers(3, 40, 5000)
    target = np.maximum(1, source + rng.integers(-4, 5, 5000))
    batches = plan_batches(source, target, plain_training(batch_size=50), rng)
    padded = sum(len(batch) * (target[batch].max() + source[batch].max()) for batch in batches)
    assert padded / (source.sum() + target.sum()) < 1.12  # in random order it is 1.9


@pytest.mark.parametrize(("batches", "count"), [(1, 2), (2, 2), (40, 4), (43, 4), (43, 1)])
def test_batches_of_an_update_are_of_similar_size(batches: int, count: int) -> None:
    """Each batch is there once; groups are of neighbours by size and in random order, the last ones are too few."""
    rng = np.random.default_rng(1)
    sizes = rng.permutation(batches) * 10
    plan = [np.array([i]) for i in range(batches)]
    found = [int(batch[0]) for batch in group_by_size(plan, sizes.tolist(), count, [7, 0])]
    assert sorted(found) == list(range(batches))
    assert found == [int(batch[0]) for batch in group_by_size(plan, sizes.tolist(), count, [7, 0])]
    assert batches < 40 or found != [int(batch[0]) for batch in group_by_size(plan, sizes.tolist(), count, [7, 1])]
    left = batches % count  # they are drawn from all sizes, so that up to `left` neighbours are missing in a group
    groups = sizes[found][: batches - left].reshape(-1, count)
    assert all(np.ptp(group) <= 10 * (count - 1 + left) for group in groups)
    means = groups.mean(axis=1).tolist()
    assert len(means) < 10 or means != sorted(means)


def test_a_pair_larger_than_the_limit_stands_alone() -> None:
    lengths = np.array([100, 2, 3])
    config = plain_training(batch_unit="tokens", batch_size=10)
    batches = plan_batches(lengths, lengths, config, np.random.default_rng(0))
    assert sorted(sorted(batch.tolist()) for batch in batches) == [[0], [1, 2]]


def test_make_batch() -> None:
    batch = make_batch(
        [np.array([5, 6]), np.array([7])], [np.array([8]), np.array([9, 10])], [np.array([8]), np.array([9, 11])],
        np.array([3, 1]),
    )  # fmt: skip
    assert batch.source.t().tolist() == [[5, 6, END], [7, END, PAD]]
    assert batch.lengths.tolist() == [3, 2]
    assert batch.inputs.t().tolist() == [[BEGIN, 8, PAD], [BEGIN, 9, 10]]
    assert batch.targets.t().tolist() == [[8, END, PAD], [9, 11, END]]
    assert batch.target_tokens == 5


def test_sampled_segmentations(batcher: Batcher) -> None:
    made = configured(batcher, source_sampling=0.2, target_sampling=0.2)
    indices = made.pools(0)[0]
    first, again, other = made.pool(indices, 0, 0), made.pool(indices, 0, 0), made.pool(indices, 1, 0)
    assert all(np.array_equal(a, b) for a, b in zip(first.source, again.source, strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(first.target, other.target, strict=True))
    texts = [made.source_vocabulary.decode(ids.tolist()) for ids in first.source]
    assert texts == made.corpus.text(indices)[0]


def test_word_dropout_takes_whole_words() -> None:
    starts = np.array([False] * 4 + [True, False, True])  # 4 and 6 begin words, 5 continues one
    sentence = np.array([4, 5, 5, 6, 5, 4])
    rng = np.random.default_rng(3)
    counts = np.zeros(3)
    for _ in range(2000):
        gone = drop_words([sentence, np.array([], dtype=np.int64)], starts, 0.3, rng)[0] == UNK
        words = [gone[:3], gone[3:5], gone[5:]]
        assert all(word.all() or not word.any() for word in words)
        counts += [word.any() for word in words]
    assert counts / 2000 == pytest.approx(np.full(3, 0.3), abs=0.04)
    assert drop_words([sentence], starts, 0.0, rng)[0] is sentence


def test_word_dropout_leaves_what_is_predicted_whole(batcher: Batcher) -> None:
    made = configured(batcher, source_word_dropout=0.5, target_word_dropout=0.5)
    pool = made.pool(made.pools(0)[0], 0, 0)
    batch = made.batch(pool, 0, 7)
    assert (batch.source == UNK).any() and (batch.inputs == UNK).any() and not (batch.targets == UNK).any()
    assert (made.batch(pool, 0, 7).source == batch.source).all()
    assert (made.batch(pool, 0, 8).source != batch.source).any()


@pytest.mark.parametrize("sampling", [0.0, 0.3])
def test_copied_spans_are_on_both_sides_and_never_dropped(tmp_path: Path, sampling: float) -> None:
    """What a pool has follows from seed, epoch and place, so a resumed run has the same; a tag stays in front."""
    config = weighted(
        tmp_path,
        1,
        1,
        source_sampling=sampling,
        source_word_dropout=0.9,
        target_word_dropout=0.9,
        copied_spans_share=1.0,
    )
    pairs = load_pairs(config.data, "train")
    texts = [*pairs["source"], *pairs["target"]]
    made = make_batcher(config, learn_vocabulary(texts, config.vocabulary, 40, "identity", ["<bt>"], 16))
    spans, (tag,) = made.source_vocabulary.span_ids, made.source_vocabulary.encode("<bt>")
    indices = made.pools(0)[0]
    pool, again, other = made.pool(indices, 0, 0), made.pool(indices, 0, 0), made.pool(indices, 1, 0)
    assert all(map(np.array_equal, pool.source + pool.target, again.source + again.target))
    assert not all(map(np.array_equal, pool.source, other.source))
    marked = 0
    for number in range(len(pool.batches)):
        batch = made.batch(pool, number, 5)
        for row, index in enumerate(batch.indices.tolist()):
            source, inputs, target = (side[:, row].tolist() for side in (batch.source, batch.inputs, batch.targets))
            held = [sorted(i for i in side if i in spans) for side in (source, inputs, target)]
            assert held[0] == held[1] == held[2] == sorted(set(held[0]))
            assert (source[0] == tag) == (index >= 120)
            marked += bool(held[0])
    assert 5 <= marked <= 40
    assert made.copied_spans == 16 and configured(made, copied_spans_share=0.0).copied_spans == 0


def test_validation_holds_each_pair_once(batcher: Batcher) -> None:
    everything = np.arange(len(batcher.corpus))
    batches = list(batcher.in_order(everything, 7, 60))
    assert sorted(np.concatenate([batch.indices for batch in batches]).tolist()) == everything.tolist()
    for batch in batches:
        count = len(batch.indices)
        assert count == 1 or (count <= 7 and (len(batch.source) + len(batch.targets)) * count <= 60)


# Several sources


def weighted(folder: Path, first: float, second: float, **settings: Any) -> Config:
    """120 pairs of one source and 30 of another."""
    config = toy_config(write_reversal(folder / "one"), training=settings)
    config.data.weight = first
    config.data.extra = [SourceConfig(path=str(write_reversal(folder / "two", 30)), weight=second, tag="<bt>")]
    return config


def seen(batcher: Batcher, epochs: range) -> np.ndarray:
    """How often each pair is seen in each epoch, [epochs, pairs]."""
    count = len(batcher.corpus)
    return np.array([np.bincount(np.concatenate(batcher.pools(epoch)), minlength=count) for epoch in epochs])


def test_weights_of_one_leave_the_order_as_it_is(tmp_path: Path, batcher: Batcher) -> None:
    both = make_batcher(weighted(tmp_path, 1, 1))
    for made in (batcher, both):
        for epoch in range(3):
            order = np.random.default_rng([made.config.seed, epoch]).permutation(len(made.corpus))
            assert np.array_equal(np.concatenate(made.pools(epoch)), order)


@pytest.mark.parametrize(("weight", "group"), [(0.5, 2), (2, 1), (1.3, 10), (0.1, 10), (2.75, 4), (0.7, 10)])
def test_weights_say_how_often_a_pair_is_seen(tmp_path: Path, weight: float, group: int) -> None:
    counts = seen(make_batcher(weighted(tmp_path, 1, weight)), range(2 * group))
    assert (counts[:, :120] == 1).all()
    extra = counts[:, 120:]
    assert set(np.unique(extra)) <= {int(weight), int(weight) + 1}
    assert np.abs(extra.sum(1) - 30 * weight).max() < 1
    for part in (extra[:group], extra[group:]):
        assert (part.sum(0) == round(weight * group)).all()
    if weight % 1:
        assert len({row.tobytes() for row in extra}) > group  # chance decides anew in the next group


@pytest.mark.parametrize("weight", [0.5, 1.3, 1 / 3, 0.001, 1000 / 3])
def test_draws_follow_from_seed_and_epoch(weight: float) -> None:
    draws = [draw_by_weight(1000, weight, epoch, [7, 0]) for epoch in range(3)]
    assert [len(draw) for draw in draws] == pytest.approx([1000 * weight] * 3, abs=1)
    for epoch in (2, 0, 1):
        assert np.array_equal(draw_by_weight(1000, weight, epoch, [7, 0]), draws[epoch])
    for seed in ([8, 0], [7, 1]):
        assert not np.array_equal(draw_by_weight(1000, weight, 0, seed), draws[0])


def test_another_process_draws_the_same_epoch(tmp_path: Path) -> None:
    config = weighted(tmp_path, 0.6, 1.5)
    vocabulary = make_batcher(config).source_vocabulary
    one, other = make_batcher(config, vocabulary), make_batcher(config, vocabulary)
    before = [one.pools(epoch) for epoch in range(4)]
    for epoch in (3, 1):  # resumed there
        assert all(np.array_equal(a, b) for a, b in zip(other.pools(epoch), before[epoch], strict=True))


def test_too_few_pairs_for_a_weight(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"an epoch has not even one training pair; raise `data\.weight`"):
        make_batcher(weighted(tmp_path, 0.001, 0.03))


def test_tags_are_neither_sampled_nor_dropped(tmp_path: Path) -> None:
    config = weighted(tmp_path, 1, 1, source_sampling=0.3, source_word_dropout=0.6)
    made = make_batcher(config)
    (tag,) = made.source_vocabulary.encode("<bt>")
    indices = made.pools(0)[0]
    pool = made.pool(indices, 0, 0)
    is_tagged = indices >= 120
    texts = [made.source_vocabulary.decode(ids.tolist()) for ids in pool.source]
    assert texts == made.corpus.text(indices)[0]
    assert [text.startswith("<bt> ") for text in texts] == [int(ids[0]) == tag for ids in pool.source]
    assert [text.startswith("<bt> ") for text in texts] == is_tagged.tolist()
    dropped = 0
    for number in range(len(pool.batches)):
        batch = made.batch(pool, number, 5)
        assert (batch.source[0] == tag).tolist() == (batch.indices >= 120).tolist()
        dropped += int((batch.source[1] == UNK).sum())
    assert dropped


def test_a_tag_that_the_vocabulary_does_not_know_is_text_like_any_other(tmp_path: Path, batcher: Batcher) -> None:
    config = weighted(tmp_path, 1, 1, source_sampling=0.3, source_word_dropout=0.6)
    config.data.extra[0].tag = "ab cd"
    made = make_batcher(config, batcher.source_vocabulary)
    pieces = made.source_vocabulary.encode("ab cd")
    assert len(pieces) > 1
    pool = made.pool(np.arange(150), 0, 0)
    for number in range(len(pool.batches)):
        batch = made.batch(pool, number, 5)
        for column, index in zip(batch.source.t().tolist(), batch.indices.tolist(), strict=True):
            assert index < 120 or column[: len(pieces)] == pieces


def test_write_reversal_is_what_it_says(tmp_path: Path) -> None:
    folder = write_reversal(tmp_path / "r")
    source = (folder / "train.src").read_text().splitlines()
    assert [line[::-1] for line in source] == (folder / "train.rev").read_text().splitlines()
