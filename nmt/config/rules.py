"""Which settings exclude each other, and why: one list that the checker, docs/configuration.md and the tests read."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, get_args

from nmt.config.fields import SECTIONS, AttentionName, Config, SourceConfig
from nmt.config.ranges import out_of_range
from nmt.config.tasks import task_kind
from nmt.errors import UserError
from nmt.sizing import NOMINAL, resolve


@dataclass(frozen=True)
class Values:
    """Values of a setting that cannot all be listed."""

    words: str
    """Their description after the setting's name in docs/configuration.md; empty if another setting describes them."""
    holds: Callable[[Any], bool]
    """Whether a value is one of them."""
    examples: tuple[Any, ...]

    def __contains__(self, value: Any) -> bool:
        return self.holds(value)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.examples)


def above(limit: float, *examples: float) -> Values:
    """Numbers greater than a limit."""
    return Values(f"above {limit}", lambda value: value > limit, examples)


def some(words: str, example: Any) -> Values:
    """A value that is refused or accepted depending on other settings of the rule."""
    return Values(words, lambda value: True, (example,))


SET = Values("set", bool, ("some.file",))
UNSET = Values("unset", lambda value: value is None, (None,))
NOT_1 = Values("other than 1", lambda value: value != 1, (2.0,))
ODD = Values("odd", lambda value: value % 2 == 1, (13,))
EXTRA = [SourceConfig(path="builtin:captions")]
REVERSED = [SourceConfig(path="builtin:captions", reversed=True)]
FURTHER = Values("set", bool, (EXTRA, REVERSED))
HAS_REVERSED = Values("with `reversed = true`", lambda extra: any(one.reversed for one in extra), (REVERSED,))


class Rule(NamedTuple):
    """Values of two or more settings that exclude each other."""

    together: Mapping[str, list[Any] | Values]
    """The settings (`section.key`) and their values; every combination of these values is refused."""
    must: str
    """The condition, as it follows "must be"; empty if two other rules refuse the combination."""
    reason: str
    """The reason, for docs/configuration.md."""
    when: Callable[[Config], bool] = lambda config: True
    """A further condition, if the values depend on each other."""
    shown: bool = True
    """Whether the message shows the value."""
    first: bool = False
    """Whether the message names the first of the settings, instead of the last."""

    @property
    def blamed(self) -> str:
        """The setting that the message names."""
        return list(self.together)[0 if self.first else -1]

    def broken(self, config: Config) -> bool:
        return all(value_of(config, name) in values for name, values in self.together.items()) and self.when(config)

    def message(self, config: Config) -> str:
        """The error message for a configuration that breaks the rule."""
        must = self.must.format(**vars(config))
        instead = f", but is {value_of(config, self.blamed)!r} instead" if self.shown else ""
        return f"`{self.blamed}` must be {must}{instead}"

    def cases(self) -> Iterator[dict[str, Any]]:
        """Every combination of values, or of their examples, that is refused."""
        return (dict(zip(self.together, chosen, strict=True)) for chosen in itertools.product(*self.together.values()))

    def in_words(self) -> Iterator[str]:
        """Each setting with its values, for docs/configuration.md."""
        for name, values in self.together.items():
            if isinstance(values, list):
                listed = [f"`{json.dumps(value)}`" for value in values]
                yield f"`{name}` = " + " or ".join(filter(None, (", ".join(listed[:-1]), listed[-1])))
            elif values.words:
                yield f"`{name}` {values.words}"


def value_of(config: Config, name: str) -> Any:
    """The value of a setting by its name: `task`, `model.cell`."""
    section, _, key = name.rpartition(".")
    return getattr(getattr(config, section) if section else config, key)


def minimum_risk(name: str, values: list[Any] | Values, must: str, reason: str) -> Rule:
    """A rule on values that exclude the objective `minimum_risk`."""
    must += " with objective minimum_risk, whose candidates are the model's own"
    return Rule({"training.objective": ["minimum_risk"], name: values}, must, reason)


def excluding(cause: Mapping[str, list[Any] | Values], must: str, reason: str) -> Callable[..., Rule]:
    """A function that makes rules on values that one value of another setting excludes, usually for the same reason."""

    def rule(name: str, values: list[Any] | Values, reason: str = reason, must: str = must) -> Rule:
        return Rule({**cause, name: values}, must, reason, shown=False)

    return rule


TEXT_ONLY = Values("that reads only text", lambda task: task_kind(task).source != "pieces_or_vectors", ("translation",))
NOT_TAGGING = Values("without a label for each unit", lambda task: task_kind(task).target != "labels", ("regression",))
ONE_LABEL = Values("of one label", lambda task: task_kind(task).target == "label", ("classification",))
WITHOUT_DECODER = Values("of labels", lambda task: not task_kind(task).decoder, ("classification",))

language_model = excluding(
    {"task": ["language_model"]}, "left out for a language model", "a language model has no source"
)
without_decoder = excluding({"task": WITHOUT_DECODER}, "left out for the task `{task}`", "the network has no decoder")
with_vectors = excluding(
    {"data.input": ["vectors"]}, 'left out with `data.input = "vectors"`', "vectors have no pieces"
)

GRADUALLY = ["constant", "linear", "exponential", "inverse_sigmoid"]
"""The kinds of scheduled sampling."""

RULES = [
    Rule(
        {"task": ["translation"], "data.source": some("= `data.target`", "de"), "data.target": some("", "de")},
        "another language than `data.source`",
        "there is nothing to translate",
        when=lambda config: config.data.source == config.data.target,
    ),
    Rule(
        {"vocabulary.joint": [True], "vocabulary.normalization": ["nfkc"]},
        "identity with a joint vocabulary",
        "it would also normalise the target, but translations must be written as people write",
    ),
    Rule(
        {"data.extra": HAS_REVERSED, "vocabulary.joint": [False]},
        "true where `data.extra` has reversed pairs",
        "each side's vocabulary would have to segment the other language",
    ),
    Rule(
        {"data.extra": HAS_REVERSED, "vocabulary.normalization": ["nfkc"]},
        "",
        "reversed pairs need a joint vocabulary, and `nfkc` needs two vocabularies",
    ),
    Rule(
        {"vocabulary.target": SET, "vocabulary.source": UNSET},
        "unset unless `vocabulary.source` is set",
        "either both vocabularies are given, or both are learned",
        first=True,
    ),
    *(
        Rule(
            {"vocabulary.model_type": ["char"], f"training.{side}_sampling": above(0, 0.3)},
            "0 with a character vocabulary",
            "there is only one way to segment a text into characters",
        )
        for side in ("source", "target")
    ),
    Rule(
        {"model.bidirectional": [True], "model.hidden_size": ODD},
        "even for a bidirectional encoder",
        "each direction has half of the units",
    ),
    Rule(
        {
            "model.attention": ["multi_head"],
            "model.hidden_size": some("", 16),
            "model.attention_heads": some("no divisor of `model.hidden_size`", 3),
        },
        "a divisor of `model.hidden_size`",
        "each head has an equal share of the units",
        when=lambda config: config.model.hidden_size % max(1, config.model.attention_heads) != 0,
    ),
    Rule(
        {"model.attention": ["none"], "model.input_feeding": ["luong", "bahdanau"]},
        "none without attention",
        "there is no context vector to feed back",
    ),
    Rule(
        {"model.attention": ["none"], "model.coverage": [True]},
        "false without attention",
        "there is no attention to add up",
    ),
    Rule(
        {"decoding.beam_size": some("", 5), "decoding.groups": some("above `decoding.beam_size`", 6)},
        "at most `decoding.beam_size` ({decoding.beam_size})",
        "each group needs a place in the beam",
        when=lambda config: config.decoding.groups > config.decoding.beam_size,
    ),
    Rule(
        {"model.input_feeding": ["luong", "bahdanau"], "model.input_normalization": ["batch"]},
        "none or layer with input feeding: batch statistics need all positions at once",
        "batch statistics need all positions at once, but input feeding computes them one by one",
    ),
    Rule(
        {"model.tied_embeddings": ["all"], "vocabulary.joint": [False]},
        "none or decoder without a joint vocabulary",
        "one matrix can only hold the pieces of one vocabulary",
        first=True,
    ),
    Rule(
        {"model.tied_embeddings": ["all"], "vocabulary.normalization": ["nfkc"]},
        "",
        "tying all embeddings needs a joint vocabulary, and `nfkc` needs two vocabularies",
    ),
    Rule(
        {"model.tied_embeddings": ["all"], "model.source_embeddings": SET},
        "unset with all embeddings tied; set `model.target_embeddings`",
        "there is one matrix; `model.target_embeddings` names its file",
    ),
    Rule(
        {"model.frozen_embeddings": [True], "model.source_embeddings": UNSET, "model.target_embeddings": UNSET},
        "false unless embeddings are read from a file",
        "only embeddings that were read from a file can be frozen",
        first=True,
    ),
    minimum_risk("training.risk_candidates", [1], "at least 2", "it compares the costs of several candidates"),
    minimum_risk(
        "training.scheduled_sampling", GRADUALLY, "none", "the decoder already reads whole translations of its own"
    ),
    minimum_risk(
        "training.target_word_dropout",
        above(0, 0.1),
        "0",
        "candidates are weighted by their probability, which depends on all of their words",
    ),
    minimum_risk(
        "training.label_smoothing", above(0, 0.1), "0", "the loss does not contain the probability of a reference"
    ),
    minimum_risk(
        "training.r_drop",
        above(0, 1.0),
        "0",
        "R-Drop compares two predictions of the reference, which the model is not trained on",
    ),
    minimum_risk("training.truncation", above(0, 3), "0", "the cost is only known for whole translations"),
    language_model("data.extra", FURTHER, "its text is read in order, as one sequence"),
    language_model("data.weight", NOT_1, "its text is read once per epoch"),
    language_model("data.tag", SET, "tags are put on the source side, and it has none"),
    language_model("vocabulary.copied_spans", above(0, 16), "a language model copies nothing"),
    language_model(
        "training.truncation",
        [0],
        "its text is one sequence, and the gradient would pass through all of it",
        "at least 1 for a language model (32 to 128 positions)",
    ),
    language_model("model.encoder_layers", above(1, 2, 3)),
    language_model("model.reverse_source", [True]),
    language_model("model.context_input", ["first", "all"]),
    language_model("model.attention", [name for name in get_args(AttentionName) if name != "none"]),
    language_model("model.input_feeding", ["luong", "bahdanau"]),
    language_model("model.coverage", [True]),
    language_model("model.tied_embeddings", ["all"], must="none or decoder for a language model, which has no source"),
    language_model("model.source_embeddings", SET),
    language_model("training.source_sampling", above(0, 0.3)),
    language_model("training.source_word_dropout", above(0, 0.1)),
    language_model("training.noise", above(0, 1.0), "noise changes sentence pairs"),
    language_model("training.objective", ["minimum_risk"], "the cost is defined for translations"),
    language_model("training.scheduled_sampling", GRADUALLY, "its samples would stay in the carried state"),
    language_model("training.r_drop", above(0, 1.0), "its two passes would have to carry on two different states"),
    without_decoder("data.extra", FURTHER, "there is a single source of examples"),
    without_decoder("data.weight", NOT_1, "there is one source"),
    without_decoder("data.tag", SET, "there is a single source of examples"),
    without_decoder("vocabulary.target", SET, "the target side has labels instead of a vocabulary"),
    without_decoder("vocabulary.copied_spans", above(0, 16), "nothing is copied into a translation"),
    without_decoder("model.reverse_source", [True], "it prepares the source for a decoder"),
    without_decoder("model.context_input", ["first", "all"]),
    without_decoder("model.attention", [name for name in get_args(AttentionName) if name != "none"]),
    without_decoder("model.input_feeding", ["luong", "bahdanau"]),
    without_decoder("model.coverage", [True]),
    without_decoder("model.tied_embeddings", ["decoder", "all"], "labels have no embeddings"),
    without_decoder("model.target_embeddings", SET, "labels have no embeddings"),
    without_decoder("training.target_sampling", above(0, 0.3), "labels have no pieces"),
    without_decoder("training.target_word_dropout", above(0, 0.1), "labels are not read"),
    without_decoder("training.noise", above(0, 1.0), "noise changes sentence pairs"),
    without_decoder("training.objective", ["minimum_risk"], "the cost is defined for translations"),
    without_decoder("training.scheduled_sampling", GRADUALLY),
    without_decoder("training.r_drop", above(0, 1.0), "R-Drop is defined for translations"),
    Rule(
        {"task": ["tagging"], "training.source_sampling": above(0, 0.3)},
        "0 for tagging",
        "each word is read by its first piece",
    ),
    Rule({"task": NOT_TAGGING, "model.crf": [True]}, "false for the task `{task}`", "it is for labels in a sequence"),
    *(
        Rule({"model.crf": [True], name: values}, "0 with `model.crf`", reason)
        for name, values, reason in (
            ("training.label_smoothing", above(0, 0.1), "the labels are not predicted one by one"),
            ("training.class_weights", above(0, 0.1), "the loss is that of a whole sequence"),
            ("training.truncation", above(0, 3), "the labels of the whole input compete"),
        )
    ),
    Rule(
        {"task": ONE_LABEL, "training.truncation": above(0, 3)},
        "0 for the task `{task}`",
        "the label depends on the whole input",
    ),
    Rule(
        {"task": ONE_LABEL, "model.pooling": ["none"]},
        "max, mean, last or attention for the task `{task}`",
        "the whole input has one label",
    ),
    *(
        Rule({"task": ["regression"], name: above(0, 0.1)}, "0 for a regression", "numbers are no labels")
        for name in ("training.label_smoothing", "training.class_weights")
    ),
    Rule({"data.input": ["vectors"], "task": TEXT_ONLY}, '"text" for the task `{task}`', "it reads text", first=True),
    Rule({"task": ["captioning"], "data.input": ["text"]}, '"vectors" for captioning', "it reads vectors"),
    with_vectors("data.extra", FURTHER, "there is a single source of examples"),
    with_vectors("data.weight", NOT_1, "there is one source"),
    with_vectors("data.tag", SET, "tags are put on texts"),
    with_vectors("vocabulary.target", SET, "the vocabulary is learned"),
    with_vectors("vocabulary.copied_spans", above(0, 16), "nothing is copied from vectors"),
    with_vectors("model.reverse_source", [True], "it is for texts"),
    with_vectors("model.tied_embeddings", ["all"], "vectors have no embeddings"),
    with_vectors("training.target_sampling", above(0, 0.3), "each text has one segmentation"),
    with_vectors("training.noise", above(0, 1.0), "noise changes sentence pairs"),
    with_vectors("training.objective", ["minimum_risk"], "the cost is defined for translations"),
    with_vectors("training.scheduled_sampling", GRADUALLY, "it is for translations"),
    with_vectors("training.r_drop", above(0, 1.0), "R-Drop is defined for translations"),
    with_vectors("vocabulary.source", SET),
    with_vectors("model.source_embeddings", SET),
    with_vectors("model.frozen_embeddings", [True]),
    with_vectors("training.source_sampling", above(0, 0.3)),
    with_vectors("training.source_word_dropout", above(0, 0.1)),
]


RULES += [
    Rule({"task": ["captioning"], name: values}, "", "captioning reads vectors")
    for rule in RULES
    for name, values in rule.together.items()
    if rule.together.get("data.input") == ["vectors"] and name not in ("data.input", "task")
]


def check_config(config: Config) -> list[str]:
    """Every impossible value or combination, one sentence each; `auto` is compatible with all other settings."""
    try:
        config = resolve(config, NOMINAL)
    except UserError as error:  # the task is unknown
        return [str(error)]
    mistakes = [
        f"`{section}.{name}` must be {rule}, but is {value_of(config, f'{section}.{name}')!r} instead"
        for section in SECTIONS
        for name, rule in out_of_range(getattr(config, section))
    ]
    for number, extra in enumerate(config.data.extra, 1):
        if not extra.path:
            mistakes.append(f"`data.extra` number {number} must have a `path`, but has none")
        mistakes += [
            f"`data.extra` number {number}: `{name}` must be {rule}, but is {getattr(extra, name)} instead"
            for name, rule in out_of_range(extra)
        ]
    return mistakes + [rule.message(config) for rule in RULES if rule.must and rule.broken(config)]
