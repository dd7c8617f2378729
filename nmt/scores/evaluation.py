"""The evaluation of a translation: scores with their intervals, scores of single sentences, lengths.

Koehn (2004), Statistical Significance Tests for Machine Translation Evaluation, https://aclanthology.org/W04-3250: the
bootstrap behind the intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from nmt.errors import how_to_install
from nmt.scores import labels
from nmt.scores.metrics import SentenceScore, check_lengths, choose_tokenizer, make_metrics, sentence_scores
from nmt.scores.moses import MOSES_LANGUAGES, MOSES_NAME, moses_bleu
from nmt.scores.significance import Comparison, fixed_seed
from nmt.scores.tokenizers import language_code


@dataclass
class Score(labels.Score):
    """`BLEU`, `chrF2`, `TER` or `MOSES_NAME` of the whole set, 0 to 100; TER counts errors and can exceed 100.

    The interval is the mean of the bootstrap samples, minus and plus half its width.
    """

    signature: str
    """sacrebleu's signature: two scores can only be compared if it is equal."""


@dataclass
class Evaluation:
    """The result of an evaluation: scores, lengths, scores of sentences, and the settings that led to them."""

    scores: list[Score]
    hypotheses: list[str]
    references: list[list[str]]
    """`references[r][sentence]`."""
    sources: list[str] | None
    sentence_scores: list[SentenceScore]
    system_length: int
    """Tokens of all hypotheses, as BLEU counts them."""
    reference_length: int
    """Tokens of the references (of several, the one closest in length)."""
    length_ratio: float
    """`system_length / reference_length`."""
    brevity_penalty: float
    """Factor by which BLEU lowers the score of a system shorter than the reference; 1 means no penalty."""
    precisions: list[float]
    """BLEU's n-gram precisions in percent, n = 1 to 4."""
    matches: list[int] = field(default_factory=list)
    """Number of n-grams of the hypotheses that occur in their reference, n = 1 to 4."""
    totals: list[int] = field(default_factory=list)
    """Number of n-grams of the hypotheses."""
    comparisons: list[Comparison] = field(default_factory=list)
    """Comparisons with other systems, in the order in which they were named."""
    notes: list[str] = field(default_factory=list)
    """Notes for the reader: figures that were left out and why, suspicious input."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Settings for the report (command, model, beam size, ...), in the order in which they are shown."""

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
) -> Evaluation:
    """Score translations with BLEU, chrF2, TER and, where it applies, BLEU of lower-cased Moses tokens.

    hypotheses: one translation per sentence
    references: `references[r][sentence]`, one or more whole sets
    target_language: chooses the tokeniser of BLEU (see `choose_tokenizer`) unless `tokenizer` names one
    bootstrap: number of samples for the confidence intervals; 1 or less gives intervals of width 0. sacrebleu keeps
        all samples in memory: about 75 kB per sentence with 1,000 samples. Their seed is sacrebleu's default.

    Raises UserError if the sets differ in length or are empty, or a tokeniser is unknown or not installed.
    """
    check_lengths(hypotheses, references, sources)
    chosen = choose_tokenizer(target_language, references[0], tokenizer)
    metrics = make_metrics(chosen)
    notes = [chosen.reason] if chosen.reason else []
    with fixed_seed():
        results = [metric.corpus_score(hypotheses, references, n_bootstrap=bootstrap) for metric in metrics]
        scores = [
            _score(result.name, result, str(metric.get_signature()))
            for metric, result in zip(metrics, results, strict=True)
        ]
        if language_code(target_language) in MOSES_LANGUAGES:
            try:
                scores.append(_score(MOSES_NAME, *moses_bleu(hypotheses, references, target_language, bootstrap)))
            except ImportError:
                notes.append(f"{MOSES_NAME} needs sacremoses: {how_to_install('[moses]')}")
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
        sentence_scores=sentence_scores(hypotheses, references, chosen),
        system_length=bleu_result.sys_len,
        reference_length=bleu_result.ref_len,
        length_ratio=bleu_result.ratio,
        brevity_penalty=bleu_result.bp,
        precisions=list(bleu_result.precisions),
        matches=[int(count) for count in bleu_result.counts],
        totals=[int(count) for count in bleu_result.totals],
        notes=notes,
    )


def _score(name: str, result: Any, signature: str) -> Score:
    mean, half_width = result._mean, result._ci  # sacrebleu's only access to them as numbers
    if half_width < 0:  # no bootstrap
        mean, half_width = result.score, 0.0
    return Score(name, float(result.score), float(mean - half_width), float(mean + half_width), signature)
