"""Scores against sacrebleu itself and against counts by hand; reports that any text leaves intact."""

import builtins
import json
import math
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st
from markdown import markdown as read_markdown  # comes with tensorboard

from nmt.errors import UserError
from nmt.evaluation import (
    MOSES_NAME,
    Evaluation,
    Score,
    SentenceScore,
    bleu,
    evaluate_translations,
    language_code,
    make_bleu,
    moses_tokens,
    tokenizer_for,
)
from nmt.report import choose_examples, describe, report_json, report_markdown, write_report

REFERENCES = [
    "A man in an orange hat is staring at something.",
    "Two dogs play in the deep snow.",
    "Five people in winter jackets and helmets stand in the snow.",
    "A girl in a karate uniform breaks a board with a kick.",
    "People are fixing the roof of a house.",
    "A group of people is standing in front of an igloo.",
]
OTHER_REFERENCES = [
    "A man wearing an orange hat stares at something.",
    "Two dogs are playing in deep snow.",
    "Five people wearing winter jackets and helmets are standing in the snow.",
    "A girl wearing a karate uniform is breaking a board with a kick.",
    "Some people fix the roof of a house.",
    "A group of people stands before an igloo.",
]
HYPOTHESES = [
    "A man in an orange hat stares at something.",
    "Two dogs are playing in the snow.",
    "Five people in winter jackets stand in the snow.",
    "A girl in a uniform breaks a board with a kick.",
    "People fix the roof of the house.",
    "A group of people standing in front of a tent.",
]
SOURCES = [f"Satz {number}." for number in range(1, 7)]


def evaluate(hypotheses=HYPOTHESES, references=(REFERENCES,), language="en", bootstrap=200, **options):
    return evaluate_translations(hypotheses, references, target_language=language, bootstrap=bootstrap, **options)


# Scores


def test_scores_and_intervals_are_those_of_sacrebleu(monkeypatch):
    evaluation = evaluate(references=[REFERENCES, OTHER_REFERENCES], bootstrap=100)
    monkeypatch.delenv("SACREBLEU_SEED", raising=False)
    for metric in (sacrebleu.BLEU(), sacrebleu.CHRF(), sacrebleu.TER()):
        expected = metric.corpus_score(HYPOTHESES, [REFERENCES, OTHER_REFERENCES], n_bootstrap=100)
        score = evaluation.score(expected.name)
        assert score.value == expected.score
        assert score.low == pytest.approx(expected._mean - expected._ci)
        assert score.high == pytest.approx(expected._mean + expected._ci)
        assert score.signature == str(metric.get_signature())
    assert "nrefs:2|bs:100|seed:12345|" in evaluation.score("BLEU").signature
    assert [score.name for score in evaluation.scores] == ["BLEU", "chrF2", "TER", MOSES_NAME]


def test_bleu_by_hand():
    # 5 of 6 words, 3 of 5 pairs, 2 of 4 triples and 1 of 3 quadruples of the hypothesis stand in the reference,
    # which is two words longer.
    evaluation = evaluate(["the cat sat on a mat"], [["the cat sat on the big red mat"]])
    assert evaluation.precisions == pytest.approx([500 / 6, 300 / 5, 200 / 4, 100 / 3])
    assert (evaluation.system_length, evaluation.reference_length) == (6, 8)
    assert evaluation.length_ratio == 6 / 8
    assert evaluation.brevity_penalty == pytest.approx(math.exp(1 - 8 / 6))
    mean = (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** (1 / 4)
    assert evaluation.score("BLEU").value == pytest.approx(100 * math.exp(1 - 8 / 6) * mean)
    assert evaluation.sentence_scores[0].bleu == pytest.approx(evaluation.score("BLEU").value)


def test_ter_by_hand():
    evaluation = evaluate(["a b c d"], [["a b x d e"]])
    assert evaluation.score("TER").value == pytest.approx(100 * 2 / 5)  # one substitution, one insertion


def test_a_perfect_translation_scores_100_and_its_interval_has_no_width():
    evaluation = evaluate(REFERENCES)
    for score in evaluation.scores:
        perfect = 0 if score.name == "TER" else 100
        assert (score.value, score.low, score.high) == pytest.approx((perfect, perfect, perfect))
    assert evaluation.brevity_penalty == 1
    assert {round(score.bleu, 6) for score in evaluation.sentence_scores} == {100}


def test_several_references_score_at_least_as_well_as_each_alone():
    both = evaluate(references=[REFERENCES, OTHER_REFERENCES])
    for single in (evaluate(references=[REFERENCES]), evaluate(references=[OTHER_REFERENCES])):
        for name in ("BLEU", "chrF2", MOSES_NAME):
            assert both.score(name).value >= single.score(name).value


def test_the_interval_contains_the_value_and_needs_no_global_state(monkeypatch):
    monkeypatch.setenv("SACREBLEU_SEED", "7")
    first, again, other = evaluate(), evaluate(), evaluate(seed=1)
    for score in first.scores:
        assert score.low < score.value < score.high
    assert first.scores == again.scores
    assert first.score("BLEU").value == other.score("BLEU").value
    assert first.score("BLEU").low != other.score("BLEU").low
    monkeypatch.setattr("os.environ", {})
    assert evaluate().scores == first.scores


def test_without_bootstrap_the_interval_is_the_value():
    score = evaluate(bootstrap=0).score("BLEU")
    assert score.low == score.value == score.high
    assert "bs:" not in score.signature


def test_bleu_for_validation_is_the_same_figure():
    assert bleu(HYPOTHESES, [REFERENCES], "en") == evaluate().score("BLEU").value
    with pytest.raises(UserError, match="6 hypotheses but reference set 1 has 5 sentences"):
        bleu(HYPOTHESES, [REFERENCES[:5]], "en")


def test_empty_hypotheses_score_zero():
    evaluation = evaluate([""] * 6)
    assert evaluation.score("BLEU").value == 0
    assert evaluation.brevity_penalty == 0
    assert json.loads(report_json(evaluation))["sentences"][0]["bleu"] == 0


def test_text_that_looks_tokenised_is_noted():
    separated = [hypothesis.replace(".", " .") for hypothesis in HYPOTHESES]
    assert any("6 of 6 hypotheses end in a separated full stop" in note for note in evaluate(separated).notes)
    assert evaluate().notes == []


@pytest.mark.parametrize(
    ("hypotheses", "references", "sources", "message"),
    [
        (HYPOTHESES, [REFERENCES, REFERENCES[:4]], None, "6 hypotheses but reference set 2 has 4 sentences"),
        (HYPOTHESES[:2], [REFERENCES], None, "2 hypotheses but reference set 1 has 6 sentences"),
        (HYPOTHESES, [REFERENCES], SOURCES[:1], "6 hypotheses but the source has 1 sentences"),
        (HYPOTHESES, [], None, "at least one set of references"),
        ([], [[]], None, "nothing to evaluate: the set has 0 sentences"),
    ],
)
def test_sets_that_do_not_match_are_refused(hypotheses, references, sources, message):
    with pytest.raises(UserError, match=message):
        evaluate(hypotheses, references, sources=sources)


# Tokenisers


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("en", "13a"), ("de_DE", "13a"), ("xx", "13a"), ("target", "13a"),
        ("zh", "zh"), ("zh-CN", "zh"), ("zho_Hans", "zh"), ("Chinese", "zh"),
        ("ja", "ja-mecab"), ("jpn_Jpan", "ja-mecab"), ("ko", "ko-mecab"), ("KO-kr", "ko-mecab"),
    ],
)  # fmt: skip
def test_the_tokeniser_follows_the_target_language(language, expected):
    assert tokenizer_for(language) == expected


def test_language_code():
    assert [language_code(name) for name in ("German", "eng_Latn", "pt-BR", "tlh")] == ["de", "en", "pt", "tlh"]


def test_chinese_is_scored_by_characters():
    evaluation = evaluate(["我喜欢红茶。"], [["我喜欢绿茶。"]], language="zh")
    assert evaluation.precisions[0] == pytest.approx(500 / 6)
    assert "tok:zh" in evaluation.score("BLEU").signature
    assert evaluation.score("TER").value == pytest.approx(100 / 6)
    assert "asian:yes" in evaluation.score("TER").signature
    assert evaluation.notes == [f"{MOSES_NAME} is left out: Moses has no tokeniser for the target language `zh`"]


@pytest.mark.parametrize("language", ["ja", "ko"])
def test_a_missing_mecab_is_named_with_what_to_install(language, monkeypatch):
    monkeypatch.setattr(f"sacrebleu.tokenizers.tokenizer_{language}_mecab.MeCab", None)
    with pytest.raises(UserError, match=rf"pip install 'recurrent-nmt\[{language}\]', or choose the tokeniser `char`"):
        evaluate(language=language)
    assert "tok:char" in evaluate(language=language, tokenizer="char").score("BLEU").signature


def test_the_tokeniser_can_be_set_and_a_wrong_name_lists_the_right_ones():
    evaluation = evaluate(["rot-grün"], [["rot-blau"]], tokenizer="char")
    assert evaluation.system_length == len("rot-grün")
    with pytest.raises(UserError, match=r"must be one of none, zh, 13a, .*, but is `13b` instead"):
        evaluate(tokenizer="13b")


def test_a_tokeniser_that_cannot_be_loaded_is_one_line(monkeypatch):
    from sacrebleu.metrics import bleu as module

    def fail(name):
        raise OSError("no\nnetwork")

    monkeypatch.setattr(module, "_get_tokenizer", fail)
    with pytest.raises(UserError, match=r"^the BLEU tokeniser `flores200` cannot be loaded: no network$"):
        make_bleu("en", "flores200")


# The figure in which Multi30k results are published


COMMUNITY = {
    "de": (
        ['Ein "Mann", z.B. Dr. Müller, rennt.', "Zwei Hunde spielen im Gras…", "Es sind 3,5 km & schön!"],
        ["Ein „Mann“, z.B. Dr. Müller, läuft.", "Zwei Hunde -- spielen…", "Es ist 3,5 km weit & schön!"],
        53.94,
    ),
    "en": (
        ["A man's hat isn't “here”.", "Two dogs -- play...", "It is 3.5 km far & fair!"],
        ["A man's hat isn't \"there\".", "Two DOGS - play…", "It's 3.5 km far & fair!"],
        63.36,
    ),
}


@pytest.mark.parametrize("language", ["de", "en"])
def test_the_community_figure(language):
    hypotheses, references, expected = COMMUNITY[language]  # computed with sacremoses and sacrebleu by hand
    score = evaluate(hypotheses, [references], language=language).score(MOSES_NAME)
    assert round(score.value, 2) == expected
    assert "tok:none" in score.signature
    assert "lower-cased, punctuation-normalised Moses tokens, sacremoses:" in score.signature


def test_moses_tokens():
    assert moses_tokens(["A man's “hat”, 3,5 & more…"], "en") == [
        "a man &apos;s &quot; hat , &quot; 3,5 &amp; more ..."
    ]


def test_without_sacremoses_the_figure_is_left_out_with_a_note(monkeypatch):
    original = builtins.__import__

    def missing(name, *arguments, **options):
        if name == "sacremoses":
            raise ImportError(name)
        return original(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", missing)
    evaluation = evaluate()
    assert [score.name for score in evaluation.scores] == ["BLEU", "chrF2", "TER"]
    assert "pip install 'recurrent-nmt[moses]'" in evaluation.notes[0]
    with pytest.raises(KeyError):
        evaluation.score(MOSES_NAME)


def test_without_sacrebleu_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics.bleu", None)
    with pytest.raises(UserError, match=r"pip install 'recurrent-nmt\[train\]'"):
        evaluate()


def test_importing_the_module_needs_neither_torch_nor_sacrebleu():
    code = (
        "import sys, nmt.evaluation, nmt.report; print(sorted({'torch', 'sacrebleu', 'datasets'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


# Reports


AWKWARD = [
    "a | b \\| c",
    "`code` ``` fence",
    "two\nlines\r\nand\ttab",
    "# heading <b>bold</b> &amp; *stars* _under_ snake_case",
    "",
    "\u202eright to left\u2028separated\x00\U0001f600",
]


def rows(markdown):
    return [line for line in markdown.split("\n") if line.startswith("|")]


def test_describe_has_a_line_a_score_and_then_the_signatures():
    lines = describe(evaluate()).split("\n")
    assert re.fullmatch(r"BLEU +\d+\.\d\d  \(95 %: \d+\.\d\d to \d+\.\d\d\)", lines[0])
    assert lines[4].startswith("6 sentences; length ratio 0.")
    assert lines[5].startswith(
        "signature BLEU: nrefs:1|bs:200|seed:12345|case:mixed|eff:no|tok:13a|smooth:exp|version:"
    )
    assert len(lines) == 9
    assert describe(evaluate(language="zh")).split("\n")[-1].startswith("note: ")


def test_report_files(tmp_path):
    evaluation = evaluate(AWKWARD, [REFERENCES, OTHER_REFERENCES], language="zh", sources=SOURCES)
    settings = {"command": "nmt evaluate a|b", "beam_size": 5, "models": ["x", "y"], "sampling": False}
    evaluation.settings = {**settings, "path": Path("runs")}
    folder = tmp_path / "new" / "report"
    write_report(evaluation, folder)
    assert sorted(path.name for path in folder.iterdir()) == ["report.json", "report.md"]

    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert [score["name"] for score in report["scores"]] == ["BLEU", "chrF2", "TER"]
    assert report["scores"][0]["signature"] == evaluation.score("BLEU").signature
    assert [sentence["hypothesis"] for sentence in report["sentences"]] == AWKWARD
    assert [sentence["source"] for sentence in report["sentences"]] == SOURCES
    assert report["sentences"][1]["references"] == [REFERENCES[1], OTHER_REFERENCES[1]]
    assert report["sentences"][1]["number"] == 2
    assert report["settings"] == {**settings, "path": "runs"}
    assert report["notes"] == evaluation.notes
    assert report["lengths"]["sentences"] == 6

    markdown = (folder / "report.md").read_text(encoding="utf-8")
    for score in evaluation.scores:
        assert f"{score.value:.2f} | {score.low:.2f} to {score.high:.2f} |" in markdown
        assert f"{score.name}: {score.signature}\n" in markdown
    assert "| models | x, y |" in markdown
    assert "| beam_size | 5 |" in markdown
    assert "| sampling | false |" in markdown
    assert "- BLEU (lower-cased, Moses tokens) is left out: Moses has" in markdown
    assert "| reference 2 | Two dogs are playing in deep snow. |" in markdown
    assert "| source | Satz 2. |" in markdown
    assert "*(empty)*" in markdown
    write_report(evaluation, folder)  # replaced
    assert (folder / "report.md").read_text(encoding="utf-8") == markdown


def test_awkward_text_stays_in_its_cell_and_is_read_back_as_it_was():
    markdown = report_markdown(evaluate(AWKWARD, sources=AWKWARD))
    html = read_markdown(markdown, extensions=["tables", "fenced_code"])
    cells = re.findall(r"<td>(.*?)</td>", html)
    assert "a &#124; b &#92;&#124; c" in cells
    assert "&#96;code&#96; &#96;&#96;&#96; fence" in cells
    assert "two⟨U+000A⟩lines⟨U+000D⟩⟨U+000A⟩and⟨U+0009⟩tab" in cells
    assert "# heading &#60;b&#62;bold&#60;/b&#62; &#38;amp; &#42;stars&#42; &#95;under&#95; snake_case" in cells
    assert "⟨U+202E⟩right to left⟨U+2028⟩separated⟨U+0000⟩\U0001f600" in cells
    assert "<b>" not in html
    assert html.count("<table>") == 1 + 6  # the scores, and each sentence once


@given(st.text(max_size=60))
def test_any_text_leaves_the_tables_whole(text):
    score = Score("BLEU", 1.0, 0.5, 1.5, "nrefs:1")
    evaluation = Evaluation(
        scores=[score],
        hypotheses=[text],
        references=[[text]],
        sources=[text],
        sentence_scores=[SentenceScore(1.0, 2.0)],
        system_length=1,
        reference_length=1,
        length_ratio=1.0,
        brevity_penalty=1.0,
        precisions=[1.0],
        settings={text: text},
    )
    report = report_markdown(evaluation)
    assert [row.count("|") for row in rows(report)] == [4, 4, 4, 3, 3, 3, 3, 3, 3, 3, 3]
    assert json.loads(report_json(evaluation))["sentences"][0]["hypothesis"] == text


def test_long_sentences_are_cut_in_the_readable_report_only(tmp_path):
    long = "word " * 10_000
    evaluation = evaluate([long], [["word"]], bootstrap=0)
    write_report(evaluation, tmp_path)
    assert "*(cut: 50000 characters)*" in (tmp_path / "report.md").read_text()
    assert len((tmp_path / "report.md").read_text()) < 4000
    assert json.loads((tmp_path / "report.json").read_text())["sentences"][0]["hypothesis"] == long


def test_a_lone_surrogate_does_not_stop_the_report(tmp_path):
    write_report(evaluate(["a \ud800 b"], [["a b"]], bootstrap=0), tmp_path)
    assert json.loads((tmp_path / "report.json").read_text())["sentences"][0]["hypothesis"] == "a \ud800 b"
    assert "a ⟨U+D800⟩ b" in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_examples_are_the_best_the_worst_and_the_same_random_ones():
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


def test_few_sentences_are_shown_once():
    shown = choose_examples(evaluate(bootstrap=0))
    assert sorted(number for numbers in shown.values() for number in numbers) == list(range(6))


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"the report cannot be written to `.*file`: File exists"):
        write_report(evaluate(bootstrap=0), tmp_path / "file")


def test_an_interrupted_write_leaves_the_old_report(tmp_path, monkeypatch):
    evaluation = evaluate(bootstrap=0)
    write_report(evaluation, tmp_path)
    before = (tmp_path / "report.json").read_text()

    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(UserError, match="No space left on device"):
        write_report(evaluate(REFERENCES, bootstrap=0), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.json", "report.md"]
    assert (tmp_path / "report.json").read_text() == before


# The suite itself


def test_the_network_is_blocked():
    with pytest.raises(RuntimeError, match="tests must not use the network"):
        socket.create_connection(("127.0.0.1", 9))
    with socket.socket() as inet, pytest.raises(RuntimeError, match="tests must not use the network"):
        inet.connect(("127.0.0.1", 9))
    first, second = socket.socketpair()
    with first, second:
        first.sendall(b"between processes")
        assert second.recv(100) == b"between processes"


def test_small_sets_with_a_blank_hypothesis() -> None:
    """Some bootstrap samples match nothing, others something."""
    evaluation = evaluate_translations(
        ["A dog runs in the park .", "", "A man sits ."],
        [["A dog is in the park .", "Two men .", "A man sits ."]],
        target_language="en",
    )
    assert 0 < evaluation.score("chrF2").value < 100
