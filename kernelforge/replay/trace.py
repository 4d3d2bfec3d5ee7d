"""What one call of a function does, beside making nodes.

Comes in: a call that is being recorded.  Goes out: its events in order: numbers drawn on the host, actions, plans that
ran, values that reached Python.
"""

from __future__ import annotations

import contextlib
import functools
import pickle
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from importlib import _bootstrap
from types import CodeType, FrameType, ModuleType
from typing import Any, Final, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from codegen.dtypes import from_storage
from kernelforge import graph, realize
from kernelforge.buffer import Buffer
from kernelforge.errors import JitError
from kernelforge.execution.faults import LATE
from kernelforge.graph import Line, Node
from kernelforge.recording import recorder
from kernelforge.replay.codes import BY_NAME, WHOLE, is_dynamic, looks_inside, looks_whole
from kernelforge.replay.identities import asks_itself, noting
from kernelforge.replay.kinds import is_a
from kernelforge.replay.speaking import HANDLE, heard, logged
from kernelforge.replay.state import is_library
from kernelforge.replay.watching import CALLER, Watch
from kernelforge.settings import NAN
from kernelforge.tensor import Tensor
from kernelforge.tensor.convert import changed_with, settle
from kernelforge.tensor.frames import calling_line

_ROOT: Final = graph.__file__[: -len("graph.py")]
_IMPORTING: Final = _bootstrap._find_and_load.__code__  # type: ignore[attr-defined]
_OF_FUNCTIONS: Final = frozenset((
    contextlib._GeneratorContextManagerBase.__init__.__code__, functools.update_wrapper.__code__,
))  # fmt: skip
"""Code that looks at attributes of functions by name: at their texts alone."""

_FORMATTING: Final = ("format", "format_map")  # methods of texts


class Draw(NamedTuple):
    """A buffer with numbers the host draws anew each time."""

    buffer: Buffer
    draw: Callable[[], NDArray]


class Act(NamedTuple):
    """Something to do each time."""

    act: Callable[[], object]


class Run(NamedTuple):
    """A plan that ran."""

    ran: realize.Ran


class Read(NamedTuple):
    """A value that reached Python, in storage form; None: an error did, an index out of range."""

    buffer: Buffer
    value: NDArray | None
    line: Line | None
    shape: tuple[int, ...]


Event = Draw | Act | Run | Read


@dataclass
class Trace:
    """A recorder, see `recording`.

    codes     by identity, the code of every Python function that was called with its globals, if that was watched
    changed   tensors given other values
    watch     what was asked of the world outside
    said      what prints and logs the same again
    by_name   whether something was looked at by a name that no code need mention
    searching whether code did that which is no library's
    searched  the identities of modules that code of libraries did that with
    looking   the identities of this library's code that looks at objects whole, by `vars`; whole: of these objects
    identified  the identities of tensors whose identities were asked for; None: any tensor's may have been
    identifies  whether code that may run mentions what asks for them
    prints    whether a text was made of objects by a method that no code need mention
    arrays    those whose memory tensors have, and what was in it
    """

    known: frozenset[int]
    carried: Sequence[str]
    events: list[Event] = field(default_factory=list)
    codes: dict[int, tuple[CodeType, dict[str, Any]]] = field(default_factory=dict)
    changed: list[Tensor] = field(default_factory=list)
    watched: bool = False
    watch: Watch = field(default_factory=Watch)
    said: list[Callable[[], None]] = field(default_factory=list)
    by_name: bool = False
    searching: bool = False
    searched: set[int] = field(default_factory=set)
    looking: set[int] = field(default_factory=set)
    whole: set[int] = field(default_factory=set)
    identified: set[int] | None = field(default_factory=set)
    identifies: bool = False
    prints: bool = False
    before: dict[int, Node] = field(default_factory=dict)
    arrays: list[tuple[NDArray, NDArray]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.before = {id(node): node for node in graph.alive()}
        buffers: list[tuple[Node, Buffer | None]] = [
            (node, node.attr if node.op == "buffer" else node.realized) for node in self.before.values()
        ]
        constants = {id(buffer) for node, buffer in buffers if node.device is None}  # a tensor may have one's values
        self.foreign: dict[int, Buffer] = {
            id(buffer): buffer for _, buffer in buffers if buffer is not None and id(buffer) not in constants
        }

    def changing(self, tensor: Tensor, by: Tensor | None = None) -> None:
        node = tensor._node
        if by is not None and (id(by) in self.known or id(tensor) not in self.known):
            return  # it will change with the other whenever that does
        if id(tensor) not in self.known and id(node) in self.before and node.device is not None:
            self.refuse("changes a tensor that is neither an argument nor found in its closure, globals or attributes")
        self.changed.append(tensor)

    def drawn(self, buffer: Buffer, draw: Callable[[], NDArray]) -> None:
        self.events.append(Draw(buffer, draw))

    def acted(self, act: Callable[[], object]) -> None:
        self.events.append(Act(act))

    def value(self, tensor: Tensor) -> NDArray:
        changed = changed_with([tensor._node], [tensor]) if tensor._stored is None else []
        self.compute([tensor._node, *[x._node for x in changed]])
        settle(changed)  # the next value is not computed from what they were computed from
        buffer = tensor._stored
        assert buffer is not None
        try:
            stored = realize.contents(buffer)
        except LATE:
            self.events.append(Read(buffer, None, calling_line(), tensor.shape))
            raise
        self.events.append(Read(buffer, stored, calling_line(), tensor.shape))
        return from_storage(stored, tensor.dtype).reshape(tensor.shape).copy()

    def differentiating(self) -> None:
        if self.carried:
            self.refuse(
                f"calls backward() while {self.carried[0]} is computed from tensors that require gradients outside of "
                "it: call backward() on its result outside, or pass a detached tensor"
            )

    def entered(self, frame: FrameType) -> None:
        """A function of Python was called."""
        code = frame.f_code
        self.watch.entered(frame)
        if id(code) not in self.codes:
            self.codes[id(code)] = code, frame.f_globals
            if "vars" in code.co_names and code.co_filename.startswith(_ROOT):
                self.looking.add(id(code))
        if id(code) in self.looking:
            self.whole.update(map(id, frame.f_locals.values()))

    def looked(self, function: Any, frame: FrameType) -> None:
        """A function of C was called by other code than this library's."""
        if function in BY_NAME and frame.f_code not in _OF_FUNCTIONS:
            self.by_name = True
            if is_library(frame.f_code.co_filename):
                self.searched.update(id(x) for x in frame.f_locals.values() if is_a(x, ModuleType))
            else:
                self.searching = True
        elif asks_itself(function) and not is_library(frame.f_code.co_filename):
            self.identified = None
        elif is_a(text := getattr(function, "__self__", None), str) and function.__name__ in _FORMATTING:
            self.prints = True
            if looks_inside(text):
                self.by_name = self.searching = True

    def asked_which(self, tensor: Tensor, frame: FrameType) -> None:
        """The identity of a tensor was asked for; libraries keep books by it, as copy.deepcopy() does."""
        if self.identified is not None and not is_library(frame.f_code.co_filename):
            self.identified.add(id(tensor))

    def shared(self, array: NDArray) -> None:
        self.arrays.append((array, array.copy()))

    def asked(self) -> None:
        if NAN.value:
            self.refuse("looks for NaN, which replays would not do: turn that on around the call")

    def refuse(self, what: str) -> NoReturn:
        raise JitError(f"{_place(calling_line())}a captured function {what}; it cannot be captured like this")

    def compute(self, nodes: Sequence[Node]) -> None:
        """Runs what is still to be computed of nodes."""
        self.asked()
        noting = sys.getprofile()
        if self.watched:
            sys.setprofile(None)  # how plans are made and run is none of the function's business
        try:
            ran = realize.realize(nodes)
        finally:
            if self.watched:
                sys.setprofile(noting)
        if ran is not None:
            self.events.append(Run(ran))

    @property
    def mentioned(self) -> set[str]:
        """The names that users' code which ran mentions."""
        codes = [code for code, _ in self.codes.values() if not is_library(code.co_filename)]
        return {name for code in codes for name in code.co_names}

    @property
    def names(self) -> frozenset[str] | None:
        """The names of globals and attributes the call can have looked at; None for any."""
        if not self.watched or self.by_name:
            return None
        names = {WHOLE} if self.prints else set[str]()
        for code, _ in self.codes.values():
            names.update(code.co_names)
            if WHOLE not in names and not is_library(code.co_filename) and looks_whole(code):
                names.add(WHOLE)
            if not code.co_filename.startswith(_ROOT) and code not in _OF_FUNCTIONS and is_dynamic(code):
                return None
        return frozenset(names)


def _place(line: Line | None) -> str:
    return f"{line[0]}, line {line[1]}: " if line is not None else ""


def _noting(trace: Trace) -> Callable[[FrameType, str, object], None]:
    """A profiler that takes down what is called; a module runs once, so that no later call looks at what that does."""
    watch, importing = trace.watch, 0

    def note(frame: FrameType, event: str, argument: object) -> None:
        nonlocal importing
        code = frame.f_code
        if event == "call":
            if code is _IMPORTING:
                importing += 1
            elif not importing:
                trace.entered(frame)
            watch.called(frame)
            if code is HANDLE:
                logged(frame, trace.said)
        elif event == "c_call":
            watch.called_c(frame, argument)
            if not importing and not code.co_filename.startswith(_ROOT):
                trace.looked(argument, frame)
        elif event == "return" and code is _IMPORTING:
            importing -= 1

    return note


@contextmanager
def recorded(trace: Trace) -> Iterator[None]:
    """A context whose calls a trace takes down.

    raises JitError when something was asked that a replay would not ask again, or the host's random numbers were drawn
    """
    token, previous, drawn = recorder.set(trace), sys.getprofile(), host_numbers()
    watch = trace.watch
    trace.watched = previous is None or callable(previous)  # not where a profiler in C is at work
    with heard(trace.said), noting(trace.asked_which) if trace.identifies else nullcontext():
        if trace.watched:
            sys.setprofile(_noting(trace))
        try:
            yield
        except Exception:
            if watch.unrepeatable is not None and watch.unrepeatable[0] == CALLER:  # there are others here
                _refuse(*watch.unrepeatable)
            raise
        finally:
            if trace.watched:
                sys.setprofile(previous)
            recorder.reset(token)
    if watch.unrepeatable is not None:
        _refuse(*watch.unrepeatable)
    if any(array.tobytes() != before.tobytes() for array, before in trace.arrays):
        raise JitError(
            "a captured function writes into an array whose memory a tensor has, but computes its results in the end: "
            "give the tensor a copy, as Tensor(array) does"
        )
    if host_numbers() != drawn:
        raise JitError(
            "a captured function draws numbers from the global random state of Python, NumPy or torch, which every "
            "replay would repeat: use Tensor.rand and its like, or pass the numbers as an argument"
        )


def _refuse(what: str, file: str, number: int) -> NoReturn:
    raise JitError(
        f"{file}, line {number}: a captured function {what}, which no replay would do again: do it outside, and pass "
        "what comes of it as an argument"
    )


def host_numbers(generators: Sequence[Any] = ()) -> bytes:
    """The state of the host's random generators."""
    states = [random.getstate(), np.random.get_state(legacy=False)]
    if (torch := sys.modules.get("torch")) is not None:
        states.append(torch.random.get_rng_state().numpy().tobytes())
    return pickle.dumps(states + list(map(_state, generators)))


def _state(one: Any) -> Any:
    """The state of a random generator of Python or NumPy."""
    if is_a(one, random.Random):
        return one.getstate()
    if is_a(one, np.random.RandomState):
        return one.get_state(legacy=False)
    return getattr(one, "bit_generator", one).state
