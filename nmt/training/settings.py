"""Which settings may change when a run continues from its own state or starts from another model's weights."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from nmt.config import SECTIONS, Config
from nmt.config.fields import OF_TRAINING, REGULARIZATION
from nmt.data.noise import SETTINGS as NOISES
from nmt.errors import UserError
from nmt.model_folder import ModelFolder, open_model, vocabulary_files
from nmt.sizing import AUTO
from nmt.text.vocabulary import Vocabulary

ORDER = frozenset(
    {"training.batch_size", "training.batch_unit", "training.truncation", "data.weight", "data.extra"}
    | {"training.source_sampling", "training.target_sampling", "training.noise"}
    | {f"training.{name}" for name in NOISES}
)
"""Settings that determine the batches of an epoch: if one changes, the epoch starts again."""

Changes = dict[str, tuple[Any, Any]]  # changed settings by name (`section.key`), with the old and the new value


def changed_settings(stored: Config, config: Config) -> Changes:
    old, new = asdict(stored), asdict(config)
    return {
        f"{section}.{key}": (old[section][key], value)
        for section in SECTIONS
        for key, value in new[section].items()
        if old[section][key] != value
    }


def check_resumed(stored: Config, config: Config, output: Path) -> Changes:
    """The settings of a resumed run that differ from those with which it was started.

    Everything about data, training and decoding may change, but for the seed: the data are known by the checksum of
    their pieces (see `Run`). Raises UserError where the weights would mean something else.
    """
    if stored.task != config.task:
        raise UserError(f"`{output}` was started with other settings (task); resume needs the same")
    changes = changed_settings(stored, config)
    if "training.seed" in changes:
        old, new = changes["training.seed"]
        raise UserError(
            f"`{output}` was started with `training.seed` {old}, not {new}; another seed is another run, with another "
            "--output"
        )
    files = vocabulary_files(config)
    for name, file in (("vocabulary.source", files[0]), ("vocabulary.target", files[-1])):
        given = changes[name][1] if name in changes else None
        if given and Vocabulary.load(given).checksum == Vocabulary.load(output / "state" / file).checksum:
            del changes[name]  # the same vocabulary at another path
    wrong = [
        f"{name} was {old!r}, but is {new!r}"
        for name, (old, new) in changes.items()
        if name.startswith("vocabulary.") or (name.startswith("model.") and name[6:] not in REGULARIZATION)
    ]
    if wrong:
        raise UserError(
            f"`{output}` was started with other settings ({'; '.join(wrong)}), and its weights depend on them; resume "
            "needs the same, or start anew with another --output"
        )
    return changes


def open_start(config: Config) -> ModelFolder | None:
    """The model folder that a run starts from, if any; raises UserError with all settings that must be the same."""
    name = config.training.start_from
    if name is None:
        return None
    folder = open_model(name)
    if folder.config.task != config.task:
        raise UserError(
            f"`training.start_from`: `{name}` is of task {folder.config.task}, but must be of {config.task}"
        )
    given = [Vocabulary.load(path) for path in (config.vocabulary.source, config.vocabulary.target) if path]
    own = [folder.source_vocabulary, folder.target_vocabulary][: len(given)]
    if [vocabulary.checksum for vocabulary in given] != [vocabulary.checksum for vocabulary in own]:
        raise UserError(
            f"`vocabulary.source` and `vocabulary.target` must be unset, or the very vocabulary of `{name}`, with "
            "`training.start_from`"
        )
    free = {f"model.{key}" for key in OF_TRAINING} | {"vocabulary.source", "vocabulary.target"}
    odd = [
        f"{setting} is {there!r} there, but {here!r} here"
        for setting, (there, here) in changed_settings(folder.config, config).items()
        if setting.startswith(("model.", "vocabulary.")) and setting not in free and there != AUTO
    ]
    if odd:
        raise UserError(f"`training.start_from`: `{name}` has other settings, write the same here: {'; '.join(odd)}")
    return folder
