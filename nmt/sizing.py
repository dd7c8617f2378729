"""The values of the settings that a configuration leaves open with `auto`: a recipe, sized by the amount of text.

The rules were tried with 1,000, 8,000, 29,000 and 165,000 sentence pairs of real text (docs/recipes.md, "How much
text, which model"). Little text needs a small vocabulary, small batches, much dropout and many epochs (Sennrich & Zhang
2019, https://arxiv.org/abs/1905.11901); much text needs a larger network and fewer epochs.

A resolved configuration has no open setting among these; resolving it again changes nothing.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from nmt.config import Config, ModelConfig, TrainingConfig, VocabularyConfig

AUTO: Any = "auto"
"""The value of an open setting. Its type is Any, so that it can be the default of a field that is a number in every
resolved configuration."""

BYTES = 256
"""Number of pieces that `vocabulary.byte_fallback` adds."""

MOST_SPANS = 16
"""Maximum number of pieces that represent copied spans, which is also the maximum number of spans in a sentence."""

FEW_PAIRS = 5_000
"""With fewer sentence pairs, no settings give useful translations."""

FEW_WORDS = 50_000
"""The same for a language model, in words of its text."""


class Measured(NamedTuple):
    """A training with the default settings whose score is known."""

    text: str
    pairs: int
    bleu: float
    """The score on held-out pairs of the same kind, with beam 5."""
    minutes: float
    """What the whole training took on one processor core."""


EVERYDAY = "Tatoeba (everyday sentences of 6 words)"
CAPTIONS = "Multi30k (descriptions of pictures, 12 words)"
LEARNING_CURVE = (
    Measured(EVERYDAY, 1_000, 6.3, 2.7),
    Measured(EVERYDAY, 7_600, 22.85, 8.4),
    Measured(EVERYDAY, 20_000, 30.8, 11.0),
    Measured(EVERYDAY, 165_874, 50.4, 85),
    Measured(CAPTIONS, 8_000, 34.5, 12.8),
    Measured(CAPTIONS, 29_000, 41.2, 33),
)
"""BLEU by the number of pairs, from German to English; `scripts/learning-curve` prints further lines of this table.

For each text the lines are in the order of the number of pairs. docs/recipes.md says how the rows were measured.
"""


def expectations(pairs: int) -> list[tuple[str, str]]:
    """For each text of the learning curve, the BLEU that this many pairs of such text will have.

    Between two measured trainings it is interpolated over the logarithm of the pairs; beyond them it is a bound.
    """
    import numpy as np

    expected = []
    for text in dict.fromkeys(one.text for one in LEARNING_CURVE):
        curve = [one for one in LEARNING_CURVE if one.text == text]
        if pairs < curve[0].pairs:
            bleu = f"less than {curve[0].bleu:.0f}"
        elif pairs > curve[-1].pairs:
            bleu = f"more than {curve[-1].bleu:.0f}"
        else:
            logarithms = [math.log(one.pairs) for one in curve]
            bleu = f"about {np.interp(math.log(pairs), logarithms, [one.bleu for one in curve]):.0f}"
        expected.append((text, bleu))
    return expected


class Amount(NamedTuple):
    """The amount of training text, and the conditions of the training."""

    pairs: int
    """Number of sentence pairs in an epoch; for a language model, of lines."""
    words: int
    """Number of words of the whole text, both sides together."""
    symbols: int
    """Number of different characters, plus the special pieces of a vocabulary."""
    pieces: int | None = None
    """Size of the given vocabulary; None if one is learned."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """The fastest number format that the device supports."""


PAIR = 32
"""Number of positions that a sentence pair takes in a batch, if batches are counted in tokens."""

NOMINAL = Amount(pairs=30_000, words=750_000, symbols=100)
"""An amount for checking a configuration before the data have been read."""


def resolve(config: Config, amount: Amount) -> Config:
    """The configuration with a value for each open setting; all other settings keep their value."""
    chosen = vocabulary_values(config, amount) | model_values(config, amount)
    config = _fill(config, chosen)
    return _fill(config, training_values(config, amount))


def adopt(config: Config, resolved: Config) -> Config:
    """The configuration with the value of each open setting from a resolved configuration, for a resumed run.

    A configuration that an older version resolved has no setting for noise; its run is resumed without noise.
    """
    config = _fill(config, {name: _value(resolved, name) for name in open_settings(config)})
    return _fill(config, {"training.noise": 0.0})


def open_settings(config: Config) -> list[str]:
    """Names (`section.key`) of the settings that `resolve` would choose."""
    return [
        f"{section}.{key}"
        for section in ("vocabulary", "model", "training")
        for key in _may_be_open(getattr(config, section).__class__)
        if _value(config, f"{section}.{key}") == AUTO
    ]


@functools.cache
def _may_be_open(section: Any) -> list[str]:
    """The settings of a section that are annotated with AUTO."""
    return [one.name for one in dataclasses.fields(section) if AUTO in getattr(one.type, "__metadata__", ())]


def _value(config: Config, name: str) -> Any:
    section, key = name.split(".")
    return getattr(getattr(config, section), key)


def _fill(config: Config, chosen: dict[str, Any]) -> Config:
    """The configuration with these values for its open settings."""
    sections: dict[str, dict[str, Any]] = {}
    for name, value in chosen.items():
        if _value(config, name) == AUTO:
            section, key = name.split(".")
            sections.setdefault(section, {})[key] = value
    filled = {name: dataclasses.replace(getattr(config, name), **values) for name, values in sections.items()}
    return dataclasses.replace(config, **filled)


def vocabulary_values(config: Config, amount: Amount) -> dict[str, Any]:
    """The number of pieces to learn, and how many of them represent copied spans.

    Small data need small vocabularies: Sennrich & Zhang (2019), section 5.2, gain 4.9 BLEU at 100,000 words by going
    from 14,000 to 2,000 merges. The rule 5 sqrt(words), rounded to hundreds and kept within 1,000 and 32,000, gives
    4,100 for Multi30k and 16,000 for ten million words. A script with many different characters gets at least 500
    pieces in addition to the characters, the bytes, the spans and the special pieces.
    """
    settings: VocabularyConfig = config.vocabulary
    size = min(32_000, max(1_000, round(5 * math.sqrt(amount.words) / 100) * 100))
    copied_spans = MOST_SPANS if config.task == "translation" else 0
    copied_spans = copied_spans if settings.copied_spans == AUTO else settings.copied_spans
    least = amount.symbols + (BYTES if settings.byte_fallback else 0) + copied_spans
    if settings.model_type == "char":
        size = max(16, least)
    elif size < least:
        size = least + 500
    return {
        "vocabulary.size": size if amount.pieces is None else max(16, amount.pieces),
        "vocabulary.copied_spans": copied_spans,
    }


def model_values(config: Config, amount: Amount) -> dict[str, Any]:
    """The network: sizes and dropout depend on the amount of text, the rest on what the other settings allow."""
    model: ModelConfig = config.model
    if config.task == "language_model":
        return _language_model_values(config, amount)
    alone = not config.kind.decoder
    tie_all = config.vocabulary.joint and model.source_embeddings is None and not config.reads_vectors
    dropout = _step(amount.pairs, {0: 0.3, 15_000: 0.2, 500_000: 0.1})
    return {
        "model.embedding_size": _step(amount.pairs, {0: 256, 500_000: 512}),
        "model.hidden_size": _step(amount.pairs, {0: 256, 500_000: 512}),
        "model.attention": "none" if alone else "dot",
        "model.tied_embeddings": "none" if alone else "all" if tie_all else "decoder",
        "model.dropout": dropout,
        "model.embedding_dropout": 0.1,
        "model.output_dropout": dropout,
    }


def _language_model_values(config: Config, amount: Amount) -> dict[str, Any]:
    """The network of a language model: no attention, and tied embeddings unless its pieces are characters."""
    by_characters = config.vocabulary.model_type == "char"
    return {
        "model.embedding_size": 64 if by_characters else 256,
        "model.hidden_size": 512 if by_characters else _step(amount.words, {0: 256, 1_000_000: 512}),
        "model.attention": "none",
        "model.tied_embeddings": "none" if by_characters else "decoder",
        "model.dropout": 0.2 if by_characters else 0.3,
        "model.embedding_dropout": 0.0 if by_characters else 0.1,
        "model.output_dropout": 0.2 if by_characters else 0.3,
    }


def training_values(config: Config, amount: Amount) -> dict[str, Any]:
    """The length of the training, its noise and the like; the values of the network are already chosen."""
    settings: TrainingConfig = config.training
    language_model = config.task == "language_model"
    translated = config.kind.decoder and not language_model
    risk = settings.objective == "minimum_risk"
    by_characters = config.vocabulary.model_type == "char"
    sampling = {"unigram": 0.5, "bpe": 0.1, "char": 0.0}[config.vocabulary.model_type]
    dropped = 0.08 if translated or not (language_model or by_characters) else 0.0
    source_dropped = 0.0 if config.reads_vectors else dropped
    passes = amount.pairs if translated else amount.words / 25
    if not config.kind.decoder:
        passes = max(passes, amount.pairs)
    probe = config.data.path.startswith("builtin:") and config.data.path != "builtin:captions"
    chosen = {
        "training.truncation": (128 if by_characters else 64) if language_model else 0,
        "training.epochs": _epochs(passes),
        "training.label_smoothing": 0.1 if translated and not risk else 0.0,
        "training.source_sampling": sampling if translated and not config.reads_vectors else 0.0,
        "training.source_word_dropout": source_dropped,
        "training.target_word_dropout": dropped if translated and not risk else 0.0,
        "training.noise": 1.0 if translated and not probe and not config.reads_vectors else 0.0,
        "training.precision": amount.precision,
        "training.best_by": next(iter(config.kind.metrics)),
    }
    settings = _fill(config, chosen).training
    sentences = 32 if language_model else _step(amount.pairs, {0: 32, 15_000: 64, 100_000: 128})
    length = settings.truncation if language_model else PAIR
    chosen["training.batch_size"] = sentences * (1 if settings.batch_unit == "sentences" else length)
    settings = _fill(config, chosen).training
    updates = _updates(config, settings, amount, length)
    decay = 1 - 10 / updates
    chosen["training.warmup"] = min(200, round(updates / 20))
    chosen["training.average_decay"] = round(min(0.9995, max(0.9, decay)), 4)
    return chosen


def _updates(config: Config, settings: TrainingConfig, amount: Amount, length: int) -> float:
    """The approximate number of updates, at least 10; impossible settings may not have been refused yet."""
    by_characters = config.vocabulary.model_type == "char"
    positions = amount.pairs * length
    if config.task == "language_model":
        positions = round(amount.words * (6 if by_characters else 1.5))
    batch = settings.batch_size * (1 if settings.batch_unit == "tokens" else length)
    return max(10, settings.epochs * positions / max(1, batch * settings.accumulation))


def _epochs(pairs: float) -> int:
    """12 at 29,000 pairs and fewer with more pairs: with twice as many pairs, training takes 1.5 times as long."""
    return max(2, min(60, round(12 * math.pow(29_000 / max(1, pairs), 0.4))))


def _step(value: float, steps: dict[int, float]) -> float:
    """The entry for the largest bound that a value reaches."""
    return [entry for bound, entry in steps.items() if value >= bound][-1]
