"""The kernels of one expression for any target, also one that this machine does not have.

Comes in: an expression as text, shapes of its names, a target's name.  Goes out: its programs.  Nothing is run.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from codegen.generate import generate
from codegen.program import Program
from codegen.target import Target
from kernelforge.dumping.sources import NAMED
from kernelforge.errors import ArgumentError
from kernelforge.fusion.fuse import groups
from kernelforge.fusion.lower import lower
from kernelforge.kernels import Device
from kernelforge.node import is_stored
from kernelforge.planning.plan import rewritten, storage
from kernelforge.structure import structure
from kernelforge.tensor import Tensor


def target_named(name: str) -> Target:
    """A target by name: opencl:cpu, cuda:sm_90, or a device of this machine, such as CPU.

    raises ArgumentError for a name nobody has
    """
    if name in NAMED:
        return NAMED[name]
    if name in Device.available():
        found: Target = Device[name].target
        return found
    known = ", ".join((*NAMED, *Device.available()))
    raise ArgumentError(f"there is no target {name}; there are {known}")


def names_in(expression: str) -> list[str]:
    """The names an expression uses that are no functions of this library, in the order they are met.

    raises ArgumentError for what is no expression
    """
    try:
        tree = ast.parse(expression, mode="eval")
    except SyntaxError as error:
        raise ArgumentError(f"{expression!r} is no expression: {error.msg}") from None
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id != "Tensor"]
    return list(dict.fromkeys(node.id for node in sorted(found, key=lambda node: (node.lineno, node.col_offset))))


def shapes_of(texts: Sequence[str], names: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Shapes by name: "x=4x8" says whose it is, others are for the remaining names in order.

    >>> shapes_of(["4x8", "w=8x2"], ["x", "w"])
    {'w': (8, 2), 'x': (4, 8)}

    raises ArgumentError where names and shapes do not fit
    """
    named = {text.partition("=")[0]: text.partition("=")[2] for text in texts if "=" in text}
    rest = [name for name in names if name not in named]
    plain = [text for text in texts if "=" not in text]
    if len(plain) != len(rest) or not named.keys() <= set(names):
        given = ", ".join(texts) or "none"
        raise ArgumentError(f"the expression needs a shape for each of {', '.join(names)}; given were {given}")
    found = {**named, **dict(zip(rest, plain))}
    try:
        return {name: tuple(int(n) for n in text.split("x") if n) for name, text in found.items()}
    except ValueError:
        raise ArgumentError("a shape is written as sizes with x between them, such as 64x128") from None


def programs(expression: str, shapes: Sequence[str], target: Target, dtype: str = "float32") -> list[Program]:
    """The programs that compute an expression of tensors, in an order in which they can run.

    raises ArgumentError where the expression cannot be evaluated
    """
    wanted = shapes_of(shapes, names_in(expression))
    space: dict[str, Any] = {name: Tensor.ones(*shape).cast(dtype).contiguous() for name, shape in wanted.items()}
    for tensor in space.values():
        tensor.realize()
    try:
        result = eval(expression, {"Tensor": Tensor}, space)
    except Exception as error:  # whatever the user's expression does
        raise ArgumentError(f"{expression} fails: {type(error).__name__}: {error}") from None
    tensors = [x for x in (result if isinstance(result, list | tuple) else [result]) if isinstance(x, Tensor)]
    if not tensors:
        raise ArgumentError(f"{expression!r} gives {type(result).__name__}, not a tensor")
    nodes = [tensor._node for tensor in tensors]
    leaves: Any = structure(nodes).leaves
    with rewritten(leaves, nodes, target) as simple:
        computed = [x for x in dict.fromkeys(map(storage, simple)) if not is_stored(x) and x.size]
        found = groups(computed, target) if computed else []
        kernels = [lower(group).kernel for group in found if group.kind not in ("copy", "host")]
    made = [generate(kernel, target) for kernel in kernels]
    return [replace(program, kernel=kernel) for program, kernel in zip(made, kernels)]
