"""Train a small convolutional network on real handwritten digits.

    pip install 'kernelforge[cpu,examples]'
    python examples/digits.py [--epochs 20] [--seed 0] [--workers 0] [--dump FOLDER]

The data are the 1797 images of 8 x 8 pixels that come with scikit-learn; a fifth of them is held out. Prints the
accuracy on those, the time of a training step, and how many kernels a step runs.
"""

import argparse
import time
from contextlib import nullcontext
from statistics import median

import numpy as np
from sklearn.datasets import load_digits
from tqdm import tqdm

from kernelforge import Device, GlobalCounters, Tensor, dump, nn
from kernelforge.data import DataLoader, Dataset, TensorDataset
from kernelforge.nn import optim

BATCH_SIZE = 64


class Shifted(Dataset):
    """Digits, each moved by up to one pixel in either direction: another way every time it is asked for."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, seed: int) -> None:
        self.padded, self.labels = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1))), labels
        self.random = np.random.default_rng(seed)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        down, right = self.random.integers(0, 3, 2)
        return self.padded[index, :, down : down + 8, right : right + 8], int(self.labels[index])

    def __len__(self) -> int:
        return len(self.labels)


class Network(nn.Module):
    """Two convolutions, a halving of the image, one linear layer: [n, 1, 8, 8] -> logits [n, 10]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(1, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32)
        self.conv2, self.norm2 = nn.Conv2d(32, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64)
        self.out = nn.Linear(64 * 4 * 4, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm1(self.conv1(x)).relu()
        x = self.norm2(self.conv2(x)).relu().max_pool2d(2)
        return self.out(x.flatten(1))


def load_data(seed: int) -> tuple[Shifted, TensorDataset]:
    """Training and held-out digits, split at random."""
    digits = load_digits()
    images, labels = (digits.images / 16).astype(np.float32)[:, None], digits.target
    order = np.random.default_rng(seed).permutation(len(labels))
    held_out, training = np.split(order, [len(order) // 5])
    return Shifted(images[training], labels[training], seed), TensorDataset(images[held_out], labels[held_out])


def accuracy(model: Network, loader: DataLoader) -> float:
    """The share of samples whose largest logit is the label's."""
    model.eval()
    right = [(model(x).argmax(1) == y).numpy() for x, y in loader]
    model.train()
    return float(np.concatenate(right).mean())


def train(model: Network, loader: DataLoader, epochs: int) -> tuple[list[float], int]:
    """Train in place; returns the seconds of every step and the number of kernels the last one ran."""
    optimizer = optim.AdamW(model.parameters(), lr=3e-3)
    schedule = optim.CosineAnnealingLR(optimizer, T_max=epochs)
    seconds = []
    with Tensor.train(), tqdm(total=epochs * len(loader), unit="step") as progress:
        for epoch in range(epochs):
            for x, y in loader:
                start, kernels = time.perf_counter(), GlobalCounters.kernel_count
                optimizer.zero_grad()
                loss = model(x).cross_entropy(y, label_smoothing=0.1)
                loss.backward()
                optimizer.step()
                value = loss.item()
                seconds.append(time.perf_counter() - start)
                progress.update()
                progress.set_description(f"epoch {epoch + 1}, loss {value:.3f}")
            schedule.step()
    return seconds, GlobalCounters.kernel_count - kernels


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a small convolutional network on handwritten digits.")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the split, the weights and the order (default 0)")
    parser.add_argument("--workers", type=int, default=0, help="processes that prepare batches (default 0)")
    parser.add_argument("--dump", help="folder for a page that shows what ran, and the sources")
    options = parser.parse_args()

    Tensor.manual_seed(options.seed)
    training, held_out = load_data(options.seed)
    loader = DataLoader(
        training,
        BATCH_SIZE,
        shuffle=True,
        num_workers=options.workers,
        drop_last=True,
        persistent_workers=options.workers > 0,
    )
    model = Network()
    with dump(options.dump) if options.dump else nullcontext():
        seconds, kernels = train(model, loader, options.epochs)
    correct = accuracy(model, DataLoader(held_out, batch_size=len(held_out)))

    print(f"held-out accuracy {correct:.2%} of {len(held_out)} digits")
    print(f"step              {median(seconds[1:]) * 1e3:.1f} ms on {Device.DEFAULT} (the first {seconds[0]:.1f} s)")
    print(f"kernels per step  {kernels}")
    if options.dump:
        print(f"what ran          {options.dump}/index.html")


if __name__ == "__main__":
    main()
