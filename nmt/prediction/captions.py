"""Texts that a network writes about vectors, by beam search over any engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from nmt.config import DecodingConfig
from nmt.search.beam import SearchSettings, beam_search
from nmt.search.engine import Engine
from nmt.text.vocabulary import Vocabulary


@dataclass
class Caption:
    """A text about vectors."""

    text: str
    log_prob: float
    token_log_probs: list[float]
    """Log-probability of each piece and of the end."""


def free_length(decoding: DecodingConfig, longest: int) -> DecodingConfig:
    """Decoding of texts of at most `longest` pieces, about whose length the number of vectors says nothing."""
    return replace(decoding, max_length_factor=0.0, max_length_offset=longest)


def write_captions(
    engine: Engine, sources: Sequence[Any], vocabulary: Vocabulary, decoding: DecodingConfig, longest: int
) -> list[Caption]:
    """The best text for each sequence of standardised vectors, of at most `longest` pieces."""
    settings = SearchSettings.of(free_length(decoding, longest))
    captions, size = [], decoding.batch_sentences
    for start in range(0, len(sources), size):
        for best, *_ in beam_search(engine, sources[start : start + size], settings):
            text = vocabulary.decode(best.tokens)
            captions.append(Caption(text, best.log_prob, best.token_log_probs))
    return captions
