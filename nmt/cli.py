"""The command line: translates arguments into calls, and mistakes into one line and an exit status.

Exit status 0 success, 1 the work failed, 2 wrong usage or input. Results go to standard output, everything else to
standard error. torch and datasets are imported inside the commands that need them only.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn, cast

from nmt import __version__
from nmt.errors import TrainingError, UserError

if TYPE_CHECKING:
    from nmt.config import Config, DataConfig
    from nmt.model_folder import ModelFolder
    from nmt.translation import Translator


def say(line: str) -> None:
    """A message to the person at the terminal."""
    print(line, file=sys.stderr, flush=True)


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where the options are listed."""
        say(f"{self.prog}: error: {message} (see `{self.prog} --help`)")
        raise SystemExit(2)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command `nmt`."""
    return run(make_parser(), arguments)


def translate_main(arguments: Sequence[str] | None = None) -> int:
    """The command `translate`: `nmt translate` under a name of its own."""
    parser = Parser(prog="translate", **DESCRIPTIONS["translate"])
    add_translate_options(parser)
    return run(parser, arguments)


def run(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> int:
    """Parse and run; every mistake becomes one line and an exit status."""
    options = parser.parse_args(arguments)
    try:
        options.command(options)
    except UserError as error:
        say(f"{parser.prog}: error: {error}")
        return 2
    except TrainingError as error:
        say(f"{parser.prog}: {error}")
        return 1
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "nmt":
            raise
        say(f"{parser.prog}: error: this needs `{error.name}`: pip install 'recurrent-nmt[train]'")
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        say(f"{parser.prog}: interrupted")
        return 1
    except OSError as error:
        say(f"{parser.prog}: error: {error.filename or 'input or output'}: {error.strerror or error}")
        return 1
    return 0


def _example(text: str, example: str) -> dict[str, Any]:
    return {
        "description": text,
        "epilog": f"example:\n  {example}",
        "formatter_class": argparse.RawDescriptionHelpFormatter,
        "allow_abbrev": False,
    }


DESCRIPTIONS = {
    "vocab": _example(
        "Learn the SentencePiece model(s) of a configuration and write them to a folder.",
        "nmt vocab configs/multi30k-de-en.toml --output vocab/multi30k-de-en",
    ),
    "train": _example(
        "Train a model. `train` learns the vocabulary itself when the configuration names none.",
        "nmt train configs/captions-de-en.toml --set training.epochs=4 --output runs/captions",
    ),
    "evaluate": _example(
        "Score a model, or the output of another system, with BLEU, chrF and TER. "
        "A language model is scored with perplexity and bits per character.",
        "nmt evaluate runs/captions --split test --report runs/captions/report",
    ),
    "average": _example(
        "Write the mean of several models' weights, such as the last checkpoints of a run, as a model folder.",
        "nmt average runs/captions/checkpoints/* --output runs/captions/averaged",
    ),
    "sample": _example(
        "Draw lines of text from a language model.",
        'nmt sample runs/letters --prompt "A dog" --lines 5 --temperature 0.8 --top-p 0.9',
    ),
    "translate": _example(
        "Translate standard input, or a file, line by line.",
        'echo "Ein Hund schläft auf dem Sofa." | translate --model runs/captions',
    ),
}


def make_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = Parser(prog="nmt", description="Recurrent neural machine translation.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"nmt {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", parser_class=Parser)
    for name, add_options in {
        "vocab": add_vocab_options,
        "train": add_train_options,
        "evaluate": add_evaluate_options,
        "average": add_average_options,
        "sample": add_sample_options,
        "translate": add_translate_options,
    }.items():
        short = str(DESCRIPTIONS[name]["description"]).split(". ")[0].rstrip(".")
        add_options(commands.add_parser(name, help=short, **DESCRIPTIONS[name]))
    return parser


def positive(text: str) -> int:
    """A whole number from 1 on."""
    value = int(text)
    if not 1 <= value < 2**31:
        raise ValueError
    return value


positive.__name__ = "positive whole number"


def seed(text: str) -> int:
    """A whole number from 0 on."""
    value = int(text)
    if not 0 <= value < 2**63:
        raise ValueError
    return value


seed.__name__ = "whole number from 0 on"


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """A configuration file and changes to it."""
    parser.add_argument("config", metavar="CONFIG", help="configuration file (TOML)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="change a setting; can be repeated"
    )


def add_machine_options(parser: argparse.ArgumentParser) -> None:
    """Where to compute."""
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, ...")
    parser.add_argument("--threads", type=positive, help="processor threads (default: all cores)")


def add_vocab_options(parser: argparse.ArgumentParser) -> None:
    """Options of `nmt vocab`."""
    add_config_options(parser)
    parser.add_argument("--output", metavar="DIR", help="folder to write to (default: vocab/NAME_OF_CONFIG)")
    parser.set_defaults(command=vocab)


def add_train_options(parser: argparse.ArgumentParser) -> None:
    """Options of `nmt train`."""
    add_config_options(parser)
    parser.add_argument("--output", metavar="DIR", help="run folder (default: runs/NAME_OF_CONFIG)")
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument(
        "--resume", action="store_true", help="go on with an interrupted run, exactly as if never stopped"
    )
    existing.add_argument("--overwrite", action="store_true", help="start an existing run folder again from nothing")
    add_machine_options(parser)
    parser.set_defaults(command=train)


def add_decoding_options(parser: argparse.ArgumentParser) -> None:
    """Options of search; each default stands in the model's configuration."""
    parser.add_argument("--beam-size", type=positive, metavar="N", help="hypotheses kept per sentence; 1 is greedy")
    parser.add_argument("--length-penalty", choices=("none", "average", "gnmt"), help="how scores depend on length")
    parser.add_argument("--alpha", type=float, metavar="A", help="exponent of the gnmt length penalty")
    parser.add_argument("--min-length", type=int, metavar="N", help="fewest target pieces")
    parser.add_argument("--max-length-factor", type=float, metavar="F", help="most target pieces per source piece")
    parser.add_argument("--max-length-offset", type=int, metavar="N", help="target pieces allowed on top of that")
    parser.add_argument("--batch-size", type=positive, metavar="N", help="sentences translated at once")
    parser.add_argument("--language-model", metavar="MODEL", help="language model of the target side to ask as well")
    parser.add_argument("--language-model-weight", type=float, metavar="W", help="weight of its log-probabilities")


DECODING = (
    "beam_size",
    "length_penalty",
    "alpha",
    "min_length",
    "max_length_factor",
    "max_length_offset",
    "batch_size",
    "language_model_weight",
)


def decoding_options(options: argparse.Namespace) -> dict[str, Any]:
    """The search options that were given."""
    if options.language_model_weight is not None and options.language_model is None:
        raise UserError("--language-model-weight needs --language-model")
    return {name: getattr(options, name) for name in DECODING if getattr(options, name) is not None}


def add_evaluate_options(parser: argparse.ArgumentParser) -> None:
    """Options of `nmt evaluate`."""
    parser.add_argument(
        "models", metavar="MODEL", nargs="*", help="model folder, run folder, or hub id; several translate together"
    )
    parser.add_argument("--split", help="split of the model's data: train, validation, or test (default: test)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="data.KEY=VALUE", help="other data than trained on"
    )
    parser.add_argument("--source", metavar="FILE", help="source text, a sentence a line; any text to a language model")
    parser.add_argument("--reference", metavar="FILE", action="append", help="reference; repeat for several")
    parser.add_argument("--hypothesis", metavar="FILE", help="score this translation instead of the model's")
    parser.add_argument(
        "--target-language", metavar="CODE", help="chooses BLEU's tokeniser (default: the model's target)"
    )
    parser.add_argument("--tokenizer", help="sacrebleu's tokeniser for BLEU (default: by target language)")
    parser.add_argument("--report", metavar="DIR", help="write report.json and report.md here")
    add_decoding_options(parser)
    add_machine_options(parser)
    parser.set_defaults(command=evaluate)


def add_average_options(parser: argparse.ArgumentParser) -> None:
    """Options of `nmt average`."""
    parser.add_argument("models", metavar="MODEL", nargs="+", help="model folder, run folder, or hub id")
    parser.add_argument("--output", required=True, metavar="DIR", help="new model folder to write")
    parser.set_defaults(command=average)


def add_sample_options(parser: argparse.ArgumentParser) -> None:
    """Options of `nmt sample`."""
    parser.add_argument("model", metavar="MODEL", help="language model: model folder, run folder, or hub id")
    parser.add_argument("--prompt", default="", metavar="TEXT", help="how each line begins; had better end with a word")
    parser.add_argument("--lines", type=positive, default=1, metavar="N", help="lines to draw (default 1)")
    parser.add_argument("--temperature", type=float, default=1.0, metavar="T", help="below 1 is bolder, above 1 wilder")
    parser.add_argument("--top-k", type=int, default=0, metavar="K", help="of the K most probable pieces; 1 is greedy")
    parser.add_argument("--top-p", type=float, default=1.0, metavar="P", help="of the likeliest pieces that make up P")
    parser.add_argument("--max-length", type=positive, default=200, metavar="N", help="most pieces drawn (default 200)")
    parser.add_argument("--seed", type=seed, default=1, metavar="S", help="the same draws the same (default 1)")
    add_machine_options(parser)
    parser.set_defaults(command=sample)


def add_translate_options(parser: argparse.ArgumentParser) -> None:
    """Options of `translate`."""
    parser.add_argument(
        "--model",
        dest="models",
        required=True,
        action="extend",
        nargs="+",
        metavar="MODEL",
        help="model folder, run folder, or hub id; several translate together, as an ensemble",
    )
    parser.add_argument("--input", metavar="FILE", help="read this file instead of standard input")
    parser.add_argument("--output", metavar="FILE", help="write to this file instead of standard output")
    parser.add_argument("--n-best", type=positive, metavar="N", help="N translations a line: number, rank, score, text")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--split-sentences", action="store_true", help="translate the sentences of a line one by one")
    add_decoding_options(parser)
    add_machine_options(parser)
    parser.set_defaults(command=translate)


def open_file(path: str, mode: str) -> BinaryIO:
    """Open a file the user named; raises UserError when that fails."""
    try:
        return cast(BinaryIO, open(path, mode))
    except OSError as error:
        raise UserError(f"`{path}` cannot be {'read' if mode == 'rb' else 'written'}: {error.strerror}") from None


def vocab(options: argparse.Namespace) -> None:
    """`nmt vocab`."""
    from nmt.config import load_config
    from nmt.model_folder import vocabulary_files, write_atomically
    from nmt.tasks import make_vocabularies

    config = load_config(options.config, options.set)
    folder = Path(options.output or Path("vocab") / Path(options.config).stem)
    made = make_vocabularies(config, say)
    folder.mkdir(parents=True, exist_ok=True)
    for name, vocabulary in zip(vocabulary_files(config), made, strict=False):
        write_atomically(folder / name, vocabulary.model)
        say(f"{folder / name}: {len(vocabulary)} pieces")


def train(options: argparse.Namespace) -> None:
    """`nmt train`."""
    from nmt.config import load_config

    config = load_config(options.config, options.set)
    output = Path(options.output or Path("runs") / Path(options.config).stem)
    from nmt import training

    training.train(
        config,
        output,
        resume=options.resume,
        overwrite=options.overwrite,
        device=options.device,
        threads=options.threads,
        say=say,
    )


def average(options: argparse.Namespace) -> None:
    """`nmt average`."""
    from nmt.averaging import average_models

    folder = average_models(options.models, Path(options.output))
    say(f"mean of {len(options.models)} models in `{folder.path}`")


def load_translator(options: argparse.Namespace) -> Translator:
    """The model or models of `translate` and `nmt evaluate`, and the language model beside them."""
    from nmt.translation import Translator

    return Translator.load(
        options.models, language_model=options.language_model, device=options.device, threads=options.threads
    )


def evaluate(options: argparse.Namespace) -> None:
    """`nmt evaluate`."""
    from nmt.evaluation import evaluate_translations
    from nmt.parallel_files import read_parallel
    from nmt.report import describe, write_report

    for setting in options.set:
        if not setting.startswith("data."):
            raise UserError(f"--set must be data.KEY=VALUE here, but is `{setting}`; search has options of its own")
    if len(options.models) == 1:
        from nmt.model_folder import open_model

        folder = open_model(options.models[0])
        if folder.config.task == "language_model":
            evaluate_text(options, folder)
            return
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
    overrides = decoding_options(options)
    if options.hypothesis and (overrides or options.language_model):
        raise UserError("search options have no effect with --hypothesis")
    if options.hypothesis and len(options.models) > 1:
        raise UserError("--hypothesis takes the place of the model's translation; name one MODEL at most")
    settings: dict[str, Any] = {"command": " ".join(["nmt evaluate", *sys.argv[2:]])}
    config = None
    if options.models:
        from nmt.model_folder import open_models

        config = open_models(options.models, options.language_model)[0][0].config
        settings["model"] = ", ".join(options.models)
        if options.language_model:
            settings["language_model"] = options.language_model
    target_language = options.target_language or (config.data.target if config else None)
    if target_language is None:
        raise UserError("--hypothesis without a MODEL needs --target-language, which chooses BLEU's tokeniser")
    sources: list[str] | None = None
    if options.reference:
        names = [options.source] if options.source else []
        names += options.reference + ([options.hypothesis] if options.hypothesis else [])
        sides = read_parallel([Path(name) for name in names])
        if options.source:
            sources = sides.pop(0)
        hypotheses = sides.pop() if options.hypothesis else None
        references = sides
    else:
        from nmt.corpus import load_pairs, read_lines

        assert config is not None
        data = data_with(config, options.set)
        target_language = options.target_language or data.target
        settings["data"] = f"{data.path}, split {options.split or 'test'}"
        pairs = load_pairs(data, options.split or "test")
        sources, references = list(pairs["source"]), [list(pairs["target"])]
        hypotheses = read_lines(Path(options.hypothesis)) if options.hypothesis else None
    if hypotheses is None:
        assert sources is not None
        translator = load_translator(options)
        settings.update(vars(translator.decoding_with(**overrides)))
        if options.language_model is None:
            del settings["language_model_weight"]
        hypotheses = [translation.text for translation in translator.translate(sources, **overrides)]
    else:
        settings["hypotheses"] = options.hypothesis
    evaluation = evaluate_translations(
        hypotheses, references, target_language=target_language, tokenizer=options.tokenizer, sources=sources
    )
    evaluation.settings = settings
    print(describe(evaluation))
    if options.report:
        write_report(evaluation, Path(options.report))
        say(f"report in `{options.report}`")


def evaluate_text(options: argparse.Namespace, folder: ModelFolder) -> None:
    """`nmt evaluate` of a language model: how well it predicts a split of its data, or a file."""
    for name in ("reference", "hypothesis", "target_language", "tokenizer", "report", "language_model", *DECODING):
        if getattr(options, name) is not None:
            raise UserError(f"--{name.replace('_', '-')} is for translations, but `{folder.path}` is a language model")
    if options.source and (options.split is not None or options.set):
        raise UserError("--source excludes --split and --set, which choose from the model's data")
    from nmt.config import DataConfig
    from nmt.corpus import prepare_text
    from nmt.language_model import LanguageModel
    from nmt.streams import score_text
    from nmt.tasks import count_characters, text_of
    from nmt.torch_engine import load_engine

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


def data_with(config: Config, settings: Sequence[str]) -> DataConfig:
    """The data of a configuration with some `data.KEY=VALUE` changed."""
    from nmt.config import apply_setting, parse_config

    values = asdict(config)
    for setting in settings:
        apply_setting(values, setting)
    return parse_config(values, "--set").data


def sample(options: argparse.Namespace) -> None:
    """`nmt sample`."""
    from nmt.model_folder import open_model
    from nmt.sampling import SamplingSettings, sample_text

    settings = SamplingSettings(options.temperature, options.top_k, options.top_p, options.max_length)
    folder = open_model(options.model)
    if folder.config.task != "language_model":
        raise UserError(f"`{options.model}` is a translation model; `nmt sample` needs a language model")
    from nmt.torch_engine import load_engine

    engine = load_engine(folder, device=options.device, threads=options.threads)
    drawn = sample_text(engine, folder.target_vocabulary, options.prompt, options.lines, settings, options.seed)
    sys.stdout.buffer.write("".join(f"{line}\n" for line in drawn).encode())
    sys.stdout.buffer.flush()


def translate(options: argparse.Namespace) -> None:
    """`translate`, `nmt translate`."""
    from nmt.translation import search_settings, translate_stream

    if (options.input is None and sys.stdin is None) or (options.output is None and sys.stdout is None):
        raise UserError("standard input or output is closed; use --input and --output")
    with contextlib.ExitStack() as files:
        source = files.enter_context(open_file(options.input, "rb")) if options.input else sys.stdin.buffer
        interactive = options.input is None and sys.stdin.isatty()
        overrides = decoding_options(options)
        translator = load_translator(options)
        search_settings(translator.decoding_with(**overrides), options.n_best or 1)
        both = options.input and options.output and os.path.exists(options.output)
        if both and os.path.samefile(options.input, options.output):
            raise UserError(f"--output `{options.output}` is the input; choose another file")
        if interactive:
            say("type a sentence and press Enter; Ctrl-D ends")
        output = files.enter_context(open_file(options.output, "wb")) if options.output else sys.stdout.buffer
        translate_stream(
            translator,
            source,
            output,
            n_best=options.n_best,
            json=options.json,
            split_sentences=options.split_sentences,
            interactive=interactive,
            warn=lambda line: say(f"translate: {line}"),
            **overrides,
        )


if __name__ == "__main__":
    sys.exit(main())
