"""Probe tasks: sequences of digits with a rule-based answer, which test how much a network remembers and how long.

    builtin:copy       7 2 9 4         the same             7 2 9 4
    builtin:reverse    7 2 9 4         from last to first   4 9 2 7
    builtin:sort       7 2 9 4         in order             2 4 7 9
    builtin:adding     ⑦ 2 9 ④         7 + 4 modulo ten     1

Digits are drawn at random. A held-out source has `data.probe_length` of them, a training source from five to this
number, because a network learns short sources first and then longer ones, if its memory allows. In the last task two
digits are circled, one in the first quarter and one in the last, and the others do not matter: the adding problem of
Hochreiter & Schmidhuber (1997, section 5.4) with digits instead of real numbers. As the sum is taken modulo ten, one of
the two digits alone says nothing about the answer.

Without attention the decoder knows only the encoder's last state of a source, so this state must keep information over
the length of the source.
"""

from __future__ import annotations

import random
from functools import lru_cache

Pair = tuple[str, str]

TASKS = ("copy", "reverse", "sort", "adding")
SIZES = {"test": 1000, "validation": 1000, "train": 64000}
SEED = 1
SHORTEST = 5  # digits of a training source at least; there are more such sources than are needed
CIRCLED = "⓪①②③④⑤⑥⑦⑧⑨"


@lru_cache(maxsize=1)
def pairs(task: str, length: int) -> dict[str, list[Pair]]:
    """The pairs of each split; no source occurs twice in all of them, and every call gives the same pairs."""
    rng = random.Random(SEED)
    seen: set[str] = set()
    parts: dict[str, list[Pair]] = {split: [] for split in SIZES}
    for split, part in parts.items():
        while len(part) < SIZES[split]:
            digits = rng.choices("0123456789", k=rng.randint(SHORTEST, length) if split == "train" else length)
            arranged = {"copy": digits, "reverse": digits[::-1], "sort": sorted(digits)}
            source, target = _mark(digits, rng) if task == "adding" else (digits, arranged[task])
            text = " ".join(source)
            if text not in seen:
                seen.add(text)
                part.append((text, " ".join(target)))
    return parts


def _mark(digits: list[str], rng: random.Random) -> tuple[list[str], list[str]]:
    """The digits, with one of the first and one of the last quarter circled, and the sum of these two modulo ten."""
    quarter = len(digits) // 4
    first, last = rng.randrange(quarter), len(digits) - 1 - rng.randrange(quarter)
    total = (int(digits[first]) + int(digits[last])) % 10
    marked = [CIRCLED[int(digit)] if place in (first, last) else digit for place, digit in enumerate(digits)]
    return marked, [str(total)]
