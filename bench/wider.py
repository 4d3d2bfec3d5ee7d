"""More classes of workloads for `bench.breadth`: what is no convolution, no product and no model.

Comes in: torch and a random generator.  Goes out: cases at random sizes, without end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import numpy as np

from bench.sides import Case, applied, both, computed, differentiated, log, pick
from kernelforge import Tensor, linalg
from kernelforge.nn import functional as F


def algebra(torch: Any, rng: np.random.Generator) -> Iterator[Case]:
    """Factors, inverses and solutions of square matrices, single ones and batches."""
    while True:
        name = pick(rng, "cholesky", "solve", "inv", "qr", "svd", "eigh", "det", "solve_triangular")
        n, batch = log(rng, 3, 200), pick(rng, 0, 0, log(rng, 2, 100))
        n = min(n, 64) if batch else n
        lead = (batch,) if batch else ()
        (a, s), (b, t) = both(torch, *lead, n, n), both(torch, *lead, n, 3)
        if name in ("cholesky", "eigh", "solve_triangular"):
            a, s = ((x @ x.mT + n * library.eye(n)) for x, library in ((a, Tensor), (s, torch)))
            a.realize()
        ours, theirs = getattr(linalg, name), getattr(torch.linalg, name)
        more = {"upper": False} if name == "solve_triangular" else {}
        two = name in ("solve", "solve_triangular")

        def ours_call(f: Any = ours, x: Any = (a, b) if two else (a,), more: Any = more) -> None:
            found = f(*x, **more)
            computed(*(found if isinstance(found, tuple) else (found,)))

        given = (s, t) if two else (s,)
        yield f"{name} {batch}x{n}", ours_call, partial(theirs, *given, **more)


def one_dimensional(torch: Any, rng: np.random.Generator) -> Iterator[Case]:
    """Convolutions of sequences, forward and backward."""
    while True:
        taps, stride, n = pick(rng, 1, 3, 5, 7, 9), pick(rng, 1, 1, 2), log(rng, 1, 16)
        c, o, length = log(rng, 1, 128), log(rng, 4, 128), log(rng, 20, 2000)
        options = {"stride": stride, "padding": taps // 2, "dilation": pick(rng, 1, 1, 2)}
        calls = applied(torch, "conv1d", [(n, c, length), (o, c, taps)], **options)
        yield f"conv1d {n}x{c}x{length} to {o}, {taps} {options['stride']} {options['dilation']}", *calls


def grouped(torch: Any, rng: np.random.Generator) -> Iterator[Case]:
    """Grouped and depthwise convolutions, forward and backward."""
    while True:
        groups, taps, stride = pick(rng, 2, 4, 8, 0), pick(rng, 3, 3, 5), pick(rng, 1, 1, 2)
        n, h, w = log(rng, 1, 8), log(rng, 8, 60), log(rng, 8, 60)
        c, o = log(rng, 2, 32), log(rng, 2, 32)
        groups, c, o = (groups, c * groups, o * groups) if groups else (c * 4, c * 4, c * 4)
        shapes = [(n, c, h, w), (o, c // groups, taps, taps)]
        calls = applied(torch, "conv2d", shapes, stride=stride, padding=taps // 2, groups=groups)
        yield f"grouped {n}x{c}x{h}x{w} to {o} in {groups}, {taps}x{taps} stride {stride}", *calls


def along(torch: Any, rng: np.random.Generator) -> Iterator[Case]:
    """Sums, products and extremes up to each place, along either dimension."""
    while True:
        name, dim = pick(rng, "cumsum", "cumprod", "cummax", "logcumsumexp"), pick(rng, 0, 1)
        (x, t) = both(torch, log(rng, 4, 3000), log(rng, 4, 3000))

        def ours_call(x: Tensor = x, name: str = name, dim: int = dim) -> None:
            found = getattr(x, name)(dim)
            computed(*(found if isinstance(found, tuple) else (found,)))

        yield f"{name} {x.shape[0]}x{x.shape[1]} dim {dim}", ours_call, lambda t=t, f=name, d=dim: getattr(t, f)(d)


def distances(torch: Any, rng: np.random.Generator) -> Iterator[Case]:
    """Distances between all pairs of points, forward and backward."""
    while True:
        m, n, d, p = log(rng, 10, 800), log(rng, 10, 800), log(rng, 2, 256), pick(rng, 1.0, 2.0, 2.0)
        calls = differentiated(
            torch, [(m, d), (n, d)], lambda x, y, p=p: Tensor.cdist(x, y, p), lambda x, y, p=p: torch.cdist(x, y, p)
        )
        yield f"cdist {m}x{d} {n}x{d} p {p}", *calls


def selected(torch: Any, rng: np.random.Generator) -> Iterator[Case]:
    """Long rows sorted, and many greatest elements."""
    while True:
        rows, width, what = log(rng, 1, 30), log(rng, 2000, 300_000), pick(rng, "sort", "topk", "argsort", "unique")
        x, t = both(torch, rows, width if rows < 8 else width // rows)
        if what == "unique":
            x, t = (x * 1000).int().realize(), (t * 1000).int()
        more = (log(rng, 10, x.shape[1] // 2),) if what == "topk" else ()

        def ours_call(x: Tensor = x, what: str = what, more: Any = more) -> None:
            found = getattr(x, what)(*more)
            computed(*(found if isinstance(found, tuple) else (found,)))

        yield f"{what}{more} of {x.shape[0]}x{x.shape[1]}", ours_call, lambda t=t, f=what, m=more: getattr(t, f)(*m)


def losses(torch: Any, rng: np.random.Generator) -> Iterator[Case]:
    """Losses of rows of scores, forward and backward."""
    names = {"bce": "binary_cross_entropy_with_logits", "triplet": "triplet_margin_loss"}
    while True:
        short = pick(rng, "nll_loss", "cross_entropy", "bce", "kl_div", "smooth_l1_loss", "triplet")
        rows, width, name = log(rng, 8, 4096), log(rng, 4, 2000), names.get(short, short)
        if short == "triplet":
            yield f"{short} {rows}x{width}", *applied(torch, name, [(rows, width)] * 3)
            continue
        target: Any = rng.integers(0, width, rows)
        if short not in ("nll_loss", "cross_entropy"):
            target = rng.random((rows, width), dtype=np.float32)
        ours = partial(_swapped, getattr(F, name), Tensor(target).realize())
        theirs = partial(_swapped, getattr(torch.nn.functional, name), torch.tensor(target))
        yield f"{short} {rows}x{width}", *differentiated(torch, [(rows, width)], ours, theirs)


def _swapped(function: Callable[..., Any], second: Any, first: Any) -> Any:
    return function(first, second)


def alignments(torch: Any, rng: np.random.Generator) -> Iterator[Case]:
    """The CTC loss, forward and backward."""
    while True:
        steps, batch, kinds, length = log(rng, 10, 120), log(rng, 1, 16), log(rng, 5, 60), log(rng, 2, 9)
        given = [rng.integers(1, kinds, (batch, length)), np.full(batch, steps), np.full(batch, length)]

        def loss(x: Any, f: Any, given: Any) -> Any:
            return f.ctc_loss(x.log_softmax(-1), *given)

        ours = partial(loss, f=F, given=[Tensor(x).realize() for x in given])
        theirs = partial(loss, f=torch.nn.functional, given=[torch.from_numpy(x) for x in given])
        calls = differentiated(torch, [(steps, batch, kinds)], ours, theirs)
        yield f"ctc {steps}x{batch}x{kinds}, {length} labels", *calls


def norms(torch: Any, rng: np.random.Generator) -> Iterator[Case]:
    """Group, instance, batch, layer and RMS norms, forward and backward."""
    while True:
        name, n, groups = pick(rng, "group", "instance", "batch", "layer", "rms"), log(rng, 1, 32), pick(rng, 2, 4, 8)
        c, h = groups * log(rng, 1, 24), log(rng, 4, 60)
        if name in ("layer", "rms"):
            rows, width = log(rng, 16, 4096), log(rng, 16, 2000)
            shapes = [(rows, width), (width,), (width,)][: 3 if name == "layer" else 2]
            ours, theirs = (getattr(library, f"{name}_norm") for library in (F, torch.nn.functional))
            calls = differentiated(
                torch, shapes, lambda x, *w, f=ours: f(x, w[0].shape, *w), lambda x, *w, f=theirs: f(x, w[0].shape, *w)
            )
            yield f"{name} norm {rows}x{width}", *calls
            continue
        ours, theirs = (partial(_normalized, library, name, groups) for library in (F, torch.nn.functional))
        yield f"{name} norm {n}x{c}x{h}x{h}", *differentiated(torch, [(n, c, h, h), (c,), (c,)], ours, theirs)


def _normalized(library: Any, name: str, groups: int, x: Any, weight: Any, bias: Any) -> Any:
    if name == "group":
        return library.group_norm(x, groups, weight, bias)
    if name == "instance":
        return library.instance_norm(x, weight=weight, bias=bias)
    return library.batch_norm(x, None, None, weight, bias, training=True)


def attention(torch: Any, rng: np.random.Generator) -> Iterator[Case]:
    """Attention of any head size, with and without masks, forward and backward."""
    while True:
        batch, heads, width = log(rng, 1, 8), log(rng, 1, 12), log(rng, 8, 128)
        rows, keys = log(rng, 8, 600), log(rng, 8, 600)
        kind = pick(rng, "plain", "causal", "mask")
        keys = rows if kind == "causal" else keys
        shapes = [(batch, heads, rows, width), (batch, heads, keys, width), (batch, heads, keys, width)]
        mask = rng.random((rows, keys)) < 0.8
        ours = {"is_causal": kind == "causal", "attn_mask": Tensor(mask).realize() if kind == "mask" else None}
        theirs = {**ours, "attn_mask": torch.from_numpy(mask) if kind == "mask" else None}
        calls = differentiated(
            torch, shapes, lambda *x, o=ours: F.scaled_dot_product_attention(*x, **o),
            lambda *x, o=theirs: torch.nn.functional.scaled_dot_product_attention(*x, **o),
        )  # fmt: skip
        yield f"attention {batch}x{heads}x{rows}x{keys}x{width} {kind}", *calls


def bags(torch: Any, rng: np.random.Generator) -> Iterator[Case]:
    """Rows looked up, and sums of bags of them, forward and backward."""
    while True:
        rows, width, batch, count = log(rng, 50, 20_000), log(rng, 4, 300), log(rng, 8, 500), log(rng, 1, 40)
        name, at = pick(rng, "embedding", "embedding_bag"), rng.integers(0, rows, (batch, count))
        ours = partial(getattr(F, name), Tensor(at).realize())
        theirs = partial(getattr(torch.nn.functional, name), torch.from_numpy(at))
        calls = differentiated(torch, [(rows, width)], ours, theirs)
        yield f"{name} {batch}x{count} of {rows}x{width}", *calls


def pooled(torch: Any, rng: np.random.Generator) -> Iterator[Case]:
    """Greatest elements and means of windows of planes, forward and backward."""
    while True:
        name, taps = pick(rng, "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d"), pick(rng, 2, 3, 5)
        n, c, h, w = log(rng, 1, 8), log(rng, 3, 128), log(rng, 8, 100), log(rng, 8, 100)
        if name.startswith("adaptive"):
            options: dict[str, Any] = {"output_size": pick(rng, 1, 3, 7)}
        else:
            options = {"kernel_size": taps, "stride": pick(rng, taps, 1, 2), "padding": pick(rng, 0, taps // 2)}
        yield f"{name} {n}x{c}x{h}x{w} {options}", *applied(torch, name, [(n, c, h, w)], **options)


CLASSES: Final[dict[str, Callable[..., Iterator[Case]]]] = {
    "algebra": algebra, "one_dimensional": one_dimensional, "grouped": grouped, "along": along, "distances": distances,
    "selected": selected, "losses": losses, "alignments": alignments, "norms": norms, "attention": attention,
    "bags": bags, "pooled": pooled,
}  # fmt: skip
