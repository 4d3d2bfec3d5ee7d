"""What a plan is made of: arrays by number, launches and transfers over them.

Comes in: `plan` fills it.  Goes out: to `realize`, which runs it.  It holds no graph node and no buffer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from codegen.dtypes import DType, dtypes
from codegen.ir import Expr
from codegen.origins import Rewrite
from codegen.program import Program
from kernelforge.checked import RULES
from kernelforge.graph import Line, Node, uniform
from kernelforge.hosted import HostFunction
from kernelforge.planning.kept import Preparation
from kernelforge.planning.memory import Block

Layout = tuple[list[Block], list[tuple[int, int]]]
"""Blocks of memory, and the scratch slots with their blocks' numbers."""


@dataclass(slots=True)
class Slot:
    """One array of a plan.

    takes  of a result: the leaf in whose memory it is written, which is not needed any more; else -1
    whole  of a part: the slot it is a part of; else -1.  start: where in it, in bytes
    role   "leaf"     a buffer the graph reads
           "result"   a buffer the plan makes for its caller
           "scratch"  an intermediate result, in a block of memory shared over time
           "given"    a constant, in memory the plan has
           "fault"    flags of indices out of range; they stay until they are looked at
           "part"     some bytes of another slot, which is no part
    """

    size: int
    dtype: DType
    device: str
    role: str
    takes: int = -1
    whole: int = -1
    start: int = 0

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize


@dataclass(frozen=True)
class Check:
    """What a fault flag says: an index was not in 0 <= index < size; of which operation, on which line.

    number  of its node's place among a plan's `guilty`, -1 where that is not known
    """

    size: int
    line: Line | None
    what: str = ""
    number: int = -1


def in_words(node: Node) -> str:
    """An operation that looks up places, with its operands; the rule, where it stands for one."""
    rule = uniform(node.src[0]) if node.op == "gather" and node.src[0].dtype is dtypes.int32 else None
    if rule is not None and rule.attr in RULES:
        return RULES[rule.attr]
    operands = [f"{x.dtype} {list(x.shape)}" for x in node.src]
    return f"{node.op} of {operands[0]} by {operands[1]}" if len(operands) > 1 else node.op


@dataclass(slots=True)
class Launch:
    """One kernel on its arguments.

    executable  what the runtime made of the program
    fault       the slot of its fault flags, -1 if it has none; `checks` are their meanings
    reasons     why each of its outputs is stored, for people
    is_plain    its program may be a part of another, and it has no faults
    parts       the launches it was joined from, where programs hold their kernels
    origins     likewise the user's lines each expression of its kernel comes from
    rewrites    likewise the steps its kernel was rewritten in
    """

    device: str
    program: Program
    arguments: tuple[int, ...]
    fault: int = -1
    checks: tuple[Check, ...] = ()
    reasons: tuple[str, ...] = ()
    lines: tuple[Line, ...] = ()
    is_plain: bool = False
    executable: Any = None
    parts: tuple[Launch, ...] = ()
    origins: dict[Expr, frozenset[Line]] = field(default_factory=dict, compare=False, repr=False)
    rewrites: tuple[Rewrite, ...] = field(default=(), compare=False, repr=False)

    @property
    def writes(self) -> tuple[int, ...]:
        return tuple(slot for slot, p in zip(self.arguments, self.program.params) if p.name in self.program.written)


@dataclass(slots=True)
class Transfer:
    """A copy from one slot to another, on different devices."""

    source: int
    target: int

    @property
    def arguments(self) -> tuple[int, ...]:
        return self.source, self.target

    @property
    def writes(self) -> tuple[int, ...]:
        return (self.target,)


@dataclass(slots=True)
class HostCall:
    """A function of arrays, computed on the host.

    shapes  of the arrays in the source slots
    line    the user's; number: of its node's place among a plan's `guilty`, -1 where that is not known
    """

    function: HostFunction
    sources: tuple[int, ...]
    shapes: tuple[tuple[int, ...], ...]
    target: int
    line: Line | None
    number: int = -1

    @property
    def arguments(self) -> tuple[int, ...]:
        return (*self.sources, self.target)

    @property
    def writes(self) -> tuple[int, ...]:
        return (self.target,)


@dataclass(slots=True)
class Driven:
    """A loop the host drives: a condition that is read after every round.

    begin    the plan that computes the condition first; its leaves are the sources
    each     the plan of a round: what it makes of the states, then the condition
    sources  the slots of what the states begin with, and of what stays the same
    targets  the slots for the states in the end, -1 for those nobody asks for
    line     the user's
    """

    begin: Plan
    each: Plan
    sources: tuple[int, ...]
    targets: list[int]
    line: Line | None

    @property
    def arguments(self) -> tuple[int, ...]:
        return (*self.sources, *self.writes)

    @property
    def writes(self) -> tuple[int, ...]:
        return tuple([slot for slot in self.targets if slot >= 0])


@dataclass(slots=True)
class Rounds:
    """A loop whose rounds are as many as sizes say, in a plan whose sizes are open.

    body       the plan of a round; steps: those that are done in each, on its slots
    where      the slots of what is the same in all rounds, by those of body
    state      the slot of what the state begins with
    sequences  the slots of these, and how many bytes lie from element to element; targets: those for the results of all
               rounds likewise
    """

    body: Plan
    steps: list[Step]
    where: dict[int, int]
    state: int
    sequences: tuple[tuple[int, int], ...]
    targets: tuple[tuple[int, int], ...]
    count: int
    reverse: bool

    @property
    def arguments(self) -> tuple[int, ...]:
        given = self.state, *[slot for slot, _ in self.sequences], *self.where.values()
        return *given, *[slot for slot, _ in self.targets]

    @property
    def writes(self) -> tuple[int, ...]:
        own = [self.where[slot] for step in self.steps for slot in step.writes if slot in self.where]
        return *own, *[slot for slot, _ in self.targets]


Step = Launch | Transfer | HostCall | Driven | Rounds


@dataclass(slots=True)
class Plan:
    """What to run.

    results  the slot of each requested node
    spares   leaves in whose memory results could be written if nothing else needed them afterwards
    made     the slots whose buffers the plan makes, and their bytes; scratch: those that are in a block, and which;
             flags: those of faults; parts: those of parts, with the slots they are parts of, where, and bytes;
             wholes: the slots that have parts; given: those of constants, and their memory
    takes    whether results take the memory of leaves
    sizes    what kernels for open sizes take these for; closed: how many plans of its kind were made again for their
             very sizes, one number for all of them; narrow: whether these leave vectors half empty
    kernels  launches; flops, nbytes: arithmetic operations of all of them, bytes they must at least move
    preparations  what may be kept from one run to the next
    lean     blocks and scratch of a run in which all preparations are kept
    together results that lie in one block, the first: they are in the blocks that follow it, which are parts of it
    place    the device, and batch: each step's executable and arguments, where all steps are launches on one device;
             known once the programs are compiled.  shared: positions of those whose executable has other launches too
    runs     how many there were of its launches
    is_one_launch  of leaves that have elements, and writes one new array, and at most one of flags
    single   a plan of launches alone as a function, where the device has one; known once it ran some times
    has_tables  its function has all that may be kept: small values that depend on nothing
    known_under    the circumstances under which the C module was told of it; known_since: how often it had forgotten
    is_captured    by a function that replays it
    guilty   the places, in the structure, of the nodes that may turn out to be errors, and told: the user's lines of
             those of the graph it last ran for, which another line may have made than the one it was planned for
    """

    slots: list[Slot] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    lean: Layout = field(default_factory=lambda: ([], []))
    together: tuple[int, ...] = ()
    preparations: list[Preparation] = field(default_factory=list)
    results: tuple[int, ...] = ()
    spares: frozenset[int] = frozenset()
    faults: dict[int, Any] = field(default_factory=dict)
    made: list[tuple[int, Slot, int]] = field(default_factory=list)
    scratch: list[tuple[int, int]] = field(default_factory=list)
    flags: list[int] = field(default_factory=list)
    parts: list[tuple[int, int, int, int]] = field(default_factory=list)
    wholes: list[int] = field(default_factory=list)
    takes: bool = False
    given: dict[int, Any] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    narrow: bool = False
    closed: list[int] = field(default_factory=lambda: [0])
    kernels: int = 0
    flops: int = 0
    nbytes: int = 0
    place: str = ""
    batch: list[tuple[Any, tuple[int, ...]]] = field(default_factory=list)
    shared: list[int] = field(default_factory=list)
    runs: int = 0
    is_one_launch: bool = False
    single: Any = None
    has_tables: bool = False
    known_under: object = None
    known_since: int = -1
    is_captured: bool = False
    guilty: tuple[int, ...] = ()
    told: tuple[Line | None, ...] = ()

    def sum_up(self) -> None:
        """Gathers from slots and steps what every run asks for."""
        slots = list(enumerate(self.slots))
        self.made = [(number, slot, slot.nbytes) for number, slot in slots if slot.role == "result"]
        self.takes = any(slot.takes >= 0 for _, slot, _ in self.made)
        self.flags = [number for number, slot in slots if slot.role == "fault"]
        self.parts = [(number, slot.whole, slot.start, slot.nbytes) for number, slot in slots if slot.role == "part"]
        self.wholes = list(dict.fromkeys(whole for _, whole, _, _ in self.parts))
        programs = [step.program for step in self.launches]
        self.kernels = len(programs)
        self.flops = sum(program.flops for program in programs)
        self.nbytes = sum(program.nbytes for program in programs)
        leaves = [slot for slot in self.slots if slot.role == "leaf"]
        self.is_one_launch = (
            len(self.steps) == len(programs) == len(self.made) == len(self.results) == 1
            and len(self.slots) == len(leaves) + 1 + len(self.flags)
            and self.made[0][1].takes < 0
            and self.slots[: len(leaves)] == leaves
            and all(slot.size for slot in leaves)
        )

    @property
    def own_kernels(self) -> int:
        """How many compiled kernels it holds; none where it shares those for open sizes."""
        if self.sizes:
            return 0
        inner = [plan for step in self.steps if isinstance(step, Driven) for plan in (step.begin, step.each)]
        return len({id(step.executable) for step in self.launches}) + sum(plan.own_kernels for plan in inner)

    @property
    def prepared(self) -> frozenset[int]:
        """The positions of the steps that need not run once all that may be kept is."""
        return frozenset(position for preparation in self.preparations for position in preparation.steps)

    @property
    def counts(self) -> tuple[int, int, int]:
        """Launches of its function, their operations, and the bytes they must at least move."""
        spared = [step.program for i in self.prepared if isinstance(step := self.steps[i], Launch)]
        flops, nbytes = sum(program.flops for program in spared), sum(program.nbytes for program in spared)
        return self.kernels - len(spared), self.flops - flops, self.nbytes - nbytes

    @property
    def uses(self) -> int:
        """How often it ran, in whatever way."""
        return self.runs + (0 if self.single is None else int(self.single.uses()))

    @property
    def launches(self) -> list[Launch]:
        return [step for step in self.steps if isinstance(step, Launch)]
