"""Every kernel checked on the data it runs on, while it runs: KF_VERIFY=1.

Comes in: launches with their memory, before and after.  Goes out: nothing, or a WrongResultError that names the kernel,
the first wrong element and the user's line, and a folder that shows the failure without the program around it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from codegen.checking import SPOILED as SPOILED
from codegen.checking import Wrong, spoiled, wrong_elements
from codegen.interpret import interpret
from codegen.show import show
from kernelforge.blame import current_line
from kernelforge.counters import GlobalCounters
from kernelforge.errors import WrongResultError
from kernelforge.kernels import Device
from kernelforge.planning.steps import Launch
from kernelforge.settings import VERIFY

Arrays = dict[str, NDArray]
SUFFIX: Final = {"opencl": ".cl", "triton": ".py", "interpreted": ".py"}
RUNNER: Final = '''"""Runs one kernel on the inputs on which it failed, and compares: python run.py"""

from pathlib import Path

import numpy as np
import pyopencl as cl

here = Path(__file__).parent
inputs, expected = dict(np.load(here / "inputs.npz")), dict(np.load(here / "expected.npz"))
devices = [device for platform in cl.get_platforms() for device in platform.get_devices()]
device = next((device for device in devices if device.platform.name == {platform!r}), devices[0])
context = cl.Context([device])
queue = cl.CommandQueue(context)
program = cl.Program(context, (here / "kernel.cl").read_text()).build()
flags = cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR
buffers = {{name: cl.Buffer(context, flags, hostbuf=inputs[name]) for name in {names!r}}}
program.{entry}(queue, {size!r}, {local!r}, *buffers.values(), *map(np.int32, {numbers!r}))
for name, values in expected.items():
    found = np.empty_like(values)
    cl.enqueue_copy(queue, found, buffers[name])
    places = np.flatnonzero(found != values)
    print(f"{{name}}: {{len(places)}} of {{len(found)}} elements are not as NumPy computes them, some by a rounding")
    print("  places  ", places[:8], "found", found[places[:8]], "expected", values[places[:8]])
'''


def contents(step: Launch, memories: Sequence[Any]) -> Arrays:
    """Copies of what a launch's arguments hold, in storage form."""
    arrays = {}
    for param, memory in zip(step.program.params, memories):
        arrays[param.name] = np.empty(param.size, param.dtype.numpy)
        if param.size:
            Device[step.device].copy_out(memory, arrays[param.name])
    return arrays


@contextmanager
def checked(step: Launch, memories: Sequence[Any]) -> Iterator[None]:
    """A context in which a launch runs; its results are checked at the end, if KF_VERIFY says so.

    What it is to fill is overwritten before, so that right values from earlier do not stand in for what it leaves out.
    """
    if not VERIFY.value or step.program.kernel is None:
        yield
        return
    before, values = contents(step, memories), spoiled(step.program.kernel)
    for param, memory in zip(step.program.params, memories):
        if param.size and param.name in values:
            before[param.name] = values[param.name]
            Device[step.device].copy_in(memory, values[param.name])
    yield
    check(step, before, contents(step, memories))


def check(step: Launch, before: Arrays, after: Arrays) -> None:
    """raises WrongResultError where a launch left anything but what its kernel means"""
    kernel = step.program.kernel
    if kernel is None:
        return
    GlobalCounters.verified += 1
    for wrong in wrong_elements(kernel, before, after, thorough=VERIFY.value > 1):
        folder = reproduction(step, before)
        token = current_line.set(step.lines[0] if step.lines else None)
        try:
            raise WrongResultError(_message(step, wrong, folder))
        finally:
            current_line.reset(token)


def _message(step: Launch, wrong: Wrong, folder: Path | None) -> str:
    lines = [
        f"kernel {step.program.entry} on {step.device} computes {wrong.param.name}[{wrong.place}] = {wrong.found}, "
        f"exact arithmetic {wrong.expected}; {wrong.wrong} of {wrong.seen} elements looked at are wrong",
        *(f"  it serves several sizes, here {name} = {value}" for name, value in _numbers(step).items()),
        *(f"  it stores {reason}" for reason in step.reasons[:2]),
        *(f"  it computes {file}:{line}" for file, line in step.lines[1:4]),
    ]
    if folder is not None:
        lines.append(f"  source, inputs and a script that runs it alone: {folder}")
    return "\n".join([*lines, "  this is a fault of kernelforge or of the device's compiler: please report it"])


def reproduction(step: Launch, before: Mapping[str, NDArray]) -> Path | None:
    """A new folder with a kernel, its inputs, what NumPy makes of them, and what runs it; None where none can be made.

        kernel.cl | kernel.py, kernel.txt   its source, and the algebra it comes from
        inputs.npz, expected.npz            arrays by parameter, in storage form
        run.py                              of an OpenCL kernel: runs and compares, with pyopencl alone
    """
    program, kernel = step.program, step.program.kernel
    assert kernel is not None
    expected = {name: array.copy() for name, array in before.items()}
    interpret(kernel, expected)
    try:
        folder = Path(tempfile.mkdtemp(prefix=f"kernelforge-{program.entry[:40]}-"))
        (folder / f"kernel{SUFFIX[program.language]}").write_text(program.source)
        (folder / "kernel.txt").write_text(show(kernel) + "\n")
        _save(folder / "inputs.npz", before)
        _save(folder / "expected.npz", {name: expected[name] for name in kernel.written})
        if program.language == "opencl":
            (folder / "run.py").write_text(_runner(step))
    except OSError:
        return None
    return folder


def _save(path: Path, arrays: Mapping[str, NDArray]) -> None:
    with ZipFile(path, "w") as file:
        for name, array in arrays.items():
            with file.open(f"{name}.npy", "w") as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)


def _runner(step: Launch) -> str:
    program = step.program
    return RUNNER.format(
        platform=Device[step.device].facts.platform,
        names=[param.name for param in program.params],
        entry=program.entry,
        size=program.global_size,
        local=program.local_size,
        numbers=tuple(_numbers(step).values()),
    )


def _numbers(step: Launch) -> dict[str, int]:
    """The int arguments of a launch by name: those of a kernel for open sizes."""
    return dict(zip(step.program.numbers, step.executable.numbers)) if step.program.numbers else {}
