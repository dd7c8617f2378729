"""Options of search and sampling, which several commands take."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from nmt.commands.options import positive, seed
from nmt.errors import UserError

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
