"""Random segmentations of text into the pieces of a SentencePiece model, reproducible in every process by a seed.

SentencePiece can sample segmentations, but since version 0.2.2 the same seed gives other results in each process (its
generator, absl::BitGen, salts the seed), so a resumed run would not equal an uninterrupted one.
"""

from __future__ import annotations

import bisect
import math
import random
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import accumulate, pairwise

import sentencepiece

UNKNOWN_PENALTY = 10.0  # nats between the rarest piece and a character without a piece, as in SentencePiece

KEPT_WORDS = 1 << 15  # words whose segmentations are cached; the most frequent ones make up nearly all text

Edge = tuple[int, int]  # a piece that ends at a position: its start, and its id, or -1 for a character without a piece


class SubwordSampler:
    """Draws segmentations word by word: no piece crosses a space, so the words of a text are independent.

    unigram: P(segmentation)^alpha over all segmentations of a word (Kudo 2018, equation 8)
    bpe: at each step each possible merge is left out with probability alpha (Provilkov et al. 2020, algorithm 1)
    """

    def __init__(self, processor: sentencepiece.SentencePieceProcessor, alpha: float) -> None:
        self.processor, self.alpha = processor, alpha
        special = (processor.is_control, processor.is_unknown, processor.is_byte, processor.is_unused)
        ids = [i for i in range(processor.get_piece_size()) if not any(is_kind(i) for is_kind in special)]
        self.pieces = {str(processor.id_to_piece(i)): (i, float(processor.get_score(i))) for i in ids}
        self.longest = max(map(len, self.pieces))
        scores = [score for _, score in self.pieces.values()]
        self.unknown_score = min(scores) - UNKNOWN_PENALTY
        merges = all(score.is_integer() for score in scores)  # BPE's scores are ranks, unigram's log-probabilities
        self.draw: Callable[[str, random.Random], list[int]] = self._draw_bpe if merges else self._draw_unigram
        self.edges = lru_cache(KEPT_WORDS)(self._edges)

    def sample(self, texts: Sequence[str], seed: int) -> list[list[int]]:
        """Ids of one segmentation of each text; the same seed draws the same."""
        rng = random.Random(seed)
        normalized = self.processor.normalize(list(texts))  # spaces have become `▁`
        return [[i for word in re.findall("▁?[^▁]+|▁", text) for i in self.draw(word, rng)] for text in normalized]

    def _draw_unigram(self, word: str, rng: random.Random) -> list[int]:
        """Backward sampling: the last piece, then the one before it, up to the start of the word."""
        drawn, position, edges = [], len(word), self.edges(word)
        while position > 0:
            cumulative, ending = edges[position]
            start, piece = ending[bisect.bisect(cumulative, rng.random()) if len(ending) > 1 else 0]
            drawn.append((word[start:position], piece))
            position = start
        return self._ids(drawn[::-1])

    def _edges(self, word: str) -> list[tuple[list[float], list[Edge]]]:
        """Forward filtering: for each position the pieces that end there, with cumulative probabilities.

        The probability of a piece as the last one before a position is that of all segmentations up to there which end
        in it, to the power of alpha, among all segmentations up to there. The last number is left out, as it is 1.
        """
        total = [0.0]  # log of the sum over all segmentations up to a position
        edges: list[tuple[list[float], list[Edge]]] = [([], [])]
        for position in range(1, len(word) + 1):
            logs, ending = [], []
            for start in range(max(0, position - self.longest), position):
                piece, score = self.pieces.get(word[start:position], (-1, self.unknown_score))
                if piece >= 0 or start == position - 1:
                    logs.append(total[start] + self.alpha * score)
                    ending.append((start, piece))
            most = max(logs)
            weights = [math.exp(log - most) for log in logs]
            norm = sum(weights)
            total.append(most + math.log(norm))
            edges.append((list(accumulate(weight / norm for weight in weights[:-1])), ending))
        return edges

    def _draw_bpe(self, word: str, rng: random.Random) -> list[int]:
        """Merge the best of the pairs that were not dropped at random, until no pair is left."""
        parts, pieces = list(word), self.pieces
        while True:
            joined = [left + right for left, right in pairwise(parts)]
            merges = [(pieces[pair][1], -i) for i, pair in enumerate(joined) if pair in pieces]
            kept = [merge for merge in merges if rng.random() >= self.alpha]
            if not kept:
                return self._ids([(part, pieces.get(part, (-1, 0.0))[0]) for part in parts])
            first = -max(kept)[1]  # the best score, the leftmost of equal ones
            parts[first : first + 2] = [joined[first]]

    def _ids(self, drawn: Sequence[tuple[str, int]]) -> list[int]:
        """Ids of the pieces; characters without a piece become bytes, or one unknown piece where there are no bytes."""
        ids: list[int] = []
        unknown = self.processor.unk_id()
        for text, piece in drawn:
            if piece >= 0:
                ids.append(piece)
                continue
            found = [self.processor.piece_to_id(f"<0x{byte:02X}>") for byte in text.encode()]
            if unknown not in found:
                ids += found
            elif ids[-1:] != [unknown]:
                ids.append(unknown)
        return ids
