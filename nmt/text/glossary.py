"""Glossaries: terms and how they are translated, from TSV, CSV and TBX files, and where they occur in a text."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import NamedTuple

from nmt.errors import UserError
from nmt.text.cleaning import clean_line
from nmt.text.reading import iterate_bytes, iterate_lines

INFLECTED_FROM = 5
"""Letters that a word of a term has at least, for its inflected forms to count."""
INFLECTION = 2
"""Letters that an inflected form has more at most: `Vertrag` is found in `Vertrages`, `contract` in `contracts`."""

_EAST_ASIAN = r"\u3000-\u30ff\u3400-\u9fff\uac00-\ud7af\uff00-\uffef"
_TOKEN = re.compile(rf"[^\W{_EAST_ASIAN}]+|\S")
_SOURCE_NAMES = frozenset(("source", "src", "source term", "term"))
_TARGET_NAMES = frozenset(("target", "tgt", "target term", "translation"))
_ENTRY = frozenset(("termEntry", "conceptEntry"))
_LANGUAGE = frozenset(("langSet", "langSec"))

Row = tuple[int, list[str]]
"""A line of a file, from 1, and its fields."""


class Match(NamedTuple):
    """A term where it occurs in a text."""

    start: int
    end: int
    target: str
    """How it is translated."""
    is_exact: bool
    """Whether it is there as in the glossary, and not inflected or with another first letter."""
    is_kept: bool
    """Whether its translation is the term itself."""


class Glossary:
    """Source terms and their translations."""

    def __init__(self, terms: Mapping[str, str] | Iterable[tuple[str, str]] = (), where: str = "") -> None:
        """Of pairs, the first of which counts where a source term occurs twice.

        where: what messages call it
        """
        self.problems: list[str] = []
        """Terms that are left out, and why."""
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
            words = _TOKEN.findall(source)
            self._terms.add(source)
            self._by_first.setdefault(_key(words[0]), []).append((words, source, target))

    @staticmethod
    def of(terms: Glossary | Mapping[str, str] | None) -> Glossary | None:
        """Terms as a glossary, if there are any."""
        return Glossary(terms) if isinstance(terms, Mapping) else terms

    def kept(self, text: str) -> list[str]:
        """What is in a text as in the glossary, for terms that are not translated."""
        found = {text[match.start : match.end] for match in self.find(text) if match.is_kept}
        return sorted(found)

    def __len__(self) -> int:
        return len(self._terms) + (len(self._base) if self._base else 0)

    @classmethod
    def load(cls, path: str | Path, languages: Sequence[str] = ("", "")) -> Glossary:
        """Read a TSV, CSV or TBX file.

        A table has two columns, the source term and the target term; more, or others, if its first line names them
        (`source`, `target`, or the languages).

            languages: of source and target, for tables that name their columns and for TBX

        Raises UserError when the file is none of these.
        """
        name = f"glossary `{path}`"
        head = next((line for line in iterate_bytes(path) if line.strip()), b"").lstrip()
        problems: list[str] = []
        if head.startswith(b"<"):
            glossary = cls(_read_tbx(path, name, languages), where=name)
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
        """Where terms occur in a sentence as whole words; of terms that overlap, the longer one counts.

        The first letter of the sentence may be a capital that the term does not have. A word of at least five letters
        is also found with up to two more letters at its end.
        """
        tokens = list(_TOKEN.finditer(text))
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
    """What all forms of a word have in common."""
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
    """The pairs of a table with tabs or commas between its columns."""
    lines = [(number, line) for number, line in enumerate(iterate_lines(path), 1) if line.strip()]
    if lines and all("\t" not in line and "," not in line for _, line in lines):
        raise UserError(f"{name} is no glossary: its lines must have a source and a target term, with a tab between")
    has_tabs = any("\t" in line for _, line in lines[:1]) or not any("," in line for _, line in lines[:1])
    rows = _csv_rows(lines, name) if not has_tabs else ((number, line.split("\t")) for number, line in lines)
    columns, width = (0, 1), 2
    for place, (number, row) in enumerate(rows):
        if place == 0 and (named := _columns(row, languages)) is not None:
            columns, width = named, len(row)
            continue
        if len(row) != width:
            what = "a term has a tab" if has_tabs and len(row) > width else f"it has {len(row)} fields, not {width}"
            problems.append(f"{name} line {number} is left out: {what}")
            continue
        source, target = (row[column] for column in columns)
        if source.strip() and target.strip():
            yield source, target
        else:
            side = "target" if source.strip() else "source"
            problems.append(f"{name} line {number} is left out: its {side} term is empty")


def _csv_rows(lines: Sequence[tuple[int, str]], name: str) -> Iterator[Row]:
    reader = csv.reader((line for _, line in lines), strict=True)
    while True:
        number = lines[reader.line_num][0] if reader.line_num < len(lines) else 0
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise UserError(f"{name} line {number} is not valid CSV: {str(error).partition(' - ')[0]}") from None
        yield number, row


def _columns(row: Sequence[str], languages: Sequence[str]) -> tuple[int, int] | None:
    """The columns of source and target terms, if a line names them."""
    names = [name.strip().lower() for name in row]
    for sides in ((_SOURCE_NAMES, _TARGET_NAMES), tuple({language.lower()} - {""} for language in languages)):
        found = [next((i for i, name in enumerate(names) if name in side), -1) for side in sides]
        if min(found) >= 0 and found[0] != found[1]:
            return found[0], found[1]
    return None


def _read_tbx(path: str | Path, name: str, languages: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The pairs of a TBX file: each source term of an entry with its first target term."""
    from xml.parsers import expat

    data = b"".join(iterate_bytes(path))
    try:
        data.decode("utf-8")
        parser = expat.ParserCreate("utf-8")  # a file in UTF-16 has been converted
    except UnicodeDecodeError:
        parser = expat.ParserCreate()
    entries: list[list[tuple[str, str]]] = []
    state = {"language": "", "text": "", "root": "", "inside": ""}

    def start(tag: str, attributes: dict[str, str]) -> None:
        tag = tag.rpartition(":")[2]
        state["root"] = state["root"] or tag
        if tag in _ENTRY:
            entries.append([])
        elif tag in _LANGUAGE:
            state["language"] = attributes.get("xml:lang", attributes.get("lang", ""))
        elif tag == "term":
            state["inside"], state["text"] = "yes", ""

    def end(tag: str) -> None:
        if tag.rpartition(":")[2] == "term" and entries:
            entries[-1].append((state["language"], state["text"].strip()))
            state["inside"] = ""

    def text(data: str) -> None:
        if state["inside"]:
            state["text"] += data

    def refuse(*_: object) -> None:
        raise UserError(f"{name} declares XML entities, which are not read; write the characters themselves")

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise UserError(f"{name} is not valid XML: {expat.ErrorString(error.code)} in line {error.lineno}") from None
    if state["root"] not in ("martif", "tbx"):
        raise UserError(f"{name} is XML, but no TBX: its root is <{state['root']}>, which must be <martif> or <tbx>")
    pairs = [pair for entry in entries for pair in _entry_pairs(entry, languages)]
    if not pairs:
        there = sorted({language for entry in entries for language, _ in entry})
        raise UserError(
            f"{name} has no entry with terms of {languages[0] or '?'} and {languages[1] or '?'}; "
            f"its languages are {', '.join(there) or 'none'}"
        )
    return iter(pairs)


def _entry_pairs(entry: Sequence[tuple[str, str]], languages: Sequence[str]) -> Iterator[tuple[str, str]]:
    source, target = (
        [term for written, term in entry if written.lower().replace("_", "-").partition("-")[0] == language.lower()]
        for language in (each.partition("-")[0] for each in languages)
    )
    yield from ((term, target[0]) for term in source if target)
