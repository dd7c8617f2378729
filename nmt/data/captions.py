"""`builtin:captions`: an English-German-French parallel corpus in the style of photo captions.

scripts/make-captions generates the table of sentences with a grammar and a lexicon that were written for this project;
nothing in it is copied from elsewhere. Every pair of languages has the same sentences.
"""

from __future__ import annotations

import bz2
import functools
import json
import re
from pathlib import Path
from typing import Any

from nmt.errors import UserError

LANGUAGES = ("de", "en", "fr")
TABLE = Path(__file__).with_name("captions.json.bz2")
"""The sentences, by language and by split: line N of a split says the same in every language."""
TAGS = Path(__file__).with_name("captions-tags.json.bz2")
"""The parts of speech of the English sentences, by split: a letter for each word and each mark; and the class of some
nouns."""


def captions(*languages: str) -> dict[str, list[tuple[str, ...]]]:
    """The rows of "train", "validation" and "test": a pair for two languages, a text for one."""
    known = ", ".join(LANGUAGES)
    if len(languages) == 1 and languages[0] not in LANGUAGES:
        raise UserError(f"`data.target` must be one of {known} for `builtin:captions`, but is `{languages[0]}` instead")
    if not set(languages) <= set(LANGUAGES) or len(set(languages)) < len(languages):
        raise UserError(
            f"`builtin:captions` must be asked for two different languages of {known}, "
            f"but is asked for {languages[0]!r} to {languages[-1]!r} instead."
        )
    columns = [_read(TABLE)[language] for language in languages]
    return {split: list(zip(*(column[split] for column in columns), strict=True)) for split in columns[0]}


@functools.lru_cache(maxsize=1)
def tagged() -> dict[str, list[tuple[str, ...]]]:
    """English sentences, with a space before each mark, and the part of speech of each word and mark."""
    table = _read(TAGS)
    names, splits = table["names"], captions("en")
    return {
        split: [
            (re.sub(r"([,.?])", r" \1", text), " ".join(names[ord(letter) - ord("a")] for letter in letters))
            for (text,), letters in zip(splits[split], coded, strict=True)
        ]
        for split, coded in table.items()
        if split not in ("names", "entities")
    }


@functools.lru_cache(maxsize=1)
def with_entities() -> dict[str, list[tuple[str, ...]]]:
    """English sentences, and for each word whether it begins (B-) or continues (I-) what kind of entity, or none (O).

    An entity is a noun of a known class with the article, number and adjectives before it: `a red car` has the labels
    `B-VEHICLE I-VEHICLE I-VEHICLE`.
    """
    kinds = _read(TAGS)["entities"]
    return {
        split: [(text, " ".join(_entities(text, tags, kinds))) for text, tags in rows]
        for split, rows in tagged().items()
    }


def _entities(text: str, tags: str, kinds: dict[str, str]) -> list[str]:
    words, parts = text.split(), tags.split()
    labels, start = ["O"] * len(words), 0
    for place, (word, part) in enumerate(zip(words, parts, strict=True)):
        if part in ("DET", "NUM"):
            start = place
        elif part not in ("ADJ", "NOUN"):
            start = place + 1
        elif part == "NOUN" and parts[place + 1 : place + 2] != ["NOUN"]:
            if kind := kinds.get(word.lower()):
                labels[start : place + 1] = [f"B-{kind}", *[f"I-{kind}"] * (place - start)]
            start = place + 1
    return labels


@functools.cache
def _read(file: Path) -> dict[str, Any]:
    table: dict[str, Any] = json.loads(bz2.decompress(file.read_bytes()))
    return table
