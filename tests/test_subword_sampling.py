"""Sampled segmentations: the right distribution, nothing lost, and the same draws in every process."""

from __future__ import annotations

import hashlib
import math
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from nmt.config import VocabularyConfig
from nmt.text.vocabulary import UNK, Vocabulary, learn_vocabulary

TEXT = [
    "Ein Hund läuft über die Wiese.", "Eine Frau liest ein Buch.", "Der Mann trinkt Kaffee am Fenster.",
    "A dog runs across the meadow.", "A woman is reading a book.", "The man drinks coffee by the window.",
] * 20  # fmt: skip
MODEL_TYPES = ["unigram", "bpe"]


def learn(model_type: str, byte_fallback: bool = False) -> Vocabulary:
    config = VocabularyConfig(model_type=model_type, byte_fallback=byte_fallback)  # type: ignore[arg-type]
    return learn_vocabulary(TEXT, config, 340 if byte_fallback else 80, "identity")


def segmentations(word: str, pieces: dict[str, tuple[int, float]]) -> list[list[str]]:
    """All ways to cut a word into pieces."""
    if not word:
        return [[]]
    starts = [i for i in range(1, len(word) + 1) if word[:i] in pieces]
    return [[word[:i], *rest] for i in starts for rest in segmentations(word[i:], pieces)]


def test_unigram_draws_with_the_probabilities_of_the_paper() -> None:
    """P(x)^alpha / sum of P(x')^alpha over every segmentation, listed one by one."""
    vocabulary, count, alpha = learn("unigram"), 20000, 0.5
    drawn = Counter(map(tuple, vocabulary.sample_batch(["Eine Wiese"] * count, alpha, 1)))
    pieces = vocabulary._samplers[alpha].pieces
    weights = {}
    for first in segmentations("▁Eine", pieces):
        for second in segmentations("▁Wiese", pieces):
            ids = tuple(pieces[piece][0] for piece in first + second)
            weights[ids] = math.exp(alpha * sum(pieces[piece][1] for piece in first + second))
    assert set(drawn) <= set(weights) and len(weights) > 8
    norm = sum(weights.values())
    for ids, weight in weights.items():
        share = weight / norm
        assert drawn[ids] / count == pytest.approx(share, abs=4 * math.sqrt(share / count))


@pytest.mark.parametrize("model_type", MODEL_TYPES)
@pytest.mark.parametrize("byte_fallback", [True, False])
def test_ends_of_the_scale(model_type: str, byte_fallback: bool) -> None:
    """Almost nothing left to chance is the best segmentation; BPE without any merge is characters."""
    vocabulary = learn(model_type, byte_fallback)
    alpha = 1e-9 if model_type == "bpe" else 1e3
    assert vocabulary.sample_batch(TEXT, alpha, 1) == vocabulary.encode_batch(TEXT)
    if model_type == "bpe":
        assert vocabulary.pieces(vocabulary.sample_batch(["Ein Buch"], 1.0, 1)[0]) == list("▁Ein▁Buch")


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_characters_without_a_piece(model_type: str) -> None:
    texts = ["漢字", "Ein漢漢 🙂", "", "  A   b ", "▁"]
    known = learn(model_type, byte_fallback=True)
    for ids, best in zip(known.sample_batch(texts, 0.3, 1), known.encode_batch(texts), strict=True):
        assert known.decode(ids) == known.decode(best)
    unknown = learn(model_type)
    for ids, best in zip(unknown.sample_batch(texts, 0.3, 1), unknown.encode_batch(texts), strict=True):
        assert ids.count(UNK) == best.count(UNK)


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_another_process_draws_the_same(model_type: str, tmp_path: Path) -> None:
    vocabulary = learn(model_type)
    (tmp_path / "model.spm").write_bytes(vocabulary.model)
    program = (
        "import sys, hashlib; from nmt.text.vocabulary import Vocabulary\n"
        "drawn = Vocabulary.load(sys.argv[1]).sample_batch(sys.argv[2:], 0.3, 7)\n"
        "print(hashlib.sha256(repr(drawn).encode()).hexdigest())"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "model.spm"), *TEXT]
    other = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert other == hashlib.sha256(repr(vocabulary.sample_batch(TEXT, 0.3, 7)).encode()).hexdigest()
