"""Checkpoint averaging: a model whose weights are the mean of several models' weights.

    w = 1/n sum_i w_i

The last checkpoints of a run lie around the same optimum. Their mean is nearer to it than most of them, translates
nearly as well as their ensemble, and costs no more than one of them (Junczys-Dowmunt, Dwojak & Sennrich 2016,
https://arxiv.org/abs/1605.04809). The mean of a model before and after fine-tuning keeps more of what it knew (Wortsman
et al. 2022, "Robust fine-tuning of zero-shot models", https://arxiv.org/abs/2109.01903). Models of different runs have
different optima: combine them in an ensemble (`nmt.search.ensemble`). Torch is imported only to read the weights of a
model that has nothing but an export.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy
from safetensors import SafetensorError

from nmt import __version__
from nmt.config.fields import OF_TRAINING
from nmt.errors import UserError
from nmt.model_files import check_tensors
from nmt.model_folder import (
    BUNDLED,
    ModelFolder,
    check_same_vocabularies,
    model_card,
    open_model,
    weights_metadata,
    write_model,
)

Weights = dict[str, npt.NDArray[Any]]


def average_models(names: Sequence[str | Path], output: Path) -> ModelFolder:
    """Write the mean of several models as a model folder.

    Its configuration and vocabulary are those of the model that was trained on from another one, or of the first.

    names: one or more model folders, run folders (their best model is used) or hub ids; one that is named twice
        counts twice
    output: a new or an empty folder

    Raises UserError, before anything is written, when the models do not belong together or the output exists.
    """
    if not names:
        raise UserError("there is nothing to average: no model is given")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"output `{output}` exists already and is not overwritten; choose another --output")
    folders = [open_model(name) for name in names]
    first = next((folder for folder in folders if any(_began_with(folder, other) for other in folders)), folders[0])
    for other in folders:
        check_same_model(first, other)
    weights = mean_weights(folders)
    vocabularies = first.source_vocabulary, first.target_vocabulary
    results = {
        "average of": f"{len(folders)} models: {', '.join('/'.join(folder.path.parts[-2:]) for folder in folders)}",
        "written by": f"nmt {__version__}",
    }
    content = safetensors.numpy.save(weights, weights_metadata(first.config, *vocabularies))
    write_model(output, first.config, *vocabularies, content, model_card(first.config, results))
    return open_model(output)


def check_same_model(first: ModelFolder, other: ModelFolder) -> None:
    """Whether two models have the same architecture and vocabularies; raises UserError naming both folders."""
    names = [] if first.config.task == other.config.task else ["task"]
    sides = ("source", "target") if first.config.task == "translation" else ("target",)
    names += [f"data.{side}" for side in sides if getattr(first.config.data, side) != getattr(other.config.data, side)]
    mine, theirs = vars(first.config.model), vars(other.config.model)
    names += [f"model.{name}" for name in mine if mine[name] != theirs[name] and name not in OF_TRAINING]
    # Weights that began differently have different optima, and what lies between these is none.
    begun = [folder.config.training.start_from or folder.config.training.seed for folder in (first, other)]
    if begun[0] != begun[1] and not _began_with(first, other) and not _began_with(other, first):
        names.append("training.seed")
    if names:
        raise UserError(
            f"`{first.path}` and `{other.path}` are different models ({', '.join(names)}) and have no mean; "
            "average checkpoints of one run"
        )
    check_same_vocabularies(first, other)


def _began_with(folder: ModelFolder, other: ModelFolder) -> bool:
    """Whether a model was trained on from the weights of the other."""
    start = folder.config.training.start_from
    places = [] if start is None else [Path(start), Path(start) / "best", BUNDLED / start]
    return other.path.resolve() in [place.resolve() for place in places]


def mean_weights(folders: Sequence[ModelFolder]) -> Weights:
    """The mean of weights in float64; integers are those of the first. Raises UserError if they do not fit."""
    first = read_weights(folders[0])
    total = {name: weight.astype(np.float64) for name, weight in first.items()}
    expected = {name: (weight.dtype, weight.shape) for name, weight in first.items()}
    for folder in folders[1:]:
        weights = read_weights(folder)
        found = {name: (weight.dtype, weight.shape) for name, weight in weights.items()}
        if found != expected:
            odd = sorted(name for name in {**expected, **found} if expected.get(name) != found.get(name))[0]
            raise UserError(
                f"the weights of `{folders[0].path}` and `{folder.path}` have no mean: `{odd}` is "
                f"{_describe(expected.get(odd))} in the one, {_describe(found.get(odd))} in the other; "
                "average checkpoints of one run"
            )
        for name, weight in weights.items():
            total[name] += weight
    return {
        name: np.asarray(total[name] / len(folders), weight.dtype) if weight.dtype.kind == "f" else weight
        for name, weight in first.items()
    }


def read_weights(folder: ModelFolder) -> Weights:
    """All tensors of a model folder; raises UserError when the file is damaged."""
    if folder.only_exported:
        from nmt.export.restoring import restored_network
        from nmt.network.torch_engine import model_tensors

        tensors = model_tensors(restored_network(folder))
        return {name: tensor.detach().numpy() for name, tensor in tensors.items()}
    check_tensors(folder.weights)
    try:
        weights: Weights = safetensors.numpy.load_file(folder.weights)
    except (SafetensorError, OSError, KeyError, AttributeError, TypeError) as error:  # or a type that numpy lacks
        raise UserError(f"model folder `{folder.path}` is damaged: `{folder.weights.name}`: {error}") from None
    return weights


def _describe(tensor: tuple[np.dtype[Any], tuple[int, ...]] | None) -> str:
    return "missing" if tensor is None else f"{tensor[0]} {list(tensor[1])}"
