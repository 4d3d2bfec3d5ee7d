"""NumPy's integers are integers wherever a dimension, a size or a number of places is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import kernelforge
from kernelforge import Tensor, nn

FORMS: dict[str, Callable[[Tensor, Any], Any]] = {
    "sum": lambda x, i: x.sum(i), "sums": lambda x, i: x.sum((i,)), "mean": lambda x, i: x.mean(i),
    "max": lambda x, i: x.max(i), "argmax": lambda x, i: x.argmax(i), "std": lambda x, i: x.std(i),
    "sort": lambda x, i: x.sort(i)[0], "median": lambda x, i: x.median(i)[0], "topk": lambda x, i: x.topk(i, i)[0],
    "kthvalue": lambda x, i: x.kthvalue(i, i)[0], "softmax": lambda x, i: x.softmax(i),
    "cumsum": lambda x, i: x.cumsum(i), "flip": lambda x, i: x.flip(i), "roll": lambda x, i: x.roll(i, i),
    "squeeze": lambda x, i: x.squeeze(i), "unsqueeze": lambda x, i: x.unsqueeze(i),
    "movedim": lambda x, i: x.movedim(0, i), "cat": lambda x, i: kernelforge.cat([x, x], i),
    "stack": lambda x, i: kernelforge.stack([x, x], i), "split": lambda x, i: x.split(i, i)[0],
    "chunk": lambda x, i: x.chunk(i, i)[0], "tensordot": lambda x, i: kernelforge.tensordot(x, x.T, i),
    "pad": lambda x, i: nn.functional.pad(x, (i, i)), "norm": lambda x, i: x.norm(dim=i),
    "convolution": lambda x, i: nn.functional.conv2d(x[None, None], Tensor.ones(1, 1, 2, 2), padding=i, stride=i),
    "pool": lambda x, i: nn.functional.max_pool2d(x[None, None], i), "index": lambda x, i: x[i],
    "narrow": lambda x, i: x.narrow(i, i, i), "shrink": lambda x, i: x.shrink(((0, i), (i, i + i))),
    "diagonal": lambda x, i: x.diagonal(i), "diag_embed": lambda x, i: x.diag_embed(i),
    "tensor_split": lambda x, i: x.tensor_split(i, i)[0], "hsplit": lambda x, i: x.hsplit(i)[0],
    "histc": lambda x, i: x.histc(i), "bincount": lambda x, i: x[0].int().bincount(minlength=i),
    "histogramdd": lambda x, i: kernelforge.histogramdd(x, i)[0], "hash_tensor": lambda x, i: x.hash_tensor(i),
    "fft": lambda x, i: kernelforge.fft.fft(x, i + i, i).real, "irfft": lambda x, i: kernelforge.fft.irfft(x, i + i, i),
    "fftn": lambda x, i: kernelforge.fft.fftn(x, dim=i).real, "fftshift": kernelforge.fft.fftshift,
    "matrix norm": lambda x, i: kernelforge.linalg.norm(x, i, i), "chunks": lambda x, i: x.chunk(i + i, i)[0],
    "layer_norm": lambda x, i: nn.functional.layer_norm(x[:, :1], i), "layernorm": lambda x, i: x[:, :1].layernorm(i),
    "RMSNorm": lambda x, i: nn.RMSNorm(i)(x[:, :1]), "LayerNorm": lambda x, i: nn.LayerNorm(i)(x[:, :1]),
    "adaptive": lambda x, i: nn.functional.adaptive_avg_pool2d(x[None, None], i), "1d": lambda x, i: x.max_pool1d(i),
    "adaptive 3d": lambda x, i: x[None, None, None].adaptive_max_pool3d(i),
    "AvgPool1d": lambda x, i: nn.AvgPool1d(i)(x), "MaxPool2d": lambda x, i: nn.MaxPool2d((i, i), i, i - 1, i)(x[None]),
    "ConstantPad1d": lambda x, i: nn.ConstantPad1d(i, 0.0)(x), "pairs": lambda x, i: x[None].avg_pool2d((i, i)),
    "windows": lambda x, i: x.unfold(i, i + 1, i), "linspace": lambda x, i: Tensor.linspace(0, 1, i + 3),
    "resized": lambda x, i: nn.functional.interpolate(x[None], size=i + 3),
}  # fmt: skip


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8, np.array])
@pytest.mark.parametrize("form", FORMS)
def test_numpy_integers_are_integers(form: str, kind: Callable[[int], Any]) -> None:
    x = Tensor(np.arange(12, dtype=np.float32).reshape(3, 4))
    found, expected = FORMS[form](x, kind(1)), FORMS[form](x, 1)
    assert found.shape == expected.shape and all(type(n) is int for n in found.shape)
    np.testing.assert_array_equal(found.numpy(), expected.numpy())


COUNTED: dict[str, tuple[int, Callable[[Tensor, Any], object]]] = {
    "conv2d": (2, lambda x, n: nn.functional.conv2d(x, Tensor.ones(1, 4, 1, 1), stride=n)),
    "conv_transpose2d": (2, lambda x, n: nn.functional.conv_transpose2d(x, Tensor.ones(4, 1, 1, 1), padding=n)),
    "Conv2d": (2, lambda x, n: nn.Conv2d(4, 1, 1, dilation=n)),
    "max_pool1d": (1, lambda x, n: x.max_pool1d(n)), "max_pool3d": (3, lambda x, n: x.max_pool3d(n)),
    "avg_pool3d": (3, lambda x, n: x.avg_pool3d(n)), "lp_pool2d": (2, lambda x, n: x.lp_pool2d(2.0, n)),
    "strides": (2, lambda x, n: x.max_pool2d(2, n)), "functional": (2, nn.functional.avg_pool2d),
    "adaptive 3d": (3, lambda x, n: x.adaptive_avg_pool3d(n)), "AvgPool1d": (1, lambda x, n: nn.AvgPool1d(n)),
    "adaptive": (2, nn.functional.adaptive_max_pool2d),
    "unpool": (2, lambda x, n: x.max_unpool2d(x.int(), n)), "fold": (2, lambda x, n: x[0].fold(n, 1)),
    "unfold": (2, nn.functional.unfold), "pad": (4, lambda x, n: nn.ReflectionPad2d(n)),
    "resized": (2, lambda x, n: nn.functional.interpolate(x, size=n)),
    "scaled": (2, lambda x, n: nn.functional.interpolate(x, scale_factor=n)),
    "fractional": (2, lambda x, n: nn.functional.fractional_max_pool2d(x, 1, output_ratio=n)),
}  # fmt: skip


@pytest.mark.parametrize("form", COUNTED)
def test_wrong_counts_are_told_with_the_right_one(form: str) -> None:
    expected, call = COUNTED[form]
    for count in (0, expected + 1):
        with pytest.raises(ValueError, match=rf"\): {count} given, one( for all or {expected})? expected"):
            call(Tensor.ones(2, 4, 4, 4), np.ones(count, np.int64))
    if form in ("resized", "scaled", "adaptive"):  # one number in a list is no number, to torch
        with pytest.raises(ValueError, match=rf"\): 1 given, one for all or {expected} expected"):
            call(Tensor.ones(2, 4, 4, 4), [1])
    with pytest.raises(TypeError, match=r"with \w+ 'two': (integers|numbers) expected, one"):
        call(Tensor.ones(2, 4, 4, 4), "two")


STRIDES: dict[str, Callable[[Tensor, Any], Tensor]] = {
    "max": lambda x, n: nn.functional.max_pool2d(x, (2, 1), n),
    "avg": lambda x, n: nn.functional.avg_pool2d(x, (2, 1), n),
    "divided": lambda x, n: nn.functional.avg_pool2d(x, (2, 1), n, divisor_override=3),
    "lp": lambda x, n: nn.functional.lp_pool2d(x, 2.0, (2, 1), n),
    "unpool": lambda x, n: nn.functional.max_unpool2d(x[..., :2, :3], Tensor.arange(6).reshape(1, 1, 2, 3), (2, 1), n),
}  # fmt: skip


@pytest.mark.parametrize("form", STRIDES)
def test_strides_are_those_of_the_window_only_where_none_are_given(form: str) -> None:
    x = Tensor(np.arange(36, dtype=np.float32).reshape(1, 1, 6, 6))
    for given, meant in ((np.array([1, 2]), (1, 2)), (Tensor([1, 2]), (1, 2)), ([], None), ((), None)):
        np.testing.assert_array_equal(STRIDES[form](x, given).numpy(), STRIDES[form](x, meant).numpy())
    for wrong in (0, (2, 0)):
        with pytest.raises(ValueError, match="at least 1"):
            STRIDES[form](x, wrong)


@pytest.mark.parametrize("wrong", [2, 1.5, None, "a", np.array(2)])
def test_one_number_is_no_padding(wrong: Any) -> None:
    for call in (nn.functional.pad, Tensor.pad):
        with pytest.raises(TypeError, match=r"pad of .* by .*: give \(before, after\)"):
            call(Tensor.ones(2, 3), wrong)


@pytest.mark.parametrize("call", [nn.functional.pixel_shuffle, nn.functional.pixel_unshuffle])
def test_a_factor_of_pixels_is_one_integer(call: Callable[[Tensor, Any], Tensor]) -> None:
    x = Tensor(np.arange(64, dtype=np.float32).reshape(1, 4, 4, 4))
    np.testing.assert_array_equal(call(x, np.array(2)).numpy(), call(x, 2).numpy())
    for wrong in (None, "a", 2.0):
        with pytest.raises(TypeError, match="integers expected, one"):
            call(x, wrong)
    with pytest.raises(ValueError, match="2 given, one expected"):
        call(x, (2, 2))


READ: dict[str, tuple[Callable[[Tensor, Any], Tensor], list[Any]]] = {
    "sum": (lambda x, i: x.sum(i), [1, -1, (0, 1)]), "mean": (lambda x, i: x.mean(i, keepdim=True), [0, (0,)]),
    "softmax": (lambda x, i: x.softmax(i), [0, 1]), "cumsum": (lambda x, i: x.cumsum(i), [0, 1]),
    "flip": (lambda x, i: x.flip(i), [0, (0, 1)]), "roll": (lambda x, i: x.roll(i, i), [0, (0, 1)]),
    "permute": (lambda x, i: x.permute(i), [(1, 0)]), "reshape": (lambda x, i: x.reshape(i), [12, (2, 6), (-1, 4)]),
    "expand": (lambda x, i: x.expand(i), [(2, 3, 4)]), "tile": (lambda x, i: x.tile(i), [2, (2, 1)]),
    "repeat": (lambda x, i: x.repeat(i), [(1, 2)]), "squeeze": (lambda x, i: x[None].squeeze(i), [0, (0, 1)]),
    "unsqueeze": (lambda x, i: x.unsqueeze(i), [0, 1]), "zeros": (lambda x, i: Tensor.zeros(i) + 0, [3, (2, 3)]),
    "median": (lambda x, i: x.median(i)[0], [0, 1]), "chunk": (lambda x, i: x.chunk(i)[0], [1, 2]),
    "pool": (lambda x, i: nn.functional.max_pool2d(x[None, None], i), [2, (1, 2)]),
}  # fmt: skip


@pytest.mark.parametrize("make", [Tensor, np.array])
@pytest.mark.parametrize("form", READ)
def test_tensors_of_integers_are_read_where_integers_are_asked_for(form: str, make: Callable[[Any], Any]) -> None:
    call, values = READ[form]
    x = Tensor(np.arange(12, dtype=np.float32).reshape(3, 4), requires_grad=True)
    for value in values:
        for _ in range(2):  # also where a call of the kind was met before
            found, expected = call(x, make(value)), call(x, value)
            np.testing.assert_array_equal(found.numpy(), expected.numpy())
            assert found.requires_grad == expected.requires_grad


def test_captured_functions_read_them_in_each_call() -> None:
    step = kernelforge.jit(lambda x, i: x.sum(i))
    x = Tensor(np.arange(12, dtype=np.float32).reshape(3, 4))
    for axis in (0, 1, 1, 0, 0):
        assert step(x, Tensor(axis)).tolist() == x.sum(axis).tolist()


@pytest.mark.parametrize("wrong", [1.0, "a", Tensor(1.0), Tensor([0.0, 1.0]), np.array(1.5), (0, 1.0)])
def test_what_is_no_integer_is_no_dimension(wrong: Any) -> None:
    x = Tensor.ones(3, 4)
    for call in (x.sum, x.softmax, x.flip, x.squeeze, x.permute):
        with pytest.raises(TypeError, match=r"along axis .*: an axis is an integer"):
            call(wrong)
    with pytest.raises(TypeError, match="sizes are integers"):
        x.reshape(wrong)
