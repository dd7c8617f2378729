"""Writes the operators that a torch function runs into an ONNX graph, so that no equation is written twice.

The function runs once on example tensors, and torch records its operators. What depends on weights alone is computed by
torch; every other operator becomes the nodes that `OPERATORS` has for it. torch.export would record the same, but takes
2 to 3 seconds of processor time for a decoder where this takes 0.2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.fx import Interpreter, Node
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

from nmt.errors import TrainingError
from nmt.export.onnx_graph import Graph

aten = torch.ops.aten


class Traced(NamedTuple):
    """A tensor of the graph."""

    name: str


def values(tensor: Tensor) -> npt.NDArray[np.float32]:
    """The numbers of a parameter."""
    array: npt.NDArray[np.float32] = tensor.detach().float().cpu().numpy()
    return array


@torch.no_grad()
def trace(graph: Graph, function: Callable[..., Any], inputs: Sequence[tuple[str, Sequence[int]]]) -> list[str]:
    """Write a function of tensors into a graph.

        function: of as many tensors as `inputs` has entries; returns tensors
        inputs: for each the name of its tensor in the graph, and the shape of an example. Sizes that differ from call
            to call must not be taken from the example: the function may use them only as -1 and by broadcasting.

    Returns: the names of the results
    """
    examples = [torch.rand(tuple(shape)) for _, shape in inputs]
    program = make_fx(function, pre_dispatch=True)(*examples)
    results = _Writer(program, graph).run(*(Traced(name) for name, _ in inputs))
    return [_name(graph, result) for result in pytree.tree_leaves(results, is_leaf=_is_traced)]


class _Writer(Interpreter):
    """Interprets a recorded program: constants are computed, and what depends on inputs is written down."""

    def __init__(self, program: torch.fx.GraphModule, graph: Graph) -> None:
        super().__init__(program)
        self.onnx = graph
        self.extra_traceback = False  # an error is one line

    def run_node(self, node: Node) -> Any:
        """The value of a node: tensors of the graph where it depends on the inputs."""
        if node.op != "call_function":
            return super().run_node(node)
        arguments, options = self.fetch_args_kwargs_from_env(node)
        if not any(map(_is_traced, pytree.tree_leaves((arguments, options), is_leaf=_is_traced))):
            return node.target(*arguments, **options)  # type: ignore[operator]
        if getattr(node.target, "__name__", "") == "getitem":
            return arguments[0][arguments[1]]
        write = OPERATORS.get(node.target)
        if write is None:
            raise TrainingError(f"export does not know torch's operator `{node.target}`; add it to {__name__}")
        return write(self.onnx, *arguments, **options)


def _is_traced(value: Any) -> bool:
    return isinstance(value, Traced)


def _name(graph: Graph, value: Any) -> str:
    """A tensor's name in the graph; numbers and weights become constants."""
    if isinstance(value, Traced):
        return value.name
    return graph.constant(values(value) if isinstance(value, Tensor) else value)


def _simple(kind: str, **attributes: Any) -> Callable[..., Traced]:
    """An operator of torch that is one of ONNX with the same tensors."""
    return lambda graph, *tensors: Traced(graph.op(kind, *(_name(graph, each) for each in tensors), **attributes))


def _chunk(graph: Graph, tensor: Traced, count: int, axis: int = 0) -> list[Traced]:
    return [Traced(name) for name in graph.ops("Split", count, tensor.name, axis=axis, num_outputs=count)]


def _split(graph: Graph, tensor: Traced, sizes: Sequence[int], axis: int = 0) -> list[Traced]:
    names = graph.ops("Split", len(sizes), tensor.name, graph.integers_of(*sizes), axis=axis)
    return [Traced(name) for name in names]


def _slice(graph: Graph, tensor: Traced, axis: int, start: int, end: int) -> Traced:
    return Traced(graph.op("Slice", tensor.name, *map(graph.integers_of, (start, end, axis))))


def _pad(graph: Graph, tensor: Traced, sizes: Sequence[int]) -> Traced:
    """Zeros before and after the last dimension."""
    amounts = graph.integers_of(*sizes)
    return Traced(graph.op("Pad", tensor.name, amounts, graph.constant(0.0), graph.integers_of(-1)))


def _cat(graph: Graph, tensors: Sequence[Any], axis: int = 0) -> Traced:
    return Traced(graph.op("Concat", *(_name(graph, each) for each in tensors), axis=axis))


def _view(graph: Graph, tensor: Traced, shape: Sequence[int]) -> Traced:
    return Traced(graph.op("Reshape", tensor.name, graph.integers_of(*shape)))


def _linear(graph: Graph, inputs: Traced, weight: Tensor, bias: Tensor | None = None) -> Traced:
    return Traced(graph.product(inputs.name, values(weight), None if bias is None else values(bias)))


def _lerp(graph: Graph, start: Any, end: Any, weight: Any) -> Traced:
    """start + weight * (end - start), for weights from 0 to 1."""
    first, last, share = (_name(graph, each) for each in (start, end, weight))
    mixed = graph.op("Add", first, graph.op("Mul", share, graph.op("Sub", last, first)))
    if {first, last} <= graph.bounded:
        graph.bounded.add(mixed)
    return Traced(mixed)


def _layer_norm(
    graph: Graph, inputs: Traced, shape: Sequence[int], gain: Any = None, bias: Any = None, epsilon: float = 1e-5
) -> Traced:
    scale = _name(graph, np.ones(shape) if gain is None else gain)
    shift = [] if bias is None else [_name(graph, bias)]
    return Traced(graph.op("LayerNormalization", inputs.name, scale, *shift, axis=-len(shape), epsilon=epsilon))


OPERATORS: dict[Any, Callable[..., Any]] = {
    aten.linear.default: _linear,
    aten.add.Tensor: _simple("Add"),
    aten.sub.Tensor: _simple("Sub"),
    aten.rsub.Scalar: lambda graph, tensor, number: Traced(graph.op("Sub", graph.constant(number), tensor.name)),
    aten.mul.Tensor: _simple("Mul"),
    aten.lerp.Tensor: _lerp,
    aten.lerp.Scalar: _lerp,
    aten.sigmoid.default: _simple("Sigmoid"),
    aten.tanh.default: _simple("Tanh"),
    aten.tanh_.default: _simple("Tanh"),
    aten.relu_.default: _simple("Relu"),
    aten.leaky_relu_.default: _simple("LeakyRelu", alpha=0.01),
    aten.layer_norm.default: _layer_norm,
    aten.to.dtype: lambda graph, tensor, dtype: tensor,  # everything is in float32
    aten.chunk.default: _chunk,
    aten.split_with_sizes.default: _split,
    aten.slice.Tensor: _slice,
    aten.pad.default: _pad,
    aten.cat.default: _cat,
    aten.view.default: _view,
}
"""Writes the nodes of an operator of torch, given its arguments."""
