"""The state of optimisers as dictionaries in torch's form.

Comes in: optimisers; dictionaries of tensors, arrays and numbers.  Goes out: dictionaries; optimisers that go on.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np

from codegen.dtypes import DType, dtypes
from kernelforge.errors import ArgumentError
from kernelforge.optim.options import stored
from kernelforge.tensor import Tensor, no_grad

if TYPE_CHECKING:
    from kernelforge.optim.optimizer import Optimizer


def packed_state(optimizer: Optimizer) -> dict[str, Any]:
    """{"state": {number: {name: tensor}}, "param_groups": [{option: value, "params": numbers}]}."""
    numbers = {id(tensor): i for i, tensor in enumerate(optimizer.params)}
    groups = []
    for group in optimizer.param_groups:
        options = {name: value for name, value in group.items() if name != "params"}
        groups.append({**options, "params": [numbers[id(tensor)] for tensor in group["params"]]})
    state = {numbers[id(tensor)]: dict(values) for tensor, values in optimizer.state.items()}
    return {"state": dict(sorted(state.items())), "param_groups": groups}


@no_grad()
def unpacked_state(optimizer: Optimizer, saved: Mapping[str, Any]) -> None:
    """Give an optimiser what packed_state(), or torch, made of another.

    raises ValueError
    """
    missing = [name for name in ("param_groups", "state") if name not in saved]
    if missing:
        raise ArgumentError(f"load_state_dict() takes what state_dict() gave; there is no {' and no '.join(missing)}")
    groups = saved["param_groups"]
    if len(groups) != len(optimizer.param_groups):
        raise ArgumentError("loaded state dict has a different number of parameter groups")
    if [len(g["params"]) for g in groups] != [len(g["params"]) for g in optimizer.param_groups]:
        raise ArgumentError(
            "loaded state dict contains a parameter group that doesn't match the size of optimizer's group"
        )
    tensors = {
        number: tensor
        for group, own in zip(groups, optimizer.param_groups)
        for number, tensor in zip(group["params"], own["params"])
    }
    counts: dict[float, Tensor] = {}
    for group, own in zip(groups, optimizer.param_groups):
        own.update({name: _plain(value) for name, value in group.items() if name != "params"})
    optimizer.state = {}
    for number, values in saved["state"].items():
        tensor = tensors[number]
        found: dict[str, Any] = {}
        for name, value in values.items():
            if name == "step" and optimizer.counts:
                steps = float(_array(value))
                found[name] = counts.setdefault(steps, stored((), steps, optimizer.device))
            elif hasattr(value, "shape"):
                found[name] = _own(value, tensor, dtypes.float32 if name in optimizer.numbers else tensor.dtype)
            elif value is not None:
                found[name] = deepcopy(value)
        optimizer.state[tensor] = found


def _array(value: Any) -> np.ndarray:
    return value.numpy() if isinstance(value, Tensor) else np.asarray(value)


def _plain(value: Any) -> Any:
    """An option; learning rates in tensors of other libraries become numbers."""
    if hasattr(value, "shape") and not isinstance(value, Tensor):
        return float(np.asarray(value))
    return deepcopy(value)


def _own(value: Any, tensor: Tensor, dtype: DType) -> Tensor:
    """A copy of saved values for a parameter's state, in at least float32."""
    array = _array(value)
    if array.dtype.kind in "fc":
        array = array.astype(dtype.arithmetic.numpy)
    return Tensor(array, device=tensor.device, requires_grad=False)
