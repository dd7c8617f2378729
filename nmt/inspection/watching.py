"""Opening a model for inspection: its sentences, teacher forcing, and a record of every step of its cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MethodType
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from nmt.config import data_with
from nmt.data.batching import Batch, make_batch
from nmt.data.examples import read_texts
from nmt.errors import UserError
from nmt.model_folder import WEIGHTS, ModelFolder, open_model
from nmt.network.cells import Cell, Product, State
from nmt.network.cells.scan import ScannedCell
from nmt.network.encoder_model import EncoderModel
from nmt.network.layers import Layer
from nmt.network.model import TranslationModel
from nmt.network.torch_engine import TorchEngine, TorchLabelEngine, load_engine, load_label_engine
from nmt.text.cleaning import clean_line, clean_target
from nmt.text.labels import represent_sources, segment_words
from nmt.text.reading import read_lines, read_parallel
from nmt.translation.translator import Translator

Say = Callable[[str], None]


@dataclass
class Subject:
    """A model under inspection, on the CPU and in evaluation mode."""

    folder: ModelFolder
    engine: Any

    @property
    def model(self) -> Any:
        """The network in torch; raises UserError if the folder has only an export."""
        if not isinstance(self.engine, TorchEngine | TorchLabelEngine):
            raise UserError(f"`{self.folder.path}` has only an export, and this needs its weights, `{WEIGHTS}`")
        return self.engine.model

    @property
    def language_model(self) -> bool:
        """True for a language model, False for a translation model."""
        return self.folder.config.task == "language_model"

    @property
    def name(self) -> str:
        """The name for titles: that of the folder, or of the run for a run's best or last model."""
        path = self.folder.path.resolve()
        return path.parent.name if path.name in ("best", "last") else path.name

    def translator(self) -> Translator:
        """A translator with this model."""
        folder = self.folder
        vocabularies = folder.source_vocabulary, folder.target_vocabulary
        return Translator(self.engine, *vocabularies, folder.config.decoding, folder.config.data.max_length)


def open_subject(name: str | Path, threads: int | None = None, translation: bool = False) -> Subject:
    """Open a model folder: its weights with torch, or its export if it has no weights.

    translation: whether it must be a translation model

    Raises UserError.
    """
    folder = open_model(name)
    if folder.config.reads_vectors:
        raise UserError(f"`{name}` reads vectors, but the pictures are of models that read text")
    if translation and folder.config.task != "translation":
        raise UserError(f"`{name}` is a {folder.config.kind.title}, but this picture needs a translation model")
    if not folder.config.kind.decoder:
        return Subject(folder, load_label_engine(folder, threads=threads))
    if folder.exported and not folder.weights.exists():
        from nmt.translation.onnx_engine import load_engine as load_export

        return Subject(folder, load_export(folder, threads=threads))
    return Subject(folder, load_engine(folder, threads=threads))


@dataclass
class Choice:
    """The choice of sentences: given ones, those of files, or those of a split of the model's data."""

    count: int
    """Maximum number of sentences."""
    sentences: Sequence[str] = ()
    source: str | None = None
    """A text file with one sentence per line, or with any text for a language model."""
    target: str | None = None
    """The file of their translations."""
    split: str = "test"
    settings: Sequence[str] = ()
    """Changes `data.KEY=VALUE`, to use other data."""


def read_pairs(subject: Subject, choice: Choice, translate: bool = True) -> tuple[list[str], list[str]]:
    """Sentences and their translations: those of the data, or the model's own if the data have none.

    For a language model both sides of a pair are the sentence, and for a model of labels the second one is their text.
    Blank lines are left out.

        translate: whether the model translates sentences that have no translation; otherwise their translation is empty

    Raises UserError when there is no sentence, or files are not line-aligned.
    """
    model_is_language_model, has_labels = subject.language_model, not subject.folder.config.kind.decoder
    targets: list[str] | None = None
    if choice.sentences:
        sources = list(choice.sentences)
    elif choice.source is not None and choice.target is not None and not model_is_language_model:
        sources, targets = read_parallel([choice.source, choice.target])
    elif choice.source is not None:
        sources = read_lines(choice.source)
    elif choice.target is not None:
        raise UserError("--target needs --source")
    else:
        from nmt.data.corpus import load_pairs, load_texts

        data = data_with(subject.folder.config, choice.settings)
        if model_is_language_model:
            sources = list(load_texts(data, choice.split)["text"])
        elif has_labels:
            sources = read_texts(data, choice.split).sources
        else:
            pairs = load_pairs(data, choice.split)
            sources, targets = list(pairs["source"]), list(pairs["target"])
    if targets is None:
        kept = [text for text in sources if text.strip()][: choice.count]
        both = [(text, "") for text in kept]
        if translate and not model_is_language_model and not has_labels:
            both = [(s, t.text) for s, t in zip(kept, subject.translator().translate(kept), strict=True)]
        elif model_is_language_model:
            both = [(text, text) for text in kept]
    else:
        pairs_of_text = zip(sources, targets, strict=True)
        both = [(s, t) for s, t in pairs_of_text if s.strip() and t.strip()][: choice.count]
    if not both:
        raise UserError("there is no sentence to look at: every line is blank")
    return [source for source, _ in both], [target for _, target in both]


def batch_of(subject: Subject, sources: Sequence[str], targets: Sequence[str]) -> Batch:
    """A batch of sentence pairs, in order; a model of labels has no targets."""
    folder = subject.folder
    if not folder.config.kind.decoder:
        words = [clean_line(text).split() for text in sources]
        pieces = segment_words(folder.source_vocabulary, words)[0]
        if folder.config.kind.target == "label":
            texts, longest = [clean_line(text) for text in sources], folder.config.data.max_length
            pieces = represent_sources(folder.source_vocabulary, texts, longest, "the text")
        nothing = [np.zeros(0, np.int64)] * len(pieces)
        return make_batch([np.array(ids) for ids in pieces], nothing, nothing, np.arange(len(pieces)))
    source = [np.array(ids) for ids in folder.source_vocabulary.encode_batch(list(map(clean_line, sources)))]
    target = [np.array(ids) for ids in folder.target_vocabulary.encode_batch(list(map(clean_target, targets)))]
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
    """The recurrent products."""


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
def gates(cell: Cell, steps: Steps) -> dict[str, Tensor]:
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
    raise UserError(f"--layer must be one of {known}, but is `{name}` instead")


def matrices(cell: Cell) -> dict[str, Tensor]:
    """The recurrent matrices of a cell, [hidden, hidden] each, by the gate they belong to."""
    rows = torch.split(cell.weight_hh.detach(), cell.hidden_size)
    return dict(zip(cell.recurrent_names, rows, strict=True))
