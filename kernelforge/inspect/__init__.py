"""Looking inside: what devices there are, what is missing, and how to get it.

`doctor` examines this machine, `drawing` draws the graph of an expression and its gradients.  Sources of kernels come
from `kernelforge.dump`, explanations of one expression from `Tensor.explain`; the command line (`kernelforge.cli`)
offers doctor, dump and explain.
"""

from kernelforge.inspect.doctor import report
from kernelforge.inspect.drawing import drawing

__all__ = ["drawing", "report"]
