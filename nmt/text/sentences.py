"""The sentences of a line: splitting and joining."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Possessive, and never begun inside a run of marks: the time stays linear in the length of the line.
_SENTENCE_END = re.compile(
    r"""(?<![.!?…])[.!?…]++["'”’»«“)\]]*+(?=\s)"""
    # Japanese and Chinese need no space after the mark; behind a closing quote the sentence often goes on.
    r"""|[。！？]++(?:[」』”’）]++(?=\s|[「『“])|(?![」』”’）]))"""
)
_ABBREVIATION = re.compile(r"\w|\d\d?|Dr|Mr|Mrs|Ms|St|Prof|Hr|Fr|Nr|No|vs|bzw|ca|Mme|Mlle")
_NO_SPACE_AFTER = re.compile(r"[。！？][」』”’）]*$")


def split_sentences(text: str) -> list[str]:
    """The sentences of a line.

    One ends after `.`, `!`, `?` or `…` before a space, and after `。`, `！` or `？`; closing quotes and brackets stay
    with it. None ends before a lower-case letter (unless the whole line is lower-case), nor at the full stop of a
    single letter, a number of one or two digits or a common abbreviation: "z. B.", "am 3. Mai", "Dr. Who".
    """
    sentences, start = [], 0
    lower_case = text.islower()
    for match in _SENTENCE_END.finditer(text):
        if match[0][0] not in "。！？":
            following = text[match.end() : match.end() + 16].lstrip()
            if following[:1].islower() and not lower_case:
                continue
            word = re.split(r"[\s.(]", text[max(start, match.start() - 16) : match.start()])[-1]
            if match[0] == "." and _ABBREVIATION.fullmatch(word):
                continue
        sentences.append(text[start : match.end()].strip())
        start = match.end()
    sentences.append(text[start:].strip())
    return [sentence for sentence in sentences if sentence]


def join_sentences(sentences: Sequence[str]) -> str:
    """The sentences as one line; no space follows one that ends in `。`, `！` or `？`."""
    parts: list[str] = []
    for sentence in filter(None, sentences):
        if parts and not _NO_SPACE_AFTER.search(parts[-1][-8:]):
            parts.append(" ")
        parts.append(sentence)
    return "".join(parts)
