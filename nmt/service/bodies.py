"""Reading the bodies of requests, which are untrusted: JSON, forms and files."""

from __future__ import annotations

import json
import urllib.parse
from typing import Any, NamedTuple

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from nmt.errors import UserError
from nmt.service.limits import Refused
from nmt.text.glossary import Glossary

MOST_FIELDS = 1000
"""Maximum number of fields of a form."""
MOST_PHRASES = 1000
"""Maximum number of phrases of a list, or terms of a glossary."""
TOO_MANY_PHRASES = f"Invalid request: at most {MOST_PHRASES} phrases or terms are possible"


class Upload(NamedTuple):
    """A file of a form."""

    name: str
    content: bytes


async def read_fields(request: Request) -> dict[str, Any]:
    """The fields of a request: an object of JSON, or a form together with the query; a repeated field is a list."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        return parse_json(await request.body())
    pairs: list[tuple[str, Any]] = list(request.query_params.multi_items())
    if kind == "multipart/form-data":
        try:
            async with request.form(max_files=1, max_fields=MOST_FIELDS, max_part_size=1 << 24) as form:
                for name, value in form.multi_items():
                    content = (
                        Upload(value.filename or "", await value.read()) if isinstance(value, UploadFile) else value
                    )
                    pairs.append((name, content))
        except HTTPException as error:
            raise Refused(400, f"Invalid request: {error.detail}") from None
    elif body := await request.body():
        try:
            pairs += urllib.parse.parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
        except ValueError as error:
            raise Refused(400, f"Invalid request: the form cannot be read: {error}") from None
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if isinstance(value, str):  # forms have CR LF
            value = value.replace("\r\n", "\n")
        known = fields.get(name)
        fields[name] = value if known is None else [*known, value] if isinstance(known, list) else [known, value]
    return fields


def parse_json(body: bytes) -> dict[str, Any]:
    """An object of JSON."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(400, "Invalid JSON format") from None
    if not isinstance(found, dict):
        raise Refused(400, "Invalid JSON format")
    return found


class Fields:
    """The fields of a request, taken one by one with the type that each must have."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    def take(self, name: str, kind: type | tuple[type, ...], rule: str, default: Any = None) -> Any:
        """A field, or the default if it is missing or null."""
        value = self._values.get(name)
        if value is None:
            return default
        wanted = kind if isinstance(kind, tuple) else (kind,)
        if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
            raise Refused(400, f"Invalid request: {name} must be {rule}")
        return value

    def texts(self, name: str) -> tuple[list[str], bool]:
        """A field that is a text or a list of texts, and whether it is a list; raises if it is missing."""
        value = self._values.get(name)
        if not value:
            raise Refused(400, f"Invalid request: missing {name} parameter")
        texts = value if isinstance(value, list) else [value]
        if not all(isinstance(text, str) for text in texts):
            raise Refused(400, f"Invalid request: {name} must be a text or a list of texts")
        return texts, isinstance(value, list)

    def whole_number(self, name: str, default: int, least: int, most: int) -> int:
        """A whole number within limits, also as text."""
        value = self._values.get(name)
        if value is None or value == "":
            return default
        try:
            if isinstance(value, bool | list | dict):
                raise ValueError
            number = int(value)
        except (ValueError, OverflowError):
            raise Refused(400, f"Invalid request: {name} parameter is not a number") from None
        if number > most:
            raise Refused(400, f"Invalid request: {name} parameter must be <= {most}")
        return max(least, number)

    def glossary(self) -> Glossary | None:
        """The field `glossary`, terms and their translations: an object, in a form as JSON; None if it has none."""
        value = self._values.get("glossary")
        if isinstance(value, str) and value.strip():
            value = parse_json(value.encode("utf-8", "replace"))
        terms = value or {}
        if not isinstance(terms, dict) or not all(isinstance(term, str) for term in terms.values()):
            raise Refused(400, "Invalid request: glossary must be an object of terms and their translations")
        if len(terms) > MOST_PHRASES:
            raise Refused(400, TOO_MANY_PHRASES)
        return Glossary(terms) if terms else None

    def unknown(self, known: set[str]) -> None:
        """Raises UserError if there are fields of other names."""
        if others := sorted(self._values.keys() - known):
            raise UserError(f"unknown field `{others[0]}`; the fields are {', '.join(sorted(known))}")
