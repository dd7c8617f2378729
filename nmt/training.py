"""Training: the loop, its bookkeeping, and resuming it bit for bit.

A run folder holds best/ and last/ (model folders), state/training.safetensors (weights, their average, the optimiser
and every counter, in one file), and metrics.jsonl. All chance follows from (seed, epoch, batch), so the state needs no
generator and a resumed run equals one that was never stopped.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import math
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from nmt import __version__
from nmt.batching import Batch, Batcher, Pool
from nmt.config import Config, TrainingConfig, load_config, write_config
from nmt.corpus import Corpus, load_pairs, prepare_corpus
from nmt.errors import TrainingError, UserError
from nmt.evaluation import bleu, make_bleu
from nmt.model_folder import model_card, vocabulary_files, write_atomically, write_model
from nmt.optimization import WeightAverage, clip_gradients, gradient_norm, learning_rate, make_optimizer
from nmt.torch_engine import TorchEngine, build_model, find_device
from nmt.translation import Translator
from nmt.vocabulary import Vocabulary, choose_size, learn_vocabulary

STATE = Path("state") / "training.safetensors"

Say = Callable[[str], None]


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
    make_bleu(config.data.target)  # a tokeniser that is missing must stop the run now, not at the first validation
    check_folder(config, output, resume, overwrite)
    if threads is not None:
        torch.set_num_threads(threads)
    keep_memory()
    run = Run(config, output, find_device(device), resume, say)
    if not resume:
        run.begin_folder()
    return run.train()


def check_folder(config: Config, output: Path, resume: bool, overwrite: bool) -> None:
    """Whether the run folder may be used; nothing is written yet."""
    if resume and overwrite:
        raise UserError("--resume and --overwrite exclude each other")
    if resume:
        if not (output / STATE).exists():
            raise UserError(f"`{output}` has no training state to resume; start it anew, with --overwrite if it exists")
        stored = load_config(output / "config.toml")
        if stored != config:
            names = [
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


def keep_memory() -> None:
    """Have the C library keep freed memory instead of returning it to the system after each step.

    Fresh pages cost a fault each: 5 % of a step with 64 sentences. Only glibc has the call.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(-4, 0)  # M_MMAP_MAX: no mappings of their own for large blocks
        mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD: do not shrink the heap


def make_vocabularies(config: Config, say: Say) -> tuple[Vocabulary, Vocabulary]:
    """The configured SentencePiece models, learned from the training text where none is given."""
    settings = config.vocabulary
    if settings.source is not None:
        source = Vocabulary.load(settings.source)
        target = Vocabulary.load(settings.target) if settings.target else source
        if settings.joint and settings.target:
            raise UserError("`vocabulary.target` must be unset with a joint vocabulary")
        return source, target
    pairs = load_pairs(config.data, "train")
    texts = [list(pairs["source"]), list(pairs["target"])]
    words = sum(len(text.split()) for side in texts for text in side)
    characters = len({character for side in texts for text in side for character in text})
    size, why = choose_size(settings, words, characters)
    say(why)
    if settings.joint:
        joint = learn_vocabulary(texts[0] + texts[1], settings, size, "identity")
        return joint, joint
    source = learn_vocabulary(texts[0], settings, size, settings.normalization)
    return source, learn_vocabulary(texts[1], settings, size, "identity")


class Run:
    """One training run."""

    def __init__(self, config: Config, output: Path, device: torch.device, resume: bool, say: Say) -> None:
        self.config, self.output, self.device, self.say = config, output, device, say
        self.settings: TrainingConfig = config.training
        check_precision(self.settings.precision, device)
        if resume:
            found = [Vocabulary.load(output / "state" / name) for name in vocabulary_files(config)]
            self.source_vocabulary, self.target_vocabulary = found[0], found[-1]
        else:
            self.source_vocabulary, self.target_vocabulary = make_vocabularies(config, say)
        vocabularies = self.source_vocabulary, self.target_vocabulary
        started = time.perf_counter()
        self.corpus: Corpus = prepare_corpus(config.data, "train", *vocabularies)
        say(f"training data: {self.corpus.counts}")
        self.validation: Corpus = prepare_corpus(config.data, "validation", *vocabularies)
        say(f"validation data: {self.validation.counts}; prepared in {time.perf_counter() - started:.1f} s")
        self.batcher = Batcher(self.corpus, *vocabularies, self.settings)
        self.validation_batcher = Batcher(self.validation, *vocabularies, self.settings)
        source_size, target_size = len(self.source_vocabulary), len(self.target_vocabulary)
        self.model = build_model(config.model, source_size, target_size, self.settings.seed).to(device)
        self.parameters = [weight for weight in self.model.parameters() if weight.requires_grad]
        self.optimizer = make_optimizer(self.settings, self.parameters)
        decay = self.settings.average_decay
        self.average = WeightAverage(self.model, decay) if decay else None
        self.progress = Progress()
        if resume:
            self._load_state()
        self.stop_signal: int | None = None
        self.saved = time.perf_counter()
        say(
            f"model: {sum(weight.numel() for weight in self.parameters):,} weights, vocabulary {target_size}, "
            f"{self.settings.precision} on {device}, {torch.get_num_threads()} threads"
        )

    def begin_folder(self) -> None:
        """Make the run folder, or clear an old one, once all that can be wrong with the input has been checked.

        It can be resumed from then on: the state holds the initial weights.
        """
        output = self.output
        for name in ("best", "last", "state", "tensorboard", "report"):
            shutil.rmtree(output / name, ignore_errors=True)
        try:
            (output / "state").mkdir(parents=True)
        except OSError as error:
            raise UserError(f"run folder `{output}` cannot be made: {error.strerror}") from None
        write_atomically(output / "metrics.jsonl", b"")
        write_atomically(output / "config.toml", write_config(self.config).encode())
        made = self.source_vocabulary, self.target_vocabulary
        for name, vocabulary in zip(vocabulary_files(self.config), made, strict=False):
            write_atomically(output / "state" / name, vocabulary.model)
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
                    f"go on with the same command and --resume"
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
            f"{settings.best_by} {progress.best:.2f} at update {progress.best_update}; model in `{best}`"
        )
        return best

    def _exhausted(self) -> bool:
        return 0 < self.settings.patience <= self.progress.bad_validations

    def _epoch(self, bar: Any, writer: Any) -> None:
        """The rest of an epoch; leaves the progress at the start of the next one."""
        progress = self.progress
        pools = self.batcher.pools(progress.epoch)
        while True:
            at_end = progress.pool >= len(pools)
            if self._validation_due(at_end) and progress.validated != progress.update:
                self._validate(writer)
                if self._exhausted():
                    return
            if at_end:
                break
            pool = self.batcher.pool(pools[progress.pool], progress.epoch, progress.pool)
            bar.reset(total=round(len(pool.batches) * len(pools) * self.settings.epochs))
            bar.update(round((progress.epoch * len(pools) + progress.pool) * len(pool.batches)) + progress.batch)
            if not self._pool(pool, len(pools), bar, writer):
                return
            progress.pool += 1
            progress.batch = 0
        progress.epoch += 1
        progress.pool = progress.batch = 0

    def _pool(self, pool: Pool, pools: int, bar: Any, writer: Any) -> bool:
        """The rest of a pool's batches; whether training should go on."""
        progress, settings = self.progress, self.settings
        while progress.batch < len(pool.batches):
            if self._validation_due(False) and progress.validated != progress.update:
                self._validate(writer)
                if self._exhausted():
                    return False
            started = time.perf_counter()
            group = range(progress.batch, min(progress.batch + settings.accumulation, len(pool.batches)))
            batches = [self.batcher.batch(pool, i, progress.update).to(self.device) for i in group]
            done = (progress.epoch + (progress.pool + progress.batch / len(pool.batches)) / pools) / settings.epochs
            rate = learning_rate(settings, progress.update, done)
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

    def _update(self, batches: list[Batch], rate: float) -> int:
        """One update from the gradients of one or more batches; returns its target tokens."""
        progress, settings = self.progress, self.settings
        tokens = sum(batch.target_tokens for batch in batches)
        self.model.train()
        for number, batch in enumerate(batches):
            torch.manual_seed(dropout_seed(settings.seed, progress.update, number))
            loss, negative = self._forward(batch)
            if not torch.isfinite(loss):
                torch.manual_seed(dropout_seed(settings.seed, progress.update, number))
                raise self._not_finite(batch, f"loss is {loss.item()}")
            (loss / tokens).backward()  # type: ignore[no-untyped-call]
            progress.window["loss"] += loss.item()
            progress.window["negative"] += negative.item()
        norm = gradient_norm(self.parameters).item()
        if not math.isfinite(norm):
            raise self._not_finite(batches[-1], f"gradient norm is {norm}")
        clip_gradients(self.parameters, norm, settings.clip_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad()
        progress.window["tokens"] += tokens
        progress.window["norm"] += norm
        progress.window_updates += 1
        return tokens

    def _forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.precision == "bf16"):
            result: tuple[Tensor, Tensor] = self.model(
                batch.source, batch.lengths, batch.inputs, batch.targets, self.settings.label_smoothing
            )
        return result

    def _not_finite(self, batch: Batch, what: str) -> TrainingError:
        """Name the batch and the first module whose output (or weight's gradient) is not finite."""
        culprit = first_not_finite(self.model, lambda: self._forward(batch))
        rows = ", ".join(map(str, batch.indices[:5])) + (", ..." if len(batch.indices) > 5 else "")
        return TrainingError(
            f"{what} at update {self.progress.update + 1} (epoch {self.progress.epoch + 1}, batch "
            f"{self.progress.batch + 1}, training pairs {rows}); first in {culprit}. The last good weights are in "
            f"`{self.output}`; lower training.learning_rate or training.clip_norm"
        )

    # Validation

    def _validate(self, writer: Any) -> None:
        """Loss and BLEU on the validation split with the averaged weights, if any; keeps best and last."""
        progress, settings = self.progress, self.settings
        started = time.perf_counter()
        with self._averaged():
            self.model.eval()
            negative, tokens = 0.0, 0
            with torch.no_grad():
                for batch in self.validation_batcher.in_order(64):
                    batch = batch.to(self.device)
                    negative += self._forward(batch)[1].item()
                    tokens += batch.target_tokens
                    self._check_interrupt()
            loss = negative / tokens
            pairs = load_pairs(self.config.data, "validation")
            translator = Translator(
                TorchEngine(self.model), self.source_vocabulary, self.target_vocabulary, self.config.decoding
            )
            hypotheses = []
            sources = list(pairs["source"])
            for start in range(0, len(sources), 512):
                part = translator.translate(sources[start : start + 512], beam_size=settings.validation_beam_size)
                hypotheses += [translation.text for translation in part]
                self._check_interrupt()
            score = bleu(hypotheses, [list(pairs["target"])], self.config.data.target)
            value = score if settings.best_by == "bleu" else -loss
            improved = progress.best is None or value > (
                progress.best if settings.best_by == "bleu" else -progress.best
            )
            progress.validated = progress.update
            progress.seconds += time.perf_counter() - started
            if improved:
                progress.best, progress.best_update = (score if settings.best_by == "bleu" else loss), progress.update
                progress.bad_validations = 0
            else:
                progress.bad_validations += 1
            results = {"validation BLEU": f"{score:.2f} (sacrebleu, beam {settings.validation_beam_size})",
                       "validation perplexity per piece": f"{math.exp(min(loss, 700)):.2f}",
                       "updates": progress.update, "minutes of training": f"{progress.seconds / 60:.1f}",
                       "written by": f"nmt {__version__}"}  # fmt: skip
            self._write_model("last", results)
            if improved:
                self._write_model("best", results)
        record = {
            "kind": "validation",
            "update": progress.update,
            "epoch": progress.epoch + 1,
            "loss": loss,
            "perplexity": math.exp(min(loss, 700)),
            "bleu": score,
            "best": improved,
            "seconds": round(progress.seconds, 3),
        }
        self._record(record, writer)
        self._save_state()
        self.say(
            f"epoch {progress.epoch + 1}, update {progress.update}, {progress.seconds / 60:.1f} min: validation "
            f"perplexity {record['perplexity']:.2f}, BLEU {score:.2f}{' (best)' if improved else ''}"
        )

    @contextlib.contextmanager
    def _averaged(self) -> Iterator[None]:
        """The model with its averaged weights for the time of the block."""
        if not self.average:
            yield
            return
        current = {name: weight.detach().clone() for name, weight in self.model.named_parameters()}
        set_weights(self.model, self.average.weights)
        try:
            yield
        finally:
            set_weights(self.model, current)

    def _write_model(self, name: str, results: dict[str, Any]) -> None:
        weights = {key: weight.detach().cpu().contiguous() for key, weight in self.model.named_parameters()}
        write_model(
            self.output / name,
            self.config,
            self.source_vocabulary,
            self.target_vocabulary,
            safetensors.torch.save(weights),
            model_card(self.config, results),
        )

    # State, records, signals

    def data_identity(self) -> str:
        """Checksum of the lengths of all pairs: other data would not continue the same run."""
        corpora = (self.corpus, self.validation)
        lengths = [side for corpus in corpora for side in (corpus.source_lengths, corpus.target_lengths)]
        return hashlib.sha256(b"|".join(side.tobytes() for side in lengths)).hexdigest()

    def _save_state(self) -> None:
        """Everything to resume from, in one file that is replaced at once."""
        tensors = {f"weight.{name}": weight.detach() for name, weight in self.model.named_parameters()}
        if self.average:
            tensors |= {f"average.{name}": weight for name, weight in self.average.weights.items()}
        for index, values in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{key}": value for key, value in values.items() if isinstance(value, Tensor)}
        contiguous = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
        metadata = {"progress": json.dumps(asdict(self.progress)), "data": self.data_identity()}
        write_atomically(self.output / STATE, safetensors.torch.save(contiguous, metadata))
        self.saved = time.perf_counter()

    def _load_state(self) -> None:
        """Go on from what `_save_state` wrote; raises UserError when the file is damaged."""
        path = self.output / STATE
        try:
            with safe_open(path, "pt") as file:
                self.progress = Progress(**json.loads(file.metadata()["progress"]))
                changed = file.metadata()["data"] != self.data_identity()
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            set_weights(self.model, _part(tensors, "weight."))
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
        except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
            # no safetensors file, or one without progress, with other weights, or with weights of other shapes
            reason = " ".join(str(error).split()) + (" is missing" if isinstance(error, KeyError) else "")
            raise UserError(f"`{path}` is damaged: {reason}; use --overwrite to start again") from None
        if changed:
            raise UserError(
                f"the data are not those that `{self.output}` was started with; restore them, or use --overwrite"
            )
        cut_metrics(self.output / "metrics.jsonl", self.progress)
        self.say(f"resumed at update {self.progress.update} (epoch {self.progress.epoch + 1})")

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
        with open(self.output / "metrics.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        if writer is not None:
            kind = record["kind"]
            for name, value in record.items():
                if name not in ("kind", "update", "epoch", "best", "seconds", "target_tokens"):
                    writer.add_scalar(f"{kind}/{name}", value, record["update"])

    def _estimate(self) -> None:
        """Say how long an epoch will take, from the time of a few batches of typical length."""
        pools = self.batcher.pools(0)
        pool = self.batcher.pool(pools[0], 0, 0)
        tokens = [sum(len(pool.target[i]) + 1 for i in batch) for batch in pool.batches]
        chosen = np.argsort(tokens)[[len(tokens) // 4, len(tokens) // 2, 3 * len(tokens) // 4]]
        self.model.train()
        torch.manual_seed(0)
        seconds, seen = 0.0, 0
        for number, i in enumerate([chosen[1], *chosen]):  # the first is a warm-up
            started = time.perf_counter()
            loss, _ = self._forward(self.batcher.batch(pool, int(i), 0).to(self.device))
            loss.backward()  # type: ignore[no-untyped-call]
            if number > 0:
                seconds, seen = seconds + time.perf_counter() - started, seen + tokens[i]
            self.optimizer.zero_grad()
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

        bar = tqdm(total=1, unit="batch", desc="training", dynamic_ncols=True, disable=not sys.stderr.isatty())
        try:
            yield bar
        finally:
            bar.close()


def dropout_seed(seed: int, update: int, number: int) -> int:
    """Seed of the generator of a batch's dropout masks."""
    return int(np.random.SeedSequence([seed, update, number]).generate_state(1, np.uint64)[0] >> 1)


def check_precision(precision: str, device: torch.device) -> None:
    """bf16 is refused where it would be emulated; raises UserError."""
    if precision == "bf16" and device.type == "cpu" and not torch.cpu._is_avx512_bf16_supported():
        raise UserError("training.precision `bf16` needs a CPU with AVX-512 bf16 or a GPU; use `fp32` here")


@torch.no_grad()
def set_weights(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """Copy tensors into a model's parameters."""
    for name, weight in model.named_parameters():
        weight.copy_(weights[name])


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


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


def first_not_finite(model: nn.Module, run: Callable[[], Any]) -> str:
    """The first module, in the order of the computation, whose output is not finite; else the first such gradient."""
    found: list[str] = []

    def tensors(value: Any) -> Iterator[Tensor]:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            for item in value:
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
