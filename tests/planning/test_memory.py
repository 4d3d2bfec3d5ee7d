"""Reuse of memory: results that are alive together never share a block, and dead ones are reused."""

from hypothesis import given
from hypothesis import strategies as st

from kernelforge.planning.memory import ALIGNMENT, LARGE, Host, Lifetime, assign, total


@st.composite
def lifetimes(draw: st.DrawFn) -> list[Lifetime]:
    found = []
    for _ in range(draw(st.integers(0, 12))):
        first = draw(st.integers(0, 10))
        last = first + draw(st.integers(0, 6))
        found.append(
            Lifetime(draw(st.sampled_from([0, 4, 64, 1000])), draw(st.sampled_from(["CPU", "GPU"])), first, last)
        )
    return found


@given(lifetimes())
def test_what_is_alive_together_has_blocks_of_its_own(needs: list[Lifetime]) -> None:
    chosen, blocks = assign(needs)
    for i, a in enumerate(needs):
        assert blocks[chosen[i]].nbytes >= a.nbytes
        assert blocks[chosen[i]].device == a.device
        for j in range(i):
            b = needs[j]
            if chosen[i] == chosen[j]:
                assert a.last < b.first or b.last < a.first


@given(lifetimes())
def test_blocks_hold_what_is_alive_at_once_and_no_more_than_all(needs: list[Lifetime]) -> None:
    _, blocks = assign(needs)
    for device in ("CPU", "GPU"):
        mine = [need for need in needs if need.device == device]
        alive = max((sum(n.nbytes for n in mine if n.first <= t <= n.last) for t in range(20)), default=0)
        assert alive <= sum(b.nbytes for b in blocks if b.device == device) <= sum(n.nbytes for n in mine)


@given(lifetimes(), st.lists(st.integers(LARGE, 1 << 22), max_size=12))
def test_parts_of_one_block_that_are_alive_together_lie_apart(needs: list[Lifetime], sizes: list[int]) -> None:
    needs = [*needs, *(Lifetime(n, "CPU", i % 7, i % 7 + n % 4, n % 5 == 0) for i, n in enumerate(sizes))]
    chosen, blocks = assign(needs)
    mine = [blocks[number] for number in chosen]
    for a, block in zip(needs, mine):
        assert block.nbytes >= a.nbytes
        assert block.device == a.device
        if block.within >= 0:
            whole = blocks[block.within]
            assert not a.alone
            assert whole.within < 0 == block.offset % ALIGNMENT
            assert block.offset + block.nbytes <= whole.nbytes
    for i, (a, x) in enumerate(zip(needs, mine)):
        for b, y in zip(needs[:i], mine[:i]):
            apart = x.offset + x.nbytes <= y.offset or y.offset + y.nbytes <= x.offset
            if x.within == y.within >= 0 and not apart:
                assert a.last < b.first or b.last < a.first
    assert total(blocks) <= sum(need.nbytes for need in needs) + ALIGNMENT * len(needs)


def test_results_of_many_sizes_lie_side_by_side_where_larger_ones_were() -> None:
    needs = [Lifetime(8 << 20, "CPU", 0, 1), *(Lifetime(2 << 20, "CPU", 2, 3) for _ in range(4))]
    assert total(assign(needs)[1]) == 8 << 20


def test_a_chain_needs_two_blocks() -> None:
    chosen, blocks = assign([Lifetime(100, "CPU", i, i + 1) for i in range(50)])
    assert len(blocks) == 2
    assert chosen == [0, 1] * 25


def test_growing_results_need_the_two_largest_blocks() -> None:
    _, blocks = assign([Lifetime(10 * i, "CPU", i, i + 1) for i in range(1, 51)])
    assert [block.nbytes for block in blocks] == [500, 490]


def test_the_best_fitting_free_block_is_taken() -> None:
    needs = [Lifetime(10, "CPU", 0, 0), Lifetime(100, "CPU", 0, 0), Lifetime(9, "CPU", 1, 1), Lifetime(50, "CPU", 1, 1)]
    assert assign(needs)[0] == [1, 0, 1, 0]


@given(st.lists(st.integers(LARGE, 1 << 20), max_size=9), st.lists(st.integers(0, 1 << 21), max_size=5))
def test_parts_of_results_are_dead_before_these_are_written(sizes: list[int], results: list[int]) -> None:
    needs = [Lifetime(n, "CPU", i % 7, i % 7 + n % 4, n % 5 == 0) for i, n in enumerate(sizes)]
    hosts = {i: Host(i, n, "CPU" if n % 9 else "GPU", n % 11) for i, n in enumerate(results)}
    chosen, blocks = assign(needs, list(hosts.values()))
    inside = [(need, block) for need, number in zip(needs, chosen) if (block := blocks[number]).host >= 0]
    for i, (need, block) in enumerate(inside):
        host = hosts[block.host]
        assert need.last < host.first and need.device == host.device and not need.alone
        assert block.offset % ALIGNMENT == 0 and block.offset + need.nbytes <= host.nbytes
        for other, there in inside[:i]:
            apart = block.offset >= there.offset + other.nbytes or there.offset >= block.offset + need.nbytes
            if block.host == there.host and not apart:
                assert need.last < other.first or other.last < need.first
    assert total(blocks) <= total(assign(needs)[1])


def test_what_is_needed_no_more_when_a_result_is_written_lies_in_its_memory() -> None:
    needs = [Lifetime(1 << 20, "CPU", 0, 1), Lifetime(1 << 20, "CPU", 1, 2), Lifetime(1 << 20, "CPU", 2, 3)]
    chosen, blocks = assign(needs, [Host(5, 2 << 20, "CPU", 3)])
    assert [blocks[number].host for number in chosen] == [5, 5, -1]
    assert total(blocks) == 1 << 20
