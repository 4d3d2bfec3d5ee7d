"""Axes spread over groups: every tile is one that kernels have, and no core has much more to do than others."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegen.program import Program, Spread
from kernelforge.planning.open_grids import tiles_of

ANY = 1 << 62


def program(spread: tuple[Spread, ...], flops: int) -> Program:
    return Program("opencl", "f", "", (1,), (), frozenset(), None, flops=flops, nbytes=flops // 8, spread=spread)


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(1, 700), min_size=1, max_size=3),
    unit=st.sampled_from([1, 3, 8, 10]),
    bound=st.sampled_from([60, 240, ANY]),
    named=st.lists(st.booleans(), min_size=3, max_size=3),
    flops=st.integers(0, 1 << 32),
    cores=st.sampled_from([1, 2, 64]),
)
def test_tiles_are_whole_units_within_bounds(
    lengths: list[int], unit: int, bound: int, named: list[bool], flops: int, cores: int
) -> None:
    bound = bound // unit * unit
    spread = tuple([Spread(n, 60, unit, f"kf_tile{i}" if named[i] else "") for i, n in enumerate(lengths)])
    found = tiles_of(program(spread, flops), lengths, [bound] * len(lengths), 1 << 12, cores)
    for s, tile, length in zip(spread, found, lengths, strict=True):
        assert tile == s.tile if not s.name else tile % unit == 0 and 0 < tile <= min(bound, length + unit)


@pytest.mark.parametrize(("length", "unit", "cores"), [(18, 3, 2), (340, 6, 2), (4080, 6, 2), (4000, 10, 8)])
def test_cores_have_equal_parts_of_long_work(length: int, unit: int, cores: int) -> None:
    (tile,) = tiles_of(program((Spread(length, unit, unit, "kf_tile0"),), 1 << 28), [length], [ANY], 0, cores)
    groups = -(-length // tile)
    ends = [min(length, groups * i // cores * tile) for i in range(cores + 1)]
    assert max(end - start for start, end in pairwise(ends)) * cores <= 1.2 * length


def test_short_work_is_not_shared_out() -> None:
    assert tiles_of(program((Spread(64, 4, 4, "kf_tile0"),), 100), [64], [ANY], 0, 2) == (64,)


def test_inner_axes_stay_whole_where_outer_ones_are_enough() -> None:
    spread = Spread(100, 10, 10, "kf_tile0"), Spread(64, 3, 3, "kf_tile1")
    tiles = tiles_of(program(spread, 1 << 30), [100, 64], [ANY, ANY], 1 << 14, 2)
    assert tiles[0] == 100
    assert tiles[1] < 64
