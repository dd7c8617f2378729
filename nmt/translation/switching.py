"""How long a thread that comes back from a product waits for Python, while calls of this program overlap."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

INTERVAL = 0.0002
"""Seconds until a thread that searches lets another one go on."""


class _Users:
    """How many calls want the short interval, and what the interpreter had before the first of them."""

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
    """The short interval until the last of the overlapping calls ends, which puts back what the first one found."""
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
