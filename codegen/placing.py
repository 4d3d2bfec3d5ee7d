"""Placement: which loops and boxes a schedule means, in one walk over its loop lists.

Comes in: a kernel, a schedule and a target.  Goes out: a `Nest`.  It decides where every value is computed and kept; it
knows no masks, no bounds and no text.  The walk (`_Placer.emit`) carries goals (see `goals`) down the loops of a
list; at each depth, in this order: scans are settled before goals part, staged values are filled, sinks with their own
loops leave, reduces that the next loop would repeat are computed, and the goals that use the next loop's axis enter it.
"""

from __future__ import annotations

from collections.abc import Sequence

from codegen.goals import Goal, Needs, Order, order
from codegen.index import Axis
from codegen.ir import Expr, Kernel, Reduce, Scan, Store
from codegen.nodes import (
    Advance,
    Box,
    Declare,
    Finish,
    Keep,
    Loop,
    Nest,
    Node,
    Out,
    Pack,
    Scale,
    Settle,
    Shift,
    Update,
    WriteBack,
)
from codegen.placing_boxes import PlacedBoxes
from codegen.schedule import Schedule, Stage
from codegen.streaming import Stream
from codegen.target import Target


def place(kernel: Kernel, schedule: Schedule, target: Target) -> Nest:
    """The nest of a kernel under a schedule whose tiles divide each other; not yet checked for the language."""
    placer = _Placer(kernel, schedule, target)
    body = placer.nest()
    placer.boxes.settle_memory()
    return Nest(kernel, schedule, target, body, placer.boxes.all, placer.boxes.names)


Env = dict[Expr, Box]


class _Placer:
    def __init__(self, kernel: Kernel, schedule: Schedule, target: Target) -> None:
        self.kernel, self.schedule, self.target = kernel, schedule, target
        self.needs = Needs(kernel, schedule)
        anchors = {inner.depth for inner in schedule.inner.values()}
        self.common = order(schedule.loops, anchors, schedule.vector, target.lanes)
        self.grid = self.common.depths[schedule.grid]
        self.inner: dict[Expr | Store, tuple[int, Order]] = {}
        shared: dict[object, Order] = {}  # by stores over the same axes
        for sink, (depth, loops) in schedule.inner.items():
            near = {anchor for anchor in anchors if anchor <= depth}
            own = order((*schedule.loops[:depth], *loops), near, schedule.vector, target.lanes)
            if isinstance(sink, Store):
                own = shared.setdefault((depth, loops, frozenset(sink.axes)), own)
            self.inner[sink] = (max(own.depths[depth], self.grid), own)
        self.stages = [(max(self.common.depths[s.depth], self.grid), s) for s in schedule.stages]
        self.boxes = PlacedBoxes(kernel, schedule, target, [self.common, *(own for _, own in self.inner.values())])
        self.grid_loops: list[Loop] = []
        self.carries: dict[Scan, Box] = {}  # of the scans whose axis the loops around are walking

    # ------------------------------------------------------------------------------------------------ the walk

    def nest(self) -> list[Node]:
        """The grid loops, one inside the other, and all else inside them."""
        goals = [Goal("out", store) for store in self.kernel.stores]
        body: list[Node] = []
        outermost = body
        for depth in range(self.grid):
            if not self.common.real[depth]:
                continue
            loop = self.loop(depth, self.common, grid=True)
            self.grid_loops.append(loop)
            body.append(loop)
            body = loop.body
        body += self.emit(self.grid, self.common, goals, {})
        return outermost

    def emit(self, depth: int, loops: Order, goals: list[Goal], env: Env) -> list[Node]:
        """The nodes that reach the goals from here; env holds the values already in boxes."""
        out: list[Node] = []
        env = dict(env)
        while goals:
            self.settle_scans(depth, loops, goals, env, out)
            self.fill_stages(depth, loops, goals, env, out)
            goals = self.depart(depth, loops, goals, env, out)
            if depth == len(loops.steps):
                out += [self.leaf(goal, depth, loops, env) for goal in goals]
                return out
            pending = self.pending(goals, env)
            ready = self.ready(loops.steps[depth].axis, goals, pending, env)
            if not ready:
                return out + self.enter(depth, loops, goals, env)
            goals = self.compute(depth, loops, ready, pending, env, out, goals)
        return out

    def fill_stages(self, depth: int, loops: Order, goals: list[Goal], env: Env, out: list[Node]) -> None:
        """Fill the boxes of the stages that belong at this depth and that some goal needs."""
        for at, stage in self.stages:
            value = stage.value
            if at != depth or value in env or any(g.kind == "keep" and g.sink is value for g in goals):
                continue
            users = [goal for goal in goals if self.needs.reaches(goal.roots, value, env)]
            if not any(self.boxes.serves(stage, goal, self.own_loops(goal.sink, depth, loops)) for goal in users):
                continue
            if stage.layout is not None:
                self.pack(stage, depth, loops, env, out)
            elif isinstance(value, Reduce):
                self.together([value], depth, loops, env, out)
            elif not self.can_ride(value, depth, loops, goals, env):
                box = self.boxes.make("keep", value, depth, loops, value.axes)
                goal = Goal("keep", value, box)
                self.share(goal, depth, loops, goals, env, out)
                out += [Declare(box), *self.emit(depth, loops, [goal], env)]
                env[value] = box

    def share(self, goal: Goal, depth: int, loops: Order, goals: list[Goal], env: Env, out: list[Node]) -> None:
        """Put into env the reduces that a goal needs here and its companions may need too."""
        together = [goal, *(g for g in goals if self.own_loops(g.sink, depth, loops) is loops)]
        while depth < len(loops.steps):
            pending, axis = self.pending(together, env), loops.steps[depth].axis
            if not self.ready(axis, [goal], self.pending([goal], env), env):
                return
            self.compute(depth, loops, self.ready(axis, together, pending, env), pending, env, out)

    def pack(self, stage: Stage, depth: int, loops: Order, env: Env, out: list[Node]) -> None:
        if self.needs.pending((stage.value,), env) or self.needs.scans((stage.value,), env):
            return
        box = self.boxes.make("pack", stage.value, depth, loops, stage.value.axes, stage=stage)
        out += [Declare(box), Pack(box, box.place, dict(env))]
        for e in self.needs.reached((stage.value,), env):  # the copy loops run inside their tiles
            if e in env and any(extent > 1 for extent in env[e].tile.values()):
                env[e].array = True
        env[stage.value] = box

    def can_ride(self, value: Expr, depth: int, loops: Order, goals: list[Goal], env: Env) -> bool:
        """True when a reduce still to come passes over the loops that remain and does not come before the value."""
        ahead = {step.axis for step in loops.steps[depth:]}
        return any(
            not ahead.isdisjoint(r.bound) and not self.needs.reaches((value,), r, env) for r in self.pending(goals, env)
        )

    def depart(self, depth: int, loops: Order, goals: list[Goal], env: Env, out: list[Node]) -> list[Goal]:
        """Sinks with their own loops leave the list here, stores that share theirs together; returns the goals that
        stay."""
        stay: list[Goal] = []
        leaving: dict[Order, list[Goal]] = {}
        for goal in goals:
            own = self.own_loops(goal.sink, depth, loops)
            if own is not loops and self.inner[goal.sink][0] == depth:
                leaving.setdefault(own, []).append(goal)
            else:
                stay.append(goal)
        for own, some in leaving.items():
            passed = {
                s.value for _, s in self.stages
                if s.value in env and not all(self.boxes.serves(s, goal, own) for goal in some)
            }  # fmt: skip
            out += self.emit(depth, own, some, {e: box for e, box in env.items() if e not in passed})
        return stay

    def own_loops(self, sink: Expr | Store, depth: int, loops: Order) -> Order:
        """The loops a sink will run from this depth of a list on: its own when they are still ahead of the same
        steps."""
        at, own = self.inner.get(sink, (-1, loops))
        same = at >= depth and own.steps[:at] == loops.steps[:at] and own.real[:at] == loops.real[:at]
        return own if same else loops

    def pending(self, goals: list[Goal], env: Env) -> list[Reduce]:
        return self.needs.pending([root for goal in goals for root in goal.roots], env)

    def ready(self, axis: Axis, goals: list[Goal], pending: list[Reduce], env: Env) -> list[Reduce]:
        """The pending reduces that a loop over axis walks over, or would repeat, and that wait for no other such
        reduce.

        A loop repeats what the goals that enter it need.
        """
        inside = self.pending([goal for goal in goals if axis in goal.axes], env)
        found = [r for r in pending if axis in r.bound or (axis not in r.arg.axes and r in inside)]
        return [r for r in found if not any(q is not r and self.needs.reaches(r.args, q, env) for q in found)]

    def enter(self, depth: int, loops: Order, goals: list[Goal], env: Env) -> list[Node]:
        """The next loop, around the goals that use its axis; the others pass it by."""
        axis = loops.steps[depth].axis
        out = self.emit(depth + 1, loops, [g for g in goals if axis not in g.axes], env)
        inside, after = [], []
        for goal in goals:
            if axis not in goal.axes:
                continue
            if self.wants_narrower(goal, axis, depth, loops):
                goal, write_back = self.narrower(goal, depth, loops, out)
                after.append(write_back)
            inside.append(goal)
        opened = self.open_carries(axis, depth, loops, inside, env, out)
        body = self.emit(depth + 1, loops, inside, env)
        for scan in opened:
            del self.carries[scan]
        return out + self.around(depth, loops, body) + after

    def wants_narrower(self, goal: Goal, axis: Axis, depth: int, loops: Order) -> bool:
        """True for an accumulator wider than the tile here when the next loop reduces."""
        if goal.kind != "acc" or goal.box is None or not isinstance(goal.sink, Reduce) or axis not in goal.sink.bound:
            return False
        return any(self.boxes.extent(a, depth, loops, goal.sink) != goal.box.tile[a] for a in goal.box.free)

    def narrower(self, goal: Goal, depth: int, loops: Order, out: list[Node]) -> tuple[Goal, WriteBack]:
        wide = goal.box
        assert wide is not None and isinstance(goal.sink, Reduce)
        own = self.own_loops(goal.sink, depth, loops)
        box = self.boxes.make("acc", goal.sink, depth, loops, goal.sink.axes, partial=wide.partial, sink_loops=own)
        box.init, wide.array = wide, True
        self.boxes.use(wide, depth, loops)
        out.append(Declare(box))
        return Goal("acc", goal.sink, box), WriteBack(wide, box, self.boxes.place(depth, loops))

    # ------------------------------------------------------------------------------------------------ scans

    def open_carries(
        self, axis: Axis, depth: int, loops: Order, goals: list[Goal], env: Env, out: list[Node]
    ) -> list[Scan]:
        """Declare what the scans along axis carry, outside the outermost loop over it; returns these scans."""
        scans = self.needs.scans([root for goal in goals for root in goal.roots], env)
        opened = [scan for scan in scans if scan.axis is axis and scan not in self.carries]
        for scan in opened:
            self.carries[scan] = self.boxes.make("carry", scan, depth, loops, scan.carried)
            out.append(Declare(self.carries[scan]))
        return opened

    def settle_scans(self, depth: int, loops: Order, goals: list[Goal], env: Env, out: list[Node]) -> None:
        """Put into boxes the scans that would be advanced more than once from here on: a tile is advanced once.

        Where the loops end every scan is, one without a loop over its axis with a carry of its own.
        """
        scans = self.needs.scans([root for goal in goals for root in goal.roots], env)
        ends = depth == len(loops.steps)
        wanted = [s for s in scans if ends or (s in self.carries and self.parts(s, depth, loops, goals, env))]
        found = []
        for scan in wanted:
            if scan not in self.carries:
                found += self.open_carries(scan.axis, depth, loops, goals, env, out)
        boxes = {scan: self.boxes.make("scan", scan, depth, loops, scan.axes) for scan in wanted}
        out += [Declare(box) for box in boxes.values()]
        for scan, box in boxes.items():
            out += self.emit(depth, loops, [Goal("scan", scan, box)], env)
            env[scan] = box
        for scan in found:
            del self.carries[scan]

    def parts(self, scan: Scan, depth: int, loops: Order, goals: list[Goal], env: Env) -> bool:
        """True when the goals that need a scan do not all enter the next loop together, or it would repeat the scan."""

        def needs(e: Expr) -> bool:
            return e is scan or self.needs.reaches((e,), scan, env)

        if any(at == depth and stage.value not in env and needs(stage.value) for at, stage in self.stages):
            return True
        reaching = [goal for goal in goals if any(map(needs, goal.roots))]
        if any(self.own_loops(goal.sink, depth, loops) is not loops for goal in reaching):
            return True
        axis, pending = loops.steps[depth].axis, self.pending(goals, env)
        if axis not in scan.axes:
            return any(axis in goal.axes for goal in reaching)
        return any(map(needs, pending)) and bool(self.ready(axis, goals, pending, env))

    # ------------------------------------------------------------------------------------------------ reduces

    def compute(
        self,
        depth: int,
        loops: Order,
        ready: list[Reduce],
        pending: list[Reduce],
        env: Env,
        out: list[Node],
        goals: Sequence[Goal] = (),
    ) -> list[Goal]:
        """Put reduces that are ready into env: in one pass together, or as a stream with those that hang on a max.

        Stores that need none of them are reached in the same pass; returns the goals that remain.
        """
        axis = loops.steps[depth].axis
        heads: set[Reduce] = set()
        for stream in self.schedule.streams:
            if stream.max in ready and axis in stream.max.bound:
                sums = self.streamed(stream, pending, env)
                if sums and len(ready) == 1 + sum(r in ready for r, _ in sums):
                    self.stream(stream, sums, depth, loops, env, out)
                    return list(goals)
                heads.update((stream.max, *(r for r, _ in sums)) if sums else ())
        chosen = [r for r in ready if r not in heads] or ready
        walks = any(axis in r.bound for r in chosen)
        riding = [goal for goal in goals if walks and self.may_ride(goal, axis, depth, loops, env)]
        self.together(chosen, depth, loops, env, out, riding)
        return [goal for goal in goals if goal not in riding]

    def may_ride(self, goal: Goal, axis: Axis, depth: int, loops: Order, env: Env) -> bool:
        """True for a store inside the next loop that waits for no reduce this loop walks over or would repeat."""
        if not isinstance(goal.sink, Store) or goal.sink.mode != "set" or axis not in goal.axes:
            return False
        if self.own_loops(goal.sink, depth, loops) is not loops:
            return False
        return all(axis in r.arg.axes and axis not in r.bound for r in self.pending([goal], env))

    def streamed(self, stream: Stream, pending: list[Reduce], env: Env) -> list[tuple[Reduce, float]]:
        """The pending sums of a stream that wait for nothing but its max, and use no kept value made with all of it."""
        inside = {*env, stream.shift}
        own = set(stream.max.bound)
        made = {e for e in env if e is not stream.shift and self.needs.reaches((e,), stream.shift, ())}
        return [
            (r, degree)
            for r, degree in stream.sums
            if r in pending
            and all(own.isdisjoint(q.bound) for q in self.needs.pending(r.args, inside))
            and made.isdisjoint(self.needs.reached(r.args, inside))
        ]

    def together(
        self,
        reduces: list[Reduce],
        depth: int,
        loops: Order,
        env: Env,
        out: list[Node],
        stores: Sequence[Goal] = (),
    ) -> None:
        """Sibling reduces in one pass; kept values they compute ride along, and stores."""
        goals: list[Goal] = []
        for r in reduces:
            box = self.accumulator(r, depth, loops)
            out.append(Declare(box))
            goals.append(Goal("acc", r, box))
        riders: list[Goal] = []
        for at, stage in self.stages:
            value = stage.value
            if stage.layout is not None or at > depth or value in env or isinstance(value, Reduce):
                continue
            if self.needs.pending((value,), env):
                continue
            if any(self.needs.reaches(goal.roots, value, env) for goal in goals):
                box = self.boxes.make("keep", value, depth, loops, value.axes)
                out.append(Declare(box))
                riders.append(Goal("keep", value, box))
        out += self.emit(depth, loops, [*goals, *riders, *stores], env)
        for goal in goals:
            assert isinstance(goal.sink, Expr) and goal.box is not None
            env[goal.sink] = self.finished(goal.box, depth, loops, out)
        for goal in riders:
            assert isinstance(goal.sink, Expr) and goal.box is not None
            env[goal.sink] = goal.box

    def stream(
        self, stream: Stream, sums: list[tuple[Reduce, float]], depth: int, loops: Order, env: Env, out: list[Node]
    ) -> None:
        """One loop for a max and the sums relative to it: chunk max, shift, rescale, then the ordinary updates."""
        top = stream.max
        running = self.boxes.make("acc", top, depth, loops, top.axes)
        center = self.boxes.make("run", top, depth, loops, top.axes)
        boxes = [self.accumulator(r, depth, loops, begin=depth + 1) for r, _ in sums]
        out += [Declare(box) for box in (running, center, *boxes)]
        body: list[Node] = []
        inside: Env = dict(env)
        self.fill_stages(depth + 1, loops, [Goal("acc", top)], inside, body)
        chunk = self.accumulator(top, depth + 1, loops, like=running)
        body += [Declare(chunk), *self.emit(depth + 1, loops, [Goal("acc", top, chunk)], inside)]
        chunk = self.finished(chunk, depth + 1, loops, body)
        factors = self.factors(sums, running, depth + 1, loops, body)
        body.append(Shift(running, chunk, center, tuple(factors.items())))
        body += [Scale(box, factors[degree]) for box, (_, degree) in zip(boxes, sums) if degree]
        inside[stream.shift] = center
        updates = [Goal("acc", r, box) for box, (r, _) in zip(boxes, sums)]
        body += self.emit(depth + 1, loops, updates, inside)
        out += self.around(depth, loops, body)
        self.boxes.together([running, center, chunk, *factors.values(), *boxes])
        env[top] = running
        self.settle(stream, sums, boxes, center, depth, loops, env, out)

    def settle(
        self,
        stream: Stream,
        sums: list[tuple[Reduce, float]],
        boxes: list[Box],
        center: Box,
        depth: int,
        loops: Order,
        env: Env,
        out: list[Node],
    ) -> None:
        """After the loop: exchange what the sums were kept relative to for what the kernel subtracts."""
        done = [self.finished(box, depth, loops, out) for box in boxes]
        factors = self.factors(sums, center, depth, loops, out)
        if factors:
            goal = Goal("settle", stream.shift, center=center, factors=tuple(factors.items()))
            out += self.emit(depth, loops, [goal], env)
        out += [Scale(box, factors[degree]) for box, (_, degree) in zip(done, sums) if degree]
        self.boxes.together([center, *factors.values(), *done])
        env.update({r: box for box, (r, _) in zip(done, sums)})

    def factors(
        self, sums: list[tuple[Reduce, float]], like: Box, depth: int, loops: Order, out: list[Node]
    ) -> dict[float, Box]:
        """A declared box for the factor of every degree that occurs."""
        degrees = dict.fromkeys(degree for _, degree in sums if degree)
        factors = {d: self.boxes.make("run", like.of, depth, loops, like.of.axes, like=like) for d in degrees}
        out += [Declare(box) for box in factors.values()]
        return factors

    def accumulator(
        self, r: Reduce, depth: int, loops: Order, begin: int | None = None, like: Box | None = None
    ) -> Box:
        """The box of a reduce declared here whose own loops may begin at depth `begin`, here unless given."""
        own = self.own_loops(r, depth if begin is None else begin, loops)
        partial = self.boxes.partial(r, depth, own)
        return self.boxes.make("acc", r, depth, loops, r.axes, partial=partial, sink_loops=own, like=like)

    def finished(self, box: Box, depth: int, loops: Order, out: list[Node]) -> Box:
        """The box with its partial axes combined: itself when it has none."""
        if not box.partial:
            return box
        done = self.boxes.make("fin", box.of, depth, loops, box.of.axes, like=box)
        out += [Declare(done), Finish(box, done)]
        self.boxes.pairs.append((box, done))
        return done

    # ------------------------------------------------------------------------------------------------ leaves and loops

    def leaf(self, goal: Goal, depth: int, loops: Order, env: Env) -> Node:
        place = self.boxes.place(depth, loops)
        self.use_all(goal.roots, depth, loops, env)
        for box in (goal.box, goal.center, *(factor for _, factor in goal.factors)):
            if box is not None:
                self.boxes.use(box, depth, loops)
        if isinstance(goal.sink, Store):
            once = tuple(loop for loop in self.grid_loops if loop.axis not in goal.axes)
            return Out(goal.sink, place, env, once)
        if goal.kind == "settle":
            assert goal.center is not None
            return Settle(goal.center, goal.sink, goal.factors, place, env)
        assert goal.box is not None
        if goal.kind == "keep":
            return Keep(goal.box, place, env)
        if isinstance(goal.sink, Scan):
            carry = self.carries[goal.sink]
            self.boxes.use(carry, depth, loops)
            self.boxes.align(carry, goal.box)
            return Advance(goal.box, carry, goal.sink, place, env)
        assert isinstance(goal.sink, Reduce)
        return Update(goal.box, goal.sink, place, env)

    def use_all(self, roots: tuple[Expr, ...], depth: int, loops: Order, env: Env) -> None:
        for e in self.needs.reached(roots, env):
            if e in env:
                self.boxes.use(env[e], depth, loops)

    def around(self, depth: int, loops: Order, body: list[Node]) -> list[Node]:
        """The body inside the loop of this depth; as it is when the loop is virtual or there is nothing to do."""
        if not body or not loops.real[depth]:
            return body
        loop = self.loop(depth, loops)
        loop.body = body
        return [loop]

    def loop(self, depth: int, loops: Order, grid: bool = False) -> Loop:
        axis, tile = loops.steps[depth]
        return Loop(axis, tile, grid, self.boxes.place(depth, loops), self.boxes.place(depth + 1, loops))
