"""Scaled dot product attention: forward, with gradients, causal, of heads that share keys, with a bias that is learned,
and of one query."""

from bench.suite.workload import Workload, floats


def attention(batch: int, heads: int, length: int, width: int, causal: bool, gradient: bool = False) -> Workload:
    shape = (batch, heads, length, width)
    products = 7 if gradient else 2  # two forward; five backward, the scores again among them
    return Workload(
        f"attention {batch}x{heads}x{length}x{width}"
        + (" causal" if causal else "")
        + (" forward + backward" if gradient else ""),
        "attention",
        floats(*[shape] * (4 if gradient else 3)),
        lambda f, q, k, v: f.attention(q, k, v, causal),
        wrt=(0, 1, 2) if gradient else (),
        flops=products * 2 * batch * heads * length * length * width / (2 if causal else 1),
    )


def shared_keys(batch: int, heads: int, shared: int, length: int, width: int) -> Workload:
    """As in most language models."""
    queries, keys = (batch, heads, length, width), (batch, shared, length, width)
    return Workload(
        f"attention {batch}x{heads} on {shared}x{length}x{width} causal forward + backward",
        "attention",
        floats(queries, keys, keys, queries),
        lambda f, q, k, v: f.attention(q, k, v, True),
        wrt=(0, 1, 2),
        flops=7 * batch * heads * length * length * width,
    )


def biased(batch: int, heads: int, length: int, width: int) -> Workload:
    """A bias for each pair of places, as of images' windows."""
    rows = (batch, heads, length, width)
    return Workload(
        f"attention {batch}x{heads}x{length}x{width} with a bias forward + backward",
        "attention",
        floats(rows, rows, rows, (heads, length, length), rows),
        lambda f, q, k, v, bias: f.attention(q, k, v, False, bias),
        wrt=(0, 1, 2, 3),
        flops=14 * batch * heads * length * length * width,
    )


def one_query(heads: int, length: int, width: int) -> Workload:
    """What a decoder does for each token."""
    rows = (1, heads, length, width)
    return Workload(
        f"attention of one query 1x{heads}x{length}x{width}",
        "attention",
        floats((1, heads, 1, width), rows, rows),
        lambda f, q, k, v: f.attention(q, k, v, False),
        read=8 * heads * length * width,
    )


WORKLOADS = [
    *(
        attention(*shape, causal, gradient)
        for shape in ((1, 16, 512, 64), (1, 8, 2048, 64))
        for causal in (False, True)
        for gradient in (False, True)
    ),
    attention(2, 8, 1000, 64, False),
    attention(32, 8, 128, 32, True),
    shared_keys(2, 16, 4, 512, 64),
    biased(2, 8, 256, 64),
    biased(64, 3, 49, 32),
    one_query(16, 4096, 64),
]
