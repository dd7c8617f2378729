"""What training does for a GPU, tried without one: too little memory, fp16, nothing that waits for the device."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import assert_same_runs, load_script, quiet, records, send, stop_after
from test_language_model import lm_config
from test_tasks import example_config, tagging_config, write_examples, write_tags
from test_vectors import vector_config, write_signals
from torch.utils._python_dispatch import TorchDispatchMode
from toys import toy_config, write_reversal

from nmt.config import Config
from nmt.data.batching import batch_positions, batch_rows
from nmt.errors import TrainingError
from nmt.model_folder import BUNDLED, open_model
from nmt.network import torch_engine
from nmt.network.cells import CELLS
from nmt.network.layers import Layer
from nmt.network.torch_engine import find_device
from nmt.tasks.labelling import LabelTask
from nmt.tasks.language_model import LanguageModelTask
from nmt.tasks.task import Task
from nmt.tasks.translation import TranslationTask
from nmt.training import loop
from nmt.training.loop import Run, check_precision, train
from nmt.training.optimization import LossScale
from nmt.translation.onnx_engine import OnnxEngine, load_engine

CHANCE: dict[str, dict[str, Any]] = {
    "model": {"dropout": 0.2, "embedding_dropout": 0.1},
    "training": {"log_interval": 1, "accumulation": 2, "epochs": 1},
}

CASES = ["likelihood", "truncation", "r_drop", "minimum_risk", "language_model", "classification", "vectors", "tagging"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("data")
    return {
        "pairs": write_reversal(folder / "pairs"),
        "classification": write_examples(folder / "examples"),
        "tagging": write_tags(folder / "tags"),
    }


def config_of(case: str, folders: dict[str, Path]) -> Config:
    """A configuration for each task and objective, without chance."""
    if case == "vectors":
        return vector_config(folders["pairs"], write_signals(folders["pairs"].parent / "signals"))
    if case == "classification":
        return example_config(folders[case])
    if case == "tagging":
        return tagging_config(folders[case])
    if case == "language_model":
        return lm_config(folders["pairs"], training={"batch_size": 16})
    settings: dict[str, Any] = {"truncation": 3} if case == "truncation" else {}
    settings |= {"r_drop": 1.0} if case == "r_drop" else {}
    if case == "minimum_risk":
        settings = {"objective": case, "risk_candidates": 3, "risk_search": "beam"}
    return toy_config(folders["pairs"], model={"attention": "general"}, training=settings)


def make_run(config: Config, folder: Path) -> tuple[Run, list[Any]]:
    """A run at its start, and its first two batches."""
    config.model.dropout = config.model.embedding_dropout = config.model.output_dropout = 0.0
    run = Run(config, folder, torch.device("cpu"), False, quiet)
    pool = run.task.pool(run.task.pools(0)[0], 0, 0)
    return run, [run.task.batch(pool, number, number) for number in range(2)]


def small_memory(monkeypatch: pytest.MonkeyPatch, positions: int) -> list[int]:
    """Let larger batches fail like those that do not fit into a GPU, behind their work; returns their rows."""
    failed: list[int] = []
    for kind in (TranslationTask, LanguageModelTask, LabelTask):

        def backward(self: Task, model: Any, batch: Any, *, _whole: Any = kind.backward, **given: Any) -> Any:
            losses = _whole(self, model, batch, **given)
            if batch_positions(batch) > positions:
                failed.append(batch_rows(batch))
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            return losses

        monkeypatch.setattr(kind, "backward", backward)
    return failed


def passes(run: Run, batches: list[Any]) -> tuple[torch.Tensor, dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Losses, gradients and what is carried on."""
    run.model.train()
    run.optimizer.zero_grad()
    run.task.carried = {}
    losses = run._add_gradients(batches, 100)
    return losses, {n: w.grad for n, w in run.model.named_parameters() if w.grad is not None}, run.task.carried


@pytest.mark.parametrize("case", CASES)
def test_what_does_not_fit_is_split_and_counts_the_same(
    case: str, folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, batches = make_run(config_of(case, folders), tmp_path)
    lines: list[str] = []
    run.say = lines.append
    whole = passes(run, batches)
    failed = small_memory(monkeypatch, batch_positions(batches[0]) // 3)
    for found in (passes(run, batches), passes(run, batches)):
        torch.testing.assert_close(found, whole, rtol=1e-4, atol=1e-6)
    most = batch_rows(batches[0])
    assert failed[0] == most and 2 <= len(failed) < 6 and run.progress.fitting is not None
    assert len(lines) <= 2 and f"no room for a batch of {most} rows" in lines[0] and "from now on" in lines[0]


def test_training_in_small_memory_resumes_exactly(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parts have chance of their own, and a resumed run knows what fits."""
    config = toy_config(folders["pairs"], **CHANCE)
    small_memory(monkeypatch, 150)
    lines: list[str] = []
    train(config, tmp_path / "whole", say=lines.append)
    assert 1 <= sum("no room" in line for line in lines) <= 2
    with monkeypatch.context() as patch:
        stop_after(patch, 3, send(signal.SIGTERM))
        with pytest.raises(TrainingError, match="stopped by SIGTERM after update 3"):
            train(config, tmp_path / "run", say=quiet)
    failed = small_memory(monkeypatch, 150)
    train(config, tmp_path / "run", resume=True, say=quiet)
    assert_same_runs(tmp_path / "whole", tmp_path / "run")
    assert not failed


def test_a_row_that_does_not_fit_ends_the_training(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_memory(monkeypatch, 0)
    with pytest.raises(TrainingError, match="the memory of `cpu` has no room for a single row of a batch, which has"):
        train(toy_config(folders["pairs"]), tmp_path / "run", say=quiet)


def test_other_errors_are_no_lack_of_memory(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, batches = make_run(config_of("likelihood", folders), tmp_path)
    monkeypatch.setattr(torch.Tensor, "backward", lambda *_: torch.zeros(2) @ torch.zeros(3))
    with pytest.raises(RuntimeError, match="inconsistent tensor size"):
        run._add_gradients(batches, 1)
    monkeypatch.undo()
    with pytest.raises(RuntimeError) as error:
        torch.empty(1 << 60)
    assert loop.is_out_of_memory(error.value)


# Nothing waits for the device


class Reads(TorchDispatchMode):
    """Counts what would wait for a GPU: numbers that are read, and results whose size depends on numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        masks = name in ("index", "index_put_") and any(i is not None and i.dtype == torch.bool for i in args[1])
        if masks or name in ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "_unique2"):
            self.found[name] += 1
        return func(*args, **(kwargs or {}))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Reads]:
    """Counts them from now on; a kernel of a GPU runs the layers that have one."""
    counter = Reads()

    def counted(name: str) -> Callable[[torch.Tensor], Any]:
        original = getattr(torch.Tensor, name)

        def read(self: torch.Tensor) -> Any:
            counter.found[name] += 1
            return original(self)

        return read

    for name in ("cpu", "numpy", "tolist", "item"):
        monkeypatch.setattr(torch.Tensor, name, counted(name))
    with counter:
        yield counter


@pytest.mark.parametrize("case", ["likelihood", "r_drop", "language_model", "classification", "tagging"])
def test_nothing_is_read_between_two_records(
    case: str, folders: dict[str, Path], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Losses, norms and whether they are finite stay on the device until the interval is over."""
    run, batches = make_run(config_of(case, folders), tmp_path)
    for layer in run.model.modules():
        if isinstance(layer, Layer):
            layer.kernel_devices = ("cpu",)
    run.most_unread = 3
    reads = request.getfixturevalue("reads")
    for number in (1, 2):
        run._update(batches, 0.01)
        assert not reads.found and len(run.unread) == number and run.progress.window["tokens"] == 0
    run._update(batches, 0.01)
    assert reads.found["tolist"] == 1 and set(reads.found) <= {"tolist", "_local_scalar_dense"}
    assert run.progress.window["tokens"] == 3 * sum(batch.target_tokens for batch in batches)


def test_reading_later_changes_nothing_but_when_an_error_shows(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = toy_config(folders["pairs"], training={"epochs": 1})
    train(config, tmp_path / "at once", say=quiet)
    original = Run.__init__

    def unread(self: Run, *given: Any) -> None:
        original(self, *given)
        self.most_unread = 100

    monkeypatch.setattr(Run, "__init__", unread)
    train(config, tmp_path / "later", say=quiet)
    assert_same_runs(tmp_path / "at once", tmp_path / "later")

    weights: list[torch.Tensor] = []

    def poison(run: Run) -> None:
        with torch.no_grad():
            run.model.decoder.layers.at(0).cell.weight_ih[0, 0] = torch.nan
            weights.append(run.model.output_bias)
            weights.append(run.model.output_bias.clone())

    stop_after(monkeypatch, 4, poison)  # the losses are read at update 6
    with pytest.raises(TrainingError, match=r"loss is nan at update 5 .* first in module `decoder\.layers\.0`"):
        train(config, tmp_path / "run", say=quiet)
    assert torch.equal(*weights)  # no update has changed the weights since


# fp16


@pytest.fixture
def emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU takes products in fp16, too, only slowly."""
    monkeypatch.setattr(loop, "check_precision", lambda *_: None)


@pytest.mark.usefixtures("emulated")
@pytest.mark.parametrize("case", ["likelihood", "language_model", "classification"])
def test_fp16_has_nearly_the_gradients_of_fp32(case: str, folders: dict[str, Path], tmp_path: Path) -> None:
    config = config_of(case, folders)
    plain, batches = make_run(config, tmp_path)
    losses, expected, _ = passes(plain, batches)
    config.training.precision = "fp16"
    run, _ = make_run(config, tmp_path)
    assert run.loss_scale
    run.model.train()
    found = run._add_gradients(batches, 100 / run.loss_scale.tensors["factor"])
    torch.testing.assert_close(found, losses, rtol=5e-3, atol=0)
    for name, weight in run.model.named_parameters():
        if name in expected:
            assert weight.dtype == torch.float32 and weight.grad is not None
            gradient = weight.grad / 2**16
            assert (gradient - expected[name]).norm() < 0.03 * expected[name].norm() + 1e-5, name


@pytest.mark.usefixtures("emulated")
def test_fp16_leaves_out_updates_that_overflow_and_resumes_exactly(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = LossScale.__init__

    def large(self: LossScale, device: torch.device) -> None:
        original(self, device)
        self.tensors["factor"] *= 2.0**9

    monkeypatch.setattr(LossScale, "__init__", large)
    config = toy_config(folders["pairs"], training={**CHANCE["training"], "precision": "fp16", "log_interval": 8})
    config.training.accumulation = 1
    train(config, tmp_path / "whole", say=quiet)
    record = records(tmp_path / "whole")[0]
    assert record["kind"] == "training" and 0 < record["skipped_updates"] < 8 and record["gradient_norm"] < 100
    with monkeypatch.context() as patch:
        stop_after(patch, 3, send(signal.SIGTERM))
        with pytest.raises(TrainingError, match="stopped by SIGTERM after update 3"):
            train(config, tmp_path / "run", say=quiet)
    train(config, tmp_path / "run", resume=True, say=quiet)
    assert_same_runs(tmp_path / "whole", tmp_path / "run")


@pytest.mark.usefixtures("emulated")
def test_fp16_that_always_overflows_ends_the_training(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def poison(run: Run) -> None:
        assert run.loss_scale
        run.loss_scale.tensors["factor"].fill_(2.0)
        with torch.no_grad():
            run.model.output_bias[3] = torch.inf

    stop_after(monkeypatch, 2, poison)
    with pytest.raises(TrainingError, match=r"loss is nan at update 4 .*the gradient of `output_bias`"):
        train(toy_config(folders["pairs"], training={"precision": "fp16"}), tmp_path / "run", say=quiet)


@pytest.mark.parametrize("precision", ["fp16", "tf32"])
def test_what_needs_a_gpu_is_refused(precision: str) -> None:
    with pytest.raises(Exception, match=f"training.precision `{precision}` needs a GPU"):
        check_precision(precision, torch.device("cpu"))
    check_precision(precision, torch.device("cuda"))


# Devices


def test_the_fastest_device(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_device("auto").type == torch_engine.best_device()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert torch_engine.best_device() == "cpu"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert torch_engine.best_device() == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert torch_engine.best_device() == "cuda"


def test_a_model_without_weights_for_torch_runs_on_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `auto` a GPU is no reason to refuse an export."""
    monkeypatch.setattr(torch_engine, "best_device", lambda: "cuda")
    folder = open_model(BUNDLED / "de-en")
    assert not folder.weights.exists()
    assert isinstance(load_engine(folder, "auto", 1), OnnxEngine)


@pytest.mark.slow
def test_the_benchmark_runs_without_a_gpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All of it, with tiny sizes; torch's kernels give the losses of our own loops."""
    written = tmp_path / "numbers.json"
    program = load_script("benchmark-gpu")
    given = ["--device", "cpu", "--dry-run", "--output", str(written)]
    assert program.main(given) == 0
    found = json.loads(written.read_text())
    assert set(found) == {"device", "torch", "correctness", "training", "translation", "opennmt"}
    cases = [row["case"] for row in found["correctness"]]
    assert {f"cell {cell}" for cell in CELLS} | {"truncation", "minimum risk", "R-Drop"} <= set(cases)
    assert any(row["difference"] > 0 for row in found["correctness"])  # the two sides took different ways
    assert len({row["model"] for row in found["training"]}) == 6 and len(found["translation"]) == 6
    for row in (*found["training"], *found["translation"]):
        assert all(value > 0 for value in row.values() if isinstance(value, float) and value == value)
    assert "OpenNMT-py is not measured" in capsys.readouterr().out


def test_what_opennmt_says_is_read() -> None:
    program = load_script("benchmark-gpu")
    line = "Step 30/  100; acc: 5.1; ppl: 900.2; xent: 6.8; lr: 0.00100; sents: 6; bsz: 3200/3100/32; 8123/7654 tok/s;"
    assert [found[3] for found in program.REPORT.finditer(line)] == ["7654"]
