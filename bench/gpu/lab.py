"""The two sides, and how a case is tried on both.

Comes in: cases, as operands and a function for each side.  Goes out: rows.  Results are compared before times are
taken, with each other or, where that is cheap, with float64.  A case that fails costs its own row only.
"""

import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.gpu import timing
from bench.gpu.table import Results, Row
from kernelforge import Tensor
from kernelforge.errors import DeviceError
from kernelforge.kernels.cuda import CudaRuntime
from kernelforge.node import is_stored
from kernelforge.planning.plan import make_plan
from kernelforge.settings import Context
from kernelforge.structure import structure

DRAWN = 1 << 22  # numbers that are drawn; larger arrays repeat them
COMPARED = 1 << 24  # elements of results that are compared
EXACT = 1e12  # operations up to which a result is also computed in float64
DEVICE = "CUDA"
TOGETHER = "compiling together"


@dataclass(frozen=True)
class Operand:
    """An array of normal numbers, or of whole numbers below `high`."""

    shape: tuple[int, ...]
    dtype: str = "bfloat16"
    high: int = 0

    @property
    def kind(self) -> str:
        """The type of its elements."""
        return "int32" if self.high else self.dtype

    def drawn(self, seed: int) -> np.ndarray:
        """Its values, or the part of the rows that is repeated."""
        size = int(np.prod(self.shape))
        rows = self.shape[0]
        while size > DRAWN and rows % 2 == 0:
            rows, size = rows // 2, size // 2
        random = np.random.default_rng(seed)
        if self.high:
            return random.integers(0, self.high, (rows, *self.shape[1:])).astype(np.int32)
        return random.standard_normal((rows, *self.shape[1:]), np.float32)


@dataclass(frozen=True)
class Case:
    """Work for both sides.

    ours, theirs  the same function of the operands
    wrt           positions of operands: the work is the gradient with respect to these, of which the first is compared
    cotangent     True where the last operand is no argument of the functions but what their result's gradient is
    compiled      True when torch.compile is to have theirs
    exact         False where float64 would take too much memory or time
    """

    name: str
    operands: tuple[Operand, ...]
    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    flops: float = 0
    nbytes: float = 0
    wrt: tuple[int, ...] = ()
    cotangent: bool = False
    compiled: bool = False
    exact: bool = True

    def our_results(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """What is to be computed, not computed yet."""
        arguments, cotangent = self._split(inputs)
        out = self.ours(*arguments)
        return out.gradient(*(arguments[i] for i in self.wrt), gradient=cotangent) if self.wrt else [out]

    def their_results(self, torch: Any, function: Callable[..., Any], inputs: Sequence[Any]) -> list[Any]:
        """The same by torch; function is theirs, as it is or compiled."""
        arguments, cotangent = self._split(inputs)
        out = function(*arguments)
        return list(torch.autograd.grad(out, [arguments[i] for i in self.wrt], cotangent)) if self.wrt else [out]

    def _split(self, inputs: Sequence[Any]) -> tuple[Sequence[Any], Any]:
        return (inputs[:-1], inputs[-1]) if self.cotangent else (inputs, None)


class Lab:
    """A GPU, its users and the results.

    torch     the module, or None where it is not installed or sees no GPU
    deadline  by time.perf_counter, after which nothing is begun
    small     tries every step on tiny operands; the times mean nothing
    """

    def __init__(self, runtime: CudaRuntime, torch: Any, results: Results, minutes: float, small: bool = False) -> None:
        self.runtime, self.torch, self.results, self.small = runtime, torch, results, small
        self.place = "cuda"  # the device as torch calls it
        self.deadline = time.perf_counter() + 60 * minutes

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - time.perf_counter()

    # -------------------------------------------------------------------------------------------------- operands

    def tensor(self, operand: Operand, seed: int) -> Tensor:
        """An operand of ours, on the device."""
        part = Tensor(operand.drawn(seed), dtype=operand.kind, device=DEVICE)
        if part.shape != operand.shape:
            times = operand.shape[0] // part.shape[0]
            part = part.unsqueeze(0).expand(times, *part.shape).reshape(operand.shape)
        return part.contiguous().realize()

    def array(self, operand: Operand, seed: int) -> Any:
        """The same operand of torch's."""
        part = self.torch.from_numpy(operand.drawn(seed)).to(self.place)
        part = part.long() if operand.high else part.to(getattr(self.torch, operand.dtype))
        times = operand.shape[0] // part.shape[0]
        return part.repeat(times, *([1] * (part.ndim - 1))).contiguous()

    def compile_together(self, section: str, cases: Sequence[Case]) -> None:
        """Compiles the kernels of many cases at a time; what fails here will fail again in its case."""
        programs = []
        for case in cases:
            try:
                inputs = [Tensor.empty(*o.shape, dtype=o.kind, device=DEVICE) for o in case.operands]
                with Context(EAGER=0):  # which would run them, on whatever is in that memory
                    wanted = [t._node for t in case.our_results(inputs) if not is_stored(t._node)]
                plan = make_plan(wanted, structure(wanted).leaves, DEVICE)  # type: ignore[arg-type]
                programs += [step.program for step in plan.launches]
            except Exception:
                self.results.details[f"{section}: plan of {case.name}"] = traceback.format_exc()[-2000:]
        start = time.perf_counter()
        try:
            self.runtime.compile(list(dict.fromkeys(programs)))
        except Exception:
            self.results.details[f"{section}: compiling"] = traceback.format_exc()[-4000:]
        taken = time.perf_counter() - start
        self.results.add(Row(section, TOGETHER, taken, note=f"{len(set(programs))} kernels"))

    # ----------------------------------------------------------------------------------------------------- cases

    def run(self, section: str, cases: Sequence[Case]) -> None:
        """A row for each case that has none yet; where the device is lost, another process goes on behind it."""
        results = self.results
        cases = [case for case in cases if results.row(section, case.name) is None]
        if results.row(section, TOGETHER) is None and cases:
            results.begin(TOGETHER)
            self.compile_together(section, cases)
        for case in cases:
            row = Row(section, case.name, flops=case.flops, nbytes=case.nbytes)
            if self.left < 0:
                row.note = "not run: out of time"
            else:
                results.begin(case.name)
                self._try(case, row)
            if self.runtime.stream.lost is not None:
                results.add(row)
                return
            results.case = ""
            results.add(row)
        results.begin("")

    def _try(self, case: Case, row: Row) -> None:
        try:
            found = self._ours(case, row)
        except Exception as error:
            self._note(row, "kernelforge", error)
            found = None
        if self.torch is not None and self.runtime.stream.lost is None:
            self.results.keep(row)
            try:
                self._theirs(case, row, found)
            except Exception as error:
                self._note(row, "torch", error)
                with suppress(DeviceError):  # of a context that is lost
                    self.runtime.wait()

    def _note(self, row: Row, side: str, error: Exception) -> None:
        row.note += f"{side}: {type(error).__name__}: {str(error)[:120]} "
        self.results.details[f"{row.section}: {row.name}: {side}"] = traceback.format_exc()[-4000:]

    def _ours(self, case: Case, row: Row) -> np.ndarray | None:
        """Our first result where it is to be compared; fills the row."""
        inputs = [self.tensor(operand, seed) for seed, operand in enumerate(case.operands)]
        row.ours, outputs = timing.ours(self.runtime, lambda: case.our_results(inputs))
        if outputs[0].numel() > COMPARED:
            return None
        return outputs[0].numpy()

    def _theirs(self, case: Case, row: Row, found: np.ndarray | None) -> None:
        torch = self.torch
        inputs = [self.array(operand, seed) for seed, operand in enumerate(case.operands)]
        for position in case.wrt:
            inputs[position].requires_grad_()
        function = torch.compile(case.theirs, dynamic=False) if case.compiled else case.theirs
        first = case.their_results(torch, function, inputs)[0].detach()
        if found is not None:
            self._compare(case, row, found, first, inputs)
        row.peer = "torch.compile" if case.compiled else "torch"
        row.theirs = timing.theirs(torch, lambda: case.their_results(torch, function, inputs))

    def _compare(self, case: Case, row: Row, found: np.ndarray, first: Any, inputs: Sequence[Any]) -> None:
        """Fills the errors: of both relative to float64, or of ours relative to theirs."""
        peer = first.float().cpu().numpy()
        if case.exact and case.flops <= EXACT:
            wide = [x.double() if x.is_floating_point() else x for x in inputs]
            exact = case.their_results(self.torch, case.theirs, wide)[0].detach().cpu().numpy()
            row.error, row.peer_error = distance(found, exact), distance(peer, exact)
        else:
            row.error = distance(found, peer)
        if not row.error < max(2e-2, 4 * (row.peer_error or 0)):  # also where it is no number
            row.note += "WRONG RESULT "


def distance(found: np.ndarray, expected: np.ndarray) -> float:
    """The norm of the difference over the norm of what was expected."""
    scale = float(np.linalg.norm(expected.astype(np.float64))) or 1.0
    return float(np.linalg.norm(found.astype(np.float64) - expected.astype(np.float64))) / scale
