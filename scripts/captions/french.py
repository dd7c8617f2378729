"""French: agreement, adjective position, elision and contractions, verb forms, word order."""

from captions.lexicon import Adjective, Fixed, french_plural
from captions.phrases import AnyClause, Clause, NounPhrase, Predicate, PrepositionalPhrase, Pronoun, Sentence

NUMBERS = ("deux", "trois", "quatre", "cinq", "six", "sept", "*huit", "neuf", "dix", "*onze", "douze")
PRONOUNS = {"I": "je", "we": "nous", "he": "il", "she": "elle", "who": "qui"}
POSSESSIVES = {"I": ("mon", "ma", "mes"), "we": ("notre", "notre", "nos"),
               "he": ("son", "sa", "ses"), "she": ("son", "sa", "ses")}  # fmt: skip
CONJUNCTIONS = {"and": "et", "but": "mais", "because": "parce que", "while": "pendant que", "if": "si"}
BEFORE_VOWEL = {"beau": "bel", "nouveau": "nouvel", "vieux": "vieil", "ma": "mon", "sa": "son"}
CONTRACTIONS = {("de", "le"): "du", ("de", "les"): "des", ("à", "le"): "au", ("à", "les"): "aux"}
ELIDED = ("le", "la", "de", "que", "ne", "je", "se", "me")
SHORTENED = frozenset((*ELIDED, "à", "si"))  # words that may be elided or contracted

HAVE = {"1s": "ai", "3s": "a", "1p": "avons", "3p": "ont"}
BE = {"1s": "suis", "3s": "est", "1p": "sommes", "3p": "sont"}
WAS = {"1s": "étais", "3s": "était", "1p": "étions", "3p": "étaient"}
FUTURE = {"1s": "ai", "3s": "a", "1p": "ons", "3p": "ont"}
REFLEXIVE = {"1s": "me", "3s": "se", "1p": "nous", "3p": "se"}
MODAL_INDEX = {"1s": 0, "3s": 1, "1p": 2, "3p": 3}


def vowel(word: str) -> bool:
    """Whether a word starts with a vowel sound; an aspirated h carries a star."""
    return word[0] in "aeiouhéèêàâîôûœ"


def agree(masculine: str, feminine: str, is_feminine: bool, plural: bool) -> str:
    """The one of four forms of an adjective or participle."""
    form = feminine if is_feminine else masculine
    return french_plural(form) if plural else form


def adjective_form(adjective: Adjective, is_feminine: bool, plural: bool) -> str:
    """The adjective agreeing with its noun."""
    return agree(adjective.fr, adjective.fr_feminine, is_feminine, plural)


def participle(word: str, is_feminine: bool, plural: bool) -> str:
    """A participle agreeing with what it goes with: arrivée, arrivés; debout never changes."""
    return word if word == "debout" else agree(word, word + "e", is_feminine, plural)


def noun_phrase(phrase: NounPhrase | Pronoun, after_de: bool = False) -> list[str]:
    """Determiner, adjectives around the noun, and what follows.

    after_de: after the preposition de or a negation, where des, du and de la are not said
    """
    if isinstance(phrase, Pronoun):
        return [PRONOUNS[phrase.word]]
    noun, plural, feminine = phrase.noun, phrase.plural, phrase.noun.fr_feminine
    before = [adjective_form(item, feminine, plural) for item in phrase.adjectives if item.fr_before]
    after = [adjective_form(item, feminine, plural) for item in phrase.adjectives if not item.fr_before]
    words = [*before, noun.fr_plural if plural else noun.fr, *after]
    definite = "les" if plural else "la" if feminine else "le"
    if before and not plural and vowel(words[len(before)]):
        words[len(before) - 1] = BEFORE_VOWEL.get(before[-1], before[-1])
    if phrase.determiner == "the":
        words.insert(0, definite)
    elif phrase.determiner == "number":
        words.insert(0, NUMBERS[phrase.count - 2])
    elif phrase.determiner in POSSESSIVES:
        possessive = POSSESSIVES[phrase.determiner][2 if plural else int(feminine)]
        words.insert(0, BEFORE_VOWEL.get(possessive, possessive) if vowel(words[0]) else possessive)
    elif phrase.determiner == "no":
        words.insert(0, "de")
    elif noun.mass:
        words = words if after_de else ["de", definite, *words]
    elif plural:
        words = words if after_de else ["de" if before else "des", *words]
    else:
        words.insert(0, "une" if feminine else "un")
    if phrase.wearing is not None:
        worn = noun_phrase(phrase.wearing)
        words += ["en", *worn[1:]] if "in" in phrase.wearing.noun.classes else ["avec", *worn]
    if phrase.relative is not None:
        words += relative_clause(phrase.relative, phrase)
    return words


def relative_clause(clause: Clause, head: NounPhrase) -> list[str]:
    """`qui nourrit le cheval`, `que l'homme a lavée`: a participle with avoir agrees with the object before it."""
    if clause.gap == "subject":
        return ["qui", *predicate(clause)]
    return ["que", *noun_phrase(clause.subject), *predicate(clause, head)]


def prepositional(preposition: str, phrase: NounPhrase) -> list[str]:
    """Preposition and noun phrase; au bord de ends in de, so it contracts like it."""
    head = preposition.split("_")
    return [*head, *noun_phrase(phrase, after_de=head[-1] == "de")]


def place(phrase: PrepositionalPhrase | None) -> list[str]:
    """A place, or nothing."""
    return [] if phrase is None else prepositional(phrase.fr, phrase.phrase)


def verb_forms(clause: Clause, head: NounPhrase | None = None) -> tuple[str, list[str]]:
    """The finite verb and what follows it: participle or infinitive, with the reflexive pronoun where it belongs."""
    verb, subject = clause.verb, clause.subject
    person, reflexive = subject.person, [REFLEXIVE[subject.person]] if verb.fr_reflexive else []
    if verb.fr_state:
        state = participle(verb.fr_state, subject.feminine, subject.plural)
        if clause.modal is not None:
            return clause.modal.fr[MODAL_INDEX[person]], ["être", state]
        finite = {"present": BE[person], "past": WAS[person], "future": "ser" + FUTURE[person]}[clause.tense]
        return finite, [state]
    if clause.modal is not None:
        return clause.modal.fr[MODAL_INDEX[person]], [*reflexive, verb.fr]
    if clause.tense == "future":
        return verb.fr_future + FUTURE[person], []
    if clause.tense == "past":
        if verb.fr_etre or verb.fr_reflexive:
            return BE[person], [participle(verb.fr_participle, subject.feminine, subject.plural)]
        if head is not None:
            return HAVE[person], [participle(verb.fr_participle, head.feminine, head.plural)]
        return HAVE[person], [verb.fr_participle]
    return (verb.fr_third if person == "3s" else verb.fr_third_plural), []


def predicate(clause: Clause, head: NounPhrase | None = None) -> list[str]:
    """The clause without its subject: negation, reflexive, verb, object, recipient, place, complement."""
    finite, rest = verb_forms(clause, head)
    target = clause.object
    negated = target is not None and target.determiner == "no"
    words = ["ne"] if negated else []
    if clause.verb.fr_reflexive and clause.modal is None:
        words.append(REFLEXIVE[clause.subject.person])
    words += [finite, *(["pas"] if negated else []), *rest]
    if target is not None and clause.gap != "object":
        preposition = clause.verb.fr_preposition
        words += prepositional(preposition, target) if preposition else noun_phrase(target, after_de=negated)
    if clause.recipient is not None:
        words += ["à", *noun_phrase(clause.recipient)]
    words += place(clause.place)
    if clause.complement is not None:
        words += ["que", *statement(clause.complement)]
    return words


def statement(clause: AnyClause) -> list[str]:
    """A clause: the order is the same everywhere."""
    if isinstance(clause, Fixed):
        return clause.fr.split()
    subject = clause.subject
    if isinstance(clause, Predicate):
        said = adjective_form(clause.adjective, subject.feminine, subject.plural)
        return [*noun_phrase(subject), BE[subject.person], *(["très"] if clause.very else []), said]
    return [*noun_phrase(subject), *predicate(clause)]


def sentence(meant: Sentence) -> str:
    """The sentence in French."""
    words = statement(meant.main)
    if meant.question:
        opening = {"yes": "est-ce que", "where": "où est-ce que", "what": "qu'est-ce que"}[meant.question]
        words = [*opening.split(), *words]
    if isinstance(meant.front, PrepositionalPhrase):
        words = [*place(meant.front), ",", *words]
    elif meant.front is not None:
        words = [*meant.front.fr.split(), ",", *words]
    if meant.second is not None:
        second = [*CONJUNCTIONS[meant.conjunction].split(), *statement(meant.second)]
        comma = [","] if meant.conjunction == "but" else []
        words = [*second, ",", *words] if meant.reverse else [*words, *comma, *second]
    who = isinstance(meant.main, Clause) and meant.main.subject == Pronoun("who")
    return join(words) + (" ?" if meant.question or who else ".")


def join(words: list[str]) -> str:
    """One string: elision (l'homme), contraction (au parc), no stars, capital letter."""
    text, index = "", 0
    while index < len(words):
        word = words[index]
        index += 1
        if word not in SHORTENED or index == len(words):
            text += word + " "
            continue
        following = words[index]
        if word in ELIDED and vowel(following):
            text += word[:-1] + "'"
        elif word == "si" and following in ("il", "ils"):
            text += "s'"
        elif (word, following) in CONTRACTIONS and not (following == "le" and vowel(words[index + 1])):
            text += CONTRACTIONS[word, following] + " "
            index += 1
        else:
            text += word + " "
    text = text.replace(" ,", ",").replace("*", "").rstrip()
    return text[0].upper() + text[1:]
