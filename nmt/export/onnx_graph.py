"""Writes ONNX graphs node by node, with matrix products in float or in 8-bit integers.

The graphs run in ONNX Runtime; integer products use operators of its own (`com.microsoft`).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 20
IR_VERSION = 10
FLOAT, INT64, INT8, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT8, TensorProto.BOOL

Array = npt.NDArray[Any]

SQUASHING = ("Tanh", "Sigmoid")  # operators whose outputs lie in [-1, 1]
KEEPING: dict[str, int | None] = {
    **dict.fromkeys(("Concat", "Mul"), None),
    **dict.fromkeys(("Flatten", "Gather", "ReduceMean", "ReverseSequence", "Reshape", "Slice", "Split"), 1),
    **dict.fromkeys(("Squeeze", "Transpose", "Unsqueeze"), 1),
}
"""Operators whose outputs lie in [-1, 1] if that many of their first inputs (None: all) do."""


class Graph:
    """An ONNX graph under construction, maybe with products in 8-bit integers. Tensors are known by their names."""

    def __init__(self, name: str, integers: bool = False) -> None:
        self.name, self.integers = name, integers
        self.nodes: list[onnx.NodeProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self.constants: dict[str, Array] = {}
        self._outside: dict[str, str] = {}  # name of an output -> its tensor
        self._known: dict[str, str] = {}  # digest of a constant -> its name
        self.bounded: set[str] = set()  # tensors whose numbers are known to lie in [-1, 1]
        self._shares: set[str] = set()  # tensors whose last dimension is of numbers from 0 to 1 that sum to 1
        self._quantized: dict[str, tuple[str, str | None]] = {}  # tensor -> its integers and the scale of each row
        self._count = 0

    def input(self, name: str, kind: int, shape: Sequence[str | int]) -> str:
        """Declare an input; a dimension is a number or a name."""
        self.inputs.append(helper.make_tensor_value_info(name, kind, list(shape)))
        return name

    def output(self, name: str, tensor: str, kind: int, shape: Sequence[str | int]) -> None:
        """Declare an output: the name under which callers get a tensor."""
        self._outside[name] = tensor
        self.outputs.append(helper.make_tensor_value_info(name, kind, list(shape)))

    def constant(self, values: npt.ArrayLike, dtype: npt.DTypeLike = np.float32) -> str:
        """A constant; equal ones are stored once."""
        array = np.ascontiguousarray(np.asarray(values, dtype)).reshape(np.shape(values))
        digest = hashlib.sha256(repr((array.shape, array.dtype.str)).encode() + array.tobytes()).hexdigest()
        if digest not in self._known:
            self._known[digest] = f"constant_{len(self.constants)}"
            self.constants[self._known[digest]] = array
        return self._known[digest]

    def quantize(self, weight: Array) -> tuple[Array, Array]:
        return quantize_rows(weight)

    def integers_of(self, *values: int) -> str:
        """A constant list of whole numbers, such as axes and shapes."""
        return self.constant(values, np.int64)

    def op(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        return self.ops(kind, 1, *inputs, domain=domain, **attributes)[0]

    def ops(self, kind: str, count: int, *inputs: str, domain: str = "", **attributes: Any) -> list[str]:
        """Add a node with several outputs."""
        outputs = [f"{kind}_{self._count + number}" for number in range(count)]
        self._count += count
        self.nodes.append(helper.make_node(kind, list(inputs), outputs, domain=domain, **attributes))
        if kind == "Softmax" and attributes.get("axis") == -1:
            self._shares.update(outputs)
        mean = kind == "MatMul" and inputs[0] in self._shares and inputs[1] in self.bounded
        kept = kind in KEEPING and all(each in self.bounded for each in inputs[: KEEPING[kind]])
        if kind in SQUASHING or kept or mean:
            self.bounded.update(outputs)
        return outputs

    @contextmanager
    def body(self) -> Iterator[onnx.GraphProto]:
        """A loop's body: nodes added inside belong to it, with inputs and outputs in the order of the loop operator."""
        outside, body = (self.nodes, self.inputs, self.outputs, self._quantized), onnx.GraphProto()
        self.nodes, self.inputs, self.outputs, self._quantized = [], [], [], {}
        try:
            yield body
            self._name_outputs(self.nodes, [value.name for value in self.outputs])
            body.CopyFrom(helper.make_graph(self.nodes, "body", self.inputs, self.outputs))
        finally:
            self.nodes, self.inputs, self.outputs, self._quantized = outside

    def total(self, *tensors: str | None) -> str:
        """The sum of the tensors that are not None."""
        present = [tensor for tensor in tensors if tensor is not None]
        total = present[0]
        for tensor in present[1:]:
            total = self.op("Add", total, tensor)
        return total

    def columns(self, tensor: str, start: int, end: int) -> str:
        """Part of the last dimension."""
        return self.op("Slice", tensor, *map(self.integers_of, (start, end, -1)))

    def product(self, inputs: str, weight: Array, bias: Array | None = None) -> str:
        """x W^T + b for x [..., in], W [out, in], b [out]; in integers, see `quantize_rows` and `quantized`."""
        if self.integers:
            whole, scale = self.quantize(weight)
            factors = self.constant(whole.T, np.int8), self.constant(scale)
            return self.integer_product(inputs, *factors, None if bias is None else self.constant(bias))
        total = self.op("MatMul", inputs, self.constant(weight.T))
        return total if bias is None else self.op("Add", total, self.constant(bias))

    def product_with_rows(self, inputs: str, table: Array, first: int, bias: Array) -> str:
        """As `product`, with the rows of a table of `lookup` from the first on; in integers it is not stored again."""
        whole, scale = self.quantize(table)
        rows = self.op("Slice", self.constant(whole, np.int8), *map(self.integers_of, (first, len(table), 0)))
        # the runtime takes nodes of constants once, when it reads the graph
        turned = self.op("Transpose", rows, perm=[1, 0])
        return self.integer_product(inputs, turned, self.constant(scale[first:]), self.constant(bias))

    def integer_product(self, inputs: str, whole: str, scale: str, bias: str | None) -> str:
        """x (whole * scale) + b for quantised weights [in, out] with the scale of each column [out]."""
        rows, row_scale = self.quantized(inputs)
        fixed = row_scale is None
        product = self.op(
            "MatMulIntegerToFloat",
            rows,
            whole,
            self.constant(1 / 127 if fixed else 1.0),
            scale,
            self.constant(ZERO, np.uint8),
            *(["", bias] if fixed and bias is not None else []),
            domain="com.microsoft",
        )
        if row_scale is None:
            return product
        return self.total(self.op("Mul", product, row_scale), bias)

    def integer_products(self, inputs: str, grid: str, whole: str, scale: str) -> str:
        """x[grid] (whole * scale), [S, W, out], for a matrix of quantised weights for each sentence [S, in, out].

        grid: the rows of each sentence, [S, W]; scale: [S, 1, out]
        """
        rows, row_scale = self.quantized(inputs)
        factor = self.constant(1 / 127) if row_scale is None else self.op("Gather", row_scale, grid)
        product = self.op("MatMulInteger", self.op("Gather", rows, grid), whole, self.constant(ZERO, np.uint8))
        return self.op("Mul", self.op("Cast", product, to=FLOAT), self.op("Mul", scale, factor))

    def quantized(self, inputs: str) -> tuple[str, str | None]:
        """Inputs [..., size] as unsigned bytes around `ZERO`, and the scale of each row [..., 1].

        Inputs known to lie in [-1, 1] have the fixed scale 1 / 127 (None). Otherwise every row has a scale of its own,
        its largest magnitude / 127. In both cases the result of a row does not depend on other rows.
        """
        if inputs not in self._quantized:
            zero, scale = self.constant(ZERO, np.uint8), None
            if inputs in self.bounded:
                whole = self.op("QuantizeLinear", inputs, self.constant(1 / 127), zero)
            else:
                largest = self.op("ReduceMax", self.op("Abs", inputs), self.integers_of(-1), keepdims=1)
                scale = self.op("Mul", self.op("Max", largest, self.constant(1e-30)), self.constant(1 / 127))
                whole = self.op("QuantizeLinear", self.op("Div", inputs, scale), self.constant(1.0), zero)
            self._quantized[inputs] = whole, scale
        return self._quantized[inputs]

    def lookup(self, table: Array, ids: str, factor: float = 1.0) -> str:
        """Rows of a table [ids, size], times a factor; as bytes with a scale for each row if products are integers."""
        if not self.integers:
            rows = self.op("Gather", self.constant(table), ids)
            return rows if factor == 1 else self.op("Mul", rows, self.constant(factor))
        whole, scale = self.quantize(table)
        rows = self.op("Cast", self.op("Gather", self.constant(whole, np.int8), ids), to=FLOAT)
        row_scale = self.op("Gather", self.constant(scale[:, None] * np.float32(factor)), ids)
        numbers = self.op("Mul", rows, row_scale)
        shifted = self.op("QuantizeLinear", rows, self.constant(1.0), self.constant(ZERO, np.uint8))
        self._quantized[numbers] = shifted, row_scale
        return numbers

    def _name_outputs(self, nodes: list[onnx.NodeProto], names: Sequence[str]) -> None:
        """Let the nodes behind the outputs have the outputs' names; what cannot be renamed is copied."""
        made = {output for node in nodes for output in node.output}
        renamed: dict[str, str] = {}
        for name in names:
            tensor = self._outside[name]
            if tensor in made and tensor not in renamed:
                renamed[tensor] = name
            else:
                nodes.append(helper.make_node("Identity", [renamed.get(tensor, tensor)], [name]))
        for node in nodes:
            for ends in (node.input, node.output):
                for place, end in enumerate(ends):
                    ends[place] = renamed.get(end, end)

    def byte_rows(self, table: Array, ids: str) -> str:
        """Rows of a table [ids, size], stored as bytes with a scale for each row: [ids', size] for ids [ids']."""
        whole, scale = self.quantize(table)
        rows = self.op("Gather", self.constant(whole, np.int8), ids)
        return self.op("DequantizeLinear", rows, self.op("Gather", self.constant(scale), ids), axis=0)

    def finish(self) -> tuple[list[onnx.NodeProto], set[str]]:
        """The nodes, without those that are of no use, and the names of all tensors that they need."""
        self._name_outputs(self.nodes, [value.name for value in self.outputs])
        needed = {value.name for value in self.outputs}
        nodes = []
        for node in reversed(self.nodes):
            if needed.intersection(node.output):
                nodes.append(node)
                needed.update(node.input)
                for attribute in node.attribute:
                    if attribute.HasField("g"):
                        needed.update(name for inner in attribute.g.node for name in inner.input)
        return nodes[::-1], needed

    def fold_biases(self) -> None:
        """Let layer normalisations add the constants that are added to their results: a pass over the gates less."""
        makers = {node.output[0]: node for node in self.nodes if node.op_type == "LayerNormalization"}
        uses = Counter([*self._outside.values(), *(name for node in self.nodes for name in node.input)])
        for node in [node for node in self.nodes if node.op_type == "Add"]:
            normalized, bias = node.input
            if uses[normalized] == 1 and normalized in makers and bias in self.constants:
                _, scale, *shift = makers[normalized].input
                total = self.constants[bias] + sum(self.constants[each] for each in shift)
                if total.shape == self.constants[scale].shape:
                    makers[normalized].input[2:] = [self.constant(total)]
                    makers[normalized].output[0] = node.output[0]
                    self.nodes.remove(node)

    def model(self, store: WeightStore) -> bytes:
        """The finished model, serialised; its large constants go into the store."""
        nodes, needed = self.finish()
        constants = [store.put(array, name) for name, array in self.constants.items() if name in needed]
        inputs = [value for value in self.inputs if value.name in needed]
        graph = helper.make_graph(nodes, self.name, inputs, self.outputs, constants)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("com.microsoft", 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="nmt")
        serialized: bytes = model.SerializeToString()
        return serialized


class WeightStore:
    """The file of large constants that several graphs share; equal ones are stored once."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.content = bytearray()
        self._known: dict[str, int] = {}

    def put(self, array: Array, name: str) -> onnx.TensorProto:
        if array.nbytes < 1024:
            return numpy_helper.from_array(array, name)
        tensor = onnx.TensorProto(
            name=name,
            dims=array.shape,
            data_type=helper.np_dtype_to_tensor_dtype(array.dtype),
            data_location=onnx.TensorProto.EXTERNAL,
        )
        place = {"location": self.file, "offset": self.offset(array), "length": array.nbytes}
        for key, value in place.items():
            tensor.external_data.add(key=key, value=str(value))
        return tensor

    def offset(self, array: Array) -> int:
        """The offset of an array's bytes in the file; they are added if the file does not have them."""
        content = array.tobytes()
        digest = hashlib.sha256(content).hexdigest()
        if digest not in self._known:
            self.content += bytes(-len(self.content) % ALIGNMENT)
            self._known[digest] = len(self.content)
            self.content += content
        return self._known[digest]


ALIGNMENT: Final = 4096  # bytes; a constant starts at a page of memory, so that it can be used where the file is mapped


ZERO: Final = 128  # the byte that means 0 in quantised inputs
LARGEST: Final = 64
"""Largest magnitude of a quantised weight. Processors without VNNI add pairs of byte products in 16 bits, where
2 * 255 * 64 has room and 2 * 255 * 127 has none: with 64 all processors compute the same."""


def quantize_rows(weight: Array) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """A matrix [out, in] as bytes times a scale for each row: W = bytes * scale[:, None], to the nearest byte."""
    scale = np.maximum(np.abs(weight).max(axis=1), 1e-30) / LARGEST
    return np.rint(weight / scale[:, None]).astype(np.int8), scale.astype(np.float32)
