"""Few configurations in which every two values of every two options meet, where the checks allow it."""

from __future__ import annotations

import itertools
import random
from typing import Any, get_args

from nmt.config import AttentionName, CellName, Config, check_config
from nmt.config.rules import RULES

Case = dict[str, Any]

MODEL_OPTIONS: dict[str, list[Any]] = {
    "model.cell": list(get_args(CellName)),
    "model.encoder_layers": [1, 2, 3],
    "model.decoder_layers": [1, 2],
    "model.transition_depth": [1, 2],
    "model.connections": ["none", "residual", "highway"],
    "model.bidirectional": [True, False],
    "model.reverse_source": [False, True],
    "model.input_normalization": ["none", "layer", "batch"],
    "model.context_input": ["none", "first", "all"],
    "model.attention": list(get_args(AttentionName)),
    "model.input_feeding": ["none", "luong", "bahdanau"],
    "model.coverage": [False, True],
    "model.tied_embeddings": ["none", "decoder", "all"],
    "model.initialization": ["uniform", "xavier", "orthogonal"],
    "model.dropout": [0.0, 0.2],
    "model.embedding_dropout": [0.0, 0.2],
    "model.output_dropout": [0.0, 0.2],
    "model.variational_dropout": [False, True],
    "model.weight_drop": [0.0, 0.2],
    "model.zoneout": [0.0, 0.2],
}

TRAINING_OPTIONS: dict[str, list[Any]] = {
    "training.objective": ["likelihood", "minimum_risk"],
    "training.risk_search": ["sample", "beam"],
    "training.risk_metric": ["bleu", "chrf"],
    "training.scheduled_sampling": ["none", "constant", "linear", "exponential", "inverse_sigmoid"],
    "training.truncation": [0, 3],
    "training.r_drop": [0.0, 1.0],
    "training.optimizer": ["adam", "adamw", "sgd", "adagrad"],
    "training.schedule": ["constant", "linear", "cosine", "inverse_sqrt", "halving"],
    "training.weight_decay": [0.0, 0.01],
    "training.label_smoothing": [0.0, 0.1],
    "training.average_decay": [0.0, 0.9],
    "training.source_sampling": [0.0, 0.3],
    "training.target_sampling": [0.0, 0.3],
    "training.source_word_dropout": [0.0, 0.1],
    "training.target_word_dropout": [0.0, 0.1],
    "training.batch_unit": ["sentences", "tokens"],
    "training.accumulation": [1, 2],
    "training.precision": ["fp32", "bf16"],
}

SMALL: Case = {"model.embedding_size": 8, "model.hidden_size": 12, "model.attention_heads": 3}


def configuration(case: Case) -> Config | None:
    """The configuration of a case, or None if the checks refuse it."""
    values: dict[str, Any] = {}
    for name, value in {**SMALL, **case}.items():
        section, key = name.split(".")
        values.setdefault(section, {})[key] = value
    base = Config()
    for section, settings in values.items():
        for key, value in settings.items():
            setattr(getattr(base, section), key, value)
    return None if check_config(base) else base


def all_pairs(options: dict[str, list[Any]]) -> tuple[list[Case], set[tuple[str, Any, str, Any]]]:
    """Cases that cover all pairs, and the pairs that no case may contain; the same at every call."""
    chance = random.Random(1)
    wanted = {
        (a, x, b, y): None
        for a, b in itertools.combinations(options, 2)
        for x, y in itertools.product(options[a], options[b])
    }
    plain = {name: values[0] for name, values in options.items()}
    cases: list[Case] = []
    impossible = set()
    while wanted:
        a, x, b, y = next(iter(wanted))
        fixed = {a: x, b: y}
        candidates = [{**{name: chance.choice(values) for name, values in options.items()}, **fixed} for _ in range(60)]
        allowed = [case for case in candidates if configuration(case)] or [
            case for case in [{**plain, **fixed}, *_nearly_plain(options, plain, fixed)] if configuration(case)
        ]
        if not allowed:
            impossible.add((a, x, b, y))
            del wanted[a, x, b, y]
            continue
        best = max(allowed, key=lambda case: sum(case[p] == u and case[q] == v for p, u, q, v in wanted))
        cases.append(best)
        wanted = {pair: None for pair in wanted if not (best[pair[0]] == pair[1] and best[pair[2]] == pair[3])}
    return cases, impossible


def _nearly_plain(options: dict[str, list[Any]], plain: Case, fixed: Case) -> list[Case]:
    """The plain case with one other option changed: for pairs that need a third option."""
    return [{**plain, name: value, **fixed} for name, values in options.items() for value in values]


def refused_pairs(options: dict[str, list[Any]]) -> set[frozenset[tuple[str, Any]]]:
    """The pairs of these values that the rules of the configuration exclude."""
    return {
        frozenset(case.items())
        for rule in RULES
        if len(rule.together) == 2 and rule.together.keys() <= options.keys()
        for case in rule.cases()
        if all(value in options[name] for name, value in case.items())
    }
