"""`nmt rerank`: order an n-best list by several scores."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from nmt.commands.options import add_machine_options, finite
from nmt.commands.streams import print_lines, standard_output
from nmt.errors import UserError

TEXT = "Reorder an n-best list, as `translate --n-best` writes it, by a weighted sum of scores."
EXAMPLE = "nmt rerank runs/de-en --source test.de --n-best test.nbest --reverse-model runs/en-de --reverse-weight 0.5"


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("models", metavar="MODEL", nargs="*", help="translation models, each of which scores the candidates")
    add("--source", required=True, metavar="FILE", help="source text, one sentence per line")
    add("--n-best", required=True, metavar="FILE", help="n-best list, as `translate --n-best` writes it")
    add("--weights", type=finite, nargs="+", metavar="W", help="weight of each MODEL (default 1)")
    add("--reverse-model", metavar="MODEL", help="model of the opposite direction")
    add("--reverse-weight", type=finite, default=1.0, metavar="W", help="weight of its score (default 1)")
    add("--language-model", metavar="MODEL", help="language model of the target side")
    add("--language-model-weight", type=finite, default=1.0, metavar="W", help="weight of its score (default 1)")
    add("--list-weight", type=finite, default=0.0, metavar="W", help="weight of the scores in the list (default 0)")
    add("--length-weight", type=finite, default=0.0, metavar="W", help="bonus for each piece (default 0)")
    add("--best", action="store_true", help="print only the best translation of each line")
    add_machine_options(parser)


def run(options: argparse.Namespace) -> None:
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
    """Raises UserError if the reverse model has the same direction as the models."""
    from nmt.model_folder import open_model

    data = open_model(reverse_model).config.data
    for name in models:
        own = open_model(name).config.data
        if own.source != own.target and (own.source, own.target) == (data.source, data.target):
            raise UserError(
                f"--reverse-model `{reverse_model}` must translate the other way round, but goes from {data.source} to "
                f"{data.target} as `{name}` does"
            )
