"""The contents of a report: the scores, and the analyses that need the training data or the model."""

from __future__ import annotations

import math
from bisect import bisect, bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from nmt.config import DataConfig
from nmt.errors import UserError
from nmt.report.calibration import (
    Calibration,
    SentenceCalibration,
    calibration,
    predict_references,
    rank_correlation,
    sentence_groups,
)
from nmt.report.curves import Record, read_curves
from nmt.report.search_tree import Node, search_tree
from nmt.report.statistics import (
    LENGTHS,
    Repetition,
    Unknown,
    WordAccuracy,
    group_names,
    repetition,
    unknown,
    word_accuracy,
)
from nmt.report.training_data import TrainingOverlap, compare_with_training
from nmt.report.words import words
from nmt.scores.confidence import GOOD
from nmt.scores.evaluation import Evaluation
from nmt.scores.significance import PartScore, PartScorer
from nmt.search.beam import SearchSettings
from nmt.text.cleaning import clean_line, clean_target
from nmt.text.vocabulary import UNK
from nmt.translation.translator import Translation, Translator

if TYPE_CHECKING:
    from datasets import Dataset

SIMILARITIES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Lower ends of the groups of sentences by similarity to the training data; the first group is below all of them."""

BATCH = 4096
"""Number of training pairs read at once."""


@dataclass
class Leak:
    """A sentence of the test set and the training sentence that is most similar to it."""

    place: int
    """Index in the test set, from 0."""
    similarity: float
    side: str
    """Which side was compared: `source` or `reference`."""
    text: str
    training: str
    exact: bool


@dataclass
class TrainingPart:
    """The test set compared with the training data."""

    overlap: TrainingOverlap
    pairs: int
    leaks: list[Leak]
    """The most similar sentences, at most ten."""
    without_leaks: list[PartScore]
    """Scores of all sentences, of those that are not near duplicates, and of the near duplicates."""
    by_similarity: list[PartScore]
    """Scores by the similarity of the source to the training sources."""
    by_rarest: list[PartScore]
    """Scores by the number of occurrences of the source's rarest word in the training data."""
    words: list[WordAccuracy]
    """Accuracy of words by their number of occurrences in the training targets."""
    unknown: dict[str, Unknown]
    """For `source`, `reference` and `hypothesis`: the words that are not in the training data of that side."""


@dataclass
class SearchTree:
    """The beam search of one sentence."""

    place: int
    """Index of the sentence in the test set, from 0."""
    source: str
    nodes: list[Node]
    pieces: list[str]
    """The text of each node's piece."""
    beam_size: int


@dataclass
class Pieces:
    """How much of a text the vocabulary cannot represent by ordinary pieces."""

    total: int
    unknown: int
    bytes: int
    """Number of byte pieces, which spell characters that the vocabulary lacks."""


@dataclass
class Report:
    """The contents of a report; a part that is not available is None."""

    evaluation: Evaluation
    by_length: list[PartScore]
    """Scores by the number of words of the source, or of the reference if there is no source."""
    repetition: dict[str, Repetition]
    """How much `hypothesis` and `reference` repeat themselves."""
    empty: int
    training: TrainingPart | None = None
    pieces: dict[str, Pieces] = field(default_factory=dict)
    """The pieces of `source` and `hypothesis`."""
    cut: int | None = None
    """Number of translations that the search cut off at the maximum length."""
    sureness: list[float | None] | None = None
    """Geometric mean of the probabilities of each translation's pieces, the end symbol included; None for an empty
    line."""
    calibration: Calibration | None = None
    sentence_calibration: SentenceCalibration | None = None
    tree: SearchTree | None = None
    curves: dict[str, list[Record]] | None = None


def make_report(evaluation: Evaluation, scorer: PartScorer) -> Report:
    """The parts of a report that need only the texts."""
    guide = evaluation.sources if evaluation.sources is not None else evaluation.references[0]
    lengths = [bisect_left(LENGTHS, len(words(text))) for text in guide]
    return Report(
        evaluation,
        _score_groups(scorer, group_names(LENGTHS), lengths),
        {"hypothesis": repetition(evaluation.hypotheses), "reference": repetition(evaluation.references[0])},
        sum(not text.strip() for text in evaluation.hypotheses),
    )


def add_training_data(report: Report, scorer: PartScorer, pairs: Dataset, tags: Sequence[str] = ()) -> None:
    """Compare with the training data.

    pairs: all training pairs, with the columns `source` and `target`
    tags: tags before training sources, which are removed
    """
    evaluation = report.evaluation
    assert evaluation.sources is not None
    sources, hypotheses, references = evaluation.sources, evaluation.hypotheses, evaluation.references
    overlap = compare_with_training(sources, references, hypotheses, _batches(pairs, tags))
    places = range(len(sources))
    leaked = overlap.leaked
    parts = {
        "all sentences": list(places),
        "without near duplicates": [place for place in places if not leaked[place]],
        "near duplicates alone": [place for place in places if leaked[place]],
    }
    occurrences = overlap.source.occurrences
    rarest = [min((occurrences[word] for word in words(text)), default=0) for text in sources]
    target = overlap.target.occurrences
    report.training = TrainingPart(
        overlap=overlap,
        pairs=len(pairs),
        leaks=_leaks(report, overlap, pairs, tags),
        without_leaks=[scorer.score(name, own) for name, own in parts.items() if own],
        by_similarity=_score_groups(
            scorer,
            [f"below {SIMILARITIES[0]:g}", *(f"{low:g} to {high:g}" for low, high in pairwise(SIMILARITIES)), "1"],
            [bisect(SIMILARITIES, similarity) for similarity in overlap.source.similarity.tolist()],
        ),
        by_rarest=_score_groups(scorer, group_names(RAREST), [bisect_left(RAREST, count) for count in rarest]),
        words=word_accuracy(hypotheses, references[0], target),
        unknown={
            "source": unknown(sources, occurrences),
            "reference": unknown(references[0], target),
            "hypothesis": unknown(hypotheses, target),
        },
    )


RAREST = (0, 1, 4, 9, 99)
"""Upper ends of the groups of sentences by the occurrences of their rarest word; the last group has no upper end."""


def add_translations(
    report: Report, scorer: PartScorer, translations: Sequence[Translation], unknown_piece: str, *, fused: bool = False
) -> None:
    """Add what the search knows about its translations: the model's confidence in each, and their pieces.

    unknown_piece: the vocabulary's piece for unknown characters
    fused: whether a language model was fused into the scores
    """
    evaluation = report.evaluation
    report.pieces["hypothesis"] = count_pieces([own.tokens for own in translations], unknown_piece)
    report.cut = sum(not own.finished for own in translations)
    if fused:
        evaluation.notes.append("scores with a language model are not probabilities: no calibration of sentences")
        return
    report.sureness = [
        math.exp(own.log_prob / len(own.token_log_probs)) if own.token_log_probs else None for own in translations
    ]
    known = [place for place, sure in enumerate(report.sureness) if sure is not None]
    if len(known) < 2:
        return
    sure = [report.sureness[place] or 0.0 for place in known]
    groups = sentence_groups(sure)
    whole = [math.exp(translations[place].log_prob) for place in known]
    equal = [evaluation.hypotheses[place] in (own[place] for own in evaluation.references) for place in known]
    chrf = [evaluation.sentence_scores[place].chrf for place in known]
    report.sentence_calibration = SentenceCalibration(
        correlation=rank_correlation(sure, chrf),
        parts=[
            scorer.score(f"{min(sure[i] for i in own):.2f} to {max(sure[i] for i in own):.2f}", [known[i] for i in own])
            for own in groups
        ],
        sureness=[sum(sure[i] for i in own) / len(own) for own in groups],
        probability=[sum(whole[i] for i in own) / len(own) for own in groups],
        equal=[sum(equal[i] for i in own) / len(own) for own in groups],
        confidence=[_mean([translations[known[i]].confidence for i in own]) for own in groups],
        good=[sum(chrf[i] >= GOOD for i in own) / len(own) for own in groups],
    )


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean; None if a value is missing."""
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if len(there) == len(values) else None


def add_model(report: Report, translator: Translator, place: int, **overrides: object) -> None:
    """Add the analyses that run the model: calibration, vocabulary, and the search tree of one sentence.

    place: index of the sentence whose search tree is shown, from 0
    overrides: search settings, as given to `Translator.translate`
    """
    evaluation = report.evaluation
    assert evaluation.sources is not None
    sources = translator.encode(list(map(clean_line, evaluation.sources)))
    targets = translator.target_vocabulary.encode_batch(list(map(clean_target, evaluation.references[0])))
    decoding = translator.decoding_with(**overrides)
    vocabulary = translator.source_vocabulary
    report.pieces = {
        "source": count_pieces([vocabulary.pieces(ids) for ids in sources], vocabulary.pieces([UNK])[0]),
        **report.pieces,
    }
    if any(sources):
        # A reference may contain any piece, so an engine with a shortlist must use its whole vocabulary here.
        predictions = predict_references(translator.engine.without_shortlist(), sources, targets)
        report.calibration = calibration(predictions)
    if sources[place] and decoding.method == "beam" and decoding.minimum_bayes_risk == "none":
        nodes = search_tree(translator.engine_for(decoding), sources[place], SearchSettings.of(decoding))
        pieces = translator.target_vocabulary.pieces([node.token for node in nodes])
        report.tree = SearchTree(place, evaluation.sources[place], nodes, pieces, decoding.beam_size)


def _score_groups(scorer: PartScorer, names: Sequence[str], groups: Sequence[int]) -> list[PartScore]:
    """The scores of each group that has sentences, given the number of each sentence's group."""
    members = [[place for place, group in enumerate(groups) if group == number] for number in range(len(names))]
    return [scorer.score(name, places) for name, places in zip(names, members, strict=True) if places]


def _batches(pairs: Dataset, tags: Sequence[str]) -> Iterator[tuple[list[str], list[str]]]:
    """Training sources, without their tags, and targets."""
    for start in range(0, len(pairs), BATCH):
        batch = pairs[start : start + BATCH]
        yield [_without_tag(text, tags) for text in batch["source"]], list(batch["target"])


def _without_tag(text: str, tags: Sequence[str]) -> str:
    for tag in tags:
        if text.startswith(f"{tag} "):
            return text[len(tag) + 1 :]
    return text


def _leaks(report: Report, overlap: TrainingOverlap, pairs: Dataset, tags: Sequence[str]) -> list[Leak]:
    """The test sentences most similar to a training sentence, most similar first; each sentence is listed once."""
    evaluation = report.evaluation
    assert evaluation.sources is not None
    sides = {"source": overlap.source, "reference": overlap.target}
    found = [
        (bool(own.exact[place]), float(own.similarity[place]), len(evaluation.sources[place]), place, side)
        for side, own in sides.items()
        for place in range(len(evaluation.sources))
        if own.nearest[place] >= 0
    ]
    found.sort(key=lambda item: (not item[0], -item[1], -item[2], item[3]))  # longer ones are less likely to be chance
    leaks: dict[int, Leak] = {}
    for exact, similarity, _, place, side in found:
        if len(leaks) == MOST_LEAKS:
            break
        if place not in leaks:
            nearest = pairs[int(sides[side].nearest[place])]
            source = side == "source"
            text = evaluation.sources[place] if source else _nearest_reference(report, place, nearest["target"])
            training = _without_tag(nearest["source"], tags) if source else nearest["target"]
            leaks[place] = Leak(place, similarity, side, text, training, exact)
    return list(leaks.values())


MOST_LEAKS = 10


def _nearest_reference(report: Report, place: int, training: str) -> str:
    """The reference, among several, that is most similar to a training sentence."""
    from rapidfuzz.distance import Levenshtein

    texts = [reference[place] for reference in report.evaluation.references]
    return max(texts, key=lambda text: Levenshtein.normalized_similarity(words(text), words(training)))


def count_pieces(pieces: Sequence[Sequence[str]], unknown_piece: str) -> Pieces:
    """How many pieces of a text are unknown, or bytes of characters that the vocabulary lacks."""
    flat = [piece for own in pieces for piece in own]
    is_byte = [len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">") for piece in flat]
    return Pieces(len(flat), flat.count(unknown_piece), sum(is_byte))


def choose_sentence(report: Report) -> int:
    """The sentence whose search tree is shown by default: one of medium length and medium quality.

    It is the sentence with the median chrF2 among those of 6 to 14 words, or among all if there are none.
    """
    evaluation = report.evaluation
    guide = evaluation.sources if evaluation.sources is not None else evaluation.references[0]
    places = [place for place, text in enumerate(guide) if 6 <= len(words(text)) <= 14] or list(range(len(guide)))
    places.sort(key=lambda place: (evaluation.sentence_scores[place].chrf, place))
    return places[len(places) // 2]


def is_local(data: DataConfig) -> bool:
    """Whether the training data can be read without a network: files, a folder, or the bundled corpus."""
    from nmt.data.sources import BUILDERS

    return all(
        Path(path).exists() or path in BUILDERS or path.startswith("builtin:")
        for path in [data.path, *(extra.path for extra in data.extra)]
    )


def gather(
    evaluation: Evaluation,
    scorer: PartScorer,
    *,
    data: DataConfig | None = None,
    metrics: Path | None = None,
    translator: Translator | None = None,
    translations: Sequence[Translation] | None = None,
    place: int | None = None,
    overrides: Mapping[str, object] | None = None,
) -> Report:
    """All parts of the report that are available; notes of the evaluation explain what is missing.

    data: where the training data are, for the comparison with the test set
    metrics: the records of the training
    translator, translations: the model and its translations, if a model is evaluated
    place: index of the sentence whose search tree is shown, from 0; None: see `choose_sentence`
    overrides: search settings
    """
    report = make_report(evaluation, scorer)
    notes = evaluation.notes
    if evaluation.sources is None:
        notes.append("the training data are not compared: the sources are not given")
    elif data is None:
        notes.append("the training data are not compared: no MODEL says where they are")
    elif not is_local(data):
        notes.append(f"the training data `{data.path}` are not compared: they are not on this machine")
    else:
        from nmt.data.corpus import load_pairs, training_tags

        try:
            pairs = load_pairs(data, "train")
        except UserError as error:
            notes.append(f"the training data are not compared: {error}")
        else:
            add_training_data(report, scorer, pairs, training_tags(data))
    if translator is not None and translations is not None:
        unknown_piece, fused = translator.target_vocabulary.pieces([UNK])[0], translator.language_model is not None
        add_translations(report, scorer, translations, unknown_piece, fused=fused)
        add_model(report, translator, choose_sentence(report) if place is None else place, **(overrides or {}))
    if metrics is not None:
        try:
            report.curves = read_curves(metrics)
        except UserError as error:
            notes.append(f"no curves of the training: {error}")
    return report
