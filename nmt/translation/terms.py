"""Terms of a glossary in a translation, each at the place that the alignment gives it.

A term that is only required tends to be added at the end of a translation that already has another word for it. A
sentence with terms is therefore translated twice: first freely, then with the terms in place of the words that
correspond to them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from nmt.errors import UserError
from nmt.text.glossary import Glossary
from nmt.text.markup import Segment, Units, letters
from nmt.text.spans import restore_spans
from nmt.text.vocabulary import END
from nmt.translation.copying import SourceSentence, Term
from nmt.translation.markup import Layout

if TYPE_CHECKING:
    from nmt.config import DecodingConfig
    from nmt.translation.translator import PreparedLine, Sentence, Translation, Translator

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

    The best of several translations of a sentence is the one that it has alone: in a search for several, the words of
    the last term may be translated once more after the term.
    """
    made = with_terms(translator, sentences, decoding, n_best)
    found = translator.translate_ids(made, decoding, n_best, attention_weights=attention_weights)
    if n_best == 1 or decoding.method != "beam" or decoding.minimum_bayes_risk != "none":
        return found
    places = [i for i, one in enumerate(sentences) if one.terms]
    alone = translate_with_terms(translator, [sentences[i] for i in places], decoding, 1, attention_weights)
    for i, (best, *_) in zip(places, alone, strict=True):
        found[i] = [best, *(one for one in found[i] if one.text != best.text)][: max(1, len(found[i]))]
    return found


def with_terms(
    translator: Translator, sentences: Sequence[Sentence], decoding: DecodingConfig, n_best: int
) -> list[Sentence]:
    """The sentences with constraints that put their terms into the translations.

    The best translation is the free one with the terms in place of the words that correspond to them. In an n-best
    list, each translation begins in this way up to the last term. Terms without corresponding words are required.
    """
    made = [one if not one.terms else _require(one, one.terms) for one in sentences]
    guided = [
        i for i, one in enumerate(sentences) if one.terms and not (one.constraints.prefix or one.constraints.required)
    ]
    if guided and translator.has_attention and decoding.method == "beam":
        asked = [sentences[i]._replace(capitals=False) for i in guided]
        found = translator.translate_ids(asked, decoding, 1, attention_weights=True)
        for i, (free, *_) in zip(guided, found, strict=True):
            if n_best == 1 and all(_is_in(term.text, free.text) for term in sentences[i].terms):
                made[i] = sentences[i]
            elif prefix := guiding_prefix(sentences[i], free, whole=n_best == 1):
                made[i] = _begin(translator, sentences[i], *prefix)
    return made


def _require(sentence: Sentence, terms: Sequence[Term]) -> Sentence:
    required = dict.fromkeys((*sentence.constraints.required, *(term.phrase for term in terms)))
    return sentence._replace(constraints=sentence.constraints._replace(required=tuple(required)))


def _begin(translator: Translator, sentence: Sentence, prefix: str, is_whole: bool) -> Sentence:
    """The sentence with the beginning of its translation, or all of it; terms that it lacks are required."""
    try:
        ids = translator.phrase(translator.copying.phrase(prefix, sentence.copies), "the prefix", False)
    except UserError:  # it has unknown pieces
        return _require(sentence, sentence.terms)
    constraints = sentence.constraints._replace(prefix=(*ids, END) if is_whole else ids)
    missing = [term for term in sentence.terms if not _is_in(term.text, prefix)]
    return _require(sentence._replace(constraints=constraints), missing)


def _is_in(term: str, text: str) -> bool:
    """Whether a term is in a text as whole words."""
    return re.search(rf"(?<!\w){re.escape(term)}(?!\w)", text) is not None


def guiding_prefix(sentence: Sentence, free: Translation, whole: bool = True) -> tuple[str, bool] | None:
    """The free translation with its terms, and whether it is complete; None if no word corresponds to a missing term.

    whole: if False, or if a term has no corresponding word, it ends with the word after the last term
    """
    missing = [term for term in sentence.terms if not _is_in(term.text, free.text)]
    runs = sorted(_runs(sentence, free, missing))
    if not runs:
        return None
    units = Units.of(free.text)
    text, place, last = "", 0, 0
    for start, end, term in runs:
        text += free.text[place : units.starts[start]] + term
        place, last = units.ends[end - 1], end
    whole = whole and len(runs) == len(missing)
    return text + free.text[place : None if whole else units.ends[min(last, len(units.ends) - 1)]], whole


def _runs(sentence: Sentence, free: Translation, terms: Sequence[Term]) -> Iterator[tuple[int, int, str]]:
    """For each term the units of the free translation that correspond to it."""
    layout = Layout(Segment(), [restore_spans(sentence.text, sentence.copies)], [free])
    for number, term in enumerate(terms, 1):
        start, end = (
            len(letters(restore_spans(sentence.text[:place], sentence.copies))) for place in (term.start, term.end)
        )
        inside = np.flatnonzero((layout.ends > start) & (layout.starts < end))
        run = layout.best_run(0, inside, 0) if len(inside) else None
        if run is not None:
            layout.owner[slice(*run)] = number
            yield *run, term.text
