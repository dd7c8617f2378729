"""Copying instead of translating: spans of a line's sentences, and sentences without a word."""

from __future__ import annotations

import itertools
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

from nmt.text.cleaning import clean_line, one_line
from nmt.text.glossary import Glossary
from nmt.text.quotations import foreign_quotations
from nmt.text.sentences import list_mark, sentence_spans
from nmt.text.spans import (
    SPAN_CHARACTERS,
    Named,
    Span,
    equal_spans,
    find_spans,
    replace_spans,
    restore_pieces,
    restore_spans,
    united,
)
from nmt.text.vocabulary import SPACE, SPECIAL_PIECES, Vocabulary
from nmt.translation.asides import find_asides

_LETTER = re.compile(r"[^\W\d_]")
_WORD = re.compile(r"(?<!\S)[a-z]{4,}(?!\S)")  # it is not in a span, or there is another word that is not
_NO_SPANS = str.maketrans("", "", SPAN_CHARACTERS)


class Term(NamedTuple):
    """A term of a glossary in a sentence."""

    start: int
    end: int
    text: str
    """Its translation."""
    phrase: tuple[int, ...]
    """The translation in ids."""


class Aside(NamedTuple):
    """Words in brackets that are translated by themselves."""

    number: int
    """The copy of the sentence that it is."""
    line: Any
    """What is between the brackets; the text, and later a `PreparedLine`."""


class SourceSentence(NamedTuple):
    """A sentence as the model reads it."""

    text: str
    """Its cleaned text, with a character in place of each span that is copied."""
    copies: tuple[str, ...] = ()
    """The spans, in the order of their characters."""
    unchanged: str | None = None
    """The original sentence, if it has only numbers, marks and spans and no word: it is its own translation."""
    too_many: int = 0
    """Number of further spans, which are translated as text."""
    capitals: bool = False
    """Whether the sentence is in capitals in the line; its translation is then put into capitals."""
    terms: tuple[Term, ...] = ()
    """Terms of a glossary that occur in it."""
    asides: tuple[Aside, ...] = ()
    """The copies that are translated."""


class Copying:
    """Finds the spans that a model with these vocabularies can copy."""

    def __init__(self, source: Vocabulary, target: Vocabulary) -> None:
        self.source = source
        self.most = min(len(source.span_ids), len(target.span_ids))
        """Maximum number of spans of a sentence; 0 for a model that has no pieces for spans."""

    @cached_property
    def has_words(self) -> bool:
        """Whether the model translates words, and not only numbers as in a probe task."""
        pieces = self.source.pieces(range(SPECIAL_PIECES, len(self.source)))
        return any(_LETTER.search(piece) for piece in pieces if not piece.startswith("<0x"))

    def sentences(
        self,
        line: str,
        split: bool,
        named: Named | None = None,
        whole: bool = False,
        marks: bool = False,
        glossary: Glossary | None = None,
        asides: bool = False,
        quotations: bool = False,
    ) -> tuple[list[SourceSentence], list[str]]:
        """The sentences of a line, and the white space between them; a blank line has none.

        A line that is not split is one sentence, unless it has too many spans; it is then translated in parts. If it
        must stay whole, the spans beyond the maximum are translated as text.

            marks: whether a bullet, a number of a list and the like at the beginning is a sentence that does not change
            glossary: terms that are translated, although a part of one may be a span, such as a rare word
            asides: whether words in brackets are translated by themselves
            quotations: whether quotations in another language are copied, if they have no term of the glossary
        """
        if marks and (end := list_mark(written := one_line(line))) and self.has_words:
            rest = written[end:]
            sentences, gaps = self.sentences(rest, split, named, False, False, glossary, asides, quotations)
            mark = clean_line(written[:end])
            gap = mark[len(mark.rstrip()) :]
            return [SourceSentence(mark.strip(), (), mark.strip()), *sentences], [gap, *gaps]
        text = clean_line(line)
        spans: list[Span] = []
        in_brackets: set[Span] = set()
        if self.most:
            written = one_line(line)
            spans = find_spans(written, named, *self._unknown(text))
            if quotations and (quoted := list(self._foreign(written, glossary))):
                spans = united([*spans, *quoted])
            if asides and (in_brackets := set(find_asides(written)).difference(spans)):
                spans = united([*spans, *in_brackets])
            text = written if spans else text  # spans stay as they are written
        if not split and not spans:
            return [self._read(text, [])] if text else [], []
        places = sentence_spans(text) if split else [(0, len(text))] if text else []
        if spans:
            places = _outside(places, spans)
            places = places if whole else list(_cut(text, places, spans, self.most))
        starts = [start for start, _ in spans]
        sentences = []
        for start, end in places:
            own = spans[bisect_left(starts, start) : bisect_left(starts, end)]
            if own and glossary is not None:
                terms = [match for match in glossary.find(text[start:end]) if not match.is_kept]
                inside = [(start + term.start, start + term.end) for term in terms]
                own = [one for one in own if not any(first <= one[0] and one[1] <= last for first, last in inside)]
            sentence = self._read(text[start:end], [(first - start, last - start) for first, last in own])
            if numbers := [number for number, span in enumerate(own) if span in in_brackets]:
                translated = (Aside(number, sentence.copies[number][1:-1]) for number in numbers)
                sentence = sentence._replace(asides=tuple(translated))
            sentences.append(sentence)
        return sentences, [text[end:start] for (_, end), (start, _) in pairwise(places)]

    def _unknown(self, text: str) -> tuple[str, list[str]]:
        """The characters that the model cannot read, and the words that it does not know.

        A text of a single word has no unknown words, because it may be all that there is to translate.
        """
        unreadable = self.source.unreadable(text)
        if text.isupper():  # it is read in small letters: `OÙ`, where the training text only has `où`
            unreadable = "".join(each for each in unreadable if self.source.unreadable(each.lower()))
        words = self.source.copied_words(text) if " " in text.strip() else []
        return unreadable, words

    def _foreign(self, text: str, glossary: Glossary | None) -> Iterator[Span]:
        """The quotations in another language that have no term of the glossary."""
        for start, end in foreign_quotations(text, self.source):
            if glossary is None or not glossary.find(text[start:end]):
                yield start, end

    def _read(self, text: str, spans: list[Span]) -> SourceSentence:
        """A sentence with characters in place of its spans."""
        if not self.most:
            if _WORD.search(text):
                return SourceSentence(text)
            spans = find_spans(text)
        ends, starts = [0, *(end for _, end in spans)], [*(start for start, _ in spans), len(text)]
        has_letter = any(map(_LETTER.search, itertools.repeat(text), ends, starts))
        unchanged = None if has_letter or not self.has_words else text
        too_many = max(0, len(spans) - self.most) if self.most else 0
        spans = spans[: self.most]
        if not spans:
            return SourceSentence(text, (), unchanged)
        rest = text[spans[-1][1] :].translate(_NO_SPANS)
        read = replace_spans(text[: spans[-1][1]], spans, range(len(spans)))
        copies = tuple(text[start:end] for start, end in spans)
        return SourceSentence(clean_line(read + rest), copies, unchanged, too_many)

    def pair(self, source: str, target: str) -> tuple[SourceSentence, str]:
        """A source and its given translation, with characters in place of their common spans."""
        if not self.most:
            return SourceSentence(source), target
        found = list(equal_spans(source, target, None, *self._unknown(clean_line(source))))[: self.most]
        order = sorted(range(len(found)), key=lambda i: found[i][1])
        read = replace_spans(source, [one for one, _ in found], range(len(found)))
        copies = tuple(source[start:end] for (start, end), _ in found)
        return SourceSentence(read, copies), replace_spans(target, [found[i][1] for i in order], order)

    def phrase(self, phrase: str, copies: Sequence[str]) -> str:
        """A required phrase or prefix, with characters in place of the spans that it shares with the source."""
        left = dict[str, list[int]]()
        for number, copy in reversed(list(enumerate(copies))):
            left.setdefault(copy, []).append(number)
        spans, numbers = [], []
        for start, end in find_spans(phrase, Named(copies)) if copies else ():
            if left.get(phrase[start:end]):
                spans.append((start, end))
                numbers.append(left[phrase[start:end]].pop())
        return replace_spans(phrase, spans, numbers)


def _outside(places: Sequence[Span], spans: Sequence[Span]) -> list[Span]:
    """The sentences; those that were cut inside a span are joined again."""
    starts = [start for start, _ in spans]
    joined: list[Span] = []
    for start, end in places:
        last = bisect_left(starts, joined[-1][1]) - 1 if joined else -1
        if last >= 0 and spans[last][1] > joined[-1][1]:
            joined[-1] = joined[-1][0], end
        else:
            joined.append((start, end))
    return joined


def _cut(text: str, places: Sequence[Span], spans: Sequence[Span], most: int) -> Iterator[Span]:
    """The sentences; those with more than `most` spans are cut before a span, at a space if there is one."""
    starts = [start for start, _ in spans]
    for start, end in places:
        for number in range(bisect_left(starts, start) + most, bisect_left(starts, end), most):
            space = text.rfind(" ", spans[number - 1][1], spans[number][0])
            border = space if space >= 0 else spans[number][0]
            yield start, start + len(text[start:border].rstrip())
            start = border + (space >= 0)
        yield start, end


def restored(text: str, tokens: Sequence[str], source: str, copies: Sequence[str]) -> tuple[str, list[str]]:
    """A translation and its pieces with the spans in place of their characters; one without a copy is removed."""
    if not copies:
        text = re.sub(" {2,}", " ", restore_spans(text, ()).strip())
    return restore_spans(text, copies, source), restore_pieces(tokens, copies, source, SPACE)
