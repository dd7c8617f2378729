"""A trained network as ONNX graphs: one that encodes sentences, one that takes a step of the decoder.

Names at the border, all float32 unless said otherwise; S sentences, T source positions, R rows (open hypotheses):

    encoder     in   source [T, S] and lengths [S] (int64)
                out  memory.* (dimension 0 is the sentence), state.* (dimension 0 is the sentence: a row each)
    decoder     in   tokens [R]: the symbol that each row reads; parents [R]: the row of the state that it continues
                     sentences [R]: the place of its sentence in the memory
                     grid [S, W]: the rows of each sentence, padded with any; places [R]: where in the grid, flattened,
                     each row stands (all int64); k [1] (int64)
                     memory.*, state.*
                out  log_probs [R, vocabulary]; end [R], best [R, k] and best_tokens [R, k] (int64) as in
                     `nmt.search.engine.Best`; attention [R, T]; next.*: the state after the step

Only what the network needs is an input. The memory is never copied for a row: attention brings the queries into the
grid, [S, W, size], and takes one product a sentence.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from nmt.errors import TrainingError
from nmt.export.onnx_graph import BOOL, FLOAT, INT8, INT64, Graph
from nmt.export.tracing import trace, values
from nmt.network.attention import AdditiveAttention, DotAttention, GeneralAttention, MultiHeadAttention
from nmt.network.language_model import LanguageModel
from nmt.network.layers import BatchNormalization, Connection, Layer, LayerNormalization, Unrolled
from nmt.network.model import TranslationModel
from nmt.text.vocabulary import END, SPECIAL_PIECES

Floats = npt.NDArray[np.float32]
TRANSCRIBED = (DotAttention, GeneralAttention, AdditiveAttention, MultiHeadAttention)
"""The attentions whose equations `DecoderGraph` has. Subclasses with other equations are refused."""
State = list[str]
"""Tensors of a layer's state, in the order of its cell's `state_names`."""


# Layers -------------------------------------------------------------------------------------------------------------


def layer_position(graph: Graph, layer: Layer, projected: str, state: State) -> State:
    """One position of a layer, traced from torch: its cells one after the other, and zoneout's mean.

    projected: W_ih x + input_bias(), [rows, gates * hidden]
    """
    loop, size = Unrolled(layer, None, 1), layer.hidden_size
    inputs = [(projected, (2, layer.cell.gates * size)), *((name, (2, size)) for name in state)]
    return trace(graph, lambda first, *rest: loop.advance(0, first, rest), inputs)


def input_weights(layer: Layer, constant: int) -> tuple[Floats, Floats, Floats]:
    """The input weights of a layer's columns that vary, their bias, and the weights of its constant input.

    Batch normalisation is an affine map outside training and enters the weights.

        constant: columns at the end that stand for an input that is the same at all positions
    """
    assert layer.cell.weight_ih is not None
    weight, bias = values(layer.cell.weight_ih), values(layer.cell.input_bias())
    varying, fixed = weight[:, : weight.shape[1] - constant], weight[:, weight.shape[1] - constant :]
    if isinstance(layer.normalization, BatchNormalization):
        norm = layer.normalization
        assert norm.running_mean is not None and norm.running_var is not None
        gain = values(norm.weight) / np.sqrt(values(norm.running_var) + np.float32(norm.eps))
        varying, bias = varying * gain[:, None], bias + values(norm.bias) - values(norm.running_mean) * gain
    return varying, bias, fixed


def projection(graph: Graph, layer: Layer, inputs: str, constant: int = 0, fixed: str | None = None) -> str:
    """Inputs times weights, normalised, with bias: [..., gates * hidden].

    fixed: the constant input's product, [..., gates * hidden]
    """
    weight, bias, _ = input_weights(layer, constant)
    product = graph.product(inputs, weight)
    if isinstance(layer.normalization, LayerNormalization):
        norm = layer.normalization
        product = graph.op(
            "LayerNormalization",
            product,
            graph.constant(values(norm.weight)),
            graph.constant(values(norm.bias)),
            axis=-1,
            epsilon=norm.eps,
        )
    return graph.total(product, graph.constant(bias), fixed)


def fused_layer(graph: Graph, layers: Sequence[Layer], inputs: str, lengths: str) -> tuple[str, State]:
    """A layer in one direction or both by ONNX's operator.

    Returns: outputs [length, batch, directions * hidden]; the final state, [batch, directions * hidden] each
    """
    cell = layers[0].cell
    operator = cell.onnx_operator
    assert operator is not None
    size, both = cell.hidden_size, len(layers)

    def gates(array: Floats) -> Floats:
        return array.reshape(cell.gates, size, -1)[list(operator.gates)].reshape(cell.gates * size, -1)

    weights, recurrent, biases, peepholes = [], [], [], []
    for layer in layers:
        weight, bias, _ = input_weights(layer, 0)
        inner = layer.cell.recurrent_bias()
        weights.append(gates(weight))
        recurrent.append(gates(values(layer.cell.weight_hh)))
        biases.append(
            np.concatenate((gates(bias)[:, 0], gates(np.zeros_like(bias) if inner is None else values(inner))[:, 0]))
        )
        if (peephole := layer.cell.peepholes()) is not None:
            peepholes.append(values(peephole)[[0, 2, 1]].reshape(-1))  # ONNX has them in the order i, o, f
    optional = ["", "", graph.constant(peepholes)] if peepholes else []
    outputs, *finals = graph.ops(
        operator.name,
        1 + len(cell.state_names),
        inputs,
        graph.constant(weights),
        graph.constant(recurrent),
        graph.constant(biases),
        graph.op("Cast", lengths, to=6),  # int32
        *optional,
        hidden_size=size,
        direction="bidirectional" if both == 2 else "forward",
        **_both_directions(operator.attributes, both),
    )
    if cell.bounded:
        graph.bounded.update((outputs, finals[0]))
    # [length, directions, batch, size] -> [length, batch, directions * size]
    joined = graph.op("Transpose", outputs, perm=[0, 2, 1, 3])
    joined = graph.op("Reshape", joined, graph.integers_of(0, 0, both * size))
    ends = [graph.op("Transpose", final, perm=[1, 0, 2]) for final in finals]
    return joined, [graph.op("Reshape", end, graph.integers_of(-1, both * size)) for end in ends]


def _both_directions(attributes: dict[str, Any], directions: int) -> dict[str, Any]:
    """Attributes with a list entry for each direction."""
    return {name: value * directions if isinstance(value, list) else value for name, value in attributes.items()}


def looped_layer(graph: Graph, layer: Layer, inputs: str, zeros: str, valid: str) -> tuple[str, State]:
    """A layer in one direction, position by position.

        zeros: [batch, hidden]
        valid: [length, batch, 1], whether a position is real; the state stays as it is where it is not

    Returns: outputs [length, batch, hidden]; the state after each sentence's last position
    """
    projected = projection(graph, layer, inputs)
    names, size = layer.state_names, layer.hidden_size
    bounded = layer.cell.bounded
    with graph.body() as body:
        state = [graph.input(f"{projected}_{name}", FLOAT, ["batch", size]) for name in names]
        position = graph.input(f"{projected}_inputs", FLOAT, ["batch", layer.cell.gates * size])
        real = graph.input(f"{projected}_valid", BOOL, ["batch", 1])
        if bounded:
            graph.bounded.add(state[0])
        after = layer_position(graph, layer, position, state)
        after = [graph.op("Where", real, new, old) for new, old in zip(after, state, strict=True)]
        for name, tensor in zip(names, after, strict=True):
            graph.output(f"{projected}_next_{name}", tensor, FLOAT, ["batch", size])
        graph.output(f"{projected}_output", after[0], FLOAT, ["batch", size])
    *finals, outputs = graph.ops(
        "Scan", 1 + len(names), *[zeros] * len(names), projected, valid, body=body.graph(), num_scan_inputs=2
    )
    if bounded:
        graph.bounded.update((outputs, finals[0]))
    return outputs, finals


def connect(graph: Graph, connection: Connection, inputs: str, outputs: str) -> str:
    """The connection that skips a layer, traced from torch."""
    if connection.kind == "none":
        return outputs
    shape = (2, 1 if connection.gate is None else connection.gate.in_features)
    return trace(graph, connection, [(inputs, shape), (outputs, shape)])[0]


# The encoder --------------------------------------------------------------------------------------------------------


def embed(graph: Graph, model: TranslationModel | LanguageModel, embedding: nn.Embedding, ids: str) -> str:
    """What the layers read for ids of any shape: [..., embedding size]."""
    return graph.lookup(values(embedding.weight), ids, model.embedding_scale)


def encoder_graph(model: TranslationModel, integers: bool) -> Graph:
    """From source ids to the memory and the decoder's initial state."""
    graph, config, decoder = Graph("encoder", integers), model.config, model.decoder
    source = graph.input("source", INT64, ["source_length", "sentences"])
    lengths = graph.input("lengths", INT64, ["sentences"])

    def reverse(tensor: str) -> str:
        """Each sentence from its last position to its first, padding left behind it."""
        return graph.op("ReverseSequence", tensor, lengths, time_axis=0, batch_axis=1)

    scalar = graph.op("Squeeze", graph.op("Shape", source, start=0, end=1))
    positions = graph.op("Range", graph.constant(0, np.int64), scalar, graph.constant(1, np.int64))
    valid = graph.op("Less", positions, graph.op("Unsqueeze", lengths, graph.integers_of(-1)))  # [sentences, length]
    below = embed(graph, model, model.source_embedding, reverse(source) if config.reverse_source else source)
    states, finals = _encode(graph, model, below, lengths, valid, reverse)
    if config.reverse_source:
        states = reverse(states)
    context = finals[-1][0]
    if model.decoder.attention is not None:
        _remember(graph, model, states, valid)
    for depth, layer in enumerate(decoder.layers):
        if config.context_input == "all" or (config.context_input == "first" and depth == 0):
            fixed = input_weights(layer, config.hidden_size)[2]
            graph.output(f"memory.constant_{depth}", graph.product(context, fixed), FLOAT, ["sentences", len(fixed)])
    if config.context_input == "all":
        assert decoder.readout is not None
        weight = values(decoder.readout.weight)[:, -config.hidden_size :]
        graph.output("memory.constant_readout", graph.product(context, weight), FLOAT, ["sentences", len(weight)])
    first = max(0, len(finals) - len(decoder.layers))
    for depth, layer in enumerate(decoder.layers):
        start = finals[min(first + depth, len(finals) - 1)]
        for name, tensor in zip(layer.state_names, start, strict=True):
            graph.output(f"state.{depth}.{name}", tensor, FLOAT, ["sentences", config.hidden_size])
    _zero_states(graph, model, lengths, scalar)
    return graph


def _zero_states(graph: Graph, model: TranslationModel, lengths: str, source_length: str) -> None:
    """What is fed back and what was covered, before the first position."""
    decoder, sentences = model.decoder, graph.op("Shape", lengths)
    if decoder.feeding == "luong":
        shape = graph.op("Concat", sentences, graph.integers_of(decoder.readout_size), axis=0)
        feed = graph.op("ConstantOfShape", shape)
        graph.output("state.feed", feed, FLOAT, ["sentences", decoder.readout_size])
    if decoder.attention is not None and decoder.attention.coverage is not None:
        heads = graph.integers_of(decoder.attention.heads)
        length = graph.op("Unsqueeze", source_length, graph.integers_of(0))
        covered = graph.op("ConstantOfShape", graph.op("Concat", sentences, heads, length, axis=0))
        graph.output("state.coverage", covered, FLOAT, ["sentences", decoder.attention.heads, "source_length"])


def _encode(
    graph: Graph, model: TranslationModel, below: str, lengths: str, valid: str, reverse: Callable[[str], str]
) -> tuple[str, list[State]]:
    """The layers of the encoder: the top layer's outputs [length, batch, hidden], each layer's final state."""
    encoder, finals = model.encoder, list[State]()
    for depth, layer in enumerate(encoder.forward_layers):
        directions = [layer] + ([] if encoder.backward_layers is None else [encoder.backward_layers.at(depth)])
        plain = not layer.transitions and not layer.zoneout
        if plain and layer.cell.onnx_operator and not isinstance(layer.normalization, LayerNormalization):
            outputs, final = fused_layer(graph, directions, below, lengths)
        else:
            shape = graph.op("Concat", graph.op("Shape", lengths), graph.integers_of(layer.hidden_size), axis=0)
            zeros = graph.op("ConstantOfShape", shape)
            real = graph.op("Unsqueeze", graph.op("Transpose", valid, perm=[1, 0]), graph.integers_of(-1))
            outputs, final = looped_layer(graph, layer, below, zeros, real)
            for backward in directions[1:]:
                mirrored, last = looped_layer(graph, backward, reverse(below), zeros, real)
                outputs = graph.op("Concat", outputs, reverse(mirrored), axis=-1)
                final = [graph.op("Concat", *both, axis=-1) for both in zip(final, last, strict=True)]
        if depth > 0:
            connection = encoder.connections[depth - 1]
            assert isinstance(connection, Connection)
            outputs = connect(graph, connection, below, outputs)
            final = [connect(graph, connection, finals[-1][0], final[0]), *final[1:]]
        below = outputs
        finals.append(final)
    return below, finals


def _remember(graph: Graph, model: TranslationModel, states: str, valid: str) -> None:
    """What attention keeps: keys (transposed where queries are multiplied with them), values, mask."""
    attention, hidden = model.decoder.attention, model.config.hidden_size
    assert attention is not None
    kept = graph.op("Transpose", states, perm=[1, 0, 2])
    keys = kept if attention.key is None else graph.product(kept, values(attention.key.weight))
    shape: list[str | int] = ["sentences", "source_length", hidden]
    if attention.value is not None:
        heads, size = attention.heads, hidden // attention.heads
        kept = graph.product(kept, values(attention.value.weight))
        split = graph.integers_of(0, 0, heads, size)
        kept = graph.op("Transpose", graph.op("Reshape", kept, split), perm=[0, 2, 1, 3])
        keys = graph.op("Transpose", graph.op("Reshape", keys, split), perm=[0, 2, 3, 1])
        graph.output("memory.keys", keys, FLOAT, ["sentences", heads, size, "source_length"])
        shape = ["sentences", heads, "source_length", size]
    elif attention.score is not None:
        graph.output("memory.keys", keys, FLOAT, shape)
    else:
        keys = graph.op("Transpose", keys, perm=[0, 2, 1])
        graph.output("memory.keys", keys, FLOAT, ["sentences", hidden, "source_length"])
    graph.output("memory.values", kept, FLOAT, shape)
    mask = graph.op("Where", valid, graph.constant(0.0), graph.constant(-np.inf))
    graph.output("memory.mask", mask, FLOAT, ["sentences", "source_length"])


# A step of the decoder ----------------------------------------------------------------------------------------------


class DecoderGraph:
    """One position of every row; `output` says what comes out.

        table: look up the first layer's product of embedding and weights, instead of taking it

    With `by_piece` the output layer is stored as the rows of the embeddings, which are the same bytes, and turned when
    the graph is read.

    rows        log_probs: whole rows
    best        end, best, best_tokens
    shortlist   likewise, but the output layer has the pieces `candidates` [U] (int64) alone, by `output_weight`
                [readout, U] (bytes in integers, with `output_scale` [U]) and `output_bias` [U], of which the row of
                sentence s may use those with `allowed` [s, U] (0 or -inf); all may use column `always` [1] (int64)
    """

    def __init__(
        self, model: TranslationModel | LanguageModel, output: str, integers: bool, table: bool = False
    ) -> None:
        self.graph, self.model, self.output = Graph(output, integers), model, output
        self.config, self.decoder = model.config, model.decoder
        graph, config = self.graph, model.config
        if self.decoder.attention is not None and type(self.decoder.attention) not in TRANSCRIBED:
            raise TrainingError(f"export does not know the attention `{config.attention}`; add it to {__name__}")
        normalization = self.decoder.layers.at(0).normalization
        self.table = table and (not isinstance(normalization, LayerNormalization) or config.input_feeding == "none")
        tied = model.output_weight is model.target_embedding.weight
        # Where a table stands for the embeddings, size is not what matters, and a graph is read faster without turning.
        self.by_piece = integers and tied and not self.table
        self.tokens = graph.input("tokens", INT64, ["rows"])
        self.parents = graph.input("parents", INT64, ["rows"])
        if config.context_input != "none" or output == "shortlist":
            self.sentences = graph.input("sentences", INT64, ["rows"])
        if config.attention != "none":
            self.grid = graph.input("grid", INT64, ["sentences", "width"])
            self.places = graph.input("places", INT64, ["rows"])
        self.states = [self._layer_state(depth) for depth in range(len(self.decoder.layers))]
        readout, weights = self._run()
        if weights is not None:
            graph.output("attention", weights, FLOAT, ["rows", "source_length"])
        for depth, (layer, state) in enumerate(zip(self.decoder.layers, self.states, strict=True)):
            for name, tensor in zip(layer.state_names, state, strict=True):
                graph.output(f"next.{depth}.{name}", tensor, FLOAT, ["rows", config.hidden_size])
        self._put_out(readout)

    def _state(self, name: str, shape: Sequence[str | int]) -> str:
        """A tensor of the state, in the order of the rows."""
        given = self.graph.input(f"state.{name}", FLOAT, ["rows_before", *shape])
        return self.graph.op("Gather", given, self.parents, axis=0)

    def _layer_state(self, depth: int) -> State:
        layer = self.decoder.layers.at(depth)
        state = [self._state(f"{depth}.{name}", [layer.hidden_size]) for name in layer.state_names]
        if layer.cell.bounded and self.config.connections == "none":  # else it may start from a sum
            self.graph.bounded.add(state[0])
        return state

    def _constant(self, name: str, size: int) -> str:
        """The constant input's product for each row."""
        given = self.graph.input(f"memory.constant_{name}", FLOAT, ["sentences", size])
        return self.graph.op("Gather", given, self.sentences, axis=0)

    def _step(self, depth: int, reads: Sequence[str]) -> str:
        """Run a layer; returns its output."""
        graph, layer, hidden = self.graph, self.decoder.layers.at(depth), self.config.hidden_size
        inputs = reads[0] if len(reads) == 1 else graph.op("Concat", *reads, axis=-1)
        sees = self.config.context_input == "all" or (self.config.context_input == "first" and depth == 0)
        fixed = self._constant(str(depth), layer.cell.gates * hidden) if sees else None
        if depth == 0 and self.table:
            weight, bias, _ = input_weights(layer, hidden if sees else 0)
            size = self.config.embedding_size
            embeddings = values(self.model.target_embedding.weight) * np.float32(self.model.embedding_scale)
            products: Floats = np.matmul(embeddings, weight[:, :size].T, dtype=np.float32)
            if isinstance(layer.normalization, LayerNormalization):
                products = values(layer.normalization(torch.from_numpy(products)))
            looked_up = graph.byte_rows(products + bias, self.tokens)
            others = graph.product(reads[1], weight[:, size:]) if len(reads) > 1 else None
            projected = graph.total(looked_up, others, fixed)
        else:
            projected = projection(graph, layer, inputs, hidden if sees else 0, fixed)
        self.states[depth] = layer_position(graph, layer, projected, self.states[depth])
        return self.states[depth][0]

    def _run(self) -> tuple[str, str | None]:
        """All layers; returns the readout and the attention weights."""
        graph, decoder, feeding = self.graph, self.decoder, self.decoder.feeding
        embedded = embed(graph, self.model, self.model.target_embedding, self.tokens)
        answer, weights, reads = None, None, [embedded]
        if feeding == "luong":
            reads.append(self._state("feed", [decoder.readout_size]))
            graph.bounded.add(reads[1])
        elif feeding == "bahdanau":
            answer, weights = self._attend(self.states[0][0])
            reads.append(answer)
        below = self._step(0, reads)
        if feeding == "none" and decoder.attention is not None:
            answer, weights = self._attend(below)
        for depth in range(1, len(decoder.layers)):
            above = self._step(depth, [below] if answer is None else [below, answer])
            connection = decoder.connections[depth - 1]
            assert isinstance(connection, Connection)
            below = connect(graph, connection, below, above)
        if feeding == "luong":
            answer, weights = self._attend(below)
        readout = self._read_out(below, answer)
        if feeding == "luong":
            graph.output("next.feed", readout, FLOAT, ["rows", decoder.readout_size])
        return readout, weights

    def _read_out(self, below: str, answer: str | None) -> str:
        """tanh(W_r [s; a; c])."""
        graph, decoder = self.graph, self.decoder
        if decoder.readout is None:
            return below
        weight, bias = values(decoder.readout.weight), values(decoder.readout.bias)
        reads = below if answer is None else graph.op("Concat", below, answer, axis=-1)
        if self.config.context_input == "all":
            varying = weight[:, : -self.config.hidden_size]
            readout = graph.total(graph.product(reads, varying, bias), self._constant("readout", len(weight)))
        else:
            readout = graph.product(reads, weight, bias)
        return readout if decoder.attention is None else graph.op("Tanh", readout)

    def _attend(self, query: str) -> tuple[str, str]:
        """Answer [rows, size] and weights [rows, source_length] of the attention; counts the coverage.

        In the grid, a head is a dimension of its own only with `multi_head`: the comments give shapes without it.
        """
        graph, attention, hidden = self.graph, self.decoder.attention, self.config.hidden_size
        assert attention is not None
        several, heads = attention.value is not None, attention.heads
        size = hidden // heads
        if attention.query is not None:
            bias = None if attention.query.bias is None else values(attention.query.bias)
            query = graph.product(query, values(attention.query.weight), bias)
        if several:
            query = graph.op("Mul", query, graph.constant(1 / math.sqrt(size)))
        queries = graph.op("Gather", query, self.grid, axis=0)  # [sentences, width, hidden]
        if several:
            queries = graph.op("Reshape", queries, graph.integers_of(0, 0, heads, size))
            queries = graph.op("Transpose", queries, perm=[0, 2, 1, 3])
        covered = self._covered(heads) if attention.coverage is not None else None
        scores = self._scores(queries, covered)
        mask = graph.input("memory.mask", FLOAT, ["sentences", "source_length"])
        mask = graph.op("Unsqueeze", mask, graph.integers_of(*((1, 2) if several else (1,))))
        weights = graph.op("Softmax", graph.total(scores, mask), axis=-1)  # [sentences, width, source_length]
        split: list[str | int] = (
            ["sentences", heads, "source_length", size] if several else ["sentences", "source_length", hidden]
        )
        answers = graph.op("MatMul", weights, graph.input("memory.values", FLOAT, split))
        by_row = weights
        if several:
            answers = graph.op("Transpose", answers, perm=[0, 2, 1, 3])
            by_row = graph.op("Transpose", weights, perm=[0, 2, 1, 3])
        answer = self._rows(answers, hidden)
        if self.decoder.layers.at(0).cell.bounded and self.config.connections == "none" and not several:
            graph.bounded.add(answer)  # it is a mean of the encoder's outputs
        if attention.output is not None:
            answer = graph.product(answer, values(attention.output.weight))
        each = self._rows(by_row, heads, -1) if several else self._rows(by_row, -1)
        if covered is not None:
            before = self.coverage
            every = each if several else graph.op("Unsqueeze", each, graph.integers_of(1))
            after = graph.total(before, every)
            graph.output("next.coverage", after, FLOAT, ["rows", heads, "source_length"])
        mean = graph.op("ReduceMean", each, graph.integers_of(1), keepdims=0) if several else each
        return answer, mean

    def _rows(self, tensor: str, *shape: int) -> str:
        """[sentences, width, ...] -> [rows, *shape]."""
        graph = self.graph
        if -1 in shape:  # only one dimension may be found by Reshape: the grid is flattened by its own length
            length = graph.op("Shape", tensor, start=-1)
            flat = graph.op("Concat", graph.integers_of(-1, *shape[:-1]), length, axis=0)
        else:
            flat = graph.integers_of(-1, *shape)
        return graph.op("Gather", graph.op("Reshape", tensor, flat), self.places, axis=0)

    def _covered(self, heads: int) -> str:
        """The coverage in the grid: [sentences, width, source_length], or with heads before the width."""
        graph = self.graph
        self.coverage = self._state("coverage", [heads, "source_length"])
        covered = graph.op("Gather", self.coverage, self.grid, axis=0)  # [sentences, width, heads, source_length]
        if self.config.attention == "multi_head":
            return graph.op("Transpose", covered, perm=[0, 2, 1, 3])
        return graph.op("Squeeze", covered, graph.integers_of(2))

    def _scores(self, queries: str, covered: str | None) -> str:
        """[sentences, width, source_length]: how well each query fits each position."""
        graph, attention, hidden = self.graph, self.decoder.attention, self.config.hidden_size
        assert attention is not None
        several, size = attention.value is not None, hidden // attention.heads
        if attention.score is not None:
            keys = graph.input("memory.keys", FLOAT, ["sentences", "source_length", hidden])
            keys = graph.op("Unsqueeze", keys, graph.integers_of(1))
            if covered is not None and attention.coverage is not None:
                seen = graph.op("Unsqueeze", covered, graph.integers_of(-1))
                keys = graph.total(keys, graph.op("Mul", seen, graph.constant(values(attention.coverage)[0])))
            compared = graph.op("Tanh", graph.total(graph.op("Unsqueeze", queries, graph.integers_of(2)), keys))
            scores = graph.op("MatMul", compared, graph.constant(values(attention.score).T))
            return graph.op("Squeeze", scores, graph.integers_of(-1))
        split: list[str | int] = ["sentences", attention.heads, size] if several else ["sentences", hidden]
        keys = graph.input("memory.keys", FLOAT, [*split, "source_length"])
        scores = graph.op("MatMul", queries, keys)
        if covered is not None and attention.coverage is not None:  # q (k + C w) = q k + C (q w)
            weight = values(attention.coverage)
            column = graph.constant(weight[:, :, None] if several else weight.T)
            scores = graph.total(scores, graph.op("Mul", covered, graph.op("MatMul", queries, column)))
        return scores

    def _put_out(self, readout: str) -> None:
        """The output layer. Special symbols are taken apart from the pieces, among which the best are sought."""
        graph, model = self.graph, self.model
        weight, bias = values(model.output_weight), values(model.output_bias)
        special = graph.product(readout, weight[:SPECIAL_PIECES], bias[:SPECIAL_PIECES])
        if self.output == "shortlist":
            logits = self._shortlisted(readout, weight.shape[1])
        elif self.by_piece:
            logits = graph.product_with_rows(readout, weight, SPECIAL_PIECES, bias[SPECIAL_PIECES:])
        else:
            logits = graph.product(readout, weight[SPECIAL_PIECES:], bias[SPECIAL_PIECES:])
        if self.output == "rows":
            log_probs = graph.op("LogSoftmax", graph.op("Concat", special, logits, axis=-1), axis=-1)
            graph.output("log_probs", log_probs, FLOAT, ["rows", len(weight)])
            return
        # First the pieces alone, then all of them together beside each special symbol: [rows, 1 + special symbols]
        k = graph.input("k", INT64, [1])
        among = graph.op("LogSoftmax", logits, axis=-1)
        best, columns = graph.ops("TopK", 2, among, k, axis=-1)
        first = graph.input("always", INT64, [1]) if self.output == "shortlist" else graph.integers_of(0)
        of_pieces = graph.op("Sub", *(graph.op("Gather", each, first, axis=-1) for each in (logits, among)))
        beside = graph.op("LogSoftmax", graph.op("Concat", of_pieces, special, axis=-1), axis=-1)
        end = graph.op("Gather", beside, graph.constant(1 + END, np.int64), axis=-1)
        graph.output("end", end, FLOAT, ["rows"])
        graph.output("best", graph.op("Add", best, graph.columns(beside, 0, 1)), FLOAT, ["rows", "k"])
        if self.output == "best":
            tokens = graph.op("Add", columns, graph.constant(SPECIAL_PIECES, np.int64))
        else:
            tokens = graph.op("Gather", self.candidates, columns)
        graph.output("best_tokens", tokens, INT64, ["rows", "k"])

    def _shortlisted(self, readout: str, size: int) -> str:
        """Logits of the candidates, -inf for those that are not on the list of a row's sentence."""
        graph = self.graph
        self.candidates = graph.input("candidates", INT64, ["candidates"])
        bias = graph.input("output_bias", FLOAT, ["candidates"])
        if graph.integers:
            weight = graph.input("output_weight", INT8, [size, "candidates"])
            scale = graph.input("output_scale", FLOAT, ["candidates"])
            logits = graph.integer_product(readout, weight, scale, bias)
        else:
            weight = graph.input("output_weight", FLOAT, [size, "candidates"])
            logits = graph.op("Add", graph.op("MatMul", readout, weight), bias)
        allowed = graph.input("allowed", FLOAT, ["sentences", "candidates"])
        return graph.total(logits, graph.op("Gather", allowed, self.sentences, axis=0))
