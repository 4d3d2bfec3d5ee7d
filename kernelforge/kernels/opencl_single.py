"""Kernels that are called again and again, each time for new results: as little beside the calls as can be.

Comes in: kernels that can be called, and where their arguments lie.  Goes out: a function from the buffers they read to
the memory they have written, or to None where launches have to do it: while another one is running, and for buffers
that have no memory yet.  The C module calls all of them at once; without it, short ones are called in turn.

No lock is taken: arguments are packed anew for each call, and what is running is looked at once the results have their
memory, so that nothing running can still use it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from struct import Struct
from typing import Any, Final, cast

from kernelforge.kernels.opencl_build import Compiled
from kernelforge.kernels.opencl_native import Native, Place, sequence
from kernelforge.kernels.opencl_queues import Queues
from kernelforge.kernels.pool import Pool
from kernelforge.kernels.runtime import Memory
from kernelforge.native import compiled

FIXED: Final = 2  # the kind of a place: in a buffer, in new memory, in memory that is fixed, in memory that is given
FLAG: Final = 4  # bytes
MOST_CALLED: Final = 64  # kernels that are called in turn

Called = Callable[..., Any]
"""From buffers, and memory that is given, to the memory of the one result, a list of several, or None.  Its
`uses()` tells how often it ran."""

_TEXT = """
def called(leaves, given=()):
    {takes}
    try:
        {addresses}
    except AttributeError:
        return None
    if queues.launched > queues.finished{long}:
        return None
    {calls}
    uses[0] += 1
    return {results}
"""

Launches = Sequence[tuple[Compiled, Sequence[Place]]]


def single(
    pool: Pool,
    queues: Queues,
    launches: Launches,
    sizes: Sequence[int],
    leaves: int,
    results: int,
    fixed: Sequence[Memory] = (),
    flagged: int = 0,
    spares: bool = True,
) -> Called | None:
    """A function that calls kernels, spelled out for their arguments: a loop over them would take as long as the rest.
    None where some of them cannot be called.

    launches  each kernel, with the places of its arguments: which memory, buffers first, then what is taken anew, then
              what is fixed, then what is given; and where in it
    sizes     of the memory taken anew, in bytes: results, and what only the kernels use
    leaves    how many buffers there are, and results: how many results
    fixed     memory that is the same each time
    flagged   how many of these, the first, are flags of faults: while one is set, the C module leaves it to launches
    spares    whether memory of results may stay in reserve.  What is in reserve is held, so nothing is written over it
    """
    first = leaves + len(sizes)
    used = sorted({number for _, places in launches for number, _ in places})
    addresses = {number: f"leaves[{number}].memory.block.address" for number in used}
    addresses |= {leaves + i: f"new{i}.block.address" for i in range(len(sizes))}
    addresses |= {first + i: str(memory.block.address) for i, memory in enumerate(fixed)}
    beyond = first + len(fixed)
    addresses |= {number: f"given[{number - beyond}].block.address" for number in used if number >= beyond}
    uses = [0]
    names: dict[str, Any] = {"queues": queues, "uses": uses, "fixed": fixed}  # which must live as long as the function
    stays = [(nbytes, spares or i >= results) for i, nbytes in enumerate(sizes)]
    kernels = [executable.native for executable, _ in launches]
    natives = [(kernel, places) for kernel, (_, places) in zip(kernels, launches) if kernel is not None]
    if len(natives) == len(launches):
        order = {number: i for i, number in enumerate(used)}
        steps = [(kernel, [(order[number], offset) for number, offset in places]) for kernel, places in natives]
        function = compiled and _function(compiled, pool, queues, steps, used, stays, leaves, results, fixed, flagged)
        if function is not None:
            return function
        names |= {"run": sequence(steps, len(used)), "kernels": natives}
        long, calls = "", [f"run({', '.join(f'at{number}' for number in used)})"]
    elif any(executable.direct is None for executable, _ in launches) or len(launches) > MOST_CALLED:
        return None
    else:
        long = "".join(f" or kernel{i}.direct is None" for i in range(len(launches)))
        calls = _called_in_turn(launches, names)
    takers = [pool.taker(nbytes) if may_stay else partial(pool.take, nbytes) for nbytes, may_stay in stays]
    names |= {f"take{i}": taker for i, taker in enumerate(takers)}
    found = ", ".join(f"new{i}" for i in range(results))
    text = _TEXT.format(
        takes="\n    ".join([f"new{i} = take{i}()" for i in range(len(sizes))] or ["pass"]),
        addresses="\n        ".join(f"at{number} = {addresses[number]}" for number in used),
        long=long,
        calls="\n    ".join(calls),
        results=found if results == 1 else f"[{found}]",
    )
    exec(text, names)
    called: Any = names.pop("called")  # or it would hold itself, and its kernels, until garbage is collected
    called.uses = partial(uses.__getitem__, 0)
    return cast(Called, called)


def _function(
    module: Any,
    pool: Pool,
    queues: Queues,
    steps: Sequence[tuple[Native, Sequence[Place]]],
    used: Sequence[int],
    stays: Sequence[tuple[int, bool]],
    leaves: int,
    results: int,
    fixed: Sequence[Memory],
    flagged: int,
) -> Called | None:
    """`single` as an object of the C module; None where it has more parts than such an object may have.

    stays   of memory taken anew the bytes, and whether it may stay in reserve
    """
    if max(len(used), leaves) > module.MOST_PLACES or len(stays) > module.MOST_NEW or not results:
        return None
    first = leaves + len(stays)
    beyond = first + len(fixed)
    places = []
    for number in used:
        kind = (number >= leaves) + (number >= first) + (number >= beyond)
        address = fixed[number - first].block.address if kind == FIXED else 0
        places.append((kind, number - (0, leaves, first, beyond)[kind], address))
    run: Called = module.Function(
        module.Sequence([kernel.step(at) for kernel, at in steps], len(used)),
        tuple(places),
        tuple([(nbytes, pool.reserve(nbytes) if may_stay else None) for nbytes, may_stay in stays]),
        results,
        pool.take,
        queues,
        [*fixed, *{id(kernel): kernel for kernel, _ in steps}.values()],
        tuple([(memory.block.address, memory.nbytes // FLAG) for memory in fixed[:flagged]]),
    )
    return run


def _called_in_turn(launches: Launches, names: dict[str, Any]) -> list[str]:
    """The lines that call short kernels; `names` gets those they use."""
    calls: list[str] = []
    for i, (executable, places) in enumerate(launches):
        direct = executable.direct
        assert direct is not None
        names[f"kernel{i}"] = executable
        names |= {f"call{i}": direct.call, f"pack{len(places)}": Struct(f"{len(places)}Q").pack}
        arguments = ", ".join(f"at{number}" + (f" + {offset}" if offset else "") for number, offset in places)
        packed = f"pack{len(places)}({arguments})"
        if len(direct.groups) > 1:
            calls.append(f"packed = {packed}")
            packed = "packed"
        calls += [f"call{i}({packed}, {group}, None)" for group in direct.groups]
    return calls
