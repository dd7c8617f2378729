"""The recipe that a bare configuration gets: sized by the text, concrete, the same again, saved with the run."""

from __future__ import annotations

import dataclasses
import itertools
import signal
from pathlib import Path
from typing import Any

import pytest
from runs import assert_same_runs, quiet, send, stop_after
from toys import write_reversal

from nmt.config import Config, check_config, load_config, parse_config
from nmt.errors import TrainingError
from nmt.sizing import AUTO, FEW_PAIRS, NOMINAL, Amount, adopt, open_settings, resolve
from nmt.training.loop import train

AMOUNTS = [Amount(pairs, 13 * pairs, 90) for pairs in (1, 100, 1_000, 8_000, 29_000, 165_000, 500_000, 10**6, 10**8)]


def settings(config: Config) -> dict[str, Any]:
    """Every setting by its name."""
    values = dataclasses.asdict(config)
    return {f"{section}.{key}": value for section in values if section not in ("task", "format")
            for key, value in values[section].items()}  # fmt: skip


def bare(**sections: Any) -> Config:
    return parse_config(sections, "here")


BARE = {
    "translation": bare(),
    "apart": bare(vocabulary={"joint": False}),
    "rewritten": bare(vocabulary={"joint": False, "normalization": "nfkc"}),
    "characters": bare(vocabulary={"model_type": "char"}),
    "bpe": bare(vocabulary={"model_type": "bpe"}),
    "tokens": bare(training={"batch_unit": "tokens"}),
    "vectors": bare(model={"source_embeddings": "words.vec"}),
    "risk": bare(training={"objective": "minimum_risk"}),
    "language model": bare(task="language_model"),
    "language model of characters": bare(task="language_model", vocabulary={"model_type": "char"}),
}
"""Configurations that say one thing only: each must be accepted, and get settings that go with it."""


@pytest.mark.parametrize("name", BARE)
def test_a_resolved_configuration_is_concrete_allowed_and_stays_as_it_is(name: str) -> None:
    for amount in AMOUNTS:
        resolved = resolve(BARE[name], amount)
        assert open_settings(resolved) == []
        only_at_run_time = {key for key, value in settings(resolved).items() if value == AUTO}
        assert only_at_run_time == {"decoding.batch_size"}
        assert check_config(resolved) == []
        assert resolve(resolved, AMOUNTS[-1]) == resolved


@pytest.mark.parametrize("name", BARE)
def test_more_text_never_means_a_smaller_model_or_more_passes(name: str) -> None:
    found = [settings(resolve(BARE[name], amount)) for amount in AMOUNTS]
    more = "vocabulary.size", "model.embedding_size", "model.hidden_size", "training.batch_size", "training.warmup"
    for before, after in itertools.pairwise(found):
        assert all(before[key] <= after[key] for key in more)
        for key in ("training.epochs", "model.dropout", "model.embedding_dropout", "model.output_dropout"):
            assert before[key] >= after[key]
        passes = [values["training.epochs"] * amount.pairs for values, amount in zip(found, AMOUNTS, strict=True)]
    assert passes == sorted(passes)


def test_what_is_written_in_the_configuration_stays() -> None:
    mine = {"hidden_size": 34, "dropout": 0.0, "attention": "none", "tied_embeddings": "none", "embedding_size": 20}
    config = bare(model=mine, training={"epochs": 3, "batch_size": 7}, vocabulary={"size": 300})
    resolved = resolve(config, NOMINAL)
    assert {key: settings(resolved)[f"model.{key}"] for key in mine} == mine
    assert (resolved.training.epochs, resolved.training.batch_size, resolved.vocabulary.size) == (3, 7, 300)


def test_vocabulary_grows_with_the_text() -> None:
    sizes = [resolve(bare(), Amount(1, words, 50)).vocabulary.size for words in (10, 10**5, 667_403, 10**7, 10**12)]
    assert sizes == [1000, 1600, 4100, 15800, 32000]
    assert resolve(bare(), Amount(1, 10, 3004)).vocabulary.size == 3004 + 256 + 16 + 500
    assert resolve(bare(), Amount(1, 10, 50, pieces=777)).vocabulary.size == 777


def test_an_open_setting_is_as_the_resolved_one_when_resumed() -> None:
    stored = resolve(bare(model={"hidden_size": 34}), AMOUNTS[2])
    assert adopt(bare(model={"hidden_size": 34}), stored) == stored
    assert adopt(bare(model={"hidden_size": 36}), stored).model.hidden_size == 36


# On real files


SMALL: dict[str, Any] = {
    "vocabulary": {"byte_fallback": False},
    "model": {"embedding_size": 8, "hidden_size": 12},
    "training": {"batch_size": 40},
}


def small(folder: Path, **training: Any) -> Config:
    data = {"path": str(folder), "source": "src", "target": "rev"}
    return parse_config({**SMALL, "data": data, "training": {**SMALL["training"], **training}}, "small")


@pytest.fixture(scope="module")
def reversal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_reversal(tmp_path_factory.mktemp("data") / "reversal")


def test_the_saved_configuration_is_concrete_and_few_pairs_are_warned_of(reversal: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    config = small(reversal, epochs=1)
    train(config, tmp_path / "run", say=lines.append)
    for folder in ("", "best", "last"):
        saved = load_config(tmp_path / "run" / folder / "config.toml")
        assert open_settings(saved) == []
        assert saved == adopt(config, saved)
    assert saved.model.attention == "dot" and saved.model.tied_embeddings == "all"
    chosen, warning = (line for line in lines if line.startswith(("chosen for", "warning: ")))
    assert chosen.startswith("chosen for 120 pairs of sentences, ") and "dropout" in chosen and "hidden" not in chosen
    assert warning.startswith(f"warning: 120 pairs are too few for a useful model: it takes {FEW_PAIRS:,} at least")


def test_resumed_with_open_settings_equals_uninterrupted(
    reversal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small(reversal, epochs=2)
    train(config, tmp_path / "whole", say=quiet)
    with monkeypatch.context() as patch:
        stop_after(patch, 4, send(signal.SIGTERM))
        with pytest.raises(TrainingError, match="stopped by SIGTERM"):
            train(config, tmp_path / "run", say=quiet)
    train(config, tmp_path / "run", resume=True, say=quiet)
    assert_same_runs(tmp_path / "whole", tmp_path / "run")


def test_a_training_that_starts_from_a_model_has_the_network_of_that_model(reversal: Path, tmp_path: Path) -> None:
    first = small(reversal, epochs=1)
    train(first, tmp_path / "first", say=quiet)
    second = parse_config(
        {"data": dataclasses.asdict(first.data), "vocabulary": {"byte_fallback": False},
         "training": {"epochs": 1, "start_from": str(tmp_path / "first")}}, "second",
    )  # fmt: skip
    train(second, tmp_path / "second", say=quiet)
    saved = load_config(tmp_path / "second" / "best" / "config.toml")
    assert (saved.model.embedding_size, saved.model.hidden_size) == (8, 12)


def test_a_bare_language_model_trains(reversal: Path, tmp_path: Path) -> None:
    values = {"task": "language_model", "data": {"path": str(reversal), "source": "src", "target": "rev"}}
    sizes = {"model": {"embedding_size": 8, "hidden_size": 12}, "training": {"epochs": 1}}
    train(parse_config({**values, **sizes, "vocabulary": {"byte_fallback": False}}, "lm"), tmp_path / "run", say=quiet)
    saved = load_config(tmp_path / "run" / "best" / "config.toml")
    assert (saved.model.attention, saved.training.truncation, saved.training.label_smoothing) == ("none", 64, 0.0)


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parent.parent / "configs").glob("*.toml")), ids=lambda p: p.stem
)
def test_documented_configurations_leave_nothing_open(path: Path) -> None:
    """They name what their scores were reached with, so that another rule for `auto` does not change them."""
    assert open_settings(load_config(path)) == []
