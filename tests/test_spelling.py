"""Misspelt words are corrected, and nothing else."""

from __future__ import annotations

import io
import json
import unicodedata
import zlib
from pathlib import Path

import pytest

from nmt.config import VocabularyConfig
from nmt.text.glossary import Glossary
from nmt.text.spelling import Speller, expanded, without_accents
from nmt.text.vocabulary import READ_WORDS, SourceWords, Vocabulary, learn_vocabulary
from nmt.translation.line_stream import translate_stream
from nmt.translation.translator import SourceLine, Translator

TEXT = [
    *["Wir haben gestern im Garten mit dem Schlüssel auf die Straße gewartet."] * 40,
    *["Das Zimmer ist schön, und die Woche kommt morgen schon vielleicht wieder."] * 40,
    *["Maria und Hoffmann heißen so, weil die NATO es will."] * 40,
    *["Müller möchte für fünf Euro Käse aus Köln, und Horst hört zu."] * 40,
    *["Er mochte es."],
]


def learned(text: list[str], size: int = 340) -> Vocabulary:
    read = SourceWords()
    return learn_vocabulary(read.count(text), VocabularyConfig(), size, "identity", (), 4, read)


@pytest.fixture(scope="module")
def speller() -> Speller:
    return Speller(learned(TEXT), "de")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("Wir haben gestren gewartet.", "Wir haben gestern gewartet."),  # two letters exchanged
        ("Das Zimer ist schön.", "Das Zimmer ist schön."),  # one consonant for two
        ("im Gartten", "im Garten"),
        ("wir habben villeicht gewartet", "wir haben vielleicht gewartet"),  # a letter missing
        ("mit dem Schlusel", "mit dem Schlüssel"),  # an accent and a double letter
        ("Das ist schoen.", "Das ist schön."),
        ("auf die Strasse", "auf die Straße"),
        ("wir warten im garten", "wir warten im Garten"),  # capitals in a line in small letters
        ("auf die nato", "auf die NATO"),
        ("DAS ZIMER", "DAS ZIMMER"),
        ("Gestren war es schön.", "Gestern war es schön."),
        ("fuenf Euro, fur Kaese", "fünf Euro, für Käse"),  # short words, several letters
        ("wir warten in Koeln", "wir warten in Köln"),
        ("Er mochte fur funf Euro warten.", "Er möchte für fünf Euro warten."),  # a known word in such a line
    ],
)
def test_slips_are_undone(speller: Speller, written: str, meant: str) -> None:
    corrected, found = speller.correct(written)
    assert corrected == meant
    assert found and all(word in written and other in meant for word, other in found.items())
    assert speller.correct(written) == (corrected, found)  # the words were looked up before


@pytest.mark.parametrize(
    "line",
    [
        *sorted(set(TEXT)),
        "Das sagt Hofmann.",  # a name is no misspelt noun
        "Das ist Zimer.",
        "Frau Zimer ist da.",
        "Er mochte Hoffmann.",
        "Maria Mueller ist da.",
        "Wochen, gartens, straßen",  # endings
        "schon",
        "gst",
        "Straßenbahn Gartenzaun",
        "https://example.org/gestren `gestren` gestren@example.org",
        "昨日は庭で待ちました",
        "",
    ],
)
def test_what_is_right_or_unclear_does_not_change(speller: Speller, line: str) -> None:
    assert speller.correct(line) == speller.correct(line) == (line, {})  # the words were looked up the second time


@pytest.mark.parametrize("line", ["Wir haben gestern gewartet.", "Das Zimmer ist schön.", "Wir warten auf die Straße."])
def test_text_in_another_form_is_as_right(speller: Speller, line: str) -> None:
    for other in (unicodedata.normalize("NFD", line), line.replace("e", "e\u00ad"), line.replace(" ", "\u00a0 ")):
        assert speller.correct(other) == (other, {})
    wrong = unicodedata.normalize("NFD", line + " gestren")
    assert speller.correct(wrong) == (f"{line} gestern", {"gestren": "gestern"})
    assert speller.correct(wrong + " a\u0308@b.de") == (wrong + " a\u0308@b.de", {})


def test_a_damaged_list_is_none_and_endless_words_take_no_time(speller: Speller) -> None:
    assert speller.correct("x" * 100_000 + " gestren")[1] == {"gestren": "gestern"}
    for damage in (b"", b"\0\1", zlib.compress(b"\xff\xfe 1\nein zwei"), zlib.compress(b"a 1 b")):
        field = READ_WORDS + damage
        damaged = Vocabulary(speller.vocabulary._pieces + b"\xca\x0c" + bytes([len(field)]) + field)
        assert len(damaged.words) <= 1


def test_terms_and_kept_words_do_not_change(speller: Speller) -> None:
    line = "Wir haben gestren gewartet."
    assert speller.correct(line, glossary=Glossary.of({"gestren": "yesterday"})) == (line, {})
    translator = Translator.load("de-en")
    kept = translator.prepare(SourceLine("Das Wasssser ist der Wohce.", keep=["Wohce"]))
    assert "Wohce" in kept.sentences[0].copies


def test_accents_are_taken_off_latin_and_greek_letters_alone() -> None:
    assert without_accents("Cœur, Füße, Łódź, Việt Nam, Ελλάς, señor") == "Coeur, Fusse, Lodz, Viet Nam, Ελλας, senor"
    assert expanded("Füße Österreich für") == "Fuesse Oesterreich fuer"
    for other in ("мой", "हिन्दी", "한국어", "が", "العَرَبِيَّة", "I'm 5"):
        assert without_accents(other) == other


@pytest.mark.parametrize(
    ("written", "right"),
    [
        ("Wir <i>gehen</i> in den <b>Gartten</b>.", "Wir <i>gehen</i> in den <b>Garten</b>."),
        ("<b>Gestren</b> war &amp; <i>ist</i> es schoen.", "<b>Gestern</b> war &amp; <i>ist</i> es schön."),
        ("<p>Das <i>Zimer <b>ist</b></i> gut.</p>Ja.", "<p>Das <i>Zimmer <b>ist</b></i> gut.</p>Ja."),
        ("Das <b>Zim</b>er ist gut.", "Das <b>Zim</b>er ist gut."),  # an element encloses a part of it
    ],
)
def test_in_markup_the_same_words_are_enclosed(written: str, right: str) -> None:
    translator = Translator.load("de-en")
    found, wanted = (translator.translate([SourceLine(line, markup="html")])[0] for line in (written, right))
    assert found.text == wanted.text and not wanted.corrected
    assert bool(found.corrected) == (written != right)
    kept = translator.translate([SourceLine(written, markup="html", keep=["Gartten"])])[0]
    assert "Gartten" not in kept.corrected and ("Gartten" in kept.text) == ("Gartten" in written)


def test_words_of_other_vocabularies_are_not_corrected() -> None:
    without = learn_vocabulary(TEXT, VocabularyConfig(), 340, "identity", copied_spans=4)
    assert without.words == {} and Speller(without, "de").correct("Das Zimer, gestren") == ("Das Zimer, gestren", {})


def test_the_list_has_usual_forms_and_counts_and_changes_no_pieces() -> None:
    vocabulary = learned(TEXT)
    without = learn_vocabulary(TEXT, VocabularyConfig(), 340, "identity", copied_spans=4)
    assert vocabulary.words["garten"] == ("Garten", 40) and vocabulary.words["nato"] == ("NATO", 40)
    assert vocabulary.words["die"] == ("die", 120) and vocabulary.words["das"] == ("das", 40)
    assert vocabulary.has_pieces_of(without) and without.has_pieces_of(vocabulary)
    assert vocabulary.encode_batch(TEXT) == without.encode_batch(TEXT) and vocabulary.familiar == without.familiar


def test_a_further_text_adds_its_words() -> None:
    vocabulary, read = learned(TEXT), SourceWords()
    more = vocabulary.with_words_of(read.count(["Im Garten ist Klempner Maier."] * 3), read)
    assert more.words["garten"] == ("Garten", 43) and more.words["klempner"] == ("Klempner", 3)
    assert more.has_pieces_of(vocabulary) and more.familiar is not None


@pytest.mark.parametrize(
    ("model", "written", "meant"),
    [
        ("de-en", "Wir sehen uns nächste Wohce im Resturant.", "Wir sehen uns nächste Woche im Restaurant."),
        ("de-en", "der termin ist am mitwoch", "der Termin ist am Mittwoch"),
        ("en-de", "I have definately lost my kyes tommorow.", "I have definitely lost my keys tomorrow."),
        ("fr-en", "Ou est la bibliotheque, tres loin ?", "Ou est la bibliothèque, très loin ?"),
        ("en-fr", "The resturant was realy beatiful.", "The restaurant was really beautiful."),
    ],
)
def test_a_misspelt_line_is_translated_as_the_right_one(model: str, written: str, meant: str) -> None:
    translator = Translator.load(model)
    found, right = translator.translate([written, meant])
    assert found.text == right.text and found.corrected and not right.corrected
    translator.correct_spelling = False
    assert not translator.translate(written).corrected


def test_json_says_what_was_corrected(tmp_path: Path) -> None:
    output, warnings = io.BytesIO(), list[str]()
    lines = io.BytesIO("Bis nächste Wohce!\nBis morgen!\n".encode())
    translate_stream(Translator.load("de-en"), lines, output, warn=warnings.append, json=True)
    first, second = map(json.loads, output.getvalue().decode().splitlines())
    assert first["corrected"] == {"Wohce": "Woche"} and "corrected" not in second
