"""Spans of a source are in its translation once and byte for byte, however it is searched for."""

from __future__ import annotations

import io
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_export import exported, settings_of
from test_search import RandomModel

from nmt.config import DecodingConfig, VocabularyConfig
from nmt.errors import UserError
from nmt.network.torch_engine import TorchEngine, build_model
from nmt.search.engine import Best
from nmt.search.variations import CopiedSpans, Rows
from nmt.text.cleaning import clean_line
from nmt.text.quotations import foreign_quotations
from nmt.text.spans import find_spans
from nmt.text.vocabulary import Vocabulary, learn_vocabulary
from nmt.translation.asides import find_asides
from nmt.translation.copying import Copying
from nmt.translation.line_stream import translate_stream
from nmt.translation.shortlist import LexicalTable
from nmt.translation.translator import CANNOT_COPY, SourceLine, Translator

TEXT = ["ein Hund und eine Katze spielen.", "Wo ist der Hund? Er schläft!", "die Katze sieht, was wir sehen"] * 20
WORDS = " ".join(TEXT[:3]).split()
SPANS = [
    "https://example.org/a_(b)?c=d", "{name}", "{{count}}", "%d", "%(x)s", "${HOME}", "<i>", "</b>", "&amp;",
    "`git  push`", "@tom_92", "#Wetter", "👨‍👩‍👧", "❤️", "😀", "1.249,90", "14:30", "+49 30 123456", "SKU-991", "a@b.de",
    "/etc/hosts", "C:\\x\\y.txt", "{n, plural, one {# a. B} other {x! Y}}", "getName()", ":)", "Привет", "x.de/e\u0301",
    "\ue003", "漢字",
]  # fmt: skip


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    config = VocabularyConfig(byte_fallback=False, model_type="bpe")
    return learn_vocabulary(TEXT, config, 90, "identity", (), 16)


def lines(count: int, seed: int = 1) -> list[str]:
    """Lines of words and spans; some are nothing but spans, and some have more of them than the vocabulary."""
    draw = random.Random(seed)
    made = []
    for number in range(count):
        words = draw.choices(WORDS, k=draw.randint(0, 9))
        spans = draw.choices(SPANS, k=draw.randint(17, 40) if number % 40 == 7 else draw.randint(0, 4))
        parts = [*words, *spans]
        draw.shuffle(parts)
        made.append(" ".join(parts))
    return made


def translator(vocabulary: Vocabulary, seed: int = 0, end: float = 1.0, **decoding: Any) -> Translator:
    settings = DecodingConfig(**{"beam_size": 3, "max_length_factor": 1.0, "max_length_offset": 3, **decoding})
    engine = RandomModel(len(vocabulary), seed=seed, end=end, extra_columns=1, sharpness=2.0)
    return Translator(engine, vocabulary, vocabulary, settings)


def counted(text: str, spans: set[str]) -> Counter[str]:
    """How often each span is in a text; that of a longer one counts for itself alone."""
    counts: Counter[str] = Counter()
    for span in sorted(spans, key=len, reverse=True):
        counts[span] = text.count(span)
        text = text.replace(span, " ")
    return counts


@pytest.mark.parametrize(
    "decoding",
    [
        {},
        {"beam_size": 1},
        {"method": "sampling"},
        {"beam_size": 4, "groups": 2},
        {"no_repeat_ngram": 1},
        {"max_length_factor": 0.0, "max_length_offset": 0},
        {"minimum_bayes_risk": "chrf"},
    ],
    ids=str,
)
@pytest.mark.parametrize("end", [4.0, -4.0])
def test_each_span_is_written_once_and_byte_for_byte(
    vocabulary: Vocabulary, decoding: dict[str, Any], end: float
) -> None:
    """Of a model that would rather end at once, and of one that would rather go on."""
    made, asked = translator(vocabulary, end=end, **decoding), lines(200 if not decoding and end > 0 else 25)
    for line, found in zip(asked, made.translate_n_best(asked, min(2, made.decoding.beam_size)), strict=True):
        unreadable = vocabulary.unreadable(clean_line(line))
        expected = Counter(line[start:end] for start, end in find_spans(line, None, unreadable))
        for translation in found:
            assert counted(translation.text, set(expected)) == expected


def test_a_line_is_translated_as_without_its_neighbours(vocabulary: Vocabulary) -> None:
    made, asked = translator(vocabulary), [*lines(40), "ein Hund", "die Katze."]
    together = made.translate_n_best(asked, 2, attention_weights=True)
    alone = [made.translate_n_best([line], 2, attention_weights=True)[0] for line in asked]
    assert [[one.text for one in found] for found in together] == [[one.text for one in found] for found in alone]
    assert together == alone


def test_few_rows_ask_for_whole_rows_of_probabilities(vocabulary: Vocabulary) -> None:
    """The best pieces tell the same as all of them."""
    asked = [line for line in lines(30) if line]
    for end in (3.0, -3.0):
        made = translator(vocabulary, end=end)
        fast = made.translate_n_best(asked, 2)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(CopiedSpans, "among", lambda self, best, rows, k: among_all(self, best, rows, k))
            assert made.translate_n_best(asked, 2) == fast


def among_all(self: CopiedSpans, best: Best, rows: Rows, k: int) -> tuple[Best, Any]:
    """As if each row had to be looked at as a whole."""
    return AMONG(self, best, rows, k)[0], np.arange(len(rows.sentence))


AMONG = CopiedSpans.among


def test_plain_lines_are_searched_as_ever(vocabulary: Vocabulary) -> None:
    """The engine chooses the best pieces itself; what it writes of spans leaves no trace."""
    plain = [" ".join(random.Random(i).choices(WORDS, k=6)) for i in range(30)]
    made = translator(vocabulary)
    found = made.translate(plain)
    assert all(not any("\ue000" <= sign <= "\ue00f" for sign in one.text + "".join(one.tokens)) for one in found)
    assert all(one.text == " ".join(one.text.split()) for one in found)
    mixed = made.translate([line for pair in zip(plain, lines(30), strict=True) for line in pair])
    assert mixed[::2] == found


def test_a_sentence_without_a_word_comes_out_as_it_went_in(vocabulary: Vocabulary) -> None:
    asked = ["?", "...", "12", "https://a.de/b", "3 + 4 = 7 😀", "{x} (%d)", "Hm?  12  ! 😀"]
    old = learn_vocabulary(TEXT, VocabularyConfig(byte_fallback=False), 60, "identity")
    for pieces in (vocabulary, old):
        found = translator(pieces).translate(asked)
        assert [one.text for one in found[:-1]] == asked[:-1]
        assert found[-1].text.endswith("12  ! 😀")
        assert found[0].score == found[0].log_prob == 0.0
    digits = learn_vocabulary(["1 2 3 4 5"] * 9, VocabularyConfig(byte_fallback=False), 12, "identity")
    assert translator(digits).translate(["1 2 3"])[0].tokens != ["▁1", "▁2", "▁3"]  # a probe task has no words


def test_capitals_without_a_piece_are_read_in_small_letters(vocabulary: Vocabulary) -> None:
    """The text has `ö` in `hört`, but no `Ö`; a letter that is in neither form stays copied."""
    config = VocabularyConfig(byte_fallback=False, model_type="bpe")
    copying = Copying(*[learn_vocabulary([*TEXT, *["er hört die Katze"] * 9], config, 90, "identity", (), 16)] * 2)
    assert copying.source.unreadable("Öö") == "Ö"
    for line, copies in {"ER HÖRT DIE KATZE": (), "ER HÖRT ДЯ": ("ДЯ",), "er HÖRT die Katze": ("HÖRT",)}.items():
        [sentence] = copying.sentences(line, True)[0]
        assert sentence.copies == copies


def test_what_is_asked_of_a_line_may_have_its_spans(vocabulary: Vocabulary) -> None:
    asked = [
        SourceLine("der Hund https://a.de/b und {x}, {x}", prefix="eine https://a.de/b"),
        SourceLine("der Hund 😀 schläft 14:30", required=["14:30", "😀"]),
        SourceLine("der Hund 😀 schläft 14:30", forbidden=["14:30", "Katze"]),
        SourceLine("der Hund sieht ein Pferd, Hunde", keep=["Hund", "ein Pferd"]),
    ]
    for seed in range(5):
        found = [one.text for one in translator(vocabulary, seed).translate(asked)]
        assert found[0].startswith("eine https://a.de/b") and found[0].count("https://a.de/b") == 1
        assert found[0].count("{x}") == 2
        assert found[1].count("14:30") == found[1].count("😀") == found[2].count("14:30") == 1
        assert "ein Pferd" in found[3] and "Hund" in found[3]


def test_spaces_around_a_span_are_those_of_the_source(vocabulary: Vocabulary) -> None:
    """Between the span and a word: a model that ends too soon writes it right behind its last word."""
    for end in (9.0, -9.0):
        (found,) = translator(vocabulary, end=end).translate(["der 14:30 Hund 😀 eine {x}"])
        text = f" {found.text} "
        for span in ("14:30", "😀", "{x}"):
            before, after = text.split(span)
            assert before[-1] == " " and (after[0] == " " or not after[0].isalnum())
        assert "".join(found.tokens).replace("▁", " ").strip() == found.text


def test_alignments_and_weights_are_those_of_the_pieces(vocabulary: Vocabulary) -> None:
    (found,) = translator(vocabulary).translate_n_best(["der Hund https://a.de/b 😀"], 1, attention_weights=True)[0]
    assert "https://a.de/b" in "".join(found.source_tokens) and "https://a.de/b" in "".join(found.tokens)
    assert found.attention_weights is not None and found.alignment
    assert found.attention_weights.shape[0] == len(found.tokens) + 1
    (alone,) = translator(vocabulary).translate_n_best(["12 + 3"], 1, attention_weights=True)[0]
    assert alone.alignment == [(0, 0), (1, 1), (2, 2)]
    assert alone.attention_weights is not None and np.allclose(alone.attention_weights.sum(axis=1), 1)


def test_given_translations_are_scored_with_their_spans_as_pieces(vocabulary: Vocabulary) -> None:
    """What the spans are makes no difference, but a span that the source has not is read as it is written."""
    made = translator(vocabulary)
    sources = ["die {x} Katze, https://a.de/b", "die %d Katze, 14:30", "die {x} Katze, https://a.de/b"]
    targets = ["https://a.de/b: eine {x}", "14:30: eine %d", "https://a.de/b: eine {y}"]
    first, second, other = made.score(sources, targets)
    assert [first.text, second.text, other.text] == targets
    assert first.token_log_probs == second.token_log_probs != other.token_log_probs
    assert {"{x}", "https://a.de/b"} <= set(first.tokens)


def stream(made: Translator, source: str, **options: Any) -> tuple[list[str], list[str]]:
    output, warnings = io.BytesIO(), list[str]()
    translate_stream(made, io.BytesIO(source.encode()), output, warn=warnings.append, **options)
    return output.getvalue().decode().splitlines(), warnings


def test_phrases_to_keep_come_from_options_and_json(vocabulary: Vocabulary) -> None:
    source = '{"text": "der Hund sieht Tom", "keep": ["Tom"]}\n{"text": "die Katze mag Tom"}\n'
    written, warnings = stream(translator(vocabulary), source, json=True, json_input=True, keep=["Katze"])
    texts = [json.loads(line)["text"] for line in written]
    assert "Tom" in texts[0] and "Katze" in texts[1] and not warnings


def test_a_model_that_cannot_keep_phrases_says_so(vocabulary: Vocabulary) -> None:
    old = translator(learn_vocabulary(TEXT, VocabularyConfig(byte_fallback=False), 60, "identity"))
    without, _ = stream(old, "der Hund\ndie Katze\n")
    written, warnings = stream(old, "der Hund\ndie Katze\n", keep=["Hund"])
    assert written == without and warnings == [f"line 1: {CANNOT_COPY}"]
    with pytest.raises(UserError, match="line 1: phrases to keep are translated"):
        stream(old, "der Hund\n", keep=["Hund"], strict=True)
    with pytest.warns(UserWarning, match="line 1: phrases to keep"):
        old.translate([SourceLine("der Hund", keep=["Hund"])])
    with pytest.raises(UserError, match="`keep` must be a list of phrases"):
        SourceLine("der Hund", keep="Hund")


def test_the_export_copies_as_torch_does(vocabulary: Vocabulary, tmp_path: Path) -> None:
    network = build_model(settings_of("translation", {"attention": "dot"}), len(vocabulary), len(vocabulary), 3)
    asked = lines(20)
    found = [
        Translator(engine, vocabulary, vocabulary, DecodingConfig(beam_size=3)).translate_n_best(asked, 2)
        for engine in (TorchEngine(network.eval()), exported(TorchEngine(network.eval()), tmp_path))
    ]
    assert [[one.text for one in best] for best in found[0]] == [[one.text for one in best] for best in found[1]]
    assert any(best[0].text != line for best, line in zip(found[0], asked, strict=True))


def test_a_shortlist_has_the_spans_of_its_sentence() -> None:
    """Of two vocabularies as well, in which the same span has two numbers."""
    table = LexicalTable([[4, 5], [5, 6]], [[7, 8], [8, 9]], 20, 30)
    _, translations = table.lists(2, 3, False, [(10, 20), (11, 21)])
    assert translations[10, 0] == 20 and translations[11, 0] == 21


def test_a_line_that_is_read_as_a_whole_says_that_it_has_too_many_spans(vocabulary: Vocabulary) -> None:
    line = " und ".join(["der Hund", *(f"{{x{i}}}" for i in range(18)), "\ue003"])
    with pytest.warns(UserWarning, match="line 1: its 19 spans to copy are too many for one sentence"):
        (found,) = translator(vocabulary).translate([SourceLine(line, prefix="eine")])
    assert all(f"{{x{i}}}" in found.text for i in range(16)) and found.text.startswith("eine")
    (found,) = translator(vocabulary).translate([SourceLine(line)])
    assert all(f"{{x{i}}}" in found.text for i in range(18)) and found.text.count("\ue003") == 1


@pytest.mark.parametrize(
    ("line", "places"),
    [
        ("Der Hund (eine Katze) spielt [wo auch immer].", [(9, 21), (29, 44)]),
        ("(Wo ist der Hund?)", [(0, 18)]),
        ("Hund(e) und (12) :-( Katze :-) und (ein (Hund) hier", [(40, 46)]),
        ("f(x) = (a) und (im 19. Jh.), so", [(15, 27)]),
    ],
)
def test_words_in_brackets_are_asides(line: str, places: list[tuple[int, int]]) -> None:
    assert list(find_asides(line)) == places


def test_asides_are_translated_as_lines_of_their_own(vocabulary: Vocabulary) -> None:
    model = translator(vocabulary)
    for inner in ("eine Katze spielt", "wo ist der Hund 12", "Wo ist er? Er schläft!"):
        aside = model.translate(inner).text
        for line in (f"Der Hund ({inner}) spielt.", f"Der Hund spielt [{inner}]"):
            brackets = "[]" if "[" in line else "()"
            assert f"{brackets[0]}{aside}{brackets[1]}" in model.translate(line).text
        assert model.translate(f"({inner})").text == f"({aside})"
        kept = model.translate(SourceLine(f"Hund ({inner})", prefix="Hund")).text
        assert kept.startswith("Hund")


def test_a_line_with_an_aside_has_its_confidence_and_its_terms() -> None:
    model = Translator.load("de-en")
    found, aside, kept = model.translate(
        ["Mein Chef (er heißt Thomas) ist da.", "er heißt Thomas", "(er heißt Thomas)"]
    )
    assert found.confidence is not None and aside.confidence is not None
    assert 0 < found.confidence < aside.confidence == kept.confidence
    assert "(" + model.translate("er heißt Thomas", glossary={"Thomas": "Rudi"}).text + ")" in (
        model.translate("Mein Chef (er heißt Thomas) ist da.", glossary={"Thomas": "Rudi"}).text
    )


def test_what_a_user_names_in_a_line_with_an_aside_is_kept_or_is_a_term() -> None:
    model = Translator.load("de-en")
    line = "Mein Chef (bitte nicht stören) kennt Qwrtzky."
    assert "(bitte nicht stören)" in model.translate(SourceLine(line, keep=["(bitte nicht stören)"])).text
    assert "Smith" in model.translate(line, glossary={"Qwrtzky": "Smith"}).text


@pytest.mark.parametrize(
    ("model", "line", "phrase"),
    [
        ("de-en", "Ihr Motto ist {}.", "carpe diem"),
        ("de-en", "Er liest {} noch einmal.", "Wuthering Heights"),
        ("en-de", "The card says {}.", "Buon appetito a tutti!"),
        ("en-de", "Her favourite film is {}.", "La vita è bella"),
        ("fr-en", "Il a écrit {} sur le mur.", "Ich liebe dich"),
        ("en-fr", "My teacher always says {}.", "Übung macht den Meister"),
    ],
)
def test_quotations_in_another_language_are_copied(model: str, line: str, phrase: str) -> None:
    translated = Translator.load(model)
    for marks in ('"{}"', "„{}“", "“{}”", "«\u00a0{}\u00a0»", "»{}«"):
        assert phrase in translated.translate(line.format(marks.format(phrase))).text


@pytest.mark.parametrize(
    ("model", "line"),
    [
        ("de-en", "Er sagte: „Ich komme morgen, weil ich müde bin.“"),
        ("de-en", "Was heißt „Kulturbeutel“?"),
        ("de-en", "Er rief: „Es hagelt!“"),
        ("de-en", "Sie rief: „Heidelberg liegt am Neckar!“"),
        ("de-en", "„carpe diem“"),
        ("en-de", 'She said, "I\'ll be there at nine," and left.'),
        ("en-de", 'She said, "My name is Priya Birnbaum."'),
        ("en-de", 'She wrote "I recieved it."'),
        ("en-de", "It's the dogs' and the cats' fault."),
        ("fr-en", "Il a dit : « Je n'ai pas faim » et il est parti."),
        ("fr-en", "Entre « A » et bredouillant « B »."),
        ("en-fr", 'Press "Save changes" and wait.'),
    ],
)
def test_quotations_in_the_language_and_single_words_are_translated(model: str, line: str) -> None:
    assert list(foreign_quotations(line, Translator.load(model).source_vocabulary)) == []


def test_few_quotations_of_the_training_text_are_foreign() -> None:
    """Most of those are lists of names."""
    vocabulary = Translator.load("de-en").source_vocabulary
    lines = [line for line in Path("configs/everyday/train.de").read_text("utf-8").split("\n") if 3 <= len(line) <= 80]
    found = [line for line in lines if list(foreign_quotations(f"Es heißt »{line}«.", vocabulary))]
    assert len(found) < 0.02 * len(lines)


def test_what_a_user_asks_for_in_a_quotation_goes_before_copying_it() -> None:
    model = Translator.load("de-en")
    line = "Sein Motto ist „carpe diem“."
    assert "seize the day" in model.translate(line, glossary={"carpe diem": "seize the day"}).text
    assert "diem" not in model.translate(SourceLine(line, forbidden=["diem"])).text
    assert "carpe diem" in model.translate("Sein <b>Motto</b> ist „carpe diem“.", markup="html").text
    kept = Copying(model.source_vocabulary, model.target_vocabulary).sentences(line, True, quotations=True)[0][0].copies
    assert kept == ("carpe diem",)
