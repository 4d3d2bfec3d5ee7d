"""What a case of the matrix is made of: an operation of torch's database, our function, and a sample of arguments.

Comes in: the database's entries.  Goes out: cases, and the arguments of both sides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch

from kernelforge import Tensor
from tests.parity.matrix.comparison import leaves
from tests.parity.matrix.translation import Untranslatable, anew, translated

UNHEARD: Final = ("device", "layout", "pin_memory", "memory_format", "generator", "non_blocking")


@dataclass(frozen=True)
class Case:
    """One call in both libraries.

    kind   "forward", "gradient", "second gradient", "in place" or "error"
    dtype  the element type's name, "" for errors
    """

    op: Any
    kind: str
    dtype: str
    sample: Any
    function: Callable[..., Any]

    @property
    def name(self) -> str:
        """The operation, with its variant."""
        variant = self.op.variant_test_name
        return f"{self.op.name}:{variant}" if variant else str(self.op.name)

    def theirs(self) -> Any:
        """What torch gives, of lstsq() the solution alone, as ours."""
        sample = self.sample
        found = self.op(anew(sample.input), *anew(tuple(sample.args)), **anew(sample.kwargs))
        return found[0] if self.op.name == "linalg.lstsq" and isinstance(found, tuple) else found

    def ours(self) -> Any:
        """What we give, of tensors of our own.

        raises Untranslatable
        """
        sample = self.sample
        given = translated(sample.input), translated(tuple(sample.args)), translated(heard(sample.kwargs))
        return self.function(given[0], *given[1], **given[2])


def heard(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Keyword arguments without those about memory and generators.

    raises Untranslatable for elements that are not in memory one by one
    """
    if kwargs.get("layout") not in (None, torch.strided):
        raise Untranslatable(str(kwargs["layout"]))
    return {name: value for name, value in kwargs.items() if name not in UNHEARD}


def described(value: Any) -> str:
    """A sample's argument in a few words."""
    if isinstance(value, torch.Tensor):
        strided = "" if value.layout is not torch.strided or value.is_contiguous() else f"/{list(value.stride())}"
        return f"{str(value.dtype)[6:]}{list(value.shape)}{strided}"
    if isinstance(value, tuple | list):
        return f"({', '.join(described(part) for part in value)})"
    if isinstance(value, dict):
        return ", ".join(f"{name}={described(part)}" for name, part in value.items())
    return repr(value)


def text(sample: Any) -> str:
    """A sample in a line."""
    kwargs = described(sample.kwargs)
    return f"{described(sample.input)}; {described(tuple(sample.args))[1:-1]}" + (f"; {kwargs}" if kwargs else "")


def computed(result: Any) -> None:
    """Computes a result to the end, so that a fault of it is raised here."""
    for leaf in leaves(result):
        if isinstance(leaf, Tensor):
            leaf.numpy()


def raised(error: Exception) -> str:
    """An exception as a failure, in its first line."""
    return f"raised: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
