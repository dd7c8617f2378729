"""What is seen of a training: the bar on a terminal of 80 columns, and the lines where there is none."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import struct
import sys
import threading

import pytest
import tqdm.auto

from nmt.training import display
from nmt.training.display import Display, duration

termios = pytest.importorskip("termios", reason="needs a terminal of Unix")


def train(shown: Display) -> None:
    """A resumed run: 40 of 100 batches are done."""
    shown.expect(40, 100)
    shown.perplexity, shown.speed = "perplexity 1450.77", "12,345 target tokens/s"
    for update in range(41, 51):
        shown.advance(1, update / 100, f"epoch 1, update {update}, 0.1 min")
        shown.bar.refresh()
    with shown.validating():
        shown.wait("epoch 1")
    shown.say("epoch 1, update 50: validation perplexity 7.00 (best)")
    shown.expect(50, 120)
    shown.advance(1, 0.425, "epoch 2")
    shown.close()


def read_all(terminal: int, blocks: list[bytes]) -> None:
    """What is written to a terminal until nobody has it open any more."""
    with contextlib.suppress(OSError):
        while block := os.read(terminal, 1 << 16):
            blocks.append(block)


def test_the_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with open(theirs, "w", encoding="utf-8", buffering=1) as terminal, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        blocks: list[bytes] = []
        reader = threading.Thread(target=read_all, args=(ours, blocks))
        reader.start()
        train(Display(lambda line: print(line, file=sys.stderr, flush=True)))
    reader.join()
    os.close(ours)
    seen = b"".join(blocks).decode()
    assert "epoch 1, update 50: validation perplexity 7.00 (best)\r\n" in seen
    before, after = seen.split("epoch 1, update 50")
    assert before.endswith(" " * 70 + "\r")  # the line of the bar was cleared, so nothing is glued to the message
    bars = [part for part in re.split("[\r\n]+", seen) if "batch" in part]
    assert bars[0].startswith("training:  40%") and " 40/100 " in bars[0]
    assert " 50/100 " in before and "validating:  50%" in before and "/120 " in after
    assert all(len(bar) <= 80 for bar in bars)
    assert sum("perplexity 1450.77]" in bar for bar in bars) > 10  # whole, and not cut at the last column


def test_a_notebook_has_a_bar_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class tqdm_notebook(tqdm.auto.tqdm):  # type: ignore[misc]  # noqa: N801 (the name by which it is known)
        pass

    monkeypatch.setattr(tqdm.auto, "tqdm", tqdm_notebook)
    assert display.find_bar() is tqdm_notebook


def test_a_line_a_minute_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10_000, 25))
    monkeypatch.setattr(display, "find_bar", lambda: None)
    monkeypatch.setattr(display.time, "monotonic", lambda: float(next(clock)))
    said: list[str] = []
    shown = Display(said.append)
    shown.perplexity, shown.speed = "perplexity 9.00", "12,345 target tokens/s"
    for update in range(1, 21):
        shown.expect(update - 1, 100)
        shown.advance(1, update / 100, f"epoch 1, update {update}")
    assert all(re.fullmatch(r"epoch 1, update \d+: perplexity 9\.00, 12,345 target tokens/s, .* left( unknown)?", line)
               for line in said)  # fmt: skip
    assert 5 < len(said) < 20 and said[-1].endswith("minutes left")


def test_the_time_left_leaves_out_the_reading_of_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(display, "find_bar", lambda: None)
    monkeypatch.setattr(display.time, "monotonic", lambda: now[0])
    said: list[str] = []
    shown = Display(said.append)
    for now[0], share in ((600.0, 0.5), (660.0, 0.51)):
        shown.advance(1, share, "here")
    assert said == ["here: time left unknown", "here: about 49 minutes left"]


def test_durations() -> None:
    assert [duration(minutes) for minutes in (0.2, 1.2, 59.6, 119, 210)] == [
        "less than a minute", "about 1 minute", "about 60 minutes", "about 119 minutes", "about 3.5 hours",
    ]  # fmt: skip
