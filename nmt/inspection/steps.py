"""One translation, step by step: what encoder, attention, decoder and beam search hold at each step, on one page.

Beam search finds the translation and its search tree (`nmt.report.search_tree`). Then the model reads the translation
piece by piece, and what its engine returns at each step is kept. An export has the same tensors as torch, so the
page needs no weights.
"""

from __future__ import annotations

import base64
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nmt.errors import UserError
from nmt.inspection.attention import Attended, attended, draw, require_attention
from nmt.inspection.pages import Inspection, table
from nmt.inspection.watching import Model, Subject, open_subject
from nmt.report.blocks import Figure, section
from nmt.report.contents import SearchTree
from nmt.report.rendering import render
from nmt.report.search_tree import Fate, Node, search_tree
from nmt.report.sections import tree_section
from nmt.search.beam import SearchSettings
from nmt.search.engine import Floats
from nmt.text.vocabulary import BEGIN, END, Vocabulary

CANDIDATES = 5
"""Number of next pieces shown at each step."""

RIVALS = 12
"""Maximum number of hypotheses shown at each step, except for the part of the translation, which is always shown."""


@dataclass
class Rival:
    """A hypothesis of the beam search after a step, or a continuation that was refused."""

    text: str
    fate: Fate
    total: float
    """Its log-probability."""
    score: float | None
    """The score of a finished hypothesis."""


@dataclass
class Walk:
    """A translation, and what was there at each of its steps; the last step chooses the end symbol."""

    attention: Attended
    translation: str
    """The translation as `nmt translate` writes it."""
    encoder: Floats
    """What attention averages: the encoder's states, [source, units]."""
    contexts: Floats
    """The mean of `encoder` by the attention weights, [target, units]."""
    states: list[Floats]
    """The hidden state of each decoder layer, at the start and after each step, [target + 1, units]."""
    candidates: list[list[tuple[str, float]]]
    """The most probable next pieces at each step, and their probabilities."""
    beams: list[list[Rival]]
    """The hypotheses after each step, the most probable first."""
    tree: SearchTree


def walk(subject: Subject, text: str, beam_size: int | None = None) -> Walk:
    """Translate a sentence and keep everything; raises UserError for a text that is not one sentence of words."""
    require_attention(subject)
    translator, engine = subject.translator(), subject.engine
    decoding = translator.decoding_with(beam_size=beam_size)
    sentences = translator.prepare(text, split_sentences=False).sentences
    if len(sentences) != 1 or sentences[0].unchanged is not None or sentences[0].copies:
        raise UserError(
            f"the text must be one sentence of words, without numbers and addresses that are copied, but is `{text}` "
            "instead"
        )
    ids = translator.encode([sentences[0].text])[0][: translator.max_length]
    nodes = search_tree(engine, ids, SearchSettings.of(decoding))
    target = next(_tokens(nodes, i) for i, node in enumerate(nodes) if node.fate == "best" and node.token == END)
    memory, state = engine.start([ids])
    (values,) = _array(getattr(memory, "tensors", memory), "values")  # [heads, source, size of a head]
    encoder = values.swapaxes(0, 1).reshape(len(ids) + 1, -1)
    layers = range(subject.folder.config.model.decoder_layers)
    states = [[_array(state, f"{layer}.hidden")[0] for layer in layers]]
    weights, candidates = [], []
    for token in [BEGIN, *target[:-1]]:
        log_probs, attention, state = engine.step(memory, state, np.array([token]))
        weights.append(attention[0, : len(encoder)])
        states.append([_array(state, f"{layer}.hidden")[0] for layer in layers])
        best = np.argsort(-log_probs[0], kind="stable")[:CANDIDATES].tolist()
        names = _names(translator.target_vocabulary, best)
        candidates.append(list(zip(names, np.exp(log_probs[0, best]).tolist(), strict=True)))
    pieces = translator.target_vocabulary.pieces([node.token for node in nodes])
    return Walk(
        attended(subject, ids, target[:-1], np.stack(weights)),
        translator.translate([text], split_sentences=False, beam_size=beam_size)[0].text,
        encoder,
        np.stack(weights) @ encoder,
        [np.stack(layer) for layer in zip(*states, strict=True)],
        candidates,
        [_rivals(nodes, step, translator.target_vocabulary) for step in range(1, len(target) + 1)],
        SearchTree(0, text, nodes, pieces, decoding.beam_size),
    )


def _array(tensors: Any, name: str) -> Floats:
    """A tensor of a memory or a state: torch's by its name, that of an export by the end of its name."""
    tensor = next(value for key, value in tensors.items() if key.split(".", 1)[-1] == name or key == name)
    return np.array(tensor.array if hasattr(tensor, "array") else tensor.cpu().numpy(), np.float32)


def _tokens(nodes: list[Node], index: int) -> list[int]:
    """The ids of a hypothesis from its first piece on."""
    found: list[int] = []
    while index >= 0:
        found.append(nodes[index].token)
        index = nodes[index].parent
    return found[::-1]


def _names(vocabulary: Vocabulary, ids: list[int]) -> list[str]:
    return ["⟨end⟩" if token == END else piece for token, piece in zip(ids, vocabulary.pieces(ids), strict=True)]


def _rivals(nodes: list[Node], step: int, vocabulary: Vocabulary) -> list[Rival]:
    found = sorted((i for i, node in enumerate(nodes) if node.step == step), key=lambda i: -nodes[i].total)
    shown = [i for rank, i in enumerate(found) if rank < RIVALS or nodes[i].fate == "best"]
    texts = ["".join(_names(vocabulary, _tokens(nodes, i))).replace("▁", " ").strip() for i in shown]
    return [Rival(text, nodes[i].fate, nodes[i].total, nodes[i].score) for text, i in zip(texts, shown, strict=True)]


def steps(model: Model, text: str, *, beam_size: int | None = None, threads: int | None = None) -> Inspection:
    """A page that steps through one translation: encoder, attention and context vector, decoder, beam."""
    subject = open_subject(model, threads, "steps")
    found = walk(subject, text, beam_size)
    own = found.attention
    title = f"One translation of {subject.name}, step by step"
    summary = [
        f"`{text}` becomes `{found.translation}`: {len(own.source)} pieces in, {len(own.target)} out, "
        f"beam {found.tree.beam_size}."
    ]
    rows = [
        [number, read, own.source[int(weights.argmax())], float(weights.max()), chosen, dict(best).get(chosen, "")]
        for number, (read, weights, chosen, best) in enumerate(
            zip(["⟨begin⟩", *own.target], own.weights, own.target, found.candidates, strict=False), 1
        )
    ]
    head = ["step", "the decoder reads", "attends most to", "weight", "search chooses", "probability"]
    remark = (
        f"The probability is missing where the piece is not among the {CANDIDATES} most probable ones: the search "
        "chose it for what comes after it."
    )
    numbers = {
        "source": own.source, "target": own.target, "translation": found.translation, "weights": own.weights,
        "encoder": found.encoder, "contexts": found.contexts, "states": found.states,
        "candidates": found.candidates, "beams": [[asdict(rival) for rival in beam] for beam in found.beams],
    }  # fmt: skip
    return Inspection(
        "steps", title, summary, lambda: draw([own], title), numbers, texts=[*own.source, *own.target],
        first=[section("Step by step", Figure(player(found, subject.folder.config.model.attention == "multi_head")))],
        sections=[section("All steps", table(head, rows), remark), tree_section(found.tree)],
    )  # fmt: skip


def player(found: Walk, several_heads: bool) -> str:
    """The steps as HTML to move through, with all their numbers inside, so that it works offline."""
    largest = float(np.abs(found.encoder).max())  # a mean of states is never larger than they are
    data = {
        "source": found.attention.source, "target": found.attention.target,
        "weights": np.round(found.attention.weights.astype(float), 4).tolist(),
        "encoder": _coded(found.encoder, largest), "contexts": _coded(found.contexts, largest),
        "states": [_coded(layer, float(np.abs(layer).max())) for layer in found.states],
        "candidates": found.candidates,
        "beams": [[[rival.text, rival.fate, rival.total, rival.score] for rival in beam] for beam in found.beams],
    }  # fmt: skip
    template = Path(__file__).with_name("steps.html.jinja")
    return render(template, data=data, layers=len(found.states), several_heads=several_heads)


def _coded(rows: Floats, largest: float) -> list[str]:
    """Each row as bytes from -127 to 127, for `largest`, in base64."""
    steps = np.round(rows / max(largest, 1e-9) * 127).astype(np.int8)
    return [base64.b64encode(row.tobytes()).decode() for row in steps]
