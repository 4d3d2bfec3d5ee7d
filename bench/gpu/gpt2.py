"""Training steps of GPT-2 124M: AdamW on weights of float32, arithmetic in bfloat16.

Radford et al., "Language models are unsupervised multitask learners", 2019.  Both sides have the same weights, tokens
and formulas; torch's is compiled and its optimiser fused.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.gpu.lab import DEVICE, Lab
from bench.gpu.table import Row
from bench.gpu.timing import best, recorded, seconds_of, torch_elapsed
from kernelforge import Context, Tensor, dtypes, optim

RATE = 3e-4
COMPARED = 3  # steps whose losses are compared


@dataclass(frozen=True)
class Sizes:
    """A model and a batch of it."""

    batch: int = 16
    length: int = 1024
    width: int = 768
    heads: int = 12
    layers: int = 12
    words: int = 50_304

    @staticmethod
    def tiny() -> "Sizes":
        return Sizes(2, 8, 16, 2, 1, 24)

    @property
    def flops(self) -> float:
        """Of a step: six operations a weight and token, and attention's products."""
        weights = self.layers * 12 * self.width**2 + self.words * self.width
        tokens = self.batch * self.length
        return tokens * (6 * weights + 6 * self.layers * self.length * self.width)

    def weights(self) -> dict[str, NDArray]:
        """Initial values by name; vectors called scale are ones, other vectors zeros."""
        d, random = self.width, np.random.default_rng(0)
        shapes: dict[str, tuple[int, ...]] = {"words": (self.words, d), "places": (self.length, d)}
        for n in range(self.layers):
            shapes |= {f"{n}.first.scale": (d,), f"{n}.first.bias": (d,)}
            shapes |= {f"{n}.qkv": (d, 3 * d), f"{n}.qkv.bias": (3 * d,)}
            shapes |= {f"{n}.join": (d, d), f"{n}.join.bias": (d,), f"{n}.second.scale": (d,), f"{n}.second.bias": (d,)}
            shapes |= {f"{n}.wide": (d, 4 * d), f"{n}.wide.bias": (4 * d,)}
            shapes |= {f"{n}.narrow": (4 * d, d), f"{n}.narrow.bias": (d,)}
        shapes |= {"last.scale": (d,), "last.bias": (d,)}
        return {
            name: random.standard_normal(shape, np.float32) * np.float32(0.02)
            if len(shape) > 1
            else np.full(shape, name.endswith("scale"), np.float32)
            for name, shape in shapes.items()
        }

    def tokens(self) -> tuple[NDArray, NDArray]:
        """What is read and what is to be said."""
        text = np.random.default_rng(1).integers(0, self.words, (self.batch, self.length + 1)).astype(np.int32)
        return text[:, :-1].copy(), text[:, 1:].reshape(-1).copy()


# ------------------------------------------------------------------------------------------------------------ ours


class Trainer:
    """Our model with its optimiser."""

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self.p = {name: Tensor(w, device=DEVICE, requires_grad=True) for name, w in sizes.weights().items()}
        self.adam = optim.AdamW(list(self.p.values()), lr=RATE, betas=(0.9, 0.95), weight_decay=0.1)
        self.read, self.said = (Tensor(tokens, device=DEVICE) for tokens in sizes.tokens())

    def linear(self, x: Tensor, name: str) -> Tensor:
        return x @ self.p[name].cast(dtypes.bfloat16) + self.p[f"{name}.bias"].cast(dtypes.bfloat16)

    def norm(self, x: Tensor, name: str) -> Tensor:
        normed = x.cast(dtypes.float32).layernorm() * self.p[f"{name}.scale"] + self.p[f"{name}.bias"]
        return normed.cast(dtypes.bfloat16)

    def loss(self) -> Tensor:
        """The mean cross entropy of the next token."""
        s = self.sizes
        words = self.p["words"].cast(dtypes.bfloat16)
        x = words[self.read] + self.p["places"].cast(dtypes.bfloat16)
        for n in range(s.layers):
            parts = self.linear(self.norm(x, f"{n}.first"), f"{n}.qkv")
            q, k, v = parts.reshape(s.batch, s.length, 3, s.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
            seen = q.scaled_dot_product_attention(k, v, is_causal=True)
            x = x + self.linear(seen.transpose(1, 2).reshape(s.batch, s.length, s.width), f"{n}.join")
            x = x + self.linear(self.linear(self.norm(x, f"{n}.second"), f"{n}.wide").gelu(), f"{n}.narrow")
        logits = self.norm(x, "last").reshape(-1, s.width) @ words.transpose(0, 1)
        return logits.cast(dtypes.float32).cross_entropy(self.said)

    def step(self) -> Tensor:
        """The loss before one step of the optimiser, which is taken."""
        with Context(TRAINING=1):
            self.adam.zero_grad()
            loss = self.loss()
            loss.backward()
            self.adam.step()
            return loss.detach().realize()


# ---------------------------------------------------------------------------------------------------------- theirs


class TorchTrainer:
    """torch's model with its optimiser."""

    def __init__(self, sizes: Sizes, torch: Any, place: str) -> None:
        self.sizes, self.torch, self.f = sizes, torch, torch.nn.functional
        self.p = {name: torch.from_numpy(w).to(place).requires_grad_() for name, w in sizes.weights().items()}
        self.adam = torch.optim.AdamW(
            list(self.p.values()), lr=RATE, betas=(0.9, 0.95), weight_decay=0.1, fused=True
        )
        self.read, self.said = (torch.from_numpy(tokens).long().to(place) for tokens in sizes.tokens())
        self.compiled = torch.compile(self.loss, dynamic=False)

    def linear(self, x: Any, name: str) -> Any:
        return x @ self.p[name].bfloat16() + self.p[f"{name}.bias"].bfloat16()

    def norm(self, x: Any, name: str) -> Any:
        scale, bias = self.p[f"{name}.scale"], self.p[f"{name}.bias"]
        return self.f.layer_norm(x.float(), (self.sizes.width,), scale, bias).bfloat16()

    def loss(self) -> Any:
        s = self.sizes
        words = self.p["words"].bfloat16()
        x = self.f.embedding(self.read, words) + self.p["places"].bfloat16()
        for n in range(s.layers):
            parts = self.linear(self.norm(x, f"{n}.first"), f"{n}.qkv")
            q, k, v = parts.reshape(s.batch, s.length, 3, s.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
            seen = self.f.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.linear(seen.transpose(1, 2).reshape(s.batch, s.length, s.width), f"{n}.join")
            hidden = self.f.gelu(self.linear(self.norm(x, f"{n}.second"), f"{n}.wide"), approximate="tanh")
            x = x + self.linear(hidden, f"{n}.narrow")
        logits = self.norm(x, "last").reshape(-1, s.width) @ words.transpose(0, 1)
        return self.f.cross_entropy(logits.float(), self.said)

    def step(self) -> Any:
        self.adam.zero_grad(set_to_none=True)
        loss = self.compiled()
        loss.backward()
        self.adam.step()
        return loss.detach()


def training(lab: Lab, section: str) -> None:
    """Steps as they come, and one as a CUDA graph."""
    sizes = Sizes.tiny() if lab.small else Sizes()
    name = f"GPT-2, {sizes.batch} x {sizes.length} tokens, a step"
    row, kernels = (Row(section, text, flops=sizes.flops) for text in (name, "the same, its kernels as one graph"))
    losses = _ours(lab, sizes, row, kernels)
    lab.runtime.pool.clear()
    lab.results.keep(row)
    lab.results.keep(kernels)
    if lab.torch is not None and lab.left > 60:
        other = TorchTrainer(sizes, lab.torch, lab.place)
        peers = [float(other.step()) for _ in range(COMPARED)]
        row.theirs = kernels.theirs = best(lambda times: torch_elapsed(lab.torch, other.step, times))
        row.peer = kernels.peer = "torch.compile"
        row.error = max(abs(a - b) / b for a, b in zip(losses, peers))
    lab.results.add(row)
    lab.results.add(kernels)


def _ours(lab: Lab, sizes: Sizes, row: Row, kernels: Row) -> list[float]:
    """The first losses; fills the rows."""
    trainer, runtime = Trainer(sizes), lab.runtime
    losses = [float(trainer.step().item()) for _ in range(COMPARED)]

    def steps(times: int) -> None:
        for _ in range(times):
            trainer.step()

    row.ours = best(lambda times: runtime.elapsed(lambda: steps(times)))
    with recorded(runtime) as launches:
        trainer.step()
    kernels.ours = seconds_of(runtime, launches)
    with Context(GRAPHS=1):
        steps(3)
        graphs = best(lambda times: runtime.elapsed(lambda: steps(times)))
    kernels.note = f"a step with KF_GRAPHS=1: {graphs * 1e3:.3f} ms"
    rate = sizes.batch * sizes.length / row.ours
    row.note = f"{rate:,.0f} tokens/s, {len(launches)} kernels, losses {', '.join(f'{loss:.4f}' for loss in losses)}"
    return losses
