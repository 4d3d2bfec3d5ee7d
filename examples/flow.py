"""Draw handwritten digits from noise: flow matching, with a picture of every step on the way.

    pip install 'kernelforge[cpu,examples]'
    python -m examples.flow [--epochs 120] [--seed 0] [--pictures FOLDER]

A network learns where each point of a straight line from noise to a digit is heading, given which digit it is; to draw
one, noise follows what the network says in small steps. A classifier that has never seen a drawn digit then reads them.
Writes `drawn.png`, a column for each digit, and `way.png`, a digit of each kind on its way from noise.

source  Y. Lipman et al., "Flow matching for generative modeling", 2023
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier
from tqdm import tqdm

from examples.vae import picture
from kernelforge import Tensor, nn
from kernelforge.data import DataLoader, TensorDataset
from kernelforge.nn import optim

KINDS, PIXELS, STEPS = 10, 64, 24


class Flow(nn.Module):
    """Points [n, 64] at times [n, 1] on their way to given digits [n] -> the directions they are heading in."""

    def __init__(self, width: int = 256) -> None:
        super().__init__()
        self.kinds = nn.Embedding(KINDS, width)
        self.times, self.points = nn.Linear(8, width), nn.Linear(PIXELS, width)
        self.middle = nn.ModuleList(nn.Sequential(nn.Linear(width, width), nn.SiLU()) for _ in range(3))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.out = nn.Linear(width, PIXELS)

    def forward(self, x: Tensor, time: Tensor, kind: Tensor) -> Tensor:
        """The directions."""
        angles = time * Tensor([[1.0, 2.0, 4.0, 8.0]]) * np.pi
        known = self.kinds(kind) + self.times(angles.sin().cat(angles.cos(), dim=1))
        y = (self.points(x) + known).silu()
        for layer, norm in zip(self.middle, self.norms):
            y = y + layer(norm(y) + known)
        return self.out(y)

    def loss(self, x: Tensor, kind: Tensor) -> Tensor:
        """How far directions are from the ways that lead from noise to the digits."""
        noise, time = Tensor.randn(*x.shape), Tensor.rand(x.shape[0], 1)
        return (self(noise + (x - noise) * time, time, kind) - (x - noise)).square().mean()

    def drawn(self, kind: Tensor) -> list[Tensor]:
        """Digits of the given kinds, from noise on, after each step."""
        x, found = Tensor.randn(kind.shape[0], PIXELS), []
        for i in range(STEPS):
            time = Tensor.full((kind.shape[0], 1), i / STEPS)
            half = x + self(x, time, kind) * (0.5 / STEPS)
            x = (x + self(half, time + 0.5 / STEPS, kind) * (1 / STEPS)).realize()
            found.append(x)
        return found


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Digits [n, 64] from -1 to 1, and which they are."""
    data = load_digits()
    return (data.data / 8 - 1).astype(np.float32), data.target


def train(model: Flow, images: np.ndarray, kinds: np.ndarray, epochs: int, seed: int = 0) -> float:
    """Train in place; the loss of the last epoch."""
    loader = DataLoader(TensorDataset(images, kinds), 128, shuffle=True, drop_last=True, generator=seed)
    optimizer = optim.AdamW(model.parameters(), lr=2e-3)
    schedule = optim.CosineAnnealingLR(optimizer, T_max=epochs)
    with tqdm(total=epochs, unit="epoch") as progress:
        for _ in range(epochs):
            losses = []
            for x, kind in loader:
                optimizer.zero_grad()
                loss = model.loss(x, kind)
                loss.backward()
                optimizer.step()
                losses.append(loss.detach())
            schedule.step()
            mean = Tensor.stack(*losses).mean().item()
            progress.update()
            progress.set_description(f"loss {mean:.3f}")
    return mean


def read(images: np.ndarray, kinds: np.ndarray, drawn: np.ndarray, asked: np.ndarray) -> float:
    """The share of drawn digits whose three nearest real ones are mostly of the kind that was asked for."""
    return float(KNeighborsClassifier(3).fit(images, kinds).score(drawn, asked))


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw handwritten digits from noise.")
    parser.add_argument("--epochs", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pictures", type=Path, help="folder for the pictures (default: a new temporary folder)")
    options = parser.parse_args()
    folder = options.pictures or Path(tempfile.mkdtemp(prefix="flow-"))
    Tensor.manual_seed(options.seed)
    images, kinds = digits()
    model = Flow()
    train(model, images, kinds, options.epochs, options.seed)
    asked = np.tile(np.arange(KINDS), 30)
    way = [np.clip(x.numpy() / 2 + 0.5, 0, 1) for x in model.drawn(Tensor(asked))]
    picture(way[-1][: 6 * KINDS].reshape(6, KINDS, PIXELS), folder / "drawn.png")
    picture(np.stack([x[:KINDS] for x in way[:: STEPS // 6] + way[-1:]], 0), folder / "way.png")
    share = read(images, kinds, 2 * way[-1] - 1, asked)
    print(f"read as asked for  {share:.1%} of {len(asked)} digits drawn from noise")
    print(f"pictures           {folder}")


if __name__ == "__main__":
    main()
