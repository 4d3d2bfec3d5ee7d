"""Nodes: identity, shapes and dtypes, errors, order, and what creating and freeing them costs."""

import gc
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given

from codegen.dtypes import ALL, dtypes
from codegen.ops import SCALAR_OPS
from kernelforge import graph
from kernelforge.buffer import Buffer
from kernelforge.errors import DeviceError, DTypeError, ShapeError
from kernelforge.graph import Node, elementwise
from tests.evaluate import evaluate
from tests.random_graphs import graphs


def leaf(*shape: int, dtype=dtypes.float32, device: str = "CPU") -> Node:
    values = np.arange(int(np.prod(shape))).reshape(shape)
    return graph.reshape(graph.buffer(Buffer.from_numpy(values, dtype, device)), shape)


# -------------------------------------------------------------------------------------------------- identity


def test_equal_nodes_are_one_object() -> None:
    x = leaf(3, 4)
    assert elementwise("add", x, x) is elementwise("add", x, x)
    assert graph.permute(x, (1, 0)) is graph.permute(x, (1, 0))
    assert graph.reduce("max", x, (0,)) is not graph.reduce("add", x, (0,))
    assert leaf(3, 4) is not x


def test_constants_differ_by_bits_and_dtype() -> None:
    values = [0.0, -0.0, float("nan"), float("inf"), 1.0, 0.1]
    nodes = [graph.const(v, dtypes.float32) for v in values]
    assert len(set(nodes)) == len(nodes)
    assert nodes == [graph.const(v, dtypes.float32) for v in values]
    ones = [graph.const(1, d) for d in ALL]
    assert len(set(ones)) == len(ALL)
    assert [type(c.attr) for c in ones] == [{"b": bool, "f": float}.get(d.kind, int) for d in ALL]


def test_constants_hold_the_value_their_dtype_holds() -> None:
    assert graph.const(-1, dtypes.uint8).attr == 255 and graph.const(200, dtypes.int8).attr == -56
    assert graph.const(0.1, dtypes.float32) is graph.const(float(np.float32(0.1)), dtypes.float32)
    assert graph.const(1 + 2.0**-9, dtypes.bfloat16) is graph.const(1, dtypes.bfloat16)
    assert graph.const(1e6, dtypes.float16).attr == float("inf")
    assert graph.const(1e300, dtypes.float64).attr == 1e300 and graph.const(2**63, dtypes.uint64).attr == 2**63


def test_the_line_is_no_part_of_the_identity() -> None:
    x = leaf(2)
    with graph.user_line(("a.py", 1)):
        y = elementwise("exp", x)
    with graph.user_line(("b.py", 2)):
        assert elementwise("exp", x) is y
    assert y.line == ("a.py", 1) and elementwise("log", x).line is None


def test_nodes_are_forgotten_with_their_last_user() -> None:
    gc.collect()
    before = len(graph.alive())
    x = leaf(3)
    y = elementwise("sin", x)
    assert len(graph.alive()) == before + 2
    del x, y
    assert len(graph.alive()) == before


FORGETTING = """
from codegen.dtypes import dtypes
from kernelforge import graph
from kernelforge.interning import SWEPT_FROM, entries, node_of
from tests.test_graph import leaf
x = leaf(3)
for number in range(5 * SWEPT_FROM):
    node_of("reshape", (x,), (number,), (3,), dtypes.float32)
assert entries() <= SWEPT_FROM + 1, entries()
assert node_of("reshape", (x,), (3, 1), (3, 1), dtypes.float32) is graph.reshape(x, (3, 1))
"""


def test_the_table_of_nodes_does_not_grow_with_what_is_forgotten() -> None:
    # a process of its own: the table has room for twice the nodes there have ever been
    subprocess.run([sys.executable, "-c", FORGETTING], cwd=Path(__file__).parents[1], check=True)


def test_a_long_chain_is_freed_without_recursion() -> None:
    gc.collect()
    before = len(graph.alive())
    x = leaf(2)
    for _ in range(50_000):
        x = elementwise("neg", x)
    assert len(graph.alive()) == before + 50_001
    del x
    assert len(graph.alive()) == before


def test_threads_agree_on_nodes() -> None:
    x = leaf(2)
    made: list[list[Node]] = []

    def work() -> None:
        nodes = [elementwise("add", x, graph.full((2,), i % 50, dtypes.float32)) for i in range(2000)]
        made.append(nodes[:50])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 4 and all(len(nodes) == 50 for nodes in made)
    assert all(evaluate(node).tolist() == [i, i + 1] for nodes in made for i, node in enumerate(nodes))


def calls_of(make: Callable[[], object]) -> int:
    """How many functions, of Python or C, making something calls."""
    seen: list[str] = []
    before = sys.getprofile()
    sys.setprofile(lambda frame, event, what: seen.append(event))
    try:
        make()
    finally:
        sys.setprofile(before)
    return sum(event.endswith("call") for event in seen)


def test_creating_a_node_takes_a_few_calls_however_deep_the_graph_is() -> None:
    shallow, deep, other = leaf(3, 4), leaf(3, 4), leaf(3, 4)
    for _ in range(1000):
        deep = elementwise("neg", deep)
    kept = [elementwise("add", x, x) for x in (shallow, deep, other)]  # what was asked for shapes and types is known
    new = [calls_of(lambda x=x: elementwise("mul", x, x)) for x in (other, shallow, deep)]  # type: ignore[misc]
    known = [calls_of(lambda x=x: elementwise("add", x, x)) for x in (shallow, deep)]  # type: ignore[misc]
    assert len(kept) == 3 and known[0] == known[1] <= new[1] == new[2] <= 20


# ---------------------------------------------------------------------------------------- shapes and dtypes


def test_shapes() -> None:
    x = leaf(2, 3, 4)
    ten = Buffer(10, dtypes.int8, "CPU")
    assert graph.buffer(ten).shape == (10,) and graph.buffer(ten, (2, 5)).shape == (2, 5)
    assert graph.buffer(ten) is graph.buffer(ten, (10,)) is not graph.buffer(ten, (5, 2))
    assert graph.iota(7).shape == (7,) and graph.iota(7).dtype is dtypes.int32
    assert graph.full((2, 3), 1, dtypes.int8).shape == (2, 3) and graph.full((), 1, dtypes.int8).op == "const"
    assert graph.permute(x, (2, 0, 1)).shape == (4, 2, 3)
    assert graph.pad(x, ((1, 0), (0, 0), (2, 3))).shape == (3, 3, 9)
    assert graph.shrink(x, ((0, 1), (1, 3), (2, 2))).shape == (1, 2, 0)
    assert graph.window(x, 2, 2, 2, 1).shape == (2, 3, 2, 2) and graph.window(x, 1, 4).shape == (2, 0, 4, 4)
    assert graph.unwindow(x, 0, 9).shape == (9, 3, 4)
    single = graph.window(x, 1, 1)
    assert graph.unwindow(single, 1, 3) is single
    assert graph.unwindow(single, 1, 5) is graph.pad(single, ((0, 0), (0, 2), (0, 0), (0, 0)))
    assert graph.reduce("add", x, (0, 2)).shape == (3,)
    index = leaf(1, 5, 2, dtype=dtypes.int32)
    assert graph.gather(x, index, 1).shape == (1, 5, 2)
    assert graph.scatter(x, index, leaf(1, 5, 2), 1, "add").shape == (2, 3, 4)


def test_identities_return_their_source() -> None:
    x = leaf(2, 1, 4)
    for same in (
        graph.reshape(x, (2, 1, 4)), graph.permute(x, (0, 1, 2)), graph.expand(x, (2, 1, 4)),
        graph.pad(x, ((0, 0),) * 3), graph.shrink(x, ((0, 2), (0, 1), (0, 4))), graph.flip(x, ()),
        graph.cast(x, dtypes.float32), graph.bitcast(x, dtypes.float32), graph.reduce("add", x, ()),
        graph.copy(x, "CPU"),
    ):  # fmt: skip
        assert same is x
    stored = graph.contiguous(x)
    assert graph.contiguous(stored) is stored and graph.detach(graph.detach(x)) is graph.detach(x)


def test_dtypes() -> None:
    x, y = leaf(3), leaf(3, dtype=dtypes.int32)
    assert elementwise("lt", x, x).dtype is dtypes.bool
    assert elementwise("where", elementwise("lt", x, x), y, y).dtype is dtypes.int32
    assert graph.cast(x, dtypes.int8).dtype is dtypes.int8 and graph.bitcast(x, dtypes.int32).dtype is dtypes.int32


X, I = leaf(2, 3), leaf(2, 3, dtype=dtypes.int32)  # noqa: E741


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: graph.reshape(X, (4,)), ShapeError, "6 elements cannot fill 4"),
        (lambda: graph.expand(X, (2, 6)), ShapeError, "size 1 expand"),
        (lambda: graph.expand(X, (2, 2, 3)), ShapeError, "rank"),
        (lambda: elementwise("add", X, leaf(3, 2)), ShapeError, r"\(2, 3\), \(3, 2\)"),
        (lambda: elementwise("add", X, I), DTypeError, "float32, int32: cast"),
        (lambda: elementwise("exp", I), DTypeError, "int32"),
        (lambda: elementwise("add", X), DTypeError, "takes 2"),
        (lambda: elementwise("where", X, X, X), DTypeError, "must be bool"),
        (lambda: graph.bitcast(X, dtypes.int16), DTypeError, "same width"),
        (lambda: graph.reduce("xor", X, (0,)), DTypeError, "xor is not defined for float32"),
        (lambda: graph.gather(X, X, 0), DTypeError, "int32 or int64"),
        (lambda: graph.gather(X, leaf(5, 4, dtype=dtypes.int32), 0), ShapeError, "no larger"),
        (lambda: graph.gather(X, leaf(2, dtype=dtypes.int32), 0), ShapeError, "ranks"),
        (lambda: graph.scatter(X, I, leaf(2, 2), 0, "add"), ShapeError, "must be equal"),
        (lambda: graph.scatter(X, I, I, 0, "add"), DTypeError, "int32 into float32"),
        (lambda: elementwise("add", X, leaf(2, 3, device="CUDA")), DeviceError, r"CPU and CUDA.*\.to\('CPU'\)"),
    ],
)
def test_errors(make: Callable[[], Node], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make()


def test_devices() -> None:
    x, one = leaf(2), graph.full((2,), 1, dtypes.float32)
    assert one.device is None and elementwise("add", one, x).device == "CPU"
    there = graph.copy(x, "CUDA")
    assert there.device == "CUDA" and graph.copy(there, "CUDA") is there
    assert elementwise("add", there, one).device == "CUDA" and graph.copy(one, "CUDA").device == "CUDA"
    assert elementwise("where", elementwise("lt", one, one), one, x).device == "CPU"


# ------------------------------------------------------------------------------------------------------ order


@given(graphs())
def test_toposort_lists_sources_first_and_once(outputs: list[Node]) -> None:
    order = graph.toposort(outputs)
    place = {node: i for i, node in enumerate(order)}
    assert len(place) == len(order) and set(outputs) <= set(place)
    assert all(place[x] < place[node] for node in order for x in node.src)


def test_toposort_can_stop_at_realized_nodes() -> None:
    x = leaf(2)
    y = elementwise("exp", x)
    z = elementwise("mul", y, x)
    y.realized = Buffer(2, dtypes.float32, "CPU")
    assert graph.toposort([z], into_realized=False) == [y, x, z]
    assert y in graph.toposort([z])


@given(graphs())
def test_rebuilding_from_the_same_operation_gives_the_same_node(outputs: list[Node]) -> None:
    for node in graph.toposort(outputs):
        if node.op in graph.LEAVES:
            continue
        stand_ins = tuple(graph.contiguous(x) if x.op != "buffer" else x for x in node.src)
        again = graph.rebuild(node, stand_ins)
        assert (again.op, again.shape, again.dtype) == (node.op, node.shape, node.dtype) or node.op == "contiguous"
        assert graph.rebuild(again, node.src) is node


# -------------------------------------------------------------------------------------------------- reference


def test_the_evaluator_rounds_each_node_to_its_dtype() -> None:
    x = graph.full((4,), 256.0, dtypes.bfloat16)
    assert evaluate(elementwise("add", x, graph.full((4,), 1.0, dtypes.bfloat16))).tolist() == [256.0] * 4
    assert evaluate(graph.reduce("add", graph.full((300,), 1.0, dtypes.float16), (0,))) == 300
    assert evaluate(graph.reduce("add", graph.full((300,), 1, dtypes.uint8), (0,))) == 44


def test_the_evaluator_refuses_indices_out_of_range() -> None:
    with pytest.raises(IndexError, match="-1"):
        evaluate(graph.gather(X, graph.full((2, 3), -1, dtypes.int32), 0))


@pytest.mark.parametrize("op", ["add", "mul", "max", "min"])
def test_reductions_of_nothing_are_the_identity(op: str) -> None:
    found = evaluate(graph.reduce(op, leaf(0, 2), (0,)))
    assert found.tolist() == [{"add": 0, "mul": 1, "max": -np.inf, "min": np.inf}[op]] * 2


def test_every_scalar_operation_can_be_built() -> None:
    for name, row in SCALAR_OPS.items():
        if row.rule in ("cast", "bitcast"):
            continue
        for dtype in (d for d in ALL if d.kind in row.kinds):
            x = graph.full((2,), 1, dtype)
            operands = [x] * row.arity
            if row.rule == "where":
                operands[0] = graph.full((2,), True, dtypes.bool)
            node = elementwise(name, *operands)
            assert node.dtype is (dtypes.bool if row.rule == "compare" else dtype) and evaluate(node).shape == (2,)
