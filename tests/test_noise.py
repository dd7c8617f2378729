"""Training noise: what it changes and what it leaves, on which side, and that chance follows from its seed."""

from __future__ import annotations

import random
import re
import signal
import string
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plain import parse_plain
from runs import assert_same_runs, quiet, send, stop_after

from nmt.config import Config, VocabularyConfig, load_config
from nmt.data.batching import Batcher
from nmt.data.corpus import Corpus, prepare_corpus
from nmt.data.dictionary import Dictionary, Entry
from nmt.data.noise import (
    LETTERS,
    NOISES,
    NUMBER,
    SETTINGS,
    Knowledge,
    Noise,
    accents,
    case,
    final_mark,
    layout,
    learn,
    names,
    numbers,
    typing,
    word_pair,
)
from nmt.errors import TrainingError
from nmt.text.vocabulary import Vocabulary, learn_vocabulary
from nmt.training.loop import train
from nmt.training.run_folder import RunFolder

PEOPLE = ["Tom", "Anna", "Jonas", "Miriam", "Oskar", "Paula", "Viktor", "Helene"]
TOWNS = ["Boston", "Berlin", "Madrid", "Oslo"]
THINGS = {"Hund": "dog", "Haus": "house", "Brot": "bread", "Garten": "garden", "Ball": "ball", "Schiff": "ship"}
EVERYTHING = {
    "noise_numbers": 0.2, "noise_names": 0.6, "noise_joined": 0.1, "noise_layout": 0.3,
    "noise_final_mark": 0.3, "noise_case": 0.3, "noise_typing": 0.3, "noise_accents": 0.3, "noise_words": 0.2,
}  # fmt: skip


def pairs(count: int) -> list[tuple[str, str]]:
    """Sentences with names, numbers and things."""
    draw, made = random.Random(5), []
    for _ in range(count):
        who, where, (thing, translation) = draw.choice(PEOPLE), draw.choice(TOWNS), draw.choice(list(THINGS.items()))
        number = draw.choice(("3", "25", "1980", "7:30", "1.250,90", "1"))
        made.append(
            draw.choice(
                [
                    (f"{who} sieht den {thing} in {where}.", f"{who} sees the {translation} in {where}."),
                    (f"Ist das {who}s {thing}?", f"Is that {who}'s {translation}?"),
                    (f"Ein {thing} kostet {number} Euro!", f"A {translation} costs {number} euros!"),
                    (f"Später war der {thing} \ue003 wieder da.", f"Later the {translation} \ue003 was there again."),
                ]
            )
        )
    return made


def write(folder: Path) -> Path:
    """A folder of these pairs."""
    folder.mkdir()
    for split, part in {"train": pairs(300), "val": pairs(10), "test": pairs(10)}.items():
        for place, side in enumerate(("de", "en")):
            (folder / f"{split}.{side}").write_text("".join(f"{pair[place]}\n" for pair in part), encoding="utf-8")
    return folder


def configured(folder: Path, **training: Any) -> Config:
    sections = {
        "data": {"path": str(folder), "source": "de", "target": "en", "max_length": 60},
        "vocabulary": {"size": 150, "byte_fallback": False},
        "model": {"embedding_size": 16, "hidden_size": 16},
        "training": {"epochs": 2, "batch_size": 16, "log_interval": 3, **training},
    }
    return parse_plain(sections)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("noise") / "corpus")


@pytest.fixture(scope="module")
def known() -> Knowledge:
    return learn(*zip(*pairs(300), strict=True), ("de", "en"), words=True)


@pytest.fixture(scope="module")
def prepared(folder: Path) -> tuple[Corpus, Vocabulary]:
    config = configured(folder)
    vocabulary = learn_vocabulary([text for pair in pairs(300) for text in pair], config.vocabulary, 150, "identity")
    return prepare_corpus(config.data, "train", vocabulary, vocabulary), vocabulary


def changed(noise: Any, pair: tuple[str, str], known: Knowledge, times: int = 60) -> set[tuple[str, str]]:
    draw = random.Random(1)
    return {noise(pair, draw, known) for _ in range(times)}


def test_names_are_learned_and_common_words_are_none(known: Knowledge) -> None:
    assert known.names == sorted(PEOPLE + TOWNS)
    assert known.marks == {".": (".", "."), "?": ("?", "?"), "!": ("!", "!"), "...": ("...", "...")}


def test_names_become_others_on_both_sides(known: Knowledge) -> None:
    found = changed(names, ("Tom sieht den Hund in Oslo.", "Tom sees the dog in Oslo."), known)
    parts = [(source.split(" sieht den Hund in "), target.split(" sees the dog in ")) for source, target in found]
    assert all(source == target and len(source) == 2 for source, target in parts)
    first = {source[0] for source, _ in parts}
    assert len(first) > 30 and len(first - set(PEOPLE + TOWNS)) > 15
    assert any(NUMBER.search(name) for name in first) and any(" " in name for name in first)


def test_the_genitive_of_a_name_stays(known: Knowledge) -> None:
    for source, target in changed(names, ("Ist das Toms Hund?", "Is that Tom's dog?"), known):
        name = source.removeprefix("Ist das ").removesuffix("s Hund?")
        assert target == f"Is that {name}'s dog?" and name and not NUMBER.search(name)


def test_numbers_become_others_on_both_sides() -> None:
    pair = ("Am 05. Mai 1980 um 7:30 kamen 1 von 25.", "On May 05, 1980 at 7:30 came 1 of 25.")
    draw = random.Random(1)
    found = {numbers(pair, draw) for _ in range(60)}
    assert len(found) == 60
    for source, target in found:
        runs = NUMBER.findall(source)
        assert Counter(runs) == Counter(NUMBER.findall(target))
        day, year, hour, minute, one, many = runs
        assert one == "1" and day[0] == "0" and len(day) == 2 and len(hour) == 1 and len(minute) == 2
        assert all(run[0] != "0" for run in (year, hour, minute, many))
        assert NUMBER.sub("", source) == "Am . Mai  um : kamen  von ."
    lengths = Counter(len(NUMBER.findall(source)[5]) for source, _ in found)
    assert lengths[2] > 30 and set(lengths) > {2, 4}


@pytest.mark.parametrize(
    "pair",
    [
        ("Es kostet 3 Euro.", "It costs three euros."),
        ("Der 2. Mann kam mit 5.", "The 2nd man came with 5."),
        ("Um 15 Uhr", "At 3 p.m."),
        ("Ein Haus", "1 house"),
    ],
)
def test_numbers_that_differ_stay(pair: tuple[str, str]) -> None:
    assert numbers(pair, random.Random(1)) == pair


def test_final_marks_change_on_both_sides_alike(known: Knowledge) -> None:
    found = changed(final_mark, ("Das ist gut.", "That is good."), known)
    assert found == {(f"Das ist gut{mark}", f"That is good{mark}") for mark in ("", "!", "?", "...")}
    found = changed(final_mark, ("Ist das gut?", "Is that good?"), known)
    assert found == {(f"Ist das gut{mark}", f"Is that good{mark}") for mark in ("", "...", "?!", "??")}
    for pair in (("Gut.", "Good!"), ("Gut", "Good"), ("¿Es Tom?", "Is it Tom?")):
        assert changed(final_mark, pair, known) == {pair}


def test_final_marks_are_written_as_each_side_writes_them() -> None:
    french = [("Bien !", "好！"), ("Quoi ?", "什么？"), ("Oui.", "是。")] * 3
    known = learn(*zip(*french, strict=True), ("fr", "zh"), words=False)
    assert changed(final_mark, ("Non.", "不。"), known) == {
        ("Non", "不"), ("Non !", "不！"), ("Non ?", "不？"), ("Non...", "不...")
    }  # fmt: skip
    spanish = [("¡Bien!", "Good!"), ("¿Qué?", "What?"), ("Sí.", "Yes.")] * 3
    known = learn(*zip(*spanish, strict=True), ("es", "en"), words=False)
    assert changed(final_mark, ("No.", "No."), known) == {("No", "No"), ("No...", "No...")}


def test_case_changes_the_source_alone(known: Knowledge) -> None:
    pair = ("Ich habe Hunger.", "I am hungry.")
    sources = {source for source, target in changed(case, pair, known) if target == pair[1]}
    assert sources == {"ich habe Hunger.", "ich habe hunger.", "Ich habe hunger.", "Ich Habe Hunger."}
    assert len(changed(case, pair, known)) == 4


def test_typing_errors_leave_target_names_and_numbers(known: Knowledge) -> None:
    pair = ("Miriam sieht, wie 25 Hunde bellen.", "Miriam sees how 25 dogs bark.")
    found = changed(typing, pair, known, 300)
    assert {target for _, target in found} == {pair[1]} and len(found) > 40
    for source, _ in found:
        assert source.startswith("Miriam") and "25" in source
        assert abs(len(source) - len(pair[0])) <= 1


def test_accents_are_lost_in_the_source_alone_and_not_in_names(known: Knowledge) -> None:
    pair = ("Für Müller ist die Straße schön.", "For Müller the street is beautiful.")
    found = changed(accents, pair, known, 300)
    assert {target for _, target in found} == {pair[1]}
    assert {"Fuer Müller ist die Strasse schoen.", "Fur Müller ist die Strasse schon."} <= {each for each, _ in found}
    assert any("Straße" in source and "Fue" in source for source, _ in found)
    french = replace(known, source_language="fr")
    assert ("Ou est ma soeur ?", "Where is my sister?") in changed(
        accents, ("Où est ma sœur ?", "Where is my sister?"), french
    )
    assert changed(accents, ("Das ist gut.", "That is good."), known) == {("Das ist gut.", "That is good.")}


def test_layout_gives_both_sides_the_same_signs(known: Knowledge) -> None:
    german = replace(known, quotes=("„“", '""'), characters=known.characters | set("()[]-*:"))
    found = changed(layout, ("Das ist gut.", "That is good."), german, 400)
    named = changed(layout, ("Tom schläft.", "Tom sleeps."), german, 200)
    assert ("„Hund“ schläft.", '"Dog" sleeps.') in named and ("Tom (Hund) schläft.", "Tom (dog) sleeps.") in named
    for source, target in found | named:
        for sign in "()[]:-–*1":
            assert source.count(sign) == target.count(sign), (source, target)
        assert sum(map(source.count, '„“"')) == target.count('"')
    assert {
        ("„Das ist gut.“", '"That is good."'),
        ("(Das ist gut.)", "(That is good.)"),
        ("- Das ist gut.", "- That is good."),
    } <= found
    assert {("Das ist gut (Hund).", "That is good (dog)."), ("Haus: Das ist gut.", "House: That is good.")} <= found


def test_a_noise_writes_no_character_that_the_text_does_not_have(known: Knowledge) -> None:
    assert " km" in known.units and " €" not in known.units and not known.brackets
    allowed = {*known.characters, *'"', *string.digits, *string.ascii_letters}
    for noise in (layout, names):
        for pair in pairs(100):
            assert allowed.issuperset("".join(text for one in changed(noise, pair, known, 5) for text in one))


def test_pairs_with_numbers_are_added(known: Knowledge) -> None:
    sources, targets = map(list, zip(*[*pairs(300), ("3 Tage", "3 days")], strict=True))
    noisy = noise_with(known, noise_numbers=0.2).applied(sources, targets, np.full(301, 9), np.random.default_rng(3))
    assert noisy.source[:301] == sources and 340 < len(noisy.source) < 380
    for source, target, place in zip(noisy.source, noisy.target, noisy.places, strict=True):
        assert Counter(NUMBER.findall(source)) == Counter(NUMBER.findall(target))
        assert NUMBER.sub("", source) == NUMBER.sub("", sources[place])
    few = noise_with(known, noise_numbers=1.0)
    assert len(few.applied(["7 Tage"], ["7 days"], np.array([4]), np.random.default_rng(3)).source) == 2


def test_single_words_are_found(known: Knowledge) -> None:
    found = {(word.source, word.target) for word in known.words}
    assert set(THINGS.items()) <= found
    drawn = {word_pair(random.Random(seed), replace(known, phrases=[])) for seed in range(400)}
    assert {("Hund", "Dog"), ("Brot", "bread"), ("brot", "bread"), ("Haus.", "House.")} <= drawn
    assert all(NUMBER.findall(source) == NUMBER.findall(target) for source, target in drawn)
    assert all(source.count(",") == target.count(",") for source, target in drawn if not NUMBER.search(source))
    assert any(source.count(",") == 2 for source, _ in drawn)
    assert all(target[0].isupper() for source, target in drawn if "," in source and source[0].isupper())


def test_phrases_are_found() -> None:
    """Those that can end a sentence, with their commas and the usual spelling of their first word."""
    kinds = {"alter": "old", "kleiner": "small", "neuer": "new", "schneller": "fast"}
    things = {"Hund": "dog", "Ball": "ball", "Wagen": "car", "Garten": "garden"}
    frames = [
        ("Das ist ein {}.", "That is a {}."),
        ("Ein {} gefällt mir!", "A {} pleases me!"),
        ("Da ist ein {}?", "There is a {}?"),
    ]
    sides = [
        [frame[side].format(phrase[side]) for frame in frames for phrase in phrases]
        for phrases in [[(f"{kind}, {thing}", f"{kinds[kind]}, {things[thing]}") for kind in kinds for thing in things]]
        for side in (0, 1)
    ]
    found = {(phrase.source, phrase.target): phrase.frequency for phrase in Dictionary(*sides).phrases}
    assert {(f"ein {a}, {b}", f"a {kinds[a]}, {things[b]}") for a in kinds for b in things} <= set(found)
    assert found["ein alter, Hund", "a old, dog"] == 3
    assert not any(source.endswith((*kinds, "ein")) for source, _ in found)
    known = Knowledge(
        words=[Entry("Hund", "dog", 3)], phrases=[Entry("im Bett", "in bed", 5)], characters=frozenset("0123")
    )
    drawn = Counter(word_pair(random.Random(seed), known)[1].strip(".!?").lower() for seed in range(300))
    assert drawn["in bed"] > 120 and drawn["dog"] > 30
    assert not Dictionary(["", "..."], ["", "?"]).words


def noise_with(known: Knowledge, max_length: int = 60, **shares: float) -> Noise:
    return Noise({**dict.fromkeys(SETTINGS, 0.0), **shares}, known, max_length)


@pytest.mark.parametrize("setting", NOISES)
def test_a_share_of_the_pairs_is_changed(setting: str, known: Knowledge) -> None:
    sources, targets = map(list, zip(*pairs(300), strict=True))
    lengths = np.full(300, 10)
    many = noise_with(known, **{setting: 1.0}).applied(sources, targets, lengths, np.random.default_rng(1))
    half = noise_with(known, **{setting: 0.5}).applied(sources, targets, lengths, np.random.default_rng(1))
    assert 0.3 < sum(half.changed) / sum(many.changed) < 0.7
    assert many.places.tolist() == list(range(300))


def test_private_use_characters_stay_and_no_side_is_empty(known: Knowledge) -> None:
    sources, targets = map(list, zip(*pairs(300), ("\ue000", "\ue000"), ("Ja.", "Yes."), (".", "!"), strict=True))
    shares = {**dict.fromkeys(SETTINGS, 1.0), "noise_joined": 0.3, "noise_words": 0.3}
    for seed in range(5):
        noisy = noise_with(known, **shares).applied(
            sources, targets, np.full(len(sources), 20), np.random.default_rng(seed)
        )
        assert min(map(len, noisy.source)) and min(map(len, noisy.target))
        for before, after in ((sources, noisy.source), (targets, noisy.target)):
            counts = [sum(text.count(sign) for text in texts for sign in "\ue000\ue003") for texts in (before, after)]
            assert counts[0] == counts[1] > 50
        assert all(text.count("\ue003") < 2 for text in noisy.source)  # two would have the same number


def test_joined_pairs_are_whole_and_not_too_long(known: Knowledge) -> None:
    sources, targets = map(list, zip(*pairs(300), strict=True))
    lengths = np.array([len(source.split()) for source in sources])
    noisy = noise_with(known, 13, noise_joined=0.2).applied(sources, targets, lengths, np.random.default_rng(2))
    dashes = [re.findall(r"(?:^|(?<= ))[–-] ", text) for text in noisy.source]
    assert dashes == [re.findall(r"(?:^|(?<= ))[–-] ", text) for text in noisy.target]
    for before, after in ((sources, noisy.source), (targets, noisy.target)):
        assert Counter(" ".join(before).split()) == Counter(re.sub(r"[–-] ", "", " ".join(after)).split())
    assert {len(found) for found in dashes} >= {0, 2}
    assert max(len(text.split()) - len(found) for text, found in zip(noisy.source, dashes, strict=True)) <= 13
    assert len(noisy.source) < 270 and any(text.count("?") == 2 for text in noisy.source)
    for source, target in zip(noisy.source, noisy.target, strict=True):
        assert [sign for sign in source if sign in ".?!"] == [sign for sign in target if sign in ".?!"]


def batcher(folder: Path, prepared: tuple[Corpus, Vocabulary], **training: Any) -> Batcher:
    config, (corpus, vocabulary) = configured(folder, **training), prepared
    return Batcher(corpus, vocabulary, vocabulary, config.training, Noise.of(config, corpus))


@pytest.mark.parametrize("sampling", [0.0, 0.3])
def test_no_noise_changes_nothing_and_noise_follows_from_its_seed(
    folder: Path, prepared: tuple[Corpus, Vocabulary], sampling: float
) -> None:
    every = np.arange(len(prepared[0]))
    plain = batcher(folder, prepared, source_sampling=sampling).pool(every, 1, 0)
    off = batcher(folder, prepared, source_sampling=sampling, noise=1.0, **dict.fromkeys(SETTINGS, 0.0))
    assert off.noise is None
    made = [batcher(folder, prepared, source_sampling=sampling, noise=1.0, **EVERYTHING) for _ in range(2)]
    one, same, other = made[0].pool(every, 1, 0), made[1].pool(every, 1, 0), made[0].pool(every, 2, 0)
    texts = [[prepared[1].decode(ids.tolist()) for ids in pool.source] for pool in (plain, one, same, other)]
    assert texts[0] == prepared[0].text(every)[0]
    assert texts[1] == texts[2] != texts[3]
    for left, right in ((one.source, same.source), (one.target, same.target), (one.batches, same.batches)):
        assert all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))
    assert sum(map(len, one.batches)) == len(one.source) == len(one.target) == len(one.indices)
    assert max(len(ids) for ids in one.target) <= 60
    assert any(LETTERS.search(text) and text.islower() for text in texts[1])


def test_a_pair_that_became_too_long_gets_its_text_back(
    folder: Path, prepared: tuple[Corpus, Vocabulary], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = batcher(folder, prepared, noise=1.0, noise_names=1.0)
    every = np.arange(len(prepared[0]))
    longest = int(max(prepared[0].source_lengths.max(), prepared[0].target_lengths.max()))
    assert made.noise is not None
    grown = made.pool(every, 0, 0)
    assert max(map(len, grown.source)) > longest
    monkeypatch.setattr(prepared[0].counts, "max_length", longest)
    kept = made.pool(every, 0, 0)
    assert max(map(len, [*kept.source, *kept.target])) <= longest


def test_resumed_with_all_noise_is_uninterrupted(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nmt.data.batching.POOL", 150)
    """With copied spans as well."""
    config = configured(folder, noise=1.0, source_sampling=0.3, epochs=1, batch_size=32, **EVERYTHING)
    config.vocabulary.copied_spans, config.vocabulary.size = 16, 166
    train(config, tmp_path / "whole", say=quiet)
    with monkeypatch.context() as patch:
        stop_after(patch, 7, send(signal.SIGINT))
        with pytest.raises(TrainingError, match="stopped by SIGINT"):
            train(config, tmp_path / "parts", say=quiet)
    train(config, tmp_path / "parts", resume=True, say=quiet)
    assert_same_runs(tmp_path / "whole", tmp_path / "parts")


def test_a_run_of_an_older_version_goes_on_without_noise(folder: Path, tmp_path: Path) -> None:
    config = configured(folder, noise=0.0, epochs=1)
    train(config, tmp_path / "run", say=quiet)
    path = tmp_path / "run" / "config.toml"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if not line.startswith("noise")))
    assert load_config(path).training.noise == "auto"
    assert RunFolder(tmp_path / "run").config().training.noise == 0


def test_each_digit_is_a_piece() -> None:
    texts = [f"Es waren 1980 und {year} genau 1980 Leute da." for year in range(1900, 1990)]
    for split in (True, False):
        vocabulary = learn_vocabulary(texts, VocabularyConfig(split_digits=split), 400, "identity")
        pieces = [piece.lstrip("▁") for piece in vocabulary.pieces(vocabulary.encode("Es waren 1980 da."))]
        assert (max(len(piece) for piece in pieces if piece.isdigit()) == 1) is split
