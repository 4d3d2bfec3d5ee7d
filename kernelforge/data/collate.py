"""Samples -> batch -> tensors.

Comes in: samples as a dataset hands them out. Goes out: a batch of the same structure, first in NumPy (in whichever
process), then as tensors (in the parent only). The only file of this room that makes a `Tensor`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelforge.data.worker_info import get_worker_info
from kernelforge.tensor import Tensor


def default_collate(samples: Sequence[Any]) -> Any:
    """One batch of the samples' structure, with a first dimension of len(samples) in every tensor.

        arrays, tensors, numbers             -> tensor (a Python float becomes float32, a Python int int64)
        tuples, lists, dicts, named tuples   -> the same, of batches of their elements
        strings, bytes, None                 -> list

    In a worker process arrays stand where tensors would: the loader makes the tensors.

    raises  ValueError when samples differ in shape or structure, TypeError for samples of another kind
    """
    batch = stack(samples)
    return batch if get_worker_info() is not None else to_tensors(batch)


def stack(samples: Sequence[Any]) -> Any:
    """The batch of default_collate, in NumPy."""
    first = samples[0]
    if isinstance(first, str | bytes) or first is None:
        return list(samples)
    if isinstance(first, Mapping):
        if any(sample.keys() != first.keys() for sample in samples):
            raise ValueError(f"cannot make a batch of dicts with different keys: {[list(s) for s in samples[:4]]} ...")
        return {key: stack([sample[key] for sample in samples]) for key in first}
    if isinstance(first, tuple | list):
        if any(len(sample) != len(first) for sample in samples):
            raise ValueError(f"cannot make a batch of sequences of different lengths: {sorted({*map(len, samples)})}")
        return _rebuilt(first, [stack(parts) for parts in zip(*samples)])
    return _stacked([as_array(sample) for sample in samples])


def _stacked(arrays: list[NDArray]) -> NDArray:
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        raise ValueError(
            f"cannot stack samples of shapes {', '.join(map(str, sorted(shapes)[:4]))} into one batch; "
            f"make them equal in the dataset, or give the loader a collate_fn that pads"
        )
    return np.stack(arrays)


def as_array(value: Any) -> NDArray:
    """An array, tensor or number as a NumPy array.

    raises  TypeError for anything else, and for a tensor in a worker process
    """
    if isinstance(value, bool | int):
        return np.asarray(value)
    if isinstance(value, float):
        return np.asarray(value, np.float32)
    if isinstance(value, Tensor):
        return refuse_tensors(value).numpy()
    if isinstance(value, np.ndarray | np.generic):
        return np.asarray(value)
    raise TypeError(f"a batch is made of arrays, tensors, numbers, strings, tuples, lists and dicts, not {type(value)}")


def refuse_tensors(batch: Any) -> Any:
    """The batch itself; in a worker process it must hold no tensor, for a worker must not open a device.

    raises  TypeError
    """
    return batch if get_worker_info() is None else _mapped(batch, Tensor, _refuse)


def _refuse(tensor: Tensor) -> Tensor:
    raise TypeError(
        f"a tensor of shape {tensor.shape} in a DataLoader worker: dataset and collate_fn must return NumPy arrays "
        f"there (the loader makes tensors of them), or use num_workers=0"
    )


def default_convert(sample: Any) -> Any:
    """One sample with a tensor for every array and number type of NumPy in it; the rest stays as it is.

    >>> default_convert({"x": np.ones(2), "name": "a", "count": 3})["x"].tolist()
    [1.0, 1.0]
    """
    return to_tensors(_mapped(sample, np.generic, np.asarray))


def to_tensors(batch: Any) -> Any:
    """The batch with a tensor for every array of numbers or bools in its tuples, lists and dicts."""
    return _mapped(batch, np.ndarray, lambda array: Tensor(array) if array.dtype.kind in "biuf" else array)


def _mapped(batch: Any, kind: type, change: Callable[[Any], Any]) -> Any:
    """The batch with `change` applied to every leaf of a kind."""
    if isinstance(batch, kind):
        return change(batch)
    if isinstance(batch, Mapping):
        return {key: _mapped(value, kind, change) for key, value in batch.items()}
    if isinstance(batch, tuple | list):
        return _rebuilt(batch, [_mapped(value, kind, change) for value in batch])
    return batch


def _rebuilt(like: Any, parts: list[Any]) -> Any:
    """Parts as a list, tuple or named tuple, whichever `like` is."""
    if isinstance(like, tuple):
        return type(like)(*parts) if hasattr(like, "_fields") else tuple(parts)
    return parts
