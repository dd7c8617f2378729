"""Recurrent neural machine translation: raw parallel text in, a small fast translator out."""

__version__ = "0.1.0"
