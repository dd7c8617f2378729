"""Scores against sacrebleu itself and against counts by hand."""

import builtins
import math
import re
import socket
import subprocess
import sys

import pytest
import sacrebleu
from toys import HYPOTHESES, REFERENCES, SOURCES

from nmt.errors import UserError
from nmt.scores.evaluation import evaluate_translations
from nmt.scores.metrics import bleu, make_bleu
from nmt.scores.moses import MOSES_NAME, moses_tokens
from nmt.scores.significance import PartScorer, compare_systems
from nmt.scores.tokenizers import language_code, script_language, tokenizer_for

OTHER_REFERENCES = [
    "A man wearing an orange hat stares at something.",
    "Two dogs are playing in deep snow.",
    "Five people wearing winter jackets and helmets are standing in the snow.",
    "A girl wearing a karate uniform is breaking a board with a kick.",
    "Some people fix the roof of a house.",
    "A group of people stands before an igloo.",
]


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
    first, again = evaluate(), evaluate()
    for score in first.scores:
        assert score.low < score.value < score.high
    assert first.scores == again.scores
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
    assert evaluation.sentence_scores[0].bleu == 0


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
        ("th", "char"), ("Thai", "char"), ("lao_Laoo", "char"), ("km", "char"), ("my-MM", "char"), ("bod_Tibt", "char"),
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
    assert evaluation.notes == ["BLEU's tokeniser is `zh` because the target language is `zh`"]


WITHOUT_SPACES = {
    "th": "ภาษาไทยเขียนติดกันไม่เว้นวรรค", "lo": "ພາສາລາວບໍ່ມີຍະຫວ່າງ", "km": "ភាសាខ្មែរគ្មានដកឃ្លា",
    "my": "မြန်မာစာတွင်နေရာလွတ်မရှိ", "bo": "བོད་སྐད་ལ་བར་སྟོང་མེད།",
    "ja": "私はパンを食べます。", "zh": "我今天早上吃了面包。",
}  # fmt: skip


@pytest.mark.parametrize("language", ["th", "lo", "km", "my", "bo"])
@pytest.mark.parametrize("named", [True, False])
def test_scripts_without_spaces_are_scored_by_characters(language, named):
    reference = WITHOUT_SPACES[language]
    name = language if named else "target"
    evaluation = evaluate([reference[:-2] + reference[0]], [[reference]], language=name)
    assert evaluation.score("BLEU").value > 50
    assert "tok:char" in evaluation.score("BLEU").signature
    assert evaluation.sentence_scores[0].bleu == pytest.approx(evaluation.score("BLEU").value)
    assert bleu(evaluation.hypotheses, [[reference]], name) == evaluation.score("BLEU").value
    because = f"because the target language is `{language}`" if named else "because the references are written in "
    assert evaluation.notes[0].startswith(f"BLEU's tokeniser is `char` {because}")


def test_the_script_of_a_text():
    assert {language: script_language([text]) for language, text in WITHOUT_SPACES.items()} == {
        language: language for language in WITHOUT_SPACES
    }
    assert script_language(["Das Wort 面包 heißt Brot.", "Ein Hund"]) is None
    assert script_language([]) is None and script_language(["", " "]) is None


def test_japanese_in_a_column_without_a_language_is_japanese():
    evaluation = evaluate([WITHOUT_SPACES["ja"]], [[WITHOUT_SPACES["ja"]]], language="target")
    assert evaluation.score("BLEU").value == pytest.approx(100)
    assert "asian:yes" in evaluation.score("TER").signature


@pytest.mark.parametrize("language", ["ja", "ko"])
def test_without_mecab_characters_are_counted_and_what_to_install_is_said(language, monkeypatch):
    monkeypatch.setattr(f"sacrebleu.tokenizers.tokenizer_{language}_mecab.MeCab", None)
    evaluation = evaluate(language=language)
    assert "tok:char" in evaluation.score("BLEU").signature
    (note,) = evaluation.notes
    assert note.startswith("BLEU counts characters (tokeniser `char`)") and f"-e '.[{language}]'" in note
    with pytest.raises(UserError, match=rf"-e '\.\[{language}\]', or choose the tokeniser `char`"):
        evaluate(language=language, tokenizer=f"{language}-mecab")
    assert evaluate(language=language, tokenizer="char").notes == []


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
    assert "pip install -c constraints.txt -e '.[moses]'" in evaluation.notes[0]
    with pytest.raises(KeyError):
        evaluation.score(MOSES_NAME)


def test_without_sacrebleu_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics.bleu", None)
    with pytest.raises(UserError, match=r"pip install -c constraints.txt sacrebleu$"):
        evaluate()


def test_importing_the_module_needs_neither_torch_nor_sacrebleu():
    code = (
        "import sys, nmt.scores.evaluation, nmt.report; "
        "print(sorted({'torch', 'sacrebleu', 'datasets', 'jinja2'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


# Two systems and parts of a set


BASELINE = [
    "A man in a hat stares at something.",
    "Two dogs play in snow.",
    "Five people in winter jackets and helmets are in the snow.",
    "A girl breaks a board with a kick.",
    "People are fixing the roof of the house.",
    "A group of people in front of a tent.",
]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_p_values_agree_with_the_command_of_sacrebleu(language, tmp_path):
    """Its table has four decimals."""
    hypotheses, baseline, references = HYPOTHESES * 5, BASELINE * 5, [REFERENCES * 5, OTHER_REFERENCES * 5]
    files = {"base": baseline, "ours": hypotheses, "one": references[0], "two": references[1]}
    for name, lines in files.items():
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    options = ["--ter-asian-support", "--ter-normalized"] if language == "zh" else []
    command = [sys.executable, "-m", "sacrebleu", "one", "two", "-i", "base", "ours", "-m", "bleu", "chrf", "ter",
               "-tok", tokenizer_for(language), *options, "-f", "latex", "-w", "4"]  # fmt: skip
    comparison = compare_systems("base", hypotheses, baseline, references, target_language=language)
    assert [own.name for own in comparison.differences] == ["BLEU", "chrF2", "TER"]
    for test, field in (("--paired-bs", "bootstrap"), ("--paired-ar", "randomization")):
        printed = subprocess.run([*command, test], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        rows = {line.split("&")[0].strip(): line.split("&")[1:] for line in printed.split("\n") if "&" in line}
        for place, own in enumerate(comparison.differences):
            assert own.baseline == pytest.approx(float(rows["Baseline: base"][place].split()[0]), abs=5e-5)
            assert own.system == pytest.approx(float(rows["ours"][place].split()[0]), abs=5e-5)
            p_value = re.search(r"\(p = (\d\.\d+)\)", rows["ours"][place])[1]
            assert getattr(own, field) == pytest.approx(float(p_value), abs=5e-5)


def test_a_system_compared_with_itself_is_not_different():
    comparison = compare_systems("same", HYPOTHESES, HYPOTHESES, [REFERENCES], target_language="en", randomization=100)
    for own in comparison.differences:
        assert own.system == own.baseline
        assert own.p_values() == "equal, so no p"
    assert comparison.chrf == [score.chrf for score in evaluate().sentence_scores]
    assert "bs:1000|ar:100|seed:12345" in comparison.differences[0].signature
    with pytest.raises(UserError, match="5 hypotheses but reference set 1 has 6 sentences"):
        compare_systems("short", HYPOTHESES, HYPOTHESES[:5], [REFERENCES], target_language="en")


def test_parts_are_scored_as_if_they_were_sets_of_their_own():
    scorer = PartScorer(HYPOTHESES, [REFERENCES, OTHER_REFERENCES], target_language="en", bootstrap=200)
    places = [4, 0, 2]
    part = scorer.score("three", places)
    chosen = [[side[place] for place in places] for side in (HYPOTHESES, REFERENCES, OTHER_REFERENCES)]
    alone = evaluate(chosen[0], chosen[1:])
    bleu_score, chrf_score = alone.score("BLEU"), alone.score("chrF2")
    assert (part.name, part.sentences) == ("three", 3)
    assert (part.bleu, part.low, part.high) == pytest.approx((bleu_score.value, bleu_score.low, bleu_score.high))
    assert part.chrf == pytest.approx(chrf_score.value)
    single = PartScorer(HYPOTHESES, [REFERENCES], target_language="en", bootstrap=0).score("one", [1])
    assert single.low == single.bleu == single.high


# The suite itself


def test_the_network_is_blocked():
    with pytest.raises(RuntimeError, match="tests must not use the network"):
        socket.create_connection(("192.0.2.1", 9))
    with socket.socket() as inet, pytest.raises(RuntimeError, match="tests must not use the network"):
        inet.connect(("192.0.2.1", 9))
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
