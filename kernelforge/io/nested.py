"""Dicts, lists, tuples, numbers, strings, arrays and tensors of any nesting, in one safetensors file.

Comes in: such a value, or a file.  Goes out: the other, with the types it had.  Tensors and arrays are the file's
tensors; the rest is JSON in its metadata, so any reader of safetensors sees the tensors, and nothing is a pickle.
"""

from __future__ import annotations

import json
from typing import Any, Final

import numpy as np

from kernelforge.io.mapped import Mapped, PathLike
from kernelforge.io.safetensors import safe_load, safe_load_metadata, safe_save
from kernelforge.tensor import Tensor

STRUCTURE: Final = "kernelforge.structure"
DEEPEST: Final = 100


def save(value: Any, path: PathLike) -> None:
    """Write a value to a file, which appears whole or not at all.

    raises TypeError for anything but dicts, lists, tuples, numbers, strings, bytes, None, arrays and tensors
    """
    tensors: dict[str, Any] = {}
    structure = _taken_apart(value, "value", tensors, 0)
    safe_save(tensors, path, {STRUCTURE: json.dumps(structure)})


def load(path: PathLike, device: str | None = None) -> Any:
    """The value `save` wrote.

    raises FileFormatError for any other file
    """
    text = safe_load_metadata(path).get(STRUCTURE)
    if text is None:
        raise Mapped(path).wrong("a safetensors file, but not one written by save(); use safe_load()")
    tensors = safe_load(path, device)
    try:
        return _put_together(json.loads(text), tensors)
    except (ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
        raise Mapped(path).wrong(f"its structure is corrupt: {error}") from None


# A structure is a JSON string, bool, integer or null for itself, or: ["list", ...], ["tuple", ...],
# ["dict", [key, value], ...]; ["tensor", name], ["array", name], ["number", name] (one of NumPy's); ["float", text];
# ["bytes", hexadecimal].


def _taken_apart(value: Any, path: str, tensors: dict[str, Any], depth: int) -> Any:
    """The structure of a value, and its tensors under their paths."""
    if depth > DEEPEST:
        raise TypeError(f"{path[:80]} ... is nested more than {DEEPEST} deep")
    if value is None or isinstance(value, bool | str) or type(value) is int:
        return value
    if type(value) is float:
        return ["float", value.hex()]
    if isinstance(value, bytes):
        return ["bytes", value.hex()]
    if isinstance(value, Tensor | np.ndarray | np.generic):
        name = path.removeprefix("value.")
        while name in tensors:  # {"a.b": ..., "a": {"b": ...}}
            name += "'"
        tensors[name] = value
        kind = "tensor" if isinstance(value, Tensor) else "array" if isinstance(value, np.ndarray) else "number"
        return [kind, name]
    if isinstance(value, dict):
        items = [(key, _taken_apart(item, f"{path}.{key}", tensors, depth + 1)) for key, item in value.items()]
        return ["dict", *[[_taken_apart(key, path, {}, depth + 1), item] for key, item in items]]
    if isinstance(value, list | tuple):
        parts = [_taken_apart(part, f"{path}.{i}", tensors, depth + 1) for i, part in enumerate(value)]
        return ["tuple" if isinstance(value, tuple) else "list", *parts]
    raise TypeError(
        f"{path} is a {type(value).__name__}; a file holds dicts, lists, tuples, numbers, strings, None, arrays and "
        f"tensors: give the object's state_dict()"
    )


def _put_together(structure: Any, tensors: dict[str, Tensor]) -> Any:
    if not isinstance(structure, list):
        return structure
    match structure:
        case ["float", str(text)]:
            return float.fromhex(text)
        case ["bytes", str(text)]:
            return bytes.fromhex(text)
        case ["tensor", str(name)]:
            return tensors[name]
        case ["array", str(name)]:
            return tensors[name].numpy()
        case ["number", str(name)]:
            return tensors[name].numpy()[()]
        case ["list", *parts]:
            return [_put_together(part, tensors) for part in parts]
        case ["tuple", *parts]:
            return tuple(_put_together(part, tensors) for part in parts)
        case ["dict", *items]:
            return {_put_together(key, tensors): _put_together(item, tensors) for key, item in items}
    raise ValueError(f"{str(structure)[:60]} is no part of a structure")
