"""A reduced run of scripts/attack: bad luck and strangers, a few hundred cases of each kind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "scripts" / "attack"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, timeout=110)


@pytest.mark.slow
def test_damaged_and_hostile_files_end_in_one_line() -> None:
    done = run("--cases", "400", "--kinds", "flips,hostile,readers,configs", "--seed", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].endswith(" 0 failures")
    assert "seed 3" in done.stdout


@pytest.mark.slow
def test_a_killed_export_is_the_old_or_the_new_one() -> None:
    done = run("--cases", "3", "--kinds", "exports", "--seed", "3")
    assert done.returncode == 0, done.stdout + done.stderr
