"""The captions of the package are what scripts/make-captions writes, and its grammar of three languages is right."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest
from runs import load_script

from captions import corpus, english, french, german, lexicon, say
from captions.lexicon import Adjective, Fixed, Modal, Noun, Verb
from captions.phrases import Clause, NounPhrase, Predicate, PrepositionalPhrase, Pronoun, Sentence
from nmt.data.captions import LANGUAGES, TABLE, TAGS, captions, tagged, with_entities
from nmt.errors import UserError


def test_the_table_is_what_the_script_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Byte for byte, with any seed of the hashes: Python draws another one in each run of the tests."""
    script = load_script("make-captions")
    assert script.TABLE == TABLE
    script.main([str(tmp_path / "table")])
    assert (tmp_path / "table").read_bytes() == TABLE.read_bytes(), "run scripts/make-captions after a change"
    assert (tmp_path / script.TAGS).read_bytes() == TAGS.read_bytes()
    assert capsys.readouterr().out.startswith("50,000 sentences, ")


def test_each_word_has_a_part_of_speech() -> None:
    """They are those of the words of the caption, and words of one kind only have their kind."""
    splits, always = (
        tagged(),
        {"the": "DET", "is": "AUX", "two": "NUM", "and": "CCONJ", "because": "SCONJ", ",": "PUNCT"},
    )
    assert {split: len(rows) for split, rows in splits.items()} == {"train": 48000, "validation": 1000, "test": 1000}
    both = set()
    for (text,), (words, tags) in zip(captions("en")["test"], splits["test"], strict=True):
        assert re.sub(r" (?=[,.?])", "", words) == text
        assert len(words.split()) == len(tags.split())
        for word, tag in zip(words.lower().split(), tags.split(), strict=True):
            assert always.get(word, tag) == tag
            both.add((word, tag))
    assert {("that", "PRON"), ("that", "SCONJ"), ("to", "PART"), ("to", "ADP")} <= both


@pytest.mark.parametrize("language", LANGUAGES)
def test_sizes_and_one_translation_for_each_sentence(language: str) -> None:
    splits = captions(language)
    assert {split: len(rows) for split, rows in splits.items()} == {"train": 48000, "validation": 1000, "test": 1000}
    assert len({text for rows in splits.values() for (text,) in rows}) == 50000


@pytest.mark.parametrize(("source", "target"), [("de", "en"), ("fr", "de")])
def test_a_pair_is_a_sentence_in_both_languages(source: str, target: str) -> None:
    sources, targets = captions(source), captions(target)
    for split, pairs in captions(source, target).items():
        assert pairs == [one + other for one, other in zip(sources[split], targets[split], strict=True)]


@pytest.mark.parametrize(("source", "target"), [("en", "en"), ("en", "es"), ("", "de")])
def test_unknown_pairs_say_what_there_is(source: str, target: str) -> None:
    with pytest.raises(UserError, match=r"^`builtin:captions` must be .* of de, en, fr, but .*instead\.$") as caught:
        captions(source, target)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("language", LANGUAGES)
def test_lengths_and_shape(language: str) -> None:
    lengths = []
    for text in (text for rows in captions(language).values() for (text,) in rows):
        assert re.fullmatch(r"[A-ZÀÉÖÜÄ][A-Za-zÀ-ÿœ',-]*( [A-Za-zÀ-ÿœ'-]+,?)+( \?|[.?])", text), text
        lengths.append(len(text.removesuffix(" ?").split()))
    assert min(lengths) >= 4
    assert max(lengths) <= 16
    assert 7.5 < sum(lengths) / len(lengths) < 9.5


def words_of(meant: object) -> list[object]:
    """Every entry of the lexicon in a sentence."""
    if isinstance(meant, Noun | Verb | Adjective | Modal | Fixed):
        return [meant]
    if isinstance(meant, tuple):
        return [word for item in meant for word in words_of(item)]
    if is_dataclass(meant):
        return [word for field in fields(meant) for word in words_of(getattr(meant, field.name))]
    return []


def test_every_entry_of_the_lexicon_is_used_often():
    assert len(lexicon.NOUNS) >= 250
    assert len(lexicon.ADJECTIVES) >= 60
    assert len(lexicon.VERBS) >= 100
    assert len(lexicon.PLACES) >= 60
    uses = Counter(word for meant, _ in corpus()["train"] for word in words_of(meant))
    entries = [*lexicon.ALL_NOUNS, *lexicon.ADJECTIVES, *lexicon.VERBS, *lexicon.MODALS, *lexicon.TIMES,
               *lexicon.WEATHER]  # fmt: skip
    assert {entry.en: uses[entry] for entry in entries if uses[entry] < 40} == {}
    for numbers, language in ((english.NUMBERS, "en"), (german.NUMBERS, "de"), (french.NUMBERS, "fr")):
        words = Counter(word for (text,) in captions(language)["train"] for word in text.lower().split())
        assert all(words[number.strip("*")] >= 40 for number in numbers)


def test_words_are_distinct_in_every_language():
    for language in LANGUAGES:
        assert len({getattr(noun, language) for noun in lexicon.ALL_NOUNS}) == len(lexicon.ALL_NOUNS)
        assert len({getattr(adjective, language) for adjective in lexicon.ADJECTIVES}) == len(lexicon.ADJECTIVES)


@pytest.mark.parametrize(
    ("language", "pattern", "share"),
    [
        (
            "de",
            r", (weil|dass|wenn|während)\b|^(Wenn|Während)|, (der|die|das|dem|den|denen|auf|um) [^.]*(,| \w+\.)",
            0.1,
        ),
        ("de", r"\b([Hh]at|[Hh]aben|habe) .*\b\w*ge\w+(en|t)\b", 0.02),
        ("de", r" (auf|zu|an|aus|ein|weg|zurück|ab)[.?]$", 0.02),
        ("de", r"\b[Ww]([eiu]rd)", 0.02),
        ("de", r"\b(kann|können|muss|müssen|will|wollen|sollten?|möchten?) ", 0.02),
        ("de", r"\b([Ii]m|[Aa]m|zum|zur|ins|ans)\b", 0.02),
        ("de", r"\bkein", 0.02),
        ("de", r"\b(Jungen|Studenten|Bauern|Soldaten|Affen|Löwen|Bären|Nachbarn|Prinzen|Touristen)\b", 0.02),
        ("fr", r"\b(au|aux|du|des|Des)\b", 0.02),
        ("fr", r"'", 0.02),
        ("fr", r"\b(est|sont) (\w+ )?(arrivé|parti|allé|revenu|couru|levé|endormi|réveillé|promené|moqué)e?s?\b", 0.01),
        ("fr", r" (qui|que|qu'\w+) .* (est|sont|a|ont|voit|voient) ", 0.02),
        ("en", r"\?$", 0.05),
        ("en", r"^(Where|What|Who) ", 0.05),
        ("en", r"\b(his|her|my|our)\b", 0.02),
        ("en", r"\b(two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)\b", 0.05),
    ],
)
def test_phenomena_are_frequent(language: str, pattern: str, share: float):
    train = captions(language)["train"]
    assert sum(bool(re.search(pattern, text)) for (text,) in train) > share * len(train)


def test_perfects_with_sein_and_etre_are_frequent():
    past = [clause for meant, _ in corpus()["train"] for clause in (meant.main, meant.second)
            if isinstance(clause, Clause) and clause.tense == "past"]  # fmt: skip
    assert sum(clause.verb.de_sein for clause in past) > 0.02 * 26000
    assert sum(clause.verb.fr_etre or clause.verb.fr_reflexive for clause in past) > 0.02 * 26000


# The grammar by hand.


def noun(en: str) -> Noun:
    return next(item for item in lexicon.ALL_NOUNS if item.en == en)


def adjective(en: str) -> Adjective:
    return next(item for item in lexicon.ADJECTIVES if item.en == en)


def verb(en: str, preposition: str = "") -> Verb:
    return next(item for item in lexicon.VERBS if item.en == en and item.en_preposition == preposition)


def modal(en: str) -> Modal:
    return next(item for item in lexicon.MODALS if item.en == en)


def place(en: str) -> PrepositionalPhrase:
    found = next(item for item in lexicon.PLACES if item.noun.en == en)
    return PrepositionalPhrase(found.at[1], found.at[0], "dat", found.at[2], NounPhrase(found.noun, "the"))


def a(en: str, *adjectives: str, count: int = 1, **more: object) -> NounPhrase:
    return NounPhrase(noun(en), "a", count, tuple(adjective(item) for item in adjectives), **more)


def the(en: str, *adjectives: str, count: int = 1, **more: object) -> NounPhrase:
    return NounPhrase(noun(en), "the", count, tuple(adjective(item) for item in adjectives), **more)


def said(main: Clause | Predicate, **more: object) -> list[str]:
    return list(say(Sentence("", main, **more)).values())


def cases(*phrases: NounPhrase) -> str:
    return " / ".join(" ".join(german.noun_phrase(item, case)) for item in phrases for case in ("nom", "acc", "dat"))


def test_german_declension():
    assert cases(a("dog", "small"), the("dog", "small")) == (
        "ein kleiner Hund / einen kleinen Hund / einem kleinen Hund / "
        "der kleine Hund / den kleinen Hund / dem kleinen Hund"
    )
    assert cases(a("cow", "old"), the("cow", "old")) == (
        "eine alte Kuh / eine alte Kuh / einer alten Kuh / die alte Kuh / die alte Kuh / der alten Kuh"
    )
    assert cases(a("horse", "white"), the("horse", "white")) == (
        "ein weißes Pferd / ein weißes Pferd / einem weißen Pferd / "
        "das weiße Pferd / das weiße Pferd / dem weißen Pferd"
    )
    assert cases(a("child", "happy", count=2), the("child", count=2)) == (
        "glückliche Kinder / glückliche Kinder / glücklichen Kindern / die Kinder / die Kinder / den Kindern"
    )
    assert cases(a("boy"), a("milk", "cold"), NounPhrase(noun("hat"), "no", 2, (adjective("new"),))) == (
        "ein Junge / einen Jungen / einem Jungen / kalte Milch / kalte Milch / kalter Milch / "
        "keine neuen Hüte / keine neuen Hüte / keinen neuen Hüten"
    )
    assert cases(a("tower", "high"), a("car", "expensive"), the("dress", "pink")) == (
        "ein hoher Turm / einen hohen Turm / einem hohen Turm / ein teures Auto / ein teures Auto / "
        "einem teuren Auto / das rosa Kleid / das rosa Kleid / dem rosa Kleid"
    )


def test_french_agreement_elision_and_contraction():
    def french_said(phrase: NounPhrase, *before: str) -> str:
        return french.join([*before, *french.noun_phrase(phrase)]).lower()

    assert french_said(a("car", "beautiful", "white")) == "une belle voiture blanche"
    assert french_said(a("tree", "old")) == "un vieil arbre"
    assert french_said(a("tree", "old", count=2)) == "de vieux arbres"
    assert french_said(a("dog", count=2)) == "des chiens"
    assert french_said(the("man")) == "l'homme"
    assert french_said(the("axe")) == "la hache"
    assert french_said(the("park"), "à") == "au parc"
    assert french_said(the("school"), "à") == "à l'école"
    assert french_said(the("child", count=2), "à") == "aux enfants"
    assert french_said(the("tree"), "à", "côté", "de") == "à côté de l'arbre"
    assert french_said(the("house"), "à", "côté", "de") == "à côté de la maison"
    assert french_said(the("boat"), "à", "côté", "de") == "à côté du bateau"
    assert french_said(a("soup", "hot")) == "de la soupe chaude"
    assert french_said(a("water")) == "de l'eau"
    assert french_said(NounPhrase(noun("ladder"), "he")) == "son échelle"
    assert french_said(NounPhrase(noun("horse"), "number", 8)) == "huit chevaux"


def test_english_forms():
    assert english.noun_phrase(a("umbrella", "old")) == ["an", "old", "umbrella"]
    assert english.noun_phrase(a("uniform")) == ["a", "uniform"]
    assert [noun(word).en_plural for word in ("child", "mouse", "bus", "cherry", "knife")] == [
        "children", "mice", "buses", "cherries", "knives"]  # fmt: skip
    assert [verb(word).en_ing for word in ("cut", "lie", "take off", "drive", "carry")] == [
        "cutting", "lying", "taking off", "driving", "carrying"]  # fmt: skip
    assert [verb(word).en_past for word in ("cut", "lie", "tidy up", "feed", "carry")] == [
        "cut", "lay", "tidied up", "fed", "carried"]  # fmt: skip


def test_main_clauses():
    worn = a("coat", "red")
    assert said(Clause(a("woman", "young", wearing=worn), verb("feed"), object=a("horse", "brown", count=2),
                       place=PrepositionalPhrase("in front of", "vor", "dat", "devant", the("barn")))) == [
        "Eine junge Frau in einem roten Mantel füttert vor der Scheune braune Pferde.",
        "A young woman in a red coat is feeding brown horses in front of the barn.",
        "Une jeune femme en manteau rouge nourrit des chevaux bruns devant la grange.",
    ]  # fmt: skip
    opening = Clause(the("girl"), verb("open"), object=the("window"))
    assert said(opening)[0] == "Das Mädchen macht das Fenster auf."
    yesterday = next(time for time in lexicon.TIMES if time.en == "yesterday")
    assert said(Clause(the("girl"), verb("wake up"), "past"), front=yesterday) == [
        "Gestern ist das Mädchen aufgewacht.",
        "Yesterday, the girl woke up.",
        "Hier, la fille s'est réveillée.",
    ]
    assert (
        said(Clause(Pronoun("we"), verb("tidy up"), "past", object=the("kitchen")))[0]
        == "Wir haben die Küche aufgeräumt."
    )
    assert said(Clause(the("nun"), verb("arrive"), "past", place=place("station"))) == [
        "Die Nonne ist am Bahnhof angekommen.",
        "The nun arrived at the station.",
        "La religieuse est arrivée à la gare.",
    ]
    assert said(Clause(the("child"), verb("help"), modal=modal("want to"), object=the("neighbor"))) == [
        "Das Kind will dem Nachbarn helfen.",
        "The child wants to help the neighbor.",
        "L'enfant veut aider le voisin.",
    ]
    assert said(Clause(the("cook"), verb("buy"), "future", object=a("bread"))) == [
        "Der Koch wird Brot kaufen.",
        "The cook will buy bread.",
        "Le cuisinier achètera du pain.",
    ]
    assert said(Clause(the("man"), verb("have"), object=NounPhrase(noun("car"), "no"))) == [
        "Der Mann hat kein Auto.",
        "The man has no car.",
        "L'homme n'a pas de voiture.",
    ]
    assert said(opening, question="yes") == [
        "Macht das Mädchen das Fenster auf?",
        "Is the girl opening the window?",
        "Est-ce que la fille ouvre la fenêtre ?",
    ]
    assert said(Clause(the("man"), verb("eat"), "past", gap="object"), question="what") == [
        "Was hat der Mann gegessen?",
        "What did the man eat?",
        "Qu'est-ce que l'homme a mangé ?",
    ]


def test_subordinate_and_relative_clauses():
    crying = Clause(the("boy"), verb("cry"))
    assert said(crying, conjunction="because", second=Predicate(Pronoun("he"), adjective("tired"))) == [
        "Der Junge weint, weil er müde ist.", "The boy is crying because he is tired.",
        "Le garçon pleure parce qu'il est fatigué."]  # fmt: skip
    closing = Clause(a("aunt"), verb("close"), "past", object=the("door"))
    assert said(Clause(the("king"), verb("say"), complement=closing)) == [
        "Der König sagt, dass eine Tante die Tür zugemacht hat.", "The king says that an aunt closed the door.",
        "Le roi dit qu'une tante a fermé la porte."]  # fmt: skip
    assert said(crying, conjunction="while", second=Clause(the("man"), verb("tidy up"), object=the("attic")),
                reverse=True)[0] == "Während der Mann den Dachboden aufräumt, weint der Junge."  # fmt: skip
    inner = Clause(the("girl"), verb("help"), "past", object=the("woman"), gap="object")
    assert said(Predicate(the("woman", relative=inner), adjective("famous"))) == [
        "Die Frau, der das Mädchen geholfen hat, ist berühmt.", "The woman whom the girl helped is famous.",
        "La femme que la fille a aidée est célèbre."]  # fmt: skip
    inner = Clause(the("man"), verb("feed"), object=the("dog"), gap="subject")
    assert said(Clause(the("nurse"), verb("see"), "past", object=the("man", relative=inner))) == [
        "Die Krankenschwester hat den Mann gesehen, der den Hund füttert.",
        "The nurse saw the man who is feeding the dog.", "L'infirmière a vu l'homme qui nourrit le chien."]  # fmt: skip
    weather = next(item for item in lexicon.WEATHER if item.en == "it is raining")
    assert said(Clause(the("boy"), verb("read"), "future", object=a("book")), conjunction="if", second=weather,
                reverse=True) == [
        "Wenn es regnet, wird der Junge ein Buch lesen.", "If it is raining, the boy will read a book.",
        "S'il pleut, le garçon lira un livre."]  # fmt: skip


def test_entities_are_whole_phrases_of_known_nouns() -> None:
    rows = with_entities()["test"]
    assert len(rows) == len(tagged()["test"])
    kinds = {label[2:] for _, labels in rows for label in labels.split()} - {""}
    assert kinds == {"PERSON", "ANIMAL", "VEHICLE", "BUILDING", "INSTRUMENT"}
    for (text, labels), (_, tags) in zip(rows, tagged()["test"], strict=True):
        before = "O"
        for word, label, part in zip(text.split(), labels.split(), tags.split(), strict=True):
            assert label[0] != "I" or before[2:] == label[2:], text  # what continues has begun
            assert label == "O" or part in ("DET", "NUM", "ADJ", "NOUN"), word
            before = label
    assert ("The gardener is watering the roses .", "B-PERSON I-PERSON O O O O O") in rows
