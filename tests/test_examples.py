"""The programs of examples/ on small sizes: their equations hold, and they learn what they are there to show."""

from __future__ import annotations

import random
import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import memory_network
import scene_questions
import spiking_gru
import variational_autoencoder
from nmt.config import VocabularyConfig
from nmt.data.captions import captions
from nmt.network.cells import CELLS
from nmt.text.vocabulary import Vocabulary, learn_vocabulary

EXAMPLES = Path(__file__).parent.parent / "examples"
PAGE = EXAMPLES / "README.md"
PROGRAMS = sorted(EXAMPLES.glob("*.py"))


@pytest.fixture(scope="module")
def sentences() -> list[str]:
    return [text for (text,) in captions("en")["train"][:300]]


@pytest.fixture(scope="module")
def vocabulary(sentences: list[str]) -> Vocabulary:
    return learn_vocabulary(sentences, VocabularyConfig(byte_fallback=False), 120, "identity")


@pytest.fixture(autouse=True)
def cells_as_before() -> Iterator[None]:
    """The spiking cell is for its own tests: others go through all cells of the package."""
    yield
    CELLS.pop(spiking_gru.SpikingGRU.name, None)


# A memory network


def test_the_supporting_sentences_alone_decide_the_answer() -> None:
    """Every person's place in a story without the other sentences is the same."""
    rng = random.Random(3)
    for number in range(200):
        facts = 1 + number % 2
        story = memory_network.make_story(rng, facts)
        assert len(story.support) == facts
        needed = [story.sentences[line].split() for line in story.support]
        assert needed[-1][-1] == story.answer and needed[-1][1] == "went"
        assert story.question.split()[-1] == needed[0][0 if facts == 1 else -1]
        assert needed[0][0] == needed[-1][0]
        later = story.sentences[story.support[-1] + 1 :]
        assert not any(sentence.startswith(f"{needed[0][0]} went") for sentence in later)


def test_a_hop_of_memory_is_the_equation_and_padding_changes_nothing() -> None:
    torch.manual_seed(1)
    model = memory_network.MemoryNetwork(8, hops=1).eval()
    rng = random.Random(1)
    stories = [memory_network.make_story(rng, 2) for _ in range(20)]
    logits, attended = model(*memory_network.batch(stories)[:2])
    short = min(range(20), key=lambda place: len(stories[place].sentences))
    texts = stories[short].sentences[::-1]
    assert len(texts) < memory_network.LONGEST_STORY
    ids = torch.tensor([memory_network.to_ids(text) for text in texts])
    u = model.vectors(0, torch.tensor(memory_network.to_ids(stories[short].question)))
    m, c = (model.vectors(n, ids) + model.times[n].weight[: len(texts)] for n in (0, 1))
    p = torch.softmax(m @ u, 0)
    torch.testing.assert_close(attended[short, 0, : len(texts)], p)
    torch.testing.assert_close(logits[short], (u + p @ c) @ model.words[1].weight.t())


def test_a_memory_network_learns_to_look_at_the_right_sentence() -> None:
    model = memory_network.train(hops=1, updates=250, linear_start=0)
    right, found = memory_network.evaluate(model, 1, 200)
    guessed, nothing = memory_network.evaluate(memory_network.MemoryNetwork(32, 1), 1, 200)
    assert right > 0.6 > 0.4 > guessed and found > 0.6 > nothing
    assert "(right: " in memory_network.show(model, memory_network.make_story(random.Random(1), 1))


# Questions about a scene


def test_answers_follow_from_the_scene() -> None:
    """A scene turned by 180 degrees has the opposite positions and the same other answers."""
    rng = random.Random(2)
    for number in range(300):
        kind = scene_questions.KINDS[number % 5]
        question = scene_questions.make_question(rng, kind)
        turned = {8 - place: thing for place, thing in question.scene.items()}
        asked = None
        while asked is None or asked[0] != question.text:  # the same question about the other scene
            asked = scene_questions.ask(turned, kind, rng)
        opposite = {"yes": "no", "no": "yes"} if kind == "position" else {}
        assert asked[1] == opposite.get(question.answer, question.answer)


def test_a_scene_reader_beats_the_most_frequent_answers() -> None:
    model = scene_questions.train(updates=150, hidden_size=64, batch_size=60)
    rng = random.Random("test")
    asked = [scene_questions.make_question(rng, kind) for kind in ("colour", "shape") for _ in range(200)]
    right = scene_questions.share_right(scene_questions.predict(model, asked), asked)
    blind = [question._replace(scene=other.scene) for question, other in zip(asked, asked[1:] + asked[:1], strict=True)]
    without = scene_questions.share_right(scene_questions.predict(model, blind), asked)
    assert right > scene_questions.share_right(scene_questions.guesses(asked), asked) > 0
    assert right > without + 0.1
    assert scene_questions.draw({0: ("red", "circle")}).startswith("red circle")


# A spiking GRU


def test_a_spike_is_a_step_whose_gradient_is_the_surrogates() -> None:
    x = torch.tensor([-2.0, -0.1, 0.0, 0.1, 2.0], requires_grad=True)
    spikes = spiking_gru.Spike.apply(x)
    assert spikes.tolist() == [0, 0, 0, 1, 1]
    spikes.sum().backward()
    slope = 1 / (1 + spiking_gru.SHARPNESS * x.detach().abs()) ** 2
    torch.testing.assert_close(x.grad, slope)


def test_a_spiking_layer_computes_the_equations() -> None:
    model = spiking_gru.make_model("spiking_gru", 20, hidden_size=6)
    layer = model.decoder.layers.at(0)
    cell = layer.cell
    with torch.no_grad():
        cell.weight_hh.mul_(3)
        cell.decay.uniform_(-2, 2)
        cell.bias_ih.uniform_(-1, 3)
    inputs = torch.randn(9, 2, 64)
    outputs, final = layer(inputs, layer.zero_state(inputs))
    (w_z, w_i), (u_z, u_i), (b_z, b_i) = (
        weight.chunk(2) for weight in (cell.weight_ih, cell.weight_hh, cell.bias_ih + cell.bias_hh)
    )
    s = v = i = torch.zeros(2, 6)
    for x, output in zip(inputs, outputs, strict=True):
        i = torch.sigmoid(cell.decay) * i + x @ w_i.t() + s @ u_i.t() + b_i
        z = torch.sigmoid(x @ w_z.t() + s @ u_z.t() + b_z)
        v = z * v + (1 - z) * i - s
        s = (v > 1).float()
        assert torch.equal(output, s)
    for one, other in zip(final, (s, v, i), strict=True):
        torch.testing.assert_close(one, other)
    assert 0 < outputs.mean() < 1


def test_a_spiking_language_model_learns(sentences: list[str], vocabulary: Vocabulary) -> None:
    text = spiking_gru.read(sentences, vocabulary)
    model = spiking_gru.make_model("spiking_gru", len(vocabulary), hidden_size=32)
    spiking_gru.train(model, text, updates=60, streams=16, length=12)
    found = spiking_gru.score(model, sentences, vocabulary)
    assert found.perplexity < 0.8 * spiking_gru.frequencies_only(text, text, len(vocabulary))
    assert 0 < spiking_gru.activity(model, text) < 0.5


# A variational autoencoder


def test_divergence_is_that_of_normal_distributions() -> None:
    mean, log_variance = torch.randn(3, 5), torch.randn(3, 5)
    own = torch.distributions.Normal(mean, (log_variance / 2).exp())
    wanted = torch.distributions.kl_divergence(own, torch.distributions.Normal(0, 1)).sum(-1)
    torch.testing.assert_close(variational_autoencoder.divergence(mean, log_variance), wanted)


def test_a_variational_autoencoder_writes_what_it_has_read(sentences: list[str], vocabulary: Vocabulary) -> None:
    torch.manual_seed(1)
    model, some = variational_autoencoder.Autoencoder(len(vocabulary), 64, 8), sentences[:20]
    variational_autoencoder.train(model, some * 4, vocabulary, 100, annealing=1.0, word_dropout=0.5, learning_rate=0.01)
    model.eval()
    points = variational_autoencoder.means(model, some, vocabulary)
    written = model.write(points, vocabulary)
    own = variational_autoencoder.common_words(some, written)
    assert own > variational_autoencoder.common_words(some, written[1:] + written[:1]) + 0.1
    path = variational_autoencoder.interpolate(points[0], points[1], 4)
    torch.testing.assert_close(path[1] - path[0], path[3] - path[2])
    assert [model.write(path, vocabulary)[end] for end in (0, -1)] == written[:2]
    with torch.no_grad():
        (own_loss, divergence), (other_loss, same) = (
            model(variational_autoencoder.whole(some, vocabulary), n) for n in (0, 1)
        )
    assert own_loss < other_loss and divergence == same  # the point says something of its sentence


# All of them


def test_the_page_lists_every_example_and_its_command() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert set(re.findall(r"\]\((\w+\.py)\)", page)) == {program.name for program in PROGRAMS}
    for program in PROGRAMS:
        lines = program.read_text(encoding="utf-8").splitlines()
        assert f"python examples/{program.name}" in page and any(
            line.strip().startswith(f"python examples/{program.name}") for line in lines
        )
        assert len(lines) < 200 or program.name == "written_out.py"


def test_an_example_runs_from_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["memory_network.py", "--updates", "3"])
    runpy.run_path(str(EXAMPLES / "memory_network.py"), run_name="__main__")
    printed = capsys.readouterr().out
    assert "hops 3, facts 2" in printed and "processor time" in printed
