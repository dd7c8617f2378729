"""Model folders: everything a trained model needs, read and written without torch.

config.toml         the resolved configuration, with its format number
model.safetensors   weights only
joint.spm           SentencePiece model of both languages, or
source.spm, target.spm
README.md           model card
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmt.config import Config, load_config, write_config
from nmt.errors import UserError
from nmt.vocabulary import Vocabulary

WEIGHTS = "model.safetensors"


@dataclass
class ModelFolder:
    """A model on disk: its configuration and vocabularies; the engine reads the weights."""

    path: Path
    config: Config
    source_vocabulary: Vocabulary
    target_vocabulary: Vocabulary

    @property
    def weights(self) -> Path:
        """The file of the weights."""
        return self.path / WEIGHTS


def vocabulary_files(config: Config) -> list[str]:
    """Names of the SentencePiece models: one for both languages, or one for each."""
    return ["joint.spm"] if config.vocabulary.joint else ["source.spm", "target.spm"]


def open_model(name: str | Path) -> ModelFolder:
    """Read a model folder, the best model of a run folder, or a hub id.

    Raises UserError when there is no such folder or something in it is missing, damaged or foreign.
    """
    path = Path(name)
    if not path.exists():
        path = _download(str(name))
    if (path / "best").is_dir():
        path = path / "best"
    if not path.is_dir() or not (path / "config.toml").exists():
        raise UserError(f"`{name}` is not a model folder: it must be a folder with config.toml, {WEIGHTS} and *.spm")
    config = load_config(path / "config.toml")
    names = vocabulary_files(config)
    for needed in [WEIGHTS, *names]:
        if not (path / needed).is_file():
            raise UserError(f"model folder `{path}` is damaged: `{needed}` is missing")
    vocabularies = [Vocabulary.load(path / needed) for needed in names]
    return ModelFolder(path, config, vocabularies[0], vocabularies[-1])


def _download(name: str) -> Path:
    """A model folder from the Hugging Face hub, when the name looks like a hub id."""
    parts = name.split("/")
    if len(parts) != 2 or not all(parts) or parts[0] in (".", ".."):
        raise UserError(f"model `{name}` does not exist")
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise UserError(f"model `{name}` does not exist here; a hub id needs `pip install huggingface_hub`") from None
    try:
        return Path(snapshot_download(name))
    except Exception as error:  # the hub's client raises many kinds; each means that the model cannot be had
        raise UserError(
            f"model `{name}` is neither a folder here nor to be had from the hub ({type(error).__name__})"
        ) from None


def write_model(
    folder: Path,
    config: Config,
    source_vocabulary: Vocabulary,
    target_vocabulary: Vocabulary,
    weights: bytes,
    card: str,
) -> None:
    """Write a model folder; each file is replaced as a whole, the weights last."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "config.toml", write_config(config).encode())
    for name, vocabulary in zip(vocabulary_files(config), (source_vocabulary, target_vocabulary), strict=False):
        write_atomically(folder / name, vocabulary.model)
    write_atomically(folder / "README.md", card.encode())
    write_atomically(folder / WEIGHTS, weights)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that at every moment either the old or the new content is there, even after a power cut."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:  # a full disk: name the file that is missing, leave no half of it
        if temporary.exists():
            temporary.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from None


def model_card(config: Config, results: Mapping[str, Any]) -> str:
    """The README of a model folder."""
    data, model = config.data, config.model
    lines = [
        f"# {data.source} -> {data.target}",
        "",
        f"Recurrent translation model ({model.cell.upper()}, hidden size {model.hidden_size}, "
        f"{model.encoder_layers} encoder and {model.decoder_layers} decoder layers), trained on `{data.path}`.",
        "",
        "```",
        "translate --model THIS_FOLDER < input.txt",
        "```",
        "",
        "| | |",
        "| --- | --- |",
        *[f"| {name} | {value} |" for name, value in results.items()],
    ]
    return "\n".join(lines) + "\n"
