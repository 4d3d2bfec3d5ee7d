"""Looking inside: what devices there are, what is missing and how to get it, and where a program's time goes.

`doctor` examines this machine, `profile` watches what runs, `drawing` draws the graph of an expression and its
gradients.  Sources of kernels come from `kernelforge.dump`, explanations of one expression from `Tensor.explain`; the
command line (`kernelforge.cli`) offers dump, profile and doctor.
"""

from kernelforge.inspect.doctor import report
from kernelforge.inspect.drawing import drawing
from kernelforge.inspect.profile import Profile, profile

__all__ = ["Profile", "drawing", "profile", "report"]
