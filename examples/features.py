"""Features made by hand against features that are learnt, on handwritten digits.

    pip install 'kernelforge[cpu,examples]'
    python examples/features.py [--seed 0]

By hand: how dark each quarter of a quarter is, and in which directions edges run there. Learnt: two convolutions. Both
are followed by one linear layer, see the same 1437 digits and are asked about the same 360 others. With few digits to
learn from the hand-made features are ahead; with all of them the learnt ones are.
"""

import argparse

import numpy as np
from sklearn.datasets import load_digits
from tqdm import trange

from kernelforge import Tensor, nn
from kernelforge.nn import optim

DIRECTIONS = 4


def by_hand(images: np.ndarray) -> np.ndarray:
    """Features of images [n, 8, 8]: the mean of each 2 x 2 square, and the edges of each 4 x 4 square by direction."""
    count = len(images)
    darkness = images.reshape(count, 4, 2, 4, 2).mean((2, 4)).reshape(count, -1)
    down, right = np.gradient(images, axis=(1, 2))
    strength, angle = np.hypot(down, right), np.arctan2(down, right) % np.pi
    kind = np.minimum((angle / np.pi * DIRECTIONS).astype(int), DIRECTIONS - 1)
    edges = [(strength * (kind == k)).reshape(count, 2, 4, 2, 4).sum((2, 4)) for k in range(DIRECTIONS)]
    return np.concatenate([darkness, np.stack(edges, 1).reshape(count, -1)], axis=1).astype(np.float32)


def learnt() -> nn.Sequential:
    """Two convolutions that find their own features, and the linear layer behind them."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * 16, 10),
    )  # fmt: skip


def data(seed: int) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Digits to learn from and digits to be asked about: images [n, 8, 8] and labels."""
    digits = load_digits()
    order = np.random.default_rng(seed).permutation(len(digits.target))
    held_out, training = np.split(order, [360])
    images = (digits.images / 16).astype(np.float32)
    return (images[training], digits.target[training]), (images[held_out], digits.target[held_out])


def trained(model: nn.Module, inputs: np.ndarray, labels: np.ndarray, steps: int, seed: int = 0) -> nn.Module:
    """The model, after steps on random batches."""
    random = np.random.default_rng(seed)
    optimizer = optim.AdamW(model.parameters(), lr=5e-3)
    schedule = optim.CosineAnnealingLR(optimizer, T_max=steps)
    for _ in trange(steps, unit="step", leave=False):
        some = random.integers(0, len(labels), 64)
        optimizer.zero_grad()
        model(Tensor(inputs[some])).cross_entropy(Tensor(labels[some])).backward()
        optimizer.step()
        schedule.step()
    return model


def accuracy(model: nn.Module, inputs: np.ndarray, labels: np.ndarray) -> float:
    return float((model(Tensor(inputs)).argmax(1).numpy() == labels).mean())


def compared(count: int, seed: int = 0, steps: int = 500) -> tuple[float, float]:
    """Accuracy with hand-made and with learnt features, having seen `count` digits."""
    Tensor.manual_seed(seed)
    (images, labels), (others, answers) = data(seed)
    images, labels = images[:count], labels[:count]
    mean, spread = by_hand(images).mean(0), by_hand(images).std(0) + 1e-3
    linear = nn.Linear(by_hand(images).shape[1], 10)
    trained(linear, (by_hand(images) - mean) / spread, labels, steps, seed)
    network = trained(learnt(), images[:, None], labels, steps, seed)
    return accuracy(linear, (by_hand(others) - mean) / spread, answers), accuracy(network, others[:, None], answers)


def main() -> None:
    parser = argparse.ArgumentParser(description="Features made by hand against features that are learnt.")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print("digits seen   by hand   learnt")
    for count in (30, 100, 300, 1437):
        hand, network = compared(count, options.seed)
        print(f"{count:11}{hand:10.1%}{network:9.1%}")


if __name__ == "__main__":
    main()
