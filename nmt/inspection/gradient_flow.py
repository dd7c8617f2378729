"""How far back an error signal reaches: gradients against distance in time.

Hochreiter (1991); Bengio et al. (1994); Pascanu et al. (2013), section 2, https://arxiv.org/abs/1211.5063
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from nmt.config import ModelConfig, TrainingConfig, parse_config
from nmt.errors import UserError
from nmt.inspection.pages import BACKGROUND, COLORS, FAINT, Inspection, table
from nmt.inspection.watching import (
    Model,
    NamedLayer,
    Source,
    Steps,
    Subject,
    Texts,
    batch_of,
    layers_of,
    matrices,
    open_subject,
    read_pairs,
    watched,
)
from nmt.network.cells import CELLS, Cell
from nmt.network.cells.rnn import RNN
from nmt.network.encoder_model import EncoderModel
from nmt.network.language_model import LanguageModel
from nmt.network.model import TranslationModel
from nmt.report.blocks import section
from nmt.sizing import NOMINAL, resolve
from nmt.text.vocabulary import BEGIN, PAD, SPECIAL_PIECES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VANISHING, EXPLODING = 0.9, 1.1
"""Mean ratio of the norms of neighbouring steps below which gradients vanish, and above which they explode."""

CELL_TITLES = {"rnn_tanh": "tanh RNN", "rnn_relu": "ReLU RNN", "lstm": "LSTM", "gru": "GRU"}

FRESH_VOCABULARY = 64
"""Vocabulary size of a model with initial weights, which reads random pieces."""

LEAST = 1e-16
"""Lower end of the picture's axis: next to a gradient of 1, smaller numbers are lost in double precision."""


@dataclass
class Flow:
    """How gradients flow back through one layer."""

    group: str
    """The column of the picture: a cell, or a layer of a trained model."""
    name: str
    """The name within that column."""
    loss: np.ndarray
    """|dLoss/dh_t|, by the distance from the last position to t."""
    state: np.ndarray
    """|dh_T/dh_k| of the last position T (largest singular value), by the distance T - k; 1 at 0."""
    memory: np.ndarray | None
    """|dh_T/dc_k| with an LSTM's cell c."""
    singular: dict[str, float]
    """Largest singular value of each recurrent matrix, by gate."""
    eigenvalue: dict[str, float]
    """Largest absolute eigenvalue of each."""
    gamma: float | None
    """gamma_W gamma_phi of the bound; None for cells other than the Elman RNN's."""
    update: float = 0.0
    """Learning rate times the norm of this layer's gradient."""
    clipped: float = 0.0
    """The same after the gradient of all weights was clipped to a norm of at most `clip_norm`."""

    @property
    def ratio(self) -> float:
        """Geometric mean of |dh_T/dh_{k-1}| / |dh_T/dh_k| over all steps back."""
        return mean_ratio(self.state)

    @property
    def verdict(self) -> str:
        """`vanishing`, `stable` or `exploding`."""
        return verdict(self.ratio)


def mean_ratio(norms: np.ndarray) -> float:
    """Geometric mean of the ratios of neighbours: the steps-th root of last / first; 0 if a norm is 0."""
    if not np.isfinite(norms).all():
        return math.inf
    if (norms <= 0).any():
        return 0.0
    return float(np.exp(np.diff(np.log(norms)).mean())) if len(norms) > 1 else 1.0


def verdict(ratio: float) -> str:
    """Whether gradients with this mean ratio vanish, explode or are stable."""
    return "vanishing" if ratio < VANISHING else "exploding" if ratio > EXPLODING else "stable"


def step_jacobian(cell: Cell, steps: Steps, position: int) -> Tensor:
    """ds_t/ds_{t-1} at a recorded position, [batch, state, state], where s concatenates all tensors of the state."""
    projected, before, products = steps.projected[position], steps.before[position], steps.products[position]
    size = cell.hidden_size

    def after(state: Tensor, total: Tensor) -> Tensor:
        parts = torch.split(state.unsqueeze(0), size, -1)
        return torch.cat(cell.step(total.unsqueeze(0), parts, products), -1).squeeze(0)

    # `jacrev` differentiates one sequence, `vmap` does so for each sequence of the batch; the input is held constant
    flat = torch.cat(before, -1).detach()
    jacobian: Tensor = torch.func.vmap(torch.func.jacrev(after))(flat, projected.detach())
    return jacobian.detach()


def state_norms(layer: NamedLayer, record: dict[Cell, Steps]) -> tuple[Tensor, Tensor | None]:
    """|dh_T/dh_k| = |prod_{t=k+1..T} ds_t/ds_{t-1}|, the part that belongs to h, for k = T, T-1, ..., 0.

    Pascanu et al. (2013), equation 5. The norm is the largest singular value. With zoneout z, which evaluation replaces
    by its mean, a step is z I + (1 - z) ds_t/ds_{t-1}; a deep transition is the product of its cells.

    Returns: [distances, batch], and the same for an LSTM's cell dh_T/dc_k
    """
    first = layer.layer.cell
    size, width = first.hidden_size, first.hidden_size * len(first.state_names)
    state = record[first].before[0][0]
    # dh_T/ds_T: the first `size` rows of the identity, as h is the first part of the state; [batch, size, width]
    product = torch.eye(width, dtype=state.dtype)[:size].expand(len(state), -1, -1)
    kept = layer.layer.zoneout / 256  # zoneout is a whole number of 256ths
    norms, memory = [], []

    def measure() -> None:
        norms.append(torch.linalg.matrix_norm(product[..., :size], 2))
        if width > size:
            memory.append(torch.linalg.matrix_norm(product[..., size:], 2))

    measure()
    for position in range(len(record[first].before) - 1, -1, -1):  # from the last step to the first
        whole = torch.eye(width, dtype=state.dtype)
        for cell in layer.cells:
            whole = step_jacobian(cell, record[cell], position) @ whole
        product = product @ (kept * torch.eye(width, dtype=state.dtype) + (1 - kept) * whole)
        measure()
    return torch.stack(norms), torch.stack(memory) if memory else None


def measure(
    model: TranslationModel | LanguageModel,
    losses: Sequence[Any],
    *,
    learning_rate: float,
    clip_norm: float,
    longest: int | None = None,
) -> list[Flow]:
    """Gradients of every layer of a model.

        losses: functions without arguments; each runs the model and returns the losses [batch] of its sequences
        learning_rate, clip_norm: settings of the update by plain gradient descent on the mean loss; clip_norm 0
            turns clipping off
        longest: steps back that are looked at; None: as many as the shortest sequence has

    Returns: a flow for each layer, averaged over all sequences
    """
    layers = layers_of(model)
    found: dict[str, list[tuple[Tensor, Tensor, Tensor | None]]] = {layer.name: [] for layer in layers}
    model.zero_grad()
    count = 0
    for run in losses:
        with watched(model, keep_gradients=True) as record:
            loss = run()
            loss.sum().backward()
        count += len(loss)
        for layer in layers:
            steps = record[layer.cells[-1]]
            zeros = torch.zeros_like(steps.after[0][0])
            gradients = [state[0].grad if state[0].grad is not None else zeros for state in steps.after]
            # [distances, batch]; the record is from before zoneout, which scales the gradient by 1 - z
            arriving = torch.stack(gradients[::-1]).norm(dim=-1) / (1 - layer.layer.zoneout / 256)
            found[layer.name].append((arriving, *state_norms(layer, record)))
    weights = {id(weight): weight.grad / count for weight in model.parameters() if weight.grad is not None}
    factor = min(1.0, clip_norm / max(_whole_norm(weights.values()), 1e-300)) if clip_norm else 1.0
    flows = []
    for layer in layers:
        own = (weights[id(weight)] for weight in layer.layer.parameters() if id(weight) in weights)
        update = learning_rate * _whole_norm(own)
        flows.append(_flow(layer, found[layer.name], longest, update, update * factor))
    return flows


def _whole_norm(gradients: Iterable[Tensor]) -> float:
    """The norm of several gradients, concatenated into one vector."""
    return math.sqrt(sum(float(gradient.square().sum()) for gradient in gradients))


def _flow(
    layer: NamedLayer,
    parts: Sequence[tuple[Tensor, Tensor, Tensor | None]],
    longest: int | None,
    update: float,
    clipped: float,
) -> Flow:
    """A layer's norms, averaged over all batches, and the sizes of its recurrent matrices.

    parts: for each batch the norms of dLoss/dh_t, dh_T/dh_k and dh_T/dc_k, [distances, batch] each
    """
    loss, state, memory = (
        None if parts[0][i] is None else _mean([cast(Tensor, part[i]) for part in parts], longest) for i in range(3)
    )
    assert loss is not None and state is not None
    cell = layer.layer.cell
    of_cell = {name: matrix.double() for name, matrix in matrices(cell).items()}
    singular = {name: float(torch.linalg.matrix_norm(matrix, 2)) for name, matrix in of_cell.items()}
    return Flow(
        group=layer.name,
        name="",
        loss=loss,
        state=state,
        memory=memory,
        singular=singular,
        eigenvalue={name: float(torch.linalg.eigvals(matrix).abs().max()) for name, matrix in of_cell.items()},
        gamma=singular["recurrent"] if isinstance(cell, RNN) and len(layer.cells) == 1 else None,
        update=update,
        clipped=clipped,
    )


def _mean(norms: Sequence[Tensor], longest: int | None) -> np.ndarray:
    """The mean over all sequences of norms [distances, batch], up to a distance that all of them have."""
    length = min(map(len, norms))
    if longest is not None:
        length = min(length, longest + 1)
    mean: np.ndarray = torch.cat([part[:length] for part in norms], 1).mean(1).numpy()
    return mean


def fresh_flows(
    cell: str,
    initialization: str,
    *,
    layers: int = 1,
    hidden_size: int = 64,
    length: int = 60,
    sequences: int = 8,
    learning_rate: float = 0.1,
    clip_norm: float = 1.0,
    seed: int = 1,
) -> list[Flow]:
    """Gradients of a language model with initial weights that reads random pieces, in double precision.

    The loss is that of the piece after the last one.

        cell: a name of `model.cell`
        initialization: `uniform`, `xavier` or `orthogonal`, with `*FACTOR` behind it to multiply the recurrent weights
    """
    kind, _, text = initialization.partition("*")
    try:
        factor = float(text or 1)
        if not math.isfinite(factor):
            raise ValueError
    except ValueError:
        raise UserError(
            f"argument `initializations` must be NAME or NAME*FACTOR, but is `{initialization}` instead"
        ) from None
    sizes = {"hidden_size": hidden_size, "embedding_size": hidden_size, "decoder_layers": layers}
    values = {"cell": cell, "initialization": kind, "bidirectional": False, "input_normalization": "none", **sizes}
    task = {"task": "language_model", "model": {**values, "tied_embeddings": "none"}}
    config: ModelConfig = resolve(parse_config(task, "inspect"), NOMINAL).model
    torch.manual_seed(seed)
    model = LanguageModel(config, FRESH_VOCABULARY).double().eval()
    with torch.no_grad():
        for layer in model.decoder.layers:
            layer.cell.weight_hh.mul_(factor)
    pieces = torch.randint(SPECIAL_PIECES, FRESH_VOCABULARY, (length, sequences))
    flows = measure(model, [lambda: last_loss(model, pieces)], learning_rate=learning_rate, clip_norm=clip_norm)
    for number, flow in enumerate(flows, 1):
        flow.group = CELL_TITLES.get(cell, cell)
        flow.name = initialization.replace("*", " × ") + (f", layer {number}" if layers > 1 else "")
    return flows


def last_loss(model: LanguageModel, pieces: Tensor) -> Tensor:
    """The loss of the last piece of [length, batch] given all before it: [batch], in nats."""
    inputs = torch.cat((torch.full_like(pieces[:1], BEGIN), pieces[:-1]))
    readout, _ = model.decode(inputs, {}, model.initial_state(pieces.size(1)))
    return F.cross_entropy(model.output(readout[-1]), pieces[-1], reduction="none")


def trained_flows(
    subject: Subject, sources: Sequence[str], targets: Sequence[str], *, longest: int, **update: float
) -> list[Flow]:
    """Gradients of a trained model on the longest of some sentences.

    The loss is that of the end symbol, after the given text if the model reads a source; for a model of labels, that of
    the most probable label, of the last word if each word has one; for a model of numbers, half of their square.

        longest: maximum number of steps back; sentences with at least this many steps are used if there are any
        update: `learning_rate` and `clip_norm`, as `measure` takes them
    """
    model = subject.model.double().eval()
    batch = batch_of(subject, sources, targets)
    vectors = subject.folder.config.reads_vectors
    source = batch.source.double() if vectors else batch.source
    target_lengths = (batch.targets != PAD).sum(0)
    shorter = target_lengths if isinstance(model, LanguageModel) else torch.minimum(target_lengths, batch.lengths)
    if isinstance(model, EncoderModel):
        shorter = batch.lengths
    order = torch.argsort(-shorter, stable=True)[: max(1, len(shorter) // 4)]

    def run(row: int) -> Tensor:
        target = batch.targets[: target_lengths[row], row : row + 1]
        if isinstance(model, LanguageModel):
            return last_loss(model, target)
        length = batch.lengths[row : row + 1]
        if isinstance(model, EncoderModel):
            readout = model(source[: int(length), row : row + 1], length)
            if model.numbers:
                return model.output(readout[-1]).square().sum(-1) / 2
            return -torch.log_softmax(model.output(readout[-1 if vectors else -2 :][0]), -1).amax(-1)
        memory, state = model.encode(source[: int(length), row : row + 1], length)
        readout, _ = model.decode(batch.inputs[: len(target), row : row + 1], memory, state)
        return F.cross_entropy(model.output(readout[-1]), target[-1], reduction="none")

    runs = [lambda row=row: run(int(row)) for row in order]
    flows = measure(model, runs, longest=longest, **update)
    for flow in flows:
        flow.name = CELL_TITLES.get(subject.folder.config.model.cell, subject.folder.config.model.cell)
    return flows


def gradient_flow(
    model: Model | None = None, sentences: Texts = (), *,
    cells: Sequence[str] = ("rnn_tanh", "rnn_relu", "lstm", "gru"),
    initializations: Sequence[str] = ("uniform", "xavier", "orthogonal", "orthogonal*2"),
    layers: int = 1, hidden_size: int = 64, length: int | None = None, seed: int = 1,
    learning_rate: float | None = None, clip_norm: float | None = None, **where: Unpack[Source],
) -> Inspection:  # fmt: skip
    """Gradients against distance in time: of cells with initial weights or, given a model, of its layers.

    Learning rate and clipping are by default those of the model's training, or 0.1 and 1 without a model.
    """
    subject = None if model is None else open_subject(model, where.get("threads"), "gradient-flow")
    training = TrainingConfig(learning_rate=0.1, clip_norm=1.0) if subject is None else subject.folder.config.training
    update: dict[str, Any] = {
        "learning_rate": training.learning_rate if learning_rate is None else learning_rate,
        "clip_norm": training.clip_norm if clip_norm is None else clip_norm,
    }
    if subject is not None:
        flows = trained_flows(subject, *read_pairs(subject, sentences, where, 64), longest=length or 30, **update)
        of = {
            "pieces": "that of the end symbol",
            "numbers": "half of the square of the standardised numbers (at the last position)",
        }.get(subject.folder.config.kind.target, "that of the most probable label (at the last position)")
        what = "examples" if subject.folder.config.reads_vectors else "sentences"
        about = f"trained weights, the longest of the chosen {what}; the loss is {of}"
        return describe(flows, f"Gradient flow of {subject.name}", about, **update)
    for cell in cells:
        if cell not in CELLS:
            raise UserError(f"argument `cells` must be of {', '.join(CELLS)}, but one is `{cell}`")
    length = length or 60
    sizes: dict[str, Any] = {"layers": layers, "hidden_size": hidden_size, "length": length, "seed": seed, **update}
    pairs = itertools.product(cells, initializations)
    flows = [flow for cell, initialization in pairs for flow in fresh_flows(cell, initialization, **sizes)]
    about = f"{hidden_size} units, initial weights, {length} random pieces; the loss is that of the last position"
    return describe(flows, "Gradient flow of fresh cells", about, **update)


def describe(flows: list[Flow], title: str, about: str, learning_rate: float, clip_norm: float) -> Inspection:
    groups = list(dict.fromkeys(flow.group for flow in flows))
    summary = [f"{about[0].upper()}{about[1:]}."]
    for group in groups:
        told = (f"{flow.name} {flow.verdict} ({flow.ratio:.2f} a step)" for flow in flows if flow.group == group)
        summary.append(f"{group}: {', '.join(told)}.")
    verdicts = [
        [flow.group, flow.name, flow.verdict, flow.ratio, mean_ratio(flow.loss), flow.update, flow.clipped]
        for flow in flows
    ]
    head = ["", "weights", "verdict", "ratio of dh/dh", "ratio of dLoss/dh", "update", "update, clipped"]
    recurrent = [
        [flow.group, flow.name, gate, value, flow.eigenvalue[gate]]
        for flow in flows
        for gate, value in flow.singular.items()
    ]
    remarks = (
        "Ratio: geometric mean of the ratio of the norms of neighbouring steps. Below 0.9 the gradient vanishes, above "
        "1.1 it explodes. Norm of dh_t/dh_k: the largest singular value, averaged over the sequences. Dotted line, for "
        "the Elman RNN: the bound (gamma_W gamma_phi)^(t-k) of Pascanu et al. (2013, section 2), with gamma_W the "
        "largest singular value of U and gamma_phi = 1 the steepest slope of tanh and of ReLU.",
        f"Update: learning rate {learning_rate:g} times the norm of this layer's gradient; clipped: the gradient of "
        f"all weights together scaled to a norm of at most {clip_norm:g}.",
    )
    sections = [
        section("Verdicts", table(head, verdicts), *remarks),
        section(
            "Recurrent matrices",
            table(["", "weights", "matrix", "largest singular value", "largest |eigenvalue|"], recurrent),
        ),
    ]
    numbers = {
        "about": about,
        "learning_rate": learning_rate,
        "clip_norm": clip_norm,
        "flows": [
            {
                "group": flow.group, "weights": flow.name, "ratio": flow.ratio, "verdict": flow.verdict,
                "dloss_dh": flow.loss, "dh_dh": flow.state, "dh_dc": flow.memory, "bound": bound(flow),
                "singular_value": flow.singular, "eigenvalue": flow.eigenvalue,
                "update": flow.update, "update_clipped": flow.clipped,
            }
            for flow in flows
        ],
    }  # fmt: skip
    return Inspection("gradient-flow", title, summary, lambda: draw(flows, title), numbers, sections=sections)


def bound(flow: Flow) -> np.ndarray | None:
    """(gamma_W gamma_phi)^(t-k) for each distance t - k; None for cells other than the Elman RNN's."""
    return None if flow.gamma is None else flow.gamma ** np.arange(len(flow.state))


def draw(flows: list[Flow], title: str) -> Figure:
    """Draw a column for each group: gradients of the loss, Jacobians with their bound, sizes of the update."""
    from matplotlib.figure import Figure

    groups = list(dict.fromkeys(flow.group for flow in flows))
    figure = Figure(figsize=(max(6.4, 3.0 * len(groups)), 9.6), layout="constrained")
    axes = figure.subplots(3, len(groups), squeeze=False, sharey="row", height_ratios=[1, 1, 0.7])
    names = list(dict.fromkeys(flow.name for flow in flows))
    norms = [norm for flow in flows for norm in (flow.loss, flow.state)]
    top = max(norm[np.isfinite(norm)].max(initial=1) for norm in norms)
    bottom = min(norm.min() for norm in norms)
    for column, group in enumerate(groups):
        of_loss, of_state, of_update = axes[:, column]
        mine = [flow for flow in flows if flow.group == group]
        for place, flow in enumerate(mine):
            color = COLORS[names.index(flow.name) % len(COLORS)]
            style = ("-", "--", "-.", ":")[names.index(flow.name) // len(COLORS) % 4]
            label = f"{flow.name}: {flow.verdict}, {flow.ratio:.2f}"
            of_loss.semilogy(np.maximum(flow.loss, 1e-300), color=color, linestyle=style)
            of_state.semilogy(np.maximum(flow.state, 1e-300), color=color, linestyle=style, label=label)
            if (limit := bound(flow)) is not None:
                of_state.semilogy(np.maximum(limit, 1e-300), color=color, linestyle=":", linewidth=1.2)
            of_update.bar(place - 0.2, flow.update, 0.38, color=color)
            of_update.bar(place + 0.2, flow.clipped, 0.38, color=color, alpha=0.5, hatch="///", edgecolor=BACKGROUND)
        of_loss.set_title(group)
        of_state.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), handlelength=1.2, borderaxespad=0)
        of_state.axhline(1, color=FAINT, linewidth=0.8)
        for panel in (of_loss, of_state):
            panel.set_xlabel("distance in time (positions back)")
            panel.set_ylim(max(LEAST, bottom / 10), max(10.0, 10 * float(top)))
        of_update.set_yscale("log")
        of_update.set_xticks(range(len(mine)), [flow.name for flow in mine], rotation=25, ha="right")
        of_update.grid(axis="x", visible=False)
    axes[0, 0].set_ylabel("norm of dLoss/dh$_t$")
    axes[1, 0].set_ylabel("norm of dh$_t$/dh$_k$ (dotted: bound)")
    axes[2, 0].set_ylabel("size of an update\n(plain; hatched: clipped)")
    figure.suptitle(title)
    return figure
