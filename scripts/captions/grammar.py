"""The grammar: draws what sentences mean, so that every word of the lexicon is used about equally often."""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from captions import lexicon
from captions.lexicon import Adjective, Noun, Place, Verb
from captions.phrases import AnyClause, Clause, NounPhrase, Predicate, PrepositionalPhrase, Pronoun, Sentence

T = TypeVar("T")

SENTENCES = {  # kind: weight
    "caption": 30, "past": 9, "future": 7, "modal": 8, "speaker": 7, "place first": 5, "time first": 8, "state": 7,
    "predicate": 7, "no": 4, "yes or no": 4, "where": 3, "what": 3, "who": 3, "because": 5, "while": 4, "if": 5,
    "that": 6, "relative subject": 6, "relative object": 6, "and": 4, "but": 4,
}  # fmt: skip

# What nobody plans to do: no modal verb.
UNPLANNED = ("cough", "sneeze", "snore", "wake up", "fall asleep", "lose", "dream", "run away", "steal", "cry", "laugh",
             "think", "find", "stand")  # fmt: skip
NO_QUANTITY = ("wear", "put on", "take off", "tidy up", "drive", "park", "ride", "play", "visit", "write", "lie")
RUN_TO = frozenset(["out", "green", "farm", "travel", "nature", "hall", "shop", "road", "water", "visit"])
DRIVE_TO = frozenset(["travel", "hall", "shop", "road", "farm", "city", "village"])
# Over before one can see it happen: no present.
PAST_ONLY = ("find", "lose")
# Nothing can be very much so.
ABSOLUTE = ("red", "blue", "green", "yellow", "black", "white", "gray", "brown", "purple", "pink", "striped", "broken",
            "empty", "new", "wild", "blond", "delicious", "round", "furious")  # fmt: skip
# How often the object of a verb has the definite article.
DEFINITE = {"like": 1.0, "visit": 1.0, "tidy up": 1.0, "have": 0.0, "order": 0.05, "ask": 0.05, "want": 0.2}
EXPRESSIVE = ("cry", "laugh", "smile", "shout", "sing", "dance", "whistle", "argue", "sleep", "snore")
# What somebody does who feels so, or when the weather is so.
REASONS = {
    "hungry": "eat, order, prepare, peel, cut, taste, steal",
    "thirsty": "drink, order, drink",
    "tired": "sleep, fall asleep, snore, sit, dream, come back",
    "sick": "cough, sneeze, call, sleep, come back",
    "sad": "cry, pray, dream",
    "happy": "laugh, smile, sing, dance, whistle, jump, hug, kiss, thank, invite, greet",
    "nervous": "pray, cry, whistle, shout, rush, come back",
    "furious": "shout, argue, throw away",
    "curious": "look at, open, unpack, watch, follow, read, listen to, visit",
    "lazy": "sleep, sit, dream, snore",
    "it is raining": "put on, come back, read, sleep, tidy up, turn on, repair",
    "it is snowing": "put on, come back, read, prepare, tidy up, wear, drink",
    "it is cold": "put on, come back, dance, wear",
    "it is windy": "put on, come back, take off, read",
    "it is getting dark": "turn on, come back, fall asleep, pray",
    "the sun is shining": "swim, go for a walk, sing, dance, laugh, water, wash, plant, paint, pick, draw, open",
    "the weather is nice": "swim, go for a walk, jump, smile, whistle, build, photograph, ride, visit, feed, invite",
}
KEYWORDS = ("while", "if", "and")
NEAR = (("in front of", "vor", "devant"), ("behind", "hinter", "derrière"), ("next to", "neben", "à_côté_de"))


class Grammar:
    """An endless supply of sentences, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.uses: dict[object, int] = {}  # of each entry of the lexicon, in all sentences drawn
        self.adjectives_left = 0
        by_adjective = [(noun, item) for item in lexicon.ADJECTIVES for noun in item.nouns]
        self.adjectives: dict[Noun, list[Adjective]] = {noun: [] for noun in lexicon.ALL_NOUNS}
        for noun, item in by_adjective:
            self.adjectives[noun].append(item)
        groups = ("intransitive", "motion", "transitive", "ditransitive", "stative", "matrix")
        self.verbs = {group: [verb for verb in lexicon.VERBS if verb.group == group] for group in groups}
        self.actions = [verb for group in groups[:4] for verb in self.verbs[group]]
        self.verbs["placed"] = [verb for verb in self.actions if verb.places]
        self.verbs["moving"] = [verb for verb in self.actions if verb.fr_etre or verb.fr_reflexive]
        self.verbs["what"] = [verb for verb in self.verbs["transitive"] if asks_what(verb)]
        self.verbs["whom"] = [verb for verb in self.verbs["transitive"] if asks_whom(verb)]
        self.verbs["personal"] = [verb for verb in self.actions if verb.subjects[0].en == "man"]
        self.verbs["simple"] = [verb for verb in self.actions if verb.group != "ditransitive"]
        self.reasons = {
            name: [verb for verb in self.actions if verb.en in plans.split(", ") and verb.en_preposition != "at"]
            for name, plans in REASONS.items()
        }
        self.persons = lexicon.select(["person"])
        self.near = lexicon.select(["building", "vehicle", "near", "statue"])
        self.goals = [place for place in lexicon.PLACES if place.goal]
        self.kinds = [kind for kind, weight in SENTENCES.items() for _ in range(weight)]

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def any(self, options: Sequence[T]) -> T:
        """One of the options, all alike."""
        return options[int(self.rng.random() * len(options))]

    def pick(self, options: Sequence[T]) -> T:
        """The least used of three options at random; counts it."""
        draw, count, uses = self.rng.random, len(options), self.uses
        best = options[int(draw() * count)]
        fewest = uses.get(best, 0)
        for _ in range(2):
            option = options[int(draw() * count)]
            used = uses.get(option, 0)
            if used < fewest:
                best, fewest = option, used
        uses[best] = fewest + 1
        return best

    def sentence(self) -> Sentence | None:
        """The next sentence; None if none could be made of what was drawn."""
        self.adjectives_left = 2
        kind = self.any(self.kinds)
        if kind in ("caption", "past", "future", "modal"):
            verbs = self.verbs["moving"] if kind == "past" and self.chance(0.3) else self.actions
            return self.wrap(kind, self.action("present" if kind == "caption" else kind, verbs=verbs))
        draw = getattr(self, kind.replace(" ", "_") + ("_" if kind in KEYWORDS else ""))
        result: Sentence | None = draw(kind)
        return result

    # Noun phrases.

    def adjectives_for(self, noun: Noun, probability: float, only_after: bool = False) -> tuple[Adjective, ...]:
        """None, one or two adjectives that fit; of two, the first stands before and the second after in French."""
        if self.adjectives_left <= 0 or not self.chance(probability):
            return ()
        options = [item for item in self.adjectives[noun] if not (only_after and item.fr_before)]
        if not options:
            return ()
        self.adjectives_left -= 1
        first = self.pick(options)
        if first.fr_before and self.adjectives_left > 0 and self.chance(0.15):
            colors = [item for item in options if not item.fr_before and item.en in COLORS]
            if colors:
                self.adjectives_left -= 1
                return (first, self.pick(colors))
        return (first,)

    def phrase(
        self, nouns: Sequence[Noun], adjectives: float = 0.3, plural: float = 0.3, definite: float = 0.45
    ) -> NounPhrase:
        """A noun phrase with one of the nouns."""
        noun = self.pick(nouns)
        count, determiner = 1, "the" if self.chance(definite) else "a"
        if not noun.mass and self.chance(plural):
            count = 2
            if determiner == "a" and self.chance(0.9 if "person" in noun.classes else 0.6):
                determiner, count = "number", self.count(noun)
        return NounPhrase(noun, determiner, count, self.adjectives_for(noun, adjectives))

    def count(self, noun: Noun) -> int:
        """Two to twelve small things; two to four large ones."""
        small = any(name in noun.classes for name in ("dish", "plant", "thing", "animal", "person"))
        return 2 + int(self.rng.random() * (11 if small else 3))

    def subject(self, verb: Verb, adjectives: float = 0.3, plural: float = 0.25, wearing: float = 0.12) -> NounPhrase:
        """Who can do it, perhaps described by clothes."""
        phrase = self.phrase(verb.subjects, adjectives, plural)
        if phrase.count == 1 and "person" in phrase.noun.classes and verb.en not in WEARING and self.chance(wearing):
            options = [noun for noun in WORN if fits(phrase.noun, noun)]
            garment = self.pick(options)
            worn = NounPhrase(garment, "a", 1, self.adjectives_for(garment, 0.7, only_after=True))
            return NounPhrase(phrase.noun, phrase.determiner, 1, phrase.adjectives, worn)
        return phrase

    def target(self, verb: Verb, subject: NounPhrase | Pronoun, adjectives: float = 0.3) -> NounPhrase | None:
        """What it can be done to: not the subject's own noun."""
        nouns: Sequence[Noun] = verb.objects
        if verb.en in WEARING and isinstance(subject, NounPhrase):
            nouns = [noun for noun in nouns if fits(subject.noun, noun)]
        elif verb.en in WEARING:
            nouns = [noun for noun in nouns if "men" not in noun.classes and "women" not in noun.classes]
        plural = 0.0 if verb.en in NO_QUANTITY else 0.3
        definite = DEFINITE.get(verb.en, 0.4)
        phrase = self.phrase(nouns, adjectives, plural, definite)
        if "pair" in phrase.noun.classes and verb.en in (*WEARING, "clean"):
            phrase = NounPhrase(phrase.noun, phrase.determiner, 2, phrase.adjectives)
        if said_noun(subject) is phrase.noun:
            return None
        owner = self.owner(subject)
        if owner and phrase.determiner == "the" and self.chance(0.6) and verb.en in POSSESSABLE:
            return NounPhrase(phrase.noun, owner, phrase.count, phrase.adjectives)
        return phrase

    def owner(self, subject: NounPhrase | Pronoun) -> str:
        """The pronoun of the subject where its gender is clear in all languages, else empty."""
        if isinstance(subject, Pronoun):
            return "" if subject.word == "who" else subject.word
        if subject.plural:
            return ""
        return next((name for name in ("he", "she") if name in subject.noun.classes), "")

    def place(self, verb: Verb, *phrases: NounPhrase | Pronoun | None) -> PrepositionalPhrase | None:
        """Where it happens: a place of the verb where the animals can be, or in front of, behind, next to something."""
        habitats = [HABITATS[noun] for phrase in phrases if (noun := said_noun(phrase)) in HABITATS]
        if "swim" in verb.place_classes:
            return PrepositionalPhrase("in", "in", "dat", "dans", self.place_phrase(self.pick(WATERS)))
        places: Sequence[Place] = verb.places
        for habitat in habitats:
            places = [place for place in places if place in habitat]
        if not places:
            return None
        if ("any" in verb.place_classes or "out" in verb.place_classes) and self.chance(0.3):
            en, de, fr = self.any(NEAR)
            return PrepositionalPhrase(en, de, "dat", fr, self.phrase(self.near, 0.2, 0.0, 0.6))
        if "near" in verb.place_classes and self.chance(0.4):
            under = "under" in verb.place_classes
            en, de, fr = ("under", "unter", "sous") if under else ("on", "auf", "sur")
            return PrepositionalPhrase(en, de, "dat", fr, self.phrase(ABOVE if under else ON, 0.2, 0.0, 0.6))
        return self.at(self.pick(places))

    def at(self, place: Place) -> PrepositionalPhrase:
        """Being at a place."""
        self.uses[place.noun] = self.uses.get(place.noun, 0) + 1
        de, en, fr = place.at
        return PrepositionalPhrase(en, de, "dat", fr, self.place_phrase(place.noun))

    def place_phrase(self, noun: Noun) -> NounPhrase:
        """The place, known, seldom described."""
        return NounPhrase(noun, "the", 1, self.adjectives_for(noun, 0.08))

    def goal(self, verb: Verb, subject: NounPhrase | Pronoun) -> PrepositionalPhrase:
        """Going to a place (in den Garten, au jardin), or running to one (zum Garten, vers le jardin)."""
        habitat = HABITATS.get(subject.noun) if isinstance(subject, NounPhrase) else None
        running = verb.en in ("run", "rush")
        goals = self.goals
        if running or verb.de == "fahren":
            classes = RUN_TO if running else DRIVE_TO
            goals = [place for place in goals if not classes.isdisjoint(place.noun.classes)]
        if habitat is not None:
            goals = [place for place in goals if place in habitat]
        place = self.pick(goals)
        self.uses[place.noun] = self.uses.get(place.noun, 0) + 1
        de, fr = ("zu", "vers") if running else ("zu", place.goal[1]) if verb.de == "fahren" else place.goal
        return PrepositionalPhrase("to", de, "dat" if de == "zu" else "acc", fr, self.place_phrase(place.noun))

    # Clauses.

    def clause(
        self, verb: Verb, subject: NounPhrase | Pronoun, tense: str, place: float = 0.4, adjectives: float = 0.3
    ) -> Clause | None:
        """A clause around a verb; tense may be "modal"."""
        modal = self.pick(lexicon.MODALS) if tense == "modal" else None
        if verb.en in PAST_ONLY and tense == "present":
            return None
        if isinstance(subject, NounPhrase) and subject.determiner == "a" and subject.plural and (modal or verb.stative):
            subject = known(subject)  # a bare plural would be generic
        where, recipient, target = None, None, None
        if verb.group == "motion":
            where = self.goal(verb, subject)
        if verb.group == "ditransitive":
            recipient = self.phrase(self.persons, 0.1, 0.0, 0.7)
            if recipient.determiner == "the" and self.chance(0.35):
                recipient = NounPhrase(recipient.noun, "the", 2, recipient.adjectives)
            if said_noun(subject) is recipient.noun:
                return None
        if verb.objects:
            target = self.target(verb, subject, adjectives)
            if target is None:
                return None
        if verb.en in ("sit", "stand", "lie"):
            place = 1.0 if place > 0 else 0.0
        if where is None and recipient is None and self.chance(place if verb.objects else place * 2):
            where = self.place(verb, subject, target)
        if where is not None and where.de == verb.de_preposition:  # not: auf dem Weg auf der Trommel spielen
            where = None
        return Clause(subject, verb, "present" if modal else tense, modal, target, recipient, where)

    def action(self, tense: str, short: bool = False, verbs: Sequence[Verb] = ()) -> Clause | None:
        """Somebody does something."""
        verb = self.pick(verbs or self.actions)
        if tense in ("modal", "future") and verb.en in UNPLANNED:
            return None
        plural = 0.0 if verb.en in WEARING else 0.25
        subject = self.subject(verb, 0.1 if short else 0.3, plural, 0.0 if short else 0.12)
        if tense == "modal" and "person" not in subject.noun.classes:
            return None
        place = 0.02 if short else 0.15 if subject.wearing is not None else 0.4
        return self.clause(verb, subject, tense, place, 0.1 if short else 0.3)

    def feeling(self, nouns: Sequence[Noun]) -> Predicate:
        """Somebody is tired."""
        subject, adjective = NounPhrase(self.pick(nouns), "the"), self.pick(FEELING_ADJECTIVES)
        return Predicate(subject, adjective, adjective.en not in ABSOLUTE and self.chance(0.3))

    def description(self, nouns: Sequence[Noun] = lexicon.NOUNS) -> Predicate | None:
        """Something is heavy."""
        noun = self.pick(nouns)
        if not self.adjectives[noun]:
            return None
        count = 1 if noun.mass else 1 + self.chance(0.2)
        return self.is_so(NounPhrase(noun, "the", count), 0.3)

    def is_so(self, subject: NounPhrase, very: float) -> Predicate:
        """The subject is (very) ...; not `new`, where French changes the word, and not `sad` of somebody laughing."""
        options = [item for item in self.adjectives[subject.noun] if item.en != "new"]
        if subject.relative is not None:
            options = [item for item in options if item.en != "lazy"]
        if subject.relative is not None and subject.relative.verb.en in EXPRESSIVE:
            options = [item for item in options if item.en not in REASONS and item.en not in ("quiet", "patient")]
        adjective = self.pick(options)
        return Predicate(subject, adjective, adjective.en not in ABSOLUTE and self.chance(very))

    # Sentences, one method for each kind.

    def speaker(self, kind: str) -> Sentence | None:
        """I, we, he or she; I and we in compound tenses only."""
        subject = Pronoun(self.any(("I", "we", "he", "she")))
        tense = self.any(("past", "future", "modal"))
        verb = self.pick(self.verbs["personal"])
        if tense in ("modal", "future") and verb.en in UNPLANNED:
            return None
        return self.wrap(kind, self.clause(verb, subject, tense))

    def wrap(self, kind: str, clause: AnyClause | None) -> Sentence | None:
        return None if clause is None else Sentence(kind, clause)

    def place_first(self, kind: str) -> Sentence | None:
        verb = self.pick(self.actions)
        clause = None if verb.group == "motion" else self.clause(
            verb, self.subject(verb), self.any(("present", "past")), 0.0)  # fmt: skip
        where = None if clause is None else self.place(verb, clause.subject, clause.object)
        return None if clause is None or where is None else Sentence(kind, clause, front=where)

    def time_first(self, kind: str) -> Sentence | None:
        time = self.pick(lexicon.TIMES)
        clause = self.action(time.kind)
        return None if clause is None else Sentence(kind, clause, front=time)

    def state(self, kind: str) -> Sentence | None:
        verb = self.pick(self.verbs["stative"])
        tense = "past" if verb.en in ("see", "hear") and self.chance(0.4) else "present"
        return self.wrap(kind, self.clause(verb, self.subject(verb), tense))

    def predicate(self, kind: str) -> Sentence | None:
        return self.wrap(kind, self.description())

    def no(self, kind: str) -> Sentence | None:
        verb = self.verbs["stative"][0]
        clause = self.clause(verb, self.subject(verb), "present")
        if clause is None or clause.object is None:
            return None
        target = NounPhrase(clause.object.noun, "no", clause.object.count, clause.object.adjectives)
        return Sentence(kind, Clause(clause.subject, verb, object=target))

    def yes_or_no(self, kind: str) -> Sentence | None:
        clause = self.action(self.any(("present", "present", "past", "modal")))
        return None if clause is None else Sentence(kind, clause, question="yes")

    def where(self, kind: str) -> Sentence | None:
        verb = self.pick(self.verbs["placed"])
        clause = self.clause(verb, known(self.subject(verb)), self.any(("present", "past")), 0.0)
        return None if clause is None else Sentence(kind, clause, question="where")

    def what(self, kind: str) -> Sentence | None:
        verb = self.pick(self.verbs["what"])
        subject = known(self.subject(verb))
        where = self.place(verb, subject) if self.chance(0.4) else None
        tense = "past" if verb.en in PAST_ONLY else self.any(("present", "past"))
        return Sentence(kind, Clause(subject, verb, tense, place=where, gap="object"), question="what")

    def who(self, kind: str) -> Sentence | None:
        verb = self.pick(self.verbs["personal"])
        return self.wrap(kind, self.clause(verb, Pronoun("who"), self.any(("present", "past"))))

    def because(self, kind: str) -> Sentence | None:
        """The man is sleeping because he is tired; the sailor will swim because the sun is shining."""
        if self.chance(0.45):
            weather = self.pick(lexicon.WEATHER)
            clause = self.action(self.any(("present", "future", "modal")), short=True, verbs=self.reasons[weather.en])
            return None if clause is None else Sentence(kind, clause, conjunction="because", second=weather)
        adjective = self.pick(FEELING_ADJECTIVES)
        clause = self.action("present", short=True, verbs=self.reasons[adjective.en])
        owner = self.owner(clause.subject) if clause is not None else ""
        if clause is None or not owner:
            return None
        reason = Predicate(Pronoun(owner), adjective, adjective.en not in ABSOLUTE and self.chance(0.3))
        return Sentence(kind, clause, conjunction="because", second=reason)

    def if_(self, kind: str) -> Sentence | None:
        """If it is raining, the man will read a book; if the man is hungry, he will eat a pear."""
        tense = self.any(("future", "modal"))
        if self.chance(0.5):
            weather = self.pick(lexicon.WEATHER)
            clause = self.action(tense, short=True, verbs=self.reasons[weather.en])
            return None if clause is None else Sentence(kind, clause, None, "", "if", weather, self.chance(0.6))
        condition = self.feeling(self.persons)
        owner = self.owner(condition.subject)
        verb = self.pick(self.reasons[condition.adjective.en])
        if not owner or "person" not in verb.subjects[0].classes or verb.en in UNPLANNED:
            return None
        main = self.clause(verb, Pronoun(owner), tense, 0.02, 0.2)
        if main is None or (main.modal is not None and main.modal.en == "would like to"):
            return None
        return Sentence(kind, main, None, "", "if", condition, True)

    def while_(self, kind: str) -> Sentence | None:
        main, second = self.action("present", short=True), self.action("present", short=True)
        if main is None or second is None or main.verb is second.verb or same_noun(main, second):
            return None
        return Sentence(kind, main, conjunction="while", second=second, reverse=self.chance(0.4))

    def that(self, kind: str) -> Sentence | None:
        verb = self.pick(self.verbs["matrix"])
        subject = self.subject(verb, 0.1, 0.2, 0.0)
        said = self.description() if self.chance(0.3) else self.action(self.any(("past", "future")), short=True)
        if said is None or said_noun(said.subject) is subject.noun:
            return None
        return Sentence(kind, Clause(subject, verb, complement=said))

    def relative_subject(self, kind: str) -> Sentence | None:
        """The man who is feeding the horse is tired."""
        verb = self.pick(self.verbs["simple"])
        head = NounPhrase(self.pick(verb.subjects), "the", 1 + (verb.en not in WEARING and self.chance(0.25)))
        inner = self.clause(verb, head, self.any(("present", "present", "past")), 0.3)
        if inner is None or not self.adjectives[head.noun]:
            return None
        inner = Clause(head, verb, inner.tense, None, inner.object, None, inner.place, "subject")
        subject = NounPhrase(head.noun, "the", head.count, (), None, inner)
        return self.outer(kind, subject)

    def outer(self, kind: str, subject: NounPhrase) -> Sentence | None:
        """The main clause around a noun with its relative clause: it is old, or somebody sees it."""
        verbs = [verb for verb in SEEING_VERBS if subject.noun in verb.objects]
        if not verbs or self.chance(0.6):
            return Sentence(kind, self.is_so(subject, 0.2))
        verb = self.pick(verbs)
        seer = NounPhrase(self.pick(self.persons), "the")
        inner = subject.relative
        if inner is None or same_noun(inner, Clause(seer, verb)):
            return None
        return Sentence(kind, Clause(seer, verb, self.any(("present", "past")), object=subject))

    def relative_object(self, kind: str) -> Sentence | None:
        """The soup that the cook prepared is delicious."""
        verb = self.pick(self.verbs["whom"])
        clause = self.action(self.any(("present", "past")), short=True, verbs=(verb,))
        if clause is None or clause.object is None or not self.adjectives[clause.object.noun]:
            return None
        inner = Clause(clause.subject, verb, clause.tense, object=clause.object, gap="object")
        count = 1 if clause.object.noun.mass else clause.object.count
        return self.outer(kind, NounPhrase(clause.object.noun, "the", min(count, 2), (), None, inner))

    def and_(self, kind: str) -> Sentence | None:
        main, second = self.action("present", short=True), self.action("present", short=True)
        if main is None or second is None or main.verb is second.verb or same_noun(main, second):
            return None
        return Sentence(kind, main, conjunction="and", second=second)

    def but(self, kind: str) -> Sentence | None:
        """The soup is hot, but the coffee is cold."""
        nouns = self.any(COMPARED)
        main, second = self.description(nouns), self.description(nouns)
        if main is None or second is None or main.adjective is second.adjective:
            return None
        if said_noun(main.subject) is said_noun(second.subject):
            return None
        return Sentence(kind, main, conjunction="but", second=second)


WEARING = ("wear", "put on", "take off")
SEEING = ("see", "photograph", "watch", "look", "find", "greet", "look at", "need")
SEEING_VERBS = [verb for verb in lexicon.VERBS if verb.en in SEEING]
POSSESSABLE = ("clean", "wash", "repair", "wear", "put on", "take off", "lose", "look", "sell", "drive", "park",
               "carry", "read", "unpack", "feed", "pick up", "fold", "see", "find", "hold", "pull", "push", "paint",
               "hang up", "brush", "pet", "play", "open", "close")  # fmt: skip
COLORS = ("red", "blue", "green", "yellow", "black", "white", "gray", "brown", "purple", "pink")
WORN = [noun for noun in lexicon.select(["clothes"]) if "pair" not in noun.classes]
COMPARED = [
    lexicon.select([name]) for name in ("person", "animal", "vehicle", "clothes", "dish", "furniture", "building")
]
WATERS = lexicon.select(["swim", "swimin"])
ON, ABOVE = lexicon.select(["on"]), lexicon.select(["above"])
FEELING_ADJECTIVES = [item for item in lexicon.ADJECTIVES if item.en in REASONS]


def _habitat(noun: Noun) -> frozenset[Place]:
    """The places where an animal can be."""
    classes = {"nature", "green", "zoo"}
    if "tame" in noun.classes:
        classes = {"green", "farm", "out", "shore"} | ({"room"} if noun.en in ("dog", "cat") else set())
    return frozenset(
        place
        for place in lexicon.PLACES
        if not classes.isdisjoint(place.noun.classes) and place.noun.en not in ("greenhouse", "balcony", "terrace")
    )


HABITATS = {noun: _habitat(noun) for noun in lexicon.select(["animal"])}


def known(phrase: NounPhrase) -> NounPhrase:
    """The phrase with the definite article in place of the indefinite."""
    return replace(phrase, determiner="the") if phrase.determiner == "a" else phrase


def fits(person: Noun, garment: Noun) -> bool:
    """Ties for men, dresses for women and girls."""
    if "women" in garment.classes:
        return "she" in person.classes or person.en == "girl"
    return "men" not in garment.classes or "he" in person.classes


def same_noun(first: Clause, second: Clause) -> bool:
    """Whether the two subjects or objects share a noun."""
    nouns = [phrase.noun for clause in (first, second) for phrase in (clause.subject, clause.object)
             if isinstance(phrase, NounPhrase)]  # fmt: skip
    return any(noun is other for index, noun in enumerate(nouns) for other in nouns[:index])


def said_noun(phrase: NounPhrase | Pronoun | None) -> Noun | None:
    """The noun of a phrase; None for a pronoun."""
    return phrase.noun if isinstance(phrase, NounPhrase) else None


def asks_what(verb: Verb) -> bool:
    """Whether `what` can ask for its object in all three languages."""
    if not verb.objects or verb.de_preposition or verb.fr_preposition or verb.de_case != "acc":
        return False
    return not any("person" in noun.classes for noun in verb.objects)


def asks_whom(verb: Verb) -> bool:
    """Whether a relative clause can be about its object: not with French prepositions; not if it could be the doer."""
    if not verb.objects or verb.fr_preposition or verb.en in WEARING:
        return False
    return verb.de_case == "dat" or not any("person" in noun.classes for noun in verb.objects)
