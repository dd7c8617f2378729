"""`nmt import`: files of translations become a folder of training, validation and test text.

The pairs of all files are cleaned, filtered and written to temporary files as they are read. Of each pair three numbers
stay in memory: the hashes of the pair and of the near keys of its sides. From these follow the duplicates and the
split, and the temporary files are read once more into those of the splits. This needs 24 bytes of
memory a pair while the files are read, and about 100 for the split.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shlex
import shutil
import tempfile
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nmt.errors import UserError, how_to_install
from nmt.model_files import remove_abandoned
from nmt.text.cleaning import clean_line, clean_target
from nmt.text.formats.finding import Found, find_files
from nmt.text.formats.pair import READING_REASONS, Reading
from nmt.text.pair_filters import FILTERS, PairFilter, near_key

REPORT = "import.txt"  # the report in the folder; a folder without it was not made here and is not overwritten
CONFIG = "config.toml"
LARGEST_SPLIT = 2000  # pairs of validation and of test at most: BLEU changes little with more
SPLIT_SHARE = 0.05  # share of the pairs for validation, and for test, while that is below `LARGEST_SPLIT`
FEWEST = 20  # pairs that must be left
PROGRESS = 30  # seconds between two lines about how far the reading is
SAMPLES = 5  # dropped pairs of each reason in the report
REASONS = {**READING_REASONS, **FILTERS, "near copy": "nearly the same as a sentence of validation or test"}

FILES = ("train", "val", "test")
TRAIN, VALIDATION, TEST, DUPLICATE, NEAR_COPY = range(5)
"""Destinations of the pairs that passed the filters: a file, or a reason to drop them."""
DROPPED = {DUPLICATE: "duplicate", NEAR_COPY: "near copy"}


@dataclass
class Dropped:
    """Numbers of dropped pairs by reason, with samples drawn at random."""

    counts: Counter[str] = field(default_factory=Counter)
    samples: dict[str, list[tuple[str, str, str]]] = field(default_factory=dict)
    draw: random.Random = field(default_factory=lambda: random.Random(0))

    def add(self, reason: str, source: str, target: str, where: str) -> None:
        self.counts[reason] += 1
        kept = self.samples.setdefault(reason, [])
        place = len(kept) if len(kept) < SAMPLES else self.draw.randrange(self.counts[reason])
        if place < SAMPLES:
            kept[place : place + 1] = [(source, target, where)]


@dataclass
class Hashes:
    """Three hashes of each pair that passed the filters."""

    pairs: array[int] = field(default_factory=lambda: array("q"))
    sources: array[int] = field(default_factory=lambda: array("q"))  # of the near key of the source side
    targets: array[int] = field(default_factory=lambda: array("q"))

    def add(self, source: str, target: str) -> None:
        self.pairs.append(hash((source, target)))
        self.sources.append(hash(near_key(source)))
        self.targets.append(hash(near_key(target)))


def import_files(
    files: Sequence[str],
    output: Path,
    reading: Reading,
    filters: dict[str, Any] | None = None,
    *,
    validation: int | None = None,
    test: int | None = None,
    seed: int = 1,
    overwrite: bool = False,
    command: str = "nmt import",
    say: Callable[[str], None],
) -> None:
    """Write the folder; it is complete when it gets its name.

        files: paths, folders and patterns
        filters: settings of `PairFilter`
        validation, test: pairs of these splits; they follow from the number of pairs if None
        command: how this was called, for the report

    Raises UserError for files that cannot be read, and when too few pairs are left.
    """
    _restore(output, say)
    _check_output(output, overwrite)
    found, reading = find_files(files, reading)
    keep = PairFilter(reading.source, reading.target, **usable_filters(filters or {}, say))
    languages = (reading.source, reading.target)
    prefix = f".{output.name}.importing-"
    output.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(output.parent, prefix)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f"{prefix}{os.getpid()}-") as temporary:
        kept, made = Path(temporary), Path(temporary, "made")
        made.mkdir()
        dropped, read = Dropped(), Counter[str]()
        hashes = _filter(found, reading, keep, kept, dropped, read)
        if not read:
            raise UserError(f"no translation was found in {', '.join(map(str, found[:5]))}")
        if len(hashes.pairs) < FEWEST:
            raise UserError(f"only {len(hashes.pairs)} pairs are left: {'; '.join(_counts(read, dropped))}")
        split = assign(hashes, validation, test, seed, "duplicate" not in keep.off)
        _distribute(kept, made, languages, split, dropped)
        lines = _summary(read, dropped, split, languages)
        for line in lines:
            say(line)
        (made / REPORT).write_text("\n".join([command, "", *lines, *_samples(dropped)]) + "\n", encoding="utf-8")
        (made / CONFIG).write_text(_config(output, languages), encoding="utf-8")
        if output.exists():
            os.rename(output, _replaced(output))
        os.rename(made, output)
    shutil.rmtree(_replaced(output), ignore_errors=True)
    say(f"samples of what was dropped: {output / REPORT}")
    say(f"next: nmt train {shlex.quote(str(output / CONFIG))} --output {shlex.quote(f'runs/{output.name}')}")


def usable_filters(filters: dict[str, Any], say: Callable[[str], None]) -> dict[str, Any]:
    """The settings of the filters, without the one that needs a library that is missing."""
    off: frozenset[str] = filters.get("off", frozenset())
    if "language" not in off and find_spec("py3langid") is None:
        say(f"the language of the sentences is not checked: {how_to_install('[import]')}")
        off |= {"language"}
    return {**filters, "off": off}


def _filter(
    found: Sequence[Found], reading: Reading, keep: PairFilter, folder: Path, dropped: Dropped, read: Counter[str]
) -> Hashes:
    """Write the clean pairs that pass the filters to the files `kept`; adds to `dropped` and `read`."""
    hashes = Hashes()
    said = time.monotonic()
    with contextlib.ExitStack() as stack:
        write = _writer(stack, folder, "kept", (reading.source, reading.target))
        for file in found:
            name = str(file)
            for pair in file.read(reading):
                read[name] += 1
                if read[name] % 4096 == 0 and time.monotonic() > said + PROGRESS:
                    said = time.monotonic()
                    reading.say(f"{read.total():,} pairs read")
                source, target = _cleaned(clean_line(pair.source)), _cleaned(clean_target(pair.target))
                if reason := pair.left_out or keep.reason(source, target, pair.score):
                    dropped.add(reason, source, target, f"{name} {pair.place}")
                else:
                    hashes.add(source, target)
                    write(source, target)
    return hashes


def _replaced(output: Path) -> Path:
    """The path of the old folder while the new one takes its name."""
    return output.with_name(f".{output.name}.replaced")


def _restore(output: Path, say: Callable[[str], None]) -> None:
    """Give the old folder its name back, if an import was killed just before the new one had it."""
    if not _replaced(output).exists():
        return
    if output.exists():
        shutil.rmtree(_replaced(output), ignore_errors=True)
        return
    os.rename(_replaced(output), output)
    say(f"`{output}` is as it was before an import that was stopped")


def _check_output(output: Path, overwrite: bool) -> None:
    if output.exists() and not output.is_dir():
        raise UserError(f"output `{output}` must be a folder, but is a file")
    if output.exists() and any(output.iterdir()):
        if not (output / REPORT).exists():
            raise UserError(f"`{output}` was not made by `nmt import` and is not overwritten; choose another --output")
        if not overwrite:
            raise UserError(f"folder `{output}` exists already; use --overwrite to replace it")


def _cleaned(text: str) -> str:
    """Without spaces at the ends, and with one between words: XML is often indented."""
    text = text.strip()
    return " ".join(part for part in text.split(" ") if part) if "  " in text else text


def _writer(
    stack: contextlib.ExitStack, folder: Path, name: str, languages: tuple[str, str]
) -> Callable[[str, str], None]:
    """A function that writes a pair to the two files of a name."""
    paths = [folder / f"{name}.{language}" for language in languages]
    files = [stack.enter_context(path.open("w", encoding="utf-8", newline="\n")) for path in paths]

    def write(*pair: str) -> None:
        for file, text in zip(files, pair, strict=True):
            file.write(f"{text}\n")

    return write


def assign(
    hashes: Hashes, validation: int | None, test: int | None, seed: int, drop_duplicates: bool
) -> npt.NDArray[np.int8]:
    """For each pair the split that it goes to, DUPLICATE, or NEAR_COPY: nearly the same as one of another split.

    Validation and test are drawn from the pairs neither side of which is nearly the same as in another pair. Only
    where these are too few, others are drawn as well, and what is nearly the same as they are is dropped.
    """
    pairs, sources, targets = (
        np.frombuffer(values, np.int64) for values in (hashes.pairs, hashes.sources, hashes.targets)
    )
    split = np.full(len(pairs), TRAIN, np.int8)
    if drop_duplicates:
        split[:] = DUPLICATE
        split[np.unique(pairs, return_index=True)[1]] = TRAIN
    remaining = np.flatnonzero(split == TRAIN)
    if len(remaining) < FEWEST:
        raise UserError(f"only {len(remaining)} pairs are left, but training needs {FEWEST} at least")
    share = max(1, min(LARGEST_SPLIT, round(len(remaining) * SPLIT_SHARE)))
    sizes = [share if size is None else size for size in (validation, test)]
    if 2 * sum(sizes) > len(remaining):
        raise UserError(
            f"validation and test must be half of the {len(remaining)} pairs at most, but are {sum(sizes)} instead"
        )
    others = _occurrences(sources[remaining]) + _occurrences(targets[remaining])
    shuffled = np.random.default_rng(seed).permutation(len(remaining))
    order = remaining[shuffled[np.argsort(others[shuffled], kind="stable")]]
    split[order[: sizes[0]]] = VALIDATION
    split[order[sizes[0] : sum(sizes)]] = TEST
    for held_out, rest in ((VALIDATION, (TRAIN, TEST)), (TEST, (TRAIN,))):
        chosen = split == held_out
        near = np.isin(sources, sources[chosen]) | np.isin(targets, targets[chosen])
        split[near & np.isin(split, rest)] = NEAR_COPY
    left = int((split == TRAIN).sum())
    if left < FEWEST // 2:
        raise UserError(
            f"only {left} of {len(remaining)} pairs are left to train on: the others are validation and test, or "
            "nearly the same as these"
        )
    return split


def _occurrences(values: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return counts[places]


def _distribute(
    kept: Path, made: Path, languages: tuple[str, str], split: npt.NDArray[np.int8], dropped: Dropped
) -> None:
    """Write the pairs that passed the filters to the files of their splits."""
    with contextlib.ExitStack() as stack:
        write = {place: _writer(stack, made, name, languages) for place, name in enumerate(FILES) if place in split}
        sides = [stack.enter_context(open(kept / f"kept.{language}", encoding="utf-8")) for language in languages]
        for number, lines in enumerate(zip(*sides, strict=True)):
            source, target = (line[:-1] for line in lines)
            place = int(split[number])
            if place in write:
                write[place](source, target)
            else:
                dropped.add(DROPPED[place], source, target, "")


def _summary(
    read: Counter[str], dropped: Dropped, split: npt.NDArray[np.int8], languages: tuple[str, str]
) -> list[str]:
    lines = [f"{count:,} pairs read from {name}" for name, count in list(read.items())[:20]]
    if len(read) > 1:
        more = f" ({len(read) - 20} more)" if len(read) > 20 else ""
        lines.append(f"{read.total():,} pairs read from {len(read)} files{more}")
    lines += _counts(read, dropped)
    counts = [int(np.count_nonzero(split == i)) for i in range(len(FILES))]
    names = ", ".join(f"{name} {count:,}" for name, count in zip(FILES, counts, strict=True))
    return [*lines, f"{sum(counts):,} pairs kept from `{languages[0]}` to `{languages[1]}`: {names}"]


def _counts(read: Counter[str], dropped: Dropped) -> list[str]:
    return [
        f"{count:,} dropped ({100 * count / read.total():.1f} %): {REASONS[reason]}"
        f"{f' [{reason}]' if reason in FILTERS else ''}"
        for reason, count in dropped.counts.most_common()
    ]


def _samples(dropped: Dropped) -> Iterator[str]:
    """Some of the pairs that were dropped for each reason, drawn at random."""
    for reason, count in dropped.counts.most_common():
        yield f"\n{REASONS[reason]}: {count:,}"
        for source, target, where in dropped.samples[reason]:
            yield f"  - {source[:200]}\n    {target[:200]}\n    {where}".rstrip()


def _config(output: Path, languages: tuple[str, str]) -> str:
    """A configuration that names the data and leaves everything else to `auto`."""
    path, source, target = (json.dumps(text, ensure_ascii=False) for text in (str(output), *languages))
    return f"[data]\npath = {path}\nsource = {source}\ntarget = {target}\n"
