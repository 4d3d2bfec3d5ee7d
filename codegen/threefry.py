"""Threefry-2x32 with 20 rounds: two random words for each pair of counter words under a pair of key words.

Comes in: counter and key words.  Goes out: the words, as NumPy computes them and as text of helpers in both printers'
languages.  Additions, rotations and exclusive ors of 32-bit words are all it takes, so it fills vectors on every
machine and gives the same words on each.

source  Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011, section 4.2
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

OPERANDS: Final = "place, call, low, high"  # two counter words, two key words
_PARITY: Final = 0x1BD11BDA
_ROTATIONS: Final = ((13, 15, 26, 6), (17, 29, 16, 24))


def words(place: Any, call: Any, low: Any, high: Any) -> tuple[Any, Any]:
    """Both words for arrays of counters and keys; of wider types the low 32 bits count."""
    x, y, *keys = (np.asarray(a).astype(np.uint32) for a in (place, call, low, high))
    keys.append(keys[0] ^ keys[1] ^ np.uint32(_PARITY))
    with np.errstate(over="ignore"):
        x, y = x + keys[0], y + keys[1]
        for block in range(5):
            for rotation in _ROTATIONS[block % 2]:
                x = x + y
                y = (y << np.uint32(rotation) | y >> np.uint32(32 - rotation)) ^ x
            x = x + keys[(block + 1) % 3]
            y = y + (keys[(block + 2) % 3] + np.uint32(block + 1))
    return x, y


def _steps(literal: str) -> list[str]:
    """The assignments that turn the words x and y under the keys k0 and k1 into random ones, in C and Python alike."""
    steps = [f"k2 = k0 ^ k1 ^ {literal.format(_PARITY)}", "x = x + k0", "y = y + k1"]
    for block in range(5):
        for rotation in _ROTATIONS[block % 2]:
            steps += ["x = x + y", f"y = ((y << {rotation}) | (y >> {32 - rotation})) ^ x"]
        steps.append(f"x = x + k{(block + 1) % 3}")
        steps.append(f"y = y + (k{(block + 2) % 3} + {literal.format(block + 1)})")
    return steps


def opencl(word: str) -> str:
    """The body of an OpenCL helper: T is the operands' type, V the uint type of its width; word is "x" or "y"."""
    names = zip(("x", "y", "k0", "k1"), OPERANDS.split(", "))
    start = ", ".join(f"{name} = convert_V({operand})" for name, operand in names)
    return f"V {start}, k2; {'; '.join(_steps('(V)({}u)'))}; return convert_T({word});"


def triton(word: str) -> str:
    """The same of a Triton helper, from its parameter list on."""
    lines = [
        f"{name} = tl.cast({operand}, tl.uint32)"
        for name, operand in zip(("x", "y", "k0", "k1"), OPERANDS.split(", "))
    ]
    lines += [*_steps("{}"), f"return {word}.to({OPERANDS.split(', ')[0]}.dtype)"]
    return f"({OPERANDS}):\n" + "".join(f"    {line}\n" for line in lines)
