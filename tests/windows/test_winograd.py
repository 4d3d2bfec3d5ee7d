"""Sums over windows in blocks: the same values within the stated error, only where they are faster, never when off."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.target import CPU, SM90
from kernelforge.calls import expanded
from kernelforge.graph import Node, toposort
from kernelforge.realize import explain
from kernelforge.rewrites.simplify import simplify
from kernelforge.seen import contraction_operands
from kernelforge.settings import Context
from kernelforge.tensor import Tensor
from kernelforge.windows.blocks import in_blocks, in_blocks_of_taps
from kernelforge.windows.windowed import Windowed, windowed
from kernelforge.windows.winograd import best_blocks, best_blocks_of_taps, with_winograd
from tests.evaluate import evaluate
from tests.fused import tensor


def convolution(batch: int, channels: int, size: int, outputs: int, device: str | None = None) -> Tensor:
    """A 3x3 convolution whose results have a variance of one."""
    rng = np.random.default_rng(7)
    x = Tensor(rng.standard_normal((batch, channels, size, size)).astype(np.float32), device=device)
    scale = (9 * channels) ** -0.5
    w = Tensor((rng.standard_normal((outputs, channels, 3, 3)) * scale).astype(np.float32), device=device)
    return x.conv2d(w, padding=1)


def simple(result: Tensor) -> Node:
    (node,) = simplify(expanded([result._node]))
    return node


def window_of(result: Tensor) -> Windowed:
    node = simple(result)
    contraction = next(x for x in toposort([node]) if contraction_operands(x))
    while node.op in ("reshape", "permute"):
        (node,) = node.src
    found = windowed(node, contraction_operands(contraction))
    assert found is not None
    return found


def stacks(nodes: list[Node]) -> int:
    return sum(node.op == "stack" for node in toposort(nodes))


# ------------------------------------------------------------------------------------------------------ values


@pytest.mark.parametrize("blocks", list(product((2, 4), (2, 4))))
@pytest.mark.parametrize("size, pad", [(4, 1), (7, 1), (9, 0), (8, 3)])
def test_blocks_give_the_sums(blocks: tuple[int, int], size: int, pad: int) -> None:
    result = tensor(2, 3, size, size + 1).conv2d(tensor(5, 3, 3, 3), padding=pad)
    found = evaluate(in_blocks(window_of(result), blocks))
    np.testing.assert_allclose(found, evaluate(simple(result)).reshape(found.shape), atol=2e-4)


@given(
    batch=st.integers(1, 3),
    channels=st.integers(2, 5),
    outputs=st.integers(2, 5),
    places=st.tuples(st.integers(4, 9), st.integers(4, 9)),
    taps=st.tuples(st.integers(2, 3), st.integers(2, 3)),
    points=st.tuples(st.sampled_from((4, 6)), st.sampled_from((4, 6))),
    pad=st.integers(0, 2),
)
def test_any_sizes(batch, channels, outputs, places, taps, points, pad) -> None:
    result = tensor(batch, channels, *places).conv2d(tensor(outputs, channels, *taps), padding=pad)
    window = window_of(result)
    blocks = [n - r + 1 for n, r in zip(points, window.taps)]
    found = evaluate(in_blocks(window, blocks))
    np.testing.assert_allclose(found, evaluate(simple(result)).reshape(found.shape), atol=2e-4)


@pytest.mark.parametrize("rank, taps", [(1, 5), (1, 3), (3, 2)])
def test_other_ranks(rank: int, taps: int) -> None:
    result = tensor(2, 3, *(6,) * rank).conv2d(tensor(4, 3, *(taps,) * rank), padding=taps // 2)
    found = evaluate(in_blocks(window_of(result), (7 - taps,) * rank))
    np.testing.assert_allclose(found, evaluate(simple(result)).reshape(found.shape), atol=2e-4)


def weight_gradient(batch: int, channels: int, size: tuple[int, int], outputs: int, taps: int = 3) -> Tensor:
    """The gradient of a convolution with respect to its weight."""
    w = tensor(outputs, channels, taps, taps).requires_grad_()
    y = tensor(batch, channels, *size).conv2d(w, padding=1)
    (y * tensor(*y.shape, seed=9)).sum().backward()
    assert w.grad is not None
    return w.grad


@given(
    batch=st.integers(2, 3),
    channels=st.integers(2, 4),
    outputs=st.integers(2, 4),
    size=st.tuples(st.integers(5, 10), st.integers(5, 10)),
    taps=st.integers(2, 3),
    points=st.tuples(st.sampled_from((4, 6)), st.sampled_from((4, 6))),
)
def test_a_gradient_of_weights_in_blocks_of_taps(batch, channels, outputs, size, taps, points) -> None:
    result = weight_gradient(batch, channels, size, outputs, taps)
    window = window_of(result)
    blocks = [n - m + 1 for n, m in zip(points, window.places)]
    found = evaluate(in_blocks_of_taps(window, blocks))
    np.testing.assert_allclose(found, evaluate(simple(result)).reshape(found.shape), atol=1e-3)


@pytest.mark.parametrize("batch, channels, size, outputs", [(8, 64, 28, 64), (2, 128, 28, 128), (4, 256, 14, 256)])
def test_the_error_is_the_stated_one(batch: int, channels: int, size: int, outputs: int) -> None:
    """Against float64, relative to the largest result; the rewrite is taken, or there would be nothing to measure."""
    result = convolution(batch, channels, size, outputs, device="CPU")
    assert "stack" in explain([result._node])
    x, w = (node for node in toposort([result._node]) if node.op == "buffer")
    exact = exact_convolution(x.attr.host.reshape(batch, channels, size, size), w.attr.host.reshape(-1, channels, 3, 3))
    error = np.abs(result.numpy() - exact).max() / np.abs(exact).max()
    assert 3e-7 < error < 6e-6


def exact_convolution(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """A 3x3 convolution with a border of one, in float64."""
    wide = np.pad(x.astype(np.float64), [(0, 0), (0, 0), (1, 1), (1, 1)])
    h, v = x.shape[2:]
    parts = (
        np.einsum("nchv,oc->nohv", wide[:, :, r : r + h, s : s + v], w[:, :, r, s].astype(np.float64), optimize=True)
        for r in range(3)
        for s in range(3)
    )
    return np.asarray(sum(parts))


def test_the_gradient_is_a_sum_in_blocks_too() -> None:
    gradients = []
    for on in (False, True):
        with Context(WINOGRAD=on):
            x = Tensor(np.random.default_rng(1).standard_normal((4, 64, 28, 28)).astype(np.float32), device="CPU")
            w = Tensor(np.random.default_rng(2).standard_normal((64, 64, 3, 3)).astype(np.float32), device="CPU")
            x.requires_grad_()
            y = x.conv2d(w, padding=1)
            (y * y).sum().backward()
            assert ("stack" in explain([x.grad._node])) == on
            gradients.append(x.grad.numpy())
    plain, blocks = gradients
    assert 0 < np.abs(plain - blocks).max() < 1e-5 * np.abs(plain).max()


def test_results_are_the_same_every_time() -> None:
    first, second = (convolution(2, 64, 28, 64, device="CPU").relu().numpy() for _ in range(2))
    assert first.tobytes() == second.tobytes()


# ------------------------------------------------------------------------------------------------------ the choice


@pytest.mark.parametrize(
    "shape, blocks",
    [
        ((8, 64, 56, 64), (4, 4)),
        ((8, 128, 28, 128), (4, 4)),
        ((8, 256, 14, 256), (4, 4)),
        ((1, 64, 56, 64), (4, 4)),
        ((16, 3, 28, 8), None),
        ((1, 512, 7, 512), None),
        ((2, 16, 32, 16), None),
    ],
)
def test_only_large_sums_over_many_channels_are_replaced(shape, blocks) -> None:
    assert best_blocks(window_of(convolution(*shape)), CPU) == blocks


@pytest.mark.parametrize(
    "shape, blocks", [((8, 64, 28, 64), (4, 4)), ((8, 256, 14, 256), (4, 4)), ((8, 8, 28, 8), None)]
)
def test_only_large_gradients_of_weights_are_replaced(shape, blocks) -> None:
    batch, channels, size, outputs = shape
    window = window_of(weight_gradient(batch, channels, (size, size), outputs))
    assert best_blocks(window, CPU) is None and best_blocks_of_taps(window, CPU) == blocks


def test_a_switch_and_other_targets_leave_the_graph_alone() -> None:
    node = simple(convolution(8, 64, 56, 64))
    assert stacks(with_winograd([node], CPU)) == 3
    assert with_winograd([node], SM90) == [node]
    with Context(WINOGRAD=0):
        assert with_winograd([node], CPU) == [node]


def test_other_types_are_left_alone() -> None:
    x, w = tensor(8, 64, 56, 56).double(), tensor(64, 64, 3, 3).double()
    node = simple(x.conv2d(w, padding=1))
    assert with_winograd([node], CPU) == [node]


def test_an_epilogue_is_computed_with_the_last_copy() -> None:
    result = convolution(8, 64, 56, 64)
    bias = tensor(1, 64, 1, 1)
    plain, more = (explain([x._node]).split()[:2] for x in (result, (result + bias).relu()))
    assert plain == more == ["7", "kernels"]
