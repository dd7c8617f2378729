"""Codes and names of languages, as files write them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from nmt.errors import UserError

NAMES = {
    "ar": "arabic arabisch العربية",
    "bg": "bulgarian bulgarisch български",
    "cs": "czech tschechisch čeština",
    "da": "danish dänisch dansk",
    "de": "german deutsch allemand alemán tedesco",
    "el": "greek griechisch ελληνικά",
    "en": "english englisch anglais inglés inglese",
    "es": "spanish spanisch español espagnol spagnolo",
    "et": "estonian estnisch eesti",
    "fi": "finnish finnisch suomi",
    "fr": "french französisch français francés francese",
    "he": "hebrew hebräisch עברית",
    "hi": "hindi हिन्दी",
    "hr": "croatian kroatisch hrvatski",
    "hu": "hungarian ungarisch magyar",
    "it": "italian italienisch italiano italien",
    "ja": "japanese japanisch 日本語",
    "ko": "korean koreanisch 한국어",
    "lt": "lithuanian litauisch lietuvių",
    "lv": "latvian lettisch latviešu",
    "nl": "dutch niederländisch nederlands",
    "no": "norwegian norwegisch norsk",
    "pl": "polish polnisch polski",
    "pt": "portuguese portugiesisch português",
    "ro": "romanian rumänisch română",
    "ru": "russian russisch русский",
    "sk": "slovak slowakisch slovenčina",
    "sl": "slovenian slowenisch slovenščina",
    "sr": "serbian serbisch српски srpski",
    "sv": "swedish schwedisch svenska",
    "tr": "turkish türkisch türkçe",
    "uk": "ukrainian ukrainisch українська",
    "vi": "vietnamese vietnamesisch việt",
    "zh": "chinese chinesisch 中文",
}
"""Names of languages that people write above the columns of a table, by code."""

COMMON_WORDS = {
    "cs": "a se na je že to si jsem ale jak jsi",
    "da": "og det er ikke jeg du på til en af har",
    "de": "der die das und ist nicht ich sie ein zu es mit",
    "en": "the of and to is you i it not that he she",
    "es": "el la los que de y no es un una en por",
    "fi": "ja on ei se että hän oli mutta olen kun",
    "fr": "le la les et est ne pas je vous il une des",
    "hu": "az egy nem és hogy van ez meg volt is",
    "it": "il di che non è un per la mi sono gli",
    "nl": "de het een en ik niet van je dat zijn",
    "pl": "nie się na jest że to w z jak do",
    "pt": "o que não de um uma os ele você é do",
    "sv": "och det är inte jag att en på som har",
    "tr": "bir ve bu ne için çok değil mi var ben",
}
"""Some of the most frequent words of languages that are written alike; they tell which of two columns is which."""

_CODES = {name: code for code, names in NAMES.items() for name in (code, *names.split())}


@cache
def normal_code(language: str) -> str:
    """A language in one way of writing it: `DE_at`, `de-AT` and `De-at` are `de-at`; `German (new)` is `de`."""
    code = language.strip().lower().replace("_", "-")
    return _CODES.get(re.split(r"\s*[(/\[]", code)[0], code)


def base(language: str) -> str:
    """`de` for `de-AT`."""
    return normal_code(language).partition("-")[0]


@cache
def is_language(code: str, wanted: str) -> bool:
    """Whether a code means a language: `de-DE` is `de`, but `de` is not `de-AT`."""
    code, wanted = normal_code(code), normal_code(wanted)
    return bool(wanted) and (code == wanted or code.startswith(f"{wanted}-"))


def is_code(text: str) -> bool:
    """Whether a text can be the code or the name of a language."""
    return bool(re.fullmatch(r"[a-z]{2}(-[a-z]{2,4})?", normal_code(text)))


def are_turned(first: set[str], second: set[str], languages: tuple[str, str]) -> bool:
    """Whether two sets of words are those of two languages the other way round, as far as their common words tell."""
    common = [set(COMMON_WORDS.get(base(language), "").split()) for language in languages]
    own = len(first & (common[0] - common[1])) + len(second & (common[1] - common[0]))
    turned = len(first & (common[1] - common[0])) + len(second & (common[0] - common[1]))
    return all(common) and turned > own + 2


def is_turned(where: str, source: str, target: str, wanted: tuple[str, str]) -> bool:
    """Whether a file has the wanted languages the other way round; raises UserError if it has other ones."""
    own = (source, target)
    for turned in (False, True):
        first, second = wanted[::-1] if turned else wanted
        if all(not code or is_language(code, language) for code, language in zip(own, (first, second), strict=True)):
            return turned
    raise UserError(
        f"{where} is from `{source or '?'}` to `{target or '?'}`, but --source is `{wanted[0]}` and --target "
        f"`{wanted[1]}`"
    )


def no_such_language(where: str, wanted: tuple[str, str], found: Iterable[str]) -> UserError:
    """The mistake of asking a file for languages that it does not have."""
    return UserError(
        f"{where} has no pair in `{wanted[0]}` and `{wanted[1]}`; its languages are "
        f"{', '.join(sorted(found)) or 'not named'}; set --source and --target"
    )
