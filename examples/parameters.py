"""Find numbers by following gradients: the minimum of Rosenbrock's valley, and the parameters of a pendulum.

    pip install 'kernelforge[cpu,examples]'
    python examples/parameters.py [--seed 0]

The pendulum obeys angle'' = -stiffness * sin(angle) - damping * angle'. It was watched for 10 seconds, with noise. The
differential equation is solved piece by piece, all pieces at once, and what does not fit is differentiated through the
solver with respect to stiffness, damping and the state at the start of every piece.
"""

import argparse
from typing import Any, Final

import numpy as np
from tqdm import trange

from kernelforge import Tensor
from kernelforge.nn import optim

STIFFNESS, DAMPING = 9.0, 0.35  # what is to be found
SECONDS, COUNT, NOISE = 10.0, 200, 0.02  # how long, how often and how well the pendulum was watched
PIECES: Final = 20


def rosenbrock(x: Tensor, y: Tensor) -> Tensor:
    """(1 - x)^2 + 100 (y - x^2)^2: a curved valley whose lowest place is (1, 1)."""
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def minimum(x: float = -1.2, y: float = 1.0, steps: int = 3000) -> tuple[float, float]:
    """Where Adam gets from a start."""
    place = [Tensor(x, requires_grad=True), Tensor(y, requires_grad=True)]
    optimizer = optim.Adam(place, lr=0.02)
    for _ in trange(steps, desc="valley", unit="step"):
        optimizer.zero_grad()
        rosenbrock(*place).backward()
        optimizer.step()
    return place[0].item(), place[1].item()


def slope(state: tuple, stiffness: Any, damping: Any) -> tuple:
    """The pendulum's equation: how angle and speed change; of arrays or of tensors."""
    angle, speed = state
    return speed, -stiffness * (angle.sin() if isinstance(angle, Tensor) else np.sin(angle)) - damping * speed


def step(state: tuple, seconds: float, *constants: Any) -> tuple:
    """The state a moment later, by the Runge-Kutta method of order 4."""

    def moved(change: tuple, share: float) -> tuple:
        return tuple(value + share * seconds * rate for value, rate in zip(state, change))

    k1 = slope(state, *constants)
    k2 = slope(moved(k1, 0.5), *constants)
    k3 = slope(moved(k2, 0.5), *constants)
    k4 = slope(moved(k3, 1.0), *constants)
    rates = [(a + 2 * b + 2 * c + d) / 6 for a, b, c, d in zip(k1, k2, k3, k4)]
    return moved(tuple(rates), 1.0)


def watched(seed: int) -> np.ndarray:
    """The angles seen, [COUNT]."""
    state: tuple = (np.float64(1.5), np.float64(0.0))
    angles = []
    for _ in range(COUNT):
        angles.append(state[0])
        for _ in range(10):
            state = step(state, SECONDS / COUNT / 10, STIFFNESS, DAMPING)
    return np.array(angles) + np.random.default_rng(seed).normal(0, NOISE, COUNT)


def fitted(angles: np.ndarray, steps: int = 1500) -> tuple[float, float]:
    """Stiffness and damping under which the angles are most likely."""
    seconds = SECONDS / COUNT
    seen = Tensor(angles.reshape(PIECES, -1).T.astype(np.float32))  # [places in a piece, pieces]
    speeds = np.gradient(angles, seconds)[:: COUNT // PIECES].astype(np.float32)
    constants = [Tensor(1.0, requires_grad=True), Tensor(0.0, requires_grad=True)]
    start = [Tensor(seen.numpy()[0], requires_grad=True), Tensor(speeds, requires_grad=True)]
    optimizer = optim.Adam([*constants, *start], lr=0.05)
    schedule = optim.CosineAnnealingLR(optimizer, T_max=steps)
    for _ in trange(steps, desc="pendulum", unit="step"):
        optimizer.zero_grad()
        state, misfit = tuple(start), Tensor(0.0)
        for place in range(COUNT // PIECES):
            misfit = misfit + ((state[0] - seen[place]) ** 2).sum()
            state = step(state, seconds, *constants)
        # A piece ends where the next one starts.
        joints = [((end[:-1] - begin[1:]) ** 2).sum() for end, begin in zip(state, start)]
        (misfit + joints[0] + joints[1]).backward()
        optimizer.step()
        schedule.step()
    return constants[0].item(), constants[1].item()


def main() -> None:
    parser = argparse.ArgumentParser(description="Find numbers by following gradients.")
    parser.add_argument("--seed", type=int, default=0, help="of the noise")
    options = parser.parse_args()
    x, y = minimum()
    stiffness, damping = fitted(watched(options.seed))
    print(f"lowest place  ({x:.4f}, {y:.4f}); it is (1, 1)")
    print(f"stiffness     {stiffness:.3f}; it is {STIFFNESS}")
    print(f"damping       {damping:.3f}; it is {DAMPING}")


if __name__ == "__main__":
    main()
