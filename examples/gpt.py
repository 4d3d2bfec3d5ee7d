"""Train a small language model on real prose, character by character, and let it write.

    pip install 'kernelforge[cpu,examples]'
    python examples/gpt.py [TEXT FILE] [--steps 1500] [--prompt "The "] [--length 400] [--seed 0]

Without a file the text is Python's own reference, which comes with every Python: 460,000 characters. A tenth of it is
held out. Writing keeps the keys and values of what was read, so each further character costs one step.
"""

import argparse
import math
import time
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
from tqdm import tqdm

from kernelforge import Tensor, nn
from kernelforge.nn import optim


@dataclass(frozen=True)
class Sizes:
    """Sizes of the model."""

    characters: int
    context: int = 96
    width: int = 96
    heads: int = 4
    layers: int = 3


class Cache:
    """The keys and values of the characters read so far, for one layer: room for a whole context."""

    def __init__(self, sizes: Sizes, rows: int) -> None:
        shape = (rows, sizes.heads, sizes.context, sizes.width // sizes.heads)
        self.keys, self.values = Tensor.zeros(*shape).contiguous(), Tensor.zeros(*shape).contiguous()
        self.places = Tensor.arange(sizes.context).reshape(1, 1, -1, 1)

    def extended(self, keys: Tensor, values: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
        """All keys and values, with those of one more character."""
        here = self.places == place
        self.keys, self.values = here.where(keys, self.keys), here.where(values, self.values)
        return self.keys, self.values


class Block(nn.Module):
    """Attention to what came before, then two linear layers at every place."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.heads, width = sizes.heads, sizes.width
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.join = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor, cache: Cache | None = None, place: Tensor | None = None) -> Tensor:
        """x [n, length, width]; with a cache the length is 1, and place says which place of the context it is."""
        n, length, width = x.shape
        parts = self.qkv(self.norm1(x)).reshape(n, length, 3, self.heads, width // self.heads)
        q, k, v = (parts[:, :, i].transpose(1, 2) for i in range(3))
        if cache is None or place is None:
            y = q.scaled_dot_product_attention(k, v, is_causal=True)
        else:
            k, v = cache.extended(k, v, place)
            y = q.scaled_dot_product_attention(k, v, cache.places.reshape(1, 1, 1, -1) <= place)
        x = x + self.join(y.transpose(1, 2).reshape(n, length, width))
        return x + self.down(self.up(self.norm2(x)).gelu())


class GPT(nn.Module):
    """Characters [n, length] -> logits of the next one at every place, [n, length, characters]."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.characters = nn.Embedding(sizes.characters, sizes.width)
        self.places = nn.Embedding(sizes.context, sizes.width)
        self.blocks = nn.ModuleList([Block(sizes) for _ in range(sizes.layers)])
        self.norm = nn.LayerNorm(sizes.width)
        self.out = nn.Linear(sizes.width, sizes.characters)
        for name, parameter in self.named_parameters():
            if name.endswith("weight") and parameter.ndim == 2:
                parameter.assign(Tensor.randn(*parameter.shape) * 0.02)

    def forward(self, text: Tensor) -> Tensor:
        x = self.characters(text) + self.places.weight[: text.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.out(self.norm(x))

    def next(self, character: Tensor, place: Tensor, caches: list[Cache]) -> Tensor:
        """Logits [n, characters] of what follows one more character [n, 1]; computed together with the caches."""
        x = self.characters(character) + self.places(place)
        for block, cache in zip(self.blocks, caches):
            x = block(x, cache, place)
        logits = self.out(self.norm(x)).squeeze(1)
        return logits.realize(*[tensor for cache in caches for tensor in (cache.keys, cache.values)])


class Text:
    """A text as numbers, and back."""

    def __init__(self, text: str) -> None:
        self.alphabet = sorted(set(text))
        self.numbers = {character: i for i, character in enumerate(self.alphabet)}
        whole = self.encoded(text)
        self.training, self.held_out = np.split(whole, [len(whole) * 9 // 10])

    def encoded(self, text: str) -> np.ndarray:
        """Its characters' numbers; unknown ones are left out."""
        return np.array([self.numbers[character] for character in text if character in self.numbers], np.int32)

    def decoded(self, numbers: list[int]) -> str:
        return "".join(self.alphabet[number] for number in numbers)


def batch(text: np.ndarray, count: int, length: int, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Random pieces of a text, and each piece moved by one character."""
    starts = random.integers(0, len(text) - length, (count, 1)) + np.arange(length)
    return Tensor(text[starts]), Tensor(text[starts + 1])


def loss_of(model: GPT, x: Tensor, y: Tensor) -> Tensor:
    """How many nats a character costs on average."""
    return model(x).reshape(-1, model.sizes.characters).cross_entropy(y.reshape(-1))


def train(model: GPT, text: Text, steps: int, rows: int = 16, seed: int = 0) -> list[float]:
    """Train in place; the loss of every tenth step."""
    random = np.random.default_rng(seed)
    optimizer = optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.1)
    losses = []
    with Tensor.train(), tqdm(total=steps, unit="step") as progress:
        for step in range(steps):
            warm, left = min(1.0, (step + 1) / 50), 0.5 * (1 + math.cos(math.pi * step / steps))
            optimizer.lr = 2e-3 * warm * max(left, 0.05)
            optimizer.zero_grad()
            loss = loss_of(model, *batch(text.training, rows, model.sizes.context, random))
            loss.backward()
            optimizer.step()
            progress.update()
            if step % 10 == 0:
                losses.append(loss.item())
                progress.set_description(f"loss {losses[-1]:.3f}")
    return losses


def held_out_loss(model: GPT, text: Text, batches: int = 8) -> float:
    """The loss on text the model has not seen."""
    random = np.random.default_rng(1)
    found = [loss_of(model, *batch(text.held_out, 32, model.sizes.context, random)).item() for _ in range(batches)]
    return sum(found) / batches


def write(model: GPT, start: list[int], length: int, temperature: float = 0.8, seed: int = 0) -> list[int]:
    """Characters that follow a start, drawn one by one; beyond the context it begins again with the last half of it."""
    random, written = np.random.default_rng(seed), list(start)
    caches: list[Cache] = []
    place = model.sizes.context
    for _ in range(length):
        if place >= model.sizes.context:
            caches = [Cache(model.sizes, 1) for _ in model.blocks]
            unread = written[-model.sizes.context // 2 :]
            place = 0
        else:
            unread = written[-1:]
        for character in unread:
            logits = model.next(Tensor([[character]]), Tensor([[place]]), caches).numpy()[0]
            place += 1
        chances = np.exp((logits - logits.max()) / temperature)
        written.append(int(random.choice(len(chances), p=chances / chances.sum())))
    return written


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a small language model, and let it write.")
    parser.add_argument("file", nargs="?", type=Path, help="a text (default: Python's reference)")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--prompt", default="The ")
    parser.add_argument("--length", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    Tensor.manual_seed(options.seed)
    text = Text(options.file.read_text("utf-8") if options.file else "\n".join(topics.values()))
    model = GPT(Sizes(len(text.alphabet)))
    train(model, text, options.steps, seed=options.seed)
    print(f"held-out loss  {held_out_loss(model, text) / math.log(2):.3f} bits a character")
    start = time.perf_counter()
    written = write(model, text.encoded(options.prompt).tolist(), options.length, seed=options.seed)
    seconds = time.perf_counter() - start
    print(f"writing        {options.length / seconds:.0f} characters a second\n\n{text.decoded(written)}")


if __name__ == "__main__":
    main()
