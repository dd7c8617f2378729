"""The engine of search that runs on torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from nmt.config import ModelConfig
from nmt.engine import Best
from nmt.errors import UserError
from nmt.model import TranslationModel
from nmt.model_folder import ModelFolder
from nmt.vocabulary import END, PAD, SPECIAL_PIECES


class TorchEngine:
    """Runs a TranslationModel one target position at a time."""

    def __init__(self, model: TranslationModel) -> None:
        self.model = model
        self.device = model.output_bias.device
        self.names = [
            f"{name}.{depth}" for depth, layer in enumerate(model.decoder.layers) for name in layer.state_names
        ]

    @torch.inference_mode()
    def start(self, sources: Sequence[Sequence[int]]) -> tuple[Any, dict[str, Any]]:
        """Encode sentences: the memory holds their context vectors, the state has one row for each."""
        self.model.eval()
        lengths = torch.tensor([len(ids) + 1 for ids in sources])
        source = torch.full((int(lengths.max()), len(sources)), PAD)
        for row, ids in enumerate(sources):
            source[: len(ids) + 1, row] = torch.tensor([*ids, END])
        context, state = self.model.encode(source.to(self.device), lengths.to(self.device))
        tensors = dict(zip(self.names, (tensor for layer in state for tensor in layer), strict=True))
        return {"context": context}, {"sentence": torch.arange(len(sources), device=self.device), **tensors}

    @torch.inference_mode()
    def step(self, memory: Any, state: dict[str, Any], tokens: np.ndarray) -> tuple[np.ndarray, None, dict[str, Any]]:
        """Log-probabilities [rows, vocabulary] of the next piece behind `tokens` [rows]."""
        log_probs, state = self._step(memory, state, tokens)
        return log_probs.cpu().numpy(), None, state

    @torch.inference_mode()
    def step_best(
        self, memory: Any, state: dict[str, Any], tokens: np.ndarray, k: int
    ) -> tuple[Best, None, dict[str, Any]]:
        """The k best pieces and the end symbol of each row, chosen by torch."""
        log_probs, state = self._step(memory, state, tokens)
        pieces = log_probs[:, SPECIAL_PIECES:]
        best, columns = pieces.topk(min(k, pieces.size(1)))
        end = log_probs[:, END].cpu().numpy()
        return Best(end, best.cpu().numpy(), (columns + SPECIAL_PIECES).cpu().numpy()), None, state

    @torch.inference_mode()
    def select(self, state: dict[str, Any], rows: np.ndarray) -> dict[str, Any]:
        """The state whose row i is the old row rows[i]."""
        index = torch.from_numpy(rows).to(self.device)
        return {name: tensor.index_select(0, index) for name, tensor in state.items()}

    def _step(self, memory: Any, state: dict[str, Any], tokens: np.ndarray) -> tuple[torch.Tensor, dict[str, Any]]:
        sentence = state["sentence"]
        width = len(self.names) // len(self.model.decoder.layers)
        flat = [state[name] for name in self.names]
        layers = [tuple(flat[i : i + width]) for i in range(0, len(flat), width)]
        inputs = torch.from_numpy(tokens).to(self.device)
        log_probs, layers = self.model.step(inputs, layers, memory["context"].index_select(0, sentence))
        after = dict(zip(self.names, (tensor for layer in layers for tensor in layer), strict=True))
        return log_probs, {"sentence": sentence, **after}


def build_model(config: ModelConfig, source_size: int, target_size: int, seed: int) -> TranslationModel:
    """A model with initial weights drawn from the seed."""
    torch.manual_seed(seed)
    return TranslationModel(config, source_size, target_size)


def load_engine(folder: ModelFolder, *, device: str = "cpu", threads: int | None = None) -> TorchEngine:
    """Read a model folder's weights into an engine.

    Raises UserError when they are damaged or do not fit the configuration, or the device is not there.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    model = TranslationModel(folder.config.model, len(folder.source_vocabulary), len(folder.target_vocabulary))
    load_weights(model, folder)
    return TorchEngine(model.to(find_device(device)).eval())


def load_weights(model: TranslationModel, folder: ModelFolder) -> None:
    """Read a model folder's weights into a model of its configuration."""
    try:
        weights = load_file(folder.weights)
    except (SafetensorError, OSError) as error:
        raise UserError(f"model folder `{folder.path}` is damaged: `{folder.weights.name}`: {error}") from None
    expected = {name: tuple(weight.shape) for name, weight in model.named_parameters()}
    found = {name: tuple(weight.shape) for name, weight in weights.items()}
    if expected != found:
        odd = sorted(set(expected.items()) ^ set(found.items()))[0][0]
        raise UserError(
            f"model folder `{folder.path}`: the weights do not fit config.toml, `{odd}` is "
            f"{found.get(odd, 'missing')} but must be {expected.get(odd, 'absent')}"
        )
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(weights[name])


def find_device(name: str) -> torch.device:
    """A torch device by name (`cpu`, `cuda`, `cuda:1`, `mps`); raises UserError when it is not there."""
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # `meta` holds no numbers
    except (RuntimeError, AssertionError):
        raise UserError(f"--device must be one that torch has here (cpu, cuda, ...), but is `{name}` instead") from None
    return device
