"""What all routes of a service share: its models, limits and keys, and the way from a request to an answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from nmt.errors import UserError
from nmt.service.batching import Batcher, log
from nmt.service.detection import Detector
from nmt.service.keys import Keys
from nmt.service.limits import Limits, Refused
from nmt.service.metrics import Metrics
from nmt.service.models import Models, Pair, language_name
from nmt.service.texts import Segment, Wishes, translate

Result = TypeVar("Result")


class Json(JSONResponse):
    """An answer in JSON, for any text: half of a surrogate pair becomes a question mark."""

    def render(self, content: Any) -> bytes:
        """The body."""
        return json_text(content).encode("utf-8", "replace")


def json_text(content: Any) -> str:
    """A value as JSON on one line."""
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def event(name: str, data: dict[str, Any]) -> bytes:
    """A Server-Sent Event."""
    return f"event: {name}\ndata: {json_text(data)}\n\n".encode("utf-8", "replace")


def event_stream(first: bytes, rest: AsyncIterator[bytes]) -> Response:
    """An answer of events, of which the first is already there."""

    async def events() -> AsyncIterator[bytes]:
        yield first
        async for each in rest:
            yield each

    return StreamingResponse(events(), media_type="text/event-stream")


class Service:
    """The state of a service."""

    def __init__(self, models: Models, limits: Limits, keys: Keys | None = None) -> None:
        self.models = models
        self.limits = limits
        self.keys = keys
        self.batcher = Batcher()
        self.detector = Detector(models.languages)
        self.metrics = Metrics(self.batcher)
        self.running = 0
        """Number of requests that are being translated."""
        self.files = 0
        """Number of those with a file."""

    @asynccontextmanager
    async def admitted(self, *, file: bool = False) -> AsyncIterator[None]:
        """Count a request while it is translated; raises Refused at once if too many are, or wait too long."""
        wait = self.batcher.waiting_seconds
        too_many = self.running >= self.limits.requests or (file and self.files >= self.limits.files)
        if too_many or wait > self.limits.seconds:
            raise Refused(429, "Slowdown: the server has too many requests; try again later", max(1, round(wait)))
        self.running += 1
        self.files += file
        self.metrics.running.inc()
        try:
            yield
        finally:
            self.running -= 1
            self.files -= file
            self.metrics.running.dec()

    def check_key(self, request: Request, given: Any = None) -> None:
        """Raises Refused if keys are required and the request has none that is valid.

        given: the `api_key` of the body; a header `Authorization: Bearer KEY` does as well
        """
        if self.keys is None:
            return
        scheme, _, header = request.headers.get("authorization", "").partition(" ")
        key = given or request.query_params.get("api_key") or (header.strip() if scheme.lower() == "bearer" else "")
        if not key:
            raise Refused(400, "Please contact the server operator to get an API key")
        self.keys.refresh()
        name = self.keys.name(str(key))
        if name is None:
            raise Refused(403, "Invalid API key")
        request.state.key = name

    def check_texts(self, request: Request, texts: Sequence[str]) -> None:
        """Raises Refused if the texts are too many or too long."""
        characters = sum(map(len, texts))
        for size, most in ((len(texts), self.limits.batch), (characters, self.limits.characters)):
            if size > most:
                raise Refused(400, f"Invalid request: request ({size}) exceeds text limit ({most})")
        request.state.texts, request.state.characters = len(texts), characters

    async def detect(self, texts: Sequence[str], among: Sequence[str]) -> list[tuple[str, float]]:
        """The languages of a text with their probabilities, the most probable first."""
        return await asyncio.to_thread(self.detector.rank, "\n".join(texts), among)

    async def languages(self, source: str, target: str, texts: Sequence[str]) -> tuple[str, str, float | None]:
        """The codes of the languages of a request, and the probability of the source if it is `auto`."""
        target_code = self.models.code(target)
        if target_code is None:
            raise Refused(400, f"{target} is not supported")
        if source == "auto":
            code, probability = (await self.detect(texts, self.models.sources(target_code)))[0]
            return code, target_code, probability
        source_code = self.models.code(source)
        if source_code is None:
            raise Refused(400, f"{source} is not supported")
        return source_code, target_code, None

    def route(self, source: str, target: str) -> list[Pair]:
        """The pairs of languages through which a text goes."""
        route = self.models.route(source, target)
        if route is None:
            raise Refused(
                400,
                f"{language_name(target)} ({target}) is not available as a target language from "
                f"{language_name(source)} ({source})",
            )
        return route

    def translate(self, route: Sequence[Pair], texts: Sequence[str], wishes: Wishes) -> AsyncIterator[Segment]:
        """The translated sentences of texts, in order."""
        return translate(self.models, self.batcher, route, texts, wishes)

    async def by_text(self, route: Sequence[Pair], texts: Sequence[str], wishes: Wishes) -> list[list[Segment]]:
        """The translated sentences of each text."""
        found: list[list[Segment]] = [[] for _ in texts]
        async for segment in self.translate(route, texts, wishes):
            found[segment.piece.text].append(segment)
        return found

    async def while_connected(self, request: Request, work: Awaitable[Result]) -> Result:
        """The result of work that ends when the client has gone."""
        task = asyncio.ensure_future(work)
        gone = asyncio.ensure_future(_gone(request))
        try:
            await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise Refused(499, "the client has gone")
        finally:
            for one in (task, gone):
                one.cancel()
            await asyncio.gather(task, gone, return_exceptions=True)


def refusal(error: Exception, seconds: int) -> Refused:
    """What the client learns of an error; an unknown one is logged, and the client learns nothing of it."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, UserError):
        return Refused(400, str(error))
    if isinstance(error, TimeoutError):
        return Refused(503, f"the translation took more than {seconds} seconds", 1)
    log.error("a request failed", exc_info=error)
    return Refused(500, "Cannot translate text: the server's log says why")


async def _gone(request: Request) -> None:
    """Wait until the client has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
