"""A layer on batches and lengths that are drawn anew: what a size costs that was not met before."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from bench.gpu.lab import DEVICE, Lab
from bench.gpu.table import Row
from kernelforge import Context, Tensor
from kernelforge.counters import GlobalCounters

DRAWS = 24  # sizes; the first two have to be learned from
WIDTH = 512
Shape = tuple[int, ...]
MOST = (64, 512)  # batch and length


def layer(x: Any, wide: Any, narrow: Any) -> Any:
    """A perceptron after a norm of each row; the same text for both libraries."""
    centred = x - x.mean(-1, keepdim=True)
    normed = centred / ((centred * centred).mean(-1, keepdim=True) + 1e-5).sqrt()
    return x + (normed @ wide).relu() @ narrow


def attention(x: Any, *_: Any) -> Any:
    """Scores of all pairs of rows, and their sums."""
    return (x @ x.transpose(-1, -2)).softmax(-1) @ x


def drawn(lab: Lab, section: str) -> None:
    """Seconds until the result for a new size is there, its kernels compiled where that takes some."""
    width, draws, most = (16, 4, (4, 9)) if lab.small else (WIDTH, DRAWS, MOST)
    pick = random.Random(5)
    shapes = [(pick.randint(2, most[0]), pick.randint(2, most[1]), width) for _ in range(draws)]
    for name, function in (("norm and perceptron", layer), ("attention", attention)):
        row = Row(section, f"{name}, {draws} sizes up to {most[0]} x {most[1]} x {width}: a new one")
        before = GlobalCounters.compiled
        with Context(OPEN=1):
            taken = _ours(lab, shapes, function)
        row.ours = _median(taken)
        row.note = f"{GlobalCounters.compiled - before} kernels compiled, the first sizes {_told(taken[:2])}"
        lab.results.keep(row)
        if lab.torch is not None and lab.left > 10:
            taken = _theirs(lab, shapes, function)
            row.theirs, row.peer = _median(taken), "torch.compile"
            row.note += f"; torch's {_told(taken[:2])}"
        lab.results.add(row)


def _ours(lab: Lab, shapes: Sequence[Shape], function: Callable[..., Any]) -> list[float]:
    def made(shape: Shape, value: float = 0.5) -> Tensor:
        return Tensor.full(shape, value, device=DEVICE).contiguous().realize()

    width = shapes[0][-1]
    weights = made((width, 4 * width), 0.01), made((4 * width, width), 0.01)
    return _seconds(lab, shapes, made, lambda x: function(x, *weights).realize(), lab.runtime.wait)


def _theirs(lab: Lab, shapes: Sequence[Shape], function: Callable[..., Any]) -> list[float]:
    torch = lab.torch

    def made(shape: Shape, value: float = 0.5) -> Any:
        return torch.full(shape, value, device=lab.place)

    width = shapes[0][-1]
    weights = made((width, 4 * width), 0.01), made((4 * width, width), 0.01)
    compiled = torch.compile(function, dynamic=True)
    return _seconds(lab, shapes, made, lambda x: compiled(x, *weights), torch.cuda.synchronize)


def _seconds(
    lab: Lab,
    shapes: Sequence[Shape],
    made: Callable[[Shape], Any],
    work: Callable[[Any], Any],
    wait: Callable[[], object],
) -> list[float]:
    """For each size until its result is there; fewer when the time is over."""
    taken: list[float] = []
    for shape in shapes:
        if taken and lab.left < 0:
            break
        x = made(shape)
        wait()
        start = time.perf_counter()
        work(x)
        wait()
        taken.append(time.perf_counter() - start)
    return taken


def _median(taken: list[float]) -> float | None:
    return statistics.median(taken[2:]) if len(taken) > 2 else None


def _told(taken: list[float]) -> str:
    return ", ".join(f"{seconds:.2f} s" for seconds in taken)
