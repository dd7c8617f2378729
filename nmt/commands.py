"""The commands: what each does with the options that `nmt.cli` has read.

torch and datasets are imported inside the commands that need them only, so that `translate` starts at once.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import os
import shlex
import stat
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from nmt.errors import UserError

if TYPE_CHECKING:
    from nmt.config import DataConfig
    from nmt.inspection.pages import Inspection
    from nmt.model_folder import ModelFolder
    from nmt.translation.translator import Translator


def say(line: str) -> None:
    """A message to the person at the terminal, if there is one: where none can be written, the work goes on."""
    if sys.stderr is not None:  # print would take None for standard output
        with contextlib.suppress(OSError):
            print(line, file=sys.stderr, flush=True)


def standard_output() -> BinaryIO:
    """Where results go; raises UserError when it is closed."""
    if sys.stdout is None:
        raise UserError("standard output is closed, and there is nowhere else to write to")
    return sys.stdout.buffer


DECODING = (
    *("method", "beam_size", "length_penalty", "alpha", "coverage_penalty", "brevity_penalty", "brevity_ratio"),
    *("min_length", "max_length_factor", "max_length_offset", "no_repeat_ngram", "groups", "diversity"),
    *("replace_unknown", "temperature", "top_k", "top_p", "seed", "minimum_bayes_risk", "samples"),
    *("batch_size", "batch_tokens", "language_model_weight"),
)


def decoding_options(options: argparse.Namespace) -> dict[str, Any]:
    """The search options that were given."""
    if options.language_model_weight is not None and options.language_model is None:
        raise UserError("--language-model-weight needs --language-model")
    given = {name: getattr(options, name, None) for name in DECODING}  # some commands take not all of them
    return {name: value for name, value in given.items() if value is not None}


def open_file(path: str, mode: str) -> BinaryIO:
    """Open a file the user named; raises UserError when that fails."""
    try:
        return cast(BinaryIO, open(path, mode))
    except OSError as error:
        raise UserError(f"`{path}` cannot be {'read' if mode == 'rb' else 'written'}: {error.strerror}") from None


def vocab(options: argparse.Namespace) -> None:
    """`nmt vocab`."""
    from nmt.config import load_config

    config = load_config(options.config, options.set)
    from nmt.model_folder import vocabulary_files, write_atomically
    from nmt.tasks.tasks import make_vocabularies

    folder = Path(options.output or Path("vocab") / Path(options.config).stem)
    made = make_vocabularies(config, say)
    folder.mkdir(parents=True, exist_ok=True)
    for name, vocabulary in zip(vocabulary_files(config), made, strict=False):
        write_atomically(folder / name, vocabulary.model)
        say(f"{folder / name}: {len(vocabulary)} pieces")


def train(options: argparse.Namespace) -> None:
    """`nmt train`."""
    from nmt.config import load_config
    from nmt.model_folder import open_model

    config = load_config(options.config, options.set)
    output = Path(options.output or Path("runs") / Path(options.config).stem)
    from nmt.training import loop as training

    if options.export:
        from nmt.export.exporter import export_model, require_onnx

        require_onnx()  # better now than after hours of training
    best = training.train(
        config,
        output,
        resume=options.resume,
        overwrite=options.overwrite,
        device=options.device,
        threads=options.threads,
        say=say,
    )
    if options.export:
        integers = options.export == "int8"
        export_model(open_model(best), integers=integers, data=config.data, threads=options.threads, say=say)


def average(options: argparse.Namespace) -> None:
    """`nmt average`."""
    from nmt.training.averaging import average_models

    folder = average_models(options.models, Path(options.output))
    say(f"mean of {len(options.models)} models in `{folder.path}`")


def diversify(options: argparse.Namespace) -> None:
    """`nmt diversify`."""
    from nmt.config import load_config

    config = load_config(options.config, options.set)
    from nmt.training import diversification

    diversification.diversify(
        config, Path(options.output), options.models, device=options.device, threads=options.threads, say=say
    )


def export(options: argparse.Namespace) -> None:
    """`nmt export`."""
    if options.small and not options.int8:
        raise UserError("`--small` is for exports in 8 bits; give `--int8` as well")
    from nmt.model_folder import open_model

    folder = open_model(options.model)
    from nmt.config import data_with
    from nmt.export.exporter import export_model

    data = data_with(folder.config, options.set)
    shortlist_data = None if options.no_shortlist else data
    export_model(
        folder, integers=options.int8, small=options.small, data=shortlist_data, threads=options.threads, say=say
    )


def load_translator(options: argparse.Namespace) -> Translator:
    """The model or models of `translate` and `nmt score`, and the language model beside them."""
    from nmt.translation.translator import Translator

    return Translator.load(
        options.models, language_model=options.language_model, device=options.device, threads=options.threads
    )


def inspect(options: argparse.Namespace) -> None:
    """`nmt inspect`."""
    from nmt.inspection import pages

    pages.require_matplotlib()
    inspection = bottleneck(options) if options.what == "bottleneck" else look(options)
    pages.write(inspection, Path(options.output), options.command_line, say)
    print_lines(inspection.summary)


def bottleneck(options: argparse.Namespace) -> Inspection:
    """`nmt inspect bottleneck`: the one that trains."""
    from nmt.config import load_config
    from nmt.inspection import bottleneck

    if options.config is None and options.set:
        raise UserError("--set changes a CONFIG, but none is given")
    if options.config is not None and options.lengths is not None:
        raise UserError("--lengths is for the probe task and excludes a CONFIG")
    config = None if options.config is None else load_config(options.config, options.set)
    lengths = options.lengths or bottleneck.LENGTHS
    return bottleneck.inspect(config, options.task, lengths, options.epochs, options.threads, say)


def look(options: argparse.Namespace) -> Inspection:
    """Every other `nmt inspect`: a model, or fresh cells."""
    from nmt.inspection import attention, context, embeddings, gates, gradient_flow, search
    from nmt.inspection.watching import Choice, open_subject

    rate_and_clip = {}
    if options.what == "gradient-flow":
        rate_and_clip = {"learning_rate": options.learning_rate, "clip_norm": options.clip_norm}
        if options.model is None:
            return gradient_flow.inspect_fresh(
                options.cells.split(","),
                options.initialization.split(","),
                layers=options.layers,
                hidden_size=options.hidden_size,
                length=options.length or 60,
                seed=options.seed,
                **rate_and_clip,
            )
    wanted = options.what in ("context", "attention", "search")
    subject = open_subject(options.model, options.threads, translation=wanted)
    if options.what == "embeddings":
        pieces = [piece for piece in options.pieces.split(",") if piece]
        return embeddings.inspect(subject, options.side, pieces, options.count, options.projection)
    choice = Choice(options.sentences, options.sentence, options.source, options.target, options.split, options.set)
    if options.what == "gradient-flow":
        return gradient_flow.inspect_trained(subject, choice, longest=options.length or 30, **rate_and_clip)
    if options.what == "gates":
        return gates.inspect(subject, choice, options.layer, options.unit)
    if options.what == "context":
        return context.inspect(subject, choice, options.projection)
    if options.what == "attention":
        return attention.inspect(subject, choice, options.beam_size, options.gold)
    return search.inspect(subject, choice, options.beam_sizes, say)


def evaluate(options: argparse.Namespace) -> None:
    """`nmt evaluate`."""
    if not options.models:
        check_evaluate_options(options)
    from nmt.config import data_with
    from nmt.model_folder import open_model, open_models
    from nmt.report import Commands, describe, write_report
    from nmt.scores.comet import load_comet
    from nmt.scores.evaluation import PartScorer, compare_systems, evaluate_translations
    from nmt.translation.translator import Translator

    opened = [open_model(options.models[0])] if len(options.models) == 1 else options.models
    if len(options.models) == 1 and opened[0].config.task == "language_model":
        evaluate_text(options, opened[0])
        return
    check_evaluate_options(options)
    overrides = decoding_options(options)
    folders, beside = open_models(opened, options.language_model) if opened else ([], None)
    data = data_with(folders[0].config, options.set) if folders else None
    target_language = options.target_language or (data.target if data else None)
    if target_language is None:
        raise UserError("--hypothesis without a MODEL needs --target-language, which chooses BLEU's tokeniser")
    settings: dict[str, Any] = {"command": options.command_line}
    if options.models:
        settings["model"] = ", ".join(options.models)
        if options.language_model:
            settings["language_model"] = options.language_model
    sources, references, hypotheses = read_set(options, data, settings)
    count = len(references[0])
    if options.tree is not None and options.tree > count:
        raise UserError(f"--tree must be at most {count}, the sentences of the set, but is {options.tree} instead")
    comet = load_comet(Path(options.comet)) if options.comet else None
    baselines = read_baselines(options, sources, count)
    translator = translations = None
    if hypotheses is None:
        assert sources is not None
        translator = Translator.of(folders, beside, device=options.device, threads=options.threads)
        settings.update(vars(translator.decoding_with(**overrides)))
        if options.language_model is None:
            del settings["language_model_weight"]
        translations = translator.translate(sources, **overrides)
        hypotheses = [translation.text for translation in translations]
    else:
        settings["hypotheses"] = options.hypothesis
    scoring = {"target_language": target_language, "tokenizer": options.tokenizer}
    evaluation = evaluate_translations(hypotheses, references, sources=sources, **scoring)
    evaluation.settings = settings
    if comet is not None:
        assert sources is not None
        evaluation.scores.append(comet.score(sources, hypotheses, references[0]))
    evaluation.comparisons = [
        compare_systems(name, hypotheses, texts, references, **scoring) for name, texts in baselines.items()
    ]
    if translator is not None and len(folders) == 1 and beside is None and os.path.exists(options.models[0]):
        from nmt.report.card import write_results

        write_results(folders[0].path, evaluation, say)
    if not options.report:
        print_lines([describe(evaluation)])
        return
    from nmt.report.contents import gather
    from nmt.report.curves import find_metrics

    metrics = find_metrics(folders[0].path) if len(folders) == 1 else None
    training = shlex.join(["nmt", "train", str(metrics.parent / "config.toml")]) if metrics else ""
    report = gather(
        evaluation,
        PartScorer(hypotheses, references, **scoring),
        data=data,
        metrics=metrics,
        translator=translator,
        translations=translations,
        place=None if options.tree is None else options.tree - 1,
        overrides=overrides,
    )
    write_report(report, Path(options.report), Commands(options.command_line, training))
    say(f"report in `{options.report}`")
    print_lines([describe(evaluation)])


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
    if options.tree is not None and (options.report is None or options.hypothesis):
        raise UserError("--tree chooses the sentence whose beam search --report draws, of a MODEL's own translations")
    if options.comet and options.reference and not options.source:
        raise UserError("--comet needs the source as well: give --source")


def read_set(
    options: argparse.Namespace, data: DataConfig | None, settings: dict[str, Any]
) -> tuple[list[str] | None, list[list[str]], list[str] | None]:
    """Sources, references and hypotheses of `nmt evaluate`, as far as given; `settings` gets their names."""
    from nmt.text.reading import read_lines, read_parallel

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


def read_baselines(options: argparse.Namespace, sources: list[str] | None, count: int) -> dict[str, list[str]]:
    """The translations of the systems to compare with: files are read, models translate."""
    from nmt.text.reading import read_lines
    from nmt.translation.translator import Translator

    baselines = {}
    for name in options.baseline:
        if Path(name).is_file():
            baselines[name] = read_lines(Path(name))
        elif sources is None:
            raise UserError(f"--baseline `{name}` is no file; a model needs the source to translate: give --source")
        else:
            translator = Translator.load(name, device=options.device, threads=options.threads)
            baselines[name] = [translation.text for translation in translator.translate(sources)]
        if len(baselines[name]) != count:
            raise UserError(f"--baseline `{name}` has {len(baselines[name])} lines, but the set has {count} sentences")
    return baselines


def evaluate_text(options: argparse.Namespace, folder: ModelFolder) -> None:
    """`nmt evaluate` of a language model: how well it predicts a split of its data, or a file."""
    names = ("reference", "hypothesis", "target_language", "tokenizer", "baseline", "comet", "report", "tree")
    for name in (*names, "language_model", *DECODING):
        if getattr(options, name) not in (None, []):
            raise UserError(f"--{name.replace('_', '-')} is for translations, but `{folder.path}` is a language model")
    if options.source and (options.split is not None or options.set):
        raise UserError("--source excludes --split and --set, which choose from the model's data")
    from nmt.config import DataConfig, data_with
    from nmt.data.corpus import prepare_text
    from nmt.data.text_streams import score_text
    from nmt.network.language_model import LanguageModel
    from nmt.network.torch_engine import load_engine
    from nmt.tasks.tasks import count_characters, text_of

    if options.source:
        data, split = DataConfig(path="text", files={"test": options.source}, target=folder.config.data.target), "test"
    else:
        data, split = data_with(folder.config, options.set), options.split or "test"
    corpus = prepare_text(data, split, folder.target_vocabulary)
    engine = load_engine(folder, device=options.device, threads=options.threads)
    assert isinstance(engine.model, LanguageModel)
    score = score_text(engine.model, text_of(corpus), count_characters(corpus))
    print(f"perplexity per piece  {score.perplexity:.3f}  ({score.pieces:,} pieces, with an end for each line)")
    print(f"bits per character    {score.bits_per_character:.4f}  ({score.characters:,} characters, likewise)")


def sample(options: argparse.Namespace) -> None:
    """`nmt sample`."""
    from nmt.model_folder import open_model
    from nmt.search.sampling import SamplingSettings, sample_text

    settings = SamplingSettings(options.temperature, options.top_k, options.top_p, options.max_length)
    folder = open_model(options.model)
    if folder.config.task != "language_model":
        raise UserError(
            f"`{options.model}` is a translation model; `nmt sample` needs a language model, "
            "and `translate --method sampling` draws translations"
        )
    from nmt.translation.onnx_engine import load_engine

    engine = load_engine(folder, device=options.device, threads=options.threads)
    drawn = sample_text(engine, folder.target_vocabulary, options.prompt, options.lines, settings, options.seed)
    print_lines(drawn)


def translate(options: argparse.Namespace) -> None:
    """`translate`, `nmt translate`."""
    from nmt.translation.line_stream import translate_stream

    if (options.input is None and sys.stdin is None) or (options.output is None and sys.stdout is None):
        raise UserError("standard input or output is closed; use --input and --output")
    with contextlib.ExitStack() as files:
        source = files.enter_context(open_file(options.input, "rb")) if options.input else sys.stdin.buffer
        for read in filter(None, (source, options.required, options.forbidden)):
            if options.output and is_file(options.output, read):
                what = "the input" if read is source else "the file of phrases"
                raise UserError(f"--output `{options.output}` is {what}; choose another file")
        if options.input and options.input.endswith(".gz"):
            source = cast(BinaryIO, files.enter_context(gzip.open(source)))
        interactive = options.input is None and sys.stdin.isatty()
        overrides = decoding_options(options)
        translator = load_translator(options)
        settings: dict[str, Any] = {
            "n_best": options.n_best,
            "json": options.json,
            "json_input": options.json_input,
            "alignments": options.alignments,
            "attention_weights": options.attention,
            "prefix": options.prefix,
            "required": read_phrases(options.required),
            "forbidden": read_phrases(options.forbidden),
            "split_sentences": options.split_sentences,
            "interactive": interactive,
            "warn": lambda line: say(f"translate: {line}"),
            **overrides,
        }
        translate_stream(
            translator, io.BytesIO(), io.BytesIO(), **settings
        )  # mistakes first: the output stays as it is
        if interactive:
            say("type a sentence and press Enter; Ctrl-D ends")
        output = files.enter_context(open_file(options.output, "wb")) if options.output else sys.stdout.buffer
        translate_stream(translator, source, output, **settings)


def is_file(path: str, other: str | BinaryIO) -> bool:
    """Whether another path names the file of that path, or a stream reads it, and it is a regular one."""
    try:
        status = os.stat(other if isinstance(other, str) else other.fileno())
        return stat.S_ISREG(status.st_mode) and os.path.samestat(os.stat(path), status)
    except OSError:  # no such file, or a stream that reads none
        return False


def read_phrases(path: str | None) -> list[str]:
    """The phrases of a file, one a line."""
    if path is None:
        return []
    from nmt.text.reading import read_lines

    return [line for line in read_lines(path) if line.strip()]


def score(options: argparse.Namespace) -> None:
    """`nmt score`."""
    from nmt.text.reading import read_parallel
    from nmt.translation.line_stream import score_lines

    standard_output()
    overrides = decoding_options(options)
    sources, targets = read_parallel([options.source, options.target])
    translator = load_translator(options)
    print_lines(score_lines(translator, sources, targets, json=options.json, **overrides))


def rerank(options: argparse.Namespace) -> None:
    """`nmt rerank`."""
    from nmt.search.reranking import Feature, LanguageModelScorer, rerank_lines
    from nmt.text.reading import iterate_lines, read_lines
    from nmt.translation.translator import Translator

    standard_output()
    weights = options.weights or [1.0] * len(options.models)
    if len(weights) != len(options.models):
        raise UserError(f"--weights must be one for each MODEL ({len(options.models)}), but are {len(weights)}")
    if not (options.models or options.reverse_model or options.language_model or options.list_weight):
        raise UserError("there is nothing to rank by; give a MODEL, --reverse-model, --language-model or --list-weight")
    if options.length_weight and not (options.models or options.reverse_model or options.language_model):
        raise UserError("--length-weight counts the pieces of a model, but there is none")
    sources = read_lines(options.source)
    machine = {"device": options.device, "threads": options.threads}
    features = [
        Feature(Translator.load(model, **machine), weight)
        for model, weight in zip(options.models, weights, strict=True)
    ]
    if options.language_model:
        from nmt.model_folder import open_model
        from nmt.translation.onnx_engine import load_engine

        folder = open_model(options.language_model)
        if folder.config.task != "language_model":
            raise UserError(
                f"--language-model `{options.language_model}` is a translation model; give a language model"
            )
        scorer = LanguageModelScorer(load_engine(folder, **machine), folder.target_vocabulary)
        features.append(Feature(scorer, options.language_model_weight))
    if options.reverse_model:
        check_reverse(options.models, options.reverse_model)
        reverse = Translator.load(options.reverse_model, **machine)
        features.append(Feature(reverse, options.reverse_weight, reverse=True))
    print_lines(
        rerank_lines(
            sources,
            iterate_lines(options.n_best),
            features,
            list_weight=options.list_weight,
            length_weight=options.length_weight,
            best=options.best,
        )
    )


def check_reverse(models: Sequence[str], reverse_model: str) -> None:
    """Raises UserError when the model of the other direction has the direction of the models."""
    from nmt.model_folder import open_model

    data = open_model(reverse_model).config.data
    for name in models:
        own = open_model(name).config.data
        if own.source != own.target and (own.source, own.target) == (data.source, data.target):
            raise UserError(
                f"--reverse-model `{reverse_model}` must translate the other way round, but goes from {data.source} to "
                f"{data.target} as `{name}` does"
            )


def print_lines(lines: Iterable[str]) -> None:
    """Write lines to standard output, in UTF-8 whatever the terminal."""
    output = standard_output()
    for line in lines:
        output.write(f"{line}\n".encode())
    output.flush()
