"""Terms are found where they occur, and their translations are in the translation of that sentence."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
from test_markup import TAG, WORDS, stream, toy

from nmt.cli import main
from nmt.errors import UserError
from nmt.text.glossary import Glossary
from nmt.translation.translator import SourceLine, Translator


def found(text: str, terms: dict[str, str]) -> list[tuple[str, str]]:
    return [(text[match.start : match.end], match.target) for match in Glossary(terms).find(text)]


def test_terms_are_found_as_whole_words() -> None:
    terms = {"Hund": "dog", "Vertrag": "contract", "rote Karte": "red card", "C++": "C++", "網": "net"}
    assert found("Der Hund, die Hundehütte und der Schäferhund.", terms) == [("Hund", "dog")]
    assert found("Hunde", terms) == []  # too short a word for its inflected forms
    assert found("Des Vertrages und der Verträge", terms) == [("Vertrages", "contract")]
    assert found("vertragliche Vertragspartner im Vertragsheft", terms) == []
    assert found("Eine rote Karte und C++, bitte", terms) == [("rote Karte", "red card"), ("C++", "C++")]
    assert found("網です", terms) == [("網", "net")]


def test_only_the_first_word_of_a_sentence_may_have_another_capital() -> None:
    assert found("»Agreement« is an Agreement, no agreement", {"agreement": "A"}) == [
        ("Agreement", "A"),
        ("agreement", "A"),
    ]
    assert found("It is bold. BOLD", {"It": "X", "Bold": "Y"}) == [("It", "X")]


def test_the_longest_term_counts_and_the_exact_form() -> None:
    terms = {"New York": "1", "New York Times": "2", "Times Square": "3", "Kunde": "4", "Kunden": "5", "York": "6"}
    assert found("The New York Times Square", terms) == [("New York Times", "2")]
    assert found("Kunden und Kunde in York", terms) == [("Kunden", "5"), ("Kunde", "4"), ("York", "6")]


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


TBX2 = """<?xml version="1.0"?><!DOCTYPE martif SYSTEM "TBXcoreStructV02.dtd"><martif><text><body>
<termEntry><langSet xml:lang="de-DE"><tig><term>Hund</term></tig><tig><term>Köter</term></tig></langSet>
<langSet xml:lang="en"><tig><term>dog &amp; Co</term></tig></langSet></termEntry>
<termEntry><langSet xml:lang="fr"><tig><term>chat</term></tig></langSet></termEntry></body></text></martif>"""
TBX3 = """<tbx type="TBX-Core"><text><body><conceptEntry><langSec xml:lang="en"><termSec><term>cat</term></termSec>
</langSec><langSec xml:lang="de"><termSec><term>Katze</term></termSec></langSec></conceptEntry></body></text></tbx>"""


@pytest.mark.parametrize(
    ("name", "text", "terms"),
    [
        ("a.tsv", "Hund\tdog\n\nKatze\tcat, kitty\n", {"Hund": "dog", "Katze": "cat, kitty"}),
        ("a.csv", 'Hund,dog\n"Katze, jung","""kitten"""\n', {"Hund": "dog", "Katze, jung": '"kitten"'}),
        ("a.csv", "Müll;waste\nÖl;oil\n", {"Müll": "waste", "Öl": "oil"}),
        ("a.csv", "Source,Note,Target\nHund,n,dog\n", {"Hund": "dog"}),
        ("a.tsv", "English\tde-AT\ndog\tHund\n", {"Hund": "dog"}),
        ("a.tbx", TBX2, {"Hund": "dog & Co", "Köter": "dog & Co"}),
        ("a.xml", TBX3, {"Katze": "cat"}),
    ],
)
def test_files_of_each_format(tmp_path: Path, name: str, text: str, terms: dict[str, str]) -> None:
    glossary = Glossary.load(write(tmp_path / name, text), ("de", "en"))
    assert len(glossary) == len(terms) and not glossary.problems
    for source, target in terms.items():
        assert [match.target for match in glossary.find(source)] == [target]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("one\ntwo\n", "has no columns: none of tab, semicolon, comma"),
        ("", "has no terms"),
        ("<tmx></tmx>", "translation memory"),
        ("<xml><p>a</p></xml>", "has no pair in `de` and `en`; its languages are not named$"),
        ("<martif><text></martif>", "not valid XML"),
        ('<!DOCTYPE martif [<!ENTITY a "b">]><martif><termEntry/></martif>', "declares entities"),
        (TBX3.replace('"de"', '"pl"'), "has no pair in `de` and `en`"),
        ('a,"b\n', "is not valid CSV|has no columns"),
    ],
)
def test_a_file_that_is_no_glossary_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Glossary.load(write(tmp_path / "a", text), ("de", "en"))


def test_wrong_lines_of_a_file_are_left_out_and_said(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "Hund\tdog\nein\tzwei\tdrei\nKatze\t \n")
    glossary = Glossary.load(path, ("de", "en"))
    assert len(glossary) == 1
    name = f"glossary `{path}`"
    assert glossary.problems == [
        f"{name} line 2 is left out: a term has a tab or comma, as it has 3 fields, and not 2",
        f"{name} line 3 is left out: its target term is empty",
    ]
    source = "Hund\ndie Katze\n"
    written, said = stream(toy(), source, glossary=glossary, strict=True)
    assert len(written) == 2 and said[:2] == glossary.problems and said[-1].startswith("error: what is asked")


def test_translations_of_terms_are_in_the_translation_of_their_sentence() -> None:
    draw = random.Random(5)
    terms = {"Hund": "Katze spielen", "Katze": "der", "sieht": "wir sehen", "sehen": "ist", "schläft": "was der"}
    made = toy()
    lines = [" ".join(draw.choices([*WORDS, "schläft.", "Und"], k=draw.randint(1, 12))) for _ in range(60)]
    plain = made.translate(lines)
    for line, one, without in zip(lines, made.translate(lines, glossary=terms), plain, strict=True):
        wanted = [match.target for match in Glossary(terms).find(line)]
        assert all(target.lower() in one.text.lower() for target in wanted) and not one.problems
        if not wanted:
            assert one == without


def test_terms_are_where_the_words_were_that_correspond() -> None:
    """The rest of the translation stays as it is, and each of several translations has the term."""
    german = Translator.load("de-en")
    lines = ["Der Hund schläft auf dem Sofa.", "Dieses Buch ist sehr interessant.", "Das Auto ist rot."]
    terms = {"Hund": "hound", "Buch": "volume", "Auto": "Vehicle"}
    found = german.translate_n_best(lines, 2, glossary=terms)
    for plain, one, several in zip(
        german.translate(lines), german.translate(lines, glossary=terms), found, strict=True
    ):
        words, others = plain.text.split(), one.text.split()
        assert [a == b for a, b in zip(words, others, strict=True)].count(False) == 1
        assert all(any(term in each.text for term in terms.values()) for each in several)


def test_several_translations_are_the_free_ones_with_the_terms() -> None:
    """Search that went on after the last term translated its words once more, or added marks."""
    german, terms = Translator.load("de-en"), {"Sofa": "chesterfield", "Hund": "hound", "Bier": "ale"}
    lines = ["Ein Hund schläft auf dem Sofa.", "Wo ist das Sofa?", "Ich trinke gern Bier."]
    free = german.translate_n_best(lines, 5)
    found = german.translate_n_best(lines, 4, glossary=terms)
    for alone, several, plain in zip(german.translate(lines, glossary=terms), found, free, strict=True):
        assert several[0].text == alone.text and several[0].confidence == plain[0].confidence
        assert len({each.text for each in several}) == len(several) > 1
        for each in several:
            assert each.text.count("ale") + each.text.count("chesterfield") == 1
            assert not re.search("beer|dog|sofa|couch", each.text)


def test_terms_suit_their_sentence() -> None:
    """The first word has a capital, `a` becomes `an`, and a word that another one is translated by stays."""
    terms = {"Bier": "ale", "Vertrag": "treaty"}
    lines = {"Bier ist teuer.": "Ale is", "Er möchte gern ein Bier trinken.": " drink an ale."}
    lines["Ich habe einen Vertrag und ein Bier."] = "a treaty and an ale"
    found = Translator.load("de-en").translate(list(lines), glossary=terms)
    assert all(part in one.text and one.finished for part, one in zip(lines.values(), found, strict=True)), found


def test_a_term_may_have_words_that_would_be_copied() -> None:
    """Rare words, which are names mostly, and codes; a term inside another span is no term."""
    terms = {"Szymanski": "Shimansky", "Müller GmbH": "Mueller Ltd", "SKU-991": "item 7", "Bier": "ale"}
    lines = ["Szymanski kommt.", "Die Müller GmbH ist hier.", "Wir haben SKU-991 nicht.", "Wo ist Bier.txt?"]
    found = Translator.load("de-en").translate(lines, glossary=terms)
    parts = [*list(terms.values())[:3], "Bier.txt"]
    assert all(part in one.text for part, one in zip(parts, found, strict=True)), found


def test_markup_and_glossary_together() -> None:
    (one,) = toy().translate(["<b>ein Hund</b> und <i>Katze</i>"], markup="html", glossary={"Hund": "wir sehen"})
    assert "wir sehen" in " ".join(TAG.sub("", one.text).split())
    assert all(one.text.count(tag) == 1 for tag in ("<b>", "</b>", "<i>", "</i>"))


def test_a_term_that_is_its_own_translation_is_copied() -> None:
    (one,) = toy(spans=16).translate(["ein Zgrrk und Hund"], glossary={"Zgrrk": "Zgrrk"})
    assert one.text.count("Zgrrk") == 1


def test_what_cannot_be_met_is_said_and_the_line_is_translated_without_it() -> None:
    made = toy()
    source = '{"text": "ein Hund", "glossary": {"Hund": "狗", "ein": "", "x": "a\\tb"}}\n{"text": "Hund"}\n'
    written, said = stream(made, source, json_input=True, json=True, strict=True)
    texts = [json.loads(line)["text"] for line in written]
    assert texts == [one.text for one in made.translate(["ein Hund", "Hund"])]
    assert len(json.loads(written[0])["problems"]) == 3 and "problems" not in json.loads(written[1])
    assert "has some that the vocabulary lacks; the term is left out" in " ".join(said)
    assert said[-1].startswith("error: what is asked of the translation is not met: line 1:")
    made = toy(method="sampling")
    with pytest.raises(UserError, match="need beam search"):
        made.translate(["ein Hund"], glossary={"Hund": "Katze"})
    _, said = stream(toy(), '{"text": "a", "glossary": ["b"]}\n', json_input=True)
    assert "`glossary` must be an object of terms" in said[0]


def test_the_line_s_own_terms_come_first() -> None:
    both = Glossary({"Hund": "wir"}).over(Glossary({"Hund": "was", "Katze": "der"}))
    assert [match.target for match in both.find("Hund Katze")] == ["wir", "der"]
    (one,) = toy().translate([SourceLine("ein Hund", glossary={"Hund": "wir"})], glossary={"Hund": "was"})
    assert "wir" in one.text


def test_the_command_translates_every_line_and_exits_with_2(
    tmp_path: Path, capsysbinary: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "g.tsv", "Vertrag\ttreaty\nBier\tale\textra\n")
    lines = write(tmp_path / "in.txt", "Der Vertrag ist <b>gut</b>.\n<i>Hallo!\n")
    arguments = ["translate", "--model", "de-en", "--input", str(lines), "--glossary", str(path), "--markup", "html"]
    assert main([*arguments, "--strict"]) == 2
    written, said = capsysbinary.readouterr()
    first, second, end = written.decode().split("\n")
    assert "treaty" in first and "<b>good</b>" in first and "<i>" in second and end == ""
    assert b"line 2 is left out: a term has a tab" in said and b"line 2: the markup is unbalanced" in said
    assert main(arguments) == 0


def test_an_html_page_is_read_line_by_line(tmp_path: Path, capsysbinary: Any) -> None:
    page = write(tmp_path / "a.html", "<!DOCTYPE html>\n<html><body>\n<p>Ich habe <b>Hunger</b>.</p>\n</body></html>\n")
    arguments = ["translate", "--model", "de-en", "--input", str(page)]
    assert main([*arguments, "--markup", "html"]) == 0
    lines = capsysbinary.readouterr().out.decode().split("\n")
    assert lines[:2] == ["<!DOCTYPE html>", "<html><body>"] and lines[3:] == ["</body></html>", ""]
    assert lines[2].startswith("<p>") and "<b>" in lines[2]
    assert main(arguments) == 2
    assert b"is an HTML page" in capsysbinary.readouterr().err
