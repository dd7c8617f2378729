"""Recurrent neural machine translation: raw parallel text in, a small fast translator out."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Translator", "__version__"]

if TYPE_CHECKING:
    from nmt.translation.translator import Translator


def __getattr__(name: str) -> Any:
    """`nmt.Translator`, imported when it is first asked for."""
    if name == "Translator":
        from nmt.translation.translator import Translator

        return Translator
    raise AttributeError(f"module 'nmt' has no attribute {name!r}")
