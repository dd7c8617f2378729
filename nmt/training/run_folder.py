"""The run folder: whether it may be used, its files, and the state from which a run resumes.

It holds best/ and last/ and, where wanted, checkpoints/UPDATE (model folders), state/training.safetensors (weights,
their average, the optimiser, what the task carries from batch to batch and every counter, in one file), metrics.jsonl,
config.toml, TensorBoard's records, and .lock, which a process holds while it trains there.
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
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from torch import Tensor

from nmt.config import Config, load_config, write_config
from nmt.errors import UserError
from nmt.model_files import sealed_tensors, verify_tensors, write_atomically
from nmt.model_folder import vocabulary_files
from nmt.sizing import adopt
from nmt.text.labels import load_side
from nmt.text.vocabulary import Vocabulary
from nmt.training.settings import check_resumed

STATE = Path("state") / "training.safetensors"

MODELS = ("best", "last", "checkpoints")


@dataclass
class Progress:
    """The progress of a run: everything that is needed to resume, except the tensors."""

    epoch: int = 0
    pool: int = 0  # pools of the epoch that are done
    batch: int = 0  # batches of the pool that are done
    together: int = 1  # batches of an update when the pool began, which are of similar size
    update: int = 0
    validated: int = -1  # update of the last validation
    best: float | None = None  # the best model's value of the metric that chooses it
    best_loss: float | None = None  # its validation loss, which decides between equal values
    best_update: int = 0
    bad_validations: int = 0  # validations since the best one
    seconds: float = 0.0  # time spent training and validating
    target_tokens: int = 0
    # Most positions of a batch that fit into memory, since one with more did not; None if all did so far.
    fitting: int | None = None
    # Sums of losses and counts since the last training record, without the updates that were left out.
    window: dict[str, float] = field(default_factory=lambda: {"loss": 0.0, "negative": 0.0, "tokens": 0.0, "norm": 0.0})
    window_updates: int = 0


def check_folder(config: Config, output: Path, resume: bool, overwrite: bool) -> bool:
    """Check that the run folder may be used, and whether it has a run to resume; nothing is written yet."""
    if resume and overwrite:
        raise UserError("--resume and --overwrite exclude each other")
    start = config.training.start_from
    if overwrite and start and output.resolve() in (Path(start).resolve(), *Path(start).resolve().parents):
        raise UserError(
            f"--overwrite would delete `{start}`, which `training.start_from` names; choose another --output"
        )
    if output.exists() and not output.is_dir():
        raise UserError(f"output `{output}` must be a folder, but is a file")
    if is_unused(output):
        return False
    if resume and (output / STATE).exists():
        stored = load_config(output / "config.toml")
        check_resumed(stored, adopt(config, stored), output)
        return True
    if not (output / "metrics.jsonl").exists():
        raise UserError(f"`{output}` is not a run folder of nmt and is not overwritten; choose another --output")
    if resume:
        raise UserError(f"`{output}` has no training state to resume; use --overwrite to start again")
    if not overwrite:
        raise UserError(f"run folder `{output}` exists already; use --resume to go on, or --overwrite to start again")
    return False


def is_unused(output: Path) -> bool:
    """Whether a folder is missing, is empty, or contains only the leftovers of a start that was killed."""
    if not output.exists():
        return True
    found = {path.name for path in output.iterdir() if not _is_temporary(path)} - {".lock"}
    if not found <= {"state", "metrics.jsonl", "config.toml"}:
        return False
    state, metrics = output / "state", output / "metrics.jsonl"
    if metrics.exists() and metrics.stat().st_size:
        return False
    if not state.exists():
        return not found or metrics.exists()  # a config.toml alone is not a run
    return state.is_dir() and all(path.suffix in (".spm", ".json") or _is_temporary(path) for path in state.iterdir())


def _is_temporary(path: Path) -> bool:
    """Whether a file is one that `write_atomically` had not finished."""
    return path.name.startswith(".") and path.name.endswith(".tmp")


class RunFolder:
    """The files of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = FileLock(path / ".lock")

    def lock(self) -> None:
        """Reserve the folder for this process until `unlock` or its end; raises UserError if another process has it."""
        if self._lock.is_locked or not self.path.is_dir():
            return
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise UserError(
                f"another process is training in `{self.path}`; wait for its end, stop it, or choose another --output"
            ) from None
        except (OSError, NotImplementedError):
            return  # a file system without locks; one that cannot be written is noticed when it is
        for folder in [self.path, *(self.path / name for name in ("state", "best", "last", "checkpoints/*"))]:
            for path in folder.parent.glob(f"{folder.name}/.*.tmp"):
                path.unlink(missing_ok=True)  # of a process that was killed

    def unlock(self) -> None:
        self._lock.release()

    def make(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"run folder `{self.path}` cannot be made: {error.strerror}") from None

    def begin(self, config: Config, vocabularies: Sequence[Vocabulary]) -> None:
        """Clear the folder, its state first, so that nobody resumes from remains; write a new run's first files."""
        text = _config_text(config)
        self.make()
        try:
            (self.path / STATE).unlink(missing_ok=True)
            write_atomically(self.path / "metrics.jsonl", b"")
            for name in ("state", *MODELS, "tensorboard", "report"):
                if (self.path / name).exists():
                    shutil.rmtree(self.path / name)
            (self.path / "state").mkdir()
        except OSError as error:
            raise UserError(f"run folder `{self.path}` cannot be cleared: {error.strerror or error}") from None
        names = vocabulary_files(config)
        for name, vocabulary in zip((names[0], names[-1]), vocabularies, strict=True):
            write_atomically(self.path / "state" / name, vocabulary.model)
        write_atomically(self.path / "config.toml", text)

    def config(self) -> Config:
        """The configuration that the run was started or last resumed with."""
        config = load_config(self.path / "config.toml")
        return adopt(config, config)

    def write_config(self, config: Config) -> None:
        write_atomically(self.path / "config.toml", _config_text(config))

    def vocabularies(self, config: Config) -> tuple[Vocabulary, Any]:
        """The vocabularies (or labels) of both sides; raises UserError when a file is damaged."""
        with self.damage_reported(), safe_open(self.path / STATE, "pt") as file:
            noted = file.metadata() or {}
        found = []
        for name in vocabulary_files(config):
            found.append(load_side(self.path / "state" / name))
            if noted.get(name, found[-1].checksum) != found[-1].checksum:
                raise UserError(
                    f"`{self.path / 'state' / name}` is damaged: it is not the vocabulary that the run was started "
                    "with; use --overwrite to start again"
                )
        return found[0], found[-1]

    def write_state(
        self, tensors: dict[str, Tensor], progress: Progress, data: str, vocabularies: dict[str, str]
    ) -> None:
        """Write all that resuming needs, the checksums of data and vocabularies included, in one file."""
        contiguous = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
        metadata = {**vocabularies, "progress": json.dumps(asdict(progress)), "data": data}
        write_atomically(self.path / STATE, *sealed_tensors(safetensors.torch.save(contiguous, metadata)))

    def read_state(self) -> tuple[dict[str, Tensor], Progress, str]:
        """Read the result of `write_state`; call it within `damage_reported`."""
        verify_tensors(self.path / STATE)
        with safe_open(self.path / STATE, "pt") as file:
            progress = Progress(**json.loads(file.metadata()["progress"]))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            return tensors, progress, file.metadata()["data"]

    @contextlib.contextmanager
    def damage_reported(self) -> Iterator[None]:
        """Exceptions that a damaged state raises in the block become a UserError."""
        try:
            yield
        except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split()) + (" is missing" if isinstance(error, KeyError) else "")
            raise UserError(f"`{self.path / STATE}` is damaged: {reason}; use --overwrite to start again") from None

    def cut_back(self, progress: Progress) -> None:
        """Remove the records and checkpoints after the restored update, which will be written again."""
        cut_metrics(self.path / "metrics.jsonl", progress)
        for update in self.checkpoints():
            if update > progress.validated:
                self.remove_checkpoint(update)

    def record(self, record: dict[str, Any]) -> None:
        with open(self.path / "metrics.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def validation(self, update: int) -> dict[str, Any]:
        """The record of the validation after an update; empty if there is none."""
        lines = (self.path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        records = [record for record in map(json.loads, lines) if record["kind"] == "validation"]
        return next((record for record in records if record["update"] == update), {})

    def checkpoints(self) -> list[int]:
        """Updates of the models under checkpoints/, in order."""
        return sorted(int(path.name) for path in (self.path / "checkpoints").glob("*") if path.name.isdecimal())

    def remove_checkpoint(self, update: int) -> None:
        shutil.rmtree(self.path / "checkpoints" / str(update))


def _config_text(config: Config) -> bytes:
    try:
        return write_config(config).encode()
    except UnicodeEncodeError:  # of a name that is not UTF-8
        raise UserError("the configuration has a path that is not UTF-8; rename the file") from None


def cut_metrics(path: Path, progress: Progress) -> None:
    """Remove the records after the restored update, which will be written again, and an incomplete last line."""
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


class TensorBoard:
    """Writes the records for TensorBoard if it is installed; if that fails, training goes on without it."""

    def __init__(self, folder: Path, update: int, say: Any) -> None:
        self.say = say
        self.writer: Any = None
        with self._failures_said(), contextlib.suppress(ImportError):
            from torch.utils.tensorboard import SummaryWriter

            self.writer = SummaryWriter(str(folder), purge_step=update + 1)

    def add(self, record: dict[str, Any]) -> None:
        with self._failures_said():
            for name, value in record.items() if self.writer else ():
                if name == "samples":
                    text = "\n".join(f"- {source} → {found} ({reference})" for source, found, reference in value)
                    self.writer.add_text(f"{record['kind']}/{name}", text, record["update"])
                elif name not in ("kind", "update", "epoch", "best", "seconds", "target_tokens"):
                    self.writer.add_scalar(f"{record['kind']}/{name}", value, record["update"])

    def close(self) -> None:
        with self._failures_said():
            if self.writer:
                self.writer.close()

    @contextlib.contextmanager
    def _failures_said(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # an optional third-party package may raise anything
            self.writer = None
            reason = " ".join(str(error).split())[:200]
            self.say(f"no records for TensorBoard, which fails: {type(error).__name__}: {reason}")
