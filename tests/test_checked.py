"""Indices out of range are found, also where what they pick is of no account for the result."""

import numpy as np
import pytest

from codegen.dtypes import dtypes
from kernelforge import Tensor, graph
from kernelforge.buffer import Buffer
from kernelforge.checked import checks

USES = {
    "times 0": lambda x: x * 0,
    "0 times": lambda x: 0 * x,
    "times zeros": lambda x: x * Tensor.zeros(2, dtype="int32"),
    "and 0": lambda x: x & 0,
    "or all ones": lambda x: x | -1,
    "sum times 0": lambda x: x.sum() * 0,
    "true anyway": lambda x: (x > 1) | True,
    "false anyway": lambda x: (x > 1) & False,
    "to no power": lambda x: x.float() ** Tensor.zeros(2),
    "not chosen": lambda x: Tensor.full((2,), True).where(Tensor.zeros(2, dtype="int32"), x),
    "never chosen": lambda x: Tensor.full((2,), False).where(x, 3),
    "chosen either way": lambda x: (x > 1).where(7, 7),
    "largest": lambda x: x.maximum(np.iinfo(np.int32).max),
}
PICKS = {
    "index": lambda x, index: x[index],
    "gather": lambda x, index: x.gather(0, index),
    "take": lambda x, index: x.take(index),
    "index_select": lambda x, index: x.index_select(0, index),
    "scatter": lambda x, index: x.scatter(0, index, Tensor([1, 2]))[:2],
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize("pick", PICKS.values(), ids=PICKS)
def test_what_picks_is_computed_though_its_value_is_known(pick, use):
    x = Tensor(np.arange(5, dtype=np.int32))
    with pytest.raises(IndexError, match="out of range"):
        use(pick(x, Tensor(np.array([0, 7])))).numpy()
    expected = use(Tensor(pick(x, Tensor(np.array([0, 4]))).numpy())).numpy()
    assert np.array_equal(use(pick(x, Tensor(np.array([0, 4])))).numpy(), expected)


def test_computed_elements_are_not_looked_at_again():
    x = graph.buffer(Buffer.from_numpy(np.arange(5), dtypes.int32, "CPU"))
    picked = graph.gather(x, graph.buffer(Buffer.from_numpy(np.array([0, 1]), dtypes.int32, "CPU")), 0)
    assert checks(graph.elementwise("neg", picked))
    assert not checks(graph.elementwise("neg", x))
    picked.realized = Buffer.from_numpy(np.arange(2), dtypes.int32, "CPU")
    assert not checks(graph.elementwise("neg", picked))
