"""The tasks: what each kind of model reads and writes, and where its code is.

A task is declared here without importing its code, because a program that only translates or predicts needs neither
torch nor the training data. A package of one's own adds a task with `register`, or with an entry point of the group
`nmt.tasks` that names its `TaskKind`; nothing else of this package has to know it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from nmt.errors import UserError, did_you_mean
from nmt.sizing import AUTO

Side = Literal["none", "pieces", "pieces_or_vectors", "label", "labels", "numbers"]
"""How a side of an example is represented: not at all, as the pieces of a text, as these or a sequence of vectors (as
`data.input` says), as one label, as one label for each word or vector, or as numbers, for the whole input or at each
position (as `model.pooling` says)."""

SideKind = Literal["text", "value", "vectors", "vector"]
"""How the value of a side of an example is read: as a text; as a text, a label, or a list of them; as a sequence of
vectors, where a flat list has one number for each position; or where a flat list is a single vector."""


@dataclass(frozen=True)
class TaskKind:
    """The declaration of a task."""

    name: str
    """The value of `task` in a configuration."""
    title: str
    """What a model of this task is, in words: `language model`."""
    task: str | type[Any]
    """The subclass of `nmt.tasks.task.Task`, or where it is: `module:Class`."""
    network: str | Callable[..., Any]
    """The function that makes the network from the configuration and the sizes of both sides, or where it is."""
    source: Side
    target: Side
    metrics: Mapping[str, str]
    """The scores of a validation that can choose the best model (`training.best_by`), and what they are called; the
    first one is the default."""
    command: str
    """The command that uses a model, for its card."""

    @property
    def decoder(self) -> bool:
        """Whether the network writes a text, and not labels or numbers."""
        return self.target == "pieces"

    def check_metric(self, name: str) -> None:
        """Raises UserError unless a validation has this score. Where there is only one, the setting has no effect."""
        if len(self.metrics) > 1 and name not in (*self.metrics, AUTO):
            raise UserError(
                f"`training.best_by` must be one of {', '.join(self.metrics)} for the task `{self.name}`, but is "
                f"{name!r} instead{did_you_mean(name, self.metrics)}"
            )

    @property
    def examples(self) -> str:
        """What a training example is called."""
        return "pairs of sentences" if self.decoder and self.source != "pieces_or_vectors" else "examples"

    def load_task(self) -> Any:
        """The class of the task; its module is imported now."""
        return _load(self.task)

    def make_network(self, *arguments: Any) -> Any:
        """The network with untrained weights; its module is imported now."""
        return _load(self.network)(*arguments)


def _load(place: Any) -> Any:
    from pkgutil import resolve_name

    return resolve_name(place) if isinstance(place, str) else place


LOSS = {"loss": "loss"}
ACCURACY = {"accuracy": "accuracy", "macro_f1": "macro F1"}
TEXT = {"bleu": "BLEU", "chrf": "chrF", **LOSS}
ENCODER, DECODER = "nmt.network.encoder_model:EncoderModel.of", "nmt.network.model:TranslationModel.of"
BUILT_IN = (
    TaskKind(
        "translation", "translation model", "nmt.tasks.translation:TranslationTask", DECODER,
        "pieces", "pieces", TEXT, "translate --model THIS_FOLDER < input.txt",
    ),
    TaskKind(
        "language_model", "language model", "nmt.tasks.language_model:LanguageModelTask",
        "nmt.network.language_model:LanguageModel.of", "none", "pieces", LOSS, "nmt sample THIS_FOLDER",
    ),
    TaskKind(
        "classification", "classification model", "nmt.tasks.classification:ClassificationTask", ENCODER,
        "pieces_or_vectors", "label", ACCURACY | LOSS, "nmt predict THIS_FOLDER < input.txt",
    ),
    TaskKind(
        "tagging", "tagging model", "nmt.tasks.tagging:TaggingTask", ENCODER,
        "pieces_or_vectors", "labels", {**ACCURACY, "entity_f1": "entity F1", **LOSS},
        "nmt predict THIS_FOLDER < input.txt",
    ),
    TaskKind(
        "regression", "regression model", "nmt.tasks.regression:RegressionTask", ENCODER,
        "pieces_or_vectors", "numbers", {"r_squared": "R squared", **LOSS}, "nmt predict THIS_FOLDER < input.jsonl",
    ),
    TaskKind(
        "captioning", "captioning model", "nmt.tasks.captioning:CaptioningTask", DECODER,
        "pieces_or_vectors", "pieces", TEXT, "nmt predict THIS_FOLDER < input.jsonl",
    ),
)  # fmt: skip

_KINDS = {kind.name: kind for kind in BUILT_IN}
GROUP = "nmt.tasks"
"""The group of entry points by which an installed package adds a task."""


def register(kind: TaskKind) -> TaskKind:
    """Make a task known under its name; a name that is taken cannot be given again."""
    if _KINDS.setdefault(kind.name, kind) is not kind:
        raise ValueError(f"there is a task called `{kind.name}` already")
    return kind


def task_kind(name: str) -> TaskKind:
    """The declaration of a task; raises UserError if no installed package has it."""
    if name in _KINDS:
        return _KINDS[name]
    from importlib.metadata import entry_points  # 30 ms, which only tasks of other packages need

    for point in entry_points(group=GROUP, name=name):
        _KINDS[name] = point.load()
    if name not in _KINDS:
        known = sorted({*_KINDS, *(point.name for point in entry_points(group=GROUP))})
        raise UserError(
            f"`task` must be one of {', '.join(known)}, but is {name!r} instead{did_you_mean(name, known)}; a task of "
            "another package needs that package"
        )
    return _KINDS[name]
