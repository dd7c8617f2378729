"""How long a training takes on this machine, from a few updates on a sample of its text."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from nmt.config import Config, DataConfig
from nmt.network.torch_engine import find_device, use_threads
from nmt.training.loop import Run, prepare_process


def training_minutes(
    config: Config, sample: Sequence[tuple[str, str]], pairs: float, *, device: str = "cpu", threads: int | None = None
) -> float:
    """Minutes of all epochs of a resolved configuration, from a sample of the `pairs` pairs of an epoch."""
    use_threads(threads)
    prepare_process()
    with tempfile.TemporaryDirectory(prefix="nmt-timing-") as folder, _cache_in(folder):
        for number, side in enumerate(("source", "target")):
            for split, some in (("train", sample), ("val", sample[:20])):
                Path(folder, f"{split}.{side}").write_text("".join(f"{pair[number]}\n" for pair in some), "utf-8")
        data = DataConfig(path=folder, source="source", target="target")
        data.source_language, data.target_language = config.data.languages
        data.max_length, data.max_length_ratio = config.data.max_length, config.data.max_length_ratio
        run = Run(replace(config, data=data), Path(folder, "run"), find_device(device), False, lambda line: None)
        seconds = run.measure_epoch()[0]
    return seconds * config.training.epochs * pairs / len(sample) / 60


@contextmanager
def _cache_in(folder: str) -> Iterator[None]:
    """Prepared text goes to this folder."""
    before = os.environ.get("NMT_CACHE")
    os.environ["NMT_CACHE"] = folder
    try:
        yield
    finally:
        del os.environ["NMT_CACHE"]
        if before is not None:
            os.environ["NMT_CACHE"] = before
