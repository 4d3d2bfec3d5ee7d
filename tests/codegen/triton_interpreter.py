"""Triton's interpreter over NumPy memory, with its faults put right.  Importing this makes `triton` interpret.

Only the harness' worker process imports it.  The repairs: bfloat16 is rounded, multiplied and accumulated as a number,
not as a 16-bit word; the result of a comparison is a bool also as a scalar; a loop bound may be an array of one
element; integers wrap without a check, and all ones are the largest of unsigned ones.  For speed a reduction with its
own combine function is done in halves, and helper functions are called as they are.
"""

import ctypes
import importlib.util
import os
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

os.environ["TRITON_INTERPRET"] = "1"

import numpy as np
import triton
import triton.language as tl
from numpy.typing import NDArray
from triton.runtime import interpreter

from codegen.dtypes import DType, as_dtype, dtypes, from_storage, round_to_bfloat16
from codegen.triton.text import short_name

Handle = interpreter.TensorHandle
_original_binary = interpreter.InterpreterBuilder.binary_op
_original_atomic = interpreter.InterpreterBuilder.create_atomic_rmw


def run(
    source: str, entry: str, grid: Sequence[int], memory: Sequence[tuple[str, NDArray]], numbers: Sequence[int] = ()
) -> list[NDArray]:
    """The arrays, given with the names of their types, after one launch of the source on copies of them and ints."""
    function = _load(source, entry)
    function.fn.__globals__.update(libdevice=Libdevice(), core=tl.core)
    arrays = [array.copy() for _, array in memory]
    with np.errstate(all="ignore"):
        function[tuple(grid)](*(Memory(array, as_dtype(name)) for (name, _), array in zip(memory, arrays)), *numbers)
    return arrays


def _load(source: str, entry: str) -> Any:
    """The jitted function of a source; Triton reads its lines from a file."""
    with tempfile.NamedTemporaryFile("w", suffix=".py", delete=False) as file:
        file.write(source)
    try:
        spec = importlib.util.spec_from_file_location(entry, file.name)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        function = getattr(module, entry)
        for jitted in list(vars(module).values()):
            if isinstance(jitted, interpreter.InterpretedFunction):
                jitted.rewrite()
        return function
    finally:
        os.unlink(file.name)


class Memory:
    """An array that answers what the interpreter asks of a tensor."""

    device = "cpu"

    def __init__(self, array: NDArray, dtype: DType) -> None:
        self.array, self.dtype = array, short_name(dtype)

    def data_ptr(self) -> int:
        return self.array.ctypes.data

    def element_size(self) -> int:
        return self.array.itemsize

    def untyped_storage(self) -> "Memory":
        return self

    def storage_offset(self) -> int:
        return 0

    def size(self) -> tuple[int, ...]:
        return self.array.shape

    def stride(self) -> tuple[int, ...]:
        return (1,)

    def cpu(self) -> "Memory":
        return self

    def new_empty(self, size: int, device: str) -> "Memory":
        made = Memory.__new__(Memory)
        made.dtype = self.dtype
        return made

    def set_(self, storage: "Memory", *_: object) -> None:
        self.array = storage.array

    def copy_(self, other: "Memory") -> None:
        assert other.array is self.array


class Libdevice:
    """NumPy's versions of the device functions that sources call."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function = getattr(np, {"pow": "power"}.get(name, name))
        return lambda *operands: _elementwise(function, *operands)


def _elementwise(function: Callable[..., NDArray], *operands: Any) -> Any:
    widest = max(operands, key=lambda x: len(x.shape))
    data = np.asarray(function(*(x.handle.data for x in operands)))
    return tl.tensor(Handle(data, widest.handle.dtype), widest.type)


def _numbers(handle: Any) -> NDArray:
    """A handle's values: those of bfloat16 as float32."""
    return from_storage(handle.data, dtypes.bfloat16) if handle.dtype.scalar == tl.bfloat16 else handle.data


def _cast(self: Any, source: Any, target: Any) -> Any:
    values, kind = _numbers(source), target.scalar
    if kind == tl.bfloat16:
        return Handle(round_to_bfloat16(np.asarray(values, np.float32)), kind)
    return Handle(values.astype(interpreter._get_np_dtype(kind)), kind)


def _dot(self: Any, a: Any, b: Any, into: Any, *_: object) -> Any:
    product = np.matmul(_numbers(a), _numbers(b), dtype=into.data.dtype)
    return Handle(product + into.data, into.dtype.scalar)


def _binary(self: Any, a: Any, b: Any, function: Callable[..., NDArray]) -> Any:
    made = _original_binary(self, a, b, function)
    return Handle(made.data, tl.int1) if made.data.dtype == np.bool_ else made


def _atomic(self: Any, operation: Any, pointers: Any, values: Any, mask: Any, *order: object) -> Any:
    """Atomic addition of bfloat16, the one operation on it that sources use."""
    if values.dtype.scalar != tl.bfloat16:
        return _original_atomic(self, operation, pointers, values, mask, *order)
    before = np.zeros_like(values.data)
    for place, address in np.ndenumerate(pointers.data):
        if np.broadcast_to(mask.data, pointers.data.shape)[place]:
            cell = np.frombuffer((ctypes.c_uint16 * 1).from_address(int(address)), np.uint16)
            before[place] = cell[0]
            total = from_storage(cell, dtypes.bfloat16) + _numbers(values)[place]
            cell[:] = round_to_bfloat16(total)
    return Handle(before, tl.bfloat16)


def _all_ones(self: Any, kind: Any) -> Any:
    return Handle(~np.zeros(1, interpreter._get_np_dtype(kind)), kind.scalar)


def _reduce_in_halves(self: Any, operands: Sequence[Any]) -> list[Any]:
    (operand,), axis = self.unravel(operands, self.axis)
    assert not self.keep_dims
    data, dtype = operand.handle.data, operand.dtype
    while data.shape[axis] > 1:
        first, second = np.split(data, 2, axis)
        data = self.combine_fn.fn(self.to_tensor(first, dtype), self.to_tensor(second, dtype)).handle.data
    return [self.to_tensor(np.squeeze(data, axis), dtype)]


def _call_helper(self: Any, *args: Any, **kwargs: Any) -> Any:
    return self.rewrite()(*args, **kwargs)


def _repair_index() -> None:
    """Run-time loop bounds: NumPy no longer turns an array of one element into an int by itself."""
    original = interpreter._patch_lang_tensor

    def patch(tensor: Any, *scope: Any) -> None:
        original(tensor, *scope)

        def index(self: Any) -> int:
            return int(self.handle.data.reshape(-1)[0])

        if scope and hasattr(scope[0], "set_attr"):
            scope[0].set_attr(tensor, "__index__", index)
        else:
            tensor.__index__ = index

    interpreter._patch_lang_tensor = patch


def _repair() -> None:
    assert triton.knobs.runtime.interpret, "triton was imported before, as a compiler"
    interpreter.InterpreterBuilder.cast_impl = _cast
    interpreter.InterpreterBuilder.create_dot = _dot
    interpreter.InterpreterBuilder.binary_op = _binary
    interpreter.InterpreterBuilder.create_atomic_rmw = _atomic
    interpreter.InterpreterBuilder.get_all_ones_value = _all_ones
    interpreter.InterpretedFunction.__call__ = _call_helper
    interpreter.ReduceOps.generic_reduce = _reduce_in_halves
    options = interpreter.interpreter_builder.options
    interpreter.interpreter_builder.options = type(options)(sanitize_overflow=False)
    _repair_index()


_repair()
