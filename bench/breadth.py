"""Classes of workloads beside torch, each at random sizes, so that a class is judged and no single shape.

    python -m bench.breadth CLASS ... [--count 8] [--seed 0] [--rounds 10]

The classes are those of CLASSES below, some of which `bench/wider.py` has.  A seed gives the same sizes again.  Prints
torch's time over ours of each, and the geometric mean of each class.
"""

import argparse
import math
from collections.abc import Callable, Iterator
from itertools import islice, pairwise
from typing import Any

import numpy as np

from bench import wider
from bench.measure import THREADS, ratio
from bench.sides import Call, Case, applied, both, computed, log, pick
from kernelforge import Tensor, fft, nn, optim
from kernelforge.nn import functional as F

# Models ------------------------------------------------------------------------------------------------------------


def trained(ours: Any, theirs: Any, x: Tensor, t: Any) -> tuple[Call, Call]:
    """A forward and backward pass of both, with equal weights."""
    ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    mine, others = list(ours.parameters()), list(theirs.parameters())

    def first(result: Any) -> Any:
        return result[0] if isinstance(result, tuple) else result

    def ours_step() -> None:
        for weight in mine:
            weight.grad = None
        loss = first(ours(x)).square().mean()
        loss.backward()
        computed(loss, *(weight.grad for weight in mine))

    def their_step() -> None:
        for weight in others:
            weight.grad = None
        first(theirs(t)).square().mean().backward()

    return ours_step, their_step


def recurrent(torch: Any, rng: np.random.Generator) -> Iterator[Case]:
    """LSTMs and GRUs, small to middling, forward and backward."""
    while True:
        kind, rows, hidden = pick(rng, "LSTM", "GRU"), log(rng, 4, 64), log(rng, 32, 256)
        length, features = log(rng, 10, 100), log(rng, 16, 256)
        pair = (getattr(library, kind)(features, hidden) for library in (nn, torch.nn))
        yield f"{kind} {rows}x{features}x{hidden}x{length}", *trained(*pair, *both(torch, length, rows, features))


def mlp(torch: Any, rng: np.random.Generator) -> Iterator[Case]:
    """Training steps of multi-layer perceptrons: forward, backward and Adam's."""
    while True:
        rows, widths = log(rng, 16, 512), [log(rng, 16, 1024) for _ in range(rng.integers(3, 6))]

        def layers(library: Any) -> Any:
            parts = [part for i, j in pairwise(widths) for part in (library.Linear(i, j), library.ReLU())]  # noqa: B023
            return library.Sequential(*parts[:-1])

        ours, theirs = layers(nn), layers(torch.nn)
        ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
        optimizer, peer = optim.Adam(ours.parameters()), torch.optim.Adam(theirs.parameters())
        (x, t), (y, u) = both(torch, rows, widths[0]), both(torch, rows, widths[-1])

        def ours_step(ours: Any = ours, optimizer: Any = optimizer, x: Tensor = x, y: Tensor = y) -> None:
            optimizer.zero_grad()
            loss = F.mse_loss(ours(x), y)
            loss.backward()
            optimizer.step()
            computed(loss)

        def their_step(theirs: Any = theirs, peer: Any = peer, t: Any = t, u: Any = u) -> None:
            peer.zero_grad()
            torch.nn.functional.mse_loss(theirs(t), u).backward()
            peer.step()

        yield f"mlp {rows} x {'-'.join(map(str, widths))}", ours_step, their_step


# Windows -----------------------------------------------------------------------------------------------------------


def convolution(torch: Any, rng: np.random.Generator, **limits: Any) -> Iterator[Case]:
    """Convolutions of middling sizes, forward and backward."""
    while True:
        taps, stride, n = pick(rng, 1, 3, 3, 3, 5), pick(rng, 1, 1, 2), log(rng, 1, 8)
        least, most = limits.get("channels", (8, 160))
        c, o = log(rng, least, most), log(rng, least, 160)
        h, w = log(rng, 8, 60), log(rng, 8, 60)
        shapes = [(n, c, h, w), (o, c, taps, taps)]
        calls = applied(torch, "conv2d", shapes, limits.get("of"), stride=stride, padding=taps // 2)
        yield f"conv {n}x{c}x{h}x{w} to {o}, {taps}x{taps} stride {stride}", *calls


def few_channels(torch: Any, rng: np.random.Generator) -> Iterator[Case]:
    """Convolutions from 1 to 8 channels: forward and the weight's gradient."""
    return convolution(torch, rng, channels=(1, 8), of=[1])


def transposed(torch: Any, rng: np.random.Generator) -> Iterator[Case]:
    """Transposed convolutions, forward and backward."""
    while True:
        taps, stride, dilation = pick(rng, 2, 3, 4), pick(rng, 1, 2, 2, 3), pick(rng, 1, 1, 2)
        n, c, o, h = log(rng, 1, 8), log(rng, 4, 128), log(rng, 4, 128), log(rng, 6, 40)
        options = {"stride": stride, "dilation": dilation, "padding": pick(rng, 0, 1)}
        calls = applied(torch, "conv_transpose2d", [(n, c, h, h), (c, o, taps, taps)], **options)
        yield f"transposed {n}x{c}x{h}x{h} to {o}, {taps}x{taps} {options}", *calls


def dilated(torch: Any, rng: np.random.Generator) -> Iterator[Case]:
    """Convolutions whose stride and dilation have a common factor, forward and backward."""
    while True:
        taps, stride = pick(rng, 2, 3), pick(rng, 2, 2, 3, 4)
        dilation = stride * pick(rng, 1, 1, 2)
        n, c, o, h = log(rng, 1, 8), log(rng, 4, 128), log(rng, 4, 128), log(rng, 16, 60)
        options = {"stride": stride, "dilation": dilation, "padding": pick(rng, 0, 1, 2)}
        calls = applied(torch, "conv2d", [(n, c, h, h), (o, c, taps, taps)], **options)
        yield f"dilated {n}x{c}x{h}x{h} to {o}, {taps}x{taps} {options}", *calls


def volumes(torch: Any, rng: np.random.Generator) -> Iterator[Case]:
    """Convolutions of volumes, forward and backward."""
    while True:
        taps, stride = pick(rng, 2, 3, 4), pick(rng, 1, 2, 3)
        n, c, o, h = log(rng, 1, 4), log(rng, 4, 48), log(rng, 4, 48), log(rng, 8, 24)
        shapes = [(n, c, h, h, h), (o, c, taps, taps, taps)]
        calls = applied(torch, "conv3d", shapes, stride=stride, padding=1)
        yield f"conv3d {n}x{c}x{h}^3 to {o}, {taps}^3 stride {stride}", *calls


def pool3d(torch: Any, rng: np.random.Generator) -> Iterator[Case]:
    """Averages over windows of volumes, forward and backward."""
    while True:
        taps, n, c, h = pick(rng, 2, 3), log(rng, 1, 4), log(rng, 4, 64), log(rng, 8, 40)
        stride = pick(rng, taps, taps, 1, 2)
        calls = applied(torch, "avg_pool3d", [(n, c, h, h, h)], kernel_size=taps, stride=stride)
        yield f"average pool {n}x{c}x{h}^3, {taps}^3 stride {stride}", *calls


def resized(torch: Any, rng: np.random.Generator) -> Iterator[Case]:
    """Bilinear resizing up and down, forward and backward."""
    while True:
        n, c, h, w, a, b = log(rng, 1, 8), log(rng, 3, 64), *(log(rng, 12, 160) for _ in range(4))
        corners = pick(rng, False, True)
        calls = applied(torch, "interpolate", [(n, c, h, w)], size=(a, b), mode="bilinear", align_corners=corners)
        yield f"bilinear {n}x{c}x{h}x{w} to {a}x{b} {corners}", *calls


# Places from data --------------------------------------------------------------------------------------------------


def indexed(torch: Any, rng: np.random.Generator) -> Iterator[Case]:
    """Rows added at places that come from data."""
    while True:
        rows, count, width = log(rng, 10, 20_000), log(rng, 100, 50_000), log(rng, 1, 256)
        dim = pick(rng, 0, 0, 1)
        (x, t), (y, u) = (both(torch, *((size, width) if dim == 0 else (width, size))) for size in (rows, count))
        at = rng.integers(0, rows, count)
        index, i = Tensor(at).realize(), torch.from_numpy(at)
        yield (f"index_add {rows} += {count}, width {width}, dim {dim}",
               lambda x=x, y=y, index=index, dim=dim: computed(x.index_add(dim, index, y)),
               lambda t=t, u=u, i=i, dim=dim: t.index_add(dim, i, u))  # fmt: skip


def scattered(torch: Any, rng: np.random.Generator) -> Iterator[Case]:
    """Elements added at places that come from data."""
    while True:
        rows, count, width = log(rng, 10, 20_000), log(rng, 100, 20_000), log(rng, 1, 256)
        dim = pick(rng, 0, 1)
        (x, t), (y, u) = (both(torch, *((size, width) if dim == 0 else (width, size))) for size in (rows, count))
        at = rng.integers(0, rows, y.shape)
        index, i = Tensor(at).realize(), torch.from_numpy(at)
        yield (f"scatter_add {rows} += {count}, width {width}, dim {dim}",
               lambda x=x, y=y, index=index, dim=dim: computed(x.scatter_add(dim, index, y)),
               lambda t=t, u=u, i=i, dim=dim: t.scatter_add(dim, i, u))  # fmt: skip


def ordered(torch: Any, rng: np.random.Generator) -> Iterator[Case]:
    """Medians and greatest elements of short rows."""
    while True:
        rows, width, what = log(rng, 1, 2000), log(rng, 8, 1000), pick(rng, "median", "topk", "sort")
        x, t = both(torch, rows, width)
        more = (min(width, pick(rng, 1, 5, 10)),) if what == "topk" else (-1,)
        yield (f"{what}{more} of {rows}x{width}",
               lambda x=x, what=what, more=more: computed(*getattr(x, what)(*more)),
               lambda t=t, what=what, more=more: getattr(t, what)(*more))  # fmt: skip


# Products and transforms -------------------------------------------------------------------------------------------


def products(torch: Any, rng: np.random.Generator) -> Iterator[Case]:
    """Products of two matrices of either layout, small to middling, of four types."""
    while True:
        m, n, k = (log(rng, 4, 1500) for _ in range(3))
        kind, ta, tb = pick(rng, "float32", "float32", "float64", "bfloat16"), pick(rng, 0, 1), pick(rng, 0, 1)
        (a, s), (b, t) = both(torch, *((k, m) if ta else (m, k))), both(torch, *((n, k) if tb else (k, n)))
        (a, s), (b, t) = ((x.cast(kind).realize(), y.to(getattr(torch, kind))) for x, y in ((a, s), (b, t)))
        a, s, b, t = a.T if ta else a, s.T if ta else s, b.T if tb else b, t.T if tb else t
        yield (f"{m}x{k}x{n} {'NT'[ta]}{'NT'[tb]} {kind}",
               lambda a=a, b=b: computed(a @ b), lambda s=s, t=t: s @ t)  # fmt: skip


def transforms(torch: Any, rng: np.random.Generator) -> Iterator[Case]:
    """Fourier transforms of powers of two, of round numbers and of any length, along one dimension or two."""
    while True:
        name, rows = pick(rng, "fft", "ifft", "rfft", "fft2"), log(rng, 1, 128)
        size = pick(rng, 1 << int(rng.integers(4, 17)), pick(rng, 60, 100, 360, 1000, 1200), log(rng, 16, 2000))
        (a, s), (b, t) = both(torch, rows, size), both(torch, rows, size)
        z, u = (a, s) if name == "rfft" else ((a + 1j * b).realize(), torch.complex(s, t))
        ours, theirs = getattr(fft, name), getattr(torch.fft, name)
        yield f"{name} {rows}x{size}", lambda f=ours, z=z: computed(f(z)), lambda f=theirs, u=u: f(u)


CLASSES: dict[str, Callable[..., Iterator[Case]]] = {
    "recurrent": recurrent, "mlp": mlp, "convolution": convolution, "few_channels": few_channels,
    "transposed": transposed, "dilated": dilated, "volumes": volumes, "pool3d": pool3d, "resized": resized,
    "indexed": indexed, "scattered": scattered, "ordered": ordered, "products": products, "transforms": transforms,
    **wider.CLASSES,
}  # fmt: skip


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description="Classes of workloads beside torch, at random sizes.")
    parser.add_argument("classes", nargs="+", choices=CLASSES, metavar="CLASS", help=", ".join(CLASSES))
    parser.add_argument("--count", type=int, default=8, help="how many sizes of each (default 8)")
    parser.add_argument("--seed", type=int, default=0, help="of the sizes (default 0)")
    parser.add_argument("--rounds", type=int, default=10, help="of each row (default 10)")
    options = parser.parse_args()
    torch.set_num_threads(THREADS)
    print(f"{'milliseconds':60}{'kernelforge':>12}{'torch':>10}{'times':>7}")
    for name in options.classes:
        times = []
        for case, ours, theirs in islice(CLASSES[name](torch, np.random.default_rng(options.seed)), options.count):
            found = ratio(ours, theirs, options.rounds)
            times.append(found.times)
            print(f"{case:60}{found.ours * 1e3:12.3f}{found.theirs * 1e3:10.3f}{found.times:7.2f}", flush=True)
        mean = math.exp(sum(map(math.log, times)) / len(times))
        print(f"{name:60}{'':12}{'':10}{mean:7.2f}  ({sum(t >= 1 for t in times)} of {len(times)} at least as fast)\n")


if __name__ == "__main__":
    main()
