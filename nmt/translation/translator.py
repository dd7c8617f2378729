"""Translation of text: `Translator` turns lines into translations."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, overload

import numpy as np

from nmt.config import DataConfig, DecodingConfig, parse_config
from nmt.errors import UserError, needs_attention
from nmt.scores.confidence import Confidence
from nmt.search.beam import Hypothesis, SearchSettings, beam_search
from nmt.search.constraints import FREE, Constraints, Forbidden, Phrase, Spelling, in_word
from nmt.search.engine import Engine, Floats
from nmt.search.ensemble import Ensemble, Fusion
from nmt.search.runaway import ran_away, second_search
from nmt.search.sampling import sample_translations
from nmt.search.scoring import Scorer, force_decode
from nmt.text.capitals import upper, with_first_capital, without_capitals, without_title_case
from nmt.text.cleaning import clean_line, clean_target, one_line
from nmt.text.glossary import Glossary
from nmt.text.sentences import with_final_mark
from nmt.text.spans import Named, restore_spans
from nmt.text.spelling import Speller
from nmt.text.tables import ResultList, Row, html_table, text_table
from nmt.text.vocabulary import BEGIN, END, SPACE, UNK, Vocabulary
from nmt.translation.asides import translate_asides, with_asides, with_prepared
from nmt.translation.copying import Copying, SourceSentence, Term, restored
from nmt.translation.forking import undisturbed
from nmt.translation.joining import join_samples, join_translations, word_starts
from nmt.translation.switching import frequent_switches

if TYPE_CHECKING:
    from nmt.model_folder import ModelFolder
    from nmt.search.reranking import Utility

Job = TypeVar("Job")
Result = TypeVar("Result")

CANNOT_COPY = (
    "phrases to keep are translated, as the vocabulary of this model has no pieces for copied spans; "
    "train one with `vocabulary.copied_spans`"
)
"""Message for phrases to keep if the model cannot copy."""
TOO_MANY = (
    "its {} spans to copy are too many for one sentence, as which a line with a prefix or required phrases is read"
)
"""Message for a line with too many spans that may not be cut."""
OVERRIDES = "decoding options"
"""Name, in messages, of the settings that a call overrides."""
WORKER_ROWS = 64
"""Fewest hypotheses that are searched together when several threads share a batch."""


@dataclass(frozen=True)
class SourceLine:
    """A line to translate, with the constraints on its translation."""

    text: str
    prefix: str = ""
    """The translation begins with it. Search may continue its last word, so it should end with a whole word."""
    required: Sequence[str] = ()
    """Phrases that the translation must contain, each in the pieces into which the target vocabulary splits it."""
    forbidden: Sequence[str] = ()
    """Phrases that the translation must not contain as whole words, except in the prefix."""
    keep: Sequence[str] = ()
    """Phrases that are copied unchanged wherever they occur as whole words."""
    glossary: Glossary | Mapping[str, str] | None = None
    """Terms and their translations; if a term occurs, the translation must contain the term's translation."""
    markup: str = ""
    """`html` or `xml` if the text has tags; they are put around the target words that correspond to their content."""

    def __post_init__(self) -> None:
        if self.glossary is not None:
            object.__setattr__(self, "glossary", Glossary.of(self.glossary))
        if self.required == () == self.forbidden == self.keep:  # most lines
            return
        for name in ("required", "forbidden", "keep"):
            phrases = getattr(self, name)
            if isinstance(phrases, str):  # it would be read as a list of letters
                raise UserError(f"`{name}` must be a list of phrases, but is a single text instead; put it into a list")
            object.__setattr__(self, name, tuple(phrases))


@dataclass(repr=False)
class Translation:
    """A translation of one line."""

    text: str
    """One line of valid Unicode: no line breaks, no control characters."""
    score: float
    """Log-probability normalised by length, plus the penalties; the translations of a line are ranked by it. With
    minimum Bayes risk decoding it is the expected utility, 0 to 100."""
    tokens: list[str]
    """Target pieces, without the end symbol."""
    log_prob: float
    """Sum of `token_log_probs`, natural logarithm."""
    token_log_probs: list[float]
    """Log-probability of each piece and, last, of the end symbol; with a language model, its weighted one added."""
    finished: bool = True
    """False if the translation was cut off at the maximum length, or because no piece was allowed."""
    source_tokens: list[str] = field(default_factory=list)
    """Source pieces as the model read them; only with attention weights."""
    attention_weights: Floats | None = field(default=None, compare=False)
    """[tokens + 1, source tokens or more], if they were requested and the model has attention. The last row is that of
    the end symbol; the last columns are those of symbols that the model adds to the source. Each row sums to 1."""
    alignment: list[tuple[int, int]] | None = None
    """The source word to which each target word is aligned (`word_alignment`); only with attention weights."""
    confidence: float | None = None
    """Probability that all of its sentences are good (`nmt.scores.confidence`); 0 if one has no word, repeats itself or
    was cut off; None from a model that is not calibrated, and from several models. It is calibrated for the best
    translation of beam search; samples and choices of minimum Bayes risk have the value of the same formula."""
    problems: Sequence[str] = ()
    """Requests that the translation does not meet."""
    corrected: Mapping[str, str] = field(default_factory=dict)
    """Misspelt words of the line, and the words as which they were translated."""
    parts: Sequence[Translation] = field(default=(), compare=False)
    """The translations of the sentences, if the line has several."""

    def row(self) -> Row:
        """What a table of translations says of it."""
        confidence = {} if self.confidence is None else {"confidence": f"{self.confidence:.2f}"}
        return {"translation": self.text, "score": f"{self.score:.2f}", **confidence}

    def __repr__(self) -> str:
        numbers = [f"{name}={value}" for name, value in self.row().items() if name != "translation"]
        return f"Translation({', '.join([repr(self.text), *numbers])})"

    def _repr_html_(self) -> str:
        return html_table([self.row()])


def word_alignment(
    source_tokens: Sequence[str], tokens: Sequence[str], attention_weights: Floats
) -> list[tuple[int, int]]:
    """Align each target word with the source word of largest attention weight: pairs (source, target), from 0.

    The weights are summed over the pieces of a source word and averaged over those of a target word. Words begin
    with a space (`▁`); text without spaces is a single word.

        attention_weights: [tokens or more, source tokens or more]
    """
    if not tokens or not source_tokens:
        return []
    weights = attention_weights[: len(tokens), : len(source_tokens)]
    by_source = np.add.reduceat(weights, word_starts(source_tokens), axis=1)
    by_word = np.add.reduceat(by_source, word_starts(tokens), axis=0)  # the sum and the mean have the same argmax
    return [(source, target) for target, source in enumerate(by_word.argmax(axis=1).tolist())]


def empty_translation(confidence: float | None = None) -> Translation:
    """The translation of a blank line, for which no model is used: it is certain and has no pieces."""
    return Translation("", 0.0, [], 0.0, [], confidence=confidence)


def unchanged_translation(text: str, score: float = 0.0, confidence: float | None = None) -> Translation:
    """The translation of a sentence without a word, for which no model is used: the sentence itself, with certainty."""
    tokens = [f"{SPACE}{word}" for word in text.split()]
    weights = np.eye(len(tokens) + 1, len(tokens), dtype=np.float32)
    weights[-1, -1] = 1
    alignment = [(place, place) for place in range(len(tokens))]
    log_probs = [0.0] * (len(tokens) + 1)
    return Translation(text, score, tokens, 0.0, log_probs, True, tokens, weights, alignment, confidence)


class Sentence(NamedTuple):
    """A sentence as the model reads it."""

    ids: Sequence[int]
    """Source ids."""
    text: str = ""
    """The text from which unknown pieces are copied."""
    constraints: Constraints = FREE
    copies: Sequence[str] = ()
    """The spans that are copied, in the order of their numbers."""
    capitals: bool = False
    """Whether the translation is written in capitals."""
    terms: Sequence[Term] = ()
    """Terms of a glossary that the sentence contains."""


class PreparedLine(NamedTuple):
    """A line prepared for translation."""

    sentences: list[SourceSentence]
    """A line that is not split is one sentence, and a blank line has none."""
    gaps: list[str]
    """The white space between the sentences."""
    constraints: Constraints = FREE
    problems: Sequence[str] = ()
    """Requests that cannot be met; the line is translated without them."""
    corrected: Mapping[str, str] = {}
    """Misspelt words of the line, and the words as which they are translated."""
    finish: Callable[[Translation], Translation] | None = None
    """Puts the tags into each translation, which must have attention weights."""

    def unmet(self, translation: Translation) -> list[str]:
        """The requests that the line's translation does not meet."""
        text = translation.text.casefold()  # in a sentence in capitals, the terms are in capitals
        terms = dict.fromkeys(term.text for sentence in self.sentences for term in sentence.terms)
        missing = [term for term in terms if term.casefold() not in text]
        return [*self.problems, *(f"the term {term!r} is not in the translation" for term in missing)]


def with_common(line: str | SourceLine, markup: str, glossary: Glossary | None) -> str | SourceLine:
    """A line with the markup and the glossary of all lines, unless its own take precedence."""
    if not markup and glossary is None:
        return line
    line = SourceLine(line) if isinstance(line, str) else line
    own = Glossary.of(line.glossary)
    own = (own or Glossary()).over(glossary) if glossary is not None else own
    return replace(line, markup=line.markup or markup, glossary=own)


LONGEST_SENTENCE = 256
"""A model whose `data.max_length` is at most this was trained on single sentences."""
MOST_CHECKED = 64  # different overrides of the search settings that are remembered as checked

MOST_REQUIRED = 100
"""Maximum number of required phrases of a line; each takes a part of the beam and several steps of search."""


class Translator:
    """A model with its vocabularies, ready to translate."""

    def __init__(
        self,
        engine: Engine,
        source_vocabulary: Vocabulary,
        target_vocabulary: Vocabulary,
        decoding: DecodingConfig | None = None,
        max_length: int = DataConfig.max_length,
        language_model: Engine | None = None,
        target_language: str = DataConfig.target,
        confidence: Confidence | None = None,
        source_language: str = DataConfig.source,
    ) -> None:
        self.engine = engine
        self.source_vocabulary = source_vocabulary
        self.target_vocabulary = target_vocabulary
        self.decoding = decoding or DecodingConfig()
        """Default search settings; each call can override any of them."""
        self.max_length = max_length
        """Number of pieces of the longest source in training; the rest of a longer sentence is not translated."""
        self.split_sentences = max_length <= LONGEST_SENTENCE
        """Whether the sentences of a line are translated one by one by default."""
        self.correct_spelling = True
        """Whether misspelt words are corrected (`nmt.text.spelling`), if the vocabulary has a list of words."""
        self.language_model = language_model
        """A model of the target side, fused (`nmt.search.ensemble.Fusion`) with `decoding.language_model_weight`."""
        self.target_language = target_language
        """Selects the tokeniser of BLEU in minimum Bayes risk decoding and the rules for capitals."""
        self.source_language = source_language
        """Together with the target language, it selects the terms of a glossary of many languages."""
        self.confidence = confidence
        """Estimates the probability that a translation is good; None if the model is not calibrated."""
        self._spelling: Spelling | None = None
        self._checked: dict[tuple[Any, ...], DecodingConfig] = {}
        self._forbidden: dict[tuple[str, ...], Forbidden] = {}
        self._named: dict[tuple[str, ...], Named] = {}

    @classmethod
    def load(
        cls,
        path: str | Path | Sequence[str | Path],
        *,
        language_model: str | Path | None = None,
        language_model_weight: float | None = None,
        device: str = "cpu",
        threads: int | None = None,
    ) -> Translator:
        """Open a model folder, or several as an ensemble, with a language model if one is given.

        path: one or more model folders, run folders or hub ids; the decoding defaults are the first one's
        language_model: folder of a language model with the same target vocabulary
        language_model_weight: its weight; None: the first model's `decoding.language_model_weight`
        device: where the models run: `cpu`, `cuda`, `mps`, or `auto`, the fastest of them
        threads: processor threads to use; None leaves the choice to the engine

        Raises UserError when a folder is damaged or of the wrong task, or vocabularies differ.
        """
        from nmt.model_folder import open_models

        paths = [path] if isinstance(path, str | Path) else list(path)
        folders, beside = open_models(paths, language_model)
        return cls.of(folders, beside, language_model_weight=language_model_weight, device=device, threads=threads)

    @classmethod
    def of(
        cls,
        folders: Sequence[ModelFolder],
        language_model: ModelFolder | None = None,
        *,
        language_model_weight: float | None = None,
        device: str = "cpu",
        threads: int | None = None,
    ) -> Translator:
        """The same as `load`, for folders that are already open (`nmt.model_folder.open_models`)."""
        engines = [_load_engine(folder, device, threads) for folder in folders]
        translator = cls(
            engine=engines[0] if len(engines) == 1 else Ensemble(engines),
            source_vocabulary=folders[0].source_vocabulary,
            target_vocabulary=folders[0].target_vocabulary,
            decoding=folders[0].config.decoding,
            max_length=min(folder.config.data.max_length for folder in folders),
            language_model=None if language_model is None else _load_engine(language_model, device, threads),
            target_language=folders[0].config.data.languages[1],
            confidence=folders[0].confidence if len(folders) == 1 and language_model is None else None,
            source_language=folders[0].config.data.languages[0],
        )
        translator.decoding = translator.decoding_with(language_model_weight=language_model_weight)
        return translator

    def rows(self) -> list[Row]:
        """What a table says of this translator."""
        sizes = f"{len(self.source_vocabulary):,} source, {len(self.target_vocabulary):,} target"
        search = f"beam {self.decoding.beam_size}" if self.decoding.method == "beam" else self.decoding.method
        return [
            {"Translator": "languages", "": f"{self.source_language} to {self.target_language}"},
            {"Translator": "engine", "": type(self.engine).__name__},
            {"Translator": "pieces", "": sizes},
            {"Translator": "search", "": search},
        ]

    def __repr__(self) -> str:
        return text_table(self.rows())

    def _repr_html_(self) -> str:
        return html_table(self.rows())

    @overload
    def translate(self, lines: str | SourceLine, **options: Any) -> Translation: ...

    @overload
    def translate(self, lines: Sequence[str | SourceLine], **options: Any) -> list[Translation]: ...

    def translate(
        self,
        lines: str | SourceLine | Sequence[str | SourceLine],
        *,
        split_sentences: bool | None = None,
        markup: str = "",
        glossary: Glossary | Mapping[str, str] | str | Path | None = None,
        **overrides: Any,
    ) -> Translation | list[Translation]:
        """The best translation of a line, or of each line of a list; it does not depend on the other lines.

        A list of translations prints as a table. The translation of a blank line is empty. The sentences of a line are
        translated one by one, because recurrent models translate best what is as long as their training sentences. A
        sentence longer than `max_length` is cut, with a warning.

            split_sentences: False translates each line as a whole; None does so for lines with a prefix or required
                phrases, and for models that were trained on longer text, except for bullets, numbers of a list and the
                like at the beginning, which are copied
            markup: `html` or `xml` for lines with tags
            glossary: terms and their translations, or the path of a file, for all lines; a line's own take precedence
            overrides: fields of `nmt.config.DecodingConfig`, such as `beam_size=1`
        """
        asked = {"split_sentences": split_sentences, "markup": markup, "glossary": glossary, **overrides}
        if isinstance(lines, str | SourceLine):
            return self.translate_n_best([lines], 1, **asked)[0][0]
        lines = _check_list("lines", lines, SourceLine)
        found = [best for best, *_ in self.translate_n_best(lines, 1, **asked)]
        return ResultList(found, [line if isinstance(line, str) else line.text for line in lines])

    def translate_n_best(
        self,
        lines: Sequence[str | SourceLine],
        n_best: int,
        *,
        attention_weights: bool = False,
        split_sentences: bool | None = None,
        markup: str = "",
        glossary: Glossary | Mapping[str, str] | str | Path | None = None,
        **overrides: Any,
    ) -> list[list[Translation]]:
        """Up to `n_best` translations of each line with different texts, best first; otherwise the same as `translate`.

        Samples are in the order in which they were drawn, and some may be equal.

            attention_weights: whether the translations have attention weights and alignments; lines are then not split
                by default
        """
        lines = _check_list("lines", lines, SourceLine)
        decoding = self.decoding_with(**overrides)
        if split_sentences is None and attention_weights:
            split_sentences = False
        common = self.glossary(glossary) if isinstance(glossary, str | Path) else Glossary.of(glossary)
        prepared = [self.prepare(with_common(line, markup, common), split_sentences) for line in lines]
        translated = self.translate_prepared(prepared, decoding, n_best, attention_weights=attention_weights)
        problems = list(common.problems) if common is not None else []
        problems += [f"line {i}: {problem}" for i, found in enumerate(translated, 1) for problem in found[0].problems]
        for problem in problems:
            warnings.warn(problem, stacklevel=2)
        return translated

    def glossary(self, path: str | Path) -> Glossary:
        """Read a TSV, CSV or TBX file of terms of the model's languages."""
        return Glossary.load(path, (self.source_language, self.target_language))

    def prepare(
        self, line: str | SourceLine, split_sentences: bool | None = None, is_text: bool = False
    ) -> PreparedLine:
        """Clean a line, split it if requested, and collect the constraints on its translation.

        is_text: whether tags in a line without markup are only text
        """
        line = SourceLine(line) if isinstance(line, str) else line
        marked = line.markup or ("" if is_text else self._inline_markup(line))
        if marked:
            from nmt.translation.markup import prepare_marked

            return prepare_marked(self, replace(line, markup=marked), split_sentences)
        whole = bool(line.prefix or line.required)
        marks = split_sentences is not False and not whole
        if split_sentences is None:
            split_sentences = self.split_sentences and not whole
        elif split_sentences and whole:
            raise UserError("a prefix and required phrases are for whole lines; leave out `split_sentences`")
        problems = [CANNOT_COPY] if line.keep and not self.copying.most else []
        glossary = Glossary.of(line.glossary)
        if glossary and self.copying.most:
            line = replace(line, keep=(*line.keep, *glossary.kept(line.text)))
        is_free = not whole and not is_text
        named = self.to_keep(line.keep) if line.keep else None
        corrected: dict[str, str] = {}
        if self.corrects and is_free:
            text, corrected = self.speller.correct(line.text, named, glossary)
            line = replace(line, text=text) if corrected else line
        sentences, gaps = self.copying.sentences(
            line.text, split_sentences, named, whole, marks, glossary, is_free, not whole and not line.forbidden
        )
        if any(sentence.asides for sentence in sentences):
            prepare = partial(self._prepare_aside, line, split_sentences)
            sentences = with_prepared(sentences, prepare)
        problems += [TOO_MANY.format(one.too_many + self.copying.most) for one in sentences if one.too_many]
        copies = sentences[0].copies if whole and sentences else ()
        if copies:
            line = replace(
                line,
                prefix=self.copying.phrase(line.prefix, copies),
                required=[self.copying.phrase(phrase, copies) for phrase in line.required],
            )
        if whole or line.forbidden:
            for number, sentence in enumerate(sentences):
                if whole or any(phrase in (sentence.unchanged or "") for phrase in line.forbidden):
                    sentences[number] = sentence._replace(unchanged=None)
        else:
            sentences = [self._without_capitals(sentence) for sentence in sentences]
        prepared = PreparedLine(sentences, gaps, self.constraints(line), problems, corrected)
        if glossary is None:
            return prepared
        from nmt.translation.terms import find_terms

        return find_terms(self, prepared, glossary)

    def _prepare_aside(self, line: SourceLine, split_sentences: bool, text: str) -> PreparedLine:
        """An aside of a line, prepared as the line is."""
        return self.prepare(replace(line, text=text), split_sentences)

    def _inline_markup(self, line: SourceLine) -> str:
        """`inline` if a plain line has tags around words and the model can tell where these words are."""
        if "</" not in line.text or not self.has_attention or line.prefix or line.required or line.forbidden:
            return ""
        from nmt.text.markup import INLINE, has_elements

        return INLINE if has_elements(line.text) else ""

    def _without_capitals(self, sentence: SourceSentence) -> SourceSentence:
        """A sentence in capitals or Title Case as it is normally written; any other sentence does not change."""
        written = sentence.text, self.source_vocabulary, self.source_language
        if (text := without_capitals(*written)) is not None:
            return sentence._replace(text=text, capitals=True)
        text = without_title_case(*written)
        return sentence if text is None else sentence._replace(text=text)

    def translate_prepared(
        self,
        lines: Sequence[PreparedLine],
        decoding: DecodingConfig,
        n_best: int,
        *,
        attention_weights: bool = False,
        max_length: int | None = None,
        first: int = 1,
        warn: Callable[[str], None] | None = None,
    ) -> list[list[Translation]]:
        """Up to `n_best` translations of each line, best first.

        Parameters:
            max_length: most source pieces of a sentence; None: `Translator.max_length`
            first: number of the first line in warnings
            warn: takes each warning; None: `warnings.warn`
        """
        if any(one.asides for line in lines for one in line.sentences):
            inside = partial(self.translate_prepared, decoding=decoding, n_best=1, max_length=max_length, first=first)
            lines, asides = translate_asides(lines, partial(inside, warn=warn))
        else:
            asides = [[] for _ in lines]
        warn = warn or (lambda text: warnings.warn(text, stacklevel=5))
        sentences = self._sentences(lines, max_length or self.max_length, first, warn)
        attention_weights = attention_weights or any(line.finish is not None for line in lines)
        search: Callable[..., list[list[Translation]]] = self.translate_ids
        if any(one.terms for one in sentences):
            from nmt.translation.terms import translate_with_terms

            search = partial(translate_with_terms, self)
        found = iter(search(sentences, decoding, n_best, attention_weights=attention_weights))
        least_risk = decoding.minimum_bayes_risk != "none"
        sampled = decoding.method == "sampling" and not least_risk
        joined, certain = [], self._certain
        for line, inside_it in zip(lines, asides, strict=True):
            parts = [
                next(found)
                if one.unchanged is None
                else [unchanged_translation(one.unchanged, 100.0 * least_risk, certain)] * (n_best if sampled else 1)
                for one in line.sentences
            ]
            if not parts:
                best = [empty_translation(certain)]
            elif len(parts) == 1:
                best = parts[0]
            else:
                best = join_samples(parts, line.gaps) if sampled else join_translations(parts, n_best, line.gaps)
                if least_risk:  # an expected utility, from 0 to 100
                    best = [replace(one, score=one.score / len(parts)) for one in best]
            if line.problems or line.corrected or any(one.terms for one in line.sentences):
                best = [replace(one, problems=line.unmet(one), corrected=line.corrected) for one in best]
            best = [with_asides(one, inside_it) for one in best] if inside_it else best
            joined.append(best if line.finish is None else [line.finish(one) for one in best])
        return joined

    def _sentences(
        self, lines: Sequence[PreparedLine], most: int, first: int, warn: Callable[[str], None]
    ) -> list[Sentence]:
        """The sentences of lines that are searched, as the model reads them, of at most `most` pieces."""
        of_sentence = [(number, one) for number, line in enumerate(lines) for one in line.sentences]
        of_sentence = [(number, one) for number, one in of_sentence if one.unchanged is None]
        sentences = []
        for (number, one), ids in zip(of_sentence, self.encode([one.text for _, one in of_sentence]), strict=True):
            if len(ids) > most:
                what = "a sentence of " if len(lines[number].sentences) > 1 else ""
                warn(f"{what}line {first + number} is cut from {len(ids)} to {most} pieces")
            constraints = lines[number].constraints
            if one.copies:
                constraints = self._with_copies(constraints, ids[:most])
            sentences.append(Sentence(ids[:most], one.text, constraints, one.copies, one.capitals, one.terms))
        return sentences

    def _with_copies(self, constraints: Constraints, ids: Sequence[int]) -> Constraints:
        """The constraints of a sentence that contains these spans."""
        read, written = self.source_vocabulary.span_ids, self.target_vocabulary.span_ids
        copied = tuple(there for here, there in zip(read, written, strict=False) if here in ids)
        return constraints._replace(copied=copied, not_copied=tuple(i for i in written if i not in copied))

    def score(self, sources: Sequence[str], targets: Sequence[str], **overrides: object) -> list[Translation]:
        """Score given translations, one for each source, by forced decoding.

        The score is normalised by length as in search and includes the brevity penalty, but not the coverage penalty. A
        blank source has a blank translation with probability 1.
        """
        sources, targets = _check_list("sources", sources), _check_list("targets", targets)
        if len(sources) != len(targets):
            raise UserError(f"each source must have a target, but there are {len(sources)} and {len(targets)}")
        decoding = self.decoding_with(**overrides)
        scorer = Scorer(decoding)
        engine = self.engine_for(decoding)
        sharing, workers = engine.side_by_side()
        texts = [clean_target(text) for text in targets]
        pairs = [self.copying.pair(one_line(source), target) for source, target in zip(sources, texts, strict=True)]
        source_ids = self.encode([clean_line(source.text) for source, _ in pairs])
        target_ids = self.target_vocabulary.encode_batch([target for _, target in pairs]) if pairs else []
        scored = []
        for text, (pair, _), source, target in zip(texts, pairs, source_ids, target_ids, strict=True):
            possible = bool(source) or not target
            log_prob = 0.0 if possible else float("-inf")
            tokens = [restore_spans(piece, pair.copies) for piece in self.target_vocabulary.pieces(target)]
            scored.append(Translation(text, log_prob, tokens, log_prob, []))
        order = sorted((i for i in range(len(texts)) if source_ids[i]), key=lambda i: -len(source_ids[i]))
        ranges = make_batches([len(source_ids[i]) for i in order], worker_share(decoding, workers))
        batches = [[order[i] for i in batch] for batch in ranges]
        engine = (sharing if len(batches) > 1 and workers > 1 else engine).without_shortlist()

        def forced(batch: list[int]) -> list[list[float]]:
            return force_decode(engine, [source_ids[i] for i in batch], [target_ids[i] for i in batch])

        for batch, found in zip(batches, _results(forced, batches, workers), strict=True):
            for i, log_probs in zip(batch, found, strict=True):
                one = scored[i]
                one.log_prob, one.token_log_probs = sum(log_probs), log_probs
                one.score = scorer.score(one.log_prob, len(target_ids[i]), len(source_ids[i]))
        return scored

    def decoding_with(self, **overrides: object) -> DecodingConfig:
        """The model's decoding settings with some of them changed; an override of None changes nothing."""
        given = {name: value for name, value in overrides.items() if value is not None}
        if "language_model_weight" in given and self.language_model is None:
            raise UserError("`language_model_weight` has no effect without a language model, and there is none")
        if not given:
            return self.decoding
        # Checking the settings takes a millisecond, a tenth of the time of a short line.
        key = *vars(self.decoding).values(), *((name, type(value), value) for name, value in given.items())
        try:
            if key in self._checked:
                return self._checked[key]
        except TypeError:  # a value that cannot be a setting: the check says so
            key = ()
        decoding = parse_config({"decoding": {**asdict(self.decoding), **given}}, OVERRIDES).decoding
        for name in given:
            needs = decoding.without_effect(name)
            if needs:
                raise UserError(f"`{name}` has no effect without {needs}")
        if key:
            if len(self._checked) >= MOST_CHECKED:
                self._checked.clear()
            self._checked[key] = decoding
        return decoding

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        """Source ids of each line."""
        return self.source_vocabulary.encode_batch(lines) if lines else []

    def constraints(self, line: SourceLine) -> Constraints:
        """The constraints on a line's translation, in ids.

        Raises UserError when a phrase is blank, unknown to the vocabulary, or required and forbidden.
        """
        if not (line.prefix or line.required or line.forbidden):
            return FREE
        if len(line.required) > MOST_REQUIRED:
            raise UserError(
                f"at most {MOST_REQUIRED} phrases can be required of a line, but {len(line.required)} are; "
                "require of each line only what its source calls for"
            )
        forbidden = self._forbid(line.forbidden) if line.forbidden else None
        required = [self.phrase(phrase, "a required phrase", True) for phrase in line.required]
        for phrase, text in zip(required, line.required, strict=True):
            if forbidden is not None and forbidden.occurs_in(phrase):
                raise UserError(f"required phrase {text!r} contains a forbidden phrase; leave out one of them")
        prefix = self.phrase(line.prefix, "the prefix", False) if line.prefix else ()
        return Constraints(prefix, tuple(dict.fromkeys(required)), forbidden)

    def phrase(self, text: str, what: str, inside: bool) -> Phrase:
        """Ids of a phrase; inside a text, East Asian characters and punctuation have no space before them."""
        text = clean_line(text)
        ids = self.target_vocabulary.encode_batch([text])[0]
        if inside and len(ids) > 1 and not in_word(text[0]) and self.target_vocabulary.pieces(ids[:1]) == [SPACE]:
            ids = ids[1:]
        if not ids:
            raise UserError(f"{what} must be text, but is blank")
        if UNK in ids:
            raise UserError(f"{what} must be of known characters, but {text!r} has some that the vocabulary lacks")
        return tuple(ids)

    @property
    def _certain(self) -> float | None:
        """The confidence in text that needs no translation."""
        return None if self.confidence is None else 1.0

    @cached_property
    def copying(self) -> Copying:
        """Finds the spans that the model can copy."""
        return Copying(self.source_vocabulary, self.target_vocabulary)

    @property
    def corrects(self) -> bool:
        """Whether misspelt words are corrected."""
        return self.correct_spelling and self.copying.most > 0

    @cached_property
    def speller(self) -> Speller:
        """Corrects the spelling of lines."""
        return Speller(self.source_vocabulary, self.source_language)

    @cached_property
    def _spans(self) -> frozenset[int]:
        """The target pieces that represent spans."""
        return frozenset(self.target_vocabulary.span_ids)

    def to_keep(self, phrases: Sequence[str]) -> Named:
        """Phrases to keep, prepared once."""
        key = tuple(phrases)
        if key not in self._named:
            if len(self._named) >= 1000:
                self._named.clear()
            self._named[key] = Named(map(one_line, key))
        return self._named[key]

    def _forbid(self, phrases: Sequence[str]) -> Forbidden:
        """Forbidden phrases, prepared once."""
        key = tuple(phrases)
        if key not in self._forbidden:
            texts = [" ".join(clean_line(phrase).split()) for phrase in key]
            if "" in texts:
                raise UserError("a forbidden phrase must be text, but is blank")
            if self._spelling is None:
                self._spelling = Spelling(self.target_vocabulary.pieces(range(len(self.target_vocabulary))))
            if len(self._forbidden) >= 1000:
                self._forbidden.clear()
            self._forbidden[key] = Forbidden(texts, self._spelling)
        return self._forbidden[key]

    def translate_ids(
        self,
        sentences: Sequence[Sentence],
        decoding: DecodingConfig,
        n_best: int,
        *,
        attention_weights: bool = False,
    ) -> list[list[Translation]]:
        """Up to `n_best` translations of each sentence, best first.

        Sentences of similar length share a batch. Sentences with constraints other than copied spans are in batches of
        their own, and so are sentences that cannot use a vocabulary shortlist: the search of a sentence never depends
        on others.
        """
        count = candidates(decoding, n_best)
        settings = SearchSettings.of(
            decoding,
            1 if decoding.method == "sampling" else count,
            attention_weights=attention_weights or decoding.replace_unknown,
        )
        if decoding.method == "sampling":  # as many rows as in beam search
            per_batch = max(1, decoding.batch_sentences * decoding.beam_size // count)
            decoding = replace(decoding, batch_size=min(decoding.batch_sentences, per_batch))
        if decoding.replace_unknown:
            sentences = [
                one._replace(constraints=one.constraints._replace(unknown=True)) if UNK in one.ids else one
                for one in sentences
            ]
        engine = self.engine_for(decoding)
        sharing, workers = engine.side_by_side()
        batches = _batches(sentences, worker_share(decoding, workers))
        if len(batches) > 1 and workers > 1:
            engine = sharing

        def translate(batch: list[int]) -> list[list[Translation]]:
            found = self._search(engine, [sentences[i] for i in batch], decoding, settings, count)
            translated = []
            for i, hypotheses in zip(batch, found, strict=True):
                one = [self._translation(hypothesis, sentences[i], attention_weights) for hypothesis in hypotheses]
                if len(one) > 1 and decoding.method == "beam":  # some differed only in capitals
                    best = dict[str, Translation]()
                    for translation in one:
                        best.setdefault(translation.text, translation)
                    one = list(best.values())
                translated.append(one)
            return translated

        results = [[] if one.ids else [empty_translation(self._certain)] for one in sentences]
        for batch, translated in zip(batches, _results(translate, batches, workers), strict=True):
            for i, translations in zip(batch, translated, strict=True):
                results[i] = translations
        if decoding.retry and decoding.method == "beam" and decoding.minimum_bayes_risk == "none":
            self._search_again(sentences, results, decoding, n_best, attention_weights)
        if decoding.minimum_bayes_risk != "none":
            from nmt.search.reranking import make_utility

            utility = make_utility(decoding.minimum_bayes_risk, self.target_language)
            results = [_least_risk(found, decoding, utility)[:n_best] for found in results]
        return results

    def _search_again(
        self,
        sentences: Sequence[Sentence],
        results: list[list[Translation]],
        decoding: DecodingConfig,
        n_best: int,
        attention_weights: bool,
    ) -> None:
        """Search again for sentences whose search ran away, and keep what is not wrong of the second result."""

        def is_wrong(sentence: Sentence, one: Translation) -> bool:
            return bool(sentence.ids) and ran_away(sentence.ids, one.tokens, one.finished)

        wrong = [i for i, found in enumerate(results) if is_wrong(sentences[i], found[0])]
        if not wrong:
            return
        found_again = self.translate_ids(
            [sentences[i] for i in wrong],
            second_search(decoding),
            max(n_best, decoding.beam_size),
            attention_weights=attention_weights,
        )
        for i, found in zip(wrong, found_again, strict=True):
            right = [one for one in found if not is_wrong(sentences[i], one)]
            results[i] = right[:n_best] or results[i]

    def _search(
        self,
        engine: Engine,
        sentences: Sequence[Sentence],
        decoding: DecodingConfig,
        settings: SearchSettings,
        count: int,
    ) -> list[list[Hypothesis]]:
        """The hypotheses of a batch of sentences."""
        sources = [sentence.ids for sentence in sentences]
        constraints = [sentence.constraints for sentence in sentences]
        if decoding.method == "sampling" or any(one.give_pieces for one in constraints):
            engine = engine.without_shortlist()
        if decoding.method == "beam":
            identity = self.text if count > 1 else None  # decoding every finished hypothesis takes a tenth of the time
            return beam_search(engine, sources, settings, identity, constraints)
        return sample_translations(engine, sources, count, settings, constraints)

    @cached_property
    def has_attention(self) -> bool:
        """Whether the model, or one of several, has attention."""
        memory, state = self.engine.start([[END]])
        return self.engine.step(memory, state, np.array([BEGIN]))[1] is not None

    def engine_for(self, decoding: DecodingConfig) -> Engine:
        """The engine for search: the model's own, fused with the language model if there is one."""
        if self.language_model is None:
            return self.engine
        return Fusion(self.engine, self.language_model, decoding.language_model_weight)

    def text(self, ids: Sequence[int]) -> str:
        """The text of target ids, as one line."""
        return one_line(self.target_vocabulary.decode(ids))

    def _translation(self, hypothesis: Hypothesis, sentence: Sentence, attention_weights: bool) -> Translation:
        tokens = self.target_vocabulary.pieces(hypothesis.tokens)
        text = self.text(hypothesis.tokens)
        weights = hypothesis.attention_weights
        if attention_weights and weights is None:
            raise needs_attention("alignments and attention weights need")
        if UNK in hypothesis.tokens:
            tokens = self._copied(tokens, hypothesis, sentence)
            text = one_line(self.target_vocabulary.join_pieces(tokens))
        free = not sentence.constraints.give_pieces and not sentence.constraints.forbidden
        if free:
            text, tokens = self._with_final_mark(text, tokens, sentence.text)
        if sentence.capitals:
            text, *tokens = (upper(written, self.target_language) for written in (text, *tokens))
        elif free:
            text, tokens = self._with_first_capital(text, tokens, sentence.text)
        if not self._spans.isdisjoint(hypothesis.tokens):
            text, tokens = restored(text, tokens, sentence.text, sentence.copies)
        confidence = None
        if self.confidence is not None:
            wrong = ran_away(sentence.ids, tokens, hypothesis.finished)
            confidence = 0.0 if wrong else self.confidence.of(hypothesis.token_log_probs)
        translation = Translation(
            text=text,
            score=hypothesis.score,
            tokens=tokens,
            log_prob=hypothesis.log_prob,
            token_log_probs=hypothesis.token_log_probs,
            finished=hypothesis.finished,
            confidence=confidence,
        )
        if attention_weights and weights is not None:
            source_tokens = self.source_vocabulary.pieces(sentence.ids)
            translation.source_tokens = [restore_spans(piece, sentence.copies) for piece in source_tokens]
            translation.attention_weights = weights
            translation.alignment = word_alignment(translation.source_tokens, tokens, weights)
        return translation

    def _with_final_mark(self, text: str, tokens: list[str], source: str) -> tuple[str, list[str]]:
        """A translation and its pieces, with the final mark of a question or an exclamation (`with_final_mark`)."""
        written = with_final_mark(text, source, self.target_language)
        if written == text or self.target_vocabulary.unreadable(written[-1]):
            return text, tokens
        start, _, end = tokens[-1].rpartition(".")
        mark = written.removeprefix(text[:-1]).replace(" ", "▁")
        return written, [*tokens[:-1], f"{start}{mark}{end}"]

    def _with_first_capital(self, text: str, tokens: list[str], source: str) -> tuple[str, list[str]]:
        """A translation and its pieces, which begin with a capital as the source does (`with_first_capital`)."""
        written = with_first_capital(text, source, self.target_language, self.target_vocabulary)
        if written == text or not self.target_vocabulary.has_capitals:
            return text, tokens
        place = next(place for place, sign in enumerate(text) if written[place] != sign)
        for number, token in enumerate(tokens):
            if text[place] in token:
                changed = token.replace(text[place], written[place], 1)
                return written, [*tokens[:number], changed, *tokens[number + 1 :]]
        return written, tokens  # the letter is in bytes

    def _copied(self, tokens: list[str], hypothesis: Hypothesis, sentence: Sentence) -> list[str]:
        """The pieces with each unknown one replaced by the unknown source piece that it attends to most.

        After Jean et al. (2015), section 3.3, https://arxiv.org/abs/1412.2007, and Luong et al. (2015),
        https://arxiv.org/abs/1410.8206, whose words may be known in the source; pieces then mean something else.
        """
        weights = hypothesis.attention_weights
        if weights is None:
            raise needs_attention("`replace_unknown` needs", "; leave it out")
        surfaces = self.source_vocabulary.surfaces(sentence.text)[: len(sentence.ids)]
        places = [i for i, piece in enumerate(sentence.ids) if piece == UNK]
        return [
            surfaces[places[int(weights[position, places].argmax())]] if piece == UNK else token
            for position, (piece, token) in enumerate(zip(hypothesis.tokens, tokens, strict=True))
        ]


def _check_list(name: str, lines: Iterable[Any], *kinds: type) -> list[Any]:
    """The lines as a list; raises UserError unless all of them are texts or of these types."""
    if isinstance(lines, str):
        raise UserError(f"`{name}` must be a list of lines, but is a single text instead; put it into a list")
    found = list(lines)
    for line in found:
        if not isinstance(line, (str, *kinds)):
            raise UserError(f"`{name}` must be a list of texts, but has {line!r}")
    return found


def _kind(constraints: Constraints) -> tuple[bool, bool]:
    """Common properties of the sentences of a batch: whether they need whole rows, and whether pieces are given."""
    return constraints.need_rows, constraints.give_pieces


def _results(function: Callable[[Job], Result], jobs: Sequence[Job], workers: int) -> Iterator[Result]:
    """The results of a function for the jobs, in order, computed on `workers` threads."""
    if workers == 1 or len(jobs) < 2:
        yield from map(function, jobs)
        return
    with undisturbed:
        from concurrent.futures import ThreadPoolExecutor
    with frequent_switches(), ThreadPoolExecutor(workers) as pool:
        yield from pool.map(function, jobs)


def worker_share(decoding: DecodingConfig, workers: int) -> DecodingConfig:
    """The settings with one worker's share of a batch, so that all workers together need no more memory than one.

    No share is smaller than WORKER_ROWS hypotheses, because each step has a fixed cost.
    """
    whole = decoding.batch_sentences
    size = max(-(-whole // workers), min(whole, -(-WORKER_ROWS // decoding.beam_size)))
    return replace(decoding, batch_size=size, batch_tokens=-(-decoding.batch_tokens * size // whole))


def _load_engine(folder: ModelFolder, device: str, threads: int | None) -> Engine:
    """The engine of a model folder."""
    from nmt.translation.onnx_engine import load_engine  # it imports torch if there is no export

    return load_engine(folder, device=device, threads=threads)


def candidates(decoding: DecodingConfig, n_best: int) -> int:
    """The number of hypotheses to search for, in order to return `n_best` translations of a line.

    Raises UserError when the settings cannot yield that number.
    """
    if n_best < 1:
        raise UserError(f"`n_best` must be at least 1, but is {n_best} instead")
    if decoding.minimum_bayes_risk == "none":
        count = n_best
    else:
        count = decoding.samples if decoding.method == "sampling" else decoding.beam_size
        if n_best > count:
            name = "samples" if decoding.method == "sampling" else "beam_size"
            raise UserError(f"`n_best` must be at most `{name}` ({count}), but is {n_best} instead; raise `{name}`")
    SearchSettings.of(decoding, 1 if decoding.method == "sampling" else count)
    return count


def _least_risk(found: Sequence[Translation], decoding: DecodingConfig, utility: Utility) -> list[Translation]:
    """The candidates with different texts, with their expected utility as score, best first.

    All samples have the same weight; hypotheses of a beam are weighted by their probability.
    """
    weights = [1.0] * len(found)
    if decoding.method == "beam":
        best = max(one.log_prob for one in found)
        weights = [math.exp(one.log_prob - best) if best > -math.inf else 1.0 for one in found]
    from nmt.search.reranking import expected_utilities

    expected = expected_utilities([one.text for one in found], weights, utility)
    by_text = {one.text: one for one in found[::-1]}
    return [replace(by_text[text], score=expected[text]) for text in sorted(expected, key=lambda text: -expected[text])]


def _batches(sentences: Sequence[Sentence], decoding: DecodingConfig) -> list[list[int]]:
    """The indices of the sentences of each batch, the longest first; empty sentences are in no batch."""
    by_length = sorted((i for i, one in enumerate(sentences) if len(one.ids)), key=lambda i: -len(sentences[i].ids))
    batches = []
    for kind in ((False, False), (True, False), (True, True)):
        order = [i for i in by_length if _kind(sentences[i].constraints) == kind]
        batches += [
            [order[i] for i in batch] for batch in make_batches([len(sentences[i].ids) for i in order], decoding)
        ]
    return batches


def make_batches(lengths: Sequence[int], decoding: DecodingConfig) -> Iterator[range]:
    """Ranges of sentences that form a batch, with at most `batch_tokens` pieces including padding.

    lengths: of each sentence, from the longest to the shortest
    """
    first = 0
    while first < len(lengths):
        size = min(decoding.batch_sentences, max(1, decoding.batch_tokens // lengths[first]))
        yield range(first, min(first + size, len(lengths)))
        first += size
