"""Gain and cost of a wider beam.

Koehn & Knowles (2017), section 3.6, https://aclanthology.org/W17-3204: quality against beam size, which falls for wide
beams. Stahlberg & Byrne (2019), https://arxiv.org/abs/1908.10090: search errors and model errors.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Unpack

import numpy as np

from nmt.config import BATCH_HYPOTHESES
from nmt.inspection.pages import COLORS, Inspection, Say, table
from nmt.inspection.watching import Model, Source, Subject, Texts, open_subject, read_pairs
from nmt.report.blocks import section
from nmt.scores.metrics import bleu

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TOLERANCE = 1e-4
"""Scores that differ by less than this are equal: the order of summation changes their last digits."""

BATCH = 64


@dataclass
class Beam:
    """The results of search with one beam size."""

    size: int
    bleu: float
    seconds: float
    """Wall-clock time per sentence."""
    errors: float
    """Share of sentences for which a better score is known than that of the result, 0 to 1."""
    length_ratio: float
    """Pieces of the results divided by pieces of the references."""
    score: float
    """Mean score of the results."""


def compare(
    subject: Subject, sources: Sequence[str], targets: Sequence[str], sizes: Sequence[int], say: Say
) -> tuple[list[Beam], float]:
    """Translate with every beam size.

    A search error is counted where the result of another beam size, or the reference, has a better score under the
    model. This is a lower bound: all of them may have missed an even better output.

    Returns: the results for each size, and the share of sentences whose reference has a better score than all results
    (equal scores do not count)
    """
    translator = subject.translator()
    translator.translate(sources[:2], beam_size=sizes[0])  # the very first call is slower
    found, scores = [], []
    for size in sizes:
        started = time.perf_counter()
        found.append(translator.translate(sources, beam_size=size))
        seconds = (time.perf_counter() - started) / len(sources)
        scores.append((np.array([translation.score for translation in found[-1]]), seconds))
        say(f"beam {size}: {1000 * seconds:.1f} ms a sentence")
    reference = np.array([one.score for one in translator.score(sources, targets)])
    found_best = np.max([own for own, _ in scores], axis=0)
    best = np.maximum(reference, found_best)
    pieces = sum(map(len, subject.folder.target_vocabulary.encode_batch(list(targets))))
    language = subject.folder.config.data.languages[1]
    beams = []
    for size, translations, (own, seconds) in zip(sizes, found, scores, strict=True):
        beams.append(
            Beam(
                size,
                bleu([translation.text for translation in translations], [list(targets)], language),
                seconds,
                float((own < best - TOLERANCE).mean()),
                sum(len(translation.tokens) for translation in translations) / max(1, pieces),
                float(own.mean()),
            )
        )
    return beams, float((reference > found_best + TOLERANCE).mean())


def search(
    model: Model, sentences: Texts = (), *, beam_sizes: Sequence[int] = (1, 2, 3, 5, 10, 20, 50),
    say: Say = print, **where: Unpack[Source],
) -> Inspection:  # fmt: skip
    """BLEU, time, search errors and length against the beam size."""
    subject = open_subject(model, where.get("threads"), "search")
    sources, targets = read_pairs(subject, sentences, where, 200)
    sizes = sorted(set(beam_sizes))
    beams, reference_best = compare(subject, sources, targets, sizes, say)
    best = max(beams, key=lambda beam: beam.bleu)
    title = f"Beam search with {subject.name}"
    decoding = subject.folder.config.decoding
    auto = decoding.batch_size == "auto"
    batches = f"{BATCH_HYPOTHESES} hypotheses" if auto else f"{decoding.batch_size} sentences"
    summary = [
        f"{len(sources)} sentences, length penalty {decoding.length_penalty}, batches of {batches}.",
        f"BLEU is highest at beam {best.size}: {best.bleu:.2f}; beam {beams[0].size} has {beams[0].bleu:.2f} "
        f"and takes {100 * beams[0].seconds / best.seconds:.0f} % of the time.",
        f"Beam {beams[-1].size} still makes search errors in at least {100 * beams[-1].errors:.1f} % of the sentences; "
        f"in {100 * reference_best:.1f} % the model prefers the reference to every result.",
    ]
    rows = [
        [beam.size, round(beam.bleu, 2), 1000 * beam.seconds, 100 * beam.errors, beam.length_ratio, beam.score]
        for beam in beams
    ]
    head = ["beam", "BLEU", "ms a sentence", "search errors (%)", "length ratio", "mean score"]
    remark = (
        "A search error: another beam size or the reference has a better score under the model than the result. Where "
        "BLEU falls although the score rises, the model is at fault, not the search."
    )
    numbers = {"sentences": len(sources), "beams": [vars(beam) for beam in beams], "reference_best": reference_best}
    sections = [section("Numbers", table(head, rows), remark)]
    return Inspection("search", title, summary, lambda: draw(beams, title), numbers, sections=sections)


def draw(beams: list[Beam], title: str) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7), layout="constrained")
    panels: list[Axes] = list(figure.subplots(2, 2).flatten())
    sizes = [beam.size for beam in beams]
    curves = [
        ("BLEU", [beam.bleu for beam in beams]),
        ("time (ms a sentence)", [1000 * beam.seconds for beam in beams]),
        ("search errors (% of sentences, at least)", [100 * beam.errors for beam in beams]),
        ("length ratio (pieces found / reference)", [beam.length_ratio for beam in beams]),
    ]
    for panel, (name, values), color in zip(panels, curves, COLORS, strict=False):
        panel.plot(sizes, values, "o-", color=color)
        panel.set_xscale("log")
        panel.set_xticks(sizes, [str(size) for size in sizes])
        panel.minorticks_off()
        panel.set(xlabel="beam size", ylabel=name)
    panels[1].set_ylim(bottom=0)
    panels[2].set_ylim(bottom=0)
    figure.suptitle(title, parse_math=False)
    return figure
