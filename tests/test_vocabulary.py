"""SentencePiece vocabularies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nmt.config import VocabularyConfig, parse_config
from nmt.errors import UserError
from nmt.tasks.task import make_vocabularies
from nmt.text.spans import SPAN_CHARACTERS
from nmt.text.vocabulary import (
    BEGIN,
    END,
    FAMILIAR_WORDS,
    PAD,
    SPECIAL_PIECES,
    UNK,
    Sample,
    SourceWords,
    Vocabulary,
    WordCounts,
    learn_vocabulary,
)

TEXT = [
    "Ein Hund läuft über die Wiese.", "Eine Frau liest ein Buch.", "Der Mann trinkt Kaffee am Fenster.",
    "A dog runs across the meadow.", "A woman is reading a book.", "The man drinks coffee by the window.",
] * 20  # fmt: skip


def learn(**settings: object) -> Vocabulary:
    config = VocabularyConfig(**settings)  # type: ignore[arg-type]
    return learn_vocabulary(TEXT, config, 340 if config.byte_fallback else 80, "identity")


@pytest.mark.parametrize("model_type", ["unigram", "bpe", "char"])
@pytest.mark.parametrize("byte_fallback", [True, False])
def test_round_trip(model_type: str, byte_fallback: bool) -> None:
    vocabulary = learn(model_type=model_type, byte_fallback=byte_fallback)
    ids = vocabulary.encode_batch(TEXT)
    assert [vocabulary.decode(sentence) for sentence in ids] == TEXT
    assert ids[0] == vocabulary.encode(TEXT[0])
    assert vocabulary.pieces(ids[0])[0].startswith("▁")
    assert vocabulary.decode([BEGIN, *ids[0], END, PAD, PAD]) == TEXT[0]


def test_byte_fallback_knows_everything() -> None:
    vocabulary = learn()
    for text in ("🙂 naïve Żółć", "漢字", "a\u2028b", "\x00"):
        assert vocabulary.decode(vocabulary.encode(text)) == text
        assert UNK not in vocabulary.encode(text)
    assert UNK in learn(byte_fallback=False).encode("漢")


@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_sampling_repeats_with_its_seed_and_keeps_the_text(model_type: str) -> None:
    vocabulary = learn(model_type=model_type)
    first = vocabulary.sample_batch(TEXT, 0.3, 7)
    assert first == vocabulary.sample_batch(TEXT, 0.3, 7)
    assert first != vocabulary.sample_batch(TEXT, 0.3, 8)
    assert first != vocabulary.encode_batch(TEXT)
    assert [vocabulary.decode(ids) for ids in first] == TEXT


def test_learning_is_deterministic() -> None:
    assert learn().model == learn().model
    assert learn().checksum != learn(model_type="bpe").checksum


def test_starts_word() -> None:
    vocabulary = learn()
    starts = vocabulary.starts_word()
    ids = vocabulary.encode("Ein Hund")
    assert sum(starts[i] for i in ids) == 2
    assert not any(starts[:4])


@pytest.mark.parametrize("byte_fallback", [True, False])
@pytest.mark.parametrize("model_type", ["unigram", "bpe", "char"])
def test_too_small_a_size_says_how_many_it_takes(model_type: str, byte_fallback: bool) -> None:
    """In words of ours, and the number that it names works."""
    config = VocabularyConfig(model_type=model_type, byte_fallback=byte_fallback)  # type: ignore[arg-type]
    size = 20 if byte_fallback else 3 if model_type == "char" else 4
    with pytest.raises(
        UserError, match=r"^`vocabulary\.size` must be at least (\d+) for this text, .* instead$"
    ) as error:
        learn_vocabulary(TEXT, config, size, "identity")
    least = int(str(error.value).split()[5])
    assert len(learn_vocabulary(TEXT, config, least, "identity")) >= size


def test_bad_models(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        Vocabulary.load(tmp_path / "none.spm")
    (tmp_path / "broken.spm").write_bytes(b"hello")
    with pytest.raises(UserError, match=r"broken.spm` is not a SentencePiece model"):
        Vocabulary.load(tmp_path / "broken.spm")
    with pytest.raises(UserError, match="no text to learn a vocabulary from"):
        learn_vocabulary(["", " "], VocabularyConfig(), 300, "identity")
    with pytest.raises(UserError, match=r"size` must be at least \d+ for this text, .* 256 bytes .* is 100"):
        learn_vocabulary(TEXT, VocabularyConfig(), 100, "identity")


def test_foreign_special_ids(tmp_path: Path) -> None:
    import io

    import sentencepiece

    output = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT), model_writer=output, vocab_size=60, minloglevel=2, hard_vocab_limit=False
    )
    (tmp_path / "foreign.spm").write_bytes(output.getvalue())
    with pytest.raises(UserError, match="must have the ids pad 0, unk 1, bos 2, eos 3, but has pad -1, unk 0"):
        Vocabulary.load(tmp_path / "foreign.spm")


@pytest.mark.parametrize("model_type", ["unigram", "bpe", "char"])
@pytest.mark.parametrize("byte_fallback", [True, False])
@pytest.mark.parametrize("normalization", ["identity", "nfkc"])
def test_a_tag_is_one_piece(model_type: str, byte_fallback: bool, normalization: str) -> None:
    config = VocabularyConfig(model_type=model_type, byte_fallback=byte_fallback)  # type: ignore[arg-type]
    tags = ["<bt>", "to German", "ＢＴ,2"]  # nfkc rewrites the last one
    tagged = [f"{tag} {text}" for tag in tags for text in TEXT]
    vocabulary = learn_vocabulary([*TEXT, *tagged], config, 340 if byte_fallback else 80, normalization, tags)
    for tag in tags:
        ids = vocabulary.encode(f"{tag} {TEXT[0]}")
        assert SPECIAL_PIECES <= ids[0] < SPECIAL_PIECES + len(tags)
        assert ids[1:] == vocabulary.encode(TEXT[0])
        assert vocabulary.encode(tag) == ids[:1]
        if normalization == "identity":
            assert vocabulary.decode(ids) == f"{tag} {TEXT[0]}"
    assert len({vocabulary.encode(tag)[0] for tag in tags}) == len(tags)


def test_without_tags_nothing_changes() -> None:
    assert learn_vocabulary(TEXT, VocabularyConfig(), 340, "identity", []).model == learn().model


def test_a_long_text_is_learned_from_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read once, whatever its length; a sample of it is spread over all of it."""
    german, english = TEXT[:3] * 60, TEXT[3:6] * 60
    characters = 4000
    monkeypatch.setattr("nmt.text.vocabulary.SAMPLED_CHARACTERS", characters)
    config = VocabularyConfig(byte_fallback=False)
    vocabulary = learn_vocabulary(iter(german + english), config, 80, "identity")
    assert not any(UNK in vocabulary.encode(text) for text in TEXT)
    sample = Sample()
    for number in range(10_000):
        sample.add(f"{number:05}")
    numbers = np.array([int(text) for text in sample.texts])
    assert characters * 0.8 < 5 * len(numbers) <= characters
    assert (np.diff(numbers) > 0).all()
    assert np.histogram(numbers, 5, (0, 10_000))[0] == pytest.approx([len(numbers) / 5] * 5, rel=0.2)


def test_frequent_words_are_counted_in_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def word(number: int) -> str:
        return "".join("abcdefghij"[int(digit)] for digit in f"{number:05}")

    texts = [f"Haus {word(number)} {'Hund' * (number % 10 == 0)}" for number in range(2000)]
    counted, all_counted = WordCounts(), WordCounts()
    for text in texts:
        all_counted.add(text)
    monkeypatch.setattr("nmt.text.vocabulary.MOST_COUNTED", 100)
    for text in texts:
        counted.add(text)
        assert len(counted.counts) <= 100
    assert len(all_counted.counts) == 2002
    assert all_counted.counts["haus"] == counted.counts["haus"] == 2000
    assert 190 <= counted.counts["hund"] <= all_counted.counts["hund"] == 200


@pytest.mark.parametrize("model_type", ["unigram", "bpe", "char"])
@pytest.mark.parametrize("byte_fallback", [True, False])
@pytest.mark.parametrize("normalization", ["identity", "nfkc"])
def test_the_characters_of_spans_are_pieces_wherever_they_are(
    model_type: str, byte_fallback: bool, normalization: str
) -> None:
    config = VocabularyConfig(model_type=model_type, byte_fallback=byte_fallback)  # type: ignore[arg-type]
    size = 360 if byte_fallback else 80
    vocabulary = learn_vocabulary(TEXT, config, size, normalization, ["<bt>"], 16)
    assert len(set(vocabulary.span_ids)) == 16
    assert vocabulary.pieces(vocabulary.span_ids) == list(SPAN_CHARACTERS)
    for text in ("Ein \ue003 Hund", "\ue00fEin\ue000", "\ue001 \ue002\ue001"):
        for ids in (vocabulary.encode(text), *vocabulary.sample_batch([text], 0.3, 1)):
            assert [vocabulary.pieces([i])[0] for i in ids if i in vocabulary.span_ids] == [
                sign for sign in text if sign in SPAN_CHARACTERS
            ]
            assert vocabulary.decode(ids) == text
    assert vocabulary.unreadable(f"{TEXT[0]} ż漢") == "ż漢"
    assert learn().span_ids == []


@pytest.mark.parametrize(
    ("model_type", "what"), [("unigram", "pieces that occur often enough"), ("char", "characters")]
)
def test_fewer_pieces_than_asked_for_are_one_line(model_type: str, what: str, tmp_path: Path) -> None:
    for name in ("train.de", "train.en"):
        (tmp_path / name).write_text("\n".join(TEXT) + "\n", encoding="utf-8")

    def make(size: int) -> tuple[int, list[str]]:
        lines: list[str] = []
        vocabulary = {"model_type": model_type, "byte_fallback": False, "size": size, "copied_spans": 0}
        data = {"path": str(tmp_path), "source": "de", "target": "en"}
        made = make_vocabularies(parse_config({"data": data, "vocabulary": vocabulary}, "here"), lines.append)
        return len(made[0]), lines

    pieces, lines = make(8000)
    assert len(lines) == 1 and lines[0].startswith(f"vocabulary of {pieces} pieces instead of 8,000: ")
    assert f"the training text has no more {what}" in lines[0]
    assert make(pieces) == (pieces, [])


@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_names_that_the_text_lacks_are_unfamiliar(model_type: str) -> None:
    config = VocabularyConfig(model_type=model_type)  # type: ignore[arg-type]
    vocabulary = learn_vocabulary(
        [*TEXT, "Zbigniew Wojciech.", *["Zbigniew."] * 9], config, 340, "identity", copied_spans=4
    )
    text = "Frau Szymanska und Zbigniew sehen Wojciech am FENSTER im BMW, qwrtz."
    assert vocabulary.unfamiliar(text) == ["BMW", "Szymanska", "Wojciech"]  # one occurrence is not enough
    assert Vocabulary(vocabulary.model).unfamiliar(text) == vocabulary.unfamiliar(text)


def test_another_text_makes_its_words_familiar() -> None:
    vocabulary = learn_vocabulary([*TEXT, *["Zbigniew."] * 9], VocabularyConfig(), 340, "identity", copied_spans=4)
    text = "Frau Szymanska und Zbigniew sehen Wojciech."
    more = vocabulary.with_words_of([*["Szymanska!"] * 9, "Wojciech."])
    assert vocabulary.unfamiliar(text) == ["Szymanska", "Wojciech"]
    assert more.unfamiliar(text) == ["Wojciech"]
    assert more.encode_batch(TEXT) == vocabulary.encode_batch(TEXT)
    assert more.model.count(FAMILIAR_WORDS) == 1
    for known in (TEXT, ["Szymanska"] * 9):
        assert more.with_words_of(known).checksum == more.checksum
    without = learn_vocabulary(TEXT, VocabularyConfig(), 340, "identity")
    assert without.with_words_of(["Szymanska"] * 9) is without


def test_a_capitalised_word_of_usual_spelling_belongs_to_a_name_right_before_it() -> None:
    text = [*TEXT, *["Nachtigall Nachtigall."] * 40]
    vocabulary = learn_vocabulary(text, VocabularyConfig(), 380, "identity", copied_spans=4)
    assert vocabulary.unfamiliar("Die Nachtigallmann läuft.") == []
    assert vocabulary.unfamiliar("Da ist Szymanska Nachtigallmann.") == ["Nachtigallmann", "Szymanska"]
    assert vocabulary.unfamiliar("Da ist Szymanska, Nachtigallmann Nachtigall.") == ["Szymanska"]
    for name in ("Szymanska-Qwrtzky", "Szymanska-am-Qwrtz"):  # its rare parts and small words belong to it
        assert name in vocabulary.unfamiliar(f"Das ist {name} und")
    assert vocabulary.unfamiliar("Da ist Szymanska-Nachtigall und") == ["Szymanska"]
    assert vocabulary.unfamiliar("Da ist die ZQ und die XQ-1.") == ["ZQ"] and vocabulary.unfamiliar("ZQ") == []
    assert vocabulary.unfamiliar("Da ist Szymanska Nachtigall.") == ["Szymanska"]  # one piece: an ordinary word


def test_the_list_of_familiar_words_changes_nothing_else() -> None:
    config = VocabularyConfig()
    without = learn_vocabulary(TEXT, config, 340, "identity")
    spans = learn_vocabulary(TEXT, config, 340 + 4, "identity", copied_spans=4)
    assert without.familiar is None and without.unfamiliar("Zbigniew Szymanska sieht.") == []
    assert spans.encode_batch(TEXT) == Vocabulary(spans.model.rpartition(FAMILIAR_WORDS)[0][:-4]).encode_batch(TEXT)


def learned_from(pairs: list[tuple[str, str]], size: int = 420) -> Vocabulary:
    read = SourceWords()
    read.compare(pairs)
    texts = [*read.count([source for source, _ in pairs]), *(target for _, target in pairs)]
    return learn_vocabulary(texts, VocabularyConfig(), size, "identity", copied_spans=4, read=read)


NAMED = [
    *[("Gestern war Lufthansa da.", "Yesterday Lufthansa was there.")] * 3,
    *[("Gestern war Nachtigall da.", "Yesterday Nightingale was there.")] * 3,
    *[("Gestern war Tom da.", "Yesterday Tom was there.")] * 60,
    *[("Im Hotel war die Katze.", "The cat was in the hotel.")] * 20,
    ("Carlos Merkel", "Carlos Merkel"),
]


def test_rare_words_that_translations_have_unchanged_are_names() -> None:
    vocabulary = learned_from(NAMED)
    assert vocabulary.names == {
        "Lufthansa",
        "Carlos",
        "Merkel",
    }  # others are translated, or frequent enough to be learned
    assert vocabulary.names_in("Merkel war gestern mit Tom im Hotel Nachtigall.") == ["Merkel"]
    assert vocabulary.names_in("LUFTHANSA UND MERKEL") == []
    assert Vocabulary(vocabulary.model).names == vocabulary.names


def test_where_only_names_have_capitals_inside_sentences_an_unknown_one_is_a_name() -> None:
    plain = list(zip(TEXT[3:6] * 9, TEXT[:3] * 9, strict=True))
    english = learned_from([*plain, *((target, source) for source, target in NAMED)], 450)
    german = learned_from([*((source, target) for target, source in plain), *NAMED], 450)
    assert german.nouns_have_capitals and german.names_in("Da ist ein Trikot.") == []
    assert not english.nouns_have_capitals
    assert english.names_in("There was Siemens, Trikot. Yesterday Was There.") == ["Siemens", "Trikot"]
    assert english.names_in("There was Siemens Hotel, Hotel.") == ["Hotel", "Siemens"] and not english.names_in(
        "A Hotel."
    )


def test_words_that_were_looked_up_before_are_copied_as_the_first_time() -> None:
    plain = list(zip(TEXT[3:6] * 9, TEXT[:3] * 9, strict=True))
    vocabulary = learned_from([*plain, *((target, source) for source, target in NAMED)], 450)
    alone = "There was Siemens, Trikot. Tom has ZQ and Szymanska Hotel, Lufthansa. DAS IST WOJCIECH"
    lines = [*alone.split(". "), alone, alone.lower(), alone.upper(), *alone.split(), "Yesterday Tom was in the hotel."]
    for _ in range(2):
        for line in lines:
            assert vocabulary.copied_words(line) == [*vocabulary.unfamiliar(line), *vocabulary.names_in(line)], line
    assert vocabulary.copied_words(alone) and not vocabulary.copied_words(lines[-1])


def test_names_of_another_text_join_the_list() -> None:
    vocabulary, read = learned_from(NAMED), SourceWords()
    read.compare(
        [*[("Da ist Merkel, ja.", "There is Merkel, yes.")] * 60, ("Da ist Siemens, ja.", "There is Siemens, yes.")]
    )
    more = vocabulary.with_words_of(["Da ist Merkel."], read)
    assert more.names == {"Lufthansa", "Carlos", "Siemens"}
    assert more.words == vocabulary.words and more.has_pieces_of(vocabulary)
    assert more.with_words_of(["Da ist Merkel."], read).checksum == more.checksum
