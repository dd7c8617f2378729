"""Choosing among given translations: minimum Bayes risk, and reranking with the scores of several models."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, groupby, islice
from typing import Any, Literal, Protocol

from nmt.errors import UserError
from nmt.search.engine import Engine
from nmt.search.scoring import force_decode
from nmt.text.cleaning import clean_target
from nmt.text.vocabulary import END

Utility = Callable[[str, str], float]  # utility(hypothesis, reference), from 0 to 100


def make_utility(kind: Literal["bleu", "chrf"], language: str) -> Utility:
    """sacrebleu's chrF2, or smoothed sentence BLEU, of characters where a language's tokeniser is missing."""
    metric: Any
    if kind == "bleu":
        from nmt.scores.metrics import choose_tokenizer, make_bleu

        metric = make_bleu(language, choose_tokenizer(language).name, effective_order=True)
    else:
        from sacrebleu.metrics.chrf import CHRF

        metric = CHRF()
    return lambda hypothesis, reference: float(metric.sentence_score(hypothesis, [reference]).score)


def expected_utilities(candidates: Sequence[str], weights: Sequence[float], utility: Utility) -> dict[str, float]:
    """The expected utility of each candidate, if the correct translation is one of the candidates.

        E[u(h)] = sum_r weight_r u(h, r) / sum_r weight_r

    The best candidate has the minimum Bayes risk: Kumar & Byrne (2004), https://aclanthology.org/N04-1022,
    with the posterior probabilities of an n-best list as weights; Eikema & Aziz (2020),
    https://arxiv.org/abs/2005.10283, with samples, whose weights are equal.

    Returns: by text; equal candidates count once, with the sum of their weights
    """
    by_text: dict[str, float] = {}
    for candidate, weight in zip(candidates, weights, strict=True):
        by_text[candidate] = by_text.get(candidate, 0.0) + weight
    total = sum(by_text.values())
    return {
        hypothesis: sum(weight * utility(hypothesis, reference) for reference, weight in by_text.items()) / total
        for hypothesis in by_text
    }


@dataclass
class Candidate:
    """A translation of an n-best list, as `translate --n-best` writes it."""

    line: int  # number of the source line, from 1
    score: float
    text: str


def read_n_best(lines: Iterable[str]) -> Iterator[tuple[int, list[Candidate]]]:
    """The candidates of each source line. A line has its number, rank, score and text, separated by tabs, maybe more.

    Raises UserError when a line has another form, or the candidates of a source line are not consecutive.
    """
    known = set()
    for line, candidates in groupby(map(_read_candidate, lines, count(1)), key=lambda candidate: candidate.line):
        if line in known:
            raise UserError(
                f"the n-best list has candidates of line number {line} in two places; sort it by line number"
            )
        known.add(line)
        yield line, list(candidates)


def _read_candidate(line: str, number: int) -> Candidate:
    parts = line.split("\t")
    try:
        source, _, score = int(parts[0]), int(parts[1]), float(parts[2])
        if math.isnan(score):
            raise ValueError
        return Candidate(source, score, parts[3])
    except (ValueError, IndexError):
        raise UserError(
            f"line {number} of the n-best list must be line number, rank, score and text with tabs between them, as "
            "`translate --n-best` writes it"
        ) from None


class Scored(Protocol):
    """A translation that a model has scored (`nmt.translation.translator.Translation`)."""

    log_prob: float
    tokens: list[str]


class Scorer(Protocol):
    """A model that scores given translations (`nmt.translation.translator.Translator`)."""

    def score(self, sources: Sequence[str], targets: Sequence[str]) -> Sequence[Scored]:
        """Each target, as a translation of its source."""
        ...


@dataclass
class Feature:
    """One of the scores by which candidates are ranked."""

    scorer: Scorer
    weight: float
    reverse: bool = False  # whether the model translates in the other direction: log p(source | candidate)


@dataclass
class LanguageModelScorer:
    """A language model of the target side, which knows nothing of the source: log p(candidate)."""

    engine: Engine
    vocabulary: Any

    def score(self, sources: Sequence[str], targets: Sequence[str]) -> list[LanguageModelScore]:
        ids = self.vocabulary.encode_batch([clean_target(text) for text in targets]) if targets else []
        found = force_decode(self.engine, [[END]] * len(ids), ids)
        return [
            LanguageModelScore(sum(log_probs), self.vocabulary.pieces(one))
            for log_probs, one in zip(found, ids, strict=True)
        ]


@dataclass
class LanguageModelScore:
    """The score of a language model for a text."""

    log_prob: float
    tokens: list[str]


def rerank(
    sources: Sequence[str],
    lists: Sequence[Sequence[Candidate]],
    features: Sequence[Feature],
    *,
    list_weight: float = 0.0,
    length_weight: float = 0.0,
) -> list[list[Candidate]]:
    """The candidates of each source with new scores, best first; ties keep their order.

        score = sum_k weight_k log p_k + list_weight x score in the list + length_weight x length

    This is a log-linear combination (Och & Ney 2002, https://aclanthology.org/P02-1038); with a model of the reverse
    direction and a language model it is a noisy channel model (Yee et al. 2019, https://arxiv.org/abs/1908.05731). The
    length is the number of pieces of the first feature, end symbol included; without features it is 0.
    """
    flat = [(source, candidate) for source, found in zip(sources, lists, strict=True) for candidate in found]
    texts = [candidate.text for _, candidate in flat]
    scores = [list_weight * candidate.score if list_weight else 0.0 for _, candidate in flat]
    for number, feature in enumerate(features):
        given = [source for source, _ in flat], texts
        scored = feature.scorer.score(*(given[::-1] if feature.reverse else given))
        for i, one in enumerate(scored):
            scores[i] += feature.weight * one.log_prob if feature.weight else 0.0
            if not number:
                scores[i] += length_weight * (len(one.tokens) + 1)
    renewed = iter(
        [Candidate(candidate.line, score, candidate.text) for (_, candidate), score in zip(flat, scores, strict=True)]
    )
    return [sorted([next(renewed) for _ in found], key=lambda candidate: -candidate.score) for found in lists]


def rerank_lines(
    sources: Sequence[str],
    n_best: Iterable[str],
    features: Sequence[Feature],
    *,
    list_weight: float = 0.0,
    length_weight: float = 0.0,
    best: bool = False,
) -> Iterator[str]:
    """The lines of an n-best list in their new order, with new scores; sixty-four source lines are scored at a time.

        n_best: lines as `translate --n-best` writes them
        best: one line for each source line instead: the text of its best candidate, or nothing if it has none

    Raises UserError when a line is malformed or belongs to no source line.
    """
    written = 0
    lists_by_line = read_n_best(n_best)
    while window := list(islice(lists_by_line, 64)):
        for line, _ in window:
            if not 1 <= line <= len(sources):
                raise UserError(f"the n-best list has line number {line}, but the source has {len(sources)} lines")
        texts, lists = [sources[line - 1] for line, _ in window], [found for _, found in window]
        for found in rerank(texts, lists, features, list_weight=list_weight, length_weight=length_weight):
            line = found[0].line
            if best:
                if line <= written:
                    raise UserError(f"the n-best list is out of order: line number {line} comes after {written}")
                yield from [""] * (line - written - 1)
                yield found[0].text
                written = line
            else:
                yield from (f"{line}\t{rank}\t{one.score:.6f}\t{one.text}" for rank, one in enumerate(found, 1))
    if best:
        yield from [""] * (len(sources) - written)
