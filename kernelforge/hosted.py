"""Functions of arrays that the host computes: decompositions of matrices, which are no kernels.

Comes in: NumPy functions with their gradients.  Goes out: `HostFunction`, which is the attr of a "host" node.  A plan
has a step for such a node, which copies its arguments to the host and its result back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kernelforge.errors import LinAlgError
from kernelforge.graph import Line, Node, user_line


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
