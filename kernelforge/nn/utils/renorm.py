"""Weight norm and spectral norm by torch's older functions, which work with a hook before forward().

Comes in: a module and the name of a parameter.  Goes out: the module with name_g and name_v, or name_orig and its
singular vectors name_u and name_v, in the parameter's place.
"""

from __future__ import annotations

from typing import Any, TypeVar

from kernelforge.nn.functional import normalize
from kernelforge.nn.hooks import RemovableHandle
from kernelforge.nn.module import Module
from kernelforge.nn.parameter import Buffer, Parameter
from kernelforge.nn.utils.parametrizations import as_matrix, norm_except, power_step
from kernelforge.tensor import Tensor, no_grad

M = TypeVar("M", bound=Module)


def _taken(module: Module, name: str) -> Tensor:
    """A parameter, taken out of a module."""
    tensor: Tensor = vars(module)[name]
    delattr(module, name)
    module._book.parameters.discard(name)
    return tensor


def _put(module: Module, name: str, compute: Any) -> RemovableHandle:
    """Have what a function computes be the attribute `name` before each forward()."""

    def refresh(module: Module, args: Any) -> None:
        object.__setattr__(module, name, compute(module))

    refresh(module, ())
    handle = module.register_forward_pre_hook(refresh)
    module.__dict__.setdefault("_renormed", {})[name] = handle
    return handle


def _removed(module: Module, name: str, kind: str) -> None:
    handles = vars(module).get("_renormed", {})
    if name not in handles:
        raise ValueError(f"{kind} of '{name}' not found in {module}")
    handles.pop(name).remove()


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """The module with name_g, the norms, and name_v, the directions, of a parameter."""
    weight = _taken(module, name).detach()
    setattr(module, f"{name}_g", Parameter(norm_except(weight, dim).realize()))
    setattr(module, f"{name}_v", Parameter(weight))

    def computed(module: Module) -> Tensor:
        g, v = vars(module)[f"{name}_g"], vars(module)[f"{name}_v"]
        return v * (g / norm_except(v, dim))

    _put(module, name, computed)
    return module


def remove_weight_norm(module: M, name: str = "weight") -> M:
    """The module with the parameter itself again."""
    _removed(module, name, "weight_norm")
    value = vars(module)[name].detach()
    for part in ("_g", "_v"):
        _taken(module, name + part)
    setattr(module, name, Parameter(value))
    return module


def spectral_norm(
    module: M, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> M:
    """The module with a parameter divided by its largest singular value, name_orig being the one that is trained."""
    axis = dim if dim is not None else 1 if "ConvTranspose" in type(module).__name__ else 0
    weight = _taken(module, name).detach()
    matrix = as_matrix(weight, axis)
    setattr(module, f"{name}_orig", Parameter(weight))
    for part, size in zip("uv", matrix.shape):
        setattr(module, f"{name}_{part}", Buffer(normalize(Tensor.randn(size), dim=0, eps=eps).realize()))

    def computed(module: Module) -> Tensor:
        original, u, v = (vars(module)[f"{name}_{part}"] for part in ("orig", "u", "v"))
        matrix = as_matrix(original, axis)
        if module.training:
            power_step(matrix.T, v, u, n_power_iterations, eps)
        return original / (u.detach() * (matrix @ v.detach())).sum()

    _put(module, name, computed)
    return module


@no_grad()
def remove_spectral_norm(module: M, name: str = "weight") -> M:
    """The module with the parameter itself again."""
    _removed(module, name, "spectral_norm")
    value = vars(module)[name].detach()
    for part in ("_orig", "_u", "_v"):
        _taken(module, name + part)
    setattr(module, name, Parameter(value))
    return module
