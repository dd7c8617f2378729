"""`nmt import`: files of translations become a folder to train from."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from nmt.commands.options import REPEATED, above_zero, finite, positive, seed
from nmt.commands.streams import say
from nmt.text.pair_filters import FILTERS, PairFilter

if TYPE_CHECKING:
    from nmt.text.formats.pair import Reading

TEXT = (
    "Make training, validation and test text from files of translations. They may be TMX, XLIFF, PO, TBX, xlsx, CSV,\n"
    "TSV, JSON, Parquet, or pairs of plain text, also compressed. The pairs are cleaned, filtered and split. A report\n"
    "and a configuration for `nmt train` are written as well."
)
EXAMPLE = "nmt import memory.tmx --source de --target en --output corpus"


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("files", nargs="+", metavar="FILE", help="files, folders, or patterns in quotes ('tm/*.tmx')")
    add("--output", metavar="DIR", required=True, help="folder to write")
    add("--overwrite", action="store_true", help="replace the folder of an earlier import")
    add_reading_options(parser)
    filters = parser.add_argument_group("what is kept")
    switchable = [name for name in FILTERS if name not in ("empty", "score")]
    filters.add_argument("--keep", **REPEATED, choices=switchable, help="switch a filter off; can be repeated")
    filters.add_argument("--min-score", type=finite, metavar="X", help="drop pairs whose score is lower")
    default = PairFilter.max_characters
    filters.add_argument(
        "--max-characters",
        type=positive,
        default=default,
        metavar="N",
        help=f"maximum length of a side (default {default:,})",
    )
    filters.add_argument(
        "--max-length-ratio",
        type=above_zero,
        metavar="X",
        help="largest ratio of the sides' characters (default 4; 9 between Chinese, Japanese or Korean and others)",
    )
    splits = parser.add_argument_group("splits")
    share = "(default: 5 %% of the pairs, at most 2,000)"
    splits.add_argument("--validation", type=positive, metavar="N", help=f"number of pairs for validation {share}")
    splits.add_argument("--test", type=positive, metavar="N", help=f"number of pairs for test {share}")
    splits.add_argument(
        "--seed", type=seed, default=1, metavar="N", help="random seed for drawing validation and test (default 1)"
    )


def add_reading_options(parser: argparse.ArgumentParser) -> None:
    """Options that say which languages, columns and fields of the files are read."""
    parser.add_argument("--source", default="", metavar="CODE", help="source language (default: as the files say)")
    parser.add_argument("--target", default="", metavar="CODE", help="target language (default: as the files say)")
    table = parser.add_argument_group("tables and JSON")
    field = "column name, column letter, or JSON field (translation.de)"
    table.add_argument("--source-field", default="", metavar="FIELD", help=f"{field} of the source text")
    table.add_argument("--target-field", default="", metavar="FIELD", help="the same of the target text")
    table.add_argument("--score-field", default="", metavar="FIELD", help="the same of a score, for --min-score")
    table.add_argument("--sheet", default="", metavar="NAME", help="sheet of a workbook (default: the first)")
    table.add_argument("--header", choices=("yes", "no"), help="whether the first row names the columns")
    table.add_argument(
        "--encoding", default="", metavar="NAME", help="encoding of CSV and TSV files (default: detected)"
    )
    table.add_argument("--unfinished", action="store_true", help="keep fuzzy and unfinished translations")


def reading_of(options: argparse.Namespace) -> Reading:
    """What these options say."""
    from nmt.text.formats.pair import Reading

    names = ("source", "target", "source_field", "target_field", "score_field", "sheet", "encoding", "unfinished")
    header = None if options.header is None else options.header == "yes"
    return Reading(**{name: getattr(options, name) for name in names}, header=header, say=say)


def run(options: argparse.Namespace) -> None:
    from nmt.data.importing import import_files
    from nmt.errors import UserError

    if (options.min_score is None) != (not options.score_field):
        raise UserError("--min-score and --score-field need each other")
    filters = {name: getattr(options, name) for name in ("min_score", "max_characters", "max_length_ratio")}
    import_files(
        options.files,
        Path(options.output),
        reading_of(options),
        {"off": frozenset(options.keep), **filters},
        validation=options.validation,
        test=options.test,
        seed=options.seed,
        overwrite=options.overwrite,
        command=options.command_line,
        say=say,
    )
