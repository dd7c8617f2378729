"""SentencePiece vocabularies: learned from raw text, with special pieces at fixed ids.

Kudo & Richardson (2018), https://arxiv.org/abs/1808.06226; subword regularisation: Kudo (2018),
https://arxiv.org/abs/1804.10959; BPE-dropout: Provilkov et al. (2020), https://arxiv.org/abs/1910.13267.
"""

from __future__ import annotations

import hashlib
import io
import random
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import sentencepiece

from nmt.config import VocabularyConfig
from nmt.errors import UserError
from nmt.processors import available_processors
from nmt.text.names import CAPITAL
from nmt.text.reading import CHUNK, chunks
from nmt.text.spans import SPAN_CHARACTERS
from nmt.text.subword_sampling import SubwordSampler

PAD, UNK, BEGIN, END = 0, 1, 2, 3  # ids of padding, unknown piece, begin and end of a sentence, in every vocabulary
SPECIAL_PIECES = 4  # number of special pieces; their ids are the first ones

SAMPLED_CHARACTERS = 12_000_000
"""Maximum number of characters from which a vocabulary is learned, about 2 million words: a longer text is sampled.
SentencePiece takes 25 bytes for each."""

SAMPLE_SEED = 1  # seed of this sample
UNUSUAL = 2.5  # characters per piece up to which a word's spelling counts as unusual

LEARNED = 5
"""Occurrences in the training text from which on a word is taken to be learned. On Tatoeba, 2 to 16 gave the same BLEU
within 0.13, and more names were right from 4 on."""

RARE = 5e-6  # share of the text below which a word may be of another language

REMEMBERED = 20_000  # words that were looked at and are not looked at again

MOST_FAMILIAR = 200_000  # different words that are looked at for the unusual ones, the most frequent first

MOST_COUNTED = 600_000  # different words that are counted at once; beyond it, the rarest so far are forgotten

FEW = 100  # texts up to which they are segmented one by one

FAMILIAR_WORDS = b"familiar words of nmt\n"  # begins the list of these words at the end of a vocabulary file

READ_WORDS = b"words of the source of nmt\n"  # begins the list of these words, before that of the familiar ones

MOST_READ = 60_000  # words of the source that are listed, the most frequent ones

MOST_LISTED = 4_000_000  # bytes of this list that are read

NAMES = b"names of nmt\n"  # begins the list of the names that translations have unchanged

SHARED = 0.8  # share of a word's occurrences whose translations have it as well, from which on it is a name

LEARNED_NAME = 50
"""Occurrences of a name from which on a model writes it itself. Of names that occur 50 times and more, 90 to 100 % are
right in the bundled models' translations, of rarer ones 33 to 95 %."""

NOUN_CAPITALS = 0.15  # share of words with a capital from which on nouns have one: 0.33 in German, 0.05 in English

USUAL_CAPITAL = 0.9  # share of a word's occurrences inside lines from which on its capital belongs to it

FEWEST_CAPITALS = 3  # occurrences inside lines that this needs

SPACE = "▁"  # begins a piece that begins a word (U+2581)

SHORTEST = 3  # letters of the shortest words that are counted
_WORD = re.compile(rf"[^\W\d_]{{{SHORTEST},}}")
_LETTERS = re.compile(r"[^\W\d_]+")
_INSIDE = re.compile(rf"(?<=[\w,;] ){CAPITAL}[^\W\d_]{{{SHORTEST - 1},}}")  # words with a capital inside a sentence
_HYPHENATED = r"[^\W\d_]+(?:-[^\W\d_]+)+"
_ACRONYM = r"(?<![\w&/'’-])[A-ZÄÖÜ]{2}(?![\w&/'’-])"


class Vocabulary:
    """A SentencePiece model. Its pieces are ids, without begin and end symbol unless stated otherwise."""

    def __init__(self, model: bytes) -> None:
        self.model = model  # the serialised SentencePiece model
        self.checksum = hashlib.sha256(model).hexdigest()
        self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        self._readable: dict[bool, set[str]] = {True: set(), False: set()}  # characters, by whether they are
        self._samplers: dict[float, SubwordSampler] = {}
        self._unusual: dict[str, bool] = {}  # words, by whether their spelling is
        self._ordinary: set[str] = set()  # words that are no names, wherever they are
        processor = self._processor
        processor.id_to_piece(list(range(processor.get_piece_size())))  # raises ValueError if a piece is not text
        specials = (processor.pad_id(), processor.unk_id(), processor.bos_id(), processor.eos_id())
        if specials != (PAD, UNK, BEGIN, END):
            raise UserError(
                f"a SentencePiece model must have the ids pad {PAD}, unk {UNK}, bos {BEGIN}, eos {END}, but has "
                "pad {}, unk {}, bos {}, eos {} instead; learn one with `nmt vocab`".format(*specials)
            )

    @classmethod
    def load(cls, path: str | Path) -> Vocabulary:
        """Read a SentencePiece model file; raises UserError when it is missing or not such a file."""
        try:
            model = Path(path).read_bytes()
        except OSError as error:
            raise UserError(f"vocabulary `{path}` cannot be read: {error.strerror}") from None
        try:
            return cls(model)
        except UserError as error:
            raise UserError(f"vocabulary `{path}`: {error}") from None
        except (RuntimeError, ValueError):  # the error message may contain bytes that are not text
            raise UserError(f"vocabulary `{path}` is not a SentencePiece model") from None

    def __reduce__(self) -> tuple[Any, ...]:
        return Vocabulary, (self.model,)

    def __len__(self) -> int:
        return int(self._processor.get_piece_size())

    def encode(self, text: str) -> list[int]:
        """Ids of the best segmentation."""
        return list(self._processor.encode(text))

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of the best segmentation of each text, in as many threads as there are processors for this process."""
        if len(texts) <= FEW:  # starting threads takes longer
            return [self.encode(text) for text in texts]
        return list(self._processor.encode(list(texts), num_threads=available_processors()))

    def cost(self, text: str) -> tuple[int, float]:
        """Number and negative log-probability of a text's pieces; unknown ones and bytes count as the rarest."""
        ids, processor = self.encode(text), self._processor
        known = [i for i in ids if i != UNK and not processor.is_byte(i)]
        return len(ids), 100.0 * (len(ids) - len(known)) - sum(map(processor.get_score, known))

    def sample_batch(self, texts: Sequence[str], alpha: float, seed: int) -> list[list[int]]:
        """Ids of a random segmentation of each text (`SubwordSampler`), the same for a seed in every process."""
        if alpha not in self._samplers:
            self._samplers[alpha] = SubwordSampler(self._processor, alpha)
        return self._samplers[alpha].sample(texts, seed)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of the pieces; special pieces are left out."""
        return str(self._processor.decode([int(i) for i in ids if i not in (PAD, BEGIN, END)]))

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The pieces as text, with `▁` for a space."""
        return [str(piece) for piece in self._processor.id_to_piece([int(i) for i in ids])]

    def surfaces(self, text: str) -> list[str]:
        """The pieces of the text as they are written in it; by its id, an unknown piece would be `<unk>`."""
        return [str(piece) for piece in self._processor.encode(text, out_type=str)]

    def join_pieces(self, pieces: Sequence[str]) -> str:
        """The text of some pieces; a piece that the vocabulary lacks is kept unchanged."""
        return str(self._processor.decode(list(pieces)))

    @cached_property
    def span_ids(self) -> list[int]:
        """The pieces that represent copied spans (`nmt.text.spans`), in the order of their numbers; empty if none."""
        ids = [int(self._processor.piece_to_id(character)) for character in SPAN_CHARACTERS]
        return ids[: ids.index(UNK)] if UNK in ids else ids

    def unreadable(self, text: str) -> str:
        """The characters of a text that have no piece and are read as bytes or as unknown."""
        left = set(text) - self._readable[True]
        for character in left - self._readable[False]:
            ids = self.encode(character)
            self._readable[UNK not in ids and not any(map(self._processor.is_byte, ids))].add(character)
        return "".join(sorted(left & self._readable[False])) if left else ""

    @cached_property
    def has_familiar(self) -> bool:
        """Whether the words with an unusual spelling in the text that it was learned from are known."""
        return FAMILIAR_WORDS in self.model

    @cached_property
    def familiar(self) -> frozenset[str] | None:
        """Words with an unusual spelling in the text that it was learned from, in small letters; None if unknown."""
        _, mark, words = self.model.rpartition(FAMILIAR_WORDS)
        return frozenset(words.decode("utf-8", "replace").split("\n")) if mark else None

    @cached_property
    def words(self) -> dict[str, tuple[str, int]]:
        """The words of the text that models read, in small letters, with their usual form and count; empty if unknown.

        A word that has a capital inside sentences nearly always has it in its usual form.
        """
        _, mark, rest = self.model.partition(READ_WORDS)
        parts = _unpacked(rest).split() if mark else []
        try:
            forms, counts = parts[::2], list(map(int, parts[1::2]))
        except ValueError:  # a damaged list is none
            return {}
        return dict(zip(map(str.lower, forms), zip(forms, counts, strict=False), strict=False))

    @cached_property
    def names(self) -> frozenset[str]:
        """The names that translations have unchanged and that are too rare for a model to have learned them."""
        _, mark, rest = self.model.partition(NAMES)
        return frozenset(_unpacked(rest).split() if mark else ())

    @cached_property
    def nouns_have_capitals(self) -> bool:
        """Whether nouns have a capital in the language of the text that models read, as in German."""
        forms = [form for form, _ in self.words.values()]
        return sum(form[:1].isupper() for form in forms) > NOUN_CAPITALS * len(forms)

    @cached_property
    def words_read(self) -> int:
        """The number of words, each as often as it occurs, of the text that models read; 0 if unknown."""
        return sum(count for _, count in self.words.values())

    def is_rare(self, word: str) -> bool:
        """Whether a word is rare or missing in the text that models read, if that is long enough to say so.

        Words that are too short to be counted are rare if they are not a piece. Words of scripts without capitals are
        not listed, and are never rare.
        """
        small, least = word.lower(), RARE * self.words_read
        if least < 1 or small == word.upper():
            return False
        if len(word) < SHORTEST:
            return not any(self.has_piece(SPACE + form) for form in (word, small, word.capitalize()))
        return self.words.get(small, ("", 0))[1] < least

    def with_words_of(self, texts: Iterable[str], read: SourceWords | None = None) -> Vocabulary:
        """The same pieces with the words of another text as further familiar ones, if it has a list.

        read: the words of the text that models read, which are counted while `texts` is read
        """
        if self.familiar is None:
            return self
        familiar = self.familiar | _familiar_words(_read(texts, True)[1], self)
        read = read or SourceWords()
        words = [*self.words.values(), *(read.listed() if self.words else ())]
        names = {name for name in self.names if read.may_be_name(name)}.union(read.names())
        return Vocabulary(self._pieces + _names_field(names) + _words_field(words) + _familiar_field(familiar))

    def with_lists(self, words: Counter[str], read: SourceWords) -> Vocabulary:
        """The same pieces with lists of the words of a text: all, and those that models read."""
        familiar = _familiar_field(_familiar_words(words, self))
        return Vocabulary(self.model + _names_field(read.names()) + _words_field(read.listed()) + familiar)

    @property
    def _pieces(self) -> bytes:
        """The SentencePiece model without the lists of words."""
        lists = [
            key + rb"[\x80-\xff]*." + mark
            for key, mark in ((rb"\xc2\x0c", FAMILIAR_WORDS), (rb"\xca\x0c", READ_WORDS), (rb"\xd2\x0c", NAMES))
        ]
        found = re.search(b"|".join(lists), self.model, re.DOTALL)  # key and length of a field, and its mark
        return self.model[: found.start()] if found else self.model

    def has_pieces_of(self, other: Vocabulary) -> bool:
        """Whether ids mean the same in both; the lists of words may differ, as after fine-tuning."""
        return self._pieces == other._pieces

    def has_piece(self, piece: str) -> bool:
        """Whether a text is one piece."""
        return int(self._processor.piece_to_id(piece)) != UNK

    def copied_words(self, text: str) -> list[str]:
        """The words of a text that a model copies: those that are unfamiliar, and names."""
        words = _LETTERS.findall(text)
        if self._ordinary.issuperset(words):  # most texts
            return []
        if len(self._ordinary) >= REMEMBERED:
            self._ordinary.clear()
        self._ordinary.update(filter(self._is_ordinary, words))
        return [*self.unfamiliar(text), *self.names_in(text)]

    def _is_ordinary(self, word: str) -> bool:
        """Whether a word is neither unfamiliar nor a name in any text: it is in small letters, or a usual piece."""
        is_usual = not word[0].isupper() or (self.has_piece(SPACE + word) and not self.is_unusual(word))
        return is_usual and word not in self.names

    def unfamiliar(self, text: str) -> list[str]:
        """Words with a capital letter and an unusual spelling that are not in the text that it was learned from.

        Most of them are names: a word of the language that is rare has the pieces of other words. A capitalised word
        right after such a name belongs to it, with any spelling that is not one piece: `Udo Nachtigall`. Two capitals
        that are no piece (`ID`) are such a word as well.
        """
        if not self.has_familiar or text.isupper():
            return []
        unusual = {word: self.is_unusual(word) for word in _WORD.findall(text) if word[0].isupper()}
        if True in unusual.values():  # most texts have no such word, and the list of the familiar ones is long
            unusual = {word: kind for word, kind in unusual.items() if word.lower() not in (self.familiar or ())}
        found: dict[str, int] = {}  # where each was found last, its end
        for match in _WORD.finditer(text) if True in unusual.values() else ():
            word, start = match[0], match.start()
            if word not in unusual:
                continue
            after_name = start > 0 and text[start - 1] == " " and start - 1 in found.values()
            if unusual[word] or (after_name and len(self.encode(word)) > 1):
                found[word] = match.end()
        acronyms = [
            word for word in re.findall(_ACRONYM, text) if len(self.encode(word)) > 1 < len(self.encode(word.title()))
        ]
        whole = [word for word in re.findall(_HYPHENATED, text) if self._is_name(word, found)] if found else []
        return sorted({*found, *acronyms, *whole})

    def names_in(self, text: str) -> list[str]:
        """The names of a text that translations have unchanged.

        They are those of the list, and if only names have a capital inside sentences, words with one that the text
        which models read lacks, or has less than LEARNED times, and those right after a name: `Josiane Rossignol`.
        """
        if not self.has_familiar or text.isupper():
            return []
        found = set(self.names.intersection(_LETTERS.findall(text)))
        for match in _INSIDE.finditer(text):
            word = match[0]
            if word[0].isupper() and not self.has_piece(SPACE + word) and self.words and not self.nouns_have_capitals:
                form, count = self.words.get(word.lower(), (word, 0))
                after_name = text[: match.start()].split()[-1] in found
                if after_name or (count < LEARNED and form[0].isupper()):
                    found.add(word)
        return sorted(found)

    def _is_name(self, word: str, names: Container[str]) -> bool:
        """Whether a word with hyphens is a name as a whole: one part is, and the others are rare or small words."""
        parts = word.split("-")
        others = [part for part in parts if part not in names]
        return len(others) < len(parts) and all(
            part.islower() or (part[:1].isupper() and not self.has_piece(SPACE + part)) for part in others
        )

    def is_unusual(self, word: str) -> bool:
        """Whether the pieces of a word have few characters.

        A word in capitals is unusual if its form with one capital is: `NOT` is not a name, but `BMW` is.
        """
        found = self._unusual.get(word)
        if found is None:
            if len(self._unusual) >= REMEMBERED:
                self._unusual.clear()
            read = word.capitalize() if word.isupper() else word
            found = self._unusual[word] = len(read) <= UNUSUAL * len(self.encode(read))
        return found

    @cached_property
    def has_capitals(self) -> bool:
        """Whether the text that it was learned from has capitals.

        Of the pieces that begin a word, 30 % have a capital in Tatoeba's German and English, 4 % in French and English
        captions, and none in text in small letters.
        """
        first = [piece[1] for piece in self.pieces(range(len(self))) if len(piece) > 1 and piece[0] == "▁"]
        return sum(map(str.isupper, first)) > 0.01 * sum(map(str.isalpha, first))

    def starts_word(self) -> list[bool]:
        """For each id whether its piece begins a word; special pieces do not."""
        pieces = self.pieces(range(len(self)))
        return [i >= SPECIAL_PIECES and piece.startswith("▁") for i, piece in enumerate(pieces)]


def learn_vocabulary(
    texts: Iterable[str],
    config: VocabularyConfig,
    size: int,
    normalization: str,
    tags: Sequence[str] = (),
    copied_spans: int = 0,
    read: SourceWords | None = None,
) -> Vocabulary:
    """Learn a SentencePiece model from raw text.

    A text too small for `size` pieces gets as many as it supports. The text is read once, and memory does not depend on
    its length: the pieces are learned from a random sample of at most `SAMPLED_CHARACTERS`. Raises UserError when there
    is no text.

        tags: words that become one piece each, for the tags of training sources
        copied_spans: number of pieces that represent spans (`nmt.text.spans`)
        read: the words of the text that models read, which are counted while `texts` is read
    """
    sample, words = _read(texts, copied_spans > 0)
    rule = "identity" if normalization == "identity" else "nmt_nfkc"
    output = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sample),
            model_writer=output,
            model_type=config.model_type,
            vocab_size=size,
            hard_vocab_limit=False,
            character_coverage=config.character_coverage,
            byte_fallback=config.byte_fallback,
            split_digits=config.split_digits,
            normalization_rule_name=rule,
            remove_extra_whitespaces=True,
            pad_id=PAD,
            unk_id=UNK,
            bos_id=BEGIN,
            eos_id=END,
            num_threads=1,  # the result of several threads depends on their timing
            max_sentence_length=CHUNK,
            shuffle_input_sentence=False,
            minloglevel=2,
            **_symbols(tags, SPAN_CHARACTERS[:copied_spans], rule),
        )
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        required = re.search(r"smaller than required_chars\. \d+ vs (\d+)", reason)
        given = SPECIAL_PIECES + (256 if config.byte_fallback else 0) + copied_spans
        least = int(required[1]) if required else given + 1
        if required or size < least:
            raise UserError(
                f"`vocabulary.size` must be at least {least} for this text, to have room for its characters"
                f"{', 256 bytes' if config.byte_fallback else ''} and the special pieces, but is {size} instead"
            ) from None
        reason = re.sub(r"^INTERNAL: \S+ ", "", reason)
        raise UserError(f"vocabulary.size {size} cannot be learned from this text: {reason}") from None
    learned = Vocabulary(output.getvalue())
    return learned.with_lists(words, read or SourceWords()) if copied_spans else learned


def _read(texts: Iterable[str], counted: bool) -> tuple[list[str], Counter[str]]:
    """A sample of the lines of a text, and how often its words occur if they are counted."""
    sample, words = Sample(), WordCounts()
    for text in texts:
        for part in chunks(text):  # SentencePiece skips lines over `max_sentence_length`
            sample.add(part)
        if counted:
            words.add(text)
    if not any(text.strip() for text in sample.texts):
        raise UserError("no text to learn a vocabulary from")
    return sample.texts, words.counts


class Sample:
    """A random sample of lines, in order, that holds all of a short text and a bounded number of characters of any."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._draw = random.Random(SAMPLE_SEED)
        self._keys: list[float] = []  # random numbers; texts below the share are kept, so the sample is uniform
        self._share = 1.0
        self._characters = 0

    def add(self, text: str) -> None:
        key = self._draw.random()
        if key >= self._share:
            return
        self.texts.append(text)
        self._keys.append(key)
        self._characters += len(text)
        while self._characters > SAMPLED_CHARACTERS:
            self._share *= 0.9
            kept = [i for i, key in enumerate(self._keys) if key < self._share]
            self.texts, self._keys = [self.texts[i] for i in kept], [self._keys[i] for i in kept]
            self._characters = sum(map(len, self.texts))


class WordCounts:
    """How often each word of a text occurs, in small letters. Memory is bounded by forgetting rare words.

    When there are too many, those that occurred once so far are forgotten, then those that occurred twice, until half
    of the room is free (Manku & Motwani 2002, "Approximate frequency counts over data streams", in its simplest form).
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def add(self, text: str) -> None:
        self.update(self.words(text))

    def update(self, words: Iterable[str]) -> None:
        self.counts.update(words)
        if len(self.counts) > MOST_COUNTED:
            rare = 0
            while len(self.counts) > MOST_COUNTED // 2:
                rare += 1
                self.counts = Counter({word: count for word, count in self.counts.items() if count > rare})

    def words(self, text: str) -> list[str]:
        return _WORD.findall(text.lower())


class SourceWords(WordCounts):
    """The words that models read, as they are written; the first one of a line is marked: its capital says nothing."""

    FIRST = "^"

    def __init__(self) -> None:
        super().__init__()
        self.shared = SharedWords()

    def count(self, texts: Iterable[str]) -> Iterator[str]:
        """The same texts, whose words are counted on the way."""
        for text in texts:
            self.add(text)
            yield text

    def words(self, text: str) -> list[str]:
        first, *rest = _WORD.findall(text) or [""]
        return [self.FIRST + first, *rest]

    def listed(self) -> Iterator[tuple[str, int]]:
        """The usual form of each word, which has capitals if it nearly always has them inside lines, and its count."""
        counts, forms = Counter[str](), defaultdict[str, Counter[str]](Counter)
        for word, count in self.counts.items():
            form = word.removeprefix(self.FIRST)
            counts[form.lower()] += count
            if form is word:
                forms[form.lower()][form] = count
        for small, count in counts.most_common(MOST_READ):
            usual, times = max(forms[small].items(), key=lambda one: one[1], default=(small, 0))
            clear = times >= max(FEWEST_CAPITALS, USUAL_CAPITAL * forms[small].total())
            if small != small.upper():  # not in a script without capitals
                yield usual if clear else small, count

    def compare(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Count which words with a capital the translations of their lines have as well."""
        for source, target in pairs:
            self.shared.compare(source, target)

    def names(self) -> Iterator[str]:
        """The words that are names: with a capital, with the same form in translations, and rare."""
        for key in self.shared.counts:
            word = key.removesuffix(SharedWords.SAME)
            if word is not key and self.may_be_name(word):
                yield word

    def may_be_name(self, word: str) -> bool:
        """Whether a word is rare, mostly the same in translations, and mostly has a capital, as far as it occurs."""
        same, other = self.shared.counts[word + SharedWords.SAME], self.shared.counts[word]
        small, total = self.counts[word.lower()], same + other
        return total < LEARNED_NAME and same >= SHARED * total and 3 * small <= total


class SharedWords(WordCounts):
    """The words with a capital inside sentences; those that the translation has as well are marked."""

    SAME = "="

    def compare(self, source: str, target: str) -> None:
        """Count the words of a line by whether its translation has them."""
        inside = _LETTERS if source == target else _INSIDE  # the same line: a list of names
        words = {word for word in inside.findall(source) if word[0].isupper() and len(word) >= SHORTEST}
        there = set(_LETTERS.findall(target)) if words else ()
        self.update(word + self.SAME if word in there else word for word in words)


def _familiar_words(counts: Counter[str], vocabulary: Vocabulary) -> set[str]:
    """Words that occur LEARNED times and are unusual with a capital; a model copies rarer ones better."""
    words = [word for word, count in counts.most_common(MOST_FAMILIAR) if count >= LEARNED]
    return {word for word in words if vocabulary.is_unusual(word[:1].upper() + word[1:])}


def _familiar_field(words: Iterable[str]) -> bytes:
    """A list of familiar words as a field of a SentencePiece model."""
    return _field(200, FAMILIAR_WORDS + "\n".join(sorted(words)).encode())


def _names_field(names: Iterable[str]) -> bytes:
    """A list of names as a field of a SentencePiece model; nothing if there are none."""
    listed = sorted(names)
    return _field(202, NAMES + zlib.compress("\n".join(listed).encode(), 9)) if listed else b""


def _unpacked(rest: bytes) -> str:
    """The text that is compressed at the beginning of some bytes; empty if it is damaged."""
    try:
        return zlib.decompressobj().decompress(rest, MOST_LISTED).decode("utf-8", "ignore")
    except zlib.error:
        return ""


def _words_field(words: Iterable[tuple[str, int]]) -> bytes:
    """The words that models read and their counts as a field of a SentencePiece model; nothing if there are none."""
    counts, forms = Counter[str](), dict[str, str]()
    for form, count in words:
        counts[form.lower()] += count
        forms.setdefault(form.lower(), form)
    lines = [f"{forms[word]} {count}" for word, count in sorted(counts.items(), key=lambda one: (-one[1], one[0]))]
    return _field(201, READ_WORDS + zlib.compress("\n".join(lines).encode(), 9)) if lines else b""


def _field(number: int, content: bytes) -> bytes:
    """A field of a protocol buffer with bytes; 200 and above are left to others in a SentencePiece model."""
    return _integer(number << 3 | 2) + _integer(len(content)) + content


def _integer(value: int) -> bytes:
    """An integer of a protocol buffer: 7 bits a byte, the lowest first."""
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + _integer(value >> 7)


def _symbols(tags: Sequence[str], characters: str, rule: str) -> dict[str, Any]:
    """SentencePiece's setting for given pieces: normalised tags with the space before them, and characters."""
    if not tags and not characters:
        return {}
    normalizer = sentencepiece.SentencePieceNormalizer(
        rule_name=rule, add_dummy_prefix=True, escape_whitespaces=True, remove_extra_whitespaces=True
    )
    symbols = dict.fromkeys(str(normalizer.normalize(tag)) for tag in tags)
    return {"user_defined_symbols": [*symbols, *characters]}
