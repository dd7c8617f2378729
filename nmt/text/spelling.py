"""Correction of misspelt words: a word that the training text lacks and that is a slip away from one that it has.

Each slip that a person may have made is undone, and the most probable word is taken: that with the largest product of
its frequency and of a weight for the slip (the noisy channel of Kernighan, Church & Gale 1990, "A spelling correction
program based on a noisy channel model", https://aclanthology.org/C90-2036). Only words with small and capital letters
are corrected, the first letter is taken to be right, and endings are left alone, because a rare form of a word differs
from a frequent one in the same way: `jumps` and `jump`.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from nmt.text.cleaning import clean_line, one_line
from nmt.text.glossary import Glossary
from nmt.text.quotations import foreign_quotations
from nmt.text.spans import Named, find_spans, spliced
from nmt.text.vocabulary import LEARNED, REMEMBERED, SPACE, Vocabulary

_WORD = re.compile(r"[^\W\d_]{3,}")
_SHORTEST, _LONGEST = 4, 24  # letters of the words that are corrected

_VOWELS = {**dict.fromkeys("aeiouy", "aeiouy"), "ä": "e"}  # what may be meant by a vowel
_EXPANSIONS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"})
_WITHOUT_ACCENTS = str.maketrans(
    {"ß": "ss", "œ": "oe", "æ": "ae", "Œ": "Oe", "Æ": "Ae"} | dict(zip("łŁøØđı", "lLoOdi", strict=True))
)  # letters that Unicode does not compose of a letter and an accent
_ACCENT = r"(?<=[A-Za-z\u0370-\u03ff])[\u0300-\u036f]+"  # in Latin and Greek; elsewhere a mark is more than an accent

SAME, SAME_TWICE, MOVED, OTHER, VOWEL = 1.0, 0.5, 1.0, 0.25, 0.1
"""Weights of slips: an accent or a double letter, once and twice; two letters exchanged; a letter missing or too many;
another vowel."""
CLEAR = 3.0  # how many times as probable a correction must be as the next one
MUCH_MORE = 100  # the same of a word with accents in place of a known one: `Strasse`, which Swiss lines have, `Straße`
MORE = 10  # that in a line that was clearly typed without accents
FREQUENT = 1e-5  # share of the text that a correction must have, besides a count of LEARNED

# In German names and nouns have a capital; after one of these words it is a noun.
_DETERMINER = (
    r"(?i)(?<!\w)(?:d(?:er|ie|as|en|em|es)|(?:[mds]?ein|ihr|unser|euer|eur|kein|dies|jed|jen|welch|nächst|letzt|ganz)"
    r"[enrms]{0,2}|am|im|ins|ans|zum|zur|beim|vom|viele?|alle|mehr)[ ]$"
)


class Slip(NamedTuple):
    """A misspelt word of a line."""

    start: int
    end: int
    meant: str


class Speller:
    """Corrects lines for a model that reads this vocabulary.

    language: of the lines; it says whether nouns have capitals
    """

    def __init__(self, vocabulary: Vocabulary, language: str) -> None:
        self.vocabulary, self.language = vocabulary, language
        self._found: dict[str, str | None] = {}  # words in small letters, and the words that are meant
        self._right: set[str] = set()  # words as they were written that are right

    def correct(
        self, line: str, named: Named | None = None, glossary: Glossary | None = None
    ) -> tuple[str, dict[str, str]]:
        """The line without misspelt words, and what they were corrected to; its spans and terms do not change."""
        if not (found := self.slips(line, named, glossary)):
            return line, {}
        text = clean_line(line)
        return "".join(spliced(text, found)), {text[start:end]: meant for start, end, meant in found}

    def slips(self, line: str, named: Named | None = None, glossary: Glossary | None = None) -> list[Slip]:
        """The misspelt words of a line outside of its spans and terms; the places are those in the cleaned line."""
        text = clean_line(line)
        if not (found := list(self.corrections(text))):
            return []
        if text.isascii() and not all(slip.meant.isascii() for slip in found):  # typed without accents
            found = list(self.corrections(text, without_accents=True))
        fixed = find_spans(text, named)
        if fixed and text != one_line(line):  # the spans would not be as they were written
            return []
        fixed += foreign_quotations(text, self.vocabulary)
        fixed += [(term.start, term.end) for term in (glossary.find(text) if glossary else ())]
        return [slip for slip in found if not any(start < slip.end and slip.start < end for start, end in fixed)]

    def corrections(self, line: str, without_accents: bool = False) -> Iterator[Slip]:
        """The misspelt words of a cleaned line; in a line in small letters, words that have capitals too.

        without_accents: whether the line was typed without them, so that `mochte` may be `möchte`
        """
        small = line.islower() and " " in line.strip()
        by_itself = not small and not without_accents  # whether a word is right in this line if it is in others
        if by_itself and self._right.issuperset(_WORD.findall(line)):
            return  # most lines
        for match in _WORD.finditer(line):
            word, start = match[0], match.start()
            if by_itself and self._found.get(word.lower(), "") is None:
                if len(self._right) >= REMEMBERED:  # a word has many forms in capitals and small letters
                    self._right.clear()
                self._right.add(word)
                continue
            meant = self._accented(word.lower(), MORE) if without_accents else None
            meant = self._as_written(word, meant, line[:start]) if meant else self._usual(word) if small else None
            meant = meant or (self._correction(word, line[:start]) if len(word) <= _LONGEST else None)
            if meant and meant != word:
                yield Slip(start, match.end(), meant)

    def _usual(self, word: str) -> str | None:
        """A word of a line in small letters with its capital."""
        return self._words[word][0] if word in self._words else None

    def _correction(self, word: str, before: str) -> str | None:
        """What is meant by a word, written as in its place; None if it is spelt right or if that is not clear."""
        small = word.lower()
        if small not in self._found:
            if len(self._found) >= REMEMBERED:
                self._found.clear()
            self._found[small] = self._looked_up(word, small)
        meant = self._found[small]
        return None if meant is None else self._as_written(word, meant, before)

    def _as_written(self, word: str, meant: str, before: str) -> str | None:
        """A correction with the capitals of the word in its place; None if it may be a name."""
        if word.isupper():
            return meant.upper()
        if word[0].islower():
            return meant
        if not word[1:].islower():  # a name of a product
            return None
        is_noun = self.language == "de" and re.search(_DETERMINER, before[-20:])
        begins = not re.search(r"\w", before) and meant[0].islower()
        is_plain = meant[0].isupper() and meant.lower() in self._plain.get(word.lower(), ())
        clear = is_noun or begins or (is_plain and not self._is_after_name(before))
        return meant[0].upper() + meant[1:] if clear else None

    def _is_after_name(self, before: str) -> bool:
        """Whether the word before is a name, to which the next one belongs: `Anna Mueller`, but `nach Koeln`."""
        word = re.search(r"([^\W\d_]{3,})[ ]$", before)
        return word is not None and word[1][0].isupper() and self._usual(word[1].lower()) != word[1].lower()

    def _looked_up(self, word: str, small: str) -> str | None:
        """What is meant by a word; None if it is in the training text, or in a script without capitals."""
        if self.vocabulary.has_piece(SPACE + word) or self.vocabulary.has_piece(SPACE + small):
            return None  # so the list need not be read for most lines
        if word in self.vocabulary.names:
            return None
        if small == word.upper() or not self._words:
            return None
        return self._accented(small, MUCH_MORE) if small in self._words else self._meant(small)

    @cached_property
    def _words(self) -> dict[str, tuple[str, int]]:
        """The words of the training text in small letters, with their usual form and their count."""
        return self.vocabulary.words

    @cached_property
    def _least(self) -> float:
        """The count from which on a word may be a correction."""
        return max(LEARNED, FREQUENT * self.vocabulary.words_read)

    @cached_property
    def _letters(self) -> str:
        """The letters of the frequent words."""
        return "".join(sorted(set[str]().union(*(word for word, (_, n) in self._words.items() if n >= self._least))))

    @cached_property
    def _accents(self) -> dict[str, list[str]]:
        """The letters that differ from each letter in their accent."""
        plain = {letter: unicodedata.normalize("NFD", letter)[0] for letter in self._letters}
        return {one: [other for other in plain if other != one and plain[other] == plain[one]] for one in plain}

    @cached_property
    def _plain(self) -> dict[str, list[str]]:
        """The words with accents and umlauts by their forms without them: `Maedchen`, `Madchen`."""
        plain = defaultdict[str, list[str]](list)
        for word, (_, count) in self._words.items():
            if count >= LEARNED and not word.isascii():
                for form in {expanded(word), without_accents(word), word.translate(_WITHOUT_ACCENTS)} - {word}:
                    plain[form].append(word)
        return plain

    def _accented(self, word: str, times: float) -> str | None:
        """The word with accents that is written so without them, if it is clear, and so many times as frequent."""
        found = sorted((self._words[other] for other in self._plain.get(word, ())), key=lambda one: -one[1])
        (meant, count), (_, next_count) = [*found, ("", 0), ("", 0)][:2]
        form, own = self._words.get(word, ("", 0))
        is_name = bool(form) and not form.islower() and meant.islower()  # Horst, and not hörst
        return meant if count > max(times * own, CLEAR * next_count) and not is_name else None

    def _meant(self, word: str) -> str | None:
        """The most probable word, if it is clearly so."""
        if (accented := self._accented(word, 1)) or len(word) < _SHORTEST:
            return accented
        weights = defaultdict[str, float](float)
        for other, weight in self._slips(word):
            if other in self._words and (count := self._words[other][1]) >= self._least:
                weights[other] = max(weights[other], weight * count)
        (best, most), (_, next_most) = sorted([*weights.items(), ("", 0.0), ("", 0.0)], key=lambda one: -one[1])[:2]
        return self._words[best][0] if most > CLEAR * next_most else None

    def _slips(self, word: str) -> Iterator[tuple[str, float]]:
        """Words of which this one may be a misspelling, with the weight of the slip; most of them are none."""
        for other in self._alike(word):
            yield other, SAME
            yield from ((another, SAME_TWICE) for another in self._alike(other))
        for place, (letter, following) in enumerate(pairwise(word)):
            yield word[:place] + following + letter + word[place + 2 :], MOVED
        for place in range(1, len(word)):
            before, letter, after = word[:place], word[place], word[place + 1 :]
            if len(after) > 1 and len(word) > _SHORTEST:
                yield before + after, OTHER
            for missing in self._letters:
                yield before + missing + letter + after, OTHER
            for vowel in _VOWELS.get(letter, "") if len(word) > _SHORTEST else "":
                yield before + vowel + after, VOWEL

    def _alike(self, word: str) -> Iterator[str]:
        """Words with another accent, a double consonant for a single one, or a single letter for a double one."""
        for place, letter in enumerate(word):
            before, after = word[:place], word[place + 1 :]
            if before.endswith(letter):
                yield before + after
            elif letter not in _VOWELS and place:
                yield before + letter + letter + after
            for other in self._accents.get(letter, ()):
                yield before + other + after


def without_accents(text: str) -> str:
    """The text with plain letters in place of those with accents: `cœur` becomes `coeur`, `Füße` `Fusse`."""
    letters = unicodedata.normalize("NFD", text.translate(_WITHOUT_ACCENTS))
    return unicodedata.normalize("NFC", re.sub(_ACCENT, "", letters))


def expanded(text: str) -> str:
    """The text in the letters with which German is written on other keyboards: `Füße` becomes `Fuesse`."""
    return without_accents(text.translate(_EXPANSIONS))
