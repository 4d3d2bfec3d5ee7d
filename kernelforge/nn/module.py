"""The base class of layers and models.

Comes in: subclasses that set tensors and modules as attributes and define forward().  Goes out: their parameters and
state by name, under torch's names and in torch's order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

from codegen.dtypes import DType, dtypes
from kernelforge.errors import ArgumentError, KindError
from kernelforge.kinds import as_dtype
from kernelforge.nn.backward import entered, left
from kernelforge.nn.hooked import Hooked
from kernelforge.nn.hooks import abandoned, followed, prepared
from kernelforge.nn.loading import EXTRA, IncompatibleKeys, loaded, own_state, state_of
from kernelforge.nn.parameter import Buffer, Parameter, is_transient
from kernelforge.nn.state import children_of
from kernelforge.settings import TRAINING
from kernelforge.tensor import Tensor


class Module(Hooked):
    """A layer, or a model made of layers.

    Tensors and modules set as attributes, also inside lists, dicts and plain objects, belong to it.  A Parameter is a
    parameter, as is any tensor that had requires_grad=True when it was set; any other tensor is a buffer.

    training   True or False after train() or eval(); before either True, as in torch, until the program uses
               Tensor.training or Tensor.train(): from then on what Tensor.training says, as in tinygrad

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
        raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        book = self._notes
        if book is None or not book.watches:
            return self.forward(*args, **kwargs)
        args, kwargs = prepared(self, book, args, kwargs)
        try:
            passage = entered(self, book, args)
            output = followed(self, book, args, kwargs, self.forward(*passage.args, **kwargs))
            return left(passage, output)
        except Exception:
            abandoned(self, book, args, kwargs)
            raise

    # Contents ---------------------------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Tensor):
            if value._leaf or isinstance(value, Parameter):
                self._book.parameters.add(name)
            elif isinstance(value, Buffer) and is_transient(value):
                self._book.transient.add(name)
        object.__setattr__(self, name, value)

    def _entries(self) -> Iterator[tuple[str, Any]]:
        """The tensors and modules that belong to it directly, and their names; a list's or a dict's with a dot."""
        for name, value in vars(self).items():
            if isinstance(value, Tensor | Module):
                yield name, value
            elif isinstance(value, list | tuple | dict) or hasattr(value, "__dict__"):
                yield from _found_in(name, value)

    def _own(self, parameters: bool) -> Iterator[tuple[str, Tensor]]:
        """Its own parameters, or its own buffers, and their names."""
        names = self._notes.parameters if self._notes is not None else ()
        for name, tensor in self._entries():
            if isinstance(tensor, Tensor):
                is_parameter = name in names or tensor._leaf or isinstance(tensor, Parameter)
                if is_parameter is parameters and (is_parameter or not tensor.requires_grad):
                    yield name, tensor

    def _named(
        self, prefix: str, recurse: bool, remove_duplicate: bool, parameters: bool
    ) -> Iterator[tuple[str, Tensor]]:
        seen: set[int] = set()
        modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, tensor in module._own(parameters):
                if not remove_duplicate or id(tensor) not in seen:
                    seen.add(id(tensor))
                    yield (f"{path}.{name}" if path else name), tensor

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """The parameters and their paths, a shared one once; a module's own come before those of its children."""
        return self._named(prefix, recurse, remove_duplicate, True)

    def parameters(self, recurse: bool = True) -> Iterator[Tensor]:
        """The parameters."""
        return (tensor for _, tensor in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """The tensors that are no parameters and their paths, a shared one once."""
        return self._named(prefix, recurse, remove_duplicate, False)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The tensors that are no parameters."""
        return (tensor for _, tensor in self.named_buffers(recurse=recurse))

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules that are attributes, or stand in lists, dicts and objects that are, and their names; each once.
        """
        seen: set[int] = set()
        for name, value in self._entries():
            if isinstance(value, Module) and id(value) not in seen:
                seen.add(id(value))
                yield name, value

    def children(self) -> Iterator[Module]:
        """The modules directly inside this one."""
        return (module for _, module in self.named_children())

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all inside it with their paths, outer ones first; each once with remove_duplicate."""
        seen = set() if memo is None else memo
        stack: list[tuple[str, Module, tuple[int, ...]]] = [(prefix, self, ())]
        while stack:
            path, module, around = stack.pop()
            if id(module) in around or (remove_duplicate and module in seen):
                continue
            seen.add(module)
            yield path, module
            inside = [(name, child) for name, child in module._entries() if isinstance(child, Module)]
            dot = f"{path}." if path else ""
            stack += [(dot + name, child, (*around, id(module))) for name, child in reversed(inside)]

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """This module and all inside it, outer ones first."""
        return (module for _, module in self.named_modules(remove_duplicate=remove_duplicate))

    # Registering and finding ------------------------------------------------------------------------------------

    def register_parameter(self, name: str, param: Tensor | None) -> None:
        """Set a parameter as the attribute `name`; None keeps the name free."""
        self._check_name(name, "parameter")
        setattr(self, name, param if param is None or isinstance(param, Parameter) else Parameter(param))

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Set a tensor that is no parameter as the attribute `name`; persistent says whether the state has it."""
        self._check_name(name, "buffer")
        if tensor is not None and tensor._leaf:
            tensor = tensor.detach()
        self._book.parameters.discard(name)
        (self._book.transient.discard if persistent else self._book.transient.add)(name)
        setattr(self, name, tensor)

    def add_module(self, name: str, module: Module | None) -> None:
        """Set a module as the attribute `name`."""
        if module is not None and not callable(module):
            raise KindError(f"{type(module).__name__} is not a Module subclass")
        self._check_name(name, "module")
        setattr(self, name, module)

    register_module = add_module

    def _check_name(self, name: str, what: str) -> None:
        if "." in name:
            raise KeyError(f'{what} name can\'t contain "."')
        if not name:
            raise KeyError(f'{what} name can\'t be empty string ""')
        if hasattr(self, name) and name not in vars(self):
            raise KeyError(f"attribute '{name}' already exists")

    def get_submodule(self, target: str) -> Module:
        """The module at a path; itself for "".

        raises AttributeError
        """
        found = dict(self.named_modules(remove_duplicate=False)).get(target)
        if found is None:
            raise AttributeError(f"{type(self).__name__} has no module at {target!r}")
        return found

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Put a module at a path; strict demands that there is one."""
        if strict:
            self.get_submodule(target)
        path, _, name = target.rpartition(".")
        setattr(self.get_submodule(path), name, module)

    def get_parameter(self, target: str) -> Tensor:
        """The parameter at a path.

        raises AttributeError
        """
        return self._found(target, True)

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a path.

        raises AttributeError
        """
        return self._found(target, False)

    def _found(self, target: str, parameters: bool) -> Tensor:
        found = dict(self._named("", True, False, parameters)).get(target)
        if found is None:
            raise AttributeError(f"{type(self).__name__} has no {'parameter' if parameters else 'buffer'} {target!r}")
        return found

    # State ------------------------------------------------------------------------------------------------------

    def state_dict(
        self, destination: dict[str, Any] | None = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """Parameters and persistent buffers by path: the tensors themselves."""
        return state_of(self, {} if destination is None else destination, prefix, keep_vars)

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        """Put this module's own part of the state into destination."""
        destination.update({prefix + name: tensor for name, tensor in own_state(self).items()})
        extra = self.get_extra_state()
        if extra is not NotImplemented:
            destination[prefix + EXTRA] = extra

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Take the values, tensors or arrays, that a state has for its parameters and buffers.

        assign   take the tensors themselves, whatever their types, instead of copying values
        returns  missing_keys and unexpected_keys
        raises   RuntimeError when strict and the names differ, or when a shape does
        """
        return loaded(self, state_dict, strict, assign)

    def get_extra_state(self) -> Any:
        """What the state has beside tensors; subclasses define it together with set_extra_state()."""
        return NotImplemented

    def set_extra_state(self, state: Any) -> None:
        """Take what get_extra_state() gave; subclasses define it."""
        raise NotImplementedError(f"{type(self).__name__} defines get_extra_state() but not set_extra_state()")

    # Modes ------------------------------------------------------------------------------------------------------

    @property
    def training(self) -> bool:
        """Whether dropout drops and batch norm uses the batch's statistics."""
        if self._mode is not None:
            return self._mode
        return bool(TRAINING.value) if TRAINING.asked else True

    @training.setter
    def training(self, mode: bool) -> None:
        self._mode = mode

    def train(self, mode: bool = True) -> Self:
        """Itself, in training mode whatever Tensor.training says; every module inside too."""
        if not isinstance(mode, bool):
            raise ArgumentError("training mode is expected to be boolean")
        for module in self.modules():
            module._mode = mode
        return self

    def eval(self) -> Self:
        """Itself, not in training mode whatever Tensor.training says; every module inside too."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Itself, with requires_grad set for its parameters."""
        for tensor in list(self.parameters()):
            tensor.requires_grad = requires_grad
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of the parameters; without set_to_none they become zeros."""
        for tensor in self.parameters():
            tensor.grad = None if set_to_none or tensor.grad is None else tensor.grad.zeros_like()

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Itself, after fn was called with every module, inner ones first."""
        for module in reversed(list(self.modules())):
            fn(module)
        return self

    # Places and types -------------------------------------------------------------------------------------------

    def to(self, *args: Any, device: str | None = None, dtype: DType | str | None = None, **_: Any) -> Self:
        """Itself, with its tensors moved to a device and its float tensors cast to a float dtype.

        Takes a device, a dtype, both, or a tensor that has both, in any order.
        """
        for given in args:
            if isinstance(given, Tensor):
                device, dtype = given.device, given.dtype
            elif isinstance(given, DType) or (isinstance(given, str) and hasattr(dtypes, given)):
                dtype = as_dtype(given)
            elif isinstance(given, str):
                device = given
        kind = None if dtype is None else as_dtype(dtype)
        if kind is not None and not kind.is_float:
            raise KindError(f"Module.to() takes a float dtype, got {kind}")
        for tensor in self._tensors():
            _convert(tensor, device, kind)
        for module in self.modules():
            module._follow(device, kind)
        return self

    def to_empty(self, *, device: str | None, recurse: bool = True) -> Self:
        """Itself, with its tensors on a device and new: of the same shapes and types, with elements nobody has set.

        recurse   the tensors of modules within it, too

        source: torch.nn.Module.to_empty
        """
        for tensor in [*self.parameters(recurse), *self.buffers(recurse)]:
            tensor.replace(tensor.detach().empty_like(device=device))
        return self

    def _follow(self, device: str | None, dtype: DType | None) -> None:
        """What a module does about a move beside moving tensors: a layer without them yet keeps it in mind."""

    def _tensors(self) -> list[Tensor]:
        """All parameters and buffers, each once."""
        return [*self.parameters(), *self.buffers()]

    def type(self, dst_type: DType | str) -> Self:
        """to() of a dtype."""
        return self.to(dtype=dst_type)

    def float(self) -> Self:
        """to() of float32."""
        return self.to(dtypes.float32)

    def double(self) -> Self:
        """to() of float64."""
        return self.to(dtypes.float64)

    def half(self) -> Self:
        """to() of float16."""
        return self.to(dtypes.float16)

    def bfloat16(self) -> Self:
        """to() of bfloat16."""
        return self.to(dtypes.bfloat16)

    def cpu(self) -> Self:
        """to() of the CPU."""
        return self.to("CPU")

    def cuda(self, device: int | None = None) -> Self:
        """to() of an NVIDIA GPU."""
        return self.to("CUDA" if not device else f"CUDA:{device}")

    # Text -------------------------------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What repr() says in the brackets beside the children."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = [f"({name}): {module!r}".replace("\n", "\n  ") for name, module in self.named_children()]
        if not lines and "\n" not in extra:
            return f"{type(self).__name__}({extra})"
        inside = [*extra.split("\n"), *lines] if extra else lines
        return f"{type(self).__name__}(\n" + "".join(f"  {line}\n" for line in inside) + ")"


def _found_in(name: str, holder: Any) -> Iterator[tuple[str, Any]]:
    """The tensors and modules inside a list, a dict or an object, and their paths from its name on."""
    stack: list[tuple[str, Any, tuple[int, ...]]] = [(name, holder, ())]
    while stack:
        path, item, around = stack.pop()
        if isinstance(item, Tensor | Module):
            yield path, item
        elif id(item) not in around:
            inside = (*around, id(item))
            stack += [(f"{path}.{key}", child, inside) for key, child in reversed(children_of(item))]


def _convert(tensor: Tensor, device: str | None, dtype: DType | None) -> None:
    """Move a tensor, and its gradient, to a device and cast it if it is a float."""
    for each in (tensor, tensor.grad):
        if each is not None and device is not None:
            each.to_(device)
        if each is not None and dtype is not None and each.dtype.is_float:
            each.replace(each.detach().cast(dtype))
