"""Small tasks, models and texts that several test files share."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from plain import parse_plain

from nmt.config import Config

SMALL: dict[str, dict[str, Any]] = {
    "data": {"source": "src", "target": "rev"},
    "vocabulary": {"size": 24, "byte_fallback": False},
    "model": {"embedding_size": 16, "hidden_size": 32},
    "training": {"epochs": 2, "batch_size": 16, "learning_rate": 0.01, "log_interval": 3},
}

REFERENCES = [
    "A man in an orange hat is staring at something.",
    "Two dogs play in the deep snow.",
    "Five people in winter jackets and helmets stand in the snow.",
    "A girl in a karate uniform breaks a board with a kick.",
    "People are fixing the roof of a house.",
    "A group of people is standing in front of an igloo.",
]
HYPOTHESES = [
    "A man in an orange hat stares at something.",
    "Two dogs are playing in the snow.",
    "Five people in winter jackets stand in the snow.",
    "A girl in a uniform breaks a board with a kick.",
    "People fix the roof of the house.",
    "A group of people standing in front of a tent.",
]
SOURCES = [f"Satz {number}." for number in range(1, 7)]


def write_reversal(folder: Path, pairs: int = 120, longest: int = 6) -> Path:
    """A folder of parallel files whose target is the source's letters from last to first."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(1)
    for split, count in {"train": pairs, "val": 20, "test": 20}.items():
        lines = [" ".join(draw.choices("abcdefgh", k=draw.randint(1, longest))) for _ in range(count)]
        (folder / f"{split}.src").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        (folder / f"{split}.rev").write_text("".join(f"{line[::-1]}\n" for line in lines), encoding="utf-8")
    return folder


def toy_config(folder: Path, **sections: dict[str, Any]) -> Config:
    """A configuration for the reversal task with some settings changed."""
    values = {name: {**section, **sections.get(name, {})} for name, section in SMALL.items()}
    values["data"]["path"] = str(folder)
    if "task" not in sections:  # another task has other scores
        values["training"].setdefault("best_by", "bleu")
    return parse_plain({**values, **{k: v for k, v in sections.items() if k not in values}}, "toy")
