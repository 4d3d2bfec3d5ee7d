"""Recurrent layers and their single steps as functions of their weights, under torch's names and arguments.

Comes in: sequences, states and weights.  Goes out: outputs and states.
"""

from __future__ import annotations

from collections.abc import Sequence

from kernelforge.errors import ArgumentError
from kernelforge.nn import functional as F
from kernelforge.nn.recurrent import GATES, STEPS, RNNBase, State
from kernelforge.tensor import Tensor


def _layers(
    mode: str,
    input: Tensor,
    hx: State,
    params: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Tensor, State]:
    """What a recurrent layer with these weights gives.

    raises ArgumentError for another number of weights
    """
    projects = mode == "LSTM" and hx[0].shape[-1] != hx[1].shape[-1]
    names = ["weight_ih", "weight_hh", *["bias_ih", "bias_hh"] * has_biases, *["weight_hr"] * projects]
    ends = [f"_l{i}{end}" for i in range(num_layers) for end in ("", "_reverse")[: 1 + bidirectional]]
    if len(params) != len(names) * len(ends):
        raise ArgumentError(f"{mode} of {len(ends)} directions takes {len(names) * len(ends)} weights: "
                            f"{', '.join(names)} for each, got {len(params)}")  # fmt: skip
    layer = RNNBase.__new__(RNNBase)
    layer.mode, layer.num_layers, layer.bias, layer.batch_first = mode, num_layers, has_biases, batch_first
    layer.input_size, layer.hidden_size = params[0].shape[-1], params[0].shape[0] // GATES[mode]
    layer.dropout, layer.bidirectional = dropout, bidirectional
    layer.proj_size = hx[0].shape[-1] if projects else 0
    for path, weight in zip([name + end for end in ends for name in names], params):
        setattr(layer, path, weight)
    output, state = layer.train(train)(input, hx)
    return output, state if isinstance(state, tuple) else (state,)


def lstm(
    input: Tensor,
    hx: Sequence[Tensor],
    params: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """nn.LSTM with the weights params: outputs, hidden values and cells at the end.

    params   weight_ih, weight_hh, and bias_ih, bias_hh with has_biases, of each layer and direction

    >>> h, weights = Tensor.zeros(1, 1, 2), [Tensor.ones(8, 4), Tensor.ones(8, 2)]
    >>> lstm(Tensor.ones(3, 1, 4), (h, h), weights, False, 1, 0.0, False, False, False)[0].shape
    (3, 1, 2)

    raises ArgumentError, ShapeError
    """
    output, state = _layers(
        "LSTM", input, tuple(hx), params, has_biases, num_layers, dropout, train, bidirectional, batch_first
    )
    return output, state[0], state[1]


def gru(
    input: Tensor,
    hx: Tensor,
    params: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Tensor, Tensor]:
    """nn.GRU with the weights params: outputs, and hidden values at the end."""
    output, state = _layers(
        "GRU", input, (hx,), params, has_biases, num_layers, dropout, train, bidirectional, batch_first
    )
    return output, state[0]


def rnn_tanh(
    input: Tensor,
    hx: Tensor,
    params: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Tensor, Tensor]:
    """nn.RNN with the weights params: outputs, and hidden values at the end."""
    output, state = _layers(
        "RNN_TANH", input, (hx,), params, has_biases, num_layers, dropout, train, bidirectional, batch_first
    )
    return output, state[0]


def rnn_relu(
    input: Tensor,
    hx: Tensor,
    params: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Tensor, Tensor]:
    """nn.RNN of nonlinearity "relu" with the weights params: outputs, and hidden values at the end."""
    output, state = _layers(
        "RNN_RELU", input, (hx,), params, has_biases, num_layers, dropout, train, bidirectional, batch_first
    )
    return output, state[0]


def lstm_cell(
    input: Tensor,
    hx: Sequence[Tensor],
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """One step of nn.LSTMCell: the new hidden values and cells.

    >>> h = Tensor.zeros(1, 2)
    >>> [x.shape for x in lstm_cell(Tensor.ones(1, 3), (h, h), Tensor.ones(8, 3), Tensor.ones(8, 2))]
    [(1, 2), (1, 2)]
    """
    h, c = STEPS["LSTM"](F.linear(input, w_ih, b_ih), tuple(hx), w_hh, b_hh)
    return h, c


def gru_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
) -> Tensor:
    """One step of nn.GRUCell: the new hidden values."""
    return STEPS["GRU"](F.linear(input, w_ih, b_ih), (hx,), w_hh, b_hh)[0]


def rnn_tanh_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
) -> Tensor:
    """One step of nn.RNNCell: the new hidden values."""
    return STEPS["RNN_TANH"](F.linear(input, w_ih, b_ih), (hx,), w_hh, b_hh)[0]


def rnn_relu_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
) -> Tensor:
    """One step of nn.RNNCell of nonlinearity "relu": the new hidden values."""
    return STEPS["RNN_RELU"](F.linear(input, w_ih, b_ih), (hx,), w_hh, b_hh)[0]
