"""The configuration: one dataclass per TOML section, read, checked and written here and nowhere else.

Every field's default, meaning and unit stand below it. All unknown keys and wrong types are reported at once, and then
all impossible combinations. The resolved configuration is saved with a model and is itself a valid configuration file.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
import sys
import tomllib
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from nmt.errors import UserError
from nmt.sizing import AUTO, NOMINAL, resolve

T = TypeVar("T")

FORMAT = 2
"""Number of the file format of configurations and model folders; raised when an old reader would misread a new file."""
BATCH_HYPOTHESES = 320
"""Hypotheses that are searched together, unless `decoding.batch_size` says otherwise."""


CellName = Literal[
    "lstm",
    "peephole_lstm",
    "layer_norm_lstm",
    "gru",
    "gru_reset_before",
    "mut1",
    "mut2",
    "mut3",
    "rnn_tanh",
    "rnn_relu",
    "rnn_leaky_relu",
]
"""Recurrent cells; the classes stand in `nmt.network.cells`."""


@dataclass
class SourceConfig:
    """A further source of training pairs, `[[data.extra]]`: back-translations, distilled text, another corpus."""

    path: str = ""
    """As `data.path`."""
    name: str | None = None
    """As `data.name`."""
    files: dict[str, str | list[str]] = field(default_factory=dict)
    """As `data.files`."""
    split: str = "train"
    """Name of the split whose pairs are used."""
    weight: float = 1.0
    """How often its pairs are seen in an epoch: 1 is once, 0.5 a random half of them, 2 twice. Lower it where it would
    drown the other text."""
    tag: str = ""
    """Put before each source sentence, so that the model can tell the sources apart (Caswell et al. 2019): `<bt>`. For
    back-translations, and for text unlike that which is to be translated."""
    reversed: bool = False
    """Learn its pairs the other way round, from `data.target` to `data.source`: for a first training in both directions
    at once, from which one in a single direction starts (Ding et al. 2021). It needs `vocabulary.joint`."""


@dataclass
class DataConfig:
    """Where sentence pairs come from and which of them are used."""

    path: str = "builtin:captions"
    """`builtin:captions`, a probe task (`builtin:copy`, `builtin:reverse`, `builtin:sort`, `builtin:adding`), a hub id
    (`bentrevett/multi30k`), a folder, or a builder (json, csv, tsv, text, parquet)."""
    name: str | None = None
    """Configuration name of a hub data set (`de-en` of `wmt/wmt14`)."""
    files: dict[str, str | list[str]] = field(default_factory=dict)
    """Files of each split for a builder: `{train = "train.csv"}`; for `text`: `{train = ["train.de", "train.en"]}`."""
    source: str = "de"
    """Source language: column name, language of a `translation` column, or file suffix."""
    target: str = "en"
    """Target language, likewise; also selects the tokeniser of BLEU."""
    probe_length: int = 20
    """Digits of a source of a probe task, 5 to 1000: raise it to see where a network begins to forget. Sources longer
    than `max_length` pieces are dropped."""
    train_split: str = "train"
    """Name of the training split."""
    validation_split: str = "validation"
    """Name of the validation split (in a folder, `val` and `dev` files are found as well)."""
    test_split: str = "test"
    """Name of the test split (`test_2016_flickr` in a folder of Multi30k)."""
    max_length: int = 128
    """Longest side in pieces, without the end symbol; training pairs with a longer one are dropped and counted. Lower
    it to save memory, raise it for documents and for characters."""
    max_length_ratio: float = 9.0
    """Largest ratio of the two sides' characters; beyond it a training pair counts as misaligned and is dropped, unless
    both sides are short (20 characters). Lower it for noisy text of languages that write alike, raise it where one of
    them writes a word with a character."""
    weight: float = 1.0
    """How often the pairs are seen in an epoch: 1 is once, 0.5 a random half of them, 2 twice. Raise it where
    `data.extra` has much more of less use."""
    tag: str = ""
    """Put before each training source sentence, so that the model can tell several sources apart; leave it empty for
    text like that which is to be translated, as `translate` puts no tag."""
    extra: list[SourceConfig] = field(default_factory=list)
    """More training pairs from elsewhere, each source with a weight and a tag of its own: for back-translation,
    distillation, text of other domains."""


@dataclass
class VocabularyConfig:
    """SentencePiece vocabulary."""

    model_type: Literal["unigram", "bpe", "char"] = "unigram"
    """SentencePiece model. `unigram` first; `bpe` for BPE-dropout and to repeat papers; `char` makes every character a
    piece, for language models and very little data. Sampling needs `unigram` or `bpe`."""
    size: Annotated[int, AUTO] = AUTO
    """Number of pieces with the special ones. `auto`: five times the square root of the number of training words, from
    1,000 to 32,000. Fewer for little data."""
    joint: bool = True
    """One vocabulary for both languages (needed to tie the embeddings of both sides); `false` for languages without
    letters or words in common."""
    character_coverage: float = 1.0
    """Share of the characters covered by pieces; 0.9995 for languages with thousands of characters."""
    byte_fallback: bool = True
    """Characters without a piece become bytes, so that nothing is unknown; `false` where a vocabulary has no room for
    256 more pieces."""
    normalization: Literal["identity", "nfkc"] = "identity"
    """Unicode normalisation of the source side; the target side is never rewritten. `nfkc` for source text of mixed
    origin, with full-width letters or ligatures; it needs `joint = false`."""
    source: str | None = None
    """Existing SentencePiece model for the source side (or both); nothing is learned then. For models that are to work
    together: an ensemble, a language model beside a translation model."""
    target: str | None = None
    """Existing SentencePiece model for the target side, with `joint = false`."""


@dataclass
class ModelConfig:
    """Architecture of the network."""

    cell: CellName = "lstm"
    """Recurrent cell of encoder and decoder. `lstm` is the safe choice; `gru` has a quarter fewer weights and is
    faster; `layer_norm_lstm` bears higher learning rates; the plain RNNs show what the gates are for."""
    embedding_size: Annotated[int, AUTO] = AUTO
    """Size of the source and target embeddings; smaller for little data. With tied embeddings, and with `context_input`
    `all`, it is also the width of what the output layer reads. `auto`: 256, and 512 from 500,000 pairs on."""
    hidden_size: Annotated[int, AUTO] = AUTO
    """Size of the decoder's hidden state; a bidirectional encoder has half of it in each direction. Raise it first when
    the training perplexity stays high; weights and time of a layer grow with its square. `auto`: by the number of
    pairs, see the recipes."""
    encoder_layers: int = 1
    """Stacked encoder layers; more pay with more data."""
    decoder_layers: int = 2
    """Stacked decoder layers. Two with attention but without input feeding, as the second is then the first that sees
    what was attended to; more pay with more data."""
    transition_depth: int = 1
    """Cells passed through at each position of a layer, all but the first without input (Miceli-Barone et al. 2017);
    deeper transitions are slower than more layers, and often better: for when quality counts more than time."""
    connections: Literal["none", "residual", "highway"] = "none"
    """Around each layer above the first: its input is added to its output (He et al. 2016), or mixed with it by a gate
    (Srivastava et al. 2015). For three layers and more."""
    bidirectional: bool = True
    """Whether the encoder reads in both directions (Schuster & Paliwal 1997); always, unless the source streams."""
    reverse_source: bool = False
    """Read the source from its last word to its first (Sutskever et al. 2014, section 3.3); for an encoder in one
    direction without attention."""
    input_normalization: Literal["none", "layer", "batch"] = "layer"
    """Normalisation of the input-to-hidden product: over its units (Ba et al. 2016), or over batch and positions
    (Laurent et al. 2016). `layer` makes training faster and steadier; `batch` needs batches of 64 sentences or more."""
    context_input: Literal["none", "first", "all"] = "none"
    """Where the source's context vector is fed at every step (Cho et al. 2014): into no layer, the first, or all and
    the output. `all` for models without attention; with attention `none` will do."""
    attention: Annotated[Literal["none", "dot", "general", "additive", "multi_head"], AUTO] = AUTO
    """How a decoder state is compared with the source positions (Luong et al. 2015; Bahdanau et al. 2015; Vaswani et
    al. 2017). `auto`: `dot`, and `none` for a language model. `none` leaves the whole sentence to one context vector,
    which is for short sentences; `general` has one more matrix than `dot`; `additive` is the slowest; `multi_head`
    looks at several places at once."""
    attention_heads: int = 4
    """Heads of `multi_head` attention; they share `hidden_size`, so take more of them only when that is large."""
    input_feeding: Literal["none", "luong", "bahdanau"] = "none"
    """What the next step sees of the attention. `none`: the first layer asks for all positions at once, upper layers
    and output see the answer, the fastest. `luong`: the top layer asks, the attentional vector enters the next step.
    `bahdanau`: the state before the step asks, the answer enters the step. Both take a loop over the target: use them
    where they prove better on the validation set, and to repeat the papers."""
    coverage: bool = False
    """Let the attention see how much attention each source position has had (Tu et al. 2016; See et al. 2017), against
    repetitions and omissions in long sentences. Takes a loop over the target."""
    embedding_deviation: float = 0.5
    """Standard deviation of the initial embeddings as the layers read them. Embeddings are stored with rows of length
    1, as the output layer wants them, and multiplied by this times the square root of their size (cf. Vaswani et al.
    2017, section 3.4); with `initialization = "uniform"` they are as `initialization_scale` makes them. 0.5 does for
    all cells; 1 starts an LSTM a little faster, 0.25 a GRU."""
    tied_embeddings: Annotated[Literal["none", "decoder", "all"], AUTO] = AUTO
    """Share target embedding and output matrix (`decoder`; Press & Wolf 2017), or these and the source embedding
    (`all`). Fewer weights, nearly always better on small data. `auto`: `all` with a joint vocabulary, otherwise
    `decoder`; for a language model of characters `none`."""
    source_embeddings: str | None = None
    """File of word vectors (word2vec's text format, .vec) that the source embeddings start from, for little data."""
    target_embeddings: str | None = None
    """The same for the target embeddings; with all embeddings tied, for both sides."""
    frozen_embeddings: bool = False
    """Keep embeddings that were read from a file as they are; for very little data."""
    dropout: Annotated[float, AUTO] = AUTO
    """Probability of dropping a unit between layers and before the readout (Zaremba et al. 2014). Raise it first when
    the validation perplexity is far above the training's, and lower it when both are high. `auto`: less with more
    data."""
    embedding_dropout: Annotated[float, AUTO] = AUTO
    """Probability of dropping a unit of an embedding, in addition to `dropout`. `auto`: 0.1."""
    output_dropout: Annotated[float, AUTO] = AUTO
    """Probability of dropping a unit that the output layer reads, in addition to `dropout`. `auto`: as high as
    `dropout`."""
    variational_dropout: bool = False
    """Use the same dropout mask at all positions of a sentence (Gal & Ghahramani 2016); for long sequences and language
    models, with smaller probabilities."""
    weight_drop: float = 0.0
    """Probability of dropping a recurrent weight for a whole batch (Merity et al. 2018); for language models."""
    zoneout: float = 0.0
    """Probability that a unit of the state keeps its value for a step (Krueger et al. 2017); takes a loop over the
    positions. For language models, of characters above all."""
    initialization: Literal["uniform", "xavier", "orthogonal"] = "orthogonal"
    """Weights: uniform in [-initialization_scale, +initialization_scale], Glorot & Bengio 2010, or these with
    orthogonal recurrent ones (Saxe et al. 2014), which plain RNNs need. `uniform` is for repeating older papers."""
    initialization_scale: float = 0.08
    """Half-width of the uniform distribution (0.08 in Sutskever et al. 2014, section 3.4); of use with initialization
    `uniform` only."""
    forget_gate_bias: float = 1.0
    """Initial bias of the LSTM's forget gate (Gers et al. 2000; 1 in Jozefowicz et al. 2015). Leave it at 1, or set
    0 to repeat papers before that."""


@dataclass
class TrainingConfig:
    """Objective, optimisation and bookkeeping of a training run."""

    start_from: str | None = None
    """Model folder whose weights and vocabulary the training starts from: fine-tuning on new data, or a last step with
    another objective. [model] (but for dropout, zoneout, initialisation and vectors from files) and [vocabulary] must
    be as they are there."""
    objective: Literal["likelihood", "minimum_risk"] = "likelihood"
    """Maximum likelihood, or the expected cost of the model's own translations (Shen et al. 2016), a last step with
    `start_from` and a small learning rate."""
    risk_candidates: int = 8
    """Candidate translations of a sentence for `minimum_risk`; more estimate the risk better, at as much more time."""
    risk_search: Literal["sample", "beam"] = "sample"
    """Where the candidates come from: drawn from the model, the first choice (Shen et al. 2016), or its n best, which
    are nearer to what `translate` finds and nearer to each other."""
    risk_metric: Literal["bleu", "chrf"] = "bleu"
    """The cost of a candidate is 1 - smoothed sentence BLEU, or 1 - chrF; take what the model will be judged by, and
    `chrf` where words have many forms."""
    risk_sharpness: float = 0.005
    """Exponent of the candidates' probabilities before they are normalised (alpha in Shen et al. 2016, who choose
    0.005); raise it if only the likeliest candidates should count."""
    scheduled_sampling: Literal["none", "constant", "linear", "exponential", "inverse_sigmoid"] = "none"
    """How the probability grows with which the decoder reads a word of its own instead of the reference's (Bengio et
    al. 2015); against exposure bias, at a quarter to a half of the speed."""
    scheduled_sampling_rate: float = 0.25
    """That probability at the end of the training; lower it if the validation perplexity suffers."""
    truncation: Annotated[int, AUTO] = AUTO
    """Target positions after which the gradient is cut and only the state carried on (Williams & Peng 1990): bounds the
    memory for long targets; 0 never cuts. A language model needs it. `auto`: 0, for a language model 64, of characters
    128."""
    r_drop: float = 0.0
    """Weight of R-Drop (Liang et al. 2021): each batch passes twice with other dropout masks, and the two predictions
    are drawn together; better, at half the speed."""
    seed: int = 1
    """Seed of initialisation, order, dropout and sampling; set another for each member of an ensemble, and to see how
    much a score owes to chance."""
    epochs: Annotated[int, AUTO] = AUTO
    """Passes over the training data; the learning-rate schedule ends with the last. Raise it if validation still
    improves there, lower it if the best model lies far before. `auto`: 12 with 29,000 pairs, more with fewer, fewer
    with more."""
    batch_size: Annotated[int, AUTO] = AUTO
    """Sentences or tokens of a batch, as `batch_unit` says; smaller for little data, larger for speed. For a language
    model: parallel streams of the text, or their number times `truncation`. `auto`: 32 sentences, 64 from 15,000 pairs
    on, 128 from 100,000 on."""
    batch_unit: Literal["sentences", "tokens"] = "sentences"
    """What `batch_size` counts; `tokens` counts the longer side with padding, for sentences of very different length,
    whose batches then need alike memory."""
    accumulation: int = 1
    """Batches whose gradients are added before an update; for larger batches than fit into memory."""
    optimizer: Literal["adam", "adamw", "sgd", "adagrad"] = "adam"
    """Adam (Kingma & Ba 2015), AdamW (Loshchilov & Hutter 2019), SGD, or Adagrad (Duchi et al. 2011). `adam` first,
    `adamw` with `weight_decay`; `sgd` and `adagrad` want a learning rate of their own and are for repeating papers."""
    learning_rate: float = 0.002
    """Peak step size; the first setting to tune. Lower it when the loss jumps or is not finite, and for fine-tuning.
    (`sgd` and `adagrad` need another one.)"""
    betas: tuple[float, float] = (0.9, 0.98)
    """Decay of Adam's first and second moment; change them only to repeat other work (0.9 and 0.999 in Kingma & Ba
    2015)."""
    momentum: float = 0.0
    """Momentum of SGD; for when plain SGD is too slow."""
    weight_decay: float = 0.0
    """L2 penalty (decoupled for AdamW); against overfitting where dropout does not do."""
    schedule: Literal["constant", "linear", "cosine", "inverse_sqrt", "halving"] = "linear"
    """After the warm-up: constant, linear or cosine to zero, 1/sqrt(update), or, from `decay_start` on, halved each
    tenth of what is left. `linear` when the training is to end with `epochs`; `constant` and `inverse_sqrt` when
    `patience` is to end it; `halving` with SGD, as Sutskever et al. (2014)."""
    warmup: Annotated[int, AUTO] = AUTO
    """Updates in which the learning rate rises linearly from zero; for high learning rates, and for deep models.
    `auto`: 200, or the first twentieth of a shorter training."""
    decay_start: float = 0.3
    """Share of the training after which `linear`, `cosine` and `halving` begin to lower the learning rate; raise it
    while the full rate still brings the validation forward."""
    clip_norm: float = 1.0
    """Largest norm of the gradient of all weights together (Pascanu et al. 2013); 0 turns it off. Recurrent models need
    it: lower it when the loss jumps (`metrics.jsonl` records the norms)."""
    label_smoothing: Annotated[float, AUTO] = AUTO
    """Probability spread evenly over the whole vocabulary (Szegedy et al. 2016); helps most translation models, at the
    cost of their perplexity. `auto`: 0.1, for a language model and with `minimum_risk` 0."""
    average_decay: Annotated[float, AUTO] = AUTO
    """Decay of the exponential moving average of the weights per update; 0 turns it off. Nearly always worth it: the
    average is over about 1 / (1 - decay) updates, which should be a small part of the training. `auto`: a tenth of
    it."""
    source_sampling: Annotated[float, AUTO] = AUTO
    """Sampled source segmentations: alpha of subword regularisation (Kudo 2018) or probability of BPE-dropout
    (Provilkov et al. 2020); 0 is off. For little and medium data, with more epochs. `auto`: 0.5, with `bpe` 0.1, with
    `char` and for a language model 0."""
    target_sampling: float = 0.0
    """The same for the target side; try the source alone first."""
    source_word_dropout: Annotated[float, AUTO] = AUTO
    """Probability that all pieces of a source word are replaced by the unknown piece; for little data (Sennrich & Zhang
    2019). `auto`: 0.08, for a language model 0."""
    target_word_dropout: Annotated[float, AUTO] = AUTO
    """The same for the decoder's input (Bowman et al. 2016); what it has to predict stays whole. For little data, as it
    makes the decoder rely on the source. `auto`: 0.08, for a language model and with `minimum_risk` 0."""
    precision: Annotated[Literal["fp32", "bf16"], AUTO] = AUTO
    """Arithmetic of the products; the weights stay fp32. bf16 needs a CPU or GPU that has it, and is faster there.
    `auto`: bf16 where the device has it, otherwise fp32."""
    validation_interval: int = 0
    """Updates between two validations; 0 validates after each epoch. Set it where an epoch is long."""
    keep_checkpoints: int = 0
    """Latest validated models kept under checkpoints/, for `nmt average`; 0 keeps none."""
    patience: int = 0
    """Validations without improvement after which training stops; 0 never stops early. For when it is not known how
    many epochs it takes; a schedule that falls until the last epoch is better left to its end."""
    best_by: Literal["bleu", "loss"] = "bleu"
    """What chooses `best/` and counts for `patience`; for a language model always the loss. `loss` where the validation
    set is too small for BLEU."""
    validation_beam_size: int = 1
    """Beam of the validation BLEU; 1 is greedy, the fastest, and will do to tell models apart."""
    save_interval: float = 10.0
    """Minutes between two saved training states; an interrupt and each validation save as well. Shorter where a machine
    may vanish."""
    log_interval: int = 50
    """Updates between two records of `metrics.jsonl`; fewer to watch a small training."""


@dataclass(frozen=True)
class Range:
    """The values that a search option may have."""

    rule: str
    """In words, as they follow "must be"."""
    holds: Callable[[Any], bool]
    most: int | None = None
    """A larger value is a slip of the pen, or an attempt to take all memory."""

    def broken_by(self, value: Any) -> str:
        """The rule that a value breaks, in words; empty if none."""
        if not self.holds(value):
            return self.rule
        return f"at most {self.most}" if self.most is not None and value != "auto" and value > self.most else ""


NATURAL = Range("from 0 to below 2^63", lambda value: 0 <= value < 2**63)
FINITE = Range("greater than 0 and finite", lambda value: 0 < value < math.inf)
SHARE = Range("greater than 0 and at most 1", lambda value: 0 < value <= 1)


def positive(most: int) -> Range:
    """From 1 on."""
    return Range("at least 1", lambda value: value >= 1, most)


def up_to(most: int) -> Range:
    """From 0 to a number that nobody will miss."""
    return Range(f"at least 0 and at most {most}", lambda value: 0 <= value <= most)


@dataclass(frozen=True)
class Need:
    """What another search option must be for this one to have an effect."""

    what: str
    """In words, as they follow "has no effect without"."""
    met: Callable[[DecodingConfig], bool]


BEAM = Need("the method `beam`", lambda decoding: decoding.method == "beam")
SAMPLING = Need("the method `sampling`", lambda decoding: decoding.method == "sampling")


@dataclass(frozen=True)
class Option:
    """What a field of `DecodingConfig` says about itself besides name, type, default and meaning."""

    help: str
    """For `--help`."""
    metavar: str | None
    range: Range | None
    """None where the type says it all."""
    needs: Need | None
    needs_attention: bool
    """Whether the option, when set, works only with a model that has attention."""
    scoring: bool
    """Whether the score of a given translation depends on it too."""


def option(
    default: T,
    help: str,
    metavar: str | None = None,
    range: Range | None = None,
    *,
    needs: Need | None = None,
    needs_attention: bool = False,
    scoring: bool = False,
) -> T:
    """A field of `DecodingConfig`; checks, command line and reference derive from it."""
    described = Option(help, metavar, range, needs, needs_attention, scoring)
    made: T = field(default=default, metadata={"option": described})
    return made


@dataclass
class DecodingConfig:
    """Defaults of search and sampling."""

    method: Literal["beam", "sampling"] = option("beam", "beam search, or drawing from the model's distribution")
    """`beam` search for the best translation; `sampling` draws one from the model's distribution, for back-translation
    and to see which other translations the model considers likely."""
    beam_size: int = option(5, "hypotheses kept per sentence; 1 is greedy", "N", positive(1000))
    """Hypotheses kept per sentence; 1 is greedy search, the fastest. More than ten seldom help."""
    length_penalty: Literal["none", "average", "gnmt"] = option("gnmt", "how scores depend on length", scoring=True)
    """Score: log-probability (`none`), divided by the length (`average`), or by ((5 + length) / 6)^alpha (`gnmt`; Wu et
    al. 2016, equation 14). `none` favours short translations; `gnmt` can be tuned."""
    alpha: float = option(
        1.0,
        "exponent of the gnmt length penalty",
        "A",
        up_to(10),
        needs=Need("the length penalty `gnmt`", lambda decoding: decoding.length_penalty == "gnmt"),
        scoring=True,
    )
    """Exponent of the `gnmt` penalty; larger favours longer translations. Tune it on the validation set."""
    coverage_penalty: float = option(
        0.0,
        "weight of the penalty for source that was not attended to",
        "W",
        up_to(100),
        needs=BEAM,
        needs_attention=True,
    )
    """Weight of the coverage penalty, sum_i log min(sum_j p_ij, 1) over the source pieces i (Wu et al. 2016, equation
    14; 0.2 there). For models with attention that leave out parts of the source."""
    brevity_penalty: float = option(
        0.0, "weight of the penalty for translations that are too short", "W", up_to(100), scoring=True
    )
    """Weight of min(0, 1 - `brevity_ratio` x source pieces / target pieces) in the score (Yang et al. 2018; 1 there,
    with `average`). For models whose translations are too short."""
    brevity_ratio: float = option(
        1.0,
        "target pieces to be expected for a source piece",
        "R",
        up_to(1000),
        needs=Need("`brevity_penalty`", lambda decoding: decoding.brevity_penalty > 0),
        scoring=True,
    )
    """Target pieces to be expected for a source piece, for the brevity penalty; take it from the training data."""
    min_length: int = option(0, "fewest target pieces", "N", up_to(10**6))
    """Fewest target pieces, without the end symbol; for models that stop too early."""
    max_length_factor: float = option(2.0, "most target pieces per source piece", "F", up_to(1000))
    """A translation has at most `max_length_factor` times the source pieces plus `max_length_offset` pieces. Raise it
    where the target needs many more pieces than the source."""
    max_length_offset: int = option(10, "target pieces allowed on top of that", "N", up_to(10**6))
    """See `max_length_factor`; matters for the shortest sentences."""
    no_repeat_ngram: int = option(0, "no run of N pieces twice", "N", up_to(10**6))
    """No translation has the same run of this many pieces twice; 0 allows it. 3 to 6 stop a model that repeats
    itself."""
    groups: int = option(1, "diverse beam search: groups that share the beam", "N", positive(1000), needs=BEAM)
    """Diverse beam search (Vijayakumar et al. 2016): this many groups share the beam and avoid each other's pieces. For
    n-best lists whose translations differ; at most `beam_size`."""
    diversity: float = option(
        0.5,
        "how much groups avoid each other's pieces",
        "D",
        up_to(100),
        needs=Need("`groups`", lambda decoding: decoding.groups > 1),
    )
    """What a piece loses, in log-probability, for each time an earlier group has just taken it; larger for lists that
    differ more, 0.2 to 0.8 in the paper."""
    replace_unknown: bool = option(False, "copy what is unknown from the source, by attention", needs_attention=True)
    """Where the source has unknown pieces, unknown ones may be written, and each becomes the unknown source piece that
    it attends to most. For models with attention and `vocabulary.byte_fallback = false`; for others nothing is
    unknown."""
    temperature: float = option(
        1.0, "below 1 sharpens the distribution, above 1 flattens it", "T", FINITE, needs=SAMPLING
    )
    """Sampling: divides the log-probabilities. Values below 1 sharpen the distribution, values above 1 flatten it."""
    top_k: int = option(0, "draw from the K most probable pieces; 0: all", "K", up_to(10**6), needs=SAMPLING)
    """Sampling: draw from the k most probable pieces only; 0 is all. 10 avoids the improbable (Edunov et al. 2018)."""
    top_p: float = option(
        1.0, "draw from the most probable pieces that together have probability P", "P", SHARE, needs=SAMPLING
    )
    """Sampling: draw from the fewest pieces whose probabilities add up to p (Holtzman et al. 2020); 1 is all, 0.9
    leaves out the tail."""
    seed: int = option(1, "random seed", "S", NATURAL, needs=SAMPLING)
    """Sampling: random seed; the same seed gives the same translations."""
    minimum_bayes_risk: Literal["none", "bleu", "chrf"] = option("none", "choose by expected BLEU or chrF")
    """Choose the candidate with the largest expected `bleu` or `chrf` against all candidates, from `samples` samples or
    the beam's n-best list (Kumar & Byrne 2004, Eikema & Aziz 2020). For when time does not matter."""
    samples: int = option(
        32,
        "samples among which minimum Bayes risk chooses",
        "N",
        positive(10**5),
        needs=Need(
            "minimum Bayes risk and the method `sampling`",
            lambda decoding: decoding.method == "sampling" and decoding.minimum_bayes_risk != "none",
        ),
    )
    """Candidates drawn for minimum Bayes risk with sampling; more are better and cost time with their square."""
    batch_size: int | Literal["auto"] = option(
        "auto",
        "most sentences translated at once",
        "N",
        Range("auto or at least 1", lambda value: value == "auto" or value >= 1, 10**7),
        scoring=True,
    )
    """Most sentences translated at once; `auto` is the number that makes 320 hypotheses, 64 with a beam of five. Fewer
    save memory."""
    batch_tokens: int = option(
        4096, "most source pieces translated at once, with padding", "N", positive(10**7), scoring=True
    )
    """Most source pieces translated at once, padding included; lower it where long lines take too much memory."""
    language_model_weight: float = option(0.2, "weight of its log-probabilities", "W", up_to(100), scoring=True)
    """Weight of the log-probabilities of a language model, when `translate` is given one (Gulcehre et al. 2015). Tune
    it on the validation set."""

    @property
    def batch_sentences(self) -> int:
        """Most sentences translated at once, as a number."""
        return max(1, BATCH_HYPOTHESES // self.beam_size) if self.batch_size == "auto" else self.batch_size

    def max_length(self, source_length: int) -> int:
        """Most pieces of a translation, without the end symbol; never below `min_length`."""
        length = int(self.max_length_factor * source_length + self.max_length_offset + 1e-9)
        return max(length, self.min_length)

    def out_of_range(self) -> Iterator[tuple[str, str]]:
        """Each option whose value is impossible, with the rule that it breaks."""
        for name, described in OPTIONS.items():
            rule = described.range.broken_by(getattr(self, name)) if described.range else ""
            if rule:
                yield name, rule

    def without_effect(self, name: str) -> str:
        """What an option lacks to have an effect, in words; empty if nothing."""
        needs = OPTIONS[name].needs
        return "" if needs is None or needs.met(self) else needs.what

    def needing_attention(self) -> list[str]:
        """The options that are set and work only with a model that has attention."""
        return [name for name, described in OPTIONS.items() if described.needs_attention and getattr(self, name)]


OPTIONS: dict[str, Option] = {one.name: one.metadata["option"] for one in dataclasses.fields(DecodingConfig)}
"""Every search option, by name."""


@dataclass
class Config:
    """A whole configuration file."""

    task: Literal["translation", "language_model"] = "translation"
    """What is trained: a translation model, or a language model of the target side (a decoder without an encoder)."""
    format: int = FORMAT
    """File format of this configuration; `nmt` writes it, people may leave it out."""
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
    except (ValueError, RecursionError) as error:  # RecursionError: brackets in brackets
        raise UserError(f"configuration `{path}` is not valid TOML: {str(error).splitlines()[0]}") from None
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
    except (ValueError, RecursionError):
        value = text.strip()
    for key in keys[:-1]:
        values = values.setdefault(key, {})
        if not isinstance(values, dict):
            raise UserError(f"--set {name.strip()}: `{key}` is not a section")
    values[keys[-1]] = value


def data_with(config: Config, settings: Sequence[str]) -> DataConfig:
    """The data of a configuration with some `data.KEY=VALUE` changed; raises UserError for other settings."""
    values = dataclasses.asdict(config)
    for setting in settings:
        if not setting.startswith("data."):
            raise UserError(f"--set must be data.KEY=VALUE here, but is `{setting}` instead")
        apply_setting(values, setting)
    return parse_config(values, "--set").data


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


_type_hints = functools.cache(functools.partial(typing.get_type_hints, include_extras=True))  # it compiles each of them


def _parse_dataclass(kind: Any, values: dict[str, Any], prefix: str, mistakes: list[str]) -> Any:
    hints = _type_hints(kind)
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
    if origin is Annotated:
        return (True, value) if value == AUTO else _convert(arguments[0], value)
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
    if origin is list and dataclasses.is_dataclass(arguments[0]):
        return _convert_tables(arguments[0], value)
    if origin is list:
        return isinstance(value, list) and all(_convert(arguments[0], item)[0] for item in value), value
    if origin is dict:
        return isinstance(value, dict) and all(_convert(arguments[1], item)[0] for item in value.values()), value
    if hint is float:
        return (True, float(value)) if _is_number(value) else (False, value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool), value
    if hint is str:
        return isinstance(value, str) and "\0" not in value, value
    return isinstance(value, hint), value


def _convert_tables(kind: Any, value: Any) -> tuple[bool, Any]:
    """Whether a TOML value is a list of tables of a dataclass, and the value as that."""
    mistakes: list[str] = []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        return False, value
    converted = [_parse_dataclass(kind, item, "", mistakes) for item in value]
    return not mistakes, converted


def _is_number(value: Any) -> bool:
    """Whether it is a number that a float can hold."""
    return isinstance(value, float) or (type(value) is int and abs(value) <= sys.float_info.max)


def _describe(hint: Any) -> str:
    """A type hint in the user's words."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return f"{_describe(arguments[0])} or {AUTO}"
    if origin is Literal:
        return "one of " + ", ".join(str(choice) for choice in arguments) if len(arguments) > 1 else repr(arguments[0])
    if origin is types.UnionType or origin is typing.Union:
        return " or ".join(_describe(choice) for choice in arguments if choice is not types.NoneType)
    if origin is tuple:
        return f"a list of {len(arguments)} numbers"
    if origin is list and dataclasses.is_dataclass(arguments[0]):
        return "a list of tables with the keys " + ", ".join(typing.get_type_hints(arguments[0]))
    if origin is list:
        return "a list of texts"
    if origin is dict:
        return "a table"
    return {float: "a number", int: "a whole number", str: "a text", bool: "true or false"}[hint]


def check_config(config: Config) -> list[str]:
    """Every impossible value or combination, one sentence each; open settings go with all others."""
    config = resolve(config, NOMINAL)
    data, vocabulary, model, training, decoding = (getattr(config, section) for section in SECTIONS)
    mistakes = []

    def must(condition: bool, name: str, rule: str) -> None:
        if not condition:
            section, key = name.split(".")
            mistakes.append(f"`{name}` must be {rule}, but is {getattr(getattr(config, section), key)!r} instead")

    language_model = config.task == "language_model"
    must(bool(data.path), "data.path", "a corpus")
    must(
        language_model or data.source != data.target,
        "data.target",
        "another language than `data.source`",
    )
    must(0 < data.weight <= 1000, "data.weight", "greater than 0 and at most 1000")
    for number, extra in enumerate(data.extra, 1):
        if not extra.path:
            mistakes.append(f"`data.extra` number {number} must have a `path`, but has none")
        if not 0 < extra.weight <= 1000:
            mistakes.append(
                f"`data.extra` number {number}: `weight` must be greater than 0 and at most 1000, "
                f"but is {extra.weight} instead"
            )
    must(5 <= data.probe_length <= 1000, "data.probe_length", "from 5 to 1000")
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
        vocabulary.joint or not any(extra.reversed for extra in config.data.extra),
        "vocabulary.joint",
        "true where `data.extra` has reversed pairs",
    )
    must(
        vocabulary.source is not None or vocabulary.target is None,
        "vocabulary.target",
        "unset unless `vocabulary.source` is set",
    )
    sizes = ("embedding_size", "hidden_size", "encoder_layers", "decoder_layers", "transition_depth", "attention_heads")
    for name in sizes:
        must(getattr(model, name) >= 1, f"model.{name}", "at least 1")
    must(not model.bidirectional or model.hidden_size % 2 == 0, "model.hidden_size", "even for a bidirectional encoder")
    must(
        model.tied_embeddings != "all" or vocabulary.joint,
        "model.tied_embeddings",
        "none or decoder without a joint vocabulary",
    )
    must(
        model.attention != "multi_head" or model.hidden_size % max(1, model.attention_heads) == 0,
        "model.attention_heads",
        "a divisor of `model.hidden_size`",
    )
    must(model.attention != "none" or model.input_feeding == "none", "model.input_feeding", "none without attention")
    must(model.attention != "none" or not model.coverage, "model.coverage", "false without attention")
    must(
        model.input_feeding == "none" or model.input_normalization != "batch",
        "model.input_normalization",
        "none or layer with input feeding: batch statistics need all positions at once",
    )
    must(
        model.tied_embeddings != "all" or model.source_embeddings is None,
        "model.source_embeddings",
        "unset with all embeddings tied; set `model.target_embeddings`",
    )
    must(
        not model.frozen_embeddings or (model.source_embeddings or model.target_embeddings) is not None,
        "model.frozen_embeddings",
        "false unless embeddings are read from a file",
    )
    for name in ("dropout", "embedding_dropout", "output_dropout", "weight_drop", "zoneout"):
        must(0 <= getattr(model, name) < 1, f"model.{name}", "at least 0 and below 1")
    must(0 < model.embedding_deviation <= 100, "model.embedding_deviation", "greater than 0 and at most 100")
    must(model.initialization_scale > 0, "model.initialization_scale", "greater than 0")
    for name in ("epochs", "batch_size", "accumulation", "validation_beam_size", "log_interval", "risk_candidates"):
        must(getattr(training, name) >= 1, f"training.{name}", "at least 1")
    for name in ("source_word_dropout", "target_word_dropout", "label_smoothing", "average_decay", "momentum"):
        must(0 <= getattr(training, name) < 1, f"training.{name}", "at least 0 and below 1")
    for name in ("source_sampling", "target_sampling", "decay_start", "scheduled_sampling_rate"):
        must(0 <= getattr(training, name) <= 1, f"training.{name}", "between 0 and 1")
    must(training.risk_sharpness > 0, "training.risk_sharpness", "greater than 0")
    if training.objective == "minimum_risk":
        reason = "with objective minimum_risk, whose candidates are the model's own"
        must(training.risk_candidates >= 2, "training.risk_candidates", f"at least 2 {reason}")
        must(training.scheduled_sampling == "none", "training.scheduled_sampling", f"none {reason}")
        must(training.r_drop == 0, "training.r_drop", f"0 {reason}")
        must(training.truncation == 0, "training.truncation", f"0 {reason}")
        must(training.label_smoothing == 0, "training.label_smoothing", f"0 {reason}")
        must(training.target_word_dropout == 0, "training.target_word_dropout", f"0 {reason}")
    mistakes += _check_language_model(config) if language_model else []
    not_negative = ("warmup", "clip_norm", "weight_decay", "validation_interval", "patience", "save_interval")
    for name in (*not_negative, "truncation", "r_drop", "keep_checkpoints"):
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
    for name, rule in decoding.out_of_range():
        must(False, f"decoding.{name}", rule)
    must(
        decoding.groups <= decoding.beam_size, "decoding.groups", f"at most `decoding.beam_size` ({decoding.beam_size})"
    )
    return mistakes + _check_largest(config)


LARGEST = {
    "data": {"max_length": 10**6},
    "model": {
        **dict.fromkeys(("embedding_size", "hidden_size"), 2**16),
        **dict.fromkeys(("encoder_layers", "decoder_layers", "transition_depth"), 100),
        "attention_heads": 1024,
    },
    "training": {
        **dict.fromkeys(("epochs", "batch_size", "accumulation", "truncation"), 10**7),
        **dict.fromkeys(("validation_beam_size", "risk_candidates"), 1000),
    },
}
"""The largest values that are not a slip of the pen, or an attempt to take all memory."""


def _check_largest(config: Config) -> list[str]:
    """Every size beyond all measure, one sentence each."""
    values = {
        (section, name): getattr(getattr(config, section), name) for section in LARGEST for name in LARGEST[section]
    }
    return [
        f"`{section}.{name}` must be at most {LARGEST[section][name]}, but is {value} instead"
        for (section, name), value in values.items()
        if isinstance(value, int) and value > LARGEST[section][name]
    ]


def _check_language_model(config: Config) -> list[str]:
    """What a language model cannot have, as it has no source, and one state to carry on."""
    mistakes = []
    without_source = {
        "model": (
            *("encoder_layers", "reverse_source", "context_input", "attention", "input_feeding", "coverage"),
            "source_embeddings",
        ),
        "training": ("source_sampling", "source_word_dropout", "objective", "scheduled_sampling", "r_drop"),
    }
    for section, names in without_source.items():
        default = getattr(resolve(Config(task="language_model"), NOMINAL), section)
        for name in names:
            if getattr(getattr(config, section), name) != getattr(default, name):
                mistakes.append(f"`{section}.{name}` must be left out for a language model")
    if config.data.extra or config.data.tag or config.data.weight != 1:
        mistakes.append("`data.extra`, `data.tag` and `data.weight` must be left out for a language model")
    if config.model.tied_embeddings == "all":
        mistakes.append("`model.tied_embeddings` must be none or decoder for a language model, which has no source")
    if config.training.truncation < 1:
        mistakes.append("`training.truncation` must be at least 1 for a language model (32 to 128 positions)")
    return mistakes


def write_config(config: Config) -> str:
    """The configuration as TOML text that `load_config` reads back to an equal Config."""
    lines = [f"format = {config.format}", f"task = {_toml(config.task)}"]
    for section in SECTIONS:
        lines += ["", f"[{section}]"]
        values = dataclasses.asdict(getattr(config, section))
        lines += [f"{key} = {_toml(value)}" for key, value in values.items() if value is not None]
    return "\n".join(lines) + "\n"


def _toml_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _toml(key)


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
        items = {key: item for key, item in value.items() if item is not None}
        return "{" + ", ".join(f"{_toml_key(key)} = {_toml(item)}" for key, item in items.items()) + "}"
    return repr(value)
