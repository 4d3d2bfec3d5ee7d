"""Everything about a kernel once its text exists: compiling, the cache on disk, memory, launching.

A device is a runtime of five methods (see `runtime`), and one line in `device`.  Read the files in this order:

    runtime      what a runtime is; memory handles
    pool         freed memory kept for reuse
    cache        compiled kernels on disk
    icd          finding the OpenCL drivers a package index delivers
    opencl       any OpenCL device
    interpreted  NumPy, always there
    device       names users write -> runtimes
"""

from kernelforge.kernels.device import Device

__all__ = ["Device"]
