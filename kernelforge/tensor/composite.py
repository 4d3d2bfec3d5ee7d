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
from kernelforge import graph
from kernelforge.errors import StandInError
from kernelforge.graph import Shape
from kernelforge.interning import node_of
from kernelforge.later import later
from kernelforge.native import compiled
from kernelforge.node import Node
from kernelforge.recording import spelling
from kernelforge.settings import EAGER
from kernelforge.tensor.core import Core, grad_enabled, narrow_type

if TYPE_CHECKING:
    from kernelforge import calls
else:
    later(globals(), calls="kernelforge.calls")

_OTHERS: Final = frozenset(("copy", "gradient", "detach"))  # operations that are more than their sources and attributes
VIEW, CHANGE, ASSIGNMENT = 1, 2, 3  # kinds of methods, of `native/methods.c`
MOST_RECIPES: Final = 4096  # of one function
MOST_ROWS: Final = 32  # nodes that one call adds
_ONE_NODE: Final = 6  # fields of what is known of a call that adds one node
NEW: Final[Any] = object()
VALID: Final = 1 << 19  # of a class that was looked at since it, or one it inherits from, was changed

Known = tuple[str, Any, bool | None, Shape, DType, int]
"""Of a call: its operation, its recipe or the attribute of the one operation it is, whether gradients flow through the
result, its shape, dtype, the result's place."""

Repeated = tuple[tuple[tuple[Node, tuple[int, ...] | None], ...], tuple[tuple[int, bool | None], ...], type | None]
"""Of a call that adds several nodes: those of the first such call, each with the numbers of its sources among the
call's tensors and the nodes before it, None for a constant; the number of each result, and whether gradients flow
through it; the class of the results together, None of one."""

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
    return _remembering(function, _recorded)


def repeatable(function: Callable[P, T]) -> Callable[P, T]:
    """A function of tensors, numbers and names that gives a tensor or a tuple of tensors, made to add the nodes it
    added before for arguments of the same kind, in C; where that is not built it is as it was.

    The function must depend on its arguments alone, as a composite does.  It is as it was where a result is an argument
    or a view of one, and for arguments that cannot be hashed.
    """
    return function if compiled is None else _remembering(function, _followed)


def _remembering(function: Callable[P, T], recorded: Callable[..., Any]) -> Callable[P, T]:
    """A function that is asked once for each kind of call; recorded(function, tensors, args, kwargs) tells what is kept
    of one, None for what is asked always."""
    recipes: dict[tuple[object, ...], Any] = {}

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
            recipe = recipes[known] = recorded(function, tensors, args, kwargs)
        simple = recipe is not None and len(recipe) == _ONE_NODE
        return _called(recipe, tensors) if simple else function(*args, **kwargs)

    called.recipes = recipes  # type: ignore[attr-defined]
    _kept.append(recipes)
    return called


_kept: Final[list[dict[tuple[object, ...], Any]]] = []  # the recipes of all functions
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
    function.views = {}  # type: ignore[attr-defined]
    return function


def assigning(replaced: Any, view: Any, part_of: Callable[..., Any]) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Makes a method one that gives a part of a tensor, which an index names, a value.

    replaced  a composite: the tensor with a part replaced, of the tensor, the part in two tuples of numbers, the value
    view      gives the part as a view, which may be the value
    part_of   the part an index of numbers, slices, None and ... names: these two, of the tensor and the index
    """

    def marked(function: Callable[P, T]) -> Callable[P, T]:
        function.assigns = replaced.recipes, part_of, view.views  # type: ignore[attr-defined]
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
        made = compiled.Method(function, function.views, VIEW)
    else:
        made = compiled.Method(function, function.recipes, renamed=renamed)
    found = update_wrapper(made, function)
    found.__module__, found.__qualname__ = module, name
    return found


def in_c(function: Callable[P, T]) -> Callable[P, T]:
    """shortcut() of a function of a module."""
    found: Callable[P, T] = shortcut(function, function.__module__, function.__qualname__)
    return found if hasattr(function, "recipes") else function


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


def _stand_ins(
    tensors: tuple[Core, ...], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[list[Node], list[Any], dict[str, Any]]:
    """Placeholders for the tensors of a call, and its arguments with tensors of these in their places."""
    inputs = calls.placeholders([(x._node.shape, x._node.dtype, x._node.device) for x in tensors])
    given = iter([tensor._wrap(node, tensor._tracked) for node, tensor in zip(inputs, tensors)])
    found = [
        next(given) if isinstance(value, Core) else value.__class__(islice(given, len(value)))
        if _are_tensors(value) else value for value in (*args, *kwargs.values())
    ]  # fmt: skip
    return inputs, found[: len(args)], dict(zip(kwargs, found[len(args) :]))


def _recorded(
    function: Callable[..., Any], tensors: tuple[Core, ...], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Known | None:
    """What is known of a call: None when it must be spelled out."""
    if not tensors:
        return None
    with spelled_out():
        inputs, values, named = _stand_ins(tensors, args, kwargs)
        try:
            result = function(*values, **named)
        except StandInError:  # what it gives depends on a tensor's value, such as a dimension's number
            return None
    if not isinstance(result, Core):
        return None
    node, tracked = result._node, result._tracked
    if node.op not in _OTHERS and node.src and len(node.src) == len(inputs) and all(map(is_, node.src, inputs)):
        return node.op, node.attr, tracked, node.shape, node.dtype, len(inputs)
    recipe = calls.Recipe(function.__name__, inputs, node)
    return ("call", recipe, result._tracked, recipe.shape, recipe.dtype, recipe.result) if recipe.is_sound else None


def _followed(
    function: Callable[..., Any], tensors: tuple[Core, ...], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Repeated | None:
    """What nodes a call adds, where they follow from those of its tensors and can be made again of others."""
    if not tensors or (EAGER.touched and EAGER.value) or narrow_type.get() is not None:
        return None
    enabled = grad_enabled.set(True)
    try:
        inputs, values, named = _stand_ins(tensors, args, kwargs)
        result = function(*values, **named)
    except StandInError:  # as above
        return None
    finally:
        grad_enabled.reset(enabled)
    parts = (result,) if isinstance(result, Core) else result if isinstance(result, tuple) else ()
    if not parts or not all(isinstance(x, Core) and _is_alone(x) for x in parts):
        return None
    nodes, taken = [x._node for x in parts], frozenset(inputs)
    order = [node for node in graph.toposort(nodes, leaves=taken) if node not in taken]
    if len(set(nodes)) < len(nodes) or taken & set(nodes) or len(order) > MOST_ROWS or not all(map(_is_remade, order)):
        return None
    number = {node: i for i, node in enumerate((*inputs, *order))}
    rows = tuple([(node, tuple([number[x] for x in node.src]) or None) for node in order])
    results = tuple([(number[x._node], x._tracked) for x in parts])
    return rows, results, None if isinstance(result, Core) else result.__class__


def _is_alone(x: Core) -> bool:
    """Whether no other tensor that is still there shows the same elements."""
    place = getattr(x, "_place", None)
    return place is None or all(other is x for other, _ in place.family.places())


def _is_remade(node: Node) -> bool:
    """Whether a node follows from its sources, or is a constant of few elements."""
    if node.src:
        return node.op not in ("copy", "gradient") and not node.apart and node.realized is None
    return node.op in ("const", "iota") and node.device is None
