"""Spans of a text that a translation copies unchanged: addresses, placeholders, tags, code, numbers, emoji.

A model reads each span of a sentence as one character, U+E000 for number 0, U+E001 for number 1 and so on, which is a
piece of its vocabulary (`Vocabulary.span_ids`), and writes the same character; `restore_spans` restores the text.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TypeVar

from nmt.sizing import MOST_SPANS
from nmt.text.names import find_names
from nmt.text.sentences import MONTHS, ORDINALS_FOLLOW

SPAN_CHARACTERS = "".join(chr(0xE000 + number) for number in range(MOST_SPANS))
"""The characters that a model reads instead of spans: private-use characters, which no text uses otherwise."""

Span = tuple[int, int]  # start and end of a span in its text
Part = TypeVar("Part")


# The patterns of the kinds of spans. Each repetition is possessive or cannot match what follows it, and it only begins
# after a character that it does not match itself, so the time is linear in the length of the text.

_EAST_ASIAN = r"\u3000-\u30ff\u3400-\u9fff\uac00-\ud7af\uff00-\uffef"
_LABEL = "[A-Za-z0-9][A-Za-z0-9-]*+"
_TOP_LEVEL = "(?:com|org|net|edu|gov|mil|info|biz|dev|app|io|ai|eu|de|ch|fr|uk|nl|pl|cz|jp|cn|ru|ua|br|ca|tv)"
_NUMBERED = r"(?:localhost|[0-9]{1,3}(?:\.[0-9]{1,3}){3})"
# All alternatives with the part after the host come first and share it: its set takes a millisecond to compile.
_ADDRESS = rf"""
    (?: (?<![A-Za-z0-9+.-]) [A-Za-z][A-Za-z0-9+.-]{{1,15}}+ ://
      | (?<![\w+.-]) (?:mailto|tel|sms|geo|urn|doi|magnet): \w
      | (?<![A-Za-z0-9@.-]) www\.[^\W_]
      | (?<![\w@.-]) (?:[a-z0-9][a-z0-9-]*+\.)+ [a-z]{{2,6}} (?::[0-9]+)? (?=/)
      | (?<![\w@.-]) (?:{_LABEL}\.)+ {_TOP_LEVEL} (?=[:?\#]\w)
      | (?<![\w@.-]) {_NUMBERED} (?::[0-9]++)? (?=/)
    ) [^\s<>\"“”„«»`{{}}{_EAST_ASIAN}]++
  | (?<![\w.+%-]) [\w.+%-]++ @ [\w-]++ (?:\.[\w-]++)++
  | (?<![\w@.-]) (?: (?:{_LABEL}\.)+ {_TOP_LEVEL} (?![\w-]|\.\w) | {_NUMBERED} :[0-9]++ )
"""

_ENDINGS = (
    "aac|apk|app|avi|bak|bat|bin|bmp|bz2|cfg|conf|cpp|css|csv|dat|db|deb|dll|dmg|docx?|epub|exe|flac|gif|gz|hpp|html?|"
    "ico|ini|ipynb|iso|jar|java|jpe?g|js|json|jsonl|jsx|kt|lock|log|md|mkv|mov|mp[34]|msi|odt|ogg|onnx|pdf|php|png|"
    "pptx?|ps1|py|rar|rb|rst|rtf|sh|sql|sqlite|svg|tar|tex|tgz|tiff?|toml|ts|tsv|tsx|ttf|txt|wav|webm|webp|woff2?|"
    "xlsx?|xml|xz|ya?ml|zip"
)
_ROOTS = "bin|boot|dev|etc|home|lib|mnt|opt|proc|root|run|srv|sys|tmp|usr|var"
_EDGE = r"""(?<![^\s("'„“‚‘«»\[=:,;>|])"""
_FILE = rf"{_EDGE} /? (?: [\w@%+~-]++ [./\\] (?=[\w@%+~-]) )++ (?<=\.) (?:{_ENDINGS}) (?![\w-])"
_FOLDER = "assets|bin|cmd|configs?|dist|docs|etc|lib|node_modules|packages|scripts|src|static|templates|tests|usr|var"
_NAMED = "|".join(f"(?<={word}[ ])" for word in ("[Oo]rdner", "erzeichnis", "Pfad", "folder", "directory", "path"))
_RELATIVE = rf"{_EDGE} (?: (?:{_FOLDER}) | (?:{_NAMED}) [\w.@+~-]++ ) (?:/[\w.@%+~-]++)++ /?"
_IN_WINDOWS = r"[\w.@%+~\\/$(){}-]*+"
_PATH = rf"""
    {_EDGE} (?: ~ | \.{{1,2}} )? (?:/[\w.@%+~-]++){{2,}}+ /?
  | {_EDGE} (?: ~ | \.{{1,2}} ) / [\w.@%+~/-]*+
  | {_EDGE} / (?:{_ROOTS}) (?![\w-]) /?
  | (?<![\w\\]) (?: \\\\[\w-]+\\ | %[A-Z_]+%\\ ) {_IN_WINDOWS}
"""

_MESSAGE = r"\{[^{}]*+\}"
for _ in range(5):  # the choices of an ICU argument are messages, which may have arguments again
    _MESSAGE = rf"\{{(?:[^{{}}]++|{_MESSAGE})*+\}}"
_ICU_KINDS = "plural|selectordinal|select|number|date|time|duration|ordinal|spellout"
_FLAGS = r"[-+0\#']*+ (?:[0-9]++|\*)? (?:\.(?:[0-9]++|\*))? (?:hh?|ll?|[qLjzt])?"
_NO_LETTER = r"(?![^\W\d_])"
_PLACEHOLDER = rf"""
    \{{\{{[^{{}}]*+\}}\}}\}}? | \{{%[^{{}}%]*+%\}}
  | [$\#%@]?\{{\s*+[^\s{{}}]*+\s*+\}}
  | (?=\{{\s*+[\w.]++\s*+,\s*+(?:{_ICU_KINDS})\b) {_MESSAGE}
  | (?<![\w$]) \$[A-Za-z_]\w*+
  | (?<![\w%]) %[A-Z_][A-Z0-9_]*+%
  | (?<![\d%]) %[A-Za-z] (?:[-:/.]%[A-Za-z])++ {_NO_LETTER}
  | (?<![\d%]) %(?:[0-9]+\$)? {_FLAGS} (?: [dsf@] | [iouxXeEgGaAcpn]{_NO_LETTER} ) (?:%%)?
  | (?<![\d%]) %\(\w++\) {_FLAGS} [A-Za-z]
  | (?<![\d%]) %[YmHMSyBbjp]{_NO_LETTER} | (?<!\d) %% | (?<![\w%]) %[0-9](?![0-9%])
  | (?<![\w:]) :[a-z+-][a-z0-9_+-]*+: (?![\w:]) | (?<![^\s(]) :[a-z_]\w++ (?![\w:])
  | (?<!\\) \\[nrt](?![a-z])
"""

_ALONE = "async|autofocus|checked|controls|defer|disabled|hidden|loop|multiple|muted|open|readonly|required|selected"
_VALUE = r"""(?:"[^"<>]*+"|'[^'<>]*+'|[^\s"'<>=]++)"""
_MARKUP = rf"""
    </?[A-Za-z][\w:.-]*+ (?: \s++ (?: [\w:.@-]++ \s*+=\s*+ {_VALUE} | (?:{_ALONE})(?![\w=]) ) )*+ \s*+/?>
  | <!--[^<>]*+(?<=--)> | <!(?i:doctype)[^<>]*+> | <\?xml[^<>]*+\?>
  | &(?:[A-Za-z][A-Za-z0-9]{{1,31}}|\#[0-9]{{1,7}}|\#[xX][0-9A-Fa-f]{{1,6}});
  | (?<![`\w]) (?P<ticks>`{{1,3}}) (?![`\s]) [^`]++ (?<!\s) (?P=ticks) (?![`\w'’])
"""

_HANDLE = r"(?<![\w@./]) @[^\W\d][\w-]*+ (?:[./@][^\W\d][\w-]*+)*+ | (?<![\w\#&/]) \#\w[\w-]*+"

_PICTURES = (
    r"\u203c\u2049\u2139\u2190-\u21ff\u2300-\u23ff\u25a0-\u27bf\u2900-\u297f\u2b00-\u2bff\u3030\u303d\u3297\u3299"
)
_EMOJI = rf"""
    (?: (?: [\U0001f000-\U0001faff{_PICTURES}] | [\u00a9\u00ae\u2122]\ufe0f | [0-9\#*]\ufe0f?\u20e3 )
        [\u200d\u20e3\ufe0e\ufe0f\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]*+ )++
"""
_SMILEY = r"""
    (?<![^\s.!?…]) (?: [:;=]['’]?-?[)(\]\[DPpOo3/\\|*]++ | [xX]D++ | <3++ | \^_?\^ | -[._]- | o_O | O_o ) (?![\w/])
"""

_MIXED = rf"(?: [A-Za-z]++[0-9][A-Za-z0-9]*+ | [0-9]++(?:[A-Za-z]++[0-9][A-Za-z0-9]*+|[A-Z]++) ) {_NO_LETTER}"
_PART = rf"(?: [A-Za-z]*+[0-9][A-Za-z0-9]*+ | [A-Z]{{2,}}+ ) {_NO_LETTER}"
_KEYS = r"(?:Ctrl|Strg|Alt|Shift|Umschalt|Cmd|Command|Option|Win|Windows|Esc) (?:\+[A-Za-z0-9]\w*+)++"
_OPTION = r"(?<![^\s(\[„“\"'=]) --[A-Za-z][\w-]++ (?:=[\w./:-]*\w)? | (?<=\w[ ]) -[A-Za-z]{1,2} (?![\w'’-])"
_TERM = r"(?: [A-Za-z]{1,2} [²³]? | [0-9]++ (?:[.,][0-9]++)*+ [A-Za-z]? [²³]? ) (?!\w)"
_FORMULA = rf"""
    (?=[^=]{{0,40}}=) {_TERM} (?: [ ] [-+*/=×÷·<>≤≥≈−] [ ] {_TERM} )++
  | [A-Za-z] [ ] [<>≤≥] [ ] [0-9]++ (?!\w)
"""
_LETTER = r"(?<=[^\W\d_][ ]) (?: [B-HJ-NP-Z] (?= [ ,;:!?)] | \.?$ ) | A (?= [,;:!?)] | \.?$ ) )"
_CODE = rf"""
    0x[0-9A-Fa-f]++ (?!\w)
  | [A-Z]{{2}}[0-9]{{2}}(?:\ ?[A-Z0-9]{{4}}){{2,7}}(?:\ ?[A-Z0-9]{{1,4}})? (?!\w)
  | 0[1-9] (?:[ \u00a0\u202f][0-9]{{2}}){{4}} (?![\w.,]*[0-9])
  | [0-9]{{1,2}} [ \u00a0\u202f]h[ \u00a0\u202f] [0-9]{{2}} (?!\w)
  | [0-9A-Fa-f]{{8}}(?:-[0-9A-Fa-f]{{4}}){{3}}-[0-9A-Fa-f]{{12}} (?!\w)
  | [0-9A-Fa-f]{{2,4}} (?:::?[0-9A-Fa-f]{{2,4}}){{3,7}}+ (?!\w)
  | [A-ZÄÖÜ]{{1,3}}+-[A-Z]{{1,2}}\ [0-9]{{1,4}}[EH]? (?!\w)
  | (?<!\.) v?[0-9]++(?:\.[0-9]++)++ -?(?:alpha|beta|rc|dev|post|a|b)\.?[0-9]*+ (?!\w)
  | (?: [^\W_]++(?:_++[^\W_]++)++ | __\w++ ) (?:\.\w++)*+ (?:\(\))? (?!\w)
  | (?: {_MIXED} | [A-Z]++(?:[-/.][A-Z]++)*+[-/][0-9][A-Z0-9]*+{_NO_LETTER} ) (?:[-_./:]{_PART})*+ (?!_)
  | (?<!['’]) [a-z]++(?:[A-Z][a-z0-9]*+)++ (?<=\w{{4}}) (?:\(\))? (?!\w)
  | (?:[A-Z][a-z0-9]++){{3,}}+ (?:\(\))? (?!\w)
  | (?<!\.) [A-Za-z]\w*+(?:\.[A-Za-z]\w*+)*+\(\)
  | {_KEYS} | {_FORMULA} | (?:[Nn][ro]|Abb|Fig)\.[ ]?[0-9]++(?:[.-][0-9]++)*+ (?!\w) | [0-9]{{1,3}}[a-f] (?![\w'’-])
"""

_UNITS = (
    "°[CF]?|%|‰|US\\$|EUR|USD|CHF|GBP|km/h|m/s|mph|(?:k|c|d|m|µ)?m[²³]?|(?:k|m|µ)?g|(?:m|c|d)?l|(?:k|M|G)?Wh?|"
    "(?:k|M|G)?Hz|(?:k|K|M|G|T)i?B|px|dpi|min|h|ms|lbs?|oz|ft|hp|PS|kcal|kJ|dB|mAh|rpm"
)
_UNIT = rf"(?:[ \u00a0\u202f]?+(?:(?:{_UNITS})(?![\w/²³-])|[€$£¥](?![\w²³-])))"
# The model translates a single 1, because nouns agree with it, and numbers with an ending: 3rd, 2x, 90er, 3-mal.
_DIGITS = rf"""
    (?: [0-9]{{1,3}}+ (?:[ \u00a0\u202f][0-9]{{3}}(?![0-9]))++ (?:[.,][0-9]++)? {_UNIT}?
      | [0-9]++ (?:[.,:/'’×-][0-9]++)++ {_UNIT}?
      | [0-9]{{3,}}+ {_UNIT}?
      | [0-9]{{1,2}}+ {_UNIT}
      | (?!1(?![0-9])) [0-9]{{1,2}}+ (?! [\w’'] | -[^\W\d_] | %\w) )
"""
_SIGN = r"""
    (?<!\w) | (?<![^\s(\[„“"'=:]) (?: [-+−±] [€$£¥]? | [€$£¥][ ]? )
"""
_TELEPHONE = r"(?<![\w.]) \+[0-9]{1,3} (?:[ /()-]{1,2}[0-9]{2,}+){2,}+ (?!\w)"

# No span begins inside a word of English letters and digits.
_SPAN = rf"""
    (?<![A-Za-z0-9])(?=\w) (?:
        (?P<trimmed> {_ADDRESS} | {_FILE} | {_RELATIVE} | (?<!\w) [A-Za-z]:[\\/](?!/) {_IN_WINDOWS} )
      | (?P<designation> [A-Z]{{2,5}}+ [ ] (?=[0-9]{{1,6}}[a-z]?(?!\w|[.,:/-]\w)) ) [0-9]++[a-z]?
      | (?<!\w) (?: {_CODE} | (?P<letter> {_LETTER} ) )
    )
  | (?=[^\w\s]) (?:
        (?P<trimmed_too> (?=[/~.\\%]) (?: {_PATH} | {_FILE} ) ) | (?=[{{$\#%@:\\]) (?: {_PLACEHOLDER} )
      | (?=[<&`]) (?: {_MARKUP} ) | (?=[@\#]) (?: {_HANDLE} )
      | [\ue000-\uf8ff\U000f0000-\U0010fffd]++ | (?=-) (?: {_OPTION} ) | {_TELEPHONE}
    )
  | {_EMOJI} | {_SMILEY} | (?: {_SIGN} ) {_DIGITS}"""

# A text without any of these has no span. Most texts have none, and these tests take two microseconds: patterns that
# begin with a set of characters are searched several times as fast as one pattern with all of them.
_OTHER_SIGNS = rf"[≤≥\u00a9\u00ae\u2122{_PICTURES}\ue000-\uf8ff\U0001f000-\U0010ffff]"
_ASCII_SIGNS = (
    re.compile(r"[0-9@#&<>{%$`\\/_^~=]"),
    re.compile(r"[.(xX:;+-](?:(?<=\.)\w|(?<=\()\)|(?<=[xX])D|(?<=[:;])\S|(?<=-)[._]-|(?<=\+)\w)"),
    re.compile(r"[ ](?:-[A-Za-z-]|[A-HJ-NP-Z](?:[ ,;:!?)]|\.?$))"),
    re.compile(r"[a-z][A-Z]"),
)

_FINAL_MARKS = frozenset(".,;:!?…'\"’”“»«)]}>*_")
_OPENING = {")": "(", "]": "[", "}": "{", ">": "<"}

_MARKS = r"\s!-&(-,./:-@\[-`{-~…“”„«»–—¿¡"
_WORD = rf"[^{_MARKS}{_EAST_ASIAN}]"
_IN_WORD = rf"[^\W{_EAST_ASIAN}]"
_TOKEN = rf"{_IN_WORD}+|\S"
_NEEDS_SPACE_BEHIND = rf"{_IN_WORD}|[.,;:!?…)\]”{SPAN_CHARACTERS}]"


class Named:
    """Phrases of a user; each is a span wherever it occurs as whole words with the same capitals.

    In scripts without spaces (Chinese, Japanese) it is a span anywhere.
    """

    def __init__(self, phrases: Iterable[str]) -> None:
        self._by_first: dict[str, list[str]] = {}
        for phrase in sorted({phrase.strip() for phrase in phrases} - {""}, key=len, reverse=True):
            first = re.match(_TOKEN, phrase)
            assert first is not None
            self._by_first.setdefault(first[0], []).append(phrase)

    def find(self, text: str) -> Iterator[Span]:
        """The places of the phrases; if two begin at the same place, the longer one."""
        end = 0
        for token in re.finditer(_TOKEN, text):
            start = token.start()
            for phrase in self._by_first.get(token[0], ()) if start >= end else ():
                behind = start + len(phrase)
                if text.startswith(phrase, start) and not (
                    re.match(_IN_WORD, phrase[-1]) and re.match(_IN_WORD, text[behind : behind + 1])
                ):
                    yield start, behind
                    end = behind
                    break


def find_spans(text: str, named: Named | None = None, unreadable: str = "", words: Collection[str] = ()) -> list[Span]:
    """Start and end of the spans of a text, in order and without overlap.

    named: phrases that are spans as well
    unreadable: characters that the model cannot read; a word with one of them is a span
    words: words that are spans as well
    """
    spans = list(_recognised(text)) if _has_signs(text) else []
    more = [*find_names(text), *(named.find(text) if named is not None else ())]
    if unreadable:
        more += _words_with(text, unreadable)
    if words:
        more += _without_gaps(text, _listed(text, frozenset(words)))
    return united([*spans, *more]) if more else spans


def _has_signs(text: str) -> bool:
    for sign in _ASCII_SIGNS:
        if sign.search(text):
            return True
    return not text.isascii() and re.search(_OTHER_SIGNS, text) is not None


def _recognised(text: str) -> Iterator[Span]:
    """The spans that match the patterns."""
    position, in_capitals = 0, text.isupper()
    pattern = re.compile(_SPAN, re.VERBOSE)  # compiled for the first text; `re` caches it
    while match := pattern.search(text, position):
        start, position = match.span()
        if (match["letter"] and in_capitals) or _is_ordinal(text, start, position):
            continue
        if match["trimmed"] or match["trimmed_too"]:
            position = max(start + 1, _without_final_marks(text, start, position))
        if match["designation"] and in_capitals:  # in a line in capitals it may be any word
            start = match.end("designation")
        yield start, position


def _is_ordinal(text: str, start: int, end: int) -> bool:
    """Whether a number is a German ordinal number (`im 19. Jahrhundert`) and not a day (`am 3. Mai`).

    It has another form in most languages, and so the model translates it, as it does `19th`.
    """
    if text[end : end + 2] != ". " or end - start > 2 or not text[start:end].isdecimal():
        return False
    before, after = text[max(0, start - 20) : start].split(), text[end + 2 : end + 20].split()
    return bool(before and after) and before[-1].lower() in ORDINALS_FOLLOW and after[0].strip(".,;:!?") not in MONTHS


def _without_final_marks(text: str, start: int, end: int) -> int:
    """The end of an address without final marks and without closing brackets that were opened before it."""
    unopened = {
        close: text.count(close, start, end) - text.count(opening, start, end) for close, opening in _OPENING.items()
    }
    while end > start and text[end - 1] in _FINAL_MARKS:
        last = text[end - 1]
        if last in unopened:
            if unopened[last] <= 0:
                break
            unopened[last] -= 1
        end -= 1
    return end


def _listed(text: str, words: frozenset[str]) -> Iterator[Span]:
    """The places of some words; of a word with hyphens as a whole, or of its parts."""
    for match in re.finditer(r"[^\W\d_]+(?:-[^\W\d_]+)*", text):
        if match[0] in words:
            yield match.span()
        else:
            parts = re.finditer(r"[^\W\d_]+", match[0])
            yield from ((match.start() + one.start(), match.start() + one.end()) for one in parts if one[0] in words)


def _without_gaps(text: str, spans: Iterable[Span]) -> list[Span]:
    """The spans of words; those with only white space between them are one: first and last name, `Werder Bremen`."""
    joined: list[Span] = []
    for start, end in spans:
        if joined and text[joined[-1][1] : start].isspace():
            joined[-1] = joined[-1][0], end
        else:
            joined.append((start, end))
    return joined


def _words_with(text: str, characters: str) -> list[Span]:
    """The words and signs that contain any of these characters; adjacent ones are one span."""
    letters, marks = re.sub(f"[{_MARKS}]", "", characters), re.sub(f"[^{_MARKS}]", "", characters)
    letter, mark = (f"[{re.escape(some)}]" if some else "(?!)" for some in (letters, marks))
    pattern = rf"(?<!{_WORD}){_WORD}*{letter}(?:{_WORD}|{letter})*|{letter}+|{mark}+"
    return _without_gaps(text, (match.span() for match in re.finditer(pattern, text)))


def united(spans: Iterable[Span]) -> list[Span]:
    """The spans in order; those that overlap are merged."""
    united: list[Span] = []
    for start, end in sorted(spans):
        if united and start < united[-1][1]:
            united[-1] = united[-1][0], max(end, united[-1][1])
        else:
            united.append((start, end))
    return united


def replace_spans(text: str, spans: Sequence[Span], numbers: Iterable[int]) -> str:
    """The text with each span replaced by the character of its number."""
    found = [(start, end, SPAN_CHARACTERS[number]) for (start, end), number in zip(spans, numbers, strict=True)]
    return "".join(spliced(text, found))


def spliced(text: str, found: Iterable[tuple[int, int, Part]]) -> list[str | Part]:
    """A text with parts in the place of stretches of it, which do not overlap."""
    parts: list[str | Part] = []
    place = 0
    for start, end, part in sorted(found, key=lambda one: one[0]):
        parts += [text[place:start], part]
        place = end
    return [*parts, text[place:]]


def equal_spans(
    source: str, target: str, named: Named | None = None, unreadable: str = "", words: Collection[str] = ()
) -> Iterator[tuple[Span, Span]]:
    """Pairs of equal spans of two texts, each span in one pair, in the order of the first text."""
    spans = find_spans(source, named, unreadable, words)
    if not spans:
        return
    there: dict[str, list[Span]] = {}
    for start, end in reversed(find_spans(target, named, unreadable, words)):
        there.setdefault(target[start:end], []).append((start, end))
    for start, end in spans:
        if there.get(source[start:end]):
            yield (start, end), there[source[start:end]].pop()


def restore_spans(text: str, copies: Sequence[str], source: str | None = None) -> str:
    """The text with each character of a span replaced by its copy; one without a copy is removed.

    source: text with the same characters; if a space is next to a span there, one is put between it and a word here
    """
    return "".join(restore_pieces(text, copies, source, " "))


def restore_pieces(pieces: Sequence[str], copies: Sequence[str], source: str | None, space: str) -> list[str]:
    """As `restore_spans`, for the pieces of a text; `space` represents a space and is put before a piece."""
    restored: list[str] = []
    needed = ""
    for place, piece in enumerate(pieces):
        number = SPAN_CHARACTERS.find(piece) if piece else -1
        if number < 0:
            restored.append(needed + piece)
            needed = ""
        elif number >= len(copies):
            restored.append("")
        else:
            before, after = _is_apart(source, piece) if source is not None else (False, False)
            previous, following = pieces[place - 1][-1:] if place else "", "".join(pieces[place + 1 : place + 2])[:1]
            needed = space if before and re.match(_NEEDS_SPACE_BEHIND, previous) else needed
            restored.append(needed + copies[number])
            needed = space if after and re.match(_IN_WORD, following) else ""
    return restored


def _is_apart(source: str, character: str) -> tuple[bool, bool]:
    """Whether a span has nothing or white space before it, and after it."""
    place = source.index(character)
    return not source[:place][-1:].strip(), not source[place + 1 : place + 2].strip()
