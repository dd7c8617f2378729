"""`nmt import`: every format gives the same pairs, splits share no sentence, and bad files are refused in one line."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from html import escape
from pathlib import Path

import openpyxl
import polib
import pyarrow as pa
import pyarrow.parquet
import pytest

from nmt import cli
from nmt.config import load_config
from nmt.data.corpus import load_pairs
from nmt.data.importing import NEAR_COPY, TEST, TRAIN, VALIDATION, Hashes, assign
from nmt.errors import UserError
from nmt.text.files import import_zstd
from nmt.text.formats import xlsx as xlsx_format
from nmt.text.formats import xml
from nmt.text.formats.finding import find_files, find_format
from nmt.text.formats.pair import Pair, Reading
from nmt.text.formats.table import find_delimiter
from nmt.text.formats.tbx import read_terms
from nmt.text.pair_filters import PairFilter, near_key

NOUNS = {"Hund": "dog", "Ball": "ball", "Tisch": "table", "Löffel": "spoon", "Stuhl": "chair", "Fisch": "fish"}
VERBS = {"sieht": "sees", "hört": "hears", "sucht": "looks for", "findet": "finds", "kauft": "buys"}
PAIRS = [
    (f"Der {a} {verb} den „{b}“; er & sie < alle.", f'The {c} {told} the "{d}", he & she < all.')
    for a, c in NOUNS.items()
    for verb, told in VERBS.items()
    for b, d in NOUNS.items()
]
Write = Callable[[Path], list[str]]


def tmx(path: Path, encoding: str = "utf-8", version: str = "1.4", lang: str = "xml:lang") -> list[str]:
    units = "\n".join(
        f'<tu><note>n</note><tuv {lang}="DE-de"><seg>{escape(source)}</seg></tuv>'
        f'<tuv {lang}="fr"><seg>autre</seg></tuv><tuv {lang}="en_US"><seg>{escape(target)}</seg></tuv></tu>'
        for source, target in PAIRS
    )
    head = f'<?xml version="1.0" encoding="{encoding}"?>\n<!DOCTYPE tmx SYSTEM "tmx14.dtd">\n<tmx version="{version}">'
    path = path.with_suffix(".tmx")
    path.write_text(f'{head}<header srclang="de"/><body>{units}</body></tmx>', encoding=encoding)
    return [str(path)]


def xliff_1(path: Path) -> list[str]:
    units = "".join(
        f'<trans-unit id="{i}"><source>{escape(source)}</source><target state="translated">{escape(target)}</target>'
        "<alt-trans><source>x</source><target>y</target></alt-trans></trans-unit>"
        for i, (source, target) in enumerate(PAIRS)
    )
    path = path.with_suffix(".xlf")
    path.write_text(
        '<xliff version="1.2" xmlns="urn:oasis:names:tc:xliff:document:1.2"><file source-language="de" '
        f'target-language="en" original="x" datatype="plaintext"><body><group>{units}</group></body></file></xliff>'
    )
    return [str(path)]


def xliff_2(path: Path) -> list[str]:
    """From English to German: it is read the other way round."""
    units = "".join(
        f'<unit id="{i}"><segment state="final"><source>{escape(target)}</source><target>{escape(source)}</target>'
        "</segment></unit>"
        for i, (source, target) in enumerate(PAIRS)
    )
    path = path.with_suffix(".xliff")
    path.write_text(
        '<xliff version="2.0" xmlns="urn:oasis:names:tc:xliff:document:2.0" srcLang="en-GB" trgLang="de">'
        f'<file id="f">{units}</file></xliff>'
    )
    return [str(path)]


def po(path: Path) -> list[str]:
    catalogue = polib.POFile()
    catalogue.metadata = {"Language": "de", "Content-Type": "text/plain; charset=utf-8"}
    catalogue.extend([polib.POEntry(msgid=target, msgstr=source) for source, target in PAIRS])
    path = path.with_suffix(".po")
    catalogue.save(str(path))
    return [str(path)]


def xlsx(path: Path) -> list[str]:
    book = openpyxl.Workbook()
    book.active.append(["Nr", "Englisch", "Deutsch", "Note"])
    for i, (source, target) in enumerate(PAIRS):
        book.active.append([i, target, source, None])
    path = path.with_suffix(".xlsx")
    book.save(path)
    return [str(path)]


def table(
    path: Path, encoding: str = "utf-8", delimiter: str = ",", header: tuple[str, ...] = ("en", "de")
) -> list[str]:
    content = io.StringIO()
    writer = csv.writer(content, delimiter=delimiter)
    writer.writerows([header] if header else [])
    writer.writerows((target, source) if header else (source, target) for source, target in PAIRS)
    path = path.with_suffix(".csv")
    path.write_bytes(content.getvalue().encode(encoding))
    return [str(path)]


def jsonl(path: Path) -> list[str]:
    lines = [json.dumps({"id": 1, "translation": {"en": target, "de": source}}) for source, target in PAIRS]
    path = path.with_suffix(".jsonl")
    path.write_text("\n".join(lines))
    return [str(path)]


def parquet(path: Path) -> list[str]:
    path = path.with_suffix(".parquet")
    dates = pa.array([2**62] * len(PAIRS), pa.timestamp("us"))  # too late for Python, but nobody asks for them
    columns = {"date": dates, "de": [source for source, _ in PAIRS], "en": [target for _, target in PAIRS]}
    pa.parquet.write_table(pa.table(columns), path)
    return [str(path)]


def text(path: Path) -> list[str]:
    names = [str(path.with_suffix(f".{side}")) for side in ("de", "en")]
    for name, lines in zip(names, zip(*PAIRS, strict=True), strict=True):
        Path(name).write_text("".join(f"{line}\n" for line in lines))
    return names


def compressed(path: Path, compress: Callable[[bytes], bytes], suffix: str) -> list[str]:
    (name,) = tmx(path)
    Path(name + suffix).write_bytes(compress(Path(name).read_bytes()))
    return [name + suffix]


def zstd(data: bytes) -> bytes:
    compress = import_zstd().compress
    return compress(data[:500]) + compress(data[500:])  # two frames, as by programs that compress in parallel


def shards(path: Path) -> list[str]:
    """Two files of half of the pairs each, named by a pattern."""
    for number, half in enumerate((PAIRS[::2], PAIRS[1::2])):
        lines = "".join(json.dumps({"de": source, "en": target}) + "\n" for source, target in half)
        path.with_name(f"shard-{number}.jsonl").write_text(lines)
    return [str(path.with_name("shard-*.jsonl"))]


def folder(path: Path) -> list[str]:
    text(path)
    path.with_name("README").write_text("Nothing to read here.")
    return [str(path.parent)]


WRITERS: dict[str, Write] = {
    "TMX": tmx,
    "TMX 1.1": lambda path: tmx(path, "cp1252", "1.1", "lang"),
    "TMX in UTF-16": lambda path: tmx(path, "utf-16"),
    "TMX gz": lambda path: compressed(path, gzip.compress, ".gz"),
    "TMX bz2": lambda path: compressed(path, bz2.compress, ".bz2"),
    "TMX xz": lambda path: compressed(path, lzma.compress, ".xz"),
    "TMX zst": lambda path: compressed(path, zstd, ".zst"),
    "XLIFF 1.2": xliff_1,
    "XLIFF 2.0": xliff_2,
    "PO": po,
    "xlsx": xlsx,
    "CSV": table,
    "Excel's CSV": lambda path: table(path, "utf-8-sig", ";"),
    "Excel's CSV without a mark": lambda path: table(path, "cp1252", ";"),
    "CSV without a header": lambda path: table(path, header=()),
    "Unicode text": lambda path: table(path, "utf-16", "\t"),
    "CSV named in words": lambda path: table(path, delimiter="|", header=("English", "German")),
    "JSON lines": jsonl,
    "Parquet": parquet,
    "text": text,
    "shards": shards,
    "folder": folder,
}


def read_all(names: list[str], **settings: object) -> list[Pair]:
    found, reading = find_files(names, Reading("de", "en", say=lambda _: None, **settings))  # type: ignore[arg-type]
    return [pair for file in found for pair in file.read(reading)]


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_pairs(name: str, tmp_path: Path) -> None:
    names = WRITERS[name](tmp_path / "memory")
    pairs = read_all(names)
    assert sorted((pair.source, pair.target) for pair in pairs) == sorted(PAIRS)
    assert not any(pair.left_out for pair in pairs)


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, status: int = 0) -> str:
        assert cli.main(["import", *arguments]) == status
        return capsys.readouterr().err

    return call


def test_a_memory_becomes_a_folder_to_train_from(run: Callable[..., str], tmp_path: Path) -> None:
    tmx(tmp_path / "memory")
    said = run("memory.tmx", "--source", "de", "--target", "en", "--output", "corpus")
    assert said.endswith("next: nmt train corpus/config.toml --output runs/corpus\n")
    assert f"{len(PAIRS)} pairs kept from `de` to `en`: train {len(PAIRS) - 18}, val 9, test 9" in said
    assert sorted(file.name for file in Path("corpus").iterdir()) == [
        *("config.toml", "import.txt", "test.de", "test.en", "train.de", "train.en", "val.de", "val.en")
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "memory.tmx"]
    config = load_config("corpus/config.toml")
    splits = [load_pairs(config.data, split) for split in ("train", "validation", "test")]
    assert sorted(pair for split in splits for pair in zip(split["source"], split["target"], strict=True)) == sorted(
        PAIRS
    )


def test_splits_share_no_sentence_and_no_near_copy(run: Callable[..., str]) -> None:
    """Each sentence is there in several variants, so no pair is alone."""
    variants = [
        pair
        for source, target in PAIRS
        for pair in (
            (source, target),
            (source.upper(), f"{target} (1)"),
            (f"12. {source.replace(' ', '  ')}", f"Well, {target}"),
            (f"Nun ja: {source}", target.replace(".", "!")),
        )
    ]
    Path("all.de").write_text("".join(f"{source}\n" for source, _ in variants))
    Path("all.en").write_text("".join(f"{target}\n" for _, target in variants))
    said = run("all.de", "all.en", "--output", "corpus", "--validation", "20", "--test", "30", "--keep", "numbers")
    assert "nearly the same as a sentence of validation or test" in said
    assert [len(lines(Path(f"corpus/{split}.de"))) for split in ("val", "test")] == [20, 30]
    for side in ("de", "en"):
        keys = [
            {near_key(line) for line in lines(Path(f"corpus/{split}.{side}"))} for split in ("train", "val", "test")
        ]
        assert not keys[0] & keys[1]
        assert not keys[0] & keys[2]
        assert not keys[1] & keys[2]


def test_pairs_without_near_copies_are_held_out_first() -> None:
    hashes = Hashes()
    for number in range(100):
        name = chr(ord("a") + number % 26) * (number + 1)
        hashes.add(name, f"{name} x")
        if number < 80:
            hashes.add(f"{name}!", f"y {name}")
    split = assign(hashes, 10, 10, 1, True)
    assert [list(split).count(kind) for kind in (VALIDATION, TEST, NEAR_COPY)] == [10, 10, 0]
    assert (split != assign(hashes, 10, 10, 2, True)).any()
    assert (split == assign(hashes, 10, 10, 1, True)).all()
    assert (split[:160] == TRAIN).all()


@pytest.mark.parametrize(
    ("one", "other"),
    [("Das ist, äh, gut!", "das ist äh GUT"), ("Seite 3", "Seite 12."), ("Ça va ?", "ca va?"), ("ﬁne", "Fine")],
)
def test_near_copies(one: str, other: str) -> None:
    assert near_key(one) == near_key(other)
    assert near_key(one) != near_key(f"{one} nicht")
    assert near_key("12:30") != near_key("12:45")  # without letters nothing but the text itself is left


BAD = {
    "empty": ("Ein Haus.", ""),
    "equal": ("Berlin Mitte", "berlin mitte"),
    "length": ("Haus " * 300, "house " * 300),
    "ratio": ("Ja, das ist es, was ich sagen wollte.", "Yes."),
    "script": ("Ein Haus am See.", "Дом у озера."),
    "numbers": ("Es kostet 1.250 Euro.", "It costs 1,350 euros."),
    "tags": ("Ein <b>Haus</b>.", "A <i>house</i>."),
    "encoding": ("Das ist schÃ¶n hier.", "It is nice here."),
    "language": ("Das ist ein schönes Haus am See.", "Dit is een mooi huis aan het meer."),
}


@pytest.mark.parametrize("reason", BAD)
def test_filters(reason: str) -> None:
    source, target = BAD[reason]
    assert PairFilter("de", "en").reason(source, target) == reason
    assert PairFilter("de", "en", frozenset([reason])).reason(source, target) == ("empty" if reason == "empty" else "")


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("Es kostet 1.250,50 Euro.", "It costs 1,250.50 euros."),
        ("Es ist 14 Uhr.", "It's 2:00 p.m."),
        ("Ich habe zwölf.", "I have 12."),
        ("Hunderttausend Yen", "100,000 yen"),
        ("Ja.", "Yes, of course."),
        ("{name} hat %s", "%s is what {name} has"),
        ("50 % der Fälle", "50% of the cases"),
        ("CD", "compact disc"),
        ('Ein <a title="Haus">Wort</a>.', 'A <a title="house">word</a>.'),
        ("« É », «É», „Ä“ – ça va…", "'É', 'É', 'Ä' – ça va…"),
        ("Tom Berlin", "Tom in Berlin"),
    ],
)
def test_what_is_no_mismatch(source: str, target: str) -> None:
    assert PairFilter("de", "en").reason(source, target) == ""


def test_dropped_pairs_are_counted_with_samples(run: Callable[..., str]) -> None:
    rows = [("score", "de", "en"), *(("0.9", *pair) for pair in [*PAIRS, *PAIRS[:7], *BAD.values()])]
    rows += [("0,1", "Schlecht.", "Bad."), ("", "Ohne.", "Without.")]
    with open("data.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
        file.write("1,zu,viele,Felder\n")
    options = ("--source", "de", "--target", "en", "--score-field", "score", "--min-score", "0.5", "--seed", "3")
    said = run("data.csv", "--output", "made/corpus", *options)
    assert f"{len(PAIRS)} pairs kept" in said
    for count, reason in [(7, "duplicate"), (2, "score"), *((1, reason) for reason in BAD)]:
        assert any(line.startswith(f"{count} dropped") and f"[{reason}]" in line for line in said.splitlines())
    assert "1 dropped (0.5 %): rows with more fields" in said
    report = Path("made/corpus/import.txt").read_text()
    assert "It costs 1,350 euros.\n    `data.csv` line " in report
    assert said.splitlines()[0] in report
    said = run("data.csv", "--output", "made/corpus", "--overwrite", *options, "--keep", "numbers", "--keep", "equal")
    assert f"{len(PAIRS) + 2} pairs kept" in said


def test_inline_codes_go_and_their_text_stays(tmp_path: Path) -> None:
    path = tmp_path / "x.tmx"
    path.write_text(
        '<tmx><body><tu><tuv xml:lang="de"><seg>Ein <bpt i="1">&lt;b></bpt><hi>rotes</hi><ept i="1">&lt;/b></ept> Haus'
        '<ph/>am <it pos="begin">x<sub>y</sub></it>See.</seg></tuv><tuv xml:lang="en-US"><seg>A red house.</seg></tuv>'
        '<tuv xml:lang="en-GB"><seg>A red home.</seg></tuv></tu><tu><tuv xml:lang="de"><seg>Nur.</seg></tuv></tu>'
        "</body></tmx>"
    )
    assert [pair[:2] for pair in read_all([str(path)])] == [
        ("Ein rotes Haus am See.", "A red house."),
        ("Ein rotes Haus am See.", "A red home."),
        ("Nur.", ""),
    ]
    assert find_files([str(path)], Reading(say=lambda _: None))[1].target == "en"


def test_entities_of_a_definition_that_is_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "x.tmx"
    path.write_text(
        '<!DOCTYPE tmx SYSTEM "tmx14.dtd"><tmx><body><tu><tuv lang="de"><seg>Ein&nbsp;Haus &#8211; &lt;b></seg></tuv>'
        '<tuv lang="en"><seg>A house</seg></tuv></tu></body></tmx>'
    )
    assert [pair.source for pair in read_all([str(path)])] == ["Ein\u00a0Haus – <b>"]


def test_columns_without_names(tmp_path: Path) -> None:
    """Notes that repeat themselves are no text, and words show which column is which language."""
    path = tmp_path / "eng.txt"
    note = "CC-BY 2.0 (France) Attribution: a long note that is the same for all"
    texts = [
        (f"{source} Das ist nicht die Zeit, und ich gehe.", f"{target} That is not the time.")
        for source, target in PAIRS
    ]
    path.write_text("".join(f"{target}\t{source}\t{note} #{i}\n" for i, (source, target) in enumerate(texts)))
    assert [pair[:2] for pair in read_all([str(path)])] == texts


ROWS = "".join(f'"{source}";"{target.replace(chr(34), 2 * chr(34))}"\r\n' for source, target in PAIRS)
"""The pairs as Excel writes them in Germany."""


def test_titles_and_notes_above_the_names_of_the_columns(run: Callable[..., str]) -> None:
    book = openpyxl.Workbook()
    for row in [["Texts of the shop, May"], [], ["Do not change column D. Ask Ms Smith.", None, None, "x"]]:
        book.active.append(row)
    book.active.append(["No", "German (Germany)", "English", "Changed"])
    for number, pair in enumerate(PAIRS):
        book.active.append([number, *pair, None])
    book.create_sheet("Old")
    book.save("book.xlsx")
    said = run("book.xlsx", "--output", "corpus")
    assert "source language `de`, target language `en`" in said
    assert "`book.xlsx`: row 4 names the columns; the rows above it are left out\n" in said
    assert "`book.xlsx`: the first sheet, `Sheet`, is read; --sheet reads another: Old\n" in said
    assert f"{len(PAIRS)} pairs read from `book.xlsx`" in said
    Path("x.csv").write_text(f"Export\r\n\r\nde;en\r\n{ROWS}")
    assert [pair[:2] for pair in read_all(["x.csv"])] == PAIRS
    assert len(read_all(["x.csv"], header=False)) == len(PAIRS) + 2
    assert [pair[:2] for pair in read_all(["x.csv"], source_field="EN", target_field="de")] == [
        pair[::-1] for pair in PAIRS
    ]


def jsonl_of(path: Path, record: object) -> str:
    path.write_text(json.dumps(record))
    return str(path)


def xliff_of(path: Path, source: str, target: str) -> str:
    path.write_text(f'<xliff version="1.2"><file source-language="{source}" target-language="{target}"/></xliff>')
    return str(path)


NAMED: dict[str, tuple[str, Callable[[Path], str]]] = {
    "columns": ("en de", lambda path: write_table(path, "No;EN [new];German (Austria);Note")),
    "three columns": ("de en fr", lambda path: write_table(path, "ID;de;en;French")),
    "a word of two letters": ("", lambda path: write_table(path, "Wort;word\r\nda;so")),
    "fields": ("de en", lambda path: jsonl_of(path / "x.jsonl", {"id": 1, "translation": {"de": "a", "en": "b"}})),
    "Parquet": ("de en", lambda path: parquet(path / "x")[0]),
    "regions": ("de en", lambda path: xliff_of(path / "x.xlf", "de-DE", "en-US")),
    "regions that differ": ("zh-CN zh-TW", lambda path: xliff_of(path / "x.xlf", "zh-CN", "zh-TW")),
    "PO": ("de", lambda path: po(path / "x")[0]),
    "terms": ("de en", lambda path: write_terms(path / "x.tbx")),
}
"""The languages that files name."""


def write_table(folder: Path, header: str) -> str:
    (folder / "x.csv").write_text(f"{header}\r\n")
    return str(folder / "x.csv")


def write_terms(path: Path) -> str:
    groups = "".join(f'<langSet xml:lang="{code}"><tig><term>x</term></tig></langSet>' for code in ("de", "en-GB"))
    path.write_text(f"<martif><text><body><termEntry>{groups}</termEntry></body></text></martif>")
    return str(path)


@pytest.mark.parametrize("name", NAMED)
def test_languages_that_a_file_names(name: str, tmp_path: Path) -> None:
    languages, write = NAMED[name]
    found = languages.split()
    path = write(tmp_path)
    if len(found) == 2:
        reading = find_files([path], Reading(say=lambda _: None))[1]
        assert [reading.source, reading.target] == found
        return
    there = f": the languages there are {', '.join(found)}" if found else ""
    with pytest.raises(UserError, match=rf"^set --source and --target, the two languages{there}$"):
        find_files([path], Reading(say=lambda _: None))


@pytest.mark.parametrize("names", [("de", "en"), ("x.en.txt", "x.de.txt"), ("en.txt.gz", "de.txt.gz")])
def test_names_of_text_files(names: tuple[str, str], tmp_path: Path) -> None:
    """The language decides which side a file is, not the order; a workbook that is open in Excel leaves a file."""
    (tmp_path / "~$book.xlsx").write_bytes(b"owner")
    for name in names:
        lines = "".join(f"{pair['en' in name]}\n" for pair in PAIRS).encode()
        (tmp_path / name).write_bytes(gzip.compress(lines) if name.endswith(".gz") else lines)
    for given in ([str(tmp_path)], [str(tmp_path / name) for name in names]):
        assert [pair[:2] for pair in read_all(given)] == PAIRS
        found = find_files(given, Reading(target="en", say=lambda _: None))[1]
        assert found.source == "de" if len(given) == 2 else found.source in ("de", "")


def test_cells_that_are_no_text(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in [("de", "en"), ("#N/A", "#REF!"), ("=A1", "=B1"), (3.0, True), ("a_x000D_\nb", "x")]:
        book.active.append(row)
    book.save(tmp_path / "x.xlsx")
    assert [pair[:2] for pair in read_all([str(tmp_path / "x.xlsx")])] == [("3", "True"), ("a\r\nb", "x")]


@pytest.mark.parametrize(
    ("encoding", "damage", "said"),
    [
        ("utf-8", b"Stra\xdfe;street\r\n", "1 of its characters are not valid UTF-8; each is read as \ufffd"),
        ("cp1252", b"", "is not UTF-8 and is read as cp1252"),
        ("utf-16-le", b"", ""),
        ("utf-16-be", b"", ""),
    ],
)
def test_encodings_of_tables(encoding: str, damage: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(f"de;en\r\n{ROWS}".encode(encoding) + damage)
    lines: list[str] = []
    found, reading = find_files([str(path)], Reading("de", "en", say=lines.append))
    pairs = [pair[:2] for pair in found[0].read(reading)]
    assert pairs == [*PAIRS, *([("Stra\ufffde", "street")] if damage else [])]
    assert [said in line for line in lines] == [True] * bool(said)
    path.write_text(f"\ufeffEN;DE\r\n{ROWS}", encoding="utf-8")
    assert [pair[:2] for pair in read_all([str(path)], encoding="UTF-8")] == [pair[::-1] for pair in PAIRS]


def test_states_and_segments_of_xliff(tmp_path: Path) -> None:
    path = tmp_path / "x.sdlxliff"
    path.write_text(
        '<xliff version="1.2" xmlns:sdl="http://sdl.com/FileTypes/SdlXliff/1.0"><file source-language="de-DE" '
        'target-language="en-US"><body>'
        '<trans-unit><source>Neu.</source><target state="needs-translation">New.</target></trans-unit>'
        '<trans-unit approved="no"><source>Nein.</source><target>No.</target></trans-unit>'
        "<trans-unit><source>Leer.</source></trans-unit>"
        '<trans-unit><source>A. B.</source><seg-source><g id="1"><mrk mtype="seg" mid="1">A <x id="2"/>.</mrk></g> '
        '<mrk mtype="seg" mid="2">B.</mrk></seg-source><target><mrk mtype="seg" mid="1"><g id="1">a</g>.</mrk>'
        '<mrk mtype="seg" mid="2">b.</mrk></target><sdl:seg-defs><sdl:seg id="1" conf="Translated"/>'
        '<sdl:seg id="2" conf="Draft"/></sdl:seg-defs></trans-unit></body></file></xliff>'
    )
    pairs = read_all([str(path)])
    assert [(pair.source, pair.target, pair.left_out) for pair in pairs] == [
        ("Neu.", "New.", "unfinished"),
        ("Nein.", "No.", "unfinished"),
        ("Leer.", "", "untranslated"),
        ("A .", "a.", ""),
        ("B.", "b.", "unfinished"),
    ]
    assert [pair.left_out for pair in read_all([str(path)], unfinished=True)] == ["", "", "untranslated", "", ""]


def test_plural_forms_fuzzy_and_obsolete_messages(tmp_path: Path) -> None:
    path = tmp_path / "x.po"
    path.write_text(
        'msgid ""\nmsgstr "Content-Type: text/plain; charset=ISO-8859-1\\n"\n\n'
        'msgid "%d Datei"\nmsgid_plural "%d Dateien"\nmsgstr[0] "%d file"\nmsgstr[1] "%d files"\n\n'
        '#, fuzzy\nmsgid "Größe"\nmsgstr "sizes"\n\nmsgid "offen"\nmsgstr ""\n\n#~ msgid "alt"\n#~ msgstr "old"\n',
        encoding="iso-8859-1",
    )
    assert [(pair.source, pair.target, pair.left_out) for pair in read_all([str(path)])] == [
        ("%d Datei", "%d file", ""),
        ("%d Dateien", "%d files", ""),
        ("Größe", "sizes", "unfinished"),
        ("offen", "", "untranslated"),
        ("alt", "old", "obsolete"),
    ]


def test_terms(tmp_path: Path) -> None:
    path = tmp_path / "x.tbx"
    entry = '<langSet xml:lang="{}"><tig><term>{}</term></tig>{}</langSet>'
    more = "<tig><term>{}</term></tig>"
    path.write_text(
        "<martif type='TBX'><text><body><termEntry>"
        + entry.format("de", "Rechner", more.format("Computer"))
        + entry.format("en-US", "computer", more.format("machine"))
        + "</termEntry></body></text></martif>"
    )
    assert read_terms(str(path), "de", "en") == [("Rechner", "computer"), ("Computer", "computer")]
    path.write_text(
        "<tbx xmlns='urn:iso:std:iso:30042:ed-2'><text><body><conceptEntry><langSec xml:lang='en'><termSec><term>house"
        "</term></termSec></langSec><langSec xml:lang='de'><termSec><term>Haus</term></termSec></langSec>"
        "</conceptEntry></body></text></tbx>"
    )
    assert read_terms(str(path), "de", "en") == [("Haus", "house")]
    assert find_format(str(path)) == "TBX"


def test_columns_that_are_asked_for(run: Callable[..., str], tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.title = "empty"
    sheet = book.create_sheet("texts")
    for source, target in PAIRS:
        sheet.append([target, "a note that is longer than both of the texts, and that nobody wants to read", source])
    book.save("book.xlsx")
    languages = ("--source", "de", "--target", "en", "--output", "corpus")
    chosen = (*languages, "--sheet", "texts", "--source-field", "c", "--target-field", "A")
    assert f"{len(PAIRS)} pairs kept" in run("book.xlsx", *chosen)
    assert "sheets are empty, texts" in run("book.xlsx", *chosen[:-5], "no", "--overwrite", status=2)
    said = run("book.xlsx", *chosen[:-3], "x", "--target-field", "A", "--overwrite", status=2)
    assert "no column `x` (--source-field); its columns are A `The dog sees" in said
    record = {"meta": {"a": 1}, "text": {"original": {"t": PAIRS[0][0]}, "made": PAIRS[0][1]}}
    Path("x.json").write_text(json.dumps([record]))
    fields = {"source_field": "text.original.t", "target_field": "text.made"}
    assert [pair[:2] for pair in read_all(["x.json"], **fields)] == PAIRS[:1]
    with pytest.raises(UserError, match=r"fields that are there: meta.a, text.original.t, text.made"):
        read_all(["x.json"])


@pytest.mark.parametrize(
    ("sample", "found"),
    [
        ("a;b, c;d\ne;f;g\n", (";", True)),
        ("sep=|\na|b;c;d\n", ("|", True)),
        ('"Hello" she said\tx\n"\ty\n', ("\t", False)),
        ('"She said ""Hello"""\tx\n', ("\t", True)),
        ('a\tb\n"' + '""' * 30_000 + "\n", ("\t", False)),  # in linear time
    ],
)
def test_delimiters(sample: str, found: tuple[str, bool]) -> None:
    assert find_delimiter(sample, "x.csv") == found


LAUGHS = '<!DOCTYPE tmx [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><tmx><body><tu>&b;</tu></body></tmx>'


def zip_bomb() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("xl/workbook.xml", "w") as member:
        member.write(bytes(1 << 20))
    return content.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.tmx", b"<tmx><body>\n<tu></body>", "`x.tmx` line 2 is not valid XML: Opening and ending tag mismatch"),
        ("x.tmx", b"", "`x.tmx` line 1 is not valid XML"),
        ("x.tmx", LAUGHS.encode(), "`x.tmx` declares entities, which are refused"),
        ("x.tmx.gz", gzip.compress(os.urandom(999))[:500], "`x.tmx.gz` cannot be read: Compressed file ended"),
        ("x.tmx.zst", zstd(os.urandom(2000))[:900], "`x.tmx.zst` cannot be read: Compressed file ended"),
        (
            "x.tmx",
            b'<tmx><body><tu><tuv xml:lang="fr"><seg>a</seg></tuv></tu></body></tmx>',
            "`x.tmx` has no pair in `de` and `en`; its languages are fr; set --source and --target",
        ),
        (
            "x.xlf",
            b'<xliff><file source-language="de" target-language="fr"/></xliff>',
            "`x.xlf` is from `de` to `fr`, but --source is `de` and --target `en`",
        ),
        ("x.pot", b'msgid "a"\nmsgstr ""\n', "only 0 pairs are left: 1 dropped (100.0 %): without a translation"),
        ("x.csv", b"", "no translation was found in `x.csv`"),
        ("x.doc", b"\xd0\xcf\x11\xe0", "`x.doc` is an old Office document (.doc, .xls, .ppt); save it as text"),
        ("x.xlsx", b"\xd0\xcf\x11\xe0", "`x.xlsx` is an old or OpenDocument spreadsheet, or has a password; save it"),
        ("x.po", b'msgid "a"\nmsgstr "b" c"\n', "`x.po` line 2 is not a valid PO file: "),
        ("x.po", __file__.encode(), "`x.po` line 1 is not a valid PO file: "),
        ("x.csv", b'de,en\n"a"b,c\n', "`x.csv` line 2 is not valid CSV: ',' expected after '\"'"),
        ("x.csv", b"one column\nonly\n", "`x.csv` has no columns: none of tab, semicolon, comma and | separates"),
        ("x.xlsx", b"PK\x03\x04 and nothing else", "`x.xlsx` cannot be read as a workbook (xlsx): "),
        ("x.xlsx", b"no archive", "`x.xlsx` cannot be read as a workbook (xlsx): "),
        ("x.jsonl", b'{"de": "a"}\n', "`x.jsonl`: set --source-field and --target-field to fields that are there: de"),
        ("x.jsonl", b'{"de": "a", "en": "b"}\n{"de": 1, "en": "b"}', "`x.jsonl` line 2: `de` must be a text, but is 1"),
        ("x.jsonl", b"{", "`x.jsonl` line 1 is not valid JSON"),
        (
            "x.json",
            b'{"data": [\n',
            "`x.json` line 1 is not valid JSON: Expecting value at column 11; each line",
        ),
        ("x.json", b"[" + b'{"a":' * 900 + b"1" + b"}" * 900 + b"]", "`x.json`: set --source-field and --target-field"),
        ("x.parquet", b"PAR1", "`x.parquet` cannot be read as Parquet: "),
        ("x.txt", b"A sentence.\n", "`x.txt` is plain text, which needs a second file with the other language"),
        (
            "x.jsonl",
            b'{"de": "a", "en": "b"}\n{"de": "a", "en": ""}',
            "only 1 pairs are left: 1 dropped (50.0 %): a side",
        ),
        (
            "x.jsonl",
            b"".join(
                b'{"de": "Seite %d von hundert", "en": "page %d of a hundred"}\n' % (n, n) for n in range(100, 160)
            ),
            "only 0 of 60 pairs are left to train on: the others are validation and test, or nearly the same as these",
        ),
    ],
)
def test_bad_files_are_refused_in_one_line(run: Callable[..., str], name: str, content: bytes, message: str) -> None:
    Path(name).write_bytes(content)
    said = run(name, "--source", "de", "--target", "en", "--output", "corpus", status=2)
    assert said.startswith(f"nmt: error: {message}")
    assert said.count("\n") == 1
    assert os.listdir() == [name]


def test_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx_format, "MOST", 1 << 18)
    (tmp_path / "x.xlsx").write_bytes(zip_bomb())
    with pytest.raises(UserError, match=r"unpacks to 1,048,576 bytes, but a workbook may have at most"):
        read_all([str(tmp_path / "x.xlsx")])
    monkeypatch.setattr(xml, "MOST_BETWEEN", 1 << 18)
    (tmp_path / "x.tmx").write_text("<tmx><body>" + "<note/>" * 100_000)
    with pytest.raises(UserError, match=r"has more than 262,144 bytes without a translation unit"):
        read_all([str(tmp_path / "x.tmx")])


def test_folders_of_others_are_left_alone(run: Callable[..., str], tmp_path: Path) -> None:
    table(tmp_path / "x")
    options = ("x.csv", "--output", "corpus", "--target", "en")
    Path("corpus").mkdir()
    Path("corpus/mine").touch()
    assert "was not made by `nmt import` and is not overwritten" in run(*options, "--overwrite", status=2)
    Path("corpus/mine").unlink()
    run(*options)
    assert "exists already; use --overwrite to replace it" in run(*options, status=2)
    before = lines(Path("corpus/val.en"))
    run(*options, "--overwrite", "--seed", "2")
    assert lines(Path("corpus/val.en")) != before
    assert "set --source and --target" in run(*table(tmp_path / "y", header=()), "--output", "new", status=2)
    assert "does not exist (did you mean `x.csv`?)" in run("x.cvs", "--output", "new", status=2)
    new = ("x.csv", "--output", "new", "--target", "en")
    assert "must be two languages, but both are `en`" in run(*new, "--source", "en", status=2)
    assert "must be a code such as `de` or `pt-BR`, but is `a/b`" in run(*new, "--source", "a/b", status=2)
    assert "--min-score and --score-field need each other" in run(*options, "--min-score", "1", status=2)
    assert "must be half of the 180 pairs at most, but are 109" in run(
        *options, "--overwrite", "--test", "100", status=2
    )


def test_a_killed_import_leaves_nothing(tmp_path: Path) -> None:
    """The next import removes what the killed one had written, and no folder of the wanted name was there."""
    table(tmp_path / "x")
    (tmp_path / "y.csv").write_bytes((tmp_path / "x.csv").read_bytes() * 2000)
    command = [sys.executable, "-m", "nmt", "import", "y.csv", "--source", "de", "--target", "en", "--output", "corpus"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    while not list(tmp_path.glob(".corpus.importing-*/kept.de")):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not (tmp_path / "corpus").exists()
    command[4] = "x.csv"
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "x.csv", "y.csv"]


def test_an_import_that_is_killed_while_it_replaces_a_folder_loses_nothing(
    run: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table(tmp_path / "x")
    run("x.csv", "--output", "corpus", "--source", "de", "--target", "en")
    before = Path("corpus/train.de").read_text()
    rename = os.rename

    def killed(old: Path, new: Path) -> None:
        rename(old, new)
        raise KeyboardInterrupt  # after the first of the two renames

    options = ("--output", "corpus", "--source", "de", "--target", "en", "--seed", "2")
    with monkeypatch.context() as patch:
        patch.setattr("nmt.data.importing.os.rename", killed)
        run("x.csv", *options, "--overwrite", status=1)
    assert not Path("corpus").exists()
    assert "as it was before" in run("x.csv", *options, status=2)
    assert Path("corpus/train.de").read_text() == before
    run("x.csv", *options, "--overwrite")
    assert Path("corpus/train.de").read_text() != before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "x.csv"]


@pytest.mark.parametrize(("write", "library"), [(tmx, "lxml"), (po, "polib"), (xlsx, "openpyxl"), (xlsx, "defusedxml")])
def test_missing_libraries(write: Write, library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = write(tmp_path / "x")
    for name in [name for name in sys.modules if name.split(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UserError, match=r"needs \w+, which is not installed: pip install -c .* -e .*\[import\]"):
        read_all(names)
