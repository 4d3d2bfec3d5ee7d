"""Differentiation of graphs: rewriting a graph into the graph of its gradient.

Read `table.py` (what a rule is), `scalar.py`, `structure.py` and `scan.py` (the rules) and `walk.py` (how they are put
together).
Rules return ordinary nodes, so a gradient fuses, prints and differentiates like any other graph.
"""

from kernelforge.grad import scalar, scan, structure
from kernelforge.grad.walk import gradient

__all__ = ["gradient", "scalar", "scan", "structure"]
