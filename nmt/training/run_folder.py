"""The folder of a run: whether it may be used, what it holds, and the state that a run resumes from.

It holds best/ and last/ and, where wanted, checkpoints/UPDATE (model folders), state/training.safetensors (weights,
their average, the optimiser, what the task carries from batch to batch and every counter, in one file), and
metrics.jsonl and config.toml.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from nmt.config import Config, load_config, write_config
from nmt.errors import UserError
from nmt.model_folder import vocabulary_files, write_atomically
from nmt.text.vocabulary import Vocabulary

STATE = Path("state") / "training.safetensors"


@dataclass
class Progress:
    """Where a run stands: everything resumable but the tensors."""

    epoch: int = 0
    pool: int = 0
    """Pools of the epoch that are done."""
    batch: int = 0
    """Batches of the pool that are done."""
    update: int = 0
    validated: int = -1
    """Update of the last validation."""
    best: float | None = None
    best_update: int = 0
    bad_validations: int = 0
    """Validations since the best one."""
    seconds: float = 0.0
    """Time spent training and validating."""
    target_tokens: int = 0
    window: dict[str, float] = field(default_factory=lambda: {"loss": 0.0, "negative": 0.0, "tokens": 0.0, "norm": 0.0})
    """Sums since the last training record."""
    window_updates: int = 0


def check_folder(config: Config, output: Path, resume: bool, overwrite: bool) -> None:
    """Whether the run folder may be used; nothing is written yet."""
    if resume and overwrite:
        raise UserError("--resume and --overwrite exclude each other")
    start = config.training.start_from
    if overwrite and start and output.resolve() in (Path(start).resolve(), *Path(start).resolve().parents):
        raise UserError(
            f"--overwrite would delete `{start}`, which `training.start_from` names; choose another --output"
        )
    if resume:
        if not (output / STATE).exists():
            raise UserError(f"`{output}` has no training state to resume; start it anew, with --overwrite if it exists")
        stored = load_config(output / "config.toml")
        if stored != config:
            names = ["task"] if stored.task != config.task else []
            names += [
                f"{section}.{key}"
                for section, values in asdict(config).items()
                if isinstance(values, dict)
                for key, value in values.items()
                if asdict(stored)[section][key] != value
            ]
            raise UserError(f"`{output}` was started with other settings ({', '.join(names)}); resume needs the same")
        return
    if output.exists() and not output.is_dir():
        raise UserError(f"output `{output}` must be a folder, but is a file")
    if output.exists() and any(output.iterdir()):
        if not overwrite:
            raise UserError(
                f"run folder `{output}` exists already; use --resume to go on, or --overwrite to start again"
            )
        if not (output / "metrics.jsonl").exists():
            raise UserError(f"`{output}` is not a run folder of nmt and is not overwritten; choose another --output")


class RunFolder:
    """The files of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self, config: Config, vocabularies: Sequence[Vocabulary]) -> None:
        """Make the folder, or clear an old one; it can be resumed once a state has been written."""
        try:
            text = write_config(config).encode()
        except UnicodeEncodeError:  # of a name that is not UTF-8
            raise UserError("the configuration has a path that is not UTF-8; rename the file") from None
        for name in ("best", "last", "checkpoints", "state", "tensorboard", "report"):
            shutil.rmtree(self.path / name, ignore_errors=True)
        try:
            (self.path / "state").mkdir(parents=True)
        except OSError as error:
            raise UserError(f"run folder `{self.path}` cannot be made: {error.strerror}") from None
        write_atomically(self.path / "metrics.jsonl", b"")
        write_atomically(self.path / "config.toml", text)
        names = vocabulary_files(config)
        for name, vocabulary in zip((names[0], names[-1]), vocabularies, strict=True):
            write_atomically(self.path / "state" / name, vocabulary.model)

    def vocabularies(self, config: Config) -> tuple[Vocabulary, Vocabulary]:
        """Those that the run was started with: source and target, which may be the same."""
        found = [Vocabulary.load(self.path / "state" / name) for name in vocabulary_files(config)]
        return found[0], found[-1]

    def write_state(self, tensors: dict[str, Tensor], progress: Progress, data: str) -> None:
        """Everything to resume from, in one file that is replaced at once; `data` is the checksum of the data."""
        contiguous = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
        metadata = {"progress": json.dumps(asdict(progress)), "data": data}
        write_atomically(self.path / STATE, safetensors.torch.save(contiguous, metadata))

    def read_state(self) -> tuple[dict[str, Tensor], Progress, str]:
        """What `write_state` wrote; call it within `damage_reported`."""
        with safe_open(self.path / STATE, "pt") as file:
            progress = Progress(**json.loads(file.metadata()["progress"]))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            return tensors, progress, file.metadata()["data"]

    @contextlib.contextmanager
    def damage_reported(self) -> Iterator[None]:
        """Turns what a damaged state raises into a UserError.

        It is no safetensors file, or one without progress, with other weights, or with weights of other shapes.
        """
        try:
            yield
        except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split()) + (" is missing" if isinstance(error, KeyError) else "")
            raise UserError(f"`{self.path / STATE}` is damaged: {reason}; use --overwrite to start again") from None

    def cut_back(self, progress: Progress) -> None:
        """Drop the records and checkpoints later than a restored state, which will be written again."""
        cut_metrics(self.path / "metrics.jsonl", progress)
        for update in self.checkpoints():
            if update > progress.validated:
                self.remove_checkpoint(update)

    def record(self, record: dict[str, Any]) -> None:
        """Add a line to metrics.jsonl."""
        with open(self.path / "metrics.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def checkpoints(self) -> list[int]:
        """Updates of the models under checkpoints/, in order."""
        return sorted(int(path.name) for path in (self.path / "checkpoints").glob("*") if path.name.isdecimal())

    def remove_checkpoint(self, update: int) -> None:
        """Delete one of them."""
        shutil.rmtree(self.path / "checkpoints" / str(update))


def cut_metrics(path: Path, progress: Progress) -> None:
    """Drop the records behind the restored update, which will be written again, and a half-written last line."""
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []:
        try:
            record = json.loads(line)
            reached = progress.validated if record["kind"] == "validation" else progress.update
            beyond = record["update"] > reached
        except (ValueError, KeyError, TypeError):
            break
        if beyond:
            break
        kept.append(line + "\n")
    write_atomically(path, "".join(kept).encode())
