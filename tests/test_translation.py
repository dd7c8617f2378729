"""Lines in, lines out: a model that writes characters in capitals, and every odd line."""

import io
import json
import os
import random
import select
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt.config import DataConfig, DecodingConfig
from nmt.errors import UserError
from nmt.search.engine import Best, Engine
from nmt.text.vocabulary import END, SPECIAL_PIECES
from nmt.translation.joining import join_translations
from nmt.translation.line_stream import translate_stream
from nmt.translation.translator import SourceLine, Translation, Translator


class Characters:
    """Every character is a piece; `mapping` replaces characters when decoding."""

    span_ids = ()
    words: ClassVar[dict[str, tuple[str, int]]] = {}

    def __init__(self, mapping=None):
        self.mapping = mapping or {}

    def __len__(self):
        return SPECIAL_PIECES

    def encode_batch(self, texts):
        return [[ord(character) + SPECIAL_PIECES for character in text] for text in texts]

    def cost(self, text):
        return sum(map(str.islower, text)), 0.0  # capitals are as usual as small letters

    def decode(self, ids):
        return "".join(self.mapping.get(character, character) for character in self.pieces(ids))

    def pieces(self, ids):
        return [chr(i - SPECIAL_PIECES) for i in ids]


class Capitals(Engine):
    """Writes the source in capitals; less probable is the character as it was, others are impossible."""

    def __init__(self):
        self.batches = []

    def start(self, sources):
        assert all(sources)
        self.batches.append([len(source) for source in sources])
        return list(sources), {"sentence": np.arange(len(sources)), "position": np.zeros(len(sources), np.int64)}

    def step(self, memory, state, tokens):
        raise AssertionError("a search without constraints asks for the best pieces")

    def step_best(self, memory, state, tokens, k):
        rows = len(tokens)
        best = Best(
            np.full(rows, -20, np.float32),
            np.tile(np.array([-0.1, -2.5], np.float32), (rows, 1)),
            np.full((rows, 2), SPECIAL_PIECES, np.int64),
        )
        for row, (sentence, position) in enumerate(zip(state["sentence"], state["position"], strict=True)):
            source = memory[sentence]
            if position < len(source):
                character = chr(source[position] - SPECIAL_PIECES)
                capital = character.upper() if len(character.upper()) == 1 else character
                best.tokens[row] = [ord(capital) + SPECIAL_PIECES, ord(character) + SPECIAL_PIECES]
            else:
                best.end[row] = -0.5
                best.log_probs[row] = -10
        state = {**state, "position": state["position"] + 1}
        return Best(best.end, best.log_probs[:, :k], best.tokens[:, :k]), None, state

    def select(self, state, rows):
        return {name: values[rows] for name, values in state.items()}


def translator(mapping=None, **decoding):
    """With a single search: the engine has no log-probabilities for the second one."""
    given = {"beam_size": 2, "batch_size": 4, "max_length_factor": 1.0, "retry": False, **decoding}
    decoding = DecodingConfig(**given)
    return Translator(Capitals(), Characters(), Characters(mapping), decoding)


def stream(source, model=None, **options):
    """Output and warnings for bytes of input."""
    warnings = []
    output = io.BytesIO()
    options = {"max_length": 100, **options}
    translate_stream(model or translator(), io.BytesIO(source), output, warn=warnings.append, **options)
    return output.getvalue().decode("utf-8"), warnings


def test_translations_have_text_score_and_tokens():
    (translation,) = translator(length_penalty="average").translate(["ab"])
    assert translation.text == "AB"
    assert translation.tokens == ["A", "B"]
    assert translation.token_log_probs == pytest.approx([-0.1, -0.1, -0.5])
    assert translation.log_prob == pytest.approx(-0.7)
    assert translation.score == pytest.approx(-0.7 / 3)
    assert translation.finished


def test_a_translation_does_not_depend_on_the_other_lines():
    lines = ["one", "", "three and more", "a", "  ", "\0", "seven", "eight", "nine", "ten"]
    model = translator()
    together = model.translate_n_best(lines, 2)
    assert together == [model.translate_n_best([line], 2)[0] for line in lines]
    assert model.translate_n_best(lines[::-1], 2) == together[::-1]
    assert model.translate_n_best(lines, 2, batch_size=1) == together
    assert [translations[0] for translations in together] == model.translate(lines)


def test_batches_hold_sentences_of_similar_length():
    model = translator(batch_size=3)
    model.translate(["aaaa", "b", "", "cc", "ddd", "e", "ffff", "gg"])
    assert model.engine.batches == [[4, 4, 3], [2, 2, 1], [1]]


def test_no_lines():
    assert translator().translate([]) == []
    assert translator().translate([""]) == [Translation("", 0.0, [], 0.0, [])]


def test_n_best_are_distinct_as_text():
    ((first, second),) = translator().translate_n_best(["ab"], 2)
    assert first.text == "AB"
    assert second.text in ("aB", "Ab")
    assert first.score > second.score
    merged = translator({"A": "x", "a": "x"}, beam_size=4)
    assert sorted(translation.text for translation in merged.translate_n_best(["a b"], 2)[0]) == ["x B", "x b"]


def test_overrides_are_checked():
    model = translator()
    assert model.translate(["abc"], max_length_factor=0, max_length_offset=2)[0].text == "AB"
    assert model.translate(["abc"], beam_size=None)[0].text == "ABC"
    with pytest.raises(UserError, match=r"unknown key `decoding\.beam`"):
        model.translate(["a"], beam=3)
    with pytest.raises(UserError, match=r"`decoding\.beam_size` must be a whole number, but is 'wide' instead"):
        model.translate(["a"], beam_size="wide")
    with pytest.raises(UserError, match=r"`decoding\.beam_size` must be at least 1, but is 0 instead"):
        model.translate(["a"], beam_size=0)
    with pytest.raises(UserError, match=r"`n_best` must be at most `beam_size` \(2\)"):
        model.translate_n_best(["a"], 3)
    assert model.translate("abc") == model.translate(["abc"])[0]


def test_overrides_that_were_checked_are_checked_again_if_anything_else_changes():
    model = translator()
    assert model.decoding_with(beam_size=1) is model.decoding_with(beam_size=1)
    with pytest.raises(UserError, match="must be a whole number, but is True instead"):
        model.decoding_with(beam_size=True)
    model.decoding = replace(model.decoding, alpha=0.5)
    assert model.decoding_with(beam_size=1).alpha == 0.5
    with pytest.raises(UserError, match=r"`decoding\.beam_size` must be a whole number"):
        model.decoding_with(beam_size=[1])
    for size in range(1, 100):
        assert model.decoding_with(beam_size=size).beam_size == size


class Scripted(Engine):
    """Writes as many letters as it reads: `A` with the probability `capital`, else `a`."""

    def __init__(self, capital):
        self.capital = capital

    def start(self, sources):
        return list(map(len, sources)), {"sentence": np.arange(len(sources)), "position": [0] * len(sources)}

    def step(self, memory, state, tokens):
        probabilities = np.full((len(tokens), len(LETTERS)), 1e-4, np.float32)
        for row, (sentence, position) in enumerate(zip(state["sentence"], state["position"], strict=True)):
            if position >= memory[sentence]:
                probabilities[row, END] = 0.999
            else:
                probabilities[row, LETTERS.index("A")] = self.capital
                probabilities[row, LETTERS.index("a")] = 0.999 - self.capital
        return np.log(probabilities), None, {**state, "position": [position + 1 for position in state["position"]]}

    def select(self, state, rows):
        return {"sentence": state["sentence"][rows], "position": [state["position"][row] for row in rows]}


LETTERS = ["pad", "unk", "begin", "end", "A", "a"]


class Letters(Characters):
    """The vocabulary of `Scripted`."""

    def pieces(self, ids):
        return [LETTERS[i] for i in ids]


@pytest.fixture
def opened(monkeypatch):
    """A folder for each name: `capital` and `small` write such letters, `lm` expects small ones; what was loaded."""
    folders = {
        name: SimpleNamespace(
            name=name,
            config=SimpleNamespace(
                decoding=DecodingConfig(beam_size=beam), data=DataConfig(max_length=longest, target="en")
            ),
            source_vocabulary=Letters(),
            target_vocabulary=Letters(),
            confidence=None,
        )
        for name, beam, longest in [("capital", 3, 2), ("small", 4, 5), ("lm", 5, 1)]
    }
    engines = {"capital": Scripted(0.6), "small": Scripted(0.3), "lm": Scripted(0.05)}
    loaded = []

    def load_engine(folder, **options):
        loaded.append((folder.name, options))
        return engines[folder.name]

    def open_models(names, language_model):
        return [folders[str(name)] for name in names], None if language_model is None else folders[language_model]

    monkeypatch.setitem(sys.modules, "nmt.model_folder", SimpleNamespace(open_models=open_models))
    monkeypatch.setitem(sys.modules, "nmt.translation.onnx_engine", SimpleNamespace(load_engine=load_engine))
    return loaded


def test_load_opens_the_folder_and_its_engine(opened):
    model = Translator.load(Path("capital"), device="cuda", threads=2)
    assert opened == [("capital", {"device": "cuda", "threads": 2})]
    assert isinstance(model.engine, Scripted)
    assert model.decoding.beam_size == 3
    with pytest.warns(UserWarning, match="line 2 is cut from 3 to 2 pieces"):
        assert [one.text for one in model.translate(["x", "xyz"])] == ["A", "AA"]
    assert stream(b"xyz", model, max_length=None)[0] == "AA\n"
    assert Translator.load("small").translate(["xy"])[0].text == "aa"


def test_several_models_translate_together(opened):
    model = Translator.load(["small", "capital"], threads=2)
    assert opened == [(name, {"device": "cpu", "threads": 2}) for name in ("small", "capital")]
    assert (model.decoding.beam_size, model.max_length) == (4, 2)
    (together,) = model.translate(["x"])
    assert together.text == "a"
    assert together.token_log_probs == pytest.approx(np.log([(0.699 + 0.399) / 2, 0.999]), abs=1e-6)
    assert Translator.load(["capital", "small"]).translate(["x"])[0].token_log_probs == together.token_log_probs
    assert Translator.load(["capital", "small", "capital"]).translate(["x"])[0].text == "A"
    assert Translator.load(["capital"]).translate(["x"]) == Translator.load("capital").translate(["x"])


def test_a_language_model_has_a_say(opened):
    alone = Translator.load("capital")
    model = Translator.load("capital", language_model="lm", device="cuda")
    assert opened[1:] == [(name, {"device": "cuda", "threads": None}) for name in ("capital", "lm")]
    assert (model.decoding.beam_size, model.max_length) == (3, 2)
    assert model.decoding.language_model_weight == DecodingConfig.language_model_weight
    (fused,) = model.translate(["x"])
    weight = DecodingConfig.language_model_weight
    assert fused.text == "a"
    assert fused.token_log_probs == pytest.approx(
        [np.log(0.399) + weight * np.log(0.949), (1 + weight) * np.log(0.999)], abs=1e-6
    )
    assert model.translate(["x"], language_model_weight=0) == alone.translate(["x"])
    assert stream(b"x", model, language_model_weight=0.01)[0] == "A\n"
    given = Translator.load("capital", language_model="lm", language_model_weight=0.01)
    assert given.decoding.language_model_weight == 0.01
    assert given.translate(["x"])[0].text == "A"
    assert Translator.load(["capital"] * 2, language_model="lm").translate(["x"])[0].text == "a"


def test_a_weight_needs_a_language_model(opened):
    message = "`language_model_weight` has no effect without a language model"
    with pytest.raises(UserError, match=message):
        Translator.load("capital", language_model_weight=0.3)
    with pytest.raises(UserError, match=message):
        translator().translate(["a"], language_model_weight=0.3)
    with pytest.raises(UserError, match=r"`decoding\.language_model_weight` must be at least 0 and at most 100"):
        Translator.load("capital", language_model="lm", language_model_weight=-1)


@pytest.mark.parametrize("size", [1, 3, 4, 5, 100])
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_line_n_translates_line_n(size, end):
    lines = [f"line {'x' * (i % 7)} {i}" for i in range(size)]
    output, warnings = stream("\n".join(lines).encode() + end)
    assert output == "".join(line.upper() + "\n" for line in lines)
    assert warnings == []


def test_empty_input_gives_empty_output():
    assert stream(b"") == ("", [])
    assert stream(b"\n") == ("\n", [])


def test_blank_lines_stay_blank_and_do_not_reach_the_model():
    model = translator()
    output, _ = stream("a\n\n \t\n\u3000\u2028\r\nb\n\n".encode(), model)
    assert output == "A\n\n\n\nB\n\n"
    assert model.engine.batches == [[1], [1]]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a\r", "A"),
        ("a\rb", "A B"),
        ("a\u2028b\u2029c\x85d\x0be\x0cf", "A B C D E F"),
        ("a\x00b\x1b[0m", "A B"),
        ("a\tb", "A B"),
        ("👩‍🚀 ok", "👩‍🚀 OK"),
        ("\ufeffa", "A"),
    ],
)
def test_odd_characters_stay_within_their_line(line, expected):
    assert stream(f"x\n{line}\ny\n".encode()) == (f"X\n{expected}\nY\n", [])


def test_a_byte_order_mark_is_skipped():
    assert stream("\ufeffa\nb".encode()) == ("A\nB\n", [])


def test_a_line_of_10000_words():
    line = "word " * 10_000
    output, warnings = stream(f"a\n{line}\nb\n".encode())
    assert output.split("\n") == ["A", ("WORD " * 20).rstrip() + " ", "B", ""]
    assert warnings == ["line 2 is cut from 49999 to 100 pieces"]


def test_invalid_utf8_is_replaced_and_counted():
    output, warnings = stream(b"a\nb\xff\nc\n\xc3(\xf0\x9f\n")
    assert output == "A\nB\ufffd\nC\n\ufffd(\ufffd\n"
    assert warnings == ["2 lines held invalid UTF-8, replaced by U+FFFD; the first is line 2"]
    assert stream(b"\xff")[1] == ["1 line held invalid UTF-8, replaced by U+FFFD; the first is line 1"]


@pytest.mark.parametrize("options", [{}, {"json": True}, {"n_best": 2}, {"n_best": 2, "json": True}])
def test_what_the_model_emits_stays_within_one_line(options):
    model = translator(dict(zip("ABCDEFGa", "\n\r\u2028\0\t\ud800\x85\n", strict=True)))
    output, _ = stream(b"xaybzcxdyezfxgy\naa\n", model, **options)
    lines = output.splitlines()
    assert len(lines) == output.count("\n") == (3 if options == {"n_best": 2} else 2)
    if not options:
        assert lines == ["X Y Z X Y Z\ufffdX Y", ""]


def test_a_thousand_lines_of_anything_in_a_thousand_lines_out():
    source = random.Random(1)
    alphabet = [*map(chr, range(32)), *"\x7f\x85\u2028\u2029\ufeff\u200b  ..?!。日本語äß👍", *"abcdefgh"]
    lines = []
    for i in range(1000):
        text = "".join(source.choices(alphabet, k=source.randrange(20))).replace("\n", "").encode()
        noise = bytes(source.choices([b for b in range(256) if b != 10], k=source.randrange(4)))
        lines.append(text if i % 2 else text + noise)
    for options in ({}, {"split_sentences": True}, {"json": True}, {"n_best": 2}):
        model = translator({"H": "\n", "G": "\r", "F": "\ud800"}, batch_size=16)
        output, warnings = stream(b"\n".join(lines) + b"\n", model, **options)
        written = output.removesuffix("\n").split("\n")
        if "n_best" in options:
            assert list(dict.fromkeys(int(line.split("\t")[0]) for line in written)) == list(range(1, 1001))
            assert all(len(line.split("\t")) == 4 for line in written)
        else:
            assert len(written) == 1000
        assert output.splitlines() == written
        assert len(warnings) == 1


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(max_size=8).map(lambda text: text.encode("utf-8", "ignore").replace(b"\n", b"")), max_size=9))
def test_the_stream_translates_as_the_translator_does(lines):
    output, _ = stream(b"".join(line + b"\n" for line in lines))
    texts = [line.decode() for line in lines]
    if texts:
        texts[0] = texts[0].removeprefix("\ufeff")
    assert output == "".join(translation.text + "\n" for translation in translator().translate(texts))


def test_n_best_lines():
    output, _ = stream(b"ab\n\nc\n", n_best=2, length_penalty="none")
    rows = [line.split("\t") for line in output.splitlines()]
    assert [row[:2] for row in rows] == [["1", "1"], ["1", "2"], ["2", "1"], ["3", "1"], ["3", "2"]]
    assert rows[0][2:] == ["-0.700000", "AB"]
    assert rows[2][2:] == ["0.000000", ""]
    assert [row[3] for row in rows[3:]] == ["C", "c"]
    with pytest.raises(UserError, match="`n_best` must be at least 1, but is 0 instead"):
        stream(b"a", n_best=0)


def test_json_lines():
    output, _ = stream("ä\n\n".encode(), json=True, length_penalty="none")
    first, second = map(json.loads, output.splitlines())
    assert first == {
        "line": 1,
        "text": "Ä",
        "score": pytest.approx(-0.6),
        "tokens": ["Ä"],
        "log_prob": pytest.approx(-0.6),
        "token_log_probs": pytest.approx([-0.1, -0.5]),
        "finished": True,
        "confidence": None,
    }
    nothing = {"tokens": [], "log_prob": 0.0, "token_log_probs": [], "finished": True, "confidence": None}
    assert second == {"line": 2, "text": "", "score": 0.0, **nothing}
    assert "Ä" in output
    output, _ = stream(b"a\n", json=True, n_best=2)
    record = json.loads(output)
    assert [translation["text"] for translation in record["n_best"]] == ["A", "a"]
    assert {"line": 1, **record["n_best"][0]} == {name: value for name, value in record.items() if name != "n_best"}


def test_a_dead_end_is_valid_json():
    class Nothing(Capitals):
        def step_best(self, memory, state, tokens, k):
            best, attention, state = super().step_best(memory, state, tokens, k)
            return Best(best.end - np.inf, best.log_probs - np.inf, best.tokens), attention, state

    model = translator()
    model.engine = Nothing()
    output, _ = stream(b"a\n", model, json=True)
    nothing = {"tokens": [], "log_prob": None, "token_log_probs": [None], "finished": False, "confidence": None}
    assert json.loads(output) == {"line": 1, "text": "", "score": None, **nothing}
    assert stream(b"a\n", model)[0] == "\n"


def test_long_lines_are_cut_with_a_warning():
    output, warnings = stream(b"ok\nabcdef\nabcd\n", max_length=4)
    assert output == "OK\nABCD\nABCD\n"
    assert warnings == ["line 2 is cut from 6 to 4 pieces"]
    with pytest.raises(UserError, match="`max_length` must be at least 1, but is 0 instead"):
        stream(b"", max_length=0)


def test_split_sentences_are_translated_apart():
    model = translator()
    output, warnings = stream("Ab cd. Ef! Gh\nij\n\n你好。你。\n".encode(), model, split_sentences=True, max_length=6)
    assert output == "AB CD. EF! GH\nIJ\n\n你好。你。\n"
    assert warnings == []
    assert sorted(length for batch in model.engine.batches for length in batch) == [2, 2, 2, 3, 3, 6]
    output, warnings = stream(b"Ab. Cdefgh. I\n", split_sentences=True, max_length=6)
    assert output == "AB. CDEFGH I\n"
    assert warnings == ["a sentence of line 1 is cut from 7 to 6 pieces"]


def test_sentences_are_translated_apart_by_default_from_python_as_well():
    model = translator()
    line = "Ab cd.  Ef! Gh"
    (split,) = model.translate([line])
    assert split.text == "AB CD.  EF! GH"  # with the white space of the source
    assert model.engine.batches == [[6, 3, 2]]
    parts = model.translate(["Ab cd.", "Ef!", "Gh"])
    assert split.log_prob == pytest.approx(sum(part.log_prob for part in parts))
    assert split.tokens == [token for part in parts for token in part.tokens]
    assert stream(line.encode(), model)[0] == split.text + "\n"
    whole = translator()
    assert len(whole.translate([line], split_sentences=False)[0].tokens) == len(line)
    assert stream(line.encode(), whole, split_sentences=False)[0] == line.upper() + "\n"
    prefixed = SourceLine(line, prefix="AB")
    assert [sentence.text for sentence in whole.prepare(prefixed).sentences] == [line]
    assert whole.engine.batches == [[len(line)]] * 2
    with pytest.raises(UserError, match="a prefix and required phrases are for whole lines"):
        whole.translate([prefixed], split_sentences=True)


def test_models_of_longer_text_than_sentences_do_not_split():
    model = Translator(Capitals(), Characters(), Characters(), DecodingConfig(max_length_factor=1.0), max_length=500)
    assert len(model.translate(["Ab cd. Ef! Gh"])[0].tokens) == 13
    assert len(model.translate(["Ab cd. Ef! Gh"], split_sentences=True)[0].tokens) == 11


def test_joining_takes_linear_time():
    def parts(count):
        return [[Translation(f"{word} {i}.", -1.0, ["a"], -1.0, [-1.0]) for word in "ab"] for i in range(count)]

    def seconds(count, n_best):
        start = time.process_time()
        join_translations(parts(count), n_best)
        return time.process_time() - start

    for n_best in (1, 2):
        assert seconds(16_000, n_best) < 5  # 0.1 and 0.5 s; the quadratic way took 20 s


def test_a_line_has_a_hundred_required_phrases_at_most():
    with pytest.raises(UserError, match="at most 100 phrases can be required of a line, but 2000 are"):
        translator().translate([SourceLine("a", required=[f"x{i}" for i in range(2000)])])


def test_the_n_best_of_a_line_of_sentences():
    def make(text, score):
        return Translation(text, score, [text], 2 * score, [2 * score])

    parts = [[make("a", -1.0), make("b", -1.5)], [make("c.", -1.0), make("d.", -3.0)], [make("e", -0.5)]]
    joined = join_translations(parts, 3)
    assert [(translation.text, translation.score) for translation in joined] == [
        ("a c. e", -2.5),
        ("b c. e", -3.0),
        ("a d. e", -4.5),
    ]
    assert joined[1].tokens == ["b", "c.", "e"]
    assert joined[1].log_prob == sum(joined[1].token_log_probs) == -6.0
    assert len(join_translations([[make("a", -1.0), make("a b", -2.0)], [make("b c", -1.0), make("c", -1.5)]], 9)) == 3


class Recorder(io.BytesIO):
    """Notes when it is flushed, and after how many bytes."""

    def __init__(self):
        super().__init__()
        self.flushed = []

    def flush(self):
        self.flushed.append(self.getvalue().count(b"\n"))


def test_a_pipe_gets_an_answer_as_soon_as_nothing_more_waits():
    """To one line, to several at once, and to a line whose beginning came before its end."""
    read, write = os.pipe()
    answers_read, answers_write = os.pipe()
    with open(read, "rb") as source, open(answers_write, "wb") as output, open(answers_read, "rb", 0) as answers:
        work = threading.Thread(target=translate_stream, args=(translator(), source, output), kwargs={"warn": print})
        work.start()
        for asked, answer in ((b"a\n", b"A\n"), (b"b\n\nc\nd", b"B\n\nC\n"), (b"e\n", b"DE\n"), (b"f", b"")):
            os.write(write, asked)
            found = b""
            while len(found) < len(answer):
                assert select.select([answers], [], [], 60)[0], f"no answer to {asked}"
                found += answers.read(100)
            assert found == answer
        os.close(write)
        work.join()
        assert answers.read(100) == b"F\n"


def test_windows_grow_and_are_bounded(monkeypatch):
    monkeypatch.setattr("nmt.translation.line_stream.WINDOW_BATCHES", 4)
    monkeypatch.setattr("nmt.translation.line_stream.WINDOW_BYTES", 100)
    source = io.BytesIO(b"a\n" * 40 + b"b" * 99 + b"\n" + b"c" * 200 + b"\nd\n")
    output, told = Recorder(), []
    translate_stream(translator(batch_size=2), source, output, max_length=9, warn=print, progress=told.append)
    # 2 + 4 + 4 x 8 lines, then two short lines and a long one, one longer than a window, the last line
    assert output.flushed == told == [2, 6, 14, 22, 30, 38, 41, 42, 43]


def test_a_line_without_end_takes_bounded_memory(monkeypatch):
    class Endless(io.RawIOBase):
        """A short line, one of 100 MB, a short one."""

        left = 100

        def readable(self):
            return True

        def readinto(self, buffer):
            parts = {100: b"a\n", 1: b"\nb\n", 0: b""}
            part = parts.get(self.left, b"x" * len(buffer))[: len(buffer)]
            self.left = max(0, self.left - 1)
            buffer[: len(part)] = part
            return len(part)

    monkeypatch.setattr("nmt.translation.line_stream.LONGEST_LINE", 1000)
    output, warnings = io.BytesIO(), []
    source = io.BufferedReader(Endless(), 1 << 20)
    translate_stream(translator(), source, output, max_length=9, warn=warnings.append)
    assert output.getvalue() == b"A\n" + b"X" * 9 + b"\nB\n"
    assert warnings == [
        "line 2 is longer than 1,000 bytes; the rest of it is left out",
        "line 2 is cut from 1000 to 9 pieces",
    ]


def test_a_closed_pipe_ends_quietly():
    class Closed(io.BytesIO):
        def write(self, content):
            raise BrokenPipeError

    output, warnings = Closed(), []
    translate_stream(translator(), io.BytesIO(b"a\xff\n" * 99), output, max_length=9, warn=warnings.append)
    assert output.closed
    assert warnings == ["4 lines held invalid UTF-8, replaced by U+FFFD; the first is line 1"]


def test_a_real_closed_pipe_ends_quietly():
    script = """
        import sys, types
        from nmt.translation.line_stream import translate_stream
        from nmt.translation.translator import SourceLine, Translation, Translator
        class Echo(Translator):
            def __init__(self):
                vocabulary = types.SimpleNamespace(encode_batch=lambda lines: [[5] for _ in lines], span_ids=[])
                super().__init__(None, vocabulary, vocabulary)
            def translate_ids(self, sources, decoding, n_best, **options):
                return [[Translation("x" * 1000, 0.0, [], 0.0, [])] for _ in sources]
        translate_stream(Echo(), sys.stdin.buffer, sys.stdout.buffer, max_length=9, warn=print)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdin.write(b"a\n" * 2000)
        process.stdin.flush()
        assert process.stdout.readline() == b"x" * 1000 + b"\n"
        process.stdout.close()
        process.stdin.close()
        errors = process.stderr.read()
        assert process.wait(timeout=30) == 0
    assert errors == b""


def test_translation_needs_no_torch():
    code = "import sys, nmt.translation.translator; print(sorted({'torch', 'datasets'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
