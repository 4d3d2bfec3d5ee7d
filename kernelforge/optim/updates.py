"""What a step makes of one parameter, recorded once for each kind of parameter and options.

Comes in: an optimiser's rule, as a function of tensors.  Goes out: calls, one for each tensor the rule gives a new
value; they add as many nodes to a step's graph, where to follow the rule takes some dozens of operations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from codegen.dtypes import dtypes
from kernelforge import calls
from kernelforge.calls import Recipe, Signature
from kernelforge.graph import Node, detach
from kernelforge.interning import node_of
from kernelforge.tensor import Tensor
from kernelforge.tensor.composite import spelled_out
from kernelforge.tensor.registry import pending

MOST_UPDATES: Final = 4096
NAME: Final = "update"  # of calls, for people
MARK: Final = "is_of_arguments_alone"
Function = TypeVar("Function", bound=Callable[..., Any])
Rule = Callable[[dict[str, Any], dict[str, Tensor], Tensor, Tensor], Tensor]
"""From options, state, value and gradient to a new value; the tensors of the state are assigned theirs."""

_known: Final[dict[tuple[object, ...], Update | None]] = {}


class Call(NamedTuple):
    """target: the place of what gets a new value, 0 the parameter, then its state; sources: places of what it takes."""

    target: int
    recipe: Recipe
    sources: tuple[int, ...]


Update = tuple[Call, ...]


def of_arguments_alone(function: Function) -> Function:
    """Marks a rule that depends on its class and its arguments and on nothing else, so that it may be recorded."""
    setattr(function, MARK, True)
    return function


def spelled(options: Mapping[str, Any]) -> tuple[object, ...] | None:
    """What a rule depends on of options beside their tensors; None where that cannot be told."""
    found = tuple([(name, type(x), None if isinstance(x, Tensor) else x) for name, x in options.items()])
    try:
        hash(found)
    except TypeError:  # lists, arrays and what else may change
        return None
    return found


def signature(node: Node) -> Signature:
    """What calls are recorded for."""
    return node.shape, node.dtype, node.device


class Updates:
    """The calls a rule is for each parameter of an optimiser, found again by looking at what they were recorded for."""

    def __init__(self) -> None:
        self._found: dict[int, tuple[tuple[object, ...], tuple[str, ...], list[Signature], Update | None]] = {}

    def applied(
        self, rule: Rule, key: tuple[object, ...], options: Mapping[str, Any], state: Mapping[str, Any], value: Tensor
    ) -> list[tuple[Tensor, Node]] | None:
        """The tensors that get new values, a parameter and its state, with the nodes of these; None where the rule has
        to be followed itself.

        key  what tells the rule and its options that are no tensors from others
        """
        if value.grad is None or not all(isinstance(x, Tensor) for x in state.values()):
            return None
        numbers = [x._node for x in options.values() if isinstance(x, Tensor)]
        nodes = [detach(value._node), value.grad._node, *[x._node for x in state.values()], *numbers]
        kinds = [(node.shape, node.dtype, node.device) for node in nodes]
        names, found = tuple(state), self._found.get(id(value))
        if found is None or found[:3] != (key, names, kinds):
            update = update_of(rule, key, options, names, kinds)
            found = self._found[id(value)] = key, names, kinds, update
        if found[3] is None:
            return None
        targets = (value, value.grad, *state.values())
        return [
            (targets[to], node_of("call", tuple([nodes[i] for i in sources]), recipe, recipe.shape, recipe.dtype))
            for to, recipe, sources in found[3]
        ]


def update_of(
    rule: Rule, key: tuple[object, ...], options: Mapping[str, Any], names: tuple[str, ...], kinds: list[Signature]
) -> Update | None:
    """The calls of a rule on arguments of these kinds, value, gradient, state and options; None where there are none.
    """
    known = (key, dtypes.default_float, names, *kinds)
    if known not in _known:
        if len(_known) >= MOST_UPDATES:
            del _known[next(iter(_known))]
        _known[known] = _recorded(rule, options, names, kinds)
    return _known[known]


def _recorded(rule: Rule, options: Mapping[str, Any], names: tuple[str, ...], kinds: list[Signature]) -> Update | None:
    """A rule as calls: all it gives has the kind of what it takes the place of, and is made of its arguments alone."""
    inputs = calls.placeholders(kinds)
    with spelled_out():
        tensors = [Tensor._wrap(node, None) for node in inputs]
        given = iter(tensors[2 + len(names) :])
        stand_ins = {name: next(given) if isinstance(x, Tensor) else x for name, x in options.items()}
        try:
            made = rule(stand_ins, dict(zip(names, tensors[2:])), tensors[0], tensors[1])
        except Exception:  # it asks for a value, which stand-ins have none of; any other is raised when it is followed
            return None
        finally:
            for tensor in tensors:
                pending.pop(id(tensor), None)
    changed = {i: x._node for i, x in enumerate(tensors) if x._node is not inputs[i]}
    found = [_call(place, inputs, node) for place, node in ({0: made._node} | changed).items()]
    update = tuple([call for call in found if call is not None])
    fits = all((call.recipe.shape, call.recipe.dtype) == kinds[call.target][:2] for call in update)
    is_whole = len(update) == len(found) and 1 not in changed and all(place < 2 + len(names) for place in changed)
    return update if fits and is_whole else None


def _call(target: int, inputs: Sequence[Node], result: Node) -> Call | None:
    """The call that gives a target its value, of the inputs it needs; None where that depends on something else."""
    needed = {place for _, places, *_ in Recipe(NAME, inputs, result).steps for place in places}
    sources = tuple([place for place in range(len(inputs)) if place in needed])
    recipe = Recipe(NAME, [inputs[place] for place in sources], result)
    is_there = bool(sources) and recipe.is_sound and result.device == inputs[target].device
    return Call(target, recipe, sources) if is_there else None
