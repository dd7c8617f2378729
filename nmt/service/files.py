"""`POST /translate_file` and `GET /download_file/...`: translation of files.

The first takes a form (multipart) with `file`, `source` and `target`, as LibreTranslate does, and with `glossary`, a
JSON object of terms and their translations. The answer is {"translatedFileUrl": "..."}. With the header
`Accept: text/event-stream`, the answer is a stream of Server-Sent Events: `progress` ({"done", "total"}, numbers of
texts) from time to time, and at the end `done` ({"translatedFileUrl"}) or `error` ({"error"}).

A translated file is kept in memory for some minutes, so that it can be downloaded; it is never written to a disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import time
import urllib.parse
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePath
from threading import Event
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from nmt.documents import Document
from nmt.service.bodies import Fields, Upload, read_fields
from nmt.service.limits import Refused
from nmt.service.models import Pair
from nmt.service.service import Json, Service, event, event_stream, refusal
from nmt.service.texts import Wishes, joined
from nmt.text.glossary import Glossary

KEPT_SECONDS = 600
"""Seconds for which a translated file can be downloaded."""
MOST_KEPT = 1 << 28
"""Maximum bytes of all translated files that are kept; beyond it the oldest are dropped."""
SAMPLE = 2000
"""Number of characters from which the language of a file is detected."""
threads = ThreadPoolExecutor(4, "document")
"""Read and write documents; they mostly wait for translations."""


class Kept(NamedTuple):
    """A translated file."""

    name: str
    content: bytes
    until: float


class Files:
    """The translated files that can be downloaded."""

    def __init__(self) -> None:
        self._files: dict[str, Kept] = {}

    def add(self, name: str, content: bytes) -> str:
        """Keep a file; returns the last part of its address, which cannot be guessed."""
        now = time.monotonic()
        number = secrets.token_urlsafe(16) + PurePath(name).suffix
        self._files[number] = Kept(name, content, now + KEPT_SECONDS)
        room = MOST_KEPT
        for known, kept in [*self._files.items()][::-1]:
            room -= len(kept.content)
            if kept.until < now or (room < 0 and known != number):
                del self._files[known]
        return number

    def get(self, number: str) -> Kept:
        """A file; raises Refused if there is none."""
        kept = self._files.get(number)
        if kept is None or kept.until < time.monotonic():
            self._files.pop(number, None)
            raise Refused(404, "there is no such file, or no longer")
        return kept


class Job(NamedTuple):
    """A file that is to be translated."""

    document: Document
    name: str
    source: str
    target: str
    route: Sequence[Pair]
    glossary: Glossary | None


async def read_job(request: Request) -> Job:
    """The file of a request, and its languages."""
    service: Service = request.app.state.service
    values = await read_fields(request)
    service.check_key(request, values.get("api_key"))
    upload, fields = values.get("file"), Fields(values)
    if not isinstance(upload, Upload):
        raise Refused(400, "Invalid request: missing file parameter")
    source, target = (fields.take(name, str, "text", "") for name in ("source", "target"))
    for name, value in (("source", source), ("target", target)):
        if not value:
            raise Refused(400, f"Invalid request: missing {name} parameter")
    name = PurePath(upload.name.replace("\\", "/")).name[-100:]
    if not name:
        raise Refused(400, "Invalid request: empty file")
    glossary = fields.glossary()
    loop = asyncio.get_running_loop()
    document = await loop.run_in_executor(threads, Document, upload.content, name)
    sample = await loop.run_in_executor(threads, _sample, document) if source == "auto" else []
    source, target, _ = await service.languages(source, target, sample)
    return Job(document, name, source, target, service.route(source, target), glossary)


class _Stopped(Exception):
    """A document is not read or translated any further."""


def _sample(document: Document) -> list[str]:
    """The first texts of a document."""
    sample: list[str] = []

    def read(texts: Sequence[str], markup: str) -> list[str]:
        sample.extend(texts)
        if sum(map(len, sample)) >= SAMPLE:
            raise _Stopped
        return list(texts)

    with contextlib.suppress(_Stopped):
        document.translate(read)
    return sample


async def translate_job(service: Service, job: Job, progress: Callable[[int, int], None]) -> bytes:
    """The translated document; no further text is translated when it is cancelled or the time is over."""
    loop, stopped = asyncio.get_running_loop(), Event()
    seconds = service.limits.file_seconds

    async def translated(texts: Sequence[str], markup: str) -> list[str]:
        wishes = Wishes(markup, constraints={"glossary": job.glossary}, seconds=seconds)
        return [joined(one) for one in await service.by_text(job.route, texts, wishes)]

    def translate(texts: Sequence[str], markup: str) -> list[str]:
        if stopped.is_set():
            raise _Stopped
        return asyncio.run_coroutine_threadsafe(translated(texts, markup), loop).result()

    def run() -> bytes:
        return job.document.translate(
            translate, source_language=job.source, target_language=job.target, progress=progress
        )

    try:
        async with asyncio.timeout(seconds):
            return await loop.run_in_executor(threads, run)
    finally:
        stopped.set()


def keep(request: Request, job: Job, content: bytes) -> dict[str, str]:
    """Keep a translated file; returns the answer with its address."""
    path = PurePath(job.name)
    number = request.app.state.files.add(f"{path.stem}.{job.target}{path.suffix}", content)
    return {"translatedFileUrl": str(request.url_for("download", number=number))}


async def translate_file(request: Request) -> Response:
    """`POST /translate_file`."""
    service: Service = request.app.state.service
    if "text/event-stream" in request.headers.get("accept", ""):
        stream = events(request)
        return event_stream(await anext(stream), stream)  # what goes wrong before the first event has a status
    async with service.admitted(file=True):
        job = await read_job(request)
        content = await service.while_connected(request, translate_job(service, job, lambda done, total: None))
    return Json(keep(request, job, content))


async def events(request: Request) -> AsyncIterator[bytes]:
    """The progress of a file, and its address."""
    service: Service = request.app.state.service
    loop, steps = asyncio.get_running_loop(), asyncio.Queue[tuple[int, int] | None]()

    def progress(done: int, total: int) -> None:
        loop.call_soon_threadsafe(steps.put_nowait, (done, total))

    async with service.admitted(file=True):
        job = await read_job(request)
        yield event("progress", {"done": 0, "total": 1})
        task = asyncio.ensure_future(translate_job(service, job, progress))
        task.add_done_callback(lambda _: steps.put_nowait(None))
        try:
            while (step := await steps.get()) is not None:
                yield event("progress", {"done": step[0], "total": step[1]})
            yield event("done", keep(request, job, task.result()))
        except Exception as error:
            yield event("error", {"error": refusal(error, service.limits.file_seconds).message})
        finally:
            task.cancel()


async def download(request: Request) -> Response:
    """`GET /download_file/...`: a translated file."""
    kept: Kept = request.app.state.files.get(request.path_params["number"])
    name = urllib.parse.quote(kept.name.encode("utf-8", "replace"), safe="")
    plain = re.sub(r"[^\w. -]", "_", kept.name, flags=re.ASCII)  # for clients that do not know the other form
    named = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{name}"
    headers = {"Content-Disposition": named, "Cache-Control": "no-store"}
    return Response(kept.content, media_type="application/octet-stream", headers=headers)
