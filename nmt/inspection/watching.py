"""Opening a model for inspection: its sentences, teacher forcing, and a record of every step of its cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MethodType
from typing import Any, TypedDict, cast

import numpy as np
import torch
from torch import Tensor

from nmt.config import Config, data_with
from nmt.data.batching import Batch, make_batch
from nmt.data.examples import read_column, read_texts
from nmt.errors import UserError
from nmt.model_folder import ModelFolder, open_model
from nmt.network.cells import Cell, Product, State
from nmt.network.cells.scan import ScannedCell
from nmt.network.encoder_model import EncoderModel
from nmt.network.layers import Layer
from nmt.network.model import TranslationModel
from nmt.network.torch_engine import TorchEngine, TorchLabelEngine, load_engine, load_label_engine
from nmt.prediction.captions import free_length
from nmt.prediction.predictor import Predictor
from nmt.search.beam import SearchSettings
from nmt.text.cleaning import clean_line, clean_target
from nmt.text.labels import represent_sources, segment_words
from nmt.text.reading import read_lines, read_parallel
from nmt.text.vectors import read_json, vectors_of
from nmt.translation.translator import Translator

Model = str | Path
Texts = str | Sequence[Any]
"""A sentence or several; for a model that reads vectors, a list of sequences of vectors."""


class Source(TypedDict, total=False):
    """Where sentences come from if none are given, and how many of them; the options that several pictures share."""

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


@dataclass
class Subject:
    """A model under inspection, on the CPU and in evaluation mode."""

    folder: ModelFolder
    engine: Any

    @cached_property
    def model(self) -> Any:
        """The network in torch; if there is only an export, with the weights that its graphs have."""
        if isinstance(self.engine, TorchEngine | TorchLabelEngine):
            return self.engine.model
        from nmt.export.restoring import restored_network

        return restored_network(self.folder)

    @property
    def name(self) -> str:
        """The name for titles: that of the folder, or of the run for a run's best or last model."""
        path = self.folder.path.resolve()
        return path.parent.name if path.name in ("best", "last") else path.name

    def search_settings(self, beam_size: int | None) -> SearchSettings:
        """The settings of a search that keeps the attention weights."""
        decoding = self.translator().decoding_with(beam_size=beam_size)
        if self.folder.config.reads_vectors:
            decoding = free_length(decoding, self.folder.config.data.max_length)
        return SearchSettings.of(decoding, attention_weights=True)

    def translator(self) -> Translator:
        folder = self.folder
        vocabularies = folder.source_vocabulary, folder.target_vocabulary
        return Translator(self.engine, *vocabularies, folder.config.decoding, folder.config.data.max_length)


def pictures_of(config: Config) -> list[str]:
    """The pictures that can be made of a model (each WHAT of `nmt inspect`)."""
    kind, found = config.kind, ["gradient-flow", "gates"]
    if config.pooled or kind.name == "translation" or (kind.decoder and config.reads_vectors):
        found.append("context")
    if kind.name == "translation" or (kind.decoder and config.reads_vectors):
        found.append("attention")
    if kind.name == "translation":
        found += ["steps", "search"]
    return found if config.reads_vectors and not kind.decoder else [*found, "embeddings"]


def open_subject(name: Model, threads: int | None = None, what: str = "gates") -> Subject:
    """Open a model folder: its weights with torch, or its export if it has no weights.

    what: the picture that is wanted

    Raises UserError, also if there is no such picture of this model.
    """
    folder = open_model(name)
    if what not in (possible := pictures_of(folder.config)):
        reads = " that reads vectors" if folder.config.reads_vectors else ""
        raise UserError(
            f"`nmt inspect {what}` is not for a {folder.config.kind.title}{reads}, which `{name}` is; "
            f"{', '.join(possible)} are"
        )
    if not folder.config.kind.decoder:
        return Subject(folder, load_label_engine(folder, threads=threads))
    if folder.only_exported:
        from nmt.translation.onnx_engine import load_engine as load_export

        return Subject(folder, load_export(folder, threads=threads))
    return Subject(folder, load_engine(folder, threads=threads))


def read_pairs(
    subject: Subject, sentences: Texts, where: Source, count: int, translate: bool = True
) -> tuple[list[Any], list[str]]:
    """The given sentences or at most `count` from elsewhere, and their translations: those of the data or the model's.

    For a language model both sides of a pair are the sentence. A model that writes labels has these instead of
    translations if they are known. Blank lines are left out. Instead of sentences a model may read vectors.

        translate: whether the model translates sentences that have no translation; otherwise their translation is empty

    Raises UserError when there is no sentence, or files are not line-aligned.
    """
    config, count = subject.folder.config, where.get("count", count)
    if config.reads_vectors:
        return _read_vectors(subject, sentences, where, count, translate)
    is_language_model, has_labels = config.task == "language_model", not config.kind.decoder
    source, target, split = where.get("source"), where.get("target"), where.get("split", "test")
    targets: list[str] | None = None
    if sentences:
        sources = [sentences] if isinstance(sentences, str) else list(sentences)
    elif source is not None and target is not None and not is_language_model:
        sources, targets = read_parallel([source, target])
    elif source is not None:
        sources = read_lines(source)
    elif target is not None:
        raise UserError("argument `target` needs argument `source`")
    else:
        from nmt.data.corpus import load_pairs, load_texts

        data = data_with(config, where.get("settings", ()))
        if is_language_model:
            sources = list(load_texts(data, split)["text"])
        elif has_labels:
            texts = read_texts(data, split, config.side_kinds)
            sources, targets = texts.sources, texts.targets if config.kind.target != "numbers" else None
        else:
            pairs = load_pairs(data, split)
            sources, targets = list(pairs["source"]), list(pairs["target"])
    if targets is None:
        kept = [text for text in sources if text.strip()][:count]
        both = [(text, "") for text in kept]
        if translate and not is_language_model and not has_labels:
            both = [(s, t.text) for s, t in zip(kept, subject.translator().translate(kept), strict=True)]
        elif is_language_model:
            both = [(text, text) for text in kept]
    else:
        pairs_of_text = zip(sources, targets, strict=True)
        both = [(s, t) for s, t in pairs_of_text if s.strip() and t.strip()][:count]
    if not both:
        raise UserError("there is no sentence to look at: every line is blank")
    return [source for source, _ in both], [target for _, target in both]


def _read_vectors(
    subject: Subject, sentences: Texts, where: Source, count: int, translate: bool
) -> tuple[list[Any], list[str]]:
    """Sequences of vectors and their texts or labels, as `read_pairs`: given ones, those of a file, or of a split."""
    config, source = subject.folder.config, where.get("source")
    kind, targets = config.side_kinds[0], None
    if where.get("target") is not None:
        raise UserError("argument `target` is for models that read text")
    if sentences:
        sources = [
            next(read_json([one or "[]"], config.data.source, kind, "the text")) if isinstance(one, str)
            else vectors_of(one, f"input example {row}", kind)
            for row, one in enumerate([sentences] if isinstance(sentences, str) else sentences, start=1)
        ]  # fmt: skip
    elif source is not None and source.endswith((".npz", ".parquet")):
        sources = list(read_column(source, config))
    elif source is not None:
        sources = list(read_json(read_lines(source), config.data.source, kind, f"`{source}`"))
    else:
        data = data_with(config, where.get("settings", ()))
        texts = read_texts(data, where.get("split", "test"), config.side_kinds)
        sources, targets = texts.sources, texts.targets
    sources = sources[:count]
    if targets is not None and config.kind.target != "numbers":
        return sources, targets[:count]
    written = [""] * len(sources)
    if translate and config.kind.decoder:
        written = [found.label for found in Predictor(subject.engine, subject.folder).predict(sources)]
    return sources, written


def read_ids(subject: Subject, sources: Sequence[Any]) -> list[Any]:
    """What the encoder reads of each source: its pieces, without the end symbol, or its standardised vectors."""
    config, vocabulary = subject.folder.config, subject.folder.source_vocabulary
    if not config.reads_vectors:
        sources = list(map(clean_line, sources))
        if config.kind.target == "labels":
            return segment_words(vocabulary, [text.split() for text in sources])[0]
        if config.kind.decoder:
            pieces: list[Any] = vocabulary.encode_batch(sources)
            return pieces
    return represent_sources(vocabulary, sources, config.data.max_length, "input")


def read_pieces(subject: Subject, ids: Any) -> list[str]:
    """The pieces of a source in ids, or the numbers of its vectors, which count as words."""
    if subject.folder.config.reads_vectors:
        return [f"▁{place}" for place in range(1, len(ids) + 1)]
    pieces: list[str] = subject.folder.source_vocabulary.pieces(ids)
    return pieces


def batch_of(subject: Subject, sources: Sequence[Any], targets: Sequence[str]) -> Batch:
    """A batch of sentence pairs, in order; a model of labels has no targets."""
    source = [np.array(ids) for ids in read_ids(subject, sources)]
    target = [np.zeros(0, np.int64)] * len(source)
    if subject.folder.config.kind.decoder:
        encoded = subject.folder.target_vocabulary.encode_batch(list(map(clean_target, targets)))
        target = [np.array(ids) for ids in encoded]
    return make_batch(source, target, target, np.arange(len(source)))


@dataclass
class Steps:
    """A record of what a cell computed, position by position, in the order in which it ran."""

    projected: list[Tensor] = field(default_factory=list)
    """W x + b, [batch, gates * hidden]."""
    before: list[State] = field(default_factory=list)
    """The state before each position, [batch, hidden] each."""
    after: list[State] = field(default_factory=list)
    """The state after it, as the cell gives it (before zoneout)."""
    products: list[tuple[Product, ...]] = field(default_factory=list)


@contextmanager
def watched(model: torch.nn.Module, keep_gradients: bool = False) -> Iterator[dict[Cell, Steps]]:
    """Record the steps of all cells of a model while it runs, by cell.

    Every cell then runs position by position, with `Cell.scan` and its own `step`, whose inputs and results are
    recorded. So the record follows the cell's equations, for a whole sentence as well as for one decoder step.

        keep_gradients: let the backward pass leave `.grad` on the states, summed over all paths to the loss
    """
    record = {module: Steps() for module in model.modules() if isinstance(module, Cell)}

    def watch(cell: Cell, steps: Steps) -> None:
        plain_step = cell.step

        def step(projected: Tensor, state: State, products: Sequence[Product]) -> State:
            after = plain_step(projected, state, products)
            if keep_gradients:
                for tensor in after:
                    tensor.retain_grad()
            steps.projected.append(projected)
            steps.before.append(state)
            steps.after.append(after)
            steps.products.append(tuple(products))
            return after

        cell.step = step  # type: ignore[method-assign]
        cell.scan = MethodType(Cell.scan, cell)  # type: ignore[method-assign]

    for cell, steps in record.items():
        watch(cell, steps)
    try:
        yield record
    finally:
        for cell in record:
            del cell.step, cell.scan  # the methods of the class are used again


@torch.no_grad()
def gate_activations(cell: Cell, steps: Steps) -> dict[str, Tensor]:
    """Activations of a cell's gates, by name, [length, batch, hidden] each; none for a plain RNN.

    The forward pass of a cell's scan (`ScannedCell.unroll`) keeps the gates of every position for its backward pass.
    Here it runs for each recorded position separately, from the state that was recorded before it.
    """
    if cell.gates == 1 or not isinstance(cell, ScannedCell):  # a cell with a single block of weights has no gates
        return {}
    each = []
    for projected, before, products in zip(steps.projected, steps.before, steps.products, strict=True):
        _, saved = cell.unroll(cell.prepare(projected)[None], before, products, cell.scan_parameters())
        each.append(saved[0][0])
    return dict(zip(cell.gate_names, torch.stack(each).chunk(cell.gates, -1), strict=True))


@dataclass
class NamedLayer:
    """A recurrent layer and its position in the model."""

    name: str
    """`encoder forward 1`, `encoder backward 1`, `decoder 1`; counted from the bottom."""
    layer: Layer
    side: str
    """`source` or `target`: which text it reads."""
    backward: bool
    """Whether it reads from the end to the start."""

    @property
    def cells(self) -> list[Cell]:
        """The cells that each position passes through, in order."""
        return [self.layer.cell, *(cast(Cell, cell) for cell in self.layer.transitions)]


def layers_of(model: Any) -> list[NamedLayer]:
    """All recurrent layers, the encoder's first."""
    found = []
    if isinstance(model, TranslationModel | EncoderModel):
        reverses = model.config.reverse_source
        for i, layer in enumerate(model.encoder.forward_layers):
            found.append(NamedLayer(f"encoder forward {i + 1}", layer, "source", reverses))
        for i, layer in enumerate(model.encoder.backward_layers or ()):
            found.append(NamedLayer(f"encoder backward {i + 1}", layer, "source", not reverses))
    for i, layer in enumerate([] if isinstance(model, EncoderModel) else model.decoder.layers):
        found.append(NamedLayer(f"decoder {i + 1}", layer, "target", False))
    return found


def choose_layer(layers: Sequence[NamedLayer], name: str | None) -> NamedLayer:
    """The layer of that name (`-` and space are the same), or the last one; raises UserError."""
    if name is None:
        return layers[-1]
    for layer in layers:
        if layer.name == name.replace("-", " "):
            return layer
    known = ", ".join(layer.name.replace(" ", "-") for layer in layers)
    raise UserError(f"argument `layer` must be one of {known}, but is `{name}` instead")


def matrices(cell: Cell) -> dict[str, Tensor]:
    """The recurrent matrices of a cell, [hidden, hidden] each, by the gate they belong to."""
    rows = torch.split(cell.weight_hh.detach(), cell.hidden_size)
    return dict(zip(cell.recurrent_names, rows, strict=True))
