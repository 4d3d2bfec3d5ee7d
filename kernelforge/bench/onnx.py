"""ONNX Runtime: expressions written down as small ONNX models, and run.

Comes in: functions of values.  Goes out: functions of arrays.  A function is called once with `Symbol`s, which note the
operations that are applied to them; there is no other way from this library to ONNX.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kernelforge.errors import ArgumentError, DeviceError

OPSET: Final = 20  # of the models; and their format: what onnxruntime 1.19 and later read
IR: Final = 10
Axes = int | Sequence[int] | None
PLAIN: Final = {
    "add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "matmul": "MatMul", "pow": "Pow", "maximum": "Max",
    "minimum": "Min", "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "tanh": "Tanh", "sigmoid": "Sigmoid", "relu": "Relu",
    "abs": "Abs", "neg": "Neg", "erf": "Erf", "sin": "Sin", "cos": "Cos", "floor": "Floor", "ceil": "Ceil",
    "round": "Round", "reciprocal": "Reciprocal", "softplus": "Softplus", "hardswish": "HardSwish", "mish": "Mish",
}  # fmt: skip
REDUCED: Final = {
    "sum": "ReduceSum", "mean": "ReduceMean", "max": "ReduceMax", "min": "ReduceMin", "prod": "ReduceProd",
}  # fmt: skip
ALONG: Final = {"softmax": "Softmax", "log_softmax": "LogSoftmax"}


class Model:
    """A model that is written."""

    def __init__(self) -> None:
        self.helper = import_module("onnx.helper")
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.count = 0

    def name(self) -> str:
        self.count += 1
        return f"t{self.count}"

    def apply(self, op: str, *operands: Any, like: Symbol, **attributes: Any) -> Symbol:
        """The symbol of an operation's first result; numbers become constants of like's type."""
        names = [x.name if isinstance(x, Symbol) else self.constant(x, like.dtype) for x in operands]
        result = Symbol(self, self.name(), like.dtype)
        self.nodes.append(self.helper.make_node(op, names, [result.name], **attributes))
        return result

    def constant(self, value: Any, dtype: np.dtype) -> str:
        name, array = self.name(), np.asarray(value)
        array = array if isinstance(value, np.ndarray) else array.astype(dtype)
        self.constants.append(import_module("onnx.numpy_helper").from_array(array, name))
        return name


def _operator(op: str, turned: bool = False) -> Callable[[Symbol, Any], Symbol]:
    """A method for one of Python's operators, with the operands in the other order where Python turns them."""
    return lambda x, y: x.model.apply(op, *((y, x) if turned else (x, y)), like=x)


class Symbol:
    """A value of a model; operators and methods note operations."""

    def __init__(self, model: Model, name: str, dtype: np.dtype) -> None:
        self.model, self.name, self.dtype = model, name, dtype

    def __getattr__(self, name: str) -> Callable[..., Symbol]:
        if name.startswith("__"):
            raise AttributeError(name)
        return partial(operation(name), self)

    def __neg__(self) -> Symbol:
        return self.model.apply("Neg", self, like=self)

    __add__, __radd__ = _operator("Add"), _operator("Add", True)
    __sub__, __rsub__ = _operator("Sub"), _operator("Sub", True)
    __mul__, __rmul__ = _operator("Mul"), _operator("Mul", True)
    __truediv__, __rtruediv__ = _operator("Div"), _operator("Div", True)
    __matmul__, __rmatmul__ = _operator("MatMul"), _operator("MatMul", True)
    __pow__, __rpow__ = _operator("Pow"), _operator("Pow", True)


def operation(name: str) -> Callable[..., Symbol]:
    """The operation of this name, as a function of symbols.

    raises ArgumentError
    """
    if name in PLAIN:
        return lambda x, *rest: x.model.apply(PLAIN[name], x, *rest, like=x)
    if name in REDUCED:
        return partial(_reduced, REDUCED[name])
    if name in ALONG:
        return lambda x, axis=-1, **more: x.model.apply(ALONG[name], x, like=x, axis=more.get("dim", axis))
    if name in _SPECIAL:
        return _SPECIAL[name]
    raise ArgumentError(f"ONNX models are not made of {name}")


def _reduced(op: str, x: Symbol, axis: Axes = None, keepdim: bool = False, **more: Any) -> Symbol:
    axis = more.get("dim", axis)
    axes = () if axis is None else (np.atleast_1d(np.asarray(axis, np.int64)),)
    return x.model.apply(op, x, *axes, like=x, keepdims=int(keepdim))


def _gelu(x: Symbol, approximate: str = "tanh") -> Symbol:
    """As the tensor method has it."""
    return x.model.apply("Gelu", x, like=x, approximate=approximate)


def _silu(x: Symbol) -> Symbol:
    return x * x.model.apply("Sigmoid", x, like=x)


def _layernorm(x: Symbol, axis: int = -1, eps: float = 1e-5) -> Symbol:
    centred = x - _reduced("ReduceMean", x, axis, True)
    variance: Symbol = _reduced("ReduceMean", centred * centred, axis, True)
    return centred / (variance + eps).sqrt()


def _cumsum(x: Symbol, axis: int = 0) -> Symbol:
    return x.model.apply("CumSum", x, np.asarray(axis, np.int64), like=x)


def _transposed(x: Symbol, *order: int) -> Symbol:
    flat = order[0] if order and not isinstance(order[0], int) else order
    return x.model.apply("Transpose", x, like=x, **({"perm": list(flat)} if flat else {}))


def _conv2d(x: Symbol, weight: Symbol, bias: Symbol | None = None, stride: int = 1, padding: int = 0) -> Symbol:
    operands = (x, weight) if bias is None else (x, weight, bias)
    return x.model.apply("Conv", *operands, like=x, strides=[stride] * 2, pads=[padding] * 4)


_SPECIAL: Final[dict[str, Callable[..., Symbol]]] = {
    "gelu": _gelu, "silu": _silu, "layernorm": _layernorm, "cumsum": _cumsum, "permute": _transposed, "conv2d": _conv2d,
}  # fmt: skip


class Onnx:
    """onnxruntime on the processor."""

    def __init__(self, device: str, threads: int) -> None:
        if device != "CPU":
            raise DeviceError(f"onnxruntime is measured on the processor, not on {device}")
        self.runtime = import_module("onnxruntime")
        self.threads = threads

    def tensor(self, array: NDArray, dtype: str) -> Any:
        if dtype == "bfloat16":
            raise ArgumentError("NumPy has no bfloat16 to hand to onnxruntime")
        return self.runtime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array, dtype))

    def find(self, name: str) -> Callable[..., Any]:
        return operation(name)

    def ready(self, function: Callable[..., Any]) -> Callable[..., Any]:
        known: list[Any] = []

        def call(*values: Any) -> Any:
            if not known:
                known.append(self._session(function, [value.numpy() for value in values]))
            return known[0].run_with_ort_values(None, {f"in{i}": value for i, value in enumerate(values)})[0]

        return call

    def _session(self, function: Callable[..., Any], arrays: Sequence[NDArray]) -> Any:
        options = self.runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
        content = model_of(function, arrays)
        return self.runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def array(self, value: Any) -> NDArray:
        found: NDArray = value.numpy()
        return found.astype(np.float32) if found.dtype == np.float16 else found


def model_of(function: Callable[..., Any], arrays: Sequence[NDArray]) -> bytes:
    """The ONNX model of a function of arrays like these.

    raises ArgumentError where it does something else than to compute one value from its inputs
    """
    model = Model()
    helper = model.helper
    result = function(*[Symbol(model, f"in{i}", array.dtype) for i, array in enumerate(arrays)])
    if not isinstance(result, Symbol):
        raise ArgumentError(f"an ONNX model gives a value, not {type(result).__name__}")
    kinds = [helper.np_dtype_to_tensor_dtype(array.dtype) for array in arrays]
    given = [helper.make_tensor_value_info(f"in{i}", kind, a.shape) for i, (kind, a) in enumerate(zip(kinds, arrays))]
    asked = [helper.make_tensor_value_info(result.name, helper.np_dtype_to_tensor_dtype(result.dtype), None)]
    made = helper.make_graph(model.nodes, "subject", given, asked, model.constants)
    whole = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    content: bytes = whole.SerializeToString()
    return content
