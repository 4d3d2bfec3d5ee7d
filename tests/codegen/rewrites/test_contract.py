"""Contractions and their roles, and convolutions as matrix products."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.dtypes import dtypes
from codegen.index import Axis, Index
from codegen.ir import Expr, Kernel, Load, apply
from codegen.rewrites.contract import Contraction, canonical, contraction, contractions, pairing
from codegen.rewrites.rewrite import prepare
from codegen.show import show
from tests.codegen import written_kernels as w
from tests.codegen.compare import assert_same_results
from tests.codegen.random_kernels import kernels

A, B = w.tensor("x", 4, 6), w.tensor("w", 6, 5)


def _only(kernel: Kernel) -> Contraction:
    (found,) = contractions(kernel)
    return found


def _names(found: Contraction) -> dict[str, list[int]]:
    return {role: [axis.size for axis in axes] for role, axes in found.roles().items()}


def test_a_product_of_matrices() -> None:
    kernel = prepare(w.kernel("product", (4, 5), w.matmul(A, B, 6)))
    found = _only(kernel)
    assert _names(found) == {"batch": [], "m": [4], "n": [5], "k": [6]}
    assert isinstance(found.left, Load)
    assert found.left.param.name == "x"
    assert [axis.name for axis in kernel.axes] == ["m", "n", "k"]


def test_the_left_operand_is_the_one_stored_first() -> None:
    """(x @ w).T: w's free axis is the first of the result."""
    kernel = prepare(w.kernel("product", (5, 4), w.transposed(w.matmul(A, B, 6))))
    found = _only(kernel)
    assert _names(found) == {"batch": [], "m": [5], "n": [4], "k": [6]}
    assert isinstance(found.left, Load)
    assert found.left.param.name == "w"


def test_batches_prologues_and_epilogues() -> None:
    a, b = w.tensor("a", 3, 4, 6), w.tensor("b", 3, 6, 5)

    def body(h: Index, i: Index, j: Index) -> Expr:
        total = w.over("add", 6, lambda r: w.mul(w.exp(a(h, i, r)), apply("tanh", b(h, r, j))))
        return apply("tanh", w.add(total, w.tensor("c", 5)(j)))

    found = _only(prepare(w.kernel("batched", (3, 4, 5), body)))
    assert _names(found) == {"batch": [3], "m": [4], "n": [5], "k": [6]}


def test_three_factors_become_two_operands() -> None:
    """The scale of the summed axis joins an operand that has it."""
    scale = w.tensor("s", 6)
    for order in range(3):

        def body(i: Index, j: Index, order: int = order) -> Expr:
            def product(r: Index) -> Expr:
                factors = [A(i, r), B(r, j), scale(r)]
                x, y, z = factors[order:] + factors[:order]
                return w.mul(w.mul(x, y), z)

            return w.over("add", 6, product)

        found = _only(prepare(w.kernel("scaled", (4, 5), body)))
        assert _names(found) == {"batch": [], "m": [4], "n": [5], "k": [6]}
        assert len(found.left.axes) == len(found.right.axes) == 2


@given(st.data(), st.integers(0, 1000))
def test_any_product_under_a_sum_becomes_one_of_two_operands(data: st.DataObject, seed: int) -> None:
    """However factors of the operands' axes are multiplied and divided together."""
    order = data.draw(st.permutations(range(6)))
    divides = [data.draw(st.booleans()) for _ in range(6)]
    pairs = [data.draw(st.integers(0, n)) for n in range(4, -1, -1)]

    def body(i: Index, j: Index) -> Expr:
        def product(r: Index) -> Expr:
            small = [w.tensor("s", 6)(r), w.tensor("t", 4, 6)(i, r), w.tensor("u", 6, 5)(r, j), w.tensor("v", 6)(r)]
            scales = [w.div(w.number(1), w.exp(e)) if divide else e for e, divide in zip(small, divides)]
            parts = [A(i, r), B(r, j), *scales]
            parts = [parts[position] for position in order]
            for first in pairs:
                second = parts.pop(first + 1)
                parts[first] = w.mul(parts[first], second)
            return parts[0]

        return w.over("add", 6, product)

    raw = w.kernel("scaled", (4, 5), body)
    kernel = prepare(raw)
    found = _only(kernel)
    assert found.reduce.arg in (w.mul(found.left, found.right), w.mul(found.right, found.left))
    assert _names(found) == {"batch": [], "m": [4], "n": [5], "k": [6]}
    assert_same_results(raw, kernel, seed)


@pytest.mark.parametrize("sizes", [(4, 50), (50, 4)])
def test_a_scale_joins_the_smaller_operand(sizes: tuple[int, int]) -> None:
    """The larger one can be read as it is then."""
    m, n = sizes
    x, f, scale = w.tensor("x", m, 6), w.tensor("f", 6, n), w.tensor("s", 6)

    def body(i: Index, j: Index) -> Expr:
        return w.over("add", 6, lambda r: w.mul(w.div(x(i, r), scale(r)), f(r, j)))

    found = _only(prepare(w.kernel("scaled", (m, n), body)))
    larger = found.left if m > n else found.right
    assert isinstance(larger, Load)


def test_a_product_that_is_stored_as_well_stays_whole() -> None:
    """Its parts would be multiplied twice."""
    scale = w.tensor("s", 6)

    def scaled(i: Index, r: Index) -> Expr:
        return w.mul(A(i, r), scale(r))

    kernel = prepare(w.kernel("shared", (4, 6), w.matmul(scaled, w.tensor("z", 6, 6), 6), scaled))
    (found,) = contractions(kernel)
    assert not isinstance(found.left, Load)
    assert isinstance(found.right, Load)


def test_casts_around_the_product_are_looked_through() -> None:
    def body(i: Index, j: Index) -> Expr:
        return w.over("add", 6, lambda r: apply("cast", w.mul(A(i, r), B(r, j)), dtype=dtypes.float64))

    kernel = prepare(w.kernel("double", (4, 5), body, dtype=dtypes.float64))
    assert _names(_only(kernel))["k"] == [6]


def test_casts_of_narrow_operands_stay_in_them() -> None:
    a, b = (w.tensor(n, *s, dtype=dtypes.bfloat16) for n, s in (("a", (4, 6)), ("b", (6, 5))))

    def wide(field: w.Field) -> w.Field:
        return lambda *place: apply("cast", field(*place), dtype=dtypes.float32)

    found = _only(prepare(w.kernel("narrow", (4, 5), w.matmul(wide(a), wide(b), 6))))
    assert found.left.dtype is dtypes.float32
    assert isinstance(found.left.args[0], Load)


@pytest.mark.parametrize(
    "body",
    [
        lambda i, j: w.over("max", 6, lambda r: w.mul(A(i, r), B(r, j))),
        lambda i, j: w.over("add", 6, lambda r: w.add(A(i, r), B(r, j))),
        lambda i, j: w.over("add", 6, lambda r: w.exp(w.mul(A(i, r), B(r, j)))),
        lambda i, j: w.add(w.over("add", 6, lambda r: w.mul(A(i, r), B(r, i * 0))), B(j, j)),
        lambda i, j: w.add(w.over("add", 6, lambda r: w.mul(A(i, r), A(i, r))), B(j, j)),
    ],
    ids=["max", "sum of a sum", "exp of the product", "matrix times vector", "row norm"],
)  # fmt: skip
def test_what_is_no_contraction(body: w.Field) -> None:
    kernel = w.kernel("none", (4, 5), body)
    assert contractions(kernel) == []


def test_attention_has_two() -> None:
    q, k, v = w.tensor("q", 5, 4), w.tensor("k", 10, 4), w.tensor("v", 10, 4)
    kernel = prepare(w.kernel("attention", (5, 4), w.attention(q, k, v, 10, 4)))
    assert [_names(found) for found in contractions(kernel)] == [
        {"batch": [], "m": [5], "n": [10], "k": [4]},
        {"batch": [], "m": [5], "n": [4], "k": [10]},
    ]


def _convolution(pad: int = 1) -> Kernel:
    x, f = w.tensor("x", 2, 3, 8, 8), w.tensor("f", 4, 3, 3, 3)
    extent = 6 + 2 * pad
    return w.kernel("convolution", (2, 4, extent, extent), w.convolution(x, f, 3, 3, pad, (8, 8)))


@pytest.mark.parametrize("pad", [0, 1])
def test_a_convolution_is_a_matrix_product(pad: int) -> None:
    raw = _convolution(pad)
    kernel = prepare(raw)
    extent = 6 + 2 * pad
    assert _names(_only(kernel)) == {"batch": [], "m": [2, extent, extent], "n": [4], "k": [3, 3, 3]}
    assert_same_results(raw, kernel)


def test_the_gradients_of_a_convolution_are_matrix_products() -> None:
    dy, f = w.tensor("dy", 2, 4, 8, 8), w.tensor("f", 4, 3, 3, 3)
    raw = w.kernel("dx", (2, 3, 8, 8), w.convolution_input_gradient(dy, f, 4, 3, 1, (8, 8)))
    product = prepare(raw)
    roles = {role: sorted(sizes) for role, sizes in _names(_only(product)).items()}
    assert roles == {"batch": [], "m": [2, 8, 8], "n": [3], "k": [3, 3, 4]}
    assert_same_results(raw, product)


@given(kernels("contraction"))
def test_canonical_names_are_names_of_their_own(kernel: Kernel) -> None:
    product = prepare(kernel)
    assert show(canonical(product)) == show(product)


@given(kernels("contraction", sizes=(2, 3, 5)))
def test_roles_partition_the_axes(kernel: Kernel) -> None:
    for e in kernel.reduces:
        found = contraction(e)
        if found is not None:
            roles: list[Axis] = [axis for axes in found.roles().values() for axis in axes]
            assert len(set(roles)) == len(roles)
            assert set(roles) == e.axes | set(e.bound)
            assert found.m
            assert found.n
            assert set(found.k) <= found.left.axes & found.right.axes


def test_pairs_have_the_roles_of_products() -> None:
    """A function of two operands is no product, yet each operand has free axes of its own."""
    y = w.tensor("y", 5, 6)

    def far(i: Index, j: Index) -> Expr:
        return w.over("max", 6, lambda r: apply("abs", w.sub(w.mul(A(i, r), A(i, r)), y(j, r))))

    (found,) = (pairing(r) for r in prepare(w.kernel("pairs", (4, 5), far)).reduces)
    assert found is not None
    assert _names(found) == {"batch": [], "m": [4], "n": [5], "k": [6]}
    assert found.left.axes == {*found.m, *found.k} and not isinstance(found.left, Load)  # the square
    assert isinstance(found.right, Load)


def test_products_sums_of_rows_and_of_three_are_no_pairs() -> None:
    b, y = w.tensor("b", 6), w.tensor("y", 5, 6)
    kernels_without = [
        w.kernel("product", (4, 5), w.matmul(A, B, 6)),
        w.kernel("rows", (4,), lambda i: w.over("add", 6, lambda r: w.sub(A(i, r), b(r)))),
        w.kernel("three", (4, 5), lambda i, j: w.over("max", 6, lambda r: w.add(w.sub(A(i, r), y(j, r)), b(r)))),
        w.kernel("ranks", (6,), lambda j: w.over("max", 6, lambda r: w.sub(b(r), b(j)))),
    ]
    for kernel in kernels_without:
        assert [pairing(r) for r in prepare(kernel).reduces] == [None]
