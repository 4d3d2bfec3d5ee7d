"""Recurrent layers: RNN, LSTM and GRU, and one step of each.

Comes in: sizes; sequences, also packed ones.  Goes out: modules whose parameters are named, laid out and initialised as
torch's are.  The products of the inputs are taken for all times at once; what remains per step is one product.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from kernelforge.errors import ArgumentError, KindError, ShapeError, StateError
from kernelforge.nn import functional as F
from kernelforge.nn.linear import uniform_parameter
from kernelforge.nn.resetting import Uniform
from kernelforge.nn.utils.rnn import PackedSequence
from kernelforge.tensor import Tensor
from kernelforge.tensor.composite import composite
from kernelforge.tensor.walking import side_by_side, walk

State = tuple[Tensor, ...]  # hidden values, and cells for an LSTM


@composite
def _tanh_step(x: Tensor, h: Tensor) -> Tensor:
    """The new hidden values of an RNN from both products."""
    return (x + h).tanh()


@composite
def _relu_step(x: Tensor, h: Tensor) -> Tensor:
    """The new hidden values of an RNN with relu() from both products."""
    return (x + h).relu()


@composite
def _cell(gates: Tensor, c: Tensor) -> Tensor:
    """The new cells of an LSTM from its gates [N, 4 H]: input, forget, cell, output."""
    i, f, g, _ = gates.chunk(4, dim=-1)
    return f.sigmoid() * c + i.sigmoid() * g.tanh()


@composite
def _shown(gates: Tensor, c: Tensor) -> Tensor:
    """The hidden values of an LSTM from its gates and new cells."""
    return gates.chunk(4, dim=-1)[3].sigmoid() * c.tanh()


@composite
def _gru_step(x: Tensor, h_gates: Tensor, h: Tensor) -> Tensor:
    """The new hidden values of a GRU from both products [N, 3 H]: reset, update, new."""
    xr, xz, xn = x.chunk(3, dim=-1)
    hr, hz, hn = h_gates.chunk(3, dim=-1)
    update = (xz + hz).sigmoid()
    new = (xn + (xr + hr).sigmoid() * hn).tanh()
    return (h - new) * update + new


def _rnn(x: Tensor, state: State, weight: Tensor, bias: Tensor | None, step: Callable[..., Tensor]) -> State:
    return (step(x, F.linear(state[0], weight, bias)),)


def _lstm(x: Tensor, state: State, weight: Tensor, bias: Tensor | None) -> State:
    gates = x + F.linear(state[0], weight, bias)
    c = _cell(gates, state[1])
    return _shown(gates, c), c


def _gru(x: Tensor, state: State, weight: Tensor, bias: Tensor | None) -> State:
    return (_gru_step(x, F.linear(state[0], weight, bias), state[0]),)


STEPS: dict[str, Callable[..., State]] = {
    "RNN_TANH": lambda x, state, w, b: _rnn(x, state, w, b, _tanh_step),
    "RNN_RELU": lambda x, state, w, b: _rnn(x, state, w, b, _relu_step),
    "LSTM": _lstm,
    "GRU": _gru,
}


@lru_cache(maxsize=256)
def _step(mode: str, sizes: tuple[int, ...], masked: bool, names: tuple[str, ...]) -> Callable[..., Tensor]:
    """One step of a layer whose state is one tensor, its parts of the given sizes side by side.

    masked  it also takes which sequences go on, those that do not keep their state
    names   of the weights it takes after these
    """

    def step(state: Tensor, x: Tensor, *others: Tensor) -> Tensor:
        weights = dict(zip(names, others[masked:]))
        parts = tuple(state.split(list(sizes), dim=-1))
        new = STEPS[mode](x, parts, weights["weight_hh"], weights.get("bias_hh"))
        if "weight_hr" in weights:
            new = (F.linear(new[0], weights["weight_hr"]), *new[1:])
        result = side_by_side(new)
        return others[0].where(result, state) if masked else result

    return step


GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "LSTM": 4, "GRU": 3}


class RNNBase(Uniform):
    """What recurrent layers share.

    weight_ih_l0   [gates * hidden_size, input_size], weight_hh_l0 [gates * hidden_size, hidden_size], bias_ih_l0,
                   bias_hh_l0; then _l1, ...; with bidirectional also _reverse; weight_hr_l0 [proj_size, hidden_size]
                   projects the hidden values.  All uniform within 1 / sqrt(hidden_size)
    """

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if mode not in STEPS:
            raise ArgumentError(f"Unrecognized RNN mode: {mode}")
        if not isinstance(bias, bool) or not isinstance(batch_first, bool):
            raise KindError(f"{mode} with bias={bias!r}, batch_first={batch_first!r}: they are True or False")
        sizes = (input_size, hidden_size, num_layers)
        if min(sizes) <= 0 or not 0 <= dropout <= 1 or not 0 <= proj_size < hidden_size:
            raise ArgumentError(
                f"{mode} with input_size={input_size}, hidden_size={hidden_size}, num_layers={num_layers}, "
                f"dropout={dropout}, proj_size={proj_size}: sizes are above 0, dropout is from 0 to 1, proj_size "
                "smaller than hidden_size"
            )
        if proj_size and mode != "LSTM":
            raise ArgumentError("proj_size argument is only supported for LSTM, not RNN or GRU")
        self.mode, self.input_size, self.hidden_size, self.num_layers = mode, input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, float(dropout)
        self.bidirectional, self.proj_size = bidirectional, proj_size
        bound, place = self._bound(), {"device": device, "dtype": dtype}
        width = GATES[mode] * hidden_size
        for layer in range(num_layers):
            size = input_size if not layer else (proj_size or hidden_size) * (2 if bidirectional else 1)
            for end in ("", "_reverse")[: 2 if bidirectional else 1]:
                shapes: dict[str, tuple[int, ...]] = {
                    "weight_ih": (width, size), "weight_hh": (width, proj_size or hidden_size),
                }  # fmt: skip
                if bias:
                    shapes |= {"bias_ih": (width,), "bias_hh": (width,)}
                if proj_size:
                    shapes |= {"weight_hr": (proj_size, hidden_size)}
                for name, shape in shapes.items():
                    setattr(self, f"{name}_l{layer}{end}", uniform_parameter(*shape, bound=bound, **place))

    def _bound(self) -> float:
        return 1 / math.sqrt(max(1, self.hidden_size))

    def flatten_parameters(self) -> None:
        """Nothing: there is no other layout of the parameters to bring them to."""

    @property
    def all_weights(self) -> list[list[Tensor]]:
        """The parameters of each layer and direction."""
        ends = [f"_l{i}{end}" for i in range(self.num_layers) for end in ("", "_reverse")[: 1 + self.bidirectional]]
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
        return [[vars(self)[name + end] for name in names if name + end in vars(self)] for end in ends]

    def forward(self, input: Tensor | PackedSequence, hx: Any = None) -> tuple[Any, Any]:
        """The hidden values of the last layer at all times, and those of all layers at the last.

        input     [L, N, input_size], [N, L, ..] with batch_first, [L, ..] without a batch; or a packed sequence
        hx        [layers * directions, N, hidden]; for an LSTM a pair of it and the cells; zeros when None
        returns   output [L, N, directions * hidden] like the input, and a state like hx

        raises ShapeError
        """
        if isinstance(input, PackedSequence):
            return self._packed(input, hx)
        single = input.ndim == 2
        if input.ndim not in (2, 3) or input.shape[-1] != self.input_size:
            raise ShapeError(
                f"{self!r} of {input.shape}: input must have 2 or 3 dimensions, the last of {self.input_size}"
            )
        x = input.unsqueeze(1) if single else input.transpose(0, 1) if self.batch_first else input
        if not x.shape[0]:
            raise ShapeError(f"{self!r} of {input.shape}: Expected sequence length to be larger than 0 in RNN")
        given = None if hx is None else hx if isinstance(hx, tuple) else (hx,)
        if given is not None and single:
            given = tuple(part.unsqueeze(1) for part in given)
        output, state = self._layers(x, self._checked(given, x), None)
        if single:
            output, state = output.squeeze(1), tuple(part.squeeze(1) for part in state)
        elif self.batch_first:
            output = output.transpose(0, 1)
        return output, state if self.mode == "LSTM" else state[0]

    def _checked(self, given: State | None, x: Tensor) -> State | None:
        """The state to begin with; None for zeros.

        raises ShapeError
        """
        if given is None:
            return None
        count = self.num_layers * (1 + self.bidirectional)
        shapes = [(count, x.shape[1], size) for size in self._state_sizes()]
        if [part.shape for part in given] != shapes:
            raise ShapeError(f"Expected hidden {shapes}, got {[part.shape for part in given]}")
        return given

    def _state_sizes(self) -> tuple[int, ...]:
        """The sizes of a state's parts: hidden values, and cells for an LSTM."""
        hidden = self.proj_size or self.hidden_size
        return (hidden, self.hidden_size) if self.mode == "LSTM" else (hidden,)

    def _layers(self, x: Tensor, state: State | None, lengths: Tensor | None) -> tuple[Tensor, State]:
        """x [L, N, ..] through all layers; lengths [N] tell where sequences end that are shorter than L."""
        ends: list[State] = []
        for layer in range(self.num_layers):
            outputs = []
            for direction in range(1 + self.bidirectional):
                place = len(ends)
                start = None if state is None else tuple(part[place] for part in state)
                output, last = self._walk(x, start, f"_l{layer}{'_reverse' * direction}", bool(direction), lengths)
                outputs.append(output)
                ends.append(last)
            x = outputs[0] if len(outputs) == 1 else outputs[0].cat(outputs[1], dim=-1)
            if self.dropout and layer < self.num_layers - 1:
                x = F.dropout(x, self.dropout, self.training)
        return x, tuple(first.cat(*others) for first, *others in zip(*ends))

    def _walk(
        self, x: Tensor, state: State | None, end: str, backwards: bool, lengths: Tensor | None
    ) -> tuple[Tensor, State]:
        """One direction of one layer: its hidden values at all times, and its last state [1, N, ..]."""
        weights = vars(self)
        sequences = [F.linear(x, weights["weight_ih" + end], weights.get("bias_ih" + end))]
        if lengths is not None:
            sequences.append((lengths > Tensor.arange(x.shape[0], device=x.device).unsqueeze(1)).unsqueeze(2))
        given = {name: weights.get(name + end) for name in ("weight_hh", "bias_hh", "weight_hr")}
        same = {name: weight for name, weight in given.items() if weight is not None}
        sizes = self._state_sizes()
        begin = x.new_zeros(x.shape[1], sum(sizes)) if state is None else side_by_side(state)
        step = _step(self.mode, sizes, lengths is not None, tuple(same))
        states = walk(step, begin, sequences, list(same.values()), backwards)
        parts = (states,) if len(sizes) == 1 else states.split(list(sizes), dim=-1)
        return parts[0], tuple(part[:1] if backwards else part[-1:] for part in parts)

    def _packed(self, input: PackedSequence, hx: Any) -> tuple[PackedSequence, Any]:
        """forward() of a packed sequence: all sequences padded to the longest, their ends kept where they are."""
        padded, lengths = input.padded()
        order, back = input.sorted_indices, input.unsorted_indices
        given = None if hx is None else hx if isinstance(hx, tuple) else (hx,)
        if given is not None and order is not None:
            given = tuple(part[:, order] for part in given)
        output, state = self._layers(padded, self._checked(given, padded), lengths)
        if back is not None:
            state = tuple(part[:, back] for part in state)
        return input.like(output), state if self.mode == "LSTM" else state[0]

    def extra_repr(self) -> str:
        """The sizes, and the options that are not the default."""
        options: dict[str, Any] = {
            "proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False,
        }  # fmt: skip
        shown = {name: vars(self)[name] for name, default in options.items() if vars(self)[name] != default}
        return f"{self.input_size}, {self.hidden_size}" + "".join(f", {name}={shown[name]}" for name in shown)


class RNN(RNNBase):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ArgumentError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")
        super().__init__(
            f"RNN_{nonlinearity.upper()}", input_size, hidden_size, num_layers, bias, batch_first, dropout,
            bidirectional, 0, device, dtype,
        )  # fmt: skip
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """i, f, g, o = W_ih x + b_ih + W_hh h + b_hh;  c' = sigmoid(f) c + sigmoid(i) tanh(g);  h' = sigmoid(o) tanh(c').

    proj_size   above 0: h' is multiplied by weight_hr [proj_size, hidden_size]
    """

    def __init__(self, input_size: int, hidden_size: int, *args: Any, **kwargs: Any) -> None:
        super().__init__("LSTM", input_size, hidden_size, *args, **kwargs)


class GRU(RNNBase):
    """r, z = sigmoid(..), n = tanh(W_in x + b_in + r (W_hn h + b_hn));  h' = (1 - z) n + z h."""

    def __init__(self, input_size: int, hidden_size: int, *args: Any, **kwargs: Any) -> None:
        super().__init__("GRU", input_size, hidden_size, *args, **kwargs)


class RNNCellBase(Uniform):
    """What single steps of recurrent layers share: weight_ih, weight_hh, bias_ih, bias_hh."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool, num_chunks: int, device: Any = None, dtype: Any = None
    ) -> None:
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        bound, place = self._bound(), {"device": device, "dtype": dtype}
        width = num_chunks * hidden_size
        self.weight_ih = uniform_parameter(width, input_size, bound=bound, **place)
        self.weight_hh = uniform_parameter(width, hidden_size, bound=bound, **place)
        self.bias_ih = uniform_parameter(width, bound=bound, **place) if bias else None
        self.bias_hh = uniform_parameter(width, bound=bound, **place) if bias else None

    def _bound(self) -> float:
        return 1 / math.sqrt(max(1, self.hidden_size))

    def _stepped(self, input: Tensor, state: State | None, mode: str) -> State:
        """The next state.

        raises ShapeError
        """
        if input.ndim not in (1, 2) or input.shape[-1] != self.input_size:
            raise ShapeError(f"{self!r} of {input.shape}: it takes [N, {self.input_size}] or [{self.input_size}]")
        if state is None:
            state = (input.new_zeros(*input.shape[:-1], self.hidden_size),) * (2 if mode == "LSTM" else 1)
        elif any(part.shape != (*input.shape[:-1], self.hidden_size) for part in state):
            raise ShapeError(f"{self!r} of {input.shape} with a state of {[part.shape for part in state]}")
        x = F.linear(input, self.weight_ih, self.bias_ih)
        return STEPS[mode](x, state, self.weight_hh, self.bias_hh)

    def extra_repr(self) -> str:
        """The sizes."""
        extra = f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")
        kind = vars(self).get("nonlinearity", "tanh")
        return extra if kind == "tanh" else f"{extra}, nonlinearity={kind}"


class RNNCell(RNNCellBase):
    """One step of an RNN."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """[N, input_size] and hidden values [N, hidden_size] -> new ones."""
        if self.nonlinearity not in ("tanh", "relu"):
            raise StateError(f"Unknown nonlinearity: {self.nonlinearity}")
        return self._stepped(input, None if hx is None else (hx,), f"RNN_{self.nonlinearity.upper()}")[0]


class LSTMCell(RNNCellBase):
    """One step of an LSTM."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """[N, input_size], hidden values and cells [N, hidden_size] -> new ones."""
        h, c = self._stepped(input, hx, "LSTM")
        return h, c


class GRUCell(RNNCellBase):
    """One step of a GRU."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """[N, input_size] and hidden values [N, hidden_size] -> new ones."""
        return self._stepped(input, None if hx is None else (hx,), "GRU")[0]
