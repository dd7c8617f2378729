"""`ColumnTranslator`: tables translated by Ray Data; a worker that is killed costs no row, and none comes twice."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from nmt import ColumnTranslator, Translator
from nmt.errors import UserError

CLUSTER = (Path(__file__).parent.parent / "docs" / "cluster.md").read_text(encoding="utf-8")
TEXTS = [f"Ich habe {number} Hunde." if number % 3 else None for number in range(40)]
MORTAL = '''
import os, pathlib, signal
class Mortal(nmt.ColumnTranslator):
    """Its process is killed at the row 17, but only once."""
    def __call__(self, batch):
        if 17 in batch["number"] and not pathlib.Path("killed").exists():
            pathlib.Path("killed").write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        return {**super().__call__(batch), "worker": [os.getpid()] * len(batch["number"])}
'''
"""A worker that does not survive its first try."""


@pytest.fixture(scope="module")
def expected() -> list[str]:
    texts = [text or "" for text in TEXTS]
    return [one.text for one in Translator.load("de-en", threads=1).translate(texts, beam_size=2)]


def test_a_column_of_a_batch(expected: list[str]) -> None:
    translate = ColumnTranslator("de-en", "text", "en", beam_size=2)
    for texts in (TEXTS, np.array(TEXTS, object)):
        found = translate({"number": range(40), "text": texts})
        assert list(found) == ["number", "text", "en"]
        assert found["en"] == expected
    with pytest.raises(UserError, match=r"^there is no column `text`; the columns are a, b$"):
        translate({"a": [], "b": []})
    with pytest.raises(UserError, match=r"^the column `text` must be text, but has 3$"):
        translate({"text": np.array([3])})


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra `ray`")
@pytest.mark.timeout(600)
def test_a_killed_worker_costs_no_row(tmp_path: Path, expected: list[str]) -> None:
    """The example of the documentation with two workers, one of which is killed on the way."""
    (tmp_path / "large-de").mkdir()
    pa.parquet.write_table(pa.table({"number": range(40), "text": TEXTS}), tmp_path / "large-de" / "0.parquet")
    (example,) = re.findall(r"```python\n(import nmt.*?)```", CLUSTER, re.S)
    changes = {
        "import ray\n": f"import ray\n{MORTAL}ray.init(num_cpus=3, _node_ip_address='127.0.0.1')\n",
        "nmt.ColumnTranslator,": "Mortal,",
        "runs/large": "de-en",
        '"beam_size": 4': '"beam_size": 2',
        "block=1000": "block=8",
        "batch_size=256": "batch_size=4",
        "size=64": "size=2",
    }
    for old, new in changes.items():
        assert old in example
        example = example.replace(old, new)
    example += "from ray._common.usage.usage_lib import usage_stats_enabled\nassert not usage_stats_enabled()\n"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {"RAY_agent_register_timeout_ms": "300000", "RAY_worker_niceness": "0"}  # for a busy machine
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as folder:  # the names of its sockets must be short
        environment |= {"RAY_TMPDIR": folder, "HOME": folder}
        done = subprocess.run(
            [sys.executable, "-c", example], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
    if "timed out during startup" in done.stderr:
        pytest.skip("Ray gives its own processes 30 seconds to start, which is too short on this busy machine")
    assert done.returncode == 0, done.stderr
    files = sorted((tmp_path / "large-en").iterdir())
    found = [row for file in files for row in pa.parquet.read_table(file).to_pylist()]
    assert [row["number"] for row in found] == list(range(40))
    assert [row["translation"] for row in found] == expected
    assert found[17]["worker"] != int((tmp_path / "killed").read_text())
