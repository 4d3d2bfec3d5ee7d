"""Operations of the matrix in captured mode: what a replay gives is what is compared with torch.

Comes in: our function of an operation.  Goes out: the same function, each call of which is captured, then replayed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kernelforge import JitError, jit
from kernelforge.tensor.generators import default
from tests.modes import CAPTURED

REFUSED: Final[list[str]] = []  # what jit said, by a name, of calls that ran as they are


def replayed(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, in captured mode that of replays; what `jit` refuses runs as it is."""
    if not CAPTURED:
        return function

    def called(*args: Any, **kwargs: Any) -> Any:
        captured, place = jit(function), default.get_state()
        try:
            captured(*args, **kwargs)
        except JitError as error:
            REFUSED.append(str(error).partition("\n")[0])
            default.set_state(place)
            return function(*args, **kwargs)
        default.set_state(place)
        found = captured(*args, **kwargs)
        assert [entry.replays for entry in captured._entries] == [1], captured.explain()
        return found

    called.replays = function  # type: ignore[attr-defined]
    return called
