"""Training that continues where it stopped: model, optimiser, loader, random numbers and counters in one file.

Comes in: objects with state_dict() and load_state_dict(), objects with tensors, or plain values.  Goes out: files that
are there whole or not at all.  After loading, the steps that follow are the ones that would have followed.
"""

from __future__ import annotations

import random
import re
import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np

from kernelforge.errors import FileFormatError
from kernelforge.io.mapped import PathLike
from kernelforge.io.nested import load, save
from kernelforge.nn.state import get_state_dict, load_state_dict
from kernelforge.tensor import Tensor
from kernelforge.tensor.generators import default

RANDOM: Final = "random numbers"
PLAIN: Final = (dict, list, tuple, int, float, str, bytes, bool, type(None), Tensor, np.ndarray, np.generic)


def save_checkpoint(path: PathLike, **parts: Any) -> None:
    """Write the state of parts, and of all random numbers, to a file.

    parts   models, optimisers, schedulers, loaders; or dicts, lists, numbers and tensors

        save_checkpoint("run.ckpt", model=model, optimizer=optimizer, loader=loader, step=step)
    """
    save({name: _state(part) for name, part in parts.items()} | {RANDOM: _random_state()}, path)


def load_checkpoint(path: PathLike, **parts: Any) -> dict[str, Any]:
    """Put the state of a file into parts, and into all random numbers; returns the plain values that were saved.

        step = load_checkpoint("run.ckpt", model=model, optimizer=optimizer, loader=loader)["step"]

    raises  FileFormatError for another file, KeyError for a part that is not in it
    """
    found = load(path)
    if not isinstance(found, dict) or RANDOM not in found:
        raise FileFormatError(path, "not written by save_checkpoint()")
    states, numbers = found, found.pop(RANDOM)
    missing = parts.keys() - states.keys()
    if missing:
        raise KeyError(f"{path} holds no {', '.join(sorted(missing))}; it holds {', '.join(states)}")
    for name, part in parts.items():
        _restore(part, states.pop(name))
    _restore_random(numbers)
    return states


class Checkpoints:
    """The checkpoints of one run in a folder, of which the newest are kept.

    folder  made when there is none
    keep    how many
    """

    def __init__(self, folder: PathLike, keep: int = 3) -> None:
        if keep < 1:
            raise ValueError(f"at least one checkpoint must be kept, got keep={keep}")
        self.folder, self.keep = Path(folder), keep
        self.folder.mkdir(parents=True, exist_ok=True)

    def paths(self) -> list[Path]:
        """The checkpoints there are, oldest first."""
        named = ((re.fullmatch(r"step-(\d+)\.ckpt", path.name), path) for path in self.folder.iterdir())
        return [path for _, path in sorted((int(name[1]), path) for name, path in named if name)]

    def save(self, step: int, **parts: Any) -> Path:
        """The file written for a step; older ones beyond `keep` are gone."""
        path = self.folder / f"step-{step:08}.ckpt"
        save_checkpoint(path, step=step, **parts)
        for old in self.paths()[: -self.keep]:
            old.unlink()
        return path

    def resume(self, **parts: Any) -> dict[str, Any]:
        """The plain values of the newest checkpoint, `step` among them, with its state put into parts.

        Without any checkpoint the step is 0 and parts stay as they are.  A file that cannot be read is left out with a
        warning, and the one before it is taken.
        """
        for path in reversed(self.paths()):
            try:
                return load_checkpoint(path, **parts)
            except FileFormatError as error:
                warnings.warn(f"left out: {error}", stacklevel=2)
        return {"step": 0}


def _state(part: Any) -> Any:
    if isinstance(part, PLAIN):
        return part
    return part.state_dict() if hasattr(part, "state_dict") else get_state_dict(part)


def _restore(part: Any, state: Any) -> None:
    if hasattr(part, "load_state_dict"):
        part.load_state_dict(state)
    else:
        load_state_dict(part, state)


def _random_state() -> dict[str, Any]:
    return {"tensor": default.get_state(), "numpy": np.random.get_state(), "python": random.getstate()}


def _restore_random(state: dict[str, Any]) -> None:
    default.set_state(state["tensor"])
    np.random.set_state(state["numpy"])
    random.setstate(state["python"])
