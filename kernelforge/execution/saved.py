"""Plans on disk: a second process finds what the first one planned.

Comes in: the structure of a graph, and all else a plan depends on.  Goes out: a name, the same in every process, and
the plan saved under it.  A name also stands for this package's own files, so a changed compiler plans anew, and for the
user's lines, which messages of a plan may quote.  A file can make plans and what they consist of, and call nothing.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from io import BytesIO
from typing import Any, Final

import codegen
from codegen.dtypes import DType, dtype_named
from codegen.ir import Param
from codegen.program import Program
from kernelforge.calls import Recipe
from kernelforge.graph import Node, uniform
from kernelforge.kernels import Device, Runtime, cache
from kernelforge.planning.kept import Preparation, kind_of
from kernelforge.planning.memory import Block
from kernelforge.planning.steps import Check, Driven, Launch, Plan, Slot, Step, Transfer
from kernelforge.settings import CACHE_PLANS
from kernelforge.structure import Structure, structure

WORTHWHILE: Final = 20e-3  # seconds of planning that are worth a file
PARTS: Final[tuple[Callable[..., Any], ...]] = (
    Block, Check, Driven, Launch, Param, Plan, Preparation, Program, Slot, Transfer, dtype_named, kind_of,
)  # fmt: skip
"""What a saved plan consists of, beside numbers, strings and containers."""
_NAMED: Final = {(part.__module__, part.__name__): part for part in PARTS}


class _Reader(pickle.Unpickler):
    """Makes nothing but PARTS, whatever a file says."""

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        if (module, name) not in _NAMED:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of a plan")
        return _NAMED[module, name]


def name_of(graph: Structure, device: str, *circumstances: object) -> str | None:
    """What the plan of a graph is called on disk; None where none is saved.

    circumstances  what else it depends on: numbers, strings, paths and tuples of them
    """
    runtime: Runtime = Device[device]
    elsewhere = any(node.op == "copy" or node.device not in (None, device) for node in graph.nodes)
    if not CACHE_PLANS.value or elsewhere or runtime.target.language == "interpreted":
        return None
    try:
        text = "".join(_spelled(graph.key, {}))
    except TypeError:
        return None
    lines = repr([node.line for node in graph.nodes])
    target = f"{runtime.target!r} {runtime.target.copies}"
    return cache.key_of("plan", _package(), repr(runtime.facts), target, repr(circumstances), text, lines)


def recall(name: str) -> Plan | None:
    """The plan saved under a name, or None; its programs are still to be compiled."""
    content = cache.load(name)
    if content is None:
        return None
    try:
        plan = _Reader(BytesIO(content)).load()
    except Exception:  # whatever is wrong with it, it can be made again
        plan = None
    if not isinstance(plan, Plan):
        cache.forget(name)
        return None
    return plan


def save(name: str, plan: Plan) -> None:
    """Saves a plan, without what belongs to this process."""
    cache.save(name, pickle.dumps(_bare(plan), pickle.HIGHEST_PROTOCOL))


def _bare(plan: Plan) -> Plan:
    steps = list(map(_bare_step, plan.steps))
    return replace(plan, steps=steps, faults={}, batch=[], shared=[], single=None, has_tables=False)


def _bare_step(step: Step) -> Step:
    if isinstance(step, Driven):
        return replace(step, begin=_bare(step.begin), each=_bare(step.each))
    return replace(step, executable=None) if isinstance(step, Launch) else step


@lru_cache(maxsize=1)
def _package() -> str:
    """The files that make plans: their names, sizes and times."""
    found, folders = [], [os.path.dirname(codegen.__file__), os.path.dirname(os.path.dirname(__file__))]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.name.endswith(".py"):
                    state = entry.stat()
                    found.append((entry.path, state.st_size, state.st_mtime_ns))
                elif entry.name != "__pycache__" and entry.is_dir():
                    folders.append(entry.path)
    return repr([sys.version, *sorted(found)])


def _spelled(value: object, recipes: dict[Recipe, int]) -> Iterator[str]:
    """Part of a structure's key as text that differs wherever keys do, in any process.

    raises TypeError for what means nothing to another process
    """
    if isinstance(value, tuple):
        yield "("
        for item in value:
            yield from _spelled(item, recipes)
        yield ")"
    elif isinstance(value, Recipe):
        if value not in recipes:
            recipes[value] = len(recipes)
            yield f"recipe {value.name} {value.result}"
            yield from _spelled((value.steps, structure(value.constants).key), recipes)
        yield f"#{recipes[value]} "
    elif isinstance(value, Node) and (constant := uniform(value)) is not None:
        yield f"{value.shape} {value.dtype} {constant.attr!r} "
    elif value is None or isinstance(value, str | int | float | DType):
        yield f"{value!r} "
    else:
        raise TypeError(f"{value!r} is not the same in another process")
