"""Which hooks are called, when and with what: as torch does it, by backward() and by grad()."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import kernelforge
from kernelforge import Tensor
from kernelforge.autograd import Function

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("numpy_device")
Story = Callable[[Any, Any], Any]
"""What a program sees of a library, given its module and how it makes a leaf."""


def tenfold(gradient: Any) -> Any:
    return gradient * 10


def of_what_is_between(library: Any, leaf: Any) -> Any:
    found = []
    for chosen in ("y", "x", "xy", "yx", "u", "uy", "xu"):
        x = leaf([1.0, 2.0])
        y = x * 2
        y.register_hook(tenfold)
        u = y * y
        u.register_hook(lambda gradient: gradient + 1)
        found.append(library.autograd.grad(u.sum(), [{"x": x, "y": y, "u": u}[name] for name in chosen]))
    return found


def of_a_leaf(library: Any, leaf: Any) -> Any:
    x, calls = leaf([1.0, 2.0]), []
    x.register_hook(tenfold)
    x.register_hook(lambda gradient: calls.append("early"))
    x.register_post_accumulate_grad_hook(lambda tensor: calls.append("late"))
    (slope,) = library.autograd.grad((x * x * x).sum(), [x], create_graph=True)
    (again,) = library.autograd.grad(slope.sum(), [x])
    (x * x).sum().backward()
    return slope, again, x.grad, calls


def of_what_leads_nowhere(library: Any, leaf: Any) -> Any:
    found = []
    for chosen in ("x", "w", "u"):
        x, w, calls = leaf([1.0, 2.0]), leaf([3.0, 4.0]), []
        y = x * 2
        for name, tensor in (("x", x), ("w", w), ("y", y)):
            tensor.register_hook(lambda gradient, name=name, calls=calls: calls.append(name))
        u = y * 3
        library.autograd.grad((u * u).sum() + w.sum(), [{"x": x, "w": w, "u": u}[chosen]])
        found.append(sorted(calls))
    return found


def of_outputs(library: Any, leaf: Any) -> Any:
    found = []
    for chosen in ("x", "z", "xz"):
        x = leaf([1.0, 2.0])
        z = (x * 2).sum()
        z.register_hook(lambda gradient: gradient * 5)
        found.append(library.autograd.grad(z, [{"x": x, "z": z}[name] for name in chosen]))
    return found


def of_what_is_retained(library: Any, leaf: Any) -> Any:
    found = []
    for chosen in ("x", "y", "xy", "u"):
        x = leaf([1.0, 2.0])
        y = x * 2
        y.retain_grad()
        y.register_hook(tenfold)
        u = y * y
        for _ in range(2):
            found.append(library.autograd.grad(u.sum(), [{"x": x, "y": y, "u": u}[name] for name in chosen],
                                               retain_graph=True))  # fmt: skip
        found.append("nothing" if y.grad is None else y.grad)
    return found


def of_backward(library: Any, leaf: Any) -> Any:
    found = []
    for chosen in ("x", "y", "xy"):
        x = leaf([1.0, 2.0])
        y = x * 2
        y.register_hook(tenfold)
        given = {"x": x, "y": y}
        (y * y).sum().backward(inputs=[given[name] for name in chosen])
        found.append([given[name].grad for name in chosen])
    return found


def _cube(library: Any) -> Any:
    base = Function if library is kernelforge else library.autograd.Function

    class Cube(base):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            made = np.array(x.tolist(), np.float32) ** 3  # nothing but backward() tells how it was computed
            return Tensor(made) if library is kernelforge else library.tensor(made)

        @staticmethod
        def backward(ctx: Any, dy: Any) -> Any:
            (x,) = ctx.saved_tensors
            return dy * 3 * x * x

    return Cube


def of_what_a_function_is_given(library: Any, leaf: Any) -> Any:
    cube, x = _cube(library), leaf([1.0, 2.0])
    y = x * 2
    y.register_hook(tenfold)
    z = cube.apply(cube.apply(y))
    z.register_hook(lambda gradient: gradient + 1)
    first = library.autograd.grad(z.sum(), [x, y, z], retain_graph=True)
    (z.sum() + y.sum()).backward()
    return first, x.grad


def of_one_of_two_results(library: Any, leaf: Any) -> Any:
    base = Function if library is kernelforge else library.autograd.Function

    class Both(base):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 1, x * 2

        @staticmethod
        def backward(ctx: Any, da: Any, db: Any) -> Any:
            return da + 2 * db

    x = leaf([1.0, 2.0])
    a, b = Both.apply(x)
    a.register_hook(tenfold)
    return library.autograd.grad(a.sum() + b.sum(), [a, b], retain_graph=True), library.autograd.grad(
        a.sum() + b.sum(), [x])


def told(story: Story, library: Any) -> Any:
    def leaf(values: list[float]) -> Any:
        if library is kernelforge:
            return Tensor(values, requires_grad=True)
        return library.tensor(values, requires_grad=True)

    return _plain(story(library, leaf))


def _plain(found: Any) -> Any:
    if isinstance(found, list | tuple):
        return [_plain(one) for one in found]
    return found.tolist() if hasattr(found, "tolist") else found


@pytest.mark.parametrize("story", [
    of_what_is_between, of_a_leaf, of_what_leads_nowhere, of_outputs, of_what_is_retained, of_backward,
    of_what_a_function_is_given, of_one_of_two_results,
])  # fmt: skip
def test_hooks_are_called_as_in_torch(story: Story) -> None:
    assert told(story, kernelforge) == told(story, torch)


def test_an_input_that_is_not_used() -> None:
    x, w = Tensor([1.0], requires_grad=True), Tensor([1.0], requires_grad=True)
    found = kernelforge.autograd.grad((x * 2).sum(), [x, w], allow_unused=True)
    assert found[1] is None and found[0] is not None and found[0].tolist() == [2]
    with pytest.raises(RuntimeError, match=r"input 1 of shape \(1,\): the outputs do not depend on it"):
        kernelforge.autograd.grad((x * 2).sum(), [x, w])
