"""Every pair of training options trains, and a resumed run equals an uninterrupted one."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from all_pairs import TRAINING_OPTIONS, Case, all_pairs, refused_pairs
from runs import assert_same_runs, quiet, send, stop_after
from safetensors.torch import load_file
from toys import toy_config, write_reversal

from nmt.errors import TrainingError
from nmt.training import loop as training
from nmt.training.loop import train
from nmt.training.run_folder import STATE
from nmt.translation.translator import Translator

CASES, IMPOSSIBLE = all_pairs(TRAINING_OPTIONS)

MODELS: list[dict[str, Any]] = [
    {"attention": "general", "cell": "lstm", "dropout": 0.1},
    {"attention": "additive", "cell": "gru", "input_feeding": "bahdanau", "variational_dropout": True, "dropout": 0.1},
    {"attention": "dot", "cell": "mut1", "input_feeding": "luong", "coverage": True, "zoneout": 0.1},
    {"context_input": "all", "cell": "layer_norm_lstm", "weight_drop": 0.1, "output_dropout": 0.1},
    {"attention": "multi_head", "attention_heads": 2, "input_normalization": "batch", "transition_depth": 2},
]
"""Architectures that the training options meet in turn."""


def test_refused_pairs_of_training_options() -> None:
    """What is refused is what `nmt.config.rules` gives a reason for, and nothing else."""
    assert {frozenset({(a, x), (b, y)}) for a, x, b, y in IMPOSSIBLE} == refused_pairs(TRAINING_OPTIONS)


@pytest.fixture(scope="module")
def reversal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_reversal(tmp_path_factory.mktemp("data") / "reversal", pairs=40, longest=4)


@pytest.mark.parametrize("number", range(len(CASES)))
def test_every_pair_of_training_options(
    reversal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    case: Case = CASES[number]
    settings = {name.split(".")[1]: value for name, value in case.items()}
    settings |= {"epochs": 1, "batch_size": 80 if settings["batch_unit"] == "tokens" else 8, "risk_candidates": 2}
    model = {"embedding_size": 8, "hidden_size": 12, **MODELS[number % len(MODELS)]}
    config = toy_config(reversal, model=model, training=settings, vocabulary={"size": 20})
    monkeypatch.setattr(training, "check_precision", lambda *_: None)  # emulated bf16 is slow, and right
    train(config, tmp_path / "whole", say=quiet)

    with monkeypatch.context() as patch:
        stop_after(patch, 2, send(signal.SIGTERM))
        with pytest.raises(TrainingError, match="stopped by SIGTERM after update 2"):
            train(config, tmp_path / "resumed", say=quiet)
    train(config, tmp_path / "resumed", resume=True, say=quiet)
    assert_same_runs(tmp_path / "whole", tmp_path / "resumed")
    for name in ("last/model.safetensors", str(STATE)):
        for key, tensor in load_file(tmp_path / "whole" / name).items():
            assert torch.isfinite(tensor).all(), (name, key)
    translations = Translator.load(tmp_path / "whole").translate(["a b", "c"], beam_size=2)
    assert len(translations) == 2
