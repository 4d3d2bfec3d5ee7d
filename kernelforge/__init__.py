"""A lazy tensor library that fuses whole expressions into kernels and writes readable OpenCL and Triton."""
