"""English: articles, verb forms, word order, and the part of speech of each word."""

from captions.lexicon import Fixed, english_third
from captions.phrases import AnyClause, Clause, NounPhrase, Predicate, PrepositionalPhrase, Pronoun, Sentence

NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
POSSESSIVES = {"I": "my", "we": "our", "he": "his", "she": "her"}
BE = {"1s": "am", "3s": "is", "1p": "are", "3p": "are"}

FIXED = {
    "PRON": "it", "AUX": "is", "DET": "the this", "NUM": "two", "SCONJ": "that because while if", "CCONJ": "and but",
    "VERB": "raining snowing shining getting", "ADJ": "cold windy dark nice last next", "ADP": "in at despite",
    "NOUN": "sun weather yesterday week morning days summer year tomorrow evening today moment rain", "ADV": "ago soon",
}  # fmt: skip
"""The parts of speech of words in fixed expressions (universal dependencies: https://universaldependencies.org)."""
TAG_OF_FIXED = {word: tag for tag, words in FIXED.items() for word in words.split()}


class Word(str):
    """A word that knows its part of speech."""

    tag: str


def tagged(text: str, tag: str = "") -> list[Word]:
    """The words of a text, all with the same part of speech, or with those of words in fixed expressions."""
    words = [Word(word) for word in text.split()]
    for word in words:
        word.tag = tag or TAG_OF_FIXED[word]
    return words


def article(word: str) -> str:
    """`a` or `an`, by sound: an apple, a uniform."""
    return "an" if word[0] in "aeiou" and not word.startswith("uni") else "a"


def noun_phrase(phrase: NounPhrase | Pronoun) -> list[Word]:
    """Determiner, adjectives, noun, and what follows: clothes, a relative clause."""
    if isinstance(phrase, Pronoun):
        return tagged(phrase.word, "PRON")
    noun = phrase.noun
    words = [word for adjective in phrase.adjectives for word in tagged(adjective.en, "ADJ")]
    words += tagged(noun.en_plural if phrase.plural else noun.en, "NOUN")
    if phrase.determiner in ("the", "no"):
        words[:0] = tagged(phrase.determiner, "DET")
    elif phrase.determiner == "number":
        words[:0] = tagged(NUMBERS[phrase.count - 2], "NUM")
    elif phrase.determiner in POSSESSIVES:
        words[:0] = tagged(POSSESSIVES[phrase.determiner], "PRON")
    elif not phrase.plural and not noun.mass:
        words[:0] = tagged(article(words[0]), "DET")
    if phrase.wearing is not None:
        preposition = "in" if "in" in phrase.wearing.noun.classes else "with"
        words += [*tagged(preposition, "ADP"), *noun_phrase(phrase.wearing)]
    if phrase.relative is not None:
        words += relative_clause(phrase.relative, "person" in noun.classes)
    return words


def relative_clause(clause: Clause, person: bool) -> list[Word]:
    """`who is feeding the horse`, `that the man is waiting for`."""
    if clause.gap == "subject":
        return [*tagged("who" if person else "that", "PRON"), *predicate(clause)]
    return [*tagged("whom" if person else "that", "PRON"), *noun_phrase(clause.subject), *predicate(clause)]


def place(phrase: PrepositionalPhrase | None) -> list[Word]:
    """A place, or nothing."""
    return [] if phrase is None else [*tagged(phrase.en, "ADP"), *noun_phrase(phrase.phrase)]


def verb_forms(clause: Clause) -> tuple[list[Word], list[Word]]:
    """The auxiliary (empty in a plain tense) and the rest of the verb."""
    verb, third = clause.verb, clause.subject.person == "3s"
    if clause.modal is not None:
        modal = modal_words(clause.modal.en_third if third else clause.modal.en)
        if modal[-1] == "to" and len(modal) == 2:  # wants to: a plain verb
            return [], [*modal, *verb_words(verb.en)]
        return modal[:1], [*modal[1:], *verb_words(verb.en)]
    if clause.tense == "future":
        return tagged("will", "AUX"), verb_words(verb.en)
    if clause.tense == "past":
        return [], verb_words(verb.en_past)
    if verb.stative:
        return [], verb_words(english_third(verb.en) if third else verb.en)
    return tagged(BE[clause.subject.person], "AUX"), verb_words(verb.en_ing)


def verb_words(text: str) -> list[Word]:
    """A verb, and the particle that belongs to it: take off."""
    verb, _, particle = text.partition(" ")
    return [*tagged(verb, "VERB"), *tagged(particle, "ADP")]


def modal_words(text: str) -> list[Word]:
    """can; want to; would like to."""
    words = tagged(text, "VERB")
    if len(words) != 2:
        words[0].tag = "AUX"
    if words[-1] == "to":
        words[-1].tag = "PART"
    return words


def question_forms(clause: Clause) -> tuple[Word, list[Word]]:
    """The auxiliary that stands before the subject, `do` where there is none, and the rest of the verb."""
    auxiliary, rest = verb_forms(clause)
    if auxiliary:
        return auxiliary[0], rest
    do = "did" if clause.tense == "past" else "does" if clause.subject.person == "3s" else "do"
    modal = modal_words(clause.modal.en) if clause.modal is not None else []
    return tagged(do, "AUX")[0], [*modal, *verb_words(clause.verb.en)]


def after_verb(clause: Clause) -> list[Word]:
    """Recipient, object (giving the man a hat, but returning a hat to the man), place, complement clause."""
    if clause.recipient is not None and clause.object is not None and clause.verb.en_preposition:
        preposition = tagged(clause.verb.en_preposition, "ADP")
        return [*noun_phrase(clause.object), *preposition, *noun_phrase(clause.recipient)]
    words = noun_phrase(clause.recipient) if clause.recipient is not None else []
    if clause.object is not None or clause.gap == "object":
        words += tagged(clause.verb.en_preposition, "ADP")
    if clause.object is not None and clause.gap != "object":
        words += noun_phrase(clause.object)
    words += place(clause.place)
    if clause.complement is not None:
        words += [*tagged("that", "SCONJ"), *statement(clause.complement)]
    return words


def predicate(clause: Clause) -> list[Word]:
    """The clause without its subject."""
    auxiliary, rest = verb_forms(clause)
    return [*auxiliary, *rest, *after_verb(clause)]


def statement(clause: AnyClause) -> list[Word]:
    """A clause in statement order."""
    if isinstance(clause, Fixed):
        return tagged(clause.en)
    if isinstance(clause, Predicate):
        be = tagged(BE[clause.subject.person], "AUX")
        return [*noun_phrase(clause.subject), *be, *described(clause)]
    return [*noun_phrase(clause.subject), *predicate(clause)]


def described(clause: Predicate) -> list[Word]:
    """`very old`."""
    return [*(tagged("very", "ADV") if clause.very else []), *tagged(clause.adjective.en, "ADJ")]


def question(clause: AnyClause) -> list[Word]:
    """A clause in question order: the auxiliary before the subject."""
    assert not isinstance(clause, Fixed)
    if isinstance(clause, Predicate):
        return [*tagged(BE[clause.subject.person], "AUX"), *noun_phrase(clause.subject), *described(clause)]
    auxiliary, rest = question_forms(clause)
    return [auxiliary, *noun_phrase(clause.subject), *rest, *after_verb(clause)]


def words_of(meant: Sentence) -> list[Word]:
    """The words and punctuation marks of a sentence in English."""
    comma = tagged(",", "PUNCT")
    if meant.question:
        asked = "" if meant.question == "yes" else meant.question
        words = [*tagged(asked, "ADV" if asked == "where" else "PRON"), *question(meant.main)]
    else:
        words = statement(meant.main)
    if isinstance(meant.front, PrepositionalPhrase):
        words = [*place(meant.front), *comma, *words]
    elif meant.front is not None:
        words = [*tagged(meant.front.en), *comma, *words]
    if meant.second is not None:
        second = [*tagged(meant.conjunction), *statement(meant.second)]
        before = comma if meant.conjunction == "but" else []
        words = [*second, *comma, *words] if meant.reverse else [*words, *before, *second]
    who = isinstance(meant.main, Clause) and meant.main.subject == Pronoun("who")
    return [*words, *tagged("?" if meant.question or who else ".", "PUNCT")]


def sentence(meant: Sentence) -> str:
    """The sentence in English."""
    text = " ".join(words_of(meant))
    for mark in ",.?":
        text = text.replace(f" {mark}", mark)
    return text[0].upper() + text[1:]
