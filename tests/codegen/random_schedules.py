"""Random legal schedules of a kernel: loops, grids, lanes, stages, inner loops and streams in any combination.

`random_schedule(kernel, target, seed)` tries wild ones first and tamer ones after; the plain schedule ends the list.
"""

import random
from collections.abc import Sequence

from codegen.image import image_of
from codegen.index import Axis
from codegen.ir import Const, Expr, Kernel, Reduce
from codegen.legality import can_ask, statements
from codegen.nest import build, plain_schedule
from codegen.schedule import Ahead, Inner, Schedule, ScheduleError, Stage, Step
from codegen.streaming import find_streams
from codegen.target import Target

TILES = (1, 1, 2, 3, 4, 8, 16, 16, 32, 48, 64)
ATTEMPTS = 12
SHORT = 150  # statements: building text takes most of a test's time


def random_schedule(kernel: Kernel, target: Target, seed: int) -> Schedule:
    """A random schedule that is legal for the kernel on the target; the same for the same seed."""
    rng = random.Random(seed)
    for attempt in range(ATTEMPTS):
        schedule = _attempt(kernel, rng, wild=1 - attempt / ATTEMPTS)
        try:
            nest = build(kernel, schedule, target)
        except ScheduleError:
            continue
        if target.language != "opencl" or statements(nest) <= SHORT:
            return schedule
    return plain_schedule(kernel)


def _attempt(kernel: Kernel, rng: random.Random, wild: float) -> Schedule:
    bound = {axis for r in kernel.reduces for axis in r.bound}
    free = [axis for axis in kernel.axes if axis not in bound]
    grid = [Step(axis, rng.choice(TILES)) for axis in rng.sample(free, rng.randint(0, len(free)))]
    loops = _loops(rng, kernel.axes, grid, skip=0.2 * wild)
    vector = rng.sample(kernel.axes, min(len(kernel.axes), rng.choice((0, 1, 1, 1, 2, 3))))
    values = [e for e in kernel.exprs if e.axes and not isinstance(e, Const)]
    if rng.random() < 0.4:
        values = [e for e in values if image_of(e) is not None] or values
    stages = [_stage(rng, rng.choice(values), len(grid), len(loops)) for _ in range(_few(rng, wild)) if values]
    sinks = [*kernel.reduces, *kernel.stores, *(s.value for s in stages if s.layout is None)]
    inner: dict[object, Inner] = {}
    for sink in rng.sample(sinks, min(len(sinks), _few(rng, 0.7 * wild))):
        depth = rng.randint(len(grid), len(loops))
        inner[sink] = Inner(depth, tuple(_loops(rng, kernel.axes, loops[:depth], skip=0.2))[depth:])
    partial = None
    if rng.random() < 0.2:
        partial = frozenset[Reduce](r for r in kernel.reduces if rng.random() < 0.5)
    streams = find_streams(kernel) if rng.random() < 0.6 else ()
    ahead = tuple(
        Ahead(e, rng.choice(moving))
        for e in kernel.loads
        if rng.random() < 0.3 and (moving := [step.axis for step in loops[len(grid) :] if can_ask(e, step.axis)])
    )
    options = {"bypass": 64} if rng.random() < 0.2 else {}
    return Schedule(tuple(loops), len(grid), tuple(vector), tuple(stages), inner, partial, streams, ahead, options)  # type: ignore[arg-type]


def _few(rng: random.Random, wild: float) -> int:
    return rng.choice((0, 1, 2, 3)) if rng.random() < wild else 0


def _loops(rng: random.Random, axes: Sequence[Axis], begun: Sequence[Step], skip: float) -> list[Step]:
    """The begun list followed by a random order of random tile chains, one per axis."""
    loops = list(begun)
    enclosing: dict[Axis, int] = dict(begun)
    waiting = [axis for axis in axes for _ in range(rng.choice((1, 1, 2))) if rng.random() >= skip]
    rng.shuffle(waiting)
    for axis in waiting:
        tiles = [t for t in TILES if enclosing.get(axis, t) % t == 0]
        enclosing[axis] = rng.choice(tiles)
        loops.append(Step(axis, enclosing[axis]))
    return loops


def _stage(rng: random.Random, value: Expr, least: int, most: int) -> Stage:
    """Keep or pack a value, or its image, at a random depth; a pack's layout may split its axes into panels."""
    depth = rng.randint(least, most)
    if rng.random() < 0.4:
        return Stage(value, depth)
    image = image_of(value) if rng.random() < 0.7 else None
    axes = sorted((value if image is None else image.source).axes, key=lambda a: a.id)
    if not axes:
        return Stage(value, depth)
    rng.shuffle(axes)
    layout = [(axis, 1) for axis in axes]
    if rng.random() < 0.5:
        layout.insert(0, (rng.choice(axes), rng.choice((2, 16, 32))))
    return Stage(value, depth, tuple(layout), rng.choice((0, 0, 3, 16)), image)
