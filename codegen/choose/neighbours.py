"""Default CPU schedules for reduces over windows that share nothing between channels: depthwise convolutions and their
gradients, pooling.

Comes in: a kernel and the target's facts.  Goes out: a schedule, or nothing when the kernel has no such form.  Lanes
run along an axis no window touches; what is read through windows is packed as its image, turned so that the lanes lie
together.  Any size of plane fills the vectors then, and places of a window are constant offsets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from math import ceil, prod

from codegen.access import loads_of, main_stores, parallel_axes, run_of
from codegen.choose.contraction import UNROLL, even
from codegen.choose.forms import Extents, rows_of
from codegen.choose.picks import Pick
from codegen.image import Image, image_of
from codegen.index import Axis
from codegen.ir import Expr, Kernel, Load, walk
from codegen.schedule import Schedule, Stage, Step
from codegen.target import Target

SHARES = (8, 32, 4)  # parts of the second-level cache of which packed values fill one
WORK = 1 << 18  # steps of a group
GROUPS_PER_CORE = 4
ACCUMULATORS = 16  # vectors of a tile
MOST_LINE = 8  # elements of a window's line: longer ones fill vectors
LINE = 32  # elements of a line that could be packed in the time it takes to begin one


@dataclass(frozen=True)
class Form:
    """The parts of such a kernel.

    images  what is read through windows
    others  loads that lie otherwise than the lanes
    n       the axis of the lanes
    batch, places, bound  the other stored axes no window touches, those one touches, the reduced axes; those with large
            steps first
    inside  stored axes for each of which the same images are read: the remainders of places, where windows were put
            back; of these, near are among those along which results lie one behind the other
    """

    images: dict[Expr, Image]
    others: tuple[Load, ...]
    n: Axis
    inside: tuple[Axis, ...]
    near: tuple[Axis, ...]
    batch: tuple[Axis, ...]
    places: tuple[Axis, ...]
    bound: tuple[Axis, ...]


def neighbours(kernel: Kernel, target: Target, pick: Pick) -> Iterator[Schedule]:
    """The schedule of a kernel of this form; nothing when it has another form."""
    form = form_of(kernel, target.lanes)
    if form is not None:
        most = target.l2 // (4 * target.lanes * pick("share", SHARES))
        yield scheduled(form, blocks_of(form, most), target)


def form_of(kernel: Kernel, lanes: int) -> Form | None:
    """The kernel's form; None without windows, without an axis for the lanes that all of them have, or where what is
    stored in consecutive places are no neighbours."""
    parallel, stores = parallel_axes(kernel), main_stores(kernel)
    if kernel.scans or any(set(s.axes) != set(parallel) for s in stores):
        return None
    images, runs = images_of(kernel), [run_of(s) for s in stores]
    touched = {a for image in images.values() for index in image.at.values() for a in index.axes}
    if not images:
        touched = apart(kernel, parallel, {a for run in runs for a in run[:1]}, lanes)
    wide = [a for a in parallel if a not in touched and a.size >= lanes and all(a in e.axes for e in images)]
    if not wide or not all(touched.intersection(run) for run in runs):
        return None
    n = max(wide, key=lambda a: (a.size, -a.id))
    inside = {e for value in images for e in walk((value,))}
    others = tuple(e for e in kernel.loads if e not in inside and n in e.axes and e.index.stride(n) not in (0, 1))
    loads = [e for value in images for e in loads_of(value)] or list(others)

    def outside_in(axes: Iterable[Axis]) -> tuple[Axis, ...]:
        return tuple(sorted(axes, key=lambda a: -max((abs(e.index.coefficient(a)) for e in loads), default=0)))

    rest, places = [a for a in parallel if a is not n and a not in touched], [a for a in parallel if a in touched]
    alike = tuple(a for a in rest if not any(a in value.axes for value in images))
    near = tuple(a for a in alike if any(a in run for run in runs))
    bound = dict.fromkeys(a for r in kernel.reduces for a in r.bound)
    batch = tuple(a for a in rest if a not in alike)
    return Form(images, others, n, alike, near, batch, outside_in(places), outside_in(bound))


def apart(kernel: Kernel, parallel: Sequence[Axis], ends: Set[Axis], lanes: int) -> set[Axis]:
    """The places of windows that share nothing, each with a few elements of short lines: all stored axes but one, whose
    neighbours lie farthest apart; empty where there are none such, or longer lines fill vectors.

    ends  the axes along which results lie one behind the other
    """
    bound = [a for r in kernel.reduces for a in r.bound]
    near = {a for e in kernel.loads for a in e.axes if e.index.stride(a) == 1}
    lines = prod(a.size for a in bound if a in near)
    if not (bound and parallel) or any(a.size >= lanes for a in (near | ends)) or lines > MOST_LINE:
        return set()
    far = [max((abs(e.index.stride(a) or 0) for e in kernel.loads if a in e.axes), default=0) for a in parallel]
    n = parallel[far.index(max(far))]
    return set(parallel) - {n} if all(n in e.axes for e in kernel.loads if e.axes) else set()


def images_of(kernel: Kernel) -> dict[Expr, Image]:
    """The largest values several places of a window read, and their images; of one inside another the inner one."""
    free = {a for store in main_stores(kernel) for a in store.axes}
    found: dict[Expr, Image] = {}
    pending = [r.arg for r in kernel.reduces]
    seen: set[Expr] = set()
    while pending:
        e = pending.pop()
        if e in seen:
            continue
        seen.add(e)
        image = image_of(e) if any(loads_of(e)) else None
        if image is not None and any(index.axes & free and index.axes - free for index in image.at.values()):
            found[e] = image
        else:
            pending.extend(e.args)
    return {e: image for e, image in found.items() if found.keys().isdisjoint(walk(e.args))}


def blocks_of(form: Form, most: int) -> Extents:
    """The extents of places and bound axes for which at most so many elements are packed for each lane: halves are
    taken where least is packed again."""
    extents = {a: a.size for a in (*form.places, *form.bound)}
    while _packed(form, extents) > most:
        ways = [{**extents, a: ceil(n / 2)} for a, n in extents.items() if n > 1]
        if not ways:
            break
        extents = min(ways, key=lambda way: _packed(form, way, LINE) * prod(ceil(a.size / n) for a, n in way.items()))
    return extents


def _packed(form: Form, extents: Extents, line: int = 0) -> int:
    """Elements packed for one lane; line: as many more for each piece of a line."""
    boxes = [image.extents({a: extents.get(a, 1) for a in value.axes}) for value, image in form.images.items()]
    lines = map(_line, form.images.values())
    sizes = (prod(n + line * (a is axis) for a, n in box.items()) for box, axis in zip(boxes, lines))
    return sum(sizes) + sum(prod(extents.get(a, 1) for a in e.axes) for e in form.others)


def _line(image: Image) -> Axis | None:
    """The axis of an image along which it is read from consecutive places."""
    near = (a for e in loads_of(image.source) for a in e.axes if e.index.stride(a) == 1)
    return next(near, None)


def scheduled(form: Form, blocks: Extents, target: Target) -> Schedule:
    """Groups of some channels; inside vectors of channels, blocks of bound axes and of places, whose images are packed;
    then register tiles."""
    n, rows, lanes = form.n, _rows(form, blocks), target.lanes
    cut = [Step(a, -(-blocks[a] // rows.get(a, 1)) * rows.get(a, 1)) for a in form.places if blocks[a] < a.size]
    work = prod(blocks[a] for a in form.places) * prod(a.size for a in (*form.bound, *form.inside))
    groups = prod(a.size for a in form.batch) * prod(ceil(step.axis.size / step.tile) for step in cut)
    vectors = min(max(1, WORK // (work * lanes)), max(1, groups * n.size // (lanes * GROUPS_PER_CORE * target.cores)))
    grid = [*(Step(a, 1) for a in form.batch), *cut, Step(n, lanes * vectors)]
    summed = [Step(a, blocks[a]) for a in form.bound if blocks[a] < a.size]
    tile = [Step(a, 1) for a in form.inside if a not in form.near]
    tile += [Step(a, 1) for a in form.places if a not in rows] + [Step(a, rows[a]) for a in form.places if a in rows]
    tile += [Step(a, a.size) for a in form.near]
    loops = (*grid, Step(n, lanes), *summed, *tile, *(Step(a, 1) for a in _looped(form, blocks)))
    depth = len(grid) + 1 + len(summed)
    stages = [Stage(e, depth, _layout(image.source, form), 0, image) for e, image in form.images.items()]
    stages += [Stage(e, depth, _layout(e, form)) for e in form.others]
    return Schedule(loops, len(grid), (n,), tuple(stages))


def _rows(form: Form, blocks: Extents) -> Extents:
    """The rows of the register tile, inside the blocks; fewer where each has several results."""
    most = ACCUMULATORS // prod(a.size for a in form.near)
    rows = rows_of([a for a in form.places if blocks[a] > 1])
    return {a: min(n, blocks[a], even(a.size, max(1, most), 1)) for a, n in rows.items()}


def _looped(form: Form, blocks: Extents) -> list[Axis]:
    """The bound axes walked one by one inside the register tile; short ones are written out instead."""
    written: list[Axis] = []
    for axis in reversed(form.bound):
        if blocks[axis] == axis.size and prod(a.size for a in written) * axis.size <= UNROLL:
            written.append(axis)
    return [a for a in form.bound if a not in written]


def _layout(source: Expr, form: Form) -> tuple[tuple[Axis, int], ...]:
    """The axes of a packed value in the order they have in memory, then the lanes."""
    steps = {a: max((abs(e.index.coefficient(a)) for e in loads_of(source)), default=0) for a in source.axes}
    axes = sorted((a for a in source.axes if a is not form.n and a not in form.batch), key=lambda a: (-steps[a], a.id))
    return (*((a, 1) for a in axes), (form.n, 1))
