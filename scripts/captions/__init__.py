"""The grammar and the lexicon that make `builtin:captions`, an English-German-French parallel corpus.

The sentences are in the style of photo captions, with statements about past and future, questions and subordinate
clauses. The grammar draws what a sentence means; english.py, german.py and french.py say it. Everything here was
written for this project, and nothing is copied from elsewhere. scripts/make-captions writes the corpus as a table.
"""

from functools import lru_cache

from captions import english, french, german
from captions.grammar import Grammar
from captions.phrases import Sentence

LANGUAGES = ("de", "en", "fr")
SIZES = {"train": 48000, "validation": 1000, "test": 1000}
SEED = 1
LENGTHS = range(4, 17)  # words, in every language

Said = dict[str, str]  # a sentence in each language


def say(sentence: Sentence) -> Said:
    """The sentence in every language."""
    return {"de": german.sentence(sentence), "en": english.sentence(sentence), "fr": french.sentence(sentence)}


@lru_cache(maxsize=1)
def corpus() -> dict[str, list[tuple[Sentence, Said]]]:
    """The sentences of each part, as meaning and as text.

    A sentence that was said before, in any of the languages, is dropped. So each sentence has exactly one translation,
    and no sentence is in two parts. The sentences of validation and test are taken from all of the corpus, evenly.
    """
    grammar = Grammar(SEED)
    seen: dict[str, set[str]] = {language: set() for language in LANGUAGES}
    kept: list[tuple[Sentence, Said]] = []
    while len(kept) < sum(SIZES.values()):
        sentence = grammar.sentence()
        if sentence is None:
            continue
        said = say(sentence)
        if said["de"] in seen["de"] or said["en"] in seen["en"] or said["fr"] in seen["fr"]:
            continue
        if not all(text.removesuffix(" ?").count(" ") + 1 in LENGTHS for text in said.values()):
            continue
        for language in LANGUAGES:
            seen[language].add(said[language])
        kept.append((sentence, said))
    step = sum(SIZES.values()) // SIZES["test"]
    held_out = step * SIZES["test"]
    return {
        "train": [item for index, item in enumerate(kept) if index >= held_out or index % step > 1],
        "validation": kept[0:held_out:step],
        "test": kept[1:held_out:step],
    }
