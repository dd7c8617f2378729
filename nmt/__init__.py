"""Recurrent neural machine translation: raw parallel text in, a small fast translator out."""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# A translator is private. These libraries read the switches when they are first imported, wherever that happens:
# ONNX Runtime would write a device id and a database of events to the cache folder and send them to its makers;
# the hub's client, `datasets` and Ray would report each use (docs/privacy.md).
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_UPDATE_DOWNLOAD_COUNTS"] = "0"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

__version__ = "0.1.0"
__all__ = ["ColumnTranslator", "Predictor", "Translator", "__version__", "inspect", "load_config", "train"]

if TYPE_CHECKING:
    from nmt import inspect
    from nmt.config import load_config
    from nmt.prediction.predictor import Predictor
    from nmt.training.loop import train
    from nmt.translation.columns import ColumnTranslator
    from nmt.translation.translator import Translator

_HOMES = {
    "ColumnTranslator": "nmt.translation.columns",
    "Predictor": "nmt.prediction.predictor",
    "Translator": "nmt.translation.translator",
    "load_config": "nmt.config",
    "train": "nmt.training.loop",
}


def __getattr__(name: str) -> Any:
    """The public names (docs/python.md), imported when they are first asked for: only some of them need torch."""
    if name == "inspect":
        return import_module("nmt.inspect")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'nmt' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
