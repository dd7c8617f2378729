"""What `auto` means for a training: open settings get values by its text, its vocabulary, its start and its device."""

from __future__ import annotations

from dataclasses import replace

import torch

from nmt.config import Config, check_config
from nmt.errors import UserError
from nmt.model_folder import open_model
from nmt.network.precision import gains_by_bf16
from nmt.sizing import FEW_PAIRS, FEW_WORDS, Amount, adopt, open_settings, resolve
from nmt.tasks.task import Say
from nmt.text.vocabulary import Vocabulary

SHOWN = {
    "vocabulary.size": "vocabulary of {:,} pieces",
    "model.hidden_size": "hidden size {}",
    "model.dropout": "dropout {}",
    "training.epochs": "{} epochs",
    "training.batch_size": "batches of {:,} {}",
    "training.precision": "{}",
}
"""The settings that depend on the text or the device most, as the line about them names them."""


def resolve_for_training(config: Config, device: torch.device, say: Say, amount: Amount | None = None) -> Config:
    """The configuration with a value for each open setting; the text is read only if there is one. A line says what.

    What is fixed by a model folder that the training starts from is as it is there. Raises UserError when a chosen
    value does not go with the others, and what reading the text raises.

        amount: the amount of training text, if it is known already
    """
    if not open_settings(config):
        return config
    amount = amount or config.kind.load_task().measure(config)
    vocabulary, start = config.vocabulary, config.training.start_from
    resolved = config
    if start is not None:
        folder = open_model(start)
        resolved = replace(adopt(config, folder.config), training=config.training)
        amount = amount._replace(pieces=len(folder.target_vocabulary))
    elif vocabulary.source is not None:
        amount = amount._replace(pieces=len(Vocabulary.load(vocabulary.target or vocabulary.source)))
    resolved = resolve(resolved, amount._replace(precision="bf16" if gains_by_bf16(device) else "fp32"))
    mistakes = check_config(resolved)
    if mistakes:
        raise UserError("settings that are `auto` do not go with the others, set them: " + "; ".join(mistakes))
    say(_chosen(config, resolved, amount))
    for line in _warning(config, amount):
        say(line)
    return resolved


def _chosen(config: Config, resolved: Config, amount: Amount) -> str:
    """One line: the amount of text, and what was chosen for it."""
    unit: str = resolved.training.batch_unit
    if config.task == "language_model":
        text, unit = f"{amount.words:,} words", "streams" if unit == "sentences" else unit
    else:
        text = f"{amount.pairs:,} {config.kind.examples}, {amount.words:,} {config.source_unit}s"
    names = open_settings(config)
    shown = [
        form.format(getattr(getattr(resolved, name.split(".")[0]), name.split(".")[1]), unit)
        for name, form in SHOWN.items()
        if name in names
    ]
    rest = [name for name in names if name not in SHOWN]
    if shown and rest:
        shown.append(f"{len(rest)} other setting{'s' if len(rest) > 1 else ''}")
    chosen = ", ".join(shown or rest)
    return f"chosen for {text}: {chosen} (`auto` in the configuration; docs/configuration.md)"


def _warning(config: Config, amount: Amount) -> list[str]:
    """A line where the text is too little for a model of use."""
    if config.training.start_from is not None or not config.kind.decoder or config.reads_vectors:
        return []
    if config.task == "language_model":
        few, what, wanted = amount.words < FEW_WORDS, f"{amount.words:,} words", f"{FEW_WORDS:,}"
    else:
        few, what, wanted = amount.pairs < FEW_PAIRS, f"{amount.pairs:,} pairs", f"{FEW_PAIRS:,}"
    line = f"warning: {what} are too few for a useful model: it takes {wanted} at least, better ten times as many"
    return [line] * few
