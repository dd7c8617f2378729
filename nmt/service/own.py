"""The route `POST /api/translate`, which gives everything that the models can tell. The page is written on it.

The body is JSON. Only `text` is needed, and `target` if there are several:

    {
      "text": "Ein Hund schläft. Er träumt.",   // or a list of texts
      "source": "de",                // "auto" (the default) detects it
      "target": "en",
      "format": "text",              // "html" or "xml": tags are kept, and each text is one segment
      "n_best": 3,                   // translations of each segment
      "alignment": true,
      "prefix": "", "required": [], "forbidden": [], "keep": [], "glossary": {"Hund": "hound"},
      "options": {"beam_size": 8},   // the options of search that `nmt translate --help` lists
      "stream": true                 // or the header `Accept: text/event-stream`
    }

The answer:

    {
      "source": "de", "target": "en",
      "detected": 0.98,              // only with "source": "auto": the probability of the source language
      "route": ["de", "en"],         // three languages if no model translates directly; one if there is nothing to do
      "translations": [              // one for each text
        {
          "text": "A dog is sleeping. It is dreaming.",
          "confidence": 0.81,        // probability that all segments are good; null if the model is not calibrated
          "segments": [
            {
              "source_space": "", "source": "Ein Hund schläft.",
              "space": "", "text": "A dog is sleeping.",
              "confidence": 0.9, "score": -0.3,
              "alignment": [[0, 0], [1, 1], [2, 2], [2, 3]],  // word of the source, word of the text; null through a
                                                              // third language
              "n_best": [{"text": "A dog is sleeping.", "confidence": 0.9, "score": -0.3, "alignment": [...]}, ...],
              "problems": []         // what was asked and is not met, in words
            }, ...
          ]
        }
      ]
    }

The segments of a text, `source_space + source` one after the other, are the text as it was sent; `space + text` one
after the other are its translation. White space at the end of a text is a segment without text. Words are separated by
white space and are counted from 0 in each segment. `n_best` is there if more than one was asked for; its first entry is
the segment's own text. Without `alignment: true` no segment has an alignment.

With `stream`, the answer is a stream of Server-Sent Events, each with JSON as data: `languages` (source, target,
detected, route), then a `segment` for each segment, in order and as soon as it is translated, with the number of its
text; and at the end `done` (the confidence of each text) or `error` ({"error": "..."}). `fetch` reads it; `EventSource`
cannot, as it sends no body.

Every error is {"error": "one sentence"} with a status: 400 the request is wrong, 403 the key, 408 and 413 the
body is too slow or too large, 429 too many requests (`Retry-After` says when to try again), 503 the time is over.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import fields
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from nmt.config import OPTIONS
from nmt.errors import UserError
from nmt.service.bodies import MOST_PHRASES, TOO_MANY_PHRASES, Fields, parse_json
from nmt.service.limits import Limits, Refused
from nmt.service.models import Pair
from nmt.service.service import Json, Service, event, event_stream, refusal
from nmt.service.texts import Segment, Wishes, confidence, joined
from nmt.text.markup import KINDS
from nmt.translation.line_stream import finite
from nmt.translation.translator import SourceLine, Translation

SERVERS_OWN = {"batch_size", "batch_tokens", "language_model_weight", "minimum_bayes_risk", "samples"}
"""Options of search that a request cannot set: they decide about memory, or need further packages or models."""
CEILINGS = {
    "beam_size": 20,
    "groups": 20,
    "max_length_factor": 4,
    "max_length_offset": 100,
    "min_length": 100,
    "no_repeat_ngram": 100,
}
"""Maximum values of options that decide about the time of a request."""
REQUEST_OPTIONS = [name for name in OPTIONS if name not in SERVERS_OWN]
CONSTRAINTS = [one.name for one in fields(SourceLine) if one.name not in ("text", "markup")]
KNOWN = {"text", "source", "target", "format", "n_best", "alignment", "options", "stream", "api_key", *CONSTRAINTS}


async def translate(request: Request) -> Response:
    """`POST /api/translate`."""
    service: Service = request.app.state.service
    values = parse_json(await request.body())
    service.check_key(request, values.get("api_key"))
    given = Fields(values)
    given.unknown(KNOWN)
    texts, _ = given.texts("text")
    service.check_texts(request, texts)
    wishes = read_wishes(given, service.limits)
    source = given.take("source", str, "text", "auto")
    target = given.take("target", str, "text") or only_target(service, source)
    source, target, detected = await service.languages(source, target, texts)
    route = service.route(source, target)
    about: dict[str, Any] = {"source": source, "target": target, "route": [source, *(pair[1] for pair in route)]}
    if detected is not None:
        about["detected"] = round(detected, 3)
    streams = given.take("stream", bool, "true or false", "text/event-stream" in request.headers.get("accept", ""))
    if streams:
        stream = events(service, about, route, texts, wishes)
        first = await service.while_connected(request, anext(stream))  # what goes wrong before has a status
        return event_stream(first, stream)
    async with service.admitted():
        found = await service.while_connected(request, service.by_text(route, texts, wishes))
    about["translations"] = [
        {
            "text": joined(segments),
            "confidence": rounded(confidence(segments)),
            "segments": [describe(segment, wishes) for segment in segments],
        }
        for segments in found
    ]
    return Json(about)


def only_target(service: Service, source: str) -> str:
    """The target language if there is only one."""
    targets = {target for _, target in service.models.translators}
    if source != "auto":
        targets = set(service.models.targets(service.models.code(source) or source)) - {source}
    if len(targets) != 1:
        raise Refused(400, "Invalid request: missing target parameter")
    return targets.pop()


def read_wishes(given: Fields, limits: Limits) -> Wishes:
    """What the request asks of the translations; raises an error if it is not possible."""
    markup = given.take("format", str, '"text", "html" or "xml"', "text")
    if markup not in ("text", *KINDS):
        raise Refused(400, f"{markup} format is not supported")
    constraints: dict[str, Any] = {"prefix": given.take("prefix", str, "text", "")}
    for name in ("required", "forbidden", "keep"):
        phrases = given.take(name, list, "a list of texts", [])
        if not all(isinstance(phrase, str) for phrase in phrases):
            raise Refused(400, f"Invalid request: {name} must be a list of texts")
        if len(phrases) > MOST_PHRASES:
            raise Refused(400, TOO_MANY_PHRASES)
        constraints[name] = phrases
    constraints["glossary"] = given.glossary()
    options = given.take("options", dict, "an object of search options", {})
    for name, value in options.items():
        if name not in REQUEST_OPTIONS:
            raise UserError(f"unknown option `{name}`; the options are {', '.join(REQUEST_OPTIONS)}")
        if name in CEILINGS and isinstance(value, int | float) and not value <= CEILINGS[name]:
            raise UserError(f"`{name}` must be at most {CEILINGS[name]} here, but is {value} instead")
    return Wishes(
        "" if markup == "text" else markup,
        given.whole_number("n_best", 1, 1, limits.alternatives + 1),
        given.take("alignment", bool, "true or false", False),
        constraints,
        options,
        limits.seconds,
    )


async def events(
    service: Service, about: dict[str, Any], route: Sequence[Pair], texts: Sequence[str], wishes: Wishes
) -> AsyncIterator[bytes]:
    """The answer as a stream of events; the first one has the first segment with it."""
    found: list[list[Segment]] = [[] for _ in texts]
    written = event("languages", about)
    try:
        async with service.admitted():
            async for segment in service.translate(route, texts, wishes):
                found[segment.piece.text].append(segment)
                written += event("segment", {"number": segment.piece.text, **describe(segment, wishes)})
                yield written
                written = b""
        yield written + event("done", {"confidence": [rounded(confidence(segments)) for segments in found]})
    except Exception as error:
        refused = refusal(error, service.limits.seconds)
        if not any(found):
            raise refused from error
        yield event("error", {"error": refused.message})


def describe(segment: Segment, wishes: Wishes) -> dict[str, Any]:
    """A segment of the answer."""
    found: dict[str, Any] = {
        "source_space": segment.piece.space,
        "source": segment.piece.source,
        "space": segment.space,
        **describe_translation(segment.best, wishes),
        "problems": list(segment.best.problems),
    }
    if wishes.n_best > 1:
        found["n_best"] = [describe_translation(one, wishes) for one in segment.translations]
    return found


def describe_translation(translation: Translation, wishes: Wishes) -> dict[str, Any]:
    """One translation of a segment."""
    found = {
        "text": translation.text,
        "confidence": rounded(translation.confidence),
        "score": rounded(finite(translation.score)),
    }
    return {**found, "alignment": translation.alignment} if wishes.alignment else found


def rounded(number: float | None) -> float | None:
    """A number with four digits after the point."""
    return None if number is None else round(number, 4)
