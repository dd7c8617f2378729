"""Quotations in another language, which are copied: `Das Motto ist „carpe diem“.`"""

from __future__ import annotations

import re
from collections.abc import Iterator

from nmt.text.vocabulary import Vocabulary

_MARKS = '"„“”«»‚‘’'
_QUOTED = re.compile(rf"(?<![^\s(\[])[\"„“«»‚‘]\s?([^{_MARKS}\s][^\"„“”«»‚‘]{{2,80}}?)[,.]?\s?[\"“”»«‘’](?!\w)")
_WORD = re.compile(r"[^\W\d_]+")
_LISTED = 3  # letters of the shortest words that a vocabulary lists
RARE = 5e-6  # share of the text that a model reads: rarer words may be of another language


def foreign_quotations(line: str, vocabulary: Vocabulary) -> Iterator[str]:
    """The phrases in quotation marks most of whose words are rare or missing in what the model of a vocabulary reads.

    A single word may be a rare one of the language, and is translated.
    """
    for match in _QUOTED.finditer(line):
        words = _WORD.findall(match[1].lower())
        counts = [vocabulary.words.get(word, ("", 0))[1] for word in words if len(word) >= _LISTED]
        rare = [count for count in counts if count < RARE * vocabulary.words_read]
        if len(words) > 1 and 2 * len(rare) > len(counts):
            yield match[1]
