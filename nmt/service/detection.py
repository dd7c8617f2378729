"""Detection of the language of a text, among the languages that are served."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property

from nmt.text.formats.languages import base
from nmt.text.identification import Identifier

LOOKED_AT = 2000
"""Number of characters that are examined."""


class Detector:
    """Ranks languages for a text, by their letter sequences; the model is loaded when it is first needed."""

    def __init__(self, languages: Sequence[str]) -> None:
        self.languages = list(languages)
        self._lock = threading.Lock()

    @cached_property
    def _identifier(self) -> Identifier:
        return Identifier(self.languages)

    def rank(self, text: str, among: Sequence[str]) -> list[tuple[str, float]]:
        """The languages with their probabilities, the most probable first; all of them 0 for a text without letters."""
        text = text[:LOOKED_AT]
        found = dict[str, float]()
        if len(among) > 1 and any(sign.isalpha() for sign in text):
            with self._lock:
                found = self._identifier.rank(text)
        shares = {code: found.get(base(code), 0.0) for code in among}
        total = sum(shares.values())
        ranked = [(code, share / total if total else 0.0) for code, share in shares.items()]
        return sorted(ranked, key=lambda one: -one[1])
