"""Measured schedules: which kernels have one, how one is found, where it is kept.

`program` is all that the rest of the library calls.  Read the files in this order:

    lock      winners in a file that people can read and keep under version control
    inputs    random arguments on which a kernel can be run
    trial     checks candidates against the default and times them
    search    which candidates to try, within a budget of seconds
    choice    the lock's schedule, a measured one, or the analytical model's
"""

from kernelforge.tune.choice import program, state

__all__ = ["program", "state"]
