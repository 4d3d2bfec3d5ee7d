"""Which of tinygrad's methods a tensor has, under the same names with arguments of the same names.

Comes in: `tinygrad_methods.txt`, a method of tinygrad's Tensor on each line with the names of its arguments, "*"
for any number of them.  Goes out: what is there, what differs and what is missing, for docs/operations.md.
"""

from __future__ import annotations

from inspect import Parameter, signature
from pathlib import Path
from typing import Final

from kernelforge import Tensor
from kernelforge.tensor.spelling import OTHER_NAMES

METHODS: Final = {
    name: arguments
    for line in (Path(__file__).parent / "tinygrad_methods.txt").read_text().splitlines()
    for name, *arguments in [line.split()]
}
DIFFERS: Final = {
    "shard, shard_": "take one device; a tensor is on one device",
    "schedule_linear, linear_with_vars": "give this library's steps",
    "alu": "takes the name of an operation of codegen.ops",
    "is_param_": "is requires_grad_()",
    "image_conv2d, image_dot": "are conv2d() and dot(): there are no images",
    "invalids": "is empty()",
    "from_url": "reads at once",
    "full, full_like": "buffer=False is what they are: a constant costs no memory",
    "realize": "always counts in GlobalCounters",
    "randint": "dtype and device are named arguments, as in every random method",
}
MISSING: Final = {
    "graphs of tinygrad's compiler as arguments": "as_param call callify const custom_kernel",
    "decoders of video hardware": "decode_hevc_frame",
}
NOT_TAKEN: Final = {"full": {"buffer"}, "realize": {"do_update_stats"}}


def missing() -> list[str]:
    """tinygrad's methods that are not there."""
    return [name for name in METHODS if not hasattr(Tensor, name)]


def not_taken(name: str) -> set[str]:
    """The names of arguments of tinygrad's method that this library's does not know."""
    method = getattr(Tensor, name)
    if not callable(method) or isinstance(method, type):
        return set()
    parameters = signature(method).parameters
    if any(p.kind is Parameter.VAR_KEYWORD for p in parameters.values()):
        return set()
    known = {*parameters, *(OTHER_NAMES[p] for p in parameters if p in OTHER_NAMES)}
    several = any(p.kind is Parameter.VAR_POSITIONAL for p in parameters.values())
    return {argument for argument in METHODS[name] if argument not in known and not (argument == "*" and several)}


def lines() -> list[str]:
    """The part of the page about tinygrad."""
    found = [name for name in METHODS if hasattr(Tensor, name)]
    rows = [f"## tinygrad.Tensor: has {len(found)} of {len(METHODS)}", ""]
    rows += ["With arguments of the same names.", "", ", ".join(f"`{name}`" for name in found), ""]
    rows += ["| differs | how |", "| --- | --- |", *(f"| {name} | {how} |" for name, how in DIFFERS.items()), ""]
    rows += ["| missing | operations |", "| --- | --- |"]
    for reason, names in MISSING.items():
        rows.append(f"| {reason} | {', '.join(f'`{name}`' for name in names.split())} |")
    return [*rows, ""]
