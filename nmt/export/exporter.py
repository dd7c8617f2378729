"""`nmt export`: a trained model as ONNX graphs, for translation without torch.

The folder `onnx/` of a model folder then holds

encoder.onnx, best.onnx, rows.onnx, shortlist.onnx   the graphs, see `nmt.export.onnx_network`
weights.bin         their large constants, stored once
shortlist.npz       frequent pieces, and the best translations of each source piece
export.json         what the export is, which weights it was made from, what was measured

Everything is written into a new folder and checked against torch before it replaces the old export.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nmt.config import Config, DataConfig, DecodingConfig
from nmt.errors import TrainingError, UserError, imported
from nmt.model_files import check_text, remove_abandoned, replace_folder
from nmt.model_folder import (
    CONFIG,
    EXPORT,
    EXPORT_FORMAT,
    ModelFolder,
    weights_identity,
    weights_metadata,
    write_manifest,
)
from nmt.network.encoder_model import EncoderModel
from nmt.network.language_model import LanguageModel
from nmt.network.torch_engine import TorchEngine, TorchLabelEngine, build_model, load_engine, load_label_engine
from nmt.prediction.predictor import OnnxLabelEngine
from nmt.search.beam import Hypothesis, SearchSettings, beam_search
from nmt.search.engine import Engine, Floats
from nmt.search.scoring import force
from nmt.sizing import NOMINAL, resolve
from nmt.text.labels import pad_sources
from nmt.text.vocabulary import SPECIAL_PIECES
from nmt.translation.onnx_engine import OnnxEngine
from nmt.translation.shortlist import FILE as SHORTLIST
from nmt.translation.shortlist import LexicalTable, write_shortlist
from nmt.translation.translator import Translator

TOLERANCE = 2e-3  # largest difference of a log-probability between the exported fp32 model and torch
LARGEST_MEAN = 0.2  # largest mean difference of an export in 8-bit integers; 0.02 to 0.04 is usual
SIDES = ("source", "target")
# Tried shortlists: pieces for all sentences, and for each source piece. The sentences of a batch share the former, so
# many of them cost less time than many of the latter: (768, 8) is as fast as (256, 16), and better.
SIZES = ((128, 8), (512, 8), (768, 8), (1024, 8), (1024, 32))
LARGEST_LOSS = 0.2  # BLEU that a shortlist may cost on the validation split
LARGEST_TABLE = 1 << 24  # bytes of the table of the first decoder layer's inputs; only used rows take memory
VALIDATION_LINES = 3000  # lines of the validation split that a shortlist is tried on at most


@dataclass
class Deviation:
    """How far an export is from torch on a sample."""

    log_prob: float  # largest difference of a log-probability, over all positions of the sample's best translations
    mean_log_prob: float  # mean difference of the log-probabilities of those translations' pieces
    sentences: int  # sentences of the sample
    different: int  # number of these that have another best translation
    # Number of these that have another n-best list. Translations whose scores are closer than the tolerance may change
    # places.
    n_best: int

    def check(self, integers: bool) -> None:
        """Raises TrainingError if the export is too far from torch."""
        if not integers and (self.log_prob > TOLERANCE or self.n_best):
            raise TrainingError(
                f"the export differs from the model by up to {self.log_prob:.2g} in a log-probability, and "
                f"{self.n_best} of {self.sentences} n-best lists are others; nothing was written"
            )
        if integers and self.mean_log_prob > LARGEST_MEAN:
            raise TrainingError(
                f"in 8-bit integers log-probabilities differ from the model's by {self.mean_log_prob:.2g} on "
                f"average, more than {LARGEST_MEAN}; nothing was written, and an export in fp32 will do"
            )


def require_onnx() -> None:
    """Raises UserError when the package that writes graphs is missing."""
    imported("onnx", "export needs `onnx`", "[train]")


def check_exportable(config: Config) -> None:
    """Raises TrainingError when the network of a configuration has an operator that export does not know.

    Its graphs are written once, with random weights and a tiny vocabulary, so that nobody learns it after a training.
    """
    config = resolve(config, NOMINAL)
    model = build_model(config, 2 * SPECIAL_PIECES, 2 * SPECIAL_PIECES, 0).eval()
    with tempfile.TemporaryDirectory() as folder:
        write_graphs(model, Path(folder), False, False, config.task)


def export_model(
    folder: ModelFolder,
    *,
    integers: bool = False,
    small: bool = False,
    data: DataConfig | None = None,
    sizes: Sequence[tuple[int, int]] = SIZES,
    largest_loss: float = LARGEST_LOSS,
    threads: int | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Deviation:
    """Export a model into its folder.

        integers: products in 8-bit integers
        small: leave out the table of the first decoder layer's inputs, which saves a product
        data: what the model was trained on, for a vocabulary shortlist; None for none
        sizes: shortlists to try, the smallest first
        largest_loss: BLEU that a shortlist may cost on the validation split
        threads: processor threads; None: all cores

    Raises UserError without weights, TrainingError when the export does not do what torch does.
    """
    if not folder.weights.exists():
        raise UserError(f"`{folder.path}` has no weights to export")
    require_onnx()
    model, exported, expected = _expectation(folder, threads)
    vocabularies = weights_metadata(folder.config, folder.source_vocabulary, folder.target_vocabulary)
    checksum = check_text(folder.path / CONFIG)
    final, new = folder.path / EXPORT, folder.path / f".{EXPORT}.{os.getpid()}.new"
    shutil.rmtree(folder.path / f".{EXPORT}.new", ignore_errors=True)  # of an earlier version
    for suffix in (".new", ".old"):
        remove_abandoned(folder.path, f".{EXPORT}.", suffix)
    try:
        # Rounding would hide a mistake in the graphs, so those in 8 bits are made after those in fp32 were right.
        for kind in ("fp32", "8-bit integers") if integers else ("fp32",):
            made = new / kind
            (made / EXPORT).mkdir(parents=True)
            manifest = write_graphs(model, made / EXPORT, kind != "fp32", small, folder.config.task)
            manifest |= {"weights": weights_identity(folder), "vocabularies": vocabularies, CONFIG: checksum}
            write_manifest(made / EXPORT, manifest)
            deviation = expected.deviation(exported(made, threads))
            deviation.check(kind != "fp32")
        manifest["deviation"] = vars(deviation)
        if data is not None and folder.config.task == "translation":
            manifest["shortlist"] = _add_shortlist(folder, made, manifest, data, sizes, largest_loss, threads, say)
        write_manifest(made / EXPORT, manifest)
        replace_folder(made / EXPORT, final)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    what = "translations" if folder.config.kind.decoder else "predictions"
    compared = "numbers" if folder.config.kind.target == "numbers" else "log-probabilities"
    size = sum(file.stat().st_size for file in final.iterdir()) / 2**20
    say(f"{final}: {kind}, {size:.1f} MB (weights: {folder.weights.stat().st_size / 2**20:.1f} MB)")
    say(
        f"against torch: {compared} differ by {deviation.mean_log_prob:.2g} on average, at most "
        f"{deviation.log_prob:.2g}; {deviation.different} of {deviation.sentences} best {what} differ"
    )
    return deviation


def _expectation(folder: ModelFolder, threads: int | None) -> tuple[Any, Any, Expectation | LabelExpectation]:
    """The network in torch, the class that runs its export, and what torch computes for some sentences."""
    sources = sample_sources(folder)
    if folder.config.kind.decoder:
        engine = load_engine(folder, threads=threads)
        return engine.model, OnnxEngine, Expectation(engine, sources, folder.config.decoding)
    labelling = load_label_engine(folder, threads=threads)
    return labelling.model, OnnxLabelEngine, LabelExpectation(labelling, sources)


def _add_shortlist(
    folder: ModelFolder,
    new: Path,
    manifest: dict[str, Any],
    data: DataConfig,
    sizes: Sequence[tuple[int, int]],
    largest_loss: float,
    threads: int | None,
    say: Callable[[str], None],
) -> dict[str, Any] | None:
    """Add the smallest shortlist that costs at most `largest_loss`; returns its sizes and its cost, or None."""
    from nmt.data.corpus import load_pairs
    from nmt.scores import metrics

    try:
        train, validation = load_pairs(data, "train"), load_pairs(data, "validation")
    except UserError as error:
        say(f"no shortlist, as there are no data to make one from: {error}")
        return None
    vocabularies = folder.source_vocabulary, folder.target_vocabulary
    sides = [vocabulary.encode_batch(list(train[side])) for vocabulary, side in zip(vocabularies, SIDES, strict=True)]
    table = LexicalTable(sides[0], sides[1], len(vocabularies[0]), len(vocabularies[1]))
    spans = list(zip(*(vocabulary.span_ids for vocabulary in vocabularies), strict=False))
    sources, references = (list(validation[side])[:VALIDATION_LINES] for side in SIDES)

    def bleu(engine: OnnxEngine) -> float:
        translator = Translator(engine, *vocabularies, folder.config.decoding, folder.config.data.max_length)
        lines = [translation.text for translation in translator.translate(sources)]
        return metrics.bleu(lines, [references], data.languages[1])

    full = bleu(OnnxEngine(new, threads))
    for frequent, translations in sizes:
        lists = table.lists(frequent, translations, folder.config.vocabulary.joint, spans)
        write_shortlist(new / EXPORT, *lists)
        write_manifest(new / EXPORT, {**manifest, "shortlist": True})
        engine = OnnxEngine(new, threads)
        assert engine.shortlist is not None
        encoded = folder.source_vocabulary.encode_batch(sources)
        own = [np.count_nonzero(engine.shortlist.own([ids])) for ids in encoded if ids]
        size, loss = len(engine.shortlist.frequent) + float(np.mean(own)), full - bleu(engine)
        kept = loss <= largest_loss
        say(
            f"shortlist of {frequent} pieces and {translations} for each of the source: {size:.0f} of "
            f"{manifest['pieces']} pieces a sentence, costs {loss:.2f} BLEU of {full:.2f}"
            + ("" if kept else ": too much")
        )
        if kept:
            return {"frequent": frequent, "translations": translations, "pieces": size, "loss": loss, "bleu": full}
    say("no shortlist: each costs too much")
    (new / EXPORT / SHORTLIST).unlink()
    return None


def make_graphs(model: Any, integers: bool, table: bool, task: str, make: Any = None) -> dict[str, Any]:
    """The graphs of a model of a task by the names of their files, each of the class `make` (`Graph` by default)."""
    from nmt.export.onnx_graph import Graph
    from nmt.export.onnx_network import DecoderGraph, encoder_graph, label_graph, record_step

    make = make or Graph
    if isinstance(model, EncoderModel):
        return {"labels": label_graph(model, integers, make)}
    step = record_step(model)
    outputs = ("best", "rows", "shortlist") if task == "translation" else ("best", "rows")
    graphs = {name: DecoderGraph(model, step, name, integers, table, make).graph for name in outputs}
    if not isinstance(model, LanguageModel):
        graphs["encoder"] = encoder_graph(model, integers, make)
    return graphs


def write_graphs(model: Any, folder: Path, integers: bool, small: bool, task: str) -> dict[str, Any]:
    """Write the graphs of a model of a task; returns the manifest's part about them."""
    from nmt.export.onnx_graph import WeightStore, quantize_rows
    from nmt.export.onnx_network import is_by_piece
    from nmt.export.tracing import values

    store = WeightStore("weights.bin")
    table = not isinstance(model, EncoderModel) and _has_table(model, integers, small)
    for name, graph in make_graphs(model, integers, table, task).items():
        (folder / f"{name}.onnx").write_bytes(graph.model(store))
    if isinstance(model, EncoderModel):
        (folder / store.file).write_bytes(store.content)
        labels: dict[str, Any] = {
            "pieces": len(model.output_bias),
            "pooled": model.pooling is not None,
            "shortlist": False,
        }
        labels |= {"numbers": True} if model.numbers else {}
        labels |= {} if model.transitions is None else {"transitions": values(model.transitions).ravel().tolist()}
        return {"format": EXPORT_FORMAT, "task": task, "integers": integers, **labels}
    weight = values(model.output_weight)
    whole, scale = quantize_rows(weight)
    by_piece = is_by_piece(model, integers, table)
    if by_piece:
        offset = store.offset(whole) + SPECIAL_PIECES * weight.shape[1]
    else:
        offset = store.offset((whole if integers else weight)[SPECIAL_PIECES:].T)
    manifest: dict[str, Any] = {
        "format": EXPORT_FORMAT,
        "task": task,
        "integers": integers,
        "table": table,
        "pieces": len(weight) - SPECIAL_PIECES,
        "readout": weight.shape[1],
        "output": {
            "weight": offset,
            "by_piece": by_piece,
            "scale": store.offset(scale[SPECIAL_PIECES:]),
            "bias": store.offset(values(model.output_bias)[SPECIAL_PIECES:]),
        },
        "shortlist": False,
    }
    if isinstance(model, LanguageModel):
        manifest["state"] = {
            f"{depth}.{name}": layer.hidden_size
            for depth, layer in enumerate(model.decoder.layers)
            for name in layer.state_names
        }
    (folder / store.file).write_bytes(store.content)
    return manifest


def _has_table(model: Any, integers: bool, small: bool) -> bool:
    """Whether the products of the first decoder layer's weights and the embeddings are looked up."""
    rows = model.decoder.layers.at(0).cell.gates * model.config.hidden_size
    return integers and not small and len(model.output_bias) * rows <= LARGEST_TABLE


def sample_sources(folder: ModelFolder) -> list[Any]:
    """24 sources of 1 to 20 random pieces or vectors, the same for the same vocabulary: they try what text does not."""
    random = np.random.default_rng(1)
    lengths = random.integers(1, 21, 24)
    if folder.config.reads_vectors:
        size = len(folder.source_vocabulary)
        return [random.standard_normal((length, size)).astype(np.float32) for length in lengths]
    return [random.integers(SPECIAL_PIECES, len(folder.source_vocabulary), length).tolist() for length in lengths]


class Expectation:
    """Torch's translations of some sentences and their log-probabilities, which exports are compared with.

    Log-probabilities are compared on torch's best translations, n-best lists as far as the scores tell them apart.
    """

    def __init__(self, engine: TorchEngine, sources: Sequence[Any], decoding: DecodingConfig) -> None:
        self.settings = SearchSettings(beam_size=4, n_best=4, max_length_offset=decoding.max_length_offset)
        alone = isinstance(engine.model, LanguageModel)
        if alone or np.ndim(sources[0]) == 2:  # the source does not limit the length of a text
            self.settings = SearchSettings(beam_size=4, n_best=4, max_length_factor=0, max_length_offset=15)
        sources = sources[: 4 if alone else None]
        self.sources = sources
        self.translations = beam_search(engine, sources, self.settings)
        self.log_probs = self._log_probs(engine)

    def _log_probs(self, engine: Engine) -> list[Floats]:
        """An engine's log-probabilities along torch's best translations, for each sentence [tokens + 1, vocabulary]."""
        best = [hypotheses[0].tokens for hypotheses in self.translations]
        return [
            np.concatenate([step.log_probs for step in force(engine, [source], [tokens])])
            for source, tokens in zip(self.sources, best, strict=True)
        ]

    def deviation(self, engine: Engine) -> Deviation:
        """How far another engine is from torch."""
        largest, differences = 0.0, []
        for found, expected, hypotheses in zip(self._log_probs(engine), self.log_probs, self.translations, strict=True):
            apart = np.abs(found - expected)
            largest = max(largest, float(apart[np.isfinite(expected)].max()))
            differences += [float(row[token]) for row, token in zip(apart, hypotheses[0].tokens, strict=False)]
        pairs = list(zip(self.translations, beam_search(engine, self.sources, self.settings), strict=True))
        return Deviation(
            log_prob=largest,
            mean_log_prob=float(np.mean(differences)) if differences else 0.0,
            sentences=len(self.sources),
            different=sum(ours[0].tokens != theirs[0].tokens for theirs, ours in pairs),
            n_best=sum(not _same_n_best(theirs, ours) for theirs, ours in pairs),
        )


class LabelExpectation:
    """Torch's log-probabilities of labels, or its numbers, for some inputs, which exports are compared with."""

    def __init__(self, engine: TorchLabelEngine, sources: Sequence[Any]) -> None:
        self.inputs = pad_sources(sources)
        self.outputs = engine.outputs(*self.inputs)

    def deviation(self, engine: OnnxLabelEngine) -> Deviation:
        """How far another engine is from torch, at the real positions."""
        padded, lengths = self.inputs
        pooled = len(self.outputs) < len(padded)
        real = np.arange(len(self.outputs))[:, None] < (np.ones_like(lengths) if pooled else lengths)
        expected, found = self.outputs[real], engine.outputs(*self.inputs)[real]
        apart = np.abs(found - expected)
        different = int((found.argmax(-1) != expected.argmax(-1)).sum())
        return Deviation(float(apart.max()), float(apart.mean()), len(expected), different, 0)


def _same_n_best(expected: Sequence[Hypothesis], found: Sequence[Hypothesis]) -> bool:
    """Whether two lists have the same scores, and the same translation wherever no other score is close."""
    if len(expected) != len(found):
        return False
    scores = np.array([hypothesis.score for hypothesis in expected])
    if np.abs(scores - [hypothesis.score for hypothesis in found]).max() > TOLERANCE:
        return False
    alone = [np.sum(np.abs(scores - score) < 2 * TOLERANCE) == 1 for score in scores]
    alone[-1] = False  # what follows it is not known
    return all(one.tokens == other.tokens for one, other, tells in zip(expected, found, alone, strict=True) if tells)
