"""`builtin:captions`: an English-German-French parallel corpus made by a grammar with a trilingual lexicon.

Sentences in the spirit of photo captions, with statements about past and future, questions and subordinate clauses.
Written for this project; nothing is copied from anywhere. The same underlying sentences serve every pair of languages.
"""

from functools import lru_cache

from nmt.data.captions import english, french, german
from nmt.data.captions.grammar import Grammar
from nmt.data.captions.phrases import Sentence
from nmt.errors import UserError

LANGUAGES = ("de", "en", "fr")
SIZES = {"train": 48000, "validation": 1000, "test": 1000}
SEED = 1
LENGTHS = range(4, 17)  # words, in every language

Said = dict[str, str]  # a sentence in each language


def captions(source: str, target: str) -> dict[str, list[tuple[str, str]]]:
    """The corpus for an ordered pair of two different languages: sentence pairs of "train", "validation" and "test"."""
    if source not in LANGUAGES or target not in LANGUAGES or source == target:
        raise UserError(
            f"`builtin:captions` must be asked for two different languages of {', '.join(LANGUAGES)}, "
            f"but is asked for {source!r} to {target!r} instead."
        )
    return {part: [(said[source], said[target]) for _, said in items] for part, items in corpus().items()}


def say(sentence: Sentence) -> Said:
    """The sentence in every language."""
    return {"de": german.sentence(sentence), "en": english.sentence(sentence), "fr": french.sentence(sentence)}


@lru_cache(maxsize=1)
def corpus() -> dict[str, list[tuple[Sentence, Said]]]:
    """Every part with its sentences, meant and said.

    A draw that says in any language what an earlier one says is dropped, so that each sentence has exactly one
    translation, and no sentence is in two parts. Validation and test are spread evenly over the draws.
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
