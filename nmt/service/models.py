"""The models of a service, and the languages between which they translate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nmt.errors import UserError
from nmt.scores.tokenizers import language_code
from nmt.translation.translator import Translator

NAMES = {
    "ar": "Arabic", "bg": "Bulgarian", "bn": "Bengali", "bo": "Tibetan", "ca": "Catalan", "cs": "Czech", "cy": "Welsh",
    "da": "Danish", "de": "German", "el": "Greek", "en": "English", "eo": "Esperanto", "es": "Spanish",
    "et": "Estonian", "eu": "Basque", "fa": "Persian", "fi": "Finnish", "fr": "French", "ga": "Irish",
    "gl": "Galician", "he": "Hebrew", "hi": "Hindi", "hr": "Croatian", "hu": "Hungarian", "hy": "Armenian",
    "id": "Indonesian", "is": "Icelandic", "it": "Italian", "ja": "Japanese", "ka": "Georgian", "kk": "Kazakh",
    "km": "Khmer", "ko": "Korean", "la": "Latin", "lb": "Luxembourgish", "lo": "Lao", "lt": "Lithuanian",
    "lv": "Latvian", "mk": "Macedonian", "ms": "Malay", "mt": "Maltese", "my": "Burmese", "nb": "Norwegian Bokmål",
    "nl": "Dutch", "nn": "Norwegian Nynorsk", "no": "Norwegian", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian",
    "ru": "Russian", "sk": "Slovak", "sl": "Slovenian", "sq": "Albanian", "sr": "Serbian", "sv": "Swedish",
    "sw": "Swahili", "ta": "Tamil", "te": "Telugu", "th": "Thai", "tl": "Tagalog", "tr": "Turkish", "uk": "Ukrainian",
    "ur": "Urdu", "vi": "Vietnamese", "yue": "Cantonese", "zh": "Chinese",
}  # fmt: skip
"""English names of languages; a language without one is shown with its code."""

Pair = tuple[str, str]
"""The codes of a source and a target language."""


class Models:
    """Translators by language pair, and the routes from one language to another."""

    def __init__(self, translators: Mapping[Pair, Translator], pivots: Sequence[str] = ()) -> None:
        self.translators = dict(translators)
        self.languages = sorted({code for pair in self.translators for code in pair})
        pivots = [language_code(pivot) for pivot in pivots]
        for pivot in pivots:
            if pivot not in self.languages:
                raise UserError(f"--pivot must be a language of the models, but is `{pivot}` instead")
        self._routes: dict[Pair, list[Pair]] = {(code, code): [] for code in self.languages}
        for source in self.languages:
            for target in self.languages:
                ways = [[(source, target)], *([(source, pivot), (pivot, target)] for pivot in pivots)]
                possible = [way for way in ways if all(pair in self.translators for pair in way)]
                if source != target and possible:
                    self._routes[source, target] = possible[0]

    @classmethod
    def load(
        cls, names: Sequence[str], pivots: Sequence[str] = (), *, device: str = "cpu", threads: int | None = None
    ) -> Models:
        """Load the models; raises UserError if one cannot be loaded or two have the same pair of languages."""
        translators: dict[Pair, Translator] = {}
        loaded: dict[Pair, str] = {}
        for name in names:
            translator = Translator.load(name, device=device, threads=threads)
            pair = language_code(translator.source_language), language_code(translator.target_language)
            if pair[0] == pair[1]:
                raise UserError(f"`{name}` has `{pair[0]}` as source and target; set `data.source_language` and target")
            if pair in loaded:
                raise UserError(f"`{loaded[pair]}` and `{name}` both translate {'-'.join(pair)}; give one of them")
            translator.translate(["Two words, and 2 more."])  # loads the graphs and compiles the patterns
            translators[pair], loaded[pair] = translator, name
        return cls(translators, pivots)

    def route(self, source: str, target: str) -> list[Pair] | None:
        """The pairs through which a text goes: none if the languages are equal; None if there is no way."""
        return self._routes.get((source, target))

    def targets(self, source: str) -> list[str]:
        """The languages into which a language is translated, itself included, as in LibreTranslate."""
        return [target for target in self.languages if (source, target) in self._routes]

    def sources(self, target: str) -> list[str]:
        """The languages from which a language is translated, itself included."""
        return [source for source in self.languages if (source, target) in self._routes]

    def code(self, name: str) -> str | None:
        """The code of a language that is served; `en-US` is `en`. None for any other."""
        code = language_code(name)
        return code if code in self.languages else None


def language_name(code: str) -> str:
    """The English name of a language."""
    return NAMES.get(code, code)
