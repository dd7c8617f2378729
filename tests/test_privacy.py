"""Nothing is asked for over the network and nothing is written outside of the cache, whatever libraries do by default.

Each command runs in a process of its own with an empty home, without `CI` (in which ONNX Runtime switches its telemetry
off by itself), and with a resolver that records what is looked up.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

RECORDER = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
static void record(const char *what) {
    int file = open(getenv("ASKED"), O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (file < 0 || write(file, what, strlen(what)) < 0 || write(file, "\n", 1) < 0) abort();
    close(file);
}
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    record(name ? name : "-");
    return EAI_FAIL;
}
int connect(int socket, const struct sockaddr *address, socklen_t length) {
    int (*original)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "connect");
    if (address->sa_family == AF_UNIX) return original(socket, address, length);
    record("connection");
    errno = ENETUNREACH;
    return -1;
}
"""
"""Takes the place of the C library's look-up and connection, for every library of a process."""


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """The recorder as a library; None where there is no compiler for it."""
    folder = tmp_path_factory.mktemp("recorder")
    if not sys.platform.startswith("linux") or not (compiler := shutil.which("cc") or shutil.which("gcc")):
        return None
    (folder / "recorder.c").write_text(RECORDER)
    command = [compiler, "-shared", "-fPIC", "-o", "recorder.so", "recorder.c", "-ldl"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / "recorder.so"


def traces(program: str, folder: Path, recorder: Path | None) -> tuple[list[str], list[str]]:
    """Run Python code in a folder of its own.

    Returns: the files that it wrote outside of `work`, where it runs; what it looked up
    """
    work = folder / "work"
    for name in ("work", "home", "temporary"):
        (folder / name).mkdir(exist_ok=True)
    hidden = ("CI", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "NMT_CACHE", "HF_HOME", "HF_HUB_OFFLINE")
    hidden += ("HF_DATASETS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "ORT_DISABLE_TELEMETRY", "HF_UPDATE_DOWNLOAD_COUNTS")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment |= {"HOME": str(folder / "home"), "TMPDIR": str(folder / "temporary"), "ASKED": str(folder / "asked")}
    if recorder:
        environment["LD_PRELOAD"] = str(recorder)
    done = subprocess.run([sys.executable, "-c", program], cwd=work, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    outside = [path for path in folder.rglob("*") if path.is_file() and work not in path.parents]
    asked = (folder / "asked").read_text().split() if (folder / "asked").exists() else []
    return sorted(str(path.relative_to(folder)) for path in outside if path.name != "asked"), asked


TRANSLATE = """
import io, sys
from nmt.cli import translate_main
sys.stdin = io.TextIOWrapper(io.BytesIO(b"Ich schlafe.\\n"))
assert translate_main(["--model", "de-en"]) == 0
"""
PYTHON = """
import subprocess, sys
from nmt import Translator
assert Translator.load("de-en", threads=2).translate(["Ich schlafe."])[0].text
import onnxruntime  # as a program does that uses it for something else as well
worker = "from nmt import Translator; Translator.load('en-de').translate(['Hello.'])"
subprocess.run([sys.executable, "-c", worker], check=True)
"""
TRAIN = """
import random
from pathlib import Path
import datasets
from nmt.cli import main
random.seed(1)
Path("pairs").mkdir()
splits = {}
for split, lines in {"train": 200, "validation": 8, "test": 8}.items():
    words = [" ".join(random.choice("abcdefgh") for _ in range(4)) for _ in range(lines)]
    for side in ("de", "en"):
        Path(f"pairs/{split}.{side}").write_text("".join(line + "\\n" for line in words))
    splits[split] = datasets.Dataset.from_dict({"de": words, "en": words})
datasets.DatasetDict(splits).save_to_disk("saved")
Path("toy.toml").write_text('''
[data]
path = "pairs"
source = "de"
target = "en"
[vocabulary]
size = 300
[model]
hidden_size = 8
embedding_size = 8
[training]
epochs = 1
''')
commands = [
    "vocab toy.toml --set data.path=saved --output vocab",
    "train toy.toml --output run --export fp32",
    "evaluate run --report report",
    "inspect gates run --sentence a --output pictures",
]
for command in commands:
    assert main(command.split()) == 0, command
"""


@pytest.mark.parametrize("program", [TRANSLATE, PYTHON], ids=["translate", "python"])
def test_translating_asks_for_nothing_and_writes_nothing(program: str, tmp_path: Path, recorder: Path | None) -> None:
    assert traces(program, tmp_path, recorder) == ([], [])


@pytest.mark.slow
def test_training_writes_into_its_cache_only(tmp_path: Path, recorder: Path | None) -> None:
    """From files on the disk to a report: datasets, TensorBoard, ONNX and matplotlib take part."""
    pytest.importorskip("matplotlib", reason="the report's pictures need the extra `report`")
    written, asked = traces(TRAIN, tmp_path, recorder)
    assert asked == []
    caches = {name.rsplit("/", 1)[0] for name in written}
    assert caches == {"home/.cache/nmt", "home/.cache/matplotlib"}  # of matplotlib the list of this machine's fonts


def test_the_recorder_records(tmp_path: Path, recorder: Path | None) -> None:
    """Without it, the tests above could not fail."""
    if recorder is None:
        pytest.skip("no C compiler to make the recorder with")
    program = "import socket\ntry:\n    socket.create_connection(('collector.invalid', 80))\nexcept OSError:\n    pass"
    assert traces(program, tmp_path, recorder)[1] == ["collector.invalid"]
    program = "import socket; socket.socket().connect_ex(('192.0.2.1', 80))"
    assert traces(program, tmp_path, recorder)[1][1:] == ["connection"]
