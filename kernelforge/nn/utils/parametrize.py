"""Parameters that are computed from others each time they are used.

Comes in: a module, the name of a parameter, a module that computes it.  Goes out: the module, in whose class the name
is a property now; what it is computed from is in `module.parametrizations`.
"""

from __future__ import annotations

from typing import Any

from kernelforge.nn.containers import ModuleDict, ModuleList
from kernelforge.nn.module import Module
from kernelforge.nn.parameter import Parameter
from kernelforge.tensor import Tensor, no_grad


class ParametrizationList(ModuleList):
    """What one parameter is computed by: modules applied one after another to `original`, or original0, ..."""

    def __init__(self, modules: list[Module], original: Any) -> None:
        super().__init__(modules)
        self.is_tensor = isinstance(original, Tensor)
        for name, value in self._named_originals(original):
            setattr(self, name, Parameter(value))

    def _named_originals(self, original: Any) -> list[tuple[str, Tensor]]:
        if isinstance(original, Tensor):
            return [("original", original)]
        return [(f"original{i}", value) for i, value in enumerate(original)]

    def forward(self) -> Tensor:
        """The parameter."""
        given = vars(self)
        if self.is_tensor:
            originals = [given["original"]]
        else:
            originals = [given[name] for name in given if name.startswith("original")]
        first, *others = self._items()
        value = first(*originals)
        for module in others:
            value = module(value)
        return value

    @no_grad()
    def right_inverse(self, value: Tensor) -> None:
        """Give the originals values that make the parameter have this one."""
        found: Any = value
        for module in reversed(self._items()):
            if not hasattr(module, "right_inverse"):
                raise NotImplementedError(f"{type(module).__name__} has no right_inverse(): nothing can be assigned")
            found = module.right_inverse(found)
        for name, part in self._named_originals(found):
            vars(self)[name].assign(part)


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """True if the module, or its tensor of that name, is computed."""
    found = vars(module).get("parametrizations")
    return found is not None and (tensor_name is None or tensor_name in found)


def _property(name: str) -> property:
    def read(self: Module) -> Tensor:
        return vars(self)["parametrizations"][name]()

    def write(self: Module, value: Tensor) -> None:
        vars(self)["parametrizations"][name].right_inverse(value)

    return property(read, write)


def register_parametrization(
    module: Any, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Any:
    """The module, whose parameter of that name is from now on what `parametrization` makes of it.

    raises ValueError
    """
    if is_parametrized(module, tensor_name):
        module.parametrizations[tensor_name].append(parametrization)
        return module
    tensor = vars(module).get(tensor_name)
    if not isinstance(tensor, Tensor):
        raise ValueError(f"Module '{module}' does not have a parameter, a buffer, or a parametrized element with name "
                         f"'{tensor_name}'")  # fmt: skip
    with no_grad():
        inverse = getattr(parametrization, "right_inverse", None)
        original = tensor.detach() if inverse is None else inverse(tensor.detach())
    delattr(module, tensor_name)
    module._book.parameters.discard(tensor_name)
    if not is_parametrized(module):
        kind = type(module)
        module.__class__ = type(f"Parametrized{kind.__name__}", (kind,), {})
        module.parametrizations = ModuleDict()
    module.parametrizations[tensor_name] = ParametrizationList([parametrization], original)
    setattr(type(module), tensor_name, _property(tensor_name))
    return module


def remove_parametrizations(module: Any, tensor_name: str, leave_parametrized: bool = True) -> Any:
    """The module with an ordinary parameter again: of the value it has, or of the one it is computed from.

    raises ValueError
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    found = module.parametrizations[tensor_name]
    if not leave_parametrized and not found.is_tensor:
        raise ValueError("Cannot leave unparametrized (`leave_parametrized=False`) a tensor that has several originals")
    with no_grad():
        value = (found() if leave_parametrized else found.original).detach()
    del module.parametrizations[tensor_name]
    delattr(type(module), tensor_name)
    if not len(module.parametrizations):
        del module.parametrizations
        module.__class__ = type(module).__mro__[1]
    setattr(module, tensor_name, Parameter(value))
    return module
