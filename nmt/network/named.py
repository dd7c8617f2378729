"""Classes that a configuration chooses by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any


def by_name(base: Any, names: Sequence[str]) -> dict[str, Any]:
    """The subclasses of a class that have these names, in this order; each class must have a name that is listed."""
    found = {kind.name: kind for kind in _named(base)}
    assert found.keys() == set(names), f"names of subclasses of {base.__name__}: {sorted(found)} or {sorted(names)}?"
    return {name: found[name] for name in names}


def _named(base: Any) -> Iterator[Any]:
    for kind in base.__subclasses__():
        if "name" in vars(kind):
            yield kind
        yield from _named(kind)
