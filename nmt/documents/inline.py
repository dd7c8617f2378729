"""Makes segments of the content of a paragraph: text, formatting, links, pictures and notes.

A segment's formatting becomes numbered tags: `<g id="1">` ... `</g>` around formatted text, `<x id="2"/>` for an
element without text, `<lb id="3"/>` for a line break, `<sc id="4"/>` and `<ec id="4"/>` for a range that may overlap
elements. The translator puts them around the corresponding words.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from nmt.documents.parts import START, Block, Part, Segment, escape, has_letters, render
from nmt.text.markup import is_note_mark

MOST_DEPTH = 50
"""Maximum depth of nested formatting; deeper elements are divided like paragraphs."""


@dataclass
class Text:
    """Text, in the form of XML."""

    raw: str
    key: Hashable = None
    """Its formatting."""


@dataclass
class Group:
    """An element around other content: formatted text of HTML, a link."""

    open: Sequence[Part]
    items: list[Item]
    close: str
    needs_text: bool = False
    """Whether it is not written without text: signs of Markdown would be read as text."""


@dataclass
class Whole:
    """Something that has no text of the sentence: a picture, a note, a field."""

    parts: Sequence[Part]
    tag: str = "x"
    """`x`; `lb` if it separates words; `word` if it is read like a word; `sc` and `ec` for the ends of a range."""
    range: str = ""
    """What identifies a range."""


@dataclass
class Break:
    """A line break; it is part of the sentence if the next line goes on with a small letter."""

    parts: Sequence[Part]


@dataclass
class Stop:
    """Something that separates segments."""

    parts: Sequence[Part]


Item = Text | Group | Whole | Break | Stop
Writer = Callable[[str, Hashable], str]
"""What the document contains for text with some formatting."""


def block(raw: str, items: Sequence[Item], write: Writer = lambda raw, _: raw) -> Block:
    """A paragraph with its segments."""
    return Block(raw, list(divide(items, write)))


def divide(items: Sequence[Item], write: Writer = lambda raw, _: raw) -> Iterator[Part]:
    """The parts of the content of a paragraph."""
    waiting: list[Item] = []
    for item in _flat(items, write):
        if isinstance(item, Stop):
            yield from _stretch(waiting, write)
            yield from item.parts
            waiting = []
        else:
            waiting.append(item)
    yield from _stretch(waiting, write)


def _flat(items: Sequence[Item], write: Writer, depth: int = 0) -> list[Item]:
    """The items without breaks; elements around a separator become separators themselves."""
    flat: list[Item] = []
    for place, item in enumerate(items):
        if isinstance(item, Break):
            following = re.search(r"\w", _letters(items[place + 1 : place + 4]))
            goes_on = following is not None and following[0].islower()
            flat.append(Whole(item.parts, "lb") if goes_on else Stop(item.parts))
        elif isinstance(item, Group):
            inside = _merged(_flat(item.items, write, depth + 1))
            if depth > MOST_DEPTH or any(isinstance(one, Stop) for one in inside):
                flat += [Stop(item.open), *inside, Stop([item.close])]
            elif _letters(inside) or any(isinstance(one, Group) for one in inside):
                flat.append(replace(item, items=inside))
            else:
                flat.append(Whole(list(kept(Group(item.open, inside, item.close), write))))
        else:
            flat.append(item)
    return _with_marks(_merged(flat), write)


def _with_marks(items: Sequence[Item], write: Writer) -> list[Item]:
    """The items, in which marks of notes and exponents stay whole, because they would be read as part of a word."""
    made: list[Item] = []
    before = ""
    for place, item in enumerate(items):
        text, after = _letters([item]), _letters(items[place + 1 : place + 2])
        if isinstance(item, Text | Group) and is_note_mark(before, text, after):
            item = Whole(list(kept(item, write)))
        elif not isinstance(item, Whole):
            before = text
        made.append(item)
    return made


def _letters(items: Sequence[Item]) -> str:
    texts = (_letters(one.items) if isinstance(one, Group) else getattr(one, "raw", "") for one in items)
    return html.unescape("".join(texts))


def kept(item: Item, write: Writer) -> Iterator[Part]:
    """The parts of an item that is not translated."""
    if isinstance(item, Text):
        yield write(item.raw, item.key)
    elif isinstance(item, Group):
        yield from item.open
        for one in item.items:
            yield from kept(one, write)
        yield item.close
    else:
        yield from item.parts


def _stretch(items: Sequence[Item], write: Writer) -> Iterator[Part]:
    """The parts of content without separators: what is before and after the text, and the segment."""
    items = _merged(items)
    has_text = [item.tag == "word" if isinstance(item, Whole) else bool(_letters([item]).strip()) for item in items]
    if not any(has_text) or not has_letters(_letters(items)):
        for item in items:
            yield from kept(item, write)
        return
    first, last = has_text.index(True), len(items) - has_text[::-1].index(True)
    for item in items[:first]:
        yield from kept(item, write)
    inside = items[first:last]
    if len(inside) == 1 and isinstance(inside[0], Group):
        yield from inside[0].open
        yield from _stretch(inside[0].items, write)
        yield inside[0].close
    else:
        before, after = _strip(inside)
        if before is not None:
            yield write(before.raw, before.key)
        yield _Marked(inside, write).segment()
        if after is not None:
            yield write(after.raw, after.key)
    for item in items[last:]:
        yield from kept(item, write)


def _merged(items: Sequence[Item]) -> list[Item]:
    """The items with neighbouring texts of the same formatting joined; a space between them takes their formatting."""
    merged: list[Item] = []
    for item in items:
        if isinstance(item, Text):
            if not item.raw:
                continue
            before = merged[-1] if merged else None
            two = merged[-2] if len(merged) > 1 else None
            if isinstance(before, Text) and isinstance(two, Text) and two.key == item.key and not before.raw.strip():
                merged[-2:] = [Text(two.raw + before.raw + item.raw, item.key)]
                continue
            if isinstance(before, Text) and before.key == item.key:
                merged[-1] = Text(before.raw + item.raw, item.key)
                continue
        merged.append(item)
    return merged


def _strip(items: list[Item]) -> tuple[Text | None, Text | None]:
    """Remove the white space at both ends and a bullet, and return them."""
    before = after = None
    if isinstance(first := items[0], Text) and (rest := first.raw[START.match(first.raw).end() :]) != first.raw:  # type: ignore[union-attr]
        before = Text(first.raw[: len(first.raw) - len(rest)], first.key)
        items[0] = Text(rest, first.key)
    if isinstance(last := items[-1], Text) and (rest := last.raw.rstrip()) != last.raw:
        after = Text(last.raw[len(rest) :], last.key)
        items[-1] = Text(rest, last.key)
    return before, after


TAG = re.compile(r'</?(?:g|x|lb|sc|ec)(?: id="(\d+)"[^<>]*)?>')


@dataclass
class _Marked:
    """A segment with tags while it is made, and later its translation."""

    items: Sequence[Item]
    write: Writer
    opened: dict[str, Sequence[Part]] = field(default_factory=dict)
    """What is written for an opening or empty tag, by its number; a range has one number for each of its ends."""
    closed: dict[str, str] = field(default_factory=dict)
    keys: dict[str, Hashable] = field(default_factory=dict)
    """The formatting of text directly inside an element, by the number of the element."""
    ranges: dict[str, str] = field(default_factory=dict)
    needs_text: set[str] = field(default_factory=set)

    def segment(self) -> Segment:
        ends = Counter(one.range for one in self.items if isinstance(one, Whole) and one.tag in ("sc", "ec"))
        self.paired = {name for name, count in ends.items() if count == 2}
        text = "".join(self.marked(self.items, "0"))
        if not self.opened:
            key = self.keys["0"]
            return Segment(html.unescape(text), lambda translation: self.write(escape(translation), key))
        self.text = text
        inner = [part for parts in self.opened.values() for part in parts]
        return Segment(text, self.fill, "xml", inner=inner)

    def marked(self, items: Sequence[Item], parent: str) -> Iterator[str]:
        """The items as text with tags."""
        letters: Counter[Hashable] = Counter()
        for one in items:
            if isinstance(one, Text):
                letters[one.key] += len(one.raw.strip())
        usual = self.keys[parent] = max(letters, key=lambda key: letters[key]) if letters else self.keys.get("0")
        for item in items:
            number = str(len(self.opened) + 1)
            if isinstance(item, Text):
                text = re.sub(r"[ \t]*[\r\n\t]\s*", " ", item.raw)
                if item.key == usual or not text.strip():
                    yield text
                    continue
                self.opened[number], self.closed[number], self.keys[number] = (), "", item.key
                yield f'<g id="{number}">{text}</g>'
            elif isinstance(item, Group):
                self.opened[number], self.closed[number] = item.open, item.close
                self.needs_text |= {number} if item.needs_text else set()
                yield f'<g id="{number}">'
                yield from self.marked(item.items, number)
                yield "</g>"
            else:
                yield self.tag(item, number)

    def tag(self, item: Whole | Break | Stop, number: str) -> str:
        kind = item.tag if isinstance(item, Whole) else "x"
        if isinstance(item, Whole) and kind in ("sc", "ec"):
            if item.range in self.paired and (kind == "sc") == (item.range not in self.ranges):
                number = self.ranges.setdefault(item.range, number)
                self.opened[number if kind == "sc" else f"{number}/"] = item.parts
                return f'<{kind} id="{number}"/>'
            kind = "x"
        self.opened[number] = item.parts
        if kind == "word":
            self.closed[number] = ""
            return f'<g id="{number}" translate="no"></g>'
        return f'<{kind} id="{number}"/>'

    def fill(self, translation: str) -> str:
        """The content of the document for a translation; tags that are missing or crossed follow the text."""
        try:
            return self.filled(translation)
        except ValueError:
            tags = "".join(found[0] for found in TAG.finditer(self.text))
            return self.filled(TAG.sub("", translation) + tags)

    def filled(self, translation: str) -> str:
        """The content of the document for a translation; raises ValueError unless each tag is there once."""
        written: list[str] = []
        stack = ["0"]
        left = dict.fromkeys(self.opened)
        place = 0
        for found in TAG.finditer(translation):
            self.put(translation[place : found.start()], stack[-1], written)
            place, tag, number = found.end(), found[0], found[1]
            if tag == "</g>":
                if len(stack) == 1:
                    raise ValueError(tag)
                number = stack.pop()
                if number in self.needs_text and written[-1] == render(self.opened[number]):
                    written.pop()
                else:
                    written.append(self.closed[number])
                continue
            if tag.startswith("<ec"):
                if number in left:
                    raise ValueError(tag)
                number += "/"
            if left.pop(number, "") is not None or tag.startswith("<g") != (number in self.closed):
                raise ValueError(tag)
            written.append(render(self.opened[number]))
            if tag.startswith("<g"):
                stack.append(number)
        self.put(translation[place:], stack[-1], written)
        if left or len(stack) > 1:
            raise ValueError(translation)
        return "".join(written)

    def put(self, raw: str, parent: str, written: list[str]) -> None:
        if raw:
            raw = re.sub(r"&(?!#?\w+;)", "&amp;", raw.replace("<", "&lt;"))  # entities stay as they are
            written.append(self.write(raw, self.keys.get(parent, self.keys["0"])))


def texts(raw: str) -> list[Item]:
    """The text between two elements of XML, in which there may be comments, instructions and CDATA."""
    items: list[Item] = []
    for piece in re.split(r"(<!--.*?-->|<\?.*?\?>|<!\[CDATA\[.*?\]\]>)", raw, flags=re.DOTALL):
        if piece.startswith("<![CDATA["):
            items.append(Text(escape(piece[9:-3])))
        elif piece.startswith("<"):
            items.append(Whole([piece]))
        elif piece:
            items.append(Text(piece))
    return items
