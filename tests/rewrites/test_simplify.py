"""Simplification: every rule does what its docstring says, and random graphs keep their values."""

import random
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.dtypes import ALL, DType, dtypes, from_storage, to_storage
from kernelforge import graph
from kernelforge.blame import current_line
from kernelforge.buffer import Buffer
from kernelforge.graph import Node, full
from kernelforge.graph import elementwise as op
from kernelforge.rewrites import simplify
from tests.effort import effort
from tests.evaluate import evaluate, evaluate_all
from tests.random_graphs import Options, graphs, random_graph, tolerance

F, I32, B = dtypes.float32, dtypes.int32, dtypes.bool


@cache
def leaf(*shape: int, dtype: DType = F, seed: int = 0) -> Node:
    values = np.random.default_rng(seed).integers(-3, 4, shape)
    values = values > 0 if dtype is B else values
    return graph.reshape(graph.buffer(Buffer.from_numpy(values, dtype, "CPU")), shape)


X, Y = leaf(3, 4), leaf(3, 4, seed=1)
N, C = leaf(3, 4, dtype=I32), leaf(3, 4, dtype=B)
EMPTY = graph.shrink(X, ((0, 3), (2, 2)))


def one(node: Node) -> Node:
    return simplify.simplify([node])[0]


def k(value: float, like: Node = X) -> Node:
    return full(like.shape, value, like.dtype)


# Rule -> pairs of graphs, before and after.
EXAMPLES: dict[str, list[tuple[Node, Node]]] = {
    "_no_elements": [
        (op("exp", EMPTY), full((3, 0), 0, F)),
        (graph.pad(EMPTY, ((1, 0), (0, 0))), full((4, 0), 0, F)),
        (graph.contiguous(graph.reduce("add", leaf(0, 3), (1,))), full((0,), 0, F)),
    ],
    "_of_no_elements": [
        (graph.reduce("max", EMPTY, (1,)), full((3,), float("-inf"), F)),
        (graph.reduce("mul", leaf(2, 0, dtype=I32), (1,)), full((2,), 1, I32)),
        (graph.pad(EMPTY, ((0, 0), (1, 2))), full((3, 3), 0, F)),
        (graph.unwindow(leaf(0, 3), 0, 5), full((5, 3), 0, F)),
    ],
    "_scatter_of_no_elements": [(graph.scatter(X, full((0, 4), 0, I32), leaf(0, 4), 0, "add"), X)],
    "_operation_on_constants": [
        (op("add", k(2), k(3)), k(5)),
        (op("lt", k(2), k(3)), full((3, 4), True, B)),
        (op("where", full((3, 4), True, B), k(2), k(3)), k(2)),
        (op("add", full((), 127, dtypes.int8), full((), 1, dtypes.int8)), full((), -128, dtypes.int8)),
        (op("floordiv", k(7, N), k(0, N)), k(0, N)),
        (graph.cast(k(2.75), I32), full((3, 4), 2, I32)),
        (graph.cast(k(0.5), B), full((3, 4), True, B)),
        (graph.bitcast(k(1.0), I32), full((3, 4), 0x3F800000, I32)),
        (graph.bitcast(full((2,), 0x3F80, dtypes.uint16), dtypes.bfloat16), full((2,), 1, dtypes.bfloat16)),
        (op("add", full((), 256, dtypes.bfloat16), full((), 1, dtypes.bfloat16)), full((), 256, dtypes.bfloat16)),
    ],
    "_view_of_a_constant": [
        (graph.permute(full((3, 4), 2, F), (1, 0)), full((4, 3), 2, F)),
        (graph.window(graph.expand(graph.reshape(graph.const(2, F), (1,)), (5,)), 0, 2), full((4, 2), 2, F)),
        (graph.reshape(full((1, 1), 2, F), ()), graph.const(2, F)),
        (graph.shrink(full((3, 1), 2, F), ((1, 2), (0, 1))), full((1, 1), 2, F)),
    ],
    "_padded_zeros": [
        (graph.pad(full((2,), 0, F), ((1, 1),)), full((4,), 0, F)),
        (graph.unwindow(full((2, 2), 0, F), 0, 3), full((3, 2), 0, F)),
    ],
    "_scan_of_a_constant": [
        (graph.scan("add", k(0), 1), k(0)),
        (graph.scan("max", k(3), 0, True), k(3)),
        (graph.scan("mul", k(1), 0), k(1)),
    ],
    "_reduction_of_a_constant": [
        (graph.reduce("add", k(2), (0,)), full((4,), 6, F)),
        (graph.reduce("add", full((200,), 2, dtypes.uint8), (0,)), full((), 144, dtypes.uint8)),
        (graph.reduce("max", k(2), (0, 1)), full((), 2, F)),
        (graph.reduce("xor", full((3, 2), 5, I32), (0,)), full((2,), 5, I32)),
        (graph.reduce("xor", full((3, 2), 5, I32), (1,)), full((3,), 0, I32)),
        (graph.reduce("mul", k(1), (0,)), full((4,), 1, F)),
    ],
    "_identity_operand": [
        (op("add", X, k(-0.0)), X), (op("add", N, k(0, N)), N), (op("mul", k(1), X), X),
        (op("max", X, k(float("-inf"))), X), (op("xor", N, k(0, N)), N),
        (op("and", N, k(-1, N)), N), (op("or", k(False, C), C), C),
        (op("and", leaf(2, dtype=dtypes.uint8), full((2,), 255, dtypes.uint8)), leaf(2, dtype=dtypes.uint8)),
    ],
    "_absorbing_operand": [
        (op("mul", N, k(0, N)), k(0, N)), (op("and", C, k(False, C)), k(False, C)),
        (op("or", N, k(-1, N)), k(-1, N)), (op("max", N, k(I32.max, N)), k(I32.max, N)),
    ],
    "_neutral_second_operand": [
        (op("sub", X, k(0)), X), (op("div", X, k(1)), X), (op("pow", X, k(1)), X),
        (op("shl", N, k(0, N)), N), (op("shr", N, k(0, N)), N), (op("floordiv", N, k(1, N)), N),
    ],
    "_small_powers": [(op("pow", X, k(2)), op("mul", X, X)), (op("pow", X, k(0)), k(1))],
    "_equal_operands": [(op("max", X, X), X), (op("or", C, C), C)],
    "_twice": [(op("neg", op("neg", X)), X), (op("not", op("not", C)), C)],
    "_negated_operand": [
        (op("add", X, op("neg", Y)), op("sub", X, Y)),
        (op("add", op("neg", Y), X), op("sub", X, Y)),
        (op("sub", X, op("neg", Y)), op("add", X, Y)),
    ],
    "_negated_equality": [
        (op("not", op("eq", X, Y)), op("ne", X, Y)),
        (op("not", op("ne", X, Y)), op("eq", X, Y)),
    ],
    "_sign_below_abs": [
        (op("abs", op("neg", X)), op("abs", X)),
        (op("abs", op("abs", X)), op("abs", X)),
    ],
    "_decided": [
        (op("where", k(True, C), X, Y), X), (op("where", k(False, C), X, Y), Y),
        (op("where", C, X, X), X),
    ],
    "_negated_condition": [
        (op("where", op("not", C), X, Y), op("where", C, Y, X)),
    ],
    "_put_together_again": [
        (graph.stack([graph.reshape(graph.shrink(X, ((0, 3), (i, i + 1))), (3,)) for i in range(4)], ((1, 4),)), X)
    ],
    "_marker": [(graph.detach(X), X), (graph.surrogate(X, Y), X)],
    "_cast_of_a_cast": [
        (graph.cast(graph.cast(N, dtypes.float64), I32), N),
        (graph.cast(graph.cast(N, dtypes.int16), dtypes.int8), graph.cast(N, dtypes.int8)),
        (graph.cast(graph.cast(C, F), I32), graph.cast(C, I32)),
    ],
    "_bitcast_of_a_bitcast": [(graph.bitcast(graph.bitcast(X, I32), F), X)],
    "_reshape_of_a_reshape": [(graph.reshape(graph.reshape(X, (2, 6)), (4, 3)), graph.reshape(X.src[0], (4, 3)))],
    "_permute_of_a_permute": [
        (graph.permute(graph.permute(leaf(2, 3, 4), (1, 2, 0)), (1, 0, 2)), graph.permute(leaf(2, 3, 4), (2, 1, 0))),
        (graph.permute(graph.permute(X, (1, 0)), (1, 0)), X),
    ],
    "_expand_of_an_expand": [
        (graph.expand(graph.expand(leaf(1, 1), (3, 1)), (3, 4)), graph.expand(leaf(1, 1), (3, 4))),
    ],
    "_flip_of_a_flip": [
        (graph.flip(graph.flip(X, (0, 1)), (1,)), graph.flip(X, (0,))),
        (graph.flip(graph.flip(X, (1,)), (1,)), X),
    ],
    "_shrink_of_a_shrink": [
        (graph.shrink(graph.shrink(X, ((1, 3), (0, 3))), ((0, 1), (1, 2))), graph.shrink(X, ((1, 2), (1, 2)))),
    ],
    "_pad_of_a_pad": [(graph.pad(graph.pad(X, ((1, 0), (0, 2))), ((0, 1), (3, 0))), graph.pad(X, ((1, 1), (3, 2))))],
    "_shrink_of_a_pad": [
        (graph.shrink(graph.pad(X, ((1, 0), (0, 2))), ((1, 4), (0, 4))), X),
        (
            graph.shrink(graph.pad(X, ((2, 0), (0, 2))), ((1, 4), (1, 5))),
            graph.pad(graph.shrink(X, ((0, 2), (1, 4))), ((1, 0), (0, 1))),
        ),
        (graph.shrink(graph.pad(X, ((2, 0), (0, 0))), ((0, 2), (0, 4))), full((2, 4), 0, F)),
    ],
    "_reduction_over_unit_axes": [
        (graph.reduce("add", leaf(1, 3), (0,)), graph.reshape(leaf(1, 3).src[0], (3,))),
        (graph.reduce("add", leaf(3, 1, 2), (1, 2)), graph.reshape(graph.reduce("add", leaf(3, 1, 2), (2,)), (3,))),
    ],
}  # fmt: skip

PAIRS = [(name, i) for name, pairs in EXAMPLES.items() for i in range(len(pairs))]


def test_every_rule_has_an_example() -> None:
    assert {rule.__name__ for rules in simplify.RULES.values() for rule in rules} == set(EXAMPLES)


@pytest.mark.parametrize(("name", "number"), PAIRS)
def test_examples(name: str, number: int) -> None:
    before, after = EXAMPLES[name][number]
    assert one(before) is after
    assert before is not after and before.shape == after.shape and before.dtype is after.dtype
    np.testing.assert_array_equal(evaluate(before), evaluate(after))


@pytest.mark.parametrize(("name", "number"), PAIRS)
def test_the_rule_itself_holds_for_one_of_its_examples(name: str, number: int) -> None:
    """Without this, another rule could do the work of a rule that never holds."""
    rule = next(rule for rules in simplify.RULES.values() for rule in rules if rule.__name__ == name)
    nodes = [node for before, _ in EXAMPLES[name] for node in graph.toposort([before])]
    assert any(rule in simplify.RULES.get(node.op, ()) and rule(node) not in (None, node) for node in nodes)


@pytest.mark.parametrize(
    "node",
    [
        op("mul", X, k(0)), op("pow", X, k(3)), op("sub", k(0), X), op("div", k(1), X), op("where", C, X, Y),
        op("not", op("lt", X, Y)), graph.cast(graph.cast(X, I32), F), graph.cast(graph.cast(N, dtypes.int16), I32),
        graph.cast(graph.cast(X, dtypes.bfloat16), F), graph.contiguous(k(1)), graph.pad(k(1), ((1, 0), (0, 0))),
        graph.gather(X, full((3, 2), 0, I32), 1), graph.pad(graph.shrink(X, ((0, 2), (0, 4))), ((0, 1), (0, 0))),
        op("add", X, k(0.0)), op("sub", X, k(-0.0)),
        op("max", X, k(float("inf"))), graph.reduce("mul", k(2), (0,)), graph.copy(X, "CUDA"),
    ],
)  # fmt: skip
def test_what_must_stay(node: Node) -> None:
    assert one(node) is node


@given(graphs())
def test_random_graphs_keep_their_values(outputs: list[Node]) -> None:
    _compare(outputs)


@given(st.integers(0, 2**32 - 1))
def test_random_graphs_with_empty_dimensions_keep_their_values(seed: int) -> None:
    _compare(random_graph(random.Random(seed), Options(sizes=(0, 1, 2, 3), steps=6)))


@given(st.integers(0, 2**32 - 1), st.sampled_from([(F, I32, B), (dtypes.int8, dtypes.uint8, dtypes.int64)]))
def test_graphs_of_views_and_casts_keep_their_values(seed: int, types: tuple[DType, ...]) -> None:
    _compare(random_graph(random.Random(seed), Options(dtypes=types, families=("view", "cast", "reduce"), steps=10)))


def _compare(outputs: list[Node]) -> None:
    simple = simplify.simplify(outputs)
    for before, after, expected, actual in zip(outputs, simple, evaluate_all(outputs), evaluate_all(simple)):
        assert after.shape == before.shape and after.dtype is before.dtype
        if before.dtype.is_float:
            np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance(outputs))
        else:
            np.testing.assert_array_equal(actual, expected)
    again = simplify.simplify(simple)
    assert all(a is b for a, b in zip(simple, again)), "simplifying twice changes something"


@given(st.sampled_from(ALL), st.sampled_from(ALL))
def test_a_type_holds_another_if_a_round_trip_changes_nothing(wide: DType, narrow: DType) -> None:
    bits = np.random.default_rng(0).integers(0, 256, 8 * 500, np.uint8).view(f"u{narrow.itemsize}")
    values = from_storage((bits % 2 if narrow is B else bits).astype(bits.dtype).view(narrow.numpy), narrow)
    edges = [] if narrow.is_float else [narrow.min, narrow.max]
    with np.errstate(all="ignore"):
        values = np.concatenate([values[np.isfinite(values.astype(np.float64))], np.asarray(edges, values.dtype)])
        there = from_storage(to_storage(values != 0 if wide is B else values, wide), wide)
        back = from_storage(to_storage(there, narrow), narrow)
    exact = bool(np.all(back == values) and np.all(there.astype(object) == values.astype(object)))
    assert simplify.holds(wide, narrow) == exact


def test_realized_nodes_are_leaves() -> None:
    inner = op("neg", op("sin", X))
    inner.realized = Buffer(12, F, "CPU")
    outer = op("neg", inner)
    assert one(outer) is outer and one(inner) is inner
    view = graph.reshape(op("cos", X), (12,))
    view.realized = Buffer(12, F, "CPU")
    assert one(graph.reshape(view, (2, 6))).src == (view,)


def test_new_nodes_belong_to_the_line_of_the_node_they_replace() -> None:
    with graph.user_line(("model.py", 3)):
        y = op("pow", leaf(5, seed=9), full((5,), 2, F))
    assert one(y).line == ("model.py", 3) and current_line.get() is None


def test_a_long_chain_takes_linear_work() -> None:
    def work(length: int) -> int:
        y = X
        for _ in range(length):
            y = op("exp", op("sub", y, k(0)))
        return effort(lambda: found.append(len(graph.toposort([one(y)])) - length))

    found: list[int] = []
    short, long = work(1000), work(10_000)
    assert found == [2, 2] and long < 12 * short
