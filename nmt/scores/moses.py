"""BLEU of lower-cased Moses tokens: the figure in which Multi30k results are published. Needs the extra `moses`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nmt.scores.tokenizers import language_code

MOSES_NAME = "BLEU (lower-cased, Moses tokens)"

MOSES_LANGUAGES = frozenset(
    {"as", "bn", "ca", "cs", "de", "el", "en", "es", "et", "fi", "fr", "ga", "gu", "hi", "hu", "is", "it", "kn", "lt"}
    | {"lv", "ml", "mni", "mr", "nl", "or", "pa", "pl", "pt", "ro", "ru", "sk", "sl", "sv", "ta", "te"}
)
"""Languages that have spaces between words and whose abbreviations sacremoses knows."""


def moses_tokens(sentences: Sequence[str], language: str) -> list[str]:
    """Lower-cased sentences with Moses' punctuation normalised, as Moses tokens (escaped, dashes not split)."""
    from sacremoses import MosesPunctNormalizer, MosesTokenizer

    normalizer, tokenizer = MosesPunctNormalizer(lang=language), MosesTokenizer(lang=language)
    return [tokenizer.tokenize(normalizer.normalize(sentence.lower()), return_str=True) for sentence in sentences]


def moses_bleu(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], target_language: str, bootstrap: int
) -> tuple[Any, str]:
    """BLEU over the Moses tokens as they are: sacrebleu's result and a signature; raises ImportError."""
    import sacremoses
    from sacrebleu.metrics.bleu import BLEU

    language, metric = language_code(target_language), BLEU(tokenize="none", force=True)
    sides = [moses_tokens(side, language) for side in (hypotheses, *references)]
    result = metric.corpus_score(sides[0], sides[1:], n_bootstrap=bootstrap)
    # sacrebleu does not know how the text was processed before (its signature says `case:mixed|tok:none`).
    version = getattr(sacremoses, "__version__", "unknown")
    how = f"on lower-cased, punctuation-normalised Moses tokens, sacremoses:{version}"
    return result, f"{metric.get_signature()} {how}"
