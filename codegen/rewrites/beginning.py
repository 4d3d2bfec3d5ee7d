"""Operands that begin where their first element is read.

Comes in: a kernel.  Goes out: one that reads parts of its operands, and where these begin.  Kernels that differ in
where they read alone, as the steps of a loop that was written out do, become equal.
"""

from __future__ import annotations

from codegen.bounds import bounds
from codegen.ir import Kernel, Param
from codegen.rewrites.rebuild import with_params


def begun(kernel: Kernel, unit: int) -> tuple[Kernel, dict[str, int]]:
    """The kernel on parts of the operands it only reads, and the bytes before each of those that are parts.

        out[i] = x[i*64 + 640]   ->   out[i] = x[i*64], x being the part behind 640 elements

    It holds where no element before the part is read, nor one behind it: parts end with the last that may be.

    unit  bytes at whose multiples parts may begin
    """
    found: dict[Param, Param] = {}
    begins: dict[Param, int] = {}
    reads: dict[Param, list[tuple[int, int]]] = {}
    for e in kernel.loads:
        reads.setdefault(e.param, []).append(bounds(e.index, e.guards))
    for param, places in reads.items():
        step = max(1, unit // param.dtype.itemsize)
        begin = min(low for low, _ in places) // step * step
        if param.name not in kernel.written and 0 < begin < param.size:
            end = min(param.size, 1 + max(high for _, high in places))
            found[param], begins[param] = Param(param.name, param.dtype, end - begin), begin
    if not found or any(part.size <= 0 for part in found.values()):
        return kernel, {}
    named = {param: found.get(param, param) for param in kernel.params}
    kernel = Kernel(kernel.name, tuple(named.values()), with_params(kernel, named, begins))
    return kernel, {param.name: begin * param.dtype.itemsize for param, begin in begins.items()}
