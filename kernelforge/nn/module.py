"""The base class of layers and models, and containers of them.

Comes in: subclasses that set tensors and modules as attributes and define forward().  Goes out: their parameters and
state by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from codegen.dtypes import DType
from kernelforge.nn.state import get_parameters, load_state_dict, named_tensors
from kernelforge.tensor import Tensor


class Module:
    """A layer, or a model made of layers.

    Tensors and modules set as attributes, also inside lists and dicts, belong to it; a tensor with requires_grad=True
    is a parameter, any other a buffer.

    training   True or False after train() or eval(); before either, what Tensor.training says

    >>> class Scale(Module):
    ...     def __init__(self):
    ...         self.factor = Tensor([2.0], requires_grad=True)
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> Scale()(Tensor([3.0])).tolist()
    [6.0]
    """

    _mode: bool | None = None

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The module's output; subclasses define it."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward()")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    # Contents ---------------------------------------------------------------------------------------------------

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """The tensors with requires_grad=True and their paths, a shared one once."""
        return self._named(prefix, True)

    def parameters(self) -> Iterator[Tensor]:
        """The tensors with requires_grad=True."""
        return (tensor for _, tensor in self.named_parameters())

    def named_buffers(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """The tensors without requires_grad and their paths, a shared one once."""
        return self._named(prefix, False)

    def _named(self, prefix: str, requires_grad: bool) -> Iterator[tuple[str, Tensor]]:
        seen: set[int] = set()
        for name, tensor in named_tensors(self, prefix):
            if bool(tensor.requires_grad) is requires_grad and id(tensor) not in seen:
                seen.add(id(tensor))
                yield name, tensor

    def buffers(self) -> Iterator[Tensor]:
        """The tensors without requires_grad."""
        return (tensor for _, tensor in self.named_buffers())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules that are attributes, or stand in lists and dicts that are, and their names."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value
            elif isinstance(value, list | tuple | dict):
                items = value.items() if isinstance(value, dict) else enumerate(value)
                yield from ((f"{name}.{key}", item) for key, item in items if isinstance(item, Module))

    def children(self) -> Iterator[Module]:
        """The modules directly inside this one."""
        return (module for _, module in self.named_children())

    def modules(self) -> Iterator[Module]:
        """This module and all inside it, outer ones first."""
        stack: list[Module] = [self]
        while stack:
            module = stack.pop()
            yield module
            stack += reversed(list(module.children()))

    def state_dict(self) -> dict[str, Tensor]:
        """Parameters and buffers by path."""
        return dict(named_tensors(self))

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> Self:
        """Itself, with the values state has for its parameters and buffers.

        raises KeyError when strict and the names differ, ShapeError when a shape does
        """
        load_state_dict(self, state, strict)
        return self

    # Modes ------------------------------------------------------------------------------------------------------

    @property
    def training(self) -> bool:
        """Whether dropout drops and batch norm uses the batch's statistics."""
        return Tensor.training if self._mode is None else self._mode

    def train(self, mode: bool = True) -> Self:
        """Itself, in training mode whatever Tensor.training says; every module inside too."""
        for module in self.modules():
            module._mode = mode
        return self

    def eval(self) -> Self:
        """Itself, not in training mode whatever Tensor.training says; every module inside too."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Itself, with requires_grad set for its parameters; once off, it is turned on tensor by tensor."""
        for tensor in list(self.parameters()):
            tensor.requires_grad = requires_grad
        return self

    def zero_grad(self) -> None:
        """Forget the gradients of the parameters."""
        for tensor in self.parameters():
            tensor.grad = None

    def to(self, device: str | None = None, dtype: DType | None = None) -> Self:
        """Itself, with its tensors moved to a device and its float tensors cast to a dtype."""
        if isinstance(device, DType):
            device, dtype = None, device
        for tensor in get_parameters(self):
            if device is not None:
                tensor.to_(device)
            if dtype is not None and tensor.dtype.is_float:
                tensor.replace(tensor.detach().cast(dtype))
        return self

    def apply(self, function: Any) -> Self:
        """Itself, after function was called with every module, inner ones first."""
        for module in reversed(list(self.modules())):
            function(module)
        return self

    # Text -------------------------------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What repr() says in the brackets of a module without children."""
        return ""

    def __repr__(self) -> str:
        lines = [f"({name}): {module!r}" for name, module in self.named_children()]
        if not lines:
            return f"{type(self).__name__}({self.extra_repr()})"
        return f"{type(self).__name__}(\n" + "".join("  " + line.replace("\n", "\n  ") + "\n" for line in lines) + ")"


class ModuleList(Module):
    """A list of modules; the state's paths are "0.", "1.", ..."""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        for module in modules:
            self.append(module)

    def append(self, module: Any) -> Self:
        """Itself, with one more module."""
        setattr(self, str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Any]) -> Self:
        """Itself, with more modules."""
        for module in modules:
            self.append(module)
        return self

    def _items(self) -> list[Any]:
        return [value for name, value in vars(self).items() if name.isdigit()]

    def __len__(self) -> int:
        return len(self._items())

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items())

    def __getitem__(self, index: int | slice) -> Any:
        items = self._items()[index]
        return type(self)(*items) if isinstance(self, Sequential) and isinstance(index, slice) else items


class Sequential(ModuleList):
    """Modules, or any functions, applied one after another.

    >>> Sequential(lambda x: x + 1, Tensor.relu)(Tensor([-3.0, 3.0])).tolist()
    [0.0, 4.0]
    """

    def __init__(self, *modules: Any) -> None:
        super().__init__(modules)

    def forward(self, x: Any) -> Any:
        """x passed through the modules."""
        for module in self._items():
            x = module(x)
        return x
