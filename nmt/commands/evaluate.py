"""`nmt evaluate`: scores of a model, or of the output of another system."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmt.commands.decoding_options import add_decoding_options, decoding_options
from nmt.commands.options import ANY_MODEL, REPEATED, Parser, add_machine_options, positive
from nmt.commands.streams import print_lines, say
from nmt.config import OPTIONS
from nmt.errors import UserError

if TYPE_CHECKING:
    from nmt.config import DataConfig
    from nmt.model_folder import ModelFolder
    from nmt.scores.evaluation import Evaluation
    from nmt.scores.significance import PartScorer
    from nmt.translation.translator import Translation


TEXT = (
    "Score a model, or the output of another system, with BLEU, chrF and TER. "
    "A language model is scored with perplexity and bits per character, "
    "a model that predicts labels with accuracy, F1 and the confusion matrix, "
    "and one that predicts numbers with R squared and RMSE."
)
EXAMPLE = "nmt evaluate runs/captions --split test --report runs/captions/report"
ENGINE_OF = "engine of "  # what begins the name of the setting with a baseline's engine


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("models", metavar="MODEL", nargs="*", help=f"{ANY_MODEL}; several form an ensemble")
    add("--split", help="split of the model's data: train, validation, or test (default: test)")
    add(
        "--set",
        **REPEATED,
        metavar="data.KEY=VALUE",
        help="change the settings that say where the data are, to use other data",
    )
    add("--source", metavar="FILE", help="source text, one sentence per line; any text for a language model")
    add("--reference", metavar="FILE", action="append", help="reference; repeat for several")
    add("--hypothesis", metavar="FILE", help="score this translation instead of the model's")
    add("--target-language", metavar="CODE", help="selects the tokeniser of BLEU (default: the model's target)")
    add("--tokenizer", help="tokeniser of sacrebleu for BLEU (default: by target language)")
    add(
        "--baseline",
        **REPEATED,
        metavar="FILE|MODEL",
        help="compare with the translation of another system, or with a model, searched with the same options; can be "
        "repeated",
    )
    add("--report", metavar="DIR", help="folder for report.html, report.md and report.json")
    add("--tree", type=positive, metavar="N", help="number of the sentence whose beam search the report draws")
    add(
        "--calibrate",
        action="store_true",
        help="fit the model's confidence to the scores, and write it into its folder",
    )
    add_decoding_options(parser)
    add_machine_options(parser)
    assert isinstance(parser, Parser)
    parser.intermixed = True


def run(options: argparse.Namespace) -> None:
    if not options.models:
        check_evaluate_options(options)
    from nmt.config import data_with
    from nmt.model_folder import open_model, open_models
    from nmt.report import describe
    from nmt.report.curves import find_metrics
    from nmt.scores.evaluation import evaluate_translations
    from nmt.scores.significance import PartScorer, compare_systems
    from nmt.scores.tokenizers import script_language
    from nmt.translation.translator import Translator

    opened = [open_model(options.models[0])] if len(options.models) == 1 else options.models
    if len(options.models) == 1 and opened[0].config.task != "translation":
        evaluate_other = evaluate_text if opened[0].config.kind.source == "none" else evaluate_labels
        evaluate_other(options, opened[0])
        return
    check_evaluate_options(options)
    overrides = decoding_options(options)
    folders, language_model = open_models(opened, options.language_model) if opened else ([], None)
    data = data_with(folders[0].config, options.set) if folders else None
    target_language = options.target_language or (data.languages[1] if data else None)
    given = {"model": ", ".join(options.models), "language_model": options.language_model}
    settings: dict[str, Any] = {"command": options.command_line, **{name: one for name, one in given.items() if one}}
    sources, references, hypotheses = read_set(options, data, settings)
    count = len(references[0])
    if target_language is None and script_language(references[0]) is None:
        raise UserError("--hypothesis without a MODEL needs --target-language, which chooses BLEU's tokeniser")
    if options.tree is not None and options.tree > count:
        raise UserError(f"--tree must be at most {count}, the sentences of the set, but is {options.tree} instead")
    baselines = read_baselines(options, sources, count, settings, overrides)
    translator = translations = None
    if sources is not None and hypotheses is None:
        translator = Translator.of(folders, language_model, device=options.device, threads=options.threads)
        settings.update(vars(translator.decoding_with(**overrides)), engine=translator.engine.description)
        if options.language_model is None:
            del settings["language_model_weight"]
        translations = translator.translate(sources, **overrides)
        hypotheses = [translation.text for translation in translations]
    assert hypotheses is not None
    scoring = {"target_language": target_language or "", "tokenizer": options.tokenizer}
    evaluation = evaluate_translations(hypotheses, references, sources=sources, **scoring)
    evaluation.settings, evaluation.notes = settings, evaluation.notes + engine_notes(settings)
    evaluation.comparisons = [
        compare_systems(name, hypotheses, texts, references, **scoring) for name, texts in baselines.items()
    ]
    if translator is not None and len(folders) == 1 and not language_model and os.path.exists(options.models[0]):
        from nmt.report.card import write_results

        write_results(folders[0].path, evaluation, say)
    if options.calibrate:
        assert translations is not None
        calibrate(folders[0], translations, [score.chrf for score in evaluation.sentence_scores])
    if options.report:
        scorer = PartScorer(hypotheses, references, **scoring)
        metrics = find_metrics(folders[0].path) if len(folders) == 1 else None
        model: dict[str, Any] = {"translator": translator, "translations": translations, "overrides": overrides}
        make_report(options, evaluation, scorer, metrics, data=data, **model)
    print_lines([describe(evaluation)])


def engine_notes(settings: dict[str, Any]) -> list[str]:
    """Says if the model was scored with an export, or with another engine than a baseline."""
    own = settings.get("engine")
    if own is None:  # given translations were scored
        return []
    others = {name[len(ENGINE_OF) :]: one for name, one in settings.items() if name.startswith(ENGINE_OF)}
    if any(one != own for one in others.values()):
        described = "; ".join(f"`{name}` with {one}" for name, one in others.items())
        return [f"the model was scored with {own}, but {described}"]
    return [f"scored with the model's {own}"] if own.startswith("export") else []


def make_report(
    options: argparse.Namespace, evaluation: Evaluation, scorer: PartScorer, metrics: Path | None, **model: Any
) -> None:
    """Write the report.

    metrics: the training records of the model, if it is in its run folder
    model: what else `nmt.report.contents.gather` takes
    """
    from nmt.report import Commands, write_report
    from nmt.report.contents import gather

    place = None if options.tree is None else options.tree - 1
    report = gather(evaluation, scorer, metrics=metrics, place=place, **model)
    training = shlex.join(["nmt", "train", str(metrics.parent / "config.toml")]) if metrics else ""
    write_report(report, Path(options.report), Commands(options.command_line, training))
    say(f"report in `{options.report}`")


def check_evaluate_options(options: argparse.Namespace) -> None:
    """Whether the options of `nmt evaluate` go together, before anything is read; raises UserError."""
    if not options.models and (options.hypothesis is None or options.reference is None):
        raise UserError("evaluate needs a MODEL, or --hypothesis with --reference")
    if options.split is not None and (options.source or options.reference):
        raise UserError("--split and --source/--reference exclude each other")
    if options.source and not options.reference:
        raise UserError("--source needs --reference")
    if options.reference and not options.source and options.hypothesis is None:
        raise UserError("--reference needs --source, or the translation as --hypothesis")
    if options.set and options.reference:
        raise UserError("--set changes the model's data and excludes --reference")
    if options.hypothesis and (decoding_options(options) or options.language_model):
        raise UserError("search options have no effect with --hypothesis")
    if options.hypothesis and len(options.models) > 1:
        raise UserError("--hypothesis takes the place of the model's translation; name one MODEL at most")
    if options.calibrate and (len(options.models) != 1 or options.hypothesis or options.language_model):
        raise UserError("--calibrate needs a single MODEL that translates, without --hypothesis and --language-model")
    if options.calibrate and (options.method == "sampling" or options.minimum_bayes_risk not in (None, "none")):
        raise UserError(
            "--calibrate needs the translations of beam search; leave out --method and --minimum-bayes-risk"
        )
    if options.tree is not None and (options.report is None or options.hypothesis):
        raise UserError("--tree chooses the sentence whose beam search --report draws, of a MODEL's own translations")


def calibrate(folder: ModelFolder, translations: Sequence[Translation], chrf: Sequence[float]) -> None:
    """Fit a model's confidence to its translations and their chrF2, and write it into its folder."""
    from nmt.model_folder import CONFIDENCE, write_confidence
    from nmt.scores.confidence import GOOD, LEAST, fit_confidence

    found = fit_confidence([translation.token_log_probs for translation in translations], chrf)
    if found is None:
        raise UserError(f"--calibrate needs at least {LEAST} sentences, but the set has {len(translations)}")
    try:
        write_confidence(folder.path, found)
    except OSError as error:
        raise UserError(f"`{folder.path / CONFIDENCE}` cannot be written: {error.strerror}") from None
    say(
        f"confidence in `{folder.path / CONFIDENCE}`: fitted to {found.sentences:,} translations, of which "
        f"{found.good:.0%} are good (chrF2 of at least {GOOD:.0f}); calibration error {found.error:.3f}, each half "
        "judged by the other"
    )


def read_set(
    options: argparse.Namespace, data: DataConfig | None, settings: dict[str, Any]
) -> tuple[list[str] | None, list[list[str]], list[str] | None]:
    """Sources, references and hypotheses of `nmt evaluate`, None if not given; their names go into `settings`."""
    from nmt.text.reading import read_lines, read_parallel

    if options.hypothesis:
        settings["hypotheses"] = options.hypothesis
    if options.reference:
        names = [options.source] if options.source else []
        names += options.reference + ([options.hypothesis] if options.hypothesis else [])
        sides = read_parallel([Path(name) for name in names])
        if options.source:
            settings["source"] = options.source
        settings["reference"] = options.reference
        sources = sides.pop(0) if options.source else None
        hypotheses = sides.pop() if options.hypothesis else None
        return sources, sides, hypotheses
    from nmt.data.corpus import load_pairs

    assert data is not None
    split = options.split or "test"
    settings["data"] = f"{data.path}, split {split}"
    pairs = load_pairs(data, split)
    hypotheses = read_lines(Path(options.hypothesis)) if options.hypothesis else None
    return list(pairs["source"]), [list(pairs["target"])], hypotheses


def read_baselines(
    options: argparse.Namespace,
    sources: list[str] | None,
    count: int,
    settings: dict[str, Any],
    overrides: dict[str, Any],
) -> dict[str, list[str]]:
    """The translations of the baseline systems, from files or models; the models' engines go into `settings`."""
    from nmt.text.reading import read_lines
    from nmt.translation.translator import Translator

    baselines = {}
    for name in options.baseline:
        if Path(name).is_file():
            baselines[name] = read_lines(Path(name))
        elif sources is None:
            raise UserError(f"--baseline `{name}` is not a file; a model needs the source to translate: give --source")
        else:
            translator = Translator.load(name, device=options.device, threads=options.threads)
            baselines[name] = [translation.text for translation in translator.translate(sources, **overrides)]
            settings[ENGINE_OF + name] = translator.engine.description
        if len(baselines[name]) != count:
            raise UserError(f"--baseline `{name}` has {len(baselines[name])} lines, but the set has {count} sentences")
    return baselines


def refuse_options(options: argparse.Namespace, folder: ModelFolder, *more: str) -> None:
    """Raises UserError for an option that only translations have, and for others that this model cannot use."""
    names = ("reference", "hypothesis", "target_language", "tokenizer", "baseline", "tree", "calibrate")
    for name in (*names, "language_model", *OPTIONS, *more):
        if getattr(options, name) not in (None, [], False):
            option, kind = name.replace("_", "-"), folder.config.kind.title
            raise UserError(f"--{option} is for translations, but `{folder.path}` is a {kind}")


def evaluate_labels(options: argparse.Namespace, folder: ModelFolder) -> None:
    """`nmt evaluate` for a model that predicts labels, numbers or captions: its scores on a split of its data."""
    refuse_options(options, folder, "source")
    from nmt.config import data_with
    from nmt.data.examples import read_texts
    from nmt.prediction.predictor import Predictor

    data, split = data_with(folder.config, options.set), options.split or "test"
    texts = read_texts(data, split, folder.config.side_kinds)
    predictions = Predictor.load(folder, device=options.device, threads=options.threads).predict(texts.sources)
    scores = folder.config.kind.load_task().evaluate(folder, texts, predictions)
    if options.report and folder.config.kind.target not in ("label", "labels"):
        raise UserError(f"--report shows labels, but `{folder.path}` is a {folder.config.kind.title}; leave it out")
    if options.report:
        from nmt.report.labels import write_label_report

        write_label_report(options, folder, f"{texts.where}: {texts}", scores, texts, predictions)
        say(f"report in `{options.report}`")
    print_lines([f"{texts.where}: {texts}", *scores.describe()])


def evaluate_text(options: argparse.Namespace, folder: ModelFolder) -> None:
    """`nmt evaluate` for a language model: its perplexity on a split of its data or on a file."""
    refuse_options(options, folder, "report")
    if options.source and (options.split is not None or options.set):
        raise UserError("--source excludes --split and --set, which choose from the model's data")
    from nmt.config import DataConfig, data_with
    from nmt.data.corpus import prepare_text
    from nmt.data.text_streams import score_text
    from nmt.network.language_model import LanguageModel
    from nmt.network.torch_engine import load_engine
    from nmt.scores.perplexity import perplexity_text
    from nmt.tasks.language_model import count_characters, text_of

    if options.source:
        data, split = DataConfig(path="text", files={"test": options.source}, target=folder.config.data.target), "test"
    else:
        data, split = data_with(folder.config, options.set), options.split or "test"
    corpus = prepare_text(data, split, folder.target_vocabulary)
    engine = load_engine(folder, device=options.device, threads=options.threads)
    assert isinstance(engine.model, LanguageModel)
    score = score_text(engine.model, text_of(corpus), count_characters(corpus))
    perplexity = perplexity_text(score.loss, 3)
    print(f"perplexity per piece  {perplexity}  ({score.pieces:,} pieces, with an end for each line)")
    print(f"bits per character    {score.bits_per_character:.4f}  ({score.characters:,} characters, with line ends)")
