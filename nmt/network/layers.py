"""Runs a cell over a sequence. Sequences are time-major: [length, batch, size]."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from nmt.config import ModelConfig
from nmt.network.cells import CELLS, Cell
from nmt.network.dropout import random_bytes

LayerState = tuple[Tensor, ...]  # tensors a cell carries on, in the order of its `state_names`, [batch, hidden] each


class Layer(nn.Module):
    """One recurrent layer in one direction.

    Deep transition (Miceli-Barone et al. 2017, section 2.3, https://arxiv.org/abs/1707.07631): the state passes through
    several cells at each position, of which only the first has an input:
        s_{t,1} = cell_1(x_t, s_{t-1,L})         s_{t,k} = cell_k(s_{t,k-1})
    Weight drop (Merity et al. 2018, section 2, https://arxiv.org/abs/1708.02182): recurrent weights are dropped once
    for all positions of a batch.
    Zoneout (Krueger et al. 2017, https://arxiv.org/abs/1606.01305): a unit keeps its value with probability z,
        s_t = d_t * s_{t-1} + (1 - d_t) * s~_t   in training, with z in place of the random d_t otherwise
    Input normalisation: W x is normalised before bias and constant inputs are added, over its units (Ba et al. 2016) or
    over all real positions of the batch (Laurent et al. 2016, equation 8, https://arxiv.org/abs/1510.01378).

        input_size: units of all inputs together
        hidden_size: units of the output and of each tensor of the state
        constant_size: units of the inputs that are the same at every position; they come last
    """

    def __init__(self, config: ModelConfig, input_size: int, hidden_size: int, constant_size: int = 0) -> None:
        super().__init__()
        self.constant_size = constant_size
        self.cell: Cell = CELLS[config.cell](input_size, hidden_size)
        self.transitions = nn.ModuleList(CELLS[config.cell](0, hidden_size) for _ in range(config.transition_depth - 1))
        self.state_names = self.cell.state_names
        self.hidden_size = hidden_size
        self.weight_drop = config.weight_drop
        self.zoneout = round(config.zoneout * 256)
        rows = self.cell.gates * hidden_size
        kinds = {"none": None, "layer": LayerNormalization, "batch": BatchNormalization}
        kind = kinds[config.input_normalization]
        self.normalization = None if kind is None else kind(rows)

        plain = not self.transitions and not self.zoneout and self.normalization is None
        self.kernel = self.cell.kernel if plain else None
        self.kernel_devices = ("cuda",)  # on a CPU the cell's own scan is faster than torch's fused kernel

    def recurrent_weight(self, cell: Cell) -> Tensor:
        return F.dropout(cell.weight_hh, self.weight_drop, self.training and self.weight_drop > 0)

    def zero_state(self, like: Tensor) -> LayerState:
        """All zeros, for the batch, type and device of `like` [length, batch, size]."""
        return tuple(like.new_zeros(like.size(1), self.hidden_size) for _ in self.state_names)

    def constant_product(self, constant: Tensor) -> Tensor:
        """The last columns of the input weights times an input [batch, size], with bias: [batch, gates * hidden]."""
        assert self.cell.weight_ih is not None
        return F.linear(constant, self.cell.weight_ih[:, -self.constant_size :], self.cell.input_bias())

    def forward(
        self, inputs: Tensor, state: LayerState, constant: Tensor | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, LayerState]:
        """All positions.

            inputs: [length, batch, size]
            state: before the first position
            constant: [batch, size], a further input that is the same at every position
            lengths: [batch], real positions of each sentence; None if all are

        Returns: the outputs [length, batch, hidden], and the state after each sentence's last real position. Where the
        kernel runs and the lengths are on the GPU, which would have to be waited for, it is the state after the last
        position of all; a sentence that goes on has no padding before it.
        """
        if self.kernel is not None and inputs.device.type in self.kernel_devices:
            return self._run_kernel(inputs, state, constant, lengths)
        length = len(inputs)
        lengths = None if lengths is None else placed(lengths, inputs)
        product = None if constant is None else self.constant_product(constant)
        loop = Unrolled(self, inputs, length, product, lengths)
        if length > 1 and not self.transitions and not self.zoneout:
            assert loop.product is not None
            states = self.cell.scan(loop.product, state, loop.weights[0])
        else:
            each = []
            for position in range(length):
                state = loop.step(position, state)
                each.append(state)
            states = tuple(torch.stack(tensors) for tensors in zip(*each, strict=True))
        if lengths is None:
            return states[0], tuple(tensor[-1] for tensor in states)
        last = (lengths - 1, torch.arange(len(lengths), device=lengths.device))
        return states[0], tuple(tensor[last] for tensor in states)

    def _run_kernel(
        self, inputs: Tensor, state: LayerState, constant: Tensor | None, lengths: Tensor | None
    ) -> tuple[Tensor, LayerState]:
        """`forward` by torch's fused kernel; sentences are packed if main memory has their lengths."""
        assert self.kernel is not None
        if constant is not None:
            inputs = torch.cat((inputs, constant.expand(len(inputs), -1, -1)), -1)
        cell = self.cell
        weights = [cell.weight_ih, self.recurrent_weight(cell), cell.bias_ih, cell.bias_hh]
        options = (weights, True, 1, 0.0, self.training, False)
        type_ = cell.weight_hh.dtype
        if lengths is None or lengths.device.type != "cpu":
            before = tuple(tensor.unsqueeze(0) for tensor in state)
            outputs, *after = self.kernel(inputs, before if len(before) > 1 else before[0], *options, False)
            return outputs.to(type_), tuple(tensor.squeeze(0).to(type_) for tensor in after)
        # Sorted here, because torch would read the order back from the GPU.
        lengths, order = lengths.clamp(min=1).sort(descending=True, stable=True)  # 0: the sentence has ended
        order, back = (each.to(inputs.device, non_blocking=True) for each in (order, order.argsort()))
        packed = pack_padded_sequence(inputs.index_select(1, order), lengths)
        before = tuple(tensor.index_select(0, order).unsqueeze(0) for tensor in state)
        rows, *after = self.kernel(packed.data, packed.batch_sizes, before if len(before) > 1 else before[0], *options)
        outputs, _ = pad_packed_sequence(packed._replace(data=rows.to(type_)), total_length=len(inputs))
        return outputs.index_select(1, back), tuple(
            tensor.squeeze(0).index_select(0, back).to(type_) for tensor in after
        )


def placed(lengths: Tensor, like: Tensor) -> Tensor:
    """The lengths on the device of another tensor."""
    return lengths if lengths.device == like.device else lengths.to(like.device, non_blocking=True)


class Unrolled:
    """A layer prepared for the positions of one batch: everything that does not depend on the loop is computed at once.

    The columns of the input weights belong to, in this order: inputs known for all positions, inputs fed position by
    position, constant inputs.

        inputs: [length, batch, size], or [batch, size] for a single position; None where all inputs are fed
        length: positions
        constant: `Layer.constant_product` of the constant input, if there is one
        lengths: [batch], real positions of each sentence; None if all are
    """

    def __init__(
        self,
        layer: Layer,
        inputs: Tensor | None,
        length: int,
        constant: Tensor | None = None,
        lengths: Tensor | None = None,
    ) -> None:
        cell, weight = layer.cell, layer.cell.weight_ih
        assert weight is not None
        self.layer, self.length = layer, length
        known = 0 if inputs is None else inputs.size(-1)
        fixed = weight.size(1) - layer.constant_size
        self.bias = cell.input_bias() if constant is None else constant
        self.fed_weight = weight[:, known:fixed].t()
        self.normalization = layer.normalization
        product = None
        if inputs is not None:
            fused_bias = self.bias if self.normalization is None and constant is None else None
            product = F.linear(inputs, weight[:, :known], fused_bias)
            if known == fixed and self.normalization is not None:
                product = self.normalization(product, lengths) + self.bias
            elif self.normalization is None and fused_bias is None:
                product = product + self.bias
        self.product = product
        """Inputs times weights, [length, batch, gates * hidden], with bias and constant inputs where nothing is fed."""
        start = self.bias if self.normalization is None else torch.zeros((), dtype=weight.dtype, device=weight.device)
        self.starts: Sequence[Tensor] = [start] * length
        if product is not None:
            self.starts = product.unbind(0) if product.dim() == 3 else [product]
        self.cells = [cell, *layer.transitions]
        self.weights = [layer.recurrent_weight(each) for each in self.cells]
        blocks = [block * layer.hidden_size for block in cell.recurrent_blocks]
        self.products = [
            tuple(partial(_product, weight=block) for block in torch.split(weight, blocks)) for weight in self.weights
        ]
        self.zones: list[tuple[Tensor, ...]] | None = None

    def step(self, position: int, state: LayerState, fed: Tensor | None = None) -> LayerState:
        """The state after a position; fed [batch, size] are inputs that were not known before the loop."""
        projected = self.starts[position]
        if fed is not None:
            projected = torch.addmm(projected, fed, self.fed_weight)
            if self.normalization is not None:
                projected = self.normalization(projected) + self.bias
        return self.advance(position, projected.to(state[0].dtype), state)  # the state keeps its type under autocast

    def advance(self, position: int, projected: Tensor, state: LayerState) -> LayerState:
        """The state after a position, from W x with bias and normalisation: [batch, gates * hidden]."""
        after = self.cells[0].step(projected, state, self.products[0])
        for cell, products in zip(self.cells[1:], self.products[1:], strict=True):
            after = cell.step(cell.input_bias().unsqueeze(0), after, products)
        return self._zone_out(position, state, after) if self.layer.zoneout else after

    def _zone_out(self, position: int, before: LayerState, after: LayerState) -> LayerState:
        """Keep the value of some units."""
        probability = self.layer.zoneout / 256
        if not self.layer.training:
            return tuple(torch.lerp(new, old, probability) for old, new in zip(before, after, strict=True))
        if self.zones is None:  # drawn for all positions at once
            shape = torch.Size((len(before), self.length, *before[0].shape))
            kept = random_bytes(shape, before[0].device) < self.layer.zoneout
            self.zones = list(zip(*(mask.unbind(0) for mask in kept.unbind(0)), strict=True))
        zones = zip(self.zones[position], before, after, strict=True)
        return tuple(torch.where(kept, old, new) for kept, old, new in zones)


def _product(inputs: Tensor, weight: Tensor) -> Tensor:
    """inputs W^T, in the type of the inputs."""
    return F.linear(inputs, weight).to(inputs.dtype)


class LayerNormalization(nn.LayerNorm):
    """gain * (x - mean) / deviation + bias over the units of each position. Ba et al. (2016)."""

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """inputs [..., size]; lengths do not matter."""
        return super().forward(inputs)


class BatchNormalization(nn.BatchNorm1d):
    """gain * (x - mean) / deviation + bias for each unit, over all real positions of the batch.

    Ioffe & Szegedy (2015); over batch and positions of a sequence: Laurent et al. (2016), section 3. Outside training
    the running means of both statistics are used.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.num_batches_tracked = None

    def running_map(self) -> tuple[Tensor, Tensor]:
        """Normalisation by the running statistics as an affine map: its factors and its summands, [size] each."""
        assert self.running_mean is not None and self.running_var is not None
        gain = self.weight / (self.running_var + self.eps).sqrt()
        return gain, self.bias - self.running_mean * gain

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """inputs [length, batch, size]; lengths [batch] leave padding out of the statistics.

        A single real position has no deviation: it is normalised by the running statistics.
        """
        if not self.training:
            return self._normalized_by_running(inputs)
        rows = inputs.flatten(0, -2)
        if lengths is None and len(rows) > 1:
            return super().forward(rows).view_as(inputs)
        if lengths is None:
            lengths = torch.ones(len(rows), dtype=torch.long, device=rows.device)
        length = inputs.size(0)
        real = (torch.arange(length, device=lengths.device).unsqueeze(1) < lengths).flatten().nonzero().squeeze(1)
        if len(real) < 2:
            return self._normalized_by_running(inputs)
        normalized = super().forward(rows.index_select(0, real))
        return torch.zeros_like(rows).index_copy(0, real, normalized.to(rows.dtype)).view_as(inputs)

    def _normalized_by_running(self, inputs: Tensor) -> Tensor:
        gain, shift = self.running_map()
        return inputs * gain + shift


class Layers(nn.ModuleList):
    """A list of layers that tells a type checker what it holds."""

    def __iter__(self) -> Iterator[Layer]:
        return cast(Iterator[Layer], super().__iter__())

    def at(self, depth: int) -> Layer:
        """The layer at a depth, counted from the bottom."""
        return cast(Layer, self[depth])


class Connection(nn.Module):
    """The skip connection around a layer with input x and output h, [..., size] each.

    none: y = h; residual: y = h + x (He et al. 2016, https://arxiv.org/abs/1512.03385);
    highway: y = t * h + (1 - t) * x, t = sigmoid(W x + b) (Srivastava et al. 2015, equation 3,
    https://arxiv.org/abs/1505.00387), b = -1 at first, so that the layer begins nearly transparent.
    """

    def __init__(self, kind: Literal["none", "residual", "highway"], size: int) -> None:
        super().__init__()
        self.kind = kind
        self.gate = nn.Linear(size, size) if kind == "highway" else None

    def forward(self, inputs: Tensor, outputs: Tensor) -> Tensor:
        """Inputs and outputs of the layer -> what the next layer reads."""
        if self.kind == "none":
            return outputs
        if self.gate is None:
            return outputs + inputs
        return torch.lerp(inputs, outputs, self.gate(inputs).to(inputs.dtype).sigmoid())
