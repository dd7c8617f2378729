"""Word vectors: what a file says is what the pieces get, and what is wrong with it has a line number."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from nmt.config import VocabularyConfig
from nmt.errors import UserError
from nmt.network.word_vectors import load_into, read_embeddings
from nmt.text.vocabulary import SPECIAL_PIECES, Vocabulary, learn_vocabulary

SIZE = 3


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    """Its pieces are whole words (`▁Hund`, `▁HUND`, `▁hund`, `▁Mann`), parts (`hund`, `Mann`), `▁` and letters."""
    texts = ["Hund Mann", "HUND hund Mann", "Hund hund HUND"] * 50
    config = VocabularyConfig(model_type="bpe", byte_fallback=False)
    return learn_vocabulary(texts, config, 40, "identity")


def write(folder: Path, text: str, name: str = "x.vec") -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def lines(words: dict[str, list[float]]) -> str:
    return "".join(f"{word} {' '.join(map(str, vector))}\n" for word, vector in words.items())


def row(vocabulary: Vocabulary, matrix: np.ndarray, piece: str) -> list[float]:
    return matrix[vocabulary.pieces(range(len(vocabulary))).index(piece)].tolist()


def fails(text: str) -> pytest.RaisesExc:
    """UserError whose message holds this text, and is one line."""
    return pytest.raises(UserError, match=r"\A[^\n]*" + re.escape(text) + r"[^\n]*\Z")


WORDS = {"Hund": [1.0, -2.5, 3e-2], "u": [4.0, 5.0, 6.0], "Katze": [7.0, 8.0, 9.0], "</s>": [0.0, 0.0, 0.0]}


@pytest.mark.parametrize("name", ["x.vec", "x.txt.gz"])
@pytest.mark.parametrize("header", ["", "4 3\n"])
@pytest.mark.parametrize("ending", ["\n", " \n", "\r\n"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_all_formats_say_the_same(
    tmp_path: Path, vocabulary: Vocabulary, name: str, header: str, ending: str, start: str
) -> None:
    path = write(tmp_path, start + header + lines(WORDS).replace("\n", ending), name)
    matrix, found = read_embeddings(path, vocabulary, SIZE)
    assert matrix.shape == (len(vocabulary), SIZE) and matrix.dtype == np.float32
    assert found == 2  # the special piece </s> takes none, and there is no piece for `Katze`
    assert np.isnan(matrix).all(1).sum() == len(vocabulary) - 2 == np.isnan(matrix).any(1).sum()
    assert row(vocabulary, matrix, "▁Hund") == pytest.approx(WORDS["Hund"])
    assert row(vocabulary, matrix, "u") == WORDS["u"]


def test_a_word_as_it_is_comes_before_its_lower_case(tmp_path: Path, vocabulary: Vocabulary) -> None:
    hund, other, mann = [1.0, 1.0, 1.0], [2.0, 2.0, 2.0], [3.0, 3.0, 3.0]
    for words in ({"Hund": hund, "hund": other}, {"hund": other, "Hund": hund}):
        matrix, found = read_embeddings(write(tmp_path, lines(words)), vocabulary, SIZE)
        assert row(vocabulary, matrix, "▁Hund") == hund
        assert row(vocabulary, matrix, "▁hund") == row(vocabulary, matrix, "▁HUND") == other
        assert found == 4  # and `hund`
    matrix, found = read_embeddings(write(tmp_path, lines({"mann": mann, "d": other})), vocabulary, SIZE)
    assert row(vocabulary, matrix, "▁Mann") == mann
    assert found == 2  # a piece inside a word is taken as it is: `Mann` is not `mann`, nor `D` `d`


def test_the_first_of_equal_words_counts(tmp_path: Path, vocabulary: Vocabulary) -> None:
    path = write(tmp_path, "Hund 1 2 3\nHund 4 5 6\n")
    assert row(vocabulary, read_embeddings(path, vocabulary, SIZE)[0], "▁Hund") == [1, 2, 3]


def test_odd_lines_that_are_no_mistake(tmp_path: Path, vocabulary: Vocabulary) -> None:
    """A word with spaces (GloVe), a word cut within a character (word2vec), no word at all, tabs, blank lines."""
    path = tmp_path / "x.txt"
    odd = [b"a b c 1 2 3", b"M\xc3 1 2 3", b" 1 2 3", b"\xc2\xa0 1 2 3", b"", b"Hund\t1  2 3", b"Mann 4 5 6", b""]
    path.write_bytes(b"\n".join(odd))
    matrix, found = read_embeddings(path, vocabulary, SIZE)
    assert found == 3  # `▁Hund`, `▁Mann`, `Mann`
    assert row(vocabulary, matrix, "▁Hund") == [1, 2, 3]
    assert row(vocabulary, matrix, "▁Mann") == [4, 5, 6]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2 5\nHund 1 2 3 4 5\n", "line 1: the vectors have 5 numbers, but `model.embedding_size` is 3; set it to 5"),
        ("Hund 1 2\nMann 1 2\n", "line 1: the vectors have 2 numbers, but `model.embedding_size` is 3; set it to 2"),
        ("Hund 1 2 3\nMann 1 2\n", "line 2 must be a word and 3 numbers with spaces between them, but has 3 fields"),
        ("2 3\nHund 1 2 3\nMann 1 2 3 4\n", "line 3 must be a word and 3 numbers"),
        ("2 3\nHund 1 2\n", "line 2 must be a word and 3 numbers"),
        ("Das ist Text.\n", "line 1: the vectors have 2 numbers"),
        ("Text\n", "line 1 must be a word and 3 numbers with spaces between them, but has 1 fields instead"),
        ("Hund 1 2 drei\n", "line 1 must have finite numbers behind its word, but has `drei` instead"),
        ("Hund 1 nan 2\n", "line 1 must have finite numbers behind its word, but has `nan` instead"),
        ("Hund 1 2 1e40\n", "line 1 must have finite numbers behind its word, but has `1e40` instead"),
    ],
)
def test_mistakes_have_line_numbers(tmp_path: Path, vocabulary: Vocabulary, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with fails(f"`{path}` {message}"):
        read_embeddings(path, vocabulary, SIZE)


def test_files_that_cannot_be_read(tmp_path: Path, vocabulary: Vocabulary) -> None:
    with fails(f"the file of word vectors `{tmp_path}/none.vec` does not exist"):
        read_embeddings(tmp_path / "none.vec", vocabulary, SIZE)
    with fails("cannot be read: Is a directory"):
        read_embeddings(tmp_path, vocabulary, SIZE)
    path = write(tmp_path, lines(WORDS) * 1000, "x.vec.gz")
    path.write_bytes(path.read_bytes()[:-12])
    with fails("x.vec.gz` cannot be read: Compressed file ended"):
        read_embeddings(path, vocabulary, SIZE)


def test_load_into_overwrites_what_is_found(tmp_path: Path, vocabulary: Vocabulary) -> None:
    path = write(tmp_path, lines(WORDS))
    matrix, found = read_embeddings(path, vocabulary, SIZE)
    weight = torch.nn.Parameter(torch.randn(len(vocabulary), SIZE, dtype=torch.float64))
    before = weight.detach().clone()
    said = load_into(weight, path, vocabulary)
    assert said == f"{found} of {len(vocabulary)} pieces start from their vectors in `{path}`"
    known = torch.from_numpy(~np.isnan(matrix[:, 0]))
    assert torch.equal(weight[~known], before[~known])
    assert torch.equal(weight[known], torch.from_numpy(matrix).double()[known])
    load_into(weight, path, vocabulary, scale=4)
    assert torch.equal(4 * weight[known], torch.from_numpy(matrix).double()[known])
    assert not known[:SPECIAL_PIECES].any() and weight.requires_grad and weight.is_leaf
    with fails("has no word that is one of the"):
        load_into(weight, write(tmp_path, lines({"Katze": [1, 2, 3]})), vocabulary)
