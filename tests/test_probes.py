"""Probe tasks: the answers follow the rules, no split knows another, and they train by name."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from runs import load_script, quiet, validations

from nmt.config import DataConfig, load_config
from nmt.data import probes
from nmt.data.corpus import load_pairs, load_texts
from nmt.data.probes import CIRCLED, SHORTEST, SIZES, TASKS
from nmt.errors import UserError
from nmt.tasks.task import make_vocabularies
from nmt.training.loop import train

ROOT = Path(__file__).parent.parent


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Few pairs, so that a corpus takes no time."""
    monkeypatch.setattr(probes, "SIZES", {"test": 60, "validation": 60, "train": 2400})
    probes.pairs.cache_clear()
    yield
    probes.pairs.cache_clear()


def test_the_shortest_sources_suffice() -> None:
    """Even where all are as short as can be, there are enough that differ."""
    parts = probes.pairs("adding", SHORTEST)
    assert {split: len(rows) for split, rows in parts.items()} == SIZES
    assert len({source for rows in parts.values() for source, _ in rows}) == sum(SIZES.values())


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("length", [5, 23])
def test_answers_follow_the_rules(task: str, length: int) -> None:
    parts = probes.pairs(task, length)
    rows = [row for part in parts.values() for row in part]
    lengths = {split: {len(source.split(" ")) for source, _ in part} for split, part in parts.items()}
    assert lengths == {"test": {length}, "validation": {length}, "train": set(range(SHORTEST, length + 1))}
    assert len({source for source, _ in rows}) == len(rows)
    gaps = Counter()
    for source, target in rows:
        digits = source.split(" ")
        if task == "adding":
            first, last = (place for place, digit in enumerate(digits) if digit in CIRCLED)
            assert int(target) == (CIRCLED.index(digits[first]) + CIRCLED.index(digits[last])) % 10
            assert first < len(digits) / 4 and len(digits) - 1 - last < len(digits) / 4
            gaps[len(digits), last - first] += 1
            digits = [digit for digit in digits if digit not in CIRCLED]
        else:
            expected = {"copy": digits, "reverse": digits[::-1], "sort": sorted(digits)}[task]
            assert target.split(" ") == expected
        assert set(digits) <= set("0123456789")
    if task == "adding":
        found = {gap for digits, gap in gaps if digits == length}
        assert found == set(range(length - 2 * (length // 4) + 1, length))  # all distances that the quarters allow


def test_all_digits_are_alike() -> None:
    """In sources, and as sums: no answer is better than another for who knows nothing."""
    rows = probes.pairs("adding", 20)["train"]
    plain = str.maketrans(CIRCLED, "0123456789")
    for texts in ([source.translate(plain) for source, _ in rows], [target for _, target in rows]):
        counts = Counter("".join(texts).replace(" ", ""))
        assert len(counts) == 10
        assert max(counts.values()) < 1.05 * min(counts.values())


def test_every_process_draws_the_same() -> None:
    show = "from nmt.data.probes import pairs; print([part[-1] for part in pairs('adding', 9).values()])"
    for seed in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-c", show], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        )
        assert done.stdout == f"{[part[-1] for part in probes.pairs('adding', 9).values()]}\n"


@pytest.mark.usefixtures("small")
def test_as_a_corpus() -> None:
    data = DataConfig(path="builtin:reverse", probe_length=7, source="digits", target="answer")
    for split in ("train", "validation", "test"):
        loaded = load_pairs(data, split)
        assert list(zip(loaded["source"], loaded["target"], strict=True)) == probes.pairs("reverse", 7)[split]
    answers = [target for _, target in probes.pairs("reverse", 7)["test"]]
    assert list(load_texts(data, "test")["text"]) == answers
    data.probe_length = 8  # another length is another entry of the cache
    assert len(load_pairs(data, "test")["source"][0].split()) == 8
    data.test_split = "tset"
    with pytest.raises(UserError, match=r"`builtin:reverse` has no split `tset` \(`data\.test_split`\); its splits"):
        load_pairs(data, "test")


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("task", TASKS)
def test_shipped_configurations_keep_every_pair_and_digit(task: str) -> None:
    """Every digit is one piece, so that lengths are those asked for; nothing is dropped before training."""
    from nmt.data.corpus import prepare_corpus

    config = load_config(ROOT / "configs" / f"probe-{task}.toml")
    vocabularies = make_vocabularies(config)
    corpus = prepare_corpus(config.data, "train", *vocabularies)
    assert corpus.counts.kept == probes.SIZES["train"]
    assert corpus.source_lengths.max() == config.data.probe_length
    assert corpus.target_lengths.max() == (1 if task == "adding" else config.data.probe_length)


@pytest.mark.usefixtures("small")
def test_trains(tmp_path: Path) -> None:
    """A step towards sorting, from the name alone; the whole way is for `scripts/compare-probes`."""
    settings = ["data.probe_length=6", "training.epochs=2", "training.batch_size=32", "model.hidden_size=48"]
    train(load_config(ROOT / "configs" / "probe-sort.toml", settings), tmp_path / "run", say=quiet)
    losses = [record["loss"] for record in validations(tmp_path / "run")]
    assert losses[1] < losses[0]


def test_comparison_measures_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An interrupted comparison goes on; the table has what there is."""
    script = load_script("compare-probes")
    asked: list[str] = []

    def run(command: list[str], check: bool) -> subprocess.CompletedProcess[bytes]:
        asked.append(" ".join(command[command.index("--one") + 1 :]))
        monkeypatch.setattr(sys, "argv", command[1:])
        script.main()
        return subprocess.CompletedProcess(command, 0)

    def measure(task: str, cell: str, length: int, settings: list[str], folder: Path) -> dict[str, Any]:
        assert settings == ["training.epochs=1"]
        return {"answers": 0.5, "digits": length / 100, "perplexity": 1.0, "seconds": 1}

    monkeypatch.setattr(script, "measure", measure)
    monkeypatch.setattr(script.subprocess, "run", run)
    monkeypatch.setattr(script, "LENGTHS", {"copy": (5, 10), "sort": (5,)})
    arguments = ["compare-probes", "--output", str(tmp_path / "runs"), "--set=training.epochs=1"]
    for only in ("copy lstm 10", ""):
        monkeypatch.setattr(sys, "argv", [*arguments, "--only", only])
        script.main()
    assert len(asked) == len(set(asked)) == 3 * len(script.CELLS)
    assert asked[0] == "copy lstm 10 --set=training.epochs=1"
    table = capsys.readouterr().out.split("\n\n")
    assert table[-2].splitlines()[-1] == "| `lstm` | 50.0% (5.0%) | 50.0% (10.0%) |"
