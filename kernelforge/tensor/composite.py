"""Operations made of others, as one node each.

Comes in: functions of tensors that are written in tensor operations.  Goes out: the same functions, which spell
themselves out once for each shape, dtype and option they meet and are a single node of the graph afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from codegen.dtypes import dtypes
from kernelforge.graph import Node
from kernelforge.later import later
from kernelforge.node import node_of
from kernelforge.recording import spelling
from kernelforge.tensor.core import Core, grad_enabled

if TYPE_CHECKING:
    from kernelforge import calls
    from kernelforge.calls import Recipe
else:
    later(globals(), calls="kernelforge.calls")

MOST_RECIPES: Final = 4096  # of one function
NEW: Final[Any] = object()

P = ParamSpec("P")
T = TypeVar("T")


@contextmanager
def spelled_out() -> Iterator[None]:
    """A context in which composites are the operations they are made of, and gradients flow."""
    token, enabled = spelling.set(True), grad_enabled.set(True)
    try:
        yield
    finally:
        spelling.reset(token)
        grad_enabled.reset(enabled)


def is_spelling() -> bool:
    """True while a composite spells itself out."""
    return spelling.get()


def composite(function: Callable[P, T]) -> Callable[P, T]:
    """A function of tensors, numbers and names that gives one tensor, made to add a single node to the graph.

    The function must depend on its arguments alone: no random numbers, no mode, no other tensors.  It is as it was
    where it gives something else, and for arguments that cannot be hashed, such as arrays.
    """
    recipes: dict[tuple[object, ...], tuple[Recipe, bool | None] | None] = {}

    @wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        if spelling.get():
            return function(*args, **kwargs)
        tensors: tuple[Core, ...] = args
        nodes: tuple[Node, ...]
        known: tuple[object, ...]
        if len(args) == 1 and not kwargs and isinstance(x := args[0], Core):  # short ways for what is most frequent
            node = x._node
            nodes = (node,)
            known = (dtypes.default_float, node.shape, node.dtype, node.device, x._tracked)
        elif len(args) == 2 and not kwargs and isinstance(x := args[0], Core) and isinstance(y := args[1], Core):
            a, b = nodes = x._node, y._node
            known = (
                dtypes.default_float,
                a.shape,
                a.dtype,
                a.device,
                x._tracked,
                b.shape,
                b.dtype,
                b.device,
                y._tracked,
            )
        else:
            tensors, nodes, known = _signature(args, kwargs)
        try:
            found = recipes.get(known, NEW)
        except TypeError:
            found = None
        if found is NEW:  # not while a KeyError is handled: what is wrong in the call would be told as its consequence
            if len(recipes) >= MOST_RECIPES:
                del recipes[next(iter(recipes))]
            found = recipes[known] = _recorded(function, tensors, args, kwargs)
        if found is None:
            return function(*args, **kwargs)
        recipe, tracked = found
        if recipe.result < len(tensors):
            return tensors[recipe.result]
        return tensors[0]._wrap(node_of("call", nodes, recipe, recipe.shape, recipe.dtype), tracked, 2)

    return called


def _signature(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Core, ...], tuple[Node, ...], tuple[object, ...]]:
    """The tensors among the arguments of a call, their nodes, and all the call's recipe depends on."""
    tensors: list[Core] = []
    key: list[object] = [dtypes.default_float, *kwargs]
    for value in (*args, *kwargs.values()) if kwargs else args:
        if isinstance(value, Core):
            node = value._node
            tensors.append(value)
            key += (node.shape, node.dtype, node.device, value._tracked)
        elif value.__class__ is list:
            key += (list, tuple(value))
        else:
            key += (type(value), str(value) if value.__class__ is float and not value else value)
    return tuple(tensors), tuple([tensor._node for tensor in tensors]), tuple(key)


def _recorded(
    function: Callable[..., Any], tensors: tuple[Core, ...], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Recipe, bool | None] | None:
    """The recipe of a call, and whether gradients flow through its result; None when it must be spelled out."""
    if not tensors:
        return None
    inputs = calls.placeholders([(x._node.shape, x._node.dtype, x._node.device) for x in tensors])
    with spelled_out():
        given = iter([tensor._wrap(node, tensor._tracked) for node, tensor in zip(inputs, tensors)])
        stand_ins = [next(given) if isinstance(value, Core) else value for value in (*args, *kwargs.values())]
        result = function(*stand_ins[: len(args)], **dict(zip(kwargs, stand_ins[len(args) :])))
    if not isinstance(result, Core):
        return None
    recipe = calls.Recipe(function.__name__, inputs, result._node)
    return (recipe, result._tracked) if recipe.is_sound else None
