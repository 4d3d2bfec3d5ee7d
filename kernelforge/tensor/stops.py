"""Places where a gradient does not simply go on: hooks look at it, and functions with a backward of their own turn it.

Comes in: an output, its cotangent and target nodes.  Goes out: one cotangent per target.  A graph without such places
is differentiated in one piece; else in pieces that end at them, the last first.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Self
from weakref import WeakKeyDictionary, ref

from kernelforge.errors import DeviceError
from kernelforge.graph import Node
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
    """What is done with the cotangent of a node.

    outputs   all nodes of one application of a function; of a tensor with hooks the one
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


class Removable:
    """A hook that can be removed."""

    def __init__(self, hooks: dict[int, Any], hook: Any) -> None:
        self._hooks, self._number = hooks, next(_numbers)
        hooks[self._number] = hook

    def remove(self) -> None:
        """Have the hook not called any more."""
        self._hooks.pop(self._number, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


_numbers: Final = count()
stops: Final[WeakKeyDictionary[Node, Stop]] = WeakKeyDictionary()
_NONE: Final = Stop(())
NOTHING: Final[Mapping[Node, Callable[[Node], object]]] = {}
under_way: Final[list[Node]] = []  # what is being differentiated: its graph stays as it is
_dependent: Final[dict[tuple[Hashable, int], list[bool]]] = {}


def derivatives(
    output: Node,
    cotangent: Node,
    targets: Sequence[Node],
    call: Callable[[Callable[[Any], Any], Node], Node],
    cuts: tuple[Node, ...] = (),
    early: bool = False,
    keep: Mapping[Node, Callable[[Node], object]] = NOTHING,
) -> list[Node | None]:
    """The derivative with respect to each target; None where the output does not depend on it.

    call   applies a hook to a gradient
    cuts   nodes that gradients reach and do not go on from
    early  a target from which gradients go on to others has the one before its hooks, as torch.autograd.grad() has it
    keep   what is called, after hooks, with the gradients of nodes from which they go on, or which are targets
    """
    under_way.append(output)
    try:
        goes_on = _leading(output, targets, cuts) if stops or keep else {}
        order = [node for node in goes_on if node in stops or node in keep]
        if not order:
            return _direct(output, cotangent, targets, cuts)
        found = _in_pieces([(output, cotangent)], targets, order[::-1], call, cuts, goes_on, keep)
        return [one if early and goes_on.get(target) else last for target, (one, last) in zip(targets, found)]
    finally:
        under_way.pop()


def _leading(output: Node, targets: Iterable[Node], cuts: Iterable[Node]) -> dict[Node, bool]:
    """The nodes of an output's history by which gradients come to targets, sources before users: whether they go on
    from it to one.

    Beyond a function with a backward of its own they go on from what it was applied to, whatever it made of that.
    """
    wanted, ends = set(targets), frozenset(cuts)
    goes_on, entered, stack = dict[Node, bool](), set[Node](), [output]
    while stack:
        node = stack[-1]
        src = () if node in ends else _before(node)
        if node in entered:
            stack.pop()
            if node not in goes_on:
                goes_on[node] = any(x in wanted or goes_on[x] for x in src)
        else:
            entered.add(node)
            stack += [x for x in reversed(src) if x not in entered]
    return {node: further for node, further in goes_on.items() if further or node in wanted}


def _before(node: Node) -> Sequence[Node]:
    """The nodes to which the gradient of a node goes on."""
    stop = stops.get(node)
    if stop is not None and stop.backward is not None:
        return stop.inputs
    return () if node.op == "detach" else node.src


def _in_pieces(
    pieces: list[tuple[Node, Node]],
    targets: Sequence[Node],
    order: Sequence[Node],
    call: Callable[[Callable[[Any], Any], Node], Node],
    cuts: tuple[Node, ...],
    goes_on: Mapping[Node, bool],
    keep: Mapping[Node, Callable[[Node], object]],
) -> list[tuple[Node | None, Node | None]]:
    """derivatives() of a graph with stops, given in the order in which gradients reach them, before and after hooks.

    pieces  nodes with what has come to them, which goes on from there to the next stops; at first the output's
    """
    arrived, hooked = dict[Node, Node | None](), dict[Node, Node | None]()
    for node in order:
        (found,) = _through(pieces, [node], (*order, *cuts))
        arrived[node], stop = found, stops.get(node, _NONE)
        for hook in stop.hooks.values():
            found = found if found is None else call(hook, found)
        hooked[node] = found
        if node in keep and found is not None:
            keep[node](found)
        pieces = [piece for piece in pieces if piece[0] is not node]  # they have ended here
        if stop.backward is None:
            pieces += [(node, found)] if found is not None else []
            continue
        outputs = [reference() for reference in stop.outputs]
        waiting = any(other in outputs and other not in hooked for other in order)
        cotangents = [None if other is None else hooked.get(other) for other in outputs]
        if not waiting and goes_on[node] and any(part is not None for part in cotangents):
            parts = stop.backward(cotangents)
            pieces += [(x, part) for x, part in zip(stop.inputs, parts) if part is not None]
    plain = [target for target in targets if target not in hooked]
    found_for = dict(zip(plain, _through(pieces, plain, (*order, *cuts))))
    return [(arrived.get(x, found_for.get(x)), hooked.get(x, found_for.get(x))) for x in targets]


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
    reached = [target if has_one else None for target, has_one in zip(targets, _dependent[key])]
    for target in reached:
        if target is not None and output.device != target.device and None not in (output.device, target.device):
            raise DeviceError(
                f"gradient of a tensor on {output.device} with respect to one on {target.device}, and no gradient goes "
                f"back through .to(): have the variable where it is used, as x.to({output.device!r}).detach()"
                f".requires_grad_() or module.to({output.device!r}), before anything is computed from it"
            )
    return [None if target is None else calls.derivative(output, cotangent, target, cuts) for target in reached]
