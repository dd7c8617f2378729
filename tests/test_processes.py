"""Processes that fork, overlap, are killed, or may use a part of the machine; the folder of prepared data."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import nmt.model_files
from nmt.cli import main
from nmt.data import cache_folder
from nmt.model_files import replace_folder
from nmt.model_folder import BUNDLED
from nmt.processors import available_processors, cpu_quota
from nmt.translation.forking import undisturbed
from nmt.translation.switching import INTERVAL, frequent_switches
from nmt.translation.translator import Translator

FORK = """
import os, signal, sys
{prepare}
expected = work()
for working in (False, True):
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        if working:
            assert work() == expected
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0, working
assert work() == expected
"""
TRANSLATES = """
from nmt import Translator
translator = Translator.load("en-de", threads=2)
def work():
    return [found.text for found in translator.translate(["Good morning.", "I am hungry."] * 40)]
"""
MULTIPLIES = """
import nmt.network.torch_engine, torch
torch.set_num_threads(2)
numbers = torch.arange(250_000.0).reshape(500, 500)
def work():
    return (numbers @ numbers).sum().item()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system with fork")
@pytest.mark.parametrize("prepare", [TRANSLATES, MULTIPLIES], ids=["export", "torch"])
def test_a_forked_child_works_and_ends(prepare: str) -> None:
    """As a worker of a web server that has loaded the model before it forks."""
    program = FORK.format(prepare=prepare)
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system with fork")
def test_a_fork_waits_for_the_graphs_that_run() -> None:
    """The child would wait for ever for a lock of the runtime that a thread of its parent holds."""
    entered, seconds = threading.Event(), 0.3

    def run() -> None:
        with undisturbed:
            entered.set()
            time.sleep(seconds)

    thread = threading.Thread(target=run)
    began = time.monotonic()
    thread.start()
    entered.wait()
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        with undisturbed:
            os._exit(0 if len(undisturbed.inside) == 1 else 1)
    assert time.monotonic() - began >= seconds
    assert os.waitpid(child, 0)[1] == 0
    thread.join()
    with undisturbed:  # the parent can go on, too
        assert undisturbed.inside == {threading.get_ident()}


def test_every_graph_runs_where_no_fork_interrupts_it() -> None:
    translator = Translator.load(BUNDLED / "en-de", threads=1)
    translator.translate(["Good morning."])
    inside = []

    class Watched:
        def __init__(self, session: Any) -> None:
            self.session = session

        def io_binding(self) -> Any:
            return self.session.io_binding()

        def run_with_iobinding(self, binding: Any) -> None:
            inside.append(threading.get_ident() in undisturbed.inside)
            self.session.run_with_iobinding(binding)

    for graph in translator.engine._graphs.values():  # type: ignore[attr-defined]
        graph.opened = Watched(graph.opened)
    translator.translate(["Good morning."])
    assert len(inside) > 2 and all(inside)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system with fork")
def test_a_child_has_the_switch_interval_of_before_the_calls_of_its_parent() -> None:
    before = sys.getswitchinterval()
    with frequent_switches():
        child = os.fork()
        if child == 0:
            same = sys.getswitchinterval() == before
            with frequent_switches():
                shorter = sys.getswitchinterval() < before
            os._exit(0 if same and shorter and sys.getswitchinterval() == before else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_overlapping_calls_leave_the_switch_interval_as_it_was() -> None:
    before = sys.getswitchinterval()
    first, second = frequent_switches(), frequent_switches()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)  # the first one ends first, which was where the short interval stayed
    assert sys.getswitchinterval() == pytest.approx(INTERVAL)
    second.__exit__(None, None, None)
    assert sys.getswitchinterval() == before

    def use() -> None:
        for _ in range(50):
            with frequent_switches():
                time.sleep(0)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sys.getswitchinterval() == before


QUOTAS = {
    "no groups": ({}, None),
    "no limit": ({"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/cpu.max": "max 100000\n"}, None),
    "version 2": ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "150000 100000\n"}, 1.5),
    "a group above": (
        {
            "proc/self/cgroup": "0::/a/b\n",
            "sys/fs/cgroup/a/b/cpu.max": "400000 100000\n",
            "sys/fs/cgroup/a/cpu.max": "50000 100000\n",
        },
        0.5,
    ),
    "a container": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2),
    "version 1": (
        {
            "proc/self/cgroup": "5:memory:/d\n4:cpu,cpuacct:/d\n0::/\n",
            "sys/fs/cgroup/cpu,cpuacct/d/cpu.cfs_quota_us": "300000\n",
            "sys/fs/cgroup/cpu,cpuacct/d/cpu.cfs_period_us": "100000\n",
        },
        3,
    ),
    "version 1 in a container": (
        {
            "proc/self/cgroup": "4:cpu,cpuacct:/docker/123\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "100000\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
        1,
    ),
    "version 1 without limit": (
        {
            "proc/self/cgroup": "4:cpu:/\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
        None,
    ),
}


@pytest.mark.parametrize("name", QUOTAS)
def test_the_quota_of_a_container_counts(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    files, expected = QUOTAS[name]
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert cpu_quota(tmp_path) == expected
    assert available_processors(tmp_path) == (8 if expected is None else max(1, min(8, -int(-expected // 1))))


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs an affinity mask")
def test_the_affinity_mask_counts(tmp_path: Path) -> None:
    program = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
    program += "from nmt.translation.onnx_engine import OnnxEngine; from nmt.model_folder import BUNDLED\n"
    program += "print(OnnxEngine(BUNDLED / 'de-en').threads)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "open", "shutil.rmtree"}


def killed_after(changes: int, new: Path, old: Path) -> bool:
    """Let a child replace a folder and kill it at its change number `changes`; whether it came to that."""
    child = os.fork()
    if child == 0:
        seen = 0

        def hook(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal seen
            if event in CHANGES:
                seen += 1
                if seen > changes:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        replace_folder(new, old)
        os._exit(0)
    return os.waitpid(child, 0)[1] != 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system with fork")
@pytest.mark.parametrize("exchange", [True, False])
def test_whenever_a_replacement_is_killed_a_whole_folder_is_there(
    tmp_path: Path, exchange: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not exchange:
        monkeypatch.setattr(nmt.model_files, "_exchange", lambda one, other: False)
    for changes in range(100):
        old, new = tmp_path / f"{changes}" / "onnx", tmp_path / f"{changes}" / "new"
        for folder, text in ((old, "old"), (new, "new")):
            folder.mkdir(parents=True)
            for name in "abc":
                (folder / name).write_text(text)
        killed = killed_after(changes, new, old)
        found = [path.read_text() for path in sorted(old.iterdir())] if old.exists() else None
        states = [["old"] * 3, ["new"] * 3] + ([] if exchange and sys.platform == "linux" else [None])
        assert found in states
        if not killed:
            assert found == ["new"] * 3 and not new.exists()
            return
    raise AssertionError("it never came to an end")


def fill(folder: Path, **ages: float) -> None:
    """Entries of 1,004 bytes, last used so many days ago."""
    folder.mkdir(exist_ok=True)
    for name, age in ages.items():
        (folder / f"{name}.arrow").write_bytes(bytes(1000))
        (folder / f"{name}.json").write_text("null")
        os.utime(folder / f"{name}.json", (time.time() - age * 86400,) * 2)


def test_prepared_data_do_not_grow_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, today=0, week=7, month=30, year=365)
    (tmp_path / f"writing-{2**22 + 1}-abc").mkdir()
    (tmp_path / f"writing-{os.getpid()}-abc").mkdir()
    assert [entry.name for entry in cache_folder.prune(tmp_path)] == ["year"]
    assert [path.name for path in tmp_path.glob("writing-*")] == [f"writing-{os.getpid()}-abc"]
    monkeypatch.setattr(cache_folder, "MOST_BYTES", 2500)
    assert [entry.name for entry in cache_folder.prune(tmp_path)] == ["month"]
    monkeypatch.setattr(cache_folder, "MOST_BYTES", 0)
    assert [entry.name for entry in cache_folder.prune(tmp_path)] == ["week"]  # today's may be about to be opened
    assert [entry.name for entry in cache_folder.entries(tmp_path)] == ["today"]


def test_cache_lists_and_clears(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NMT_CACHE", str(tmp_path))
    fill(tmp_path, **{"pairs-1": 0.5, "corpus-2": 3})
    (tmp_path / "mine.txt").touch()
    assert main(["cache"]) == 0
    listed = capsys.readouterr()
    assert [line.split()[-1] for line in listed.out.splitlines()] == ["pairs-1", "corpus-2"]
    assert f"`{tmp_path}`: 2 entries, 0.0 MB" in listed.err
    assert main(["cache", "--clear"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    monkeypatch.setenv("NMT_CACHE", str(tmp_path / "none"))
    assert main(["cache"]) == 0


def test_a_process_without_a_home_has_a_cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NMT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    folder = cache_folder.cache_folder()
    assert folder.parent == tmp_path and folder.stat().st_mode & 0o777 == 0o700
    assert cache_folder.cache_folder() == folder
