"""Recurrent layers beside torch's: forward passes and training steps, with equal weights.

    python -m bench.bench_recurrent [--rounds 10]

Sizes are batch x features x hidden x length, layers; training is a mean of squares, its gradient and a step of SGD.
"""

import argparse
from typing import Any

import numpy as np

from bench.measure import THREADS, ratio
from kernelforge import GlobalCounters, Tensor, nn, no_grad, optim

CASES = (
    ("RNN", 64, 128, 256, 128, {}),
    ("GRU", 64, 128, 256, 128, {}),
    ("LSTM", 64, 128, 256, 32, {}),
    ("LSTM", 64, 128, 256, 128, {}),
    ("LSTM", 64, 128, 256, 256, {}),
    ("LSTM", 128, 64, 256, 64, {}),
    ("LSTM", 64, 128, 256, 64, {"num_layers": 3}),
    ("LSTM", 32, 64, 128, 64, {"num_layers": 2, "bidirectional": True}),
    ("LSTM", 1, 64, 128, 64, {}),
)


def pair(torch: Any, kind: str, features: int, hidden: int, options: dict[str, Any]) -> tuple[Any, Any]:
    """The layer of both libraries, with the same weights."""
    ours, theirs = (getattr(library, kind)(features, hidden, **options) for library in (nn, torch.nn))
    ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    return ours, theirs


def calls(torch: Any, ours: Any, theirs: Any, x: np.ndarray, trains: bool) -> tuple[Any, Any]:
    """A forward pass, or a training step, of both."""
    optimizer, peer = optim.SGD(ours.parameters(), 1e-3), torch.optim.SGD(theirs.parameters(), 1e-3)
    given = torch.from_numpy(x)

    def mine() -> Any:
        if not trains:
            with no_grad():
                return ours(Tensor(x))[0].numpy()
        optimizer.zero_grad()
        loss = ours(Tensor(x))[0].square().mean()
        loss.backward()
        optimizer.step()
        return loss.item()

    def other() -> Any:
        if not trains:
            with torch.no_grad():
                return theirs(given)[0].numpy()
        peer.zero_grad()
        loss = theirs(given)[0].square().mean()
        loss.backward()
        peer.step()
        return loss.item()

    return mine, other


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description="Recurrent layers beside torch's.")
    parser.add_argument("--rounds", type=int, default=10, help="of each row (default 10)")
    options = parser.parse_args()
    torch.set_num_threads(THREADS)
    print(f"{'milliseconds':56}{'kernels':>8}{'kernelforge':>12}{'torch':>10}{'times':>7}")
    for kind, rows, features, hidden, length, extra in CASES:
        x = np.random.default_rng(0).normal(size=(length, rows, features)).astype(np.float32)
        for trains in (False, True):
            mine, other = calls(torch, *pair(torch, kind, features, hidden, extra), x, trains)
            mine()
            before = GlobalCounters.kernel_count
            mine()
            kernels, found = GlobalCounters.kernel_count - before, ratio(mine, other, options.rounds)
            more = "".join(f", {name} {value}" for name, value in extra.items())
            name = f"{kind} {rows} x {features} x {hidden} x {length}{more}{', training' if trains else ''}"
            print(f"{name:56}{kernels:8}{found.ours * 1e3:12.2f}{found.theirs * 1e3:10.2f}{found.times:7.2f}")


if __name__ == "__main__":
    main()
