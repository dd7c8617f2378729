"""Lines that people really type, and checks of their translations that need no references: see scripts/challenge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from challenges.checks import Pair
from challenges.classes import BARS, CLASSES, faults
from challenges.corpus import FOLDER, Line, read_corpus
from challenges.languages import LANGUAGES

__all__ = ["BARS", "CLASSES", "Failure", "Pair", "Result", "challenge", "directions", "faults", "groups", "lines_of"]


@dataclass(frozen=True)
class Failure:
    """A line that did not come through."""

    source: str
    output: str
    faults: list[str]


@dataclass
class Result:
    """How many lines of a class came through, and those that did not."""

    of: int = 0
    failures: list[Failure] = field(default_factory=list)

    @property
    def passed(self) -> int:
        return self.of - len(self.failures)

    @property
    def share(self) -> float:
        """In per cent."""
        return 100 * self.passed / self.of if self.of else 100.0


def directions() -> list[str]:
    """The directions that there are lines for."""
    return sorted(file.stem for file in FOLDER.glob("*-*.txt"))


def lines_of(pair: Pair, most: int | None = None) -> dict[str, list[Line]]:
    """The lines of each class, those that the program makes included; of the first `most` lines of each class.

    A class without a line is left out: no English word has lost its accents.
    """
    written = read_corpus(FOLDER / f"{pair.source}-{pair.target}.txt")
    lines = {
        name: [
            line
            for given in kind.lines or (name,)
            for line in map(kind.make, written.get(given, [])[:most])
            if line is not None
        ]
        for name, kind in CLASSES.items()
    }
    return {name: found for name, found in lines.items() if found}


def challenge(translate: Callable[[list[str]], list[str]], pair: Pair, most: int | None = None) -> dict[str, Result]:
    """The results by class. Each text is translated once."""
    classes = lines_of(pair, most)
    texts = [[text for text in (line.source, line.other) if text] for lines in classes.values() for line in lines]
    unique = list(dict.fromkeys(text for each in texts for text in each))
    translated = dict(zip(unique, translate(unique), strict=True))
    results = {}
    for name, lines in classes.items():
        result = results[name] = Result(len(lines))
        for line in lines:
            outputs = [translated[text] for text in (line.source, line.other) if text]
            if found := faults(name, line, outputs, pair):
                result.failures.append(Failure(line.source, outputs[0], found))
    return results


def groups(results: dict[str, Result]) -> dict[str, Result]:
    """The results by group, and of all lines: what the bars are for."""
    found: dict[str, Result] = {}
    for name, result in results.items():
        for group in (CLASSES[name].group, "all"):
            total = found.setdefault(group, Result())
            total.of += result.of
            total.failures += result.failures
    return {**{group: found[group] for group in found if group != "all"}, "all": found["all"]}


assert all(set(direction.split("-")) <= LANGUAGES.keys() for direction in directions())
