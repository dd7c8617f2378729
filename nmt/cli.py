"""The command line: translates arguments into calls, and mistakes into one line and an exit status.

Exit status 0 success, 1 the work failed, 2 wrong usage or input. Results go to standard output, everything else to
standard error. torch and datasets are imported inside the commands that need them only.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn, cast

from nmt import __version__
from nmt.errors import TrainingError, UserError

if TYPE_CHECKING:
    from nmt.config import DataConfig
    from nmt.inspection.pages import Inspection
    from nmt.model_folder import ModelFolder
    from nmt.translation import Translator


def say(line: str) -> None:
    """A message to the person at the terminal."""
    print(line, file=sys.stderr, flush=True)


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
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", parser_class=Parser)
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
        add_options(commands.add_parser(name, help=short, **DESCRIPTIONS[name]))
    return parser


def positive(text: str) -> int:
    """A whole number from 1 on."""
    value = int(text)
    if not 1 <= value < 2**31:
        raise ValueError
    return value


positive.__name__ = "positive whole number"


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
    parser.add_argument(
        "--export", choices=("fp32", "int8"), help="at the end, export the best model, as `nmt export` does"
    )
    add_machine_options(parser)
    parser.set_defaults(command=train)


def add_decoding_options(parser: argparse.ArgumentParser) -> None:
    """Options of search and sampling; each default stands in the model's configuration."""
    add = parser.add_argument_group(
        "search", "defaults stand in the model's config.toml, under [decoding]"
    ).add_argument
    add("--method", choices=("beam", "sampling"), help="beam search, or drawing from the model's distribution")
    add("--beam-size", type=positive, metavar="N", help="hypotheses kept per sentence; 1 is greedy")
    add("--length-penalty", choices=("none", "average", "gnmt"), help="how scores depend on length")
    add("--alpha", type=float, metavar="A", help="exponent of the gnmt length penalty")
    add("--coverage-penalty", type=float, metavar="W", help="weight of the penalty for source that was not attended to")
    add("--brevity-penalty", type=float, metavar="W", help="weight of the penalty for translations that are too short")
    add("--brevity-ratio", type=float, metavar="R", help="target pieces to be expected for a source piece")
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
    add("--batch-size", type=positive, metavar="N", help="most sentences translated at once")
    add("--batch-tokens", type=positive, metavar="N", help="most source pieces translated at once, with padding")
    add("--language-model", metavar="MODEL", help="language model of the target side to ask as well")
    add("--language-model-weight", type=float, metavar="W", help="weight of its log-probabilities")


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
    parser.set_defaults(command=evaluate)
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
        own.set_defaults(command=inspect)
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
    parser.set_defaults(command=average)


def add_diversify_options(parser: argparse.ArgumentParser) -> None:
    """Options of `nmt diversify`."""
    add_config_options(parser)
    parser.add_argument("--output", metavar="DIR", required=True, help="folder of the pairs and of the models' runs")
    parser.add_argument("--models", type=positive, default=1, metavar="N", help="in each direction (default 1)")
    add_machine_options(parser)
    parser.set_defaults(command=diversify)


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
    parser.set_defaults(command=export)


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
    parser.set_defaults(command=translate)


def add_score_options(parser: argparse.ArgumentParser) -> None:
    """Options of `nmt score`."""
    parser.add_argument(
        "models", metavar="MODEL", nargs="+", help="model folder, run folder, or hub id; several score together"
    )
    parser.add_argument("--source", required=True, metavar="FILE", help="source text, a sentence a line")
    parser.add_argument("--target", required=True, metavar="FILE", help="its translation, line by line")
    parser.add_argument("--json", action="store_true", help="one JSON object a line, with the scores of all pieces")
    add_decoding_options(parser)
    add_machine_options(parser)
    parser.set_defaults(command=score)


def add_rerank_options(parser: argparse.ArgumentParser) -> None:
    """Options of `nmt rerank`."""
    parser.add_argument("models", metavar="MODEL", nargs="*", help="translation models, each with a score of its own")
    parser.add_argument("--source", required=True, metavar="FILE", help="source text, a sentence a line")
    parser.add_argument(
        "--n-best", required=True, metavar="FILE", help="n-best list, as `translate --n-best` writes it"
    )
    parser.add_argument("--weights", type=float, nargs="+", metavar="W", help="weight of each MODEL (default 1)")
    parser.add_argument("--reverse-model", metavar="MODEL", help="model that translates the other way round")
    parser.add_argument("--reverse-weight", type=float, default=1.0, metavar="W", help="its weight (default 1)")
    parser.add_argument("--language-model", metavar="MODEL", help="language model of the target side")
    parser.add_argument("--language-model-weight", type=float, default=1.0, metavar="W", help="its weight (default 1)")
    parser.add_argument("--list-weight", type=float, default=0.0, metavar="W", help="of the list's scores (default 0)")
    parser.add_argument("--length-weight", type=float, default=0.0, metavar="W", help="of a piece more (default 0)")
    parser.add_argument("--best", action="store_true", help="print each line's best translation alone")
    add_machine_options(parser)
    parser.set_defaults(command=rerank)


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
    from nmt.model_folder import open_model

    config = load_config(options.config, options.set)
    output = Path(options.output or Path("runs") / Path(options.config).stem)
    from nmt import training

    if options.export:
        from nmt.export import export_model, require_onnx

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
        export_model(open_model(best), integers=options.export == "int8", data=config.data, say=say)


def average(options: argparse.Namespace) -> None:
    """`nmt average`."""
    from nmt.averaging import average_models

    folder = average_models(options.models, Path(options.output))
    say(f"mean of {len(options.models)} models in `{folder.path}`")


def diversify(options: argparse.Namespace) -> None:
    """`nmt diversify`."""
    from nmt.config import load_config

    config = load_config(options.config, options.set)
    from nmt import diversification

    diversification.diversify(
        config, Path(options.output), options.models, device=options.device, threads=options.threads, say=say
    )


def export(options: argparse.Namespace) -> None:
    """`nmt export`."""
    from nmt.model_folder import open_model

    folder = open_model(options.model)
    from nmt.config import data_with
    from nmt.export import export_model

    data = data_with(folder.config, options.set)
    shortlist_data = None if options.no_shortlist else data
    export_model(folder, integers=options.int8, small=options.small, data=shortlist_data, say=say)


def load_translator(options: argparse.Namespace) -> Translator:
    """The model or models of `translate` and `nmt evaluate`, and the language model beside them."""
    from nmt.translation import Translator

    return Translator.load(
        options.models, language_model=options.language_model, device=options.device, threads=options.threads
    )


def inspect(options: argparse.Namespace) -> None:
    """`nmt inspect`."""
    from nmt.inspection import pages

    pages.require_matplotlib()
    inspection = bottleneck(options) if options.what == "bottleneck" else look(options)
    print("\n".join(inspection.summary), flush=True)
    pages.write(inspection, Path(options.output), options.command_line, say)


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
    from nmt.comet import load_comet
    from nmt.config import data_with
    from nmt.evaluation import PartScorer, compare_systems, evaluate_translations
    from nmt.model_folder import open_model, open_models
    from nmt.report import Commands, describe, write_report
    from nmt.translation import Translator

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
        print(describe(evaluation))
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
    print(describe(evaluation))
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
    if options.tree is not None and (options.report is None or options.hypothesis):
        raise UserError("--tree chooses the sentence whose beam search --report draws, of a MODEL's own translations")
    if options.comet and options.reference and not options.source:
        raise UserError("--comet needs the source as well: give --source")


def read_set(
    options: argparse.Namespace, data: DataConfig | None, settings: dict[str, Any]
) -> tuple[list[str] | None, list[list[str]], list[str] | None]:
    """Sources, references and hypotheses of `nmt evaluate`, as far as given; `settings` gets their names."""
    from nmt.parallel_files import read_lines, read_parallel

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
    from nmt.corpus import load_pairs

    assert data is not None
    split = options.split or "test"
    settings["data"] = f"{data.path}, split {split}"
    pairs = load_pairs(data, split)
    hypotheses = read_lines(Path(options.hypothesis)) if options.hypothesis else None
    return list(pairs["source"]), [list(pairs["target"])], hypotheses


def read_baselines(options: argparse.Namespace, sources: list[str] | None, count: int) -> dict[str, list[str]]:
    """The translations of the systems to compare with: files are read, models translate."""
    from nmt.parallel_files import read_lines
    from nmt.translation import Translator

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


def sample(options: argparse.Namespace) -> None:
    """`nmt sample`."""
    from nmt.model_folder import open_model
    from nmt.sampling import SamplingSettings, sample_text

    settings = SamplingSettings(options.temperature, options.top_k, options.top_p, options.max_length)
    folder = open_model(options.model)
    if folder.config.task != "language_model":
        raise UserError(
            f"`{options.model}` is a translation model; `nmt sample` needs a language model, "
            "and `translate --method sampling` draws translations"
        )
    from nmt.onnx_engine import load_engine

    engine = load_engine(folder, device=options.device, threads=options.threads)
    drawn = sample_text(engine, folder.target_vocabulary, options.prompt, options.lines, settings, options.seed)
    sys.stdout.buffer.write("".join(f"{line}\n" for line in drawn).encode())
    sys.stdout.buffer.flush()


def translate(options: argparse.Namespace) -> None:
    """`translate`, `nmt translate`."""
    from nmt.line_translation import translate_stream

    if (options.input is None and sys.stdin is None) or (options.output is None and sys.stdout is None):
        raise UserError("standard input or output is closed; use --input and --output")
    with contextlib.ExitStack() as files:
        source = files.enter_context(open_file(options.input, "rb")) if options.input else sys.stdin.buffer
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
        both = options.input and options.output and os.path.exists(options.output)
        if both and os.path.samefile(options.input, options.output):
            raise UserError(f"--output `{options.output}` is the input; choose another file")
        if interactive:
            say("type a sentence and press Enter; Ctrl-D ends")
        output = files.enter_context(open_file(options.output, "wb")) if options.output else sys.stdout.buffer
        translate_stream(translator, source, output, **settings)


def read_phrases(path: str | None) -> list[str]:
    """The phrases of a file, one a line."""
    if path is None:
        return []
    from nmt.parallel_files import read_lines

    return [line for line in read_lines(path) if line.strip()]


def score(options: argparse.Namespace) -> None:
    """`nmt score`."""
    from nmt.line_translation import score_lines
    from nmt.parallel_files import read_parallel

    overrides = decoding_options(options)
    sources, targets = read_parallel([options.source, options.target])
    translator = load_translator(options)
    print_lines(score_lines(translator, sources, targets, json=options.json, **overrides))


def rerank(options: argparse.Namespace) -> None:
    """`nmt rerank`."""
    from nmt.parallel_files import iterate_lines, read_lines
    from nmt.reranking import Feature, LanguageModelScorer, rerank_lines
    from nmt.translation import Translator

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
        from nmt.onnx_engine import load_engine

        folder = open_model(options.language_model)
        if folder.config.task != "language_model":
            raise UserError(
                f"--language-model `{options.language_model}` is a translation model; give a language model"
            )
        scorer = LanguageModelScorer(load_engine(folder, **machine), folder.target_vocabulary)
        features.append(Feature(scorer, options.language_model_weight))
    if options.reverse_model:
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


def print_lines(lines: Iterable[str]) -> None:
    """Write lines to standard output, in UTF-8 whatever the terminal."""
    for line in lines:
        sys.stdout.buffer.write(f"{line}\n".encode())
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
