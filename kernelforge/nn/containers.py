"""Containers of modules and of parameters.

Comes in: modules, functions or tensors.  Goes out: modules that hold them under the names torch gives them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from kernelforge.errors import KindError, PlaceError
from kernelforge.nn.module import Module
from kernelforge.nn.parameter import Parameter
from kernelforge.tensor import Tensor


class _Numbered(Module):
    """Items under the names "0", "1", ..."""

    def _items(self) -> list[Any]:
        return [value for name, value in vars(self).items() if name.isdigit()]

    def _set_items(self, items: Iterable[Any]) -> None:
        new = list(items)
        for name in [name for name in vars(self) if name.isdigit()]:
            delattr(self, name)
        for i, item in enumerate(new):
            setattr(self, str(i), item)

    def _place(self, index: int) -> int:
        """A place counted from the front.

        raises IndexError
        """
        size = len(self)
        if not -size <= index < size:
            raise PlaceError(f"index {index} is out of range")
        return index % size if size else 0

    def __len__(self) -> int:
        return len(self._items())

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items())

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            part = type(self)()
            part._set_items(self._items()[index])
            return part
        return self._items()[self._place(index)]

    def __setitem__(self, index: int, item: Any) -> None:
        setattr(self, str(self._place(index)), item)

    def __delitem__(self, index: int | slice) -> None:
        items = self._items()
        del items[index]
        self._set_items(items)

    def append(self, module: Any) -> Self:
        """Itself, with one more item."""
        setattr(self, str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Any]) -> Self:
        """Itself, with more items."""
        for module in modules:
            self.append(module)
        return self

    def insert(self, index: int, module: Any) -> None:
        """Put an item before a place."""
        items = self._items()
        items.insert(index, module)
        self._set_items(items)

    def pop(self, key: int = -1) -> Any:
        """Take an item out, and give it."""
        item = self[key]
        del self[key]
        return item

    def __add__(self, other: Iterable[Any]) -> Self:
        joined = type(self)()
        joined._set_items([*self, *other])
        return joined

    def __iadd__(self, other: Iterable[Any]) -> Self:
        return self.extend(other)


class ModuleList(_Numbered):
    """A list of modules; the state's paths are "0.", "1.", ..."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        self.extend(modules or ())

    def __repr__(self) -> str:
        """The modules, equal neighbours once."""
        groups: list[tuple[int, str]] = []
        for i, text in enumerate(map(repr, self._items())):
            if not groups or groups[-1][1] != text:
                groups.append((i, text))
        if not groups:
            return f"{type(self).__name__}()"
        lines, ends = [], [*[start for start, _ in groups[1:]], len(self)]
        for (start, text), end in zip(groups, ends):
            label = f"({start}): " if end == start + 1 else f"({start}-{end - 1}): {end - start} x "
            lines.append((label + text).replace("\n", "\n  "))
        return f"{type(self).__name__}(\n" + "".join(f"  {line}\n" for line in lines) + ")"


class Sequential(_Numbered):
    """Modules, or any functions, applied one after another; an ordered dict gives them names of their own.

    >>> Sequential(lambda x: x + 1, Tensor.relu)(Tensor([-3.0, 3.0])).tolist()
    [0.0, 4.0]
    """

    def __init__(self, *args: Any) -> None:
        if len(args) == 1 and isinstance(args[0], Mapping):
            self._names = tuple(args[0])
            for name, module in args[0].items():
                setattr(self, name, module)
        else:
            self._set_items(args)

    def _keys(self) -> list[str]:
        return [name for name in vars(self) if name.isdigit() or name in vars(self).get("_names", ())]

    def _items(self) -> list[Any]:
        return [vars(self)[name] for name in self._keys()]

    def _set_items(self, items: Iterable[Any]) -> None:
        new, names = list(items), self._keys()
        for i, item in enumerate(new):
            if not callable(item):
                raise KindError(f"Sequential() takes modules or functions; number {i} is {item!r}")
        known = {id(vars(self)[name]): name for name in names if not name.isdigit()}
        for name in names:
            delattr(self, name)
        self._names = tuple(known[id(item)] for item in new if id(item) in known)
        for i, item in enumerate(new):
            setattr(self, known.get(id(item), str(i)), item)

    def __setitem__(self, index: int, item: Any) -> None:
        setattr(self, self._keys()[self._place(index)], item)

    def forward(self, input: Any) -> Any:
        """The input passed through the modules."""
        for module in self._items():
            input = module(input)
        return input


class _Named(Module):
    """Items under names of the user's."""

    _names: tuple[str, ...] = ()

    def __getitem__(self, key: str) -> Any:
        if key not in self._names:
            raise KeyError(key)
        return vars(self)[key]

    def __setitem__(self, key: str, item: Any) -> None:
        if not isinstance(key, str):
            raise KindError(f"{type(self).__name__} takes strings as names, got {key!r}")
        if key not in self._names:
            self._check_name(key, "item")
            self._names = (*self._names, key)
        setattr(self, key, item)

    def __delitem__(self, key: str) -> None:
        self[key]
        self._names = tuple(name for name in self._names if name != key)
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __contains__(self, key: object) -> bool:
        return key in self._names

    def keys(self) -> list[str]:
        """The names."""
        return list(self._names)

    def values(self) -> list[Any]:
        """What is held."""
        return [self[name] for name in self._names]

    def items(self) -> list[tuple[str, Any]]:
        """The names and what is held under them."""
        return [(name, self[name]) for name in self._names]

    def get(self, key: str, default: Any = None) -> Any:
        """What is held under a name, or the default."""
        return self.get(key, default)

    def pop(self, key: str) -> Any:
        """Take out what is held under a name, and give it."""
        item = self[key]
        del self[key]
        return item

    def clear(self) -> None:
        """Take everything out."""
        for name in self._names:
            del self[name]

    def update(self, modules: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> None:
        """Add, or replace, what a mapping or pairs of names and items have."""
        for name, item in modules.items() if isinstance(modules, Mapping) else modules:
            self[name] = item


class ModuleDict(_Named):
    """Modules by name."""

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None) -> None:
        self.update(modules or {})


def _as_parameter(value: Any) -> Any:
    """Tensors become parameters, anything else stays."""
    return Parameter(value) if isinstance(value, Tensor) and not isinstance(value, Parameter) else value


def _described(value: Any) -> str:
    if not isinstance(value, Tensor):
        return f"Object of type: {type(value).__name__}"
    kind = "Parameter" if isinstance(value, Parameter) else "Tensor"
    return f"{kind} containing: [{value.dtype} of size {'x'.join(map(str, value.shape))}]"


class ParameterList(_Numbered):
    """A list of parameters; tensors put into it become parameters."""

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        self.extend(values or ())

    def append(self, module: Any) -> Self:
        """Itself, with one more parameter."""
        return super().append(_as_parameter(module))

    def __setitem__(self, index: int, item: Any) -> None:
        super().__setitem__(index, _as_parameter(item))

    def extra_repr(self) -> str:
        """The parameters' types and sizes."""
        return "\n".join(f"({i}): {_described(value)}" for i, value in enumerate(self))


class ParameterDict(_Named):
    """Parameters by name; tensors put into it become parameters."""

    def __init__(self, parameters: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None) -> None:
        self.update(parameters or {})

    def __setitem__(self, key: str, item: Any) -> None:
        super().__setitem__(key, _as_parameter(item))

    def setdefault(self, key: str, default: Any = None) -> Any:
        """What is held under a name; the default is put there if it is new."""
        if key not in self:
            self[key] = default
        return self[key]

    def copy(self) -> ParameterDict:
        """Another dict of the same parameters."""
        return ParameterDict(self.items())

    def fromkeys(self, keys: Iterable[str], default: Any = None) -> ParameterDict:
        """A dict with a value for each of the names."""
        return ParameterDict((key, default) for key in keys)

    def extra_repr(self) -> str:
        """The parameters' types and sizes."""
        return "\n".join(f"({name}): {_described(value)}" for name, value in self.items())


