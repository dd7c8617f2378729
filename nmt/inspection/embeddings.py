"""Pieces with similar embeddings: nearest neighbours and a map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nmt.errors import UserError
from nmt.inspection.pages import COLORS, Inspection, Points, label_points, nearest, one_panel, project, table
from nmt.inspection.watching import Model, Texts, open_subject
from nmt.network.model import TranslationModel
from nmt.report.blocks import section
from nmt.text.vocabulary import SPECIAL_PIECES, Vocabulary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NEIGHBOURS = 6

SHORTEST = 4
"""Minimum number of characters, the space before them included, of the pieces that are shown by default."""


def embeddings(
    model: Model, pieces: Texts = (), *, side: str = "target", count: int = 300, projection: str = "pca",
    threads: int | None = None,
) -> Inspection:  # fmt: skip
    """Pieces with similar embeddings, and the embeddings of the `count` most frequent words in two dimensions.

    pieces: those whose neighbours are listed; empty: some of the first whole words of the vocabulary, because
        SentencePiece numbers its pieces from the most to the least frequent
    side: `source` or `target`; a language model has only the target's embeddings
    """
    subject = open_subject(model, threads, "embeddings")
    network, folder = subject.model, subject.folder
    words = [pieces] if isinstance(pieces, str) else pieces
    alone = not folder.config.kind.decoder  # labels have no embeddings
    source = alone or (side == "source" and isinstance(network, TranslationModel))
    if source and folder.config.reads_vectors:
        raise UserError(f"argument `side` must be target, as `{folder.path}` reads vectors, which have no embeddings")
    vocabulary = folder.source_vocabulary if source else folder.target_vocabulary
    embedding = network.source_embedding if source else network.target_embedding
    vectors = embedding.weight.detach().numpy()
    known = vocabulary.pieces(range(len(vocabulary)))
    whole = [i for i, piece in enumerate(known) if i >= SPECIAL_PIECES and piece[0] == "▁" and len(piece) >= SHORTEST]
    if not whole:  # characters, or a script without spaces
        whole = [i for i in range(SPECIAL_PIECES, len(known)) if not known[i].startswith("<0x") and known[i] != "▁"]
    asked = [find(vocabulary, word) for word in words] or whole[:12]
    shown = list(dict.fromkeys([*asked, *whole]))[: max(count, len(asked))]
    # Neighbours are ordinary pieces or requested ones: byte and special pieces are hardly trained.
    real = {i for i in range(SPECIAL_PIECES, len(known)) if not known[i].startswith("<0x")}
    among = sorted(real.union(asked))
    place = {i: row for row, i in enumerate(among)}
    found = nearest(vectors[among], [place[i] for i in asked], NEIGHBOURS)
    neighbours = [[(among[row], similarity) for row, similarity in each] for each in found]
    points, axes = project(vectors[shown], projection)
    shared = network.config.tied_embeddings == "all"
    which = "embeddings" if shared or not isinstance(network, TranslationModel) else f"{side} embeddings"
    title = f"{which[0].upper()}{which[1:]} of {subject.name}"
    names = [known[i].replace("▁", " ").strip() or "␣" for i in shown]
    rows = [
        [known[i], *(f"{known[other]} ({similarity:.2f})" for other, similarity in each)]
        for i, each in zip(asked, neighbours, strict=True)
    ]
    head = ["piece", *(f"{i + 1} (cosine)" for i in range(max(map(len, neighbours), default=0)))]
    numbers = {
        "projection": axes,
        "pieces": [{"piece": known[i], "x": x, "y": y} for i, (x, y) in zip(shown, points.tolist(), strict=True)],
        "neighbours": [
            {"piece": known[i], "nearest": [{"piece": known[other], "cosine": s} for other, s in each]}
            for i, each in zip(asked, neighbours, strict=True)
        ],
    }
    summary = [f"{len(shown)} of {len(known):,} pieces, vectors of {vectors.shape[1]} units; {axes}."]
    remark = "Nearest by cosine similarity of the embeddings, among all pieces except bytes; ▁ is a space."
    sections = [section("Nearest pieces", table(head, rows), remark)]
    marked = len(asked) if words else 0
    return Inspection(
        "embeddings", title, summary, lambda: draw(points, names, marked, axes, title), numbers,
        texts=names, sections=sections,
    )  # fmt: skip


def find(vocabulary: Vocabulary, word: str) -> int:
    """The id of a word that is one piece, or of a piece written with `▁`; raises UserError."""
    ids = vocabulary.encode(word)
    if len(ids) == 1 and ids[0] >= SPECIAL_PIECES:
        return ids[0]
    for i, piece in enumerate(vocabulary.pieces(range(len(vocabulary)))):
        if piece == word:
            return i
    raise UserError(
        f"`{word}` is no single piece of the vocabulary, which writes it {' '.join(vocabulary.pieces(ids))}; "
        "name one of these, or a more frequent word"
    )


def draw(points: Points, names: list[str], marked: int, axes: str, title: str) -> Figure:
    """Draw every piece as a point, with its text if there is room; the first `marked` ones are highlighted."""
    figure, panel = one_panel((11, 8), title, f"first axis ({axes})", "second axis")
    panel.scatter(points[:, 0], points[:, 1], s=9, color=COLORS[0], alpha=0.7)
    if marked:
        panel.scatter(points[:marked, 0], points[:marked, 1], s=46, color=COLORS[1])
    panel.margins(0.06)
    label_points(panel, np.asarray(points), names, 8.5)
    return figure
