"""A map of sentences by their context vectors.

Sutskever, Vinyals & Le (2014), section 3.8 and figure 2, https://arxiv.org/abs/1409.3215: the encoder's last state for
a sentence, projected to two dimensions, is close to those of sentences with a similar meaning.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nmt.inspection.pages import COLORS, Inspection, Points, label_points, nearest, project, section, table
from nmt.inspection.watching import Choice, Subject, read_pairs
from nmt.text.cleaning import clean_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BATCH = 64
"""Number of sentences encoded at once."""

LABELS = 40
"""Maximum number of sentences whose text is in the picture."""

LONGEST_LABEL = 38
"""Maximum number of characters of a sentence in the picture."""

NEIGHBOURS = 3


def context_vectors(subject: Subject, sources: Sequence[str]) -> npt.NDArray[np.float32]:
    """The context vector of each sentence, [sentences, hidden]: the encoder's top layer at its last position.

    The top layer of the decoder starts from it, so any engine returns it, including that of an exported model.
    """
    top = f"{subject.folder.config.model.decoder_layers - 1}.hidden"
    vectors: list[npt.NDArray[np.float32]] = []
    for start in range(0, len(sources), BATCH):
        ids = subject.folder.source_vocabulary.encode_batch(list(map(clean_line, sources[start : start + BATCH])))
        _, state = subject.engine.start(ids)
        vectors.append(state[top].numpy() if top in state else state[f"state.{top}"].array)
    return np.concatenate(vectors)


def inspect(subject: Subject, choice: Choice, projection: str) -> Inspection:
    """The points of all sentences, the texts of some, and nearest neighbours."""
    sources, _ = read_pairs(subject, choice, translate=False)
    sources = list(dict.fromkeys(sources))
    vectors = context_vectors(subject, sources)
    points, axes = project(vectors, projection)
    lengths = np.array([len(source.split()) for source in sources])
    order = spread(points, LABELS)
    title = f"Context vectors of {subject.name}"
    asked = order[:12]
    neighbours = nearest(vectors, asked, NEIGHBOURS)
    rows = [
        [sources[row], *(f"{sources[other]} ({similarity:.2f})" for other, similarity in found)]
        for row, found in zip(asked, neighbours, strict=True)
    ]
    head = ["sentence", *(f"neighbour {i + 1} (cosine)" for i in range(max(map(len, neighbours), default=0)))]
    rows = [row + [""] * (len(head) - len(row)) for row in rows]
    spread_share = float(np.abs(np.corrcoef(lengths, points[:, 0])[0, 1])) if len(set(lengths.tolist())) > 1 else 0.0
    summary = [
        f"{len(sources)} sentences, vectors of {vectors.shape[1]} units; {axes}.",
        f"The first axis and the length in words correlate with {spread_share:.2f}.",
    ]
    remark = "Nearest by cosine similarity of the whole context vectors, not of the projected points."
    sections = [section("Nearest neighbours", table(head, rows), remark)]
    numbers = {
        "projection": axes,
        "sentences": [
            {"text": text, "words": int(words), "x": x, "y": y}
            for text, words, (x, y) in zip(sources, lengths, points.tolist(), strict=True)
        ],
        "neighbours": [
            {"text": sources[row], "nearest": [{"text": sources[i], "cosine": s} for i, s in found]}
            for row, found in zip(asked, neighbours, strict=True)
        ],
    }
    labels = [(row, shorten(sources[row])) for row in order]
    return Inspection(
        "context", title, summary, lambda: draw(points, lengths, labels, axes, title), numbers,
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
    points: Points, lengths: npt.NDArray[np.int64], labels: list[tuple[int, str]], axes: str, title: str
) -> Figure:
    """Draw all points, coloured by sentence length, some with their text."""
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(11, 8), layout="constrained")
    panel = figure.subplots()
    colors = LinearSegmentedColormap.from_list("length", [COLORS[4], COLORS[1], COLORS[3], COLORS[0]])
    dots = panel.scatter(points[:, 0], points[:, 1], c=lengths, s=26, cmap=colors, alpha=0.85)
    figure.colorbar(dots, ax=panel, pad=0.01, shrink=0.6, ticks=MaxNLocator(integer=True)).set_label("words")
    panel.set_title(title, parse_math=False)
    panel.set_xlabel(f"first axis ({axes})")
    panel.set_ylabel("second axis")
    panel.margins(0.08)
    label_points(panel, points[[row for row, _ in labels]], [text for _, text in labels], 8.5)
    return figure
