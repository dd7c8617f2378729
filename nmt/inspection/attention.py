"""Attention weights during translation, as heat maps and as word alignments.

Luong, Pham & Manning (2015), section 5.4, https://arxiv.org/abs/1508.04025: to measure alignments, the model reads the
reference translation (teacher forcing), and each target word is aligned to the source word with the highest weight.
Och & Ney (2003), https://doi.org/10.1162/089120103321337421: alignment error rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import numpy.typing as npt

from nmt.errors import UserError
from nmt.inspection.pages import Inspection, ramp, table
from nmt.inspection.watching import Model, Source, Subject, Texts, open_subject, read_ids, read_pairs, read_pieces
from nmt.report.blocks import section
from nmt.search.beam import beam_search
from nmt.search.scoring import force
from nmt.text.cleaning import clean_target
from nmt.text.reading import read_lines
from nmt.translation.joining import word_starts
from nmt.translation.line_stream import pharaoh
from nmt.translation.translator import word_alignment

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Weights = npt.NDArray[np.float32]
Links = set[tuple[int, int]]
"""Pairs of aligned words: index in the source, index in the target, counted from 0."""

BATCH = 64

DRAWN = 4


@dataclass
class Attended:
    """A sentence, its translation and the weights between them."""

    source: list[str]
    """Pieces, the end symbol last; or the numbers of the vectors, from 1."""
    target: list[str]
    """Pieces, the end symbol last."""
    weights: Weights
    """[target, source]; each row sums to 1."""
    links: Links
    words: tuple[int, int]
    """Number of words of the source and of the target."""
    text: str
    """The translation."""


def require_attention(subject: Subject) -> None:
    """Raises UserError for a model without attention."""
    if subject.folder.config.model.attention == "none":
        raise UserError(f"`{subject.folder.path}` is a model without attention; choose one with `model.attention`")


def attend(subject: Subject, sources: Sequence[Any], beam_size: int | None) -> list[Attended]:
    """Translate by beam search and keep the weights of the best hypotheses."""
    settings, found = subject.search_settings(beam_size), []
    for start in range(0, len(sources), BATCH):
        ids = read_ids(subject, sources[start : start + BATCH])
        for source, (best, *_) in zip(ids, beam_search(subject.engine, ids, settings), strict=True):
            assert best.attention_weights is not None
            found.append(attended(subject, source, best.tokens, best.attention_weights))
    return found


def attend_forced(subject: Subject, sources: Sequence[str], targets: Sequence[str]) -> list[Attended]:
    """Let the model read given translations (teacher forcing) and keep the weights."""
    folder, found = subject.folder, []
    for start in range(0, len(sources), BATCH):
        part = slice(start, start + BATCH)
        source_ids = read_ids(subject, sources[part])
        target_ids = folder.target_vocabulary.encode_batch(list(map(clean_target, targets[part])))
        weights: list[list[Weights]] = [[] for _ in source_ids]  # for each pair, a row for each step
        for step in force(subject.engine, source_ids, target_ids):
            assert step.attention_weights is not None
            for pair, row in zip(step.pairs, step.attention_weights, strict=True):
                weights[pair].append(row[: len(source_ids[pair]) + 1])  # without padding
        for source, target, rows in zip(source_ids, target_ids, weights, strict=True):
            found.append(attended(subject, source, target, np.stack(rows)))
    return found


def attended(subject: Subject, source: Sequence[Any], target: Sequence[int], weights: Weights) -> Attended:
    """A sentence with its translation, in ids without end symbols, and the weights [target + 1, source + 1 or more].

    Of vectors, which have no end symbol, the weights are [target + 1, source or more].
    """
    pieces = read_pieces(subject, source), subject.folder.target_vocabulary.pieces(target)
    words = [len(word_starts(side)) if side else 0 for side in pieces]
    vectors = subject.folder.config.reads_vectors
    shown = [piece.strip("▁") for piece in pieces[0]] if vectors else [*pieces[0], "⟨end⟩"]
    return Attended(
        shown,
        [*pieces[1], "⟨end⟩"],
        weights[:, : len(shown)],
        set(word_alignment(*pieces, weights)),
        (words[0], words[1]),
        subject.folder.target_vocabulary.decode(target),
    )


def alignment_error_rate(found: Sequence[Links], sure: Sequence[Links], possible: Sequence[Links]) -> float:
    """1 - (|A and S| + |A and P|) / (|A| + |S|) over all sentences, with S part of P. Och & Ney (2003), section 4.

    0 is perfect.
    """
    hits = total = 0
    for a, s, p in zip(found, sure, possible, strict=True):
        hits += len(a & s) + len(a & (p | s))
        total += len(a) + len(s)
    return 1 - hits / total if total else 0.0


def read_gold(path: str | Path, count: int) -> tuple[list[Links], list[Links]]:
    """Sure and possible links from a file with one sentence per line: `0-0 1-2` sure, `3?4` or `3p4` possible.

    Raises UserError when a line is not an alignment, or there are fewer lines than sentences.
    """
    sure: list[Links] = []
    possible: list[Links] = []
    for number, line in enumerate(read_lines(path), 1):
        links: dict[bool, Links] = {True: set(), False: set()}
        for link in line.split():
            mark = next((mark for mark in "-?p" if mark in link), "-")
            source, _, target = link.partition(mark)
            if not (source.isdecimal() and target.isdecimal()):
                raise UserError(
                    f"`{path}` line {number}: an alignment must be like 0-0 or 0?1, but is `{link}` instead"
                )
            links[mark == "-"].add((int(source), int(target)))
        sure.append(links[True])
        possible.append(links[False])
    if len(sure) < count:
        raise UserError(f"`{path}` has {len(sure)} lines but there are {count} sentences")
    return sure[:count], possible[:count]


def check_words(found: Sequence[Attended], links: Sequence[Links], path: str | Path) -> None:
    """Raises UserError if gold links refer to missing words: other word boundaries would make the error rate wrong."""
    for number, (sentence, gold) in enumerate(zip(found, links, strict=True), 1):
        beyond = [link for link in gold if link[0] >= sentence.words[0] or link[1] >= sentence.words[1]]
        if beyond:
            raise UserError(
                f"`{path}` line {number}: {beyond[0][0]}-{beyond[0][1]} is beyond the sentence of {sentence.words[0]} "
                f"and {sentence.words[1]} words; the text must be split into words by spaces as the alignment is"
            )


def attention(
    model: Model, sentences: Texts = (), *, beam_size: int | None = None, gold: str | None = None,
    **where: Unpack[Source],
) -> Inspection:  # fmt: skip
    """Attention weights of translations, and word alignments; `gold` is a file of alignments to compare with.

    With a gold file the model reads the given translations; otherwise it translates by beam search.
    """
    subject = open_subject(model, where.get("threads"), "attention")
    require_attention(subject)
    if gold is not None and subject.folder.config.reads_vectors:
        raise UserError("argument `gold` is for models that read text")
    if gold is not None and (sentences or (where.get("source") is not None and where.get("target") is None)):
        raise UserError(
            "argument `gold` needs the translations that were aligned, argument `source` and argument `target`"
        )
    sources, targets = read_pairs(subject, sentences, where, 100, translate=False)
    found = attend_forced(subject, sources, targets) if gold else attend(subject, sources, beam_size)
    title = f"Attention of {subject.name} ({subject.folder.config.model.attention})"
    how = "led through the given translations" if gold else f"beam {subject.search_settings(beam_size).beam_size}"
    summary = [f"{len(found)} {'sentence' if len(found) == 1 else 'sentences'}, {how}."]
    numbers: dict[str, object] = {
        "sentences": [
            {
                "source": each.source, "target": each.target, "translation": each.text, "weights": each.weights,
                "alignment": pharaoh(sorted(each.links)),
            }
            for each in found
        ]
    }  # fmt: skip
    if gold is not None:
        sure, possible = read_gold(gold, len(found))
        check_words(found, sure, gold)
        check_words(found, possible, gold)
        rate = alignment_error_rate([each.links for each in found], sure, possible)
        summary.append(f"Alignment error rate {rate:.3f} against `{gold}` ({sum(map(len, sure)):,} sure links).")
        numbers["alignment_error_rate"] = rate
    vectors = subject.folder.config.reads_vectors
    names = [f"{len(source)} vectors" if vectors else source for source in sources]
    rows = [[name, each.text, pharaoh(sorted(each.links))] for name, each in zip(names, found, strict=True)][:50]
    word = "vector" if vectors else "source word"
    remark = (
        f"Each target word is aligned to the {word} with the highest weight, where the weights of a word's pieces "
        "are added. Links are source-target, counted from 0 (Pharaoh format). attention.pharaoh has all sentences."
    )
    sections = [section("Word alignments", table(["source", "translation", "alignment"], rows), remark)]
    drawn = found[:DRAWN]
    return Inspection(
        "attention", title, summary, lambda: draw(drawn, title, "vectors" if vectors else "source pieces"), numbers,
        texts=[piece for each in drawn for piece in each.source + each.target], sections=sections,
        files={"attention.pharaoh": "".join(f"{pharaoh(sorted(each.links))}\n" for each in found)},
    )  # fmt: skip


def draw(found: Sequence[Attended], title: str, across: str = "source pieces") -> Figure:
    """A heat map for each sentence: source pieces from left to right, target pieces from top to bottom."""
    from matplotlib.figure import Figure

    columns = 1 if len(found) == 1 or max(len(each.source) for each in found) > 40 else 2
    rows = -(-len(found) // columns)
    wide = max(3.0, 0.19 * max(len(each.source) for each in found) + 1.3)
    high = max(2.6, 0.19 * max(len(each.target) for each in found) + 1.5)
    figure = Figure(figsize=(columns * wide + 1, rows * high + 0.5), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for panel, each in zip(panels, found, strict=False):
        image = panel.imshow(each.weights, cmap=ramp(), vmin=0, vmax=1, interpolation="nearest")
        panel.set_xticks(range(len(each.source)), each.source, rotation=90, fontsize=8, parse_math=False)
        panel.set_yticks(range(len(each.target)), each.target, fontsize=8, parse_math=False)
        panel.xaxis.tick_top()
        panel.xaxis.set_label_position("top")
        panel.set(xlabel=across, ylabel="target pieces")
        panel.tick_params(length=0)
        panel.grid(visible=False)
        panel.set_xticks([i + 0.5 for i in range(len(each.source) - 1)], minor=True)
        panel.set_yticks([i + 0.5 for i in range(len(each.target) - 1)], minor=True)
        panel.tick_params(which="minor", length=0)
        panel.grid(which="minor")
        panel.spines[:].set_visible(True)
    for panel in panels[len(found) :]:
        panel.set_visible(False)
    figure.colorbar(image, ax=list(panels), shrink=0.5, pad=0.02).set_label("attention weight")
    figure.suptitle(title, parse_math=False)
    return figure
