"""The choice of sacrebleu's tokeniser for BLEU: by the target language, or by the script of the references."""

from __future__ import annotations

import re
from collections.abc import Sequence

TOKENIZERS = {
    "zh": "zh", "yue": "zh", "ja": "ja-mecab", "ko": "ko-mecab",
    **dict.fromkeys(("th", "lo", "km", "my", "shn", "mnw", "bo", "dz"), "char"),
}  # fmt: skip
"""sacrebleu's tokeniser for BLEU by target language; every other language has 13a.

13a treats text without spaces as one word, so whole Thai, Lao, Khmer, Burmese, Shan, Mon, Tibetan and Dzongkha
sentences would be single words, and BLEU would be 0. sacrebleu has no word tokeniser for these languages; `char` counts
n-grams of characters.
"""

LANGUAGE_NAMES = {
    "zho": "zh", "cmn": "zh", "chinese": "zh", "jpn": "ja", "japanese": "ja", "kor": "ko", "korean": "ko",
    "deu": "de", "ger": "de", "german": "de", "eng": "en", "english": "en", "fra": "fr", "fre": "fr", "french": "fr",
    "ces": "cs", "cze": "cs", "czech": "cs", "tha": "th", "thai": "th", "lao": "lo", "khm": "km", "khmer": "km",
    "mya": "my", "bur": "my", "burmese": "my", "bod": "bo", "tib": "bo", "tibetan": "bo", "dzo": "dz",
}  # fmt: skip
"""Other names of the languages with a tokeniser of their own, and of those of Multi30k."""

SCRIPTS = {
    "th": ("Thai", "\u0e00-\u0e7f"),
    "lo": ("Lao", "\u0e80-\u0eff"),
    "bo": ("Tibetan", "\u0f00-\u0fff"),
    "my": ("Burmese", "\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f"),
    "km": ("Khmer", "\u1780-\u17ff\u19e0-\u19ff"),
    "ja": ("Japanese", "\u3040-\u30ff"),
    "zh": ("Chinese", "\u3400-\u4dbf\u4e00-\u9fff"),
}
"""The scripts without spaces between words, by the language that represents the script: their names and characters."""

KANA = 0.05
"""Text in Chinese characters is Japanese if at least this share of it is kana."""

SAMPLE = 100_000
"""Number of characters of the references from which their script is recognised."""


def language_code(name: str) -> str:
    """`zh` for `zh`, `ZH-cn`, `zho_Hans` or `Chinese`; other names lower-cased, without script or country."""
    code = name.lower().replace("_", "-").split("-")[0]
    return LANGUAGE_NAMES.get(code, code)


def tokenizer_for(target_language: str) -> str:
    """Name of sacrebleu's tokeniser for a target language: 13a unless `TOKENIZERS` has another."""
    return TOKENIZERS.get(language_code(target_language), "13a")


def script_language(texts: Sequence[str]) -> str | None:
    """The language that represents the script of the texts; None if most characters are of scripts with spaces."""
    sample = "".join("".join(texts)[:SAMPLE].split())
    counts = {language: len(re.findall(f"[{characters}]", sample)) for language, (_, characters) in SCRIPTS.items()}
    if counts["ja"] >= KANA * counts["zh"]:
        counts["ja"] += counts.pop("zh")
    language = max(counts, key=counts.__getitem__)
    return language if counts[language] > len(sample) / 2 else None
