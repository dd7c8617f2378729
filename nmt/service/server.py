"""Starts the server, and stops it when it is asked to."""

from __future__ import annotations

import signal
import socket

import uvicorn
from starlette.types import ASGIApp

from nmt.errors import UserError


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
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        ws="none",
        timeout_graceful_shutdown=graceful_seconds,
    )
    for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises the signal again when it has stopped
        signal.signal(number, lambda *_: None)
    uvicorn.Server(config).run(sockets=[listener])
