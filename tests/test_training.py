"""Training: resumed equals uninterrupted, whatever stopped it; bad ends are clean."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import Killed, assert_same_runs, kill, quiet, records, send, stop_after, validations
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from toys import toy_config, write_reversal

from nmt.config import Config, load_config, write_config
from nmt.data.batching import Batch
from nmt.errors import TrainingError, UserError
from nmt.export.exporter import export_model
from nmt.model_folder import open_model
from nmt.tasks import translation
from nmt.tasks.translation import TranslationTask
from nmt.training import loop as training
from nmt.training.loop import check_precision, train
from nmt.training.run_folder import STATE, Progress, RunFolder, cut_metrics
from nmt.translation.translator import Translator

CAPTIONS = Path(__file__).parent.parent / "vocab" / "captions-de-en" / "joint.spm"

EVERYTHING: dict[str, dict[str, Any]] = {
    "model": {"dropout": 0.2, "embedding_dropout": 0.1, "context_input": "all", "tied_embeddings": "all"},
    "training": {
        "average_decay": 0.9, "source_sampling": 0.3, "target_sampling": 0.3, "source_word_dropout": 0.1,
        "target_word_dropout": 0.1, "label_smoothing": 0.1, "accumulation": 2, "warmup": 3, "validation_interval": 4,
        "log_interval": 3,
    },
}  # fmt: skip
"""Every source of chance and of state at once."""


@pytest.fixture(scope="module")
def reversal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_reversal(tmp_path_factory.mktemp("data") / "reversal")


@pytest.fixture(scope="module")
def uninterrupted(reversal: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, Path]:
    config = toy_config(reversal, **EVERYTHING)
    output = tmp_path_factory.mktemp("runs") / "whole"
    train(config, output, say=quiet)
    return config, output


@pytest.mark.parametrize("updates", [1, 4, 6])
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_and_resumed_equals_uninterrupted(
    uninterrupted: tuple[Config, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, updates: int, kind: int
) -> None:
    config, whole = uninterrupted
    with monkeypatch.context() as patch:
        stop_after(patch, updates, send(kind))
        name = signal.Signals(kind).name
        with pytest.raises(
            TrainingError, match=f"stopped by {name} after update {updates}; everything is saved: .*--resume"
        ):
            train(config, tmp_path / "run", say=quiet)
    train(config, tmp_path / "run", resume=True, say=quiet)
    assert_same_runs(whole, tmp_path / "run")


def test_a_second_signal_kills_and_the_handlers_come_back(
    reversal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = signal.SIGINT, signal.SIGTERM
    before = [signal.getsignal(kind) for kind in kinds]
    meanwhile: list[Any] = []

    def terminate(run: training.Run) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        meanwhile.extend(signal.getsignal(kind) for kind in kinds)

    stop_after(monkeypatch, 1, terminate)
    with pytest.raises(TrainingError, match="stopped by SIGTERM"):
        train(toy_config(reversal), tmp_path / "run", say=quiet)
    assert meanwhile == [signal.SIG_DFL, signal.SIG_DFL]
    assert [signal.getsignal(kind) for kind in kinds] == before


def test_each_pair_is_seen_once_though_the_batches_of_an_update_change(
    reversal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order of a pool that has begun stays, whatever the number of batches, or of processes, afterwards."""
    seen: list[int] = []
    original = training.Run._update

    def update(self: training.Run, batches: Any, rate: float) -> int:
        seen.extend(int(i) for batch in batches for i in batch.indices)
        return original(self, batches, rate)

    monkeypatch.setattr(training.Run, "_update", update)
    with monkeypatch.context() as patch:
        stop_after(patch, 3, send(signal.SIGINT))
        with pytest.raises(TrainingError, match="after update 3"):
            train(toy_config(reversal, training={"accumulation": 2, "epochs": 1}), tmp_path / "run", say=quiet)
    half = len(seen)
    train(toy_config(reversal, training={"accumulation": 3, "epochs": 1}), tmp_path / "run", resume=True, say=quiet)
    assert 0 < half < len(seen)
    assert len(seen) == len(set(seen))
    assert sorted(seen) == list(range(len(seen)))


def test_killed_and_resumed_equals_uninterrupted(
    uninterrupted: tuple[Config, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written behind the last saved state is written again, the same."""
    config, whole = uninterrupted

    with monkeypatch.context() as patch:
        stop_after(patch, 7, kill)  # the last state is that of the validation at update 4
        with pytest.raises(Killed):
            train(config, tmp_path / "run", say=quiet)
    with open(tmp_path / "run" / "metrics.jsonl", "a") as file:
        file.write('{"kind": "training", "upd')
    train(config, tmp_path / "run", resume=True, say=quiet)
    assert_same_runs(whole, tmp_path / "run")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_kill_9_and_resume_from_the_command_line(uninterrupted: tuple[Config, Path], tmp_path: Path) -> None:
    config, whole = uninterrupted
    (tmp_path / "toy.toml").write_text(write_config(config))
    command = [sys.executable, "-m", "nmt.cli", "train", str(tmp_path / "toy.toml"), "--output", str(tmp_path / "run")]
    command += ["--threads", os.environ["OMP_NUM_THREADS"]]  # as in this process
    killer = (
        "import os, sys; from nmt import cli; from nmt.training import loop as training\n"
        "original = training.Run._save_state\n"
        "def save(self):\n"
        "    original(self)\n"
        "    if self.progress.update >= 4: os.kill(os.getpid(), 9)\n"
        "training.Run._save_state = save\n"
        "cli.main(sys.argv[1:])"
    )
    first = subprocess.run([sys.executable, "-c", killer, *command[3:]], capture_output=True, text=True)
    assert first.returncode == -signal.SIGKILL, first.stderr
    second = subprocess.run([*command, "--resume"], capture_output=True, text=True)
    assert second.returncode == 0, second.stderr
    assert "resumed at update 4" in second.stderr
    assert_same_runs(whole, tmp_path / "run")


def test_what_a_run_leaves(uninterrupted: tuple[Config, Path]) -> None:
    config, output = uninterrupted
    assert load_config(output / "best" / "config.toml") == config
    found = records(output)
    assert {r["kind"] for r in found} == {"training", "validation"}
    assert [r["update"] for r in validations(output)] == [4, 8]
    assert all(math.isfinite(r["loss"]) for r in found)
    assert any((output / "tensorboard").iterdir())
    assert "validation BLEU" in (output / "best" / "README.md").read_text()
    assert not list(output.rglob("*.tmp"))
    model = load_file(output / "last" / "model.safetensors")
    state = load_file(output / STATE)
    assert all(torch.equal(model[name], state[f"average.{name}"]) for name in model)


def test_best_and_early_stopping(reversal: Path, tmp_path: Path) -> None:
    """With a learning rate of almost nothing nothing improves after the first validation."""
    config = toy_config(
        reversal, training={"epochs": 50, "learning_rate": 1e-12, "patience": 2, "best_by": "bleu", "batch_size": 64}
    )
    lines: list[str] = []
    train(config, tmp_path / "run", say=lines.append)
    found = validations(tmp_path / "run")
    assert [r["best"] for r in found] == [True, False, False]
    assert any("stopped early: no improvement in 2 validations" in line for line in lines)
    before = records(tmp_path / "run")
    train(config, tmp_path / "run", resume=True, say=quiet)  # nothing is left to do
    assert records(tmp_path / "run") == before


def test_a_finished_run_keeps_the_settings_that_it_was_trained_with(reversal: Path, tmp_path: Path) -> None:
    train(toy_config(reversal, training={"epochs": 1}), tmp_path / "run", say=quiet)
    before = (tmp_path / "run" / "config.toml").read_bytes()
    train(
        toy_config(reversal, training={"epochs": 1, "label_smoothing": 0.3}), tmp_path / "run", resume=True, say=quiet
    )
    assert (tmp_path / "run" / "config.toml").read_bytes() == before


def test_best_by_loss(reversal: Path, tmp_path: Path) -> None:
    config = toy_config(reversal, training={"best_by": "loss", "validation_interval": 3})
    train(config, tmp_path / "run", say=quiet)
    found = validations(tmp_path / "run")
    best = math.inf
    for record in found:
        assert record["best"] == (record["loss"] < best)
        best = min(best, record["loss"])


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "adagrad"])
@pytest.mark.parametrize("unit", ["sentences", "tokens"])
def test_optimizers_resume(
    reversal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str, unit: str
) -> None:
    settings = {"optimizer": optimizer, "momentum": 0.5, "batch_unit": unit, "batch_size": 64, "epochs": 1}
    config = toy_config(reversal, training=settings)
    train(config, tmp_path / "whole", say=quiet)
    with monkeypatch.context() as patch:
        stop_after(patch, 1, send(signal.SIGINT))
        with pytest.raises(TrainingError):
            train(config, tmp_path / "run", say=quiet)
    train(config, tmp_path / "run", resume=True, say=quiet)
    assert_same_runs(tmp_path / "whole", tmp_path / "run")


def test_loss_that_is_not_finite(reversal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = toy_config(reversal, training={"validation_interval": 2})

    def poison(run: training.Run) -> None:
        with torch.no_grad():
            run.model.decoder.layers.at(0).cell.weight_ih[0, 0] = math.nan

    stop_after(monkeypatch, 3, poison)
    with pytest.raises(TrainingError) as error:
        train(config, tmp_path / "run", say=quiet)
    message = str(error.value)
    assert "loss is nan at update 4 (epoch 1, batch 4, training pairs " in message
    assert "first in module `decoder.layers.0`" in message
    kept = load_file(tmp_path / "run" / "best" / "model.safetensors")
    assert all(torch.isfinite(weight).all() for weight in kept.values())


def test_gradient_that_is_not_finite(reversal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = TranslationTask.backward

    def spoiled(self: TranslationTask, model: Any, batch: Batch, **given: Any) -> Any:
        losses = original(self, model, batch, **given)
        model.output_bias.grad[0] = math.nan
        return losses

    monkeypatch.setattr(TranslationTask, "backward", spoiled)
    with pytest.raises(TrainingError, match=r"gradient norm is nan at update 1 .*the gradient of `output_bias`"):
        train(toy_config(reversal), tmp_path / "run", say=quiet)


def test_missing_tokeniser_stops_before_anything_is_written(
    reversal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(language: str, tokenizer: str) -> None:
        raise UserError(f"no tokeniser for {language}")

    monkeypatch.setattr(translation, "make_bleu", missing)
    with pytest.raises(UserError, match="no tokeniser for rev"):
        train(toy_config(reversal), tmp_path / "run", say=quiet)
    assert not (tmp_path / "run").exists()


def test_existing_folders(uninterrupted: tuple[Config, Path], reversal: Path, tmp_path: Path) -> None:
    config, output = uninterrupted
    before = (output / "metrics.jsonl").read_bytes()
    with pytest.raises(UserError, match="exists already; use --resume to go on, or --overwrite"):
        train(config, output, say=quiet)
    other = toy_config(reversal, **{**EVERYTHING, "model": {**EVERYTHING["model"], "hidden_size": 48}})
    with pytest.raises(UserError, match=r"\(model.hidden_size was 32, but is 48\), .*resume needs the same"):
        train(other, output, resume=True, say=quiet)
    with pytest.raises(UserError, match=r"started with `training.seed` 1, not 2; another seed is another run"):
        train(replace(config, training=replace(config.training, seed=2)), output, resume=True, say=quiet)
    with pytest.raises(UserError, match="exclude each other"):
        train(config, output, resume=True, overwrite=True, say=quiet)
    assert (output / "metrics.jsonl").read_bytes() == before
    shutil.copytree(output, tmp_path / "stateless")
    (tmp_path / "stateless" / STATE).unlink()
    with pytest.raises(UserError, match="has no training state to resume; use --overwrite"):
        train(config, tmp_path / "stateless", resume=True, say=quiet)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="must be a folder, but is a file"):
        train(config, tmp_path / "file", say=quiet)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="is not a run folder of nmt and is not overwritten"):
        train(config, tmp_path / "mine", overwrite=True, say=quiet)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_a_start_that_fails_touches_nothing(reversal: Path, tmp_path: Path) -> None:
    broken = toy_config(reversal, data={"train_split": "nowhere"})
    with pytest.raises(UserError, match="nowhere"):
        train(broken, tmp_path / "run", say=quiet)
    assert not (tmp_path / "run").exists()
    train(toy_config(reversal, training={"epochs": 1}), tmp_path / "run", say=quiet)
    before = records(tmp_path / "run")
    for arguments in ({"config": broken}, {"config": toy_config(reversal), "device": "abacus"}):
        with pytest.raises(UserError):
            train(output=tmp_path / "run", overwrite=True, say=quiet, **arguments)  # type: ignore[arg-type]
    assert records(tmp_path / "run") == before
    with pytest.raises(UserError, match="cannot be made: Not a directory"):
        train(toy_config(reversal), tmp_path / "run" / "metrics.jsonl" / "run", say=quiet)


def test_stopped_before_the_first_update(
    uninterrupted: tuple[Config, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, whole = uninterrupted

    with monkeypatch.context() as patch:
        patch.setattr(training.Run, "_estimate", kill)
        with pytest.raises(Killed):
            train(config, tmp_path / "run", say=quiet)
    train(config, tmp_path / "run", resume=True, say=quiet)
    assert_same_runs(whole, tmp_path / "run")


def test_other_data_do_not_continue_a_run(tmp_path: Path) -> None:
    config = toy_config(write_reversal(tmp_path / "data"), training={"epochs": 1})
    train(config, tmp_path / "run", say=quiet)
    write_reversal(tmp_path / "data", pairs=60)
    with pytest.raises(UserError, match=r"the data are not those that .* was started with"):
        train(config, tmp_path / "run", resume=True, say=quiet)


def test_overwrite_starts_again(reversal: Path, tmp_path: Path) -> None:
    config = toy_config(reversal, training={"epochs": 1})
    train(config, tmp_path / "run", say=quiet)
    first = records(tmp_path / "run")
    train(config, tmp_path / "run", overwrite=True, say=quiet)
    assert records(tmp_path / "run") == first


def test_damaged_state(reversal: Path, tmp_path: Path) -> None:
    config = toy_config(reversal, training={"epochs": 1})
    train(config, tmp_path / "run", say=quiet)
    content = (tmp_path / "run" / STATE).read_bytes()
    places = [10, content.index(b"validated") + 14, content.index(b"optimizer.1") + 10, len(content) // 2, -1]
    for place in places:  # in the header, a counter, a name, the data
        damaged = bytearray(content)
        damaged[place] ^= 1
        (tmp_path / "run" / STATE).write_bytes(damaged)
        folder = RunFolder(tmp_path / "run")
        with (
            pytest.raises(UserError, match=r"`.*training\.safetensors` is damaged: [^\n]*\Z"),
            folder.damage_reported(),
        ):
            folder.read_state()
    (tmp_path / "run" / STATE).write_bytes(content)
    vocabulary = (tmp_path / "run" / "state" / "joint.spm").read_bytes()
    other = vocabulary.replace(b"\xe2\x96\x81a", b"\xe2\x96\x81z", 1)
    (tmp_path / "run" / "state" / "joint.spm").write_bytes(other)
    with pytest.raises(UserError, match=r"joint\.spm` is damaged: it is not the vocabulary that the run was started"):
        train(config, tmp_path / "run", resume=True, say=quiet)
    (tmp_path / "run" / "state" / "joint.spm").write_bytes(vocabulary)
    with safe_open(tmp_path / "run" / STATE, "pt") as file:
        metadata = {name: text for name, text in file.metadata().items() if not name.startswith("crc32")}
    weights = load_file(tmp_path / "run" / STATE)
    save_file(weights, tmp_path / "run" / STATE)
    with pytest.raises(UserError, match=r"is damaged: .*; use --overwrite to start again"):  # no progress in it
        train(config, tmp_path / "run", resume=True, say=quiet)
    del weights["weight.output_bias"]
    save_file(weights, tmp_path / "run" / STATE, metadata)
    with pytest.raises(UserError, match="is damaged: 'output_bias' is missing"):
        train(config, tmp_path / "run", resume=True, say=quiet)
    (tmp_path / "run" / STATE).write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"`.*training\.safetensors` is damaged: "):
        train(config, tmp_path / "run", resume=True, say=quiet)


def test_vocabularies(reversal: Path, tmp_path: Path) -> None:
    """Separate ones, and ones that were learned before."""
    separate = toy_config(reversal, vocabulary={"joint": False, "normalization": "nfkc"}, training={"epochs": 1})
    train(separate, tmp_path / "run", say=quiet)
    folder = tmp_path / "run" / "best"
    assert (folder / "source.spm").exists() and (folder / "target.spm").exists()
    given = {"joint": False, "source": str(folder / "source.spm"), "target": str(folder / "target.spm")}
    lines: list[str] = []
    train(toy_config(reversal, vocabulary=given, training={"epochs": 1}), tmp_path / "again", say=lines.append)
    assert not any(line.startswith("vocabulary:") for line in lines)
    assert (tmp_path / "again" / "best" / "source.spm").read_bytes() == (folder / "source.spm").read_bytes()
    with pytest.raises(UserError, match=r"`vocabulary\.target` must be unset with a joint vocabulary"):
        train(toy_config(reversal, vocabulary={**given, "joint": True}), tmp_path / "joint", say=quiet)


def test_precision_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    check_precision("fp32", torch.device("cpu"))
    with pytest.raises(UserError, match="needs a CPU with AVX-512 bf16 or a GPU"):
        check_precision("bf16", torch.device("cpu"))


def test_bf16_trains(reversal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    train(toy_config(reversal, training={"precision": "bf16"}), tmp_path / "run", say=quiet)
    found = validations(tmp_path / "run")
    assert found[-1]["loss"] < found[0]["loss"]


def test_metrics_are_cut_back(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    lines = [
        {"kind": k, "update": u} for k, u in [("training", 3), ("training", 6), ("validation", 6), ("training", 9)]
    ]
    for progress, kept in [((6, 6), 3), ((6, 3), 2), ((5, -1), 1), ((9, 6), 4)]:
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        cut_metrics(path, Progress(update=progress[0], validated=progress[1]))
        assert len(path.read_text().splitlines()) == kept


STATISTICS: dict[str, dict[str, Any]] = {
    "model": {"input_normalization": "batch", "target_embeddings": "vectors.vec", "frozen_embeddings": True},
    "training": {"average_decay": 0.9, "validation_interval": 4, "keep_checkpoints": 2, "accumulation": 2},
}
"""Running statistics, weights that stay, checkpoints."""


@pytest.fixture(scope="module")
def frozen(reversal: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, Path]:
    folder = tmp_path_factory.mktemp("frozen")
    vectors = {letter: [0.1 * number] * 16 for number, letter in enumerate("abcdefgh")}
    lines = [f"{letter} {' '.join(map(str, vector))}" for letter, vector in vectors.items()]
    (folder / "vectors.vec").write_text("\n".join(["8 16", *lines]) + "\n")
    model = {**STATISTICS["model"], "target_embeddings": str(folder / "vectors.vec")}
    config = toy_config(reversal, **{**STATISTICS, "model": model})
    said: list[str] = []
    train(config, folder / "whole", say=said.append)
    assert any("of 21 pieces start from their vectors in" in line for line in said)
    assert any("of them frozen), vocabulary 21" in line for line in said)
    return config, folder / "whole"


def test_frozen_embeddings_and_running_statistics(frozen: tuple[Config, Path]) -> None:
    """Frozen embeddings stay as they were read; running statistics are those of the last update, not averaged."""
    _, output = frozen
    model, state = load_file(output / "last" / "model.safetensors"), load_file(output / STATE)
    pieces = Translator.load(output).target_vocabulary.encode("b c d")  # type: ignore[attr-defined]
    read = 0.5 * 4 * model["target_embedding.weight"][pieces]  # deviation times the square root of the size
    assert torch.equal(read, torch.tensor([[0.1], [0.2], [0.3]]).expand(3, 16))
    statistics = [name for name in model if "running" in name]
    assert statistics
    assert all(torch.equal(model[name], state[f"weight.{name}"]) for name in statistics)
    assert not any(f"average.{name}" in state for name in statistics)
    assert not torch.equal(model[statistics[0]], torch.zeros_like(model[statistics[0]]))


def test_frozen_and_statistics_resume(
    frozen: tuple[Config, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, whole = frozen
    with monkeypatch.context() as patch:
        stop_after(patch, 7, kill)
        with pytest.raises(Killed):
            train(config, tmp_path / "run", say=quiet)
    (tmp_path / "run" / "checkpoints" / "8").mkdir()  # as if killed between a checkpoint and the state
    vectors = Path(str(config.model.target_embeddings))
    content = vectors.read_bytes()
    vectors.unlink()  # read at the start only
    train(config, tmp_path / "run", resume=True, say=quiet)
    vectors.write_bytes(content)
    assert_same_runs(whole, tmp_path / "run")


def test_checkpoints(frozen: tuple[Config, Path], reversal: Path, tmp_path: Path) -> None:
    """The last ones are kept, as model folders; starting again clears them."""
    config, output = frozen
    validated = [r["update"] for r in validations(output)]
    kept = sorted(int(path.name) for path in (output / "checkpoints").iterdir())
    assert kept == validated[-2:]
    last, newest = (load_file(output / name / "model.safetensors") for name in ("last", f"checkpoints/{kept[-1]}"))
    assert all(torch.equal(last[name], newest[name]) for name in last)
    assert Translator.load(output / "checkpoints" / str(kept[0])).translate(["a b"])
    config = toy_config(reversal, training={"keep_checkpoints": 1, "epochs": 1})
    train(config, tmp_path / "run", say=quiet)
    (tmp_path / "run" / "checkpoints" / "99").mkdir()
    train(config, tmp_path / "run", overwrite=True, say=quiet)
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["8"]


def test_start_from_keeps_the_score(uninterrupted: tuple[Config, Path], reversal: Path, tmp_path: Path) -> None:
    """With a learning rate of almost nothing, fine-tuning gives back the model it starts from."""
    start = uninterrupted[1] / "last"
    config = toy_config(
        reversal,
        model={"tied_embeddings": "all", "context_input": "all", "dropout": 0.4},
        training={"start_from": str(start), "learning_rate": 1e-12, "epochs": 1},
    )
    said: list[str] = []
    train(config, tmp_path / "run", say=said.append)
    assert f"weights from `{start}`" in said
    before, after = (validations(output)[-1] for output in (uninterrupted[1], tmp_path / "run"))
    assert after["loss"] == pytest.approx(before["loss"], rel=1e-5)
    assert after["bleu"] == pytest.approx(before["bleu"])
    assert (tmp_path / "run" / "best" / "joint.spm").read_bytes() == (start / "joint.spm").read_bytes()


def test_start_from_a_model_that_has_only_an_export(
    uninterrupted: tuple[Config, Path], reversal: Path, tmp_path: Path
) -> None:
    """Its weights are read back from the graphs, and the score is that of the model."""
    start = tmp_path / "start"
    shutil.copytree(uninterrupted[1] / "last", start)
    export_model(open_model(start))
    (start / "model.safetensors").unlink()
    settings = {"start_from": str(start), "learning_rate": 1e-12, "epochs": 1}
    train(toy_config(reversal, model=EVERYTHING["model"], training=settings), tmp_path / "run", say=quiet)
    before, after = (validations(output)[-1] for output in (uninterrupted[1], tmp_path / "run"))
    assert after["loss"] == pytest.approx(before["loss"], rel=1e-5)


def test_start_from_a_model_of_another_direction_is_said(
    uninterrupted: tuple[Config, Path], reversal: Path, tmp_path: Path
) -> None:
    turned = {"source": "rev", "target": "src"}
    settings = {"start_from": str(uninterrupted[1] / "last"), "epochs": 1}
    said: list[str] = []
    train(
        toy_config(reversal, model=EVERYTHING["model"], training=settings, data=turned),
        tmp_path / "run",
        say=said.append,
    )
    warning = "warning: that model translates from src to rev, but this text is from rev to src"
    assert warning in said


def test_start_from_with_the_very_vocabulary(
    uninterrupted: tuple[Config, Path], reversal: Path, tmp_path: Path
) -> None:
    start = uninterrupted[1] / "best"
    vocabulary = {"source": str(start / "joint.spm")}
    settings = {"start_from": str(start), "learning_rate": 1e-12, "epochs": 1}
    config = toy_config(reversal, model=EVERYTHING["model"], training=settings, vocabulary=vocabulary)
    train(config, tmp_path / "run", say=quiet)


def test_start_from_and_resume(
    uninterrupted: tuple[Config, Path], reversal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is read at the start only."""
    start = tmp_path / "start"
    shutil.copytree(uninterrupted[1] / "best", start)
    config = toy_config(reversal, model=EVERYTHING["model"], training={"start_from": str(start)})
    train(config, tmp_path / "whole", say=quiet)
    with monkeypatch.context() as patch:
        stop_after(patch, 3, send(signal.SIGINT))
        with pytest.raises(TrainingError):
            train(config, tmp_path / "run", say=quiet)
    shutil.rmtree(start)
    train(config, tmp_path / "run", resume=True, say=quiet)
    assert_same_runs(tmp_path / "whole", tmp_path / "run")


def test_start_from_reads_no_embeddings(uninterrupted: tuple[Config, Path], reversal: Path, tmp_path: Path) -> None:
    """The file says what stays frozen; the vectors are the model's."""
    start = uninterrupted[1] / "last"
    model = {**EVERYTHING["model"], "target_embeddings": "long/lost.vec", "frozen_embeddings": True}
    config = toy_config(reversal, model=model, training={"start_from": str(start), "epochs": 1})
    said: list[str] = []
    train(config, tmp_path / "run", say=said.append)
    assert f"weights from `{start}`, embeddings too: `long/lost.vec` is not read" in said
    before, after = (load_file(folder / "model.safetensors") for folder in (start, tmp_path / "run" / "last"))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert len(changed) == len(before) - 1


def test_start_from_what_does_not_fit(uninterrupted: tuple[Config, Path], reversal: Path, tmp_path: Path) -> None:
    run = uninterrupted[1]
    start = {"start_from": str(run)}
    for sections, message in [
        (
            {"model": {**EVERYTHING["model"], "hidden_size": 8, "cell": "gru"}, "vocabulary": {"byte_fallback": True}},
            r"write the same here: vocabulary\.byte_fallback is False there, but True here; model\.cell is 'lstm' "
            r"there, but 'gru' here; model\.hidden_size is 32 there, but 8 here$",
        ),
        (
            {"model": EVERYTHING["model"], "vocabulary": {"source": str(CAPTIONS)}},
            r"`vocabulary\.source` and `vocabulary\.target` must be unset, or the very vocabulary of .*, with",
        ),
        (
            {"task": "language_model", "training": {"truncation": 8}},
            r"is of task translation, but must be of language_model",
        ),
    ]:
        training_section = {**sections.get("training", {}), **start}  # type: ignore[call-overload]
        config = toy_config(reversal, **{**sections, "training": training_section})  # type: ignore[arg-type]
        with pytest.raises(UserError, match=message):
            train(config, tmp_path / "run", say=quiet)
    config = toy_config(reversal, model=EVERYTHING["model"], training=start)
    with pytest.raises(UserError, match="--overwrite would delete"):
        train(config, run, overwrite=True, say=quiet)
    assert (run / "best" / "model.safetensors").exists()
    assert not (tmp_path / "run").exists()


def test_a_missing_validation_split_is_found_before_the_vocabulary_is_learned(
    reversal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "make_vocabularies", kill)
    with pytest.raises(UserError, match="nowhere"):
        train(toy_config(reversal, data={"validation_split": "nowhere"}), tmp_path / "run", say=quiet)


@pytest.mark.parametrize("setting", [{"coverage_penalty": 0.2}, {"replace_unknown": True}])
def test_a_search_that_needs_attention_is_refused_before_the_training_without(
    reversal: Path, tmp_path: Path, setting: dict[str, Any]
) -> None:
    with pytest.raises(UserError, match=r"needs a model with attention, but `model\.attention` is none"):
        train(toy_config(reversal, decoding=setting), tmp_path / "run", say=quiet)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("decoding", [{"groups": 2}, {"method": "sampling", "groups": 2}])
def test_the_beam_of_the_validation_may_be_smaller_than_the_groups_of_the_search(
    reversal: Path, tmp_path: Path, decoding: dict[str, Any]
) -> None:
    config = toy_config(reversal, training={"epochs": 1}, decoding=decoding)
    assert config.training.validation_beam_size == 1 and config.decoding.beam_size > 1
    train(config, tmp_path / "run", say=quiet)
    assert validations(tmp_path / "run")


@pytest.mark.slow
@pytest.mark.timeout(600)  # 7 seconds of computing, but minutes beside a training of its own
def test_learns_to_reverse(tmp_path: Path) -> None:
    """The whole system on a task that needs the context vector: letters in reversed order."""
    config = toy_config(
        write_reversal(tmp_path / "data", pairs=3000, longest=5),
        model={"embedding_size": 32, "hidden_size": 96, "context_input": "first"},
        training={"epochs": 6, "batch_size": 32, "learning_rate": 0.004},
    )
    train(config, tmp_path / "run", say=quiet)
    translator = Translator.load(tmp_path / "run")
    sources = (tmp_path / "data" / "test.src").read_text().splitlines()
    found = [translation.text for translation in translator.translate(sources)]
    assert sum(text == source[::-1] for text, source in zip(found, sources, strict=True)) >= 18


def test_validation_counts_characters_where_the_script_has_no_spaces(tmp_path: Path) -> None:
    """Nothing names the language of columns called `src` and `rev`; the script of the references does."""
    folder = write_reversal(tmp_path / "data", pairs=60)
    for path in folder.glob("*.rev"):
        thai = path.read_text(encoding="utf-8").translate(
            {ord("a") + i: chr(0x0E01 + i) for i in range(26)} | {32: None}
        )
        path.write_text(thai, encoding="utf-8")
    said: list[str] = []
    output = train(toy_config(folder, training={"epochs": 1}), tmp_path / "run", say=said.append)
    assert output.name == "best"
    assert any("tokeniser is `char` because the references are written in Thai characters" in line for line in said)
