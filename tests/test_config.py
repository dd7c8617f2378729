"""Reading, checking and writing configurations."""

from __future__ import annotations

import ast
import tomllib
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

import pytest

from nmt.config import SECTIONS, Config, apply_setting, load_config, parse_config, write_config
from nmt.errors import UserError

CONFIGS = sorted((Path(__file__).parent.parent / "configs").glob("*.toml"))


def test_written_config_reads_back_equal() -> None:
    config = parse_config(
        {
            "data": {"path": 'a "quoted"\\path\n', "files": {"train": ["a", "b"], "test": "c"}},
            "training": {"betas": [0.8, 0.9], "learning_rate": 1e-4},
            "vocabulary": {"size": 300},
        },
        "here",
    )
    assert parse_config(tomllib.loads(write_config(config)), "written") == config


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configs_are_valid(path: Path) -> None:
    assert isinstance(load_config(path), Config)


def test_all_mistakes_are_reported_at_once() -> None:
    values = {"model": {"hidden_size": "big", "hiden_size": 3}, "bogus": 1, "training": {"epochs": 1.5}}
    with pytest.raises(UserError) as error:
        parse_config(values, "my.toml")
    message = str(error.value)
    assert message.startswith("my.toml: ") and "\n" not in message
    assert "`model.hidden_size` must be a whole number or auto, but is 'big' instead" in message
    assert "unknown key `model.hiden_size`" in message
    assert "unknown key `bogus`" in message
    assert "`training.epochs` must be a whole number or auto, but is 1.5 instead" in message


@pytest.mark.parametrize(
    ("section", "key", "value", "rule"),
    [
        ("model", "hidden_size", 301, "must be even for a bidirectional encoder, but is 301 instead"),
        ("model", "dropout", 1.0, "must be at least 0 and below 1"),
        ("model", "cell", "lstmm", ", but is 'lstmm' instead"),
        ("model", "context_input", "some", "must be one of none, first, all, but is 'some' instead"),
        ("model", "bidirectional", 1, "must be true or false, but is 1 instead"),
        ("data", "target", "de", "must be another language than `data.source`"),
        ("data", "max_length", 0, "must be at least 1"),
        ("data", "files", {"train": 3}, "must be a table"),
        ("vocabulary", "size", 5, "must be auto or 16 to 1000000"),
        ("vocabulary", "normalization", "nfkc", "must be identity with a joint vocabulary"),
        ("vocabulary", "target", "x.spm", "must be unset unless `vocabulary.source` is set"),
        ("training", "betas", [0.9, 1.0], "must be two numbers from 0 to below 1"),
        ("training", "betas", [0.9], "must be a list of 2 numbers"),
        ("training", "learning_rate", 0, "must be greater than 0"),
        ("training", "learning_rate", True, "must be a number"),
        ("training", "target_sampling", 1.5, "must be between 0 and 1"),
        ("decoding", "beam_size", 0, "must be at least 1"),
        ("decoding", "alpha", -1, "must be at least 0"),
    ],
)
def test_impossible_values(section: str, key: str, value: object, rule: str) -> None:
    with pytest.raises(UserError) as error:
        parse_config({section: {key: value}}, "x")
    assert f"`{section}.{key}`" in str(error.value) and rule in str(error.value)


@pytest.mark.parametrize(
    ("values", "advice"),
    [
        ({"model": {"hiden_size": 3}}, "unknown key `model.hiden_size` (did you mean `model.hidden_size`?)"),
        ({"trainng": {}}, "unknown key `trainng` (did you mean `training`?)"),
        ({"model": {"epochs": 3}}, "unknown key `model.epochs` (it belongs to [training])"),
        ({"epochs": 3}, "unknown key `epochs` (it belongs to [training])"),
        ({"data": {"extra": [{"pth": "a"}]}}, "unknown key `data.extra.pth` (did you mean `data.extra.path`?)"),
        ({"vocabulary": {"xyz": 3}}, "unknown key `vocabulary.xyz` (the keys of [vocabulary] are model_type, size, "),
        ({"model": {"cell": "lsmt"}}, "but is 'lsmt' instead (did you mean `lstm`?)"),
        ({"model": {"attention": "dott"}}, "but is 'dott' instead (did you mean `dot`?)"),
        ({"data": {"extra": [{"path": ""}]}}, "`data.extra` number 1 must have a `path`, but has none"),
        ({"data": {"extra": [{"path": "a", "weight": 0}]}}, "`data.extra` number 1: `weight` must be greater than 0"),
        (
            {"model": {"transition_depth": 10**9}},
            "`model.transition_depth` must be at most 100, but is 1000000000 instead",
        ),
        ({"decoding": {"beam_size": 10**9}}, "`decoding.beam_size` must be at most 1000, but is 1000000000 instead"),
        (
            {"decoding": {"min_length": 10**6}},
            "`decoding.min_length` must be at least 0 and at most 1000, but is 10",
        ),
        (
            {"decoding": {"max_length_offset": 10**5}},
            "`decoding.max_length_offset` must be at least 0 and at most 100",
        ),
    ],
)
def test_what_may_have_been_meant(values: dict[str, object], advice: str) -> None:
    with pytest.raises(UserError) as error:
        parse_config(values, "x")
    assert advice in str(error.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            r'path = "C:\Users\x"',
            r"line 2, column \d+\); TOML reads a backslash in double quotes as an escape; write a",
        ),
        (r'path = "C:\texts\new"', r"`data\.path` has control characters: 'C:\\texts\\new'; TOML reads a backslash"),
        (r'files = {train = "d:\text.csv"}', r"`data\.files` has control characters"),
        ("path = ", r"not valid TOML: .* \(at line 2, column 8\)$"),
    ],
)
def test_windows_paths(line: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(f"[data]\n{line}\n")
    with pytest.raises(UserError, match=message):
        load_config(tmp_path / "config.toml")
    (tmp_path / "config.toml").write_text("[data]\npath = 'C:\\texts\\new'\n")
    assert load_config(tmp_path / "config.toml").data.path == "C:\\texts\\new"


def test_a_number_is_a_text_where_a_text_is_wanted(tmp_path: Path) -> None:
    """A folder called 2016, a tag that is a number."""
    (tmp_path / "config.toml").touch()
    settings = ["data.path=2016", "data.tag=1e3", "training.start_from=7", "training.epochs=7", "vocabulary.size=300"]
    config = load_config(tmp_path / "config.toml", settings)
    assert (config.data.path, config.data.tag, config.training.start_from) == ("2016", "1e3", "7")
    assert (config.training.epochs, config.vocabulary.size) == (7, 300)


def test_impossible_combinations() -> None:
    with pytest.raises(UserError, match=r"`model\.tied_embeddings` must be none or decoder without a joint vocabulary"):
        parse_config({"model": {"tied_embeddings": "all"}, "vocabulary": {"joint": False}}, "x")
    with pytest.raises(UserError, match=r"`training\.source_sampling` must be 0 with a character vocabulary"):
        parse_config({"training": {"source_sampling": 0.1}, "vocabulary": {"model_type": "char"}}, "x")
    with pytest.raises(UserError, match="`format` must be 2, but is 99: written by another version"):
        parse_config({"format": 99}, "x")
    with pytest.raises(UserError, match="`model` must be a section, but is 3 instead"):
        parse_config({"model": 3}, "x")


def test_settings_override_the_file(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('[data]\nsource = "en"\ntarget = "fr"\n[training]\nepochs = 3\n')
    config = load_config(path, ["training.epochs=7", "data.path=some/folder", "training.learning_rate=1e-4"])
    assert (config.training.epochs, config.data.path, config.training.learning_rate) == (7, "some/folder", 1e-4)
    assert config.data.target == "fr"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("training.epochs", "--set must be section.key=value, but is `training.epochs` instead"),
        ("=3", "--set must be section.key=value"),
        ("task.x=3", "`task` is not a section"),
    ],
)
def test_broken_settings(setting: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        apply_setting({"task": "translation"}, setting)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"`.*nowhere\.toml` does not exist"):
        load_config(tmp_path / "nowhere.toml")
    with pytest.raises(UserError, match="is a folder, but must be a TOML file"):
        load_config(tmp_path)
    broken = tmp_path / "broken.toml"
    broken.write_text("[data\npath = 3")
    with pytest.raises(UserError, match=r"is not valid TOML: .*line 1"):
        load_config(broken)
    broken.write_bytes(b"# \xff")
    with pytest.raises(UserError, match="cannot be read"):
        load_config(broken)


def test_every_field_says_what_it_means() -> None:
    """Each setting has its meaning as a string below it, in the source."""
    source = (Path(__file__).parent.parent / "nmt" / "config" / "fields.py").read_text(encoding="utf-8")
    classes = {node.name: node.body for node in ast.parse(source).body if isinstance(node, ast.ClassDef)}
    for section in SECTIONS:
        body = classes[type(getattr(Config(), section)).__name__]
        said = {ast.unparse(one).split(":")[0] for one, below in pairwise(body) if isinstance(below, ast.Expr)}
        assert {field.name for field in fields(getattr(Config(), section))} <= said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"[training]\nlearning_rate = {'9' * 400}\n", "`training.learning_rate` must be a number"),
        (f"[training]\nseed = {'9' * 5000}\n", "is not valid TOML"),
        (f"[training]\nbetas = {'[' * 3000}\n", "is not valid TOML"),
    ],
)
def test_numbers_and_brackets_beyond_all_measure_are_one_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(UserError, match=message) as error:
        load_config(tmp_path / "config.toml")
    assert "\n" not in str(error.value)
    with pytest.raises(UserError):
        load_config(tmp_path / "config.toml", [f"training.{text.splitlines()[1]}"])
