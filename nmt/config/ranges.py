"""What a setting declares besides its name, type, default and meaning: its range, and its command-line option."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    from nmt.config.fields import DecodingConfig

T = TypeVar("T")


class Range(NamedTuple):
    """The values that a setting may have."""

    rule: str
    """The rule in words, as they follow "must be"."""
    holds: Callable[[Any], bool]
    most: int | None = None
    """Upper limit: a larger value is a typing error, or an attempt to exhaust the memory."""

    def broken_by(self, value: Any) -> str:
        """The rule that a value breaks, in words; empty if none."""
        if not self.holds(value):
            return self.rule
        return f"at most {self.most}" if self.most is not None and value != "auto" and value > self.most else ""


NOT_EMPTY = Range("a corpus", bool)
NATURAL = Range("from 0 to below 2^63", lambda value: 0 <= value < 2**63)
FINITE = Range("greater than 0 and finite", lambda value: 0 < value < math.inf)
NUMBER = Range("a finite number", lambda value: value is None or math.isfinite(value))
SHARE = Range("greater than 0 and at most 1", lambda value: 0 < value <= 1)
ABOVE_0 = Range("greater than 0", lambda value: value > 0)
FROM_0 = Range("at least 0", lambda value: value >= 0)
PROBABILITY = Range("between 0 and 1", lambda value: 0 <= value <= 1)
BELOW_1 = Range("at least 0 and below 1", lambda value: 0 <= value < 1)
WEIGHT = Range("greater than 0 and at most 1000", lambda value: 0 < value <= 1000)


def positive(most: int) -> Range:
    """Whole numbers from 1 on."""
    return Range("at least 1", lambda value: value >= 1, most)


def up_to(most: int) -> Range:
    """Numbers from 0 to a limit that is too high to matter in practice."""
    return Range(f"at least 0 and at most {most}", lambda value: 0 <= value <= most)


class Need(NamedTuple):
    """What another search option must be for this one to have an effect."""

    what: str
    """In words, as they follow "has no effect without"."""
    met: Callable[[DecodingConfig], bool]


BEAM = Need("the method `beam`", lambda decoding: decoding.method == "beam")
SAMPLING = Need("the method `sampling`", lambda decoding: decoding.method == "sampling")
GNMT = Need("the length penalty `gnmt`", lambda decoding: decoding.length_penalty == "gnmt")
BREVITY = Need("`brevity_penalty`", lambda decoding: decoding.brevity_penalty > 0)
GROUPS = Need("`groups`", lambda decoding: decoding.groups > 1)
RISK_OF_SAMPLES = Need(
    "minimum Bayes risk and the method `sampling`",
    lambda decoding: decoding.method == "sampling" and decoding.minimum_bayes_risk != "none",
)


class Option(NamedTuple):
    """What a field of `DecodingConfig` says about itself besides name, type, default and meaning."""

    help: str
    """The text of `--help`."""
    metavar: str | None
    range: Range | None
    """None if the type is enough."""
    needs: Need | None
    needs_attention: bool
    """Whether the option, when set, works only with a model that has attention."""
    scoring: bool
    """Whether it also changes the score of a given translation (`nmt score`)."""


def option(
    default: T,
    help: str,
    metavar: str | None = None,
    range: Range | None = None,
    *,
    needs: Need | None = None,
    needs_attention: bool = False,
    scoring: bool = False,
) -> T:
    """A field of `DecodingConfig`; checks, command line and reference derive from it."""
    described = Option(help, metavar, range, needs, needs_attention, scoring)
    made: T = field(default=default, metadata={"option": described})
    return made


def type_hints(section: Any) -> dict[str, Any]:
    """The annotated types of a section's settings, which are objects (see `nmt.config.fields`)."""
    return {one.name: one.type for one in dataclasses.fields(section)}


@functools.cache
def ranges(section: Any) -> dict[str, Range]:
    """The ranges of a section's settings: from the annotation of the type, or from the option."""
    found = {name: one for name, hint in type_hints(section).items() for one in getattr(hint, "__metadata__", ())}
    options = {one.name: one.metadata["option"].range for one in dataclasses.fields(section) if one.metadata}
    return {name: one for name, one in {**found, **options}.items() if isinstance(one, Range)}


def out_of_range(section: Any) -> Iterator[tuple[str, str]]:
    """Each setting of a section whose value is impossible, with the rule that it breaks."""
    known = ranges(section.__class__)
    for name, value in vars(section).items():
        rule = known[name].broken_by(value) if name in known else ""
        if not rule and isinstance(value, float) and not math.isfinite(value):
            rule = "a finite number"
        if rule:
            yield name, rule
