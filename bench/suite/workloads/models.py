"""Models: inference of ResNet-18; decoding a token; training steps of a GPT, an MLP and a small convolutional network;
a bare AdamW step.

A model is a function of its parameters, a dictionary from names to arrays; weights are random.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.suite.workload import Random, Step, Workload

Shapes = dict[str, tuple[int, ...]]


def drawn(shapes: Shapes, random: Random) -> dict[str, NDArray]:
    """Arrays whose products keep the size of what they multiply; vectors called scale are ones, others zeros."""
    found = {}
    for name, shape in shapes.items():
        if len(shape) > 1:
            inputs = shape[0] if len(shape) == 2 else math.prod(shape[1:])
            found[name] = random.standard_normal(shape, np.float32) * np.float32(inputs**-0.5)
        else:
            found[name] = np.full(shape, name.endswith("scale"), np.float32)
    return found


# ResNet-18 --------------------------------------------------------------------------------------------------------

STAGES = [(64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)]  # channels, stride of a block


def normed(shapes: Shapes, name: str, channels: int) -> None:
    shapes |= {f"{name}.{part}": (channels,) for part in ("scale", "bias", "mean", "var.scale")}


def resnet_shapes() -> Shapes:
    shapes: Shapes = {"stem": (64, 3, 7, 7)}
    normed(shapes, "stem", 64)
    channels = 64
    for number, (outputs, stride) in enumerate(STAGES):
        for part, size in ((f"{number}.a", channels), (f"{number}.b", outputs)):
            shapes[part] = (outputs, size, 3, 3)
            normed(shapes, part, outputs)
        if stride > 1:
            shapes[f"{number}.skip"] = (outputs, channels, 1, 1)
            normed(shapes, f"{number}.skip", outputs)
        channels = outputs
    return shapes | {"out": (512, 1000), "out.bias": (1000,)}


def resnet(f: Any, p: Mapping[str, Any], x: Any) -> Any:
    """Images [n, 3, 224, 224] -> logits [n, 1000]."""

    def layer(x: Any, name: str, stride: int, padding: int) -> Any:
        x = f.conv2d(x, p[name], stride=stride, padding=padding)
        return f.batch_norm(x, p[f"{name}.scale"], p[f"{name}.bias"], p[f"{name}.mean"], p[f"{name}.var.scale"])

    x = f.max_pool(f.relu(layer(x, "stem", 2, 3)), 3, 2, 1)
    for number, (_, stride) in enumerate(STAGES):
        skip = layer(x, f"{number}.skip", stride, 0) if f"{number}.skip" in p else x
        x = f.relu(layer(f.relu(layer(x, f"{number}.a", stride, 1)), f"{number}.b", 1, 1) + skip)
    return f.mean(x, (2, 3)) @ p["out"] + p["out.bias"]


def resnet_inference(images: int) -> Workload:
    names = list(resnet_shapes())

    def draw(random: Random) -> list[NDArray]:
        x = random.standard_normal((images, 3, 224, 224), np.float32)
        return [x, *drawn(resnet_shapes(), random).values()]

    return Workload(
        f"ResNet-18 inference, batch {images}",
        "models",
        draw,
        lambda f, x, *weights: resnet(f, dict(zip(names, weights)), x),
        flops=images * 2 * 1.814e9,
    )


# Transformer ------------------------------------------------------------------------------------------------------

WIDTH, LAYERS, HEADS, LENGTH, WORDS = 256, 4, 8, 128, 4096


def gpt_shapes() -> Shapes:
    shapes: Shapes = {"words": (WORDS, WIDTH), "places": (LENGTH, WIDTH)}
    for layer in range(LAYERS):
        for name, outputs, inputs in (
            ("qkv", 3 * WIDTH, WIDTH),
            ("mix", WIDTH, WIDTH),
            ("up", 4 * WIDTH, WIDTH),
            ("down", WIDTH, 4 * WIDTH),
        ):
            shapes |= {f"{layer}.{name}": (inputs, outputs), f"{layer}.{name}.bias": (outputs,)}
        for name in ("before", "between"):
            shapes |= {f"{layer}.{name}.scale": (WIDTH,), f"{layer}.{name}.bias": (WIDTH,)}
    return shapes | {"last.scale": (WIDTH,), "last.bias": (WIDTH,), "head": (WIDTH, WORDS)}


def gpt_logits(f: Any, p: Mapping[str, Any], tokens: Any) -> Any:
    """Tokens [n, LENGTH] -> logits [n * LENGTH, WORDS]."""
    n = tokens.shape[0]

    def linear(x: Any, name: str) -> Any:
        return x @ p[name] + p[f"{name}.bias"]

    def norm(x: Any, name: str) -> Any:
        return f.layer_norm(x, p[f"{name}.scale"], p[f"{name}.bias"])

    x = (f.take(p["words"], tokens) + p["places"]).reshape(n * LENGTH, WIDTH)
    for layer in range(LAYERS):
        qkv = linear(norm(x, f"{layer}.before"), f"{layer}.qkv").reshape(n, LENGTH, 3, HEADS, WIDTH // HEADS)
        qkv = f.transpose(qkv, (2, 0, 3, 1, 4))
        mixed = f.transpose(f.attention(qkv[0], qkv[1], qkv[2], True), (0, 2, 1, 3)).reshape(n * LENGTH, WIDTH)
        x = x + linear(mixed, f"{layer}.mix")
        x = x + linear(f.gelu(linear(norm(x, f"{layer}.between"), f"{layer}.up")), f"{layer}.down")
    return norm(x, "last") @ p["head"]


def gpt_training(sequences: int) -> Step:
    weights = sum(math.prod(shape) for name, shape in gpt_shapes().items() if len(shape) == 2 and name[0] not in "wp")
    scores = LAYERS * 2 * LENGTH * WIDTH / 2  # a token with those before it, two products
    return Step(
        f"GPT training step, {sequences}x{LENGTH} tokens",
        "models",
        lambda random: drawn(gpt_shapes(), random),
        lambda random: [random.integers(0, WORDS, (sequences, LENGTH)).astype(np.int32) for _ in range(2)],
        lambda f, p, tokens, wanted: f.cross_entropy(gpt_logits(f, p, tokens), wanted.reshape(-1)),
        flops=6 * sequences * LENGTH * (weights + scores),
    )


# Decoding ---------------------------------------------------------------------------------------------------------

BROAD, BLOCKS, EARLIER, SPLIT = 768, 4, 1024, 12  # width, layers, tokens in the cache, heads


def decoder_shapes() -> Shapes:
    shapes: Shapes = {}
    for block in range(BLOCKS):
        for name, outputs, inputs in (
            ("qkv", 3 * BROAD, BROAD),
            ("mix", BROAD, BROAD),
            ("up", 4 * BROAD, BROAD),
            ("down", BROAD, 4 * BROAD),
        ):
            shapes |= {f"{block}.{name}": (inputs, outputs), f"{block}.{name}.bias": (outputs,)}
        for name in ("before", "between"):
            shapes |= {f"{block}.{name}.scale": (BROAD,), f"{block}.{name}.bias": (BROAD,)}
    return shapes


def decoded(f: Any, p: Mapping[str, Any], x: Any, keys: Any, values: Any) -> tuple[Any, ...]:
    """A token's state [1, width] -> its state after all layers, and what each layer adds to its cache.

    keys, values  [layers, 1, heads, EARLIER, width / heads]: a layer attends to these
    """
    added = []
    for block in range(BLOCKS):

        def linear(x: Any, name: str, block: int = block) -> Any:
            return x @ p[f"{block}.{name}"] + p[f"{block}.{name}.bias"]

        def norm(x: Any, name: str, block: int = block) -> Any:
            return f.layer_norm(x, p[f"{block}.{name}.scale"], p[f"{block}.{name}.bias"])

        qkv = linear(norm(x, "before"), "qkv").reshape(3, 1, SPLIT, 1, BROAD // SPLIT)
        added += [qkv[1], qkv[2]]
        mixed = f.attention(qkv[0], keys[block], values[block], False).reshape(1, BROAD)
        x = x + linear(mixed, "mix")
        x = x + linear(f.gelu(linear(norm(x, "between"), "up")), "down")
    return x, *added


def decoding() -> Workload:
    names, cache = list(decoder_shapes()), (BLOCKS, 1, SPLIT, EARLIER, BROAD // SPLIT)
    weights = sum(map(math.prod, decoder_shapes().values()))

    def draw(random: Random) -> list[NDArray]:
        shapes = ((1, BROAD), cache, cache)
        drawn_now = [random.standard_normal(shape, np.float32) for shape in shapes]
        return [*drawn_now, *drawn(decoder_shapes(), random).values()]

    return Workload(
        f"decoding a token, {BLOCKS} layers of {BROAD}, cache of {EARLIER}",
        "models",
        draw,
        lambda f, x, keys, values, *p: decoded(f, dict(zip(names, p)), x, keys, values),
        flops=2 * weights + 4 * BLOCKS * EARLIER * BROAD,
        read=4 * (weights + 2 * math.prod(cache)),
    )


# Small networks ---------------------------------------------------------------------------------------------------


def labelled(classes: int, *shape: int):
    """A batch: images of a shape and their classes."""
    return lambda random: [random.random(shape, np.float32), random.integers(0, classes, shape[0]).astype(np.int32)]


def mlp_loss(f: Any, p: Mapping[str, Any], x: Any, labels: Any) -> Any:
    x = f.relu(x @ p["one"] + p["one.bias"])
    x = f.relu(x @ p["two"] + p["two.bias"])
    return f.cross_entropy(x @ p["three"] + p["three.bias"], labels)


def digits_loss(f: Any, p: Mapping[str, Any], x: Any, labels: Any) -> Any:
    """The network of examples/digits.py."""
    x = f.relu(f.batch_norm(f.conv2d(x, p["one"], padding=1), p["one.scale"], p["one.bias"]))
    x = f.relu(f.batch_norm(f.conv2d(x, p["two"], padding=1), p["two.scale"], p["two.bias"]))
    x = f.max_pool(x, 2, 2).reshape(-1, 64 * 4 * 4)
    return f.cross_entropy(x @ p["out"] + p["out.bias"], labels)


MLP: Shapes = {
    "one": (784, 1024),
    "one.bias": (1024,),
    "two": (1024, 1024),
    "two.bias": (1024,),
    "three": (1024, 10),
    "three.bias": (10,),
}
DIGITS: Shapes = {
    "one": (32, 1, 3, 3),
    "one.scale": (32,),
    "one.bias": (32,),
    "two": (64, 32, 3, 3),
    "two.scale": (64,),
    "two.bias": (64,),
    "out": (1024, 10),
    "out.bias": (10,),
}
TRAINABLE = {name: shape for name, shape in resnet_shapes().items() if not name.endswith(("mean", "var.scale"))}

WORKLOADS = [
    resnet_inference(1),
    resnet_inference(8),
    decoding(),
    gpt_training(8),
    Step(
        "MLP training step, batch 256",
        "models",
        lambda random: drawn(MLP, random),
        labelled(10, 256, 784),
        mlp_loss,
        flops=6 * 256 * (784 * 1024 + 1024 * 1024 + 1024 * 10),
    ),
    Step(
        "digits training step, batch 64",
        "models",
        lambda random: drawn(DIGITS, random),
        labelled(10, 64, 1, 8, 8),
        digits_loss,
        flops=6 * 64 * (64 * 9 * (32 + 32 * 64) + 10240),
    ),
    Step(
        "AdamW step, parameters of ResNet-18",
        "models",
        lambda random: drawn(TRAINABLE, random),
        lambda random: list(drawn(TRAINABLE, random).values()),
        None,
        read=16 * sum(map(math.prod, TRAINABLE.values())),
        write=12 * sum(map(math.prod, TRAINABLE.values())),
    ),
]
