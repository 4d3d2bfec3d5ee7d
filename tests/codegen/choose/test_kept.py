"""What several passes over the same elements need is computed once and kept, along rows and along columns."""

import random
from collections.abc import Sequence

import numpy as np
import pytest

from codegen.choose.default import placed
from codegen.dtypes import dtypes
from codegen.index import Index
from codegen.interpret import interpret
from codegen.ir import Kernel, apply, const
from codegen.opencl.printer import render_nest
from codegen.rewrites.rewrite import prepare
from codegen.target import CPU
from tests.codegen import written_kernels as written
from tests.codegen.opencl_harness import run_all

STEPS = ("softmax", "norm", "residual", "centered")


def chain(rows: int, columns: int, walked: int, steps: Sequence[str]) -> Kernel:
    """Steps on x[rows, columns], each of which reduces what the one before gives along an axis, and a costly end."""
    value = written.tensor("x", rows, columns)
    for step in steps:
        value = _step(step, value, walked, (rows, columns)[walked])
    name = "_".join(map(str, ("chain", rows, columns, walked, *steps)))
    return prepare(written.kernel(name, (rows, columns), value))


def _step(step: str, before: written.Field, walked: int, size: int) -> written.Field:
    def at(i: Index, j: Index) -> written.Expr:
        def over(op: str, body: written.Field) -> written.Expr:
            return written.over(op, size, lambda r: body(*((r, j) if walked == 0 else (i, r))))

        def mean(body: written.Field) -> written.Expr:
            return written.mul(over("add", body), const(1 / size, dtypes.float32))

        def moved(i: Index, j: Index) -> written.Expr:
            return written.sub(before(i, j), mean(before))

        def tops(i: Index, j: Index) -> written.Expr:
            return apply("exp", written.sub(before(i, j), over("max", before)))

        if step == "softmax":
            return apply("div", tops(i, j), over("add", tops))
        if step == "residual":
            return written.add(apply("tanh", moved(i, j)), before(i, j))
        if step == "centered":
            return moved(i, j)
        squares = mean(lambda i, j: written.mul(moved(i, j), moved(i, j)))
        root = apply("rsqrt", written.add(squares, const(1e-3, dtypes.float32)))
        return apply("tanh", written.mul(moved(i, j), root))

    return at


@pytest.mark.parametrize("walked", [0, 1])
def test_random_chains_of_reductions(walked: int) -> None:
    rng = random.Random(walked)
    kernels = []
    for _ in range(8):
        steps = rng.choices(STEPS, k=rng.randint(1, 3))
        kernels.append(chain(rng.randint(1, 70), rng.randint(1, 150), walked, steps))
    values = np.random.default_rng(walked)
    arrays = [{p.name: values.standard_normal(p.size, dtype=np.float32) for p in k.params} for k in kernels]
    for kernel, given, left in zip(kernels, arrays, run_all([render_nest(placed(k, CPU)) for k in kernels], arrays)):
        interpret(kernel, given)
        np.testing.assert_allclose(left["out0"], given["out0"], 1e-3, 1e-4, err_msg=kernel.name)


@pytest.mark.parametrize("walked", [0, 1])
def test_each_step_is_computed_once(walked: int) -> None:
    """A chain of norms takes each element's hyperbolic tangent once for each of them, in whatever many passes."""
    kernel = chain(256, 256, walked, ["norm"] * 3)
    text = render_nest(placed(kernel, CPU)).source
    assert text.count(" float16 tanh_") == 3 * 4  # in each of four vectors


def test_what_is_kept_fits_a_near_cache() -> None:
    kernel = chain(3000, 256, 0, ["norm"] * 3)
    schedule = placed(kernel, CPU).schedule
    (lane,) = schedule.vector
    columns = min(step.tile for step in schedule.loops if step.axis is lane)
    boxes = [stage for stage in schedule.stages if len(stage.value.axes) == 2]
    assert 0 < len(boxes) * 3000 * columns * 4 <= CPU.l2
