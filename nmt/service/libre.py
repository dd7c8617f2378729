"""The HTTP API of LibreTranslate: the same routes, fields, codes and messages, so that its clients work unchanged.

Two things differ on purpose. The result of `format=html` keeps its entities (`&lt;` stays `&lt;`), because unescaped
text would become tags. The limit of characters is for all texts of a request together, and not for each.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from nmt.documents import SUFFIXES
from nmt.service.bodies import Fields, read_fields
from nmt.service.limits import Refused
from nmt.service.models import language_name
from nmt.service.service import Json, Service
from nmt.service.texts import Wishes, alternatives, joined


async def languages(request: Request) -> Response:
    """`GET /languages`: the languages with those into which each is translated."""
    models = _service(request).models
    return Json(
        [{"code": code, "name": language_name(code), "targets": models.targets(code)} for code in models.languages]
    )


async def detect(request: Request) -> Response:
    """`POST /detect`: the languages that a text may have, with a confidence from 0 to 100."""
    service = _service(request)
    values = await read_fields(request)
    service.check_key(request, values.get("api_key"))
    texts, _ = Fields(values).texts("q")
    service.check_texts(request, texts)
    return Json([_detection(*one) for one in await service.detect(texts, service.models.languages)])


def _detection(code: str, probability: float) -> dict[str, Any]:
    return {"confidence": round(100 * probability, 1), "language": code}


async def translate(request: Request) -> Response:
    """`POST /translate`: the translation of a text or of a list of texts."""
    service = _service(request)
    values = await read_fields(request)
    service.check_key(request, values.get("api_key"))
    fields = Fields(values)
    texts, is_list = fields.texts("q")
    named = {name: fields.take(name, str, "text", "") for name in ("source", "target", "format")}
    for name in ("source", "target"):
        if not named[name]:
            raise Refused(400, f"Invalid request: missing {name} parameter")
    count = fields.whole_number("alternatives", 0, 0, service.limits.alternatives)
    service.check_texts(request, texts)
    if named["format"] not in ("", "text", "html"):
        raise Refused(400, f"{named['format']} format is not supported")
    source, target, detected = await service.languages(named["source"], named["target"], texts)
    route = service.route(source, target)
    wishes = Wishes("html" if named["format"] == "html" else "", n_best=count + 1, seconds=service.limits.seconds)
    async with service.admitted():
        found = await service.while_connected(request, service.by_text(route, texts, wishes))
    answer: dict[str, Any] = {"translatedText": [joined(segments) for segments in found]}
    if detected is not None:
        answer["detectedLanguage"] = [_detection(source, detected)] * len(texts)
    if count:
        answer["alternatives"] = [alternatives(segments, count) for segments in found]
    return Json(answer if is_list else {name: value[0] for name, value in answer.items()})


async def settings(request: Request) -> Response:
    """`GET /frontend/settings`: what a page needs to know."""
    service = _service(request)
    target = service.models.targets(service.models.languages[0])[-1]
    return Json(
        {
            "apiKeys": service.keys is not None,
            "candidates": service.limits.alternatives + 1,  # of the page; LibreTranslate has no such setting
            "charLimit": service.limits.characters,
            "filesTranslation": True,
            "frontendTimeout": 500,
            "keyRequired": service.keys is not None,
            "language": {
                "source": {"code": "auto", "name": "Auto Detect"},
                "target": {"code": target, "name": language_name(target)},
            },
            "suggestions": False,
            "supportedFilesFormat": list(SUFFIXES),
        }
    )


async def suggest(request: Request) -> Response:
    """`POST /suggest`: this service takes no suggestions."""
    raise Refused(403, "Suggestions are disabled on this server.")


async def health(request: Request) -> Response:
    """`GET /health`: the service answers."""
    return Json({"status": "ok"})


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service
