"""Sentences before they are said in a language: what is meant, without word order or endings."""

from dataclasses import dataclass

from captions.lexicon import Adjective, Fixed, Modal, Noun, Verb


@dataclass(frozen=True, slots=True)
class NounPhrase:
    """A noun with all that belongs to it.

    determiner: "a", "the", "number" (the count is said), "no", or the owner's pronoun: "I", "we", "he", "she"
    count: 1, or the number of things; with "a" and more than one, a plural without article (de; fr: des)
    wearing: what a person wears, said in (a coat) or with (a hat)
    relative: a clause with the gap "subject" or "object" that this noun fills
    """

    noun: Noun
    determiner: str
    count: int = 1
    adjectives: tuple[Adjective, ...] = ()
    wearing: "NounPhrase | None" = None
    relative: "Clause | None" = None

    @property
    def person(self) -> str:
        """Singular or plural for the verb: 3s or 3p."""
        return "3p" if self.count > 1 else "3s"

    @property
    def feminine(self) -> bool:
        """The gender French verbs agree with."""
        return self.noun.fr_feminine

    @property
    def plural(self) -> bool:
        return self.count > 1


@dataclass(frozen=True, slots=True)
class Pronoun:
    """I, we, he, she, or who."""

    word: str

    @property
    def person(self) -> str:
        return {"I": "1s", "we": "1p"}.get(self.word, "3s")

    @property
    def feminine(self) -> bool:
        return self.word == "she"

    @property
    def plural(self) -> bool:
        return self.word == "we"


@dataclass(frozen=True, slots=True)
class PrepositionalPhrase:
    """A place: the prepositions of the three languages, the German case, and the noun phrase."""

    en: str
    de: str
    de_case: str
    fr: str
    phrase: NounPhrase


@dataclass(frozen=True, slots=True)
class Clause:
    """Who does what to whom, where. With a gap, that part is missing: a relative clause or a question fills it.

    tense: "present", "past" or "future"; with a modal always "present"
    complement: the clause after a verb such as `say`
    """

    subject: NounPhrase | Pronoun
    verb: Verb
    tense: str = "present"
    modal: Modal | None = None
    object: NounPhrase | None = None
    recipient: NounPhrase | None = None
    place: PrepositionalPhrase | None = None
    gap: str = ""
    complement: "Clause | Predicate | None" = None


@dataclass(frozen=True, slots=True)
class Predicate:
    """Something is (very) old."""

    subject: NounPhrase | Pronoun
    adjective: Adjective
    very: bool = False


AnyClause = Clause | Predicate | Fixed  # Fixed: the weather


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence.

    front: an adverbial at the beginning
    question: "", "yes", "where" or "what" ("who" is a subject and needs nothing more)
    conjunction: English "and", "but", "because", "while", "if" between the clauses, else ""
    reverse: the subordinate clause comes first
    """

    kind: str
    main: AnyClause
    front: Fixed | PrepositionalPhrase | None = None
    question: str = ""
    conjunction: str = ""
    second: AnyClause | None = None
    reverse: bool = False
