"""The training loop: updates, validations, interrupts, and resuming bit for bit.

`nmt.tasks` says what is trained, `nmt.training.run_folder` keeps the files. All chance follows from (seed, epoch,
batch), so the state needs no random generator and a resumed run equals one that was never stopped.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from nmt import __version__
from nmt.config import Config, TrainingConfig, load_config
from nmt.errors import TrainingError, UserError
from nmt.model_folder import (
    ModelFolder,
    model_card,
    open_model,
    weights_metadata,
    write_model,
)
from nmt.network.precision import has_bf16
from nmt.network.torch_engine import build_model, find_device, load_weights, model_tensors, use_threads
from nmt.network.word_vectors import load_into
from nmt.sizing import AUTO, adopt
from nmt.tasks import TASKS
from nmt.tasks.resolving import resolve_for_training
from nmt.tasks.task import Say, Validation, make_vocabularies
from nmt.text.vocabulary import Vocabulary
from nmt.training.optimization import WeightAverage, clip_gradients, gradient_norm, learning_rate, make_optimizer
from nmt.training.run_folder import Progress, RunFolder, check_folder

MAY_DIFFER = frozenset(
    {"dropout", "embedding_dropout", "output_dropout", "variational_dropout", "weight_drop", "zoneout"}
    | {"initialization", "initialization_scale", "forget_gate_bias"}
    | {"source_embeddings", "target_embeddings", "frozen_embeddings"}
)
"""Settings of the model that say how it is trained, not what its weights mean."""


class Interrupted(Exception):
    """A signal asked the run to stop."""


def train(
    config: Config,
    output: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    device: str = "cpu",
    threads: int | None = None,
    say: Say = lambda line: print(line, file=sys.stderr, flush=True),
) -> Path:
    """Train a model; returns the folder of the best one.

    Raises UserError for bad input or an existing run folder, TrainingError when the loss is not finite or the run was
    interrupted; what had been reached is saved then.
    """
    if resume and (output / "config.toml").exists():
        config = adopt(config, load_config(output / "config.toml"))
    check_folder(config, output, resume, overwrite)
    TASKS[config.task].check(config)
    if not resume:
        config = resolve_for_training(config, find_device(device), say)
    use_threads(threads)
    prepare_process()
    try:
        run = Run(config, output, find_device(device), resume, say)
        if not resume:
            run.begin_folder()
        return run.train()
    finally:
        torch.set_flush_denormal(False)


def prepare_process() -> None:
    """Make the process fit for training; call it before torch computes anything.

    Numbers too small for a normalised float (below 1e-38) become zero: products that meet them are up to 25 times as
    slow, and the gradients of attention are full of them (docs/experiments.md). Torch's threads take the setting over
    when they are made. The C library keeps freed memory instead of returning it to the system after each step, which
    saves 5 % of a step with 64 sentences; only glibc has the call.
    """
    torch.set_flush_denormal(True)
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(-4, 0)  # M_MMAP_MAX: no mappings of their own for large blocks
        mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD: do not shrink the heap


def open_start(config: Config) -> ModelFolder | None:
    """The model folder that a run starts from, if the configuration names one.

    Raises UserError, naming every setting in which the two differ, when its weights or ids would mean something else.
    """
    name = config.training.start_from
    if name is None:
        return None
    folder = open_model(name)
    if folder.config.task != config.task:
        raise UserError(
            f"`training.start_from`: `{name}` is of task {folder.config.task}, but must be of {config.task}"
        )
    given = [Vocabulary.load(path) for path in (config.vocabulary.source, config.vocabulary.target) if path]
    own = [folder.source_vocabulary, folder.target_vocabulary][: len(given)]
    if [vocabulary.checksum for vocabulary in given] != [vocabulary.checksum for vocabulary in own]:
        raise UserError(
            f"`vocabulary.source` and `vocabulary.target` must be unset, or the very vocabulary of `{name}`, with "
            "`training.start_from`"
        )
    odd = []
    for section, may_differ in {"model": MAY_DIFFER, "vocabulary": frozenset({"source", "target"})}.items():
        wanted, found = vars(getattr(config, section)), vars(getattr(folder.config, section))
        odd += [
            f"{section}.{key} is {found[key]!r} there, but {value!r} here"
            for key, value in wanted.items()
            if key not in may_differ and found[key] not in (value, AUTO)
        ]
    if odd:
        raise UserError(f"`training.start_from`: `{name}` has other settings, write the same here: {'; '.join(odd)}")
    return folder


class Run:
    """One training run."""

    def __init__(self, config: Config, output: Path, device: torch.device, resume: bool, say: Say) -> None:
        self.config, self.output, self.device, self.say = config, output, device, say
        self.folder = RunFolder(output)
        self.settings: TrainingConfig = config.training
        check_precision(self.settings.precision, device)
        start = None if resume else open_start(config)
        if resume:
            vocabularies = self.folder.vocabularies(config)
        elif start:
            vocabularies = start.source_vocabulary, start.target_vocabulary
        else:
            vocabularies = make_vocabularies(config)
        self.vocabularies = vocabularies
        self.task = TASKS[config.task](config, vocabularies, device)
        self.task.prepare(say)
        self.model = build_model(config, len(vocabularies[0]), len(vocabularies[1]), self.settings.seed)
        if start:
            load_weights(self.model, start)
            embeddings = config.model.source_embeddings or config.model.target_embeddings
            say(
                f"weights from `{start.path}`" + (f", embeddings too: `{embeddings}` is not read" if embeddings else "")
            )
        elif not resume:
            self._read_embeddings()
        self.model.to(device)
        self.parameters = [weight for weight in self.model.parameters() if weight.requires_grad]
        self.optimizer = make_optimizer(self.settings, self.parameters)
        decay = self.settings.average_decay
        self.average = WeightAverage(self.model, decay) if decay else None
        self.progress = Progress()
        self.done = 0.0
        """Share of the training that is done, 0 to 1."""
        if resume:
            self._load_state()
        self.stop_signal: int | None = None
        self.saved = time.perf_counter()
        weights = sum(weight.numel() for weight in self.model.parameters())
        frozen = weights - sum(weight.numel() for weight in self.parameters)
        say(
            f"model: {weights:,} weights{f' ({frozen:,} of them frozen)' if frozen else ''}, vocabulary "
            f"{len(vocabularies[1])}, {self.settings.precision} on {device}, {torch.get_num_threads()} threads"
        )

    def _read_embeddings(self) -> None:
        """Word vectors from the files that the configuration names."""
        for side, vocabulary in zip(("source", "target"), self.vocabularies, strict=True):
            path = getattr(self.config.model, f"{side}_embeddings")
            if path is not None:
                weight = getattr(self.model, f"{side}_embedding").weight
                self.say(load_into(weight, path, vocabulary, self.model.embedding_scale))

    def begin_folder(self) -> None:
        """Make the run folder once all that can be wrong with the input has been checked; it can be resumed then."""
        self.folder.begin(self.config, self.vocabularies)
        self._save_state()

    # The loop

    def train(self) -> Path:
        """Train to the end, an early stop, or an interrupt."""
        progress, settings = self.progress, self.settings
        if progress.update == 0:
            self._estimate()
        with self._signals(), self._writer() as writer, self._bar() as bar:
            try:
                while progress.epoch < settings.epochs and not self._exhausted():
                    self._epoch(bar, writer)
            except Interrupted:
                self._save_state()
                name = signal.Signals(self.stop_signal or signal.SIGINT).name
                raise TrainingError(
                    f"stopped by {name} after update {progress.update}, all saved; "
                    "the same command goes on (`nmt train` with --resume)"
                ) from None
            except BaseException:
                bar.close()
                raise
        self._save_state()
        if self._exhausted():
            self.say(f"stopped early: no improvement in {settings.patience} validations")
        minutes, best = progress.seconds / 60, self.output / "best"
        self.say(
            f"done after {progress.epoch} epochs, {progress.update} updates, {minutes:.1f} minutes; best "
            f"{self.task.best_by} {progress.best:.2f} at update {progress.best_update}; model in `{best}`"
        )
        return best

    def _exhausted(self) -> bool:
        return 0 < self.settings.patience <= self.progress.bad_validations

    def _epoch(self, bar: Any, writer: Any) -> None:
        """The rest of an epoch; leaves the progress at the start of the next one."""
        progress = self.progress
        pools = self.task.pools(progress.epoch)
        while True:
            at_end = progress.pool >= len(pools)
            if self._validation_due(at_end) and progress.validated != progress.update:
                self._validate(writer)
                if self._exhausted():
                    return
            if at_end:
                break
            pool = self.task.pool(pools[progress.pool], progress.epoch, progress.pool)
            bar.reset(total=round(len(pool.batches) * len(pools) * self.settings.epochs))
            bar.update(round((progress.epoch * len(pools) + progress.pool) * len(pool.batches)) + progress.batch)
            if not self._pool(pool, len(pools), bar, writer):
                return
            progress.pool += 1
            progress.batch = 0
        progress.epoch += 1
        progress.pool = progress.batch = 0

    def _pool(self, pool: Any, pools: int, bar: Any, writer: Any) -> bool:
        """The rest of a pool's batches; whether training should go on."""
        progress, settings = self.progress, self.settings
        while progress.batch < len(pool.batches):
            if self._validation_due(False) and progress.validated != progress.update:
                self._validate(writer)
                if self._exhausted():
                    return False
            started = time.perf_counter()
            group = range(progress.batch, min(progress.batch + settings.accumulation, len(pool.batches)))
            batches = [self.task.batch(pool, i, progress.update) for i in group]
            part = progress.batch / len(pool.batches)
            self.done = (progress.epoch + (progress.pool + part) / pools) / settings.epochs
            rate = learning_rate(settings, progress.update, self.done)
            tokens = self._update(batches, rate)
            progress.batch += len(batches)
            progress.update += 1
            progress.target_tokens += tokens
            if self.average:
                self.average.update(self.model, progress.update)
            progress.seconds += time.perf_counter() - started
            bar.update(len(batches))
            if progress.update % settings.log_interval == 0:
                self._log(rate, writer, bar)
            if time.perf_counter() - self.saved > 60 * settings.save_interval:
                self._save_state()
            self._check_interrupt()
        return True

    def _validation_due(self, at_end: bool) -> bool:
        """Whether a validation belongs here: after each epoch or every so many updates, and at the very end."""
        progress, interval = self.progress, self.settings.validation_interval
        if progress.update == 0:
            return False
        if at_end and (interval == 0 or progress.epoch + 1 == self.settings.epochs):
            return True
        return interval > 0 and progress.update % interval == 0

    def _update(self, batches: list[Any], rate: float) -> int:
        """One update from the gradients of one or more batches; returns its target tokens."""
        progress, settings = self.progress, self.settings
        tokens: int = sum(batch.target_tokens for batch in batches)
        self.model.train()
        for number, batch in enumerate(batches):
            seed = dropout_seed(settings.seed, progress.update, number)
            loss, negative = self.task.backward(self.model, batch, tokens=tokens, seed=seed, progress=self.done)
            if not math.isfinite(loss):
                self.optimizer.zero_grad()
                raise self._not_finite(batch, seed, f"loss is {loss}")
            progress.window["loss"] += loss
            progress.window["negative"] += negative
        norm = gradient_norm(self.parameters).item()
        if not math.isfinite(norm):
            raise self._not_finite(batches[-1], seed, f"gradient norm is {norm}")
        clip_gradients(self.parameters, norm, settings.clip_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad()
        progress.window["tokens"] += tokens
        progress.window["norm"] += norm
        progress.window_updates += 1
        return tokens

    def _not_finite(self, batch: Any, seed: int, what: str) -> TrainingError:
        """Name the batch and the first module whose output (or weight's gradient) is not finite."""
        torch.manual_seed(seed)
        culprit = first_not_finite(self.model, lambda: self.task.forward(self.model, batch))
        return TrainingError(
            f"{what} at update {self.progress.update + 1} (epoch {self.progress.epoch + 1}, batch "
            f"{self.progress.batch + 1}, {self.task.place(batch)}); first in {culprit}. The last good weights are in "
            f"`{self.output}`; lower training.learning_rate or training.clip_norm"
        )

    # Validation

    def _validate(self, writer: Any) -> None:
        """The score on the validation split with the averaged weights, if any; keeps best, last and checkpoints."""
        progress = self.progress
        started = time.perf_counter()
        with self._averaged():
            self.model.eval()
            validation = self.task.validate(self.model, self._check_interrupt)
            progress.validated = progress.update
            progress.seconds += time.perf_counter() - started
            improved = self._compare(validation)
            results = {
                **validation.results,
                "updates": progress.update,
                "minutes of training": f"{progress.seconds / 60:.1f}",
                "written by": f"nmt {__version__}",
            }
            self._write_model("last", results)
            if improved:
                self._write_model("best", results)
            if self.settings.keep_checkpoints:
                self._write_model(f"checkpoints/{progress.update}", results)
                for update in self.folder.checkpoints()[: -self.settings.keep_checkpoints]:
                    self.folder.remove_checkpoint(update)
        record = {
            "kind": "validation",
            "update": progress.update,
            "epoch": progress.epoch + 1,
            **validation.metrics,
            "best": improved,
            "seconds": round(progress.seconds, 3),
        }
        self._record(record, writer)
        self._save_state()
        self.say(
            f"epoch {progress.epoch + 1}, update {progress.update}, {progress.seconds / 60:.1f} min: validation "
            f"{validation.summary}{' (best)' if improved else ''}"
        )

    def _compare(self, validation: Validation) -> bool:
        """Whether a validation is the best so far; counts it."""
        progress, value = self.progress, validation.decides
        more = self.task.best_by == "bleu"
        if progress.best is None or (value > progress.best if more else value < progress.best):
            progress.best, progress.best_update, progress.bad_validations = value, progress.update, 0
            return True
        progress.bad_validations += 1
        return False

    @contextlib.contextmanager
    def _averaged(self) -> Iterator[None]:
        """The model with its averaged weights for the time of the block."""
        if not self.average:
            yield
            return
        weights = dict(self.model.named_parameters())
        current = {name: weight.detach().clone() for name, weight in weights.items()}
        copy_tensors(weights, self.average.weights)
        try:
            yield
        finally:
            copy_tensors(weights, current)

    def _write_model(self, name: str, results: dict[str, Any]) -> None:
        tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in model_tensors(self.model).items()}
        write_model(
            self.output / name,
            self.config,
            *self.vocabularies,
            safetensors.torch.save(tensors, weights_metadata(self.config, *self.vocabularies)),
            model_card(self.config, results),
        )

    # State, records, signals

    def _save_state(self) -> None:
        """Write everything to resume from."""
        tensors = {f"weight.{name}": tensor.detach() for name, tensor in model_tensors(self.model).items()}
        tensors |= {f"carried.{name}": tensor for name, tensor in self.task.carried.items()}
        if self.average:
            tensors |= {f"average.{name}": weight for name, weight in self.average.weights.items()}
        for index, values in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{key}": value for key, value in values.items() if isinstance(value, Tensor)}
        self.folder.write_state(tensors, self.progress, self.task.data_identity)
        self.saved = time.perf_counter()

    def _load_state(self) -> None:
        """Go on from what `_save_state` wrote; raises UserError when the file is damaged or the data are others."""
        with self.folder.damage_reported():
            tensors, self.progress, data = self.folder.read_state()
            self._restore(tensors)
        if data != self.task.data_identity:
            raise UserError(
                f"the data are not those that `{self.output}` was started with; restore them, or remove the folder to "
                "start again (`nmt train --overwrite`)"
            )
        self.folder.cut_back(self.progress)
        self.say(f"resumed at update {self.progress.update} (epoch {self.progress.epoch + 1})")

    def _restore(self, tensors: dict[str, Tensor]) -> None:
        """Put saved tensors into the model, its average, the task and the optimiser."""
        copy_tensors(model_tensors(self.model), _part(tensors, "weight."))
        self.task.carried = {name: tensor.to(self.device) for name, tensor in _part(tensors, "carried.").items()}
        if self.average:
            average = _part(tensors, "average.")  # in the order of the file, but the average has the model's
            self.average.weights = {name: average[name].to(self.device) for name in self.average.weights}
        state = self.optimizer.state_dict()
        restored: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _part(tensors, "optimizer.").items():
            index, key = name.split(".", 1)
            restored.setdefault(int(index), {})[key] = tensor
        state["state"] = restored
        self.optimizer.load_state_dict(state)

    def _log(self, rate: float, writer: Any, bar: Any) -> None:
        progress = self.progress
        window = progress.window
        elapsed = progress.seconds - window.get("seconds", 0.0)
        speed = window["tokens"] / max(elapsed, 1e-9)
        record = {
            "kind": "training",
            "update": progress.update,
            "epoch": progress.epoch + 1,
            "loss": window["loss"] / window["tokens"],
            "perplexity": math.exp(min(window["negative"] / window["tokens"], 700)),
            "gradient_norm": window["norm"] / progress.window_updates,
            "learning_rate": rate,
            "target_tokens": progress.target_tokens,
            "target_tokens_per_second": round(speed),
            "seconds": round(progress.seconds, 3),
        }
        self._record(record, writer)
        bar.set_postfix_str(f"perplexity {record['perplexity']:.2f}, {speed:,.0f} target tokens/s", refresh=False)
        progress.window = {"loss": 0.0, "negative": 0.0, "tokens": 0.0, "norm": 0.0, "seconds": progress.seconds}
        progress.window_updates = 0

    def _record(self, record: dict[str, Any], writer: Any) -> None:
        self.folder.record(record)
        if writer is not None:
            kind = record["kind"]
            for name, value in record.items():
                if name not in ("kind", "update", "epoch", "best", "seconds", "target_tokens"):
                    writer.add_scalar(f"{kind}/{name}", value, record["update"])

    def _estimate(self) -> None:
        """Say how long an epoch will take, from the time of a few batches of typical length."""
        pools = self.task.pools(0)
        pool = self.task.pool(pools[0], 0, 0)
        tokens = self.task.batch_tokens(pool)
        chosen = np.argsort(tokens)[[len(tokens) // 4, len(tokens) // 2, 3 * len(tokens) // 4]]
        statistics = {name: buffer.clone() for name, buffer in self.model.named_buffers()}
        self.model.train()
        seconds, seen = 0.0, 0
        for number, i in enumerate([chosen[1], *chosen]):  # the first is a warm-up
            started = time.perf_counter()
            self.task.backward(self.model, self.task.batch(pool, int(i), 0), tokens=tokens[i], seed=0, progress=0.0)
            if number > 0:
                seconds, seen = seconds + time.perf_counter() - started, seen + tokens[i]
            self.optimizer.zero_grad()
        copy_tensors(dict(self.model.named_buffers()), statistics)
        self.task.carried = {}
        epoch_tokens = sum(tokens) * len(pools)
        minutes = seconds / seen * epoch_tokens / 60
        self.say(
            f"about {len(tokens) * len(pools)} batches and {epoch_tokens:,} target tokens an epoch; estimated "
            f"{minutes:.1f} minutes an epoch, {minutes * self.settings.epochs:.0f} minutes for {self.settings.epochs} "
            f"epochs, without validation"
        )

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Note SIGINT and SIGTERM instead of dying; a second one kills."""

        def note(number: int, frame: Any) -> None:
            self.stop_signal = number
            for kind in (signal.SIGINT, signal.SIGTERM):
                signal.signal(kind, signal.SIG_DFL)

        try:
            before = {kind: signal.signal(kind, note) for kind in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:  # not in the main thread
            yield
            return
        try:
            yield
        finally:
            for kind, handler in before.items():
                signal.signal(kind, handler)

    def _check_interrupt(self) -> None:
        if self.stop_signal is not None:
            raise Interrupted

    @contextlib.contextmanager
    def _writer(self) -> Iterator[Any]:
        """TensorBoard's writer, where it is installed."""
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            yield None
            return
        writer = SummaryWriter(str(self.output / "tensorboard"), purge_step=self.progress.update + 1)
        try:
            yield writer
        finally:
            writer.close()

    @contextlib.contextmanager
    def _bar(self) -> Iterator[Any]:
        from tqdm import tqdm

        unseen = sys.stderr is None or not sys.stderr.isatty()
        bar = tqdm(total=1, unit="batch", desc="training", dynamic_ncols=True, disable=unseen)
        try:
            yield bar
        finally:
            bar.close()


def dropout_seed(seed: int, update: int, number: int) -> int:
    """Seed of the generator of a batch's dropout masks."""
    return int(np.random.SeedSequence([seed, update, number]).generate_state(1, np.uint64)[0] >> 1)


def check_precision(precision: str, device: torch.device) -> None:
    """bf16 is refused where it would be emulated; raises UserError."""
    if precision == "bf16" and device.type == "cpu" and not has_bf16(device):
        raise UserError("training.precision `bf16` needs a CPU with AVX-512 bf16 or a GPU; use `fp32` here")


@torch.no_grad()
def copy_tensors(into: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> None:
    """Copy tensors into those of the same name; raises KeyError when one is missing."""
    for name, tensor in into.items():
        tensor.copy_(tensors[name])


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def first_not_finite(model: nn.Module, run: Callable[[], Any]) -> str:
    """The first module, in the order of the computation, whose output is not finite; else the first such gradient."""
    found: list[str] = []

    def tensors(value: Any) -> Iterator[Tensor]:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple | dict):
            for item in value.values() if isinstance(value, dict) else value:
                yield from tensors(item)

    def watch(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if not found and any(not torch.isfinite(t).all() for t in tensors(output) if t.is_floating_point()):
                found.append(f"module `{name}`")

        return hook

    handles = [module.register_forward_hook(watch(name)) for name, module in model.named_modules() if name]
    with torch.no_grad():
        run()
    for handle in handles:
        handle.remove()
    for name, weight in model.named_parameters():
        if weight.grad is not None and not torch.isfinite(weight.grad).all():
            found.append(f"the gradient of `{name}`")
    return found[0] if found else "the output layer"
