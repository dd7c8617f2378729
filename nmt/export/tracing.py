"""Writes the operators that a torch function runs into an ONNX graph, so that no equation is written twice.

`record` runs the function once on example tensors while torch notes its operators. `write` computes what depends on
weights alone by torch, and writes every other operator as the nodes that `OPERATORS` has for it. torch.export would
record the same, but takes 2 to 3 seconds of processor time for a decoder where this takes 0.2.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from onnx import helper
from torch import Tensor
from torch.fx import GraphModule, Interpreter, Node
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

from nmt.errors import TrainingError
from nmt.export.onnx_graph import BOOL, FLOAT, Graph

aten = torch.ops.aten


@dataclass(frozen=True)
class Traced:
    """A tensor of the graph."""

    name: str
    rank: int


@dataclass(frozen=True)
class LookedUp:
    """Rows of a table of constants, looked up by ids that are a tensor of the graph.

    With `write(..., tables=True)`, operators that compute each row by itself are applied once to the whole table.
    """

    table: Tensor  # [rows, size]
    ids: str
    factor: float = 1.0  # the rows are multiplied with it
    computed: bool = False  # whether the table is computed from another, and not a weight

    def written(self, graph: Graph) -> Traced:
        """The rows in the graph."""
        table = values(self.table)
        return Traced(
            graph.byte_rows(table, self.ids) if self.computed else graph.lookup(table, self.ids, self.factor), 2
        )


def values(tensor: Tensor) -> npt.NDArray[np.float32]:
    array: npt.NDArray[np.float32] = tensor.detach().float().cpu().numpy()
    return array


@torch.no_grad()
def record(function: Callable[..., Any], *examples: Any) -> GraphModule:
    """Run a function and note its operators.

    function: of tensors, or of lists and dictionaries of them; it returns the same
    examples: its arguments. Sizes that differ from call to call must not be taken from them: the function may use
        such sizes only as -1 and by broadcasting.
    """
    program = make_fx(function, pre_dispatch=True)(*examples)
    program.graph.eliminate_dead_code()
    return program


@torch.no_grad()
def write(graph: Graph, program: GraphModule, *inputs: Any, tables: bool = False) -> Any:
    """Write a recorded function into a graph.

        inputs: like the examples of `record`, with names of the graph's tensors (or `LookedUp` rows) as tensors
        tables: whether what is computed from looked-up rows alone is looked up itself

    Returns: the names of the results, in the lists and dictionaries that the function returns
    """
    results = _Writer(program, graph, tables).run(*inputs)
    return pytree.tree_map(lambda result: _name(graph, result), results)


def trace(graph: Graph, function: Callable[..., Any], *inputs: tuple[str, Sequence[int]]) -> Any:
    """Record and write a function of tensors, given the name and an example's shape of each."""
    program = record(function, *(torch.rand(tuple(shape)) for _, shape in inputs))
    return write(graph, program, *(name for name, _ in inputs))


class _Writer(Interpreter):
    """Interprets a recorded program: constants are computed, and what depends on inputs is written down."""

    def __init__(self, program: GraphModule, graph: Graph, tables: bool) -> None:
        super().__init__(program)
        self.onnx, self.tables = graph, tables
        self.extra_traceback = False  # an error is one line

    def run_node(self, node: Node) -> Any:
        """The value of a node: tensors of the graph where it depends on the inputs."""
        if node.op == "placeholder":
            value = super().run_node(node)
            return Traced(value, node.meta["val"].dim()) if isinstance(value, str) else value
        if node.op != "call_function":
            return super().run_node(node)
        given = self.fetch_args_kwargs_from_env(node)
        variable = [leaf for leaf in pytree.tree_leaves(given) if isinstance(leaf, Traced | LookedUp)]
        if node.target is operator.getitem:
            return given[0][0][given[0][1]]
        if not variable:
            return node.target(*given[0], **given[1])  # type: ignore[operator]
        looked_up = variable[0]
        if self.tables and len(variable) == 1 and isinstance(looked_up, LookedUp) and node.target in OF_EACH_ROW:
            table = looked_up.table * looked_up.factor
            arguments, options = pytree.tree_map(lambda leaf: table if leaf is looked_up else leaf, given)
            return LookedUp(node.target(*arguments, **options), looked_up.ids, computed=True)
        arguments, options = pytree.tree_map(
            lambda leaf: leaf.written(self.onnx) if isinstance(leaf, LookedUp) else leaf, given
        )
        try:
            writer = OPERATORS[node.target]
        except KeyError:
            raise TrainingError(
                f"export does not know torch's operator `{node.target}`; add it to {__name__}"
            ) from None
        written = writer(self.onnx, *arguments, **options)
        if isinstance(written, str):
            return Traced(written, node.meta["val"].dim())
        return [Traced(name, value.dim()) for name, value in zip(written, node.meta["val"], strict=True)]


def _name(graph: Graph, value: Any) -> str:
    """A tensor's name in the graph; numbers and weights become constants."""
    if isinstance(value, LookedUp):
        value = value.written(graph)
    if isinstance(value, Traced):
        return value.name
    return graph.constant(values(value) if isinstance(value, Tensor) else value)


def _simple(kind: str, **attributes: Any) -> Callable[..., str]:
    """An operator of torch that is one of ONNX with the same tensors."""
    return lambda graph, *tensors: graph.op(kind, *(_name(graph, each) for each in tensors), **attributes)


def _with_axis(kind: str) -> Callable[..., str]:
    """An operator of torch that is one of ONNX with the axis as a further input."""
    return lambda graph, tensor, axis: graph.op(kind, tensor.name, graph.integers_of(axis))


def _reduce(kind: str) -> Callable[..., str]:
    def write(graph: Graph, tensor: Traced, axes: Sequence[int], keepdim: bool = False) -> str:
        return graph.op(kind, tensor.name, graph.integers_of(*axes), keepdims=int(keepdim))

    return write


def _pad(graph: Graph, tensor: Traced, sizes: Sequence[int]) -> str:
    """Zeros before and after the last dimension."""
    amounts = graph.integers_of(*sizes)
    return graph.op("Pad", tensor.name, amounts, graph.constant(0.0), graph.integers_of(-1))


def _transpose(graph: Graph, tensor: Traced, first: int, second: int) -> str:
    order = list(range(tensor.rank))
    order[first], order[second] = order[second], order[first]
    return graph.op("Transpose", tensor.name, perm=order)


def _flatten(graph: Graph, tensor: Traced, first: int = 0, last: int = -1) -> str:
    """One dimension instead of the first to the last of some."""
    first, last = first % tensor.rank, last % tensor.rank
    if first == 0 and last == tensor.rank - 2:
        return graph.op("Flatten", tensor.name, axis=last + 1)
    shape = graph.integers_of(*[0] * first, -1)  # 0: as it is
    if last < tensor.rank - 1:
        shape = graph.op("Concat", shape, graph.op("Shape", tensor.name, start=last + 1), axis=0)
    return graph.op("Reshape", tensor.name, shape)


def _unflatten(graph: Graph, tensor: Traced, axis: int, sizes: Sequence[int]) -> str:
    """Several dimensions instead of the last."""
    assert axis in (-1, tensor.rank - 1)
    return graph.op("Reshape", tensor.name, graph.integers_of(*[0] * (tensor.rank - 1), *sizes))


def _index_select(graph: Graph, tensor: Traced, axis: int, places: Traced) -> str:
    return graph.op("Gather", tensor.name, places.name, axis=axis)


def _linear(graph: Graph, inputs: Traced, weight: Tensor, bias: Tensor | None = None) -> str:
    return graph.product(inputs.name, values(weight), None if bias is None else values(bias))


def _addmm(graph: Graph, summand: Any, inputs: Traced, weight: Tensor) -> str:
    if not isinstance(summand, Tensor):
        return graph.op("Add", _linear(graph, inputs, weight.t()), summand.name)
    return _linear(graph, inputs, weight.t(), summand if summand.any() else None)


def _lerp(graph: Graph, start: Any, end: Any, weight: Any) -> str:
    """start + weight * (end - start), for weights from 0 to 1."""
    first, last, share = (_name(graph, each) for each in (start, end, weight))
    mixed = graph.op("Add", first, graph.op("Mul", share, graph.op("Sub", last, first)))
    if {first, last} <= graph.bounded:
        graph.bounded.add(mixed)
    return mixed


def _layer_norm(
    graph: Graph, inputs: Traced, shape: Sequence[int], gain: Any = None, bias: Any = None, epsilon: float = 1e-5
) -> str:
    scale = _name(graph, np.ones(shape) if gain is None else gain)
    shift = [] if bias is None else [_name(graph, bias)]
    return graph.op("LayerNormalization", inputs.name, scale, *shift, axis=-len(shape), epsilon=epsilon)


def _filled(graph: Graph, tensor: Traced, number: float) -> str:
    value = helper.make_tensor("value", FLOAT, [1], [number])
    return graph.op("ConstantOfShape", graph.op("Shape", tensor.name), value=value)


def _compare(kind: str) -> Callable[..., str]:
    """A comparison; its result is 1 or 0."""
    return lambda graph, one, other: graph.op("Cast", graph.op(kind, _name(graph, one), _name(graph, other)), to=FLOAT)


def _where(graph: Graph, condition: Traced, one: Any, other: Any) -> str:
    return graph.op("Where", graph.op("Cast", condition.name, to=BOOL), _name(graph, one), _name(graph, other))


def _clamp(graph: Graph, tensor: Traced, low: float | None = None, high: float | None = None) -> str:
    return graph.op("Clip", tensor.name, *("" if limit is None else graph.constant(limit) for limit in (low, high)))


def _sort(graph: Graph, tensor: Traced, axis: int = -1, descending: bool = False) -> list[str]:
    """The sorted values and their places."""
    size = graph.op("Gather", graph.op("Shape", tensor.name), graph.integers_of(axis))
    return graph.ops("TopK", 2, tensor.name, size, axis=axis, largest=int(descending))


ELEMENTWISE = {
    "abs": "Abs",
    "exp": "Exp",
    "log": "Log",
    "sqrt": "Sqrt",
    "neg": "Neg",
    "reciprocal": "Reciprocal",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "relu": "Relu",
    "maximum": "Max",
    "minimum": "Min",
}
"""Operators of torch, and of ONNX, that compute each number by itself."""
OPERATORS: dict[Any, Callable[..., str | list[str]]] = {
    **{getattr(aten, name).default: _simple(kind) for name, kind in ELEMENTWISE.items()},
    **{
        getattr(getattr(aten, name), kind): _compare(onnx_name)
        for name, onnx_name in {"gt": "Greater", "ge": "GreaterOrEqual", "lt": "Less", "le": "LessOrEqual"}.items()
        for kind in ("Scalar", "Tensor")
    },
    aten.linear.default: _linear,
    aten.addmm.default: _addmm,
    aten.matmul.default: _simple("MatMul"),
    aten.add.Tensor: _simple("Add"),
    aten.sub.Tensor: _simple("Sub"),
    aten.rsub.Scalar: lambda graph, tensor, number: graph.op("Sub", graph.constant(number), tensor.name),
    aten.mul.Tensor: _simple("Mul"),
    aten.div.Tensor: _simple("Div"),
    aten.lerp.Tensor: _lerp,
    aten.lerp.Scalar: _lerp,
    aten.pow.Tensor_Scalar: _simple("Pow"),
    aten.clamp.default: _clamp,
    aten.leaky_relu.default: lambda graph, tensor, slope=0.01: graph.op("LeakyRelu", tensor.name, alpha=slope),
    aten.tanh_.default: _simple("Tanh"),
    aten.relu_.default: _simple("Relu"),
    aten.leaky_relu_.default: _simple("LeakyRelu", alpha=0.01),
    aten.softmax.int: lambda graph, tensor, axis: graph.op("Softmax", tensor.name, axis=axis),
    aten.log_softmax.int: lambda graph, tensor, axis: graph.op("LogSoftmax", tensor.name, axis=axis),
    aten.layer_norm.default: _layer_norm,
    aten.mean.dim: _reduce("ReduceMean"),
    aten.sum.dim_IntList: _reduce("ReduceSum"),
    aten.amax.default: _reduce("ReduceMax"),
    aten.where.Scalar: _simple("Where"),
    aten.where.self: _where,
    aten.where.ScalarSelf: _where,
    aten.where.ScalarOther: _where,
    aten.sort.default: _sort,
    aten.cumsum.default: lambda graph, tensor, axis: graph.op("CumSum", tensor.name, graph.constant(axis, np.int64)),
    aten.zeros_like.default: lambda graph, tensor, **options: _filled(graph, tensor, 0),
    aten.ones_like.default: lambda graph, tensor, **options: _filled(graph, tensor, 1),
    aten.to.dtype: lambda graph, tensor, dtype: tensor.name,  # everything is in float32
    aten.chunk.default: lambda graph, tensor, count, axis=0: graph.ops(
        "Split", count, tensor.name, axis=axis, num_outputs=count
    ),
    aten.split_with_sizes.default: lambda graph, tensor, sizes, axis=0: graph.ops(
        "Split", len(sizes), tensor.name, graph.integers_of(*sizes), axis=axis
    ),
    aten.slice.Tensor: lambda graph, tensor, axis, start, end: graph.op(
        "Slice", tensor.name, *map(graph.integers_of, (start, end, axis))
    ),
    aten.select.int: lambda graph, tensor, axis, index: graph.op(
        "Gather", tensor.name, graph.constant(index, np.int64), axis=axis
    ),
    aten.index.Tensor: lambda graph, tensor, places: _index_select(graph, tensor, 0, *places),
    aten.index_select.default: _index_select,
    aten.pad.default: _pad,
    aten.cat.default: lambda graph, tensors, axis=0: graph.op(
        "Concat", *(_name(graph, each) for each in tensors), axis=axis
    ),
    aten.squeeze.dim: _with_axis("Squeeze"),
    aten.unsqueeze.default: _with_axis("Unsqueeze"),
    aten.transpose.int: _transpose,
    aten.flatten.using_ints: _flatten,
    aten.unflatten.int: _unflatten,
    aten.expand.default: lambda graph, tensor, sizes: graph.op(  # -1: as it is
        "Expand", tensor.name, graph.integers_of(*(max(size, 1) for size in sizes))
    ),
}
"""Writes the nodes of an operator of torch, given its arguments."""

OF_EACH_ROW = {aten.linear.default, aten.layer_norm.default, aten.add.Tensor, aten.mul.Tensor, aten.to.dtype}
"""Operators that compute each row of [rows, size] by itself, if everything else they are given is constant."""
