"""The decoder: a recurrent language model of the target that starts from the source and may look back at it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.config import ModelConfig
from nmt.network.attention import Attention, Memory
from nmt.network.dropout import Dropout, masked
from nmt.network.layers import Connection, Layer, Layers, LayerState, Unrolled

State = dict[str, Tensor]
"""What a row (a target sentence) carries from step to step, by name; dimension 0 is the row."""


class Decoder(nn.Module):
    """Stacked recurrent layers that start from the encoder's final states.

        s^1_t = cell([E y_{t-1}; f_t; c], s^1_{t-1})            first layer
        s^d_t = cell([s^{d-1}_t; a_t; c], s^d_{t-1})            layers above
        r_t = W_r [s^D_t; a_t; c], with tanh if there is attention      readout

    c is the context vector: it always starts the layers (Sutskever et al. 2014, https://arxiv.org/abs/1409.3215) and is
    an input of the first with `context_input = "first"`, of all and of the readout with `"all"` (Cho et al. 2014,
    section 2.2, https://arxiv.org/abs/1406.1078). a_t is what the attention answers, f_t what is fed back:

    - input_feeding `none`: a_t answers s^1_t; f_t does not exist. All positions of a layer run at once.
    - `luong`: a_t answers s^D_t and enters the readout only; f_t = r_{t-1} (Luong et al. 2015, section 3.3,
      https://arxiv.org/abs/1508.04025).
    - `bahdanau`: a_t answers s^1_{t-1}, and f_t = a_t (Bahdanau et al. 2015, appendix A.2.2,
      https://arxiv.org/abs/1409.0473).

    Without attention the readout exists only where the sizes or `all` call for it. A language model has neither c nor
    a.
    """

    def __init__(self, config: ModelConfig, readout_size: int) -> None:
        super().__init__()
        hidden = config.hidden_size
        self.feeding = config.input_feeding
        self.context_input = config.context_input
        fed = {"none": 0, "luong": readout_size, "bahdanau": hidden}[self.feeding]
        context = {"none": 0, "first": hidden, "all": hidden}[self.context_input]
        everywhere = hidden if self.context_input == "all" else 0
        answer = hidden if config.attention != "none" else 0
        above = hidden + (answer if self.feeding != "luong" else 0) + everywhere
        sizes = [config.embedding_size + fed + context] + [above] * (config.decoder_layers - 1)
        self.layers = Layers(Layer(config, size, hidden) for size in sizes)
        self.connections = nn.ModuleList(Connection(config.connections, hidden) for _ in sizes[1:])
        self.attention = (
            Attention(config.attention, hidden, config.attention_heads, config.coverage)
            if config.attention != "none"
            else None
        )
        width = hidden + answer + everywhere
        self.readout = nn.Linear(width, readout_size) if width > hidden or readout_size != hidden else None
        self.readout_size, self.hidden_size = readout_size, hidden
        self.dropout = Dropout(config.dropout, config.variational_dropout)
        self.output_dropout = Dropout(config.output_dropout, config.variational_dropout)

    def remember(self, states: Tensor, lengths: Tensor, context: Tensor) -> Memory:
        """What is kept of the sources: context [batch, hidden], and what attention needs of the encoder's states."""
        memory = {"context": context}
        return memory if self.attention is None else {**memory, **self.attention.remember(states, lengths)}

    def initial_state(self, finals: list[LayerState] | None, memory: Memory, like: Tensor) -> State:
        """The state before the first position.

        Each layer starts from the encoder layer beside it, counted from the top; if the decoder has more layers, its
        upper ones repeat the top's. Everything else starts at zero.

            finals: each encoder layer's final state; None for zeros
            like: [length, batch, ...], a tensor of the batch's size, type and device
        """
        state: State = {}
        below = 0 if finals is None else max(0, len(finals) - len(self.layers))
        for depth, layer in enumerate(self.layers):
            start = layer.zero_state(like) if finals is None else finals[min(below + depth, len(finals) - 1)]
            state.update(_named(depth, layer, start))
        if self.feeding == "luong":
            state["feed"] = like.new_zeros(like.size(1), self.readout_size)
        if self.attention is not None and self.attention.coverage is not None:
            state["coverage"] = like.new_zeros(like.size(1), self.attention.heads, memory["mask"].size(1))
        return state

    def forward(
        self, inputs: Tensor, memory: Memory, state: State, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None, State]:
        """Any number of positions: a whole target in teacher forcing, one in search.

            inputs: [length, batch, size], embeddings of the words before
            memory: of each row's source (empty for a language model)
            state: before the first position
            lengths: [batch], real positions of each row; None if all are

        Returns: readout [length, batch, readout_size]; attention weights [batch, length, source_length] (the mean over
        heads) or None; the state after each row's last real position
        """
        if self.feeding == "none":
            return self._all_at_once(inputs, memory, state, lengths)
        return self._one_by_one(inputs, memory, state, lengths)

    def _all_at_once(
        self, inputs: Tensor, memory: Memory, state: State, lengths: Tensor | None
    ) -> tuple[Tensor, Tensor | None, State]:
        after, below, answers, weights = dict(state), inputs, None, None
        for depth, layer in enumerate(self.layers):
            reads = self.dropout(below) if depth > 0 else below
            if answers is not None:
                reads = torch.cat((reads, answers), -1)
            before = _layer_state(state, depth, layer)
            outputs, final = layer(reads, before, self._constant(depth, memory), lengths)
            after.update(_named(depth, layer, final))
            below = outputs if depth == 0 else self.connections[depth - 1](below, outputs)
            if depth == 0 and self.attention is not None:
                answers, weights = self._attend_all(below.transpose(0, 1), memory, after)
        readout = self._read_out(self.dropout(below) if self.readout is not None else below, answers, memory)
        return self.output_dropout(readout), weights, after

    def _attend_all(self, queries: Tensor, memory: Memory, state: State) -> tuple[Tensor, Tensor]:
        """Answers [length, batch, size] and weights [batch, length, source_length] for all positions of the queries."""
        assert self.attention is not None
        if "coverage" not in state:
            answers, weights = self.attention(queries, memory)
            return answers.transpose(0, 1), weights.mean(1)
        each = []
        for query in torch.split(queries, 1, 1):
            answer, weights = self.attention(query, memory, state["coverage"])
            state["coverage"] = state["coverage"] + weights.squeeze(2)
            each.append((answer.squeeze(1), weights.mean(1)))
        every, every_weights = zip(*each, strict=True)
        return torch.stack(every), torch.cat(every_weights, 1)

    def _one_by_one(
        self, inputs: Tensor, memory: Memory, state: State, lengths: Tensor | None
    ) -> tuple[Tensor, Tensor, State]:
        length, like = len(inputs), inputs[0]
        constants = [self._constant(depth, memory) for depth in range(len(self.layers))]
        loops = [
            Unrolled(layer, inputs if depth == 0 else None, length, constants[depth], lengths)
            for depth, layer in enumerate(self.layers)
        ]
        masks = [self.dropout.masks(length, like, self.hidden_size) for _ in self.layers]
        states = [_layer_state(state, depth, layer) for depth, layer in enumerate(self.layers)]
        after, luong = dict(state), self.feeding == "luong"
        tops, answers, weights, readouts = [], [], [], []
        for t in range(length):
            if luong:
                states[0] = loops[0].step(t, states[0], after["feed"])
            else:
                answer, given = self._attend(states[0][0], memory, after)
                states[0] = loops[0].step(t, states[0], answer)
            below = states[0][0]
            for depth in range(1, len(self.layers)):
                reads = masked(below, masks[depth], t)
                reads = reads if luong else torch.cat((reads, answer), -1)
                states[depth] = loops[depth].step(t, states[depth], reads)
                below = self.connections[depth - 1](below, states[depth][0])
            if luong:
                answer, given = self._attend(below, memory, after)
            below = masked(below, masks[0], t)
            if luong:
                after["feed"] = self._read_out(below, answer, memory)
                readouts.append(after["feed"])
            else:
                tops.append(below)
                answers.append(answer)
            weights.append(given)
        for depth, layer in enumerate(self.layers):
            after.update(_named(depth, layer, states[depth]))
        if luong:
            readout = torch.stack(readouts)
        else:
            readout = self._read_out(torch.stack(tops), torch.stack(answers), memory)
        return self.output_dropout(readout), torch.stack(weights, 1), after

    def _attend(self, query: Tensor, memory: Memory, state: State) -> tuple[Tensor, Tensor]:
        """Answer [batch, size] and weights [batch, source_length] for a query [batch, size]; counts the coverage."""
        assert self.attention is not None
        answer, weights = self.attention(query.unsqueeze(1), memory, state.get("coverage"))
        if "coverage" in state:
            state["coverage"] = state["coverage"] + weights.squeeze(2)
        return answer.squeeze(1), weights.squeeze(2).mean(1)

    def _constant(self, depth: int, memory: Memory) -> Tensor | None:
        sees = self.context_input == "all" or (self.context_input == "first" and depth == 0)
        return memory["context"] if sees else None

    def _read_out(self, outputs: Tensor, answers: Tensor | None, memory: Memory) -> Tensor:
        """The readout of one position or all; the context's part of the product is taken once."""
        if self.readout is None:
            return outputs
        reads = outputs if answers is None else torch.cat((outputs, answers), -1)
        weight, size = self.readout.weight, reads.size(-1)
        bias: Tensor = self.readout.bias
        if self.context_input == "all":
            bias = F.linear(memory["context"], weight[:, size:], bias)
            readout = F.linear(reads, weight[:, :size]) + bias
        else:
            readout = F.linear(reads, weight, bias)
        return readout if self.attention is None else torch.tanh(readout)


def _named(depth: int, layer: Layer, state: LayerState) -> State:
    return {f"{depth}.{name}": tensor for name, tensor in zip(layer.state_names, state, strict=True)}


def _layer_state(state: State, depth: int, layer: Layer) -> LayerState:
    return tuple(state[f"{depth}.{name}"] for name in layer.state_names)
