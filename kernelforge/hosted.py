"""Functions of arrays that the host computes: decompositions of matrices, which are no kernels.

Comes in: NumPy functions with their gradients.  Goes out: `HostFunction`, which is the attr of a "host" node.  A plan
has a step for such a node, which copies its arguments to the host and its result back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from kernelforge.errors import LinAlgError
from kernelforge.graph import Line, Node, complex_of, host, part, reshape, shrink, stack, user_line


@dataclass(frozen=True, eq=False)
class HostFunction:
    """A function of arrays.

    name      the operation's, for people
    run       arrays -> array
    gradient  (node, cotangent) -> one cotangent per source, None where there is none; as nodes
    advice    what to do about arrays it cannot take
    """

    name: str
    run: Callable[..., NDArray]
    gradient: Callable[[Node, Node], Sequence[Node | None]]
    advice: str

    def __repr__(self) -> str:
        return self.name

    def computed(self, arrays: Sequence[NDArray], line: Line | None) -> NDArray:
        """The function of arrays.

        raises LinAlgError
        """
        try:
            with np.errstate(all="ignore"):
                return self.run(*arrays)
        except np.linalg.LinAlgError as error:
            operands = ", ".join(f"{array.dtype} {list(array.shape)}" for array in arrays)
            with user_line(line):
                raise LinAlgError(f"{self.name} of {operands}: {str(error).lower()}; {self.advice}") from None


def _numbers(x: Node) -> Node:
    """The complex numbers whose parts lie side by side in the last dimension."""
    whole, shape = tuple([(0, n) for n in x.shape[:-1]]), x.shape[:-1]
    return complex_of(*[reshape(shrink(x, (*whole, (k, k + 1))), shape) for k in (0, 1)])


def _pairs(x: Node) -> Node:
    return stack([part(x, which) for which in ("real", "imag")], ((len(x.shape), 2),))


@lru_cache(maxsize=256)
def of_pairs(function: HostFunction) -> HostFunction:
    """A function of complex numbers, on arrays whose last dimension holds the parts of each."""

    def run(*arrays: NDArray) -> NDArray:
        flat = [np.ascontiguousarray(array) for array in arrays]
        numbers = [array.view(np.result_type(array, np.complex64))[..., 0] for array in flat]
        found = np.ascontiguousarray(function.run(*numbers), numbers[0].dtype)
        return found[..., None].view(arrays[0].dtype)

    def gradient(node: Node, dy: Node) -> Sequence[Node | None]:
        src = [_numbers(x) for x in node.src]
        found = function.gradient(host(function, src, node.shape[:-1]), _numbers(dy))
        return [None if part is None else _pairs(part) for part in found]

    return HostFunction(function.name, run, gradient, function.advice)
