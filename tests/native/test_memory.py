"""What goes wrong in C is an error of Python: memory is neither lost, nor used when it is gone."""

import gc
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codegen.dtypes import dtypes
from kernelforge import Context, Tensor, graph
from kernelforge.buffer import Buffer
from kernelforge.graph import Node
from kernelforge.interning import node_of
from kernelforge.native import build, compiled

LINKS = 300_000
built = pytest.mark.skipif(compiled is None, reason="the C module is not built, or not to be used")


class Queues:
    launched = finished = 0


def tensor_of(node: object) -> Tensor:
    made = Tensor.__new__(Tensor)
    made._node = node  # type: ignore[assignment]
    return made


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it is written for Linux")
def test_nothing_is_left_to_what_a_compiler_makes_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Newer compilers refuse what older ones warn of."""
    monkeypatch.setattr(build, "MADE", tmp_path / "_native.abi3.so")
    monkeypatch.setattr(build, "OPTIONS", (*build.OPTIONS, "-O0", "-Werror"))
    assert build.build() == ""


@pytest.mark.parametrize("call", [
    lambda x: node_of("neg", (Node.__new__(Node),), None, (3,), x.dtype),
    lambda x: graph.binary("add", Node.__new__(Node), Node.__new__(Node)),
    lambda x: graph.buffer(Buffer.__new__(Buffer), (3,)),
    lambda x: Tensor.__new__(Tensor) + 1,
    lambda x: tensor_of(5) + 1,
    lambda x: x + tensor_of(5),
    lambda x: tensor_of(5).sum(),
    lambda x: x._wrap(Node.__new__(Node), None),
])  # fmt: skip
def test_objects_without_fields_are_errors(call: Callable[[Tensor], object]) -> None:
    with pytest.raises((TypeError, AttributeError)):
        call(Tensor([1.0, 2.0, 3.0]))


@built
def test_a_node_whose_sources_were_taken_away_is_found_no_more() -> None:
    x = Tensor([1.0, 2.0, 3.0])._node
    for value in (5, None):
        node = graph.elementwise("sin", x)
        if value is None:
            del node.src
        else:
            node.src = value  # type: ignore[assignment]
        assert graph.elementwise("sin", x).src == (x,)
        del node


@built
@pytest.mark.parametrize("change", [
    list.clear, lambda steps: steps.__setitem__(1, (0, (1, 1, 1), False, 0, ((0, 0),) * 10_000, ()))
])  # fmt: skip
def test_steps_that_change_while_they_are_read(change: Callable[[list[Any]], object]) -> None:
    class Number:
        def __index__(self) -> int:
            change(steps)
            return 1

    steps: list[Any] = [(0, (1, 1, 1), False, 0, (), (Number(),)), (0, (1, 1, 1), False, 0, (), (1,))]
    assert compiled.Sequence(steps, 1) is not None


@built
def test_functions_have_the_places_of_their_sequence_and_reserves() -> None:
    few, many = compiled.Sequence([], 0), compiled.Sequence([], 100_000)
    for sequence, reserves in ((many, ((4, None),)), (few, (4,)), (few, ((4,),)), (few, ((4, 5),))):
        with pytest.raises(ValueError, match="places"):
            compiled.Function(sequence, (), reserves, 1, lambda nbytes: None, Queues, None, ())
    with pytest.raises(ValueError, match="stack"):
        compiled.Sequence([(0, (0, 1, 1), False, -1, (), ())], 0)


@built
def test_flags_that_are_set_leave_it_to_launches() -> None:
    """Those set before, and those that turn out to be set; flags are pairs of an address and a count."""
    flags, made, steps = np.zeros(3, np.int32), object(), compiled.Sequence([], 0)
    where = ((flags.ctypes.data, 2), (flags.ctypes.data, 0))
    function = compiled.Function(steps, (), ((12, None),), 1, lambda nbytes: made, Queues, flags, where)
    for place, ran in ((2, True), (1, False), (0, False)):
        flags[:] = 0
        assert function([]) is made
        flags[place] = -1
        assert (function([]) is made) is ran
    for wrong in ((1,), ((1,),), (("a", 1),)):
        with pytest.raises((TypeError, SystemError)):
            compiled.Function(steps, (), ((12, None),), 1, lambda nbytes: made, Queues, None, wrong)


@built
def test_buffers_stay_while_memory_is_taken() -> None:
    """Whatever Python does then with the list they came in."""
    buffers = [Buffer.from_numpy(np.ones(3), dtypes.float32, "CPU")]
    gone = weakref.ref(buffers[0])

    def take(nbytes: int) -> None:
        buffers.clear()
        gc.collect()
        seen.append(gone() is not None)

    seen: list[bool] = []
    places = ((0, 0, 0),)
    function = compiled.Function(compiled.Sequence([], 1), places, ((12, None),), 1, take, Queues, None, ())
    assert function(buffers) is None and seen == [True] and gone() is None


class Attr:
    """Equal to all of its kind; comparing them does something."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.work = work

    def __eq__(self, other: object) -> bool:
        self.work()
        return True

    def __hash__(self) -> int:
        return 3


def forgotten_while_it_is_looked_for() -> None:
    x = Tensor(np.ones(3, np.float32)).realize()
    function = compiled.Function(compiled.Sequence([], 0), (), ((12, None),), 1, lambda nbytes: None, Queues, None, ())
    armed: list[int] = []

    def know(node: Node) -> Any:
        facts = ((3, dtypes.float32, x.device, 0),)
        return compiled.know((node,), [x._node.attr], function, facts, (1, 1, 1), (), None, 0, None)

    def forget() -> None:
        if armed:
            armed.clear()
            with Context(MEMORY_BUDGET=1 << 40):
                know(graph.elementwise("exp", x._node))

    first = node_of("odd", (x._node,), Attr(forget), (3,), dtypes.float32)
    assert know(first)
    leaf = Tensor(np.ones(3, np.float32)).realize()
    other = x._wrap(node_of("odd", (leaf._node,), Attr(forget), (3,), dtypes.float32), None)
    armed.append(1)
    assert compiled.computed_again(other) is False and not armed


@built
def test_a_graph_that_is_forgotten_while_it_is_looked_for() -> None:
    """In a process of its own: nothing is known while anything of other tests still waits."""
    code = "from tests.native.test_memory import forgotten_while_it_is_looked_for as test; test()"
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=True)


@pytest.fixture
def often() -> Iterator[None]:
    """Garbage is looked for at every object."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


@built
def test_a_node_that_is_made_while_one_like_it_is_made(often: None) -> None:
    x, met = Tensor([1.0, 2.0, 3.0])._node, list[Node]()

    def work(phase: str, info: object) -> None:
        met.append(node_of("odd", (x,), 5, (3,), dtypes.float32))

    gc.callbacks.append(work)
    try:
        gc.set_threshold(1)
        node = node_of("odd", (x,), 5, (3,), dtypes.float32)
        gc.set_threshold(0)
    finally:
        gc.callbacks.remove(work)
    assert all(y is node for y in met)


@pytest.mark.parametrize("link", ["source", "gradient"])
def test_long_chains_go_without_a_deep_stack(link: str) -> None:
    x = Tensor([1.0, 2.0, 3.0])
    end: Any = x._node if link == "source" else x
    seen = weakref.ref(end)
    for number in range(LINKS):
        if link == "source":
            end = node_of("reshape", (end,), number, (3,), dtypes.float32)
        else:
            longer = Tensor.__new__(Tensor)
            longer.grad = end
            end = longer
            del longer
    del end, x
    assert seen() is None
