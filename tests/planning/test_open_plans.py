"""Kernels for open sizes give what NumPy does, for every size, and are compiled once."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from kernelforge import Tensor, jit, met
from kernelforge.autograd import grad
from kernelforge.counters import GlobalCounters
from kernelforge.planning import open_plans
from kernelforge.settings import Context
from kernelforge.windows import winograd
from tests.forgotten import forget

SIZES = [(29, 7), (3, 31), (13, 13), (33, 61), (4, 129)]
WEIGHT = np.random.default_rng(7).standard_normal((24, 40)).astype(np.float32)
Made = Callable[[Tensor], Tensor]

FUNCTIONS: dict[str, Made] = {
    "elementwise": lambda x: (x * 2 + 1).tanh(),
    "sum of rows": lambda x: x.sum(1),
    "sum of columns": lambda x: x.sum(0),
    "sum": lambda x: x.sum(),
    "mean": lambda x: x.mean((0, 1)),
    "var": lambda x: x.var(1),
    "softmax": lambda x: x.softmax(1),
    "argmax": lambda x: x.argmax(1),
    "cumsum": lambda x: x.cumsum(1),
    "flip": lambda x: x.flip(1) + x.flip(0),
    "transpose": lambda x: x.transpose(0, 1).contiguous(),
    "reshape": lambda x: x.reshape(-1, x.shape[2]) * 2,
    "shrink": lambda x: x[1:, :-1],
    "stride": lambda x: x[:, ::2].sum((1, 2)),
    "cat": lambda x: x.cat(x * 2, dim=1).sum(2),
    "pad": lambda x: x.pad(((0, 0), (2, 1), (0, 0))).sum(1),
    "masked": lambda x: x.sum(2).tril().sum(0),
    "product": lambda x: x @ Tensor(WEIGHT),
    "scores": lambda x: (x @ x.transpose(1, 2)).softmax(-1),
    "attention": lambda x: x.scaled_dot_product_attention(x, x, is_causal=True),
    "layernorm": lambda x: (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True) + 1e-5).sqrt(),
    "windows": lambda x: x.transpose(1, 2).avg_pool2d((1, 2), 1),
    "pooled": lambda x: x.unsqueeze(2).max_pool2d((1, 2)),
    "sorted": lambda x: x.sort(1)[0],
    "half": lambda x: x.half().sum(1).float(),
    "positions": lambda x: Tensor.arange(x.shape[1]).reshape(1, -1, 1) * x,
    "gathered": lambda x: x[:, Tensor([1, 0, 1])],
}


CLOSED = ("stride", "windows")  # half a size is no formula of it; a pack as long as a row is no other row's


def arrays(sizes: tuple[int, int], seed: int) -> NDArray:
    return np.random.default_rng(seed).standard_normal((*sizes, 24)).astype(np.float32)


@pytest.fixture(autouse=True)
def new_families() -> None:
    """Nothing is known of any graph: one that an earlier test met would be no first one here."""
    forget()


def results(made: Made, sizes: Sequence[tuple[int, int]], open_sizes: int) -> tuple[list[NDArray], int]:
    """What a function gives for arrays of several sizes, and the kernels compiled from the third on."""
    found, late = [], 0
    with Context(OPEN=open_sizes, DEVICE="CPU"):
        for number, size in enumerate(sizes):
            before = GlobalCounters.compiled
            found.append(made(Tensor(arrays(size, number), device="CPU")).numpy())
            late += (GlobalCounters.compiled - before) * (number >= 2)
    return found, late


@pytest.mark.parametrize("name", FUNCTIONS)
def test_all_sizes_give_the_same(name: str) -> None:
    found, late = results(FUNCTIONS[name], SIZES, 1)
    expected, _ = results(FUNCTIONS[name], SIZES, 0)
    for size, x, y in zip(SIZES, found, expected):
        np.testing.assert_allclose(x, y, rtol=2e-5, atol=2e-5, err_msg=str(size))
    assert late == 0 or name in CLOSED


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("alike", [0, 1])
def test_two_sizes_alike_in_one_dimension_suggest_that_it_changes_too(name: str, alike: int) -> None:
    """The first dimension of both is as long, or the second: kernels for any size of both come with the second."""
    sizes = [(4, 16), (4, 37) if alike else (9, 16), (13, 13), (33, 61), (4, 129), (9, 16)]
    found, late = results(FUNCTIONS[name], sizes, 1)
    expected, _ = results(FUNCTIONS[name], sizes, 0)
    for size, x, y in zip(sizes, found, expected):
        np.testing.assert_allclose(x, y, rtol=2e-5, atol=2e-5, err_msg=str(size))
    assert late == 0 or name in CLOSED


def heads(x: Tensor) -> Tensor:
    batch, length, _ = x.shape
    q = (x @ Tensor(WEIGHT / 5)).reshape(batch, length, 4, 10).transpose(1, 2)  # scores of about 1
    return q.scaled_dot_product_attention(q, q, is_causal=True).transpose(1, 2).reshape(batch, length, 40)


OF_ONE: dict[str, Made] = {
    **{name: made for name, made in FUNCTIONS.items() if name not in ("shrink", "gathered", "windows", "sorted")},
    "heads": heads,
    "masked rows": lambda x: (x @ x.transpose(1, 2)).tril().softmax(-1) @ x,
    "mean of both": lambda x: x - x.mean((0, 1)) + x.mean(0).flip(0).cumsum(0),
}


@pytest.mark.parametrize("name", OF_ONE)
@pytest.mark.parametrize("first", [(3, 31), (1, 31)])
def test_sizes_of_one_take_the_kernels_of_others(name: str, first: tuple[int, int]) -> None:
    """What is missing where nothing is repeated or summed computes the same with it; when one of these is the first, it
    tells what changes in the second."""
    sizes = [first, (13, 16), (1, 13), (33, 1), (7, 61), (1, 129), (1, 2)]
    found, late = results(OF_ONE[name], sizes, 1)
    with Context(DEVICE="NUMPY"):
        expected = [OF_ONE[name](Tensor(arrays(size, i), device="NUMPY")).numpy() for i, size in enumerate(sizes)]
    for size, x, y in zip(sizes, found, expected):
        np.testing.assert_allclose(x, y, rtol=2e-5, atol=2e-5, err_msg=str(size))
    assert late == 0 or name in CLOSED


@pytest.mark.parametrize("mode", ["eagerly", "captured"])
@pytest.mark.parametrize("name", ["heads", "masked rows", "mean of both"])
def test_random_sizes_in_other_modes(name: str, mode: str) -> None:
    rng = np.random.default_rng(len(name))
    drawn = [(int(rng.integers(1, 30)), int(rng.integers(1, 90))) for _ in range(4)]
    sizes = [(4, 16), (4, 37), *drawn, (1, 5), (1, 1)]
    made = jit(OF_ONE[name]) if mode == "captured" else OF_ONE[name]
    for number, size in enumerate(sizes):
        given = arrays(size, number)
        with Context(DEVICE="CPU", EAGER=int(mode == "eagerly")), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes that did not return
            found = made(Tensor(given, device="CPU")).numpy()
        with Context(DEVICE="NUMPY"):
            expected = OF_ONE[name](Tensor(given, device="NUMPY")).numpy()
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5, err_msg=str(size))


def test_graphs_of_one_that_compute_something_else_have_their_own_kernels() -> None:
    """Where sizes are 1 sums over one dimension look like those over another; the same operations are in all."""
    kinds: list[Made] = [
        lambda x: x.sum(0) * x.mean(1)[:1],
        lambda x: x.sum(1)[:1] * x.mean(0),
        lambda x: x.sum((0, 1)) * x.mean(0),
        lambda x: x.mean((0, 1)) * x.sum(0),
    ]
    for number, size in enumerate([(3, 7), (5, 9), (1, 4), (4, 1), (1, 1), (2, 8), (1, 7)]):
        for made in kinds:
            given = arrays(size, number)
            with Context(OPEN=0):
                own = made(Tensor(given)).numpy()
            np.testing.assert_allclose(made(Tensor(given)).numpy(), own, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("value", [1 / 3, 1 / 24, 3.0])
def test_constants_with_more_digits_than_their_type_stay_what_they_are(value: float) -> None:
    """Also where they are one through a size that was the same in two graphs, and is likely to be another soon."""
    sizes = [(3, 8), (3, 9), (5, 9), (3, 17)]
    found, _ = results(lambda x: x.half() * value, sizes, 1)
    expected, _ = results(lambda x: x.half() * value, sizes, 0)
    for x, y in zip(found, expected):
        np.testing.assert_array_equal(x, y)


def test_families_that_make_way_for_others_hold_no_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where graphs with sizes of 1 are compared with them."""
    monkeypatch.setattr(open_plans, "MOST_FAMILIES", 2)
    results(FUNCTIONS["elementwise"], SIZES[:3], 1)
    (first,) = [family for kind in open_plans._kinds.values() for family in kind.families]
    assert first.open is not None
    for name in ("sum of rows", "sum of columns"):
        results(FUNCTIONS[name], SIZES[:1], 1)
    assert first.open is None and len(open_plans._families) == len(open_plans._kinds) == 2


@pytest.mark.parametrize("first", [(2, 2), (1, 8)])
def test_arrays_that_are_used_in_shapes_of_fewer_dimensions(first: tuple[int, int]) -> None:
    """Computed one by one, operations read the same memory as a row, a column, or an array."""

    def made(x: Tensor) -> Tensor:
        places = Tensor.arange(x.shape[1])
        return x + (places.reshape(-1, 1) == places).float() @ x

    with Context(EAGER=1, DEVICE="CPU"):
        for number, size in enumerate([first, (1, 16), (3, 64), (2, 1), (5, 16)]):
            given = arrays(size, number)
            np.testing.assert_allclose(made(Tensor(given)).numpy(), 2 * given, rtol=2e-5, atol=2e-5)


PARTS: dict[str, Made] = {
    "joined": lambda x: x.cat(x * 2, dim=1)[:, 3:10] + 1,
    "joined thrice": lambda x: x.cat(x * 2, x * 3, dim=1)[:, 2:5] * 3,
    "padded": lambda x: x.pad(((0, 0), (2, 7), (0, 0)))[:, 1:9] * 3,
    "taken one by one": lambda x: (x[:, 0] * 3 + x[:, 1]) * x[:, 2] - x[:, -1],
    "joined, then in a row": lambda x: x.cat(x * 2, dim=1).reshape(-1)[100:240] + 1,
    "last places compared with a number": lambda x: (Tensor.arange(x.shape[1]) < 5).reshape(-1, 1).where(x, 0)[:, -3:],
    "places divided": lambda x: x * (Tensor.arange(x.shape[1])[-1:] // 1000 + 1),
    "a count compared with a number": lambda x: (Tensor.ones(x.shape[1]).sum() < 10).where(x, -x),
}


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("first", [20, 7])
def test_parts_that_reach_into_the_next_array_where_the_first_is_short(name: str, first: int) -> None:
    sizes = [(3, first), (3, first + 1), (3, 31), (3, 7), (3, 4), (3, 5), (3, 12), (3, 6), (3, 3)]
    found, _ = results(PARTS[name], sizes, 1)
    expected, _ = results(PARTS[name], sizes, 0)
    for size, x, y in zip(sizes, found, expected):
        np.testing.assert_allclose(x, y, rtol=2e-5, atol=2e-5, err_msg=str(size))


def test_places_in_arrays_that_are_larger_than_int32_holds_where_plans_are_made() -> None:
    """Sizes are multiplied there, and there are more elements than an index of this type counts."""
    for number, size in enumerate([(7, 5, 6), (3, 4, 11), (8, 9, 4), (2, 3, 5)]):
        values = np.random.default_rng(number).standard_normal(size).astype(np.float32)
        put = Tensor(values, device="CPU").reshape(-1).index_put((Tensor([2]),), Tensor.ones(1))
        expected = values.reshape(-1).copy()
        expected[2] = 1
        np.testing.assert_array_equal(put.cat(put * 2).numpy(), np.concatenate([expected, expected * 2]))
        with pytest.raises(IndexError, match="out of range"):
            Tensor(values, device="CPU").reshape(-1)[Tensor([1, values.size])].numpy()


def test_what_was_guessed_wrongly_is_learned() -> None:
    """Of an array the dimension that changes next is another one than was thought; of two, theirs are not as long."""

    def both(x: Tensor, y: Tensor) -> Tensor:
        return x.softmax(1) + y.sum(0)

    shapes = [(3, 5, 7), (4, 5, 7), (4, 5, 9), (6, 5, 4), (2, 8, 11)], [(2, 7), (3, 7), (5, 9), (5, 4), (5, 11)]
    for number, (first, second) in enumerate(zip(*shapes)):
        rng = np.random.default_rng(number)
        x, y = rng.standard_normal(first).astype(np.float32), rng.standard_normal(second).astype(np.float32)
        expected = np.exp(x) / np.exp(x).sum(1, keepdims=True) + y.sum(0)
        with Context(OPEN=1, DEVICE="CPU"):
            np.testing.assert_allclose(both(Tensor(x), Tensor(y)).numpy(), expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("name", [*FUNCTIONS, "row"])
def test_what_kernels_for_open_sizes_mean_is_known(name: str) -> None:
    made = FUNCTIONS.get(name, lambda x: x[1])
    with Context(VERIFY=1):
        before = GlobalCounters.verified - GlobalCounters.kernel_count
        results(made, SIZES[:3], 1)
        assert GlobalCounters.verified - GlobalCounters.kernel_count == before
    assert name in CLOSED or any(plan.sizes for known in met.plans_of.values() for plan in known.made.values())


def test_last_tiles_that_begin_in_the_middle_of_a_panel(monkeypatch: pytest.MonkeyPatch) -> None:
    """25 rows for each image, of which 32 are packed side by side: some batches leave more than half a panel."""
    monkeypatch.setattr(winograd, "best_blocks", lambda window, *_: (2, 2) if max(window.taps) == 3 else None)
    weight = Tensor(WEIGHT.reshape(-1)[:180].reshape(5, 4, 3, 3), device="CPU").realize()
    images = [np.random.default_rng(n).standard_normal((n, 4, 9, 9)).astype(np.float32) for n in (2, 3, 1, 5, 7)]

    def convolved(open_sizes: int) -> list[NDArray]:
        with Context(OPEN=open_sizes, DEVICE="CPU"):
            return [Tensor(x, device="CPU").conv2d(weight, padding=1).numpy() for x in images]

    found = convolved(1)
    assert any(plan.sizes for known in met.plans_of.values() for plan in known.made.values())
    for x, y in zip(found, convolved(0)):
        np.testing.assert_allclose(x, y, atol=1e-4)


LONG = {
    "attention": lambda x: x.scaled_dot_product_attention(x, x, is_causal=True),
    "attention of all": lambda x: x.scaled_dot_product_attention(x, x),
    "masked rows": lambda x: (x @ x.transpose(1, 2)).tril().softmax(-1) @ x,
    "windows": lambda x: x.transpose(1, 2).conv2d(Tensor(WEIGHT[:, :36].reshape(12, 24, 3)), padding=1),
    "turned": lambda x: (x @ Tensor(WEIGHT)).transpose(1, 2).contiguous(),
}


@pytest.mark.parametrize("name", LONG)
def test_boxes_for_long_rows_serve_short_ones(name: str) -> None:
    made = LONG[name]
    for number, sizes in enumerate([(7, 150), (4, 190), (9, 2), (5, 9), (3, 8), (2, 33), (1, 131), (6, 129), (2, 400)]):
        given = arrays(sizes, number)
        with Context(OPEN=0):
            own = made(Tensor(given)).numpy()
        np.testing.assert_allclose(made(Tensor(given)).numpy(), own, rtol=2e-5, atol=2e-5)


def test_long_rows_of_any_length_are_sorted() -> None:
    sizes = [(3, 300), (2, 410), (5, 250), (1, 700)]
    found, late = results(lambda x: x.sort(1)[0], sizes, 1)
    for number, (size, x) in enumerate(zip(sizes, found)):
        np.testing.assert_array_equal(x, np.sort(arrays(size, number), 1))
    assert late == 0


def test_gradients_of_all_sizes() -> None:
    def step(x: Tensor) -> Tensor:
        w = Tensor(WEIGHT, device="CPU", requires_grad=True)
        loss = ((x @ w).relu() - 1).square().mean()
        loss.backward()
        assert w.grad is not None
        return w.grad

    found, late = results(step, SIZES, 1)
    expected, _ = results(step, SIZES, 0)
    for size, x, y in zip(SIZES, found, expected):
        np.testing.assert_allclose(x, y, rtol=2e-4, atol=2e-5, err_msg=str(size))
    assert late == 0


@pytest.mark.parametrize("first", [29, 1])
def test_gradients_for_a_batch_of_one_take_the_kernels_of_others(first: int) -> None:
    """Sums of a gradient leave out axes of size 1, where nothing was broadcast."""
    sizes, other = [(first, 7), (3, 31), (1, 13), (33, 61), (1, 129)], WEIGHT.T.copy()

    def step(x: Tensor) -> Tensor:
        ws = [Tensor(w, device="CPU", requires_grad=True) for w in (WEIGHT, other)]
        y = (x @ ws[0]).relu() @ ws[1] * x.mean((0, 1), keepdim=True)
        first, second = (y - x).square().mean().gradient(*ws)
        return (first @ second).reshape(-1).cat(y.sum((0, 1)), dim=0)

    found, late = results(step, sizes, 1)
    expected, _ = results(step, sizes, 0)
    for size, x, y in zip(sizes, found, expected):
        np.testing.assert_allclose(x, y, rtol=2e-4, atol=2e-5, err_msg=str(size))
    assert late == 0


@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_gradients_that_read_the_same_of_more_operands(dtype: str) -> None:
    """What a sum passes on is what it is given, however many operands there are that it does not read."""
    draw = np.random.default_rng(11)
    for terms, sizes in (2, (5, 3)), (3, (7, 4)), (4, (2, 6)), (2, (8, 9)), (5, (3, 3)):
        xs = [Tensor(draw.standard_normal(sizes).astype(dtype), requires_grad=True) for _ in range(terms)]
        dy = draw.standard_normal(sizes).astype(dtype)
        products = [x * xs[1] for x in xs[2:]]
        found = grad(sum(products, xs[0] - xs[1]), xs[:1], Tensor(dy))
        np.testing.assert_array_equal(found[0].numpy(), dy, err_msg=f"{terms} operands of {sizes}")


def test_large_plans_that_stay_are_made_for_their_very_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(met, "OFTEN", 4)
    monkeypatch.setattr(met, "FEW", 1)
    tensors = [Tensor.randn(rows, 300, device="CPU").realize() for rows in (1000, 1200, 1300, 1400)]

    def compiled(x: Tensor, times: int) -> int:
        before = GlobalCounters.compiled
        for _ in range(times):
            (x.exp().sum(1) * 2).realize()
        return GlobalCounters.compiled - before

    with Context(OPEN=1, DEVICE="CPU"):
        assert compiled(tensors[0], 9) > 0, "the first size has kernels of its own from the start"
        assert compiled(tensors[1], 1) > 0, "the second makes those for any size"
        assert compiled(tensors[2], 4) == 0 and compiled(tensors[2], 5) > 0, "a third has its own once it ran often"
        assert compiled(tensors[1], 5) > 0, "and so has the second"
        assert compiled(tensors[3], 9) == 0, "the more have, the longer it takes for others"
        assert compiled(tensors[3], 1) > 0


ALONG: dict[str, Made] = {
    "rows": lambda x: x.sum(1),
    "extrema": lambda x: x.max(1),
    "columns": lambda x: x.sum(0),
    "softmax": lambda x: x.softmax(1),
    "norm": lambda x: (x - x.mean(1, keepdim=True)).square().sum(1),
    "scan": lambda x: x.cumsum(1),
    "chain": lambda x: x.exp() * x.sum(0, keepdim=True),
}


@pytest.mark.parametrize("name", ALONG)
def test_rows_of_any_length(name: str) -> None:
    """Lengths that fill whole tiles, whole vectors, some of these and a little, or none: never are others compiled."""
    rng = np.random.default_rng(3)
    late = 0
    with Context(DEVICE="CPU"):
        for number, size in enumerate((70, 83, 2, 15, 16, 17, 31, 32, 63, 64, 65, 79, 80, 81, 128, 511, 512, 580, 591)):
            x = rng.standard_normal((3 + number, size)).astype(np.float32)
            before = GlobalCounters.compiled
            with Context(OPEN=1):
                found = ALONG[name](Tensor(x)).numpy()
            late += (GlobalCounters.compiled - before) * (number >= 2)
            with Context(OPEN=0):
                expected = ALONG[name](Tensor(x.astype(np.float64))).numpy()
            np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-4, err_msg=str(size))
    assert late == 0


def test_much_along_short_sizes_has_kernels_of_its_own_once_it_ran_twice() -> None:
    def compiled(rows: int, columns: int) -> int:
        x, before = Tensor.randn(rows, columns, device="CPU").realize(), GlobalCounters.compiled
        found = (x - x.max(1, keepdim=True)).numpy()
        np.testing.assert_allclose(found, x.numpy() - x.numpy().max(1, keepdims=True), rtol=1e-6)
        return GlobalCounters.compiled - before

    with Context(OPEN=1, DEVICE="CPU"):
        assert compiled(900, 300) and compiled(901, 310), "one for the first, and those for any size"
        assert not compiled(40, 7), "little along short rows"
        assert not compiled(2000, 290), "much along long ones"
        assert compiled(200_000, 8), "rows beyond the bound"
        assert [bool(compiled(150_000, 7)) for _ in range(4)] == [False, False, True, False], "much along short ones"
        assert not any(compiled(190_000 + rows, 5) for rows in range(20)), "but not for ever new sizes"


def test_hidden_sizes_that_lengths_of_parts_could_divide_stay_what_they_are() -> None:
    """Sums over rows are cut in parts: of about a thousand rows, eight of 128, two of which are 256."""
    first = np.random.default_rng(8).standard_normal((64, 256)).astype(np.float32) / 16
    second = np.random.default_rng(9).standard_normal((256, 64)).astype(np.float32) / 16

    def step(x: Tensor) -> Tensor:
        x, v, w = x.pad((0, 40)), Tensor(first, device="CPU", requires_grad=True), Tensor(second, device="CPU")
        loss = ((x @ v).relu() @ w - x).square().mean()
        loss.backward()
        assert v.grad is not None
        return v.grad + loss

    found, late = results(step, SIZES, 1)
    expected, _ = results(step, SIZES, 0)
    for size, x, y in zip(SIZES, found, expected):
        np.testing.assert_allclose(x, y, rtol=2e-4, atol=2e-5, err_msg=str(size))
    assert late == 0


@pytest.mark.parametrize(("channels", "outputs", "groups", "stride", "padding"), [(12, 9, 1, 2, 1), (18, 18, 18, 1, 0)])
def test_windows_over_planes_of_any_size(channels: int, outputs: int, groups: int, stride: int, padding: int) -> None:
    """Panels are packed as far as they are read, in blocks as long as planes were when their kernels were made."""
    rng = np.random.default_rng(5)
    taps = rng.standard_normal((outputs, channels // groups, 3, 3)).astype(np.float32)
    for batch, size in (2, 9), (5, 11), (3, 30), (21, 5):
        array = rng.standard_normal((batch, channels, size, size)).astype(np.float32)
        padded = np.pad(array, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
        views = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))[:, :, ::stride, ::stride]
        views = views.reshape(batch, groups, channels // groups, *views.shape[2:])
        shape = groups, outputs // groups, channels // groups, 3, 3
        expected = np.einsum("bgchwrs,gocrs->bgohw", views, taps.reshape(shape))
        along = np.einsum("bgchwrs,bgohw->gocrs", views, expected)
        with Context(OPEN=1, DEVICE="CPU"):
            w = Tensor(taps, requires_grad=True)
            y = Tensor(array).conv2d(w, stride=stride, padding=padding, groups=groups)
            (dw,) = grad((y * y.detach()).sum(), [w])
            np.testing.assert_allclose(y.numpy().reshape(expected.shape), expected, atol=1e-4)
            np.testing.assert_allclose(dw.numpy().reshape(along.shape), along, atol=1e-5 * np.abs(along).max())


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_products_in_groups_end_with_the_axis(dtype: str) -> None:
    """What lies behind the operands is read by nobody: it is NaN there, or large."""
    rng = np.random.default_rng(3)
    for n in [*range(1, 40), *range(60, 100, 7)]:
        a, b = (rng.integers(-3, 4, 160).astype(np.float32) for _ in range(2))
        x, y = (Tensor(np.where(np.arange(160) < n, v, 127), dtype=dtype).realize() for v in (a, b))
        x, y = x[:n], y[:n]
        assert (x * y).sum(dtype="float32").item() == (a * b)[:n].sum()
        x, y = Tensor(a[:n], dtype=dtype).realize(), Tensor(b[:n], dtype=dtype).realize()
        assert abs((x @ y).float().item() - (a * b)[:n].sum()) <= 2


def test_grids_of_few_points_of_changing_numbers() -> None:
    """Kernels met at these sizes suggest others that have no places at the sizes plans are typically made for."""
    lines = [Tensor(np.arange(n, dtype=np.float32), device="CPU") for n in (3, 4, 3)]
    with Context(OPEN=1, DEVICE="CPU"):
        for indexing in ("ij", "xy"):
            for some in (lines[:1], lines[:2], [lines[0], Tensor(10.0, device="CPU"), *lines[1:]]):
                expected = np.meshgrid(*(x.numpy() for x in some), indexing=indexing)
                for x, y in zip(some[0].meshgrid(*some[1:], indexing=indexing), expected, strict=True):
                    np.testing.assert_array_equal(x.realize().numpy(), y.reshape(x.shape))


def test_what_another_thread_learns_meanwhile_is_of_no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_kernels = open_plans.compiled

    def meanwhile(found: open_plans.OpenPlan, sizes: dict[str, int], device: str) -> None:
        compile_kernels(found, sizes, device)
        for family in open_plans._families.values():
            family.open = None

    monkeypatch.setattr(open_plans, "compiled", meanwhile)
    for size in SIZES:
        values = arrays(size, 1)
        np.testing.assert_allclose((Tensor(values) * 2 + 1).sum(2).numpy(), (values * 2 + 1).sum(2), 1e-4, 1e-4)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_numbers_with_more_digits_than_narrow_floats_keep_them(dtype: str) -> None:
    for number, size in product((2.0, 0.5, 0.1, 0.7), (43, 516, 1000)):
        x = Tensor(arrays((size, 1), size)).cast(dtype).realize()
        with Context(OPEN=0):
            expected = (x * number).numpy()
        np.testing.assert_array_equal((x * number).numpy(), expected)


def test_constants_that_are_results_are_those_of_every_size() -> None:
    for size in range(2, 10):
        x = Tensor(np.arange(size, dtype=np.float32)) * float(size)
        part = x[0:1]
        part.mul_(3.0)
        part[0] = float(size)
        Tensor.realize(x, part)
        assert part.tolist() == [size]
        assert x.tolist() == [size, *(i * size for i in range(1, size))]
