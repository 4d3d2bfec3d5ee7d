"""Functions captured once and replayed: `jit`, which is never wrong about what has changed since.

    structures   arguments and results as trees with tensors in them
    holders      places with contents; state: those a function can reach beside its arguments
    guards       what must be as it was for a capture to be right
    trace        what one call of the function did
    watching     what it asked of the world outside; speaking: what it said
    capture      that as steps over numbered buffers; capturing: how they are found; taking: which are updated in place
    repeated     a captured plan, run again and again
    entry        what a capture is right for
    function     captures by guards: what users call
"""

from kernelforge.errors import JitError
from kernelforge.replay.function import Jit, TinyJit, jit

__all__ = ["Jit", "JitError", "TinyJit", "jit"]
