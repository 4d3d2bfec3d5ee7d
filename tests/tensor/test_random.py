"""Random numbers: the generator's known answers, distributions, reproducibility, equality on every device."""

import math

import numpy as np
import pytest

import kernelforge
from kernelforge import graph, nn
from kernelforge.errors import ArgumentError, DTypeError, ShapeError
from kernelforge.nn import functional
from kernelforge.structure import structure
from kernelforge.tensor import Tensor
from tests.fused import planned
from tests.tensor.checks import assert_same

ANSWERS = [  # key, counter, result: the generator's published test vectors
    ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
    ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
]


@pytest.mark.parametrize("case", ANSWERS)
def test_known_answers(case, device):
    key, counter, expected = (Tensor(np.array(words, np.uint32)) for words in case)
    operands = [tensor._node for pair in (counter, key) for tensor in (pair[0], pair[1])]
    words = [Tensor(graph.elementwise(name, *operands)).item() for name in ("random", "random2")]
    assert words == expected.tolist()


def draws():
    Tensor.manual_seed(42)
    return [
        Tensor.rand(7, 11),
        Tensor.randn(5, 3),
        Tensor.randint(20, low=-3, high=4),
        Tensor.rand(6, dtype="float16"),
        Tensor.rand(4, dtype="float64"),
        Tensor.randperm(9),
        Tensor.full(30, 0.3).bernoulli(),
        Tensor.rand(3, dtype="bfloat16"),
        Tensor.randint(4, low=0, high=1 << 40, dtype="int64"),
        Tensor.uniform(5, low=2, high=3),
        Tensor.normal(5, mean=9, std=2),
    ]


def test_same_seed_same_numbers(device):
    first, second = draws(), draws()
    for x, y in zip(first, second):
        np.testing.assert_array_equal(x.numpy(), y.numpy())
    Tensor.manual_seed(43)
    assert (Tensor.rand(7, 11).numpy() != first[0].numpy()).all()
    assert (Tensor.rand(7, 11).numpy() != Tensor.rand(7, 11).numpy()).any()


SEVERAL = {
    "rand": lambda: Tensor.rand(999), "rand float64": lambda: Tensor.rand(99, dtype="float64"),
    "randint": lambda: Tensor.randint(999, low=-5, high=10**6), "randperm": lambda: Tensor.randperm(101),
    "uniform": lambda: Tensor.uniform(99, low=-3, high=5), "bernoulli": lambda: Tensor.full(99, 0.3).bernoulli(),
    "uniform_": lambda: Tensor.empty(999).uniform_(2, 3.3), "normal_": lambda: Tensor.empty(999).normal_(2, 3),
    "multinomial": lambda: Tensor.arange(1.0, 99).multinomial(9),
    "with replacement": lambda: Tensor.arange(1.0, 99).multinomial(200, replacement=True),
    "binomial": lambda: kernelforge.binomial(Tensor.full(99, 20.0), Tensor.arange(99.0) / 99),
    "poisson": lambda: kernelforge.poisson(Tensor.arange(99.0) / 3), "integers": lambda: Tensor.zeros(9).random_(0, 50),
    "gamma": lambda: Tensor.standard_gamma(Tensor.arange(1.0, 999.0) / 50),
    "geometric": lambda: Tensor.zeros(999).geometric_(0.3),
    "dropout": lambda: functional.dropout(Tensor.ones(999), 0.4),
    "alpha dropout": lambda: functional.alpha_dropout(Tensor.ones(99), 0.4, True),
    "slopes": lambda: functional.rrelu(-Tensor.ones(99), training=True),
    "randn": lambda: Tensor.randn(9999), "normal": lambda: Tensor.normal(999, mean=2, std=3),
    "normal of tensors": lambda: kernelforge.normal(Tensor.arange(999.0), Tensor.arange(1.0, 1000.0)),
    "he": lambda: Tensor.kaiming_normal(9, 11), "cut": lambda: nn.init.trunc_normal_(Tensor.empty(999)),
    "choice": lambda: functional.gumbel_softmax(Tensor.zeros(999, 11), hard=True),
    **{f"randn {kind}": lambda kind=kind: Tensor.randn(999, dtype=kind)
       for kind in ("float16", "bfloat16", "float64", "complex64", "complex128")},
    **{f"{name} {kind}": lambda name=name, kind=kind: getattr(Tensor.empty(9999, dtype=kind), name)()
       for name in ("exponential_", "cauchy_", "log_normal_") for kind in ("float16", "float32", "float64")},
}  # fmt: skip


@pytest.mark.parametrize("name", SEVERAL)
def test_a_seed_gives_every_device_the_same_numbers(name):
    found = []
    for where in ("NUMPY", "CPU"):
        with kernelforge.Context(DEVICE=where):
            Tensor.manual_seed(42)
            found.append(SEVERAL[name]().numpy())
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_functions_that_random_numbers_are_computed_with(dtype, device):
    """Within one unit in the last place, of the sine within three."""
    rng = np.random.default_rng(0)
    some, turns = rng.uniform(-80, 80, 9999).astype(dtype), rng.uniform(-0.25, 0.25, 9999).astype(dtype)
    positive = np.concatenate([rng.random(9999), 1 - rng.random(99) * 1e-6, 10.0 ** rng.uniform(-30, 30, 999)])
    positive, digits = positive.astype(dtype), np.finfo(dtype).eps
    small = np.concatenate([turns, turns * 1e-9, [0.0, 1.0]]).astype(dtype)
    exactly = np.longdouble
    for found, expected, most in [
        (Tensor(positive)._log_alike(), np.log(positive.astype(exactly)), 1),
        (Tensor(small)._log1p_alike(), np.log1p(small.astype(exactly)), 3),
        (Tensor(some)._exp_alike(), np.exp(some.astype(exactly)), 1),
        (Tensor(turns)._sine_of_turn(), np.sin(2 * np.pi * turns.astype(exactly)), 3),
    ]:
        assert (np.abs(found.numpy() - expected) <= most * digits * np.abs(expected)).all()
    ends = Tensor(np.array([-1e9, -1000, 0, 1000, 1e9], dtype))._exp_alike()
    assert ends.tolist() == [0, 0, 1, math.inf, math.inf]


def test_no_number_of_cauchy_is_infinite(numpy_device, monkeypatch):
    """Numbers lie in the middle of what each uniform one stands for: 0 and the largest are as far out."""
    largest = 1 - 2.0**-24
    monkeypatch.setattr(Tensor, "rand", classmethod(lambda cls, *_, **__: cls([0.0, 0.5, largest])))
    low, middle, high = Tensor.empty(3).cauchy_().tolist()
    assert low == -high < -1e7 and 0 < middle < 1e-6


def test_golden_numbers(device):
    Tensor.manual_seed(1)
    assert_same(Tensor.randint(6, low=0, high=1000), [703, 57, 10, 926, 389, 491], 0, 0)
    assert_same(Tensor.rand(4), [0.909642994, 0.795188248, 0.0712918639, 0.301254928], rtol=1e-7)


def test_distributions(numpy_device):
    Tensor.manual_seed(0)
    n = 4000
    u, g, i = Tensor.rand(n).numpy(), Tensor.randn(n).numpy(), Tensor.randint(n, low=-2, high=3).numpy()
    assert 0 <= u.min() < 0.01 and 0.99 < u.max() < 1
    assert abs(u.mean() - 0.5) < 0.02 and abs(u.var() - 1 / 12) < 0.005
    assert abs(g.mean()) < 0.05 and abs(g.std() - 1) < 0.05 and 3 < g.max() < 6
    assert abs((g**3).mean()) < 0.2 and abs((g**4).mean() - 3) < 0.5
    counts = np.bincount(i + 2, minlength=5)
    assert len(counts) == 5 and (abs(counts - n / 5) < 5 * math.sqrt(n / 5)).all()
    assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 0.05
    assert sorted(Tensor.randperm(100).tolist()) == list(range(100))
    assert abs(Tensor.full(n, 0.3).bernoulli().mean().item() - 0.3) < 0.03


def distance(sample, cumulative):
    """The largest difference between two distributions, one a sample, in units that exceed 2 in 0.07 % of cases."""
    n, expected = len(sample), cumulative(np.sort(sample).astype(np.float64))
    steps = np.arange(n + 1) / n
    return max(np.abs(steps[1:] - expected).max(), np.abs(steps[:-1] - expected).max()) * math.sqrt(n)


def normal_cumulative(x):
    return 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_kolmogorov_smirnov(device, dtype):
    Tensor.manual_seed(7)
    for _ in range(3):
        assert distance(Tensor.rand(20_000, dtype=dtype).numpy(), lambda x: x) < 2
        assert distance(Tensor.randn(20_000, dtype=dtype).numpy(), normal_cumulative) < 2
        assert distance(Tensor.uniform(20_000, low=-2, high=6, dtype=dtype).numpy(), lambda x: (x + 2) / 8) < 2


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_parts_of_complex_numbers(numpy_device, dtype):
    Tensor.manual_seed(7)
    n = 20_000
    drawn, even = Tensor.randn(n, dtype=dtype), Tensor.rand(n, dtype=dtype)
    assert str(drawn.dtype) == str(even.dtype) == str(drawn.randn_like().dtype) == dtype
    spread, empty = Tensor.normal(n, mean=3, std=2, dtype=dtype), Tensor.empty(n, dtype=dtype)
    both, between = empty.clone().normal_(3, 2) - 3j, empty.clone().uniform_(1, 3).numpy()
    half = 0.5**0.5
    for found, center, scale in ((drawn, 0, half), (spread, 3, 2 * half), (both, 3, 2 * half)):
        values = found.numpy()
        assert distance((values.real - center) / scale, normal_cumulative) < 2
        assert distance(values.imag / scale, normal_cumulative) < 2
        assert abs(np.corrcoef(values.real, values.imag)[0, 1]) < 0.03
    for part in (even.real.numpy(), even.imag.numpy(), (between.real - 1) / 2, (between.imag - 1) / 2):
        assert distance(part, lambda x: x) < 2


def test_streams_are_independent(device):
    """Of seeds beside each other, of calls after each other, and of places at several distances."""
    n, streams = 8_192, []
    for seed in (0, 1, 2, 1 << 32):
        Tensor.manual_seed(seed)
        streams += [Tensor.randn(n).numpy() for _ in range(3)]
    shifted = [np.roll(streams[0], distance) for distance in (1, 2, 3, 16, 64, n // 2)]
    found = np.corrcoef(np.array(streams + shifted)) - np.eye(len(streams) + len(shifted))
    assert np.abs(found).max() < 5 / math.sqrt(n)


def test_every_bit_is_fair(device):
    Tensor.manual_seed(3)
    n = 20_000
    words = Tensor.randint(n, low=0, high=1 << 32, dtype="uint32").numpy()
    bits = (words[:, None] >> np.arange(32, dtype=np.uint32) & 1).astype(np.float64) * 2 - 1
    assert np.abs(bits.mean(0)).max() < 5 / math.sqrt(n)
    together = bits.T @ bits / n - np.eye(32)
    assert np.abs(together).max() < 5 / math.sqrt(n)


def test_whole_numbers_are_equally_frequent(device):
    Tensor.manual_seed(5)
    n, kinds = 20_000, 37
    counts = np.bincount(Tensor.randint(n, low=0, high=kinds).numpy(), minlength=kinds)
    chi_squared = ((counts - n / kinds) ** 2).sum() / (n / kinds)
    assert abs(chi_squared - (kinds - 1)) < 4 * math.sqrt(2 * (kinds - 1))


def test_drawing_is_one_kernel_with_what_uses_it():
    x = Tensor.ones(64, 3).realize()
    noisy = x + 0.1 * Tensor.randn(64, 3, contiguous=False)
    with Tensor.train():
        dropped = (x * 2).dropout(0.3).relu()
    for tensor in (noisy, dropped, Tensor.rand(64), Tensor.randn(64)):
        assert len(planned(tensor)) == 1


def test_initialisers(numpy_device):
    Tensor.manual_seed(0)
    for made, bound in (
        (Tensor.kaiming_uniform(40, 50, a=0), math.sqrt(6 / 50)),
        (Tensor.glorot_uniform(40, 50), math.sqrt(6 / 90)),
        (Tensor.xavier_uniform(40, 50), math.sqrt(6 / 90)),
        (Tensor.scaled_uniform(40, 50), 2000**-0.5),
    ):
        x = made.numpy()
        assert 0.95 * bound < np.abs(x).max() <= bound and abs(x.mean()) < 0.1 * bound
    assert Tensor.kaiming_normal(40, 50, a=0).numpy().std() == pytest.approx(math.sqrt(2 / 50), rel=0.05)


def test_half_precision_stays_below_one(numpy_device):
    for dtype in ("float16", "bfloat16"):
        assert Tensor.rand(5000, dtype=dtype).numpy().max() < 1


def test_every_call_has_the_same_structure():
    keys = {structure([Tensor.randn(3, 4, contiguous=False)._node]).key for _ in range(3)}
    assert len(keys) == 1


def test_dropout(numpy_device):
    Tensor.manual_seed(0)
    x = Tensor.ones(50, 40, requires_grad=True)
    assert x.dropout(0.4) is x
    with Tensor.train():
        y = x.dropout(0.4)
        assert x.dropout(0) is x and x.dropout(1).sum().item() == 0
    y.sum().backward()
    kept = y.numpy() != 0
    assert abs(kept.mean() - 0.6) < 0.04
    np.testing.assert_allclose(y.numpy()[kept], 1 / 0.6, rtol=1e-6)
    np.testing.assert_array_equal(x.grad.numpy(), y.numpy())
    with pytest.raises(ValueError, match="probability"):
        x.dropout(1.5)


def test_training_mode():
    assert not Tensor.training
    with Tensor.train():
        assert Tensor.training
        with Tensor.train(False):
            assert not Tensor.training
    Tensor.training = True
    assert Tensor.training
    Tensor.training = False


def test_errors():
    with pytest.raises(DTypeError, match="randint"):
        Tensor.rand(3, dtype="int32")
    with pytest.raises(DTypeError, match="in order"):
        Tensor.randint(3, low=5, high=5)
    with pytest.raises(ShapeError, match="2\\^32"):
        Tensor.rand(1 << 20, 1 << 12)
    with pytest.raises(ShapeError, match="2\\^32"):
        Tensor.rand(1 << 20, 1 << 11, dtype="complex64")


@pytest.mark.parametrize(("dtype", "high"), [("float16", 5000), ("bfloat16", 70000), ("float32", 1 << 25)])
def test_integers_that_a_float_type_does_not_hold_are_rounded(dtype: str, high: int, numpy_device: None) -> None:
    kernelforge.manual_seed(5)
    whole = Tensor.randint(500, low=-3, high=high, dtype="int64")
    for draw in (
        lambda: Tensor.randint(500, low=-3, high=high, dtype=dtype),
        lambda: Tensor.ones(500, dtype=dtype).randint_like(-3, high),
        lambda: Tensor.ones(500, dtype=dtype).random_(-3, high),
    ):
        kernelforge.manual_seed(5)
        found = draw()
        assert str(found.dtype) == dtype and found.tolist() == whole.cast(dtype).tolist()


@pytest.mark.parametrize(("dtype", "high"), [("float16", 70000), ("float8_e4m3fn", 500), ("float32", 1 << 64)])
def test_integers_that_a_float_type_does_not_reach_are_refused(dtype: str, high: int) -> None:
    with pytest.raises(DTypeError, match=f"randint\\(\\) of {dtype} from 0 to below {high}"):
        Tensor.ones(5).cast(dtype).randint_like(high)
    assert Tensor.ones(5).cast(dtype).random_().min().item() >= 0


def test_no_spread_is_below_zero():
    with pytest.raises(ValueError, match="standard deviation"):
        Tensor.normal(3, std=-1.0)
    assert Tensor.normal(3, mean=2.0, std=0).tolist() == [2, 2, 2]


@pytest.mark.parametrize("bad", [2, -0.1, math.nan, math.inf])
def test_what_is_no_probability_is_an_error(bad, numpy_device):
    """At once where it is a number; where it is an element, when the values are computed."""
    x = Tensor.ones(2, 3, 4)
    at_once = [lambda: x.clone().bernoulli_(bad), lambda: x.bernoulli(bad)]
    drops = ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout")
    for training in (False, True):
        at_once += [lambda n=n, t=training: getattr(functional, n)(x, bad, t) for n in drops]
    for refused in at_once:
        with pytest.raises(ArgumentError, match="takes a probability from 0 to 1"):
            refused()
    odds = Tensor([0.5, bad, 1.0])
    for draw in (odds.bernoulli, lambda: kernelforge.bernoulli(odds), lambda: Tensor.ones(3).bernoulli_(odds)):
        found = draw()
        with pytest.raises(ArgumentError, match="probabilities from 0 to 1"):
            found.tolist()


def test_probabilities_of_elements(device):
    found = Tensor.ones(3, 4, dtype="int32").bernoulli_(Tensor([0.0, 1.0, 0.0, 1.0]))
    assert found.dtype.name == "int32" and found.tolist() == [[0, 1, 0, 1]] * 3


def test_dropping_everything_leaves_gradients(numpy_device):
    x = Tensor([1.0, 2.0], requires_grad=True)
    for drop in (functional.dropout, functional.alpha_dropout):
        drop(x, 1.0, True).sum().backward()
        assert x.grad.tolist() == [0, 0]
