"""How OpenCL kernels are started: handed over to the driver's threads, or run by the thread that asks.

Comes in: kernels whose arguments are set.  Goes out: their launches, numbered, of which all up to `finished` are done.
To hand a kernel over, and to wake threads for it, takes longer than many a small kernel itself.  Where the driver has
`cl_intel_exec_by_local_thread`, kernels are tried on a queue that runs them at once, as a function call would; one that
turns out to take long is handed over from then on.  Kernels that can be called are called instead
(`opencl_direct`), with the arguments that are set there.  On a device of one thread all are run so: a second one would
wait.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any, Final

from kernelforge.kernels.opencl_build import CHANCES, Compiled
from kernelforge.kernels.opencl_devices import Candidate
from kernelforge.kernels.opencl_direct import Direct

RUN_BY_CALLER: Final = 1 << 31  # CL_QUEUE_THREAD_LOCAL_EXEC_ENABLE_INTEL
EXTENSION: Final = "cl_intel_exec_by_local_thread"
HAND_OVER: Final = 20e-6  # seconds a kernel may take before another thread is woken for it
PATIENCE: Final = 3  # short kernels handed over in a row because one before them was running: the next waits for them


class Queues:
    """The queues of one device, all in order; one thread at a time may use them.

    launched  the number of the last launch
    finished  the number of the last launch known to be done
    """

    def __init__(self, cl: Any, context: Any, candidate: Candidate) -> None:
        self._cl, self._context = cl, context
        self._enqueue = cl.enqueue_nd_range_kernel
        self.main = cl.CommandQueue(context)
        self._immediate: Any = None
        if EXTENSION in candidate.handle.extensions.split():
            self._immediate = cl.CommandQueue(context, properties=RUN_BY_CALLER)
        self._alone = candidate.facts.compute_units == 1
        self._profiled: Any = None
        self.launched = self.finished = 0
        self._waiting = 0  # short kernels handed over in a row

    def launch(self, executable: Compiled, timed: bool) -> float | None:
        """Starts a kernel by the driver, for which its arguments are set; the seconds it took, if timed.

        It is not called, even if it could be by now: the arguments of calls are others.  In any line garbage may be
        collected that waits for what is running, so a launch has its number once the driver has it: not before.
        """
        before = self.launched
        short = executable.chances or self._alone
        self._waiting = self._waiting + 1 if short and before > self.finished else 0
        if short and before <= self.finished and self._immediate is not None:
            seconds = self._run(executable)
            self.launched = self.finished = before + 1
            return seconds if timed else None
        if timed:
            seconds = self._timed(executable)
            self.launched = before + 1
            return seconds
        self._enqueue(self.main, executable.kernel, executable.global_size, executable.local_size)
        self.launched = before + 1
        return None

    def ready(self, executable: Compiled) -> bool:
        """True when all launches are done; waits for them where several short kernels, and this, would be handed over.
        """
        if self.launched > self.finished and executable.chances and self._waiting >= PATIENCE:
            self.finish()
        return self.launched <= self.finished

    def launch_preset(self, executable: Compiled, timed: bool) -> float | None:
        """launch() of a kernel whose arguments are set for both ways to start it."""
        direct = executable.direct
        if self.ready(executable) and direct is not None:
            seconds = self.call(executable, direct)
            return seconds if timed else None
        return self.launch(executable, timed)

    def finish(self) -> None:
        """Waits until all launches are done."""
        launched = self.launched
        if launched > self.finished:
            self.main.finish()
            self.finished = max(self.finished, launched)

    def _run(self, executable: Compiled) -> float:
        """Seconds of a kernel run by this thread."""
        start = perf_counter()
        self._enqueue(self._immediate, executable.kernel, executable.global_size, executable.local_size)
        seconds = perf_counter() - start
        judge(executable, seconds)
        return seconds

    def call(self, executable: Compiled, direct: Direct) -> float:
        """Calls a kernel while no launch is running; the seconds it took."""
        call, arguments, start = direct.call, direct.at, perf_counter()
        for group in direct.groups:
            call(arguments, group, None)
        seconds = perf_counter() - start
        self.launched = self.finished = self.launched + 1
        if seconds >= HAND_OVER or executable.chances < CHANCES:
            judge(executable, seconds)
        return seconds

    def _timed(self, executable: Compiled) -> float:
        """Seconds on the device, by its own clock, on a queue of its own: profiling makes every launch dearer."""
        if self._profiled is None:
            properties = self._cl.command_queue_properties.PROFILING_ENABLE
            self._profiled = self._cl.CommandQueue(self._context, properties=properties)
        self.main.finish()
        event = self._enqueue(self._profiled, executable.kernel, executable.global_size, executable.local_size)
        event.wait()
        return max(1, event.profile.end - event.profile.start) * 1e-9


def judge(executable: Compiled, seconds: float) -> None:
    """Takes down whether a kernel was short; several long times in a row are no coincidence."""
    executable.chances = CHANCES if seconds < HAND_OVER else executable.chances - 1
    if executable.chances <= 0:
        executable.direct = None
