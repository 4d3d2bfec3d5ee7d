"""The state of modules: given out by path, and taken in again.

Comes in: modules and states.  Goes out: dictionaries under torch's keys; modules with other values; torch's complaints.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from kernelforge.errors import KindError, StateError
from kernelforge.nn.parameter import Parameter
from kernelforge.tensor import Tensor, no_grad

if TYPE_CHECKING:
    from kernelforge.nn.module import Module

EXTRA: Final = "_extra_state"


class IncompatibleKeys(NamedTuple):
    """What a state lacked, and what it had too much."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"_IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


def state_of(module: Module, destination: dict[str, Any], prefix: str, keep_vars: bool) -> dict[str, Any]:
    """The state of a module and of all inside it, put into destination; a shared tensor is under each of its paths."""
    inside = [(f"{path}." if path else "", inner) for path, inner in module.named_modules(None, prefix[:-1], False)]
    for dot, inner in inside:
        for hook in [] if inner._notes is None else list(inner._notes.state_pre.values()):
            hook.function(inner, dot, keep_vars)
        inner._save_to_state_dict(destination, dot, keep_vars)
    for dot, inner in reversed(inside):
        for hook in [] if inner._notes is None else list(inner._notes.state_post.values()):
            changed = hook.function(inner, destination, dot, {})
            destination = destination if changed is None else changed
    return destination


def own_state(module: Module) -> dict[str, Tensor]:
    """A module's own parameters and persistent buffers by name."""
    transient = module._notes.transient if module._notes is not None else ()
    return {**dict(module._own(True)), **{name: x for name, x in module._own(False) if name not in transient}}


class Loading:
    """One state on its way into a module.

    errors   what torch says of tensors that do not fit
    """

    def __init__(self, state: Mapping[str, Any], strict: bool, assign: bool) -> None:
        self.state, self.strict, self.assign = dict(state), strict, assign
        self.known: set[str] = set()
        self.missing: list[str] = []
        self.unexpected: list[str] = []
        self.errors: list[str] = []
        self.changes: list[tuple[Module, str, Tensor, Any]] = []


@no_grad()
def loaded(module: Module, state: Mapping[str, Any], strict: bool, assign: bool) -> IncompatibleKeys:
    """Give a module and all inside it the values of a state; nothing changes where there is an error.

    raises RuntimeError, in torch's words
    """
    if not isinstance(state, Mapping):
        raise KindError(f"Expected state_dict to be dict-like, got {type(state)}.")
    loading = Loading(state, strict, assign)
    inside = [(f"{path}." if path else "", inner) for path, inner in module.named_modules(remove_duplicate=False)]
    lists = (loading.missing, loading.unexpected, loading.errors)
    for dot, inner in inside:
        for hook in [] if inner._notes is None else list(inner._notes.load_pre.values()):
            hook.function(inner, loading.state, dot, {"assign_to_params_buffers": assign}, strict, *lists)
        _check(inner, dot, loading)
    loading.unexpected += [key for key in loading.state if key not in loading.known]
    _raise(module, loading)
    for inner, name, tensor, value in loading.changes:
        _take(inner, name, tensor, value, assign)
    keys = IncompatibleKeys(loading.missing, loading.unexpected)
    for _, inner in reversed(inside):
        for hook in [] if inner._notes is None else list(inner._notes.load_post.values()):
            hook.function(inner, keys)
    return keys


def _check(module: Module, dot: str, loading: Loading) -> None:
    """Note what a state has for a module's own tensors, and what it lacks."""
    for name, tensor in own_state(module).items():
        key = dot + name
        loading.known.add(key)
        if key not in loading.state:
            loading.missing.append(key)
            continue
        value = loading.state[key]
        shape = tuple(np.shape(value) if not hasattr(value, "shape") else value.shape)
        if shape == (1,) and tensor.shape == ():
            value = value[0]
        elif shape != tensor.shape:
            loading.errors.append(
                f"size mismatch for {key}: copying a param with shape torch.Size({list(shape)}) from checkpoint, "
                f"the shape in current model is torch.Size({list(tensor.shape)})."
            )
            continue
        loading.changes.append((module, name, tensor, value))
    if module.get_extra_state() is not NotImplemented:
        loading.known.add(dot + EXTRA)
        if dot + EXTRA in loading.state:
            module.set_extra_state(loading.state[dot + EXTRA])
        else:
            loading.missing.append(dot + EXTRA)


def _raise(module: Module, loading: Loading) -> None:
    errors = list(loading.errors)
    for what, keys in (("Missing", loading.missing), ("Unexpected", loading.unexpected)):
        if loading.strict and keys:
            names = ", ".join(f'"{key}"' for key in keys)
            errors.insert(0, f"{what} key(s) in state_dict: {names}. ")
    if errors:
        lines = "\n\t".join(errors)
        raise StateError(f"Error(s) in loading state_dict for {type(module).__name__}:\n\t{lines}")


def _take(module: Module, name: str, tensor: Tensor, value: Any, assign: bool) -> None:
    """Give one tensor of a module a value."""
    source = value if isinstance(value, Tensor) else Tensor(np.asarray(value), device=tensor.device)
    if not assign:
        tensor.assign(source.detach().cast(tensor.dtype))
    elif name not in vars(module):  # inside a list
        tensor.replace(source.detach())
    else:
        wanted = isinstance(tensor, Parameter) or tensor._leaf
        setattr(module, name, Parameter(source, bool(tensor.requires_grad)) if wanted else source)
