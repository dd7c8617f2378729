"""Blocks of code that delay a fork: a lock that another thread holds during a fork is never released in the child.

The memory pool of ONNX Runtime has such a lock, and so does the import of a module that registers locks with fork.
"""

from __future__ import annotations

import os
import time
from threading import Lock, get_ident

MOST_SECONDS = 10.0
"""Maximum wait of a fork. A graph runs for milliseconds, unless it hangs."""


class _Undisturbed:
    """A block of code that no fork interrupts; it must not contain another such block or wait for a lock."""

    def __init__(self) -> None:
        self.entering = Lock()
        self.inside: set[int] = set()
        """The threads that are in such a block."""

    def __enter__(self) -> None:
        with self.entering:
            self.inside.add(get_ident())

    def __exit__(self, *raised: object) -> None:
        self.inside.discard(get_ident())

    def before_fork(self) -> None:
        """Let no other thread enter, and wait for the threads inside."""
        self.entering.acquire()
        end = time.monotonic() + MOST_SECONDS
        while self.inside - {get_ident()} and time.monotonic() < end:
            time.sleep(0.0002)

    def in_child(self) -> None:
        """The other threads are gone."""
        self.inside.clear()
        self.entering.release()


undisturbed = _Undisturbed()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=undisturbed.before_fork,
        after_in_parent=undisturbed.entering.release,
        after_in_child=undisturbed.in_child,
    )
