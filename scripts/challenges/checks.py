"""What a translation must have, whatever its words are: no reference is needed.

Each check takes a line of the corpus, the translations of its texts and the two languages, and yields its faults, in
words. A check accepts everything that a good translator could write; tests/test_challenge.py holds it to that.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from challenges.corpus import Line
from challenges.languages import CENTS, LANGUAGES, Language, word

TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
SPANS = {
    "tags": TAG,
    "code": re.compile(r"`[^`]+`"),
    "handles": re.compile(r"(?<![\w.])[@#][\w]+(?:\.\w+)*"),
    "entities": re.compile(r"&#?\w+;"),
    "emoji": re.compile(
        r"(?:[\U0001F1E6-\U0001F1FF]{2}|[\u2190-\u21FF\u2300-\u27BF\u2B00-\u2BFF\U0001F000-\U0001FAFF])"
        r"(?:[\uFE0F\u20E3\U0001F3FB-\U0001F3FF]|\u200D.)*|(?<!\S)(?:[:;]-?[()DPp/]|<3|\^\^)(?!\S)"
    ),
}
"""What must be kept where a line of the class does not say it itself."""
END = re.compile(r"[\s\"”“„»«’‘)\]]+$")
MARKS = {"…": "...", "！": "!", "？": "?"}
BULLET = re.compile(r"(?:[-*•–—]|\d+[.)]|\w\))(?=\s)")
NUMBER = re.compile(
    "(?<!\\d)\\d{1,3}(?:[ \u00a0\u202f]\\d{3}(?!\\d))+(?:[.,]\\d+)?|\\d+(?:[.,'’]\\d+)*(?::\\d\\d(?!\\d))?"
)
"""A number with the separators of its thousands and decimals, or a time."""
CLOCK = re.compile("quarter|half|viertel|halb|quart|demi|noon|midnight|mittag|mitternacht|midi|minuit", re.IGNORECASE)
"""Words in the place of minutes, or of 12 o'clock."""
RATIO = {"de": {"en": (0.4, 1.9)}, "en": {"de": (0.5, 2.3), "fr": (0.5, 2.3)}, "fr": {"en": (0.4, 1.9)}}
"""Bounds of the letters of a translation for a letter of its source, by source and target."""


@dataclass(frozen=True)
class Pair:
    """The languages of a model."""

    source: str
    target: str

    @property
    def read(self) -> Language:
        return LANGUAGES[self.source]

    @property
    def written(self) -> Language:
        return LANGUAGES[self.target]


Check = Callable[[Line, list[str], Pair], Iterator[str]]


def words(text: str) -> list[str]:
    """Words in small letters, English contractions in full."""
    text = text.casefold().replace("’", "'")
    for short, full in (("can't", "can not"), ("cannot", "can not"), ("won't", "will not"), ("n't", " not")):
        text = text.replace(short, full)
    for short, full in (("'m", " am"), ("'re", " are"), ("'ll", " will"), ("'ve", " have"), ("'s", " is")):
        text = re.sub(rf"{short}\b", full, text)
    return re.findall(r"\w+", text)


def agreement(one: str, other: str) -> float:
    """The share of the words that two translations have in common, in any order."""
    first, second = Counter(words(one)), Counter(words(other))
    return 2 * (first & second).total() / max(1, first.total() + second.total())


def letters(text: str) -> int:
    return sum(character.isalpha() for character in text)


def final_mark(text: str) -> str:
    """`.`, `!`, `?`, `...`, a mixture of ! and ? as `?!`, or nothing."""
    for written, plain in MARKS.items():
        text = text.replace(written, plain)
    while (shorter := END.sub("", SPANS["emoji"].sub("", text))) != text:
        text = shorter
    marks = re.search(r"[.!?]*$", text)[0]  # type: ignore[index]
    if set(marks) == {"."}:
        return "..." if len(marks) > 1 else "."
    return "".join(mark for mark in "?!" if mark in marks)


def without_spans(text: str, line: Line) -> str:
    """The text without what is only copied."""
    for [span, *_] in line.kept:
        text = text.replace(span, " ")
    for pattern in SPANS.values():
        text = pattern.sub(" ", text)
    return text


# What is asked of every translation


def repeats(text: str) -> str:
    """What comes several times in a row: a word or two of them three times, a syllable four times, or, within a
    sentence, three words or more twice."""
    for part, sizes, times in [(text, (1, 2), 3), *((sentence, range(3, 30), 2) for sentence in sentences_of(text))]:
        found = re.findall(r"[^\W_]+(?:['’][^\W_]+)*", part.casefold())
        for size in sizes:
            for start in range(len(found) - size * times + 1):
                gram = found[start : start + size]
                if found[start : start + size * times] == gram * times:
                    return " ".join(gram)
    if last := re.search(r"\b(\w+)[.!?]+\s+\1\W*$", text, re.IGNORECASE):  # `Dogs and fish. fish.`
        return last[0]
    syllable = re.search(r"((?=[^\s]*[^\W\d_])\S{1,6}?)\1{3,}", text)
    return syllable[0] if syllable and letters(syllable[1]) else ""


def sane(line: Line, source: str, text: str, pair: Pair) -> Iterator[str]:
    """Not empty, not endless, not the source, of the right length and script."""
    rest_source, rest = without_spans(source, line), without_spans(text, line)
    size, got = letters(rest_source), letters(rest)
    if not text.strip() or (size > 1 and not got):
        yield "empty"
        return
    if (again := repeats(rest)) and not repeats(rest_source):
        yield f"repeats `{again}`"
    low, high = RATIO.get(pair.source, {}).get(pair.target, (0.35, 2.6))
    if got > high * size + 12 or (size > 12 and got < low * size - 3):
        yield f"{got} letters for {size}"
    if len(rest_source.split()) >= 4 and words(rest) == words(rest_source):
        yield "not translated"
    first_letters = (source.strip()[:1] + text.strip()[:1]).replace(" ", "")
    if first_letters[:1].isupper() and first_letters[1:].islower() and final_mark(source) and " " in source.strip():
        yield "begins with a small letter"
    if "\ufffd" in text or any(
        character.isalpha() and ord(character) > 0x24F and character not in source for character in rest
    ):
        yield "characters that belong to neither language"


# What is kept


def occurrences(span: str, text: str) -> int:
    """How often the span is in the text, not as a part of a longer word."""
    before, after = ("(?<!\\w)" if span[0].isalnum() else ""), ("(?!\\w)" if span[-1].isalnum() else "")
    return len(re.findall(before + re.escape(span) + after, text))


def spans(name: str) -> Check:
    """Each span as often as in the source, byte for byte; none that the source does not have."""

    def check(line: Line, outputs: list[str], pair: Pair) -> Iterator[str]:
        found = [span for [span] in line.kept]
        if not found:
            found = SPANS[name].findall(line.source)
            if new := Counter(SPANS[name].findall(outputs[0])) - Counter(found):
                yield f"{', '.join(new)} is new"
        for span in dict.fromkeys(found):
            got, wanted = occurrences(span, outputs[0]), occurrences(span, line.source)
            if got != wanted:
                yield f"{span} is there {got} times instead of {wanted}" if got else f"{span} is lost"

    return check


def balanced(text: str) -> bool:
    """Every element is closed, in the order of its opening."""
    stack: list[str] = []
    for tag in TAG.findall(text):
        name = re.match(r"</?([^\s/>]+)", tag)[1]  # type: ignore[index]
        if tag.startswith("</"):
            if not stack or stack.pop() != name:
                return False
        elif not tag.endswith("/>") and name != "br":
            stack.append(name)
    return not stack


def markup(line: Line, outputs: list[str], pair: Pair) -> Iterator[str]:
    """Tags are kept and nested, and enclose something where they did."""
    yield from spans("tags")(line, outputs, pair)
    if balanced(line.source) and not balanced(outputs[0]):
        yield "tags are not balanced"
    empty = r"<(\w+)(?:\s[^<>]*)?>\s*</\1>"
    if re.search(empty, outputs[0]) and not re.search(empty, line.source):
        yield "an element is empty"


def name_pattern(forms: Iterable[str]) -> re.Pattern[str]:
    """One of the forms of a name, its genitive included."""
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, forms))})(?:['’]?s|['’])?(?!\w)")


def names(line: Line, outputs: list[str], pair: Pair) -> Iterator[str]:
    for forms in line.kept:
        if len(name_pattern(forms).findall(outputs[0])) != 1:
            yield f"{' or '.join(forms)} is not there once"


# Numbers


def readings(token: str, language: Language) -> set[str]:
    """The values that a number can have as it is written: itself, and without separators."""
    found = {token}
    hours, colon, minutes = token.partition(":")
    if colon:
        return found | ({f"{int(hours)}:{minutes}"} if hours.isdecimal() else set())
    if (time := re.fullmatch(r"(\d\d?)\.([0-5]\d)", token)) and language.point != ".":
        found.add(f"{int(time[1])}:{time[2]}")
    whole, point, fraction = token.rpartition(language.point)
    if not point:
        whole, fraction = token, ""
    thousands = "." if language.point == "," else ","
    head, *groups = re.split(f"[{thousands}'’ \u00a0\u202f]", whole)
    if head.isdecimal() and all(len(group) == 3 and group.isdecimal() for group in groups):
        fraction = fraction.rstrip("0")
        found.add(str(int(head + "".join(groups))) + (f".{fraction}" if fraction else ""))
    return found


def hours_too(values: set[str]) -> set[str]:
    """The same times on a clock of 12 and of 24 hours, full hours with and without minutes."""
    found = set(values)
    for value in values:
        hour, _, minutes = value.partition(":")
        if hour.isdecimal() and int(hour) <= 24:
            for other in (int(hour) - 12, int(hour), int(hour) + 12):
                if 0 <= other <= 24:
                    found |= {f"{other}:{minutes or '00'}", *([str(other)] if minutes in ("", "00") else [])}
    return found


def in_words(values: set[str], text: str, language: Language, articles: bool = True) -> bool:
    """One of the values is spelled out in the text; an article counts as a one, unless it is a date's."""
    plain = text.casefold().replace("-", " ")
    for value in values:
        spelled = language.spelled(int(value)) if value.isdecimal() else set()
        for each in spelled:
            if word(re.escape(each)).search(plain) and (articles or not re.fullmatch(language.articles, each)):
                return True
        if value.endswith(".5") and word(language.half).search(plain):
            return True
    return False


def numbers(clock: bool = False) -> Check:
    """Each number is there, in the notation of either language or in words, and no other one."""

    def check(line: Line, outputs: list[str], pair: Pair) -> Iterator[str]:
        source, text = line.source, outputs[0]
        if clock:
            source, text = (re.sub(r"(\d\d?) ?h ?(\d\d)\b", r"\1:\2", each) for each in (source, text))
        left = [(token, readings(token, pair.written)) for token in NUMBER.findall(text)]
        in_parts = clock and bool(CLOCK.search(text))
        for token in NUMBER.findall(source):
            values = readings(token, pair.read)
            accepted = hours_too(values) if clock else values
            if fit := next((each for each in left if each[1] & accepted), None):
                left.remove(fit)
            elif not in_parts and not in_words(accepted, text, pair.written) and not split_price(accepted, left, text):
                yield f"{token} is lost"
        for token, values in left:
            if not in_words(values, source, pair.read) and not (in_parts and token in map(str, range(25))):
                yield f"{token} is new"

    return check


def split_price(values: set[str], left: list[tuple[str, set[str]]], text: str) -> bool:
    """`4,20 Euro` as `4 euros and 20 cents`: both numbers are taken from those that are left."""
    for value in values:
        whole, _, fraction = value.partition(".")
        parts = [str(int(part)) for part in (whole, fraction.ljust(2, "0")) if part.isdecimal()]
        fits = [next((each for each in left if part in each[1]), None) for part in parts]
        if fraction and len(parts) == 2 and None not in fits and word(CENTS).search(text):
            for each in fits:
                left.remove(each)  # type: ignore[arg-type]
            return True
    return False


def dates(line: Line, outputs: list[str], pair: Pair) -> Iterator[str]:
    """The same days, months and years: a month by its name or number, once or with each day, a day in words too."""

    def parts(text: str, language: Language) -> tuple[Counter[int], set[int]]:
        named = {n for n, month in enumerate(language.months, 1) if re.search(rf"\b{month}\b", text)}
        return Counter(map(int, re.findall(r"\d+", text))), named

    wanted, months = parts(line.source, pair.read)
    got, got_months = parts(outputs[0], pair.written)
    missing, extra = wanted - got, got - wanted
    for month in months ^ got_months:  # named on one side: a number on the other
        side, other = (extra, missing) if month in months else (missing, extra)
        if not side[month]:
            other[month] += 1
        else:
            side[month] -= 1
    for number in missing.elements():
        if not in_words({str(number)}, outputs[0], pair.written, articles=False):
            yield f"{number} is lost"
    for number in extra.elements():
        yield f"{number} is new"


def with_signs(table: dict[str, str]) -> Check:
    """Numbers, and currencies or units in one of their forms."""

    def found(text: str) -> Counter[str]:
        signs: Counter[str] = Counter()
        for name, forms in table.items():
            # A single letter only after a digit: `l` is no litre in `jusqu'à l'hôtel`.
            before = r"(?=\W)|(?<![^\W\d_])(?=\w\w)|(?<=\d)|(?<=\d[ \u00a0\u202f-])"
            beside = rf"(?:{before})(?:{forms})(?![^\W\d_])"
            text, signs[name] = re.subn(beside, " ", text, flags=re.IGNORECASE)
        return signs

    def check(line: Line, outputs: list[str], pair: Pair) -> Iterator[str]:
        yield from numbers()(line, outputs, pair)
        got = found(outputs[0])
        for name, count in found(line.source).items():
            if count and not got[name] and not (name == "ton" and got["kg"]):
                yield f"{name} is lost"

    return check


# Capitals, marks, sentences


def like_the_other(least: float, what: str) -> Check:
    """The translations of both texts have most words in common, and deny the same."""

    def check(line: Line, outputs: list[str], pair: Pair) -> Iterator[str]:
        denial = word(pair.written.negation)
        if agreement(*outputs) < least or bool(denial.search(outputs[0])) != bool(denial.search(outputs[1])):
            yield f"{what} is translated otherwise: {outputs[1]}"

    return check


def capitals(line: Line, outputs: list[str], pair: Pair) -> Iterator[str]:
    upper = sum(character.isupper() for character in outputs[0])
    if upper < 0.9 * sum(character.isupper() or character.islower() for character in outputs[0]):
        yield "not in capitals"
    yield from like_the_other(0.6, "the line in small letters")(line, outputs, pair)


def mark(line: Line, outputs: list[str], pair: Pair) -> Iterator[str]:
    wanted, got = final_mark(line.source), final_mark(outputs[0])
    if wanted != got:
        yield f"ends with {got or 'no mark'} instead of {wanted or 'no mark'}"


def bare(text: str, language: Language) -> str:
    """A word or phrase without marks, capitals and the article in front of it."""
    return re.sub(rf"^(?:{language.articles}) (?=\w)", "", " ".join(words(text.replace("-", " "))))


def one_of(line: Line, outputs: list[str], pair: Pair) -> Iterator[str]:
    """The whole translation is one of those that are listed."""
    [accepted] = line.wanted
    if not any(map(str.isalnum, line.source)):
        if outputs[0].strip().replace("…", "...") not in accepted:
            yield f"not {' or '.join(accepted)}"
    elif bare(outputs[0], pair.written) not in [bare(each, pair.written) for each in accepted]:
        yield f"not {', '.join(accepted[:3])}{', ...' if len(accepted) > 3 else ''}"


def fragment(line: Line, outputs: list[str], pair: Pair) -> Iterator[str]:
    yield from one_of(line, outputs, pair)
    yield from mark(line, outputs, pair)


def sentences_of(text: str, *, ordinals: bool = True) -> list[str]:
    """Split after marks and before a capital or the end, but not after ordinal numbers (`3. Mai`)."""
    ordinal = r"(?<!\b\d\.)(?<!\b\d\d\.)" if ordinals else ""
    no_end = ordinal + r"(?<!\b[^\W\d]\.)(?<!\b[DM]r\.)(?<!\bMrs\.)"
    after = r"(?:\s+(?![\"”“’)»])|\s?[\"”“’)»]+\s+(?![a-zà-ÿ]))"  # `"Come!" he said.` is one sentence
    parts = re.split(rf"(?<=[.!?…]){no_end}{after}", text)
    return [part for part in parts if part]


def sentences(line: Line, outputs: list[str], pair: Pair) -> Iterator[str]:
    """As many as in the source, none empty, none twice."""
    texts = zip((line.source, outputs[0]), (pair.source, pair.target), strict=True)
    wanted, got = (sentences_of(text, ordinals=language == "de") for text, language in texts)
    if len(wanted) != len(got):
        yield f"{len(got)} sentences instead of {len(wanted)}"
    if not all(map(letters, got)):
        yield "an empty sentence"
    if len(set(got)) < len(got) and len(set(wanted)) == len(wanted):
        yield "a sentence comes twice"


# The other classes


def contains(least_missing: int = 0) -> Check:
    """Each thing is there in one of its forms, at the beginning of a word, or anywhere after a *."""

    def check(line: Line, outputs: list[str], pair: Pair) -> Iterator[str]:
        text = outputs[0].casefold()
        missing = []
        for forms in line.wanted:
            patterns = [
                (r"(?<!\w)" if form[0] != "*" else "") + re.escape(form.lstrip("*").casefold()) for form in forms
            ]
            if not re.search("|".join(patterns), text):
                missing.append(" or ".join(forms))
        if len(missing) > least_missing:
            yield f"lacks {', '.join(missing)}"

    return check


def whole(least: float) -> Check:
    """Nothing long is left out: there are enough letters for those of the source."""

    def check(line: Line, outputs: list[str], pair: Pair) -> Iterator[str]:
        if letters(outputs[0]) < least * letters(line.source):
            yield f"only {letters(outputs[0])} letters for {letters(line.source)}"

    return check


def quotes(line: Line, outputs: list[str], pair: Pair) -> Iterator[str]:
    """As many quotation marks as in the source, of any form, with something between them."""

    def marks(text: str, single: bool) -> list[int]:
        lone = r"|(?<!\w)[‘’'‚‹›]|[‘’'‚‹›](?!\w)" if single else ""
        return [match.start() for match in re.finditer(rf"[„“”\"«»]{lone}", text)]

    wanted = len(marks(line.source, False))
    got = next((found for found in (marks(outputs[0], False), marks(outputs[0], True)) if len(found) == wanted), None)
    if got is None:
        yield f"{len(marks(outputs[0], False))} quotation marks instead of {wanted}"
    elif not all(letters(outputs[0][first:last]) for first, last in zip(got[::2], got[1::2], strict=True)):
        yield "quotation marks with nothing between them"


def brackets(line: Line, outputs: list[str], pair: Pair) -> Iterator[str]:
    for sign in "()[]":
        if outputs[0].count(sign) != line.source.count(sign):
            yield f"{outputs[0].count(sign)} {sign} instead of {line.source.count(sign)}"
    if re.search(r"\(\W*\)|\[\W*\]", outputs[0]):
        yield "brackets with nothing between them"


def headline(line: Line, outputs: list[str], pair: Pair) -> Iterator[str]:
    yield from mark(line, outputs, pair)
    if (":" in line.source) != bool(re.search("[:–-]", outputs[0])) and ":" in line.source:
        yield "the colon is lost"


def enumeration(line: Line, outputs: list[str], pair: Pair) -> Iterator[str]:
    """The bullet is kept, and the items are as many, each different."""
    bullet, got_bullet = BULLET.match(line.source), BULLET.match(outputs[0])
    if bullet and (not got_bullet or got_bullet[0] != bullet[0]):
        yield f"{bullet[0]} is not at the beginning"
    if got_bullet and not bullet:
        yield f"{got_bullet[0]} is new"

    def items(text: str, language: Language) -> list[str]:
        pieces = re.split(rf"[,;]|\b(?:{language.conjunctions})\b", BULLET.sub("", text, count=1).strip(" .!?"))
        return [piece.strip().casefold() for piece in pieces if letters(piece)]

    wanted, got = items(line.source, pair.read), items(outputs[0], pair.written)
    if (
        len(wanted) > 1 and not len(wanted) <= len(got) <= len(wanted) + 1
    ):  # `Today, there is soup, fish and ice cream.`
        yield f"{len(got)} items instead of {len(wanted)}"
    last = [item.split()[-1] for item in got]
    if len(wanted) > 1 and len(set(last)) < len(last):
        yield "an item comes twice"


def dialogue(line: Line, outputs: list[str], pair: Pair) -> Iterator[str]:
    """Turns, speakers and questions are as many."""
    yield from spans("dialogue")(line, outputs, pair) if line.kept else ()
    turn = r"(?:^|(?<=\s))[–—-](?=\s)"
    quoted = len(re.findall('[„“”"]', outputs[0])) >= 4  # a change of the speaker needs no dash between quotes
    for what, pattern in {
        **({} if quoted else {"turns": turn}),
        "colons after a speaker": r"^\w+(?= ?:)",
        "question marks": r"\?",
    }.items():
        wanted, got = (len(re.findall(pattern, text)) for text in (line.source, outputs[0]))
        if wanted != got:
            yield f"{got} {what} instead of {wanted}"


def negation(line: Line, outputs: list[str], pair: Pair) -> Iterator[str]:
    """The translation denies, and that of the same line without negation does not."""
    hard, soft = pair.written.negation, pair.written.soft_negation
    if not word(f"{hard}|{soft}").search(outputs[0]):
        yield "no negation"
    if word(hard).search(outputs[1]):
        yield f"a negation without one in the source: {outputs[1]}"


def question(line: Line, outputs: list[str], pair: Pair) -> Iterator[str]:
    """A question mark, and a beginning of the same kind: whom, where, why, another question word, or a verb."""
    text = outputs[0]
    if final_mark(text) != "?":
        yield "no question mark"
    kinds = pair.read.question_words
    first = " ".join(line.source.split()[:3])
    asked = next((kind for kind in kinds if re.match(rf"(?:\w+[ '’])?(?:{kinds[kind]})\b", first, re.IGNORECASE)), None)
    start = " ".join(re.findall(r"[\w'’]+", text)[: pair.written.question_start])
    if asked:
        # `Why are you laughing?` can be `What are you laughing about?`.
        answers = "|".join(pair.written.question_words[kind] for kind in (asked, *(["other"] * (asked == "reason"))))
        if not word(answers).search(start):
            yield f"does not ask {answers.replace('|', ', ')}"
    elif not re.match(
        rf"(?:(?:and|but|so|und|aber|excuse me|entschuldigung),? )?{pair.written.verb_first}\b", start, re.I
    ):
        yield "does not begin like a question"


def unchanged(line: Line, outputs: list[str], pair: Pair) -> Iterator[str]:
    """What is left of the translations without names, numbers and marks is the same, but for a word in five."""
    first, second = outputs
    lost = 0
    for forms, other in zip(line.kept, line.other_kept, strict=True):
        first, found = name_pattern(forms).subn("N", first)
        second, found_too = name_pattern(other).subn("N", second)
        lost += not found or not found_too
    if lost:
        yield f"a name is lost; {line.other} -> {outputs[1]}"
    elif agreement(NUMBER.sub("0", first), NUMBER.sub("0", second)) < 0.8:
        yield f"{line.other} -> {outputs[1]}"
