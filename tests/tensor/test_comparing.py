"""Integers are compared as numbers, whatever their types hold."""

import operator
import sys

import numpy as np
import pytest

from kernelforge import Tensor
from kernelforge.tensor.broadcasting import broadcast

TYPES = ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
NUMBERS = [-1, 0, 1, 255, 256, -129, -(2**31), 2**31, -(2**63), 2**63, 2**64 - 1, 2**64, -(2**70), 2**70]
COMPARISONS = [operator.lt, operator.le, operator.eq, operator.ne, operator.gt, operator.ge]


def elements(name):
    if name == "bool":
        return np.array([False, True])
    span = np.iinfo(name)
    return np.array([span.min, span.min + 1, 0, 1, 5, span.max // 2, span.max // 2 + 1, span.max - 1, span.max], name)


@pytest.mark.parametrize("compare", COMPARISONS)
@pytest.mark.parametrize("name", TYPES)
def test_with_numbers(compare, name, numpy_device):
    x = elements(name)
    for number in NUMBERS:
        assert compare(Tensor(x), number).tolist() == [compare(int(value), number) for value in x]
        assert compare(number, Tensor(x)).tolist() == [compare(number, int(value)) for value in x]


@pytest.mark.parametrize("compare", COMPARISONS)
@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("other", ["int8", "int64", "uint64"])
def test_with_each_other(compare, name, other, numpy_device):
    x, y = elements(name)[:, None], elements(other)
    expected = [[compare(int(a), int(b)) for b in y] for a in x[:, 0]]
    assert compare(Tensor(x), Tensor(y)).tolist() == expected


def test_on_a_device(device):
    x = Tensor([0, 1, 200], dtype="uint8")
    assert ((x == -1).tolist(), (x + 1 < 300).tolist()) == ([False] * 3, [True] * 3)
    wide, signed = Tensor([1, 2**63, 5], dtype="uint64"), Tensor([-1, -1, 5], dtype="int64")
    assert (signed < wide).tolist() == [True, True, False]


@pytest.mark.parametrize("names", [("float32", "float32"), ("bool", "int64"), ("int64", "uint64")])
def test_operands_are_brought_to_one_shape_once(names, numpy_device):
    x, y = (Tensor(np.ones(shape), dtype=name) for shape, name in zip(((3, 1, 7), (5, 1)), names))
    called = []
    before = sys.getprofile()
    sys.setprofile(lambda frame, event, _: called.append(frame.f_code) if event == "call" else None)
    try:
        found = x < y
    finally:
        sys.setprofile(before)
    assert called.count(broadcast.__code__) <= 1 and found.shape == (3, 5, 7)
