"""Where floats and indices have edges, the results are torch's: signs of zeros, infinities, ties, masked rows."""

import math

import numpy as np
import pytest

from kernelforge import Tensor
from kernelforge.nn import functional as layers
from kernelforge.nn.functional import adaptive_avg_pool2d, linear_cross_entropy
from tests.parity.checks import assert_equal, assert_gradients_equal

torch = pytest.importorskip("torch")
F = torch.nn.functional
INF = math.inf
ROWS = np.array(
    [[1, INF, 2], [-INF, 0, 1], [-INF, -INF, -INF], [INF, INF, 0], [math.nan, 0, 1], [88, -103, 3e38]], np.float32
)


def test_neutral_operands_keep_the_sign_of_zero(device):
    zeros = np.array([-0.0, 0.0], np.float32)
    for function in (
        lambda x: x + 0.0, lambda x: 0.0 + x, lambda x: x + (-0.0), lambda x: x - 0.0, lambda x: x - (-0.0),
        lambda x: x * 1, lambda x: x / 1, lambda x: 0.0 - x, lambda x: -x, lambda x: x * -1, lambda x: x * 0.0,
    ):  # fmt: skip
        found, expected = function(Tensor(zeros)).numpy(), function(torch.tensor(zeros)).numpy()
        assert np.array_equal(np.signbit(found), np.signbit(expected))


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
def test_infinite_rows(name, device):
    assert_equal(getattr(Tensor(ROWS), name)(1), getattr(torch.tensor(ROWS), name)(1))


@pytest.mark.parametrize("kind", ["bool", "float"])
def test_attention_of_queries_that_may_look_nowhere(kind, device):
    """They get 0, and no gradient."""
    allowed = np.array([[True, False, True], [False, False, False], [True, True, True]])
    mask = allowed if kind == "bool" else np.where(allowed, np.float32(0.5), np.float32(-INF))
    rng = np.random.default_rng(0)
    q, k, v = (rng.normal(size=(2, 2, 3, 4)).astype(np.float32) for _ in range(3))
    ours = [Tensor(x, requires_grad=True) for x in (q, k, v)]
    theirs = [torch.tensor(x, requires_grad=True) for x in (q, k, v)]
    found = ours[0].scaled_dot_product_attention(*ours[1:], attn_mask=Tensor(mask))
    expected = F.scaled_dot_product_attention(*theirs, attn_mask=torch.tensor(mask))
    assert_equal(found, expected)
    assert not found.numpy()[:, :, 1].any()
    found.square().sum().backward()
    expected.square().sum().backward()
    for x, y in zip(ours, theirs):
        assert_equal(x.grad, y.grad, atol=1e-5)


def test_ties_of_maxima(device):
    """Pooling and maxima along a dimension differ: one element takes all of the gradient, or equal ones share it."""
    x = np.round(np.random.default_rng(0).normal(size=(2, 3, 7, 8))).astype(np.float32)
    for arguments in ((2,), (3, 1), (3, 2, 1)):
        assert_gradients_equal(lambda t, a=arguments: _pooled(t, "max_pool2d", *a), x)
    assert_gradients_equal(lambda t: t.max(3) if isinstance(t, Tensor) else t.amax(3), x)
    assert_gradients_equal(lambda t: t.max(), x)
    assert_gradients_equal(lambda t: t.min(), x)


def _pooled(x, name, *arguments, **options):
    if isinstance(x, Tensor):
        names = ("kernel_size", "stride", "padding") if "adaptive" not in name else ("output_size",)
        return getattr(x, name)(**dict(zip(names, arguments)), **options)
    return getattr(F, name)(x, *arguments, **options)


@pytest.mark.parametrize("name", ["adaptive_avg_pool2d", "adaptive_max_pool2d"])
@pytest.mark.parametrize("size", [1, 3, (7, 8), (2, 5), (None, 3), (9, 11)])
def test_adaptive_pooling(name, size, device):
    x = np.round(np.random.default_rng(1).normal(size=(2, 3, 7, 8)) * 2).astype(np.float32)
    assert_gradients_equal(lambda t: _pooled(t, name, size), x)


@pytest.mark.parametrize("reduce", ["sum", "prod", "mean", "amax", "amin"])
@pytest.mark.parametrize("include", [True, False])
def test_scatter_reduce(reduce, include, device):
    rng = np.random.default_rng(2)
    x, source = (np.round(rng.normal(size=shape) * 2).astype(np.float32) for shape in ((4, 5), (4, 6)))
    index = rng.integers(0, 5, (4, 6))

    def reduced(t, s):
        places = Tensor(index) if isinstance(t, Tensor) else torch.tensor(index)
        return t.scatter_reduce(1, places, s, reduce, include_self=include)

    if reduce == "prod":
        source[0, 1], source[source == 0] = 0, 1  # torch has no second derivative, and so no gradient, of two zeros
        assert_gradients_equal(reduced, np.where(x == 0, 1, x), source)
    else:  # an extremum that equals the old value, which does not count, loses gradient in torch
        assert_gradients_equal(reduced, x if include else x + 0.25, source)
    whole = [a.astype(np.int32) for a in (x * 3, source * 3)]
    assert_equal(reduced(*map(Tensor, whole)), reduced(*map(torch.tensor, whole)))


@pytest.mark.parametrize("reduce", [None, "add", "multiply"])
def test_scatter(reduce, device):
    index = np.array([[0, 2, 1], [4, 3, 0]])
    x, source = np.arange(10, dtype=np.float32).reshape(2, 5), np.full((2, 4), 2.0, np.float32)
    options = {"reduce": reduce} if reduce else {}
    found = Tensor(x).scatter(1, Tensor(index), Tensor(source), **options)
    assert_equal(found, torch.tensor(x).scatter(1, torch.tensor(index), torch.tensor(source), **options))
    found = Tensor(x).scatter(1, Tensor(index), 3.0, **options)
    assert_equal(found, torch.tensor(x).scatter(1, torch.tensor(index), 3.0, **options))


@pytest.mark.parametrize("wrong", [-1, 3, 100])
def test_classes_out_of_range(wrong, device):
    """Also where they meet a weight; the class to ignore is never out of range."""
    target, scores, weight = Tensor(np.array([0, wrong])), Tensor(np.zeros((2, 3), np.float32)), Tensor([1.0, 2.0, 3.0])
    for make in (
        lambda: target.one_hot(3),
        lambda: scores.cross_entropy(target),
        lambda: scores.cross_entropy(target, weight=weight),
        lambda: scores.nll_loss(target),
        lambda: scores.nll_loss(target, weight=weight, reduction="sum"),
    ):
        with pytest.raises(IndexError, match=r"(?s)0 <= index < 3.*written at .*test_edges.py:\d+"):
            make().numpy()
    ignored = scores.cross_entropy(target, ignore_index=wrong, weight=weight)
    assert_equal(ignored, F.cross_entropy(torch.zeros(2, 3), torch.tensor([0, wrong]), ignore_index=wrong))


def test_nothing_but_ignored_classes(numpy_device):
    assert math.isnan(Tensor.zeros(2, 3).cross_entropy(Tensor([-100, -100])).item())
    assert Tensor.zeros(2, 3).nll_loss(Tensor([-100, -100]), reduction="sum").item() == 0


def test_division_of_integers_by_zero(device):
    """By the number: an error at once, as in torch.  By a zero in a tensor: 0, as in NumPy, for kernels cannot stop."""
    x, zero = Tensor([7, -7, 0]), Tensor([0, 0, 0])
    for divide in (
        lambda a, b: a // b, lambda a, b: a % b, lambda a, b: a.fmod(b), lambda a, b: a.div(b, rounding_mode="trunc")
    ):  # fmt: skip
        with pytest.raises(ZeroDivisionError, match="int32"):
            divide(x, 0)
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            divide(torch.tensor([7]), 0)
        assert divide(x, zero).tolist() == [0, 0, 0]
    assert (x / 0).tolist()[:2] == [INF, -INF]
    assert (x.float() // 0).tolist()[:2] == [INF, -INF]


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("pads", [(-1, 2, 2, -1), (3, -3, 0, -3), (-2, -1, 1, 2), (0, 0, -5, 2), (2, -6, 1, 1)])
def test_paddings_that_crop(mode: str, pads: tuple[int, ...]) -> None:
    if mode == "circular" and min(pads) < -3:
        return  # torch goes round more than once there, over what it left out
    x = np.arange(72, dtype=np.float32).reshape(2, 1, 6, 6)
    assert_equal(Tensor(x).pad(pads, mode=mode), F.pad(torch.tensor(x), pads, mode=mode))


@pytest.mark.parametrize("p", [0, -1, -math.inf, math.inf, 0.5, 3])
def test_orders_of_norms(p: float) -> None:
    x = np.linspace(-2, 2, 15, dtype=np.float32).reshape(3, 5)
    assert_equal(Tensor(x).normalize(p), F.normalize(torch.tensor(x), p))
    assert_equal(Tensor(x).norm(p), torch.tensor(x).norm(p))


@pytest.mark.parametrize("size", [0, 2, 4, 9])
def test_places_of_a_given_number(size: int) -> None:
    x = np.array([[3, 0, 1], [0, 2, 5]], np.int32)
    kept, places = x[x > 0], np.argwhere(x)
    filled = np.full(size, -1)
    filled[: len(kept)] = kept[:size]
    assert Tensor(x).masked_select(Tensor(x > 0), size=size, fill_value=-1).tolist() == filled.tolist()
    rows = np.full((size, 2), -1)
    rows[: len(places)] = places[:size]
    assert Tensor(x).nonzero(size=size, fill_value=-1).tolist() == rows.tolist()


def test_lists_of_tensors() -> None:
    a, b = Tensor([1.0, 2.0]), Tensor([3.0, 4.0])
    assert Tensor.cat([a, b]).tolist() == a.cat(b).tolist() and Tensor.cat((a, b), 0).shape == (4,)
    assert Tensor.stack([a, b], 1).tolist() == Tensor.stack(a, b, dim=1).tolist() == [[1, 3], [2, 4]]
    assert Tensor.einsum("i,i->", [a, b]).item() == 11


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "nearest-exact"])
def test_pictures_of_bytes(mode: str) -> None:
    x = np.random.default_rng(0).integers(0, 256, (2, 3, 9, 7), np.uint8)
    found, expected = Tensor(x).interpolate((5, 13), mode), F.interpolate(torch.tensor(x), (5, 13), mode=mode)
    assert str(found.dtype) == "uint8" and abs(found.numpy().astype(int) - expected.numpy().astype(int)).max() <= 1


def test_errors_have_torchs_and_numpys_classes() -> None:
    x = Tensor.zeros(2, 3)
    for wrong in (lambda: x.reshape(5), lambda: x + Tensor.zeros(4), lambda: x.permute(0, 0), lambda: x @ x):
        for kind in (ValueError, RuntimeError):
            with pytest.raises(kind):
                wrong()
    for wrong in (lambda: x.sum(2), lambda: x.squeeze(5), lambda: Tensor(1.0).cumsum(1), lambda: x.cat(x, dim=2)):
        with pytest.raises(IndexError):
            wrong()
    with pytest.raises(RuntimeError):
        x.div(x, rounding_mode="up")
    with pytest.raises(RuntimeError):
        Tensor([1.5]) << 2


def test_arange_holds_its_numbers() -> None:
    assert str(Tensor.arange(2**31, 2**31 + 3).dtype) == "int64" and str(Tensor.arange(3).dtype) == "int32"
    assert Tensor.arange(2**31, 2**31 + 3).tolist() == [2**31, 2**31 + 1, 2**31 + 2]
    assert str(Tensor.arange(0.0, 3).dtype) == str(Tensor.arange(0, 3, 1.0).dtype) == "float32"
    assert str(Tensor.arange(Tensor(3.0)).dtype) == "float32" and Tensor.arange(Tensor(1), Tensor(3)).tolist() == [1, 2]
    with pytest.raises(OverflowError, match="int8 holds -128 to 127"):
        Tensor.arange(129, dtype="int8")
    assert Tensor.arange(127, -129, -1, dtype="int8").tolist() == list(range(127, -129, -1))


def test_gradients_of_what_does_not_count_are_zeros() -> None:
    x = Tensor([1.5, -2.0])
    for y in (x.sign(), x**0, x.floor(), Tensor([1.0]).copysign(x)):
        assert y.sum().gradient(x)[0].tolist() == [0, 0]


FLOATS = np.array([-INF, -2.5, -1.0, -0.0, 0.0, 0.5, 1.0, 2.5, INF, math.nan])


@pytest.mark.parametrize("name", ["maximum", "minimum", "fmax", "fmin", "xlogy", "xlog1py"])
def test_slopes_of_two_numbers(name: str, numpy_device: None) -> None:
    """Of ties, NaN and zeros, too: 0 log(y) has the slope log(y)."""
    x, y = (each.flatten() for each in np.meshgrid(FLOATS, FLOATS))
    if "log" in name:
        least = -1 if "1p" in name else 0
        x, y = x[(y > least) & np.isfinite(y)], y[(y > least) & np.isfinite(y)]
    theirs = torch.special.xlog1py if name == "xlog1py" else getattr(torch, name)
    ours = [Tensor(x, requires_grad=True), Tensor(y, requires_grad=True)]
    others = [torch.tensor(x, requires_grad=True), torch.tensor(y, requires_grad=True)]
    found, expected = getattr(ours[0], name)(ours[1]), theirs(*others)
    assert_equal(found, expected)
    for dx, wanted in zip(found.sum().gradient(*ours), torch.autograd.grad(expected.sum(), others)):
        assert_equal(dx, wanted)


def test_slopes_at_the_ends_and_of_equal_medians(numpy_device: None) -> None:
    x = Tensor([-1.0, 0.5, 1.0])
    assert x.erfinv().sum().gradient(x)[0].isinf().tolist() == [True, False, True]
    for values in ([2.0, 0.0, 5.0, 2.0, 2.0], [-INF, 0.0, INF], [3.0, 1.0]):
        assert_gradients_equal(lambda t: t.median(), np.array(values, np.float32))
        assert_gradients_equal(lambda t: t.nanmedian(), np.array([*values, math.nan], np.float32))
    assert_equal(Tensor(FLOATS).threshold(0.5, 20.0), F.threshold(torch.tensor(FLOATS), 0.5, 20.0))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_rows_that_are_ignored_may_hold_anything(smoothing: float, numpy_device: None) -> None:
    """A row of NaN does not reach the loss, nor its gradient the others; without any row the gradient is 0."""
    rows = np.array([[math.nan, 1, 2], [1, 0, math.nan], [3, 1, 2]])
    for last, scores in ((2, rows), (1, rows[2:].repeat(3, 0))):
        ours, theirs = Tensor(scores, requires_grad=True), torch.tensor(scores, requires_grad=True)
        options = {"ignore_index": 1, "label_smoothing": smoothing}
        found = ours.cross_entropy(Tensor([1, 1, last]), **options)
        expected = F.cross_entropy(theirs, torch.tensor([1, 1, last]), **options)
        assert_equal(found, expected)
        assert_equal(found.gradient(ours)[0], torch.autograd.grad(expected, theirs)[0])


def test_class_weights_are_as_many_as_classes(numpy_device: None) -> None:
    scores, weight = Tensor.zeros(2, 3), Tensor([1.0, 2.0])
    for wrong in (scores.cross_entropy, scores.nll_loss):
        with pytest.raises(ValueError, match=r"class weights of shape \(2,\) for 3 classes"):
            wrong(Tensor([0, 1]), weight=weight)
    with pytest.raises(ValueError, match="ignore_index=1 is a class"):
        scores.cross_entropy(scores, ignore_index=1)


def test_a_loss_of_several_classes_each_needs_a_batch(numpy_device: None) -> None:
    weight = Tensor.zeros(2, 4, 3)
    for wrong in (Tensor.zeros(3), Tensor.zeros(5, 3)):
        bias = None if wrong.ndim == 1 else Tensor.zeros(8)
        with pytest.raises(ValueError, match="linear_cross_entropy"):
            linear_cross_entropy(wrong, weight, Tensor.zeros(2, 4), linear_bias=bias)


def test_arguments_of_the_wrong_number_or_kind_are_named(numpy_device: None) -> None:
    x = Tensor.zeros(2, 3, 4)
    for wrong, words in (
        (lambda: x.movedim((0, 1), 2), "as many places as dimensions"),
        (lambda: x.rot90(1, (0,)), "two different dimensions"),
        (lambda: Tensor.cat([]), "at least one"),
        (lambda: adaptive_avg_pool2d(x, ()), "0 given, one for all or 2 expected"),
        (lambda: Tensor.zeros(5, 3).cross(Tensor.zeros(5, 1), -1), "vectors of 3"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
    with pytest.raises(TypeError, match="one of these is NoneType"):
        Tensor.cat([x, None])


def test_lists_that_begin_with_nothing(numpy_device: None) -> None:
    """torch.tensor([]) goes with tensors of any shape; its type counts."""
    rows = np.arange(6, dtype=np.int32).reshape(2, 3)
    for parts in (([], rows), (rows, [], rows), ([], [])):
        dim = 1 if len(parts) == 3 else 0
        found = Tensor.cat([Tensor(x) if len(x) else Tensor([]) for x in parts], dim)
        expected = torch.cat([torch.tensor(x) if len(x) else torch.tensor([]) for x in parts], dim)
        assert_equal(found, expected)
        assert str(found.dtype) == str(expected.dtype)[6:]
    with pytest.raises(ValueError):
        Tensor.zeros(2, 3).cat(Tensor.zeros(3))


def test_a_mask_gives_a_tensor_no_other_shape(numpy_device: None) -> None:
    for keeps in (True, False):
        x, mask = Tensor(7.0), Tensor(keeps)
        x[mask] = x[mask] * 2
        assert x.shape == () and x.item() == (14 if keeps else 7)
    row = Tensor([1.0, 2.0, 3.0])
    row[row > 1] = Tensor([[5.0]])
    assert row.tolist() == [1, 5, 5]
    columns = Tensor.zeros(3, 1)
    with pytest.raises(ValueError, match="by a mask"):
        columns[Tensor([True, False, True])] = Tensor.zeros(0)


@pytest.mark.parametrize(
    "function",
    [
        lambda t: t.clamp(-1, 1), lambda t: t.clamp(min=-1), lambda t: t.clamp(max=1), lambda t: (t + 0.0).logit(),
        lambda t: t.lgamma(), lambda t: _layer(t, "hardsigmoid"), lambda t: _layer(t, "elu"),
        lambda t: _layer(t, "celu"), lambda t: _layer(t, "selu"),
    ],
)  # fmt: skip
def test_slopes_at_special_values(function, numpy_device: None) -> None:
    """Of NaN, at infinities and at poles."""
    numbers = np.array([*FLOATS, -2.0, -3.0, 3.0, 0.25])
    ours, theirs = Tensor(numbers, requires_grad=True), torch.tensor(numbers, requires_grad=True)
    found, expected = function(ours), function(theirs)
    assert_equal(found, expected)
    assert_equal(found.sum().gradient(ours)[0], torch.autograd.grad(expected.sum(), theirs)[0])


def _layer(tensor, name: str):
    return getattr(layers if isinstance(tensor, Tensor) else F, name)(tensor)


def test_slopes_of_digamma_at_its_poles(numpy_device: None) -> None:
    """Infinite, where torch's are the largest it computes."""
    x = Tensor([0.0, -1.0, -7.0])
    assert x.digamma().sum().gradient(x)[0].tolist() == x.polygamma(1).tolist() == [INF] * 3


def test_sources_and_weights_have_the_tensors_type(numpy_device: None) -> None:
    x, index, other = Tensor.zeros(3), Tensor([0, 1]), Tensor([1.0, 2.0], dtype="float64")
    for wrong in (
        lambda: x.scatter(0, index, other), lambda: x.scatter_add(0, index, other.cast("int32")),
        lambda: x.scatter_reduce(0, index, other, "mean"), lambda: Tensor(1.0).scatter(0, Tensor(0), Tensor(1)),
        lambda: Tensor([True, False]).scatter_add(0, index, other),
    ):  # fmt: skip
        with pytest.raises(TypeError, match=r"cast\(\) the source to"):
            wrong()
    with pytest.raises(TypeError, match="class weights of float64"):
        Tensor.zeros(2, 3).nll_loss(index, weight=Tensor.ones(3, dtype="float64"))
    assert x.scatter(0, index, 2).tolist() == [2, 2, 0]
    assert Tensor([True, False]).scatter_add(0, index, Tensor([True, True])).tolist() == [True, True]


@pytest.mark.parametrize("scale", [1e30, 1e19, 1.0, 1e-30, 0.0])
def test_cosines_of_long_and_of_short_vectors(scale: float, device: str) -> None:
    """Lengths that no float holds are infinite, and their cosine is 0."""
    a, b = np.array([[1, 2], [-3, 1], [0, 1]], np.float32), np.array([[3, 1], [1, 2], [0, 1]], np.float32)
    for first, second in ((scale, scale), (scale, 1.0), (1.0, scale)):
        arrays = [a * np.float32(first), b * np.float32(second)]
        x, y = (Tensor(array, requires_grad=True, device=device) for array in arrays)
        u, v = (torch.tensor(array, requires_grad=True) for array in arrays)
        found, expected = layers.cosine_similarity(x, y), F.cosine_similarity(u, v)
        np.testing.assert_allclose(found.numpy(), expected.detach().numpy(), rtol=1e-5, atol=1e-6)
        found.sum().backward()
        expected.sum().backward()
        for ours, theirs in ((x, u), (y, v)):
            assert ours.grad is not None
            np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=1e-4, atol=1e-6 / max(scale, 1))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("tracked", [(True, True), (True, False), (False, True), (False, False)])
def test_what_changes_in_steps_has_gradients_of_zero(tracked: tuple[bool, bool], dtype: str, device: str) -> None:
    values = [[-1.5, 0.0, 2.0, -0.0, 0.7], [1.0, -2.0, -0.5, -0.0, 3.0]]
    for call in (
        lambda x, y: x.sign(), lambda x, y: x.copysign(y), lambda x, y: x.copysign(-1.0), lambda x, y: x.floor(),
        lambda x, y: x.sign() * y, lambda x, y: x.trunc() + y.sign(), lambda x, y: (x.sign() * x) * 2,
    ):  # fmt: skip
        pairs = [
            (Tensor(row, dtype=dtype, device=device, requires_grad=on), torch.tensor(row, dtype=getattr(torch, dtype)))
            for row, on in zip(values, tracked)
        ]
        for (_, other), on in zip(pairs, tracked):
            other.requires_grad_(on)
        found, expected = call(*[ours for ours, _ in pairs]), call(*[theirs for _, theirs in pairs])
        assert_equal(found.float(), expected.float())
        assert bool(found.requires_grad) == expected.requires_grad
        if not expected.requires_grad:
            continue
        found.sum().backward()
        expected.sum().backward()
        for ours, theirs in pairs:
            assert (ours.grad is None) == (theirs.grad is None)
            if ours.grad is not None:
                np.testing.assert_allclose(ours.grad.float().numpy(), theirs.grad.float().numpy(), rtol=1e-2)


def test_random_choices_have_gradients_of_zero(device: str) -> None:
    x = Tensor([0.5, 1.0], requires_grad=True, device=device)
    y = x.bernoulli()
    assert y.requires_grad and not x.detach().bernoulli().requires_grad
    y.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [0, 0]
