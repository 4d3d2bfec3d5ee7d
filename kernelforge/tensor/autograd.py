"""Gradients: of one tensor with respect to others, and accumulated in leaves.

Comes in: a tensor and its history in the graph.  Goes out: tensors that are ordinary expressions, so gradients can be
differentiated again.  The derivative of each operation is in kernelforge/grad/.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Sequence
from functools import partial, reduce, wraps
from types import TracebackType
from typing import Any, Final, Self
from weakref import WeakValueDictionary

from kernelforge import graph
from kernelforge.errors import DTypeError, ShapeError, StateError
from kernelforge.foreseen import is_wanted, over, used
from kernelforge.graph import Node
from kernelforge.interning import new_node, set_apart
from kernelforge.members import entries
from kernelforge.recording import recorder, spelling
from kernelforge.tensor.aliases import Place
from kernelforge.tensor.core import Core, grad_enabled
from kernelforge.tensor.forgetting import forget
from kernelforge.tensor.histories import complain_if_forgotten, history, nodes_used, of_the_past, place_in
from kernelforge.tensor.lowrank import LowRank
from kernelforge.tensor.pressure import of_past_rounds
from kernelforge.tensor.promised import compute_promised, promise
from kernelforge.tensor.registry import leaves, pending
from kernelforge.tensor.settling import computed
from kernelforge.tensor.spent import SPENT, needs_values, spent_node
from kernelforge.tensor.stops import Removable, Stop, derivatives, stops
from kernelforge.tensor.storage import pinned


class no_grad:
    """A context, or a decorator, in which results take no part in gradients.

    >>> x = Tensor([1.0], requires_grad=True)
    >>> with no_grad():
    ...     y = x * 2
    >>> y.requires_grad is None
    True
    """

    _mode = False

    def __init__(self) -> None:
        self._tokens: list[Any] = []

    def __enter__(self) -> Self:
        self._tokens.append(grad_enabled.set(self._mode))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        grad_enabled.reset(self._tokens.pop())

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with type(self)():
                return function(*args, **kwargs)

        return wrapped


class enable_grad(no_grad):
    """A context, or a decorator, that undoes no_grad inside it."""

    _mode = True


class set_grad_enabled(no_grad):
    """Gradients on or off from now on, or as a context, or as a decorator."""

    def __init__(self, mode: bool) -> None:
        self._mode = bool(mode)
        self._tokens = [grad_enabled.set(self._mode)]

    def __enter__(self) -> Self:
        return self

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        grad_enabled.reset(self._tokens.pop())
        mode = self._mode

        @wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with set_grad_enabled(mode):
                return function(*args, **kwargs)

        return wrapped


def is_grad_enabled() -> bool:
    """True outside no_grad()."""
    return grad_enabled.get()


retained: Final[WeakValueDictionary[Node, Core]] = WeakValueDictionary()  # tensors that are no leaves and get a .grad


def _hooked(gradient: Any, hook: Callable[[Any], Any]) -> Any:
    """A gradient, or what a hook gives in its place."""
    found = hook(gradient)
    if found is not None and found.shape != gradient.shape:
        raise ShapeError(f"a hook gave a gradient of {found.shape} in the place of one of {gradient.shape}")
    return gradient if found is None else found.cast(gradient.dtype)


class Autograd(LowRank):
    """Differentiation."""

    __slots__ = ()

    def gradient(self, *targets: Self, gradient: Self | None = None, materialize_grads: bool = True) -> list[Self]:
        """The derivatives of this tensor with respect to targets, each of its target's shape.

        gradient            the cotangent of this tensor; not needed when it has no dimensions
        materialize_grads   zeros for a target this tensor does not depend on; False: an error

        Hooks are called as in torch.autograd.grad(): a target's own change its derivative, but where gradients go on
        from it to another target, and tensors between with retain_grad() get their .grad.

        >>> x = Tensor([1.0, 2.0])
        >>> (x * x).sum().gradient(x)[0].tolist()
        [2.0, 4.0]

        raises ShapeError without a needed cotangent; StateError where a target waits for what was let go
        """
        return self._gradients(self._cotangent(gradient), targets, (), materialize_grads)

    def _gradients(
        self, cotangent: Node, targets: Sequence[Self], cuts: tuple[Node, ...], materialize: bool = True
    ) -> list[Self]:
        """gradient(), by paths that do not go on from cuts."""
        found = self._gradients_or_none(cotangent, targets, cuts)
        missing = [i for i, part in enumerate(found) if part is None]
        if missing and not materialize:
            raise StateError(
                f"gradient with respect to target {missing[0]} of shape {targets[missing[0]].shape}: the tensor does "
                "not depend on it"
            )
        return [x._as_gradient(x._full(0), None) if part is None else part for x, part in zip(targets, found)]

    def _gradients_or_none(
        self, cotangent: Node, targets: Sequence[Self], cuts: tuple[Node, ...] = ()
    ) -> list[Self | None]:
        """gradient(), None for a target this tensor does not depend on."""
        _catch_up(targets)
        places = history(self._node)
        nodes = [nodes_used(places, target) for target in targets]
        wanted = [node for used in nodes for node in used]
        complain_if_forgotten(places, wanted if all(nodes) else [])
        keep = {node: x._add_gradient for node, x in entries(retained) if node in places}  # type: ignore[attr-defined]
        found = iter(self._derivatives(cotangent, wanted, cuts, early=True, keep=keep))
        parts = [[next(found) for _ in used] for used in nodes]
        return [x._as_hooked(_total(part), self._tracked) if part else None for x, part in zip(targets, parts)]

    def backward(
        self,
        gradient: Self | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Self | Sequence[Self] | None = None,
    ) -> Self:
        """Add the derivative of this tensor to .grad of every leaf with requires_grad=True it depends on.

        Where it depends on none, and on nothing computed from one, every float tensor it was computed from gets its
        .grad, as in tinygrad, unless requires_grad=False.

        Afterwards this tensor lets go of how it was computed, so a loop may add up its losses: its requires_grad is
        None, and so is that of what is computed from it alone.  A later backward() through it is an error, whether or
        not anybody has read it; one of another tensor computed before from the same values is none.

        gradient       the cotangent of this tensor; not needed when it has no dimensions
        retain_graph   True: this tensor takes part in gradients as before, as it does in any case where gradients need
                       no values (sums, views); None: as create_graph
        create_graph   True: each .grad takes part in gradients, too
        inputs         the leaves, or other tensors, that alone get a .grad

        raises RuntimeError when it depends on nothing that could have a gradient, or on what an earlier backward() let
               go of; ShapeError without a needed cotangent
        """
        if (active := recorder.get()) is not None:
            active.differentiating()
        cotangent = self._cotangent(gradient)
        places = history(self._node)
        if is_wanted() and active is None:
            compute_promised()
            over()
        used(places)
        wanted = None if inputs is None else [inputs] if isinstance(inputs, Core) else list(inputs)
        reached = [(node, tensor) for node, tensor in entries(leaves) if node in places]  # see place_in
        reached += of_the_past(places, [tensor for _, tensor in reached])
        targets: dict[Node, Self] = dict(reached)  # type: ignore[arg-type]
        targets.update({node: tensor for node, tensor in entries(retained) if node in places})  # type: ignore[misc]
        if wanted is not None:
            targets = self._chosen(places, wanted)
        elif not targets and not self._tracked:
            targets = self._unmarked(places)
        if not targets and not self._tracked:
            raise StateError(
                "backward() of a tensor that depends on no leaf with requires_grad=True: make the inputs with "
                "requires_grad=True, and compute outside no_grad()"
            )
        _catch_up(targets.values())
        parts: dict[int, tuple[Self, list[Node | None]]] = {}
        for tensor, part in zip(targets.values(), self._derivatives(cotangent, list(targets))):
            parts.setdefault(id(tensor), (tensor, []))[1].append(part)
        for tensor, of_it in parts.values():
            tensor._add_gradient(_total(of_it), True if create_graph else None)
        if not self._leaf and not (create_graph if retain_graph is None else retain_graph):
            self._spend()
        pending[id(self)] = self
        if active is None and not create_graph:
            promise(tensor.grad for tensor, _ in parts.values())
        return self

    def _spend(self) -> None:
        """Lets go of how this tensor was computed, where a gradient has to know that."""
        if self._tracked and needs_values(self._node):
            before, node = self._node, spent_node(self._node)
            if recorder.get() is None:
                self._node = node
                self._spend_views(before)
            else:
                self._rename(node)
            self._tracked = SPENT

    def _spend_views(self, before: Node) -> None:
        """Has the detach() of this tensor, which a program may keep of each round, let go of how it came to be."""
        place: Place | None = getattr(self, "_place", None)
        for view, _ in place.family.places() if place is not None else ():
            is_view = view._node.op == "detach" and view._node.attr is None and view._node.src[0] is before
            if is_view and view._tracked is None and not view._leaf:  # a leaf is found by its node
                view._node = graph.detach(self._node)

    def _chosen(self, places: Any, inputs: Sequence[Any]) -> dict[Node, Self]:
        """The tensors that are to have a .grad, by their nodes.

        raises RuntimeError for one this tensor does not depend on
        """
        found: dict[Node, Self] = {}
        for i, tensor in enumerate(inputs):
            nodes = nodes_used(places, tensor)
            if not nodes:
                raise StateError(f"backward(inputs=...): the tensor does not depend on input {i} of {tensor.shape}")
            found.update(dict.fromkeys(nodes, tensor))
        complain_if_forgotten(places, list(found))
        return found

    def _unmarked(self, places: Any) -> dict[Node, Self]:
        """Live float tensors this one depends on that say nothing of requires_grad, by their nodes.

        Equal constants are one node, whose gradient is that of all of them: those of several tensors are left out.

        raises StateError where it was forgotten what this one depends on
        """
        complain_if_forgotten(places)
        found: dict[Node, Self] = {}
        shared: set[Node] = set()
        for tensor in [x for x in gc.get_objects() if issubclass(type(x), type(self)) and x is not self]:
            node = place_in(places, tensor._node) if tensor._tracked is None and tensor._node.dtype.is_inexact else None
            if node is not None and found.setdefault(node, tensor) is not tensor and node.device is None:
                shared.add(node)
        return {node: tensor for node, tensor in found.items() if node not in shared}

    def _add_gradient(self, part: Node | None, tracked: bool | None = None) -> None:
        """Adds a gradient to .grad, a constant to later gradients unless it is tracked."""
        if part is not None and self._tracked and not tracked:
            part = graph.detach(part)
        added = self._as_hooked(part, tracked)
        if added._tracked and not tracked:  # by a hook
            added = added.detach()
        self.grad = added if self.grad is None else self.grad + added  # type: ignore[assignment]
        for hook, late in getattr(self, "_hooks", {}).values() if self._leaf else ():
            if late:
                hook(self)

    def _as_hooked(self, part: Node | None, tracked: bool | None) -> Self:
        """A gradient of this tensor, or what hooks of a leaf give in its place; zeros where there is none."""
        found = self._as_gradient(self._full(0) if part is None else part, None if part is None else tracked)
        hooks = getattr(self, "_hooks", {}).values() if self._leaf else ()
        return reduce(_hooked, [hook for hook, late in hooks if not late], found)

    def _derivatives(
        self, cotangent: Node, targets: Sequence[Node], cuts: tuple[Node, ...] = (), **options: Any
    ) -> list[Node | None]:
        """The derivative with respect to each target by paths that do not go on from a cut; None where there is none.

        options   see `derivatives`
        """
        tracked = self._tracked

        def call(hook: Callable[[Any], Any], node: Node) -> Node:
            return _hooked(self._wrap(node, tracked), hook)._node

        return derivatives(self._node, cotangent, targets, call, cuts, **options)

    def register_hook(self, hook: Callable[[Self], Self | None]) -> Removable:
        """Have backward() and gradient() call hook with this tensor's gradient, which it may replace by returning one.

        >>> x = Tensor([1.0, 2.0], requires_grad=True)
        >>> handle = x.register_hook(lambda gradient: gradient * 10)
        >>> x.sum().backward().detach() is None or x.grad.tolist()
        [10.0, 10.0]

        returns a handle whose remove() undoes it
        raises  RuntimeError for a tensor without a gradient
        """
        if not self._tracked:
            raise StateError(f"register_hook() on a tensor of {self.shape} that requires no gradient")
        if self._leaf:
            return self._hook_of_leaf(hook, False)
        set_apart(self._node)  # what is computed alike from now on has no hook
        return Removable(stops.setdefault(self._node, Stop([self._node])).hooks, hook)

    def register_post_accumulate_grad_hook(self, hook: Callable[[Self], None]) -> Removable:
        """Have backward() call hook with this leaf after it added to .grad; a handle whose remove() undoes it."""
        if not self._leaf:
            raise StateError(f"register_post_accumulate_grad_hook() on a tensor of {self.shape} that is no leaf")
        return self._hook_of_leaf(hook, True)

    def _hook_of_leaf(self, hook: Callable[[Self], Any], late: bool) -> Removable:
        if not hasattr(self, "_hooks"):
            self._hooks = {}
        return Removable(self._hooks, (hook, late))

    def contiguous_backward(self) -> Self:
        """The tensor; its gradient is computed into memory of its own."""
        if not self._tracked:
            return self
        x = self._wrap(new_node("detach", (self._node,), None, self.shape, self.dtype, self._node.device), True)
        stops[x._node] = Stop([x._node], [self._node], lambda parts: [p and graph.contiguous(p) for p in parts])
        return x

    def retain_grad(self) -> None:
        """Have backward() set .grad of this tensor too, though it is no leaf."""
        if not self._tracked:
            raise StateError(f"retain_grad() on a tensor of {self.shape} that requires no gradient")
        if not self._leaf:
            set_apart(self._node)  # the gradient of what is computed alike from now on is another
            retained[self._node] = self

    @property
    def retains_grad(self) -> bool:
        """True for a tensor that is no leaf and still gets a .grad."""
        return retained.get(self._node) is self

    def _as_gradient(self, node: Node, tracked: bool | None) -> Self:
        """A gradient of this tensor, on its device even where it is a constant."""
        return self._wrap(pinned(node, self._node.device), tracked)

    def _cotangent(self, given: Core | None) -> Node:
        """The cotangent of this tensor, 1 if it has no dimensions and none is given.

        raises ShapeError, DTypeError
        """
        if not self.dtype.is_inexact:
            raise DTypeError(f"gradient of a tensor of {self.dtype}: only floats can be differentiated")
        if given is None:
            if self.shape:
                raise ShapeError(
                    f"gradient of a tensor of shape {self.shape}: only one without dimensions needs no cotangent; pass "
                    "gradient= with a tensor of its shape, or reduce it with .sum() or .mean()"
                )
            if self.dtype.is_complex:
                raise DTypeError(f"gradient of a tensor of {self.dtype}: take a real number of it, or pass gradient=")
            return graph.const(1, self.dtype)
        if given.shape != self.shape:
            raise ShapeError(f"the cotangent has shape {given.shape}, the tensor {self.shape}: they must be equal")
        return graph.cast(given._node, self.dtype)


def _catch_up(targets: Iterable[Core]) -> None:
    """Computes what leaves wait for that is left of past rounds; nobody will ask how that was computed, but where
    gradients of leaves there still are may go through it."""
    waiting = [x._node for x in targets if x._leaf and x._stored is None]
    if not waiting or recorder.get() is not None or spelling.get():
        return
    found = of_past_rounds(waiting)
    for device in dict.fromkeys(node.device for node in found):
        computed([node for node in found if node.device == device])
    forget(found)


def _total(parts: Sequence[Node | None]) -> Node | None:
    """The sum of parts of a gradient; None stands for 0."""
    found = [part for part in parts if part is not None]
    return reduce(partial(graph.elementwise, "add"), found) if found else None
