"""Data sets of the Hugging Face hub.

Without a network the hub's client tries for half a minute and prints ten lines; this module uses its cache at once.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies

import datasets

TIMEOUT = 4.0  # seconds within which the hub must accept a connection


T = TypeVar("T")


def load_split(path: str, name: str | None, split: str) -> datasets.Dataset:
    """A split of a data set, from the hub or from its local cache. Raises what `_connected` raises."""
    return _connected(lambda: datasets.load_dataset(path, name, split=split))


def open_stream(path: str, name: str | None, split: str) -> tuple[datasets.IterableDataset, list[str | None]]:
    """A split of a data set as a stream that is not stored, and what its rows depend on; raises as `_connected`."""

    def start() -> tuple[datasets.IterableDataset, list[str | None]]:
        builder = datasets.load_dataset_builder(path, name)
        stream = builder.as_streaming_dataset(split=split)
        stream = stream if stream.features else stream._resolve_features()
        return stream, [builder.config_id, str(builder.config.version), builder.hash]  # the hash is that of the commit

    return _connected(start)


def _connected(load: Callable[[], T]) -> T:
    """The result of `load`, which reads the hub or, if the hub does not answer, its local cache.

    Raises ConnectionError when the hub does not answer and the cache does not have the data set, and everything that
    `datasets` raises.
    """
    datasets.disable_progress_bars()
    with _quiet():
        if answers():
            return load()
        with _offline():
            try:
                return load()
            except (ConnectionError, datasets.exceptions.DatasetNotFoundError):
                raise ConnectionError(
                    "there is no connection to it, and its cache does not have the data set"
                ) from None


def answers() -> bool:
    """Whether the hub accepts a connection; also True in offline mode, and with a proxy, which has to find out."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE or getproxies():
        return True
    address = urlsplit(constants.ENDPOINT)
    port = address.port or {"http": 80}.get(address.scheme, 443)
    connected = threading.Event()

    def connect() -> None:
        with suppress(OSError):
            socket.create_connection((address.hostname or "", port), TIMEOUT).close()
            connected.set()

    thread = threading.Thread(target=connect, daemon=True)  # a name look-up has no time limit of its own
    thread.start()
    thread.join(TIMEOUT)
    return connected.is_set()


@contextmanager
def _offline() -> Iterator[None]:
    """Switch on the offline mode of the hub's client, which normally must be set before it is imported."""
    from huggingface_hub import constants

    modules: list[Any] = [constants, datasets.config]
    before = [module.HF_HUB_OFFLINE for module in modules]
    for module in modules:
        module.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        for module, value in zip(modules, before, strict=True):
            module.HF_HUB_OFFLINE = value


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the warnings of the hub's client; the exception that it raises says enough."""
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
