"""The configuration: one dataclass per TOML section, read, checked and written here and nowhere else.

Every field's default, meaning and unit stand below it. Unknown keys, wrong types and impossible combinations are all
reported at once. The resolved configuration is saved with a model and is itself a valid configuration file.
"""

from __future__ import annotations

import dataclasses
import math
import tomllib
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from nmt.errors import UserError

FORMAT = 1
"""Number of the file format of configurations and model folders; raised when an old reader would misread a new file."""


@dataclass
class DataConfig:
    """Where sentence pairs come from and which of them are used."""

    path: str = "builtin:captions"
    """`builtin:captions`, a hub id (`bentrevett/multi30k`), a folder, or a builder (json, csv, tsv, text, parquet)."""
    name: str | None = None
    """Configuration name of a hub data set (`de-en` of `wmt/wmt14`)."""
    files: dict[str, str | list[str]] = field(default_factory=dict)
    """Files of each split for a builder: `{train = "train.csv"}`; for `text`: `{train = ["train.de", "train.en"]}`."""
    source: str = "de"
    """Source language: column name, language of a `translation` column, or file suffix."""
    target: str = "en"
    """Target language, likewise; also selects the tokeniser of BLEU."""
    train_split: str = "train"
    """Name of the training split."""
    validation_split: str = "validation"
    """Name of the validation split (in a folder, `val` and `dev` files are found as well)."""
    test_split: str = "test"
    """Name of the test split (`test_2016_flickr` in a folder of Multi30k)."""
    max_length: int = 128
    """Longest side in pieces, without the end symbol; training pairs with a longer one are dropped and counted."""
    max_length_ratio: float = 9.0
    """Largest ratio of the two sides' characters; beyond it a training pair counts as misaligned and is dropped."""


@dataclass
class VocabularyConfig:
    """SentencePiece vocabulary."""

    model_type: Literal["unigram", "bpe", "char"] = "unigram"
    """SentencePiece model; `char` makes every character a piece. Sampling needs `unigram` or `bpe`."""
    size: int | Literal["auto"] = "auto"
    """Number of pieces with the special ones; `auto` derives it from the number of training words and prints why."""
    joint: bool = True
    """One vocabulary for both languages (needed to tie the embeddings of both sides)."""
    character_coverage: float = 1.0
    """Share of the characters covered by pieces; 0.9995 for languages with thousands of characters."""
    byte_fallback: bool = True
    """Characters without a piece become bytes, so that nothing is unknown."""
    normalization: Literal["identity", "nfkc"] = "identity"
    """Unicode normalisation of the source side; the target side is never rewritten. `nfkc` needs `joint = false`."""
    source: str | None = None
    """Existing SentencePiece model for the source side (or both); nothing is learned then."""
    target: str | None = None
    """Existing SentencePiece model for the target side."""


@dataclass
class ModelConfig:
    """Architecture of the network."""

    cell: Literal["lstm"] = "lstm"
    """Recurrent cell of encoder and decoder."""
    embedding_size: int = 256
    """Size of the source and target embeddings."""
    hidden_size: int = 512
    """Size of the decoder's hidden state; a bidirectional encoder has half of it in each direction."""
    encoder_layers: int = 1
    """Stacked encoder layers."""
    decoder_layers: int = 1
    """Stacked decoder layers."""
    bidirectional: bool = True
    """Whether the encoder reads in both directions (Schuster & Paliwal 1997)."""
    reverse_source: bool = False
    """Read the source from its last word to its first (Sutskever et al. 2014, section 3.3)."""
    context_input: Literal["none", "first", "all"] = "none"
    """Where the context vector is fed to the decoder at every step: into no layer, the first, or all and the output."""
    tied_embeddings: Literal["none", "decoder", "all"] = "none"
    """Share target embedding and output matrix (`decoder`; Press & Wolf 2017), or these and the source embedding
    (`all`)."""
    dropout: float = 0.0
    """Probability of dropping a unit between layers and before the output (Zaremba et al. 2014)."""
    embedding_dropout: float = 0.0
    """Probability of dropping a unit of an embedding."""
    initialization: Literal["uniform", "xavier", "orthogonal"] = "xavier"
    """Weights: uniform in [-initialization_scale, +initialization_scale], Glorot & Bengio 2010, or these with
    orthogonal recurrent ones (Saxe et al. 2014)."""
    initialization_scale: float = 0.08
    """Half-width of the uniform distribution (0.08 in Sutskever et al. 2014, section 3.4)."""
    forget_gate_bias: float = 1.0
    """Initial bias of the LSTM's forget gate (Gers et al. 2000; 1 in Jozefowicz et al. 2015)."""


@dataclass
class TrainingConfig:
    """Objective, optimisation and bookkeeping of a training run."""

    seed: int = 1
    """Seed of initialisation, order, dropout and sampling."""
    epochs: int = 10
    """Passes over the training data; the learning-rate schedule ends with the last."""
    batch_size: int = 64
    """Sentences or target tokens of a batch, as `batch_unit` says."""
    batch_unit: Literal["sentences", "tokens"] = "sentences"
    """What `batch_size` counts; `tokens` counts the longer side with padding."""
    accumulation: int = 1
    """Batches whose gradients are added before an update."""
    optimizer: Literal["adam", "adamw", "sgd", "adagrad"] = "adam"
    """Adam (Kingma & Ba 2015), AdamW (Loshchilov & Hutter 2019), SGD, or Adagrad (Duchi et al. 2011)."""
    learning_rate: float = 0.001
    """Peak step size."""
    betas: tuple[float, float] = (0.9, 0.998)
    """Decay of Adam's first and second moment."""
    momentum: float = 0.0
    """Momentum of SGD."""
    weight_decay: float = 0.0
    """L2 penalty (decoupled for AdamW)."""
    schedule: Literal["constant", "linear", "cosine", "inverse_sqrt", "halving"] = "linear"
    """After the warm-up: constant, linear or cosine to zero, 1/sqrt(update), or, from `decay_start` on, halved each
    tenth of what is left."""
    warmup: int = 0
    """Updates in which the learning rate rises linearly from zero."""
    decay_start: float = 0.0
    """Share of the training after which `linear`, `cosine` and `halving` begin to lower the learning rate."""
    clip_norm: float = 5.0
    """Largest norm of the gradient of all weights together (Pascanu et al. 2013); 0 turns it off."""
    label_smoothing: float = 0.0
    """Probability spread evenly over the whole vocabulary (Szegedy et al. 2016)."""
    average_decay: float = 0.0
    """Decay of the exponential moving average of the weights per update; 0 turns it off."""
    source_sampling: float = 0.0
    """Sampled source segmentations: alpha of subword regularisation (Kudo 2018) or probability of BPE-dropout;
    0 is off."""
    target_sampling: float = 0.0
    """The same for the target side."""
    source_word_dropout: float = 0.0
    """Probability that all pieces of a source word are replaced by the unknown piece."""
    target_word_dropout: float = 0.0
    """The same for the decoder's input (Bowman et al. 2016); what it has to predict stays whole."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Arithmetic of the products; the weights stay fp32. bf16 needs a CPU or GPU that has it."""
    validation_interval: int = 0
    """Updates between two validations; 0 validates after each epoch."""
    patience: int = 0
    """Validations without improvement after which training stops; 0 never stops early."""
    best_by: Literal["bleu", "loss"] = "bleu"
    """What chooses `best/` and counts for `patience`."""
    validation_beam_size: int = 1
    """Beam of the validation BLEU; 1 is greedy and the fastest."""
    save_interval: float = 10.0
    """Minutes between two saved training states; an interrupt and each validation save as well."""
    log_interval: int = 50
    """Updates between two records of `metrics.jsonl`."""


@dataclass
class DecodingConfig:
    """Defaults of beam search."""

    beam_size: int = 5
    """Hypotheses kept per sentence; 1 is greedy search."""
    length_penalty: Literal["none", "average", "gnmt"] = "gnmt"
    """Score: log-probability, divided by the length, or by ((5 + length) / 6)^alpha (Wu et al. 2016, equation 14)."""
    alpha: float = 1.0
    """Exponent of the `gnmt` penalty."""
    min_length: int = 0
    """Fewest target pieces, without the end symbol."""
    max_length_factor: float = 2.0
    """A translation has at most `max_length_factor` times the source pieces plus `max_length_offset` pieces."""
    max_length_offset: int = 10
    """See `max_length_factor`."""
    batch_size: int = 64
    """Sentences translated at once."""


@dataclass
class Config:
    """A whole configuration file."""

    task: Literal["translation"] = "translation"
    """What is trained."""
    format: int = FORMAT
    """File format of this configuration."""
    data: DataConfig = field(default_factory=DataConfig)
    vocabulary: VocabularyConfig = field(default_factory=VocabularyConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    decoding: DecodingConfig = field(default_factory=DecodingConfig)


SECTIONS = ("data", "vocabulary", "model", "training", "decoding")


def load_config(path: str | Path, settings: list[str] | None = None) -> Config:
    """Read a TOML file, apply `section.key=value` settings, check everything.

    Raises UserError naming the file and every mistake in it.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"configuration `{path}` does not exist") from None
    except IsADirectoryError:
        raise UserError(f"configuration `{path}` is a folder, but must be a TOML file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"configuration `{path}` cannot be read: {error}") from None
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"configuration `{path}` is not valid TOML: {error}") from None
    for setting in settings or []:
        apply_setting(values, setting)
    return parse_config(values, str(path))


def apply_setting(values: dict[str, Any], setting: str) -> None:
    """Write one `section.key=value` (value in TOML, or plain text) into the nested values."""
    name, equals, text = setting.partition("=")
    keys = name.strip().split(".")
    if not equals or not all(keys):
        raise UserError(f"--set must be section.key=value, but is `{setting}` instead")
    try:
        value = tomllib.loads(f"value = {text.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    for key in keys[:-1]:
        values = values.setdefault(key, {})
        if not isinstance(values, dict):
            raise UserError(f"--set {name.strip()}: `{key}` is not a section")
    values[keys[-1]] = value


def parse_config(values: dict[str, Any], where: str) -> Config:
    """Turn nested values into a checked Config; raises UserError with all mistakes, naming `where` they stand."""
    if values.get("format", FORMAT) != FORMAT:
        raise UserError(
            f"{where}: `format` must be {FORMAT}, but is {values['format']!r}: written by another version of nmt"
        )
    mistakes: list[str] = []
    config: Config = _parse_dataclass(Config, values, "", mistakes)
    if not mistakes:
        mistakes = check_config(config)
    if mistakes:
        raise UserError(f"{where}: " + "; ".join(mistakes))
    return config


def _parse_dataclass(kind: Any, values: dict[str, Any], prefix: str, mistakes: list[str]) -> Any:
    hints = typing.get_type_hints(kind)
    known = {}
    for key, value in values.items():
        if key not in hints:
            section = f" of [{prefix[:-1]}]" if prefix else ""
            mistakes.append(f"unknown key `{prefix}{key}` (the keys{section} are {', '.join(hints)})")
        elif dataclasses.is_dataclass(hints[key]):
            if isinstance(value, dict):
                known[key] = _parse_dataclass(hints[key], value, f"{key}.", mistakes)
            else:
                mistakes.append(f"`{key}` must be a section, but is {value!r} instead")
        else:
            ok, converted = _convert(hints[key], value)
            if ok:
                known[key] = converted
            else:
                mistakes.append(f"`{prefix}{key}` must be {_describe(hints[key])}, but is {value!r} instead")
    return kind(**known)


def _convert(hint: Any, value: Any) -> tuple[bool, Any]:
    """Whether a TOML value fits a type hint, and the value as that type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return any(value == choice and type(value) is type(choice) for choice in arguments), value
    if origin is types.UnionType or origin is typing.Union:
        for choice in arguments:
            ok, converted = _convert(choice, value)
            if ok:
                return True, converted
        return False, value
    if origin is tuple:
        if not isinstance(value, list | tuple) or len(value) != len(arguments):
            return False, value
        converted = [_convert(choice, item) for choice, item in zip(arguments, value, strict=True)]
        return all(ok for ok, _ in converted), tuple(item for _, item in converted)
    if origin is list:
        return isinstance(value, list) and all(_convert(arguments[0], item)[0] for item in value), value
    if origin is dict:
        return isinstance(value, dict) and all(_convert(arguments[1], item)[0] for item in value.values()), value
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool), float(value) if _is_number(
            value
        ) else value
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool), value
    return isinstance(value, hint), value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _describe(hint: Any) -> str:
    """A type hint in the user's words."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return "one of " + ", ".join(str(choice) for choice in arguments) if len(arguments) > 1 else repr(arguments[0])
    if origin is types.UnionType or origin is typing.Union:
        return " or ".join(_describe(choice) for choice in arguments if choice is not types.NoneType)
    if origin is tuple:
        return f"a list of {len(arguments)} numbers"
    if origin is list:
        return "a list of texts"
    if origin is dict:
        return "a table"
    return {float: "a number", int: "a whole number", str: "a text", bool: "true or false"}[hint]


def check_config(config: Config) -> list[str]:
    """Every impossible value or combination, one sentence each."""
    data, vocabulary, model, training, decoding = (getattr(config, section) for section in SECTIONS)
    mistakes = []

    def must(condition: bool, name: str, rule: str) -> None:
        if not condition:
            section, key = name.split(".")
            mistakes.append(f"`{name}` must be {rule}, but is {getattr(getattr(config, section), key)!r} instead")

    must(bool(data.path), "data.path", "a corpus")
    must(data.source != data.target, "data.target", "another language than `data.source`")
    must(data.max_length >= 1, "data.max_length", "at least 1")
    must(data.max_length_ratio > 1, "data.max_length_ratio", "greater than 1")
    must(vocabulary.size == "auto" or 16 <= vocabulary.size <= 10**6, "vocabulary.size", "auto or 16 to 1000000")
    must(0.98 <= vocabulary.character_coverage <= 1, "vocabulary.character_coverage", "from 0.98 to 1")
    must(
        vocabulary.normalization == "identity" or not vocabulary.joint,
        "vocabulary.normalization",
        "identity with a joint vocabulary",
    )
    must(
        vocabulary.source is not None or vocabulary.target is None,
        "vocabulary.target",
        "unset unless `vocabulary.source` is set",
    )
    for name in ("embedding_size", "hidden_size", "encoder_layers", "decoder_layers"):
        must(getattr(model, name) >= 1, f"model.{name}", "at least 1")
    must(not model.bidirectional or model.hidden_size % 2 == 0, "model.hidden_size", "even for a bidirectional encoder")
    must(
        model.tied_embeddings != "all" or vocabulary.joint,
        "model.tied_embeddings",
        "none or decoder without a joint vocabulary",
    )
    for name in ("dropout", "embedding_dropout"):
        must(0 <= getattr(model, name) < 1, f"model.{name}", "at least 0 and below 1")
    must(model.initialization_scale > 0, "model.initialization_scale", "greater than 0")
    for name in ("epochs", "batch_size", "accumulation", "validation_beam_size", "log_interval"):
        must(getattr(training, name) >= 1, f"training.{name}", "at least 1")
    for name in ("source_word_dropout", "target_word_dropout", "label_smoothing", "average_decay", "momentum"):
        must(0 <= getattr(training, name) < 1, f"training.{name}", "at least 0 and below 1")
    for name in ("source_sampling", "target_sampling", "decay_start"):
        must(0 <= getattr(training, name) <= 1, f"training.{name}", "between 0 and 1")
    for name in ("warmup", "clip_norm", "weight_decay", "validation_interval", "patience", "save_interval"):
        must(getattr(training, name) >= 0, f"training.{name}", "at least 0")
    must(0 < training.learning_rate < math.inf, "training.learning_rate", "greater than 0 and finite")
    must(0 <= training.seed < 2**63, "training.seed", "from 0 to below 2^63")
    must(all(0 <= beta < 1 for beta in training.betas), "training.betas", "two numbers from 0 to below 1")
    for name in ("source_sampling", "target_sampling"):
        must(
            vocabulary.model_type != "char" or getattr(training, name) == 0,
            f"training.{name}",
            "0 with a character vocabulary",
        )
    for name in ("beam_size", "batch_size"):
        must(getattr(decoding, name) >= 1, f"decoding.{name}", "at least 1")
    for name, most in {
        "alpha": 100,
        "min_length": 10**6,
        "max_length_factor": 1000,
        "max_length_offset": 10**6,
    }.items():
        must(0 <= getattr(decoding, name) <= most, f"decoding.{name}", f"at least 0 and at most {most}")
    return mistakes


def write_config(config: Config) -> str:
    """The configuration as TOML text that `load_config` reads back to an equal Config."""
    lines = [f"format = {config.format}", f"task = {_toml(config.task)}"]
    for section in SECTIONS:
        lines += ["", f"[{section}]"]
        values = dataclasses.asdict(getattr(config, section))
        lines += [f"{key} = {_toml(value)}" for key, value in values.items() if value is not None]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = "".join(
            {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t"}.get(
                c, c if c >= " " and c != "\x7f" else f"\\u{ord(c):04x}"
            )
            for c in value
        )
        return f'"{escaped}"'
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml(key)} = {_toml(item)}" for key, item in value.items()) + "}"
    return repr(value)
