"""The engine of search that runs exported models: ONNX Runtime and numpy, no torch.

The docstring of `nmt.export.onnx_network` lists the inputs and outputs of the graphs. A state holds the tensors of the
last step as they are and, as `parents`, the row of them that each of its rows continues. The next step gathers these
rows, so selecting rows copies nothing. Outputs are written into arrays that we allocate: fetching the runtime's own
took 8 % of a greedy step.
"""

from __future__ import annotations

import copy
import ctypes
import importlib.util
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakSet

import numpy as np
import numpy.typing as npt

from nmt.errors import UserError
from nmt.model_files import check_files, damaged
from nmt.model_folder import EXPORT, ModelFolder, check_export, read_manifest
from nmt.processors import available_processors
from nmt.search.engine import Best, Engine, EngineState, Floats, Integers
from nmt.text.labels import pad_sources
from nmt.text.vocabulary import SPECIAL_PIECES
from nmt.translation.forking import undisturbed
from nmt.translation.graph_file import check_graph

if TYPE_CHECKING:
    import onnxruntime

    from nmt.translation.shortlist import Shortlist


Output = tuple[list[str | int], Any]
"""Shape and type of an output of a graph; a size is a number, or the name of an input's dimension."""


class Tensor(NamedTuple):
    """An array, and the runtime's value for the same memory."""

    array: npt.NDArray[Any]
    value: onnxruntime.OrtValue


@dataclass
class Encoded:
    """The encoded sentences of a batch."""

    sentences: int
    tensors: dict[str, Tensor] = field(default_factory=dict)
    """The inputs of the decoder's graph that do not change from step to step."""
    own: Integers | None = None
    """With a shortlist, the pieces that each sentence may use besides the frequent ones (`Shortlist.own`)."""
    bindings: dict[str, _Binding] = field(default_factory=dict)
    """The graphs with their inputs bound for this batch, by name."""


class OnnxEngine(Engine):
    """Runs an exported model one target position at a time.

        folder: a model folder with an export
        threads: number of processor threads; None: the number of processors for this process

    Raises UserError when the export is damaged.
    """

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        self.folder = folder / EXPORT
        self.threads = threads or available_processors()
        self.manifest = read_manifest(folder)
        check_files(self.folder, self.manifest.get("files", {}))
        self.shortlist = self._load_shortlist() if self.manifest["shortlist"] else None
        self._graphs: dict[str, _Session] = {}
        self._single: OnnxEngine | None = None

    @property
    def description(self) -> str:
        bits = 8 if self.manifest["integers"] else 32
        return f"export, {bits} bits{'' if self.shortlist is None else ', vocabulary shortlist'}"

    def start(self, sources: Sequence[Any]) -> tuple[Encoded, EngineState]:
        """Encode sentences, or vectors: the state has one row for each. Of a language model only the count matters."""
        count = len(sources)
        state: EngineState = {"sentence": np.arange(count), "parents": _in_order(count)}
        memory = Encoded(count)
        if self.manifest["task"] == "language_model":
            for name, size in self.manifest["state"].items():
                state[f"state.{name}"] = tensor(np.zeros((count, size), np.float32))
            return memory, state
        source, lengths = pad_sources(sources)
        encoded = self._graph("encoder").bind().run({"source": tensor(source), "lengths": tensor(lengths)})
        for name, found in encoded.items():
            (memory.tensors if name.startswith("memory.") else state)[name] = found
        if self.shortlist is not None:
            memory.own = self.shortlist.own(sources)
            arrays = self.shortlist.gather(memory.own, "output_weight" in self._graph("shortlist").inputs)
            memory.tensors.update((name, tensor(array)) for name, array in arrays.items())
        return memory, state

    def step(self, memory: Encoded, state: EngineState, tokens: Integers) -> tuple[Floats, Floats | None, EngineState]:
        """Log-probabilities [rows, vocabulary] of the next symbol after `tokens` [rows], and attention weights."""
        found = self._run("rows", memory, state, {"tokens": tensor(tokens)})
        log_probs: Floats = found["log_probs"].array
        if self.shortlist is not None and memory.own is not None:
            allowed = self.shortlist.allowed(memory.own)[state["sentence"]]
            log_probs = np.where(allowed, log_probs, -np.inf)
            log_probs -= _log_of_sum(log_probs)
        return log_probs, _attention(found), self._after(state, found)

    def step_best(
        self, memory: Encoded, state: EngineState, tokens: Integers, k: int
    ) -> tuple[Best, Floats | None, EngineState]:
        """The k best pieces and the end symbol of each row, chosen inside the graph."""
        graph = "best" if self.shortlist is None else "shortlist"
        # A step reads every piece that the one before chose and search took. Negative ids are too large here as well.
        if tokens.view(np.uint64).max(initial=0) >= self.manifest["pieces"] + SPECIAL_PIECES:
            raise UserError(f"the export in `{self.folder}` is damaged: `{graph}.onnx` gives ids of no piece")
        if self.shortlist is None:
            k = min(k, self.manifest["pieces"])
        elif memory.own is not None:
            k = min(k, len(self.shortlist.frequent) + memory.own.shape[1])
        found = self._run(graph, memory, state, {"tokens": tensor(tokens), "k": _number(k)}, k)
        best = Best(found["end"].array, found["best"].array, found["best_tokens"].array)
        return best, _attention(found), self._after(state, found)

    def select(self, state: EngineState, rows: Integers) -> EngineState:
        """The state whose row i is the old row rows[i]."""
        parents = tensor(state["parents"].array[rows])
        selected = {**state, "sentence": state["sentence"][rows], "parents": parents}
        if not np.array_equal(selected["sentence"], state["sentence"]):
            for name in PLACES:
                selected.pop(name, None)
        return selected

    def compact(self, memory: Encoded, state: EngineState) -> tuple[Encoded, EngineState]:
        """Memory and state without the sentences that no row belongs to."""
        kept, sentence = np.unique(state["sentence"], return_inverse=True)
        tensors = {
            name: tensor(value.array.take(kept, axis=0)) if name.startswith(OF_SENTENCES) else value
            for name, value in memory.tensors.items()
        }
        left = Encoded(len(kept), tensors, None if memory.own is None else memory.own[kept])
        return left, {**{name: value for name, value in state.items() if name not in PLACES}, "sentence": sentence}

    def _run(
        self, graph: str, memory: Encoded, state: EngineState, inputs: dict[str, Tensor], k: int = 0
    ) -> dict[str, Tensor]:
        if graph not in memory.bindings:
            memory.bindings[graph] = self._graph(graph).bind()
        if "places" not in state:
            arrays = *place_rows(state["sentence"], memory.sentences), state["sentence"]
            state.update(zip(PLACES, map(tensor, arrays), strict=True))
        return memory.bindings[graph].run({**memory.tensors, **state, **inputs}, k)

    def _after(self, state: EngineState, found: Mapping[str, Tensor]) -> EngineState:
        """The state after a step: new tensors for the same rows."""
        after = {name: found.get(name.replace("state.", "next.", 1), value) for name, value in state.items()}
        after["parents"] = _in_order(len(state["sentence"]))
        return after

    def _graph(self, name: str) -> _Session:
        with LOADING:
            if name not in self._graphs:
                self._graphs[name] = _Session(self.folder / f"{name}.onnx", self.threads, self._outputs(name))
            return self._graphs[name]

    def _outputs(self, graph: str) -> dict[str, Output]:
        """The outputs that a graph must have."""
        if graph == "encoder":
            return {}
        if graph == "rows":
            return {"log_probs": (["rows", self.manifest["pieces"] + SPECIAL_PIECES], np.float32)}
        chosen = {"best": np.float32, "best_tokens": np.int64}
        return {"end": (["rows"], np.float32), **{name: (["rows", "k"], kind) for name, kind in chosen.items()}}

    def check_vocabularies(self, source_size: int, target_size: int) -> None:
        """Raises UserError unless the graphs are for vocabularies of these sizes."""
        made_for = self.manifest["pieces"] + SPECIAL_PIECES
        if made_for != target_size:
            raise UserError(
                f"the export in `{self.folder}` is damaged: it is for {made_for} target pieces, but the vocabulary "
                f"has {target_size}"
            )
        if self.shortlist is not None and len(self.shortlist.translations) != source_size:
            raise UserError(
                f"the export in `{self.folder}` is damaged: its shortlist is for {len(self.shortlist.translations)} "
                f"source pieces, but the vocabulary has {source_size}"
            )

    def _load_shortlist(self) -> Shortlist:
        from nmt.translation.shortlist import Shortlist

        return Shortlist.load(self.folder, self.manifest)

    def side_by_side(self) -> tuple[OnnxEngine, int]:
        """The same engine with one thread for each batch, and the number of batches that may run at the same time."""
        if self.threads == 1:
            return self, 1
        if self._single is None:
            single = copy.copy(self)
            single.threads, single._graphs = 1, {}
            self._single = single
        return self._single, self.threads

    def without_shortlist(self) -> OnnxEngine:
        """The same engine with the whole output layer."""
        if self.shortlist is None:
            return self
        whole = copy.copy(self)
        whole.shortlist = None
        return whole


def _log_of_sum(log_probs: Floats) -> Floats:
    """log sum_j exp(l_j) of each row, [rows, 1]; 15 times as fast as np.logaddexp.reduce, and as exact."""
    peak = log_probs.max(axis=1, keepdims=True)  # finite: the end symbol is always allowed
    total: Floats = peak + np.log(np.exp(log_probs - peak).sum(axis=1, keepdims=True))
    return total


def _attention(found: Mapping[str, Tensor]) -> Floats | None:
    """The attention weights among the outputs of a graph."""
    return found["attention"].array if "attention" in found else None


OF_SENTENCES = ("memory.", "own.", "allowed")
"""Beginnings of the names of inputs whose dimension 0 is the sentence."""
PLACES = ("grid", "places", "sentences")
"""Inputs of the decoder's graphs that change only with the sentences of the rows."""


def tensor(array: npt.NDArray[Any]) -> Tensor:
    """Wrap an array for the runtime; it is not copied if it is contiguous."""
    array = np.ascontiguousarray(array)
    return Tensor(array, _wrapper()(array))


@cache
def _wrapper() -> Callable[[npt.NDArray[Any]], Any]:
    """What makes a value of the runtime; each step of search does so several times."""
    import onnxruntime

    wrap: Callable[[npt.NDArray[Any]], Any] = onnxruntime.OrtValue.ortvalue_from_numpy
    return wrap


@lru_cache(maxsize=16)
def _in_order(rows: int) -> Tensor:
    """The identity permutation: the parents in most steps of greedy search."""
    return tensor(np.arange(rows))


@lru_cache(maxsize=16)
def _number(value: int) -> Tensor:
    return tensor(np.array([value]))


def place_rows(sentences: Integers, count: int) -> tuple[Integers, Integers]:
    """Arrange rows by sentence.

        sentences: the sentence of each row, in any order; count: number of sentences

    Returns: the rows of each sentence, padded with row 0, [count, most rows of a sentence]; the place of each row
    in it, flattened, [rows]
    """
    rows = len(sentences)
    if count == 1:
        places = np.arange(rows)
        return places[None], places
    order = np.arange(rows) if (sentences[1:] >= sentences[:-1]).all() else np.argsort(sentences, kind="stable")
    counts = np.bincount(sentences, minlength=count)
    width = int(counts.max(initial=1))
    rank = np.arange(rows) - np.repeat(np.cumsum(counts) - counts, counts)
    places = np.empty(rows, np.int64)
    places[order] = sentences[order] * width + rank
    grid = np.zeros(count * width, np.int64)
    grid[places] = np.arange(rows)
    return grid.reshape(count, width), places


@cache
def prepare_runtime() -> None:
    """Give all graphs one memory pool, which grows by the requested size and not by powers of two.

    Importing `nmt` switches the runtime's telemetry off; if a program imported the runtime first, this switches it off.
    """
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    kind = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR
    where = onnxruntime.OrtMemoryInfo("Cpu", kind, 0, onnxruntime.OrtMemType.DEFAULT)
    onnxruntime.create_and_register_allocator(where, onnxruntime.OrtArenaCfg(0, 1, -1, -1))


LOADING = RLock()
"""Held while a graph is loaded, and while this process forks."""
SESSIONS: WeakSet[_Session] = WeakSet()
"""All sessions that this process has loaded."""


def _forget_sessions() -> None:
    """Drop the sessions in a forked child, where their threads do not exist.

    Deleting a session would wait for its threads forever, so an extra reference keeps each session from being deleted.
    """
    for session in SESSIONS:
        if session.opened is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(session.opened))
            session.opened = None
    LOADING.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=LOADING.acquire, after_in_parent=LOADING.release, after_in_child=_forget_sessions)


class _Session:
    """A graph in ONNX Runtime, loaded again in a forked child when it is needed there."""

    def __init__(self, path: Path, threads: int, outputs: Mapping[str, Output]) -> None:
        self.path, self.threads = path, threads
        self.opened: onnxruntime.InferenceSession | None = None
        check_graph(path)
        self._read_shapes(outputs)
        SESSIONS.add(self)

    @property
    def session(self) -> onnxruntime.InferenceSession:
        """The runtime's session of this process."""
        with LOADING:
            if self.opened is None:
                self.opened = self._open()
            return self.opened

    def _open(self) -> onnxruntime.InferenceSession:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors
        # The sizes of tensors change with every batch, so memory plans are useless.
        options.enable_mem_pattern = False
        prepare_runtime()
        options.add_session_config_entry("session.use_env_allocators", "1")
        # The probabilities of pieces outside a shortlist underflow, and arithmetic on denormal numbers is slow. The
        # thread that runs a graph continues to treat such numbers as zero afterwards.
        options.add_session_config_entry("session.set_denormal_as_zero", "1")
        # Between runs, its threads would spin on the cores that the next graph or the search needs.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        try:
            # The fallback would only print lines to standard output and try the same again.
            return onnxruntime.InferenceSession(
                self.path, options, providers=["CPUExecutionProvider"], enable_fallback=0
            )
        except Exception as error:  # the runtime raises classes of its own, which it does not name in public
            raise damaged(self.path, error) from None

    def _read_shapes(self, outputs: Mapping[str, Output]) -> None:
        """Read names and shapes of inputs and outputs; raises UserError if one of `outputs` is missing or different."""
        try:
            self.inputs = [value.name for value in self.session.get_inputs()]
            # Output dimensions are numbers or names; a name is a dimension of some input.
            self.outputs: dict[str, Output] = {
                value.name: (value.shape, TYPES[value.type]) for value in self.session.get_outputs()
            }
        except (KeyError, UnicodeDecodeError) as error:
            raise damaged(self.path, f"an output has the type or the name {error}") from None
        if any(isinstance(size, int) and size > LARGEST for shape, _ in self.outputs.values() for size in shape):
            raise damaged(self.path, f"an output has more than {LARGEST:,} numbers in a row")
        for name, expected in outputs.items():
            if self.outputs.get(name) != expected:
                raise damaged(self.path, f"its output `{name}` must be {np.dtype(expected[1])} {expected[0]}")
        named = {size for shape, _ in self.outputs.values() for size in shape if isinstance(size, str)}
        self.sizes = {
            size: (value.name, axis)
            for value in self.session.get_inputs()
            for axis, size in enumerate(value.shape)
            if size in named
        }

    def bind(self) -> _Binding:
        """The graph for one thread."""
        return _Binding(self)


class _Binding:
    """Runs a graph repeatedly; inputs that do not change are bound once."""

    def __init__(self, session: _Session) -> None:
        self.session = session
        self.binding = session.session.io_binding()
        self.bound: dict[str, Tensor] = {}

    def run(self, given: Mapping[str, Tensor], k: int = 0) -> dict[str, Tensor]:
        """All outputs by name, in new arrays.

        given: the inputs by name; others than those of the graph are ignored
        k: size of the dimension `k`, which no input has
        """
        try:
            return self._run(given, k)
        except Exception as error:  # the runtime raises classes of its own, which it does not name in public
            if isinstance(error, MemoryError) or re.search(r"Failed to allocate|bad_alloc|out of memory", str(error)):
                raise MemoryError(str(error).splitlines()[0]) from None
            raise damaged(self.session.path, error) from None

    def _run(self, given: Mapping[str, Tensor], k: int) -> dict[str, Tensor]:
        for name in self.session.inputs:
            if self.bound.get(name) is not given[name]:
                self.bound[name] = given[name]
                self.binding.bind_ortvalue_input(name, given[name].value)
        sizes = {size: given[name].array.shape[axis] for size, (name, axis) in self.session.sizes.items()}
        sizes["k"] = k
        found = {}
        for name, (shape, dtype) in self.session.outputs.items():
            found[name] = tensor(np.empty([sizes.get(size, size) for size in shape], dtype))
            self.binding.bind_ortvalue_output(name, found[name].value)
        session = self.session.session
        with undisturbed:
            session.run_with_iobinding(self.binding)
        return found


TYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64}
"""Types that outputs of graphs may have."""
LARGEST = 1 << 24
"""Largest size of an output of a graph."""


def chosen_device(folder: ModelFolder, device: str) -> str:
    """The device for a model; with `auto` the fastest that torch has here, if torch and weights for it are there."""
    if device != "auto":
        return device
    if not folder.weights.exists() or importlib.util.find_spec("torch") is None:
        return "cpu"
    from nmt.network.torch_engine import best_device

    return best_device()


def load_engine(folder: ModelFolder, device: str = "cpu", threads: int | None = None) -> Engine:
    """The engine of a model folder: its export on a CPU if it has one, else torch.

    Raises UserError when the export does not belong to the weights, or when there is no model for the device.
    """
    device = chosen_device(folder, device)
    if device == "cpu" and folder.exported:
        check_export(folder)
        engine = OnnxEngine(folder.path, threads)
        if engine.manifest["task"] != folder.config.task:
            raise UserError(f"the export in `{engine.folder}` is of another task than `{folder.path / 'config.toml'}`")
        engine.check_vocabularies(len(folder.source_vocabulary), len(folder.target_vocabulary))
        return engine
    if not folder.weights.exists():
        raise UserError(f"`{folder.path}` has no weights, only an export, which runs on `cpu` and not on `{device}`")
    from nmt.network import torch_engine

    return torch_engine.load_engine(folder, device=device, threads=threads)
