"""Detection of the language of a text, among the languages that are served."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property
from typing import Any

LOOKED_AT = 2000
"""Number of characters that are examined."""


class Detector:
    """Ranks languages for a text, by py3langid's model of letter sequences, which is loaded when it is first needed."""

    def __init__(self, languages: Sequence[str]) -> None:
        self.languages = list(languages)
        self._lock = threading.Lock()

    @cached_property
    def _identifier(self) -> Any:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier

        identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
        known = [code for code in self.languages if code in identifier.labels]
        if not known:
            return None
        identifier.set_languages(known)
        return identifier

    def rank(self, text: str, among: Sequence[str]) -> list[tuple[str, float]]:
        """The languages with their probabilities, the most probable first; all of them 0 for a text without letters."""
        text = text[:LOOKED_AT]
        with self._lock:
            identifier = self._identifier if any(sign.isalpha() for sign in text) and len(among) > 1 else None
            found = dict(identifier.rank(text)) if identifier is not None else {}
        found = {code: found.get(code, 0.0) for code in among}
        total = sum(found.values())
        ranked = [(code, value / total if total else 0.0) for code, value in found.items()]
        return sorted(ranked, key=lambda one: -one[1])
