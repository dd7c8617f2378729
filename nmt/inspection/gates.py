"""Activations of gates and cells while a text is read, and single units that track a property of the text.

Karpathy, Johnson & Li (2016), Visualizing and understanding recurrent networks, https://arxiv.org/abs/1506.02078:
interpretable cells (section 4.2) and saturation of the gates (section 4.2, figure 3).
"""

from __future__ import annotations

import base64
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import numpy.typing as npt
import torch

from nmt.errors import UserError
from nmt.inspection.pages import COLORS, FAINT, Inspection, diverging, ramp, table
from nmt.inspection.watching import (
    Model,
    NamedLayer,
    Source,
    Subject,
    Texts,
    batch_of,
    choose_layer,
    gate_activations,
    layers_of,
    open_subject,
    read_pairs,
    watched,
)
from nmt.network.encoder_model import EncoderModel
from nmt.network.language_model import LanguageModel
from nmt.report.blocks import Figure, section
from nmt.report.rendering import render
from nmt.text.vocabulary import BEGIN, END, Vocabulary

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

Floats = npt.NDArray[np.float32]

CLOSED, OPEN = 0.1, 0.9
"""A gate at most this is left-saturated, one at least that right-saturated (Karpathy et al. 2016, section 4.2)."""

DRAWN_UNITS = 40

SHOWN_SENTENCES = 25
"""Maximum number of sentences in the coloured text of the page."""

SHOWN_POSITIONS = 6000
"""Maximum number of positions in that text."""


@dataclass
class Reading:
    """What one layer did at each position, in the order of the text."""

    layer: NamedLayer
    pieces: list[str]
    """The piece at each position, in readable form."""
    lines: npt.NDArray[np.int64]
    """The line number of each position."""
    values: Floats
    """[positions, hidden]: tanh of an LSTM's cell, for other cells the hidden state; between -1 and 1 except with
    ReLU."""
    gates: dict[str, Floats]
    """Activations by gate, [positions, hidden]."""


def read(subject: Subject, sources: Sequence[Any], targets: Sequence[str], layer: NamedLayer) -> Reading:
    """Let the model read pairs one by one and record a layer; a language model carries its state from line to line."""
    model, folder = subject.model, subject.folder
    vocabulary = folder.source_vocabulary if layer.side == "source" else folder.target_vocabulary
    pieces, lines, values = [], [], []
    opened: dict[str, list[torch.Tensor]] = {}
    state = None
    for number, (source, target) in enumerate(zip(sources, targets, strict=True)):
        batch = batch_of(subject, [source], [target])
        with torch.no_grad(), watched(model) as record:
            if isinstance(model, LanguageModel):
                _, state = model.decode(batch.inputs, {}, state or model.initial_state(1))
            elif isinstance(model, EncoderModel):
                model(batch.source, batch.lengths)
            else:
                memory, start = model.encode(batch.source, batch.lengths)
                model.decode(batch.inputs, memory, start)
        cell = layer.cells[-1]
        steps = record[cell]
        told = torch.cat([after[-1] for after in steps.after])  # [length, hidden]; of an LSTM's state the cell
        value = told.tanh() if len(cell.state_names) > 1 else told
        read = (batch.source if layer.side == "source" else batch.inputs)[:, 0].tolist()
        if layer.backward:  # in the order of the text
            value = value.flip(0)
        values.append(value)
        for name, activation in gate_activations(cell, steps).items():
            activation = activation.squeeze(1)
            opened.setdefault(name, []).append(activation.flip(0) if layer.backward else activation)
        vectors = layer.side == "source" and folder.config.reads_vectors
        pieces += [f" {place}" for place in range(1, len(read) + 1)] if vectors else shown_pieces(vocabulary, read)
        lines += [number] * len(read)
    return Reading(
        layer,
        pieces,
        np.array(lines),
        torch.cat(values).numpy(),
        {name: torch.cat(each).numpy() for name, each in opened.items()},
    )


def shown_pieces(vocabulary: Vocabulary, ids: Sequence[int]) -> list[str]:
    """Pieces in readable form: a space where a word begins, names for the begin and end symbols."""
    names = {BEGIN: "⟨begin⟩", END: "⟨end⟩"}
    return [names.get(i, piece.replace("▁", " ")) for i, piece in zip(ids, vocabulary.pieces(ids), strict=True)]


def properties(pieces: Sequence[str], lines: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.float64]]:
    """Properties of each position that a unit might track.

    position: pieces read of the line; length left: pieces still to come; quotes, brackets: whether the position is
    inside a pair of them (the opening mark included); number: whether the piece has a digit.
    """
    found = {name: np.zeros(len(pieces)) for name in ("position", "length left", "quotes", "brackets", "number")}
    for number in np.unique(lines):
        places = np.flatnonzero(lines == number).tolist()
        found["position"][places] = np.arange(len(places))
        found["length left"][places] = np.arange(len(places))[::-1]
        quoted, depth = False, 0
        for place in places:
            for character in pieces[place]:
                if character in OPENING:
                    depth += 1
                elif character in "”»" or (character in PLAIN_QUOTES and quoted):
                    quoted = False
                elif character in "„“«" or character in PLAIN_QUOTES:
                    quoted = True
            found["quotes"][place], found["brackets"][place] = quoted, depth > 0
            depth = max(0, depth - sum(character in CLOSING for character in pieces[place]))
        found["number"][places] = [bool(re.search(r"\d", pieces[place])) for place in places]
    return found


OPENING, CLOSING, PLAIN_QUOTES = "([{", ")]}", '"'


@dataclass
class Meaning:
    """A unit whose value correlates with a property of the text."""

    what: str
    unit: int
    searched: float
    """Pearson correlation over the half of the lines in which it was found."""
    checked: float
    """The same over the other half: a fair estimate, as the unit was not chosen by these lines."""


def find_meanings(reading: Reading) -> list[Meaning]:
    """The three units that correlate best with each property, found on the even lines and checked on the odd ones.

    Among hundreds of units some correlate by chance, which the other half of the lines reveals. A property that does
    not vary in both halves is left out.
    """
    even = reading.lines % 2 == 0
    meanings = []
    for what, wanted in properties(reading.pieces, reading.lines).items():
        if len(np.unique(wanted[even])) < 2 or len(np.unique(wanted[~even])) < 2:
            continue
        searched, checked = (correlations(reading.values[half], wanted[half]) for half in (even, ~even))
        best = np.argsort(-np.abs(searched), kind="stable")[:3]
        meanings += [Meaning(what, int(unit), float(searched[unit]), float(checked[unit])) for unit in best]
    return meanings


def correlations(values: Floats, wanted: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Pearson correlation of every column of [positions, units] with [positions]; 0 where a unit never changes."""
    centred = values.astype(np.float64) - values.mean(0, dtype=np.float64)
    other = wanted - wanted.mean()
    norms = np.linalg.norm(centred, axis=0) * np.linalg.norm(other)
    found: npt.NDArray[np.float64] = other @ centred / np.where(norms > 1e-12, norms, np.inf)
    return found


@dataclass
class Saturation:
    """How often each unit of a gate is saturated."""

    gate: str
    closed: Floats
    """Share of the positions at which the gate is below CLOSED, [hidden]."""
    open: Floats
    """Share at which it is above OPEN, [hidden]."""


def saturations(reading: Reading) -> list[Saturation]:
    """The saturation of every gate whose values are between 0 and 1."""
    return [
        Saturation(name, (values < CLOSED).mean(0), (values > OPEN).mean(0))
        for name, values in reading.gates.items()
        if name != "candidate"
    ]


def in_words(saturated: Sequence[Saturation], meanings: Sequence[Meaning]) -> Iterator[str]:
    """A sentence on the saturation of each gate, and one on the best unit for each property."""
    for each in saturated:
        closed, opened = (f"{100 * share.mean():.0f} %" for share in (each.closed, each.open))
        yield f"{each.gate}: below {CLOSED} at {closed} of all positions and units, above {OPEN} at {opened}."
    for what, own in itertools.groupby(meanings, lambda meaning: meaning.what):
        best = max(own, key=lambda meaning: abs(meaning.searched))
        told = f"(correlation {best.checked:+.2f} on lines that were not searched)"
        yield f"{what}: unit {best.unit} fits best {told}."


def gates(
    model: Model, sentences: Texts = (), *, layer: str | None = None, unit: int | None = None, **where: Unpack[Source]
) -> Inspection:
    """Gates of a layer (`decoder-1`) for the first sentence, units that track a property, and the coloured text.

    unit: the unit whose value colours the text first; None: the one that correlates best with a property
    """
    subject = open_subject(model, where.get("threads"))
    named = choose_layer(layers_of(subject.model), layer)
    sources, targets = read_pairs(subject, sentences, where, 200)
    reading = read(subject, sources, targets, named)
    hidden = reading.values.shape[1]
    if unit is not None and not 0 <= unit < hidden:
        raise UserError(f"argument `unit` must be from 0 to {hidden - 1}, but is {unit} instead")
    meanings, saturated = find_meanings(reading), saturations(reading)
    if unit is None:
        unit = max(meanings, key=lambda meaning: abs(meaning.searched)).unit if meanings else 0
    cell_name = subject.folder.config.model.cell.upper().replace("_", " ")
    title = f"Gates of {subject.name}: {named.name} ({cell_name})"
    about = (
        f"{len(reading.pieces):,} positions of {len(sources):,} lines were read; layer {named.name}, {hidden} units."
    )
    summary = [about, *in_words(saturated, meanings)]
    rows = [[meaning.what, meaning.unit, f"{meaning.searched:+.3f}", f"{meaning.checked:+.3f}"] for meaning in meanings]
    remark = (
        "Pearson correlation of a unit's value (tanh of an LSTM's cell; otherwise the hidden state) with a property of "
        "the position. Units are searched on every second line and checked on the others. Only the second number is "
        "meaningful, because among many units some fit any text by chance. Number: the piece has a digit."
    )
    sections = [
        section("The text, coloured by a unit", Figure(colored_text(reading, unit, meanings))),
        section(
            "Units that go along with something",
            table(["property", "unit", "correlation, searched lines", "correlation, other lines"], rows),
            remark,
        ),
    ]
    first = reading.lines == reading.lines[0]
    pieces = list(itertools.compress(reading.pieces, first))
    numbers = {
        "layer": named.name,
        "sentence": pieces,
        "gates": {name: values[first] for name, values in reading.gates.items()},
        "values": reading.values[first],
        "saturation": [{"gate": s.gate, "closed": s.closed, "open": s.open} for s in saturated],
        "meanings": [vars(meaning) for meaning in meanings],
    }
    return Inspection(
        "gates", title, summary, lambda: draw(reading, saturated, title), numbers, texts=pieces, sections=sections
    )


def draw(reading: Reading, saturated: list[Saturation], title: str) -> Picture:
    """Draw every gate and the value for the first sentence (top), and how often each unit is saturated (bottom)."""
    from matplotlib.figure import Figure as Picture

    first = np.flatnonzero(reading.lines == reading.lines[0])[:60]
    pieces = [reading.pieces[place].strip() or "␣" for place in first]
    value_name = "tanh of the cell" if len(reading.layer.cells[-1].state_names) > 1 else "hidden state"
    panels = {**reading.gates, value_name: reading.values}
    values = reading.values[first]
    units = np.argsort(-values.std(0), kind="stable")[:DRAWN_UNITS]
    units = units[np.argsort(values[:, units].mean(0), kind="stable")]
    upper, lower = 1.35 * len(panels) + 1, 3.4 if saturated else 0
    figure = Picture(figsize=(max(9.0, 0.22 * len(pieces) + 3), upper + lower), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=[upper, lower]) if saturated else [figure]
    axes = parts[0].subplots(len(panels), 1, squeeze=False, sharex=True)[:, 0]
    for panel, (name, activations) in zip(axes, panels.items(), strict=True):
        signed = name in (value_name, "candidate")
        image = panel.imshow(
            activations[np.ix_(first, units)].T, aspect="auto", interpolation="nearest",
            cmap=diverging() if signed else ramp(), vmin=-1 if signed else 0, vmax=1,
        )  # fmt: skip
        panel.set_ylabel(name)
        panel.set_yticks([])
        panel.tick_params(length=0)
        panel.grid(visible=False)
        parts[0].colorbar(image, ax=panel, pad=0.01, aspect=8)
    axes[-1].set_xticks(range(len(pieces)), pieces, rotation=90, fontsize=9, parse_math=False)
    axes[-1].set_xlabel(f"piece read (rows: the {len(units)} of {values.shape[1]} units that change most)")
    if saturated:
        for panel, each in zip(parts[1].subplots(1, len(saturated), squeeze=False)[0], saturated, strict=True):
            panel.plot([0, 1], [1, 0], color=FAINT, linewidth=0.8)
            panel.plot(each.open, each.closed, "o", markersize=4, alpha=0.6, color=COLORS[0])
            panel.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), title=each.gate, aspect="equal")
            panel.set(xlabel=f"share of positions above {OPEN}", ylabel=f"share below {CLOSED}")
    figure.suptitle(title, parse_math=False)
    return figure


def colored_text(reading: Reading, unit: int, meanings: Sequence[Meaning]) -> str:
    """The text as HTML, coloured by a unit's value (red above zero, blue below); buttons choose the unit.

    The page contains the values of all units, in steps of 1/127, so it works offline. Without scripts it shows `unit`.
    """
    shown = np.flatnonzero(reading.lines < SHOWN_SENTENCES)[:SHOWN_POSITIONS]
    largest = max(1.0, float(np.abs(reading.values[shown]).max()))
    steps = np.round(reading.values[shown] / largest * 127).astype(np.int8)
    lines: list[list[tuple[str, float]]] = []
    for place, value in zip(shown, steps[:, unit].tolist(), strict=True):
        if place == shown[0] or reading.lines[place] != reading.lines[place - 1]:
            lines.append([])
        lines[-1].append((reading.pieces[place], value / 127))
    data = {"units": steps.shape[1], "scale": largest, "values": base64.b64encode(steps.tobytes()).decode()}
    template = Path(__file__).with_name("colored_text.html.jinja")
    return render(template, lines=lines, unit=unit, meanings=meanings, data=data)
