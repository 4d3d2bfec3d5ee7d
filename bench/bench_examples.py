"""The examples' models beside the same in eager torch: forward passes with published weights, and training steps.

    python -m bench.bench_examples [--rounds 60]

Both are called in turn in one process, with as many threads each, and everything a call needs is part of it.
"""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.measure import THREADS, ratio
from examples import digits, efficientnet, gpt, vae
from kernelforge import Tensor, jit
from kernelforge.nn import optim

Call = Callable[[], Any]


def compared(name: str, ours: Call, theirs: Call, rounds: int) -> None:
    """Print the least time of each, called in turn."""
    for call in (ours, theirs):
        call()
    found = ratio(ours, theirs, rounds)
    print(f"{name:44}{found.ours * 1e3:12.2f}{found.theirs * 1e3:12.2f}{found.times:8.2f}")


def captured(model: Any, loss: Callable[[Tensor], Tensor], rows: np.ndarray) -> Call:
    """A training step of one of our models captured by jit."""
    optimizer = optim.AdamW(model.parameters(), lr=1e-3)

    @jit
    def step(x: Tensor) -> Tensor:
        optimizer.zero_grad()
        value = loss(x)
        value.backward()
        optimizer.step()
        return value

    def call() -> float:
        with Tensor.train():
            return step(Tensor(rows)).item()

    return call


def stepping(model: Any, loss: Callable[[], Tensor]) -> Call:
    """A training step of one of our models."""
    optimizer = optim.AdamW(model.parameters(), lr=1e-3)

    def step() -> float:
        with Tensor.train():
            optimizer.zero_grad()
            value = loss()
            value.backward()
            optimizer.step()
            return value.item()

    return step


def torch_stepping(torch: Any, model: Any, loss: Callable[[], Any]) -> Call:
    """A training step of one of torch's."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def step() -> float:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        optimizer.step()
        return value.item()

    return step


def torch_efficientnet(torch: Any) -> Any:
    """EfficientNet-Lite0 of torch's layers, in the same order as ours."""
    layers = torch.nn

    def conv(channels: int, out: int, kernel: int = 1, stride: int = 1, groups: int = 1, act: bool = True) -> list[Any]:
        pads = (kernel - 1) // 2
        found = [layers.Conv2d(channels, out, kernel, stride, pads, groups=groups, bias=False), layers.BatchNorm2d(out)]
        return [*found, layers.ReLU6()] if act else found

    class Block(layers.Module):
        def __init__(self, channels: int, out: int, expansion: int, kernel: int, stride: int) -> None:
            super().__init__()
            inner = channels * expansion
            parts = conv(channels, inner) if expansion > 1 else []
            parts += conv(inner, inner, kernel, stride, inner) + conv(inner, out, act=False)
            self.parts, self.shortcut = layers.Sequential(*parts), stride == 1 and channels == out

        def forward(self, x: Any) -> Any:
            return x + self.parts(x) if self.shortcut else self.parts(x)

    parts, channels = conv(3, 32, 3, 2), 32
    for expansion, kernel, stride, out, count in efficientnet.STAGES:
        for i in range(count):
            parts.append(Block(channels, out, expansion, kernel, stride if i == 0 else 1))
            channels = out
    parts += [*conv(channels, 1280), layers.AdaptiveAvgPool2d(1), layers.Flatten(), layers.Linear(1280, 1000)]
    return layers.Sequential(*parts).eval()


def torch_gpt(torch: Any, sizes: gpt.Sizes) -> Any:
    """The example's GPT of torch's layers."""
    layers, functional = torch.nn, torch.nn.functional

    class Block(layers.Module):
        def __init__(self) -> None:
            super().__init__()
            width = sizes.width
            self.norm1, self.norm2 = layers.LayerNorm(width), layers.LayerNorm(width)
            self.qkv, self.join = layers.Linear(width, 3 * width), layers.Linear(width, width)
            self.up, self.down = layers.Linear(width, 4 * width), layers.Linear(4 * width, width)

        def forward(self, x: Any) -> Any:
            n, length, width = x.shape
            parts = self.qkv(self.norm1(x)).reshape(n, length, 3, sizes.heads, -1)
            q, k, v = (parts[:, :, i].transpose(1, 2) for i in range(3))
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.join(y.transpose(1, 2).reshape(n, length, width))
            return x + self.down(functional.gelu(self.up(self.norm2(x)), approximate="tanh"))

    class Model(layers.Module):
        def __init__(self) -> None:
            super().__init__()
            self.characters = layers.Embedding(sizes.characters, sizes.width)
            self.places = layers.Embedding(sizes.context, sizes.width)
            self.blocks = layers.Sequential(*(Block() for _ in range(sizes.layers)))
            self.norm, self.out = layers.LayerNorm(sizes.width), layers.Linear(sizes.width, sizes.characters)

        def forward(self, text: Any) -> Any:
            x = self.characters(text) + self.places.weight[: text.shape[1]]
            return self.out(self.norm(self.blocks(x)))

    return Model()


def torch_vae(torch: Any, width: int = 256) -> tuple[Any, Callable[[Any], Any]]:
    """The example's autoencoder of torch's layers, and its loss."""
    layers = torch.nn
    parts = layers.ModuleList([
        layers.Sequential(layers.Linear(64, width), layers.SiLU(), layers.Linear(width, width), layers.SiLU()),
        layers.Linear(width, vae.NUMBERS),
        layers.Linear(width, vae.NUMBERS),
        layers.Sequential(
            layers.Linear(vae.NUMBERS, width), layers.SiLU(), layers.Linear(width, width), layers.SiLU(),
            layers.Linear(width, 64),
        ),
    ])  # fmt: skip

    def loss(x: Any) -> Any:
        y = parts[0](x)
        mean, spread = parts[1](y), parts[2](y)
        again = parts[3](mean + (spread / 2).exp() * torch.randn_like(mean))
        wrong = layers.functional.binary_cross_entropy_with_logits(again, x, reduction="sum")
        return (wrong + 0.5 * (mean**2 + spread.exp() - spread - 1).sum()) / x.shape[0]

    return parts, loss


def torch_digits(torch: Any) -> Any:
    """The example's network of torch's layers."""
    layers = torch.nn
    return layers.Sequential(
        layers.Conv2d(1, 32, 3, padding=1, bias=False), layers.BatchNorm2d(32), layers.ReLU(),
        layers.Conv2d(32, 64, 3, padding=1, bias=False), layers.BatchNorm2d(64), layers.ReLU(),
        layers.MaxPool2d(2), layers.Flatten(), layers.Linear(1024, 10),
    )  # fmt: skip


def forward_passes(torch: Any, rounds: int) -> None:
    for count in (1, 8):
        image = np.random.default_rng(0).random((count, 3, 224, 224), np.float32)
        model, peer = efficientnet.load_model(), torch_efficientnet(torch)
        peer_image = torch.from_numpy(image)

        def ours(model: Any = model, image: Any = image) -> Any:
            return model(Tensor(image)).numpy()

        def theirs(peer: Any = peer, peer_image: Any = peer_image) -> Any:
            with torch.no_grad():
                return peer(peer_image).numpy()

        compared(f"EfficientNet-Lite0, {count} of 224 x 224", ours, theirs, rounds)


def training_steps(torch: Any, rounds: int) -> None:
    random = np.random.default_rng(0)
    images, labels = random.random((64, 1, 8, 8), np.float32), random.integers(0, 10, 64)
    network, peer = digits.Network(), torch_digits(torch)
    theirs = torch_stepping(
        torch, peer, lambda: torch.nn.functional.cross_entropy(peer(torch.from_numpy(images)), torch.from_numpy(labels))
    )
    ours = stepping(network, lambda: network(Tensor(images)).cross_entropy(Tensor(labels)))
    compared("digits, a training step of 64", ours, theirs, rounds)

    sizes = gpt.Sizes(100)
    model, peer_gpt = gpt.GPT(sizes), torch_gpt(torch, sizes)
    text = random.integers(0, 100, (16, sizes.context + 1))
    ours = stepping(model, lambda: gpt.loss_of(model, Tensor(text[:, :-1]), Tensor(text[:, 1:])))
    read, asked = torch.from_numpy(text[:, :-1]), torch.from_numpy(text[:, 1:]).reshape(-1)
    theirs = torch_stepping(
        torch, peer_gpt, lambda: torch.nn.functional.cross_entropy(peer_gpt(read).reshape(-1, 100), asked)
    )
    compared(f"GPT, a training step of 16 x {sizes.context}", ours, theirs, rounds)

    coder, (peer_coder, peer_loss) = vae.VAE(), torch_vae(torch)
    rows = random.random((64, 64), np.float32)
    ours = stepping(coder, lambda: coder.loss(Tensor(rows)))
    theirs = torch_stepping(torch, peer_coder, lambda: peer_loss(torch.from_numpy(rows)))
    compared("VAE, a training step of 64", ours, theirs, rounds)
    compared("VAE, the same captured by jit", captured(coder, coder.loss, rows), theirs, rounds)


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description="The examples' models beside the same in torch.")
    parser.add_argument("--rounds", type=int, default=60, help="of each row (default 60)")
    options = parser.parse_args()
    torch.set_num_threads(THREADS)
    print(f"{'milliseconds':44}{'kernelforge':>12}{'torch':>12}{'times':>8}")
    forward_passes(torch, options.rounds)
    training_steps(torch, options.rounds)


if __name__ == "__main__":
    main()
