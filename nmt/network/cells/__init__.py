"""Recurrent cells, one file for each cell or family of cells, chosen by `model.cell`."""

from nmt.network.cells.cell import Cell, OnnxOperator, Product, State
from nmt.network.cells.gru import GRU
from nmt.network.cells.layer_norm_lstm import LayerNormLSTM
from nmt.network.cells.lstm import LSTM
from nmt.network.cells.mut import MUT1, MUT2, MUT3
from nmt.network.cells.peephole_lstm import PeepholeLSTM
from nmt.network.cells.reset_before import ResetBeforeGRU
from nmt.network.cells.rnn import LeakyReLURNN, ReLURNN, TanhRNN

__all__ = ["CELLS", "Cell", "OnnxOperator", "Product", "State"]

CELLS: dict[str, type[Cell]] = {
    cell.name: cell
    for cell in (
        *(LSTM, PeepholeLSTM, LayerNormLSTM, GRU, ResetBeforeGRU, MUT1, MUT2, MUT3),
        *(TanhRNN, ReLURNN, LeakyReLURNN),
    )
}
"""Cell classes by their names in the configuration, in the order of `nmt.config.CellName`."""
