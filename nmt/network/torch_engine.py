"""The engine of search that runs on torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from nmt.config import Config
from nmt.errors import UserError
from nmt.model_files import check_tensors
from nmt.model_folder import ModelFolder
from nmt.network.decoder import Grid
from nmt.network.encoder_model import EncoderModel
from nmt.network.language_model import LanguageModel
from nmt.network.model import TranslationModel
from nmt.processors import available_processors
from nmt.search.engine import Best, Engine, EngineState, Floats, Integers, Predicted
from nmt.sizing import open_settings
from nmt.text.labels import pad_sources
from nmt.text.vocabulary import END, SPECIAL_PIECES
from nmt.translation.onnx_engine import place_rows

if hasattr(os, "register_at_fork"):
    # The threads of torch are not in a forked child, which would wait for them for ever.
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


def use_threads(threads: int | None) -> None:
    """Set the number of torch's threads; None: at most the number of processors that this process may use."""
    torch.set_num_threads(threads or min(torch.get_num_threads(), available_processors()))


class TorchEngine(Engine):
    """Runs a translation model, or a language model, one target position at a time."""

    def __init__(self, model: TranslationModel | LanguageModel) -> None:
        self.model = model
        self.device = model.output_bias.device

    @property
    def description(self) -> str:
        return f"torch, {self.device.type}"

    @torch.inference_mode()
    def start(self, sources: Sequence[Sequence[int]]) -> tuple[Any, dict[str, Any]]:
        """Encode sentences; for a language model, which has no source, the ids are ignored."""
        self.model.eval()
        rows = np.arange(len(sources))
        if isinstance(self.model, LanguageModel):
            return {}, {"sentence": rows, **self.model.initial_state(len(sources))}
        source, lengths = map(torch.from_numpy, pad_sources(sources))
        memory, state = self.model.encode(source.to(self.device), lengths)
        return self.model.decoder.search_memory(memory), {"sentence": rows, **state}

    @torch.inference_mode()
    def step(self, memory: Any, state: EngineState, tokens: Integers) -> Predicted:
        """Log-probabilities [rows, vocabulary] of the next piece behind `tokens` [rows], and attention weights."""
        log_probs, weights, state = self._step(memory, state, tokens)
        return log_probs.cpu().numpy(), weights, state

    @torch.inference_mode()
    def step_best(
        self, memory: Any, state: EngineState, tokens: Integers, k: int
    ) -> tuple[Best, Floats | None, EngineState]:
        """The k best pieces and the end symbol of each row, chosen by torch."""
        log_probs, weights, state = self._step(memory, state, tokens)
        pieces = log_probs[:, SPECIAL_PIECES:]
        best, columns = pieces.topk(min(k, pieces.size(1)))
        end = log_probs[:, END].cpu().numpy()
        return Best(end, best.cpu().numpy(), (columns + SPECIAL_PIECES).cpu().numpy()), weights, state

    @torch.inference_mode()
    def select(self, state: EngineState, rows: Integers) -> EngineState:
        index = torch.from_numpy(rows).to(self.device)
        return {
            name: tensor[rows] if name == "sentence" else tensor.index_select(0, index)
            for name, tensor in state.items()
        }

    def _step(
        self, memory: Any, state: EngineState, tokens: Integers
    ) -> tuple[torch.Tensor, Floats | None, EngineState]:
        state = dict(state)
        sentence = state.pop("sentence")
        inputs = torch.from_numpy(tokens).to(self.device)
        log_probs, weights, state = self.model.step(inputs, state, memory, self._grid(sentence, memory))
        return log_probs, None if weights is None else weights.cpu().numpy(), {"sentence": sentence, **state}

    def _grid(self, sentence: np.ndarray, memory: dict[str, torch.Tensor]) -> Grid | None:
        """The rows arranged by sentence, or None if row i belongs to sentence i or nothing is remembered."""
        sentences = next((len(tensor) for tensor in memory.values()), 0)
        if not sentences or np.array_equal(sentence, np.arange(sentences)):
            return None
        arrays = *place_rows(sentence, sentences), sentence
        return Grid(*(torch.from_numpy(array).to(self.device) for array in arrays))


def build_model(config: Config, source_size: int, target_size: int, seed: int) -> Any:
    """The network of the configuration's task with initial weights drawn from the seed."""
    torch.manual_seed(seed)
    return config.kind.make_network(config, source_size, target_size)


def load_engine(folder: ModelFolder, *, device: str = "cpu", threads: int | None = None) -> TorchEngine:
    """An engine with a model folder's weights; raises UserError if they do not fit or the device is not there."""
    return TorchEngine(load_network(folder, device, threads))


class TorchLabelEngine:
    """Runs a network without a decoder (as `nmt.prediction.predictor.OnnxLabelEngine`)."""

    def __init__(self, model: EncoderModel) -> None:
        self.model = model
        chain = model.transitions
        self.transitions = None if chain is None else chain.detach().float().cpu().numpy()

    @torch.inference_mode()
    def outputs(self, source: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Log-probabilities or numbers [1 or length, batch, outputs] of padded sources and their lengths [batch]."""
        given = torch.from_numpy(source).to(self.model.output_bias.device)
        found: np.ndarray = self.model.predict(self.model(given, torch.from_numpy(lengths))).cpu().numpy()
        return found


def load_label_engine(folder: ModelFolder, *, device: str = "cpu", threads: int | None = None) -> TorchLabelEngine:
    """Read the weights of a model that writes labels; raises UserError like `load_engine`."""
    return TorchLabelEngine(load_network(folder, device, threads))


def load_network(folder: ModelFolder, device: str, threads: int | None) -> Any:
    """The network of a model folder with its weights, in evaluation mode; raises UserError like `load_engine`."""
    use_threads(threads)
    check_size(folder)
    model = build_model(folder.config, len(folder.source_vocabulary), len(folder.target_vocabulary), 0)
    load_weights(model, folder)
    return model.to(find_device(device)).eval()


def check_size(folder: ModelFolder) -> None:
    """Raises UserError, before a model takes memory, if config.toml describes none or a far larger one."""
    if unknown := [name for name in open_settings(folder.config) if name.startswith("model.")]:
        raise UserError(f"model folder `{folder.path}` is damaged: `config.toml` does not say `{unknown[0]}`")
    model = folder.config.model
    recurrent = model.hidden_size**2 * model.decoder_layers * model.transition_depth
    least = 4 * (recurrent // 4 + model.embedding_size * len(folder.target_vocabulary) // 2)
    if folder.weights.exists() and folder.weights.stat().st_size < least:
        raise UserError(
            f"model folder `{folder.path}`: the weights do not fit config.toml, whose sizes need {least:,} bytes"
        )


def load_weights(model: nn.Module, folder: ModelFolder) -> None:
    """Read a model folder's weights into a model of its configuration."""
    if folder.only_exported:
        raise UserError(f"`{folder.path}` has only an export, and this needs its weights, `{folder.weights.name}`")
    check_tensors(folder.weights)
    try:
        weights = load_file(folder.weights)
    except (SafetensorError, OSError) as error:
        raise UserError(f"model folder `{folder.path}` is damaged: `{folder.weights.name}`: {error}") from None
    own = model_tensors(model)
    expected, found = (
        {name: (str(weight.dtype).removeprefix("torch."), tuple(weight.shape)) for name, weight in tensors.items()}
        for tensors in (own, weights)
    )
    if expected != found:
        odd = sorted(set(expected.items()) ^ set(found.items()))[0][0]
        raise UserError(
            f"model folder `{folder.path}`: the weights do not fit config.toml, `{odd}` is "
            f"{_kind(found.get(odd), 'missing')} but must be {_kind(expected.get(odd), 'absent')}"
        )
    with torch.no_grad():
        for name, weight in own.items():
            weight.copy_(weights[name])


def _kind(tensor: tuple[str, tuple[int, ...]] | None, none: str) -> str:
    """Shape and type of a tensor in words; the usual type is left out."""
    if tensor is None:
        return none
    return f"{tensor[1]}" if tensor[0] == "float32" else f"{tensor[1]} {tensor[0]}"


def model_tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    """All that a model folder stores of a model, by name: its weights, shared ones once, and running statistics."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def best_device() -> str:
    """The fastest kind of device that torch finds here."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def find_device(name: str) -> torch.device:
    """A torch device by name (`auto`, `cpu`, `cuda`, `cuda:1`, `mps`); raises UserError when it is not there."""
    try:
        device = torch.device(best_device() if name == "auto" else name)
        torch.zeros(1, device=device).item()  # `meta` holds no numbers
    except (RuntimeError, AssertionError):
        here, why = ["cpu"], ""
        if torch.cuda.is_available():
            here += [f"cuda:{number}" for number in range(torch.cuda.device_count())]
        elif name.partition(":")[0] == "cuda":
            no_cuda = f"the installed torch ({torch.__version__}) was built without CUDA"
            why = f"; {'torch finds no GPU, or no driver for it' if torch.version.cuda else no_cuda}"
        if torch.backends.mps.is_available():
            here.append("mps")
        raise UserError(
            f"--device must be one that torch has here ({', '.join(here)}), but is `{name}` instead{why}"
        ) from None
    return device
