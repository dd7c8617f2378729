"""Starts the server, and stops it when it is asked to."""

from __future__ import annotations

import asyncio
import signal
import socket
from contextlib import suppress

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from nmt.errors import UserError

HEAD_SECONDS = 15
"""Maximum seconds to send the head of a request."""


class Protocol(H11Protocol):
    """HTTP, for clients that send the head of a request in reasonable time; others are disconnected."""

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(transport)
        self._patience = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def data_received(self, data: bytes) -> None:
        """A part of a request has arrived."""
        super().data_received(data)
        complete = self.conn.their_state is not h11.IDLE
        if complete and self._patience is not None:
            self._patience.cancel()
            self._patience = None
        elif not complete and self._patience is None:  # a part of the head of another request
            self._patience = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _give_up(self) -> None:
        self._patience = None
        if self.conn.their_state is h11.IDLE:
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
    for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises the signal again when it has stopped
        signal.signal(number, lambda *_: None)
    uvicorn.Server(configuration(app, graceful_seconds)).run(sockets=[listener])


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
