"""Leaving the lazy world: computing tensors and reading their values.

Comes in: tensors.  Goes out: NumPy arrays, Python numbers and lists.  Once computed, a tensor no gradient flows through
forgets how it was computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from codegen.dtypes import dtypes, from_storage
from kernelforge import graph
from kernelforge.buffer import Buffer
from kernelforge.carried import unasked
from kernelforge.errors import ArgumentError, KindError, StateError
from kernelforge.graph import Node
from kernelforge.growth import due
from kernelforge.interning import let_go
from kernelforge.kernels import Device
from kernelforge.later import later
from kernelforge.native import compiled
from kernelforge.recording import recorder
from kernelforge.settings import NAN
from kernelforge.tensor.composite import composite
from kernelforge.tensor.core import Core
from kernelforge.tensor.create import filled
from kernelforge.tensor.forgetting import forget_unasked
from kernelforge.tensor.pressure import LONG
from kernelforge.tensor.random import Random
from kernelforge.tensor.registry import leaves, pending, waiting_tensors
from kernelforge.tensor.spent import SPENT, spent_node
from kernelforge.tensor.storage import forget_elsewhere

if TYPE_CHECKING:
    from kernelforge import dumping, nans, realize
    from kernelforge.planning.steps import Step
    from kernelforge.tensor import unread
else:
    later(
        globals(),
        dumping="kernelforge.dumping",
        nans="kernelforge.nans",
        realize="kernelforge.realize",
        unread="kernelforge.tensor.unread",
    )

MOST_SHOWN: Final = 60  # letters of a value in a message

if TYPE_CHECKING or compiled is None:

    def computed_again(tensor: Core) -> bool:
        """Whether a tensor was computed, as a graph that is known: in one call of C, else not."""
        return False

    def computed_together(tensors: tuple[Core, ...]) -> bool:
        """The same of several tensors, in one graph."""
        return False

    def array_of(tensor: Core) -> Any:
        """A copy of few elements that are computed, or a graph that is known: in one call of C, else None."""
        return None

    def only_value(tensor: Core) -> Any:
        """The element of a tensor that has one, computed as a graph that is known: in one call of C, else None."""
        return None

else:
    computed_again, computed_together = compiled.computed_again, compiled.computed_together
    array_of, only_value = compiled.array_of, compiled.only_value
    _read = ("float32", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "bool")
    compiled.set_read(tuple([getattr(dtypes, name) for name in _read]))


class Convert(Random):
    """Operations that compute."""

    __slots__ = ()

    def realize(self, *others: Self) -> Self:
        """Itself, computed together with others.

        raises TypeError for what is no tensor
        """
        if others or not isinstance(self, Core):
            _check((self, *others), "realize")
        if computed_together((self, *others)) if others else computed_again(self):
            return self
        if others or due or self._leaf or recorder.get() is not None or not self._computed_again():
            realize_tensors((self, *others))
        return self

    def _computed_again(self) -> bool:
        """True when the tensor is computed, which took little: the like was met before."""
        node = self._node
        buffer = filled(node) if node.device is None and not self._tracked else None
        if buffer is None:
            waits = pending and any(x._node.depth >= LONG for x in waiting_tensors() if x is not self)
            if waits or node.realized is not None or not node.src or node.device is None or (NAN.touched and NAN.value):
                return False
            buffer = realize.realize_again(node)
        if buffer is None:
            return False
        if pending:
            pending.pop(id(self), None)
        if self._tracked is SPENT:
            self._node = spent_node(node)
        elif not self._tracked:
            self._node = graph.buffer(buffer, node.shape, node.dtype)
        return True

    def explain(self, *others: Self) -> str:
        """What computing the tensor would run, as text: kernels, why each begins and ends where it does, sources.

        >>> (Tensor([[1.0, 2.0]]) @ Tensor([[3.0], [4.0]])).gelu().explain().splitlines()[0]
        '1 kernels'

        raises TypeError for what is no tensor
        """
        _check((self, *others), "explain")
        return realize.explain([tensor._node for tensor in (self, *others)])

    def dump(self, folder: str | PathLike[str], *others: Self) -> Path:
        """The folder, in which computing the tensor has left its kernels' sources and index.html to look at.

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as name:
        ...     (Tensor([1.0, 2.0]).exp().dump(name) / "index.html").is_file()
        True
        """
        with dumping.dump(folder) as path:
            self.realize(*others)
        found: Path = path
        return found

    def numpy(self, *, force: bool = False) -> NDArray:
        """The values as a NumPy array of the tensor's shape, a copy; bfloat16 and 8-bit floats come as float32.

        force   of no account: tensors that require gradients and those of all devices come without

        raises IndexError when an index by a tensor was out of range
        """
        if (found := array_of(self)) is not None:
            return found
        value = graph.uniform(self._node)
        if value is not None:
            return np.full(self.shape, value.attr, self.dtype.shown)
        if (active := recorder.get()) is not None:
            return active.value(self)
        self.realize()
        stored = self._stored
        if stored is None:  # another thread makes a plan, for which it hides the buffers of nodes for a while
            stored = realize.stored(self._node)
        return from_storage(realize.contents(stored), self.dtype).reshape(self.shape)

    def item(self) -> Any:
        """The value of a tensor with one element, as a Python number.

        raises ArgumentError when it has another number of elements
        """
        if (value := only_value(self)) is not None:
            return value
        if self.numel() != 1:
            raise ArgumentError(f"item() needs one element, a tensor of {self.shape} has {self.numel()}; use tolist()")
        return self.numpy().item()

    def tolist(self) -> Any:
        """The values as nested lists of Python numbers; a number if there are no dimensions."""
        return self.numpy().tolist()

    def equal(self, other: Self) -> bool:
        """True if both have the same shape and values."""
        return self.shape == other.shape and bool(self._all_equal(other).item())

    @composite
    def _all_equal(self, other: Self) -> Self:
        """Whether all elements equal those of a tensor of the same shape."""
        return self.eq(other).all()

    def allclose(self, other: Self, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
        """True if isclose() holds for all elements."""
        return bool(self.isclose(other, rtol, atol, equal_nan).all().item())

    def is_nonzero(self) -> bool:
        """True if the only element is not zero."""
        return bool(self)

    def data(self) -> memoryview:
        """The values as a memoryview of a copy."""
        return self.numpy().data

    def clone(self, device: str | None = None) -> Self:
        """A tensor with the same values in memory of its own, on another device if one is given."""
        x = self if device is None else self.to(device)
        return x._derived(graph.contiguous(x._node))

    def schedule_linear(self, *others: Self) -> list[Step]:
        """The steps that computing the tensor would take: launches of kernels, copies and functions of the host."""
        return realize.planned([tensor._node for tensor in (self, *others)])

    def linear_with_vars(self, *others: Self) -> tuple[list[Step], dict[str, int]]:
        """The steps of schedule_linear(), and sizes that are known only when they run: there are none."""
        return self.schedule_linear(*others), {}

    def __bool__(self) -> bool:
        """The truth of a tensor with one element; of others it is ambiguous."""
        if (value := only_value(self)) is not None:
            return bool(value)
        if self.numel() != 1:
            raise StateError(
                f"the truth value of a tensor of shape {self.shape} is ambiguous; use .any() or .all(), "
                "and & | ~ instead of and, or, not"
            )
        return bool(self.item())

    def __int__(self) -> int:
        return int(self._real_item())

    def __float__(self) -> float:
        return float(self._real_item())

    def _real_item(self) -> Any:
        """item(), of a complex number that is a real one as that."""
        value = self.item()
        return value.real if isinstance(value, complex) and not value.imag else value

    def __index__(self) -> int:
        if not self.dtype.is_int:
            raise KindError(f"only an integer tensor can be used as an index, this one is {self.dtype}")
        return int(self.item())

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec and self.numel() == 1 else repr(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        copy = type(self)(self._node)
        memo[id(self)] = copy
        if self._leaf:
            copy.requires_grad = True
        else:
            copy._tracked = self._tracked
        return copy

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), self.numpy(), self.dtype.name, self.requires_grad and self._leaf)


def _rebuilt(cls: type[Core], values: NDArray, dtype: str, requires_grad: bool | None) -> Core:
    return cls(values, dtype=dtype, requires_grad=requires_grad)


def _check(given: Iterable[object], what: str) -> None:
    """raises TypeError for what is no tensor"""
    for value in given:
        if not isinstance(value, Core):
            shown = repr(value) if len(repr(value)) <= MOST_SHOWN else f"{repr(value)[:MOST_SHOWN]}..."
            raise KindError(f"{what}() takes tensors, not {shown} of type {type(value).__name__}; use Tensor(...)")


def realize_pending(tensors: Iterable[Core], thorough: bool = False) -> realize.Ran | None:
    """Compute tensors together with every tensor assigned to or differentiated and not computed since; what ran.

    A training step so computes its loss and the running statistics with the parameters, in one plan.
    """
    return realize_tensors((*tensors, *waiting_tensors()), thorough)


def _names(tensors: tuple[Core, ...]) -> dict[Node, int]:
    """How many references to each node go when the tensors are computed and forget how."""
    names: dict[Node, int] = {}
    for tensor in dict.fromkeys(tensors):
        node = tensor._node
        if tensor._stored is not None:
            continue  # it stays as it is
        if tensor._leaf and leaves.get(node) is tensor:
            names[node] = names.get(node, 0) + 3  # the table of leaves has it as key twice
        elif not tensor._tracked:
            names[node] = names.get(node, 0) + 1
    return names


def changed_with(nodes: Sequence[Node], tensors: Sequence[Core]) -> list[Core]:
    """The tensors, but for those given, that changed, are to be computed, and share work with nodes.

    So do those that share work with such a one, and those that wait for many changes, such as a count that nobody
    reads.  They are computed with these and stay: a loop that changes a tensor and reads something else would have to
    begin with the first change each time.
    """
    known = set(map(id, tensors))
    waiting = [x for x in waiting_tensors() if id(x) not in known and x._stored is None and not _is_known(x._node)]
    if not waiting:
        return []
    device = next((node.device for node in nodes if node.device is not None), Device.DEFAULT)
    waiting = [x for x in waiting if x.device == device]
    whole = _without_placeholders([*nodes, *[x._node for x in waiting]])
    joined, of_value = {x: x for x in whole if _is_work(x)}, dict[Node, Node]()
    for x in joined:
        for y in x.src:
            if y in joined:
                joined[_end(joined, x)] = _end(joined, y)
        if x.op == "gradient":  # those of one value share work, though that may be computed
            joined[_end(joined, x)] = _end(joined, of_value.setdefault(x.src[0], x))
    own = [*nodes, *[x._node for x in waiting if x._node.depth >= LONG]]
    ends = {_end(joined, node) for node in own if node in joined}
    return [x for x in waiting if x._node in joined and _end(joined, x._node) in ends]


def _without_placeholders(nodes: Sequence[Node]) -> list[Node]:
    """What nodes are computed from, but for those that are computed from a placeholder: such is what is left of
    functions that were recorded."""
    standing = set[Node]()
    for x in graph.toposort(nodes, into_realized=False):
        if x.op == "input" or (x.realized is None and not standing.isdisjoint(x.src)):
            standing.add(x)
    return graph.toposort([x for x in nodes if x not in standing], into_realized=False)


def _end(joined: dict[Node, Node], node: Node) -> Node:
    """The node that stands for all a node is joined with; ways to it become shorter."""
    while (further := joined[node]) is not node:
        joined[node] = joined[further]
        node = further
    return node


def _is_work(node: Node) -> bool:
    """True for what has to be computed."""
    return node.realized is None and bool(node.src) and not _is_known(node)


def _is_known(node: Node) -> bool:
    """True for constants: many programs have the same ones, and nothing has to be computed."""
    return node.device is None and graph.uniform(node) is not None


def realize_tensors(tensors: tuple[Core, ...], thorough: bool = False) -> realize.Ran | None:
    """Compute tensors together, and let those no gradient flows through forget how; what ran.

    Tensors that changed, and share work with them, are computed as well.  Nothing while a function is recorded: its
    results are computed together in the end.

    thorough  new values take the memory of old ones even where there is little to save
    """
    if (active := recorder.get()) is not None:
        active.asked()
        return None
    if due:
        unread.look()
    wanted = []
    for tensor in tensors:
        if graph.uniform(tensor._node) is not None:
            tensor._rename(tensor._unshared(tensor._node))
        forget_elsewhere(tensor._node)
        if tensor._stored is None:
            wanted.append(tensor._node)
    if pending and wanted:
        changed = changed_with(wanted, tensors)
        tensors = (*tensors, *changed)
        wanted += [tensor._node for tensor in changed]
    looks = NAN.value > 0
    try:
        ran = realize.realize(wanted, dict if looks else (lambda: _names(tensors)), thorough)
    except Exception:
        for tensor in tensors:  # who asks for something else is not told again
            pending.pop(id(tensor), None)
        raise
    if looks:
        nans.blame(wanted)
    settle(tensors, computed=True)
    if unasked:
        forget_unasked()
    return ran


def _counted(node: Node) -> Buffer:
    """The buffer of positions that were computed, which another thread may have had their node forget since."""
    while (found := node.realized) is None:
        realize.realize([node])
    return found


def settle(tensors: Iterable[Core], computed: bool = False) -> None:
    """Has tensors that were computed, and that no gradient flows through, forget how; computed: all of them were."""
    counted: list[Node] = []
    changed = {id(x) for x in waiting_tensors()} if pending else ()
    for tensor in tensors:
        if changed and id(tensor) in changed:
            pending.pop(id(tensor), None)
        stored = tensor._stored
        if stored is None and computed and tensor._node.op == "iota":
            stored = _counted(tensor._node)
        if stored is None or (tensor._tracked and not tensor._leaf):
            continue
        if tensor._tracked is SPENT:
            tensor._rename(spent_node(tensor._node))
        elif tensor._leaf:  # it keeps its node: gradients flow to it from what was computed before as well
            let_go(tensor._node)
        else:
            node = tensor._node
            tensor._rename(graph.buffer(stored, node.shape, node.dtype))
            if node.op == "iota":
                counted.append(node)
    for node in counted:  # others who have it count as fast as they read
        node.realized = None
