"""What a fork waits for: a lock that another thread holds while the process forks is never released in the child.

The pool of memory of ONNX Runtime has such a lock, and so has the import of a module that registers locks with fork.
"""

from __future__ import annotations

import os
import time
from threading import Lock, get_ident

MOST_SECONDS = 10.0
"""A graph runs for milliseconds; a fork does not wait for ever for one that hangs."""


class _Undisturbed:
    """A block of code that no fork interrupts; it must contain no other one, and wait for no lock."""

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
        """Let no thread in, and wait for those that are."""
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
