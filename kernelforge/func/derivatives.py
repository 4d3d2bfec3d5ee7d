"""Derivatives of functions: each takes a function and gives another, so they nest.

Comes in: functions of tensors, or of trees of them.  Goes out: functions.  What a function is differentiated with
respect to is marked by a node of its own, so a tensor it also sees from outside is a constant there.  A complex number
counts as its two parts: the gradient of a real value is dy/da + i dy/db, as in torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from itertools import count
from typing import Any, Final

from kernelforge import graph
from kernelforge.errors import DTypeError, ShapeError
from kernelforge.func.batching import vmap
from kernelforge.func.trees import ends, filled, mapped, same_length, tensors
from kernelforge.graph import Node, toposort
from kernelforge.interning import find
from kernelforge.tensor import Tensor, enable_grad
from kernelforge.tensor.core import grad_enabled
from kernelforge.tensor.draws import Draws
from kernelforge.tensor.registry import former, leaves

Places = int | Sequence[int]
_AND_MORE: Final = 2
_depth: Final[ContextVar[int]] = ContextVar("depth", default=0)


@contextmanager
def _inside() -> Iterator[int]:
    """A context in which gradients flow; how many such contexts are around it."""
    depth = _depth.get()
    token = _depth.set(depth + 1)
    try:
        with enable_grad():
            yield depth
    finally:
        _depth.reset(token)


def marked(
    values: Sequence[Tensor], depth: int, place: int = 0, beside: Sequence[Tensor] | None = None
) -> list[Tensor]:
    """The tensors as variables of their own: nodes that nothing else is computed from, or nothing of `beside`."""
    for x in values:
        if not x.dtype.is_inexact:
            raise DTypeError(
                f"a derivative with respect to a tensor of {x.dtype}: only floats and complex numbers have one; "
                "cast it first"
            )
    return [Tensor._wrap(_mark(x._node, ("variable", depth, place, i), beside), True) for i, x in enumerate(values)]


def _mark(x: Node, attr: tuple[object, ...], beside: Sequence[Tensor] | None = None) -> Node:
    """A node for x that is no other's: results of an earlier function of x may still depend on the mark of that one.

    beside  all that must not depend on it, where that is known: the graph is the same then whatever else there is
    """
    used: set[Node] | None = None
    for number in count():
        there = find("surrogate", (*attr, number), (x, x))
        if there is None:
            break
        if beside is not None:
            used = set(toposort([y._node for y in beside])) if used is None else used
            if there not in used:
                break
    return graph.node_of("surrogate", (x, x), (*attr, number), x.shape, x.dtype)


def _returned(value: Tensor, depth: int) -> Tensor:
    """A result, a constant to later gradients unless something outside depends on what it was computed from."""
    if not value._tracked:
        return value
    carries = grad_enabled.get() and any(
        node in leaves or node in former or _is_outer(node, depth) for node in toposort([value._node])
    )
    return value if carries or depth else value.detach()


def _is_outer(node: Node, depth: int) -> bool:
    return node.op == "surrogate" and node.attr is not None and node.attr[0] == "variable" and node.attr[1] < depth


def _inner(y: Tensor, dy: Tensor) -> Tensor:
    """The sum of products; of complex numbers that of their parts, as if they were two real numbers."""
    return (y * dy.conj()).real.sum() if y.dtype.is_complex else (y * dy).sum()


def _pulled(
    outputs: Sequence[Tensor], cotangents: Sequence[Tensor], variables: Sequence[Tensor], cuts: Sequence[Tensor] = ()
) -> list[Tensor]:
    """The derivatives of sum(outputs * cotangents) with respect to variables, by paths that do not go on from cuts;
    zeros where there is no dependence.  Cotangents are constants here, though they may be made of the outputs."""
    used = [i for i, y in enumerate(outputs) if y.dtype.is_inexact and y._tracked]
    if not used:
        return [x.zeros_like() for x in variables]
    constant = {
        i: Tensor._wrap(_mark(cotangents[i]._node, ("cotangent",), outputs), cotangents[i]._tracked) for i in used
    }
    parts = [_inner(outputs[i], constant[i]) for i in used]
    total = sum(parts[1:], parts[0])
    return total._gradients(total._cotangent(None), variables, tuple([x._node for x in (*constant.values(), *cuts)]))


# ---------------------------------------------------------------------------------------------------- gradients


def value_and_grad(function: Callable[..., Any], argnums: Places = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that gives the value of a function and its gradient with respect to some positional arguments.

    argnums   the place of an argument, or several; arguments may be lists, tuples and dicts of tensors
    has_aux   the function gives (value, anything else)
    returns   (value, gradient), or ((value, anything else), gradient)

    >>> value, slope = value_and_grad(lambda x: (x * x).sum())(Tensor([1.0, 3.0]))
    >>> value.item(), slope.tolist()
    (10.0, [2.0, 6.0])

    raises ShapeError when the value has dimensions
    """

    @wraps(function)
    def both(*args: Any, **kwargs: Any) -> Any:
        places = [argnums] if isinstance(argnums, int) else list(argnums)
        chosen = tuple([args[place] for place in places])
        with _inside() as depth:
            variables = marked(tensors(chosen, "an argument to differentiate"), depth)
            given, inner = list(args), filled(chosen, list(variables))
            for place, value in zip(places, inner):
                given[place] = value
            result = function(*given, **kwargs)
            y = result[0] if has_aux else result
            if not isinstance(y, Tensor) or y.shape:
                shape = y.shape if isinstance(y, Tensor) else type(y).__name__
                raise ShapeError(f"the gradient of a function whose value is {shape}: it must be one number; see vjp()")
            if y.dtype.is_complex:
                raise DTypeError(f"the gradient of a function whose value is {y.dtype}: it must be real; see vjp()")
            found = _pulled([y], [Tensor(1.0, dtype=y.dtype)], variables)
        slopes = filled(chosen, [_returned(dx, depth) for dx in found])
        kept = mapped(result, lambda x: _returned(x, depth) if isinstance(x, Tensor) else x)
        return kept, slopes[0] if isinstance(argnums, int) else slopes

    return both


def grad(function: Callable[..., Any], argnums: Places = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that gives the gradient of a function whose value is one number.

    argnums, has_aux   see value_and_grad()
    returns            the gradient, or (gradient, anything else)

    >>> cube = lambda x: x * x * x
    >>> grad(grad(cube))(Tensor(2.0)).item()
    12.0
    """

    @wraps(function)
    def slope(*args: Any, **kwargs: Any) -> Any:
        value, found = value_and_grad(function, argnums, has_aux)(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return slope


def grad_and_value(function: Callable[..., Any], argnums: Places = 0, has_aux: bool = False) -> Callable[..., Any]:
    """value_and_grad() with the gradient first, as torch.func has it."""

    @wraps(function)
    def both(*args: Any, **kwargs: Any) -> Any:
        value, found = value_and_grad(function, argnums, has_aux)(*args, **kwargs)
        return found, value

    return both


# ----------------------------------------------------------------------------------------------------- products


def _parted(result: Any, has_aux: bool, depth: int) -> tuple[Any, Any]:
    """The value of a function, and what else it gives: (value, anything else) if it does; without a way back."""
    if not has_aux:
        return result, None
    if not isinstance(result, tuple) or len(result) != _AND_MORE:
        given = f"a tuple of {len(result)}" if isinstance(result, tuple) else type(result).__name__
        raise TypeError(f"has_aux=True of a function that gives {given}: it gives (value, anything else)")
    return result[0], mapped(result[1], lambda x: _returned(x, depth) if isinstance(x, Tensor) else x)


def vjp(function: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """The value of a function, and a function from a cotangent of it to cotangents of the arguments.

    has_aux   the function gives (value, anything else), which is a third result

    >>> y, pull = vjp(lambda x: x * 3, Tensor([1.0, 2.0]))
    >>> pull(Tensor([1.0, 10.0]))[0].tolist()
    [3.0, 30.0]
    """
    with _inside() as depth:
        variables = marked(tensors(primals, "a primal"), depth)
        result, more = _parted(function(*filled(primals, list(variables))), has_aux, depth)
    outputs = tensors(result, "the value of a function to differentiate")

    def pull(cotangent: Any) -> tuple[Any, ...]:
        given = tensors(cotangent, "a cotangent")
        same_length([outputs, given], "a function's value and its cotangent")
        with enable_grad():
            found = _pulled(outputs, given, variables)
        around = _depth.get()  # a function of the cotangent may be differentiated
        return tuple(filled(primals, [_returned(dx, around) for dx in found]))

    value = mapped(result, lambda x: _returned(x, depth) if isinstance(x, Tensor) else x)
    return (value, pull, more) if has_aux else (value, pull)


def jvp(
    function: Callable[..., Any],
    primals: Sequence[Any],
    tangents: Sequence[Any],
    *,
    strict: bool = False,
    has_aux: bool = False,
) -> Any:
    """The value of a function at primals, and its derivative in the direction of tangents.

    strict    of no account: what does not depend on the primals has a derivative of 0
    has_aux   the function gives (value, anything else), which is a third result

    The products with the Jacobian are linear in their cotangent, so the derivative of one with respect to it is the
    product from the other side.

    >>> y, dy = jvp(lambda x: x * x, (Tensor([1.0, 3.0]),), (Tensor([1.0, 0.5]),))
    >>> dy.tolist()
    [2.0, 3.0]
    """
    moves = tensors(tangents, "a tangent")
    with _inside() as depth:
        variables = marked(tensors(primals, "a primal"), depth)
        same_length([variables, moves], "primals and tangents")
        motion = Motion(depth, variables, moves, moving.get())
        token = moving.set(motion)
        try:
            result, more = _parted(function(*filled(tuple(primals), list(variables))), has_aux, depth)
        finally:
            moving.reset(token)
        outputs = tensors(result, "the value of a function to differentiate")
        found = motion.pushed(outputs)
    value = mapped(result, lambda x: _returned(x, depth) if isinstance(x, Tensor) else x)
    moved = filled(result, [_returned(dy, depth) for dy in found])
    return (value, moved, more) if has_aux else (value, moved)


def linearize(function: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """The value of a function at primals, and the function from tangents to its derivative in their direction.

    >>> y, push = linearize(lambda x: x * x, Tensor([1.0, 3.0]))
    >>> push(Tensor([1.0, 0.5])).tolist()
    [2.0, 3.0]
    """

    def push(*tangents: Any) -> Any:
        return jvp(function, primals, tangents)[1]

    return function(*primals), push


class Motion:
    """Variables that move while a function of them is made, and how; outer: the motion this one is in.

    What cannot be differentiated backward pushes the tangents of its own arguments on, and its results become further
    variables.
    """

    def __init__(self, depth: int, variables: list[Tensor], moves: list[Tensor], outer: Motion | None) -> None:
        self.depth, self.variables, self.moves, self.outer = depth, list(variables), list(moves), outer
        self._given, self._count = len(variables), 0

    def pushed(self, outputs: Sequence[Tensor]) -> list[Tensor]:
        """The tangents of outputs; zeros for those that are no floats."""
        duals = [y.ones_like() for y in outputs]
        floats = [i for i, y in enumerate(outputs) if y.dtype.is_inexact]
        self._count += 2
        for i, dual in zip(floats, marked([duals[i] for i in floats], self.depth, self._count - 1, outputs)):
            duals[i] = dual
        pulled = _pulled(outputs, duals, self.variables, self.variables[self._given :])
        pushed = iter(_pulled(pulled, self.moves, [duals[i] for i in floats]))
        return [next(pushed) if y.dtype.is_inexact else y.zeros_like() for y in outputs]

    def also(self, values: Sequence[Tensor], tangents: Sequence[Tensor]) -> list[Tensor]:
        """Further variables of given values, which move so."""
        self._count += 2
        found = marked(values, self.depth, self._count)
        self.variables += found
        self.moves += tangents
        return found


moving: Final[ContextVar[Motion | None]] = ContextVar("moving", default=None)
"""The innermost jvp() that a function is called by."""


# ---------------------------------------------------------------------------------------------------- Jacobians


def _basis(x: Tensor) -> Tensor:
    """The unit tensors of x's shape, one after the other."""
    return Tensor.eye(x.numel(), dtype=x.dtype, device=x.device).reshape(x.numel(), *x.shape)


def jacrev(
    function: Callable[..., Any], argnums: Places = 0, *, has_aux: bool = False, chunk_size: int | None = None
) -> Callable[..., Any]:
    """A function that gives the derivative of each element of the value by each of an argument, by rows.

    The value and the arguments are tensors; the result has the value's shape followed by the argument's.

    argnums      the place of an argument, or several: the result is a tuple then
    has_aux      the function gives (value, anything else); the result is (derivative, anything else)
    chunk_size   so many rows at a time, to take less memory; None: all at once

    >>> jacrev(lambda x: x * x)(Tensor([1.0, 2.0])).tolist()
    [[2.0, 0.0], [0.0, 4.0]]
    """

    @wraps(function)
    def jacobian(*args: Any, **kwargs: Any) -> Any:
        places = [argnums] if isinstance(argnums, int) else list(argnums)
        given = [_one_tensor(args[place]) for place in places]
        y, pull, *more = vjp(_of_some(function, places, args, kwargs), *given, has_aux=has_aux)
        rows = vmap(pull, chunk_size=chunk_size)(_basis(_one_tensor(y)))
        found = tuple([row.reshape(*y.shape, *x.shape) for row, x in zip(rows, given)])
        return _with_more(found[0] if isinstance(argnums, int) else found, more)

    return jacobian


def jacfwd(
    function: Callable[..., Any], argnums: Places = 0, has_aux: bool = False, *, randomness: str = "error"
) -> Callable[..., Any]:
    """jacrev(), by columns: cheaper where an argument has fewer elements than the value.

    randomness   as vmap()'s, of random numbers the function draws for each column
    """

    @wraps(function)
    def jacobian(*args: Any, **kwargs: Any) -> Any:
        found, more = [], list[Any]()
        for place in [argnums] if isinstance(argnums, int) else argnums:
            one, x = _of_some(function, [place], args, kwargs), _one_tensor(args[place])

            def pushed(dx: Tensor, one: Callable[..., Any] = one, x: Tensor = x) -> Tensor:
                _, dy, *more[:] = jvp(one, (x,), (dx,), has_aux=has_aux)
                return _one_tensor(dy)

            columns: Tensor = vmap(pushed, out_dims=-1, randomness=randomness)(_basis(x))
            found.append(columns.reshape(*columns.shape[:-1], *x.shape))
        return _with_more(found[0] if isinstance(argnums, int) else tuple(found), more)

    return jacobian


def _with_more(found: Any, more: list[Any]) -> Any:
    return (found, *more) if more else found


jacobian = jacrev


def hessian(function: Callable[..., Any], argnums: int = 0) -> Callable[..., Any]:
    """A function that gives the second derivatives of a function with one value.

    >>> hessian(lambda x: (x * x * x).sum())(Tensor([1.0, 2.0])).tolist()
    [[6.0, 0.0], [0.0, 12.0]]
    """
    return jacrev(jacrev(function, argnums), argnums)


def _of_some(
    function: Callable[..., Any], places: Sequence[int], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Callable[..., Any]:
    """A function of some of its arguments, the others as given."""

    def of_some(*chosen: Any) -> Any:
        given = list(args)
        for place, x in zip(places, chosen):
            given[place] = x
        return function(*given, **kwargs)

    return of_some


def _one_tensor(value: Any) -> Tensor:
    if not isinstance(value, Tensor):
        raise TypeError(f"a Jacobian is of a tensor with respect to a tensor, not of {type(value).__name__}; see vjp()")
    if value.dtype.is_complex:
        raise DTypeError(f"a Jacobian of a tensor of {value.dtype}: a complex number has two parts; see view_as_real()")
    return value


# --------------------------------------------------------------------------------------------------- checkpoint


def checkpoint(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """A function's value, of which nothing is kept for gradients: these compute it again.

    The value is that of the function; to differentiation it is computed from copies of the tensors given.  The function
    is called twice, and draws the same random numbers both times.
    """
    draws = Draws()
    with draws.noted():
        first = function(*args, **kwargs)
    if not grad_enabled.get() or not any(isinstance(x, Tensor) and x._tracked for x in ends(first)):
        return first
    copies = mapped((args, kwargs), _copied)
    with draws.noted(again=True):
        again = ends(function(*copies[0], **copies[1]))
    parts = iter(again)
    return mapped(first, lambda x: _standing_for(x, next(parts)))


def _copied(x: Any) -> Any:
    if not isinstance(x, Tensor) or not x._tracked:
        return x
    node = x._node
    return x._derived(graph.node_of("contiguous", (node,), None, node.shape, node.dtype))


def _standing_for(x: Any, again: Any) -> Any:
    """x, to differentiation what was computed again."""
    if not isinstance(x, Tensor) or not x._tracked:
        return x
    return Tensor._wrap(graph.surrogate(x._node, again._node), True)
