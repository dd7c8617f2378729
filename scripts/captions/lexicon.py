"""The trilingual lexicon: the tables of `nouns` and `words` as objects with their forms in the three languages."""

from dataclasses import dataclass

from captions import nouns, words

# Classes named in the tables that are lists of nouns or of other classes.
ALIASES = {
    "furry": "dog cat horse rabbit goat donkey foal lamb",
    "small_animal": "mouse bird frog squirrel hen duck rabbit pigeon",
    "furnituremov": "chair table bed sofa bench armchair shelf closet chest",
    "buildable": "house barn tower hut windmill lighthouse wall fence shelf table bench boat",
    "ownable": "house barn tower hut windmill lighthouse factory palace castle hotel restaurant bakery",
    "devicepower": "lamp radio computer television",
    "fruitpeel": "apple pear banana orange peach melon",
    "fruittree": "apple pear cherry orange lemon plum peach",
    "plantpot": "flower rose tulip sunflower cactus bush tree",
    "openablebox": "box suitcase chest closet refrigerator bottle wallet",
    "undomesticated": "horse goose monkey bear wolf fox lion tiger elephant camel",
    "motor": "car bus truck tractor motorcycle helicopter airplane train",
    "colored": "dishware toy luggage cloth umbrella curtain candle flag book notebook bucket feather phone radio lamp",
    "blossom": "flower rose tulip",
    "flower": "flower rose tulip sunflower",
}


@dataclass(frozen=True, slots=True, eq=False)
class Noun:
    """A noun: singular and plural forms, genders (der die das, un une), and the semantic classes it belongs to."""

    en: str
    en_plural: str
    de: str
    de_plural: str
    de_article: str
    de_weak: bool  # n-declension: den Jungen
    fr: str
    fr_plural: str
    fr_feminine: bool
    classes: tuple[str, ...]

    @property
    def mass(self) -> bool:
        """A noun without plural: bread, das Brot, du pain."""
        return self.en_plural == "-"


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A noun with its prepositions for being there (de en fr) and, unless empty, for going there (de fr)."""

    noun: Noun
    at: tuple[str, ...]
    goal: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Adjective:
    """An adjective; in German its base and its stem before endings, in French its position and feminine."""

    en: str
    de: str
    de_stem: str
    de_invariable: bool
    fr: str
    fr_feminine: str
    fr_before: bool
    nouns: tuple[Noun, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Verb:
    """A verb with the forms that sentences need, its prepositions, and the nouns and places it goes with.

    de_prefix: the separable part (auf- of aufmachen), else empty
    de_case, de_preposition: what its object takes, as en_preposition and fr_preposition
    fr_state: the word after `être` where French says a state (être assis), else empty
    """

    group: str
    en: str
    en_past: str
    en_ing: str
    en_preposition: str
    stative: bool
    de: str
    de_prefix: str
    de_third: str
    de_participle: str
    de_sein: bool
    de_preposition: str
    de_case: str
    fr: str
    fr_third: str
    fr_third_plural: str
    fr_participle: str
    fr_future: str
    fr_etre: bool
    fr_reflexive: bool
    fr_state: str
    fr_preposition: str
    subjects: tuple[Noun, ...]
    objects: tuple[Noun, ...]
    places: tuple[Place, ...]
    place_classes: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Modal:
    """A modal verb: English infinitive and third person; German and French for I, he, we, they in this order."""

    en: str
    en_third: str
    de: tuple[str, ...]
    fr: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Fixed:
    """An expression that never changes; `kind` is the tense an adverbial goes with."""

    kind: str
    en: str
    de: str
    fr: str


def _lines(table: str) -> list[tuple[str, list[str]]]:
    """The lines of a table as lists of columns, each with the last heading in brackets above it."""
    result, heading = [], ""
    for line in table.strip().split("\n"):
        if line.startswith("["):
            heading = line.strip("[]")
        else:
            result.append((heading, [column.strip() for column in line.split("|")]))
    return result


def _or(parts: list[str], index: int, default: str) -> str:
    """The optional form at an index, else its regular form."""
    return parts[index] if len(parts) > index and parts[index] else default


def english_plural(noun: str) -> str:
    """Regular plural: boxes, cherries, dogs."""
    if noun.endswith(("s", "x", "ch", "sh")):
        return noun + "es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


def english_third(verb: str) -> str:
    """Third person singular of the plain present: has, knows."""
    return "has" if verb == "have" else english_plural(verb)


def english_past(verb: str) -> str:
    """Regular past: baked, tidied up, watched; the ending goes to the first word."""
    first, _, rest = verb.partition(" ")
    if first.endswith("e"):
        past = first + "d"
    elif first.endswith("y") and first[-2] not in "aeiou":
        past = first[:-1] + "ied"
    else:
        past = first + "ed"
    return f"{past} {rest}".strip()


def english_ing(verb: str) -> str:
    """Regular progressive form: taking off, watching, seeing; doubled consonants are in the table."""
    first, _, rest = verb.partition(" ")
    stem = first[:-1] if first.endswith("e") and not first.endswith("ee") else first
    return f"{stem}ing {rest}".strip()


def french_plural(word: str) -> str:
    """Regular plural: chevaux is in the table; bras, gâteaux, jeux, chiens follow the ending."""
    if word.endswith(("s", "x", "z")):
        return word
    return word + ("x" if word.endswith(("eau", "eu")) else "s")


def german_third(stem: str) -> str:
    """Third person singular of a weak verb: kauft, öffnet."""
    return stem + ("et" if stem.endswith(("t", "d")) else "t")


def german_participle(infinitive: str, third: str) -> str:
    """Participle of a weak verb: gekauft; without ge- before an unstressed prefix and in -ieren."""
    unstressed = infinitive.startswith(("be", "ver", "er", "ent", "um")) and infinitive != "beten"
    if unstressed or infinitive.endswith("ieren"):
        return third
    return "ge" + third


def _noun(heading: str, columns: list[str]) -> Noun:
    en, de, fr = columns[:3]
    en_forms, fr_forms = en.split("/"), fr.split(" ", 1)[1].split("/")
    article, de_forms = de.split(" ", 1)[0], de.split(" ", 1)[1].split(", ")
    return Noun(
        en_forms[0], _or(en_forms, 1, english_plural(en_forms[0])),
        de_forms[0], de_forms[1], article, "n" in de_forms[2:],
        fr_forms[0], _or(fr_forms, 1, french_plural(fr_forms[0])), fr.startswith("une "),
        (heading, en_forms[0], *columns[-1].split()),
    )  # fmt: skip


NOUNS = tuple(_noun(heading, columns) for heading, columns in _lines(nouns.NOUNS))
PLACES = tuple(
    Place(_noun("place", columns), tuple(columns[3].split()), tuple(columns[4].split()))
    for _, columns in _lines(nouns.PLACES)
)
ALL_NOUNS = NOUNS + tuple(place.noun for place in PLACES)


def select(classes: list[str]) -> tuple[Noun, ...]:
    """The nouns that belong to any of the classes, in the order of the tables."""
    wanted = {name for item in classes for name in ALIASES.get(item, item).split()}
    wanted.update(classes)
    return tuple(noun for noun in ALL_NOUNS if not wanted.isdisjoint(noun.classes))


def _adjective(columns: list[str]) -> Adjective:
    en, de, fr, classes = columns
    de_forms, fr_forms = de.rstrip("=").split("/"), fr.lstrip("<").split("/")
    masculine = fr_forms[0]
    feminine = _or(fr_forms, 1, masculine if masculine.endswith("e") else masculine + "e")
    return Adjective(
        en, de_forms[0], _or(de_forms, 1, de_forms[0].removesuffix("e")), de.endswith("="),
        masculine, feminine, fr.startswith("<"), select(classes.split()),
    )  # fmt: skip


ADJECTIVES = tuple(_adjective(columns) for _, columns in _lines(words.ADJECTIVES))


def _verb(group: str, columns: list[str]) -> Verb:
    en, de, fr, subjects = columns[:4]
    objects, places = columns[4] if len(columns) > 4 else "", (columns[5] if len(columns) > 5 else "").split()
    stative = en.endswith("=")
    en, _, en_preposition = en.rstrip("=").partition(" +")
    en_forms = en.split("/")
    base = en_forms[0]

    de_forms = de.split("/")
    extra = [form for form in de_forms if form.startswith("+")]
    sein = "ist" in de_forms
    de_forms = [form for form in de_forms if form != "ist" and not form.startswith("+")]
    prefix, _, infinitive = de_forms[0].rpartition("·")
    stem = infinitive.removesuffix("n").removesuffix("e")
    third = _or(de_forms, 1, german_third(stem))
    preposition, case = "", "acc"
    for form in extra:
        head, _, tail = form[1:].partition(" ")
        preposition, case = ("", head) if head in ("dat", "acc") else (head, tail or "dat")

    etre = fr.endswith("/être")
    state = fr.startswith("=")
    fr_forms = fr.removesuffix("/être").split("/")
    fr_preposition = next((form[1:] for form in fr_forms if form.startswith("+")), "")
    fr_forms = [form for form in fr_forms if not form.startswith("+")]
    reflexive = fr_forms[0].startswith(("se ", "s'"))
    fr_base = fr_forms[0].removeprefix("se ").removeprefix("s'").lstrip("=")
    root = fr_base[:-2]
    return Verb(
        group, base, _or(en_forms, 1, english_past(base)), _or(en_forms, 2, english_ing(base)), en_preposition, stative,
        infinitive, prefix, third, _or(de_forms, 2, german_participle(infinitive, third)), sein, preposition, case,
        fr_base, _or(fr_forms, 1, root + "e"), _or(fr_forms, 2, root + "ent"), _or(fr_forms, 3, root + "é"),
        _or(fr_forms, 4, fr_base.removesuffix("e")), etre, reflexive, fr_base if state else "", fr_preposition,
        select(subjects.split()), select(objects.split()),
        tuple(place for place in PLACES if "any" in places or any(name in places for name in place.noun.classes)),
        tuple(places),
    )  # fmt: skip


VERBS = tuple(_verb(group, columns) for group, columns in _lines(words.VERBS))
MODALS = tuple(
    Modal(en.split("/")[0], en.split("/")[-1], tuple(de.split("/")), tuple(fr.split("/")))
    for _, (en, de, fr) in _lines(words.MODALS)
)
TIMES = tuple(Fixed(*columns) for _, columns in _lines(words.TIMES))
WEATHER = tuple(Fixed("weather", *columns) for _, columns in _lines(words.WEATHER))
