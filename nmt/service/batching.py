"""Translates the sentences of requests that arrive together in one batch.

One thread translates, round after round. Each round takes sentences of all waiting requests with the same model and
settings: each request gets the same share, so that a long text does not delay a short one, and a round ends after about
half a second, so that a request that arrives meanwhile waits no longer.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from nmt.config import DecodingConfig
from nmt.errors import UserError
from nmt.translation.switching import frequent_switches
from nmt.translation.translator import PreparedLine, Translation, Translator

ROUND_SECONDS = 0.5
"""Seconds that a round should take."""
MOST_PAUSE = 0.05
"""Maximum seconds to wait for further requests before a round; a fifth of the last round if that is less."""
MOST_GAP = 0.003
"""A round begins when no request has arrived for so many seconds, or for a tenth of the last round if that is less."""
FIRST_RATE = 5000.0
"""Characters per second that are assumed before the first round."""
SENTENCE_COST = 20
"""Cost of a sentence in addition to its characters: each has a search of its own."""
SHORT_LINE = 300
"""Cost of a line up to which a request always has a place in a round, within the size of a batch."""

Result = TypeVar("Result")
Found = list[list[Translation]]
"""Translations of some lines, for each of them the best first."""
log = logging.getLogger("nmt.service")


@dataclass(eq=False)
class Work:
    """Lines of a request that are translated by one model."""

    translator: Translator
    decoding: DecodingConfig
    n_best: int
    attention: bool
    lines: Sequence[PreparedLine]
    taken: int = 0
    """Number of lines that are translated or in the present round."""
    cancelled: bool = False
    answers: asyncio.Queue[Found | Exception] = field(default_factory=asyncio.Queue)

    def __post_init__(self) -> None:
        self.key: tuple[Any, ...] = id(self.translator), self.decoding, self.n_best, self.attention
        """Works with the same key may share a round."""

    def cost(self, line: PreparedLine) -> int:
        """An estimate of the time for a line, in characters."""
        return sum(len(sentence.text) + SENTENCE_COST for sentence in line.sentences)


class Batcher:
    """The thread that translates, and the requests that wait for it."""

    def __init__(self) -> None:
        self._waiting: deque[Work] = deque()
        self._arrival = threading.Condition()
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="translation", daemon=True)
        self._preparation = ThreadPoolExecutor(1, "preparation")
        self._last_round = 0.0
        self._last_requests = 0
        """Number of requests in the last round."""
        self.rate = FIRST_RATE
        """Characters per second, of the last rounds."""
        self.waiting_cost = 0
        """Cost of the lines that wait."""
        self.rounds = 0
        self.sentences = 0
        """Number of sentences, or texts with markup, translated so far."""

    def start(self) -> None:
        """Begin to translate; call it inside the event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def close(self) -> None:
        """End the thread after its round."""
        with self._arrival:
            self._closed = True
            self._arrival.notify()
        await asyncio.to_thread(self._thread.join)
        self._preparation.shutdown()

    async def beside(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """The result of a function that needs the processor, on one other thread, so that the service still answers.

        Only one thread prepares lines with phrases, because `Translator` keeps prepared phrases.
        """
        return await asyncio.get_running_loop().run_in_executor(self._preparation, function, *arguments)

    @property
    def waiting_seconds(self) -> float:
        """An estimate of how long a request that arrives now must wait."""
        return self.waiting_cost / self.rate

    async def translate(self, work: Work, seconds: float) -> AsyncIterator[Found]:
        """The translations of the lines, in parts and in order; a consumer that stops cancels the rest.

        Raises TimeoutError if they take more than some seconds.
        """
        end = asyncio.get_running_loop().time() + seconds
        with self._arrival:
            self._waiting.append(work)
            self.waiting_cost += sum(map(work.cost, work.lines))
            self._arrival.notify()
        missing = len(work.lines)
        try:
            while missing:
                async with asyncio.timeout_at(end):
                    found = await work.answers.get()
                if isinstance(found, Exception):
                    raise found
                missing -= len(found)
                yield found
        finally:
            work.cancelled = True

    def _run(self) -> None:
        while True:
            shares = self._next()
            if shares is None:
                return
            begin = time.monotonic()
            with frequent_switches():  # for the thread that answers requests
                answers = _translate_together(shares)
            self._last_round, self._last_requests = time.monotonic() - begin, len(shares)
            cost = sum(work.cost(line) for work, lines in shares for line in lines)
            self.rate += 0.3 * (cost / max(self._last_round, 1e-4) - self.rate) if cost else 0
            self.rounds += 1
            self.sentences += sum(len(lines) for _, lines in shares)
            assert self._loop is not None
            try:
                self._loop.call_soon_threadsafe(_deliver, answers)
            except RuntimeError:  # the loop is closed: nobody waits any more
                return

    def _next(self) -> list[tuple[Work, Sequence[PreparedLine]]] | None:
        """The lines of the next round, by request; None at the end."""
        with self._arrival:
            while not self._waiting and not self._closed:
                self._arrival.wait()
            if self._closed:
                return None
            self._pause()
            for work in [work for work in self._waiting if work.cancelled]:
                self._remove(work)
            if not self._waiting:
                return []
            first = self._waiting[0]
            together = [work for work in self._waiting if work.key == first.key]
            _, workers = first.translator.engine.side_by_side()
            most_lines = first.decoding.batch_sentences * workers
            shares = self._share(together, self.rate * ROUND_SECONDS, most_lines)
            for work, lines in shares:  # those that are not finished go to the end
                self._waiting.remove(work)
                self.waiting_cost -= sum(map(work.cost, lines))
                if work.taken < len(work.lines):
                    self._waiting.append(work)
            return shares

    def _pause(self) -> None:
        """Wait while requests keep arriving, as they do after a round, whose clients then send their next ones.

        A client that was alone in the last round is not kept waiting.
        """
        if self._last_requests < 2 and len(self._waiting) < 2:
            return
        end = time.monotonic() + min(MOST_PAUSE, self._last_round / 5)
        gap = min(MOST_GAP, self._last_round / 10)
        while self.waiting_cost < self.rate * ROUND_SECONDS and (left := end - time.monotonic()) > 0:
            if not self._arrival.wait(min(gap, left)):
                return

    def _remove(self, work: Work) -> None:
        self._waiting.remove(work)
        self.waiting_cost -= sum(map(work.cost, work.lines[work.taken :]))

    @staticmethod
    def _share(works: Sequence[Work], room: float, most_lines: int) -> list[tuple[Work, Sequence[PreparedLine]]]:
        """Lines of each work within the room: first a fair share for each, then what is left, in order of arrival.

        The first work gets at least one line, and so does each work whose next line is short, because another line
        makes a round little longer: on a slow machine, rounds within the room alone would be small and still slower.
        """
        before = {id(work): work.taken for work in works}
        total, count = 0.0, 0
        for share in (room / len(works), room):
            for work in works:
                own = 0
                while work.taken < len(work.lines) and count < most_lines:
                    cost = work.cost(work.lines[work.taken])
                    is_first = not own and work.taken == before[id(work)]
                    is_free = not count or (is_first and cost <= SHORT_LINE)
                    if not is_free and (total + cost > room or (own and own + cost > share)):
                        break
                    work.taken += 1
                    own += cost
                    total += cost
                    count += 1
        return [(work, work.lines[before[id(work)] : work.taken]) for work in works if work.taken > before[id(work)]]


def _translate_together(
    shares: Sequence[tuple[Work, Sequence[PreparedLine]]],
) -> list[tuple[Work, Found | Exception]]:
    """The translations of a round; if it fails, each request is translated alone, so that only one of them fails."""
    if not shares:
        return []
    work = shares[0][0]
    lines = [line for _, own in shares for line in own]
    cut: dict[int, str] = {}

    def warn(text: str) -> None:
        place = re.search(r"line (\d+) (.*)", text)
        if place:
            cut[int(place[1])] = f"the sentence {place[2]}"

    try:
        found = work.translator.translate_prepared(
            lines, work.decoding, work.n_best, attention_weights=work.attention, first=0, warn=warn
        )
    except Exception as error:
        if len(shares) > 1:
            return [answer for share in shares for answer in _translate_together([share])]
        if not isinstance(error, UserError):
            log.exception("a translation failed")
        return [(work, error)]
    for number, problem in cut.items():
        found[number] = [replace(one, problems=(*one.problems, problem)) for one in found[number]]
    places = iter(found)
    return [(work, [next(places) for _ in own]) for work, own in shares]


def _deliver(answers: Sequence[tuple[Work, Found | Exception]]) -> None:
    for work, found in answers:
        work.answers.put_nowait(found)
