"""A group: the nodes one kernel computes.

Comes in: `fuse` fills it.  Goes out: to `lower`, which turns it into a kernel, and to `realize`, which runs it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from kernelforge.graph import Node


@dataclass(slots=True, eq=False)
class Group:
    """What one launch stores.

    kind     "compute"  every output is computed from the inputs and stored
             "flat"     the same, over one axis as long as the largest output; the outputs may differ in shape
             "base"     the output is a scatter or a tally; its base is computed and stored in its place
             "scatter"  the output is such a node with its base in place; its values are combined with it
             "stack"    the first output is a stack of values, each computed from the inputs, as are other outputs
             "copy"     the output is the input on another device
             "host"     the output is a function of the inputs that the host computes
             "loop"     the output is what a loop over the inputs carries; each step is a plan's kernels
             "while"    the output is a state of a loop that the host drives; so is each round
    outputs  nodes it stores
    inputs   nodes it loads: buffers, realized nodes and outputs of earlier groups
    reasons  for each output, why it is stored instead of computed by its users
    """

    kind: str
    outputs: tuple[Node, ...]
    inputs: tuple[Node, ...]
    reasons: dict[Node, str] = field(default_factory=dict)

    @property
    def device(self) -> str | None:
        """The device it runs on; None when nothing in it names one."""
        return next((node.device for node in (*self.outputs, *self.inputs) if node.device is not None), None)

    @property
    def values(self) -> tuple[Node, ...]:
        """The nodes its stored values are: the outputs, or the operand of a scatter they come from."""
        if self.kind == "base":
            return tuple(node.src[0] for node in self.outputs)
        if self.kind == "stack":
            return (*self.outputs[0].src, *self.outputs[1:])
        if self.kind == "scatter":
            return tuple(node.src[2] for node in self.outputs)
        return self.outputs
