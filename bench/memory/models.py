"""Models with a loss, written once with the names torch and kernelforge share, and random ones.

Comes in: a library's `nn` and its functional module.  Goes out: a module that gives the loss of its input, and the
shape and the type of that.
"""

import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

VOCABULARY = 256


class Case(NamedTuple):
    """A model: `make(nn, F)` gives a module; integers below `high` or, where that is 0, floats of a shape go in."""

    make: Callable[[Any, Any], Any]
    shape: tuple[int, ...]
    high: int = 0
    optimizer: str = "AdamW"
    trains: bool = True


def module_of(
    nn: Any, parts: dict[str, Any], forward: Callable[..., Any], answer: Callable[[Any, Any], Any] | None = None
) -> Any:
    """A module of some parts whose forward is a function of it and its input; and so is its answer, which is what is
    asked of it in inference."""
    made = type("Model", (nn.Module,), {"forward": forward, "answer": answer or forward})()
    for name, part in parts.items():
        setattr(made, name, part)
    return made


def mlp(*widths: int, activation: str = "ReLU") -> Callable[[Any, Any], Any]:
    """Layers of these widths that give back their input."""

    def make(nn: Any, _: Any) -> Any:
        layers: list[Any] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), getattr(nn, activation)()]
        return module_of(nn, {"layers": nn.Sequential(*layers[:-1])}, lambda m, x: (m.layers(x) - x).square().mean())

    return make


def convolutions(*channels: int) -> Callable[[Any, Any], Any]:
    """3x3 convolutions with batch norms, halving the plane each time, and a linear layer."""

    def make(nn: Any, _: Any) -> Any:
        layers: list[Any] = []
        for before, after in pairwise(channels):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
        parts = {"layers": nn.Sequential(*layers), "last": nn.Linear(channels[-1], 10)}
        return module_of(nn, parts, lambda m, x: m.last(m.layers(x).mean((2, 3))).square().mean())

    return make


def resnet(*widths: int) -> Callable[[Any, Any], Any]:
    """Two residual blocks of each width, as in ResNet-18, strided between."""

    def block(nn: Any, before: int, after: int) -> Any:
        stride = 1 if before == after else 2
        parts = {
            "a": nn.Conv2d(before, after, 3, stride, 1, bias=False), "b": nn.BatchNorm2d(after),
            "c": nn.Conv2d(after, after, 3, 1, 1, bias=False), "d": nn.BatchNorm2d(after),
            "way": nn.Identity() if stride == 1 else nn.Conv2d(before, after, 1, stride, bias=False),
        }  # fmt: skip
        return module_of(nn, parts, lambda m, x: (m.d(m.c(m.b(m.a(x)).relu())) + m.way(x)).relu())

    def make(nn: Any, _: Any) -> Any:
        first = [nn.Conv2d(3, widths[0], 3, 1, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()]
        before = [widths[0], *(w for w in widths for _ in range(2))]
        blocks = [block(nn, *pair) for pair in pairwise(before)]
        parts = {"layers": nn.Sequential(*first, *blocks), "last": nn.Linear(widths[-1], 10)}
        return module_of(nn, parts, lambda m, x: m.last(m.layers(x).mean((2, 3))).square().mean())

    return make


def gpt(width: int, heads: int, depth: int) -> Callable[[Any, Any], Any]:
    """Transformer blocks with causal attention over tokens, each of which predicts the next."""

    def block(nn: Any, functional: Any) -> Any:
        parts = {
            "n": nn.LayerNorm(width), "qkv": nn.Linear(width, 3 * width), "o": nn.Linear(width, width),
            "k": nn.LayerNorm(width), "up": nn.Linear(width, 4 * width), "down": nn.Linear(4 * width, width),
        }  # fmt: skip

        def forward(m: Any, x: Any) -> Any:
            batch, length, _ = x.shape
            q, k, v = (z.reshape(batch, length, heads, width // heads).transpose(1, 2)
                       for z in m.qkv(m.n(x)).chunk(3, -1))  # fmt: skip
            mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + m.o(mixed.transpose(1, 2).reshape(batch, length, width))
            return x + m.down(functional.gelu(m.up(m.k(x))))

        return module_of(nn, parts, forward)

    def make(nn: Any, functional: Any) -> Any:
        blocks = nn.Sequential(*(block(nn, functional) for _ in range(depth)))
        parts = {"tokens": nn.Embedding(VOCABULARY, width), "blocks": blocks, "last": nn.Linear(width, VOCABULARY)}

        def forward(m: Any, x: Any) -> Any:
            logits = m.last(m.blocks(m.tokens(x)))[:, :-1].reshape(-1, VOCABULARY)
            return functional.cross_entropy(logits, x[:, 1:].reshape(-1))

        return module_of(nn, parts, forward)

    return make


def attention(width: int, heads: int) -> Callable[[Any, Any], Any]:
    """One causal attention with its projection."""

    def make(nn: Any, functional: Any) -> Any:
        def forward(m: Any, x: Any) -> Any:
            batch, length, _ = x.shape
            q, k, v = (z.reshape(batch, length, heads, width // heads).transpose(1, 2)
                       for z in m.qkv(x).chunk(3, -1))  # fmt: skip
            return functional.scaled_dot_product_attention(q, k, v, is_causal=True).square().mean()

        return module_of(nn, {"qkv": nn.Linear(width, 3 * width)}, forward)

    return make


def lstm(width: int, hidden: int) -> Callable[[Any, Any], Any]:
    """An LSTM and a linear layer on all of its states."""

    def make(nn: Any, _: Any) -> Any:
        parts = {"walk": nn.LSTM(width, hidden, batch_first=True), "last": nn.Linear(hidden, width)}
        return module_of(nn, parts, lambda m, x: (m.last(m.walk(x)[0]) - x).square().mean())

    return make


def vae(width: int, hidden: int, code: int) -> Callable[[Any, Any], Any]:
    """A variational autoencoder of dense layers; the noise is half of its input."""

    def make(nn: Any, _: Any) -> Any:
        parts = {
            "a": nn.Linear(width, hidden), "mean": nn.Linear(hidden, code), "log": nn.Linear(hidden, code),
            "b": nn.Linear(code, hidden), "c": nn.Linear(hidden, width),
        }  # fmt: skip

        def forward(m: Any, x: Any) -> Any:
            h = m.a(x).relu()
            mean, log = m.mean(h), m.log(h)
            z = mean + (log * 0.5).exp() * x[:, :code]
            again = m.c(m.b(z).relu())
            return (again - x).square().mean() - (1 + log - mean.square() - log.exp()).mean()

        return module_of(nn, parts, forward)

    return make


CASES = {
    "MLP, SGD": Case(mlp(256, 1024, 1024, 256), (256, 256), optimizer="SGD"),
    "MLP, Adam": Case(mlp(256, 1024, 1024, 256), (256, 256), optimizer="Adam"),
    "VAE": Case(vae(784, 512, 32), (256, 784)),
    "attention": Case(attention(64, 4), (8, 256, 64)),
    "LSTM": Case(lstm(64, 128), (16, 64, 64)),
    "convolutions": Case(convolutions(3, 32, 64, 128), (16, 3, 48, 48)),
    "GPT blocks": Case(gpt(128, 4, 3), (8, 128), VOCABULARY),
    "ResNet": Case(resnet(16, 32, 64), (16, 3, 32, 32)),
}


def drawn(seed: int) -> Case:
    """A random model of one of these kinds, of random sizes."""
    draw = random.Random(seed)
    optimizer = draw.choice(("SGD", "Adam", "AdamW", "momentum"))
    batch = draw.randint(3, 100)
    kind = draw.choice(("mlp", "mlp", "convolutions", "gpt", "lstm", "vae"))
    if kind == "mlp":
        width = draw.randint(20, 700)
        inner = [draw.randint(50, 1500) for _ in range(draw.randint(1, 4))]
        activation = draw.choice(("ReLU", "Tanh", "GELU", "SiLU"))
        return Case(mlp(width, *inner, width, activation=activation), (8 * batch, width), optimizer=optimizer)
    if kind == "convolutions":
        channels = [draw.randint(1, 4), *(draw.randint(8, 90) for _ in range(draw.randint(1, 3)))]
        shape = (batch // 4 + 1, channels[0], draw.randint(16, 60), draw.randint(16, 60))
        return Case(convolutions(*channels), shape, optimizer=optimizer)
    if kind == "gpt":
        heads = draw.choice((1, 2, 3, 4))
        shape = (batch // 8 + 1, draw.randint(20, 200))
        return Case(gpt(heads * draw.randint(8, 50), heads, draw.randint(1, 4)), shape, VOCABULARY, optimizer)
    if kind == "lstm":
        width = draw.randint(8, 100)
        return Case(lstm(width, draw.randint(20, 200)), (batch, draw.randint(8, 80), width), optimizer=optimizer)
    width = draw.randint(100, 1000)
    return Case(vae(width, draw.randint(50, 900), draw.randint(2, 60)), (8 * batch, width), optimizer=optimizer)
