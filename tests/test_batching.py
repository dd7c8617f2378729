"""Batches: every pair once, little padding, and chance that follows from its seed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toys import toy_config, write_reversal

from nmt.batching import Batcher, drop_words, make_batch, plan_batches
from nmt.config import TrainingConfig
from nmt.corpus import prepare_corpus
from nmt.training import make_vocabularies
from nmt.vocabulary import BEGIN, END, PAD, UNK


@pytest.fixture(scope="module")
def batcher(tmp_path_factory: pytest.TempPathFactory) -> Batcher:
    config = toy_config(write_reversal(tmp_path_factory.mktemp("reversal")))
    vocabularies = make_vocabularies(config, lambda line: None)
    return Batcher(prepare_corpus(config.data, "train", *vocabularies), *vocabularies, config.training)


def configured(batcher: Batcher, **settings: Any) -> Batcher:
    config = replace(batcher.config, **settings)
    return Batcher(batcher.corpus, batcher.source_vocabulary, batcher.target_vocabulary, config)


@pytest.mark.parametrize("unit", ["sentences", "tokens"])
def test_an_epoch_holds_each_pair_once(batcher: Batcher, unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nmt.batching.POOL", 50)
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
    batches = plan_batches(source, target, TrainingConfig(batch_size=50), rng)
    padded = sum(len(batch) * (target[batch].max() + source[batch].max()) for batch in batches)
    assert padded / (source.sum() + target.sum()) < 1.12  # in random order it is 1.9


def test_a_pair_larger_than_the_limit_stands_alone() -> None:
    lengths = np.array([100, 2, 3])
    config = TrainingConfig(batch_unit="tokens", batch_size=10)
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


def test_validation_holds_each_pair_once(batcher: Batcher) -> None:
    seen = np.concatenate([batch.indices for batch in batcher.in_order(7)])
    assert sorted(seen.tolist()) == list(range(len(batcher.corpus)))


def test_write_reversal_is_what_it_says(tmp_path: Path) -> None:
    folder = write_reversal(tmp_path / "r")
    source = (folder / "train.src").read_text().splitlines()
    assert [line[::-1] for line in source] == (folder / "train.rev").read_text().splitlines()
