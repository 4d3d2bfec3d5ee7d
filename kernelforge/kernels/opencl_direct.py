"""Kernels called as the functions they are: no queue, no event, nobody else's thread.

Comes in: a compiled kernel.  Goes out: what to call it with, or None.  Intel's processor runtime tells where the
machine code of a kernel lies; how such code is called it does not say.  So that is tried with a small kernel, in a copy
of this process that may crash, and the outcome is kept on disk for as long as driver and machine stay the same.  To
call a kernel takes a quarter of a microsecond; to have the driver run it in the same thread takes six times as long.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import warnings
from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache as remembered
from itertools import product
from types import ModuleType
from typing import Any, Final

from codegen.program import Program
from kernelforge.kernels import cache
from kernelforge.kernels.opencl_native import Native, entered, module_for

LOOK_UP: Final = b"clGetDeviceFunctionPointerINTEL"
MOST_GROUPS: Final = 4  # calls of one launch; more of them are left to the driver
PATIENCE: Final = 5  # seconds the copy of this process may take
DIMENSIONS: Final = 3
UNFIT: Final = re.compile(  # what needs more than the numbers of a group
    r"\bget_(?!group_id\b)\w+\s*\(|\b(?:work|sub)_group_\w+\s*\(|\b(?:__)?local\b|\bbarrier\b|\bprintf\b"
)

Function = Callable[[int | bytes, int, None], None]  # arguments, or where they are


@dataclass(slots=True)
class Direct:
    """A kernel as a function of its arguments' addresses and of a group's numbers.

    values  the addresses of its arguments, in place
    at      where these are
    groups  where the numbers of each group are
    """

    call: Function
    values: array[int]
    at: int
    groups: tuple[int, ...]

    def apart(self) -> Direct:
        """The same function with arguments of its own."""
        return _direct(self.call, len(self.values), self.groups)


def _direct(call: Function, words: int, groups: tuple[int, ...]) -> Direct:
    values = array("Q", [0] * words)
    return Direct(call, values, values.buffer_info()[0], groups)


class Entrances:
    """Where the kernels of one device begin; `trusted` once it is known how to call them.

    native   the C module that calls them, where they are trusted and it is there; else Python calls small ones
    """

    def __init__(self, cl: Any, device: Any) -> None:
        self._cl, self._handle = cl, device
        self._look_up = _extension(cl, device)
        self.trusted = False
        self.native: ModuleType | None = None

    def direct(self, program: Program, binary: Any, name: str) -> Direct | None:
        """The function of a program's kernel in a binary, unless it needs more than a call can give."""
        if not self.trusted or self.native is not None or program.numbers:
            return None
        return self._found(program, binary, name, MOST_GROUPS)

    def entered(self, program: Program, kernel: Any, is_small: bool) -> Native | None:
        """A program's kernel as the C module calls it, unless it needs more than that can give."""
        if self.native is None or not _is_plain(program):
            return None
        address = self._address(kernel.program, kernel.function_name)
        stack = kernel.get_work_group_info(self._cl.kernel_work_group_info.PRIVATE_MEM_SIZE, self._handle)
        if not address or stack > self.native.STACK:
            return None
        numbers = (0,) * len(program.numbers)  # until there are sizes
        return entered(self.native, kernel, address, stack, program.grid, is_small, len(program.params), numbers)

    def try_out(
        self,
        identity: Sequence[str],
        trial: Program,
        binary: Any,
        name: str,
        works: Callable[[Direct], bool],
        threads: int,
    ) -> None:
        """Trusts calls from now on if they are known to work, or turn out to with a kernel of few groups in all
        dimensions; works(function) says so of a function.

        threads   how many may run kernels
        """
        key = cache.key_of(*identity, "direct", trial.source)
        known = cache.load(key)
        if known is None and (function := self._found(trial, binary, name, 1 << DIMENSIONS)) is not None:
            known = b"1" if _survives(lambda: works(function)) else b"0"
            cache.save(key, known)
        self.trusted = known == b"1"
        self.native = module_for(threads) if self.trusted else None

    def _found(self, program: Program, binary: Any, name: str, most: int) -> Direct | None:
        counts = (*program.grid, *(1,) * (DIMENSIONS - len(program.grid)))
        groups = _groups(counts) if counts[0] * counts[1] * counts[2] <= most else ()
        if not groups or not _is_plain(program) or not (address := self._address(binary, name)):
            return None
        kind = ctypes.PYFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
        return _direct(kind(address), len(program.params) + -(-len(program.numbers) // 2), groups)

    def _address(self, binary: Any, name: str) -> int:
        """Where a kernel's machine code begins; 0 where the driver does not say."""
        address = ctypes.c_uint64()
        found = self._look_up is not None and not self._look_up(
            self._handle.int_ptr, binary.int_ptr, name.encode(), ctypes.byref(address)
        )
        return address.value if found else 0


def _is_plain(program: Program) -> bool:
    """Whether a program asks for nothing but its group."""
    return (not program.local or set(program.local) == {1}) and not UNFIT.search(program.source)


@remembered
def _groups(counts: tuple[int, int, int]) -> tuple[int, ...]:
    """Where the numbers of each group are kept, for ever: grids of so few groups are few."""
    numbers = [(ctypes.c_uint64 * DIMENSIONS)(*reversed(place)) for place in product(*map(range, reversed(counts)))]
    _kept.extend(numbers)
    return tuple(ctypes.addressof(place) for place in numbers)


_kept: Final[list[Any]] = []


def _extension(cl: Any, device: Any) -> Any:
    """The driver's function that tells where a kernel is; None where there is none."""
    try:
        ask = ctypes.CDLL(cl._cl.__file__).clGetExtensionFunctionAddressForPlatform
    except (AttributeError, OSError):
        return None
    ask.restype = ctypes.c_void_p
    address = ask(ctypes.c_void_p(device.platform.int_ptr), LOOK_UP)
    if not address or not hasattr(os, "fork"):
        return None
    pointer = ctypes.c_void_p
    return ctypes.CFUNCTYPE(ctypes.c_int, pointer, pointer, ctypes.c_char_p, pointer)(address)


def _survives(works: Callable[[], bool]) -> bool:
    """Whether a function returns True in a copy of this process, whatever else becomes of that."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a copy of a process with threads must not wait for them: this one does not
        child = os.fork()
    if not child:
        code = 1
        with suppress(BaseException):
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(PATIENCE)
            code = 0 if works() else 1
        os._exit(code)
    return os.waitpid(child, 0)[1] == 0
