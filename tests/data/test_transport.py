"""A slot gives back what was written, whatever came before, in memory of its own."""

import multiprocessing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from kernelforge.data.transport import Shared, Slot

values = st.lists(
    arrays.arrays(st.sampled_from(["f4", "i8", "?", "u1", "f2"]), arrays.array_shapes(min_dims=0, min_side=0)),
    max_size=4,
)


@given(st.lists(values, max_size=4))
def test_read_gives_what_was_written_last(batches: list) -> None:
    slot = Slot()
    for batch in batches:
        found = slot.read(slot.write({"arrays": batch, "text": "é" * len(batch)}))
        assert found["text"] == "é" * len(batch)
        for a, b in zip(found["arrays"], batch, strict=True):
            assert a.dtype == b.dtype and a.shape == b.shape
            np.testing.assert_array_equal(a, b)
    slot.close()


def test_what_was_read_is_writable_and_stays() -> None:
    slot = Slot()
    first = slot.read(slot.write(np.arange(1000)))
    slot.write(np.zeros(1000))
    first += 1
    assert first.tolist() == list(range(1, 1001))
    slot.close()


def test_arrays_travel_outside_the_pickle() -> None:
    slot = Slot()
    sizes = slot.write((np.zeros(5000, np.float32), np.zeros((3, 7))))
    assert sizes[0] < 1000 and sizes[1:] == [20000, 168]
    slot.close()


@pytest.mark.parametrize("layout", [np.asfortranarray, lambda x: x[::2, ::-1]])
def test_any_memory_layout(layout) -> None:
    slot, array = Slot(), layout(np.arange(24).reshape(4, 6))
    np.testing.assert_array_equal(slot.read(slot.write(array)), array)
    slot.close()


def report(value: dict, connection) -> None:
    """In another process: what arrived, and whether it is aligned, mapped and writable."""
    arrays = value["arrays"]
    aligned = all(array.ctypes.data % 64 == 0 for array in arrays if array.size)
    before = [array.copy() for array in arrays]
    for array in arrays:
        array[...] = 1
    connection.send((before, value["text"], aligned, [array.base is not None for array in arrays]))


def test_shared_values_arrive_in_new_processes() -> None:
    context = multiprocessing.get_context("forkserver")
    arrays = [np.arange(1000.0), np.zeros((0, 3)), np.arange(7, dtype=np.int8)]
    shared = Shared({"arrays": arrays, "text": "é", "lock": context.Lock()})
    for _ in range(2):
        ours, theirs = context.Pipe()
        process = context.Process(target=report, args=(shared, theirs))
        process.start()
        found, text, aligned, views = ours.recv()
        process.join()
        assert text == "é" and aligned and all(views)
        for a, b in zip(found, arrays, strict=True):
            np.testing.assert_array_equal(a, b)
    assert arrays[0][5] == 5
    shared.close()


def test_shared_values_without_arrays() -> None:
    context = multiprocessing.get_context("forkserver")
    ours, theirs = context.Pipe()
    shared = Shared({"arrays": [], "text": "none"})
    process = context.Process(target=report, args=(shared, theirs))
    process.start()
    assert ours.recv() == ([], "none", True, [])
    process.join()
    shared.close()
