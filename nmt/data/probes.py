"""Probe tasks: sequences of digits whose answer is a rule, to see how much a network keeps in its state, and how long.

    builtin:copy       7 2 9 4         the same             7 2 9 4
    builtin:reverse    7 2 9 4         from last to first   4 9 2 7
    builtin:sort       7 2 9 4         in order             2 4 7 9
    builtin:adding     ⑦ 2 9 ④         7 + 4 modulo ten     1

Digits are drawn at random. A held-out source has `data.probe_length` of them, a training source from five to that many:
who learns the short ones can learn the long ones from them, if its memory lasts. In the last task two digits are
circled, one in the first quarter and one in the last, and all others say nothing: the adding problem of Hochreiter &
Schmidhuber (1997, section 5.4) with digits in place of real numbers. As the sum is taken modulo ten, one of the two
says nothing about the answer without the other.

Without attention all that the decoder learns of a source is the encoder's last state, so its length is how long that
state must last.
"""

from __future__ import annotations

import random
from functools import lru_cache

Pair = tuple[str, str]

TASKS = ("copy", "reverse", "sort", "adding")
SIZES = {"test": 1000, "validation": 1000, "train": 64000}
SEED = 1
SHORTEST = 5
"""Digits of a training source at least; there are more different ones than are asked for."""
CIRCLED = "⓪①②③④⑤⑥⑦⑧⑨"


@lru_cache(maxsize=1)
def pairs(task: str, length: int) -> dict[str, list[Pair]]:
    """The pairs of each split; no source is twice among all of them, and every call gives the same."""
    rng = random.Random(SEED)
    seen: set[str] = set()
    parts: dict[str, list[Pair]] = {split: [] for split in SIZES}
    for split, part in parts.items():
        while len(part) < SIZES[split]:
            digits = rng.choices("0123456789", k=rng.randint(SHORTEST, length) if split == "train" else length)
            source, target = _mark(digits, rng) if task == "adding" else (digits, _arrange(task, digits))
            text = " ".join(source)
            if text not in seen:
                seen.add(text)
                part.append((text, " ".join(target)))
    return parts


def _arrange(task: str, digits: list[str]) -> list[str]:
    """The digits in the order that the task asks for."""
    return {"copy": digits, "reverse": digits[::-1], "sort": sorted(digits)}[task]


def _mark(digits: list[str], rng: random.Random) -> tuple[list[str], list[str]]:
    """The digits with one of the first and one of the last quarter circled, and the sum of these two modulo ten."""
    quarter = len(digits) // 4
    first, last = rng.randrange(quarter), len(digits) - 1 - rng.randrange(quarter)
    total = (int(digits[first]) + int(digits[last])) % 10
    marked = [CIRCLED[int(digit)] if place in (first, last) else digit for place, digit in enumerate(digits)]
    return marked, [str(total)]
