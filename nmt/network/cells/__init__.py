"""Recurrent cells, one file for each cell or family of cells, chosen by `model.cell`."""

from importlib import import_module
from pkgutil import iter_modules
from typing import get_args

from nmt.config import CellName
from nmt.network.cells.cell import Cell, OnnxOperator, Product, State
from nmt.network.named import by_name

__all__ = ["CELLS", "Cell", "OnnxOperator", "Product", "State"]

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

CELLS: dict[str, type[Cell]] = by_name(Cell, get_args(CellName))
"""Cell classes by their names in the configuration, in the order of `nmt.config.CellName`."""
