"""Every form of input gives the same pairs, every mistake one line, and a second start reads nothing again."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import json
import os
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from huggingface_hub import constants

from nmt.config import DataConfig, SourceConfig
from nmt.data import captions, hub
from nmt.data.corpus import (
    Corpus,
    FilterCounts,
    TextCounts,
    check_splits,
    load_pairs,
    load_texts,
    prepare_corpus,
    prepare_text,
    training_tags,
)
from nmt.errors import UserError
from nmt.text.cleaning import clean_target
from nmt.text.reading import read_lines, read_parallel

PAIRS = [("Ein Haus.", "A house."), ("Zwei 🙂Häuser", 'Two "houses"'), ("", "nothing"), ("drei, vier", "3, 4")]


@pytest.fixture(autouse=True)
def _alone(monkeypatch, tmp_path):
    """No network, and a cache of the test's own."""

    def refuse(*args):
        raise AssertionError("a test opened a network connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("NMT_CACHE", str(tmp_path / "cache"))


class Characters:
    """A vocabulary in which every character is a piece."""

    checksum = "characters"

    def encode_batch(self, texts):
        return [[ord(c) for c in text] for text in texts]


class Broken(Characters):
    """The same vocabulary, but it cannot segment."""

    def encode_batch(self, texts):
        raise AssertionError("the text was segmented again")


def lines(texts):
    return "".join(text + "\n" for text in texts).encode()


def write_folder(folder, pairs=PAIRS, split="train", source="de", target="en"):
    folder.mkdir(exist_ok=True)
    (folder / f"{split}.{source}").write_bytes(lines(pair[0] for pair in pairs))
    (folder / f"{split}.{target}").write_bytes(lines(pair[1] for pair in pairs))
    return DataConfig(path=str(folder), source=source, target=target)


def builder(kind, file, split="train"):
    return DataConfig(path=kind, files={split: file if isinstance(file, list) else str(file)})


def read(data, split="train"):
    pairs = load_pairs(data, split)
    assert pairs.column_names == ["source", "target"]
    return list(zip(pairs["source"], pairs["target"], strict=True))


def fails(text):
    """UserError whose message holds this text, and is one line."""
    return pytest.raises(UserError, match=r"\A[^\n]*" + re.escape(text) + r"[^\n]*\Z")


# Text files


def test_only_lf_ends_a_line(tmp_path):
    path = tmp_path / "a"
    path.write_bytes("\ufeffa\rb\u2028c\x85d\x0b\ne\r\n\n\ufeffend\r".encode())
    expected = ["a\rb\u2028c\x85d\x0b", "e", "", "\ufeffend\r"]
    assert read_lines(path) == expected
    with gzip.open(tmp_path / "a.gz", "wb") as file:
        file.write(path.read_bytes())
    assert read_lines(str(tmp_path / "a.gz")) == expected


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf"])
def test_an_empty_file_has_no_line(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    assert read_lines(tmp_path / "a") == []


def test_broken_encoding_names_file_and_line(tmp_path):
    path = tmp_path / "train.de"
    path.write_bytes("gut\nauch gut\nschön\n".encode("latin-1"))
    with fails(f"`{path}` line 3 is not valid UTF-8: its byte 4 is 0xf6; convert the file to UTF-8"):
        read_lines(path)


def test_files_that_cannot_be_read(tmp_path):
    with fails("none` does not exist"):
        read_lines(tmp_path / "none")
    with fails("cannot be read: Is a directory"):
        read_lines(tmp_path)
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"line\n" * 1000)[:-12])
    with fails("a.gz` cannot be read: Compressed file ended"):
        read_lines(tmp_path / "a.gz")
    (tmp_path / "b.gz").write_bytes(gzip.compress(b"line\n")[:12] + b"no more of it")
    with fails("b.gz` cannot be read: Error -3 while decompressing"):
        read_lines(tmp_path / "b.gz")


def test_parallel_files_must_be_aligned(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, count in (("train.de", 5), ("train.en", 4), ("train.fr", 5), ("train.cs", 7)):
        Path(name).write_bytes(b"x\n" * count)
    assert read_parallel(["train.de", "train.fr"]) == [["x"] * 5] * 2
    message = "`train.de` has 5 lines but `train.en` has 4; parallel files must be line-aligned"
    with fails(message):
        read_parallel(["train.de", "train.fr", "train.en"])
    with fails(message):
        read(builder("text", ["train.de", "train.en"]))
    with fails("`train.de` has 5 lines but `train.cs` has 7; parallel"):
        read(builder("text", ["train.de", "train.cs"]))


def test_text_builder(tmp_path):
    write_folder(tmp_path / "a")
    files = [str(tmp_path / "a" / "train.de"), str(tmp_path / "a" / "train.en")]
    assert read(builder("text", files)) == PAIRS
    with fails("`data.files.train` must be a source file and a target file"):
        read(builder("text", files[:1]))
    with fails("`data.files.train` must name the source file first, but is"):
        read(builder("text", files[::-1]))


# Folders


def test_folder_names(tmp_path):
    folder = tmp_path / "folder"
    write_folder(folder)
    write_folder(folder, [("v", "w")], split="val")
    write_folder(folder, [("t", "u")], split="test_2016_flickr.en-de")
    for name in ("val.de", "test_2016_flickr.en-de.en"):
        (folder / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes()))
        (folder / name).unlink()
    data = DataConfig(path=str(folder), test_split="test_2016_flickr")
    assert read(data) == PAIRS
    assert read(data, "validation") == [("v", "w")]
    assert read(data, "test") == [("t", "u")]
    swapped = DataConfig(path=str(folder), source="en", target="de")
    assert read(swapped) == [pair[::-1] for pair in PAIRS]


@pytest.mark.parametrize("split", ["validation", "val", "valid", "dev"])
def test_validation_file_names(tmp_path, split):
    assert read(write_folder(tmp_path / "a", split=split), "validation") == PAIRS


def test_folder_errors(tmp_path):
    data = write_folder(tmp_path / "a")
    listing = "the files there are: train.de, train.en; set `data.test_split`, `data.source` and `data.target`"
    with fails(f"`{tmp_path}/a` has no files `test.de` and `test.en` (plain or .gz); {listing}"):
        load_pairs(data, "test")
    with fails("has no files `dev.de`"):
        load_pairs(DataConfig(path=data.path, validation_split="dev"), "validation")
    with fails(f"folder `{tmp_path}/none` does not exist"):
        load_pairs(DataConfig(path=str(tmp_path / "none")), "train")
    with fails("a split must be one of train, validation, test, but is `val` instead"):
        load_pairs(data, "val")
    with fails("`data.files` belongs to a builder: `data.path` must be one of json, csv, tsv, parquet, text, conll"):
        load_pairs(DataConfig(path=data.path, files={"train": "x"}), "train")
    with fails("`data.name` names a configuration of a hub data set and must be unset"):
        load_pairs(DataConfig(path=data.path, name="de-en"), "train")
    for builder in ("text", "conll", "npz"):
        with fails(f"`data.score` names a column, which `{builder}` does not have; leave it out"):
            load_pairs(DataConfig(path=builder, files={"train": "x"}, score="s", min_score=1.0), "train")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.csv", 'write path = "csv" and files = {train = "'),
        ("x.jsonl.gz", 'write path = "json" and'),
        ("x.tsv", 'write path = "tsv" and'),
        ("x.de", 'x.de", "TARGET FILE"], ...}'),
        ("x.zip", "x.zip` is an archive, which is not read here; unpack it and give the folder or the files"),
        ("x.de-en.tar.gz", "is an archive"),
        (
            "x.tmx",
            "x.tmx` is a translation memory or another file of translations, which is not read here; make text of",
        ),
        (
            "X.XLSX",
            "X.XLSX` is a spreadsheet, which is not read here; make text of it: nmt import ",
        ),
        ("x.docx", "x.docx` is a document, which is not read here; save it as plain text with a sentence a line"),
    ],
)
def test_path_of_a_file(tmp_path, name, text):
    (tmp_path / name).touch()
    with fails(text):
        load_pairs(DataConfig(path=str(tmp_path / name)), "train")


def test_files_that_are_not_named(tmp_path):
    with fails("`data.files` has no split `train` (`data.train_split`); its splits are none; write"):
        load_pairs(DataConfig(path="csv"), "train")
    with fails("`data.files` has no split `test` (`data.test_split`); its splits are train"):
        load_pairs(builder("csv", tmp_path / "train.csv"), "test")
    with fails("train.csv` cannot be read: No such file"):
        load_pairs(builder("csv", tmp_path / "train.csv"), "train")
    with fails("`data.files.train` must name a file, but is empty"):
        load_pairs(builder("csv", []), "train")


def test_a_split_without_pairs(tmp_path):
    with fails("train.en` must hold sentence pairs, but is empty instead"):
        load_pairs(write_folder(tmp_path / "a", []), "train")
    (tmp_path / "x.csv").write_text("de,en\n")
    (tmp_path / "x.json").write_text(" \n")
    (tmp_path / "x.tsv").write_text("")
    for kind in ("csv", "json", "tsv"):
        with fails(f"x.{kind}` must hold sentence pairs, but is empty instead"):
            load_pairs(builder(kind, tmp_path / f"x.{kind}"), "train")


# JSON, CSV, TSV, Parquet


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("array", [False, True])
def test_json(tmp_path, nested, array):
    records = [{"de": source, "en": target, "id": 1} for source, target in PAIRS]
    records = [{"translation": record} for record in records] if nested else records
    path = tmp_path / "x.json"
    path.write_text(json.dumps(records, indent=1) if array else "\n".join(map(json.dumps, records)) + "\n\n")
    assert read(builder("json", path)) == PAIRS


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"de": "a", "en": "b"}\n\n{"de": "a" "b"}', "line 3 is not valid JSON: Expecting ',' delimiter at column 12"),
        ('["a", "b"]\n["c", "d"]', "line 2 is not valid JSON: Extra data"),
        ('[\n{"de": 1,}]', "line 2 is not valid JSON: "),
        ('["a"]', "record 1 must be a JSON object, but is 'a' instead"),
        ('{"de": "a", "en": "b"}\n17', "line 2 must be a JSON object, but is 17 instead"),
        ('{"de": "a", "en": null}', "line 1: `en` must be a text, but is null instead"),
        ('{"de": ["a"], "en": "b"}', "line 1: `de` must be a text, but is ['a'] instead"),
        ('{"de": "\\ud800", "en": "b"}', "line 1: `de` must be a text, but holds \\ud800, half of a character"),
        ('{"de": "a", "fr": "b"}', "line 1 has no column `en`; its columns are de, fr; set `data.source`"),
        (
            '{"translation": {"cs": "a", "en": "b"}}',
            "line 1 has no column `de`; its columns are translation (the languages of `translation` are cs, en)",
        ),
        ('{"de": "a", "en": ' + "[" * 100_000, "line 1 is not valid JSON: "),
        ("[" * 100_000, "is not valid JSON: "),
    ],
)
def test_json_errors(tmp_path, content, message):
    path = tmp_path / "x.jsonl"
    path.write_text(content)
    with fails(f"`{path}` {message}"):
        read(builder("json", path))


def test_csv(tmp_path):
    path = tmp_path / "x.csv"
    rows = "".join(f'{i},"{s}","{t.replace(chr(34), chr(34) * 2)}"\r\n' for i, (s, t) in enumerate(PAIRS))
    path.write_bytes(b"\xef\xbb\xbfid,de,en\r\n\r\n" + rows.encode())
    assert read(builder("csv", path)) == PAIRS


def test_values_stay_text_and_become_one_line(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b'de,en\nNone,NA\n007,null\n"two\nlines\r\nhere"," kept "\n')
    assert read(builder("csv", path)) == [("None", "NA"), ("007", "null"), ("two lines here", " kept ")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("de,en\na,b\nc\n", "line 3 must have 2 fields, but has 1 instead"),
        ('de,en\n"a\na",b\nc,d,e\n', "line 4 must have 2 fields, but has 3 instead"),
        ('de,en\na,b\n"c,d\ne,f\n', "line 3 is not valid CSV: unexpected end of data"),
        ('de,en\n"a"b,c\n', "line 2 is not valid CSV: ',' expected after '\"'"),
        ("a,b\nc,d\n", "has no column `de` and no column `en`; its columns are a, b; its first line must name th"),
        ('"a\n\tb",c\nd,e\n', "has no column `de` and no column `en`; its columns are a\\n\tb, c; its first line must"),
        (
            ",".join("c" * 25) + "\n",
            f"has no column `de` and no column `en`; its columns are {'c, ' * 20}and 5 more",
        ),
        ("x" * 200_000 + "\n", "line 1 is not valid CSV: field larger than field limit"),
    ],
)
def test_csv_errors(tmp_path, content, message):
    path = tmp_path / "x.csv"
    path.write_text(content)
    with fails(f"`{path}` {message}"):
        read(builder("csv", path))


def test_tsv_knows_no_quotes(tmp_path):
    path = tmp_path / "x.tsv"
    path.write_text('en\tde\n"a\t b\\"\n\n\'\t""\n', newline="\n")
    assert read(builder("tsv", path)) == [(' b\\"', '"a'), ('""', "'")]
    path.write_text("en\tde\na\tb\tc\n")
    with fails("line 2 must have 2 fields, but has 3 instead"):
        read(builder("tsv", path))


def test_several_files_make_one_split(tmp_path):
    for name in "ab":
        (tmp_path / name).write_text(f"de\ten\n{name}\t{name}\n")
    assert read(builder("tsv", [str(tmp_path / "a"), str(tmp_path / "b")])) == [("a", "a"), ("b", "b")]


def columns(pairs=PAIRS):
    return {"de": [pair[0] for pair in pairs], "id": list(range(len(pairs))), "en": [pair[1] for pair in pairs]}


def translations(pairs=PAIRS):
    return {"translation": [{"de": source, "en": target} for source, target in pairs]}


@pytest.mark.parametrize("layout", [columns, translations])
def test_parquet(tmp_path, layout):
    path = tmp_path / "x.parquet"
    pyarrow.parquet.write_table(pa.table(layout()), path)
    assert read(builder("parquet", path)) == PAIRS


def test_parquet_errors(tmp_path):
    path = tmp_path / "x.parquet"
    data = builder("parquet", path)
    path.write_bytes(b"PAR1 no")
    with fails("x.parquet` cannot be read as Parquet: "):
        read(data)
    pyarrow.parquet.write_table(pa.table({"de": ["a", "b"], "en": ["c", None]}), path)
    with fails(f"`{path}` row 2: `en` must be a text, but is null instead"):
        read(data)
    pyarrow.parquet.write_table(pa.table({"translation": [{"de": "a", "en": "b"}, None]}), path)
    with fails(f"`{path}` row 2: `de` must be a text, but is null instead"):
        read(data)
    pyarrow.parquet.write_table(pa.table({"de": [1], "en": ["c"]}), path)
    with fails(f"`{path}` row 1: `de` must be a text, but is 1 instead"):
        read(data)
    pyarrow.parquet.write_table(pa.table({"de": ["a"], "fr": ["c"]}), path)
    with fails(f"`{path}` has no column `en`; its columns are de, fr; set `data.source` and `data.target`"):
        read(data)
    broken = pa.array([b"fine", b"\xff"]).view(pa.string())
    pyarrow.parquet.write_table(pa.table({"de": ["a", "b"], "en": broken}), path)
    with fails(f"`{path}` row 2 is not valid UTF-8; convert it to UTF-8"):
        read(data)


def test_a_text_column_may_be_called_translation(tmp_path):
    path = tmp_path / "x.parquet"
    pyarrow.parquet.write_table(pa.table({"de": ["a"], "translation": ["b"]}), path)
    assert read(DataConfig(path="parquet", files={"train": str(path)}, target="translation")) == [("a", "b")]


# Saved data sets, the hub, the built-in corpus


@pytest.mark.parametrize("layout", [columns, translations])
def test_saved_folder(tmp_path, layout, capfd):
    whole = datasets.Dataset.from_dict(layout())
    whole.save_to_disk(tmp_path / "one")
    splits = {"train": whole, "test": datasets.Dataset.from_dict(layout([("t", "u")]))}
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "both")
    capfd.readouterr()
    assert read(DataConfig(path=str(tmp_path / "one"))) == PAIRS
    both = DataConfig(path=str(tmp_path / "both"))
    assert read(both) == PAIRS
    assert read(both, "test") == [("t", "u")]
    assert capfd.readouterr().err == ""  # no progress bars
    with fails("both` has no split `validation` (`data.validation_split`); its splits are train, test"):
        load_pairs(both, "validation")
    with fails("one` has no split `test` (`data.test_split`); its splits are train"):
        load_pairs(DataConfig(path=str(tmp_path / "one")), "test")
    (tmp_path / "one" / "state.json").write_text("{")
    with fails("one` cannot be read as a saved data set: "):
        load_pairs(DataConfig(path=str(tmp_path / "one")), "train")


@pytest.mark.parametrize("layout", [columns, translations])
def test_hub(monkeypatch, layout):
    calls = []

    def load_dataset(path, name, split):
        calls.append((path, name, split))
        return datasets.Dataset.from_dict(layout())

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert read(DataConfig(path="wmt/wmt14", name="de-en"), "validation") == PAIRS
    assert calls == [("wmt/wmt14", "de-en", "validation")]
    with fails("`wmt/wmt14` has no column `fr`"):
        read(DataConfig(path="wmt/wmt14", source="fr"))


@pytest.mark.parametrize("layout", [columns, translations])
def test_a_stream_of_the_hub_is_prepared_once(monkeypatch, tmp_path, layout):
    """What training reads is in the cache: the same pairs as without a stream, and a second start reads no row."""
    rows = datasets.Dataset.from_dict(layout())
    rows.to_parquet(str(tmp_path / "train.parquet"))
    calls = []

    def load_dataset_builder(path, name):
        calls.append((path, name))
        files = {"train": str(tmp_path / "train.parquet")}
        return load("parquet", data_files=files, cache_dir=str(tmp_path / "builder"))

    load = datasets.load_dataset_builder
    monkeypatch.setattr(datasets, "load_dataset_builder", load_dataset_builder)
    data = DataConfig(path="wmt/wmt14", name="de-en", streaming=True)
    first = prepare(data)
    assert list(zip(*first.text(range(len(first))), strict=True)) == [pair for pair in PAIRS if pair[0]]
    assert calls[0] == ("wmt/wmt14", "de-en") and not list((tmp_path / "builder").rglob("*.arrow"))
    monkeypatch.setattr(datasets.IterableDataset, "iter", refuse_to_read)
    second = prepare(data, vocabulary=Broken())
    assert second.pairs[:] == first.pairs[:]
    with fails("`wmt/wmt14` has no split `valid` (`data.validation_split`); its splits are train"):
        load_pairs(DataConfig(path="wmt/wmt14", validation_split="valid", streaming=True), "validation")


def test_a_stream_that_breaks_off(monkeypatch, tmp_path):
    def broken():
        yield {"de": "Ein Haus.", "en": "A house."}
        raise ConnectionError("connection reset")

    features = datasets.Features({side: datasets.Value("string") for side in ("de", "en")})
    stream = datasets.IterableDataset.from_generator(broken, features=features)
    monkeypatch.setattr("nmt.data.hub.open_stream", lambda *place: (stream, ["one"]))
    with fails("the stream of `some/set` split `train` broke off: connection reset; start again"):
        load_pairs(DataConfig(path="some/set", streaming=True), "train")
    assert not list((tmp_path / "cache").glob("*.arrow"))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            ConnectionError("Couldn't reach 'some/set' on the Hub\n(LocalEntryNotFoundError)"),
            "`some/set` is no folder here and cannot be loaded from the Hugging Face hub: Couldn't reach 'some/set' on "
            "the Hub (LocalEntryNotFoundError); check the id (`data.path`, `data.name`) and the connection, or use l",
        ),
        (datasets.exceptions.DatasetNotFoundError("it doesn't exist"), "hub: it doesn't exist; check the id"),
        (ValueError("Config name is missing.\n\tPick one of ['a']"), "hub: Config name is missing. Pick one of ['a'];"),
        (
            ValueError("Unknown split \"train\". Should be one of ['training', 'test']."),
            "`some/set` has no split `train` (`data.train_split`); its splits are training, test",
        ),
        (RuntimeError("x" * 1000), "hub: " + "x" * 297 + "...; check"),
        (RuntimeError(), "hub: RuntimeError; check"),
    ],
)
def test_hub_errors(monkeypatch, error, message):
    def load_dataset(path, name, split):
        raise error

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with fails(message):
        load_pairs(DataConfig(path="some/set"), "train")


def test_a_mistyped_path_without_network_is_known_at_once(monkeypatch, tmp_path):
    """The hub's client is asked for what is in its cache, and waits for nothing."""
    offline = []

    def load_dataset(path, name, split):
        offline.append((datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE))
        raise ConnectionError(f"Couldn't reach {path}")

    def refuse(*arguments):
        raise OSError("no route")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub.socket, "create_connection", refuse)
    monkeypatch.setattr(hub, "getproxies", dict)
    (tmp_path / "data" / "multi30k").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with fails(
        "`dat/multi30k` is no folder here (did you mean `data/multi30k`?) and cannot be loaded from the Hugging Face "
        "hub: there is no connection to it, and its cache does not have the data set; check the id"
    ):
        load_pairs(DataConfig(path="dat/multi30k"), "train")
    assert offline == [(True, True)]
    assert (datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE) == (False, False)
    monkeypatch.setattr(hub, "getproxies", lambda: {"https": "http://proxy"})
    assert hub.answers()


def write_captions(file, pairs):
    """A table of captions, with the same texts in French and in English."""
    german, english = zip(*pairs, strict=True)
    texts = {language: {"train": column} for language, column in (("de", german), ("en", english), ("fr", english))}
    file.write_bytes(bz2.compress(json.dumps(texts).encode()))
    return file


def test_captions_are_read_again_when_their_table_changes(monkeypatch, tmp_path):
    monkeypatch.setattr(captions, "TABLE", write_captions(tmp_path / "a", PAIRS))
    assert read(DataConfig()) == read(DataConfig(target="fr")) == PAIRS
    with monkeypatch.context() as context:
        context.setattr(captions, "TABLE", write_captions(tmp_path / "same", PAIRS))
        context.setattr(captions, "captions", None)  # not needed: the pairs are in the cache
        assert read(DataConfig()) == PAIRS
    monkeypatch.setattr(captions, "TABLE", write_captions(tmp_path / "b", PAIRS[:1]))
    assert read(DataConfig()) == PAIRS[:1]


def test_unknown_builtin_corpora_and_splits_say_what_there_is():
    with fails("`builtin:captions` has no split `dev` (`data.validation_split`); its splits are train, validation, te"):
        load_pairs(DataConfig(validation_split="dev"), "validation")
    with fails("`data.path` must be one of builtin:captions, builtin:copy, builtin:reverse, builtin:sort, builtin:add"):
        load_pairs(DataConfig(path="builtin:stories"), "train")


# Segmenting and filtering


def prepare(data, split="train", vocabulary=None, **options):
    vocabulary = vocabulary or Characters()
    return prepare_corpus(data, split, vocabulary, vocabulary, **options)


def test_filters(tmp_path):
    pairs = [
        ("gut", "good"),
        (" \u3000", "blank"),
        ("leer", ""),
        ("l" * 31, "long"),  # 31 pieces: too long before it is mismatched
        ("m" * 21, "mm"),  # more than nine times as long
        ("m" * 18, "mm"),  # exactly nine times
        ("kurz ist das" + " " * 10, "s"),  # short: not judged
        ("l" * 30, "longest"),
    ]
    data = write_folder(tmp_path / "a", pairs)
    data.max_length = 30
    corpus = prepare(data)
    assert corpus.text(range(len(corpus))) == tuple(map(list, zip(pairs[0], *pairs[5:], strict=True)))
    assert str(corpus.counts) == "8 pairs read, 4 kept (2 empty, 1 longer than 30 pieces, 1 mismatched in length)"
    assert len(load_pairs(data, "train")) == 8

    write_folder(tmp_path / "a", pairs, split="val")
    corpus = prepare(data, "validation")
    assert str(corpus.counts) == "8 pairs read, 6 kept (2 empty)"
    assert corpus.text([1, 2])[0] == ["l" * 31, "m" * 21]


def test_a_text_without_pieces_is_empty(tmp_path):
    class Picky(Characters):
        def encode_batch(self, texts):
            return [[1] if text.isalpha() else [] for text in texts]

    counts = prepare(write_folder(tmp_path / "a", [("a", "b"), ("?", "b")]), vocabulary=Picky()).counts
    assert counts == FilterCounts(read=2, kept=1, empty=1, max_length=128)


def test_nothing_left(tmp_path):
    data = write_folder(tmp_path / "a", [("", "x"), ("lang", "long")])
    data.max_length = 3
    with fails("can be used: 2 pairs read, 0 kept (1 empty, 1 longer than 3 pieces, 0 mismatched in length); check"):
        prepare(data)


def test_pieces_lengths_and_text_agree(tmp_path):
    generator = np.random.default_rng(1)
    alphabet = list("abc ß🙂é")
    texts = ["x" + "".join(generator.choice(alphabet, size=generator.integers(20))) for _ in range(18000)]
    pairs = list(zip(texts[::2], texts[1::2], strict=True))  # several Arrow batches
    pairs[::7] = [("", "dropped")] * len(pairs[::7])
    corpus = prepare(write_folder(tmp_path / "a", pairs))
    kept = [pair for pair in pairs if pair[0]]
    assert corpus.pairs.data.column("source").num_chunks > 2
    assert len(corpus) == len(corpus.pairs) == len(kept) == corpus.counts.kept
    assert list(zip(*corpus.text(range(len(kept))), strict=True)) == kept
    assert corpus.source_lengths.dtype == corpus.target_lengths.dtype == np.int32
    assert corpus.source_lengths.tolist() == [len(source) for source, _ in kept]
    assert corpus.target_lengths.tolist() == [len(target) for _, target in kept]

    indices = generator.permutation(len(kept))[:500]
    sources, targets = corpus.pieces(indices)
    for i, source, target in zip(indices.tolist(), sources, targets, strict=True):
        assert source.dtype == np.int32
        row = corpus.pairs[i]
        assert (row["source_pieces"], row["target_pieces"]) == (source.tolist(), target.tolist())
        assert "".join(map(chr, source)) == row["source"]
    assert corpus.pieces([]) == ([], [])
    for wrong in ([-1], [len(kept)]):
        with pytest.raises(IndexError, match=f"rows must be in 0 to {len(kept) - 1}"):
            corpus.pieces(wrong)


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="only Linux lists what is mapped")
def test_what_was_read_is_given_back(tmp_path):
    """Otherwise the memory of a training would grow to the size of its data."""
    corpus = prepare(write_folder(tmp_path / "a", PAIRS * 5000))
    files = {Path(file["filename"]).name for file in corpus.pairs.cache_files}

    def mapped_kilobytes():
        total, counts = 0, False
        for line in Path("/proc/self/smaps").read_text().splitlines():
            if "-" in line.partition(" ")[0]:  # addresses, and the name of the file
                counts = line.rpartition("/")[2] in files
            elif counts and line.startswith("Rss:"):
                total += int(line.split()[1])
        return total

    everything = range(len(corpus))
    text, pieces = corpus.text(everything), [ids.tolist() for ids in corpus.pieces(everything)[0]]
    assert mapped_kilobytes() > 100
    corpus.release()
    assert mapped_kilobytes() == 0
    assert corpus.text(everything) == text
    corpus.add_to(hashlib.sha256())
    assert mapped_kilobytes() == 0
    assert [ids.tolist() for ids in corpus.pieces(everything)[0]] == pieces


def test_a_corpus_from_memory():
    table = {"source": ["a", "b"], "target": ["c", "d"], "source_pieces": [[1], [2, 3]], "target_pieces": [[4], [5]]}
    pairs = datasets.Dataset.from_dict(table).select(range(1, 2))
    corpus = Corpus(pairs, FilterCounts(1, 1))
    assert corpus.text([0]) == (["b"], ["d"])
    assert corpus.pieces([0])[0][0].tolist() == [2, 3]


# Several sources


BACK = [("Hinten", "Behind"), ("", "blank"), ("b" * 30, "longer than allowed")]


def two_sources(tmp_path, **back):
    data = write_folder(tmp_path / "a")
    write_folder(tmp_path / "b", BACK)
    files = [str(tmp_path / "b" / "train.de"), str(tmp_path / "b" / "train.en")]
    data.extra = [SourceConfig(path="text", files={"train": files}, **{"tag": "<bt>", **back})]
    data.max_length = 25
    return data


def test_sources_stand_one_after_the_other_with_their_tags(tmp_path):
    data = two_sources(tmp_path)
    assert read(data) == [*PAIRS, ("<bt> Hinten", "Behind"), ("", "blank"), (f"<bt> {BACK[2][0]}", BACK[2][1])]
    corpus = prepare(data)
    kept = [pair for pair in PAIRS if pair[0]]
    assert list(zip(*corpus.text(range(4)), strict=True)) == [*kept, ("<bt> Hinten", "Behind")]
    sources, targets = corpus.pieces([3, 0])
    assert ["".join(map(chr, ids)) for ids in (*sources, *targets)] == [
        "<bt> Hinten", "Ein Haus.", "Behind", "A house.",
    ]  # fmt: skip
    assert corpus.source_lengths.tolist() == [9, 12, 10, 11]
    assert corpus.part_of([3, 0, 2]).tolist() == [1, 0, 0]
    assert [(part.weight, part.tag, part.counts.kept) for part in corpus.parts] == [(1, "", 3), (1, "<bt>", 1)]
    data.tag = "<real>"
    assert prepare(data).text([0, 3])[0] == ["<real> Ein Haus.", "<bt> Hinten"]
    assert training_tags(data) == ["<real>", "<bt>"]


def test_reversed_pairs_change_sides_before_the_tag(tmp_path):
    data = two_sources(tmp_path, reversed=True)
    assert read(data) == [*PAIRS, *((f"<bt> {target}", source) for source, target in BACK)]
    assert read(two_sources(tmp_path))[4:] == [("<bt> Hinten", "Behind"), BACK[1], (f"<bt> {BACK[2][0]}", BACK[2][1])]
    assert ", reversed, tag" in prepare(data).describe()[1]


def test_only_training_has_tags_weights_and_further_sources(tmp_path):
    plain = write_folder(tmp_path / "a", split="val")
    data = two_sources(tmp_path, weight=0.5)
    data.tag, data.weight = "<real>", 2
    assert read(data, "validation") == read(plain, "validation") == PAIRS
    corpus = prepare(data, "validation")
    assert corpus.pairs[:] == prepare(plain, "validation").pairs[:]
    assert [(part.weight, part.tag) for part in corpus.parts] == [(1, "")]


def test_each_source_says_what_was_dropped(tmp_path):
    corpus = prepare(two_sources(tmp_path, weight=0.5))
    folder = tmp_path / "b"
    assert corpus.describe() == [
        f"`{tmp_path}/a/train.de` and `{tmp_path}/a/train.en`: "
        "4 pairs read, 3 kept (1 empty, 0 longer than 25 pieces, 0 mismatched in length)",
        f"`data.extra` number 1: `{folder}/train.de` and `{folder}/train.en`, weight 0.5, tag `<bt>`: "
        "3 pairs read, 1 kept (1 empty, 1 longer than 25 pieces, 0 mismatched in length)",
        "all 2 sources: 7 pairs read, 4 kept (2 empty, 1 longer than 25 pieces, 0 mismatched in length); "
        "4 pairs an epoch",
    ]
    alone = prepare(write_folder(tmp_path / "a"))
    assert alone.describe() == [str(alone.counts)] and alone.counts == alone.parts[0].counts


def test_a_tag_is_neither_a_sentence_nor_part_of_the_ratio(tmp_path):
    class Picky(Characters):
        def encode_batch(self, texts):
            return [[ord(c) for c in text if c not in "? "] for text in texts]

    data = write_folder(tmp_path / "a", [("?", "no piece"), ("m" * 27, "mmm"), ("mm", "m" * 18), ("mm", "m" * 21)])
    counts = prepare(data, vocabulary=Picky()).counts
    data.tag = "a tag of many characters, far more than its sentences"
    assert prepare(data, vocabulary=Picky()).counts == counts == FilterCounts(4, 2, 1, 0, 1, 128)


def test_a_source_of_its_own_split_and_kind(tmp_path):
    data = write_folder(tmp_path / "a")
    datasets.Dataset.from_dict(columns(BACK)).save_to_disk(tmp_path / "saved")
    (tmp_path / "x.tsv").write_text("de\ten\nvorn\tin front\n")
    data.extra = [
        SourceConfig(path=str(tmp_path / "saved"), split="synthetic"),
        SourceConfig(path="tsv", files={"old": str(tmp_path / "x.tsv")}, split="old"),
    ]
    assert read(data) == [*PAIRS, *BACK, ("vorn", "in front")]


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"path": "/nowhere/at/all"}, "`path`: folder `/nowhere/at/all` does not exist"),
        ({"path": "a/none"}, "`path`: folder `a/none` does not exist"),
        ({"path": "csv"}, "`files` has no split `train` (`split`); its splits are none; write files = {train = "),
        ({"path": "csv", "files": {"train": "none.csv"}}, "`none.csv` cannot be read: No such file"),
        ({"path": "a", "files": {"train": "x"}}, "`files` belongs to a builder: `path` must be one of json, csv, tsv"),
        ({"path": "a", "split": "more"}, "`a` has no files `more.de` and `more.en` (plain or .gz); the files there"),
        ({"path": "a", "name": "de-en"}, "`name` names a configuration of a hub data set and must be unset for `a`"),
        ({"path": "a/train.de"}, "`path` must be a folder, a builder or a hub id, but is the file `a/train.de`"),
        ({"path": "builtin:stories"}, "`path` must be one of builtin:captions, builtin:copy, builtin:"),
        ({"path": "builtin:captions", "split": "dev"}, "`builtin:captions` has no split `dev` (`split`); its splits"),
        ({"path": "csv", "files": {"train": "bad.csv"}}, "`bad.csv` line 3 must have 2 fields, but has 1 instead"),
        ({"path": "text", "files": {"train": ["bad.csv"]}}, "`files.train` must be a source file and a target file"),
        ({"path": "text", "files": {"train": ["empty", "empty"]}}, "`empty` and `empty` must hold sentence pairs, but"),
        ({"path": "a", "tag": "<bt>\n"}, "`tag` must be a text without line ends and needless spaces, but is '<bt>\\n"),
        (
            {"path": "text", "files": {"train": ["blank", "blank"]}},
            "no pair of `blank` and `blank` can be used: 1 pair",
        ),
    ],
)
def test_a_mistake_names_its_source(tmp_path, monkeypatch, extra, message):
    monkeypatch.chdir(tmp_path)
    write_folder(Path("a"))
    Path("bad.csv").write_text("de,en\na,b\nc\n")
    Path("empty").write_text("")
    Path("blank").write_text(" \n")
    data = DataConfig(path="a", extra=[SourceConfig(path="a"), SourceConfig(**extra)])
    with fails(f"`data.extra` number 2: {message}"):
        prepare(data)


def test_a_bad_tag_of_the_data_themselves(tmp_path):
    data = write_folder(tmp_path / "a")
    data.tag = " <x>"
    with fails("`data.tag` must be a text without line ends and needless spaces, but is ' <x>' instead"):
        load_pairs(data, "train")


def test_the_hub_as_a_further_source(monkeypatch, tmp_path):
    def load_dataset(path, name, split):
        if path == "no/set":
            raise ConnectionError("no route")
        return datasets.Dataset.from_dict(columns([(path, split)]))

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    data = write_folder(tmp_path / "a")
    data.extra = [SourceConfig(path="some/set", split="clean")]
    assert read(data) == [*PAIRS, ("some/set", "clean")]
    data.extra = [SourceConfig(path="no/set")]
    with fails(
        "`data.extra` number 1: `no/set` is no folder here and cannot be loaded from the Hugging Face hub: no r"
    ):
        load_pairs(data, "train")


# Text in one language


def text(data, split="train"):
    loaded = load_texts(data, split)
    assert loaded.column_names == ["text"]
    return list(loaded["text"])


TARGETS = [pair[1] for pair in PAIRS]


@pytest.mark.parametrize("name", ["train.en", "train.de-en.en", "train.en-de.en"])
def test_text_of_a_folder_needs_the_target_alone(tmp_path, name):
    lines_of = ["first ", "", " \u2028 ", "second"]
    (tmp_path / name).write_bytes(lines(lines_of))
    data = DataConfig(path=str(tmp_path))
    assert text(data) == list(map(clean_target, lines_of))
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress((tmp_path / name).read_bytes()))
    (tmp_path / name).unlink()
    assert text(data) == list(map(clean_target, lines_of))
    (tmp_path / "dev.en").write_text("known\n")
    assert text(data, "validation") == ["known"]
    with fails(f"`{tmp_path}` has no file `test.en` (plain or .gz); the files there are: dev.en, {name}.gz; "):
        text(data, "test")


@pytest.mark.parametrize("layout", [columns, translations])
def test_text_of_tables_is_the_target_column(tmp_path, monkeypatch, layout):
    records = [dict(zip(layout(), row, strict=True)) for row in zip(*layout().values(), strict=True)]
    (tmp_path / "x.json").write_text(json.dumps(records))
    pyarrow.parquet.write_table(pa.table(layout()), tmp_path / "x.parquet")
    datasets.Dataset.from_dict(layout()).save_to_disk(tmp_path / "saved")
    assert text(builder("json", tmp_path / "x.json")) == TARGETS
    assert text(builder("parquet", tmp_path / "x.parquet")) == TARGETS
    assert text(DataConfig(path=str(tmp_path / "saved"))) == TARGETS
    monkeypatch.setattr(datasets, "load_dataset", lambda path, name, split: datasets.Dataset.from_dict(layout()))
    assert text(DataConfig(path="some/set")) == TARGETS


def test_text_needs_no_column_of_the_source_language(tmp_path):
    (tmp_path / "x.csv").write_text('id,en\n1,one\n2,"two\nlines"\n3,\n')
    (tmp_path / "x.tsv").write_text("en\none\ntwo\n")
    assert text(builder("csv", tmp_path / "x.csv")) == ["one", "two lines", ""]
    assert text(builder("tsv", [str(tmp_path / "x.tsv")] * 2)) == ["one", "two"] * 2
    pyarrow.parquet.write_table(pa.table({"translation": ["a", "b"]}), tmp_path / "x.parquet")
    data = builder("parquet", tmp_path / "x.parquet")
    data.target = "translation"
    assert text(data) == ["a", "b"]


def test_text_builder_takes_one_file_for_each_split(tmp_path):
    (tmp_path / "train.en").write_text("one\n\ntwo")
    assert text(builder("text", tmp_path / "train.en")) == ["one", "", "two"]
    assert text(builder("text", [str(tmp_path / "train.en")])) == ["one", "", "two"]
    with fails("`data.files.train` must be one file for `text` and a language model, but is ['a', 'b'] instead"):
        text(builder("text", ["a", "b"]))
    with fails('its splits are none; write files = {train = "train.en", ...}'):
        text(DataConfig(path="text"))


def test_text_of_the_built_in_corpus():
    target = [target for _, target in captions.captions("de", "fr")["validation"]]
    assert text(DataConfig(target="fr"), "validation") == target
    assert text(DataConfig(source="fr", target="fr"), "validation") == target
    with fails("`data.target` must be one of de, en, fr for `builtin:captions`, but is `nl` instead"):
        text(DataConfig(target="nl"))


def test_text_errors_name_file_and_line(tmp_path):
    (tmp_path / "train.en").write_bytes(b"fine\n\xff\n")
    with fails(f"`{tmp_path}/train.en` line 2 is not valid UTF-8: its byte 1 is 0xff"):
        text(DataConfig(path=str(tmp_path)))
    (tmp_path / "x.json").write_text('{"en": "a"}\n{"en": 3}\n')
    with fails(f"`{tmp_path}/x.json` line 2: `en` must be a text, but is 3 instead"):
        text(builder("json", tmp_path / "x.json"))
    (tmp_path / "x.csv").write_text("de,fr\na,b\n")
    with fails(f"`{tmp_path}/x.csv` has no column `en`"):
        text(builder("csv", tmp_path / "x.csv"))
    (tmp_path / "train.en").write_bytes(b"")
    with fails("train.en` must hold lines of text, but is empty instead"):
        text(DataConfig(path=str(tmp_path)))
    (tmp_path / "train.en").write_bytes(b" \n\n")
    with fails(f"no line of `{tmp_path}/train.en` can be used: 2 lines read, 0 kept (2 blank)"):
        prepare_text(DataConfig(path=str(tmp_path)), "train", Characters())


@pytest.mark.parametrize("setting", [{"weight": 2.0}, {"tag": "<x>"}, {"extra": [SourceConfig(path="a")]}])
def test_text_has_one_source(tmp_path, setting):
    with fails(f"`data.{next(iter(setting))}` must be left out for a language model"):
        load_texts(DataConfig(path=str(tmp_path), **setting), "train")


def test_prepared_text(tmp_path, monkeypatch):
    generator = np.random.default_rng(1)
    alphabet = list("abc ß🙂é")
    content = ["".join(generator.choice(alphabet, size=generator.integers(12))) for _ in range(9000)]
    (tmp_path / "train.en").write_bytes(lines(content))
    data = DataConfig(path=str(tmp_path), max_length=5, max_length_ratio=1.1)
    corpus = prepare_text(data, "train", Characters())
    kept = [line for line in content if line.strip()]
    assert text(data) == list(map(clean_target, content))
    assert corpus.texts.data.column("text").num_chunks > 2
    assert len(corpus) == len(kept) and corpus.text(range(len(kept))) == kept
    assert corpus.counts == TextCounts(9000, len(kept), 9000 - len(kept))
    assert corpus.lengths.dtype == corpus.characters.dtype == np.int32
    assert corpus.lengths.tolist() == corpus.characters.tolist() == [len(line) for line in kept]
    indices = generator.permutation(len(kept))[:300]
    assert ["".join(map(chr, ids)) for ids in corpus.pieces(indices)] == [kept[i] for i in indices]
    monkeypatch.setattr("nmt.data.sources.iterate_chunks", refuse_to_read)
    again = prepare_text(data, "train", Broken())
    assert again.texts[:] == corpus.texts[:] and again.counts == corpus.counts


# Whether the splits are there


def test_check_splits_reads_only_the_first_row(tmp_path, monkeypatch):
    data = write_folder(tmp_path / "a")
    with (tmp_path / "a" / "train.de").open("ab") as file:
        file.write(b"\xff\n" * 3)  # which reading everything would stumble over
    check_splits(data, ["train"])
    with fails("has no files `validation.de` and `validation.en` (also called val, valid or dev; plain or .gz)"):
        check_splits(data)
    (tmp_path / "a" / "val.de").touch()
    (tmp_path / "a" / "val.en").touch()
    with fails("val.en` must hold sentence pairs, but is empty instead"):
        check_splits(data)
    with fails("val.en` must hold lines of text, but is empty instead"):
        check_splits(data, task="language_model")
    assert not (tmp_path / "cache").exists()
    write_folder(tmp_path / "b")
    data = DataConfig(path=str(tmp_path / "b"))
    load_pairs(data, "train")
    monkeypatch.setattr("nmt.data.sources.iterate_parallel", refuse_to_read)
    check_splits(data, ["train"])  # what is stored has been read before
    monkeypatch.undo()
    data.extra = [SourceConfig(path=str(tmp_path / "b")), SourceConfig(path=str(tmp_path / "none"))]
    with fails("`data.extra` number 2: `path`: folder"):
        check_splits(data, ["train"])
    (tmp_path / "x.csv").write_text("de,fr\na,b\n")
    with fails("x.csv` has no column `en`; its columns are de, fr"):
        check_splits(builder("csv", tmp_path / "x.csv"), ["train"])


# The cache


def refuse_to_read(*paths):
    raise AssertionError("the text was read again")


def test_second_start_reads_nothing(tmp_path, monkeypatch):
    data = write_folder(tmp_path / "a")
    first = prepare(data)
    monkeypatch.setattr("nmt.data.sources.iterate_parallel", refuse_to_read)
    second = prepare(data, vocabulary=Broken())
    assert second.pairs[:] == first.pairs[:]
    assert second.counts == first.counts
    assert second.source_lengths.tolist() == first.source_lengths.tolist()
    assert [Path(file["filename"]).parent for file in second.pairs.cache_files] == [tmp_path / "cache"]


def test_another_vocabulary_segments_again_but_does_not_read_again(tmp_path, monkeypatch):
    class Other(Characters):
        checksum = "other"

        def encode_batch(self, texts):
            return [[7] for _ in texts]

    data = write_folder(tmp_path / "a")
    prepare(data)
    monkeypatch.setattr("nmt.data.sources.iterate_parallel", refuse_to_read)
    assert prepare(data, vocabulary=Other()).source_lengths.tolist() == [1, 1, 1]
    assert prepare_corpus(data, "train", Characters(), Other()).source_lengths.tolist() != [1, 1, 1]


@pytest.mark.parametrize("change", ["file", "max_length", "max_length_ratio", "languages", "tag"])
def test_what_the_result_depends_on_is_in_the_key(tmp_path, change):
    write_folder(tmp_path / "a", [("a" * 30, "c"), ("d", "f")], target="fr")
    data = write_folder(tmp_path / "a", [("a" * 30, "b" * 3), ("d", "e")])
    data.max_length_ratio = 20
    assert prepare(data).counts.kept == 2
    if change == "file":
        write_folder(tmp_path / "a", [("x" * 30, "y" * 3), ("d", "e")])
        os.utime(tmp_path / "a" / "train.de", ns=(1, 1))
        assert prepare(data).text([0])[0] == ["x" * 30]
    elif change == "tag":
        data.tag = "<x>"
        assert prepare(data).text([0])[0] == ["<x> " + "a" * 30]
    elif change == "languages":
        data.target = "fr"
        data.max_length_ratio = 30
        assert prepare(data).text([0])[1] == ["c"]
    else:
        setattr(data, change, 9)
        assert prepare(data).counts.kept == 1


@pytest.mark.parametrize("damage", ["shorter", "one byte", "no table", "no description", "description"])
def test_a_damaged_entry_is_written_again(tmp_path, damage):
    data = write_folder(tmp_path / "a")
    first = prepare(data)
    expected = first.pairs[:]
    for table in (tmp_path / "cache").glob("*.arrow"):
        content = table.read_bytes()
        description = table.with_suffix(".json")
        # New files: the old ones are mapped into memory.
        table.unlink()
        if damage == "shorter":
            table.write_bytes(content[:-100])
        elif damage == "one byte":
            table.write_bytes(content[:-100] + bytes([content[-100] ^ 1]) + content[-99:])
        elif damage != "no table":
            table.write_bytes(content)
        if damage == "no description":
            description.unlink()
        elif damage == "description":
            description.write_text("[1, 2")
    assert prepare(data).pairs[:] == expected
    assert prepare(data, vocabulary=Broken()).pairs[:] == expected


def test_starts_at_the_same_time(tmp_path):
    data = write_folder(tmp_path / "a", PAIRS * 2000)
    with ThreadPoolExecutor(4) as pool:
        corpora = list(pool.map(lambda _: prepare(data), range(4)))
    assert {corpus.counts.kept for corpus in corpora} == {6000}
    assert len({str(corpus.text(range(6000))) for corpus in corpora}) == 1
    assert sorted(path.suffix for path in (tmp_path / "cache").iterdir()) == [".arrow", ".arrow", ".json", ".json"]


def test_an_error_leaves_nothing_behind(tmp_path):
    data = write_folder(tmp_path / "a")
    with pytest.raises(AssertionError, match="segmented again"):
        prepare(data, vocabulary=Broken())
    assert sorted(path.name.partition("-")[0] for path in (tmp_path / "cache").iterdir()) == ["pairs", "pairs"]


def test_cache_folder(tmp_path, monkeypatch):
    data = write_folder(tmp_path / "a")
    monkeypatch.setenv("NMT_CACHE", str(tmp_path / "given"))
    prepare(data)
    assert len(list((tmp_path / "given").iterdir())) == 4
    assert not (tmp_path / "cache").exists()
    monkeypatch.delenv("NMT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    load_pairs(data, "train")
    assert len(list((tmp_path / "xdg" / "nmt").iterdir())) == 2
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    load_pairs(data, "train")
    assert len(list((tmp_path / "home" / ".cache" / "nmt").iterdir())) == 2


def test_a_cache_folder_that_cannot_be_written(tmp_path, monkeypatch):
    data = write_folder(tmp_path / "a")
    (tmp_path / "file").touch()
    monkeypatch.setenv("NMT_CACHE", str(tmp_path / "file" / "cache"))
    with fails(f"cache folder `{tmp_path}/file/cache` cannot be written: Not a directory; set NMT_CACHE to another"):
        load_pairs(data, "train")


def test_a_cache_folder_that_forgets(tmp_path, monkeypatch):
    data = write_folder(tmp_path / "a")
    monkeypatch.setattr("nmt.data.table_cache._open_entry", lambda cache, name: None)
    with fails(f"cache folder `{tmp_path}/cache` does not give back what was written; set NMT_CACHE to another folder"):
        load_pairs(data, "train")
