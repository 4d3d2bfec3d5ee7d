"""Nodes and tensors made in C are what Python makes of them, and nothing of them stays."""

import gc
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from codegen.dtypes import dtypes
from kernelforge import Context, Device, GlobalCounters, Tensor, graph
from kernelforge.buffer import Buffer
from kernelforge.execution import faults
from kernelforge.graph import Node
from kernelforge.interning import alive, entries, node_of
from kernelforge.native import BUILT
from kernelforge.tensor.autocast import autocast

ROOT = Path(__file__).parents[2]
MANY = 1_000_000
FEW = 9


def leaf(*shape: int) -> Node:
    return graph.buffer(Buffer.from_numpy(np.ones(shape), dtypes.float32, "CPU"), shape)


@pytest.mark.skipif(not BUILT, reason="the C module is not built")
def test_c_and_python_tell_the_same() -> None:
    told = []
    for native in ("0", "1"):
        environment = {**os.environ, "KF_NATIVE": native, "KF_EAGER": "0"}
        command = [sys.executable, "-m", "tests.native.programs", native]
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
        assert not done.returncode, done.stderr
        told.append(done.stdout.splitlines())
    assert len(told[0]) > 300 and told[0] == told[1]


def test_nothing_stays_of_many_nodes() -> None:
    x = leaf(3)

    def work(count: int) -> None:
        for number in range(count):
            node_of("reshape", (x,), (number, count), (3,), dtypes.float32)

    work(20_000)
    gc.collect()
    most = max(100_000, 2 * entries())  # the table has room for what lives, and lived, when others ran before
    blocks, held = sys.getallocatedblocks(), sys.getrefcount(x)
    work(MANY)
    gc.collect()
    assert sys.getrefcount(x) == held
    assert len(alive()) < entries() + 1 < most
    assert sys.getallocatedblocks() - blocks < 100_000  # the table of Python has entries of dead nodes


def counts(x: Tensor, call: Callable[[Tensor], Tensor]) -> list[int]:
    """References to what calls use, when some were made."""
    for _ in range(200):
        call(x)
    gc.collect()
    node = x._node
    return [sys.getrefcount(y) for y in (x, node, node.shape, node.attr, node.attr.memory, call)]


@pytest.mark.parametrize(
    "name", ["x + x", "x * 2.5", "3 - x", "x.sum()", "x.softmax(-1)", "x @ x", "(x @ x).relu() - x"]
)
@pytest.mark.parametrize("is_computed", [False, True])
def test_calls_keep_no_references(name: str, is_computed: bool) -> None:
    x = Tensor(np.ones((4, 4), np.float32)).realize()
    work = eval(f"lambda x: {name}")
    call = (lambda x: work(x).realize()) if is_computed else work
    before, after = counts(x, call), counts(x, call)
    assert all(count <= FEW + known for count, known in zip(after, before))  # Python's table has keys of dead nodes


def test_a_node_in_a_cycle_goes() -> None:
    held: list[object] = []
    x = leaf(3)
    node = node_of("odd", (x,), (1, 2), (3,), dtypes.float32)
    cycle = graph.Node.__new__(graph.Node)  # of no table
    cycle.attr, cycle.src = held, ()
    held.append(cycle)
    seen = weakref.ref(cycle)
    del cycle, held
    gc.collect()
    assert seen() is None and node_of("odd", (x,), (1, 2), (3,), dtypes.float32) is node


def test_marks_that_make_nodes_while_they_are_compared() -> None:
    x = leaf(3)

    class Busy:
        def __hash__(self) -> int:
            return 1

        def __eq__(self, other: object) -> bool:
            kept.extend(node_of("reshape", (x,), (len(kept), i), (3,), dtypes.float32) for i in range(500))
            return True

    kept: list[Node] = []
    first = node_of("busy", (x,), Busy(), (3,), dtypes.float32)
    assert node_of("busy", (x,), Busy(), (3,), dtypes.float32) is first and kept
    assert all(node_of("reshape", (x,), node.attr, (3,), dtypes.float32) is node for node in kept)


def test_a_callback_of_a_dying_node_finds_none() -> None:
    x, found = leaf(3), list[Node]()
    node = graph.elementwise("sin", x)
    old = id(node)
    watched = weakref.ref(node, lambda _: found.append(graph.elementwise("sin", x)))
    del node
    assert watched() is None and len(found) == 1 and found[0].src == (x,) and found[0] is graph.elementwise("sin", x)
    assert old


@pytest.mark.parametrize("call", [
    lambda x: x._wrap(1, None), lambda x: x._derived(None), lambda x: node_of("neg", (1,), None, (3,), x.dtype),
    lambda x: node_of("neg", (), None, (3,), x.dtype), lambda x: graph.binary("add", x._node, 1),
    lambda x: graph.buffer(3, (3,)),
])  # fmt: skip
def test_what_is_no_node_is_an_error(call: Callable[[Tensor], object]) -> None:
    with pytest.raises((TypeError, AttributeError, ValueError, IndexError)):
        call(Tensor([1.0, 2.0, 3.0]))


def test_threads_compute_known_graphs_at_once() -> None:
    values = [np.full((8, 8), float(i + 1), np.float32) for i in range(4)]
    tensors, wrong = [Tensor(x).realize() for x in values], list[int]()

    def work(i: int) -> None:
        for _ in range(300):
            y = (tensors[i] + tensors[i]).realize()
            z = (y @ y).relu().realize()
            if z.numpy()[0, 0] != 8 * (2 * (i + 1)) ** 2:
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def several(x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
    """Results of other shapes and types than what they are computed from; one is computed from another."""
    total = (x * y).sum(1)
    return total, x.argmax(1), (total + 1).cast("float64"), x + 2


def test_several_results_that_share_a_known_graph() -> None:
    rng = np.random.default_rng(0)
    for number in range(12):
        a, b = rng.standard_normal((2, 5, 7), dtype=np.float32)
        x, y = Tensor(a).realize(), Tensor(b).realize()
        found = several(x, y)
        before = GlobalCounters.kernel_count
        if number % 3 == 2:
            found[3].realize(*found[:3])  # another graph
        else:
            found[0].realize(*found[1:])
        assert GlobalCounters.kernel_count > before and all(z._node.op == "buffer" for z in found)
        wanted = ((a * b).sum(1), a.argmax(1), (a * b).sum(1).astype(np.float64) + 1, a + 2)
        for z, right in zip(found, wanted):
            np.testing.assert_allclose(z.numpy(), right, rtol=1e-5)
        np.testing.assert_array_equal(x.numpy(), a)


def test_a_known_graph_of_several_results_and_tensors_that_are_no_part_of_it() -> None:
    """The same twice, one that is computed already, a leaf, one of a history, a constant, one of another device."""
    x = Tensor(np.arange(6, dtype=np.float32)).realize()
    w = Tensor(np.ones(6, np.float32), requires_grad=True).realize()
    for _ in range(8):
        a, b = x * 2, x + 1
        a.realize(b)
        c = x * 2
        c.realize(c, c + 0, x, Tensor(3.0))
        d, e = (w * x).sum(), x * 3
        d.realize(e, w)
        d.backward()
        assert (a.tolist(), b.tolist()) == ([0, 2, 4, 6, 8, 10], [1, 2, 3, 4, 5, 6]) and c.tolist() == a.tolist()
        assert w.grad is not None and w.grad.tolist() == x.tolist() and e.tolist()[-1] == 15
        w.grad = None
        far = Tensor([1.0, 2.0], device="NUMPY") * 2
        far.realize()
        far.realize(x * 2)
        assert far.tolist() == [2, 4]


def test_results_that_are_held_are_not_written_again() -> None:
    x = Tensor(np.arange(16, dtype=np.float32)).realize()
    kept = [(x + i % 3).realize() for i in range(40)]
    assert all(y.tolist() == [float(v + i % 3) for v in range(16)] for i, y in enumerate(kept))


def test_switches_are_looked_at_where_a_graph_is_known() -> None:
    x = Tensor(np.zeros(5, np.float32)).realize()
    for _ in range(10):
        (x / x).realize()
    with Context(NAN=1), pytest.raises(Exception, match="nan|NaN"):
        (x / x).realize()
    (x / x).realize()
    for _ in range(10):
        (x + 1).realize(x / x)
    with Context(NAN=1), pytest.raises(Exception, match="nan|NaN"):
        (x + 1).realize(x / x)


@pytest.mark.usefixtures("native_calls")
def test_known_graphs_that_look_up_places_name_the_line_that_was_wrong() -> None:
    """Nothing waits while all is in range; what is not is an error of its own line, whichever was first met."""
    x = Tensor(np.arange(12, dtype=np.float32).reshape(4, 3)).realize()
    good, bad = (Tensor(np.array(places)).realize() for places in ([1, 3], [1, 4]))
    for _ in range(9):
        y = x[good] * 2  # the first line
        y.realize()
        assert y.tolist() == [[6, 8, 10], [18, 20, 22]]
    faults.raise_pending()
    (x[good] * 2).realize()
    assert not faults._pending
    z = x[bad] * 2  # another line
    z.realize()
    assert faults._pending and z._node.op == "buffer"
    with pytest.raises(IndexError) as found:
        z.numpy()
    assert "another line" in str(found.value) and "the first line" not in str(found.value)
    assert (x[good] * 2).realize().tolist() == y.tolist() and not faults._pending


@pytest.mark.parametrize("name", ["Tensor.arange(5) * 2", "Tensor.arange(5).contiguous() + x"])
def test_constants_are_computed_on_the_default_device_of_the_moment(name: str) -> None:
    def work() -> Tensor:
        return eval(name, {"Tensor": Tensor, "x": Tensor.ones(5)}).realize()

    kept = [work() for _ in range(10)]
    with Context(DEVICE="NUMPY"):
        assert work().device == "NUMPY"
    assert kept[0].device == work().device == Device.DEFAULT != "NUMPY"


def test_a_constant_that_is_held_is_computed_on_the_default_device_of_the_moment() -> None:
    first = Tensor.arange(5) * 2
    node = first._node
    first.realize()
    assert node.op == "mul" and first.device == Device.DEFAULT != "NUMPY"
    with Context(DEVICE="NUMPY"):
        assert (Tensor.arange(5) * 2).realize().device == "NUMPY"


def test_autocast_is_heeded_where_a_recipe_is_kept() -> None:
    x = Tensor.ones(2, 2)
    half = x.cast("float16").realize()
    kept = [(half.sum(), x @ x) for _ in range(3)]
    with autocast():
        assert half.sum().dtype is dtypes.float32 and (x @ x).dtype is dtypes.bfloat16
        assert half.sum(axis=0).dtype is dtypes.float32
    assert kept[0][0].dtype is half.sum().dtype is dtypes.float16 and (x @ x).dtype is kept[0][1].dtype


def test_nodes_that_nobody_finds_are_told_apart_by_hashes_in_python() -> None:
    program = (
        "from kernelforge import Tensor, interning\n"
        "x = Tensor([1.0, 2.0]).realize()\n"
        "kept = [x.detach().requires_grad_() for _ in range(100)]\n"
        "print(len({hash(key) for key in interning._table}) > 100)"
    )
    environment = {**os.environ, "KF_NATIVE": "0", "KF_EAGER": "0"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["True"], done.stderr
