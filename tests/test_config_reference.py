"""The reference of all settings is up to date, and lists exactly the combinations that the checks refuse."""

from __future__ import annotations

import itertools
import sys
import types
import typing
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from all_pairs import MODEL_OPTIONS, TRAINING_OPTIONS, all_pairs

from nmt.config import SECTIONS, Config, check_config, parse_config
from nmt.config.rules import RULES
from nmt.config.tasks import BUILT_IN
from nmt.data.corpus import check_splits
from nmt.errors import UserError
from nmt.sizing import AUTO, NOMINAL, open_settings, resolve
from nmt.tasks.task import make_vocabularies

SCRIPT = Path(__file__).parent.parent / "scripts" / "config-reference"

Case = dict[str, Any]


def load_script() -> Any:
    loader = SourceFileLoader("config_reference", str(SCRIPT))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    sys.modules[loader.name] = module = module_from_spec(spec)  # where dataclasses look for the names of types
    loader.exec_module(module)
    return module


script = load_script()


def test_page_is_up_to_date() -> None:
    written = script.PAGE.read_text(encoding="utf-8")
    assert written == script.page(), "nmt/config has changed: run scripts/config-reference"


def test_page_has_every_setting() -> None:
    """A section's table ends where the next heading begins."""
    parts = script.page().split("\n## ")
    for section in SECTIONS:
        [part] = [part for part in parts if part.startswith(f"[{section}]\n")]
        for name in vars(getattr(Config(), section)):
            assert f"\n| `{name}` | " in part


def test_a_meaning_on_several_lines_is_joined() -> None:
    text = 'class A:\n    """Of A."""\n\n    size: int = 3\n    """One,\n    two | three."""\n    other: int = 4\n'
    assert script.read_meanings(text) == {"A": "Of A.", "A.size": "One, two | three."}


# What is refused


def options() -> dict[str, list[Any]]:
    """Two values or more of every setting that has them: all choices, or the default and others."""
    walked, found, usual = {**MODEL_OPTIONS, **TRAINING_OPTIONS}, {}, resolve(Config(), NOMINAL)
    hints = {"task": typing.get_type_hints(Config)["task"]}
    for section in SECTIONS:
        kind = type(getattr(Config(), section))
        hints |= {f"{section}.{name}": hint for name, hint in typing.get_type_hints(kind).items()}
    for name, hint in hints.items():
        section, _, key = name.rpartition(".")
        default = getattr(getattr(usual, section) if section else usual, key)
        values = [default, *walked.get(name, other_values(name, hint, default))]
        for rule in RULES:
            values += rule.together.get(name, [])
        found[name] = [value for number, value in enumerate(values) if value not in values[:number]]
    return {name: values for name, values in found.items() if len(values) > 1}


def other_values(name: str, hint: Any, default: Any) -> list[Any]:
    if get_origin(hint) is Literal:
        return [choice for choice in get_args(hint) if choice != default]
    if hint is bool:
        return [not default]
    special = {
        "task": [kind.name for kind in BUILT_IN if kind.name != default],
        "vocabulary.character_coverage": [0.99],
        "vocabulary.copied_spans": [0],
        "model.attention_heads": [1],
        "model.hidden_size": [12],
        "decoding.top_p": [0.9],
    }
    if name in special:
        return special[name]
    if hint in (int, float):
        return [2 * default or (0.3 if hint is float else 3)]
    return ["some.file"] if hint is str or (get_origin(hint) is types.UnionType and str in get_args(hint)) else []


OPTIONS = options()
USUAL: Case = {name: values[0] for name, values in OPTIONS.items()}
CHANGES: list[Case] = [{name: value} for name, values in OPTIONS.items() for value in values[1:]]
CHANGES.append({"task": "language_model", "training.truncation": 3})
CHANGES += [{name: AUTO} for name in open_settings(Config())]


def configured(case: Case) -> Config:
    """The default configuration with some settings changed."""
    config = Config()
    for name, value in case.items():
        section, _, key = name.rpartition(".")
        setattr(getattr(config, section) if section else config, key, value)
    return config


def mistakes(case: Case) -> list[str]:
    """What the checks say of a configuration."""
    return check_config(configured(case))


def completed(fixed: Case, changes: int = 3) -> Case | None:
    """A configuration with these settings that is accepted: the defaults, or a few changes that each help."""
    found = mistakes(fixed)
    if not found or not changes:
        return None if found else fixed
    for change in CHANGES:
        if not change.keys() & fixed.keys() and len(mistakes({**fixed, **change})) < len(found):
            complete = completed({**fixed, **change}, changes - 1)
            if complete is not None:
                return complete
    return None


def is_possible(fixed: Case) -> bool:
    """Whether some configuration with these settings is accepted."""
    key = repr(sorted(fixed.items(), key=lambda item: item[0]))
    if key not in POSSIBLE:
        POSSIBLE[key] = completed(fixed) is not None
    return POSSIBLE[key]


POSSIBLE: dict[str, bool] = {}
"""What `is_possible` has found: many rules share a part."""


def listed_pairs() -> set[tuple[str, str, str, str]]:
    """The pairs of values that the rules exclude; larger groups are apart."""
    return {
        pair((a, x), (b, y))
        for rule in RULES
        if len(rule.together) == 2
        for a, b in [rule.together]
        for x, y in itertools.product(OPTIONS[a], OPTIONS[b])
        if rule.broken(configured({a: x, b: y}))
    }


def pair(one: tuple[str, Any], other: tuple[str, Any]) -> tuple[str, str, str, str]:
    """Two settings with their values in a fixed order; True and 1 differ."""
    (a, x), (b, y) = sorted((one, other), key=lambda item: item[0])
    return a, repr(x), b, repr(y)


def test_every_listed_combination_is_refused_and_none_of_its_parts() -> None:
    """The rule itself refuses it, whatever another setting is; a rule without a message leaves that to other rules."""
    for rule in RULES:
        for case in rule.cases():
            assert mistakes(case), case
            if rule.must:
                for change in CHANGES:
                    assert AUTO in change.values() or rule.broken(configured({**USUAL, **change, **case})), (
                        case,
                        change,
                    )
            else:
                assert not is_possible(case), case
            for left_out in case:
                assert is_possible({name: value for name, value in case.items() if name != left_out}), (case, left_out)


def shown_pairs() -> set[tuple[str, str, str, str]]:
    """Most of the possible pairs: an accepted configuration with a value for every setting shows all of its pairs.

    A few such configurations differ in as many settings as the rules allow; each takes up every value of every setting.
    """
    shown = set()
    for number in range(4):
        whole = USUAL
        for name, values in OPTIONS.items():
            changed = {**whole, name: values[number % len(values)]}
            whole = whole if mistakes(changed) else changed
        for name, values in OPTIONS.items():
            others = [other for other in whole.items() if other[0] != name]
            for value in values:
                if not mistakes({**whole, name: value}):
                    shown |= {pair((name, value), other) for other in others}
    return shown


def excluded_tasks(name: str, value: Any) -> set[Any]:
    """The tasks that rules exclude for a value: two values between which no task is left are refused."""
    rules = [rule for rule in RULES if {*rule.together} == {"task", name}]
    return {
        task for task in OPTIONS["task"] if any(rule.broken(configured({"task": task, name: value})) for rule in rules)
    }


@pytest.mark.slow
def test_no_other_pair_is_refused() -> None:
    """Of all values of all settings in the configuration. What completes each alone is tried first, as it is faster.

    Listed pairs are not tried: nothing completes a pair that a rule excludes (`is_possible` needs seconds to see that).
    """
    known = listed_pairs() | shown_pairs()
    not_with = {(name, repr(x)): excluded_tasks(name, x) for name, values in OPTIONS.items() for x in values}
    tasks = set(OPTIONS["task"])
    alone = {(name, repr(x)): completed({name: x}) or {} for name, values in OPTIONS.items() for x in values}
    refused = {
        pair((a, x), (b, y))
        for a, b in itertools.combinations(OPTIONS, 2)
        for x, y in itertools.product(OPTIONS[a], OPTIONS[b])
        if pair((a, x), (b, y)) not in known
        and not_with[a, repr(x)] | not_with[b, repr(y)] != tasks
        and mistakes({a: x, b: y})
        and mistakes({**alone[a, repr(x)], **alone[b, repr(y)], a: x, b: y})
        and not is_possible({a: x, b: y})
    }
    assert refused == set()


def test_the_walk_of_all_pairs_meets_the_same_refusals() -> None:
    walked = {**MODEL_OPTIONS, **TRAINING_OPTIONS}
    _, impossible = all_pairs(walked)
    in_walk = {
        (a, x, b, y)
        for a, x, b, y in listed_pairs()
        if {a, b} <= set(walked) and x in map(repr, walked[a]) and y in map(repr, walked[b])
    }
    assert {pair((a, x), (b, y)) for a, x, b, y in impossible} == in_walk


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"files": {"train": "a.csv"}}, "`data.files` belongs to a builder"),
        ({"name": "de-en"}, "`data.name` names a configuration of a hub data set"),
    ],
)
def test_what_is_refused_with_the_data(data: dict[str, Any], message: str) -> None:
    """What is refused with `training.start_from` and for the processor is tested with the training."""
    with pytest.raises(UserError, match=message):
        check_splits(parse_config({"data": data}, "here").data)


def test_what_is_refused_with_the_vocabulary() -> None:
    config = parse_config({"vocabulary": {"source": "a.spm", "target": "b.spm"}}, "here")
    with pytest.raises(UserError, match=r"`vocabulary\.target` must be unset with a joint vocabulary"):
        make_vocabularies(config)
