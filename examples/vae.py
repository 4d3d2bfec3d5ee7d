"""Invent handwritten digits: a variational autoencoder, with pictures of what it makes.

    pip install 'kernelforge[cpu,examples]'
    python examples/vae.py [--epochs 60] [--seed 0] [--pictures FOLDER]

It learns to describe each 8 x 8 digit by 8 numbers, drawn from a normal distribution, and to draw the digit again from
them. Afterwards it draws digits from random numbers. Writes `again.png`, digits and their reconstructions side by side,
and `invented.png`.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from tqdm import tqdm

from kernelforge import Tensor, jit, nn
from kernelforge.data import DataLoader, TensorDataset, random_split
from kernelforge.nn import optim

NUMBERS = 8


class VAE(nn.Module):
    """Digits [n, 64] -> distributions over [n, 8] -> digits."""

    def __init__(self, width: int = 256) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.mean, self.spread = nn.Linear(width, NUMBERS), nn.Linear(width, NUMBERS)
        self.decoder = nn.Sequential(
            nn.Linear(NUMBERS, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 64)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The digits drawn again, as logits; mean and logarithm of the variance of their numbers."""
        y = self.encoder(x)
        mean, spread = self.mean(y), self.spread(y)
        return self.decoder(mean + (spread / 2).exp() * Tensor.randn(*mean.shape)), mean, spread

    def loss(self, x: Tensor) -> Tensor:
        """What a digit costs to describe, in nats: what is drawn wrong, and what the numbers say beyond chance."""
        again, mean, spread = self(x)
        wrong = again.binary_crossentropy_logits(x, reduction="sum")
        said = 0.5 * (mean**2 + spread.exp() - spread - 1).sum()
        return (wrong + said) / x.shape[0]

    def drawn_again(self, x: Tensor) -> Tensor:
        """Each digit as the mean of its numbers draws it."""
        return self.decoder(self.mean(self.encoder(x))).sigmoid()

    def invented(self, count: int) -> Tensor:
        """Digits from random numbers."""
        return self.decoder(Tensor.randn(count, NUMBERS)).sigmoid()


def digits(seed: int) -> list[np.ndarray]:
    """Digits to learn from and others, [n, 64] from 0 to 1."""
    images = (load_digits().data / 16).astype(np.float32)
    return [images[part.indices] for part in random_split(images, [0.8, 0.2], generator=seed)]


def train(model: VAE, images: np.ndarray, epochs: int, seed: int = 0) -> None:
    """Train in place."""
    loader = DataLoader(TensorDataset(images), 64, shuffle=True, drop_last=True, generator=seed)
    optimizer = optim.Adam(model.parameters(), lr=2e-3)
    schedule = optim.CosineAnnealingLR(optimizer, T_max=epochs)

    @jit
    def step(x: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = model.loss(x)
        loss.backward()
        optimizer.step()
        return loss

    with Tensor.train(), tqdm(total=epochs, unit="epoch") as progress:
        for _ in range(epochs):
            for (x,) in loader:
                loss = step(x)
            schedule.step()
            progress.update()
            progress.set_description(f"loss {loss.item():.2f}")


def picture(rows: np.ndarray, path: Path, scale: int = 6) -> None:
    """Write digits [rows, columns, 64] as one image."""
    tall, wide = rows.shape[:2]
    tiles = np.pad(rows.reshape(tall, wide, 8, 8), ((0, 0), (0, 0), (1, 1), (1, 1)))
    grey = (255 - 255 * tiles.transpose(0, 2, 1, 3).reshape(tall * 10, wide * 10)).astype(np.uint8)
    Image.fromarray(grey.repeat(scale, 0).repeat(scale, 1)).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description="Invent handwritten digits.")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pictures", type=Path, help="folder for the pictures (default: a new temporary folder)")
    options = parser.parse_args()
    folder = options.pictures or Path(tempfile.mkdtemp(prefix="vae-"))
    Tensor.manual_seed(options.seed)
    seen, others = digits(options.seed)
    model = VAE()
    train(model, seen, options.epochs, options.seed)
    again = model.drawn_again(Tensor(others)).numpy()
    picture(np.stack([others[:48].reshape(3, 16, 64), again[:48].reshape(3, 16, 64)], 1).reshape(6, 16, 64),
            folder / "again.png")  # fmt: skip
    picture(model.invented(96).numpy().reshape(6, 16, 64), folder / "invented.png")
    blank = np.abs(others - seen.mean(0)).mean()
    print(f"error of a pixel  {np.abs(others - again).mean():.3f}; {blank:.3f} if every digit is drawn as their mean")
    print(f"pictures          {folder}")


if __name__ == "__main__":
    main()
