"""Sentences all in capitals: how they are read, and acronyms and codes that stay."""

from __future__ import annotations

import pytest

from nmt.config import DecodingConfig
from nmt.model_folder import open_model
from nmt.search.beam import Hypothesis
from nmt.search.constraints import Constraints
from nmt.text.capitals import lower, upper, with_first_capital, without_capitals, without_title_case
from nmt.text.vocabulary import Vocabulary
from nmt.translation.translator import Sentence, SourceLine, Translator

GREEDY = DecodingConfig(beam_size=1)


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    """That of the bundled model, which was learned from everyday sentences."""
    return open_model("de-en").source_vocabulary


@pytest.mark.parametrize(
    ("capitals", "usual"),
    [
        ("ICH HABE HUNGER.", "Ich habe Hunger."),
        ("HABE ICH DIE USA GESEHEN?", "Habe ich die USA gesehen?"),
        ("„TOM SCHLÄFT!“", "„Tom schläft!“"),
        ("ICH WEISS NICHTS", "Ich weiß nichts"),
        ("ICH WEIß NICHTS", "Ich weiß nichts"),
        ("NEIN!", "Nein!"),
        ("XYLOPHONE", "Xylophone"),  # long, though the vocabulary does not have it
        ("LH2043 IST DAS HAUS", "LH2043 ist das Haus"),
        ("\ue000 NICHT LESEN", "\ue000 Nicht lesen"),
        ("İSTANBUL IST GROSS", "İstanbul ist groß"),
    ],
)
def test_a_sentence_in_capitals_is_read_as_it_is_usually_written(
    capitals: str, usual: str, vocabulary: Vocabulary
) -> None:
    assert without_capitals(capitals, vocabulary, "de") == usual


@pytest.mark.parametrize(
    "text", ["USA", "USA!", "XYZ", "LH2043", "A", "12.30", "", "...", "Ich SAGTE nein", "我", "\ue000", "Ⓐ", "Ⅷ Ⓑ"]
)
def test_others_and_acronyms_stay(text: str, vocabulary: Vocabulary) -> None:
    assert without_capitals(text, vocabulary, "de") is None


def test_capitals_of_a_language() -> None:
    assert (lower("IĞDIR İL", "tr"), lower("IT", "en")) == ("ığdır il", "it")
    assert (upper("Istanbul, ılık su iç", "tr"), upper("Straße in", "de")) == ("ISTANBUL, ILIK SU İÇ", "STRASSE IN")


@pytest.mark.parametrize(
    ("text", "source", "language", "written"),
    [
        ("we sleep.", "Wir schlafen.", "en", "We sleep."),
        ("“we sleep,” he said.", "„Wir schlafen“, sagte er.", "en", "“We sleep,” he said."),
        ("e-mail is old", "Post ist alt!", "en", "E-mail is old"),
        ("l’hôtel est là.", "Das Hotel ist da.", "fr", "L’hôtel est là."),
        ("içerisi soğuk.", "Drinnen ist es kalt.", "tr", "İçerisi soğuk."),
        ("იცის.", "Er weiß es.", "ka", "იცის."),  # Georgian has capitals, but begins no sentence with them
        ("iPhones are big.", "Diese Telefone sind groß.", "en", "iPhones are big."),
        ("git is a tool.", "Mit git arbeitet man.", "en", "git is a tool."),
        ("example.org is down.", "Die Seite geht nicht.", "en", "example.org is down."),
        ("10 years are long.", "Zehn Jahre sind lang.", "en", "10 years are long."),
        ("’s morgens slaap ik.", "Am Morgen schlafe ich.", "nl", "’s morgens slaap ik."),
        ("we sleep.", "wir schlafen.", "en", "we sleep."),
        ("apples and pears", "Äpfel und Birnen", "en", "apples and pears"),  # no sentence
        ("apple.", "Apfel.", "en", "apple."),
        ("coffee?", "Kaffee?", "en", "Coffee?"),
        ("coffee? \ue000", "Kaffee? \ue000", "en", "Coffee? \ue000"),
        ("we sleep. \ue000 \ue001", "Wir schlafen. \ue000\ue001", "en", "We sleep. \ue000 \ue001"),
        ("we sleep.", "我们睡觉了。", "en", "we sleep."),
        ("我们 睡觉。", "Wir schlafen.", "zh", "我们 睡觉。"),
        ("", "Wir schlafen.", "en", ""),
    ],
)
def test_a_translation_begins_with_a_capital_as_its_source_does(
    text: str, source: str, language: str, written: str
) -> None:
    assert with_first_capital(text, source, language) == written


def test_a_common_word_that_both_languages_have_begins_with_a_capital(vocabulary: Vocabulary) -> None:
    assert with_first_capital("was that so?", "Und was war das?", "en", vocabulary) == "Was that so?"
    assert with_first_capital("git is a tool.", "Mit git arbeitet man.", "en", vocabulary) == "git is a tool."


def test_first_capitals_of_translations(vocabulary: Vocabulary) -> None:
    """The pieces change as the text does; what is asked of the translation stays as it is written."""
    translator = Translator.load("de-en", threads=1)
    found = vocabulary.encode("we sleep.")
    hypothesis = Hypothesis(found, 0.0, 0.0, [0.0] * (len(found) + 1), True, None)
    sentence = Sentence(vocabulary.encode("Wir schlafen."), "Wir schlafen.")
    [one, other] = (
        translator._translation(hypothesis, each, False)
        for each in (sentence, sentence._replace(constraints=Constraints(prefix=tuple(found[:1]))))
    )
    assert (one.text, other.text) == ("We sleep.", "we sleep.")
    assert (vocabulary.join_pieces(one.tokens), one.tokens[1:]) == ("We sleep.", other.tokens[1:])
    translator.target_vocabulary = Vocabulary.load("vocab/tanaka-en-ja/joint.spm")
    assert not translator.target_vocabulary.has_capitals and vocabulary.has_capitals


def test_a_line_in_capitals_is_translated_as_otherwise_and_written_in_capitals() -> None:
    translator = Translator.load("de-en")
    usual = "Ich habe Hunger. Wo ist das Haus?"
    [capitals], [other] = (translator.translate([line], beam_size=2) for line in (usual.upper(), usual))
    assert capitals.text == other.text.upper() and capitals.text != other.text
    assert [token.upper() for token in other.tokens] == capitals.tokens
    assert capitals.token_log_probs == other.token_log_probs
    mixed, acronym = translator.translate(["DAS HAUS. Das Haus.", "USA"], beam_size=1)
    first, second = mixed.text.split(". ")
    assert first.isupper() and not second.isupper() and second.casefold() == f"{first}.".casefold()
    assert acronym.tokens == translator.translate_ids([Sentence(translator.encode(["USA"])[0])], GREEDY, 1)[0][0].tokens
    [found] = translator.translate_n_best(["WO IST DAS HAUS?"], 5)
    assert len({one.text for one in found}) == len(found) > 1 and all(one.text.isupper() for one in found)


def test_what_is_asked_of_a_translation_is_asked_of_the_line_as_it_is() -> None:
    translator = Translator.load("de-en")
    for line in (
        SourceLine("ICH HABE HUNGER.", prefix="I'm"),
        SourceLine("ICH HABE HUNGER.", required=["cat"]),
        SourceLine("ICH HABE HUNGER.", forbidden=["hungry"]),
    ):
        [sentence] = translator.prepare(line).sentences
        assert sentence.text == "ICH HABE HUNGER." and not sentence.capitals


@pytest.mark.parametrize(
    ("text", "usual"),
    {
        "Wie Man Gutes Brot Backt": "Wie man gutes Brot backt",
        "Ein Hund Kommt Selten Allein": "Ein Hund kommt selten allein",
        "Die Musik War Zu Laut.": "Die Musik war zu laut.",
        "Haben Sie Hunger?": None,
        "Fragen Sie Tom!": None,
        "Tom Mary John": None,
        "Guten Tag": None,
        "Ein Hund Kommt allein": None,
        "EIN HUND KOMMT": None,
        "": None,
        "1 2 3": None,
    }.items(),
)
def test_title_case_is_read_in_normal_case(text: str, usual: str | None, vocabulary: Vocabulary) -> None:
    assert without_title_case(text, vocabulary, "de") == usual


def test_a_word_after_an_apostrophe_needs_no_capital_in_title_case() -> None:
    vocabulary = open_model("en-de").source_vocabulary
    assert without_title_case("I Don't Know What To Do", vocabulary, "en") == "I don't know what to do"
    assert without_title_case("I Don't Know what To Do", vocabulary, "en") is None
    for name in (
        "Hello, I'm Sandra Kowalczyk.",
        "That's Bill Green.",
        "He's Mark Stone.",
        "I'm Omar Haddad.",
        "Hello Ann Kowalczyk.",
    ):
        assert without_title_case(name, vocabulary, "en") is None


def test_title_case_in_a_line_of_its_own_is_translated_as_in_normal_case() -> None:
    translator = Translator.load("de-en", threads=1)
    title, usual = translator.translate(["Wie Man Gutes Brot Backt", "Wie man gutes Brot backt"])
    assert title.text == usual.text


def test_translations_that_differed_only_in_capitals_keep_the_rank_of_the_best() -> None:
    """Of `Guten Morgen!` the bundled model has translations with a capital and without."""
    translator = Translator.load("de-en", threads=1)
    for line in ("Guten Morgen!", "GUTEN MORGEN!", "Ich habe Hunger."):
        (found,) = translator.translate_n_best([line], 5)
        scores = [one.score for one in found]
        assert scores == sorted(scores, reverse=True) and len({one.text for one in found}) == len(found)
        assert found[0].text == translator.translate([line])[0].text
