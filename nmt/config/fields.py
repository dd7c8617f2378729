"""The settings: one dataclass for each section of the TOML file.

The string below a field is its meaning; docs/configuration.md and its readers have it from here. A number's range is in
the annotation of its type.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Annotated, Literal

from nmt.config.ranges import (
    ABOVE_0,
    BEAM,
    BELOW_1,
    FINITE,
    FROM_0,
    NATURAL,
    NOT_EMPTY,
    PROBABILITY,
    SAMPLING,
    SHARE,
    WEIGHT,
    Need,
    Option,
    Range,
    option,
    positive,
    up_to,
)
from nmt.sizing import AUTO

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
    weight: Annotated[float, WEIGHT] = 1.0
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

    path: Annotated[str, NOT_EMPTY] = "builtin:captions"
    """`builtin:captions`, a probe task (`builtin:copy`, `builtin:reverse`, `builtin:sort`, `builtin:adding`), a hub id
    (`bentrevett/multi30k`), a folder, or a builder (json, csv, tsv, text, parquet)."""
    name: str | None = None
    """Configuration name of a hub data set (`de-en` of `wmt/wmt14`)."""
    files: dict[str, str | list[str]] = field(default_factory=dict)
    """Files of each split for a builder: `{train = "train.csv"}`; for `text`: `{train = ["train.de", "train.en"]}`."""
    source: str = "de"
    """Source language: column name, language of a `translation` column, or file suffix."""
    target: str = "en"
    """Target language, named in the same way."""
    source_language: str | None = None
    """Language of the source side, where `source` does not name it (`de` for a column called `text`)."""
    target_language: str | None = None
    """Language of the target side, where `target` does not name it; it selects the tokeniser of BLEU (`ja`, `ko`, `zh`
    have their own)."""
    probe_length: Annotated[int, Range("from 5 to 1000", lambda value: 5 <= value <= 1000)] = 20
    """Digits of a source of a probe task, 5 to 1000: raise it to see where a network begins to forget. Sources longer
    than `max_length` pieces are dropped."""
    train_split: str = "train"
    """Name of the training split."""
    validation_split: str = "validation"
    """Name of the validation split (in a folder, `val` and `dev` files are found as well)."""
    test_split: str = "test"
    """Name of the test split (`test_2016_flickr` in a folder of Multi30k)."""
    max_length: Annotated[int, positive(10**6)] = 128
    """Longest side in pieces, without the end symbol; training pairs with a longer one are dropped and counted. Lower
    it to save memory, raise it for documents and for characters."""
    max_length_ratio: Annotated[float, Range("greater than 1", lambda value: value > 1)] = 9.0
    """Largest ratio of the two sides' characters; beyond it a training pair counts as misaligned and is dropped, unless
    both sides are short (20 characters). Lower it for noisy text of languages that write alike, raise it where one of
    them writes a word with a character."""
    weight: Annotated[float, WEIGHT] = 1.0
    """How often the pairs are seen in an epoch: 1 is once, 0.5 a random half of them, 2 twice. Raise it where
    `data.extra` has much more of less use."""
    tag: str = ""
    """Put before each training source sentence, so that the model can tell several sources apart; leave it empty for
    text like that which is to be translated, as `translate` puts no tag."""
    extra: list[SourceConfig] = field(default_factory=list)
    """More training pairs from elsewhere, each source with a weight and a tag of its own: for back-translation,
    distillation, text of other domains."""

    @property
    def languages(self) -> tuple[str, str]:
        """The languages of source and target: as they are set, else as the sides are called."""
        return self.source_language or self.source, self.target_language or self.target


@dataclass
class VocabularyConfig:
    """SentencePiece vocabulary."""

    model_type: Literal["unigram", "bpe", "char"] = "unigram"
    """SentencePiece model. `unigram` first; `bpe` for BPE-dropout and to repeat papers; `char` makes every character a
    piece, for language models and very little data. Sampling needs `unigram` or `bpe`."""
    size: Annotated[int, AUTO, Range("auto or 16 to 1000000", lambda value: 16 <= value <= 10**6)] = AUTO
    """Number of pieces with the special ones. `auto`: five times the square root of the number of training words, from
    1,000 to 32,000. Fewer for little data."""
    joint: bool = True
    """One vocabulary for both languages (needed to tie the embeddings of both sides); `false` for languages without
    letters or words in common."""
    character_coverage: Annotated[float, Range("from 0.98 to 1", lambda value: 0.98 <= value <= 1)] = 1.0
    """Share of the characters covered by pieces; 0.9995 for languages with thousands of characters."""
    byte_fallback: bool = True
    """Characters without a piece become bytes, so that nothing is unknown; `false` where a vocabulary has no room for
    256 more pieces."""
    copied_spans: Annotated[int, AUTO, Range("auto or 0 to 16", lambda value: 0 <= value <= 16)] = AUTO
    """Pieces that stand for what a translation copies as it is: addresses, placeholders, tags, code, long numbers,
    emoji, characters without a piece. As many can be in a sentence; a sentence with more is cut. 0 turns it off.
    `auto`: 16, and 0 for a language model."""
    split_digits: bool = True
    """Each digit is a piece of its own, so that a model learns to copy any number; `false` to repeat older work."""
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
    embedding_size: Annotated[int, AUTO, positive(2**16)] = AUTO
    """Size of the source and target embeddings; smaller for little data. With tied embeddings, and with `context_input`
    `all`, it is also the width of what the output layer reads. `auto`: 256, and 512 from 500,000 pairs on."""
    hidden_size: Annotated[int, AUTO, positive(2**16)] = AUTO
    """Size of the decoder's hidden state; a bidirectional encoder has half of it in each direction. Raise it first when
    the training perplexity stays high; weights and time of a layer grow with its square. `auto`: by the number of
    pairs, see the recipes."""
    encoder_layers: Annotated[int, positive(100)] = 1
    """Stacked encoder layers; more pay with more data."""
    decoder_layers: Annotated[int, positive(100)] = 2
    """Stacked decoder layers. Two with attention but without input feeding, as the second is then the first that sees
    what was attended to; more pay with more data."""
    transition_depth: Annotated[int, positive(100)] = 1
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
    attention_heads: Annotated[int, positive(1024)] = 4
    """Heads of `multi_head` attention; they share `hidden_size`, so take more of them only when that is large."""
    input_feeding: Literal["none", "luong", "bahdanau"] = "none"
    """What the next step sees of the attention. `none`: the first layer asks for all positions at once, upper layers
    and output see the answer, the fastest. `luong`: the top layer asks, the attentional vector enters the next step.
    `bahdanau`: the state before the step asks, the answer enters the step. Both take a loop over the target: use them
    where they prove better on the validation set, and to repeat the papers."""
    coverage: bool = False
    """Let the attention see how much attention each source position has had (Tu et al. 2016; See et al. 2017), against
    repetitions and omissions in long sentences. Takes a loop over the target."""
    embedding_deviation: Annotated[float, Range("greater than 0 and at most 100", lambda value: 0 < value <= 100)] = 0.5
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
    dropout: Annotated[float, AUTO, BELOW_1] = AUTO
    """Probability of dropping a unit between layers and before the readout (Zaremba et al. 2014). Raise it first when
    the validation perplexity is far above the training's, and lower it when both are high. `auto`: less with more
    data."""
    embedding_dropout: Annotated[float, AUTO, BELOW_1] = AUTO
    """Probability of dropping a unit of an embedding, in addition to `dropout`. `auto`: 0.1."""
    output_dropout: Annotated[float, AUTO, BELOW_1] = AUTO
    """Probability of dropping a unit that the output layer reads, in addition to `dropout`. `auto`: as high as
    `dropout`."""
    variational_dropout: bool = False
    """Use the same dropout mask at all positions of a sentence (Gal & Ghahramani 2016); for long sequences and language
    models, with smaller probabilities."""
    weight_drop: Annotated[float, BELOW_1] = 0.0
    """Probability of dropping a recurrent weight for a whole batch (Merity et al. 2018); for language models."""
    zoneout: Annotated[float, BELOW_1] = 0.0
    """Probability that a unit of the state keeps its value for a step (Krueger et al. 2017); takes a loop over the
    positions. For language models, of characters above all."""
    initialization: Literal["uniform", "xavier", "orthogonal"] = "orthogonal"
    """Weights: uniform in [-initialization_scale, +initialization_scale], Glorot & Bengio 2010, or these with
    orthogonal recurrent ones (Saxe et al. 2014), which plain RNNs need. `uniform` is for repeating older papers."""
    initialization_scale: Annotated[float, ABOVE_0] = 0.08
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
    risk_candidates: Annotated[int, positive(1000)] = 8
    """Candidate translations of a sentence for `minimum_risk`; more estimate the risk better, at as much more time."""
    risk_search: Literal["sample", "beam"] = "sample"
    """Where the candidates come from: drawn from the model, the first choice (Shen et al. 2016), or its n best, which
    are nearer to what `translate` finds and nearer to each other."""
    risk_metric: Literal["bleu", "chrf"] = "bleu"
    """The cost of a candidate is 1 - smoothed sentence BLEU, or 1 - chrF; take what the model will be judged by, and
    `chrf` where words have many forms."""
    risk_sharpness: Annotated[float, ABOVE_0] = 0.005
    """Exponent of the candidates' probabilities before they are normalised (alpha in Shen et al. 2016, who choose
    0.005); raise it if only the likeliest candidates should count."""
    scheduled_sampling: Literal["none", "constant", "linear", "exponential", "inverse_sigmoid"] = "none"
    """How the probability grows with which the decoder reads a word of its own instead of the reference's (Bengio et
    al. 2015); against exposure bias, at a quarter to a half of the speed."""
    scheduled_sampling_rate: Annotated[float, PROBABILITY] = 0.25
    """That probability at the end of the training; lower it if the validation perplexity suffers."""
    truncation: Annotated[int, AUTO, Range("at least 0", lambda value: value >= 0, 10**7)] = AUTO
    """Target positions after which the gradient is cut and only the state carried on (Williams & Peng 1990): bounds the
    memory for long targets; 0 never cuts. A language model needs it. `auto`: 0, for a language model 64, of characters
    128."""
    r_drop: Annotated[float, FROM_0] = 0.0
    """Weight of R-Drop (Liang et al. 2021): each batch passes twice with other dropout masks, and the two predictions
    are drawn together; better, at half the speed."""
    seed: Annotated[int, NATURAL] = 1
    """Seed of initialisation, order, dropout and sampling; set another for each member of an ensemble, and to see how
    much a score owes to chance."""
    epochs: Annotated[int, AUTO, positive(10**7)] = AUTO
    """Passes over the training data; the learning-rate schedule ends with the last. Raise it if validation still
    improves there, lower it if the best model lies far before. `auto`: 12 with 29,000 pairs, more with fewer, fewer
    with more."""
    batch_size: Annotated[int, AUTO, positive(10**7)] = AUTO
    """Sentences or tokens of a batch, as `batch_unit` says; smaller for little data, larger for speed. For a language
    model: parallel streams of the text, or their number times `truncation`. `auto`: 32 sentences, 64 from 15,000 pairs
    on, 128 from 100,000 on."""
    batch_unit: Literal["sentences", "tokens"] = "sentences"
    """What `batch_size` counts; `tokens` counts the longer side with padding, for sentences of very different length,
    whose batches then need alike memory."""
    accumulation: Annotated[int, positive(10**7)] = 1
    """Batches whose gradients are added before an update; for larger batches than fit into memory."""
    optimizer: Literal["adam", "adamw", "sgd", "adagrad"] = "adam"
    """Adam (Kingma & Ba 2015), AdamW (Loshchilov & Hutter 2019), SGD, or Adagrad (Duchi et al. 2011). `adam` first,
    `adamw` with `weight_decay`; `sgd` and `adagrad` want a learning rate of their own and are for repeating papers."""
    learning_rate: Annotated[float, FINITE] = 0.002
    """Peak step size; the first setting to tune. Lower it when the loss jumps or is not finite, and for fine-tuning.
    (`sgd` and `adagrad` need another one.)"""
    betas: Annotated[
        tuple[float, float], Range("two numbers from 0 to below 1", lambda betas: all(0 <= beta < 1 for beta in betas))
    ] = (0.9, 0.98)
    """Decay of Adam's first and second moment; change them only to repeat other work (0.9 and 0.999 in Kingma & Ba
    2015)."""
    momentum: Annotated[float, BELOW_1] = 0.0
    """Momentum of SGD; for when plain SGD is too slow."""
    weight_decay: Annotated[float, FROM_0] = 0.0
    """L2 penalty (decoupled for AdamW); against overfitting where dropout does not do."""
    schedule: Literal["constant", "linear", "cosine", "inverse_sqrt", "halving"] = "linear"
    """After the warm-up: constant, linear or cosine to zero, 1/sqrt(update), or, from `decay_start` on, halved each
    tenth of what is left. `linear` when the training is to end with `epochs`; `constant` and `inverse_sqrt` when
    `patience` is to end it; `halving` with SGD, as Sutskever et al. (2014)."""
    warmup: Annotated[int, AUTO, FROM_0] = AUTO
    """Updates in which the learning rate rises linearly from zero; for high learning rates, and for deep models.
    `auto`: 200, or the first twentieth of a shorter training."""
    decay_start: Annotated[float, PROBABILITY] = 0.3
    """Share of the training after which `linear`, `cosine` and `halving` begin to lower the learning rate; raise it
    while the full rate still brings the validation forward."""
    clip_norm: Annotated[float, FROM_0] = 1.0
    """Largest norm of the gradient of all weights together (Pascanu et al. 2013); 0 turns it off. Recurrent models need
    it: lower it when the loss jumps (`metrics.jsonl` records the norms)."""
    label_smoothing: Annotated[float, AUTO, BELOW_1] = AUTO
    """Probability spread evenly over the whole vocabulary (Szegedy et al. 2016); helps most translation models, at the
    cost of their perplexity. `auto`: 0.1, for a language model and with `minimum_risk` 0."""
    average_decay: Annotated[float, AUTO, BELOW_1] = AUTO
    """Decay of the exponential moving average of the weights per update; 0 turns it off. Nearly always worth it: the
    average is over about 1 / (1 - decay) updates, which should be a small part of the training. `auto`: a tenth of
    it."""
    source_sampling: Annotated[float, AUTO, PROBABILITY] = AUTO
    """Sampled source segmentations: alpha of subword regularisation (Kudo 2018) or probability of BPE-dropout
    (Provilkov et al. 2020); 0 is off. For little and medium data, with more epochs. `auto`: 0.5, with `bpe` 0.1, with
    `char` and for a language model 0."""
    target_sampling: Annotated[float, PROBABILITY] = 0.0
    """The same for the target side; try the source alone first."""
    source_word_dropout: Annotated[float, AUTO, BELOW_1] = AUTO
    """Probability that all pieces of a source word are replaced by the unknown piece; for little data (Sennrich & Zhang
    2019). `auto`: 0.08, for a language model 0."""
    target_word_dropout: Annotated[float, AUTO, BELOW_1] = AUTO
    """The same for the decoder's input (Bowman et al. 2016); what it has to predict stays whole. For little data, as it
    makes the decoder rely on the source. `auto`: 0.08, for a language model and with `minimum_risk` 0."""
    copied_spans_share: Annotated[float, PROBABILITY] = 0.5
    """Share of the epochs in which the pieces of `vocabulary.copied_spans` take the place of what both sides of a pair
    have: addresses, long numbers and the like, and more rarely names. Without it these pieces are never learned."""
    noise: Annotated[float, AUTO, Range("at least 0 and at most 10", lambda value: 0 <= value <= 10)] = AUTO
    """Strength of the noise that follows: each share below is multiplied with it, and 0 turns all of them off. With
    noise a model translates what people type: without capitals or final mark, with typing errors, with names and
    numbers that it has never seen, single words. `auto`: 1, for a language model and a probe task 0."""
    noise_case: Annotated[float, PROBABILITY] = 0.05
    """Share of the pairs whose source loses capital letters (all, all but the first letter of the sentence, only that
    one) or gets one at each word; the target stays as it is."""
    noise_typing: Annotated[float, PROBABILITY] = 0.03
    """Share of the pairs whose source gets a typing error; the target stays as it is."""
    noise_final_mark: Annotated[float, PROBABILITY] = 0.06
    """Share of the pairs that lose their final mark or get another one, on both sides alike."""
    noise_layout: Annotated[float, PROBABILITY] = 0.04
    """Share of the pairs that get quotation marks, brackets, a bullet or a heading, on both sides alike."""
    noise_numbers: Annotated[float, PROBABILITY] = 0.02
    """Pairs that are added with other numbers, as a share of the pairs; they have the same numbers on both sides."""
    noise_names: Annotated[float, PROBABILITY] = 0.25
    """Share of the pairs in which names that are equal on both sides are replaced, on both sides alike, by others of
    the training text, by made-up ones and by numbers: so the model learns to copy what it has never seen."""
    noise_joined: Annotated[float, PROBABILITY] = 0.02
    """Share of the pairs that are joined with one or two others to a line of several sentences, at most
    `data.max_length` pieces long."""
    noise_words: Annotated[float, PROBABILITY] = 0.03
    """Pairs of single words that are added, as a share of the pairs. They are those that the training text shows to be
    each other's translation (IBM model 1)."""
    precision: Annotated[Literal["fp32", "bf16"], AUTO] = AUTO
    """Arithmetic of the products; the weights stay fp32. bf16 needs a CPU or GPU that has it, and is faster there.
    `auto`: bf16 where the device has it, otherwise fp32."""
    validation_interval: Annotated[int, FROM_0] = 0
    """Updates between two validations; 0 validates after each epoch. Set it where an epoch is long."""
    keep_checkpoints: Annotated[int, FROM_0] = 0
    """Latest validated models kept under checkpoints/, for `nmt average`; 0 keeps none."""
    patience: Annotated[int, FROM_0] = 0
    """Validations without improvement after which training stops; 0 never stops early. For when it is not known how
    many epochs it takes; a schedule that falls until the last epoch is better left to its end."""
    best_by: Literal["bleu", "chrf", "loss"] = "bleu"
    """What chooses `best/` and counts for `patience`; the loss decides between equal scores, and alone for a language
    model. `chrf` where sentences have few words or no spaces between them, `loss` where the validation set is small."""
    validation_beam_size: Annotated[int, positive(1000)] = 1
    """Beam of the validation BLEU; 1 is greedy, the fastest, and will do to tell models apart."""
    save_interval: Annotated[float, FROM_0] = 10.0
    """Minutes between two saved training states; an interrupt and each validation save as well. Shorter where a machine
    may vanish."""
    log_interval: Annotated[int, positive(10**9)] = 50
    """Updates between two records of `metrics.jsonl`; fewer to watch a small training."""


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
    retry: bool = option(True, "search again where a translation has no word, repeats itself or is cut off", needs=BEAM)
    """Search a sentence once more, with no two pieces twice, where its best translation has no word, repeats itself or
    was cut off at the greatest length. It changes no other translation."""
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
