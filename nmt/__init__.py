"""Recurrent neural machine translation: raw parallel text in, a small fast translator out."""

import os
from typing import TYPE_CHECKING, Any

# A translator is private. These libraries read the switches when they are first imported, wherever that happens:
# ONNX Runtime would write a device id and a database of events into the cache folder and send them to its makers;
# the hub's client and `datasets` would report each use (docs/privacy.md).
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_UPDATE_DOWNLOAD_COUNTS"] = "0"

__version__ = "0.1.0"
__all__ = ["Predictor", "Translator", "__version__"]

if TYPE_CHECKING:
    from nmt.prediction.predictor import Predictor
    from nmt.translation.translator import Translator


def __getattr__(name: str) -> Any:
    """`nmt.Translator` and `nmt.Predictor`, imported when they are first asked for."""
    if name == "Predictor":
        from nmt.prediction.predictor import Predictor

        return Predictor
    if name == "Translator":
        from nmt.translation.translator import Translator

        return Translator
    raise AttributeError(f"module 'nmt' has no attribute {name!r}")
