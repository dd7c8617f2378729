"""Training noise: pairs written as people write, and pairs with other names, other numbers, or single words.

A model learns from clean sentences and is then asked to translate what people type. Each noise below changes a share of
an epoch's pairs (settings `training.noise_*`), like the modifiers of OpusTrainer (Bogoychev et al. 2023,
https://arxiv.org/abs/2311.14838). The random generator determines what a noise writes. Private-use characters, which
represent copied spans, do not change.
"""

from __future__ import annotations

import itertools
import math
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from nmt.config import Config
from nmt.data.corpus import Corpus
from nmt.data.dictionary import Dictionary, Entry
from nmt.text.capitals import lower
from nmt.text.sentences import join_sentences
from nmt.text.spelling import expanded, without_accents

MOST_PAIRS = 200_000  # training pairs, evenly spaced, from which names, marks and single words are learned

MOST_COPIES = 4  # times that a pair with a number is added to an epoch with other numbers, on average

PHRASES = 0.6  # share of phrases among the words and phrases that are added, if there are any

LETTERS = re.compile(r"[^\W\d_]+")
NUMBER = re.compile(r"[0-9]+")
ORDINAL = re.compile(r"(?:st|nd|rd|th)\b")
QUOTED = re.compile(r"(?<!\w)([\"„“«»])[^\"„“”«»]+([\"“”«»])(?!\w)")
BULLETS = ("- ", "- ", "– ", "* ", "1. ", "2. ", "3. ", "a) ", "b) ")
PRIVATE = re.compile(r"[\ue000-\uf8ff]")
NUMBER_FORMS = (
    *("##", "###", "###", "####", "#####", "#.##", "#,##", "#.###", "#,###", "#.###,##"),
    *("##:##", "##.##.", "##.##.####", "A##", "AA###", "#-#", "##/##"),
)
UNITS = ("%", " %", " km", " km/h", " kg", " g", " cm", " m", " ml", " °C", " €", " €", "€", " $")
BRACKETS = ("()", "()", "[]")
CODE_LETTERS = "ABCDEFGHKLMNPRSTUVWXZ"
KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")

Pair = tuple[str, str]


@dataclass
class Knowledge:
    """Facts about the languages that are learned from the training text."""

    # Capitalised words that are the same on both sides and rarely occur in lower case.
    names: list[str] = field(default_factory=list)
    # Capitalised words of either side; new names are made from their halves.
    capitalised: list[str] = field(default_factory=list)
    # How each side writes a final mark: `!` is ` !` in French, and `.` is `。` in Japanese.
    marks: dict[str, Pair] = field(default_factory=dict)
    quotes: Pair = ('""', '""')  # how each side writes quotation marks: the opening and the closing one
    words: list[Entry] = field(default_factory=list)  # single words that translate each other
    phrases: list[Entry] = field(default_factory=list)  # short phrases that translate each other
    source_language: str = ""
    # The characters of the text: noise writes no others, because the vocabulary may have no pieces for them.
    characters: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.number_forms, self.units, self.bullets, self.brackets = (
            [sign for sign in signs if self.characters.issuperset(sign.strip("A# "))]
            for signs in (NUMBER_FORMS, UNITS, BULLETS, BRACKETS)
        )
        self.is_name = frozenset(self.names)
        self.word_weights, self.phrase_weights = (
            list(itertools.accumulate(math.sqrt(entry.frequency) for entry in entries))
            for entries in (self.words, self.phrases)
        )


def learn(sources: Sequence[str], targets: Sequence[str], languages: tuple[str, str], words: bool) -> Knowledge:
    """Learn facts from training pairs; if `words`, single words and phrases as well, which take most of the time."""
    same: Counter[str] = Counter()
    common: Counter[str] = Counter()
    capitalised: set[str] = set()
    for source, target in zip(sources, targets, strict=True):
        sides = [set(LETTERS.findall(text)) for text in (source, target)]
        common.update(word for side in sides for word in side if word.islower())
        upper = [{word for word in side if word[0].isupper() and word[1:].islower()} for side in sides]
        same.update(upper[0] & upper[1])
        capitalised |= upper[0] | upper[1]
    names = sorted(name for name, count in same.items() if len(name) > 2 and 10 * common[name.lower()] < count)
    found = Dictionary(sources, targets) if words else Dictionary([], [])
    people = frozenset(names)
    return Knowledge(
        names,
        sorted(word for word in capitalised if len(word) > 3),
        _final_marks(sources, targets),
        (_quotes(sources), _quotes(targets)),
        found.words,
        [phrase for phrase in found.phrases if people.isdisjoint(LETTERS.findall(phrase.source))],
        languages[0],
        frozenset("".join(sources)) | frozenset("".join(targets)),
    )


# Final marks

FINAL = re.compile(r"\s*(\.\.\.|…+|[.!?。！？।؟۔;])$")
KINDS = {"...": "...", "…": "...", "……": "...", "!": "!", "！": "!", "?": "?", "？": "?", "؟": "?", ";": ";"}
"""The kind of a mark: `.` unless it is listed."""


def _final_mark(text: str) -> tuple[str, str]:
    """The kind of a text's final mark, and its form with the space before it; empty if there is none."""
    found = FINAL.search(text)
    return (KINDS.get(found[1], "."), found[0]) if found else ("", "")


def _final_marks(sources: Sequence[str], targets: Sequence[str]) -> dict[str, Pair]:
    """The most frequent form of each kind of final mark on each side, if both sides have it."""
    sides = []
    for texts in (sources, targets):
        written = Counter(map(_final_mark, texts))
        opened = sum(text[0] in "¿¡" for text in texts if text)
        sides.append({kind: form for (kind, form), _ in sorted(written.items(), key=lambda item: item[1])})
        if opened > len(texts) / 100:  # Spanish: a mark at the end needs one at the beginning
            sides[-1] = {kind: form for kind, form in sides[-1].items() if kind in (".", "...")}
        sides[-1]["..."] = "..."
    return {kind: (sides[0][kind], sides[1][kind]) for kind in (".", "!", "?", "...") if all(kind in s for s in sides)}


def final_mark(pair: Pair, draw: random.Random, known: Knowledge) -> Pair:
    """Remove the final mark of both sides, or replace it by another one on both sides.

    A statement may become a question (people write `You know him?`), but no question becomes a statement. Questions and
    exclamations may have a second mark.
    """
    source, target = pair
    (kind, here), (other, there) = _final_mark(source), _final_mark(target)
    if not kind or kind != other or source[0] in "¿¡" or target[0] in "¿¡":
        return pair
    bare = source[: len(source) - len(here)], target[: len(target) - len(there)]
    choice = draw.random()
    if choice < 0.6 or kind == "...":
        return bare
    if choice < 0.7 and kind != ".":
        more = draw.choice("!?") if kind == "?" else "!"
        return source + more, target + more
    new = known.marks.get(draw.choice({".": ("!", "!", "?", "..."), "!": (".", "..."), "?": ("...",)}[kind]))
    return (bare[0] + new[0], bare[1] + new[1]) if new else bare


# Quotation marks, brackets and the like


def _quotes(texts: Sequence[str]) -> str:
    """The most frequent pair of quotation marks in some texts."""
    forms = Counter(opening + closing for text in texts for opening, closing in QUOTED.findall(text))
    return max(forms, key=forms.__getitem__) if forms else '""'


def layout(pair: Pair, draw: random.Random, known: Knowledge) -> Pair:
    """Put both sides in quotation marks or brackets, or add a bullet, a heading, or a word in such marks."""
    source, target = pair
    is_bracket = bool(known.brackets) and draw.random() < 0.5
    signs = (draw.choice((known.quotes[0], '""')), known.quotes[1])
    if is_bracket:
        signs = (draw.choice(known.brackets),) * 2
    choice = draw.random()
    if choice < 0.2:
        return _enclosed(source, signs[0]), _enclosed(target, signs[1])
    if choice < 0.35 and known.bullets:
        bullet = draw.choice(known.bullets)
        return bullet + source, bullet + target
    name = made_up_name(draw, known) if known.names else "Tom"
    word = word_pair(draw, known, plain=True) if known.words and draw.random() < 0.7 else (name, name)
    capitals = tuple(f"{one[:1].upper()}{one[1:]}" for one in word)
    if choice < 0.5:
        return f"{capitals[0]}: {source}", f"{capitals[1]}: {target}"
    shared = [one for one in LETTERS.findall(target) if one in known.is_name and source.count(one) == 1]
    if shared:  # it replaces a name, or follows it in brackets
        old, kept = shared[0], f"{shared[0]} " if is_bracket else ""
        at_start = not is_bracket and (target.startswith(old) or source.startswith(old))
        here, there = capitals if at_start else word
        return (
            source.replace(old, kept + _enclosed(here, signs[0])),
            target.replace(old, kept + _enclosed(there, signs[1]), 1),
        )
    (kind, here), (other, end) = map(_final_mark, pair)
    if kind != other:
        return pair
    before = " " if is_bracket else ": "
    return (
        f"{source[: len(source) - len(here)]}{before}{_enclosed(word[0], signs[0])}{here}",
        f"{target[: len(target) - len(end)]}{before}{_enclosed(word[1], signs[1])}{end}",
    )


def _enclosed(text: str, signs: str) -> str:
    return f"{signs[0]}{text}{signs[1]}"


# Capital and small letters, typing errors: only in the source


def case(pair: Pair, draw: random.Random, known: Knowledge) -> Pair:
    """Write the source in small letters, all or in part, or With Capitals In Each Word; the target stays correct."""
    source, target = pair
    small = lower(source, known.source_language)
    choice = draw.random()
    if choice < 0.4:
        return small[:1] + source[1:], target
    if choice < 0.65:
        return small, target
    if choice < 0.9:
        return source[:1] + small[1:], target
    return LETTERS.sub(lambda word: word[0][:1].upper() + word[0][1:], source), target


def typing(pair: Pair, draw: random.Random, known: Knowledge) -> Pair:
    """Add a typing error to the source: in a word, in a space or at a mark; not in short words, numbers and names."""
    source, target = pair
    if draw.random() < 0.3:
        gaps = [i for i, sign in enumerate(source) if sign == " " and 0 < i < len(source) - 1]
        marks = [i for i, sign in enumerate(source) if sign in ",.!?" and i and source[i - 1].isalpha()]
        spaced = [gap for gap in gaps if source[gap - 1] in ",;:" or draw.random() < 0.2]
        if spaced and draw.random() < 0.7:
            gap = draw.choice(spaced)
            return source[:gap] + source[gap + 1 :], target
        if marks:
            mark = draw.choice(marks)
            return f"{source[:mark]} {source[mark:]}", target
        return pair
    kept = set(LETTERS.findall(target))
    words = [word for word in LETTERS.finditer(source) if len(word[0]) > 3 and word[0] not in kept]
    if not words:
        return pair
    word = draw.choice(words)
    return source[: word.start()] + _mistype(word[0], draw) + source[word.end() :], target


def accents(pair: Pair, draw: random.Random, known: Knowledge) -> Pair:
    """Write the source as on a keyboard without accents, all of it or half of its words; names do not change."""
    source, target = pair
    if source.isascii():
        return pair
    kept, share = set(LETTERS.findall(target)), draw.choice((0.5, 1.0))
    written = expanded if known.source_language == "de" and draw.random() < 0.7 else without_accents

    def plain(word: re.Match[str]) -> str:
        return word[0] if word[0] in kept or draw.random() >= share else written(word[0])

    return LETTERS.sub(plain, source), target


def _mistype(word: str, draw: random.Random) -> str:
    """A word with a letter swapped, missing, doubled or from the adjacent key; the first letter does not change."""
    place, kind = draw.randrange(1, len(word) - 1), draw.randrange(4)
    before, letter, after = word[:place], word[place], word[place + 1 :]
    if kind == 0:
        return before + after[0] + letter + after[1:]
    if kind == 1:
        return before + after
    row = next((row for row in KEYS if letter in row), "")
    if kind == 2 or not row:
        return before + letter + letter + after
    at = row.index(letter)
    return before + draw.choice(row[max(0, at - 1) : at] + row[at + 1 : at + 2]) + after


# Numbers and names: of both sides


def _same_numbers(source: str, target: str) -> list[str]:
    """The numbers of both sides that may be replaced: not 1, with which nouns agree, nor English ordinal numbers."""
    here = NUMBER.findall(source)
    if not here:
        return []
    there = NUMBER.findall(target)
    if any(ORDINAL.match(text, found.end()) for text in (source, target) for found in NUMBER.finditer(text)):
        return []
    return [run for run in dict.fromkeys(here) if run != "1" and run.strip("0") and here.count(run) == there.count(run)]


def numbers(pair: Pair, draw: random.Random) -> Pair:
    """Replace numbers that are the same on both sides by others, mostly of the same length; leading zeros stay."""
    new = {}
    for run in _same_numbers(*pair):
        in_longer = rf"[0-9][.,:/-]{run}(?![0-9])|(?<![0-9]){run}[.,:/-][0-9]"  # in a date, a time or a price
        new[run] = _other_number(run, draw, alone=not any(re.search(in_longer, text) for text in pair))
    return _replaced(pair[0], NUMBER, new), _replaced(pair[1], NUMBER, new)


def _other_number(run: str, draw: random.Random, alone: bool) -> str:
    zeros = len(run) - len(run.lstrip("0"))
    length = len(run) - zeros
    if alone and not zeros and draw.random() < 0.3:
        length = draw.randint(2, 5)
    first = draw.choice("23456789" if length == 1 and not zeros else "123456789")
    return "0" * zeros + first + "".join(draw.choices("0123456789", k=length - 1))


def made_up_number(draw: random.Random, known: Knowledge) -> str:
    """A number, an amount, a time, a date or a code that can occur anywhere in a text, sometimes with a unit."""
    form = draw.choice(known.number_forms)
    digits = (draw.choice("0123456789" if i else "123456789") for i in range(len(form)))
    letters = (draw.choice(CODE_LETTERS) for _ in form)
    number = "".join(next(digits) if sign == "#" else next(letters) if sign == "A" else sign for sign in form)
    return number + draw.choice(known.units) if known.units and draw.random() < 0.3 else number


def made_up_name(draw: random.Random, known: Knowledge) -> str:
    """A name of the training text, a name made from the halves of two words, or both as first and last name."""
    first = draw.choice(known.names)
    head, tail = draw.choice(known.capitalised), draw.choice(known.capitalised if draw.random() < 0.5 else known.names)
    made = (head[: draw.randint(2, len(head) - 2)] + tail[draw.randint(1, len(tail) - 2) :].lower())[:12]
    return draw.choice((first, made, f"{first} {made}"))


def names(pair: Pair, draw: random.Random, known: Knowledge) -> Pair:
    """Replace a name on both sides by another one or a number, so that the model learns to copy; endings stay."""
    source, target = pair
    here, there = set(LETTERS.findall(source)), set(LETTERS.findall(target))
    new: dict[str, str] = {}
    for name in sorted(there & known.is_name):
        plural = f"{name}s"
        if name not in here and plural not in here:
            continue
        genitive = plural in here or plural in there or bool(re.search(rf"{name}['’]", source + target))
        other = made_up_name(draw, known)
        if genitive and other[-1] in "sxzß":
            other += "o"
        elif not genitive and draw.random() < 0.15:
            other = made_up_number(draw, known)
        new |= {name: other, plural: f"{other}s"}
    return _replaced(source, LETTERS, new), _replaced(target, LETTERS, new)


def _replaced(text: str, pattern: re.Pattern[str], new: dict[str, str]) -> str:
    return pattern.sub(lambda found: new.get(found[0], found[0]), text) if new else text


# Single words and phrases


def word_pair(draw: random.Random, known: Knowledge, plain: bool = False) -> Pair:
    """A word or a phrase with its translation; unless `plain`, maybe with a capital, mark or number, or some words."""
    words = draw.choices(known.words, cum_weights=known.word_weights, k=draw.randint(2, 4))
    source, target = words[0].source, words[0].target
    choice = draw.random()
    if plain:
        return source, target
    if known.phrases and draw.random() < PHRASES:
        phrase = draw.choices(known.phrases, cum_weights=known.phrase_weights)[0]
        source, target, choice = phrase.source, phrase.target, max(0.25, choice)
    elif choice < 0.15:
        number = made_up_number(draw, known)
        source, target = f"{source} {number}", f"{target} {number}"
    elif choice < 0.25:
        source, target = ", ".join(word.source for word in words), ", ".join(word.target for word in words)
    if choice < 0.25:  # both sides of a list, or of a word with a number, begin with the same case
        choice = 0.3 if source[:1].isupper() else draw.random()
    if choice < 0.5:
        source, target = source[:1].upper() + source[1:], target[:1].upper() + target[1:]
    elif choice < 0.7:
        source = lower(source, known.source_language)
    if draw.random() < 0.4:
        mark = known.marks.get(draw.choice((".", ".", "!", "?")))
        if mark:
            source, target = source + mark[0], target + mark[1]
    return source, target


Change = Callable[[Pair, random.Random, Knowledge], Pair]

NOISES: dict[str, Change] = {
    "noise_names": names,
    "noise_final_mark": final_mark,
    "noise_layout": layout,
    "noise_case": case,
    "noise_typing": typing,
    "noise_accents": accents,
}
"""The noises that change a pair, by setting, in the order in which they are applied."""
SETTINGS = ("noise_numbers", "noise_joined", *NOISES, "noise_words")


@dataclass
class NoisyPairs:
    """The pairs of a pool after the noise; joining makes them fewer, single words and numbers more."""

    source: list[str]
    target: list[str]
    # The index in the pool of the pair from which each comes or, for a single word, whose tag it has.
    places: npt.NDArray[np.int64]
    changed: list[bool]  # whether the text differs from that of the pair at its place


class Noise:
    """The configured noise of a training."""

    def __init__(self, shares: dict[str, float], known: Knowledge, max_length: int) -> None:
        self.shares, self.known, self.max_length = shares, known, max_length

    @classmethod
    def of(cls, config: Config, corpus: Corpus) -> Noise | None:
        """Learn from the training pairs what the configured noise needs; None if there is no noise."""
        settings = config.training
        shares = {name: min(1.0, settings.noise * getattr(settings, name)) for name in SETTINGS}
        if not any(shares.values()):
            return None
        sample = np.arange(0, len(corpus), -(-len(corpus) // MOST_PAIRS))
        known = learn(*corpus.untagged_text(sample), config.data.languages, shares["noise_words"] > 0)
        return cls(shares, known, config.data.max_length)

    def applied(
        self, sources: Sequence[str], targets: Sequence[str], lengths: npt.NDArray[np.int64], rng: np.random.Generator
    ) -> NoisyPairs:
        """The pairs of a pool with noise; `lengths` are the pieces of each pair's longer side."""
        draw = random.Random(int(rng.integers(2**63)))
        given: list[Pair] = list(zip(sources, targets, strict=True))
        groups = self._joined(given, lengths, rng)
        pairs = [given[group[0]] if len(group) == 1 else _join([given[i] for i in group], draw) for group in groups]
        places = [group[0] for group in groups]
        numbered = self._numbered(given, rng)
        places += numbered
        pairs += [numbers(given[place], draw) for place in numbered]
        for name, noise in NOISES.items():
            if self.shares[name]:
                for place in np.flatnonzero(rng.random(len(pairs)) < self.shares[name]).tolist():
                    pairs[place] = noise(pairs[place], draw, self.known)
        if self.known.words:
            tagged_as = rng.integers(len(given), size=rng.binomial(len(given), self.shares["noise_words"])).tolist()
            places += tagged_as
            pairs += [word_pair(draw, self.known) for _ in tagged_as]
        changed = [pair != given[place] for pair, place in zip(pairs, places, strict=True)]
        return NoisyPairs([one for one, _ in pairs], [other for _, other in pairs], np.array(places), changed)

    def _numbered(self, pairs: Sequence[Pair], rng: np.random.Generator) -> list[int]:
        """The indices of the pairs to add with other numbers, each at most `MOST_COPIES` times on average."""
        if not self.shares["noise_numbers"]:
            return []
        found = [place for place, (source, target) in enumerate(pairs) if _same_numbers(source, target)]
        wanted = min(rng.binomial(len(pairs), self.shares["noise_numbers"]), MOST_COPIES * len(found))
        return rng.choice(found, wanted).tolist() if found else []

    def _joined(
        self, pairs: Sequence[Pair], lengths: npt.NDArray[np.int64], rng: np.random.Generator
    ) -> list[list[int]]:
        """Groups of the indices of pairs that are joined: most groups have one index, some have two or three."""
        order = rng.permutation(len(pairs)).tolist()
        sizes = rng.integers(2, 4, size=rng.binomial(len(pairs), self.shares["noise_joined"])).tolist()
        groups, start = [], 0
        for size in sizes:
            group = order[start : start + size]
            spans = sum(bool(PRIVATE.search("".join(pairs[place]))) for place in group)
            if len(group) == size and spans < 2 and lengths[group].sum() <= self.max_length:
                groups.append(group)
                start += size
        return sorted([*groups, *([place] for place in order[start:])])


def _join(pairs: Sequence[Pair], draw: random.Random) -> Pair:
    """Join pairs, with spaces between the sentences if the script has spaces; sometimes as a dialogue."""
    if draw.random() < 0.2:
        dash = draw.choice("-–")
        return " ".join(f"{dash} {one}" for one, _ in pairs), " ".join(f"{dash} {other}" for _, other in pairs)
    return join_sentences([source for source, _ in pairs]), join_sentences([target for _, target in pairs])
