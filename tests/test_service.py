"""`nmt serve`: a server on a free port of this machine, asked by clients that others wrote and by hostile ones."""

from __future__ import annotations

import ctypes
import gc
import json
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from runs import load_script

from nmt.service.detection import Detector
from nmt.translation.translator import Translator

uvicorn = pytest.importorskip("uvicorn", reason="the extra `serve` is not installed")
pytest.importorskip("starlette", reason="the extra `serve` is not installed")

from nmt.errors import UserError  # noqa: E402
from nmt.service import app, batching, server  # noqa: E402
from nmt.service.app import make_app  # noqa: E402
from nmt.service.keys import Keys, new_key  # noqa: E402
from nmt.service.limits import Limits  # noqa: E402
from nmt.service.models import Models  # noqa: E402
from nmt.service.server import bind, configuration  # noqa: E402
from nmt.service.service import Service  # noqa: E402

GERMAN = ["Ein Hund schläft auf dem Sofa.", "Guten Morgen!", "Das Haus ist groß. Wo ist der Bahnhof?"]


@pytest.fixture(scope="module")
def models() -> Models:
    return Models.load(["de-en", "en-de"], threads=1)


@pytest.fixture(scope="module")
def translator(models: Models) -> Translator:
    return models.translators["de", "en"]


@contextmanager
def running(models: Models, limits: Limits | None = None, **settings: Any) -> Iterator[tuple[str, Service]]:
    """The address of a server in a thread of this process, and its state."""
    service = Service(models, limits or Limits(), settings.pop("keys", None))
    listener = bind("127.0.0.1", 0)
    idle = settings.pop("idle_seconds", 5)
    server = uvicorn.Server(configuration(make_app(service, **settings), 5))
    server.config.timeout_keep_alive = idle
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", service
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def url(models: Models) -> Iterator[str]:
    with running(models) as (url, _):
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


def test_libretranslate_aio(url: str, translator: Translator, tmp_path: Path) -> None:
    module = pytest.importorskip("libretranslate_aio", reason="the client libretranslate-aio is not installed")
    with module.LibreTranslate(url) as client:
        found = client.translate(GERMAN, "auto", "en", alternatives=2)
        assert found.translated_text == [one.text for one in translator.translate(GERMAN)]
        assert client.health()
        assert {one.code for one in client.languages()} == {"de", "en"}
        assert client.frontend_settings().char_limit == Limits().characters
        (tmp_path / "letter.txt").write_text(GERMAN[0])
        file = client.translate_file(tmp_path / "letter.txt", "de", "en")
        assert Answer(file.translated_file_url).body.decode() == found.translated_text[0]
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


def form(**fields: str | tuple[str, bytes]) -> tuple[bytes, dict[str, str]]:
    """A form with a file, and its headers."""
    parts = b""
    for name, value in fields.items():
        file, content = value if isinstance(value, tuple) else ("", value.encode())
        named = f'; filename="{file}"' if file else ""
        parts += f'--x\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'.encode() + content + b"\r\n"
    return parts + b"--x--\r\n", {"Content-Type": "multipart/form-data; boundary=x"}


def test_files(url: str, translator: Translator) -> None:
    text = "\n\n".join(GERMAN)
    body, headers = form(file=("Brief ä.txt", text.encode()), source="auto", target="en")
    address = Answer(f"{url}/translate_file", body, headers).json["translatedFileUrl"]
    found = Answer(address)
    assert found.body.decode() == "\n\n".join(one.text for one in translator.translate(GERMAN))
    assert found.headers["Content-Disposition"] == (
        "attachment; filename=\"Brief _.en.txt\"; filename*=UTF-8''Brief%20%C3%A4.en.txt"
    )
    streamed = Answer(f"{url}/translate_file", body, {**headers, "Accept": "text/event-stream"})
    events = [event.split("\n") for event in streamed.body.decode().split("\n\n") if event]
    assert [name for name, _ in events] == ["event: progress"] * (len(events) - 1) + ["event: done"]
    assert Answer(json.loads(events[-1][1].removeprefix("data: "))["translatedFileUrl"]).body == found.body
    assert Answer(f"{url}/download_file/{'x' * 22}.txt").status == 404


def test_files_with_a_glossary_keep_their_tags(url: str, translator: Translator) -> None:
    html = "<p>Ein Hund schläft auf dem <b>Sofa</b>.</p>"
    fields = {"file": ("a.html", html.encode()), "source": "auto", "target": "en"}
    body, headers = form(**fields, glossary='{"Sofa": "divan"}')
    found = Answer(Answer(f"{url}/translate_file", body, headers).json["translatedFileUrl"]).body.decode()
    assert "<b>divan</b>" in found
    body, headers = form(**fields, glossary="{}")
    assert "divan" not in Answer(Answer(f"{url}/translate_file", body, headers).json["translatedFileUrl"]).body.decode()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"source": "de", "target": "en"}, "missing file parameter"),
        ({"source": "de", "target": "en", "file": "text"}, "missing file parameter"),
        ({"source": "de", "target": "en", "file": ("a.txt", b"x"), "glossary": "[]"}, "Invalid JSON format"),
        (
            {"source": "de", "target": "en", "file": ("a.txt", b"x"), "glossary": '{"a": 1}'},
            "glossary must be an object",
        ),
        ({"file": ("a.txt", b"x"), "target": "en"}, "missing source parameter"),
        ({"file": ("a.txt", b"x"), "source": "de"}, "missing target parameter"),
        ({"file": ("a.txt", b"x"), "source": "de", "target": "zz"}, "zz is not supported"),
        ({"file": ("a.exe", b"x"), "source": "de", "target": "en"}, "`a.exe` has no suffix of a document"),
        ({"file": ("../../a.docx", b"PK"), "source": "de", "target": "en"}, "`a.docx` "),
    ],
)
@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_wrong_files(url: str, fields: dict[str, Any], message: str, accept: str) -> None:
    body, headers = form(**fields)
    found = Answer(f"{url}/translate_file", body, {**headers, "Accept": accept})
    assert found.status == 400
    assert message in found.json["error"]


def test_files_have_a_place_each(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = Stuck(monkeypatch)
    body, headers = form(file=("a.txt", b"Hund"), source="de", target="en")
    with running(models, Limits(files=1)) as (url, service), ThreadPoolExecutor(1) as pool:
        served = pool.submit(Answer, f"{url}/translate_file", body, headers)
        until(lambda: service.files == 1)
        assert Answer(f"{url}/translate_file", body, headers).status == 429
        stuck.released.set()
        assert served.result().status == 200 and service.files == 0


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


def test_a_client_that_is_alone_is_not_kept_waiting(translator: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    batcher, waits = batching.Batcher(), list[float]()
    work = batching.Work(translator, translator.decoding, 1, False, [translator.prepare(GERMAN[0])])
    monkeypatch.setattr(batcher._arrival, "wait", waits.append)
    batcher._waiting.append(work)
    batcher._last_round = 1.0
    for requests, paused in ((1, False), (8, True)):
        batcher._last_requests = requests
        batcher._pause()
        assert bool(waits) == paused


def test_a_slow_machine_still_translates_waiting_requests_together(translator: Translator) -> None:
    line, long = translator.prepare(GERMAN[0]), translator.prepare("Hund " * 80)
    texts = ([line] * 9, [line], [long], [line])
    for most, expected in ((128, [(0, 1), (1, 1), (3, 1)]), (2, [(0, 1), (1, 1)])):
        works = [batching.Work(translator, translator.decoding, 1, False, lines) for lines in texts]
        shares = batching.Batcher._share(works, 1.0, most)
        assert [(works.index(work), len(lines)) for work, lines in shares] == expected


def test_a_third_language(models: Models) -> None:
    """With models under other names, German goes to French through English."""
    pairs = {("de", "en"): models.translators["de", "en"], ("en", "fr"): models.translators["en", "de"]}
    assert Models(pairs).route("de", "fr") is None
    with running(Models(pairs, ["en"])) as (url, _):
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


ASKED = {"q": GERMAN[0], "source": "de", "target": "en"}


class Stuck:
    """Rounds of translation that do not end before they are released."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.released, self.begun = threading.Event(), threading.Event()
        original = batching._translate_together

        def wait(shares: Any) -> Any:
            if shares:
                self.begun.set()
                assert self.released.wait(30)
            return original(shares)

        monkeypatch.setattr(batching, "_translate_together", wait)


def until(condition: Any) -> None:
    """Wait for a condition."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_overload_is_refused_at_once_and_ends(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = Stuck(monkeypatch)
    with running(models, Limits(requests=2)) as (url, service), ThreadPoolExecutor(2) as pool:
        served = [pool.submit(Answer, f"{url}/translate", ASKED) for _ in range(2)]
        until(lambda: service.running == 2)
        for address, body in (
            (f"{url}/translate", ASKED),
            (f"{url}/api/translate", {"text": "x", "source": "de", "stream": True}),
        ):
            refused = Answer(address, {"target": "en", **body})
            assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
            assert refused.json["error"].startswith("Slowdown: ")
        assert Answer(f"{url}/health").json == {"status": "ok"}
        assert b"nmt_running_requests 2.0" in Answer(f"{url}/metrics").body
        stuck.released.set()
        assert [one.result().status for one in served] == [200, 200]
        assert Answer(f"{url}/translate", ASKED).status == 200


def test_a_request_ends_when_its_time_is_over(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = Stuck(monkeypatch)
    with running(models, Limits(seconds=1)) as (url, service):
        found = Answer(f"{url}/translate", ASKED)
        assert (found.status, found.json) == (503, {"error": "the translation took more than 1 seconds"})
        streamed = Answer(f"{url}/api/translate", {"text": "Hund", "source": "de", "stream": True})
        assert (streamed.status, service.running) == (503, 0)
        stuck.released.set()


def test_a_client_that_has_gone_costs_nothing(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = Stuck(monkeypatch)
    with running(models) as (url, service):
        host, port = url.removeprefix("http://").split(":")
        for path, body in (("/translate", ASKED), ("/api/translate", {"text": GERMAN, "source": "de", "stream": True})):
            content = json.dumps(body).encode()
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            with socket.create_connection((host, int(port))) as client:
                client.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
                until(lambda: service.running == 1)
            until(lambda: service.running == 0)
        stuck.released.set()
        until(lambda: not service.batcher.waiting_cost)
        assert service.batcher.sentences <= 1  # at most the round that was running


def test_bodies_have_limits(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "BODY_SECONDS", 0.3)
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.3)
    with running(models, idle_seconds=0.5) as (url, service):
        found = Answer(f"{url}/translate", b" " * (service.limits.body + 1))
        assert (found.status, found.json["error"]) == (413, "Invalid request: the body is larger than 1048576 bytes")
        host, port = url.removeprefix("http://").split(":")
        head = b"POST /translate HTTP/1.1\r\nHost: x\r\n"
        chunk = b"fffff\r\n" + b" " * 0xFFFFF + b"\r\n"
        for sent, expected in {
            head + b"Content-Length: 9\r\n\r\n{": b"HTTP/1.1 408",
            head + b"Transfer-Encoding: chunked\r\n\r\n" + 2 * chunk + b"0\r\n\r\n": b"HTTP/1.1 413",
            head: b"",
            b"": b"",
            b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET": b"HTTP/1.1 200",
            b"GET / HTTP/1.1\r\nX: " + b"x" * (server.MOST_HEAD + 9): b"HTTP/1.1 400",
            b"CONNECT example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n": b"HTTP/1.1 400",
            b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n": b"HTTP/1.1 400",
        }.items():
            with socket.create_connection((host, int(port)), timeout=30) as client:
                client.sendall(sent)
                answer = b""
                while more := client.recv(4096):  # until the server closes the connection
                    answer += more
            assert answer.startswith(expected) and bool(answer) == bool(expected)


def test_keys(models: Models, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    key = new_key(file, "office")
    assert key not in file.read_text() and file.stat().st_mode & 0o77 == 0
    with running(models, keys=Keys(file)) as (url, _):
        missing = Answer(f"{url}/translate", ASKED)
        assert (missing.status, missing.json["error"][:14]) == (400, "Please contact")
        for address, body in (("translate", ASKED), ("api/translate", {"text": "Hund"}), ("detect", {"q": "Hund"})):
            wrong = Answer(f"{url}/{address}", {**body, "api_key": "x"})
            assert (wrong.status, wrong.json) == (403, {"error": "Invalid API key"})
        assert Answer(f"{url}/metrics").status == 400
        assert Answer(f"{url}/metrics", headers={"Authorization": f"Bearer {key}"}).status == 200
        assert Answer(f"{url}/translate", {**ASKED, "api_key": key}).status == 200
        assert Answer(f"{url}/frontend/settings").json["keyRequired"] is True
        another = new_key(file, "home")  # without a new start
        assert Answer(f"{url}/translate?api_key={another}", ASKED).status == 200
    file.write_text("office\n")
    with pytest.raises(UserError, match="line 1: must be a name and a SHA-256"):
        Keys(file)


def test_other_origins_only_if_they_are_named(models: Models) -> None:
    with running(models, origins=["https://example.org"]) as (url, _):
        for origin, allowed in (("https://example.org", "https://example.org"), ("https://example.com", None)):
            answer = Answer(f"{url}/translate", ASKED, {"Origin": origin})
            assert answer.headers["Access-Control-Allow-Origin"] == allowed


def test_numbers_for_prometheus(models: Models) -> None:
    with running(models) as (url, _):
        Answer(f"{url}/translate", ASKED)
        Answer(f"{url}/secret{GERMAN[0].split()[1]}")
        text = Answer(f"{url}/metrics").body.decode()
    assert 'nmt_requests_total{route="/translate",status="200"} 1.0' in text
    assert 'nmt_requests_total{route="/",status="404"} 1.0' in text
    assert f"nmt_characters_total {float(len(GERMAN[0]))}" in text
    assert "nmt_sentences 1.0" in text and "process_resident_memory_bytes" in text
    assert "Hund" not in text


def test_the_api_is_described(url: str) -> None:
    described = Answer(f"{url}/openapi.json").json
    for path, methods in described["paths"].items():
        assert Answer(f"{url}{path}", None if "get" in methods else {}).status in (200, 400)
    options = described["paths"]["/api/translate"]["post"]["requestBody"]["content"]["application/json"]["schema"][
        "properties"
    ]["options"]["properties"]
    assert options["beam_size"]["maximum"] == 20 and "batch_size" not in options
    assert "<code>beam_size</code>" in Answer(f"{url}/docs").body.decode()


# Starlette leaves the file of a form that breaks off to the garbage collector, which warns.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_wrong_bodies_get_an_error_of_the_client(url: str, caplog: pytest.LogCaptureFixture) -> None:
    draw, script = random.Random(1), load_script("load")
    for number in range(300):
        path, body, headers = script.hostile(draw)
        found = Answer(f"{url}{path}", body, headers)
        assert 200 <= found.status < 500, (number, path, body, headers, found.body)
        if found.status >= 400:
            assert list(found.json) == ["error"] and "Traceback" not in found.json["error"]
    assert caplog.records == []
    gc.collect()


def test_the_command_stops_when_it_is_asked_and_finishes_what_runs() -> None:
    command = [sys.executable, "-m", "nmt", "serve", "--port", "0", "--threads", "1"]
    text = "\n".join(GERMAN * 40)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            assert line.startswith("nmt serve: de-en, en-de, en-fr, fr-en on http://127.0.0.1:")
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


def test_the_command_stops_when_it_is_asked_before_it_listens() -> None:
    command = [sys.executable, "-m", "nmt", "serve", "--port", "0", "--threads", "1", "de-en"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            assert process.stderr.readline()
            process.terminate()
            assert process.wait(timeout=30) in (0, -signal.SIGTERM)
        finally:
            process.kill()


GROWTH = """
import threading
import numpy as np
from nmt.service.server import keep_memory_steady

def memory():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

def work():
    for size in (150_000, 200_000, 250_000):
        blocks = []
        for _ in range(60):
            blocks.append(np.ones(size))
            kept.append(bytes(2000))

keep_memory_steady()
kept, before = [], memory()
for _ in range(3):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
print(memory() - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library has no mallopt")
def test_freed_memory_is_returned() -> None:
    """Without `keep_memory_steady`, 200 MB stayed."""
    found = subprocess.run([sys.executable, "-c", GROWTH], check=True, capture_output=True, text=True)
    assert int(found.stdout) < 50e6


def test_the_service_imports_no_torch() -> None:
    code = "import sys, nmt.service.app, nmt.service.server; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_language_of_a_model_may_name_a_country() -> None:
    detector = Detector(["de-AT", "en"])
    assert detector.rank("Wo ist der Bahnhof?", ["de-AT", "en"])[0][0] == "de-AT"
    assert Detector(["xx", "yy"]).rank("Wo ist der Bahnhof?", ["xx", "yy"]) == [("xx", 0.0), ("yy", 0.0)]
