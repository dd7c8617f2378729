"""A trained network as ONNX graphs: one that encodes sentences, one that takes a step of the decoder; or one of labels.

The decoder's step, and what the encoder's states become for it, are traced from torch (`nmt.export.tracing`): this file
has no equation of them. It has the wiring of the encoder, whose layers run by ONNX's own operators or loops, and the
output layer, which chooses the best pieces inside the graph.

Names at the border, all float32 unless said otherwise; S sentences, T source positions, R rows (open hypotheses):

    encoder     in   source [T, S] (int64), or vectors [T, S, size], and lengths [S] (int64)
                out  memory.* and state.*, dimension 0 is the sentence: what `Decoder.search_memory` and
                     `Decoder.initial_state` return, by name
    labels      in   as the encoder
                out  log_probs or numbers [1 or T, S, outputs], of a network without a decoder
    decoder     in   tokens [R]: the symbol that each row reads; parents [R]: the row of the state that it continues
                     grid [S, W], places [R] and sentences [R]: `nmt.network.decoder.Grid`
                     (all int64); k [1] (int64)
                     memory.*, state.*
                out  log_probs [R, vocabulary]; end [R], best [R, k] and best_tokens [R, k] (int64) as in
                     `nmt.search.engine.Best`; attention [R, T]; next.*: the state after the step

Inputs that a network does not need are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from nmt.export.onnx_graph import BOOL, FLOAT, INT8, INT64, Graph
from nmt.export.tracing import LookedUp, record, trace, values, write
from nmt.network.attention import Memory
from nmt.network.decoder import DecoderState, Grid
from nmt.network.encoder_model import EncoderModel
from nmt.network.language_model import LanguageModel
from nmt.network.layers import BatchNormalization, Connection, Layer, LayerNormalization, LayerState, Unrolled
from nmt.network.model import TranslationModel
from nmt.text.vocabulary import END, SPECIAL_PIECES

Floats = npt.NDArray[np.float32]
Shape = list[str | int]  # sizes; the name of a dimension where the size differs from call to call
LayerNames = tuple[str, ...]  # the tensors of a layer's state, in the order of its cell's `state_names`


# Layers of the encoder ----------------------------------------------------------------------------------------------


def input_weights(layer: Layer) -> tuple[Floats, Floats]:
    """The input weights of a layer and their bias, for `fused_layer`: batch normalisation enters both."""
    assert layer.cell.weight_ih is not None
    weight: Tensor = layer.cell.weight_ih
    bias = layer.cell.input_bias()
    if isinstance(layer.normalization, BatchNormalization):
        gain, shift = layer.normalization.running_map()
        weight, bias = weight * gain.unsqueeze(1), bias + shift
    return values(weight), values(bias)


def fused_layer(graph: Graph, layers: Sequence[Layer], inputs: str, lengths: str) -> tuple[str, LayerNames]:
    """A layer in one direction or both by ONNX's operator: outputs and final state, [..., directions * hidden]."""
    cell = layers[0].cell
    operator = cell.onnx_operator
    assert operator is not None
    size, both = cell.hidden_size, len(layers)

    def gates(array: Floats) -> Floats:
        return array.reshape(cell.gates, size, -1)[list(operator.gates)].reshape(cell.gates * size, -1)

    weights, recurrent, biases, peepholes = [], [], [], []
    for layer in layers:
        weight, bias = input_weights(layer)
        inner = layer.cell.recurrent_bias()
        weights.append(gates(weight))
        recurrent.append(gates(values(layer.cell.weight_hh)))
        biases.append(
            np.concatenate((gates(bias)[:, 0], gates(np.zeros_like(bias) if inner is None else values(inner))[:, 0]))
        )
        if (peephole := layer.cell.peepholes()) is not None:
            peepholes.append(values(peephole)[[0, 2, 1]].reshape(-1))  # ONNX has them in the order i, o, f
    optional = ["", "", graph.constant(peepholes)] if peepholes else []
    attributes: dict[str, Any] = {
        name: value * both if isinstance(value, list) else value for name, value in operator.attributes.items()
    }
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
        **attributes,
    )
    if cell.bounded:
        graph.bounded.update((outputs, finals[0]))
    # [length, directions, batch, size] -> [length, batch, directions * size]
    joined = graph.op("Transpose", outputs, perm=[0, 2, 1, 3])
    joined = graph.op("Reshape", joined, graph.integers_of(0, 0, both * size))
    ends = [graph.op("Transpose", final, perm=[1, 0, 2]) for final in finals]
    return joined, tuple(graph.op("Reshape", end, graph.integers_of(-1, both * size)) for end in ends)


def looped_layer(graph: Graph, layer: Layer, inputs: str, zeros: str, valid: str) -> tuple[str, LayerNames]:
    """A layer in one direction, position by position.

        zeros: [batch, hidden]
        valid: [length, batch, 1], whether a position is real; the state stays as it is where it is not

    Returns: outputs [length, batch, hidden]; the state after each sentence's last position
    """
    assert layer.cell.weight_ih is not None
    shape = (2, 2, layer.cell.weight_ih.size(1))
    projected = trace(graph, lambda known: Unrolled(layer, known, len(known)).product, (inputs, shape))
    names, size, loop = layer.state_names, layer.hidden_size, Unrolled(layer, None, 1)
    bounded = layer.cell.bounded
    with graph.body() as body:
        state = [graph.input(f"{projected}_{name}", FLOAT, ["batch", size]) for name in names]
        position = graph.input(f"{projected}_inputs", FLOAT, ["batch", layer.cell.gates * size])
        real = graph.input(f"{projected}_valid", BOOL, ["batch", 1])
        if bounded:
            graph.bounded.add(state[0])
        given = [(position, (2, layer.cell.gates * size)), *((name, (2, size)) for name in state)]
        after = trace(graph, lambda first, *rest: loop.advance(0, first, rest), *given)
        after = [graph.op("Where", real, new, old) for new, old in zip(after, state, strict=True)]
        for name, tensor in zip(names, after, strict=True):
            graph.output(f"{projected}_next_{name}", tensor, FLOAT, ["batch", size])
        graph.output(f"{projected}_output", after[0], FLOAT, ["batch", size])
    *finals, outputs = graph.ops(
        "Scan", 1 + len(names), *[zeros] * len(names), projected, valid, body=body, num_scan_inputs=2
    )
    if bounded:
        graph.bounded.update((outputs, finals[0]))
    return outputs, tuple(finals)


def connect(graph: Graph, connection: Connection, inputs: str, outputs: str) -> str:
    """The connection that skips a layer, traced from torch."""
    if connection.kind == "none":
        return outputs
    shape = (2, 1 if connection.gate is None else connection.gate.in_features)
    result: str = trace(graph, connection, (inputs, shape), (outputs, shape))
    return result


# The encoder --------------------------------------------------------------------------------------------------------


def encoder_graph(model: TranslationModel, integers: bool, make: type[Graph] = Graph) -> Graph:
    """From source ids to the memory and the decoder's initial state."""
    graph, decoder, reversed_ = make("encoder", integers), model.decoder, model.config.reverse_source
    states, finals, valid, reverse = _read_source(graph, model, reversed_)

    def prepare(states: Tensor, real: Tensor, finals: list[LayerState]) -> tuple[Memory, DecoderState]:
        memory = decoder.remember(states, real, finals[-1][0])
        return decoder.search_memory(memory), decoder.initial_state(finals, memory)

    hidden = model.config.hidden_size
    example = [tuple(torch.rand(2, hidden) for _ in final) for final in finals]
    program = record(prepare, torch.rand(3, 2, hidden), torch.ones(2, 3, dtype=torch.bool), example)
    results = write(graph, program, reverse(states) if reversed_ else states, valid, finals)
    for kind, names, shapes in zip(("memory", "state"), results, carried_shapes(model), strict=True):
        for name, tensor in names.items():
            graph.output(f"{kind}.{name}", tensor, FLOAT, ["sentences", *shapes[name]])
    return graph


def label_graph(model: EncoderModel, integers: bool, make: type[Graph] = Graph) -> Graph:
    """From the source to the log-probabilities of labels, or to numbers, [1 or source_length, sentences, outputs]."""
    graph, pooling, hidden = make("labels", integers), model.pooling, model.config.hidden_size
    states, finals, valid, _ = _read_source(graph, model, False)

    def read_out(states: Tensor, real: Tensor, last: Tensor) -> Tensor:
        pooled = states if pooling is None else pooling(states, real.transpose(0, 1), last).unsqueeze(0)
        return model.predict(pooled)

    real = graph.op("Cast", valid, to=FLOAT)
    program = record(read_out, torch.rand(3, 2, hidden), torch.ones(2, 3), torch.rand(2, hidden))
    length = "source_length" if pooling is None else 1
    found = write(graph, program, states, real, finals[-1][0])
    graph.output(
        "numbers" if model.numbers else "log_probs", found, FLOAT, [length, "sentences", len(model.output_bias)]
    )
    return graph


def _read_source(
    graph: Graph, model: TranslationModel | EncoderModel, reversed_: bool
) -> tuple[str, list[LayerNames], str, Callable[[str], str]]:
    """The inputs of a graph, read by the encoder.

    Returns: states [length, sentences, hidden]; each layer's final state; whether each position is real, [sentences,
    length]; a function that turns each sentence around
    """
    linear = model.source_embedding if isinstance(model.source_embedding, nn.Linear) else None
    size: Shape = [] if linear is None else [linear.in_features]
    source = graph.input("source", INT64 if linear is None else FLOAT, ["source_length", "sentences", *size])
    lengths = graph.input("lengths", INT64, ["sentences"])

    def reverse(tensor: str) -> str:
        """Each sentence from its last position to its first, padding left behind it."""
        return graph.op("ReverseSequence", tensor, lengths, time_axis=0, batch_axis=1)

    scalar = graph.op("Squeeze", graph.op("Shape", source, start=0, end=1))
    positions = graph.op("Range", graph.constant(0, np.int64), scalar, graph.constant(1, np.int64))
    valid = graph.op("Less", positions, graph.op("Unsqueeze", lengths, graph.integers_of(-1)))  # [sentences, length]
    embeddings = values(model.source_embedding.weight)
    read = reverse(source) if reversed_ else source
    if linear is None:
        below = graph.lookup(embeddings, read, model.embedding_scale)
    else:
        below = graph.op("MatMul", read, graph.constant(embeddings.T))
        below = graph.op("Add", below, graph.constant(values(linear.bias)))
    return *_encode(graph, model, below, lengths, valid, reverse), valid, reverse


def _encode(
    graph: Graph,
    model: TranslationModel | EncoderModel,
    below: str,
    lengths: str,
    valid: str,
    reverse: Callable[[str], str],
) -> tuple[str, list[LayerNames]]:
    """The layers of the encoder: the top layer's outputs [length, batch, hidden], each layer's final state."""
    encoder, finals = model.encoder, list[LayerNames]()
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
                final = tuple(graph.op("Concat", *both, axis=-1) for both in zip(final, last, strict=True))
        if depth > 0:
            connection = encoder.connections[depth - 1]
            assert isinstance(connection, Connection)
            outputs = connect(graph, connection, below, outputs)
            final = (connect(graph, connection, finals[-1][0], final[0]), *final[1:])
        below = outputs
        finals.append(final)
    return below, finals


@torch.no_grad()
def carried_shapes(model: TranslationModel | LanguageModel) -> tuple[dict[str, Shape], dict[str, Shape]]:
    """Names and shapes, without dimension 0, of memory and state; a size that varies is the source's length."""
    if isinstance(model, LanguageModel):
        return {}, {name: list(tensor.shape[1:]) for name, tensor in model.initial_state(1).items()}
    found = []
    for length in (2, 3):
        source = torch.zeros(length, 1, dtype=torch.long)
        if isinstance(model.source_embedding, nn.Linear):
            source = torch.zeros(length, 1, model.source_embedding.in_features)
        memory, state = model.encode(source, torch.tensor([length]))
        found.append((model.decoder.search_memory(memory), state))
    memory_shapes, state_shapes = (
        {
            name: [
                one if one == other else "source_length"
                for one, other in zip(short[name].shape[1:], long[name].shape[1:], strict=True)
            ]
            for name in short
        }
        for short, long in zip(*found, strict=True)
    )
    return memory_shapes, state_shapes


# A step of the decoder ----------------------------------------------------------------------------------------------


@dataclass
class Step:
    """`Decoder.step`, recorded, to be written into graphs."""

    # Takes embedded tokens, memory, state, and the tensors of a `Grid`; returns the readout, the attention weights in a
    # list that is empty without attention, and the next state.
    program: GraphModule
    memory: dict[str, Shape]
    state: dict[str, Shape]


def record_step(model: TranslationModel | LanguageModel) -> Step:
    memory, state = carried_shapes(model)

    def examples(count: int, shapes: dict[str, Shape]) -> dict[str, Tensor]:
        return {
            name: torch.rand(count, *(5 if isinstance(size, str) else size for size in shape))
            for name, shape in shapes.items()
        }

    def step(
        embedded: Tensor, memory: Memory, state: DecoderState, *grid: Tensor
    ) -> tuple[Tensor, list[Tensor], DecoderState]:
        readout, weights, after = model.decoder.step(embedded, memory, state, Grid(*grid))
        return readout, [] if weights is None else [weights], after

    rows, sentences, width = 4, 3, 2
    grid = [torch.zeros(shape, dtype=torch.long) for shape in ((sentences, width), (rows,), (rows,))]
    embedded = torch.rand(rows, model.config.embedding_size)
    return Step(record(step, embedded, examples(sentences, memory), examples(rows, state), *grid), memory, state)


class DecoderGraph:
    """The graph that takes one step for every row. `output` names its outputs:

        table: look up the first layer's product of embedding and weights, instead of taking it

    With `by_piece` the output layer is stored as the rows of the embeddings, which are the same bytes, and turned when
    the graph is read.

    rows        log_probs: whole rows
    best        end, best, best_tokens
    shortlist   the same as best, but the output layer has only F frequent pieces and O pieces of each sentence:
                frequent.weight [readout, F], frequent.bias [F]; own.weight [S, readout, O], own.bias [S, 1, O], -inf
                where a sentence has fewer; own.candidates [S, F + O] (int64): the ids of all of them. In integers the
                weights are bytes, and there are frequent.scale [F] and own.scale [S, 1, O]
    """

    def __init__(
        self,
        model: TranslationModel | LanguageModel,
        step: Step,
        output: str,
        integers: bool,
        table: bool = False,
        make: type[Graph] = Graph,
    ) -> None:
        self.graph, self.model, self.output, self.table = make(output, integers), model, output, table
        graph = self.graph
        self.by_piece = is_by_piece(model, integers, table)
        tokens = graph.input("tokens", INT64, ["rows"])
        parents = graph.input("parents", INT64, ["rows"])
        grid = graph.input("grid", INT64, ["sentences", "width"]), graph.input("places", INT64, ["rows"])
        self.sentences, self.grid = graph.input("sentences", INT64, ["rows"]), grid
        graph.bounded.update(bounded_inputs(model))
        memory = {
            name: graph.input(f"memory.{name}", FLOAT, ["sentences", *shape]) for name, shape in step.memory.items()
        }
        state = {
            name: graph.op("Gather", graph.input(f"state.{name}", FLOAT, ["rows_before", *shape]), parents, axis=0)
            for name, shape in step.state.items()
        }
        embedded = LookedUp(model.target_embedding.weight, tokens, model.embedding_scale)
        readout, weights, after = write(
            graph, step.program, embedded, memory, state, *grid, self.sentences, tables=table
        )
        for tensor in weights:
            graph.output("attention", tensor, FLOAT, ["rows", "source_length"])
        for name, tensor in after.items():
            graph.output(f"next.{name}", tensor, FLOAT, ["rows", *step.state[name]])
        self._put_out(readout)

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
        # A softmax over the pieces alone; then one over the sum of the pieces and each special symbol, which corrects
        # it: [rows, 1 + special symbols]
        k = graph.input("k", INT64, [1])
        among = graph.op("LogSoftmax", logits, axis=-1)
        best, columns = graph.ops("TopK", 2, among, k, axis=-1)
        first = graph.integers_of(0)
        of_pieces = graph.op("Sub", *(graph.op("Gather", each, first, axis=-1) for each in (logits, among)))
        joint = graph.op("LogSoftmax", graph.op("Concat", of_pieces, special, axis=-1), axis=-1)
        end = graph.op("Gather", joint, graph.constant(1 + END, np.int64), axis=-1)
        graph.output("end", end, FLOAT, ["rows"])
        graph.output("best", graph.op("Add", best, graph.columns(joint, 0, 1)), FLOAT, ["rows", "k"])
        if self.output == "best":
            tokens = graph.op("Add", columns, graph.constant(SPECIAL_PIECES, np.int64))
        else:
            candidates = graph.input("own.candidates", INT64, ["sentences", "candidates"])
            width = graph.op("Shape", candidates, start=1, end=2)
            offset = graph.op("Unsqueeze", graph.op("Mul", self.sentences, width), graph.integers_of(-1))
            flat = graph.op("Reshape", candidates, graph.integers_of(-1))
            tokens = graph.op("Gather", flat, graph.op("Add", columns, offset))
        graph.output("best_tokens", tokens, INT64, ["rows", "k"])
        graph.fold_biases()  # not in `rows`, from which weights are read back (`nmt.export.restoring`)

    def _shortlisted(self, readout: str, size: int) -> str:
        """Logits of the frequent pieces and of those of each row's sentence, [R, F + O]."""
        graph, (grid, places) = self.graph, self.grid
        kind = INT8 if graph.integers else FLOAT
        weight = graph.input("frequent.weight", kind, [size, "frequent"])
        bias = graph.input("frequent.bias", FLOAT, ["frequent"])
        own_weight = graph.input("own.weight", kind, ["sentences", size, "own"])
        own_bias = graph.input("own.bias", FLOAT, ["sentences", 1, "own"])
        if graph.integers:
            scale = graph.input("frequent.scale", FLOAT, ["frequent"])
            frequent = graph.integer_product(readout, weight, scale, bias)
            own_scale = graph.input("own.scale", FLOAT, ["sentences", 1, "own"])
            own = graph.integer_products(readout, grid, own_weight, own_scale)
        else:
            frequent = graph.op("Add", graph.op("MatMul", readout, weight), bias)
            own = graph.op("MatMul", graph.op("Gather", readout, grid), own_weight)
        # [S, W, O] -> [R, O]
        own = graph.op("Gather", graph.op("Flatten", graph.op("Add", own, own_bias), axis=2), places)
        return graph.op("Concat", frequent, own, axis=-1)


def is_by_piece(model: TranslationModel | LanguageModel, integers: bool, table: bool) -> bool:
    """Whether the output layer is stored as the rows of the embeddings.

    Where a table replaces the embeddings, size does not matter, and a graph is read faster without turning.
    """
    return integers and model.output_weight is model.target_embedding.weight and not table


def bounded_inputs(model: TranslationModel | LanguageModel) -> list[str]:
    """Inputs of the decoder's graphs whose numbers lie in [-1, 1]."""
    decoder, bounded = model.decoder, []
    if decoder.layers.at(0).cell.bounded and model.config.connections == "none":  # connections add outputs up
        bounded += [f"state.{depth}.{layer.state_names[0]}" for depth, layer in enumerate(decoder.layers)]
        if decoder.attention is not None and decoder.attention.value is None:
            bounded.append("memory.values")  # the encoder's outputs
    if decoder.feeding == "luong":
        bounded.append("state.feed")  # what tanh puts out
    return bounded
