"""Training pairs with the characters of copied spans (`nmt.text.spans`), so that a model learns to copy them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from nmt.text.spans import SPAN_CHARACTERS, Span, equal_spans, replace_spans

NAMES = 0.3  # part of the share in which names are spans, as phrases of `--keep` do not occur in training
ADDED = 0.1  # part of the share in which a span is added at an end, where real text has addresses and emoji

_NAME = re.compile(r"(?<![\w-])[^\W\d_a-z][^\W\d_]+(?![\w-])")


def mark_spans(sources: list[str], targets: list[str], share: float, most: int, rng: np.random.Generator) -> list[int]:
    """Replace common spans of both sides by characters, in place; returns the indices of the pairs that changed.

    Each span of one side is paired with one of the other side that has the same text; other spans do not change. Their
    numbers are drawn without replacement, so that all are learned.

        share: probability that the spans of a pair are replaced; names and added spans are less frequent
        most: number of characters for spans in the vocabularies
    """
    chance = rng.random((len(sources), 3)) / max(share, 1e-9) < (1, NAMES, ADDED)
    changed = []
    for place in np.flatnonzero(chance.any(axis=1)).tolist():
        spans, names, added = chance[place].tolist()
        added = added and most > 1
        source, target = sources[place], targets[place]
        numbers = rng.permutation(most).tolist()
        pairs = list(equal_spans(source, target)) if spans else []
        if names:
            pairs += _equal_names(source, target, pairs)
        pairs = pairs[: most - 2 * added]
        sources[place] = _replaced(source, [one for one, _ in pairs], numbers)
        targets[place] = _replaced(target, [other for _, other in pairs], numbers)
        if added:
            before, after = _added(rng, [SPAN_CHARACTERS[number] for number in numbers[-2:]])
            for side in (sources, targets):
                side[place] = _joined(before, side[place], after)
        if pairs or added:
            changed.append(place)
    return changed


def _equal_names(source: str, target: str, taken: list[tuple[Span, Span]]) -> Iterator[tuple[Span, Span]]:
    """Words with a capital letter that occur once on each side and are in no other span."""
    names = {match[0]: match.span() for match in _NAME.finditer(source)}
    for match in _NAME.finditer(target) if names else ():
        name = match[0]
        if name not in names or not name[0].isupper() or source.count(name) != 1 or target.count(name) != 1:
            continue
        found = names[name], match.span()
        if not any(one[i][0] < found[i][1] and found[i][0] < one[i][1] for one in taken for i in (0, 1)):
            yield found


def _replaced(text: str, spans: list[Span], numbers: list[int]) -> str:
    """The text with the characters of spans; span number i has `numbers[i]`."""
    order = sorted(range(len(spans)), key=lambda i: spans[i])
    return replace_spans(text, [spans[i] for i in order], [numbers[i] for i in order])


def _added(rng: np.random.Generator, characters: list[str]) -> tuple[str, str]:
    """The text added before and after both sides of a pair: a span and a space, or a span at each end like tags."""
    kind = rng.random()
    if kind < 0.2:
        return characters[0], characters[1]
    return (f"{characters[0]} ", "") if kind < 0.5 else ("", f" {characters[0]}")


def _joined(before: str, text: str, after: str) -> str:
    """The text with the added text around it; in a script without spaces, without space between them."""
    if " " not in text and not text.isascii():
        before, after = before.strip(), after.strip()
    return before + text + after
