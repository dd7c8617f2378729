"""The settings: one dataclass for each section of the TOML file.

The string below a field explains the setting; scripts/config-reference copies it to docs/configuration.md. A number's
range is in the annotation of its type. The annotations are objects, not texts that would have to be compiled whenever
a model is loaded.
"""

import dataclasses
from dataclasses import dataclass, field
from typing import Annotated, Literal

from nmt.config.ranges import (
    ABOVE_0,
    BEAM,
    BELOW_1,
    BREVITY,
    FINITE,
    FROM_0,
    GNMT,
    GROUPS,
    NATURAL,
    NOT_EMPTY,
    NUMBER,
    PROBABILITY,
    RISK_OF_SAMPLES,
    SAMPLING,
    SHARE,
    WEIGHT,
    Option,
    Range,
    option,
    positive,
    up_to,
)
from nmt.config.tasks import SideKind, TaskKind, task_kind
from nmt.sizing import AUTO

FORMAT = 2
"""Version of the file format of configurations and model folders; it increases when an older reader would misread a
newer file."""
BATCH_HYPOTHESES = 320
"""Number of hypotheses that are searched together, unless `decoding.batch_size` is set."""


AttentionName = Literal["none", "dot", "general", "additive", "multi_head"]
"""Attentions; the classes are in `nmt.network.attention`."""
FilterName = Literal["equal", "encoding", "script", "numbers", "tags", "language", "duplicate"]
"""Filters of sentence pairs; they are in `nmt.text.pair_filters`."""
CellName = Literal[
    "lstm", "peephole_lstm", "layer_norm_lstm", "gru", "gru_reset_before", "mut1", "mut2", "mut3",
    "rnn_tanh", "rnn_relu", "rnn_leaky_relu",
]  # fmt: skip
"""Recurrent cells; the classes are in `nmt.network.cells`."""


class Section:
    """How a section is compared and printed; the methods that `dataclass` would generate take longer to load."""

    def __eq__(self, other: object) -> bool:
        return vars(self) == vars(other) if other.__class__ is self.__class__ else NotImplemented

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"


@dataclass(eq=False, repr=False)
class SourceConfig(Section):
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
    """How often its pairs are seen in an epoch: 1 is once, 0.5 a random half of them, 2 twice. Lower it if this source
    would outweigh the other text."""
    tag: str = ""
    """Text that is put before each source sentence, such as `<bt>`, so that the model can tell the data sources apart
    (Caswell et al. 2019). Use it for back-translations, and for text that differs from what will be translated."""
    reversed: bool = False
    """Swap the two sides of its pairs, so that the model also learns to translate from `data.target` to `data.source`.
    Use it to train a model of both directions from which a model of one direction then starts (Ding et al. 2021).
    It needs `vocabulary.joint`."""


@dataclass(eq=False, repr=False)
class DataConfig(Section):
    """The source of the sentence pairs, and which pairs are used."""

    path: Annotated[str, NOT_EMPTY] = "builtin:captions"
    """`builtin:captions`, a probe task (`builtin:copy`, `builtin:reverse`, `builtin:sort`, `builtin:adding`), examples
    of other tasks (`builtin:names`, `builtin:reviews`, `builtin:tags`, `builtin:digits`, `builtin:sums`,
    `builtin:oscillators`, `builtin:scenes`), a hub id (`bentrevett/multi30k`), a folder, or a builder, which reads
    `files` (`json`, `csv`, `tsv`, `text` and others)."""
    name: str | None = None
    """Configuration name of a hub data set (`de-en` of `wmt/wmt14`)."""
    files: dict[str, str | list[str]] = field(default_factory=dict)
    """Files of each split for a builder: `{train = "train.csv"}`; a list of files, a folder or a pattern
    (`"shards/*.parquet"`) is read as one. `text` takes a file or pattern for each side:
    `{train = ["train.de", "train.en"]}`."""
    streaming: bool = False
    """Whether data sets of the hub are read from there as a stream, so that the disk holds only what training reads:
    the cleaned and the segmented pairs. Training begins when all of it has been read once. Files on this machine are
    always read like this."""
    input: Literal["text", "vectors"] = "text"
    """What the source is for a task that can read both: a text, or a sequence of vectors, such as the rows of an image
    or the channels of a signal ([the page about tasks](tasks.md))."""
    source: str = "de"
    """Source language: column name, field inside another one (`translation.de`), language of a `translation` column, or
    file suffix."""
    target: str = "en"
    """Target language, named in the same way."""
    source_language: str | None = None
    """Language code of the source side if `source` is not one (`de` if the column is called `text`)."""
    target_language: str | None = None
    """Language code of the target side if `target` is not one. It selects the tokeniser of BLEU (`ja`, `ko` and `zh`
    have their own)."""
    probe_length: Annotated[int, Range("from 5 to 1000", lambda value: 5 <= value <= 1000)] = 20
    """Number of digits in a source of a probe task, 5 to 1000. Raise it to find where a network begins to forget.
    Sources longer than `max_length` pieces are dropped."""
    train_split: str = "train"
    """Name of the training split."""
    validation_split: str = "validation"
    """Name of the validation split (in a folder, `val` and `dev` files are found as well)."""
    test_split: str = "test"
    """Name of the test split (`test_2016_flickr` in a folder of Multi30k)."""
    max_length: Annotated[int, positive(10**6)] = 128
    """Maximum number of pieces on each side, without the end symbol. Longer training pairs are dropped and counted.
    Lower it to save memory; raise it for long texts and for character models."""
    max_length_ratio: Annotated[float, Range("greater than 1", lambda value: value > 1)] = 9.0
    """Largest ratio between the numbers of characters of the two sides. Beyond it a training pair counts as misaligned
    and is dropped, unless both sides are short (20 characters). Lower it for noisy text of languages with similar
    writing systems; raise it if one of the languages writes a word as a single character."""
    filters: list[FilterName] = field(default_factory=list)
    """Filters that drop training pairs of all sources: `equal` sides, a wrong `encoding`, `script` or `language`, other
    `numbers` or `tags`, and the second of a `duplicate`. `nmt data` shows what each one would drop, and [the page about
    data](data.md) explains them. `language` needs the extra `import`."""
    score: str | None = None
    """Column or field with a score of each pair, for `min_score`; `data.extra` has none."""
    min_score: Annotated[float | None, NUMBER] = None
    """Pairs with a lower score, or with none, are dropped from training. It needs `score`."""
    weight: Annotated[float, WEIGHT] = 1.0
    """How often the pairs are seen in an epoch: 1 is once, 0.5 a random half of them, 2 twice. Raise it if `data.extra`
    adds a lot of less useful text."""
    tag: str = ""
    """Text that is put before each training source sentence, so that the model can tell the data sources apart. Leave
    it empty for text like that which will be translated, because `translate` adds no tag."""
    extra: list[SourceConfig] = field(default_factory=list)
    """Further sources of training pairs, each with its own weight and tag: for back-translation, distillation and text
    of other domains."""

    @property
    def languages(self) -> tuple[str, str]:
        """The languages of source and target: as they are set, otherwise the names of the sides.

        The name of a field inside another one has its language behind the last dot.
        """
        source, target = (name.rpartition(".")[2] or name for name in (self.source, self.target))
        return self.source_language or source, self.target_language or target


@dataclass(eq=False, repr=False)
class VocabularyConfig(Section):
    """SentencePiece vocabulary."""

    model_type: Literal["unigram", "bpe", "char"] = "unigram"
    """Type of the SentencePiece model. Try `unigram` first. Use `bpe` for BPE-dropout and to reproduce papers, and
    `char` (every character is a piece) for language models and very little data. Sampled segmentations need `unigram`
    or `bpe`."""
    size: Annotated[int, AUTO, Range("auto or 16 to 1000000", lambda value: 16 <= value <= 10**6)] = AUTO
    """Number of pieces, including the special ones. `auto`: five times the square root of the number of training words,
    from 1,000 to 32,000. Use fewer pieces for little data."""
    joint: bool = True
    """One vocabulary for both languages, which is needed to tie the embeddings of both sides. Use `false` for languages
    without common letters or words."""
    character_coverage: Annotated[float, Range("from 0.98 to 1", lambda value: 0.98 <= value <= 1)] = 1.0
    """Share of the characters that the pieces cover. Use 0.9995 for languages with thousands of characters."""
    byte_fallback: bool = True
    """Write characters without a piece as byte pieces, so that no text is unknown. Use `false` if the vocabulary has no
    room for 256 more pieces."""
    copied_spans: Annotated[int, AUTO, Range("auto or 0 to 16", lambda value: 0 <= value <= 16)] = AUTO
    """Number of placeholder pieces for text that a translation copies unchanged: addresses, placeholders, tags, code,
    numbers with their units, emoji, words that the model does not know. A sentence can contain this many; a sentence
    with more is cut into parts. 0 turns copying off. `auto`: 16, and 0 for a language model."""
    split_digits: bool = True
    """Make each digit a piece of its own, so that a model learns to copy any number. Use `false` to reproduce older
    work."""
    normalization: Literal["identity", "nfkc"] = "identity"
    """Unicode normalisation of the source side; the target side is never normalised. Use `nfkc` for source text of
    mixed origin, with full-width letters or ligatures; it needs `joint = false`."""
    source: str | None = None
    """Existing SentencePiece model for the source side (or for both sides); no vocabulary is learned then. Use it for
    models that translate together: an ensemble, or a language model and a translation model."""
    target: str | None = None
    """Existing SentencePiece model for the target side, with `joint = false`."""


@dataclass(eq=False, repr=False)
class ModelConfig(Section):
    """Architecture of the network."""

    cell: CellName = "lstm"
    """Recurrent cell of encoder and decoder. `lstm` is the safe choice. `gru` has a quarter fewer weights and is
    faster. `layer_norm_lstm` tolerates higher learning rates. The plain RNNs are for studying what gates are good
    for."""
    embedding_size: Annotated[int, AUTO, positive(2**16)] = AUTO
    """Size of the source and target embeddings; use smaller ones for little data. With tied embeddings, and with
    `context_input` `all`, it is also the input size of the output layer. `auto`: 256, and 512 from 500,000 pairs on."""
    hidden_size: Annotated[int, AUTO, positive(2**16)] = AUTO
    """Size of the decoder's hidden state; a bidirectional encoder has half of it in each direction. Raise it first when
    the training perplexity stays high. The weights and the time of a layer grow with its square. `auto`: by the number
    of pairs (see the recipes)."""
    encoder_layers: Annotated[int, positive(100)] = 1
    """Number of stacked encoder layers. More layers help with more data."""
    decoder_layers: Annotated[int, positive(100)] = 2
    """Number of stacked decoder layers. Use at least two with attention and without input feeding, because the second
    layer is then the first one that reads the context vector. More layers help with more data."""
    transition_depth: Annotated[int, positive(100)] = 1
    """Number of cells that each position of a layer passes through; only the first one reads the input (Miceli-Barone
    et al. 2017). Deep transitions are slower than more layers and often better: use them if quality matters more than
    time."""
    connections: Literal["none", "residual", "highway"] = "none"
    """Skip connection around each layer above the first: its input is added to its output (`residual`, He et al. 2016),
    or mixed with it by a gate (`highway`, Srivastava et al. 2015). Use it for three layers and more."""
    bidirectional: bool = True
    """Whether the encoder reads in both directions (Schuster & Paliwal 1997). Keep it, unless the source arrives word
    by word."""
    reverse_source: bool = False
    """Read the source from its last word to its first (Sutskever et al. 2014, section 3.3); for a unidirectional
    encoder without attention."""
    input_normalization: Literal["none", "layer", "batch"] = "layer"
    """Normalisation of the input-to-hidden product: over its units (`layer`, Ba et al. 2016), or over batch and
    positions (`batch`, Laurent et al. 2016). `layer` makes training faster and more stable; `batch` needs batches of 64
    sentences or more."""
    context_input: Literal["none", "first", "all"] = "none"
    """Where the encoder's last state is fed at every step (Cho et al. 2014): nowhere, into the first layer, or into all
    layers and the output. Use `all` for models without attention; with attention `none` is enough."""
    attention: Annotated[AttentionName, AUTO] = AUTO
    """How a decoder state is compared with the source positions (Luong et al. 2015; Bahdanau et al. 2015; Vaswani et
    al. 2017). `auto`: `dot`, and `none` for a language model. With `none` one vector must hold the whole sentence,
    which works for short sentences only. `general` has one more matrix than `dot`; `additive` is the slowest;
    `multi_head` looks at several places at once."""
    attention_heads: Annotated[int, positive(1024)] = 4
    """Number of heads of `multi_head` attention. They share `hidden_size`, so use more heads only if it is large."""
    input_feeding: Literal["none", "luong", "bahdanau"] = "none"
    """How attention enters the decoder. `none`: the first layer's states are the queries, for all positions at once,
    and the upper layers and the output read the context vectors; this is the fastest. `luong`: the top layer's state is
    the query, and the attentional vector is fed into the next step. `bahdanau`: the previous state is the query, and
    the context vector is fed into the current step. The last two need a loop over the target: use them if they are
    better on the validation set, and to reproduce papers."""
    coverage: bool = False
    """Let the attention see how much attention each source position has received so far (Tu et al. 2016; See et al.
    2017), against repetitions and omissions in long sentences. It needs a loop over the target."""
    embedding_deviation: Annotated[float, Range("greater than 0 and at most 100", lambda value: 0 < value <= 100)] = 0.5
    """Standard deviation of the initial embeddings as the layers read them. Embeddings are stored with rows of length
    1, which suits the output layer, and are multiplied by this value times the square root of their size (cf. Vaswani
    et al. 2017, section 3.4); with `initialization = "uniform"`, `initialization_scale` decides instead. 0.5 works for
    all cells; with 1 an LSTM learns a little faster at first, with 0.25 a GRU."""
    tied_embeddings: Annotated[Literal["none", "decoder", "all"], AUTO] = AUTO
    """Share the target embeddings with the output matrix (`decoder`; Press & Wolf 2017), or these two and the source
    embeddings (`all`). Tying saves weights and is nearly always better on small data. `auto`: `all` with a joint
    vocabulary, otherwise `decoder`; for a language model of characters `none`."""
    source_embeddings: str | None = None
    """File of word vectors (word2vec's text format, .vec) from which the source embeddings start; for little data."""
    target_embeddings: str | None = None
    """The same for the target embeddings; with all embeddings tied, for both sides."""
    pooling: Literal["max", "mean", "last", "attention", "none"] = "max"
    """How a classification or regression makes one vector of the encoder's states: the largest value of each unit,
    their mean, the last state of each direction, or a mean weighted by attention (Lin et al. 2017). Try `last` for
    short inputs, and `mean` or `attention` for long ones. With `none` a regression predicts numbers at each
    position."""
    crf: bool = False
    """Whether the labels of a tagging are chosen as a sequence, by a conditional random field, which also learns which
    label follows which (Huang et al. 2015). It gains most for entities, whose labels depend on each other."""
    frozen_embeddings: bool = False
    """Do not train embeddings that were read from a file; for very little data."""
    dropout: Annotated[float, AUTO, BELOW_1] = AUTO
    """Probability of dropping a unit between layers and before the readout (Zaremba et al. 2014). Raise it first when
    the validation perplexity is far above the training perplexity, and lower it when both are high. `auto`: less with
    more data."""
    embedding_dropout: Annotated[float, AUTO, BELOW_1] = AUTO
    """Probability of dropping a unit of an embedding, in addition to `dropout`. `auto`: 0.1."""
    output_dropout: Annotated[float, AUTO, BELOW_1] = AUTO
    """Probability of dropping a unit of the output layer's input, in addition to `dropout`. `auto`: the same as
    `dropout`."""
    variational_dropout: bool = False
    """Use the same dropout mask at all positions of a sentence (Gal & Ghahramani 2016); for long sequences and language
    models, with smaller probabilities."""
    weight_drop: Annotated[float, BELOW_1] = 0.0
    """Probability of dropping a recurrent weight for a whole batch (Merity et al. 2018); for language models."""
    zoneout: Annotated[float, BELOW_1] = 0.0
    """Probability that a unit of the state keeps its value for a step (Krueger et al. 2017). It needs a loop over the
    positions. Use it for language models, especially of characters."""
    initialization: Literal["uniform", "xavier", "orthogonal"] = "orthogonal"
    """Initial weights: uniform in [-initialization_scale, +initialization_scale] (`uniform`, for reproducing older
    papers), Glorot & Bengio 2010 (`xavier`), or these with orthogonal recurrent weights (`orthogonal`, Saxe et al.
    2014), which plain RNNs need."""
    initialization_scale: Annotated[float, ABOVE_0] = 0.08
    """Half-width of the uniform distribution (0.08 in Sutskever et al. 2014, section 3.4); used only with
    `initialization = "uniform"`."""
    forget_gate_bias: float = 1.0
    """Initial bias of the LSTM's forget gate (Gers et al. 2000; 1 in Jozefowicz et al. 2015). Leave it at 1, or set
    0 to reproduce earlier papers."""


@dataclass(eq=False, repr=False)
class TrainingConfig(Section):
    """Objective, optimisation and bookkeeping of a training run."""

    start_from: str | None = None
    """Model folder, or name of a bundled model, with whose weights and vocabulary the training starts: for fine-tuning
    on new data, or for a last step with another objective. [model] (except dropout, zoneout, initialisation and
    vectors from files) and [vocabulary] must be the same as those of that model. Words that are frequent in the new
    text are no longer copied as unknown names."""
    objective: Literal["likelihood", "minimum_risk"] = "likelihood"
    """Maximum likelihood, or the expected cost of the model's own translations (Shen et al. 2016). Use `minimum_risk`
    as a last step, with `start_from` and a small learning rate."""
    risk_candidates: Annotated[int, positive(1000)] = 8
    """Number of candidate translations of each sentence for `minimum_risk`. More candidates estimate the risk better
    and take proportionally more time."""
    risk_search: Literal["sample", "beam"] = "sample"
    """Where the candidates come from: samples from the model, which are the first choice (Shen et al. 2016), or its
    n-best list, whose candidates are closer to what `translate` finds and closer to each other."""
    risk_metric: Literal["bleu", "chrf"] = "bleu"
    """The cost of a candidate is 1 - smoothed sentence BLEU, or 1 - chrF. Choose the metric by which the model will be
    judged, and `chrf` for languages whose words have many forms."""
    risk_sharpness: Annotated[float, ABOVE_0] = 0.005
    """Exponent of the candidates' probabilities before they are normalised (alpha in Shen et al. 2016, who choose
    0.005). Raise it if only the most probable candidates should count."""
    scheduled_sampling: Literal["none", "constant", "linear", "exponential", "inverse_sigmoid"] = "none"
    """How the probability grows that the decoder reads its own prediction instead of the reference's word (Bengio et
    al. 2015). It counters exposure bias; training runs at a quarter to a half of the speed."""
    scheduled_sampling_rate: Annotated[float, PROBABILITY] = 0.25
    """That probability at the end of the training; lower it if the validation perplexity suffers."""
    truncation: Annotated[int, AUTO, Range("at least 0", lambda value: value >= 0, 10**7)] = AUTO
    """Positions after which the gradient is cut and only the state is carried on (truncated backpropagation
    through time, Williams & Peng 1990): those of the target, or of the input for tagging and for a regression at each
    position. This bounds the memory for long sequences; 0 never cuts. A language model needs it. `auto`: 0, for a
    language model 64, for one of characters 128."""
    r_drop: Annotated[float, FROM_0] = 0.0
    """Weight of R-Drop (Liang et al. 2021): each batch passes through the model twice with different dropout masks, and
    the loss penalises the difference between the two predictions. It improves the model at half the speed."""
    seed: Annotated[int, NATURAL] = 1
    """Random seed of initialisation, order, dropout and sampling. Use a different one for each model of an ensemble,
    and several to see how much a score depends on chance."""
    epochs: Annotated[int, AUTO, positive(10**7)] = AUTO
    """Passes over the training data; the learning-rate schedule ends with the last one. Raise it if the validation
    score still improves at the end, and lower it if the best model is found long before. `auto`: 12 with 29,000 pairs,
    more epochs with fewer pairs, fewer epochs with more pairs."""
    batch_size: Annotated[int, AUTO, positive(10**7)] = AUTO
    """Sentences or tokens of a batch, as `batch_unit` says; smaller for little data, larger for speed. For a language
    model: parallel streams of the text, or their number times `truncation`. `auto`: 32 sentences, 64 from 15,000 pairs
    on, 128 from 100,000 on."""
    batch_unit: Literal["sentences", "tokens"] = "sentences"
    """What `batch_size` counts. `tokens` counts the pieces of the longer side with padding; use it for sentences of
    very different length, so that all batches need similar memory."""
    accumulation: Annotated[int, positive(10**7)] = 1
    """Number of batches whose gradients are added before an update; for batches that do not fit into memory."""
    optimizer: Literal["adam", "adamw", "sgd", "adagrad"] = "adam"
    """Adam (Kingma & Ba 2015), AdamW (Loshchilov & Hutter 2019), SGD, or Adagrad (Duchi et al. 2011). Try `adam` first,
    and `adamw` with `weight_decay`. `sgd` and `adagrad` need another learning rate and are for reproducing papers."""
    learning_rate: Annotated[float, FINITE] = 0.002
    """Peak step size; the first setting to tune. Lower it when the loss jumps or is not finite, and for fine-tuning.
    (`sgd` and `adagrad` need another one.)"""
    betas: Annotated[
        tuple[float, float], Range("two numbers from 0 to below 1", lambda betas: all(0 <= beta < 1 for beta in betas))
    ] = (0.9, 0.98)
    """Decay rates of Adam's first and second moment. Change them only to reproduce other work (0.9 and 0.999 in Kingma
    & Ba 2015)."""
    momentum: Annotated[float, BELOW_1] = 0.0
    """Momentum of SGD; use it if plain SGD is too slow."""
    weight_decay: Annotated[float, FROM_0] = 0.0
    """L2 penalty (decoupled for AdamW), against overfitting if dropout is not enough."""
    schedule: Literal["constant", "linear", "cosine", "inverse_sqrt", "halving"] = "linear"
    """Learning rate after the warm-up: constant, decreasing to zero (`linear` or `cosine`), proportional to
    1/sqrt(update), or, from `decay_start` on, halved after every tenth of the remaining training. Use `linear` if the
    training ends after `epochs`, `constant` or `inverse_sqrt` if `patience` ends it, and `halving` with SGD, as
    Sutskever et al. (2014)."""
    warmup: Annotated[int, AUTO, FROM_0] = AUTO
    """Updates in which the learning rate rises linearly from zero; for high learning rates, and for deep models.
    `auto`: 200, or the first twentieth of a shorter training."""
    decay_start: Annotated[float, PROBABILITY] = 0.3
    """Share of the training after which `linear`, `cosine` and `halving` begin to lower the learning rate. Raise it if
    the validation score is still improving at the full rate."""
    clip_norm: Annotated[float, FROM_0] = 1.0
    """Gradient clipping: largest norm of the gradient of all weights together (Pascanu et al. 2013); 0 turns it off.
    Recurrent models need it. Lower it when the loss jumps (`metrics.jsonl` records the norms)."""
    label_smoothing: Annotated[float, AUTO, BELOW_1] = AUTO
    """Probability that is spread evenly over the whole vocabulary (Szegedy et al. 2016). It improves most translation
    models but raises their perplexity. `auto`: 0.1, for a language model and with `minimum_risk` 0."""
    class_weights: Annotated[float, PROBABILITY] = 0.0
    """How strongly rare labels of a classification or tagging count in the loss: an example of a label with share p of
    the data has a weight proportional to p^-w. 0 counts all examples alike, 1 all labels alike. Use it if macro F1
    matters more than accuracy."""
    average_decay: Annotated[float, AUTO, BELOW_1] = AUTO
    """Decay of the exponential moving average of the weights per update; 0 turns it off. Averaging nearly always helps.
    It covers about 1 / (1 - decay) updates, which should be a small part of the training. `auto`: a tenth of the
    training."""
    source_sampling: Annotated[float, AUTO, PROBABILITY] = AUTO
    """Sampled segmentations of the source: alpha of subword regularisation (Kudo 2018) or probability of BPE-dropout
    (Provilkov et al. 2020); 0 turns it off. Use it for little and medium data, with more epochs. `auto`: 0.5, with
    `bpe` 0.1, with `char` and for a language model 0."""
    target_sampling: Annotated[float, PROBABILITY] = 0.0
    """The same for the target side; try the source alone first."""
    source_word_dropout: Annotated[float, AUTO, BELOW_1] = AUTO
    """Probability that all pieces of a source word are replaced by the unknown piece; for little data (Sennrich & Zhang
    2019). `auto`: 0.08, for a language model 0."""
    target_word_dropout: Annotated[float, AUTO, BELOW_1] = AUTO
    """The same for the decoder's input (Bowman et al. 2016); the words to predict stay unchanged. It makes the decoder
    rely on the source; for little data. `auto`: 0.08, for a language model and with `minimum_risk` 0."""
    copied_spans_share: Annotated[float, PROBABILITY] = 0.5
    """Share of the epochs in which the pieces of `vocabulary.copied_spans` replace text that both sides of a pair have
    in common: addresses, numbers and the like, and less often names. With 0 these pieces are never learned."""
    noise: Annotated[float, AUTO, Range("at least 0 and at most 10", lambda value: 0 <= value <= 10)] = AUTO
    """Strength of all training noise: each share below is multiplied by it, and 0 turns all of them off. With noise a
    model learns to translate what people type: text without capitals or final mark, typing errors, names and numbers
    that it has never seen, single words. `auto`: 1, for a language model and a probe task 0."""
    noise_case: Annotated[float, PROBABILITY] = 0.05
    """Share of the pairs whose source loses capital letters (all, all but the first letter of the sentence, only that
    one) or gets one at each word; the target stays as it is."""
    noise_typing: Annotated[float, PROBABILITY] = 0.03
    """Share of the pairs whose source gets a typing error; the target stays as it is."""
    noise_accents: Annotated[float, PROBABILITY] = 0.03
    """Share of the pairs whose source loses its accents and umlauts (`ueber`, `uber`), in all words or in half of them;
    the target stays as it is."""
    noise_final_mark: Annotated[float, PROBABILITY] = 0.06
    """Share of the pairs that lose their final mark or get another one, on both sides alike."""
    noise_layout: Annotated[float, PROBABILITY] = 0.04
    """Share of the pairs that get quotation marks, brackets, a bullet or a heading, on both sides alike."""
    noise_numbers: Annotated[float, PROBABILITY] = 0.02
    """Pairs that are added with changed numbers (the same ones on both sides), as a share of all pairs."""
    noise_names: Annotated[float, PROBABILITY] = 0.12
    """Share of the pairs in which names that are equal on both sides are replaced on both sides by other names of the
    training text, by made-up names and by numbers, so that the model learns to copy words that it has never seen."""
    noise_joined: Annotated[float, PROBABILITY] = 0.02
    """Share of the pairs that are joined with one or two others into a line of several sentences, at most
    `data.max_length` pieces long."""
    noise_words: Annotated[float, PROBABILITY] = 0.05
    """Pairs of single words and of short phrases that are added, as a share of all pairs. They translate each other
    according to the training text (IBM model 1)."""
    precision: Annotated[Literal["fp32", "tf32", "bf16", "fp16"], AUTO] = AUTO
    """Number format of matrix products; the weights stay fp32. bf16 is faster on a GPU that supports it and on most
    such CPUs. tf32 and fp16 need a GPU: use tf32 where bf16 is too coarse, and fp16 where the GPU has no bf16. `auto`:
    bf16 on a GPU that supports it and on a CPU that multiplies faster in it, which is measured; otherwise fp32."""
    validation_interval: Annotated[int, FROM_0] = 0
    """Updates between two validations; 0 validates after each epoch. Set it if an epoch is long."""
    keep_checkpoints: Annotated[int, FROM_0] = 0
    """Number of validated models that are kept under checkpoints/, the latest ones, for `nmt average`; 0 keeps none."""
    patience: Annotated[int, FROM_0] = 0
    """Validations without improvement after which training stops (early stopping); 0 never stops early. Use it if the
    number of epochs is hard to choose. With a schedule that decreases until the last epoch, do not stop early."""
    best_by: Annotated[str, AUTO] = AUTO
    """Validation score that chooses `best/` and counts for `patience`; the loss decides between equal scores. For
    translation `bleu`, `chrf` or `loss`: use `chrf` if sentences have few words or no spaces, and `loss` if the
    validation set is small. A language model has only the loss; classification has `accuracy`, `macro_f1` and
    `loss`; tagging also has `entity_f1`; regression has `r_squared` and `loss`. `auto`: the first of these."""
    validation_beam_size: Annotated[int, positive(1000)] = 1
    """Beam size for the validation BLEU. 1 (greedy search) is the fastest and is enough to compare models."""
    save_interval: Annotated[float, FROM_0] = 10.0
    """Minutes between two saved training states; an interrupt and each validation save one as well. Use a shorter
    interval on machines that may be taken away at any time."""
    log_interval: Annotated[int, positive(10**9)] = 50
    """Updates between two records of `metrics.jsonl`. Use fewer to watch a short training."""


@dataclass(eq=False, repr=False)
class DecodingConfig(Section):
    """Defaults of search and sampling."""

    method: Literal["beam", "sampling"] = option("beam", "beam search, or sampling from the model's distribution")
    """`beam` searches for the best translation. `sampling` draws a translation from the model's distribution, for
    back-translation and to see which other translations the model considers likely."""
    beam_size: int = option(5, "hypotheses kept per sentence; 1 is greedy search", "N", positive(1000))
    """Hypotheses kept per sentence; 1 is greedy search, the fastest. More than ten seldom help."""
    length_penalty: Literal["none", "average", "gnmt"] = option("gnmt", "how scores depend on length", scoring=True)
    """Length normalisation. The score is the log-probability (`none`), divided by the length (`average`) or by
    ((5 + length) / 6)^alpha (`gnmt`; Wu et al. 2016, equation 14). `none` favours short translations; `gnmt` can be
    tuned."""
    alpha: float = option(1.0, "exponent of the gnmt length penalty", "A", up_to(10), needs=GNMT, scoring=True)
    """Exponent of the `gnmt` penalty; larger favours longer translations. Tune it on the validation set."""
    coverage_penalty: float = option(
        0.0,
        "weight of the penalty for source pieces that received no attention",
        "W",
        up_to(100),
        needs=BEAM,
        needs_attention=True,
    )
    """Weight of the coverage penalty, sum_i log min(sum_j p_ij, 1) over the source pieces i (Wu et al. 2016, equation
    14, where it is 0.2). Use it for models with attention that leave out parts of the source."""
    brevity_penalty: float = option(
        0.0, "weight of the penalty for translations that are too short", "W", up_to(100), scoring=True
    )
    """Weight of min(0, 1 - `brevity_ratio` x source pieces / target pieces) in the score (Yang et al. 2018, where it is
    1, with `average`). Use it for models whose translations are too short."""
    brevity_ratio: float = option(
        1.0, "expected number of target pieces per source piece", "R", up_to(1000), needs=BREVITY, scoring=True
    )
    """Expected number of target pieces per source piece, for the brevity penalty. Measure it on the training data."""
    min_length: int = option(0, "minimum number of target pieces", "N", up_to(1000))
    """Minimum number of target pieces, without the end symbol; for models that stop too early."""
    max_length_factor: float = option(2.0, "maximum number of target pieces per source piece", "F", up_to(100))
    """A translation has at most `max_length_factor` times the number of source pieces plus `max_length_offset` pieces.
    Raise it if the target needs many more pieces than the source."""
    max_length_offset: int = option(10, "target pieces allowed in addition to --max-length-factor", "N", up_to(10**4))
    """See `max_length_factor`; it matters for the shortest sentences."""
    no_repeat_ngram: int = option(0, "no n-gram of N pieces twice in a translation; 0 allows it", "N", up_to(10**6))
    """A translation contains no n-gram of this many pieces twice; 0 allows repetition. 3 to 6 stop a model that repeats
    itself."""
    retry: bool = option(True, "search again if a translation has no word, repeats itself or is cut off", needs=BEAM)
    """Search a sentence once more, without repeated pairs of pieces, if its best translation has no word, repeats
    itself or was cut off at the maximum length. Other translations do not change."""
    groups: int = option(1, "diverse beam search: groups that share the beam", "N", positive(1000), needs=BEAM)
    """Diverse beam search (Vijayakumar et al. 2016): the number of groups that share the beam and avoid each other's
    pieces, at most `beam_size`. Use it for n-best lists whose translations differ."""
    diversity: float = option(0.5, "how much groups avoid each other's pieces", "D", up_to(100), needs=GROUPS)
    """How much the log-probability of a piece is lowered for each earlier group that has just chosen it (0.2 to 0.8 in
    the paper). Larger values make the translations differ more."""
    replace_unknown: bool = option(False, "copy unknown words from the source, by attention", needs_attention=True)
    """If the source has unknown pieces, the translation may have unknown pieces too, and each is replaced by the
    unknown source piece that it attends to most. For models with attention and `vocabulary.byte_fallback = false`;
    other models have no unknown pieces."""
    temperature: float = option(
        1.0, "below 1 sharpens the distribution, above 1 flattens it", "T", FINITE, needs=SAMPLING
    )
    """Sampling: divides the log-probabilities. Values below 1 sharpen the distribution, values above 1 flatten it."""
    top_k: int = option(0, "draw from the K most probable pieces; 0: all", "K", up_to(10**6), needs=SAMPLING)
    """Sampling: draw only from the k most probable pieces; 0 means all. 10 avoids improbable ones (Edunov et al.
    2018)."""
    top_p: float = option(
        1.0, "draw from the most probable pieces that together have probability P", "P", SHARE, needs=SAMPLING
    )
    """Sampling: draw from the fewest pieces whose probabilities add up to p (nucleus sampling, Holtzman et al. 2020); 1
    means all, 0.9 leaves out the tail of the distribution."""
    seed: int = option(1, "random seed", "S", NATURAL, needs=SAMPLING)
    """Sampling: random seed; the same seed gives the same translations."""
    minimum_bayes_risk: Literal["none", "bleu", "chrf"] = option("none", "choose by expected BLEU or chrF")
    """Minimum Bayes risk: choose the candidate with the largest expected `bleu` or `chrf` against all candidates, which
    are `samples` samples or the beam's n-best list (Kumar & Byrne 2004, Eikema & Aziz 2020). Use it if time does not
    matter."""
    samples: int = option(
        32, "number of samples from which minimum Bayes risk chooses", "N", positive(10**5), needs=RISK_OF_SAMPLES
    )
    """Number of candidates drawn for minimum Bayes risk with sampling. More are better; the time grows with the square
    of their number."""
    batch_size: int | Literal["auto"] = option(
        "auto",
        "maximum number of sentences translated at once",
        "N",
        Range("auto or at least 1", lambda value: value == "auto" or value >= 1, 10**7),
        scoring=True,
    )
    """Maximum number of sentences translated at once. `auto` is the number that makes 320 hypotheses: 64 with a beam of
    five. Fewer sentences save memory."""
    batch_tokens: int = option(
        4096, "maximum number of source pieces translated at once, with padding", "N", positive(10**7), scoring=True
    )
    """Maximum number of source pieces translated at once, padding included. Lower it if long lines take too much
    memory."""
    language_model_weight: float = option(
        0.2, "weight of the language model's log-probabilities", "W", up_to(100), scoring=True
    )
    """Shallow fusion: weight of the log-probabilities of a language model, if `translate` is given one (Gulcehre et al.
    2015). Tune it on the validation set."""

    @property
    def batch_sentences(self) -> int:
        """Maximum number of sentences translated at once, as a number."""
        return max(1, BATCH_HYPOTHESES // self.beam_size) if self.batch_size == "auto" else self.batch_size

    def max_length(self, source_length: int) -> int:
        """Maximum number of pieces of a translation, without the end symbol; never below `min_length`."""
        length = int(self.max_length_factor * source_length + self.max_length_offset + 1e-9)
        return max(length, self.min_length)

    def without_effect(self, name: str) -> str:
        """The setting that an option needs to have an effect, in words; empty if it has one already."""
        needs = OPTIONS[name].needs
        return "" if needs is None or needs.met(self) else needs.what

    def needing_attention(self) -> list[str]:
        """The options that are set and work only with a model that has attention."""
        return [name for name, described in OPTIONS.items() if described.needs_attention and getattr(self, name)]


OPTIONS: dict[str, Option] = {one.name: one.metadata["option"] for one in dataclasses.fields(DecodingConfig)}
"""Every search option, by name."""


@dataclass(eq=False, repr=False)
class Config(Section):
    """A whole configuration file."""

    task: str = "translation"
    """The kind of model: `translation`, `language_model` (of the target side: a decoder without an encoder),
    `classification` (an encoder that gives each text one label), `tagging` (one label for each word), `regression`
    (numbers, for the whole input or at each position), `captioning` (a text about a vector or a few), or a task that an
    installed package adds (see [the page about tasks](tasks.md))."""
    format: int = FORMAT
    """Version of the configuration's file format. `nmt` writes it; you can leave it out."""
    data: DataConfig = field(default_factory=DataConfig)
    vocabulary: VocabularyConfig = field(default_factory=VocabularyConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    decoding: DecodingConfig = field(default_factory=DecodingConfig)

    @property
    def kind(self) -> TaskKind:
        return task_kind(self.task)

    @property
    def reads_vectors(self) -> bool:
        """Whether the source is a sequence of vectors instead of a text."""
        return self.data.input == "vectors"

    @property
    def source_unit(self) -> str:
        """What the amount of training data is counted in."""
        return "vector" if self.reads_vectors and not self.kind.decoder else "word"

    @property
    def side_kinds(self) -> tuple[SideKind, SideKind]:
        """How the two sides of an example are read."""
        numbers: SideKind = "vector" if self.pooled else "vectors"
        if self.kind.decoder:
            return "vector" if self.reads_vectors else "text", "text"
        return "vectors" if self.reads_vectors else "value", numbers if self.kind.target == "numbers" else "value"

    @property
    def pooled(self) -> bool:
        """Whether the network of an encoder has one output for the whole input, and not one at each position."""
        target = self.kind.target
        return target == "label" or (target == "numbers" and self.model.pooling != "none")


REGULARIZATION = frozenset(
    {"dropout", "embedding_dropout", "output_dropout", "variational_dropout", "weight_drop", "zoneout"}
)
"""Settings of the model that change how it is trained, not what its weights mean."""

AT_THE_START = frozenset(
    {"initialization", "initialization_scale", "forget_gate_bias"}
    | {"source_embeddings", "target_embeddings", "frozen_embeddings"}
)
"""Settings of the model that determine its initial weights."""

OF_TRAINING = REGULARIZATION | AT_THE_START
"""Settings of the model that do not matter once it is trained."""

SECTIONS = ("data", "vocabulary", "model", "training", "decoding")
