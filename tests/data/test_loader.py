"""The loader: its batches are the sampler's, with any number of workers, and no failure hangs or leaves a process."""

import gc
import multiprocessing
import os
import subprocess
import sys
import textwrap
import time
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernelforge import Device
from kernelforge.checkpoint import load_checkpoint, save_checkpoint
from kernelforge.data import (
    ConcatDataset,
    DataLoader,
    Subset,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    worker,
)
from kernelforge.kernels.opencl import OpenCLRuntime
from kernelforge.tensor import Tensor
from tests.data.sets import (
    Augmented,
    Counting,
    Drivers,
    Fails,
    Marker,
    RandomNumbers,
    Squares,
    double,
    drivers,
    fail_to_start,
    stop_itself,
    to_tensor,
)


def lists(loader: DataLoader) -> list:
    """All batches of a pass, as lists."""
    return [batch.numpy().tolist() for batch in loader]


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def workers() -> list[multiprocessing.process.BaseProcess]:
    """The loaders' worker processes that are alive; other tests may have children of their own."""
    return [child for child in multiprocessing.active_children() if child.name.startswith("DataLoader worker")]


@pytest.fixture(autouse=True)
def no_process_is_left():
    yield
    gc.collect()
    assert not workers()


# What a pass holds ------------------------------------------------------------------------------------------------


@given(
    size=st.integers(0, 25),
    batch_size=st.one_of(st.none(), st.integers(1, 9)),
    shuffle=st.booleans(),
    drop_last=st.booleans(),
    seed=st.integers(0, 99),
)
def test_a_pass_holds_each_sample_once(size, batch_size, shuffle, drop_last, seed) -> None:
    drop_last = drop_last and batch_size is not None
    loader = DataLoader(
        TensorDataset(np.arange(size)), batch_size, shuffle, drop_last=drop_last, generator=seed if shuffle else None
    )
    batches = [np.atleast_1d(np.asarray(x.numpy() if isinstance(x, Tensor) else x)) for (x,) in loader]
    assert len(batches) == len(loader)
    found = [int(i) for batch in batches for i in batch]
    assert shuffle or found == list(range(len(found)))
    assert len(found) == len(set(found)) == (size // batch_size * batch_size if drop_last else size)
    assert all(len(batch) == (batch_size or 1) for batch in batches[:-1])


@settings(max_examples=6)
@given(
    size=st.integers(0, 12),
    batch_size=st.integers(1, 4),
    workers=st.integers(1, 3),
    prefetch=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_workers_change_nothing(size, batch_size, workers, prefetch, seed) -> None:
    def passes(num_workers: int) -> list:
        loader = DataLoader(
            Squares(size), batch_size, True, num_workers=num_workers, prefetch_factor=prefetch, generator=seed
        )
        return [[(x.numpy().tolist(), y.numpy().tolist()) for x, y in loader] for _ in range(2)]

    assert passes(workers) == passes(0)


def test_batches_keep_the_samples_structure() -> None:
    for workers in (0, 1):
        batch = next(iter(DataLoader(Squares(5), batch_size=3, num_workers=workers)))
        assert (
            type(batch).__name__ == "Pair" and batch.image.shape == (3, 3) and batch.label.numpy().tolist() == [0, 1, 4]
        )


def test_without_batches_each_sample_comes_by_itself() -> None:
    for workers in (0, 1):
        image, label = list(DataLoader(Squares(3), batch_size=None, num_workers=workers))[2]
        assert isinstance(image, Tensor) and image.shape == (3,) and label == 4


def test_samplers_decide_the_order() -> None:
    assert lists(DataLoader(range(9), batch_size=2, sampler=[5, 5, 1])) == [[5, 5], [1]]
    assert lists(DataLoader(range(9), batch_sampler=[[8], [0, 3, 2]])) == [[8], [0, 3, 2]]
    assert lists(DataLoader(range(9), sampler=np.array([4, 2]), batch_size=1)) == [[4], [2]]


def test_subsets_and_concatenations_of_tensor_datasets() -> None:
    data = TensorDataset(np.arange(6))
    assert [x.numpy().tolist() for (x,) in DataLoader(Subset(data, [5, 0, 2]), batch_size=2)] == [[5, 0], [2]]
    assert [x.numpy().tolist() for (x,) in DataLoader(ConcatDataset([data, data]), batch_size=8)] == [
        [0, 1, 2, 3, 4, 5, 0, 1],
        [2, 3, 4, 5],
    ]


@pytest.mark.parametrize("workers", [0, 2])
def test_own_collate_function(workers: int) -> None:
    batches = list(DataLoader(Squares(5), batch_size=4, num_workers=workers, collate_fn=double))
    assert [batch["count"] for batch in batches] == [4, 1]
    assert isinstance(batches[1]["twice"], Tensor) and batches[1]["twice"].numpy().tolist() == [[8, 8, 8]]


@pytest.mark.parametrize("workers", [0, 1])
def test_default_collate_may_be_named(workers: int) -> None:
    loader = DataLoader(range(3), batch_size=2, num_workers=workers, collate_fn=default_collate)
    assert lists(loader) == [[0, 1], [2]]


def test_streams_are_shared_among_workers() -> None:
    assert lists(DataLoader(Counting(5), batch_size=2)) == [[0, 1], [2, 3], [4]]
    assert lists(DataLoader(Counting(5), batch_size=2, drop_last=True)) == [[0, 1], [2, 3]]
    loader = DataLoader(Counting(9), batch_size=2, num_workers=2, persistent_workers=True)
    for _ in range(2):
        assert lists(loader) == [[0, 2], [1, 3], [4, 6], [5, 7], [8]]
    assert list(DataLoader(Counting(4), batch_size=None, num_workers=3)) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "options",
    [
        {"shuffle": True, "sampler": [0]},
        {"shuffle": True, "batch_sampler": [[0]]},
        {"batch_sampler": [[0]], "batch_size": 2},
        {"batch_sampler": [[0]], "sampler": [0]},
        {"batch_sampler": [[0]], "drop_last": True},
        {"dataset": Counting(3), "shuffle": True},
        {"dataset": Counting(3), "sampler": [0]},
        {"batch_size": None, "drop_last": True},
        {"batch_size": 0},
        {"num_workers": -1},
        {"prefetch_factor": 0},
        {"timeout": -1},
        {"persistent_workers": True},
    ],
)
def test_options_that_exclude_each_other(options: dict) -> None:
    with pytest.raises(ValueError, match="DataLoader: "):
        DataLoader(**{"dataset": range(3)} | options)


# Worker processes -------------------------------------------------------------------------------------------------


def test_workers_open_no_device() -> None:
    (Tensor([1.0]) + 1).numpy()
    if Device.DEFAULT == "CPU" and isinstance(Device["CPU"], OpenCLRuntime):
        assert drivers()
    assert lists(DataLoader(Drivers(), num_workers=2)) == [[0]] * 4


def test_seeds_differ_between_workers_and_passes_and_repeat_with_the_generator() -> None:
    def passes() -> list:
        loader = DataLoader(RandomNumbers(), num_workers=2, generator=4, persistent_workers=True)
        return [[tuple(part.numpy().item() for part in batch) for batch in loader] for _ in range(2)]

    first, second = passes()
    assert [first, second] == passes()
    assert [sample[0] for sample in first] == [0, 1, 0, 1, 0, 1]
    assert len({sample[1] for sample in first + second}) == 4
    assert len({sample[2] for sample in first + second}) == len({sample[3] for sample in first + second}) == 12


def test_persistent_workers_start_once(tmp_path: Path) -> None:
    for persistent, processes in ((True, 2), (False, 6)):
        folder = tmp_path / str(persistent)
        folder.mkdir()
        loader = DataLoader(range(4), num_workers=2, persistent_workers=persistent, worker_init_fn=Marker(str(folder)))
        for _ in range(3):
            assert lists(loader) == [[0], [1], [2], [3]]
        assert len(list(folder.iterdir())) == processes


def test_leaving_a_pass_early_does_not_disturb_the_next() -> None:
    for persistent in (True, False):
        loader = DataLoader(range(20), num_workers=2, prefetch_factor=3, persistent_workers=persistent)
        for _ in range(3):
            for batch in loader:
                if batch.item() == 3:
                    break
            assert len(workers()) == 2 * persistent
        assert lists(loader) == [[i] for i in range(20)]


def test_two_passes_at_once() -> None:
    loader = DataLoader(range(6), num_workers=1, persistent_workers=True)
    pairs = [(a.item(), b.item()) for a, b in zip(loader, loader)]
    assert pairs == [(i, i) for i in range(6)]


@pytest.mark.parametrize("persistent", [False, True])
def test_nothing_grows_over_many_passes(persistent: bool) -> None:
    loader = DataLoader(
        Squares(4, width=1 << 18), batch_size=2, num_workers=1, persistent_workers=persistent, prefetch_factor=1
    )
    list(loader)
    gc.collect()
    before, memory = descriptors(), resident()
    for _ in range(30 if persistent else 5):
        for image, _ in loader:
            assert image.shape == (2, 1 << 18)
    gc.collect()
    assert descriptors() == before
    assert resident() - memory < 8 << 20


def resident() -> int:
    """Bytes of memory this process occupies."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


# Going on in the middle of a pass ---------------------------------------------------------------------------------


def loader_of(kind: str, workers: int) -> DataLoader:
    options = {"num_workers": workers, "batch_size": 3}
    match kind:
        case "library":
            return DataLoader(Augmented(), shuffle=True, **options)
        case "generator":
            return DataLoader(Augmented(), shuffle=True, generator=np.random.default_rng(5), **options)
        case "weighted":
            sampler = WeightedRandomSampler(np.arange(9), 14, generator=2)
            return DataLoader(Augmented(), sampler=sampler, **options)
    return DataLoader(Counting(11), **options)


def first_parts(batches) -> list:
    return [(batch[0] if isinstance(batch, tuple) else batch).numpy().tolist() for batch in batches]


@pytest.mark.parametrize("kind", ["library", "generator", "weighted", "stream"])
@pytest.mark.parametrize("workers", [(0, 0), (2, 2), (2, 0), (0, 1)])
def test_a_pass_goes_on_where_it_stopped(tmp_path: Path, kind: str, workers: tuple[int, int]) -> None:
    if kind == "stream" and workers[0] != workers[1]:
        pytest.skip("the share of a stream depends on the number of workers")
    Tensor.manual_seed(4)
    loader = loader_of(kind, workers[0])
    list(loader)
    batches = iter(loader)
    for _ in range(2):
        next(batches)
        Tensor.rand(2)
    save_checkpoint(tmp_path / "x", loader=loader)
    expected = first_parts(batches), first_parts(loader)
    assert expected[0], "something is left of the pass"
    Tensor.manual_seed(77)
    again = loader_of(kind, workers[1])
    load_checkpoint(tmp_path / "x", loader=again)
    assert again.state_dict()["batches"] == 2
    assert (first_parts(again), first_parts(again)) == expected


def test_between_passes_the_next_one_begins_anew(tmp_path: Path) -> None:
    loader = loader_of("generator", 0)
    list(loader)
    save_checkpoint(tmp_path / "x", loader=loader)
    expected = first_parts(loader)
    again = loader_of("generator", 0)
    load_checkpoint(tmp_path / "x", loader=again)
    assert first_parts(again) == expected
    with pytest.raises(ValueError, match="other generators"):
        loader_of("library", 0).load_state_dict(loader.state_dict())


def test_random_numbers_of_a_batch_depend_on_no_worker() -> None:
    def values(workers: int, skip: int = 0) -> list:
        loader = DataLoader(Augmented(), 2, num_workers=workers, generator=1)
        if skip:
            batches = iter(loader)
            list(islice(batches, skip))
            fresh = DataLoader(Augmented(), 2, num_workers=workers + 1, generator=9)
            fresh.load_state_dict(loader.state_dict())
            loader = fresh
        return [[part.numpy().tolist() for part in batch] for batch in loader]

    assert values(1) == values(3) and values(1)[2:] == values(2, skip=2)
    assert len({number for batch in values(1) for part in batch[1:] for number in part}) == 18


# Failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ("key", KeyError, "no such sample"),
        ("unpicklable", RuntimeError, "Unpicklable: this and that"),
        ("tensor", TypeError, "a tensor of shape .* in a DataLoader worker"),
        ("file", TypeError, "pickle"),
    ],
)
def test_a_workers_exception_arrives_with_its_traceback(how: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        list(DataLoader(Fails(how), num_workers=2))
    sample, note = (["raised by sample 3 of Fails", *caught.value.__notes__])[-2:]
    assert sample.endswith("3 of Fails") or "samples [3]" in sample
    assert note.startswith("raised in DataLoader worker 1:\nTraceback") and "kernelforge/data/worker.py" in note


@pytest.mark.parametrize("workers", [0, 1])
def test_a_samples_stop_iteration_does_not_end_the_pass(workers: int) -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        list(DataLoader(Fails("stop"), num_workers=workers))


@pytest.mark.parametrize(("how", "code"), [("killed", -9), ("ended", 3)])
def test_a_dead_worker_is_reported(how: str, code: int) -> None:
    loader = DataLoader(Fails(how), num_workers=2, persistent_workers=True)
    with pytest.raises(RuntimeError, match=rf"worker 1 .* ended unexpectedly, exit code {code}"):
        list(loader)


def test_a_worker_killed_between_passes_is_reported() -> None:
    loader = DataLoader(range(4), num_workers=1, persistent_workers=True)
    list(loader)
    (process,) = workers()
    process.kill()
    process.join()
    with pytest.raises(RuntimeError, match="exit code -9"):
        list(loader)
    assert lists(loader) == [[0], [1], [2], [3]]


def test_timeout() -> None:
    with pytest.raises(RuntimeError, match="worker 0 gave no batch within timeout=2"):
        list(DataLoader(Fails("slow"), sampler=[3], num_workers=1, timeout=2))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system does not tell")
def test_a_stopped_worker_is_an_error_without_any_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "LOOK", 0.1)
    loader = DataLoader(range(8), num_workers=2, worker_init_fn=stop_itself)
    with pytest.raises(RuntimeError, match=r"worker 1 \(process \d+\) was stopped by a signal"):
        list(loader)


def test_a_slow_worker_is_no_error_but_worth_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "SLOW", -1.0)
    looks = iter([False, False, False, True])
    slow = worker.Worker.__new__(worker.Worker)
    slow.id, slow.process = 0, multiprocessing.current_process()  # type: ignore[assignment]
    slow.connection = SimpleNamespace(poll=lambda seconds: next(looks), recv=lambda: "the batch")  # type: ignore
    with pytest.warns(RuntimeWarning, match="worker 0 has been at one batch .* timeout=SECONDS") as found:
        assert slow._next_answer(None) == "the batch"
    assert len(found) == 1 and next(looks, None) is None


def test_a_failing_init_function_is_reported() -> None:
    with pytest.raises(LookupError, match="no licence for worker 0"):
        list(DataLoader(range(3), num_workers=1, worker_init_fn=fail_to_start))


def test_what_cannot_be_pickled_is_named() -> None:
    loader = DataLoader(range(3), num_workers=1, collate_fn=lambda samples: samples)
    with pytest.raises(TypeError, match="cannot pickle them.*top level of a module"):
        list(loader)


def test_forks_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be forks"):
        list(DataLoader(range(3), num_workers=1, multiprocessing_context="fork"))


def test_tensors_from_a_collate_function() -> None:
    assert next(iter(DataLoader(Squares(2), collate_fn=to_tensor))).numpy().tolist() == [[0, 0, 0]]
    with pytest.raises(TypeError, match="must return NumPy arrays"):
        list(DataLoader(Squares(2), collate_fn=to_tensor, num_workers=1))


PROGRAM = r"""
    import os, signal, sys
    from kernelforge.data import DataLoader

    class Slow:
        def __getitem__(self, index):
            os.write(1, f"{os.getpid()}\n".encode())
            return index

        def __len__(self):
            return 1_000_000

    if __name__ == "__main__":
        for i, batch in enumerate(DataLoader(Slow(), num_workers=2, persistent_workers=True)):
            if i == 3:
                ACTION
"""


def gone(pid: int) -> bool:
    """Whether the process has ended, or does within minutes: soon, where others leave it a processor."""
    for _ in range(6000):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize(
    "action",
    [
        "os.killpg(os.getpgrp(), signal.SIGINT)",  # what Ctrl-C in a terminal does
        "sys.exit(0)",
        "os._exit(0)",
        "os.kill(os.getpid(), signal.SIGKILL)",
    ],
)
def test_no_process_survives_the_program(tmp_path: Path, action: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(PROGRAM).replace("ACTION", action))
    run = subprocess.run(
        [sys.executable, str(program)],
        capture_output=True,
        text=True,
        timeout=600,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    workers = {int(line) for line in run.stdout.split()}
    assert len(workers) == 2 and all(gone(pid) for pid in workers)
    assert "SIGINT" not in action or "KeyboardInterrupt" in run.stderr
