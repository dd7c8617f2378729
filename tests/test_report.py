"""Reports that any text leaves intact, in three formats, and the results section of a model card."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lxml.html
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown import markdown as read_markdown  # comes with tensorboard
from toys import HYPOTHESES, REFERENCES, SOURCES

from nmt.errors import UserError
from nmt.report import Commands, describe, report_json, write_report
from nmt.report.blocks import Example, Paragraph, Section, Table
from nmt.report.card import with_results, write_results
from nmt.report.charts import Series, bar_chart, line_chart, reliability_chart, ticks, tree_chart
from nmt.report.contents import Report, add_training_data, make_report
from nmt.report.rendering import to_html, to_markdown
from nmt.report.search_tree import Node
from nmt.report.sections import choose_examples, least_sure, make_document
from nmt.report.words import Span
from nmt.scores.evaluation import Evaluation, Score, evaluate_translations
from nmt.scores.metrics import SentenceScore
from nmt.scores.significance import PartScorer, compare_systems

AWKWARD = [
    "a | b \\| c",
    "`code` ``` fence",
    "two\nlines\r\nand\ttab",
    "# heading <b>bold</b> &amp; *stars* _under_ snake_case </script><script>alert(1)</script>",
    "",
    "\u202eright to left\u2028separated\x00\U0001f600",
]
COMMANDS = Commands("nmt evaluate run --report 'a b'", "nmt train run/config.toml")


def evaluate(
    hypotheses: Sequence[str] = HYPOTHESES, references: Sequence[Sequence[str]] = (REFERENCES,), **options: Any
) -> Evaluation:
    language = options.pop("language", "en")
    options.setdefault("bootstrap", 20)
    return evaluate_translations(hypotheses, references, target_language=language, **options)


def report(evaluation: Evaluation, training: list[tuple[str, str]] | None = None) -> Report:
    scorer = PartScorer(evaluation.hypotheses, evaluation.references, target_language="en", bootstrap=20)
    own = make_report(evaluation, scorer)
    if training is not None:
        add_training_data(own, scorer, Columns(training), ["<2en>"])
    return own


class Columns:
    """Pairs as a data set hands them out."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            return {"source": [one for one, _ in self.pairs[key]], "target": [other for _, other in self.pairs[key]]}
        return dict(zip(("source", "target"), self.pairs[key], strict=True))


def markdown_of(evaluation: Evaluation) -> str:
    return to_markdown(make_document(report(evaluation), COMMANDS))


def html_of(evaluation: Evaluation) -> str:
    return to_html(make_document(report(evaluation), COMMANDS))


def rows(markdown: str) -> list[str]:
    return [line for line in markdown.split("\n") if line.startswith("|")]


def test_describe_has_a_line_a_score_and_then_the_signatures() -> None:
    lines = describe(evaluate()).split("\n")
    assert re.fullmatch(r"BLEU +\d+\.\d\d  \(95 %: \d+\.\d\d to \d+\.\d\d\)", lines[0])
    assert lines[4].startswith("6 sentences; length ratio 0.")
    assert lines[5].startswith("signature BLEU: nrefs:1|bs:20|seed:12345|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert len(lines) == 9
    assert describe(evaluate(language="zh")).split("\n")[-1].startswith("note: ")


def test_report_files(tmp_path: Path) -> None:
    evaluation = evaluate(AWKWARD, [REFERENCES, HYPOTHESES], language="zh", sources=SOURCES)
    settings = {"command": "nmt evaluate a|b", "beam_size": 5, "models": ["x", "y"], "sampling": False}
    evaluation.settings = {**settings, "path": Path("runs")}
    folder = tmp_path / "new" / "report"
    write_report(report(evaluation), folder, COMMANDS)
    names = [
        "hypothesis.txt",
        "reference.1.txt",
        "reference.2.txt",
        "report.html",
        "report.json",
        "report.md",
        "source.txt",
    ]
    assert sorted(path.name for path in folder.iterdir()) == names

    found = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert (found["empty"], found["cut"]) == (1, None)
    assert [score["name"] for score in found["scores"]] == ["BLEU", "chrF2", "TER"]
    assert found["scores"][0]["signature"] == evaluation.score("BLEU").signature
    assert [sentence["hypothesis"] for sentence in found["sentences"]] == AWKWARD
    assert [sentence["source"] for sentence in found["sentences"]] == SOURCES
    assert found["sentences"][1]["references"] == [REFERENCES[1], HYPOTHESES[1]]
    assert found["sentences"][1]["number"] == 2
    assert found["settings"] == {**settings, "path": "runs"}
    assert found["notes"] == evaluation.notes
    assert found["lengths"]["sentences"] == 6
    assert found["commands"] == {"evaluate": COMMANDS.evaluate, "training": COMMANDS.training}

    markdown = (folder / "report.md").read_text(encoding="utf-8")
    page = (folder / "report.html").read_text(encoding="utf-8")
    for score in evaluation.scores:
        assert f"{score.value:.2f} | {score.low:.2f} to {score.high:.2f} |" in markdown
        assert f"{score.name}: {score.signature}\n" in markdown
        assert score.signature in page
        assert f"{score.value:.2f}<small>" in page
    for line in ("| models | x, y |", "| beam_size | 5 |", "| sampling | false |", "| source | Satz 2. |"):
        assert line in markdown
    scores, note = markdown.index("| BLEU |"), markdown.index("Note: BLEU's tokeniser is &#96;zh&#96;")
    assert scores < note < markdown.index("## n-gram precision")
    assert "*(empty)*" in markdown
    assert "<i>(empty)</i>" in page
    assert (folder / "hypothesis.txt").read_text(encoding="utf-8").count("\n") == 6
    assert (folder / "source.txt").read_text(encoding="utf-8").splitlines() == SOURCES
    write_report(report(evaluation), folder, COMMANDS)  # replaced
    assert (folder / "report.md").read_text(encoding="utf-8") == markdown


def test_every_section_says_which_command_made_its_numbers() -> None:
    document = make_document(report(evaluate(sources=SOURCES), [("a", "b")]), COMMANDS)
    assert [section.title for section in document.sections if section.command != COMMANDS.evaluate] == []
    page = lxml.html.fromstring(to_html(document))
    assert len(page.findall(".//section")) == len(document.sections)
    for section in page.findall(".//section"):
        assert section.find("p[@class='command']").text_content() == f"made by {COMMANDS.evaluate}"
    links = [link.get("href") for link in page.findall(".//nav//a")]
    assert links == [f"#{section.get('id')}" for section in page.findall(".//section")]
    assert len(set(links)) == len(links)
    assert to_markdown(document).count("Made by `nmt evaluate run --report 'a b'`.") == len(document.sections)


def test_the_commands_of_sacrebleu_name_the_files_of_the_report(tmp_path: Path) -> None:
    evaluation = evaluate()
    options = {"target_language": "en", "bootstrap": 20, "randomization": 20}
    evaluation.comparisons = [compare_systems("other", HYPOTHESES, REFERENCES[::-1], [REFERENCES], **options)]
    write_report(report(evaluation), tmp_path, COMMANDS)
    markdown = (tmp_path / "report.md").read_text()
    commands = re.findall(r"^sacrebleu .*", markdown, re.MULTILINE)
    assert commands[0] == "sacrebleu reference.txt -i hypothesis.txt -m bleu chrf ter -tok 13a --confidence"
    common = "sacrebleu reference.txt -i baseline.1.txt hypothesis.txt -m bleu chrf ter -tok 13a"
    assert commands[1:] == [f"{common} --paired-bs -f text", f"{common} --paired-ar -f text"]
    for name in ("reference.txt", "hypothesis.txt", "baseline.1.txt"):
        assert (tmp_path / name).read_text().count("\n") == 6
    assert "## Better than other" in markdown
    assert f"| baseline | {'A group of people'}" in markdown.replace("<u>", "").replace("</u>", "")
    found = json.loads((tmp_path / "report.json").read_text())
    assert found["comparisons"][0]["differences"][0]["system"] == evaluation.score("BLEU").value
    assert found["sentences"][0]["baselines"] == [REFERENCES[5]]
    assert "against `other`" in describe(evaluation)


def test_the_page_needs_no_network_and_no_text_breaks_out_of_it() -> None:
    evaluation = evaluate(AWKWARD, sources=AWKWARD)
    evaluation.settings = {"model": "<img src=x>", "command": "</style>"}
    text = html_of(evaluation)
    page = lxml.html.fromstring(text)
    assert page.findall(".//link") == page.findall(".//img") == page.findall(".//iframe") == []
    assert [script.get("src") for script in page.findall(".//script")] == [None]
    assert all(link.get("href").startswith("#") for link in page.findall(".//a"))
    assert "default-src 'none'" in text
    assert not re.search(r"url\(|@import|https?:", text)
    assert "prefers-color-scheme: dark" in text
    tables = [box for box in page.find_class("scroll") if box.find("table") is not None]
    assert tables and all(box.get("tabindex") == "0" and box.get("aria-label") for box in tables)  # for a keyboard
    assert "alert(1)" not in page.find(".//script").text
    cells = [cell.text_content() for cell in page.findall(".//td")]
    for sentence in ("a | b \\| c", "`code` ``` fence", "two⟨U+000A⟩lines⟨U+000D⟩⟨U+000A⟩and⟨U+0009⟩tab", AWKWARD[3]):
        assert sentence in cells
    assert "⟨U+202E⟩right to left⟨U+2028⟩separated⟨U+0000⟩\U0001f600" in cells


def test_awkward_text_stays_in_its_cell_and_is_read_back_as_it_was() -> None:
    markdown = markdown_of(evaluate(AWKWARD, sources=AWKWARD))
    html = read_markdown(markdown, extensions=["tables", "fenced_code"])
    cells = re.findall(r"<td>(.*?)</td>", html)
    assert "a &#124; b &#92;&#124; c" in cells
    assert "&#96;code&#96; &#96;&#96;&#96; fence" in cells
    assert "two⟨U+000A⟩lines⟨U+000D⟩⟨U+000A⟩and⟨U+0009⟩tab" in cells
    bold = "# heading &#60;b&#62;bold&#60;/b&#62; &#38;amp; &#42;stars&#42; &#95;under&#95; snake_case"
    assert any(cell.startswith(bold) for cell in cells)
    assert "⟨U+202E⟩right to left⟨U+2028⟩separated⟨U+0000⟩\U0001f600" in cells
    assert "<b>" not in html
    assert "<script>" not in html


@given(st.text(max_size=60))
def test_any_text_leaves_tables_and_page_whole(text: str) -> None:
    evaluation = Evaluation(
        scores=[Score("BLEU", 1.0, 0.5, 1.5, "nrefs:1")],
        hypotheses=[text],
        references=[[text]],
        sources=[text],
        sentence_scores=[SentenceScore(1.0, 2.0)],
        system_length=1,
        reference_length=1,
        length_ratio=1.0,
        brevity_penalty=1.0,
        precisions=[1.0],
        matches=[1],
        totals=[1],
        settings={text: text},
    )
    own = report(evaluation)
    document = make_document(own, Commands(text))
    example = Example(1, text, [(name, [Span(text, True), Span(text, False)]) for name in ("a", "b")])
    document.sections.append(Section("Own", [Paragraph(text), Table([text, "x"], [[text, "y"]]), example]))
    for row in rows(to_markdown(document)):
        assert row.count("|") in (3, 4, 5, 6, 7)
    assert [row.count("|") for row in rows(to_markdown(document))[-6:]] == [3] * 6
    page = lxml.html.fromstring(to_html(document))
    assert len(page.findall(".//section")) == len(document.sections)
    assert len(page.findall(".//script")) == len(page.findall(".//style")) == 1
    assert json.loads(report_json(own, COMMANDS))["sentences"][0]["hypothesis"] == text


def test_what_differs_is_marked() -> None:
    evaluation = evaluate(["A dog runs."], [["A cat runs."]], bootstrap=0)
    assert "| hypothesis | A <u>dog</u> runs. |" in markdown_of(evaluation)
    assert "| reference | A <u>cat</u> runs. |" in markdown_of(evaluation)
    page = lxml.html.fromstring(html_of(evaluation))
    assert {mark.text for mark in page.findall(".//mark")} == {"dog", "cat"}


def test_long_sentences_are_cut_in_the_readable_report_only(tmp_path: Path) -> None:
    long = "word " * 10_000
    write_report(report(evaluate([long], [["word"]], bootstrap=0)), tmp_path, COMMANDS)
    assert "*(cut: 49999 characters)*" in (tmp_path / "report.md").read_text()
    assert len((tmp_path / "report.md").read_text()) < 9000
    assert json.loads((tmp_path / "report.json").read_text())["sentences"][0]["hypothesis"] == long


def test_a_lone_surrogate_does_not_stop_the_report(tmp_path: Path) -> None:
    write_report(report(evaluate(["a \ud800 b"], [["a b"]], bootstrap=0)), tmp_path, COMMANDS)
    assert json.loads((tmp_path / "report.json").read_text())["sentences"][0]["hypothesis"] == "a \ud800 b"
    for name in ("report.md", "report.html"):
        assert "⟨U+D800⟩" in (tmp_path / name).read_text(encoding="utf-8")


def test_the_score_without_planted_leaks() -> None:
    """Two sentences that are translated perfectly because they were learned; the score without them is lower."""
    hypotheses = [*HYPOTHESES[:4], *REFERENCES[4:]]
    sources = [*SOURCES[:4], "fünf menschen bauen ein dach auf", "sechs menschen stehen vor einem iglu"]
    training = [("ein hund", "a dog"), ("<2en> Fünf Menschen bauen ein Dach auf", REFERENCES[4]), ("q", REFERENCES[5])]
    own = report(evaluate(hypotheses, sources=sources), training)
    assert own.training is not None
    everything, clean, leaked = own.training.without_leaks
    assert (everything.sentences, clean.sentences, leaked.sentences) == (6, 4, 2)
    assert clean.bleu < everything.bleu < leaked.bleu == pytest.approx(100)
    assert everything.bleu == pytest.approx(own.evaluation.score("BLEU").value)
    first = {leak.place: leak for leak in own.training.leaks}
    assert (first[4].exact, first[5].exact) == (True, True)
    assert {first[4].side, first[5].side} <= {"source", "reference"}
    assert "<2en>" not in first[4].training
    found = json.loads(report_json(own, COMMANDS))
    assert found["training_data"]["duplicates"] == {"pairs": 1, "sources": 1, "references": 2}
    assert [sentence["near_duplicate"] for sentence in found["sentences"]] == [False] * 4 + [True] * 2
    assert "| source and reference are one training pair | 1 | 16.7 |" in to_markdown(make_document(own, COMMANDS))


# Examples


def test_examples_are_the_best_the_worst_and_the_same_random_ones() -> None:
    count = 60
    evaluation = evaluate(bootstrap=0)
    evaluation.hypotheses = ["x"] * count
    evaluation.references = [["x" * (number + 1) for number in range(count)]]
    evaluation.sentence_scores = [SentenceScore(float(number // 2), float(number % 2)) for number in range(count)]
    examples = choose_examples(evaluation)
    assert examples["Best sentences"] == [59, 58, 57, 56, 55]
    assert examples["Worst sentences"] == [0, 1, 2, 3, 4]
    assert len(examples["Random sentences"]) == 10
    assert examples["Random sentences"] == choose_examples(evaluation)["Random sentences"]
    assert not set(examples["Random sentences"]) & {0, 1, 2, 3, 4, 55, 56, 57, 58, 59}
    evaluation.sentence_scores = [SentenceScore(100.0, 100.0)] * count
    assert choose_examples(evaluation)["Best sentences"] == [59, 58, 57, 56, 55]  # the longest of equals


def test_few_sentences_are_shown_once() -> None:
    shown = choose_examples(evaluate(bootstrap=0))
    assert sorted(number for numbers in shown.values() for number in numbers) == list(range(6))


def test_the_least_sure() -> None:
    assert least_sure([0.5, None, 0.1, 0.9], 2) == [2, 0]


# Files


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"the report cannot be written to `.*file`: File exists"):
        write_report(report(evaluate(bootstrap=0)), tmp_path / "file", COMMANDS)


def test_an_interrupted_write_leaves_the_old_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluation = evaluate(bootstrap=0)
    write_report(report(evaluation), tmp_path, COMMANDS)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(UserError, match="No space left on device"):
        write_report(report(evaluate(REFERENCES, bootstrap=0)), tmp_path, COMMANDS)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_without_jinja2_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "jinja2", None)
    with pytest.raises(UserError, match=r"a report needs jinja2, .*-e '\.\[train\]'"):
        html_of(evaluate(bootstrap=0))


# Charts


NODES = [Node(-1, 1, 5, -0.1, -0.1, "best"), Node(0, 2, 6, -0.2, -0.3, "refused")]
CHARTS = {
    "bars": bar_chart("a & b", ["x <y>", "z"], [Series("s", [3, 0], low=[2, 0], high=[4, 1])], "x", "%"),
    "groups": bar_chart("l", ["x"], [Series("one", [3]), Series("two", [5], notes=["n & m"])], "", ""),
    "line": line_chart("l", [Series("s", [2.0, 1.0], [1, 50]), Series("t", [3.0], [7])], "updates", "loss"),
    "flat": line_chart("l", [Series("s", [0.0], [5])], "updates", "loss", from_zero=True),
    "reliability": reliability_chart("l", [(0.1, 0.2, 5), (0.9, 1.0, 50)]),
    "tree": tree_chart("l", ">", NODES, [("<a>", "9", "t & u"), ("b", "1", "t")]),
    "no tree": tree_chart("l", ">", [], []),
}


@pytest.mark.parametrize("name", CHARTS)
def test_charts_are_whole_and_inside_their_frame(name: str) -> None:
    root = xml.etree.ElementTree.fromstring(CHARTS[name])
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    for element in root.iter():
        for key, most in {"x": width, "cx": width, "y": height, "cy": height}.items():
            assert 0 <= float(element.attrib.get(key, 0)) <= most
        assert "style" not in element.attrib  # colours are the page's
        assert not {"fill", "stroke"} & set(element.attrib)
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"]


def test_bars_have_the_height_of_their_values() -> None:
    chart = xml.etree.ElementTree.fromstring(bar_chart("l", list("abc"), [Series("s", [10, 20, 5])], "", ""))
    heights = [float(rect.attrib["height"]) for rect in chart.findall("rect")]
    assert heights[1] == pytest.approx(2 * heights[0], abs=0.2) == pytest.approx(4 * heights[2], abs=0.4)


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_cover_and_are_few(low: float, size: float) -> None:
    found = ticks(low, low + size)
    assert found[0] <= low + 1e-6 * abs(low) + 1e-6 * size
    assert found[-1] >= low + size - 1e-6 * abs(low) - 1e-6 * size
    assert 2 <= len(found) <= 13


# Model card


def evaluated(**settings: Any) -> Evaluation:
    evaluation = evaluate(bootstrap=0)
    evaluation.settings = {"command": "nmt evaluate `x`", "data": "data | here, split test", "beam_size": 5, **settings}
    return evaluation


def test_results_stand_in_the_model_card_once() -> None:
    card = "# de -> en\n\nA model.\n\n## Licence\n\nMIT\n"
    first = with_results(card, evaluated())
    assert first.startswith(card.rstrip())
    value = evaluated().score("BLEU").value
    assert f"| BLEU | {value:.2f} | {value:.2f} to {value:.2f} |" in first
    assert "Made by `` nmt evaluate `x` ``." in first
    assert "tok:13a" in first
    assert with_results(first, evaluated()) == first
    second = with_results(first, evaluated(beam_size=1, length_penalty="none"))
    assert second.startswith(first.rstrip())
    titles = re.findall(r"^### (.*)", second, re.MULTILINE)
    assert titles == [
        "data &#124; here, split test; beam 5",
        "data &#124; here, split test; beam 1; length_penalty none",
    ]
    better = evaluate(REFERENCES, bootstrap=0)
    better.settings = evaluated().settings
    third = with_results(second.replace("## Results", "## Results\n\nMy words.") + "\n## After\n\nEnd.\n", better)
    assert "| BLEU | 100.00 |" in third.split("### ")[1]
    assert f"| BLEU | {value:.2f} |" in third.split("### ")[2]
    assert third.count("### ") == 2
    assert "## Results\n\nMy words.\n\n### " in third
    assert third.endswith("\n\n## After\n\nEnd.\n")


def test_a_card_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    said: list[str] = []
    write_results(tmp_path, evaluated(), said.append)
    assert (tmp_path / "README.md").read_text().startswith(f"# {tmp_path.name}")
    assert said == []
    (tmp_path / "README.md").write_bytes(b"\xff\xfe")
    write_results(tmp_path, evaluated(), said.append)
    assert len(said) == 1
    assert "README.md` is left as it is" in said[0]
    assert (tmp_path / "README.md").read_bytes() == b"\xff\xfe"
