"""The description of the API in the format OpenAPI, made from the routes, and a page that shows it."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any, Literal, get_args, get_origin, get_type_hints

from nmt import __version__
from nmt.config import OPTIONS, DecodingConfig
from nmt.service.own import CEILINGS, REQUEST_OPTIONS
from nmt.service.service import Service

TEXT = {"type": "string"}
TEXTS = {"oneOf": [TEXT, {"type": "array", "items": TEXT}]}
PHRASES = {"type": "array", "items": TEXT}
LANGUAGE = {"type": "string", "description": "code of a language (`GET /languages`)"}
SOURCE = {"type": "string", "description": "code of a language, or `auto`"}
ERRORS = {
    "400": "the request is wrong, or a key is missing",
    "403": "the key is not valid",
    "408": "the body takes too long",
    "413": "the body is too large",
    "429": "too many requests; Retry-After says when to try again",
    "503": "the translation takes too long",
}


def describe(service: Service) -> dict[str, Any]:
    """The description of the API of a service."""
    limits = service.limits
    options = {name: _option(name) for name in REQUEST_OPTIONS}
    count = {"type": "integer", "minimum": 0, "maximum": limits.alternatives}
    common = {"target": LANGUAGE, "api_key": TEXT}
    terms = "terms and their translations"
    file = {
        "file": {"type": "string", "format": "binary"},
        "source": SOURCE,
        **common,
        "glossary": {**TEXT, "description": f"{terms}, an object in JSON"},
    }
    own = {
        "text": TEXTS,
        "source": {**SOURCE, "default": "auto"},
        **common,
        "format": {"enum": ["text", "html", "xml"], "default": "text"},
        "n_best": {"type": "integer", "minimum": 1, "maximum": limits.alternatives + 1},
        "alignment": {"type": "boolean"},
        "prefix": {**TEXT, "description": "beginning of each translation"},
        "required": {**PHRASES, "description": "phrases that each translation must contain"},
        "forbidden": {**PHRASES, "description": "phrases that no translation may contain"},
        "keep": {**PHRASES, "description": "phrases that are copied"},
        "glossary": {"type": "object", "additionalProperties": TEXT, "description": terms},
        "options": {"type": "object", "properties": options, "description": "options of search"},
        "stream": {"type": "boolean", "description": "answer with Server-Sent Events"},
    }
    libre = {
        "q": TEXTS,
        "source": SOURCE,
        **common,
        "format": {"enum": ["text", "html"], "default": "text"},
        "alternatives": count,
    }
    paths = {
        "/translate": _post("Translate texts (LibreTranslate)", libre, ["q", "source", "target"]),
        "/detect": _post("Detect the language of a text (LibreTranslate)", {"q": TEXT, "api_key": TEXT}, ["q"]),
        "/translate_file": _post("Translate a file (LibreTranslate)", file, ["file", "source", "target"]),
        "/languages": _get("The languages"),
        "/frontend/settings": _get("The limits and the formats of files (LibreTranslate)"),
        "/health": _get("Whether the server answers"),
        "/metrics": _get("Numbers for Prometheus"),
        "/api/translate": _post("Translate texts, with everything that the model can tell", own, ["text"]),
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "nmt serve", "version": __version__, "license": {"name": "MIT"}},
        "paths": paths,
    }


def _option(name: str) -> dict[str, Any]:
    """The schema of an option of search."""
    hint, option = get_type_hints(DecodingConfig)[name], OPTIONS[name]
    types = {int: "integer", float: "number", bool: "boolean"}
    schema = {"enum": list(get_args(hint))} if get_origin(hint) is Literal else {"type": types[hint]}
    return {**schema, "description": option.help, **({"maximum": CEILINGS[name]} if name in CEILINGS else {})}


def _get(summary: str) -> dict[str, Any]:
    return {"get": {"summary": summary, "responses": {"200": {"description": "success"}}}}


def _post(summary: str, properties: dict[str, Any], required: Sequence[str]) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(required)}
    kinds = ["application/json", *(["application/x-www-form-urlencoded"] if "LibreTranslate" in summary else [])]
    kinds = ["multipart/form-data"] if "file" in properties else kinds
    error = {"type": "object", "properties": {"error": TEXT}}
    answers = {
        code: {"description": text, "content": {"application/json": {"schema": error}}} for code, text in ERRORS.items()
    }
    return {
        "post": {
            "summary": summary,
            "requestBody": {"required": True, "content": {each: {"schema": schema} for each in kinds}},
            "responses": {"200": {"description": "success"}, **answers},
        }
    }


def page(description: dict[str, Any]) -> str:
    """The description as a page."""
    written = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>nmt serve: API</title><h1>API</h1>",
        "<p>For programs: <a href=openapi.json>openapi.json</a>.",
    ]
    for path, methods in description["paths"].items():
        for method, about in methods.items():
            written.append(f"<h2><code>{method.upper()} {path}</code></h2><p>{html.escape(about['summary'])}")
            content = about.get("requestBody", {}).get("content", {})
            for schema in [one["schema"] for one in content.values()][:1]:
                written.append(f"<ul>{_fields(schema)}</ul>")
    return "\n".join(written)


def _fields(schema: dict[str, Any]) -> str:
    """The fields of an object as a list."""
    lines = []
    for name, one in schema["properties"].items():
        kind = "text or list of texts" if "oneOf" in one else one.get("type") or " | ".join(map(str, one["enum"]))
        notes = [kind, *(["required"] if name in schema.get("required", ()) else [])]
        notes += [f"at most {one['maximum']}"] if "maximum" in one else []
        inner = f"<ul>{_fields(one)}</ul>" if "properties" in one else ""
        text = html.escape(f"({', '.join(notes)}) {one.get('description', '')}")
        lines.append(f"<li><code>{name}</code> {text}{inner}")
    return "\n".join(lines)
