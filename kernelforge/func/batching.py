"""vmap: a function of single examples applied to whole batches, by rewriting its graph.

Comes in: a function.  Goes out: one whose tensors have one more dimension.  The function is recorded once, applied to
placeholders without the batch's dimension; every operation that depends on one then gets a dimension in front.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from itertools import count
from typing import Any, Final, NoReturn

import numpy as np
from numpy.typing import NDArray

from kernelforge.buffer import Buffer
from kernelforge.calls import depending, expanded
from kernelforge.errors import ShapeError
from kernelforge.func.trees import ends, filled, mapped
from kernelforge.graph import Node, buffer, toposort
from kernelforge.interning import new_node
from kernelforge.recording import Recorder, recorder
from kernelforge.rewrites.lifted import lifted
from kernelforge.tensor import Tensor
from kernelforge.tensor.composite import spelled_out

_numbers: Final = count()


class Refusal:
    """A recorder that tells what a function under vmap cannot do, and whoever records around it of all else."""

    def __init__(self, randomness: str, examples: int, outer: Recorder | None) -> None:
        self._randomness, self._examples, self._outer = randomness, examples, outer
        self.drawn_for_each: dict[Buffer, Buffer] = {}  # by what one example drew

    def changing(self, tensor: Any, by: Any = None) -> None:
        """Tensors may change."""
        if self._outer is not None:
            self._outer.changing(tensor, by)

    def drawn(self, buffer: Buffer, draw: Callable[[], NDArray]) -> None:
        """Random numbers are the same for all examples, or others for each."""
        if self._randomness == "error":
            raise RuntimeError(
                "random numbers inside vmap(): pass randomness='different' for others in every example, "
                "randomness='same' for the same ones, or pass them as an argument"
            )
        if self._randomness == "different":
            buffer, draw = self._for_each(buffer, draw)
        if self._outer is not None:
            self._outer.drawn(buffer, draw)

    def _for_each(self, buffer: Buffer, draw: Callable[[], NDArray]) -> tuple[Buffer, Callable[[], NDArray]]:
        """What one example drew and what the others draw after it, and how all that is drawn again."""

        def drawn(first: NDArray) -> NDArray:
            drawn_by_each = [first, *(draw() for _ in range(1, self._examples))]
            return np.stack([words.reshape(-1) for words in drawn_by_each])[: self._examples]

        assert buffer.host is not None
        of_all = Buffer.from_numpy(drawn(buffer.host), buffer.dtype, buffer.device)
        self.drawn_for_each[buffer] = of_all
        return of_all, lambda: drawn(draw())

    def acted(self, act: Callable[[], object]) -> None:
        """Seeds are set once."""
        if self._outer is not None:
            self._outer.acted(act)

    def value(self, tensor: Any) -> NDArray:
        self.refuse("asks for the value of a tensor")

    def differentiating(self) -> None:
        self.refuse("calls backward(), which adds to tensors outside; use func.grad()")

    def shared(self, array: NDArray) -> None:
        if self._outer is not None:
            self._outer.shared(array)

    def asked(self) -> None:
        if self._outer is not None:
            self._outer.asked()

    def refuse(self, what: str) -> NoReturn:
        raise RuntimeError(f"a function under vmap() {what}: there is one for each example; use where() and its like")


def vmap(
    function: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """A function applied to every example of a batch at once.

    in_dims      the dimension of each argument that counts examples, None for an argument that is the same for all;
                 one for all arguments, or one for each, which may itself be a tree like the argument
    out_dims     where the results' dimension of examples goes
    randomness   "different": random numbers are others for each example; "same": the same for every one; "error"
    chunk_size   so many examples at a time, to take less memory; None: all at once

    >>> dot = lambda x, y: (x * y).sum()
    >>> vmap(dot)(Tensor([[1.0, 2.0], [3.0, 4.0]]), Tensor([[1.0, 1.0], [2.0, 2.0]])).tolist()
    [3.0, 14.0]

    raises ShapeError for arguments of different numbers of examples
    """
    if randomness not in ("different", "same", "error"):
        raise ValueError(f"randomness is 'different', 'same' or 'error', got {randomness!r}")
    if chunk_size is not None:
        return _in_chunks(function, in_dims, out_dims, randomness, chunk_size)

    @wraps(function)
    def batched(*args: Any, **kwargs: Any) -> Any:
        dims = _spread(args, in_dims) + [0] * len(ends(kwargs))
        values = ends((args, kwargs))
        size = _examples(values, dims)
        holders, stand_ins = {}, []
        for x, dim in zip(values, dims):
            if dim is None or not isinstance(x, Tensor):
                stand_ins.append(x)
                continue
            front = x.permute(dim % x.ndim, *(d for d in range(x.ndim) if d != dim % x.ndim))._node
            shape = front.shape[1:]
            signature = next(_numbers), shape, front.dtype.name
            holder = new_node("input", (), signature, shape, front.dtype, front.device)
            holders[holder] = front
            with spelled_out():  # not to be computed
                stand_ins.append(Tensor._wrap(holder, x._tracked))
        inner, options = filled((args, kwargs), stand_ins)
        result, drawn = _recorded(function, inner, options, randomness, size)
        outputs = ends(result)
        made = [x._node for x in outputs if isinstance(x, Tensor)]
        roots = expanded(made, history=True, inside=depending(made, holders))
        for node in toposort(roots) if drawn else ():
            if node.op == "buffer" and (of_all := drawn.get(node.attr)) is not None:
                holders[node] = buffer(of_all, (size, *node.shape))
        found = iter(lifted(roots, holders, size))
        places = iter(_spread((result,), (out_dims,)) if not isinstance(out_dims, int) else [out_dims] * len(outputs))
        return mapped(result, lambda x: _placed(x, next(found), next(places)) if isinstance(x, Tensor) else x)

    return batched


def _in_chunks(
    function: Callable[..., Any], in_dims: Any, out_dims: Any, randomness: str, chunk_size: int
) -> Callable[..., Any]:
    """vmap(), so many examples at a time: the same numbers, and random ones of each chunk."""
    if chunk_size < 1:
        raise ValueError(f"chunk_size is at least 1, got {chunk_size}")
    batched = vmap(function, in_dims, out_dims, randomness)

    @wraps(function)
    def chunked(*args: Any, **kwargs: Any) -> Any:
        dims = _spread(args, in_dims) + [0] * len(ends(kwargs))
        values = ends((args, kwargs))
        size, results = _examples(values, dims), []
        for start in range(0, max(size, 1), chunk_size):
            parts = [
                x if dim is None or not isinstance(x, Tensor) else x.narrow(dim, start, min(chunk_size, size - start))
                for x, dim in zip(values, dims)
            ]
            inner, options = filled((args, kwargs), parts)
            results.append(batched(*inner, **options))
        outputs = [ends(result) for result in results]
        places = _spread((results[0],), (out_dims,)) if not isinstance(out_dims, int) else [out_dims] * len(outputs[0])
        joined = iter(
            Tensor.cat(*parts, dim=place) if isinstance(parts[0], Tensor) and place is not None else parts[0]
            for parts, place in zip(zip(*outputs), places)
        )
        return mapped(results[0], lambda _: next(joined))

    return chunked


def _recorded(
    function: Callable[..., Any], args: Any, kwargs: Any, randomness: str, examples: int
) -> tuple[Any, dict[Buffer, Buffer]]:
    """The function's result for placeholders, and what buffers of random numbers of all examples stand for which."""
    outer = recorder.get()
    refusal = Refusal(randomness, examples, outer)
    token = recorder.set(refusal)
    try:
        with spelled_out():
            return function(*args, **kwargs), refusal.drawn_for_each
    finally:
        recorder.reset(token)


def _spread(args: tuple[Any, ...], dims: Any) -> list[int | None]:
    """For each end of the arguments the dimension of examples."""
    if dims is None or isinstance(dims, int):
        return [dims] * len(ends(args))
    if len(dims) != len(args):
        raise ValueError(f"{len(args)} arguments with {len(dims)} dimensions of examples")
    found: list[int | None] = []
    for value, dim in zip(args, dims):
        inside = ends(value)
        if dim is None or isinstance(dim, int):
            found += [dim] * len(inside)
        else:
            values = list(value.values()) if isinstance(value, dict) else list(value)
            found += _spread(tuple(values), list(dim.values()) if isinstance(dim, dict) else list(dim))
    return found


def _examples(values: Sequence[Any], dims: Sequence[int | None]) -> int:
    """How many examples there are; raises ShapeError when arguments differ in that."""
    found = {}
    for x, dim in zip(values, dims):
        if dim is not None and isinstance(x, Tensor):
            if not -x.ndim <= dim < x.ndim:
                raise ShapeError(f"vmap() over dimension {dim} of a tensor of shape {x.shape}")
            found[x.shape[dim]] = x.shape
    if len(found) != 1:
        raise ShapeError(f"vmap() over arguments of {len(found)} numbers of examples: {', '.join(map(str, found))}")
    return next(iter(found))


def _placed(x: Tensor, node: Node, place: int | None) -> Tensor:
    """The batched result, with the dimension of examples where it was asked for."""
    result = Tensor._wrap(node, x._tracked)
    if place is None:
        return result[0]
    place = place % result.ndim
    order = list(range(1, result.ndim))
    order.insert(place, 0)
    return result.permute(*order) if place else result
