"""The training loop: updates, validations, interrupts, and resuming bit for bit.

`nmt.tasks` defines what is trained, and `nmt.training.run_folder` manages the files. All random numbers depend only on
(seed, epoch, batch), so the state needs no random generator and a resumed run equals one that was never stopped.

Several processes (`nmt.network.processes`) do each update together: N of them with `training.accumulation` A do what
one does with N x A, because batches, their seeds and the progress are counted over all of them.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from nmt import __version__
from nmt.config import Config, TrainingConfig
from nmt.data.batching import Pool, batch_positions, batch_rows, group_by_size
from nmt.errors import TrainingError, UserError
from nmt.model_folder import WEIGHTS, ModelFolder, model_card, weights_metadata, write_model
from nmt.network.precision import has_bf16, use_tf32
from nmt.network.processes import Processes
from nmt.network.torch_engine import build_model, find_device, load_weights, model_tensors, use_threads
from nmt.network.word_vectors import load_into
from nmt.scores.perplexity import perplexity, perplexity_text
from nmt.sizing import adopt
from nmt.tasks.resolving import resolve_for_training
from nmt.tasks.task import Say, Task, Validation, dropout_seed, make_vocabularies, vocabularies_of_start
from nmt.text.vocabulary import Vocabulary
from nmt.training.display import Display, counted, duration
from nmt.training.optimization import (
    LossScale,
    WeightAverage,
    clipping_divisor,
    gradient_norm,
    learning_rate,
    make_optimizer,
    take_step,
)
from nmt.training.run_folder import Progress, RunFolder, TensorBoard, check_folder
from nmt.training.settings import ORDER, Changes, check_resumed, open_start

UNREAD = 100  # most updates whose losses stay on a GPU before they are read, which waits for it


class Interrupted(Exception):
    """Raised when a signal asked the run to stop."""


class Update(NamedTuple):
    """An update whose numbers are still on the device, and what it takes to find a mistake in it."""

    # Loss of this process; of all processes: loss, negative log-likelihood, norm of the gradient; then 1 if the update
    # was left out, and the factor of the loss.
    numbers: Tensor
    tokens: int
    batches: list[Any]
    carried: dict[str, Tensor]  # what the task carried before the batches
    number: int
    place: str


def train(
    config: Config,
    output: str | Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    device: str = "cpu",
    threads: int | None = None,
    say: Say = lambda line: print(line, file=sys.stderr, flush=True),
) -> Path:
    """Train a model; returns the folder of the best one.

        output: the run folder
        resume: continue the run in the folder, or start one if there is none
        overwrite: delete the run in the folder and start again

    Raises UserError for bad input or an existing run folder, and TrainingError when the loss is not finite or the run
    was interrupted; the progress is saved then.
    """
    output = Path(output)
    processes, folder = Processes(), RunFolder(output)
    say = say if processes.is_first else lambda line: None
    place = processes.device(find_device(device))

    def check() -> bool:
        return check_folder(config, output, resume, overwrite)

    def begin() -> tuple[Config, bool]:
        check()  # before anything is changed, including the lock
        folder.lock()
        resumed = check()  # again: another process may just have ended
        config.kind.check_metric(config.training.best_by)
        config.kind.load_task().check(config)
        if processes.count > 1 and config.task == "language_model":
            raise UserError("a language model reads its text in order, in a single process; start it without torchrun")
        if resume and not resumed:
            say(f"no training in `{output}` yet: a new one starts")
        return adopt(config, folder.config()) if resumed else resolve_for_training(config, place, say), resumed

    def begin_folder() -> None:
        folder.make()
        folder.lock()
        check()
        run.begin_folder()

    try:
        with processes.connected(place):
            resolved, resumed = processes.from_first(begin)
            use_threads(threads)
            prepare_process()
            run = Run(resolved, output, place, resumed, say, processes)
            if not resumed:
                processes.from_first(begin_folder)
            return run.train()
    finally:
        folder.unlock()
        torch.set_flush_denormal(False)


def prepare_process() -> None:
    """Prepare the process for training; call it before torch computes anything.

    Denormal numbers (below 1e-38) are flushed to zero: they make products up to 25 times as slow, and the gradients of
    attention contain many of them (docs/experiments.md). Torch's threads inherit the setting when they are created. The
    C library keeps freed memory instead of returning it to the system after each step, which saves 5 % of a step with
    64 sentences; only glibc has this call.
    """
    torch.set_flush_denormal(True)
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(-4, 0)  # M_MMAP_MAX: no mappings of their own for large blocks
        mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD: do not shrink the heap


class Run:
    """One training run."""

    def __init__(
        self,
        config: Config,
        output: Path,
        device: torch.device,
        resume: bool,
        say: Say,
        processes: Processes | None = None,
    ) -> None:
        self.config, self.output, self.device = config, output, device
        self.processes = processes or Processes()
        self.settings: TrainingConfig = config.training
        self.display = Display(say)
        self.say = say = self.display.say
        self.folder = RunFolder(output)
        self.board: TensorBoard | None = None
        check_precision(self.settings.precision, device)
        use_tf32(self.settings.precision)
        self.start: ModelFolder | None = None
        self.vocabularies = vocabularies = self.processes.from_first(lambda: self._find_vocabularies(resume))
        self.task: Task = config.kind.load_task()(config, vocabularies, device)
        self.processes.one_per_machine_first(lambda: self.task.prepare(say))
        self.model = build_model(config, len(vocabularies[0]), len(vocabularies[1]), self.settings.seed)
        if not resume:
            self.processes.from_first(self._find_weights)
            if self.settings.objective == "minimum_risk" and self.start is None:
                say("minimum risk learns next to nothing from random weights: name a model as `training.start_from`")
        self.model.to(device)
        self.parameters = [weight for weight in self.model.parameters() if weight.requires_grad]
        self.optimizer = make_optimizer(self.settings, self.parameters)
        decay = self.settings.average_decay
        self.average = WeightAverage(self.model, decay) if decay else None
        self.loss_scale = LossScale(device) if self.settings.precision == "fp16" else None
        self.spoiled = torch.zeros((), device=device)
        """1 once a loss or gradient was not finite; from then on no update changes the weights."""
        self.unread: list[Update] = []
        self.most_unread = 1 if device.type == "cpu" else UNREAD
        self.progress = Progress()
        self.done = 0.0  # share of the training that is done, 0 to 1
        self._share_state(resume)
        self.stop_signal: int | None = None  # the signal that asked this process to stop
        self.stops = False  # whether one of the processes was asked to stop before the last update
        self.saved = time.perf_counter()
        weights = sum(weight.numel() for weight in self.model.parameters())
        frozen = weights - sum(weight.numel() for weight in self.parameters)
        say(
            f"model: {weights:,} weights{f' ({frozen:,} of them frozen)' if frozen else ''}, vocabulary "
            f"{len(vocabularies[1])}, {self.settings.precision} on {device}, "
            + counted(torch.get_num_threads(), "thread")
            + (f" in each of {self.processes.count} processes" if self.processes.count > 1 else "")
        )

    def _find_vocabularies(self, resume: bool) -> tuple[Vocabulary, Any]:
        """Vocabularies or labels: of the run folder, of the model that the run starts from, or of the configuration."""
        if resume:
            return self.folder.vocabularies(self.config)
        self.start = open_start(self.config)
        if self.start:
            return vocabularies_of_start(self.start, self.config)
        return make_vocabularies(self.config, self.say)

    def _find_weights(self) -> None:
        """The weights of the model that the run starts from, or word vectors from the files of the configuration."""
        if self.start:
            if self.start.only_exported:
                from nmt.export.restoring import restore_weights

                restore_weights(self.model, self.start)
            else:
                load_weights(self.model, self.start)
            embeddings = self.config.model.source_embeddings or self.config.model.target_embeddings
            ignored = f", embeddings too: `{embeddings}` is not read" if embeddings else ""
            self.say(f"weights from `{self.start.path}`{ignored}")
            theirs, ours = ((config.data.source, config.data.target) for config in (self.start.config, self.config))
            if self.config.task == "translation" and theirs != ours:
                self.say(
                    f"warning: that model translates from {theirs[0]} to {theirs[1]}, but this text is from {ours[0]} "
                    f"to {ours[1]}"
                )
            return
        for side, vocabulary in zip(("source", "target"), self.vocabularies, strict=True):
            path = getattr(self.config.model, f"{side}_embeddings")
            if path is not None:
                weight = getattr(self.model, f"{side}_embedding").weight
                self.say(load_into(weight, path, vocabulary, self.model.embedding_scale))

    def begin_folder(self) -> None:
        """Create the run folder after all checks of the input; from then on the run can be resumed."""
        self.folder.begin(self.config, self.vocabularies)
        self._save_state()

    # The loop

    def train(self) -> Path:
        progress, settings, best = self.progress, self.settings, self.output / "best"
        try:
            with self._signals():
                if self.processes.is_first:
                    if progress.update == 0:
                        self._estimate()
                    self.board = TensorBoard(self.output / "tensorboard", progress.update, self.say)
                while progress.epoch < settings.epochs and not self._exhausted():
                    self._epoch()
                if progress.validated != progress.update or progress.best is None:  # best/ was deleted
                    self._validate()
        except Interrupted:
            if not self.processes.is_first:
                raise SystemExit(1) from None
            self._save_state()
            name = signal.Signals(self.stop_signal or signal.SIGINT).name
            raise TrainingError(
                f"stopped by {name} after update {progress.update}; everything is saved: "
                "to continue, run the same command with --resume"
            ) from None
        finally:
            self.display.close()
            if self.board:
                self.board.close()
        self._save_state()
        if self._exhausted():
            self.say(f"stopped early: no improvement in {counted(settings.patience, 'validation')}")
        self.say(
            f"done after {counted(progress.epoch, 'epoch')}, {counted(progress.update, 'update')}, "
            f"{progress.seconds / 60:.1f} minutes; best {self.config.kind.metrics[self.task.best_by]} "
            f"{progress.best:.2f} at update {progress.best_update}; model in `{best}`"
        )
        return best

    def _exhausted(self) -> bool:
        return 0 < self.settings.patience <= self.progress.bad_validations

    def _epoch(self) -> None:
        """Train on the rest of an epoch; the progress is then at the start of the next one."""
        progress = self.progress
        pools = self.task.pools(progress.epoch)
        while True:
            at_end = progress.pool >= len(pools)
            if not self._validate_if_due(at_end):
                return
            if at_end:
                break
            pool = self.task.pool(pools[progress.pool], progress.epoch, progress.pool)
            if progress.batch == 0:
                progress.together = self.settings.accumulation * self.processes.count
            if isinstance(pool, Pool) and progress.together > 1:  # a language model reads its text in order
                seed = [self.settings.seed, progress.epoch, progress.pool]
                pool.batches = group_by_size(pool.batches, self.task.batch_tokens(pool), progress.together, seed)
            batches, pools_done = len(pool.batches), progress.epoch * len(pools) + progress.pool
            if self.processes.is_first:
                self.display.expect(
                    done=pools_done * batches + progress.batch, total=batches * len(pools) * self.settings.epochs
                )
            if not self._pool(pool, len(pools)):
                return
            progress.pool += 1
            progress.batch = 0
        progress.epoch += 1
        progress.pool = progress.batch = 0

    def _pool(self, pool: Any, pools: int) -> bool:
        """Train on the rest of a pool's batches; returns whether training should go on."""
        progress, settings = self.progress, self.settings
        while progress.batch < len(pool.batches):
            if not self._validate_if_due(at_end=False):
                return False
            started = time.perf_counter()
            size = settings.accumulation * self.processes.count
            group = range(progress.batch, min(progress.batch + size, len(pool.batches)))
            batches = [self.task.batch(pool, i, progress.update) for i in self.processes.share(group)]
            part = progress.batch / len(pool.batches)
            self.done = (progress.epoch + (progress.pool + part) / pools) / settings.epochs
            rate = learning_rate(settings, progress.update, self.done)
            tokens = self._update(batches, rate)
            progress.batch += len(group)
            progress.update += 1
            progress.target_tokens += tokens
            if self.average:
                self.average.update(self.model, progress.update)
            due = progress.update % settings.log_interval == 0
            if due:
                self._read_losses()
            progress.seconds += time.perf_counter() - started
            if due and progress.window["tokens"]:
                self._log(rate)
            self.display.advance(len(group), self.done, self._where())
            if time.perf_counter() - self.saved > 60 * settings.save_interval:
                self._save_state()
            self._check_interrupt()
        return True

    def _where(self) -> str:
        progress = self.progress
        return f"epoch {progress.epoch + 1}, update {progress.update}, {progress.seconds / 60:.1f} min"

    def _validate_if_due(self, at_end: bool) -> bool:
        """Validate after each epoch or interval, and at the very end; returns whether training goes on."""
        progress, interval = self.progress, self.settings.validation_interval
        at_end = at_end and (interval == 0 or progress.epoch + 1 == self.settings.epochs)
        if progress.update in (0, progress.validated) or not (
            at_end or (interval > 0 and progress.update % interval == 0)
        ):
            return True
        self._validate()
        return not self._exhausted()

    def _update(self, batches: list[Any], rate: float) -> int:
        """One update from the gradients of this process's batches, of which it may have none; returns its tokens."""
        progress, settings, processes = self.progress, self.settings, self.processes
        stops = self.stop_signal is not None
        tokens, stopped = map(round, processes.sums(sum(batch.target_tokens for batch in batches), stops))
        self.stops = stopped > 0
        self.model.train()
        # Gradients add up over the batches. `tokens` counts all of them, so that the sum is the mean over all targets.
        factor = self.loss_scale.tensors["factor"] if self.loss_scale else torch.ones_like(self.spoiled)
        carried = self.task.carried
        losses = self._add_gradients(batches, tokens / factor if self.loss_scale else tokens)
        own = losses[0].clone()
        processes.add_gradients(self.parameters, losses)
        norm = gradient_norm(self.parameters) / factor
        skipped = 1 - (losses[0] + norm).isfinite().to(norm)
        if self.loss_scale:
            self.loss_scale.update(skipped)
        else:
            skipped = self.spoiled = torch.maximum(self.spoiled, skipped)
        take_step(self.optimizer, rate, clipping_divisor(norm, settings.clip_norm) * factor, skipped)
        numbers = torch.stack((own, *losses, norm, skipped, factor))
        place = f"update {progress.update + 1} (epoch {progress.epoch + 1}, batch {progress.batch + 1}"
        self.unread.append(Update(numbers, tokens, batches, carried, progress.update, place))
        if len(self.unread) >= self.most_unread:
            self._read_losses()
        return tokens

    def _add_gradients(self, batches: list[Any], tokens: float | Tensor) -> Tensor:
        """Add an update's gradients, in parts if memory is short; returns loss, negative log-likelihood [2]."""
        carried, too_large = self.task.carried, None
        while True:
            losses, place = torch.zeros(2, device=self.device), 0
            try:
                for place, batch in enumerate(batches):
                    seed = self._seed(self.progress.update, place)
                    losses = losses + torch.stack(self._backward(batch, seed, tokens))
                if too_large is not None:
                    rows, positions, parts = batch_rows(too_large), batch_positions(too_large), self._parts(too_large)
                    self.say(
                        f"update {self.progress.update + 1}: the memory of `{self.device}` has no room for a batch of "
                        f"{rows} rows ({positions:,} positions); batches of that size are split in {parts} from now "
                        "on. A lower training.batch_size avoids it, and training.accumulation keeps the size of an "
                        "update"
                    )
                return losses
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
            # The error is forgotten here, and with it the tensors of the failed attempt.
            self.optimizer.zero_grad()
            self.task.carried = carried
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            too_large = batches[place]
            self._split(too_large)

    def _seed(self, update: int, place: int) -> int:
        """Seed of the random numbers in one of this process's batches of an update."""
        return dropout_seed(self.settings.seed, update, place * self.processes.count + self.processes.number)

    def _backward(self, batch: Any, seed: int, tokens: float | Tensor) -> tuple[Tensor, Tensor]:
        """The passes of a batch, in parts if it would not fit into memory."""
        parts = self._parts(batch)
        if parts == 1:
            return self.task.backward(self.model, batch, tokens=tokens, seed=seed, progress=self.done)
        return self.task.backward_in_parts(self.model, batch, parts, tokens=tokens, seed=seed, progress=self.done)

    def _parts(self, batch: Any) -> int:
        """In how many parts a batch fits into memory, as far as is known."""
        fitting = self.progress.fitting
        return 1 if fitting is None else min(batch_rows(batch), -(-batch_positions(batch) // fitting))

    def _split(self, batch: Any) -> None:
        """Have batches of this size in twice as many parts from now on."""
        rows, positions, parts = batch_rows(batch), batch_positions(batch), self._parts(batch)
        if parts >= rows:
            raise TrainingError(
                f"update {self.progress.update + 1}: the memory of `{self.device}` has no room for a single row of a "
                f"batch, which has {positions // rows:,} positions; lower data.max_length or the sizes of the model"
            )
        self.progress.fitting = -(-positions // (2 * parts))

    def _read_losses(self) -> None:
        """Read the numbers of the last updates from the device; raises TrainingError if one was not finite."""
        if not self.unread:
            return
        unread, self.unread, window = self.unread, [], self.progress.window
        for update, numbers in zip(unread, torch.stack([each.numbers for each in unread]).tolist(), strict=True):
            own, loss, negative, norm, skipped, factor = numbers
            if skipped and (not self.loss_scale or factor <= 1):
                # Each process has batches of its own: one whose loss is not finite says so, otherwise the first.
                if math.isfinite(own) and not (self.processes.is_first and math.isfinite(loss)):
                    raise SystemExit(1)
                what = f"gradient norm is {norm}" if math.isfinite(own) else f"loss is {own}"
                raise self._not_finite(update, what, update.tokens / factor)
            if skipped:
                window["skipped"] = window.get("skipped", 0.0) + 1
                continue
            window["loss"] += loss
            window["negative"] += negative
            window["tokens"] += update.tokens
            window["norm"] += norm
            self.progress.window_updates += 1

    def _not_finite(self, update: Update, what: str, tokens: float) -> TrainingError:
        """Name the batch and the first module whose output (or weight's gradient) is not finite."""
        self.task.carried = update.carried
        for place, batch in enumerate(update.batches):
            seed = self._seed(update.number, place)
            culprit = first_not_finite(self.model, partial(self._backward, batch, seed, tokens))
            if culprit:
                break
        return TrainingError(
            f"{what} at {update.place}, {self.task.place(batch)}); first in {culprit or 'the output layer'}. The last "
            f"good weights are in `{self.output}`; lower training.learning_rate or training.clip_norm"
        )

    # Validation

    def _validate(self) -> None:
        """Score the model in the first process; all others learn from it how the run goes on."""
        self._read_losses()
        fitting = self.progress.fitting  # each process has memory of its own
        vars(self.progress).update(vars(self.processes.from_first(self._score)))
        self.progress.fitting = fitting

    def _score(self) -> Progress:
        """Score the validation split with the averaged weights, if any; keep best, last and checkpoints."""
        progress = self.progress
        started = time.perf_counter()
        with self._averaged(), self.display.validating():
            self.model.eval()
            validation = self.task.validate(self.model, self._check_validation)
            progress.validated = progress.update
            progress.seconds += time.perf_counter() - started
            improved = self._compare(validation)
            results = {
                **validation.results,
                "updates": progress.update,
                "minutes of training": f"{progress.seconds / 60:.1f}",
                "written by": f"nmt {__version__}",
            }
            self._write_model("last", results, validation)
            if improved:
                self._write_model("best", results, validation)
            if self.settings.keep_checkpoints:
                self._write_model(f"checkpoints/{progress.update}", results, validation)
                for update in self.folder.checkpoints()[: -self.settings.keep_checkpoints]:
                    self.folder.remove_checkpoint(update)
        record = {
            "kind": "validation",
            "update": progress.update,
            "epoch": progress.epoch + 1,
            **validation.metrics,
            "best": improved,
            "seconds": round(progress.seconds, 3),
            **({"samples": validation.samples} if validation.samples else {}),
        }
        self._record(record)
        self._save_state()
        guess, what = self.task.guess
        worse = validation.metrics["loss"] > guess
        self.say(
            f"{self._where()}: validation {validation.summary}{' (best)' if improved and not worse else ''}"
            + (f" (worse than {what}; lower training.learning_rate)" if worse else "")
        )
        for texts in validation.samples:
            source, found, reference = (text if len(text) <= 100 else f"{text[:99]}…" for text in texts)
            self.say(f"    {source} -> {found} (reference: {reference})")
        return progress

    def _check_validation(self) -> None:
        """Called regularly during a validation: stop for a signal, and update the display."""
        if self.stop_signal is not None:
            raise Interrupted
        self.display.wait(self._where())

    def _compare(self, validation: Validation) -> bool:
        """Whether a validation is the best so far; also counts validations without improvement."""
        progress = self.progress
        value, loss = validation.metrics[self.task.best_by], validation.metrics["loss"]
        if is_better((value, loss), (progress.best, progress.best_loss), self.task.best_by):
            progress.best, progress.best_loss = value, loss
            progress.best_update, progress.bad_validations = progress.update, 0
            return True
        progress.bad_validations += 1
        return False

    @contextlib.contextmanager
    def _averaged(self) -> Iterator[None]:
        """The model with its averaged weights, for the duration of the block."""
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

    def _write_model(self, name: str, results: dict[str, Any], validation: Validation) -> None:
        tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in model_tensors(self.model).items()}
        write_model(
            self.output / name,
            self.config,
            *self.vocabularies,
            safetensors.torch.save(tensors, weights_metadata(self.config, *self.vocabularies)),
            model_card(self.config, results),
            validation.confidence,
        )

    # State, records, signals

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {f"weight.{name}": tensor.detach() for name, tensor in model_tensors(self.model).items()}
        tensors |= {f"carried.{name}": tensor for name, tensor in self.task.carried.items()}
        if self.average:
            tensors |= {f"average.{name}": weight for name, weight in self.average.weights.items()}
        if self.loss_scale:
            tensors |= {f"loss_scale.{name}": tensor for name, tensor in self.loss_scale.tensors.items()}
        for index, values in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{key}": value for key, value in values.items() if isinstance(value, Tensor)}
        return tensors

    def _save_state(self) -> None:
        if not self.processes.is_first:
            return
        self._read_losses()
        vocabularies = weights_metadata(self.config, *self.vocabularies)
        self.folder.write_state(self._tensors(), self.progress, self.task.data_identity, vocabularies)
        self.saved = time.perf_counter()

    def _share_state(self, resume: bool) -> None:
        """Let all processes begin with the same: the state in the run folder, or the first weights."""

        def begin() -> tuple[dict[str, Tensor], Progress, str] | None:
            if resume:
                self._load_state()
            if self.processes.count == 1:
                return None
            return (
                {name: tensor.cpu() for name, tensor in self._tensors().items()},
                self.progress,
                self.task.data_identity,
            )

        state = self.processes.from_first(begin)
        if state and not self.processes.is_first:
            self._restore(state[0], {})
            self.progress = state[1]
            if self.processes.number_here == 0 and state[2] != self.task.data_identity:
                raise UserError("the training data on this machine are not those of the first process")

    def _load_state(self) -> None:
        """Restore what `_save_state` wrote; raises UserError when the file is damaged or the data have changed."""
        changes = check_resumed(self.folder.config(), self.config, self.output)
        with self.folder.damage_reported():
            tensors, self.progress, data = self.folder.read_state()
            self._restore(tensors, changes)
        if data != self.task.data_identity:
            raise UserError(
                f"the data are not those that `{self.output}` was started with; restore them, start again with "
                "--overwrite, or train on the new data from the old weights, with `training.start_from` and another "
                "--output"
            )
        self._adapt(changes)
        self.folder.cut_back(self.progress)
        if changes and self.progress.epoch < self.settings.epochs:  # a finished run keeps what it was trained with
            self.folder.write_config(self.config)
        self.say(f"resumed at update {self.progress.update} (epoch {self.progress.epoch + 1})")

    def _adapt(self, changes: Changes) -> None:
        """Adapt the progress to settings that have changed, and to a best model that was deleted."""
        progress = self.progress
        if changes:
            described = "; ".join(f"{name} is {new!r} instead of {old!r}" for name, (old, new) in changes.items())
            self.say(f"settings changed since the last start: {described}")
        if changes.keys() & ORDER and progress.pool < len(self.task.pools(progress.epoch)):
            if progress.pool or progress.batch:
                self.say(f"epoch {progress.epoch + 1} begins again, as its batches are others")
            progress.pool = progress.batch = 0
            self.task.carried = {}
        gone = progress.best is not None and not (self.output / "best" / WEIGHTS).exists()
        if "training.best_by" in changes and not gone:
            record = self.folder.validation(progress.best_update)
            progress.best, progress.best_loss = record.get(self.task.best_by), record.get("loss")
        if gone:
            self.say(f"`{self.output / 'best'}` has gone: the best model is that of the validations from now on")
            progress.best = progress.best_loss = None
            if progress.validated == progress.update:
                progress.validated -= 1  # this one is done again

    def _restore(self, tensors: dict[str, Tensor], changes: Changes) -> None:
        """Put saved tensors into the model, its average, the task and the optimiser."""
        copy_tensors(model_tensors(self.model), _part(tensors, "weight."))
        self.task.carried = {name: tensor.to(self.device) for name, tensor in _part(tensors, "carried.").items()}
        if self.average:
            average = _part(tensors, "average.")  # in the order of the file, but the average has the model's
            if not average and "training.average_decay" in changes:
                average = {name: weight.detach().clone() for name, weight in self.model.named_parameters()}
            self.average.weights = {name: average[name].to(self.device) for name in self.average.weights}
        if self.loss_scale and "training.precision" not in changes:
            scale = _part(tensors, "loss_scale.")
            self.loss_scale.tensors = {name: scale[name].to(self.device) for name in self.loss_scale.tensors}
        if "training.optimizer" in changes:
            return  # its state begins anew
        state = self.optimizer.state_dict()
        restored: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _part(tensors, "optimizer.").items():
            index, key = name.split(".", 1)
            restored.setdefault(int(index), {})[key] = tensor
        state["state"] = restored
        self.optimizer.load_state_dict(state)

    def _log(self, rate: float) -> None:
        progress = self.progress
        window = progress.window
        elapsed = progress.seconds - window.get("seconds", 0.0)
        speed, negative = window["tokens"] / max(elapsed, 1e-9), window["negative"] / window["tokens"]
        record = {
            "kind": "training",
            "update": progress.update,
            "epoch": progress.epoch + 1,
            "loss": window["loss"] / window["tokens"],
            "perplexity": perplexity(negative),
            "gradient_norm": window["norm"] / progress.window_updates,
            "learning_rate": rate,
            "target_tokens": progress.target_tokens,
            "target_tokens_per_second": round(speed),
            "seconds": round(progress.seconds, 3),
        }
        if self.loss_scale:
            record["skipped_updates"] = round(window.get("skipped", 0.0))
        self._record(record)
        is_number = self.config.kind.target == "numbers"
        self.display.perplexity = f"loss {negative:.4f}" if is_number else f"perplexity {perplexity_text(negative)}"
        self.display.speed = f"{speed:,.0f} target tokens/s"
        progress.window = {"loss": 0.0, "negative": 0.0, "tokens": 0.0, "norm": 0.0, "seconds": progress.seconds}
        progress.window_updates = 0

    def _record(self, record: dict[str, Any]) -> None:
        if self.processes.is_first:
            self.folder.record(record)
        if self.board:
            self.board.add(record)

    def measure_epoch(self) -> tuple[float, list[int], int]:
        """Seconds of an epoch, from a few typical batches; target tokens of a pool's batches; number of pools."""
        pools = self.task.pools(0)
        pool = self.task.pool(pools[0], 0, 0)
        tokens = self.task.batch_tokens(pool)
        chosen = np.argsort(tokens)[[len(tokens) // 4, len(tokens) // 2, 3 * len(tokens) // 4]]
        statistics = {name: buffer.clone() for name, buffer in self.model.named_buffers()}
        self.model.train()
        seconds, seen = 0.0, 0
        for number, i in enumerate([chosen[1], *chosen]):  # the first is a warm-up
            started = time.perf_counter()
            self._add_gradients([self.task.batch(pool, int(i), 0)], tokens[i]).tolist()  # waits for a GPU
            if number > 0:
                seconds, seen = seconds + time.perf_counter() - started, seen + tokens[i]
            self.optimizer.zero_grad()
        copy_tensors(dict(self.model.named_buffers()), statistics)
        self.task.carried = {}
        return seconds / seen * sum(tokens) * len(pools) / self.processes.count, tokens, len(pools)

    def _estimate(self) -> None:
        seconds, tokens, pools = self.measure_epoch()
        minutes, epochs, batches = seconds / 60, self.settings.epochs, len(tokens) * pools
        self.say(
            f"about {counted(batches, 'batch')} and {sum(tokens) * pools:,} target tokens an epoch; estimated "
            f"{minutes:.1f} minutes an epoch, {duration(minutes * epochs)} for {counted(epochs, 'epoch')}, without "
            "validation"
        )
        updates = -(-len(tokens) // (self.settings.accumulation * self.processes.count)) * pools * epochs
        if self.settings.warmup >= updates:
            self.say(
                f"training.warmup ({self.settings.warmup} updates) is longer than the training (about {updates} "
                "updates): training.learning_rate is never reached; lower the warm-up"
            )

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Record SIGINT and SIGTERM instead of ending at once; a second signal kills the process."""

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
        if self.stops or (self.processes.count == 1 and self.stop_signal is not None):
            raise Interrupted


def is_better(new: tuple[float, float], best: tuple[float | None, float | None], metric: str) -> bool:
    """Whether a validation is better than the best one; each is its value of the metric and its loss.

    If the values are equal to two decimals, as they are shown, the loss decides. A value that is NaN is never better.
    """
    (value, loss), (best_value, best_loss) = new, best
    if best_value is None:
        return True
    if metric == "loss":
        return value < best_value or math.isnan(best_value)
    if round(value, 2) != round(best_value, 2):
        return value > best_value
    return best_loss is None or loss < best_loss or math.isnan(best_loss)


def check_precision(precision: str, device: torch.device) -> None:
    """Raises UserError for a number format that the device does not have or would emulate."""
    if device.type == "cpu" and precision in ("tf32", "fp16"):
        raise UserError(f"training.precision `{precision}` needs a GPU (--device cuda); use `fp32` or `bf16` here")
    if device.type == "cpu" and precision == "bf16" and not has_bf16(device):
        raise UserError("training.precision `bf16` needs a CPU with AVX-512 bf16 or a GPU; use `fp32` here")


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether an error says that there is not enough memory: CUDA's has a class of its own, the others have not."""
    texts = "MPS backend out of memory", "DefaultCPUAllocator"
    return isinstance(error, torch.OutOfMemoryError) or any(text in str(error) for text in texts)


@torch.no_grad()
def copy_tensors(into: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> None:
    """Copy tensors into those of the same name; raises KeyError when one is missing."""
    for name, tensor in into.items():
        tensor.copy_(tensors[name])


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def first_not_finite(model: nn.Module, run: Callable[[], Any]) -> str | None:
    """The first module in order of computation whose output in `run` is not finite, or such a gradient."""
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
    model.zero_grad()
    run()
    for handle in handles:
        handle.remove()
    for name, weight in model.named_parameters():
        if weight.grad is not None and not torch.isfinite(weight.grad).all():
            found.append(f"the gradient of `{name}`")
    return found[0] if found else None
