"""Pictures of what a model does: a function for each `nmt inspect WHAT`, for Python and notebooks.

    import nmt

    nmt.inspect.attention("runs/captions", "Ein Hund schläft auf dem Sofa.").save("attention.svg")

`model` is a model folder, a run folder, a hub id or the name of a bundled model. Each function returns an
`Inspection`, which shows its page in a notebook, and has `figure`, `summary`, `numbers` and `save`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack

from nmt.config import Config
from nmt.errors import UserError
from nmt.inspection import attention as _attention
from nmt.inspection import bottleneck as _bottleneck
from nmt.inspection import context as _context
from nmt.inspection import embeddings as _embeddings
from nmt.inspection import gates as _gates
from nmt.inspection import gradient_flow as _gradient_flow
from nmt.inspection import search as _search
from nmt.inspection import steps as _steps
from nmt.inspection.pages import Inspection
from nmt.inspection.watching import Choice, Say, Subject, open_subject

Model = str | Path
Texts = str | Sequence[Any]
"""A sentence or several; for a model that reads vectors, a list of sequences of vectors."""


class Source(TypedDict, total=False):
    """Where sentences come from if none are given, and how many of them; the options that several functions share."""

    count: int
    """Maximum number of sentences."""
    source: str | None
    """A text file with a sentence on each line, any text for a language model, or a file of vectors."""
    target: str | None
    """The file of their translations."""
    split: str
    """The split of the model's data from which sentences are taken if there is no file; `test` by default."""
    settings: Sequence[str]
    """Changes `data.KEY=VALUE` of the model's configuration, to use other data."""
    threads: int | None
    """Processor threads; None: all cores."""


def gradient_flow(
    model: Model | None = None, sentences: Texts = (), *,
    cells: Sequence[str] = ("rnn_tanh", "rnn_relu", "lstm", "gru"),
    initializations: Sequence[str] = ("uniform", "xavier", "orthogonal", "orthogonal*2"),
    layers: int = 1, hidden_size: int = 64, length: int | None = None, seed: int = 1,
    learning_rate: float | None = None, clip_norm: float | None = None, **where: Unpack[Source],
) -> Inspection:  # fmt: skip
    """Gradients against distance in time: of cells with initial weights or, given a model, of its layers."""
    if model is None:
        return _gradient_flow.inspect_fresh(
            cells, initializations, layers=layers, hidden_size=hidden_size, length=length or 60, seed=seed,
            learning_rate=learning_rate, clip_norm=clip_norm,
        )  # fmt: skip
    subject, choice = _open("gradient-flow", model, sentences, 64, where)
    return _gradient_flow.inspect_trained(
        subject, choice, longest=length or 30, learning_rate=learning_rate, clip_norm=clip_norm
    )


def gates(
    model: Model, sentences: Texts = (), *, layer: str | None = None, unit: int | None = None, **where: Unpack[Source]
) -> Inspection:
    """Gates of a layer (`decoder-1`), units that track a property, and the text coloured by the value of `unit`."""
    return _gates.inspect(*_open("gates", model, sentences, 200, where), layer, unit)


def context(model: Model, sentences: Texts = (), *, projection: str = "pca", **where: Unpack[Source]) -> Inspection:
    """Context vectors of sentences in two dimensions, by `pca` or `tsne`."""
    return _context.inspect(*_open("context", model, sentences, 200, where), projection)


def attention(
    model: Model, sentences: Texts = (), *, beam_size: int | None = None, gold: str | None = None,
    **where: Unpack[Source],
) -> Inspection:  # fmt: skip
    """Attention weights of translations, and word alignments; `gold` is a file of alignments to compare with."""
    return _attention.inspect(*_open("attention", model, sentences, 100, where), beam_size, gold)


def steps(model: Model, text: str, *, beam_size: int | None = None, threads: int | None = None) -> Inspection:
    """A page that steps through one translation: encoder, attention and context vector, decoder, beam."""
    return _steps.inspect(open_subject(model, threads, "steps"), text, beam_size)


def search(
    model: Model, sentences: Texts = (), *, beam_sizes: Sequence[int] = (1, 2, 3, 5, 10, 20, 50),
    say: Say = print, **where: Unpack[Source],
) -> Inspection:  # fmt: skip
    """BLEU, time and search errors against the beam size."""
    return _search.inspect(*_open("search", model, sentences, 200, where), beam_sizes, say)


def bottleneck(
    config: Config | None = None, *, task: str = "copy", lengths: Sequence[int] | None = None,
    epochs: int | None = None, threads: int | None = None, say: Say = print,
) -> Inspection:  # fmt: skip
    """Train models with and without attention and source reversal; compare their quality by sentence length.

    They learn a probe task (`copy`, `reverse` or `sort`) in these lengths or, given a configuration, its corpus.
    """
    if config is not None and lengths is not None:
        raise UserError("argument `lengths` is for the probe task and excludes a CONFIG")
    for length in lengths or ():
        if not 5 <= length <= 1000:
            raise UserError(f"argument `lengths` must be from 5 to 1000 (as `data.probe_length`), but one is {length}")
    return _bottleneck.inspect(config, task, lengths or _bottleneck.LENGTHS, epochs, threads, say)


def embeddings(
    model: Model, pieces: Texts = (), *, side: str = "target", count: int = 300, projection: str = "pca",
    threads: int | None = None,
) -> Inspection:  # fmt: skip
    """Pieces with similar embeddings, and the embeddings of the `count` most frequent words in two dimensions."""
    pieces = [pieces] if isinstance(pieces, str) else pieces
    return _embeddings.inspect(open_subject(model, threads, "embeddings"), side, pieces, count, projection)


def _open(what: str, model: Model, sentences: Texts, count: int, where: Source) -> tuple[Subject, Choice]:
    """The model, and the choice of sentences for a picture: the given ones, or at most `count` from elsewhere."""
    chosen: dict[str, Any] = {"count": count, **where}
    subject = open_subject(model, chosen.pop("threads", None), what)
    return subject, Choice(sentences=[sentences] if isinstance(sentences, str) else sentences, **chosen)
