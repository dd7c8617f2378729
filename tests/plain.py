"""Configurations in which everything that a test does not name is plain, not as the recommended recipe has it."""

from __future__ import annotations

from typing import Any

from nmt.config import Config, ModelConfig, TrainingConfig, parse_config

MODEL: dict[str, Any] = {
    "embedding_size": 256, "hidden_size": 512, "decoder_layers": 1, "input_normalization": "none", "attention": "none",
    "tied_embeddings": "none", "dropout": 0.0, "embedding_dropout": 0.0, "output_dropout": 0.0,
    "initialization": "xavier",
}  # fmt: skip
TRAINING: dict[str, Any] = {
    "truncation": 0, "epochs": 10, "batch_size": 64, "learning_rate": 0.001, "betas": (0.9, 0.998), "warmup": 0,
    "decay_start": 0.0, "clip_norm": 5.0, "label_smoothing": 0.0, "average_decay": 0.0, "source_sampling": 0.0,
    "noise": 0.0,
    "source_word_dropout": 0.0, "target_word_dropout": 0.0, "precision": "fp32",
}  # fmt: skip


def plain_model(**settings: Any) -> ModelConfig:
    """[model] with these settings, and nothing else that matters."""
    return ModelConfig(**{**MODEL, **settings})


def plain_training(**settings: Any) -> TrainingConfig:
    """[training] with these settings, and nothing else that matters."""
    return TrainingConfig(**{**TRAINING, **settings})


def parse_plain(values: dict[str, Any], where: str = "test") -> Config:
    """A whole configuration with these settings, checked."""
    plain: dict[str, dict[str, Any]] = {
        "vocabulary": {"size": 1000, "copied_spans": 0},
        "model": MODEL,
        "training": TRAINING,
    }
    sections = {name: {**section, **values.get(name, {})} for name, section in plain.items()}
    return parse_config({**values, **sections}, where)
