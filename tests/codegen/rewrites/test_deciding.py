"""Choices are left out where one value is never taken, and nowhere else."""

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from codegen.dtypes import dtypes
from codegen.index import Axis, Guard, Index
from codegen.ir import Expr, Kernel, Param, Store, apply, const, coord, load, reduce, valid
from codegen.rewrites.deciding import decided
from kernelforge import Tensor
from kernelforge.nn import functional as F
from kernelforge.planning.steps import Launch
from tests.codegen.compare import assert_same_results
from tests.codegen.random_kernels import random_kernel

FLOAT = dtypes.float32
ROW, COLUMN, TERM = Axis("i", 11), Axis("j", 6), Axis("r", 5)
ZERO = const(0.0, FLOAT)


def kernel_of(value: Expr) -> Kernel:
    place = ROW.index * COLUMN.size + COLUMN.index
    store = Store(Param("out", FLOAT, ROW.size * COLUMN.size), place, value, order=(ROW, COLUMN))
    params = dict.fromkeys(e.param for e in Kernel("k", (), (store,)).loads)
    return Kernel("k", (store.param, *params), (store,))


def data(*axes: Axis) -> Expr:
    """An array with these axes."""
    index, size = axes[0].index, axes[0].size
    for axis in axes[1:]:
        index, size = index * axis.size + axis.index, size * axis.size
    return load(Param("x" + "".join(a.name for a in axes), FLOAT, size), index)


def below(index: Index, limit: int) -> Expr:
    return apply("lt", coord(index), const(limit, dtypes.int32))


def choices(kernel: Kernel) -> int:
    return sum(bool(e.args) and e.dtype is FLOAT and len(e.args) == 3 for e in kernel.exprs)


def test_a_choice_that_another_one_makes_is_left_out() -> None:
    inner = apply("where", below(ROW.index * -1 + 9, 3), ZERO, data(ROW, COLUMN))  # i above 6
    kernel = kernel_of(apply("where", valid(frozenset({Guard(ROW.index, 2, 6)})), inner, const(1.0, FLOAT)))
    assert (choices(kernel), choices(decided(kernel))) == (2, 1)
    assert_same_results(kernel, decided(kernel))


def test_a_choice_by_a_condition_that_sizes_decide_is_left_out() -> None:
    for limit, left in ((0, 0), (11, 0), (5, 1)):
        kernel = kernel_of(apply("where", below(ROW.index, limit), data(ROW, COLUMN), const(1.0, FLOAT)))
        assert choices(decided(kernel)) == left
        assert_same_results(kernel, decided(kernel))


def test_a_choice_that_is_asked_for_elsewhere_too_stays() -> None:
    inner = apply("where", below(ROW.index, 3), ZERO, data(ROW, COLUMN))
    outer = apply("where", valid(frozenset({Guard(ROW.index, 5, 11)})), inner, const(1.0, FLOAT))
    kernel = kernel_of(apply("add", outer, inner))
    assert decided(kernel) is kernel


def test_a_condition_on_what_is_summed_is_none_on_the_sum() -> None:
    inner = apply("where", below(TERM.index, 3), data(ROW, TERM), ZERO)
    kernel = kernel_of(apply("where", below(ROW.index, 3), reduce("add", inner, [TERM]), data(ROW, COLUMN)))
    assert decided(kernel) is kernel


@given(st.integers(0, 1 << 32))
def test_nested_choices_stay_what_they_are(seed: int) -> None:
    rng = random.Random(seed)

    def nested(depth: int) -> Expr:
        if not depth:
            return rng.choice([data(ROW, COLUMN), data(COLUMN), ZERO])
        index = ROW.index * rng.choice([-1, 0, 1, 2]) + COLUMN.index * rng.choice([-1, 0, 1]) + rng.randint(-3, 12)
        low = rng.randint(-4, 12)
        inside = valid(frozenset({Guard(index, low, low + rng.randint(0, 8))}))
        condition = rng.choice([inside, below(index, low), apply("not", below(index, low))])
        first, second = nested(depth - 1), nested(depth - 1)
        chosen = apply("where", condition, first, second)
        return apply("add", chosen, rng.choice([first, second])) if rng.random() < 0.2 else chosen

    kernel = kernel_of(apply("add", nested(rng.randint(1, 5)), data(ROW, COLUMN)))
    assert_same_results(kernel, decided(kernel))


@given(st.integers(0, 1 << 32))
def test_masked_sums_stay_what_they_are(seed: int) -> None:
    kernel = random_kernel(seed, "masked")
    assert_same_results(kernel, decided(kernel))


def test_the_gradient_of_a_reflecting_pad_compares_nothing() -> None:
    """Each of its terms is a load under guards of its own."""
    x = Tensor(np.ones((2, 3, 20, 24), np.float32), requires_grad=True)
    F.pad(x, (5, 5, 4, 4), mode="reflect").square().sum().backward()
    assert x.grad is not None
    (launch,) = x.grad.schedule_linear()
    assert isinstance(launch, Launch)
    assert not {"lt_", "le_"} & {name[:3] for name in launch.program.source.split()}
