"""Puts tags around the target words that correspond to the enclosed source words, by the attention weights.

An element encloses the contiguous target words that attend most to the words that it encloses in the source. Elements
stay nested as in the source, each tag is written once, and empty elements are put where the fewest words cross them.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate, islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nmt.errors import needs_attention
from nmt.search.engine import Floats
from nmt.text.cleaning import clean_line, one_line
from nmt.text.glossary import Glossary
from nmt.text.markup import PLACEHOLDERS, Element, Segment, Tag, Units, letters, parse_markup
from nmt.text.sentences import white_space_before
from nmt.text.spans import restore_spans, spliced
from nmt.text.vocabulary import SPACE

if TYPE_CHECKING:
    from nmt.translation.translator import PreparedLine, SourceLine, Translation, Translator

LEAST_WEIGHT = 0.15
"""Minimum attention weight for a word to be a counterpart of another word that has more weight elsewhere."""

Run = tuple[int, int]
"""The first unit of a run of units, and the unit after the run."""


class _Side(NamedTuple):
    """The words and marks of one side of a sentence, with places in letters."""

    text: str
    """The text of the sentence; that of the source is cleaned."""
    units: Units
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    are_words: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, text: str) -> _Side:
        units = Units.of(text)
        before = np.cumsum([0, *(not sign.isspace() for sign in text)])
        return cls(text, units, before[units.starts], before[units.ends], np.array(units.are_words, bool))

    def shares(self, tokens: Sequence[str]) -> Floats:
        """How much of each piece belongs to each unit, [pieces, units]."""
        lengths = np.array([_letters(token) for token in tokens], np.int64)
        ends = np.cumsum(lengths)[:, None]
        starts = ends - lengths[:, None]
        overlap = np.minimum(ends, self.ends) - np.maximum(starts, self.starts)
        shares: Floats = (np.maximum(overlap, 0) / np.maximum(lengths, 1)[:, None]).astype(np.float32)
        return shares


def _letters(piece: str) -> int:
    """The number of letters of a piece; of a character in bytes, only the first byte counts."""
    if byte := re.fullmatch("<0x([0-9A-Fa-f]{2})>", piece):
        return int(int(byte[1], 16) & 0xC0 != 0x80)
    return 1 if piece == "<unk>" else len("".join(piece.replace(SPACE, " ").split()))


def _word_weights(translation: Translation, source: _Side, target: _Side) -> Floats:
    """The attention weights from target words to source words, [target units, source units]; those of marks are 0.

    Units after the last source piece are omitted.
    """
    read = sum(map(_letters, translation.source_tokens))  # a long sentence is cut
    width = int(np.searchsorted(source.starts, read, "left"))
    weights: Floats = np.zeros((len(target.starts), width), np.float32)
    attention = translation.attention_weights
    if attention is not None and translation.tokens and translation.source_tokens and weights.size:
        of_target = target.shares(translation.tokens)
        of_target /= np.maximum(of_target.sum(axis=0), np.float32(1e-9))
        attention = attention[: len(translation.tokens), : len(translation.source_tokens)]
        weights = np.asarray(of_target.T @ attention @ source.shares(translation.source_tokens)[:, :width], np.float32)
    weights[~target.are_words] = 0
    weights[:, ~source.are_words[:width]] = 0
    return weights


def _joined(arrays: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.int64]:
    return np.concatenate([np.zeros(0, np.int64), *arrays])


class _Place(NamedTuple):
    """A tag and its role."""

    tag: Tag
    role: str
    """`opening`, `closing`, `pair` (of an element without words), `empty`, `break` or `space`."""


@dataclass
class _Node:
    """An element with its place in the target."""

    element: Element
    number: int
    run: Run
    children: list[_Node]


class Layout:
    """The units of a segment's source and target, and the places of its elements in the target."""

    def __init__(self, segment: Segment, sources: Sequence[str], parts: Sequence[Translation]) -> None:
        self.segment = segment
        source = [_Side.of(clean_line(sentence)) for sentence in sources]
        target = [_Side.of(part.text) for part in parts]
        self.weights = [_word_weights(*each) for each in zip(parts, source, target, strict=True)]
        self.source, self.target = source, target
        before = np.cumsum([0, *(len(letters(side.text)) for side in source)])
        self.starts = _joined([place + side.starts for place, side in zip(before[:-1], source, strict=True)])
        self.ends = _joined([place + side.ends for place, side in zip(before[:-1], source, strict=True)])
        self.source_words = _joined([side.are_words for side in source]).astype(bool)
        self.words = _joined([side.are_words for side in target]).astype(bool)
        self.first_source = np.cumsum([0, *(len(side.starts) for side in source)])
        self.first = np.cumsum([0, *(len(side.starts) for side in target)])
        self.sentence = np.repeat(np.arange(len(source)), np.diff(self.first_source))
        self.owner = np.zeros(len(self.words), np.int64)
        """The innermost element that each target unit is in."""

    def place(self) -> _Node:
        """The elements with their places, outer elements before inner ones."""
        root = _Node(self.segment.root, 0, (0, len(self.words)), [])
        waiting, count = deque([root]), 1
        while waiting:
            parent = waiting.popleft()
            order = {id(child): place for place, child in enumerate(parent.element.children)}
            empty = []
            for child in sorted(parent.element.children, key=lambda one: one.start - one.end):
                run = self.run(child, parent) if child.end > child.start else None
                if run is None:
                    empty.append(child)
                    continue
                self.owner[slice(*run)] = count
                parent.children.append(_Node(child, count, run, []))
                count += 1
            for child in sorted(empty, key=lambda one: order[id(one)]):
                gap = self.gap(child, parent)
                parent.children.append(_Node(child, count, (gap, gap), []))
                count += 1
            parent.children.sort(key=lambda node: (*node.run, order[id(node.element)]))
            waiting.extend(parent.children)
        return root

    def run(self, element: Element, parent: _Node) -> Run | None:
        """The target units that an element encloses; None if there are none."""
        first = int(np.searchsorted(self.ends, element.start, "right"))
        last = int(np.searchsorted(self.starts, element.end, "left"))
        if parent.run[0] == parent.run[1] or first >= last:
            return None
        inside = np.arange(first, last)
        shared = np.minimum(self.ends[inside], element.end) - np.maximum(self.starts[inside], element.start)
        most = inside[2 * shared >= self.ends[inside] - self.starts[inside]]
        inside = most if self.source_words[most].any() else inside
        if not self.source_words[inside].any():
            return self.marks(inside, parent)
        first, last = int(inside[0]), int(inside[-1]) + 1
        one, other = int(self.sentence[first]), int(self.sentence[last - 1])
        found = self.best_run(one, inside, parent.number)
        if other > one:
            end = self.best_run(other, inside, parent.number)
            start = found[0] if found else int(self.first[one + 1])
            found = self.free(start, end[1] if end else int(self.first[other]), parent.number)
        return None if found is None else self.with_marks(found, first, last, parent.number)

    def best_run(self, number: int, inside: npt.NDArray[np.int64], owner: int, least: float = -np.inf) -> Run | None:
        """The run of a sentence's units whose words attend most to some source words and least to others.

        least: value of the words that it may include, the weight to these source words less that to others
        """
        start, weights = int(self.first[number]), self.weights[number]
        chosen = np.zeros(weights.shape[1], bool)
        places = inside - self.first_source[number]
        chosen[places[(places >= 0) & (places < len(chosen))]] = True
        enclosed = weights[:, chosen].max(axis=1, initial=0.0)
        values = enclosed - weights[:, ~chosen].max(axis=1, initial=0.0)
        free = self.owner[start : start + len(values)] == owner
        values[~free | (values < least)] = -np.inf
        best, found, total, begun = 0.0, None, 0.0, 0
        for place, value in enumerate(values.tolist()):
            if total <= 0:
                total, begun = 0.0, place
            total += value
            if total > best:
                best, found = total, (start + begun, start + place + 1)
        if found is None and len(values):
            enclosed[~free] = 0
            place = int(enclosed.argmax())
            if enclosed[place] >= LEAST_WEIGHT:
                found = start + place, start + place + 1
        return found

    def marks(self, inside: npt.NDArray[np.int64], parent: _Node) -> Run | None:
        """The same mark in the target, for an element that encloses a mark and no word."""
        number = int(self.sentence[inside[0]])
        source, target = self.source[number], self.target[number]
        place = int(inside[0] - self.first_source[number])
        signs = [source.text[start] for start in source.units.starts]
        count = signs[:place].count(signs[place])
        start = int(self.first[number])
        same = [start + i for i, each in enumerate(target.units.starts) if target.text[each] == signs[place]]
        if count < len(same) and self.owner[same[count]] == parent.number:
            return self.free(same[count], min(same[count] + len(inside), int(self.first[number + 1])), parent.number)
        return None

    def free(self, start: int, end: int, owner: int) -> Run | None:
        """The longest run between two places that belongs only to the parent."""
        taken = np.flatnonzero(self.owner[start:end] != owner) + start
        begins, ends = np.append(start, taken + 1), np.append(taken, end)
        longest = int((ends - begins).argmax())
        return (int(begins[longest]), int(ends[longest])) if ends[longest] > begins[longest] else None

    def with_marks(self, run: Run, first: int, last: int, owner: int) -> Run:
        """A run extended by the marks around it that the element also encloses in the source."""
        start, end = run
        words = np.flatnonzero(self.source_words[first:last])
        number = self.sentence[first]
        many = len(self.words)
        left = many if first == self.first_source[number] else int(words[0])
        lowest = self.first[np.searchsorted(self.first, start, "right") - 1]
        while left and start > lowest and not self.words[start - 1] and self.owner[start - 1] == owner:
            start, left = start - 1, left - 1
        number = self.sentence[last - 1]
        left = many if last == self.first_source[number + 1] else int(last - first - words[-1] - 1)
        highest = self.first[np.searchsorted(self.first, end, "left")]
        while left and end < highest and not self.words[end] and self.owner[end] == owner:
            end, left = end + 1, left - 1
        return start, end

    def gap(self, element: Element, parent: _Node) -> int:
        """The target unit before which an empty element is put: the place that the fewest words cross."""
        start, end = parent.run
        if start == end:
            return start
        centers = (self.starts + self.ends) / 2
        before = int(np.searchsorted(centers, element.start, "left"))
        number = int(self.sentence[max(0, before - 1)]) if len(self.sentence) else 0
        tag = element.opening
        if 0 < before < len(centers) and tag.before and not tag.after:
            number = int(self.sentence[before])
        lowest, highest = max(start, int(self.first[number])), min(end, int(self.first[number + 1]))
        if lowest >= highest:
            return start if highest <= start else end
        weights = self.weights[number][lowest - self.first[number] : highest - self.first[number]]
        costs = np.zeros(highest - lowest + 1)
        if weights.size:
            comes_before = centers[self.first_source[number] + weights.argmax(axis=1)] < element.start
            most = weights.max(axis=1)
            costs[1:] += np.cumsum(most * ~comes_before)
            costs[:-1] += np.cumsum((most * comes_before)[::-1])[::-1]
        gaps = np.arange(lowest, highest + 1)
        inner = (gaps > start) & (gaps < end)
        here, there = self.owner[gaps[inner] - 1], self.owner[gaps[inner]]
        costs[inner] += np.where((here == there) & (here != parent.number), np.inf, 0.0)
        best = int(costs.argmin())
        words = np.flatnonzero(self.source_words[self.first_source[number] : before])
        marks = before - self.first_source[number] - (words[-1] + 1 if len(words) else 0)
        while marks > 0 and best + 1 < len(costs) and costs[best + 1] <= costs[best] + 1e-6:
            best, marks = best + 1, marks - 1
        return lowest + best


def prepare_marked(translator: Translator, line: SourceLine, split_sentences: bool | None) -> PreparedLine:
    """The same as `Translator.prepare` for a line with markup: the sentences of all of its segments."""
    if not translator.has_attention:
        raise needs_attention("markup needs", "; leave it out")
    whole = bool(line.prefix or line.required)
    marked = parse_markup(one_line(line.text), line.markup, copied=translator.copying.most > 0, whole=whole)
    segments = [part for part in marked.parts if isinstance(part, Segment)]
    meant: dict[str, str] = {}
    for segment in segments if translator.corrects and not whole else ():
        meant |= _correct(segment, line, translator)
    made = [translator.prepare(replace(line, text=one.text, markup=""), split_sentences, True) for one in segments]
    whole_line = made[0] if len(made) == 1 else translator.prepare(replace(line, text="", markup=""), split_sentences)
    gaps = [gap for one in made if one.sentences for gap in (*one.gaps, " ")][:-1]
    problems = [problem for one in made for problem in one.problems]
    if marked.unmatched:
        problems.append(f"the markup is unbalanced: {_list(marked.unmatched)} without a partner")
    return whole_line._replace(
        sentences=[sentence for one in made for sentence in one.sentences],
        gaps=gaps,
        problems=list(dict.fromkeys(problems)),
        corrected=meant,
        finish=partial(_finish, marked.parts, made),
    )


def _correct(segment: Segment, line: SourceLine, translator: Translator) -> dict[str, str]:
    """Correct the misspelt words of a segment, whose elements then enclose the same words.

    A word of which an element encloses only a part does not change.
    """
    named = translator.to_keep(line.keep) if line.keep else None
    if not (slips := translator.speller.slips(segment.text, named, Glossary.of(line.glossary))):
        return {}
    elements = [segment.root]
    for element in elements:  # it grows
        elements += element.children
    borders = {place for element in elements for place in (element.start, element.end)}
    text = clean_line(segment.text)
    before = list(accumulate((not sign.isspace() for sign in text), initial=0))
    slips = [slip for slip in slips if borders.isdisjoint(range(before[slip.start] + 1, before[slip.end]))]
    ends = [before[slip.end] for slip in slips]
    longer = list(accumulate((len(slip.meant) - (slip.end - slip.start) for slip in slips), initial=0))

    def moved(place: int) -> int:
        return place + longer[bisect_right(ends, place)]

    for element in elements:
        element.start, element.end = moved(element.start), moved(element.end)
    segment.text, segment.letters = "".join(spliced(text, slips)), moved(segment.letters)
    return {text[slip.start : slip.end]: slip.meant for slip in slips}


def _list(tags: Sequence[str]) -> str:
    """The first tags of a list, as text for a message."""
    named = [f"`{tag if len(tag) <= 40 else tag[:37] + '...'}`" for tag in tags[:3]]
    more = f" and {len(tags) - 3} more" if len(tags) > 3 else ""
    return f"{', '.join(named)}{more} {'is' if len(tags) == 1 else 'are'}"


def _finish(parts: Sequence[str | Segment], made: Sequence[PreparedLine], translation: Translation) -> Translation:
    """A translation of a line with its tags."""
    sentences = iter(translation.parts or [translation])
    prepared = iter(made)
    written = []
    for part in parts:
        if isinstance(part, Segment):
            line = next(prepared)
            sources = [restore_spans(one.text, one.copies) for one in line.sentences]
            part = place_tags(part, sources, line.gaps, list(islice(sentences, len(sources))))
        written.append(part)
    return replace(translation, text="".join(written))


def place_tags(segment: Segment, sources: Sequence[str], gaps: Sequence[str], parts: Sequence[Translation]) -> str:
    """The translation of a segment with its tags.

    Parameters:
        sources: its sentences
        gaps: the white space between them
        parts: the translation of each sentence, with attention weights
    """
    text, starts, ends = "", list[int](), list[int]()
    pieces: list[str] = []
    length, last = 0, ""
    for number, part in enumerate(parts):
        if part.text:
            space = white_space_before(part.text, last, gaps[number - 1]) if last else ""
            units = Units.of(part.text)
            starts += [length + len(space) + start for start in units.starts]
            ends += [length + len(space) + end for end in units.ends]
            pieces += [space, part.text]
            length, last = length + len(space) + len(part.text), part.text
    text = "".join(pieces)
    layout = Layout(segment, sources, parts)
    written: list[str] = []
    waiting: list[_Place] = []
    place = 0
    edge = " " if segment.text[:1].isspace() else ""
    for item in _in_order(layout.place()):
        if isinstance(item, _Place):
            waiting.append(item)
            continue
        space = text[place : starts[item]] if item else edge
        unit = text[starts[item] : ends[item]].translate(segment.written)
        written += [_with_space(waiting, space, item > 0, "word" if layout.words[item] else "mark"), unit]
        waiting, place = [], ends[item]
    edge = " " if starts and segment.text[-1:].isspace() else ""
    written.append(_with_space(waiting, edge, place > 0, ""))
    lost = [raw for code, raw in segment.written.items() if code in PLACEHOLDERS and chr(code) not in text]
    return "".join([*written, *lost])


def _in_order(root: _Node) -> Iterator[_Place | int]:
    """Tags and the numbers of units, in the order in which they are written."""
    stack: list[_Node | _Place | range] = [root]
    while stack:
        item = stack.pop()
        if isinstance(item, _Place):
            yield item
        elif isinstance(item, range):
            yield from item
        else:
            inside: list[_Node | _Place | range] = []
            place, end = item.run
            for child in item.children:
                inside += [range(place, child.run[0]), child]
                place = child.run[1]
            opening, closing = _tags(item)
            stack += reversed([*opening, *inside, range(place, end), *closing])


def _tags(node: _Node) -> tuple[list[_Place], list[_Place]]:
    """The tags before and after the content of an element."""
    element = node.element
    opening, closing = element.opening, element.closing
    if element.is_space or element.is_break:
        return [_Place(opening, "space" if element.is_space else "break")], []
    if node.run[0] == node.run[1]:
        if closing.raw and opening.raw:
            opening, closing = opening._replace(after=False), closing._replace(before=False)
        role = "pair" if closing.raw else "empty"
        return [_Place(opening, role)] if opening.raw else [], [_Place(closing, role)] if closing.raw else []
    return [_Place(opening, "opening")] if opening.raw else [], [_Place(closing, "closing")] if closing.raw else []


def _with_space(places: Sequence[_Place], space: str, has_before: bool, following: str) -> str:
    """Tags between two units, with white space before, between and after them as in the source.

    Parameters:
        space: the white space between the units
        has_before: whether there is a unit before the tags
        following: what follows: `word`, `mark` or nothing
    """
    entities = "".join(place.tag.raw for place in places if place.role == "space")
    places = [place for place in places if place.role != "space"]
    tags = [place.tag for place in places]
    wanted = [place for place in range(len(tags) + 1) if _wants_space(tags, place)]
    usual = next((i for i, place in enumerate(places) if place.role != "closing"), len(places))
    alone = [place.role in ("empty", "break") for place in places]
    if not any(alone) and not any(place.role == "pair" for place in places):
        chosen = [usual if usual in wanted or not wanted else wanted[0]] if space else []
    else:
        inner = [following != "mark" or alone[i] or alone[i - 1] for i in range(1, len(tags))]
        fits = [has_before and alone[0], *inner, following == "word" and alone[-1]]
        chosen = [i for i in wanted if space or fits[i]]
        if space and not chosen and not any(place.role == "break" for place in places):
            chosen = [usual]
    if space and entities:
        chosen = chosen or [len(tags)]
    spaces = [(space or " ") if i in chosen else "" for i in range(len(tags) + 1)]
    if space and entities:
        spaces[chosen[0]] = entities
    return spaces[0] + "".join(tag.raw + after for tag, after in zip(tags, spaces[1:], strict=True))


def _wants_space(tags: Sequence[Tag], place: int) -> bool:
    """Whether white space is between two tags in the source, before the first or after the last."""
    return (place > 0 and tags[place - 1].after) or (place < len(tags) and tags[place].before)
