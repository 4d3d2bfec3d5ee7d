"""What a captured function asks of the world outside is refused by name, or guarded; what it says is said again."""

import concurrent.futures
import datetime
import functools
import gc
import importlib
import io
import itertools
import logging
import os
import queue
import random
import secrets
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernelforge import Context, JitError, Tensor, dtypes, jit, no_grad
from kernelforge.amp import autocast
from kernelforge.func import vmap
from kernelforge.io import safe_load

pytestmark = pytest.mark.usefixtures("numpy_device")
HERE = Path(__file__)
VARIABLE = "KERNELFORGE_TEST_SCALE"
OPENED = tempfile.TemporaryFile("w+")  # noqa: SIM115
WAITING: queue.SimpleQueue[int] = queue.SimpleQueue()


def ten() -> float:
    return 10.0


def in_a_thread(x: Tensor) -> Tensor:
    found: list[Tensor] = []
    thread = threading.Thread(target=lambda: found.append((x * 2).realize()))
    thread.start()
    thread.join()
    return found[0]


def in_a_pool(x: Tensor) -> Tensor:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit((x * 2).realize).result()


REFUSED: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "time.time": (lambda x: x * time.time(), "clock"),
    "time.perf_counter": (lambda x: x * time.perf_counter(), "clock"),
    "datetime.now": (lambda x: x * datetime.datetime.now().second, "clock"),
    "date.today": (lambda x: x * datetime.date.today().day, "clock"),
    "os.urandom": (lambda x: x * os.urandom(1)[0], "random bytes"),
    "secrets": (lambda x: x * secrets.randbelow(3), "random bytes"),
    "uuid": (lambda x: x * uuid.uuid4().node, "random bytes"),
    "an unseeded generator of NumPy": (lambda x: x * np.random.default_rng().random(), "random bytes"),
    "an unseeded old generator of NumPy": (lambda x: x * np.random.RandomState().rand(), "random bytes"),
    "an unseeded generator of Python": (lambda x: x * random.Random().random(), "seeds a generator"),
    "a generator of the system": (lambda x: x * random.SystemRandom().random(), "random bytes"),
    "a file": (lambda x: x * len(HERE.read_bytes()), "opens a file"),
    "a file that is written": (lambda x: np.save(os.devnull, x.numpy()), "opens a file"),
    "a file that is there": (lambda x: x * HERE.exists(), "file system"),
    "a file of tensors": (lambda x: safe_load(str(HERE)), "opens a file|file system"),
    "a file that is open": (lambda x: x * len(OPENED.read(1)), "reads or writes a file"),
    "a file that is open and written": (lambda x: OPENED.write("a") and x, "reads or writes a file"),
    "which thread": (lambda x: x * len(threading.current_thread().name), "in which thread"),
    "the collector of garbage": (lambda x: x * gc.isenabled(), "collects garbage"),
    "the interpreter": (lambda x: x * sys.getrecursionlimit(), "the interpreter"),
    "a queue of threads": (lambda x: x * WAITING.qsize(), "a queue of threads"),
    "a thread": (in_a_thread, "another thread"),
    "a pool": (in_a_pool, "another thread"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    function, what = REFUSED[name]
    with pytest.raises((JitError, ValueError)) as caught:  # what is no file of tensors is another error, raised first
        jit(function)(Tensor([1.0]))
    if isinstance(caught.value, JitError):
        caught.match(rf"test_watching\.py, line \d+: a captured function .*({what})")
    else:
        assert name == "a file of tensors"


ROWS: dict[str, tuple[Callable[[], Any], str]] = {
    "an iterator in a tuple": (lambda: (lambda given: lambda: next(given[0]))((iter([2.0]), 1)), "an iterator"),
    "an iterator's method": (lambda: itertools.count(1).__next__, "an iterator"),
    "a generator's method": (lambda: (i for i in range(3)).__next__, "an iterator"),
    "a part of next()": (lambda: functools.partial(next, itertools.count(1)), "an iterator"),
    "a default": (lambda: lambda it=iter([2.0]): next(it), "an iterator"),  # noqa: B008
    "deep inside": (lambda: (lambda d: lambda: next(d["a"][0]))({"a": (itertools.count(1),)}), "an iterator"),
    "lines of a file": (lambda: (lambda file: lambda: float(next(file)))(_written()), "reads or writes the file"),
    "a file in memory": (lambda: (lambda file: lambda: file.read(1))(io.StringIO("234")), "changes the elements"),
    "a print there": (lambda: (lambda file: lambda: print("a", file=file))(io.StringIO()), "changes the elements"),
}


def _written() -> Any:
    file = tempfile.TemporaryFile("w+")  # noqa: SIM115
    file.write("2\n3\n4\n")
    file.seek(0)
    return file


@pytest.mark.parametrize("name", ROWS)
def test_what_goes_on_by_itself_is_refused(name: str) -> None:
    make, what = ROWS[name]
    step = make()
    with pytest.raises(JitError, match=f"a captured function .*{what}"):
        jit(lambda x: (x * 2, step()))(Tensor([1.0]))


@pytest.mark.parametrize("function", [
    lambda x: x * np.random.default_rng(3).random(), lambda x: x * random.Random(3).random(),
    lambda x: x * datetime.date(2000, 1, 2).day, lambda x: x * len(os.path.join("a", "b")),
    lambda x: x * len(io.StringIO("text").read()), lambda x: x * ten(),
])  # fmt: skip
def test_what_is_always_the_same_is_not_refused(function: Callable[[Tensor], Tensor]) -> None:
    captured = jit(function)
    assert [captured(Tensor([n])).tolist() for n in (1.0, 2.0, 3.0)] == [
        function(Tensor([n])).tolist() for n in (1.0, 2.0, 3.0)
    ]
    assert captured._entries[0].replays == 2


class Collections:
    """Measures how long collections of garbage take, as tools do."""

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        self.time = time.perf_counter()
        print(phase)


@pytest.mark.parametrize("callback", [Collections(), Collections().__call__, lambda *_: print(time.time())])
def test_what_happens_when_garbage_is_collected_is_not_the_functions_doing(callback: Any, capsys: Any) -> None:
    def doubled(x: Tensor) -> Tensor:
        gc.collect()  # it may come at any line
        return x * 2

    captured = jit(doubled)
    gc.callbacks.append(callback)
    try:
        captured(Tensor([1.0]))
    finally:
        gc.callbacks.remove(callback)
    capsys.readouterr()
    assert captured(Tensor([2.0])).item() == 4 and captured._entries[0].replays == 1
    assert not capsys.readouterr().out


def test_what_modules_do_when_they_are_imported_is_not_the_functions_doing(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "imported_while_captured.py").write_text(
        "import os, random, time\nFACTOR = 2 + 0 * time.time() * len(os.listdir('.'))\nrng = random.Random()\n"
        "def now():\n    return time.time()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))

    def scaled(x: Tensor) -> Tensor:
        return x * importlib.import_module("imported_while_captured").FACTOR

    def asking(x: Tensor) -> Tensor:
        return x * importlib.import_module("imported_while_captured").now()

    captured = jit(scaled)
    assert [captured(Tensor([n])).item() for n in (1.0, 2.0, 3.0)] == [2, 4, 6]
    with pytest.raises(JitError, match=r"imported_while_captured.py, line 5: .* reads the clock"):
        jit(asking)(Tensor([1.0]))


def test_the_first_thing_a_program_computes_may_be_captured() -> None:
    program = "from kernelforge import Tensor, jit; print(jit(lambda: (Tensor.arange(3.0) * 2).exp().sum().item())())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0 and float(done.stdout) == pytest.approx(62.987, 1e-4), done.stderr


def test_a_refused_function_leaves_no_capture() -> None:
    clock, x = jit(lambda x: x.assign(x * 0 + time.time() * 0 + 1)), Tensor([5.0])
    for _ in range(2):
        with pytest.raises(JitError, match="reads the clock"):
            clock(x)
    assert not clock.captured


@pytest.mark.parametrize("read", [
    lambda: os.environ.get(VARIABLE, "1"), lambda: os.getenv(VARIABLE, "1"),
    lambda: dict(os.environ).get(VARIABLE, "1"),
])  # fmt: skip
def test_environment_variables(read: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
    captured = jit(lambda x: x * float(read()))
    found = []
    for value in (None, None, "3", "3", None):
        if value is None:
            monkeypatch.delenv(VARIABLE, raising=False)
        else:
            monkeypatch.setenv(VARIABLE, value)
        found.append(captured(Tensor([2.0])).item())
    assert found == [2, 2, 6, 6, 2]
    assert len(captured._entries) == 2
    assert f"environment variable {VARIABLE} was None, now it is '3'" in captured.explain()


def test_prints_are_printed_again(capsys: pytest.CaptureFixture[str]) -> None:
    @jit
    def step(x: Tensor) -> Tensor:
        print("sum", x.sum().item(), end=";")
        print("shape", x.shape, file=sys.stderr)
        return x + 1

    for value in (1.0, 1.0, 2.0, 1.0, 2.0):
        step(Tensor([value, 1.0]))
    assert capsys.readouterr() == ("sum 2.0;sum 2.0;sum 3.0;sum 2.0;sum 3.0;", "shape (2,)\n" * 5)
    assert len(step._entries) == 2


def test_logs_are_logged_again(caplog: pytest.LogCaptureFixture) -> None:
    @jit
    def step(x: Tensor) -> Tensor:
        logging.getLogger("tests").warning("the sum is %s", x.sum().item())
        return x + 1

    with caplog.at_level(logging.WARNING, "tests"):
        for value in (1.0, 1.0, 2.0, 2.0):
            step(Tensor([value]))
    assert caplog.messages == ["the sum is 1.0"] * 2 + ["the sum is 2.0"] * 2


def test_an_index_out_of_range_that_is_caught() -> None:
    def function(x: Tensor, i: Tensor) -> Tensor | float:
        try:
            return x.gather(0, i).sum().item()
        except IndexError:
            return x * 0

    captured, x = jit(function), Tensor([1.0, 2.0])
    found = [captured(x, Tensor([i])) for i in (1, 7, 7, 1, 9, 0)]
    plain = [value.tolist() if isinstance(value, Tensor) else value for value in found]
    assert plain == [2, [0, 0], [0, 0], 2, [0, 0], 1]


def test_a_value_no_rule_allows_that_is_caught() -> None:
    def function(probability: Tensor) -> Tensor | float:
        try:
            return probability.binary_crossentropy(Tensor([1.0])).item()
        except ValueError:
            return probability * 0

    captured = jit(function)
    found = [captured(Tensor([p])) for p in (1.0, 1.5, 1.5, 1.0, -2.0)]
    plain = [value.tolist() if isinstance(value, Tensor) else value for value in found]
    assert plain == [0, [0], [0], 0, [0]]


def test_an_index_out_of_range_before_a_call_is_its_own_fault() -> None:
    captured, x = jit(lambda x: x * 2 if x.sum().item() > 0 else x), Tensor([1.0, 2.0])
    captured(x)
    x.gather(0, Tensor([5])).realize()
    with pytest.raises(IndexError, match="gather"):
        captured(x)
    assert captured(x).tolist() == [2, 4]


def test_autocast_is_a_mode() -> None:
    captured, x = jit(lambda x: x @ x), Tensor([[1.0, 2.0], [3.0, 4.0]])
    assert [str(captured(x).dtype) for _ in range(2)] == ["float32", "float32"]
    with autocast(dtype="float16"):
        assert [str(captured(x).dtype) for _ in range(2)] == ["float16", "float16"]
    assert str(captured(x).dtype) == "float32"
    assert "autocast() changed" in captured.explain()


@pytest.mark.parametrize("change", [
    lambda: setattr(Tensor, "training", not Tensor.training),
    lambda: setattr(dtypes, "default_float", dtypes.float64),
])  # fmt: skip
def test_a_mode_that_is_changed_is_refused(change: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    before, kind = Tensor.training, dtypes.default_float
    try:
        with pytest.raises(JitError, match="changes (the switches or Tensor.training|the default float type)"):
            jit(lambda x: change() or x * 2)(Tensor([1.0]))
    finally:
        Tensor.training, dtypes.default_float = before, kind


def test_modes_that_are_put_back_are_not() -> None:
    @jit
    def step(x: Tensor) -> Tensor:
        with Tensor.train(), no_grad():
            return x * 2

    assert [step(Tensor([n])).item() for n in (1.0, 2.0, 3.0)] == [2, 4, 6]


def test_anomalies_are_looked_for_outside() -> None:
    def step(x: Tensor) -> float:
        with Context(NAN=1):
            return x.log().sum().item()

    with pytest.raises(JitError, match="looks for NaN"):
        jit(step)(Tensor([1.0]))


@pytest.mark.parametrize("captures", [False, True])
def test_vmap_refuses_the_same_inside_a_captured_function(captures: bool) -> None:
    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        return jit(function) if captures else function

    x = Tensor([[1.0, 2.0], [3.0, 4.0]])
    with pytest.raises(RuntimeError, match="randomness='same'"):
        wrap(vmap(lambda row: row + Tensor.rand(2)))(x)
    with pytest.raises(RuntimeError, match="asks for the value"):
        wrap(vmap(lambda row: row if row.sum() > 0 else -row))(x)
    function = wrap(vmap(lambda row: row + Tensor.rand(2), randomness="same"))
    found = [function(x).tolist() for _ in range(3)]
    assert found[0] != found[1] != found[2]
