"""Modules as functions of their parameters.

Comes in: modules and dicts of tensors by their paths.  Goes out: what a module gives with these tensors in the place of
its own, and the tensors of several modules as batches, for vmap().
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from kernelforge.errors import ArgumentError, ShapeError
from kernelforge.tensor import Tensor


def functional_call(
    module: Any,
    parameter_and_buffer_dicts: Mapping[str, Tensor] | Sequence[Mapping[str, Tensor]],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """What a module gives for args with other tensors in the place of its parameters and buffers.

    parameter_and_buffer_dicts   tensors by their paths, as of named_parameters(), or several such dicts
    args                         the positional arguments, or a single one that is no tuple
    tie_weights                  a tensor given for one path of a shared parameter stands for all of its paths
    strict                       all parameters and buffers must be given

    >>> from kernelforge import nn
    >>> layer = nn.Linear(2, 1)
    >>> given = {"weight": Tensor([[1.0, 2.0]]), "bias": Tensor([0.5])}
    >>> functional_call(layer, given, (Tensor([3.0, 4.0]),)).tolist()
    [11.5]

    raises ArgumentError for paths a module does not have
    """
    given = _joined(parameter_and_buffer_dicts)
    positional = () if args is None else args if isinstance(args, tuple) else (args,)
    with _replaced(module, given, tie_weights, strict):
        return module(*positional, **(kwargs or {}))


def _joined(dicts: Mapping[str, Tensor] | Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """One dict of several, whose keys must differ."""
    several = [dicts] if isinstance(dicts, Mapping) else list(dicts)
    found: dict[str, Tensor] = {}
    for each in several:
        twice = found.keys() & each.keys()
        if twice:
            raise ArgumentError(f"functional_call(): {sorted(twice)} are in more than one of the dicts")
        found.update(each)
    return found


@contextmanager
def _replaced(module: Any, given: dict[str, Tensor], tied: bool, strict: bool) -> Iterator[None]:
    """A context in which a module has other tensors."""
    own = _tensors(module)
    unknown, missing = given.keys() - own.keys(), own.keys() - given.keys()
    if unknown or (strict and missing):
        raise ArgumentError(
            f"functional_call() of {type(module).__name__}: "
            + (f"it has no {sorted(unknown)}; it has {sorted(own)}" if unknown else f"{sorted(missing)} are not given")
        )
    stand_ins = {id(own[path][2]): tensor for path, tensor in given.items()} if tied else {}
    changed: list[tuple[Any, Any, Tensor]] = []
    try:
        for path, (holder, key, tensor) in own.items():
            instead = given.get(path, stand_ins.get(id(tensor)))
            if instead is not None:
                changed.append((holder, key, tensor))
                _put(holder, key, instead)
        yield
    finally:
        for holder, key, tensor in changed:
            _put(holder, key, tensor)


def _tensors(module: Any) -> dict[str, tuple[Any, Any, Tensor]]:
    """What holds each parameter and buffer of a module, under which key, and the tensor itself, by paths."""
    found: dict[str, tuple[Any, Any, Tensor]] = {}
    for prefix, part in module.named_modules(remove_duplicate=False):
        for parameters in (True, False):
            for name, tensor in part._own(parameters):
                *steps, last = name.split(".")
                holder: Any = part
                for step in steps:
                    holder = _inside(holder, step)
                found[f"{prefix}.{name}" if prefix else name] = (holder, _key(holder, last), tensor)
    return found


def _key(holder: Any, name: str) -> Any:
    if isinstance(holder, list | tuple):
        return int(name)
    return next(key for key in holder if str(key) == name) if isinstance(holder, dict) else name


def _inside(holder: Any, name: str) -> Any:
    key = _key(holder, name)
    return holder[key] if isinstance(holder, list | tuple | dict) else getattr(holder, key)


def _put(holder: Any, key: Any, tensor: Tensor) -> None:
    if isinstance(holder, list | dict):
        holder[key] = tensor
    else:
        object.__setattr__(holder, key, tensor)


def stack_module_state(models: Sequence[Any]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The parameters and the buffers of modules of one kind, each stacked along a new first dimension, by their paths.

    The parameters are leaves of their own.

    >>> from kernelforge import nn
    >>> parameters, buffers = stack_module_state([nn.Linear(3, 2) for _ in range(4)])
    >>> parameters["weight"].shape
    (4, 2, 3)

    raises ArgumentError, ShapeError when the modules differ
    """
    if not models:
        raise ArgumentError("stack_module_state() takes at least one module")
    states = [[dict(model.named_parameters()), dict(model.named_buffers())] for model in models]
    stacked: list[dict[str, Tensor]] = []
    for kind in range(2):
        first = states[0][kind]
        for state in states:
            if {path: x.shape for path, x in state[kind].items()} != {path: x.shape for path, x in first.items()}:
                raise ShapeError("stack_module_state() takes modules whose tensors have equal names and shapes")
        several = {path: [state[kind][path].detach() for state in states] for path in first}
        stacked.append({path: xs[0].stack(*xs[1:]).contiguous() for path, xs in several.items()})
    for path, x in stacked[0].items():
        x.requires_grad_(bool(states[0][0][path].requires_grad))
    return stacked[0], stacked[1]
