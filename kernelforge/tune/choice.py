"""Which schedule a kernel runs under: the lock file's, a measured one, or the analytical model's.

Comes in: a kernel for a device.  Goes out: its program.  With the same lock file a kernel has the same schedule, and so
the same results to the last bit, in every process.  An entry that is not legal any more counts as absent.
"""

from __future__ import annotations

import threading
from typing import Final

from codegen.choose.default import forms
from codegen.generate import generate
from codegen.ir import Kernel
from codegen.program import Program
from codegen.schedule import ScheduleError
from codegen.show_schedule import read_schedule, show_schedule
from codegen.target import Target
from kernelforge.kernels import Device, Runtime
from kernelforge.kernels.cache import notice
from kernelforge.kernels.workers import crew
from kernelforge.settings import TUNE, TUNE_SECONDS
from kernelforge.tune.lock import Lock, key_of, lock_at, lock_path
from kernelforge.tune.search import Search

FORM: Final = "form"  # of the kernel the schedule is for: see `codegen.choose.default.forms`
SHARE: Final = 4  # of a device's memory: kernels whose arguments take more are not measured
_searching: Final = threading.RLock()


def program(kernel: Kernel, target: Target, device: str) -> Program:
    """See `kernelforge.tune.program`."""
    path = lock_path()
    if path is None or target.language == "interpreted":
        return generate(kernel, target)
    lock = lock_at(path)
    if not lock.sections and not TUNE.value:
        return generate(kernel, target)
    key = key_of(kernel, target)
    if TUNE.value < 2 or key in _measured:
        text = lock.get(key)
        found = _locked(kernel, target, text, f"{path}: [{key}]") if text is not None else None
        if found is not None:
            return found
    if TUNE.value and _fits(kernel, runtime := Device[device]):
        with _searching:
            return _measure(kernel, runtime, lock, key)
    return generate(kernel, target)


_measured: Final[set[str]] = set()


def _locked(kernel: Kernel, target: Target, text: str, place: str) -> Program | None:
    """The program of the schedule in a section of the lock file; None, with one notice, when it is not legal."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    known = dict(forms(kernel, target))
    name = next((line.removeprefix(FORM).strip() for line in lines if line.startswith(FORM)), "")
    lines = [line for line in lines if not line.startswith(FORM)]
    if name not in known:
        notice(f"{place} is ignored: the kernel has no form {name!r}")
        return None
    try:
        return generate(known[name], target, read_schedule(known[name], "\n".join(lines)))
    except ScheduleError as error:
        notice(f"{place} is ignored: {error}")
        return None


def _fits(kernel: Kernel, runtime: Runtime) -> bool:
    memory = runtime.facts.memory
    return not memory or sum(param.size * param.dtype.itemsize for param in kernel.params) <= memory // SHARE


def _measure(kernel: Kernel, runtime: Runtime, lock: Lock, key: str) -> Program:
    """The program of the fastest schedule a search finds, which goes into the lock file."""
    target = runtime.target
    search = Search(kernel, runtime, crew(runtime.name, target), TUNE_SECONDS.value)
    found, form = search.run(), search.space.form
    nest = found.winner.nest
    text = show_schedule(nest.kernel, nest.schedule)
    lock.put(key, "\n".join([f"# {found}", *([f"{FORM}     {form}"] if form else []), text]))
    _measured.add(key)
    return generate(nest.kernel, target, nest.schedule)
