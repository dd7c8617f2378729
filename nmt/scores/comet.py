"""COMET, a learned score of translations: Rei et al. (2020), https://arxiv.org/abs/2009.09025.

It needs the extra `comet` (unbabel-comet) and a model that is on this machine; nothing is downloaded.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from nmt.errors import UserError
from nmt.scores.evaluation import Score

CHECKPOINT = Path("checkpoints") / "model.ckpt"
"""Where a folder of a COMET model has its weights."""


@dataclass
class Comet:
    """A COMET model, ready to score."""

    model: Any
    name: str

    def score(
        self,
        sources: Sequence[str],
        hypotheses: Sequence[str],
        references: Sequence[str],
        *,
        bootstrap: int = 1000,
        seed: int = 12345,
    ) -> Score:
        """The mean of the sentences' scores times 100, with a bootstrapped interval like those of the other scores.

        Raises UserError if a score is no number.
        """
        from sacrebleu.significance import estimate_ci

        rows = zip(sources, hypotheses, references, strict=True)
        data = [{"src": source, "mt": hypothesis, "ref": reference} for source, hypothesis, reference in rows]
        output = self.model.predict(data, batch_size=16, gpus=0, progress_bar=False)
        scores = 100 * np.asarray(output.scores, np.float64)
        if not np.isfinite(scores).all():
            raise UserError(f"the COMET model `{self.name}` gives scores that are no numbers; its weights are damaged")
        draws = np.random.default_rng(seed).integers(len(scores), size=(bootstrap, len(scores)))
        mean, half_width = estimate_ci(scores[draws].mean(axis=1))
        signature = f"model:{self.name}|nrefs:1|bs:{bootstrap}|seed:{seed}|scale:100|version:{_version()}"
        return Score("COMET", float(scores.mean()), float(mean - half_width), float(mean + half_width), signature)


def load_comet(path: Path) -> Comet:
    """Open a COMET model: a folder with `hparams.yaml` and `checkpoints/model.ckpt`, or that checkpoint itself.

    Raises UserError when the package or the model is not here, or cannot be opened without a network.
    """
    checkpoint = path / CHECKPOINT if path.is_dir() else path
    if not checkpoint.is_file():
        raise UserError(
            f"--comet must be the folder of a COMET model on this machine, with `{CHECKPOINT}`, but is `{path}` "
            "instead; nothing is downloaded"
        )
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):  # the encoder's tokeniser comes from the hub's local cache
        os.environ[name] = "1"
    try:
        from comet import load_from_checkpoint
    except ImportError as error:
        raise UserError(
            f"COMET needs unbabel-comet ({error}): pip install -e '.[train,comet]' in an environment of its own"
        ) from None
    try:
        model = load_from_checkpoint(str(checkpoint), local_files_only=True)
    except Exception as error:  # torch, lightning and transformers raise many kinds; each means it cannot be had
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"the COMET model `{path}` cannot be opened: {reason}") from None
    return Comet(model, checkpoint.parent.parent.name)


def _version() -> str:
    try:
        return version("unbabel-comet")
    except PackageNotFoundError:
        return "unknown"
