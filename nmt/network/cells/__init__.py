"""Recurrent cells, one file each or one a family, chosen by `model.cell`."""

from nmt.network.cells.cell import Cell, Product, State
from nmt.network.cells.gru import GRU
from nmt.network.cells.layer_norm_lstm import LayerNormLSTM
from nmt.network.cells.lstm import LSTM
from nmt.network.cells.mut import MUT1, MUT2, MUT3
from nmt.network.cells.peephole_lstm import PeepholeLSTM
from nmt.network.cells.reset_before import ResetBeforeGRU
from nmt.network.cells.rnn import LeakyReLURNN, ReLURNN, TanhRNN

CELLS: dict[str, type[Cell]] = {
    "lstm": LSTM,
    "peephole_lstm": PeepholeLSTM,
    "layer_norm_lstm": LayerNormLSTM,
    "gru": GRU,
    "gru_reset_before": ResetBeforeGRU,
    "mut1": MUT1,
    "mut2": MUT2,
    "mut3": MUT3,
    "rnn_tanh": TanhRNN,
    "rnn_relu": ReLURNN,
    "rnn_leaky_relu": LeakyReLURNN,
}
"""Cell classes by their name in the configuration."""

__all__ = [
    "CELLS",
    "GRU",
    "LSTM",
    "MUT1",
    "MUT2",
    "MUT3",
    "Cell",
    "LayerNormLSTM",
    "LeakyReLURNN",
    "PeepholeLSTM",
    "Product",
    "ReLURNN",
    "ResetBeforeGRU",
    "State",
    "TanhRNN",
]
