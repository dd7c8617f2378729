"""The bottleneck that attention removes: one vector of fixed size can hold short sentences but not long ones.

Cho et al. (2014), On the properties of neural machine translation, https://arxiv.org/abs/1409.1259, and Bahdanau et al.
(2015), figure 2, https://arxiv.org/abs/1409.0473: quality against sentence length, without and with attention.
Sutskever et al. (2014), section 3.3, https://arxiv.org/abs/1409.3215: reversing the source brings its first words near
the first words of the target.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nmt.config import Config, parse_config
from nmt.data import probes
from nmt.data.corpus import load_pairs
from nmt.errors import UserError
from nmt.inspection.pages import COLORS, Inspection, Say, one_panel, table
from nmt.model_files import remove_abandoned
from nmt.network.torch_engine import find_device
from nmt.report.blocks import section
from nmt.scores.metrics import bleu
from nmt.tasks.resolving import resolve_for_training
from nmt.training.loop import train
from nmt.translation.translator import Translator

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER = "nmt-bottleneck-"
"""Prefix of the temporary folders in which the models are trained."""
LENGTHS = (5, 10, 15, 20, 25, 30)
"""Numbers of digits of the sentences to copy."""

PAIRS = {"train": 8000, "validation": 50, "test": 100}
"""Number of pairs of each length."""

BUCKETS = 6
"""Number of groups of similar length into which the sentences of a corpus are divided."""

PROBE: dict[str, Any] = {
    "data": {"source": "digits", "target": "answer"},
    "vocabulary": {"size": 32, "byte_fallback": False},
    "model": {
        "embedding_size": 32, "hidden_size": 128, "decoder_layers": 1, "input_normalization": "none",
        "attention": "none", "tied_embeddings": "none", "dropout": 0.0, "embedding_dropout": 0.0,
        "output_dropout": 0.0, "initialization": "orthogonal",
    },
    "training": {
        "epochs": 5, "batch_size": 64, "learning_rate": 0.004, "betas": [0.9, 0.998], "warmup": 0, "decay_start": 0.0,
        "clip_norm": 1.0, "label_smoothing": 0.0, "average_decay": 0.0, "source_sampling": 0.0,
        "source_word_dropout": 0.0, "target_word_dropout": 0.0, "precision": "fp32", "best_by": "loss",
    },
}  # fmt: skip
"""The model that copies."""


@dataclass
class Variant:
    """One of the four models."""

    attention: bool
    reverse_source: bool
    quality: list[float]
    """Quality at each length, 0 to 100: share of correct digits for probe tasks, otherwise BLEU."""
    seconds: float
    """Training time."""

    @property
    def name(self) -> str:
        order = "reversed" if self.reverse_source else "as it is"
        return f"{'attention' if self.attention else 'no attention'}, source {order}"


def variant_config(config: Config, attention: bool, reverse_source: bool) -> Config:
    """The same configuration with a unidirectional encoder, with or without attention and source reversal."""
    values = asdict(config)
    kind = config.model.attention if config.model.attention != "none" else "general"
    values["model"] |= {
        "bidirectional": False,
        "attention": kind if attention else "none",
        "reverse_source": reverse_source,
    }
    if not attention:
        values["model"] |= {"input_feeding": "none", "coverage": False}
    return parse_config(values, "bottleneck")


def write_probe(folder: Path, task: str, lengths: Sequence[int]) -> Config:
    """Write files of a probe task (`nmt.data.probes`) in several lengths; returns a configuration for training."""
    drawn = [probes.pairs(task, length) for length in lengths]
    for split, count in PAIRS.items():
        chosen = [pair for each in drawn for pair in each[split][:count]]
        for side, suffix in enumerate(("digits", "answer")):
            text = "".join(f"{pair[side]}\n" for pair in chosen)
            (folder / f"{split}.{suffix}").write_text(text, encoding="utf-8")
    return parse_config({**PROBE, "data": {**PROBE["data"], "path": str(folder)}}, "bottleneck")


def buckets(lengths: Sequence[int], count: int = BUCKETS) -> list[list[int]]:
    """Indices of sentences of similar length: a group for each length if there are few lengths, else groups of equal
    size."""
    different = sorted(set(lengths))
    if len(different) <= count:
        return [[i for i, length in enumerate(lengths) if length == wanted] for wanted in different]
    edges = np.quantile(lengths, np.linspace(0, 1, count + 1)[1:-1], method="nearest")
    numbers = np.searchsorted(edges, lengths, side="left")
    groups = [np.flatnonzero(numbers == number).tolist() for number in range(count)]
    return [group for group in groups if group]


def symbols_right(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Share of the references' symbols that are at the same position in the hypothesis, in percent."""
    right = total = 0
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        wanted = reference.split()
        total += len(wanted)
        right += sum(one == other for one, other in zip(hypothesis.split(), wanted, strict=False))
    return 100 * right / max(1, total)


def bottleneck(
    config: Config | None = None, *, task: str = "copy", lengths: Sequence[int] | None = None,
    epochs: int | None = None, threads: int | None = None, say: Say = print,
) -> Inspection:  # fmt: skip
    """Train models with and without attention and source reversal; compare their quality by sentence length.

    They learn a probe task (`copy`, `reverse` or `sort`) in these lengths or, given a configuration, its corpus.
    """
    if config is not None and lengths is not None:
        raise UserError("argument `lengths` is for the probe task and excludes a CONFIG")
    for length in lengths or ():
        if not 5 <= length <= 1000:
            raise UserError(f"argument `lengths` must be from 5 to 1000 (as `data.probe_length`), but one is {length}")
    lengths = lengths or LENGTHS
    remove_abandoned(Path(tempfile.gettempdir()), FOLDER)
    with tempfile.TemporaryDirectory(prefix=f"{FOLDER}{os.getpid()}-") as name:
        folder = Path(name)
        base = config or write_probe(folder, task, lengths)
        if epochs is not None:
            base.training.epochs = epochs
        base = resolve_for_training(base, find_device("cpu"), say)
        test = load_pairs(base.data, "test")
        sources, targets = list(test["source"]), list(test["target"])
        words = [len(source.split()) for source in sources]
        groups = buckets(words, max(BUCKETS, len(lengths)) if config is None else BUCKETS)
        variants: list[Variant] = []
        for attention in (False, True):
            for reverse_source in (False, True):
                started = time.perf_counter()
                output = folder / f"run-{len(variants)}"
                train(variant_config(base, attention, reverse_source), output, threads=threads, say=lambda line: None)
                variant = Variant(attention, reverse_source, [], time.perf_counter() - started)
                found = [
                    translation.text for translation in Translator.load(output, threads=threads).translate(sources)
                ]
                for group in groups:
                    own, wanted = [found[i] for i in group], [targets[i] for i in group]
                    right = (
                        symbols_right(own, wanted) if config is None else bleu(own, [wanted], base.data.languages[1])
                    )
                    variant.quality.append(right)
                variants.append(variant)
                told = ", ".join(f"{value:.0f}" for value in variant.quality)
                say(f"{variant.name}: trained in {variant.seconds:.0f} s; {told}")
                if len(variants) == 1 and variant.seconds >= 60:
                    say(f"about {variant.seconds * 3 / 60:.0f} minutes more for the other three; Ctrl-C stops")
    middles = [float(np.mean([words[i] for i in group])) for group in groups]
    quality = "symbols right (%)" if config is None else "BLEU"
    corpus = f"builtin:{task}" if config is None else base.data.path
    return describe(variants, middles, quality, corpus, base)


def describe(variants: list[Variant], lengths: list[float], quality: str, corpus: str, config: Config) -> Inspection:
    """Picture, sentences and table."""
    title = f"The bottleneck of a fixed context vector ({corpus})"
    model, minutes = config.model, sum(variant.seconds for variant in variants) / 60
    summary = [
        f"The same {model.cell.upper().replace('_', ' ')} of {model.hidden_size} units four times: encoder in one "
        f"direction, {config.training.epochs} {'epoch' if config.training.epochs == 1 else 'epochs'} each, "
        f"{minutes:.1f} minutes in all.",
        *(
            f"{variant.name[0].upper()}{variant.name[1:]}: {variant.quality[0]:.0f} at length {lengths[0]:.0f}, "
            f"{variant.quality[-1]:.0f} at length {lengths[-1]:.0f} ({quality})."
            for variant in variants
        ),
    ]
    head = ["model", *(f"length {length:.3g}" for length in lengths), "training (s)"]
    rows = [
        [variant.name, *(round(value, 1) for value in variant.quality), round(variant.seconds)] for variant in variants
    ]
    remark = (
        "Without attention the decoder knows only one vector of the source, the encoder's last state. With attention "
        "it can read the encoder's states at all positions. Reversal shortens the path from the first source words to "
        "the first target words without changing the mean."
    )
    numbers = {"corpus": corpus, "quality": quality, "lengths": lengths,
               "models": [{"name": variant.name, **vars(variant)} for variant in variants]}  # fmt: skip
    sections = [section("Numbers", table(head, rows), remark)]
    return Inspection(
        "bottleneck", title, summary, lambda: draw(variants, lengths, quality, title), numbers, sections=sections
    )


def draw(variants: list[Variant], lengths: list[float], quality: str, title: str) -> Figure:
    figure, panel = one_panel((8.5, 5.5), title, "source length (words)", quality)
    for variant in variants:
        panel.plot(
            lengths, variant.quality, marker="o", linestyle="--" if variant.reverse_source else "-",
            color=COLORS[0] if variant.attention else COLORS[1], label=variant.name,
        )  # fmt: skip
    panel.set_ylim(0, 102 if quality != "BLEU" else None)
    panel.legend()
    return figure
