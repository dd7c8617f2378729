"""Sentences all in capitals: how they are read, and acronyms and codes that stay."""

from __future__ import annotations

import pytest

from nmt.model_folder import open_model
from nmt.text.capitals import lower, upper, without_capitals
from nmt.text.vocabulary import Vocabulary


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
        ("\ue000 NICHT STÖREN", "\ue000 Nicht stören"),
    ],
)
def test_a_sentence_in_capitals_is_read_as_it_is_usually_written(
    capitals: str, usual: str, vocabulary: Vocabulary
) -> None:
    assert without_capitals(capitals, vocabulary, "de") == usual


@pytest.mark.parametrize(
    "text", ["USA", "USA!", "XYZ", "LH2043", "A", "12.30", "", "...", "Ich SAGTE nein", "我", "\ue000"]
)
def test_others_and_acronyms_stay(text: str, vocabulary: Vocabulary) -> None:
    assert without_capitals(text, vocabulary, "de") is None


def test_capitals_of_a_language() -> None:
    assert (lower("IĞDIR İL", "tr"), lower("IT", "en")) == ("ığdır il", "it")
    assert (upper("Istanbul, ılık su iç", "tr"), upper("Straße in", "de")) == ("ISTANBUL, ILIK SU İÇ", "STRASSE IN")
