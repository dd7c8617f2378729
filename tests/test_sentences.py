"""The sentences of a line: where they end in many languages, in linear time, and how they are joined."""

from __future__ import annotations

import re
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt.text.sentences import _MARK, _SENTENCE_END, join_sentences, list_mark, split_sentences, with_final_mark

MARKS = "- |– |• |* |+ |◦ |> |> > |# |### |1. |12) |2.3. |(4) |a) |B) |(b) |iv) |(ii) |- [ ] |•\u00a0|  - |✓  |- 1. "
PLAIN = (
    "-Milch|•Milch|Milch - Butter|- |• • •|- 12|1.|1. Mai ist frei.|3. Mai.|1. místo|2. kez oldu|1848. Jahre|"
    "1.5 Liter Milch|A. Müller kommt.|#hashtag ist da|-5 Grad|*nein* sagte er|--help zeigt Hilfe|I. Kant|ab) nein|"
)


@pytest.mark.parametrize("mark", MARKS.split("|"))
def test_marks_of_lists_headings_and_quotations(mark: str) -> None:
    assert list_mark(f"{mark}Milch kaufen") == len(mark)
    assert list_mark(f"{mark}“Milch”") == len(mark)
    assert list_mark(f"{mark}牛乳を買う") == len(mark)


@pytest.mark.parametrize("text", PLAIN.split("|"))
def test_lines_without_such_a_mark(text: str) -> None:
    assert list_mark(text) == 0


def test_marks_are_found_in_linear_time() -> None:
    started = time.process_time()
    assert list_mark("- " * 100_000) == 0
    assert list_mark("1.1" * 100_000 + " x") == 0
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    "sentences",
    [
        "Ich wohne in der Goethestr. 5.|Und du?",
        "Siehe Abb. 3 und Kap. 4.|Danke.",
        "Jan. 5 is cold.|Feb. 6 too.",
        "Gov. Brown vs. Sen. Lee.|Next.",
        "Tel. 0176.|Fax 0177.",
        "I live in the U.S.|My sister does not.",
        "It is 5 p.m.|Let's go.",
        "He came at 10.|She left.",
        "iPhone is good.|iPads are big.",
        "i live in the u.s.|my sister does not.",
        "Here's $5.|Hold this.",
        "Ich bin's.|Schließe sie ab.",
        "J'aime le R&B.|Allons-y.|Vite.",
        "Er verdient 3 Mio. Euro im Jahr.|Das ist viel.",
        "Am 3. Mai kam er an.|Sie war da.",
        "Das ist z. B. gut.|Ja.",
        "Das ist z. B. Wasser.|Ja.",
        "Das ist z.B. Wasser.|Ja.",
        '"Go!" he said.|She went.',
        "Dr. Smith lives in St. Louis.|He is old.",
        "M. Dupont est là.|Il mange.",
        "یہ کیا ہے؟|وہ آیا۔|ٹھیک ہے۔",
        "See Fig. 3 and Eq. (4).|It works.",
        "He works at Apple Inc.|She does not.",
        "Apple Inc. CEO Tim Cook came.|Fine.",
        "Τι είναι αυτό;|Δεν ξέρω.",
        "Wait... what?|No way!!|Ok.",
        "I met J. R. R. Tolkien.|He was nice.",
        "The U.S. Army came.|It left.",
        "Das kostet 3.50 Euro.|Gut.",
        "Nr. 5 lebt.|Ja!",
        "Prof. Dr. med. Müller kam.|Er ging.",
        "He has a Ph.D.|She has one too.",
        "J'habite à Paris.|Et toi ?|Oui !",
        "Il dit : « Bonjour ! »|Puis il part.|« Tu viens ? » demanda-t-il.|»Ja.«|»Gut!«",
        "C'est l'art. 5 de la loi.|Elle ne l'a pas lu.",
        "Я живу на ул. Ленина.|Это г. Москва.",
        "El Sr. García vive aquí.|¿Y tú?|¡Sí!",
        "Äpfel, Birnen usw.|Dann gingen wir.",
        "1. Erstens kommt das.|2. Zweitens jenes.",
        "Das ist der 2. Teil.|Ende.",
        "Im 19. Jahrhundert war das so.|Heute nicht.",
        "Was?!|Nein...|Doch.",
        "all is lower-case.|here too!",
        "M. Durand et Mme. Dupont arrivent.|Voilà.",
        "She got a vitamin C.|It helped.",
        "George W. Bush spoke.|They left.",
        "Er wohnt in der Hauptstr.|Sie auch.",
        "Ich wohne Hauptstr. Nord.|Ja.",
        "Es geschah am 24. Dezember.|Dann war Ruhe.",
        "Seite 24.|Danke.",
        "मैं घर जा रहा हूँ।|तुम कहाँ हो?|वह आया।",
        "أين أنت؟|أنا هنا.|نعم!",
        "Siehe S. 12 und Bd. 3.|Danke.",
        "It was 1990.|Then came 1991.",
        "He is No. 1.|She is No. 2.",
        "Das Meeting ist um 10.|Sei da.",
        "Ես տանը եմ։|Դու որտե՞ղ ես։",
        "Tom, Mary, etc.|He left.",
        "Er kam ca. 5 Min. später.|Gut.",
        "Wir treffen uns um 9 Uhr.|Bis dann.",
        "Gem. Abs. 2 gilt das.|Ja.",
        "Der Preis (ca. 5 Euro) ist gut.|Danke.",
        "The meeting is at 3 p.m. on Monday.|Come.",
        "Das ist Nr. 3.|Das ist Nr. 4.",
        "Er sagte: „Geh.“|Sie ging.",
        "Louis XIV. war König.|Ja.",
        "Papst Johannes Paul II. kam.|Er ging.",
        "Bitte rufen Sie mich unter Tel. 030 1234 an.|Danke.",
        "В 1990 г. он уехал.|Она осталась.",
        "У него 5 млн. рублей.|Это много.",
    ],
)
def test_abbreviations_and_numbers_of_many_languages(sentences: str) -> None:
    """The sentences, with `|` where one ends."""
    assert split_sentences(sentences.replace("|", " ")) == sentences.split("|")


@pytest.mark.parametrize(
    "sentences",
    [
        ["One.", "Two!", "Three?", "Four…", "Five"],
        ["Really?!", "Yes..."],
        ['He said: "Stop."', "(I did.)", "„Gut.“", "«Bien !»", "Oui."],
        ["“Come!” he said.", "So z. B. Dr. Who am 3. Mai 2016.", "The end."],
        ["Nr. 5 lebt.", "Das kostet 3.50 Euro.", "See example.org for more."],
        ["all is lower-case.", "here too!"],
    ],
)
def test_sentence_ends(sentences: list[str]) -> None:
    assert split_sentences(" ".join(sentences)) == sentences
    assert split_sentences("  " + "   ".join(sentences) + " ") == sentences
    assert join_sentences(sentences) == " ".join(sentences)


def test_sentence_ends_without_spaces() -> None:
    text = "你好吗？！我很好。他说：「好。」然后走了。「走！」「好。」"
    assert split_sentences(text) == ["你好吗？！", "我很好。", "他说：「好。」然后走了。", "「走！」", "「好。」"]
    assert join_sentences(split_sentences(text)) == text
    assert split_sentences("") == []
    assert join_sentences(["", "a", "", "b"]) == "a b"


@settings(max_examples=50, deadline=None)
@given(st.text(alphabet='aB.!?…。！」"” \t3', max_size=30))
def test_splitting_loses_nothing_but_spaces(text: str) -> None:
    assert "".join("".join(split_sentences(text)).split()) == "".join(text.split())


HARD = [
    "." * 100_000,
    ". " * 50_000,
    "a. " * 30_000,
    '."' * 50_000,
    "。" * 100_000,
    "。" * 100_000 + "」x",
    "।" * 100_000,
]


@pytest.mark.parametrize("line", HARD)
def test_splitting_takes_linear_time(line: str) -> None:
    start = time.process_time()
    found = split_sentences(line)
    assert time.process_time() - start < 5  # 0.01 to 0.4 s; with a quadratic rule minutes
    assert "".join("".join(found).split()) == "".join(line.split())


@pytest.mark.parametrize(
    ("source", "text", "written"),
    [
        ("Bleib hier!", "Stay here.", "Stay here!"),
        ("Halt!", "Stop.", "Stop!"),
        ("Halt!", "Wait...", "Wait..."),
        ("Bleib hier.", "Stay here.", "Stay here."),
        ("Bleib hier!", "Stay here?", "Stay here?"),
        ("Vergiss den Schlüssel nicht!", "Don't forget the key.", "Don't forget the key!"),
        ("Bitte bleib noch zwei Tage hier!", "Please stay two more days.", "Please stay two more days."),
    ],
)
def test_a_short_exclamation_keeps_its_mark(source: str, text: str, written: str) -> None:
    assert with_final_mark(text, source, "en") == written


def test_french_has_a_space_before_an_exclamation_mark() -> None:
    assert with_final_mark("Restez ici.", "Stay here!", "fr") == "Restez ici !"
    assert (
        with_final_mark("Do you know that man there.", "Kennst du den Mann dort?", "en")
        == "Do you know that man there?"
    )
    assert with_final_mark("Tu le connais.", "Do you know him?", "fr") == "Tu le connais ?"
    assert with_final_mark("Lo conoces.", "Do you know him?", "es") == "Lo conoces."
    assert with_final_mark("Well...", "Really?", "en") == "Well..."
    assert with_final_mark("Don't forget the key.", "N'oublie pas la clé !", "en") == "Don't forget the key!"
    assert with_final_mark("Don't forget the blue key.", "N'oublie pas la clé bleue !", "en").endswith("!")


def test_no_sentence_ends_without_a_mark_that_is_looked_for_first() -> None:
    """A line without such marks, or with one at its end only, is not searched for the ends of sentences."""
    for mark in map(chr, range(sys.maxunicode + 1)):
        if re.match(_SENTENCE_END, mark + " B") or re.compile(_SENTENCE_END).match("\u03b1" + mark + " B", 1):
            assert re.match(_MARK, mark), mark
