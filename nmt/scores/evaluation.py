"""Scores of translations against references: BLEU, chrF and TER by sacrebleu, with confidence intervals.

Post (2018), A Call for Clarity in Reporting BLEU Scores, https://arxiv.org/abs/1804.08771
Koehn (2004), Statistical Significance Tests for Machine Translation Evaluation (the bootstrap)

Text goes in as a reader would see it (detokenised); sacrebleu tokenises it itself, so that scores compare.
Needs the extra `train` (sacrebleu), and `moses` (sacremoses) for the figure in which Multi30k results are published.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from nmt.errors import UserError, how_to_install

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

TOKENIZERS = {"zh": "zh", "ja": "ja-mecab", "ko": "ko-mecab"}
"""sacrebleu's tokeniser for BLEU by target language; every other language has 13a."""

LANGUAGE_NAMES = {
    "zho": "zh", "cmn": "zh", "chinese": "zh", "jpn": "ja", "japanese": "ja", "kor": "ko", "korean": "ko",
    "deu": "de", "ger": "de", "german": "de", "eng": "en", "english": "en", "fra": "fr", "fre": "fr", "french": "fr",
    "ces": "cs", "cze": "cs", "czech": "cs",
}  # fmt: skip
"""Other names of the languages for which it matters: they choose a tokeniser or are those of Multi30k."""

MOSES_NAME = "BLEU (lower-cased, Moses tokens)"
"""Name of the figure in which Multi30k results are published; see `moses_tokens`."""

MOSES_LANGUAGES = frozenset(
    {"as", "bn", "ca", "cs", "de", "el", "en", "es", "et", "fi", "fr", "ga", "gu", "hi", "hu", "is", "it", "kn", "lt"}
    | {"lv", "ml", "mni", "mr", "nl", "or", "pa", "pl", "pt", "ro", "ru", "sk", "sl", "sv", "ta", "te"}
)
"""Languages whose abbreviations sacremoses knows and that put spaces between words."""


@dataclass
class Score:
    """One figure for the whole set."""

    name: str
    """`BLEU`, `chrF2`, `TER` or `MOSES_NAME`."""
    value: float
    """0 to 100; TER counts errors (lower is better) and can exceed 100."""
    low: float
    """Lower end of the 95 % confidence interval: mean of the bootstrap samples minus half its width."""
    high: float
    """Upper end of the interval."""
    signature: str
    """What has to be equal for two scores to compare: sacrebleu's signature."""


@dataclass
class SentenceScore:
    """Scores of one sentence: good for ordering sentences, too coarse to judge one of them."""

    bleu: float
    """BLEU of the sentence, over the n-gram orders it is long enough for (`eff:yes`)."""
    chrf: float
    """chrF2 of the sentence."""


@dataclass
class Difference:
    """One figure of two systems on the same sentences."""

    name: str
    """`BLEU`, `chrF2` or `TER`."""
    system: float
    baseline: float
    bootstrap: float
    """p-value of the paired bootstrap (Koehn 2004)."""
    randomization: float
    """p-value of the paired approximate randomisation (Riezler & Maxwell 2005)."""
    signature: str
    """sacrebleu's, for both tests: `bs` and `ar` are their numbers of samples."""

    def p_values(self) -> str:
        """Both, for a person. Where there is no difference, sacrebleu's smallest p-value would mislead."""
        if self.system == self.baseline:
            return "equal, so no p"
        return f"p = {self.bootstrap:.4f} (bootstrap), {self.randomization:.4f} (approximate randomisation)"


@dataclass
class Comparison:
    """A system beside a baseline."""

    baseline: str
    """File, or model, of the baseline."""
    hypotheses: list[str]
    """The baseline's."""
    differences: list[Difference]
    chrf: list[float]
    """chrF2 of each of the baseline's sentences."""


@dataclass
class Evaluation:
    """Everything a report says: scores, lengths, sentences, and how they came about."""

    scores: list[Score]
    hypotheses: list[str]
    references: list[list[str]]
    """`references[r][sentence]`."""
    sources: list[str] | None
    sentence_scores: list[SentenceScore]
    system_length: int
    """Tokens of all hypotheses, as BLEU counts them."""
    reference_length: int
    """Tokens of the references (of several the one closest in length)."""
    length_ratio: float
    """`system_length / reference_length`."""
    brevity_penalty: float
    """Factor by which BLEU punishes a system shorter than the reference; 1 is none."""
    precisions: list[float]
    """BLEU's n-gram precisions in percent, n = 1 to 4."""
    matches: list[int] = field(default_factory=list)
    """n-grams of the hypotheses that stand in their reference, n = 1 to 4."""
    totals: list[int] = field(default_factory=list)
    """n-grams of the hypotheses."""
    comparisons: list[Comparison] = field(default_factory=list)
    """With other systems, in the order in which they were named."""
    notes: list[str] = field(default_factory=list)
    """What a reader has to know: figures left out and why, suspicious input."""
    settings: dict[str, Any] = field(default_factory=dict)
    """For the report: command, model, beam and the like, in the order they are shown."""

    def score(self, name: str) -> Score:
        """The figure of that name; KeyError when it was left out."""
        for score in self.scores:
            if score.name == name:
                return score
        raise KeyError(name)


def evaluate_translations(
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    target_language: str,
    tokenizer: str | None = None,
    bootstrap: int = 1000,
    sources: Sequence[str] | None = None,
    seed: int = 12345,
) -> Evaluation:
    """Score translations with BLEU, chrF2, TER and, where it applies, BLEU of lower-cased Moses tokens.

    hypotheses: one translation per sentence
    references: `references[r][sentence]`, one or more whole sets
    target_language: chooses the tokeniser of BLEU (13a, zh, ja-mecab, ko-mecab) unless `tokenizer` names one
    bootstrap: samples behind the confidence intervals; 1 or less gives intervals of no width. sacrebleu holds all
        samples at once: about 75 kB a sentence at 1,000.
    seed: of the samples; sacrebleu's own default gives sacrebleu's own intervals

    Raises UserError if the sets differ in length or are empty, or a tokeniser is unknown or not installed.
    """
    _check_lengths(hypotheses, references, sources)
    metrics = make_metrics(target_language, tokenizer)
    notes = []
    with _bootstrap_seed(seed):
        results = [metric.corpus_score(hypotheses, references, n_bootstrap=bootstrap) for metric in metrics]
        scores = [_score(result.name, metric, result) for metric, result in zip(metrics, results, strict=True)]
        moses, note = _moses_score(hypotheses, references, target_language, bootstrap)
    if moses:
        scores.append(moses)
    if note:
        notes.append(note)
    bleu_result: Any = results[0]
    separated = sum(hypothesis.endswith(" .") for hypothesis in hypotheses)
    if separated > len(hypotheses) / 2:
        notes.append(
            f"{separated} of {len(hypotheses)} hypotheses end in a separated full stop: they look tokenised, "
            f"but these scores are meant for detokenised text"
        )
    return Evaluation(
        scores=scores,
        hypotheses=list(hypotheses),
        references=[list(reference) for reference in references],
        sources=None if sources is None else list(sources),
        sentence_scores=_sentence_scores(hypotheses, references, target_language, tokenizer),
        system_length=bleu_result.sys_len,
        reference_length=bleu_result.ref_len,
        length_ratio=bleu_result.ratio,
        brevity_penalty=bleu_result.bp,
        precisions=list(bleu_result.precisions),
        matches=[int(count) for count in bleu_result.counts],
        totals=[int(count) for count in bleu_result.totals],
        notes=notes,
    )


def compare_systems(
    name: str,
    hypotheses: Sequence[str],
    baseline: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    target_language: str,
    tokenizer: str | None = None,
    bootstrap: int = 1000,
    randomization: int = 10000,
    seed: int = 12345,
) -> Comparison:
    """Whether the difference between two systems may be chance, by sacrebleu's paired tests, with its defaults.

    Koehn (2004): the test set is drawn anew `bootstrap` times. Riezler & Maxwell (2005, On some pitfalls in automatic
    evaluation and significance testing for MT): the systems' outputs are exchanged at random, sentence by sentence,
    `randomization` times. A p-value is the share of the samples whose difference is larger than the one that was found.

    name: of the baseline

    Raises UserError as `evaluate_translations`.
    """
    _check_lengths(hypotheses, references, None)
    _check_lengths(baseline, references, None)
    metrics = make_metrics(target_language, tokenizer)
    from sacrebleu.significance import PairedTest

    systems: list[tuple[str, Sequence[str]]] = [("baseline", list(baseline)), ("system", list(hypotheses))]
    found: dict[str, Any] = {}
    with _bootstrap_seed(seed):
        for kind, samples in (("bs", bootstrap), ("ar", randomization)):
            named = dict(zip(("BLEU", "chrF2", "TER"), metrics, strict=True))
            found[kind] = PairedTest(systems, named, [list(side) for side in references], kind, samples)()
    differences = []
    for score, signature in found["bs"][0].items():
        signature.update("ar", randomization)
        baseline_result, result = found["bs"][1][score]
        differences.append(
            Difference(
                name=score,
                system=float(result.score),
                baseline=float(baseline_result.score),
                bootstrap=float(result.p_value),
                randomization=float(found["ar"][1][score][1].p_value),
                signature=str(signature),
            )
        )
    chrf = [score.chrf for score in _sentence_scores(baseline, references, target_language, tokenizer)]
    return Comparison(name, list(baseline), differences, chrf)


@dataclass
class PartScore:
    """Scores of a part of the set."""

    name: str
    sentences: int
    bleu: float
    low: float
    """Lower end of the 95 % confidence interval of BLEU."""
    high: float
    """Upper end of it."""
    chrf: float


class PartScorer:
    """Scores parts of a set from statistics that are counted once."""

    def __init__(
        self,
        hypotheses: Sequence[str],
        references: Sequence[Sequence[str]],
        *,
        target_language: str,
        tokenizer: str | None = None,
        bootstrap: int = 1000,
        seed: int = 12345,
    ) -> None:
        _check_lengths(hypotheses, references, None)
        self.bleu, self.chrf, _ = make_metrics(target_language, tokenizer)
        self.bootstrap, self.seed = bootstrap, seed
        self.statistics = [
            metric._extract_corpus_statistics(hypotheses, references) for metric in (self.bleu, self.chrf)
        ]

    def score(self, name: str, places: Sequence[int]) -> PartScore:
        """BLEU and chrF2 of the sentences at the given places, of which there is at least one."""
        from sacrebleu.significance import _bootstrap_resample, estimate_ci

        bleu_statistics, chrf_statistics = ([own[place] for place in places] for own in self.statistics)
        value = float(self.bleu._aggregate_and_compute(bleu_statistics).score)
        mean, half_width = value, 0.0
        if self.bootstrap > 1:
            with _bootstrap_seed(self.seed):
                samples = _bootstrap_resample(bleu_statistics, self.bleu, self.bootstrap)[1]
            mean, half_width = estimate_ci(np.array([sample.score for sample in samples]))
        chrf = float(self.chrf._aggregate_and_compute(chrf_statistics).score)
        return PartScore(name, len(places), value, float(mean - half_width), float(mean + half_width), chrf)


def make_metrics(target_language: str, tokenizer: str | None = None) -> list[Metric]:
    """BLEU, chrF2 and TER for a target language; raises UserError as `make_bleu`."""
    bleu_metric = make_bleu(target_language, tokenizer)
    from sacrebleu.metrics.chrf import CHRF
    from sacrebleu.metrics.ter import TER

    # Without these two, TER would count a whole Chinese or Japanese sentence as one word. The signature says so.
    asian = language_code(target_language) in ("zh", "ja")
    return [bleu_metric, _plain_floats(CHRF()), TER(normalized=asian, asian_support=asian)]


def _plain_floats(metric: CHRF) -> CHRF:
    """chrF whose sample scores are all Python floats: numpy's among them make the mean behind the interval fail."""
    compute = metric._compute_score_from_stats

    def plain(statistics: Any) -> Any:
        result = compute(statistics)
        result.score = float(result.score)
        return result

    metric._compute_score_from_stats = plain  # type: ignore[method-assign, assignment]  # no other way in
    return metric


def make_chrf() -> CHRF:
    """sacrebleu's chrF2, which needs no tokeniser."""
    from sacrebleu.metrics.chrf import CHRF

    return CHRF()


def bleu(hypotheses: Sequence[str], references: Sequence[Sequence[str]], target_language: str) -> float:
    """BLEU alone, without intervals."""
    _check_lengths(hypotheses, references, None)
    return float(make_bleu(target_language).corpus_score(hypotheses, references).score)


def tokenizer_for(target_language: str) -> str:
    """Name of sacrebleu's tokeniser for a target language: 13a but for Chinese, Japanese and Korean."""
    return TOKENIZERS.get(language_code(target_language), "13a")


def language_code(name: str) -> str:
    """`zh` for `zh`, `ZH-cn`, `zho_Hans` or `Chinese`; other names lower-cased, without script or country."""
    code = name.lower().replace("_", "-").split("-")[0]
    return LANGUAGE_NAMES.get(code, code)


def make_bleu(target_language: str, tokenizer: str | None = None, *, effective_order: bool = False) -> BLEU:
    """sacrebleu's BLEU for a target language.

    Also the check, before a long training, that BLEU can be had at all.
    Raises UserError if sacrebleu or the tokeniser is missing or unknown.
    """
    try:
        from sacrebleu.metrics.bleu import BLEU
    except ImportError:
        raise UserError(f"BLEU needs sacrebleu, which is not installed: {how_to_install('sacrebleu')}") from None
    name = tokenizer or tokenizer_for(target_language)
    if name not in BLEU.TOKENIZERS:
        raise UserError(f"the BLEU tokeniser must be one of {', '.join(BLEU.TOKENIZERS)}, but is `{name}` instead")
    try:
        # `force` only silences sacrebleu's own remark about tokenised text; `notes` has ours.
        return BLEU(tokenize=name, force=True, effective_order=effective_order)
    except (ImportError, RuntimeError, AssertionError, OSError) as error:
        if name in ("ja-mecab", "ko-mecab"):
            extra = name[:2]
            raise UserError(
                f"BLEU with the tokeniser `{name}` needs MeCab, which is not installed: "
                f"{how_to_install(f'[{extra}]')}, or choose the tokeniser `char`, which needs nothing"
            ) from None
        reason = " ".join(str(error).split())
        raise UserError(f"the BLEU tokeniser `{name}` cannot be loaded: {reason}") from None


def moses_tokens(sentences: Sequence[str], language: str) -> list[str]:
    """Lower-cased, with Moses' punctuation normalised, as Moses tokens (escaped, no dashes split).

    BLEU on these tokens as they are is the figure in which Multi30k results are published. Needs sacremoses.
    """
    from sacremoses import MosesPunctNormalizer, MosesTokenizer

    normalizer, tokenizer = MosesPunctNormalizer(lang=language), MosesTokenizer(lang=language)
    return [tokenizer.tokenize(normalizer.normalize(sentence.lower()), return_str=True) for sentence in sentences]


def _moses_score(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], target_language: str, bootstrap: int
) -> tuple[Score | None, str | None]:
    """The figure, or None with a note why it is left out."""
    language = language_code(target_language)
    if language not in MOSES_LANGUAGES:
        return None, f"{MOSES_NAME} is left out: Moses has no tokeniser for the target language `{target_language}`"
    try:
        import sacremoses
    except ImportError:
        return None, f"{MOSES_NAME} is left out: it needs sacremoses, {how_to_install('[moses]')}"
    from sacrebleu.metrics.bleu import BLEU

    metric = BLEU(tokenize="none", force=True)
    result = metric.corpus_score(
        moses_tokens(hypotheses, language),
        [moses_tokens(reference, language) for reference in references],
        n_bootstrap=bootstrap,
    )
    score = _score(MOSES_NAME, metric, result)
    # sacrebleu cannot know what was done to the text before it saw it (it signs `case:mixed|tok:none`).
    version = getattr(sacremoses, "__version__", "unknown")
    score.signature += f" on lower-cased, punctuation-normalised Moses tokens, sacremoses:{version}"
    return score, None


def _score(name: str, metric: Metric, result: Any) -> Score:
    mean, half_width = result._mean, result._ci  # sacrebleu's only access to them as numbers
    if half_width < 0:  # no bootstrap
        mean, half_width = result.score, 0.0
    low, high = float(mean - half_width), float(mean + half_width)
    return Score(name, float(result.score), low, high, str(metric.get_signature()))


def _sentence_scores(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], target_language: str, tokenizer: str | None
) -> list[SentenceScore]:
    from sacrebleu.metrics.chrf import CHRF

    bleu_metric, chrf_metric = make_bleu(target_language, tokenizer, effective_order=True), CHRF()
    return [
        SentenceScore(
            float(bleu_metric.sentence_score(hypothesis, sentence_references).score),
            float(chrf_metric.sentence_score(hypothesis, sentence_references).score),
        )
        for hypothesis, *sentence_references in zip(hypotheses, *references, strict=True)
    ]


def _check_lengths(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], sources: Sequence[str] | None
) -> None:
    if not references:
        raise UserError("an evaluation needs at least one set of references, but there is none")
    others = [(f"reference set {number}", reference) for number, reference in enumerate(references, start=1)]
    if sources is not None:
        others.append(("the source", sources))
    for name, other in others:
        if len(other) != len(hypotheses):
            raise UserError(
                f"there are {len(hypotheses)} hypotheses but {name} has {len(other)} sentences; "
                f"line N of one must belong to line N of the other"
            )
    if not hypotheses:
        raise UserError("there is nothing to evaluate: the set has 0 sentences")


@contextlib.contextmanager
def _bootstrap_seed(seed: int) -> Iterator[None]:
    """sacrebleu takes the seed of its bootstrap from the environment only."""
    before = os.environ.get("SACREBLEU_SEED")
    os.environ["SACREBLEU_SEED"] = str(seed)
    try:
        yield
    finally:
        if before is None:
            del os.environ["SACREBLEU_SEED"]
        else:
            os.environ["SACREBLEU_SEED"] = before
