"""Runaway translations: empty ones, ones that repeat themselves, and ones cut off at the maximum length.

On unfamiliar input a recurrent decoder may fall into a loop, or end at once. Holtzman et al. (2020),
https://arxiv.org/abs/1904.09751, describe the loop, Stahlberg & Byrne (2019), https://arxiv.org/abs/1908.10090, the
empty translation. Such a sentence is searched once more, with the loop and the early end ruled out. Only these few
sentences take more time, and the translations of all others do not change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nmt.config import DecodingConfig

LONGEST_LOOP = 12  # maximum number of pieces of a loop
LOOPED_PIECES = 4  # repeated pieces from which on a translation is a loop, if its source does not repeat itself


def repetitions(pieces: Sequence[object]) -> int:
    """The largest number of consecutive pieces that repeat those right before them: 4 in `a b a b a b`."""
    most = 0
    for length in range(1, min(LONGEST_LOOP, len(pieces) // 2) + 1):
        run = 0
        for place in range(length, len(pieces)):
            run = run + 1 if pieces[place] == pieces[place - length] else 0
            if run >= length:  # fewer are not a whole repetition
                most = max(most, run)
    return most


def ran_away(source: Sequence[object], tokens: Sequence[str], finished: bool) -> bool:
    """Whether the translation of a sentence with words has no word, was cut off, or repeats itself.

    A translation may repeat itself if the source does: `ha ha ha ha`, 1,000,000.

        source, tokens: pieces, without end symbols
        finished: False if it was cut off
    """
    if not finished or not any(character.isalnum() for token in tokens for character in token):
        return True
    if len(tokens) - len(set(tokens)) < LOOPED_PIECES:  # so many pieces at least occur again in a loop
        return False
    looped = repetitions(tokens) - LOOPED_PIECES
    return looped >= 0 and looped >= repetitions(source)


def second_search(decoding: DecodingConfig) -> DecodingConfig:
    """The settings of the second search: at least one piece, and no pair of pieces twice."""
    return replace(
        decoding, retry=False, min_length=max(1, decoding.min_length), no_repeat_ngram=decoding.no_repeat_ngram or 2
    )
