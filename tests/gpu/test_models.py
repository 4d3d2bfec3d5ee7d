"""Small models trained for a few steps on a GPU: losses and parameters follow those of the interpreter."""

from collections.abc import Callable

import numpy as np
import pytest

from kernelforge import Context, Tensor, dtypes, nn, optim
from kernelforge.nn import Module

pytestmark = pytest.mark.gpu

WORDS, WIDTH, LENGTH = 61, 48, 20


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng((seed, *shape)).standard_normal(shape).astype(np.float32)


class Block(Module):
    """A transformer's block: causal attention and a perceptron, each normalised and added."""

    def __init__(self, kind: object) -> None:
        super().__init__()
        self.kind = kind
        self.attend = nn.MultiheadAttention(WIDTH, 4, batch_first=True)
        self.first, self.second = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.widen, self.narrow = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        mask = Tensor(np.triu(np.ones((LENGTH, LENGTH), bool), 1))
        normed = self.first(x)
        x = x + self.attend(normed, normed, normed, attn_mask=mask, need_weights=False)[0]
        return x + self.narrow(self.widen(self.second(x)).gelu())


class Language(Module):
    """Token numbers [batch, LENGTH] -> logits [batch, LENGTH, WORDS]; blocks work on values of the given type."""

    def __init__(self, kind: object = dtypes.float32) -> None:
        super().__init__()
        self.kind = kind
        self.words, self.places = nn.Embedding(WORDS, WIDTH), nn.Embedding(LENGTH, WIDTH)
        self.blocks = nn.Sequential(Block(kind), Block(kind))
        self.head = nn.Linear(WIDTH, WORDS)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.words(tokens) + self.places(Tensor.arange(LENGTH))
        return self.head(self.blocks(x.cast(self.kind).cast(dtypes.float32)))


class Pictures(Module):
    """Images [batch, 3, 16, 16] -> logits [batch, 10]."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.GroupNorm(4, 32), nn.SiLU(), nn.Flatten(),
            nn.Linear(32 * 16, 10),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def language(kind: object = dtypes.float32) -> list[Tensor]:
    tokens = np.random.default_rng(1).integers(0, WORDS, (3, LENGTH + 1)).astype(np.int32)
    return trained(Language(kind), Tensor(tokens[:, :-1]), Tensor(tokens[:, 1:].reshape(-1)))


def pictures() -> list[Tensor]:
    return trained(Pictures(), Tensor(numbers(8, 3, 16, 16)), Tensor((np.arange(8) % 10).astype(np.int32)))


def trained(model: Module, x: Tensor, wanted: Tensor, steps: int = 4) -> list[Tensor]:
    """The losses of some steps, and the parameters afterwards."""
    for seed, parameter in enumerate(model.parameters()):
        fan = parameter.shape[-1] if parameter.ndim > 1 else 100
        parameter.assign(Tensor(numbers(*parameter.shape, seed=seed) / np.float32(fan**0.5)))
    step = optim.AdamW(model.parameters(), lr=1e-3)
    losses = []
    with Context(TRAINING=1):
        for _ in range(steps):
            step.zero_grad()
            logits = model(x)
            loss = logits.reshape(-1, logits.shape[-1]).cross_entropy(wanted)
            loss.backward()
            step.step()
            losses.append(loss.detach().realize())
    return [*losses, *model.parameters()]


def narrow() -> list[Tensor]:
    return language(dtypes.bfloat16)


@pytest.mark.parametrize(("model", "tolerance"), [(language, 2e-3), (narrow, 5e-2), (pictures, 2e-3)])
def test_training_follows_the_interpreter(model: Callable[[], list[Tensor]], tolerance: float) -> None:
    results = []
    for name in ("CUDA", "NUMPY"):
        with Context(DEVICE=name):
            results.append([t.numpy() for t in model()])
    losses = [float(found) for found in results[0][:4]]
    assert losses[-1] < losses[0]
    for found, expected in zip(*results, strict=True):
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())
