"""Indices out of range are found, also where what they pick is of no account for the result."""

import numpy as np
import pytest

from codegen.dtypes import dtypes
from kernelforge import Tensor, graph
from kernelforge.buffer import Buffer
from kernelforge.calls import memory_forms
from kernelforge.checked import checks
from kernelforge.kernels import Device
from kernelforge.rewrites.unread import unread
from kernelforge.settings import EAGER

USES = {
    "times 0": lambda x: x * 0,
    "0 times": lambda x: 0 * x,
    "times zeros": lambda x: x * Tensor.zeros(2, dtype="int32"),
    "and 0": lambda x: x & 0,
    "or all ones": lambda x: x | -1,
    "sum times 0": lambda x: x.sum() * 0,
    "true anyway": lambda x: (x > 1) | True,
    "false anyway": lambda x: (x > 1) & False,
    "to the power of 0": lambda x: x**0,
    "float to the power of 0": lambda x: x.float() ** 0,
    "to no power": lambda x: x.float() ** Tensor.zeros(2),
    "not chosen": lambda x: Tensor.full((2,), True).where(Tensor.zeros(2, dtype="int32"), x),
    "never chosen": lambda x: Tensor.full((2,), False).where(x, 3),
    "chosen either way": lambda x: (x > 1).where(7, 7),
    "largest": lambda x: x.maximum(np.iinfo(np.int32).max),
}
PARTS = {
    "the first": lambda x: x[:1],
    "every other": lambda x: x[::2],
    "the first, turned round": lambda x: x.flip(0)[1:],
    "the first of rows": lambda x: x.reshape(2, 1).expand(2, 3)[:1, 1:],
    "the first of sums": lambda x: (x[:, None] * Tensor.ones(2, 4, dtype="int32")).sum(1)[:1],
    "the first, shifted": lambda x: x.pad((1, 0))[:2],
    "the first, twice": lambda x: x[:1] + x.reshape(1, 2)[:, :1].reshape(1),
    "none": lambda x: x[:0],
    "every other, padded": lambda x: x.pad((0, 1))[::2],
    "windows that leave some out": lambda x: x.unfold(0, 1, 2),
    "picked again": lambda x: x[Tensor(np.array([0]))],
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


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
@pytest.mark.parametrize("pick", PICKS.values(), ids=PICKS)
def test_all_of_an_index_is_looked_at_where_a_part_of_what_it_picks_is_asked_for(pick, part):
    x = Tensor(np.arange(5, dtype=np.int32))
    used = part(pick(x, Tensor(np.array([0, 7])))) + 1
    if used.numel() or EAGER.value:  # nothing that waits runs for the sake of no elements
        with pytest.raises(IndexError, match="out of range"):
            used.numpy()
            Device[Device.DEFAULT].synchronize()
    expected = part(Tensor(pick(x, Tensor(np.array([0, 4]))).numpy())).numpy()
    assert np.array_equal(part(pick(x, Tensor(np.array([0, 4])))).numpy(), expected)


@pytest.mark.parametrize(
    "use",
    [
        lambda x, index: x[index][:, :2],
        lambda x, index: x[index].reshape(3, 2, 2)[:, :1],
        lambda x, index: x[index].sum(1, keepdim=True),
        lambda x, index: x[index][:1].cat(x[index][1:]),
        lambda x, index: x[index][2:] + x[index].flip(0)[1:].sum(0),
        lambda x, index: x.gather(0, x.argsort(0))[:1],
        lambda x, index: x._picked_along(0, index.reshape(3, 1).expand(3, 4))[:1],
        lambda x, index: x[index].unfold(0, 2, 1),
        lambda x, index: x[index].unfold(0, 1, 1),
        lambda x, index: x[index][:, Tensor(np.array([1, 0]))],
    ],
)
def test_what_is_looked_at_anyway_takes_no_kernel_of_its_own(use):
    x, index = Tensor.rand(5, 4).realize(), Tensor(np.array([0, 4, 1]))
    assert unread(memory_forms([use(x, index)._node])) == []
    assert len(unread(memory_forms([x[index][:1]._node]))) == 1


def test_an_index_of_which_nothing_is_asked_for_is_looked_at():
    x = Tensor(np.arange(5, dtype=np.int32))
    with pytest.raises(IndexError, match="out of range"):
        x[Tensor(np.array([7]))].reshape(1, 1)[:0].sum(0).numpy()


def test_computed_elements_are_not_looked_at_again():
    x = graph.buffer(Buffer.from_numpy(np.arange(5), dtypes.int32, "CPU"))
    picked = graph.gather(x, graph.buffer(Buffer.from_numpy(np.array([0, 1]), dtypes.int32, "CPU")), 0)
    assert checks(graph.elementwise("neg", picked))
    assert not checks(graph.elementwise("neg", x))
    picked.realized = Buffer.from_numpy(np.arange(2), dtypes.int32, "CPU")
    assert not checks(graph.elementwise("neg", picked))
