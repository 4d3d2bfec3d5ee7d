"""Objects that claim to be of another class than they are, as stand-ins do, are captured by what they are."""

from __future__ import annotations

import collections
import enum
import functools
import threading
import types
import weakref
from contextvars import ContextVar
from typing import Any

import numpy as np
import pytest

from kernelforge import Tensor, jit

pytestmark = pytest.mark.usefixtures("numpy_device")

CLAIMS = [
    int, bool, str, bytes, tuple, list, dict, set, frozenset, range, slice, type, property, staticmethod, Exception,
    types.FunctionType, types.MethodType, types.ModuleType, types.GeneratorType, types.CellType, types.CodeType,
    types.SimpleNamespace, collections.deque, collections.Counter, functools.partial, weakref.ref, weakref.ProxyType,
    enum.Enum, threading.local, ContextVar, np.ndarray, np.generic, np.random.Generator, np.random.RandomState,
    Tensor, type(iter([])), type(None), None,
]  # fmt: skip


@pytest.mark.parametrize("claimed", CLAIMS, ids=str)
def test_classes_that_objects_claim_to_have(claimed: type | None) -> None:
    """What counts is the class they have, also where `__class__` says another, as stand-ins do, or raises."""

    class Claiming:
        def __init__(self, scale: float) -> None:
            self.scale = scale

        @property  # type: ignore[misc]
        def __class__(self) -> Any:
            if claimed is None:
                raise RuntimeError("no class")
            return claimed

    one, held, x = Claiming(2.0), types.SimpleNamespace(one=[Claiming(3.0)]), Tensor([1.0, 2.0])
    by_closure = jit(lambda x: x * one.scale * held.one[0].scale)
    by_argument = jit(lambda x, given: x * given.scale)
    for _ in range(3):
        assert by_closure(x).tolist() == [6, 12]
        assert by_argument(x, one).tolist() == [2, 4]
    one.scale = 5.0
    assert by_closure(x).tolist() == [15, 30]
    assert by_argument(x, one).tolist() == [5, 10]
    held.one[0].scale = 1.0
    assert by_closure(x).tolist() == [5, 10]
