"""Divides lines with HTML or XML markup into segments of plain text and their tags.

Block tags (`<p>`, `<li>`) separate segments. Inline tags are removed from the text of a segment, and their places are
stored in letters, which are all characters except white space. `<code>`, comments and the like are not translated.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from nmt.errors import UserError
from nmt.text.cleaning import clean_line
from nmt.text.spans import find_spans

KINDS = ("html", "xml")  # the values of `markup`
INLINE = "inline"  # the kind of text in which only elements are markup: text with the tags of a program's messages


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_HTML_BLOCKS = _names(
    "address article aside base blockquote body caption center col colgroup dd details dialog div dl dt fieldset "
    "figcaption figure footer form h1 h2 h3 h4 h5 h6 head header hr html iframe legend li link main menu meta nav "
    "noscript ol optgroup option p pre script section select style summary table tbody td textarea tfoot th thead "
    "title tr ul"
)
_XML_BLOCKS = _names("item li note p para seg segment source target title")
_EMPTY = _names("area br embed img input param track wbr")  # inline elements of HTML that have no end tag
_KEPT = _names("code kbd math pre samp script style svg textarea")  # elements whose content is not translated
_RAW = frozenset(("script", "style", "textarea"))  # elements of HTML in whose content nothing is a tag
_CODES = _names("bpt ept it ph ut")  # elements of XLIFF and TMX whose content is the code of another format
_BREAKS = _names("br img lb")  # empty elements that separate words even without white space

# A value that contains `<` or `>` may not be long, which limits the time for a line; a picture as a value has neither.
_VALUE = r"""(?:"[^"<>]*+"|'[^'<>]*+'|"[^"]{0,2000}+"|'[^']{0,2000}+')"""
_TAG = rf"""</?([A-Za-z_][^\s<>/"'=]*+)(?:[^<>"']++|{_VALUE})*+>"""
# Compiled for the first line that needs them, and kept by `re`: compiling takes milliseconds of each start.
_TOKEN = (
    rf"{_TAG}|<!--|<!\[CDATA\[|<\?|<![A-Za-z]|&(?:\#[0-9]{{1,7}}|\#[xX][0-9A-Fa-f]{{1,6}}|[A-Za-z][A-Za-z0-9]{{1,31}});"
)
_INLINE_TAG = (
    r"""</?([A-Za-z][\w:.-]*+)(?:\s++[\w:.@-]++\s*+=\s*+(?:"[^"]{0,2000}+"|'[^']{0,2000}+'|[^\s"'<>=]++))*+\s*+/?>"""
)
_ENDS = {"<!--": "-->", "<![CDATA[": "]]>", "<?": "?>"}
_NO_TRANSLATION = (
    r"""(?i)\stranslate\s*=\s*["']?no\b|:translate\s*=\s*["']no\b"""
    r"""|\sclass\s*=\s*["'](?:[^"']*\s)?notranslate\b"""
)
_PAIR = r"""\s(?:rid|startRef|i|id)\s*=\s*["']([^"']*)"""
_MARK = re.compile(r"[.,;:!?…)\]”»’]")
_NOTE_MARK = r"(?:\d{1,3}(?:,\s?\d{1,3})*|[*†‡§]{1,3}|\[\d{1,3}\]|\(\d{1,3}\))\)?"
PLACEHOLDERS = range(0xF0000, 0xFFFFE)  # private-use characters for untranslated content, which models copy


class Tag(NamedTuple):
    """A tag, or other markup that is written unchanged."""

    raw: str = ""
    before: bool = False  # whether white space is before it
    after: bool = False  # whether white space is after it


NO_TAG = Tag()


@dataclass
class Element:
    """An element inside a segment, or an empty one: a single tag, a comment, or a space as an entity."""

    start: int  # number of letters of the segment before it
    end: int
    opening: Tag = NO_TAG  # without text if the element began in an earlier segment
    closing: Tag = NO_TAG  # without text if the element ends in a later segment or is empty
    children: list[Element] = field(default_factory=list)
    is_space: bool = False  # whether it is a space written as an entity
    is_break: bool = False  # whether it separates words even without white space


@dataclass
class Segment:
    """A text without its tags, which is translated separately."""

    text: str = ""
    letters: int = 0
    root: Element = field(default_factory=lambda: Element(0, 0))  # it contains the elements
    # The markup of characters of the text, for `str.translate`: `&amp;`, and untranslated content.
    written: dict[int, str] = field(default_factory=dict)


class Marked(NamedTuple):
    """A line with markup."""

    parts: list[str | Segment]  # block tags and other separators, unchanged, and the segments between them
    unmatched: list[str]  # tags without a partner; each is placed like an empty element


class Token(NamedTuple):
    """A tag, an entity, or the text between two of them."""

    raw: str
    kind: str  # `text`, `entity`, `open`, `close`, `empty`, `kept` or `block`
    name: str = ""


def parse_markup(line: str, kind: str, *, copied: bool = False, whole: bool = False) -> Marked:
    """The segments of a line and the markup between them.

    kind: `html`, `xml` or `inline`
    copied: whether the model reads a character in place of untranslated content, and copies it
    whole: whether the line is one segment, in which block tags do not separate
    """
    if kind not in (*KINDS, INLINE):
        raise UserError(f"`markup` must be `html` or `xml`, but is {kind!r} instead")
    tokens = list(_inline_tokens(line) if kind == INLINE else _tokens(line, kind))
    partners = _partners(tokens)
    if kind == INLINE:
        tokens = [token if place in partners else token._replace(kind="text") for place, token in enumerate(tokens)]
    tokens, partners = _joined(tokens, partners, kind, marks=kind != INLINE)
    builder = _Builder(line, copied, escaped=kind != INLINE)
    for place, token in enumerate(tokens):
        around = place > 0 and tokens[place - 1].raw[-1:].isspace(), tokens[place + 1 : place + 2]
        tag = Tag(token.raw, around[0], bool(around[1]) and around[1][0].raw[:1].isspace())
        block = token.kind == "block" or (kind == INLINE and place in partners and token.name.lower() in _HTML_BLOCKS)
        if block and not whole:
            builder.separate(token.raw)
        elif token.kind in ("open", "close") and place in partners:
            builder.open(tag) if token.kind == "open" else builder.close(tag)
        elif token.kind in ("text", "entity"):
            builder.text(tag, token.kind == "entity")
        else:
            builder.empty(tag, token)
    builder.separate("")
    codes = [token.name.partition(" ")[0] in ("bpt", "ept", "sc", "ec") for token in tokens]
    unmatched = [
        token.raw
        for place, token in enumerate(tokens)
        if token.kind in ("open", "close") and place not in partners and not codes[place]
    ]
    return Marked(builder.parts, unmatched)


def html_tokens(page: str) -> tuple[list[Token], dict[int, int]]:
    """The tags of a page and the text between them, and the index of the partner of each inline tag that has one.

    Elements whose content is not translated are single tokens. All tokens together are the page.
    """
    tokens = list(_tokens(page, "html"))
    return _joined(tokens, _partners(tokens), "html")


def is_untranslated(tag: str) -> bool:
    """Whether a start tag says that its element is not to be translated."""
    return bool(re.search(_NO_TRANSLATION, tag))


def _tokens(line: str, kind: str) -> Iterator[Token]:
    """The tags, the entities and the text between them; together they are the whole line."""
    position = start = 0
    absent: set[str] = set()  # text that is absent is not searched for again

    def find(pattern: str, place: int) -> int:
        found = None if pattern in absent else re.compile(pattern, re.IGNORECASE).search(line, place)
        if found is None:
            absent.add(pattern)
            return -1
        return found.end()

    pattern = re.compile(_TOKEN)
    while match := pattern.search(line, position):
        position, token = match.end(), match[0]
        if token[0] == "&":
            made = Token(token, "entity")
        elif match[1]:
            made = _tag(token, match[1], kind)
            name = made.name.partition(" ")[0]
            inside = name in _RAW if kind == "html" else name in _CODES
            end = (
                find(rf"</{re.escape(match[1])}\s*>", position)
                if inside and token[1] != "/" and token[-2] != "/"
                else -1
            )
            if end > 0:
                position = end
                code = made.kind if name in ("bpt", "ept") else "empty"
                made = Token(line[match.start() : end], "block" if kind == "html" else code, made.name)
        else:
            end = find(re.escape(_ENDS.get(token, ">")), position)
            if end < 0:
                continue
            position = end
            made = Token(line[match.start() : end], "kept" if token == "<![CDATA[" else "empty")
        if match.start() > start:
            yield Token(line[start : match.start()], "text")
        yield made
        start = position
    if start < len(line):
        yield Token(line[start:], "text")


def _inline_tokens(line: str) -> Iterator[Token]:
    """The tags that may enclose words, and the text between them."""
    start = 0
    for match in re.finditer(_INLINE_TAG, line):
        if match.start() > start:
            yield Token(line[start : match.start()], "text")
        start = match.end()
        kind = "text" if match[0].endswith("/>") else "close" if match[0][1] == "/" else "open"
        yield Token(match[0], kind, match[1])
    if start < len(line):
        yield Token(line[start:], "text")


def has_elements(line: str) -> bool:
    """Whether a plain line has tags around words, which move with them; not if it has code in backquotes."""
    if "</" not in line or "`" in line:
        return False
    return bool(_partners(list(_inline_tokens(line))))


def _tag(raw: str, name: str, kind: str) -> Token:
    is_html = kind == "html"
    name = name.lower() if is_html else name.rpartition(":")[2]
    if not is_html and name in ("bpt", "ept", "sc", "ec") and raw[1] != "/":
        pair = re.search(_PAIR, raw)
        return Token(raw, "open" if name in ("bpt", "sc") else "close", f"{name} {pair[1] if pair else ''}")
    if name in (_HTML_BLOCKS if is_html else _XML_BLOCKS):
        return Token(raw, "block", name)
    if raw[1] == "/":
        return Token(raw, "close", name)
    return Token(raw, "empty" if raw.endswith("/>") or (is_html and name in _EMPTY) else "open", name)


def _partners(tokens: Sequence[Token]) -> dict[int, int]:
    """The index of the partner of each tag that has one; elements are nested."""
    partners: dict[int, int] = {}
    stack: list[tuple[str, int]] = []
    opened: Counter[str] = Counter()
    for place, token in enumerate(tokens):
        keeps = token.kind == "block" and token.name in _KEPT and not token.raw.endswith("/>")
        if token.kind == "open" or (keeps and token.raw[1] != "/"):
            stack.append((token.name, place))
            opened[token.name] += 1
        elif token.kind == "close" or keeps:
            code, _, number = token.name.partition(" ")
            name = {"ept": f"bpt {number}", "ec": f"sc {number}"}.get(code, token.name)
            # Codes may overlap elements; elements may not overlap each other.
            if not opened[name] or (name != token.name and stack[-1][0] != name):
                continue
            while stack:
                other, start = stack.pop()
                opened[other] -= 1
                if other == name:
                    partners[start], partners[place] = place, start
                    break
    return partners


def is_note_mark(before: str, text: str, after: str) -> bool:
    """Whether the text of an element is the mark of a note or an exponent (`Stadt<sup>1</sup>`, `m<sup>2</sup>`).

    It would be read as part of the word before it. `before` and `after` are the text around the element.
    """
    marked = re.search(r"""[\w.,;:!?…)\]"'”“»«’‘]$""", before)
    return bool(marked and re.fullmatch(_NOTE_MARK, text)) and (
        not after[:1].isalnum() or bool(re.fullmatch(_NOTE_MARK, after))
    )


def _joined(
    tokens: list[Token], partners: dict[int, int], kind: str, marks: bool = False
) -> tuple[list[Token], dict[int, int]]:
    """The tokens, each element that is not translated joined to one token; with `marks`, marks of notes as well."""
    joined: list[Token] = []
    moved: dict[int, int] = {}
    place = 0
    while place < len(tokens):
        token, end = tokens[place], partners.get(place, -1)
        is_kept = token.name in _KEPT and kind != "xml"
        if end > place and (is_kept or is_untranslated(token.raw)):
            raw = "".join(one.raw for one in tokens[place : end + 1])
            joined.append(Token(raw, "block" if token.kind == "block" else "kept", token.name))
            place = end
        elif marks and end > place and token.kind == "open" and _is_mark(joined, tokens[place + 1 :], end - place - 1):
            joined.append(Token("".join(one.raw for one in tokens[place : end + 1]), "empty", token.name))
            place = end
        else:
            moved[place] = len(joined)
            joined.append(token)
        place += 1
    pairs = {moved[one]: moved[other] for one, other in partners.items() if one in moved and other in moved}
    return joined, {one: other for one, other in pairs.items() if joined[one].kind in ("open", "close")}


def _is_mark(before: Sequence[Token], tokens: Sequence[Token], size: int) -> bool:
    """Whether the first `size` of the tokens are the content of an element that is the mark of a note."""
    last = next((one for one in reversed(before) if one.kind in ("text", "entity", "block")), Token("", "block"))
    text = "".join(one.raw for one in tokens[:size] if one.kind in ("text", "entity"))
    after = next((one.raw for one in tokens[size + 1 : size + 2] if one.kind == "text"), "")
    return last.kind == "text" and is_note_mark(last.raw, text, after)


class _Builder:
    """The segments of a line while they are read."""

    def __init__(self, line: str, copied: bool, escaped: bool) -> None:
        self.escaped = escaped  # whether `&`, `<` and `>` are written as entities
        self.parts: list[str | Segment] = []
        self._free = (code for code in PLACEHOLDERS if chr(code) not in line) if copied else None
        self._begin()

    def _begin(self) -> None:
        self._segment = Segment()
        self._stack = [self._segment.root]
        self._text: list[str] = []
        self._plain: set[str] = set()  # characters of the text that are no entities
        self._entities: dict[str, str] = {}
        self._empty_before = ""  # the name of the empty element that was read last, `` if text followed it

    def separate(self, raw: str) -> None:
        segment = self._segment
        segment.text = "".join(self._text)
        for node in self._stack:
            node.end = segment.letters
        if self.escaped:
            entities = {sign: raw for sign, raw in self._entities.items() if sign not in self._plain}
            entities = {"&": "&amp;", "<": "&lt;", **({} if ">" in self._plain else {">": "&gt;"}), **entities}
            if '"' in entities:  # the target language may have other quotation marks
                entities |= {sign: entities['"'] for sign in "„“”«»" if sign not in self._plain}
            segment.written.update({ord(sign): text for sign, text in entities.items()})
        if segment.text or segment.root.children:
            self.parts.append(segment if segment.root.children or segment.text.strip() else segment.text)
        if raw:
            self.parts.append(raw)
        self._begin()

    def open(self, tag: Tag) -> None:
        node = Element(self._segment.letters, 0, opening=tag)
        self._stack[-1].children.append(node)
        self._stack.append(node)

    def close(self, tag: Tag) -> None:
        """The innermost element ends; it may have begun in an earlier segment."""
        if len(self._stack) > 1:
            node = self._stack.pop()
        else:
            root = self._segment.root
            node = Element(0, 0, children=root.children)
            root.children = [node]
        node.end, node.closing = self._segment.letters, tag

    def text(self, tag: Tag, is_entity: bool) -> None:
        text = html.unescape(tag.raw) if is_entity else tag.raw
        if is_entity:
            if text.isspace():
                self._add_empty(tag, is_space=True)
                text = " "
            elif text == tag.raw or not text.isprintable() or text in map(chr, range(0x80, 0xA0)):
                self.empty(tag, Token(tag.raw, "kept"))  # unknown
                return
            elif len(text) == 1:
                self._entities.setdefault(text, tag.raw)
        else:
            self._plain.update(text)
        self._write(text)

    def empty(self, tag: Tag, token: Token) -> None:
        if token.kind == "kept" and self._free is not None and (code := next(self._free, None)):
            self._segment.written[code] = tag.raw
            self._write(chr(code))
            return
        self._add_empty(tag, is_break=token.name in _BREAKS)
        self._empty_before = token.name or token.kind

    def _add_empty(self, tag: Tag, *, is_space: bool = False, is_break: bool = False) -> None:
        place = self._segment.letters
        element = Element(place, place, opening=tag, is_space=is_space, is_break=is_break)
        self._stack[-1].children.append(element)

    def _write(self, text: str) -> None:
        before = self._text[-1][-1:] if self._text else ""
        if before.isspace():
            text = text.lstrip()
            if self._empty_before and _MARK.match(text):
                self._text[-1] = self._text[-1].rstrip()
        elif self._empty_before in _BREAKS and before and not text[:1].isspace():
            text = f" {text}"
        if text:
            self._text.append(text)
            self._segment.letters += len(letters(text))
            self._empty_before = ""


def letters(text: str) -> str:
    """A text as the model reads it without its white space."""
    return "".join(clean_line(f"x{text}x").split())[1:-1]


# Words as far as tags are concerned: without the marks around them; a mark is a unit of its own, and so is each
# character of a script without spaces.
_EAST_ASIAN = r"\u3000-\u30ff\u3400-\u9fff\uac00-\ud7af\uff00-\uffef\U00020000-\U0003ffff"
_IN_WORD = rf"[^\s!-/:-@\[-`{{-~¡¿«»„“”‘’‚‹›–—…·{_EAST_ASIAN}]"
_UNIT = rf"(?P<word>{_IN_WORD}++(?:(?:['’&@/_-]|[.,:](?=\d)){_IN_WORD}++)*+)|(?P<sign>\S)"


class Units(NamedTuple):
    """The words, marks and copied spans of a text."""

    starts: list[int]
    ends: list[int]
    are_words: list[bool]

    @classmethod
    def of(cls, text: str) -> Units:
        """The units of a text; a span is one unit, which counts as a word."""
        units, place = cls([], [], []), 0
        for start, end in [*find_spans(text), (len(text), len(text))]:
            for found in re.compile(_UNIT).finditer(text, place, start):
                units._add(*found.span(), bool(found["word"]) or found[0].isalnum())
            if end > start:
                units._add(start, end, True)
            place = end
        return units

    def _add(self, start: int, end: int, is_word: bool) -> None:
        self.starts.append(start)
        self.ends.append(end)
        self.are_words.append(is_word)
