"""Data diversification: more training pairs from translations of the training text by models of both directions.

Nguyen et al. (2020), section 3, https://arxiv.org/abs/1911.01986. On sentence pairs (S, T), models F_i are trained from
S to T and models B_i from T to S. A final model learns from the pairs and from the models' translations of them,

    (S, T)  +  sum_i (S, F_i(S))  +  sum_i (B_i(T), T)

No other text is needed. F_i(S) says the same as T in a simpler form, which is easier to learn (sequence-level
distillation, Kim & Rush 2016, https://arxiv.org/abs/1606.07947); B_i(T) is a paraphrase of the source. The pairs serve
for both directions: (S, F_i(S)) for one direction is a back-translation for the other.

With a joint vocabulary, all models start from one that learned both directions at once (Ding et al. 2021,
https://arxiv.org/abs/2109.07780): this gives a lower perplexity than random weights after the same training time.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from nmt.config import Config, DataConfig, SourceConfig
from nmt.data.corpus import load_pairs
from nmt.errors import TrainingError, UserError
from nmt.export.exporter import export_model, require_onnx
from nmt.model_folder import open_model, write_atomically
from nmt.network.torch_engine import find_device
from nmt.tasks.resolving import resolve_for_training
from nmt.tasks.task import Say
from nmt.text.reading import read_lines
from nmt.training.loop import train
from nmt.training.run_folder import STATE
from nmt.translation.line_stream import translate_stream
from nmt.translation.translator import Translator

Pair = tuple[str, str]


def diversify(
    config: Config, output: Path, models: int = 1, *, device: str = "cpu", threads: int | None = None, say: Say
) -> None:
    """Train models of both directions and write the pairs that result from translating the training text.

    The folder gets the files SOURCE-TARGET.SOURCE and SOURCE-TARGET.TARGET for the pairs (S, F(S)), and files
    TARGET-SOURCE for the pairs (B(T), T): two splits that `[[data.extra]]` can name. Blank lines, pairs of the training
    text itself and repeated ones are left out. The runs and translations are kept in the same folder (SOURCE-TARGET-1,
    ...). What exists already for the same text is not made again, and an interrupted training continues. On a CPU the
    models translate as 8-bit exports (`nmt.export.exporter`).

    With a joint vocabulary a model of both directions at once is trained first, in the folder `both`, for half as many
    epochs, and the others start from its last weights, unless the configuration has a `training.start_from`.

        config: of the models, in one of the two directions
        models: how many in each direction; they differ by their seeds, which count up from the configuration's

    Raises UserError when the configuration is not one of a translation model, and what training and search raise.
    """
    if config.task != "translation":
        title = config.kind.title
        raise UserError(f"the configuration must be that of a translation model, but is a {title}'s")
    if models < 1:
        raise UserError(f"`models` must be at least 1, but is {models} instead")
    if config.training.start_from is not None and not config.vocabulary.joint:
        raise UserError("`training.start_from` needs a joint vocabulary here: models of both directions start from it")
    if device == "cpu":
        require_onnx()  # fail now rather than after the first training
    config = resolve_for_training(config, find_device(device), say)
    pairs = load_pairs(replace(config.data, extra=[]), "train")
    text: list[Pair] = list(zip(pairs["source"], pairs["target"], strict=True))
    if config.vocabulary.joint and config.training.start_from is None:
        _train(both_directions(config), output / "both", device, threads, say)
        start_from = str(output / "both" / "last")
        config = replace(config, training=replace(config.training, start_from=start_from))
    for directed in (config, reverse(config)):
        data = directed.data
        name = f"{data.source}-{data.target}"
        made = []
        for number in range(1, models + 1):
            training = replace(directed.training, seed=directed.training.seed + number - 1)
            made.append(
                _translated(
                    replace(directed, training=training), output / f"{name}-{number}", text, device, threads, say
                )
            )
        new = list(_distinct(text, made))
        for side, language in enumerate((data.source, data.target)):
            lines = "".join(f"{pair[side]}\n" for pair in new)
            write_atomically(output / f"{name}.{language}", lines.encode())
        say(f"`{output / name}`: {len(new)} pairs")
        text = [(target, source) for source, target in text]


def reverse(config: Config) -> Config:
    """The configuration of the opposite direction, with the settings of the two sides swapped."""
    data, vocabulary, model = config.data, config.vocabulary, config.model
    extra = [replace(source, files=_turned(source)) for source in data.extra]
    data = replace(
        data,
        source=data.target,
        target=data.source,
        source_language=data.target_language,
        target_language=data.source_language,
        files=_turned(data),
        extra=extra,
    )
    if vocabulary.target is not None:  # if it is unset, the source vocabulary serves both sides
        vocabulary = replace(vocabulary, source=vocabulary.target, target=vocabulary.source)
    if model.tied_embeddings != "all":
        model = replace(model, source_embeddings=model.target_embeddings, target_embeddings=model.source_embeddings)
    return replace(config, data=data, vocabulary=vocabulary, model=model)


def _turned(source: DataConfig | SourceConfig) -> dict[str, str | list[str]]:
    """The files of each split; for `text`, the files of the two sides are swapped."""
    return {
        split: files[::-1] if source.path == "text" and isinstance(files, list) else files
        for split, files in source.files.items()
    }


def both_directions(config: Config) -> Config:
    """The configuration of a model that learns both directions at once, to start others from.

    Each data source occurs a second time, reversed. As the models that start from this one continue the training, it
    has half as many epochs, and its learning rate decreases only in the last tenth of them.
    """
    data, training = config.data, config.training
    own = SourceConfig(data.path, data.name, data.files, data.train_split, data.weight, data.tag)
    turned = [replace(extra, reversed=not extra.reversed) for extra in (own, *data.extra)]
    training = replace(training, epochs=math.ceil(training.epochs / 2), decay_start=0.9)
    return replace(config, data=replace(data, extra=[*data.extra, *turned]), training=training)


def _train(config: Config, run: Path, device: str, threads: int | None, say: Say) -> Path:
    """The best model of a run, which continues where it was interrupted; resuming refuses other data."""
    return train(config, run, resume=(run / STATE).exists(), device=device, threads=threads, say=say)


def _translated(
    config: Config, run: Path, text: Sequence[Pair], device: str, threads: int | None, say: Say
) -> list[str]:
    """The translation of each source line by a model that is trained first."""
    best = _train(config, run, device, threads, say)
    lines = "".join(f"{source}\n" for source, _ in text).encode()
    path, made_of = run / "translation.txt", run / "translation.sha256"
    checksum = hashlib.sha256(lines).hexdigest()
    if not path.exists() or not made_of.exists() or made_of.read_text() != checksum:
        folder = open_model(best)
        if device == "cpu" and not folder.exported:  # the export takes a minute and translates three times as fast
            try:
                export_model(folder, integers=True, data=config.data, threads=threads, say=say)
            except TrainingError as error:
                say(f"translating in fp32: {error}")
        output = io.BytesIO()
        translator = Translator.load(best, device=device, threads=threads)
        translate_stream(translator, io.BytesIO(lines), output, warn=say)
        made_of.unlink(missing_ok=True)
        write_atomically(path, output.getvalue())
        write_atomically(made_of, checksum.encode())
    return read_lines(path)


def _distinct(text: Sequence[Pair], translations: Sequence[Sequence[str]]) -> Iterator[Pair]:
    """Pairs of each source and its translations that are not blank, not known and not repeated."""
    known = set(text)
    for lines in translations:
        for (source, _), translation in zip(text, lines, strict=True):
            if source.strip() and translation.strip() and (source, translation) not in known:
                known.add((source, translation))
                yield source, translation
