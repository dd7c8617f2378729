"""`nmt data` finds what was put into the data, and `data.filters` drops it; several files are read as one."""

from __future__ import annotations

import csv
import gzip
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from toys import toy_config, write_reversal

from nmt import cli
from nmt.config import DataConfig
from nmt.data.corpus import load_pairs, prepare_corpus
from nmt.errors import UserError
from nmt.report.data_report import ADVICE
from nmt.sizing import CAPTIONS, EVERYDAY, LEARNING_CURVE, expectations
from nmt.text.files import import_zstd
from nmt.text.pair_filters import FILTERS, SWITCHES
from nmt.training.timing import training_minutes

WORDS = {"Haus": "house", "Hund": "dog", "Tisch": "table", "Baum": "tree", "Buch": "book", "Brot": "bread"}
PAIRS = [
    (f"Das {one} ist nicht so groß wie das {other} im Garten.", f"The {a} is not as large as the {b} in the garden.")
    for one, a in WORDS.items()
    for other, b in WORDS.items()
]
FAULTS = {
    "empty": ("Ein Haus im Garten.", ""),
    "equal": ("Berlin Mitte", "berlin mitte"),
    "length": ("Haus " * 300, "house " * 300),
    "ratio": ("Das ist es, was ich schon immer sagen wollte.", "Yes."),
    "encoding": ("Das ist aber schÃ¶n hier.", "It is nice here."),
    "script": ("Ein Haus am See.", "Дом у озера."),
    "numbers": ("Es kostet 1.250 Euro.", "It costs 1,350 euros."),
    "tags": ("Ein <b>Haus</b> am See.", "A <i>house</i> at the lake."),
    "language": ("Dit is een mooi huis aan het meer.", "This is a beautiful house at the lake."),
    "duplicate": PAIRS[0],
    "control": ("Das ist\x07 ein Stuhl.", "This is\x07 a chair."),
    "near copy": ("das ist eine tür", "This is a door"),
}
VALIDATION = [("Das ist eine Tür.", "That is a door."), ("Wir sehen den Mond.", "We see the moon.")]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NMT_CACHE", str(tmp_path / "cache"))
    return tmp_path


def write_text(stem: str, pairs: list[tuple[str, str]], suffix: str = "") -> None:
    opened = {"": open, ".gz": gzip.open, ".zst": import_zstd().open}[suffix] if suffix else open
    for number, language in enumerate(("de", "en")):
        with opened(f"{stem}.{language}{suffix}", "wt", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{pair[number]}\n" for pair in pairs)


def configuration() -> DataConfig:
    write_text("train", [*PAIRS, *FAULTS.values()])
    write_text("val", VALIDATION)
    Path("c.toml").write_text(
        '[data]\npath = "."\nsource = "de"\ntarget = "en"\n[model]\nhidden_size = 8\nembedding_size = 8\n'
    )
    return DataConfig(path=".", source="de", target="en")


def test_each_fault_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    configuration()
    assert cli.main(["data", "c.toml", "--report", "report", "--no-timing"]) == 0
    said = capsys.readouterr()
    assert "no test split" in said.err
    found = json.loads(Path("report/data.json").read_text("utf-8"))["splits"]
    assert {name: split["pairs"] for name, split in found.items()} == {"train": len(PAIRS) + 12, "validation": 2}
    assert found["train"]["usable"] == len(PAIRS) + 1  # a control character does no harm
    for reason, pair in FAULTS.items():
        samples = [tuple(sample[:2]) for sample in found["train"]["samples"][reason]]
        assert (pair[0].strip(), pair[1].strip()) in [(a.strip(), b.strip()) for a, b in samples], reason
        assert f"1 (2.1 %) [{reason}]" in said.out
    assert sum(found["train"]["findings"].values()) == len(FAULTS)
    assert found["validation"]["findings"] == {}
    words = sum(len(pair[0].split()) for pair in [*PAIRS, *FAULTS.values()])
    assert (
        found["train"]["source"]["words"]
        == words
        == sum(int(length) * count for length, count in found["train"]["source"]["lengths"].items())
    )
    assert f"write in [data]: filters = {json.dumps([name for name in FILTERS if name in SWITCHES])}" in said.out
    assert set(ADVICE) <= {*FILTERS, "control", "near copy"}


def test_the_page_shows_any_text(capsys: pytest.CaptureFixture[str]) -> None:
    write_text("corpus", [*PAIRS, ("<script>alert(1)</script>\u202e", "{{ 7*7 }} </style>")])
    assert cli.main(["data", "corpus.de", "corpus.en", "--report", "report", "--no-timing"]) == 0
    page = Path("report/data.html").read_text("utf-8")
    assert "<script>alert" not in page
    assert "⟨U+202E⟩" in page
    assert "&lt;script&gt;alert" in page
    assert "Samples: tags" in Path("report/data.md").read_text("utf-8")
    out = capsys.readouterr().out
    assert "all: 37 pairs from de to en" in out
    assert "`nmt import` leaves the others out" in out
    assert "\u202e" not in out


def test_the_time_of_a_training_is_measured(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    configuration()
    write_text("train", PAIRS * 4)
    before = os.environ["NMT_CACHE"]
    assert cli.main(["data", "c.toml", "--threads", "1", "--set", "training.epochs=2"]) == 0
    assert "on this machine without validations (hidden size 8, 2 epochs" in capsys.readouterr().out
    assert os.environ["NMT_CACHE"] == before
    assert not (folder / "cache").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["c.toml", "--set", "task=language_model"], "is for the task `language_model`"),
        (["nothing.tmx"], "`nothing.tmx` does not exist"),
        (["train.de", "train.en", "--set", "model.dropout=0"], "--set changes a configuration"),
        (["c.toml", "--set", 'data.filters=["numbrs"]'], "`data.filters` must be a list of"),
        (["c.toml", "--set", "data.min_score=1"], "`data.score` and `data.min_score` need each other"),
    ],
)
def test_mistakes(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    configuration()
    assert cli.main(["data", *arguments]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") <= 2


class Characters:
    """A vocabulary of characters."""

    checksum = "characters"

    def encode_batch(self, texts: list[str]) -> list[list[int]]:
        return [[ord(character) for character in text] for text in texts]


def pairs_of(data: DataConfig, split: str = "train") -> list[tuple[str, str]]:
    loaded = load_pairs(data, split)
    return list(zip(loaded["source"], loaded["target"], strict=True))


def test_filters_drop_what_nmt_data_finds() -> None:
    data = configuration()
    everything = pairs_of(data)
    for reason in SWITCHES:
        data.filters = [reason]
        gone = [pair for pair in everything if pair not in pairs_of(data)]
        assert gone == ([] if reason == "duplicate" else [FAULTS[reason]])
        assert len(pairs_of(data)) == len(everything) - 1
    data.filters = list(SWITCHES)
    for _ in range(2):  # the second time from the cache
        counts = prepare_corpus(data, "train", Characters(), Characters()).counts
        assert counts.filtered == dict.fromkeys(SWITCHES, 1)
        assert counts.read == len(everything)
    assert "dropped as equal 1, encoding 1, " in str(counts)
    assert pairs_of(data, "validation") == VALIDATION


def test_pairs_with_a_low_score_are_dropped() -> None:
    scored = [(*pair, score) for pair, score in zip(PAIRS, (0.5, 0.9, None) * 12, strict=True)]
    records = [{"translation": {"de": a, "en": b}, "meta": {"score": score}} for a, b, score in scored]
    Path("a.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    pa.parquet.write_table(pa.Table.from_pylist(records), "a.parquet")
    with open("a.csv", "w", newline="") as file:
        csv.writer(file).writerows([("de", "en", "meta.score"), *scored])
    for builder, sides in [
        ("json", ("de", "en")),
        ("json", ("translation.de", "translation.en")),
        ("parquet", ("de", "en")),
        ("parquet", ("translation.de", "translation.en")),
        ("csv", ("de", "en")),
    ]:
        file = {"json": "a.jsonl", "parquet": "a.parquet", "csv": "a.csv"}[builder]
        data = DataConfig(path=builder, files={"train": file}, source=sides[0], target=sides[1])
        assert data.languages == ("de", "en")
        assert pairs_of(data) == PAIRS
        data.score, data.min_score = "meta.score", 0.7
        assert pairs_of(data) == PAIRS[1::3]


def write_csv(path: Path, pairs: list[tuple[str, str]], delimiter: str = ",", encoding: str = "utf-8") -> None:
    with path.open("w", newline="", encoding=encoding) as file:
        csv.writer(file, delimiter=delimiter).writerows([("nr", "de", "en"), *((1, *pair) for pair in pairs)])


def write_parquet(path: Path, pairs: list[tuple[str, str]]) -> None:
    pa.parquet.write_table(pa.table({"de": [pair[0] for pair in pairs], "en": [pair[1] for pair in pairs]}), path)


@pytest.mark.parametrize(("builder", "write"), [("csv", write_csv), ("parquet", write_parquet)])
@pytest.mark.parametrize("files", ["shards", "shards/*", "shards/**/*", ["shards/0-*", "shards/1-*", "shards/2-*"]])
def test_shards_are_one_split(builder: str, write: Callable[[Path, Any], None], files: str | list[str]) -> None:
    Path("shards").mkdir()
    for number in range(36):
        write(Path(f"shards/{number // 12}-{number:02}.{builder}"), PAIRS[number : number + 1])
    if files == "shards":
        Path("shards/README.md").write_text("no data")
    assert pairs_of(DataConfig(path=builder, files={"train": files}, source="de", target="en")) == PAIRS


def test_shards_of_text(capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(3):
        write_text(f"part-{number}", PAIRS[12 * number : 12 * number + 12], ".zst" if number else "")
    data = DataConfig(path="text", files={"train": ["part-*.de*", "part-*.en*"]}, source="de", target="en")
    assert pairs_of(data) == PAIRS
    os.remove("part-1.de.zst")
    with pytest.raises(UserError, match="must have as many files for each side, but has 2 and 3"):
        load_pairs(data, "train")
    os.remove("part-2.en.zst")
    with pytest.raises(UserError, match=r"`part-2.de.zst` and `part-1.en.zst` are at the same place"):
        load_pairs(data, "train")
    data.files = {"train": ["teil-*.de", "part-*.en*"]}
    with pytest.raises(UserError, match=r"`data.files.train`: no file matches `teil-"):
        load_pairs(data, "train")


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_a_folder_of_compressed_text(suffix: str) -> None:
    write_text("train", PAIRS, suffix)
    assert pairs_of(DataConfig(path=".", source="de", target="en")) == PAIRS


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_delimiter_of_csv_is_found(delimiter: str, encoding: str) -> None:
    pairs = [*PAIRS, ('Er sagt: "ja; nein, | doch"', "a\tb, c; d | e")]
    write_csv(Path("a.csv"), pairs, delimiter, encoding)
    data = DataConfig(path="csv", files={"train": "a.csv"}, source="de", target="en")
    expected = [*PAIRS, ('Er sagt: "ja; nein, | doch"', "a b, c; d | e")]
    assert pairs_of(data) == expected
    text = Path("a.csv").read_text(encoding)
    Path("a.csv").write_text(f"sep={delimiter}\n{text}", encoding)
    assert pairs_of(data) == expected


def test_the_expectation_goes_through_what_was_measured() -> None:
    for one in LEARNING_CURVE:
        assert dict(expectations(one.pairs))[one.text] == f"about {one.bleu:.0f}"
    for text in (EVERYDAY, CAPTIONS):
        curve = [one for one in LEARNING_CURVE if one.text == text]
        assert [one.pairs for one in curve] == sorted(one.pairs for one in curve)
        assert dict(expectations(curve[0].pairs - 1))[text] == f"less than {curve[0].bleu:.0f}"
        assert dict(expectations(10**9))[text] == f"more than {curve[-1].bleu:.0f}"
    first, second = [one for one in LEARNING_CURVE if one.text == CAPTIONS][:2]
    middle = round(math.sqrt(first.pairs * second.pairs))
    assert dict(expectations(middle))[CAPTIONS] == f"about {(first.bleu + second.bleu) / 2:.0f}"


def test_the_time_of_a_training_is_measured_on_sides_of_any_length(tmp_path: Path) -> None:
    config = toy_config(write_reversal(tmp_path / "data"))
    sample = [("a b c d e f g h " * 9 + "a" * (number % 7), "h g f " * 5) for number in range(200)]
    assert 0 < training_minutes(config, sample, 400) < 5
