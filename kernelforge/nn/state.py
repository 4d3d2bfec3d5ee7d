"""The tensors of an object by name: parameters and state dicts.

Comes in: any object: a Module, a plain class with tensors in its attributes, lists and dicts of them.  Goes out:
tensors by their path, "layers.0.weight", as torch names them.  The readers of files stand here too, as in tinygrad.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import FunctionType, MethodType, ModuleType
from typing import Any, Final

import numpy as np

from kernelforge.errors import ShapeError
from kernelforge.io import gguf_load, safe_load, safe_load_metadata, safe_save, torch_load
from kernelforge.tensor import Tensor

__all__ = [
    "get_parameters",
    "get_state_dict",
    "gguf_load",
    "load_state_dict",
    "named_tensors",
    "safe_load",
    "safe_load_metadata",
    "safe_save",
    "torch_load",
]

_CLOSED: Final = (type, ModuleType, FunctionType, MethodType)  # they have attributes, but hold nothing


def named_tensors(obj: Any, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """Every tensor an object holds with its path, in the order of the attributes; a shared one under each path."""
    stack: list[tuple[str, Any, tuple[int, ...]]] = [(prefix, obj, ())]
    while stack:
        path, item, around = stack.pop()
        if isinstance(item, Tensor):
            yield path, item
        elif id(item) not in around:
            inside = (*around, id(item))
            children = [(f"{path}.{name}" if path else str(name), child, inside) for name, child in children_of(item)]
            stack += reversed(children)


def children_of(item: Any) -> list[tuple[Any, Any]]:
    if isinstance(item, Mapping):
        return list(item.items())
    if isinstance(item, list | tuple):
        fields = getattr(item, "_fields", None)
        return list(zip(fields or range(len(item)), item))
    return list(vars(item).items()) if hasattr(item, "__dict__") and not isinstance(item, _CLOSED) else []


def get_state_dict(obj: Any, prefix: str = "") -> dict[str, Tensor]:
    """Every tensor of an object by its path.

    >>> class Model:
    ...     def __init__(self):
    ...         self.scale = Tensor([2.0])
    ...         self.layers = [Tensor([1.0]), Tensor([3.0])]
    >>> list(get_state_dict(Model()))
    ['scale', 'layers.0', 'layers.1']
    """
    return dict(named_tensors(obj, prefix.rstrip(".")))


def get_parameters(obj: Any) -> list[Tensor]:
    """Every tensor of an object once, whether it requires gradients or not."""
    return list({id(tensor): tensor for _, tensor in named_tensors(obj)}.values())


def load_state_dict(obj: Any, state: Mapping[str, Any], strict: bool = True) -> list[str]:
    """Give an object's tensors the values, tensors or arrays, that state has for their paths.

    returns  the paths that were loaded
    raises   KeyError when strict and the paths differ, ShapeError when a shape does
    """
    own = get_state_dict(obj)
    missing, unexpected = own.keys() - state.keys(), state.keys() - own.keys()
    if strict and (missing or unexpected):
        raise KeyError(f"missing {sorted(missing)}, unexpected {sorted(unexpected)}; strict=False loads what fits")
    found = [name for name in own if name in state]
    for name in found:
        shape = tuple(state[name].shape)
        if shape != own[name].shape:
            raise ShapeError(f"{name} has shape {own[name].shape}, the state to load has {shape}")
    for name in found:
        tensor, value = own[name], state[name]
        source = value if isinstance(value, Tensor) else Tensor(np.asarray(value), device=tensor.device)
        tensor.assign(source.detach().cast(tensor.dtype))
    return found
