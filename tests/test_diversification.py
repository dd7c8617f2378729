"""What models of both directions make of the training text: pairs of its lines, each once, the same when resumed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from toys import toy_config, write_reversal

from nmt.cli import main
from nmt.config import Config, SourceConfig, check_config, load_config, parse_config, write_config
from nmt.data.corpus import load_pairs
from nmt.errors import UserError
from nmt.text.reading import read_lines
from nmt.training.diversification import both_directions, diversify, reverse


def quiet(line: str) -> None:
    pass


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    data = write_reversal(tmp_path_factory.mktemp("data"))
    with (data / "train.src").open("a") as source, (data / "train.rev").open("a") as target:
        source.write("\na b\n")
        target.write("\n\n")
    return toy_config(data, training={"epochs": 1}, decoding={"beam_size": 2})


@pytest.fixture(scope="module")
def folder(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("diversified")
    diversify(config, folder, 2, say=quiet)
    return folder


def pairs_of(config: Config, folder: Path, split: str) -> list[tuple[str, str]]:
    """The pairs as a training reads them."""
    extra = SourceConfig(path=str(folder), split=split)
    data = replace(config.data, extra=[extra])
    own = len(load_pairs(config.data, "train"))
    loaded = load_pairs(data, "train")
    return list(zip(loaded["source"], loaded["target"], strict=True))[own:]


def test_each_pair_has_a_line_of_the_text_on_one_side_and_is_new(config: Config, folder: Path) -> None:
    text = load_pairs(config.data, "train")
    known = set(zip(text["source"], text["target"], strict=True))
    for split, side, lines in (("src-rev", 0, text["source"]), ("rev-src", 1, text["target"])):
        pairs = pairs_of(config, folder, split)
        assert 20 < len(pairs) <= 2 * len(text)
        assert len(set(pairs)) == len(pairs)
        assert not known & set(pairs)
        assert {pair[side] for pair in pairs} <= set(lines)
        assert all(source.strip() and target.strip() for source, target in pairs)


def test_the_pairs_serve_the_opposite_direction(config: Config, folder: Path) -> None:
    there, back = (pairs_of(each, folder, "src-rev") for each in (config, reverse(config)))
    assert back == [(target, source) for source, target in there]


def test_the_models_start_from_one_of_both_directions(config: Config, folder: Path) -> None:
    pairs = list(zip(*(load_pairs(config.data, "train")[side] for side in ("source", "target")), strict=True))
    both = both_directions(config)
    loaded = load_pairs(both.data, "train")
    turned = [(target, source) for source, target in pairs]
    assert list(zip(loaded["source"], loaded["target"], strict=True)) == pairs + turned
    assert load_config(folder / "both" / "config.toml").data == both.data
    for name in ("src-rev-1", "rev-src-2"):
        assert load_config(folder / name / "config.toml").training.start_from == str(folder / "both" / "last")


def test_both_directions_turn_every_source(config: Config) -> None:
    extra = [SourceConfig(path="more", weight=0.5), SourceConfig(path="back", reversed=True)]
    data = replace(config.data, weight=2.0, tag="<own>", extra=extra)
    both = both_directions(replace(config, data=data, training=replace(config.training, epochs=5)))
    own = SourceConfig(path=data.path, split=data.train_split, weight=2.0, tag="<own>", reversed=True)
    turned = [own, replace(extra[0], reversed=True), replace(extra[1], reversed=False)]
    assert both.data.extra == [*extra, *turned]
    assert both.training.epochs == 3


def test_models_of_two_vocabularies_start_from_random_weights(config: Config, tmp_path: Path) -> None:
    apart = replace(config, vocabulary=replace(config.vocabulary, joint=False))
    apart = replace(apart, model=replace(apart.model, tied_embeddings="none"))
    diversify(apart, tmp_path, say=quiet)
    assert not (tmp_path / "both").exists()
    assert load_config(tmp_path / "src-rev-1" / "config.toml").training.start_from is None


def test_models_differ_by_their_seeds(folder: Path) -> None:
    one, other = (read_lines(folder / f"src-rev-{number}" / "translation.txt") for number in (1, 2))
    assert len(one) == len(other) == 122
    assert one != other


def test_what_is_there_is_not_made_again(config: Config, folder: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in sorted(folder.glob("*.*")) if path.is_file()}
    assert len(before) == 4
    made = [*folder.glob("*/translation.txt"), *folder.glob("*/best/model.safetensors")]
    assert len(made) == 9
    times = {path: path.stat().st_mtime_ns for path in made}
    diversify(config, folder, 2, say=quiet)
    assert {path: path.stat().st_mtime_ns for path in made} == times
    assert {path: path.read_bytes() for path in before} == before
    (folder / "src-rev-1" / "translation.sha256").write_text("of another text")
    (folder / "src-rev-1" / "translation.txt").write_text("its translation\n")
    diversify(config, folder, 2, say=quiet)
    assert {path: path.read_bytes() for path in before} == before


def test_translations_of_other_data_are_refused(config: Config, folder: Path, tmp_path: Path) -> None:
    other = toy_config(write_reversal(tmp_path / "other", pairs=50), training={"epochs": 1}, decoding={"beam_size": 2})
    before = {path: path.read_bytes() for path in folder.glob("*.*") if path.is_file()}
    with pytest.raises(UserError, match="the data are not those"):
        diversify(other, folder, 2, say=quiet)
    assert {path: path.read_bytes() for path in before} == before


def test_the_opposite_direction_twice_is_the_same_configuration(config: Config) -> None:
    sides = {"vocabulary": {"joint": False, "source": "a.spm", "target": "b.spm"}}
    apart = parse_config({"data": {"path": "text", "files": {"train": ["a", "b"]}}, **sides}, "apart")
    for each in (config, apart):
        assert reverse(reverse(each)) == each
    turned = reverse(apart)
    assert turned.data.files["train"] == ["b", "a"]
    assert (turned.data.source, turned.data.target) == (apart.data.target, apart.data.source)
    assert (turned.vocabulary.source, turned.vocabulary.target) == ("b.spm", "a.spm")


def test_the_opposite_direction_turns_further_text_too() -> None:
    extra = [{"path": "text", "files": {"train": ["a", "b"]}}, {"path": "csv", "files": {"train": ["c", "d"]}}]
    config = parse_config({"data": {"path": "my-corpus", "extra": extra}}, "here")
    assert [source.files["train"] for source in reverse(config).data.extra] == [["b", "a"], ["c", "d"]]


@pytest.mark.parametrize(
    "sections",
    [
        {"vocabulary": {"joint": False, "source": "a.spm"}},
        {"vocabulary": {"source": "a.spm"}},
        {"model": {"tied_embeddings": "all", "target_embeddings": "a.vec"}},
        {"model": {"tied_embeddings": "none", "target_embeddings": "a.vec"}},
    ],
)
def test_the_opposite_direction_is_a_possible_configuration(sections: dict[str, Any]) -> None:
    turned = reverse(parse_config(sections, "here"))
    assert not check_config(turned)
    assert reverse(turned) == parse_config(sections, "here")


def test_models_of_two_vocabularies_cannot_start_from_one(config: Config, tmp_path: Path) -> None:
    apart = replace(config, vocabulary=replace(config.vocabulary, joint=False))
    apart = replace(apart, training=replace(apart.training, start_from="runs/other"))
    with pytest.raises(UserError, match="needs a joint vocabulary"):
        diversify(apart, tmp_path, say=quiet)


def test_command_and_its_mistakes(config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "toy.toml"
    path.write_text(write_config(config))
    assert main(["diversify", str(path), "--output", str(tmp_path / "new"), "--threads", "1"]) == 0
    assert (tmp_path / "new" / "rev-src.rev").exists()
    capsys.readouterr()
    language_model = ["--set", "task=language_model", "--set", "training.truncation=9"]
    assert main(["diversify", str(path), *language_model, "--output", str(tmp_path / "x")]) == 2
    assert "translation model" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
    with pytest.raises(UserError, match="models"):
        diversify(config, tmp_path / "x", 0, say=quiet)
