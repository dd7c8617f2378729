"""Run folders: resuming with other settings, one process at a time, and what killed processes leave."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from runs import Killed, assert_same_runs, kill, quiet, records, stop_after, validations
from torch import Tensor
from toys import toy_config, write_reversal

from nmt.config import Config, load_config
from nmt.errors import UserError
from nmt.network.model import TranslationModel
from nmt.training import loop, run_folder
from nmt.training.loop import is_better, train
from nmt.training.run_folder import STATE, RunFolder, TensorBoard
from nmt.translation.translator import Translator

TRAINING: dict[str, Any] = {"validation_interval": 4, "average_decay": 0.9, "schedule": "constant", "warmup": 0}


@pytest.fixture(scope="module")
def reversal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_reversal(tmp_path_factory.mktemp("data") / "reversal")


@pytest.fixture(scope="module")
def finished(reversal: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("runs") / "whole"
    train(toy_config(reversal, training=TRAINING), output, say=quiet)
    return output


def changed(reversal: Path, **training: Any) -> Config:
    return toy_config(reversal, training={**TRAINING, **training})


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A finished run that a test may change."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


# Resuming with other settings


def test_harmless_changes_and_moved_data_resume_bit_for_bit(
    reversal: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, 5, kill)
        with pytest.raises(Killed):
            train(changed(reversal), tmp_path / "run", say=quiet)
    moved = shutil.copytree(reversal, tmp_path / "elsewhere")
    lines: list[str] = []
    config = toy_config(Path(moved), training={**TRAINING, "save_interval": 5.0, "patience": 30})
    train(config, tmp_path / "run", resume=True, say=lines.append)
    told = next(line for line in lines if line.startswith("settings changed"))
    assert "data.path is" in told and "training.patience is 30 instead of 0" in told and "save_interval" in told
    assert_same_runs(finished, tmp_path / "run")
    assert load_config(tmp_path / "run" / "config.toml") == config


@pytest.mark.parametrize("how", ["gone", "edited"])
def test_validation_data_are_read_once(how: str, reversal: Path, finished: Path, tmp_path: Path) -> None:
    """Files that go or change during the training change no score."""
    data = Path(shutil.copytree(reversal, tmp_path / "data"))

    def disturb(line: str) -> None:
        for path in data.glob("val.*") if line.startswith("model: ") else ():
            path.write_text("z\n" * 20) if how == "edited" else path.unlink()

    train(toy_config(data, training={**TRAINING, "epochs": 1}), tmp_path / "run", say=disturb)
    assert validations(tmp_path / "run") == validations(finished)[:2]


def test_long_validation_lines_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of 150 letters is read in stretches; one of 1,000, which took 10 GB, is left out with a line."""
    data = write_reversal(tmp_path / "data")
    for path in data.glob("val.*"):
        with path.open("a") as file:
            file.write("a b " * 75 + "\n" + "a b " * 500 + "\n")
    lines: list[str] = []
    sizes: list[int] = []
    decode = TranslationModel.decode

    def watched(model: TranslationModel, inputs: Tensor, memory: Any, *rest: Any) -> Any:
        if not model.training:
            sizes.append(inputs.numel())
        return decode(model, inputs, memory, *rest)

    monkeypatch.setattr(TranslationModel, "decode", watched)
    monkeypatch.setattr("nmt.tasks.translation.DECODED_ROWS", 40)
    config = toy_config(data, data={"max_length": 20}, training={"epochs": 1})
    train(config, tmp_path / "run", say=lines.append)
    assert [line.split(", ")[0] for line in lines if "leaves out" in line] == ["validation leaves out 1 of 22 pairs"]
    assert any(line.startswith("1 of 21 validation sources have more than 20 pieces") for line in lines)
    assert 0 < max(sizes) <= 40


def test_japanese_is_trained_on_without_mecab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """BLEU counts characters then, and one line says so; a run with BLEU as its measure is not refused."""
    monkeypatch.setattr("sacrebleu.tokenizers.tokenizer_ja_mecab.MeCab", None)
    data = write_reversal(tmp_path / "data")
    for path in data.glob("*.rev"):
        path.rename(path.with_suffix(".ja"))
    lines: list[str] = []
    config = toy_config(data, data={"target": "ja"}, training={"epochs": 1, "validation_interval": 4})
    train(config, tmp_path / "run", say=lines.append)
    told = [line for line in lines if "MeCab" in line]
    assert len(told) == 1 and told[0].startswith("BLEU counts characters (tokeniser `char`)") and "[ja]" in told[0]
    assert len(validations(tmp_path / "run")) == 2


def test_more_epochs_go_on_where_the_run_ended(reversal: Path, run: Path) -> None:
    before = records(run)
    train(changed(reversal, epochs=3, learning_rate=0.001), run, resume=True, say=quiet)
    after = records(run)
    assert after[: len(before)] == before and after[-1]["update"] == 24
    assert {r["learning_rate"] for r in after[len(before) :] if r["kind"] == "training"} == {0.001}


def test_other_training_settings_are_taken_over(reversal: Path, run: Path) -> None:
    settings = {"optimizer": "sgd", "average_decay": 0.0, "batch_size": 40, "label_smoothing": 0.1, "best_by": "chrf"}
    train(changed(reversal, epochs=3, **settings), run, resume=True, say=quiet)
    assert records(run)[-1]["epoch"] == 3


def test_an_average_that_was_not_there_begins_with_the_weights(reversal: Path, tmp_path: Path) -> None:
    train(changed(reversal, average_decay=0.0, epochs=1), tmp_path / "run", say=quiet)
    train(changed(reversal, epochs=2), tmp_path / "run", resume=True, say=quiet)
    assert validations(tmp_path / "run")[-1]["loss"] < validations(tmp_path / "run")[0]["loss"]


def test_other_batches_begin_the_epoch_again(reversal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, 6, kill)
        patch.setattr(loop.Run, "_exhausted", lambda self: False)
        with pytest.raises(Killed):
            train(changed(reversal, save_interval=0.0, epochs=1), tmp_path / "run", say=quiet)
    lines: list[str] = []
    train(changed(reversal, epochs=1, batch_size=60), tmp_path / "run", resume=True, say=lines.append)
    assert "epoch 1 begins again, as its batches are others" in lines
    assert records(tmp_path / "run")[-1]["update"] == 5 + 2


def test_resume_starts_where_nothing_is(reversal: Path, finished: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    train(changed(reversal), tmp_path / "new", resume=True, say=lines.append)
    assert f"no training in `{tmp_path / 'new'}` yet: a new one starts" in lines
    assert_same_runs(finished, tmp_path / "new")


def test_a_best_model_that_was_deleted_is_made_again(reversal: Path, run: Path) -> None:
    shutil.rmtree(run / "best")
    lines: list[str] = []
    best = train(changed(reversal), run, resume=True, say=lines.append)
    assert any(line.endswith("the best model is that of the validations from now on") for line in lines)
    assert Translator.load(best).translate(["a b"])
    assert [r["update"] for r in validations(run)] == [r["update"] for r in validations(run.parent / "run")]
    assert len(validations(run)) == 4


# One process at a time


def test_two_processes_do_not_train_in_one_folder(reversal: Path, run: Path) -> None:
    before = (run / "metrics.jsonl").read_bytes()
    holder = (  # as `RunFolder.lock` does, without its imports
        "import sys; from filelock import FileLock\n"
        f"lock = FileLock({str(run / '.lock')!r}); lock.acquire(); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", holder], stdin=-1, stdout=-1, text=True) as other:
        assert other.stdout and other.stdout.readline() == "held\n"
        for how in ({"resume": True}, {"overwrite": True}):
            with pytest.raises(UserError, match="another process is training in"):
                train(changed(reversal), run, say=quiet, **how)
        assert (run / "metrics.jsonl").read_bytes() == before and (run / "best").exists()
        other.send_signal(signal.SIGKILL)
    train(changed(reversal), run, resume=True, say=quiet)  # the lock ended with its process
    train(changed(reversal), run, resume=True, say=quiet)  # and with the run


# Killed processes


def test_an_overwrite_killed_anywhere_leaves_nothing_to_resume_wrongly(
    reversal: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each deletion and each file written by the start."""
    config = changed(reversal, seed=2)
    for point in range(0, 12, 2):
        run = Path(shutil.copytree(finished, tmp_path / f"run-{point}"))
        calls = iter(range(point))

        def step(original: Any, calls: Any = calls) -> Any:
            def stepped(*arguments: Any, **named: Any) -> Any:
                if next(calls, None) is None:
                    raise Killed
                return original(*arguments, **named)

            return stepped

        with monkeypatch.context() as patch:
            patch.setattr(run_folder.shutil, "rmtree", step(shutil.rmtree))
            patch.setattr(run_folder, "write_atomically", step(run_folder.write_atomically))
            patch.setattr(loop.Run, "_estimate", kill)
            with pytest.raises(Killed):
                train(config, run, overwrite=True, say=quiet)
        if (run / STATE).exists():
            assert not (run / "best").exists() and load_config(run / "config.toml") == config
            continue
        assert not (run / "best").exists() or (run / "metrics.jsonl").exists()
        if not run_folder.is_unused(run):
            with pytest.raises(UserError, match="has no training state to resume; use --overwrite"):
                train(config, run, resume=True, say=quiet)
        monkeypatch.setattr(loop.Run, "train", lambda self: self.output / "best")
        train(config, run, overwrite=True, say=quiet)
        assert (run / STATE).exists()
        monkeypatch.undo()


@pytest.mark.parametrize("left", [["state/"], ["metrics.jsonl"], ["metrics.jsonl", "state/"], [".lock"],
                                  ["metrics.jsonl", "state/joint.spm", "state/.joint.spm.1.tmp"]])  # fmt: skip
def test_a_start_that_was_killed_does_not_refuse_the_next(tmp_path: Path, left: list[str]) -> None:
    for name in left:
        path = tmp_path / "run" / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.touch()
    for how in ({"resume": True}, {"overwrite": True}, {}):
        resume, overwrite = how.get("resume", False), how.get("overwrite", False)
        assert not run_folder.check_folder(Config(), tmp_path / "run", resume, overwrite)


def test_what_is_not_ours_is_no_unfinished_start(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("mine")
    assert not run_folder.is_unused(tmp_path)
    (tmp_path / "config.toml").unlink()
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "thesis.txt").write_text("mine")
    assert not run_folder.is_unused(tmp_path)


def test_temporary_files_of_killed_processes_go(run: Path) -> None:
    (run / "checkpoints" / "4").mkdir(parents=True)
    left = [run / folder / ".model.safetensors.7.tmp" for folder in (".", "best", "last", "state", "checkpoints/4")]
    for path in left:
        path.touch()
    folder = RunFolder(run)
    folder.lock()
    folder.unlock()
    assert not any(path.exists() for path in left) and (run / "best" / "model.safetensors").exists()


# TensorBoard, and the best model


def test_training_goes_on_without_a_broken_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def find_spec(self, name: str, *_: Any) -> None:
            if name.startswith("torch.utils.tensorboard"):
                raise AttributeError("no attribute `version`")

    for name in [name for name in sys.modules if name.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    lines: list[str] = []
    board = TensorBoard(tmp_path / "board", 0, lines.append)
    board.add({"kind": "training", "update": 1, "loss": 1.0})
    board.close()
    assert lines == ["no records for TensorBoard, which fails: AttributeError: no attribute `version`"]


def test_tensorboard_that_fails_later_is_given_up(tmp_path: Path) -> None:
    lines: list[str] = []
    board = TensorBoard(tmp_path, 0, lines.append)
    assert board.writer is not None
    board.writer.add_scalar = lambda *_: 1 / 0
    for update in (1, 2):
        board.add({"kind": "training", "update": update, "loss": 1.0})
    board.close()
    assert lines == ["no records for TensorBoard, which fails: ZeroDivisionError: division by zero"]


def test_equal_scores_are_decided_by_the_loss() -> None:
    nan = float("nan")
    for metric in ("bleu", "chrf"):
        assert is_better((0.0, 2.0), (0.0, 3.0), metric) and not is_better((0.0, 3.0), (0.0, 2.0), metric)
        assert is_better((1.0, 9.0), (0.5, 1.0), metric) and not is_better((0.5, 1.0), (1.0, 9.0), metric)
        assert is_better((7.001, 2.0), (7.002, 3.0), metric)  # both are shown as 7.00
        assert not is_better((0.0, nan), (0.0, 3.0), metric) and is_better((0.0, 3.0), (0.0, nan), metric)
        assert is_better((5.0, 3.0), (5.0, None), metric)  # a run of an earlier version
    assert is_better((2.0, 2.0), (3.0, 3.0), "loss") and not is_better((3.0, 3.0), (2.0, 2.0), "loss")
    assert is_better((3.0, 3.0), (nan, nan), "loss") and is_better((0.0, nan), (None, None), "bleu")


def test_records_have_chrf_by_which_the_best_can_be_chosen(reversal: Path, tmp_path: Path) -> None:
    training = {"best_by": "chrf", "epochs": 1, "validation_interval": 2}
    train(toy_config(reversal, training=training), tmp_path / "run", say=quiet)
    found = validations(tmp_path / "run")
    scores = [(round(r["chrf"], 2), -r["loss"]) for r in found]
    best = [r["update"] for r in found if r["best"]][-1]
    assert found[scores.index(max(scores))]["update"] == best
    state = RunFolder(tmp_path / "run").read_state()[1]
    assert state.best_update == best and json.dumps(state.best) == json.dumps(max(r["chrf"] for r in found))
