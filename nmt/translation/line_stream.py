"""The line-by-line input and output of the commands `translate` and `nmt score`.

Each line of input has one line of output, for any bytes in the input and any pieces from the model. Input is read in
windows, so that memory does not depend on its length.
"""

from __future__ import annotations

import json as json_format
import re
import select
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NamedTuple

from nmt.config import DecodingConfig
from nmt.errors import UserError, needs_attention
from nmt.text.glossary import Glossary
from nmt.translation.translator import (
    CANNOT_COPY,
    PreparedLine,
    SourceLine,
    Translation,
    Translator,
    candidates,
    with_common,
)

WINDOW_BATCHES = 64
"""Maximum number of batches of lines to read ahead, so that sentences of similar length share a batch."""
WINDOW_BYTES = 1 << 22
"""Maximum bytes of a window, so that long lines do not need more memory."""
LONGEST_LINE = 1 << 20
"""Maximum bytes of a line; the rest of a longer one is skipped, because it may be a decompression bomb."""
BLOCK = 1 << 16
"""Maximum bytes of one read."""
SHOWN = 200
"""Maximum number of characters of a translation in a warning."""
PATIENCE = 0.002
"""Seconds to wait for more input before the lines so far are translated: a program needs moments to fill a pipe."""


_ESCAPED = r"[\x7f-\x9f\u2028\u2029\ud800-\udfff]"


def json_line(record: dict[str, Any]) -> str:
    """A record as one line of JSON, with its line end.

    json itself escapes only control characters below U+0020, but many programs end a line at some others as well.
    """
    text = json_format.dumps(record, ensure_ascii=False)
    return re.sub(_ESCAPED, lambda found: json_format.dumps(found[0])[1:-1], text) + "\n"


def pharaoh(alignment: Sequence[tuple[int, int]]) -> str:
    """An alignment as text: `0-0 1-2`, source word, target word."""
    return " ".join(f"{source}-{target}" for source, target in alignment)


def finite(number: float) -> float | None:
    """A number for JSON, which has no infinity: None."""
    return number if number > float("-inf") else None


class LineOptions(NamedTuple):
    """The options of `translate_stream` that are not search settings."""

    n_best: int | None = None
    """Write up to this many lines for each line of input, and at least one: line number (from 1), rank (from 1), score
    and text, separated by tabs. A blank line has one, with score 0 and no text."""
    json: bool = False
    """An object for each line of input: `line`, `text`, `score`, `tokens`, `log_prob`, `token_log_probs`, `finished`,
    `confidence`; on request `alignment`, `source_tokens` and `attention_weights`; `problems` if a request is not met;
    and with `n_best` the list `n_best` of the same."""
    json_input: bool = False
    """Each line of input is an object: `text`, and optionally `prefix`, `required`, `forbidden`, `keep`, `glossary`,
    `markup` (`SourceLine`), and `id`, which `json` repeats. Any other line raises UserError with its number, after
    the lines before it are written."""
    alignments: bool = False
    """The alignment follows each translation, after a tab."""
    attention_weights: bool = False
    """The attention weights are in the JSON objects; only there."""
    prefix: str = ""
    required: Sequence[str] = ()
    """Of every line, in addition to the line's own."""
    forbidden: Sequence[str] = ()
    """Of every line, in addition to the line's own."""
    keep: Sequence[str] = ()
    """Of every line, in addition to the line's own."""
    glossary: Glossary | None = None
    """Of every line, in addition to the line's own."""
    markup: str = ""
    """`html` or `xml` if the lines have tags."""
    strict: bool = False
    """Raise UserError after all lines are written, if a request was not met."""
    split_sentences: bool | None = None
    """Whether the sentences of a line are translated one by one. It applies to all lines, so that the translation of a
    sentence does not depend on its neighbours. None: the same as in `Translator.translate`."""
    max_length: int | None = None
    """Maximum number of source pieces of a sentence; the rest of a longer one is not translated, with a warning. None:
    the maximum in the training of the model."""
    warn_below: float | None = None
    """Warn of each line whose translation has a lower confidence."""


def _output(options: LineOptions, number: int, translations: Sequence[Translation], extra: dict[str, Any]) -> str:
    """The output for a line of input, with its line ends."""
    if options.json:
        record = {"line": number, **extra, **_record(options, translations[0])}
        if options.n_best is not None:
            record["n_best"] = [_record(options, translation) for translation in translations]
        return json_line(record)
    texts = [one.text + ("\t" + pharaoh(one.alignment or []) if options.alignments else "") for one in translations]
    if options.n_best is None:
        return texts[0] + "\n"
    return "".join(
        f"{number}\t{rank}\t{translation.score:.6f}\t{text}\n"
        for rank, (translation, text) in enumerate(zip(translations, texts, strict=True), 1)
    )


def _record(options: LineOptions, translation: Translation) -> dict[str, Any]:
    record: dict[str, Any] = {
        "text": translation.text,
        "score": finite(translation.score),
        "tokens": translation.tokens,
        "log_prob": finite(translation.log_prob),
        "token_log_probs": [finite(log_prob) for log_prob in translation.token_log_probs],
        "finished": translation.finished,
        "confidence": None if translation.confidence is None else round(translation.confidence, 4),
    }
    if options.alignments:
        record["alignment"] = pharaoh(translation.alignment or [])
    if options.attention_weights:
        weights = translation.attention_weights
        record["source_tokens"] = translation.source_tokens
        record["attention_weights"] = None if weights is None else [
            [round(weight, 6) for weight in row] for row in weights.tolist()
        ]  # fmt: skip
    if translation.problems:
        record["problems"] = list(translation.problems)
    if translation.corrected:
        record["corrected"] = dict(translation.corrected)
    return record


OPTIONS = frozenset(LineOptions._fields)


def translate_stream(
    translator: Translator,
    source: BinaryIO | LineReader,
    output: BinaryIO,
    *,
    warn: Callable[[str], None],
    progress: Callable[[int], None] | None = None,
    first: int = 1,
    **options: Any,
) -> None:
    """Translate a file, a pipe or what a person types, line by line.

    Only LF ends a line. Line N of the output translates line N of the input; a blank line stays blank. If no more input
    waits, the lines so far are translated at once; otherwise lines are read ahead, so that sentences of similar length
    can be translated together. Invalid UTF-8 is replaced by U+FFFD, and one warning at the end counts the lines. A byte
    order mark at the very beginning is skipped. The function returns when nobody reads the output any more.

        warn: takes each warning, without a line end
        progress: is called with the number of written lines after each window
        first: number of the first line
        options: fields of `LineOptions` and of `nmt.config.DecodingConfig`
    """
    lines = LineOptions(**{name: value for name, value in options.items() if name in OPTIONS})
    overrides = {name: value for name, value in options.items() if name not in OPTIONS}
    task = _Task(translator, translator.decoding_with(**overrides), lines, warn, first)
    task.check()  # a mistake in the settings must be found before anything is read
    size = task.decoding.batch_sentences
    reader = source if isinstance(source, LineReader) else LineReader(source)
    try:
        while window := reader.window(size):
            for number in reader.too_long:
                warn(f"line {first + number} is longer than {LONGEST_LINE:,} bytes; the rest of it is left out")
            text, mistake = task.answer(window, first)
            output.write(text.encode("utf-8"))
            output.flush()
            if mistake is not None:
                raise mistake
            first += len(window)
            if progress is not None:
                progress(first - 1)
            size = min(2 * size, WINDOW_BATCHES * task.decoding.batch_sentences)
    except BrokenPipeError:
        with suppress(OSError):  # closing tries to write the rest, which would otherwise be tried again at exit
            output.close()
    if task.invalid:
        lines_held = "1 line held" if task.invalid == 1 else f"{task.invalid} lines held"
        warn(f"{lines_held} invalid UTF-8, replaced by U+FFFD; the first is line {task.first_invalid}")
    task.end()


def shard_of_lines(source: BinaryIO, number: int, count: int) -> tuple[int, int]:
    """The first line of a shard of a text and the line after its last one, from 0; all shards have equally many lines.

    number: number of the shard, from 1 to `count`
    """
    lines, end = 0, b"\n"
    while data := source.read(WINDOW_BYTES):
        lines, end = lines + data.count(b"\n"), data[-1:]
    lines += end != b"\n"
    return (number - 1) * lines // count, number * lines // count


class LineReader:
    """The lines of a stream in windows.

    first, end: only the lines from `first` to before `end` are read, counted from 0
    """

    def __init__(self, source: BinaryIO, first: int = 0, end: int | None = None) -> None:
        self._source = source
        self.first = first
        self._left = sys.maxsize if end is None else end
        """Number of lines that may still be read."""
        self._lines: deque[bytes] = deque()
        self._rest = bytearray()
        """The beginning of a line whose end is not read yet."""
        self._skipping = False
        """Whether the rest of a line that is too long is being passed over."""
        self._cut: set[int] = set()
        self._read = 0
        """Complete lines read so far."""
        self._given = 0
        self.too_long: list[int] = []
        """Indices, in the last window, of lines that were cut."""
        while first > 0:
            first -= len(self.window(first)) or first

    def window(self, size: int) -> list[bytes]:
        """The next `size` lines without line ends, or fewer if no more input waits or the lines are long."""
        lines: list[bytes] = []
        total = 0
        size = min(size, self._left)
        while len(lines) < size and total < WINDOW_BYTES:
            if self._lines:
                lines.append(self._lines.popleft())
                total += len(lines[-1]) + 1
            elif (lines and not _more_waits(self._source)) or not self._fill():
                break
        self.too_long = [number - self._given for number in sorted(self._cut) if number < self._given + len(lines)]
        self._cut -= {self._given + number for number in self.too_long}
        self._given += len(lines)
        self._left -= len(lines)
        return lines

    def _fill(self) -> bool:
        """Read what the stream has; False at its end, when no line is left."""
        data = self._source.read1(BLOCK)  # type: ignore[attr-defined]  # every buffered stream has it
        if not data:
            if not self._rest and not self._skipping:
                return False
            self._end_line()
            return True
        *ended, rest = data.split(b"\n")
        for part in ended:
            self._add(part)
            self._end_line()
        self._add(rest)
        return True

    def _add(self, part: bytes) -> None:
        if self._skipping:
            return
        self._rest += part
        if len(self._rest) > LONGEST_LINE:
            del self._rest[LONGEST_LINE:]
            self._skipping = True
            self._cut.add(self._read)

    def _end_line(self) -> None:
        self._lines.append(bytes(self._rest))
        self._rest.clear()
        self._skipping = False
        self._read += 1


def _more_waits(source: BinaryIO) -> bool:
    """Whether a stream can be read without waiting, as a file always can."""
    try:
        return bool(select.select([source.fileno()], [], [], PATIENCE)[0])
    except (OSError, ValueError):  # the stream is no file, or on Windows it is no socket
        return True


class _Line(NamedTuple):
    """A line of input, and the fields that its output repeats."""

    prepared: PreparedLine
    extra: dict[str, Any]


@dataclass
class _Task:
    """The state of `translate_stream`."""

    translator: Translator
    decoding: DecodingConfig
    options: LineOptions
    warn: Callable[[str], None]
    first: int = 1
    """Number of the first line."""
    invalid: int = 0
    """Lines with invalid UTF-8."""
    first_invalid: int = 0
    unmet: list[str] = field(default_factory=list)
    """Requests that are not met; the first of each line."""

    def __post_init__(self) -> None:
        options = self.options
        self.n_best = 1 if options.n_best is None else options.n_best
        self.split = False if options.attention_weights and not options.split_sentences else options.split_sentences

    def check(self) -> None:
        """Raises UserError when settings or phrases are wrong."""
        options = self.options
        if options.attention_weights and not options.json:
            raise UserError("attention weights are written as JSON only; add `json`")
        if options.max_length is not None and options.max_length < 1:
            raise UserError(f"`max_length` must be at least 1, but is {options.max_length} instead")
        if options.split_sentences and options.attention_weights:
            raise UserError("attention weights are those of whole lines; leave out `split_sentences`")
        if options.warn_below is not None:
            if not 0 <= options.warn_below <= 1:
                raise UserError(f"`warn_below` must be from 0 to 1, but is {options.warn_below:g} instead")
            if self.translator.confidence is None:
                raise UserError(
                    "`warn_below` needs a single model whose confidence is calibrated: run `nmt evaluate MODEL "
                    "--calibrate --source FILE --reference FILE` once, with at least a hundred lines and translations"
                )
        candidates(self.decoding, self.n_best)
        self.line("", {})
        if self.decoding.minimum_bayes_risk != "none":
            from nmt.search.reranking import make_utility

            make_utility(self.decoding.minimum_bayes_risk, self.translator.target_language)
        wanted = {
            "alignments and attention weights need": options.alignments or options.attention_weights,
            "markup needs": bool(options.markup),
            "`replace_unknown` needs": self.decoding.replace_unknown,
            "`coverage_penalty` needs": self.decoding.coverage_penalty > 0,
        }
        what = next((what for what, is_wanted in wanted.items() if is_wanted), None)
        if what is not None and not self.translator.has_attention:
            raise needs_attention(what, "; leave it out")

    def answer(self, window: Sequence[bytes], first: int) -> tuple[str, UserError | None]:
        """The output for a window that begins with line `first`, up to an invalid line, and the error of that line."""
        lines, mistake = self.parse(window, first)
        found = self.translator.translate_prepared(
            [line.prepared for line in lines],
            self.decoding,
            self.n_best,
            attention_weights=self.options.alignments or self.options.attention_weights,
            max_length=self.options.max_length,
            first=first,
            warn=self.warn,
        )
        for number, (best, *_) in enumerate(found, first):
            if self.options.warn_below is not None and (best.confidence or 0) < self.options.warn_below:
                text = best.text if len(best.text) <= SHOWN else f"{best.text[:SHOWN]}..."
                self.warn(f'line {number}: confidence {best.confidence:.2f}: "{text}"')
        if first == self.first and self.options.glossary is not None:
            self.report("", self.options.glossary.problems)
        written = []
        for number, (translations, line) in enumerate(zip(found, lines, strict=True), first):
            self.report(f"line {number}: ", translations[0].problems)
            written.append(_output(self.options, number, translations, line.extra))
        return "".join(written), mistake

    def report(self, where: str, problems: Sequence[str]) -> None:
        """Warn of requests that are not met; that a model cannot copy at all is reported once."""
        for problem in problems:
            if problem != CANNOT_COPY or not any(CANNOT_COPY in said for said in self.unmet):
                self.warn(where + problem)
        self.unmet += [where + problem for problem in problems[:1]]

    def end(self) -> None:
        """Raises UserError if `strict` is set and a request was not met."""
        if self.options.strict and self.unmet:
            more = f" ({len(self.unmet) - 1} more)" if len(self.unmet) > 1 else ""
            raise UserError(f"what is asked of the translation is not met: {self.unmet[0]}{more}")

    def parse(self, window: Sequence[bytes], first: int) -> tuple[list[_Line], UserError | None]:
        """The lines of a window that begins with line `first`, up to an invalid one, and the error of that one."""
        lines = []
        for number, content in enumerate(window, first):
            text = self.decode(content, number)
            try:
                line = self.line("", _read_object(text)) if self.options.json_input else self.line(text, {})
                lines.append(line)
            except UserError as error:
                return lines, UserError(f"line {number}: {error}")
        return lines, None

    def decode(self, content: bytes, number: int) -> str:
        """The text of a line, without a byte order mark; counts those with invalid UTF-8."""
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            text = content.decode("utf-8", errors="replace")
            self.invalid += 1
            self.first_invalid = self.first_invalid or number
        return text.removeprefix("\ufeff") if number == 1 else text

    def line(self, text: str, record: dict[str, Any]) -> _Line:
        """A line of text, or an object's fields, together with the options for all lines."""
        common = self.options
        source = SourceLine(
            record.get("text", text),
            record.get("prefix", common.prefix),
            (*common.required, *record.get("required", ())),
            (*common.forbidden, *record.get("forbidden", ())),
            (*common.keep, *record.get("keep", ())),
            record.get("glossary"),
            record.get("markup", ""),
        )
        asked = with_common(source, common.markup, common.glossary)
        needs_beam = {
            "required phrases": source.required,
            "glossaries": isinstance(asked, SourceLine) and asked.glossary,
        }
        for what, is_asked in needs_beam.items():
            if is_asked and self.decoding.method == "sampling":
                raise UserError(f"{what} need beam search; leave out sampling")
        extra = {"id": record["id"]} if "id" in record else {}
        return _Line(self.translator.prepare(asked, self.split), extra)


def _read_object(text: str) -> dict[str, Any]:
    """The JSON object of a line of input; a blank line is an object with blank text."""
    if not text.strip():
        return {}
    try:
        record = json_format.loads(text)
    except (ValueError, RecursionError) as error:
        why = f"{error.msg} at character {error.pos + 1}" if isinstance(error, json_format.JSONDecodeError) else error
        raise UserError(f'it must be a JSON object such as {{"text": "..."}}, but is none: {why}') from None
    if not isinstance(record, dict) or not isinstance(record.get("text"), str):
        raise UserError('it must be a JSON object with a `text`: {"text": "..."}')
    for name, value in record.items():
        if name in ("text", "prefix"):
            ok, rule = isinstance(value, str), "text"
        elif name in ("required", "forbidden", "keep"):
            ok = isinstance(value, list) and all(isinstance(phrase, str) for phrase in value)
            rule = "a list of texts"
        elif name == "glossary":
            ok = isinstance(value, dict) and all(isinstance(term, str) for term in value.values())
            rule = 'an object of terms and their translations: {"term": "translation"}'
        elif name == "markup":
            from nmt.text.markup import KINDS  # few programs need this module

            ok, rule = value in ("", *KINDS), '"html" or "xml"'
        elif name == "id":
            ok, rule = isinstance(value, str | int) and not isinstance(value, bool), "text or a whole number"
        else:
            ok, rule = False, "left out; the keys are text, prefix, required, forbidden, keep, glossary, markup, id"
        if not ok:
            raise UserError(f"`{name}` must be {rule}")
    return record


def score_lines(
    translator: Translator, sources: Sequence[str], targets: Sequence[str], *, json: bool = False, **overrides: object
) -> Iterator[str]:
    """Yield the log-probability of each translation as a line of text, by forced decoding.

    json: an object for each line instead: `line`, `text`, `log_prob`, `score` (normalised as in search), `tokens`,
        `token_log_probs`
    """
    size = WINDOW_BATCHES * translator.decoding.batch_sentences
    for first in range(0, len(sources), size):
        window = slice(first, first + size)
        for number, one in enumerate(translator.score(sources[window], targets[window], **overrides), first + 1):
            if not json:
                yield f"{one.log_prob:.6f}"
                continue
            record = {"line": number, "text": one.text, "log_prob": finite(one.log_prob), "score": finite(one.score)}
            log_probs = [finite(log_prob) for log_prob in one.token_log_probs]
            yield json_line({**record, "tokens": one.tokens, "token_log_probs": log_probs}).removesuffix("\n")
