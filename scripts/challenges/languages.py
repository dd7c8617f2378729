"""What the checks know of each language: its numbers, its negations, its questions.

A further language needs an entry in LANGUAGES and, for each direction, a file of lines beside this one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Language:
    """Patterns are matched without regard to capitals, except those of months and weekdays."""

    point: str
    """What separates the decimals of a number; the other one of comma and full stop separates its thousands."""
    spelled: Callable[[int], set[str]]
    """The ways to write a number from 0 to 9999 in words, ordinal numbers included."""
    half: str
    months: tuple[str, ...]
    articles: str
    """Patterns of the words that a single word may have in front of it."""
    negation: str
    """Words that deny."""
    soft_negation: str
    """Words that can stand for a negation, but also in a sentence that denies nothing."""
    question_words: dict[str, str]
    """Kind of question -> pattern of its words."""
    verb_first: str
    """How a question without a question word begins; in French as any sentence."""
    question_start: int
    """The number of words among which the question word of a question is."""
    conjunctions: str
    """What joins the last two items of a list."""


def spelled_english(number: int) -> set[str]:
    units = (  # noqa: SIM905
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen"
    ).split()
    tens = "ten twenty thirty forty fifty sixty seventy eighty ninety".split()  # noqa: SIM905

    def cardinal(n: int) -> str:
        if n < 20:
            return units[n]
        if n < 100:
            return tens[n // 10 - 1] + (f" {units[n % 10]}" if n % 10 else "")
        size, name = (1000, "thousand") if n >= 1000 else (100, "hundred")
        return f"{cardinal(n // size)} {name}" + (f" {cardinal(n % size)}" if n % size else "")

    if number > 9999:
        return set()
    words = cardinal(number)
    head, _, last = words.rpartition(" ")
    irregular = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth"}
    irregular["twelve"] = "twelfth"
    ordinal = irregular.get(last) or (last[:-1] + "ieth" if last.endswith("y") else last + "th")
    found = {words, f"{head} {ordinal}".strip()}
    extra = {0: {"nil", "no"}, 1: {"a", "an"}, 2: {"both"}, 12: {"dozen"}, 100: {"hundred"}, 1000: {"thousand"}}
    return found | {text.replace("hundred ", "hundred and ") for text in found} | extra.get(number, set())


def spelled_german(number: int) -> set[str]:
    units = (  # noqa: SIM905
        "null ein zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn "
        "siebzehn achtzehn neunzehn"
    ).split()
    tens = "zehn zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig".split()  # noqa: SIM905

    def cardinal(n: int) -> str:
        if n < 20:
            return units[n]
        if n < 100:
            return (units[n % 10] + "und" if n % 10 else "") + tens[n // 10 - 1]
        size, name = (1000, "tausend") if n >= 1000 else (100, "hundert")
        return cardinal(n // size) + name + (cardinal(n % size) if n % size else "")

    if number > 9999:
        return set()
    word = cardinal(number)
    stem = {1: "erst", 3: "dritt", 7: "siebt", 8: "acht"}.get(number, word + ("t" if number < 20 else "st"))
    found = {word, word + "mal", *(stem + ending for ending in ("e", "en", "er", "es", "em"))}
    if number % 100 == 1:
        found |= {word + ending for ending in ("s", "e", "en", "em", "er", "es")}
    extra = {2: {"beide", "beiden"}, 0: {"kein", "keine", "keinen"}, 12: {"dutzend"}, 100: {"hundert", "hundertmal"}}
    return found | extra.get(number, set()) | ({"tausend", "tausendmal"} if number == 1000 else set())


def spelled_french(number: int) -> set[str]:
    units = (  # noqa: SIM905
        "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize dix-sept "
        "dix-huit dix-neuf"
    ).split()
    tens = "vingt trente quarante cinquante soixante".split()  # noqa: SIM905

    def cardinal(n: int) -> str:
        if n < 20:
            return units[n]
        if n < 70:
            joint = " et " if n % 10 == 1 else " "
            return tens[n // 10 - 2] + (joint + units[n % 10] if n % 10 else "")
        if n < 100:
            rest = n - (60 if n < 80 else 80)
            return ("soixante" + (" et " if rest == 11 else " ") if n < 80 else "quatre vingt ") + units[rest] * (
                rest > 0
            )
        size, name = (1000, "mille") if n >= 1000 else (100, "cent")
        head = f"{cardinal(n // size)} " if n // size > 1 else ""
        return f"{head}{name}" + (f" {cardinal(n % size)}" if n % size else "")

    if number > 9999:
        return set()
    words = cardinal(number).replace("-", " ").strip()
    ordinal = {"neuf": "neuv", "cinq": "cinqu"}.get(words, words.removesuffix("e")) + "ième"
    found = {words, f"{words}s", ordinal}
    extra = {0: {"aucun", "aucune"}, 1: {"une", "premier", "première"}, 2: {"second", "seconde"}, 12: {"douzaine"}}
    return found | extra.get(number, set())


ENGLISH = Language(
    point=".",
    spelled=spelled_english,
    half=r"half",
    months=tuple("January February March April May June July August September October November December".split()),  # noqa: SIM905
    articles=r"the|an?|to|some",
    negation=r"not|\w+n['’]t|cannot|no|none|nobody|no-one|nothing|never|nowhere|neither|nor",
    soft_negation=r"wrong|false|untrue|incorrect|un\w+|im\w+ble|dis\w+|hardly|refuses?|refused|fails?|failed|out of",
    question_words={
        "person": r"who|whom|whose|who['’]s",
        "place": r"where|where['’]s",
        "reason": r"why|how come",
        "other": r"what|what['’]s|which|when|how|how['’]s",
    },
    verb_first=r"(do|does|did|is|are|am|was|were|have|has|had|can|could|will|would|shall|should|may|might|must|ca|wo|need)"
    r"(n['’]t)?",
    question_start=4,
    conjunctions=r"and|or|&",
)
GERMAN = Language(
    point=",",
    spelled=spelled_german,
    half=r"halb\w*|eineinhalb\w*|anderthalb\w*|\w+einhalb\w*",
    months=tuple("Januar Februar März April Mai Juni Juli August September Oktober November Dezember".split()),  # noqa: SIM905
    articles=r"der|die|das|den|dem|ein|eine|einen|einem|einer|zu",
    negation=r"nicht|nichts|kein\w*|nein|nie|niemals|niemand\w*|nirgends|nirgendwo|weder|keinesfalls|keineswegs",
    soft_negation=r"falsch|un\w+|kaum|ohne",
    question_words={
        "person": r"wer|wen|wem|wessen",
        "place": r"wo|wohin|woher",
        "reason": r"warum|wieso|weshalb|weswegen|wozu",
        "other": r"was|welch\w+|wann|wie|wieviel\w*|wo\w+",
    },
    verb_first=r"(?!(?:ich|du|er|es|wir|man|der|die|das|dem|den|ein|eine|mein\w*|dein\w*|sein\w*|unser\w*|dies\w*|in|hier|"
    r"am|im|heute|wer|wen|wem|was|wo\w*|wann|warum|wieso|wie|welch\w*)\b)\w+",
    question_start=4,
    conjunctions=r"und|oder|&",
)
FRENCH = Language(
    point=",",
    spelled=spelled_french,
    half=r"demie?|demi-\w+",
    months=tuple(
        "janvier février mars avril mai juin juillet août septembre octobre novembre décembre".split()  # noqa: SIM905
    ),
    articles=r"le|la|les|l|un|une|des|du|de la|de l",
    negation=r"ne|n|pas|non|jamais|rien|aucune?|ni|nulle part",
    soft_negation=r"faux|fausse|in\w+|im\w+|personne|plus|sans|guère",
    question_words={
        "person": r"qui",
        "place": r"où",
        "reason": r"pourquoi",
        "other": r"que|qu|quoi|quel\w*|comment|combien|quand|lequel|laquelle",
    },
    verb_first=r"\w+",
    question_start=20,
    conjunctions=r"et|ou|&",
)
LANGUAGES = {"de": GERMAN, "en": ENGLISH, "fr": FRENCH}

CURRENCIES = {
    "euro": r"€|euros?|eur",
    "dollar": r"\$|dollars?|usd",
    "pound": r"£|pounds?|pfund|livres?|gbp",
    "franc": r"francs?|franken|chf",
}
CENTS = r"cents?|centimes?|¢|pence|pennies|penny"
UNITS = {
    "km/h": r"km ?/ ?h|kmh|kph|(?:km|kilom[eè]t\w+) (?:per|an|pro|in der|die|je|par|à l['’]) ?(?:hour|stunde|heure)|"
    r"stundenkilomet\w+",
    "mph": r"mph|miles (?:per|an) hour|meilen (?:pro|in der|die) stunde|miles? (?:par |à l['’]|/ ?)h\w*",
    "m²": r"m²|m2|m\^2|sq\.? ?m|square met\w+|quadratmet\w+|qm|mètres? carrés?",
    "°C": r"° ?[cf]?|degrees?|degrés?|grad|celsius",
    "kg": r"kg|kilos?|kilogram\w*",
    "g": r"g|gramm?e?s?n?",
    "km": r"km|kilom[eè]t\w+",
    "cm": r"cm|[cz]entim[eè]t\w+",
    "mm": r"mm|millim[eè]t\w+",
    "m": r"m|m[eè]t(?:er|re)s?n?",
    "ml": r"ml|millilit\w+",
    "l": r"l|lit(?:er|re)s?n?",
    "%": r"%|percent|per cent|prozent|pour ?cents?|pourcents?",
    "MB": r"mb|mo|megabytes?|mégaoctets?",
    "GB": r"gb|go|gigabytes?|gigaoctets?",
    "watt": r"w|watts?",
    "ton": r"t|tons?|tonnes?|tonnen?",
    "mile": r"mi|miles?|milles?|meilen?",
}
"""In the order in which they are looked for: what a longer unit has taken is no shorter one."""


def word(pattern: str) -> re.Pattern[str]:
    """The pattern as a whole word, or as a sign next to a number."""
    return re.compile(rf"(?<![^\W\d_])(?:{pattern})(?![^\W\d_])", re.IGNORECASE)
