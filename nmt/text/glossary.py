"""Glossaries: terms and how they are translated, from TSV, CSV and TBX files, and where they occur in a text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import NamedTuple

from nmt.errors import UserError
from nmt.text.cleaning import clean_line
from nmt.text.reading import iterate_bytes

INFLECTED_FROM = 5  # letters that a word of a term has at least, for its inflected forms to count
INFLECTION = 2  # letters that an inflected form has more at most: `Vertrag` is found in `Vertrages`

_EAST_ASIAN = r"\u3000-\u30ff\u3400-\u9fff\uac00-\ud7af\uff00-\uffef"
_TOKEN = rf"[^\W{_EAST_ASIAN}]+|\S"  # `re` compiles and keeps it when there is a glossary
_SOURCE_NAMES = frozenset(("source", "src", "source term", "term"))
_TARGET_NAMES = frozenset(("target", "tgt", "target term", "translation"))


class Match(NamedTuple):
    """A term where it occurs in a text."""

    start: int
    end: int
    target: str  # how it is translated
    is_exact: bool  # whether it is there as in the glossary, and not inflected or with another first letter
    is_kept: bool  # whether its translation is the term itself


class Glossary:
    """Source terms and their translations."""

    def __init__(self, terms: Mapping[str, str] | Iterable[tuple[str, str]] = (), where: str = "") -> None:
        """If a source term occurs twice, its first translation counts; `where` is the name in messages."""
        self.problems: list[str] = []  # terms that are left out, and why
        self._base: Glossary | None = None
        self._by_first: dict[str, list[tuple[list[str], str, str]]] = {}
        self._terms: set[str] = set()
        for source, target in terms.items() if isinstance(terms, Mapping) else terms:
            self._add(source, target, where)

    def _add(self, source: str, target: str, where: str) -> None:
        named = f"{where or 'glossary'}: "
        if "\t" in source or "\t" in target:
            self.problems.append(f"{named}the term {source!r} is left out, as it has a tab")
            return
        source, target = (" ".join(clean_line(side).split()) for side in (source, target))
        if not source or not target:
            side, other = ("source", target) if not source else ("target", source)
            self.problems.append(f"{named}a term is left out, as its {side} side is empty (the other is {other!r})")
        elif source not in self._terms:
            words = re.findall(_TOKEN, source)
            self._terms.add(source)
            self._by_first.setdefault(_key(words[0]), []).append((words, source, target))

    @staticmethod
    def of(terms: Glossary | Mapping[str, str] | None) -> Glossary | None:
        return Glossary(terms) if isinstance(terms, Mapping) else terms

    def kept(self, text: str) -> list[str]:
        """The terms in a text that are not translated."""
        found = {text[match.start : match.end] for match in self.find(text) if match.is_kept}
        return sorted(found)

    def __len__(self) -> int:
        return len(self._terms) + (len(self._base) if self._base else 0)

    @classmethod
    def load(cls, path: str | Path, languages: Sequence[str] = ("", "")) -> Glossary:
        """Read a TSV, CSV or TBX file.

        A table has two columns, the source term and the target term. It may have more, in any order, if its first line
        names these two (`source`, `target`, or the languages).

            languages: of source and target, for tables that name their columns and for TBX

        Raises UserError when the file is none of these.
        """
        from nmt.text.formats.tbx import read_terms  # these take 10 ms, and few runs have a glossary

        name = f"glossary `{path}`"
        head = next((line for line in iterate_bytes(path) if line.strip()), b"").lstrip()
        problems: list[str] = []
        if head.startswith(b"<"):
            try:
                glossary = cls(read_terms(str(path), *languages), where=name)
            except UserError as error:  # the advice at its end is that of `nmt import`
                raise UserError(f"glossary {str(error).partition('; set --source')[0]}") from None
        else:
            glossary = cls(_read_table(path, name, languages, problems), where=name)
        glossary.problems = problems + glossary.problems
        if not len(glossary) and not glossary.problems:
            raise UserError(f"{name} has no terms; it must be a TSV, CSV or TBX file of source and target terms")
        return glossary

    def over(self, base: Glossary) -> Glossary:
        """These terms, and those of another glossary whose source term is not among them."""
        both = copy(self)
        both._base = base
        return both

    def find(self, text: str) -> list[Match]:
        """The places where terms occur in a sentence as whole words; if terms overlap, the longer one counts.

        The first letter of the sentence may be a capital that the term does not have. A word of at least five letters
        is also found with up to two more letters at its end.
        """
        tokens = list(re.finditer(_TOKEN, text))
        first = next((place for place, token in enumerate(tokens) if token[0][0].isalpha()), 0)
        found = list(self._matches(tokens, first, set()))
        found.sort(key=lambda match: (match.start - match.end, not match.is_exact))
        taken = bytearray(len(text))
        chosen = []
        for match in found:
            if not any(taken[match.start : match.end]):
                taken[match.start : match.end] = b"\1" * (match.end - match.start)
                chosen.append(match)
        return sorted(chosen)

    def _matches(self, tokens: Sequence[re.Match[str]], first: int, known: set[str]) -> Iterator[Match]:
        for place, token in enumerate(tokens):
            for words, source, target in self._by_first.get(_key(token[0]), ()):
                here = tokens[place : place + len(words)]
                if source not in known and len(here) == len(words) and _fits(words, here, place == first):
                    is_exact = all(one == other[0] for one, other in zip(words, here, strict=True))
                    yield Match(token.start(), here[-1].end(), target, is_exact, source == target)
        if self._base is not None:
            yield from self._base._matches(tokens, first, known | self._terms)


def _key(word: str) -> str:
    """The part of a word that all its forms share."""
    return word[:INFLECTED_FROM].casefold()[:INFLECTED_FROM]


def _fits(words: Sequence[str], tokens: Sequence[re.Match[str]], is_first: bool) -> bool:
    """Whether the words of a term are those of a text, which may be inflected; marks have the same space around."""
    for place, (word, token) in enumerate(zip(words, tokens, strict=True)):
        written = token[0]
        if is_first and place == 0 and word[:1].upper() == written[:1]:
            written = word[:1] + written[1:]
        ending = written[len(word) :]
        inflected = len(word) >= INFLECTED_FROM and word.isalpha() and ending.islower() and ending.isalpha()
        if not written.startswith(word) or (ending and not (inflected and len(ending) <= INFLECTION)):
            return False
    return True


def _read_table(
    path: str | Path, name: str, languages: Sequence[str], problems: list[str]
) -> Iterator[tuple[str, str]]:
    """The pairs of a table with any delimiter and encoding."""
    from nmt.text.formats.pair import Reading
    from nmt.text.formats.table import iterate_rows

    columns, width = (0, 1), 2

    rows = iterate_rows(str(path), Reading(languages[0], languages[1], say=lambda line: None))
    for number, (place, row) in enumerate(one for one in rows if any(map(str.strip, one[1]))):
        if number == 0 and (named := _columns(row, languages)) is not None:
            columns, width = named, len(row)
            continue
        if len(row) != width:
            what = "a term has a tab or comma" if len(row) > width else "it has no translation"
            problems.append(f"{name} {place} is left out: {what}, as it has {len(row)} fields, and not {width}")
            continue
        source, target = (row[column] for column in columns)
        if source.strip() and target.strip():
            yield source, target
        else:
            side = "target" if source.strip() else "source"
            problems.append(f"{name} {place} is left out: its {side} term is empty")


def _columns(row: Sequence[str], languages: Sequence[str]) -> tuple[int, int] | None:
    """The columns of source and target terms, if a line names them."""
    from nmt.text.formats.languages import is_language

    names = [name.strip().lower() for name in row]
    named = [[i for i, name in enumerate(names) if name in side] for side in (_SOURCE_NAMES, _TARGET_NAMES)]
    spoken = [[i for i, name in enumerate(names) if is_language(name, one)] for one in languages]
    for source, target in (named, spoken):
        if source and target and source[0] != target[0]:
            return source[0], target[0]
    return None
