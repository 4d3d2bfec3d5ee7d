"""Prepared weights are kept from the second use on, as long as their buffers live, and never when these are new."""

import gc
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernelforge import linalg, met, realize
from kernelforge.counters import GlobalCounters
from kernelforge.execution.plan_function import TRIED
from kernelforge.kernels import Device
from kernelforge.nn import Conv2d
from kernelforge.optim import SGD
from kernelforge.planning import kept
from kernelforge.settings import Context
from kernelforge.tensor import Tensor
from kernelforge.windows import winograd

X = np.random.default_rng(3).standard_normal((2, 4, 9, 9)).astype(np.float32)
SHAPE = (5, 4, 3, 3)


@pytest.fixture(autouse=True)
def blocks_everywhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Even the small convolutions of these tests are computed in blocks, and nothing is kept from other tests."""
    monkeypatch.setattr(winograd, "best_blocks", lambda window, *_: (2, 2) if max(window.taps) == 3 else None)
    monkeypatch.setattr(met, "plans_of", {})
    kept.clear()
    yield
    kept.clear()


def values(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(SHAPE).astype(np.float32)


def weight(seed: int = 0) -> Tensor:
    return Tensor(values(seed), device="CPU").realize()


def image(n: int = 2) -> Tensor:
    return Tensor(X[:n], device="CPU").realize()


def launches(x: Tensor, w: Tensor) -> int:
    """Kernels run to compute a convolution."""
    before = GlobalCounters.kernel_count
    x.conv2d(w, padding=1).realize()
    return GlobalCounters.kernel_count - before


def test_the_third_use_runs_fewer_kernels_with_the_same_results() -> None:
    x, w = image(), weight()
    with Context(KEEP=0):
        expected = x.conv2d(w, padding=1).numpy()
    kept.clear()
    counts = [launches(x, w) for _ in range(4)]
    assert counts[0] == counts[1] == counts[2] + 2 == counts[3] + 2
    assert kept.kept_bytes() == 16 * 5 * 4 * 4
    assert x.conv2d(w, padding=1).numpy().tobytes() == expected.tobytes()


def test_a_plan_that_is_a_function_uses_them_and_is_launched_for_other_weights() -> None:
    x, weights = image(), [weight(seed) for seed in range(2)]
    with Context(KEEP=0):
        expected = [x.conv2d(w, padding=1).numpy() for w in weights]
    met.plans_of.clear()
    kept.clear()
    counts = []
    for uses in (2 * TRIED, 3):
        counts.append([launches(x, weights[0]) for _ in range(uses)])
        assert x.conv2d(weights[0], padding=1).numpy().tobytes() == expected[0].tobytes()
        weights.reverse()
        expected.reverse()
    assert counts[1] == counts[0][:3] and len(set(counts[0][2:])) == 1
    (plan,) = [plans.usual for plans in met.plans_of.values() if plans.usual is not None and plans.usual.preparations]
    if getattr(Device["CPU"], "is_native", False):
        assert plan.single is not None and len(plan.batch) == plan.kernels


def test_another_input_and_another_batch_use_the_same_values() -> None:
    w = weight()
    for _ in range(2):
        launches(image(), w)
    size = kept.kept_bytes()
    assert launches(image(1), w) == launches(image(1), w) == launches(image(), w)
    assert kept.kept_bytes() == size > 0


def test_values_go_with_their_weights() -> None:
    x, w = image(), weight()
    for _ in range(3):
        launches(x, w)
    assert kept.kept_bytes()
    del w
    gc.collect()
    assert not kept.kept_bytes()


def test_no_more_is_kept_than_the_setting_says() -> None:
    x = Tensor(np.zeros((1, 128, 6, 6), np.float32), device="CPU").realize()
    weights = [Tensor(np.ones((128, 128, 3, 3), np.float32), device="CPU").realize() for _ in range(3)]
    with Context(KEEP=2):  # one weight becomes 1 MiB
        for _ in range(3):
            for w in weights:
                x.conv2d(w, padding=1).realize()
        assert kept.kept_bytes() == 2 << 20
        last, first = weights[2], weights[0]
        assert launches(x, last) + 2 == launches(x, first)
    with Context(KEEP=0):
        kept.clear()
        assert launches(x, first) == launches(x, first) == launches(x, first)
        assert not kept.kept_bytes()


def test_training_keeps_nothing() -> None:
    layer = Conv2d(4, 5, 3, padding=1)
    optimizer = SGD([layer.weight, layer.bias], lr=0.1)
    x = Tensor(X).realize()
    with Tensor.train():
        for _ in range(4):
            optimizer.zero_grad()
            (layer(x) ** 2).sum().backward()
            optimizer.step()
            assert not kept.kept_bytes()


def test_what_an_interrupted_run_was_to_compute_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    x, w = image(), weight()
    expected = x.conv2d(w, padding=1).numpy()

    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(realize, "launch", broken)
        with pytest.raises(KeyboardInterrupt):
            x.conv2d(w, padding=1).realize()
    assert not kept.kept_bytes()
    assert x.conv2d(w, padding=1).numpy().tobytes() == expected.tobytes()


def _set_item(w: Tensor, seed: int) -> Tensor:
    w[seed % 5] = float(seed)
    return w


def _add(w: Tensor, seed: int) -> Tensor:
    w += float(seed)
    return w


def _step(w: Tensor, seed: int) -> Tensor:
    w.requires_grad = True
    optimizer = SGD([w], lr=0.01 * (1 + seed))
    (w * w).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    w.requires_grad = False
    return w


WRITES = {
    "nothing": lambda w, seed: w,
    "assign": lambda w, seed: w.assign(Tensor(values(seed), device="CPU")),
    "set item": _set_item,
    "add in place": _add,
    "copy in place": lambda w, seed: w.copy_(Tensor(values(seed), device="CPU")),
    "optimiser": _step,
    "replace": lambda w, seed: weight(seed),
}


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(sorted(WRITES)), st.integers(0, 3), st.integers(0, 1)), max_size=12))
def test_writes_between_calls_are_seen(changes: list[tuple[str, int, int]]) -> None:
    x, weights = image(), [weight(0), weight(1)]
    for change, seed, which in changes:
        weights[which] = WRITES[change](weights[which], seed)
        results = [x.conv2d(w, padding=1).numpy() for w in weights for _ in range(2)]
        fresh = [Tensor(w.numpy(), device="CPU") for w in weights]
        with Context(KEEP=0):
            expected = [x.conv2d(w, padding=1).numpy() for w in fresh for _ in range(2)]
        assert [r.tobytes() for r in results] == [r.tobytes() for r in expected]


def test_a_loaded_state_is_seen() -> None:
    layer, other = Conv2d(4, 5, 3, padding=1), Conv2d(4, 5, 3, padding=1)
    x = Tensor(X).realize()
    for _ in range(3):
        before = layer(x).numpy()
    layer.load_state_dict(other.state_dict())
    assert layer(x).numpy().tobytes() == other(x).numpy().tobytes() != before.tobytes()


def test_a_table_that_depends_on_nothing_is_computed_once() -> None:
    x = Tensor(X.reshape(2, -1)[:, :64], device="CPU").realize()

    def spread() -> int:
        """Kernels run to multiply by a table of cosines."""
        before = GlobalCounters.kernel_count
        places = Tensor.arange(64, device="CPU")
        found.append((x @ (places.reshape(64, 1) * places / 64).cos().contiguous()).numpy())
        return GlobalCounters.kernel_count - before

    found: list[np.ndarray] = []
    with Context(KEEP=0):
        counts = [spread() for _ in range(3)]
    assert counts == [2, 2, 2]
    kept.clear()
    assert [spread() for _ in range(3)] == [2, 2, 1]
    assert kept.kept_bytes() == 4 * 64 * 64
    with Context(MEMORY_BUDGET=1 << 30):
        assert spread() == 2
    assert all(y.tobytes() == found[0].tobytes() for y in found)


def test_tables_of_tables_are_computed_once() -> None:
    def call() -> int:
        first = (Tensor.arange(64, device="CPU").cast("float32").reshape(8, 8) * 0.01).cos().contiguous()
        second = (Tensor.arange(64, device="CPU").cast("float32").reshape(8, 8) * 0.02).sin().contiguous()
        both = (first @ second).contiguous()
        before = GlobalCounters.kernel_count
        found = (x @ both) @ first
        assert np.allclose(found.numpy(), x.numpy() @ expected, atol=1e-4)
        return GlobalCounters.kernel_count - before

    x = Tensor(np.ones((3, 8), np.float32), device="CPU").realize()
    places = np.arange(64, dtype=np.float32).reshape(8, 8)
    expected = np.cos(places * 0.01) @ np.sin(places * 0.02) @ np.cos(places * 0.01)
    counts = [call() for _ in range(4)]
    assert counts[0] > counts[-1] <= 2


def test_tables_the_host_makes_of_equal_tables_are_told_apart() -> None:
    def table() -> Tensor:
        return ((Tensor.arange(16, device="CPU") * 7) % 11).cast("float32").reshape(4, 4).contiguous()

    x = Tensor(np.ones((3, 4), np.float32), device="CPU").realize()
    values = (np.arange(16) * 7 % 11).reshape(4, 4).astype(np.float32)
    for _ in range(4):
        for ours, theirs in ((linalg.inv, np.linalg.inv), (linalg.pinv, np.linalg.pinv)):
            np.testing.assert_allclose((x @ ours(table())).numpy(), x.numpy() @ theirs(values), atol=1e-4)
        q, r = linalg.qr(table())
        np.testing.assert_allclose((q @ r).numpy(), values, atol=1e-4)
        vectors = linalg.eigh(table() + table().T)[1]
        spread = vectors.T @ (table() + table().T) @ vectors
        np.testing.assert_allclose(spread.numpy(), np.diag(np.diagonal(spread.numpy())), atol=1e-3)


def test_of_tables_no_large_one_is_kept() -> None:
    for _ in range(3):
        (Tensor.arange(1 << 19, device="CPU").cos().contiguous() * weight().sum()).realize()
    assert not kept.kept_bytes()
