"""`nmt serve`: a server on a free port of this machine, asked by clients that others wrote and by hostile ones."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from nmt.model_folder import bundled_models
from nmt.translation.translator import Translator

uvicorn = pytest.importorskip("uvicorn", reason="the extra `serve` is not installed")
pytest.importorskip("starlette", reason="the extra `serve` is not installed")

from nmt.service.app import make_app  # noqa: E402
from nmt.service.limits import Limits  # noqa: E402
from nmt.service.models import Models  # noqa: E402
from nmt.service.server import bind  # noqa: E402
from nmt.service.service import Service  # noqa: E402

GERMAN = ["Ein Hund schläft auf dem Sofa.", "Guten Morgen!", "Das Haus ist groß. Wo ist der Bahnhof?"]


@pytest.fixture(scope="module")
def models() -> Models:
    return Models.load(bundled_models(), threads=1)


@pytest.fixture(scope="module")
def translator(models: Models) -> Translator:
    return models.translators["de", "en"]


@contextmanager
def running(models: Models, limits: Limits | None = None, **settings: Any) -> Iterator[str]:
    """The address of a server in a thread of this process."""
    service = Service(models, limits or Limits(), settings.pop("keys", None))
    listener = bind("127.0.0.1", 0)
    config = uvicorn.Config(make_app(service, **settings), log_config=None, access_log=False, lifespan="on", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def url(models: Models) -> Iterator[str]:
    with running(models) as url:
        yield url


class Answer:
    """The answer to a request."""

    def __init__(self, address: str, body: Any = None, headers: dict[str, str] | None = None) -> None:
        headers = headers or {}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers = {"Content-Type": "application/json", **headers}
        request = urllib.request.Request(address, body, headers)
        try:
            answer = urllib.request.urlopen(request, timeout=60)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            self.status, self.headers, self.body = answer.status, answer.headers, answer.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def test_libretranslatepy(url: str, translator: Translator) -> None:
    module = pytest.importorskip("libretranslatepy", reason="the client libretranslatepy is not installed")
    client = module.LibreTranslateAPI(url)
    assert client.translate(GERMAN[0], "de", "en") == translator.translate(GERMAN[:1])[0].text
    assert client.detect("Wo ist der Bahnhof?")[0]["language"] == "de"
    assert {one["code"]: one["name"] for one in client.languages()} == {"de": "German", "en": "English"}


def test_deep_translator(url: str, translator: Translator) -> None:
    module = pytest.importorskip("deep_translator", reason="the client deep-translator is not installed")
    client = module.LibreTranslator(source="de", target="en", api_key="none is needed", custom_url=f"{url}/")
    assert client.translate_batch(GERMAN) == [one.text for one in translator.translate(GERMAN)]


def test_libretranslate_aio(url: str, translator: Translator) -> None:
    module = pytest.importorskip("libretranslate_aio", reason="the client libretranslate-aio is not installed")
    with module.LibreTranslate(url) as client:
        found = client.translate(GERMAN, "auto", "en", alternatives=2)
        assert found.translated_text == [one.text for one in translator.translate(GERMAN)]
        assert client.health()
        assert {one.code for one in client.languages()} == {"de", "en"}
        assert client.frontend_settings().char_limit == Limits().characters
        with pytest.raises(module.ForbiddenError):
            client.suggest("Hund", "hound", "de", "en")


def test_texts_keep_their_lines_and_spaces(url: str, translator: Translator) -> None:
    text = "  Ein Hund schläft.  Er träumt.\n\n\tGuten Morgen!\r\n \n"
    lines = [one.text for one in translator.translate(["Ein Hund schläft.  Er träumt.", "Guten Morgen!"])]
    found = Answer(f"{url}/translate", {"q": text, "source": "de", "target": "en"}).json["translatedText"]
    assert found == f"  {lines[0]}\n\n\t{lines[1]}\r\n \n"


def test_alternatives_are_others_of_the_n_best_list(url: str, translator: Translator) -> None:
    n_best = [one.text for one in translator.translate_n_best(GERMAN[:1], 4)[0]]
    asked = {"q": GERMAN[0], "source": "de", "target": "en", "alternatives": 3}
    assert Answer(f"{url}/translate", asked).json == {"translatedText": n_best[0], "alternatives": n_best[1:]}
    of_two = Answer(f"{url}/translate", {**asked, "q": GERMAN[2]}).json
    assert len({of_two["translatedText"], *of_two["alternatives"]}) == 4


def test_html_is_translated_as_by_the_command(url: str, translator: Translator) -> None:
    html = "<p>Ein <b>Hund</b> schläft &lt; auf dem Sofa.</p>"
    asked = {"q": html, "source": "de", "target": "en", "format": "html"}
    assert (
        Answer(f"{url}/translate", asked).json["translatedText"] == translator.translate([html], markup="html")[0].text
    )


def test_the_source_is_detected(url: str) -> None:
    asked = {"q": ["Where is the station?"], "source": "auto", "target": "de"}
    found = Answer(f"{url}/translate", asked).json
    assert [one["language"] for one in found["detectedLanguage"]] == ["en"]
    assert found["detectedLanguage"][0]["confidence"] > 90
    same = Answer(f"{url}/translate", {"q": "Where is the station?", "source": "auto", "target": "en"}).json
    assert same["translatedText"] == "Where is the station?"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"q": ""}, "Invalid request: missing q parameter"),
        ({"q": []}, "Invalid request: missing q parameter"),
        ({"q": [1]}, "Invalid request: q must be a text or a list of texts"),
        ({"source": None}, "Invalid request: missing source parameter"),
        ({"target": ""}, "Invalid request: missing target parameter"),
        ({"target": "zz"}, "zz is not supported"),
        ({"source": "\ud800"}, "? is not supported"),
        ({"format": "xml"}, "xml format is not supported"),
        ({"alternatives": "abc"}, "Invalid request: alternatives parameter is not a number"),
        ({"alternatives": 99}, "Invalid request: alternatives parameter must be <= 10"),
        ({"q": ["a"] * 101}, "Invalid request: request (101) exceeds text limit (100)"),
        ({"q": "a" * 20001}, "Invalid request: request (20001) exceeds text limit (20000)"),
    ],
)
def test_wrong_requests_are_refused_as_by_libretranslate(url: str, changes: dict[str, Any], message: str) -> None:
    found = Answer(f"{url}/translate", {"q": "Hund", "source": "de", "target": "en", **changes})
    assert (found.status, found.json) == (400, {"error": message})


def test_the_own_route_says_everything(url: str, translator: Translator) -> None:
    text = f" {GERMAN[2]}\n{GERMAN[0]} "
    asked = {"text": text, "target": "en", "n_best": 2, "alignment": True}
    found = Answer(f"{url}/api/translate", asked).json
    (one,) = found["translations"]
    assert (found["source"], found["route"]) == ("de", ["de", "en"])
    assert "".join(part["source_space"] + part["source"] for part in one["segments"]) == text
    assert "".join(part["space"] + part["text"] for part in one["segments"]) == one["text"]
    sentences = ["Das Haus ist groß.", "Wo ist der Bahnhof?", GERMAN[0]]
    expected = translator.translate_n_best(sentences, 2, attention_weights=True)
    for part, source, translations in zip(one["segments"], sentences, expected, strict=False):
        assert part["source"] == source
        assert [other["text"] for other in part["n_best"]] == [other.text for other in translations]
        assert part["alignment"] == [list(pair) for pair in translations[0].alignment or []]
        assert part["confidence"] == round(translations[0].confidence or 0, 4)


def test_constraints_and_options_of_the_own_route(url: str, translator: Translator) -> None:
    asked = {"text": GERMAN[0], "source": "de", "glossary": {"Sofa": "divan"}, "options": {"beam_size": 3}}
    (one,) = Answer(f"{url}/api/translate", asked).json["translations"]
    expected = translator.translate(GERMAN[:1], glossary={"Sofa": "divan"}, beam_size=3)[0]
    assert one["text"] == expected.text
    assert "divan" in one["text"]
    prefixed = Answer(f"{url}/api/translate", {"text": GERMAN[0], "source": "de", "prefix": "There is"}).json
    assert prefixed["translations"][0]["text"].startswith("There is")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"texts": "x"}, "unknown field `texts`"),
        ({"options": {"beam": 1}}, "unknown option `beam`"),
        ({"options": {"beam_size": 21}}, "`beam_size` must be at most 20 here"),
        ({"options": {"beam_size": "x"}}, "beam_size"),
        ({"options": {"temperature": 2}}, "`temperature` has no effect"),
        ({"keep": "Hund"}, "keep must be a list of texts"),
        ({"glossary": {"a": 1}}, "glossary must be an object"),
        ({"prefix": 3}, "prefix must be text"),
        ({"stream": "yes"}, "stream must be true or false"),
        ({"options": {"beam_size": 21}, "stream": True}, "`beam_size` must be at most 20 here"),
        ({"keep": ["x"] * 1001}, "at most 1000 phrases"),
    ],
)
def test_wrong_requests_to_the_own_route(url: str, changes: dict[str, Any], message: str) -> None:
    found = Answer(f"{url}/api/translate", {"text": "Hund", "source": "de", **changes})
    assert found.status == 400
    assert message in found.json["error"]


def test_a_stream_has_the_same_segments(url: str) -> None:
    asked = {"text": [GERMAN[2], GERMAN[0]], "source": "de"}
    whole = Answer(f"{url}/api/translate", asked).json
    found = Answer(f"{url}/api/translate", {**asked, "stream": True})
    assert found.headers["Content-Type"].startswith("text/event-stream")
    lines = [event.split("\n") for event in found.body.decode().split("\n\n") if event]
    events = [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in lines]
    segments = [{"number": i, **one} for i, text in enumerate(whole["translations"]) for one in text["segments"]]
    assert events[0] == ("languages", {"source": "de", "target": "en", "route": ["de", "en"]})
    assert [data for name, data in events if name == "segment"] == segments
    assert events[-1] == ("done", {"confidence": [one["confidence"] for one in whole["translations"]]})


def test_requests_that_arrive_together_get_what_single_ones_get(url: str, translator: Translator) -> None:
    texts = [f"{text} {number}" for number in range(8) for text in GERMAN]
    expected = [one.text for one in translator.translate(texts)]

    def ask(text: str) -> str:
        return str(Answer(f"{url}/translate", {"q": text, "source": "de", "target": "en"}).json["translatedText"])

    with ThreadPoolExecutor(len(texts)) as pool:
        assert list(pool.map(ask, texts)) == expected


def test_a_third_language(models: Models) -> None:
    """With models under other names, German goes to French through English."""
    pairs = {("de", "en"): models.translators["de", "en"], ("en", "fr"): models.translators["en", "de"]}
    assert Models(pairs).route("de", "fr") is None
    with running(Models(pairs, ["en"])) as url:
        found = Answer(f"{url}/api/translate", {"text": GERMAN[2], "source": "de", "target": "fr"}).json
        assert found["route"] == ["de", "en", "fr"]
        english = models.translators["de", "en"].translate(["Das Haus ist groß.", "Wo ist der Bahnhof?"])
        back = models.translators["en", "de"].translate([one.text for one in english])
        assert found["translations"][0]["text"] == " ".join(one.text for one in back)


def test_pages_and_headers(url: str) -> None:
    page = Answer(f"{url}/")
    assert page.status == 200
    assert page.headers["Content-Type"].startswith("text/html")
    for answer in (page, Answer(f"{url}/languages"), Answer(f"{url}/nothing")):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "Access-Control-Allow-Origin" not in answer.headers
    assert (Answer(f"{url}/nothing").status, Answer(f"{url}/nothing").json) == (404, {"error": "Not Found"})
    assert Answer(f"{url}/../app.py").status == 404


def test_the_command_stops_when_it_is_asked_and_finishes_what_runs() -> None:
    command = [sys.executable, "-m", "nmt", "serve", "--port", "0", "--threads", "1"]
    text = "\n".join(GERMAN * 40)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            assert line.startswith("nmt serve: de-en, en-de on http://127.0.0.1:")
            body = json.dumps({"text": text, "source": "de", "stream": True}).encode()
            with urllib.request.urlopen(f"{line.split(' on ')[1].split('/ ')[0]}/api/translate", body) as answer:
                first = answer.readline()
                process.send_signal(signal.SIGTERM)
                events = [line for line in answer if line.startswith(b"event: ")]
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert first == b"event: languages\n"
    assert events == [b"event: segment\n"] * 160 + [b"event: done\n"]
    assert (process.returncode, err) == (0, "")
    record = json.loads(out)
    assert (record["path"], record["status"], record["characters"]) == ("/api/translate", 200, len(text))
    assert "Hund" not in out


def test_the_service_imports_no_torch() -> None:
    code = "import sys, nmt.service.app, nmt.service.server; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
