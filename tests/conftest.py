"""For the whole suite: no network, no cache of the user, the same number of threads, the same random examples."""

import atexit
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator

import hypothesis
import pytest

# Before any test imports datasets, huggingface_hub or torch, which read these once; child processes inherit them.
_FOLDER = tempfile.mkdtemp(prefix="nmt-tests-")
atexit.register(shutil.rmtree, _FOLDER, ignore_errors=True)
os.environ.update(
    {
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HOME": os.path.join(_FOLDER, "huggingface"),
        "NMT_CACHE": os.path.join(_FOLDER, "cache"),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "2"),
        "TOKENIZERS_PARALLELISM": "false",
    }
)

# With a process of tests for each processor (pytest -n), each has a processor of its own, and so have the programs that
# it starts: by default they take as many threads as there are processors, and threads that wait for each other spin.
if (_worker := os.environ.get("PYTEST_XDIST_WORKER")) and hasattr(os, "sched_setaffinity"):
    _processors = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {_processors[int(_worker.removeprefix("gw")) % len(_processors)]})

# The same examples in every run, and no limit of time on a busy machine.
hypothesis.settings.register_profile("nmt", derandomize=True, database=None, deadline=None, max_examples=50)
hypothesis.settings.load_profile("nmt")


class NetworkBlockedError(RuntimeError):
    """Not an OSError: code that survives a missing network must not survive this."""


@pytest.fixture(autouse=True, scope="session")
def no_network() -> Iterator[None]:
    """Connections and name look-ups raise, except to processes of this machine (AF_UNIX, 127.0.0.1)."""
    patch = pytest.MonkeyPatch()
    here = "127.0.0.1"

    def guard(name: str) -> None:
        original = getattr(socket.socket, name)

        def guarded(self: socket.socket, *arguments: object) -> object:
            is_here = any(isinstance(one, tuple) and one[:1] == (here,) for one in arguments)
            if self.family != getattr(socket, "AF_UNIX", None) and not is_here:
                raise NetworkBlockedError(f"socket.{name}{arguments}: tests must not use the network")
            return original(self, *arguments)

        patch.setattr(socket.socket, name, guarded)

    def guard_look_up(name: str) -> None:
        original = getattr(socket, name)

        def guarded(host: object, *arguments: object, **options: object) -> object:
            if host not in (here, here.encode()):
                raise NetworkBlockedError(f"look-up of {host!r}: tests must not use the network")
            return original(host, *arguments, **options)

        patch.setattr(socket, name, guarded)

    for name in ("connect", "connect_ex", "sendto"):
        guard(name)
    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
        guard_look_up(name)
    yield
    patch.undo()


@pytest.fixture(autouse=True, scope="session")
def no_waiting_for_the_disk() -> Iterator[None]:
    """No test can cut the power, and what a killed process has written is there without `fsync` as well."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)
        yield


@pytest.fixture(autouse=True)
def same_threads() -> None:
    """The number of threads changes sums in their last bits; a test that sets its own is undone before the next.

    There are two, or one where each processor has a process of tests: threads that wait for a processor spin.

    ONNX Runtime leaves the thread that it runs on flushing denormal numbers to zero; that is undone as well.
    """
    if sys.modules.keys() & {"torch", "onnxruntime"}:
        import torch

        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        torch.set_flush_denormal(False)
