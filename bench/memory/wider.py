"""More models with a loss, each with an answer of its own for inference; written once, as those of `models`.

Comes in: a library's `nn` and its functional module.  Goes out: modules whose `answer` is what a user of the trained
model asks for, and whose call is the loss of it.
"""

import random
from collections.abc import Callable
from importlib import import_module
from itertools import pairwise
from typing import Any

from bench.memory.models import CASES, VOCABULARY, Case, drawn, module_of

INFERENCE = " (inference)"

Make = Callable[[Any, Any], Any]


def _next_token(functional: Any, logits: Any, tokens: Any) -> Any:
    """What is lost where each token is to foretell the next."""
    return functional.cross_entropy(logits[:, :-1].reshape(-1, VOCABULARY), tokens[:, 1:].reshape(-1))


def _heads(x: Any, heads: int) -> Any:
    batch, length, width = x.shape
    return x.reshape(batch, length, heads, width // heads).transpose(1, 2)


def _beside(x: Any, y: Any) -> Any:
    """The channels of both."""
    library = import_module(type(x).__module__.partition(".")[0])
    return library.cat([x, y], 1)


def _attending(nn: Any, functional: Any, width: int, heads: int, causal: bool) -> Any:
    """Attention of one sequence to another, or itself, with its four products."""
    parts = {name: nn.Linear(width, width) for name in ("q", "k", "v", "o")}

    def forward(m: Any, x: Any, other: Any) -> Any:
        q, k, v = _heads(m.q(x), heads), _heads(m.k(other), heads), _heads(m.v(other), heads)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=causal)
        return m.o(mixed.transpose(1, 2).reshape(x.shape))

    return module_of(nn, parts, forward)


def _dense(nn: Any, width: int, inner: int) -> Any:
    return nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width))


def unet(*widths: int) -> Make:
    """Convolutions down to smaller planes and up again, each level beside what it was on the way down; it gives back
    its input."""

    def level(nn: Any, before: int, after: int) -> Any:
        layers = [nn.Conv2d(before, after, 3, padding=1), nn.GroupNorm(1, after), nn.SiLU()]
        return nn.Sequential(*layers, nn.Conv2d(after, after, 3, padding=1), nn.SiLU())

    def make(nn: Any, functional: Any) -> Any:
        pairs = list(pairwise(widths))
        parts = {
            "down": nn.ModuleList([level(nn, *pair) for pair in pairs]), "pool": nn.MaxPool2d(2),
            "up": nn.ModuleList([nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in reversed(pairs[1:])]),
            "join": nn.ModuleList([level(nn, 2 * a, a) for a, _ in reversed(pairs[1:])]),
            "last": nn.Conv2d(widths[1], widths[0], 1),
        }  # fmt: skip

        def answer(m: Any, x: Any) -> Any:
            kept = []
            for i, down in enumerate(m.down):
                x = down(m.pool(x) if i else x)
                kept.append(x)
            kept.pop()
            for up, join in zip(m.up, m.join):
                x = up(x)
                x = join(_beside(kept.pop(), x))
            return m.last(x)

        return module_of(nn, parts, lambda m, x: (m.answer(x) - x).square().mean(), answer)

    return make


def vit(channels: int, patch: int, width: int, heads: int, depth: int, classes: int) -> Make:
    """Transformer blocks over an image's patches, and the mean of what comes out."""

    def block(nn: Any, functional: Any) -> Any:
        parts = {
            "n": nn.LayerNorm(width), "mix": _attending(nn, functional, width, heads, False),
            "k": nn.LayerNorm(width), "dense": _dense(nn, width, 4 * width),
        }  # fmt: skip

        def forward(m: Any, x: Any) -> Any:
            y = m.n(x)
            x = x + m.mix(y, y)
            return x + m.dense(m.k(x))

        return module_of(nn, parts, forward)

    def make(nn: Any, functional: Any) -> Any:
        parts = {
            "patches": nn.Conv2d(channels, width, patch, stride=patch),
            "blocks": nn.Sequential(*(block(nn, functional) for _ in range(depth))),
            "norm": nn.LayerNorm(width), "last": nn.Linear(width, classes),
        }  # fmt: skip

        def answer(m: Any, x: Any) -> Any:
            x = m.patches(x).flatten(2).transpose(1, 2)
            return m.last(m.norm(m.blocks(x)).mean(1))

        return module_of(nn, parts, lambda m, x: m.answer(x).square().mean(), answer)

    return make


def translator(width: int, heads: int, depth: int) -> Make:
    """An encoder of tokens, and a decoder that attends to it and foretells them."""

    def block(nn: Any, functional: Any, decodes: bool) -> Any:
        parts = {
            "n": nn.LayerNorm(width), "own": _attending(nn, functional, width, heads, decodes),
            "k": nn.LayerNorm(width), "dense": _dense(nn, width, 4 * width),
        }  # fmt: skip
        if decodes:
            parts |= {"l": nn.LayerNorm(width), "cross": _attending(nn, functional, width, heads, False)}

        def forward(m: Any, x: Any, other: Any) -> Any:
            y = m.n(x)
            x = x + m.own(y, y)
            if decodes:
                x = x + m.cross(m.l(x), other)
            return x + m.dense(m.k(x))

        return module_of(nn, parts, forward)

    def make(nn: Any, functional: Any) -> Any:
        parts = {
            "tokens": nn.Embedding(VOCABULARY, width), "last": nn.Linear(width, VOCABULARY),
            "reads": nn.ModuleList([block(nn, functional, False) for _ in range(depth)]),
            "writes": nn.ModuleList([block(nn, functional, True) for _ in range(depth)]),
        }  # fmt: skip

        def answer(m: Any, x: Any) -> Any:
            read = written = m.tokens(x)
            for each in m.reads:
                read = each(read, read)
            for each in m.writes:
                written = each(written, read)
            return m.last(written)

        return module_of(nn, parts, lambda m, x: _next_token(functional, m.answer(x), x), answer)

    return make


def picture_vae(channels: int, *widths: int, code: int) -> Make:
    """A variational autoencoder of strided convolutions, and transposed ones on the way back; the noise is 1."""

    def make(nn: Any, _: Any) -> Any:
        pairs = list(pairwise((channels, *widths)))
        down = [layer for a, b in pairs for layer in (nn.Conv2d(a, b, 4, 2, 1), nn.BatchNorm2d(b), nn.ReLU())]
        up = [layer for a, b in reversed(pairs) for layer in (nn.ConvTranspose2d(b, a, 4, 2, 1), nn.ReLU())]
        parts = {
            "down": nn.Sequential(*down), "mean": nn.Conv2d(widths[-1], code, 1), "log": nn.Conv2d(widths[-1], code, 1),
            "begin": nn.Conv2d(code, widths[-1], 1), "up": nn.Sequential(*up[:-1]),
        }  # fmt: skip

        def forward(m: Any, x: Any) -> Any:
            h = m.down(x)
            mean, log = m.mean(h), m.log(h)
            again = m.up(m.begin(mean + (log * 0.5).exp()))
            return (again - x).square().mean() - (1 + log - mean.square() - log.exp()).mean()

        return module_of(nn, parts, forward, lambda m, x: m.up(m.begin(m.mean(m.down(x)))).sigmoid())

    return make


def mixer(channels: int, patch: int, places: int, width: int, depth: int) -> Make:
    """Dense layers along the places of patches and along their features, in turn."""

    def block(nn: Any) -> Any:
        parts = {
            "n": nn.LayerNorm(width), "along": _dense(nn, places, 2 * places),
            "k": nn.LayerNorm(width), "across": _dense(nn, width, 4 * width),
        }  # fmt: skip

        def forward(m: Any, x: Any) -> Any:
            x = x + m.along(m.n(x).transpose(1, 2)).transpose(1, 2)
            return x + m.across(m.k(x))

        return module_of(nn, parts, forward)

    def make(nn: Any, _: Any) -> Any:
        blocks = nn.Sequential(*(block(nn) for _ in range(depth)))
        parts = {"patches": nn.Conv2d(channels, width, patch, stride=patch)}
        parts |= {"blocks": blocks, "last": nn.Linear(width, 10)}

        def answer(m: Any, x: Any) -> Any:
            return m.last(m.blocks(m.patches(x).flatten(2).transpose(1, 2)).mean(1))

        return module_of(nn, parts, lambda m, x: m.answer(x).square().mean(), answer)

    return make


def language(width: int, hidden: int, layers: int, kind: str = "GRU") -> Make:
    """A recurrent network that foretells tokens."""

    def make(nn: Any, functional: Any) -> Any:
        parts = {
            "tokens": nn.Embedding(VOCABULARY, width), "last": nn.Linear(hidden, VOCABULARY),
            "walk": getattr(nn, kind)(width, hidden, layers, batch_first=True),
        }  # fmt: skip

        def answer(m: Any, x: Any) -> Any:
            return m.last(m.walk(m.tokens(x))[0])

        return module_of(nn, parts, lambda m, x: _next_token(functional, m.answer(x), x), answer)

    return make


WIDER = {
    f"{name}, {batch}": Case(make, (batch, *shape), high)
    for name, make, shape, many, high in (
        ("U-Net", unet(3, 24, 48, 96), (3, 48, 48), 8, 0),
        ("ViT", vit(3, 8, 96, 4, 3, 10), (3, 64, 64), 16, 0),
        ("encoder and decoder", translator(96, 4, 2), (64,), 12, VOCABULARY),
        ("convolutional VAE", picture_vae(3, 24, 48, 72, code=16), (3, 48, 48), 16, 0),
        ("MLP-Mixer", mixer(3, 8, 64, 96, 3), (3, 64, 64), 16, 0),
        ("recurrent language model", language(80, 160, 2), (48,), 16, VOCABULARY),
    )
    for batch in (1, many)
}


def drawn_wider(seed: int) -> Case:
    """A random one of these models, of random sizes; every third for one example."""
    draw = random.Random(seed)
    kind = draw.choice(("unet", "vit", "translator", "vae", "mixer", "language"))
    batch = 1 if seed % 3 == 0 else draw.randint(2, 20)
    optimizer = draw.choice(("SGD", "Adam", "AdamW", "momentum"))
    channels, heads, depth = draw.randint(1, 4), draw.randint(1, 6), draw.randint(1, 4)
    width = heads * draw.randint(9, 40)
    if kind == "unet":
        widths = [draw.randint(5, 60) for _ in range(draw.randint(2, 3))]
        sides = (8 * draw.randint(2, 8), 8 * draw.randint(2, 8))
        return Case(unet(channels, *widths), (batch, channels, *sides), 0, optimizer)
    if kind == "vae":
        widths = [draw.randint(5, 70) for _ in range(draw.randint(1, 3))]
        sides = (8 * draw.randint(2, 8), 8 * draw.randint(2, 8))
        return Case(picture_vae(channels, *widths, code=draw.randint(2, 30)), (batch, channels, *sides), 0, optimizer)
    if kind in ("vit", "mixer"):
        patch, across = draw.choice((4, 7, 8)), draw.randint(3, 9)
        shape = (batch, channels, across * patch, across * patch)
        if kind == "vit":
            return Case(vit(channels, patch, width, heads, depth, draw.randint(2, 50)), shape, 0, optimizer)
        return Case(mixer(channels, patch, across * across, width, depth), shape, 0, optimizer)
    length = draw.randint(10, 100)
    if kind == "translator":
        return Case(translator(width, heads, depth), (batch, length), VOCABULARY, optimizer)
    made = language(width, draw.randint(20, 300), draw.randint(1, 3), draw.choice(("GRU", "LSTM", "RNN")))
    return Case(made, (batch, length), VOCABULARY, optimizer)


def case_of(name: str) -> Case:
    """The model of a name: one of CASES or WIDER, "random N" or "wider N", which is trained, or with " (inference)"
    behind it asked."""
    plain = name.removesuffix(INFERENCE)
    known = {**CASES, **WIDER}
    if plain in known:
        case = known[plain]
    else:
        kind, number = plain.split()
        case = {"random": drawn, "wider": drawn_wider}[kind](int(number))
    return case._replace(trains=plain == name)
