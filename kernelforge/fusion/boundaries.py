"""Why kernels end where they do: all that keeps two parts of a graph from being one kernel, and what removes it.

Comes in: the parts that fusion ended with.  Goes out: for each value that one stores and another reads, the objections
to joining them.  `ADVICE` has each objection in words, with what a user can do about it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from kernelforge.fusion.cuts import FORCED
from kernelforge.fusion.merging import (
    ARRAYS,
    COMMON,
    CONTIGUOUS,
    DEVICES,
    OPERAND,
    OPERATIONS,
    PARALLEL,
    UPDATE,
    WHOLE,
    Merging,
    Part,
)
from kernelforge.graph import Node

BETWEEN: Final = "another kernel lies between"
OWN_USE: Final = "computed for a use of its own"
UNTRIED: Final = "met in another order"
BY_REWRITE: Final = "stored by a rewrite: "

ADVICE: Final = {
    CONTIGUOUS: "leave out contiguous()",
    "scattered into in place": "a scatter runs on its own: gather instead, or scatter once into a larger array",
    "counted in place": "values are counted by a kernel of their own",
    "copied between devices": "keep both tensors on one device",
    "computed step by step": "one step's kernels run again and again on parts of what is around it",
    "computed round by round": "one round's kernels run until a condition is false: what is around it is in memory",
    "computed on the host": "NumPy computes this function: everything around it is read and written",
    "made of several values": "concatenate later, or write the pieces where they are used",
    OWN_USE: "a rewrite prepares this value for many uses",
    DEVICES: "keep both tensors on one device",
    OPERAND: "an operand of a product is read many times: computing it once is cheaper",
    UPDATE: "it takes so many registers that the product's tiles would be small",
    OPERATIONS: "a kernel holds at most 200 operations",
    ARRAYS: "a kernel reads and writes at most 96 arrays",
    BETWEEN: "what lies between needs one and feeds the other",
    COMMON: "one number that many kernels read is computed first, and once",
    PARALLEL: "make the rows more, or longer: one kernel would keep fewer processors busy",
    WHOLE: "two kernels read it once each, in parts that processors share out",
    "bounded": "a kernel holds at most 200 operations, and 4 look-ups each of which takes the place another finds",
    "a scan is needed in another order": "read the running sum in the order it is made in",
    "an axis would be scanned both ways": "turn one of the two scans round",
    "scans would run across each other": "scan along one dimension only",
    "needed at several places": "a reduction whose result is read shifted or transposed is stored first",
    "a window of what a reduction gives": "a convolution or pooling reads each of its elements several times",
    "a reduction would be repeated": "every program would compute the same reduction again: storing it is cheaper",
    "a reduction would be computed more than once": "every program would compute the same reduction again",
    "a contraction reads no reduction": "what a product's operands are computed by has to be elementwise",
    "a contraction would lose parallel axes": "the product would run on fewer processors",
    "one contraction in a kernel": "each product has a kernel of its own, except in attention",
    "too few parallel programs": "one kernel would keep fewer processors busy",
    UNTRIED: "fusion joins neighbours one by one, and met these two in an order that did not allow it",
}


REWRITES: Final = {
    "simplify": "a rule of simplify needs it in memory",
    "tallies": "this target counts in two steps",
    "winograd": "a convolution takes fewer multiplications in blocks; KF_WINOGRAD=0 turns that off",
    "steady": "an operand that is the same in all rounds of a loop is laid out once",
    "privatise": "many points are scattered by each processor on its own, and combined then",
    "alongside": "sums down the columns are taken in parts, beside what is done by rows",
    "split": "a large reduction to few results is done in parts, by all processors",
}


def between(
    merging: Merging, parts: Sequence[Part], origins: Mapping[Node, str]
) -> Iterator[tuple[Node, Node, Node, tuple[str, ...]]]:
    """For each value that one part stores and another loads: it, an output of each of the two, all objections.

    origins  the rewrite that made a node which has to be in memory
    """
    for later in parts:
        for node in later.loads:
            earlier = merging.owner.get(node)
            if earlier is None or earlier is later:
                continue
            found = objections(merging, earlier, later)
            if node in origins:
                found = tuple(BY_REWRITE + origins[node] if x in (CONTIGUOUS, OWN_USE) else x for x in found)
            yield node, node, later.outputs[0], found


def objections(merging: Merging, earlier: Part, later: Part) -> tuple[str, ...]:
    """All that keeps two parts from being one; a part that runs on its own is reason enough."""
    if earlier.special or later.special:
        return tuple(dict.fromkeys(_special(part) for part in (earlier, later) if part.special))
    found: list[str | None] = [
        merging.devices(earlier, later),
        merging.is_common(earlier),
        merging.must_be_read(earlier, later),
        merging.excess(earlier, later),
        BETWEEN if merging.depends(later, earlier, merging.producers(later)) else None,
    ]
    part = merging.united(earlier, later)
    found += merging.questions.refusals(part.outputs, part.inside, part.loads)
    found += [ask(part, earlier, later) for ask in (merging.refusal, merging.loss, merging.rereading)]
    return tuple(dict.fromkeys(x for x in found if x is not None and x not in merging.ignoring)) or (UNTRIED,)


def _special(part: Part) -> str:
    """What a part does that is a step of its own."""
    if any(node.op == "contiguous" for node in part.outputs):
        return OWN_USE
    return next(FORCED[node.op] for node in part.outputs if node.op in FORCED)


def advice(reason: str) -> str:
    """What a reason means for the user."""
    rewrite = reason.removeprefix(BY_REWRITE)
    return ADVICE[reason] if rewrite == reason else REWRITES.get(rewrite, "what follows is cheaper so")
