"""Training runs under test: stopped at a given update, compared without what depends on the clock; scripts."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from nmt.training import loop as training
from nmt.training.run_folder import STATE


def load_script(name: str) -> Any:
    """A program of scripts/ as a module."""
    loader = SourceFileLoader(name.replace("-", "_"), str(Path(__file__).parent.parent / "scripts" / name))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    sys.modules[loader.name] = module  # its data classes look for it there
    loader.exec_module(module)
    return module


def quiet(line: str) -> None:
    """Say nothing."""


class Killed(BaseException):
    """What no handler expects."""


def kill(*_: Any) -> None:
    """Die like a process that is killed: nothing is saved any more."""
    raise Killed


def send(kind: int) -> Callable[[training.Run], None]:
    """An action that sends a signal to this process."""
    return lambda run: os.kill(os.getpid(), kind)


def stop_after(monkeypatch: pytest.MonkeyPatch, updates: int, action: Callable[[training.Run], None]) -> None:
    """Call `action(run)` right after the given update."""
    original = training.Run._update

    def update(self: training.Run, batches: Any, rate: float) -> int:
        tokens = original(self, batches, rate)
        if self.progress.update + 1 == updates:
            action(self)
        return tokens

    monkeypatch.setattr(training.Run, "_update", update)


def records(output: Path) -> list[dict[str, Any]]:
    """The metrics without what depends on the clock."""
    found = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in r.items() if k not in ("seconds", "target_tokens_per_second")} for r in found]


def validations(output: Path) -> list[dict[str, Any]]:
    """Those of the validations."""
    return [record for record in records(output) if record["kind"] == "validation"]


def assert_same_runs(one: Path, other: Path) -> None:
    """Both recorded the same and ended with the same models and state, to the last bit."""
    assert records(one) == records(other)
    for name in ("best/model.safetensors", "last/model.safetensors", str(STATE)):
        left, right = load_file(one / name), load_file(other / name)
        assert left.keys() == right.keys()
        for key in left:
            assert torch.equal(left[key], right[key]), (name, key)
