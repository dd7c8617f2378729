"""JSON, a line an object or one array, and Parquet: objects with fields that may be inside one another."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from nmt.errors import UserError, imported
from nmt.text.formats.languages import is_language
from nmt.text.formats.pair import Format, Pair, Reading
from nmt.text.formats.table import header_languages
from nmt.text.reading import MISSING, field_value, iterate_records, score_text


def languages(path: str, reading: Reading) -> list[str]:
    """The languages that name fields of the first object, or of an object inside it."""
    return _languages(next((record for _, record in iterate_records(path)), {}))


def languages_of_parquet(path: str, reading: Reading) -> list[str]:
    """The same for a Parquet file."""
    return _languages(_parquet_names(path))


def _languages(record: dict[str, Any]) -> list[str]:
    objects = [record, *(value for value in record.values() if isinstance(value, dict))]
    return next(filter(None, (header_languages([("", list(names))]) for names in objects)), [])


def read(path: str, reading: Reading) -> Iterator[Pair]:
    """The pairs of a file of JSON."""
    records = iterate_records(path)
    for first in records:
        yield from _pairs(itertools.chain([first], records), _find_fields(first[1], reading, path), reading, path)


def read_parquet(path: str, reading: Reading) -> Iterator[Pair]:
    """The pairs of a Parquet file."""
    names = _parquet_names(path)
    fields = _find_fields(names, reading, path)
    columns = {name if name in names else name.partition(".")[0] for name in (*fields, reading.score_field)}
    yield from _pairs(_parquet_records(path, sorted(columns & names.keys())), fields, reading, path)


def _parquet_names(path: str) -> dict[str, Any]:
    """The names of the columns, and for each one what is inside it, as an object of JSON has them."""

    def inside(fields: Any) -> dict[str, Any]:
        return {field.name: inside(field.type) if is_struct(field.type) else None for field in fields}

    with _opened(path) as file:
        from pyarrow.types import is_struct

        return inside(file.schema_arrow)


def _parquet_records(path: str, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    with _opened(path) as file:
        number = 0
        for batch in file.iter_batches(4096, columns=columns):
            for record in batch.to_pylist():
                number += 1
                yield f"row {number}", record


@contextmanager
def _opened(path: str) -> Iterator[Any]:
    """A Parquet file; what the library raises while it is open means that the file is damaged."""
    pa, parquet = (imported(module, f"`{path}` needs pyarrow", "[import]") for module in ("pyarrow", "pyarrow.parquet"))
    try:
        with parquet.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise UserError(f"`{path}` cannot be read as Parquet: {' '.join(str(error).split())[:200]}") from None


def _pairs(
    records: Iterator[tuple[str, dict[str, Any]]], fields: tuple[str, str], reading: Reading, path: str
) -> Iterator[Pair]:
    for place, record in records:
        values = (field_value(record, name) for name in fields)
        texts = ["" if value is None or value is MISSING else value for value in values]
        for text, name in zip(texts, fields, strict=True):
            if not isinstance(text, str):
                raise UserError(f"`{path}` {place}: `{name}` must be a text, but is {text!r:.50} instead")
        score = score_text(field_value(record, reading.score_field)) if reading.score_field else ""
        yield Pair(texts[0], texts[1], place, score)


def _find_fields(record: dict[str, Any], reading: Reading, path: str) -> tuple[str, str]:
    """The fields that are asked for, or named after the languages, in the record or in an object inside it."""
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
    known = ", ".join(itertools.islice(_all_names(record), 40))
    raise UserError(
        f"`{path}`: set --source-field and --target-field to fields that are there: {known[:300] or 'none'}"
    )


def _all_names(record: dict[str, Any]) -> Iterator[str]:
    waiting = list(record.items())
    while waiting:
        name, value = waiting.pop(0)
        if isinstance(value, dict):
            waiting[:0] = [(f"{name}.{inner}", below) for inner, below in value.items()]
        else:
            yield name


FORMATS = (
    Format("JSON", (".json", ".jsonl", ".ndjson"), read, languages),
    Format("Parquet", (".parquet",), read_parquet, languages_of_parquet),
)
