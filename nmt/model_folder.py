"""Model folders: everything a trained model needs, read and written without torch.

config.toml         the resolved configuration, with its format number
model.safetensors   weights only, with the checksums of the configuration and the vocabularies they were trained with
joint.spm           SentencePiece model of both languages, or
source.spm, target.spm; a language model has target.spm alone, and a model that writes labels has labels.json
vectors.json        how the vectors that a model reads are standardised, instead of source.spm
numbers.json        how the numbers that a model writes are standardised, instead of labels.json
README.md           model card
confidence.json     how its log-probabilities become a confidence (nmt/scores/confidence.py); many models have none
onnx/               the exported model, written by `nmt export`; a folder with it does not need the weights
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from nmt.config import Config, load_config, write_config
from nmt.errors import UserError
from nmt.model_files import EXPORT as EXPORT
from nmt.model_files import (
    MOST_TEXT,
    MOST_VOCABULARY,
    check_file,
    check_text,
    damaged,
    note_files,
    read_file,
    sealed_tensors,
    sealed_text,
    sealed_values,
    unsealed_values,
    write_together,
)
from nmt.model_files import write_atomically as write_atomically
from nmt.scores.confidence import Confidence
from nmt.text.labels import load_side
from nmt.text.vocabulary import Vocabulary

CONFIG = "config.toml"
WEIGHTS = "model.safetensors"
MANIFEST = "export.json"  # name of the file that describes the export and the weights from which it was made
CONFIDENCE = "confidence.json"
BUNDLED = Path(__file__).parent / "models"  # folder of the bundled models, which are part of the package


@dataclass
class ModelFolder:
    """A model on disk: its configuration and vocabularies; the engine reads the weights."""

    path: Path
    config: Config
    # The vocabulary of the source side, or the `Scale` of its vectors. The same as `target_vocabulary` with a joint
    # vocabulary, and for a language model, which has no source.
    source_vocabulary: Any
    target_vocabulary: Any  # the vocabulary of the target side, or its `Labels`
    confidence: Confidence | None = None

    @property
    def weights(self) -> Path:
        return self.path / WEIGHTS

    @property
    def exported(self) -> bool:
        return (self.path / EXPORT / MANIFEST).is_file()

    @property
    def only_exported(self) -> bool:
        """Whether there is an export, and no weights for torch."""
        return self.exported and not self.weights.exists()


def vocabulary_files(config: Config) -> list[str]:
    """Names of the files that say what ids mean: one vocabulary for both sides, or a file for each; the source's first.

    A language model has only that of the target side. The labels of a classification are a file of their own, and so is
    the scale of vectors.
    """
    kind = config.kind
    source = "vectors.json" if config.reads_vectors else "source.spm"
    if not kind.decoder:
        return [source, "numbers.json" if kind.target == "numbers" else "labels.json"]
    if config.reads_vectors:
        return [source, "target.spm"]
    if kind.source == "none":
        return ["target.spm"]
    return ["joint.spm"] if config.vocabulary.joint else ["source.spm", "target.spm"]


def weights_metadata(config: Config, source_vocabulary: Any, target_vocabulary: Any) -> dict[str, str]:
    """The metadata of the weights file: the checksum of each vocabulary, whose ids the weights belong to."""
    made = _by_file(config, source_vocabulary, target_vocabulary)
    return {name: vocabulary.checksum for name, vocabulary in made.items()}


def _by_file(config: Config, source_vocabulary: Any, target_vocabulary: Any) -> dict[str, Any]:
    """The vocabularies to write, by file name."""
    names = vocabulary_files(config)
    return {names[0]: source_vocabulary, names[-1]: target_vocabulary}


def open_model(name: str | Path) -> ModelFolder:
    """Read a model folder, the best model of a run folder, a bundled model (`de-en`), or a hub id.

    An existing folder has priority over a bundled model of the same name. Raises UserError if there is no such folder,
    or if a file in it is missing, damaged or from another model.
    """
    path = Path(name)
    if not path.exists():
        path = BUNDLED / name if str(name) in bundled_models() else _download(str(name))
    if (path / "best").is_dir():
        path = path / "best"
    if not path.is_dir() or not (path / CONFIG).exists():
        hides = f"; it hides the model `{name}` that comes with the program: rename it, or work in another folder"
        raise UserError(
            f"`{name}` is not a model folder: it must be a folder with config.toml, *.spm and {WEIGHTS} or an export"
            f"{hides if str(name) in bundled_models() else ''}"
        )
    checksum = check_text(path / CONFIG)
    config = load_config(path / CONFIG)
    names = vocabulary_files(config)
    runtime_only = (path / EXPORT / MANIFEST).is_file() and not (path / WEIGHTS).exists()
    for needed in names if runtime_only else [WEIGHTS, *names]:
        if not (path / needed).is_file():
            raise UserError(f"model folder `{path}` is damaged: `{needed}` is missing")
        check_file(path / needed, MOST_VOCABULARY if needed in names else None)
    vocabularies = [load_side(path / needed) for needed in names]
    folder = ModelFolder(path, config, vocabularies[0], vocabularies[-1], read_confidence(path))
    noted: dict[str, Any] = read_manifest(path) if runtime_only else _metadata(folder)
    if checksum and noted.get(CONFIG) and noted[CONFIG] != checksum:
        raise UserError(
            f"model folder `{path}` is damaged: `{CONFIG}` is not the configuration that its weights were trained "
            "with; put that one back, or delete its line `# checksum` if you exchanged it on purpose"
        )
    trained_with = noted["vocabularies"] if runtime_only else noted
    for needed, vocabulary in zip(names, vocabularies, strict=True):
        if trained_with.get(needed, vocabulary.checksum) != vocabulary.checksum:
            raise UserError(
                f"model folder `{path}` is damaged: `{needed}` is not the vocabulary that its weights were trained "
                "with; put that one back"
            )
    return folder


def read_confidence(folder: Path) -> Confidence | None:
    """The confidence of a model folder, if it has one; raises UserError if its values cannot be right."""
    path = folder / CONFIDENCE
    if not path.exists():
        return None
    try:
        values = unsealed_values(read_file(path, MOST_TEXT))
        if values.get(CONFIG) and check_text(folder / CONFIG) not in ("", values[CONFIG]):
            raise ValueError("it was fitted to another model")
        return Confidence.of_values(values)
    except ValueError as error:
        raise damaged(path, f"{error}; delete it, and `nmt evaluate --calibrate` makes another") from None


def write_confidence(folder: Path, confidence: Confidence | None) -> None:
    """Write or replace the confidence of the model in a folder; None: there is none any more."""
    if confidence is None:
        (folder / CONFIDENCE).unlink(missing_ok=True)
    else:
        write_atomically(folder / CONFIDENCE, _confidence_file(confidence, check_text(folder / CONFIG)))


def _confidence_file(confidence: Confidence, config_checksum: str) -> bytes:
    values = sealed_values({**confidence.values(), CONFIG: config_checksum})
    return f"{json.dumps(values, indent=1)}\n".encode()


def _metadata(folder: ModelFolder) -> dict[str, str]:
    """The metadata of the weights file; only its header is read."""
    try:
        with safe_open(folder.weights, "numpy") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise UserError(f"model folder `{folder.path}` is damaged: `{WEIGHTS}`: {error}") from None


EXPORT_FORMAT = 1  # version of the export's format; it increases when an engine would misread an older export


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest that `nmt export` wrote into a model folder; raises UserError if a value is impossible."""
    path = folder / EXPORT / MANIFEST
    try:
        manifest = unsealed_values(read_file(path, MOST_TEXT))
    except ValueError as error:
        raise damaged(path, error) from None
    if manifest.get("format") != EXPORT_FORMAT:
        raise UserError(
            f"the export in `{folder / EXPORT}` has format {manifest.get('format')!r}, but must have format "
            f"{EXPORT_FORMAT}: run `nmt export {folder}` again"
        )
    needed = {"task", "integers", "pieces", "shortlist", "weights", "vocabularies"}
    needed |= {"state"} if manifest.get("task") == "language_model" else set()
    needed |= {"readout", "output"} if manifest.get("shortlist") else set()
    if missing := needed - manifest.keys():
        raise UserError(f"model folder `{folder}` is damaged: `{EXPORT}/{MANIFEST}` lacks {', '.join(sorted(missing))}")
    for name, is_right in MANIFEST_VALUES.items():
        if name in manifest and not is_right(manifest[name]):
            raise damaged(path, f"the value of {name} cannot be right: {json.dumps(manifest[name])[:60]}")
    return manifest


def _is_size(value: object) -> bool:
    """Whether a value is a possible size of a network: a positive whole number within a limit."""
    return type(value) is int and 1 <= value <= 1 << 24


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 63


def _is_table(value: object, *kinds: Callable[[Any], bool], **needed: Callable[[Any], bool]) -> bool:
    """Whether a value is a table with the required keys whose values are of the given kinds."""
    return (
        isinstance(value, dict)
        and all(any(is_kind(one) for is_kind in kinds) for one in value.values() if kinds)
        and all(name in value and is_kind(value[name]) for name, is_kind in needed.items())
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_switch(value: object) -> bool:
    return isinstance(value, bool)


MANIFEST_VALUES: dict[str, Callable[[Any], bool]] = {
    "task": _is_text,
    "integers": _is_switch,
    "table": _is_switch,
    "pieces": _is_size,
    "readout": _is_size,
    "output": lambda value: (
        _is_table(value, weight=_is_count, scale=_is_count, bias=_is_count) and _is_switch(value.get("by_piece", False))
    ),
    "shortlist": lambda value: value is None or isinstance(value, bool | dict),
    "state": lambda value: _is_table(value, _is_size),
    "transitions": lambda value: isinstance(value, list) and all(isinstance(one, float) for one in value),
    "weights": lambda value: _is_table(value, _is_text, _is_count),
    "vocabularies": lambda value: _is_table(value, _is_text),
    CONFIG: _is_text,
    "files": lambda value: (
        _is_table(value, lambda file: _is_table(file, size=_is_count, crc32=_is_text))
        and all(name == Path(name).name for name in value)
    ),
}
"""The check of each value of a manifest."""


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write or replace export.json in the folder of an export, with the checksums of its other files."""
    names = sorted(path.name for path in folder.iterdir() if path.name != MANIFEST)
    values = sealed_values({**manifest, "files": note_files(folder, names)})
    write_atomically(folder / MANIFEST, (json.dumps(values, indent=1) + "\n").encode())


def weights_identity(folder: ModelFolder) -> dict[str, Any]:
    """The identity of the weights from which an export is made: checksum, and size and time for a quick comparison."""
    status = folder.weights.stat()
    return {"checksum": weights_checksum(folder), "size": status.st_size, "time": status.st_mtime_ns}


def weights_checksum(folder: ModelFolder) -> str:
    with open(folder.weights, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_export(folder: ModelFolder) -> None:
    """Raises UserError if the export was made from other weights than there are."""
    made_from = read_manifest(folder.path)["weights"]
    if not folder.weights.exists():
        return
    status = folder.weights.stat()
    if (status.st_size, status.st_mtime_ns) == (made_from.get("size"), made_from.get("time")):
        return
    if weights_checksum(folder) != made_from.get("checksum"):
        raise UserError(
            f"the export in `{folder.path / EXPORT}` was made from other weights than `{folder.weights}`: "
            f"run `nmt export {folder.path}` again, or delete it"
        )


def open_models(
    names: Sequence[str | Path | ModelFolder], language_model: str | Path | None = None
) -> tuple[list[ModelFolder], ModelFolder | None]:
    """The folders of translation models that form an ensemble, and of the language model for fusion if one is named.

    Raises UserError if one cannot be opened, has the wrong task, or does not have the vocabularies and the direction of
    the first.
    """
    if not names:
        raise UserError("a model folder is needed, but none is given")
    folders = [name if isinstance(name, ModelFolder) else open_model(name) for name in names]
    for folder in folders:
        if folder.config.task != "translation":
            advice = ", and this one as --language-model" if folder.config.task == "language_model" else ""
            raise UserError(
                f"`{folder.path}` is a {folder.config.kind.title}, which cannot translate; give a translation model"
                f"{advice}"
            )
        first, other = folders[0].config.data, folder.config.data
        if first.source != first.target and (first.source, first.target) == (other.target, other.source):
            raise UserError(
                f"`{folders[0].path}` and `{folder.path}` translate in opposite directions; an ensemble has one"
            )
        check_same_vocabularies(folders[0], folder)
    if language_model is None:
        return folders, None
    fused = open_model(language_model)
    if fused.config.task != "language_model":
        raise UserError(f"--language-model `{fused.path}` is a {fused.config.kind.title}; give a language model")
    check_same_vocabularies(folders[0], fused)
    return folders, fused


def check_same_vocabularies(first: ModelFolder, other: ModelFolder) -> None:
    """Raises UserError unless ids mean the same to two models; a language model has only a target side."""
    sides = {"target": (first.target_vocabulary, other.target_vocabulary)}
    if other.config.task == first.config.task:
        sides["source"] = (first.source_vocabulary, other.source_vocabulary)
    for side, (one, another) in sides.items():
        if one.checksum != another.checksum and not (isinstance(one, Vocabulary) and one.has_pieces_of(another)):
            raise UserError(
                f"`{first.path}` and `{other.path}` must share the {side} vocabulary, but have different ones; "
                "train them with the same SentencePiece models (`vocabulary.source`, `vocabulary.target`)"
            )


def bundled_models() -> list[str]:
    return sorted(folder.name for folder in BUNDLED.glob("*"))


def _download(name: str) -> Path:
    """A model folder from the Hugging Face hub, if the name looks like a hub id and not like a local path."""
    parts = name.split("/")
    if len(parts) != 2 or not all(parts) or Path(parts[0]).is_dir():
        raise UserError(f"model `{name}` does not exist; these come with the program: {', '.join(bundled_models())}")
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise UserError(f"model `{name}` does not exist here; a hub id needs `pip install huggingface_hub`") from None
    try:
        return Path(snapshot_download(name))
    except Exception as error:  # the hub's client raises many exceptions; each means that the model is not available
        raise UserError(
            f"model `{name}` is neither a folder here nor to be had from the hub ({type(error).__name__})"
        ) from None


def write_model(
    folder: Path,
    config: Config,
    source_vocabulary: Any,
    target_vocabulary: Any,
    weights: bytes,
    card: str,
    confidence: Confidence | None = None,
) -> None:
    """Write a model folder; the files are replaced when all of them are on the disk, the weights last.

    weights: a safetensors file with `weights_metadata` in its metadata
    """
    folder.mkdir(parents=True, exist_ok=True)
    text, checksum = sealed_text(write_config(config))
    files: dict[str, Sequence[bytes | memoryview]] = {CONFIG: [text]}
    for name, vocabulary in _by_file(config, source_vocabulary, target_vocabulary).items():
        files[name] = [vocabulary.model]
    files["README.md"] = [card.encode()]
    if confidence is None:
        (folder / CONFIDENCE).unlink(missing_ok=True)
    else:
        files[CONFIDENCE] = [_confidence_file(confidence, checksum)]
    write_together(folder, {**files, WEIGHTS: sealed_tensors(weights, **{CONFIG: checksum})})


def model_card(config: Config, results: Mapping[str, Any]) -> str:
    data, model = config.data, config.model
    network = f"{model.cell.upper().replace('_', ' ')}, hidden size {model.hidden_size}"
    if config.task == "language_model":
        title = f"Language model: {data.target}"
        what = f"Recurrent language model ({network}, layers: {model.decoder_layers}) of `{data.target}`"
    elif not config.kind.decoder:
        title = f"{config.kind.title.capitalize()}: {data.source} -> {data.target}"
        what = f"Recurrent {config.kind.title} ({network}, layers: {model.encoder_layers})"
    else:
        title = f"{data.source} -> {data.target}"
        layers = f"{model.encoder_layers} encoder and {model.decoder_layers} decoder layers"
        what = f"Recurrent {config.kind.title} ({network}, {layers})"
    lines = [
        f"# {title}",
        "",
        f"{what}, trained on `{data.path}`.",
        "",
        "```",
        config.kind.command,
        "```",
        "",
        "| | |",
        "| --- | --- |",
        *[f"| {name} | {value} |" for name, value in results.items()],
    ]
    return "\n".join(lines) + "\n"
