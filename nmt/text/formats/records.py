"""JSON, a line an object or one array, and Parquet: objects with fields that may be inside one another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nmt.errors import UserError
from nmt.text.formats.languages import is_language
from nmt.text.formats.pair import Pair, Reading, needs
from nmt.text.formats.table import header_languages
from nmt.text.reading import MISSING, field_value, iterate_records, score_text


def languages(path: str, reading: Reading) -> list[str]:
    """The languages that name fields of the first object, or of an object inside it."""
    return _languages(iterate_records(path))


def languages_of_parquet(path: str, reading: Reading) -> list[str]:
    """The same for a Parquet file."""
    return _languages(_parquet_records(path))


def _languages(records: Iterator[tuple[str, dict[str, Any]]]) -> list[str]:
    record = next((record for _, record in records), {})
    objects = [record, *(value for value in record.values() if isinstance(value, dict))]
    return next(filter(None, (header_languages([("", list(names))]) for names in objects)), [])


def read(path: str, reading: Reading) -> Iterator[Pair]:
    """The pairs of a file of JSON."""
    yield from _pairs(iterate_records(path), reading, path)


def read_parquet(path: str, reading: Reading) -> Iterator[Pair]:
    """The pairs of a Parquet file."""
    yield from _pairs(_parquet_records(path), reading, path)


def _parquet_records(path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError:
        raise needs("pyarrow", f"`{path}`") from None
    try:
        with pa.parquet.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(4096):
                for record in batch.to_pylist():
                    number += 1
                    yield f"row {number}", record
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UserError(f"`{path}` cannot be read as Parquet: {' '.join(str(error).split())[:200]}") from None


def _pairs(records: Iterator[tuple[str, dict[str, Any]]], reading: Reading, path: str) -> Iterator[Pair]:
    fields: tuple[str, str] | None = None
    for place, record in records:
        fields = fields or _find_fields(record, reading, path)
        values = (field_value(record, name) for name in fields)
        texts = ["" if value is None or value is MISSING else value for value in values]
        for text, name in zip(texts, fields, strict=True):
            if not isinstance(text, str):
                raise UserError(f"`{path}` {place}: `{name}` must be a text, but is {text!r:.50} instead")
        score = score_text(field_value(record, reading.score_field)) if reading.score_field else ""
        yield Pair(texts[0], texts[1], place, score)


def _find_fields(record: dict[str, Any], reading: Reading, path: str) -> tuple[str, str]:
    """The fields of the sides: those that are asked for, or those named after the languages or `source` and `target`.

    They are looked for in the record, and then in each object inside it.
    """
    asked = reading.source_field, reading.target_field
    if all(asked):
        if all(field_value(record, name) is not MISSING for name in asked):
            return asked
    elif not any(asked):
        inside = [(f"{name}.", value) for name, value in record.items() if isinstance(value, dict)]
        for way, names in [("", record), *inside]:
            for sides in ((reading.source, reading.target), ("source", "target")):
                own = [next((name for name in names if is_language(name, side)), None) for side in sides]
                if own[0] and own[1]:
                    return f"{way}{own[0]}", f"{way}{own[1]}"
    known = ", ".join(_all_names(record))
    raise UserError(
        f"`{path}`: set --source-field and --target-field to fields that are there: {known[:300] or 'none'}"
    )


def _all_names(record: dict[str, Any]) -> Iterator[str]:
    for name, value in record.items():
        if isinstance(value, dict):
            yield from (f"{name}.{inner}" for inner in _all_names(value))
        else:
            yield name
