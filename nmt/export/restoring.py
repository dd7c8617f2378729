"""The weights of an exported model, read back from its graphs, so that a model without other weights can be trained.

Graphs do not name weights. But the exporter makes the same nodes for every model of the same settings, so the graphs of
a model whose weights are numbers are made again and laid beside the real ones: where the first have the number of a
weight, the second have its value. In an export in 8-bit integers, a weight is an integer times the scale of its row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import numpy_helper

from nmt.errors import UserError
from nmt.export.exporter import make_graphs
from nmt.export.onnx_graph import Array, Graph
from nmt.model_files import check_files, damaged
from nmt.model_folder import EXPORT, ModelFolder, check_export, read_manifest
from nmt.network.torch_engine import build_model

FIRST = 1 << 20  # number of the first weight, above all constants of the graphs; float32 has every number up to LAST
LAST = 1 << 24


class _Numbered(Graph):
    """A graph of a model whose weights are numbers; a matrix of integers has these, its scales minus the first ones."""

    def constant(self, values: npt.ArrayLike, dtype: npt.DTypeLike = np.float32) -> str:
        is_float = np.asarray(values).dtype.kind == "f"
        return super().constant(values, np.float64 if is_float else dtype)

    def quantize(self, weight: Array) -> tuple[Array, Array]:
        return weight.astype(np.float64), -weight[:, 0].astype(np.float64)


def restore_weights(model: Any, folder: ModelFolder) -> None:
    """Give a model of the folder's configuration the weights of the folder's export.

    Raises UserError where the export does not have all of them: GRUs and some other cells use their second biases by
    themselves, and a table has products in place of embeddings.
    """
    manifest, exported = read_manifest(folder.path), folder.path / EXPORT
    check_export(folder)
    check_files(exported, manifest.get("files", {}))
    weights = dict(model.named_parameters())
    numbers = _number(weights, folder)
    is_training = model.training
    model.eval()
    graphs = make_graphs(model, manifest["integers"], manifest.get("table", False), folder.config.task, _Numbered)
    model.train(is_training)
    try:
        # The graphs that choose pieces have the same weights as `rows`, with biases added up.
        read = [name for name in graphs if name not in ("best", "shortlist")]
        pairs = [pair for name in read for pair in _pairs(graphs[name], exported / f"{name}.onnx")]
    except UserError:
        raise
    except Exception as error:  # onnx raises many kinds of errors for graphs that are no graphs
        raise damaged(exported / "weights.bin", error) from None
    if any(real[numbered == 0].any() for numbered, real in pairs if numbered.dtype == np.float64):
        raise UserError(f"`{folder.path}` has only an export, from which the biases of its cells cannot be read back")
    values = _values(pairs, getattr(model, "embedding_scale", 1.0), FIRST + sum(map(np.size, numbers.values())))
    with torch.no_grad():
        for name, weight in weights.items():
            found = values[numbers[name]] if name in numbers else np.zeros(weight.shape)
            if np.isnan(found).any():
                raise UserError(f"`{folder.path}` has only an export, from which `{name}` cannot be read back")
            weight.copy_(torch.from_numpy(found))


def restored_network(folder: ModelFolder) -> Any:
    """The network of a folder that has only an export, in evaluation mode; raises UserError like `restore_weights`."""
    model = build_model(folder.config, len(folder.source_vocabulary), len(folder.target_vocabulary), 0)
    restore_weights(model, folder)
    return model.eval()


def _number(weights: dict[str, torch.Tensor], folder: ModelFolder) -> dict[str, npt.NDArray[np.int64]]:
    """Number the weights of a model; returns the numbers.

    The second biases of cells are 0: an export has the sum of both, which becomes the first.
    """
    numbers, following = {}, FIRST
    for name, weight in weights.items():
        if name.endswith(".bias_hh"):
            torch.nn.init.zeros_(weight)
            continue
        numbers[name] = np.arange(following, following + weight.numel()).reshape(weight.shape)
        following += weight.numel()
        if following > LAST:
            raise UserError(f"`{folder.path}` has only an export, and is too large to be read back")
        with torch.no_grad():
            weight.copy_(torch.from_numpy(numbers[name]))
    return numbers


def _pairs(graph: Graph, path: Path) -> Iterator[tuple[Array, Array]]:
    """The constants of a numbered graph and of a real one that are at the same inputs of the same nodes."""
    real = onnx.load(path).graph
    constants = {one.name: numpy_helper.to_array(one) for one in real.initializer}
    here, there = list(_all_nodes(graph.finish()[0])), list(_all_nodes(real.node))
    if [node.op_type for node in here] != [node.op_type for node in there]:
        raise UserError(f"`{path}` was written by another version of nmt and cannot be read back")
    for one, other in zip(here, there, strict=True):
        for name, real_name in zip(one.input, other.input, strict=True):
            if name in graph.constants:
                numbered, real_constant = graph.constants[name], constants[real_name]
                if numbered.shape != real_constant.shape:
                    raise ValueError(f"a constant is {real_constant.shape}, but must be {numbered.shape}")
                yield numbered, real_constant


def _all_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Nodes, each followed by those of its loop's body."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _all_nodes(attribute.g.node)


def _values(pairs: list[tuple[Array, Array]], factor: float, end: int) -> npt.NDArray[np.float64]:
    """The values of the weights by their numbers, below `end`; NaN where they are not known.

    factor: by which the scales of looked-up rows are multiplied
    """

    def are_numbers(array: Array) -> bool:
        return bool(((array == np.rint(array)) & (((array >= FIRST) & (array < end)) | (array == 0))).all())

    values, scales = np.full(end, np.nan), np.full(end, np.nan)  # a row's scale is at the number of its first weight
    integers = [(n.astype(np.int64), real) for n, real in pairs if real.dtype == np.int8 and are_numbers(n)]
    begins = np.zeros(end, bool)  # numbers of weights that begin a row, or a column of it if it is turned
    for numbers, _ in integers:
        begins[numbers[:, 0]] = begins[numbers[0]] = True
    for numbered, real in pairs:
        if real.dtype != np.float32:
            continue
        if are_numbers(numbered):
            values[numbered.astype(np.int64)] = real
        for divisor in (-1.0, -float(np.float32(factor))):
            numbers = np.rint(numbered / divisor)
            if are_numbers(numbers) and begins[numbers.astype(np.int64)].all():
                scales[numbers.astype(np.int64)] = real / -divisor
                break
    for numbers, whole in integers:
        if np.isnan(scales[numbers[:, 0]]).any():
            numbers, whole = numbers.T, whole.T
        values[numbers] = whole * scales[numbers[:, :1]]
    return values
