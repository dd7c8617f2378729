"""Tags are in the translation once, byte for byte, nested as in the source, around the words that correspond."""

from __future__ import annotations

import io
import json
import random
import re
import time
from collections import Counter
from typing import Any

import pytest
from test_search import RandomModel

from nmt.config import DecodingConfig, VocabularyConfig
from nmt.errors import UserError
from nmt.text.cleaning import clean_line
from nmt.text.markup import INLINE, Segment, has_elements, parse_markup
from nmt.text.sentences import split_sentences
from nmt.text.vocabulary import Vocabulary, learn_vocabulary
from nmt.translation.line_stream import translate_stream
from nmt.translation.markup import place_tags
from nmt.translation.translator import SourceLine, Translator, unchanged_translation

TEXT = ["ein Hund und eine Katze spielen.", "Wo ist der Hund? Er schläft!", "die Katze sieht, was wir sehen"] * 20
WORDS = [
    "ein",
    "Hund",
    "und",
    "eine",
    "Katze",
    "spielen,",
    "wo",
    "ist",
    "der",
    "Hund?",
    "Er",
    "schläft!",
    "Die",
    "Katze",
    "sieht,",
    "was",
    "wir",
    "sehen.",
]
EMPTY = [
    "<br/>",
    "<x id='1'/>",
    "<!-- a <b> -->",
    "<img src='a.png' alt=\"1 > 0\"/>",
    "<?php echo 1 ?>",
    "<code>a <b> b</code>",
]
NAMES = ["b", "i", "a", "g", "span"]


def vocabulary(spans: int) -> Vocabulary:
    return learn_vocabulary(TEXT, VocabularyConfig(byte_fallback=False, model_type="bpe"), 90, "identity", (), spans)


def toy(spans: int = 0, end: float = 1.0, attention: bool = True, **decoding: Any) -> Translator:
    pieces = vocabulary(spans)
    settings = DecodingConfig(**{"beam_size": 2, "max_length_factor": 1.0, "max_length_offset": 3, **decoding})
    model = RandomModel(len(pieces), seed=3, end=end, extra_columns=1, sharpness=2.0)
    return Translator(model, pieces, pieces, settings)


@pytest.fixture(scope="module")
def german() -> Translator:
    return Translator.load("de-en")


def random_markup(draw: random.Random, words: int, empty: float = 0.2, depth: int = 0, tidy: bool = False) -> str:
    """Words with nested elements, with empty ones, and with white space here and there, or just between words."""
    parts = []
    while words > 0:
        count = draw.randint(1, words)
        words -= count
        if draw.random() < 0.5 and depth < 4:
            name = draw.choice(NAMES)
            attributes = draw.choice(["", " href='x?a=1&b=2'", ' title="a > b"', " id=7  class = c"])
            inside = random_markup(draw, count - draw.randint(0, 1), empty, depth + 1, tidy)
            space = "" if tidy else draw.choice(["", "", "", " "])
            parts.append(f"<{name}{attributes}>{space}{inside}{space}</{name}>")
        else:
            parts.append(" ".join(draw.choice(WORDS) for _ in range(count)))
        if draw.random() < empty:
            parts.append(draw.choice(EMPTY))
    return (" " if tidy else draw.choice([" ", " ", ""])).join(parts)


TAG = re.compile(r"<!--.*?-->|<\?.*?\?>|<code>.*?</code>|<(?:[^<>\"']|\"[^\"]*\"|'[^']*')*>")


def is_nested(text: str) -> bool:
    stack = []
    for tag in TAG.findall(text):
        if tag.startswith("</"):
            if not stack or stack.pop() != tag[2:-1]:
                return False
        elif tag[1:2].isalpha() and not tag.endswith("/>") and not tag.startswith("<code>"):
            stack.append(re.split(r"[ >]", tag[1:])[0])
    return not stack


@pytest.mark.parametrize(("kind", "spans", "end"), [("html", 16, 4.0), ("xml", 0, -4.0)])
def test_each_tag_is_written_once_and_nested(kind: str, spans: int, end: float) -> None:
    """Whatever the model writes and attends to, and whatever is between the tags."""
    draw = random.Random(7)
    lines = [random_markup(draw, draw.randint(0, 12)) for _ in range(200)]
    if kind == "xml":
        lines = [line.replace("<code>a <b> b</code>", "<ph id='2'>&lt;b></ph>") for line in lines]
    for line, found in zip(lines, toy(spans, end).translate(lines, markup=kind), strict=True):
        assert Counter(TAG.findall(found.text)) == Counter(TAG.findall(line)), (line, found.text)
        assert is_nested(found.text), (line, found.text)
        assert not found.problems


def test_without_tags_the_text_is_the_plain_translation(german: Translator) -> None:
    draw = random.Random(1)
    lines = [random_markup(draw, draw.randint(1, 9), 0, tidy=True) for _ in range(60)]
    plain = [" ".join(TAG.sub("", line).split()) for line in lines]
    found = german.translate(lines, markup="html", beam_size=1)
    for line, one, expected in zip(lines, found, german.translate(plain, beam_size=1), strict=True):
        assert " ".join(TAG.sub("", one.text).split()) == expected.text, line


def echo(source: str, kind: str = "html") -> str:
    """The markup of a translation that is the source itself."""
    written = []
    for part in parse_markup(source, kind).parts:
        if isinstance(part, Segment):
            sentences = split_sentences(clean_line(part.text))
            parts = [unchanged_translation(sentence) for sentence in sentences]
            part = place_tags(part, sentences, [" "] * len(sentences), parts)
        written.append(part)
    return "".join(written)


def test_markup_of_a_translation_that_is_the_source_is_that_of_the_source() -> None:
    draw = random.Random(3)
    for _ in range(200):
        line = random_markup(draw, draw.randint(0, 12), tidy=True)
        assert echo(line) == line


@pytest.mark.parametrize(
    "line",
    [
        "Tom &amp; Maria warten&nbsp;hier &#40;seit heute&#41;, 3 &lt; 5 &copy; &foo; &#128512;.",
        "“<b>Hi!</b>”, <i>“he</i> said”.",
        "a<br>b <br/> c<br/> d <br/>e<br>&nbsp;",
        "Hello<b> world</b>! <b>Hello </b>world",
        "« <b>Oui</b> »&nbsp;!",
        "<b>Er. Sie</b> a. <i>B. C.</i> <b>D? E</b>!",
        "x <b></b> y<!-- c --> z",
        "<ul><li>a <b>b</b></li> <li>c</li></ul>",
    ],
)
def test_white_space_marks_and_entities_are_where_they_were(line: str) -> None:
    assert echo(line) == line


def test_tags_are_around_the_words_that_correspond(german: Translator) -> None:
    """Whatever else the model writes of these sentences."""
    lines = {
        "Das ist ein <b>sehr</b>, sehr gutes <i>Buch</i>.": r"<b>(very|really)</b>.* good <i>book</i>\.",
        "<p>Ich habe <a href='x?a=1'>keine Zeit</a>.</p><p>Wo ist <i>der Bahnhof</i>?</p>": (
            r"<p>I.* <a href='x\?a=1'>(no |any |don't have )?time</a>\.</p><p>Where.* <i>the .*station</i>\?</p>"
        ),
        "<b>Heute</b> ist es kalt.": r"(It.* cold <b>today</b>\.|<b>Today</b>,? it.*\.)",
        "Ich habe <b>Hunger</b>. Ich gehe <i>nach Hause</i>.": r"I.* <b>hungry</b>\. I.* <i>home</i>\.",
    }
    for (line, pattern), found in zip(lines.items(), german.translate(list(lines), markup="html"), strict=True):
        assert re.search(pattern, found.text), (line, found.text)


def test_signs_are_encoded(german: Translator) -> None:
    plain = german.translate(["Tom & Maria warten hier."])[0].text
    assert german.translate(["Tom & Maria <i/>warten hier."], markup="xml")[0].text.replace(
        "<i/>", ""
    ) == plain.replace("&", "&amp;")


def test_what_must_not_be_translated_stays_as_it_is() -> None:
    kept = [
        "<code>rm -rf  /tmp</code>",
        "<kbd>Strg</kbd>",
        "<b translate='no'>der <i>Hund</b>",
        '<a class="x notranslate">Katze</a>',
    ]
    line = f"Er sieht {kept[0]} und {kept[1]}, die {kept[2]} {kept[3]}. <!-- der Hund --> "
    line += "<pre>ein  Hund</pre><script>a<b</script>"
    for spans in (0, 16):
        (found,) = toy(spans).translate([line], markup="html")
        for raw in [*kept, "<!-- der Hund -->", "<pre>ein  Hund</pre><script>a<b</script>"]:
            assert found.text.count(raw) == 1


def stream(made: Translator, source: str, **options: Any) -> tuple[list[str], list[str]]:
    output, warnings = io.BytesIO(), list[str]()
    try:
        translate_stream(made, io.BytesIO(source.encode()), output, warn=warnings.append, **options)
    except UserError as error:
        warnings.append(f"error: {error}")
    return output.getvalue().decode().splitlines(), warnings


def test_unbalanced_markup_is_said_and_no_tag_is_lost() -> None:
    source = "ein <b>Hund\n<b>ein</b> Hund\n</i>die <b>Katze <g>und</b></g>\n"
    written, warnings = stream(toy(), source, markup="html")
    assert [Counter(TAG.findall(line)) for line in written] == [
        Counter(TAG.findall(line)) for line in source.splitlines()
    ]
    assert warnings == [
        "line 1: the markup is unbalanced: `<b>` is without a partner",
        "line 3: the markup is unbalanced: `</i>`, `<g>`, `</g>` are without a partner",
    ]
    again, warnings = stream(toy(), source, markup="html", strict=True)
    assert again == written
    assert warnings[-1] == f"error: what is asked of the translation is not met: {warnings[0]} (1 more)"


def test_json_lines_have_their_own_markup() -> None:
    records = [
        {"text": "ein <b>Hund</b>", "markup": "html"},
        {"text": "ein <b>Hund</b>"},
        {"text": "a </b>", "markup": "xml"},
    ]
    written, _ = stream(toy(), "".join(json.dumps(one) + "\n" for one in records), json=True, json_input=True, n_best=2)
    first, second, third = map(json.loads, written)
    assert all(is_nested(one["text"]) and "<b>" in one["text"] for one in first["n_best"])
    assert second["text"] == toy().translate(["ein <b>Hund</b>"], markup="xml")[0].text
    assert third["problems"] == ["the markup is unbalanced: `</b>` is without a partner"]
    _, warnings = stream(toy(), '{"text": "a", "markup": "pdf"}\n', json_input=True)
    assert warnings == ['error: line 1: `markup` must be "html" or "xml"']


def test_markup_needs_attention() -> None:
    made = toy()
    made.__dict__["has_attention"] = False
    for call in (
        lambda: made.translate(["<b>ein</b>"], markup="html"),
        lambda: translate_stream(made, io.BytesIO(), io.BytesIO(), warn=print, markup="html"),
    ):
        with pytest.raises(UserError, match="markup needs a model with attention"):
            call()
    with pytest.raises(UserError, match="`markup` must be `html` or `xml`"):
        toy().translate([SourceLine("ein Hund", markup="pdf")])


@pytest.mark.parametrize("spans", [0, 16])
def test_elements_of_a_plain_line_are_placed_like_markup(spans: int) -> None:
    draw, made = random.Random(3), toy(spans)
    lines = [random_markup(draw, draw.randint(1, 9), 0) for _ in range(60)]
    assert sum("</" in line for line in lines) > 30
    assert [one.text for one in made.translate(lines)] == [one.text for one in made.translate(lines, markup="xml")]


def test_all_else_in_a_plain_line_is_text(german: Translator) -> None:
    def inline(line: str) -> list[str | Segment]:
        assert has_elements(line)
        return parse_markup(line, INLINE).parts

    (segment,) = inline("Tom & <b>ein <i> &amp; x < y</b> <u>Hund</u><br/> </a>")
    assert isinstance(segment, Segment) and segment.text == "Tom & ein <i> &amp; x < y Hund<br/> </a>"
    for line in ("ein <b>Hund", "</b> Hund <b>", "`<b>` und `</b>`", "a < b </", "List<Text> x", "<br/></br/>"):
        assert not has_elements(line), line
    (found,) = toy(16).translate(["ein <b>Hund</b> & <br/> {name} &lt; `a`"])
    assert Counter(TAG.findall(found.text)) == Counter(["<b>", "</b>", "<br/>"])
    (found,) = toy(16).translate(["ein <b>Hund</b> & <br/> {name} &lt;"])
    assert all(found.text.count(one) == 1 for one in ("<br/>", "{name}", "&lt;", "<b>", "</b>"))
    assert echo("ein <b>Hund</b> & x < y", INLINE) == "ein <b>Hund</b> & x < y"
    cells = inline("<td>ein</td><td>Hund</td>")  # each is translated by itself
    assert [one.text for one in cells if isinstance(one, Segment)] == ["ein", "Hund"]
    (segment,) = inline("ein <code>Hund der</code> <i>ist</i>")
    assert isinstance(segment, Segment) and segment.text == "ein ist"
    plain, without = toy(16), toy(16)
    without.__dict__["has_attention"] = False  # the tags are spans then, and so they are beside a prefix
    for made, line in ((without, "ein <b>Hund</b>"), (plain, SourceLine("ein <b>Hund</b>", prefix="ein"))):
        assert made.prepare(line).sentences[0].copies == ("<b>", "</b>")
    assert plain.prepare("ein <b>Hund</b>").sentences[0].copies == ()


def test_entities_are_kept(german: Translator) -> None:
    """In HTML escaped tags are text: they vanished from lines with markup. In a plain line entities are copied."""
    (found,) = toy(16).translate(["ein &lt;b&gt;Hund&lt;/b&gt;"], markup="html")
    assert found.text.count("&lt;b&gt;") == found.text.count("&lt;/b&gt;") == 1 and "<" not in found.text
    (found,) = Translator.load("en-de").translate(["She said: &quot;I am coming.&quot;"], markup="html")
    assert found.text.count("&quot;") == 2  # although German has other marks
    (found,) = german.translate(["&quot;Ich habe keine Zeit&quot;, sagte er."])
    assert found.text.count("&quot;") == 2 and not found.problems


def test_a_line_is_cut_into_segments_at_block_tags() -> None:
    marked = parse_markup("a<p>b <b>c<li>d</b> e<br>f", "html")
    assert [part if isinstance(part, str) else part.text for part in marked.parts] == [
        "a",
        "<p>",
        "b c",
        "<li>",
        "d e f",
    ]
    assert marked.unmatched == []
    marked = parse_markup('<bpt id="1">&lt;p></bpt>fett <g id="2">x<ept id="1"/> y</g><ph id="3"/>', "xml")
    assert [part.text for part in marked.parts if isinstance(part, Segment)] == ["fett x y"] and not marked.unmatched


@pytest.mark.parametrize(
    "part", ["<b>", "<b>a ", "<b a=b ", '<a "', "<a\"<a'", "<!--", "<code>", "</i>", "<b></p>", "&nbsp;", "<bpt>"]
)
def test_parsing_takes_time_in_proportion(part: str) -> None:
    def seconds(length: int) -> float:
        took = []
        for kind in ("html", "xml", INLINE) * 3:  # the fastest of three, as other processes disturb
            start = time.process_time()
            parse_markup(part * (length // len(part)), kind, copied=True)
            took.append(time.process_time() - start)
        return min(took[::3]) + min(took[1::3]) + min(took[2::3])

    assert seconds(50_000) < 40 * max(seconds(5_000), 0.01)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("The city<sup>1</sup> is big", "The city is big"),
        ('End.<a href="#n"><sup>[2]</sup></a> More', "End. More"),
        ("20 m<sup>2</sup>, fine", "20 m, fine"),
        ("a <b>house</b><sup>1, 2</sup> here", "a house here"),
        ("page <b>12</b> of it", "page 12 of it"),
        ("the 3<sup>rd</sup> day", "the 3rd day"),
        ("H<sub>2</sub>O", "H2O"),
    ],
)
def test_marks_of_notes_are_no_part_of_a_word(line, text):
    (segment,) = parse_markup(line, "html").parts
    assert segment.text == text
    assert parse_markup(line, "inline").parts[0].text == re.sub("<[^<>]+>", "", line)
