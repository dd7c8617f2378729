"""The web page of `nmt serve` in Chromium, against a server that is really started."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("uvicorn", reason="the extra `serve` is not installed")
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
from playwright.sync_api import Browser, Locator, Page, expect  # noqa: E402

from nmt.inspection import gates, pages  # noqa: E402
from nmt.report import blocks  # noqa: E402

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: apt-get install chromium)"),
]

SECONDS = 60
"""Maximum time for anything that the page does, on a busy machine."""
GERMAN = "Ein Hund schläft auf dem Sofa. Wo ist der Bahnhof?"
HOSTILE = "<img src=x onerror=\"alert('hacked')\"><script>alert('hacked')</script>"


class Server:
    """A process of `nmt serve`."""

    def __init__(self, *options: str, port: int = 0) -> None:
        command = [sys.executable, "-m", "nmt", "serve", *options, "--port", str(port), "--no-access-log"]
        self.process = subprocess.Popen([*command, "--threads", "1"], stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
        assert found, line
        self.url, self.port = found[0], int(found[1])

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(SECONDS)
        assert self.process.stderr is not None
        self.process.stderr.close()

    def translate(self, text: str, **fields: Any) -> list[dict[str, Any]]:
        """The segments of a text, asked for without the page."""
        body = json.dumps({"text": text, "source": "de", "target": "en", "n_best": 5, "alignment": True, **fields})
        request = urllib.request.Request(f"{self.url}api/translate", body.encode())
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            found: list[dict[str, Any]] = json.load(answer)["translations"][0]["segments"]
        return found


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_api.sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium's sandbox does not work for root
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments, timeout=1000 * SECONDS)
        yield browser
        browser.close()


class Watched:
    """A page of its own, with everything that it asks for and complains about."""

    def __init__(self, browser: Browser, **options: Any) -> None:
        options.setdefault("viewport", {"width": 1200, "height": 800})
        self.context = browser.new_context(reduced_motion="reduce", **options)
        self.context.set_default_timeout(1000 * SECONDS)
        self.page = self.context.new_page()
        self.requests: list[Any] = []
        self.faults: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request))
        self.page.on("pageerror", lambda error: self.faults.append(f"{error}\n{error.stack}"))
        self.page.on("dialog", lambda dialog: (self.faults.append(dialog.message), dialog.dismiss()))
        self.page.on("console", self._hear)

    def _hear(self, message: Any) -> None:
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.faults.append(message.text)  # the policy about content reports what it has stopped here

    def open(self, url: str) -> Page:
        self.page.goto(url)
        expect(self.page.locator("#target-language option")).not_to_have_count(0)
        return self.page

    def sent(self) -> list[str]:
        """The texts that were sent for translation."""
        return [json.loads(one.post_data)["text"] for one in self.requests if one.url.endswith("/api/translate")]


@pytest.fixture(autouse=True, scope="module")
def patience() -> None:
    expect.set_options(timeout=1000 * SECONDS)


@pytest.fixture
def watched(server: Server, browser: Browser) -> Iterator[Watched]:
    """A page that loads nothing from elsewhere and has no faults, in every test."""
    watched = Watched(browser)
    yield watched
    watched.context.close()
    assert not watched.faults
    assert {one.url for one in watched.requests if not one.url.startswith(server.url)} == set()


@pytest.fixture
def page(watched: Watched, server: Server) -> Page:
    return watched.open(server.url)


def write(page: Page, text: str) -> Locator:
    """Write a text, and wait for its translation."""
    page.fill("#source", text)
    expect(page.locator("#mirror .sentence")).not_to_have_count(0)
    expect(page.locator("#result")).to_have_attribute("aria-busy", "false")
    return sentences(page)


def sentences(page: Page) -> Locator:
    return page.locator("#translation .sentence")


def shown(page: Page) -> str:
    """The translation, with one line for each paragraph."""
    lines = page.locator("#translation .line").evaluate_all("lines => lines.map(line => line.textContent)")
    return "\n".join(lines)


def marked(page: Page, where: str) -> list[str]:
    """The words that are marked in a pane."""
    return page.locator(f"{where} .match").all_text_contents()


def text_of(segments: list[dict[str, Any]]) -> str:
    return "".join(segment["space"] + segment["text"] for segment in segments)


def test_translates_while_one_types(page: Page, server: Server, watched: Watched) -> None:
    page.keyboard.type(GERMAN)  # the field has the focus from the beginning
    expect(sentences(page)).to_have_count(2)
    segments = server.translate(GERMAN)
    expect(page.locator("#translation")).to_have_text(text_of(segments))
    expect(page.locator("#source-language option:checked")).to_have_text("German (detected)")
    expect(page.locator("#announcement")).to_have_text(text_of(segments))  # what a screen reader says
    assert page.locator("#translation").get_attribute("lang") == "en"
    # a line that has been translated is not sent again
    before = len(watched.sent())
    page.keyboard.type("\nGuten Morgen!")
    expect(sentences(page)).to_have_count(3)
    assert shown(page) == f"{text_of(segments)}\n{text_of(server.translate('Guten Morgen!'))}"
    assert set("".join(watched.sent()[before:])) <= set("\nGuten Morgen!")
    page.click("#clear")
    expect(page.locator("#placeholder")).to_be_visible()
    expect(page.locator("#source")).to_be_focused()
    assert shown(page) == ""


def test_an_older_answer_never_replaces_a_newer_one(page: Page, server: Server) -> None:
    held = []

    def hold(route: Any) -> None:
        if "Hund" in route.request.post_data and not held:
            held.append(route)
        else:
            route.continue_()

    page.route("**/api/translate", hold)
    page.fill("#source", "Ein Hund schläft.")
    with page.expect_event("requestfailed") as failed:  # the page ends it as soon as the text has changed
        expect(page.locator("#result")).to_have_attribute("aria-busy", "true")
        while not held:
            page.wait_for_timeout(50)
        page.fill("#source", "Guten Morgen!")
    assert "Hund" in str(failed.value.post_data)
    expect(page.locator("#translation")).to_have_text(text_of(server.translate("Guten Morgen!")))
    held[0].fulfill(status=400, json={"error": "an answer to the older request"})
    page.wait_for_timeout(200)
    expect(page.locator("#translation")).to_have_text(text_of(server.translate("Guten Morgen!")))
    expect(page.locator("#message")).to_be_hidden()


def test_languages_are_detected_and_switched(page: Page, server: Server) -> None:
    write(page, GERMAN)
    english = text_of(server.translate(GERMAN))
    page.keyboard.press("Alt+x")
    expect(page.locator("#source")).to_have_value(english)
    back = text_of(server.translate(english, source="en", target="de"))
    expect(page.locator("#translation")).to_have_text(back)
    assert page.input_value("#source-language") == "en"
    assert page.input_value("#target-language") == "de"
    # the languages are remembered
    page.reload()
    expect(page.locator("#target-language")).to_have_value("de")
    # the detected language is the target language: the page translates into another one, and says so
    page.select_option("#source-language", "auto")
    write(page, GERMAN)
    assert page.input_value("#target-language") == "en"
    expect(page.locator("#hint")).to_have_text("The text is in German, so it is translated into English.")
    # but it does not change what somebody has just chosen
    page.select_option("#target-language", "de")
    expect(page.locator("#hint")).to_have_text("The text seems to be in German already.")
    assert page.input_value("#target-language") == "de"


def test_another_translation_of_a_sentence(page: Page, server: Server) -> None:
    segments = server.translate(GERMAN)
    write(page, GERMAN).nth(1).click()
    items = page.locator("#alternatives [role=menuitemradio]")
    assert items.all_text_contents() == [one["text"] for one in segments[1]["n_best"]]
    expect(items.first).to_have_attribute("aria-checked", "true")
    other = segments[1]["n_best"][2]["text"]
    items.nth(2).click()
    whole = segments[0]["text"] + segments[1]["space"] + other
    expect(page.locator("#translation")).to_have_text(whole)
    expect(sentences(page).nth(1)).to_be_focused()
    # with the keyboard, from the second sentence to the first
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    whole = segments[0]["n_best"][1]["text"] + segments[1]["space"] + other
    expect(page.locator("#translation")).to_have_text(whole)
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    expect(page.locator("#alternatives")).to_be_hidden()
    expect(sentences(page).first).to_be_focused()
    # the copy has the choices, and they last when the line goes on
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.keyboard.press("Alt+c")
    expect(page.locator("#copy")).to_have_text(re.compile("Copied"))
    assert page.evaluate("navigator.clipboard.readText()") == whole
    page.keyboard.press("Escape")
    page.keyboard.press("Control+End")
    page.keyboard.type(" Guten Morgen!")
    expect(sentences(page)).to_have_count(3)
    expect(page.locator("#translation")).to_contain_text(whole)


def test_words_that_belong_together_are_marked(page: Page, server: Server) -> None:
    first, second = server.translate(GERMAN)
    write(page, GERMAN)

    def sources(segment: dict[str, Any], word: int) -> list[str]:
        return [segment["source"].split()[source] for source, target in segment["alignment"] if target == word]

    page.locator("#translation .word", has_text="sleeping").hover()
    word = first["text"].split().index("sleeping")
    assert marked(page, "#mirror") == sources(first, word)
    assert page.locator("#mirror .same").all_text_contents() == [first["source"]]
    # from the source: the textarea lies over the words of its mirror
    box = page.locator("#mirror .word", has_text="Bahnhof").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    source = second["source"].split().index("Bahnhof?")
    words = second["text"].split()
    assert marked(page, "#translation") == [words[target] for one, target in second["alignment"] if one == source]
    # with the keyboard, which also tells it
    page.keyboard.press("Alt+t")
    expect(sentences(page).first).to_be_focused()
    for number in range(1, len(first["text"].split())):
        page.keyboard.press("ArrowRight")
        assert marked(page, "#mirror") == sources(first, number)
        together = [first["text"].split()[number], *sources(first, number)]
        expect(page.locator("#announcement")).to_have_text(", ".join(together))
    page.keyboard.press("ArrowRight")
    expect(sentences(page).nth(1)).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#source")).to_be_focused()
    page.keyboard.press("Control+Home")
    assert marked(page, "#mirror") == ["Ein"]


def test_doubtful_sentences_are_underlined_and_said(page: Page, server: Server) -> None:
    text = (
        "Ein Hund schläft auf dem Sofa.\nBlumento quux zapp Rhabarberbarbara.\nGing der je obwohl zum vom Xylo krompf."
    )
    segments = server.translate(text)
    doubtful = [one["confidence"] < 0.5 for one in segments]
    assert set(doubtful) == {True, False}
    found = write(page, text)
    for number, expected in enumerate(doubtful):
        described = found.nth(number).get_attribute("aria-describedby")
        assert (described == "doubtful") is expected
        line = found.nth(number).evaluate("one => getComputedStyle(one).textDecorationLine")
        assert (line == "underline") is expected
    expect(page.locator("#doubtful")).to_be_visible()
    write(page, "Ein Hund schläft auf dem Sofa.")
    expect(page.locator("#doubtful")).to_be_hidden()


def test_glossary(page: Page, server: Server) -> None:
    glossary = {"Sofa": "chesterfield", "Bahnhof": "railhead"}
    write(page, GERMAN)
    page.click("#glossary summary")
    page.click("#add-term")
    page.keyboard.type("Sofa")
    page.keyboard.press("Tab")
    page.keyboard.type("chesterfield")
    expect(page.locator("#translation")).to_contain_text("chesterfield")
    # two columns of a table
    page.keyboard.press("Enter")
    page.evaluate(
        """() => {
            const clipboardData = new DataTransfer();
            clipboardData.setData("text/plain", "Bahnhof\\trailhead\\n");
            document.activeElement.dispatchEvent(
                new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
        }"""
    )
    expect(page.locator("#translation")).to_have_text(text_of(server.translate(GERMAN, glossary=glossary)))
    # it is for this direction, and lasts
    page.select_option("#source-language", "en")
    expect(page.locator("#target-language")).to_have_value("de")
    expect(page.locator("#terms li")).to_have_count(0)
    page.reload()
    page.select_option("#source-language", "de")
    expect(page.locator("#terms li")).to_have_count(2)
    write(page, GERMAN)
    expect(page.locator("#translation")).to_have_text(text_of(server.translate(GERMAN, glossary=glossary)))
    # it is also for files
    page.set_input_files("#file", {"name": "a.txt", "mimeType": "text/plain", "buffer": GERMAN.encode()})
    with page.expect_download() as download:
        page.locator("#files a").click()
    assert Path(download.value.path()).read_text("utf-8") == text_of(
        server.translate(GERMAN, glossary=glossary, n_best=1)
    )
    page.click("#glossary summary")
    for _ in range(2):
        page.locator("#terms li button").first.click()
    expect(page.locator("#translation")).to_have_text(text_of(server.translate(GERMAN)))


def test_history_is_kept_in_the_browser_only(page: Page, server: Server, watched: Watched) -> None:
    entries = page.locator("#entries li")
    for text in ("Guten Morgen!", "Guten Morgen! Wo ist der Bahnhof?"):  # one text that grows is one entry
        write(page, text)
        expect(entries).to_have_count(1)
    page.click("#clear")
    write(page, "Ein Hund schläft.")
    expect(entries).to_have_count(2)
    page.reload()
    expect(entries).to_have_count(2)
    page.click("#history summary")
    entries.nth(1).locator("button").click()
    expect(page.locator("#source")).to_have_value("Guten Morgen! Wo ist der Bahnhof?")
    expect(sentences(page)).to_have_count(2)
    page.click("#clear-history")
    expect(entries).to_have_count(0)
    page.uncheck("#keep-history")
    page.click("#clear")
    write(page, "Ein Hund schläft.")
    page.click("#clear")  # an entry is written at the latest now
    assert page.evaluate("localStorage.getItem('nmt.history')") == "[]"
    assert not watched.context.cookies()


def test_nothing_that_a_user_writes_becomes_markup(page: Page, server: Server, watched: Watched) -> None:
    page.evaluate(
        """hostile => {
            localStorage.setItem("nmt.glossary", JSON.stringify({ "de-en": [[hostile, hostile], "odd", [1, 2]] }));
            const entry = { source: hostile, target: hostile, text: hostile, translation: hostile };
            localStorage.setItem("nmt.history", JSON.stringify([entry, null, { text: 3 }]));
            localStorage.setItem("nmt.source", "{broken");
        }""",
        HOSTILE,
    )

    def rename(route: Any) -> None:
        languages = route.fetch().json()
        route.fulfill(json=[{**one, "name": one["name"] + HOSTILE} for one in languages])

    page.route("**/languages", rename)
    page.reload()
    expect(page.locator("#target-language option").first).to_have_text(f"English{HOSTILE}")
    for name in ("glossary", "history"):
        page.click(f"#{name} summary")
    expect(page.locator("#terms input")).to_have_count(2)
    expect(page.locator("#entries li")).to_have_count(1)
    write(page, f"Guten Morgen! {HOSTILE}\n{HOSTILE}")
    sentences(page).last.click()
    page.keyboard.press("Escape")
    page.locator("#entries button").last.click()
    assert page.locator("img").count() == 1  # the icon
    assert page.locator("script").count() == 1
    # even if it did, the browser would not run it
    page.evaluate("hostile => { document.getElementById('hint').innerHTML = hostile }", HOSTILE)
    page.wait_for_timeout(200)
    assert all("Content Security Policy" in fault for fault in watched.faults)
    watched.faults.clear()


def test_files_are_chosen_or_dropped_and_downloaded(page: Page, server: Server) -> None:
    items = page.locator("#files li")
    name = f"{HOSTILE.replace('/', '')}.txt"
    with page.expect_file_chooser() as chooser:
        page.locator("#open").click()
    text = "Ein Hund schläft.\n\nWo ist der Bahnhof?\n"
    chooser.value.set_files({"name": name, "mimeType": "text/plain", "buffer": text.encode()})
    expect(items).to_contain_text(["translated"])
    expect(items.first).to_contain_text(name)
    with page.expect_download() as download:
        items.first.locator("a").click()
    translated = "\n".join(text_of(server.translate(line)) if line else "" for line in text.split("\n"))
    assert Path(download.value.path()).read_text("utf-8") == translated
    assert items.first.locator("a").get_attribute("download") == name.replace(".txt", ".en.txt")
    # two are dropped; the service does not know the second one
    page.evaluate(
        """() => {
            const dataTransfer = new DataTransfer();
            for (const [name, text] of [["a.txt", "Guten Morgen!"], ["b.exe", "MZ"]])
                dataTransfer.items.add(new File([text], name));
            for (const type of ["dragover", "drop"])
                document.body.dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
        }"""
    )
    expect(items).to_have_count(3)
    expect(items.nth(1)).to_contain_text("translated")
    expect(items.nth(2)).to_contain_text("exe")
    expect(items.nth(2).locator("progress, a")).to_have_count(0)
    expect(page.locator("#drop")).to_be_hidden()
    for _ in range(3):
        items.first.locator("button").click()
    expect(items).to_have_count(0)


def test_errors_are_said_in_plain_english(page: Page, server: Server) -> None:
    message = page.locator("#message")
    write(page, "Guten Morgen!")
    page.fill("#source", "Guten Morgen!\n" * 1500)
    expect(message).to_have_text("The text is too long: this service takes 20,000 characters at a time.")
    expect(message).to_be_in_viewport()
    expect(page.locator("#translation .line")).to_have_class("line old")  # it is not the translation of this text
    page.click("#clear")
    expect(message).to_be_hidden()
    # the service is busy: the page tries again by itself
    busy = {"status": 429, "headers": {"Retry-After": "1"}, "json": {"error": "Slowdown: too many requests"}}
    page.route("**/api/translate", lambda route: route.fulfill(**busy), times=1)
    page.fill("#source", "Guten Abend!")
    expect(message).to_have_text("The service is busy. The page tries again in 1 s.")
    expect(page.locator("#translation")).to_have_text(text_of(server.translate("Guten Abend!")))
    expect(message).to_be_hidden()
    # the answer breaks off
    page.route("**/api/translate", lambda route: route.fulfill(body="event: languages\ndata: {}\n\neve"), times=1)
    page.fill("#source", "Ein Hund schläft.")
    expect(message).to_contain_text("cannot be reached")
    expect(page.locator("#translation")).to_have_text(text_of(server.translate("Ein Hund schläft.")))
    failed = {"status": 500, "json": {"error": "Cannot translate text: the server's log says why"}}
    page.route("**/api/translate", lambda route: route.fulfill(**failed), times=1)
    page.fill("#source", "Wo ist der Bahnhof?")
    expect(message).to_have_text("The service could not translate this.")


def test_the_service_goes_away_and_comes_back_with_a_key(browser: Browser, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    made = subprocess.run(
        [sys.executable, "-m", "nmt", "serve", "--keys", keys, "--new-key", "me"], capture_output=True, check=True
    )
    server = Server("de-en")
    watched = Watched(browser)
    page = watched.open(server.url)
    write(page, "Guten Morgen!")
    server.stop()
    page.fill("#source", "Ein Hund schläft.")
    expect(page.locator("#message")).to_contain_text("The translation service cannot be reached.")
    expect(page.locator("#source")).to_have_value("Ein Hund schläft.")
    server = Server("de-en", "--keys", str(keys), port=server.port)
    expect(page.locator("#message")).to_have_text("This service needs an API key.")
    for key, answer in (("wrong", "This API key is not valid."), (made.stdout.decode().strip(), "")):
        page.fill("#key", key)
        page.keyboard.press("Enter")
        expect(page.locator("#message")).to_have_text(answer)
    expect(page.locator("#key-form")).to_be_hidden()
    expect(sentences(page)).to_have_count(1)
    page.reload()
    expect(page.locator("#target-language option")).to_have_count(1)
    write(page, "Guten Morgen!")
    server.stop()
    watched.context.close()
    assert not watched.faults


def test_right_to_left_and_the_mirror(page: Page) -> None:
    """Each paragraph has its own direction, and each word of the mirror lies behind the same word of the text."""
    text = "مرحبا بالعالم\nEin Hund schläft auf dem Sofa und träumt von einem großen Knochen im Garten.\n\n  Ja!\n"
    write(page, text)
    sizes = page.evaluate(
        """() => ["source", "mirror"].map((id) => {
            const box = document.getElementById(id);
            return [box.scrollHeight, box.clientWidth, getComputedStyle(box).direction];
        })"""
    )
    assert sizes[0] == sizes[1]
    assert sizes[0][2] == "rtl"
    lines = page.locator("#translation .line")
    expect(lines).to_have_count(5)
    assert lines.nth(1).evaluate("line => getComputedStyle(line).direction") == "ltr"
    box = page.locator("#mirror .word", has_text="Knochen").bounding_box()
    assert box
    page.mouse.dblclick(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert page.evaluate("getSelection().toString()").strip() == "Knochen"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessibility(server: Server, browser: Browser, scheme: str) -> None:
    watched = Watched(browser, color_scheme=scheme)
    page = watched.open(server.url)
    problems = axe.Axe().run(page)
    assert not problems.violations_count, problems.generate_report()
    write(page, f"{GERMAN} Blumento Pferde quux zapp Rhabarberbarbara ging.")
    for name in ("glossary", "history", "shortcuts"):
        page.click(f"#{name} summary")
    page.click("#add-term")
    expect(page.locator("#entries li")).to_have_count(1)
    page.locator("#translation .word").first.hover()
    for problems in (axe.Axe().run(page),):
        assert not problems.violations_count, problems.generate_report()
    sentences(page).first.click()
    page.evaluate("document.getElementById('key-form').hidden = false")
    problems = axe.Axe().run(page)
    assert not problems.violations_count, problems.generate_report()
    watched.context.close()
    assert not watched.faults


def test_a_phone_shows_everything_without_scrolling_aside(server: Server, browser: Browser) -> None:
    watched = Watched(browser, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    page = watched.open(server.url)
    write(page, f"{GERMAN} {'Donaudampfschifffahrtsgesellschaft' * 3}")
    for name in ("glossary", "history", "shortcuts"):
        page.tap(f"#{name} summary")
    page.tap("#add-term")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    sentences(page).first.tap()
    box = page.locator("#alternatives").bounding_box()
    assert box
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 360
    small = page.locator("button:visible, select:visible, summary:visible").evaluate_all(
        "all => all.filter(one => one.offsetHeight < 40 || one.offsetWidth < 40).map(one => one.outerHTML)"
    )
    assert not small  # large enough for a finger
    watched.context.close()
    assert not watched.faults


def test_the_coloured_text_of_gates_needs_no_pointer(browser: Browser, tmp_path: Path) -> None:
    values = np.array([[0.5, -1.0], [0.25, 0.0]], np.float32)
    reading = gates.Reading(Any, [" long", " words"], np.array([0, 0]), values, {})  # type: ignore[arg-type]
    text = blocks.section("The text", blocks.Figure(gates.colored_text(reading, 0, [])))
    wide = blocks.section("A table", pages.table(["word" * 9] * 9, [["word" * 9] * 9]))
    inspection = pages.Inspection("gates", "Gates", [], lambda: Any, {}, sections=[text, wide])  # type: ignore[arg-type]
    (tmp_path / "gates.html").write_text(pages.page(inspection, "<svg></svg>"), encoding="utf-8")
    watched = Watched(browser, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    watched.page.goto((tmp_path / "gates.html").as_uri())
    problems = axe.Axe().run(watched.page)
    assert not problems.violations_count, problems.generate_report()
    value = watched.page.locator("#value")
    watched.page.tap("#colored span >> nth=1")
    expect(value).to_have_text("unit 0 at words: +0.25")
    watched.page.tap("[data-step='1']")
    expect(value).to_have_text("unit 1 at words: 0.00")
    watched.page.tap("#colored span >> nth=0")
    expect(value).to_have_text("unit 1 at long: -1.00")
    watched.page.tap("[data-step='1']")  # after the last unit comes the first one
    expect(value).to_have_text("unit 0 at long: +0.50")
    assert watched.page.evaluate("document.documentElement.scrollWidth") == 360
    assert watched.faults == []
    watched.context.close()
