"""A sequence of launches as one CUDA graph: the host hands over the whole of it with one call.

Comes in: compiled kernels, and for each the numbers of its arguments in a list of memories.  Goes out: `Graph`, which
is replayed on that list or on others.  Launches that touch nothing in common run side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from codegen.program import Program
from kernelforge.kernels.cuda_driver import Stream
from kernelforge.kernels.cuda_launch import Arguments, Compiled, fill, special
from kernelforge.kernels.runtime import Memory, Parts


class Graph:
    """Launches captured with the memories they are to run on first.

    launches  kernels in order, each with the numbers of its arguments among the memories
    memories  one per number; None where no launch uses it

    Which launches wait for which is decided by the memories of the capture: numbers that share memory then must share
    it in every replay, and others must not, unless no launch writes to it.
    """

    def __init__(
        self,
        stream: Stream,
        launches: Sequence[tuple[Compiled, Sequence[int]]],
        memories: Sequence[Memory | None],
    ) -> None:
        self._stream, self._launches = stream, list(launches)
        cuda = stream.cuda
        stream.enter()
        self._graph = stream.done(cuda.cuGraphCreate(0), "make a graph")
        self._nodes: list[tuple[Any, Arguments, Any]] = []
        serials = [0 if memory is None else _whole(memory).block.serial for memory in memories]
        places = [(kernel.program, [serials[n] for n in numbers]) for kernel, numbers in launches]
        for (kernel, numbers), before in zip(self._launches, dependencies(places)):
            arguments = kernel.new_arguments()
            arguments.bind([_used(memories[number]) for number in numbers])
            params = kernel.node(cuda, arguments)
            waits = [self._nodes[number][0] for number in before]
            added = cuda.cuGraphAddKernelNode(self._graph, waits, len(waits), params)
            node = stream.done(added, f"put the kernel {kernel.entry} into a graph")
            self._give_attributes(node, kernel)
            self._nodes.append((node, arguments, params))
        self._executable = stream.done(cuda.cuGraphInstantiate(self._graph, 0), "make a graph ready")

    def replay(self, memories: Sequence[Memory | None]) -> None:
        """Starts all launches on the given memories, after everything started before; does not wait."""
        stream, cuda = self._stream, self._stream.cuda
        stream.enter()
        for (kernel, numbers), (node, arguments, params) in zip(self._launches, self._nodes):
            if arguments.bind([_used(memories[number]) for number in numbers]):
                changed = cuda.cuGraphExecKernelNodeSetParams(self._executable, node, params)
                stream.done(changed, f"change the arguments of the kernel {kernel.entry} in a graph")
            stream.recent.append(kernel.entry)
        stream.done(cuda.cuGraphLaunch(self._executable, stream.handle), "launch a graph")

    def close(self) -> None:
        """Waits, and gives up what the driver keeps for it; it must not be replayed any more."""
        stream, cuda = self._stream, self._stream.cuda
        stream.wait()
        if stream.works:
            stream.done(cuda.cuGraphExecDestroy(self._executable), "release a graph")
            stream.done(cuda.cuGraphDestroy(self._graph), "release a graph")

    def _give_attributes(self, node: Any, kernel: Compiled) -> None:
        """A node's share of what a launch says beyond sizes: when it may start is said by the graph itself."""
        cuda = self._stream.cuda
        serial = cuda.CUlaunchAttributeID.CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION
        for name, field, content in special(cuda, kernel.loaded.binary):
            if name == serial:
                continue
            value = cuda.CUkernelNodeAttrValue()
            fill(value, field, content)
            given = cuda.cuGraphKernelNodeSetAttribute(node, name, value)
            self._stream.done(given, f"set up the kernel {kernel.entry} in a graph")


def dependencies(launches: Sequence[tuple[Program, Sequence[int]]]) -> list[list[int]]:
    """For each launch the earlier ones it must wait for: who wrote what it touches, who read what it writes.

    launches  programs, each with the numbers of the blocks that are its arguments

    Of those that follow each other only the last is named.
    """
    writer: dict[int, int] = {}
    readers: dict[int, list[int]] = {}
    waits: list[list[int]] = []
    for position, (program, numbers) in enumerate(launches):
        written = {number for number, param in zip(numbers, program.params) if param.name in program.written}
        before: set[int] = set()
        for number in numbers:
            if number in written:
                before.update(readers.get(number) or ())
            if number in writer:
                before.add(writer[number])
        before.discard(position)
        waits.append(sorted(before - {earlier for later in before for earlier in waits[later]}))
        for number in numbers:
            if number in written:
                writer[number], readers[number] = position, []
            else:
                readers.setdefault(number, []).append(position)
    return waits


def _used(memory: Memory | None) -> Memory:
    assert memory is not None
    return memory


def _whole(memory: Memory) -> Memory:
    """The memory itself; of a piece what it is a piece of."""
    return memory.owner.whole if isinstance(memory.owner, Parts) else memory
