"""A survey of sentence pairs before training: how many there are, how long they are, and what is wrong with them.

The pairs are read once, in order. In memory are a hash for each pair, the hashes of the sentences of validation and
test, and a random sample of the training pairs.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from nmt.config import DataConfig
from nmt.data.importing import Dropped, usable_filters
from nmt.data.sources import find_input, pair_sources
from nmt.errors import UserError
from nmt.sizing import Amount
from nmt.text.cleaning import clean_line, clean_target
from nmt.text.formats.finding import find_files
from nmt.text.formats.pair import READING_REASONS, Reading
from nmt.text.pair_filters import FILTERS, PairFilter, near_key
from nmt.text.vocabulary import SPECIAL_PIECES

SAMPLE = 20_000  # training pairs that are kept for measuring the speed of training
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # without tab and line end; cleaning makes spaces of them
FINDINGS = {
    **READING_REASONS,
    **FILTERS,
    "control": "control characters, which training reads as spaces",
    "near copy": "nearly the same as a sentence of validation or test",
}
"""The findings in pairs, by name."""

RawPair = tuple[str, str, str, str]  # source, target, place, and the finding of the reader, often empty


@dataclass
class Side:
    """One side of the pairs of a split."""

    words: int = 0
    characters: int = 0
    lengths: Counter[int] = field(default_factory=Counter)  # how many sentences have each number of words

    def add(self, text: str) -> None:
        length = len(text.split())
        self.words += length
        self.characters += len(text)
        self.lengths[length] += 1

    def longest_of(self, share: float) -> int:
        """The number of words that this share of the sentences does not exceed."""
        wanted, seen = share * self.lengths.total(), 0
        for length, count in sorted(self.lengths.items()):
            seen += count
            if seen >= wanted:
                return length
        return 0


@dataclass
class Split:
    name: str
    pairs: int = 0
    usable: int = 0  # pairs in which nothing was found but control characters
    source: Side = field(default_factory=Side)
    target: Side = field(default_factory=Side)
    found: Dropped = field(default_factory=Dropped)  # a pair counts under everything that is found in it


@dataclass
class Survey:
    """All splits, the amount of training text, and a sample of it."""

    languages: tuple[str, str]
    splits: list[Split] = field(default_factory=list)
    symbols: set[str] = field(default_factory=set)  # the characters of the training text
    sample: list[tuple[str, str]] = field(default_factory=list)

    @property
    def training(self) -> Split:
        """The training split, or the only one."""
        return self.splits[0]

    @property
    def amount(self) -> Amount:
        """The amount of training text, as `nmt train` measures it."""
        words = self.training.source.words + self.training.target.words
        return Amount(max(1, self.training.pairs), words, len(self.symbols) + SPECIAL_PIECES)


def survey_data(data: DataConfig, say: Callable[[str], None]) -> Survey:
    """The splits that a configuration names. Raises UserError as reading them does; there may be no test split."""
    data = replace(data, filters=[])
    splits: dict[str, Iterable[RawPair]] = {}
    for split in ("train", "validation", "test"):
        try:
            splits[split] = _pairs_of(data, split)
        except UserError as error:
            if split != "test":
                raise
            say(f"no test split: {str(error).partition(';')[0]}")
    return _survey(splits, data.languages, say)


def survey_files(names: list[str], reading: Reading) -> Survey:
    """All pairs of the files that `nmt import` reads. Raises UserError as reading them does."""
    found, reading = find_files(names, reading)
    pairs = (
        (pair.source, pair.target, f"{file} {pair.place}", pair.left_out)
        for file in found
        for pair in file.read(reading)
    )
    return _survey({"all": pairs}, (reading.source, reading.target), reading.say)


def _pairs_of(data: DataConfig, split: str) -> Iterator[RawPair]:
    """The pairs of all sources of a split; a missing source is found at once."""
    inputs = []
    for source in pair_sources(data, split):
        with source.blamed():
            inputs.append(find_input(source))

    def pairs() -> Iterator[RawPair]:
        for found in inputs:
            for number, row in enumerate(found.read(), start=1):
                source, target = row[::-1] if found.reversed else row
                yield source, target, f"{found.where} pair {number}", ""

    return pairs()


def _survey(splits: Mapping[str, Iterable[RawPair]], languages: tuple[str, str], say: Callable[[str], None]) -> Survey:
    survey = Survey(languages)
    filters = usable_filters({}, say)
    near: set[int] = set()
    draw = random.Random(0)
    for name in sorted(splits, key=lambda name: name in ("train", "all")):  # training is compared with the others
        split, is_training = Split(name), name in ("train", "all")
        keep = PairFilter(*languages, **filters)
        for pair in splits[name]:
            source, target = clean_line(pair[0]).strip(), clean_target(pair[1]).strip()
            _add(split, keep, pair, source, target, near if is_training else set())
            if not is_training:
                near |= {hash(near_key(source)), hash(near_key(target))}
            else:
                survey.symbols.update(source, target)
                _draw(survey.sample, (source, target), split.pairs, draw)
        if not split.pairs:
            raise UserError(f"the split `{name}` has no pairs" if name != "all" else "no translation was found")
        survey.splits.insert(0 if is_training else len(survey.splits), split)
    return survey


def _add(split: Split, keep: PairFilter, pair: RawPair, source: str, target: str, near: set[int]) -> None:
    """Count a pair, its clean sides and the findings; `near` has hashes of sentences that it should not be like."""
    split.pairs += 1
    split.source.add(source)
    split.target.add(target)
    found = [pair[3]] if pair[3] else list(keep.reasons(source, target))
    if near and source and target and (hash(near_key(source)) in near or hash(near_key(target)) in near):
        found.append("near copy")
    split.usable += not found
    if CONTROL.search(pair[0]) or CONTROL.search(pair[1]):
        found.append("control")
    for reason in found:
        split.found.add(reason, pair[0], pair[1], pair[2])


def _draw(sample: list[tuple[str, str]], pair: tuple[str, str], number: int, draw: random.Random) -> None:
    """Keep a random sample of the pairs that have two sides (Vitter's algorithm R); `number` counts all so far."""
    place = len(sample) if len(sample) < SAMPLE else draw.randrange(number)
    if place < SAMPLE and all(pair):
        sample[place : place + 1] = [pair]


def is_configuration(names: list[str]) -> bool:
    """Whether the files are a configuration and not translations."""
    return len(names) == 1 and Path(names[0]).suffix == ".toml"
