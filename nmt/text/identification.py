"""Which language a text is in. No network is needed: py3langid brings its model of 139 languages (4.6 MB, BSD licence).

It is langid.py (Lui & Baldwin 2012, https://aclanthology.org/P12-3005) with a new model. Of 4,000 sentences each from
Tatoeba and Multi30k in Czech, English, French, German and Spanish none was taken for another of 34 languages with a
probability of 0.9 or more, while 73 to 99 % of them were known as not German or not English with that probability.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from functools import cache
from typing import Any

from nmt.errors import imported
from nmt.text.formats.languages import base

SURE = 0.9  # from this probability on, a text counts as being in a language


class Identifier:
    """Tells some languages from one another."""

    def __init__(self, languages: Iterable[str]) -> None:
        """For texts in these languages, given as codes; raises UserError if the library is not installed."""
        self._model = copy(_model())
        known = set(self._model.labels)
        self.languages = frozenset(code for code in map(base, languages) if code in known)
        self._model.set_languages(sorted(self.languages))

    def rank(self, text: str) -> dict[str, float]:
        """The probability of each language; empty if none of the languages is known."""
        return {str(code): float(share) for code, share in self._model.rank(text)} if self.languages else {}

    def is_other(self, text: str, language: str) -> bool:
        """Whether a text is surely in another language; False for a language that is not known."""
        wanted = base(language)
        if wanted not in self.languages:
            return False
        found, probability = self._model.classify(text)
        return bool(found != wanted and probability >= SURE)


@cache
def _model() -> Any:
    """The library's model, which takes 0.7 s to load."""
    langid = imported("py3langid.langid", "telling languages apart needs py3langid", "[import]")
    return langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)
