"""What a tensor is: a handle on a graph node, with its part in gradients.

Comes in: Python numbers, nested lists, NumPy arrays or graph nodes.  Goes out: `Core`, the lowest of the chain of
classes that ends in `Tensor`, and the promotion and broadcasting all operations share.  A tensor is a name for a node:
operations make new nodes, and assignment makes the tensor name another node.  Nothing here computes.
"""

from __future__ import annotations

from contextvars import ContextVar
from sys import _getframe, getrefcount
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias
from weakref import ref

import numpy as np
from numpy.typing import NDArray

from codegen.dtypes import DType, dtypes
from kernelforge import graph
from kernelforge.blame import is_own
from kernelforge.buffer import Buffer
from kernelforge.errors import DTypeError, KindError, ShapeError, StateError
from kernelforge.graph import Node
from kernelforge.held import hold
from kernelforge.interning import new_node, own_node
from kernelforge.kernels import Device
from kernelforge.kinds import as_dtype
from kernelforge.native import NO_MORE, compiled, record
from kernelforge.recording import recorder, spelling
from kernelforge.settings import EAGER
from kernelforge.shape import broadcast_shapes
from kernelforge.tensor.aliases import Kin, Place, Step, join, noted, numbered, relatives, walked
from kernelforge.tensor.arrays import as_array
from kernelforge.tensor.broadcasting import expanded
from kernelforge.tensor.frames import put_down
from kernelforge.tensor.literals import is_number, literal_dtype
from kernelforge.tensor.pressure import LONG, PATIENCE
from kernelforge.tensor.registry import former, leaves, pending
from kernelforge.tensor.settling import settled
from kernelforge.tensor.sizes import Size
from kernelforge.tensor.spent import SPENT, either, spent_node
from kernelforge.tensor.storage import array_leaf, own_storage, pinned

if TYPE_CHECKING:
    _Fields = object
else:
    _Fields = record("Tensor", "_hooks", "_leaf", "_node", "_place", "_tracked", "grad")

Operand: TypeAlias = "Core | int | float | bool | complex | NDArray | np.generic"

grad_enabled: Final[ContextVar[bool]] = ContextVar("grad_enabled", default=True)
narrow_type: Final[ContextVar[DType | None]] = ContextVar("narrow_type", default=None)  # that autocast() asks for
broadcasts: Final[tuple[dict[str, Any], dict[str, Any]]] = ({}, {})  # recipes by operation; for operands exchanged
_new: Final = object.__new__
_UNUSED: Final = 3  # references to a node that nothing was computed from: the tensor's, and those of who counts


class Core(_Fields):
    """A tensor's state.

    grad   the gradient backward() added up for a leaf, else None
    """

    __slots__ = NO_MORE

    _node: Node
    _tracked: bool | None
    _leaf: bool
    _hooks: dict[int, Any]  # of a leaf; not there until the first
    _place: Place  # among tensors of the same elements; not there until there is a view
    grad: Self | None

    def __init__(
        self,
        data: Any,
        device: str | None = None,
        dtype: DType | str | type | None = None,
        requires_grad: bool | None = None,
    ) -> None:
        """A tensor with the given data, which is copied.

        data            a number, a nested list of numbers, a tensor, an array of NumPy or any library with DLPack,
                        bytes, the path of a file of bytes, or None for no elements
        device          a device's name; the default device when None
        dtype           the element type; None keeps an array's and takes float32, int32 or bool for Python numbers
        requires_grad   True: backward() computes its gradient; None: an optimiser may turn it on; False: never
        raises          ShapeError for ragged lists, DTypeError for data that are no numbers
        """
        wanted = None if dtype is None else as_dtype(dtype)
        place = Device.canonicalize(device)
        if isinstance(data, Core):
            data = data._node
        if data.__class__ is np.ndarray and (leaf := array_leaf(data, wanted, place)) is not None:
            node = leaf
        elif isinstance(data, Node):
            node = data if device is None else graph.copy(data, place)
            node = node if wanted is None else graph.cast(node, wanted)
        elif is_number(data) and not requires_grad:
            kind = wanted or literal_dtype(data, dtypes.bool if isinstance(data, bool) else dtypes.default_int)
            node = pinned(graph.const(data, kind), device)
        else:
            array, found = as_array(data, wanted)
            node = own_storage(array, wanted or found, place)
        self._node, self._tracked, self._leaf, self.grad = node, None, False, None
        if requires_grad is not None:
            self.requires_grad = requires_grad

    # Making results ---------------------------------------------------------------------------------------------

    if TYPE_CHECKING or compiled is None:  # else in native/tensors.c

        @classmethod
        def _wrap(cls, node: Node, tracked: bool | None, up: int = 1, of: Node | None = None) -> Self:
            """A tensor of a node; tracked says whether gradients flow through it.

            up  how many frames above this one the user's call is at least
            of  that of the tensor it is computed of
            """
            tensor = _new(cls)
            tracked = tracked if node.dtype.is_inexact else None
            if (tracked or tracked is SPENT) and not grad_enabled.get():
                node, tracked = graph.detach(node), None
            elif tracked:
                node = own_node(node, of)
            elif tracked is SPENT:
                node = spent_node(node) if node.op == "buffer" else node
            tensor._node, tensor._tracked, tensor._leaf, tensor.grad = node, tracked, False, None
            if node.place is None:
                put_down(node, _getframe(up))
            if EAGER.touched or node.depth >= PATIENCE:
                settled(tensor, tracked)
            return tensor

        def _derived(self, node: Node) -> Self:
            """The tensor of a node computed from this tensor alone."""
            return self._wrap(node, either(self._tracked), of=self._node)

    def _view(self, node: Node, *steps: Step) -> Self:
        """The tensor of a node that steps lead to: changes in place of one are changes of the other."""
        view = self._derived(node)
        if not spelling.get():
            join(self, view, steps)
        return view

    def _as_tensor(self, value: Operand) -> Self:
        """value as a tensor; a Python scalar becomes a constant of the type it takes beside this tensor."""
        if isinstance(value, Core):
            return value  # type: ignore[return-value]
        if isinstance(value, np.ndarray):
            return type(self)(value, device=self._node.device)
        value = value.item() if isinstance(value, np.generic) else value
        return self._wrap(graph.const(value, literal_dtype(value, self.dtype)), None)

    def _full(self, value: int | float | bool | complex) -> Node:
        return graph.full(self._node.shape, value, self._node.dtype)

    def _constant(self, value: int | float | bool | complex) -> Self:
        """A tensor of this one's shape and dtype with one value everywhere."""
        return self._wrap(self._full(value), None)

    # What it is -------------------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """The size of each dimension."""
        return self._node.shape

    @property
    def dtype(self) -> DType:
        """The element type."""
        return self._node.dtype

    @property
    def device(self) -> str:
        """The name of the device its elements are, or would be, computed on."""
        return self._node.device or Device.DEFAULT

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self._node.shape)

    def numel(self) -> int:
        """The number of elements."""
        return self._node.size

    def element_size(self) -> int:
        """Bytes of one element."""
        return self._node.dtype.itemsize

    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self.numel() * self.element_size()

    def is_floating_point(self) -> bool:
        """True for float types."""
        return self._node.dtype.is_float

    @property
    def size(self) -> Size:
        """The number of elements; as a call, size() is the shape and size(dim) the size of one dimension."""
        return Size(self._node.size, self._node.shape)

    def __len__(self) -> int:
        if not self.shape:
            raise KindError("len() of a tensor without dimensions; numel() gives its number of elements, 1")
        return self.shape[0]

    def __hash__(self) -> int:
        return id(self) >> 4

    @property
    def _stored(self) -> Buffer | None:
        """The buffer this tensor is a plain row-major image of, or None while it is still to be computed."""
        node = self._node
        if node.realized is not None:
            return node.realized
        if node.op == "reshape":
            node = node.src[0]
        return node.attr if node.op == "buffer" else node.realized

    # Gradients --------------------------------------------------------------------------------------------------

    @property
    def requires_grad(self) -> bool | None:
        """True when backward() reaches it, False when it never shall, None when nobody said."""
        return None if self._tracked is SPENT else self._tracked

    @requires_grad.setter
    def requires_grad(self, value: bool | None) -> None:
        if not value:
            if leaves.get(self._node) is self:
                del leaves[self._node]
            elif not self._leaf and (self._tracked or self._tracked is SPENT):
                self._node = graph.detach(self._node)  # nothing depends on whether it is read before it is used again
            self._tracked, self._leaf = value, False
            return
        if not self._node.dtype.is_inexact:
            raise DTypeError(f"only float tensors have gradients, this one is {self.dtype}; cast it first")
        if not self._tracked or self._leaf:
            self._become_leaf()

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Itself, with requires_grad set."""
        self.requires_grad = requires_grad
        return self

    @property
    def is_leaf(self) -> bool:
        """True for a tensor made by the user, not computed from one that requires gradients."""
        return self._leaf or not self._tracked

    def _become_leaf(self) -> None:
        """Start a gradient history at this tensor."""
        if not self._leaf:
            self._node = self._unshared(self._node)
            self._tracked = self._leaf = True
            leaves[self._node] = self
            hold(self)

    def _unshared(self, node: Node) -> Node:
        """A node with the same values that is nobody else's, now or later: who has a leaf's node gets its gradient."""
        value = graph.uniform(node)
        if value is not None:
            return own_storage(np.full(node.shape, value.attr, node.dtype.compute), node.dtype, self.device)
        if node.op == "buffer":
            return new_node("buffer", (), node.attr, node.shape, node.dtype, node.device)
        if node.device is None:
            return own_storage(self._wrap(node, None).numpy(), node.dtype, self.device)  # type: ignore[attr-defined]
        source = node.src[0] if node.op == "detach" else node
        return new_node("detach", (source,), None, node.shape, node.dtype, node.device)

    def _rename(self, node: Node, by: Core | None = None) -> None:
        """Make this tensor a name of another node; by: because that one, which shares its elements, is."""
        if (active := recorder.get()) is not None:
            active.changing(self, by)
        if self._leaf:
            node = self._unshared(node)
            before = self._node
            if leaves.get(before) is self:
                del leaves[before]
                if getrefcount(before) > _UNUSED:
                    former[before] = ref(self)
            leaves[node] = self
        self._node = node

    def _become(self, value: Self) -> Self:
        """Take the value of another tensor of this one's shape: what every operation in place does."""
        if self._leaf and grad_enabled.get():
            raise StateError("a leaf that requires grad cannot change in place; use no_grad(), or assign() to it")
        node, tracked = value._node, value._tracked
        if node.device != self._node.device:
            node = pinned(node, self._node.device)
        if self._tracked and not self._leaf and not grad_enabled.get():
            node, tracked = unseen(self._node, node), True
        if hasattr(self, "_place"):
            node = self._tell(node, tracked)
        self._take(node, tracked)
        pending[id(self)] = self
        return self

    def _set(self, node: Node) -> None:
        """Stand for another node, with all tensors that show elements of this one."""
        if hasattr(self, "_place"):
            self._tell(node, None)
        self._rename(node)

    def _take(self, node: Node, tracked: bool | None, by: Core | None = None) -> None:
        """Stand for another node, which gradients flow through if tracked."""
        self._rename(node, by)
        if not self._leaf:
            self._tracked = tracked or (tracked if tracked is SPENT else None if self._tracked else self._tracked)

    def _tell(self, node: Node, tracked: bool | None) -> Node:
        """Make all tensors that show elements of this one show those of a node that takes its place.

        A tensor that shows some element twice becomes one of its own.  The result is the node this one is to stand for:
        gradients flow through a view to what it is a view of, as that is from now on.
        """
        kin = relatives(self)
        if kin is None:
            del self._place
            return node
        own = node
        eldest = kin.eldest
        if eldest is not None and eldest is not self:
            if eldest._leaf and grad_enabled.get() and not any(kind == "detach" for kind, _ in kin.way):
                raise StateError("a view of a leaf that requires grad cannot change in place; use no_grad()")
            apart = any(kind == "detach" for kind, _ in kin.way)
            whole = self._seen_in(eldest, kin, node, tracked)
            if eldest._tracked and not eldest._leaf and (apart or not grad_enabled.get()):
                whole = unseen(eldest._node, whole)
            eldest._take(whole, tracked or eldest._tracked or (tracked if tracked is SPENT else None), self)
            tracked, node = eldest._tracked, eldest._node
            if tracked and not apart:
                own = own_node(walked(node, kin.way), node)
            pending[id(eldest)] = eldest
        elif eldest is None and kin.others:
            node = kin.whole(node)
        for other, steps in kin.others:
            isolated = any(kind == "detach" for kind, _ in steps)
            found = noted(walked(node, steps), node, steps)
            if tracked and not isolated:
                found = own_node(found, node)
            other._take(found, None if isolated else tracked, self)
            if eldest is None:
                pending[id(other)] = other
        return own

    def _seen_in(self, eldest: Self, kin: Kin, node: Node, tracked: bool | None) -> Node:
        """The elements of the tensor this one is a view of, those of this one from a node: one call where nothing is
        out of the ordinary, as `native/inplace.c` makes it."""
        is_usual = not tracked and not eldest._tracked and recorder.get() is None and not spelling.get()
        number = numbered(kin.shape, kin.way) if is_usual else None
        if number is None or (EAGER.touched and EAGER.value):
            return kin.whole(node)
        return eldest._with_view_replaced(number, self._wrap(node, None))._node  # type: ignore[attr-defined]

    def replace(self, x: Self) -> Self:
        """Itself, with the value of another tensor of any shape, dtype and device, detached if it is a leaf."""
        self._rename(x._node)
        if hasattr(self, "_place"):
            del self._place
        return self

    def assign(self, x: Any) -> Self:
        """Itself, with the value of another tensor, which it keeps no gradient history of if it is a leaf.

        Its views show the new value; tensors computed from this one before keep theirs.

        raises ShapeError, DTypeError when shape or dtype differ
        """
        new = self._as_tensor(x)
        if new.shape != self.shape:
            if broadcast_shapes(self.shape, new.shape, what="assign") != self.shape:
                raise ShapeError(f"cannot assign {new.shape} to a tensor of shape {self.shape}")
            new = new._derived(expanded(new._node, self.shape))
        if new.dtype is not self.dtype:
            raise DTypeError(f"cannot assign {new.dtype} to a tensor of {self.dtype}; cast() the value")
        if new.device != self.device:
            new = new._derived(graph.copy(new._node, self.device))
        if self._leaf:
            self._set(new._node)
            pending[id(self)] = self
            return self
        return self._become(new)

    def _renew(self, node: Node) -> None:
        """`assign` of what has the shape, dtype and device of this tensor, and no history, and is computed at once."""
        self._set(self._wrap(node, None)._node)
        if not self._leaf:
            self._tracked = None if self._tracked else self._tracked
        if recorder.get() is not None:
            pending[id(self)] = self

    def detach(self) -> Self:
        """The same elements as a constant: gradients do not flow through it."""
        view = self._wrap(graph.detach(self._node), None)
        if not spelling.get():
            join(self, view, (("detach", None),))
        return view


def unseen(before: Node, after: Node) -> Node:
    """The value of a tracked tensor after a change that gradients do not see: they flow as they did before."""
    while before.op == "surrogate" and before.attr is None:
        before = before.src[1]
    return graph.surrogate(graph.detach(after), before)


if compiled is not None:
    compiled.set_spent(SPENT, spent_node)
    _going_on = getattr(pending, "_iterating", None), getattr(pending, "_pending_removals", None)
    compiled.heed_changed(getattr(pending, "data", {}), LONG, *_going_on)
    _as_they_are = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
                    "float16", "float32", "float64")  # fmt: skip
    _kinds: list[DType] = [getattr(dtypes, name) for name in _as_they_are]
    compiled.set_arrays({kind: kind.numpy for kind in _kinds}, Buffer, np.empty, dtypes.int32, dtypes.bool)
    compiled.set_in_place(recorder.get, lambda: Device.DEFAULT)
    compiled.set_tensors(
        _getframe, is_own, grad_enabled.get, spelling.get, narrow_type.get, EAGER, settled, graph.detach, graph.beside,
        dtypes, dtypes.bool, broadcasts, PATIENCE,
    )  # fmt: skip
