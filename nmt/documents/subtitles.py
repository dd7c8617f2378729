"""Subtitles (SRT, WebVTT). A sentence of several cues is translated as a whole and divided again.

The border between two cues is a tag in the sentence, so that it comes where the fewest words cross it.
"""

from __future__ import annotations

import html
import itertools
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nmt.documents.inline import Group, Item, Stop, Text, Whole, block
from nmt.documents.parts import Part, Request, escape
from nmt.text.spans import spliced

WIDTH = 42
"""Usual maximum length of a line of subtitles."""
MOST_CUES = 4
"""Maximum number of cues of a sentence."""
MOST_SECONDS = 1.0
"""Maximum pause between two cues of a sentence."""
_TIME = r"(?:(\d+):)?(\d+):(\d\d)[.,](\d{1,3})"
_CUE = re.compile(rf"^[ \t]*{_TIME}[ \t]*-->[ \t]*{_TIME}[^\n]*\n", re.MULTILINE)
_TAG = re.compile(r"(</?[A-Za-z][^<>\n]*>|<\d[\d:.]*>|\{\\[^{}\n]*\}|\{[a-z]:[^{}\n]*\})")
_SENTENCE_END = re.compile(r"[.!?…:;。！？♪)\]}][\"'»«”’“]*$|[\"»”]$")
_NEW_SPEECH = re.compile(r"\s*[-–—♪#\[(>\"„“«]")


@dataclass
class _Cue:
    start: int
    end: int
    begins: float
    ends: float
    raw: str

    @property
    def text(self) -> str:
        """Its text without tags."""
        return _TAG.sub("", self.raw).strip()

    @property
    def is_dialogue(self) -> bool:
        """Whether several people speak, each in a line."""
        return sum(bool(re.match(r"\s*[-–—]", _TAG.sub("", line))) for line in self.raw.splitlines()) > 1


def parts(text: str, request: Request) -> list[Part]:
    is_vtt = text.lstrip("\ufeff").startswith("WEBVTT")
    cues = [cue for cue in _cues(text) if cue.text]
    if not cues and text.strip() and not is_vtt:
        raise request.error("has no subtitles: no line has two times with `-->` between them")
    line_end = "\r\n" if "\r\n" in text else "\n"
    write = (lambda raw, _: raw) if is_vtt else (lambda raw, _: html.unescape(raw))
    found: list[tuple[int, int, Part]] = []
    for sentence in _sentences(cues):
        borders = [text[one.end : other.start] for one, other in itertools.pairwise(sentence)]
        items: list[Item] = []
        for cue, border in zip(sentence, [*borders, ""], strict=True):
            items += _items(cue, is_vtt)
            items += [Whole([border], "lb")] if border else []
        start, end = sentence[0].start, sentence[-1].end
        made = block(text[start:end], items, write)
        made.encode = _Layout(sentence, borders, line_end).lines
        found.append((start, end, made))
    return spliced(text, found)


def _cues(text: str) -> Iterator[_Cue]:
    for found in _CUE.finditer(text):
        start = found.end()
        blank = re.compile(r"\s*(?:\n[ \t]*\r?\n|\Z)").search(text, max(0, start - 1))
        end = max(start, blank.start() if blank else len(text))
        times = [int(number or 0) for number in found.groups()]
        begins, ends = (
            3600 * hours + 60 * minutes + seconds + float(f"0.{part}")
            for hours, minutes, seconds, part in (times[:4], times[4:])
        )
        yield _Cue(start, end, begins, ends, text[start:end])


def _sentences(cues: Sequence[_Cue]) -> Iterator[list[_Cue]]:
    sentence: list[_Cue] = []
    for cue in cues:
        if sentence and not (len(sentence) < MOST_CUES and _goes_on(sentence[-1], cue)):
            yield sentence
            sentence = []
        sentence.append(cue)
    if sentence:
        yield sentence


def _goes_on(cue: _Cue, following: _Cue) -> bool:
    """Whether the sentence of a cue goes on in the following one."""
    first, second = cue.text, following.text
    if _SENTENCE_END.search(first) or _NEW_SPEECH.match(second) or cue.is_dialogue or following.is_dialogue:
        return False
    if first.isupper() or first.lower() == first.upper():  # titles, and scripts without capitals
        return False
    near = 0 <= following.begins - cue.ends <= MOST_SECONDS
    return near and (first.endswith(",") or second[:1].islower() or len(first.split()) > 2)


def _items(cue: _Cue, is_vtt: bool) -> list[Item]:
    """The text of a cue with its tags; only the lines of a dialogue are separated."""
    separator: Item = Stop(["\n"]) if cue.is_dialogue else Text(" ")
    stack: list[tuple[str, list[Item]]] = [("", [])]
    lines = cue.raw.splitlines()
    for number, line in enumerate(lines):
        if number:
            stack[-1][1].append(separator)
        for piece in _TAG.split(line):
            name = re.match(r"</?(\w+)", piece) if _TAG.fullmatch(piece) else None
            if not _TAG.fullmatch(piece):
                stack[-1][1].append(Text(piece if is_vtt else escape(piece)))
            elif name and piece.startswith("</") and len(stack) > 1 and stack[-1][0].startswith(f"<{name[1]}"):
                opening, inside = stack.pop()
                stack[-1][1].append(Group([opening], inside, piece))
            elif name and not piece.startswith("</") and f"</{name[1]}>" in cue.raw and len(stack) < 10:
                stack.append((piece, []))
            else:
                stack[-1][1].append(Whole([piece]))
    while len(stack) > 1:
        opening, inside = stack.pop()
        stack[-1][1].extend([Whole([opening]), *inside])
    return stack[0][1]


@dataclass
class _Layout:
    """How the translation of a sentence is divided among its cues and their lines."""

    cues: Sequence[_Cue]
    borders: Sequence[str]
    end: str
    """The line end."""

    def lines(self, translation: str) -> str:
        """The translation of the cues, with the borders between them."""
        pieces = [translation]
        for border in self.borders:
            *before, last = pieces
            pieces = [*before, *last.split(border, 1)]
        pieces = [piece.strip(" ") for piece in pieces]
        for place, piece in enumerate(pieces[1:], 1):  # a comma belongs to the cue before it
            mark = re.match(r"[,.;:!?…)\]]*", piece)[0]  # type: ignore[index]
            pieces[place - 1 : place + 1] = [pieces[place - 1] + mark, piece[len(mark) :].lstrip(" ")]
        if len(pieces) != len(self.cues) or not all(self._fits(*one) for one in zip(pieces, self.cues, strict=True)):
            text = translation
            for border in self.borders:
                text = text.replace(border, " ", 1)
            if not _TAG.search(text):
                pieces = self._shared(text.split())
        written = [self._broken(piece, cue) for piece, cue in zip(pieces, self.cues, strict=False)]
        if len(written) != len(self.cues):
            return translation
        return "".join(map("".join, zip(written, [*self.borders, ""], strict=True)))

    def _fits(self, piece: str, cue: _Cue) -> bool:
        """Whether a cue has enough text, and not too much."""
        length = len(_TAG.sub("", piece).strip(" .,!?"))
        return len(self.cues) == 1 or 0.3 * len(cue.text) <= length <= 2.5 * len(cue.text) + 10

    def _shared(self, words: Sequence[str]) -> list[str]:
        """Words, divided in proportion to the lengths of the cues."""
        total = sum(len(cue.text) for cue in self.cues)
        pieces, first, share = [], 0, 0
        for left, cue in zip(range(len(self.cues) - 1, -1, -1), self.cues, strict=True):
            share += len(cue.text)
            last = min(max(first + 1, round(len(words) * share / total)), max(first, len(words) - left))
            last = last if left else len(words)
            pieces.append(" ".join(words[first:last]))
            first = last
        return pieces

    def _broken(self, piece: str, cue: _Cue) -> str:
        """The text of a cue in as many lines as before, or in two if it is too long for one."""
        if "\n" in piece:
            return piece if self.end == "\n" else re.sub("\r?\n", self.end, piece)
        shown = re.sub(r"<[^<>]*>|\{[^{}]*\}", lambda tag: tag[0].replace(" ", "\0"), piece)
        length = len(_TAG.sub("", piece))
        count = max(len(cue.raw.strip().splitlines()), 2 if length > 1.2 * WIDTH else 1)
        if count == 1 or length <= 0.7 * WIDTH:
            return piece
        width = -(-len(shown) // count)
        while len(lines := textwrap.wrap(shown, width, break_long_words=False, break_on_hyphens=False)) > count:
            width += 1
        return self.end.join(lines).replace("\0", " ")
