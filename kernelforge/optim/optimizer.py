"""The base of optimisers: groups of parameters, their options and state, and one plan for a whole step.

Comes in: tensors with gradients.  Goes out: the same tensors with new values.  What changes from step to step (learning
rate, step count, averages) is in tensors, so every step has the same graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Final, Self
from weakref import WeakKeyDictionary

import numpy as np

from kernelforge.errors import ArgumentError, DTypeError, KindError
from kernelforge.foreseen import over
from kernelforge.optim.again import Again, recorded, seen
from kernelforge.optim.lazily import Steps, told
from kernelforge.optim.options import Group, Options, Required, check_not_negative, listed, stored
from kernelforge.optim.states import packed_state, unpacked_state
from kernelforge.optim.updates import MARK, Updates, spelled
from kernelforge.realize import Ran
from kernelforge.settings import EAGER
from kernelforge.tensor import Tensor, enable_grad, no_grad
from kernelforge.tensor.autograd import Removable
from kernelforge.tensor.convert import realize_pending
from kernelforge.tensor.core import narrow_type
from kernelforge.tensor.promised import take_promised

HOOKS = ("before step", "after step", "before saving", "after saving", "before loading", "after loading")
_updates: Final[WeakKeyDictionary[Optimizer, Updates]] = WeakKeyDictionary()
_steps: Final[WeakKeyDictionary[Optimizer, Steps]] = WeakKeyDictionary()
Params = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]


class Optimizer:
    """What all optimisers share.

    params         the tensors it changes: those given that do not have requires_grad=False; the others are only
                   computed together with them
    param_groups   dicts of "params" and their options; an option may be changed at any time, by schedules as well
    state          for each parameter the tensors kept for it from step to step
    lr             the learning rate of the first group, a tensor without dimensions; setting it takes a number too

    Subclasses say with what state a parameter begins, and what a step makes of its value.  Of complex parameters a step
    sees the parts, in one more dimension, so that each of them has its own averages.
    """

    counts: ClassVar[bool] = True  # whether the state has the number of steps
    numbers: ClassVar[tuple[str, ...]] = ()  # what of the state is one float32 number, whatever the parameter
    of_parts: ClassVar[bool] = True  # whether a step makes sense of the parts of complex numbers

    def __init__(self, params: Params, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.state: dict[Tensor, dict[str, Any]] = {}
        self.param_groups: list[Group] = []
        self.buffers: list[Tensor] = []
        self._again: Again | None = None
        self._again_from: tuple[object, ...] = ()
        self._hooks: dict[str, dict[int, Callable[..., Any]]] = {when: {} for when in HOOKS}
        if isinstance(params, Tensor):
            raise KindError(f"{type(self).__name__} takes tensors, or dicts of them, in a list, but got one tensor")
        if hasattr(params, "parameters"):
            raise KindError(f"{type(self).__name__} takes tensors, but got a module: give it module.parameters()")
        given: list[Any] = list(params)
        for group in given if given and isinstance(given[0], dict) else [{"params": given}]:
            self.add_param_group(group)
        if not self.params:
            raise ArgumentError("an optimiser needs at least one parameter that does not have requires_grad=False")
        self.device = self.params[0].device
        self.params[0].realize(*self.params[1:], *self.buffers)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Also change the tensors of another group, {"params": tensors, option: value, ...}.

        raises ValueError, TypeError
        """
        if not isinstance(param_group, dict):
            raise KindError(f"a parameter group is a dict, not {type(param_group).__name__}")
        group = dict(param_group)
        tensors, names = listed(group["params"])
        if names:
            group["param_names"] = names
        self._check_tensors(tensors, bool(names))
        for name, value in self.defaults.items():
            if value is Required and name not in group:
                raise ArgumentError(f"parameter group didn't specify a value of required optimization parameter {name}")
        group = {**self.defaults, **group}
        self._check(group)
        group["params"] = [tensor for tensor in tensors if tensor.requires_grad is not False]
        self.buffers += [tensor for tensor in tensors if tensor.requires_grad is False]
        for tensor in group["params"]:
            tensor.requires_grad = True
        device = group["params"][0].device if group["params"] else None
        self.param_groups.append(Group(group, device))

    def _check_tensors(self, tensors: list[Tensor], named: bool) -> None:
        """raises ValueError, TypeError when a group's tensors, with names or without, are none to optimise here"""
        known = {id(tensor) for tensor in self.params}
        if any(id(tensor) in known for tensor in tensors):
            raise ArgumentError("some parameters appear in more than one parameter group")
        if any(("param_names" in group) != named for group in self.param_groups):
            raise ArgumentError("the parameters of all groups have names, or none of them has")
        if any(not tensor.is_leaf for tensor in tensors):
            raise ArgumentError("can't optimize a non-leaf Tensor: a result of operations; give what they are made of")
        if not self.of_parts and any(tensor.dtype.is_complex for tensor in tensors):
            raise DTypeError(f"{type(self).__name__} does not support complex parameters; give it their view_as_real()")

    def _check(self, group: Mapping[str, Any]) -> None:
        """raises ValueError for options that make no sense"""
        rate = group.get("lr")
        if isinstance(rate, Tensor) and rate.numel() != 1:
            raise ArgumentError(f"{type(self).__name__} with lr of shape {rate.shape}: it must have 1 element")
        names = ("lr", "eps", "weight_decay", "momentum")
        check_not_negative(self, **{name: group[name] for name in names if name in group})

    @property
    def params(self) -> list[Tensor]:
        """All parameters."""
        return [tensor for group in self.param_groups for tensor in group["params"]]

    @property
    def lr(self) -> Tensor:
        """The learning rate."""
        rate: Tensor = self.param_groups[0].options()["lr"]
        return rate

    @lr.setter
    def lr(self, value: float | Tensor) -> None:
        for group in self.param_groups:
            if not isinstance(value, Tensor):
                check_not_negative(self, lr=value)
            group["lr"] = value

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients; without set_to_none they become zeros."""
        for tensor in self.params:
            tensor.grad = None if set_to_none or tensor.grad is None else tensor.grad.zeros_like()

    # A step -----------------------------------------------------------------------------------------------------

    @no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change the parameters that have gradients; what closure, which is called before, returns.

        Computes them, the loss and everything else assigned to since the last step in one plan.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for hook in list(self._hooks["before step"].values()):
            hook(self, (closure,), {})
        self._step()
        over()
        for hook in list(self._hooks["after step"].values()):
            hook(self, (closure,), {})
        return loss

    def _step(self) -> None:
        take_promised()
        options = [group.options() for group in self.param_groups]
        of_groups = zip(options, self.param_groups)
        taking_part = [(each, p) for each, group in of_groups for p in group["params"] if p.grad is not None]
        fresh = self._begun(taking_part)
        constants = self._constants(options, fresh)
        tensors = self._tensors(options, taking_part)
        if self._again is not None and self._again_from == constants and self._again.run(*tensors):
            return
        steps, key = _steps.setdefault(self, Steps()), None if fresh else self._rules(options, taking_part)
        step = None if key is None else steps.seen((constants, *key), *tensors)
        if step is not None and steps.run(step):
            return
        first, step = None if step is None else told(step), None
        before = seen([tensor for some in tensors for tensor in some])
        ran = self._first(taking_part, fresh, thorough=0 not in before)
        if first is not None:
            steps.record(first, ran)
        if hasattr(type(self)._updated, MARK):
            self._again, self._again_from = recorded(ran, *tensors, before), constants

    def _rules(
        self, options: list[Options], taking_part: list[tuple[Options, Tensor]]
    ) -> tuple[object, ...] | None:
        """All a step depends on beside its tensors, and how it takes these; None where it may not be made again so."""
        if not hasattr(type(self)._updated, MARK) or any(x._stored is None for x in self.buffers):
            return None
        groups = [spelled(each) for each in options]
        of_group = {id(each): place for place, each in enumerate(options)}
        met: dict[int, int] = {}
        number = met.setdefault
        parts = [
            (of_group[id(each)], *[(name, number(id(x), len(met))) for name, x in self.state[p].items()])
            for each, p in taking_part
        ]
        given = [number(id(x), len(met)) for group in options for x in group.values() if isinstance(x, Tensor)]
        return None if None in groups else (type(self), *groups, *parts, *given)

    def _begun(self, taking_part: list[tuple[Options, Tensor]]) -> set[int]:
        """Give those that take part for the first time their state, and all a count of their own steps; who they are.
        """
        fresh: set[int] = set()
        for options, tensor in taking_part:
            if tensor not in self.state:
                fresh.add(id(tensor))
                self.state[tensor] = self._begin(options, tensor)
        if self.counts and fresh:
            count = stored((), 0.0, self.device)
            for _, tensor in taking_part:
                if id(tensor) in fresh:
                    self.state[tensor] = {"step": count, **self.state[tensor]}
        if self.counts:
            self._count_apart([tensor for _, tensor in taking_part])
        return fresh

    def _count_apart(self, taking_part: list[Tensor]) -> None:
        """Parameters share a count of steps as long as all of them take part in each."""
        sharing: dict[int, list[Tensor]] = {}
        for tensor in self.state:
            sharing.setdefault(id(self.state[tensor]["step"]), []).append(tensor)
        if len(sharing) == 1 and len(taking_part) == len(self.state):
            return
        here = {id(tensor) for tensor in taking_part}
        for tensors in sharing.values():
            counted = [tensor for tensor in tensors if id(tensor) in here]
            if 0 < len(counted) < len(tensors):
                count = stored((), float(self.state[counted[0]]["step"].item()), self.device)
                for tensor in counted:
                    self.state[tensor]["step"] = count

    def _first(self, taking_part: list[tuple[Options, Tensor]], fresh: set[int], thorough: bool) -> Ran | None:
        """A step by way of its graph; what ran.

        thorough  new values take the memory of old ones however small, so that the step can be done again without it
        """
        changed: list[Tensor] = []
        if self.counts:
            counts = {id(count): count for _, tensor in taking_part for count in [self.state[tensor]["step"]]}
            changed = [count.assign(count + 1) for count in counts.values()]
        known, updates = self._spelled(taking_part), _updates.setdefault(self, Updates())
        begins = fresh if self._begins_differently() else ()
        for options, tensor in taking_part:
            if not self._follow(updates, options, tensor, id(tensor) in begins, known.get(id(options))):
                self._assign(options, tensor, id(tensor) in fresh)
            changed += [tensor, *[x for name, x in self.state[tensor].items() if name != "step"]]
        return realize_pending([*changed, *self.buffers], thorough)

    def _spelled(self, taking_part: list[tuple[Options, Tensor]]) -> dict[int, tuple[object, ...]]:
        """For options, by id, all that a rule depends on beside tensors, where it may be recorded."""
        if not hasattr(type(self)._updated, MARK) or narrow_type.get() is not None or EAGER.value:
            return {}
        found: dict[int, tuple[object, ...]] = {}
        for options, _ in taking_part:
            if id(options) not in found and (others := spelled(options)) is not None:
                found[id(options)] = (type(self), *others)
        return found

    def _follow(
        self, updates: Updates, options: Options, tensor: Tensor, fresh: bool, key: tuple[object, ...] | None
    ) -> bool:
        """`_assign` by calls that were recorded; False where nothing was done."""
        if key is None or tensor.dtype.is_complex:
            return False

        def rule(options: Options, state: dict[str, Tensor], value: Tensor, gradient: Tensor) -> Tensor:
            wide = value.cast(value.dtype.arithmetic)
            gradient = gradient.cast(wide.dtype)
            new = self._updated(options, state, wide, -gradient if options.get("maximize") else gradient, fresh)
            return new.cast(value.dtype)

        made = updates.applied(rule, (fresh, *key), options, self.state[tensor], tensor)
        for target, node in made or ():
            target._renew(node)
        return made is not None

    def _assign(self, options: Options, tensor: Tensor, fresh: bool) -> None:
        """Assign its new value to a parameter, and theirs to its state.

        Nothing that holds the old values may outlive this: the new ones take their memory.
        """
        assert tensor.grad is not None
        value = tensor.detach().cast(tensor.dtype.arithmetic)
        gradient = tensor.grad.cast(value.dtype)
        state = self.state[tensor]
        if tensor.dtype.is_complex:
            value, gradient = value.view_as_real(), gradient.view_as_real()
        parts = {name: x.view_as_real() if x.dtype.is_complex else x for name, x in state.items()}
        new = self._updated(options, parts, value, -gradient if options.get("maximize") else gradient, fresh)
        tensor.assign(new.view_as_complex() if tensor.dtype.is_complex else new.cast(tensor.dtype))

    def _constants(self, options: list[Options], fresh: set[int]) -> tuple[object, ...]:
        """The options that are part of a step's graph, and which parameters take part."""
        found: list[object] = [
            value for each in options for value in each.values() if isinstance(value, int | float | str)
        ]
        found.append(bool(fresh) and self._begins_differently())
        return (*found, *(tensor.grad is None for tensor in self.params))

    def _begins_differently(self) -> bool:
        """Whether a parameter's first step has another graph than the others."""
        return False

    def _tensors(
        self, options: list[Options], taking_part: list[tuple[Options, Tensor]]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """The tensors a step changes where they are, and the others it reads."""
        parameters = [tensor for _, tensor in taking_part]
        states = {id(x): x for tensor in parameters for x in self.state[tensor].values()}
        gradients = [tensor.grad for tensor in parameters if tensor.grad is not None]
        numbers = {id(x): x for each in options for x in each.values() if isinstance(x, Tensor)}
        return [*parameters, *states.values()], [*gradients, *numbers.values()]

    def _begin(self, options: Options, tensor: Tensor) -> dict[str, Tensor]:
        """The state a parameter begins with."""
        return {}

    def _updated(
        self, options: Options, state: dict[str, Tensor], value: Tensor, gradient: Tensor, fresh: bool
    ) -> Tensor:
        """The new value of a parameter; the tensors of its state are assigned their own.

        One marked `of_arguments_alone` is not followed in each step, but done again as it was.
        """
        raise NotImplementedError

    # State ------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """What there is to save, in torch's form: the state by parameters' numbers, and the groups' options."""
        for hook in list(self._hooks["before saving"].values()):
            hook(self)
        found = packed_state(self)
        for hook in list(self._hooks["after saving"].values()):
            changed = hook(self, found)
            found = found if changed is None else changed
        return found

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take what state_dict() gave, here or in torch.

        raises ValueError when the groups differ
        """
        state_dict = dict(state_dict)
        for hook in list(self._hooks["before loading"].values()):
            changed = hook(self, state_dict)
            state_dict = state_dict if changed is None else changed
        unpacked_state(self, state_dict)
        self._again = None
        for hook in list(self._hooks["after loading"].values()):
            hook(self)

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> Removable:
        """Call hook(optimizer, args, kwargs) before each step; a handle whose remove() undoes it."""
        return Removable(self._hooks["before step"], hook)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> Removable:
        """Call hook(optimizer, args, kwargs) after each step; a handle whose remove() undoes it."""
        return Removable(self._hooks["after step"], hook)

    def register_state_dict_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> Removable:
        """Call hook(optimizer) before state_dict()."""
        return self._registered("before saving", hook, prepend)

    def register_state_dict_post_hook(self, hook: Callable[..., Any], prepend: bool = False) -> Removable:
        """Call hook(optimizer, state_dict), which may return another, when state_dict() is done."""
        return self._registered("after saving", hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> Removable:
        """Call hook(optimizer, state_dict), which may return another, before load_state_dict() takes it."""
        return self._registered("before loading", hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any], prepend: bool = False) -> Removable:
        """Call hook(optimizer) after load_state_dict()."""
        return self._registered("after loading", hook, prepend)

    def _registered(self, when: str, hook: Callable[..., Any], first: bool) -> Removable:
        """The handle of a hook, called before those that are there if it is to be the first."""
        hooks = self._hooks[when]
        others = dict(hooks) if first else {}
        for number in others:
            del hooks[number]
        handle = Removable(hooks, hook)
        hooks.update(others)
        return handle

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_again": None}

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            shown = [f"    {name}: {group[name]}" for name in sorted(group) if name not in ("params", "param_names")]
            lines += [f"Parameter Group {i}", *shown]
        return "\n".join([*lines, ")"])

    def __copy__(self) -> Self:
        raise KindError("an optimiser cannot share its state; use copy.deepcopy()")


def zeros_like(tensor: Tensor, shape: tuple[int, ...] | None = None, value: float = 0.0) -> Tensor:
    """Zeros, or another value, of a parameter's shape in memory of their own, in at least float32.

    Both parts of complex numbers have the value.
    """
    kind = tensor.dtype.arithmetic.numpy
    start = complex(value, value) if tensor.dtype.is_complex else value
    values = np.full(tensor.shape if shape is None else shape, start, kind)
    return Tensor(values, device=tensor.device, requires_grad=False)
