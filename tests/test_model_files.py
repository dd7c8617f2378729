"""Damaged files and files of strangers: one line that says which file, never a traceback or a silent other text."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import safetensors.numpy
from onnx import TensorProto, helper

from nmt.cli import main, translate_main
from nmt.commands.streams import harmless
from nmt.errors import UserError
from nmt.model_files import check_tensors, remove_abandoned, sealed_tensors, write_atomically
from nmt.model_folder import BUNDLED, EXPORT, MANIFEST, open_model, write_manifest
from nmt.translation.graph_file import check_graph
from nmt.translation.onnx_engine import load_engine
from nmt.translation.translator import Translator

LINE = "I am hungry."


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of a bundled model."""
    return shutil.copytree(BUNDLED / "en-de", tmp_path / "model")


def refused(folder: Path) -> str:
    """The message with which a model is refused when it is to translate."""
    with pytest.raises(UserError) as error:
        Translator.load(folder, threads=1).translate([LINE])
    assert "\n" not in str(error.value) and str(folder) in str(error.value)
    return str(error.value)


def flip(path: Path, place: int, bit: int = 3) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << bit
    path.write_bytes(content)


NAMES = ("config.toml", "joint.spm", "onnx/export.json", "onnx/weights.bin", "onnx/shortlist.npz", "onnx/rows.onnx")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_flipped_bit_is_noticed(folder: Path, name: str, share: float) -> None:
    flip(folder / name, int(share * (folder / name).stat().st_size))
    assert Path(name).name in refused(folder)


@pytest.mark.parametrize("name", ["weights.bin", "encoder.onnx", "shortlist.onnx"])
def test_files_of_two_exports_are_noticed(folder: Path, name: str) -> None:
    other = BUNDLED / "de-en" / EXPORT / name
    if other.read_bytes() != (folder / EXPORT / name).read_bytes():  # a graph may be the same in both
        shutil.copy(other, folder / EXPORT)
        assert f"`{EXPORT}/{name}`: it is not the file that was written with the others" in refused(folder)


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / EXPORT / "best.onnx").unlink()
    assert "`onnx/best.onnx`: No such file" in refused(folder)


def test_an_export_without_checksums_is_read(folder: Path) -> None:
    """Exports of before have none."""
    expected = Translator.load(folder, threads=1).translate([LINE])
    manifest = json.loads((folder / EXPORT / MANIFEST).read_text())
    del manifest["files"], manifest["checksum"]
    (folder / EXPORT / MANIFEST).write_text(json.dumps(manifest))
    config = (folder / "config.toml").read_text()
    (folder / "config.toml").write_text(config.partition("\n")[2])
    assert Translator.load(folder, threads=1).translate([LINE]) == expected


def test_a_configuration_can_be_changed_on_purpose(folder: Path) -> None:
    config = (folder / "config.toml").read_text()
    changed = config.replace("beam_size = 5", "beam_size = 2")
    assert changed != config
    (folder / "config.toml").write_text(changed)
    assert "`config.toml`: its checksum differs; if you changed it yourself, delete its line" in refused(folder)
    (folder / "config.toml").write_text(changed.partition("\n")[2])
    assert Translator.load(folder).decoding.beam_size == 2


@pytest.mark.parametrize("is_first", [True, False])
def test_a_configuration_without_its_end_is_refused(folder: Path, is_first: bool) -> None:
    """Its checksum is in the first line; in older files it is in the last one, without which nothing is compared."""
    seal, _, text = (folder / "config.toml").read_text().partition("\n")
    (folder / "config.toml").write_text(f"{seal}\n{text}" if is_first else f"{text}{seal}\n")
    expected = Translator.load(folder, threads=1).translate([LINE])
    assert len(expected) == 1
    cut = text[: text.index("beam_size")]
    (folder / "config.toml").write_text(f"{seal}\n{cut}" if is_first else f"{cut}{seal}\n")
    assert "`config.toml`: its checksum differs" in refused(folder)
    (folder / "config.toml").write_text(f"{seal[:5]}x{seal[6:]}\n{cut}")
    assert "`config.toml`: its checksum differs" in refused(folder)


MANIFESTS: dict[str, Any] = {
    "pieces": ["x", 0, -1, 10**12, True, 1.5, None, [7996]],
    "readout": ["x", 0, None],
    "integers": ["yes", 1, None],
    "task": ["transmogrification", None, []],
    "vocabularies": [None, [], {"joint.spm": 1}],
    "weights": [None, [], {"size": []}],
    "shortlist": ["yes", 3],
    "output": [None, {}, {"weight": -1, "scale": 0, "bias": 0}, {"weight": 2**62, "scale": 0, "bias": 0}],
    "files": [None, [], {"weights.bin": 1}, {"../config.toml": {"size": 1, "crc32": "00000000"}}],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in MANIFESTS.items() for value in values], ids=repr
)
def test_values_of_a_manifest_that_cannot_be_right(folder: Path, name: str, value: Any) -> None:
    manifest = json.loads((folder / EXPORT / MANIFEST).read_text())
    del manifest["checksum"], manifest["files"]
    (folder / EXPORT / MANIFEST).write_text(json.dumps({**manifest, name: value}))
    refused(folder)


@pytest.mark.parametrize("text", ["[" * 100_000, "{", "[]", "null", '{"format": 1}', '{"format": "\\u001b"}', "\xff"])
def test_what_is_no_manifest(folder: Path, text: str) -> None:
    (folder / EXPORT / MANIFEST).write_bytes(text.encode("latin-1"))
    refused(folder)


def test_pipes_and_huge_files_are_not_read(folder: Path) -> None:
    """A pipe in the place of a file would be waited for, and a huge file would fill the memory."""
    for name in ("config.toml", "joint.spm", "onnx/export.json"):
        copy = shutil.copytree(folder, folder.parent / Path(name).name)
        (copy / name).unlink()
        os.mkfifo(copy / name)
        assert re.search("it is not a file|is missing", refused(copy))
        (copy / name).unlink()
        with open(copy / name, "wb") as file:
            file.truncate(1 << 40)
        assert "but such a file has at most" in refused(copy)


def test_an_export_of_other_vocabularies(folder: Path) -> None:
    manifest = json.loads((folder / EXPORT / MANIFEST).read_text())
    write_manifest(folder / EXPORT, {**manifest, "pieces": 7000, "shortlist": None})
    assert "but the vocabulary has 8000" in refused(folder)


def replace_lists(folder: Path, compression: int = zipfile.ZIP_STORED, **arrays: Any) -> None:
    """Write another shortlist, with the right checksums."""
    with np.load(folder / EXPORT / "shortlist.npz") as file:
        values = {**file, **arrays}
    with zipfile.ZipFile(folder / EXPORT / "shortlist.npz", "w", compression) as archive:
        for name, value in values.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, np.asanyarray(value))
    write_manifest(folder / EXPORT, json.loads((folder / EXPORT / MANIFEST).read_text()))


@pytest.mark.parametrize(
    "arrays",
    [
        {"frequent": np.array([4, 8000])},
        {"frequent": np.array([3, 4])},
        {"frequent": np.array([4.0])},
        {"frequent": np.array([], np.int64)},
        {"frequent": np.array([4], object)},
        {"translations": np.full((8000, 4), -5)},
        {"translations": np.full((7999, 4), 5)},
        {"translations": np.full(8000, 5)},
    ],
)
def test_shortlists_that_cannot_be_right(folder: Path, arrays: dict[str, Any]) -> None:
    replace_lists(folder, **arrays)
    refused(folder)


def test_a_compressed_shortlist_is_refused(folder: Path) -> None:
    """A megabyte of it could become a terabyte."""
    replace_lists(folder, zipfile.ZIP_DEFLATED)
    assert "is compressed" in refused(folder)


def graph(path: Path, *nodes: onnx.NodeProto, constants: tuple[onnx.TensorProto, ...] = (), **more: Any) -> Path:
    """A graph with input x and output y."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows"]) for name in "xy")
    made = helper.make_graph(list(nodes), "g", [x], [y], list(constants))
    path.write_bytes(helper.make_model(made, **more).SerializeToString())
    return path


def elsewhere(location: str, offset: int, length: int) -> onnx.TensorProto:
    """A constant of four numbers in another file."""
    tensor = onnx.TensorProto(name="c", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, "offset": offset, "length": length}.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def test_graphs_of_our_own_are_taken(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(bytes(64))
    check_graph(graph(tmp_path / "g.onnx", helper.make_node("Tanh", ["x"], ["y"])))
    check_graph(graph(tmp_path / "g.onnx", constants=(elsewhere("weights.bin", 48, 16),)))
    for file in (BUNDLED / "de-en" / EXPORT).glob("*.onnx"):
        check_graph(file)


LOOP = helper.make_node("Loop", ["x"], ["y"], body=helper.make_graph([], "body", [], []))
OWN = helper.make_function("own", "f", ["x"], ["y"], [], [helper.make_opsetid("", 20)])
INTEGERS = helper.make_tensor("n", TensorProto.INT64, [2], [1 << 20, 1 << 20])
REFUSED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "loop": (lambda path: graph(path, LOOP), "its operator 'Loop' is not one that exports have"),
    "code": (
        lambda path: graph(path, helper.make_node("PyOp", ["x"], ["y"], domain="ai.onnx.contrib")),
        "its operator '.contrib.PyOp'|'ai.onnx.contrib.PyOp' is not one",
    ),
    "another file": (
        lambda path: graph(path, constants=(elsewhere("../config.toml", 0, 16),)),
        "'c' is in another file than weights.bin",
    ),
    "outside": (lambda path: graph(path, constants=(elsewhere("weights.bin", 60, 16),)), "is not inside weights.bin"),
    "too short": (lambda path: graph(path, constants=(elsewhere("weights.bin", 0, 15),)), "is not inside weights.bin"),
    "huge": (
        lambda path: graph(path, helper.make_node("ConstantOfShape", ["n"], ["y"]), constants=(INTEGERS,)),
        "makes a tensor of more than",
    ),
    "functions": (lambda path: graph(path, functions=[OWN]), "no functions of its own"),
    "text": (lambda path: path.write_bytes(b"PK\3\4 no graph"), "it"),
    "nothing": (lambda path: path.write_bytes(b""), "it must hold one graph"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_graphs_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "weights.bin").write_bytes(bytes(64))
    make, message = REFUSED[name]
    make(tmp_path / "g.onnx")
    with pytest.raises(UserError, match=rf"`g\.onnx`: .*({message})"):
        check_graph(tmp_path / "g.onnx")


def test_a_vocabulary_whose_pieces_are_no_text(folder: Path) -> None:
    content = (folder / "joint.spm").read_bytes()
    place = content.index("▁".encode(), 5000)
    (folder / "joint.spm").write_bytes(content[:place] + b"\xff" + content[place + 1 :])
    assert "joint.spm` is not a SentencePiece model" in refused(folder)


def test_a_graph_without_the_outputs_of_an_export(folder: Path) -> None:
    for name in ("encoder", "shortlist"):
        copy = shutil.copytree(folder, folder.parent / name)
        graph(copy / EXPORT / f"{name}.onnx", helper.make_node("Tanh", ["x"], ["y"]), ir_version=10)
        write_manifest(copy / EXPORT, json.loads((copy / EXPORT / MANIFEST).read_text()))
        assert f"{name}.onnx" in refused(copy)


def test_a_graph_that_the_runtime_refuses_prints_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its own second try would print four lines to standard output, where the translations go."""

    def refuse(*_: object) -> None:
        raise ValueError("'utf-8' codec can't decode byte 0xe9")

    monkeypatch.setattr("onnxruntime.InferenceSession._create_inference_session", refuse)
    assert "'utf-8' codec can't decode byte 0xe9" in refused(folder)
    assert capfd.readouterr().out == ""


def test_weights_know_their_checksum(tmp_path: Path) -> None:
    content = safetensors.numpy.save({"a": np.arange(12, dtype=np.float32), "b": np.ones(3)}, {"joint.spm": "é"})
    path = tmp_path / "model.safetensors"
    write_atomically(path, *sealed_tensors(content))
    check_tensors(path)
    tensors = safetensors.numpy.load_file(path)
    assert tensors["a"].tolist() == [*range(12)] and tensors["b"].tolist() == [1, 1, 1]
    with safetensors.safe_open(path, "numpy") as file:
        assert file.metadata()["joint.spm"] == "é"
    flip(path, path.stat().st_size - 5)
    with pytest.raises(UserError, match=r"`model\.safetensors`: its checksum differs"):
        check_tensors(path)
    path.write_bytes(struct.pack("<Q", 1 << 50) + b"{}")
    with pytest.raises(UserError, match=r"`model\.safetensors`: its header is longer than the file"):
        check_tensors(path)


@pytest.mark.parametrize("setting", ["model.decoder_layers", "decoding.beam_size", "decoding.samples"])
def test_sizes_beyond_all_measure(setting: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    section, name = setting.split(".")
    (tmp_path / "c.toml").write_text(f"[{section}]\n{name} = 1000000000\n")
    assert main(["vocab", str(tmp_path / "c.toml")]) == 2
    assert f"`{setting}` must be at most" in capsys.readouterr().err


def test_a_number_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c.toml").write_text("[model]\nforget_gate_bias = nan\n[decoding]\ntemperature = inf\n")
    assert main(["vocab", str(tmp_path / "c.toml")]) == 2
    message = capsys.readouterr().err
    assert "`model.forget_gate_bias` must be a finite number, but is nan" in message
    assert message.count("decoding.temperature") == 1


def test_a_beam_beyond_all_measure(capsys: pytest.CaptureFixture[str]) -> None:
    assert translate_main(["--model", "de-en", "--beam-size", "1000000000"]) == 2
    assert "--beam-size must be at most 1000" in capsys.readouterr().err.replace("`", "")


def test_no_message_reaches_the_terminal_as_a_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c.toml").write_text('"\\u001b]0;owned\\u0007\\u001b[2J\\u009b\\u202e" = 1\n[data]\n"a\\nb" = 1\n')
    assert main(["vocab", str(tmp_path / "c.toml")]) == 2
    message = capsys.readouterr().err
    assert r"\x1b]0;owned\x07\x1b[2J\x9b\u202e" in message and r"data.a\nb" in message
    assert message.count("\n") == 1 and message.replace("\n", "").isprintable()
    with pytest.raises(SystemExit):
        main(["train\x1b[2J"])
    assert "\x1b" not in capsys.readouterr().err
    assert harmless("größer – „日本“ 👩‍👩‍👧 \U0010ffff") == "größer – „日本“ 👩‍👩‍👧 \U0010ffff"


def test_files_of_ended_processes_are_removed(tmp_path: Path) -> None:
    """A process that is killed while it writes leaves a temporary file."""
    ended = 2**22 + 1  # above the largest number of a process
    for name in (f".file.{ended}.tmp", f".file.{os.getpid()}.tmp", f".other.{ended}.tmp", ".file.x.tmp"):
        (tmp_path / name).touch()
    write_atomically(tmp_path / "file", b"a", b"b")
    assert (tmp_path / "file").read_bytes() == b"ab"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".file.x.tmp", f".other.{ended}.tmp", "file"]
    (tmp_path / f"writing-{ended}").mkdir()
    remove_abandoned(tmp_path, "writing-")
    assert not (tmp_path / f"writing-{ended}").exists()


def test_the_task_of_an_export_is_that_of_its_configuration(folder: Path) -> None:
    opened = open_model(folder)
    opened.config.task = "language_model"
    with pytest.raises(UserError, match="is of another task than"):
        load_engine(opened)
