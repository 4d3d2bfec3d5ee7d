"""Operations on two operands are the same whether C makes them or Python does: values, types, errors, gradients."""

import itertools
import warnings
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest

from kernelforge import Context, Tensor, calls
from kernelforge.calls import memory_forms
from kernelforge.graph import toposort
from kernelforge.native import compiled
from kernelforge.node import Node
from kernelforge.structure import structure
from kernelforge.tensor import core

pytestmark = pytest.mark.skipif(compiled is None, reason="there is no C module to compare with")

OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "%": lambda a, b: a % b,
    "**": lambda a, b: a**b,
    "&": lambda a, b: a & b,
    "<<": lambda a, b: a << b,
    ">>": lambda a, b: a >> b,
    "<": lambda a, b: a < b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "maximum": lambda a, b: a.maximum(b),
    "reversed -": lambda a, b: a.sub(b, reverse=True),
    "reversed /": lambda a, b: a.div(b, reverse=True),
    "reversed %": lambda a, b: a.mod(b, reverse=True),
}
VALUES = np.array([[3, 1, 2], [0, 5, 1]])
KINDS = ["float32", "float16", "float64", "int32", "uint8", "bool", "complex64"]


def operands(kind: str) -> list[Any]:
    """What may stand beside a tensor of a type; tensors are there, so that equal graphs are the same nodes."""
    numbers = [2, 0, -1, 300, 2.5, 0.0, -0.0, float("inf"), True, 1j, np.float32(2), np.int64(2), VALUES]
    shapes = [VALUES, VALUES[0], VALUES[:, :1], VALUES[0, 0]]
    tensors = [Tensor(np.array(x), dtype=dtype) for x in shapes for dtype in (kind, "float32", "int32")]
    return [*numbers, *[x.realize() for x in tensors]]


def outcome(work: Callable[[Any, Any], Any], a: Any, b: Any) -> tuple[object, ...]:
    """What an operation gives, with its graph of plain operations, or why it gives nothing."""
    try:
        found = work(a, b)
    except Exception as error:
        return type(error), str(error).splitlines()[0]
    return found.dtype, found.shape, found.requires_grad, calls.expanded([found._node])[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", OPERATIONS)
def test_operands_of_all_kinds(name: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    a, others = Tensor(VALUES, dtype=kind).realize(), operands(kind)
    if kind in ("float32", "float64"):
        a.requires_grad_(True)

    def plainly(self: Any, op: str, other: Any, reverse: bool) -> Any:
        return (self._combined if isinstance(other, Tensor) else self._any_arithmetic)(op, other, reverse)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(2):  # the second time, by what is remembered of the first
            found = [outcome(OPERATIONS[name], a, b) for b in others]
        monkeypatch.setattr(Tensor, "_arithmetic", plainly)
        wanted = [outcome(OPERATIONS[name], a, b) for b in others]
    assert all(map(alike, found, wanted))


def alike(found: tuple[object, ...], wanted: tuple[object, ...]) -> bool:
    """Whether outcomes are the same; arrays beside tensors are in buffers of their own each time."""
    node = found[-1]
    if not isinstance(node, Node) or not any(x.op == "buffer" for x in toposort([node])[1:]):
        return found[:-1] == wanted[:-1] and forms(node) == forms(wanted[-1])
    return found[:-1] == wanted[:-1] and structure([node]).key == structure([cast(Node, wanted[-1])]).key


def forms(value: object) -> object:
    """A node as plans have it, in which equal ones are one."""
    return memory_forms([value]) if isinstance(value, Node) else value


def test_numbers_beside_integers_are_those_of_their_type() -> None:
    x = Tensor([1, 2], dtype="uint8")
    for _ in range(2):
        assert (x + 255).dtype is (x + 1).dtype is x.dtype
        assert (x + 255).tolist() == [0, 1]
        assert (x + 0.5).tolist() == [1.5, 2.5]
        with pytest.raises(TypeError, match="256 does not fit"):
            x + 256


def test_broadcasting_is_known_by_both_shapes_and_both_orders() -> None:
    rows, row = Tensor([[1.0, 2.0], [3.0, 5.0]]), Tensor([2.0, 4.0])
    for _ in range(3):
        assert (rows - row).tolist() == [[-1.0, -2.0], [1.0, 1.0]]
        assert (row - rows).tolist() == [[1.0, 2.0], [-1.0, -1.0]]
        assert (rows > row).tolist() == [[False, False], [True, True]]
        assert (row > rows).tolist() == [[True, True], [False, False]]
    assert "sub" in core.broadcasts[False] and "lt" in core.broadcasts[True]


def test_comparisons_have_no_gradient_and_quotients_have() -> None:
    x, row = Tensor([[1.0, 2.0]], requires_grad=True), Tensor([3.0, 4.0])
    for other in (row, 2, x):
        for _ in range(2):
            assert (x / other).requires_grad and not (x < other).requires_grad and not (x == other).requires_grad


@pytest.mark.parametrize("make", [lambda: Tensor.arange(7), lambda: Tensor.eye(3), lambda: Tensor.linspace(0, 1, 5)])
def test_what_is_made_of_nothing_is_on_the_default_device(make: Callable[[], Tensor]) -> None:
    wanted = make().numpy()
    for device in ("CPU", "NUMPY", "CPU"):
        with Context(DEVICE=device):
            for _ in range(8):
                found = make().realize()
                assert found.device == device and found._stored is not None and found._stored.device == device
                assert np.array_equal(found.numpy(), wanted)


def test_arrays_from_the_host_are_taken_by_functions_in_c() -> None:
    for number, dtype in itertools.product(range(8), ("float32", "int32")):
        values = np.array([number, 2, 3], dtype)
        x = Tensor(values)
        assert np.array_equal((x + x).realize().numpy(), values + values)
        assert np.array_equal((x + Tensor(values * 2)).realize().numpy(), values * 3)
        assert np.array_equal(x.numpy(), values)
