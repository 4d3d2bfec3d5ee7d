"""Looking inside: what devices there are, what is missing, and how to get it.

`doctor` examines this machine.  Sources of kernels come from `kernelforge.dump`, explanations of one expression from
`Tensor.explain`; the command line (`kernelforge.cli`) offers all three.
"""

from kernelforge.inspect.doctor import report

__all__ = ["report"]
