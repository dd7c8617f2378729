"""A report as a document: its sections, with the meaning of each number and the command that produced it."""

from __future__ import annotations

import math
import random
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from nmt.report import charts
from nmt.report.blocks import Block, Code, Document, Example, Figure, Section, Table, section
from nmt.report.charts import Series
from nmt.report.contents import Report, SearchTree, TrainingPart
from nmt.report.training_data import NEAR
from nmt.report.words import Span, differences
from nmt.scores.confidence import GOOD
from nmt.scores.evaluation import Evaluation, Score
from nmt.scores.moses import MOSES_NAME
from nmt.scores.significance import PartScore
from nmt.text.vocabulary import END

EXAMPLES_SEED = 1
"""Seed of the random examples, so that two systems on the same set are mostly shown on the same sentences."""


@dataclass
class Commands:
    """The commands with which a reader can reproduce the numbers of a section."""

    evaluate: str
    """The command that wrote the report."""
    training: str = ""
    """The command that trained the model; empty if it is not known."""
    texts: Sequence[str] = ()
    """The texts in the report's folder, whose files have the suffix `.txt`: hypothesis, reference, baseline.1 ..."""


def make_document(report: Report, commands: Commands) -> Document:
    """The whole document, from the scores to single sentences."""
    evaluation = report.evaluation
    count = len(evaluation.hypotheses)
    settings = evaluation.settings
    about = [setting_text(settings[name]) for name in ("data", "reference") if name in settings]
    document = Document(
        title=f"Evaluation of {settings.get('model') or settings.get('hypotheses') or 'a translation'}",
        subtitle="; ".join([*about, f"{count:,} sentence{'s' if count != 1 else ''}"]),
        headline=[(score.name, f"{score.value:.2f}", _interval(score)) for score in evaluation.scores],
    )
    document.sections = [
        own
        for own in (
            _scores(report, commands),
            *_comparisons(report, commands),
            _ngrams(report),
            _lengths(report),
            *(_training_sections(report.training) if report.training else []),
            _repetitions(report),
            _calibration(report),
            _sureness(report),
            *_examples(report),
            None if report.tree is None else tree_section(report.tree),
            _curves(report, commands),
            _settings(evaluation),
        )
        if own is not None
    ]
    for own in document.sections:
        if own.command is None:
            own.command = commands.evaluate
    return document


def _interval(score: Score) -> str:
    lower = ", lower is better" if score.name == "TER" else ""
    return f"95 %: {score.interval}{lower}"


def describe_lengths(evaluation: Evaluation) -> str:
    """One line on the length of the hypotheses."""
    sentences = len(evaluation.hypotheses)
    precisions = "/".join(f"{precision:.1f}" for precision in evaluation.precisions)
    return (
        f"{sentences} sentence{'s' if sentences != 1 else ''}; length ratio {evaluation.length_ratio:.3f} "
        f"({evaluation.system_length} tokens for {evaluation.reference_length}), "
        f"brevity penalty {evaluation.brevity_penalty:.3f}, precisions {precisions}"
    )


def _scores(report: Report, commands: Commands) -> Section:
    evaluation = report.evaluation
    rows = [[score.name, f"{score.value:.2f}", score.interval] for score in evaluation.scores]
    for row in rows:
        row[0] += " (lower is better)" if row[0] == "TER" else ""
    blocks: list[Block | str] = [
        Table(["score", "value", "95 % interval"], rows, (1, 2)),
        describe_lengths(evaluation) + ".",
        *(f"Note: {note}." for note in evaluation.notes),
        "Intervals are bootstrapped (Koehn 2004). Scores can only be compared if their signatures are equal. "
        f"{MOSES_NAME} is the figure in which Multi30k results are published; the others use the original text.",
        Code("\n".join(f"{score.name}: {score.signature}" for score in evaluation.scores)),
    ]
    if commands.texts:
        blocks.append("In the folder of this report, sacrebleu's own command gives the same numbers:")
        blocks.append(Code(_sacrebleu(evaluation, commands, ["--confidence"])))
    return section("Scores", *blocks)


def _sacrebleu(evaluation: Evaluation, commands: Commands, measure: Sequence[str], systems: Sequence[str] = ()) -> str:
    """sacrebleu's command for the same scores of the hypotheses, and of other systems before them."""
    references = [f"{what}.txt" for what in commands.texts if what.startswith("reference")]
    tokenizer = re.search(r"\btok:([^|]+)", evaluation.scores[0].signature)
    options = ["-tok", tokenizer[1]] if tokenizer else []
    if any("asian:yes" in score.signature for score in evaluation.scores):
        options += ["--ter-asian-support", "--ter-normalized"]
    files = [*systems, "hypothesis.txt"]
    return shlex.join(["sacrebleu", *references, "-i", *files, "-m", "bleu", "chrf", "ter", *options, *measure])


def _comparisons(report: Report, commands: Commands) -> list[Section]:
    evaluation = report.evaluation
    if not evaluation.comparisons:
        return []
    differences = evaluation.comparisons[0].differences
    names = [own.name for own in differences]
    systems = [[own.baseline, *(f"{each.baseline:.2f}" for each in own.differences)] for own in evaluation.comparisons]
    systems.append(["this system", *(f"{own.system:.2f}" for own in differences)])
    rows = [
        [
            comparison.baseline,
            own.name,
            f"{own.system - own.baseline:+.2f}",
            *(["equal"] * 2 if own.system == own.baseline else [f"{own.bootstrap:.4f}", f"{own.randomization:.4f}"]),
        ]
        for comparison in evaluation.comparisons
        for own in comparison.differences
    ]
    blocks: list[Block | str] = [
        "A p-value is the probability of a difference as large as this one, or larger, if the two systems were "
        "equally good: by the paired bootstrap (Koehn 2004) and by paired approximate randomisation (Riezler & "
        "Maxwell 2005). Below 0.05 the difference is commonly called significant.",
        Table(["system", *names], systems, range(1, 1 + len(names))),
        Table(["against", "score", "difference", "p, bootstrap", "p, randomisation"], rows, (2, 3, 4)),
        Code("\n".join(f"{own.name}: {own.signature}" for own in differences)),
    ]
    if commands.texts:
        baselines = [f"{what}.txt" for what in commands.texts if what.startswith("baseline")]
        # as text: sacrebleu 2.6 cannot write the results of its bootstrap as JSON, its default
        tests = (
            _sacrebleu(evaluation, commands, [test, "-f", "text"], baselines) for test in ("--paired-bs", "--paired-ar")
        )
        blocks.append("In the folder of this report, sacrebleu's own commands give the same numbers:")
        blocks.append(Code("\n".join(tests)))
    sections = [section("Comparison", *blocks)]
    for comparison in evaluation.comparisons:
        gains = [own.chrf - other for own, other in zip(evaluation.sentence_scores, comparison.chrf, strict=True)]
        order = sorted(range(len(gains)), key=lambda index: (gains[index], index))
        for title, chosen in {
            f"Better than {comparison.baseline}": [index for index in reversed(order[-5:]) if gains[index] > 0],
            f"Worse than {comparison.baseline}": [index for index in order[:5] if gains[index] < 0],
        }.items():
            examples = [_example(report, index) for index in chosen]
            if examples:
                sections.append(section(title, "The sentences with the largest difference in chrF2.", *examples))
    return sections


def _ngrams(report: Report) -> Section:
    evaluation = report.evaluation
    names = [f"{order}-grams" for order in range(1, len(evaluation.precisions) + 1)]
    rows = [
        [name, f"{precision:.2f}", f"{matches:,}", f"{total:,}"]
        for name, precision, matches, total in zip(
            names, evaluation.precisions, evaluation.matches, evaluation.totals, strict=True
        )
    ]
    chart = charts.bar_chart(
        "n-gram precision", names, [Series("precision", evaluation.precisions)], "", "precision, %"
    )
    return section(
        "n-gram precision",
        "Share of the hypotheses' n-grams that occur in the reference, each counted at most as often as it occurs "
        "there (Papineni et al. 2002), over BLEU's tokens.",
        Figure(chart),
        Table(["", "precision, %", "matched", "of"], rows, (1, 2, 3)),
    )


def _parts(parts: Sequence[PartScore], name: str, label: str) -> list[Block]:
    """Scores of parts of the set, as a chart and as a table."""
    rows = [[part.name, f"{part.sentences:,}", *_part_scores(part)] for part in parts]
    return [
        _parts_chart(parts, name, label),
        Table([name, "sentences", "BLEU", "95 % interval", "chrF2"], rows, (1, 2, 3, 4)),
    ]


def _part_scores(part: PartScore) -> list[str]:
    return [f"{part.bleu:.2f}", f"{part.low:.2f} to {part.high:.2f}", f"{part.chrf:.2f}"]


def _parts_chart(parts: Sequence[PartScore], name: str, label: str) -> Figure:
    """BLEU of parts of the set, with its interval."""
    series = Series(
        "BLEU",
        [part.bleu for part in parts],
        low=[part.low for part in parts],
        high=[part.high for part in parts],
        notes=[f"{part.sentences} sentences" for part in parts],
    )
    return Figure(
        charts.bar_chart(label, [part.name for part in parts], [series], name, "BLEU, with its 95 % interval")
    )


def _lengths(report: Report) -> Section:
    side = "source" if report.evaluation.sources is not None else "reference"
    return section("By length", *_parts(report.by_length, f"words of the {side}", "BLEU by length"))


def _leaks(training: TrainingPart) -> Section:
    """Sentences that the test set shares with the training data, and the scores without them."""
    overlap, count = training.overlap, len(training.overlap.pair)

    def share(number: int) -> list[str]:
        return [f"{number:,}", f"{100 * number / count:.1f}"]

    source, target, leaked = overlap.source, overlap.target, int(overlap.leaked.sum())
    rows = [
        ["source and reference are one training pair", *share(int(overlap.pair.sum()))],
        ["source is a training source", *share(int(source.exact.sum()))],
        ["reference is a training target", *share(int(target.exact.sum()))],
        ["source is a near duplicate of a training source", *share(int(source.near.sum()))],
        ["reference is a near duplicate of a training target", *share(int(target.near.sum()))],
        ["source or reference is a near duplicate", *share(leaked)],
    ]
    blocks: list[Block | str] = [
        f"Every test sentence was compared with all {training.pairs:,} training pairs. Duplicates are equal except for "
        f"case and spaces; near duplicates have a similarity of at least {NEAR:g}. Similarity is "
        "1 - distance / length, with the Levenshtein distance in words and the length of the longer sentence. "
        "Duplicates count as near duplicates.",
        Table(["", "sentences", "%"], rows, (1, 2)),
        *_parts(training.without_leaks, "part", "BLEU without near duplicates"),
    ]
    if training.leaks:
        blocks.append("The most similar sentences, with the differences marked:")
    for leak in training.leaks:
        own, theirs = differences(leak.text, leak.training)
        scores = f"similarity {leak.similarity:.2f}{', duplicate' if leak.exact else ''}"
        blocks.append(Example(leak.place + 1, scores, [(f"test {leak.side}", own), ("training", theirs)]))
    return section("Leaks", *blocks)


def _rare_words(training: TrainingPart) -> Section:
    """Accuracy of words by how often they occur in the training data."""
    words = training.words
    series = [
        Series("F-measure", [100 * own.f_measure for own in words]),
        Series("precision", [100 * own.precision for own in words]),
        Series("recall", [100 * own.recall for own in words]),
    ]
    names = [own.name for own in words]
    title, x_label = "accuracy of words by training frequency", "occurrences in the training targets"
    accuracy = [
        [
            own.name, f"{own.expected:,}", f"{own.produced:,}", f"{own.matched:,}",
            *(f"{100 * value:.1f}" for value in (own.precision, own.recall, own.f_measure)),
        ]
        for own in words
    ]  # fmt: skip
    unknown = [
        [
            side, f"{own.words:,}", f"{own.total:,}", f"{100 * own.rate:.2f}", f"{own.sentences:,}",
            ", ".join(own.examples),
        ]
        for side, own in training.unknown.items()
    ]  # fmt: skip
    return section(
        "Rare words",
        "Accuracy of words by their frequency in the training targets (Neubig et al. 2019). A word of a hypothesis is "
        "correct if it occurs anywhere in the reference.",
        Figure(charts.bar_chart(title, names, series, x_label, "%")),
        Table(
            ["occurrences", "in references", "in hypotheses", "right", "precision, %", "recall, %", "F, %"],
            accuracy,
            range(1, 7),
        ),
        "Scores of sentences by the frequency of the source's rarest word in the training sources:",
        *_parts(training.by_rarest, "occurrences of the rarest word", "BLEU by rarest word"),
        "Words that do not occur in the training data of their side:",
        Table(["", "unseen words", "of", "%", "sentences", "the most frequent"], unknown, (1, 2, 3, 4)),
    )


def _training_sections(training: TrainingPart) -> list[Section]:
    return [
        _leaks(training),
        section(
            "By similarity to the training data",
            "Sentences are grouped by the similarity of their source to the most similar training source.",
            *_parts(training.by_similarity, "similarity", "BLEU by similarity to the training data"),
        ),
        _rare_words(training),
    ]


def _repetitions(report: Report) -> Section:
    rows = [
        [side, f"{own.words:,}", f"{own.total:,}", f"{100 * own.rate:.2f}", f"{own.sentences:,}",
         "" if own.worst is None else f"{own.worst + 1}"]
        for side, own in report.repetition.items()
    ]  # fmt: skip
    blocks: list[Block | str] = [
        "Words that only repeat the one to four words right before them (“the the”, “of a of a”). They are a sign "
        "that a model lost its place. Some repetitions are correct; compare with the reference.",
        Table(["", "repeated words", "of", "%", "sentences", "worst sentence"], rows, (1, 2, 3, 4, 5)),
    ]
    if report.pieces:
        pieces = [
            [
                side, f"{own.total:,}", f"{own.unknown:,}", f"{100 * own.unknown / max(own.total, 1):.2f}",
                f"{own.bytes:,}", f"{100 * own.bytes / max(own.total, 1):.2f}",
            ]
            for side, own in report.pieces.items()
        ]  # fmt: skip
        blocks += [
            "Characters that the vocabulary lacks: an unknown piece replaces a character, which is lost; byte pieces "
            "spell a character byte by byte.",
            Table(["", "pieces", "unknown", "unknown, %", "bytes", "bytes, %"], pieces, range(1, 6)),
        ]
    cut = "" if report.cut is None else f"; translations cut off at the maximum length: {report.cut}"
    blocks.append(f"Empty hypotheses: {report.empty}{cut}.")
    return section("Repetitions and unknown pieces", *blocks)


def _calibration(report: Report) -> Section | None:
    own = report.calibration
    if own is None:
        return None
    points = [(each.confidence, each.accuracy, each.predictions) for each in own.bins]
    direction = "overconfident" if own.confidence > own.accuracy else "underconfident"
    figures = [
        ["expected calibration error", f"{own.error:.4f}"],
        ["predictions", f"{own.positions:,}"],
        ["ends of sentences: mean probability of the prediction", f"{own.end_confidence:.3f}"],
        ["ends of sentences: accuracy", f"{own.end_accuracy:.3f}"],
        ["perplexity of the references, per piece", f"{own.perplexity:.3f}"],
    ]
    bins = [
        [
            f"{each.low:.1f} to {each.high:.1f}", f"{each.predictions:,}",
            f"{each.confidence:.3f}", f"{each.accuracy:.3f}",
        ]
        for each in own.bins
    ]  # fmt: skip
    return section(
        "Calibration",
        "At each position of the references the model predicts the next piece after reading the reference up to there. "
        "Of the predictions made with probability 0.8, 80 % should be correct (Guo et al. 2017). Overall the model is "
        f"{direction}: its mean probability is {own.confidence:.3f}, its accuracy {own.accuracy:.3f}.",
        Figure(
            charts.reliability_chart("calibration", points),
            "The area of a dot shows the number of predictions; on the dashed line, probability equals accuracy.",
        ),
        Table(["figure", "value"], figures, (1,)),
        Table(["probability", "predictions", "mean probability", "accuracy"], bins, (1, 2, 3)),
    )


def _sureness(report: Report) -> Section | None:
    own = report.sentence_calibration
    if own is None:
        return None
    rows = [
        [part.name, f"{part.sentences:,}", f"{sure:.3f}", f"{100 * probability:.2f}", f"{100 * equal:.2f}",
         "-" if confidence is None else f"{100 * confidence:.1f}", f"{100 * good:.1f}", *_part_scores(part)]
        for part, sure, probability, equal, confidence, good in zip(
            own.parts, own.sureness, own.probability, own.equal, own.confidence, own.good, strict=True
        )
    ]  # fmt: skip
    head = ["mean probability", "sentences", "mean", "whole sentence, %", "equal to a reference, %"]
    head += ["confidence, %", "good, %"]
    return section(
        "Calibration of sentences",
        "Does the model know which of its translations are good? The translations are divided into groups of equal "
        "size by the geometric mean of their pieces' probabilities. If each source had one correct translation, a "
        "translation with probability 0.1 should equal the reference one time in ten. As there usually are several, "
        "lower probabilities may be justified. Spearman's rank correlation of the mean probability with chrF2 is "
        f"{own.correlation:.3f}. The confidence should equal the share of good translations, which are those with a "
        f"chrF2 of at least {GOOD:.0f}.",
        _parts_chart(own.parts, "mean probability of a piece", "BLEU by probability"),
        Table([*head, "BLEU", "95 % interval", "chrF2"], rows, range(1, 10)),
    )


def choose_examples(evaluation: Evaluation, count: int = 5) -> dict[str, list[int]]:
    """The examples by heading: the best sentences, the worst, and twice as many of the rest at random.

    Sentences are ordered by sentence BLEU, then chrF, then the length of the reference (longer first), then index. The
    random ones depend only on the number of sentences and on those that are shown already.
    """

    def quality(index: int) -> tuple[float, float]:
        score = evaluation.sentence_scores[index]
        return score.bleu, score.chrf

    def length(index: int) -> int:
        return len(evaluation.references[0][index])

    indices = range(len(evaluation.hypotheses))
    best = sorted(indices, key=lambda index: (*(-value for value in quality(index)), -length(index)))[:count]
    worst = sorted(indices, key=lambda index: (*quality(index), -length(index)))
    worst = [index for index in worst if index not in best][:count]
    shuffled = list(indices)
    random.Random(EXAMPLES_SEED).shuffle(shuffled)
    rest = [index for index in shuffled if index not in best and index not in worst][: 2 * count]
    return {"Worst sentences": worst, "Random sentences": sorted(rest), "Best sentences": best}


def _examples(report: Report) -> list[Section]:
    evaluation = report.evaluation
    sections = []
    chosen = choose_examples(evaluation)
    if report.sureness is not None:
        chosen = {"Sentences the model is least sure of": least_sure(report.sureness), **chosen}
    hint = "Words are marked if the other side (hypothesis or reference) does not have them."
    for title, numbers in chosen.items():
        if numbers:
            sections.append(section(title, hint, *(_example(report, number) for number in numbers)))
    return sections


def least_sure(sureness: Sequence[float | None], count: int = 5) -> list[int]:
    """The translations with the lowest mean probability."""
    known = [(sure, index) for index, sure in enumerate(sureness) if sure is not None]
    return [index for _, index in sorted(known)[:count]]


def _example(report: Report, index: int) -> Example:
    """An example; differences are marked between the hypothesis and the first reference."""
    evaluation = report.evaluation
    score, hypothesis = evaluation.sentence_scores[index], evaluation.hypotheses[index]
    rows: list[tuple[str, list[Span]]] = []
    if evaluation.sources is not None:
        rows.append(("source", _plain(evaluation.sources[index])))
    several = len(evaluation.references) > 1
    marked, reference = differences(hypothesis, evaluation.references[0][index])
    for number, texts in enumerate(evaluation.references, start=1):
        rows.append(
            (f"reference {number}" if several else "reference", reference if number == 1 else _plain(texts[index]))
        )
    rows.append(("hypothesis", marked))
    for comparison in evaluation.comparisons:
        rows.append(("baseline", differences(comparison.hypotheses[index], evaluation.references[0][index])[0]))
    scores = f"BLEU {score.bleu:.1f}, chrF2 {score.chrf:.1f}"
    sure = report.sureness[index] if report.sureness is not None else None
    return Example(index + 1, scores if sure is None else f"{scores}, mean probability {sure:.2f}", rows)


def _plain(text: str) -> list[Span]:
    return [Span(text, False)] if text else []


def tree_section(tree: SearchTree) -> Section:
    """The search tree of one sentence, and how many hypotheses there were."""
    texts = []
    for node, piece in zip(tree.nodes, tree.pieces, strict=True):
        text = "end" if node.token == END else piece
        probability = f"{100 * math.exp(node.log_prob):.0f}"
        score = "" if node.score is None else f" score {node.score:.2f}"
        title = f"{text}: log-probability {node.log_prob:.3f}, of the hypothesis {node.total:.3f}; {node.fate}{score}"
        texts.append((text, f"{probability}{score}", title))
    fates = [node.fate for node in tree.nodes]
    rows = [
        ["finished", f"{sum(node.score is not None for node in tree.nodes)}"],
        ["steps", f"{max((node.step for node in tree.nodes), default=0)}"],
        ["pieces of finished hypotheses", f"{fates.count('best') + fates.count('finished')}"],
        ["pruned pieces", f"{fates.count('pruned')}"],
    ]
    return section(
        "Search tree",
        f"Beam search for sentence {tree.place + 1} with beam size {tree.beam_size}. Each column is a step; the small "
        "number is a piece's probability in percent. Bold: the translation. Green: other finished hypotheses, with "
        "their scores. Plain: hypotheses that were in the beam and were pruned later. Struck out: the most probable "
        "continuations that did not enter the beam.",
        f"Source: {tree.source}",
        Figure(charts.tree_chart(f"search tree of sentence {tree.place + 1}", "▸", tree.nodes, texts), wide=True),
        Table(["hypotheses", "number"], rows, (1,)),
    )


CURVES = {
    "loss": "loss, nats per target piece",
    "bleu": "BLEU",
    "learning_rate": "learning rate",
    "gradient_norm": "norm of the gradient, before clipping",
    "target_tokens_per_second": "target tokens/s",
}
"""The values of `metrics.jsonl` that are drawn."""

MOST_POINTS = 400
"""Maximum number of points of a curve; of a longer curve only every n-th point is drawn."""


def _curves(report: Report, commands: Commands) -> Section | None:
    curves = report.curves
    if curves is None or not any(curves.values()):
        return None
    blocks: list[Block] = []
    for key, label in CURVES.items():
        series = []
        for name, records in curves.items():
            points = [(record["update"], record[key]) for record in records if isinstance(record.get(key), int | float)]
            points = points[:: -(-len(points) // MOST_POINTS) or 1]
            if points:
                series.append(Series(name, [y for _, y in points], [x for x, _ in points]))
        if series:
            blocks.append(Figure(charts.line_chart(label, series, "updates", label, from_zero=key != "loss")))
    names = [name for name in ("loss", "perplexity", "bleu") if any(name in record for record in curves["validation"])]
    if curves["validation"]:
        rows = [
            [
                f"{record.get('epoch', '')}", f"{record['update']:,}", f"{record.get('seconds', 0) / 60:.1f}",
                *(_number(record.get(name)) for name in names), "best so far" if record.get("best") else "",
            ]
            for record in curves["validation"]
        ]  # fmt: skip
        head = ["epoch", "update", "minutes", *(f"validation {name}" for name in names), ""]
        blocks.append(Table(head, rows, range(3 + len(names))))
    return section("Training", *blocks, command=commands.training)


def _number(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, int | float) else ""


def _settings(evaluation: Evaluation) -> Section | None:
    if not evaluation.settings:
        return None
    rows = [[str(name), setting_text(value)] for name, value in evaluation.settings.items()]
    return section("Settings", Table(["setting", "value"], rows))


def setting_text(value: object) -> str:
    """A setting in readable form."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "none"}[value]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value))
    return str(value)
