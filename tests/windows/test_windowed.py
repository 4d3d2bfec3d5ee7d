"""Sums over windows are told by where their elements lie, whatever they were written with."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelforge.calls import expanded
from kernelforge.graph import Node, toposort
from kernelforge.rewrites.simplify import simplify
from kernelforge.seen import contraction_operands
from kernelforge.tensor import Tensor
from kernelforge.windows.windowed import Windowed, windowed
from tests.evaluate import evaluate
from tests.fused import tensor


def window_of(result: Tensor) -> tuple[Windowed | None, Node]:
    """The window of the last sum, or of the part of it, that a result is, and the node of these values."""
    (node,) = simplify(expanded([result._node]))
    contraction = next(x for x in toposort([node]) if contraction_operands(x))
    while node.op in ("reshape", "permute"):
        (node,) = node.src
    return windowed(node, contraction_operands(contraction)), node


def summed(window: Windowed) -> np.ndarray:
    """What the standard form means."""
    image, weight = evaluate(window.image).astype(np.float64), evaluate(window.weight).astype(np.float64)
    if window.crossed:
        weight = np.swapaxes(weight, 0, -1)
    rank = len(window.places)
    weight = np.flip(weight, [1 + i for i, turned in enumerate(window.turned) if turned])
    first = image.ndim - 1 - rank
    ends = [(20, 20) if first <= d < first + rank else (0, 0) for d in range(image.ndim)]
    image = np.pad(image, ends)
    total = np.zeros((*window.batch, *window.places, window.outputs))
    for taps in np.ndindex(window.taps):
        starts = [20 + t - lead for t, lead in zip(taps, window.leads)]
        part = image[(..., *(slice(s, s + n) for s, n in zip(starts, window.places)), slice(None))]
        total += part @ weight[(slice(None), *taps)]
    return total.transpose(window.order).reshape(window.shape)


def gradient(x: Tensor, y: Tensor) -> Tensor:
    (y * tensor(*y.shape, seed=5)).sum().backward()
    assert x.grad is not None
    return x.grad


def of_input(shape: tuple[int, ...], weight: tuple[int, ...], **options) -> Tensor:
    x = tensor(*shape).requires_grad_()
    return gradient(x, x.conv2d(tensor(*weight), **options))


@pytest.mark.parametrize(
    "build",
    [
        lambda: tensor(2, 3, 7, 8).conv2d(tensor(4, 3, 3, 3), padding=1),
        lambda: tensor(1, 3, 7, 8).conv2d(tensor(4, 3, 3, 2), padding=(0, 2)),
        lambda: tensor(2, 3, 9).conv1d(tensor(4, 3, 5), padding=2),
        lambda: tensor(2, 3, 4, 5, 6).conv3d(tensor(4, 3, 3, 2, 3), padding=1),
        lambda: tensor(2, 7, 8, 3).permute(0, 3, 1, 2).conv2d(tensor(3, 3, 3, 4).permute(3, 2, 0, 1)),
        lambda: tensor(2, 3, 7, 8).relu().conv2d(tensor(4, 3, 3, 3).flip((2, 3)), padding=1),
        lambda: tensor(2, 3, 7, 8).conv_transpose2d(tensor(3, 4, 3, 3), padding=1),
        lambda: of_input((2, 3, 7, 8), (4, 3, 3, 3), padding=1),
        lambda: of_input((2, 3, 7, 8), (4, 3, 3, 3)),
    ],
)
def test_the_standard_form_has_the_same_values(build) -> None:
    window, node = window_of(build())
    assert window is not None
    np.testing.assert_allclose(summed(window), evaluate(node), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "build",
    [
        lambda: tensor(2, 3, 7, 8).conv2d(tensor(4, 3, 3, 3), stride=2),
        lambda: tensor(2, 3, 7, 8).conv2d(tensor(4, 3, 3, 3), dilation=2),
        lambda: tensor(2, 4, 7, 8).conv2d(tensor(4, 2, 3, 3), groups=2),
        lambda: tensor(2, 4, 7, 8).conv2d(tensor(4, 1, 3, 3), groups=4),
        lambda: tensor(2, 4, 7, 8).conv2d(tensor(5, 4, 1, 1)),
        lambda: tensor(5, 6) @ tensor(6, 7),
    ],
)
def test_other_sums_are_none(build) -> None:
    window, _ = window_of(build())
    assert window is None


@given(st.integers(1, 3), st.integers(2, 4), st.integers(5, 9), st.integers(2, 4), st.integers(0, 3))
def test_any_sizes(batch: int, channels: int, size: int, taps: int, pad: int) -> None:
    window, node = window_of(tensor(batch, channels, size, 5).conv2d(tensor(3, channels, taps, 2), padding=(pad, 0)))
    assert window is not None and window.shape == node.shape
    np.testing.assert_allclose(summed(window), evaluate(node), rtol=1e-4, atol=1e-5)
