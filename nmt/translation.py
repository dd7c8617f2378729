"""Translation of text: lines in, lines out.

`Translator` turns lines into translations; `translate_stream` does what the command line's `translate` promises: one
line of output for each line of input, whatever bytes come in and whatever pieces the model emits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from json import dumps
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from nmt.config import DataConfig, DecodingConfig, parse_config
from nmt.engine import Engine
from nmt.ensemble import Ensemble, Fusion
from nmt.errors import UserError
from nmt.search import Hypothesis, SearchSettings, beam_search

WINDOW_BATCHES = 64
"""Batches of lines that `translate_stream` reads ahead at most, to put sentences of similar length together."""
WINDOW_BYTES = 1 << 22
"""Bytes of input after which a window ends in any case, so that memory stays flat when the lines are long."""


class Pieces(Protocol):
    """What translation needs of a vocabulary (`nmt.vocabulary.Vocabulary`)."""

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Text of the ids."""
        ...

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The pieces of the ids."""
        ...


@dataclass
class Translation:
    """A translation of one line."""

    text: str
    """One line of valid Unicode: no line breaks, no control characters."""
    score: float
    """Log-probability normalised by length; translations of a line are ranked by it."""
    tokens: list[str]
    """Target pieces, without the end symbol."""
    log_prob: float
    """Sum of `token_log_probs`, natural logarithm."""
    token_log_probs: list[float]
    """Log-probability of each piece and, last, of the end symbol; with a language model, its weighted one added."""
    finished: bool = True
    """False if the translation was cut at the maximum length."""


def _empty() -> Translation:
    """The translation of a blank line, which no model has seen: certain, without pieces."""
    return Translation("", 0.0, [], 0.0, [])


class Translator:
    """A model with its vocabularies, ready to translate."""

    def __init__(
        self,
        engine: Engine,
        source_vocabulary: Pieces,
        target_vocabulary: Pieces,
        decoding: DecodingConfig | None = None,
        max_length: int = DataConfig.max_length,
        language_model: Engine | None = None,
    ) -> None:
        self.engine = engine
        self.source_vocabulary = source_vocabulary
        self.target_vocabulary = target_vocabulary
        self.decoding = decoding or DecodingConfig()
        """Defaults of the search; each call can override any of them."""
        self.max_length = max_length
        """Longest source, in pieces, that the model has been trained on."""
        self.language_model = language_model
        """Of the target side, for shallow fusion (`nmt.ensemble.Fusion`), with `decoding.language_model_weight`."""

    @classmethod
    def load(
        cls,
        path: str | Path | Sequence[str | Path],
        *,
        language_model: str | Path | None = None,
        language_model_weight: float | None = None,
        device: str = "cpu",
        threads: int | None = None,
    ) -> Translator:
        """Open a model folder, or several as an ensemble, with a language model if one is given.

        path: one or more model folders, run folders or hub ids; the decoding defaults are the first one's
        language_model: folder of a language model with the same target vocabulary
        language_model_weight: its weight; None: the first model's `decoding.language_model_weight`
        device: where the models run, `cpu` or `cuda`
        threads: processor threads to use; None leaves the choice to the engine

        Raises UserError when a folder is damaged or of the wrong task, or vocabularies differ.
        """
        from nmt.model_folder import open_models

        paths = [path] if isinstance(path, str | Path) else list(path)
        folders, beside = open_models(paths, language_model)
        from nmt.torch_engine import load_engine  # the only engine so far, and slow to import

        engines = [load_engine(folder, device=device, threads=threads) for folder in folders]
        translator = cls(
            engine=engines[0] if len(engines) == 1 else Ensemble(engines),
            source_vocabulary=folders[0].source_vocabulary,
            target_vocabulary=folders[0].target_vocabulary,
            decoding=folders[0].config.decoding,
            max_length=min(folder.config.data.max_length for folder in folders),
            language_model=None if beside is None else load_engine(beside, device=device, threads=threads),
        )
        translator.decoding = translator.decoding_with(language_model_weight=language_model_weight)
        return translator

    def translate(self, lines: Sequence[str], **overrides: object) -> list[Translation]:
        """The best translation of each line; it does not depend on the other lines.

        A blank line is not translated: its translation is empty. No line is cut, however long.

            overrides: fields of `nmt.config.DecodingConfig`, such as `beam_size=1`
        """
        return [translations[0] for translations in self.translate_n_best(lines, 1, **overrides)]

    def translate_n_best(self, lines: Sequence[str], n_best: int, **overrides: object) -> list[list[Translation]]:
        """Up to `n_best` translations of each line, different as text, best first; otherwise as `translate`."""
        if isinstance(lines, str):
            raise UserError("`lines` must be a list of lines, but is a single text instead; put it into a list")
        decoding = self.decoding_with(**overrides)
        return self.translate_ids(self.encode([_clean(line) for line in lines]), decoding, n_best)

    def decoding_with(self, **overrides: object) -> DecodingConfig:
        """The model's decoding settings with some of them changed; an override of None changes nothing."""
        given = {name: value for name, value in overrides.items() if value is not None}
        if "language_model_weight" in given and self.language_model is None:
            raise UserError("`language_model_weight` has no effect without a language model, and there is none")
        return parse_config({"decoding": {**asdict(self.decoding), **given}}, "decoding options").decoding

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        """Source ids of each line."""
        return self.source_vocabulary.encode_batch(lines) if lines else []

    def translate_ids(
        self, sources: Sequence[Sequence[int]], decoding: DecodingConfig, n_best: int
    ) -> list[list[Translation]]:
        """Up to `n_best` translations of each sentence of source ids, best first.

        Sentences of similar length share a batch.
        """
        settings, batch_size, engine = search_settings(decoding, n_best), decoding.batch_size, self.engine
        if self.language_model is not None:
            engine = Fusion(self.engine, self.language_model, decoding.language_model_weight)
        results = [[_empty()] for _ in sources]
        order = sorted((i for i in range(len(sources)) if len(sources[i])), key=lambda i: -len(sources[i]))
        identity = self._text if settings.n_best > 1 else None
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            found = beam_search(engine, [sources[i] for i in batch], settings, identity)
            for i, hypotheses in zip(batch, found, strict=True):
                results[i] = [self._translation(hypothesis) for hypothesis in hypotheses]
        return results

    def _text(self, ids: list[int]) -> str:
        return one_line(self.target_vocabulary.decode(ids))

    def _translation(self, hypothesis: Hypothesis) -> Translation:
        return Translation(
            text=self._text(hypothesis.tokens),
            score=hypothesis.score,
            tokens=self.target_vocabulary.pieces(hypothesis.tokens),
            log_prob=hypothesis.log_prob,
            token_log_probs=hypothesis.token_log_probs,
            finished=hypothesis.finished,
        )


def search_settings(decoding: DecodingConfig, n_best: int) -> SearchSettings:
    """The search's part of the decoding settings."""
    values = asdict(decoding)
    del values["batch_size"], values["language_model_weight"]
    return SearchSettings(n_best=n_best, **values)


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def one_line(text: str) -> str:
    """The text as one line that every program takes for one line, and that can be written as UTF-8.

    Control characters, tabs and everything that may count as a line break (CR, U+0085, U+2028, ...) become a space, and
    none at the ends; half a surrogate pair becomes U+FFFD.
    """
    if _CONTROL.search(text):
        text = _CONTROL.sub(" ", text).strip(" ")
    return _SURROGATE.sub("\ufffd", text)


def _clean(text: str) -> str:
    """A line of input as the model reads it: `one_line`, and empty if it is blank."""
    text = one_line(text)
    return "" if text.isspace() else text


# Possessive, and never begun inside a run of marks: the time stays linear in the length of the line.
_SENTENCE_END = re.compile(
    r"""(?<![.!?…])[.!?…]++["'”’»«“)\]]*+(?=\s)"""
    # Japanese and Chinese need no space after the mark; behind a closing quote the sentence often goes on.
    r"""|[。！？]++(?:[」』”’）]++(?=\s|[「『“])|(?![」』”’）]))"""
)
_ABBREVIATION = re.compile(r"\w|\d\d?|Dr|Mr|Mrs|Ms|St|Prof|Hr|Fr|Nr|No|vs|bzw|ca|Mme|Mlle")
_NO_SPACE_AFTER = re.compile(r"[。！？][」』”’）]*$")


def split_sentences(text: str) -> list[str]:
    """The sentences of a line.

    One ends after `.`, `!`, `?` or `…` before a space, and after `。`, `！` or `？`; closing quotes and brackets stay
    with it. None ends before a lower-case letter (unless the whole line is lower-case), nor at the full stop of a
    single letter, a number of one or two digits or a common abbreviation: "z. B.", "am 3. Mai", "Dr. Who".
    """
    sentences, start = [], 0
    lower_case = text.islower()
    for match in _SENTENCE_END.finditer(text):
        if match[0][0] not in "。！？":
            following = text[match.end() : match.end() + 16].lstrip()
            if following[:1].islower() and not lower_case:
                continue
            word = re.split(r"[\s.(]", text[max(start, match.start() - 16) : match.start()])[-1]
            if match[0] == "." and _ABBREVIATION.fullmatch(word):
                continue
        sentences.append(text[start : match.end()].strip())
        start = match.end()
    sentences.append(text[start:].strip())
    return [sentence for sentence in sentences if sentence]


def join_sentences(sentences: Sequence[str]) -> str:
    """The sentences as one line; no space follows one that ends in `。`, `！` or `？`."""
    parts: list[str] = []
    for sentence in filter(None, sentences):
        if parts and not _NO_SPACE_AFTER.search(parts[-1][-8:]):
            parts.append(" ")
        parts.append(sentence)
    return "".join(parts)


def join_translations(parts: Sequence[list[Translation]], n_best: int) -> list[Translation]:
    """The best translations of a line from those of its sentences.

    Score and log-probability are the sums over the sentences. The n best sums of scores are found exactly; combinations
    that give the same text count once.
    """
    joined = parts[0]
    for part in parts[1:]:
        pairs = [(left, right) for left in joined for right in part]
        pairs.sort(key=lambda pair: -(pair[0].score + pair[1].score))
        texts: dict[str, Translation] = {}
        for left, right in pairs:
            text = join_sentences([left.text, right.text])
            if text not in texts:
                texts[text] = Translation(
                    text,
                    left.score + right.score,
                    left.tokens + right.tokens,
                    left.log_prob + right.log_prob,
                    left.token_log_probs + right.token_log_probs,
                    left.finished and right.finished,
                )
            if len(texts) == n_best:
                break
        joined = list(texts.values())
    return joined


def translate_stream(
    translator: Translator,
    source: BinaryIO,
    output: BinaryIO,
    *,
    n_best: int | None = None,
    json: bool = False,
    split_sentences: bool = False,
    max_length: int | None = None,
    interactive: bool,
    warn: Callable[[str], None],
    **overrides: object,
) -> None:
    """Translate a file, a pipe or what a person types, line by line.

    Only LF ends a line. Line N of the output translates line N of the input; a blank line stays one, without the model.
    With `n_best` there are up to that many lines for each line of input, and at least one: line number (from 1), rank
    (from 1), score and text, separated by tabs; a blank line has one, with score 0 and no text. With `json` each line
    of input gives one object: `line`, `text`, `score`, `tokens`, and with `n_best` the list `n_best` of the same.

    Invalid UTF-8 is replaced by U+FFFD, and one warning at the end counts the lines. A byte order mark at the very
    beginning is skipped. When nobody reads the output any more, the function returns.

        split_sentences: translate each sentence of a line by itself; recurrent models do best on the lengths they were
            trained on. It concerns every line, so that a sentence's translation does not depend on what surrounds it
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
    decoding = translator.decoding_with(**overrides)
    wanted = 1 if n_best is None else n_best
    search_settings(decoding, wanted)  # a mistake in them must be found before anything is read
    invalid: list[int] = []  # number of lines, first line
    first = 1
    size = 1 if interactive else decoding.batch_size
    try:
        while window := _read_window(source, size):
            lines = _decode(window, first, invalid)
            translations = _translate_window(
                translator, lines, first, decoding, wanted, split_sentences, max_length, warn
            )
            text = "".join(
                _format(number, line, n_best is not None, json) for number, line in enumerate(translations, first)
            )
            output.write(text.encode("utf-8"))
            output.flush()
            first += len(window)
            if not interactive:
                size = min(2 * size, WINDOW_BATCHES * decoding.batch_size)
    except BrokenPipeError:
        with suppress(OSError):  # closing tries to write what is left; closed, it is not tried again at exit
            output.close()
    if invalid:
        count, line = invalid
        lines_held = "1 line held" if count == 1 else f"{count} lines held"
        warn(f"{lines_held} invalid UTF-8, replaced by U+FFFD; the first is line {line}")


def _read_window(source: BinaryIO, size: int) -> list[bytes]:
    """The next lines, without their ends: `size` of them or fewer at the end of the file or if they are very long."""
    lines: list[bytes] = []
    total = 0
    while len(lines) < size and total < WINDOW_BYTES and (line := source.readline()):
        total += len(line)
        lines.append(line.removesuffix(b"\n"))
    return lines


def _decode(window: Sequence[bytes], first: int, invalid: list[int]) -> list[str]:
    """Lines of text; blank ones are empty. Counts those with invalid UTF-8 in `invalid`."""
    lines = []
    for number, line in enumerate(window, first):
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError:
            text = line.decode("utf-8", errors="replace")
            invalid[:] = [invalid[0] + 1, invalid[1]] if invalid else [1, number]
        if number == 1:
            text = text.removeprefix("\ufeff")
        lines.append(_clean(text))
    return lines


def _translate_window(
    translator: Translator,
    lines: Sequence[str],
    first: int,
    decoding: DecodingConfig,
    n_best: int,
    split: bool,
    max_length: int,
    warn: Callable[[str], None],
) -> list[list[Translation]]:
    """Translations of each line, best first."""
    parts = [(split_sentences(line) if split else [line]) if line else [] for line in lines]
    sources = translator.encode([sentence for sentences in parts for sentence in sentences])
    numbers = [number for number, sentences in enumerate(parts, first) for _ in sentences]
    for i, (number, ids) in enumerate(zip(numbers, sources, strict=True)):
        if len(ids) > max_length:
            what = "a sentence of " if split else ""
            hint = "" if split else "; --split-sentences splits it"
            warn(f"{what}line {number} is cut from {len(ids)} to {max_length} pieces{hint}")
            sources[i] = ids[:max_length]
    translated = iter(translator.translate_ids(sources, decoding, n_best))
    return [
        join_translations([next(translated) for _ in sentences], n_best) if sentences else [_empty()]
        for sentences in parts
    ]


def _format(number: int, translations: Sequence[Translation], n_best: bool, json: bool) -> str:
    """What is printed for a line of input."""
    if json:
        record = {"line": number, **_record(translations[0])}
        if n_best:
            record["n_best"] = [_record(translation) for translation in translations]
        # json escapes control characters below U+0020 only; a piece may hold others that some programs end a line at
        return _CONTROL.sub(lambda found: dumps(found[0])[1:-1], dumps(record, ensure_ascii=False)) + "\n"
    if n_best:
        return "".join(
            f"{number}\t{rank}\t{translation.score:.6f}\t{translation.text}\n"
            for rank, translation in enumerate(translations, 1)
        )
    return translations[0].text + "\n"


def _record(translation: Translation) -> dict[str, Any]:
    score = translation.score if translation.score > float("-inf") else None  # JSON has no infinity
    return {"text": translation.text, "score": score, "tokens": translation.tokens}
