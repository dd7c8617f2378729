"""Filters of sentence pairs: why a pair is of no use for training, and when two sentences are nearly the same."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import get_args

from nmt.config.fields import FilterName
from nmt.text.formats.languages import NAMES, base
from nmt.text.identification import Identifier
from nmt.text.spans import find_spans

RATIO_CHARACTERS = 20  # no longer pair is mismatched: `Ja` may well be `Yes, of course`

SCRIPTS = {
    "Cyrillic": ("\u0400-\u052f\u1c80-\u1c8f", "be bg kk ky mk mn ru tg uk"),
    "Greek": ("\u0370-\u03ff\u1f00-\u1fff", "el"),
    "Armenian": ("\u0530-\u058f", "hy"),
    "Hebrew": ("\u0590-\u05ff", "he yi"),
    "Arabic": ("\u0600-\u077f\u08a0-\u08ff\ufb50-\ufdff\ufe70-\ufeff", "ar ckb fa ps sd ug ur"),
    "Devanagari": ("\u0900-\u097f", "hi mr ne sa"),
    "Bengali": ("\u0980-\u09ff", "as bn"),
    "Gujarati": ("\u0a80-\u0aff", "gu"),
    "Tamil": ("\u0b80-\u0bff", "ta"),
    "Telugu": ("\u0c00-\u0c7f", "te"),
    "Kannada": ("\u0c80-\u0cff", "kn"),
    "Malayalam": ("\u0d00-\u0d7f", "ml"),
    "Thai": ("\u0e00-\u0e7f", "th"),
    "Georgian": ("\u10a0-\u10ff\u1c90-\u1cbf", "ka"),
    "Ethiopic": ("\u1200-\u139f", "am ti"),
    "Khmer": ("\u1780-\u17ff", "km"),
    "Han": ("\u3005-\u3007\u3400-\u9fff\U00020000-\U0003ffff", "zh"),
    "Japanese": ("\u3005-\u3007\u3040-\u30ff\u3400-\u9fff", "ja"),
    "Hangul": ("\u1100-\u11ff\u3130-\u318f\uac00-\ud7af", "ko"),
    "Latin": (
        "A-Za-z\u00aa-\u02ff\u1e00-\u1eff",
        "af ca cs cy da de en eo es et eu fi fr ga gl hr hu id is it lt lv ms mt nl no nb nn pl pt ro sk sl sq sv sw "
        "tl tr vi",
    ),
}
"""For each script its letters and the languages that are written in it alone."""

_NUMBER = re.compile(r"\d{1,3}(?:[.,’' \u00a0\u202f]\d{3})+(?!\d)|\d+")
_TAG = re.compile(r"</?[A-Za-z]|[$#@%]?\{|%[^\s\d%]|%\d+\$|\$[A-Za-z_]")
"""The beginning of a span that is a tag or a placeholder."""

# UTF-8 that was read as Windows-1252 or Latin-1: a character for the first byte, and one for each that continues it.
_TAIL = rf"[\x80-\xbf{bytes({*range(0x80, 0xA0)} - {0x81, 0x8D, 0x8F, 0x90, 0x9D}).decode('cp1252')}]"
_MISREAD = re.compile(
    # Â, Ã and â€ come before hardly anything in any language (but «MAÇÃ»); the others must follow one another.
    rf"Â{_TAIL}|Ã(?![»”’]){_TAIL}|â[€‚„]{_TAIL}|ðŸ{_TAIL}{_TAIL}"
    rf"|(?:[Ä-ß](?!\xa0){_TAIL}){{2,}}|(?:[à-ï](?:(?!\xa0){_TAIL}){{2}}){{2,}}"
)

FILTERS = {
    "empty": "a side is empty",
    "score": "the score is missing or too low",
    "equal": "both sides are equal",
    "length": "a side is too long",
    "ratio": "one side is much longer than the other",
    "encoding": "a side was read in a wrong encoding (Ã¤) or has lost characters (\ufffd)",
    "script": "most letters are not of the language's script",
    "numbers": "the numbers differ",
    "tags": "the tags or placeholders differ",
    "language": "a side is in another language",
    "duplicate": "the same pair again",
}
"""All filters, in the order in which they are tried: what each one drops."""
SWITCHES: tuple[str, ...] = get_args(FilterName)  # the filters that need no number: values of `data.filters`


def is_mismatched(source: str, target: str, max_length_ratio: float) -> bool:
    """Whether one side has too many characters for the other."""
    shorter, longer = sorted((len(source.strip()), len(target.strip())))
    return longer > RATIO_CHARACTERS and longer > max_length_ratio * shorter


def near_key(text: str) -> str:
    """A key that is equal for sentences that are nearly the same: their letters without case and accents.

    Case, accents, digits, punctuation and spaces do not count, as in CCNet (Wenzek et al. 2020, section 3.1,
    https://arxiv.org/abs/1911.00359). A text without letters is its own key.
    """
    letters = re.sub(r"[\W\d_]+", "", unicodedata.normalize("NFKD", text.casefold()))
    return letters or text


def has_wrong_encoding(text: str) -> bool:
    """Whether a text is UTF-8 that was read as something else (`Ã¤` for `ä`), or has U+FFFD for what was lost."""
    return not text.isascii() and ("\ufffd" in text or _MISREAD.search(text) is not None)


@dataclass
class PairFilter:
    """Says why a pair is dropped."""

    source: str  # source language
    target: str
    off: frozenset[str] = frozenset()  # filters that are switched off, by their names in `FILTERS`
    min_score: float | None = None
    max_characters: int = 1000
    # If None, 4, or 9 if only one of the languages writes a word with a character or two.
    max_length_ratio: float | None = None

    def __post_init__(self) -> None:
        longest, ratio = self.max_characters, self.max_length_ratio
        if ratio is None:
            dense = [base(code) in ("zh", "ja", "ko") for code in (self.source, self.target)]
            ratio = 9 if dense[0] != dense[1] else 4
        seen: set[int] = set()  # about 70 bytes a pair

        def is_repeated(source: str, target: str) -> bool:
            before = len(seen)
            seen.add(hash((source, target)))
            return len(seen) == before

        tests: dict[str, Callable[[str, str], bool]] = {
            "equal": lambda source, target: source == target or source.casefold() == target.casefold(),
            "length": lambda source, target: len(source) > longest or len(target) > longest,
            "ratio": lambda source, target: is_mismatched(source, target, ratio),
            "encoding": lambda source, target: has_wrong_encoding(source) or has_wrong_encoding(target),
            "script": self._has_wrong_script,
            "numbers": have_other_numbers,
            "tags": have_other_tags,
            "language": self._has_wrong_language,
            "duplicate": is_repeated,
        }
        self._tests = [(name, tests[name]) for name in FILTERS if name in tests and name not in self.off]
        self._scripts = [_other_letters(language) for language in (self.source, self.target)]
        # A sentence of a corpus may be in any common language by mistake
        self._identifier = None if "language" in self.off else Identifier({self.source, self.target, *NAMES})

    def reason(self, source: str, target: str, score: str = "") -> str:
        """The name of the first filter that drops the pair; empty if it is kept."""
        return next(self.reasons(source, target, score), "")

    def reasons(self, source: str, target: str, score: str = "") -> Iterator[str]:
        """The names of the filters that drop the pair, in their order; `empty` is alone."""
        if not source or not target:
            yield "empty"
            return
        if self.min_score is not None and not _is_at_least(score, self.min_score):
            yield "score"
        yield from (name for name, test in self._tests if test(source, target))

    def _has_wrong_language(self, source: str, target: str) -> bool:
        assert self._identifier is not None
        return self._identifier.is_other(source, self.source) or self._identifier.is_other(target, self.target)

    def _has_wrong_script(self, source: str, target: str) -> bool:
        for text, other in zip((source, target), self._scripts, strict=True):
            if other is not None and (strange := len(other.findall(text))) > 0 and 2 * strange > _letters(text):
                return True
        return False


def _other_letters(language: str) -> re.Pattern[str] | None:
    """Finds the letters that are not of the language's script; None where any script may be right."""
    own = next((letters for letters, codes in SCRIPTS.values() if base(language) in codes.split()), "")
    return re.compile(rf"[^\W\d_{own}]") if own else None


def _letters(text: str) -> int:
    return sum(map(str.isalpha, text))


def _is_at_least(score: str, least: float) -> bool:
    try:
        return float(score.replace(",", ".")) >= least
    except ValueError:
        return False


def have_other_numbers(source: str, target: str) -> bool:
    """Whether the numbers contradict: each side has one of two or more digits that the other lacks, or a side has one
    of three or more, not a round one, that the other lacks.

    Other numbers are often words on the other side. Separators of thousands do not count, and the two sides may divide
    a number in different ways (`3:30`, `1.5`, `2020-12-31`).
    """
    own, other = _numbers(source), _numbers(target)
    if own == other:
        return False
    missing, added = own - other, other - own
    return bool(missing and added) or any(len(number) > 2 and number[-2:] != "00" for number in missing | added)


def _numbers(text: str) -> set[str]:
    found = (re.sub(r"\D", "", number) for number in _NUMBER.findall(text))
    return {number for number in found if len(number) > 1 and number.strip("0")}


def have_other_tags(source: str, target: str) -> bool:
    """Whether the sides have other tags or placeholders, in any order; the attributes of a tag may differ."""
    if not any(sign in source or sign in target for sign in "<{%$"):
        return False
    own, other = (
        sorted(
            text[start:end].split()[0].rstrip("/>") for start, end in find_spans(text) if _TAG.match(text, start, end)
        )
        for text in (source, target)
    )
    return own != other
