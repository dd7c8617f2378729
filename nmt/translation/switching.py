"""Shorter switch interval of the interpreter, so that a thread waits less for Python after a matrix product."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

INTERVAL = 0.0002
"""Seconds after which a searching thread lets another one run."""


class _Users:
    """The number of calls that use the short interval, and the interval before the first of them."""

    lock = Lock()
    count = 0
    before = 0.0


def _forget_users() -> None:
    """In a forked child: the other threads, and their calls, are gone."""
    if _Users.count:
        sys.setswitchinterval(_Users.before)
    _Users.lock, _Users.count = Lock(), 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_users)


@contextmanager
def frequent_switches() -> Iterator[None]:
    """Use the short interval; the last of overlapping calls restores the interval that the first one found."""
    with _Users.lock:
        if _Users.count == 0:
            _Users.before = sys.getswitchinterval()
            sys.setswitchinterval(min(_Users.before, INTERVAL))
        _Users.count += 1
    try:
        yield
    finally:
        with _Users.lock:
            _Users.count -= 1
            if _Users.count == 0:
                sys.setswitchinterval(_Users.before)
