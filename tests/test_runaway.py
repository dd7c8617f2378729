"""A search that ran away: what counts as one, and what the second search changes."""

import pytest

from nmt.search.runaway import LOOPED_PIECES, ran_away, repetitions
from nmt.translation.translator import Translator


@pytest.mark.parametrize(
    ("pieces", "repeated"),
    [
        ("", 0),
        ("a", 0),
        ("a a", 1),
        ("a b a b a b", 4),
        ("a b c a b c", 3),
        ("a b a", 0),
        ("x a b a b y", 2),
        ("S - S - S - S -", 6),
        ("0 0 0 0 0 0", 5),
        ("the man the dog the cat the cow", 0),
    ],
)
def test_repetitions_count_the_pieces_that_repeat_those_right_before(pieces: str, repeated: int) -> None:
    assert repetitions(pieces.split()) == repeated


def test_a_translation_may_repeat_itself_where_its_source_does() -> None:
    looping = ["a", "b", "a", "b", "a", "b"]
    assert repetitions(looping) >= LOOPED_PIECES
    assert ran_away([1, 2, 3], looping, finished=True)
    assert not ran_away([1, 2, 1, 2, 1, 2], looping, finished=True)


@pytest.mark.parametrize(("tokens", "finished"), [([], True), (["▁", "."], True), (["▁a"], False)])
def test_no_word_and_no_end_count_as_run_away(tokens: list[str], finished: bool) -> None:
    assert ran_away([1], tokens, finished)
    assert not ran_away([1], ["▁a", "."], finished=True)


LINES = [
    "I have no time.",
    "This car only takes 100,000 yen zzgl xq-12 ☃☃☃.",
    "GRMPF KLIRR SCHNURR BRAZZ XQZ!",
    "house",
    "The weather is nice today.",
    "A painter in orange overalls watches the subway tracks from a scaffold.",
    "Four workers with hard hats repair the subway escalator.",
    "Five men wearing white jumpsuits, orange vests and hard hats weld subway rails in a tunnel.",
    "Hydraulic excavators, bulldozers and dump trucks grind gravel beside conveyor belts.",
    "Two men in neon yellow vests weld a rusty steel pipe beside a scaffold near the harbor.",
    "PTFZSW vtlmmh qhglr hlhhltwtr slkqpjjp.",
    "KVBB vfptgngm bnplwbb drsrbqgq wvtxfrwdb.",
    "QXWWRGL thsnpw fpskqq zjvjxggcm bvf.",
]


def test_only_translations_that_ran_away_are_changed_and_only_for_better_ones() -> None:
    """The model is a bundled one: a toy would be wrong everywhere."""
    translator = Translator.load("en-de")
    without = translator.translate(LINES, retry=False)
    found = translator.translate(LINES)
    changed = 0
    for line, first, best in zip(LINES, without, found, strict=True):
        source = translator.source_vocabulary.encode(line)
        if ran_away(source, first.tokens, first.finished):
            assert best == first or not ran_away(source, best.tokens, best.finished)
            changed += best != first
        else:
            assert best == first
    assert changed, "no line made the model run away, so nothing was shown"


def test_a_line_searched_again_does_not_depend_on_its_neighbours() -> None:
    translator = Translator.load("en-de")
    together = [one.text for one in translator.translate(LINES)]
    assert together == [translator.translate([line])[0].text for line in LINES]
