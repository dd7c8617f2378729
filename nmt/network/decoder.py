"""The decoder: a recurrent language model of the target that starts from the source and may attend to it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.config import ModelConfig
from nmt.network.attention import ATTENTIONS, Attention, Memory
from nmt.network.dropout import Dropout, masked
from nmt.network.layers import Connection, Layer, Layers, LayerState, Unrolled

DecoderState = dict[str, Tensor]  # tensors that a row (target sentence) carries on, by name; dimension 0 is the row

Decoded = tuple[Tensor, Tensor | None, DecoderState]
"""The readout [length, batch, readout_size]; the attention weights [batch, length, source_length], which are the mean
over heads, or None; the state after each row's last real position. A single position has no dimension `length`."""


class Grid(NamedTuple):
    """The rows of a search by sentence, so that one product a sentence takes the queries of all its rows."""

    grid: Tensor  # the rows of each sentence, padded with any row: [sentences, width]
    places: Tensor  # for each row its place in the flattened grid: [rows]
    sentences: Tensor  # for each row its sentence: [rows]


class Decoder(nn.Module):
    """Stacked recurrent layers that start from the encoder's final states.

        s^1_t = cell([E y_{t-1}; f_t; v], s^1_{t-1})            first layer
        s^d_t = cell([s^{d-1}_t; c_t; v], s^d_{t-1})            layers above
        r_t = W_r [s^D_t; c_t; v], with tanh if there is attention      readout

    v is the summary of the source, the last state of the encoder's top layer. It always starts the layers (Sutskever et
    al. 2014, https://arxiv.org/abs/1409.3215), and is an input of the first with `context_input = "first"`, of all and
    of the readout with `"all"` (Cho et al. 2014, section 2.2, https://arxiv.org/abs/1406.1078). c_t is the context
    vector of the attention, f_t is what is fed back:

    - input_feeding `none`: the query of c_t is s^1_t; f_t does not exist. All positions of a layer run at once.
    - `luong`: the query of c_t is s^D_t, and c_t enters only the readout; f_t = r_{t-1} (Luong et al. 2015, section
      3.3, https://arxiv.org/abs/1508.04025).
    - `bahdanau`: the query of c_t is s^1_{t-1}, and f_t = c_t (Bahdanau et al. 2015, appendix A.2.2,
      https://arxiv.org/abs/1409.0473).

    Without attention the readout exists only where the sizes or `all` require it. A language model has neither v nor
    c.
    """

    def __init__(self, config: ModelConfig, readout_size: int) -> None:
        super().__init__()
        hidden = config.hidden_size
        self.feeding = config.input_feeding
        self.summary_input = config.context_input
        attends = config.attention != "none"
        fed = {"none": 0, "luong": readout_size, "bahdanau": hidden}[self.feeding]
        first = hidden if self.summary_input != "none" else 0
        everywhere = hidden if self.summary_input == "all" else 0
        context = hidden if attends else 0
        above = hidden + (context if self.feeding != "luong" else 0) + everywhere
        sizes = [config.embedding_size + fed + first] + [above] * (config.decoder_layers - 1)
        constants = [first] + [everywhere] * (config.decoder_layers - 1)
        self.layers = Layers(
            Layer(config, size, hidden, constant) for size, constant in zip(sizes, constants, strict=True)
        )
        self.connections = nn.ModuleList(Connection(config.connections, hidden) for _ in sizes[1:])
        self.attention: Attention | None = None
        if config.attention != "none":
            heads = config.attention_heads if config.attention == "multi_head" else 1
            self.attention = ATTENTIONS[config.attention](hidden, heads, config.coverage)
        width = hidden + context + everywhere
        self.readout = nn.Linear(width, readout_size) if width > hidden or readout_size != hidden else None
        self.readout_size, self.hidden_size = readout_size, hidden
        self.dropout = Dropout(config.dropout, config.variational_dropout)
        self.output_dropout = Dropout(config.output_dropout, config.variational_dropout)

    def remember(self, states: Tensor, real: Tensor, summary: Tensor) -> Memory:
        """The memory of the sources, for `forward` and `step`.

        states: of the encoder's top layer, [source_length, batch, hidden]
        real: [batch, source_length], whether a position is a word and not padding
        summary: v, [batch, hidden]
        """
        memory = {"summary": summary}
        return memory if self.attention is None else {**memory, **self.attention.remember(states, real)}

    def search_memory(self, memory: Memory) -> Memory:
        """The memory for many calls of `step`: with the products of the summary, which are the same at each step."""
        kept = {name: tensor for name, tensor in memory.items() if name != "summary"}
        for depth in range(len(self.layers)):
            if (product := self._summary_product(depth, memory)) is not None:
                kept[f"constant_{depth}"] = product
        if self.summary_input == "all":
            kept["constant_readout"] = self._readout_constant(memory)
        return kept

    def initial_state(self, finals: list[LayerState], memory: Memory) -> DecoderState:
        """The state before the first position.

        Each layer starts from the encoder layer of the same depth, counted from the top; if the decoder has more
        layers, its upper ones repeat the top's. Everything else starts at zero.

            finals: each encoder layer's final state
            memory: from `remember`
        """
        state: DecoderState = {}
        below = max(0, len(finals) - len(self.layers))
        for depth, layer in enumerate(self.layers):
            state.update(_named(depth, layer, finals[min(below + depth, len(finals) - 1)]))
        if self.feeding == "luong":
            state["feed"] = torch.zeros_like(finals[-1][0][:, :1]).expand(-1, self.readout_size)
        if self.attention is not None and self.attention.coverage is not None:
            state["coverage"] = torch.zeros_like(memory["values"][..., 0])  # [batch, heads, source_length]
        return state

    def forward(self, inputs: Tensor, memory: Memory, state: DecoderState, lengths: Tensor | None = None) -> Decoded:
        """Process any number of positions, as in teacher forcing.

        inputs: [length, batch, size], embeddings of the previous words
        memory: of each row's source (empty for a language model)
        state: before the first position
        lengths: [batch], real positions of each row; None if all are
        """
        if self.feeding == "none":
            return self._all_at_once(inputs, memory, state, lengths)
        return self._one_by_one(inputs, memory, state, lengths)

    def step(self, inputs: Tensor, memory: Memory, state: DecoderState, grid: Grid | None = None) -> Decoded:
        """Process one position of a search, without dropout.

        inputs: [rows, size], embeddings of the previous words
        memory: of the sentences, from `search_memory` or `remember`
        state: of the rows, before the position
        grid: the rows by sentence; None if row i belongs to sentence i
        """
        of_rows: Memory = {
            name: tensor if grid is None else tensor.index_select(0, grid.sentences)
            for name, tensor in memory.items()
            if name == "summary" or name.startswith("constant_")
        }
        loops = [
            Unrolled(layer, inputs if depth == 0 else None, 1, self._summary_product(depth, of_rows))
            for depth, layer in enumerate(self.layers)
        ]
        top, context, weights, after = self._position(0, loops, None, memory, state, grid)
        readout = self._read_out(top, context, of_rows)
        if self.feeding == "luong":
            after["feed"] = readout
        return readout, weights, after

    def _all_at_once(self, inputs: Tensor, memory: Memory, state: DecoderState, lengths: Tensor | None) -> Decoded:
        """`forward` layer by layer, where nothing is fed back."""
        after, below, contexts, weights = dict(state), inputs, None, None
        for depth, layer in enumerate(self.layers):
            reads = self.dropout(below) if depth > 0 else below
            if contexts is not None:
                reads = torch.cat((reads, contexts), -1)
            constant = memory["summary"] if self._reads_summary(depth) else None
            outputs, final = layer(reads, _layer_state(state, depth, layer), constant, lengths)
            after.update(_named(depth, layer, final))
            below = outputs if depth == 0 else self.connections[depth - 1](below, outputs)
            if depth == 0 and self.attention is not None:
                contexts, weights = self._attend_all(below.transpose(0, 1), memory, after)
        readout = self._read_out(self.dropout(below) if self.readout is not None else below, contexts, memory)
        return self.output_dropout(readout), weights, after

    def _attend_all(self, queries: Tensor, memory: Memory, state: DecoderState) -> tuple[Tensor, Tensor]:
        """Contexts [length, batch, size], weights [batch, length, source_length] of queries [batch, length, size]."""
        assert self.attention is not None
        if "coverage" not in state:
            contexts, weights = self.attention(queries, memory)
            return contexts.transpose(0, 1), weights.mean(1)
        each = [self._attend(query, memory, state, None) for query in queries.unbind(1)]
        every, every_weights = zip(*each, strict=True)
        return torch.stack(every), torch.stack(every_weights, 1)

    def _one_by_one(self, inputs: Tensor, memory: Memory, state: DecoderState, lengths: Tensor | None) -> Decoded:
        """`forward` position by position."""
        length, luong = len(inputs), self.feeding == "luong"
        loops = [
            Unrolled(layer, inputs if depth == 0 else None, length, self._summary_product(depth, memory), lengths)
            for depth, layer in enumerate(self.layers)
        ]
        masks = [self.dropout.masks(length, inputs[0], self.hidden_size) for _ in self.layers]
        tops, contexts, weights, readouts = [], [], [], []
        for t in range(length):
            top, context, given, state = self._position(t, loops, masks, memory, state, None)
            assert context is not None and given is not None  # without attention nothing is fed back
            top = masked(top, masks[0], t)
            if luong:
                state["feed"] = self._read_out(top, context, memory)
                readouts.append(state["feed"])
            tops.append(top)
            contexts.append(context)
            weights.append(given)
        if luong:
            readout = torch.stack(readouts)
        else:  # nothing waits for the readouts: one product for all positions
            readout = self._read_out(torch.stack(tops), torch.stack(contexts), memory)
        return self.output_dropout(readout), torch.stack(weights, 1), state

    def _position(
        self,
        t: int,
        loops: list[Unrolled],
        masks: list[list[Tensor] | None] | None,
        memory: Memory,
        state: DecoderState,
        grid: Grid | None,
    ) -> tuple[Tensor, Tensor | None, Tensor | None, DecoderState]:
        """One position of all layers: the top's output s^D_t, c_t, a_t, and the state without the new readout."""
        after = dict(state)
        context, weights, fed = None, None, state.get("feed")
        before = [_layer_state(state, depth, layer) for depth, layer in enumerate(self.layers)]
        if self.feeding == "bahdanau":
            context, weights = self._attend(before[0][0], memory, after, grid)
            fed = context
        new = loops[0].step(t, before[0], fed)
        after.update(_named(0, self.layers.at(0), new))
        below = new[0]
        if self.feeding == "none" and self.attention is not None:
            context, weights = self._attend(below, memory, after, grid)
        for depth in range(1, len(loops)):
            reads = below if masks is None else masked(below, masks[depth], t)
            reads = reads if context is None else torch.cat((reads, context), -1)
            new = loops[depth].step(t, before[depth], reads)
            after.update(_named(depth, self.layers.at(depth), new))
            below = self.connections[depth - 1](below, new[0])
        if self.feeding == "luong":
            context, weights = self._attend(below, memory, after, grid)
        return below, context, weights, after

    def _attend(self, query: Tensor, memory: Memory, state: DecoderState, grid: Grid | None) -> tuple[Tensor, Tensor]:
        """Contexts [rows, size] and weights [rows, source_length] of queries [rows, size]; adds coverage to `state`."""
        assert self.attention is not None
        asked, coverage = self.attention.ask(query), state.get("coverage")  # [rows, size], [rows, heads, source_length]
        if grid is None:  # each row is a sentence whose queries have the length 1
            queries, seen = asked.unsqueeze(1), None if coverage is None else coverage.unsqueeze(2)
        else:  # [rows, ...] -> [sentences, width, ...]: no row needs a copy of its sentence's memory
            queries, seen = asked[grid.grid], None if coverage is None else coverage[grid.grid].transpose(1, 2)
        contexts, weights = self.attention.attend(queries, memory, seen)

        def of_rows(tensor: Tensor) -> Tensor:
            """[sentences, width, ...] -> [rows, ...]"""
            return tensor.squeeze(1) if grid is None else tensor.flatten(0, 1).index_select(0, grid.places)

        if coverage is not None:
            state["coverage"] = coverage + of_rows(weights.transpose(1, 2))
        mean = weights.squeeze(1) if self.attention.heads == 1 else weights.mean(1)  # [sentences, width, source_length]
        return self.attention.answer(of_rows(contexts)), of_rows(mean)

    def _reads_summary(self, depth: int) -> bool:
        return self.summary_input == "all" or (self.summary_input == "first" and depth == 0)

    def _summary_product(self, depth: int, memory: Memory) -> Tensor | None:
        """The product of a layer's weights and the summary, with bias, [batch, gates * hidden]; None if not read."""
        if not self._reads_summary(depth):
            return None
        ready = memory.get(f"constant_{depth}")
        return self.layers.at(depth).constant_product(memory["summary"]) if ready is None else ready

    def _readout_constant(self, memory: Memory) -> Tensor:
        """The summary's part of the readout, with bias, [batch, readout_size]."""
        assert self.readout is not None
        if "constant_readout" in memory:
            return memory["constant_readout"]
        return F.linear(memory["summary"], self.readout.weight[:, -self.hidden_size :], self.readout.bias)

    def _read_out(self, outputs: Tensor, contexts: Tensor | None, memory: Memory) -> Tensor:
        """The readout of one position or all, [..., readout_size]; the summary's part of the product is taken once."""
        if self.readout is None:
            return outputs
        reads = outputs if contexts is None else torch.cat((outputs, contexts), -1)
        if self.summary_input == "all":
            readout = F.linear(reads, self.readout.weight[:, : reads.size(-1)]) + self._readout_constant(memory)
        else:
            readout = F.linear(reads, self.readout.weight, self.readout.bias)
        return readout if self.attention is None else torch.tanh(readout)


def _named(depth: int, layer: Layer, state: LayerState) -> DecoderState:
    return {f"{depth}.{name}": tensor for name, tensor in zip(layer.state_names, state, strict=True)}


def _layer_state(state: DecoderState, depth: int, layer: Layer) -> LayerState:
    return tuple(state[f"{depth}.{name}"] for name in layer.state_names)
