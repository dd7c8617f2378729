"""The application: its routes, and the layer around them that guards every request."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nmt.errors import UserError
from nmt.service import files, libre, openapi, own
from nmt.service.batching import log
from nmt.service.limits import Refused
from nmt.service.service import Json, Service, refusal

PAGE = Path(__file__).parent / "page"
"""Folder of the web page."""
BODY_SECONDS = 30
"""Maximum seconds to send a body without a file."""
READ_ON = 4
"""A body that is too large is read on up to this many times the limit."""
SEND_SECONDS = 30
"""Maximum seconds that a client may take to read a part of an answer."""
SECURITY = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        b"font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
)
"""Headers of every answer: a browser runs and loads nothing but the files of the page."""


def make_app(service: Service, *, origins: Sequence[str] = (), access_log: bool = False) -> ASGIApp:
    """The application of a service.

    origins: origins (`https://example.org`) whose pages may use the service
    """

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        service.batcher.start()
        yield
        await service.batcher.close()

    async def refuse(request: Request, error: Exception) -> Response:
        refused = refusal(error, service.limits.seconds)
        headers = {"Retry-After": str(refused.retry_after)} if refused.retry_after else None
        return Json({"error": refused.message}, refused.status, headers)

    async def not_found(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return Json({"error": error.detail}, error.status_code, error.headers)

    handlers: dict[Any, Any] = dict.fromkeys((Refused, UserError, TimeoutError, Exception), refuse)
    app = Starlette(
        routes=[
            Route("/translate", libre.translate, methods=["POST"]),
            Route("/detect", libre.detect, methods=["POST"]),
            Route("/translate_file", files.translate_file, methods=["POST"]),
            Route("/download_file/{number}", files.download, name="download"),
            Route("/languages", libre.languages),
            Route("/frontend/settings", libre.settings),
            Route("/suggest", libre.suggest, methods=["POST"]),
            Route("/health", libre.health),
            Route("/metrics", metrics),
            Route("/openapi.json", description),
            Route("/docs", description),
            Route("/api/translate", own.translate, methods=["POST"]),
            Mount("/", StaticFiles(directory=PAGE, html=True)),
        ],
        middleware=[Middleware(CORSMiddleware, allow_origins=origins, allow_headers=["*"])] if origins else [],
        exception_handlers={HTTPException: not_found, **handlers},
        lifespan=lifespan,
    )
    app.state.service, app.state.files = service, files.Files()
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it warns of each wrong body
    return Guard(app, service, access_log)


async def metrics(request: Request) -> Response:
    """`GET /metrics`: numbers for Prometheus."""
    service: Service = request.app.state.service
    service.check_key(request)
    return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)


async def description(request: Request) -> Response:
    """`GET /openapi.json` and `GET /docs`: the description of the API."""
    described = openapi.describe(request.app.state.service)
    return HTMLResponse(openapi.page(described)) if request.url.path == "/docs" else Json(described)


class Guard:
    """Limits the bodies of requests, adds headers to the answers, and writes the access log.

    The log has a line of JSON for each request: what was asked for and how it ended, but neither text nor address.
    """

    def __init__(self, app: ASGIApp, service: Service, access_log: bool) -> None:
        self.app = app
        self.limits = service.limits
        self.metrics = service.metrics
        self.access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begin, status = time.monotonic(), 0
        state = scope.setdefault("state", {})

        async def guarded_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message["headers"], *SECURITY]
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append(
                        (b"cache-control", b"no-cache" if scope["method"] in ("GET", "HEAD") else b"no-store")
                    )
                message["headers"] = headers
            async with asyncio.timeout(SEND_SECONDS):
                await send(message)

        try:
            await self.app(scope, self._guarded_receive(scope, receive), guarded_send)
        except Exception as error:  # after an answer of 500, or in the middle of an answer
            if not status:
                log.error("a request failed", exc_info=error)
        finally:
            self._note(scope, state, status, time.monotonic() - begin)

    def _guarded_receive(self, scope: Scope, receive: Receive) -> Receive:
        """Receives a body of limited size in limited time.

        Of a body that is too large a part more is read, because clients do not read an answer before they have sent it.
        """
        upload = scope["path"].endswith("translate_file")
        most = self.limits.upload if upload else self.limits.body
        end = time.monotonic() + (self.limits.file_seconds if upload else BODY_SECONDS)
        got, complete = 0, False

        async def guarded() -> Message:
            nonlocal got, complete
            if complete:
                return await receive()
            while True:
                try:
                    async with asyncio.timeout(end - time.monotonic()):
                        message = await receive()
                except TimeoutError:
                    raise Refused(408, "Invalid request: the body takes too long") from None
                complete = not message.get("more_body", False)
                got += len(message.get("body", b""))
                if got <= most:
                    return message
                if complete or got > READ_ON * most:
                    raise Refused(413, f"Invalid request: the body is larger than {most} bytes")

        return guarded

    def _note(self, scope: Scope, state: dict[str, Any], status: int, seconds: float) -> None:
        """Count a request, and write its line of the access log."""
        route = getattr(scope.get("route"), "path", "") or "/"
        self.metrics.requests.labels(route, status).inc()
        self.metrics.seconds.labels(route).observe(seconds)
        self.metrics.characters.inc(state.get("characters", 0))
        if not self.access_log:
            return
        record: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "method": scope["method"],
            "path": route,  # not what the client wrote, which may have text or the address of a file
            "status": status,
            "seconds": round(seconds, 4),
        }
        record |= {name: state[name] for name in ("texts", "characters", "key") if name in state}
        with suppress(OSError, ValueError):  # nobody reads it, or it is closed
            print(json.dumps(record), flush=True)
