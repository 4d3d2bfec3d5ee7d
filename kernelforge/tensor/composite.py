"""Operations made of others, as one node each.

Comes in: functions of tensors that are written in tensor operations.  Goes out: the same functions, which spell
themselves out once for each shape, dtype and option they meet and are a single node of the graph afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import update_wrapper, wraps
from inspect import getattr_static
from itertools import islice
from numbers import Number
from operator import is_
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from codegen.dtypes import DType, dtypes
from kernelforge.graph import Shape
from kernelforge.interning import node_of
from kernelforge.later import later
from kernelforge.native import compiled
from kernelforge.recording import spelling
from kernelforge.tensor.core import Core, grad_enabled, narrow_type

if TYPE_CHECKING:
    from kernelforge import calls
else:
    later(globals(), calls="kernelforge.calls")

_OTHERS: Final = frozenset(("copy", "gradient", "detach"))  # operations that are more than their sources and attributes
VIEW, CHANGE, ASSIGNMENT = 1, 2, 3  # kinds of methods, of `native/methods.c`
MOST_RECIPES: Final = 4096  # of one function
NEW: Final[Any] = object()
VALID: Final = 1 << 19  # of a class that was looked at since it, or one it inherits from, was changed

Known = tuple[str, Any, bool | None, Shape, DType, int]
"""Of a call: its operation, its recipe or the attribute of the one operation it is, whether gradients flow through the
result, its shape, dtype, the result's place."""

P = ParamSpec("P")
T = TypeVar("T")
C = TypeVar("C", bound=type)
FUNCTIONS: Final = (FunctionType,) if compiled is None else (FunctionType, compiled.Method)
"""What methods of tensors are."""


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
    recipes: dict[tuple[object, ...], Known | None] = {}

    @wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        if not kwargs and (found := applied(recipes, args)) is not None:
            return found
        if spelling.get():
            return function(*args, **kwargs)
        _follow_changes()
        tensors, known = _signature(args, kwargs)
        try:
            recipe = recipes.get(known, NEW)
        except TypeError:
            recipe = None
        if recipe is NEW:  # not while a KeyError is handled: what is wrong in the call would be told as its consequence
            if len(recipes) >= MOST_RECIPES:
                del recipes[next(iter(recipes))]
            recipe = recipes[known] = _recorded(function, tensors, args, kwargs)
        return function(*args, **kwargs) if recipe is None else _called(recipe, tensors)

    called.recipes = recipes  # type: ignore[attr-defined]
    _kept.append(recipes)
    return called


_kept: Final[list[dict[tuple[object, ...], Known | None]]] = []  # the recipes of all functions
_methods: Final[list[tuple[Any, ...]]] = [()]  # those of tensors, when changes were looked for last
_unchanged: Final[list[type]] = []  # a class of which nobody but `_renew` asks anything


def _renew() -> None:
    """Forgets all recipes, for the methods they were recorded with may be others by now.

    Python marks a class when an attribute of it is looked up, and takes the mark away, from those that inherit from it
    as well, when the class is changed; so one nobody else looks at tells whether any was.
    """
    for recipes in _kept:
        recipes.clear()
    if compiled is not None:
        compiled.forget_met()
    for cls in _unchanged:
        getattr(cls, "exp", None)
        values = [value for base in cls.__mro__[1:-1] for value in vars(base).values()]
        _methods[0] = tuple([value for value in values if hasattr(type(value), "__get__")])  # no numbers, which change


def _follow_changes() -> None:
    """Forgets recipes where methods of tensors were changed since."""
    if _unchanged and not _unchanged[0].__flags__ & VALID:
        _renew()


def methods() -> tuple[Any, ...]:
    """What the class of tensors and those it is made of have now; the very same tuple as long as none was changed."""
    _follow_changes()
    return _methods[0]


def following(cls: C) -> C:
    """The class of tensors, with recipes that are of its methods as they are."""
    found = type("Unchanged", (cls,), {"__slots__": ()})
    _unchanged.append(found)
    _renew()
    if not found.__flags__ & VALID:  # this Python has no such mark
        _unchanged.clear()
    elif compiled is not None:
        compiled.set_unchanged(found, _renew)
    return cls


def viewing(function: Callable[P, T]) -> Callable[P, T]:
    """A method that gives a view its arguments, and this tensor's shape and type, say all about, a list or a tuple of
    such views, or something else."""
    function.views = True  # type: ignore[attr-defined]
    return function


def assigning(replaced: Any, part_of: Callable[..., Any]) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Makes a method one that gives a part of a tensor, which an index names, a value.

    replaced  a composite: the tensor with a part replaced, of the tensor, the part in two tuples of numbers, the value
    part_of   the part an index of numbers, slices, None and ... names: these two, of the tensor and the index
    """

    def marked(function: Callable[P, T]) -> Callable[P, T]:
        function.assigns = replaced.recipes, part_of  # type: ignore[attr-defined]
        return function

    return marked


def with_shortcuts(cls: C) -> C:
    """The class, with its composites, views and changes in place in C's form, which asks Python only for new calls."""
    for name in dir(cls):
        method = getattr_static(cls, name)
        if isinstance(method, FunctionType) and method.__dict__.keys() & _SHORT:
            setattr(cls, name, shortcut(method, "kernelforge.tensor", f"{cls.__name__}.{name}"))
        elif isinstance(method, property) and hasattr(method.fget, "views"):
            setattr(cls, name, property(shortcut(method.fget, "kernelforge.tensor", f"{cls.__name__}.{name}.fget")))
    return cls


_SHORT: Final = {"recipes", "views", "value", "assigns"}  # attributes of functions that have a form in C


def shortcut(function: Any, module: str, name: str) -> Any:
    """A function that has recipes, gives views or changes a tensor to a value in C's form, found in a module under a
    name; as it is where C is not built."""
    if compiled is None:
        return function
    renamed = getattr(function, "renamed", None)
    if hasattr(function, "value"):
        made = compiled.Method(function, {}, CHANGE, function.value, renamed)
    elif hasattr(function, "assigns"):
        made = compiled.Method(function, {}, ASSIGNMENT, function.assigns)
    elif hasattr(function, "views"):
        made = compiled.Method(function, {}, VIEW)
    else:
        made = compiled.Method(function, function.recipes, renamed=renamed)
    found = update_wrapper(made, function)
    found.__module__, found.__qualname__ = module, name
    return found


def of_tensors(function: Callable[P, T]) -> Callable[P, T]:
    """A composite where all arguments are tensors; of a number, which is new each time, the function."""
    known: Any = composite(function)

    @wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        plain = not kwargs and all(isinstance(value, Core) for value in args)
        return known(*args) if plain else function(*args, **kwargs)

    called.recipes = known.recipes  # type: ignore[attr-defined]
    return called


def _called(known: Known, tensors: tuple[Core, ...]) -> Core:
    """What a recipe gives of tensors; also where that is one of them as it is, changes in place of it are its own."""
    op, recipe, tracked, shape, dtype, place = known
    if place < len(tensors):
        return tensors[place]._derived(tensors[place]._node)
    return tensors[0]._wrap(node_of(op, tuple([x._node for x in tensors]), recipe, shape, dtype), tracked, 3)


if TYPE_CHECKING or compiled is None:

    def applied(recipes: dict[tuple[object, ...], Known | None], args: tuple[Any, ...]) -> Any:
        """What a composite gives of arguments by a recipe that is kept; None for whatever is not that simple.

        Whoever wraps a composite, which then has its `recipes`, may ask first: while autocast() is on it is not simple.
        """
        if spelling.get() or narrow_type.get() is not None:
            return None
        _follow_changes()
        tensors, known = _signature(args, {})
        try:
            recipe = recipes.get(known)
        except TypeError:
            return None
        return None if recipe is None else _called(recipe, tensors)

else:
    applied = compiled.applied


def _signature(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Core, ...], tuple[object, ...]]:
    """The tensors among the arguments of a call, and all the call's recipe depends on."""
    tensors: list[Core] = []
    key: list[object] = [dtypes.default_float, dtypes.default_int, *kwargs]
    for value in (*args, *kwargs.values()) if kwargs else args:
        if isinstance(value, Core):
            tensors.append(value)
            key += _part(value)
        elif _are_tensors(value):
            tensors += value
            key += (value.__class__, *[part for x in value for part in _part(x)], value.__class__)
        else:
            key += (value.__class__, _told(value))
    return tuple(tensors), tuple(key)


def _told(value: Any) -> object:
    """A value of a known type as a part of a key: those that are not the same, as zeros of both signs, do not equal
    each other.  What has tensors somewhere in it cannot be hashed, so nothing is kept of it."""
    if isinstance(value, list | tuple):
        whole = all(x.__class__ is int for x in value)
        return tuple(value) if whole else tuple([(x.__class__, _told(x)) for x in value])
    if value.__class__ is float:
        return value or str(value)
    if isinstance(value, Core):
        return []
    return repr(value) if isinstance(value, Number) and not isinstance(value, int) else value


def _part(x: Core) -> tuple[object, ...]:
    """What a recipe depends on of a tensor."""
    node = x._node
    return node.shape, node.dtype, node.device, x._tracked, x.__class__  # whose methods may be its own


def _are_tensors(value: Any) -> bool:
    """True for a list or a tuple of tensors."""
    return value.__class__ in (list, tuple) and len(value) > 0 and all(isinstance(x, Core) for x in value)


def _recorded(
    function: Callable[..., Any], tensors: tuple[Core, ...], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Known | None:
    """What is known of a call: None when it must be spelled out."""
    if not tensors:
        return None
    inputs = calls.placeholders([(x._node.shape, x._node.dtype, x._node.device) for x in tensors])
    with spelled_out():
        given = iter([tensor._wrap(node, tensor._tracked) for node, tensor in zip(inputs, tensors)])
        stand_ins = [
            next(given) if isinstance(value, Core) else value.__class__(islice(given, len(value)))
            if _are_tensors(value) else value for value in (*args, *kwargs.values())
        ]  # fmt: skip
        result = function(*stand_ins[: len(args)], **dict(zip(kwargs, stand_ins[len(args) :])))
    if not isinstance(result, Core):
        return None
    node, tracked = result._node, result._tracked
    if node.op not in _OTHERS and node.src and len(node.src) == len(inputs) and all(map(is_, node.src, inputs)):
        return node.op, node.attr, tracked, node.shape, node.dtype, len(inputs)
    recipe = calls.Recipe(function.__name__, inputs, node)
    return ("call", recipe, result._tracked, recipe.shape, recipe.dtype, recipe.result) if recipe.is_sound else None
