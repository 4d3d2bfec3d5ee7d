"""The smallest graph that still fails.

Comes in: a graph, the arrays it is computed from, and a test.  Goes out: the first operation that fails, and few
operations around it on small arrays that do.  Each attempt is planned, compiled and run like any graph, so there is a
bound on their number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from numpy.typing import NDArray

from codegen.dtypes import from_storage, to_storage
from kernelforge.checking.reference import Exact, evaluated
from kernelforge.checking.resizing import smaller
from kernelforge.checking.sketch import Sketch, sketch
from kernelforge.graph import LEAVES, Node, toposort

Test = Callable[[Sketch], bool]
MOST_TRIALS: Final = 60
MOST_ROOTS: Final = 64


class Shrinking:
    """A search that ends after so many trials."""

    def __init__(self, fails: Test) -> None:
        self._fails, self.trials = fails, 0

    def fails(self, candidate: Sketch) -> bool:
        if self.trials >= MOST_TRIALS:
            return False
        self.trials += 1
        return self._fails(candidate)

    def run(self, roots: Sequence[Node], given: Mapping[Node, NDArray], device: str) -> Sketch | None:
        """The smallest sketch found that fails; None where a graph that is planned again does not."""
        whole = sketch(roots, given, device)
        if not self.fails(whole):
            return None
        first = self._first(roots, given, device)
        return self._shorter(self._cut(first, given, device))

    def _first(self, roots: Sequence[Node], given: Mapping[Node, NDArray], device: str) -> list[Node]:
        """What is computed at the end of the shortest beginning of the graph that fails."""
        order = [x for x in toposort(roots, leaves=given) if x.op not in LEAVES and x not in given]
        low, high, best = 0, len(order), list(roots)
        while high - low > 1:
            middle = (low + high) // 2
            ends = _ends(order[:middle])
            if len(ends) <= MOST_ROOTS and self.fails(sketch(ends, given, device)):
                high, best = middle, ends
            else:
                low = middle
        for single in reversed(best):
            if len(best) > 1 and self.fails(sketch([single], given, device)):
                return [single]
        return best

    def _cut(self, roots: Sequence[Node], given: Mapping[Node, NDArray], device: str) -> Sketch:
        """The fewest operations before the roots that fail on what the others are to give."""
        whole = sketch(roots, given, device)
        reach = 1
        near = list(roots)
        while True:
            for _ in range(reach):
                near = list(dict.fromkeys([*near, *(x for node in near if node not in given for x in node.src)]))
            reach *= 2
            ends = [x for x in near if x.src and x not in given and any(y not in near for y in x.src)]
            ends = [x for x in ends if x not in roots]
            if not ends:
                return whole
            values = evaluated(ends, given, Exact())
            held = {x: from_storage(to_storage(v, x.dtype), x.dtype) for x, v in zip(ends, values)}
            candidate = sketch(roots, {**given, **held}, device)
            if self.fails(candidate):
                return candidate

    def _shorter(self, found: Sketch) -> Sketch:
        """The same on smaller arrays."""
        while self.trials < MOST_TRIALS:
            shorter = next((x for x in smaller(found) if self.fails(x)), None)
            if shorter is None:
                break
            found = shorter
        return found


def _ends(order: Sequence[Node]) -> list[Node]:
    """The nodes no other one of them reads."""
    read = {x for node in order for x in node.src}
    return [node for node in order if node not in read]
