"""Triton as a compiler, without a GPU: kernels become cubins whose machine code is what was meant."""

from importlib.util import find_spec

import pytest

from codegen.dtypes import DType, dtypes
from codegen.generate import generate
from codegen.index import Index
from codegen.ir import Expr, Kernel, apply
from codegen.program import Program
from codegen.rewrites.rewrite import prepare
from codegen.target import SM80, SM90, Target
from kernelforge import Tensor
from kernelforge.fusion.lower import lower
from tests.codegen import written_kernels as written
from tests.codegen.triton_harness import Machine, compiled
from tests.codegen.written_kernels import Field, add, mul, number, over, tensor
from tests.fused import planned

pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")

SIZE = 4096
SINGLE, HALF = dtypes.float32, dtypes.bfloat16
TARGETS = {"sm_80": SM80, "sm_90": SM90}


def values(name: str, *shape: int, dtype: DType) -> Field:
    """A tensor as float32 values."""
    raw = tensor(name, *shape, dtype=dtype)
    return raw if dtype is SINGLE else lambda *place: apply("cast", raw(*place), dtype=SINGLE)


def gelu(x: Expr) -> Expr:
    return mul(mul(x, number(0.5)), add(number(1), apply("erf", mul(x, number(0.5**0.5)))))


def machine(kernel: Kernel, target: Target) -> Machine:
    """The machine code of a kernel under its default schedule; sound in any case."""
    capability = int(target.name.removeprefix("sm_"))
    made = compiled(generate(prepare(kernel), target), capability)
    made.assert_sound(capability)
    return made


@pytest.mark.parametrize("target", TARGETS)
def test_elementwise_moves_16_bytes(target: str) -> None:
    x, y = values("x", 1 << 20, dtype=HALF), values("y", 1 << 20, dtype=SINGLE)
    kernel = written.kernel("chain", (1 << 20,), lambda i: gelu(add(x(i), y(i))), dtype=HALF)
    machine(kernel, TARGETS[target]).assert_wide()


def test_odd_sizes_move_16_bytes_but_for_the_last_tile() -> None:
    size = 1_000_003
    x = values("x", size, dtype=HALF)
    made = machine(written.kernel("odd", (size,), lambda i: gelu(x(i)), dtype=HALF), SM90)
    assert made.count(r"LDG.*128") and made.count(r"STG.*128")


def test_transposes_move_16_bytes() -> None:
    x = values("x", SIZE, SIZE, dtype=HALF)
    machine(written.kernel("turned", (SIZE, SIZE), lambda i, j: x(j, i), dtype=HALF), SM90).assert_wide()


@pytest.mark.parametrize("columns", [1024, 50_304])
@pytest.mark.parametrize("dtype", [SINGLE, HALF], ids=str)
def test_rows_move_16_bytes(dtype: DType, columns: int) -> None:
    x = values("x", 256, columns, dtype=dtype)
    machine(written.kernel("softmax", (256, columns), written.softmax(x, columns), dtype=dtype), SM90).assert_wide()


def test_layer_norm_moves_16_bytes() -> None:
    x = values("x", SIZE, 1024, dtype=HALF)
    machine(written.kernel("norm", (SIZE, 1024), written.normalised(x, 1024), dtype=HALF), SM90).assert_wide()


def product(dtype: DType, size: int, epilogue: bool) -> Kernel:
    a, b, c = (
        values(name, *shape, dtype=dtype) for name, shape in (("a", (size, size)), ("b", (size, size)), ("c", (size,)))
    )

    def field(i: Index, j: Index) -> Expr:
        total = written.matmul(a, b, size)(i, j)
        return gelu(add(total, c(j))) if epilogue else total

    return written.kernel("product", (size, size), field, dtype=dtype)


@pytest.mark.parametrize("epilogue", [False, True], ids=["plain", "gelu"])
@pytest.mark.parametrize("dtype", [SINGLE, HALF], ids=str)
def test_products_use_warp_groups(dtype: DType, epilogue: bool) -> None:
    made = machine(product(dtype, SIZE, epilogue), SM90)
    made.assert_matrix_unit("HGMMA")
    if dtype is HALF and not epilogue:  # the largest tile: by the copy engine
        assert made.count("UTMALDG") and not made.count("LDGSTS")
    else:
        assert made.count(r"LDGSTS.*128") and not made.count(r"LDGSTS(?!.*128)")
    assert not epilogue or dtype is SINGLE or made.registers < 200


@pytest.mark.parametrize("dtype", [SINGLE, HALF], ids=str)
def test_products_on_the_older_matrix_unit(dtype: DType) -> None:
    machine(product(dtype, SIZE, False), SM80).assert_matrix_unit("HMMA")


@pytest.mark.parametrize("dtype, depth, causal", [(HALF, 64, False), (HALF, 128, True), (SINGLE, 64, False)], ids=str)
def test_attention_stays_on_chip(dtype: DType, depth: int, causal: bool) -> None:
    length = 2048
    q, k, v = (values(name, length, depth, dtype=dtype) for name in "qkv")
    field = written.attention(q, k, v, length, depth, written.causal(length) if causal else None)
    made = machine(written.kernel("attention", (length, depth), field, dtype=dtype), SM90)
    made.assert_matrix_unit("HGMMA")
    made.assert_wide()


@pytest.mark.parametrize("depth", [128, pytest.param(64, marks=pytest.mark.slow)])
def test_gradients_of_causal_attention_stay_on_chip(depth: int) -> None:
    """Two kernels: the forward pass again with the gradient of queries, then those of keys and values, in 16 bits."""
    q, k, v, g = (Tensor.empty(2, 16, 2048, depth, dtype="bfloat16") for _ in range(4))
    out = q.scaled_dot_product_attention(k, v, is_causal=True)
    plan = planned(*out.gradient(q, k, v, gradient=g), target=SM90)
    assert len(plan) == 2
    for group in plan:
        program = generate(prepare(lower(group).kernel), SM90)
        assert "tf32" not in program.source and "range(0, 2048, " not in program.source
        made = compiled(program, 90)  # Triton 3.6 spills nothing here, 3.9 a little
        made.assert_matrix_unit("HGMMA")
        assert made.shared <= SM90.scratch


def test_column_sums_read_16_bytes() -> None:
    x = values("x", SIZE, SIZE, dtype=SINGLE)
    made = machine(written.kernel("columns", (SIZE,), lambda j: over("add", SIZE, lambda r: x(r, j))), SM90)
    assert not made.count(r"LDG\b(?!.*128)")


def test_a_refused_source_says_why() -> None:
    program = generate(prepare(written.kernel("twice", (64,), lambda i: add(tensor("x", 64)(i), number(1)))), SM90)
    broken = Program(**{**vars(program), "source": program.source.replace("tl.load(", "tl.loaded(")})
    with pytest.raises(RuntimeError, match="loaded"):
        compiled(broken, 90)


def test_random_numbers_are_compiled_without_fused_arithmetic() -> None:
    """The option that says so is one that Triton takes."""
    (group,) = planned(Tensor.randn(1 << 20), target=SM90)
    machine(lower(group).kernel, SM90)
