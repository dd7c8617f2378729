"""Terms of a glossary in a translation, each at the place that the alignment gives it.

A term that is only required tends to be added at the end of a translation that already has another word for it. A
sentence with terms is therefore translated twice: first freely, then with the terms in place of the words that
correspond to them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from nmt.errors import UserError
from nmt.text.capitals import with_first_capital
from nmt.text.glossary import Glossary
from nmt.text.markup import Segment, Units, letters
from nmt.text.spans import restore_spans
from nmt.text.vocabulary import END
from nmt.translation.copying import SourceSentence, Term
from nmt.translation.markup import Layout

if TYPE_CHECKING:
    from nmt.config import DecodingConfig
    from nmt.translation.translator import PreparedLine, Sentence, Translation, Translator

_ARTICLE = re.compile(r"(?<![\w'’])([Aa])n? $")
_VOWEL = re.compile(r"(?!eu|u[bnst]i|one\b|once\b)[aeiou]|hou?r|hono|hone|heir", re.IGNORECASE)
OTHER_WORD = -0.5
"""Least weight to a term, less that to other words, of a word between words that are translations of the term."""
MOST_TERMS = 100
"""Maximum number of terms of a sentence."""


def find_terms(translator: Translator, line: PreparedLine, glossary: Glossary) -> PreparedLine:
    """The line with the terms that occur in its sentences."""
    sentences, problems = list[SourceSentence](), [*line.problems, *glossary.problems]
    for sentence in line.sentences:
        terms: list[Term] = []
        for match in glossary.find(sentence.text) if sentence.unchanged is None else ():
            try:
                phrase = translator.phrase(match.target, "the translation of a term", True)
            except UserError as error:
                problems.append(f"{error}; the term is left out")
                continue
            forbidden = line.constraints.forbidden
            if len(terms) == MOST_TERMS or (forbidden is not None and forbidden.occurs_in(phrase)):
                why = f"the sentence has {MOST_TERMS} others" if len(terms) == MOST_TERMS else "it is forbidden"
                problems.append(f"the term {match.target!r} is left out, as {why}")
            else:
                terms.append(Term(match.start, match.end, translator.text(phrase), phrase))
        sentences.append(sentence._replace(terms=tuple(terms)))
    return line._replace(sentences=sentences, problems=problems)


def translate_with_terms(
    translator: Translator,
    sentences: Sequence[Sentence],
    decoding: DecodingConfig,
    n_best: int,
    attention_weights: bool,
) -> list[list[Translation]]:
    """`Translator.translate_ids` for sentences of which some have terms.

    Terms are required where no words can be exchanged for them: without attention, and beside other given pieces.
    """
    places = [
        i
        for i, one in enumerate(sentences)
        if one.terms and not one.constraints.give_pieces and translator.has_attention and decoding.method == "beam"
    ]
    others = sorted(set(range(len(sentences))).difference(places))
    required = [_require(sentences[i], sentences[i].terms) for i in others]
    results = dict(
        zip(
            others,
            translator.translate_ids(required, decoding, n_best, attention_weights=attention_weights),
            strict=True,
        )
    )
    found = _exchange(translator, [sentences[i] for i in places], decoding, n_best, attention_weights)
    results.update(zip(places, found, strict=True))
    return [results[i] for i in range(len(sentences))]


def _exchange(
    translator: Translator,
    sentences: Sequence[Sentence],
    decoding: DecodingConfig,
    n_best: int,
    attention_weights: bool,
) -> list[list[Translation]]:
    """The free translations of sentences, each with the terms in place of the words that correspond to them.

    The best one is made of the best free one. Its confidence is that of the free one: the words that a user asks for
    are improbable, and right.
    """
    # Some become equal, and others have no words to exchange: a list is made of more than it will have.
    count = n_best if n_best == 1 else max(n_best, decoding.beam_size)
    asked = [one._replace(capitals=False) for one in sentences]
    free = [
        [one for i, one in enumerate(found) if i == 0 or exchanged(sentence, one, "")[1]]
        for sentence, found in zip(
            sentences, translator.translate_ids(asked, decoding, count, attention_weights=True), strict=True
        )
    ]
    given = [_with_terms(translator, one, each) for one, found in zip(sentences, free, strict=True) for each in found]
    again = iter(translator.translate_ids(given, decoding, 1, attention_weights=attention_weights))
    results = []
    for found in free:
        made = [replace(next(again)[0], confidence=one.confidence) for one in found]
        if decoding.minimum_bayes_risk != "none":  # the risk of a single translation says nothing
            made = [replace(one, score=each.score) for one, each in zip(made, found, strict=True)]
        distinct: dict[str, Translation] = {}
        for one in [made[0], *sorted(made[1:], key=lambda one: -one.score)]:
            distinct.setdefault(one.text, one)
        results.append(list(distinct.values())[:n_best])
    return results


def _with_terms(translator: Translator, sentence: Sentence, free: Translation) -> Sentence:
    """The sentence with constraints that give its free translation, with its terms, as far as that is possible.

    Terms without corresponding words are required.
    """
    text, is_whole = exchanged(sentence, free, translator.target_language)
    if not text:
        return _require(sentence, sentence.terms)
    if is_whole:
        text = with_first_capital(text, sentence.text, translator.target_language)
    try:
        ids = translator.phrase(translator.copying.phrase(text, sentence.copies), "the prefix", False)
    except UserError:  # it has unknown pieces
        return _require(sentence, sentence.terms)
    if is_whole:
        return sentence._replace(constraints=sentence.constraints._replace(prefix=(*ids, END)))
    missing = [term for term in sentence.terms if not _is_in(term.text, text)]
    return _require(sentence._replace(constraints=sentence.constraints._replace(prefix=ids)), missing)


def _require(sentence: Sentence, terms: Sequence[Term]) -> Sentence:
    required = dict.fromkeys((*sentence.constraints.required, *(term.phrase for term in terms)))
    return sentence._replace(constraints=sentence.constraints._replace(required=tuple(required)))


def _is_in(term: str, text: str) -> bool:
    """Whether a term is in a text as whole words."""
    return re.search(rf"(?<!\w){re.escape(term)}(?!\w)", text) is not None


def exchanged(sentence: Sentence, free: Translation, language: str) -> tuple[str, bool]:
    """A free translation with the terms in place of the words that correspond to them, and whether it has all terms.

    Without some, it ends with the word after the last term that it has. In English, `a` and `an` suit the term.
    """
    missing = [term for term in sentence.terms if not _is_in(term.text, free.text)]
    runs = sorted(_runs(sentence, free, missing))
    units = Units.of(free.text)
    text, place, last = "", 0, 0
    for start, end, term in runs:
        text += free.text[place : units.starts[start]]
        if language == "en":
            text = _ARTICLE.sub(r"\1n " if _VOWEL.match(term) else r"\1 ", text)
        text += term
        place, last = units.ends[end - 1], end
    if len(runs) == len(missing):
        return text + free.text[place:], True
    return text + free.text[place : units.ends[min(last, len(units.ends) - 1)]] if runs else "", False


def _runs(sentence: Sentence, free: Translation, terms: Sequence[Term]) -> Iterator[tuple[int, int, str]]:
    """For each term the units of the free translation that correspond to it."""
    layout = Layout(Segment(), [restore_spans(sentence.text, sentence.copies)], [free])
    for number, term in enumerate(terms, 1):
        start, end = (
            len(letters(restore_spans(sentence.text[:place], sentence.copies))) for place in (term.start, term.end)
        )
        inside = np.flatnonzero((layout.ends > start) & (layout.starts < end))
        run = layout.best_run(0, inside, 0, OTHER_WORD) if len(inside) else None
        if run is not None:
            layout.owner[slice(*run)] = number
            yield *run, term.text
