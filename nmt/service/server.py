"""Starts the server, and stops it when it is asked to."""

from __future__ import annotations

import asyncio
import ctypes
import signal
import socket
from contextlib import suppress

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from nmt.errors import UserError

HEAD_SECONDS = 15
"""Maximum seconds to send the head of a request."""
MOST_HEAD = 1 << 16
"""Maximum bytes of the head of a request, without those that arrive together with its end or with another request."""
LARGE_BLOCK = 1 << 20
"""Bytes from which a block of memory is returned to the system when it is freed."""


class Protocol(HttpToolsProtocol):
    """HTTP, for clients that send the head of a request in reasonable time and size; others are disconnected."""

    _patience: asyncio.TimerHandle | None = None
    _in_head = True
    """Whether the head of a request is awaited or incomplete; False in a body and between requests."""
    _got = 0
    """Bytes of the incomplete head."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(transport)
        self._patience = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_head, self._got = True, 0

    def on_headers_complete(self) -> None:
        """The head of the request is complete."""
        self._in_head = False
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """A part of a request has arrived."""
        was_in_head = self._in_head
        super().data_received(data)
        if self._in_head and was_in_head:
            self._got += len(data)
        if not self._in_head:
            self._wait_no_longer()
        elif self._got > MOST_HEAD:
            self.send_400_response("The head of the request is too large.")
        elif self._patience is None:  # a part of the head of another request
            self._patience = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        self._wait_no_longer()
        super().connection_lost(exc)

    def _wait_no_longer(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _give_up(self) -> None:
        self._patience = None
        if self._in_head:
            self.transport.close()


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens on an address; port 0 takes a free port."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        raise UserError(f"the server cannot listen on {host}, port {port}: {error.strerror or error}") from None
    return listener


def serve(app: ASGIApp, listener: socket.socket, graceful_seconds: int) -> None:
    """Answer requests until SIGTERM or SIGINT; then finish those that run, for at most `graceful_seconds`."""
    allow_many_connections()
    server = uvicorn.Server(configuration(app, graceful_seconds))

    def stop(number: int, frame: object) -> None:
        """Handle a signal that comes before uvicorn listens to signals, or that uvicorn raises again at its end."""
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    server.run(sockets=[listener])


def configuration(app: ASGIApp, graceful_seconds: int) -> uvicorn.Config:
    """The settings of the server."""
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        ws="none",
        http=Protocol,
        timeout_graceful_shutdown=graceful_seconds,
    )


def allow_many_connections() -> None:
    """Raise the number of open files, of which each connection is one, as far as the system lets this process."""
    with suppress(ImportError, OSError, ValueError):  # Windows has no such limit
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def keep_memory_steady() -> None:
    """Let glibc return large blocks to the system when they are freed; call it before models are loaded.

    Their sizes change with every batch. By default each thread has heaps of its own, and freed blocks of up to 32 MB
    stay in them; between small blocks that are still in use they become gaps that larger ones do not fit in.
    """
    with suppress(OSError, AttributeError, TypeError):  # other C libraries, Windows
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(-8, 1)  # M_ARENA_MAX: one heap for all threads
        mallopt(-3, LARGE_BLOCK)  # M_MMAP_THRESHOLD: larger blocks have mappings of their own
        mallopt(-1, LARGE_BLOCK)  # M_TRIM_THRESHOLD: free memory at the end of the heap beyond this is returned
