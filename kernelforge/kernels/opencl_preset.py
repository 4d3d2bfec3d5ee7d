"""Launches done again and again in the same order: arguments stay set where the memory is what it was.

Comes in: kernels, with the places of their arguments among memories; at each run the memories.  Goes out: their
launches.  A place costs the same however many kernels use it, and nothing is looked at for each launch.
"""

from __future__ import annotations

from collections.abc import Sequence

from kernelforge.kernels.opencl import OpenCLRuntime
from kernelforge.kernels.opencl_build import Compiled
from kernelforge.kernels.runtime import Memory


class Preset:
    """Launches of one device, with kernel objects of their own."""

    def __init__(self, runtime: OpenCLRuntime, launches: Sequence[tuple[Compiled, Sequence[int]]]) -> None:
        self._runtime = runtime
        self._executables = [runtime.another(executable) for executable, _ in launches]
        users: dict[int, list[tuple[Compiled, int]]] = {}
        for executable, (_, places) in zip(self._executables, launches):
            for i, place in enumerate(places):
                users.setdefault(place, []).append((executable, i))
        self._users = list(users.items())
        self._serials = [0] * len(self._users)

    def run(self, memories: Sequence[Memory]) -> None:
        """Starts all launches."""
        runtime, serials = self._runtime, self._serials
        with runtime.launching() as launch:
            last = runtime.launched + len(self._executables)
            for number, (place, users) in enumerate(self._users):
                block = memories[place].block
                block.last_use = last
                if serials[number] != block.serial:
                    serials[number] = 0  # whatever interrupts the next lines, the arguments are set again
                    for executable, i in users:
                        executable.kernel.set_arg(i, block.handle)
                        if executable.direct is not None:
                            executable.direct.values[i] = block.address
                    serials[number] = block.serial
            for executable in self._executables:
                launch(executable, False)
