"""Gradient rules, alone and put together, against finite differences in float64: first and second derivatives."""

import random
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from codegen.dtypes import DType, dtypes
from codegen.ops import SCALAR_OPS
from kernelforge import graph
from kernelforge.blame import current_line
from kernelforge.buffer import Buffer
from kernelforge.errors import DTypeError, ShapeError
from kernelforge.grad import gradient
from kernelforge.grad.table import RULES
from kernelforge.graph import Node, elementwise
from tests.evaluate import evaluate
from tests.random_graphs import Options, random_graph

Build = Callable[..., Node]
STEP = 1e-6


def leaf(values: NDArray, dtype: DType = dtypes.float64) -> Node:
    values = np.asarray(values)
    return graph.reshape(graph.buffer(Buffer.from_numpy(values, dtype, "CPU")), values.shape)


def buffer_of(x: Node) -> Buffer:
    return x.attr if x.op == "buffer" else buffer_of(x.src[0])


def numeric(output: Node, dy: NDArray, x: Node) -> NDArray:
    """Central differences of sum(output * dy) by the elements of a leaf."""
    stored = buffer_of(x).host
    result = np.zeros(x.size)
    for i in range(x.size):
        value = stored[i]
        sides = []
        for step in (STEP, -STEP):
            stored[i] = value + step
            sides.append(np.sum(evaluate(output) * dy))
        stored[i] = value
        result[i] = (sides[0] - sides[1]) / (2 * STEP)
    return result.reshape(x.shape)


def check(build: Build, *arrays: NDArray, order: int = 2) -> None:
    """Compares the gradients of build(leaves), and those of its gradients, with finite differences."""
    rng = np.random.default_rng(len(arrays) + arrays[0].size)
    leaves = [leaf(a) for a in arrays]
    output = build(*leaves)
    while order:
        dy = rng.uniform(0.5, 1.5, output.shape)
        found = gradient(output, leaf(dy), leaves)
        total = graph.const(0.0, dtypes.float64)
        for x, g in zip(leaves, found):
            expected = numeric(output, dy, x)
            largest = max(1, np.abs(expected).max(initial=0))
            if g is None:
                np.testing.assert_allclose(expected, 0, atol=1e-6 * largest)
                continue
            assert g.shape == x.shape and g.dtype is x.dtype
            np.testing.assert_allclose(evaluate(g), expected, rtol=1e-5, atol=1e-6 * largest)
            weighted = elementwise("mul", g, leaf(rng.uniform(0.5, 1.5, x.shape)))
            total = elementwise("add", total, graph.reduce("add", weighted, tuple(range(len(x.shape)))))
        output, order = total, order - 1


def square(x: Node) -> Node:
    return elementwise("mul", x, x)


def spread(*shape: int, low: float = -2, high: float = 2, seed: int = 0) -> NDArray:
    """Distinct values, none near another."""
    count = int(np.prod(shape))
    values = np.linspace(low, high, count + 2)[1:-1] if count else np.zeros(0)
    return np.random.default_rng(seed).permutation(values).reshape(shape)


# ------------------------------------------------------------------------------------------------ the rules

POSITIVE = {"log", "log2", "log1p", "sqrt", "rsqrt", "pow", "div", "mod"}
LOWEST = dict.fromkeys(POSITIVE, 0.3) | {"acosh": 1.3}  # of operands; -2 elsewhere
SCALARS = sorted(name for name, row in SCALAR_OPS.items() if name in RULES and row.rule == "same")


def test_every_float_operation_has_a_rule_or_is_piecewise_constant() -> None:
    floats = {name for name, row in SCALAR_OPS.items() if "f" in row.kinds and row.rule != "compare"}
    assert floats - set(RULES) == {"floor", "ceil", "trunc", "round", "bitcast"}


@pytest.mark.parametrize("name", SCALARS)
def test_scalar_operations(name: str) -> None:
    low = LOWEST.get(name, -2)
    operands = [spread(7, low=low, seed=i) + 0.03 + 0.01 * i for i in range(SCALAR_OPS[name].arity)]
    if name in ("asin", "acos"):
        operands = [np.tanh(x) for x in operands]
    check(lambda *x: elementwise(name, *x), *operands)


def test_where() -> None:
    condition = leaf(np.array([True, False, True, True]), dtypes.bool)
    build: Build = lambda a, b: elementwise("where", condition, square(a), elementwise("sin", b))  # noqa: E731
    check(build, spread(4), spread(4))


def test_power_of_zero_base_and_zero_exponent() -> None:
    base, exponent = leaf(np.array([0.0, 0.0, 2.0])), leaf(np.array([2.0, 0.0, 0.0]))
    da, db = gradient(elementwise("pow", base, exponent), None, [base, exponent])
    np.testing.assert_array_equal(evaluate(da), [0, 0, 0])
    np.testing.assert_allclose(evaluate(db), [0, 0, np.log(2)])


@pytest.mark.parametrize("name", ["max", "min"])
def test_equal_operands_share(name: str) -> None:
    a, b = leaf(np.array([1.0, 2.0, 3.0])), leaf(np.array([1.0, 3.0, 2.0]))
    da, db = gradient(elementwise(name, a, b), None, [a, b])
    assert evaluate(da).tolist() == ([0.5, 0, 1] if name == "max" else [0.5, 1, 0])
    assert evaluate(db).tolist() == ([0.5, 1, 0] if name == "max" else [0.5, 0, 1])


VIEWS: dict[str, Build] = {
    "reshape": lambda x: graph.reshape(x, (2, 3, 4)),
    "permute": lambda x: graph.permute(graph.reshape(x, (2, 3, 4)), (2, 0, 1)),
    "expand": lambda x: graph.expand(graph.reshape(x, (4, 1, 6)), (4, 3, 6)),
    "pad": lambda x: graph.pad(x, ((1, 0), (2, 1))),
    "shrink": lambda x: graph.shrink(x, ((1, 3), (0, 5))),
    "flip": lambda x: graph.flip(x, (1,)),
    "window": lambda x: graph.window(x, 1, 3),
    "window with stride": lambda x: graph.window(x, 1, 2, 3, 1),
    "window with dilation": lambda x: graph.window(x, 1, 2, 1, 3),
    "unwindow": lambda x: graph.unwindow(x, 0, 9),
    "unwindow with stride": lambda x: graph.unwindow(x, 0, 20, 2, 3),
    "unwindow, cut": lambda x: graph.unwindow(x, 0, 5, 2, 1),
    "contiguous": graph.contiguous,
}


@pytest.mark.parametrize("name", VIEWS)
def test_views(name: str) -> None:
    check(lambda x: VIEWS[name](square(x)), spread(4, 6))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize("op", ["add", "mul", "max", "min"])
def test_scans(op: str, dim: int, reverse: bool) -> None:
    check(lambda x: graph.scan(op, elementwise("exp", x), dim, reverse), spread(4, 5))


def test_a_running_product_with_zeros() -> None:
    x = spread(3, 6)
    x[0, 2] = x[1, 0] = x[1, 5] = x[2, 1] = x[2, 3] = 0
    check(lambda x: graph.scan("mul", x, 1), x, order=1)
    check(lambda x: graph.scan("mul", x, 1, reverse=True), x, order=1)


def test_a_running_maximum_hands_its_cotangent_to_the_last_of_equals() -> None:
    x = leaf(np.array([1.0, 3.0, 2.0, 3.0, np.nan, 4.0]))
    (dx,) = gradient(graph.scan("max", x, 0), leaf(np.array([1.0, 2, 3, 4, 5, 6])), [x])
    assert evaluate(dx).tolist() == [1, 5, 0, 4, 11, 0]


def test_the_adjoint_of_an_unwindow_below_a_sum_is_a_window() -> None:
    x = leaf(spread(4, 3))
    (dx,) = gradient(graph.reduce("add", graph.unwindow(x, 0, 6), (1,)), leaf(spread(6)), [x])
    assert not any(node.op in ("reduce", "eq") for node in graph.toposort([dx]))
    check(lambda x: graph.reduce("add", graph.unwindow(x, 0, 4), (1,)), spread(4, 3))


def convolution(x: Node, w: Node) -> Node:
    """[4, 6] windows of [3, 2] with strides 1 and 2, times weights."""
    places = graph.window(graph.window(x, 0, 3), 2, 2, 2)
    weights = graph.expand(graph.reshape(w, (1, 3, 1, 2)), places.shape)
    return graph.reduce("add", elementwise("mul", places, weights), (1, 3))


def test_a_convolution() -> None:
    check(lambda x, w: convolution(square(x), square(w)), spread(4, 6), spread(3, 2))


@pytest.mark.parametrize("dtype", [dtypes.float32, dtypes.bfloat16])
def test_the_second_derivative_of_a_convolution_is_made_of_windows(dtype: DType) -> None:
    x, w, v = leaf(spread(4, 6), dtype), leaf(spread(3, 2), dtype), leaf(spread(4, 6), dtype)
    (dx,) = gradient(convolution(x, w), leaf(spread(2, 3), dtype), [x])
    (dw,) = gradient(dx, v, [w])
    assert "unwindow" in {node.op for node in graph.toposort([dx])}
    assert "eq" not in {node.op for node in graph.toposort([dw])}


@pytest.mark.parametrize("axes", [(0,), (1,), (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("op", ["add", "mul", "max", "min"])
def test_reductions(op: str, axes: tuple[int, ...]) -> None:
    check(lambda x: graph.reduce(op, square(x), axes), spread(2, 3, 2, low=-1.5))


@pytest.mark.parametrize("zeros", [0, 1, 2])
@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_products_with_zeros(size: int, zeros: int) -> None:
    values = spread(2, size)
    values[1, :zeros] = 0
    check(lambda x: graph.reduce("mul", x, (1,)), values)


def test_equal_extrema_share() -> None:
    x = leaf(np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]]))
    (dx,) = gradient(graph.reduce("max", x, (1,)), leaf(np.array([4.0, 6.0])), [x])
    assert evaluate(dx).tolist() == [[0, 2, 2], [2, 2, 2]]


INDEX = np.array([[0, 2, 1], [2, 2, 0], [1, 0, 0]])


def test_gather() -> None:
    check(lambda x: graph.gather(square(x), leaf(INDEX, dtypes.int32), 0), spread(3, 4))


@pytest.mark.parametrize("mode", ["add", "mul", "max", "min"])
def test_scatter(mode: str) -> None:
    index = leaf(INDEX, dtypes.int64)
    build: Build = lambda base, x: graph.scatter(square(base), index, square(x), 0, mode)  # noqa: E731
    check(build, spread(4, 3), spread(3, 3, seed=1) + 0.03)


def test_zeros_in_a_scattered_product() -> None:
    """A lone zero has the product of the others as its slope, two zeros have none."""
    index = leaf(np.array([0, 0, 1, 1, 2]), dtypes.int32)
    x, base = leaf(np.array([0.0, 3.0, 0.0, 0.0, 5.0])), leaf(np.array([2.0, 3.0, 0.0]))
    y = graph.scatter(base, index, x, 0, "mul")
    dx, dbase = gradient(y, leaf(np.array([1.0, 10.0, 100.0])), [x, base])
    assert evaluate(dx).tolist() == [6, 0, 0, 0, 0]
    assert evaluate(dbase).tolist() == [0, 0, 500]


def test_the_gradient_of_a_surrogate() -> None:
    """The value is the first's, the slope the second's."""
    x = leaf(np.array([2.0, 3.0]))
    y = graph.surrogate(elementwise("mul", x, x), elementwise("neg", x))
    assert evaluate(y).tolist() == [4, 9]
    (dx,) = gradient(y, None, [x])
    assert evaluate(dx).tolist() == [-1, -1]


def test_scatter_that_replaces() -> None:
    index = leaf(np.array([[2, 0], [1, 3]]), dtypes.int32)
    check(lambda base, x: graph.scatter(square(base), index, square(x), 1, "set"), spread(2, 5), spread(2, 2))


# -------------------------------------------------------------------------------------------------- the walk


def test_cotangents_from_several_users_add_up() -> None:
    def build(x: Node) -> Node:
        users = [elementwise("mul", x, graph.full(x.shape, float(i), x.dtype)) for i in range(1, 6)]
        total = users[0]
        for user in users[1:]:
            total = elementwise("add", total, elementwise("sin", user))
        return total

    check(build, spread(3))


def test_no_gradient_passes_detach_integers_and_rounding() -> None:
    x = leaf(spread(4))
    for y in (graph.detach(x), graph.cast(graph.cast(x, dtypes.int32), dtypes.float64), elementwise("floor", x)):
        assert gradient(elementwise("add", y, leaf(spread(4))), None, [x]) == [None]


def test_targets_inside_the_graph_and_the_output_itself() -> None:
    x = leaf(spread(3))
    y = elementwise("exp", x)
    z = elementwise("mul", y, y)
    dx, dy, dz, other = gradient(z, None, [x, y, z, leaf(spread(3))])
    np.testing.assert_allclose(evaluate(dy), 2 * evaluate(y))
    np.testing.assert_allclose(evaluate(dx), 2 * evaluate(z))
    assert evaluate(dz).tolist() == [1, 1, 1] and other is None


def test_narrow_floats_are_added_up_in_float32() -> None:
    x = leaf(np.array([1.0]), dtypes.bfloat16)
    wide = graph.expand(x, (1000,))
    (dx,) = gradient(wide, None, [x])
    assert dx.dtype is dtypes.bfloat16 and evaluate(dx).tolist() == [1000]


def test_nodes_of_the_gradient_belong_to_the_line_of_their_node() -> None:
    x = leaf(spread(3))
    with graph.user_line(("model.py", 7)):
        y = elementwise("tanh", x)
    (dx,) = gradient(y, leaf(spread(3)), [x])
    assert dx.line == ("model.py", 7) and current_line.get() is None


def test_a_deep_graph() -> None:
    x = y = leaf(np.array([0.5]))
    for _ in range(10_000):
        y = elementwise("neg", y)
    (dx,) = gradient(y, None, [x])
    assert evaluate(dx).tolist() == [1]


def test_only_the_way_to_the_targets_is_differentiated() -> None:
    x, w = leaf(spread(3)), leaf(spread(3, seed=1))
    y = elementwise("mul", elementwise("tanh", x), w)
    (dw,) = gradient(y, None, [w])
    assert elementwise("tanh", x) in graph.toposort([dw])
    assert len([node for node in graph.toposort([dw]) if node.op == "mul"]) == 1


@pytest.mark.parametrize(
    ("output", "cotangent", "error", "words"),
    [
        (leaf(np.arange(3), dtypes.int32), None, DTypeError, "cast it first"),
        (leaf(spread(3)), leaf(spread(4)), ShapeError, r"\(3,\).*\(4,\)"),
        (leaf(spread(3)), leaf(spread(3), dtypes.float32), DTypeError, "float64.*float32"),
    ],
)
def test_errors(output: Node, cotangent: Node | None, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        gradient(output, cotangent, [output])


@given(st.integers(0, 2**32 - 1))
def test_random_graphs(seed: int) -> None:
    kinds = (dtypes.float64, dtypes.float64, dtypes.int32, dtypes.bool)
    families = ("elementwise", "view", "reduce", "cast", "index")
    output = random_graph(random.Random(seed), Options(dtypes=kinds, families=families, elements=60))[0]
    if not output.dtype.is_float or not output.size:
        return
    rng = np.random.default_rng(seed)
    leaves = [x for x in graph.toposort([output]) if x.op == "buffer" and x.dtype is dtypes.float64]
    for x in leaves:
        x.attr.host[:] += rng.uniform(-0.1, 0.1, x.size)
    dy = rng.uniform(0.5, 1.5, output.shape)
    for x, found in zip(leaves, gradient(output, leaf(dy), leaves)):
        expected = numeric(output, dy, x)
        actual = np.zeros(x.shape) if found is None else evaluate(found)
        assume(np.isfinite(actual).all())  # else a slope on the way is infinite, as acos's at 1
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-3 + 1e-4 * np.abs(expected).max(initial=0))
