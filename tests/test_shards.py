"""`translate --shard I/N`: the outputs of all shards together are that of the whole, also where one was cut off."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from nmt import cli

LINES = [f"Ich habe {number} Hunde.\n" if number % 3 else "\n" for number in range(11)]


def translate(capsys: pytest.CaptureFixture[str], *arguments: Any) -> tuple[int, str]:
    status = cli.translate_main(["--model", "de-en", "--beam-size", "2", *map(str, arguments)])
    return status, capsys.readouterr().err


def without_scores(content: bytes, options: list[str]) -> list[Any]:
    """Lines whose scores, which differ in their last digits between batches, are left out."""
    lines = content.decode().splitlines()
    if options == ["--json"]:
        return [(record["line"], record["text"]) for record in map(json.loads, lines)]
    return [(*line.split("\t")[:2], line.split("\t")[-1]) for line in lines]


@pytest.mark.parametrize("options", [[], ["--json"], ["--n-best", "2"]])
def test_shards_together_are_the_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str]) -> None:
    source, whole = tmp_path / "in.gz", tmp_path / "whole"
    source.write_bytes(gzip.compress("".join(LINES).removesuffix("\n").encode()))  # the last line has no end
    assert translate(capsys, "--input", source, "--output", whole, *options) == (0, "")
    together, part = b"", tmp_path / "part"
    for number in (1, 2, 3):
        given = ["--input", source, "--shard", f"{number}/3", "--output", part, *options]
        assert translate(capsys, *given) == (0, "")
        content = part.read_bytes()
        part.write_bytes(content[: len(content) // 2])
        assert translate(capsys, *given, "--resume") == (0, "")
        assert without_scores(part.read_bytes(), options) == without_scores(content, options)
        together += content
    assert without_scores(together, options) == without_scores(whole.read_bytes(), options)


def test_more_shards_than_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, part = tmp_path / "in", tmp_path / "part"
    source.write_text("Ja.\nNein.\n")
    found = []
    for number in range(1, 6):
        assert translate(capsys, "--input", source, "--shard", f"{number}/5", "--output", part) == (0, "")
        found.append(part.read_text().count("\n"))
    assert sum(found) == 2 and max(found) == 1


def test_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert translate(capsys, "--shard", "1/2") == (
        2,
        "translate: error: --shard divides an --input file; give its name\n",
    )
    for wrong in ("0/2", "3/2", "1", "1/0", "a/b"):
        with pytest.raises(SystemExit):
            translate(capsys, "--shard", wrong)
        assert f"must be I/N with I from 1 to N, such as 1/4, but is '{wrong}'" in capsys.readouterr().err
