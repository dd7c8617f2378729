"""The command line: its options, and mistakes as one line and an exit status. The commands are in `nmt.commands`.

Exit status 0 success, 1 the work failed, 2 wrong usage or input. Results go to standard output, everything else to
standard error.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import shlex
import sys
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import fields
from gzip import BadGzipFile
from typing import Any, NoReturn

from nmt import __version__, commands
from nmt.commands import say
from nmt.errors import TrainingError, UserError


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one line."""

    intermixed = False
    """Whether options may stand between positional arguments, as in `nmt evaluate A --split test B`."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """argparse's; where options may stand anywhere, it parses twice: the options first, then the rest."""
        if not self.intermixed:
            return super().parse_known_args(args, namespace)
        self.intermixed = False
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self.intermixed = True

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
    parser.add_argument("--version", action="version", version=f"nmt {__version__}")
    add_translate_options(parser)
    return run(parser, arguments)


def run(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> int:
    """Parse and run; every mistake becomes one line and an exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = parser.parse_args(given)
    options.command_line = shlex.join([parser.prog, *given])
    try:
        options.command(options)
    except UserError as error:
        say(f"{parser.prog}: error: {with_options(str(error), options)}")
        return 2
    except TrainingError as error:
        say(f"{parser.prog}: {error}")
        return 1
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "nmt":
            raise
        wanted = "sacrebleu" if error.name.startswith("sacrebleu") else "-e '.[train]'"  # it works without torch
        say(f"{parser.prog}: error: this needs `{error.name}`: pip install -c constraints.txt {wanted}")
        return 2
    except BrokenPipeError:
        give_up_output()
        return 0
    except KeyboardInterrupt:
        say(f"{parser.prog}: interrupted")
        return 1
    except (EOFError, zlib.error, BadGzipFile) as error:
        say(f"{parser.prog}: error: {getattr(options, 'input', None) or 'input'} is damaged: {error}")
        return 2
    except (MemoryError, RuntimeError) as error:  # numpy, torch and ONNX Runtime say it in many ways
        if not isinstance(error, MemoryError) and not re.search(r"allocate|out of memory", str(error)):
            raise
        say(f"{parser.prog}: error: not enough memory: {' '.join(str(error).split())}".removesuffix(": "))
        return 1
    except OSError as error:
        say(f"{parser.prog}: error: {error.filename or 'input or output'}: {error.strerror or error}")
        give_up_output()
        return 1
    return 0


def with_options(message: str, options: argparse.Namespace) -> str:
    """A message about settings of the search, with the options in their place by which this command takes them."""
    from nmt.config import DecodingConfig
    from nmt.translation.translator import OVERRIDES

    rest = message.removeprefix(f"{OVERRIDES}: ")
    known = {"n_best", *(setting.name for setting in fields(DecodingConfig))} & set(vars(options))
    names = re.compile(r"`(\w+)`" if rest == message else r"`decoding\.(\w+)`")
    return names.sub(lambda name: f"--{name[1].replace('_', '-')}" if name[1] in known else name[0], rest)


def give_up_output() -> None:
    """Let what could not be written to standard output go: Python would try it once more at exit."""
    with suppress(OSError, AttributeError):  # a program that calls `main` may have put something else in its place
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
        "nmt vocab configs/multi30k-fixed-de-en.toml --output vocab/multi30k-fixed-de-en",
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
    "inspect": _example(
        "See what a model does: one picture as PNG, as a page, and its numbers as JSON.",
        'nmt inspect attention runs/captions --sentence "Ein Hund schläft auf dem Sofa." --output pictures',
    ),
    "diversify": _example(
        "Train models of both directions and let them translate the training text: more pairs to train on.",
        "nmt diversify configs/teacher.toml --output runs/diversified",
    ),
    "average": _example(
        "Write the mean of several models' weights, such as the last checkpoints of a run, as a model folder.",
        "nmt average runs/captions/checkpoints/* --output runs/captions/averaged",
    ),
    "export": _example(
        "Write a model's ONNX graphs into its folder: `translate` takes them from then on, and needs no torch.",
        "nmt export runs/captions --int8",
    ),
    "sample": _example(
        "Draw lines of text from a language model.",
        'nmt sample runs/letters --prompt "A dog" --lines 5 --temperature 0.8 --top-p 0.9',
    ),
    "translate": _example(
        "Translate standard input, or a file, line by line.",
        'echo "Ein Hund schläft auf dem Sofa." | translate --model runs/captions',
    ),
    "score": _example(
        "Print the log-probability of given translations, one for each line of the source.",
        "nmt score runs/captions --source test.de --target test.en",
    ),
    "rerank": _example(
        "Put an n-best list, as `translate --n-best` writes it, into the order of a weighted sum of scores.",
        "nmt rerank runs/de-en --source test.de --n-best test.nbest --reverse-model runs/en-de --reverse-weight 0.5",
    ),
}


def make_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = Parser(prog="nmt", description="Recurrent neural machine translation.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"nmt {__version__}")
    subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", parser_class=Parser)
    for name, add_options in {
        "vocab": add_vocab_options,
        "train": add_train_options,
        "evaluate": add_evaluate_options,
        "inspect": add_inspect_options,
        "diversify": add_diversify_options,
        "average": add_average_options,
        "export": add_export_options,
        "sample": add_sample_options,
        "translate": add_translate_options,
        "score": add_score_options,
        "rerank": add_rerank_options,
    }.items():
        short = str(DESCRIPTIONS[name]["description"]).split(". ")[0].rstrip(".")
        add_options(subparsers.add_parser(name, help=short, **DESCRIPTIONS[name]))
    return parser


def positive(text: str) -> int:
    """A whole number from 1 on."""
    value = int(text)
    if not 1 <= value < 2**31:
        raise ValueError
    return value


positive.__name__ = "positive whole number"


def finite(text: str) -> float:
    """A number that is neither infinite nor none at all."""
    number = float(text)
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"must be a finite number, but is {text!r} instead")
    return number


def whole_numbers(text: str) -> list[int]:
    """Whole numbers from 1 on with commas between them."""
    return [positive(part) for part in text.split(",")]


whole_numbers.__name__ = "list of positive whole numbers (1,5,10)"


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
    parser.set_defaults(command=commands.vocab)


def add_train_options(parser: argparse.ArgumentParser) -> None:
    """Options of `nmt train`."""
    add_config_options(parser)
    parser.add_argument("--output", metavar="DIR", help="run folder (default: runs/NAME_OF_CONFIG)")
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument(
        "--resume", action="store_true", help="go on with an interrupted run, exactly as if never stopped"
    )
    existing.add_argument("--overwrite", action="store_true", help="start an existing run folder again from nothing")
    parser.add_argument(
        "--export", choices=("fp32", "int8"), help="at the end, export the best model, as `nmt export` does"
    )
    add_machine_options(parser)
    parser.set_defaults(command=commands.train)


def add_scoring_options(parser: argparse.ArgumentParser) -> Callable[..., argparse.Action]:
    """Options of what a translation's score is, whether it is searched for or given; returns what adds more to them."""
    group = parser.add_argument_group("search", "defaults stand in the model's config.toml, under [decoding]")
    add = group.add_argument
    add("--length-penalty", choices=("none", "average", "gnmt"), help="how scores depend on length")
    add("--alpha", type=float, metavar="A", help="exponent of the gnmt length penalty")
    add("--brevity-penalty", type=float, metavar="W", help="weight of the penalty for translations that are too short")
    add("--brevity-ratio", type=float, metavar="R", help="target pieces to be expected for a source piece")
    add("--batch-size", type=positive, metavar="N", help="most sentences translated at once")
    add("--batch-tokens", type=positive, metavar="N", help="most source pieces translated at once, with padding")
    add("--language-model", metavar="MODEL", help="language model of the target side to ask as well")
    add("--language-model-weight", type=float, metavar="W", help="weight of its log-probabilities")
    return add


def add_decoding_options(parser: argparse.ArgumentParser) -> None:
    """Options of search and sampling; each default stands in the model's configuration."""
    add = add_scoring_options(parser)
    add("--method", choices=("beam", "sampling"), help="beam search, or drawing from the model's distribution")
    add("--beam-size", type=positive, metavar="N", help="hypotheses kept per sentence; 1 is greedy")
    add("--coverage-penalty", type=float, metavar="W", help="weight of the penalty for source that was not attended to")
    add("--min-length", type=int, metavar="N", help="fewest target pieces")
    add("--max-length-factor", type=float, metavar="F", help="most target pieces per source piece")
    add("--max-length-offset", type=int, metavar="N", help="target pieces allowed on top of that")
    add("--no-repeat-ngram", type=int, metavar="N", help="no run of N pieces twice")
    add("--groups", type=positive, metavar="N", help="diverse beam search: groups that share the beam")
    add("--diversity", type=float, metavar="D", help="how much groups avoid each other's pieces")
    add(
        "--replace-unknown", action="store_const", const=True, help="copy what is unknown from the source, by attention"
    )
    add("--temperature", type=float, metavar="T", help="sampling: below 1 is bolder, above 1 wilder")
    add("--top-k", type=int, metavar="K", help="sampling: of the K most probable pieces")
    add("--top-p", type=float, metavar="P", help="sampling: of the likeliest pieces that make up P")
    add("--seed", type=seed, metavar="S", help="sampling: the same draws the same")
    add("--minimum-bayes-risk", choices=("none", "bleu", "chrf"), help="choose by expected BLEU or chrF")
    add("--samples", type=positive, metavar="N", help="samples among which minimum Bayes risk chooses")


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
    parser.add_argument(
        "--baseline",
        action="append",
        default=[],
        metavar="FILE|MODEL",
        help="another system's translation, or a model, to compare with; can be repeated",
    )
    parser.add_argument("--comet", metavar="DIR", help="COMET model on this machine to score with as well")
    parser.add_argument("--report", metavar="DIR", help="write report.html, report.md and report.json here")
    parser.add_argument("--tree", type=positive, metavar="N", help="sentence whose beam search the report draws")
    add_decoding_options(parser)
    add_machine_options(parser)
    parser.set_defaults(command=commands.evaluate)
    assert isinstance(parser, Parser)
    parser.intermixed = True


def add_inspect_options(parser: argparse.ArgumentParser) -> None:
    """Options of `nmt inspect`, a parser for each WHAT."""
    whats = parser.add_subparsers(title="what", required=True, metavar="WHAT", dest="what", parser_class=Parser)
    numbers = "whole numbers with commas between them"

    def add(what: str, text: str, example: str) -> argparse.ArgumentParser:
        own = whats.add_parser(what, help=text.split(". ")[0].rstrip("."), **_example(text, f"nmt inspect {example}"))
        own.add_argument(
            "--output", default="inspection", metavar="DIR", help="folder to write to (default: inspection)"
        )
        own.add_argument("--threads", type=positive, help="processor threads (default: all cores)")
        own.set_defaults(command=commands.inspect)
        return own

    def add_sentences(own: argparse.ArgumentParser, count: int, model: str | None = None) -> None:
        own.add_argument("model", metavar="MODEL", nargs=model, help="model folder, run folder, or hub id")
        own.add_argument(
            "--sentence", action="append", default=[], metavar="TEXT", help="look at this; can be repeated"
        )
        own.add_argument(
            "--source", metavar="FILE", help="source text, a sentence a line; any text to a language model"
        )
        own.add_argument("--target", metavar="FILE", help="its translation")
        own.add_argument("--split", default="test", help="split of the model's data (default: test)")
        own.add_argument("--set", action="append", default=[], metavar="data.KEY=VALUE", help="other data")
        own.add_argument(
            "--sentences", type=positive, default=count, metavar="N", help=f"most of them (default {count})"
        )

    own = add(
        "gradient-flow",
        "Gradients against distance in time: of fresh cells side by side, or of a trained model's layers.",
        "gradient-flow --cells rnn_tanh,lstm --length 100",
    )
    add_sentences(own, 64, "?")
    own.add_argument("--cells", default="rnn_tanh,rnn_relu,lstm,gru", metavar="NAME,...", help="cells without MODEL")
    own.add_argument(
        "--initialization",
        default="uniform,xavier,orthogonal,orthogonal*2",
        metavar="NAME[*FACTOR],...",
        help="initial weights without MODEL, the recurrent ones multiplied (default: %(default)s)",
    )
    own.add_argument("--layers", type=positive, default=1, metavar="N", help="layers without MODEL (default 1)")
    own.add_argument("--hidden-size", type=positive, default=64, metavar="N", help="units without MODEL (default 64)")
    own.add_argument("--length", type=positive, metavar="N", help="most positions back (default 60; MODEL: 30)")
    own.add_argument("--seed", type=seed, default=1, metavar="S", help="of fresh weights and input (default 1)")
    own.add_argument("--learning-rate", type=float, metavar="R", help="of the update (default 0.1, or the model's)")
    own.add_argument("--clip-norm", type=float, metavar="N", help="largest norm (default 1, or the model's; 0: none)")

    own = add(
        "gates",
        "Gates and cells of a layer, units with a meaning, and the text coloured by a unit.",
        "gates runs/captions --layer encoder-forward-1",
    )
    add_sentences(own, 200)
    own.add_argument("--layer", metavar="NAME", help="encoder-forward-1, decoder-1, ... (default: the decoder's top)")
    own.add_argument("--unit", type=int, metavar="N", help="unit that colours the text at first, from 0")

    own = add("context", "Context vectors of sentences in the plane.", "context runs/captions --sentences 100")
    add_sentences(own, 200)
    own.add_argument("--projection", choices=("pca", "tsne"), default="pca", help="default pca")

    own = add(
        "attention",
        "Attention weights of translations, as alignments too.",
        'attention runs/captions --sentence "Ein Hund schläft auf dem Sofa."',
    )
    add_sentences(own, 100)
    own.add_argument("--beam-size", type=positive, metavar="N", help="hypotheses kept per sentence")
    own.add_argument("--gold", metavar="FILE", help="alignments of the given translations (0-0 sure, 0?1 possible)")

    own = add(
        "bottleneck",
        "Trains one model with and without attention and source reversal: quality against sentence length.",
        "bottleneck --task copy",
    )
    own.add_argument("config", metavar="CONFIG", nargs="?", help="a configuration to vary, instead of the probe task")
    own.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="change a setting of CONFIG"
    )
    own.add_argument("--task", choices=("copy", "reverse", "sort"), default="copy", help="probe task (default copy)")
    own.add_argument("--lengths", type=whole_numbers, metavar="N,...", help=f"of the probe's sentences: {numbers}")
    own.add_argument("--epochs", type=positive, metavar="N", help="passes over the training data")

    own = add("search", "BLEU, time and search errors against beam size.", "search runs/captions --beam-sizes 1,5,20")
    add_sentences(own, 200)
    own.add_argument(
        "--beam-sizes", type=whole_numbers, default=[1, 2, 3, 5, 10, 20, 50], metavar="N,...", help=f"{numbers}"
    )

    own = add("embeddings", "Nearest pieces, and a map of them.", "embeddings runs/captions --pieces dog,cat,man")
    own.add_argument("model", metavar="MODEL", help="model folder, run folder, or hub id")
    own.add_argument("--side", choices=("source", "target"), default="target", help="default target")
    own.add_argument("--pieces", default="", metavar="WORD,...", help="ask for these (default: frequent words)")
    own.add_argument("--count", type=positive, default=300, metavar="N", help="pieces in the map (default 300)")
    own.add_argument("--projection", choices=("pca", "tsne"), default="pca", help="default pca")


def add_average_options(parser: argparse.ArgumentParser) -> None:
    """Options of `nmt average`."""
    parser.add_argument("models", metavar="MODEL", nargs="+", help="model folder, run folder, or hub id")
    parser.add_argument("--output", required=True, metavar="DIR", help="new model folder to write")
    parser.set_defaults(command=commands.average)


def add_diversify_options(parser: argparse.ArgumentParser) -> None:
    """Options of `nmt diversify`."""
    add_config_options(parser)
    parser.add_argument("--output", metavar="DIR", required=True, help="folder of the pairs and of the models' runs")
    parser.add_argument("--models", type=positive, default=1, metavar="N", help="in each direction (default 1)")
    add_machine_options(parser)
    parser.set_defaults(command=commands.diversify)


def add_export_options(parser: argparse.ArgumentParser) -> None:
    """Options of `nmt export`."""
    parser.add_argument("model", metavar="MODEL", help="model folder, run folder, or hub id")
    parser.add_argument("--int8", action="store_true", help="multiply in 8-bit integers: smaller and faster")
    parser.add_argument("--small", action="store_true", help="with --int8: smaller still, and a little slower")
    parser.add_argument(
        "--no-shortlist", action="store_true", help="no vocabulary shortlist; it needs the model's training data"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="data.KEY=VALUE", help="where the training data are now"
    )
    parser.add_argument("--threads", type=positive, help="processor threads (default: all cores)")
    parser.set_defaults(command=commands.export)


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
    parser.set_defaults(command=commands.sample)


def add_translate_options(parser: argparse.ArgumentParser) -> None:
    """Options of `translate`."""
    parser.add_argument(
        "--model",
        dest="models",
        required=True,
        action="extend",
        nargs="+",
        metavar="MODEL",
        help="model folder, run folder, hub id, or a model in the box (de-en, en-de); several translate as an ensemble",
    )
    parser.add_argument("--input", metavar="FILE", help="read this file instead of standard input")
    parser.add_argument("--output", metavar="FILE", help="write to this file instead of standard output")
    parser.add_argument("--n-best", type=positive, metavar="N", help="N translations a line: number, rank, score, text")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument(
        "--json-input", action="store_true", help="read JSON objects: text, prefix, required, forbidden, id"
    )
    parser.add_argument("--alignments", action="store_true", help="source word-target word pairs, behind a tab")
    parser.add_argument("--attention", action="store_true", help="attention weights; with --json")
    parser.add_argument("--prefix", default="", metavar="TEXT", help="how each translation begins")
    parser.add_argument("--required", metavar="FILE", help="phrases that each translation contains, one a line")
    parser.add_argument("--forbidden", metavar="FILE", help="phrases that no translation contains, one a line")
    parser.add_argument("--split-sentences", action="store_true", help="translate the sentences of a line one by one")
    add_decoding_options(parser)
    add_machine_options(parser)
    parser.set_defaults(command=commands.translate)


def add_score_options(parser: argparse.ArgumentParser) -> None:
    """Options of `nmt score`."""
    parser.add_argument(
        "models", metavar="MODEL", nargs="+", help="model folder, run folder, or hub id; several score together"
    )
    parser.add_argument("--source", required=True, metavar="FILE", help="source text, a sentence a line")
    parser.add_argument("--target", required=True, metavar="FILE", help="its translation, line by line")
    parser.add_argument("--json", action="store_true", help="one JSON object a line, with the scores of all pieces")
    add_scoring_options(parser)
    add_machine_options(parser)
    parser.set_defaults(command=commands.score)


def add_rerank_options(parser: argparse.ArgumentParser) -> None:
    """Options of `nmt rerank`."""
    parser.add_argument("models", metavar="MODEL", nargs="*", help="translation models, each with a score of its own")
    parser.add_argument("--source", required=True, metavar="FILE", help="source text, a sentence a line")
    parser.add_argument(
        "--n-best", required=True, metavar="FILE", help="n-best list, as `translate --n-best` writes it"
    )
    parser.add_argument("--weights", type=finite, nargs="+", metavar="W", help="weight of each MODEL (default 1)")
    parser.add_argument("--reverse-model", metavar="MODEL", help="model that translates the other way round")
    parser.add_argument("--reverse-weight", type=finite, default=1.0, metavar="W", help="its weight (default 1)")
    parser.add_argument("--language-model", metavar="MODEL", help="language model of the target side")
    parser.add_argument("--language-model-weight", type=finite, default=1.0, metavar="W", help="its weight (default 1)")
    parser.add_argument("--list-weight", type=finite, default=0.0, metavar="W", help="of the list's scores (default 0)")
    parser.add_argument("--length-weight", type=finite, default=0.0, metavar="W", help="of a piece more (default 0)")
    parser.add_argument("--best", action="store_true", help="print each line's best translation alone")
    add_machine_options(parser)
    parser.set_defaults(command=commands.rerank)


if __name__ == "__main__":
    sys.exit(main())
