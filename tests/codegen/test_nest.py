"""Placement: the nests that schedules mean, written as outlines."""

import dataclasses
import textwrap
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.dtypes import dtypes
from codegen.index import Axis
from codegen.ir import Expr, Kernel, Param, Store, apply, const, load, reduce, scan
from codegen.nest import build, check, plain_schedule
from codegen.nodes import Box, Declare, Finish, Loop, Node, Out, Scale, Settle, Shift, WriteBack, nodes
from codegen.schedule import Inner, Schedule, ScheduleError, Stage, Step
from codegen.streaming import Stream, find_streams
from codegen.target import CPU
from tests.codegen.random_kernels import kernels
from tests.codegen.random_schedules import random_schedule

F32 = dtypes.float32


def steps(*loops: tuple[Axis, int]) -> tuple[Step, ...]:
    return tuple(Step(*loop) for loop in loops)


def outline(body: Sequence[Node], depth: int = 0) -> list[str]:
    """One line per node, indented by depth."""
    lines = []
    for node in body:
        lines.append("  " * depth + _line(node))
        if isinstance(node, Loop):
            lines += outline(node.body, depth + 1)
    return lines


def _line(node: Node) -> str:
    if isinstance(node, Loop):
        return f"{'grid' if node.grid else 'loop'} {node.var} by {node.tile}"
    if isinstance(node, Declare):
        return f"box {_box(node.box)}"
    if isinstance(node, Out):
        return f"store {node.store.param}"
    if isinstance(node, WriteBack):
        return f"write {node.outer.name} <- {node.inner.name}"
    if isinstance(node, Finish):
        return f"finish {node.to.name} <- {node.box.name}"
    if isinstance(node, Scale):
        return f"scale {node.box.name} by {node.factor.name}"
    if isinstance(node, Shift):
        return f"shift {node.running.name} by {node.chunk.name}"
    if isinstance(node, Settle):
        return f"settle {node.center.name}"
    return f"{type(node).__name__.lower()} {node.box.name}"


def _box(box: Box) -> str:
    tile = " ".join(f"{a}{extent}" for a, extent in box.tile.items())
    partial = "".join(f" partial {a}" for a in box.partial)
    return f"{box.name}{{{tile}}}{' array' if box.array else ''}{partial}{f' from {box.init.name}' if box.init else ''}"


def placed(kernel: Kernel, schedule: Schedule) -> str:
    return "\n".join(outline(build(kernel, schedule, CPU).body))


def expected(text: str) -> str:
    """An indented block without its common indentation."""
    lines = text.strip("\n").split("\n")
    margin = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    return "\n".join(line[margin:] for line in lines).rstrip()


def array(name: str, *sizes: int) -> Param:
    total = 1
    for size in sizes:
        total *= size
    return Param(name, F32, total)


def contraction(m_size: int, n_size: int, k_size: int) -> tuple[Kernel, Schedule]:
    """out = a @ b + c, the worked example: blocks of 256, panels of 32, tiles of 8 x 32."""
    m, n, k = Axis("m", m_size), Axis("n", n_size), Axis("k", k_size)
    a = load(array("a", m_size, k_size), m.index * k_size + k.index)
    b = load(array("b", k_size, n_size), k.index * n_size + n.index)
    c, out = array("c", n_size), array("out", m_size, n_size)
    value = apply("add", reduce("add", apply("mul", a, b), [k]), load(c, n.index))
    params = (array("a", m_size, k_size), array("b", k_size, n_size), c, out)
    kernel = Kernel("gemm", params, (Store(out, m.index * n_size + n.index, value),))
    loops = steps((m, 256), (n, 256), (k, 512), (n, 32), (m, 8), (k, 1))
    stages = (Stage(a, 3, ((m, 1), (k, 1)), 16), Stage(b, 3, ((n, 32), (k, 1), (n, 1))))
    return kernel, Schedule(loops, 2, (n,), stages)


def test_blocks_of_a_contraction_accumulate_in_a_wide_box() -> None:
    assert placed(*contraction(1024, 1024, 1024)) == expected("""
        grid m0 by 256
          grid n1 by 256
            box acc0{m256 n256} array
            loop k2 by 512
              box pack1{m256 k512} array
              pack pack1
              box pack2{n256 k512} array
              pack pack2
              loop n3 by 32
                loop m4 by 8
                  box acc3{m8 n32} from acc0
                  loop k5 by 1
                    update acc3
                  write acc0 <- acc3
            loop n3 by 32
              loop m4 by 8
                store out
    """)


def test_loops_of_one_iteration_vanish_and_the_tile_stays_in_registers() -> None:
    assert placed(*contraction(100, 100, 100)) == expected("""
        box pack0{m104 k100} array
        pack pack0
        box pack1{n128 k100} array
        pack pack1
        loop n0 by 32
          loop m1 by 8
            box acc2{m8 n32}
            loop k2 by 1
              update acc2
            store out
    """)


def softmax(rows: int, size: int) -> tuple[Kernel, Axis, Axis, Expr]:
    i, j = Axis("i", rows), Axis("j", size)
    x = load(array("x", rows, size), i.index * size + j.index)
    e = apply("exp", apply("sub", x, reduce("max", x, [j])))
    out = array("out", rows, size)
    store = Store(out, i.index * size + j.index, apply("div", e, reduce("add", e, [j])))
    return Kernel("softmax", (array("x", rows, size), out), (store,)), i, j, e


def test_dependent_reductions_take_a_pass_each_and_a_kept_value_rides_along() -> None:
    kernel, i, j, e = softmax(64, 1000)
    schedule = Schedule(steps((i, 8), (i, 1), (j, 64)), 1, (j,), (Stage(e, 2),))
    assert placed(kernel, schedule) == expected("""
        grid i0 by 8
          loop i1 by 1
            box acc0{i1 j64} partial j
            loop j2 by 64
              update acc0
            box fin1{i1}
            finish fin1 <- acc0
            box acc2{i1 j64} partial j
            box keep3{i1 j1024} array
            loop j2 by 64
              update acc2
              keep keep3
            box fin4{i1}
            finish fin4 <- acc2
            loop j2 by 64
              store out
    """)


def test_a_stream_takes_one_pass() -> None:
    kernel, i, j, _ = softmax(64, 1000)
    schedule = Schedule(steps((i, 8), (i, 1), (j, 64)), 1, (j,), streams=find_streams(kernel))
    assert placed(kernel, schedule) == expected("""
        grid i0 by 8
          loop i1 by 1
            box acc0{i1}
            box run1{i1}
            box acc2{i1 j64} partial j
            loop j2 by 64
              box acc3{i1 j64} partial j
              update acc3
              box fin4{i1}
              finish fin4 <- acc3
              box run5{i1}
              shift acc0 by fin4
              scale acc2 by run5
              update acc2
            box fin6{i1}
            finish fin6 <- acc2
            box run7{i1}
            settle run1
            scale fin6 by run7
            loop j2 by 64
              store out
    """)


def test_a_sum_of_kept_values_made_with_the_whole_maximum_is_no_stream() -> None:
    i, j, out = Axis("i", 64), Axis("j", 100), array("out", 64)
    x = load(array("x", 64, 100), i.index * 100 + j.index)
    top = reduce("max", x, [j])
    weight = apply("exp", apply("sub", x, top))
    store = Store(out, i.index, apply("add", apply("log", reduce("add", weight, [j])), top))
    kernel = Kernel("logsumexp", (array("x", 64, 100), out), (store,))
    inner: dict[Expr | Store, Inner] = {store: Inner(3, steps((j, 16)))}
    streamed = Schedule(steps((i, 8), (j, 128), (i, 1)), 1, (j,), (), inner, streams=find_streams(kernel))
    assert any(isinstance(node, Shift) for node in nodes(build(kernel, streamed, CPU).body))
    kept = dataclasses.replace(streamed, stages=(Stage(weight, 1),))
    assert not any(isinstance(node, Shift) for node in nodes(build(kernel, kept, CPU).body))


def test_siblings_share_a_pass_and_invariants_leave_the_loop() -> None:
    """The sum of y does not use i: computed once, before the loop over i."""
    i, j = Axis("i", 10), Axis("j", 20)
    x = load(array("x", 10, 20), i.index * 20 + j.index)
    y = load(array("y", 20), j.index)
    out = array("out", 10)
    total = apply("add", apply("add", reduce("add", x, [j]), reduce("max", x, [j])), reduce("add", y, [j]))
    kernel = Kernel("sums", (array("x", 10, 20), array("y", 20), out), (Store(out, i.index, total),))
    assert placed(kernel, Schedule(steps((i, 1), (j, 1)))) == expected("""
        box acc0{}
        loop j1 by 1
          update acc0
        loop i0 by 1
          box acc1{i1}
          box acc2{i1}
          loop j1 by 1
            update acc1
            update acc2
          store out
    """)


def attention(queries: int, keys: int, width: int) -> tuple[Kernel, Schedule]:
    """Two contractions in one kernel: scores with lanes over keys, results with lanes over features."""
    i, j, d, e = Axis("i", queries), Axis("j", keys), Axis("d", width), Axis("e", width)
    q, k, v = (array(name, size, width) for name, size in (("q", queries), ("k", keys), ("v", keys)))
    key = load(k, j.index * width + d.index)
    score = reduce("add", apply("mul", load(q, i.index * width + d.index), key), [d])
    scaled = apply("mul", score, const(width**-0.5, F32))
    top = reduce("max", scaled, [j])
    weight = apply("exp", apply("sub", scaled, top))
    total = reduce("add", weight, [j])
    mixed = reduce("add", apply("mul", weight, load(v, j.index * width + e.index)), [j])
    out = array("out", queries, width)
    kernel = Kernel("attention", (q, k, v, out), (Store(out, i.index * width + e.index, apply("div", mixed, total)),))
    inner = {value: Inner(2, steps((i, 8), (j, 32))) for value in (top, weight, total)}
    inner[scaled] = Inner(2, steps((i, 8), (j, 32), (d, 1)))
    stages = (Stage(key, 2, ((j, 32), (d, 1), (j, 1))), Stage(scaled, 2), Stage(weight, 2))
    stream = Stream(top, top, ((total, 1.0), (mixed, 1.0)))
    loops = steps((i, 64), (j, 128), (i, 8), (e, 32), (j, 1))
    return kernel, Schedule(loops, 1, (j, e), stages, inner, streams=(stream,))


def test_each_contraction_of_attention_runs_its_own_loops() -> None:
    text = placed(*attention(256, 512, 64))
    scores = """
      loop j1 by 128
        box pack4{d64 j128} array
        pack pack4
        box keep5{i64 j128} array
        loop i2 by 8
          loop j3 by 32
            box acc6{i8 j32}
            loop d4 by 1
              update acc6
            keep keep5
"""
    results = """
        loop i2 by 8
          loop e3 by 32
            box acc13{i8 e32} from acc3
            loop j4 by 1
              update acc13
            write acc3 <- acc13
"""
    assert textwrap.indent(expected(scores), "  ") in text
    assert textwrap.indent(expected(results), "    ") in text
    assert "shift acc0 by fin9" in text and "settle run1" in text


def test_a_loop_of_one_iteration_still_splits_sinks_with_their_own_loops() -> None:
    """With fewer keys than the block the placing stays: scores once, not once per feature tile."""
    text = placed(*attention(256, 100, 64))
    assert text.count("loop d") == 1 and "loop j1 by 128" not in text


@pytest.mark.parametrize("keys", (33, 64, 100))
def test_own_loops_begin_after_a_dropped_loop_though_its_axis_is_ragged(keys: int) -> None:
    """Only the sinks' own lists walk the keys below the block; they agree on it whatever they hold whole."""
    kernel, schedule = attention(256, keys, 64)
    mixed, _ = schedule.streams[0].sums[1]
    *common, last = schedule.loops
    inner = {**schedule.inner, mixed: Inner(2, (*common[2:], last))}
    text = placed(kernel, dataclasses.replace(schedule, loops=tuple(common), inner=inner))
    assert text.count("loop j2 by 32") == 4 and text.count("loop d3 by 1") == 1


def test_a_store_that_lacks_a_grid_axis_runs_in_the_first_program_alone() -> None:
    i, j = Axis("i", 8), Axis("j", 5)
    x, out, total = array("x", 8, 5), array("out", 8, 5), array("total", 5)
    index = i.index * 5 + j.index
    stores = (Store(out, index, load(x, index)), Store(total, j.index, load(x, j.index)))
    nest = build(Kernel("two", (x, out, total), stores), Schedule(steps((i, 2), (i, 1), (j, 1)), 1), CPU)
    once = {node.store.param.name: node.once for node in nodes(nest.body) if isinstance(node, Out)}
    assert once == {"out": (), "total": nest.grid}


@given(kernels(), st.integers(0, 1 << 32))
def test_boxes_in_registers_are_never_sliced(kernel: Kernel, seed: int) -> None:
    """No loop over a box's own axes lies between its declaration and a node that uses it by name."""
    nest = build(kernel, random_schedule(kernel, CPU, seed), CPU)

    def visit(body: Sequence[Node], live: dict[Box, set[Axis]]) -> None:
        live = dict(live)
        for node in body:
            if isinstance(node, Declare):
                live[node.box] = set()
            elif isinstance(node, Loop):
                visit(node.body, {box: axes | {node.axis} for box, axes in live.items()})
            else:
                env = getattr(node, "env", {})
                used = [*env.values(), *(x for x in vars(node).values() if isinstance(x, Box))]
                for box in used:
                    if box in live and not box.array and _reads(node, box):
                        assert live[box].isdisjoint(box.free), f"{box.name} in\n" + "\n".join(outline(nest.body))

    visit(nest.body, {})


@given(kernels(), st.integers(0, 1 << 32))
def test_narrow_accumulators_stay_inside_the_wide_ones_they_begin_as(kernel: Kernel, seed: int) -> None:
    """The last tile along an axis may overhang the axis' end, never the end of a box."""
    nest = build(kernel, random_schedule(kernel, CPU, seed), CPU)
    for node in nodes(nest.body):
        if isinstance(node, WriteBack):
            _check_inside(node, nest.body)


def test_wide_accumulators_hold_the_overhang_of_tiles_that_are_looped_again() -> None:
    x, out = Param("x", F32, 65), Param("out", F32, 5)
    i, r = Axis("i", 5), Axis("r", 13)
    total = reduce("add", load(x, i.index * 13 + r.index), (r,))
    kernel = Kernel("total", (out, x), (Store(out, i.index, total),))
    nest = build(kernel, Schedule(steps((r, 4), (i, 4), (r, 2), (i, 2), (r, 1), (i, 1)), 0), CPU)
    backs = [node for node in nodes(nest.body) if isinstance(node, WriteBack)]
    assert [(node.outer.tile[i], node.inner.tile[i]) for node in backs] == [(4, 2), (8, 4)]
    for node in backs:
        _check_inside(node, nest.body)


def test_narrow_accumulators_have_the_lanes_of_the_loops_their_sink_will_run() -> None:
    x, out = Param("x", F32, 480), Param("out", F32, 2)
    i, p, q, r = Axis("i", 2), Axis("p", 3), Axis("q", 5), Axis("r", 16)
    total = reduce("add", load(x, ((i.index * 3 + p.index) * 5 + q.index) * 16 + r.index), (p, q, r))
    kernel = Kernel("total", (out, x), (Store(out, i.index, total),))
    loops = steps((r, 16), (p, 1), (i, 1), (q, 1), (r, 8))
    inner = {total: Inner(4, steps((r, 16)))}
    nest = build(kernel, Schedule(loops, 0, (r,), inner=inner), CPU)
    backs = [node for node in nodes(nest.body) if isinstance(node, WriteBack)]
    assert backs
    for node in backs:
        _check_inside(node, nest.body)


def _check_inside(node: WriteBack, body: Sequence[Node]) -> None:
    outer, inner = node.outer, node.inner
    for axis in inner.partial:
        assert inner.tile[axis] == outer.tile[axis], f"{inner.name} along {axis} in\n" + "\n".join(outline(body))
    for axis in inner.free:
        start, tile, outside = 0, inner.tile[axis], outer.place.var(axis)
        if inner.place.var(axis) != outside:
            walked = axis.size if outside is None else outer.place.tile(axis)
            start = (walked - 1) // tile * tile
        assert start + tile <= outer.tile[axis], f"{inner.name} along {axis} in\n" + "\n".join(outline(body))


def _reads(node: Node, box: Box) -> bool:
    """True when the node names the box itself; environments also hold boxes a leaf does not read."""
    return any(x is box for x in vars(node).values())


@given(kernels())
def test_the_plain_schedule_is_legal_for_every_kernel(kernel: Kernel) -> None:
    check(kernel, plain_schedule(kernel), CPU)


@pytest.mark.parametrize("depth", (1, 300))
def test_chains_of_reduces_do_not_reach_the_recursion_limit(depth: int) -> None:
    i, j = Axis("i", 4), Axis("j", 3)
    x, out = array("x", 4, 3), array("out", 4)
    value = load(x, i.index * 3 + j.index)
    for _ in range(depth):
        value = apply("sub", load(x, i.index * 3 + j.index), reduce("max", value, [j]))
    kernel = Kernel("chain", (x, out), (Store(out, i.index, reduce("add", value, [j])),))
    build(kernel, Schedule(steps((i, 1), (j, 1))), CPU)


# ------------------------------------------------------------------------------------------------------ scans


def running_sum(rows: int, columns: int, along: int) -> tuple[Kernel, tuple[Axis, Axis]]:
    """out = x * (sum of x up to each place along one of its two axes)."""
    i, j = Axis("i", rows), Axis("j", columns)
    x, out = array("x", rows, columns), array("out", rows, columns)
    value = load(x, i.index * columns + j.index)
    stored = apply("mul", value, scan("add", value, (i, j)[along]))
    return Kernel("scan", (x, out), (Store(out, i.index * columns + j.index, stored, order=(i, j)),)), (i, j)


def test_a_scan_carries_what_comes_before_around_its_loop() -> None:
    kernel, (i, j) = running_sum(64, 256, along=1)
    assert placed(kernel, Schedule(steps((i, 8), (i, 1), (j, 16)), 1, (j,))) == expected("""
        grid i0 by 8
          loop i1 by 1
            box carry0{i1}
            loop j2 by 16
              box scan1{i1 j16}
              advance scan1
              store out
    """)


def test_a_carry_across_columns_is_as_wide_as_the_stripe() -> None:
    kernel, (i, j) = running_sum(64, 256, along=0)
    assert placed(kernel, Schedule(steps((j, 64), (i, 1)), 1, (j,))) == expected("""
        grid j0 by 64
          box carry0{j64}
          loop i1 by 1
            box scan1{i1 j64}
            advance scan1
            store out
    """)
    narrow = placed(kernel, Schedule(steps((j, 64), (i, 1), (j, 16)), 1, (j,)))
    assert "box carry0{j64} array" in narrow


def test_a_scan_two_passes_need_is_advanced_once() -> None:
    """Inside the loop over i a sum over j and the store both need the tile: it is kept for them."""
    i, j = Axis("i", 8), Axis("j", 64)
    x, out = array("x", 8, 64), array("out", 8, 64)
    total = scan("add", load(x, i.index * 64 + j.index), i)
    value = apply("div", total, reduce("add", total, [j]))
    kernel = Kernel("scan", (x, out), (Store(out, i.index * 64 + j.index, value, order=(i, j)),))
    text = placed(kernel, Schedule(steps((i, 1), (j, 16)), 0, (j,)))
    assert text.count("advance") == 1
    assert "box scan1{i1 j64} array" in text


def test_scans_refuse_grids_along_them_and_ways_back() -> None:
    kernel, (_, j) = running_sum(8, 64, along=1)
    with pytest.raises(ScheduleError, match="which is scanned"):
        check(kernel, Schedule(steps((j, 16)), 1), CPU)
    out = array("out", 64)
    back = scan("add", load(array("x", 64), j.index), j, reverse=True)
    with pytest.raises(ScheduleError, match="runs back along j"):
        check(Kernel("back", (out, array("x", 64)), (Store(out, j.index, back),)), Schedule(), CPU)
