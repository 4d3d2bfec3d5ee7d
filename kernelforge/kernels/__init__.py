"""Everything about a kernel once its text exists: compiling, the cache on disk, memory, launching.

A device is a runtime of five methods (see `runtime`), and one line in `device`.  Read the files in this order:

    runtime         what a runtime is; memory handles
    pool            freed memory kept for reuse
    interpreted     NumPy, always there: the smallest runtime
    cache           compiled kernels on disk
    icd             finding the OpenCL drivers a package index delivers
    opencl_devices  the OpenCL devices of this machine, and what they can do
    opencl_build    many programs, one build
    opencl_native   kernels called by the C module, by several threads; opencl_direct: by Python, one by one
    opencl_single   a whole plan's kernels as one function
    opencl_queues   handing kernels over, or running them at once
    opencl          any OpenCL device
    triton_compile  Triton sources to machine code, without a GPU
    workers         processes that compile; worker: the program they run
    cuda_driver     NVIDIA's driver: is it here, what do its errors mean, one stream per device
    cuda_devices    the GPUs, and what they can do
    cuda_memory     memory in the order of the stream, copies
    cuda_launch     a kernel with its arguments, ready to be launched
    cuda_build      programs to loaded kernels
    cuda_graph      many launches as one
    cuda            a GPU as a runtime
    device          names users write -> runtimes
"""

from kernelforge.kernels.device import Device
from kernelforge.kernels.runtime import Executable, Facts, Memory, Runtime

__all__ = ["Device", "Executable", "Facts", "Memory", "Runtime"]
