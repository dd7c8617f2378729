"""German: declension, verb forms, word order."""

from dataclasses import replace

from captions.lexicon import Adjective, Fixed, Noun, Verb
from captions.phrases import AnyClause, Clause, NounPhrase, Predicate, PrepositionalPhrase, Pronoun, Sentence

NUMBERS = ("zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn", "elf", "zwölf")
PRONOUNS = {"I": "ich", "we": "wir", "he": "er", "she": "sie", "who": "wer"}
POSSESSIVES = {"I": "mein", "we": "unser", "he": "sein", "she": "ihr"}
CONJUNCTIONS = {"and": "und", "but": "aber", "because": "weil", "while": "während", "if": "wenn"}
CONTRACTIONS = {
    ("in", "dem"): "im", ("an", "dem"): "am", ("zu", "dem"): "zum", ("zu", "der"): "zur",
    ("in", "das"): "ins", ("an", "das"): "ans", ("von", "dem"): "vom",
}  # fmt: skip

Table = dict[str, tuple[str, ...]]


def _table(nominative: str, accusative: str, dative: str) -> Table:
    """Endings or words of three cases; columns: masculine, feminine, neuter, plural; a hyphen for none."""
    rows = {"nom": nominative, "acc": accusative, "dat": dative}
    return {case: tuple(cell.strip("-") for cell in row.split()) for case, row in rows.items()}


COLUMN = {"der": 0, "die": 1, "das": 2}
DEFINITE = _table("der die das die", "den die das die", "dem der dem den")
INDEFINITE = _table("- e - e", "en e - e", "em er em en")
WEAK = _table("e e e en", "en e e en", "en en en en")
MIXED = _table("er e es en", "en e es en", "en en en en")
STRONG = _table("er e es e", "en e es e", "em er em en")
RELATIVE = _table("der die das die", "den die das die", "dem der dem denen")

HAVE = {"1s": "habe", "3s": "hat", "1p": "haben", "3p": "haben"}
BE = {"1s": "bin", "3s": "ist", "1p": "sind", "3p": "sind"}
WILL = {"1s": "werde", "3s": "wird", "1p": "werden", "3p": "werden"}
MODAL_INDEX = {"1s": 0, "3s": 1, "1p": 2, "3p": 3}


def ending(table: Table, case: str, noun: Noun, plural: bool) -> str:
    """One cell of a table above."""
    return table[case][3 if plural else COLUMN[noun.de_article]]


def noun_form(noun: Noun, case: str, plural: bool) -> str:
    """The noun in its case: n-declension (den Jungen), dative plural -n (den Kindern)."""
    if plural:
        return noun.de_plural + ("n" if case == "dat" and not noun.de_plural.endswith(("n", "s")) else "")
    return noun.de_plural if noun.de_weak and case != "nom" else noun.de


def adjective_form(adjective: Adjective, case: str, noun: Noun, plural: bool, table: Table) -> str:
    """The adjective with the ending that the word before it asks for; rosa never takes one."""
    if adjective.de_invariable:
        return adjective.de
    return adjective.de_stem + ending(table, case, noun, plural)


def noun_phrase(phrase: NounPhrase | Pronoun, case: str) -> list[str]:
    """Article, adjectives, noun, and what follows: clothes, a relative clause between commas."""
    if isinstance(phrase, Pronoun):
        return [PRONOUNS[phrase.word]]
    noun, plural = phrase.noun, phrase.plural
    words, table = [], STRONG
    if phrase.determiner == "the":
        words, table = [ending(DEFINITE, case, noun, plural)], WEAK
    elif phrase.determiner == "number":
        words = [NUMBERS[phrase.count - 2]]
    elif phrase.determiner == "no" or phrase.determiner in POSSESSIVES:
        stem = "kein" if phrase.determiner == "no" else POSSESSIVES[phrase.determiner]
        words, table = [stem + ending(INDEFINITE, case, noun, plural)], MIXED
    elif not plural and not noun.mass:
        words, table = ["ein" + ending(INDEFINITE, case, noun, plural)], MIXED
    words += [adjective_form(adjective, case, noun, plural, table) for adjective in phrase.adjectives]
    words.append(noun_form(noun, case, plural))
    if phrase.wearing is not None:
        preposition = "in" if "in" in phrase.wearing.noun.classes else "mit"
        words += [preposition, *noun_phrase(phrase.wearing, "dat")]
    if phrase.relative is not None:
        words += relative_clause(phrase.relative, noun, plural)
    return words


def prepositional(preposition: str, case: str, phrase: NounPhrase) -> list[str]:
    """Preposition and noun phrase, contracted (im Garten) unless a relative clause follows (in dem Garten, der ...)."""
    words = noun_phrase(phrase, case)
    if (preposition, words[0]) in CONTRACTIONS and phrase.determiner == "the" and phrase.relative is None:
        return [CONTRACTIONS[preposition, words[0]], *words[1:]]
    return [preposition, *words]


def place(phrase: PrepositionalPhrase | None) -> list[str]:
    """A place, or nothing."""
    return [] if phrase is None else prepositional(phrase.de, phrase.de_case, phrase.phrase)


def relative_clause(clause: Clause, noun: Noun, plural: bool) -> list[str]:
    """`, der das Pferd füttert,`: gender and number of the noun, case of the gap, verb last."""
    verb = clause.verb
    if clause.gap == "subject":
        words = [ending(RELATIVE, "nom", noun, plural)]
    else:
        words = [verb.de_preposition] if verb.de_preposition else []
        words.append(ending(RELATIVE, verb.de_case, noun, plural))
    return [",", *words, *verb_last(clause, subject=clause.gap != "subject"), ","]


def participle(verb: Verb) -> str:
    """gefüttert, aufgemacht."""
    return verb.de_prefix + verb.de_participle


def verb_forms(clause: Clause) -> tuple[str, str]:
    """The finite verb and what closes the clause: the separable prefix, the participle or the infinitive."""
    verb, person = clause.verb, clause.subject.person
    infinitive = verb.de_prefix + verb.de
    if clause.modal is not None:
        return clause.modal.de[MODAL_INDEX[person]], infinitive
    if clause.tense == "future":
        return WILL[person], infinitive
    if clause.tense == "past":
        return (BE if verb.de_sein else HAVE)[person], participle(verb)
    return (verb.de_third if person == "3s" else verb.de), verb.de_prefix.strip()


def middle(clause: Clause) -> list[str]:
    """What stands between the verbs: dative, known object, place, new object, prepositional object."""
    verb, target = clause.verb, clause.object
    words = noun_phrase(clause.recipient, "dat") if clause.recipient is not None else []
    if target is None or clause.gap == "object":
        return words + place(clause.place)
    if verb.de_preposition:
        return words + place(clause.place) + prepositional(verb.de_preposition, verb.de_case, target)
    said = noun_phrase(target, verb.de_case)
    if target.determiner in ("a", "number", "no") and verb.de_case == "acc":
        return words + place(clause.place) + said
    return words + said + place(clause.place)


def verb_last(clause: AnyClause, subject: bool = True) -> list[str]:
    """A subordinate clause after its conjunction: (weil) der Junge das Fenster aufgemacht hat."""
    if isinstance(clause, Fixed):
        first, rest, verb = clause.de.split(", ")
        return [first, *rest.split(), verb]
    words = noun_phrase(clause.subject, "nom") if subject else []
    if isinstance(clause, Predicate):
        return [*words, *(["sehr"] if clause.very else []), clause.adjective.de, BE[clause.subject.person]]
    finite, closing = verb_forms(clause)
    words += middle(clause)
    if clause.modal is None and clause.tense == "present":
        return [*words, clause.verb.de_prefix + finite]
    return [*words, closing, finite]


def main_clause(clause: AnyClause, front: list[str], inverted: bool) -> list[str]:
    """A main clause: the finite verb second (first in a question), its other part last.

    A relative clause of the object follows that last part: Er hat den Hund gesehen, der schläft.
    """
    if isinstance(clause, Fixed):
        first, rest, verb = clause.de.split(", ")
        return [*front, verb, first, *rest.split()] if inverted else [first, verb, *rest.split()]
    subject = noun_phrase(clause.subject, "nom")
    if isinstance(clause, Predicate):
        finite = BE[clause.subject.person]
        rest_words = [*(["sehr"] if clause.very else []), clause.adjective.de]
    else:
        finite, closing = verb_forms(clause)
        trailing: list[str] = []
        if closing and clause.object is not None and clause.object.relative is not None:
            trailing = relative_clause(clause.object.relative, clause.object.noun, clause.object.plural)
            clause = replace(clause, object=replace(clause.object, relative=None))
        rest_words = [*middle(clause), *([closing] if closing else []), *trailing]
        if clause.complement is not None:
            rest_words += [",", "dass", *verb_last(clause.complement)]
    return [*front, finite, *subject, *rest_words] if inverted else [*subject, finite, *rest_words]


def sentence(meant: Sentence) -> str:
    """The sentence in German."""
    front: list[str] = []
    if isinstance(meant.front, PrepositionalPhrase):
        front = place(meant.front)
    elif meant.front is not None:
        front = [meant.front.de]
    if meant.question in ("where", "what"):
        front = ["wo" if meant.question == "where" else "was"]
    if meant.second is None:
        return join(main_clause(meant.main, front, bool(front) or bool(meant.question)), meant)
    conjunction = CONJUNCTIONS[meant.conjunction]
    if meant.conjunction in ("and", "but"):
        comma = [","] if meant.conjunction == "but" else []
        return join([*main_clause(meant.main, front, False), *comma, conjunction,
                     *main_clause(meant.second, [], False)], meant)  # fmt: skip
    subordinate = [conjunction, *verb_last(meant.second)]
    if meant.reverse:
        return join([*subordinate, ",", *main_clause(meant.main, [], True)], meant)
    return join([*main_clause(meant.main, front, False), ",", *subordinate], meant)


def join(words: list[str], meant: Sentence) -> str:
    """One string: commas closed up and never doubled or final, capital letter, final punctuation."""
    text = " ".join(word for word in words if word).replace(" ,", ",").replace(",,", ",").rstrip(",")
    question = meant.question or (isinstance(meant.main, Clause) and meant.main.subject == Pronoun("who"))
    return text[0].upper() + text[1:] + ("?" if question else ".")
