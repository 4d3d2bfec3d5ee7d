"""One kernel on its own: random arguments, a run, the check against NumPy, a timing.

Comes in: the kernel, its program and its source's file.  Goes out: lines for people and an exit status.  The files a
dump calls NAME.run.py end in a call of `main`.
"""

from __future__ import annotations

import argparse
import statistics
from math import prod
from pathlib import Path
from typing import Final

import numpy as np

from codegen.access import bound_axes
from codegen.dtypes import from_storage
from codegen.interpret import interpret
from codegen.ir import Kernel
from codegen.program import Program
from codegen.spell import HEAD, spell
from kernelforge.kernels import Device, Runtime
from kernelforge.tune.inputs import arguments
from kernelforge.tune.trial import Trial, agrees

LARGEST: Final = 1 << 30  # points of a kernel that NumPy computes unasked
SCRIPT: Final = '''"""One kernel on its own: makes inputs, runs {name}, checks it against NumPy and times it.

    python {name}.run.py [--source FILE] [--device CPU] [--rounds 50] [--check always|small|never]

It needs kernelforge alone.  Change {file} and run this again to try a change.
"""

from pathlib import Path

{head}from codegen.program import Program
from kernelforge.dumping.single import main

{kernel}

program = Program(
    language={language!r},
    source="",
    entry={entry!r},
    grid={grid!r},
    params=kernel.params,
    written=kernel.written,
    flops={flops},
    nbytes={nbytes},
    local={local!r},
    options={options!r},
)

if __name__ == "__main__":
    raise SystemExit(main(kernel, program, Path(__file__).with_name({file!r}), {device!r}))
'''


def script(name: str, program: Program, file: str, device: str) -> str:
    """The text of NAME.run.py."""
    assert program.kernel is not None
    return SCRIPT.format(
        name=name, file=file, head=HEAD, kernel=spell(program.kernel), language=program.language, entry=program.entry,
        grid=program.grid, flops=program.flops, nbytes=program.nbytes, local=program.local, options=program.options,
        device=device,
    )  # fmt: skip


def main(kernel: Kernel, program: Program, source: Path, device: str) -> int:
    """Runs, checks and times a program on random arguments; 1 where its results are not NumPy's."""
    parser = argparse.ArgumentParser(description=f"Run {program.entry} on its own.")
    parser.add_argument("--source", type=Path, default=source, help="the source to run")
    parser.add_argument("--device", default=device)
    parser.add_argument("--rounds", type=int, default=50, help="samples of the timing (50)")
    parser.add_argument("--check", choices=["always", "small", "never"], default="small", help="small: to 2^30 points")
    options = parser.parse_args()
    text = options.source.read_text()
    whole = Program(
        program.language, text, program.entry, program.grid, kernel.params, kernel.written, kernel, program.flops,
        program.nbytes, program.local, program.options,
    )  # fmt: skip
    name: str = options.device
    runtime: Runtime = Device[name]
    (executable,) = runtime.compile([whole])
    trial = Trial(runtime, kernel)
    trial.check(executable)  # keeps what it wrote
    wrong = None
    if options.check == "always" or (options.check == "small" and prod(a.size for a in kernel.axes) <= LARGEST):
        wrong = difference(kernel, trial)
        print(wrong or "agrees with NumPy")
    else:
        print("not checked: NumPy would take long; --check always does it")
    repeats = trial.repeats(trial.seconds(executable))
    samples = sorted(trial.seconds(executable, repeats) for _ in range(max(1, options.rounds)))
    best, middle = samples[0], statistics.median(samples)
    rates = f"{program.flops / best / 1e9:.1f} GFLOP/s, {program.nbytes / best / 1e9:.1f} GB/s"
    print(f"{program.entry}: {best * 1e3:.4f} ms at best, {middle * 1e3:.4f} ms mostly; {rates}")
    return 1 if wrong else 0


def difference(kernel: Kernel, trial: Trial) -> str | None:
    """Where results are not NumPy's, in words; None where they are."""
    expected = arguments(kernel)
    interpret(kernel, expected)
    summed = prod(axis.size for axis in bound_axes(kernel))
    for param in kernel.params:
        if param.name not in kernel.written:
            continue
        found, wanted = trial.expected[param.name], expected[param.name]
        if not agrees(found, wanted, param.dtype, summed):
            a, b = (from_storage(x, param.dtype) for x in (found, wanted))
            first = int(np.flatnonzero(~((a == b) | (np.isnan(a) & np.isnan(b))))[0])
            return f"WRONG: {param.name}[{first}] is {a[first]}, NumPy's is {b[first]}"
    return None
