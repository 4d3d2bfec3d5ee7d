"""What is measured: an expression of tensors, or a function in a script, on arrays of given shapes.

Comes in: the text a user wrote.  Goes out: a subject that every library can try.  An expression is a name with options,
`softmax(-1)`, or Python over the inputs a, b, c ..., `(a @ b).relu()`; a function is called with the inputs.
"""

from __future__ import annotations

import ast
import runpy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from codegen.dtypes import as_dtype
from kernelforge.errors import ArgumentError

NAMES: Final = "abcdefgh"
Find = Callable[[str], Any]  # a library's function of this name


@dataclass(frozen=True)
class Subject:
    """An expression or a function `PATH::NAME`, the shapes of its inputs and their type."""

    text: str
    shapes: tuple[tuple[int, ...], ...]
    dtype: str = "float32"

    def __str__(self) -> str:
        shapes = ", ".join("x".join(map(str, shape)) for shape in self.shapes)
        return f"{self.text} of {shapes} {self.dtype}"

    def inputs(self) -> list[NDArray]:
        """The arrays, the same in every process; float32 where NumPy has no such type."""
        random, dtype = np.random.default_rng(0), as_dtype(self.dtype)
        if dtype.is_float:
            return [random.standard_normal(shape).astype(dtype.compute) for shape in self.shapes]
        high = 2 if dtype.name == "bool" else 100
        return [random.integers(0, high, shape).astype(dtype.numpy) for shape in self.shapes]

    def call(self, find: Find) -> Callable[..., Any]:
        """The subject as a function of a library's arrays.

        find  gives the library's function for a name
        """
        if "::" in self.text:
            path, _, name = self.text.partition("::")
            return function_in(Path(path), name)
        tree = parsed(self.text)
        if isinstance(tree, ast.Name | ast.Call) and _named(tree):
            function = tree.func if isinstance(tree, ast.Call) else tree
            options = [ast.literal_eval(x) for x in tree.args] if isinstance(tree, ast.Call) else []
            named = tree.keywords if isinstance(tree, ast.Call) else []
            keywords = {str(x.arg): ast.literal_eval(x.value) for x in named}
            operation = find(ast.unparse(function))
            return lambda *inputs: operation(*inputs, *options, **keywords)
        code = compile(ast.Expression(tree), self.text, "eval")
        return lambda *inputs: eval(code, dict(zip(NAMES, inputs)))


def parsed(text: str) -> ast.expr:
    """The expression in a text.

    raises ArgumentError
    """
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError:
        raise ArgumentError(
            f"{text!r} is neither an operation such as softmax(-1), an expression of a, b, ... nor script.py::function"
        ) from None


def _named(tree: ast.Name | ast.Call) -> bool:
    """True for `softmax` and `softmax(-1)`, not for what speaks of the inputs."""
    function = tree.func if isinstance(tree, ast.Call) else tree
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} - {ast.unparse(function)}
    return isinstance(function, ast.Name) and not names and ast.unparse(function) not in NAMES


def function_in(path: Path, name: str) -> Callable[..., Any]:
    """A function of a script, which is run for it, though not as the main program.

    raises ArgumentError
    """
    if not path.is_file():
        raise ArgumentError(f"there is no script {path}")
    found = runpy.run_path(str(path)).get(name)
    if not callable(found):
        raise ArgumentError(f"{path} has no function {name}")
    function: Callable[..., Any] = found
    return function


def shapes_of(text: str) -> tuple[tuple[int, ...], ...]:
    """The shapes of a subject's inputs.

    >>> shapes_of("512x256,256x128"), shapes_of("1000")
    (((512, 256), (256, 128)), ((1000,),))

    raises ArgumentError
    """
    try:
        return tuple(tuple(int(n) for n in part.split("x")) for part in text.split(","))
    except ValueError:
        raise ArgumentError(f"shapes are written as 512x256,256x128, one for each input; not {text!r}") from None
