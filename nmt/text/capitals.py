"""Capitals: those at the beginning of a sentence, sentences all in capitals, and sentences in Title Case.

Sentences in capitals are translated in normal case, and their translations are put into capitals. So a model does not
need a second vocabulary of capitals. The vocabulary shows which words are names, German nouns or acronyms, because its
words have the case that they had in the training text.
"""

from __future__ import annotations

import re

from nmt.text.vocabulary import Vocabulary

_WORD = re.compile(r"\w+")
_WITH_APOSTROPHES = r"\w+(?:['’]\w+)*+"  # Don't, L'été; a text is compiled when a line needs it
_SMALL_WORD = re.compile(r" [a-z]")  # most sentences have one, and this search is ten times as fast

_QUOTES = r"[\"“„”»«‘‚(¿¡]*+"
_SPANS = r"(?:\s*[\ue000-\uf8ff])*+"
_SENTENCE = rf"{_QUOTES}([^\W\d_])(?:\S*\s+\S.*[.!?…]|\S*[!?…])[\"”“»«’)]*{_SPANS}"
"""Several words and a final mark, or one word and a mark other than a stop; copied spans may follow."""
_FIRST_WORD = rf"{_QUOTES}([^\W\d_]+(?:[-'’][^\W\d_]+)*+)(?![\w./@:\\]\S)"
"""A word at the beginning that is no number, address or name of a file."""

_FORMAL = "Sie|Ihnen|Ihr(?:e[mnrs]?)?"  # the formal pronouns of German, which have capitals

_LONG = 5  # letters from which on a single word in capitals is a word even if the vocabulary lacks it

_MUCH_MORE = 2.0  # how much more probable (natural logarithm) a capital must be with as many pieces


def lower(text: str, language: str) -> str:
    """The text in lower case; Turkish and Azerbaijani have an I without a dot."""
    if language in ("tr", "az"):
        text = text.replace("İ", "i").replace("I", "ı")
    return text.lower()


def upper(text: str, language: str) -> str:
    """The text in capitals; Turkish and Azerbaijani have an I with a dot."""
    return (text.replace("i", "İ") if language in ("tr", "az") else text).upper()


def with_first_capital(text: str, source: str, language: str, vocabulary: Vocabulary | None = None) -> str:
    """A translation that begins with a capital if its source is a sentence that does.

    A word such as `iPhone` does not change, nor does one that is in the source as well, for it may be a name, unless
    the vocabulary of the translation has it as a piece: `La page ...` and `page`. (Of 610,069 such sentences of
    Tatoeba, German, English and French, 5 have translations that begin with a small letter.)
    """
    if text[:1].isupper():  # most translations
        return text
    begins, first = re.fullmatch(_SENTENCE, source), re.match(_FIRST_WORD, text)
    if not begins or not begins[1].isupper() or source.isupper() or not first or not first[1].islower():
        return text
    if first[1] in _WORD.findall(source) and (vocabulary is None or vocabulary.cost(first[1])[0] > 1):
        return text
    place, letter = first.start(1), first[1][0]
    # Georgian has capitals, but no title case: it begins no sentence with one.
    return text[:place] + (upper(letter, language) if letter == "i" else letter.title()) + text[place + 1 :]


def without_capitals(sentence: str, vocabulary: Vocabulary, language: str) -> str | None:
    """A sentence all in capitals in normal case; None for other sentences and for acronyms.

    Each word takes the form of which the vocabulary has the fewest pieces: `ICH` becomes `ich`, `HUNGER` `Hunger`, and
    `USA` stays. The first letter is a capital. A single word must be long, or be a piece in another form.
    """
    if not sentence.replace("ß", "").isupper():
        return None
    text = _WORD.sub(lambda word: _usual_form(word[0], vocabulary, language), sentence)
    if text == sentence:  # acronyms, codes, letters that str.isalpha does not know
        return None
    words = [word for word in _WORD.findall(text) if word.isalpha()]
    if len(words) == 1 and len(words[0]) < _LONG and vocabulary.cost(words[0])[0] > 1:
        return None
    first = next(place for place, sign in enumerate(text) if sign.isalpha())
    if text[first] != sentence[first]:
        text = text[:first] + sentence[first] + text[first + len(lower(sentence[first], language)) :]
    return None if text == sentence else text


def without_title_case(sentence: str, vocabulary: Vocabulary, language: str) -> str | None:
    """A sentence in Title Case in normal case; None for other sentences.

    Each word of such a sentence begins with a capital, and half of those after the first would not do so in normal case
    (three at least if there is a final mark or an apostrophe: That's Bill Green), which leaves most names and German
    nouns as they are.
    """
    if _SMALL_WORD.search(sentence):
        return None
    words = [word for word in re.findall(_WITH_APOSTROPHES, sentence) if word[0].isalpha()]
    if len(words) < 3 or not all(word[0].isupper() for word in words) or sentence.isupper():
        return None
    first = sentence.index(words[0]) + len(re.split("['’]", words[0])[0])

    def usual_form(word: re.Match[str]) -> str:
        if language == "de" and re.fullmatch(_FORMAL, word[0]):  # it may be meant: Haben Sie Zeit?
            return word[0]
        return _usual_form(word[0], vocabulary, language)

    rest = _WORD.sub(usual_form, sentence[first:])
    later = [word for word in re.findall(_WITH_APOSTROPHES, rest) if word[0].isalpha()][1 - len(words) :]
    small = sum(word[0].islower() for word in later)
    least = 3 if sentence[-1] in ".!?…" or any(not word.isalnum() for word in words) else 1
    enough = max((len(words) - 1) / 2, least)
    return sentence[:first] + rest if small >= enough else None


def _usual_form(word: str, vocabulary: Vocabulary, language: str) -> str:
    """The usual form of a word: that of the vocabulary's list, or else the one that suits its pieces best.

    It is in lower case, with a first capital, or all in capitals.
    """
    if not word.isalpha():  # a code
        return word
    small = [lower(word, language)]
    if language == "de" and word.isupper():  # in capitals, ß is mostly written as SS
        small.append(small[0].replace("ss", "ß"))
    if listed := [vocabulary.words[form] for form in small if form in vocabulary.words]:
        return max(listed, key=lambda one: one[1])[0]
    costs = {form: vocabulary.cost(form) for letters in small for form in (letters, word[:1] + letters[1:])}
    costs[word] = vocabulary.cost(word)
    best = min(small, key=costs.__getitem__)
    for form in (word[:1] + best[1:], word):
        if (costs[form][0], costs[form][1] + _MUCH_MORE) < costs[best]:
            best = form
    return best
