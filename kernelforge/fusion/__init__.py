"""From graph to kernels: what is stored, which nodes share a kernel and why, and the kernel of each group."""
