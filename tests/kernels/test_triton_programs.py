"""Whole programs on a device that runs Triton: what the graph's kernels compute there equals the NumPy device."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from numpy.typing import NDArray

from codegen.generate import generate
from codegen.rewrites.rewrite import prepare
from codegen.target import SM90
from kernelforge import Context, Tensor, dtypes, nn, optim
from kernelforge.fusion.lower import lower
from kernelforge.kernels import device
from tests import triton_device as triton_programs
from tests.fused import planned
from tests.triton_device import TritonDevice

pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")


@pytest.fixture
def triton_device(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of the device; at least one of its launches must have run as Triton."""
    opened = TritonDevice()
    monkeypatch.setitem(device._OPENERS, "TRITON", lambda: opened)
    yield "TRITON"
    device._opened.pop("TRITON", None)
    assert opened.launched > 0


def numbers(*shape: int) -> NDArray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def training_step() -> list[Tensor]:
    """Two steps of a small network."""
    model = nn.Sequential(nn.Linear(12, 24), nn.ReLU(), nn.Linear(24, 10))
    for number, parameter in enumerate(model.parameters()):
        parameter.assign(Tensor(numbers(*parameter.shape) / (number + 3)))
    adam = optim.Adam(model.parameters(), lr=0.01)
    x, labels = Tensor(numbers(20, 12)), Tensor(np.arange(20, dtype=np.int32) % 10)
    for _ in range(2):
        adam.zero_grad()
        loss = model(x).cross_entropy(labels)
        loss.backward()
        adam.step()
    return [loss, *model.parameters()]


def attention_block() -> list[Tensor]:
    """Causal attention in bfloat16 with its gradients."""
    q, k, v = (Tensor(numbers(2, 20, 16) + shift, requires_grad=True) for shift in (0, 0.1, 0.2))
    narrow = (t.cast(dtypes.bfloat16) for t in (q, k, v))
    out = next(narrow).scaled_dot_product_attention(next(narrow), next(narrow), is_causal=True)
    (out.cast(dtypes.float32) ** 2).sum().backward()
    return [out, *(t.grad for t in (q, k, v) if t.grad is not None)]


def attention_with_a_bias() -> list[Tensor]:
    """The gradients of attention whose batches share a bias: that of the bias is a sum over batches."""
    q, k, v, g = (Tensor(numbers(3, 2, 20, 16) + shift).cast(dtypes.bfloat16) for shift in (0, 0.1, 0.2, 0.3))
    bias = Tensor(numbers(2, 20, 20)).cast(dtypes.bfloat16)
    found = q.scaled_dot_product_attention(k, v, bias).gradient(q, k, v, bias, gradient=g)
    Tensor.realize(*found)  # in 16 bits, as which kernels are compared
    return found


def convolution() -> list[Tensor]:
    x, w = Tensor(numbers(2, 3, 9, 8), requires_grad=True), Tensor(numbers(4, 3, 3, 3), requires_grad=True)
    out = x.conv2d(w, padding=1).relu().max_pool2d(2)
    out.sum().backward()
    return [out, *(t.grad for t in (x, w) if t.grad is not None)]


def embedding_and_norm() -> list[Tensor]:
    table = Tensor(numbers(30, 17), requires_grad=True)
    index = Tensor(np.array([[3, 3, 29, 0], [7, 3, 1, 7]], np.int32))
    out = table[index].layernorm().softmax(-1)
    (out * Tensor(numbers(2, 4, 17))).sum().backward()
    assert table.grad is not None
    return [out, table.grad]


PROGRAMS = [training_step, attention_block, attention_with_a_bias, convolution, embedding_and_norm]


@pytest.mark.parametrize("program", PROGRAMS)
def test_program(program: Callable[[], list[Tensor]], triton_device: str) -> None:
    results = []
    for name in (triton_device, "NUMPY"):
        with Context(DEVICE=name):
            results.append([t.cast(dtypes.float32).numpy() for t in program()])
    for found, expected in zip(*results, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-2, atol=1e-2 * np.abs(expected).max())


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_every_product_of_attention_with_a_bias_is_on_the_matrix_unit(batch: int) -> None:
    """Also those that a gradient summed over batches is made of, which no other kernel's programs could sum."""
    q, k, v, g = (Tensor.empty(batch, 4, 512, 64, dtype="bfloat16") for _ in range(4))
    bias = Tensor.empty(4, 512, 512, dtype="bfloat16")
    found = q.scaled_dot_product_attention(k, v, bias).gradient(q, k, v, bias, gradient=g)
    programs = [generate(prepare(lower(group).kernel), SM90) for group in planned(*found, target=SM90)]
    products = [program for program in programs if "contract" in program.entry]
    assert len(products) >= 2 and all("tl.dot(" in program.source for program in products)


DRAWN = {
    "normal": lambda: Tensor.normal(300, mean=2, std=3), "randn": lambda: Tensor.randn(300, dtype="float64"),
    "exponential": lambda: Tensor.empty(300).exponential_(), "cauchy": lambda: Tensor.empty(300).cauchy_(1, 3),
    "log_normal": lambda: Tensor.empty(300).log_normal_(), "gamma": lambda: Tensor.full(9, 0.7).standard_gamma(),
}  # fmt: skip


@pytest.mark.parametrize("name", DRAWN)
def test_random_numbers_are_the_same_to_the_last_digit(
    name: str, triton_device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        triton_programs, "close", lambda made, expected, *_: np.testing.assert_array_equal(made, expected)
    )
    with Context(DEVICE=triton_device):
        DRAWN[name]().numpy()


def test_products_and_sums_of_random_numbers_round_twice() -> None:
    """Where a mask alone is drawn, they may be fused."""
    for made, expected in [
        (Tensor.normal(64, mean=2, std=3, contiguous=False), [0]),
        (Tensor(numbers(64)).dropout(0.3) * 3 + 1, []),
    ]:
        (group,) = planned(made, target=SM90)
        kernel = lower(group).kernel
        options = dict(generate(prepare(kernel), SM90).options)
        assert [options[name] for name in ("enable_fp_fusion",) if name in options] == expected


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("shape", [(2048, 40), (4, 512, 33)])
def test_a_norms_gradients_read_its_rows_once(
    shape: tuple[int, ...], dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One program walks many rows, the next ones loaded ahead, and sums up their columns; then parts are summed."""
    opened = TritonDevice()
    opened.target = replace(opened.target, cores=8)
    sources: list[str] = []
    launch = opened.launch
    monkeypatch.setattr(opened, "launch", lambda e, *rest, **more: (sources.append(e.program.source), launch(e, *rest)))
    monkeypatch.setitem(device._OPENERS, "TRITON", lambda: opened)
    results = []
    for name in ("TRITON", "NUMPY"):
        with Context(DEVICE=name):
            x, g = (Tensor(numbers(*shape) + shift).cast(dtype).contiguous().realize() for shift in (0, 0.1))
            scale, shift = (Tensor(numbers(shape[-1]) + n).realize() for n in (1, 2))
            sources.clear()
            out = x.cast(dtypes.float32).layernorm() * scale + shift
            found = out.gradient(x, scale, shift, gradient=g.cast(dtypes.float32))
            Tensor.realize(*found)
            if name == "TRITON":
                assert sum("num_stages=" in source for source in sources) == 1 and len(sources) == 3
            results.append([t.cast(dtypes.float32).numpy() for t in found])
    device._opened.pop("TRITON", None)
    assert opened.launched > 0
    for found_, expected in zip(*results, strict=True):
        np.testing.assert_allclose(found_, expected, rtol=1e-2, atol=1e-2 * np.abs(expected).max())
