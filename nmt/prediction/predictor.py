"""`Predictor` reads texts or vectors with a trained model and predicts labels or numbers; sister of `Translator`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from nmt.errors import UserError
from nmt.model_folder import ModelFolder, check_export, open_model
from nmt.prediction.captions import write_captions
from nmt.prediction.label_chain import best_labels, label_probabilities
from nmt.text.cleaning import clean_line
from nmt.text.labels import Labels, cut, pad_sources, represent_sources, segment_words
from nmt.text.tables import ResultList, Row, html_table, text_table
from nmt.text.vectors import Scale, vectors_of
from nmt.translation.onnx_engine import OnnxEngine, Output, chosen_device, tensor
from nmt.translation.onnx_engine import load_engine as load_search_engine

Floats = npt.NDArray[np.float32]

BATCH_POSITIONS = 1 << 14
"""Most positions that are read at once, padding included; a longer text is read alone."""


@dataclass(repr=False)
class Prediction:
    """The labels or numbers that a model predicts for an input."""

    text: str
    """What was read; of vectors, their number."""
    units: list[str]
    """What has a label: the whole text, each of its words, or each vector (its number, counted from 1)."""
    labels: list[str]
    """The most probable label of each unit."""
    probabilities: list[float]
    """The probability of each of these labels."""
    distributions: list[dict[str, float]]
    """The probability of every label, for each unit."""
    numbers: list[list[float]] = field(default_factory=list)
    """The numbers that a regression predicts: those of the whole input, or those of each position."""

    @property
    def label(self) -> str:
        """The label or caption, or the labels of words, separated by spaces; numbers of one position by commas."""
        return " ".join(self.labels) or " ".join(",".join(f"{number:.6g}" for number in row) for row in self.numbers)

    @property
    def probability(self) -> float:
        """The probability of the label; for several words, that of the least certain one."""
        return min(self.probabilities, default=1.0)

    def row(self) -> Row:
        """What a table of predictions says of it."""
        if self.numbers:
            return {"numbers": self.label}
        return {"label": self.label, "probability": f"{self.probability:.3f}"}

    def __repr__(self) -> str:
        if self.numbers:
            return f"Prediction(numbers={self.numbers!r})"
        return f"Prediction({self.label!r}, probability={self.probability:.3f})"

    def _repr_html_(self) -> str:
        return html_table([{"text": self.text, **self.row()}])


class OnnxLabelEngine(OnnxEngine):
    """Runs an exported model."""

    def outputs(self, source: npt.NDArray[Any], lengths: npt.NDArray[np.int64]) -> Floats:
        """Log-probabilities of labels, or standardised numbers, [1 or length, batch, outputs].

        source: padded ids with the end symbol, [length, batch], or vectors, [length, batch, size]
        lengths: [batch], with the end symbol
        """
        found = self._graph("labels").bind().run({"source": tensor(source), "lengths": tensor(lengths)})
        output: Floats = found[self._output_name].array
        return output

    @cached_property
    def transitions(self) -> Floats | None:
        """Scores of the transitions between labels (`nmt.network.label_chain`), [labels + 1, labels], or None."""
        found, pieces = self.manifest.get("transitions"), self.manifest["pieces"]
        if found is None:
            return None
        if len(found) != (pieces + 1) * pieces:
            raise UserError(f"the export in `{self.folder}` is damaged: it has {len(found)} transitions of labels")
        return np.array(found, np.float32).reshape(pieces + 1, pieces)

    @property
    def _output_name(self) -> str:
        return "numbers" if self.manifest.get("numbers") else "log_probs"

    def _outputs(self, graph: str) -> dict[str, Output]:
        """The outputs that the graph must have."""
        length = 1 if self.manifest.get("pooled") else "source_length"
        return {self._output_name: ([length, "sentences", self.manifest["pieces"]], np.float32)}


class Predictor:
    """Predicts labels.

    engine: an `OnnxLabelEngine` or a `TorchLabelEngine`; for a model that writes captions an engine of search
    folder: the model, for its vocabulary, labels and settings
    """

    def __init__(self, engine: Any, folder: ModelFolder) -> None:
        self.engine, self.folder, self.config = engine, folder, folder.config
        self.vocabulary = folder.source_vocabulary
        self.labels: Any = folder.target_vocabulary
        """The `Labels`, the `Scale` of the numbers, or the vocabulary of the texts."""

    @classmethod
    def load(cls, model: str | Path | ModelFolder, *, device: str = "cpu", threads: int | None = None) -> Predictor:
        """Open a model folder, a run folder, or a hub id: its export on a CPU if it has one, otherwise with torch.

        Raises UserError if it is damaged or does not predict labels.
        """
        folder = model if isinstance(model, ModelFolder) else open_model(model)
        kind = folder.config.kind
        if kind.decoder and not folder.config.reads_vectors:
            advice = {"translation": "`translate`", "language_model": "`nmt sample`"}.get(kind.name, kind.command)
            raise UserError(f"`{folder.path}` is a {kind.title}, which predicts no labels; use {advice}")
        return cls(load_engine(folder, device, threads), folder)

    def rows(self) -> list[Row]:
        """What a table says of this predictor."""
        task = {"Predictor": "task", "": self.config.kind.title}
        if not isinstance(self.labels, Labels):
            what = "numbers" if isinstance(self.labels, Scale) else "pieces"
            return [task, {"Predictor": what, "": f"{len(self.labels):,}"}]
        labels = ", ".join([*self.labels.names[:10], *(["..."] if len(self.labels.names) > 10 else [])])
        return [task, {"Predictor": "labels", "": labels}]

    def __repr__(self) -> str:
        return text_table(self.rows())

    def _repr_html_(self) -> str:
        return html_table(self.rows())

    @overload
    def predict(self, inputs: str) -> Prediction: ...

    @overload
    def predict(self, inputs: Sequence[Any]) -> list[Prediction]: ...

    def predict(self, inputs: str | Sequence[Any]) -> Prediction | list[Prediction]:
        """The prediction for a text, or for each text of a list, which prints as a table.

        Instead of a text, each item may be a sequence of vectors (a list of lists of numbers, or an array).
        """
        if isinstance(inputs, str):
            return self.predict([inputs])[0]
        texts, sources = self._represent(inputs)
        if self.config.kind.decoder:
            longest = self.config.data.max_length
            captions = write_captions(self.engine, sources, self.labels, self.config.decoding, longest)
            both = zip(texts, captions, strict=True)
            made = [Prediction(text, [text], [one.text], [math.exp(one.log_prob)], []) for text, one in both]
            return ResultList(made, texts)
        if self.config.kind.target == "labels" and not self.config.reads_vectors:
            units = [text.split() for text in texts]
            sources, places = segment_words(self.vocabulary, units)
        elif self.config.kind.target == "labels":
            units = [[str(place + 1) for place in range(len(source))] for source in sources]
            places = [list(range(len(source))) for source in sources]
        else:
            units = [[text] for text in texts]
            places = [[0] if self.config.pooled else list(range(len(source))) for source in sources]
        predictions: list[Any] = [None] * len(texts)
        order = sorted(range(len(sources)), key=lambda row: len(sources[row]))
        for part in cut([len(sources[row]) + 1 for row in order], positions=BATCH_POSITIONS):
            rows = order[part]
            found = self.engine.outputs(*pad_sources([sources[row] for row in rows]))
            for column, row in enumerate(rows):
                own = found[np.array(places[row], np.int64), column]
                predictions[row] = self._prediction(texts[row], units[row], own)
        return ResultList(predictions, texts)

    def _represent(self, inputs: Sequence[Any]) -> tuple[list[str], list[Any]]:
        """Each input as text, and as the network reads it."""
        texts: list[str]
        sources: list[Any]
        if not self.config.reads_vectors:
            texts = sources = [clean_line(text) for text in inputs]
        else:
            kind = self.config.side_kinds[0]
            sources = [vectors_of(value, f"input example {row}", kind) for row, value in enumerate(inputs, start=1)]
            empty = [row for row, vectors in enumerate(sources, start=1) if not len(vectors)]
            if empty:
                raise UserError(f"input example {empty[0]} has no vectors; leave it out")
            texts = [f"{len(vectors):,} vector{'s' * (len(vectors) > 1)}" for vectors in sources]
        by_word = self.config.kind.target == "labels" and not self.config.reads_vectors
        limited = self.config.pooled or self.config.kind.decoder
        longest = self.config.data.max_length if limited else 1 << 62
        return texts, sources if by_word else represent_sources(self.vocabulary, sources, longest, "input")

    def _prediction(self, text: str, units: list[str], outputs: Floats) -> Prediction:
        """The numbers, or the most probable label of each unit.

        outputs: [units or positions, outputs]
        """
        if isinstance(self.labels, Scale):
            return Prediction(text, [], [], [], [], self.labels.restored(outputs).tolist())
        probabilities, names, chain = np.exp(outputs), self.labels.names, self.engine.transitions
        best = probabilities.argmax(-1)
        if chain is not None:
            best, probabilities = best_labels(outputs, chain), label_probabilities(outputs, chain)
        return Prediction(
            text,
            units,
            [names[label] for label in best],
            [float(row[label]) for row, label in zip(probabilities, best, strict=True)],
            [dict(zip(names, map(float, row), strict=True)) for row in probabilities],
        )


def load_engine(folder: ModelFolder, device: str, threads: int | None) -> Any:
    """The network of a model folder: its export on a CPU if it has one, otherwise in torch; raises UserError."""
    if folder.config.kind.decoder:
        return load_search_engine(folder, device, threads)
    device = chosen_device(folder, device)
    if device == "cpu" and folder.exported:
        check_export(folder)
        engine = OnnxLabelEngine(folder.path, threads)
        if (engine.manifest["task"], engine.manifest["pieces"]) != (folder.config.task, len(folder.target_vocabulary)):
            raise UserError(f"the export in `{engine.folder}` is not of the model in `{folder.path}`: export it again")
        return engine
    if not folder.weights.exists():
        raise UserError(f"`{folder.path}` has no weights, only an export, which runs on `cpu` and not on `{device}`")
    from nmt.network import torch_engine

    return torch_engine.load_label_engine(folder, device=device, threads=threads)
