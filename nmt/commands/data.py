"""`nmt data`: what is in training data, before anything is trained."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from nmt.commands.import_ import add_reading_options, reading_of
from nmt.commands.options import REPEATED, add_machine_options
from nmt.commands.streams import harmless, print_lines, say

TEXT = (
    "Show what is in training data before anything is trained. It counts pairs and words, finds duplicates, equal\n"
    "sides, wrong languages, lengths, numbers, tags and encodings, and near copies between the splits, and says\n"
    "whether the text is enough and how long the training takes."
)
EXAMPLE = "nmt data configs/captions-de-en.toml --report runs/data"


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("files", nargs="+", metavar="CONFIG|FILE", help="configuration (TOML), or the files that `nmt import` takes")
    add("--set", **REPEATED, metavar="SECTION.KEY=VALUE", help="change a setting; can be repeated")
    add("--report", metavar="DIR", help="folder for data.html, data.md and data.json")
    add(
        "--no-timing",
        action="store_true",
        help="leave out the few updates by which the time of the training is estimated",
    )
    add_reading_options(parser)
    add_machine_options(parser)


def run(options: argparse.Namespace) -> None:
    from nmt.config import Config, DataConfig, load_config
    from nmt.data.survey import is_configuration, survey_data, survey_files
    from nmt.errors import UserError
    from nmt.network.torch_engine import find_device
    from nmt.report.data_report import DataReport, describe, write_data_report
    from nmt.tasks.resolving import resolve_for_training
    from nmt.training.timing import training_minutes

    has_configuration = is_configuration(options.files)
    if has_configuration:
        config = load_config(options.files[0], options.set)
        if config.task != "translation":
            raise UserError(
                f"`{options.files[0]}` is for the task `{config.task}`, but `nmt data` is about translations"
            )
        survey = survey_data(config.data, say)
    else:
        if options.set:
            raise UserError("--set changes a configuration, but none is given")
        survey = survey_files(options.files, reading_of(options))
        source, target = survey.languages
        config = replace(Config(), data=replace(DataConfig(), source=source, target=target))
    config = resolve_for_training(config, find_device(options.device), lambda line: None, survey.amount)
    minutes = None
    if not options.no_timing and survey.sample:
        say("timing a few updates")
        machine = {"device": options.device, "threads": options.threads}
        minutes = training_minutes(config, survey.sample, survey.amount.pairs, **machine)
    name = ", ".join(options.files[:3]) + (", ..." if len(options.files) > 3 else "")
    report = DataReport(survey, name, config, has_configuration, minutes, options.command_line)
    if options.report:
        write_data_report(report, Path(options.report))
        say(f"report: {Path(options.report, 'data.html')}")
    print_lines(map(harmless, describe(report)))
