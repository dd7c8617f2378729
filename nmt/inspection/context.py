"""A map of sentences by their context vectors.

Sutskever, Vinyals & Le (2014), section 3.8 and figure 2, https://arxiv.org/abs/1409.3215: the encoder's last state for
a sentence, projected to two dimensions, is close to those of sentences with a similar meaning.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import numpy.typing as npt
import torch

from nmt.inspection.pages import COLORS, Inspection, Points, label_points, nearest, one_panel, project, table
from nmt.inspection.watching import Model, Source, Subject, Texts, open_subject, read_ids, read_pairs
from nmt.report.blocks import section
from nmt.text.labels import pad_sources

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BATCH = 64

LABELS = 40
"""Maximum number of sentences whose text is in the picture."""

LONGEST_LABEL = 38
"""Maximum number of characters of a sentence in the picture."""

NEIGHBOURS = 3


def context_vectors(subject: Subject, sources: Sequence[Any]) -> npt.NDArray[np.float32]:
    """The context vector of each sentence, [sentences, hidden]: the encoder's top layer at its last position.

    The top layer of the decoder starts from it, so any engine returns it, including that of an exported model. Of a
    network without a decoder it is the vector that the output layer reads.
    """
    top = f"{subject.folder.config.model.decoder_layers - 1}.hidden"
    vectors: list[npt.NDArray[np.float32]] = []
    for start in range(0, len(sources), BATCH):
        ids = read_ids(subject, sources[start : start + BATCH])
        if not subject.folder.config.kind.decoder:
            with torch.no_grad():
                vectors.append(subject.model(*map(torch.from_numpy, pad_sources(ids)))[0].numpy())
            continue
        _, state = subject.engine.start(ids)
        vectors.append(state[top].numpy() if top in state else state[f"state.{top}"].array)
    return np.concatenate(vectors)


def context(model: Model, sentences: Texts = (), *, projection: str = "pca", **where: Unpack[Source]) -> Inspection:
    """Context vectors of sentences in two dimensions, by `pca` or `tsne`, the texts of some, and nearest neighbours."""
    subject = open_subject(model, where.get("threads"), "context")
    sources, targets = read_pairs(subject, sentences, where, 200, translate=False)
    names, unit = list(sources), "words"
    if subject.folder.config.reads_vectors:
        unit = "vectors"
        names = [f"{row}: {target}" if target else str(row) for row, target in enumerate(targets, start=1)]
    kept = [names.index(name) for name in dict.fromkeys(names)]
    sources, targets, names = ([side[row] for row in kept] for side in (sources, targets, names))
    vectors = context_vectors(subject, sources)
    points, axes = project(vectors, projection)
    lengths = np.array([len(source if unit == "vectors" else source.split()) for source in sources])
    found_labels = sorted(set(targets)) if subject.folder.config.kind.target == "label" and all(targets) else []
    shades = np.array([found_labels.index(target) for target in targets]) if found_labels else lengths
    order = spread(points, LABELS)
    title = f"Context vectors of {subject.name}"
    asked = order[:12]
    neighbours = nearest(vectors, asked, NEIGHBOURS)
    rows = [
        [names[row], *(f"{names[other]} ({similarity:.2f})" for other, similarity in found)]
        for row, found in zip(asked, neighbours, strict=True)
    ]
    head = ["sentence", *(f"neighbour {i + 1} (cosine)" for i in range(max(map(len, neighbours), default=0)))]
    rows = [row + [""] * (len(head) - len(row)) for row in rows]
    summary = [
        f"{len(names)} {'sentences' if unit == 'words' else 'examples'}, vectors of {vectors.shape[1]} units; {axes}.",
    ]
    if lengths.std():
        correlation = np.abs(np.corrcoef(lengths, points[:, 0])[0, 1])
        summary.append(f"The first axis and the length in {unit} correlate with {correlation:.2f}.")
    remark = "Nearest by cosine similarity of the whole context vectors, not of the projected points."
    sections = [section("Nearest neighbours", table(head, rows), remark)]
    numbers = {
        "projection": axes,
        "sentences": [
            {"text": text, unit: int(length), "x": x, "y": y}
            for text, length, (x, y) in zip(names, lengths, points.tolist(), strict=True)
        ],
        "neighbours": [
            {"text": names[row], "nearest": [{"text": names[i], "cosine": s} for i, s in found]}
            for row, found in zip(asked, neighbours, strict=True)
        ],
    }
    labels = [(row, shorten(names[row])) for row in order]
    return Inspection(
        "context", title, summary, lambda: draw(points, shades, labels, axes, title, found_labels or unit), numbers,
        texts=[text for _, text in labels], sections=sections,
    )  # fmt: skip


def shorten(text: str) -> str:
    """The beginning of a text, as the label of a point."""
    return text if len(text) <= LONGEST_LABEL else text[: LONGEST_LABEL - 1].rstrip() + "…"


def spread(points: Points, count: int) -> list[int]:
    """Up to `count` rows far from each other: each is the one farthest from those before it (Gonzalez 1985)."""
    chosen = [int(np.linalg.norm(points - points.mean(0), axis=1).argmax())]
    distance = np.linalg.norm(points - points[chosen[0]], axis=1)
    while len(chosen) < min(count, len(points)):
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return chosen


def draw(
    points: Points, shades: npt.NDArray[np.int64], labels: list[tuple[int, str]], axes: str, title: str,
    unit: str | list[str],
) -> Figure:  # fmt: skip
    """Draw all points, some with their text, coloured by their length in some unit, or by the number of their label."""
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.ticker import MaxNLocator

    figure, panel = one_panel((11, 8), title, f"first axis ({axes})", "second axis")
    colors = LinearSegmentedColormap.from_list("length", [COLORS[4], COLORS[1], COLORS[3], COLORS[0]])
    dots = panel.scatter(points[:, 0], points[:, 1], c=shades, s=26, cmap=colors, alpha=0.85)
    bar = figure.colorbar(dots, ax=panel, pad=0.01, shrink=0.6, ticks=MaxNLocator(integer=True))
    bar.set_label(unit if isinstance(unit, str) else "label")
    if not isinstance(unit, str) and len(unit) <= LABELS:
        bar.set_ticks(list(range(len(unit))), labels=unit, parse_math=False)
    panel.margins(0.08)
    label_points(panel, points[[row for row, _ in labels]], [text for _, text in labels], 8.5)
    return figure
