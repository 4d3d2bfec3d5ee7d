"""Programs that users run, each in its full size and in one small enough to be interpreted.

Comes in: a maker of inputs.  Goes out: results that are not computed yet, by whatever device is the default.
`tests/kernels/test_catalogue.py` has the small ones computed by Triton's interpreter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from kernelforge import Tensor, dtypes, optim
from kernelforge.nn import functional as F


class Make(Protocol):
    """Makes an input: normal numbers, or with `high` whole numbers below it."""

    def __call__(self, *shape: int, dtype: str = "bfloat16", high: int = 0) -> Tensor: ...


@dataclass(frozen=True)
class Entry:
    """A program: a function of a maker and sizes.

    full, small  the sizes of a real program, and of one to interpret
    matrix       False where its products are too thin for the matrix unit
    """

    name: str
    build: Callable[..., list[Tensor]]
    full: tuple[Any, ...]
    small: tuple[Any, ...]
    matrix: bool = True

    def results(self, make: Make, small: bool = False) -> list[Tensor]:
        """What is to be computed."""
        return self.build(make, *(self.small if small else self.full))


# ---------------------------------------------------------------------------------------------------------- products


def product(make: Make, m: int, n: int, k: int, form: str = "NN", dtype: str = "bfloat16") -> list[Tensor]:
    """a b, with a transposed where the first letter is T, b where the second is."""
    a = make(m, k, dtype=dtype) if form[0] == "N" else make(k, m, dtype=dtype).transpose(0, 1)
    b = make(k, n, dtype=dtype) if form[1] == "N" else make(n, k, dtype=dtype).transpose(0, 1)
    return [a @ b]


def batched(make: Make, count: int, m: int, n: int, k: int) -> list[Tensor]:
    return [make(count, m, k) @ make(count, k, n)]


def eighths(make: Make, m: int, n: int, k: int) -> list[Tensor]:
    """A product of 8-bit floats, scaled per row and column."""
    a, b = (make(size, k).cast(dtypes.float8_e4m3fn).contiguous() for size in (m, n))
    rows, columns = make(m, 1, dtype="float32"), make(n, dtype="float32")
    wide = a.cast(dtypes.bfloat16) @ b.cast(dtypes.bfloat16).transpose(0, 1)
    return [(wide.cast("float32") * rows * columns).cast("bfloat16")]


def weights_of_bytes(make: Make, m: int, n: int, k: int) -> list[Tensor]:
    """bfloat16 times weights kept as int8 with a scale per column."""
    x, w, scale = make(m, k), make(n, k, dtype="int8", high=100), make(n)
    return [x @ (w.cast("bfloat16") * scale.reshape(n, 1)).transpose(0, 1)]


def products_of_bytes(make: Make, m: int, n: int, k: int) -> list[Tensor]:
    a, b = make(m, k, dtype="int8", high=100), make(n, k, dtype="int8", high=100)
    return [a.matmul(b.transpose(0, 1), dtype="int32")]


def layer(make: Make, rows: int, width: int, wide: int) -> list[Tensor]:
    """gelu(x w + b) v + c + x."""
    x, w, b, v, c = make(rows, width), make(width, wide), make(wide), make(wide, width), make(width)
    return [(x @ w + b).gelu() @ v + c + x]


def layer_gradients(make: Make, rows: int, width: int, wide: int) -> list[Tensor]:
    x, w, b, v, c, g = (
        make(rows, width), make(width, wide), make(wide), make(wide, width), make(width), make(rows, width)
    )  # fmt: skip
    return list(((x @ w + b).gelu() @ v + c + x).gradient(x, w, b, v, c, gradient=g))


def gated(make: Make, rows: int, width: int, wide: int, backward: bool) -> list[Tensor]:
    """(silu(x a) * x b) c, the perceptron of Llama."""
    x, a, b, c = make(rows, width), make(width, wide), make(width, wide), make(wide, width)
    out = ((x @ a).silu() * (x @ b)) @ c
    return list(out.gradient(x, a, b, c, gradient=make(rows, width))) if backward else [out]


def low_rank(make: Make, rows: int, width: int, rank: int) -> list[Tensor]:
    """x w + (x a) b, a product with an adapter."""
    x = make(rows, width)
    return [x @ make(width, width) + (x @ make(width, rank)) @ make(rank, width)]


# --------------------------------------------------------------------------------------------------------- attention


def attention(
    make: Make, batch: int, heads: int, length: int, width: int, way: str = "", backward: bool = False,
    dtype: str = "bfloat16",
) -> list[Tensor]:  # fmt: skip
    """softmax(q k / sqrt(width)) v, in one of the ways models have it."""
    shared = heads // 4 if way == "groups" else heads
    q, g = (make(batch, heads, length, width, dtype=dtype) for _ in range(2))
    k, v = (make(batch, shared, length, width, dtype=dtype) for _ in range(2))
    wrt = [q, k, v]
    if way == "window":
        at = Tensor.arange(length)
        behind = at.reshape(-1, 1) - at
        out = q.scaled_dot_product_attention(k, v, ((behind >= 0) & (behind < length // 8)))
    elif way == "bias":
        bias = make(heads, length, length, dtype=dtype)
        wrt.append(bias)
        out = q.scaled_dot_product_attention(k, v, bias)
    elif way == "alibi":
        at = Tensor.arange(length)
        slopes = 2.0 ** (-8.0 * (Tensor.arange(heads) + 1) / heads)
        bias = (at - at.reshape(-1, 1)).cast(dtypes.float32) * slopes.reshape(-1, 1, 1)
        out = q.scaled_dot_product_attention(k, v, bias.masked_fill(at > at.reshape(-1, 1), -1e9))
    elif way == "capped":
        scores = (q @ k.transpose(-2, -1)).cast("float32") * width**-0.5
        out = ((scores / 30).tanh() * 30).softmax(-1).cast(dtype) @ v
    elif way == "padding":
        seen = make(batch, 1, 1, length, dtype="int32", high=2) > 0
        out = q.scaled_dot_product_attention(k, v, seen)
    else:
        out = q.scaled_dot_product_attention(k, v, is_causal=way in ("causal", "groups"), enable_gqa=way == "groups")
    return list(out.gradient(*wrt, gradient=g)) if backward else [out]


def decoding(make: Make, batch: int, heads: int, length: int, width: int) -> list[Tensor]:
    """One query per sequence against a cache of keys and values that four heads share."""
    q = make(batch, heads, 1, width)
    k, v = (make(batch, heads // 4, length, width) for _ in range(2))
    return [q.scaled_dot_product_attention(k, v, enable_gqa=True)]


def rotated(make: Make, batch: int, heads: int, length: int, width: int) -> list[Tensor]:
    """Rotary positions on queries."""
    x, angles = make(batch, heads, length, width), make(length, width // 2, dtype="float32")
    a, b = x[..., : width // 2], x[..., width // 2 :]
    cos, sin = angles.cos(), angles.sin()
    return [(a * cos - b * sin).cat(b * cos + a * sin, dim=-1).cast("bfloat16")]


# -------------------------------------------------------------------------------------------------------------- rows


def softmax(make: Make, rows: int, columns: int, dtype: str = "bfloat16", backward: bool = False) -> list[Tensor]:
    x = make(rows, columns, dtype=dtype)
    out = x.softmax(-1)
    return list(out.gradient(x, gradient=make(rows, columns, dtype=dtype))) if backward else [out]


def layer_norm(make: Make, rows: int, columns: int, backward: bool = False) -> list[Tensor]:
    x, scale, shift = make(rows, columns), make(columns), make(columns)
    out = F.layer_norm(x, (columns,), scale, shift)
    return list(out.gradient(x, scale, shift, gradient=make(rows, columns))) if backward else [out]


def rms_norm(make: Make, rows: int, columns: int, backward: bool = False) -> list[Tensor]:
    """Of a sum, as transformers have it: the sum is a result as well."""
    x, y, scale = make(rows, columns), make(rows, columns), make(columns)
    both = x + y
    wide = both.cast("float32")
    out = (wide * ((wide * wide).mean(-1, keepdim=True) + 1e-6).rsqrt() * scale).cast("bfloat16")
    return list(out.gradient(x, scale, gradient=make(rows, columns))) if backward else [both, out]


def batch_norm(make: Make, batch: int, channels: int, side: int, backward: bool = False) -> list[Tensor]:
    x, scale, shift = make(batch, channels, side, side), make(channels), make(channels)
    out = F.batch_norm(x, None, None, scale, shift, training=True).relu()
    return list(out.gradient(x, scale, shift, gradient=make(*x.shape))) if backward else [out]


def group_norm(make: Make, batch: int, channels: int, side: int) -> list[Tensor]:
    return [F.group_norm(make(batch, channels, side, side), 32 if channels >= 64 else 4).silu()]


def cross_entropy(make: Make, rows: int, words: int, dtype: str = "bfloat16") -> list[Tensor]:
    """The loss and the logits' gradient."""
    logits = make(rows, words, dtype=dtype)
    loss = logits.cast("float32").cross_entropy(make(rows, dtype="int32", high=words))
    return [loss, *loss.gradient(logits)]


def chain(make: Make, size: int, dtype: str = "bfloat16") -> list[Tensor]:
    x, y = make(size, dtype=dtype), make(size, dtype=dtype)
    return [(x * 1.5 + y).gelu() * y.sigmoid()]


def broadcast(make: Make, rows: int, columns: int) -> list[Tensor]:
    return [(make(rows, columns) + make(columns)) * make(rows, 1)]


def turned(make: Make, a: int, b: int, c: int) -> list[Tensor]:
    """Heads put behind positions, as attention has it."""
    return [make(a, b, c).permute(1, 0, 2).contiguous(), make(a, b, c).permute(2, 1, 0).contiguous()]


def columns_summed(make: Make, rows: int, columns: int, dtype: str = "float32") -> list[Tensor]:
    return [make(rows, columns, dtype=dtype).sum(0)]


def everything(make: Make, rows: int, columns: int) -> list[Tensor]:
    x = make(rows, columns, dtype="float32")
    return [x.sum(), x.max(), (x * x).mean().sqrt()]


def prefix_sums(make: Make, rows: int, columns: int) -> list[Tensor]:
    return [make(rows, columns, dtype="float32").cumsum(1)]


def sorted_rows(make: Make, rows: int, columns: int) -> list[Tensor]:
    values, places = make(rows, columns, dtype="float32").sort(-1)
    return [values, places]


def largest(make: Make, rows: int, columns: int, k: int) -> list[Tensor]:
    values, places = make(rows, columns, dtype="float32").topk(k)
    return [values, places]


def routed(make: Make, rows: int, experts: int) -> list[Tensor]:
    """The two best of some experts and their shares."""
    values, places = make(rows, experts, dtype="float32").softmax(-1).topk(2)
    return [values / values.sum(-1, keepdim=True), places]


# ------------------------------------------------------------------------------------------------------ convolutions


def convolution(
    make: Make, batch: int, inside: int, outside: int, sides: tuple[int, ...], taps: int, backward: bool = False,
    **options: int,
) -> list[Tensor]:  # fmt: skip
    x, w = make(batch, inside, *sides), make(outside, inside // options.get("groups", 1), *(taps,) * len(sides))
    function = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[len(sides)]
    out = function(x, w, padding=taps // 2, **options)
    return list(out.gradient(x, w, gradient=make(*out.shape))) if backward else [out]


def strided(make: Make, batch: int, inside: int, outside: int, side: int, backward: bool) -> list[Tensor]:
    return convolution(make, batch, inside, outside, (side, side), 3, backward, stride=2)


def depthwise(make: Make, batch: int, channels: int, side: int) -> list[Tensor]:
    return convolution(make, batch, channels, channels, (side, side), 3, groups=channels)


def patches(make: Make, batch: int, side: int, patch: int, width: int) -> list[Tensor]:
    """The first layer of a vision transformer."""
    return [make(batch, 3, side, side).conv2d(make(width, 3, patch, patch), stride=patch)]


def pooled(make: Make, batch: int, channels: int, side: int) -> list[Tensor]:
    x = make(batch, channels, side, side)
    out = x.max_pool2d(2)
    return [out, *out.gradient(x, gradient=make(*out.shape))]


# ------------------------------------------------------------------------------------- tables, optimisers, randomness


def embedding(make: Make, words: int, width: int, tokens: int, backward: bool) -> list[Tensor]:
    table, read = make(words, width, dtype="float32"), make(tokens, dtype="int32", high=words)
    out = table[read]
    return list(out.gradient(table, gradient=make(tokens, width, dtype="float32"))) if backward else [out]


def adam(make: Make, *sizes: int) -> list[Tensor]:
    """Two steps of AdamW."""
    weights = [make(size, dtype="float32").requires_grad_() for size in sizes]
    step = optim.AdamW(weights, lr=1e-3)
    for _ in range(2):
        for w in weights:
            w.grad = make(*w.shape, dtype="float32")
        step.step()
    return weights


def momentum(make: Make, *sizes: int) -> list[Tensor]:
    weights = [make(size, dtype="float32").requires_grad_() for size in sizes]
    step = optim.SGD(weights, lr=1e-3, momentum=0.9)
    for _ in range(2):
        for w in weights:
            w.grad = make(*w.shape, dtype="float32")
        step.step()
    return weights


def drawn(make: Make, size: int) -> list[Tensor]:
    return [Tensor.rand(size), Tensor.randn(size), Tensor.rand(size) < make(1, dtype="float32")]


def dropped(make: Make, rows: int, columns: int) -> list[Tensor]:
    return [F.dropout(make(rows, columns), 0.1) + make(rows, columns)]


def beyond(make: Make, rows: int, columns: int) -> list[Tensor]:
    """More elements than 32 bits count."""
    x = make(rows, columns, dtype="int8", high=100)
    return [x + 1, x.cast("int32").sum(1)]


KINDS = ("NN", "NT", "TN", "TT")
PRODUCTS = [
    *(Entry(f"product {form} 4096 {dtype}", product, (4096, 4096, 4096, form, dtype), (40, 50, 36, form, dtype))
      for dtype in ("bfloat16", "float32") for form in KINDS),
    *(Entry(f"product {form} 1000 x 1016 x 776 float16", product, (1000, 1016, 776, form, "float16"),
            (33, 40, 24, form, "float16")) for form in KINDS),
    *(Entry(f"product {form} 1001 x 1003 x 777", product, (1001, 1003, 777, form), (33, 35, 37, form))
      for form in KINDS),
    Entry("product 8192 x 50304 x 768", product, (8192, 50_304, 768), (40, 70, 20)),
    Entry("product 64 x 64 x 65536", product, (64, 64, 65_536), (20, 20, 300)),
    Entry("product 1 x 4096 x 4096", product, (1, 4096, 4096, "NT"), (1, 40, 40, "NT"), matrix=False),
    Entry("product 16 x 11008 x 4096", product, (16, 11_008, 4096, "NT"), (16, 40, 40, "NT")),
    Entry("product 512 float64", product, (512, 512, 512, "NN", "float64"), (20, 20, 20, "NN", "float64")),
    Entry("products of 96 heads", batched, (96, 1024, 64, 1024), (3, 40, 20, 40)),
    Entry("product of 8-bit floats", eighths, (4096, 4096, 4096), (40, 40, 64)),
    Entry("product with weights of int8", weights_of_bytes, (64, 4096, 4096), (20, 40, 40)),
    Entry("product of int8", products_of_bytes, (4096, 4096, 4096), (40, 40, 64)),
    Entry("layer", layer, (8192, 1024, 4096), (40, 20, 50)),
    Entry("layer, gradients", layer_gradients, (8192, 1024, 4096), (40, 20, 50)),
    Entry("gated layer", gated, (4096, 4096, 11_008, False), (40, 20, 50, False)),
    Entry("gated layer, gradients", gated, (4096, 2048, 5632, True), (40, 20, 50, True)),
    Entry("adapter", low_rank, (4096, 4096, 16), (40, 32, 16)),
]  # fmt: skip
WAYS = ("", "causal", "groups", "window", "bias", "alibi", "capped", "padding")
ATTENTION = [
    *(Entry(f"attention 128 {way}".rstrip() + ", gradients" * backward, attention, (2, 16, 4096, 128, way, backward),
            (1, 4, 40, 16, way, backward)) for way in WAYS for backward in (False, True)),
    *(Entry(f"attention {width} causal {dtype}" + ", gradients" * backward, attention,
            (2, 16, 2048, width, "causal", backward, dtype), (1, 2, 40, small, "causal", backward, dtype))
      for width, small, dtype in ((64, 16, "bfloat16"), (96, 24, "bfloat16"), (256, 32, "bfloat16"),
                                  (64, 16, "float16"), (64, 16, "float32"), (128, 32, "float32"))
      for backward in (False, True)),
    Entry("attention of 1000 causal", attention, (4, 12, 1000, 64, "causal", True), (1, 2, 37, 16, "causal", True)),
    Entry("decoding", decoding, (16, 32, 8192, 128), (2, 4, 80, 16), matrix=False),
    Entry("rotary positions", rotated, (4, 32, 4096, 128), (1, 2, 10, 16)),
]  # fmt: skip
ROWS = [
    *(Entry(f"softmax {rows} x {n} {dtype}" + ", gradient" * backward, softmax, (rows, n, dtype, backward),
            (5, small, dtype, backward))
      for rows, n, small, dtype in ((16_384, 1024, 40, "bfloat16"), (4096, 50_257, 77, "float32"),
                                    (512, 131_072, 300, "bfloat16")) for backward in (False, True)),
    *(Entry(f"{kind.__name__.replace('_', ' ')} {rows} x {n}" + ", gradients" * backward, kind, (rows, n, backward),
            (9, small, backward))
      for kind in (layer_norm, rms_norm) for rows, n, small in ((16_384, 768, 24), (8192, 8192, 80))
      for backward in (False, True)),
    *(Entry("batch norm and relu" + ", gradients" * backward, batch_norm, (32, 256, 56, backward), (3, 4, 6, backward))
      for backward in (False, True)),
    Entry("group norm and silu", group_norm, (16, 320, 64), (2, 8, 6)),
    Entry("cross entropy of 50257", cross_entropy, (8192, 50_257), (9, 77)),
    Entry("cross entropy of 128256", cross_entropy, (8192, 128_256), (9, 200)),
    Entry("cross entropy of 32000 float32", cross_entropy, (16_384, 32_000, "float32"), (9, 64, "float32")),
    Entry("chain", chain, (1 << 25,), (1 << 10,)),
    Entry("chain of odd size float32", chain, (10_000_019, "float32"), (1003, "float32")),
    Entry("rows and columns spread", broadcast, (8192, 4096), (20, 40)),
    Entry("axes turned", turned, (512, 256, 128), (10, 12, 16)),
    Entry("sum of columns bfloat16", columns_summed, (65_536, 1024, "bfloat16"), (90, 40, "bfloat16")),
    Entry("sums of everything", everything, (8192, 4096), (50, 40)),
    Entry("prefix sums", prefix_sums, (4096, 16_384), (4, 70)),
    Entry("rows sorted", sorted_rows, (1024, 4096), (3, 50)),
    Entry("largest 40 of 50257", largest, (64, 50_257, 40), (3, 90, 5)),
    Entry("two of 64 experts", routed, (16_384, 64), (6, 16)),
]  # fmt: skip
CONVOLUTIONS = [
    *(Entry(f"convolution {name}" + ", gradients" * backward, convolution, (*full, backward), (*small, backward))
      for name, full, small in (
          ("1d 3", (16, 256, 256, (2048,), 3), (2, 16, 16, (30,), 3)),
          ("2d 3 64", (32, 64, 64, (56, 56), 3), (2, 16, 16, (8, 8), 3)),
          ("2d 3 256", (32, 256, 256, (14, 14), 3), (2, 16, 16, (7, 7), 3)),
          ("2d 1 256", (32, 256, 64, (56, 56), 1), (2, 16, 16, (8, 8), 1)),
          ("2d 7 of 3", (32, 3, 64, (112, 112), 7), (2, 3, 16, (9, 9), 7)),
          ("3d 3", (4, 32, 64, (16, 28, 28), 3), (1, 16, 16, (4, 5, 6), 3)),
      ) for backward in (False, True)),
    Entry("convolution with stride", strided, (32, 128, 256, 28, False), (2, 16, 16, 8, False)),
    Entry("convolution with stride, gradients", strided, (32, 128, 256, 28, True), (2, 16, 16, 8, True)),
    Entry("convolution per channel", depthwise, (32, 256, 28), (2, 8, 6), matrix=False),
    Entry("patches", patches, (32, 224, 16, 768), (2, 32, 8, 24)),
    Entry("largest of windows, gradient", pooled, (32, 64, 112), (2, 4, 8)),
]  # fmt: skip
OTHERS = [
    Entry("embedding", embedding, (50_304, 768, 16_384, False), (40, 24, 30, False)),
    Entry("embedding, gradient", embedding, (50_304, 768, 16_384, True), (40, 24, 30, True)),
    Entry("AdamW", adam, (1 << 24, 768, 50_304), (1 << 10, 30)),
    Entry("momentum", momentum, (1 << 24, 768, 50_304), (1 << 10, 30)),
    Entry("random numbers", drawn, (1 << 24,), (1 << 10,)),
    Entry("dropout", dropped, (8192, 4096), (20, 40)),
    Entry("beyond 32 bits", beyond, (70_000, 32_768), (10, 40)),
]
CATALOGUE = [*PRODUCTS, *ATTENTION, *ROWS, *CONVOLUTIONS, *OTHERS]
