"""Several processes train one model as one process does, and go on after one of them has failed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import quiet, records
from safetensors.torch import load_file
from test_tasks import EVERYTHING as EVERY_LABEL
from test_tasks import example_config, tagging_config, write_examples, write_tags
from toys import toy_config, write_reversal

from nmt.config import write_config
from nmt.training.loop import train

WORKER = """
import os, sys
from nmt.cli import main
from nmt.errors import TrainingError
from nmt.training import loop

update = loop.Run._update

def failing(self, batches, rate):
    if self.progress.update == 5 and os.environ["RANK"] == "1" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        raise TrainingError("the test breaks this process")
    return update(self, batches, rate)

loop.Run._update = failing
sys.exit(main(sys.argv[1:]))
"""


def chance(**settings: Any) -> dict[str, dict[str, Any]]:
    """Settings with chance of every kind, for three epochs."""
    training = {
        "average_decay": 0.9, "source_sampling": 0.3, "source_word_dropout": 0.1, "target_word_dropout": 0.1,
        "schedule": "constant", "validation_interval": 4, "log_interval": 1, "epochs": 3,
    }  # fmt: skip
    return {"model": {"dropout": 0.2, "embedding_dropout": 0.1}, "training": {**training, **settings}}


def launch(folder: Path, *arguments: str, restarts: int = 0) -> subprocess.CompletedProcess[str]:
    """`nmt` in two processes of torchrun that meet over loopback."""
    (folder / "worker.py").write_text(WORKER)
    command = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "1", "--nproc-per-node", "2"]
    command += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0", "--local-addr", "127.0.0.1"]
    command += ["--max-restarts", str(restarts), str(folder / "worker.py"), *arguments]
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=580)


LABELS = """
import os, sys
from pathlib import Path
from nmt.config import load_config
from nmt.training.loop import train

folder = Path(sys.argv[1])
for task, port in zip(("classification", "tagging"), sys.argv[2:]):
    os.environ["MASTER_PORT"] = port
    train(load_config(folder / f"{task}.toml"), folder / f"two-{task}", say=print)
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_processes_learn_labels_as_one_does(tmp_path: Path) -> None:
    """As srun starts them, without torchrun, one task after the other."""
    configs = {
        "classification": example_config(write_examples(tmp_path / "examples"), **EVERY_LABEL),
        "tagging": tagging_config(write_tags(tmp_path / "tags")),
    }
    with socket.socket() as one, socket.socket() as other:
        for free in (one, other):
            free.bind(("127.0.0.1", 0))
        ports = [str(free.getsockname()[1]) for free in (one, other)]
    for task, config in configs.items():
        config.training.log_interval, config.training.accumulation = 1, 1
        config.training.average_decay = 0.9
        (tmp_path / f"{task}.toml").write_text(write_config(config))
        config.training.accumulation = 2
        train(config, tmp_path / f"one-{task}", say=quiet)
    fixed = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", LABELS, str(tmp_path), *ports],
            env={**os.environ, **fixed, "RANK": rank, "LOCAL_RANK": rank},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in "01"
    ]
    said = [process.communicate(timeout=580)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert "training data:" in said[0] and "training data:" not in said[1]
    for task in configs:
        assert_nearly_same_runs(tmp_path / f"one-{task}", tmp_path / f"two-{task}")


def assert_nearly_same_runs(one: Path, two: Path) -> None:
    """One process recorded what two did, but for the order of sums, and ended with the same model."""
    alone, together = records(one), records(two)
    assert [(r["kind"], r["update"]) for r in together] == [(r["kind"], r["update"]) for r in alone]
    for name in ("loss", "gradient_norm", "target_tokens", "epoch", "learning_rate"):
        assert [r.get(name, 0) for r in together] == pytest.approx([r.get(name, 0) for r in alone], rel=1e-4), name
    left, right = (load_file(path / "last" / "model.safetensors") for path in (one, two))
    assert all(torch.allclose(left[key], right[key], atol=1e-5) for key in left)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_processes_do_what_one_does_with_twice_the_batches(tmp_path: Path) -> None:
    """Also when one fails on the way and all start again, and when a single process goes on alone."""
    data = write_reversal(tmp_path / "data", pairs=104)  # 7 batches: in the last update one process has none
    one, two = tmp_path / "one", tmp_path / "two"
    train(toy_config(data, **chance(accumulation=2)), one, say=quiet)

    (tmp_path / "toy.toml").write_text(write_config(toy_config(data, **chance(epochs=2))))
    ended = launch(tmp_path, "train", str(tmp_path / "toy.toml"), "--output", str(two), "--resume", restarts=1)
    assert ended.returncode == 0, ended.stderr
    assert "nmt: the test breaks this process\n" in ended.stderr
    assert "resumed at update 4 (epoch 1)" in ended.stderr
    assert ended.stderr.count("done after 2 epochs, 8 updates") == 1
    train(toy_config(data, **chance(accumulation=2)), two, resume=True, say=quiet)

    assert_nearly_same_runs(one, two)
    assert [r["update"] for r in records(two) if r["kind"] == "training"] == list(range(1, 13))
