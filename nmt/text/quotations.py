"""Quotations in another language, which are copied: `Das Motto ist „carpe diem“.`"""

from __future__ import annotations

import re
from collections.abc import Iterator

from nmt.text.cleaning import clean_line
from nmt.text.vocabulary import Vocabulary

# Each kind of marks encloses 3 to 80 characters without marks of its kind.
_QUOTED = r"""(?<!\w)(?:
        „([^„“”"]{3,80})[“”"] | “([^“”]{3,80})” | «([^«»]{3,80})» | »(?=\S)([^«»]{3,80})«
      | "(?=\S)([^"]{3,80})(?<=\S)" | ‚([^‚‘’]{3,80})[‘’] | ‘([^‘’]{3,80})’
    )(?!\w)"""
_OPENING = frozenset('„“«»"‚‘')
_WORD = r"[^\W\d_]+"


def foreign_quotations(line: str, vocabulary: Vocabulary) -> Iterator[tuple[int, int]]:
    """The places of the phrases in quotation marks that a model with this vocabulary cannot read.

    At least two words, and more than half of all, are rare or missing in what it was trained on. A line that is nothing
    but a quotation is translated, because it may be all that there is to translate.
    """
    if _OPENING.isdisjoint(line):
        return
    for match in re.finditer(_QUOTED, line, re.VERBOSE):  # compiled for the first such line
        group = match.lastindex or 0
        phrase, start = match[group], match.start(group)
        words = re.findall(_WORD, clean_line(phrase))
        rare = sum(map(vocabulary.is_rare, words))
        if rare > max(1, len(words) / 2) and re.search(_WORD, line[: match.start()] + line[match.end() :]):
            start += len(phrase) - len(phrase.lstrip())
            yield start, start + len(phrase.strip().rstrip(",."))
