"""Progress of a training: a bar on a terminal or in a notebook, otherwise a line per minute."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

Say = Callable[[str], None]

LINE_SECONDS = 60.0  # seconds between two lines if there is no bar


class Display:
    """Shows the progress of a training. Messages are printed through it, so that they do not collide with the bar."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self.bar: Any = None
        self.perplexity = ""  # the latest one of training, in words
        self.speed = ""  # the latest one of training, in words
        self.began = self.said = time.monotonic()  # when the first batches were done, and something was shown
        self.first_share: float | None = None  # share of the training that was done then

    def say(self, line: str) -> None:
        """Print a line; the bar is removed and drawn again below it."""
        if self.bar is None:
            self._say(line)
            return
        with type(self.bar).external_write_mode(file=sys.stderr):
            self._say(line)

    def expect(self, done: int, total: int) -> None:
        """Set the number of finished batches and the expected total; the first call draws the bar."""
        if self.bar is not None:
            self.bar.total = self.bar.n + total - done
        elif visible := find_bar():
            self.bar = visible(
                total=total,
                initial=done,
                unit="batch",
                desc="training",
                dynamic_ncols=True,
                miniters=1,  # with its own estimate, tqdm would not update the bar when batches become slower
                mininterval=0.5,
                file=sys.stderr,
            )

    def advance(self, batches: int, share: float, where: str) -> None:
        """Count finished batches; `share` of the training is finished, `where` names the epoch and the update."""
        if self.first_share is None:
            self.first_share, self.began = share, time.monotonic()  # the time before was spent on reading the text
        if self.bar is not None:
            self.bar.set_postfix_str(self.perplexity, refresh=False)  # with the speed it is wider than 80 columns
            self.bar.update(batches)
        else:
            known = [text for text in (self.perplexity, self.speed, self._time_left(share)) if text]
            self._say_each_minute(f"{where}: {', '.join(known)}")

    @contextlib.contextmanager
    def validating(self) -> Iterator[None]:
        """Show on the bar that a validation is running."""
        if self.bar is not None:
            self.bar.set_description_str("validating")
        yield
        if self.bar is not None:
            self.bar.set_description_str("training")

    def wait(self, where: str) -> None:
        """Update the clock while something other than a batch is running."""
        if self.bar is None:
            self._say_each_minute(f"{where}: validating")
        elif time.monotonic() - self.said > 1:
            self.said = time.monotonic()
            self.bar.refresh()

    def close(self) -> None:
        """Close the bar and leave it on the screen."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def _say_each_minute(self, line: str) -> None:
        if time.monotonic() - self.said >= LINE_SECONDS:
            self.said = time.monotonic()
            self._say(line)

    def _time_left(self, share: float) -> str:
        done = share - (self.first_share or 0.0)
        if done <= 0:
            return "time left unknown"
        return f"{duration((time.monotonic() - self.began) / done * (1 - share) / 60)} left"


def find_bar() -> Any:
    """The class of tqdm's bar for this terminal or notebook; None where nobody would see a bar."""
    from tqdm.auto import tqdm

    notebook = any(kind.__name__ == "tqdm_notebook" for kind in tqdm.__mro__)
    terminal = sys.stderr is not None and sys.stderr.isatty()
    return tqdm if notebook or terminal else None


def duration(minutes: float) -> str:
    """`less than a minute`, `about 12 minutes`, `about 3.5 hours`."""
    if minutes < 1:
        return "less than a minute"
    return f"about {counted(round(minutes), 'minute')}" if minutes < 120 else f"about {minutes / 60:.1f} hours"


def counted(number: int, noun: str) -> str:
    """`1 epoch`, `2 epochs`, `2 batches`."""
    plural = "es" if noun.endswith("ch") and noun != "epoch" else "s"
    return f"{number:,} {noun}{'' if number == 1 else plural}"
