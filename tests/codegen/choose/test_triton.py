"""Default Triton schedules: every kernel gets a legal one, and each kind the one it is meant to get."""

from dataclasses import replace

import pytest

from codegen.choose.default import choose
from codegen.dtypes import DType, dtypes
from codegen.generate import generate
from codegen.ir import Expr, Kernel, apply
from codegen.rewrites.rewrite import prepare
from codegen.schedule import Schedule
from codegen.target import GFX942, SM80, SM90, Target
from kernelforge import Tensor
from kernelforge.fusion.lower import lower
from tests.codegen import written_kernels as written
from tests.codegen.random_kernels import random_kernel
from tests.codegen.written_kernels import Field, add, exp, over, tensor
from tests.fused import planned


def tiles(schedule: Schedule) -> dict[str, int]:
    """The innermost tile of each axis that has a loop, by name."""
    return {step.axis.name: step.tile for step in schedule.loops}


def chosen(kernel: Kernel) -> tuple[Kernel, Schedule]:
    kernel = prepare(kernel)
    return kernel, choose(kernel, SM90)


def half(name: str, *shape: int) -> Field:
    raw = tensor(name, *shape, dtype=dtypes.bfloat16)
    return lambda *place: apply("cast", raw(*place), dtype=dtypes.float32)


@pytest.mark.parametrize("target", [SM80, SM90], ids=lambda target: target.name)
def test_random_kernels_have_legal_schedules(target: Target, pytestconfig: pytest.Config) -> None:
    for seed in range(4 * pytestconfig.getoption("--cases")):
        choose(random_kernel(seed), target)


def test_elementwise_tiles_suit_the_size() -> None:
    for size, programs in ((100, 1), (1 << 12, 16), (1 << 22, 1 << 12)):
        x = tensor("x", size)
        kernel = prepare(written.kernel("chain", (size,), lambda i, x=x: exp(x(i))))
        assert generate(kernel, SM90).grid == (programs,)


def test_transposes_get_square_tiles() -> None:
    x = tensor("x", 512, 512)
    _, schedule = chosen(written.kernel("turned", (512, 512), lambda i, j: x(j, i)))
    assert sorted(tiles(schedule).values()) == [64, 64]


@pytest.mark.parametrize("terms, columns", [(4, 512), (2, 1024), (64, 128)])
def test_programs_of_narrow_sums_have_several_warps(terms: int, columns: int) -> None:
    x = tensor("x", terms, 1 << 20)
    _, schedule = chosen(written.kernel("parts", (1 << 20,), lambda j: over("add", terms, lambda r: x(r, j))))
    assert schedule.loops[0].tile == columns and int(schedule.options["num_warps"]) >= 4


@pytest.mark.parametrize("columns, looped", [(100, False), (4096, False), (100_000, True)])
def test_rows_stay_whole_while_they_fit(columns: int, looped: bool) -> None:
    x = tensor("x", 256, columns)
    _, schedule = chosen(written.kernel("softmax", (256, columns), written.softmax(x, columns)))
    assert (len(schedule.loops) > schedule.grid) is looped
    assert bool(schedule.streams) is looped


def test_short_rows_share_a_program() -> None:
    _, schedule = chosen(written.kernel("softmax", (4096, 64), written.softmax(tensor("x", 4096, 64), 64)))
    assert next(iter(tiles(schedule).values())) > 1


def test_columns_are_read_along_the_unit_stride() -> None:
    x = tensor("x", 4096, 1024)
    kernel, schedule = chosen(written.kernel("columns", (1024,), lambda j: over("add", 4096, lambda r: x(r, j))))
    assert schedule.loops[0].axis is kernel.stores[0].axes[0]
    assert schedule.loops[0].tile >= 32 and schedule.loops[-1].tile > 1


@pytest.mark.parametrize(
    "size, expected", [(4096, (128, 256, 64)), (1024, (64, 128, 64)), (128, (16, 64, 128)), (20, (16, 32, 32))]
)
def test_product_tiles_follow_the_size(size: int, expected: tuple[int, int, int]) -> None:
    product = written.matmul(half("a", size, size), half("b", size, size), size)
    kernel, schedule = chosen(written.kernel("product", (size, size), product, dtype=dtypes.bfloat16))
    found = tiles(schedule)
    assert tuple(min(found[name], 256) for name in "mnk") == expected
    assert "tl.dot(" in generate(kernel, SM90).source


@pytest.mark.parametrize(
    "m, n, expected",
    [
        (3072, 3072, (128, 128)), (512, 11_008, (128, 128)), (1536, 1536, (64, 128)), (4096, 4096, (128, 256)),
        (512, 512, (64, 64)),
    ],
)  # fmt: skip
def test_product_tiles_come_in_whole_rounds(m: int, n: int, expected: tuple[int, int]) -> None:
    """One tile more than there are processors would take as long as another of each."""
    product = written.matmul(half("a", m, 1024), half("b", 1024, n), 1024)
    _, schedule = chosen(written.kernel("product", (m, n), product, dtype=dtypes.bfloat16))
    assert tuple(step.tile for step in schedule.loops[:2]) == expected


def test_heavy_epilogues_get_smaller_tiles() -> None:
    product = written.matmul(half("a", 4096, 4096), half("b", 4096, 4096), 4096)
    residual = half("r", 4096, 4096)

    def field(i: Expr, j: Expr) -> Expr:
        return add(product(i, j), residual(i, j))

    _, schedule = chosen(written.kernel("residual", (4096, 4096), field, dtype=dtypes.bfloat16))
    assert tiles(schedule)["m"] * tiles(schedule)["n"] <= 128 * 128


@pytest.mark.parametrize("dtype", [dtypes.bfloat16, dtypes.float32], ids=str)
def test_attention_runs_in_one_pass(dtype: DType) -> None:
    make = half if dtype is dtypes.bfloat16 else tensor
    q, k, v = (make(name, 1024, 64) for name in "qkv")
    kernel, schedule = chosen(
        written.kernel("attention", (1024, 64), written.attention(q, k, v, 1024, 64), dtype=dtype)
    )
    assert len(schedule.streams) == 1 and len(schedule.loops) == schedule.grid + 1
    assert generate(kernel, SM90).source.count("for ") == 1


@pytest.mark.parametrize("scratch", [232_448, 101_376, 65_536])
@pytest.mark.parametrize("size", [128, 1024, 8192])
def test_operands_fit_into_shared_memory(size: int, scratch: int) -> None:
    """GPUs of a generation differ by more than half; without room for two steps there is a smaller tile."""
    product = written.matmul(half("a", size, size), half("b", size, size), size)
    kernel = prepare(written.kernel("product", (size, size), product, dtype=dtypes.bfloat16))
    schedule = choose(kernel, replace(SM90, scratch=scratch))
    found = tiles(schedule)
    assert 2 * (found["m"] + found["n"]) * found["k"] * int(schedule.options["num_stages"]) <= scratch
    assert int(schedule.options["num_stages"]) >= 2


@pytest.mark.parametrize(("depth", "block"), [(64, (128, 64, 8)), (128, (128, 32, 8))])
def test_gradients_of_attention_leave_registers(depth: int, block: tuple[int, int, int]) -> None:
    """Of keys and values: two sums and two products a step, whose factors in float32 are rounded to 16 bits."""
    q, k, v, g = (Tensor.empty(2, 16, 2048, depth, dtype="bfloat16") for _ in range(4))
    out = q.scaled_dot_product_attention(k, v, is_causal=True)
    kernel = prepare(lower(planned(*out.gradient(q, k, v, gradient=g), target=SM90)[1]).kernel)
    schedule = choose(kernel, SM90)
    rows, columns = (step.tile for step in schedule.loops[-2:])
    assert (rows, columns, schedule.options["num_warps"]) == block


def test_gradients_of_attention_in_float32_fit_into_shared_memory() -> None:
    q, k, v, g = (Tensor.empty(2, 16, 2048, 128) for _ in range(4))
    out = q.scaled_dot_product_attention(k, v)
    for group in planned(*out.gradient(q, k, v, gradient=g), target=SM90):
        schedule = choose(prepare(lower(group).kernel), SM90)
        assert schedule.loops[-2].tile * 128 * 4 <= SM90.scratch // 4


def test_warps_of_64_threads_are_half_as_many() -> None:
    x, a, b = (tensor(name, 4096, 4096) for name in "xab")
    chain = prepare(written.kernel("chain", (4096, 4096), lambda i, j: exp(x(i, j))))
    assert choose(chain, GFX942).options["num_warps"] == int(choose(chain, SM90).options["num_warps"]) // 2
    product = prepare(written.kernel("product", (4096, 4096), written.matmul(a, b, 4096)))
    assert 'input_precision="ieee"' in generate(product, GFX942).source


def test_shared_axes_without_a_legal_schedule_are_told_apart() -> None:
    n, depth = 300, 16
    q, k, v, do = (tensor(name, n, depth) for name in ("q", "k", "v", "do"))
    _, dk, _ = written.attention_gradients(q, k, v, do, n, n, depth)
    kernel = prepare(written.kernel("gradient", (n, depth), dk))
    assert generate(kernel, SM90).kernel is not kernel


def test_tiles_of_one_step_are_copied_by_descriptors_that_are_made_once_or_by_threads() -> None:
    """Descriptors of each batch, made ahead of their time, are more than some versions of Triton take."""
    for batch, depth, stays in ((32, 64, False), (1, 64, True), (32, 256, True)):
        x = Tensor.empty(batch, depth, 3136 * (32 // batch), dtype="bfloat16")
        product = Tensor.empty(256, depth, dtype="bfloat16") @ x
        (group,) = planned(product, target=SM90)
        options = dict(chosen(lower(group).kernel)[1].options)
        assert {"tma", "programs"}.issubset(options) is stays, options


def test_products_of_float64_are_on_the_matrix_unit_where_the_language_knows_them() -> None:
    (group,) = planned(Tensor.empty(512, 512, dtype="float64") @ Tensor.empty(512, 512, dtype="float64"), target=SM90)
    kernel = prepare(lower(group).kernel)
    assert "tl.dot(" in generate(kernel, SM90).source
    assert "tl.dot(" not in generate(kernel, replace(SM90, doubles=False)).source
