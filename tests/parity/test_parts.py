"""The lowest functions of layers, which torch has beside its modules: recurrent ones, norms with statistics, hashes."""

import numpy as np
import pytest

from kernelforge import Tensor, nn
from kernelforge.nn import functional

torch = pytest.importorskip("torch")

GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}


def normal(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32) * 0.3


def compared(ours, theirs, arguments):
    """Calls of both on the same arguments, whose arrays become tensors."""

    def of(make, value):
        if isinstance(value, np.ndarray):
            return make(value)
        return type(value)(of(make, part) for part in value) if isinstance(value, tuple | list) else value

    found, expected = ours(*of(Tensor, arguments)), theirs(*of(torch.tensor, arguments))
    for x, y in zip(*(part if isinstance(part, tuple) else (part,) for part in (found, expected)), strict=True):
        assert x.shape == tuple(y.shape)
        np.testing.assert_allclose(x.numpy(), y.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", GATES)
@pytest.mark.parametrize("both", [False, True])
def test_recurrent(name, both, numpy_device):
    directions, gates, size = 1 + both, GATES[name], 6
    weights = [
        normal(*shape)
        for layer in range(2) for _ in range(directions)
        for shape in ((gates * size, size * directions if layer else 4), (gates * size, size), (gates * size,),
                      (gates * size,))
    ]  # fmt: skip
    h = normal(2 * directions, 3, size)
    state = (h, h) if name == "lstm" else h
    arguments = (normal(5, 3, 4), state, weights, True, 2, 0.0, False, both, False)
    compared(getattr(nn, name), getattr(torch, name), arguments)


@pytest.mark.parametrize("name", GATES)
def test_cells(name, numpy_device):
    gates, h = GATES[name], normal(3, 6)
    weights = [normal(gates * 6, 4), normal(gates * 6, 6), normal(gates * 6), normal(gates * 6)]
    arguments = (normal(3, 4), (h, h) if name == "lstm" else h, *weights)
    compared(getattr(nn, f"{name}_cell"), getattr(torch, f"{name}_cell"), arguments)


X = normal(2, 4, 5, 5)
CALLS = {
    "convolution": (X, normal(4, 2, 3, 3), None, [2, 1], [1, 1], [1, 1], False, [0, 0], 2),
    "native_layer_norm": (X, [5], None, None, 1e-5),
    "native_group_norm": (X, None, None, 2, 4, 25, 2, 1e-5),
    "native_batch_norm": (X, None, None, None, None, True, 0.1, 1e-5),
    "grid_sampler": (X, normal(2, 3, 3, 2) * 4, 2, 1, False),
    "affine_grid_generator": (normal(2, 2, 3), [2, 3, 4, 5], True),
}


@pytest.mark.parametrize("name", CALLS)
def test_parts(name, numpy_device):
    compared(getattr(functional, name), getattr(torch, name), CALLS[name])


def test_dropout_says_what_it_kept(numpy_device):
    found, kept = functional.native_dropout(Tensor(X), 0.5, True)
    assert np.array_equal(found.numpy(), np.where(kept.numpy(), X * 2, 0))
    whole = functional.feature_dropout(Tensor(X), 0.5, True).numpy()
    for part, x in zip(whole.reshape(8, 25), X.reshape(8, 25)):
        assert not part.any() or np.array_equal(part, 2 * x)


@pytest.mark.parametrize("x", [np.array([1, 2, 3, 8]), np.float32([1, 2, 3]), np.int8([-1, 3, 4]), np.float16([1, 5])])
def test_hashes(x, numpy_device):
    assert Tensor(x).hash_tensor().item() == torch.hash_tensor(torch.tensor(x)).item()


def test_hashes_along_dimensions(numpy_device):
    ours, theirs = Tensor(X), torch.tensor(X)
    assert ours.hash_tensor(1).tolist() == torch.hash_tensor(theirs, 1).tolist()
    assert ours.hash_tensor((0, 2), keepdim=True).tolist() == torch.hash_tensor(theirs, (0, 2), keepdim=True).tolist()


def test_files_and_ranges(numpy_device, tmp_path):
    normal(7).tofile(tmp_path / "numbers")
    found = Tensor.from_file(str(tmp_path / "numbers"), size=5)
    assert np.array_equal(found.numpy(), normal(7)[:5])
    assert Tensor.range(5, 1, -2).tolist() == [5.0, 3.0, 1.0]
    with pytest.raises(ValueError, match="7 numbers of float32, 9 are asked for"):
        Tensor.from_file(str(tmp_path / "numbers"), size=9)
