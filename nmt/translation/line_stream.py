"""Lines in, lines out: what the command line's `translate` and `nmt score` promise.

One line of output for each line of input, whatever bytes come in and whatever pieces the model emits; input is read in
windows, so that memory does not depend on how much there is.
"""

from __future__ import annotations

import json as json_format
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from nmt.config import DecodingConfig
from nmt.errors import UserError
from nmt.search.constraints import Constraints
from nmt.search.reranking import make_utility
from nmt.text.cleaning import clean_line
from nmt.text.sentences import split_sentences
from nmt.translation.translator import (
    Sentence,
    SourceLine,
    Translation,
    Translator,
    candidates,
    empty_translation,
    join_samples,
    join_translations,
)

WINDOW_BATCHES = 64
"""Batches of lines that are read ahead at most, to put sentences of similar length together."""
WINDOW_BYTES = 1 << 22
"""Bytes of input after which a window ends in any case, so that memory stays flat when the lines are long."""


@dataclass(frozen=True)
class Output:
    """What is written for each line, beside the text."""

    n_best: int | None = None
    """Up to so many translations; None: the best one alone."""
    json: bool = False
    """JSON objects instead of text."""
    alignments: bool = False
    """Which source word each target word comes from."""
    attention_weights: bool = False
    """The attention weights themselves; in JSON only."""

    def __post_init__(self) -> None:
        if self.attention_weights and not self.json:
            raise UserError("attention weights are written as JSON only; add `json`")

    def line(self, number: int, translations: Sequence[Translation], extra: dict[str, Any]) -> str:
        """What is written for a line of input, with its line end or ends."""
        if self.json:
            record = {"line": number, **extra, **self._record(translations[0])}
            if self.n_best is not None:
                record["n_best"] = [self._record(translation) for translation in translations]
            return json_line(record)
        texts = [one.text + ("\t" + pharaoh(one.alignment or []) if self.alignments else "") for one in translations]
        if self.n_best is None:
            return texts[0] + "\n"
        return "".join(
            f"{number}\t{rank}\t{translation.score:.6f}\t{text}\n"
            for rank, (translation, text) in enumerate(zip(translations, texts, strict=True), 1)
        )

    def _record(self, translation: Translation) -> dict[str, Any]:
        record: dict[str, Any] = {
            "text": translation.text,
            "score": finite(translation.score),
            "tokens": translation.tokens,
            "log_prob": finite(translation.log_prob),
            "token_log_probs": [finite(log_prob) for log_prob in translation.token_log_probs],
            "finished": translation.finished,
        }
        if self.alignments:
            record["alignment"] = pharaoh(translation.alignment or [])
        if self.attention_weights:
            weights = translation.attention_weights
            record["source_tokens"] = translation.source_tokens
            record["attention_weights"] = None if weights is None else [
                [round(weight, 6) for weight in row] for row in weights.tolist()
            ]  # fmt: skip
        return record


_ESCAPED = re.compile(r"[\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def json_line(record: dict[str, Any]) -> str:
    """A record as one line of JSON, with its line end.

    json itself escapes control characters below U+0020 only; at some others many programs end a line.
    """
    text = json_format.dumps(record, ensure_ascii=False)
    return _ESCAPED.sub(lambda found: json_format.dumps(found[0])[1:-1], text) + "\n"


def pharaoh(alignment: Sequence[tuple[int, int]]) -> str:
    """An alignment as text: `0-0 1-2`, source word, target word."""
    return " ".join(f"{source}-{target}" for source, target in alignment)


def finite(number: float) -> float | None:
    """A number for JSON, which has no infinity: None."""
    return number if number > float("-inf") else None


def translate_stream(
    translator: Translator,
    source: BinaryIO,
    output: BinaryIO,
    *,
    n_best: int | None = None,
    json: bool = False,
    json_input: bool = False,
    alignments: bool = False,
    attention_weights: bool = False,
    prefix: str = "",
    required: Sequence[str] = (),
    forbidden: Sequence[str] = (),
    split_sentences: bool = False,
    max_length: int | None = None,
    interactive: bool,
    warn: Callable[[str], None],
    **overrides: object,
) -> None:
    """Translate a file, a pipe or what a person types, line by line.

    Only LF ends a line. Line N of the output translates line N of the input; a blank line stays one, without the model.
    With `n_best` there are up to that many lines for each line of input, and at least one: line number (from 1), rank
    (from 1), score and text, separated by tabs; a blank line has one, with score 0 and no text. With `alignments` the
    alignment follows behind a tab. With `json` each line of input gives one object: `line`, `text`, `score`, `tokens`,
    `log_prob`, `token_log_probs`, `finished`, on request `alignment`, `source_tokens` and `attention_weights`, and with
    `n_best` the list `n_best` of the same.

    With `json_input` each line of input is an object: `text`, and if need be `prefix`, `required`, `forbidden`
    (`SourceLine`), and `id`, which `json` output repeats. A line that is none raises UserError with its number, when
    those before it are written.

    Invalid UTF-8 is replaced by U+FFFD, and one warning at the end counts the lines. A byte order mark at the very
    beginning is skipped. When nobody reads the output any more, the function returns.

        prefix, required, forbidden: of every line, beside the line's own
        split_sentences: translate each sentence of a line by itself; recurrent models do best on the lengths they were
            trained on. It concerns every line, so that a sentence's translation does not depend on what surrounds it.
            Prefixes and required phrases, which sentence they belong to being unknown, exclude it
        max_length: most source pieces of a sentence; the rest of a longer one is left out, with a warning. None: the
            longest that the model has been trained on
        interactive: answer each line at once instead of reading ahead
        warn: takes each warning, without a line end
        overrides: fields of `nmt.config.DecodingConfig`
    """
    if max_length is None:
        max_length = translator.max_length
    if max_length < 1:
        raise UserError(f"`max_length` must be at least 1, but is {max_length} instead")
    if split_sentences and attention_weights:
        raise UserError("attention weights are those of whole lines; leave out `split_sentences`")
    written = Output(n_best, json, alignments, attention_weights)
    task = _Task(
        translator,
        translator.decoding_with(**overrides),
        1 if n_best is None else n_best,
        alignments or attention_weights,
        json_input,
        SourceLine("", prefix, tuple(required), tuple(forbidden)),
        split_sentences,
        max_length,
        warn,
    )
    task.check()  # a mistake in the settings must be found before anything is read
    first = 1
    size = 1 if interactive else task.decoding.batch_sentences
    try:
        while window := _read_window(source, size):
            lines, mistake = task.parse(window, first)
            translated = zip(task.translate(lines, first), lines, strict=True)
            text = "".join(
                written.line(number, translations, line.extra)
                for number, (translations, line) in enumerate(translated, first)
            )
            output.write(text.encode("utf-8"))
            output.flush()
            if mistake is not None:
                raise mistake
            first += len(window)
            if not interactive:
                size = min(2 * size, WINDOW_BATCHES * task.decoding.batch_sentences)
    except BrokenPipeError:
        with suppress(OSError):  # closing tries to write what is left; closed, it is not tried again at exit
            output.close()
    if task.invalid:
        lines_held = "1 line held" if task.invalid == 1 else f"{task.invalid} lines held"
        warn(f"{lines_held} invalid UTF-8, replaced by U+FFFD; the first is line {task.first_invalid}")


def _read_window(source: BinaryIO, size: int) -> list[bytes]:
    """The next lines, without their ends: `size` of them or fewer at the end of the file or if they are very long."""
    lines: list[bytes] = []
    total = 0
    while len(lines) < size and total < WINDOW_BYTES and (line := source.readline()):
        total += len(line)
        lines.append(line.removesuffix(b"\n"))
    return lines


@dataclass(frozen=True)
class _Line:
    """A line of input: what is asked of it, and what its output repeats."""

    source: SourceLine
    constraints: Constraints
    extra: dict[str, Any]


@dataclass
class _Task:
    """What `translate_stream` does with every line."""

    translator: Translator
    decoding: DecodingConfig
    n_best: int
    attention_weights: bool
    json_input: bool
    common: SourceLine
    split: bool
    max_length: int
    warn: Callable[[str], None]
    invalid: int = 0
    """Lines with invalid UTF-8."""
    first_invalid: int = 0

    def check(self) -> None:
        """Raises UserError when settings or phrases are wrong."""
        candidates(self.decoding, self.n_best)
        self.line("", {})
        if self.decoding.minimum_bayes_risk != "none":
            make_utility(self.decoding.minimum_bayes_risk, self.translator.target_language)
        wanted = {
            "alignments and attention weights need": self.attention_weights,
            "`replace_unknown` needs": self.decoding.replace_unknown,
            "`coverage_penalty` needs": self.decoding.coverage_penalty > 0,
        }
        what = next((what for what, is_wanted in wanted.items() if is_wanted), None)
        if what is not None and not self.translator.has_attention:
            raise UserError(f"{what} a model with attention, but this one has none; leave it out")

    def parse(self, window: Sequence[bytes], first: int) -> tuple[list[_Line], UserError | None]:
        """The lines of a window that begins with line number `first`, up to one that is wrong, and what is wrong."""
        lines = []
        for number, content in enumerate(window, first):
            text = self.decode(content, number)
            try:
                lines.append(self.line("", _read_object(text)) if self.json_input else self.line(text, {}))
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
        """A line of text, or of the fields of an object, with what is asked of every line."""
        common = self.common
        source = SourceLine(
            clean_line(record.get("text", text)),
            record.get("prefix", common.prefix),
            (*common.required, *record.get("required", ())),
            (*common.forbidden, *record.get("forbidden", ())),
        )
        if self.split and (source.prefix or source.required):
            raise UserError("a prefix and required phrases are for whole lines; leave out `split_sentences`")
        if source.required and self.decoding.method == "sampling":
            raise UserError("required phrases need beam search; leave out sampling")
        extra = {"id": record["id"]} if "id" in record else {}
        return _Line(source, self.translator.constraints(source), extra)

    def translate(self, lines: Sequence[_Line], first: int) -> list[list[Translation]]:
        """Translations of each line, best first."""
        parts = [split_sentences(line.source.text) if self.split else [line.source.text] for line in lines]
        parts = [list(filter(None, sentences)) for sentences in parts]
        texts = [sentence for sentences in parts for sentence in sentences]
        of_line = [number for number, sentences in enumerate(parts) for _ in sentences]
        sources = []
        for number, text, ids in zip(of_line, texts, self.translator.encode(texts), strict=True):
            if len(ids) > self.max_length:
                what = "a sentence of " if self.split else ""
                hint = "" if self.split else "; --split-sentences splits it"
                self.warn(f"{what}line {first + number} is cut from {len(ids)} to {self.max_length} pieces{hint}")
            sources.append(Sentence(ids[: self.max_length], text, lines[number].constraints))
        translated = iter(
            self.translator.translate_ids(sources, self.decoding, self.n_best, attention_weights=self.attention_weights)
        )
        least_risk = self.decoding.minimum_bayes_risk != "none"
        sampled = self.decoding.method == "sampling" and not least_risk
        joined = []
        for sentences in parts:
            found = [next(translated) for _ in sentences] or [[empty_translation()]]
            best = join_samples(found) if sampled else join_translations(found, self.n_best)
            joined.append([replace(one, score=one.score / len(found)) for one in best] if least_risk else best)
        return joined


def _read_object(text: str) -> dict[str, Any]:
    """The JSON object of a line of input; a blank line is one with blank text."""
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
        elif name in ("required", "forbidden"):
            ok = isinstance(value, list) and all(isinstance(phrase, str) for phrase in value)
            rule = "a list of texts"
        elif name == "id":
            ok, rule = isinstance(value, str | int) and not isinstance(value, bool), "text or a whole number"
        else:
            ok, rule = False, "left out; the keys are text, prefix, required, forbidden, id"
        if not ok:
            raise UserError(f"`{name}` must be {rule}")
    return record


def score_lines(
    translator: Translator, sources: Sequence[str], targets: Sequence[str], *, json: bool = False, **overrides: object
) -> Iterator[str]:
    """The log-probability of each line's translation as a line of text, by forced decoding.

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
