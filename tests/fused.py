"""Helpers for the tests of fusion and planning: the groups of tensors, and their values by the interpreter."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from codegen.dtypes import from_storage
from codegen.interpret import interpret
from codegen.target import CPU, Target
from kernelforge.calls import expanded
from kernelforge.fusion.fuse import groups
from kernelforge.fusion.group import Group
from kernelforge.fusion.lower import FAULT, lower
from kernelforge.graph import Node
from kernelforge.node import is_stored
from kernelforge.planning.plan import storage
from kernelforge.realize import contents
from kernelforge.rewrites.simplify import simplify
from kernelforge.rewrites.split import split
from kernelforge.settings import EAGER
from kernelforge.tensor import Tensor


def tensor(*shape: int, seed: int = 0) -> Tensor:
    """A tensor of random normal values."""
    return Tensor(np.random.default_rng(seed + sum(shape)).standard_normal(shape).astype(np.float32))


def to_compute(*tensors: Tensor, target: Target = CPU) -> list[Node]:
    """The nodes a realisation of tensors has to store, as `realize` hands them to `groups`."""
    assert not EAGER.value, "nothing waits that could be planned: tests/lazily.py lists tests of graphs that do"
    nodes = [storage(node) for node in split(simplify(expanded([x._node for x in tensors])), target)]
    return [node for node in dict.fromkeys(nodes) if not is_stored(node) and node.size]


def planned(*tensors: Tensor, target: Target = CPU) -> list[Group]:
    """The kernels that compute tensors together."""
    return groups(to_compute(*tensors, target=target), target)


def _stored(node: Node) -> NDArray:
    """What a node's memory holds before a plan runs; the node of a constant may be computed by an earlier test."""
    buffer = node.attr if node.op == "buffer" else node.realized
    return np.zeros(node.size, node.dtype.numpy) if buffer is None else contents(buffer)


def interpreted(plan: Sequence[Group], results: Sequence[Node]) -> list[NDArray]:
    """The values of results after the interpreter ran the groups one after the other."""
    memory: dict[Node, NDArray] = {}
    for group in plan:
        lowered = lower(group)
        arrays = {}
        for param in lowered.kernel.params:
            if param.name == FAULT:
                arrays[param.name] = np.zeros(param.size, np.int32)
                continue
            node = lowered.nodes[param.name]
            if node not in memory:
                memory[node] = _stored(node)
            arrays[param.name] = memory[node]
        interpret(lowered.kernel, arrays)
        assert not arrays.get(FAULT, np.zeros(1)).any(), "an index was out of range"
    return [from_storage(memory[node], node.dtype).reshape(node.shape) for node in results]
