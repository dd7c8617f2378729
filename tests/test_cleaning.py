"""Text is prepared in one way: disturbances that mean nothing are removed, in training as in translation."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.config import DataConfig, VocabularyConfig
from nmt.data.corpus import load_pairs, prepare_corpus, prepare_text
from nmt.text.cleaning import clean_line, clean_target, one_line
from nmt.text.vocabulary import learn_vocabulary

PLAIN = "Können Sie die Tür schließen?"

DISTURBED = {
    "decomposed": unicodedata.normalize("NFD", PLAIN),
    "no-break spaces": PLAIN.replace(" ", "\u00a0"),
    "narrow no-break spaces": PLAIN.replace(" ", "\u202f"),
    "thin spaces": PLAIN.replace(" ", "\u2009"),
    "ideographic spaces": PLAIN.replace(" ", "\u3000"),
    "tabs": PLAIN.replace(" ", "\t"),
    "line separators": PLAIN.replace(" ", "\u2028"),
    "soft hyphens": PLAIN.replace("ie", "i\u00ade"),
    "soft hyphen before a combining mark": "Ko\u00ad\u0308nnen Sie die Tür schließen?",
    "zero-width spaces": PLAIN.replace(" ", "\u200b "),
    "byte order mark": PLAIN.replace("Sie", "\ufeffSie"),
    "word joiners": PLAIN.replace("T", "\u2060T"),
    "marks of direction": "\u202a\u200e" + PLAIN + "\u200f\u202c",
    "isolates": PLAIN.replace("Sie", "\u2068Sie\u2069"),
    "joiners between Latin letters": PLAIN.replace("nn", "n\u200cn\u200d"),
    "tag characters": PLAIN + "\U000e0041\U000e0042",
    "full width": "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in PLAIN),
    "carriage return": PLAIN + "\r",
    "colours of a terminal": "\x1b[1;31m" + PLAIN.replace("Tür", "\x1b[mTür") + "\x1b[0m",
}


@pytest.mark.parametrize("name", DISTURBED)
def test_harmless_disturbances_of_the_source_are_removed(name: str) -> None:
    assert DISTURBED[name] != PLAIN
    assert clean_line(DISTURBED[name]) == PLAIN


@pytest.mark.parametrize(
    "text",
    [
        "plain  text ",
        "“Ja”, sagte sie – und ging…  ",
        "👩\u200d🚀 👩🏽\u200d🤝\u200d👨🏿 ❤\ufe0f\u200d🔥",  # joined emoji
        "می\u200cخواهم",  # Persian: a non-joiner between letters
        "क्\u200dष श्री\u200c",  # Devanagari: half forms
        "ශ්\u200dරී",  # Sinhala
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",  # the flag of England
        "你好！（走吧），他说：ok",  # full-width signs are East Asian text's own
        "日本語、テスト。",
        "ﬁ ² ½",  # other forms of letters are left to `vocabulary.normalization = "nfkc"`
    ],
)
def test_what_a_script_needs_stays(text: str) -> None:
    assert clean_line(text) == text


def test_full_width_letters_and_digits_are_ordinary_ones_in_any_text() -> None:
    assert clean_line("１２個のＡＢＣ！") == "12個のABC！"


def test_control_characters_of_windows_1252_are_what_they_stood_for() -> None:
    for clean in (one_line, clean_line, clean_target):
        assert clean("the dog\x92s \x93bone\x94 \x96 5 \x80") == "the dog’s “bone” – 5 €"
        assert clean("a\x81b\x85c\x9fd") == "a b cŸd"


def test_one_line() -> None:
    assert one_line("plain  text ") == "plain  text "
    assert one_line("\r\na\r\n\r\nb\n") == "a b"
    assert one_line("\ud83d") == "\ufffd"


def test_the_target_keeps_what_a_translation_can_write() -> None:
    decomposed = unicodedata.normalize("NFD", "Ça va\u00a0? co\u00adop")
    assert clean_target(decomposed) == decomposed
    assert clean_target("a\tb\r") == "a b"
    assert clean_target(" \t\u3000") == clean_line(" \t\u3000\u200b") == ""


@given(st.text())
def test_cleaning_twice_is_cleaning_once_and_gives_one_line(text: str) -> None:
    for clean in (one_line, clean_line, clean_target):
        cleaned = clean(text)
        assert clean(cleaned) == cleaned
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", cleaned)
        cleaned.encode()


def test_training_and_translation_prepare_text_alike(tmp_path: Path) -> None:
    """Vocabulary and pieces are those of the clean text, whatever disturbs the source and whatever controls the target.

    The pieces of training are those that translation reads: those of `clean_line`.
    """
    count = len(DISTURBED)
    disturbed = [text.replace("\r", "\x01") for text in DISTURBED.values()]
    loaded = []
    for name, sources, target in (("clean", [PLAIN] * count, "It’s a door."), ("not", disturbed, "It\x92s a\tdoor.")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "train.de").write_text("".join(f"{line}\n" for line in sources), encoding="utf-8")
        (tmp_path / name / "train.en").write_text(f"{target}\n" * count, encoding="utf-8")
        data = DataConfig(path=str(tmp_path / name))
        loaded.append(load_pairs(data, "train"))
    clean, cleaned = loaded
    assert clean[:] == cleaned[:]
    vocabulary = learn_vocabulary([*clean["source"], *clean["target"]], VocabularyConfig(), 300, "identity")
    corpus = prepare_corpus(data, "train", vocabulary, vocabulary)
    sources, targets = corpus.pieces(range(len(corpus)))
    assert len(corpus) == len(DISTURBED)
    assert {tuple(ids) for ids in sources} == {tuple(vocabulary.encode(PLAIN))}
    assert {vocabulary.decode(ids.tolist()) for ids in targets} == {"It’s a door."}
    text = prepare_text(data, "train", vocabulary)
    assert set(text.text(range(len(text)))) == {"It’s a door."}
