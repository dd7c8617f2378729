"""Files are what their first bytes say: read, or refused in one line; pipes are read once; long lines have a limit."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import threading
import zipfile
from pathlib import Path

import pytest

from nmt.config import DataConfig, VocabularyConfig
from nmt.data.corpus import check_splits, load_pairs, load_texts
from nmt.errors import UserError
from nmt.text.files import import_zstd, open_text
from nmt.text.reading import CHUNK, LONGEST_LINE, chunks, iterate_chunks, iterate_json, read_lines, read_parallel
from nmt.text.vocabulary import learn_vocabulary

TEXT = "Ein Haus.\r\n\nZwei \u2028Häuser, 你好\n" * 50
LINES = ["Ein Haus.", "", "Zwei \u2028Häuser, 你好"] * 50


def zipped(*names: str) -> bytes:
    """A zip archive."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in names:
            archive.writestr(name, "x" * 5000)
    return content.getvalue()


READ = {
    "plain": TEXT.encode(),
    "with a mark": b"\xef\xbb\xbf" + TEXT.encode(),
    "gzip": gzip.compress(TEXT.encode()),
    "bzip2": bz2.compress(TEXT.encode()),
    "zstd": import_zstd().compress(TEXT.encode()[:99]) + import_zstd().compress(TEXT.encode()[99:]),
    "xz": lzma.compress(TEXT.encode()),
    "UTF-16LE": b"\xff\xfe" + TEXT.encode("utf-16-le"),
    "UTF-16BE": b"\xfe\xff" + TEXT.encode("utf-16-be"),
    "UTF-32": TEXT.encode("utf-32"),
    "UTF-16 in gzip": gzip.compress(TEXT.encode("utf-16")),
    "gzip in gzip": gzip.compress(gzip.compress(TEXT.encode())),
}


@pytest.mark.parametrize("kind", READ)
@pytest.mark.parametrize("name", ["text", "text.gz"])
def test_what_is_read_whatever_its_name(kind: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(READ[kind])
    assert read_lines(path) == LINES
    with open_text(io.BytesIO(READ[kind]), "the input") as file:
        assert file.read().decode() == TEXT


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (zipped("[Content_Types].xml", "word/document.xml"), "a Word document (.docx); save it as text"),
        (zipped("[Content_Types].xml", "xl/workbook.xml"), "an Excel workbook (.xlsx); `nmt import` makes text of it"),
        (zipped("mimetype", "content.xml"), "an OpenDocument file (.odt, .ods, .odp)"),
        (zipped("train.de", "train.en"), "a zip archive; unpack it first"),
        (b"%PDF-1.7 ...", "a PDF document"),
        (b"\n<!doctype HTML><title>a</title>", "an HTML page; save its text first"),
        (b"{\\rtf1 Ein Haus.}", "an RTF document"),
        (b'<?xml version="1.0"?>\n<!DOCTYPE tmx>\n<tmx version="1.4">', "a translation memory (TMX)"),
        (b'\xef\xbb\xbf<?xml version="1.0"?>\n<xliff version="1.2">', "an XLIFF file"),
        (TEXT.encode("utf-16-le"), "UTF-16LE text without a byte order mark; convert it: iconv -f UTF-16LE -t UTF-8"),
        (TEXT.encode("utf-16-be"), "UTF-16BE text without a byte order mark"),
        ("你好。今天天气很好。\n".encode("utf-16-le") * 9, "UTF-16LE text without a byte order mark"),
    ],
)
def test_what_is_refused_in_a_line_that_says_what_it_is(content: bytes, what: str, tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(content)
    for read in (lambda: read_lines(path), lambda: open_text(io.BytesIO(content), f"`{path}`")):
        with pytest.raises(UserError) as caught:
            read()
        assert str(caught.value).startswith(f"`{path}` is {what}") and "\n" not in str(caught.value)


def test_damaged_files(tmp_path: Path) -> None:
    for name, content in (("x", lzma.compress(TEXT.encode())[:-20]), ("g", gzip.compress(TEXT.encode())[:-20])):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=f"{name}` cannot be read: Compressed file ended"):
            read_lines(tmp_path / name)
    (tmp_path / "u").write_bytes(b"\xff\xfea\x00b\x00\n\x00\x00\xd8")
    with pytest.raises(UserError, match="u` is not valid UTF-16: unexpected end of data"):
        read_lines(tmp_path / "u")


def test_nul_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one\ntwo\0\n")
    with pytest.raises(UserError, match="a` line 2 is no text: its byte 4 is NUL"):
        read_lines(tmp_path / "a")


def test_a_line_without_end_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    (tmp_path / "bomb.gz").write_bytes(
        gzip.compress(b"ok\n" + b"x" * (LONGEST_LINE - 1) + b"\n" + b"x" * 2 * LONGEST_LINE)
    )
    with pytest.raises(UserError, match=r"bomb.gz` line 3 is longer than 16,777,216 bytes; break it into lines"):
        read_lines(tmp_path / "bomb.gz")
    pairs = ", ".join('{"de": "ein Haus", "en": "a house"}' for _ in range(100))
    (tmp_path / "array.json").write_text(f"[{pairs}]")
    assert len(list(iterate_json(tmp_path / "array.json", "de", "en"))) == 100


def test_running_text_in_one_line_is_read_in_chunks(tmp_path: Path) -> None:
    words = " ".join(f"wört{i}" for i in range(30_000))
    unbroken = "你" * 50_000
    (tmp_path / "t").write_text(f"short\n{words}\n\n{unbroken}\nend", encoding="utf-8")
    found = list(iterate_chunks(tmp_path / "t"))
    assert found[0] == "short" and found[-1] == "end" and "" in found
    assert " ".join(found[1 : found.index("")]) == words
    assert "".join(found[found.index("") + 1 : -1]) == unbroken
    assert all(len(part.encode()) <= CHUNK for part in found) and len(found) < 20
    assert (
        list(chunks(words)) == found[1 : found.index("")] and list(chunks(unbroken)) == found[found.index("") + 1 : -1]
    )
    (tmp_path / "one.jsonl").write_text(f'{{"en": "{words}"}}\n', encoding="utf-8")
    for kind, name in (("text", "t"), ("json", "one.jsonl")):
        data = DataConfig(path=kind, files={"train": str(tmp_path / name)})
        texts = list(load_texts(data, "train")["text"])
        assert max(map(len, texts)) < CHUNK and " ".join(texts).find(words) >= 0
        vocabulary = learn_vocabulary(texts, VocabularyConfig(model_type="char"), 300, "identity")
        assert {"ö", "9"} <= set(vocabulary.pieces(range(len(vocabulary))))
    vocabulary = learn_vocabulary([words], VocabularyConfig(), 300, "identity")
    assert {"ö", "9"} <= set(vocabulary.pieces(range(len(vocabulary))))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipes_are_read_once(tmp_path: Path) -> None:
    """The look at the first row takes nothing from what is read afterwards."""
    sides = [[f"{word} {i}" for i in range(5000)] for word in ("Haus", "house")]
    paths = [tmp_path / "source", tmp_path / "target"]
    threads = []
    for path, lines in zip(paths, sides, strict=True):
        os.mkfifo(path)
        content = "".join(f"{line}\n" for line in lines)
        threads.append(threading.Thread(target=path.write_text, args=(content,)))
        threads[-1].start()
    data = DataConfig(path="text", files={"train": [str(path) for path in paths]})
    check_splits(data, ["train"])
    pairs = load_pairs(data, "train")
    assert [list(pairs["source"]), list(pairs["target"])] == sides
    for thread in threads:
        thread.join()


def test_parallel_files_of_different_kinds(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(READ["xz"])
    (tmp_path / "b").write_bytes(READ["UTF-16LE"])
    assert read_parallel([tmp_path / "a", tmp_path / "b"]) == [LINES, LINES]
