"""A reduced run of scripts/attack: bad luck and strangers, some cases of each kind."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from runs import load_script

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system with fork")


@pytest.fixture(scope="module")
def script() -> Any:
    return load_script("attack")


@pytest.fixture(scope="module")
def world(script: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setenv("NMT_CACHE", "")  # put back afterwards
        yield script.make_world(tmp_path_factory.mktemp("attack"))


@pytest.mark.parametrize(("kinds", "cases"), [("flips,hostile,readers,configs", 40), ("exports", 1)])
def test_damage_and_hostile_files_and_kills_end_well(
    kinds: str, cases: int, script: Any, world: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    failures = script.attack(world, kinds.split(","), cases, seed=3)
    printed = capsys.readouterr().out
    assert failures == 0, printed
    assert printed.splitlines()[-1].split()[1] in (str(cases), str(cases + 1))


def test_a_failure_is_counted(
    script: Any, world: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong text without a word, a traceback, a dead process."""
    monkeypatch.setitem(script.ATTACKS, "flips", lambda world, draw, scratch: 1 / 0 if draw.random() < 0.5 else "fine")
    monkeypatch.setitem(script.ATTACKS, "hostile", lambda world, draw, scratch: os.kill(os.getpid(), signal.SIGKILL))
    failures = script.attack(world, ["flips"], 20, seed=3)
    assert 0 < failures < 20 and "ZeroDivisionError" in capsys.readouterr().out
    assert script.attack(world, ["hostile"], 2, seed=3) == 2
    assert "the process died (signal 9)" in capsys.readouterr().out
    monkeypatch.setattr(script, "MOST_SECONDS", 0)
    monkeypatch.setitem(script.ATTACKS, "flips", lambda world, draw, scratch: str(sum(range(10**6)))[:0] + "fine")
    assert script.attack(world, ["flips"], 1, seed=3) == 1
    assert "0 s of processor time" in capsys.readouterr().out
