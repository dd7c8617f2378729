"""Reading files with a word a line and a blank line between sentences: CoNLL-U, and other tables of columns.

CoNLL-U: https://universaldependencies.org/format.html
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

from nmt.errors import UserError
from nmt.text.reading import iterate_lines

COLUMNS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")  # the columns of CoNLL-U


def iterate_conll(path: str | Path, source: str, target: str) -> Iterator[tuple[str, str]]:
    """The words of each sentence and their labels, each separated by spaces; a space inside one becomes `_`.

    source, target: the columns: names of CoNLL-U such as `form` and `upos`, or numbers, counted from 1 (-1: the last).
        With names, the lines of CoNLL-U that are no words are left out: comments, and words made of several.
    """
    by_name = source.lower() in COLUMNS and target.lower() in COLUMNS
    places = [_place(side, COLUMNS if by_name else ()) for side in (source, target)]
    words: list[str] = []
    labels: list[str] = []
    for number, line in enumerate(itertools.chain(iterate_lines(path), [""]), start=1):
        if not line.strip():
            if words and words != ["-DOCSTART-"]:
                yield " ".join(words), " ".join(labels)
            words, labels = [], []
            continue
        if by_name and line.startswith("#"):
            continue
        fields = line.split("\t") if "\t" in line else line.split()
        if by_name and not fields[0].isdecimal():  # 3-4: words in one; 8.1: a word that is not written
            continue
        try:
            word, label = ("_".join(fields[place].split()) for place in places)
        except IndexError:
            raise UserError(
                f"`{path}` line {number} has {len(fields)} columns, but `data.source` is `{source}` and `data.target` "
                f"`{target}`"
            ) from None
        words.append(word or "_")
        labels.append(label or "_")


def _place(side: str, names: tuple[str, ...]) -> int:
    """The index of a column; raises UserError for one that is neither a name nor a number."""
    if names:
        return names.index(side.lower())
    if side.isdecimal() and int(side) > 0:
        return int(side) - 1
    if side == "-1":
        return -1
    raise UserError(
        f"for `conll`, `data.source` and `data.target` must be columns of CoNLL-U ({', '.join(COLUMNS)}) or numbers "
        f"from 1 (-1: the last), but one is `{side}` instead"
    )
