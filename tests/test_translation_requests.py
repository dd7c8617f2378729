"""What can be asked of a translation beside the text: constraints, samples, alignments, JSON, scores."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_search import RandomModel

from nmt.config import DecodingConfig, VocabularyConfig
from nmt.errors import UserError
from nmt.text.vocabulary import UNK, learn_vocabulary
from nmt.translation.line_stream import score_lines, translate_stream
from nmt.translation.translator import SourceLine, Translator, make_batches, word_alignment

PIECES = ["<pad>", "<unk>", "<s>", "</s>", "▁a", "▁b", "a", "b", "▁", "▁ab", "."]


class Words:
    """A vocabulary of words of two letters; longer pieces are taken first."""

    span_ids = ()
    words: ClassVar[dict[str, tuple[str, int]]] = {}

    def __len__(self) -> int:
        return len(PIECES)

    def surfaces(self, text: str) -> list[str]:
        rest, found = "".join("▁" + word for word in text.split()), []
        while rest:
            piece = max((piece for piece in PIECES[4:] if rest.startswith(piece)), key=len, default=rest[0])
            found.append(piece)
            rest = rest[len(piece) :]
        return found

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return [[PIECES.index(s) if s in PIECES else UNK for s in self.surfaces(text)] for text in texts]

    def unreadable(self, text: str) -> str:
        return ""

    def decode(self, ids: Sequence[int]) -> str:
        return self.join_pieces(self.pieces(ids))

    def join_pieces(self, pieces: Sequence[str]) -> str:
        return "".join(pieces).replace("▁", " ").removeprefix(" ")

    def pieces(self, ids: Sequence[int]) -> list[str]:
        return [PIECES[i] for i in ids]


def translator(engine: Any = None, **decoding: Any) -> Translator:
    settings = DecodingConfig(
        **{"beam_size": 4, "max_length_factor": 1.0, "max_length_offset": 3, "retry": False, **decoding}
    )
    return Translator(engine or RandomModel(len(PIECES), extra_columns=1), Words(), Words(), settings)


def stream(source: str, model: Translator | None = None, **options: Any) -> list[str]:
    output = io.BytesIO()
    options = {"warn": pytest.fail, **options}
    translate_stream(model or translator(), io.BytesIO(source.encode()), output, **options)
    return output.getvalue().decode().splitlines()


LINES = ["a b", "", "b", "ab a b a", "b b a."]


@pytest.mark.parametrize(
    "decoding",
    [
        {},
        {"method": "sampling"},
        {"method": "sampling", "top_k": 3, "temperature": 0.7, "minimum_bayes_risk": "chrf", "samples": 6},
        {"minimum_bayes_risk": "bleu"},
        {"groups": 2, "coverage_penalty": 0.2, "brevity_penalty": 0.5},
        {"no_repeat_ngram": 2},
    ],
)
@pytest.mark.parametrize("n_best", [1, 3])
def test_order_and_batches_change_nothing(decoding: dict[str, Any], n_best: int) -> None:
    model = translator(**decoding)
    lines = [*LINES, SourceLine("b a", prefix="ab", forbidden=["b"]), SourceLine("a a", forbidden=["a"])]
    together = model.translate_n_best(lines, n_best)
    assert model.translate_n_best(lines[::-1], n_best) == together[::-1]
    assert [model.translate_n_best([line], n_best)[0] for line in lines] == together
    assert model.translate_n_best(lines, n_best, batch_size=2) == together
    assert model.translate_n_best(lines, n_best, batch_tokens=3) == together
    assert [found[0].text for found in together][1] == ""


@pytest.mark.parametrize("decoding", [{}, {"minimum_bayes_risk": "chrf"}, {"groups": 3}, {"coverage_penalty": 0.3}])
def test_a_shorter_list_is_the_beginning_of_a_longer_one(decoding: dict[str, Any]) -> None:
    for seed in range(10):
        model = translator(RandomModel(len(PIECES), seed), **decoding)
        lists = model.translate_n_best(LINES, 4)
        for n_best in (2, 3):
            assert model.translate_n_best(LINES, n_best) == [found[:n_best] for found in lists]
        for found in lists:
            assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
            assert len({one.text for one in found}) == len(found)


def test_what_is_asked_of_a_line_holds_for_its_translation() -> None:
    model = translator()
    asked = SourceLine("a b", prefix="b a", required=["ab ab"], forbidden=["b."])
    (found,) = model.translate_n_best([asked], 4)
    for one in found:
        assert one.text.startswith("b a")
        assert "ab ab" in one.text
        assert "b." not in one.text.split()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (SourceLine("a", prefix="xa"), "the prefix must be of known characters, but 'xa' has some"),
        (SourceLine("a", prefix=" \t"), "the prefix must be text, but is blank"),
        (SourceLine("a", required=["a", "ü"]), "a required phrase must be of known characters, but 'ü' has some"),
        (SourceLine("a", required=[""]), "a required phrase must be text, but is blank"),
        (SourceLine("a", forbidden=["a", ""]), "a forbidden phrase must be text, but is blank"),
        (SourceLine("a", required=["a", "a", "b"], forbidden=["b"]), "required phrase 'b' contains a forbidden phrase"),
        (
            SourceLine("a", required=["b ab a"], forbidden=["ab"]),
            "required phrase 'b ab a' contains a forbidden phrase",
        ),
    ],
)
def test_impossible_wishes(line: SourceLine, message: str) -> None:
    with pytest.raises(UserError, match=message):
        translator().translate([line])


def test_punctuation_inside_a_text_has_no_space_before_it() -> None:
    assert translator().constraints(SourceLine("a", required=["."])).required == ((PIECES.index("."),),)
    assert translator().constraints(SourceLine("a", prefix=".")).prefix == (PIECES.index("▁"), PIECES.index("."))


def test_samples_differ_and_repeat_with_their_seed() -> None:
    model = translator(method="sampling", max_length_offset=8)
    first = model.translate_n_best(["a b"], 8)
    assert model.translate_n_best(["a b"], 8) == first
    assert model.translate_n_best(["b", "a b"], 3)[1] == first[0][:3]
    assert model.translate_n_best(["a b"], 8, seed=2) != first
    assert len({one.text for one in first[0]}) > 2
    with pytest.raises(UserError, match="required phrases need beam search"):
        model.translate([SourceLine("a", required=["b"])])


def test_least_risk_is_chosen_among_the_candidates() -> None:
    model = translator(method="sampling", samples=12)
    drawn = model.translate_n_best(["a b"], 12)[0]
    (chosen,) = model.translate_n_best(["a b"], 3, minimum_bayes_risk="chrf")
    assert {one.text for one in chosen} <= {one.text for one in drawn}
    assert [one.score for one in chosen] == sorted((one.score for one in chosen), reverse=True)
    assert len({one.text for one in chosen}) == len(chosen)
    with pytest.raises(UserError, match=r"`n_best` must be at most `samples` \(12\), but is 13 instead"):
        model.translate_n_best(["a"], 13, minimum_bayes_risk="chrf")


def test_alignments_are_of_words() -> None:
    weights = np.array([[0.4, 0.3, 0.3, 0.0], [0.1, 0.1, 0.8, 0.0], [0.3, 0.4, 0.3, 0.0], [0, 0, 0, 1]], np.float32)
    # source `ab a`: the weights of its first word's two pieces add up
    assert word_alignment(["▁a", "b", "▁a"], ["▁b", "▁a", "b"], weights) == [(0, 0), (1, 1)]
    assert word_alignment(["▁a", "b", "▁a"], ["▁b", "a", "▁b"], weights) == [(1, 0), (0, 1)]
    assert word_alignment(["▁a", "b", "▁a"], ["b", "▁a", "▁b"], weights) == [(0, 0), (1, 1), (0, 2)]
    assert word_alignment([], ["▁b"], weights) == word_alignment(["▁b"], [], weights) == []


@given(st.lists(st.sampled_from(LINES), max_size=4), st.integers(0, 20), st.sampled_from(["beam", "sampling"]))
def test_attention_weights_and_alignments(lines: list[str], seed: int, method: str) -> None:
    model = translator(RandomModel(len(PIECES), seed, extra_columns=1), method=method)
    for line, found in zip(lines, model.translate_n_best(lines, 3, attention_weights=True), strict=True):
        for one in found if line else []:
            assert one.attention_weights is not None and one.alignment is not None
            assert one.attention_weights.shape == (len(one.tokens) + 1, len(one.source_tokens) + 1)
            np.testing.assert_allclose(one.attention_weights.sum(1), 1, rtol=1e-5)
            assert one.source_tokens == Words().surfaces(line)
            words = sum(token.startswith("▁") or not i for i, token in enumerate(one.tokens))
            assert [target for _, target in one.alignment] == list(range(words))
            assert all(0 <= source < len(line.split()) for source, _ in one.alignment)
    assert model.translate(["a"])[0].attention_weights is None


def test_json_lines_in_and_out() -> None:
    source = [
        {"text": "a b", "prefix": "b", "id": 7},
        {"text": "a b", "required": ["ab"], "forbidden": ["b"], "id": "x\u2028\ud83d"},
        {"text": ""},
    ]
    lines = stream("\n".join([*map(json.dumps, source), "", ""]), json=True, json_input=True)
    records = [json.loads(line) for line in lines]
    assert [record["line"] for record in records] == [1, 2, 3, 4]
    assert records[0]["id"] == 7 and records[1]["id"] == "x\u2028\ud83d" and "id" not in records[2]
    assert records[0]["text"].startswith("b")
    assert "ab" in records[1]["text"] and "b" not in records[1]["text"].split()
    assert records[2]["text"] == records[3]["text"] == ""
    plain = stream('{"text": "a b"}\n{"text": "b", "prefix": "a"}', json_input=True, prefix="b")
    assert plain == [found.text for found in translator().translate([SourceLine("a b", "b"), SourceLine("b", "a")])]
    common = stream('{"text": "a b", "required": ["a a"]}', json_input=True, required=["ab"], forbidden=["b"])
    assert "ab" in common[0] and "a a" in common[0]


def test_json_output_has_what_was_asked_for() -> None:
    (line,) = stream("a b", json=True, n_best=2, alignments=True, attention_weights=True)
    record = json.loads(line)
    assert record["source_tokens"] == ["▁a", "▁b"]
    assert record["n_best"][0] == {name: value for name, value in record.items() if name not in ("line", "n_best")}
    for one in record["n_best"]:
        assert len(one["token_log_probs"]) == len(one["attention_weights"]) == len(one["tokens"]) + 1
        assert all(abs(sum(row) - 1) < 1e-4 for row in one["attention_weights"])
        assert len(one["alignment"].split()) == len(one["text"].split())
    rows = [row.split("\t") for row in stream("a b\n\nb", n_best=2, alignments=True)]
    assert [len(row) for row in rows] == [5] * 5
    assert rows[0][4] == record["alignment"]
    assert stream("a b", alignments=True) == [f"{record['text']}\t{record['alignment']}"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("plain text", "line 2: it must be a JSON object"),
        ("[1]", "line 2: it must be a JSON object with a `text`"),
        ('{"txt": "a"}', "line 2: it must be a JSON object with a `text`"),
        ('{"text": "a", "prefx": "b"}', "line 2: `prefx` must be left out; the keys are text, prefix, required"),
        ('{"text": "a", "required": "b"}', "line 2: `required` must be a list of texts"),
        ('{"text": "a", "prefix": 3}', "line 2: `prefix` must be text"),
        ('{"text": "a", "id": [1]}', "line 2: `id` must be text or a whole number"),
        ('{"text": "a", "id": true}', "line 2: `id` must be text or a whole number"),
        ('{"text": "a", "id" 1}', "but is none: Expecting ':' delimiter at character 20"),
        ('{"text": "a", "required": ["?"]}', "line 2: a required phrase must be of known characters"),
        ("[" * 100_000, "line 2: it must be a JSON object"),
    ],
)
def test_a_wrong_line_is_named_and_those_before_it_are_written(line: str, message: str) -> None:
    output = io.BytesIO()
    source = io.BytesIO(f'{{"text": "a b"}}\n{line}\n{{"text": "b"}}\n'.encode())
    with pytest.raises(UserError, match=message):
        translate_stream(translator(), source, output, json_input=True, warn=pytest.fail)
    assert output.getvalue().decode() == translator().translate(["a b"])[0].text + "\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attention_weights": True}, "attention weights are written as JSON only"),
        ({"attention_weights": True, "json": True, "split_sentences": True}, "leave out `split_sentences`"),
        ({"prefix": "a", "split_sentences": True}, "a prefix and required phrases are for whole lines"),
        ({"required": ["a"], "method": "sampling"}, "required phrases need beam search"),
        ({"forbidden": [" "]}, "a forbidden phrase must be text, but is blank"),
        ({"groups": 5}, r"`decoding\.groups` must be at most `decoding\.beam_size` \(4\), but is 5 instead"),
        ({"temperature": 0}, "`decoding.temperature` must be greater than 0"),
        ({"top_p": 1.5}, "`decoding.top_p` must be greater than 0 and at most 1"),
    ],
)
def test_mistakes_are_found_before_anything_is_read(options: dict[str, Any], message: str) -> None:
    class Unread(io.BytesIO):
        def readline(self, *arguments: Any) -> bytes:
            pytest.fail("the input was read")

    with pytest.raises(UserError, match=message):
        translate_stream(translator(), Unread(), io.BytesIO(), warn=pytest.fail, **options)


def test_sentences_of_a_line_keep_their_alignments() -> None:
    model = translator()
    (joined,) = stream("ab. B b", model, split_sentences=True, alignments=True, max_length=9)
    _, alignment = joined.split("\t")
    parts = [model.translate_n_best([part], 1, attention_weights=True)[0][0] for part in ("ab.", "B b")]
    first, second = (part.alignment or [] for part in parts)
    words = len(parts[0].text.split())
    assert alignment == " ".join(f"{s}-{t}" for s, t in [*first, *((s + 1, t + words) for s, t in second)])


def test_scores_are_those_of_search() -> None:
    model = translator(brevity_penalty=0.5)
    lists = model.translate_n_best(LINES, 3)
    sources = [line for line, found in zip(LINES, lists, strict=True) for _ in found]
    flat = [one for found in lists for one in found]
    # a text has one segmentation that counts, and search may have written it with another
    scores = model.score(sources, [one.text for one in flat])
    for source, one, scored in zip(sources, flat, scores, strict=True):
        assert scored.text == one.text
        if scored.tokens == one.tokens and source:
            assert scored.token_log_probs == one.token_log_probs
            assert scored.score == pytest.approx(one.score)
    assert any(scored.tokens == one.tokens != [] for scored, one in zip(scores, flat, strict=True))
    assert [one.log_prob for one in model.score(["", ""], ["", "a"])] == [0.0, -np.inf]
    assert model.score([], []) == []


def test_scores_as_lines() -> None:
    model = translator()
    sources, targets = ["a b", "b", ""], ["b", "ab a", "a"]
    scored = model.score(sources, targets)
    assert list(score_lines(model, sources, targets)) == [f"{one.log_prob:.6f}" for one in scored]
    records = [json.loads(line) for line in score_lines(model, sources, targets, json=True)]
    assert [record["line"] for record in records] == [1, 2, 3]
    assert [record["token_log_probs"] for record in records] == [one.token_log_probs for one in scored]
    assert records[2]["log_prob"] is None
    assert records[0]["tokens"] == ["▁b"]


@given(st.lists(st.integers(1, 50), max_size=30), st.integers(1, 8), st.integers(1, 100))
def test_batches_are_bounded(lengths: list[int], size: int, tokens: int) -> None:
    lengths = sorted(lengths, reverse=True)
    batches = list(make_batches(lengths, DecodingConfig(batch_size=size, batch_tokens=tokens)))
    assert [i for batch in batches for i in batch] == list(range(len(lengths)))
    for number, batch in enumerate(batches, 1):
        padded = len(batch) * lengths[batch[0]]
        assert len(batch) <= size and (padded <= tokens or len(batch) == 1)
        if number < len(batches):
            assert len(batch) == size or padded + lengths[batch[0]] > tokens


class Copier(RandomModel):
    """Writes an unknown piece for each source piece, looking at them in order, then ends."""

    def step(self, memory: Any, state: Any, tokens: Any) -> Any:
        log_probs, attention, after = super().step(memory, state, tokens)
        position = state.get("position", np.zeros(len(tokens), np.int64))
        length = memory["mask"][state["sentence"]].sum(1)
        log_probs[:] = -9
        log_probs[:, UNK] = np.where(position < length, -0.1, -9)
        log_probs[:, 3] = np.where(position < length, -9, -0.1)
        attention[:] = np.arange(attention.shape[1]) == np.minimum(position, length - 1)[:, None]
        return log_probs, attention, {**after, "position": position + 1}


class Blind(Copier):
    """Without attention."""

    def step(self, memory: Any, state: Any, tokens: Any) -> Any:
        log_probs, _, after = super().step(memory, state, tokens)
        return log_probs, None, after


def test_unknown_pieces_are_copied_from_where_they_look() -> None:
    model = translator(Copier(len(PIECES)), beam_size=1, replace_unknown=True)
    (copied,) = model.translate(["üöä"])
    assert copied.tokens == ["ü", "ü", "ö", "ä"]  # the first looks at the space, which is known: then the first unknown
    assert copied.text == "üüöä"
    (copied,) = model.translate(["a ü b"])
    assert set(copied.tokens) == {"ü"}
    (sampled,) = model.translate(["a ü b"], method="sampling", top_k=1)
    assert sampled.tokens == copied.tokens
    for found in (model.translate(["a b"]), model.translate(["ü"], replace_unknown=False)):
        assert not {"▁a", "▁b", "ü", "<unk>"} & set(found[0].tokens)
    with pytest.raises(UserError, match="`replace_unknown` needs a model with attention"):
        translator(Blind(len(PIECES)), beam_size=1, replace_unknown=True).translate(["ü"])


def test_a_vocabulary_joins_what_it_does_not_know() -> None:
    config = VocabularyConfig(byte_fallback=False)
    vocabulary = learn_vocabulary(["ein Hund und eine Katze", "Hund und Katze"] * 20, config, 30, "identity")
    surfaces = vocabulary.surfaces("Katze ÜÖ Hund")
    ids = vocabulary.encode("Katze ÜÖ Hund")
    assert len(surfaces) == len(ids)
    assert [surface for surface, i in zip(surfaces, ids, strict=True) if i == UNK] == ["ÜÖ"]
    assert vocabulary.join_pieces(surfaces) == "Katze ÜÖ Hund"
    assert vocabulary.join_pieces(vocabulary.pieces(vocabulary.encode("ein Hund"))) == "ein Hund"


def test_wrong_lists_are_named() -> None:
    model = translator()
    for call, message in (
        (lambda: model.translate_n_best("ab", 2), "`lines` must be a list of lines, but is a single text"),
        (lambda: model.translate([5]), "`lines` must be a list of texts, but has 5"),  # type: ignore[list-item]
        (lambda: model.score("ab", ["a", "b"]), "`sources` must be a list of lines"),
        (lambda: model.score(["a"], "b"), "`targets` must be a list of lines"),
        (lambda: model.score(["a", "b"], ["a"]), "each source must have a target, but there are 2 and 1"),
        (lambda: SourceLine("a", forbidden="ab"), "`forbidden` must be a list of phrases, but is a single text"),
    ):
        with pytest.raises(UserError, match=message):
            call()


def test_sentences_that_are_split_keep_their_samples() -> None:
    """Sample i of a line is sample i of each of its sentences."""
    model = translator()
    drawn = {"method": "sampling", "temperature": 2.0}
    line = "ab ab. b ab!"
    (written,) = stream(line, json=True, n_best=6, split_sentences=True, **drawn)
    whole = json.loads(written)["n_best"]
    parts = model.translate_n_best(["ab ab.", "b ab!"], 6, **drawn)
    assert [one["tokens"] for one in whole] == [left.tokens + right.tokens for left, right in zip(*parts, strict=True)]
    assert len({tuple(one["tokens"]) for one in whole}) > 2


def test_the_utility_of_a_line_is_the_mean_of_its_sentences() -> None:
    line, risk = "ab ab. b ab!", {"minimum_bayes_risk": "chrf"}
    (found,) = [json.loads(one) for one in stream(line, json=True, split_sentences=True, **risk)]
    parts = translator().translate(["ab ab.", "b ab!"], **risk)
    assert found["score"] == pytest.approx(sum(one.score for one in parts) / 2)
    assert found["score"] <= 100


def test_an_empty_prefix_is_none() -> None:
    lines = '{"text": "a b", "prefix": ""}\n{"text": "a b"}'
    own, common = stream(lines, json_input=True, prefix="b")
    assert own == stream("a b")[0]
    assert common.startswith("b") and own != common
