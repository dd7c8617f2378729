"""Recurrent cells, one file each, chosen by `model.cell`."""

from nmt.cells.lstm import LSTM

CELLS = {"lstm": LSTM}
"""Cell classes by their name in the configuration."""

__all__ = ["CELLS", "LSTM"]
