"""Places where a gradient does not simply go on: hooks look at it, and functions with a backward of their own turn it.

Comes in: an output, its cotangent and target nodes.  Goes out: one cotangent per target.  A graph without such places
is differentiated in one piece; else in pieces that end at them, the last first.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary, ref

from kernelforge.graph import Node, toposort
from kernelforge.later import later
from kernelforge.structure import known_structure, structure

if TYPE_CHECKING:
    from kernelforge import calls
    from kernelforge.grad import walk
else:
    later(globals(), calls="kernelforge.calls", walk="kernelforge.grad.walk")

MOST_KNOWN: Final = 4096  # graphs of which is remembered what depends on what

Hooks = dict[int, Callable[[Any], Any]]


class Stop:
    """What is done with the cotangent of nodes.

    outputs   the nodes of one application of a function; of a tensor with hooks the one
    inputs    the nodes it was applied to; none for hooks
    backward  cotangents of the outputs, None where there is none -> cotangents of the inputs
    hooks     functions of the gradient, which may give another one
    """

    __slots__ = ("backward", "hooks", "inputs", "outputs")

    def __init__(
        self,
        outputs: Sequence[Node],
        inputs: Sequence[Node] = (),
        backward: Callable[[list[Node | None]], Sequence[Node | None]] | None = None,
    ) -> None:
        self.outputs = tuple([ref(node) for node in outputs])
        self.inputs, self.backward, self.hooks = tuple(inputs), backward, Hooks()


stops: Final[WeakKeyDictionary[Node, Stop]] = WeakKeyDictionary()
under_way: Final[list[Node]] = []  # what is being differentiated: its graph stays as it is
_dependent: Final[dict[tuple[Hashable, int], list[bool]]] = {}


def derivatives(
    output: Node,
    cotangent: Node,
    targets: Sequence[Node],
    call: Callable[[Callable[[Any], Any], Node], Node],
    cuts: tuple[Node, ...] = (),
) -> list[Node | None]:
    """The derivative with respect to each target; None where the output does not depend on it.

    call  applies a hook to a gradient
    cuts  nodes that gradients reach and do not go on from
    """
    under_way.append(output)
    try:
        order = [node for node in toposort([output]) if node in stops] if stops else []
        if not order:
            return _direct(output, cotangent, targets, cuts)
        return _in_pieces(output, cotangent, targets, order[::-1], call, cuts)
    finally:
        under_way.pop()


def _in_pieces(
    output: Node,
    cotangent: Node,
    targets: Sequence[Node],
    order: Sequence[Node],
    call: Callable[[Callable[[Any], Any], Node], Node],
    cuts: tuple[Node, ...],
) -> list[Node | None]:
    """derivatives() of a graph with stops, given in the order in which gradients reach them."""
    pieces: list[tuple[Node, Node]] = [(output, cotangent)]
    arrived: dict[Node, Node | None] = {}
    for node in order:
        (found,) = _through(pieces, [node], (*order, *cuts))
        stop = stops[node]
        for hook in stop.hooks.values():
            found = found if found is None else call(hook, found)
        arrived[node] = found
        if node is output:
            pieces = []
        if stop.backward is None:
            pieces += [(node, found)] if found is not None else []
            continue
        outputs = [reference() for reference in stop.outputs]
        waiting = any(other in outputs and other not in arrived for other in order)
        cotangents = [None if other is None else arrived.get(other) for other in outputs]
        if not waiting and any(part is not None for part in cotangents):
            parts = stop.backward(cotangents)
            pieces += [(x, part) for x, part in zip(stop.inputs, parts) if part is not None]
    plain = [target for target in targets if target not in arrived]
    found_for = dict(zip(plain, _through(pieces, plain, (*order, *cuts))))
    return [arrived[target] if target in arrived else found_for[target] for target in targets]


def _through(pieces: Sequence[tuple[Node, Node]], targets: Sequence[Node], order: Sequence[Node]) -> list[Node | None]:
    """The sums of what all pieces give each target."""
    sums: list[list[Node]] = [[] for _ in targets]
    for output, cotangent in pieces:
        cuts = tuple([node for node in order if node is not output])
        for parts, part in zip(sums, _direct(output, cotangent, targets, cuts)):
            parts += [] if part is None else [part]
    return [walk.total(parts) if parts else None for parts in sums]


def _direct(
    output: Node, cotangent: Node, targets: Sequence[Node], cuts: tuple[Node, ...]
) -> list[Node | None]:
    """The derivatives by paths that do not go on from a cut.

    Rules are applied when a plan is made, and here, for their errors, when the structure of the graph is new.
    """
    roots = [output, cotangent, *targets, *cuts]
    key = ((known_structure(roots, True) or structure(roots, history=True)).key, len(cuts))
    if key not in _dependent:
        if len(_dependent) >= MOST_KNOWN:
            del _dependent[next(iter(_dependent))]
        _dependent[key] = calls.depends(output, cotangent, targets, cuts)
    return [
        calls.derivative(output, cotangent, target, cuts) if has_one else None
        for target, has_one in zip(targets, _dependent[key])
    ]
