"""English: articles, verb forms, word order."""

from captions.lexicon import Fixed, english_third
from captions.phrases import AnyClause, Clause, NounPhrase, Predicate, PrepositionalPhrase, Pronoun, Sentence

NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
POSSESSIVES = {"I": "my", "we": "our", "he": "his", "she": "her"}
BE = {"1s": "am", "3s": "is", "1p": "are", "3p": "are"}


def article(word: str) -> str:
    """`a` or `an`, by sound: an apple, a uniform."""
    return "an" if word[0] in "aeiou" and not word.startswith("uni") else "a"


def noun_phrase(phrase: NounPhrase | Pronoun) -> list[str]:
    """Determiner, adjectives, noun, and what follows: clothes, a relative clause."""
    if isinstance(phrase, Pronoun):
        return [phrase.word]
    noun = phrase.noun
    words = [adjective.en for adjective in phrase.adjectives]
    words.append(noun.en_plural if phrase.plural else noun.en)
    if phrase.determiner in ("the", "no"):
        words.insert(0, phrase.determiner)
    elif phrase.determiner == "number":
        words.insert(0, NUMBERS[phrase.count - 2])
    elif phrase.determiner in POSSESSIVES:
        words.insert(0, POSSESSIVES[phrase.determiner])
    elif not phrase.plural and not noun.mass:
        words.insert(0, article(words[0]))
    if phrase.wearing is not None:
        words += ["in" if "in" in phrase.wearing.noun.classes else "with", *noun_phrase(phrase.wearing)]
    if phrase.relative is not None:
        words += relative_clause(phrase.relative, "person" in noun.classes)
    return words


def relative_clause(clause: Clause, person: bool) -> list[str]:
    """`who is feeding the horse`, `that the man is waiting for`."""
    if clause.gap == "subject":
        return ["who" if person else "that", *predicate(clause)]
    return ["whom" if person else "that", *noun_phrase(clause.subject), *predicate(clause)]


def place(phrase: PrepositionalPhrase | None) -> list[str]:
    """A place, or nothing."""
    return [] if phrase is None else [phrase.en, *noun_phrase(phrase.phrase)]


def verb_forms(clause: Clause) -> tuple[list[str], list[str]]:
    """The auxiliary (empty in a plain tense) and the rest of the verb."""
    verb, third = clause.verb, clause.subject.person == "3s"
    if clause.modal is not None:
        modal = (clause.modal.en_third if third else clause.modal.en).split()
        if modal[-1] == "to" and len(modal) == 2:  # wants to: a plain verb
            return [], [*modal, verb.en]
        return modal[:1], [*modal[1:], verb.en]
    if clause.tense == "future":
        return ["will"], [verb.en]
    if clause.tense == "past":
        return [], [verb.en_past]
    if verb.stative:
        return [], [english_third(verb.en) if third else verb.en]
    return [BE[clause.subject.person]], [verb.en_ing]


def question_forms(clause: Clause) -> tuple[str, list[str]]:
    """The auxiliary that stands before the subject, `do` where there is none, and the rest of the verb."""
    auxiliary, rest = verb_forms(clause)
    if auxiliary:
        return auxiliary[0], rest
    do = "did" if clause.tense == "past" else "does" if clause.subject.person == "3s" else "do"
    modal = clause.modal.en.split() if clause.modal is not None else []
    return do, [*modal, clause.verb.en]


def after_verb(clause: Clause) -> list[str]:
    """Recipient, object (giving the man a hat, but returning a hat to the man), place, complement clause."""
    if clause.recipient is not None and clause.object is not None and clause.verb.en_preposition:
        return [*noun_phrase(clause.object), clause.verb.en_preposition, *noun_phrase(clause.recipient)]
    words = noun_phrase(clause.recipient) if clause.recipient is not None else []
    if clause.object is not None or clause.gap == "object":
        words += [clause.verb.en_preposition] if clause.verb.en_preposition else []
    if clause.object is not None and clause.gap != "object":
        words += noun_phrase(clause.object)
    words += place(clause.place)
    if clause.complement is not None:
        words += ["that", *statement(clause.complement)]
    return words


def predicate(clause: Clause) -> list[str]:
    """The clause without its subject."""
    auxiliary, rest = verb_forms(clause)
    return [*auxiliary, *rest, *after_verb(clause)]


def statement(clause: AnyClause) -> list[str]:
    """A clause in statement order."""
    if isinstance(clause, Fixed):
        return [clause.en]
    if isinstance(clause, Predicate):
        degree = ["very"] if clause.very else []
        return [*noun_phrase(clause.subject), BE[clause.subject.person], *degree, clause.adjective.en]
    return [*noun_phrase(clause.subject), *predicate(clause)]


def question(clause: AnyClause) -> list[str]:
    """A clause in question order: the auxiliary before the subject."""
    assert not isinstance(clause, Fixed)
    if isinstance(clause, Predicate):
        degree = ["very"] if clause.very else []
        return [BE[clause.subject.person], *noun_phrase(clause.subject), *degree, clause.adjective.en]
    auxiliary, rest = question_forms(clause)
    return [auxiliary, *noun_phrase(clause.subject), *rest, *after_verb(clause)]


def sentence(meant: Sentence) -> str:
    """The sentence in English."""
    if meant.question:
        words = [*([] if meant.question == "yes" else [meant.question]), *question(meant.main)]
    else:
        words = statement(meant.main)
    if isinstance(meant.front, PrepositionalPhrase):
        words = [*place(meant.front), ",", *words]
    elif meant.front is not None:
        words = [meant.front.en, ",", *words]
    if meant.second is not None:
        second = [meant.conjunction, *statement(meant.second)]
        comma = [","] if meant.conjunction == "but" else []
        words = [*second, ",", *words] if meant.reverse else [*words, *comma, *second]
    text = " ".join(words).replace(" ,", ",")
    who = isinstance(meant.main, Clause) and meant.main.subject == Pronoun("who")
    return text[0].upper() + text[1:] + ("?" if meant.question or who else ".")
