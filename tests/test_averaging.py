"""The mean of model folders: of one it is that model, of several their mean, and nothing else has one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from plain import parse_plain
from toys import toy_config

from nmt.config import Config
from nmt.errors import UserError
from nmt.model_folder import ModelFolder, model_card, open_model, weights_metadata, write_model
from nmt.text.vocabulary import Vocabulary, _familiar_field, learn_vocabulary
from nmt.training.averaging import average_models, mean_weights, read_weights

SHAPES = {"embedding": (24, 3), "bias": (5,), "temperature": ()}


@pytest.fixture(scope="module")
def vocabularies() -> list[Vocabulary]:
    """Two different vocabularies of the same size."""
    config = toy_config(Path("data")).vocabulary
    return [learn_vocabulary([letters] * 5, config, 16, "identity") for letters in ("a b c d e f", "g h i j k l")]


def write(folder: Path, vocabulary: Vocabulary, weights: dict[str, Any], config: Config | None = None) -> ModelFolder:
    """A model folder with any weights."""
    config = config or toy_config(Path("data"))
    content = safetensors.numpy.save(weights, weights_metadata(config, vocabulary, vocabulary))
    write_model(folder, config, vocabulary, vocabulary, content, model_card(config, {}))
    return open_model(folder)


def draw(seed: int) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    return {name: np.asarray(random.standard_normal(shape), np.float32) for name, shape in SHAPES.items()}


@pytest.fixture
def folders(tmp_path: Path, vocabularies: list[Vocabulary]) -> list[ModelFolder]:
    """Three models of one kind."""
    return [write(tmp_path / f"model{seed}", vocabularies[0], draw(seed)) for seed in range(3)]


def assert_equal(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one.keys() == other.keys()
    for name, weight in one.items():
        assert weight.dtype == other[name].dtype
        np.testing.assert_array_equal(weight, other[name])


@pytest.mark.parametrize("times", [1, 3, 7])
def test_the_mean_of_a_model_with_itself_is_the_model(folders: list[ModelFolder], times: int, tmp_path: Path) -> None:
    made = average_models([folders[0].path] * times, tmp_path / "mean")
    assert_equal(read_weights(made), draw(0))
    assert made.path == tmp_path / "mean"
    assert made.config == folders[0].config
    assert made.target_vocabulary.model == folders[0].target_vocabulary.model


def test_the_mean_of_several(folders: list[ModelFolder], tmp_path: Path) -> None:
    for number in (2, 3):
        made = average_models([folder.path for folder in folders[:number]], tmp_path / f"mean{number}")
        for name, weight in read_weights(made).items():
            expected = np.mean([draw(seed)[name].astype(np.float64) for seed in range(number)], axis=0)
            np.testing.assert_array_equal(weight, expected.astype(np.float32))
    assert_equal(mean_weights(folders), mean_weights([folders[2], folders[0], folders[1]]))


def test_models_that_were_trained_in_different_ways_have_a_mean(
    folders: list[ModelFolder], tmp_path: Path, vocabularies: list[Vocabulary]
) -> None:
    """The model that is named twice counts twice."""
    config = toy_config(Path("data"), model={"dropout": 0.4, "zoneout": 0.1, "forget_gate_bias": 0.0})
    other = write(tmp_path / "other", vocabularies[0], draw(1), config)
    made = average_models([folders[0].path, folders[0].path, other.path], tmp_path / "mean")
    first, second = draw(0), draw(1)
    for name, weight in read_weights(made).items():
        np.testing.assert_allclose(weight, (2 * first[name] + second[name]) / 3, rtol=1e-6)


def test_a_mean_can_be_averaged_again_and_its_vocabulary_is_checked(folders: list[ModelFolder], tmp_path: Path) -> None:
    made = average_models([folder.path for folder in folders], tmp_path / "mean")
    assert_equal(read_weights(average_models([made.path] * 2, tmp_path / "again")), read_weights(made))
    with safetensors.safe_open(made.weights, "numpy") as file:
        assert file.metadata()["joint.spm"] == made.target_vocabulary.checksum


def test_the_model_card_says_what_it_is(folders: list[ModelFolder], tmp_path: Path) -> None:
    average_models([folders[0].path, folders[1].path], tmp_path / "mean")
    card = (tmp_path / "mean" / "README.md").read_text(encoding="utf-8")
    parent = tmp_path.name
    assert f"| average of | 2 models: {parent}/model0, {parent}/model1 |" in card
    assert "validation" not in card


def test_whole_numbers_are_the_first_models(tmp_path: Path, vocabularies: list[Vocabulary]) -> None:
    names = []
    for count in (3, 8):
        weights = {"mean": np.float32([count]), "count": np.array(count)}
        names.append(write(tmp_path / str(count), vocabularies[0], weights).path)
    made = read_weights(average_models(names, tmp_path / "mean"))
    assert (made["mean"].tolist(), made["count"].tolist()) == ([5.5], 3)


def test_language_models_have_a_mean(tmp_path: Path, vocabularies: list[Vocabulary]) -> None:
    values = {"task": "language_model", "training": {"truncation": 8}, "data": {"path": "data"}}
    config = parse_plain(values, "toy")
    names = [write(tmp_path / str(seed), vocabularies[0], draw(seed), config).path for seed in range(2)]
    made = average_models(names, tmp_path / "mean")
    assert made.config.task == "language_model"
    assert sorted(path.name for path in made.path.iterdir()) == [
        "README.md",
        "config.toml",
        "model.safetensors",
        "target.spm",
    ]
    translation = write(tmp_path / "translation", vocabularies[0], draw(2))
    with pytest.raises(UserError, match=r"are different models \(task, "):
        average_models([names[0], translation.path], tmp_path / "no")


def test_different_models_have_no_mean(
    folders: list[ModelFolder], tmp_path: Path, vocabularies: list[Vocabulary]
) -> None:
    def refused(other: ModelFolder, message: str) -> None:
        with pytest.raises(UserError, match=message) as error:
            average_models([folders[0].path, other.path], tmp_path / "mean")
        assert str(folders[0].path) in str(error.value)
        assert str(other.path) in str(error.value)
        assert not (tmp_path / "mean").exists()

    config = toy_config(Path("data"), model={"hidden_size": 64, "cell": "gru"})
    larger = write(tmp_path / "larger", vocabularies[0], draw(1), config)
    refused(larger, r"are different models \(model\.cell, model\.hidden_size\) and have no mean; average checkpoints")
    seed = toy_config(Path("data"), training={"seed": 2})
    refused(write(tmp_path / "seed", vocabularies[0], draw(1), seed), r"are different models \(training\.seed\)")
    refused(write(tmp_path / "foreign", vocabularies[1], draw(1)), "must share the target vocabulary")
    other_shape = write(tmp_path / "shape", vocabularies[0], {**draw(1), "bias": np.zeros(7, np.float32)})
    refused(other_shape, r"`bias` is float32 \[5\] in the one, float32 \[7\] in the other")
    fewer = write(tmp_path / "fewer", vocabularies[0], {"bias": draw(1)["bias"]})
    refused(fewer, r"`embedding` is float32 \[24, 3\] in the one, missing in the other")
    half = write(tmp_path / "half", vocabularies[0], {**draw(1), "bias": draw(1)["bias"].astype(np.float16)})
    refused(half, r"`bias` is float32 \[5\] in the one, float16 \[5\] in the other")


def test_a_model_and_what_it_became_have_a_mean(
    folders: list[ModelFolder], tmp_path: Path, vocabularies: list[Vocabulary]
) -> None:
    """Fine-tuning adds words to the list in the vocabulary, which the mean keeps, in either order."""
    config = toy_config(Path("data"), training={"start_from": str(folders[0].path), "seed": 2})
    knows_more = Vocabulary(vocabularies[0].model + _familiar_field(["kiew"]))
    tuned = write(tmp_path / "tuned", knows_more, draw(1), config)
    for number, names in enumerate(([folders[0].path, tuned.path], [tuned.path, folders[0].path])):
        made = average_models(names, tmp_path / f"mean{number}")
        assert_equal(read_weights(made), mean_weights([folders[0], tuned]))
        assert made.source_vocabulary.model == knows_more.model and made.config == tuned.config
    with pytest.raises(UserError, match=r"training\.seed"):
        average_models([tuned.path, folders[1].path], tmp_path / "no")


def test_damaged_weights_are_named(folders: list[ModelFolder], tmp_path: Path) -> None:
    weights = folders[1].weights.read_bytes()
    folders[1].weights.write_bytes(weights[:-4])
    with pytest.raises(UserError, match=r"model1` is damaged: `model\.safetensors`"):
        average_models([folder.path for folder in folders], tmp_path / "mean")


def test_weights_that_numpy_cannot_hold_are_named(folders: list[ModelFolder], tmp_path: Path) -> None:
    header = b'{"bias":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]}}'
    folders[0].weights.write_bytes(len(header).to_bytes(8, "little") + header + b"ab")
    with pytest.raises(UserError, match=r"model0` is damaged: `model\.safetensors`"):
        average_models([folders[0].path], tmp_path / "mean")


def test_other_settings_of_training_do_not_matter(
    folders: list[ModelFolder], tmp_path: Path, vocabularies: list[Vocabulary]
) -> None:
    config = toy_config(Path("elsewhere"), training={"epochs": 9}, decoding={"beam_size": 9})
    other = write(tmp_path / "other", vocabularies[0], draw(1), config)
    assert average_models([folders[0].path, other.path], tmp_path / "mean").config == folders[0].config


def test_an_existing_output_is_kept(folders: list[ModelFolder], tmp_path: Path) -> None:
    before = folders[0].weights.read_bytes()
    for output in (folders[0].path, folders[0].weights):
        with pytest.raises(UserError, match="exists already and is not overwritten; choose another --output"):
            average_models([folders[1].path], output)
    assert folders[0].weights.read_bytes() == before
    (tmp_path / "empty").mkdir()
    assert average_models([folders[1].path], tmp_path / "empty").path == tmp_path / "empty"
    with pytest.raises(UserError, match="nothing to average"):
        average_models([], tmp_path / "none")
