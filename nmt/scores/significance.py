"""Statistical significance: paired tests of two systems, and scores of parts of a set with their intervals.

Koehn (2004), Statistical Significance Tests for Machine Translation Evaluation, https://aclanthology.org/W04-3250
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmt.scores.metrics import check_lengths, choose_tokenizer, make_metrics, sentence_scores


@dataclass
class Difference:
    """One score of two systems on the same sentences."""

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
        """Both p-values as text; none if the scores are equal, where sacrebleu would report its smallest p-value."""
        if self.system == self.baseline:
            return "equal, so no p"
        return f"p = {self.bootstrap:.4f} (bootstrap), {self.randomization:.4f} (approximate randomisation)"


@dataclass
class Comparison:
    """A system compared with a baseline."""

    baseline: str
    """Name of the baseline: a file or a model."""
    hypotheses: list[str]
    """The baseline's translations."""
    differences: list[Difference]
    chrf: list[float]
    """chrF2 of each of the baseline's sentences."""


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
) -> Comparison:
    """Whether the difference between two systems may be due to chance: sacrebleu's paired tests, with its defaults.

    Koehn (2004): the test set is resampled `bootstrap` times. Riezler & Maxwell (2005, On some pitfalls in automatic
    evaluation and significance testing for MT): the systems' outputs are exchanged at random, sentence by sentence,
    `randomization` times. A p-value is the share of the samples whose difference is larger than the observed one.

    name: what the baseline is called

    Raises UserError as `evaluate_translations`.
    """
    check_lengths(hypotheses, references)
    check_lengths(baseline, references)
    chosen = choose_tokenizer(target_language, references[0], tokenizer)
    metrics = make_metrics(chosen)
    from sacrebleu.significance import PairedTest

    systems: list[tuple[str, Sequence[str]]] = [("baseline", list(baseline)), ("system", list(hypotheses))]
    found: dict[str, Any] = {}
    with fixed_seed():
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
    chrf = [score.chrf for score in sentence_scores(baseline, references, chosen)]
    return Comparison(name, list(baseline), differences, chrf)


@dataclass
class PartScore:
    name: str
    sentences: int
    bleu: float
    low: float
    """Lower end of the 95 % confidence interval of BLEU."""
    high: float
    chrf: float


class PartScorer:
    """Scores parts of a set; the statistics of each sentence are computed once."""

    def __init__(
        self,
        hypotheses: Sequence[str],
        references: Sequence[Sequence[str]],
        *,
        target_language: str,
        tokenizer: str | None = None,
        bootstrap: int = 1000,
    ) -> None:
        check_lengths(hypotheses, references)
        self.bleu, self.chrf, _ = make_metrics(choose_tokenizer(target_language, references[0], tokenizer))
        self.bootstrap = bootstrap
        self.statistics = [
            metric._extract_corpus_statistics(hypotheses, references) for metric in (self.bleu, self.chrf)
        ]

    def score(self, name: str, places: Sequence[int]) -> PartScore:
        """BLEU and chrF2 of the sentences with the given indices, at least one."""
        from sacrebleu.significance import _bootstrap_resample, estimate_ci

        bleu_statistics, chrf_statistics = ([own[place] for place in places] for own in self.statistics)
        value = float(self.bleu._aggregate_and_compute(bleu_statistics).score)
        mean, half_width = value, 0.0
        if self.bootstrap > 1:
            with fixed_seed():
                samples = _bootstrap_resample(bleu_statistics, self.bleu, self.bootstrap)[1]
            mean, half_width = estimate_ci(np.array([sample.score for sample in samples]))
        chrf = float(self.chrf._aggregate_and_compute(chrf_statistics).score)
        return PartScore(name, len(places), value, float(mean - half_width), float(mean + half_width), chrf)


@contextlib.contextmanager
def fixed_seed() -> Iterator[None]:
    """Give sacrebleu's bootstrap its default seed, which it would otherwise read from the environment."""
    before = os.environ.get("SACREBLEU_SEED")
    os.environ["SACREBLEU_SEED"] = "12345"
    try:
        yield
    finally:
        if before is None:
            del os.environ["SACREBLEU_SEED"]
        else:
            os.environ["SACREBLEU_SEED"] = before
