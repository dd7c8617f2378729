"""Variations of search, shared by beam search and sampling: they rule pieces out or change which ones are preferred.

A variation sees the pieces of each open hypothesis and the model's log-probabilities of the next piece. It changes a
copy of these in place, the preferences, by which pieces are chosen; minus infinity rules a piece out. The score counts
the log-probability that the model gives to a chosen piece, so a translation's score is always the model's.

To add one, write a subclass of `Variation` here whose `setting` names its option, a field of
`nmt.config.DecodingConfig`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from nmt.config import DecodingConfig
from nmt.search.constraints import Constraints, Phrase, Progress
from nmt.search.engine import Best, Floats, Integers, best_pieces
from nmt.text.vocabulary import BEGIN, END, PAD, SPECIAL_PIECES, UNK

Doubles = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]


class Rows(NamedTuple):
    """The open hypotheses before a step."""

    history: Integers  # the pieces of each, without the begin symbol, [rows, length]
    sentence: Integers  # the sentence of each, [rows]


class Variation(ABC):
    """A variation of search for a batch of sentences. They apply in the order in which `Variations` makes them.

    In beam search the preferences count at the step at which a piece is chosen: a piece that is chosen in spite of them
    costs its hypothesis nothing afterwards.
    """

    setting: ClassVar[str]
    """The option whose value makes the variation, unless it is the default; variations by constraints have none."""
    longest: Integers  # most pieces of a translation, without the end symbol, [sentences]

    @abstractmethod
    def adjust(self, preferences: Floats, log_probs: Floats, rows: Rows) -> None:
        """Change the preferences for the next pieces in place.

        Parameters:
            preferences: [rows, vocabulary], as the earlier variations left them
            log_probs: the model's own, [rows, vocabulary]
        """


class NoRepeatedNgram(Variation):
    """No n-gram of `no_repeat_ngram` pieces occurs twice."""

    setting = "no_repeat_ngram"

    def __init__(self, order: int) -> None:
        self.order = order

    def adjust(self, preferences: Floats, log_probs: Floats, rows: Rows) -> None:
        length, order = rows.history.shape[1], self.order
        if length < order:
            return
        ngrams = sliding_window_view(rows.history, order, axis=1)  # [rows, length - order + 1, order]
        begun = (ngrams[:, :, :-1] == rows.history[:, None, length - order + 1 :]).all(axis=2)
        row, start = np.nonzero(begun)
        preferences[row, ngrams[row, start, -1]] = -np.inf


class RequiredPhrases(Variation):
    """A translation contains its required phrases; only beam search can do this.

    Dynamic beam allocation: Post & Vilar (2018), section 3, https://arxiv.org/abs/1804.06609.
    """

    def __init__(self, phrases: Sequence[Sequence[Phrase]]) -> None:
        self.phrases = phrases
        self._progress: dict[tuple[int, Phrase], Progress] = {}

    def progress(self, sentence: int, read: Phrase) -> Progress:
        """The progress of a hypothesis, computed once for each."""
        known = self._progress.get((sentence, read))
        if known is None:
            last = self.progress(sentence, read[:-1]).after(read[-1]) if read else None
            known = self._progress[sentence, read] = last or Progress(tuple(self.phrases[sentence]))
        return known

    def progress_of(self, rows: Rows) -> list[Progress]:
        reads = map(tuple, rows.history.tolist())
        return [self.progress(sentence, read) for sentence, read in zip(rows.sentence.tolist(), reads, strict=True)]

    def adjust(self, preferences: Floats, log_probs: Floats, rows: Rows) -> None:
        """Allow the next pieces of required phrases, even if they repeat an n-gram."""
        for row, progress in enumerate(self.progress_of(rows)):
            pieces = progress.next_pieces()
            preferences[row, pieces] = log_probs[row, pieces]

    def missing(self, rows: Rows, tokens: Integers) -> Integers:
        """Number of pieces that each row lacks, as it is and after each of its tokens [rows, k]: [rows, 1 + k]."""
        return np.array(
            [
                [progress.missing, *(progress.after(token).missing for token in continuations)]
                for progress, continuations in zip(self.progress_of(rows), tokens.tolist(), strict=True)
            ]
        ).reshape(len(tokens), -1)

    @staticmethod
    def by_banks(missing: Integers, totals: Doubles) -> Integers:
        """The order in which the continuations of a sentence take places.

        A bank is the set of continuations that lack the same number of pieces. The banks share the places evenly; if a
        bank has too few continuations, the others get its places. To do this the banks take turns: first the best
        continuation of each bank, in the order of missing pieces, then the second of each, and so on.

            missing: pieces that each continuation still lacks, best continuation first
            totals: their log-probabilities

        Returns: indices of the continuations; impossible ones come last
        """
        possible, impossible = np.nonzero(totals > -np.inf)[0], np.nonzero(totals == -np.inf)[0]
        bank = missing[possible]
        by_bank = np.argsort(bank, kind="stable")
        turn = np.empty_like(by_bank)  # rank of each continuation within its bank
        turn[by_bank] = np.arange(len(bank)) - np.searchsorted(bank[by_bank], bank[by_bank])
        return np.concatenate((possible[np.lexsort((bank, turn))], impossible))


class ForbiddenPhrases(Variation):
    """A translation contains no forbidden phrase, except in its prefix."""

    def __init__(self, constraints: Sequence[Constraints]) -> None:
        self.constraints = constraints

    def adjust(self, preferences: Floats, log_probs: Floats, rows: Rows) -> None:
        for row, number in enumerate(rows.sentence.tolist()):
            forbidden = self.constraints[number].forbidden
            for pieces in forbidden.blocked(rows.history[row].tolist()) if forbidden else ():
                preferences[row, pieces] = -np.inf


class CopiedSpans(Variation):
    """A translation contains the piece of each span of its source exactly once.

    A hypothesis does not end before; where it would rather end, or has no room for more, it writes what is missing.
    Sentences without spans are free.
    """

    further = 2
    """How many more than the k best pieces are searched for k that are allowed; more are hardly ever ruled out."""

    def __init__(self, constraints: Sequence[Constraints]) -> None:
        self.pieces = np.array(sorted({piece for one in constraints for piece in one.copied + one.not_copied}))
        self.copied = np.array([np.isin(self.pieces, one.copied) for one in constraints])  # [sentences, pieces]
        self.bound = np.array([bool(one.copied) for one in constraints])  # whether a sentence has spans, [sentences]

    def _progress(self, rows: Rows) -> tuple[Booleans, Booleans, Integers]:
        """Which pieces each row must and must not write from now on, [rows, pieces], and how many it must."""
        copied = self.copied[rows.sentence]
        missing = copied & ~(rows.history[:, :, None] == self.pieces).any(axis=1)
        return missing, self.bound[rows.sentence, None] & ~missing, missing.sum(axis=1)

    def _has_to(self, count: Integers, end: Floats, best: Floats, rows: Rows) -> Booleans:
        """Which rows must write a missing piece now: those that would rather end, or have no room for another one."""
        room = self.longest[rows.sentence] - rows.history.shape[1]
        now: Booleans = (count > 0) & ((end >= best) | (room <= count))
        return now

    def adjust(self, preferences: Floats, log_probs: Floats, rows: Rows) -> None:
        """Rule out the spans that are written or are not the source's, and the end while one is missing."""
        missing, excluded, count = self._progress(rows)
        row, piece = np.nonzero(excluded)
        preferences[row, self.pieces[piece]] = -np.inf
        now = self._has_to(count, preferences[:, END], preferences[:, SPECIAL_PIECES:].max(axis=1), rows)
        preferences[count > 0, END] = -np.inf
        preferences[now] = -np.inf
        row, piece = np.nonzero(now[:, None] & missing)
        preferences[row, self.pieces[piece]] = log_probs[row, self.pieces[piece]]

    def among(self, best: Best, rows: Rows, k: int) -> tuple[Best, Integers]:
        """As `adjust`, but from the k + `further` best pieces: the k best that are allowed.

        Returns: with the best pieces, the rows whose best are not known here, because they have to write a missing
        piece, or more than `further` are ruled out
        """
        end, log_probs, tokens = best.end.copy(), best.log_probs[:, :k].copy(), best.tokens[:, :k].copy()
        bound = np.flatnonzero(self.bound[rows.sentence])
        rows = Rows(rows.history[bound], rows.sentence[bound])
        best = Best(best.end[bound], best.log_probs[bound], best.tokens[bound])
        _, excluded, count = self._progress(rows)
        place = np.minimum(np.searchsorted(self.pieces, best.tokens), len(self.pieces) - 1)
        is_excluded = (self.pieces[place] == best.tokens) & np.take_along_axis(excluded, place, 1)
        allowed = np.where(is_excluded, np.float32(-np.inf), best.log_probs)
        unknown = self._has_to(count, best.end, allowed.max(axis=1), rows)
        unknown |= is_excluded.sum(axis=1) > allowed.shape[1] - k
        order = np.argsort(-allowed, axis=1, kind="stable")[:, :k]
        end[bound] = np.where(count > 0, np.float32(-np.inf), best.end)
        log_probs[bound], tokens[bound] = (np.take_along_axis(each, order, 1) for each in (allowed, best.tokens))
        return Best(end, log_probs, tokens), bound[unknown]


class Prefix(Variation):
    """A translation begins with its prefix. It applies last, because it has priority over all other variations."""

    def __init__(self, prefixes: Sequence[Phrase]) -> None:
        self.prefixes = prefixes

    def adjust(self, preferences: Floats, log_probs: Floats, rows: Rows) -> None:
        length = rows.history.shape[1]
        for row, number in enumerate(rows.sentence.tolist()):
            if length < len(self.prefixes[number]):
                piece = self.prefixes[number][length]
                preferences[row] = -np.inf
                preferences[row, piece] = log_probs[row, piece]


class Candidates(NamedTuple):
    """The continuations of each row that compete for places: the end symbol, then pieces."""

    best: Best
    # Subtracted from each in the competition, but not from its score, [rows, 1 + k]; None if nothing is.
    handicap: Doubles | None

    def part(self, rows: slice) -> Candidates:
        best = Best(self.best.end[rows], self.best.log_probs[rows], self.best.tokens[rows])
        return Candidates(best, None if self.handicap is None else self.handicap[rows])

    def with_handicap(self, more: Doubles | None) -> Candidates:
        """The candidates with an additional handicap for the pieces, [rows, k]."""
        if more is None:
            return self
        more = np.pad(more, ((0, 0), (1, 0)))  # none for the end symbol
        return self._replace(handicap=more if self.handicap is None else self.handicap + more)


class Variations:
    """All variations that a batch of sentences needs, and the limits on the length of its translations."""

    def __init__(
        self, decoding: DecodingConfig, constraints: Sequence[Constraints], source_lengths: Sequence[int]
    ) -> None:
        self.required: RequiredPhrases | None = None
        self.each: list[Variation] = []
        """They apply in this order; the prefix comes last, because it has priority over all others."""
        kinds: Sequence[Any] = Variation.__subclasses__()
        for kind in kinds:
            setting = vars(kind).get("setting")
            if setting and (value := getattr(decoding, setting)) != getattr(DecodingConfig, setting):
                self.each.append(kind(value))
        if any(one.required for one in constraints):
            self.required = RequiredPhrases([one.required for one in constraints])
            self.each.append(self.required)
        if any(one.forbidden for one in constraints):
            self.each.append(ForbiddenPhrases(constraints))
        if any(one.copied for one in constraints):
            self.each.append(CopiedSpans(constraints))
        if any(one.prefix for one in constraints):
            self.each.append(Prefix([one.prefix for one in constraints]))
        self.unknown = np.array([one.unknown for one in constraints], np.bool_)
        """Whether the unknown piece may be written, [sentences]."""
        alone = self.each[0] if len(self.each) == 1 and not self.unknown.any() else None
        self.copied = alone if isinstance(alone, CopiedSpans) else None
        """The copied spans, if they are all that binds: then the best pieces are enough at most steps."""
        bind = bool(self.each) or bool(self.unknown.any())
        self.bound: Booleans = self.copied.bound if self.copied else np.full(len(constraints), bind)
        """Whether anything binds a sentence, [sentences]; otherwise the engine may choose its pieces itself."""
        self.least = decoding.min_length  # minimum number of pieces of a translation, without the end symbol
        lengths = zip(source_lengths, constraints, strict=True)
        self.longest = np.array([max(decoding.max_length(n), one.least_length) for n, one in lengths], np.int64)
        """Maximum number of pieces of a translation, without the end symbol, [sentences]."""
        for variation in self.each:
            variation.longest = self.longest

    def preferences(self, log_probs: Floats, rows: Rows) -> Floats:
        """The preferences by which the next piece of each row is chosen, [rows, vocabulary]."""
        preferences = log_probs.copy()
        for variation in self.each:
            variation.adjust(preferences, log_probs, rows)
        preferences[:, [PAD, BEGIN]] = -np.inf
        preferences[~self.unknown[rows.sentence], UNK] = -np.inf
        return preferences

    def candidates(self, log_probs: Floats, rows: Rows, k: int) -> Candidates:
        """The k best pieces of each row, then those of required phrases and the unknown piece if allowed."""
        preferences = self.preferences(log_probs, rows)
        apart = [[UNK] if unknown else [] for unknown in self.unknown[rows.sentence].tolist()]
        if self.required is not None:
            progress = self.required.progress_of(rows)
            apart = [[*one.next_pieces(), *pieces] for one, pieces in zip(progress, apart, strict=True)]
        shape = len(apart), max(map(len, apart), default=0)
        further, preferred = np.full(shape, END), np.full(shape, -np.inf, np.float32)  # -inf pads rows with fewer
        for row, pieces in enumerate(apart):
            further[row, : len(pieces)] = pieces
            preferred[row, : len(pieces)] = preferences[row, pieces]
            preferences[row, pieces] = -np.inf
        best = best_pieces(preferences, k)
        tokens = np.concatenate((np.full((len(apart), 1), END), best.tokens, further), 1)  # [rows, 1 + pieces]
        preferred = np.concatenate((best.end[:, None], best.log_probs, preferred), 1)
        own = np.where(preferred > -np.inf, np.take_along_axis(log_probs, tokens, 1), np.float32(-np.inf))
        handicap = np.subtract(own, preferred, dtype=np.float64, out=np.zeros(own.shape), where=own != preferred)
        best = Best(own[:, 0], own[:, 1:], tokens[:, 1:])
        return Candidates(best, handicap if handicap.any() else None)


def diversity_handicap(symbols: Integers, taken: Sequence[Integers], weight: float) -> Doubles | None:
    """Diverse beam search: at each step the groups search one after another and avoid each other's pieces.

    If earlier groups have just taken a piece n times, n x `diversity` is subtracted from it in the competition for
    places, but not in its score: Vijayakumar et al. (2016), section 3, Hamming diversity,
    https://arxiv.org/abs/1610.02424. The same piece in different sentences is a different symbol.

        taken: the symbols that each earlier group has taken at this step

    Returns: the numbers that are subtracted, in the shape of the symbols; None for the first group
    """
    if not taken:
        return None
    known, times = np.unique(np.concatenate(taken), return_counts=True)
    if not len(known):
        return np.zeros(symbols.shape)
    place = np.minimum(np.searchsorted(known, symbols), len(known) - 1)
    return weight * np.where(known[place] == symbols, times[place], 0.0)
