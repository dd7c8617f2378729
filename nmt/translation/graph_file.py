"""Checks, without the package `onnx`, that an ONNX file is safe to load.

A graph from an unknown source is a program. It may only compute with operators from our own list, on constants in the
file or in `weights.bin` in the same folder, and in one `Scan` over positions. The file is decoded as Protocol Buffers
(https://protobuf.dev/programming-guides/encoding); the field numbers are those of onnx.proto
(https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from nmt.model_files import damaged, read_file

MOST_GRAPH = 1 << 26
"""Maximum bytes of a graph's file; large constants are in `weights.bin`."""
MOST_NODES = 20_000
MOST_ELEMENTS = 1 << 26
"""Maximum number of elements of a tensor whose shape is a constant."""
WEIGHTS = "weights.bin"
STANDARD = """
Abs Add And ArgMax Cast CastLike Ceil Clip Concat Constant ConstantOfShape Cos CumSum DequantizeLinear Div
DynamicQuantizeLinear Einsum Equal Erf Exp Expand Flatten Floor GRU Gather GatherElements GatherND Gelu Gemm
Greater GreaterOrEqual HardSigmoid Identity IsInf IsNaN LSTM LayerNormalization LeakyRelu Less LessOrEqual Log
LogSoftmax MatMul MatMulInteger Max Mean Min Mod Mul Neg Not OneHot Or Pad Pow QuantizeLinear RNN Range
Reciprocal ReduceL2 ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum Relu Reshape
ReverseSequence Round Scan ScatterElements ScatterND Shape Sigmoid Sign Sin Size Slice Softmax Softplus Split
Sqrt Squeeze Sub Sum Tanh Tile TopK Transpose Trilu Unsqueeze Where Xor
"""
OPERATORS = {
    "": set(STANDARD.split()),
    "com.microsoft": {
        *("BiasGelu", "DynamicQuantizeMatMul", "FusedMatMul", "MatMulInteger16", "MatMulIntegerToFloat"),
        *("MatMulNBits", "QuickGelu", "SkipLayerNormalization"),
    },
}
"""Operators by domain; none of them runs without end, reads a file or runs code."""
SHAPED = {"ConstantOfShape", "Expand", "Range", "Reshape", "Tile", "OneHot", "Pad"}
"""Operators whose output size is determined by the values of an input."""
ITEM_SIZES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}
"""Bytes of an element by type."""
INT64 = 7

Field = tuple[int, "int | memoryview"]


def check_graph(path: Path) -> None:
    """Raises UserError unless the file is safe to load."""
    content = memoryview(read_file(path, MOST_GRAPH))
    weights = path.with_name(WEIGHTS)
    reader = _Graph(weights.stat().st_size if weights.is_file() else 0)
    try:
        reader.read_model(content)
    except (ValueError, IndexError, RecursionError) as error:
        raise damaged(path, error if isinstance(error, ValueError) else "it is not an ONNX graph") from None


def _number(data: memoryview, place: int) -> tuple[int, int]:
    """A varint and the position after it."""
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
        shift += 7
        if shift > 63:
            raise ValueError("it is not an ONNX graph")


def _fields(data: memoryview | int) -> Iterator[Field]:
    """Number and value of each field of a message: whole numbers, or bytes."""
    if isinstance(data, int):
        raise ValueError("it is not an ONNX graph")
    place = 0
    while place < len(data):
        key, place = _number(data, place)
        kind = key & 7
        if kind == 0:
            value, place = _number(data, place)
            yield key >> 3, value
            continue
        if kind == 2:
            size, place = _number(data, place)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError("it is not an ONNX graph")
        if place + size > len(data):
            raise ValueError("it ends too early")
        yield key >> 3, data[place : place + size]
        place += size


def _text(value: int | memoryview) -> str:
    if isinstance(value, int):
        raise ValueError("it is not an ONNX graph")
    return bytes(value).decode()


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


class _Graph:
    """Reads the relevant messages of a file, and raises ValueError if it has forbidden content.

    weights: bytes of weights.bin
    """

    def __init__(self, weights: int) -> None:
        self.weights = weights
        self.nodes = 0
        self.elements: dict[str, int] = {}
        """The products of small integer constants, which may be used as shapes."""

    def read_model(self, data: memoryview) -> None:
        graphs = 0
        for number, value in _fields(data):
            if number == 7:
                graphs += 1
                self.read_graph(value)
            elif number in (20, 25):
                raise ValueError("it must have no functions of its own")
        if graphs != 1:
            raise ValueError("it must hold one graph")

    def read_graph(self, data: memoryview | int, depth: int = 0) -> None:
        if depth > 2:
            raise ValueError("its graphs are in too many graphs")
        fields = list(_fields(data))
        for number, value in fields:
            if number == 5:
                self.read_tensor(value)
            elif number == 15:
                raise ValueError("it must have no sparse constants")
        for number, value in fields:
            if number == 1:
                self.read_node(value, depth)

    def read_node(self, data: memoryview | int, depth: int) -> None:
        self.nodes += 1
        if self.nodes > MOST_NODES:
            raise ValueError(f"it has more than {MOST_NODES:,} operators")
        inputs, kind, domain = [], "", ""
        for number, value in _fields(data):
            if number == 1:
                inputs.append(_text(value))
            elif number == 4:
                kind = _text(value)
            elif number == 7:
                domain = _text(value)
            elif number == 5:
                self.read_attribute(value, depth)
        if kind not in OPERATORS.get(domain.replace("ai.onnx", ""), ()):
            raise ValueError(f"its operator {f'{domain}.{kind}'.strip('.')[:60]!r} is not one that exports have")
        if kind in SHAPED and math.prod(self.elements.get(name, 1) for name in inputs[:3]) > MOST_ELEMENTS:
            raise ValueError(f"its operator {kind} makes a tensor of more than {MOST_ELEMENTS:,} numbers")

    def read_attribute(self, data: memoryview | int, depth: int) -> None:
        for number, value in _fields(data):
            if number == 5:
                self.read_tensor(value)
            elif number == 6:
                self.read_graph(value, depth + 1)
            elif number in (10, 11, 21, 22, 23):
                raise ValueError("it has an attribute that exports have not")

    def read_tensor(self, data: memoryview | int) -> None:
        """A constant, whose bytes are all in the file or all in weights.bin."""
        dims: list[int] = []
        kind, name, inside, raw, elsewhere, values = 0, "", 0, None, {}, []
        for number, value in _fields(data):
            if number == 1:
                dims += [value] if isinstance(value, int) else list(_packed(value))
            elif number == 2 and isinstance(value, int):
                kind = value
            elif number == 8:
                name = _text(value)
            elif number == 9 and not isinstance(value, int):
                raw = value
            elif number == 13:
                pair = {field: _text(text) for field, text in _fields(value)}
                elsewhere[pair.get(1, "")] = pair.get(2, "")
            elif number == 14:
                inside = value if isinstance(value, int) else 2
            elif number == 7:
                values += [value] if isinstance(value, int) else list(_packed(value))
        if kind not in ITEM_SIZES or any(dim >= 1 << 31 for dim in dims):
            raise ValueError(f"its constant {name[:60]!r} has a type or a shape that exports have not")
        size = math.prod(dims) * ITEM_SIZES[kind]
        if inside or elsewhere:
            self._check_elsewhere(name, size, elsewhere)
        elif raw is not None and len(raw) != size:
            raise ValueError(f"its constant {name[:60]!r} has {len(raw)} bytes, but its shape needs {size}")
        elif kind == INT64 and math.prod(dims) <= 16:
            if raw is not None:
                values = [int.from_bytes(raw[place : place + 8], "little") for place in range(0, size, 8)]
            self.elements[name] = math.prod(max(1, abs(_signed(value))) for value in values)

    def _check_elsewhere(self, name: str, size: int, elsewhere: dict[str, str]) -> None:
        if elsewhere.get("location") != WEIGHTS:
            raise ValueError(f"its constant {name[:60]!r} is in another file than {WEIGHTS}")
        offset, length = elsewhere.get("offset", "0"), elsewhere.get("length", str(size))
        if not (offset.isdecimal() and length.isdecimal() and len(offset) < 20):
            raise ValueError(f"the place of its constant {name[:60]!r} is no number")
        if int(length) != size or int(offset) + size > self.weights:
            raise ValueError(f"its constant {name[:60]!r} is not inside {WEIGHTS}")


def _packed(data: memoryview) -> Iterator[int]:
    place = 0
    while place < len(data):
        value, place = _number(data, place)
        yield value
