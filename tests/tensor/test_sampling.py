"""Indices drawn with given probabilities."""

import numpy as np
import pytest

from kernelforge.tensor import Tensor


def test_multinomial(numpy_device):
    Tensor.manual_seed(0)
    weights = Tensor([0.0, 1.0, 3.0, 0.0])
    found = np.bincount(weights.multinomial(2000, replacement=True).numpy(), minlength=4)
    assert found[0] == found[3] == 0 and abs(found[2] / 2000 - 0.75) < 0.05
    assert Tensor([[0.0, 1.0], [1.0, 0.0]]).multinomial().tolist() == [[1], [0]]
    drawn = Tensor([[1.0, 0.0, 5.0, 2.0]] * 500).multinomial(3).numpy()
    assert (np.sort(drawn, 1) == [0, 2, 3]).all()
    first = np.bincount(drawn[:, 0], minlength=4) / 500
    np.testing.assert_allclose(first, [1 / 8, 0, 5 / 8, 2 / 8], atol=0.08)
    with pytest.raises(ValueError, match="without replacement"):
        weights.multinomial(5)
