"""Sums that are only summed on are not rounded between: fewer kernels, and results as near as those of one sum."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelforge import GlobalCounters, Tensor, dtypes
from kernelforge.calls import expanded
from kernelforge.graph import Node, toposort
from kernelforge.nn import functional as F
from kernelforge.rewrites.simplify import simplify
from kernelforge.rewrites.unrounded import unrounded


def narrow(*shape: int, seed: int = 0, dtype: str = "bfloat16") -> Tensor:
    values = np.random.default_rng(seed).uniform(1, 2, shape).astype(np.float32)
    return Tensor(values).cast(getattr(dtypes, dtype)).realize()


def conversions(*tensors: Tensor) -> tuple[int, int]:
    """How many conversions there are before and after."""

    def count(nodes: list[Node]) -> int:
        return sum(node.op == "cast" for node in toposort(nodes, into_realized=False))

    simple = simplify(expanded([x._node for x in tensors]))
    return count(simple), count(unrounded(simple))


@given(
    st.permutations([0, 1, 2]), st.integers(0, 2), st.integers(0, 1), st.sampled_from(["bfloat16", "float16"]),
    st.booleans(),
)  # fmt: skip
@pytest.mark.usefixtures("numpy_device")
def test_sums_of_sums(order: list[int], first: int, second: int, dtype: str, padded: bool) -> None:
    x = narrow(5, 6, 7, 3, dtype=dtype)
    part = x.sum(first)
    shown = part.permute(*order).flip(1)
    total = (shown.pad(((0, 0), (1, 2), (0, 0))) if padded else shown).sum(second)
    exact = np.flip(x.float().numpy().sum(first).transpose(order), 1).sum(second) if not padded else None
    before, after = conversions(total)
    assert after == before - 2
    if exact is not None:
        np.testing.assert_allclose(total.float().numpy(), exact, rtol=2**-8)


def test_what_something_else_uses_is_rounded_there() -> None:
    x = narrow(5, 6, 7)
    part = x.sum(0)
    assert conversions(part.sum(0), part)[0] == conversions(part.sum(0), part)[1]
    before, after = conversions((part + 1).sum(0))
    assert before == after, "the sum is of rounded values"
    before, after = conversions(narrow(2, 1000, 3).sum(0).sum(0))
    assert before == after, "many partial sums"
    before, after = conversions(narrow(4, 5, 3).sum(0).float().sum(0))
    assert before == after, "the total is not rounded"


@pytest.mark.usefixtures("numpy_device")
def test_rounding_that_is_asked_for_takes_place() -> None:
    x = Tensor(np.full((64, 3), 3000, np.float16))
    assert x.sum(0).float().sum(0).item() == np.inf
    wide = Tensor(np.full((64, 3), 3000, np.float32))
    assert wide.sum(0).cast(dtypes.float16).float().sum(0).item() == np.inf


def test_an_input_gradient_is_one_kernel() -> None:
    x, w, dy = narrow(2, 6, 9, 9).detach(), narrow(4, 6, 3, 3, seed=1), narrow(2, 4, 9, 9, seed=2)
    x.requires_grad_(True)
    (gradient,) = F.conv2d(x, w, padding=1).gradient(x, gradient=dy)
    assert conversions(gradient) == (7, 3), "operands are widened, and the result is rounded"
    before = GlobalCounters.kernel_count
    gradient.realize()
    assert GlobalCounters.kernel_count - before == 1
    y, v, dz = (z.float().detach() for z in (x, w, dy))
    y.requires_grad_(True)
    (expected,) = F.conv2d(y, v, padding=1).gradient(y, gradient=dz)
    np.testing.assert_allclose(gradient.float().numpy(), expected.numpy(), rtol=2**-7)
