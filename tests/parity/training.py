"""Which of torch's layers, functions, optimisers and schedules there are: docs/training.md, written by
`python -m tests.parity.training`.

Comes in: the names of both libraries.  Goes out: a page that lists what there is, what differs, and what is missing.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, Final

import torch

from kernelforge import nn, optim
from kernelforge.optim import swa_utils

PAGE: Final = Path(__file__).parent.parent.parent / "docs" / "training.md"
PLACES: Final[dict[str, tuple[Any, Any]]] = {
    "nn": (torch.nn, nn),
    "nn.functional": (torch.nn.functional, nn.functional),
    "nn.init": (torch.nn.init, nn.init),
    "nn.utils": (torch.nn.utils, nn.utils),
    "nn.utils.parametrizations": (torch.nn.utils.parametrizations, nn.utils.parametrizations),
    "nn.utils.parametrize": (torch.nn.utils.parametrize, nn.utils.parametrize),
    "nn.utils.rnn": (torch.nn.utils.rnn, nn.utils.rnn),
    "optim": (torch.optim, optim),
    "optim.lr_scheduler": (torch.optim.lr_scheduler, optim.lr_scheduler),
    "optim.swa_utils": (torch.optim.swa_utils, swa_utils),
}
NONE_OF_OURS: Final = """
    assert_int_or_pair boolean_dispatch handle_torch_function has_torch_function has_torch_function_unary
    has_torch_function_variadic native_channel_shuffle convert_conv2d_weight_memory_format
    convert_conv3d_weight_memory_format UninitializedBuffer UninitializedParameter bind copy_method_params
    invert_permutation PackedSequence_ get_swap_module_params_on_conversion is_opaque_reference_type
    is_traceable_wrapper_subclass swap_in_optimizer_params_and_state LinearCrossEntropyOptions
    transfer_parametrizations_and_params type_before_parametrizations cached auto Optional fuse_conv_bn_weights
    fuse_linear_bn_weights factory_kwargs ScalingType SwizzleType OpaqueBase"""
DIFFERS: Final = {
    "a module's tensors": "any tensor that is an attribute belongs to the state, also inside lists, dicts and objects",
    "training": "before train() or eval() True; once a program uses Tensor.training or Tensor.train(), what that says",
    "sparse=, SparseAdam": "gradients are never sparse",
    "foreach=, fused=, capturable=": "accepted; a step is a few launches for any number of parameters",
    "CrossMapLRN2d": "is LocalResponseNorm; torch's counts some channels twice",
    "Embedding": "an index out of range raises when the values are next synchronised",
    "scaled_mm, scaled_grouped_mm": "take a scale for all, or for each row and column, not for blocks",
    "interpolate(antialias=True)": "of linear and cubic modes, as a matrix product",
    "Lazy layers": "have no parameters before the first call",
    "DataParallel, SyncBatchNorm": "of one device",
    "orthogonal(householder)": "is taken as matrix_exp",
    "LBFGS": "keeps its history on the host",
    "Adam(b1=, b2=), LARS, LAMB, Lion, BatchNorm, InstanceNorm, LayerNorm2d": "are there beside torch's names",
}


def names(place: Any) -> list[str]:
    """The public functions and classes of a module of torch that are its own."""
    found = [(name, getattr(place, name)) for name in dir(place) if name[0] != "_"]
    return [
        name
        for name, value in found
        if (inspect.isclass(value) or callable(value))
        and "torch" in str(getattr(value, "__module__", None) or "torch")
        and not _is_helper(name, value)
    ]


def _is_helper(name: str, value: Any) -> bool:
    helpers = ("Tensor", "Callable", "Literal", "ParamSpec", "TypeVar", "NamedTuple", "Self", "Any", "Iterable", "Enum")
    return name in helpers or type(value).__module__ == "typing"


def missing(title: str) -> list[str]:
    """What torch has in a place and this library has not."""
    theirs, ours = PLACES[title]
    apart = {*NONE_OF_OURS.split()}
    if title != "nn":
        apart |= {"Module", "ModuleList", "ModuleDict", "Parameter", "ParametrizationList", "Optimizer", "BatchNorm"}
    return [name for name in names(theirs) if name not in apart and not hasattr(ours, name)]


def text() -> str:
    """The page."""
    lines = ["# Training", "", "Written by `python -m tests.parity.training`: torch's layers and optimisers here.", ""]
    for title, (theirs, ours) in PLACES.items():
        found = [name for name in names(theirs) if hasattr(ours, name)]
        lines += [f"## torch.{title}: has {len(found)}, lacks {len(missing(title))}", ""]
        lines += [", ".join(f"`{name}`" for name in found), ""]
        if missing(title):
            lines += ["Missing: " + ", ".join(f"`{name}`" for name in missing(title)), ""]
    lines += ["## Not taken over", "", ", ".join(f"`{name}`" for name in NONE_OF_OURS.split()), ""]
    lines += ["## Differs", "", "| what | how |", "| --- | --- |"]
    lines += [f"| {name} | {how} |" for name, how in DIFFERS.items()]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    PAGE.write_text(text())
