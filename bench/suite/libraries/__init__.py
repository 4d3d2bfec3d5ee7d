"""The sides of the contest. `load` imports one; the others need not be installed.

Every library has the same five methods and the same table of functions `f`: see `kernelforge.py`, the shortest.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

from numpy.typing import NDArray

from bench.suite.workload import Step, Work

OURS = "kernelforge"
MODULES = {OURS: OURS, "torch": "torch", "torch.compile": "torch", "jax": "jax"}


class Library(Protocol):
    """What a worker asks of a side."""

    f: Any

    def wake(self) -> None:
        """Load what the library loads with its first work: drivers, not what it compiles."""
        ...

    def tensor(self, array: NDArray, differentiable: bool = False, stored: str = "") -> Any:
        """The array as the library's value; int32 becomes the type the library indexes with, float32 `stored`."""
        ...

    def arrays(self, values: Any) -> list[NDArray]:
        """One value or several, as NumPy arrays, of float32 where they are stored in 16 bits."""
        ...

    def function(self, work: Work) -> Any:
        """A function that calls work(f, *values), waits and gives the result; compiled where the library can."""
        ...

    def gradient(self, work: Work, wrt: tuple[int, ...]) -> Any:
        """function(), whose last argument is the cotangent; gives the result and the gradients."""
        ...

    def step(self, step: Step, parameters: dict[str, Any]) -> Any:
        """A function of the batch that changes the parameters by AdamW, waits and gives the step's outcome."""
        ...


def load(name: str) -> Library:
    """The library of this name, imported now."""
    module = import_module(f"bench.suite.libraries.{MODULES[name]}_side")
    library: Library = module.side(name)
    return library


def installed(name: str) -> bool:
    """Whether it can be imported."""
    return find_spec(MODULES[name]) is not None
