"""Which of torch's operations a tensor has: docs/operations.md, written by `python -m tests.parity.operations`.

Comes in: the names of both libraries.  Goes out: a page that lists what there is, what differs, and what is missing.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import torch

from kernelforge import Tensor, autograd, fft, func, linalg, nn, signal, special
from tests.parity import tinygrad_names
from tests.parity.matrix import kept

PAGE: Final = Path(__file__).parent.parent.parent / "docs" / "operations.md"
PLACES: Final[dict[str, tuple[Any, Any]]] = {
    "Tensor": (torch.Tensor, Tensor), "": (torch, None), "nn.functional": (torch.nn.functional, nn.functional),
    "linalg": (torch.linalg, linalg), "special": (torch.special, special), "fft": (torch.fft, fft),
    "signal.windows": (torch.signal.windows, signal.windows),
}  # fmt: skip
HOMES: Final = (Tensor, nn.functional, nn, special, func, autograd)  # of torch's own functions
NO_TENSORS: Final = re.compile(  # functions of torch's that compute nothing, of other kinds of tensors or of drivers
    r"(cudnn|miopen|mkldnn|fbgemm|sparse|sym|quantized?|fake_quantize|fused|choose|autocast|set|get|is|import_ir|parse"
    r"|merge_type|profiler|prepare|unify|init|are|use|clear)_.*|(ccol|col|crow|row)?_?(indices|values)_copy"
    r"|(ds|hs|hsp|sadd|sp)mm|compile.*|fork|wait|typename|classproperty|thread_safe_generator|load|save|to_dlpack"
    r"|empty_quantized|alias_copy|slice_copy|tensor"
)
NO_OPERATION: Final = """
    as_subclass boolean_dispatch assert_int_or_pair coalesce ccol_indices col_indices const_data_ptr
    crow_indices cuda data_ptr dense_dim dequantize dim_order get_device handle_torch_function has_torch_function
    has_torch_function_unary has_torch_function_variadic index indices int_repr ipu is_coalesced is_conj
    is_distributed is_inference is_neg is_pinned is_set_to is_shared module_load mtia pin_memory q_per_channel_axis
    q_per_channel_scales q_per_channel_zero_points q_scale q_zero_point qscheme record_stream reinforce resolve_conj
    resolve_neg row_indices slice_inverse smm sparse_dim sparse_mask sspaddmm storage storage_offset storage_type
    to_dense to_mkldnn to_padded_tensor to_sparse to_sparse_bsc to_sparse_bsr to_sparse_coo to_sparse_csc to_sparse_csr
    type unsafe_chunk unsafe_split unsafe_split_with_sizes untyped_storage values xpu new
    resize resize_as native_channel_shuffle multi_head_attention_forward symeig"""
DIFFERS: Final = {
    "max, min": "give values alone, as amax() and amin(), which are other names of them; argmax() gives places",
    "argmax, argsort, cummax, nonzero, sort, topk, ...": "places are int32",
    "lstsq": "gives the solution alone",
    "where": "x.where(y, z) is y where x is true, as tinygrad's",
    "var, std": "the second argument is keepdim, as tinygrad's; correction and unbiased by name",
    "empty_strided, new_empty_strided, empty_permuted": "elements are always in row-major order",
    "gradients of max, min, median": "are shared by equal elements, NaN for all where one is, as those of amax()",
    "sign of NaN": "is NaN, as in NumPy",
    "slopes of hypot and xlogy at 0, of logaddexp of equal infinities, of atan2 and copysign at infinity":
        "are finite; torch's are NaN",
    "number / x for 16-bit x": "is rounded where it is stored; torch rounds 1 / x first",
    "searchsorted, bucketize": "give int32, as out_int32=True",
    "sort, argsort": "are always stable",
    "svd": "as torch.linalg.svd: the last result is V.T",
    "interpolate": "size, mode, align_corners, scale_factor in this order; linear by default",
    "x // 0, x % 0": "of integers by a zero in a tensor are 0; by the number 0 an error",
    "signbit of NaN": "of computed constants has one sign, as there is one NaN",
    "loss.backward() of what requires no gradient": "does nothing",
    "a loss after its backward()":
        "has requires_grad None; backward() through it is an error, as in torch; through what led to it it is none",
    "floor_divide of infinities": "is NaN, as in torch and NumPy; the operator // is floor(x / y)",
    "cdist with p=inf of NaN": "is NaN; torch's is the largest of the other differences, or 0",
    "tensors without dimensions": "have as much to say about a result's type as any other",
    "inv, det, qr, svd, eigh, eig, lu_factor, ldl_factor, ...":
        "are computed by NumPy on the host, their gradients in tensor operations",
}
MISSING: Final = {
    "complex numbers of 16-bit floats": "chalf",
    "steps of a batch norm over several GPUs; a norm of sparse tensors": """
        batch_norm_elemt batch_norm_gather_stats batch_norm_gather_stats_with_counts batch_norm_stats
        batch_norm_update_stats batch_norm_backward_elemt batch_norm_backward_reduce native_norm""",
}

MATRIX: Final = """The matrix (`pytest tests/parity/test_matrix.py --matrix full`) compares every operation of
torch's own database with torch: values, types, shapes, gradients, second gradients, views, changes in place and errors,
in all types. Dropout, random slopes and pools are held to what they may give, `svd`, `eigh`, `eig` and `qr` to being
factors of the matrix. What it lets pass, and what has to hold instead:"""
_KINDS: Final = {"gradient": "gradients", ".*gradient": "gradients", "second gradient": "second gradients",
                 "forward": "values"}  # fmt: skip


def _kept() -> list[str]:
    """Rows of the differences the matrix lets pass."""
    rows = []
    for each in kept.KEPT:
        names = re.sub(r"[\\()$?]", "", each.operations.replace("|", ", ").replace(".*", "..."))
        if each.how != "missing":
            instead = (each.instead.__doc__ or "").partition("\n")[0] if each.instead else ""
            where = " ".join(filter(None, [each.dtypes.replace(" ", ", ") or "all", _KINDS.get(each.kinds, "")]))
            rows.append(f"| {names} | {where} | {each.why} | {instead} |")
    return rows


def functions(place: Any) -> list[str]:
    """The public functions of a class or module of torch, those in place apart."""
    names = [name for name in dir(place) if name.islower() and name[0] != "_" and name[-1] != "_"]
    found = [(name, getattr(place, name, None)) for name in names]
    return [name for name, function in found if callable(function) and not isinstance(function, type)]


def is_there(name: str, ours: Any) -> bool:
    """Whether there is a function of a name; nothing is to be said of copies: what has a result of its own is none."""
    homes = HOMES if ours is None else (ours,)
    return any(hasattr(home, spelling) for home in homes for spelling in (name, name.removesuffix("_copy")))


def operations(theirs: Any) -> list[str]:
    """The functions of a class or module of torch that compute something of tensors."""
    dropped = NO_OPERATION.split()
    found = [name for name in functions(theirs) if name not in dropped]
    return [name for name in found if not NO_TENSORS.fullmatch(name)] if theirs is torch else found


def unexplained() -> list[str]:
    """torch's operations that are neither there nor listed as missing."""
    listed = set(" ".join(MISSING.values()).split())
    pairs = [(name, ours) for theirs, ours in PLACES.values() for name in operations(theirs)]
    return [name for name, ours in pairs if not is_there(name, ours) and name not in listed]


def absent_in_place() -> list[str]:
    """torch's methods that change a tensor in place and are not there."""
    methods = [name for name in dir(torch.Tensor) if name[-1] == "_" != name[0] and not re.search("sparse", name)]
    return [name for name in methods if not hasattr(Tensor, name)]


def text() -> str:
    """The page."""
    about = "Written by `python -m tests.parity.operations`: torch's operations, and what of them there is."
    lines = ["# Operations", "", about, ""]
    for title, (theirs, ours) in PLACES.items():
        found = [name for name in operations(theirs) if is_there(name, ours)]
        count = f"has {len(found)} of {len(operations(theirs))}"
        lines += [f"## torch{'.' * bool(title)}{title}: {count}", "", ", ".join(f"`{name}`" for name in found), ""]
    lines += tinygrad_names.lines()
    lines += ["## Differs", "", "| operation | how |", "| --- | --- |"]
    lines += [f"| {name} | {how} |" for name, how in DIFFERS.items()]
    lines += ["", MATRIX, "", "| operation | types | how | instead |", "| --- | --- | --- | --- |", *_kept()]
    lines += ["", "## Missing", "", "| reason | operations |", "| --- | --- |"]
    no_memory = {"in place: memory that is shared is none of a tensor": " ".join(absent_in_place())}
    for reason, names in {**no_memory, **MISSING}.items():
        left = names.split()
        if left:
            lines.append(f"| {reason} | {', '.join(f'`{name}`' for name in left)} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    PAGE.write_text(text())
